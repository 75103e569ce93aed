import { type SQL, sql } from 'drizzle-orm'
import type { badgeInstances } from '../drizzle/schema'
import type { Due } from './doorbell'
import { isoText } from './store/db'

/**
 * The outbox: an event says what happened, once, in frozen bytes; a delivery is one event for one webhook. Both are written in
 * the batch of the change. The queue only rings (`doorbell.ts`): it carries delivery ids, and the sweep finds what it loses.
 */

/** The event types, and the words by which a webhook's filter names them: BadgeKit knew the first three. */
export const EVENT_WORDS = {
  'badge.awarded': 'award',
  'badge.revoked': 'revoke',
  'application.reviewed': 'review',
  'application.created': 'application.created',
  'application.updated': 'application.updated',
  'code.claimed': 'code.claimed',
  'badge.updated': 'badge.updated',
  'badge.expiring': 'badge.expiring',
  'badge.suspended': 'badge.suspended',
  'badge.reinstated': 'badge.reinstated',
  'badge.renewed': 'badge.renewed',
  'badge.amended': 'badge.amended',
  ping: 'ping',
} as const

export type EventType = keyof typeof EVENT_WORDS
export type Format = 'badgekit-1' | 'events-1'

/** The word of a type, or of a word itself; undefined for what is neither. */
export const wordOf = (given: string): string | undefined =>
  Object.entries(EVENT_WORDS).find((names) => names.includes(given))?.[1]

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
  subject: string | SQL
  /** The contract's message (§6.2), its exact bytes, as text or in SQL; null for types that it lacks. */
  body: string | SQL | null
  /** The `data` of the `events-1` envelope, a JSON object, likewise. */
  data: string | SQL
}

/** Records one event, if `done`. */
export const recordEvent = (op: string, now: number, event: NewEvent, done: SQL): SQL => sql`
  insert into events (id, systemId, seq, type, subject, body, data, createdAt)
  select ${eventId(op, sql`n.seq`)}, ${event.systemId}, n.seq, ${event.type}, ${event.subject},
    ${event.body}, ${event.data}, ${now}
  from (select ${lastSeq(event.systemId)} + 1 as seq) n where ${done}`

/** Records an event for each row `x` of a query, in id order. Subject and data are told of `x`, in SQL. */
export const recordEach = (
  op: string,
  now: number,
  event: { systemId: number; type: EventType; rows: SQL; subject: SQL; data: SQL },
): SQL => sql`
  insert into events (id, systemId, seq, type, subject, data, createdAt)
  select ${eventId(op, sql`x.seq`)}, ${event.systemId}, x.seq, ${event.type}, ${event.subject}, ${event.data}, ${now}
  from (
    select x.*, ${lastSeq(event.systemId)} + row_number() over (order by x.id) as seq
    from (${event.rows}) x
  ) x`

export type AwardedEvents = {
  systemId: number
  /** The rows of `badgeInstances` that this op has made, in SQL; `one` when there can be no more than one. */
  awards: SQL
  one: boolean
  /** The absolute assertion URL of a row `i`, in SQL. */
  assertionUrl: SQL
  /** What all of them say, times in milliseconds; null when each row says it, its `comment` among its columns. */
  shared: {
    expires: number | null
    issuedOn: number
    comment: string | null
    claimCode: string | null
  } | null
}

/** `expires`, `issuedOn` and `claimCode` as members of the contract's instance object, and the comment: JSON, in SQL. */
function termsOf(shared: AwardedEvents['shared']) {
  if (!shared) {
    const time = (column: SQL) => sql`coalesce('"' || ${isoText(column)} || '"', 'null')`
    return {
      members: sql`',"expires":' || ${time(sql`i.expires`)} || ',"issuedOn":' || ${time(sql`i.issuedOn`)}
        || ',"claimCode":' || json_quote(i.claimCode)`,
      comment: sql`json_quote(i.comment)`,
    }
  }
  const { expires, issuedOn, claimCode, comment } = shared
  const iso = (time: number | null) => (time === null ? null : new Date(time).toISOString())
  const members = JSON.stringify({ expires: iso(expires), issuedOn: iso(issuedOn), claimCode })
  return { members: sql`${`,${members.slice(1, -1)}`}`, comment: sql`${JSON.stringify(comment)}` }
}

/**
 * Records a `badge.awarded` event for each award that this op made, set-based: one statement for one award or for
 * thousands. The badge is that of the frozen version on which the award stands; the key order is contract §6.2's.
 */
export function recordAwards(op: string, now: number, awards: AwardedEvents): SQL {
  const { systemId, assertionUrl, shared } = awards
  const { members, comment } = termsOf(shared)
  const email = sql`',"email":' || json_quote(i.email)`
  const url = sql`json_quote(${assertionUrl})`
  const place = awards.one ? sql`1` : sql`row_number() over (order by i.id)`
  return sql`
    insert into events (id, systemId, seq, type, subject, body, data, versionId, createdAt)
    select ${eventId(op, sql`i.seq`)}, ${systemId}, i.seq, 'badge.awarded', i.slug,
      '{"action":"award","uid":' || json_quote(i.slug) || ',"badge":' || ${BADGE} || ${email}
        || ',"assertionUrl":' || ${url} || ',"issuedOn":' || (i.issuedOn / 1000)
        || ',"comment":' || ${comment} || '}',
      '{"instance":{"slug":' || json_quote(i.slug) || ${email} || ${members} || ',"assertionUrl":' || ${url} || '},"badge":' || ${BADGE} || '}',
      i.versionId, ${now}
    from (
      select i.*, ${lastSeq(systemId)} + ${place} as seq
      from (${awards.awards}) i
    ) i`
}

