import { type Context, Hono } from 'hono'
import * as z from 'zod'
import type { Env } from '../env'
import { invalidParameter } from '../errors'
import { formOf } from '../exports'
import { INTERVALS, intervalsOf, MAX_INTERVALS } from '../periods'
import { inBadge, inContainer, type Scope } from '../scope'
import { about, query } from '../spec'
import { EVER, standing, talliesBefore } from '../store/tallies'
import { dateParameter, wordParameter } from '../values'
import { pointColumns, Stats, viewStats } from '../views/stats'

const Asked = z.object({
  interval: wordParameter(
    'interval',
    INTERVALS,
    'A day unless given, of UTC; weeks begin on Mondays',
  ),
  since: dateParameter('since', 'In the first interval; 29 before the last one unless given'),
  until: dateParameter('until', 'After the last interval, or in it; now unless given'),
  format: wordParameter('format', ['json', 'csv'], 'The series as a file: `csv`'),
})
const Shown = z.object({ stats: Stats })

/** How much has been awarded, revoked, claimed and applied for. */
export const stats = new Hono<Env>()
  .get(
    '/stats',
    about('Show the statistics of a container', Shown, { files: ['text/csv'] }),
    inContainer,
    query(Asked),
    (c) => send(c, c.var.scope, false, c.req.valid('query')),
  )

  .get(
    '/badges/:badge/stats',
    about('Show the statistics of a badge', Shown, { files: ['text/csv'] }),
    inBadge,
    query(Asked),
    (c) => send(c, c.var.scope, true, c.req.valid('query')),
  )

async function send(
  c: Context,
  { container, badgeId, with: find }: Scope<unknown>,
  isOfBadge: boolean,
  { interval, since, until, format }: z.infer<typeof Asked>,
) {
  const each = interval ?? 'day'
  const days = intervalsOf(each, { since, until, now: c.var.now })
  if (!days) {
    await find()
    throw invalidParameter(
      'since',
      `Invalid \`since\` parameter. Expecting one with at most ${MAX_INTERVALS} intervals after it.`,
    )
  }
  const of = isOfBadge ? badgeId : null
  const { rows } = await find(
    talliesBefore(container, of, [...days, EVER]),
    standing(container, of),
  )
  const shown = viewStats(each, days, EVER, rows[0], rows[1][0])
  if (format !== 'csv') return c.json({ stats: shown })
  const { type, start, entry } = formOf('csv', { columns: pointColumns })
  c.header('Content-Disposition', 'attachment; filename="stats.csv"')
  return c.body(start + shown.series.map(entry).join(''), 200, { 'Content-Type': type })
}
