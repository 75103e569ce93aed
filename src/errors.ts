import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import type { Env } from './env'

/** What an error may carry beside its code and message: contract §8. */
type Extra = { details?: unknown; parameter?: string; retryAfter?: number; allow?: string }

/** The one error that code throws on purpose; `onError` alone turns it into an answer. */
export class ApiError extends Error {
  constructor(
    readonly status: ContentfulStatusCode,
    readonly code: string,
    message: string,
    readonly extra: Extra = {},
  ) {
    super(message)
  }
}

export const notFound = (model: string, field: string, value: string) =>
  new ApiError(
    404,
    'ResourceNotFound',
    `Could not find ${model} field: \`${field}\`, value: \`${value}\``,
  )

export const conflict = (message: string, details?: unknown) =>
  new ApiError(409, 'ResourceConflict', message, { details })

/** One failing field of a request: contract §8.2. */
export type FieldError = { message: string; field: string; value: unknown }

export const invalid = (...details: FieldError[]) =>
  new ApiError(400, 'ValidationError', 'Could not validate required fields', { details })

export const invalidParameter = (parameter: string, message: string) =>
  new ApiError(400, 'InvalidParameter', message, { parameter })

export const codeAlreadyUsed = (code: string) =>
  new ApiError(400, 'CodeAlreadyUsed', `Claim code \`${code}\` has already been claimed`)

export const forbidden = (message: string) => new ApiError(403, 'NotAuthorized', message)

export const badRequest = (message: string) => new ApiError(400, 'BadRequestError', message)

export const tooLarge = (limit: number) =>
  new ApiError(413, 'RequestEntityTooLarge', `The request body may hold ${limit} bytes at most`)

export const methodNotAllowed = (method: string, allow: string) =>
  new ApiError(405, 'MethodNotAllowedError', `${method} is not allowed`, { allow })

/** The platform is late or busy; the same request may be sent again after `retryAfter` seconds. */
export const unavailable = (message: string, retryAfter = 1 + Math.floor(Math.random() * 5)) =>
  new ApiError(503, 'ServiceUnavailable', message, { retryAfter })

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

/** An unknown path: contract §2.7. Behind the authorisation, so that only who may ask learns which paths exist. */
export const noSuchPath = (path: string) =>
  new ApiError(404, 'ResourceNotFound', `${path} does not exist`)

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
