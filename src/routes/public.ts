import { type Context, Hono } from 'hono'
import { cors } from 'hono/cors'
import * as z from 'zod'
import openapi from '../../docs/openapi.json'
import { prefersHtml } from '../accept'
import { atPrimaryIfMissing } from '../documents'
import type { Env } from '../env'
import { ApiError } from '../errors'
import { levels, nearestFirst } from '../levels'
import { ListQuery, listOf, sendList } from '../lists'
import { cached } from '../publicCache'
import { everywhere, type In, inBadge, inContainer } from '../scope'
import { about, query } from '../spec'
import { type BadgeRow, listEarnable, listPublicBadges } from '../store/badges'
import { findChain, type NestedContainer } from '../store/containers'
import { findImage } from '../store/images'
import { findPublicInstance } from '../store/instances'
import { badgePath, publicPath, type Slugs } from '../urls'
import { filter } from '../values'
import { type ApiDescription, DOCS_POLICY, docsPage } from '../views/docsPage'
import { viewAssertion, viewBadgeClass, viewIssuer, viewRevoked } from '../views/openbadges'
import {
  MAX_EARNABLE,
  pageOfAward,
  pageOfBadge,
  pageOfEnded,
  pageOfIssuer,
} from '../views/pageContents'
import {
  awardPage,
  badgePage,
  endedPage,
  issuerPage,
  notFoundPage,
  PAGE_POLICY,
} from '../views/pages'

/** Clients of the original demand at least its last version, `0.2.22`. */
export const VERSION = '0.3.0'
const STATUS = { app: 'BadgeKit API', version: VERSION }
const Status = z.object({ app: z.string(), version: z.string() })
const Document = z.looseObject({ '@context': z.string(), type: z.string(), id: z.string() })

const DAY = 86_400
const OPEN = { open: true } as const

/** A document's two forms. `gone` makes both of them 410. */
type Forms = { json: unknown; html: () => string; gone?: boolean }

/** A handler that answers with the form that the caller prefers, from the cache where it can. */
function document<E extends Env, P extends string>(
  make: (c: Context<E, P>, wantsPage: boolean) => Promise<Forms>,
) {
  return (given: Context<E, P>): Promise<Response> => {
    // The route's own context, seen as every request's: `Context` is invariant in its variables.
    const c = given as unknown as Context<Env>
    const wantsPage = c.req.query('as') !== 'json' && prefersHtml(c.req.header('Accept'))
    return cached(c, wantsPage ? 'html' : 'json', async () => {
      try {
        const { json, html, gone } = await atPrimaryIfMissing(c, () => make(given, wantsPage))
        const status = gone ? 410 : 200
        return wantsPage ? page(c, html(), status) : c.json(json as object, status)
      } catch (error) {
        const isMissing = error instanceof ApiError && error.status === 404
        if (wantsPage && isMissing) return page(c, notFoundPage(), 404)
        throw error
      }
    })
  }
}

const page = (c: Context<Env>, html: string, status: 200 | 404 | 410) =>
  c.html(html, status, {
    'Content-Security-Policy': PAGE_POLICY,
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
  })

/** The documentation, made when it is first asked for: its source is a part of the build. */
let docs: string | undefined

