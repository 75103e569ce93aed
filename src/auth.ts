import type { Context, MiddlewareHandler } from 'hono'
import { base64url, compactVerify, decodeProtectedHeader } from 'jose'
import { equalTexts, hex, hmacKeyOf, utf8 } from './crypto'
import type { Bindings, Env, Key } from './env'
import { forbidden, methodNotAllowed, nameOf } from './errors'
import { levels, perLevel } from './levels'
import { canonicalTarget, routedPath, targetOf } from './paths'
import { holds, needOf } from './roles'
import { type Db, openDb } from './store/db'
import { findKey, noteUse } from './store/keys'

/** The claims as the token gives them: nothing is believed before the signature holds. */
type Claims = {
  key?: unknown
  method?: unknown
  path?: unknown
  exp?: unknown
  jti?: unknown
  body?: { alg?: unknown; hash?: unknown } | null
}

const HEADER = /^ *jwt token="([^"]+)" *$/i
const COMPACT = /^[\w-]+\.[\w-]*\.[\w-]*$/
const LOOPBACK = ['127.0.0.1', 'localhost', '[::1]']
const MAX_HEADER = 8_192
const BODYLESS = ['GET', 'DELETE']
const DIGESTS = new Map([
  ['sha256', 'SHA-256'],
  ['sha384', 'SHA-384'],
  ['sha512', 'SHA-512'],
])

/**
 * Lets a request pass when its token is good, and says who signed it. The checks, their order and their texts are
 * contract §2.4's; all refusals are 403 `NotAuthorized`.
 */
export const authenticate: MiddlewareHandler<Env> = async (c, next) => {
  if (c.req.method === 'HEAD') throw methodNotAllowed('HEAD', c.var.allowed())
  c.set('token', null)
  if (isSwitchedOff(c.env, c.req.url)) {
    c.set('key', { ...MASTER, secrets: [] })
    return next()
  }
  const token = readHeader(c.req.header('Authorization'))
  const claims = readClaims(token)
  c.set('claimedKey', typeof claims.key === 'string' ? claims.key : undefined)
  checkTarget(claims, c.req.raw)
  const exp = checkExpiry(claims, c.var.now)
  if (!BODYLESS.includes(c.req.method)) await checkBody(claims.body, c.var.raw)
  else if (!(await covers(claims.body, c.var.raw))) c.set('raw', new Uint8Array())

  const key = await keyOf(claims, c.env, c.var.db, c.var.now)
  checkScope(key, c.req.raw)
  if (!(await isSigned(token, key))) throw forbidden('Invalid token signature')
  if (exp === null && !key.allowNoExp) throw forbidden('Missing JWT claim: exp')
  note(c, key)
  c.set('key', key)
  checkRole(key, c.var.template)
  if (claims.jti != null)
    c.set('token', { jti: echo(claims.jti).slice(0, 255), expires: exp && exp * 1000 })
  return next()
}

/** The original's way to try the API without signing: in a local build, on a loopback host, when asked for. */
function isSwitchedOff(env: Bindings, url: string): boolean {
  if (!LOCAL_DEV) return false
  return env.AUTH_DISABLED === '1' && LOOPBACK.includes(new URL(url).hostname)
}

function readHeader(header: string | undefined): string {
  const token = header && header.length <= MAX_HEADER ? HEADER.exec(header)?.[1] : undefined
  if (!token) throw forbidden('Missing valid Authorization header')
  return token
}

function readClaims(token: string): Claims {
  try {
    if (!COMPACT.test(token)) throw new SyntaxError('three parts of base64url')
    decodeProtectedHeader(token)
  } catch {
    throw forbidden('Could not decode JWT')
  }
  const claims = decodePart(token.split('.')[1] ?? '')
  if (claims === null || typeof claims !== 'object' || Array.isArray(claims)) {
    throw forbidden('Missing JWT payload')
  }
  return claims
}

function decodePart(part: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(base64url.decode(part)))
  } catch {
    return null
  }
}

function checkTarget(claims: Claims, request: Request): void {
  const { method, path } = claims
  if (!method) throw forbidden('Missing JWT claim: method')
  if (typeof method !== 'string' || method.toUpperCase() !== request.method) {
    throw forbidden(
      `\`method\` does not match: using "${echo(method)}" token for "${request.method}" request`,
    )
  }
  if (!path) throw forbidden('Missing JWT claim: path')
  const target = targetOf(request)
  if (path === target) return
  if (typeof path !== 'string' || canonicalTarget(path) !== canonicalTarget(target)) {
    throw forbidden(
      `\`path\` does not match: trying to use token for "${echo(path)}" on "${target}"`,
    )
  }
}

/** Gives the expiry in seconds, or null when there is none. Values above 1e11 are milliseconds; no leeway, no horizon. */
function checkExpiry({ exp }: Claims, now: number): number | null {
  if (exp === undefined || exp === null || exp === 0) return null
  const seconds = typeof exp === 'number' && exp > 1e11 ? exp / 1000 : exp
  if (typeof seconds !== 'number' || !Number.isFinite(seconds) || seconds <= now / 1000) {
    const time = Math.floor(now / 1000)
    throw forbidden(`Token is expired (token expiry: ${echo(exp)}, server time: ${time})`)
  }
  return seconds
}

