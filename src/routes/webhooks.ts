import { Hono } from 'hono'
import * as z from 'zod'
import { deliver } from '../deliver'
import type { Bindings, Env } from '../env'
import { conflict, invalid, notFound, taken, unavailable } from '../errors'
import { sendVersion } from '../etag'
import { EVENT_WORDS, wordOf } from '../events'
import { allowedTargets, refuseTarget } from '../outbound'
import type { Attempt } from '../retries'
import { inContainer, inWebhook } from '../scope'
import { about, body } from '../spec'
import type { Db } from '../store/db'
import { type Ping, ping, recover } from '../store/deliveryLog'
import {
  createWebhook,
  deleteWebhook,
  listWebhooks,
  MAX_SECRETS,
  promoteSecret,
  retireSecrets,
  rotateSecret,
  updateWebhook,
} from '../store/webhooks'
import { itemsOf, moment, optionalInt, optionalOneOf, text, timestamp } from '../values'
import { DeliveryAttempt, viewAttempt } from '../views/deliveries'
import { viewWebhook, Webhook } from '../views/webhooks'

const NAMES = Object.entries(EVENT_WORDS).flat()
const UNEXPECTED = 'Unexpected value or invalid argument'

/** An event by its type or by its word; the word is kept. */
const eventName = z
  .enum(NAMES as [string, ...string[]], UNEXPECTED)
  .transform((name) => wordOf(name) ?? name)
const events = itemsOf(eventName).transform((names) => names && [...new Set(names)])
const secret = text(1, 255).nullish()
const fields = { events, format: optionalOneOf(['badgekit-1', 'events-1']) }

const NewWebhook = z.object({ url: text(1, 2_000), secret, ...fields })
const WebhookChange = z.object({
  url: text(1, 2_000).optional(),
  ...fields,
  state: optionalOneOf(['active', 'disabled']),
})

const DAY = 86_400
/** Seconds for which the secrets that stood before a rotation go on signing, unless the request says otherwise. */
const GRACE = DAY
const MAX_GRACE = 7 * DAY
const grace = optionalInt().refine(
  (seconds) => seconds == null || (seconds >= 0 && seconds <= MAX_GRACE),
  `Seconds from 0 to ${MAX_GRACE}`,
)
const Rotation = z.object({ secret, grace })
const Recovery = z.object({ since: moment(), until: timestamp() })

const Changed = z.object({ status: z.string(), webhook: Webhook })
const LIST = '/systems/:system/webhooks'
const ITEM = `${LIST}/:webhook`

