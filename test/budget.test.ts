import {
  applyD1Migrations,
  createExecutionContext,
  reset,
  waitOnExecutionContext,
} from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { app } from '../src/app'
import { forgetKeys } from '../src/auth'
import { hex } from '../src/crypto'
import type { Bindings } from '../src/env'
import { openDb } from '../src/store/db'
import { lease, settle } from '../src/store/deliveries'
import { sweep } from '../src/sweep'
import { api, type Call, ORIGIN, sign } from './helpers/api'
import { badge, container, levels, PNG } from './helpers/seed'

/**
 * What each route may cost: a read one round trip to D1, a write two, a public document from the cache none. Rows read grow with
 * the answer, never with the tables: every route is asked at 100 and at 100,000 awards, about the newest, the oldest and what does not
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
  ['GET /badges/:badge/instances', { query: `state=valid&since=2014-01-01&${PAGE}`, grows: true }],
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

  ['GET /badges/:badge/codes', { query: PAGE }],
  ['GET /badges/:badge/codes', { query: ONE_PAGE }],
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
  ['POST /badges/:badge/applications', { body: (n) => ({ learner: mail(n), evidence }) }],
  // In the order of their age, among all that wait in the system; counts read what they count, up to a thousand.
  ['GET /applications/queue', { query: PAGE, grows: true }],
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
  ['GET /systems/:system/events', { query: 'after=999999' }],

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

/** Numbers of rows; a quarter of the awards, codes and applications belongs to the oldest badge, another to the newest. */
const SIZES = {
  small: { awards: 100, systems: 4, badges: 64 },
  large: { awards: 100_000, systems: 40, badges: 1_920 },
} as const
type Size = keyof typeof SIZES

const counting = (to: number) =>
  `with recursive n(i) as (select 0 union all select i + 1 from n where i < ${to - 1})`
const written = `op, createdAt, updatedAt`
const NOW = 1_700_000_000_000

const PNG_HEX = hex(PNG)
/** A badge as a version holds it, no more than documents need. */
const FROZEN = JSON.stringify({
  ...{ name: 'A badge', type: '', consumerDescription: 'They', criteriaUrl: 'https://example.org' },
  ...{ criteria: [], alignments: [], categories: [], tags: [], imageUrl: null },
  system: { name: 'A system', url: 'https://example.org' },
})

