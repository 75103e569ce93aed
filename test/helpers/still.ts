import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { app } from '../../src/app'
import { deliver } from '../../src/deliver'
import type { Doorbell } from '../../src/doorbell'
import type { Bindings } from '../../src/env'
import { openDb } from '../../src/store/db'
import type { Asker } from '../../src/store/deliveries'
import { type Answer, ORIGIN, sign } from './api'

/** The API with queues that nobody listens to: what is due stays so until a test delivers it. */

/** The delivery of every message that was sent to the queues. */
export const rung: number[] = []
const queue = {
  sendBatch: async (messages: Iterable<{ body: Doorbell }>) =>
    void rung.push(
      ...[...messages].flatMap(({ body }) => ('delivery' in body ? body.delivery : [])),
    ),
} as unknown as Queue
const silent = { ...env, DELIVERIES: queue, DELIVERIES_SLOW: queue } as Bindings

const call =
  (method: string) =>
  async (path: string, fields?: object): Promise<Answer> => {
    const body =
      fields && (new TextEncoder().encode(JSON.stringify(fields)) as Uint8Array<ArrayBuffer>)
    const headers = new Headers(body && { 'Content-Type': 'application/json' })
    headers.set('Authorization', `JWT token="${await sign(method, path, body)}"`)
    const ctx = createExecutionContext()
    const response = await app.fetch(
      new Request(ORIGIN + path, { method, headers, body }),
      silent,
      ctx,
    )
    const text = await response.text()
    await waitOnExecutionContext(ctx)
    return { status: response.status, headers: response.headers, body: JSON.parse(text) }
  }

export const still = {
  get: call('GET'),
  post: call('POST'),
  put: call('PUT'),
  delete: call('DELETE'),
}

/** Makes one attempt of a delivery; gives what came of it, or null when there was none. */
export async function attempt(id: number, asker: Asker = 'sweep') {
  const result = await deliver(openDb(env.DB, 'first-primary'), silent, id, asker)
  return result && 'outcome' in result ? result.outcome.state : null
}

/** Makes an attempt of each delivery that waits, one after the other, the oldest first. */
export async function attemptAll() {
  const { results } = await env.DB.prepare(
    `select id from deliveries where state = 'pending' order by id`,
  ).all<{ id: number }>()
  for (const { id } of results) await attempt(id)
}
