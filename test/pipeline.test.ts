import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env, exports } from 'cloudflare:workers'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { app } from '../src/app'
import type { Bindings } from '../src/env'
import { ABOUT } from '../src/spec'
import { api, ask, ORIGIN, send, sign } from './helpers/api'
import {
  badge,
  container,
  levels,
  outbox,
  rows,
  seedBadge,
  seedWebhook,
  unique,
} from './helpers/seed'

const utf8 = (text: string) => new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>
const MIB = 1024 * 1024
const REQUEST_ID = /^[0-9a-f]{24}$/

/** The log, line by line, as objects; nothing of it reaches the terminal. */
const log = vi.spyOn(console, 'log')
const faults = vi.spyOn(console, 'error')
beforeEach(() => {
  log.mockReset()
  faults.mockReset()
  log.mockImplementation(() => {})
  faults.mockImplementation(() => {})
})
afterAll(() => {
  log.mockRestore()
  faults.mockRestore()
})
const lines = (spy: typeof log) =>
  spy.mock.calls.map(([line]) => {
    expect(line).not.toContain('\n')
    return JSON.parse(line as string)
  })

/** Asks a Worker whose bindings are others, and waits for what it does after its answer. */
async function under(more: Partial<Bindings>, request: Request) {
  const context = createExecutionContext()
  const response = await app.fetch(request, { ...env, ...more }, context)
  // Not `text()`: it warns of answers that are images.
  const text = new TextDecoder().decode(await response.arrayBuffer())
  await waitOnExecutionContext(context)
  const { status, headers } = response
  return { status, headers, body: text.startsWith('{') ? JSON.parse(text) : text }
}

async function signed(method: string, path: string, body?: object) {
  const bytes = body && utf8(JSON.stringify(body))
  const token = await sign(method, path, bytes)
  return new Request(ORIGIN + path, {
    method,
    body: bytes,
    headers: {
      Authorization: `JWT token="${token}"`,
      ...(bytes && { 'Content-Type': 'application/json' }),
    },
  })
}

/** How many rows each table has that a request could write to, and what stands in the outbox. */
async function standing() {
  const tables = ['systems', 'issuers', 'programs', 'badges', 'badgeInstances', 'keys', 'webhooks']
  const all = [...tables, 'keySecrets', 'images', 'audit', 'events', 'deliveries']
  const counts = all.map((table) => `(select count(*) from ${table}) as ${table}`)
  return env.DB.prepare(`select ${counts.join(', ')}`).first()
}

/** States that nothing is written. */
async function unchanged<T>(work: () => Promise<T>): Promise<T> {
  const before = await standing()
  const result = await work()
  expect(await standing()).toEqual(before)
  return result
}

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
    ['POST', '/systems/x/badges/y/instances/z@example.org', 'GET, DELETE'],
    ['PUT', '/systems/x/issuers/y/programs/z/badges/b/instances/z%40e.org', 'GET, DELETE'],
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
    ['/systems/x/badges/y/instances/z', 'GET, DELETE'],
  ])('%s has no HEAD, signed or not', async (path, allow) => {
    for (const { status, headers, body } of [await ask('HEAD', path), await send('HEAD', path)]) {
      expect({ status, body }).toEqual({ status: 405, body: '' })
      expect(headers.get('Allow')).toBe(allow)
    }
  })
})

