import {
  applyD1Migrations,
  createExecutionContext,
  reset,
  waitOnExecutionContext,
} from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { filling, type Size, THEN } from '../scripts/bench/rows.mjs'
import { app } from '../src/app'
import { forgetKeys } from '../src/auth'
import type { Bindings } from '../src/env'
import { openDb } from '../src/store/db'
import { lease, settle } from '../src/store/deliveries'
import { sweep } from '../src/sweep'
import { api, type Call, ORIGIN, sign } from './helpers/api'
import { badge, container, levels } from './helpers/seed'
import { planOf, straysOf } from './helpers/statements'

/**
 * What each route may cost: a read one round trip to D1, a write two, a public document from the cache none. Rows read grow with
 * the answer, never with the tables: every route is asked at 100 and at 100,000 awards (`npm run bench -- scale`: up to a million), about the newest, the oldest and what does not
 * exist, and must read the same number of rows. How each statement is carried out `test/setup.ts` looks at.
 *
 * A new route needs one line in a table below; the last test names those that have none.
 */

// ── The routes ──────────────────────────────────────────────────────────────────────────────────────────────────────

type Word = keyof Names
type Options = {
  query?: string
  /** The body; `n` is another word each time. */
  body?: (n: string, names: Names) => object
  /** The parameter that the request uses up: each request is about another one. */
  uses?: Word
  /** The answer is as long as its matches are many, whatever is asked for: only trips and plans are held to the budget. */
  grows?: true
  /** The answer is a page of a fixed length, which the small database cannot fill: rows read of the large one at the most. */
  most?: number
  /** The status, where it is none of success. */
  status?: number
  /** Round trips, where they are more than a read or a write takes. */
  trips?: number
}
type Route = readonly [route: string, options?: Options]

/** Pages that both databases can fill. */
const PAGE = 'cursor=&limit=3'
const ONE_PAGE = 'page=1&count=3'

const evidence = [{ url: 'https://example.org/work', mediaType: 'link', reflection: 'I did it' }]
const reviewItems = [{ criterionId: 1, satisfied: true, comment: 'Seen' }]
const mail = (n: string) => `${n}@example.org`

