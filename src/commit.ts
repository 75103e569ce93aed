import { type SQL, sql } from 'drizzle-orm'
import { audit } from '../drizzle/schema'
import { type Due, ring } from './doorbell'
import type { Caller } from './env'
import { fanOut } from './events'
import { forget } from './publicCache'
import {
  type Db,
  insertIf,
  isPassing,
  isUniqueViolation,
  orUnavailable,
  pause,
  type RowsOf,
  type Statement,
} from './store/db'

export type Change<T extends readonly Statement[]> = {
  /** The statements that make the change; what must be true stands in their conditions. */
  change: readonly SQL[]
  /** True, in SQL, when this request has changed something. */
  done: SQL
  /** Statements that record what happened (`events.ts`); they too stand under `done`. */
  events?: readonly SQL[]
  /** Statements that make deliveries due beside those of `events`, and give them. */
  due?: readonly SQL<Due>[]
  audit: { systemId: number | SQL | null; target: string }
  /** Statements that delete the rows which `change` has marked, once all else has looked at them. */
  remove?: readonly SQL[]
  /** What is read back in the same transaction, for the answer. */
  read: T
  /** Paths of public documents that the change makes untrue. */
  forget?: readonly string[]
}

const TRIES = 3

/**
 * The one way to write for a request: the change, its events with their deliveries, the audit row and the rows for the
 * answer in one transaction and one round trip. When the answer of D1 is lost, the batch is sent again behind a fence, so that
 * nothing happens twice. Afterwards cached public documents are dropped and the queue's doorbell is rung.
 */
export async function commit<const T extends readonly Statement[]>(
  caller: Caller,
  {
    change,
    done,
    events = [],
    due = [],
    audit: trail,
    remove = [],
    read,
    forget: paths = [],
  }: Change<T>,
): Promise<RowsOf<T>> {
  const { op, now, key, action, requestId } = caller
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
  const effects = [...change, ...events, ...rung, record, ...remove]
  const results = await once(caller.db, op, effects, read)
  await forget(caller.env, paths)
  const start = change.length + events.length
  const toRing = results.slice(start, start + rung.length).flat() as Due[]
  if (toRing.length > 0) caller.waitUntil(ring(caller.env, toRing))
  return results.slice(effects.length) as RowsOf<T>
}

/** One row when the request has changed something; to be read with the change. */
export const committed = (op: string) =>
  sql<{ done: 1 }>`select 1 as done from audit where op = ${op}`

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
      if (attempt === TRIES || !isPassing(error)) throw orUnavailable(error)
      await pause(attempt)
    }
  }
}
