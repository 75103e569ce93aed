import {
  createExecutionContext,
  createMessageBatch,
  createScheduledController,
  getQueueResult,
  waitOnExecutionContext,
} from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { jwtVerify } from 'jose'
import { Webhook } from 'standardwebhooks'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { app } from '../src/app'
import { base64, randomHex, sha256, utf8 } from '../src/crypto'
import { allowsLocal, consume, deliver, judge, RETRY_AFTER, retryAfter } from '../src/deliver'
import { type Doorbell, ring } from '../src/doorbell'
import type { Bindings } from '../src/env'
import worker from '../src/index'
import { seal } from '../src/seal'
import { openDb } from '../src/store/db'
import { type Attempt, lease, settle } from '../src/store/deliveries'
import { secretCell } from '../src/store/webhooks'
import { sweep } from '../src/sweep'
import { api, ORIGIN, sign } from './helpers/api'
import { levels, outbox, rows, seedBadge, seedWebhook, unique } from './helpers/seed'

const [atSystem] = levels
const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

type Rung = { body: Doorbell; delaySeconds: number }

/** Bindings whose queue delivers nothing, and what was sent to it. */
function withBell(over: Partial<Bindings> = {}) {
  const rung: Rung[] = []
  const DELIVERIES = {
    sendBatch: async (messages: Iterable<Rung>) => void rung.push(...messages),
  } as unknown as Queue
  return { rung, env: { ...env, DELIVERIES, ...over } as Bindings }
}
const silent = withBell().env

const db = () => openDb(env.DB, 'first-primary')
const send = (id: number, bindings = silent) => deliver(db(), bindings, id)

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
})

/** Awards a badge without ringing, and gives the delivery that waits for it. */
async function pending(hook: { url: string }, path: string, bindings = silent) {
  const body = utf8(JSON.stringify({ email: `${unique('e')}@example.org` }))
  const request = new Request(`${ORIGIN}${path}/instances`, {
    method: 'POST',
    body,
    headers: {
      Authorization: `JWT token="${await sign('POST', `${path}/instances`, body)}"`,
      'Content-Type': 'application/json',
    },
  })
  const ctx = createExecutionContext()
  const answer = await app.fetch(request, bindings, ctx)
  await waitOnExecutionContext(ctx)
  expect(answer.status).toBe(201)
  const row = await env.DB.prepare(
    `select d.id, d.eventId from deliveries d join webhooks w on w.id = d.webhookId
     where w.url = ? order by d.id desc limit 1`,
  )
    .bind(hook.url)
    .first<{ id: number; eventId: string }>()
  if (!row) throw new Error('nothing waits')
  return row
}

/** A badge, a receiver and a delivery that nobody has rung for. */
async function seedDelivery(more: object = {}) {
  const seed = await seedBadge(atSystem)
  const hook = await seedWebhook(seed.system, more)
  return { seed, hook, ...(await pending(hook, seed.path)) }
}

const find = (id: number) =>
  env.DB.prepare(
    'select state, attempts, nextAt, leaseUntil, leaseToken, endedAt from deliveries where id = ?',
  )
    .bind(id)
    .first<{
      state: string
      attempts: number
      nextAt: number
      leaseUntil: number
      leaseToken: string | null
      endedAt: number | null
    }>()

const attemptsOf = async (id: number) =>
  (await env.DB.prepare('select * from attempts where deliveryId = ? order by n').bind(id).all())
    .results

const set = (id: number, what: string) =>
  env.DB.prepare(`update deliveries set ${what} where id = ?`).bind(id).run()

const setWebhook = (hook: { url: string }, what: string, ...values: unknown[]) =>
  env.DB.prepare(`update webhooks set ${what} where url = ?`)
    .bind(...values, hook.url)
    .run()

/** Sets the clock; the database is never asked for the time. */
const at = (time: number) => vi.useFakeTimers({ toFake: ['Date'], now: time })

