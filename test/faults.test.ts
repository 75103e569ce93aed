import { createExecutionContext, createMessageBatch, getQueueResult } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { consume } from '../src/consume'
import type { Doorbell } from '../src/doorbell'
import type { Bindings } from '../src/env'
import type { EventType } from '../src/events'
import { sweep } from '../src/sweep'
import { api } from './helpers/api'
import {
  at,
  bellOf,
  call,
  calm,
  DAY,
  latest,
  MINUTE,
  nothingWaits,
  queuesDown,
  type Rung,
  SECOND,
  silent,
} from './helpers/deliveries'
import { levels, seedBadge, seedWebhook, unique } from './helpers/seed'

/**
 * The Worker dies, or a binding fails, at each point between a change and its delivery: the event stands once, and is delivered
 * at least once, with the same bytes each time.
 */

type Seed = Awaited<ReturnType<typeof seedBadge>>
type Hook = Awaited<ReturnType<typeof seedWebhook>>

const [atSystem] = levels

beforeEach(async () => {
  await nothingWaits()
  await calm()
  for (const level of ['warn', 'error'] as const) {
    vi.spyOn(console, level).mockImplementation(() => {})
  }
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
})

// ── What can happen ─────────────────────────────────────────────────────────────────────────────────────────────────

type Doing = (bindings: Bindings) => Promise<unknown>
/** Makes all ready without ringing, and gives what makes the one event. */
type Cause = (seed: Seed) => Promise<Doing>

/** A request by which something happens; it is answered well, whatever the fault. */
const by =
  (method: string, path: string, body?: object): Doing =>
  async (bindings) => {
    const { status } = await call(bindings, method, path, body)
    expect(status).toBeLessThan(300)
  }
const ready = async (path: string, body: object) => (await call(silent, 'POST', path, body)).body

const CAUSES: Record<Exclude<EventType, 'ping'>, Cause> = {
  'badge.awarded': async (seed) => by('POST', `${seed.path}/instances`, { email: 'a@example.org' }),
  'badge.revoked': async (seed) => {
    await ready(`${seed.path}/instances`, { email: 'a@example.org' })
    return by('DELETE', `${seed.path}/instances/a@example.org`)
  },
  'application.created': async (seed) =>
    by('POST', `${seed.path}/applications`, { learner: 'a@example.org' }),
  'application.updated': async (seed) => {
    const made = await ready(`${seed.path}/applications`, { learner: 'a@example.org' })
    return by('PUT', `${seed.path}/applications/${made.application.slug}`, { assignedTo: null })
  },
  'application.reviewed': async (seed) => {
    const made = await ready(`${seed.path}/applications`, { learner: 'a@example.org' })
    return by('POST', `${seed.path}/applications/${made.application.slug}/reviews`, {
      author: 'r@example.org',
      reviewItems: [{ criterionId: 1, satisfied: 1 }],
    })
  },
  'code.claimed': async (seed) => {
    await ready(`${seed.path}/codes`, { code: 'x' })
    return by('POST', `${seed.path}/codes/x/claim`)
  },
  'badge.suspended': async (seed) => {
    await ready(`${seed.path}/instances`, { email: 'a@example.org' })
    return by('POST', `${seed.path}/instances/a@example.org/suspend`)
  },
  'badge.reinstated': async (seed) => {
    await ready(`${seed.path}/instances`, { email: 'a@example.org' })
    await ready(`${seed.path}/instances/a@example.org/suspend`, {})
    return by('POST', `${seed.path}/instances/a@example.org/reinstate`)
  },
  'badge.renewed': async (seed) => {
    await ready(`${seed.path}/instances`, { email: 'a@example.org' })
    return by('POST', `${seed.path}/instances/a@example.org/renew`)
  },
  'badge.amended': async (seed) => {
    await ready(`${seed.path}/instances`, { email: 'a@example.org' })
    return by('PUT', `${seed.path}/instances/a@example.org`, { narrative: 'New' })
  },
  'badge.updated': async (seed) => by('PUT', seed.path, { name: 'New' }),
  'badge.expiring': async (seed) => {
    const now = Date.now()
    const expires = Math.ceil((now + 3 * DAY) / 1000) * 1000
    await ready(`${seed.path}/instances`, { email: 'a@example.org', expires })
    await env.DB.prepare('update badgeInstances set createdAt = ? where badgeId = ?')
      .bind(now - 30 * DAY, seed.badge.id)
      .run()
    return (bindings) => sweep(bindings, now)
  },
}

