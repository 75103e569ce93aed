import * as z from 'zod'
import type { Columns } from '../exports'
import { dateOf, INTERVALS, type Interval } from '../periods'
import type { Happening, StandingRow, TallyRow } from '../store/tallies'

const Happened = {
  awarded: z.int(),
  revoked: z.int(),
  codes: z.int(),
  claimed: z.int(),
  applied: z.int(),
  processed: z.int(),
}

const Point = z.object({ start: z.string().meta({ format: 'date' }), ...Happened })
type Point = z.infer<typeof Point>

export const Stats = z.object({
  interval: z.enum(INTERVALS),
  /** What there is now, and what has ever happened. */
  totals: z.object({ badges: z.int(), held: z.int(), open: z.int(), ...Happened }),
  /** What happened in each interval; the oldest first. */
  series: z.array(Point),
})

export const pointColumns = Object.fromEntries(
  Object.keys(Point.shape).map((name) => [name, (point: Point) => point[name as keyof Point]]),
) as Columns<Point>

const NAMES = Object.keys(Happened) as Happening[]
const perName = (value: (name: Happening) => number) =>
  Object.fromEntries(NAMES.map((name) => [name, value(name)])) as Record<Happening, number>

/**
 * @param days on which the intervals begin, and the day after the last
 * @param ever the day before which everything has happened
 */
export function viewStats(
  interval: Interval,
  days: readonly number[],
  ever: number,
  tallies: readonly TallyRow[],
  standing: StandingRow | undefined,
): z.infer<typeof Stats> {
  const before = new Map(tallies.map(({ day, what, n }) => [`${what} ${day}`, n]))
  const countOf = (name: Happening, day: number) => before.get(`${name} ${day}`) ?? 0
  const { badges = 0, held = 0, open = 0 } = standing ?? {}
  const series = days.slice(1).map((end, i) => {
    const start = days[i] ?? end
    return { start: dateOf(start), ...perName((name) => countOf(name, end) - countOf(name, start)) }
  })
  const totals = { badges, held, open, ...perName((name) => countOf(name, ever)) }
  return { interval, totals, series }
}
