import { Hono } from 'hono'
import * as z from 'zod'
import { awardable, refusal } from '../awarding'
import type { Env } from '../env'
import { ApiError, invalid } from '../errors'
import { sendVersion } from '../etag'
import { evidence, narrative } from '../evidenceField'
import { FILES } from '../exports'
import { readFields } from '../fields'
import { FileQuery, listOf, sendList, sendListWithBadges } from '../lists'
import { inContainer, inInstance, inPicturedBadge, type PicturedBadge } from '../scope'
import { about, body, query } from '../spec'
import { noSuchCode } from '../store/codeMisses'
import {
  AWARD_STATES,
  type AwardFilter,
  award,
  awardMany,
  type InstanceRow,
  listAwards,
  listInstances,
  listInstancesOf,
  revoke,
} from '../store/instances'
import { assertionPath } from '../urls'
import {
  dateParameter,
  email,
  optionalFlag,
  optionalText,
  reasonText,
  timestamp,
  wordParameter,
} from '../values'
import { viewBadge } from '../views/badges'
import {
  Instance,
  instanceColumns,
  listedWithBadges,
  tellOf,
  viewInstance,
  viewListed,
  viewOne,
} from '../views/instances'

const shared = {
  issuedOn: timestamp(),
  expires: timestamp(),
  comment: optionalText(),
  narrative: narrative(),
  evidence: evidence(),
}
const NewInstance = z.object({
  email: email(),
  slug: optionalText(255),
  claimCode: optionalText(255),
  repeat: optionalFlag(),
  ...shared,
})

const MAX_EMAILS = 10_000
/** What is no list at all is told by the handler, in a form of its own (contract §4.4). */
const NewInstances = z
  .object({
    emails: z
      .unknown()
      .meta({ type: 'array', items: { type: 'string', format: 'email' } })
      .optional(),
    ...shared,
  })
  .meta({ required: ['emails'] })

/** Which awards a list shows. */
const Filter = FileQuery.extend({
  state: wordParameter(
    'state',
    AWARD_STATES,
    '`live` unless given: `valid` or `expired`, but not `revoked`',
  ),
  since: dateParameter('since', 'Issued then or later'),
  until: dateParameter('until', 'Issued before then'),
})

const filterOf = ({ state, since, until }: z.infer<typeof Filter>, now: number): AwardFilter => ({
  state: state ?? 'live',
  since,
  until,
  now,
})

const One = z.object({ instance: Instance })
const Changed = z.object({ status: z.string(), instance: Instance })

