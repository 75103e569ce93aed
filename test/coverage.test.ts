import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, inject, it } from 'vitest'
import { app } from '../src/app'
import { type Answer, api, ask, type Call } from './helpers/api'
import { badge, container, levels, seedBadge, unique } from './helpers/seed'

/**
 * The route table of contract §1.2 as data: which endpoints there are, and one good request to each of them. `{C}` is a
 * container at each of the three levels, `{B}` a badge in it, `{A}` an application for that.
 */

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE'
type Auth = 'none' | 'yes' | 'master'
type Endpoint = {
  name: string
  method: Method
  path: string
  auth: Auth
  status: number
  /** The members of the answer, in their order; of a public document the contract's own, among others. */
  keys: string[]
  body?: (seed: Seed) => object
}

const row = (
  name: string,
  method: Method,
  path: string,
  status: number,
  keys: string,
  body?: (seed: Seed) => object,
  auth: Auth = 'yes',
): Endpoint => ({ name, method, path, auth, status, keys: keys.split(' '), body })

const email = () => `${unique('earner')}@example.org`

const five = (letter: string, list: string, param: string, one: string, auth: Auth = 'yes') => [
  row(`${letter}1`, 'GET', list, 200, `${one}s`, undefined, auth),
  row(`${letter}2`, 'POST', list, 201, `status ${one}`, () => container(unique('made')), auth),
  row(`${letter}3`, 'GET', `${list}/${param}`, 200, one),
  row(`${letter}4`, 'PUT', `${list}/${param}`, 200, `status ${one}`, () => ({ name: 'New' })),
  row(`${letter}5`, 'DELETE', `${list}/${param}`, 200, `status ${one}`),
]

const CHAIN = { S: '/systems/:system', I: '/issuers/:issuer', P: '/programs/:program' }
const MILESTONES = `${CHAIN.S}/milestones`
const ASSERTION = 'uid recipient badge verify issuedOn'
const BADGE_CLASS = 'name description image criteria alignment issuer'
const N6 = '{C}/instances/:email'
const V = '{A}/reviews'

