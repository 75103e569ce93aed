import { getTableName, type SQL, sql } from 'drizzle-orm'
import type { SQLiteTable } from 'drizzle-orm/sqlite-core'
import { audit, usedTokens } from '../drizzle/schema'
import { type Due, ring } from './doorbell'
import type { Caller } from './env'
import { conflict, forbidden, preconditionFailed } from './errors'
import { fanOut } from './events'
import { forget } from './publicCache'
import {
  type Db,
  insertIf,
  isNullViolation,
  isPassing,
  isUniqueViolation,
  orUnavailable,
  pause,
  type RowsOf,
  type Statement,
} from './store/db'
import { refuseAnswered, rememberKey } from './store/idempotency'

export type Change<T extends readonly Statement[]> = {
  /** The statements that make the change; what must be true stands in their conditions. */
  change: readonly SQL[]
  /** True, in SQL, when this request has changed something. */
  done: SQL
  /** The row that is changed, where there was one before: what `If-Match` speaks of. */
  of?: { table: SQLiteTable; id: number }
  /** Statements that record what happened (`events.ts`); they too stand under `done`. */
  events?: readonly SQL[]
  /** Statements that make deliveries due beside those of `events`, and give them. */
  due?: readonly SQL<Due>[]
  /** What it changed: table and permanent id; in SQL where the change makes the id. */
  audit: { systemId: number | SQL | null; target: string | SQL }
  /** Statements that come when all else has looked at the rows: they delete what `change` has marked, or write what came of it. */
  after?: readonly SQL[]
  /** What is read back in the same transaction, for the answer. */
  read: T
  /** Paths of public documents that the change makes untrue. */
  forget?: readonly string[]
}

const TRIES = 3

/**
 * The one way to write for a request: the change, its events with their deliveries, the audit row and the rows for the
 * answer in one transaction and one round trip. When the answer of D1 is lost, the batch is sent again behind a fence, so that
 * nothing happens twice; a request that repeats an earlier one by its `Idempotency-Key` only reads. Afterwards cached public
 * documents are dropped and the queue's doorbell is rung.
 *
 * Throws 412 when the resource is not as `If-Match` says, 403 when the token's `jti` has been used, 409 when a request with the
 * same `Idempotency-Key` was quicker.
 */
export async function commit<const T extends readonly Statement[]>(
  caller: Caller,
  {
    change,
    done,
    of,
    events = [],
    due = [],
    audit: trail,
    after = [],
    read,
    forget: paths = [],
  }: Change<T>,
): Promise<RowsOf<T>> {
  const { op, now, key, action, requestId } = caller
  if (caller.isReplay) return replayed(await caller.db.read(...read))
  const rung = [...(events.length > 0 ? [fanOut(op, now)] : []), ...due]
  const record = insertIf(
    audit,
    {
      op,
      systemId: trail.systemId,
      at: now,
      key: key.name,
      action,
      target: trail.target,
      requestId,
    },
    done,
  )
  const guards = [...refuseAnswered(caller), ...asExpected(caller, of), ...unusedToken(caller)]
  const kept = [record, ...useToken(caller, done), ...rememberKey(caller, done)]
  const effects = [...guards, ...change, ...events, ...rung, ...kept, ...after]
  const results = await once(caller.db, op, effects, read)
  await forget(caller.env, paths)
  const start = guards.length + change.length + events.length
  const toRing = results.slice(start, start + rung.length).flat() as Due[]
  if (toRing.length > 0) caller.waitUntil(ring(caller.env, toRing))
  return results.slice(effects.length) as RowsOf<T>
}

function replayed<T extends readonly unknown[][]>(rows: T): T {
  if (rows[0]?.length !== 0) return rows
  throw conflict('What this request has made is no longer as it was')
}

/** One row when the request has changed something; to be read with the change. */
export const committed = (op: string) => sql<{ done: 1 }>`select 1 as done where ${isCommitted(op)}`

/** Whether a request has changed something, in SQL; it stays true whatever becomes of what it changed. */
export const isCommitted = (op: string) => sql`exists (select 1 from audit where op = ${op})`

/**
 * The id of the row that a request has made, in SQL, as the audit names it: `table/id`. By it a repeated request finds the row,
 * whatever has been changed of it since.
 */
export const idMade = (op: string, table: string) =>
  sql`(select cast(substr(target, ${table.length + 2}) as integer) from audit where op = ${op})`

// ── What must hold before anything is done: a statement that fails takes the batch along ────────────────────────────

/** Fails when the resource has none of the versions that `If-Match` names, or is gone. */
const asExpected = ({ ifMatch }: Caller, of: Change<never>['of']): SQL[] =>
  ifMatch && of
    ? [
        sql`insert into audit (op) select null where not exists (
          select 1 from ${sql.identifier(getTableName(of.table))}
          where id = ${of.id} and version in (select value from json_each(${JSON.stringify(ifMatch)})))`,
      ]
    : []

/** Fails when the token has been used for a write. */
const unusedToken = ({ token, key }: Caller): SQL[] =>
  token
    ? [
        sql`insert into usedTokens (key, jti, expires) select key, jti, expires from usedTokens
          where key = ${key.name} and jti = ${token.jti}`,
      ]
    : []

/** Kept for as long as the token is good. */
const useToken = ({ token, key }: Caller, done: SQL): SQL[] => {
  if (!token) return []
  const expires = token.expires && Math.ceil(token.expires)
  return [insertIf(usedTokens, { key: key.name, jti: token.jti, expires }, done)]
}

/** What a batch that was taken back tells the caller, where it was taken back on purpose. */
function refusalOf(error: unknown): unknown {
  if (isNullViolation(error, 'audit.op')) return preconditionFailed()
  if (isUniqueViolation(error, 'usedTokens.key')) return forbidden('Token has already been used')
  if (isUniqueViolation(error, 'idempotency.key'))
    return conflict('A request with this Idempotency-Key was being answered: send it again')
  return orUnavailable(error)
}

/** A repeated batch aborts here when the first one has been carried out after all: `audit.op` is unique. */
const fence = (op: string) => sql`
  insert into audit (op, systemId, at, key, action, target, requestId)
  select op, systemId, at, key, action, target, requestId from audit where op = ${op}`

async function once(
  db: Db,
  op: string,
  effects: readonly Statement[],
  read: readonly Statement[],
): Promise<readonly unknown[][]> {
  for (let attempt = 1; ; attempt++) {
    const fenced = attempt > 1
    try {
      const rows = await db.batch([...(fenced ? [fence(op)] : []), ...effects, ...read])
      return fenced ? rows.slice(1) : rows
    } catch (error) {
      if (fenced && isUniqueViolation(error, 'audit.op')) {
        const rows = await db.read(...read)
        return [...effects.map(() => []), ...rows]
      }
      if (attempt === TRIES || !isPassing(error)) throw refusalOf(error)
      await pause(attempt)
    }
  }
}
