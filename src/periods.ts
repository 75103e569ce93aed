/** Stretches of time for statistics, in whole days of UTC. */

export const INTERVALS = ['day', 'week', 'month'] as const
export type Interval = (typeof INTERVALS)[number]

const DAY = 86_400_000
/** Days since 1970, UTC. */
export const dayOf = (at: number) => Math.floor(at / DAY)
/** `2026-11-25`. */
export const dateOf = (day: number) => new Date(day * DAY).toISOString().split('T')[0] ?? ''

/** The day `by` intervals after the start of the one in which a day is. Weeks begin on Mondays. */
function startOf(interval: Interval, day: number, by = 0): number {
  if (interval === 'day') return day + by
  // 1970 began on a Thursday.
  if (interval === 'week') return day - ((((day + 3) % 7) + 7) % 7) + 7 * by
  const date = new Date(day * DAY)
  date.setUTCMonth(date.getUTCMonth() + by, 1)
  return dayOf(date.getTime())
}

/** The most intervals that an answer tells of. */
export const MAX_INTERVALS = 400
const USUAL_INTERVALS = 30

/**
 * The days on which the intervals between two moments begin, and the day after the last; null when there are too many. Both
 * intervals are whole: that of `since`, and that of the moment before `until`.
 */
export function intervalsOf(
  interval: Interval,
  { since, until, now }: { since: number | null; until: number | null; now: number },
): number[] | null {
  const last = dayOf(until === null ? now : until - 1)
  const first =
    since === null ? startOf(interval, last, 1 - USUAL_INTERVALS) : startOf(interval, dayOf(since))
  const days = [first]
  for (let day = first; day <= last; ) {
    if (days.length > MAX_INTERVALS) return null
    day = startOf(interval, day, 1)
    days.push(day)
  }
  return days
}
