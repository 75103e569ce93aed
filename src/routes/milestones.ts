import { Hono } from 'hono'
import * as z from 'zod'
import { ringForJob } from '../doorbell'
import type { Env } from '../env'
import { conflict, type FieldError, invalid, notFound } from '../errors'
import { sendVersion } from '../etag'
import { ListQuery, listOf, sendListWithBadges } from '../lists'
import { inContainer, inMilestone } from '../scope'
import { about, body, query } from '../spec'
import type { BadgeRow } from '../store/badges'
import { createBackfill } from '../store/jobs'
import {
  badgesOfMilestones,
  createMilestone,
  deleteMilestone,
  findMilestone,
  knownBadges,
  listMilestones,
  listProgress,
  type MilestoneInput,
  type MilestoneRow,
  type ProgressRow,
  updateMilestone,
} from '../store/milestones'
import { int, itemsOf, optionalOneOf, textParameter } from '../values'
import { type Badge, viewBadge } from '../views/badges'
import { Job, viewJob } from '../views/jobs'
import { Milestone, Progress, viewMilestone, viewProgress } from '../views/milestones'

/** A badge by its id, or as the object that answers hold. */
const badgeId = z.preprocess(
  (given) => (typeof given === 'object' && given !== null && 'id' in given ? given.id : given),
  int(),
)
const ACTIONS = ['issue', 'queue-application'] as const
const fields = {
  primaryBadgeId: int(),
  numberRequired: int(),
  action: optionalOneOf(ACTIONS, `Value must be one of the following: ${ACTIONS.join(', ')}`),
  supportBadges: itemsOf(badgeId),
}
const NewMilestone = z.object(fields)
const MilestoneChange = z.object({
  ...fields,
  primaryBadgeId: fields.primaryBadgeId.optional(),
  numberRequired: fields.numberRequired.optional(),
})
const Support = z.object({ badgeId: int() })

const One = z.object({ milestone: Milestone })
const Changed = z.object({ status: z.string(), milestone: Milestone })
const Queued = z.object({ status: z.string(), job: Job, badge: z.string() })
const LIST = '/systems/:system/milestones'
const ITEM = `${LIST}/:milestone`

const Filter = ListQuery.extend({
  badge: textParameter('badge', 'The slug of a badge that it leads to, or that supports it'),
})

export const milestones = new Hono<Env>()
  .get(
    LIST,
    about('List milestones', listOf('milestones', Milestone)),
    inContainer,
    query(Filter),
    (c) => {
      const { scope } = c.var
      const parts = { plural: 'milestones', view: viewMilestone, badges: badgesOfMilestones }
      return sendListWithBadges<MilestoneRow>(
        c,
        scope,
        parts,
        listMilestones(scope.container.systemId, c.req.valid('query').badge),
      )
    },
  )

  .post(
    LIST,
    about('Create a milestone', Changed, { status: 201 }),
    inContainer,
    body(NewMilestone),
    async (c) => {
      const { scope, caller } = c.var
      const input = withoutRepeats(c.req.valid('json'))
      const { at, rows } = await scope.with(knownBadges(scope.container.systemId, named(input)))
      checkKnown(input, rows[0])
      const { row, badges } = await createMilestone(caller, at.systemId, input)
      if (!row) throw notFound('system', 'slug', c.req.param('system'))
      return c.json({ status: 'created', milestone: show(row, badges, c.env.PUBLIC_ORIGIN) }, 201)
    },
  )

  .get(ITEM, about('Show a milestone', One), inMilestone, async (c) => {
    const { scope } = c.var
    const found = findMilestone(scope.container.systemId, c.req.param('milestone'))
    const { milestone, rows } = await scope.with(badgesOfMilestones(found))
    const shown = show(milestone, rows[0], c.env.PUBLIC_ORIGIN)
    return sendVersion(c, milestone, { milestone: shown })
  })

  .put(
    ITEM,
    about('Change a milestone', Changed),
    inMilestone,
    body(MilestoneChange),
    async (c) => {
      const { scope, caller } = c.var
      const { supportBadges, ...input } = withoutRepeats(c.req.valid('json'))
      const known = knownBadges(scope.container.systemId, named({ ...input, supportBadges }))
      const { milestone, rows } = await scope.with(known)
      checkKnown({ ...input, supportBadges }, rows[0])
      const support = supportBadges ? { replace: supportBadges } : null
      const { row, badges } = await updateMilestone(caller, milestone, input, support)
      if (!row) throw notFound('milestone', 'id', c.req.param('milestone'))
      return c.json({ status: 'updated', milestone: show(row, badges, c.env.PUBLIC_ORIGIN) })
    },
  )

  .post(
    `${ITEM}/backfill`,
    about('Award what a milestone leads to to who has reached it, in the background', Queued, {
      status: 202,
    }),
    inMilestone,
    body(z.object({})),
    async (c) => {
      const { scope, caller } = c.var
      const found = findMilestone(scope.container.systemId, c.req.param('milestone'))
      const { milestone, rows } = await scope.with(badgesOfMilestones(found))
      const badge = rows[0].find(({ id }) => id === milestone.primaryBadgeId)
      if (!badge) throw notFound('milestone', 'id', c.req.param('milestone'))
      if (milestone.action !== 'issue') {
        throw conflict('The milestone awards nothing: it queues applications')
      }
      const job = await createBackfill(caller, badge, milestone.id)
      if (!job) throw notFound('milestone', 'id', c.req.param('milestone'))
      caller.waitUntil(ringForJob(c.env, job.id))
      return c.json({ status: 'queued', job: viewJob(job), badge: badge.slug }, 202)
    },
  )

  .get(
    '/systems/:system/progress/:email',
    about("List an earner's progress towards each milestone", listOf('progress', Progress)),
    inContainer,
    query(ListQuery),
    (c) => {
      const { scope } = c.var
      const origin = c.env.PUBLIC_ORIGIN
      const view = (row: ProgressRow, badge: (id: number) => Badge | undefined) =>
        viewProgress(row, badge, origin)
      return sendListWithBadges<ProgressRow>(
        c,
        scope,
        { plural: 'progress', view, badges: badgesOfMilestones },
        listProgress(scope.container.systemId, c.req.param('email')),
      )
    },
  )

  .delete(
    ITEM,
    about('Delete a milestone', z.object({ status: z.string() })),
    inMilestone,
    async (c) => {
      const { scope, caller } = c.var
      const { milestone } = await scope.with()
      if (!(await deleteMilestone(caller, milestone))) await scope.with()
      return c.json({ status: 'deleted' })
    },
  )