const TABLE: Endpoint[] = [
  row('R1', 'GET', '/', 200, 'app version', undefined, 'none'),
  row('R2', 'GET', '/healthcheck', 200, 'app version', undefined, 'none'),
  ...five('S', '/systems', ':system', 'system', 'master'),
  ...five('I', `${CHAIN.S}/issuers`, ':issuer', 'issuer'),
  ...five('P', `${CHAIN.S}${CHAIN.I}/programs`, ':program', 'program'),
  row('B1', 'GET', '{C}/badges', 200, 'badges'),
  row('B2', 'POST', '{C}/badges', 201, 'status badge', () => badge(unique('made'))),
  row('B3', 'GET', '{B}', 200, 'badge'),
  row('B4', 'PUT', '{B}', 200, 'status badge', () => ({ name: 'New' })),
  row('B5', 'DELETE', '{B}', 200, 'status badge'),
  row('C1', 'GET', '{B}/codes', 200, 'claimCodes badge'),
  row('C2', 'POST', '{B}/codes', 201, 'status claimCode badge', () => ({ code: unique('code') })),
  row('C3', 'POST', '{B}/codes/random', 201, 'status claimCode badge'),
  row('C4', 'GET', '{B}/codes/:code', 200, 'badge claimCode'),
  row('C5', 'DELETE', '{B}/codes/:code', 200, 'status claimCode badge'),
  row('C6', 'POST', '{B}/codes/:code/claim', 200, 'status claimCode badge', () => ({
    email: email(),
  })),
  row('C7', 'GET', '{C}/codes/:code', 200, 'badge'),
  row('N1', 'GET', '{B}/instances', 200, 'instances'),
  row('N2', 'POST', '{B}/instances', 201, 'status instance', () => ({ email: email() })),
  row('N3', 'POST', '{B}/instances/bulk', 201, 'status instances', () => ({ emails: [email()] })),
  row('N4', 'GET', '{B}/instances/:email', 200, 'instance'),
  row('N5', 'DELETE', '{B}/instances/:email', 200, 'status instance'),
  row('N6', 'GET', N6, 200, 'instances'),
  row('A1', 'GET', '{C}/applications', 200, 'applications'),
  row('A2', 'GET', '{B}/applications', 200, 'applications'),
  row('A3', 'POST', '{B}/applications', 201, 'status application', () => ({ learner: email() })),
  row('A4', 'GET', '{A}', 200, 'application'),
  row('A5', 'PUT', '{A}', 200, 'status application', () => ({ processed: 1_400_094_712 })),
  row('A6', 'DELETE', '{A}', 200, 'status application'),
  row('V1', 'GET', V, 200, 'reviews'),
  row('V2', 'POST', V, 201, 'status review', () => ({ author: email() })),
  row('V3', 'GET', `${V}/:review`, 200, 'review'),
  row('V4', 'PUT', `${V}/:review`, 200, 'status review', () => ({ comment: 'New' })),
  row('V5', 'DELETE', `${V}/:review`, 200, 'status review badge'),
  row('M1', 'GET', MILESTONES, 200, 'milestones'),
  row('M2', 'POST', MILESTONES, 201, 'status milestone', ({ badgeId }) => ({
    primaryBadgeId: badgeId,
    numberRequired: 1,
    supportBadges: [],
  })),
  row('M3', 'GET', `${MILESTONES}/:milestone`, 200, 'milestone'),
  row('M4', 'PUT', `${MILESTONES}/:milestone`, 200, 'status milestone', () => ({
    numberRequired: 2,
  })),
  row('M5', 'DELETE', `${MILESTONES}/:milestone`, 200, 'status'),
  ...['add', 'remove'].map((verb, i) =>
    row(
      `M${6 + i}`,
      'POST',
      `${MILESTONES}/:milestone/${verb}-badge`,
      200,
      'status milestone',
      ({ badgeId }) => ({ badgeId }),
    ),
  ),
  row('U1', 'GET', '/public/badges', 200, 'badgelist', undefined, 'none'),
  row('U2', 'GET', '/public{B}', 200, BADGE_CLASS, undefined, 'none'),
  row('U3', 'GET', '/public{C}', 200, 'name url', undefined, 'none'),
  row('U4', 'GET', '/public/assertions/:instance', 200, ASSERTION, undefined, 'none'),
  row('U5', 'GET', '/public/images/:image', 301, 'location', undefined, 'none'),
]

/** What this server has beyond the contract's table. */
const ADDITIONS = [
  'POST /public/verify',
  'GET /images/:image',
  'GET /health/ready',
  'GET /openapi.json',
  'GET /docs',
  'GET /public/v2/assertions/:instance',
  'GET /public/v2/assertions/:instance/image',
  'GET /public/v2/badges/:badgeUid',
  'GET /public/v2/issuers/:issuerUid',
  'GET /public/v3/credentials/:instance',
  'GET /public/v3/credentials/:instance/image',
  'GET /public/v3/achievements/:badgeUid',
  'GET /public/v3/status/:list',
  'GET /public/v3/keys/:thumbprint',
  'GET /issuers/:issuerUid/did.json',
  'GET /.well-known/jwks.json',
  'GET /systems/:system/webhooks',
  'POST /systems/:system/webhooks',
  ...levels.flatMap(({ path }) => [
    `GET ${path}/keys`,
    `POST ${path}/keys`,
    `GET ${path}/keys/:key`,
    `PUT ${path}/keys/:key`,
    `DELETE ${path}/keys/:key`,
    `POST ${path}/keys/:key/secret/rotate`,
    `GET ${path}/signing-keys`,
    `POST ${path}/signing-keys/rotate`,
    `GET ${path}/instances`,
    `GET ${path}/stats`,
    `GET ${path}/badges/:badge/stats`,
    `POST ${path}/badges/:badge/codes/batch`,
    `GET ${path}/badges/:badge/instances/jobs`,
    `POST ${path}/badges/:badge/instances/jobs`,
    `GET ${path}/badges/:badge/instances/jobs/:job`,
    `GET ${path}/badges/:badge/instances/jobs/:job/rows`,
    `POST ${path}/badges/:badge/instances/jobs/:job/cancel`,
    `POST ${path}/badges/:badge/instances/jobs/:job/revoke`,
    `POST ${path}/badges/:badge/instances/revocations`,
    `GET ${path}/applications/queue`,
    `GET ${path}/applications/waiting`,
    `POST ${path}/badges/:badge/applications/:application/assign`,
    `GET ${path}/badges/:badge/applications/:application/instances`,
    `PUT ${path}/badges/:badge/instances/:email`,
    `GET ${path}/badges/:badge/instances/:email/history`,
    `POST ${path}/badges/:badge/instances/:email/suspend`,
    `POST ${path}/badges/:badge/instances/:email/reinstate`,
    `POST ${path}/badges/:badge/instances/:email/renew`,
  ]),
  'POST /systems/:system/milestones/:milestone/backfill',
  'GET /systems/:system/progress/:email',
  'GET /systems/:system/audit',
  'POST /systems/:system/privacy/export',
  'POST /systems/:system/privacy/erase',
  'GET /systems/:system/webhooks/:webhook',
  'PUT /systems/:system/webhooks/:webhook',
  'DELETE /systems/:system/webhooks/:webhook',
  'POST /systems/:system/webhooks/:webhook/test',
  'POST /systems/:system/webhooks/:webhook/secret/rotate',
  'POST /systems/:system/webhooks/:webhook/secret/promote',
  'POST /systems/:system/webhooks/:webhook/secret/retire',
  'POST /systems/:system/webhooks/:webhook/recover',
  'GET /systems/:system/deliveries',
  'GET /systems/:system/deliveries/:delivery',
  'POST /systems/:system/deliveries/:delivery/redeliver',
  'GET /systems/:system/events',
]

