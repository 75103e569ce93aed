import { type SQL, sql } from 'drizzle-orm'

/**
 * The outbox: an event says what happened, once, in frozen bytes; a delivery is one event for one webhook. Both are written in
 * the batch of the change. The queue only rings (`doorbell.ts`): it carries delivery ids, and the sweep finds what it loses.
 */

/** Event types, and the words by which a webhook's filter names the three that BadgeKit knew. */
export const EVENT_WORDS = {
  'badge.awarded': 'award',
  'badge.revoked': 'revoke',
  'application.reviewed': 'review',
} as const

export type EventType = keyof typeof EVENT_WORDS

/** Stands in an event's bytes for the badge of its version: raw, it cannot occur in JSON. */
const BADGE = '\u0001'

/** The id of an event that `op` records; `webhook-id` of all its attempts. Ids of one request stand together. */
const eventId = (op: string, seq: SQL) => sql`'evt_' || ${op} || '_' || ${seq}`
const eventsOf = (op: string) => [`evt_${op}_`, `evt_${op}_~`] as const

/** The last number given in a system; new rows count on from it. */
const lastSeq = (systemId: number) =>
  sql`(select coalesce(max(seq), 0) from events where systemId = ${systemId})`

export type NewEvent = {
  systemId: number
  type: EventType
  /** What it is about: deliveries about one subject keep their order. */
  subject: string
  /** The contract's message (§6.2): its exact bytes. */
  body: string
  /** The `data` of the `events-1` envelope, a JSON object. */
  data: string
}

/** Records one event whose bytes are known, if `done`. */
export const recordEvent = (op: string, now: number, event: NewEvent, done: SQL): SQL => sql`
  insert into events (id, systemId, seq, type, subject, body, data, createdAt)
  select ${eventId(op, sql`n.seq`)}, ${event.systemId}, n.seq, ${event.type}, ${event.subject},
    ${event.body}, ${event.data}, ${now}
  from (select ${lastSeq(event.systemId)} + 1 as seq) n where ${done}`

export type AwardedEvents = {
  systemId: number
  /** The rows of `badgeInstances` that this op has made, in SQL; `one` when there can be no more than one. */
  awards: SQL
  one: boolean
  /** The absolute assertion URL of a row `i`, in SQL. */
  assertionUrl: SQL
  comment: string | null
  /** `expires`, `issuedOn` and `claimCode` of the awards, as members of the contract's instance object. */
  shared: { expires: string | null; issuedOn: string; claimCode: string | null }
}

/**
 * Records a `badge.awarded` event for each award that this op made, set-based: one statement for one award or for
 * thousands. The badge is that of the frozen version on which the award stands; the key order is contract §6.2's.
 */
export function recordAwards(op: string, now: number, awards: AwardedEvents): SQL {
  const { systemId, assertionUrl, comment, shared } = awards
  const { expires, issuedOn, claimCode } = shared
  const middle = `,"expires":${JSON.stringify(expires)},"issuedOn":${JSON.stringify(issuedOn)},"claimCode":${JSON.stringify(claimCode)},"assertionUrl":`
  const email = sql`',"email":' || json_quote(i.email)`
  const url = sql`json_quote(${assertionUrl})`
  const place = awards.one ? sql`1` : sql`row_number() over (order by i.id)`
  return sql`
    insert into events (id, systemId, seq, type, subject, body, data, versionId, createdAt)
    select ${eventId(op, sql`i.seq`)}, ${systemId}, i.seq, 'badge.awarded', i.slug,
      '{"action":"award","uid":' || json_quote(i.slug) || ',"badge":' || ${BADGE} || ${email}
        || ',"assertionUrl":' || ${url} || ',"issuedOn":' || (i.issuedOn / 1000)
        || ',"comment":' || ${JSON.stringify(comment)} || '}',
      '{"instance":{"slug":' || json_quote(i.slug) || ${email} || ${middle} || ${url} || '},"badge":' || ${BADGE} || '}',
      i.versionId, ${now}
    from (
      select i.*, ${lastSeq(systemId)} + ${place} as seq
      from (${awards.awards}) i
    ) i`
}

export type ReviewedEvent = {
  systemId: number
  badgeId: number
  subject: string
  /** The application as the contract shows it, JSON. */
  application: string
  /** Which row of `reviews r` was written. */
  review: SQL
  /** The items of `reviews r` as JSON, in SQL. */
  items: SQL
}

/**
 * Records an `application.reviewed` event from the review as it now stands: contract §6.2. It is approved when each required
 * criterion of the badge has a satisfied item (§5.5).
 */
export function recordReview(op: string, now: number, event: ReviewedEvent): SQL {
  const { systemId, badgeId, subject, application, review, items } = event
  const shown = sql`json_object('id', r.id, 'slug', r.slug, 'author', r.author, 'comment', r.comment,
    'reviewItems', json(${items}))`
  const approved = sql`case when exists (
      select 1 from criteria c where c.badgeId = ${badgeId} and c.required = 1 and not exists (
        select 1 from reviewItems t
        where t.reviewId = r.id and t.criterionId = c.id and t.satisfied = 1))
    then 'false' else 'true' end`
  const members = sql`'"application":' || ${application} || ',"review":' || ${shown} || ',"approved":' || ${approved} || '}'`
  return sql`
    insert into events (id, systemId, seq, type, subject, body, data, createdAt)
    select ${eventId(op, sql`n.seq`)}, ${systemId}, n.seq, 'application.reviewed', ${subject},
      '{"action":"review",' || ${members}, '{' || ${members}, ${now}
    from (select ${lastSeq(systemId)} + 1 as seq) n cross join reviews r where ${review}`
}

const wordOfType = sql.raw(
  `case e.type ${Object.entries(EVENT_WORDS)
    .map(([type, word]) => `when '${type}' then '${word}'`)
    .join(' ')} else e.type end`,
)

/** Whether webhook `w` wants event `e`. */
const wants = sql`
  (w.format = 'events-1' or e.body is not null)
  and (w.events is null or exists (
    select 1 from json_each(w.events) f where f.value = ${wordOfType}))`

/** One delivery for each event that `op` recorded and each webhook that wants it; gives their ids, for the doorbell. */
export function fanOut(op: string, now: number): SQL<{ id: number }> {
  const [from, to] = eventsOf(op)
  return sql`
    insert into deliveries (systemId, eventId, webhookId, subject, seq, nextAt, createdAt)
    select e.systemId, e.id, w.id, e.subject, e.seq, ${now}, ${now}
    from events e join webhooks w
      on w.systemId = e.systemId and w.state = 'active' and w.deletedAt is null
    where e.id between ${from} and ${to} and ${wants}
    order by e.seq, w.id
    on conflict (eventId, webhookId) do nothing returning id`
}

/** The columns of an event (and of its badge version) that its messages are made of; none of them ever changes. */
export type Frozen = {
  eventId: string
  type: string
  seq: number
  createdAt: number
  body: string | null
  data: string | null
  badge: string | null
}

/** The exact bytes that a delivery sends, the same for each attempt: contract §6.2, or the `events-1` envelope. */
export function messageOf(event: Frozen, format: 'badgekit-1' | 'events-1'): string {
  const message = format === 'events-1' ? envelope(event) : (event.body ?? '')
  const { badge } = event
  return badge === null ? message : message.replace(BADGE, () => badge)
}

function envelope({ eventId, type, createdAt, seq, data }: Frozen): string {
  const timestamp = new Date(createdAt).toISOString()
  return `{"id":"${eventId}","type":"${type}","timestamp":"${timestamp}","sequence":${seq},"data":${data ?? '{}'}}`
}
