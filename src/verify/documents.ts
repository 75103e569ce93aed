import type { Bindings } from '../env'
import { readJson } from '../fields'
import { allowedTargets, type Fetched, get } from '../outbound'
import { readUpTo } from '../streams'
import { ownHosts } from '../urls'
import type { Json } from './json'

/** The Worker itself, asked without a network. */
export type Own = (request: Request) => Promise<Response>

/** What stands at an address: a document, in bytes; that it is no more; that there is none; or that nobody can say. */
export type Found =
  | { kind: 'found'; type: string; bytes: Uint8Array<ArrayBuffer> }
  | { kind: 'gone'; bytes: Uint8Array<ArrayBuffer> }
  | { kind: 'missing' | 'unreachable' }

/** The documents that one verification looks at: each once, and not many. */
export type Documents = { find(url: string): Promise<Found> }

/** For all that one credential needs, redirects among them. */
const MAX_FETCHES = 8
const TIMEOUT = 10_000
const MAX_BYTES = 512 * 1024

const HEADERS = {
  Accept:
    'application/ld+json, application/vc+ld+json, application/did+json, application/json, image/png, image/svg+xml, text/plain;q=0.5',
  'User-Agent': 'BadgeKit-API',
}

/** Fetches for one verification. Our own documents are not asked for over the network, where the Worker would call itself. */
export function documentsOf(env: Bindings, own: Own): Documents {
  const known = new Map<string, Promise<Found>>()
  const targets = allowedTargets(env)
  let left = MAX_FETCHES

  async function load(url: string): Promise<Found> {
    if (left-- <= 0) return { kind: 'unreachable' }
    const path = ownPath(url, env)
    const fetched =
      path === null
        ? await get(url, { headers: HEADERS, timeoutMs: TIMEOUT, limit: MAX_BYTES }, targets)
        : await answerOf(own(new Request(env.PUBLIC_ORIGIN + path, { headers: HEADERS })))
    const next = 'error' in fetched ? null : redirectOf(fetched, url)
    // Counted like any other, so that no circle of redirects goes on for ever.
    return next ? load(next) : foundIn(fetched)
  }

  function find(url: string): Promise<Found> {
    const found = known.get(url) ?? load(url)
    known.set(url, found)
    return found
  }
  return { find }
}

/** The path of a URL of ours; whatever its scheme, as a DID names none. */
function ownPath(url: string, env: Bindings): string | null {
  if (!URL.canParse(url)) return null
  const { host, pathname, search } = new URL(url)
  return ownHosts(env).includes(host) ? pathname + search : null
}

async function answerOf(answer: Promise<Response>): Promise<Fetched> {
  const { status, headers, body } = await answer
  const bytes = body ? await readUpTo(body, MAX_BYTES) : new Uint8Array()
  if (!bytes) return { error: 'too long' }
  const type = headers.get('Content-Type') ?? ''
  return { status, type, bytes, location: headers.get('Location') }
}

type Answered = Exclude<Fetched, { error: string }>

function redirectOf({ status, location }: Answered, url: string): string | null {
  const isRedirect = status >= 300 && status < 400 && location !== null
  return isRedirect && URL.canParse(location, url) ? new URL(location, url).href : null
}

function foundIn(fetched: Fetched): Found {
  if ('error' in fetched) return { kind: 'unreachable' }
  const { status, type, bytes } = fetched
  if (status === 410) return { kind: 'gone', bytes }
  if (status >= 200 && status < 300) return { kind: 'found', type, bytes }
  // 429 and the like pass: they say nothing of the document.
  return { kind: status === 404 ? 'missing' : 'unreachable' }
}

/** The JSON object of bytes that came from anywhere; null when they are none. */
export function jsonIn(bytes: Uint8Array): Json | null {
  try {
    return readJson(bytes) as Json
  } catch {
    return null
  }
}

/** The JSON object at an address. */
export async function findJson(
  documents: Documents,
  url: string,
): Promise<{ kind: 'found'; json: Json } | { kind: 'gone' | 'missing' | 'unreachable' }> {
  const found = await documents.find(url)
  if (found.kind !== 'found') return { kind: found.kind }
  const json = jsonIn(found.bytes)
  return json ? { kind: 'found', json } : { kind: 'missing' }
}
