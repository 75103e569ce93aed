import { type Context, Hono } from 'hono'
import { cors } from 'hono/cors'
import * as z from 'zod'
import { preferred } from '../accept'
import { bake } from '../bake'
import {
  atPrimary,
  atPrimaryIfMissing,
  CREDENTIAL,
  DID,
  type Document,
  JWK,
  JWK_SET,
  LINKED,
  serve,
  TOKEN,
  typed,
} from '../documents'
import type { Env } from '../env'
import { ApiError } from '../errors'
import { nearestFirst } from '../levels'
import { cached } from '../publicCache'
import { credentialToken, currentList, provenCredential, provenList, signed } from '../signing'
import { about } from '../spec'
import { type BadgeRow, findBadgeByUid } from '../store/badges'
import { findIssuerByUid, type NestedContainer } from '../store/containers'
import {
  type AwardRow,
  findAwardImage,
  findAwards,
  isSigned,
  type SignedAward,
} from '../store/credentials'
import { findSigningKey, keysOf, publicKeys } from '../store/signingKeys'
import {
  achievementPath,
  assertion2Path,
  assertionPath,
  badge2Path,
  badgePath,
  containerPath,
  credentialPath,
  issuer2Path,
  JWKS_PATH,
  publicPath,
} from '../urls'
import { slugsOf } from '../views/openbadges'
import { viewAssertion2, viewBadgeClass2, viewEnded2, viewIssuer2 } from '../views/openbadges2'
import { viewAchievement, viewEnded3 } from '../views/openbadges3'
import { viewDid, viewJwk, viewJwks } from '../views/signingKeys'

const OPEN = { open: true } as const
const Linked = z.looseObject({ '@context': z.unknown(), id: z.string() })
const Jwk = z.looseObject({ kty: z.string() })
const Jwks = z.object({ keys: z.array(Jwk) })

const missing = (what: string) => new ApiError(404, 'ResourceNotFound', `Could not find ${what}`)

/** Open Badges 2.0 and 3.0, by permanent ids; with all that a verifier needs to check them. */
export const openBadges = new Hono<Env>()
  .use('/issuers/*', cors({ origin: '*', allowMethods: ['GET', 'HEAD'] }))
  .use('/.well-known/*', cors({ origin: '*', allowMethods: ['GET', 'HEAD'] }))

  // ── 2.0 ──
  .get('/public/v2/assertions/:instance', about('Show an assertion (2.0)', Linked, OPEN), (c) =>
    serve(c, {
      types: LINKED,
      page: async () => c.env.PUBLIC_ORIGIN + assertionPath(c.req.param('instance')),
      make: () => assertion(c, c.req.param('instance')),
    }),
  )
  .get(
    '/public/v2/assertions/:instance/image',
    about('Show an image that carries an assertion (2.0)', undefined, OPEN),
    (c) =>
      serveImage(c, c.req.param('instance'), '2.0', async (award) => ({
        json: await viewAssertion2(award, c.env.PUBLIC_ORIGIN),
        url: c.env.PUBLIC_ORIGIN + assertion2Path(award.slug),
      })),
  )
  .get('/public/v2/badges/:badgeUid', about('Show a badge class (2.0)', Linked, OPEN), (c) =>
    serveBadge(c, c.req.param('badgeUid'), {
      path: badge2Path,
      view: viewBadgeClass2,
      ended: (id) => viewEnded2('BadgeClass', id),
    }),
  )
  .get('/public/v2/issuers/:issuerUid', about('Show an issuer (2.0)', Linked, OPEN), (c) =>
    serve(c, {
      types: LINKED,
      page: () => pageOfIssuer(c, c.req.param('issuerUid')),
      make: async () => {
        const { PUBLIC_ORIGIN: origin, CONTACT_EMAIL: contact } = c.env
        const uid = c.req.param('issuerUid')
        const chain = await findIssuer(c, uid)
        if (chain) return { json: viewIssuer2(chain, origin, contact || undefined) }
        return { json: viewEnded2('Issuer', origin + issuer2Path(uid)), gone: true }
      },
    }),
  )

  // ── 3.0 ──
  .get(
    '/public/v3/credentials/:instance',
    about('Show a credential (3.0): JSON, or with `.jwt` behind it a token', Linked, OPEN),
    (c) => {
      const asked = c.req.param('instance')
      if (asked.endsWith('.jwt')) return serveToken(c, asked)
      return serve(c, {
        types: CREDENTIAL,
        page: async () => c.env.PUBLIC_ORIGIN + assertionPath(asked),
        make: () => credential(c, [asked]),
      })
    },
  )
  .get(
    '/public/v3/credentials/:instance/image',
    about('Show an image that carries a credential (3.0)', undefined, OPEN),
    (c) =>
      serveImage(c, c.req.param('instance'), '3.0', async (award) => {
        const proven = await signedAward(c, award)
        return proven && { json: await provenCredential(proven, c.env.PUBLIC_ORIGIN) }
      }),
  )
  .get('/public/v3/achievements/:badgeUid', about('Show an achievement (3.0)', Linked, OPEN), (c) =>
    serveBadge(c, c.req.param('badgeUid'), {
      path: achievementPath,
      view: viewAchievement,
      ended: (id) => viewEnded3(['Achievement'], id),
    }),
  )
  .get('/public/v3/status/:list', about('Show a status list (3.0)', Linked, OPEN), (c) =>
    serve(c, {
      types: CREDENTIAL,
      make: async () => {
        const list = await currentList(
          c.var.db,
          () => atPrimary(c),
          c.env,
          c.req.param('list'),
          c.var.now,
        )
        if (!list) throw missing('status list')
        return { json: provenList(list, c.env.PUBLIC_ORIGIN) }
      },
    }),
  )
  .get('/public/v3/keys/:thumbprint', about('Show a public key (3.0)', Jwk, OPEN), (c) =>
    serve(c, {
      types: JWK,
      make: async () => {
        const thumbprint = c.req.param('thumbprint')
        const [[key]] = await c.var.db.read(findSigningKey(thumbprint))
        if (!key) throw missing('key')
        return { json: viewJwk(key.publicKey, thumbprint, c.env.PUBLIC_ORIGIN) }
      },
    }),
  )
  .get('/issuers/:issuerUid/did.json', about('Show a DID document', Linked, OPEN), (c) =>
    serve(c, {
      types: DID,
      make: async () => {
        const uid = c.req.param('issuerUid')
        const [keys, [issuer]] = await c.var.db.read(keysOf(uid), findIssuerByUid(uid))
        // The keys of who is gone stay; who has none yet may have some at any moment.
        if (keys.length === 0 && issuer?.endedAt !== null) throw missing('issuer')
        return { json: viewDid(uid, keys, c.env.PUBLIC_ORIGIN), fresh: keys.length === 0 }
      },
    }),
  )
  .get(JWKS_PATH, about('List the public keys of all issuers', Jwks, OPEN), (c) =>
    serve(c, {
      types: JWK_SET,
      make: async () => {
        const [keys] = await c.var.db.read(publicKeys)
        return { json: viewJwks(keys, c.env.PUBLIC_ORIGIN) }
      },
    }),
  )

