import type { Context } from 'hono'
import { preferred } from './accept'
import type { Env } from './env'
import { ApiError } from './errors'
import { cached } from './publicCache'
import { openDb } from './store/db'

/** How public documents of Open Badges 2.0 and 3.0 are served: in the media type asked for, from the cache where they can be. */

/** The media types of a document's data, the usual one first. The bytes are the same in each. */
export type Types = readonly [string, ...string[]]
export const JSON_ONLY: Types = ['application/json']
export const LINKED: Types = ['application/ld+json', 'application/json']
/** What Open Badges 3.0 calls a credential, section 8, and what W3C has registered since. */
export const CREDENTIAL: Types = [
  'application/vc+ld+json',
  'application/vc',
  'application/ld+json',
  'application/json',
]
export const TOKEN: Types = ['text/plain', 'application/vc+jwt', 'application/jwt']
export const DID: Types = ['application/did+json', 'application/did+ld+json', ...LINKED]
export const JWK: Types = ['application/jwk+json', 'application/json']
export const JWK_SET: Types = ['application/jwk-set+json', 'application/json']

const HTML = 'text/html'

export type Document = {
  json: object
  /** Whether what it is about has ended: 410. */
  gone?: boolean
  /** Whether it may change at any moment: it is not kept. */
  fresh?: boolean
}

type Served = {
  types: Types
  make: () => Promise<Document>
  /** The address of the page that a person is shown instead. */
  page?: () => Promise<string>
}

/** Answers with a document, or leads to its page whoever would rather have that. */
export async function serve(c: Context<Env>, { types, make, page }: Served): Promise<Response> {
  const accept = c.req.header('Accept')
  const offered: Types = page && c.req.query('as') !== 'json' ? [...types, HTML] : types
  const type = preferred(accept, offered)
  if (type === HTML && page) {
    const location = await atPrimaryIfMissing(c, page)
    c.header('Vary', 'Accept')
    return c.redirect(location, 302)
  }
  const response = await cached(c, 'json', async () => {
    const { json, gone, fresh } = await atPrimaryIfMissing(c, make)
    const headers = fresh ? { 'Cache-Control': 'no-store' } : undefined
    return c.json(json, gone ? 410 : 200, headers)
  })
  return typed(response, type)
}

/** The same bytes under another name. */
export function typed(response: Response, type: string): Response {
  response.headers.set('Content-Type', type === 'text/plain' ? 'text/plain; charset=UTF-8' : type)
  return response
}

/** A replica may not know yet what was made a moment ago: what is missing there is asked for once more at the primary. */
export async function atPrimaryIfMissing<T>(c: Context<Env>, make: () => Promise<T>): Promise<T> {
  try {
    return await make()
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 404 || c.var.db.spent.atPrimary)
      throw error
    atPrimary(c)
    return make()
  }
}

/** From here on the request asks the primary: what is to be written must not stand on what is past. */
export function atPrimary(c: Context<Env>): Env['Variables']['db'] {
  const db = openDb(c.env.DB, 'first-primary')
  c.set('db', db)
  return db
}
