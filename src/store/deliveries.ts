import { sql } from 'drizzle-orm'
import type { Frozen } from '../events'
import type { Db, Statement } from './db'

/** How long a worker may hold a delivery, in milliseconds: three times what an attempt may take. */
export const LEASE = 45_000

const isActive = sql`w.state = 'active' and w.deletedAt is null`

export type Leased = Frozen & {
  id: number
  attempts: number
  webhookId: number
  url: string
  format: 'badgekit-1' | 'events-1'
  /** JSON array of `{id, sealed, primary}`, the newest first. */
  secrets: string
}

/**
 * Takes a delivery that is due, for one worker: of two who ask, one gets nothing. Gives the event, the webhook and its
 * live secrets in the same round trip. The lease ends by itself, so that a worker that dies holds nothing for ever.
 */
export async function lease(db: Db, id: number, token: string, now: number) {
  const [, rows] = await db.batch([
    sql`
      update deliveries set leaseUntil = ${now + LEASE}, leaseToken = ${token}, attempts = attempts + 1
      where id = ${id} and state = 'pending' and leaseUntil <= ${now} and nextAt <= ${now}
        and exists (select 1 from webhooks w where w.id = webhookId and ${isActive})`,
    sql<Leased>`
      select d.id, d.attempts, d.eventId, d.webhookId, w.url, w.format,
        e.type, e.seq, e.createdAt, e.body, e.data, v.badge,
        (select json_group_array(json_object('id', s.id, 'sealed', s.sealed, 'primary', s."primary"))
          from (select * from webhookSecrets where webhookId = w.id
            and (retiresAt is null or retiresAt > ${now}) order by createdAt desc) s) as secrets
      from deliveries d
      join events e on e.id = d.eventId
      join webhooks w on w.id = d.webhookId and ${isActive}
      left join badgeVersions v on v.id = e.versionId
      where d.id = ${id} and d.leaseToken = ${token} and d.state = 'pending'`,
  ])
  return rows[0]
}

export type Attempt = {
  at: number
  ms: number
  status: number | null
  error: string | null
  answer: string | null
}

/** What an attempt led to. `nextAt` is the time of the next one. */
export type Outcome =
  | { state: 'delivered' }
  | { state: 'pending'; nextAt: number }
  | { state: 'exhausted' }
  | { state: 'gone' }

/** Records an attempt and what it led to, if the lease is still the worker's own. */
export async function settle(
  db: Db,
  delivery: Leased,
  token: string,
  attempt: Attempt,
  outcome: Outcome,
): Promise<void> {
  const { id, attempts, webhookId } = delivery
  const ended = attempt.at + attempt.ms
  const state = outcome.state === 'gone' ? 'exhausted' : outcome.state
  const nextAt = outcome.state === 'pending' ? outcome.nextAt : ended
  const failed = outcome.state === 'delivered' ? 0 : 1
  await db.batch([
    sql`
      insert into attempts (deliveryId, n, at, ms, status, error, answer)
      values (${id}, ${attempts}, ${attempt.at}, ${attempt.ms}, ${attempt.status}, ${attempt.error},
        ${attempt.answer})
      on conflict (deliveryId, n) do nothing`,
    sql`
      update deliveries set state = ${state}, nextAt = ${nextAt}, leaseUntil = 0, leaseToken = null,
        endedAt = ${state === 'pending' ? null : ended}
      where id = ${id} and leaseToken = ${token} and state = 'pending'`,
    sql`
      update webhooks set failures = case when ${failed} = 1 then failures + 1 else 0 end,
        failingSince = case when ${failed} = 1 then coalesce(failingSince, ${ended}) end
      where id = ${webhookId} and (${failed} = 1 or failures > 0)`,
    ...(outcome.state === 'gone'
      ? [
          sql`update webhooks set state = 'disabled', disabledAt = ${ended},
            disabledReason = 'The receiver answered 410 Gone'
            where id = ${webhookId} and state = 'active'`,
        ]
      : []),
  ])
}

/** Most that one sweep rings for. */
const SWEEP_LIMIT = 500

/** Notes that a sweep runs. */
export const beat = (now: number) => sql`
  insert into heartbeats (name, at) values ('sweep', ${now})
  on conflict (name) do update set at = excluded.at`

/** What is due: missed by the doorbell, left by a dead worker, or late on the schedule. */
export const dueDeliveries = (now: number): Statement<{ id: number }> => sql<{ id: number }>`
  select d.id from deliveries d join webhooks w on w.id = d.webhookId and ${isActive}
  where d.state = 'pending' and d.nextAt <= ${now} and d.leaseUntil <= ${now}
  order by d.nextAt limit ${SWEEP_LIMIT}`

/** Keeps a message that the queue gave up on: a bug to look at, as the delivery itself is found by the sweep. */
export const recordQueueFault = (db: Db, queue: string, message: string, now: number) =>
  db.batch([
    sql`insert into queueFaults (queue, message, at) values (${queue}, ${message}, ${now})`,
  ])
