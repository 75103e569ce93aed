import { createScheduledController } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import worker from '../src/index'
import { lease } from '../src/store/deliveries'
import { beatIfLate } from '../src/store/heartbeats'
import { sweep, sweepIfLate } from '../src/sweep'
import {
  at,
  call,
  calm,
  db,
  fares,
  find,
  HOUR,
  ids,
  MINUTE,
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
  stubReceivers,
  withBell,
} from './helpers/deliveries'

startCalm({ alone: true })

/** What a sweep rings for, quick and slow, and how many it says are due. */
async function swept(now = Date.now()) {
  const bell = withBell()
  const count = await sweep(bell.env, now)
  return { count, rung: ids(bell.rung), slow: ids(bell.slow) }
}
const found = async (id: number, now = Date.now()) => {
  const { rung, slow } = await swept(now)
  return [...rung, ...slow].includes(id)
}
const beats = () => env.DB.prepare(`select at from heartbeats where name = 'sweep'`).first('at')

/** Copies a waiting delivery, each about a subject of its own. */
const copies = (id: number, n: number, nextAt: number) =>
  env.DB.batch([
    env.DB.prepare(
      `with recursive i(n) as (select 1 union all select n + 1 from i where n < ?2)
       insert into events (id, systemId, seq, type, subject, body, data, versionId, createdAt)
       select e.id || 'x' || i.n, e.systemId, e.seq + i.n, e.type, e.subject || 'x' || i.n, e.body, e.data, e.versionId, e.createdAt
       from events e join deliveries d on d.eventId = e.id cross join i where d.id = ?1`,
    ).bind(id, n),
    env.DB.prepare(
      `with recursive i(n) as (select 1 union all select n + 1 from i where n < ?2)
       insert into deliveries (systemId, eventId, webhookId, subject, seq, format, nextAt, createdAt)
       select d.systemId, d.eventId || 'x' || i.n, d.webhookId, d.subject || 'x' || i.n, d.seq + i.n, d.format, ?3, d.createdAt
       from deliveries d cross join i where d.id = ?1`,
    ).bind(id, n, nextAt),
  ])

describe('the sweep', () => {
  it('finds what is due, and not what has been delivered since', async () => {
    const { id } = await seedDelivery()
    expect(await swept()).toEqual({ count: 1, rung: [id], slow: [] })
    await send(id)
    expect(await swept()).toEqual({ count: 0, rung: [], slow: [] })
  })

  it('finds what a dead worker has held, when its lease has ended', async () => {
    const { id } = await seedDelivery()
    const now = Date.now()
    await lease(db(), id, 'dead', now, now + 45 * SECOND, 'queue')
    expect(await found(id, now + 45 * SECOND - 1)).toBe(false)
    expect(await found(id, now + 45 * SECOND)).toBe(true)
  })

  it('finds a later attempt at its time, for the slow queue', async () => {
    const { hook, id } = await seedDelivery()
    await hook.answer(500)
    const outcome = await send(id)
    if (outcome?.state !== 'pending') throw new Error('not pending')
    expect(await found(id, outcome.nextAt - 1)).toBe(false)
    expect(await swept(outcome.nextAt)).toEqual({ count: 1, rung: [], slow: [id] })
  })

  it.each([
    ['is switched off', `state = 'disabled'`, `state = 'active'`],
    ['rests', `blockedUntil = ${Date.now() + HOUR}`, 'blockedUntil = 0'],
    ['has been deleted', 'deletedAt = 1', 'deletedAt = null'],
  ])(
    'leaves alone what waits for a webhook that %s, until it no longer does',
    async (_name, what, back) => {
      const { hook, id } = await seedDelivery()
      await setWebhook(hook, what)
      expect(await found(id)).toBe(false)
      await setWebhook(hook, back)
      expect(await found(id)).toBe(true)
    },
  )

  it('rings for fifty of a webhook, and for five hundred in all, the oldest of each first', async () => {
    const now = Date.now()
    const webhooks = []
    for (let i = 0; i < 12; i++) {
      const { id } = await seedDelivery()
      await set(id, `nextAt = ${now - 30 * SECOND}`)
      if (i < 11) await copies(id, 60, now - 20 * SECOND)
      webhooks.push(id)
    }
    const { count, rung } = await swept(now)
    expect(count).toBe(500)
    expect(new Set(rung).size).toBe(500)
    for (const id of webhooks) expect(rung).toContain(id)
    const { results } = await env.DB.prepare(
      `select count(*) as n from deliveries where id in (select value from json_each(?)) group by webhookId`,
    )
      .bind(JSON.stringify(rung))
      .all<{ n: number }>()
    for (const { n } of results) expect(n).toBeLessThanOrEqual(50)
    expect(results).toHaveLength(12)
  })

  it('notes when it ran', async () => {
    await sweep(silent, 1_234_567)
    await sweep(silent, 2_345_678)
    expect(await beats()).toBe(2_345_678)
  })

  it('runs on the cron, with its time', async () => {
    const { id } = await seedDelivery()
    const bell = withBell()
    const scheduledTime = new Date(Date.now() + 30 * SECOND)
    await worker.scheduled(createScheduledController({ scheduledTime }), bell.env)
    expect(bell.rung).toMatchObject([{ body: { delivery: id }, delaySeconds: 0 }])
    expect(await beats()).toBe(scheduledTime.getTime())
  })
})