/** What hangs from a container, at every level. */
const CONTAINED: Route[] = [
  ['GET /badges', { query: PAGE }],
  ['GET /badges', { query: `archived=any&${ONE_PAGE}` }],
  ['GET /badges', { query: ONE_PAGE, grows: true }],
  // Among the badges of a container; none of its awards is read.
  ...[
    'tag=Value%201',
    'category=Value%202',
    'search=badge%20you',
    'updatedSince=1',
    'sort=-awarded',
  ].map((query): Route => ['GET /badges', { query: `${query}&${PAGE}`, grows: true }]),
  ['POST /badges', { body: (n) => ({ ...badge(n), tags: [n], criteria: [{ description: n }] }) }],
  ['GET /badges/:badge'],
  ['PUT /badges/:badge', { body: (n) => ({ name: n, tags: [n, 'b'] }) }],
  ['DELETE /badges/:badge', { uses: 'badge' }],

  ['GET /badges/:badge/instances', { query: PAGE }],
  ['GET /badges/:badge/instances', { query: ONE_PAGE }],
  ['POST /badges/:badge/instances', { body: (n) => ({ email: mail(n) }) }],
  [
    'POST /badges/:badge/instances/bulk',
    { body: (n) => ({ emails: [1, 2, 3].map((i) => mail(`${n}-${i}`)) }) },
  ],
  ['GET /badges/:badge/instances/:email'],
  ['DELETE /badges/:badge/instances/:email', { uses: 'email', query: 'reason=Sorry' }],
  ['PUT /badges/:badge/instances/:email', { body: (n) => ({ narrative: n }) }],
  ['GET /badges/:badge/instances/:email/history', { query: PAGE }],
  ['GET /badges/:badge/instances/:email/history', { query: ONE_PAGE }],
  ['POST /badges/:badge/instances/:email/renew', { uses: 'email', body: () => ({}) }],
  ['POST /badges/:badge/instances/:email/suspend', { uses: 'email', body: () => ({}) }],
  ['POST /badges/:badge/instances/:email/reinstate', { status: 409, trips: 3, body: () => ({}) }],
  ['GET /badges/:badge/instances', { query: `state=suspended&${PAGE}` }],
  ['GET /badges/:badge/instances', { query: `state=revoked&${PAGE}` }],
  ['GET /badges/:badge/instances', { query: `state=valid&since=2014-01-01&${PAGE}` }],
  ['GET /badges/:badge/instances', { query: `until=2035-01-01&${PAGE}` }],
  ['GET /instances', { query: PAGE }],
  // Badges of which no award was revoked are passed by, one index entry each.
  ['GET /instances', { query: `state=revoked&${PAGE}`, grows: true }],
  ['GET /instances', { query: ONE_PAGE, grows: true }],
  ['GET /badges/:badge/instances/jobs', { query: PAGE }],
  [
    'POST /badges/:badge/instances/jobs',
    { body: (n) => ({ rows: [1, 2].map((i) => ({ email: mail(`${n}-${i}`) })) }) },
  ],
  [
    'POST /badges/:badge/instances/revocations',
    { body: (n) => ({ emails: [mail(n)], reason: 'Sorry' }) },
  ],
  ['GET /badges/:badge/instances/jobs/:job'],
  ['GET /badges/:badge/instances/jobs/:job/rows', { query: PAGE }],
  ['POST /badges/:badge/instances/jobs/:job/revoke', { body: () => ({}) }],
  ['POST /badges/:badge/instances/jobs/:job/cancel', { uses: 'job' }],
  ['GET /instances/:email', { query: PAGE }],
  ['GET /instances/:email', { query: ONE_PAGE }],

  ['GET /badges/:badge/stats'],
  ['GET /badges/:badge/stats', { query: 'interval=month&since=2010-01-01' }],
  // A row is read for each badge, of which there are more in the large database.
  ['GET /stats', { grows: true }],

  ['GET /badges/:badge/codes', { query: PAGE }],
  ['GET /badges/:badge/codes', { query: ONE_PAGE }],
  ['GET /badges/:badge/codes', { query: `${PAGE}&claimed=false` }],
  ['GET /badges/:badge/codes', { query: `${PAGE}&from=1` }],
  ['GET /badges/:badge/codes', { query: `claimed=false&${PAGE}` }],
  ['GET /badges/:badge/codes', { query: `claimed=true&${PAGE}` }],
  ['POST /badges/:badge/codes', { body: (n) => ({ code: n }) }],
  ['POST /badges/:badge/codes/random', { body: () => ({}) }],
  ['POST /badges/:badge/codes/batch', { body: () => ({ count: 3 }) }],
  ['GET /badges/:badge/codes/:code'],
  ['POST /badges/:badge/codes/:code/claim', { uses: 'code', body: (n) => ({ email: mail(n) }) }],
  ['DELETE /badges/:badge/codes/:code', { uses: 'code' }],
  ['GET /codes/:code'],

  ['GET /applications', { query: PAGE }],
  ['GET /applications', { query: ONE_PAGE }],
  ['GET /applications', { query: `processed=true&${PAGE}`, grows: true }],
  ['GET /applications', { query: `processed=false&${ONE_PAGE}`, grows: true }],
  ['GET /badges/:badge/applications', { query: PAGE }],
  ['GET /badges/:badge/applications', { query: `processed=false&${PAGE}` }],
  ['GET /badges/:badge/applications', { query: `processed=true&${PAGE}` }],
  ['GET /badges/:badge/applications', { query: `since=2014-01-01&${PAGE}` }],
  ['GET /badges/:badge/applications', { query: `updatedSince=2014-01-01&processed=false&${PAGE}` }],
  ['GET /applications', { query: `updatedSince=2014-01-01&${PAGE}` }],
  ['POST /badges/:badge/applications', { body: (n) => ({ learner: mail(n), evidence }) }],
  // A page of each badge is put in order, 26 rows, and an issuer has 24 badges in the large database.
  ['GET /applications/queue', { query: PAGE, most: 24 * 26 }],
  // Counts read what they count, up to a thousand of a badge.
  ['GET /applications/waiting', { query: PAGE, grows: true }],
  ['GET /badges/:badge/applications/:application'],
  ['GET /badges/:badge/applications/:application/instances', { query: PAGE }],
  [
    'POST /badges/:badge/applications/:application/assign',
    { body: (n) => ({ assignedTo: mail(n), exclusive: false }) },
  ],
  ['PUT /badges/:badge/applications/:application', { body: () => ({ evidence }) }],
  ['GET /badges/:badge/applications/:application/reviews', { query: PAGE }],
  [
    'POST /badges/:badge/applications/:application/reviews',
    { body: (n) => ({ author: mail(n), reviewItems }) },
  ],
  ['GET /badges/:badge/applications/:application/reviews/:review'],
  [
    'PUT /badges/:badge/applications/:application/reviews/:review',
    { body: () => ({ comment: 'Again', reviewItems }) },
  ],
  ['DELETE /badges/:badge/applications/:application/reviews/:review', { uses: 'review' }],
  ['DELETE /badges/:badge/applications/:application', { uses: 'application' }],

  ['GET /signing-keys'],
  ['POST /signing-keys/rotate'],

  ['GET /keys'],
  ['POST /keys', { body: () => ({ role: 'admin' }) }],
  ['GET /keys/:key'],
  ['PUT /keys/:key', { body: (n) => ({ description: n }) }],
  ['POST /keys/:key/secret/rotate', { body: () => ({ grace: 0 }) }],
  ['DELETE /keys/:key', { uses: 'key' }],
]

