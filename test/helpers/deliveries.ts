import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, beforeAll, beforeEach, expect, vi } from 'vitest'
import { app } from '../../src/app'
import { utf8 } from '../../src/crypto'
import { deliver } from '../../src/deliver'
import type { Doorbell } from '../../src/doorbell'
import type { Bindings } from '../../src/env'
import { openDb } from '../../src/store/db'
import type { Asker } from '../../src/store/deliveries'
import { type Answer, ORIGIN, sign } from './api'
import { levels, seedBadge, seedWebhook, unique } from './seed'

/** The outbox under a clock and with queues of the test's own: nothing is delivered but what the test delivers. */

export const SECOND = 1_000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

export type Rung = { body: Extract<Doorbell, { delivery: number }>; delaySeconds: number }

/** A queue that delivers nothing, and keeps what it was sent. */
export const bellOf = (rung: Rung[]) =>
  ({
    sendBatch: async (messages: Iterable<Rung>) => void rung.push(...messages),
  }) as unknown as Queue

/** A queue that is down. */
export const deadQueue = {
  sendBatch: async () => {
    throw new Error('Queue is overloaded')
  },
} as unknown as Queue

/** Bindings whose queues deliver nothing, and what was sent to the quick and to the slow one. */
export function withBell(over: Partial<Bindings> = {}) {
  const rung: Rung[] = []
  const slow: Rung[] = []
  const queues = { DELIVERIES: bellOf(rung), DELIVERIES_SLOW: bellOf(slow) }
  return { rung, slow, env: { ...env, ...queues, ...over } as Bindings }
}
export const silent = withBell().env
export const queuesDown = { ...env, DELIVERIES: deadQueue, DELIVERIES_SLOW: deadQueue } as Bindings

/** The deliveries that were rung for; awards are rung for to be signed. */
export const ids = (rung: readonly Rung[]) =>
  rung.flatMap(({ body }) => ('delivery' in body ? body.delivery : []))

export const db = () => openDb(env.DB, 'first-primary')

/** What came of an attempt; null when there was none. */
export async function send(id: number, bindings = silent, asker: Asker = 'sweep') {
  const result = await deliver(db(), bindings, id, asker)
  return result && 'outcome' in result ? result.outcome : null
}

/** A signed request to the app with bindings of the test's own, and all that it leaves for later done. */
export async function call(
  bindings: Bindings,
  method: string,
  path: string,
  given?: object,
): Promise<Answer> {
  const body = given && utf8(JSON.stringify(given))
  const request = new Request(ORIGIN + path, {
    method,
    body,
    headers: {
      Authorization: `JWT token="${await sign(method, path, body)}"`,
      ...(body && { 'Content-Type': 'application/json' }),
    },
  })
  const ctx = createExecutionContext()
  const answer = await app.fetch(request, bindings, ctx)
  await waitOnExecutionContext(ctx)
  return { status: answer.status, headers: answer.headers, body: await answer.json() }
}

/** Awards a badge without ringing, and gives the delivery that waits for the receiver. */
export async function pending(hook: { url: string }, path: string, bindings = silent) {
  const email = `${unique('e')}@example.org`
  const { status } = await call(bindings, 'POST', `${path}/instances`, { email })
  expect(status).toBe(201)
  return { ...(await latest(hook)), email }
}

/** Ends the award that a delivery tells of, without ringing, and gives the delivery that tells of that. */
export async function revoked(hook: { url: string }, path: string, email: string) {
  const { status } = await call(silent, 'DELETE', `${path}/instances/${email}`)
  expect(status).toBe(200)
  return latest(hook)
}

/** The newest delivery to a receiver. */
export async function latest(hook: { url: string }) {
  const row = await env.DB.prepare(
    `select d.id, d.eventId, d.webhookId from deliveries d join webhooks w on w.id = d.webhookId
     where w.url = ? order by d.id desc limit 1`,
  )
    .bind(hook.url)
    .first<{ id: number; eventId: string; webhookId: number }>()
  if (!row) throw new Error('nothing waits')
  return row
}

/** A badge, a receiver and a delivery that nobody has rung for. */
export async function seedDelivery(more: object = {}) {
  const seed = await seedBadge(levels[0])
  const hook = await seedWebhook(seed.system, more)
  return { seed, hook, ...(await pending(hook, seed.path)) }
}

/** The same with so many deliveries, about different awards. */
export async function seedDeliveries(n: number, more: object = {}) {
  const first = await seedDelivery(more)
  const all = [first.id]
  for (let i = 1; i < n; i++) all.push((await pending(first.hook, first.seed.path)).id)
  return { ...first, ids: all }
}

export const find = (id: number) =>
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

export const attemptsOf = async (id: number) =>
  (await env.DB.prepare('select * from attempts where deliveryId = ? order by n').bind(id).all())
    .results

export const set = (id: number, what: string) =>
  env.DB.prepare(`update deliveries set ${what} where id = ?`).bind(id).run()

export const setWebhook = (hook: { url: string }, what: string, ...values: unknown[]) =>
  env.DB.prepare(`update webhooks set ${what} where url = ?`)
    .bind(...values, hook.url)
    .run()

/** How a webhook fares. */
export const fares = (hook: { url: string }) =>
  env.DB.prepare(
    'select state, failures, failingSince, blockedUntil, disabledReason from webhooks where url = ?',
  )
    .bind(hook.url)
    .first<{
      state: string
      failures: number
      failingSince: number | null
      blockedUntil: number
      disabledReason: string | null
    }>()

/** Sets the clock; the database is never asked for the time. */
export const at = (time: number) => vi.useFakeTimers({ toFake: ['Date'], now: time })

/** Notes that a sweep has just run, so that no write and no consumer runs one. */
export const calm = (time = Date.now()) =>
  env.DB.prepare(
    `insert into heartbeats (name, at) values ('sweep', ?)
     on conflict (name) do update set at = excluded.at`,
  )
    .bind(time)
    .run()

/** Calls off what waits, so that no test looks at another's. */
export const nothingWaits = () =>
  env.DB.prepare(`update deliveries set state = 'cancelled' where state = 'pending'`).run()

/**
 * Before each test of a file no sweep is late, and, if `alone`, nothing waits; after it clock, fakes and globals are as they were.
 */
export function startCalm({ alone = false } = {}) {
  // What the queue holds of other files may have begun a sweep, which would take the first delivery of this one.
  beforeAll(async () => {
    await calm()
    await scheduler.wait(500)
  })
  beforeEach(async () => {
    if (alone) await nothingWaits()
    await calm()
  })
  afterEach(() => {
    vi.useRealTimers()
    vi.restoreAllMocks()
    vi.unstubAllGlobals()
  })
}

/** Answers every call to a webhook by `answer`, which is told the URL; gives the URLs called. */
export function stubReceivers(answer: (url: string) => Promise<Response> | Response) {
  const called: string[] = []
  const honest = globalThis.fetch
  vi.stubGlobal('fetch', async (input: RequestInfo | URL, init?: RequestInit) => {
    const url = String(input instanceof Request ? input.url : input)
    if (!url.includes('/to/')) return honest(input, init)
    called.push(url)
    return answer(url)
  })
  return called
}

/** What was said on the console as JSON lines with this level. */
export const said = (spy: { mock: { calls: unknown[][] } }, level: string) =>
  spy.mock.calls
    .flat()
    .map((line) => {
      try {
        return JSON.parse(String(line)) as Record<string, unknown>
      } catch {
        return {}
      }
    })
    .filter((line) => line.level === level)
