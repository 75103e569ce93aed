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

/** An image as the store gives it, a URL or a path of ours, as an absolute URL. */
export const imageUrl = (origin: string, image: string | null) =>
  image?.startsWith('/') ? origin + image : image

/** Hosts that are ourselves: webhooks may not point there. */
export const ownHosts = (env: Bindings) => [new URL(env.PUBLIC_ORIGIN).host]