const milestone = (_n: string, { badgeId, otherId }: Names) => ({
  primaryBadgeId: badgeId,
  numberRequired: 1,
  supportBadges: [otherId],
})

/** What the log is asked for: each alone, some together, with much, with little and with nothing that passes. */
const LOG_FILTERS = [
  undefined,
  ...['pending', 'delivered', 'exhausted'].map((state) => `state=${state}`),
  'webhook=1',
  'webhook=2',
  'type=badge.awarded',
  'type=ping',
  'since=1',
  `since=${4e12}`,
  'state=pending&webhook=1&type=ping',
  'state=exhausted&webhook=1',
  'state=delivered&webhook=1&since=1',
  'cursor=50',
]
/** Rows that a page of 100 deliveries or events is made of, and that are read for one which looks at 1,000 (`LOOKED_AT`). */
const WHOLE = 350
const LOOKED_AT = 3_100

/** What belongs to a system, or to all. */
const TOP: Route[] = [
  ['GET /systems/:system/milestones', { query: PAGE }],
  ['GET /systems/:system/milestones', { query: 'badge=none' }],
  ['POST /systems/:system/milestones', { body: milestone }],
  ['GET /systems/:system/milestones/:milestone'],
  ['PUT /systems/:system/milestones/:milestone', { body: milestone }],
  [
    'POST /systems/:system/milestones/:milestone/add-badge',
    { body: (_n, { otherId }) => ({ badgeId: otherId }) },
  ],
  [
    'POST /systems/:system/milestones/:milestone/remove-badge',
    { body: (_n, { otherId }) => ({ badgeId: otherId }) },
  ],
  // It looks at all who hold a support badge: that is the work.
  ['POST /systems/:system/milestones/:milestone/backfill', { grows: true, body: () => ({}) }],
  ['GET /systems/:system/progress/:email', { query: PAGE }],
  ['GET /systems/:system/progress/:email', { query: ONE_PAGE }],
  ['DELETE /systems/:system/milestones/:milestone', { uses: 'milestone' }],

  ['GET /systems/:system/webhooks'],
  ['POST /systems/:system/webhooks', { body: (n) => ({ url: `https://${n}.example.org/hook` }) }],

  ['GET /systems/:system/audit'],
  ['GET /systems/:system/audit', { query: 'key=nobody' }],
  // Rows of jobs are looked through: those of the system's last 30 days.
  ['POST /systems/:system/privacy/export', { grows: true, body: (_n, { email }) => ({ email }) }],
  [
    'POST /systems/:system/privacy/erase',
    { grows: true, uses: 'email', body: (_n, { email }) => ({ email }) },
  ],
  ['GET /systems/:system/webhooks/:webhook'],
  // The event, the lease and what came of it.
  ['POST /systems/:system/webhooks/:webhook/test', { trips: 4 }],
  ['POST /systems/:system/webhooks/:webhook/secret/rotate', { body: () => ({}) }],
  ['POST /systems/:system/webhooks/:webhook/secret/promote'],
  ['POST /systems/:system/webhooks/:webhook/secret/retire'],
  // What it looks for is what it finds.
  [
    'POST /systems/:system/webhooks/:webhook/recover',
    { uses: 'webhook', grows: true, body: () => ({ since: 0 }) },
  ],
  ...LOG_FILTERS.map(
    (query): Route => [
      'GET /systems/:system/deliveries',
      { query, most: query ? LOOKED_AT : WHOLE },
    ],
  ),
  ['GET /systems/:system/deliveries/:delivery'],
  ['POST /systems/:system/deliveries/:delivery/redeliver'],
  // From here on somebody might be called there.
  [
    'PUT /systems/:system/webhooks/:webhook',
    { body: (n) => ({ url: `https://${n}.example.org/hook`, state: 'active' }) },
  ],
  ['DELETE /systems/:system/webhooks/:webhook', { uses: 'webhook' }],
  ['GET /systems/:system/events', { most: WHOLE }],
  ['GET /systems/:system/events', { query: 'after=999999999' }],

  ...levels.flatMap(({ name, path }): Route[] => {
    const list = path.slice(0, path.lastIndexOf('/'))
    return [
      [`GET ${list}`, { query: PAGE }],
      [`GET ${list}`, { query: ONE_PAGE }],
      [`POST ${list}`, { body: (n) => container(n) }],
      [`GET ${path}`],
      [`PUT ${path}`, { body: (n) => ({ name: n }) }],
      [`DELETE ${path}`, { uses: name }],
    ]
  }),
]

