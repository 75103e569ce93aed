import { env, exports } from 'cloudflare:workers'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { app } from '../src/app'
import type { Bindings } from '../src/env'
import { ABOUT } from '../src/spec'
import { api, ask, ORIGIN, send } from './helpers/api'
import { badge, container, levels, seedBadge, unique } from './helpers/seed'
import { faulty, signed, unchanged, under, utf8, watchLog } from './helpers/worker'

/** The steps that every request goes through, in their order. */

const { faults, lines } = watchLog()
const MIB = 1024 * 1024
const REQUEST_ID = /^[0-9a-f]{24}$/

/** All routes of the Worker by template, its parameters filled in; open are those that anyone may ask. */
const METHODS = ['GET', 'POST', 'PUT', 'DELETE']
const routes = new Map<string, { method: string; path: string; isOpen: boolean }>()
for (const { method, path, handler } of app.routes) {
  if (!METHODS.includes(method)) continue
  const route = routes.get(`${method} ${path}`) ?? { method, path, isOpen: false }
  const about = (handler as { [ABOUT]?: { open?: boolean } })[ABOUT]
  route.isOpen ||= about?.open === true
  routes.set(`${method} ${path}`, route)
}
const filled = (path: string) => path.replace(/:(\w+)(?:\{[^}]*\})?/g, 'x-$1')
const all = [...routes.values()]
const closed = all.filter(({ isOpen }) => !isOpen)
const open = all.filter(({ isOpen }) => isOpen)

const system = unique('pipeline')
beforeAll(async () => {
  await api.post('/systems', container(system))
})

describe('an unknown path', () => {
  it.each([
    ['GET', '/nothing'],
    ['GET', '/system'],
    ['GET', '/systems/x/y'],
    ['GET', '/systems/x/issuers/y/webhooks/z/w'],
    ['GET', '/public'],
    ['GET', '/public/nothing?a=b%40c'],
    ['GET', '/nothing?token=1&x=//'],
    ['POST', '/nothing'],
    ['PUT', '/nothing'],
    ['DELETE', '/nothing'],
    ['PATCH', '/nothing'],
    ['OPTIONS', '/nothing'],
  ])('is 404 without a token: %s %s', async (method, path) => {
    const { status, headers, body } = await unchanged(() => ask(method, path))
    expect(status).toBe(404)
    expect(body).toEqual({ code: 'ResourceNotFound', message: `${path} does not exist` })
    expect(headers.get('Content-Type')).toBe('application/json')
  })

  it('has no body for HEAD', async () => {
    const { status, body } = await ask('HEAD', '/nothing')
    expect({ status, body }).toEqual({ status: 404, body: '' })
  })
})

describe('a known path', () => {
  it('knows many routes, open and closed ones', () => {
    expect(open.length).toBeGreaterThan(8)
    expect(closed.length).toBeGreaterThan(30)
  })

  it.each(all)('$path says which methods it has when asked by another', async ({ path }) => {
    const { status, headers, body } = await unchanged(() => ask('PATCH', filled(path)))
    expect(status).toBe(405)
    expect(body).toEqual({ code: 'MethodNotAllowedError', message: 'PATCH is not allowed' })
    const allowed = (headers.get('Allow') ?? '').split(', ')
    const expected = all.filter((route) => route.path === path).map(({ method }) => method)
    expect(allowed).toEqual(expect.arrayContaining(expected))
  })

  it.each([
    ['PATCH', '/systems', 'GET, POST'],
    ['DELETE', '/systems', 'GET, POST'],
    ['PUT', '/systems/', 'GET, POST'],
    ['PUT', '/systems?page=1', 'GET, POST'],
    ['POST', '/systems/x', 'GET, PUT, DELETE'],
    ['PUT', '/systems/x/issuers', 'GET, POST'],
    ['POST', '/systems/x/issuers/y', 'GET, PUT, DELETE'],
    ['DELETE', '/systems/x/issuers/y/programs', 'GET, POST'],
    ['POST', '/systems/x/issuers/y/programs/z', 'GET, PUT, DELETE'],
    ['DELETE', '/systems/x/badges', 'GET, POST'],
    ['POST', '/systems/x/issuers/y/badges/z', 'GET, PUT, DELETE'],
    ['POST', '/systems/x/badges/y/instances/z@example.org', 'GET, PUT, DELETE'],
    ['PATCH', '/systems/x/issuers/y/programs/z/badges/b/instances/z%40e.org', 'GET, PUT, DELETE'],
    ['OPTIONS', '/systems', 'GET, POST'],
    ['POST', '/', 'GET'],
    ['POST', '/healthcheck', 'GET'],
    ['DELETE', '/public/badges', 'GET'],
    ['POST', '/public/systems/x', 'GET'],
    ['PUT', '/public/assertions/x', 'GET'],
    ['PUT', '/public/images/x', 'GET'],
    ['PUT', '/images/x', 'GET'],
  ])('answers %s %s with 405 and what is allowed', async (method, path, allow) => {
    const { status, headers, body } = await unchanged(() => ask(method, path))
    expect(status).toBe(405)
    expect(body).toEqual({ code: 'MethodNotAllowedError', message: `${method} is not allowed` })
    expect(headers.get('Allow')).toBe(allow)
  })
})

