import { Hono } from 'hono'
import * as z from 'zod'
import type { Env } from '../env'
import { conflict, invalid, notFound } from '../errors'
import { readFields } from '../fields'
import { inBadge, type Scope } from '../scope'
import { about, body } from '../spec'
import type { BadgeRow } from '../store/badges'
import { award, findInstance, type Refusal, revoke } from '../store/instances'
import { assertionPath } from '../urls'
import { email, optionalText, timestamp } from '../values'
import { viewBadge } from '../views/badges'
import { Instance, viewInstance } from '../views/instances'

const NewInstance = z.object({
  email: email(),
  slug: optionalText(255),
  issuedOn: timestamp(),
  expires: timestamp(),
  comment: optionalText(),
})
const One = z.object({ instance: Instance })
const Changed = z.object({ status: z.string(), instance: Instance })

/** The most characters that a reason for a revocation may have. */
const MAX_REASON = 500

export const instances = new Hono<Env>()
  .post(
    '/badges/:badge/instances',
    about('Award a badge', Changed, { status: 201 }),
    inBadge,
    body(NewInstance),
    async (c) => {
      const { scope, caller } = c.var
      const origin = c.env.PUBLIC_ORIGIN
      const { slug, ...input } = c.req.valid('json')
      const { badge } = await scope.with()
      const result = await award(caller, badge, viewBadge(badge, origin), {
        ...input,
        slug: slug || null,
      })
      if ('refused' in result) throw refusal(result, input.email, badge.slug, origin)
      c.header('Location', assertionPath(result.row.slug))
      return c.json({ status: 'created', instance: viewInstance(result.row, null, origin) }, 201)
    },
  )

  .get('/badges/:badge/instances/:email', about('Show an award', One), inBadge, async (c) => {
    const { badge, row } = await load(c.var.scope, c.req.param('email'))
    const origin = c.env.PUBLIC_ORIGIN
    return c.json({ instance: viewInstance(row, viewBadge(badge, origin), origin) })
  })

  .delete(
    '/badges/:badge/instances/:email',
    about('Revoke an award', Changed),
    inBadge,
    async (c) => {
      const { scope, caller } = c.var
      const reason = readReason(
        c.req.query('reason') ?? (await bodyReason(c.req.header('Content-Type'), c.var.raw)),
      )
      const { badge, row } = await load(scope, c.req.param('email'))
      const origin = c.env.PUBLIC_ORIGIN
      const shown = viewBadge(badge, origin)
      const instance = viewInstance(row, null, origin)
      if (!(await revoke(caller, row, shown, instance, reason))) {
        throw notFound('badgeInstance', 'email', c.req.param('email'))
      }
      return c.json({ status: 'deleted', instance: viewInstance(row, shown, origin) })
    },
  )

async function load(scope: Scope<BadgeRow>, email: string) {
  const { systemId } = scope.container
  const { badge, rows } = await scope.with(findInstance(scope.badgeId, systemId, email))
  const row = rows[0][0]
  if (!row) throw notFound('badgeInstance', 'email', email)
  return { badge, row }
}

/** What a refused award is answered with: contract §5.2. */
function refusal(result: Refusal, email: string, badge: string, origin: string) {
  switch (result.refused) {
    case 'held':
      return conflict(`User ${email} has already been awarded badge ${badge}`, {
        assertionUrl: origin + assertionPath(result.slug),
      })
    case 'slug':
      return conflict('badgeInstance with that `slug` already exists')
    case 'full':
      return conflict(`Badge ${badge} has reached its limit of ${result.limit}`)
    case 'gone':
      return notFound('badge', 'slug', badge)
  }
}

/** The member `reason` of a body that the token covers; any other body of a DELETE has been left out by then. */
async function bodyReason(type: string | undefined, raw: Uint8Array<ArrayBuffer>) {
  return raw.length > 0 ? (await readFields(type, raw)).reason : undefined
}

function readReason(given: unknown): string | null {
  const result = optionalText(MAX_REASON).safeParse(given)
  if (result.success) return result.data ?? null
  throw invalid({ message: 'String is not in range', field: 'reason', value: given })
}
