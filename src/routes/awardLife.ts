import { Hono } from 'hono'
import * as z from 'zod'
import { awardable } from '../awarding'
import type { Env } from '../env'
import { conflict, invalid } from '../errors'
import { evidence, narrative } from '../evidenceField'
import { ListQuery, listOf, sendList } from '../lists'
import { inInstance, inPastInstance } from '../scope'
import { about, body, query } from '../spec'
import { amend, type ChangeRow, listChanges, reinstate, renew, suspend } from '../store/awardLife'
import type { InstanceRow } from '../store/instances'
import { assertionPath } from '../urls'
import { optionalText, reasonText, timestamp } from '../values'
import { AwardChange, viewChange } from '../views/awardChanges'
import { viewBadge } from '../views/badges'
import { evidenceOf, Instance, tellOf, viewInstance, viewLinked } from '../views/instances'

const ITEM = '/badges/:badge/instances/:email'

const Reason = z.object({ reason: reasonText() })
const Amendment = Reason.extend({ narrative: narrative(), evidence: evidence() })
const Renewal = z.object({
  issuedOn: timestamp(),
  expires: timestamp(),
  comment: optionalText(),
  narrative: narrative(),
  evidence: evidence(),
})
const Changed = z.object({ status: z.string(), instance: Instance })

/** What becomes of an award while it stands. */
export const awardLife = new Hono<Env>()
  .put(
    ITEM,
    about('Amend how an award was earned', Changed),
    inInstance,
    body(Amendment),
    async (c) => {
      const { scope, caller } = c.var
      const { reason, ...given } = c.req.valid('json')
      const { badge, instance } = await scope.with()
      if (given.narrative === undefined && given.evidence === undefined) {
        const message = 'Say what to amend: `narrative`, `evidence` or both'
        throw invalid({ message, field: 'narrative', value: '' })
      }
      const origin = c.env.PUBLIC_ORIGIN
      const shown = viewBadge(badge, origin)
      const before = viewInstance(instance, null, origin, badge.imageType)
      const told = (after: Pick<InstanceRow, 'narrative' | 'evidence'>) => ({
        ...tellOf(before),
        narrative: after.narrative,
        evidence: evidenceOf(after),
      })
      const amendment = { ...given, reason: reason ?? null }
      const row = await amend(caller, instance, shown, told, amendment)
      if (!row) {
        await scope.with()
        throw conflict('The award has been changed meanwhile')
      }
      return c.json({
        status: 'updated',
        instance: viewLinked(row, null, origin, badge.imageType),
      })
    },
  )

  .post(
    `${ITEM}/renew`,
    about('Renew an award', Changed, { status: 201 }),
    inInstance,
    body(Renewal),
    async (c) => {
      const { scope, caller } = c.var
      const origin = c.env.PUBLIC_ORIGIN
      const badge = await awardable(scope, origin)
      const { instance } = badge.found
      const told = tellOf(viewInstance(instance, null, origin, badge.row.imageType))
      const row = await renew(caller, badge, instance, told, c.req.valid('json'))
      if (!row) {
        await scope.with()
        throw conflict('A suspended award is not renewed')
      }
      c.header('Location', assertionPath(row.slug))
      const shown = viewLinked(row, null, origin, badge.row.imageType)
      return c.json({ status: 'created', instance: shown }, 201)
    },
  )

  .get(
    `${ITEM}/history`,
    about('List what was done with awards of a badge to an earner', listOf('changes', AwardChange)),
    inPastInstance,
    query(ListQuery),
    (c) => {
      const { scope } = c.var
      const email = c.req.param('email')
      const list = listChanges(scope.badgeId, scope.container.systemId, email)
      const view = (row: ChangeRow) => viewChange(row)
      return sendList(c, scope, () => ({ plural: 'changes', view }), list)
    },
  )

for (const [verb, change, status, refusal] of [
  ['suspend', suspend, 'suspended', 'The award is suspended already'],
  ['reinstate', reinstate, 'reinstated', 'The award is not suspended'],
] as const) {
  awardLife.post(
    `${ITEM}/${verb}`,
    about(verb === 'suspend' ? 'Suspend an award' : 'Reinstate an award', Changed),
    inInstance,
    body(Reason),
    async (c) => {
      const { scope, caller } = c.var
      const { badge, instance } = await scope.with()
      const origin = c.env.PUBLIC_ORIGIN
      const shown = viewBadge(badge, origin)
      const told = {
        instance: tellOf(viewInstance(instance, null, origin, badge.imageType)),
        badge: shown,
      }
      const row = await change(caller, instance, told, c.req.valid('json').reason ?? null)
      if (!row) {
        await scope.with()
        throw conflict(refusal)
      }
      return c.json({ status, instance: viewLinked(row, null, origin, badge.imageType) })
    },
  )
}
