import { type SQL, sql } from 'drizzle-orm'
import type { deliveries } from '../../drizzle/schema'
import { commit } from '../commit'
import { idFrom } from '../crypto'
import type { Due } from '../doorbell'
import type { Caller } from '../env'
import { type Frozen, recordEvent, wants } from '../events'
import type { Statement } from './db'
import { KEPT } from './retention'
import type { WebhookRow } from './webhooks'

/** What an operator sees of the outbox, and what he may have sent again. */

type Delivery = typeof deliveries.$inferSelect

export type DeliveryRow = Pick<
  Delivery,
  | 'id'
  | 'systemId'
  | 'eventId'
  | 'webhookId'
  | 'subject'
  | 'seq'
  | 'state'
  | 'attempts'
  | 'nextAt'
  | 'createdAt'
> & { type: string; eventAt: number }

export type DeliveryFilter = {
  state: Delivery['state'] | null
  webhook: number | null
  type: string | null
  /** Milliseconds. */
  since: number | null
}

export const PAGE = 100
/** How many deliveries one page looks at: with a filter that little passes, a page may hold few or none. */
const LOOKED_AT = 1_000

const columns = sql`d.id, d.systemId, d.eventId, d.webhookId, d.subject, d.seq, d.state, d.attempts, d.nextAt,
  d.createdAt, e.type, e.createdAt as eventAt`

/** What a page of the log looked at: its rows, the last one looked at, and whether there may be more. */
export type LogPage = { looked: number; last: number | null; oldest: number | null }

/**
 * Deliveries of a system, the newest first, before the one with the id `before`. However rare what is asked for is, a page
 * reads a bounded number of rows; the second statement tells how far it came.
 */
export function listDeliveries(
  systemId: SQL,
  { state, webhook, type, since }: DeliveryFilter,
  before: number | null,
): [Statement<DeliveryRow>, Statement<LogPage>] {
  const ofWebhook = sql`(select id from webhooks where id = ${webhook} and systemId = ${systemId})`
  const isUnsettled = state !== null && state !== 'delivered'
  // Each index gives its rows in the order of their ids. All else is asked of the rows that were looked at, so that no filter
  // makes a page look any further.
  const source = isUnsettled
    ? sql`deliveries_unsettled where d.systemId = ${systemId} and d.state <> 'delivered'`
    : webhook === null
      ? sql`deliveries_systemId where d.systemId = ${systemId}`
      : sql`deliveries_webhookId where d.webhookId = ${ofWebhook}`
  const filters = [
    state === null ? null : sql`d.state = ${state}`,
    isUnsettled && webhook !== null ? sql`d.webhookId = ${ofWebhook}` : null,
    type === null ? null : sql`e.type = ${type}`,
    since === null ? null : sql`d.createdAt >= ${since}`,
  ].filter((one) => one !== null)
  const looked = sql`
    select d.* from deliveries d indexed by ${source} ${before === null ? sql`` : sql`and d.id < ${before}`}
    order by d.id desc limit ${filters.length > 0 ? LOOKED_AT : PAGE + 1}`
  return [
    sql<DeliveryRow>`
      select ${columns} from (${looked}) d join events e on e.id = d.eventId
      ${filters.length > 0 ? sql`where ${sql.join(filters, sql` and `)}` : sql``}
      order by d.id desc limit ${PAGE + 1}`,
    sql<LogPage>`
      select count(*) as looked, min(d.id) as last, min(d.createdAt) as oldest from (${looked}) d`,
  ]
}

/** Where the next page starts; null when there is none. */
export function nextPage(
  rows: readonly DeliveryRow[],
  { looked, last, oldest }: LogPage,
  since: number | null,
): number | null {
  if (rows.length > PAGE) return rows[PAGE - 1]?.id ?? null
  const isOver = looked < LOOKED_AT || (since !== null && oldest !== null && oldest < since)
  return isOver ? null : last
}

