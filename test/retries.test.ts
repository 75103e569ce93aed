import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import type { Bindings } from '../src/env'
import { type Attempt, judge, leaseOf, paceOf, RETRY_AFTER, timeoutOf } from '../src/retries'
import { DAY, HOUR, MINUTE, SECOND } from './helpers/deliveries'

const AT = Date.parse('2026-01-05T10:00:00.000Z')
/** When the attempt of these tests ended. */
const ENDED = AT + 250

const attempt = (status: number | null, error: string | null = null): Attempt => ({
  at: AT,
  ms: 250,
  status,
  error,
  answer: null,
})

/** The wait before attempt n + 1, or the state if there is none. */
function waitAfter(
  n: number,
  tried: Attempt,
  { retryAfter = null as string | null, since = AT, pace = 1, random = 0.5, isTest = false } = {},
) {
  const outcome = judge(tried, { attempts: n, since, isTest }, retryAfter, pace, random)
  return outcome.state === 'pending' ? outcome.nextAt - ENDED : outcome.state
}

const OTHERS = [100, 199, 300, 301, 302, 307, 400, 401, 403, 404, 408, 413, 418, 500, 501, 599]
const LOAD = [429, 502, 503, 504]

describe('an attempt', () => {
  it.each([200, 201, 202, 204, 299])('that is answered %i has arrived', (status) => {
    for (const n of [1, 11]) expect(waitAfter(n, attempt(status))).toBe('delivered')
  })

  it.each([
    ...OTHERS.map((status) => [status, null] as const),
    ...LOAD.map((status) => [status, null] as const),
    [null, 'timeout'] as const,
    [null, 'network'] as const,
    [null, 'refused'] as const,
  ])('that ends with %j (%j) is made again by the schedule, ten times', (status, error) => {
    const isLoad = error === 'timeout' || LOAD.includes(status ?? 0)
    for (let n = 1; n <= 10; n++) {
      const base = Math.max(RETRY_AFTER[n - 1] ?? 0, isLoad ? MINUTE : 0)
      for (const random of [0, 0.3, 1]) {
        const wait = waitAfter(n, attempt(status, error), { random })
        expect(wait).toBeGreaterThanOrEqual(base * 0.8)
        expect(wait).toBeLessThanOrEqual(base * 1.2)
      }
    }
    const since = ENDED - 72 * HOUR
    expect(waitAfter(11, attempt(status, error), { since })).toBe('exhausted')
    expect(waitAfter(40, attempt(status, error), { since })).toBe('exhausted')
  })

  it('that is answered 410 ends the webhook, at any attempt', () => {
    for (const n of [1, 11, 40]) expect(waitAfter(n, attempt(410))).toBe('gone')
  })

  it.each([
    [1, 5 * SECOND],
    [2, 30 * SECOND],
    [3, 5 * MINUTE],
    [4, 30 * MINUTE],
    [5, 2 * HOUR],
    [6, 5 * HOUR],
    [7, 10 * HOUR],
    [8, 14 * HOUR],
    [9, 20 * HOUR],
    [10, 24 * HOUR],
  ])('number %i is followed after %i ms, a fifth more or less', (n, wait) => {
    expect(waitAfter(n, attempt(500), { random: 0 })).toBe(wait * 0.8)
    expect(waitAfter(n, attempt(500), { random: 0.5 })).toBe(wait)
    expect(waitAfter(n, attempt(500), { random: 1 })).toBe(wait * 1.2)
  })

  it('is followed at another time than those that failed with it', () => {
    const course = { attempts: 3, since: AT, isTest: false }
    const times = Array.from({ length: 50 }, () => JSON.stringify(judge(attempt(500), course)))
    expect(new Set(times).size).toBeGreaterThan(10)
  })

  it('is one of eleven over 75 hours and 35 minutes', () => {
    const sum = RETRY_AFTER.reduce((total, wait) => total + wait)
    expect([RETRY_AFTER.length, sum]).toEqual([10, 75 * HOUR + 35 * MINUTE + 35 * SECOND])
  })

  it.each(OTHERS)('of a test is the only one, whatever comes: %i', (status) => {
    expect(waitAfter(1, attempt(status), { isTest: true })).toBe('exhausted')
    expect(waitAfter(1, attempt(410), { isTest: true })).toBe('exhausted')
    expect(waitAfter(1, attempt(204), { isTest: true })).toBe('delivered')
  })
})

describe('a delivery is given up', () => {
  it.each([
    [10, 30 * DAY, false],
    [11, 72 * HOUR, true],
    [11, 72 * HOUR - 1, false],
    [40, HOUR, false],
    [40, 72 * HOUR, true],
  ])('after %i attempts and %i ms: %j', (n, age, isOver) => {
    const wait = waitAfter(n, attempt(500), { since: ENDED - age })
    expect(wait === 'exhausted').toBe(isOver)
    if (!isOver) expect(wait).toBe(24 * HOUR)
  })
})

