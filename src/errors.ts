import type { ContentfulStatusCode } from 'hono/utils/http-status'

/** What an error may carry beside its code and message: contract §8. */
type Extra = { details?: unknown; parameter?: string; retryAfter?: number; allow?: string }

/** What a log line may say of something thrown: never its message, which can quote values. */
export const nameOf = (error: unknown) => (error instanceof Error ? error.name : 'unknown')

/** What went wrong, for programs: contract §8. Clients decide by these words, so none is ever renamed. */
export const ERROR_CODES = [
  'BadRequestError',
  'CodeAlreadyUsed',
  'CodeExpired',
  'CodeNotYetValid',
  'CodeReserved',
  'IdempotencyKeyReused',
  'InternalError',
  'InvalidContent',
  'InvalidParameter',
  'MethodNotAllowedError',
  'NotAuthorized',
  'PreconditionFailed',
  'RequestEntityTooLarge',
  'ResourceConflict',
  'ResourceNotFound',
  'ServiceUnavailable',
  'TooManyRequests',
  'UnsupportedMediaTypeError',
  'ValidationError',
] as const
export type ErrorCode = (typeof ERROR_CODES)[number]

/** The one error that code throws on purpose; `onError` alone turns it into an answer. */
export class ApiError extends Error {
  constructor(
    readonly status: ContentfulStatusCode,
    readonly code: ErrorCode,
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

/** What must be one of a kind, `field`, is there already. */
export const taken = (model: string, field: string, details?: unknown) =>
  conflict(`${model} with that \`${field}\` already exists`, details)

/** One failing field of a request: contract §8.2. */
export type FieldError = { message: string; field: string; value: unknown }

export const invalid = (...details: FieldError[]) =>
  new ApiError(400, 'ValidationError', 'Could not validate required fields', { details })

export const invalidParameter = (parameter: string, message: string) =>
  new ApiError(400, 'InvalidParameter', message, { parameter })

/** Too much was tried; it may be tried again after so many seconds. */
export const tooMany = (message: string, retryAfter: number) =>
  new ApiError(429, 'TooManyRequests', message, { retryAfter })

/** The resource is not in the state that `If-Match` names. */
export const preconditionFailed = () =>
  new ApiError(412, 'PreconditionFailed', 'The resource has changed: read it again')

export const codeAlreadyUsed = (code: string) =>
  new ApiError(400, 'CodeAlreadyUsed', `Claim code \`${code}\` has already been claimed`)

export const codeUsedUp = (code: string) =>
  new ApiError(
    400,
    'CodeAlreadyUsed',
    `Claim code \`${code}\` has been claimed as often as it may be`,
  )

export const codeNotYetValid = (code: string, from: number) =>
  new ApiError(
    400,
    'CodeNotYetValid',
    `Claim code \`${code}\` cannot be claimed before ${new Date(from).toISOString()}`,
  )

export const codeExpired = (code: string, until: number) =>
  new ApiError(
    400,
    'CodeExpired',
    `Claim code \`${code}\` could be claimed until ${new Date(until).toISOString()}`,
  )

export const codeReserved = (code: string) =>
  new ApiError(400, 'CodeReserved', `Claim code \`${code}\` is reserved for somebody else`)

export const forbidden = (message: string) => new ApiError(403, 'NotAuthorized', message)

export const badRequest = (message: string) => new ApiError(400, 'BadRequestError', message)

export const tooLarge = (limit: number) =>
  new ApiError(413, 'RequestEntityTooLarge', `The request body may hold ${limit} bytes at most`)

export const methodNotAllowed = (method: string, allow: string) =>
  new ApiError(405, 'MethodNotAllowedError', `${method} is not allowed`, { allow })

/** The platform is late or busy; the same request may be sent again after `retryAfter` seconds. */
export const unavailable = (message: string, retryAfter = 1 + Math.floor(Math.random() * 5)) =>
  new ApiError(503, 'ServiceUnavailable', message, { retryAfter })

/** An unknown path: contract §2.7. Behind the authorisation, so that only who may ask learns which paths exist. */
export const noSuchPath = (path: string) =>
  new ApiError(404, 'ResourceNotFound', `${path} does not exist`)
