import * as z from 'zod'
import type { BadgeRow } from '../store/badges'
import type { MilestoneRow, SupportRow } from '../store/milestones'
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
export function viewMilestonesTo(primaryBadge: Badge, rows: readonly SupportRow[], origin: string) {
  const found = new Map<number, Omit<Milestone, 'primaryBadge'>>()
  for (const row of rows) {
    const { milestoneId: id, action, numberRequired } = row
    const milestone = found.get(id) ?? { id, action, numberRequired, supportBadges: [] }
    if (row.id !== null) milestone.supportBadges.push(viewBadge(row as BadgeRow, origin))
    found.set(id, milestone)
  }
  return [...found.values()].map(({ supportBadges, ...milestone }) => ({
    ...milestone,
    primaryBadge,
    supportBadges,
  }))
}
