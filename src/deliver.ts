import { SignJWT } from 'jose'
import { fromBase64, hmac, randomHex, sha256, utf8 } from './crypto'
import { type Doorbell, ring } from './doorbell'
import type { Bindings } from './env'
import { nameOf } from './errors'
import { messageOf } from './events'
import { post } from './outbound'
import { open } from './seal'
import { type Db, openDb } from './store/db'
import {
  type Attempt,
  type Leased,
  lease,
  type Outcome,
  recordQueueFault,
  settle,
} from './store/deliveries'
import { secretCell } from './store/webhooks'
import { ownHosts } from './urls'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

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
/** How long one attempt may take. */
const TIMEOUT = 15 * SECOND
/** The queue can wait this long by itself; later attempts are found by the sweep. */
const QUEUE_DELAY = 15 * MINUTE

/** The wait before the next attempt after `attempts` have failed; null when it was the last. */
export function retryAfter(attempts: number, random = Math.random()): number | null {
  const base = RETRY_AFTER[attempts - 1]
  return base === undefined ? null : Math.round(base * (1 + JITTER * (2 * random - 1)))
}

/** What the answer of an attempt means: any 2xx is success, 410 ends the webhook, all else follows the schedule. */
export function judge(attempt: Attempt, attempts: number): Outcome {
  const { status } = attempt
  if (status !== null && status >= 200 && status < 300) return { state: 'delivered' }
  if (status === 410) return { state: 'gone' }
  const wait = retryAfter(attempts)
  return wait === null
    ? { state: 'exhausted' }
    : { state: 'pending', nextAt: attempt.at + attempt.ms + wait }
}

/** One delivery, once: lease, sign, post, settle. Nothing happens when another worker has it or it is not due. */
export async function deliver(db: Db, env: Bindings, id: number): Promise<Outcome | null> {
  const token = randomHex(12)
  const delivery = await lease(db, id, token, Date.now())
  if (!delivery) return null
  const attempt = await send(env, delivery)
  const outcome = judge(attempt, delivery.attempts)
  await settle(db, delivery, token, attempt, outcome)
  await ringLater(env, id, outcome)
  return outcome
}

async function send(env: Bindings, delivery: Leased): Promise<Attempt> {
  const at = Date.now()
  const message = messageOf(delivery, delivery.format)
  const headers = await signedHeaders(env, delivery, message, Math.floor(at / SECOND))
  const options = { allowLocal: allowsLocal(env), ownHosts: ownHosts(env) }
  const sent = await post(
    delivery.url,
    { headers, body: utf8(message), timeoutMs: TIMEOUT },
    options,
  )
  return 'error' in sent
    ? { at, ms: sent.ms, status: null, error: sent.error, answer: null }
    : { at, ms: sent.ms, status: sent.status, error: null, answer: sent.answer }
}

/** Whether http and loopback receivers are let through: in a local build, when asked for. */
export const allowsLocal = (env: Bindings) => (LOCAL_DEV ? env.ALLOW_LOCAL_WEBHOOKS === '1' : false)

type Secret = { id: string; sealed: string; primary: 0 | 1 }

/**
 * Both signatures of one attempt. The contract's token holds the body's digest and nothing else, as old receivers check
 * every other claim; Standard Webhooks signs `id.timestamp.body` with every live secret.
 */
async function signedHeaders(env: Bindings, delivery: Leased, message: string, timestamp: number) {
  const sealed = JSON.parse(delivery.secrets) as Secret[]
  const secrets = await Promise.all(
    sealed.map(async ({ id, sealed, primary }) => ({
      primary,
      text: await open(env.ENCRYPTION_KEYS, sealed, secretCell(id)),
    })),
  )
  const signed = `${delivery.eventId}.${timestamp}.${message}`
  const signatures = await Promise.all(secrets.map(({ text }) => hmac(webhookKey(text), signed)))
  const primary = secrets.find((secret) => secret.primary) ?? secrets[0]
  return {
    'Content-Type': 'application/json',
    'User-Agent': 'badgekit-webhooks/1',
    ...(primary && { Authorization: `JWT token="${await legacyToken(primary.text, message)}"` }),
    'webhook-id': delivery.eventId,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': signatures.map((signature) => `v1,${signature}`).join(' '),
  }
}

/** The bytes after `whsec_` in base64, as Standard Webhooks says; of any other secret its UTF-8 bytes. */
function webhookKey(secret: string): Uint8Array<ArrayBuffer> {
  if (!secret.startsWith('whsec_')) return utf8(secret)
  try {
    const key = fromBase64(secret.slice('whsec_'.length))
    // A key of no bytes signs nothing.
    return key.length > 0 ? key : utf8(secret)
  } catch {
    return utf8(secret)
  }
}

const legacyToken = async (secret: string, message: string) =>
  new SignJWT({ body: { alg: 'sha256', hash: await sha256(message) } })
    .setProtectedHeader({ typ: 'JWT', alg: 'HS256' })
    .sign(utf8(secret))

/** Rings again for a next attempt that the queue can wait for. */
async function ringLater(env: Bindings, id: number, outcome: Outcome): Promise<void> {
  if (outcome.state !== 'pending') return
  const wait = Math.max(0, outcome.nextAt - Date.now())
  if (wait <= QUEUE_DELAY) await ring(env, [{ id }], Math.ceil(wait / SECOND))
}

/** How many attempts of one batch are under way at once: the platform lets six connections wait for an answer. */
const IN_FLIGHT = 6
/** How the names of all dead-letter queues begin. */
const DEAD = 'badgekit-deliveries-dead'

/**
 * The queue's consumer. It never throws, and acknowledges whatever came of an attempt, as what is still to do stands in the
 * table; only what failed here, the database for one, is asked for again.
 */
export async function consume(batch: MessageBatch<Doorbell>, env: Bindings): Promise<void> {
  const db = openDb(env.DB, 'first-primary')
  const waiting = [...batch.messages]
  const worker = async () => {
    for (let message = waiting.shift(); message; message = waiting.shift()) {
      await answer(db, env, batch.queue, message)
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker))
}

async function answer(db: Db, env: Bindings, queue: string, message: Message<Doorbell>) {
  try {
    if (queue.startsWith(DEAD)) {
      await recordQueueFault(db, queue, JSON.stringify(message.body), Date.now())
      console.error(JSON.stringify({ level: 'alarm', event: 'dead letter', queue }))
    } else {
      await deliver(db, env, message.body.delivery)
    }
    message.ack()
  } catch (error) {
    console.error(JSON.stringify({ level: 'error', event: 'delivery fault', error: nameOf(error) }))
    message.retry()
  }
}
