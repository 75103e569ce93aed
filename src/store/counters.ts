import { type SQL, sql } from 'drizzle-orm'
import type { Place } from './containers'
import type { Statement } from './db'

/** What a counter counts: rows that hang live from `ownerId`. */
export type CounterName =
  | 'systems'
  | 'issuers'
  | 'programs'
  | 'milestones'
  | 'codes'
  | 'applications'
  | 'reviews'
  | `${'system' | 'issuer' | 'program'}.${'badges' | 'applications'}`

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
export function bumpContainers(
  { systemId, issuerId, programId }: Place,
  what: 'badges' | 'applications',
  by: number | SQL,
  done: SQL,
): SQL[] {
  const owners = [
    ['system', systemId],
    ['issuer', issuerId],
    ['program', programId],
  ] as const
  return owners.flatMap(([level, owner]) =>
    owner === null ? [] : [bump(systemId, `${level}.${what}`, owner, by, done)],
  )
}

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
  { systemId, issuerId, programId }: { systemId: SQL; issuerId: SQL | null; programId: SQL | null },
  what: 'badges' | 'applications',
): Statement<{ total: number }> {
  if (programId) return counterOf(systemId, `program.${what}`, programId)
  if (issuerId) return counterOf(systemId, `issuer.${what}`, issuerId)
  return counterOf(systemId, `system.${what}`, systemId)
}