const PUBLIC: Route[] = [
  ['GET /'],
  ['GET /healthcheck'],
  // What was filled in waits for ever; of each webhook that something waits for a few rows are read.
  ['GET /health/ready', { status: 503, grows: true }],
  ['GET /openapi.json'],
  ['GET /docs'],
  ['GET /public/assertions/:instance'],
  // The assertion, its badge and its issuer, when none of them is kept.
  [
    'POST /public/verify',
    { trips: 3, body: (_n, { instance }) => ({ url: `${ORIGIN}/public/assertions/${instance}` }) },
  ],
  ['GET /public/v2/assertions/:instance'],
  ['GET /public/v2/assertions/:instance/image'],
  ['GET /public/v2/badges/:badgeUid'],
  ['GET /public/v2/issuers/:issuerUid'],
  // What is signed: who asks before that signs, which takes two trips more.
  ['GET /public/v3/credentials/:instance'],
  ['GET /public/v3/credentials/:instance/image'],
  ['GET /public/v3/achievements/:badgeUid'],
  ['GET /public/v3/status/:list'],
  ['GET /public/v3/keys/:thumbprint'],
  ['GET /issuers/:issuerUid/did.json'],
  // It holds all there are, up to its limit.
  ['GET /.well-known/jwks.json', { grows: true }],
  ['GET /public/badges', { query: PAGE }],
  ['GET /public/badges', { query: ONE_PAGE, grows: true }],
  ['GET /public/images/:image'],
  ['GET /images/:image'],
  ...levels.flatMap(({ path }): Route[] => [
    [`GET /public${path}/badges/:badge`],
    [`GET /public${path}`],
  ]),
]

/** Answers that are never kept. */
const UNKEPT = ['/', '/healthcheck', '/health/ready', '/openapi.json', '/docs', '/public/badges']

type Case = Options & { title: string; method: string; path: string; open: boolean }

const caseOf =
  (prefix: string, open: boolean) =>
  ([route, options = {}]: Route): Case => {
    const [method = '', rest = ''] = route.split(' ')
    const path = prefix + rest
    const title = `${method} ${path}${options.query ? `?${options.query}` : ''}`
    return { ...options, title, method, path, open }
  }

/** What uses up a container comes last: all else hangs from one. */
const CASES = [
  ...PUBLIC.map(caseOf('', true)),
  ...levels.flatMap(({ path }) => CONTAINED.map(caseOf(path, false))),
  ...TOP.map(caseOf('', false)),
]