describe('what is sent', () => {
  it('is a POST of the event, named and dated in its headers, and nothing else of ours', async () => {
    const { hook, id, eventId, seed } = await seedDelivery()
    at(1_900_000_000_999)
    expect(await send(id)).toEqual({ state: 'delivered' })
    const [received, ...more] = await hook.received()
    expect(more).toEqual([])
    const { headers, body } = received ?? { headers: {}, body: '' }
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'user-agent': 'badgekit-webhooks/1',
      'content-length': String(utf8(body).length),
      'webhook-id': eventId,
      'webhook-timestamp': '1900000000',
    })
    expect(eventId).not.toContain('.')
    expect(Object.keys(headers).filter((name) => /cookie|^x-(?!forwarded)/.test(name))).toEqual([])
    expect(JSON.parse(body)).toMatchObject({ action: 'award', badge: seed.badge })
  })

  it('writes nothing into the outbox', async () => {
    const { id } = await seedDelivery()
    const before = await outbox()
    await send(id)
    expect(await outbox()).toEqual(before)
  })

  it('carries a token of exactly the digest, by the secret as it is shown', async () => {
    const { hook, id } = await seedDelivery()
    await send(id)
    const [received] = await hook.received()
    const token = /^JWT token="([\w.-]+)"$/.exec(received?.headers.authorization ?? '')?.[1] ?? ''
    const [header = '', payload = ''] = token.split('.')
    const decoded = (part: string) => atob(part.replaceAll('-', '+').replaceAll('_', '/'))
    expect(decoded(header)).toBe('{"typ":"JWT","alg":"HS256"}')
    const hash = await sha256(received?.body ?? '')
    expect(decoded(payload)).toBe(`{"body":{"alg":"sha256","hash":"${hash}"}}`)
    expect(hook.secret).toMatch(/^whsec_/)
    await expect(jwtVerify(token, utf8(hook.secret))).resolves.toBeTruthy()
    await expect(jwtVerify(token, utf8(hook.secret.slice(6)))).rejects.toThrow(/signature/)
  })

  it('verifies as Standard Webhooks says, and not when a byte, the id or the time is another', async () => {
    const { hook, id } = await seedDelivery()
    await send(id)
    const [received] = await hook.received()
    const { headers, body } = received ?? { headers: {}, body: '' }
    const webhook = new Webhook(hook.secret)
    expect(webhook.verify(body, headers)).toEqual(JSON.parse(body))
    expect(() => webhook.verify(`${body} `, headers)).toThrow(/signature/)
    expect(() => webhook.verify(body, { ...headers, 'webhook-id': 'evt_x' })).toThrow(/signature/)
    const later = String(Number(headers['webhook-timestamp']) + 1)
    const moved = { ...headers, 'webhook-timestamp': later }
    expect(() => webhook.verify(body, moved)).toThrow(/signature/)
  })

  it.each([
    'x',
    'shhh.secret',
    'sëcret 🔑 with spaces',
    'whsec_',
    'whsec_not base64!',
    's'.repeat(255),
  ])('is signed both ways by the given secret %j', async (secret) => {
    const { hook, id } = await seedDelivery({ secret })
    expect(await send(id)).toEqual({ state: 'delivered' })
    const [received] = await hook.received()
    const { headers, body } = received ?? { headers: {}, body: '' }
    const token = headers.authorization?.slice('JWT token="'.length, -1) ?? ''
    await expect(jwtVerify(token, utf8(secret))).resolves.toBeTruthy()
    const webhook = new Webhook(utf8(secret), { format: 'raw' })
    expect(webhook.verify(body, headers)).toEqual(JSON.parse(body))
  })

  it('is signed by a given secret of Standard Webhooks with the bytes that it stands for', async () => {
    const secret = `whsec_${base64(utf8('an imported legacy secret'))}`
    const { hook, id } = await seedDelivery({ secret })
    await send(id)
    const [received] = await hook.received()
    const { headers, body } = received ?? { headers: {}, body: '' }
    expect(new Webhook(secret).verify(body, headers)).toEqual(JSON.parse(body))
    const raw = new Webhook('an imported legacy secret', { format: 'raw' })
    expect(raw.verify(body, headers)).toEqual(JSON.parse(body))
  })

  it('is signed by every live secret, the token by the primary one', async () => {
    const { hook, id } = await seedDelivery({ secret: 'first' })
    const add = async (secret: string, primary: 0 | 1, retiresAt: number | null) => {
      const secretId = randomHex(12)
      const sealed = await seal(env.ENCRYPTION_KEYS, secret, secretCell(secretId))
      await env.DB.prepare(
        `insert into webhookSecrets (id, webhookId, sealed, "primary", createdAt, retiresAt)
         values (?, (select id from webhooks where url = ?), ?, ?, ?, ?)`,
      )
        .bind(secretId, hook.url, sealed, primary, Date.now() + 1, retiresAt)
        .run()
    }
    await add('second', 0, Date.now() + HOUR)
    await add('retired', 0, Date.now() - 1)
    await send(id)
    const [received] = await hook.received()
    const { headers, body } = received ?? { headers: {}, body: '' }
    expect(headers['webhook-signature']).toMatch(/^v1,[\w+/]{43}= v1,[\w+/]{43}=$/)
    const verified = (secret: string) =>
      new Webhook(secret, { format: 'raw' }).verify(body, headers)
    expect(verified('first')).toBeTruthy()
    expect(verified('second')).toBeTruthy()
    expect(() => verified('retired')).toThrow(/signature/)
    const token = headers.authorization?.slice('JWT token="'.length, -1) ?? ''
    await expect(jwtVerify(token, utf8('first'))).resolves.toBeTruthy()
  })

  it.each(['badgekit-1', 'events-1'])(
    'has the same id and bytes on each attempt, and a time and signature of its own: %s',
    async (format) => {
      const { seed, hook, id, eventId } = await seedDelivery({ format })
      await hook.answer(500)
      const start = Date.now()
      for (const n of [0, 1, 2]) {
        at(start + n * HOUR)
        expect(await send(id)).toMatchObject({ state: 'pending' })
        await api.put(seed.path, { name: `Name ${n}` })
        await api.put(seed.system, { name: `Name ${n}` })
      }
      const received = await hook.received()
      expect(received).toHaveLength(3)
      const of = (header: string) => received.map(({ headers }) => headers[header])
      expect(new Set(received.map(({ body }) => body)).size).toBe(1)
      expect(of('webhook-id')).toEqual([eventId, eventId, eventId])
      const first = Math.floor(start / SECOND)
      expect(of('webhook-timestamp')).toEqual([first, first + 3600, first + 7200].map(String))
      expect(new Set(of('webhook-signature')).size).toBe(3)
      expect(new Set(of('authorization')).size).toBe(1)
    },
  )

  it('is nothing while the secret cannot be opened: never an unsigned message', async () => {
    const { hook, id } = await seedDelivery()
    const other = JSON.stringify({ k2: base64(new Uint8Array(32).fill(1)) })
    const { env: bindings } = withBell({ ENCRYPTION_KEYS: other })
    await expect(send(id, bindings)).rejects.toThrow(/ENCRYPTION_KEYS has no key/)
    expect(await hook.received()).toEqual([])
    expect(await find(id)).toMatchObject({ state: 'pending' })
  })
})

