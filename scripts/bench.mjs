/**
 * `npm run bench`: how fast the built Worker is, beside the floor (`bench/floor.mjs`), the least that a Worker of this stack can
 * do. Numbers of a machine say little, so every row is a ratio: floor and Worker take turns in short rounds, and the median of
 * the rounds' ratios counts. Writes `docs/performance.md`; `--quick` only prints.
 */
import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { build, buildVariant, migrate, ROOT, SECRET, start, tidy } from './bench/servers.mjs'
import { signedFetch } from './sign.mjs'

/** The floor never moves: a change of these two files would change what every earlier number meant. */
const FLOOR_SHA256 = 'c50c7fbd4bda3e76f5aaedac230d2fe244863cc1d6430a4269a07244e7bf8ce3'

const { values: options } = parseArgs({ options: { quick: { type: 'boolean', default: false } } })
const ROUNDS = options.quick ? 5 : 15
const ROUND_MS = options.quick ? 400 : 600
const WARM_UP_MS = options.quick ? 1_000 : 3_000
const STARTS = options.quick ? 1 : 3
const AWARDS = options.quick ? 1_000 : 10_000
const CONNECTIONS = [1, 16]
const BADGES = 2_000
const BYTES_GOAL = 3_500
const DELIVERIES = 1_000
const SIGNATURES = options.quick ? 200 : 1_000
/** Milliseconds of CPU for both proofs of a credential. */
const SIGNING_GOAL = 4
/** What the event path may add to an award's CPU. */
const EVENT_GOAL = 1.15

const here = (/** @type {string} */ path) => fileURLToPath(new URL(path, import.meta.url))
const say = (/** @type {string} */ line) => process.stdout.write(`${line}\n`)

