import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { randomHex } from '../src/crypto'
import { expiring, remind } from '../src/store/reminders'
import { sweep } from '../src/sweep'
import { type Answer, api } from './helpers/api'
import {
  at,
  call,
  DAY,
  db,
  find,
  HOUR,
  ids,
  seedDelivery,
  send,
  set,
  setWebhook,
  silent,
  startCalm,
  withBell,
} from './helpers/deliveries'
import { levels, rows, seedBadge, seedWebhook, unique } from './helpers/seed'

type Seed = Awaited<ReturnType<typeof seedBadge>>

startCalm({ alone: true })

const [atSystem] = levels
const now = Date.now()

/** The events of a type in a badge's system. */
const eventsOf = async (seed: Seed, type: string) =>
  (
    await env.DB.prepare(
      `select e.* from events e join badges b on b.systemId = e.systemId
       where b.id = ? and e.type = ? order by e.seq`,
    )
      .bind(seed.badge.id, type)
      .all<{
        id: string
        seq: number
        subject: string
        body: string | null
        data: string | null
        createdAt: number
      }>()
  ).results

describe('after thirty days', () => {
  const stored = (id: number) =>
    env.DB.prepare(
      `select e.seq, e.body is not null as body, e.data is not null as data,
        (select count(*) from attempts a where a.deliveryId = d.id) as attempts
       from deliveries d join events e on e.id = d.eventId where d.id = ?`,
    )
      .bind(id)
      .first()

  it('the messages and the attempts are forgotten; the event and its number stay', async () => {
    const { seed, id } = await seedDelivery()
    await send(id)
    const events = await rows('events')
    await sweep(silent, Date.now() + 30 * DAY - HOUR)
    expect(await stored(id)).toEqual({ seq: 1, body: 1, data: 1, attempts: 1 })
    await sweep(silent, Date.now() + 30 * DAY + HOUR)
    expect(await stored(id)).toEqual({ seq: 1, body: 0, data: 0, attempts: 0 })
    expect(await rows('events')).toBe(events)
    await api.put(seed.path, { name: 'Later' })
    expect((await eventsOf(seed, 'badge.updated')).map(({ seq }) => seq)).toEqual([2])
  })

  it('what still waits is called off, and is never sent without its message', async () => {
    const { hook, id } = await seedDelivery()
    await setWebhook(hook, `state = 'disabled'`)
    const then = Date.now() + 31 * DAY
    await sweep(silent, then)
    expect(await find(id)).toMatchObject({ state: 'cancelled', endedAt: then })
    await setWebhook(hook, `state = 'active'`)
    at(then)
    expect(await send(id)).toBeNull()
    expect(await hook.received()).toEqual([])
  })

  it('what has ended keeps how it ended', async () => {
    const { id } = await seedDelivery()
    await send(id)
    const before = await find(id)
    await sweep(silent, Date.now() + 31 * DAY)
    expect(await find(id)).toEqual(before)
  })

  it('a thousand are forgotten at a time, the rest by the next runs', async () => {
    const { id } = await seedDelivery()
    const old = Date.now() - 40 * DAY
    await env.DB.batch([
      env.DB.prepare(
        `with recursive i(n) as (select 1 union all select n + 1 from i where n < 1500)
         insert into events (id, systemId, seq, type, subject, data, createdAt)
         select e.id || 'old' || i.n, e.systemId, 10000 + i.n, 'badge.updated', 's', '{}', ?2
         from events e join deliveries d on d.eventId = e.id cross join i where d.id = ?1`,
      ).bind(id, old),
      env.DB.prepare(
        `with recursive i(n) as (select 1 union all select n + 1 from i where n < 1500)
         insert into attempts (deliveryId, n, at, ms) select ?1, 100 + i.n, ?2, 1 from i`,
      ).bind(id, old),
    ])
    const left = () =>
      env.DB.prepare(
        `select (select count(*) from events where data is not null and createdAt = ?1) as events,
          (select count(*) from attempts where at = ?1) as attempts`,
      )
        .bind(old)
        .first()
    await sweep(silent, now)
    expect(await left()).toEqual({ events: 500, attempts: 500 })
    await sweep(silent, now)
    expect(await left()).toEqual({ events: 0, attempts: 0 })
  })
})