// ── Awards ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The first of these slugs that is an award's, or was. */
async function findAward(c: Context<Env>, slugs: readonly string[]): Promise<AwardRow> {
  const [rows] = await c.var.db.read(findAwards(slugs))
  return known(rows)
}

function known(rows: readonly AwardRow[]): AwardRow {
  const row = rows.find(({ awardId, endedAt }) => awardId !== null || endedAt !== null)
  if (!row) throw missing('badge instance')
  return row
}

async function assertion(c: Context<Env>, slug: string): Promise<Document> {
  const award = await findAward(c, [slug])
  if (award.endedAt !== null) return ended(award, c.env.PUBLIC_ORIGIN, '2.0')
  return { json: await viewAssertion2(award, c.env.PUBLIC_ORIGIN) }
}

function ended({ slug, revocationReason }: AwardRow, origin: string, version: Version): Document {
  const json =
    version === '2.0'
      ? viewEnded2('Assertion', origin + assertion2Path(slug), revocationReason)
      : viewEnded3(
          ['VerifiableCredential', 'OpenBadgeCredential'],
          origin + credentialPath(slug),
          revocationReason,
        )
  return { json, gone: true }
}

/** An award as it was signed, signed now if nobody has done so; null when it has ended meanwhile. */
async function signedAward(c: Context<Env>, award: AwardRow): Promise<SignedAward | null> {
  const row = isSigned(award) ? award : await signed(atPrimary(c), c.env, award, c.var.now)
  return row.endedAt === null && isSigned(row) ? row : null
}

async function credential(c: Context<Env>, slugs: readonly string[]): Promise<Document> {
  const origin = c.env.PUBLIC_ORIGIN
  const award = await findAward(c, slugs)
  const proven = award.endedAt === null ? await signedAward(c, award) : null
  return proven ? { json: await provenCredential(proven, origin) } : ended(award, origin, '3.0')
}

const SUFFIX = '.jwt'