// ── What can fail ───────────────────────────────────────────────────────────────────────────────────────────────────

const isSettling = (texts: readonly string[]) =>
  texts.some((text) => /insert into attempts/.test(text))

/** The database, where a batch that records an attempt goes through `around`. */
const settlingBy = (around: (run: () => Promise<D1Result[]>) => Promise<D1Result[]>) =>
  ({
    withSession(from: string) {
      const session = env.DB.withSession(from)
      const texts: string[] = []
      return {
        prepare(text: string) {
          texts.push(text)
          return session.prepare(text)
        },
        batch(statements: D1PreparedStatement[]) {
          const mine = texts.splice(0)
          const run = () => session.batch(statements)
          return isSettling(mine) ? around(run) : run()
        },
        getBookmark: () => session.getBookmark(),
      }
    },
  }) as unknown as D1Database

/** A worker that is gone: nothing that it waits for ever comes. */
const never = () => new Promise<never>(() => {})
const lost = () => new Error('D1_ERROR: Network connection lost.')

async function run(bodies: readonly Doorbell[], bindings: Bindings) {
  const messages = bodies.map((body, i) => ({
    id: String(i),
    timestamp: new Date(),
    attempts: 1,
    body,
  }))
  const batch = createMessageBatch<Doorbell>('badgekit-deliveries', messages)
  await consume(batch, bindings)
  return getQueueResult(batch, createExecutionContext())
}

/** Lets the cron tick by a clock of the test's own, with both queues down: the sweep alone has to do it. */
async function ticks(n: number) {
  for (let i = 0; i < n; i++) {
    at(Date.now() + MINUTE)
    await sweep(queuesDown, Date.now())
  }
}

type Scene = { doing: Doing; hook: Hook }
/** Lets the event happen, with a fault, and gives how many posts there are to be. */
type Fault = (scene: Scene) => Promise<number>

/** Lets the event happen under a bell that nobody hears; gives the deliveries that were rung for. */
async function happening({ doing }: Scene): Promise<Doorbell[]> {
  const rung: Rung[] = []
  const queue = bellOf(rung)
  await doing({ ...env, DELIVERIES: queue, DELIVERIES_SLOW: queue } as Bindings)
  const bodies = rung.map(({ body }) => body).filter((body) => 'delivery' in body)
  expect(bodies).toHaveLength(1)
  return bodies
}

const FAULTS: Record<string, Fault> = {
  'the doorbell is lost after the change': async (scene) => {
    await happening(scene)
    await ticks(2)
    return 1
  },
  'the queue takes no message': async ({ doing }) => {
    await doing(queuesDown)
    await ticks(2)
    return 1
  },
  'the worker dies between the lease and the call': async (scene) => {
    const bodies = await happening(scene)
    let called = 0
    const honest = globalThis.fetch
    vi.stubGlobal('fetch', (...given: Parameters<typeof fetch>) => {
      if (!String(given[0]).includes('/to/')) return honest(...given)
      called++
      return never()
    })
    void run(bodies, silent)
    await vi.waitFor(() => expect(called).toBe(1), { timeout: 5_000, interval: 5 })
    vi.unstubAllGlobals()
    // The lease still stands when others look.
    await run(bodies, silent)
    at(Date.now() + 44 * SECOND)
    await run(bodies, silent)
    expect(await scene.hook.received()).toEqual([])
    await ticks(2)
    return 1
  },
  'the answer comes, and cannot be recorded': async (scene) => {
    const bodies = await happening(scene)
    const DB = settlingBy(async () => {
      throw lost()
    })
    const { retryMessages } = await run(bodies, { ...silent, DB })
    expect(retryMessages).toHaveLength(1)
    // The message comes again while the lease stands.
    expect((await run(bodies, silent)).explicitAcks).toEqual(['0'])
    await ticks(2)
    return 2
  },
  'the worker dies after the answer': async (scene) => {
    const bodies = await happening(scene)
    let settling = 0
    const DB = settlingBy(() => {
      settling++
      return never()
    })
    void run(bodies, { ...silent, DB })
    await vi.waitFor(() => expect(settling).toBe(1), { timeout: 5_000, interval: 5 })
    await ticks(2)
    return 2
  },
  'the answer is recorded, and D1’s own answer is lost': async (scene) => {
    const bodies = await happening(scene)
    const DB = settlingBy(async (settle) => {
      await settle()
      throw lost()
    })
    const { retryMessages } = await run(bodies, { ...silent, DB })
    expect(retryMessages).toHaveLength(1)
    await run(bodies, silent)
    await ticks(2)
    return 1
  },
  'the message comes again after all was done': async (scene) => {
    const bodies = await happening(scene)
    for (let i = 0; i < 3; i++) {
      expect((await run([...bodies, ...bodies], silent)).explicitAcks).toHaveLength(2)
    }
    await Promise.all([run(bodies, silent), run(bodies, silent)])
    await ticks(2)
    return 1
  },
}

