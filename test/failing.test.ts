import { env } from 'cloudflare:workers'
import { describe, expect, it, vi } from 'vitest'
import { lease } from '../src/store/deliveries'
import { sweep } from '../src/sweep'
import { api } from './helpers/api'
import {
  at,
  attemptsOf,
  call,
  calm,
  DAY,
  db,
  fares,
  find,
  HOUR,
  ids,
  MINUTE,
  nothingWaits,
  pending,
  revoked,
  SECOND,
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

/** No jitter. */
const evenly = () => vi.spyOn(Math, 'random').mockReturnValue(0.5)

/** How the audit tells of webhooks that were switched off, for one. */
const disablings = async (webhookId: number) =>
  (
    await env.DB.prepare(
      `select key, action, at from audit where action = 'webhook disabled' and target = ?`,
    )
      .bind(`webhooks/${webhookId}`)
      .all()
  ).results

describe('a receiver', () => {
  it('that never answers well is tried eleven times over 75 hours and 35 minutes, then no more', async () => {
    const { hook, id } = await seedDelivery()
    const bell = withBell()
    evenly()
    await hook.answer(500)
    const start = Date.now()
    at(start)
    const gaps: number[] = []
    let last = start
    for (let n = 1; ; n++) {
      const due = (await find(id))?.nextAt ?? 0
      if (n > 1) {
        at(due - 1)
        expect(await send(id, bell.env)).toBeNull()
        // A webhook that rests is not called before it has rested.
        at(Math.max(due, (await fares(hook))?.blockedUntil ?? 0))
        gaps.push(Date.now() - last)
      }
      last = Date.now()
      const outcome = await send(id, bell.env)
      const row = await find(id)
      expect(row).toMatchObject({ attempts: n, leaseUntil: 0, leaseToken: null })
      if (outcome?.state === 'pending') {
        expect(row).toMatchObject({ state: 'pending', nextAt: outcome.nextAt, endedAt: null })
        continue
      }
      expect({ n, outcome }).toEqual({ n: 11, outcome: { state: 'exhausted' } })
      break
    }
    expect(await find(id)).toMatchObject({ state: 'exhausted', endedAt: last })
    expect(last - start).toBe(75 * HOUR + 35 * MINUTE + 35 * SECOND)
    expect(gaps.map((gap) => gap / SECOND)).toEqual([
      5, 30, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400,
    ])
    expect(await hook.received()).toHaveLength(11)
    expect((await attemptsOf(id)).map(({ n, status }) => [n, status])).toEqual(
      Array.from({ length: 11 }, (_, i) => [i + 1, 500]),
    )
    // The slow queue waits for the first three by itself; the sweep finds the rest.
    expect(bell.rung).toEqual([])
    expect(bell.slow.map(({ delaySeconds }) => delaySeconds)).toEqual([5, 30, 300])
    expect(new Set(ids(bell.slow))).toEqual(new Set([id]))
    at(last + 1_000 * HOUR)
    expect(await send(id, bell.env)).toBeNull()
  })

  it('is not given up for attempts that dying workers have cost', async () => {
    const { id, hook } = await seedDelivery()
    await hook.answer(500)
    await set(id, 'attempts = 30')
    expect(await send(id)).toMatchObject({ state: 'pending' })
    at(Date.now() + 73 * HOUR)
    expect(await send(id)).toEqual({ state: 'exhausted' })
  })

  it('has the whole schedule again when a delivery is asked for again', async () => {
    const { id, hook } = await seedDelivery()
    await hook.answer(500)
    evenly()
    const again = Date.now() + 80 * HOUR
    await set(
      id,
      `attempts = 11, restartedFrom = 11, restartedAt = ${again}, nextAt = ${again}, createdAt = 1`,
    )
    at(again)
    const outcome = await send(id)
    expect(outcome).toMatchObject({ state: 'pending' })
    expect((await find(id))?.nextAt).toBeLessThan(again + 6 * SECOND)
    expect(await attemptsOf(id)).toMatchObject([{ n: 12 }])
    await set(id, 'attempts = 21')
    at(again + 72 * HOUR - SECOND)
    expect(await send(id)).toMatchObject({ state: 'pending' })
    await set(id, 'attempts = 21, nextAt = 0')
    await setWebhook(hook, 'blockedUntil = 0')
    at(again + 72 * HOUR)
    expect(await send(id)).toEqual({ state: 'exhausted' })
  })

  it.each([
    ['45', 45],
    ['3600', 60],
  ])(
    'that asks to be left alone for %s seconds is, for up to twice the wait',
    async (given, seconds) => {
      const { id } = await seedDeliveries(1)
      await set(id, 'attempts = 1')
      evenly()
      vi.stubGlobal(
        'fetch',
        async () => new Response('', { status: 500, headers: { 'Retry-After': given } }),
      )
      const now = Date.now()
      at(now)
      await send(id)
      vi.unstubAllGlobals()
      const wait = ((await find(id))?.nextAt ?? 0) - now
      expect(wait).toBeGreaterThanOrEqual(seconds * SECOND)
      expect(wait).toBeLessThanOrEqual(seconds * 1.2 * SECOND)
    },
  )

  it('that answers 410 is switched off, with the reason and a line in the audit, and sent nothing more', async () => {
    const { seed, hook, id, webhookId } = await seedDelivery()
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
    expect(await disablings(webhookId)).toEqual([
      { key: 'deliveries', action: 'webhook disabled', at: now },
    ])
    expect(await send(waiting.id)).toBeNull()
    expect(await hook.received()).toHaveLength(1)
    expect(await find(waiting.id)).toMatchObject({ state: 'pending', attempts: 0 })
  })

  it.each([400, 401, 404, 409, 422, 501])('that answers %i is tried again', async (status) => {
    const { hook, id } = await seedDelivery()
    await hook.answer(status)
    expect(await send(id)).toMatchObject({ state: 'pending' })
    expect(await fares(hook)).toMatchObject({ state: 'active', failures: 1 })
  })

  it('is sent nothing again once it has answered well', async () => {
    const { hook, id } = await seedDelivery()
    await send(id)
    const bell = withBell()
    for (const later of [0, HOUR, 40 * DAY]) {
      at(Date.now() + later)
      expect(await send(id, bell.env)).toBeNull()
      await sweep(bell.env, Date.now())
    }
    expect([ids(bell.rung), ids(bell.slow)].flat()).not.toContain(id)
    expect(await hook.received()).toHaveLength(1)
  })

  it('that is down and then up is told after a sweep, once', async () => {
    await nothingWaits()
    const seed = await seedBadge(atSystem)
    const hook = await seedWebhook(seed.system)
    await hook.answer(500)
    const { id } = await pending(hook, seed.path)
    const before = await outbox()
    await send(id)
    await hook.answer(200)
    await set(id, 'nextAt = 0')
    await sweep(env, Date.now())
    await vi.waitFor(async () => expect(await find(id)).toMatchObject({ state: 'delivered' }), {
      timeout: 5_000,
      interval: 20,
    })
    await sweep(env, Date.now())
    const received = await hook.received()
    expect(received).toHaveLength(2)
    expect(received[0]?.body).toBe(received[1]?.body)
    expect(await outbox()).toEqual(before)
  })
})

describe('deliveries about one subject', () => {
  /** The award, and its revocation. */
  async function seedTwo(more: object = {}) {
    const { seed, hook, id, email, webhookId } = await seedDelivery(more)
    const { id: next } = await revoked(hook, seed.path, email)
    return { seed, hook, first: id, next, webhookId }
  }

  it('are made in order, the younger one not before the older has arrived', async () => {
    const { hook, first, next } = await seedTwo()
    const bell = withBell()
    expect(await send(next, bell.env)).toBeNull()
    expect(await find(next)).toMatchObject({ attempts: 0, leaseToken: null })
    await send(first, bell.env)
    // The one that waited is rung for at once.
    expect(ids(bell.rung)).toEqual([next])
    await send(next, bell.env)
    const actions = (await hook.received()).map(({ body }) => JSON.parse(body).action)
    expect(actions).toEqual(['award', 'revoke'])
  })

  it('wait while the older one is under way or waits for its next attempt', async () => {
    const { hook, first, next } = await seedTwo()
    const now = Date.now()
    at(now)
    await lease(db(), first, 'slow', now, now + 45 * SECOND, 'sweep')
    expect(await send(next)).toBeNull()
    await set(first, `leaseUntil = 0, leaseToken = null, nextAt = ${now + HOUR}`)
    expect(await send(next)).toBeNull()
    expect(await hook.received()).toEqual([])
  })

  it('wait until the older one has failed seven times, an attempt under way not counted', async () => {
    const { hook, first, next } = await seedTwo()
    await hook.answer(500)
    const bell = withBell()
    const again = async () => {
      await set(first, 'nextAt = 0')
      await setWebhook(hook, 'blockedUntil = 0')
    }
    for (let n = 1; n <= 6; n++) {
      await again()
      await send(first)
      await setWebhook(hook, 'blockedUntil = 0')
      expect(await send(next), `after ${n}`).toBeNull()
    }
    // The seventh is under way.
    await again()
    const now = Date.now()
    expect(await lease(db(), first, 'x', now, now + 45 * SECOND, 'sweep')).toMatchObject({
      tries: 7,
    })
    await setWebhook(hook, 'blockedUntil = 0')
    expect(await send(next)).toBeNull()
    // It fails, and the younger one is rung for.
    await set(first, 'attempts = 6, leaseUntil = 0, leaseToken = null')
    await again()
    await send(first, bell.env)
    expect(ids(bell.slow)).toContain(next)
    await setWebhook(hook, 'blockedUntil = 0')
    await hook.answer(200)
    expect(await send(next)).toEqual({ state: 'delivered' })
    // The eighth attempt of the older one does not hold it either.
    expect(await find(first)).toMatchObject({ state: 'pending', attempts: 7 })
  })

  it('are held again when the older one is asked for again', async () => {
    const { first, next } = await seedTwo()
    await set(first, `attempts = 20, restartedFrom = 20, restartedAt = ${Date.now()}`)
    expect(await send(next)).toBeNull()
  })

  it.each(['exhausted', 'cancelled', 'delivered'])(
    'are free when the older one is %s',
    async (state) => {
      const { first, next } = await seedTwo()
      await set(first, `state = '${state}'`)
      expect(await send(next)).toEqual({ state: 'delivered' })
    },
  )

  it('do not hold those about another subject, nor those of another webhook', async () => {
    const { seed, hook, first } = await seedTwo()
    await set(first, `nextAt = ${Date.now() + HOUR}`)
    const other = await seedWebhook(seed.system)
    const { id, email } = await pending(hook, seed.path)
    expect(await send(id)).toEqual({ state: 'delivered' })
    const again = await pending(hook, seed.path)
    const { id: toOther } = await revoked(other, seed.path, again.email)
    expect(await send(again.id + 1)).toEqual({ state: 'delivered' })
    expect(await send(toOther)).toEqual({ state: 'delivered' })
    expect(await find(again.id)).toMatchObject({ state: 'pending', attempts: 0 })
    expect(email).not.toBe(again.email)
  })

  it('are rung for by the sweep one at a time', async () => {
    await nothingWaits()
    const { first, next } = await seedTwo()
    const bell = withBell()
    await sweep(bell.env, Date.now())
    expect(ids(bell.rung)).toEqual([first])
    await set(first, `state = 'exhausted'`)
    await sweep(bell.env, Date.now())
    expect(ids(bell.rung)).toEqual([first, next])
  })
})

describe('a webhook that fails', () => {
  it('is counted from its first failure to the next success', async () => {
    const { hook, ids: all } = await seedDeliveries(3)
    const [first = 0, second = 0, third = 0] = all
    await hook.answer(500)
    const now = Date.now()
    at(now)
    await send(first)
    expect(await fares(hook)).toMatchObject({ failures: 1, failingSince: now, blockedUntil: 0 })
    at(now + MINUTE)
    await send(second)
    expect(await fares(hook)).toMatchObject({ failures: 2, failingSince: now })
    await hook.answer(204)
    await send(third)
    expect(await fares(hook)).toMatchObject({ failures: 0, failingSince: null })
  })

  it('rests from the fifth failure on, for 1, 2, 4, … 30 minutes, and is then tried by one', async () => {
    const { hook, ids: all } = await seedDeliveries(12)
    await hook.answer(500)
    evenly()
    let now = Date.now()
    const rests: number[] = []
    for (const [i, id] of all.entries()) {
      at(now)
      await set(id, 'nextAt = 0')
      expect(await send(id), `attempt ${i + 1}`).toMatchObject({ state: 'pending' })
      const { failures, blockedUntil } = (await fares(hook)) ?? { failures: 0, blockedUntil: 0 }
      expect(failures).toBe(i + 1)
      if (blockedUntil === 0) continue
      rests.push((blockedUntil - now) / MINUTE)
      const other = all[(i + 1) % all.length] ?? 0
      await set(other, 'nextAt = 0')
      at(blockedUntil - 1)
      expect(await send(other)).toBeNull()
      now = blockedUntil
    }
    expect(rests.map((rest) => Math.round(rest * 100) / 100)).toEqual([1, 2, 4, 8, 16, 30, 30, 30])
    expect(await hook.received()).toHaveLength(12)
  })

  it('that has rested is tried by one worker at a time, of many who ask', async () => {
    const { hook, ids: all } = await seedDeliveries(5)
    await hook.answer(500)
    await setWebhook(hook, `failures = 6, failingSince = 1, blockedUntil = ${Date.now() - 1}`)
    const outcomes = await Promise.all(all.map((id) => send(id)))
    expect(outcomes.filter((outcome) => outcome !== null)).toHaveLength(1)
    expect(await hook.received()).toHaveLength(1)
    expect(await fares(hook)).toMatchObject({ failures: 7 })
  })

  it('is tried again when the one who tried it has died', async () => {
    const { hook, ids: all } = await seedDeliveries(2)
    const [first = 0, second = 0] = all
    const now = Date.now()
    at(now)
    await setWebhook(hook, `failures = 6, failingSince = 1, blockedUntil = ${now - 1}`)
    await lease(db(), first, 'dead', now, now + 45 * SECOND, 'sweep')
    expect(await send(second)).toBeNull()
    at(now + 45 * SECOND)
    expect(await send(second)).toEqual({ state: 'delivered' })
  })

  it('and then answers is rested no more, and its backlog flows: each success rings for three', async () => {
    const { hook, ids: all } = await seedDeliveries(8)
    const now = Date.now()
    at(now)
    await setWebhook(hook, `failures = 9, failingSince = 1, blockedUntil = ${now - 1}`)
    const bell = withBell()
    const [first = 0] = all
    expect(await send(first, bell.env)).toEqual({ state: 'delivered' })
    expect(await fares(hook)).toMatchObject({ failures: 0, failingSince: null, blockedUntil: 0 })
    expect(ids(bell.rung)).toEqual(all.slice(1, 4))
    expect(bell.slow).toEqual([])
    // Each of them was due for long, and rings for three more: no sweep is needed.
    at(now + MINUTE)
    const heard = new Set<number>()
    for (let next = ids(bell.rung); next.length > 0; ) {
      bell.rung.length = 0
      for (const id of next) {
        heard.add(id)
        await send(id, bell.env, 'queue')
      }
      next = ids(bell.rung)
    }
    expect([...heard].sort((a, b) => a - b)).toEqual(all.slice(1))
    expect(await hook.received()).toHaveLength(8)
  })

  it('rings for nothing more when it was never behind', async () => {
    const { ids: all } = await seedDeliveries(3)
    const bell = withBell()
    await send(all[0] ?? 0, bell.env)
    expect(bell.rung).toEqual([])
  })

  it('is not told of, nor helped, by tests that fail; one that succeeds ends its rest', async () => {
    const { seed, hook, id, webhookId } = await seedDelivery()
    const now = Date.now()
    const resting = { failures: 7, failingSince: 5, blockedUntil: now + 30 * MINUTE }
    await setWebhook(hook, `failures = 7, failingSince = 5, blockedUntil = ${resting.blockedUntil}`)
    await hook.answer(500)
    const test = () => call(silent, 'POST', `${seed.system}/webhooks/${webhookId}/test`)
    expect((await test()).body).toMatchObject({ status: 'failed' })
    expect(await fares(hook)).toMatchObject({ state: 'active', ...resting })
    expect(await send(id)).toBeNull()
    await hook.answer(200)
    expect((await test()).body).toMatchObject({ status: 'sent' })
    expect(await fares(hook)).toMatchObject({ failures: 0, failingSince: null, blockedUntil: 0 })
    expect(await send(id)).toEqual({ state: 'delivered' })
  })
})

describe('nothing but failures', () => {
  /** Fails once more at a time, with so many failures before. */
  async function failing(failures: number, age: number) {
    const seeded = await seedDelivery()
    const now = Date.now()
    at(now)
    await setWebhook(
      seeded.hook,
      `failures = ${failures}, failingSince = ${now - age}, blockedUntil = 0`,
    )
    await seeded.hook.answer(500)
    await send(seeded.id)
    return { ...seeded, now }
  }

  it.each([
    [9, 5 * DAY, 'disabled'],
    [8, 5 * DAY, 'active'],
    [40, 5 * DAY - 1_000, 'active'],
    [40, 60 * DAY, 'disabled'],
  ])('%i times before, for %i ms, leave a webhook %s', async (failures, age, state) => {
    const { hook, webhookId, now } = await failing(failures, age)
    expect(await fares(hook)).toMatchObject({
      state,
      disabledReason: state === 'active' ? null : 'Nothing but failures for five days',
    })
    const line = { key: 'deliveries', action: 'webhook disabled', at: expect.any(Number) }
    const lines = await disablings(webhookId)
    expect(lines).toEqual(state === 'active' ? [] : [line])
    for (const { at: time } of lines) expect(time).toBeGreaterThanOrEqual(now)
  })

  it('leave the events to be kept, and what waits to be sent when it is switched on again', async () => {
    const { seed, hook, id, webhookId } = await failing(20, 6 * DAY)
    const before = (await outbox()).length
    await call(silent, 'POST', `${seed.path}/instances`, { email: 'later@example.org' })
    expect((await outbox()).slice(before)).toMatchObject([{ type: 'badge.awarded', deliveries: 0 }])
    at(Date.now() + HOUR)
    await calm()
    expect(await send(id)).toBeNull()
    await hook.answer(200)
    const path = `${seed.system}/webhooks/${webhookId}`
    expect((await call(silent, 'PUT', path, { state: 'active' })).status).toBe(200)
    expect(await send(id)).toEqual({ state: 'delivered' })
    expect(await fares(hook)).toMatchObject({ state: 'active', failures: 0 })
  })

  it('make one line in the audit, however many attempts end at once', async () => {
    const { hook, ids: all, webhookId } = await seedDeliveries(4)
    const now = Date.now()
    at(now)
    await setWebhook(hook, `failures = 0, failingSince = ${now - 6 * DAY}`)
    await hook.answer(500)
    // All are under way when the tenth failure comes.
    const leased = await Promise.all(
      all.map((id) => lease(db(), id, `t${id}`, now, now + 45 * SECOND, 'sweep')),
    )
    expect(leased.every((one) => one && !('belongs' in one))).toBe(true)
    for (const id of all) await set(id, 'leaseUntil = 0, leaseToken = null')
    await setWebhook(hook, 'failures = 4, blockedUntil = 0')
    await Promise.all(all.map((id) => send(id)))
    await setWebhook(hook, 'failures = 20, blockedUntil = 0')
    for (const id of all) {
      await set(id, 'nextAt = 0')
      await send(id)
    }
    expect(await disablings(webhookId)).toHaveLength(1)
  })
})
