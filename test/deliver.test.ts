import { env } from 'cloudflare:workers'
import { jwtVerify } from 'jose'
import { Webhook } from 'standardwebhooks'
import { describe, expect, it, vi } from 'vitest'
import { base64, randomHex, sha256, utf8 } from '../src/crypto'
import { ring } from '../src/doorbell'
import type { Bindings } from '../src/env'
import { allowedTargets } from '../src/outbound'
import type { Attempt } from '../src/retries'
import { seal } from '../src/seal'
import { type Leased, lease, secretCell, settle } from '../src/store/deliveries'
import { sweep } from '../src/sweep'
import { api, ORIGIN } from './helpers/api'
import {
  at,
  attemptsOf,
  call,
  calm,
  db,
  deadQueue,
  find,
  HOUR,
  ids,
  latest,
  pending,
  queuesDown,
  SECOND,
  said,
  seedDeliveries,
  seedDelivery,
  send,
  set,
  setWebhook,
  silent,
  startCalm,
  withBell,
} from './helpers/deliveries'
import { levels, outbox, seedBadge, seedWebhook } from './helpers/seed'

const [atSystem] = levels

startCalm()

/** Takes a delivery as the sweep does; its lease, or a failed test. */
async function take(id: number, token: string, now: number): Promise<Leased> {
  const leased = await lease(db(), id, token, now, now + 45 * SECOND, 'sweep')
  if (!leased || 'belongs' in leased) throw new Error('no lease')
  return leased
}
const plain = { isTest: false, pace: 1 }

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
      const { seed, hook, id, eventId } = await seedDelivery({ format, events: ['award'] })
      await hook.answer(500)
      const start = Date.now()
      for (const n of [0, 1, 2]) {
        at(start + n * HOUR)
        await calm()
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
    expect(await take(id, 'dead', now)).toMatchObject({
      id,
      attempts: 1,
      tries: 1,
      dueAt: expect.any(Number),
    })
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
    const late = await take(id, 'late', now)
    const next = await take(id, 'next', now + 45 * SECOND)
    const attempt: Attempt = { at: now, ms: 5, status: 200, error: null, answer: '' }
    await settle(db(), late, 'late', attempt, { state: 'delivered' }, plain)
    expect(await find(id)).toMatchObject({ state: 'pending', leaseToken: 'next', endedAt: null })
    const failed = { ...attempt, status: 500 }
    await settle(db(), next, 'next', failed, { state: 'pending', nextAt: 1 }, plain)
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

  it('is given up after 5 seconds when the one before has failed, until one arrives', async () => {
    const { hook, ids } = await seedDeliveries(4)
    const timeout = vi.spyOn(AbortSignal, 'timeout')
    const [first = 0, second = 0, third = 0, fourth = 0] = ids
    await hook.answer(500)
    await send(first)
    await hook.answer(200)
    for (const id of [second, third, fourth]) await send(id)
    expect(timeout.mock.calls.map(([ms]) => ms)).toEqual([15, 5, 15, 15].map((n) => n * SECOND))
  })
})

describe('the format', () => {
  it.each([
    ['badgekit-1', 'events-1'],
    ['events-1', 'badgekit-1'],
  ])('of what waits stays %s when the webhook asks for %s', async (format, other) => {
    const { seed, hook, id } = await seedDelivery({ format })
    const path = `${seed.system}/webhooks/${(await latest(hook)).webhookId}`
    expect((await call(silent, 'PUT', path, { format: other })).status).toBe(200)
    const after = await pending(hook, seed.path)
    await send(id)
    await send(after.id)
    const received = await hook.received()
    const members = received.map(({ body }) => Object.keys(JSON.parse(body))[0])
    const first = { 'badgekit-1': 'action', 'events-1': 'id' } as Record<string, string>
    expect(members).toEqual([first[format], first[other]])
  })

  it('of a delivery that was made before it was kept is the webhook’s', async () => {
    const { hook, id } = await seedDelivery({ format: 'events-1' })
    await set(id, 'format = null')
    await send(id)
    expect(JSON.parse((await hook.received())[0]?.body ?? '')).toHaveProperty('sequence')
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
    const told = ['1', '', '0', 'true', undefined].map(
      (ALLOW_LOCAL_WEBHOOKS) =>
        allowedTargets({ ...env, ALLOW_LOCAL_WEBHOOKS } as Bindings).allowLocal,
    )
    expect(told).toEqual([true, false, false, false, false])
  })
})

