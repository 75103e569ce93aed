import type { MiddlewareHandler } from 'hono'
import { matchedRoutes } from 'hono/route'
import type { Router } from 'hono/router'
import { randomHex } from './crypto'
import type { Bindings, Env } from './env'
import { ApiError, badRequest, methodNotAllowed, noSuchPath, tooLarge, unavailable } from './errors'
import { targetOf } from './paths'
import { readRing } from './seal'
import { openDb } from './store/db'
import { readUpTo } from './streams'
import { sweepIfLate } from './sweep'

/** The small steps that every request goes through, in the order of `app.ts`. */

/** The bytes that an index of Analytics Engine may have. */
const MAX_INDEX = 96

/** Names the request and writes its one log line at the end: the route's template, never the URL, which may hold an email. */
export const logged: MiddlewareHandler<Env> = async (c, next) => {
  const started = Date.now()
  c.set('requestId', randomHex(12))
  c.set('now', started)
  await next()
  c.header('X-Request-Id', c.var.requestId)
  const { trips = 0, rowsRead = 0 } = c.var.db?.spent ?? {}
  const route = c.var.template ?? `${c.req.method} *`
  const { status } = c.res
  const ms = Date.now() - started
  c.env.ANALYTICS?.writeDataPoint({
    indexes: [route.slice(0, MAX_INDEX)],
    blobs: [route, String(status)],
    doubles: [ms, trips, rowsRead],
  })
  console.log(
    JSON.stringify({
      request: c.var.requestId,
      route,
      status,
      ms,
      trips,
      rowsRead,
      key: c.var.key?.name,
    }),
  )
}

/** Refuses to serve with settings that are missing, or that belong to local development alone. */
export const configured: MiddlewareHandler<Env> = async (c, next) => {
  const fault = await faultOf(c.env)
  if (fault) {
    console.error(JSON.stringify({ level: 'error', event: 'misconfigured', reason: fault.reason }))
    throw fault.error
  }
  return next()
}

const LOCAL_ONLY = [
  'AUTH_DISABLED',
  'ALLOW_LOCAL_WEBHOOKS',
  'WEBHOOK_SPEED',
  'RATE_LIMITS',
] as const

const checked = new WeakMap<Bindings, Promise<Fault | null>>()
type Fault = { reason: string; error: ApiError }

function faultOf(env: Bindings): Promise<Fault | null> {
  const known = checked.get(env)
  if (known) return known
  const fault = findFault(env)
  checked.set(env, fault)
  return fault
}

async function findFault(env: Bindings): Promise<Fault | null> {
  const opens = LOCAL_ONLY.some((name) => env[name])
  if (LOCAL_DEV ? false : opens) {
    const reason = `${LOCAL_ONLY.join(', ')} are for local development only`
    return { reason, error: new ApiError(500, 'InternalError', 'An internal error occured') }
  }
  const reason = await missingSetting(env)
  return reason === null ? null : { reason, error: unavailable('The service is not set up') }
}

async function missingSetting(env: Bindings): Promise<string | null> {
  if (!env.MASTER_SECRET) return 'MASTER_SECRET is not set'
  if (!isOrigin(env.PUBLIC_ORIGIN ?? ''))
    return 'PUBLIC_ORIGIN is not an origin such as https://badges.example.org'
  if (!env.ENCRYPTION_KEYS) return 'ENCRYPTION_KEYS is not set'
  return readRing(env.ENCRYPTION_KEYS).then(
    () => null,
    () => 'ENCRYPTION_KEYS is not a JSON object of base64 keys of 32 bytes',
  )
}

const isOrigin = (text: string) => /^https?:/.test(text) && URL.parse(text)?.origin === text

/** Paths that browsers of other origins may read. */
const OPEN = /^\/(?:public|images|issuers|\.well-known)\//

const METHODS = ['GET', 'POST', 'PUT', 'DELETE']

/** Answers unknown paths with 404 and wrong methods with 405, before any signature is asked for (contract §2.7). */
export const routable =
  (router: () => Router<[unknown, { method: string }]>): MiddlewareHandler<Env> =>
  (c, next) => {
    const { method, path } = c.req
    const serves = (candidate: string) =>
      router()
        .match(candidate, path)[0]
        .some(([[, route]]) => route.method !== 'ALL')
    c.set('allowed', () => METHODS.filter(serves).join(', '))
    const route = matchedRoutes(c).findLast((matched) => matched.method !== 'ALL')
    c.set('template', `${method} ${route?.path ?? '*'}`)
    checkEncoding(path)
    if (route || (method === 'OPTIONS' && OPEN.test(path))) return next()
    const allowed = c.var.allowed()
    if (allowed === '') throw noSuchPath(targetOf(c.req.raw))
    throw methodNotAllowed(method, allowed)
  }

