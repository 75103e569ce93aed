import { env } from 'cloudflare:workers'
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Bindings } from '../src/env'
import { ORIGIN } from './helpers/api'
import { call, fated, LOST, request, type Sent, tokenOfText } from './helpers/calls'
import { calm, silent } from './helpers/deliveries'
import { container, levels, seedBadge, seedContainer, unique } from './helpers/seed'

/** Errors in the contract's envelope, and as RFC 9457 has them for whoever prefers that. */

const PROBLEM = 'application/problem+json'
const MIB = 1024 * 1024

beforeEach(async () => {
  await calm()
  vi.spyOn(Math, 'random').mockReturnValue(0)
  vi.spyOn(console, 'error').mockImplementation(() => {})
})
afterEach(() => vi.restoreAllMocks())

type Ask = (headers: Record<string, string>) => ReturnType<typeof call>
type Kind = {
  status: number
  code: string
  title: string
  ask: Ask
  /** The members of the envelope beside code and message, in their order. */
  more?: string[]
  headers?: Record<string, RegExp>
}

let system = ''
let path = ''
beforeAll(async () => {
  system = await seedContainer(levels[0])
  const seed = await seedBadge(levels[0])
  path = seed.path
  await call('POST', `${path}/instances`, { email: 'held@example.org' })
  await call('POST', `${path}/codes`, { code: 'used', claimed: true })
})

const asked =
  (method: string, to: () => string, fields?: object, more: Sent = {}): Ask =>
  (headers) =>
    call(method, to(), fields, { ...more, headers: { ...more.headers, ...headers } })
const unsigned =
  (method: string, to: string, init: RequestInit = {}, bindings?: Bindings): Ask =>
  (headers) =>
    request(
      new Request(ORIGIN + to, {
        method,
        ...init,
        headers: { ...(init.headers as Record<string, string>), ...headers },
      }),
      bindings,
    )
const withDb = (message: string) =>
  ({ ...silent, DB: fated(() => ({ message, after: false })) }) as Bindings

