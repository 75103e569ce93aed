import type { Bindings } from './env'
import { nameOf } from './errors'

/** What the queues carry: ids, never a payload. An award is rung for to be signed, a job to go on. */
export type Doorbell = DeliveryBell | { award: number } | { job: number }
type DeliveryBell = { delivery: number; webhook: number }

/** A delivery to ring for; `slow` when the last attempt of its webhook failed. */
export type Due = { id: number; webhookId: number; slow: 0 | 1 }

const BATCH = 100
/** Most deliveries that one call rings for: the platform counts the calls. The sweep finds the rest. */
const MAX_RUNG = 1_000

/** Rings for deliveries, each on its webhook's queue. A failure is told, and no more than that: the sweep finds them. */
export async function ring(
  env: Bindings,
  due: readonly Due[],
  delaySeconds = 0,
): Promise<{ failed: boolean }> {
  const some = due.slice(0, MAX_RUNG)
  try {
    await Promise.all([
      sendAll(
        env.DELIVERIES,
        some.filter(({ slow }) => !slow),
        delaySeconds,
      ),
      sendAll(
        env.DELIVERIES_SLOW,
        some.filter(({ slow }) => slow),
        delaySeconds,
      ),
    ])
    return { failed: false }
  } catch (error) {
    console.warn(JSON.stringify({ level: 'warn', event: 'doorbell failed', error: nameOf(error) }))
    return { failed: true }
  }
}

/** Rings for an award that is to be signed. When nobody hears, whoever asks for its credential first signs it. */
export const ringForAward = (env: Bindings, award: number) => ringOnce(env, { award })

/** Rings for a job to go on. Lost, it is found by the sweep. */
export const ringForJob = (env: Bindings, job: number) => ringOnce(env, { job })

async function ringOnce(env: Bindings, body: Doorbell): Promise<void> {
  try {
    await env.DELIVERIES.sendBatch([{ body }])
  } catch (error) {
    console.warn(JSON.stringify({ level: 'warn', event: 'doorbell failed', error: nameOf(error) }))
  }
}

async function sendAll(queue: Queue, due: readonly Due[], delaySeconds: number): Promise<void> {
  for (let start = 0; start < due.length; start += BATCH) {
    const messages = due.slice(start, start + BATCH).map(({ id, webhookId }) => ({
      body: { delivery: id, webhook: webhookId } satisfies Doorbell,
      delaySeconds,
    }))
    await queue.sendBatch(messages)
  }
}