describe('what was rung for and not heard', () => {
  it('is delivered by the sweep itself after a minute', async () => {
    const { id, hook } = await seedDelivery()
    const now = Date.now()
    await set(id, `nextAt = ${now - MINUTE + 1}`)
    expect(await swept(now)).toMatchObject({ rung: [id] })
    expect(await hook.received()).toEqual([])
    await set(id, `nextAt = ${now - MINUTE}`)
    expect(await swept(now)).toMatchObject({ count: 1, rung: [], slow: [] })
    expect(await hook.received()).toHaveLength(1)
    expect(await find(id)).toMatchObject({ state: 'delivered' })
  })

  it('is delivered within two ticks while both queues are down', async () => {
    vi.spyOn(console, 'warn').mockImplementation(() => {})
    const seeded = [await seedDeliveries(3), await seedDeliveries(2)]
    const start = Date.now()
    for (const tick of [1, 2]) {
      at(start + tick * MINUTE)
      await sweep(queuesDown, Date.now())
    }
    for (const { hook, ids: all } of seeded) {
      expect(await hook.received()).toHaveLength(all.length)
      for (const id of all) expect(await find(id)).toMatchObject({ state: 'delivered' })
    }
  })

  it('is delivered at once when the doorbell cannot be rung', async () => {
    vi.spyOn(console, 'warn').mockImplementation(() => {})
    const { id } = await seedDelivery()
    await sweep(queuesDown, Date.now())
    expect(await find(id)).toMatchObject({ state: 'delivered' })
  })

  it('is delivered sixty at a time; for the rest the sweep rings', async () => {
    const now = Date.now()
    const { id } = await seedDelivery()
    const other = await seedDelivery()
    for (const one of [id, other.id]) {
      await set(one, `nextAt = ${now - 2 * MINUTE}`)
      await copies(one, 49, now - 2 * MINUTE)
    }
    const called = stubReceivers(() => new Response(''))
    const { count, rung } = await swept(now)
    expect(count).toBe(100)
    expect(called).toHaveLength(60)
    expect(rung.length).toBeGreaterThanOrEqual(40)
  })

  it('of healthy webhooks is delivered though failing ones have more and older waiting', async () => {
    vi.spyOn(console, 'warn').mockImplementation(() => {})
    vi.spyOn(console, 'error').mockImplementation(() => {})
    const now = Date.now()
    for (let i = 0; i < 2; i++) {
      const failing = await seedDelivery()
      await failing.hook.answer(500)
      await setWebhook(failing.hook, 'failures = 8, failingSince = 1')
      await copies(failing.id, 60, now - HOUR)
    }
    const healthy = await seedDelivery()
    at(now + MINUTE)
    await sweep(queuesDown, now + MINUTE)
    expect(await find(healthy.id)).toMatchObject({ state: 'delivered' })
  })
})

