/**
 * A client of the BadgeKit API for Node, Deno, Bun, Workers and browsers, made of nothing but what these share: `fetch` and Web
 * Crypto. A call reads as its path does, and is typed from the schemas that the service itself validates with:
 *
 *     const city = new BadgeKit({ url, key, secret }).systems('city')
 *     const { instance } = await city.badges('zine-maker').instances.post({ email })
 *     for await (const badge of city.badges.list()) console.log(badge.name)
 */
import type { Options } from './calls.js'
import type { Application, Badge, ErrorCode, Event, Review, Routes } from './routes.js'

export type * from './calls.js'
export type * from './routes.js'

/** Who signs, and where to. */
export type Settings = {
  /** The service's address, such as `https://badges.example.org`. */
  url: string
  /** Needed for all but public routes. */
  secret?: string
  /** The name of the key that the secret belongs to; `master` unless given. */
  key?: string
  /** How often a request is sent again, at most: 4 unless given. */
  retries?: number
  /** Milliseconds that one try may take: 30,000 unless given. */
  timeout?: number
  fetch?: typeof fetch
}

/** A whole answer. */
export type Answer = { status: number; headers: Headers; body: unknown }

export type FieldError = { field: string; message: string; value: unknown }

/** What `details` holds, by code. */
export type ErrorDetails = {
  [Code in ErrorCode | FailureCode]: Code extends 'ValidationError'
    ? FieldError[]
    : Code extends 'ResourceConflict'
      ? Record<string, unknown> | undefined
      : undefined
}

/** What goes wrong before there is an answer of the service. */
export type FailureCode = 'NetworkError' | 'TimeoutError' | 'UnreadableAnswer'

type Failure = {
  code: ErrorCode | FailureCode
  message: string
  status: number
  details?: unknown
  parameter?: string
  requestId?: string
  retryAfter?: number
  cause?: unknown
}

/** Every failure of a call but an abort of its own signal. */
export class BadgeKitError<
  Code extends ErrorCode | FailureCode = ErrorCode | FailureCode,
> extends Error {
  override readonly name = 'BadgeKitError'
  readonly code: Code
  /** 0 when there was no answer. */
  readonly status: number
  readonly details: ErrorDetails[Code]
  /** The parameter of the query that cannot be taken. */
  readonly parameter: string | undefined
  /** `X-Request-Id`, which the service's log names too. */
  readonly requestId: string | undefined
  /** Seconds to wait before it may be tried again. */
  readonly retryAfter: number | undefined

  constructor(failure: Failure) {
    super(failure.message, { cause: failure.cause })
    this.code = failure.code as Code
    this.status = failure.status
    this.details = failure.details as ErrorDetails[Code]
    this.parameter = failure.parameter
    this.requestId = failure.requestId
    this.retryAfter = failure.retryAfter
  }

  /** Whether something caught is this error: `BadgeKitError.is(error, 'ValidationError') && error.details`. */
  static is<Code extends ErrorCode | FailureCode>(
    error: unknown,
    code: Code,
  ): error is BadgeKitError<Code> {
    return error instanceof BadgeKitError && error.code === code
  }
}

const utf8 = (text: string) => new TextEncoder().encode(text)

const base64 = (bytes: Uint8Array) => btoa(String.fromCharCode(...bytes))
const base64url = (bytes: Uint8Array) =>
  base64(bytes).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
const fromBase64 = (text: string) =>
  Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (letter) =>
    letter.charCodeAt(0),
  )

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

const ALGORITHM = { name: 'HMAC', hash: 'SHA-256' }

const hmacKey = (key: Uint8Array<ArrayBuffer>) =>
  crypto.subtle.importKey('raw', key, ALGORITHM, false, ['sign', 'verify'])

type Body = { bytes: Uint8Array<ArrayBuffer>; type: string }
type Query = Record<string, unknown>

const DEFAULTS = { key: 'master', retries: 4, timeout: 30_000 }
/** Longer than this nobody waits inside a call: the error tells how long it would be. */
const LONGEST_WAIT = 60
const RETRIED = [429, 502, 503, 504]

/** The words that end a path; every other one belongs to it. */
const METHODS = ['get', 'post', 'put', 'delete', 'list']

class Client {
  readonly #settings: Settings & typeof DEFAULTS
  #signingKey: Promise<CryptoKey> | undefined

