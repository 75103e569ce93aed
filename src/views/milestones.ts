import * as z from 'zod'
import type { LeadingMilestone, MilestoneRow, ProgressRow } from '../store/milestones'
import { assertionPath } from '../urls'
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

const Named = z.object({ id: z.int(), slug: z.string(), name: z.string() })

/**
 * How far an earner is with a milestone: `held`, with the primary badge; `reached`, with enough support badges but without it;
 * `open`.
 */
export const Progress = z
  .object({
    milestone: z.int(),
    action: Milestone.shape.action,
    state: z.enum(['held', 'reached', 'open']),
    numberRequired: z.int(),
    numberHeld: z.int(),
    primaryBadge: Named,
    /** Where the award of the primary badge is. */
    assertionUrl: z.string().nullable(),
    supportBadges: z.array(Named.extend({ held: z.boolean() })),
  })
  .meta({ id: 'Progress' })

/** @param badge gives a badge by its id, as the contract shows it */
export function viewProgress(
  row: ProgressRow,
  badge: (id: number) => Badge | undefined,
  origin: string,
) {
  const held = new Set(JSON.parse(row.heldBadgeIds) as number[])
  const supports = JSON.parse(row.supportBadgeIds) as number[]
  const named = (id: number) => {
    const { slug = '', name = '' } = badge(id) ?? {}
    return { id, slug, name }
  }
  const isReached = held.size > 0 && held.size >= row.numberRequired
  return {
    milestone: row.id,
    action: row.action,
    state: row.award !== null ? 'held' : isReached ? 'reached' : 'open',
    numberRequired: row.numberRequired,
    numberHeld: held.size,
    primaryBadge: named(row.primaryBadgeId),
    assertionUrl: row.award === null ? null : origin + assertionPath(row.award),
    supportBadges: supports.map((id) => ({ ...named(id), held: held.has(id) })),
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
