import { createExecutionContext, createMessageBatch, getQueueResult } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { describe, expect, it, vi } from 'vitest'
import { consume } from '../src/consume'
import type { Doorbell } from '../src/doorbell'
import type { Bindings } from '../src/env'
import worker from '../src/index'
import { lease } from '../src/store/deliveries'
import { api } from './helpers/api'
import {
  at,
  bellOf,
  calm,
  db,
  deadQueue,
  fares,
  find,
  HOUR,
  ids,
  MINUTE,
  type Rung,
  SECOND,
  said,
  seedDeliveries,
  seedDelivery,
  set,
  setWebhook,
  silent,
  startCalm,
  stubReceivers,
  withBell,
} from './helpers/deliveries'
import { levels, rows, seedBadge } from './helpers/seed'

const QUEUE = 'badgekit-deliveries'
const SLOW = 'badgekit-deliveries-slow'
const DEAD = 'badgekit-deliveries-dead'

startCalm()

/** Hands the consumer a batch, and tells what it did with each message, by its place. */
async function run(bodies: unknown[], bindings: Bindings = silent, queue = QUEUE) {
  const messages = bodies.map((body, i) => ({
    id: String(i),
    timestamp: new Date(),
    attempts: 1,
    body,
  }))
  const batch = createMessageBatch<Doorbell>(queue, messages as never)
  const ctx = createExecutionContext()
  await consume(batch, bindings)
  const { outcome, explicitAcks, retryMessages } = await getQueueResult(batch, ctx)
  return {
    outcome,
    acked: [...explicitAcks].map(Number).sort((a, b) => a - b),
    retried: retryMessages.map(({ msgId }) => Number(msgId)).sort((a, b) => a - b),
  }
}
const bell = ({ id, webhookId }: { id: number; webhookId: number }) => ({
  delivery: id,
  webhook: webhookId,
})
const all = (n: number) => Array.from({ length: n }, (_, i) => i)

/** A promise, and what fulfils it. */
function gate() {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open, opened }
}

/** Lets the database answer a few times: whatever else could be leased would be by then. */
async function settled(id: number) {
  for (let i = 0; i < 10; i++) await find(id)
}

/** The database, which fails in every call. */
const failing = {
  withSession: () => ({
    prepare: () => ({ bind: () => ({}) }),
    batch: async () => {
      throw new Error('D1_ERROR: D1 DB is overloaded')
    },
  }),
} as unknown as D1Database

describe('the consumer', () => {
  it('delivers what it is rung for, and is done with the message, however it ends', async () => {
    const good = await seedDelivery()
    const bad = await seedDelivery()
    await bad.hook.answer(500)
    const gone = { id: 987_654_321, webhookId: good.webhookId }
    const result = await run([good, bad, gone, good].map(bell))
    expect(result).toEqual({ outcome: 'ok', acked: [0, 1, 2, 3], retried: [] })
    expect(await find(good.id)).toMatchObject({ state: 'delivered' })
    expect(await find(bad.id)).toMatchObject({ state: 'pending', attempts: 1 })
    expect(await good.hook.received()).toHaveLength(1)
  })

  it('asks for the message again when the database fails, and does not throw', async () => {
    const seeded = await seedDelivery()
    const told = vi.spyOn(console, 'error').mockImplementation(() => {})
    const { env: bindings } = withBell({ DB: failing })
    expect(await run([bell(seeded)], bindings)).toEqual({ outcome: 'ok', acked: [], retried: [0] })
    expect(said(told, 'error')).toContainEqual(
      expect.objectContaining({ event: 'delivery fault', error: expect.any(String) }),
    )
    expect(await seeded.hook.received()).toEqual([])
    expect(await run([bell(seeded)])).toMatchObject({ acked: [0], retried: [] })
    expect(await seeded.hook.received()).toHaveLength(1)
  })

  it.each([
    ['nothing', null],
    ['nothing at all', undefined],
    ['an object without a number', {}],
    ['a word', { delivery: 'x', webhook: 1 }],
    ['a list', []],
    ['a text', 'x'],
    ['an object for a number', { delivery: {}, webhook: 1 }],
  ])('leaves what holds %s to the dead letters, and does the rest', async (_name, body) => {
    const seeded = await seedDelivery()
    const result = await run([body, bell(seeded)])
    expect(result).toEqual({ outcome: 'ok', acked: [1], retried: [0] })
    expect(await seeded.hook.received()).toHaveLength(1)
  })

  it.each([
    ['no webhook', (id: number) => ({ delivery: id })],
    ['a wrong webhook', (id: number) => ({ delivery: id, webhook: 'x' })],
    ['more', (id: number) => ({ delivery: id, webhook: 1, more: [1] })],
  ])('delivers what names its delivery and %s', async (_name, body) => {
    const { id, hook } = await seedDelivery()
    expect(await run([body(id)])).toEqual({ outcome: 'ok', acked: [0], retried: [] })
    expect(await hook.received()).toHaveLength(1)
  })

  it('has six attempts under way and no more', async () => {
    const { id, ids: deliveries, webhookId } = await seedDeliveries(13)
    const held = gate()
    const called = stubReceivers(async () => {
      // The first of a webhook goes alone.
      if (called.length > 1) await held.opened
      return new Response('')
    })
    const running = run(deliveries.map((one) => bell({ id: one, webhookId })))
    await vi.waitFor(() => expect(called).toHaveLength(7), { timeout: 5_000, interval: 5 })
    await settled(id)
    expect(called).toHaveLength(7)
    held.open()
    expect(await running).toMatchObject({ acked: all(13) })
    expect(called).toHaveLength(13)
  })

  it('is what the Worker exports', () => {
    expect(worker.queue).toBe(consume)
  })
})

