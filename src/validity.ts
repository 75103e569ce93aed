import { type SQL, sql } from 'drizzle-orm'

/** How long awards of a badge are good: `P90D`, `P6W`, `P18M`, `P2Y`. Months and years are those of the calendar, in UTC. */

export const DURATION = /^P([1-9]\d{0,4})([DWMY])$/
const DAY = 86_400_000
/** A century, in each unit. */
const MOST = { D: 36_525, W: 5_217, M: 1_200, Y: 100 }
const YEAR_9999 = Date.parse('9999-12-31T23:59:59.999Z')

type Validity = { days: number } | { months: number }

/** Reads a duration; null for what is none, or is longer than a century. */
export function readValidity(given: string): Validity | null {
  const [, digits, unit] = DURATION.exec(given) ?? []
  const n = Number(digits)
  if (!unit || n > MOST[unit as keyof typeof MOST]) return null
  if (unit === 'D' || unit === 'W') return { days: unit === 'D' ? n : 7 * n }
  return { months: unit === 'M' ? n : 12 * n }
}

/** When an award ends that was issued then, in milliseconds; null when its badge says nothing of it. */
export function expiryOf(validFor: string | null, issuedOn: number): number | null {
  const validity = validFor === null ? null : readValidity(validFor)
  if (!validity) return null
  if ('days' in validity) return Math.min(issuedOn + validity.days * DAY, YEAR_9999)
  const end = new Date(issuedOn)
  const day = end.getUTCDate()
  end.setUTCDate(1)
  end.setUTCMonth(end.getUTCMonth() + validity.months)
  // Where the month is too short, its last day.
  const last = new Date(end)
  last.setUTCMonth(last.getUTCMonth() + 1, 0)
  end.setUTCDate(Math.min(day, last.getUTCDate()))
  return Math.min(end.getTime(), YEAR_9999)
}

/** The same in SQL, of a column of milliseconds. */
export function expirySql(validFor: string | null, issuedOn: SQL): SQL {
  const validity = validFor === null ? null : readValidity(validFor)
  if (!validity) return sql`null`
  if ('days' in validity) return sql`min(${issuedOn} + ${validity.days * DAY}, ${YEAR_9999})`
  const { months } = validity
  const time = sql`(((${issuedOn}) % ${DAY} + ${DAY}) % ${DAY})`
  const day = sql`((${issuedOn}) - ${time}) / 1000`
  // Beyond what SQLite knows of the calendar it is null.
  return sql`min(coalesce(min(
    unixepoch(${day}, 'unixepoch', ${`+${months} months`}),
    unixepoch(${day}, 'unixepoch', 'start of month', ${`+${months + 1} months`}, '-1 day')) * 1000 + ${time},
    ${YEAR_9999}), ${YEAR_9999})`
}
