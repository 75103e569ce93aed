import { sql } from 'drizzle-orm'
import type { Db } from './db'

/** How long the messages of events, and the attempts to deliver them, are kept, in milliseconds. */
export const KEPT = 30 * 86_400_000
/** Most rows of one kind that one run takes. */
const ROWS = 1_000

/**
 * Forgets messages and attempts that are old enough. That an event happened, and its number, stay; a delivery that still waited,
 * for a webhook that is switched off, ends.
 */
export function forgetOld(db: Db, now: number) {
  const before = now - KEPT
  const old = sql`select id from events where data is not null and createdAt < ${before} limit ${ROWS}`
  return db.batch([
    sql`update deliveries set state = 'cancelled', endedAt = ${now}
      where state = 'pending' and eventId in (${old})`,
    sql`update events set body = null, data = null where id in (${old})`,
    sql`delete from attempts where rowid in (
      select rowid from attempts where at < ${before} limit ${ROWS})`,
  ])
}