// ── The database ────────────────────────────────────────────────────────────────────────────────────────────────────

/** Two sizes; or those that `npm run bench -- scale` asks for, the smallest first. */
const SIZES: Size[] = env.SCALE
  ? JSON.parse(env.SCALE)
  : [
      { name: 'small', awards: 100, systems: 4, badges: 64 },
      { name: 'large', awards: 100_000, systems: 40, badges: 1_920 },
    ]

// ── What is asked for ───────────────────────────────────────────────────────────────────────────────────────────────

type Names = {
  system: string
  issuer: string
  program: string
  badge: string
  email: string
  instance: string
  code: string
  application: string
  review: string
  milestone: string
  key: string
  job: string
  image: string
  webhook: string
  delivery: string
  badgeUid: string
  issuerUid: string
  list: string
  thumbprint: string
  /** For bodies. */
  badgeId: number
  otherId: number
}

const WHICH = ['newest', 'oldest', 'missing'] as const
type Which = (typeof WHICH)[number]

/**
 * The names of the newest or the oldest of everything that `fill` made; of the kind of `spare` the one next to it, which
 * no other request is about.
 */
async function namesOf(which: Which, spare?: Word): Promise<Names> {
  const order = which === 'oldest' ? 'asc' : 'desc'
  const pick = async (word: Word | null, text: string) => {
    const skip = word !== null && word === spare ? 1 : 0
    const row = await env.DB.prepare(`${text} order by 1 ${order} limit 1 offset ${skip}`).first()
    return (row ?? {}) as Record<string, string & number>
  }
  // What requests have made since has other names.
  const badge = await pick(
    'badge',
    `select id, slug, uid, systemId, issuerId, programId from badges
     where slug like '%-badge-%' and deletedAt is null`,
  )
  const ofBadge = `badgeId = ${badge.id}`
  const slugOf = (table: string, id = 0) => pick(null, `select slug from ${table} where id = ${id}`)
  const award = await pick(
    'email',
    `select id, slug, email from badgeInstances
     where ${ofBadge} and slug like '%-award-%' and revokedAt is null`,
  )
  const application = await pick(
    'application',
    `select id, slug from applications where ${ofBadge} and slug like '%-application-%'`,
  )
  const code = `select id, code from claimCodes where ${ofBadge} and code like '%-code-%' and claimed = 0`
  const review = `select id, slug from reviews
    where applicationId = ${application.id ?? 0} and slug like '%-review-%'`
  // Of the badge's own program: it stands at all levels.
  const key = `select id, key from keys where programId = ${badge.programId} and key like '%-key-%'`
  const milestone = `select id from milestones where systemId = ${badge.systemId}`
  const isSpare = spare === 'webhook' ? '=' : '<>'
  const webhook = `select id from webhooks
    where systemId = ${badge.systemId} and op = 'filled' and url ${isSpare} 'https://spare.invalid'`
  const delivery = `select id from deliveries where systemId = ${badge.systemId} and eventId like 'evt_filled%'`
  const issuerUid = await pick(null, `select id, uid from programs where id = ${badge.programId}`)
  const ofIssuer = `issuerUid = '${issuerUid.uid}'`
  // From the other end, where nothing of this one is used up.
  const other = `select ${which === 'oldest' ? 'max' : 'min'}(id) as id from badges where systemId = ${badge.systemId}`
  return {
    system: (await slugOf('systems', badge.systemId)).slug ?? '',
    issuer: (await slugOf('issuers', badge.issuerId)).slug ?? '',
    program: (await slugOf('programs', badge.programId)).slug ?? '',
    badge: badge.slug ?? '',
    email: award.email ?? '',
    instance: award.slug ?? '',
    code: (await pick('code', code)).code ?? '',
    application: application.slug ?? '',
    review: (await pick('review', review)).slug ?? '',
    milestone: String((await pick('milestone', milestone)).id ?? ''),
    key: (await pick('key', key)).key ?? '',
    job:
      (
        await pick(
          'job',
          `select id, uid from jobs where ${ofBadge} and uid like '%-job-%' and state = 'running'`,
        )
      ).uid ?? '',
    image: (await pick(null, 'select id, slug from images')).slug ?? '',
    webhook: String((await pick(null, webhook)).id ?? ''),
    delivery: String((await pick(null, delivery)).id ?? ''),
    badgeUid: badge.uid ?? '',
    issuerUid: issuerUid.uid ?? '',
    list: (await pick(null, `select id, uid from statusLists where ${ofIssuer}`)).uid ?? '',
    thumbprint:
      (await pick(null, `select id, thumbprint from signingKeys where ${ofIssuer}`)).thumbprint ??
      '',
    badgeId: badge.id ?? 0,
    otherId: (await pick(null, other)).id ?? 0,
  }
}