export const instances = new Hono<Env>()
  .get(
    '/badges/:badge/instances',
    about('List the awards of a badge', listOf('instances', Instance), { files: FILES }),
    inPicturedBadge,
    query(Filter),
    (c) => {
      const { scope } = c.var
      const filter = filterOf(c.req.valid('query'), c.var.now)
      const origin = c.env.PUBLIC_ORIGIN
      const answer = ({ badge }: { badge: PicturedBadge }) => {
        const shown = viewBadge(badge, origin)
        return {
          plural: 'instances',
          columns: instanceColumns,
          view: (row: InstanceRow) => viewListed(row, shown, origin, badge.imageType),
        }
      }
      return sendList(c, scope, answer, listInstances(scope.badgeId, filter))
    },
  )

  .post(
    '/badges/:badge/instances',
    about('Award a badge', Changed, { status: 201 }),
    inPicturedBadge,
    body(NewInstance),
    async (c) => {
      const { scope, caller } = c.var
      const origin = c.env.PUBLIC_ORIGIN
      const input = c.req.valid('json')
      const badge = await awardable(scope, origin)
      const result = await award(caller, badge, {
        ...input,
        slug: input.slug || null,
        claimCode: input.claimCode || null,
        repeat: input.repeat ?? false,
      })
      if ('refused' in result) {
        if (result.refused === 'no code') {
          throw await noSuchCode(caller, badge.row.id, input.claimCode ?? '')
        }
        throw refusal(result, badge.row.slug, origin, input, c.var.now)
      }
      c.header('Location', assertionPath(result.row.slug))
      const instance = viewInstance(result.row, null, origin, badge.row.imageType)
      return c.json({ status: 'created', instance }, 201)
    },
  )

  .post(
    '/badges/:badge/instances/bulk',
    about('Award a badge to many', z.object({ status: z.string(), instances: z.array(Instance) }), {
      status: 201,
    }),
    inPicturedBadge,
    body(NewInstances),
    async (c) => {
      const { scope, caller } = c.var
      const origin = c.env.PUBLIC_ORIGIN
      const input = c.req.valid('json')
      const badge = await awardable(scope, origin)
      const emails = readEmails(input.emails)
      const result = await awardMany(caller, badge, emails, input)
      if ('refused' in result) throw refusal(result, badge.row.slug, origin)
      const { imageType } = badge.row
      const instances = result.rows.map((row) => viewInstance(row, null, origin, imageType))
      return c.json({ status: 'created', instances }, 201)
    },
  )

  .get('/badges/:badge/instances/:email', about('Show an award', One), inInstance, async (c) => {
    const { badge, instance } = await c.var.scope.with()
    const origin = c.env.PUBLIC_ORIGIN
    const shown = viewOne(instance, viewBadge(badge, origin), origin, badge.imageType)
    return sendVersion(c, instance, { instance: shown })
  })

  .delete(
    '/badges/:badge/instances/:email',
    about('Revoke an award', Changed),
    inInstance,
    query(z.object({ reason: z.string().optional() })),
    async (c) => {
      const { scope, caller } = c.var
      const { badge, instance: row } = await scope.with()
      const type = c.req.header('Content-Type')
      const reason = readReason(c.req.valid('query').reason ?? (await bodyReason(type, c.var.raw)))
      const origin = c.env.PUBLIC_ORIGIN
      const shown = viewBadge(badge, origin)
      const instance = viewInstance(row, shown, origin, badge.imageType)
      if (!(await revoke(caller, row, { row: badge, shown }, tellOf(instance), reason)))
        await scope.with()
      return c.json({ status: 'deleted', instance })
    },
  )

  .get(
    '/instances',
    about('List awards', listOf('instances', Instance), { files: FILES }),
    inContainer,
    query(Filter),
    (c) => {
      const { scope } = c.var
      const list = listAwards(scope.container, filterOf(c.req.valid('query'), c.var.now))
      return sendListWithBadges(c, scope, listedWithBadges(c.env.PUBLIC_ORIGIN), list)
    },
  )

  .get(
    '/instances/:email',
    about("List an earner's awards", listOf('instances', Instance), { files: FILES }),
    inContainer,
    query(Filter),
    (c) => {
      const { scope } = c.var
      const filter = filterOf(c.req.valid('query'), c.var.now)
      const list = listInstancesOf(scope.container, c.req.param('email'), filter)
      return sendListWithBadges(c, scope, listedWithBadges(c.env.PUBLIC_ORIGIN), list)
    },
  )

/** The addresses of a bulk award. Throws for what is no list, for too many, and for each that is no address. */
function readEmails(given: unknown): string[] {
  if (!Array.isArray(given)) {
    throw new ApiError(400, 'InvalidParameter', 'Invalid value for "emails".  Expected array.', {
      parameter: 'emails',
    })
  }
  if (given.length > MAX_EMAILS) {
    const message = `More than ${MAX_EMAILS} addresses`
    throw invalid({ message, field: 'emails', value: given.length })
  }
  const schema = email()
  const wrong = given.flatMap((value, i) => {
    const { error } = schema.safeParse(value)
    const message = error?.issues[0]?.message
    return message === undefined ? [] : [{ message, field: `emails[${i}]`, value: value || '' }]
  })
  if (wrong.length > 0) throw invalid(...wrong)
  return given.map(String)
}

/** The member `reason` of a body that the token covers; any other body of a DELETE has been left out by then. */
async function bodyReason(type: string | undefined, raw: Uint8Array<ArrayBuffer>) {
  return raw.length > 0 ? (await readFields(type, raw)).reason : undefined
}

function readReason(given: unknown): string | null {
  const result = reasonText().safeParse(given)
  if (result.success) return result.data ?? null
  throw invalid({ message: 'String is not in range', field: 'reason', value: given })
}