describe('an award that will expire', () => {
  /** Awards without ringing. */
  async function award(seed: Seed, expires: number | null, more: object = {}): Promise<Answer> {
    const email = `${unique('e')}@example.org`
    const given = { email, ...(expires !== null && { expires }), ...more }
    const made = await call(silent, 'POST', `${seed.path}/instances`, given)
    expect(made.status, JSON.stringify(made.body)).toBe(201)
    return made
  }
  /** The whole second so many milliseconds from now: `expires` is given as such. */
  const soon = (ms: number) => Math.ceil((now + ms) / 1000) * 1000
  const later = soon(60 * DAY)

  it.each(levels)('is told of once, seven days before: a badge of a $name', async (level) => {
    const seed = await seedBadge(level)
    const hook = await seedWebhook(seed.system, { format: 'events-1', events: ['badge.expiring'] })
    const made = await award(seed, later, { comment: 'x', issuedOn: -5 })
    const bell = withBell()
    await sweep(bell.env, later - 7 * DAY - 1)
    expect(await eventsOf(seed, 'badge.expiring')).toEqual([])
    await sweep(bell.env, later - 7 * DAY)
    for (const time of [later - 7 * DAY, later - DAY, later, later + DAY]) {
      await sweep(silent, time)
    }
    const events = await eventsOf(seed, 'badge.expiring')
    expect(events).toMatchObject([
      { seq: 2, subject: made.body.instance.slug, body: null, createdAt: later - 7 * DAY },
    ])
    // It is rung for by the sweep that told of it.
    const [id = 0] = ids(bell.rung)
    expect(ids(bell.rung)).toHaveLength(1)
    at(later - 7 * DAY)
    expect(await send(id)).toEqual({ state: 'delivered' })
    const [received] = await hook.received()
    const message = JSON.parse(received?.body ?? '')
    const { slug, email, expires, issuedOn, claimCode, assertionUrl } = made.body.instance
    expect(message).toEqual({
      id: events[0]?.id,
      type: 'badge.expiring',
      timestamp: new Date(later - 7 * DAY).toISOString(),
      sequence: 2,
      data: {
        instance: { slug, email, expires, issuedOn, claimCode, assertionUrl },
        badge: seed.badge,
      },
    })
    expect(JSON.stringify(message)).toBe(received?.body)
  })

  it('is not told to webhooks of the contract’s format, which does not know it', async () => {
    const seed = await seedBadge(atSystem)
    await seedWebhook(seed.system)
    await award(seed, later)
    const bell = withBell()
    await sweep(bell.env, later - DAY)
    expect(await eventsOf(seed, 'badge.expiring')).toHaveLength(1)
    expect([...ids(bell.rung), ...ids(bell.slow)]).toHaveLength(0)
  })

  it('is not told of when it was given for seven days or less', async () => {
    const seed = await seedBadge(atSystem)
    await award(seed, soon(3 * DAY))
    await sweep(silent, now + DAY)
    await sweep(silent, now + 3 * DAY)
    expect(await eventsOf(seed, 'badge.expiring')).toEqual([])
    await award(seed, soon(7 * DAY + HOUR))
    await sweep(silent, now + 2 * HOUR)
    expect(await eventsOf(seed, 'badge.expiring')).toHaveLength(1)
  })

  it.each<[string, (seed: Seed, email: string) => Promise<Answer>]>([
    ['it was revoked', (seed, email) => api.delete(`${seed.path}/instances/${email}`)],
    ['its badge was deleted', (seed) => api.delete(seed.path)],
    ['its system was deleted', (seed) => api.delete(seed.system)],
  ])('is not told of when %s', async (_name, end) => {
    const seed = await seedBadge(atSystem)
    const made = await award(seed, later)
    expect((await end(seed, made.body.instance.email)).status).toBe(200)
    await sweep(silent, later - DAY)
    expect(await eventsOf(seed, 'badge.expiring')).toEqual([])
  })

  it('is not told of when it never expires, or has expired before anybody looked', async () => {
    const seed = await seedBadge(atSystem)
    await award(seed, null)
    await award(seed, later)
    await sweep(silent, later + 1)
    expect(await eventsOf(seed, 'badge.expiring')).toEqual([])
  })

  it('is not told of when it is revoked between the look and the telling', async () => {
    const seed = await seedBadge(atSystem)
    const { email } = (await award(seed, later)).body.instance
    const [all] = await db().batch([expiring(later - DAY)])
    const found = all.filter(({ badgeId }) => badgeId === seed.badge.id)
    expect(found).toHaveLength(1)
    await api.delete(`${seed.path}/instances/${email}`)
    await remind(db(), randomHex(12), later - DAY, found, env.PUBLIC_ORIGIN)
    expect(await eventsOf(seed, 'badge.expiring')).toEqual([])
  })

  it('is told of once when two sweeps see it at the same time', async () => {
    const seed = await seedBadge(atSystem)
    await seedWebhook(seed.system, { format: 'events-1' })
    await award(seed, later)
    await Promise.all([0, 1, 2].map(() => sweep(silent, later - DAY)))
    expect(await eventsOf(seed, 'badge.expiring')).toHaveLength(1)
  })

  it('is numbered in its own system when one sweep tells of several', async () => {
    const seeds = [await seedBadge(atSystem), await seedBadge(atSystem), await seedBadge(atSystem)]
    const hooks = []
    for (const seed of seeds) {
      hooks.push(await seedWebhook(seed.system, { format: 'events-1', events: ['badge.expiring'] }))
    }
    // By turns, so that no system's stand together; each has another number of events already.
    for (let i = 0; i < 3; i++) {
      for (const [k, seed] of seeds.entries()) await award(seed, later + ((i * 7 + k) % 5) * HOUR)
    }
    for (const [k, seed] of seeds.entries()) {
      for (let i = 0; i < k; i++) await call(silent, 'PUT', seed.path, { name: 'New' })
    }
    const bell = withBell()
    await sweep(bell.env, later - DAY)
    for (const [k, seed] of seeds.entries()) {
      const events = await eventsOf(seed, 'badge.expiring')
      expect(events.map(({ seq }) => seq)).toEqual([4 + k, 5 + k, 6 + k])
      expect(new Set(events.map(({ id }) => id)).size).toBe(3)
      for (const { id } of events) expect(id).toMatch(/^evt_[\da-z_]+$/)
    }
    at(later - DAY)
    for (const id of ids(bell.rung)) await send(id)
    for (const hook of hooks) expect(await hook.received()).toHaveLength(3)
  })

  it('is told of in portions of two hundred', async () => {
    // Awards of other tests take no place in the portions.
    await env.DB.prepare('update badgeInstances set remindedAt = 1 where remindedAt is null').run()
    const seed = await seedBadge(atSystem, { unique: 0 })
    await award(seed, later)
    await env.DB.prepare(
      `with recursive i(n) as (select 1 union all select n + 1 from i where n < 299)
       insert into badgeInstances (slug, systemId, badgeId, versionId, email, issuedOn, expires, salt, op, createdAt, updatedAt)
       select a.slug || 'x' || i.n, a.systemId, a.badgeId, a.versionId, a.email || i.n, a.issuedOn, a.expires, a.salt, a.op, a.createdAt, a.updatedAt
       from badgeInstances a cross join i where a.badgeId = ?`,
    )
      .bind(seed.badge.id)
      .run()
    await sweep(silent, later - DAY)
    expect(await eventsOf(seed, 'badge.expiring')).toHaveLength(200)
    await sweep(silent, later - DAY)
    const events = await eventsOf(seed, 'badge.expiring')
    expect(events.map(({ seq }) => seq)).toEqual(Array.from({ length: 300 }, (_, i) => i + 2))
  })

  it('is looked for without a look at those that do not expire soon', async () => {
    const seed = await seedBadge(atSystem, { unique: 0 })
    await award(seed, later)
    await env.DB.prepare(
      `with recursive i(n) as (select 1 union all select n + 1 from i where n < 2000)
       insert into badgeInstances (slug, systemId, badgeId, versionId, email, issuedOn, expires, salt, op, createdAt, updatedAt)
       select a.slug || 'y' || i.n, a.systemId, a.badgeId, a.versionId, a.email || i.n, a.issuedOn,
         iif(i.n % 2, null, a.expires + 365 * 86400000), a.salt, a.op, a.createdAt, a.updatedAt
       from badgeInstances a cross join i where a.badgeId = ?`,
    )
      .bind(seed.badge.id)
      .run()
    const reader = db()
    await reader.batch([expiring(later - 30 * DAY)])
    expect(reader.spent.rowsRead).toBeLessThan(100)
  })

  it('shows the badge as it was awarded', async () => {
    const seed = await seedBadge(atSystem)
    const hook = await seedWebhook(seed.system, { format: 'events-1', events: ['badge.expiring'] })
    await award(seed, later)
    await call(silent, 'PUT', seed.path, { name: 'Another' })
    const bell = withBell()
    await sweep(bell.env, later - DAY)
    at(later - DAY)
    for (const id of ids(bell.rung)) await send(id)
    const [received] = await hook.received()
    expect(JSON.parse(received?.body ?? '').data.badge).toEqual(seed.badge)
  })
})

it('what an operator’s delivery of 29 days ago still has to send is not forgotten before its message', async () => {
  const { id } = await seedDelivery()
  await set(id, `state = 'exhausted'`)
  const then = Date.now() + 29 * DAY
  await sweep(silent, then)
  await set(
    id,
    `state = 'pending', nextAt = ${then}, restartedAt = ${then}, restartedFrom = attempts`,
  )
  at(then)
  expect(await send(id)).toEqual({ state: 'delivered' })
})
