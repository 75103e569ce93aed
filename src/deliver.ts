import { randomHex, utf8 } from './crypto'
import { type Due, ring } from './doorbell'
import type { Bindings } from './env'
import { nameOf } from './errors'
import { messageOf } from './events'
import { allowedTargets, post } from './outbound'
import { type Attempt, judge, leaseOf, type Outcome, paceOf, timeoutOf } from './retries'
import { open } from './seal'
import { signedHeaders } from './signature'
import type { Db } from './store/db'
import { type Asker, type Leased, lease, secretCell, settle } from './store/deliveries'

/** The queues can wait this long by themselves, in milliseconds; later attempts are found by the sweep. */
const QUEUE_DELAY = 15 * 60_000

/** What came of a delivery: the attempt and what it led to, the queue on which it belongs, or nothing. */
export type Result = { attempt: Attempt; outcome: Outcome } | { belongs: Due } | null

/**
 * One delivery, once: lease, sign, post, settle, and ring for what can go now. Nothing happens when another worker has it, when
 * it is not due, when an older event about the same subject goes first, or while its webhook rests.
 */
export async function deliver(db: Db, env: Bindings, id: number, asker: Asker): Promise<Result> {
  const token = randomHex(12)
  const pace = paceOf(env)
  const now = Date.now()
  const leased = await lease(db, id, token, now, now + leaseOf(pace), asker)
  if (leased === null || 'belongs' in leased) return leased
  const isTest = leased.type === 'ping'
  const { attempt, retryAfter } = await send(env, leased, pace)
  const { tries, since } = leased
  const outcome = judge(attempt, { attempts: tries, since, isTest }, retryAfter, pace)
  const next = await settle(db, leased, token, attempt, outcome, { isTest, pace })
  await ring(env, next)
  await ringLater(env, leased, outcome)
  return { attempt, outcome }
}

type Sent = { attempt: Attempt; retryAfter: string | null }

async function send(env: Bindings, delivery: Leased, pace: number): Promise<Sent> {
  const at = Date.now()
  const message = messageOf(delivery, delivery.format)
  const secrets = await openSecrets(env, delivery.secrets)
  const headers = await signedHeaders(secrets, delivery.eventId, Math.floor(at / 1000), message)
  const timeoutMs = timeoutOf(delivery.failures > 0, pace)
  const sent = await post(
    delivery.url,
    { headers, body: utf8(message), timeoutMs },
    allowedTargets(env),
  )
  return 'error' in sent
    ? {
        attempt: { at, ms: sent.ms, status: null, error: sent.error, answer: null },
        retryAfter: null,
      }
    : {
        attempt: { at, ms: sent.ms, status: sent.status, error: null, answer: sent.answer },
        retryAfter: sent.retryAfter,
      }
}

type Sealed = { id: string; sealed: string; primary: 0 | 1 }

const openSecrets = (env: Bindings, json: string) =>
  Promise.all(
    (JSON.parse(json) as Sealed[]).map(async ({ id, sealed, primary }) => ({
      primary: primary === 1,
      text: await open(env.ENCRYPTION_KEYS, sealed, secretCell(id)),
    })),
  )

/** Rings again for a next attempt that the queue can wait for: on the slow one, as this attempt has failed. */
async function ringLater(env: Bindings, { id, webhookId }: Leased, outcome: Outcome) {
  if (outcome.state !== 'pending') return
  const wait = Math.max(0, outcome.nextAt - Date.now())
  if (wait <= QUEUE_DELAY) await ring(env, [{ id, webhookId, slow: 1 }], Math.ceil(wait / 1000))
}

/** How many attempts of one run are under way at once: the platform lets six connections wait for an answer. */
const IN_FLIGHT = 6

/**
 * Makes many deliveries, six at a time. The first of each webhook goes alone: as long as it hangs the webhook costs one place of
 * the six, and when it fails the others are left for later.
 *
 * @param done is told of each; `failed` when the fault was ours
 */
export async function deliverAll(
  db: Db,
  env: Bindings,
  due: readonly Pick<Due, 'id' | 'webhookId'>[],
  asker: Asker,
  done: (id: number, failed: boolean) => void = () => {},
): Promise<void> {
  const inTurn = limiter(IN_FLIGHT)
  const one = (id: number) =>
    inTurn(async () => {
      try {
        const result = await deliver(db, env, id, asker)
        if (result && 'belongs' in result) await ring(env, [result.belongs])
        done(id, false)
        return result
      } catch (error) {
        console.error(
          JSON.stringify({ level: 'error', event: 'delivery fault', error: nameOf(error) }),
        )
        done(id, true)
        return null
      }
    })
  const lanes = [...Map.groupBy(due, ({ webhookId }) => webhookId)].map(
    async ([webhookId, waiting]) => {
      const others = [...waiting]
      // Alone, until one has truly been tried.
      let result: Result = null
      for (let next = others.shift(); next; next = others.shift()) {
        result = await one(next.id)
        if (result !== null) break
      }
      if (!hasFailed(result)) return Promise.all(others.map(({ id }) => one(id)))
      await ring(
        env,
        others.map(({ id }) => ({ id, webhookId, slow: 1 as const })),
        LATER,
      )
      for (const { id } of others) done(id, false)
    },
  )
  await Promise.all(lanes)
}

/** Seconds for which the others wait when the first delivery to a webhook has failed. */
const LATER = 5

const hasFailed = (result: Result) =>
  result !== null && ('belongs' in result || result.outcome.state !== 'delivered')

/** Runs at most `size` works at once, in the order asked for. */
function limiter(size: number) {
  const waiting: (() => void)[] = []
  let running = 0
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (running === size) await new Promise<void>((resolve) => waiting.push(resolve))
    else running += 1
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else running -= 1
    }
  }
}
