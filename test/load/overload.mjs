/**
 * `npm run test:load`: awards for 20 seconds, at three times the rate that the Worker can take at its best. Nothing but 200, 201, 429 and
 * 503 is answered, ten seconds afterwards all is as before, and every award that was answered with 201 is there.
 *
 *     npm run test:load -- [--seconds 20] [--times 3]
 */
import { createHash, createHmac } from 'node:crypto'
import { Agent, request as httpRequest } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { build, migrate, SECRET, start, tidy } from '../../scripts/bench/servers.mjs'
import { signedFetch } from '../../scripts/sign.mjs'

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '20' },
    times: { type: 'string', default: '3' },
  },
})
const SECONDS = Number(options.seconds)
const TIMES = Number(options.times)
/** Requests that wait for their answers at once; what comes on top is not sent, as no client would have a socket for it. */
const MOST = 1_000
const WARM = 5
const PATIENCE = 10_000
const GOOD = [200, 201, 429, 503]
const LIST = '/systems/load/badges/stress/instances'

/** @type {string[]} */
const wrong = []
const agent = new Agent({ keepAlive: true, maxSockets: MOST })
let port = 0
let waiting = 0
let unsent = 0
let sent = 0
/** @type {Map<string, number>} */
const statuses = new Map()
/** @type {string[]} */
const accepted = []
/** @type {number[]} */
const times = []

const base64url = (/** @type {unknown} */ value) =>
  Buffer.from(JSON.stringify(value)).toString('base64url')
const HEAD = base64url({ typ: 'JWT', alg: 'HS256' })

/** One award of a new earner. Gives the status, or why there is none. @returns {Promise<string>} */
function award() {
  const email = `earner-${sent++}@example.org`
  const body = JSON.stringify({ email })
  const digest = { alg: 'sha256', hash: createHash('sha256').update(body).digest('hex') }
  const exp = Math.floor(Date.now() / 1000) + 600
  const claims = base64url({ key: 'master', method: 'POST', path: LIST, exp, body: digest })
  const mac = createHmac('sha256', SECRET).update(`${HEAD}.${claims}`).digest('base64url')
  const headers = {
    authorization: `JWT token="${HEAD}.${claims}.${mac}"`,
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
  }
  waiting += 1
  const began = performance.now()
  return new Promise((done) => {
    const end = (/** @type {string} */ status) => {
      waiting -= 1
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
      times.push(performance.now() - began)
      if (status === '201') accepted.push(email)
      done(status)
    }
    const asked = httpRequest(
      { host: '127.0.0.1', port, method: 'POST', path: LIST, agent, headers, timeout: 60_000 },
      (response) => {
        response.resume()
        response.on('end', () => end(String(response.statusCode)))
        response.on('error', (error) => end(error.message))
      },
    )
    asked.on('timeout', () => asked.destroy(new Error('no answer within a minute')))
    asked.on('error', (error) => end(error.message))
    asked.end(body)
  })
}

/** Awards a second when as many clients as are best wait for each other's answers. */
async function saturation() {
  const until = performance.now() + WARM * 1000
  const before = accepted.length
  const client = async () => {
    while (performance.now() < until) await award()
  }
  await Promise.all(Array.from({ length: 32 }, client))
  return (accepted.length - before) / WARM
}

/** Sends at a rate, whatever is answered. @param {number} rate */
async function flood(rate) {
  const began = performance.now()
  let due = 0
  for (;;) {
    const passed = (performance.now() - began) / 1000
    if (passed >= SECONDS) return
    for (; due < passed * rate; due++) {
      if (waiting < MOST) award()
      else unsent += 1
    }
    await sleep(5)
  }
}

/** Milliseconds until an honest request is answered within a second and nothing waits any more. */
async function recovery(/** @type {{ url: string, key: string, secret: string }} */ client) {
  const ended = performance.now()
  for (;;) {
    const asked = performance.now()
    const answer = await signedFetch(client, 'GET', '/systems/load')
    await answer.arrayBuffer()
    const now = performance.now()
    if (answer.status === 200 && now - asked < 1_000 && waiting === 0) return now - ended
    if (now - ended > 60_000) return now - ended
    await sleep(100)
  }
}

const percentile = (/** @type {number} */ share) =>
  Math.round([...times].sort((a, b) => a - b)[Math.floor(times.length * share)] ?? 0)

async function main() {
  const { script } = await build('overloaded')
  const server = await start(script, 'ours')
  port = server.port
  await migrate(server)
  const client = { url: `http://127.0.0.1:${port}`, key: 'master', secret: SECRET }
  const make = async (/** @type {string} */ path, /** @type {object} */ body) => {
    const answer = await signedFetch(client, 'POST', path, body)
    if (answer.status !== 201) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
  }
  const url = 'https://load.example.org'
  await make('/systems', { slug: 'load', name: 'Load', url })
  const texts = { earnerDescription: 'e', consumerDescription: 'c', criteriaUrl: url }
  await make('/systems/load/badges', {
    slug: 'stress',
    name: 'Stress',
    unique: 1,
    image: `${url}/b.png`,
    ...texts,
  })
  const rate = await saturation()
  process.stdout.write(`saturation: ${Math.round(rate)} awards a second\n`)
  times.length = 0
  await flood(TIMES * rate)
  const took = await recovery(client)

  const list = await (await signedFetch(client, 'GET', LIST)).json()
  const there = new Set(list.instances.map((/** @type {{ email: string }} */ { email }) => email))
  const lost = accepted.filter((email) => !there.has(email))
  const bad = [...statuses].filter(([status]) => !GOOD.includes(Number(status)))
  if (bad.length > 0) wrong.push(`other answers: ${JSON.stringify(bad)}`)
  if (took > PATIENCE) wrong.push(`it took ${Math.round(took)} ms to recover`)
  if (lost.length > 0)
    wrong.push(`${lost.length} accepted awards are not there: ${lost.slice(0, 5)}`)
  process.stdout.write(
    `${SECONDS} s at ${Math.round(TIMES * rate)} a second: ${sent} sent, ${unsent} held back, ` +
      `answers ${JSON.stringify(Object.fromEntries(statuses))}, p50 ${percentile(0.5)} ms, p99 ${percentile(0.99)} ms, ` +
      `recovered in ${Math.round(took)} ms, ${accepted.length} accepted, ${lost.length} lost\n`,
  )
}

try {
  await main()
} catch (error) {
  wrong.push(String(error instanceof Error ? error.stack : error))
} finally {
  agent.destroy()
  await tidy()
}
for (const line of wrong) process.stderr.write(`${line}\n`)
process.exitCode = wrong.length === 0 ? 0 : 1
