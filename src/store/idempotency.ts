import { sql } from 'drizzle-orm'
import { idempotency } from '../../drizzle/schema'
import type { Caller } from '../env'
import { insertIf, type Statement } from './db'

/** How long a repeated request is recognised, in milliseconds. */
export const REMEMBERED = 86_400_000

type Answered = Pick<typeof idempotency.$inferSelect, 'fingerprint' | 'op'>

/** The request that a key has answered with this `Idempotency-Key`. */
export const findAnswered = (
  key: string,
  idempotencyKey: string,
  now: number,
): Statement<Answered> => sql<Answered>`
  select fingerprint, op from idempotency
  where key = ${key} and idempotencyKey = ${idempotencyKey} and createdAt > ${now - REMEMBERED}`

/** Fails when another request with the caller's `Idempotency-Key` has been quicker, whatever this one would have come to. */
export const refuseAnswered = ({ key, now, idempotency: given }: Caller): Statement[] =>
  given
    ? [
        sql`insert into idempotency (key, idempotencyKey, fingerprint, op, status, createdAt)
          select key, idempotencyKey, fingerprint, op, status, createdAt from idempotency
          where key = ${key.name} and idempotencyKey = ${given.key} and createdAt > ${now - REMEMBERED}`,
      ]
    : []

/** Keeps the caller's `Idempotency-Key`, if the request has changed something. */
export function rememberKey(
  { key, now, op, idempotency: given }: Caller,
  done: ReturnType<typeof sql>,
) {
  if (!given) return []
  const columns = { key: key.name, idempotencyKey: given.key, fingerprint: given.fingerprint, op }
  return [
    sql`delete from idempotency where key = ${key.name} and idempotencyKey = ${given.key}
      and createdAt <= ${now - REMEMBERED}`,
    insertIf(idempotency, { ...columns, status: 0, createdAt: now }, done),
  ]
}