describe('a public route', () => {
  it.each(open)('$path needs no token', async ({ path }) => {
    const { status } = await ask('GET', filled(path))
    expect([200, 404]).toContain(status)
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

/** A body that comes in pieces, without a length. */
function streamed(size: number) {
  let left = size
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      const chunk = Math.min(left, 64 * 1024)
      left -= chunk
      if (chunk > 0) controller.enqueue(new Uint8Array(chunk).fill(0x20))
      else controller.close()
    },
  })
}

describe('the size of a body', () => {
  const small = `/systems/${system}/keys`
  const tooLarge = (mib: number) => ({
    status: 413,
    body: {
      code: 'RequestEntityTooLarge',
      message: `The request body may hold ${mib * MIB} bytes at most`,
    },
  })

  const sizes: [string, string, number][] = [
    ['POST', '/systems', 8],
    ['PUT', '/systems/x', 8],
    ['POST', '/systems/x/issuers', 8],
    ['PUT', '/systems/x/issuers/y', 8],
    ['POST', '/systems/x/issuers/y/programs', 8],
    ['PUT', '/systems/x/issuers/y/programs/z', 8],
    ['POST', '/systems/x/badges', 8],
    ['PUT', '/systems/x/badges/y', 8],
    ['POST', '/systems/x/issuers/y/badges', 8],
    ['PUT', '/systems/x/issuers/y/programs/z/badges/b', 8],
    ['POST', '/systems/x/keys', 2],
    ['POST', '/systems/x/webhooks', 2],
    ['POST', '/systems/x/badges/y/instances', 2],
    ['POST', '/systems/x/issuers/y/programs/z/badges/b/instances', 2],
  ]

  it.each(sizes)('of %s %s is %d MiB at most, before any token', async (method, path, mib) => {
    const ask = (size: number) =>
      unchanged(() =>
        under({}, new Request(ORIGIN + path, { method, body: streamed(size) } as RequestInit)),
      )
    const { status, body } = await ask(mib * MIB + 1)
    expect({ status, body }).toEqual(tooLarge(mib))
    expect((await ask(mib * MIB)).status).toBe(403)
  })

  it('is taken from Content-Length where there is one, and the body is not read', async () => {
    let pulled = 0
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          pulled++
          controller.enqueue(new Uint8Array(64 * 1024))
        },
      },
      { highWaterMark: 0 },
    )
    const headers = { 'Content-Length': String(2 * MIB + 1) }
    const answer = await under({}, new Request(ORIGIN + small, { method: 'POST', body, headers }))
    expect({ status: answer.status, body: answer.body }).toEqual(tooLarge(2))
    expect(pulled).toBe(0)
  })

  it('is counted all the same when Content-Length says less or nothing sensible', async () => {
    for (const length of ['1', '-1', 'many', '']) {
      const headers = { 'Content-Length': length }
      const request = new Request(ORIGIN + small, {
        method: 'POST',
        body: streamed(2 * MIB + 1),
        headers,
      })
      const { status } = await unchanged(() => under({}, request))
      expect(status, length).toBe(413)
    }
  })

  it('may reach the limit', async () => {
    const text = JSON.stringify({ description: 'padded' }).padEnd(2 * MIB, ' ')
    const type = 'application/json'
    const made = await send('POST', small, { type, bytes: utf8(text) })
    expect(made.status).toBe(201)
    const { status } = await unchanged(() => send('POST', small, { type, bytes: utf8(`${text} `) }))
    expect(status).toBe(413)
  })
})

