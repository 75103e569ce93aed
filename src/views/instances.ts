import * as z from 'zod'
import type { Columns } from '../exports'
import type { InstanceRow, LinkedInstance, PicturedInstance } from '../store/instances'
import { assertion2Path, assertionPath, credentialPath, image2Path } from '../urls'
import { Badge } from './badges'
import { iso, isoOrNull } from './times'

/** What shows that an award was earned. */
export const Evidence = z
  .object({
    url: z.string(),
    name: z.string().optional(),
    description: z.string().optional(),
    narrative: z.string().optional(),
    genre: z.string().optional(),
    audience: z.string().optional(),
  })
  .meta({ id: 'Evidence' })

export type Evidence = z.infer<typeof Evidence>

/** An award as the contract shows it (§4.4). `urls` names what stands at public addresses. */
export const Instance = z
  .object({
    slug: z.string(),
    email: z.string(),
    expires: z.iso.datetime().nullable(),
    issuedOn: z.iso.datetime(),
    claimCode: z.string().nullable(),
    assertionUrl: z.string(),
    badge: Badge.nullable(),
    narrative: z.string().optional(),
    evidence: z.array(Evidence).optional(),
    revoked: z.iso.datetime().optional(),
    revocationReason: z.string().optional(),
    suspended: z.iso.datetime().optional(),
    suspensionReason: z.string().optional(),
    /** The slug of the award that this one took the place of. */
    renews: z.string().optional(),
    urls: z.object({
      page: z.string(),
      openBadges2: z.string(),
      openBadges3: z.string(),
      image: z.string().nullable(),
    }),
  })
  .meta({ id: 'Instance' })

export type Instance = z.infer<typeof Instance>

/** Image types that can carry a credential: neither JPEG nor GIF or WebP, and no image of which we have only the address. */
export const carries = (mimetype: string | null | undefined) =>
  mimetype === 'image/png' || mimetype === 'image/svg+xml'

export const evidenceOf = ({ evidence }: Pick<InstanceRow, 'evidence'>) =>
  (evidence === null ? [] : JSON.parse(evidence)) as Evidence[]

/** @param imageType what the badge's image is; null of a remote one */
export function viewInstance(
  row: InstanceRow,
  badge: Badge | null,
  origin: string,
  imageType: string | null | undefined,
): Instance {
  const { slug, narrative } = row
  const assertionUrl = origin + assertionPath(slug)
  const evidence = evidenceOf(row)
  return {
    slug,
    email: row.email,
    expires: isoOrNull(row.expires),
    issuedOn: iso(row.issuedOn),
    claimCode: row.claimCode,
    assertionUrl,
    badge,
    ...(narrative && { narrative }),
    ...(evidence.length > 0 && { evidence }),
    urls: {
      page: assertionUrl,
      openBadges2: origin + assertion2Path(slug),
      openBadges3: origin + credentialPath(slug),
      image: carries(imageType) ? origin + image2Path(slug) : null,
    },
  }
}

/** The same in a list that may hold revoked ones. The answer that made an award never tells of its end, also when it is repeated. */
export const viewListed = (
  row: InstanceRow,
  badge: Badge | null,
  origin: string,
  imageType: string | null | undefined,
): Instance => ({
  ...viewInstance(row, badge, origin, imageType),
  ...(row.revokedAt !== null && { revoked: iso(row.revokedAt) }),
  ...(row.revocationReason && { revocationReason: row.revocationReason }),
  ...(row.suspendedAt !== null && { suspended: iso(row.suspendedAt) }),
  ...(row.suspensionReason && { suspensionReason: row.suspensionReason }),
})

const renewal = ({ renewed }: LinkedInstance) => renewed !== null && { renews: renewed }

/** An award as the answers to changes show it: without what may change again, as a repeated request is answered the same. */
export const viewLinked = (
  row: LinkedInstance,
  badge: Badge | null,
  origin: string,
  imageType: string | null | undefined,
): Instance => ({
  ...viewInstance(row, badge, origin, imageType),
  ...renewal(row),
})

/** An award as it stands now, by itself. */
export const viewOne = (
  row: LinkedInstance,
  badge: Badge | null,
  origin: string,
  imageType: string | null | undefined,
): Instance => ({
  ...viewListed(row, badge, origin, imageType),
  ...renewal(row),
})

/** An award as messages tell of it: the contract's members, without the badge, which stands beside it. */
export const tellOf = ({
  slug,
  email,
  expires,
  issuedOn,
  claimCode,
  assertionUrl,
}: Omit<Instance, 'badge' | 'urls'>) => ({
  slug,
  email,
  expires,
  issuedOn,
  claimCode,
  assertionUrl,
})

/** What a file of awards has beside each other. A bulk job takes it back: those that it knows are called as there. */
export const instanceColumns: Columns<Instance> = {
  slug: ({ slug }) => slug,
  badge: ({ badge }) => badge?.slug,
  email: ({ email }) => email,
  issuedOn: ({ issuedOn }) => issuedOn,
  expires: ({ expires }) => expires,
  claimCode: ({ claimCode }) => claimCode,
  narrative: ({ narrative }) => narrative,
  evidence: ({ evidence = [] }) => evidence.map(({ url }) => url).join(' '),
  assertionUrl: ({ assertionUrl }) => assertionUrl,
  revoked: ({ revoked }) => revoked,
  revocationReason: ({ revocationReason }) => revocationReason,
  suspended: ({ suspended }) => suspended,
  suspensionReason: ({ suspensionReason }) => suspensionReason,
}

/** How a list shows awards of several badges. */
export const listedWithBadges = (origin: string) => ({
  plural: 'instances',
  columns: instanceColumns,
  view: (row: PicturedInstance, badge: (id: number) => Badge | undefined) =>
    viewListed(row, badge(row.badgeId) ?? null, origin, row.imageType),
})