describe('a late delivery', () => {
  const alarms = async (now: number) => {
    const told = vi.spyOn(console, 'error').mockImplementation(() => {})
    await sweep(silent, now)
    return said(told, 'alarm')
  }

  it('is an alarm when it could go and has not for ten minutes', async () => {
    const { id } = await seedDelivery()
    const now = Date.now()
    await set(id, `nextAt = ${now - 10 * MINUTE + 1}`)
    expect(await alarms(now)).toEqual([])
    const next = await seedDelivery()
    await set(next.id, `nextAt = ${now - 10 * MINUTE}`)
    expect(await alarms(now)).toEqual([{ level: 'alarm', event: 'deliveries late', seconds: 600 }])
  })

  it.each([
    ['is switched off', `state = 'disabled'`],
    ['rests', `failures = 6, blockedUntil = ${Date.now() + HOUR}`],
    ['has just rested', `failures = 6, blockedUntil = ${Date.now() - 1}`],
  ])('is none for a webhook that %s', async (_name, what) => {
    const { id, hook } = await seedDelivery()
    await setWebhook(hook, what)
    await set(id, `nextAt = ${Date.now() - HOUR}`)
    expect(await alarms(Date.now())).toEqual([])
  })
})

describe('the second heart', () => {
  /** A time that no test has used, so that this isolate knows of no sweep near it. */
  let time = Date.now() + 100 * HOUR
  beforeEach(() => {
    time += 10 * HOUR
  })

  it.each([
    ['POST', (seed: string) => [`${seed}/instances`, { email: 'x@example.org' }] as const],
    ['PUT', (seed: string) => [seed, { name: 'New' }] as const],
    ['DELETE', (seed: string) => [seed, undefined] as const],
  ])('beats after a %s when no sweep has run for three minutes', async (method, target) => {
    const { seed, id } = await seedDelivery()
    at(time)
    await calm(time - 3 * MINUTE)
    const [path, body] = target(seed.path)
    const { status } = await call(silent, method, path, body)
    expect(status).toBeLessThan(300)
    expect(await beats()).toBe(time)
    // It does all that the cron does.
    expect(await find(id)).toMatchObject({ state: 'delivered' })
  })

  it('does not beat after a GET, nor when a sweep has run', async () => {
    const { seed } = await seedDelivery()
    at(time)
    await calm(time - 3 * MINUTE)
    await call(silent, 'GET', seed.path)
    expect(await beats()).toBe(time - 3 * MINUTE)
    await calm(time - 3 * MINUTE + 1)
    await call(silent, 'PUT', seed.path, { name: 'New' })
    expect(await beats()).toBe(time - 3 * MINUTE + 1)
  })

  it('beats once, however many ask at once', async () => {
    await calm(time - HOUR)
    const bell = withBell()
    const { id } = await seedDelivery()
    await set(id, `nextAt = ${time}`)
    await Promise.all([0, 1, 2, 3, 4].map(() => sweepIfLate(bell.env, time)))
    expect(ids(bell.rung)).toEqual([id])
  })

  it('is given to one of many isolates, whatever their clocks say', async () => {
    await calm(time - HOUR)
    const asked = [5, 3, 9, 0, 1, -2_000].map((off) => time + off)
    const given = []
    for (const now of asked) {
      const [mine] = await db().batch([beatIfLate(now, now - 3 * MINUTE)])
      given.push(mine.length)
    }
    expect(given).toEqual([1, 0, 0, 0, 0, 0])
  })

  it('beats when the last beat stands far in the future, as after a clock that was wrong', async () => {
    await calm(time + 400 * HOUR)
    await sweepIfLate(silent, time)
    expect(await beats()).toBe(time)
  })

  it('beats on an empty table', async () => {
    await env.DB.prepare('delete from heartbeats').run()
    await sweepIfLate(silent, time)
    expect(await beats()).toBe(time)
  })

  it('throws nothing when the database is down, and tells', async () => {
    const told = vi.spyOn(console, 'error').mockImplementation(() => {})
    const DB = {
      withSession: () => {
        throw new Error('D1_ERROR: down')
      },
    } as unknown as D1Database
    await sweepIfLate({ ...silent, DB }, time)
    expect(said(told, 'error')).toMatchObject([{ event: 'sweep fault' }])
  })

  it('makes the failing of a receiver nobody else’s: the write is answered first', async () => {
    const { seed, hook, id } = await seedDelivery()
    await hook.answer(500)
    at(time)
    await calm(time - HOUR)
    const { status } = await call(silent, 'PUT', seed.path, { name: 'New' })
    expect(status).toBe(200)
    expect(await find(id)).toMatchObject({ state: 'pending', attempts: 1 })
    expect(await fares(hook)).toMatchObject({ failures: 1 })
  })
})
