import * as z from 'zod'
import { MOST_COUNTED } from '../reviewQueue'
import type { WaitingRow } from '../store/reviewQueue'
import { iso } from './times'

/** What waits for a badge. */
export const Waiting = z
  .object({
    badge: z.string(),
    name: z.string(),
    waiting: z.int(),
    /** How many of them nobody holds at this moment. */
    free: z.int(),
    more: z.boolean(),
    oldest: z.iso.datetime(),
  })
  .meta({ id: 'Waiting' })

export const viewWaiting = ({ slug, name, waiting, free, oldest }: WaitingRow) => ({
  badge: slug,
  name,
  waiting: Math.min(waiting, MOST_COUNTED),
  free: Math.min(free, MOST_COUNTED),
  more: waiting > MOST_COUNTED,
  oldest: iso(oldest),
})
