import * as z from 'zod'
import type { WebhookRow } from '../store/webhooks'
import { iso } from './times'

/** A receiver of events. `secret` is told when it is made, and never again. */
export const Webhook = z
  .object({
    id: z.int(),
    url: z.string(),
    secret: z.string().optional(),
    events: z.array(z.string()).nullable(),
    format: z.enum(['badgekit-1', 'events-1']),
    state: z.enum(['active', 'disabled']),
    created: z.iso.datetime(),
    disabledAt: z.iso.datetime().optional(),
    disabledReason: z.string().optional(),
  })
  .meta({ id: 'Webhook' })

export type Webhook = z.infer<typeof Webhook>

export const viewWebhook = (row: WebhookRow, secret?: string): Webhook => ({
  id: row.id,
  url: row.url,
  ...(secret !== undefined && { secret }),
  events: row.events === null ? null : JSON.parse(row.events),
  format: row.format,
  state: row.state,
  created: iso(row.createdAt),
  ...(row.disabledAt !== null && {
    disabledAt: iso(row.disabledAt),
    disabledReason: row.disabledReason ?? '',
  }),
})