describe('a lease', () => {
  it('lets one of five workers post', async () => {
    const { hook, id } = await seedDelivery()
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => send(id)))
    expect(outcomes.filter((outcome) => outcome !== null)).toEqual([{ state: 'delivered' }])
    expect(await hook.received()).toHaveLength(1)
    expect(await attemptsOf(id)).toHaveLength(1)
  })

  it('is why one post arrives: five workers without one post more than once', async () => {
    const { hook, id } = await seedDelivery()
    const unleased = async () => {
      const row = await find(id)
      if (row?.state !== 'pending') return
      await fetch(hook.url, { method: 'POST', body: 'x' })
      await set(id, `state = 'delivered'`)
    }
    await Promise.all(Array.from({ length: 5 }, unleased))
    expect((await hook.received()).length).toBeGreaterThan(1)
  })

  it('holds for 45 seconds after a worker has died, and is then given again', async () => {
    const { hook, id } = await seedDelivery()
    const now = Date.now()
    expect(await lease(db(), id, 'dead', now)).toMatchObject({ id, attempts: 1 })
    at(now + 45 * SECOND - 1)
    expect(await send(id)).toBeNull()
    expect(await hook.received()).toEqual([])
    at(now + 45 * SECOND)
    expect(await send(id)).toEqual({ state: 'delivered' })
    expect(await hook.received()).toHaveLength(1)
    expect(await attemptsOf(id)).toMatchObject([{ n: 2 }])
  })

  it.each([
    ['is not due yet', `nextAt = ${Date.now() + HOUR}`],
    ['has arrived', `state = 'delivered'`],
    ['was given up', `state = 'exhausted'`],
    ['was called off', `state = 'cancelled'`],
  ])('is not given for a delivery that %s', async (_name, what) => {
    const { hook, id } = await seedDelivery()
    await set(id, what)
    const before = await find(id)
    expect(await send(id)).toBeNull()
    expect(await hook.received()).toEqual([])
    expect(await find(id)).toEqual(before)
  })

  it.each([[`state = 'disabled'`], ['deletedAt = 1']])(
    'is not given while the webhook has %s',
    async (what) => {
      const { hook, id } = await seedDelivery()
      await setWebhook(hook, what)
      expect(await send(id)).toBeNull()
      expect(await hook.received()).toEqual([])
      expect(await find(id)).toMatchObject({ state: 'pending', attempts: 0 })
    },
  )

  it('is not given for a delivery that is not there', async () => {
    expect(await send(987_654_321)).toBeNull()
  })

  it('that was lost decides nothing any more', async () => {
    const { id } = await seedDelivery()
    const now = Date.now()
    const late = await lease(db(), id, 'late', now)
    const next = await lease(db(), id, 'next', now + 45 * SECOND)
    if (!late || !next) throw new Error('no lease')
    const attempt: Attempt = { at: now, ms: 5, status: 200, error: null, answer: '' }
    await settle(db(), late, 'late', attempt, { state: 'delivered' })
    expect(await find(id)).toMatchObject({ state: 'pending', leaseToken: 'next', endedAt: null })
    await settle(db(), next, 'next', { ...attempt, status: 500 }, { state: 'pending', nextAt: 1 })
    expect(await find(id)).toEqual({
      state: 'pending',
      attempts: 2,
      nextAt: 1,
      leaseUntil: 0,
      leaseToken: null,
      endedAt: null,
    })
    expect(await attemptsOf(id)).toMatchObject([
      { n: 1, status: 200 },
      { n: 2, status: 500 },
    ])
  })
})

