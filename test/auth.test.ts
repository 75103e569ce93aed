import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env, exports } from 'cloudflare:workers'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { app } from '../src/app'
import { forgetKeys } from '../src/auth'
import type { Bindings } from '../src/env'
import { open } from '../src/seal'
import { type Answer, api, ask, type Call, ORIGIN, send, sign } from './helpers/api'
import { badge, container, unique } from './helpers/seed'
import { standing } from './helpers/worker'

const utf8 = (text: string) => new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>
const hex = (bytes: ArrayBuffer) =>
  Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('')
const base64url = (bytes: Uint8Array) =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')
const bytesOf = (part: string) =>
  Uint8Array.from(atob(part.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0))
const seconds = () => Math.floor(Date.now() / 1000)
const digest = async (body: string, alg = 'SHA-256') =>
  hex(await crypto.subtle.digest(alg, utf8(body)))
const EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

/** A token made by hand, honest only where it is told to be. */
async function forge(
  header: unknown,
  claims: unknown,
  secret = env.MASTER_SECRET,
  hash = 'SHA-256',
) {
  const part = (value: unknown) =>
    base64url(utf8(typeof value === 'string' ? value : JSON.stringify(value)))
  const text = `${part(header)}.${part(claims)}`
  const key = await crypto.subtle.importKey('raw', utf8(secret), { name: 'HMAC', hash }, false, [
    'sign',
  ])
  return `${text}.${base64url(new Uint8Array(await crypto.subtle.sign('HMAC', key, utf8(text))))}`
}

const HS256 = { typ: 'JWT', alg: 'HS256' }
const master = (method: string, path: string, more: object = {}) => ({
  key: 'master',
  method,
  path,
  exp: seconds() + 60,
  ...more,
})
const withToken = (method: string, path: string, token: string) =>
  ask(method, path, { headers: { Authorization: `JWT token="${token}"` } })

const refusal = (message: string | RegExp) => ({
  status: 403,
  body: {
    code: 'NotAuthorized',
    message: typeof message === 'string' ? message : expect.stringMatching(message),
  },
})

/** States that the call is refused with this text and leaves nothing behind. */
async function refused(message: string | RegExp, call: () => Promise<Answer>): Promise<Answer> {
  const before = await standing()
  const { status, headers, body } = await call()
  expect({ status, body }).toEqual(refusal(message))
  expect(headers.get('Content-Type')).toBe('application/json')
  const told = JSON.stringify(body) + JSON.stringify([...headers])
  for (const secret of [env.MASTER_SECRET, a?.secret, b?.secret]) {
    if (secret) expect(told).not.toContain(secret)
  }
  expect(await standing()).toEqual(before)
  return { status, headers, body }
}

/** An honest POST that makes a system, but for what `call` changes. */
const create = (call?: Call) => api.post('/systems', container(unique('made')), call)
const get = (path: string, call?: Call) => api.get(path, call)

/** Two systems, each with a key of its own. */
type Consumer = { system: string; key: string; secret: string }
let a: Consumer
let b: Consumer

async function newKey(system: string, more: object = {}): Promise<Consumer> {
  const made = await api.post(`/systems/${system}/keys`, more)
  expect(made.status).toBe(201)
  return { system, key: made.body.key.key, secret: made.body.key.secret }
}

async function newConsumer(name: string): Promise<Consumer> {
  const system = unique(name)
  await api.post('/systems', container(system))
  return newKey(system)
}

const as = ({ key, secret }: Consumer, more: Call = {}): Call => ({ key, secret, ...more })

beforeAll(async () => {
  a = await newConsumer('Chicago')
  b = await newConsumer('pittsburgh')
})

describe('the header', () => {
  const NO_HEADER = 'Missing valid Authorization header'

  it('must be there', async () => {
    await refused(NO_HEADER, () => ask('GET', '/systems'))
    await refused(NO_HEADER, () => ask('POST', '/systems', { body: '{}' }))
  })

  it.each([
    () => '',
    (token: string) => `Bearer ${token}`,
    (token: string) => token,
    (token: string) => `JWT ${token}`,
    (token: string) => `JWT token=${token}`,
    (token: string) => `JWT token='${token}'`,
    (token: string) => `JWT  token="${token}"`,
    (token: string) => `JWT token="${token}`,
    (token: string) => `JWT token="${token}", x="y"`,
    (token: string) => `JWT token="${token}" x`,
    (token: string) => `x JWT token="${token}"`,
    (token: string) => `JWT token="${token}", JWT token="${token}"`,
    () => 'JWT token=""',
    () => 'JWT token="',
    () => 'JWT',
  ])('is refused in another form: %s', async (form) => {
    const token = await sign('GET', '/systems', undefined)
    await refused(NO_HEADER, () =>
      ask('GET', '/systems', { headers: { Authorization: form(token) } }),
    )
  })

  it('may name its scheme in any case, between blanks', async () => {
    const token = await sign('GET', '/systems', undefined)
    for (const header of [
      `JWT token="${token}"`,
      `jwt token="${token}"`,
      ` JWT token="${token}" `,
    ]) {
      const { status } = await ask('GET', '/systems', { headers: { Authorization: header } })
      expect(status).toBe(200)
    }
  })

  it('may not be sent twice', async () => {
    const token = await sign('GET', '/systems', undefined)
    const headers = new Headers()
    headers.append('Authorization', `JWT token="${token}"`)
    headers.append('Authorization', `JWT token="${token}"`)
    const response = await exports.default.fetch(`${ORIGIN}/systems`, { headers })
    expect({ status: response.status, body: await response.json() }).toEqual(refusal(NO_HEADER))
  })

  it('may hold 8 KiB and no more', async () => {
    const headerOf = async (n: number) =>
      `JWT token="${await sign('GET', '/systems', undefined, { claims: { x: 'x'.repeat(n) } })}"`
    const send = (Authorization: string) => ask('GET', '/systems', { headers: { Authorization } })
    // Base64 grows by one or two characters for each.
    let [n, last, next] = [5_500, '', await headerOf(5_500)]
    while (next.length <= 8_192) [last, next] = [next, await headerOf(++n)]
    expect([last.length, next.length]).toEqual([8_192, 8_193])
    expect((await send(last)).status).toBe(200)
    await refused(NO_HEADER, () => send(next))
  })
})

