import { type SQL, sql } from 'drizzle-orm'
import { recordAwards } from '../events'
import type { Place } from '../levels'
import { assertionPath } from '../urls'
import { expirySql } from '../validity'
import type { BadgeRow } from './badges'
import { fixed } from './db'
import { tally } from './tallies'
import { keepVersion, type Version, versionId } from './versions'

/** The statements by which awards come to be: one earner or thousands, asked for or by a milestone. */

/**
 * Who is to be awarded. One earner and many are told apart only here: for one, statements need no list, and that makes an award
 * quicker.
 */
export type Earners = {
  /** Rows `(email, place)` of those who do not hold a badge, each once, in the order given; in SQL. */
  without(badge: BadgeId): SQL
  /** The same with those who hold it. */
  all: SQL
  /** The awards of a badge that `op` has made to them, in id order; in SQL. */
  made(op: string, badge: BadgeId): SQL
  /** How many awards there are at the most. */
  one: boolean
}

type BadgeId = Pick<BadgeRow, 'id' | 'systemId'>
type Dated = BadgeId & Pick<BadgeRow, 'validFor'>

/** The award to this earner will have this slug. */
export const oneEarner = (email: string, slug: string): Earners => ({
  one: true,
  without: (badge) => sql`
    select ${email} as email, 0 as place where not exists (${held(badge, sql`${email}`)})`,
  all: sql`select ${email} as email, 0 as place`,
  made: (op) => sql`select * from badgeInstances where slug = ${slug} and op = ${op}`,
})

/** @param emails JSON array of the earners' addresses. Awards are sought by earner, so that `op` needs no index. */
export const manyEarners = (emails: string | SQL): Earners => ({
  one: false,
  without: (badge) => sql`
    select j.value as email, min(j.key) as place from json_each(${emails}) j
    where not exists (${held(badge, sql`j.value`)}) group by j.value collate nocase`,
  all: sql`
    select j.value as email, min(j.key) as place from json_each(${emails}) j
    group by j.value collate nocase`,
  made: (op, { id, systemId }) => sql`
    select m.* from badgeInstances m where m.id in (
      select i.id from json_each(${emails}) j cross join badgeInstances i
      where i.systemId = ${systemId} and i.email = j.value and i.badgeId = ${id} and i.op = ${op})
    order by m.id`,
})

/**
 * The same with terms for each.
 *
 * @param rows JSON array of objects with `email` and, where they have them, the members of `Terms`; in SQL
 * @param badge the one that they are awarded
 */
export function eachEarner(rows: SQL, { validFor }: Pick<BadgeRow, 'validFor'>): Earners {
  const of = (name: string) => sql`json_extract(j.value, ${`$.${name}`}) as ${sql.identifier(name)}`
  /** Members are taken from the JSON once for each row: that is a third of what an award costs. */
  const given = (names: string[], more = sql``) => sql`
    with given as materialized (
      select j.key as place, ${sql.join(names.map(of), sql`, `)}${more} from json_each(${rows}) j)`
  // Whether a row says when it ends is asked only where the badge says it otherwise.
  const says = sql`, ${validFor === null ? sql`1` : sql`json_type(j.value, '$.expires')`} as says`
  const terms = sql`
    ${given(['email', 'issuedOn', 'expires', 'narrative', 'evidence'], says)}
    select email, min(place) as place, issuedOn, expires, says, narrative, evidence from given
    where email is not null`
  return {
    one: false,
    without: (badge) => sql`
      ${terms} and not exists (${held(badge, sql`given.email`)}) group by email collate nocase`,
    all: sql`${terms} group by email collate nocase`,
    made: (op, { id, systemId }) => sql`
      ${given(['email', 'comment'])}
      select i.*, g.comment from (
        select email, comment, min(place) as place from given group by email collate nocase) g
      cross join badgeInstances i
      where i.systemId = ${systemId} and i.email = g.email and i.badgeId = ${id} and i.op = ${op}
      order by i.id`,
  }
}

/** What an award says beside who has it. Times are milliseconds. */
export type Terms = {
  issuedOn: number
  expires: number | null
  comment: string | null
  narrative: string | null
  /** JSON: an array of `Evidence`. */
  evidence: string | null
}

export type Awards = {
  op: string
  /** Milliseconds. */
  now: number
  origin: string
  badge: Dated & Place
  version: Version
  earners: Earners
  /** The same for all, or what the rows of `earners` say of each. */
  terms: Terms | 'of each'
}

type Asked = Awards & {
  /** The slug of a single award; random when null. */
  slug: string | null
  /** Whether earners who hold the badge get it again, where the badge allows it. */
  repeat: boolean
  claimCode: string | null
  /** What else must be true, in SQL. */
  condition?: SQL
  /** Whether the first ones are awarded when there is no room for all. */
  partly?: boolean
}