describe('an attempt', () => {
  const attempt = (status: number | null, error: string | null = null): Attempt => ({
    at: 1_000_000,
    ms: 250,
    status,
    error,
    answer: null,
  })

  it.each([200, 201, 202, 204, 299])('that is answered %i has arrived', (status) => {
    for (const n of [1, 11]) expect(judge(attempt(status), n)).toEqual({ state: 'delivered' })
  })

  it.each([
    [100, null],
    [199, null],
    [300, null],
    [301, null],
    [302, null],
    [307, null],
    [400, null],
    [401, null],
    [404, null],
    [408, null],
    [429, null],
    [500, null],
    [502, null],
    [503, null],
    [504, null],
    [null, 'timeout'],
    [null, 'network'],
    [null, 'refused'],
  ])('that ends with %j (%j) is made again, and given up after the eleventh', (status, error) => {
    for (let n = 1; n <= 10; n++) {
      const outcome = judge(attempt(status, error), n)
      if (outcome.state !== 'pending') throw new Error(`attempt ${n} was ${outcome.state}`)
      const wait = outcome.nextAt - 1_000_250
      const base = RETRY_AFTER[n - 1] ?? 0
      expect(wait).toBeGreaterThanOrEqual(base * 0.8)
      expect(wait).toBeLessThanOrEqual(base * 1.2)
    }
    expect(judge(attempt(status, error), 11)).toEqual({ state: 'exhausted' })
    expect(judge(attempt(status, error), 40)).toEqual({ state: 'exhausted' })
  })

  it('that is answered 410 ends the webhook, at any attempt', () => {
    for (const n of [1, 11]) expect(judge(attempt(410), n)).toEqual({ state: 'gone' })
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
    expect(retryAfter(n, 0)).toBe(wait * 0.8)
    expect(retryAfter(n, 0.5)).toBe(wait)
    expect(retryAfter(n, 1)).toBe(wait * 1.2)
    const waits = Array.from({ length: 50 }, () => retryAfter(n))
    expect(new Set(waits).size).toBeGreaterThan(10)
  })

  it('number eleven is the last', () => {
    expect(retryAfter(11)).toBeNull()
    expect(RETRY_AFTER.reduce((sum, wait) => sum + wait)).toBe(
      75 * HOUR + 35 * MINUTE + 35 * SECOND,
    )
  })

  it('is recorded with its answer', async () => {
    const { id } = await seedDelivery()
    const now = Date.now()
    at(now)
    await send(id)
    expect(await attemptsOf(id)).toEqual([
      {
        deliveryId: id,
        n: 1,
        at: now,
        ms: expect.any(Number),
        status: 200,
        error: null,
        answer: 'thank you',
      },
    ])
    expect(await find(id)).toMatchObject({
      state: 'delivered',
      attempts: 1,
      leaseUntil: 0,
      leaseToken: null,
      endedAt: now,
    })
  })

  it('is recorded when nobody answers', async () => {
    const { hook, id } = await seedDelivery()
    await setWebhook(hook, 'url = ?', 'http://127.0.0.1:9/')
    expect(await send(id)).toMatchObject({ state: 'pending' })
    expect(await attemptsOf(id)).toMatchObject([{ status: null, error: 'network', answer: null }])
  })

  it('is recorded when the answer takes longer than 15 seconds', async () => {
    const { id } = await seedDelivery()
    const timeout = vi
      .spyOn(AbortSignal, 'timeout')
      .mockImplementation(() => AbortSignal.abort(new DOMException('late', 'TimeoutError')))
    expect(await send(id)).toMatchObject({ state: 'pending' })
    expect(timeout).toHaveBeenCalledWith(15 * SECOND)
    expect(await attemptsOf(id)).toMatchObject([{ status: null, error: 'timeout', answer: null }])
  })

  it('follows no redirect', async () => {
    const { hook, id } = await seedDelivery()
    await hook.answer(307)
    expect(await send(id)).toMatchObject({ state: 'pending' })
    expect(await attemptsOf(id)).toMatchObject([{ status: 307, error: null }])
    expect(await hook.received()).toHaveLength(1)
  })

  it('that fails is counted on the webhook, and one that arrives ends the count', async () => {
    const { seed, hook, id } = await seedDelivery()
    const failures = () =>
      env.DB.prepare('select failures, failingSince from webhooks where url = ?')
        .bind(hook.url)
        .first()
    await hook.answer(500)
    const now = Date.now()
    at(now)
    await send(id)
    expect(await failures()).toEqual({ failures: 1, failingSince: now })
    at(now + MINUTE)
    await send(id)
    expect(await failures()).toEqual({ failures: 2, failingSince: now })
    await hook.answer(204)
    const other = await pending(hook, seed.path)
    await send(other.id)
    expect(await failures()).toEqual({ failures: 0, failingSince: null })
  })
})

