import { describe, expect, it } from 'vitest'
import { app } from '../src/app'
import { holds, type Need, needOf, ROLES } from '../src/roles'
import { api, send } from './helpers/api'
import { levels, seedContainer } from './helpers/seed'

/** What each route needs, stated anew: `{C}` is a container at any level, `{B}` a badge in it, `{A}` an application for that. */
const STATED: Record<string, Need> = {
  'GET /systems': 'master',
  'POST /systems': 'master',
  'GET {C}': 'read',
  'PUT {C}': 'manage',
  'DELETE {C}': 'manage',
  'GET {S}/issuers': 'read',
  'POST {S}/issuers': 'manage',
  'GET {I}/programs': 'read',
  'POST {I}/programs': 'manage',

  'GET {C}/badges': 'read',
  'POST {C}/badges': 'manage',
  'GET {B}': 'read',
  'PUT {B}': 'manage',
  'DELETE {B}': 'manage',

  'GET {C}/stats': 'read',
  'GET {B}/stats': 'read',

  'GET {B}/instances': 'read',
  'POST {B}/instances': 'issue',
  'POST {B}/instances/bulk': 'issue',
  'GET {B}/instances/jobs': 'read',
  'POST {B}/instances/jobs': 'issue',
  'GET {B}/instances/jobs/:job': 'read',
  'GET {B}/instances/jobs/:job/rows': 'read',
  'POST {B}/instances/jobs/:job/cancel': 'issue',
  'POST {B}/instances/jobs/:job/revoke': 'issue',
  'POST {B}/instances/revocations': 'issue',
  'GET {B}/instances/:email': 'read',
  'DELETE {B}/instances/:email': 'issue',
  'PUT {B}/instances/:email': 'issue',
  'GET {B}/instances/:email/history': 'read',
  'POST {B}/instances/:email/suspend': 'issue',
  'POST {B}/instances/:email/reinstate': 'issue',
  'POST {B}/instances/:email/renew': 'issue',
  'GET {C}/applications/queue': 'read',
  'GET {C}/applications/waiting': 'read',
  'POST {B}/applications/:application/assign': 'review',
  'GET {B}/applications/:application/instances': 'read',
  'GET {C}/instances': 'read',
  'GET {C}/instances/:email': 'read',

  'GET {B}/codes': 'read',
  'POST {B}/codes': 'issue',
  'POST {B}/codes/random': 'issue',
  'POST {B}/codes/batch': 'issue',
  'GET {B}/codes/:code': 'read',
  'DELETE {B}/codes/:code': 'issue',
  'POST {B}/codes/:code/claim': 'issue',
  'GET {C}/codes/:code': 'read',

  'GET {C}/applications': 'read',
  'GET {B}/applications': 'read',
  'POST {B}/applications': 'review',
  'GET {A}': 'read',
  'PUT {A}': 'review',
  'DELETE {A}': 'review',
  'GET {A}/reviews': 'read',
  'POST {A}/reviews': 'review',
  'GET {A}/reviews/:review': 'read',
  'PUT {A}/reviews/:review': 'review',
  'DELETE {A}/reviews/:review': 'review',

  'GET {S}/progress/:email': 'read',
  'POST {S}/milestones/:milestone/backfill': 'manage',
  'GET {S}/milestones': 'read',
  'POST {S}/milestones': 'manage',
  'GET {S}/milestones/:milestone': 'read',
  'PUT {S}/milestones/:milestone': 'manage',
  'DELETE {S}/milestones/:milestone': 'manage',
  'POST {S}/milestones/:milestone/add-badge': 'manage',
  'POST {S}/milestones/:milestone/remove-badge': 'manage',

  'GET {C}/keys': 'admin',
  'POST {C}/keys': 'admin',
  'GET {C}/keys/:key': 'admin',
  'PUT {C}/keys/:key': 'admin',
  'DELETE {C}/keys/:key': 'admin',
  'POST {C}/keys/:key/secret/rotate': 'admin',
  'GET {C}/signing-keys': 'admin',
  'POST {C}/signing-keys/rotate': 'admin',

  'GET {S}/webhooks': 'admin',
  'POST {S}/webhooks': 'admin',
  'GET {S}/webhooks/:webhook': 'admin',
  'PUT {S}/webhooks/:webhook': 'admin',
  'DELETE {S}/webhooks/:webhook': 'admin',
  'POST {S}/webhooks/:webhook/test': 'admin',
  'POST {S}/webhooks/:webhook/recover': 'admin',
  'POST {S}/webhooks/:webhook/secret/rotate': 'admin',
  'POST {S}/webhooks/:webhook/secret/promote': 'admin',
  'POST {S}/webhooks/:webhook/secret/retire': 'admin',
  'GET {S}/deliveries': 'admin',
  'GET {S}/deliveries/:delivery': 'admin',
  'POST {S}/deliveries/:delivery/redeliver': 'admin',
  'GET {S}/events': 'admin',
  'GET {S}/audit': 'admin',
  'POST {S}/privacy/export': 'admin',
  'POST {S}/privacy/erase': 'admin',
}