/** A system's webhooks: BadgeKit kept them in a table by hand. */
export const webhooks = new Hono<Env>()
  .get(
    LIST,
    about('List webhooks', z.object({ webhooks: z.array(Webhook) })),
    inContainer,
    async (c) => {
      const { scope } = c.var
      const { rows } = await scope.with(listWebhooks(scope.container.systemId))
      return c.json({ webhooks: rows[0].map((row) => viewWebhook(row)) })
    },
  )

  .post(
    LIST,
    about('Register a webhook', Changed, { status: 201 }),
    inContainer,
    body(NewWebhook),
    async (c) => {
      const { scope, caller } = c.var
      const input = c.req.valid('json')
      const { at } = await scope.with()
      checkTarget(c.env, input.url)
      const made = await createWebhook(caller, at.systemId, input)
      if (!made) {
        await scope.with()
        throw taken('webhook', 'url', { url: input.url })
      }
      return c.json({ status: 'created', webhook: viewWebhook(made.row, made.secret) }, 201)
    },
  )

  .get(ITEM, about('Show a webhook', z.object({ webhook: Webhook })), inWebhook, async (c) => {
    const { webhook } = await c.var.scope.with()
    return sendVersion(c, webhook, { webhook: viewWebhook(webhook) })
  })

  .put(ITEM, about('Change a webhook', Changed), inWebhook, body(WebhookChange), async (c) => {
    const { scope, caller } = c.var
    const input = c.req.valid('json')
    const { webhook } = await scope.with()
    if (input.url !== undefined) checkTarget(c.env, input.url)
    const row = await updateWebhook(caller, webhook, input)
    if (!row) {
      await scope.with()
      throw taken('webhook', 'url', { url: input.url })
    }
    return c.json({ status: 'updated', webhook: viewWebhook(row) })
  })

  .delete(ITEM, about('Delete a webhook', Changed), inWebhook, async (c) => {
    const { scope, caller } = c.var
    const { webhook } = await scope.with()
    if (!(await deleteWebhook(caller, webhook))) await scope.with()
    return c.json({ status: 'deleted', webhook: viewWebhook(webhook) })
  })

  .post(
    `${ITEM}/test`,
    about(
      'Test a webhook',
      z.object({ status: z.enum(['sent', 'failed']), attempt: DeliveryAttempt }),
    ),
    inWebhook,
    async (c) => {
      const { scope, caller, db } = c.var
      const { webhook } = await scope.with()
      const made = await ping(caller, webhook)
      const attempt = made && (await attemptOf(db, c.env, made))
      if (!attempt) {
        await scope.with()
        throw unavailable('The test is being sent already')
      }
      const isSent = attempt.status !== null && attempt.status >= 200 && attempt.status < 300
      return c.json({ status: isSent ? 'sent' : 'failed', attempt: viewAttempt(1, attempt) })
    },
  )

  .post(
    `${ITEM}/secret/rotate`,
    about('Add a secret', Changed),
    inWebhook,
    body(Rotation),
    async (c) => {
      const { scope, caller } = c.var
      const { secret, grace } = c.req.valid('json')
      const { webhook } = await scope.with()
      const made = await rotateSecret(caller, webhook, secret, (grace ?? GRACE) * 1000)
      if (!made) {
        await scope.with()
        throw conflict(`A webhook has ${MAX_SECRETS} secrets at most: retire the old ones first`)
      }
      return c.json({ status: 'updated', webhook: viewWebhook(made.row, made.secret) })
    },
  )

  .post(
    `${ITEM}/recover`,
    about('Send again what failed', z.object({ status: z.string(), count: z.int() }), {
      status: 202,
    }),
    inWebhook,
    body(Recovery),
    async (c) => {
      const { scope, caller } = c.var
      const { since, until } = c.req.valid('json')
      const { webhook } = await scope.with()
      const count = await recover(caller, webhook, since, until ?? caller.now)
      if (count === null) {
        await scope.with()
        throw conflict('The webhook is disabled')
      }
      return c.json({ status: 'queued', count }, 202)
    },
  )

const ENDS = {
  promote: { summary: 'Sign with the newest secret', change: promoteSecret },
  retire: { summary: 'Retire all secrets but the newest', change: retireSecrets },
}
for (const [verb, { summary, change }] of Object.entries(ENDS)) {
  webhooks.post(`${ITEM}/secret/${verb}`, about(summary, Changed), inWebhook, async (c) => {
    const { webhook } = await c.var.scope.with()
    const row = await change(c.var.caller, webhook)
    if (!row) throw notFound('webhook', 'id', String(webhook.id))
    return c.json({ status: 'updated', webhook: viewWebhook(row) })
  })
}

/** The attempt of a test: made now, or, when the request is repeated, the one that was made. Null while somebody else makes it. */
async function attemptOf(db: Db, env: Bindings, { id, attempt }: Ping): Promise<Attempt | null> {
  if (attempt !== null) return JSON.parse(attempt)
  const result = await deliver(db, env, id, 'test')
  return result && 'attempt' in result ? result.attempt : null
}

function checkTarget(env: Bindings, url: string): void {
  const refused = refuseTarget(url, allowedTargets(env))
  if (refused) throw invalid({ message: refused, field: 'url', value: url })
}
