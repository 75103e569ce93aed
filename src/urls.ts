import type { Bindings } from './env'

/** Slugs of a badge's or page's containers, from the system down. */
export type Slugs = { system: string; issuer?: string | null; program?: string | null }

/** `/systems/s[/issuers/i[/programs/p]]` */
export function containerPath({ system, issuer, program }: Slugs): string {
  let path = `/systems/${encodeURIComponent(system)}`
  if (issuer != null) path += `/issuers/${encodeURIComponent(issuer)}`
  if (program != null) path += `/programs/${encodeURIComponent(program)}`
  return path
}

export const badgePath = (slugs: Slugs, badge: string) =>
  `${containerPath(slugs)}/badges/${encodeURIComponent(badge)}`

/** The path at which anyone may read what stands at a private one. */
export const publicPath = (path: string) => `/public${path}`

export const assertionPath = (slug: string) => `/public/assertions/${encodeURIComponent(slug)}`

/** An image as the store gives it, a URL or a path of ours, as an absolute URL. */
export const imageUrl = (origin: string, image: string | null) =>
  image?.startsWith('/') ? origin + image : image

/** Hosts that are ourselves: webhooks may not point there. */
export const ownHosts = (env: Bindings) => [new URL(env.PUBLIC_ORIGIN).host]