describe('a private route', () => {
  it.each(closed)('$method $path asks for a token and is kept by nobody', async (route) => {
    const { status, headers, body } = await unchanged(() => ask(route.method, filled(route.path)))
    expect(status).toBe(403)
    expect(body).toEqual({
      code: 'NotAuthorized',
      message: 'Missing valid Authorization header',
    })
    expect(headers.get('Cache-Control')).toBe('private, no-store')
    expect(headers.get('X-Request-Id')).toMatch(REQUEST_ID)
    expect(headers.get('Access-Control-Allow-Origin')).toBeNull()
  })

  it.each(closed)('$method $path is kept by nobody when it is signed', async (route) => {
    const { method, path } = route
    const { status, headers } = await send(method, filled(path))
    expect(status).not.toBe(403)
    expect(status).toBeLessThan(500)
    expect(headers.get('Cache-Control')).toBe('private, no-store')
    expect(headers.get('Access-Control-Allow-Origin')).toBeNull()
  })

  it('is kept by nobody when it answers well', async () => {
    const { status, headers } = await api.get(`/systems/${system}`)
    expect(status).toBe(200)
    expect(headers.get('Cache-Control')).toBe('private, no-store')
    expect(headers.get('Content-Type')).toBe('application/json')
  })

  it.each([
    ['/systems', 'GET, POST'],
    ['/systems/x', 'GET, PUT, DELETE'],
    ['/systems/x/badges/y/instances/z', 'GET, PUT, DELETE'],
  ])('%s has no HEAD, signed or not', async (path, allow) => {
    for (const { status, headers, body } of [await ask('HEAD', path), await send('HEAD', path)]) {
      expect({ status, body }).toEqual({ status: 405, body: '' })
      expect(headers.get('Allow')).toBe(allow)
    }
  })
})