for (const verb of ['add', 'remove'] as const) {
  milestones.post(
    `${ITEM}/${verb}-badge`,
    about(`${verb === 'add' ? 'Add' : 'Remove'} a support badge`, Changed),
    inMilestone,
    body(Support),
    async (c) => {
      const { scope, caller } = c.var
      const { badgeId } = c.req.valid('json')
      const { milestone, rows } = await scope.with(knownBadges(scope.container.systemId, [badgeId]))
      if (rows[0].length === 0) throw invalid(unknown('badgeId', badgeId))
      const support = verb === 'add' ? { add: badgeId } : { remove: badgeId }
      const { row, badges } = await updateMilestone(caller, milestone, {}, support)
      if (!row) throw notFound('milestone', 'id', c.req.param('milestone'))
      return c.json({ status: 'updated', milestone: show(row, badges, c.env.PUBLIC_ORIGIN) })
    },
  )
}

function show(row: MilestoneRow, badges: readonly BadgeRow[], origin: string) {
  const shown = new Map(badges.map((badge) => [badge.id, viewBadge(badge, origin)]))
  return viewMilestone(row, (id) => shown.get(id))
}

type Given = Omit<MilestoneInput, 'supportBadges'> & { supportBadges?: number[] | null }

const withoutRepeats = (input: Given): MilestoneInput => ({
  ...input,
  supportBadges: input.supportBadges ? [...new Set(input.supportBadges)] : undefined,
})

/** The ids of all badges that a request names. */
const named = ({ primaryBadgeId, supportBadges = [] }: MilestoneInput) =>
  primaryBadgeId === undefined ? supportBadges : [primaryBadgeId, ...supportBadges]

/** Throws 400 when a badge is not one of this system's. */
function checkKnown(input: MilestoneInput, rows: readonly { id: number }[]): void {
  const known = new Set(rows.map(({ id }) => id))
  const { primaryBadgeId, supportBadges = [] } = input
  const errors: FieldError[] = []
  if (primaryBadgeId !== undefined && !known.has(primaryBadgeId)) {
    errors.push(unknown('primaryBadgeId', primaryBadgeId))
  }
  const strangers = supportBadges.filter((id) => !known.has(id))
  if (strangers.length > 0) errors.push(unknown('supportBadges', strangers))
  if (errors.length > 0) throw invalid(...errors)
}

const unknown = (field: string, value: unknown) => ({
  message: 'Unexpected value or invalid argument',
  field,
  value,
})
