import * as z from 'zod'
import type { LeadingMilestone, MilestoneRow } from '../store/milestones'
import { Badge, viewBadge } from './badges'

/** A milestone as the contract shows it (§4.8). */
export const Milestone = z
  .object({
    id: z.int(),
    action: z.enum(['issue', 'queue-application']),
    numberRequired: z.int(),
    primaryBadge: Badge,
    supportBadges: z.array(Badge),
  })
  .meta({ id: 'Milestone' })

export type Milestone = z.infer<typeof Milestone>

/** @param badge gives a badge by its id, as the contract shows it */
export function viewMilestone(row: MilestoneRow, badge: (id: number) => Badge | undefined) {
  const supports = JSON.parse(row.supportBadgeIds) as number[]
  return {
    id: row.id,
    action: row.action,
    numberRequired: row.numberRequired,
    primaryBadge: badge(row.primaryBadgeId),
    supportBadges: supports.map(badge).filter((one) => one !== undefined),
  }
}

/** The milestones that lead to a badge, as a badge shows them (contract §4.2). */
export const viewLeading = (
  primaryBadge: Badge,
  milestones: readonly LeadingMilestone[],
  origin: string,
): Milestone[] =>
  milestones.map((milestone) => ({
    id: milestone.id,
    action: milestone.action,
    numberRequired: milestone.numberRequired,
    primaryBadge,
    supportBadges: milestone.supports.map((row) => viewBadge(row, origin)),
  }))