type LevelName = (typeof levels)[number]['name']
const CONTAINERS: [LevelName, string][] = levels.map(({ name, path }) => [name, path])

/** The table with every container written out, each row with the level that it is asked at. */
const ENDPOINTS = TABLE.flatMap((endpoint) => {
  const path = endpoint.path.replace('{A}', '{B}/applications/:application')
  const whole = path.replace('{B}', '{C}/badges/:badge')
  if (!whole.includes('{C}')) return [{ ...endpoint, path: whole, level: 'program' as LevelName }]
  return CONTAINERS.map(([level, at]) => ({ ...endpoint, path: whole.replace('{C}', at), level }))
})
const pairOf = ({ method, path }: { method: string; path: string }) => `${method} ${path}`
const PAIRS = ENDPOINTS.map(pairOf)

/** The pairs that the app serves; parameters by whatever name it gives them. */
const routed = () => [
  ...new Set(app.routes.filter(({ method }) => method !== 'ALL').map((route) => pairOf(route))),
]
const nameless = (pair: string) => pair.replace(/:\w+/g, ':')
const sorted = (pairs: string[]) => pairs.map(nameless).sort()

describe('the routes of the app', () => {
  it('number 120 by the contract: 58 GET, 30 POST, 13 PUT and 19 DELETE', () => {
    expect(new Set(PAIRS.map(nameless)).size).toBe(120)
    const count = (method: Method) => ENDPOINTS.filter((each) => each.method === method).length
    expect(['GET', 'POST', 'PUT', 'DELETE'].map((method) => count(method as Method))).toEqual([
      58, 30, 13, 19,
    ])
  })

  it('are those of the contract and the additions that are named here, and no others', () => {
    const own = new Set(sorted(ADDITIONS))
    const found = sorted(routed())
    expect(found.filter((pair) => !own.has(pair))).toEqual(sorted(PAIRS))
    expect(found.filter((pair) => own.has(pair))).toEqual(sorted(ADDITIONS))
  })
})

type Seed = Awaited<ReturnType<typeof seedAll>>

/** One of everything, in a system of its own, hanging from a container of the level; and a key of that system. */
async function seedAll(level: (typeof levels)[number]) {
  const seed = await seedBadge(level)
  const earner = email()
  const code = unique('code')
  await api.post(`${seed.path}/codes`, { code })
  const awarded = await api.post(`${seed.path}/instances`, { email: earner })
  const applied = await api.post(`${seed.path}/applications`, { learner: earner })
  const application: string = applied.body.application.slug
  const reviewed = await api.post(`${seed.path}/applications/${application}/reviews`, {
    author: email(),
  })
  const milestone = await api.post(`${seed.system}/milestones`, {
    primaryBadgeId: seed.badge.id,
    numberRequired: 1,
  })
  const key = await api.post(`${seed.system}/keys`, {})
  const image = await imageSlug(seed.badge.id)
  const [, , system = '', , issuer = '', , program = ''] = seed.container.split('/')
  return {
    badgeId: seed.badge.id as number,
    key: { key: key.body.key.key, secret: key.body.key.secret } as Call,
    params: {
      system,
      issuer,
      program,
      badge: seed.badge.slug,
      code,
      email: earner,
      application,
      review: reviewed.body.review.slug,
      milestone: String(milestone.body.milestone.id),
      instance: awarded.body.instance.slug,
      image,
    } as Record<string, string>,
  }
}