async function checkBody(body: Claims['body'], raw: Uint8Array<ArrayBuffer>): Promise<void> {
  if (raw.length === 0 && (body === undefined || body === null)) return
  if (!body) throw forbidden('Missing JWT claim: body')
  if (!body.alg) throw forbidden('Missing JWT claim: body.alg')
  if (!body.hash) throw forbidden('Missing JWT claim: body.hash')
  if (!digestOf(body.alg)) {
    throw forbidden(`Could not calculate hash, unsupported algorithm: ${echo(body.alg)}`)
  }
  if (!(await covers(body, raw))) {
    throw forbidden(`Computed hash does not match given hash: ${echo(body.hash)}`)
  }
}

/** Whether the claim is the digest of exactly these bytes. */
async function covers(body: Claims['body'], raw: Uint8Array<ArrayBuffer>): Promise<boolean> {
  const digest = digestOf(body?.alg)
  if (!digest || typeof body?.hash !== 'string') return false
  return equalTexts(hex(await crypto.subtle.digest(digest, raw)), body.hash.toLowerCase())
}

const digestOf = (alg: unknown) =>
  typeof alg === 'string' ? DIGESTS.get(alg.toLowerCase().replace('-', '')) : undefined

/** A value of the caller's own, in a message to the caller. */
const echo = (value: unknown) =>
  (typeof value === 'string' ? value : JSON.stringify(value)).slice(0, 2_000)

// ── Keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** How long an isolate may go on using a key that has been changed elsewhere, in milliseconds. */
const KEY_LIFE = 60_000
const known = new Map<string, { key: Key; until: number }>()
/** Counts what has been forgotten: a key that was being looked up meanwhile may be what it no longer is. */
let age = 0
const MASTER = {
  ...perLevel('name', () => null),
  name: 'master',
  role: 'master',
  allowNoExp: true,
} as const
let master: { secret: string; key: Key } | undefined

/** Forgets the keys this isolate knows: whoever changes a key calls it, so that the change counts at once where it was made. */
export function forgetKeys(): void {
  age += 1
  known.clear()
}

async function keyOf(claims: Claims, env: Bindings, db: Db, now: number): Promise<Key> {
  if (!claims.key) throw forbidden('Missing JWT claim: key')
  if (claims.key === 'master') return masterKey(env.MASTER_SECRET)
  const name = typeof claims.key === 'string' ? claims.key : ''
  const fresh = known.get(name)
  if (fresh && fresh.until > now) return fresh.key
  const before = age
  const found = await findKey(db, env.ENCRYPTION_KEYS, name, now)
  if (!found) throw forbidden('Could not find consumer for API key')
  const { ends, ...rest } = found
  const key = { ...rest, secrets: await Promise.all(rest.secrets.map(importSecret)) }
  const until = Math.min(now + KEY_LIFE, ends ?? Number.POSITIVE_INFINITY)
  if (age === before) known.set(name, { key, until })
  return key
}

async function masterKey(secret: string): Promise<Key> {
  if (master?.secret !== secret) {
    const secrets = [await importSecret(secret)]
    master = { secret, key: { ...MASTER, secrets } }
  }
  return master.key
}

const importSecret = (secret: string) => hmacKeyOf(utf8(secret), 'verify')

/** A key reaches the paths that begin with its own container's. */
function checkScope(key: Key, request: Request): void {
  const words = routedPath(request).split('/').slice(1)
  levels.forEach(({ name, plural }, i) => {
    if (key[name] === null) return
    const [list, slug] = words.slice(2 * i)
    if (list !== plural || slug === undefined || decodeURIComponent(slug) !== key[name]) {
      throw forbidden(`Invalid token for ${name}`)
    }
  })
}

function checkRole(key: Key, template: string): void {
  const need = needOf(template, levels.findLast(({ name }) => key[name] !== null)?.name)
  if (!holds(key.role, need)) throw forbidden(`Key may not do this: needs ${need}`)
}

async function isSigned(token: string, { secrets }: Key): Promise<boolean> {
  for (const secret of secrets) {
    try {
      await compactVerify(token, secret, { algorithms: ['HS256'] })
      return true
    } catch {
      // Another live secret may have signed it.
    }
  }
  return false
}

const DAY = 86_400_000
/** The keys whose use today this isolate has noted. */
let noted = { day: 0, keys: new Set<string>() }

/** Notes on which day a key was used, once: beside the answer, which does not wait for it. */
function note({ env, executionCtx, var: { now } }: Context<Env>, { name, role }: Key): void {
  const day = Math.floor(now / DAY)
  if (noted.day !== day) noted = { day, keys: new Set() }
  const { keys } = noted
  if (role === 'master' || keys.has(name)) return
  keys.add(name)
  const failed = (error: unknown) => {
    keys.delete(name)
    console.error(JSON.stringify({ level: 'error', event: 'key use fault', error: nameOf(error) }))
  }
  executionCtx.waitUntil(noteUse(openDb(env.DB, 'first-primary'), name, day, now).catch(failed))
}
