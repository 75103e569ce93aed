import type { MiddlewareHandler } from 'hono'
import type { Bindings, Env } from './env'
import { ApiError, nameOf, tooMany } from './errors'

/** Seconds over which the platform counts: `wrangler.toml` has the limits. */
const PERIOD = 60
/** How much of a claimed key tells it from others: nobody has signed it. */
const MAX_KEY = 64

/**
 * Slows down whoever fails to sign: after too many refusals in a minute, from one address or for one key from one address, they
 * are answered 429. A request that is signed well is never refused here, whoever shares its address.
 */
export const slowed =
  (authenticate: MiddlewareHandler<Env>): MiddlewareHandler<Env> =>
  async (c, next) => {
    try {
      return await authenticate(c, next)
    } catch (error) {
      // With a key the signature was good, and something else is refused.
      const isFailure = error instanceof ApiError && error.status === 403 && !c.var.key
      if (isFailure && isLimited(c.env)) {
        const address = networkOf(c.req.header('CF-Connecting-IP') ?? 'unknown')
        const key = c.var.claimedKey?.slice(0, MAX_KEY)
        const { FAILURES_BY_ADDRESS, FAILURES_BY_KEY } = c.env
        const counted = await Promise.all([
          isOneTooMany(FAILURES_BY_ADDRESS, address),
          key !== undefined && isOneTooMany(FAILURES_BY_KEY, `${address} ${key}`),
        ])
        if (counted.includes(true)) {
          throw tooMany('Too many requests were refused: try again later', PERIOD)
        }
      }
      throw error
    }
  }

/** Slows down whoever asks too much of a route that anyone may ask, and that calls strangers for them. */
export const limitedByAddress: MiddlewareHandler<Env> = async (c, next) => {
  const address = networkOf(c.req.header('CF-Connecting-IP') ?? 'unknown')
  if (isLimited(c.env) && (await isOneTooMany(c.env.VERIFIES_BY_ADDRESS, address))) {
    throw tooMany('Too much was asked for: try again later', PERIOD)
  }
  return next()
}

/** Counts a refusal. When the platform cannot count, a refusal stays what it is. */
async function isOneTooMany(limiter: RateLimit, key: string): Promise<boolean> {
  try {
    return !(await limiter.limit({ key })).success
  } catch (error) {
    console.error(
      JSON.stringify({ level: 'error', event: 'rate limit fault', error: nameOf(error) }),
    )
    return false
  }
}

/** An IPv4 address, or the first half of an IPv6 one: whoever has one of the second halves has them all. */
function networkOf(address: string): string {
  if (!address.includes(':')) return address
  const [head, tail] = address.split('::')
  const words = [wordsOf(head), wordsOf(tail)].flat()
  // `::` stands for all the zeros that are missing.
  words.splice(wordsOf(head).length, 0, ...Array(Math.max(0, 8 - words.length)).fill('0'))
  return words.slice(0, 4).join(':')
}

const wordsOf = (half = '') => (half === '' ? [] : half.split(':'))

/** The off switch is for tests, in local development only. */
const isLimited = (env: Bindings) => (LOCAL_DEV ? env.RATE_LIMITS !== 'off' : true)
