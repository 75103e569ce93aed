import { sql } from 'drizzle-orm'
import type { Due } from '../doorbell'
import { fanOut, recordExpiring } from '../events'
import { assertionPath } from '../urls'
import type { Db, Statement } from './db'
import type { InstanceRow } from './instances'

/** How long before its expiry an award is told of, in milliseconds. An award for less than that is not told of. */
export const NOTICE = 7 * 86_400_000
/** Most awards that one sweep tells of. */
const ROWS = 200

/**
 * Live awards that expire soon and have not been told of. The joins are `cross`, which keeps their order: left to itself, SQLite
 * starts from every badge there is.
 */
export const expiring = (now: number): Statement<InstanceRow> => sql<InstanceRow>`
  select i.* from badgeInstances i
  cross join badges b on b.id = i.badgeId and b.deletedAt is null
  cross join systems s on s.id = i.systemId and s.deletedAt is null
  where i.expires is not null and i.revokedAt is null and i.remindedAt is null
    and i.expires between ${now} and ${now + NOTICE} and i.createdAt < i.expires - ${NOTICE}
  order by i.expires limit ${ROWS}`

/** Records `badge.expiring` for awards, once for each, with its deliveries; gives these. */
export async function remind(
  db: Db,
  op: string,
  now: number,
  rows: readonly InstanceRow[],
  origin: string,
): Promise<readonly Due[]> {
  const ids = JSON.stringify(rows.map(({ id }) => id))
  const awards = rows.map((row) => ({ row, assertionUrl: origin + assertionPath(row.slug) }))
  const [, , due] = await db.batch([
    recordExpiring(op, now, awards),
    sql`update badgeInstances set remindedAt = ${now}
      where id in (select value from json_each(${ids})) and remindedAt is null`,
    fanOut(op, now),
  ])
  return due
}
