import type { MiddlewareHandler } from 'hono'
import { sha256, utf8 } from './crypto'
import type { Env } from './env'
import { ApiError, badRequest } from './errors'
import { targetOf } from './paths'
import { findAnswered } from './store/idempotency'

/** Printable ASCII; quoted, as the IETF draft has it, or bare. */
const KEY = /^(?:"([\x21-\x7e]{1,255})"|(?!")([\x21-\x7e]{1,255}))$/

/**
 * `Idempotency-Key` on a POST: a request that repeats an earlier one does nothing, and is answered again. The look-up travels with
 * the request's first read; the key is kept in the batch of the change (`commit.ts`), so that there is no moment between the two.
 */
export const idempotent: MiddlewareHandler<Env> = async (c, next) => {
  const header = c.req.header('Idempotency-Key')
  if (header === undefined || c.req.method !== 'POST') return next()
  const [, quoted, bare] = KEY.exec(header.trim()) ?? []
  const key = quoted ?? bare
  if (key === undefined) throw badRequest('An Idempotency-Key has 1 to 255 printable characters')
  const { caller, db, raw } = c.var
  const said = utf8(
    `${c.req.method} ${targetOf(c.req.raw)}\n${c.req.header('Content-Type') ?? ''}\n`,
  )
  const whole = new Uint8Array(said.length + raw.length)
  whole.set(said)
  whole.set(raw, said.length)
  const fingerprint = await sha256(whole)
  caller.idempotency = { key, fingerprint }
  db.along(findAnswered(caller.key.name, key, caller.now), ([answered]) => {
    if (!answered) return
    if (answered.fingerprint !== fingerprint) throw keyReused()
    caller.op = answered.op
    caller.isReplay = true
    c.header('Idempotent-Replayed', 'true')
  })
  return next()
}

const keyReused = () =>
  new ApiError(
    422,
    'IdempotencyKeyReused',
    'This Idempotency-Key has been used for another request',
  )
