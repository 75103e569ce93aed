/** How fast the built Worker is beside the floor, and what it weighs: the first part of `docs/performance.md`. */

import { setTimeout as sleep } from 'node:timers/promises'
import { signedFetch } from '../sign.mjs'
import { compare, floorSha256, lineOf, load, median, post, say, startFloor } from './measure.mjs'
import { fixed, measuredOn, table, whole, writePart } from './report.mjs'
import { build, buildVariant, migrate, SECRET, start } from './servers.mjs'

/** @typedef {import('./measure.mjs').Subject} Subject */
/** @typedef {import('./servers.mjs').Server} Server */

/** Fewer and shorter rounds, to look at a change with. */
const isQuick = process.argv.includes('--quick')
const PACE = isQuick
  ? { rounds: 5, ms: 400, warmUp: 1_000 }
  : { rounds: 15, ms: 600, warmUp: 3_000 }
const STARTS = isQuick ? 1 : 3
const AWARDS = isQuick ? 1_000 : 10_000
const CONNECTIONS = [1, 16]
const BADGES = 2_000
const BYTES_GOAL = 3_500
const DELIVERIES = 1_000
const SIGNATURES = isQuick ? 200 : 1_000
/** Milliseconds of CPU for both proofs of a credential. */
const SIGNING_GOAL = 4
/** What the event path may add to an award's CPU. */
const EVENT_GOAL = 1.15

// ---- What the Workers hold

const PROGRAM = '/systems/city/issuers/library/programs/reading'

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
  const results = await compare(subjects, 16, PACE)
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

/** As many claim codes as the rounds of the bench may use up. */
const CODES = 300_000
const codePlan = (/** @type {number} */ n) => ({
  method: 'POST',
  path: `${PROGRAM}/badges/badge-${n}/instances`,
  body: JSON.stringify({ email: 'earner-{n}@example.org', claimCode: 'code-{i}' }),
  secret: SECRET,
})

/**
 * Awards and codes by the hundred thousand, made inside SQLite after the pattern of one award. Gives the path of a page of 20 awards
 * with 1,000 such pages before it.
 * @param {Server} server
 * @param {string} slug of the award, of the badge `badge-1`
 */
async function fillDeep(server, slug) {
  const db = await server.db()
  const counting = (/** @type {number} */ to) =>
    `with recursive n (i) as (select 1 union all select i + 1 from n where i < ${to})`
  await db.batch([
    db.prepare(`insert into badgeInstances (slug, systemId, badgeId, versionId, email, issuedOn, salt, op, createdAt, updatedAt)
      ${counting(25_000)} select 'deep-' || i, systemId, badgeId, versionId, 'deep-' || i || '@example.org', issuedOn, salt, op,
        createdAt + i, updatedAt + i from badgeInstances, n where slug = '${slug}'`),
    db.prepare(`insert into claimCodes (systemId, badgeId, code, op, createdAt, updatedAt)
      ${counting(CODES)} select systemId, id, 'code-' || i, op, createdAt, updatedAt from badges, n where slug = 'badge-2'`),
  ])
  const client = { url: `http://127.0.0.1:${server.port}`, key: 'master', secret: SECRET }
  const list = `${PROGRAM}/badges/badge-1/instances`
  let path = `${list}?cursor=&limit=1000`
  for (let n = 0; n < 20; n++) {
    const answer = await signedFetch(client, 'GET', path)
    path = /<([^>]*)>; rel="next"/.exec(answer.headers.get('link') ?? '')?.[1] ?? ''
    if (path === '') throw new Error('The list of awards ended before its thousandth page')
    const { pathname, search } = new URL(path, client.url)
    path = pathname + search
  }
  return path.replace('limit=1000', 'limit=20')
}

// ---- The run

/** @param {string} script */
async function startUp(script, /** @type {'ours' | 'plain'} */ kind) {
  const server = await start(script, kind)
  await server.stop()
  return server.startedIn
}

/** Gives whether the floor was as quick as it has to be for the numbers to mean something. */
export async function measureSpeed() {
  const { floor, floors: measures, server: floorServer } = await startFloor()
  const [ours, hello] = [await build('ours'), await build('hello', 'scripts/bench/hello.mjs')]

  const starts = { ours: [], floor: [] }
  for (let n = 0; n < STARTS; n++) {
    starts.floor.push(await startUp(floor.script, 'plain'))
    starts.ours.push(await startUp(ours.script, 'ours'))
  }

  const workers = {
    hello: await start(hello.script, 'plain'),
    ours: await start(ours.script, 'ours'),
  }
  say(`Making ${BADGES} badges …`)
  await fillOurs(workers.ours, BADGES)
  const { instance } = await post(workers.ours, `${PROGRAM}/badges/badge-1/instances`, {
    email: 'somebody@example.org',
  })
  const deep = await fillDeep(workers.ours, instance.slug)

  /** @type {Record<'hello' | 'read' | 'insert', Subject>} */
  const floors = {
    hello: { server: workers.hello, plan: { method: 'GET', path: '/' }, status: 200 },
    ...measures,
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
      goal: 0.45,
      subject: { server: workers.ours, plan: awardPlan(BADGES / 2), status: 201 },
    },
    {
      name: 'POST an award for a code',
      floor: 'insert',
      goal: 0.4,
      subject: { server: workers.ours, plan: codePlan(2), status: 201 },
    },
    {
      name: 'GET 20 badges',
      floor: 'read',
      goal: 0.5,
      subject: {
        server: workers.ours,
        plan: { method: 'GET', path: `${PROGRAM}/badges?cursor=&limit=20`, secret: SECRET },
        status: 200,
      },
    },
    {
      name: 'GET 20 awards, 1,000 pages deep',
      floor: 'read',
      goal: 0.5,
      subject: {
        server: workers.ours,
        plan: { method: 'GET', path: deep, secret: SECRET },
        status: 200,
      },
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
      PACE,
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
      const [base, our] = await compare([floors[floor], subject], connections, PACE)
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
  await Promise.all([floorServer, ...Object.values(workers)].map((worker) => worker.stop()))

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
  if (!isQuick) writePart('Beside the floor', part(report, slow))
  for (const line of slow) process.stderr.write(`${line}\n`)
  return slow.length === 0
}

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
function part(report, slow) {
  return `Measured by \`npm run bench\` on ${measuredOn()}. The bench writes this part.

${report}
${slow.length > 0 ? `\n${slow.join('\n\n')} These numbers are worth nothing.\n` : ''}
### How to read it

- The **floor** is the least that a Worker of this stack can do: Hono, one token checked by jose, one D1 call, nothing else
  (\`scripts/bench/floor.mjs\`, frozen: sha256 \`${floorSha256.slice(0, 16)}…\`). \`read\` gets one row by its id, \`insert\` writes
  one; \`hello\` answers a constant, without Hono.
- Floor and Worker take turns, ${PACE.rounds} rounds of ${PACE.ms / 1_000} s each. A ratio is the median of the rounds' ratios, so that what else the
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
