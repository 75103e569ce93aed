/**
 * What grows with the tables, and what does not: the second part of `docs/performance.md`, and its drawing. The same database at
 * three sizes; of each the speed of the built Worker beside the floor, and of every route the round trips and rows read, which
 * `test/budget.test.ts` measures and judges, plans of all its statements included.
 */
import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { signedFetch } from '../sign.mjs'
import { chart } from './chart.mjs'
import { compare, lineOf, say, startFloor } from './measure.mjs'
import { fixed, measuredOn, table, whole, writePart } from './report.mjs'
import { filling } from './rows.mjs'
import { build, migrate, ROOT, SECRET, scratch, start } from './servers.mjs'

/** @typedef {import('./measure.mjs').Subject} Subject */
/** @typedef {import('./rows.mjs').Size} Size */
/** @typedef {import('./servers.mjs').Server} Server */
/** @typedef {{ name: string, at: { awards: number, ratio: number, rps: number, cpu: number, floorCpu: number, trips: number, rows: number }[] }} Curve */

const isQuick = process.argv.includes('--quick')
const PACE = isQuick ? { rounds: 3, ms: 300, warmUp: 500 } : { rounds: 9, ms: 500, warmUp: 2_000 }
/** @type {Size[]} */
const SIZES = (isQuick ? [1_000, 10_000, 100_000] : [1_000, 100_000, 1_000_000]).map((awards) => ({
  ...{ name: `of-${awards}`, awards, systems: 20, badges: 200 },
}))
/** Of which speed is measured too. Through its outer door the local server takes no statement that makes a million rows. */
const FILLED = SIZES.filter(({ awards }) => awards <= 100_000)
const DRAWING = 'docs/images/scale.svg'

/** Gives whether all that has to be flat is. */
export async function measureScale() {
  const { floors, server: floorServer } = await startFloor()
  const ours = await build('ours')
  /** @type {Curve[]} */
  const curves = []
  const filled = []
  for (const size of FILLED) {
    const server = await start(ours.script, 'ours')
    filled.push(await fill(server, size))
    for (const { name, floor, subject } of await requestsOf(server, size)) {
      const [base, our] = await compare([floors[floor], subject], 16, PACE)
      const line = await lineOf(subject)
      if (!base || !our || !line) throw new Error(`Nothing was measured of ${name}`)
      const curve = curves.find((one) => one.name === name) ?? { name, at: [] }
      if (curve.at.length === 0) curves.push(curve)
      curve.at.push({
        ...{ awards: size.awards, ratio: our.rps.ratio, rps: our.rps.value },
        ...{ cpu: our.cpu.value, floorCpu: base.cpu.value },
        ...{ trips: line.trips, rows: line.rowsRead },
      })
    }
    await server.stop()
  }
  await floorServer.stop()

  say('Asking every route …')
  const { budget, isFlat } = await budgets()
  const report = reportOf(curves, filled, budget, isFlat)
  say(`\n${report}\n`)
  if (!isQuick) {
    writePart('As the tables grow', report)
    writeFileSync(join(ROOT, DRAWING), drawing(curves, budget))
  }
  return isFlat
}

/**
 * Fills a database, and takes away what would be at work beside the measuring: webhooks that hear of awards, deliveries that wait,
 * a sweep that is late, and keys that only look like keys. Gives how long it took and how large it is.
 * @param {Server} server
 * @param {Size} size
 */
async function fill(server, size) {
  say(`Making ${size.awards} awards …`)
  await migrate(server)
  const db = await server.db()
  const started = performance.now()
  for (const text of filling(size)) await db.prepare(text).run()
  const seconds = (performance.now() - started) / 1_000
  await db.batch(
    [
      `update webhooks set events = '[]'`,
      `update deliveries set state = 'delivered' where state = 'pending'`,
      `update signingKeys set retiredAt = createdAt`,
      `insert into heartbeats (name, at) values ('sweep', ${Date.now() + 86_400_000})
        on conflict (name) do update set at = excluded.at`,
      `insert into claimCodes (systemId, badgeId, code, multiuse, op, createdAt, updatedAt)
        select systemId, id, 'open', 1, 'filled', createdAt, createdAt from badges where id = 2`,
    ].map((text) => db.prepare(text)),
  )
  const { meta } = await db.prepare('select 1').run()
  return { ...size, seconds, bytes: meta.size_after }
}

