import type { Bindings } from './env'
import { nameOf } from './errors'

/** What the queue carries: never a payload. */
export type Doorbell = { delivery: number }

const BATCH = 100
/** Most deliveries that one call rings for: the platform counts the calls. The sweep finds the rest. */
const MAX_RUNG = 1_000

/** Rings for deliveries. A failure is only told: the sweep finds them. */
export async function ring(
  env: Bindings,
  deliveries: readonly { id: number }[],
  delaySeconds = 0,
): Promise<void> {
  try {
    for (let start = 0; start < Math.min(deliveries.length, MAX_RUNG); start += BATCH) {
      const messages = deliveries
        .slice(start, start + BATCH)
        .map(({ id }) => ({ body: { delivery: id } satisfies Doorbell, delaySeconds }))
      await env.DELIVERIES.sendBatch(messages)
    }
  } catch (error) {
    console.warn(JSON.stringify({ level: 'warn', event: 'doorbell failed', error: nameOf(error) }))
  }
}