  constructor(settings: Settings) {
    this.#settings = { ...DEFAULTS, ...settings }
    // biome-ignore lint/correctness/noConstructorReturn: the words of a path are members of the client.
    return pathProxy(this, '') as Client
  }

  /**
   * Sends one signed request, again if need be, and gives the whole answer. The path is percent-encoded already.
   *
   * @throws {BadgeKitError} unless its status is below 400
   */
  async request(
    method: string,
    path: string,
    { body, query, ...options }: Options & { body?: unknown; query?: Query } = {},
  ): Promise<Answer> {
    const url = new URL(path, this.#settings.url)
    for (const [name, value] of Object.entries(query ?? {})) {
      if (value !== undefined && value !== null) url.searchParams.set(name, String(value))
    }
    const sent = body === undefined ? undefined : await encoded(body)
    const headers = new Headers(options.headers)
    if (sent) headers.set('Content-Type', sent.type)
    if (options.ifMatch) headers.set('If-Match', options.ifMatch)
    if (method === 'POST') {
      headers.set('Idempotency-Key', options.idempotencyKey ?? crypto.randomUUID())
    }
    return this.#repeated(() => this.#once(method, url, headers, sent, options.signal), options)
  }

  async #repeated(send: () => Promise<Answer>, { signal }: Options): Promise<Answer> {
    let isLost = false
    for (let tries = 0; ; tries++) {
      signal?.throwIfAborted()
      try {
        return await send()
      } catch (error) {
        if (!(error instanceof BadgeKitError) || tries >= this.#settings.retries) throw error
        // The first try may still be at work when the second comes; the third is then answered as a repetition.
        const isOwn = isLost && error.status === 409
        isLost = error.status === 0 || error.status >= 502
        if (!isLost && !isOwn && !RETRIED.includes(error.status)) throw error
        const { retryAfter = Math.min(8, 0.25 * 2 ** tries) } = error
        if (retryAfter > LONGEST_WAIT) throw error
        await wait(retryAfter * 1000 * (1 + Math.random() / 4), signal)
      }
    }
  }

  async #once(
    method: string,
    url: URL,
    headers: Headers,
    body: Body | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Answer> {
    const { secret, timeout, fetch = globalThis.fetch } = this.#settings
    if (secret !== undefined) {
      // Anew for each try: a token ends.
      const token = await this.#token(secret, method, url.pathname + url.search, body)
      headers.set('Authorization', `JWT token="${token}"`)
    }
    signal?.throwIfAborted()
    const stop = new AbortController()
    const timer = setTimeout(() => stop.abort(new Error(`No answer within ${timeout} ms`)), timeout)
    const abort = () => stop.abort(signal?.reason)
    signal?.addEventListener('abort', abort)
    try {
      const init = { method, headers, signal: stop.signal, redirect: 'manual' } as const
      const response = await fetch(url, { ...init, body: body?.bytes })
      return answerOf(response, await response.text())
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof BadgeKitError) throw error
      const code = stop.signal.aborted ? 'TimeoutError' : 'NetworkError'
      const cause = stop.signal.aborted ? stop.signal.reason : error
      throw new BadgeKitError({ code, status: 0, message: String(cause?.message ?? cause), cause })
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
  }

  async #token(secret: string, method: string, path: string, body: Body | undefined) {
    const claims = {
      key: this.#settings.key,
      method,
      path,
      exp: Math.floor(Date.now() / 1000) + 60,
      ...(body && { body: { alg: 'sha256', hash: await sha256(body.bytes) } }),
    }
    const parts = [{ typ: 'JWT', alg: 'HS256' }, claims]
    const text = parts.map((part) => base64url(utf8(JSON.stringify(part)))).join('.')
    this.#signingKey ??= hmacKey(utf8(secret))
    const mac = await crypto.subtle.sign(ALGORITHM, await this.#signingKey, utf8(text))
    return `${text}.${base64url(new Uint8Array(mac))}`
  }
}

/** The client with all its routes. */
export type BadgeKit = Routes & Pick<Client, 'request'>
export const BadgeKit = Client as unknown as new (settings: Settings) => BadgeKit

async function encoded(body: unknown): Promise<Body> {
  if (body instanceof FormData || body instanceof URLSearchParams) {
    const request = new Response(body)
    const type = request.headers.get('Content-Type') ?? ''
    return { bytes: new Uint8Array(await request.arrayBuffer()), type }
  }
  return { bytes: utf8(JSON.stringify(body)), type: 'application/json' }
}

function answerOf(response: Response, text: string): Answer {
  const { status, headers } = response
  const body = /json/.test(headers.get('Content-Type') ?? '') ? parsed(text) : text
  if (status < 400) return { status, headers, body }
  const told = (body ?? {}) as { code?: ErrorCode; message?: string; [name: string]: unknown }
  const after = Number(headers.get('Retry-After') ?? Number.NaN)
  throw new BadgeKitError({
    ...told,
    code: told.code ?? 'UnreadableAnswer',
    message: told.message ?? `The answer was ${status} and no JSON`,
    status,
    requestId: headers.get('X-Request-Id') ?? undefined,
    retryAfter: Number.isNaN(after) ? undefined : after,
  })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new BadgeKitError({
      code: 'UnreadableAnswer',
      message: 'The answer broke off',
      status: 0,
      cause,
    })
  }
}

