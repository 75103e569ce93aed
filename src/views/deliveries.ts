import * as z from 'zod'
import type { Attempt } from '../retries'
import type { DeliveryRow } from '../store/deliveryLog'
import { iso } from './times'

/** One event for one webhook. `nextAt` is null when nothing more will be sent. */
export const Delivery = z
  .object({
    id: z.int(),
    event: z.object({
      id: z.string(),
      type: z.string(),
      sequence: z.int(),
      subject: z.string(),
      created: z.iso.datetime(),
    }),
    webhook: z.int(),
    state: z.enum(['pending', 'delivered', 'exhausted', 'cancelled']),
    attempts: z.int(),
    nextAt: z.iso.datetime().nullable(),
  })
  .meta({ id: 'Delivery' })

/** One try: `status` is null when there was no answer, and `error` says why: `refused`, `timeout` or `network`. */
export const DeliveryAttempt = z
  .object({
    n: z.int(),
    at: z.iso.datetime(),
    ms: z.int(),
    status: z.int().nullable(),
    error: z.string().nullable(),
    answer: z.string().nullable(),
  })
  .meta({ id: 'DeliveryAttempt' })

/** A delivery with all that was tried. */
export const DeliveryWithLog = Delivery.extend({ log: z.array(DeliveryAttempt) }).meta({
  id: 'DeliveryWithLog',
})

/** An event as the feed and `events-1` webhooks show it. `data` is null when it is no longer kept. */
export const SystemEvent = z
  .object({
    id: z.string(),
    type: z.string(),
    timestamp: z.iso.datetime(),
    sequence: z.int(),
    data: z.looseObject({}).nullable(),
  })
  .meta({ id: 'Event' })

export const viewDelivery = (row: DeliveryRow): z.infer<typeof Delivery> => ({
  id: row.id,
  event: {
    id: row.eventId,
    type: row.type,
    sequence: row.seq,
    subject: row.subject,
    created: iso(row.eventAt),
  },
  webhook: row.webhookId,
  state: row.state,
  attempts: row.attempts,
  nextAt: row.state === 'pending' ? iso(row.nextAt) : null,
})

export const viewAttempt = (n: number, { at, ms, status, error, answer }: Attempt) => ({
  n,
  at: iso(at),
  ms,
  status,
  error,
  answer,
})

export const viewDeliveryWithLog = (row: DeliveryRow & { log: string }) => ({
  ...viewDelivery(row),
  log: (JSON.parse(row.log) as (Attempt & { n: number })[]).map(({ n, ...attempt }) =>
    viewAttempt(n, attempt),
  ),
})