/** A delivery of a system, with every attempt as JSON. */
export const findDelivery = (
  systemId: SQL,
  id: string,
): Statement<DeliveryRow & { log: string }> => sql<DeliveryRow & { log: string }>`
  select ${columns}, (
    select json_group_array(json(o)) from (
      select json_object('n', n, 'at', at, 'ms', ms, 'status', status, 'error', error, 'answer', answer) as o
      from attempts where deliveryId = d.id order by n)) as log
  from deliveries d join events e on e.id = d.eventId
  where d.systemId = ${systemId} and d.id = ${/^\d{1,15}$/.test(id) ? Number(id) : -1}`

/** As if it were new. Nobody has it leased: until somebody does, its token tells which request has asked for it. */
const dueAgain = ({ now, op }: Caller) => sql`state = 'pending', nextAt = ${now}, endedAt = null,
  restartedAt = ${now}, restartedFrom = attempts, leaseToken = ${op}`
const returning = sql`returning id, webhookId, (select failures > 0 from webhooks where id = webhookId) as slow`

/** Why a delivery cannot be sent again. */
export type NotAgain = 'under way' | 'webhook' | 'message'

/** Has a delivery sent again, as if it were new: the same id, the same bytes, the whole schedule. */
export async function redeliver(
  caller: Caller,
  { id, systemId }: DeliveryRow,
): Promise<{ row: DeliveryRow } | { refused: NotAgain }> {
  const { now, op } = caller
  const isMine = sql`leaseToken = ${op}`
  const isKept = sql`exists (select 1 from events e where e.id = eventId and e.data is not null)`
  const isActive = sql`exists (select 1 from webhooks w
    where w.id = webhookId and w.state = 'active' and w.deletedAt is null)`
  const isFree = sql`leaseUntil <= ${now}`
  const [rows, [state]] = await commit(caller, {
    change: [],
    due: [
      sql<Due>`update deliveries set ${dueAgain(caller)}
        where id = ${id} and ${isFree} and ${isKept} and ${isActive} ${returning}`,
    ],
    done: sql`exists (select 1 from deliveries where id = ${id} and ${isMine})`,
    audit: { systemId, target: `deliveries/${id}` },
    read: [
      findDelivery(sql`${systemId}`, String(id)),
      sql<{ kept: 0 | 1; active: 0 | 1; again: 0 | 1 }>`
        select ${isKept} as kept, ${isActive} as active, ${isMine} as again
        from deliveries where id = ${id}`,
    ],
  })
  if (rows[0] && (state?.again || caller.isReplay)) return { row: rows[0] }
  return { refused: !state?.kept ? 'message' : !state.active ? 'webhook' : 'under way' }
}

/** Most deliveries that one call recovers. */
export const MAX_RECOVERED = 10_000

/**
 * Has every event of a time sent to a webhook that wants it and has not had it: what failed for good, what was cancelled, and
 * what happened while it was switched off or not there. Gives how many; null when it is switched off, or gone.
 *
 * @param since milliseconds, as `until`
 */