/** @param {number[]} numbers */
const median = (numbers) => [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN

// ---- Load

const loader = fork(here('./bench/load.mjs'))

/** @typedef {{ ms: number, count: number, p50: number, statuses: Record<string, number> }} Load */

/**
 * @param {object} job
 * @returns {Promise<Load>}
 */
async function load(job) {
  const answer = new Promise((done) => loader.once('message', done))
  loader.send(job)
  const result = /** @type {any} */ (await answer)
  if (result.error) throw new Error(result.error)
  return result
}

/** @typedef {import('./bench/servers.mjs').Server} Server */
/** @typedef {{ server: Server, plan: { method: string, path: string, body?: string, secret?: string }, status: number }} Subject */

/**
 * One round: requests a second, the median wait and CPU milliseconds a request.
 * @param {Subject} subject
 * @param {number} connections
 * @param {number} [ms]
 */
async function round({ server, plan, status }, connections, ms = ROUND_MS) {
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
 */
async function compare(subjects, connections) {
  for (const subject of subjects) await round(subject, connections, WARM_UP_MS)
  /** @type {Awaited<ReturnType<typeof round>>[][]} */
  const rounds = []
  for (let n = 0; n < ROUNDS; n++) {
    const results = []
    for (const subject of subjects) results.push(await round(subject, connections))
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

// ---- What the Workers hold

/** @param {Server} server */
async function fillFloor(server) {
  const db = await server.db()
  await db.batch([
    db.prepare('create table floor (id integer primary key, email text, name text, at integer)'),
    db.prepare(`insert into floor (email, name, at)
      with recursive n (i) as (select 1 union all select i + 1 from n where i < ${BADGES})
      select 'somebody-' || i || '@example.org', 'A row of the floor', 1700000000000 + i from n`),
  ])
}

const PROGRAM = '/systems/city/issuers/library/programs/reading'

/**
 * @param {Server} server
 * @param {string} path
 * @param {object} body
 */
async function post(server, path, body) {
  const client = { url: `http://127.0.0.1:${server.port}`, key: 'master', secret: SECRET }
  const answer = await signedFetch(client, 'POST', path, body)
  if (answer.status !== 201) {
    throw new Error(`POST ${path} answered ${answer.status}: ${await answer.text()}`)
  }
  return answer.json()
}

/**
 * A system, an issuer and a program with badges, each with three of every list.
 * @param {Server} server
 * @param {number} badges
 */
async function fillOurs(server, badges) {
  await migrate(server)
  const container = (/** @type {string} */ slug) => ({
    slug,
    name: `The ${slug}`,
    url: `https://${slug}.example.org/`,
    description: 'It teaches, and says so with badges.',
    email: `badges@${slug}.example.org`,
  })
  await post(server, '/systems', container('city'))
  await post(server, '/systems/city/issuers', container('library'))
  await post(server, '/systems/city/issuers/library/programs', container('reading'))
  const slugs = Array.from({ length: badges }, (_, i) => `badge-${i}`)
  const makeSome = async () => {
    for (let slug = slugs.pop(); slug; slug = slugs.pop()) {
      await post(server, `${PROGRAM}/badges`, badge(slug))
    }
  }
  await Promise.all(Array.from({ length: 8 }, makeSome))
}

const badge = (/** @type {string} */ slug) => ({
  slug,
  name: `Badge ${slug}`,
  strapline: 'For those who read on',
  earnerDescription: 'You have read three books and told somebody about each of them.',
  consumerDescription: 'The earner has read three books and told somebody about each of them.',
  criteriaUrl: 'https://library.example.org/criteria',
  unique: 1,
  type: 'Participation',
  image: 'https://library.example.org/badge.png',
  criteria: [1, 2, 3].map((n) => ({ description: `Read book ${n}`, required: 1, note: 'Aloud' })),
  alignments: [1, 2, 3].map((n) => ({
    name: `Standard ${n}`,
    url: `https://standards.example.org/${n}`,
    description: 'Reads with understanding',
  })),
  tags: ['reading', 'books', 'summer'],
  categories: ['literacy', 'culture', 'leisure'],
})

/**
 * The log line of one more request of a subject: its round trips and rows read.
 * @param {Subject} subject
 */
async function lineOf({ server, plan }) {
  server.line = undefined
  await load({ port: server.port, plan, connections: 1, count: 1 })
  for (let tries = 0; tries < 100 && server.line === undefined; tries++) await sleep(20)
  return server.line
}

/**
 * Bytes of database that an award takes, with all that it brings along: events, one webhook's deliveries and their attempts.
 * @param {string} script
 */
async function bytesPerAward(script) {
  const server = await start(script, 'ours')
  await fillOurs(server, 1)
  await post(server, '/systems/city/webhooks', { url: 'https://receiver.example.org/hook' })
  const db = await server.db()
  const sizeNow = async () => (await db.prepare('select 1').run()).meta.size_after
  const plan = awardPlan(0)
  await load({ port: server.port, plan, connections: 1, count: 1 })
  const before = await sizeNow()
  const { statuses } = await load({ port: server.port, plan, connections: 16, count: AWARDS })
  const pending = db.prepare(`select count(*) as n from deliveries where state = 'pending'`)
  for (let waited = 0; waited < 600 && (await pending.first('n')) > 0; waited++) await sleep(500)
  const events = await db.prepare('select count(*) from events').first('count(*)')
  const left = await pending.first('n')
  if (statuses[201] !== AWARDS || events !== AWARDS + 1 || left > 0) {
    throw new Error(`Of ${AWARDS} awards: ${JSON.stringify({ statuses, events, pending: left })}`)
  }
  const bytes = ((await sizeNow()) - before) / AWARDS
  await server.stop()
  return bytes
}

/**
 * Deliveries a second to a receiver that takes everything at once: of a bulk award, until the last has arrived.
 * @param {string} script
 */
async function deliveriesPerSecond(script) {
  const server = await start(script, 'ours')
  await fillOurs(server, 2)
  await post(server, '/systems/city/webhooks', { url: 'https://receiver.example.org/hook' })
  const db = await server.db()
  const left = async () =>
    await db.prepare(`select count(*) as n from deliveries where state = 'pending'`).first('n')
  const runs = []
  for (const n of [0, 1]) {
    const emails = Array.from({ length: DELIVERIES }, (_, i) => `earner-${i}@example.org`)
    await post(server, `${PROGRAM}/badges/badge-${n}/instances/bulk`, { emails })
    const started = performance.now()
    while ((await left()) > 0) await sleep(20)
    runs.push((DELIVERIES * 1_000) / (performance.now() - started))
  }
  await server.stop()
  return Math.max(...runs)
}

/**
 * What the event path adds to an award's CPU, as a ratio: beside a Worker that records no event.
 * @param {string} script
 * @param {string} silent
 */
async function eventCost(script, silent) {
  const servers = [await start(silent, 'ours'), await start(script, 'ours')]
  for (const server of servers) {
    await fillOurs(server, 1)
    await post(server, '/systems/city/webhooks', {
      url: 'https://receiver.example.org/hook',
      // A delivery's own work is no part of the award's.
      events: ['review'],
    })
  }
  const subjects = servers.map((server) => ({ server, plan: awardPlan(0), status: 201 }))
  const results = await compare(subjects, 16)
  await Promise.all(servers.map((server) => server.stop()))
  return results[1]?.cpu.ratio ?? Number.NaN
}

/**
 * Credentials signed a second, by whoever asks for them first, one after the other; and what that costs in CPU.
 * @param {string} script
 */
async function signing(script) {
  const server = await start(script, 'ours')
  await fillOurs(server, 1)
  const emails = Array.from({ length: SIGNATURES + 50 }, (_, i) => `earner-${i}@example.org`)
  while (emails.length > 0) {
    const path = `${PROGRAM}/badges/badge-0/instances/bulk`
    await post(server, path, { emails: emails.splice(-1_000) })
  }
  const { results } = await (await server.db()).prepare('select slug from badgeInstances').all()
  const paths = results.map(
    (/** @type {{ slug: string }} */ { slug }) => `/public/v3/credentials/${slug}`,
  )
  const plan = { method: 'GET', path: paths.splice(0, 50) }
  await load({ port: server.port, plan, connections: 1, count: 50 })
  const before = server.cpu() ?? Number.NaN
  const { ms, count, statuses } = await load({
    port: server.port,
    plan: { method: 'GET', path: paths },
    connections: 1,
    count: SIGNATURES,
  })
  const cpu = ((server.cpu() ?? Number.NaN) - before) / count
  await server.stop()
  if (statuses[200] !== SIGNATURES) throw new Error(`Signing answered ${JSON.stringify(statuses)}`)
  return { perSecond: (count / ms) * 1_000, cpu }
}

/** How often the variant signs what the Worker signs once: the difference is what signing itself costs. */
const AGAIN = 10

const awardPlan = (/** @type {number} */ n) => ({
  method: 'POST',
  path: `${PROGRAM}/badges/badge-${n}/instances`,
  body: JSON.stringify({ email: 'earner-{n}@example.org' }),
  secret: SECRET,
})

// ---- The run

/** @param {string} script */
async function startUp(script, /** @type {'ours' | 'plain'} */ kind) {
  const server = await start(script, kind)
  await server.stop()
  return server.startedIn
}

const floorHash = createHash('sha256')
for (const file of ['floor', 'hello']) floorHash.update(readFileSync(here(`./bench/${file}.mjs`)))
const floorSha256 = floorHash.digest('hex')

async function main() {
  say(`Floor: sha256 ${floorSha256}`)
  if (floorSha256 !== FLOOR_SHA256) {
    throw new Error('The floor has been changed: earlier numbers would mean something else.')
  }
  const [ours, floor, hello] = [
    await build('ours'),
    await build('floor', 'scripts/bench/floor.mjs'),
    await build('hello', 'scripts/bench/hello.mjs'),
  ]

  const starts = { ours: [], floor: [] }
  for (let n = 0; n < STARTS; n++) {
    starts.floor.push(await startUp(floor.script, 'plain'))
    starts.ours.push(await startUp(ours.script, 'ours'))
  }

  const workers = {
    hello: await start(hello.script, 'plain'),
    floor: await start(floor.script, 'plain'),
    ours: await start(ours.script, 'ours'),
  }
  await fillFloor(workers.floor)
  say(`Making ${BADGES} badges …`)
  await fillOurs(workers.ours, BADGES)
  const { instance } = await post(workers.ours, `${PROGRAM}/badges/badge-1/instances`, {
    email: 'somebody@example.org',
  })

  /** @type {Record<'hello' | 'read' | 'insert', Subject>} */
  const floors = {
    hello: { server: workers.hello, plan: { method: 'GET', path: '/' }, status: 200 },
    read: {
      server: workers.floor,
      plan: { method: 'GET', path: `/rows/${BADGES / 2}`, secret: SECRET },
      status: 200,
    },
    insert: {
      server: workers.floor,
      plan: {
        method: 'POST',
        path: '/rows',
        body: JSON.stringify({ email: 'earner-{n}@example.org' }),
        secret: SECRET,
      },
      status: 201,
    },
  }
  /** @type {{ name: string, floor: 'read' | 'insert', goal: number, subject: Subject }[]} */
  const rows = [
    {
      name: 'GET a badge',
      floor: 'read',
      goal: 0.9,
      subject: {
        server: workers.ours,
        plan: { method: 'GET', path: `${PROGRAM}/badges/badge-${BADGES / 2}`, secret: SECRET },
        status: 200,
      },
    },
    {
      name: 'POST an award',
      floor: 'insert',
      goal: 0.4,
      subject: { server: workers.ours, plan: awardPlan(BADGES / 2), status: 201 },
    },
    {
      name: 'GET an assertion, cached',
      floor: 'read',
      goal: 1.3,
      subject: {
        server: workers.ours,
        plan: { method: 'GET', path: `/public/assertions/${instance.slug}` },
        status: 200,
      },
    },
  ]

  for (const [version, path] of [
    ['2.0 assertion', `/public/v2/assertions/${instance.slug}`],
    ['3.0 credential', `/public/v3/credentials/${instance.slug}`],
  ]) {
    rows.push({
      name: `GET a ${version}, cached`,
      floor: 'read',
      goal: 1.3,
      subject: { server: workers.ours, plan: { method: 'GET', path }, status: 200 },
    })
  }

  const tables = { speed: [], floor: [] }
  const slow = []
  for (const connections of CONNECTIONS) {
    say(`Measuring the floor, ${connections} at once …`)
    const names = /** @type {const} */ (['hello', 'read', 'insert'])
    const results = await compare(
      names.map((name) => floors[name]),
      connections,
    )
    const limit = 2 * (results[0]?.cpu.value ?? 0) + 0.9
    for (const [i, name] of names.entries()) {
      const { rps, p50, cpu } = /** @type {NonNullable<typeof results[0]>} */ (results[i])
      tables.floor.push([
        name,
        connections,
        whole(rps.value),
        fixed(p50.value),
        fixed(cpu.value),
        name === 'hello' ? '' : fixed(limit),
      ])
      if (name !== 'hello' && cpu.value > limit) {
        slow.push(
          `The floor itself is slow: ${name} at ${connections} costs ${fixed(cpu.value)} ms, limit ${fixed(limit)} ms.`,
        )
      }
    }
  }

  const goals = []
  for (const { name, floor, goal, subject } of rows) {
    for (const connections of CONNECTIONS) {
      say(`Measuring ${name}, ${connections} at once …`)
      const [base, our] = await compare([floors[floor], subject], connections)
      if (!base || !our) throw new Error('Nothing was measured')
      const line = await lineOf(subject)
      tables.speed.push([
        name,
        connections,
        `${whole(our.rps.value)} (${whole(base.rps.value)})`,
        `**${fixed(our.rps.ratio)}**`,
        `≥ ${goal}`,
        `${fixed(our.p50.value)} (${fixed(base.p50.value)})`,
        `${fixed(our.cpu.value)} (${fixed(base.cpu.value)})`,
        `**${fixed(our.cpu.ratio)}**`,
        `≤ ${fixed(1 / goal)}`,
        line?.trips ?? '?',
        line?.rowsRead ?? '?',
      ])
      const at = `${name}, ${connections} at once`
      goals.push({ what: `${at}: requests a second`, met: our.rps.ratio >= goal })
      if (!Number.isNaN(our.cpu.ratio)) {
        goals.push({ what: `${at}: CPU a request`, met: our.cpu.ratio <= 1 / goal })
      }
    }
  }
  await Promise.all(Object.values(workers).map((worker) => worker.stop()))

  say(`Making ${AWARDS} awards …`)
  const bytes = await bytesPerAward(ours.script)
  goals.push({ what: 'Bytes of database an award', met: bytes <= BYTES_GOAL })

  say('Delivering …')
  const delivered = await deliveriesPerSecond(ours.script)
  const silent = await buildVariant('silent', 'src/commit.ts', (text) =>
    text.replace(/const rung = \[[^;]*?\.\.\.due\]\n/, 'const rung = [...due]\n  events = []\n'),
  )
  const events = await eventCost(ours.script, silent.script)
  if (!Number.isNaN(events)) {
    goals.push({ what: 'CPU of an award with its event', met: events <= EVENT_GOAL })
  }

  say('Signing …')
  const signed = await signing(ours.script)
  const often = await buildVariant('often', 'src/signing.ts', (text) =>
    text.replace(
      'const made = found && (await signatures(env, current, found, now))',
      `let made = found && (await signatures(env, current, found, now))
       for (let n = 0; found && n < ${AGAIN}; n++) made = await signatures(env, current, found, now)`,
    ),
  )
  const ownCost = ((await signing(often.script)).cpu - signed.cpu) / AGAIN
  if (!Number.isNaN(ownCost)) {
    goals.push({ what: 'CPU of both proofs of a credential', met: ownCost <= SIGNING_GOAL })
  }

  const start_ = { ours: median(starts.ours), floor: median(starts.floor) }
  const report = [
    table(
      [
        'request',
        'at once',
        'req/s (floor)',
        'ratio',
        'goal',
        'p50 ms (floor)',
        'CPU ms (floor)',
        'ratio',
        'goal',
        'D1 trips',
        'rows read',
      ],
      tables.speed,
    ),
    table(['floor', 'at once', 'req/s', 'p50 ms', 'CPU ms', 'limit of CPU ms'], tables.floor),
    table(
      ['', 'ours', 'floor', 'ratio', 'goal'],
      [
        ['bundle, bytes', ours.raw, floor.raw, fixed(ours.raw / floor.raw), ''],
        ['bundle, gzip', ours.gzip, floor.gzip, fixed(ours.gzip / floor.gzip), ''],
        [
          'launch to first answer, ms',
          whole(start_.ours),
          whole(start_.floor),
          fixed(start_.ours / start_.floor),
          '',
        ],
        ['database an award, bytes', whole(bytes), '', '', `≤ ${BYTES_GOAL}`],
        ['deliveries a second, one receiver', whole(delivered), '', '', ''],
        [
          'CPU of an award with its event, beside one without',
          '',
          '',
          fixed(events),
          `≤ ${EVENT_GOAL}`,
        ],
        ['credentials signed a second, one after the other', whole(signed.perSecond), '', '', ''],
        ['CPU of a request that signs, ms', fixed(signed.cpu), '', '', ''],
        ['CPU of both proofs alone, ms', fixed(ownCost), '', '', `≤ ${SIGNING_GOAL}`],
      ],
    ),
    verdict(goals),
  ].join('\n\n')

  say(`\n${report}\n`)
  if (!options.quick) writeFileSync(join(ROOT, 'docs/performance.md'), page(report, slow))
  for (const line of slow) process.stderr.write(`${line}\n`)
  return slow.length === 0
}

const whole = (/** @type {number} */ n) => (Number.isNaN(n) ? 'n/a' : String(Math.round(n)))
const fixed = (/** @type {number} */ n) => (Number.isNaN(n) ? 'n/a' : n.toFixed(2))

/**
 * @param {string[]} head
 * @param {(string | number)[][]} rows
 */
const table = (head, rows) =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')

/** @param {{ what: string, met: boolean }[]} goals */
function verdict(goals) {
  const missed = goals.filter(({ met }) => !met).map(({ what }) => `- ${what}`)
  return missed.length === 0
    ? `All ${goals.length} goals are met.`
    : `${goals.length - missed.length} of ${goals.length} goals are met. Missed:\n\n${missed.join('\n')}`
}

/**
 * @param {string} report
 * @param {string[]} slow
 */
function page(report, slow) {
  const [{ model = 'unknown' } = {}] = cpus()
  const machine = `${model.trim()}, ${cpus().length} cores, ${process.platform}, Node ${process.versions.node}`
  const date = new Date().toISOString().slice(0, 10)
  return `# Performance

Measured by \`npm run bench\` on ${date}: ${machine}. The bench writes this page.

${report}
${slow.length > 0 ? `\n${slow.join('\n\n')} These numbers are worth nothing.\n` : ''}
## How to read it

- The **floor** is the least that a Worker of this stack can do: Hono, one token checked by jose, one D1 call, nothing else
  (\`scripts/bench/floor.mjs\`, frozen: sha256 \`${floorSha256.slice(0, 16)}…\`). \`read\` gets one row by its id, \`insert\` writes
  one; \`hello\` answers a constant, without Hono.
- Floor and Worker take turns, ${ROUNDS} rounds of ${ROUND_MS / 1_000} s each. A ratio is the median of the rounds' ratios, so that what else the
  machine does falls on both. **Ratios are the result**; requests a second are this machine's.
- Both run in workerd under miniflare, each in its own process, on the bundle that a deploy would upload. The load comes from
  a third process on the same machine. CPU is user and system time of the whole workerd process, D1 included, as D1 runs
  there too. In production D1 is elsewhere: what the CPU columns show is an upper bound, and the wait for a round trip is not in
  them. That is why trips are counted.
- The Worker's database holds ${BADGES} badges. The badge asked for hangs from a program and has three criteria, alignments,
  tags and categories. Awards go to new earners of one badge, in a system without webhooks. The assertion comes from the cache.
- D1 trips and rows read are those of a single request, from the Worker's log line.
- Deliveries: ${DELIVERIES} of one bulk award, to a receiver that answers at once; the queue runs one batch of ten at a time here. The
  event's cost is measured beside the same Worker built without the statements that record it.
- Signing: ${SIGNATURES} requests for credentials of a bulk award, which nobody has asked for before, one after the other. What the two
  proofs cost alone is the difference to a Worker that makes them ${AGAIN} times more.
- Bytes an award: ${AWARDS} awards with one webhook, all delivered; the growth of the database file, indexes included.
`
}

let good = false
try {
  good = await main()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
} finally {
  loader.kill()
  await tidy()
}
process.exit(good ? 0 : 1)