describe('the form of a token', () => {
  it.each([
    ['x'],
    ['a.b'],
    ['a.b.c.d'],
    ['..'],
    ['.a.b'],
    ['!!!.e30.AAAA'],
    [`${base64url(utf8('no json'))}.e30.AAAA`],
    [`${base64url(utf8('"text"'))}.e30.AAAA`],
    [`${base64url(utf8('null'))}.e30.AAAA`],
    [`${base64url(utf8('[]'))}.e30.AAAA.`],
    [`${base64url(utf8('{"alg":"HS256"}'))}.!!!.AAAA`],
    [`${base64url(utf8('{"alg":"HS256"}'))}.e30=.AAAA`],
    [`${base64url(utf8('{"alg":"HS256"}'))}.e30.A+/A`],
    [`${base64url(utf8('{"alg":"HS256"}'))}.e30.AA AA`],
  ])('is refused when it is no JWS: %s', async (token) => {
    await refused('Could not decode JWT', () => withToken('GET', '/systems', token))
  })

  it.each([[''], ['no json'], ['null'], ['1'], ['"text"'], ['[]'], ['{'], ['{"key":"master"']])(
    'is refused when its payload is no object: %s',
    async (payload) => {
      await refused('Missing JWT payload', async () =>
        withToken('GET', '/systems', await forge(HS256, payload)),
      )
    },
  )

  it('needs no `typ`', async () => {
    for (const header of [{ alg: 'HS256' }, { typ: 'other', alg: 'HS256' }]) {
      const token = await forge(header, master('GET', '/systems'))
      expect((await withToken('GET', '/systems', token)).status).toBe(200)
    }
  })
})

describe('the signature', () => {
  const UNSIGNED = 'Invalid token signature'
  const claims = () => master('GET', '/systems')

  it('is HS256 under the secret, its bytes taken as they are', async () => {
    const token = await forge(HS256, claims())
    expect((await withToken('GET', '/systems', token)).status).toBe(200)
  })

  it.each([['none'], ['None'], ['NONE'], ['nOnE'], ['']])(
    'cannot be left out by alg %j',
    async (alg) => {
      const token = await forge({ typ: 'JWT', alg }, claims())
      const [header, payload] = token.split('.')
      await refused(UNSIGNED, () => withToken('GET', '/systems', token))
      await refused(UNSIGNED, () => withToken('GET', '/systems', `${header}.${payload}.`))
    },
  )

  it('cannot be empty', async () => {
    const [header, payload] = (await forge(HS256, claims())).split('.')
    await refused(UNSIGNED, () => withToken('GET', '/systems', `${header}.${payload}.`))
  })

  it.each([
    ['HS384', 'SHA-384'],
    ['HS512', 'SHA-512'],
    ['RS256', 'SHA-256'],
    ['ES256', 'SHA-256'],
    ['hs256', 'SHA-256'],
    ['HS256 ', 'SHA-256'],
    [1, 'SHA-256'],
    [null, 'SHA-256'],
    [['HS256'], 'SHA-256'],
    [undefined, 'SHA-256'],
  ])('is refused under alg %j, even when it is right', async (alg, hash) => {
    const token = await forge({ typ: 'JWT', alg }, claims(), env.MASTER_SECRET, hash)
    await refused(UNSIGNED, () => withToken('GET', '/systems', token))
  })

  it('is refused when the header holds extensions that we do not know', async () => {
    const token = await forge({ ...HS256, crit: ['x'], x: 1 }, claims())
    await refused(UNSIGNED, () => withToken('GET', '/systems', token))
  })

  it.each([['other'], ['shhh.secret '], ['Shhh.secret'], ['shhh.secre'], ['\0']])(
    'is refused under another secret: %j',
    async (secret) => {
      await refused(UNSIGNED, () => get('/systems', { secret }))
      await refused(UNSIGNED, () => create({ secret }))
    },
  )

  it('does not hold when any bit of the token is another', async () => {
    const token = await sign('GET', '/systems', undefined)
    const parts = token.split('.')
    const before = await standing()
    for (const [at, part] of parts.entries()) {
      const bytes = bytesOf(part)
      for (let bit = 0; bit < bytes.length * 8; bit++) {
        const flipped = bytes.slice()
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        const changed = parts.with(at, base64url(flipped)).join('.')
        const { status, body } = await withToken('GET', '/systems', changed)
        expect(status, `${at}:${bit}`).toBe(403)
        expect(body.code).toBe('NotAuthorized')
      }
    }
    expect(await standing()).toEqual(before)
    expect((await withToken('GET', '/systems', token)).status).toBe(200)
  }, 60_000)

  it('does not hold when it is cut short or made longer', async () => {
    const token = await sign('GET', '/systems', undefined)
    for (let cut = 1; cut <= 43; cut++) {
      expect((await withToken('GET', '/systems', token.slice(0, -cut))).status).toBe(403)
    }
    for (const more of ['A', 'AA', 'AAAA', '.', '.AAAA', '=']) {
      expect((await withToken('GET', '/systems', token + more)).status).toBe(403)
    }
  })

  it('does not hold for the claims of another token', async () => {
    const [one = '', two = ''] = await Promise.all([
      sign('GET', '/systems', undefined),
      sign('GET', `/systems/${a.system}`, undefined),
    ])
    const mixed = [...two.split('.').slice(0, 2), one.split('.')[2]].join('.')
    await refused(UNSIGNED, () => withToken('GET', `/systems/${a.system}`, mixed))
  })
})

