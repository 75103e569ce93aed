import { type SQL, sql } from 'drizzle-orm'
import { type Container, type Level, type LevelName, levels, type Place } from '../levels'
import type { Statement } from './db'

/** What a counter counts: rows that hang live from `ownerId`. */
export type CounterName =
  | Level['plural']
  | 'milestones'
  | 'codes'
  | 'applications'
  | 'open'
  | 'reviews'
  | `${LevelName}.${'badges' | 'applications'}`

/** Moves a counter by `by` (a number, or a count in SQL) if `done`. */
export const bump = (
  systemId: number | SQL,
  name: CounterName,
  ownerId: number | SQL,
  by: number | SQL,
  done: SQL,
): SQL => sql`
  insert into counters (systemId, name, ownerId, n)
  select ${systemId}, ${name}, ${ownerId}, ${by} where ${done}
  on conflict (systemId, name, ownerId) do update set n = n + excluded.n`

/** Moves the counters of every container that a badge, or what hangs from it, stands in. */
export const bumpContainers = (
  place: Place,
  what: 'badges' | 'applications',
  by: number | SQL,
  done: SQL,
): SQL[] =>
  levels.flatMap(({ name, column }) => {
    const owner = place[column]
    return owner === null ? [] : bump(place.systemId, `${name}.${what}`, owner, by, done)
  })

/** The total of an unfiltered list. */
export const counterOf = (
  systemId: SQL,
  name: CounterName,
  ownerId: SQL,
): Statement<{ total: number }> => sql<{ total: number }>`
  select ${countOf(systemId, name, ownerId)} as total`

/** A counter's value, in SQL. */
export const countOf = (
  systemId: SQL | number,
  name: CounterName,
  ownerId: SQL | number,
): SQL => sql`
  coalesce((select n from counters
    where systemId = ${systemId} and name = ${name} and ownerId = ${ownerId}), 0)`

/** The same for a list in a container. */
export function containerTotal(
  container: Container,
  what: 'badges' | 'applications',
): Statement<{ total: number }> {
  const nearest = levels.findLast(({ column }) => container[column]) ?? levels[0]
  return counterOf(
    container.systemId,
    `${nearest.name}.${what}`,
    container[nearest.column] ?? container.systemId,
  )
}