export type RevokedEvents = {
  systemId: number
  /** The rows of `badgeInstances` that this op has ended, in SQL. */
  rows: SQL
  /** The version that the message shows the badge as, in SQL. */
  versionId: SQL
  origin: string
  reason: string | null
}

/** Records a `badge.revoked` event for each award that this op ended. */
export function recordRevocations(op: string, now: number, revoked: RevokedEvents): SQL {
  const { systemId, rows, origin, reason } = revoked
  const { members } = termsOf(null)
  const slug = sql`json_quote(i.slug)`
  const email = sql`',"email":' || json_quote(i.email)`
  const url = sql`json_quote(${`${origin}/public/assertions/`} || i.slug)`
  return sql`
    insert into events (id, systemId, seq, type, subject, body, data, versionId, createdAt)
    select ${eventId(op, sql`i.seq`)}, ${systemId}, i.seq, 'badge.revoked', i.slug,
      '{"action":"revoke","uid":' || ${slug} || ',"badge":' || ${BADGE} || ${email} || '}',
      '{"instance":{"slug":' || ${slug} || ${email} || ${members} || ',"assertionUrl":' || ${url}
        || '},"badge":' || ${BADGE} || ',"revocationReason":' || ${JSON.stringify(reason)} || '}',
      ${revoked.versionId}, ${now}
    from (
      select i.*, null as comment, ${lastSeq(systemId)} + row_number() over (order by i.id) as seq from (${rows}) i
    ) i`
}

type Expiring = {
  row: typeof badgeInstances.$inferSelect
  assertionUrl: string
}

/** Records a `badge.expiring` event for each of these awards that has none; each in the numbers of its own system. */
export function recordExpiring(op: string, now: number, awards: readonly Expiring[]): SQL {
  const given = awards.map(({ row, assertionUrl }) => {
    const { id, slug, email, expires, issuedOn, claimCode } = row
    const iso = (time: number | null) => (time === null ? null : new Date(time).toISOString())
    const times = { expires: iso(expires), issuedOn: iso(issuedOn) }
    const instance = JSON.stringify({ slug, email, ...times, claimCode, assertionUrl })
    return { id, data: `{"instance":${instance},"badge":${BADGE}}` }
  })
  return sql`
    insert into events (id, systemId, seq, type, subject, body, data, versionId, createdAt)
    select ${eventId(op, sql`x.systemId || '_' || x.seq`)}, x.systemId, x.seq, 'badge.expiring', x.slug, null,
      x.told, x.versionId, ${now}
    from (
      select i.*, json_extract(j.value, '$.data') as told,
        (select coalesce(max(seq), 0) from events e where e.systemId = i.systemId)
          + row_number() over (partition by i.systemId order by j.key) as seq
      from json_each(${JSON.stringify(given)}) j
      cross join badgeInstances i on i.id = json_extract(j.value, '$.id') and i.remindedAt is null
        and i.revokedAt is null
    ) x`
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

const words = Object.entries(EVENT_WORDS).filter(([type, word]) => type !== word)
const wordOfType = sql.raw(
  `case e.type ${words.map(([type, word]) => `when '${type}' then '${word}'`).join(' ')} else e.type end`,
)

/** Whether webhook `w` wants event `e`. A test is for one webhook, and made by whoever tests it. */
export const wants = sql`
  e.type <> 'ping' and (w.format = 'events-1' or e.body is not null)
  and (w.events is null or exists (
    select 1 from json_each(w.events) f where f.value = ${wordOfType}))`

/** One delivery for each event that `op` recorded and each webhook that wants it; gives them, for the doorbell. */
export function fanOut(op: string, now: number): SQL<Due> {
  const [from, to] = eventsOf(op)
  return sql`
    insert into deliveries (systemId, eventId, webhookId, subject, seq, format, nextAt, createdAt)
    select e.systemId, e.id, w.id, e.subject, e.seq, w.format, ${now}, ${now}
    from events e join webhooks w
      on w.systemId = e.systemId and w.state = 'active' and w.deletedAt is null
    where e.id between ${from} and ${to} and ${wants}
    order by e.seq, w.id
    on conflict (eventId, webhookId) do nothing returning id, webhookId,
      (select failures > 0 from webhooks where id = webhookId) as slow`
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
export function messageOf(event: Frozen, format: Format): string {
  const message = format === 'events-1' ? envelope(event) : (event.body ?? '')
  const { badge } = event
  return badge === null ? message : message.replace(BADGE, () => badge)
}

function envelope({ eventId, type, createdAt, seq, data }: Frozen): string {
  const timestamp = new Date(createdAt).toISOString()
  return `{"id":"${eventId}","type":"${type}","timestamp":"${timestamp}","sequence":${seq},"data":${data}}`
}