describe('a receiver that speaks of load', () => {
  it.each([...LOAD.map((status) => attempt(status)), attempt(null, 'timeout')])(
    'is left alone for a minute at the least: $status $error',
    (tried) => {
      for (const random of [0, 0.5, 1]) {
        for (const n of [1, 2]) {
          const wait = waitAfter(n, tried, { random })
          expect(wait).toBeGreaterThanOrEqual(MINUTE)
          expect(wait).toBeLessThanOrEqual(1.2 * MINUTE)
        }
      }
      expect(waitAfter(3, tried)).toBe(5 * MINUTE)
    },
  )

  it('is not meant by other answers', () => {
    for (const status of OTHERS) expect(waitAfter(1, attempt(status))).toBe(5 * SECOND)
    expect(waitAfter(1, attempt(null, 'network'))).toBe(5 * SECOND)
  })
})

describe('Retry-After', () => {
  /** The shortest and the longest wait of a third attempt: five minutes by the schedule. */
  const waits = (retryAfter: string, status = 503) =>
    [0, 1].map((random) => waitAfter(3, attempt(status), { retryAfter, random }))
  const inSeconds = (seconds: number) => new Date(ENDED + seconds * SECOND).toUTCString()

  it.each([
    ['450', 450],
    [' 450 ', 450],
    ['600', 600],
    ['86400', 600],
    ['999999999', 600],
    [inSeconds(451), 450.75],
    [inSeconds(86_400), 600],
  ])('of %j is honoured up to twice the wait, and never undercut', (given, seconds) => {
    const [shortest, longest] = waits(given)
    expect(shortest).toBe(seconds * SECOND)
    expect(longest).toBe(seconds * SECOND * 1.2)
  })

  it.each(['429', '500', '301'])('is honoured of a %s as well', (status) => {
    expect(waits('450', Number(status))).toEqual([450 * SECOND, 540 * SECOND])
  })

  it.each(['0', '1', '60', '240', inSeconds(-10), inSeconds(30)])(
    'of %j, which is sooner than the schedule, changes nothing',
    (given) => {
      expect(waits(given)).toEqual([240 * SECOND, 360 * SECOND])
    },
  )

  it('may be of one digit', () => {
    const wait = (random: number) => waitAfter(1, attempt(500), { retryAfter: '9', random })
    expect([wait(0), wait(1)]).toEqual([9 * SECOND, 10.8 * SECOND])
  })

  it('of almost the wait is not undercut either', () => {
    expect(waits('290')).toEqual([290 * SECOND, 360 * SECOND])
  })

  it.each(['', 'soon', 'NaN', '-5', '1e9', '99999999999', '12abc', 'Infinity', '\u0000', '5, 6'])(
    'of %j, which is nothing that we can read, waits no longer than twice',
    (given) => {
      for (const wait of waits(given)) {
        expect(wait).toBeGreaterThanOrEqual(240 * SECOND)
        expect(wait).toBeLessThanOrEqual(720 * SECOND)
      }
    },
  )

  it('does not keep alive what is given up, nor a success', () => {
    const since = ENDED - 72 * HOUR
    expect(waitAfter(11, attempt(503), { retryAfter: '60', since })).toBe('exhausted')
    expect(waitAfter(1, attempt(200), { retryAfter: '60' })).toBe('delivered')
    expect(waitAfter(1, attempt(410), { retryAfter: '60' })).toBe('gone')
  })
})

describe('an attempt may take', () => {
  it('15 seconds, and 5 when the last one failed', () => {
    expect([timeoutOf(false, 1), timeoutOf(true, 1)]).toEqual([15 * SECOND, 5 * SECOND])
  })

  it('a third of the time for which a worker may hold the delivery', () => {
    expect(leaseOf(1)).toBe(45 * SECOND)
    for (const pace of [1, 60, 10_000]) {
      expect(leaseOf(pace)).toBeGreaterThanOrEqual(3 * timeoutOf(false, pace))
    }
  })
})

describe('WEBHOOK_SPEED', () => {
  const pace = (WEBHOOK_SPEED?: string) => paceOf({ ...env, WEBHOOK_SPEED } as Bindings)

  it('is how many times faster the waits pass, and never slower than in life', () => {
    expect(['60', '1', '', undefined, '0', '0.5', '-3', 'fast'].map(pace)).toEqual([
      60, 1, 1, 1, 1, 1, 1, 1,
    ])
  })

  it('shortens the schedule, the patience and the timeouts', () => {
    expect(waitAfter(3, attempt(500), { pace: 60 })).toBe(5 * SECOND)
    expect(waitAfter(1, attempt(503), { pace: 60, random: 0 })).toBe(SECOND)
    const since = ENDED - (72 * HOUR) / 60
    expect(waitAfter(11, attempt(500), { pace: 60, since })).toBe('exhausted')
    expect(timeoutOf(false, 10)).toBe(1_500)
    expect(timeoutOf(false, 10_000)).toBe(400)
  })
})