const filledIn = (path: string, names: Names) =>
  path.replace(/:(\w+)/g, (_, word: Word) => {
    if (!names[word]) throw new Error(`Nothing is known to ask for: ${word}`)
    return encodeURIComponent(String(names[word]))
  })

/** The path of a case; of the missing, its last word names nothing. */
function pathOf({ path, query }: Case, which: Which, names: Names): string {
  const last = path.slice(path.lastIndexOf(':') + 1).split('/')[0]
  const missing = which === 'missing' && last ? { [last]: '999999999' } : {}
  return filledIn(path, { ...names, ...missing }) + (query ? `?${query}` : '')
}

// ── Counting ────────────────────────────────────────────────────────────────────────────────────────────────────────

type Spent = { status: number; trips: number; rows: number }
/** The texts of the statements that requests have run. */
const asked = new Set<string>()

/** `env.DB`, counting what it is asked, and keeping the texts in `texts`. */
function countingDb(spent: Spent, texts?: Set<string>): D1Database {
  const real = new WeakMap<object, D1PreparedStatement>()
  const note = <T extends { meta: { rows_read?: number } }>(result: T): T => {
    spent.rows += result.meta.rows_read ?? 0
    return result
  }
  function wrap(statement: D1PreparedStatement): D1PreparedStatement {
    const wrapped = {
      bind: (...values: unknown[]) => wrap(statement.bind(...values)),
      all: async () => {
        spent.trips += 1
        return note(await statement.all())
      },
      run: async () => {
        spent.trips += 1
        return note(await statement.run())
      },
      // Rows read are not told by these two: `all` tells them.
      first: async (column?: string) => {
        spent.trips += 1
        const row = note(await statement.all<Record<string, unknown>>()).results[0] ?? null
        return column === undefined ? row : row?.[column]
      },
      raw: async () => {
        spent.trips += 1
        return note(await statement.all<object>()).results.map((row) => Object.values(row))
      },
    }
    real.set(wrapped, statement)
    return wrapped as unknown as D1PreparedStatement
  }
  const over = (target: D1Database | D1DatabaseSession) => ({
    prepare: (text: string) => {
      texts?.add(text)
      return wrap(target.prepare(text))
    },
    async batch(statements: D1PreparedStatement[]) {
      spent.trips += 1
      const inner = statements.map((statement) => real.get(statement) ?? statement)
      return (await target.batch(inner)).map(note)
    },
  })
  return {
    ...over(env.DB),
    withSession(from?: string) {
      const session = env.DB.withSession(from)
      return { ...over(session), getBookmark: () => session.getBookmark() }
    },
  } as unknown as D1Database
}

const nothingSpent = (): Spent => ({ status: 0, trips: 0, rows: 0 })

/** A Worker's bindings that count; nothing is rung for. */
const countingEnv = (spent: Spent, texts?: Set<string>) =>
  ({
    ...env,
    DB: countingDb(spent, texts),
    DELIVERIES: { sendBatch: async () => {} },
    DELIVERIES_SLOW: { sendBatch: async () => {} },
  }) as unknown as Bindings