const KINDS: Record<string, Kind> = {
  'wrong fields': {
    status: 400,
    code: 'ValidationError',
    title: 'Validation error',
    more: ['details'],
    ask: asked('POST', () => `${system}/issuers`, { slug: 'x' }),
  },
  'a wrong parameter': {
    status: 400,
    code: 'InvalidParameter',
    title: 'Invalid parameter',
    more: ['parameter'],
    ask: asked('GET', () => `${system}/badges?archived=perhaps`),
  },
  'a parameter that is no list': {
    status: 400,
    code: 'InvalidParameter',
    title: 'Invalid parameter',
    more: ['parameter'],
    ask: asked('POST', () => `${path}/instances/bulk`, { emails: 'x' }),
  },
  'a body that is no JSON object': {
    status: 400,
    code: 'InvalidContent',
    title: 'Invalid content',
    ask: asked('POST', () => `${system}/issuers`, []),
  },
  'a bad path': {
    status: 400,
    code: 'BadRequestError',
    title: 'Bad request error',
    ask: unsigned('GET', '/systems/%ff'),
  },
  'a bad Idempotency-Key': {
    status: 400,
    code: 'BadRequestError',
    title: 'Bad request error',
    ask: asked('POST', () => `${system}/issuers`, {}, { headers: { 'Idempotency-Key': '""' } }),
  },
  'a code that is used up': {
    status: 400,
    code: 'CodeAlreadyUsed',
    title: 'Code already used',
    ask: asked('POST', () => `${path}/codes/used/claim`, {}),
  },
  'no signature': {
    status: 403,
    code: 'NotAuthorized',
    title: 'Not authorized',
    ask: unsigned('GET', '/systems'),
  },
  'an unknown path': {
    status: 404,
    code: 'ResourceNotFound',
    title: 'Resource not found',
    ask: unsigned('GET', '/nothing'),
  },
  'an unknown resource': {
    status: 404,
    code: 'ResourceNotFound',
    title: 'Resource not found',
    ask: asked('GET', () => `${system}/badges/none`),
  },
  'an unknown public document': {
    status: 404,
    code: 'ResourceNotFound',
    title: 'Resource not found',
    ask: unsigned('GET', '/public/assertions/none'),
  },
  'a wrong method': {
    status: 405,
    code: 'MethodNotAllowedError',
    title: 'Method not allowed error',
    ask: unsigned('PATCH', '/systems'),
    headers: { Allow: /^GET, POST$/ },
  },
  'a conflict with details': {
    status: 409,
    code: 'ResourceConflict',
    title: 'Resource conflict',
    more: ['details'],
    ask: asked('POST', () => `${path}/instances`, { email: 'held@example.org' }),
  },
  'a failed precondition': {
    status: 412,
    code: 'PreconditionFailed',
    title: 'Precondition failed',
    ask: asked('PUT', () => system, { name: 'x' }, { headers: { 'If-Match': '"99"' } }),
  },
  'too large a body': {
    status: 413,
    code: 'RequestEntityTooLarge',
    title: 'Request entity too large',
    ask: unsigned('POST', '/systems/x/keys', { body: new Uint8Array(2 * MIB + 1) }),
  },
  'an encoding': {
    status: 415,
    code: 'UnsupportedMediaTypeError',
    title: 'Unsupported media type error',
    ask: unsigned('POST', '/systems', { body: '{}', headers: { 'Content-Encoding': 'gzip' } }),
  },
  'a key of another request': {
    status: 422,
    code: 'IdempotencyKeyReused',
    title: 'Idempotency key reused',
    async ask(headers) {
      const keyed = { ...headers, 'Idempotency-Key': 'problems' }
      await call('POST', `${system}/issuers`, container('problems'), { headers: keyed })
      return call('POST', `${system}/issuers`, {}, { headers: keyed })
    },
  },
  'too many guesses': {
    status: 429,
    code: 'TooManyRequests',
    title: 'Too many requests',
    headers: { 'Retry-After': /^\d+$/ },
    async ask(headers) {
      // Of a badge of its own: codes of the others are asked for as well.
      const { path: own } = await seedBadge(levels[0])
      const claim = asked('POST', () => `${own}/codes/${unique('wrong')}/claim`, {})
      // Twice as many as an hour has: it may end meanwhile.
      for (let i = 0; i < 41; i++) {
        const answer = await claim(headers)
        if (answer.status === 429) return answer
      }
      return claim(headers)
    },
  },
  'a fault of ours': {
    status: 500,
    code: 'InternalError',
    title: 'Internal error',
    ask: asked('GET', () => system, undefined, { bindings: withDb('D1_ERROR: out of tune') }),
  },
  'a database that is away': {
    status: 503,
    code: 'ServiceUnavailable',
    title: 'Service unavailable',
    headers: { 'Retry-After': /^1$/ },
    ask: asked('GET', () => system, undefined, { bindings: withDb(LOST) }),
  },
  'a database that is overloaded': {
    status: 503,
    code: 'ServiceUnavailable',
    title: 'Service unavailable',
    headers: { 'Retry-After': /^1$/ },
    ask: asked('POST', () => '/systems', container(unique('never')), {
      bindings: withDb('D1_ERROR: D1 DB is overloaded. Too many requests queued.'),
    }),
  },
  'a service that is not set up': {
    status: 503,
    code: 'ServiceUnavailable',
    title: 'Service unavailable',
    headers: { 'Retry-After': /^1$/ },
    ask: unsigned('GET', '/systems', {}, { ...env, MASTER_SECRET: '' } as Bindings),
  },
}

const kinds = Object.entries(KINDS)

