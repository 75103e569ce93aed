import type { Context } from 'hono'
import type { Bindings, Env } from './env'
import { routedPath } from './paths'

/** The forms in which a public document is given. JSON has one, whatever media type it is given as. */
export type Form = 'json' | 'html' | 'image' | 'baked' | 'token'

/** The forms in which what stands at a path may be kept. */
function formsOf(path: string): Form[] {
  // Images beside these never change.
  if (!/^\/(?:public\/v\d|issuers|\.well-known)\//.test(path)) return ['json', 'html']
  if (path.endsWith('/image')) return ['baked']
  return path.endsWith('.jwt') ? ['token'] : ['json']
}

/** Seconds for which a copy may be used: a revocation shows everywhere within them. */
const MAX_AGE = 60

/**
 * Gives a public document from the nearest cache, or makes it and keeps it there. The key is our own origin, the path and the
 * form chosen by us, as the cache ignores `Vary`; a hit costs no look-up. What is not 200 or 410 is never kept.
 */
export async function cached(
  c: Context<Env>,
  form: Form,
  make: () => Promise<Response>,
): Promise<Response> {
  const key = keyOf(c.env, routedPath(c.req.raw), form)
  const hit = await caches.default.match(key)
  if (hit) return asKept(hit)
  const made = await make()
  if (made.status !== 200 && made.status !== 410) return made
  if (made.headers.get('Cache-Control') === 'no-store') return made
  if (form !== 'image') {
    made.headers.set('Cache-Control', `public, max-age=${MAX_AGE}, must-revalidate`)
    made.headers.set('Vary', 'Accept')
  }
  const kept = made.clone()
  const headers = new Headers(kept.headers)
  headers.set(STATUS, String(made.status))
  c.executionCtx.waitUntil(caches.default.put(key, new Response(kept.body, { headers })))
  return made
}

/** Drops all forms of public documents that a write has made untrue. */
export async function forget(env: Bindings, paths: readonly string[]): Promise<void> {
  await Promise.all(
    paths.flatMap((path) =>
      formsOf(path).map((form) => caches.default.delete(keyOf(env, path, form))),
    ),
  )
}

/** The platform's cache keeps every status alike only when it is told 200; the real one travels in a header. */
const STATUS = 'X-Kept-Status'

function asKept(hit: Response): Response {
  const headers = new Headers(hit.headers)
  const status = Number(headers.get(STATUS) ?? 200)
  headers.delete(STATUS)
  return new Response(hit.body, { status, headers })
}

const keyOf = (env: Bindings, path: string, form: Form) =>
  `${env.PUBLIC_ORIGIN}${path}?form=${form}`
