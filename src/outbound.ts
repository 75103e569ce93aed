import type { Bindings } from './env'
import { readUpTo } from './streams'
import { ownHosts } from './urls'

/** Where the Worker may call: `ownHosts` are its own, `host` or `host:port`. */
type Options = {
  /** Local development: http, any port and this machine's loopback hosts are allowed as well. */
  allowLocal: boolean
  ownHosts: string[]
}

/** What came back, the start of it without email addresses and tokens; or why nothing did. */
export type Answer =
  | { status: number; answer: string; retryAfter: string | null; ms: number }
  | { error: 'refused' | 'timeout' | 'network'; ms: number }

/** What a GET brought: the whole body, or where it is said to be instead; or why nothing came. */
export type Fetched =
  | { status: number; type: string; bytes: Uint8Array<ArrayBuffer>; location: string | null }
  | { error: 'refused' | 'timeout' | 'network' | 'too long' }

const MAX_URL = 2000
const MAX_READ = 16 * 1024
const MAX_KEPT = 1024
/** Longest email address: read past the cut, so that none is cut in two and missed. */
const MAX_EMAIL = 320
/** A compact JWS: our own, when a receiver sends back what it was sent. */
const TOKEN = /[\w-]{16,}\.[\w-]{16,}\.[\w-]{16,}/g

// biome-ignore lint/suspicious/noControlCharactersInRegex: the parser would silently drop some
const UNSAFE_IN_URL = /[\s\\\u0000-\u001f\u007f-\u009f]/
const DNS_LABEL = /^[a-z\d_-]{1,63}$/
const IPV4 = /^\d+(?:\.\d+){3}$/
/** Names that are special-use or lead into private networks; home.arpa is below arpa. */
const RESERVED = new Set('localhost local internal arpa onion test invalid example'.split(' '))

/** What this Worker may call: http and loopback receivers only in a local build, when asked for. */
export const allowedTargets = (env: Bindings): Options => ({
  allowLocal: LOCAL_DEV ? env.ALLOW_LOCAL_WEBHOOKS === '1' : false,
  ownHosts: ownHosts(env),
})

/**
 * Says why the Worker must not call `url`, or null when it may: an https URL of a public DNS name
 * on the default port. Private networks are out of reach in production, but not where this runs
 * locally or self-hosted. The raw text is checked for what the parser would drop or turn into a
 * slash; everything else is judged as parsed, because the parser knows every spelling of an
 * address (`0x7f.1`, `2130706433`, `①②⑦.1`). Checked when a URL is registered and before each call.
 */
export function refuseTarget(url: string, options: Options): string | null {
  if (url.length > MAX_URL) return `A URL may be ${MAX_URL} characters long at most`
  if (UNSAFE_IN_URL.test(url))
    return 'A URL may not contain spaces, backslashes or control characters'
  if (!URL.canParse(url)) return 'Not an absolute URL'
  const { protocol, username, password, href, port, host, hostname } = new URL(url)
  const isHttp = protocol === 'http:' && options.allowLocal
  if (protocol !== 'https:' && !isHttp) return 'Only https URLs are called'
  if (username !== '' || password !== '') return 'A URL may not contain credentials'
  if (href.includes('#')) return 'A URL may not contain a fragment'
  if (port !== '' && !options.allowLocal) return 'Only port 443 is called'
  const name = withoutDot(hostname)
  const own = options.ownHosts.map(normalHost)
  if (own.includes(name) || own.includes(withoutDot(host)))
    return 'This service does not call itself'
  return options.allowLocal && isLoopback(name) ? null : refuseHost(name)
}

/**
 * POSTs to a URL that `refuseTarget` allows, following no redirect, and never throws. One timeout
 * covers the headers and the body of the answer. Once a status has arrived it stands, even when
 * the rest of the answer is late or cut off: the receiver has had the message.
 */
