import { env } from 'cloudflare:workers'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Bindings } from '../src/env'
import { call, changesNothing, type Sent } from './helpers/calls'
import { silent } from './helpers/deliveries'
import { levels, seedContainer } from './helpers/seed'

/**
 * Who fails to sign is slowed down, by the platform's own counters as `wrangler.toml` has them. These count by the minute, and one
 * may end in the middle of a test: so no test says at which refusal a 429 comes, but after which at the soonest, and by which.
 */

const BY_KEY = 20
const BY_ADDRESS = 100

const limited = { ...silent, RATE_LIMITS: '' } as Bindings
let n = 0
/** An address that no other test uses. */
const address = () => `198.51.${++n >> 8}.${n & 255}`
let network = 0
const ipv6 = () => `2001:db8:${(++network).toString(16)}`

let system = ''
let other = ''
let signer: Sent = {}
let reader: Sent = {}
const keyOf = async (path: string, fields: object) => {
  const { key, secret } = (await call('POST', `${path}/keys`, fields)).body.key
  return { key, secret }
}
beforeAll(async () => {
  system = await seedContainer(levels[0])
  other = await seedContainer(levels[0])
  signer = await keyOf(system, {})
  reader = await keyOf(system, { role: 'read' })
})
afterEach(() => vi.restoreAllMocks())

const from = (ip: string | null, more: Sent = {}, bindings = limited) =>
  call('GET', system, undefined, {
    ...more,
    bindings,
    headers: { ...more.headers, ...(ip !== null && { 'CF-Connecting-IP': ip }) },
  })

/** Sends until it is refused with 429, at most twice as often as one minute has; gives how often it was not. */
async function untilSlowed(ask: (i: number) => ReturnType<typeof call>, limit: number) {
  for (let i = 0; i <= 2 * limit; i++) {
    const { status, body, headers } = await ask(i)
    if (status === 429) {
      expect(body).toEqual({
        code: 'TooManyRequests',
        message: 'Too many requests were refused: try again later',
      })
      expect(headers.get('Retry-After')).toBe('60')
      return i
    }
    expect(status).toBe(403)
  }
  throw new Error('it was never slowed down')
}

const bad = (key = 'nobody') => ({ key, secret: 'wrong' }) satisfies Sent

describe('who fails to sign', { timeout: 60_000 }, () => {
  it('for one key is slowed down after twenty refusals from one address', async () => {
    const ip = address()
    const key = signer.key ?? ''
    const times = await untilSlowed(() => from(ip, bad(key)), BY_KEY)
    expect(times).toBeGreaterThanOrEqual(BY_KEY)
    // Other keys of the address, and the same key elsewhere, are counted by themselves.
    expect((await from(ip, bad('another'))).status).toBe(403)
    expect((await from(address(), bad(key))).status).toBe(403)
  })

  it('for many keys is slowed down after a hundred refusals from one address', async () => {
    const ip = address()
    const times = await untilSlowed((i) => from(ip, bad(`key-${i}`)), BY_ADDRESS)
    expect(times).toBeGreaterThanOrEqual(BY_ADDRESS)
    expect((await from(address(), bad('key-1'))).status).toBe(403)
  })

  it('for no key at all is counted by address alone', async () => {
    const ip = address()
    const times = await untilSlowed(
      () => from(ip, { headers: { Authorization: 'none' } }),
      BY_ADDRESS,
    )
    expect(times).toBeGreaterThanOrEqual(BY_ADDRESS)
  })

  it('and writes is slowed down as well, and changes nothing', async () => {
    const ip = address()
    await changesNothing(() =>
      untilSlowed(
        () =>
          call(
            'PUT',
            system,
            { name: 'x' },
            {
              ...bad(),
              bindings: limited,
              headers: { 'CF-Connecting-IP': ip },
            },
          ),
        BY_KEY,
      ),
    )
  })

  it('from anywhere in one IPv6 network is one, however it is written', async () => {
    const start = ipv6()
    const ways = [
      (i: number) => `${start}::${(i + 1).toString(16)}`,
      (i: number) => `${start}:0:${(i + 1).toString(16)}::`,
      (i: number) => `${start}:0:1:2:3:${(i + 1).toString(16)}`,
      (i: number) => `${start}::a:b:c:${(i + 1).toString(16)}`,
    ]
    const times = await untilSlowed((i) => from(ways[i % 4]?.(i) ?? '', bad()), BY_KEY)
    expect(times).toBeGreaterThanOrEqual(BY_KEY)
    // The next network is another's.
    expect((await from(`${start}:1::1`, bad())).status).toBe(403)
    expect((await from(`${ipv6()}::1`, bad())).status).toBe(403)
  })

  it('from an unknown address is slowed down too', async () => {
    await untilSlowed(() => from(null, bad('nowhere')), BY_KEY)
  })

  it('claims a key of any length', async () => {
    const ip = address()
    const times = await untilSlowed((i) => from(ip, bad('k'.repeat(5_000) + i)), BY_KEY)
    expect(times).toBeGreaterThanOrEqual(BY_KEY)
  })

  it('learns no more than before: what is refused otherwise is refused so', async () => {
    const ip = address()
    await untilSlowed(() => from(ip, bad()), BY_KEY)
    const headers = { 'CF-Connecting-IP': ip }
    const asked = async (method: string, path: string) =>
      (await call(method, path, undefined, { ...bad(), bindings: limited, headers })).status
    expect(await asked('GET', '/nothing')).toBe(404)
    expect(await asked('PATCH', '/systems')).toBe(405)
  })
})