/** Sends one request. What it does after its answer is waited for, and not counted. */
async function ask(
  method: string,
  path: string,
  body: object | undefined,
  open: boolean,
  call?: Call,
): Promise<Spent> {
  const bytes = body && (new TextEncoder().encode(JSON.stringify(body)) as Uint8Array<ArrayBuffer>)
  const headers = new Headers(bytes && { 'Content-Type': 'application/json' })
  if (!open) headers.set('Authorization', `JWT token="${await sign(method, path, bytes, call)}"`)
  const spent = nothingSpent()
  const ctx = createExecutionContext()
  const request = new Request(ORIGIN + path, { method, headers, body: bytes, redirect: 'manual' })
  const response = await app.fetch(request, countingEnv(spent, asked), ctx)
  await response.arrayBuffer()
  const counted = { ...spent, status: response.status }
  await waitOnExecutionContext(ctx)
  return counted
}

/** What each request came to, of each size. */
const measured = SIZES.map(() => new Map<string, Spent>())

async function measure(size: Size, into: Map<string, Spent>): Promise<void> {
  await env.DB.batch(filling(size).map((text) => env.DB.prepare(text)))
  await measureSweep(into, 'nothing to do')
  // What was filled in is old: no sweep that a request notices to be late may send or forget it meanwhile.
  await env.DB.prepare('update heartbeats set at = ?').bind(Date.now()).run()
  await ask('DELETE', '/systems/none', undefined, false)
  const names = { newest: await namesOf('newest'), oldest: await namesOf('oldest') }
  for (const one of CASES) {
    for (const which of variantsOf(one)) {
      const subject = which === 'oldest' ? names.oldest : names.newest
      const about =
        one.uses && which !== 'missing' ? await spare(which, one.uses, subject) : subject
      const path = pathOf(one, which, about)
      const body = one.body?.(`${size.name}-${which}-${++count}`, about)
      into.set(`${one.title}, ${which}`, await ask(one.method, path, body, one.open))
      if (one.open)
        into.set(`${one.title}, ${which}, again`, await ask('GET', path, undefined, true))
    }
  }
  await measureDelivery(into)
  await measureSweep(into, 'something to purge')
}

const variantsOf = ({ path }: Case) =>
  WHICH.filter((which) => which !== 'missing' || path.includes(':'))

let count = 0

/** What a request may use up. Containers are made for it, as one takes all that hangs from it along. */
async function spare(which: Which, word: Word, names: Names): Promise<Names> {
  const level = levels.find(({ name }) => name === word)
  if (!level) return namesOf(which, word)
  const slug = `spare-${++count}`
  const list = level.path.slice(0, level.path.lastIndexOf('/'))
  const made = await ask('POST', filledIn(list, names), container(slug), false)
  expect(made.status).toBe(201)
  return { ...names, [word]: slug }
}

/** Before any request has deleted something, and after: then its work is as much as was deleted. */
async function measureSweep(into: Map<string, Spent>, what: string): Promise<void> {
  const spent = nothingSpent()
  await sweep(countingEnv(spent), THEN - 1)
  into.set(`the sweep, ${what}`, spent)
}

async function measureDelivery(into: Map<string, Spent>): Promise<void> {
  const row = await env.DB.prepare(
    `select id from deliveries where state = 'pending' and eventId like 'evt_filled%' order by id desc limit 1`,
  ).first<{ id: number }>()
  const spent = nothingSpent()
  const db = openDb(countingDb(spent), 'first-primary')
  const now = Date.now()
  const leased = await lease(db, row?.id ?? 0, 'token', now, now + 45_000, 'sweep')
  if (!leased || 'belongs' in leased) throw new Error('Nothing was leased')
  const attempt = { at: THEN, ms: 1, status: 200, error: null, answer: '' }
  await settle(db, leased, 'token', attempt, { state: 'delivered' }, { isTest: false, pace: 1 })
  into.set('a delivery', spent)
}

// ── The tests ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** Rows more that the large database may cost: an index entry here and there. */
const SLACK = 5

beforeAll(async () => {
  // Thousands of requests say nothing that the tests below do not.
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  for (const [i, size] of SIZES.entries()) {
    await reset()
    await applyD1Migrations(env.DB, env.TEST_MIGRATIONS)
    forgetKeys()
    await measure(size, measured[i] ?? new Map())
  }
  log.mockRestore()
  // Thousands of requests: a slow machine is no failure.
}, 1_800_000)

// biome-ignore lint/correctness/noEmptyPattern: vitest reads from the first parameter which fixtures a hook wants
afterAll(({}, { file }) => {
  file.meta.budget = CASES.map((one) => ({
    title: one.title,
    spent: measured.map((of) =>
      worst(variantsOf(one).map((which) => of.get(`${one.title}, ${which}`))),
    ),
  }))
})