function checkEncoding(path: string): void {
  if (!path.includes('%')) return
  try {
    decodeURIComponent(path)
  } catch {
    throw badRequest('The path is not well encoded')
  }
}

/**
 * Sends readers of public documents to the one origin that ids and baked images name for ever, when they come by another
 * host. The target keeps what they asked for.
 */
export const atOrigin: MiddlewareHandler<Env> = async (c, next) => {
  const { method, url } = c.req
  const origin = c.env.PUBLIC_ORIGIN
  // A preflight may not be redirected, and browsers follow a redirect only where it too is open to them.
  if (method === 'OPTIONS') return next()
  if (!OPEN.test(c.req.path) || new URL(url).host === new URL(origin).host) return next()
  const headers = { Location: origin + targetOf(c.req.raw), 'Access-Control-Allow-Origin': '*' }
  return c.body(null, 308, headers)
}

const BOOKMARK = /^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}$/

/** Opens the database: from the caller's bookmark, for private routes at the primary, for public ones anywhere. */
export const database: MiddlewareHandler<Env> = async (c, next) => {
  const bookmark = c.req.header('X-D1-Bookmark')
  const isPublic = OPEN.test(c.req.path)
  const anywhere = isPublic ? 'first-unconstrained' : 'first-primary'
  c.set('db', openDb(c.env.DB, bookmark && BOOKMARK.test(bookmark) ? bookmark : anywhere))
  return next()
}

const MIB = 1024 * 1024
const EMPTY = new Uint8Array()
/** Routes whose bodies may carry an image. */
const WITH_IMAGE = /\/(?:systems|issuers|programs|badges)(?:\/:\w+)?$/

/** Routes whose bodies are lists of thousands. */
const WITH_ROWS = /\/instances\/jobs$/

const limitOf = (template: string) => {
  if (WITH_ROWS.test(template)) return 32 * MIB
  return (WITH_IMAGE.test(template) ? 8 : 2) * MIB
}

/** Reads the body's bytes, which the signature covers, up to the route's limit. */
export const readBody: MiddlewareHandler<Env> = async (c, next) => {
  const encoding = c.req.header('Content-Encoding')
  if (encoding && encoding !== 'identity') {
    throw new ApiError(415, 'UnsupportedMediaTypeError', encoding)
  }
  if (c.req.raw.body === null) {
    c.set('raw', EMPTY)
    return next()
  }
  const limit = limitOf(c.var.template)
  if (Number(c.req.header('Content-Length') ?? 0) > limit) throw tooLarge(limit)
  const raw = await readUpTo(c.req.raw.body, limit)
  if (!raw) throw tooLarge(limit)
  c.set('raw', raw)
  return next()
}

/** Private answers, refusals among them, are kept by nobody. */
export const unkept: MiddlewareHandler<Env> = async (c, next) => {
  await next()
  c.header('Cache-Control', 'private, no-store')
  c.header('Referrer-Policy', 'no-referrer')
}

/** The versions that `If-Match` names: an `ETag` is `"version.digest"`. Null when it names none, or `*`. */
function versionsOf(header: string | undefined): number[] | null {
  if (header === undefined || header.trim() === '*') return null
  return header.split(',').map((tag) => {
    const version = /^\s*(?:W\/)?"(\d{1,15})(?:\.[\w-]*)?"\s*$/.exec(tag)?.[1]
    // What is no ETag of ours matches nothing.
    return version === undefined ? -1 : Number(version)
  })
}

/** Who asks, for what writes. */
export const callers: MiddlewareHandler<Env> = async (c, next) => {
  const { db, now, key, requestId, token } = c.var
  c.set('caller', {
    db,
    env: c.env,
    now,
    op: randomHex(16),
    isReplay: false,
    idempotency: null,
    token,
    ifMatch: versionsOf(c.req.header('If-Match')),
    key,
    action: c.var.template,
    requestId,
    waitUntil: (work) => c.executionCtx.waitUntil(work),
  })
  await next()
  if (c.req.method !== 'GET') c.executionCtx.waitUntil(sweepIfLate(c.env, now))
  const bookmark = db.bookmark()
  if (bookmark) c.header('X-D1-Bookmark', bookmark)
}
