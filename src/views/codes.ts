import * as z from 'zod'
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

/** The terms of a code; undefined when it has none but the contract's. */
export function viewTerms(row: CodeRow): CodeTerms | undefined {
  const { validFrom, validUntil, maxUses, reserved, uses } = row
  if (validFrom === null && validUntil === null && maxUses === null && reserved === 0) {
    return undefined
  }
  return {
    validFrom: isoOrNull(validFrom),
    validUntil: isoOrNull(validUntil),
    maxUses,
    reserved: reserved === 1,
    uses,
    remaining: remaining(row),
  }
}

/** What a file of claim codes has beside each other. */
export const codeColumns: Columns<ClaimCode> = {
  code: ({ code }) => code,
  claimed: ({ claimed }) => claimed,
  email: ({ email }) => email,
  multiuse: ({ multiuse }) => multiuse,
}