describe('a receiver that hangs', () => {
  it('costs one place of the six, and the others are rung for later, on the slow queue', async () => {
    const hanging = await seedDeliveries(7)
    const others = [await seedDelivery(), await seedDelivery(), await seedDelivery()]
    const held = gate()
    const called = stubReceivers(async (url) => {
      if (url !== hanging.hook.url) return new Response('')
      await held.opened
      return new Response('', { status: 504 })
    })
    const bells = withBell()
    const mine = hanging.ids.map((id) => bell({ id, webhookId: hanging.webhookId }))
    const running = run([...mine, ...others.map(bell)], bells.env)
    await vi.waitFor(
      async () => {
        for (const { id } of others) expect(await find(id)).toMatchObject({ state: 'delivered' })
      },
      { timeout: 5_000, interval: 20 },
    )
    expect(called.filter((url) => url === hanging.hook.url)).toHaveLength(1)
    held.open()
    expect(await running).toEqual({ outcome: 'ok', acked: all(10), retried: [] })
    expect(called.filter((url) => url === hanging.hook.url)).toHaveLength(1)
    const [first, ...later] = hanging.ids
    const soon = bells.slow.filter(({ delaySeconds }) => delaySeconds === 5)
    expect(soon.map(({ body }) => body)).toEqual(
      later.map((id) => bell({ id, webhookId: hanging.webhookId })),
    )
    expect(ids(bells.slow)).toContain(first)
    expect(bells.rung).toEqual([])
    for (const id of later) expect(await find(id)).toMatchObject({ state: 'pending', attempts: 0 })
  })

  it('costs one place also when the first message rings for what another worker has', async () => {
    const hanging = await seedDeliveries(7)
    const [first = 0] = hanging.ids
    await lease(db(), first, 'other', Date.now(), Date.now() + 45 * SECOND, 'queue')
    const held = gate()
    const called = stubReceivers(async () => {
      await held.opened
      return new Response('', { status: 500 })
    })
    const running = run(hanging.ids.map((id) => bell({ id, webhookId: hanging.webhookId })))
    await vi.waitFor(() => expect(called).not.toEqual([]), { timeout: 5_000, interval: 5 })
    await settled(first)
    expect(called).toHaveLength(1)
    held.open()
    expect(await running).toMatchObject({ acked: all(7) })
    expect(called).toHaveLength(1)
  })

  it('leaves what waits to the sweep when the slow queue is down', async () => {
    vi.spyOn(console, 'warn').mockImplementation(() => {})
    const { ids: deliveries, webhookId, hook } = await seedDeliveries(3)
    await hook.answer(500)
    const { env: bindings } = withBell({ DELIVERIES_SLOW: deadQueue })
    const result = await run(
      deliveries.map((id) => bell({ id, webhookId })),
      bindings,
    )
    expect(result).toEqual({ outcome: 'ok', acked: [0, 1, 2], retried: [] })
    expect(await hook.received()).toHaveLength(1)
  })
})