const cases = Object.entries(FAULTS).flatMap(([name, fault]) =>
  Object.entries(CAUSES).map(([type, cause]) => [name, type, fault, cause] as const),
)

it.each(cases)(
  'when %s, %s stands once and arrives with the same bytes',
  async (_n, type, fault, cause) => {
    const seed = await seedBadge(atSystem)
    const doing = await cause(seed)
    const hook = await seedWebhook(seed.system, { format: 'events-1', events: [type] })
    const posts = await fault({ doing, hook })
    const events = await env.DB.prepare(
      `select e.id from events e join badges b on b.systemId = e.systemId where b.id = ? and e.type = ?`,
    )
      .bind(seed.badge.id, type)
      .all<{ id: string }>()
    expect(events.results).toHaveLength(1)
    const received = await hook.received()
    expect(received).toHaveLength(posts)
    expect(new Set(received.map(({ body }) => body)).size).toBe(1)
    const id = events.results[0]?.id
    expect(new Set(received.map(({ headers }) => headers['webhook-id']))).toEqual(new Set([id]))
    const row = await latest(hook)
    const state = await env.DB.prepare('select state from deliveries where id = ?')
      .bind(row.id)
      .first('state')
    expect(state).toBe('delivered')
  },
)

describe('a ping', () => {
  it('whose tester dies is sent by the sweep, once', async () => {
    const seed = await seedBadge(atSystem)
    const hook = await seedWebhook(seed.system, { events: [] })
    const { id } = (await api.get(`${seed.system}/webhooks`)).body.webhooks[0]
    const DB = settlingBy(async () => {
      throw new Error('D1_ERROR: gone')
    })
    await call({ ...silent, DB }, 'POST', `${seed.system}/webhooks/${id}/test`)
    await ticks(2)
    await ticks(2)
    const received = await hook.received()
    expect(received).toHaveLength(2)
    expect(received[0]?.body).toBe(received[1]?.body)
  })
})

describe('many at once', () => {
  it('lose none, while queues fail by turns and workers settle badly', async () => {
    const seed = await seedBadge(atSystem)
    const hook = await seedWebhook(seed.system)
    let n = 0
    const DB = settlingBy(async (settle) => {
      if (++n % 3 === 0) throw lost()
      return settle()
    })
    const flaky = {
      sendBatch: async () => {
        if (++n % 2 === 0) throw new Error('Queue is overloaded')
      },
    } as unknown as Queue
    const bindings = { ...env, DELIVERIES: flaky, DELIVERIES_SLOW: flaky } as Bindings
    await Promise.all(
      Array.from({ length: 15 }, () =>
        call(bindings, 'POST', `${seed.path}/instances`, { email: `${unique('m')}@example.org` }),
      ),
    )
    for (let i = 0; i < 4; i++) {
      at(Date.now() + MINUTE)
      await sweep({ ...bindings, DB }, Date.now())
    }
    await ticks(2)
    const received = await hook.received()
    const { results } = await env.DB.prepare(
      'select e.id from events e join badges b on b.systemId = e.systemId where b.id = ?',
    )
      .bind(seed.badge.id)
      .all<{ id: string }>()
    expect(results).toHaveLength(15)
    expect(new Set(received.map(({ headers }) => headers['webhook-id']))).toEqual(
      new Set(results.map(({ id }) => id)),
    )
    for (const { id } of results) {
      const same = received.filter(({ headers }) => headers['webhook-id'] === id)
      expect(new Set(same.map(({ body }) => body)).size).toBe(1)
    }
    const left = await env.DB.prepare(
      `select count(*) as n from deliveries where state = 'pending'`,
    ).first('n')
    expect(left).toBe(0)
  })
})
