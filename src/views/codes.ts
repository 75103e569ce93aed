import * as z from 'zod'
import { claimUrlOf } from '../claimUrl'
import type { Columns } from '../exports'
import type { CodeRow } from '../store/codes'
import { isoOrNull } from './times'

/** A claim code as the contract shows it: exactly these members (§4.3). */
export const ClaimCode = z
  .object({
    id: z.int(),
    code: z.string(),
    claimed: z.boolean(),
    email: z.string().nullable(),
    multiuse: z.boolean(),
  })
  .meta({ id: 'ClaimCode' })

export type ClaimCode = z.infer<typeof ClaimCode>

export const viewCode = (row: CodeRow): ClaimCode => ({
  id: row.id,
  code: row.code,
  claimed: row.claimed === 1,
  email: row.email,
  multiuse: row.multiuse === 1,
})

/** On what terms a code may be claimed, and how often it was. */
export const CodeTerms = z
  .object({
    validFrom: z.string().nullable(),
    validUntil: z.string().nullable(),
    maxUses: z.int().nullable(),
    reserved: z.boolean(),
    uses: z.int(),
    remaining: z.int().nullable(),
  })
  .meta({ id: 'CodeTerms' })

export type CodeTerms = z.infer<typeof CodeTerms>

/** How often a code may still be claimed; null when there is no bound. */
function remaining({ claimed, multiuse, maxUses, uses }: CodeRow): number | null {
  if (multiuse === 0) return claimed === 1 ? 0 : 1
  return maxUses === null ? null : Math.max(0, maxUses - uses)
}

export const isUsedUp = (row: CodeRow) => remaining(row) === 0

const allTerms = (row: CodeRow): CodeTerms => ({
  validFrom: isoOrNull(row.validFrom),
  validUntil: isoOrNull(row.validUntil),
  maxUses: row.maxUses,
  reserved: row.reserved === 1,
  uses: row.uses,
  remaining: remaining(row),
})

/** The terms of a code; undefined when it has none but the contract's. */
export function viewTerms(row: CodeRow): CodeTerms | undefined {
  const { validFrom, validUntil, maxUses, reserved } = row
  const hasOwn = [validFrom, validUntil, maxUses].some((one) => one !== null) || reserved === 1
  return hasOwn ? allTerms(row) : undefined
}

/** Where a code is claimed; undefined when its system does not say. */
export const viewClaimUrl = (row: CodeRow, badge: { claimUrl: string | null; slug: string }) =>
  badge.claimUrl === null ? undefined : claimUrlOf(badge.claimUrl, badge.slug, row.code)

/** A code as files have it: with all that is told of it anywhere. */
export type CodeEntry = ClaimCode & { terms: CodeTerms; claimUrl?: string }

export const viewCodeEntry = (
  row: CodeRow,
  badge: { claimUrl: string | null; slug: string },
): CodeEntry => ({ ...viewCode(row), terms: allTerms(row), claimUrl: viewClaimUrl(row, badge) })

/** What a file of claim codes has beside each other. */
export const codeColumns: Columns<CodeEntry> = {
  code: ({ code }) => code,
  claimed: ({ claimed }) => claimed,
  email: ({ email }) => email,
  multiuse: ({ multiuse }) => multiuse,
  uses: ({ terms }) => terms.uses,
  remaining: ({ terms }) => terms.remaining,
  validFrom: ({ terms }) => terms.validFrom,
  validUntil: ({ terms }) => terms.validUntil,
  maxUses: ({ terms }) => terms.maxUses,
  reserved: ({ terms }) => terms.reserved,
  claimUrl: ({ claimUrl }) => claimUrl,
}