/** A credential as a token. An award may have a slug that ends as tokens' addresses do: then it is that one's credential. */
function serveToken(c: Context<Env>, asked: string): Promise<Response> {
  const origin = c.env.PUBLIC_ORIGIN
  const type = preferred(c.req.header('Accept'), TOKEN)
  return cached(c, 'token', () =>
    atPrimaryIfMissing(c, async () => {
      const award = await findAward(c, [asked, asked.slice(0, -SUFFIX.length)])
      const proven = award.endedAt === null ? await signedAward(c, award) : null
      if (!proven) return c.json(ended(award, origin, '3.0').json, 410)
      return proven.asked === asked
        ? c.json(await provenCredential(proven, origin))
        : c.text(await credentialToken(proven, origin))
    }),
  ).then((response) =>
    response.headers.get('Content-Type')?.startsWith('text/') ? typed(response, type) : response,
  )
}

type Version = '2.0' | '3.0'
type Payload = { json: object; url?: string }

/** The image of an award with its document inside. */
function serveImage(
  c: Context<Env>,
  slug: string,
  version: Version,
  payloadOf: (award: AwardRow) => Promise<Payload | null>,
): Promise<Response> {
  return cached(c, 'baked', () =>
    atPrimaryIfMissing(c, async () => {
      const [rows, [image]] = await c.var.db.read(findAwards([slug]), findAwardImage(slug))
      const award = known(rows)
      const gone = () => c.json(ended(award, c.env.PUBLIC_ORIGIN, version).json, 410)
      if (award.endedAt !== null) return gone()
      if (!image) throw uncarried()
      const payload = await payloadOf(award)
      if (!payload) return gone()
      const { json, url } = payload
      const bytes = Uint8Array.from(image.data)
      const baked = bake(bytes, image.mimetype, { version, json: JSON.stringify(json), url })
      if (!baked) throw uncarried()
      return c.body(new Uint8Array(baked), 200, {
        'Content-Type': image.mimetype,
        'Content-Disposition': `inline; filename="${fileName(award, image.mimetype)}"`,
        'X-Content-Type-Options': 'nosniff',
        'Content-Security-Policy': "default-src 'none'; style-src 'unsafe-inline'; sandbox",
      })
    }),
  )
}

const uncarried = () =>
  new ApiError(404, 'ResourceNotFound', 'This image cannot carry a credential')

/** A name under which a person finds the file again. */
function fileName({ badge, slug }: AwardRow, mimetype: string): string {
  const { name } = JSON.parse(badge) as { name: string }
  const plain = name
    .normalize('NFKD')
    .replace(/[^\w]+/g, '-')
    .replace(/^-+|-+$/g, '')
  const title = plain.slice(0, 60) || slug.replace(/[^\w]+/g, '-')
  return `${title}.${mimetype === 'image/png' ? 'png' : 'svg'}`
}

// ── Badges and issuers ──────────────────────────────────────────────────────────────────────────────────────────────

/** A badge in the words of a version, or that it has ended. */
const serveBadge = (
  c: Context<Env>,
  uid: string,
  words: {
    path: (uid: string) => string
    view: (badge: BadgeRow, origin: string) => object
    ended: (id: string) => object
  },
) =>
  serve(c, {
    types: LINKED,
    page: () => pageOfBadge(c, uid),
    make: async () => {
      const origin = c.env.PUBLIC_ORIGIN
      const badge = await findBadge(c, uid)
      return badge
        ? { json: words.view(badge, origin) }
        : { json: words.ended(origin + words.path(uid)), gone: true }
    },
  })

/** A badge by its permanent id; null when it has ended. */
async function findBadge(c: Context<Env>, uid: string): Promise<BadgeRow | null> {
  const [[row]] = await c.var.db.read(findBadgeByUid(uid))
  if (!row || (row.id === null && row.endedAt === null)) throw missing('badge')
  return row.endedAt === null ? row : null
}

/** A container by its permanent id, with those above it; null when it has ended. */
async function findIssuer(c: Context<Env>, uid: string) {
  const [[row]] = await c.var.db.read(findIssuerByUid(uid))
  if (!row) throw missing('issuer')
  return row.endedAt === null ? nearestFirst<NestedContainer>(row) : null
}

async function pageOfBadge(c: Context<Env>, uid: string): Promise<string> {
  const badge = await findBadge(c, uid)
  const path = badge
    ? publicPath(badgePath(slugsOf(badge), badge.slug))
    : `${badge2Path(uid)}?as=json`
  return c.env.PUBLIC_ORIGIN + path
}

async function pageOfIssuer(c: Context<Env>, uid: string): Promise<string> {
  const [[row]] = await c.var.db.read(findIssuerByUid(uid))
  if (!row) throw missing('issuer')
  const path =
    row.endedAt === null ? publicPath(containerPath(slugsOf(row))) : `${issuer2Path(uid)}?as=json`
  return c.env.PUBLIC_ORIGIN + path
}
