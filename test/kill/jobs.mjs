/**
 * `npm run test:jobs`: one job of 100,000 awards, undisturbed and measured; then another one whose server is killed on the way, the
 * first time while the list comes in. Of both there must be one award and one event for each row, none twice, which the database
 * itself is asked when the server is gone.
 *
 *     npm run test:jobs -- [--rows 100000] [--kills 5] [--seed N] [--webhook] [--no-measure]
 *
 * With `--webhook` a receiver is told of each award; with `--no-measure` only the second job is done.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { build, SECRET, tidy } from '../../scripts/bench/servers.mjs'
import { signedFetch } from '../../scripts/sign.mjs'
import { randomOf } from '../fuzz/random.mjs'
import { serverOn } from './server.mjs'

const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: '100000' },
    kills: { type: 'string', default: '5' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    webhook: { type: 'boolean', default: false },
    measure: { type: 'boolean', default: true },
  },
  allowNegative: true,
})
const [ROWS, KILLS, SEED] = [Number(options.rows), Number(options.kills), Number(options.seed)]
/** How many times faster than in life the sweep takes a job for abandoned. */
const SPEED = 400

const random = randomOf(SEED)
const state = mkdtempSync(join(tmpdir(), 'badgekit-jobs-'))
/** @type {string[]} */
const wrong = []
const say = (/** @type {string} */ line) => process.stdout.write(`${line}\n`)

/** @type {Awaited<ReturnType<typeof serverOn>> | undefined} */
let server

// ── The client ──────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Repeats a request until it is answered.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {Record<string, string>} [headers]
 */
async function insist(method, path, body, headers = {}) {
  for (;;) {
    const client = { url: `http://127.0.0.1:${server?.port}`, key: 'master', secret: SECRET }
    const answer = await Promise.race([
      signedFetch(client, method, path, body, headers).catch(() => null),
      // A connection to a server that was killed may stay silent for ever.
      sleep(method === 'GET' ? 2_000 : 20_000, null, { ref: false }),
    ])
    const json = await answer?.json().catch(() => null)
    if (answer?.ok && json) return json
    // 409 says that the first request is still being answered.
    if (answer && answer.status < 500 && answer.status !== 409)
      throw new Error(`${method} ${path}: ${answer.status}`)
    await sleep(50)
  }
}

/** A list with all that a row may have. */
function listOf(/** @type {string} */ name) {
  const lines = Array.from(
    { length: ROWS },
    (_, n) => `${name}-${n}@example.org,2026-01-02,"Well done, number ${n}"`,
  )
  return ['email,issuedOn,comment', ...lines].join('\n')
}

const URL_OF_ALL = 'https://jobs.example.org'

