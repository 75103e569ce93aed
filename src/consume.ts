import { deliverAll } from './deliver'
import type { Doorbell } from './doorbell'
import type { Bindings } from './env'
import { nameOf } from './errors'
import { workOn } from './jobs'
import { signById } from './signing'
import { type Db, openDb } from './store/db'
import { recordQueueFault } from './store/deliveries'
import { sweepIfLate } from './sweep'

/** How the names of our queues begin; another environment's end in its name. */
const DEAD = 'badgekit-deliveries-dead'
const SLOW = 'badgekit-deliveries-slow'

/**
 * The consumer of all queues. It never throws, and acknowledges whatever came of an attempt, as what is still to do stands in the
 * table; only what failed here, the database for one, is asked for again.
 */
export async function consume(batch: MessageBatch<Doorbell>, env: Bindings): Promise<void> {
  const db = openDb(env.DB, 'first-primary')
  if (batch.queue.startsWith(DEAD)) return bury(db, batch)
  const asker = batch.queue.startsWith(SLOW) ? 'slow queue' : 'queue'
  // The same delivery may have been rung for twice.
  const rings = Map.groupBy(batch.messages, ({ body }) => idIn(body, 'delivery'))
  const awards = Map.groupBy(rings.get(Number.NaN) ?? [], ({ body }) => idIn(body, 'award'))
  rings.delete(Number.NaN)
  const jobs = Map.groupBy(awards.get(Number.NaN) ?? [], ({ body }) => idIn(body, 'job'))
  awards.delete(Number.NaN)
  // What carries no id rings for nothing: a bug, for the dead letters.
  for (const message of jobs.get(Number.NaN) ?? []) message.retry()
  jobs.delete(Number.NaN)
  const due = [...rings].map(([id, [message]]) => ({
    id,
    webhookId: idIn(message?.body, 'webhook'),
  }))
  await deliverAll(db, env, due, asker, (id, failed) => settle(rings.get(id), failed))
  // Somebody waits for deliveries, and nobody for signatures; neither waits for a job.
  for (const [id, messages] of awards) {
    settle(messages, await hasFailed('signing fault', () => signById(db, env, id, Date.now())))
  }
  for (const [id, messages] of jobs) {
    settle(messages, await hasFailed('job fault', () => workOn(db, env, id)))
  }
  await sweepIfLate(env, Date.now())
}

function idIn(body: Doorbell | undefined, name: string): number {
  const id = (body as Record<string, unknown> | undefined)?.[name]
  return Number.isSafeInteger(id) ? Number(id) : Number.NaN
}

function settle(messages: readonly Message<Doorbell>[] = [], failed: boolean): void {
  for (const message of messages) {
    if (failed) message.retry()
    else message.ack()
  }
}

async function hasFailed(event: string, work: () => Promise<void>): Promise<boolean> {
  try {
    await work()
    return false
  } catch (error) {
    console.error(JSON.stringify({ level: 'error', event, error: nameOf(error) }))
    return true
  }
}

async function bury(db: Db, batch: MessageBatch<Doorbell>): Promise<void> {
  for (const message of batch.messages) {
    try {
      await recordQueueFault(db, batch.queue, JSON.stringify(message.body), Date.now())
      console.error(JSON.stringify({ level: 'alarm', event: 'dead letter', queue: batch.queue }))
      message.ack()
    } catch (error) {
      console.error(
        JSON.stringify({ level: 'error', event: 'delivery fault', error: nameOf(error) }),
      )
      message.retry()
    }
  }
}
