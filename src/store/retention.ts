import { type SQL, sql } from 'drizzle-orm'
import type { Db } from './db'
import { REMEMBERED } from './idempotency'

const HOUR = 3_600_000
const DAY = 24 * HOUR

/** How long the messages of events, and the attempts to deliver them, are kept, in milliseconds. */
export const KEPT = 30 * DAY
/** The same of the audit log: a little more than a year. */
export const AUDIT_KEPT = 400 * DAY
/** How long it is remembered that a claim code was asked for in vain. */
const MISSES_KEPT = DAY
/** Most rows of one kind that one run takes. */
const ROWS = 1_000

/**
 * Forgets what is old enough. That an event happened, and its number, stay; a delivery that still waited, for a webhook that is
 * switched off, ends.
 */
export function forgetOld(db: Db, now: number) {
  const before = now - KEPT
  const old = sql`select id from events where data is not null and createdAt < ${before} limit ${ROWS}`
  return db.batch([
    sql`update deliveries set state = 'cancelled', endedAt = ${now}
      where state = 'pending' and eventId in (${old})`,
    sql`update events set body = null, data = null where id in (${old})`,
    ...forgetJobs(now),
    remove('attempts', sql`at < ${before}`),
    remove('idempotency', sql`createdAt <= ${now - REMEMBERED}`),
    remove('usedTokens', sql`expires <= ${now}`),
    remove('codeMisses', sql`hour < ${Math.floor((now - MISSES_KEPT) / HOUR)}`),
    forgetAudit(now - AUDIT_KEPT),
  ])
}

/** Of a job its counts stay. One whose rows were never all received is nothing. */
function forgetJobs(now: number): SQL[] {
  const lost = sql`(select id from jobs where state in ('receiving', 'running') and updatedAt < ${now - HOUR}
    and state = 'receiving' limit 10)`
  return [
    sql`delete from jobChunks where jobId in ${lost}`,
    sql`delete from jobs where id in ${lost}`,
    sql`delete from jobChunks where jobId in (
      select id from jobs where endedAt < ${now - KEPT} and forgotten = 0 limit 10)`,
    sql`update jobs set forgotten = 1 where id in (
      select id from jobs where endedAt < ${now - KEPT} and forgotten = 0 limit 10)`,
  ]
}

const remove = (table: string, condition: SQL) => sql`
  delete from ${sql.identifier(table)} where rowid in (
    select rowid from ${sql.identifier(table)} where ${condition} limit ${ROWS})`

/**
 * The log goes from its beginning, and only up to the first row that must stay: times are those of requests, which are not quite
 * in the order of their changes, and a row that went before its time would be a hole in its chain.
 */
function forgetAudit(before: number): SQL {
  const end = sql`(select min(id) + ${ROWS} from audit)`
  const first = sql`(select min(id) from audit where id < ${end} and (at >= ${before} or sealedAt is null))`
  return sql`delete from audit where id < coalesce(${first}, ${end})`
}
