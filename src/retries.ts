import type { Bindings } from './env'

/** When a delivery is tried again, how long one try may take, and when a webhook is given a rest. Pure: no clock, no database. */

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** Milliseconds from a failed attempt to the next one: the second comes 5 s after the first, … 75 h 35 min in all. */
export const RETRY_AFTER = [
  5 * SECOND,
  30 * SECOND,
  5 * MINUTE,
  30 * MINUTE,
  2 * HOUR,
  5 * HOUR,
  10 * HOUR,
  14 * HOUR,
  20 * HOUR,
  24 * HOUR,
]
/** Each wait is stretched or shortened by up to a fifth, so that many who failed together do not return together. */
const JITTER = 0.2
/** The least wait after an answer that speaks of load: 429, 502, 503, 504, or none in time. */
const LOAD_WAIT = MINUTE
const LOAD = [429, 502, 503, 504]
/** A delivery is not given up before this age, however many attempts a dying worker has cost it. */
const PATIENCE = 72 * HOUR
/** After so many failures of its oldest event, younger events about the same subject no longer wait for it. */
export const HELD_FAILURES = 7

/** A webhook that has failed so often in a row rests for 1, 2, 4, … 30 minutes; then one attempt at a time tries it. */
export const BREAKER = { failures: 5, rest: MINUTE, longest: 30 * MINUTE }
/** A webhook is switched off when nothing but failures came of so many attempts in so long. */
export const GIVE_UP = { failures: 10, after: 5 * DAY }

/** How long one attempt may take; a webhook whose last attempt failed is given less until it succeeds. */
const TIMEOUT = 15 * SECOND
const SLOW_TIMEOUT = 5 * SECOND
/** The shortest that a timeout may become by `paceOf`. */
const LEAST_TIMEOUT = 400

/** How many times faster than in life the waits pass: `WEBHOOK_SPEED`, in local development. */
export const paceOf = (env: Bindings): number =>
  LOCAL_DEV ? Math.max(1, Number(env.WEBHOOK_SPEED) || 1) : 1

/** Milliseconds that an attempt may take, for a webhook whose last one failed or did not. */
export const timeoutOf = (isFailing: boolean, pace: number) =>
  Math.max(LEAST_TIMEOUT, (isFailing ? SLOW_TIMEOUT : TIMEOUT) / pace)

/** How long a worker may hold a delivery, in milliseconds: three times what an attempt may take. */
export const leaseOf = (pace: number) => 3 * timeoutOf(false, pace)

/** One try, as it was and as it is recorded. */
export type Attempt = {
  at: number
  ms: number
  status: number | null
  error: string | null
  answer: string | null
}

/** What an attempt led to. `nextAt` is the time of the next one. */
export type Outcome =
  | { state: 'delivered' }
  | { state: 'pending'; nextAt: number }
  | { state: 'exhausted' }
  | { state: 'gone' }

/** What `judge` must know of a delivery. */
export type Course = {
  /** Attempts so far, the judged one included, and since when; both since it was last asked for again. */
  attempts: number
  since: number
  /** Whether it is tried once only: a test. */
  isTest: boolean
}

/**
 * What the answer of an attempt means: any 2xx is success, 410 ends the webhook, all else follows the schedule.
 *
 * @param retryAfter the answer's `Retry-After`, honoured from the scheduled wait to twice that
 */
export function judge(
  attempt: Attempt,
  { attempts, since, isTest }: Course,
  retryAfter: string | null = null,
  pace = 1,
  random = Math.random(),
): Outcome {
  const { status } = attempt
  if (status !== null && status >= 200 && status < 300) return { state: 'delivered' }
  if (isTest) return { state: 'exhausted' }
  if (status === 410) return { state: 'gone' }
  const ended = attempt.at + attempt.ms
  const isLast = attempts > RETRY_AFTER.length
  if (isLast && ended - since >= PATIENCE / pace) return { state: 'exhausted' }
  const scheduled = RETRY_AFTER[Math.min(attempts, RETRY_AFTER.length) - 1] ?? 0
  const isLoad = attempt.error === 'timeout' || (status !== null && LOAD.includes(status))
  const least = isLoad ? Math.max(scheduled, LOAD_WAIT) : scheduled
  const asked = Math.min(readRetryAfter(retryAfter, ended) ?? 0, 2 * least)
  const wait = Math.max(least, asked)
  // What the receiver asked for may be stretched, never shortened.
  const shortest = Math.max(wait * (1 - JITTER), asked, isLoad ? LOAD_WAIT : 0)
  const longest = wait * (1 + JITTER)
  return {
    state: 'pending',
    nextAt: ended + Math.round((shortest + (longest - shortest) * random) / pace),
  }
}

/** Milliseconds that a `Retry-After` asks for: seconds, or a date; null when it is neither. */
function readRetryAfter(header: string | null, now: number): number | null {
  if (header === null) return null
  const wait = /^\d{1,9}$/.test(header.trim()) ? Number(header) * SECOND : Date.parse(header) - now
  return Number.isFinite(wait) ? wait : null
}