const [SYSTEM, ISSUER] = levels
const spelled = Object.entries(STATED).flatMap(([route, need]) => {
  const whole = route
    .replace('{A}', '{B}/applications/:application')
    .replace('{B}', '{C}/badges/:badge')
    .replace('{S}', SYSTEM.path)
    .replace('{I}', ISSUER.path)
  const routes = whole.includes('{C}')
    ? levels.map(({ path }) => whole.replace('{C}', path))
    : [whole]
  return routes.map((one) => [one, need] as const)
})
/** The one system above all others is always somebody's own: only its admins delete it. */
const OWN = `DELETE ${SYSTEM.path}`
const NEEDS = new Map(spelled.map(([route, need]) => [route, route === OWN ? 'admin' : need]))

/** The private routes: what asks for a signature. */
const open =
  /^POST \/public\/verify$|^GET \/(?:$|healthcheck|health\/ready|openapi\.json|docs|public\/|images\/|issuers\/|\.well-known)/
const routes = [
  ...new Set(
    app.routes
      .filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => `${method} ${path}`)
      .filter((route) => !open.test(route)),
  ),
]

describe('every route', () => {
  it('is stated here, and none that there is not', () => {
    expect(routes.filter((route) => !NEEDS.has(route))).toEqual([])
    expect([...NEEDS.keys()].filter((route) => !routes.includes(route))).toEqual([])
  })

  it('needs what is stated here', () => {
    const found = routes.map((route) => [route, needOf(route)])
    expect(found).toEqual(routes.map((route) => [route, NEEDS.get(route)]))
  })

  it('needs as much of keys for less, but for the end of their own container', () => {
    for (const { name, path } of levels) {
      for (const route of routes) {
        const isOwn = route === `DELETE ${path}`
        const stated = route === OWN && name !== 'system' ? 'manage' : NEEDS.get(route)
        expect([name, route, needOf(route, name)]).toEqual([name, route, isOwn ? 'admin' : stated])
      }
    }
  })

  it.each([
    ['GET /'],
    ['GET /systems/:system/new'],
    ['PATCH /systems/:system'],
    ['PUT /systems/:system/badges'],
    ['GET /systems/:system/toString'],
    ['GET /systems/:system/badges/:badge/keys'],
    ['GET /keys'],
    ['GET *'],
    [''],
  ])('that nobody has thought of is not for keys: %j', (route) => {
    expect(needOf(route)).toBe('master')
  })
})

describe('a role', () => {
  it.each([
    ['read', ['read']],
    ['issue', ['read', 'issue']],
    ['review', ['read', 'review']],
    ['manage', ['read', 'issue', 'review', 'manage']],
    ['admin', ['read', 'issue', 'review', 'manage', 'admin']],
    ['master', ['read', 'issue', 'review', 'manage', 'admin', 'master']],
  ] as [Need, Need[]][])('%s holds %j', (role, held) => {
    expect([...ROLES, 'master' as const].filter((need) => holds(role, need))).toEqual(held)
  })

  it.each(ROLES)(
    '%s is held to its routes, and told which one it lacks',
    async (role) => {
      for (const level of levels) {
        const at = await seedContainer(level)
        const made = await api.post(`${at}/keys`, { role })
        const { key, secret } = made.body.key
        const call = { key, secret }
        const words = at.split('/')
        // Only what is below the key's own container; that itself is looked at next.
        const below = [...NEEDS].filter(([route]) => route.includes(` ${level.path}/`))
        const told = await Promise.all(
          below.map(async ([route, need]) => {
            const [method = '', path = ''] = route.split(' ')
            const target = path.split('/').map((word, i) => words[i] ?? word.replace(':', 'no-'))
            const { status, body } = await send(method, target.join('/'), undefined, call)
            const isTold = status === 403 && body.message === `Key may not do this: needs ${need}`
            return [route, isTold]
          }),
        )
        expect(told).toEqual(below.map(([route, need]) => [route, !holds(role, need)]))
        const own = [
          await api.get(at, call),
          await api.put(at, {}, call),
          await api.delete(at, call),
        ]
        const allowed = { read: 1, issue: 1, review: 1, manage: 2, admin: 3 }[role]
        const statuses = [200, 200, 200].map((good, i) => (i < allowed ? good : 403))
        expect(own.map(({ status }) => status)).toEqual(statuses)
      }
    },
    30_000,
  )
})