describe('a public route', () => {
  it.each(open)('$method $path needs no token', async ({ method, path }) => {
    const headers = { 'Content-Type': 'application/json' }
    const { status } = await ask(
      method,
      filled(path),
      method === 'POST' ? { body: '{}', headers } : {},
    )
    // Whether the service is ready, other tests decide.
    expect([200, path === '/health/ready' ? 503 : 404]).toContain(status)
  })

  it('needs none with a query string either', async () => {
    for (const path of ['/?x=y', '/healthcheck?x=y', '/healthcheck/']) {
      const { status, body } = await ask('GET', path)
      expect(status).toBe(200)
      expect(body).toEqual({
        app: 'BadgeKit API',
        version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      })
    }
  })

  it('does not look at a token that is sent', async () => {
    const headers = { Authorization: 'JWT token="nonsense"' }
    expect((await ask('GET', `/public/systems/${system}`, { headers })).status).toBe(200)
  })

  it.each([['/'], ['/healthcheck'], ['/public/badges'], ['/public/systems/none']])(
    '%s answers HEAD as GET, without a body',
    async (path) => {
      const [got, head] = [await ask('GET', path), await ask('HEAD', path)]
      expect({ status: head.status, body: head.body }).toEqual({ status: got.status, body: '' })
      for (const name of ['Content-Type', 'Cache-Control', 'Access-Control-Allow-Origin']) {
        expect(head.headers.get(name), name).toBe(got.headers.get(name))
      }
      expect(got.body).not.toBe('')
    },
  )

  it('answers HEAD as GET for a document, from the cache or not', async () => {
    const fresh = unique('fresh')
    await api.post('/systems', container(fresh))
    const path = `/public/systems/${fresh}`
    const answers = [await ask('HEAD', path), await ask('HEAD', path), await ask('GET', path)]
    for (const { status, headers } of answers) {
      expect(status).toBe(200)
      expect(headers.get('Content-Type')).toMatch(/^application\/json/)
      expect(headers.get('Cache-Control')).toBe('public, max-age=60, must-revalidate')
    }
    expect(answers.map(({ body }) => body === '')).toEqual([true, true, false])
    expect(answers[2]?.body.name).toBe(`The ${fresh}`)
  })

  it.each([
    ['/public/badges', 200],
    [`/public/systems/${system}`, 200],
    ['/public/systems/none', 404],
    ['/public/assertions/none', 404],
    ['/public/images/none', 404],
    ['/images/none', 404],
  ])('%s may be read by pages of other origins', async (path, expected) => {
    const headers = { Origin: 'https://displayer.example' }
    const { status, headers: answered } = await ask('GET', path, { headers })
    expect(status).toBe(expected)
    expect(answered.get('Access-Control-Allow-Origin')).toBe('*')
    expect(answered.get('Access-Control-Allow-Credentials')).toBeNull()
  })

  it.each([['/'], ['/healthcheck']])('%s need not be', async (path) => {
    const { headers } = await ask('GET', path, { headers: { Origin: 'https://x.example' } })
    expect(headers.get('Access-Control-Allow-Origin')).toBeNull()
  })

  it.each([
    ['/public/badges'],
    ['/public/assertions/x'],
    ['/images/x'],
    ['/public/systems/x/badges/y'],
  ])('answers a preflight of %s', async (path) => {
    const headers = {
      Origin: 'https://displayer.example',
      'Access-Control-Request-Method': 'GET',
      'Access-Control-Request-Headers': 'accept',
    }
    const answer = await ask('OPTIONS', path, { headers })
    expect({ status: answer.status, body: answer.body }).toEqual({ status: 204, body: '' })
    expect(answer.headers.get('Access-Control-Allow-Origin')).toBe('*')
    const methods = answer.headers.get('Access-Control-Allow-Methods') ?? ''
    expect(methods.split(/, */)).toEqual(['GET', 'HEAD'])
  })

  describe('on another host', () => {
    const at = (path: string, init?: RequestInit) =>
      under({}, new Request(`https://old.example${path}`, init))

    it.each([
      ['/public/badges?page=1&count=2'],
      ['/public/assertions/x'],
      ['/public/systems/none/badges/a%40b?as=json'],
      ['/public/images/x'],
      ['/images/x'],
      ['//public//badges'],
    ])('%s is sent to the one origin with 308, for browsers too', async (path) => {
      for (const method of ['GET', 'HEAD']) {
        const { status, headers, body } = await at(path, { method })
        expect({ status, body }).toEqual({ status: 308, body: '' })
        expect(headers.get('Location')).toBe(ORIGIN + path)
        expect(headers.get('Access-Control-Allow-Origin')).toBe('*')
        expect(headers.get('X-Request-Id')).toMatch(REQUEST_ID)
      }
    })

    it('answers a preflight, the status routes and refusals where it is', async () => {
      const statuses = []
      for (const [method, path] of [
        ['OPTIONS', '/public/badges'],
        ['GET', '/'],
        ['GET', '/healthcheck'],
        ['GET', '/public/nothing'],
        ['POST', '/public/badges'],
        ['GET', '/systems'],
      ] as const) {
        statuses.push((await at(path, { method })).status)
      }
      expect(statuses).toEqual([204, 200, 200, 404, 405, 403])
    })

    it('takes signed requests where it is', async () => {
      const request = new Request('https://old.example/systems', await signed('GET', '/systems'))
      expect((await under({}, request)).status).toBe(200)
    })
  })

  it('is no preflight for a private route', async () => {
    const headers = { Origin: 'https://x.example', 'Access-Control-Request-Method': 'POST' }
    const answer = await ask('OPTIONS', '/systems', { headers })
    expect(answer.status).toBe(405)
    expect(answer.headers.get('Access-Control-Allow-Origin')).toBeNull()
  })
})

