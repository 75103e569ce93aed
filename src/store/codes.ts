import { type SQL, sql } from 'drizzle-orm'
import { claimCodes } from '../../drizzle/schema'
import { commit, committed, idMade, isCommitted } from '../commit'
import { bytesFrom, hex, idFrom } from '../crypto'
import type { Caller } from '../env'
import type { ApiError } from '../errors'
import { recordEvent } from '../events'
import type { Container } from '../levels'
import type { Badge } from '../views/badges'
import { type BadgeRow, within } from './badges'
import { mayGuess, tooManyCodes } from './codeMisses'
import { isOpenTo, standing, unclaimable } from './codeTerms'
import { bump, counterOf } from './counters'
import { insertIf, type List, type Statement, updateWhere, wrote } from './db'
import { tally } from './tallies'

export type CodeRow = typeof claimCodes.$inferSelect

/** What a request may say of many claim codes at once, and of one. Times are milliseconds. */
export type CodesInput = {
  multiuse?: boolean | null
  validFrom?: number | null
  validUntil?: number | null
  maxUses?: number | null
}
export type CodeInput = CodesInput & {
  claimed?: boolean | null
  email?: string | null
  reserved?: boolean | null
}

/** Which claim codes a list shows: those that were or were not claimed, those with this id or a later one. */
export type CodeFilter = { claimed: boolean | null; from: number | null }

/** The claim codes of a badge, in id order. */
export function listCodes(
  badgeId: SQL,
  systemId: SQL,
  { claimed, from: first }: CodeFilter,
): List<CodeRow> {
  const from = sql`from claimCodes where badgeId = ${badgeId}
    ${claimed === null ? sql`` : sql`and claimed = ${claimed ? 1 : 0}`}
    ${first === null ? sql`` : sql`and id >= ${first}`}`
  return {
    rows: ({ after, limit, offset }) => sql<CodeRow>`
      select * ${from} ${after ? sql`and id > ${after[0]}` : sql``}
      order by id limit ${limit} offset ${offset}`,
    keyOf: ({ id }) => [id],
    total:
      claimed === null && first === null
        ? counterOf(systemId, 'codes', badgeId)
        : sql<{ total: number }>`select count(*) as total ${from}`,
  }
}

/** A code of a badge. */
export const findCode = (badgeId: SQL, systemId: SQL, code: string): Statement<CodeRow> =>
  sql<CodeRow>`select * from claimCodes
    where systemId = ${systemId} and code = ${code} and badgeId = ${badgeId}`

/** The same with whether codes of the badge may be tried: while they may not, nobody learns which are there. */
export const findGuessedCode = (badgeId: SQL, systemId: SQL, code: string, now: number) =>
  sql<CodeRow & { may: 0 | 1 }>`select *, ${mayGuess(badgeId, now)} as may from claimCodes
    where systemId = ${systemId} and code = ${code} and badgeId = ${badgeId}`

/** The code with this text in a container: of several badges' the oldest. */
export const findCodeWithin = (
  container: Container,
  code: string,
): Statement<CodeRow> => sql<CodeRow>`
  select k.* from claimCodes k join badges b on b.id = k.badgeId
  where k.systemId = ${container.systemId} and k.code = ${code} and ${within(container)}
  order by k.id limit 1`

/** BadgeKit's random codes are ten lower-case hex digits. */
const RANDOM_BYTES = 5

/** Another for each `try` of one request. */
export const randomCode = ({ op }: Caller, tries: number) =>
  idFrom(op, `code ${tries}`, RANDOM_BYTES)

/** More than are wanted: a badge may have some already. */
const SPARE = 16

async function randomCodes(op: string, count: number): Promise<string[]> {
  const length = count + SPARE
  const all = hex(await bytesFrom(op, 'codes', length * RANDOM_BYTES))
  const digits = 2 * RANDOM_BYTES
  return [...new Set(Array.from({ length }, (_, i) => all.slice(i * digits, (i + 1) * digits)))]
}

/** Makes a code of a badge. Gives no row when the badge has such a code, or is gone, by then. */
export async function createCode(caller: Caller, badge: BadgeRow, code: string, input: CodeInput) {
  const { op, now } = caller
  const { id: badgeId, systemId } = badge
  const which = sql`systemId = ${systemId} and code = ${code} and badgeId = ${badgeId}`
  const done = wrote(claimCodes, op, which)
  const [rows] = await commit(caller, {
    change: [
      insertIf(
        claimCodes,
        {
          systemId,
          badgeId,
          code,
          claimed: input.claimed ? 1 : 0,
          multiuse: input.multiuse ? 1 : 0,
          email: input.email ?? null,
          validFrom: input.validFrom ?? null,
          validUntil: input.validUntil ?? null,
          maxUses: input.maxUses ?? null,
          reserved: input.reserved ? 1 : 0,
          op,
          createdAt: now,
          updatedAt: now,
        },
        sql`exists (select 1 from badges where id = ${badgeId} and deletedAt is null)`,
        sql`on conflict (systemId, code, badgeId) do nothing`,
      ),
      bump(systemId, 'codes', badgeId, 1, done),
      ...tally(caller, badge, 'codes', 1, done),
    ],
    done,
    audit: { systemId, target: sql`'claimCodes/' || (select id from claimCodes where ${which})` },
    read: [sql<CodeRow>`select * from claimCodes where id = ${idMade(op, 'claimCodes')}`],
  })
  return rows[0]
}

