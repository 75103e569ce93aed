import { type SQL, sql } from 'drizzle-orm'
import { statusLists } from '../../drizzle/schema'
import { insertIf, type Statement } from './db'
import type { Owner } from './signingKeys'

/**
 * Bitstring status lists. A credential has an index in one, taken at random; its bit is set when its award ends. What changes a
 * list only counts its revision up, in its own batch: whoever is asked next, or the sweep, signs it anew.
 */

/** Bits of one list: the least that the specification allows, so that one award hides among many. */
export const LIST_BITS = 131_072
/** How many indexes are tried. When all of them are taken, the list is nearly full, and the next one begins. */
const TRIED = 16

/** The newest list of an issuer, with an index that nobody has: none when none was found. */
export type Place = { id: number; uid: string; index: number | null }

export function freePlace(issuerUid: string): Statement<Place> {
  const numbers = crypto.getRandomValues(new Uint32Array(TRIED))
  const tried = JSON.stringify([...numbers].map((number) => number % LIST_BITS))
  return sql<Place>`
    select l.id, l.uid, (select j.value from json_each(${tried}) j where not exists (
      select 1 from credentials c where c.statusListId = l.id and c.statusIndex = j.value) limit 1) as "index"
    from statusLists l where l.issuerUid = ${issuerUid} order by l.id desc limit 1`
}

/** Begins another list, unless somebody has done so since `last` was the newest. */
export const beginList = (
  uid: string,
  { systemId, issuerUid }: Owner,
  last: Place | undefined,
  now: number,
): SQL =>
  insertIf(
    statusLists,
    { uid, systemId, issuerUid, createdAt: now },
    sql`exists (select 1 from systems where id = ${systemId} and deletedAt is null)
      and not exists (select 1 from statusLists where issuerUid = ${issuerUid} and id > ${last?.id ?? 0})`,
  )

export type StatusListRow = typeof statusLists.$inferSelect & {
  proof: number[] | null
  /** The thumbprint of the key that signed it. */
  key: string | null
}

export const findList = (uid: string): Statement<StatusListRow> => sql<StatusListRow>`
  select l.*, k.thumbprint as "key" from statusLists l left join signingKeys k on k.id = l.keyId
  where l.uid = ${uid}`

/** The state from which a list is made: its revision, whose it is, and which of its bits are set. */
export type ListState = Owner & {
  id: number
  uid: string
  revision: number
  /** Whether its system is gone: then all bits are set. */
  over: 0 | 1
  /** JSON array of indexes. */
  ended: string
}

/** Whose list it is, in SQL. */
export const ownerOf = (uid: string): SQL =>
  sql`(select issuerUid from statusLists where uid = ${uid})`

/** The awards of deleted badges end at once, and have their rows changed when they are purged. */
export const listState = (uid: string): Statement<ListState> => sql<ListState>`
  select l.id, l.uid, l.systemId, l.issuerUid, l.revision,
    not exists (select 1 from systems s where s.id = l.systemId and s.deletedAt is null) as over,
    (select json_group_array(i) from (
      select c.statusIndex as i from credentials c where c.statusListId = l.id and c.ended = 1
      union all
      select c.statusIndex from badges b
        cross join badgeInstances a on a.badgeId = b.id
        cross join credentials c on c.awardId = a.id and c.statusListId = l.id and c.ended = 0
        where b.systemId = l.systemId and b.deletedAt > 0)) as ended
  from statusLists l where l.uid = ${uid}`

export type SignedList = Pick<StatusListRow, 'validFrom' | 'encodedList' | 'keyId'> & {
  proof: Uint8Array
}

/** Keeps what was signed of a list's state, unless a later state was kept meanwhile. */
export const keepList = ({ id, revision }: ListState, signed: SignedList): SQL => sql`
  update statusLists set signedRevision = ${revision}, validFrom = ${signed.validFrom},
    encodedList = ${signed.encodedList}, proof = ${signed.proof}, keyId = ${signed.keyId}
  where id = ${id} and signedRevision < ${revision}`

/** Most lists that one run of the sweep signs. */
const STALE = 20

/** Lists that are to be signed anew. */
export const staleLists: Statement<{ uid: string }> = sql<{ uid: string }>`
  select uid from statusLists where signedRevision < revision and revision > 0 limit ${STALE}`

// ── What ends credentials ───────────────────────────────────────────────────────────────────────────────────────────

/** Sets the bits of awards, in SQL, if `done`; to be carried out before the awards' rows go. */
export const endCredentials = (awards: SQL, done: SQL = sql`1`): SQL[] => [
  sql`update statusLists set revision = revision + 1
    where id in (select statusListId from credentials where awardId in (${awards}) and ended = 0) and ${done}`,
  sql`update credentials set ended = 1 where awardId in (${awards}) and ended = 0 and ${done}`,
]

/** Takes the bits back of awards that stand again, in SQL, if `done`. */
export const restoreCredentials = (awards: SQL, done: SQL): SQL[] => [
  sql`update statusLists set revision = revision + 1
    where id in (select statusListId from credentials where awardId in (${awards}) and ended = 1) and ${done}`,
  sql`update credentials set ended = 0 where awardId in (${awards}) and ended = 1 and ${done}`,
]

/** The lists that hold credentials of awards, in SQL. */
export const listsOf = (awards: SQL): Statement<{ uid: string }> => sql<{ uid: string }>`
  select uid from statusLists
  where id in (select statusListId from credentials where awardId in (${awards}))`

/** Takes credentials from the awards that go: nothing of them stays but the bit. */
export const releaseCredentials = (awards: SQL): SQL => sql`
  update credentials set awardId = null, proof = null, jwt = null, ended = 1
  where awardId in (${awards})`

/** All lists of a system are to be signed anew, if `done`. */
export const touchLists = (systemId: number, done: SQL): SQL => sql`
  update statusLists set revision = revision + 1 where systemId = ${systemId} and ${done}`