/** What anyone may read; nothing here asks for a signature. */
export const publicRoutes = new Hono<Env>()
  .use('/public/*', cors({ origin: '*', allowMethods: ['GET', 'HEAD'] }))
  .use('/images/*', cors({ origin: '*', allowMethods: ['GET', 'HEAD'] }))

  .get('/', about('Say which service answers', Status, OPEN), (c) => c.json(STATUS))
  .get('/healthcheck', about('Say that the service runs', Status, OPEN), (c) => c.json(STATUS))
  .get('/openapi.json', about('Describe this API', z.looseObject({}), OPEN), (c) => c.json(openapi))
  .get('/docs', about('Show how to use this API', undefined, OPEN), (c) => {
    docs ??= docsPage(openapi as unknown as ApiDescription)
    return c.html(docs, 200, {
      'Content-Security-Policy': DOCS_POLICY,
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
      'Cache-Control': 'public, max-age=300',
    })
  })

  .get(
    '/public/assertions/:instance',
    about('Show an assertion', Document, OPEN),
    document(async (c) => {
      const origin = c.env.PUBLIC_ORIGIN
      const [[row]] = await c.var.db.read(findPublicInstance(c.req.param('instance')))
      if (!row || (row.awardSlug === null && row.endedAt === null)) {
        throw new ApiError(404, 'ResourceNotFound', 'Could not find badge instance')
      }
      if (row.endedAt !== null) {
        const json = viewRevoked(
          row.awardSlug ?? c.req.param('instance'),
          row.revocationReason,
          origin,
        )
        return { json, html: () => endedPage(pageOfEnded(row, json.id, origin)), gone: true }
      }
      return {
        json: await viewAssertion(row, origin),
        html: () => awardPage(pageOfAward(row, origin, c.var.now)),
      }
    }),
  )

  .get(
    '/public/badges',
    about('List public badges', listOf('badgelist', z.object({ location: z.string() })), OPEN),
    query(ListQuery.extend({ archived: filter('archived', false) })),
    async (c) => {
      const list = listPublicBadges(c.req.valid('query').archived)
      const view = ({ slug, ...slugs }: Slugs & { slug: string }) => ({
        location: c.env.PUBLIC_ORIGIN + publicPath(badgePath(slugs, slug)),
      })
      return sendList(c, everywhere(c.var.db), () => ({ plural: 'badgelist', view }), list)
    },
  )

for (const path of ['/public/images/:image', '/images/:image'] as const) {
  publicRoutes.get(path, about('Show an image', undefined, OPEN), (c) =>
    serveImage(c, c.req.param('image')),
  )
}

for (const { path } of levels) {
  publicRoutes.get(
    `/public${path}/badges/:badge`,
    about('Show a badge class', Document, OPEN),
    inBadge,
    document<In<{ badge: BadgeRow }>, string>(async (c) => {
      const { badge } = await c.var.scope.with()
      const { slugs } = c.var.scope
      const origin = c.env.PUBLIC_ORIGIN
      return {
        json: viewBadgeClass(badge, slugs, origin),
        html: () => badgePage(pageOfBadge(badge, slugs, origin)),
      }
    }),
  )
  publicRoutes.get(
    `/public${path}`,
    about('Show an issuer', Document, OPEN),
    inContainer,
    document<In<object>, string>(async (c, wantsPage) => {
      const { scope } = c.var
      const { rows } = await scope.with(
        findChain(scope.container),
        // Only people are shown them.
        listEarnable(scope.container, wantsPage ? MAX_EARNABLE + 1 : 0),
      )
      const chain = rows[0][0] ? nearestFirst<NestedContainer>(rows[0][0]) : []
      const origin = c.env.PUBLIC_ORIGIN
      return {
        json: viewIssuer(chain, scope.slugs, origin),
        html: () => issuerPage(pageOfIssuer(chain, rows[1], scope.slugs, origin)),
      }
    }),
  )
}

/** An image's bytes with their real type, or the way to them (contract §3.6). Its slug changes with its content. */
async function serveImage(c: Context<Env>, slug: string): Promise<Response> {
  return cached(c, 'image', async () => {
    const [[image]] = await c.var.db.read(findImage(slug))
    if (!image) throw new ApiError(404, 'ResourceNotFound', `Could not find image ${slug}`)
    if (image.url !== null) return c.json({ location: image.url }, 301, { Location: image.url })
    return c.body(new Uint8Array(image.data ?? []), 200, {
      'Content-Type': image.mimetype ?? 'application/octet-stream',
      'X-Content-Type-Options': 'nosniff',
      'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'; sandbox",
      'Cache-Control': `public, max-age=${365 * DAY}, immutable`,
    })
  })
}