/** The newest live award of a badge to an earner (`email`, in SQL): its slug, or its id. */
export const held = ({ id, systemId }: BadgeId, email: SQL, what: 'slug' | 'id' = 'slug') => sql`
  select ${what === 'slug' ? sql`h.slug` : sql`h.id`} from badgeInstances h
  where h.systemId = ${systemId} and h.email = ${email} and h.badgeId = ${id} and h.revokedAt is null
  order by h.id desc limit 1`

/**
 * Since when award `i` of `badges b`, `systems s`, or its `tombstones t`, is not good, and why, in SQL. A suspended one is told of
 * in the words for revoked ones, as Open Badges 1.x and 2.0 have no others.
 */
export const ending = fixed(sql`
  coalesce(i.revokedAt, b.deletedAt, s.deletedAt, t.revokedAt, i.suspendedAt) as endedAt,
  coalesce(i.revocationReason, t.revocationReason,
    iif(i.suspendedAt is null or i.revokedAt > 0, null, 'Suspended' || coalesce(': ' || i.suspensionReason, '')))
    as revocationReason`)

/** A live badge with room for `count` more: a `limit` of null or 0 is none. */
const hasRoom = (badgeId: number, count: SQL) => sql`
  exists (select 1 from badges where id = ${badgeId} and deletedAt is null
    and ("limit" is null or "limit" <= 0 or awarded + ${count} <= "limit"))`

/** Counts the awards that `op` has made to their badge. */
export function countMade(awards: Awards): SQL[] {
  const { op, badge, earners } = awards
  const made = earners.made(op, badge)
  const done = sql`exists (${made})`
  const count = sql`(select count(*) from (${made}))`
  return [
    earners.one
      ? sql`update badges set awarded = awarded + 1 where id = ${badge.id} and ${done}`
      : sql`
        update badges set awarded = awarded + m.count from (select ${count} as count) m
        where id = ${badge.id} and m.count > 0`,
    ...tally(awards, badge, 'awarded', earners.one ? 1 : count, done),
  ]
}

/**
 * Awards to all who do not hold the badge, or to none: when not all of them find room, unless `partly`, or when `condition` fails.
 */
export function awardStatements(asked: Asked) {
  const { op, now, badge, version, earners, terms, claimCode, slug } = asked
  const repeatable = sql`exists (select 1 from badges where id = ${badge.id} and "unique" = 0)`
  const takers = asked.repeat
    ? sql`select * from (${earners.all}) where ${repeatable} union select * from (${earners.without(badge)})`
    : earners.without(badge)
  const all = asked.partly ? sql`t.turn` : sql`(select count(*) from takers)`
  const room = earners.one ? sql`1` : all
  const { issuedOn, expires, narrative, evidence } =
    terms === 'of each' ? OF_EACH(now, badge) : terms
  const change = [
    keepVersion(version, now),
    sql`
      with takers as (${takers})
      insert into badgeInstances (slug, systemId, badgeId, versionId, email, issuedOn, expires, claimCode, once,
        salt, narrative, evidence, op, createdAt, updatedAt)
      select ${slug ?? sql`lower(hex(randomblob(20)))`}, ${badge.systemId}, ${badge.id},
        ${versionId(version)}, t.email, ${issuedOn}, ${expires}, ${claimCode},
        ${asked.repeat ? sql`not ${repeatable}` : sql`1`},
        lower(hex(randomblob(16))), ${narrative}, ${evidence}, ${op}, ${now}, ${now}
      from ${asked.partly ? IN_TURN : sql`takers t`} where ${hasRoom(badge.id, room)} and ${asked.condition ?? sql`1`}
      order by t.place
      on conflict (slug) do nothing`,
    ...countMade(asked),
  ]
  const done = sql`exists (${earners.made(op, badge)})`
  return { change, done, events: [eventsOf(asked, slug, claimCode)] }
}

/** The terms of a row `t` of `eachEarner`, in SQL. */
const OF_EACH = (now: number, { validFor }: Dated) => ({
  issuedOn: sql`coalesce(t.issuedOn, ${now})`,
  // Who says that it never expires is heard, too.
  expires:
    validFor === null
      ? sql`t.expires`
      : sql`iif(t.says is null, ${expirySql(validFor, sql`coalesce(t.issuedOn, ${now})`)}, t.expires)`,
  narrative: sql`t.narrative`,
  evidence: sql`t.evidence`,
})
const IN_TURN = sql`(select *, row_number() over (order by place) as turn from takers) t`

/** The events of awards that `op` has made. */
export const eventsOf = (awards: Awards, slug: string | null, claimCode: string | null): SQL => {
  const { op, now, badge, earners, origin, terms } = awards
  return recordAwards(op, now, {
    systemId: badge.systemId,
    awards: earners.made(op, badge),
    one: earners.one,
    // A slug of ours needs no escapes.
    assertionUrl:
      slug === null
        ? sql`${`${origin}/public/assertions/`} || i.slug`
        : sql`${origin + assertionPath(slug)}`,
    shared: terms === 'of each' ? null : { ...terms, claimCode },
  })
}