describe('the claim `method`', () => {
  it.each([[undefined], [null], [''], [0], [false]])('must be there, not %j', async (method) => {
    await refused('Missing JWT claim: method', () => create({ claims: { method } }))
  })

  it.each([
    ['GET', 'GET'],
    ['PUT', 'PUT'],
    ['POSTS', 'POSTS'],
    [' POST', ' POST'],
    [1, '1'],
    [true, 'true'],
    [['POST'], '["POST"]'],
    [{ toUpperCase: 'POST' }, '{"toUpperCase":"POST"}'],
  ])('must be that of the request, not %j', async (method, shown) => {
    await refused(`\`method\` does not match: using "${shown}" token for "POST" request`, () =>
      create({ claims: { method } }),
    )
  })

  it('is compared without case', async () => {
    expect((await create({ claims: { method: 'post' } })).status).toBe(201)
    expect((await get('/systems', { claims: { method: 'Get' } })).status).toBe(200)
  })
})

describe('the claim `path`', () => {
  it.each([[undefined], [null], [''], [0], [false]])('must be there, not %j', async (path) => {
    await refused('Missing JWT claim: path', () => create({ claims: { path } }))
  })

  it.each([
    ['/systems', '/'],
    ['/systems', '/Systems'],
    ['/systems', '/systems/x'],
    ['/systems', '/systems?page=1'],
    ['/systems', 'systems'],
    ['/systems', `${ORIGIN}/systems`],
    ['/systems?page=1&count=2', '/systems'],
    ['/systems?page=1&count=2', '/systems?page=1&count=3'],
    ['/systems?page=1&count=2', '/systems?count=2&page=1'],
    ['/systems?page=1&count=2', '/systems%3Fpage=1&count=2'],
    ['/systems/a@b', '/systems/a%40b'],
    ['/systems/a%40b', '/systems/a@b'],
    ['/systems/a+b', '/systems/a%2Bb'],
    ['/systems/a+b', '/systems/a%20b'],
    ['/systems/a%2Fb', '/systems/a/b'],
    ['/systems/a%28b%29', '/systems/a(b)'],
    ['/systems/a%252Fb', '/systems/a%2Fb'],
  ])('is refused when the request for %s says %s', async (path, claimed) => {
    await refused(
      `\`path\` does not match: trying to use token for "${claimed}" on "${path}"`,
      () => get(path, { claims: { path: claimed } }),
    )
  })

  it.each([
    [1, '1'],
    [true, 'true'],
    [['/systems'], '["/systems"]'],
    [{}, '{}'],
  ])('is refused when it is no text: %j', async (claimed, shown) => {
    await refused(`\`path\` does not match: trying to use token for "${shown}" on "/systems"`, () =>
      get('/systems', { claims: { path: claimed } }),
    )
  })

  it('is shown in an answer up to 2,000 characters', async () => {
    const path = `/${'x'.repeat(3_000)}`
    await refused(/^`path` does not match: trying to use token for "\/x{1999}" on/, () =>
      get('/systems', { claims: { path } }),
    )
  })

  // Each is a request for a system that there is not: past the checks, its name comes back decoded.
  it.each([
    ['/systems/a@b', '/systems/a@b', 'a@b'],
    ['/systems/a%40b', '/systems/a%40b', 'a@b'],
    ['/systems/a+b@x', '/systems/a+b@x', 'a+b@x'],
    ['/systems/a%2Bb%40x', '/systems/a%2bb%40x', 'a+b@x'],
    ['/systems/x%28y%29%21%2A', '/systems/x%28y%29%21%2A', 'x(y)!*'],
    ['/systems/x(y)!*', '/systems/x(y)!*', 'x(y)!*'],
    ['/systems/a%2fb', '/systems/a%2Fb', 'a/b'],
    ['/systems/%7Eme', '/systems/~me', '~me'],
    ['/systems/%6De', '/systems/me', 'me'],
    ['/systems/a%20b', '/systems/a b', 'a b'],
    ['/systems/%C3%A9', '/systems/é', 'é'],
    ['/systems/no/', '/systems/no', 'no'],
    ['/systems/no', '/systems/no/', 'no'],
    ['/systems//no', '/systems/no', 'no'],
    ['/systems/no', '//systems//no//', 'no'],
    ['/systems/no/?page=1', '/systems/no?page=1', 'no'],
    ['/systems/no?page=1', '/systems/no/?page=1', 'no'],
    ['/systems/no?x=a@b', '/systems/no?x=a@b', 'no'],
    ['/systems/no?x=%7e', '/systems/no?x=~', 'no'],
  ])('lets %s pass when it says %s', async (path, claimed, name) => {
    const { status, body } = await get(path, { claims: { path: claimed } })
    expect(body.message).toBe(`Could not find system field: \`slug\`, value: \`${name}\``)
    expect(status).toBe(404)
  })
})

