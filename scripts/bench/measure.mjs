/** What both parts of the bench measure with: load, rounds, the floor. */
import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { signedFetch } from '../sign.mjs'
import { build, SECRET, start } from './servers.mjs'

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url))
export const say = (/** @type {string} */ line) => process.stdout.write(`${line}\n`)

/** @param {number[]} numbers */
export const median = (numbers) =>
  [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN

// ---- Load

/** Ends with this process. */
export const loader = fork(here('./load.mjs'))

/** @typedef {{ ms: number, count: number, p50: number, statuses: Record<string, number> }} Load */

/**
 * @param {object} job
 * @returns {Promise<Load>}
 */
export async function load(job) {
  const answer = new Promise((done) => loader.once('message', done))
  loader.send(job)
  const result = /** @type {any} */ (await answer)
  if (result.error) throw new Error(result.error)
  return result
}

/** @typedef {import('./servers.mjs').Server} Server */
/** How many rounds, how long each and the one before them, in milliseconds. @typedef {{ rounds: number, ms: number, warmUp: number }} Pace */
/** @typedef {{ server: Server, plan: { method: string, path: string, body?: string, secret?: string }, status: number }} Subject */

/**
 * One round: requests a second, the median wait and CPU milliseconds a request.
 * @param {Subject} subject
 * @param {number} connections
 * @param {number} ms
 */
async function round({ server, plan, status }, connections, ms) {
  const before = server.cpu()
  const { count, p50, statuses, ...took } = await load({
    port: server.port,
    plan,
    connections,
    ms,
  })
  const after = server.cpu()
  if (statuses[status] !== count) {
    throw new Error(`${plan.method} ${plan.path} answered ${JSON.stringify(statuses)}`)
  }
  const cpu = before === undefined || after === undefined ? Number.NaN : (after - before) / count
  return { rps: (count / took.ms) * 1_000, p50, cpu }
}

/**
 * Lets subjects take turns, and gives the medians of each.
 * @param {Subject[]} subjects the first is the measure of the others
 * @param {number} connections
 * @param {Pace} pace
 */
export async function compare(subjects, connections, { rounds: count, ms, warmUp }) {
  for (const subject of subjects) await round(subject, connections, warmUp)
  /** @type {Awaited<ReturnType<typeof round>>[][]} */
  const rounds = []
  for (let n = 0; n < count; n++) {
    const results = []
    for (const subject of subjects) results.push(await round(subject, connections, ms))
    rounds.push(results)
  }
  return subjects.map((_, i) => {
    const all = (/** @type {'rps' | 'p50' | 'cpu'} */ what) => ({
      value: median(rounds.map((results) => results[i]?.[what] ?? Number.NaN)),
      ratio: median(
        rounds.map((results) => (results[i]?.[what] ?? 0) / (results[0]?.[what] ?? Number.NaN)),
      ),
    })
    return { rps: all('rps'), p50: all('p50'), cpu: all('cpu') }
  })
}

// ---- Requests

/**
 * @param {Server} server
 * @param {string} path
 * @param {object} body
 */
export async function post(server, path, body) {
  const client = { url: `http://127.0.0.1:${server.port}`, key: 'master', secret: SECRET }
  const answer = await signedFetch(client, 'POST', path, body)
  if (answer.status !== 201) {
    throw new Error(`POST ${path} answered ${answer.status}: ${await answer.text()}`)
  }
  return answer.json()
}

/**
 * The log line of one more request of a subject: its round trips and rows read.
 * @param {Subject} subject
 */
export async function lineOf({ server, plan }) {
  server.line = undefined
  await load({ port: server.port, plan, connections: 1, count: 1 })
  for (let tries = 0; tries < 100 && server.line === undefined; tries++) await sleep(20)
  return server.line
}

// ---- The floor

/** The floor never moves: a change of these two files would change what every earlier number meant. */
const FLOOR_SHA256 = 'c50c7fbd4bda3e76f5aaedac230d2fe244863cc1d6430a4269a07244e7bf8ce3'

const floorHash = createHash('sha256')
for (const file of ['floor', 'hello']) floorHash.update(readFileSync(here(`./${file}.mjs`)))
export const floorSha256 = floorHash.digest('hex')

/** Rows of the floor's table. */
const ROWS = 2_000

/** @param {Server} server */
async function fillFloor(server) {
  const db = await server.db()
  await db.batch([
    db.prepare('create table floor (id integer primary key, email text, name text, at integer)'),
    db.prepare(`insert into floor (email, name, at)
      with recursive n (i) as (select 1 union all select i + 1 from n where i < ${ROWS})
      select 'somebody-' || i || '@example.org', 'A row of the floor', 1700000000000 + i from n`),
  ])
}

/** Starts the floor; gives what the rows of the bench are compared with, and how large the floor's script is. */
export async function startFloor() {
  say(`Floor: sha256 ${floorSha256}`)
  if (floorSha256 !== FLOOR_SHA256) {
    throw new Error('The floor has been changed: earlier numbers would mean something else.')
  }
  const floor = await build('floor', 'scripts/bench/floor.mjs')
  const server = await start(floor.script, 'plain')
  await fillFloor(server)
  /** @type {Record<'read' | 'insert', Subject>} */
  const floors = {
    read: {
      server,
      plan: { method: 'GET', path: `/rows/${ROWS / 2}`, secret: SECRET },
      status: 200,
    },
    insert: {
      server,
      plan: {
        method: 'POST',
        path: '/rows',
        body: JSON.stringify({ email: 'earner-{n}@example.org' }),
        secret: SECRET,
      },
      status: 201,
    },
  }
  return { floor, floors, server }
}
