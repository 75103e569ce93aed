import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { prefersProblem } from './accept'
import type { Env } from './env'
import { ApiError } from './errors'
import { orUnavailable } from './store/db'

/** The answer to everything thrown: contract §8.1. Unknown errors tell the caller nothing and the log their cause. */
export function onError(error: Error, c: Context<Env>): Response {
  const known = error instanceof HTTPException ? fromHono(error) : orUnavailable(error)
  if (known instanceof ApiError) return answer(known, c)
  logFault(error, c)
  return answer(new ApiError(500, 'InternalError', 'An internal error occured'), c)
}

function answer({ status, code, message, extra }: ApiError, c: Context<Env>): Response {
  const { details, parameter, retryAfter, allow } = extra
  if (retryAfter !== undefined) c.header('Retry-After', String(retryAfter))
  if (allow !== undefined) c.header('Allow', allow)
  if (prefersProblem(c.req.header('Accept'))) {
    const told = { type: 'about:blank', title: titleOf(code), status, detail: message }
    const problem = {
      ...told,
      instance: `urn:badgekit:request:${c.var.requestId}`,
      code,
      parameter,
      errors: details,
    }
    return c.body(JSON.stringify(problem), status, { 'Content-Type': 'application/problem+json' })
  }
  return c.json(
    parameter === undefined ? { code, message, details } : { code, parameter, message, details },
    status,
  )
}

/** `ResourceNotFound` → `Resource not found` */
const titleOf = (code: string) =>
  code.replace(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)

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

/** Cuts out whatever is quoted as a value, or looks like an address or a long secret. */
const withoutValues = (text: string) =>
  text
    .replace(/'[^']*'/g, "'…'")
    .replace(/[^\s@]{1,64}@[^\s@]{1,255}/g, '[email]')
    .replace(/[\w+/=-]{40,}/g, '[…]')
