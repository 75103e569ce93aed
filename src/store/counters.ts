import { type SQL, sql } from 'drizzle-orm'
import type { Statement } from './db'

/** What a counter counts: rows that hang live from `ownerId`. */
export type CounterName =
  | 'systems'
  | 'issuers'
  | 'programs'
  | 'system.badges'
  | 'issuer.badges'
  | 'program.badges'

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

/** The total of an unfiltered list. */
export const counterOf = (
  systemId: SQL,
  name: CounterName,
  ownerId: SQL,
): Statement<{ total: number }> =>
  sql<{ total: number }>`
    select coalesce((select n from counters
      where systemId = ${systemId} and name = ${name} and ownerId = ${ownerId}), 0) as total`
