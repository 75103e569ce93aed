import { env } from 'cloudflare:workers'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { api, ORIGIN } from './helpers/api'
import { container, levels, outbox, rows, seedBadge, seedWebhook, unique } from './helpers/seed'
import { faulty, signed, standing, unchanged, under, watchLog } from './helpers/worker'

/** Answers when the database fails: lost answers, overload, silence, and what nobody expected. */

const { faults, lines } = watchLog()

const system = unique('databasefaults')
beforeAll(async () => {
  await api.post('/systems', container(system))
})

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
