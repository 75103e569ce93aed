import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Bindings } from '../src/env'
import { call, changesNothing, fated, LOST, type Sent } from './helpers/calls'
import { at, calm, HOUR, silent } from './helpers/deliveries'
import { levels, outbox, seedBadge, unique } from './helpers/seed'

/** Claim codes may be guessed at twenty times an hour and badge. */

const MAX = 20
/** The middle of an hour, so that no test sees it end. */
const NOON = Math.floor(Date.now() / HOUR) * HOUR + HOUR / 2

beforeEach(async () => {
  at(NOON)
  await calm(NOON)
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

type Seed = { path: string; badge: { id: number } }
const someone = () => `${unique('e')}@example.org`

/** The two ways to try a code. */
const WAYS: [string, (seed: Seed, code: string, more?: Sent) => ReturnType<typeof call>][] = [
  [
    'a claim',
    ({ path }, code, more) =>
      call('POST', `${path}/codes/${code}/claim`, { email: someone() }, more),
  ],
  [
    'an award',
    ({ path }, claimCode, more) =>
      call('POST', `${path}/instances`, { email: someone(), claimCode }, more),
  ],
]

const missesOf = ({ badge }: Seed) =>
  env.DB.prepare('select coalesce(sum(n), 0) as n from codeMisses where badgeId = ?')
    .bind(badge.id)
    .first<{ n: number }>()
    .then((row) => row?.n)

async function close(seed: Seed) {
  await Promise.all(Array.from({ length: MAX }, () => WAYS[0]?.[1](seed, unique('wrong'))))
  expect(await missesOf(seed)).toBe(MAX)
}

const code = async ({ path }: Seed, more: object = {}) => {
  const text = unique('good')
  expect((await call('POST', `${path}/codes`, { code: text, ...more })).status).toBe(201)
  return text
}

const TOO_MANY = {
  code: 'TooManyRequests',
  message: 'Too many claim codes of this badge have been tried',
}

describe.each(WAYS)('%s', (_name, attempt) => {
  it.each(levels)(
    'with a wrong code is 404 twenty times, then 429 till the hour ends, below a $name',
    async (level) => {
      const seed = await seedBadge(level)
      for (let i = 0; i < MAX; i++) {
        const wrong = unique('wrong')
        const { status, body, headers } = await attempt(seed, wrong)
        expect(status).toBe(404)
        expect(body).toEqual({
          code: 'ResourceNotFound',
          message: `Could not find claimCode field: \`code\`, value: \`${wrong}\``,
        })
        expect(headers.get('Retry-After')).toBeNull()
      }
      for (let i = 0; i < 3; i++) {
        const { status, body, headers } = await attempt(seed, unique('wrong'))
        expect({ status, body }).toEqual({ status: 429, body: TOO_MANY })
        expect(headers.get('Retry-After')).toBe('1800')
      }
    },
  )

  it('with three hundred wrong codes at once is 404 exactly twenty times', async () => {
    const seed = await seedBadge(levels[0])
    const answers = await Promise.all(
      Array.from({ length: 300 }, () => attempt(seed, unique('wrong'))),
    )
    const statuses = answers.map(({ status }) => status)
    expect(statuses.filter((status) => status === 404)).toHaveLength(MAX)
    expect(statuses.filter((status) => status === 429)).toHaveLength(300 - MAX)
  }, 60_000)

  it('with a good code is refused as well while the badge is closed, and does nothing', async () => {
    const seed = await seedBadge(levels[0])
    const good = await code(seed)
    await close(seed)
    const events = await outbox()
    const { status, body, headers } = await attempt(seed, good)
    expect({ status, body }).toEqual({ status: 429, body: TOO_MANY })
    expect(headers.get('Retry-After')).toBe('1800')
    expect(await outbox()).toEqual(events)
    const { results } = await env.DB.prepare('select claimed from claimCodes where code = ?')
      .bind(good)
      .all()
    expect(results).toEqual([{ claimed: 0 }])
    at(NOON + HOUR / 2)
    expect((await attempt(seed, good)).status).toBeLessThan(202)
  })

  it('is refused in the write itself when the badge is closed after it was looked at', async () => {
    const seed = await seedBadge(levels[0])
    const good = await code(seed)
    let isLookedAt = false
    const DB = fated((isWrite) => {
      isLookedAt ||= isWrite
      return null
    })
    const session = DB.withSession('first-primary')
    const batch = session.batch.bind(session)
    // The guesses of others come in between.
    const late = {
      withSession: () => ({
        getBookmark: () => session.getBookmark(),
        prepare: session.prepare.bind(session),
        batch: async (statements: D1PreparedStatement[]) => {
          const isWrite = statements.some((one) =>
            /^\s*(insert|update)/i.test((one as unknown as { text: string }).text),
          )
          if (isWrite && !isLookedAt) await close(seed)
          return batch(statements)
        },
      }),
    } as unknown as D1Database
    const { status } = await attempt(seed, good, { bindings: { ...silent, DB: late } as Bindings })
    expect(status).toBe(429)
    expect(isLookedAt).toBe(true)
    const { results } = await env.DB.prepare('select claimed from claimCodes where code = ?')
      .bind(good)
      .all()
    expect(results).toEqual([{ claimed: 0 }])
  })

  it('tells the seconds to the end of the hour, also at its last moment', async () => {
    const seed = await seedBadge(levels[0])
    await close(seed)
    const told = async (time: number) => {
      at(time)
      return (await attempt(seed, unique('wrong'))).headers.get('Retry-After')
    }
    const end = NOON + HOUR / 2
    expect(await told(NOON + 1)).toBe('1800')
    expect(await told(end - 1_001)).toBe('2')
    expect(await told(end - 1)).toBe('1')
    expect(await told(end)).toBeNull()
  })

  it('starts anew in the next hour', async () => {
    const seed = await seedBadge(levels[0])
    await close(seed)
    at(NOON + HOUR / 2)
    for (let i = 0; i < MAX; i++) {
      expect((await attempt(seed, unique('wrong'))).status).toBe(404)
    }
    expect((await attempt(seed, unique('wrong'))).status).toBe(429)
  })

  it('leaves other badges alone, in the same system too', async () => {
    const seed = await seedBadge(levels[0])
    const made = await call('POST', `${seed.container}/badges`, {
      name: 'Other',
      slug: unique('other'),
      earnerDescription: 'x',
      consumerDescription: 'x',
      criteriaUrl: 'https://example.org/c',
      unique: 1,
      image: 'https://example.org/i.png',
    })
    const other = {
      path: `${seed.container}/badges/${made.body.badge.slug}`,
      badge: made.body.badge,
    }
    const good = await code(other)
    await close(seed)
    expect((await attempt(other, unique('wrong'))).status).toBe(404)
    expect((await attempt(other, good)).status).toBeLessThan(202)
  })

  it('with a code that is used up is told so, and is no miss', async () => {
    const seed = await seedBadge(levels[0])
    const used = await code(seed, { claimed: true })
    // What the badge is now is kept with the first award that is asked for.
    await attempt(seed, used)
    await changesNothing(async () => {
      for (let i = 0; i < MAX + 1; i++) {
        const { status, body } = await attempt(seed, used)
        expect({ status, code: body.code }).toEqual({ status: 400, code: 'CodeAlreadyUsed' })
      }
    })
    expect(await missesOf(seed)).toBe(0)
    await close(seed)
    expect((await attempt(seed, used)).status).toBe(429)
  })

  it('with a wrong code is a miss every time, whatever its Idempotency-Key', async () => {
    const seed = await seedBadge(levels[0])
    const headers = { 'Idempotency-Key': crypto.randomUUID() }
    for (let i = 0; i < 3; i++) {
      expect((await attempt(seed, 'wrong', { headers })).status).toBe(404)
    }
    expect(await missesOf(seed)).toBe(3)
  })

  it('that was answered is answered again while the badge is closed', async () => {
    const seed = await seedBadge(levels[0])
    const good = await code(seed)
    const paths = {
      'a claim': `${seed.path}/codes/${good}/claim`,
      'an award': `${seed.path}/instances`,
    }
    const path = paths[_name as keyof typeof paths]
    const body = _name === 'a claim' ? {} : { email: someone(), claimCode: good }
    const headers = { 'Idempotency-Key': crypto.randomUUID() }
    const first = await call('POST', path, body, { headers })
    await close(seed)
    const again = await changesNothing(() => call('POST', path, body, { headers }))
    expect({ status: again.status, text: again.text }).toEqual({
      status: first.status,
      text: first.text,
    })
  })

  it('is 503 when the miss cannot be counted', async () => {
    const seed = await seedBadge(levels[0])
    const DB = fated((isWrite) => (isWrite ? { message: LOST, after: false } : null))
    vi.spyOn(Math, 'random').mockReturnValue(0)
    const bindings = { ...silent, DB } as Bindings
    const { status, headers } = await attempt(seed, 'wrong', { bindings })
    expect({ status, wait: headers.get('Retry-After') }).toEqual({ status: 503, wait: '1' })
  })
})

it('a closed badge does not tell by wrong fields which of its codes are good', async () => {
  const seed = await seedBadge(levels[0])
  const good = await code(seed)
  await close(seed)
  const tried = await Promise.all(
    [good, unique('wrong')].map((one) =>
      call('POST', `${seed.path}/codes/${one}/claim`, { email: 'no address' }),
    ),
  )
  expect(tried.map(({ status, body }) => ({ status, body }))).toEqual([
    { status: 429, body: TOO_MANY },
    { status: 429, body: TOO_MANY },
  ])
})

it('an award without a code goes on while its badge is closed, and a code can be made and read', async () => {
  const seed = await seedBadge(levels[0])
  await close(seed)
  expect((await call('POST', `${seed.path}/instances`, { email: someone() })).status).toBe(201)
  const made = await code(seed)
  expect((await call('GET', `${seed.path}/codes/${made}`)).status).toBe(200)
  expect((await call('GET', `${seed.path}/codes/none`)).status).toBe(404)
})

it('claims and awards share the twenty of a badge', async () => {
  const seed = await seedBadge(levels[0])
  const statuses: number[] = []
  for (let i = 0; i < MAX + 1; i++) {
    const way = WAYS[i % 2]?.[1]
    if (way) statuses.push((await way(seed, unique('wrong'))).status)
  }
  expect(statuses).toEqual([...Array(MAX).fill(404), 429])
})