describe('every answer', () => {
  it('has a request id of its own', async () => {
    const json = { type: 'application/json', bytes: utf8('{') }
    const text = { type: 'text/plain', bytes: utf8('x') }
    const answers = [
      await ask('GET', '/'),
      await ask('GET', '/public/badges'),
      await ask('GET', `/public/systems/${system}`),
      await ask('GET', `/public/systems/${system}`),
      await ask('HEAD', '/'),
      await ask('OPTIONS', '/public/badges'),
      await ask('GET', '/nothing'),
      await ask('PATCH', '/systems'),
      await ask('GET', '/systems/%ff'),
      await ask('GET', '/systems'),
      await ask('POST', '/systems', { body: utf8('{}'), headers: { 'Content-Encoding': 'gzip' } }),
      await ask('POST', `/systems/${system}/keys`, { body: new Uint8Array(2 * MIB + 1) }),
      await send('POST', '/systems', json),
      await send('POST', '/systems', text),
      await api.post('/systems', {}),
      await api.post('/systems', container(system)),
      await api.get('/systems'),
      await api.get('/systems/none'),
      await under({ MASTER_SECRET: '' }, new Request(`${ORIGIN}/`)),
      await under({ DB: faulty({ message: 'boom' }).DB }, await signed('GET', '/systems')),
    ]
    expect(answers.map(({ status }) => status)).toEqual([
      200, 200, 200, 200, 200, 204, 404, 405, 400, 403, 415, 413, 400, 415, 400, 409, 200, 404, 503,
      500,
    ])
    const ids = answers.map(({ headers }) => headers.get('X-Request-Id'))
    for (const id of ids) expect(id).toMatch(REQUEST_ID)
    expect(new Set(ids).size).toBe(answers.length)
  })
})

describe('percent-encoding', () => {
  it.each([
    ['/systems/%'],
    ['/systems/%4'],
    ['/systems/%zz'],
    ['/systems/%ff'],
    ['/systems/%c3%28'],
    ['/systems/%ed%a0%80'],
    ['/public/systems/%ff'],
    ['/%ff'],
  ])('that is malformed is 400: %s', async (path) => {
    const answers = await unchanged(async () => [await ask('GET', path), await api.get(path)])
    for (const { status, body } of answers) {
      expect(status).toBe(400)
      expect(body).toEqual({ code: 'BadRequestError', message: 'The path is not well encoded' })
    }
  })

  it('in a query string is let be', async () => {
    expect((await ask('GET', '/healthcheck?x=%ff')).status).toBe(200)
    expect((await api.get('/systems?x=%zz&y=%')).status).toBe(200)
  })

  it('names what it decodes to', async () => {
    const { body } = await api.get('/systems/a%20b%2Fc%3Fd')
    expect(body.message).toBe('Could not find system field: `slug`, value: `a b/c?d`')
  })
})

