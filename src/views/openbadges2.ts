import { sha256 } from '../crypto'
import { nearestFirst } from '../levels'
import type { BadgeRow } from '../store/badges'
import type { NestedContainer } from '../store/containers'
import type { AwardRow } from '../store/credentials'
import {
  achievementPath,
  assertion2Path,
  badge2Path,
  image2Path,
  imageUrl,
  issuer2Path,
  webAddress,
} from '../urls'
import { type Badge, listsOf } from './badges'
import { carries, evidenceOf } from './instances'
import { isoSeconds } from './times'

/** Open Badges 2.0 documents, hosted: https://www.imsglobal.org/sites/default/files/Badges/OBv2p0Final/index.html */

const CONTEXT = 'https://w3id.org/openbadges/v2'

const document = <T extends string>(type: T, id: string) => ({ '@context': CONTEXT, type, id })

/** The salted hash of an address: trimmed and in lower case, as verifiers hash what somebody types. */
export const identityHash = async (email: string, salt: string) =>
  `sha256$${await sha256(email.trim().toLowerCase() + salt)}`

export const carriesAward = ({ imageType, imageTypeThen }: AwardRow) =>
  carries(imageTypeThen) || carries(imageType)

export async function viewAssertion2(row: AwardRow, origin: string) {
  const evidence = evidenceOf(row).map(({ url, ...more }) => ({
    type: 'Evidence',
    id: url,
    ...more,
  }))
  return {
    ...document('Assertion', origin + assertion2Path(row.slug)),
    recipient: {
      type: 'email',
      hashed: true,
      salt: row.salt,
      identity: await identityHash(row.email, row.salt),
    },
    badge: origin + badge2Path(row.badgeUid),
    verification: { type: 'HostedBadge' },
    issuedOn: isoSeconds(row.issuedOn),
    ...(row.expires !== null && { expires: isoSeconds(row.expires) }),
    ...(carriesAward(row) && { image: origin + image2Path(row.slug) }),
    ...(row.narrative && { narrative: row.narrative }),
    ...(evidence.length > 0 && { evidence }),
  }
}

/** Criteria as one Markdown list; undefined when there are none. */
export const criteriaNarrative = (criteria: Badge['criteria']): string | undefined =>
  criteria
    .map(({ description, required }) => {
      const text = description.trim().replace(/\s*\n\s*/g, '\n  ')
      return `- ${text}${required ? '' : ' (optional)'}`
    })
    .join('\n') || undefined

/** The words by which a badge is found. */
export const keywords = ({ categories, tags }: Pick<Badge, 'categories' | 'tags'>) => [
  ...new Set([...categories, ...tags.map(({ value }) => value)]),
]

/** Alignments whose target has an address: without one, both versions refuse them. */
export const targets = (alignments: Badge['alignments']) =>
  alignments.flatMap(({ name, url, description }) => {
    const targetUrl = webAddress(url)
    const more = description ? { targetDescription: description } : {}
    return targetUrl ? [{ targetName: name, targetUrl, ...more }] : []
  })

/** Where the criteria can be read: a badge that names no page has its own. */
export const criteriaUrl = (given: string, badgeUid: string, origin: string) =>
  webAddress(given) ?? origin + badge2Path(badgeUid)

/** @param row the badge as it is now: of a hosted badge, who awards may change what it says */
export function viewBadgeClass2(row: BadgeRow, origin: string) {
  const { criteria, alignments, ...words } = listsOf(row)
  const [issuer] = nearestFirst<NestedContainer>(row)
  const narrative = criteriaNarrative(criteria)
  const alignment = targets(alignments).map((one) => ({ type: 'AlignmentObject', ...one }))
  const tags = keywords(words)
  const image = webAddress(imageUrl(origin, row.image))
  return {
    ...document('BadgeClass', origin + badge2Path(row.uid)),
    name: row.name,
    description: row.consumerDescription,
    ...(image && { image }),
    criteria: {
      type: 'Criteria',
      id: criteriaUrl(row.criteriaUrl, row.uid, origin),
      ...(narrative && { narrative }),
    },
    issuer: origin + issuer2Path(issuer.uid),
    ...(alignment.length > 0 && { alignment }),
    ...(tags.length > 0 && { tags }),
    related: [
      {
        type: ['https://purl.imsglobal.org/spec/vc/ob/vocab.html#Achievement'],
        id: origin + achievementPath(row.uid),
        version: 'Open Badges v3p0',
      },
    ],
  }
}

type Profile = { [member in 'name' | 'url' | 'description' | 'email' | 'image']: string | null }

/** The first value that is not empty, from who awards up to the system. */
export const firstOf = (chain: readonly Profile[], member: keyof Profile) =>
  chain.map((one) => one[member]).find((value) => value) ?? undefined

/**
 * A system, issuer or program.
 *
 * @param chain from itself up to its system
 * @param contact the address for those who have none: an issuer must have one
 */
export function viewIssuer2(
  [self, ...above]: [NestedContainer, ...NestedContainer[]],
  origin: string,
  contact: string | undefined,
) {
  const chain = [self, ...above]
  const id = origin + issuer2Path(self.uid)
  const [description, email] = [firstOf(chain, 'description'), firstOf(chain, 'email') ?? contact]
  const image = webAddress(imageUrl(origin, firstOf(chain, 'image') ?? null))
  return {
    ...document('Issuer', id),
    name: firstOf(chain, 'name') ?? '',
    url: webAddress(firstOf(chain, 'url')) ?? id,
    ...(email && { email }),
    ...(description && { description }),
    ...(image && { image }),
  }
}

/** What has ended: answered with 410. */
export const viewEnded2 = (
  type: 'Assertion' | 'BadgeClass' | 'Issuer',
  id: string,
  reason: string | null = null,
) => ({
  ...document(type, id),
  revoked: true,
  ...(reason !== null && { revocationReason: reason }),
})
