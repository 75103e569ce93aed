import { type SQL, sql } from 'drizzle-orm'
import type { audit } from '../../drizzle/schema'
import { NO_HASH, type Sealable, sealsOf } from '../auditSeal'
import type { Db, Statement } from './db'

/** The audit log: how its rows are sealed, and how they are read. */

/** A row of the log. `op` stays where it is: from it follow the ids that its request has made. */
export type AuditRow = Omit<typeof audit.$inferSelect, 'op'>

const columns = sql.raw('a.id, a.systemId, a.at, a.key, a.action, a.target, a.requestId')

// ── Sealing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Most rows that are sealed at once, and how many times in one sweep: more than a database writes in a minute. */
const ROWS = 500
const ROUNDS = 20

/** The hash before row `alias` in its chain, in SQL; null when there is none. */
const hashBefore = (alias: string) => sql`(
  select p.hash from audit p where ${sql.raw(`p.systemId is ${alias}.systemId and p.id < ${alias}.id`)}
  order by p.id desc limit 1)`

export type Unsealed = Sealable & { before: string | null }

/**
 * The oldest rows of each system that have no seal yet, and a share for each, so that a busy system does not keep the others
 * waiting. The last of `waiting` is null: it stands for the rows that belong to no system.
 */
export const unsealed: Statement<Unsealed> = sql<Unsealed>`
  with recursive waiting (systemId, n) as (
    select (select min(systemId) from audit where sealedAt is null and systemId > 0), 1
    union all
    select (select min(systemId) from audit where sealedAt is null and systemId > waiting.systemId), n + 1
    from waiting where waiting.systemId is not null and n < ${ROWS})
  select ${columns}, ${hashBefore('a')} as before
  from waiting cross join audit a on a.id in (
    select x.id from audit x where x.systemId is waiting.systemId and x.sealedAt is null
    order by x.id limit max(1, cast(${ROWS} as integer) / (select max(2, max(n)) - 1 from waiting)))
  order by a.id limit ${ROWS}`

/**
 * Seals what `unsealed` gave. The database has no hash function, so it is done in two steps: a chain is only continued if it still
 * ends where it did, and if nobody else has begun to seal the same rows.
 */
export async function sealAudit(db: Db, now: number, rows: readonly Unsealed[]): Promise<void> {
  const chains = Map.groupBy(rows, ({ systemId }) => systemId)
  const seals: object[] = []
  for (const chain of chains.values()) {
    const [first] = chain
    const head = first?.before ?? NO_HASH
    const made = await sealsOf(chain, head, now)
    seals.push(...made.map((seal, i) => ({ id: chain[i]?.id, first: first?.id, head, ...seal })))
  }
  const of = (member: string) => sql.raw(`json_extract(j.value, '$.${member}')`)
  await db.batch([
    sql`
      update audit set sealedAt = ${now}, previousHash = ${of('previousHash')}, hash = ${of('hash')}
      from json_each(${JSON.stringify(seals)}) j
      where audit.id = ${of('id')} and audit.sealedAt is null and exists (
        select 1 from audit f where f.id = ${of('first')} and f.sealedAt is null
          and coalesce(${hashBefore('f')}, ${NO_HASH}) = ${of('head')})`,
  ])
}

/** Seals what `unsealed` gave, and goes on while there may be more. */
export async function sealBacklog(db: Db, now: number, found: readonly Unsealed[]): Promise<void> {
  let rows = found
  for (let round = 1; rows.length > 0; round++) {
    await sealAudit(db, now, rows)
    if (rows.length < ROWS || round === ROUNDS) return
    rows = (await db.read(unsealed))[0]
  }
}

// ── Reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────

export type AuditFilter = {
  key: string | null
  action: string | null
  /** Milliseconds, as `until`. */
  since: number | null
  until: number | null
}

export const PAGE = 100
/** How many rows one page looks through where a filter passes few of them. */
const LOOKED_AT = 1_000
/** Rows stand in the order of their changes; their times are those of the requests, which may be so much older. */
const ASKEW = 60_000

/** What a page looked at: how many rows, the last of them, the earliest time, and whether it stopped by itself. */
export type AuditPage = { looked: number; last: number | null; oldest: number | null }

const isFiltered = (filter: AuditFilter) => Object.values(filter).some((value) => value !== null)
const limitOf = (filter: AuditFilter) => (isFiltered(filter) ? LOOKED_AT : PAGE + 1)

/**
 * The log of a system, the newest row first, before the one with the id `before`. However rare what is asked for is, a page
 * reads a bounded number of rows; the second statement tells how far it came.
 */
export function listAudit(
  systemId: SQL,
  filter: AuditFilter,
  before: number | null,
): [Statement<AuditRow>, Statement<AuditPage>] {
  const { key, action, since, until } = filter
  const looked = sql`
    select * from audit where systemId = ${systemId} ${before === null ? sql`` : sql`and id < ${before}`}
    order by id desc limit ${limitOf(filter)}`
  const asked = [
    sql`1`,
    ...(key === null ? [] : [sql`a.key = ${key}`]),
    ...(action === null ? [] : [sql`a.action = ${action}`]),
    ...(since === null ? [] : [sql`a.at >= ${since}`]),
    ...(until === null ? [] : [sql`a.at <= ${until}`]),
  ]
  return [
    sql<AuditRow>`
      select ${columns}, a.sealedAt, a.previousHash, a.hash from (${looked}) a
      where ${sql.join(asked, sql` and `)} order by a.id desc limit ${PAGE + 1}`,
    sql<AuditPage>`
      select count(*) as looked, min(a.id) as last, min(a.at) as oldest from (${looked}) a`,
  ]
}

/** Where the next page starts; null when there is none. */
export function nextAuditPage(
  rows: readonly AuditRow[],
  { looked, last, oldest }: AuditPage,
  filter: AuditFilter,
): number | null {
  if (rows.length > PAGE) return rows[PAGE - 1]?.id ?? null
  const { since } = filter
  const isPast = since !== null && oldest !== null && oldest < since - ASKEW
  return looked < limitOf(filter) || isPast ? null : last
}