/** The slug of a remote image is told nowhere: its redirect is. */
async function imageSlug(badgeId: number): Promise<string> {
  const slug = await env.DB.prepare(
    'select i.slug from images i join badges b on b.imageId = i.id where b.id = ?',
  )
    .bind(badgeId)
    .first<string>('slug')
  return slug ?? ''
}

const fill = (path: string, { params }: Seed) =>
  path.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(params[name] ?? ''))

const ask4 = (method: Method, path: string, body: object | undefined, call: Call) => {
  const verbs = {
    GET: () => api.get(path, call),
    DELETE: () => api.delete(path, call),
    POST: () => api.post(path, body, call),
    PUT: () => api.put(path, body, call),
  }
  return verbs[method]()
}

const WORDS: Partial<Record<number, string>> = { 201: 'created' }
const wordOf = ({ method, status }: Endpoint) =>
  method === 'DELETE' ? 'deleted' : (WORDS[status] ?? 'updated')

/** What is deleted is deleted from the bottom up, once everything else has been asked. */
const ORDER = [
  ...ENDPOINTS.filter(({ method }) => method !== 'DELETE'),
  ...ENDPOINTS.filter(({ method }) => method === 'DELETE').reverse(),
]

// A story: each step stands on those before it, so its order is not shuffled.
describe('every endpoint', { shuffle: false }, () => {
  const seeds = new Map<LevelName, Seed>()
  const called = new Set<string>()
  beforeAll(async () => {
    for (const level of levels) seeds.set(level.name, await seedAll(level))
  }, 60_000)
  const seedOf = (level: LevelName) => {
    const seed = seeds.get(level)
    if (!seed) throw new Error(`no seed for ${level}`)
    return seed
  }

  it.each(ORDER.map((endpoint) => [endpoint.name, pairOf(endpoint), endpoint] as const))(
    '%s answers a good request: %s',
    async (_name, pair, endpoint) => {
      const { method, auth, status, keys, level } = endpoint
      const seed = seedOf(level)
      const path = fill(endpoint.path, seed)
      const body = endpoint.body?.(seed)

      if (auth !== 'none') {
        const unsigned = await ask(method, path)
        expect(unsigned).toMatchObject({ status: 403, body: { code: 'NotAuthorized' } })
      }
      // The key of a system may do all of it, except what stands above systems.
      if (auth === 'master') {
        const refused = await ask4(method, path, body, seed.key)
        expect(refused.body).toEqual({
          code: 'NotAuthorized',
          message: 'Invalid token for system',
        })
      }
      const answer: Answer =
        auth === 'none'
          ? await ask(method, path)
          : await ask4(method, path, body, auth === 'master' ? {} : seed.key)
      expect(answer.status, JSON.stringify(answer.body)).toBe(status)
      const found = Object.keys(answer.body)
      if (path.startsWith('/public/') && !path.startsWith('/public/badges')) {
        expect(found).toEqual(expect.arrayContaining(keys))
      } else {
        expect(found).toEqual(keys)
      }
      if (keys[0] === 'status') expect(answer.body.status).toBe(wordOf(endpoint))
      for (const key of keys) expect(answer.body[key], key).toBeTruthy()
      called.add(pair)
    },
  )

  it('has been asked', async () => {
    const missed = PAIRS.filter((pair) => !called.has(pair))
    const count = `${called.size} of ${PAIRS.length} endpoints of the contract were called`
    await fetch(`${inject('receiver')}/said`, { method: 'POST', body: count })
    expect(missed).toEqual([])
    expect(`${called.size} of ${PAIRS.length}`).toBe('120 of 120')
  })
})