describe('the doorbell', () => {
  it('is rung for each delivery of an award, and for its signature, and carries numbers alone', async () => {
    const seed = await seedBadge(atSystem)
    const hooks = [await seedWebhook(seed.system), await seedWebhook(seed.system)]
    const bell = withBell()
    const last = await pending(hooks[1] ?? { url: '' }, seed.path, bell.env)
    const body = (back: number) => ({ delivery: last.id - back, webhook: last.webhookId - back })
    expect(bell.rung).toEqual([
      { body: body(1), delaySeconds: 0 },
      { body: body(0), delaySeconds: 0 },
      { body: { award: expect.any(Number) } },
    ])
    expect(bell.slow).toEqual([])
  })

  it('is rung on the slow queue for a webhook whose last attempt failed', async () => {
    const { seed, hook, id } = await seedDelivery()
    await hook.answer(500)
    await send(id)
    const bell = withBell()
    const next = await pending(hook, seed.path, bell.env)
    expect([ids(bell.rung), ids(bell.slow)]).toEqual([[], [next.id]])
    await hook.answer(200)
    await send(next.id)
    const last = await pending(hook, seed.path, bell.env)
    expect([ids(bell.rung), ids(bell.slow)]).toEqual([[last.id], [next.id]])
  })

  it('rings for a hundred at a time, and for a thousand at the most', async () => {
    const sizes: number[] = []
    const DELIVERIES = {
      sendBatch: async (messages: unknown[]) => void sizes.push(messages.length),
    } as unknown as Queue
    const due = (n: number) =>
      Array.from({ length: n }, (_, id) => ({ id, webhookId: 1, slow: 0 as const }))
    const ringing = (n: number) => ring({ ...env, DELIVERIES } as Bindings, due(n))
    expect(await ringing(250)).toEqual({ failed: false })
    expect(sizes).toEqual([100, 100, 50])
    await ringing(0)
    expect(sizes).toHaveLength(3)
    await ringing(1_050)
    expect(sizes.slice(3)).toEqual(Array(10).fill(100))
  })

  it.each([['DELIVERIES'], ['DELIVERIES_SLOW']])(
    'that fails on %s is told, and throws nothing',
    async (queue) => {
      const warned = vi.spyOn(console, 'warn').mockImplementation(() => {})
      const { env: bindings } = withBell({ [queue]: deadQueue })
      const due = [0, 1].map((slow) => ({ id: 1, webhookId: 1, slow: slow as 0 | 1 }))
      expect(await ring(bindings, due)).toEqual({ failed: true })
      expect(said(warned, 'warn')).toMatchObject([{ event: 'doorbell failed' }])
    },
  )

  it('that fails takes nothing from the award, and the sweep delivers', async () => {
    const seed = await seedBadge(atSystem)
    const hook = await seedWebhook(seed.system)
    const warned = vi.spyOn(console, 'warn').mockImplementation(() => {})
    const before = (await outbox()).length
    const { id } = await pending(hook, seed.path, queuesDown)
    expect((await outbox()).slice(before)).toMatchObject([{ type: 'badge.awarded', deliveries: 1 }])
    // Once for its delivery, once for its signature.
    expect(warned).toHaveBeenCalledTimes(2)
    expect(await hook.received()).toEqual([])
    const bell = withBell()
    await sweep(bell.env, Date.now())
    expect(ids(bell.rung)).toContain(id)
    await sweep(env, Date.now())
    await vi.waitFor(async () => expect(await hook.received()).toHaveLength(1), {
      timeout: 5_000,
      interval: 25,
    })
  })
})