describe('the two queues', () => {
  it('a quick doorbell for a webhook that fails is passed on, and nothing is tried', async () => {
    const seeded = await seedDeliveries(3)
    await setWebhook(seeded.hook, 'failures = 1, failingSince = 1')
    const bells = withBell()
    const result = await run(
      seeded.ids.map((id) => bell({ id, webhookId: seeded.webhookId })),
      bells.env,
    )
    expect(result).toEqual({ outcome: 'ok', acked: [0, 1, 2], retried: [] })
    expect(ids(bells.slow).sort((a, b) => a - b)).toEqual(seeded.ids)
    expect(bells.slow.map(({ body }) => body)).toEqual(
      ids(bells.slow).map((id) => bell({ id, webhookId: seeded.webhookId })),
    )
    expect(bells.rung).toEqual([])
    expect(await seeded.hook.received()).toEqual([])
    expect(await find(seeded.id)).toMatchObject({ attempts: 0 })
  })

  it('a slow doorbell is answered whatever the webhook’s state', async () => {
    const seeded = await seedDelivery()
    await setWebhook(seeded.hook, 'failures = 3, failingSince = 1')
    expect(await run([bell(seeded)], silent, SLOW)).toMatchObject({ acked: [0] })
    expect(await find(seeded.id)).toMatchObject({ state: 'delivered' })
    expect(await fares(seeded.hook)).toMatchObject({ failures: 0 })
  })

  it.each([
    ['has arrived', `state = 'delivered'`, 'failures = 1'],
    ['is not due', `nextAt = ${Date.now() + HOUR}`, 'failures = 1'],
    ['is for a webhook that is switched off', `attempts = 0`, `failures = 1, state = 'disabled'`],
  ])('what %s is not passed on', async (_name, delivery, webhook) => {
    const seeded = await seedDelivery()
    await set(seeded.id, delivery)
    await setWebhook(seeded.hook, webhook)
    const bells = withBell()
    expect(await run([bell(seeded)], bells.env)).toMatchObject({ acked: [0], retried: [] })
    expect([bells.rung, bells.slow]).toEqual([[], []])
  })

  it.each([
    [`${QUEUE}-staging`, 'quick'],
    [`${SLOW}-staging`, 'slow'],
  ])('are told apart in another environment: %s', async (queue, kind) => {
    const seeded = await seedDelivery()
    await setWebhook(seeded.hook, 'failures = 1, failingSince = 1')
    await run([bell(seeded)], silent, queue)
    expect(await find(seeded.id)).toMatchObject({
      state: kind === 'slow' ? 'delivered' : 'pending',
    })
  })
})

describe('a dead letter', () => {
  it.each([DEAD, `${DEAD}-staging`])(
    'of %s is kept, is an alarm, and is done with',
    async (dead) => {
      const told = vi.spyOn(console, 'error').mockImplementation(() => {})
      const before = await rows('queueFaults')
      const bodies = [{ delivery: 77, webhook: 3 }, null]
      expect(await run(bodies, silent, dead)).toEqual({ outcome: 'ok', acked: [0, 1], retried: [] })
      expect(await rows('queueFaults')).toBe(before + 2)
      const fault = await env.DB.prepare('select * from queueFaults order by id desc limit 2').all()
      expect(fault.results).toMatchObject([
        { queue: dead, message: 'null' },
        { queue: dead, message: '{"delivery":77,"webhook":3}' },
      ])
      expect(Math.abs(Number(fault.results[0]?.at) - Date.now())).toBeLessThan(MINUTE)
      expect(said(told, 'alarm')).toEqual(
        Array(2).fill({ level: 'alarm', event: 'dead letter', queue: dead }),
      )
    },
  )

  it('that cannot be kept is asked for again, and nothing is thrown', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => {})
    const { env: bindings } = withBell({ DB: failing })
    expect(await run([{ delivery: 1 }], bindings, DEAD)).toEqual({
      outcome: 'ok',
      acked: [],
      retried: [0],
    })
  })
})

