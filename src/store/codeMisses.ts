import { type SQL, sql } from 'drizzle-orm'
import type { Caller } from '../env'
import { type ApiError, notFound, tooMany } from '../errors'
import type { Statement } from './db'

/** How often an hour a claim code of one badge may be asked for in vain. */
export const MAX_MISSES = 20
const HOUR = 3_600_000

const hourOf = (now: number) => Math.floor(now / HOUR)

/** Whether codes of a badge may still be tried, in SQL. */
export const mayGuess = (badgeId: number | SQL, now: number) => sql`not exists (
  select 1 from codeMisses where badgeId = ${badgeId} and hour = ${hourOf(now)} and n >= ${MAX_MISSES})`

/** The 429 of whoever tries too many. */
export const tooManyCodes = (now: number) =>
  tooMany(
    'Too many claim codes of this badge have been tried',
    Math.ceil(((hourOf(now) + 1) * HOUR - now) / 1000),
  )

/**
 * What is answered when a badge has no such code: 404, or 429 when it was one too many that was tried. One statement counts and
 * tells: of any number at once exactly so many are told that there is no such code.
 */
export async function noSuchCode(
  { db, now, isReplay }: Caller,
  badgeId: number,
  code: string,
): Promise<ApiError> {
  // It knew the code, which has gone since.
  if (isReplay) return notFound('claimCode', 'code', code)
  const count: Statement<{ n: number }> = sql`
    insert into codeMisses (badgeId, hour, n) values (${badgeId}, ${hourOf(now)}, 1)
    on conflict (badgeId, hour) do update set n = n + 1 returning n`
  const [[row]] = await db.batch([count])
  return (row?.n ?? 0) > MAX_MISSES ? tooManyCodes(now) : notFound('claimCode', 'code', code)
}
