import { sha256 } from '../crypto'
import { type Containers, perLevel } from '../levels'
import type { BadgeRow } from '../store/badges'
import type { NestedContainer } from '../store/containers'
import type { PublicRow } from '../store/instances'
import { assertionPath, badgePath, containerPath, imageUrl, publicPath, type Slugs } from '../urls'
import { listsOf } from './badges'

/** Open Badges 1.1 documents in the contract's shape (§7): times in Unix seconds, an unsalted identity. */
const CONTEXT = 'https://w3id.org/openbadges/v1'

/** The slugs by which a badge is addressed in full. */
export const slugsOf = (row: Containers) =>
  perLevel('name', ({ name }) => {
    const json = row[name]
    return json === null ? null : (JSON.parse(json) as NestedContainer).slug
  }) as Slugs

const seconds = (milliseconds: number) => Math.floor(milliseconds / 1000)

/** An award: §7.1. */
export async function viewAssertion(row: PublicRow, origin: string) {
  const slug = row.awardSlug ?? ''
  const url = origin + assertionPath(slug)
  const evidence = evidenceUrl(row.evidence)
  return {
    '@context': CONTEXT,
    type: 'Assertion',
    id: url,
    uid: slug,
    recipient: { identity: `sha256$${await sha256(row.email)}`, type: 'email', hashed: true },
    badge: origin + publicPath(badgePath(slugsOf(row), row.slug)),
    verify: { url, type: 'hosted' },
    issuedOn: seconds(row.issuedOn),
    ...(row.expires !== null && { expires: seconds(row.expires) }),
    ...(evidence && { evidence }),
  }
}

const evidenceUrl = (json: string | null) =>
  json === null ? undefined : (JSON.parse(json) as { url?: string }[]).find((one) => one.url)?.url

/** An award that has ended: answered with 410. */
export const viewRevoked = (slug: string, reason: string | null, origin: string) => ({
  '@context': CONTEXT,
  type: 'Assertion',
  id: origin + assertionPath(slug),
  uid: slug,
  revoked: true,
  ...(reason !== null && { revocationReason: reason }),
})

/** A badge class: §7.2. `slugs` are those of the path by which it was asked for. */
export function viewBadgeClass(row: BadgeRow, slugs: Slugs, origin: string) {
  const { alignments, tags } = listsOf(row)
  return {
    '@context': CONTEXT,
    type: 'BadgeClass',
    id: origin + publicPath(badgePath(slugs, row.slug)),
    name: row.name,
    description: row.consumerDescription,
    image: imageUrl(origin, row.image),
    criteria: row.criteriaUrl,
    alignment: alignments.map(({ name, url, description }) => ({
      name,
      url,
      ...(description && { description }),
    })),
    issuer: origin + publicPath(containerPath(slugsOf(row))),
    ...(tags.length > 0 && { tags: tags.map(({ value }) => value) }),
  }
}

/** A system, issuer or program: §7.3. Each value is the first that is not empty, from `nearest` up to the system. */
export function viewIssuer(chain: NestedContainer[], slugs: Slugs, origin: string) {
  const first = (member: 'name' | 'url' | 'description' | 'email' | 'image') =>
    chain.map((container) => container[member]).find((value) => value)
  const [description, email] = [first('description'), first('email')]
  const image = imageUrl(origin, first('image') ?? null)
  return {
    '@context': CONTEXT,
    type: 'Issuer',
    id: origin + publicPath(containerPath(slugs)),
    name: first('name'),
    url: first('url'),
    ...(description && { description }),
    ...(email && { email }),
    ...(image && { image }),
  }
}