describe('the second heart', () => {
  const beats = () => env.DB.prepare(`select at from heartbeats where name = 'sweep'`).first('at')

  it('beats after a run when no sweep has run for three minutes, and not before', async () => {
    const start = Date.now() + 2 * HOUR
    const waiting = await seedDelivery()
    await set(waiting.id, `nextAt = ${start}`)
    await calm(start)
    const rung: Rung[] = []
    const { env: bindings } = withBell({ DELIVERIES: bellOf(rung) })
    at(start + 3 * MINUTE)
    await run([{ delivery: 987_654_321, webhook: 1 }], bindings)
    // To the millisecond three minutes late: it runs.
    expect(await beats()).toBe(start + 3 * MINUTE)
    expect(await find(waiting.id)).toMatchObject({ state: 'delivered' })
    at(start + 6 * MINUTE - 1)
    await run([{ delivery: 987_654_321, webhook: 1 }], bindings)
    expect(await beats()).toBe(start + 3 * MINUTE)
  })

  it('does not make the run fail when it cannot beat', async () => {
    vi.spyOn(console, 'error').mockImplementation(() => {})
    at(Date.now() + 20 * HOUR)
    const { env: bindings } = withBell({ DB: failing })
    expect(await run([null], bindings)).toEqual({ outcome: 'ok', acked: [], retried: [0] })
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

describe('an award', () => {
  const seedAwards = async (n: number) => {
    const seed = await seedBadge(levels[0])
    const emails = all(n).map((i) => `earner-${i}@example.org`)
    await api.post(`${seed.path}/instances/bulk`, { emails })
    const { results } = await env.DB.prepare(
      'select i.id from badgeInstances i join badges b on b.id = i.badgeId where b.slug = ? order by i.id',
    )
      .bind(seed.badge.slug)
      .all<{ id: number }>()
    return results.map(({ id }) => id)
  }
  const isSigned = async (id: number) =>
    (await env.DB.prepare('select id from credentials where awardId = ?').bind(id).first()) !== null

  it('is signed after the deliveries of its batch, once, and its bell is answered', async () => {
    const [id = 0] = await seedAwards(1)
    const seeded = await seedDelivery()
    const result = await run([
      { award: id },
      bell({ id: seeded.id, webhookId: seeded.webhookId }),
      { award: id },
    ])
    expect(result).toEqual({ outcome: 'ok', acked: [0, 1, 2], retried: [] })
    expect(await isSigned(id)).toBe(true)
    expect(await find(seeded.id)).toMatchObject({ state: 'delivered' })
    const signedAt = await env.DB.prepare(
      'select (select endedAt from deliveries where id = ?) / 1000 * 1000 <= created as later from credentials where awardId = ?',
    )
      .bind(seeded.id, id)
      .first('later')
    expect(signedAt).toBe(1)
  })

  it('that is not there is answered; where the database fails it is asked for again', async () => {
    expect(await run([{ award: 999_999_999 }])).toMatchObject({ acked: [0], retried: [] })
    const [id = 0] = await seedAwards(1)
    const down = { ...silent, DB: failing } as unknown as Bindings
    expect(await run([{ award: id }], down)).toMatchObject({ acked: [], retried: [0] })
    expect(await isSigned(id)).toBe(false)
  })

  it('whose issuer’s key does not open is asked for again, and keeps no other waiting', async () => {
    const [one = 0] = await seedAwards(1)
    const [two = 0] = await seedAwards(1)
    const system = await env.DB.prepare(
      'select s.slug from badgeInstances i join systems s on s.id = i.systemId where i.id = ?',
    )
      .bind(one)
      .first('slug')
    await api.post(`/systems/${system}/signing-keys/rotate`)
    await env.DB.prepare(
      `update signingKeys set sealed = 'v1.gone.AAAA.AAAA'
       where systemId = (select systemId from badgeInstances where id = ?)`,
    )
      .bind(one)
      .run()
    const result = await run([{ award: one }, { award: two }])
    expect(result).toMatchObject({ acked: [1], retried: [0] })
    expect([await isSigned(one), await isSigned(two)]).toEqual([false, true])
  })
})