describe.each(kinds)('%s', (_name, { status, code, title, ask, more = [], headers: told = {} }) => {
  const checkHeaders = (headers: Headers) => {
    expect(headers.get('X-Request-Id')).toMatch(/^[0-9a-f]{24}$/)
    for (const [name, value] of Object.entries(told)) expect(headers.get(name)).toMatch(value)
    expect(headers.has('Retry-After')).toBe('Retry-After' in told)
    expect(headers.has('Allow')).toBe('Allow' in told)
  }

  it('is told in the contract’s envelope, to the byte', async () => {
    for (const accept of [null, 'application/json', '*/*']) {
      const answer = await ask(accept === null ? {} : { Accept: accept })
      expect(answer.status, answer.text).toBe(status)
      expect(answer.headers.get('Content-Type')).toBe('application/json')
      checkHeaders(answer.headers)
      const { body, text } = answer
      const order = ['code', 'parameter', 'message', 'details'].filter((member) =>
        ['code', 'message', ...more].includes(member),
      )
      expect(Object.keys(body)).toEqual(order)
      expect(body.code).toBe(code)
      expect(typeof body.message).toBe('string')
      expect(text).toBe(JSON.stringify(body))
    }
  })

  it('is told as a problem to whoever prefers that', async () => {
    const envelope = (await ask({})).body
    const { status: answered, headers, body } = await ask({ Accept: PROBLEM })
    expect(answered).toBe(status)
    expect(headers.get('Content-Type')).toBe(PROBLEM)
    checkHeaders(headers)
    // The name of what was asked for may differ from ask to ask.
    const detail = /wrong-/.test(envelope.message) ? expect.any(String) : envelope.message
    expect(body).toEqual({
      type: 'about:blank',
      title,
      status,
      detail,
      instance: `urn:badgekit:request:${headers.get('X-Request-Id')}`,
      code,
      ...(more.includes('parameter') && { parameter: envelope.parameter }),
      ...(more.includes('details') && { errors: envelope.details }),
    })
  })
})

it('every kind of error is among these', () => {
  const statuses = new Set(kinds.map(([, { status }]) => status))
  expect([...statuses].sort()).toEqual([400, 403, 404, 405, 409, 412, 413, 415, 422, 429, 500, 503])
})

describe('who prefers a problem', () => {
  it.each([
    [PROBLEM, true],
    ['Application/Problem+JSON', true],
    [`${PROBLEM}, application/json;q=0.9`, true],
    [`application/json;q=0.5, ${PROBLEM};q=0.8`, true],
    [`${PROBLEM}, */*;q=0.1`, true],
    [`text/html, ${PROBLEM};q=0.2`, true],
    [`${PROBLEM}; charset=utf-8`, true],
    // A tie is the contract's.
    [`application/json, ${PROBLEM}`, false],
    [`${PROBLEM}, */*`, false],
    [`${PROBLEM}, application/*`, false],
    [`${PROBLEM};q=0.5, application/json`, false],
    [`${PROBLEM};q=0`, false],
    ['application/*', false],
    ['*/*', false],
    ['text/html', false],
    ['', false],
  ])('says %s: %s', async (accept, isProblem) => {
    const { headers, status } = await unsigned('GET', '/nothing')({ Accept: accept })
    expect(status).toBe(404)
    expect(headers.get('Content-Type')).toBe(isProblem ? PROBLEM : 'application/json')
  })

  it('is asked also where the body came as a form', async () => {
    const bytes = 'slug=x'
    const answer = await request(
      new Request(`${ORIGIN}${system}/issuers`, {
        method: 'POST',
        body: bytes,
        headers: {
          Accept: PROBLEM,
          'Content-Type': 'application/x-www-form-urlencoded',
          Authorization: `JWT token="${await tokenOfText('POST', `${system}/issuers`, bytes)}"`,
        },
      }),
    )
    expect(answer.status).toBe(400)
    expect(answer.headers.get('Content-Type')).toBe(PROBLEM)
    expect(answer.body.errors.length).toBeGreaterThan(0)
  })

  it('gets good answers as everybody does', async () => {
    const { status, headers, body } = await call('GET', system, undefined, {
      headers: { Accept: PROBLEM },
    })
    expect({ status, type: headers.get('Content-Type') }).toEqual({
      status: 200,
      type: 'application/json',
    })
    expect(Object.keys(body)).toEqual(['system'])
  })
})

it('a problem has no body for HEAD', async () => {
  const { status, text } = await unsigned('HEAD', '/nothing')({ Accept: PROBLEM })
  expect({ status, text }).toEqual({ status: 404, text: '' })
})
