import { Hono } from 'hono'
import * as z from 'zod'
import { allowsLocal } from '../deliver'
import type { Env } from '../env'
import { invalid, taken } from '../errors'
import { EVENT_WORDS } from '../events'
import { refuseTarget } from '../outbound'
import { inContainer } from '../scope'
import { about, body } from '../spec'
import { createWebhook, listWebhooks } from '../store/webhooks'
import { ownHosts } from '../urls'
import { optionalOneOf, text } from '../values'
import { viewWebhook, Webhook } from '../views/webhooks'

const WORDS = Object.values(EVENT_WORDS)

const NewWebhook = z.object({
  url: text(1, 2_000),
  secret: text(1, 255).nullish(),
  events: z.array(z.enum(WORDS, 'Unexpected value or invalid argument')).nullish(),
  format: optionalOneOf(['badgekit-1', 'events-1']),
})

/** A system's webhooks: BadgeKit kept them in a table by hand. */
export const webhooks = new Hono<Env>()
  .get(
    '/systems/:system/webhooks',
    about('List webhooks', z.object({ webhooks: z.array(Webhook) })),
    inContainer,
    async (c) => {
      const { scope } = c.var
      const { rows } = await scope.with(listWebhooks(scope.container.systemId))
      return c.json({ webhooks: rows[0].map((row) => viewWebhook(row)) })
    },
  )

  .post(
    '/systems/:system/webhooks',
    about('Register a webhook', z.object({ status: z.string(), webhook: Webhook }), {
      status: 201,
    }),
    inContainer,
    body(NewWebhook),
    async (c) => {
      const { scope, caller } = c.var
      const input = c.req.valid('json')
      const { at } = await scope.with()
      const options = { allowLocal: allowsLocal(c.env), ownHosts: ownHosts(c.env) }
      const refused = refuseTarget(input.url, options)
      if (refused) throw invalid({ message: refused, field: 'url', value: input.url })
      const made = await createWebhook(caller, at.systemId, input)
      if (!made) {
        await scope.with()
        throw taken('webhook', 'url', { url: input.url })
      }
      return c.json({ status: 'created', webhook: viewWebhook(made.row, made.secret) }, 201)
    },
  )
