import { type SQL, sql } from 'drizzle-orm'
import { signingKeys } from '../../drizzle/schema'
import { commit, isCommitted } from '../commit'
import type { Caller } from '../env'
import { type Container, levels } from '../levels'
import { forget } from '../publicCache'
import { didPath, JWKS_PATH, signingKeyPath, statusListPath } from '../urls'
import { insertIf, type Statement } from './db'

/** The keys that sign Open Badges 3.0 documents, of a system, issuer or program by its permanent id. */

export const ALGORITHMS = ['Ed25519', 'RS256'] as const
export type Algorithm = (typeof ALGORITHMS)[number]

export type SigningKeyRow = typeof signingKeys.$inferSelect
/** A key that was made, not kept yet. */
export type NewSigningKey = Pick<SigningKeyRow, 'thumbprint' | 'algorithm' | 'publicKey'> & {
  sealed: string
}
/** A key that signs now. */
export type ActiveKey = Pick<SigningKeyRow, 'id' | 'thumbprint' | 'algorithm'> & { sealed: string }

/** Where a private key lives in the table, for its seal. */
export const privateCell = (thumbprint: string) => ({
  table: 'signingKeys',
  row: thumbprint,
  column: 'sealed',
})

/** The keys by which an issuer signs now: one of each algorithm, once it has signed something. */
export const activeKeys = (issuerUid: SQL | string): Statement<ActiveKey> => sql<ActiveKey>`
  select id, thumbprint, algorithm, sealed from signingKeys
  where issuerUid = ${issuerUid} and retiredAt is null`

const isLive = (systemId: number) =>
  sql`exists (select 1 from systems where id = ${systemId} and deletedAt is null)`

export type Owner = { systemId: number; issuerUid: string }

/** Keeps a key unless the issuer has one of its algorithm: whoever comes second uses the first one's. */
export const keepKey = (key: NewSigningKey, { systemId, issuerUid }: Owner, now: number): SQL =>
  insertIf(
    signingKeys,
    { ...key, systemId, issuerUid, createdAt: now },
    isLive(systemId),
    sql`on conflict (issuerUid, algorithm) where "retiredAt" is null do nothing`,
  )

/** All keys that an issuer ever had, the newest last: signatures of old ones stay good, but for those that are withdrawn. */
export const keysOf = (issuerUid: SQL | string): Statement<SigningKeyRow> => sql<SigningKeyRow>`
  select * from signingKeys where issuerUid = ${issuerUid} order by id`

export const findSigningKey = (thumbprint: string): Statement<{ publicKey: string }> =>
  sql<{ publicKey: string }>`
    select publicKey from signingKeys where thumbprint = ${thumbprint} and withdrawnAt is null`

/** Most keys that the one document of all of them holds: the newest. Each has a document of its own as well. */
const LISTED = 2_000

export type PublicKey = Pick<
  SigningKeyRow,
  'publicKey' | 'issuerUid' | 'thumbprint' | 'withdrawnAt'
>

/** The public keys of all issuers, those among them that are withdrawn. */
export const publicKeys: Statement<PublicKey> = sql<PublicKey>`
  select publicKey, issuerUid, thumbprint, withdrawnAt from signingKeys order by id desc limit ${LISTED}`

/** The permanent id of the container that a path names, in SQL. */
function uidOf(container: Container): SQL {
  const level = levels.findLast(({ column }) => container[column] !== null) ?? levels[0]
  return sql`(select uid from ${sql.identifier(level.plural)} where id = ${container[level.column]})`
}

/** All keys of the container that a path names. */
export const keysIn = (container: Container) => keysOf(uidOf(container))

export const findIssuerUid = (container: Container): Statement<{ issuerUid: string }> =>
  sql<{ issuerUid: string }>`select ${uidOf(container)} as issuerUid`

/**
 * Gives an issuer new keys. The private ones that stood before are destroyed, their public ones stay published; status lists are
 * signed anew. Gives no row when the issuer is gone by then.
 *
 * @param withdrawn thumbprints of keys, new or old, whose signatures are good no longer
 */
export async function rotateKeys(
  caller: Caller,
  { systemId, issuerUid }: Owner,
  made: readonly NewSigningKey[],
  withdrawn: readonly string[],
): Promise<SigningKeyRow[]> {
  const { op, now } = caller
  const live = levels.map(
    ({ plural }) =>
      sql`exists (select 1 from ${sql.identifier(plural)} where uid = ${issuerUid} and deletedAt is null)`,
  )
  const isThere = sql`(${isLive(systemId)} and (${sql.join(live, sql` or `)}))`
  const done = sql`exists (select 1 from signingKeys
    where thumbprint = ${made[0]?.thumbprint ?? ''} and issuerUid = ${issuerUid})`
  const [rows, lists] = await commit(caller, {
    change: [
      sql`update signingKeys set retiredAt = ${now}, sealed = null
        where issuerUid = ${issuerUid} and retiredAt is null and ${isThere}`,
      sql`update signingKeys set withdrawnAt = ${now} where issuerUid = ${issuerUid} and withdrawnAt is null
        and thumbprint in (select value from json_each(${JSON.stringify(withdrawn)})) and ${isThere}`,
      ...made.map((key) =>
        insertIf(signingKeys, { ...key, systemId, issuerUid, createdAt: now }, isThere),
      ),
      sql`update statusLists set revision = revision + 1 where issuerUid = ${issuerUid} and ${done}`,
    ],
    done,
    audit: { systemId, target: `signingKeys/${issuerUid}` },
    read: [
      sql<SigningKeyRow>`select * from signingKeys
        where issuerUid = ${issuerUid} and ${isCommitted(op)} order by id`,
      sql<{ uid: string }>`select uid from statusLists where issuerUid = ${issuerUid}`,
    ],
    forget: [didPath(issuerUid), JWKS_PATH, ...withdrawn.map(signingKeyPath)],
  })
  await forget(
    caller.env,
    lists.map(({ uid }) => statusListPath(uid)),
  )
  return rows
}