/**
 * What is asked for, of each size: of the oldest badge, to which a quarter of the awards belongs.
 * @param {Server} server
 * @param {Size} size
 * @returns {Promise<{ name: string, floor: 'read' | 'insert', subject: Subject }[]>}
 */
async function requestsOf(server, { name }) {
  const of = (/** @type {number} */ n) =>
    `/systems/${name}-systems-0/issuers/${name}-issuers-0/programs/${name}-programs-${n}/badges/${name}-badge-${n}`
  const get = (/** @type {string} */ path, secret = SECRET) => ({
    ...{ server, status: 200 },
    plan: { method: 'GET', path, ...(secret && { secret }) },
  })
  const award = (/** @type {object} */ more) => ({
    ...{ server, status: 201 },
    plan: {
      ...{ method: 'POST', path: `${of(1)}/instances`, secret: SECRET },
      body: JSON.stringify({ email: 'earner-{n}@example.net', ...more }),
    },
  })
  const last = await lastPage(server, `${of(0)}/instances`)
  return [
    { name: 'GET a badge', floor: 'read', subject: get(of(0)) },
    {
      ...{ name: 'GET 10 badges', floor: 'read' },
      subject: get(`/systems/${name}-systems-0/badges?cursor=&limit=10`),
    },
    { name: 'GET the last 20 awards', floor: 'read', subject: get(last) },
    { name: 'POST an award', floor: 'insert', subject: award({}) },
    { name: 'POST an award for a code', floor: 'insert', subject: award({ claimCode: 'open' }) },
    {
      ...{ name: 'GET an assertion, cached', floor: 'read' },
      subject: get(`/public/assertions/${name}-award-0`, ''),
    },
  ]
}

/**
 * The path of the last whole page of 20 of a list.
 * @param {Server} server
 * @param {string} list
 */
async function lastPage(server, list) {
  const client = { url: `http://127.0.0.1:${server.port}`, key: 'master', secret: SECRET }
  /** @type {string[]} */
  const paths = []
  for (let path = `${list}?cursor=&limit=1000`; path !== ''; ) {
    paths.push(path)
    const { headers } = await signedFetch(client, 'GET', path)
    const [, next] = /<([^>]*)>; rel="next"/.exec(headers.get('link') ?? '') ?? []
    const url = next && new URL(next, client.url)
    path = url ? url.pathname + url.search : ''
  }
  return paths.at(-1)?.replace('limit=1000', 'limit=20') ?? ''
}