describe('a receiver', () => {
  it('that never answers well is tried eleven times, then no more', async () => {
    const { hook, id } = await seedDelivery()
    const bell = withBell()
    await hook.answer(503)
    const start = Date.now()
    let time = start
    const waits: number[] = []
    for (let n = 1; n <= 11; n++) {
      at(time - 1)
      if (n > 1) expect(await send(id, bell.env)).toBeNull()
      at(time)
      const outcome = await send(id, bell.env)
      const row = await find(id)
      expect(row).toMatchObject({ attempts: n, leaseUntil: 0 })
      if (outcome?.state !== 'pending') {
        expect({ n, outcome }).toEqual({ n: 11, outcome: { state: 'exhausted' } })
        break
      }
      expect(row).toMatchObject({ state: 'pending', nextAt: outcome.nextAt })
      waits.push(outcome.nextAt - time)
      time = outcome.nextAt
    }
    expect(await find(id)).toMatchObject({ state: 'exhausted', endedAt: time })
    expect(await hook.received()).toHaveLength(11)
    expect((await attemptsOf(id)).map(({ n, status }) => [n, status])).toEqual(
      Array.from({ length: 11 }, (_, i) => [i + 1, 503]),
    )
    // The queue waits for the first three by itself, no shorter than needed; the sweep finds the rest.
    expect(bell.rung.map(({ body }) => body)).toEqual(Array(3).fill({ delivery: id }))
    for (const [i, { delaySeconds }] of bell.rung.entries()) {
      expect(delaySeconds * SECOND).toBeGreaterThanOrEqual(waits[i] ?? 0)
      expect(delaySeconds * SECOND).toBeLessThan((waits[i] ?? 0) + 1.5 * SECOND)
    }
    at(time + 1_000 * HOUR)
    expect(await send(id, bell.env)).toBeNull()
  })

  it('that answers 410 is switched off, with the reason, and sent nothing more', async () => {
    const { seed, hook, id } = await seedDelivery()
    const waiting = await pending(hook, seed.path)
    await hook.answer(410)
    const now = Date.now()
    at(now)
    expect(await send(id)).toEqual({ state: 'gone' })
    expect(await find(id)).toMatchObject({ state: 'exhausted', endedAt: now })
    expect((await api.get(`${seed.system}/webhooks`)).body.webhooks).toMatchObject([
      {
        state: 'disabled',
        disabledAt: new Date(now).toISOString(),
        disabledReason: 'The receiver answered 410 Gone',
      },
    ])
    expect(await send(waiting.id)).toBeNull()
    expect(await hook.received()).toHaveLength(1)
  })

  it('that is down and then up is told after a sweep, once', async () => {
    const seed = await seedBadge(atSystem)
    const hook = await seedWebhook(seed.system)
    await hook.answer(503)
    const before = (await outbox()).length
    await api.post(`${seed.path}/instances`, { email: 'ada@example.org' })
    expect((await outbox()).length).toBe(before + 1)
    const row = () =>
      env.DB.prepare(
        `select d.id, d.state, d.attempts, d.leaseUntil from deliveries d join webhooks w on w.id = d.webhookId where w.url = ?`,
      )
        .bind(hook.url)
        .first<{ id: number; state: string; attempts: number; leaseUntil: number }>()
    await vi.waitFor(
      async () =>
        expect(await row()).toMatchObject({ state: 'pending', attempts: 1, leaseUntil: 0 }),
      { timeout: 5_000, interval: 20 },
    )
    await hook.answer(200)
    await set((await row())?.id ?? 0, 'nextAt = 0')
    expect(await sweep(env, Date.now())).toBeGreaterThanOrEqual(1)
    await vi.waitFor(async () => expect(await row()).toMatchObject({ state: 'delivered' }), {
      timeout: 5_000,
      interval: 20,
    })
    await sweep(env, Date.now())
    const received = await hook.received()
    expect(received).toHaveLength(2)
    expect(received[0]?.body).toBe(received[1]?.body)
    expect((await outbox()).length).toBe(before + 1)
  })
})