/** Makes a system with a badge. Gives what sends the list, and gives the path of the job. */
async function begin(/** @type {string} */ name) {
  await insist('POST', '/systems', { slug: name, name, url: URL_OF_ALL })
  const badge = {
    ...{ slug: name, name, unique: 1, earnerDescription: 'e', consumerDescription: 'c' },
    ...{ criteriaUrl: URL_OF_ALL, image: `${URL_OF_ALL}/b.png` },
  }
  await insist('POST', `/systems/${name}/badges`, badge)
  if (options.webhook) {
    const address = receiver.address()
    const url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}/`
    await insist('POST', `/systems/${name}/webhooks`, { url, format: 'events-1' })
  }
  return async () => {
    const path = `/systems/${name}/badges/${name}/instances/jobs`
    const headers = { 'content-type': 'text/csv', 'idempotency-key': name }
    const { job } = await insist('POST', path, listOf(name), headers)
    return `${path}/${job.id}`
  }
}

const show = async (/** @type {string} */ path) => (await insist('GET', path)).job

/** Waits until so many rows are done; gives the job. */
async function reach(/** @type {string} */ path, /** @type {number} */ rows) {
  for (;;) {
    const job = await show(path)
    if (job.done >= rows) return job
    await sleep(50)
  }
}

// ── What the database says ──────────────────────────────────────────────────────────────────────────────────────────

const files = () =>
  readdirSync(state, { recursive: true, encoding: 'utf8' })
    .filter((file) => /d1.*\.sqlite/i.test(file) && !/metadata/.test(file))
    .map((file) => join(state, file))
const bytes = () => files().reduce((sum, file) => sum + statSync(file).size, 0)

/** Asked of the file, when no server is at it. */
function prove(/** @type {string} */ name) {
  const file = files().find((one) => one.endsWith('.sqlite')) ?? ''
  const db = new DatabaseSync(file)
  const one = (/** @type {string} */ sql) =>
    Number(Object.values(db.prepare(sql).get(name) ?? {})[0])
  const mine = 'badgeInstances where badgeId = (select id from badges where slug = ?)'
  const events = `events where type = 'badge.awarded' and subject in (select slug from ${mine})`
  const job = 'jobs where badgeId = (select id from badges where slug = ?)'
  const facts = {
    awards: one(`select count(*) from ${mine}`),
    earners: one(`select count(distinct lower(email)) from ${mine}`),
    events: one(`select count(*) from ${events}`),
    'awards with an event': one(`select count(distinct subject) from ${events}`),
    'awards that the badge counts': one('select awarded from badges where slug = ?'),
    'rows that the job has issued': one(`select succeeded from ${job} and state = 'done'`),
    'rows that say so': one(
      `select count(distinct json_extract(j.value, '$.slug')) from jobChunks c, json_each(c.rows) j
       where c.jobId = (select id from ${job} and state = 'done') and json_extract(j.value, '$.state') = 'issued'`,
    ),
  }
  for (const [what, count] of Object.entries(facts)) {
    if (count !== ROWS) wrong.push(`${name}: ${count} ${what} instead of ${ROWS}`)
  }
  const jobs = one(`select count(*) from ${job} and state <> 'receiving'`)
  if (jobs !== 1) wrong.push(`${name}: ${jobs} jobs instead of 1`)
  db.close()
}

// ── The test ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** @param {Awaited<ReturnType<typeof serverOn>>} server */
async function measure(server) {
  await server.start()
  const send = await begin('calm')
  const [size, idle, sent] = [bytes(), server.usage(), performance.now()]
  const path = await send()
  const [taken, answered] = [server.usage(), performance.now()]
  const job = await reach(path, ROWS)
  const [end, ended] = [server.usage(), performance.now()]
  if (job.state !== 'done') wrong.push(`calm: the job is ${job.state}`)
  const whole = (/** @type {number} */ n) => Math.round(n).toLocaleString('en')
  const rate = (/** @type {number} */ ms) => whole((ROWS / ms) * 1_000)
  say(
    `${whole(ROWS)} rows, taken in ${whole(answered - sent)} ms (CPU ${whole(taken.cpu - idle.cpu)} ms)`,
  )
  say(
    `awarded in ${whole(ended - answered)} ms: ${rate(ended - answered)} a second, ` +
      `${rate(end.cpu - taken.cpu)} in a second of CPU`,
  )
  say(
    `workerd, database included: ${whole(idle.memory)} MB before, ${whole(taken.peak)} MB at the most ` +
      `while the list came in, ${whole(end.peak)} MB in all`,
  )
  await server.kill()
  prove('calm')
  say(`${whole((bytes() - size) / ROWS)} bytes of database an award`)
}

/** @param {Awaited<ReturnType<typeof serverOn>>} server */
async function kill(server) {
  await server.start()
  const send = await begin('killed')
  const sending = send()
  let onTheWay = KILLS < 2
  for (let n = 1; n <= KILLS; n++) {
    if (n === 1) {
      await sleep(random.int(0, ROWS / 100))
      say('kill 1: while the list comes in')
    } else {
      const { done } = await reach(await sending, Math.floor((ROWS * (n - 1)) / KILLS))
      await sleep(random.int(0, 50))
      say(`kill ${n}: ${done} rows are done`)
      onTheWay ||= done < ROWS
    }
    await server.kill()
    await server.start()
  }
  if (!onTheWay) wrong.push('All kills came too late')
  await reach(await sending, ROWS)
  await server.kill()
  prove('killed')
}

const receiver = createServer((request, response) => {
  request.resume()
  response.end('thank you')
})

async function main() {
  const { script } = await build('jobs', '--define', 'LOCAL_DEV:true')
  await new Promise((done) => receiver.listen(0, '127.0.0.1', () => done(undefined)))
  if (options.measure) {
    // With a cron as in life: every minute.
    server = await serverOn(script, state, 1, 60_000)
    await measure(server)
  }
  server = await serverOn(script, state, SPEED)
  await kill(server)
  const verdict = wrong.length === 0 ? 'one award and one event each' : 'WRONG'
  say(`seed ${SEED}: ${ROWS} rows, ${KILLS} kills: ${verdict}`)
}

async function stop() {
  await server?.kill()
  receiver.closeAllConnections()
  receiver.close()
  await tidy()
  rmSync(state, { recursive: true, force: true })
}

// Whoever stops the test stops what it has started.
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, async () => {
    await stop()
    process.exit(1)
  })
}

try {
  await main()
} catch (error) {
  wrong.push(String(error))
} finally {
  await stop()
}
for (const line of wrong) process.stderr.write(`${line}\n`)
process.exitCode = wrong.length === 0 ? 0 : 1
