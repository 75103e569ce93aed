import type { Bindings } from './env'
import { type LevelName, levels } from './levels'

/** Slugs of a badge's or page's containers, from the system down. */
export type Slugs = { system: string } & Partial<Record<LevelName, string | null>>

/** `/systems/s[/issuers/i[/programs/p]]` */
export const containerPath = (slugs: Slugs): string => containerPaths(slugs).at(-1) ?? ''

/** The paths of a container and all above it, from the system down. */
export function containerPaths(slugs: Slugs): string[] {
  let path = ''
  return levels.flatMap(({ name, plural }) => {
    const slug = slugs[name]
    if (slug == null) return []
    path += `/${plural}/${encodeURIComponent(slug)}`
    return path
  })
}

export const badgePath = (slugs: Slugs, badge: string): string =>
  badgePaths(slugs, badge).at(-1) ?? ''

/** A badge's paths under each of its containers, from the system down: it can be asked for under all of them. */
export const badgePaths = (slugs: Slugs, badge: string): string[] =>
  containerPaths(slugs).map((path) => `${path}/badges/${encodeURIComponent(badge)}`)

/** The path at which anyone may read what stands at a private one. */
export const publicPath = (path: string) => `/public${path}`

export const assertionPath = (slug: string) => `/public/assertions/${encodeURIComponent(slug)}`

// ── Open Badges 2.0 and 3.0: by permanent ids, so that a new slug breaks nothing ─────────────────────────────────────

const path = (before: string, id: string) => before + encodeURIComponent(id)

export const assertion2Path = (slug: string) => path('/public/v2/assertions/', slug)
export const badge2Path = (uid: string) => path('/public/v2/badges/', uid)
export const issuer2Path = (uid: string) => path('/public/v2/issuers/', uid)
export const image2Path = (slug: string) => `${assertion2Path(slug)}/image`

export const credentialPath = (slug: string) => path('/public/v3/credentials/', slug)
export const tokenPath = (slug: string) => `${credentialPath(slug)}.jwt`
export const image3Path = (slug: string) => `${credentialPath(slug)}/image`
export const achievementPath = (uid: string) => path('/public/v3/achievements/', uid)
export const statusListPath = (uid: string) => path('/public/v3/status/', uid)
export const signingKeyPath = (thumbprint: string) => path('/public/v3/keys/', thumbprint)

export const didPath = (uid: string) => `${path('/issuers/', uid)}/did.json`
export const VERIFY_PATH = '/public/verify'
export const JWKS_PATH = '/.well-known/jwks.json'

/** The identity of a system, issuer or program: did:web, section 2 of its method. A port is escaped. */
export const didOf = (origin: string, uid: string) =>
  `did:web:${encodeURIComponent(new URL(origin).host)}:issuers:${uid}`

/** The one method of a DID that stands for a key. */
export const methodOf = (origin: string, uid: string, thumbprint: string) =>
  `${didOf(origin, uid)}#${thumbprint}`

/** All public documents that tell of an award. */
export const awardPaths = (slug: string) => [
  assertionPath(slug),
  assertion2Path(slug),
  image2Path(slug),
  credentialPath(slug),
  tokenPath(slug),
  image3Path(slug),
]

/** Those of a badge, and of who awards, beside the ones at their slugs. */
export const badgeUidPaths = (uid: string) => [badge2Path(uid), achievementPath(uid)]
export const issuerUidPaths = (uid: string) => [issuer2Path(uid), didPath(uid)]

const UNSAFE = /[^\u0021-\u007e\u00a0-\uffff]|["<>\\^`{|}]/

/**
 * A web address as given, so that it may be the id of something: absolute, and without characters that no IRI has. BadgeKit took
 * addresses without a scheme. Undefined for what cannot be made one.
 */
export function webAddress(given: string | null | undefined): string | undefined {
  const text = given?.trim()
  if (!text) return undefined
  // What stands before a port is no scheme.
  const scheme = /^([a-z][a-z\d+.-]*):(?!\d)/i.exec(text)?.[1]
  if (scheme !== undefined && !/^https?$/i.test(scheme)) return undefined
  const absolute = scheme === undefined ? `https://${text}` : text
  const url = URL.parse(absolute)
  if (!url) return undefined
  return UNSAFE.test(absolute) ? url.href : absolute
}

/** An image as the store gives it, a URL or a path of ours, as an absolute URL. */
export const imageUrl = (origin: string, image: string | null) =>
  image?.startsWith('/') ? origin + image : image

/** Hosts that are ourselves: webhooks may not point there. */
export const ownHosts = (env: Bindings) => [new URL(env.PUBLIC_ORIGIN).host]