/** The most round trips and the most rows of some requests. */
const worst = (all: (Spent | undefined)[]) => ({
  trips: Math.max(...all.map((one) => one?.trips ?? 0)),
  rows: Math.max(...all.map((one) => one?.rows ?? 0)),
})

/** What a request came to, of each size. */
const spentOn = (name: string): [smallest: Spent, ...larger: Spent[]] => {
  const [smallest, ...larger] = measured.map((of) => of.get(name))
  if (!smallest) throw new Error(`Nothing was measured for ${name}`)
  return [smallest, ...larger.map((one) => one ?? nothingSpent())]
}

/** What each of a case's requests comes to, to be looked at as a whole. */
const judge = (one: Case, verdict: (which: Which, small: Spent, large: Spent) => string) =>
  Object.fromEntries(
    variantsOf(one).map((which) => {
      const [small, ...larger] = spentOn(`${one.title}, ${which}`)
      return [which, larger.map((large) => verdict(which, small, large))]
    }),
  )

const FINE = 'fine'
const allFine = (one: Case) => judge(one, () => FINE)

describe('a route', () => {
  it.each(CASES)('$title keeps to its budget', (one) => {
    const trips = one.trips ?? (one.method === 'GET' ? 1 : 2)
    const judged = judge(one, (which, small, large) => {
      const isAsMeant =
        large.status === one.status ||
        large.status < 400 ||
        (which === 'missing' && large.status === 404)
      if (!isAsMeant) return `answers ${large.status}`
      if (small.trips > trips || large.trips > trips) return `${large.trips} round trips`
      if (one.grows || large.rows <= (one.most ?? small.rows + SLACK)) return FINE
      return `${small.rows} rows read of a small database, ${large.rows} of a large one`
    })
    expect(judged).toEqual(allFine(one))
  })

  it.each(
    CASES.filter(({ open, method, path }) => open && method === 'GET' && !UNKEPT.includes(path)),
  )('$title asks the database nothing when it comes from the cache', ({ title }) => {
    for (const { trips } of [
      ...spentOn(`${title}, newest, again`),
      ...spentOn(`${title}, oldest, again`),
    ])
      expect(trips).toBe(0)
  })
})

describe('a statement of a request', () => {
  it('is about one system: it names that, or goes by what belongs to it', async () => {
    const strays: string[] = []
    for (const text of asked) {
      strays.push(...straysOf(await planOf(text)).map((line) => `${line}\n${text}`))
    }
    expect(asked.size).toBeGreaterThan(100)
    expect(strays).toEqual([])
  })
})

describe('a key', () => {
  it('is looked up once, and its use noted beside that, and not with each request', async () => {
    const { system } = await namesOf('newest')
    const made = await api.post(`/systems/${system}/keys`, {})
    const { key, secret } = made.body.key
    const first = await ask('GET', `/systems/${system}`, undefined, false, { key, secret })
    const second = await ask('GET', `/systems/${system}`, undefined, false, { key, secret })
    expect([first.status, first.trips, second.status, second.trips]).toEqual([200, 3, 200, 1])
  })
})

describe('a duty', () => {
  it.each([
    // It asks of each webhook that something waits for.
    ['the sweep, nothing to do', 2, 2 * Math.max(...SIZES.map(({ systems }) => systems))],
    ['a delivery', 2, SLACK],
  ])(
    '%s keeps to %i round trips and reads as many rows of a large database',
    (name, trips, slack) => {
      const [small, ...larger] = spentOn(name)
      for (const large of larger) {
        expect(large.trips).toBeLessThanOrEqual(trips)
        expect(large.rows).toBeLessThanOrEqual(small.rows + slack)
      }
    },
  )
})

describe('the tables above', () => {
  it('hold every route', () => {
    const known = new Set(CASES.map(({ method, path }) => `${method} ${path}`))
    const missing = app.routes
      .filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => `${method} ${path}`)
      .filter((route) => !known.has(route))
    expect([...new Set(missing)]).toEqual([])
  })
})
