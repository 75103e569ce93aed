import { Hono } from 'hono'
import * as z from 'zod'
import type { Env } from '../env'
import { conflict } from '../errors'
import { EVENT_WORDS, type EventType, messageOf } from '../events'
import { inContainer, inDelivery } from '../scope'
import { about, query } from '../spec'
import {
  listDeliveries,
  listEvents,
  type NotAgain,
  nextPage,
  PAGE,
  redeliver,
} from '../store/deliveryLog'
import { dateParameter, numberParameter, wordParameter } from '../values'
import {
  Delivery,
  DeliveryWithLog,
  SystemEvent,
  viewDelivery,
  viewDeliveryWithLog,
} from '../views/deliveries'

const DeliveryQuery = z.object({
  state: wordParameter('state', ['pending', 'delivered', 'exhausted', 'cancelled']),
  webhook: numberParameter('webhook', { type: 'integer' }),
  type: wordParameter('type', Object.keys(EVENT_WORDS) as EventType[]),
  since: dateParameter('since'),
  cursor: numberParameter('cursor', { description: 'The `next` of the last page' }),
})
const EventQuery = z.object({
  after: numberParameter('after', { type: 'integer', description: 'The `next` of the last page' }),
})

const LIST = '/systems/:system/deliveries'
const ITEM = `${LIST}/:delivery`

const REFUSALS: Record<NotAgain, string> = {
  'under way': 'The delivery is being sent',
  webhook: 'The webhook is disabled or deleted',
  message: 'The message of this event is no longer kept',
}

/** The log of what was sent, and the events themselves. */
export const deliveries = new Hono<Env>()
  .get(
    LIST,
    about(
      'List deliveries',
      z.object({ deliveries: z.array(Delivery), next: z.string().nullable() }),
    ),
    inContainer,
    query(DeliveryQuery),
    async (c) => {
      const { scope } = c.var
      const { cursor, ...filter } = c.req.valid('query')
      const [found, page] = listDeliveries(scope.container.systemId, filter, cursor)
      const { rows } = await scope.with(found, page)
      const next = rows[1][0] ? nextPage(rows[0], rows[1][0], filter.since) : null
      return c.json({
        deliveries: rows[0].slice(0, PAGE).map(viewDelivery),
        next: next === null ? null : String(next),
      })
    },
  )

  .get(
    ITEM,
    about('Show a delivery', z.object({ delivery: DeliveryWithLog })),
    inDelivery,
    async (c) => {
      const { delivery } = await c.var.scope.with()
      return c.json({ delivery: viewDeliveryWithLog(delivery) })
    },
  )

  .post(
    `${ITEM}/redeliver`,
    about('Send a delivery again', z.object({ status: z.string(), delivery: Delivery }), {
      status: 202,
    }),
    inDelivery,
    async (c) => {
      const { scope, caller } = c.var
      const { delivery } = await scope.with()
      const result = await redeliver(caller, delivery)
      if ('row' in result) {
        return c.json({ status: 'queued', delivery: viewDelivery(result.row) }, 202)
      }
      throw conflict(REFUSALS[result.refused])
    },
  )

  .get(
    '/systems/:system/events',
    about(
      'Read the events of a system',
      z.object({ events: z.array(SystemEvent), next: z.string() }),
    ),
    inContainer,
    query(EventQuery),
    async (c) => {
      const { scope } = c.var
      const after = c.req.valid('query').after ?? 0
      const { rows } = await scope.with(listEvents(scope.container.systemId, after))
      const events = rows[0].map((event) => JSON.parse(messageOf(event, 'events-1')))
      return c.json({ events, next: String(rows[0].at(-1)?.seq ?? after) })
    },
  )