describe('the claim `exp`', () => {
  const expired = (exp: unknown) =>
    new RegExp(
      `^Token is expired \\(token expiry: ${String(exp).replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}, server time: ${String(seconds()).slice(0, -3)}\\d{3}\\)$`,
    )

  it.each([
    ['in a minute', () => seconds() + 60],
    ['in a minute, in milliseconds as the Node client sends it', () => Date.now() + 60_000],
    ['in 60,000 s, as the Python client sends it', () => seconds() + 60_000],
    ['as a fraction', () => seconds() + 60.5],
    ['in the year 9999', () => 253_402_300_799_000],
    ['at the end of numbers', () => Number.MAX_VALUE],
  ])('passes when it lies ahead: %s', async (_name, exp) => {
    expect((await get('/systems', { claims: { exp: exp() } })).status).toBe(200)
    const call = as(a, { claims: { exp: exp() } })
    expect((await get(`/systems/${a.system}`, call)).status).toBe(200)
  })

  it.each([
    ['this second', () => seconds()],
    ['a second ago', () => seconds() - 1],
    ['a second ago, in milliseconds', () => Date.now() - 1_000],
    ['1', () => 1],
    ['a negative number', () => -1],
    ['1e11 seconds less than nothing', () => -1e12],
    ['the least that is milliseconds', () => 1e11 + 1],
  ])('is refused when it has passed: %s', async (_name, made) => {
    const exp = made()
    await refused(expired(exp), () => create({ claims: { exp } }))
  })

  it('is seconds up to 1e11', async () => {
    expect((await get('/systems', { claims: { exp: 1e11 } })).status).toBe(200)
  })

  it.each([
    [''],
    ['0'],
    ['never'],
    [String(Number.MAX_SAFE_INTEGER)],
    [true],
    [false],
    [[4_000_000_000]],
    [{}],
    [{ valueOf: 4_000_000_000 }],
  ])('is refused when it is no number: %j', async (exp) => {
    const shown = typeof exp === 'string' ? exp : JSON.stringify(exp)
    await refused(expired(shown), () => create({ claims: { exp } }))
  })

  it.each([['1e999'], ['-1e999']])('is refused when it is no finite number: %s', async (exp) => {
    const payload = JSON.stringify(master('GET', '/systems', { exp: 'EXP' })).replace('"EXP"', exp)
    await refused(/^Token is expired \(/, async () =>
      withToken('GET', '/systems', await forge(HS256, payload)),
    )
  })

  it.each([[undefined], [null], [0]])('may be missing from the master key: %j', async (exp) => {
    expect((await get('/systems', { claims: { exp } })).status).toBe(200)
    expect((await create({ claims: { exp } })).status).toBe(201)
  })

  it.each([[undefined], [null], [0]])('may not be missing from other keys: %j', async (exp) => {
    const path = `/systems/${a.system}`
    await refused('Missing JWT claim: exp', () => get(path, as(a, { claims: { exp } })))
    await refused('Missing JWT claim: exp', () =>
      api.post(`${path}/issuers`, container(unique('issuer')), as(a, { claims: { exp } })),
    )
  })

  it('may be missing from a key made so, and is enforced when it is there', async () => {
    const lasting = await newKey(a.system, { allowNoExp: true })
    const path = `/systems/${a.system}`
    for (const exp of [undefined, null, 0]) {
      expect((await get(path, as(lasting, { claims: { exp } }))).status).toBe(200)
    }
    await refused(expired(1), () => get(path, as(lasting, { claims: { exp: 1 } })))
  })
})

describe('the claim `body`', () => {
  const text = JSON.stringify(container('hashed'))
  const post = (body: unknown, given = text) =>
    send('POST', '/systems', { type: 'application/json', bytes: utf8(given) }, { claims: { body } })
  const NO_BODY = 'Missing JWT claim: body'
  const wrong = (hash: string) => `Computed hash does not match given hash: ${hash}`

  it.each([[undefined], [null], [false], [0], ['']])('must be there, not %j', async (body) => {
    await refused(NO_BODY, () => post(body))
  })

  it.each([
    [{}],
    [{ hash: EMPTY }],
    [{ alg: '', hash: EMPTY }],
    [{ alg: null }],
    ['text'],
    [[]],
    [1],
  ])('must name its algorithm: %j', async (body) => {
    await refused(`${NO_BODY}.alg`, () => post(body))
  })

  it.each([[{ alg: 'sha256' }], [{ alg: 'md5', hash: '' }], [{ alg: 'sha256', hash: null }]])(
    'must hold the hash: %j',
    async (body) => {
      await refused(`${NO_BODY}.hash`, () => post(body))
    },
  )

  it.each([
    ['md5'],
    ['sha1'],
    ['SHA-1'],
    ['sha224'],
    ['sha'],
    ['sha--256'],
    ['sha256 '],
    ['sha512/256'],
    ['constructor'],
    ['__proto__'],
    ['toString'],
  ])('is refused with the algorithm %s', async (alg) => {
    const message = `Could not calculate hash, unsupported algorithm: ${alg}`
    await refused(message, () => post({ alg, hash: EMPTY }))
  })

  it.each([
    [1, '1'],
    [true, 'true'],
    [['sha256'], '["sha256"]'],
    [{ name: 'SHA-256' }, '{"name":"SHA-256"}'],
  ])('is refused when its algorithm is no text: %j', async (alg, shown) => {
    const message = `Could not calculate hash, unsupported algorithm: ${shown}`
    await refused(message, async () => post({ alg, hash: await digest(text) }))
  })

  it.each([
    ['sha256', 'SHA-256'],
    ['SHA256', 'SHA-256'],
    ['sha-256', 'SHA-256'],
    ['SHA-256', 'SHA-256'],
    ['Sha256', 'SHA-256'],
    ['sha384', 'SHA-384'],
    ['SHA-384', 'SHA-384'],
    ['sha512', 'SHA-512'],
    ['SHA-512', 'SHA-512'],
  ])('passes as %s, its digest in any case', async (alg, name) => {
    for (const change of ['toLowerCase', 'toUpperCase'] as const) {
      const given = JSON.stringify(container(unique('digest')))
      const made = await post({ alg, hash: (await digest(given, name))[change]() }, given)
      expect(made.status).toBe(201)
    }
  })

  it('is refused when the hash is that of other bytes, and does not tell the right one', async () => {
    const right = await digest(text)
    const hashes = [
      EMPTY,
      await digest(`${text} `),
      await digest(text, 'SHA-512'),
      right.slice(1),
      `${right}0`,
      `0${right}`,
      'é'.repeat(64),
      'x',
    ]
    for (const hash of hashes) {
      const { body } = await refused(wrong(hash), () => post({ alg: 'sha256', hash }))
      if (!hash.includes(right)) expect(JSON.stringify(body)).not.toContain(right)
    }
  })

  it.each([
    [1, '1'],
    [true, 'true'],
    [{}, '{}'],
    [[EMPTY], `["${EMPTY}"]`],
  ])('is refused when the hash is no text: %j', async (hash, shown) => {
    await refused(wrong(shown), () => post({ alg: 'sha256', hash }))
  })

  it('is refused when any bit of the body is another', async () => {
    const token = await sign('POST', '/systems', utf8(text))
    const before = await standing()
    for (let bit = 0; bit < text.length * 8; bit += 5) {
      const bytes = utf8(text)
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const headers = { Authorization: `JWT token="${token}"`, 'Content-Type': 'application/json' }
      const { status } = await ask('POST', '/systems', { body: bytes, headers })
      expect(status, String(bit)).toBe(403)
    }
    expect(await standing()).toEqual(before)
  })

  it('may be missing or null when there are no bytes', async () => {
    for (const body of [undefined, null]) {
      const { status, body: answer } = await api.post('/systems', undefined, { claims: { body } })
      expect(status).toBe(400)
      expect(answer.code).toBe('ValidationError')
    }
    const made = await api.post(`/systems/${a.system}/keys`)
    expect(made.status).toBe(201)
  })

  it('must be the digest of nothing when it is there and there are no bytes', async () => {
    const body = { alg: 'sha256', hash: EMPTY }
    const passed = await api.post('/systems', undefined, { claims: { body } })
    expect(passed.status).toBe(400)
    for (const hash of ['x', await digest('{}')]) {
      await refused(wrong(hash), () =>
        api.post('/systems', undefined, { claims: { body: { alg: 'sha256', hash } } }),
      )
    }
    await refused(`${NO_BODY}.alg`, () => api.post('/systems', undefined, { claims: { body: {} } }))
    await refused(NO_BODY, () => api.post('/systems', undefined, { claims: { body: false } }))
  })

  it('is not asked of GET, whatever it holds', async () => {
    for (const body of [
      null,
      {},
      'x',
      { alg: 'md5', hash: 'x' },
      { alg: '__proto__', hash: 'x' },
    ]) {
      expect((await get('/systems', { claims: { body } })).status).toBe(200)
    }
  })

  it('covers the raw bytes of a form', async () => {
    const made = await api.form('/systems', container(unique('form')))
    expect(made.status).toBe(201)
    const fields = new URLSearchParams(container(unique('form'))).toString()
    const type = 'application/x-www-form-urlencoded'
    await refused(wrong(EMPTY), () =>
      send(
        'POST',
        '/systems',
        { type, bytes: utf8(fields) },
        {
          claims: { body: { alg: 'sha256', hash: EMPTY } },
        },
      ),
    )
  })

  it('covers the raw bytes of a multipart body', async () => {
    const form = new FormData()
    for (const [name, value] of Object.entries(container(unique('parts')))) form.append(name, value)
    expect((await api.multipart('/systems', form)).status).toBe(201)
    form.set('slug', unique('parts'))
    const hash = await digest(new URLSearchParams(form as never).toString())
    await refused(wrong(hash), () =>
      api.multipart('/systems', form, { claims: { body: { alg: 'sha256', hash } } }),
    )
  })
})

describe('the body of a DELETE', () => {
  /** An award to take back, and how the row says why. */
  async function awarded() {
    const slug = unique('badge')
    await api.post(`/systems/${a.system}/badges`, badge(slug))
    const path = `/systems/${a.system}/badges/${slug}/instances`
    const made = await api.post(path, { email: 'ada@example.org' })
    expect(made.status).toBe(201)
    const reason = () =>
      env.DB.prepare(
        'select revocationReason as reason from badgeInstances order by id desc',
      ).first()
    return { path: `${path}/ada@example.org`, reason }
  }
  const body = { type: 'application/json', bytes: utf8('{"reason":"mistake"}') }

  it('counts when the token covers it', async () => {
    const { path, reason } = await awarded()
    expect((await send('DELETE', path, body)).status).toBe(200)
    expect(await reason()).toEqual({ reason: 'mistake' })
  })

  it.each([
    [undefined],
    [null],
    [{ alg: 'sha256', hash: EMPTY }],
    [{ alg: 'md5', hash: EMPTY }],
    [{ alg: '__proto__', hash: EMPTY }],
    [{ alg: 'sha256' }],
  ])('is not read when the token does not cover it: %j', async (claim) => {
    const { path, reason } = await awarded()
    expect((await send('DELETE', path, body, { claims: { body: claim } })).status).toBe(200)
    expect(await reason()).toEqual({ reason: null })
  })
})

describe('the claim `key`', () => {
  it.each([[undefined], [null], [''], [0], [false]])('must be there, not %j', async (key) => {
    await refused('Missing JWT claim: key', () => create({ claims: { key } }))
  })

  it.each([
    ['nobody'],
    ['Master'],
    ['master '],
    ["' or 1=1 --"],
    ['x'.repeat(256)],
    ['x'.repeat(5_000)],
    [1],
    [true],
    [['master']],
    [{ key: 'master' }],
    ['\u0000'],
    ['\ud800'],
    ['__proto__'],
    ['🔑'],
  ])('must be one that there is, not %j', async (key) => {
    await refused('Could not find consumer for API key', () => create({ claims: { key } }))
  })

  it('is compared with case', async () => {
    const { key } = a
    expect(key).toMatch(/[a-f]/)
    await refused('Could not find consumer for API key', () =>
      get(`/systems/${a.system}`, as(a, { claims: { key: key.toUpperCase() } })),
    )
  })

  it('does not reach a row that is named `master`', async () => {
    const spare = await newKey(a.system)
    await env.DB.prepare("update keys set key = 'master' where key = ?").bind(spare.key).run()
    await refused('Invalid token signature', () =>
      get(`/systems/${a.system}`, { key: 'master', secret: spare.secret }),
    )
    await env.DB.prepare('update keys set key = ? where key = ?').bind(spare.key, 'master').run()
  })
})

describe('a key of a system', () => {
  it('reads and changes its own system', async () => {
    const path = `/systems/${a.system}`
    expect((await get(path, as(a))).status).toBe(200)
    expect((await get(`${path}/badges`, as(a))).status).toBe(200)
    expect((await api.put(path, { description: 'ours' }, as(a))).status).toBe(200)
    const made = await api.post(`${path}/issuers`, container(unique('issuer')), as(a))
    expect(made.status).toBe(201)
    const { results } = await env.DB.prepare('select key from audit order by id desc limit 1').all()
    expect(results).toEqual([{ key: a.key }])
  })

  it('reaches no other system and no list of systems', async () => {
    const WRONG = 'Invalid token for system'
    for (const path of [
      '/systems',
      '/systems?page=1&count=1',
      `/systems/${b.system}`,
      `/systems/${b.system}/badges`,
      '/systems/none',
      `/systems/${a.system}x`,
      `/systems/${a.system}%20`,
      `/systems/${a.system}%2F`,
      `/systems/x%2F..%2F${a.system}`,
    ]) {
      await refused(WRONG, () => get(path, as(a)))
    }
    await refused(WRONG, () => create(as(a)))
    await refused(WRONG, () => api.put(`/systems/${b.system}`, { name: 'x' }, as(a)))
    await refused(WRONG, () => api.delete(`/systems/${b.system}`, as(a)))
    await refused(WRONG, () => api.post(`/systems/${b.system}/keys`, {}, as(a)))
  })

  it('must write the name of its system exactly', async () => {
    const WRONG = 'Invalid token for system'
    await refused(WRONG, () => get(`/systems/${a.system.toLowerCase()}`, as(a)))
    await refused(WRONG, () => get(`/systems/${a.system.toUpperCase()}`, as(a)))
    expect((await get(`/systems/${a.system.toLowerCase()}`)).status).toBe(200)
  })

  it('may write the name of its system with escapes', async () => {
    const path = `/systems/${a.system.replace('C', '%43')}`
    expect((await get(path, as(a))).status).toBe(200)
  })

  it('tells the system before the signature', async () => {
    await refused('Invalid token for system', () =>
      get(`/systems/${b.system}`, as(a, { secret: 'wrong' })),
    )
  })

  it.each([['wrong'], ['shhh.secret']])('is refused with the secret %j', async (secret) => {
    await refused('Invalid token signature', () => get(`/systems/${a.system}`, as(a, { secret })))
    await refused('Invalid token signature', () =>
      api.post(`/systems/${a.system}/keys`, {}, as(a, { secret })),
    )
  })

  it("is refused with another key's secret", async () => {
    await refused('Invalid token signature', () =>
      get(`/systems/${a.system}`, as(a, { secret: b.secret })),
    )
    await refused('Invalid token signature', () => get('/systems', { secret: a.secret }))
  })

  describe.each([
    ['disabled', 'update keys set disabledAt = 1 where key = ?'],
    ['deleted', 'update keys set deletedAt = 1 where key = ?'],
    ['expired', 'update keys set expires = 1 where key = ?'],
    [
      'a key of a deleted system',
      'update systems set deletedAt = 1 where id = (select systemId from keys where key = ?)',
    ],
  ])('that is %s', (_state, change) => {
    it('is as good as none', async () => {
      const gone = await newConsumer('gone')
      await env.DB.prepare(change).bind(gone.key).run()
      forgetKeys()
      await refused('Could not find consumer for API key', () =>
        get(`/systems/${gone.system}`, as(gone)),
      )
    })
  })

  it('works until it expires', async () => {
    const soon = await newKey(a.system, { expires: seconds() + 3_600 })
    expect((await get(`/systems/${a.system}`, as(soon))).status).toBe(200)
  })

  describe('as time goes by', () => {
    afterEach(() => {
      vi.useRealTimers()
    })

    it('is known for a minute and not longer after it is disabled', async () => {
      const { system, key, secret } = await newKey(a.system)
      const call = { key, secret }
      expect((await get(`/systems/${system}`, call)).status).toBe(200)
      await env.DB.prepare('update keys set disabledAt = 1 where key = ?').bind(key).run()
      const start = Date.now()
      vi.useFakeTimers({ toFake: ['Date'], now: start + 55_000 })
      expect((await get(`/systems/${system}`, call)).status).toBe(200)
      vi.setSystemTime(start + 61_000)
      await refused('Could not find consumer for API key', () => get(`/systems/${system}`, call))
    })

    it('works from the moment it is made, though it was asked for before', async () => {
      const spare = await newKey(a.system)
      await env.DB.prepare("update keys set key = 'later' where key = ?").bind(spare.key).run()
      forgetKeys()
      await refused('Could not find consumer for API key', () =>
        get(`/systems/${a.system}`, as(spare)),
      )
      await env.DB.prepare("update keys set key = ? where key = 'later'").bind(spare.key).run()
      expect((await get(`/systems/${a.system}`, as(spare))).status).toBe(200)
    })
  })

  it('may have several secrets, and none that has been retired', async () => {
    const [one, two] = [await newKey(a.system), await newKey(a.system)]
    const move = 'update keySecrets set keyId = (select id from keys where key = ?)'
    const which = 'where keyId = (select id from keys where key = ?)'
    await env.DB.prepare(`${move} ${which}`).bind(one.key, two.key).run()
    forgetKeys()
    const path = `/systems/${a.system}`
    expect((await get(path, as(one))).status).toBe(200)
    expect((await get(path, as(one, { secret: two.secret }))).status).toBe(200)
    await refused('Invalid token signature', () => get(path, as(two)))

    const retire = `update keySecrets set retiresAt = ? where id = (select max(id) from keySecrets ${which})`
    await env.DB.prepare(retire)
      .bind(Date.now() + 60_000, one.key)
      .run()
    forgetKeys()
    expect((await get(path, as(one))).status).toBe(200)
    expect((await get(path, as(one, { secret: two.secret }))).status).toBe(200)

    await env.DB.prepare(`update keySecrets set retiresAt = ? ${which}`).bind(1, one.key).run()
    forgetKeys()
    await refused('Invalid token signature', () => get(path, as(one)))
    await refused('Invalid token signature', () => get(path, as(one, { secret: two.secret })))
  })
})

describe("a key's secret in the table", () => {
  const secretsOf = (key: string) =>
    env.DB.prepare('select x.* from keySecrets x join keys k on k.id = x.keyId where k.key = ?')
      .bind(key)
      .first<{ id: string; sealed: string }>()

  it('is sealed for its row', async () => {
    const { key, secret } = await newKey(a.system)
    const row = await secretsOf(key)
    const everything = JSON.stringify([
      row,
      await env.DB.prepare('select * from keys where key = ?').bind(key).first(),
      (await env.DB.prepare('select * from audit').all()).results,
    ])
    expect(everything).not.toContain(secret)
    expect(everything).not.toContain(btoa(secret))
    expect(row?.sealed).toMatch(/^v1\.k1\./)
    const place = { table: 'keySecrets', row: row?.id ?? '', column: 'sealed' }
    expect(await open(env.ENCRYPTION_KEYS, row?.sealed ?? '', place)).toBe(secret)
  })

  it('opens nothing when it is moved to the row of another key', async () => {
    const [one, two] = [await newKey(a.system), await newKey(a.system)]
    const row = await secretsOf(one.key)
    await env.DB.prepare('update keySecrets set sealed = ? where id = ?')
      .bind(row?.sealed, (await secretsOf(two.key))?.id)
      .run()
    forgetKeys()
    const fault = vi.spyOn(console, 'error').mockImplementation(() => {})
    for (const secret of [one.secret, two.secret]) {
      const { status, body } = await get(`/systems/${a.system}`, as(two, { secret }))
      expect(status).toBe(500)
      expect(body).toEqual({ code: 'InternalError', message: 'An internal error occured' })
    }
    expect(fault).toHaveBeenCalledTimes(2)
    fault.mockRestore()
    expect((await get(`/systems/${a.system}`, as(one))).status).toBe(200)
  })
})

/** Faults of a request, in the order in which they are told. */
const faults: { name: string; message: RegExp; claims?: object; body?: object; secret?: string }[] =
  [
    { name: 'no method', message: /^Missing JWT claim: method$/, claims: { method: undefined } },
    { name: 'wrong method', message: /^`method` does not match/, claims: { method: 'PUT' } },
    { name: 'no path', message: /^Missing JWT claim: path$/, claims: { path: undefined } },
    { name: 'wrong path', message: /^`path` does not match/, claims: { path: '/elsewhere' } },
    { name: 'expired', message: /^Token is expired/, claims: { exp: 1 } },
    { name: 'no body', message: /^Missing JWT claim: body$/, claims: { body: undefined } },
    { name: 'no body.alg', message: /^Missing JWT claim: body\.alg$/, body: { alg: undefined } },
    { name: 'no body.hash', message: /^Missing JWT claim: body\.hash$/, body: { hash: undefined } },
    { name: 'unknown body.alg', message: /unsupported algorithm: md5$/, body: { alg: 'md5' } },
    { name: 'wrong body.hash', message: /^Computed hash does not match/, body: { hash: EMPTY } },
    { name: 'no key', message: /^Missing JWT claim: key$/, claims: { key: undefined } },
    { name: 'unknown key', message: /^Could not find consumer/, claims: { key: 'nobody' } },
    { name: 'key of another system', message: /^Invalid token for system$/ },
    { name: 'wrong secret', message: /^Invalid token signature$/, secret: 'wrong' },
    { name: 'no exp', message: /^Missing JWT claim: exp$/, claims: { exp: undefined } },
  ]

describe('of two faults', () => {
  const text = '{"description":"never made"}'

  /** A request with these faults, an earlier one in the place of a later where both change the same claim. */
  async function faulty(chosen: typeof faults, malformed = false) {
    const inOrder = [...chosen].reverse()
    const isOther = chosen.some(({ name }) => name === 'key of another system')
    const path = `/systems/${a.system}/keys`
    const bytes = utf8(malformed ? '{' : text)
    const honest = { alg: 'sha256', hash: hex(await crypto.subtle.digest('SHA-256', bytes)) }
    const body = Object.assign({}, honest, ...inOrder.map(({ body }) => body))
    const claims = Object.assign({ body }, ...inOrder.map(({ claims }) => claims))
    const secret = inOrder.find((fault) => fault.secret)?.secret
    const call = as(isOther ? b : a, { claims, ...(secret && { secret }) })
    return send('POST', path, { type: 'application/json', bytes }, call)
  }

  it('none is told when there is none', async () => {
    expect((await faulty([])).status).toBe(201)
  })

  it.each(faults)('$name is told before every later one', async (fault) => {
    await refused(fault.message, () => faulty([fault]))
    for (const later of faults.slice(faults.indexOf(fault) + 1)) {
      await refused(fault.message, () => faulty([fault, later]))
    }
  })

  it.each(faults)('$name is told before a body that is no JSON', async (fault) => {
    await refused(fault.message, () => faulty([fault], true))
  })

  it('those of the master key are told in the same order', async () => {
    const secret = 'wrong'
    await refused(/^Token is expired/, () => create({ secret, claims: { exp: 1 } }))
    await refused(/^Missing JWT claim: body$/, () => create({ secret, claims: { body: null } }))
    await refused('Invalid token signature', () => create({ secret, claims: { exp: 0 } }))
  })

  it('the header is told before the form of the token, and that before its payload', async () => {
    await refused('Missing valid Authorization header', () =>
      ask('GET', '/systems', { headers: { Authorization: 'JWT token="a.b' } }),
    )
    await refused('Could not decode JWT', () => withToken('GET', '/systems', 'x.bm8.x'))
    const header = base64url(utf8('{"alg":"none"}'))
    await refused('Missing JWT payload', () => withToken('GET', '/systems', `${header}.bm8.`))
    await refused('Missing JWT claim: method', () => withToken('GET', '/systems', `${header}.e30.`))
  })
})

describe('settings', () => {
  /** Asks a Worker with other settings. */
  async function under(more: Partial<Bindings>, url: string, headers: Record<string, string> = {}) {
    const context = createExecutionContext()
    const response = await app.fetch(new Request(url, { headers }), { ...env, ...more }, context)
    await waitOnExecutionContext(context)
    return response
  }

  it.each([['http://127.0.0.1:8787'], ['http://localhost:8787'], ['http://[::1]:8787']])(
    'may switch signatures off on %s in a local build',
    async (origin) => {
      const { status } = await under({ AUTH_DISABLED: '1' }, `${origin}/systems`)
      expect(status).toBe(200)
    },
  )

  it('take whoever writes without a signature for the master key', async () => {
    const context = createExecutionContext()
    const request = new Request('http://localhost:8787/systems', {
      method: 'POST',
      body: JSON.stringify(container(unique('unsigned'))),
      headers: { 'Content-Type': 'application/json' },
    })
    const { status } = await app.fetch(request, { ...env, AUTH_DISABLED: '1' }, context)
    await waitOnExecutionContext(context)
    expect(status).toBe(201)
    const line = await env.DB.prepare('select key from audit order by id desc limit 1').first()
    expect(line).toEqual({ key: 'master' })
  })

  it.each([
    ['1', 'https://badges.test.example'],
    ['1', 'http://127.0.0.1.example.org'],
    ['1', 'http://localhost.example.org'],
    ['1', 'http://10.0.0.1'],
    ['0', 'http://127.0.0.1:8787'],
    ['', 'http://127.0.0.1:8787'],
    ['true', 'http://127.0.0.1:8787'],
  ])('AUTH_DISABLED=%s does not switch them off on %s', async (AUTH_DISABLED, origin) => {
    const { status } = await under({ AUTH_DISABLED }, `${origin}/systems`, { Host: '127.0.0.1' })
    expect(status).toBe(403)
  })

  it('without a master secret sign nothing', async () => {
    const fault = vi.spyOn(console, 'error').mockImplementation(() => {})
    const headers = {
      Authorization: `JWT token="${await forge({ alg: 'none' }, master('GET', '/systems'))}"`,
    }
    for (const MASTER_SECRET of ['', undefined as never]) {
      const response = await under({ MASTER_SECRET }, `${ORIGIN}/systems`, headers)
      expect(response.status).toBe(503)
    }
    fault.mockRestore()
  })

  it('take a changed master secret at once', async () => {
    const MASTER_SECRET = 'x'
    const signed = async (secret: string) => ({
      Authorization: `JWT token="${await forge(HS256, master('GET', '/systems'), secret)}"`,
    })
    const url = `${ORIGIN}/systems`
    expect((await under({ MASTER_SECRET }, url, await signed('x'))).status).toBe(200)
    expect((await under({ MASTER_SECRET }, url, await signed('shhh.secret'))).status).toBe(403)
    expect((await under({}, url, await signed('shhh.secret'))).status).toBe(200)
  })
})
