import * as z from 'zod'
import { messageOf } from '../events'
import type { personalData } from '../store/privacy'
import { Application, Review, viewApplication, viewReview } from './applications'
import { AwardChange, viewChange } from './awardChanges'
import type { Badge } from './badges'
import { ClaimCode, viewCode } from './codes'
import { DeliveryAttempt, SystemEvent, viewAttempt } from './deliveries'
import { Instance, viewInstance } from './instances'
import { isoOrNull } from './times'

/** All that is held about one person in one system. `complete` is false when it was too much for one answer. */
export const PersonalData = z
  .object({
    email: z.string(),
    instances: z.array(
      Instance.extend({
        revokedAt: z.iso.datetime().nullable(),
        revocationReason: z.string().nullable(),
        narrative: z.string().nullable(),
        evidence: z.array(z.looseObject({})),
      }),
    ),
    awardChanges: z.array(AwardChange),
    claimCodes: z.array(ClaimCode),
    applications: z.array(Application),
    assignments: z.array(
      z.object({ application: z.string(), assignedExpiration: z.iso.datetime().nullable() }),
    ),
    reviews: z.array(Review.extend({ application: z.string() })),
    events: z.array(SystemEvent),
    jobRows: z.array(z.looseObject({ job: z.string(), row: z.int() })),
    attempts: z.array(DeliveryAttempt.extend({ delivery: z.int(), event: z.string() })),
    complete: z.boolean(),
  })
  .meta({ id: 'PersonalData' })

type Parts = ReturnType<typeof personalData>
type RowOf<P> = P extends { numberOf(row: infer Row): number } ? Row : never
type Views = {
  [K in keyof Parts]: (row: RowOf<Parts[K]>, badge: (id: number) => Badge | null) => unknown
}

/** How a row of each part is shown: as elsewhere, with what is needed to know what it is about. */
export const personalViews = (origin: string): Views => ({
  instances: (row, badge) => ({
    ...viewInstance(row, badge(row.badgeId), origin, row.imageType),
    revokedAt: isoOrNull(row.revokedAt),
    revocationReason: row.revocationReason,
    narrative: row.narrative,
    evidence: row.evidence === null ? [] : JSON.parse(row.evidence),
  }),
  awardChanges: viewChange,
  claimCodes: viewCode,
  applications: (row, badge) => viewApplication(row, badge(row.badgeId)),
  assignments: ({ slug, assignedExpiration }) => ({
    application: slug,
    assignedExpiration: isoOrNull(assignedExpiration),
  }),
  reviews: (row) => ({ ...viewReview(row), application: row.application }),
  events: (row) => JSON.parse(messageOf(row, 'events-1')),
  jobRows: ({ job, row }) => {
    const { n, evidence, ...said } = JSON.parse(row)
    return { job, row: n, ...said, ...(evidence && { evidence: JSON.parse(evidence) }) }
  },
  attempts: ({ n, deliveryId, eventId, ...attempt }) => ({
    ...viewAttempt(n, attempt),
    delivery: deliveryId,
    event: eventId,
  }),
})
