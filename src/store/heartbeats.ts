import { sql } from 'drizzle-orm'

/** Notes that a sweep runs. */
export const beat = (now: number) => sql`
  insert into heartbeats (name, at) values ('sweep', ${now})
  on conflict (name) do update set at = excluded.at`

/**
 * The same if none has run after `since`; gives a row then. Of two who ask at once one gets it, though the other's clock be
 * behind; a time that is far ahead was never true.
 */
export const beatIfLate = (now: number, since: number) => sql<{ at: number }>`
  ${beat(now)} where heartbeats.at <= ${since} or heartbeats.at > ${2 * now - since} returning at`

export const lastBeat = sql<{ at: number }>`select at from heartbeats where name = 'sweep'`
