import { type SQL, sql } from 'drizzle-orm'
import { type Container, type LevelName, levels, type Place } from '../levels'
import { dayOf } from '../periods'
import { within } from './badges'
import type { Statement } from './db'

/**
 * How often things have happened, by day: to a badge, and to each container that it stood in then. What has happened stays
 * counted, whatever becomes of it: an award that is revoked later was awarded all the same, and an erased person's award too.
 *
 * A row tells how often in all, up to the end of its day: a total is one row, and a stretch of time the difference of two.
 */

export const HAPPENINGS = [
  'awarded',
  'revoked',
  'codes',
  'claimed',
  'applied',
  'processed',
] as const
export type Happening = (typeof HAPPENINGS)[number]

type TallyName = `${LevelName | 'badge'}.${Happening}`

/** To whom what happens to a badge happens: the badge, and its containers. */
type Badge = Place & { id: number }

const ownersOf = (badge: Badge, what: Happening) => {
  const owners: [TallyName, number | null][] = [
    [`badge.${what}`, badge.id],
    ...levels.map(({ name, column }): [TallyName, number | null] => [
      `${name}.${what}`,
      badge[column],
    ]),
  ]
  return owners.filter(([, id]) => id !== null)
}

/**
 * Counts that something has happened to a badge.
 *
 * @param by how often, in SQL where it is not known before; it does not depend on a row
 * @param done whether it has happened at all
 */
export function tally(
  { now }: { now: number },
  badge: Badge,
  what: Happening,
  by: number | SQL,
  done: SQL,
): SQL[] {
  const { systemId } = badge
  const day = dayOf(now)
  const owners = sql`(values ${sql.join(
    ownersOf(badge, what).map(([name, id]) => sql`(${name}, ${id})`),
    sql`, `,
  )}) o`
  const isOf = sql`t.systemId = ${systemId} and t.name = o.column1 and t.ownerId = o.column2`
  const counted =
    typeof by === 'number'
      ? sql`${by} where ${done}`
      : sql`m.n from (select ${by} as n) m where m.n > 0`
  return [
    // The day's row begins with what the days before have come to. Where it is there, `done`, which may be long, is not asked.
    sql`
      insert into tallies (systemId, name, ownerId, day, n)
      select ${systemId}, o.column1, o.column2, ${day}, coalesce((
        select t.n from tallies t where ${isOf} and t.day < ${day} order by t.day desc limit 1), 0)
      from ${owners}
      where iif(exists (select 1 from tallies t where ${isOf} and t.day = ${day}), 0, ${done})`,
    // Later days too: around midnight a request may come after one that began after it.
    sql`
      update tallies set n = tallies.n + ${counted}
        and tallies.rowid in (select t.rowid from ${owners} cross join tallies t where ${isOf} and t.day >= ${day})`,
  ]
}

// ── Look-ups ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The day before which everything has happened. */
export const EVER = Number.MAX_SAFE_INTEGER

/** What has happened to a badge or a container before a day. */
export type TallyRow = { day: number; what: Happening; n: number }

/** How often each thing has happened before each of these days: one row is read for each. */
export function talliesBefore(
  container: Container,
  badgeId: SQL | null,
  days: readonly number[],
): Statement<TallyRow> {
  const { name, column } = nearestOf(container)
  const owner = badgeId ? 'badge' : name
  const ownerId = badgeId ?? container[column]
  return sql<TallyRow>`
    select d.value as day, w.value as what, coalesce((
      select t.n from tallies t where t.systemId = o.systemId and t.name = ${`${owner}.`} || w.value
        and t.ownerId = o.ownerId and t.day < d.value order by t.day desc limit 1), 0) as n
    from (select ${container.systemId} as systemId, ${ownerId} as ownerId limit 1) o
    cross join json_each(${JSON.stringify(days)}) d cross join json_each(${JSON.stringify(HAPPENINGS)}) w`
}

const nearestOf = (container: Container) =>
  levels.findLast(({ column }) => container[column]) ?? levels[0]

export type StandingRow = { badges: number; held: number; open: number }

/** What there is now: badges, awards that have not been revoked, and applications that wait. A row is read for each badge. */
export const standing = (container: Container, badgeId: SQL | null): Statement<StandingRow> =>
  sql<StandingRow>`
    select count(*) as badges, coalesce(sum(b.awarded), 0) as held, coalesce(sum((
      select c.n from counters c where c.systemId = b.systemId and c.name = 'open' and c.ownerId = b.id)), 0) as open
    from badges b where ${within(container)} ${badgeId ? sql`and b.id = ${badgeId}` : sql``}`
