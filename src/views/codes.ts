import * as z from 'zod'
import type { Columns } from '../exports'
import type { CodeRow } from '../store/codes'

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

/** What a file of claim codes has beside each other. */
export const codeColumns: Columns<ClaimCode> = {
  code: ({ code }) => code,
  claimed: ({ claimed }) => claimed,
  email: ({ email }) => email,
  multiuse: ({ multiuse }) => multiuse,
}