describe('what a path names', () => {
  const issuer = unique('issuer')
  const missing = (model: string, value: string) => ({
    status: 404,
    body: {
      code: 'ResourceNotFound',
      message: `Could not find ${model} field: \`slug\`, value: \`${value}\``,
    },
  })

  beforeAll(async () => {
    await api.post(`/systems/${system}/issuers`, container(issuer))
  })

  const cases: [string, string, string][] = [
    ['/systems/none/issuers', 'system', 'none'],
    ['/systems/none/keys', 'system', 'none'],
    ['/systems/none/webhooks', 'system', 'none'],
    ['/systems/none/badges', 'system', 'none'],
    ['/systems/none/badges/gone/instances', 'system', 'none'],
    ['/systems/none/issuers/gone/programs', 'system', 'none'],
    ['/systems/none/issuers/gone/programs/lost/badges/x/instances', 'system', 'none'],
    [`/systems/${system}/issuers/gone/programs`, 'issuer', 'gone'],
    [`/systems/${system}/issuers/gone/badges`, 'issuer', 'gone'],
    [`/systems/${system}/issuers/gone/programs/lost/badges`, 'issuer', 'gone'],
    [`/systems/${system}/issuers/gone/badges/x/instances`, 'issuer', 'gone'],
    [`/systems/${system}/issuers/${issuer}/programs/lost/badges`, 'program', 'lost'],
    [`/systems/${system}/issuers/${issuer}/programs/lost/badges/x/instances`, 'program', 'lost'],
    [`/systems/${system}/badges/gone/instances`, 'badge', 'gone'],
    [`/systems/${system}/issuers/${issuer}/badges/a%40b/instances`, 'badge', 'a@b'],
  ]

  it.each(cases)('is looked up before the fields of POST %s', async (path, model, value) => {
    for (const fields of [{}, { slug: '', email: 'nonsense', url: 1, role: 'none' }]) {
      const { status, body } = await unchanged(() => api.post(path, fields))
      expect({ status, body }).toEqual(missing(model, value))
    }
  })

  it.each([
    ['/systems/none', 'system', 'none'],
    [`/systems/${system}/issuers/gone`, 'issuer', 'gone'],
    [`/systems/${system}/issuers/${issuer}/programs/lost`, 'program', 'lost'],
    [`/systems/${system}/badges/gone`, 'badge', 'gone'],
  ])('is looked up before the fields of PUT %s', async (path, model, value) => {
    const { status, body } = await unchanged(() => api.put(path, { name: '', url: 'nonsense' }))
    expect({ status, body }).toEqual(missing(model, value))
    for (const answer of [await api.get(path), await api.delete(path)]) {
      expect({ status: answer.status, body: answer.body }).toEqual(missing(model, value))
    }
  })

  it('being there, the fields are complained of', async () => {
    const answer = await unchanged(() => api.post(`/systems/${system}/issuers`, {}))
    expect(answer.status).toBe(400)
    expect(answer.body.code).toBe('ValidationError')
  })
})

describe('a setting that is missing', () => {
  const settings: [string, Partial<Record<keyof Bindings, string | undefined>>, string][] = [
    ['no master secret', { MASTER_SECRET: undefined }, 'MASTER_SECRET is not set'],
    ['an empty master secret', { MASTER_SECRET: '' }, 'MASTER_SECRET is not set'],
    ...[undefined, '', 'pending', 'badges.example.org', 'https://', 'ftp://example.org']
      .concat(['https://example.org/', 'https://example.org/api', 'https://Example.org'])
      .concat(['https://example.org?x', 'https://u:p@example.org', 'https://example.org:443'])
      .map((origin): [string, { PUBLIC_ORIGIN: string | undefined }, string] => [
        `the origin ${JSON.stringify(origin)}`,
        { PUBLIC_ORIGIN: origin },
        'PUBLIC_ORIGIN is not an origin such as https://badges.example.org',
      ]),
    ['no encryption keys', { ENCRYPTION_KEYS: undefined }, 'ENCRYPTION_KEYS is not set'],
    ['no encryption keys', { ENCRYPTION_KEYS: '' }, 'ENCRYPTION_KEYS is not set'],
    ...['{}', 'nonsense', '{"k1":"AAAA"}'].map(
      (ring): [string, { ENCRYPTION_KEYS: string }, string] => [
        `the encryption keys ${ring}`,
        { ENCRYPTION_KEYS: ring },
        'ENCRYPTION_KEYS is not a JSON object of base64 keys of 32 bytes',
      ],
    ),
  ]

  it.each(settings)(
    'is 503 to everybody, and only the log says why: %s',
    async (_, more, reason) => {
      const asked = [
        new Request(`${ORIGIN}/`),
        new Request(`${ORIGIN}/public/badges`),
        new Request(`${ORIGIN}/nothing`),
        await signed('POST', '/systems', container(unique('never'))),
      ]
      for (const request of asked) {
        faults.mockClear()
        const answer = await unchanged(() => under(more as Partial<Bindings>, request))
        expect(answer.status).toBe(503)
        expect(answer.body).toEqual({
          code: 'ServiceUnavailable',
          message: 'The service is not set up',
        })
        expect(answer.headers.get('Retry-After')).toMatch(/^[1-5]$/)
        expect(lines(faults)).toEqual([{ level: 'error', event: 'misconfigured', reason }])
      }
    },
  )

  it.each([
    ['https://badges.example.org'],
    ['https://example.org:8443'],
    ['http://127.0.0.1:8787'],
  ])('is not the origin %s', async (PUBLIC_ORIGIN) => {
    expect((await under({ PUBLIC_ORIGIN }, new Request(`${PUBLIC_ORIGIN}/`))).status).toBe(200)
  })
})

