import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import type { Env } from './env'
import { ApiError } from './errors'

/** The answer to everything thrown: contract §8.1. Unknown errors tell the caller nothing and the log their cause. */
export function onError(error: Error, c: Context<Env>): Response {
  const known = error instanceof HTTPException ? fromHono(error) : error
  if (!(known instanceof ApiError)) {
    logFault(error, c)
    return c.json({ code: 'InternalError', message: 'An internal error occured' }, 500)
  }
  const { details, parameter, retryAfter, allow } = known.extra
  if (retryAfter !== undefined) c.header('Retry-After', String(retryAfter))
  if (allow !== undefined) c.header('Allow', allow)
  const { code, message } = known
  return c.json(
    parameter === undefined ? { code, message, details } : { code, parameter, message, details },
    known.status,
  )
}

const fromHono = (error: HTTPException) => new ApiError(400, 'InvalidContent', error.message)

/** Drizzle's and D1's messages can quote bound values, so the innermost cause is told, and of it only the first line. */
function logFault(error: Error, c: Context<Env>): void {
  let cause: unknown = error
  while (cause instanceof Error && cause.cause !== undefined) cause = cause.cause
  const text = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)
  console.error(
    JSON.stringify({
      level: 'error',
      request: c.var.requestId,
      error: withoutValues(text.split('\n')[0] ?? ''),
      at: cause instanceof Error ? placeOf(cause) : undefined,
    }),
  )
}

/** Where the error arose: the first line of its stack that is not its message, which may have many. */
const placeOf = ({ stack = '', message }: Error) =>
  stack
    .slice(stack.indexOf(message) + message.length)
    .split('\n')[1]
    ?.trim()

/** Cuts out whatever looks like an address or a long secret. */
const withoutValues = (text: string) =>
  text.replace(/[^\s@]{1,64}@[^\s@]{1,255}/g, '[email]').replace(/[\w+/=-]{40,}/g, '[…]')
