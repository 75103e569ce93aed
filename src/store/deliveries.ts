import { type SQL, sql } from 'drizzle-orm'
import type { Due } from '../doorbell'
import type { Frozen } from '../events'
import { type Attempt, BREAKER, GIVE_UP, HELD_FAILURES, type Outcome } from '../retries'
import type { Db, Statement } from './db'

/** The outbox's working half: who may send what now, and what came of it. */

const isActive = sql`w.state = 'active' and w.deletedAt is null`
const isDue = (now: number) =>
  sql`d.state = 'pending' and d.nextAt <= ${now} and d.leaseUntil <= ${now}`

/** Failed attempts of `deliveries o` since it was last asked for; one under way is not counted yet. */
const failuresOf = (now: number) =>
  sql`(o.attempts - coalesce(o.restartedFrom, 0) - (o.leaseUntil > ${now}))`

/** Whether an older event about the same subject goes first to this webhook. */
const isHeld = (now: number) => sql`exists (
  select 1 from deliveries o where o.webhookId = d.webhookId and o.subject = d.subject
    and o.state = 'pending' and o.seq < d.seq and ${failuresOf(now)} < ${HELD_FAILURES})`

/** Where a webhook's secret is sealed. */
export const secretCell = (row: string) => ({ table: 'webhookSecrets', row, column: 'sealed' })

/** What the queue must know of `deliveries d join webhooks w`. */
const dueColumns = sql`d.id, d.webhookId, w.failures > 0 as slow`

export type Leased = Frozen & {
  id: number
  systemId: number
  webhookId: number
  subject: string
  /** All attempts so far, this one included; and those since it was last asked for, and since when. */
  attempts: number
  tries: number
  since: number
  url: string
  format: 'badgekit-1' | 'events-1'
  /** Failures of its webhook in a row. */
  failures: number
  /** JSON array of `{id, sealed, primary}`, the newest first. */
  secrets: string
  /** When it was due. */
  dueAt: number
}

/** More failures than there can be: a test makes no webhook rest. */
const NEVER = Number.MAX_SAFE_INTEGER

/** Who asks for a delivery: a queue, the sweep, or somebody who tests a webhook. */
export type Asker = 'queue' | 'slow queue' | 'sweep' | 'test'

/**
 * Takes a delivery that is due, for one worker: of two who ask, one gets nothing. Gives the event, the webhook and its
 * live secrets in the same round trip; or, to the quick queue, that the delivery belongs on the slow one. The lease ends by
 * itself, so that a worker that dies holds nothing for ever. A webhook that rests is tried by one worker at a time.
 */
export async function lease(
  db: Db,
  id: number,
  token: string,
  now: number,
  until: number,
  asker: Asker,
): Promise<Leased | { belongs: Due } | null> {
  const mayCall =
    asker === 'test'
      ? sql`w.deletedAt is null`
      : sql`${isActive} and w.blockedUntil <= ${now} ${asker === 'queue' ? sql`and w.failures = 0` : sql``}`
  // A test makes no webhook rest.
  const mine = sql`select webhookId from deliveries
    where id = ${id} and leaseToken = ${asker === 'test' ? null : token}`
  const [, , rows] = await db.batch([
    sql`
      update deliveries as d set leaseUntil = ${until}, leaseToken = ${token}, attempts = attempts + 1
      where d.id = ${id} and ${isDue(now)} and not ${isHeld(now)}
        and exists (select 1 from webhooks w where w.id = d.webhookId and ${mayCall})`,
    sql`
      update webhooks set blockedUntil = max(blockedUntil, ${until})
      where id = (${mine}) and failures >= ${asker === 'test' ? NEVER : BREAKER.failures}`,
    sql<Leased & { mine: 0 | 1; waits: 0 | 1 }>`
      select d.leaseToken is ${token} as mine, ${isDue(now)} and ${isActive} as waits,
        d.id, d.systemId, d.webhookId, d.subject, d.attempts,
        d.nextAt as dueAt, d.attempts - coalesce(d.restartedFrom, 0) as tries, coalesce(d.restartedAt, d.createdAt) as since,
        w.url, coalesce(d.format, w.format) as format, w.failures,
        e.id as eventId, e.type, e.seq, e.createdAt, e.body, e.data, v.badge,
        (select json_group_array(json_object('id', s.id, 'sealed', s.sealed, 'primary', s."primary"))
          from (select * from webhookSecrets where webhookId = w.id
            and (retiresAt is null or retiresAt > ${now}) order by createdAt desc, rowid desc) s) as secrets
      from deliveries d
      join events e on e.id = d.eventId
      join webhooks w on w.id = d.webhookId
      left join badgeVersions v on v.id = e.versionId
      where d.id = ${id}`,
  ])
  const [row] = rows
  if (row?.mine) return row
  const { id: delivery, webhookId, failures, waits } = row ?? { failures: 0 }
  return asker === 'queue' &&
    waits &&
    failures > 0 &&
    delivery !== undefined &&
    webhookId !== undefined
    ? { belongs: { id: delivery, webhookId, slow: 1 } }
    : null
}

