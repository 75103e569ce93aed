import { type SQL, sql } from 'drizzle-orm'
import { recordAwards } from '../events'
import { assertionPath } from '../urls'
import type { BadgeRow } from './badges'
import { keepVersion, type Version, versionId } from './versions'

/** The statements by which awards come to be: one earner or thousands, asked for or by a milestone. */

export type Awards = {
  op: string
  /** Milliseconds. */
  now: number
  origin: string
  badge: Pick<BadgeRow, 'id' | 'systemId'>
  version: Version
  /** JSON array of the earners' addresses. */
  emails: string
  issuedOn: number
  expires: number | null
  comment: string | null
}

type Asked = Awards & {
  /** The slug of a single award; random when null. */
  slug: string | null
  /** Whether earners who hold the badge get it again, where the badge allows it. */
  repeat: boolean
  claimCode: string | null
  /** What else must be true, in SQL. */
  condition?: SQL
}

/** The newest live award of a badge to an earner (`email`, in SQL). */
export const held = (badgeId: number, systemId: number, email: SQL) => sql`
  select h.slug from badgeInstances h
  where h.systemId = ${systemId} and h.email = ${email} and h.badgeId = ${badgeId} and h.revokedAt is null
  order by h.id desc limit 1`

/** The awards of a badge that `op` has made to some of `emails`, in id order. The look-up is by earner, so `op` needs no index. */
export const made = <Row>(
  op: string,
  { id, systemId }: Pick<BadgeRow, 'id' | 'systemId'>,
  emails: string,
) =>
  sql<Row>`
    select m.* from badgeInstances m where m.id in (
      select i.id from json_each(${emails}) j cross join badgeInstances i
      where i.systemId = ${systemId} and i.email = j.value and i.badgeId = ${id} and i.op = ${op})
    order by m.id`

/** A live badge with room for `count` more: a `limit` of null or 0 is none. */
const hasRoom = (badgeId: number, count: SQL) => sql`
  exists (select 1 from badges where id = ${badgeId} and deletedAt is null
    and ("limit" is null or "limit" <= 0 or awarded + ${count} <= "limit"))`

/** Counts the awards that `op` has made to their badge. */
export const countMade = ({ op, badge, emails }: Pick<Awards, 'op' | 'badge' | 'emails'>) => sql`
  update badges set awarded = awarded + (select count(*) from (${made(op, badge, emails)}))
  where id = ${badge.id} and exists (${made(op, badge, emails)})`

/** Awards to all of `emails` who do not hold the badge, or to none: when not all find room, or `condition` fails. */
export function awardStatements(asked: Asked) {
  const { op, now, badge, version, emails, issuedOn, expires, claimCode, slug, repeat } = asked
  const again = repeat ? sql`(select "unique" = 0 from badges where id = ${badge.id})` : sql`0`
  const done = sql`exists (${made(op, badge, emails)})`
  const change = [
    keepVersion(version, now),
    sql`
      with earners as (
        select j.value as email, min(j.key) as place from json_each(${emails}) j
        where ${again} or not exists (${held(badge.id, badge.systemId, sql`j.value`)})
        group by j.value collate nocase
      )
      insert into badgeInstances (slug, systemId, badgeId, versionId, email, issuedOn, expires, claimCode, once,
        salt, op, createdAt, updatedAt)
      select coalesce(${slug}, lower(hex(randomblob(20)))), ${badge.systemId}, ${badge.id},
        ${versionId(version)}, e.email, ${issuedOn}, ${expires}, ${claimCode}, not ${again},
        lower(hex(randomblob(16))), ${op}, ${now}, ${now}
      from earners e
      where ${hasRoom(badge.id, sql`(select count(*) from earners)`)} and ${asked.condition ?? sql`1`}
      order by e.place
      on conflict (slug) do nothing`,
    countMade(asked),
  ]
  return { change, done, events: [eventsOf(asked, slug, claimCode)] }
}

/** The events of awards that `op` has made. */
export const eventsOf = (awards: Awards, slug: string | null, claimCode: string | null): SQL => {
  const { op, now, badge, emails, origin, comment, expires, issuedOn } = awards
  return recordAwards(op, now, {
    systemId: badge.systemId,
    awards: made(op, badge, emails),
    // A slug of ours needs no escapes.
    assertionUrl:
      slug === null
        ? sql`${`${origin}/public/assertions/`} || i.slug`
        : sql`${origin + assertionPath(slug)}`,
    comment,
    shared: {
      expires: expires === null ? null : new Date(expires).toISOString(),
      issuedOn: new Date(issuedOn).toISOString(),
      claimCode,
    },
  })
}