describe('a body', () => {
  const valid = () => JSON.stringify(container(unique('body')))
  const post = (type: string, text: string, path = '/systems', headers = {}) =>
    send('POST', path, { type, bytes: utf8(text) }, { headers })

  it.each([['gzip'], ['br'], ['deflate'], ['gzip, identity'], ['x']])(
    'in the encoding %s is 415, before any token',
    async (encoding) => {
      const headers = { 'Content-Encoding': encoding }
      const answers = await unchanged(async () => [
        await ask('POST', '/systems', { body: utf8('{}'), headers }),
        await post('application/json', valid(), '/systems', headers),
      ])
      for (const { status, body } of answers) {
        expect(status).toBe(415)
        expect(body).toEqual({ code: 'UnsupportedMediaTypeError', message: encoding })
      }
    },
  )

  it('in the encoding `identity` is read', async () => {
    const headers = { 'Content-Encoding': 'identity' }
    expect((await post('application/json', valid(), '/systems', headers)).status).toBe(201)
  })

  it.each([
    ['text/plain', 'text/plain'],
    ['text/csv', 'text/csv'],
    ['text/csv; charset=utf-8', 'text/csv'],
    ['text/tab-separated-values', 'text/tab-separated-values'],
    ['application/xml', 'application/xml'],
    ['application/ld+json', 'application/ld+json'],
    ['nonsense', 'nonsense'],
  ])('of the type %s is 415', async (type, message) => {
    const { status, body } = await unchanged(() => post(type, valid()))
    expect(status).toBe(415)
    expect(body).toEqual({ code: 'UnsupportedMediaTypeError', message })
  })

  it('without a type is 415', async () => {
    const bytes = utf8(valid())
    const token = await sign('POST', '/systems', bytes)
    const headers = { Authorization: `JWT token="${token}"` }
    const { status, body } = await unchanged(() =>
      ask('POST', '/systems', { body: bytes, headers }),
    )
    expect(status).toBe(415)
    expect(body.code).toBe('UnsupportedMediaTypeError')
  })

  it.each([['{'], ['{"a":}'], ['nonsense'], ["{'a':1}"], ['{"a":1}x'], [' ']])(
    'that is no JSON is 400: %s',
    async (text) => {
      const { status, body } = await unchanged(() => post('application/json', text))
      expect(status).toBe(400)
      expect(body).toEqual({
        code: 'InvalidContent',
        message: expect.stringMatching(/^Invalid JSON: ./),
      })
    },
  )

  it.each([['[]'], ['[{"slug":"x"}]'], ['"text"'], ['1'], ['null'], ['true']])(
    'that is JSON but no object is 400: %s',
    async (text) => {
      const { status, body } = await unchanged(() => post('application/json', text))
      expect(status).toBe(400)
      expect(body).toEqual({ code: 'InvalidContent', message: 'The body must be a JSON object' })
    },
  )

  it('that is malformed as a form is 400', async () => {
    const form = await unchanged(() => post('application/x-www-form-urlencoded', 'a=%zz'))
    expect({ status: form.status, code: form.body.code }).toEqual({
      status: 400,
      code: 'InvalidContent',
    })
    const parts = await unchanged(() => post('multipart/form-data; boundary=x', 'nonsense'))
    expect({ status: parts.status, code: parts.body.code }).toEqual({
      status: 400,
      code: 'BadRequestError',
    })
  })

  it('is parsed only after the token is believed', async () => {
    const malformed: [string, string][] = [
      ['application/json', '{'],
      ['application/json', '[]'],
      ['text/csv', 'a,b'],
      ['multipart/form-data', 'nonsense'],
    ]
    for (const [type, text] of malformed) {
      const headers = { 'Content-Type': type }
      const { status } = await unchanged(() => ask('POST', '/systems', { body: text, headers }))
      expect(status).toBe(403)
    }
  })

  it.each([
    ['application/json'],
    ['application/x-www-form-urlencoded'],
    ['multipart/form-data; boundary=x'],
    ['text/csv'],
    ['nonsense'],
  ])('that is empty is an empty object, whatever its type: %s', async (type) => {
    const headers = { 'Content-Type': type }
    const { status, body } = await unchanged(() =>
      api.post('/systems', undefined, { headers: { ...headers } }),
    )
    expect(status).toBe(400)
    expect(body.code).toBe('ValidationError')
    expect(body.details.map(({ field }: { field: string }) => field)).toEqual([
      'slug',
      'name',
      'url',
    ])
  })

  it.each([['application/json'], ['text/csv']])(
    'that is empty disturbs no GET and no DELETE: %s',
    async (type) => {
      const slug = unique('empty')
      await api.post('/systems', container(slug))
      const call = { headers: { 'Content-Type': type } }
      expect((await api.get(`/systems/${slug}`, call)).status).toBe(200)
      expect((await api.delete(`/systems/${slug}`, call)).status).toBe(200)
    },
  )

  it.each([
    ['application/json'],
    ['Application/JSON'],
    ['application/json; charset=utf-8'],
    ['application/json;charset=UTF-8'],
  ])('is read as %s', async (type) => {
    expect((await post(type, valid())).status).toBe(201)
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

describe('the log', () => {
  it('has one line for a request: its template and no part of its URL, body or token', async () => {
    const { path } = await seedBadge(levels[0])
    log.mockClear()
    const email = 'ada.lovelace@example.org'
    const token = await sign('GET', `${path}/instances/${email}?email=${email}`, undefined)
    const answer = await ask('GET', `${path}/instances/${email}?email=${email}`, {
      headers: { Authorization: `JWT token="${token}"` },
    })
    expect(answer.status).toBe(404)
    expect(lines(log)).toEqual([
      {
        request: answer.headers.get('X-Request-Id'),
        route: 'GET /systems/:system/badges/:badge/instances/:email',
        status: 404,
        ms: expect.any(Number),
        trips: 1,
        rowsRead: expect.any(Number),
        key: 'master',
      },
    ])
    const text = log.mock.calls.join()
    expect(text).not.toContain('lovelace')
    expect(text).not.toContain('example.org')
    expect(text).not.toContain(token)
    expect(faults).not.toHaveBeenCalled()
  })

  it.each([
    ['GET', '/', 'GET /', 200],
    ['GET', '/healthcheck/?x=y', 'GET /healthcheck', 200],
    ['HEAD', '/public/badges', 'HEAD /public/badges', 200],
    ['GET', '/nothing/ada@example.org', 'GET *', 404],
    ['PATCH', '/systems/ada@example.org', 'PATCH *', 405],
    ['GET', '/systems/ada@example.org', 'GET /systems/:system', 403],
    ['GET', '/systems/%ff', 'GET /systems/:system', 400],
    ['OPTIONS', '/public/assertions/x', 'OPTIONS *', 204],
  ])('of %s %s says %s and %d', async (method, path, route, status) => {
    await ask(method, path)
    const [line, ...more] = lines(log)
    expect(line).toMatchObject({ route, status })
    expect(line).not.toHaveProperty('key')
    expect(more).toEqual([])
    expect(log.mock.calls.join()).not.toContain('ada@')
  })

  it('names a key only when its signature holds', async () => {
    const made = await api.post(`/systems/${system}/keys`, {})
    const { key, secret } = made.body.key
    log.mockClear()
    await api.get(`/systems/${system}`, { key, secret: 'wrong' })
    await api.get(`/systems/${system}`, { key, secret })
    expect(lines(log).map((line) => line.key)).toEqual([undefined, key])
    expect(log.mock.calls.join()).not.toContain(secret)
  })
})

// ── Faults of the database ──────────────────────────────────────────────────────────────────────────────────────────

type Fault = {
  message: string
  /** Whether the calls are carried out all the same; their answers are lost. */
  lost?: boolean
  /** How many calls fail; all of them by default. */
  times?: number
  /** Only calls that write; all of them by default. */
  writes?: boolean
}

/** A database that fails as told, and counts the calls that reach it. */
function faulty({ message, lost = false, times = Number.POSITIVE_INFINITY, writes }: Fault) {
  const seen = { calls: 0 }
  let left = times
  type Bound = { text: string; real: D1PreparedStatement; all: () => Promise<unknown> }

  async function through<T>(texts: string[], call: () => Promise<T>): Promise<T> {
    seen.calls++
    const isWrite = texts.some((text) => /^\s*(insert|update|delete)\b/i.test(text))
    if (left <= 0 || (writes && !isWrite)) return call()
    left--
    if (lost) await call()
    throw new Error(message)
  }

  const DB = {
    withSession(from: string) {
      const session = env.DB.withSession(from)
      return {
        getBookmark: () => session.getBookmark(),
        prepare: (text: string) => ({
          bind(...values: unknown[]): Bound {
            const real = session.prepare(text).bind(...values)
            return { text, real, all: () => through([text], () => real.all()) }
          },
        }),
        batch: (statements: Bound[]) =>
          through(
            statements.map(({ text }) => text),
            () => session.batch(statements.map(({ real }) => real)),
          ),
      }
    },
  } as unknown as D1Database
  return { DB, seen }
}

describe('when the answer of the database is lost', () => {
  const LOST = 'D1_ERROR: Network connection lost.'

  describe.each([
    ['before the write is carried out', false],
    ['after the write has been carried out', true],
  ])('%s', (_when, lost) => {
    it('makes a system exactly once', async () => {
      const slug = unique('once')
      const before = await standing()
      const { DB, seen } = faulty({ message: LOST, lost, times: 1 })
      const { status, body } = await under(
        { DB },
        await signed('POST', '/systems', container(slug)),
      )
      expect(status).toBe(201)
      expect(body).toEqual({
        status: 'created',
        system: (await api.get(`/systems/${slug}`)).body.system,
      })
      expect(seen.calls).toBe(lost ? 3 : 2)
      const audit = Number(before?.audit) + 1
      expect(await standing()).toEqual({ ...before, systems: Number(before?.systems) + 1, audit })
      expect(faults).not.toHaveBeenCalled()
    })

    it('awards a badge exactly once, with one event and one delivery', async () => {
      const seeded = await seedBadge(levels[0])
      await seedWebhook(seeded.system)
      const before = await standing()
      const queued = await outbox()
      const { DB, seen } = faulty({ message: LOST, lost, times: 1, writes: true })
      const request = await signed('POST', `${seeded.path}/instances`, { email: 'ada@example.org' })
      const { status, body } = await under({ DB }, request)
      expect(status).toBe(201)
      expect(seen.calls).toBe(lost ? 4 : 3)
      expect(await rowsOf(seeded.badge.id)).toBe(1)
      expect((await outbox()).slice(queued.length)).toEqual([
        { type: 'badge.awarded', subject: expect.any(String), deliveries: 1 },
      ])
      const after = await standing()
      expect(Number(after?.audit)).toBe(Number(before?.audit) + 1)
      const shown = await api.get(`${seeded.path}/instances/ada@example.org`)
      expect(shown.body.instance.slug).toBe(body.instance.slug)
    })

    it('makes a key exactly once, and tells the secret that signs', async () => {
      const before = await standing()
      const { DB } = faulty({ message: LOST, lost, times: 1, writes: true })
      const { status, body } = await under(
        { DB },
        await signed('POST', `/systems/${system}/keys`, {}),
      )
      expect(status).toBe(201)
      const { key, secret } = body.key
      expect((await api.get(`/systems/${system}`, { key, secret })).status).toBe(200)
      const [keys, keySecrets] = [Number(before?.keys) + 1, Number(before?.keySecrets) + 1]
      const audit = Number(before?.audit) + 1
      expect(await standing()).toEqual({ ...before, keys, keySecrets, audit })
    })

    it('takes an award back exactly once', async () => {
      const seeded = await seedBadge(levels[0])
      await api.post(`${seeded.path}/instances`, { email: 'ada@example.org' })
      const [queued, audited] = [await outbox(), await rows('audit')]
      const { DB } = faulty({ message: LOST, lost, times: 1, writes: true })
      const path = `${seeded.path}/instances/ada@example.org`
      const { status } = await under({ DB }, await signed('DELETE', path))
      expect(status).toBe(200)
      expect((await outbox()).slice(queued.length)).toMatchObject([{ type: 'badge.revoked' }])
      expect(await rows('audit')).toBe(audited + 1)
    })
  })

  const rowsOf = async (badgeId: number) => {
    const counted = await env.DB.prepare(
      'select count(*) as n from badgeInstances where badgeId = ?',
    )
      .bind(badgeId)
      .first<{ n: number }>()
    return counted?.n
  }

  it('again and again, the write is given up with 503 and nothing is there', async () => {
    const { DB, seen } = faulty({ message: LOST })
    const request = await signed('POST', '/systems', container(unique('never')))
    const { status, headers, body } = await unchanged(() => under({ DB }, request))
    expect(status).toBe(503)
    expect(body).toEqual({ code: 'ServiceUnavailable', message: 'The database is busy' })
    expect(headers.get('Retry-After')).toMatch(/^[1-5]$/)
    expect(seen.calls).toBe(3)
  })

  it('a refusal stays a refusal and writes nothing', async () => {
    for (const lost of [false, true]) {
      const { DB } = faulty({ message: LOST, lost, times: 1 })
      const request = await signed('POST', '/systems', container(system))
      const { status } = await unchanged(() => under({ DB }, request))
      expect(status).toBe(409)
    }
  })

  it.each([
    ['GET', undefined],
    ['POST', container(unique('later'))],
  ])(
    'a %s is asked again after a pause, at random, so that not all return together',
    async (method, fields) => {
      const random = vi.spyOn(Math, 'random').mockReturnValue(0.99)
      const { DB } = faulty({ message: LOST, times: 1 })
      const request = await signed(method, '/systems', fields)
      const start = Date.now()
      const { status } = await under({ DB }, request)
      expect(Date.now() - start).toBeGreaterThanOrEqual(95)
      expect(status).toBe(fields ? 201 : 200)
      random.mockRestore()
    },
  )

  it('a read is asked again, three times in all', async () => {
    const path = `/systems/${system}`
    const twice = faulty({ message: LOST, times: 2 })
    expect((await under({ DB: twice.DB }, await signed('GET', path))).status).toBe(200)
    expect(twice.seen.calls).toBe(3)
    const always = faulty({ message: LOST })
    const answer = await under({ DB: always.DB }, await signed('GET', path))
    expect(answer.status).toBe(503)
    expect(answer.headers.get('Retry-After')).toMatch(/^[1-5]$/)
    expect(always.seen.calls).toBe(3)
  })
})

describe('when the database is overloaded', () => {
  it.each([
    ['D1_ERROR: D1 DB is overloaded. Requests queued for too long.'],
    ['D1_ERROR: D1 DB is overloaded. Too many requests queued.'],
  ])('a request is 503 at once: %s', async (message) => {
    const asked: [Request, boolean][] = [
      [await signed('POST', '/systems', container(unique('never'))), true],
      [await signed('GET', `/systems/${system}`), false],
      [new Request(`${ORIGIN}/public/badges`), false],
    ]
    for (const [request, writes] of asked) {
      const { DB, seen } = faulty({ message, writes })
      const { status, headers, body } = await unchanged(() => under({ DB }, request))
      expect(status).toBe(503)
      expect(body).toEqual({ code: 'ServiceUnavailable', message: 'The database is busy' })
      expect(headers.get('Retry-After')).toMatch(/^[1-5]$/)
      expect(seen.calls).toBe(1)
      expect(JSON.stringify(body)).not.toContain('D1')
    }
  })
})

describe('when the database does not answer', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  it.each([
    ['GET', 5_000, undefined],
    ['POST', 10_000, container('never')],
  ])('a %s is given up after %d ms', async (method, deadline, fields) => {
    const never = () => new Promise(() => {})
    const stalled = {
      withSession: () => ({
        getBookmark: () => null,
        prepare: () => ({ bind: () => ({ all: never }) }),
        batch: never,
      }),
    } as unknown as D1Database
    const request = await signed(method, '/systems', fields)
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    let isAnswered = false
    const answer = under({ DB: stalled }, request).finally(() => {
      isAnswered = true
    })
    while (vi.getTimerCount() === 0) await scheduler.wait(1)
    await vi.advanceTimersByTimeAsync(deadline - 1)
    expect(isAnswered).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    const { status, headers, body } = await answer
    expect(status).toBe(503)
    expect(body).toEqual({
      code: 'ServiceUnavailable',
      message: 'The database did not answer in time',
    })
    expect(headers.get('Retry-After')).toMatch(/^[1-5]$/)
  })
})

describe('an error that nobody expected', () => {
  it.each([
    ['D1_ERROR: no such table: systems: SQLITE_ERROR'],
    ['UNIQUE constraint failed: systems.uid: SQLITE_CONSTRAINT'],
    [`for ada@example.org with ${'s3+cr3/t'.repeat(5)}abc=\nand a second line`],
  ])('is 500, tells the caller nothing and the log its cause: %s', async (message) => {
    const asked = [
      await signed('GET', `/systems/${system}`),
      await signed('POST', '/systems', container(unique('never'))),
      new Request(`${ORIGIN}/public/badges`),
    ]
    for (const given of asked) {
      faults.mockClear()
      const { DB, seen } = faulty({ message })
      const answer = await unchanged(() => under({ DB }, given))
      expect(answer.status).toBe(500)
      expect(answer.body).toEqual({ code: 'InternalError', message: 'An internal error occured' })
      expect(answer.headers.get('Retry-After')).toBeNull()
      expect(seen.calls).toBe(1)
      const [line, ...more] = lines(faults)
      const request = answer.headers.get('X-Request-Id')
      expect(line).toMatchObject({ level: 'error', request, at: expect.stringMatching(/^at /) })
      expect(line.error).toMatch(
        /^Error: (D1_ERROR: no such table|UNIQUE|for \[email\] with \[…\]$)/,
      )
      expect(more).toEqual([])
      const told = JSON.stringify([answer.body, ...answer.headers, line])
      expect(told).not.toMatch(/ada@|s3|cr3|second line/)
    }
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
