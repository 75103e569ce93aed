import * as z from 'zod'
import type { ChangeRow } from '../store/awardLife'
import { Evidence } from './instances'
import { iso } from './times'

const Said = z.object({ narrative: z.string().nullable(), evidence: z.array(Evidence) })

/** What was done with an award after it was made, and which key asked for it. */
export const AwardChange = z
  .object({
    award: z.string(),
    kind: z.enum(['amended', 'suspended', 'reinstated', 'renewed']),
    at: z.iso.datetime(),
    key: z.string(),
    reason: z.string().nullable(),
    /** Of an amendment: what the award said, and what it says since. */
    before: Said.optional(),
    after: Said.optional(),
    /** Of a renewal: the slug of the award that took its place. */
    renewedBy: z.string().optional(),
  })
  .meta({ id: 'AwardChange' })

export type AwardChange = z.infer<typeof AwardChange>

export function viewChange({
  award,
  kind,
  at,
  key,
  reason,
  before,
  after,
}: ChangeRow): AwardChange {
  const what = after === null ? {} : JSON.parse(after)
  return {
    award,
    kind,
    at: iso(at),
    key,
    reason,
    ...(before !== null && { before: JSON.parse(before), after: what }),
    ...(kind === 'renewed' && { renewedBy: what.award }),
  }
}