describe('who signs well', { timeout: 60_000 }, () => {
  it('is never refused, whoever shares the address and the key', async () => {
    const ip = address()
    const key = signer.key ?? ''
    await untilSlowed(() => from(ip, bad(key)), BY_KEY)
    await untilSlowed((i) => from(ip, bad(`key-${i}`)), BY_ADDRESS)
    for (const who of [signer, reader, {}]) expect((await from(ip, who)).status).toBe(200)
    const answers = await Promise.all(Array.from({ length: 50 }, () => from(ip, signer)))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
  })

  it('is not counted when the role is too small, or something is missing or wrong', async () => {
    const ip = address()
    const headers = { 'CF-Connecting-IP': ip }
    const as = (who: Sent) => ({ ...who, bindings: limited, headers })
    for (let i = 0; i < BY_KEY + 5; i++) {
      const refused = await call('PUT', system, { name: 'x' }, as(reader))
      expect({ status: refused.status, message: refused.body.message }).toEqual({
        status: 403,
        message: 'Key may not do this: needs manage',
      })
      expect((await call('GET', `${system}/badges/none`, undefined, as(reader))).status).toBe(404)
      expect((await call('POST', `${system}/issuers`, {}, as(signer))).status).toBe(400)
    }
    expect((await from(ip, bad(reader.key))).status).toBe(403)
  })

  it('and uses a token twice is told so, not slowed down', async () => {
    const ip = address()
    const headers = { 'CF-Connecting-IP': ip }
    const more = { ...signer, bindings: limited, headers, claims: { jti: 'once' } }
    const statuses: number[] = []
    for (let i = 0; i < BY_KEY + 5; i++) {
      statuses.push((await call('PUT', system, { name: 'x' }, more)).status)
    }
    expect(new Set(statuses.slice(1))).toEqual(new Set([403]))
  })

  it('for the container of another is counted: nothing has been verified by then', async () => {
    const ip = address()
    const headers = { 'CF-Connecting-IP': ip }
    await untilSlowed(
      () => call('GET', other, undefined, { ...signer, bindings: limited, headers }),
      BY_KEY,
    )
    expect((await from(ip, signer)).status).toBe(200)
  })
})

describe('the counters of the platform', () => {
  const limiter = (limit: () => unknown) => ({ limit }) as unknown as RateLimit
  it.each([
    ['throw', limiter(() => Promise.reject(new Error('rate limiter is away')))],
    ['are not there', undefined],
  ])('refuse nobody when they %s, and the log says so', async (_what, broken) => {
    const error = vi.spyOn(console, 'error').mockImplementation(() => {})
    const bindings = {
      ...limited,
      FAILURES_BY_ADDRESS: broken,
      FAILURES_BY_KEY: broken,
    } as Bindings
    expect((await from(address(), bad(), bindings)).status).toBe(403)
    expect((await from(address(), signer, bindings)).status).toBe(200)
    expect(error.mock.calls.join()).toContain('rate limit fault')
  })

  it('are not asked about who signs well', async () => {
    const limit = vi.fn(async () => ({ success: false }))
    const counters = { FAILURES_BY_ADDRESS: limiter(limit), FAILURES_BY_KEY: limiter(limit) }
    const bindings = { ...limited, ...counters } as Bindings
    expect((await from(address(), signer, bindings)).status).toBe(200)
    expect(limit).not.toHaveBeenCalled()
    expect((await from(address(), bad(), bindings)).status).toBe(429)
    expect(limit).toHaveBeenCalledTimes(2)
  })

  it('are told the address and the key that was claimed', async () => {
    const keys: string[] = []
    const noting = {
      async limit({ key }: { key: string }) {
        keys.push(key)
        return { success: true }
      },
    }
    const counters = { FAILURES_BY_ADDRESS: noting, FAILURES_BY_KEY: noting }
    const bindings = { ...limited, ...counters } as unknown as Bindings
    await from('203.0.113.9', bad('mine'), bindings)
    await from('2001:db8::1', bad('mine'), bindings)
    await from('::1', bad('mine'), bindings)
    await from('2001:db8:1:2:3:4:5:6', { headers: { Authorization: 'x' } }, bindings)
    expect(keys).toEqual([
      '203.0.113.9',
      '203.0.113.9 mine',
      '2001:db8:0:0',
      '2001:db8:0:0 mine',
      '0:0:0:0',
      '0:0:0:0 mine',
      '2001:db8:1:2',
    ])
  })

  it('are off where the local switch says so', async () => {
    expect((env as Bindings).RATE_LIMITS).toBe('off')
    const ip = address()
    for (let i = 0; i < 2 * BY_KEY + 1; i++) {
      expect((await from(ip, bad(), silent)).status).toBe(403)
    }
    // Nothing was counted either.
    expect((await from(ip, bad())).status).toBe(403)
  })
})
