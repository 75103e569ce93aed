import * as z from 'zod'
import type { InstanceRow } from '../store/instances'
import { assertionPath } from '../urls'
import { Badge } from './badges'
import { iso, isoOrNull } from './times'

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
    urls: z.object({ page: z.string() }),
  })
  .meta({ id: 'Instance' })

export type Instance = z.infer<typeof Instance>

export function viewInstance(row: InstanceRow, badge: Badge | null, origin: string): Instance {
  const assertionUrl = origin + assertionPath(row.slug)
  return {
    slug: row.slug,
    email: row.email,
    expires: isoOrNull(row.expires),
    issuedOn: iso(row.issuedOn),
    claimCode: row.claimCode,
    assertionUrl,
    badge,
    urls: { page: assertionUrl },
  }
}