export async function post(
  url: string,
  init: {
    headers: Record<string, string>
    body: string | Uint8Array<ArrayBuffer>
    timeoutMs: number
  },
  options: Options,
): Promise<Answer> {
  const started = Date.now()
  if (refuseTarget(url, options) !== null) return { error: 'refused', ms: 0 }
  let signal: AbortSignal | undefined
  try {
    const { headers, body, timeoutMs } = init
    signal = AbortSignal.timeout(timeoutMs)
    const response = await fetch(url, { method: 'POST', redirect: 'manual', headers, body, signal })
    const answer = await readStart(response)
    const retryAfter = response.headers.get('Retry-After')
    return { status: response.status, answer, retryAfter, ms: Date.now() - started }
  } catch {
    return { error: signal?.aborted ? 'timeout' : 'network', ms: Date.now() - started }
  }
}

/**
 * GETs a URL that `refuseTarget` allows, and never throws. A redirect is not followed: who follows it asks here again, so that
 * it too is judged. One timeout covers the headers and the body, and of that no more than `limit` bytes are taken.
 */
export async function get(
  url: string,
  init: { headers: Record<string, string>; timeoutMs: number; limit: number },
  options: Options,
): Promise<Fetched> {
  if (refuseTarget(url, options) !== null) return { error: 'refused' }
  const { headers, timeoutMs, limit } = init
  const signal = AbortSignal.timeout(timeoutMs)
  try {
    const response = await fetch(url, { redirect: 'manual', headers, signal })
    const bytes = response.body ? await readUpTo(response.body, limit) : new Uint8Array()
    if (!bytes) return { error: 'too long' }
    const location = response.headers.get('Location')
    const type = response.headers.get('Content-Type') ?? ''
    return { status: response.status, type, bytes, location }
  } catch {
    return { error: signal.aborted ? 'timeout' : 'network' }
  }
}

function refuseHost(name: string): string | null {
  if (name.startsWith('[') || IPV4.test(name)) return 'IP addresses are not called'
  const labels = name.split('.')
  const isName = name.length <= 253 && labels.every((label) => DNS_LABEL.test(label))
  if (!isName) return 'The host is not a DNS name'
  if (RESERVED.has(labels.at(-1) ?? '')) return 'Local and reserved hosts are not called'
  return labels.length < 2 ? 'The host must be a full domain name' : null
}

/** Whether a host's name, as a URL shows it, is this machine's own. */
export function isLoopback(name: string): boolean {
  if (name === '[::1]' || name === 'localhost' || name.endsWith('.localhost')) return true
  return IPV4.test(name) && name.startsWith('127.')
}

function normalHost(own: string): string {
  const url = `https://${own}`
  return withoutDot(URL.canParse(url) ? new URL(url).host : own.toLowerCase())
}

function withoutDot(host: string): string {
  return host.replace(/\.(?=:|$)/, '')
}

/** Reads at most 16 KB, so that a short answer ends by itself, and keeps its first kilobyte. */
async function readStart(response: Response): Promise<string> {
  const kept = new Uint8Array(MAX_KEPT + MAX_EMAIL)
  const reader = response.body?.getReader()
  let total = 0
  try {
    while (reader && total < MAX_READ) {
      const { done, value } = await reader.read()
      if (done) return withoutValues(kept.subarray(0, total))
      kept.set(value.subarray(0, Math.max(kept.length - total, 0)), Math.min(total, kept.length))
      total += value.length
    }
    await reader?.cancel()
  } catch {
    // Late or cut off: what has arrived is all there is.
  }
  return withoutValues(kept.subarray(0, total))
}

function withoutValues(bytes: Uint8Array): string {
  // `stream` leaves out a character that the cut went through.
  const text = new TextDecoder().decode(bytes, { stream: true }).replaceAll('\0', '\ufffd')
  // Word by word, which is linear; an address may be percent-encoded.
  const clean = text.replace(/[^\s<>()[\]"',;:]+/g, (word) =>
    /.(?:@|%40)./.test(word) ? '[email]' : word.replace(TOKEN, '[token]'),
  )
  const start = new TextEncoder().encode(clean).subarray(0, MAX_KEPT)
  return new TextDecoder().decode(start, { stream: true })
}