describe('a webhook that leads inside', () => {
  const inside = [
    'https://10.0.0.1/hook',
    'http://169.254.169.254/latest/meta-data/',
    'http://192.168.1.1:8080/',
    'https://[fd00::1]/',
    'https://metadata.google.internal/',
    'https://db.local/',
    `${ORIGIN}/systems`,
    'file:///etc/passwd',
    'nonsense',
  ]

  it.each(inside)('is not called, even when its row says so: %s', async (url) => {
    const { hook, id } = await seedDelivery()
    await setWebhook(hook, 'url = ?', url)
    const call = vi.spyOn(globalThis, 'fetch')
    expect(await send(id)).toMatchObject({ state: 'pending' })
    expect(call).not.toHaveBeenCalled()
    expect(await attemptsOf(id)).toMatchObject([{ status: null, error: 'refused', answer: null }])
  })

  it('on this machine is called only in a local build that asks for it', async () => {
    const { hook, id } = await seedDelivery()
    const { env: deployed } = withBell({ ALLOW_LOCAL_WEBHOOKS: '' })
    expect(await send(id, deployed)).toMatchObject({ state: 'pending' })
    expect(await hook.received()).toEqual([])
    expect(await attemptsOf(id)).toMatchObject([{ error: 'refused' }])
    const told = ['1', '', '0', 'true', undefined].map((ALLOW_LOCAL_WEBHOOKS) =>
      allowsLocal({ ...env, ALLOW_LOCAL_WEBHOOKS } as Bindings),
    )
    expect(told).toEqual([true, false, false, false, false])
  })
})

