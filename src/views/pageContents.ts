import { nearestFirst } from '../levels'
import type { BadgeRow, EarnableRow } from '../store/badges'
import type { NestedContainer } from '../store/containers'
import type { PublicRow } from '../store/instances'
import {
  assertion2Path,
  assertionPath,
  badgePath,
  containerPath,
  containerPaths,
  credentialPath,
  image2Path,
  imageUrl,
  publicPath,
  type Slugs,
  VERIFY_PATH,
} from '../urls'
import { listsOf } from './badges'
import { carries } from './instances'
import { slugsOf } from './openbadges'
import type { AwardPage, BadgePage, EndedPage, IssuerPage } from './pages'

/** From rows to what the pages for people say. */

/** Badges on the page of who awards them; asked for one more, to know whether there are. */
export const MAX_EARNABLE = 100

/** The address of a document's data: a browser that follows it is given JSON all the same. */
const dataUrl = (url: string) => `${url}?as=json`

function badgeOf(row: BadgeRow, origin: string): AwardPage['badge'] {
  const { criteria, alignments, tags } = listsOf(row)
  return {
    name: row.name,
    strapline: row.strapline,
    description: row.consumerDescription,
    image: imageUrl(origin, row.image),
    criteriaUrl: row.criteriaUrl,
    criteria: criteria.map(({ description, required }) => ({
      description,
      required: required === 1,
    })),
    tags: tags.map(({ value }) => value),
    alignments,
    url: origin + publicPath(badgePath(slugsOf(row), row.slug)),
  }
}

/** Program, issuer and system, as far as the badge has them. */
function issuersOfPage(row: BadgeRow, origin: string): AwardPage['issuers'] {
  const paths = containerPaths(slugsOf(row)).toReversed()
  return nearestFirst<NestedContainer>(row).map(({ name, url, image }, i) => ({
    name,
    url,
    pageUrl: origin + publicPath(paths[i] ?? ''),
    image: imageUrl(origin, image),
  }))
}

export function pageOfAward(row: PublicRow, origin: string, now: number): AwardPage {
  const slug = row.awardSlug ?? ''
  const url = origin + assertionPath(slug)
  const evidence = row.evidence === null ? [] : JSON.parse(row.evidence)
  const isCarried = carries(row.imageTypeThen) || carries(row.imageType)
  return {
    url,
    id: slug,
    status: row.expires !== null && row.expires <= now ? 'expired' : 'valid',
    badge: badgeOf(row, origin),
    issuers: issuersOfPage(row, origin),
    issuedOn: row.issuedOn,
    expires: row.expires,
    evidence,
    narrative: row.narrative,
    jsonUrl: dataUrl(url),
    files: {
      image: isCarried ? origin + image2Path(slug) : null,
      assertion2: dataUrl(origin + assertion2Path(slug)),
      credential: origin + credentialPath(slug),
      verify: origin + VERIFY_PATH,
    },
  }
}

/** What is left to say of an award that has ended. */
export function pageOfEnded(row: PublicRow, url: string, origin: string): EndedPage {
  const { revokedAt, suspendedAt, suspensionReason, renewedBy, revocationReason } = row
  const next = renewedBy === null ? null : origin + assertionPath(renewedBy)
  if (next !== null) return { url, how: 'renewed', reason: null, next }
  const isSuspended = revokedAt === null && suspendedAt !== null && row.endedAt === suspendedAt
  return isSuspended
    ? { url, how: 'suspended', reason: suspensionReason, next }
    : { url, how: 'revoked', reason: revocationReason, next }
}

export function pageOfBadge(row: BadgeRow, slugs: Slugs, origin: string): BadgePage {
  const url = origin + publicPath(badgePath(slugs, row.slug))
  return {
    url,
    badge: badgeOf(row, origin),
    issuers: issuersOfPage(row, origin),
    jsonUrl: dataUrl(url),
    archived: row.archived === 1,
  }
}

/** The page of the nearest of `chain`; what it lacks is its parent's, as in its document. */
export function pageOfIssuer(
  chain: NestedContainer[],
  earnable: EarnableRow[],
  slugs: Slugs,
  origin: string,
): IssuerPage {
  const first = (member: 'name' | 'url' | 'description' | 'email' | 'image') =>
    chain.map((container) => container[member]).find((value) => value) ?? null
  const url = origin + publicPath(containerPath(slugs))
  return {
    url,
    name: first('name') ?? '',
    website: first('url') ?? '',
    description: first('description'),
    email: first('email'),
    image: imageUrl(origin, first('image')),
    jsonUrl: dataUrl(url),
    badges: earnable.slice(0, MAX_EARNABLE).map(({ name, strapline, image, slug, ...at }) => ({
      name,
      strapline,
      image: imageUrl(origin, image),
      url: origin + publicPath(badgePath(at, slug)),
    })),
    more: earnable.length > MAX_EARNABLE,
  }
}
