import * as z from 'zod'
import type { Columns } from '../exports'
import type { ApplicationRow } from '../store/applications'
import type { ReviewRow } from '../store/reviews'
import { Badge } from './badges'
import { iso, isoOrNull } from './times'

const Evidence = z.object({
  url: z.string().nullable(),
  mediaType: z.string().nullable(),
  reflection: z.string().nullable(),
})

/** An application as the contract shows it (§4.6). */
export const Application = z
  .object({
    id: z.int(),
    slug: z.string(),
    learner: z.string(),
    created: z.iso.datetime(),
    assignedTo: z.string().nullable(),
    assignedExpiration: z.iso.datetime().nullable(),
    badge: Badge.nullable(),
    processed: z.iso.datetime().nullable(),
    evidence: z.array(Evidence),
  })
  .meta({ id: 'Application' })

export type Application = z.infer<typeof Application>

export const viewApplication = (row: ApplicationRow, badge: Badge | null): Application => ({
  id: row.id,
  slug: row.slug,
  learner: row.learner,
  created: iso(row.createdAt),
  assignedTo: row.assignedTo,
  assignedExpiration: isoOrNull(row.assignedExpiration),
  badge,
  processed: isoOrNull(row.processed),
  evidence: JSON.parse(row.evidence),
})

/** What a file of applications has beside each other; of evidence only the addresses. */
export const applicationColumns: Columns<Application> = {
  slug: ({ slug }) => slug,
  badge: ({ badge }) => badge?.slug,
  learner: ({ learner }) => learner,
  created: ({ created }) => created,
  assignedTo: ({ assignedTo }) => assignedTo,
  assignedExpiration: ({ assignedExpiration }) => assignedExpiration,
  processed: ({ processed }) => processed,
  evidence: ({ evidence }) => evidence.flatMap(({ url }) => url ?? []).join(' '),
}

/** A review as the contract shows it (§4.7). */
export const Review = z
  .object({
    id: z.int(),
    slug: z.string(),
    author: z.string(),
    comment: z.string().nullable(),
    reviewItems: z.array(
      z.object({
        criterionId: z.int(),
        satisfied: z.literal([0, 1]),
        comment: z.string().nullable(),
      }),
    ),
  })
  .meta({ id: 'Review' })

export type Review = z.infer<typeof Review>

export const viewReview = (row: ReviewRow): Review => ({
  id: row.id,
  slug: row.slug,
  author: row.author,
  comment: row.comment,
  reviewItems: JSON.parse(row.reviewItems),
})