describe('the doorbell', () => {
  it('is rung for each delivery of an award, and carries nothing but its number', async () => {
    const seed = await seedBadge(atSystem)
    const hooks = [await seedWebhook(seed.system), await seedWebhook(seed.system)]
    const bell = withBell()
    const last = await pending(hooks[1] ?? { url: '' }, seed.path, bell.env)
    expect(bell.rung).toEqual([
      { body: { delivery: last.id - 1 }, delaySeconds: 0 },
      { body: { delivery: last.id }, delaySeconds: 0 },
    ])
  })

  it('rings for a hundred at a time', async () => {
    const sizes: number[] = []
    const DELIVERIES = {
      sendBatch: async (messages: unknown[]) => void sizes.push(messages.length),
    } as unknown as Queue
    const ids = Array.from({ length: 250 }, (_, id) => ({ id }))
    await ring({ ...env, DELIVERIES }, ids)
    expect(sizes).toEqual([100, 100, 50])
    await ring({ ...env, DELIVERIES }, [])
    expect(sizes).toHaveLength(3)
  })

  it('that fails takes nothing from the award, and the sweep rings for it', async () => {
    const seed = await seedBadge(atSystem)
    const hook = await seedWebhook(seed.system)
    const warned = vi.spyOn(console, 'warn').mockImplementation(() => {})
    const broken = {
      sendBatch: async () => {
        throw new Error('Queue is overloaded')
      },
    } as unknown as Queue
    const before = (await outbox()).length
    const { id } = await pending(hook, seed.path, { ...env, DELIVERIES: broken } as Bindings)
    expect((await outbox()).slice(before)).toMatchObject([{ type: 'badge.awarded', deliveries: 1 }])
    expect(warned).toHaveBeenCalledOnce()
    expect(await hook.received()).toEqual([])
    const bell = withBell()
    await sweep(bell.env, Date.now())
    expect(bell.rung).toContainEqual({ body: { delivery: id }, delaySeconds: 0 })
    await sweep(env, Date.now())
    await vi.waitFor(async () => expect(await hook.received()).toHaveLength(1), {
      timeout: 5_000,
      interval: 25,
    })
  })
})

describe('the sweep', () => {
  const found = async (id: number, now = Date.now()) => {
    const bell = withBell()
    const count = await sweep(bell.env, now)
    expect(bell.rung).toHaveLength(count)
    return bell.rung.some(({ body }) => body.delivery === id)
  }
  /** So that no test of this file fills the page of another. */
  beforeEach(async () => {
    await env.DB.prepare(`update deliveries set state = 'cancelled' where state = 'pending'`).run()
  })

  it('finds what is due, and not what has been delivered since', async () => {
    const { id } = await seedDelivery()
    expect(await found(id)).toBe(true)
    await send(id)
    expect(await found(id)).toBe(false)
  })

  it('finds what a dead worker has held, when its lease has ended', async () => {
    const { id } = await seedDelivery()
    const now = Date.now()
    await lease(db(), id, 'dead', now)
    expect(await found(id, now + 45 * SECOND - 1)).toBe(false)
    expect(await found(id, now + 45 * SECOND)).toBe(true)
  })

  it('finds a later attempt at its time', async () => {
    const { hook, id } = await seedDelivery()
    await hook.answer(500)
    const outcome = await send(id)
    if (outcome?.state !== 'pending') throw new Error('not pending')
    expect(await found(id, outcome.nextAt - 1)).toBe(false)
    expect(await found(id, outcome.nextAt)).toBe(true)
  })

  it('leaves alone what waits for a webhook that is switched off, until it is on again', async () => {
    const { hook, id } = await seedDelivery()
    await setWebhook(hook, `state = 'disabled'`)
    expect(await found(id)).toBe(false)
    await setWebhook(hook, `state = 'active'`)
    expect(await found(id)).toBe(true)
  })

  it('notes when it ran', async () => {
    await sweep(silent, 1_234_567)
    await sweep(silent, 2_345_678)
    const beat = await env.DB.prepare(`select at from heartbeats where name = 'sweep'`).first()
    expect(beat).toEqual({ at: 2_345_678 })
  })

  it('runs on the cron, with its time', async () => {
    const { id } = await seedDelivery()
    const bell = withBell()
    const scheduledTime = new Date(Date.now() + MINUTE)
    await worker.scheduled(createScheduledController({ scheduledTime }), bell.env)
    expect(bell.rung).toContainEqual({ body: { delivery: id }, delaySeconds: 0 })
    const beat = await env.DB.prepare(`select at from heartbeats where name = 'sweep'`).first()
    expect(beat).toEqual({ at: scheduledTime.getTime() })
  })
})