/** How many of a webhook's waiting deliveries one success rings for, when it was behind: its backlog becomes a flow. */
const FLOW = 3
/** Milliseconds after which a delivery that was due tells of a backlog. */
const LATE = 30_000

/**
 * Records an attempt and what it led to, if the lease is still the worker's own: the delivery, how its webhook fares, and, in
 * the audit, a webhook that is switched off. Gives what can go now that could not before: the next event about the same
 * subject, and, once a failing webhook has answered, some of its backlog.
 */
export async function settle(
  db: Db,
  delivery: Leased,
  token: string,
  attempt: Attempt,
  outcome: Outcome,
  { isTest, pace }: { isTest: boolean; pace: number },
): Promise<Due[]> {
  const { id, attempts, webhookId, subject, seq } = delivery
  const ended = attempt.at + attempt.ms
  const state = outcome.state === 'gone' ? 'exhausted' : outcome.state
  const nextAt = outcome.state === 'pending' ? outcome.nextAt : ended
  const isDelivered = outcome.state === 'delivered'
  const effects = [
    sql`
      insert into attempts (deliveryId, n, at, ms, status, error, answer)
      values (${id}, ${attempts}, ${attempt.at}, ${attempt.ms}, ${attempt.status}, ${attempt.error},
        ${attempt.answer})
      on conflict (deliveryId, n) do nothing`,
    ...(isDelivered ? [recover(webhookId)] : []),
    ...(isDelivered || isTest ? [] : fail(delivery, token, ended, outcome.state === 'gone', pace)),
    sql`
      update deliveries set state = ${state}, nextAt = ${nextAt}, leaseUntil = 0, leaseToken = null,
        endedAt = ${state === 'pending' ? null : ended}
      where id = ${id} and leaseToken = ${token} and state = 'pending'`,
  ]
  const isFree = state !== 'pending' || delivery.tries >= HELD_FAILURES
  const isLate = attempt.at - delivery.dueAt > LATE / pace
  const wasBehind = isDelivered && (delivery.failures > 0 || isLate)
  const due = sql`from deliveries d join webhooks w on w.id = d.webhookId and ${isActive}
    where d.webhookId = ${webhookId} and ${isDue(ended)}`
  const next = [
    ...(isFree
      ? [
          sql<Due>`select ${dueColumns} ${due} and d.subject = ${subject} and d.seq > ${seq}
            order by d.seq limit 1`,
        ]
      : []),
    ...(wasBehind
      ? [
          sql<Due>`select ${dueColumns} ${due} and not ${isHeld(ended)} order by d.nextAt limit ${FLOW}`,
        ]
      : []),
  ]
  const results = await db.batch([...effects, ...next])
  return results.slice(effects.length).flat() as Due[]
}