/** Every route's trips and rows at each size, in the order of the sizes. */
async function budgets() {
  const file = join(scratch, 'budget.json')
  const reporters = ['default', './test/node/budget.ts'].flatMap((one) => ['--reporter', one])
  const isFlat = await new Promise((done, fail) => {
    const child = spawn('npx', ['vitest', 'run', 'test/budget.test.ts', ...reporters], {
      cwd: ROOT,
      env: { ...process.env, SCALE: JSON.stringify(SIZES), BUDGET: file },
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    child.once('error', fail)
    child.once('close', (code) => done(code === 0))
  })
  /** @type {import('../../test/helpers/planned').Budget[]} */
  const budget = JSON.parse(readFileSync(file, 'utf8'))
  return { budget, isFlat: /** @type {boolean} */ (isFlat) }
}

/** What hangs from a container is shown once, of programs. @param {string} title */
const isShown = (title) =>
  !/\/(badges|instances|codes|applications|keys|signing-keys|stats)\b/.test(title) ||
  /:program\//.test(title) ||
  / \/public/.test(title)

const counted = (/** @type {number} */ n) => n.toLocaleString('en')

/**
 * @param {Curve[]} curves
 * @param {Awaited<ReturnType<typeof fill>>[]} filled
 * @param {Awaited<ReturnType<typeof budgets>>['budget']} budget
 * @param {boolean} isFlat
 */
function reportOf(curves, filled, budget, isFlat) {
  const all = SIZES.map(({ awards }) => counted(awards))
  const sizes = FILLED.map(({ awards }) => counted(awards))
  const each = (/** @type {(at: Curve['at'][number]) => string | number} */ show) =>
    curves.map(({ name, at }) => [name, ...at.map(show)])
  return `Measured by \`npm run bench -- scale\` on ${measuredOn()}. The bench writes this part.

A database of 20 systems and 200 badges with so many awards; a quarter of them is of one badge, about which is asked. With each award come its
event, delivery and attempt, its signed credential, its audit row, a claim code and an application with a review. It is made inside SQLite.

${table(
  ['awards', 'made in, s', 'database, MB', 'bytes an award, with all that comes along'],
  filled.map(({ awards, seconds, bytes }) => [
    counted(awards),
    fixed(seconds),
    whole(bytes / 1e6),
    whole(bytes / awards),
  ]),
)}

![Requests a second beside the floor, rows read and CPU, by the number of awards](images/scale.svg)

Requests a second as a share of the floor's, 16 at once. Speed is measured up to 100,000: the local server takes no statement from outside that
makes a million rows. Trips and rows are measured inside it, up to a million.

${table(
  ['request', ...sizes],
  each(({ ratio, rps }) => `**${fixed(ratio)}** (${whole(rps)})`),
)}

CPU of a request, in milliseconds, and the floor's:

${table(
  ['request', ...sizes],
  each(({ cpu, floorCpu }) => `${fixed(cpu)} (${fixed(floorCpu)})`),
)}

Round trips and rows read, of the newest, the oldest and what is not there the most. ${
    isFlat
      ? 'All that has to be flat is, and no statement looks through a table that grows.'
      : '**Not all that has to be flat is.**'
  } These read more of a larger database: pages that the
small one cannot fill, totals of what is filtered, logs that look through so many rows for a page, what is
counted, up to a thousand of a badge, what is recovered, and the status lists of an issuer, one for 100,000 awards.

${budget
  .filter(
    ({ title, spent }) => isShown(title) && (spent.at(-1)?.rows ?? 0) > (spent[0]?.rows ?? 0) + 5,
  )
  .map(({ title }) => `- \`${title}\``)
  .join('\n')}

<details>
<summary>Every route, from programs downwards</summary>

${table(
  ['request', ...all],
  budget
    .filter(({ title }) => isShown(title))
    .map(({ title, spent }) => [
      `\`${title}\``,
      ...spent.map(({ trips, rows }) => `${trips} / ${rows}`),
    ]),
)}

</details>`
}

const PROGRAM = '/systems/:system/issuers/:issuer/programs/:program'

/** The requests of the curves, as the budget calls them. @type {Record<string, string>} */
const TITLES = {
  'GET a badge': `GET ${PROGRAM}/badges/:badge`,
  'GET 10 badges': 'GET /systems/:system/badges?cursor=&limit=3',
  'GET the last 20 awards': `GET ${PROGRAM}/badges/:badge/instances?cursor=&limit=3`,
  'POST an award': `POST ${PROGRAM}/badges/:badge/instances`,
  'POST an award for a code': `POST ${PROGRAM}/badges/:badge/codes/:code/claim`,
  'GET an assertion, cached': 'GET /public/assertions/:instance',
}

/**
 * @param {Curve[]} curves
 * @param {Awaited<ReturnType<typeof budgets>>['budget']} budget
 */
function drawing(curves, budget) {
  const lines = (/** @type {(at: Curve['at'][number]) => number} */ value) =>
    curves.map(({ name, at }) => ({ name, points: at.map((one) => [one.awards, value(one)]) }))
  const rows = curves.map(({ name }) => {
    const { spent = [] } = budget.find(({ title }) => title === TITLES[name]) ?? {}
    return { name, points: spent.map((one, i) => [SIZES[i]?.awards ?? 0, one.rows]) }
  })
  return chart([
    { title: 'Requests a second, as a share of the floor’s', lines: lines(({ ratio }) => ratio) },
    { title: 'Rows read by one request, at the most', lines: rows },
    {
      title: 'CPU of a request, as a multiple of the floor’s',
      lines: lines(({ cpu, floorCpu }) => cpu / floorCpu),
    },
  ])
}