describe('the consumer', () => {
  const QUEUE = 'badgekit-deliveries'

  async function run(bodies: unknown[], bindings = silent, queue = QUEUE) {
    const messages = bodies.map((body, i) => ({
      id: String(i),
      timestamp: new Date(),
      attempts: 1,
      body,
    }))
    const batch = createMessageBatch<Doorbell>(queue, messages as never)
    const ctx = createExecutionContext()
    await consume(batch, bindings)
    const { outcome, ackAll, explicitAcks, retryMessages } = await getQueueResult(batch, ctx)
    return {
      outcome,
      ackAll,
      acked: [...explicitAcks].sort(),
      retried: retryMessages.map(({ msgId }) => msgId).sort(),
    }
  }

  it('delivers what it is rung for, and is done with the message, however it ends', async () => {
    const good = await seedDelivery()
    const bad = await seedDelivery()
    await bad.hook.answer(500)
    const gone = 987_654_321
    const ids = [good.id, bad.id, gone, good.id]
    const result = await run(ids.map((delivery) => ({ delivery })))
    expect(result).toMatchObject({ outcome: 'ok', acked: ['0', '1', '2', '3'], retried: [] })
    expect(await find(good.id)).toMatchObject({ state: 'delivered' })
    expect(await find(bad.id)).toMatchObject({ state: 'pending', attempts: 1 })
    expect(await good.hook.received()).toHaveLength(1)
  })

  it('asks for the message again when the database fails, and does not throw', async () => {
    const { id, hook } = await seedDelivery()
    const told = vi.spyOn(console, 'error').mockImplementation(() => {})
    const failing = {
      withSession: () => ({
        prepare: () => ({ bind: () => ({}) }),
        batch: async () => {
          throw new Error('D1_ERROR: D1 DB is overloaded')
        },
      }),
    } as unknown as D1Database
    const { env: bindings } = withBell({ DB: failing })
    expect(await run([{ delivery: id }], bindings)).toMatchObject({
      outcome: 'ok',
      acked: [],
      retried: ['0'],
    })
    expect(told).toHaveBeenCalledOnce()
    expect(await hook.received()).toEqual([])
    expect(await run([{ delivery: id }])).toMatchObject({ acked: ['0'], retried: [] })
    expect(await hook.received()).toHaveLength(1)
  })

  it('does the rest of the batch when one message cannot be read', async () => {
    const { id, hook } = await seedDelivery()
    vi.spyOn(console, 'error').mockImplementation(() => {})
    const result = await run([null, { delivery: id }])
    expect(result).toMatchObject({ outcome: 'ok', acked: ['1'], retried: ['0'] })
    expect(await hook.received()).toHaveLength(1)
  })

  it('has six attempts under way and no more', async () => {
    const seed = await seedBadge(atSystem)
    const hook = await seedWebhook(seed.system)
    const ids: number[] = []
    for (let i = 0; i < 14; i++) ids.push((await pending(hook, seed.path)).id)
    let now = 0
    let most = 0
    vi.stubGlobal('fetch', async () => {
      most = Math.max(most, ++now)
      await new Promise((resolve) => setTimeout(resolve, 100))
      now--
      return new Response('')
    })
    const result = await run(ids.map((delivery) => ({ delivery })))
    expect(result.acked).toHaveLength(14)
    expect(most).toBe(6)
  })

  it('keeps a dead letter, and is done with it', async () => {
    const told = vi.spyOn(console, 'error').mockImplementation(() => {})
    const before = await rows('queueFaults')
    const dead = 'badgekit-deliveries-dead'
    expect(await run([{ delivery: 77 }], silent, dead)).toMatchObject({ acked: ['0'], retried: [] })
    expect(await rows('queueFaults')).toBe(before + 1)
    const fault = await env.DB.prepare('select * from queueFaults order by id desc limit 1').first()
    expect(fault).toMatchObject({ queue: dead, message: '{"delivery":77}' })
    expect(Math.abs(Number(fault?.at) - Date.now())).toBeLessThan(MINUTE)
    expect(told.mock.calls.flat().join()).toContain('"level":"alarm"')
  })

  it('is what the Worker exports', () => {
    expect(worker.queue).toBe(consume)
  })
})

it('records a message that the queue gives up on, after it has gone through the dead letters', async () => {
  vi.spyOn(console, 'error').mockImplementation(() => {})
  const before = await rows('queueFaults')
  await env.DELIVERIES.send(null)
  await vi.waitFor(async () => expect(await rows('queueFaults')).toBe(before + 1), {
    timeout: 15_000,
    interval: 100,
  })
}, 20_000)