/** Makes so many random codes of a badge. Gives none when the badge is gone by then. */
export async function createCodes(
  caller: Caller,
  badge: BadgeRow,
  count: number,
  { multiuse, validFrom = null, validUntil = null, maxUses = null }: CodesInput,
): Promise<CodeRow[]> {
  const { op, now } = caller
  const { id: badgeId, systemId, slug } = badge
  const list = JSON.stringify(await randomCodes(op, count))
  const same = sql`k.systemId = ${systemId} and k.code = j.value and k.badgeId = ${badgeId}`
  const ours = sql`from json_each(${list}) j cross join claimCodes k on ${same} and k.op = ${op}`
  const made = sql`(select count(*) ${ours})`
  const done = sql`exists (select 1 ${ours})`
  const [rows] = await commit(caller, {
    change: [
      sql`
        insert into claimCodes (systemId, badgeId, code, multiuse, validFrom, validUntil, maxUses, op, createdAt, updatedAt)
        select ${systemId}, ${badgeId}, j.value, ${multiuse ? 1 : 0}, ${validFrom}, ${validUntil}, ${maxUses},
          ${op}, ${now}, ${now}
        from json_each(${list}) j
        where not exists (select 1 from claimCodes k where ${same})
          and exists (select 1 from badges where id = ${badgeId} and deletedAt is null)
        order by j.key limit ${count}`,
      bump(systemId, 'codes', badgeId, made, done),
      ...tally(caller, badge, 'codes', made, done),
    ],
    done,
    audit: { systemId, target: `badges/${slug}/codes` },
    // Of a repeated request those that are there still, whatever has become of them.
    read: [
      sql<CodeRow>`select k.* from json_each(${list}) j cross join claimCodes k on ${same} order by k.id`,
    ],
  })
  return rows
}

/** What claims a code (`which`) if `condition`, and tells of it: for a claim by itself, and for an award with a code. */
export function claimStatements(
  { op, now }: Caller,
  badge: BadgeRow,
  shown: Badge,
  which: SQL,
  email: string | null | undefined,
  condition: SQL,
) {
  const { systemId } = badge
  const claim = { claimed: 1, claimedAt: now, uses: sql`uses + 1`, op, updatedAt: now }
  const done = wrote(claimCodes, op, which)
  const bool = (column: string) =>
    sql.raw(`json(case k.${column} when 1 then 'true' else 'false' end)`)
  const data = sql`(
    select '{"claimCode":' || json_object('id', k.id, 'code', k.code, 'claimed', ${bool('claimed')}, 'email', k.email,
      'multiuse', ${bool('multiuse')}) || ',"badge":' || ${JSON.stringify(shown)} || '}'
    from claimCodes k where ${which} and k.op = ${op})`
  // By its id: a code's text is a secret of its kind, and subjects are shown in logs. Uses of one code need no order.
  const subject = sql`(select 'code-' || id || '-' || uses from claimCodes where ${which})`
  return {
    change: [
      updateWhere(
        claimCodes,
        { ...claim, ...(email && { email }) },
        sql`${which} and ${condition}`,
      ),
      ...tally({ now }, badge, 'claimed', 1, done),
    ],
    done,
    events: [
      recordEvent(op, now, { systemId, type: 'code.claimed', subject, body: null, data }, done),
    ],
  }
}

/** Whether `email` may claim a code of a badge, in SQL: its terms allow it, and codes of the badge may be tried at all. */
export const isClaimable = (
  { id }: { id: number },
  email: string | null | undefined,
  now: number,
) => sql`${isOpenTo(email, now)} and ${mayGuess(id, now)}`

/** Marks a code as claimed, by `email` when one is given. Gives no row when its terms did not allow it, or it was gone, by then. */
export async function claimCode(
  caller: Caller,
  badge: BadgeRow,
  shown: Badge,
  row: CodeRow,
  email: string | null | undefined,
) {
  const { op } = caller
  const which = sql`id = ${row.id}`
  const [rows] = await commit(caller, {
    ...claimStatements(caller, badge, shown, which, email, isClaimable(badge, email, caller.now)),
    audit: { systemId: badge.systemId, target: codeTarget(row) },
    read: [sql<CodeRow>`select * from claimCodes where ${which} and ${isCommitted(op)}`],
  })
  return rows[0]
}

/** What is answered when a code is there and could not be claimed: its terms do not allow it, or nobody may try for now. */
export async function refuseClaim(
  { db, now }: Caller,
  { id }: BadgeRow,
  row: CodeRow,
  email: string | null | undefined,
): Promise<ApiError> {
  const state: Statement<{ may: 0 | 1; standing: string }> = sql`
    select ${mayGuess(id, now)} as may, ${standing(sql`id = ${row.id}`, email, now)} as standing`
  const [[found]] = await db.read(state)
  if (!found?.may) return tooManyCodes(now)
  return unclaimable(row.code, JSON.parse(found.standing))
}

/** Deletes a code; awards made with it stay. Gives false when it was gone by then. */
export async function deleteCode(caller: Caller, badge: BadgeRow, row: CodeRow): Promise<boolean> {
  const { op, now } = caller
  const { systemId } = badge
  const which = sql`id = ${row.id}`
  const [rows] = await commit(caller, {
    change: [
      updateWhere(claimCodes, { op, updatedAt: now }, which),
      bump(systemId, 'codes', badge.id, -1, wrote(claimCodes, op, which)),
    ],
    done: wrote(claimCodes, op, which),
    of: { table: claimCodes, id: row.id },
    audit: { systemId, target: codeTarget(row) },
    after: [sql`delete from claimCodes where ${which} and op = ${op}`],
    read: [committed(op)],
  })
  return rows.length > 0
}

/** A code's text is a secret of its kind: the audit names its id. */
const codeTarget = ({ id }: CodeRow) => `claimCodes/${id}`