const wait = (milliseconds: number, signal: AbortSignal | undefined) =>
  new Promise<void>((done, fail) => {
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      done()
    }, milliseconds)
    const stop = () => {
      clearTimeout(timer)
      fail(signal?.reason)
    }
    signal?.addEventListener('abort', stop, { once: true })
  })

/** A path as far as it is named: a member is its next word, a call its next name, a method sends it. */
function pathProxy(client: Client, path: string): unknown {
  return new Proxy(() => path, {
    get(_target, word) {
      // Whoever awaits a path that is not sent must not be sent on for ever.
      if (typeof word !== 'string' || word === 'then') return undefined
      if (path === '' && word === 'request') return client.request.bind(client)
      if (METHODS.includes(word)) return call(client, word, path)
      const segment = word.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
      return pathProxy(client, `${path}/${segment}`)
    },
    apply: (_target, _this, [name]) => pathProxy(client, `${path}/${segmentOf(name)}`),
  })
}

function segmentOf(name: unknown): string {
  const text = String(name ?? '')
  // No URL can name these as words of a path: it would become another.
  if (text === '' || text === '.' || text === '..') throw new TypeError(`No name: "${text}"`)
  return encodeURIComponent(text)
}

const call = (client: Client, method: string, path: string) => (given?: Query, options?: Options) =>
  method === 'list'
    ? pagesOf(client, path, given, options)
    : client
        .request(method.toUpperCase(), path, {
          ...options,
          ...(method === 'get' || method === 'delete' ? { query: given } : { body: given ?? {} }),
        })
        .then(({ body }) => body)

function pagesOf(client: Client, path: string, query: Query = {}, options: Options = {}) {
  async function* pages() {
    const position = path.endsWith('/events') ? 'after' : 'cursor'
    let asked: Query | undefined = { limit: 100, ...query }
    while (asked) {
      const { headers, body } = await client.request('GET', path, { ...options, query: asked })
      const page = body as Query
      yield page
      const next: unknown = nextOf(headers.get('Link')) ?? page.next
      const isOver: boolean = typeof next !== 'string' || next === asked[position]
      asked = isOver ? undefined : { ...asked, [position]: next }
    }
  }
  return {
    pages,
    async *[Symbol.asyncIterator]() {
      for await (const page of pages()) yield* Object.values(page).find(Array.isArray) ?? []
    },
  }
}

/** The cursor of `Link: <…?cursor=…>; rel="next"`. */
function nextOf(link: string | null): string | undefined {
  const [, target] = /<([^>]+)>;\s*rel="next"/.exec(link ?? '') ?? []
  return target && (new URL(target, 'http://_').searchParams.get('cursor') ?? undefined)
}

// ── Webhooks ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** What a webhook of the format `badgekit-1` is sent. */
export type Message =
  | {
      action: 'award'
      uid: string
      badge: Badge
      email: string
      assertionUrl: string
      /** Unix seconds. */
      issuedOn: number
      comment: string | null
    }
  | { action: 'revoke'; uid: string; badge: Badge; email: string }
  | { action: 'review'; application: Application; review: Review; approved: boolean }
  | { action: 'ping'; webhook: number }