/** Rows for every table that grows, made inside SQLite: two issuers in each system, and two programs in each issuer. */
async function fill(size: Size): Promise<void> {
  const { awards, systems, badges } = SIZES[size]
  const programs = systems * 4
  const made = `'filled', ${NOW} + i, ${NOW} + i`
  const containers = (table: string, count: number, columns = '', values = '') => `
    insert into ${table} (uid, slug, name, url, ${columns} ${written}) ${counting(count)}
    select '${size}-${table}-' || i, '${size}-${table}-' || i, 'A name', 'https://example.org', ${values} ${made} from n`
  /** The badge of row `i`: ids start at 1. */
  const badgeId = `case when i < ${awards / 4} then 1 when i < ${awards / 2} then ${badges} else 1 + i % ${badges} end`
  const ofBadge = `(select i, b.id as badgeId, b.systemId from (${counting(awards)} select i, ${badgeId} as badgeId from n) r
    join badges b on b.id = r.badgeId)`
  const lists = ['categories', 'tags'].map(
    (table) =>
      `insert into ${table} (badgeId, value) ${counting(badges * 3)} select 1 + i / 3, 'Value ' || i from n`,
  )
  await env.DB.batch(
    [
      containers('systems', systems),
      containers('issuers', systems * 2, 'systemId,', '1 + i / 2,'),
      containers('programs', programs, 'systemId, issuerId,', '1 + i / 4, 1 + i / 2,'),
      `insert into images (slug, systemId, hash, mimetype, data, createdAt) ${counting(badges)}
        select '${size}-image-' || i, 1 + (i % ${programs}) / 4, 'hash' || i, 'image/png', x'${PNG_HEX}', ${NOW} from n`,
      `insert into badges (uid, slug, systemId, issuerId, programId, name, earnerDescription, consumerDescription,
          criteriaUrl, imageId, ${written}) ${counting(badges)}
        select '${size}-badge-' || i, '${size}-badge-' || i, p.systemId, p.issuerId, p.id, 'A badge', 'You', 'They',
          'https://example.org', 1 + i, ${made} from n join programs p on p.id = 1 + i % ${programs}`,
      `insert into criteria (badgeId, description) ${counting(badges * 3)} select 1 + i / 3, 'Do it' from n`,
      `insert into alignments (badgeId, name, url) ${counting(badges * 3)} select 1 + i / 3, 'It', 'https://example.org' from n`,
      ...lists,
      `insert into badgeVersions (badgeId, hash, badge, issuerUid, createdAt)
        select b.id, 'hash' || b.id, '${FROZEN}', p.uid, ${NOW} from badges b join programs p on p.id = b.programId`,
      // Each program has two keys and a list; all awards are signed, and one of a thousand is revoked in its list.
      ...['Ed25519', 'RS256'].map(
        (
          algorithm,
          i,
        ) => `insert into signingKeys (id, thumbprint, systemId, issuerUid, algorithm, publicKey, sealed, createdAt)
          select id * 2 + ${i}, '${size}-${algorithm}-' || id, systemId, uid, '${algorithm}', '{"kty":"OKP","x":"AA"}',
            'v1.k1.x.x', ${NOW} from programs`,
      ),
      `insert into statusLists (id, uid, systemId, issuerUid, signedRevision, validFrom, encodedList, proof, keyId, createdAt)
        select id, '${size}-list-' || id, systemId, uid, 1, ${NOW}, 'u', zeroblob(64), id * 2, ${NOW} from programs`,
      // An earner has two awards; where both would be of one badge, one is left out.
      `insert or ignore into badgeInstances (id, slug, systemId, badgeId, versionId, email, issuedOn, salt, ${written})
        select 1 + i, '${size}-award-' || i, systemId, badgeId, badgeId, 'earner-' || (i % ${awards / 2}) || '@example.org',
          ${NOW}, 'salt', ${made} from ${ofBadge}`,
      `insert into credentials (awardId, created, ed25519KeyId, proof, rs256KeyId, jwt, statusListId, statusIndex)
        select i.id, ${NOW}, b.programId * 2, zeroblob(64), b.programId * 2 + 1, zeroblob(256), b.programId, i.id
        from badgeInstances i join badges b on b.id = i.badgeId`,
      `update badges set awarded = (select count(*) from badgeInstances where badgeId = badges.id)`,
      `insert into claimCodes (systemId, badgeId, code, ${written})
        select systemId, badgeId, '${size}-code-' || i, ${made} from ${ofBadge}`,
      `insert into applications (slug, systemId, badgeId, learner, processed, ${written})
        select '${size}-application-' || i, systemId, badgeId, 'earner-' || i || '@example.org',
          case when i % 3 = 1 then ${NOW} end, ${made} from ${ofBadge}`,
      `insert into evidence (applicationId, url) select id, 'https://example.org' from applications`,
      // The applications of the oldest and the newest badge that the tests are about have as many reviews as are used up.
      `insert into reviews (slug, applicationId, author, ${written})
        select '${size}-review-' || a.id || '-' || k.value, a.id, 'author@example.org', a.op, a.createdAt, a.updatedAt
        from applications a join json_each('[1,2,3,4,5,6,7,8]') k
        where k.value = 1 or a.id in ((select min(id) from applications where badgeId = 1),
          (select max(id) from applications where badgeId = ${badges}))`,
      `insert into reviewItems (reviewId, criterionId) select id, 1 from reviews`,
      // They ask for more badges than there are: nothing is completed, but each award looks for them.
      `insert into milestones (systemId, primaryBadgeId, numberRequired, ${written}) ${counting(systems * 8)}
        select 1 + i / 8, (select min(id) + ${programs} from badges where systemId = 1 + i / 8), 99, ${made} from n`,
      ...['min', 'max'].map(
        (end) => `insert into milestoneBadges (milestoneId, badgeId)
          select m.id, (select ${end}(id) from badges where systemId = m.systemId) from milestones m`,
      ),
      // As many in each program as are used up.
      `insert into keys (key, systemId, issuerId, programId, role, ${written})
        select '${size}-key-' || p.id || '-' || k.value, p.systemId, p.issuerId, p.id, 'admin', p.op, p.createdAt, p.updatedAt
        from programs p join json_each('[1,2,3,4,5]') k`,
      `insert into keySecrets (id, keyId, sealed, createdAt) select key, id, 'v1.k1.x.x', ${NOW} from keys`,
      `insert into heartbeats (name, at) values ('sealed:k1', ${NOW})`,
      // Those of the badges that the tests are about are as many as are used up.
      `insert into jobs (uid, systemId, badgeId, kind, state, key, "rows", ${written})
        select '${size}-job-' || b.id || '-' || k.value, b.systemId, b.id, 'issue', 'running', 'master', 3, b.op, ${Date.now()}, ${Date.now()}
        from badges b join json_each('[1,2,3,4,5,6,7,8]') k`,
      `insert into jobChunks (jobId, first, "end", "rows")
        select id, 0, 3, '[{"n":0,"email":"a@example.org"},{"n":1,"email":"b@example.org"},{"n":2,"email":"c@example.org"}]' from jobs`,
      // Nobody may be called there. The second one is to be used up, and hears of nothing.
      `insert into webhooks (systemId, url, ${written})
        select id, 'https://hooks.invalid', op, createdAt, updatedAt from systems`,
      `insert into webhooks (systemId, url, events, ${written})
        select id, 'https://spare.invalid', '[]', op, createdAt, updatedAt from systems`,
      `insert into events (id, systemId, seq, type, subject, body, data, versionId, createdAt)
        select 'evt_filled' || id, systemId, id, 'badge.awarded', slug, '{}', '{}', versionId, createdAt from badgeInstances`,
      `insert into deliveries (systemId, eventId, webhookId, subject, seq, state, attempts, nextAt, createdAt)
        select systemId, id, systemId, subject, seq, case when seq % 10 then 'delivered' else 'pending' end, 1,
          createdAt, createdAt from events`,
      `insert into attempts (deliveryId, n, at, ms, status) select id, 1, createdAt, 9, 200 from deliveries`,
      `insert into audit (op, systemId, at, key, action, target, requestId, sealedAt, previousHash, hash)
        select 'filled' || id, systemId, createdAt, 'master', 'POST', slug, 'filled', createdAt, '', 'hash'
        from badgeInstances`,
      // More than a page of the log looks through.
      `insert into audit (op, systemId, at, key, action, target, requestId, sealedAt, previousHash, hash)
        ${counting(1_100)} select 'more' || s.id || '-' || i, s.id, ${Date.now()}, 'master', 'POST', '', '', ${NOW}, '', 'hash'
        from systems s, n`,
      // The earners that are asked about have events that are still kept.
      `update events set createdAt = ${Date.now()}, data =
          (select json_object('instance', json_object('email', email)) from badgeInstances where slug = subject)
        where subject in (select slug from badgeInstances where email in (
          select email from (select email from badgeInstances where badgeId = 1 order by id limit 12)
          union select email from (select email from badgeInstances where badgeId = ${badges} order by id desc limit 12)))`,
    ].map((text) => env.DB.prepare(text)),
  )
}

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