const recover = (webhookId: number) => sql`
  update webhooks set failures = 0, failingSince = null, blockedUntil = 0
  where id = ${webhookId} and (failures > 0 or blockedUntil > 0)`

/** A failure more for a webhook, while the lease is the worker's own: perhaps a rest, perhaps its end. */
function fail(
  { id, webhookId }: Leased,
  token: string,
  ended: number,
  isGone: boolean,
  pace: number,
): SQL[] {
  const isOwn = sql`exists (select 1 from deliveries where id = ${id} and leaseToken = ${token})`
  const off = sql`failures >= ${GIVE_UP.failures} and failingSince <= ${ended - GIVE_UP.after / pace}`
  return [
    sql`
      update webhooks set failures = failures + 1, failingSince = coalesce(failingSince, ${ended}),
        blockedUntil = case when failures + 1 >= ${BREAKER.failures}
          then ${ended} + min(${BREAKER.longest / pace},
            ${BREAKER.rest / pace} * (1 << min(failures + 1 - ${BREAKER.failures}, 10)))
          else blockedUntil end
      where id = ${webhookId} and ${isOwn}`,
    sql`
      update webhooks set state = 'disabled', disabledAt = ${ended}, disabledReason = ${
        isGone ? 'The receiver answered 410 Gone' : 'Nothing but failures for five days'
      }
      where id = ${webhookId} and state = 'active' and deletedAt is null and ${isOwn}
        and ${isGone ? sql`1` : off}`,
    sql`
      insert into audit (op, systemId, at, key, action, target, requestId)
      select ${token}, systemId, ${ended}, 'deliveries', 'webhook disabled', 'webhooks/' || id, ${token}
      from webhooks where id = ${webhookId} and state = 'disabled' and disabledAt = ${ended}
      on conflict (op) do nothing`,
  ]
}

/** Most that one sweep takes in hand, and of one webhook. */
const SWEEP_LIMIT = 500
const SWEEP_EACH = 50

/** What is due, and since when: missed by the doorbell, left by a dead worker, or late on the schedule. */
export type Overdue = Due & { nextAt: number }

/** The webhooks that something waits for. */
const waiting = sql`waiting (webhookId) as (
    select min(webhookId) from deliveries where state = 'pending'
    union all
    select (select min(webhookId) from deliveries where state = 'pending' and webhookId > waiting.webhookId)
    from waiting where waiting.webhookId is not null)`

/**
 * Webhook by webhook, so that what waits for one that rests or is switched off is not even read; the oldest of each first, so
 * that one with many takes no other's place.
 */
export const dueDeliveries = (now: number): Statement<Overdue> => sql<Overdue>`
  with recursive ${waiting}
  select ${dueColumns}, d.nextAt
  from waiting cross join webhooks w on w.id = waiting.webhookId and ${isActive} and w.blockedUntil <= ${now}
  cross join deliveries d on d.id in (
    select d.id from deliveries d where d.webhookId = w.id and ${isDue(now)} and not ${isHeld(now)}
    order by d.nextAt limit ${SWEEP_EACH})
  order by row_number() over (partition by d.webhookId order by d.nextAt), d.nextAt limit ${SWEEP_LIMIT}`

/** Since when a delivery is due that could go: what a webhook that fails has waiting, waits for the webhook. */
export const oldestDue = (now: number): Statement<{ nextAt: number | null }> => sql<{
  nextAt: number | null
}>`
  with recursive ${waiting}
  select min((select d.nextAt from deliveries d where d.webhookId = w.id and ${isDue(now)} order by d.nextAt limit 1)) as nextAt
  from waiting cross join webhooks w on w.id = waiting.webhookId and ${isActive} and w.failures = 0`

/** Keeps a message that the queue gave up on: a bug to look at, as the delivery itself is found by the sweep. */
export const recordQueueFault = (db: Db, queue: string, message: string, now: number) =>
  db.batch([
    sql`insert into queueFaults (queue, message, at) values (${queue}, ${message}, ${now})`,
  ])
