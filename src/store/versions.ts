import { type SQL, sql } from 'drizzle-orm'
import { badgeVersions } from '../../drizzle/schema'
import { sha256 } from '../crypto'
import { nearestFirst } from '../levels'
import type { Badge } from '../views/badges'
import type { BadgeRow } from './badges'
import type { NestedContainer } from './containers'
import { insertIf } from './db'

/** What a badge and its issuers are at one moment: an award stands on it, whatever is edited later. */
export type Version = Pick<
  typeof badgeVersions.$inferSelect,
  'badgeId' | 'hash' | 'badge' | 'issuerUid' | 'imageId'
>

/**
 * The badge and its issuers as they are now. A badge that has not changed since gives the same version again.
 *
 * @param shown the badge as the contract shows it
 */
export async function freeze(row: BadgeRow, shown: Badge): Promise<Version> {
  const badge = JSON.stringify({ ...shown, milestones: [] })
  const [issuer] = nearestFirst<NestedContainer>(row)
  const hash = await sha256(`${issuer.uid}\n${row.imageId}\n${badge}`)
  return { badgeId: row.id, hash, badge, issuerUid: issuer.uid, imageId: row.imageId }
}

/** Keeps a version, once, if `condition`. */
export const keepVersion = (version: Version, now: number, condition: SQL = sql`1`) =>
  insertIf(
    badgeVersions,
    { ...version, createdAt: now },
    condition,
    sql`on conflict (badgeId, hash) do nothing`,
  )

/** The id of a kept version, in SQL. */
export const versionId = ({ badgeId, hash }: Version) =>
  sql`(select id from badgeVersions where badgeId = ${badgeId} and hash = ${hash})`