describe('a bookmark', () => {
  const BOOKMARK = /^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}$/
  const given = '00000001-00000002-00000003-0123456789abcdef0123456789abcdef'

  /** Where the request's session starts. */
  async function startOf(path: string, bookmark?: string) {
    const withSession = vi.fn((_from: string) => env.DB.withSession('first-primary'))
    const request = await signed('GET', path)
    if (bookmark !== undefined) request.headers.set('X-D1-Bookmark', bookmark)
    const { status } = await under({ DB: { withSession } as never }, request)
    expect(status).toBe(200)
    expect(withSession).toHaveBeenCalledTimes(1)
    return withSession.mock.calls[0]?.[0]
  }

  it('comes with private answers and is accepted with the next request', async () => {
    const first = await api.get(`/systems/${system}`)
    const bookmark = first.headers.get('X-D1-Bookmark') ?? ''
    expect(bookmark).toMatch(BOOKMARK)
    const second = await api.get(`/systems/${system}`, { headers: { 'X-D1-Bookmark': bookmark } })
    expect(second.status).toBe(200)
    expect(second.body).toEqual(first.body)
    const made = await api.post(`/systems/${system}/keys`, {})
    expect(made.headers.get('X-D1-Bookmark')).toMatch(BOOKMARK)
    expect((await ask('GET', '/public/badges')).headers.get('X-D1-Bookmark')).toBeNull()
  })

  it('says where to start; without one, private routes ask the primary and public ones anybody', async () => {
    expect(await startOf('/systems')).toBe('first-primary')
    expect(await startOf('/systems', given)).toBe(given)
    expect(await startOf('/public/badges')).toBe('first-unconstrained')
    expect(await startOf('/public/badges', given)).toBe(given)
  })

  it.each([
    [''],
    ['nonsense'],
    ['first-unconstrained'],
    [given.toUpperCase()],
    [`${given}0`],
    [` ${given} x`],
    [given.slice(1)],
    ["'; drop table systems; --"],
  ])('that is garbage is ignored: %j', async (bookmark) => {
    expect(await startOf('/systems', bookmark)).toBe('first-primary')
    const { status } = await api.get('/systems', { headers: { 'X-D1-Bookmark': bookmark } })
    expect(status).toBe(200)
  })
})

describe('the real Worker', () => {
  it('answers through the same pipeline', async () => {
    const response = await exports.default.fetch(`${ORIGIN}/nothing`)
    expect(response.status).toBe(404)
    expect(await response.json()).toEqual({
      code: 'ResourceNotFound',
      message: '/nothing does not exist',
    })
  })

  it('has made a badge of each level by the end of the pipeline', async () => {
    for (const level of levels) {
      const { container: path } = await seedBadge(level)
      const slug = unique('badge')
      const made = await api.post(`${path}/badges`, badge(slug))
      expect(made.status).toBe(201)
      expect(made.headers.get('Location')).toBe(`${path}/badges/${slug}`)
    }
  })
})