export async function recover(
  caller: Caller,
  { id, systemId }: WebhookRow,
  since: number,
  until: number,
): Promise<number | null> {
  const { now, op } = caller
  const isActive = sql`w.id = ${id} and w.state = 'active' and w.deletedAt is null`
  const wanted = sql`
    from events e join webhooks w on ${isActive}
    where e.systemId = ${systemId} and e.createdAt between ${Math.max(since, now - KEPT)} and ${until}
      and e.data is not null and ${wants}`
  const [[recovered]] = await commit(caller, {
    change: [],
    due: [
      sql<Due>`
        update deliveries set ${dueAgain(caller)} where id in (
          select d.id from deliveries d where d.webhookId = ${id} and d.state in ('exhausted', 'cancelled')
            and d.state <> 'delivered' and d.systemId = ${systemId} and d.eventId in (select e.id ${wanted})
          order by d.id limit ${MAX_RECOVERED}) ${returning}`,
      sql<Due>`
        insert into deliveries (systemId, eventId, webhookId, subject, seq, format, nextAt, leaseToken, createdAt)
        select e.systemId, e.id, w.id, e.subject, e.seq, w.format, ${now}, ${op}, ${now} ${wanted}
          and not exists (select 1 from deliveries d where d.eventId = e.id and d.webhookId = ${id})
        order by e.seq limit ${MAX_RECOVERED}
        on conflict (eventId, webhookId) do nothing ${returning}`,
    ],
    done: sql`exists (select 1 from webhooks w where ${isActive})`,
    audit: { systemId, target: `webhooks/${id}/recover` },
    read: [
      caller.isReplay
        ? recoveredBy(op, id)
        : sql<{ count: number }>`
            select (select count(*) from deliveries d where d.webhookId = w.id and d.state = 'pending'
              and d.nextAt = ${now} and d.leaseToken = ${op}) as count
            from webhooks w where ${isActive}`,
    ],
  })
  return recovered?.count ?? null
}

/** How many deliveries an earlier request had sent again, or for the first time: those of its moment, however they fare now. */
const recoveredBy = (op: string, webhookId: number): Statement<{ count: number }> => sql<{
  count: number
}>`
  select (select count(*) from deliveries d cross join events e on e.id = d.eventId
    where d.webhookId = ${webhookId}
      and (d.restartedAt = a.at or (d.createdAt = a.at and e.createdAt < a.at))) as count
  from audit a where a.op = ${op}`

/** A test: its delivery, and its attempt as JSON once that has been made. */
export type Ping = { id: number; attempt: string | null }

/**
 * Makes a `ping` for one webhook, which nobody rings for. A repeated request is given the one that was made.
 */
export async function ping(
  caller: Caller,
  { id, systemId }: WebhookRow,
): Promise<Ping | undefined> {
  const { op, now } = caller
  const subject = `ping-${await idFrom(op, 'ping', 8)}`
  const isThere = sql`exists (select 1 from webhooks where id = ${id} and deletedAt is null)`
  const body = JSON.stringify({ action: 'ping', webhook: id })
  const data = JSON.stringify({ webhook: id })
  const made = sql`from events e cross join deliveries d on d.eventId = e.id and d.webhookId = ${id}
    where e.id between ${`evt_${op}_`} and ${`evt_${op}_~`}`
  const [rows] = await commit(caller, {
    change: [
      recordEvent(op, now, { systemId, type: 'ping', subject, body, data }, isThere),
      sql`
        insert into deliveries (systemId, eventId, webhookId, subject, seq, format, nextAt, createdAt)
        select e.systemId, e.id, w.id, e.subject, e.seq, w.format, ${now}, ${now}
        from events e cross join webhooks w on w.id = ${id}
        where e.id between ${`evt_${op}_`} and ${`evt_${op}_~`}`,
    ],
    done: sql`exists (select 1 ${made})`,
    audit: { systemId, target: `webhooks/${id}/test` },
    read: [
      sql<Ping>`select d.id, (
        select json_object('at', at, 'ms', ms, 'status', status, 'error', error, 'answer', answer)
        from attempts where deliveryId = d.id order by n limit 1) as attempt ${made}`,
    ],
  })
  return rows[0]
}

/** How many events a page of the feed holds. */
export const FEED_PAGE = 100

/** The events of a system after a number, in order, with what their messages are made of. */
export const listEvents = (systemId: SQL, after: number): Statement<Frozen> => sql<Frozen>`
  select e.id as eventId, e.type, e.seq, e.createdAt, e.body, e.data, v.badge
  from events e left join badgeVersions v on v.id = e.versionId
  where e.systemId = ${systemId} and e.seq > ${after} order by e.seq limit ${FEED_PAGE}`