/** `env.DB`, counting what it is asked. */
function countingDb(spent: Spent): D1Database {
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
    prepare: (text: string) => wrap(target.prepare(text)),
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
const countingEnv = (spent: Spent) =>
  ({
    ...env,
    DB: countingDb(spent),
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
  const response = await app.fetch(request, countingEnv(spent), ctx)
  await response.arrayBuffer()
  const counted = { ...spent, status: response.status }
  await waitOnExecutionContext(ctx)
  return counted
}

type Measured = Record<Size, Map<string, Spent>>
const measured: Measured = { small: new Map(), large: new Map() }

async function measure(size: Size): Promise<void> {
  await fill(size)
  await measureSweep(size, 'nothing to do')
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
      const body = one.body?.(`${size}-${which}-${++count}`, about)
      measured[size].set(`${one.title}, ${which}`, await ask(one.method, path, body, one.open))
      if (one.open)
        measured[size].set(`${one.title}, ${which}, again`, await ask('GET', path, undefined, true))
    }
  }
  await measureDelivery(size)
  await measureSweep(size, 'something to purge')
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
async function measureSweep(size: Size, what: string): Promise<void> {
  const spent = nothingSpent()
  await sweep(countingEnv(spent), NOW - 1)
  measured[size].set(`the sweep, ${what}`, spent)
}

async function measureDelivery(size: Size): Promise<void> {
  const row = await env.DB.prepare(
    `select id from deliveries where state = 'pending' and eventId like 'evt_filled%' order by id desc limit 1`,
  ).first<{ id: number }>()
  const spent = nothingSpent()
  const db = openDb(countingDb(spent), 'first-primary')
  const now = Date.now()
  const leased = await lease(db, row?.id ?? 0, 'token', now, now + 45_000, 'sweep')
  if (!leased || 'belongs' in leased) throw new Error('Nothing was leased')
  const attempt = { at: NOW, ms: 1, status: 200, error: null, answer: '' }
  await settle(db, leased, 'token', attempt, { state: 'delivered' }, { isTest: false, pace: 1 })
  measured[size].set('a delivery', spent)
}

// ── The tests ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** Rows more that the large database may cost: an index entry here and there. */
const SLACK = 5

beforeAll(async () => {
  // Thousands of requests say nothing that the tests below do not.
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  await measure('small')
  await reset()
  await applyD1Migrations(env.DB, env.TEST_MIGRATIONS)
  forgetKeys()
  await measure('large')
  log.mockRestore()
  // Thousands of requests: a slow machine is no failure.
}, 300_000)

const spentOn = (size: Size, name: string): Spent => {
  const spent = measured[size].get(name)
  if (!spent) throw new Error(`Nothing was measured for ${name}`)
  return spent
}

/** What each of a case's requests comes to, to be looked at as a whole. */
const judge = (one: Case, verdict: (which: Which, small: Spent, large: Spent) => string) =>
  Object.fromEntries(
    variantsOf(one).map((which) => {
      const name = `${one.title}, ${which}`
      return [which, verdict(which, spentOn('small', name), spentOn('large', name))]
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
    expect(spentOn('large', `${title}, newest, again`).trips).toBe(0)
    expect(spentOn('large', `${title}, oldest, again`).trips).toBe(0)
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
    ['the sweep, nothing to do', 2, 2 * SIZES.large.systems],
    ['a delivery', 2, SLACK],
  ])(
    '%s keeps to %i round trips and reads as many rows of a large database',
    (name, trips, slack) => {
      expect(spentOn('large', name).trips).toBeLessThanOrEqual(trips)
      expect(spentOn('large', name).rows).toBeLessThanOrEqual(spentOn('small', name).rows + slack)
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