export type ReceivedHeaders = Headers | Record<string, string | string[] | undefined>

/** A message that is not from the service, or came too late. */
export class WebhookError extends Error {
  override readonly name = 'WebhookError'
}

/**
 * Checks who sent a message, and reads it: a `Message`, or an `Event` of a webhook of the format `events-1`. Give the body as it
 * came, before any JSON parser has touched it. A message can come twice: `webhook-id` tells.
 *
 * `webhook-signature` is checked, and that the message is new. Receivers that know the original's `Authorization` alone
 * ask for it with `scheme`: it has no time in it.
 *
 * @param secret the webhook's, or several while it is replaced
 * @throws {WebhookError}
 */
export async function verifyWebhook<Sent extends Message | Event = Message | Event>(
  request: { headers: ReceivedHeaders; body: string | Uint8Array },
  secret: string | readonly string[],
  {
    scheme = 'webhook-signature',
    tolerance = 300,
  }: {
    scheme?: 'webhook-signature' | 'authorization'
    /** Seconds that a message may be old or early. */
    tolerance?: number
  } = {},
): Promise<Sent> {
  const secrets = [secret].flat().filter((one) => one !== '')
  if (secrets.length === 0) throw new TypeError('There is no secret to check the message with')
  const header = reader(request.headers)
  const body = typeof request.body === 'string' ? utf8(request.body) : new Uint8Array(request.body)
  const isSigned =
    scheme === 'authorization'
      ? await isSignedAsBefore(header, body, secrets)
      : await isSignedByStandard(header, body, secrets, tolerance)
  if (!isSigned) throw new WebhookError('The message is not signed by this secret')
  return JSON.parse(new TextDecoder().decode(body))
}

const reader = (headers: ReceivedHeaders) => (name: string) => {
  if (headers instanceof Headers) return headers.get(name) ?? ''
  const found = Object.entries(headers).find(([given]) => given.toLowerCase() === name)
  return String(found?.[1] ?? '')
}

type Reader = ReturnType<typeof reader>

async function isSignedByStandard(
  header: Reader,
  body: Uint8Array<ArrayBuffer>,
  secrets: string[],
  tolerance: number,
): Promise<boolean> {
  const time = header('webhook-timestamp')
  const isNew = Math.abs(Date.now() / 1000 - Number(time || Number.NaN)) <= tolerance
  if (!isNew) throw new WebhookError('The message is too old, or its time is missing')
  const start = utf8(`${header('webhook-id')}.${time}.`)
  const signed = new Uint8Array(start.length + body.length)
  signed.set(start)
  signed.set(body, start.length)
  const given = header('webhook-signature').split(' ')
  const signatures = given.filter((one) => one.startsWith('v1,')).map((one) => one.slice(3))
  return isAny(secrets.map(standardKey), signatures, signed)
}

/** The bytes after `whsec_`; of any other secret its text. */
function standardKey(secret: string) {
  if (!secret.startsWith('whsec_')) return utf8(secret)
  const key = bytesOf(secret.slice('whsec_'.length))
  return key && key.length > 0 ? key : utf8(secret)
}

async function isSignedAsBefore(
  header: Reader,
  body: Uint8Array<ArrayBuffer>,
  secrets: string[],
): Promise<boolean> {
  const token = /^JWT token="([\w-]+)\.([\w-]+)\.([\w-]+)"$/.exec(header('authorization'))
  if (!token) return false
  const [, head = '', payload = '', mac = ''] = token
  if (!(await isAny(secrets.map(utf8), [mac], utf8(`${head}.${payload}`)))) return false
  const claims = JSON.parse(new TextDecoder().decode(fromBase64(payload)))
  return claims.body?.hash === (await sha256(body))
}

/** Whether any of the signatures is that of any of the keys; compared in constant time. */
async function isAny(
  keys: Uint8Array<ArrayBuffer>[],
  signatures: string[],
  signed: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  const macs = signatures.map(bytesOf).filter((mac) => mac !== undefined)
  for (const key of keys) {
    const imported = await hmacKey(key)
    for (const mac of macs) {
      if (await crypto.subtle.verify(ALGORITHM, imported, mac, signed)) return true
    }
  }
  return false
}

function bytesOf(text: string) {
  try {
    return fromBase64(text)
  } catch {
    return undefined
  }
}
