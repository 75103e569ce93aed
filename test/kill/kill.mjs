/**
 * `npm run test:kill`: a server that is killed at random moments, and a receiver that misbehaves three times in ten. Every event
 * that was answered with 2xx must arrive, at least once, in the order of its subject, in equal bytes and well signed.
 *
 *     npm run test:kill -- [--events 10000] [--kills 20] [--seed N]
 */
import { createHash, createHmac } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Webhook } from 'standardwebhooks'
import { build, SECRET, tidy } from '../../scripts/bench/servers.mjs'
import { signedFetch } from '../../scripts/sign.mjs'
import { randomOf } from '../fuzz/random.mjs'
import { serverOn } from './server.mjs'

const { values: options } = parseArgs({
  options: {
    events: { type: 'string', default: '10000' },
    kills: { type: 'string', default: '20' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
})
const {
  events: EVENTS,
  kills: KILLS,
  seed: SEED,
} = {
  events: Number(options.events),
  kills: Number(options.kills),
  seed: Number(options.seed),
}

/** How many times faster than in life the waits between attempts pass. */
const SPEED = 400
const CLIENTS = 8
/** Milliseconds after the last write within which all must have arrived. */
const PATIENCE = 300_000
const HOOK_SECRET = `whsec_${Buffer.from('the receiver of the kill test 01').toString('base64')}`
const BADGE = '/systems/killed/badges/survivor'

const random = randomOf(SEED).next
const state = mkdtempSync(join(tmpdir(), 'badgekit-kill-'))
const started = Date.now()

// ── The receiver: real, and bad ─────────────────────────────────────────────────────────────────────────────────────

/** @typedef {{ bodies: Set<string>, times: number, first: number, processed: number }} Arrival */
/** @type {Map<string, Arrival>} */
const arrivals = new Map()
/** @type {string[]} */
const wrong = []
let calls = 0
const MISDEEDS = ['500', 'reset', '302', 'hang', 'accept, then drop the answer']

const receiver = createServer(async (request, response) => {
  calls += 1
  const misdeed = random() < 0.3 ? MISDEEDS[Math.floor(random() * MISDEEDS.length)] : undefined
  if (misdeed === 'reset') return request.socket.destroy()
  let body = ''
  try {
    for await (const chunk of request) body += chunk
  } catch {
    // The sender was killed half-way.
    return
  }
  check(request.headers, body)
  const id = String(request.headers['webhook-id'])
  const arrival = arrivals.get(id) ?? {
    bodies: new Set(),
    times: 0,
    first: calls,
    processed: Number.POSITIVE_INFINITY,
  }
  arrivals.set(id, arrival)
  arrival.bodies.add(body)
  if (misdeed === 'hang') return
  if (misdeed === '500') return response.writeHead(500).end('no')
  if (misdeed === '302') return response.writeHead(302, { location: '/elsewhere' }).end()
  arrival.times += 1
  arrival.processed = Math.min(arrival.processed, calls)
  if (misdeed) return request.socket.destroy()
  return response.end('thank you')
})

/** Both signatures, as a receiver checks them. */
function check(
  /** @type {import('node:http').IncomingHttpHeaders} */ headers,
  /** @type {string} */ body,
) {
  try {
    new Webhook(HOOK_SECRET).verify(body, /** @type {Record<string, string>} */ (headers))
  } catch (error) {
    wrong.push(`webhook-signature of ${headers['webhook-id']}: ${error}`)
  }
  const [head, claims, mac] = /"([^"]+)"/.exec(headers.authorization ?? '')?.[1]?.split('.') ?? []
  const hash = createHash('sha256').update(body).digest('hex')
  const signed = createHmac('sha256', HOOK_SECRET).update(`${head}.${claims}`).digest('base64url')
  const told = JSON.parse(Buffer.from(claims ?? '', 'base64url').toString() || '{}').body?.hash
  if (signed !== mac || told !== hash) wrong.push(`Authorization of ${headers['webhook-id']}`)
}

// ── The server: killed, and started again on the same state ─────────────────────────────────────────────────────────

/** @type {Awaited<ReturnType<typeof serverOn>> | undefined} */
let server

/** @param {Awaited<ReturnType<typeof serverOn>>} server */
async function killNowAndThen(server) {
  for (let n = 1; n <= KILLS; n++) {
    await sleep(1_000 + random() * 1_500)
    await server.kill()
    await server.start()
    process.stdout.write(`kill ${n} of ${KILLS}: ${arrivals.size} events have arrived\n`)
  }
}

// ── The client: repeats each request until it is answered ───────────────────────────────────────────────────────────

/**
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {number} [already] what a repetition is answered when the first one was carried out after all
 */
async function insist(method, path, body, already) {
  const client = { url: `http://127.0.0.1:${server?.port}`, key: 'master', secret: SECRET }
  for (;;) {
    try {
      const answer = await Promise.race([signedFetch(client, method, path, body), tooLate()])
      const json = await answer.json()
      if (answer.ok || answer.status === already) return json
      if (answer.status < 500) throw new TypeError(`${method} ${path}: ${answer.status}`)
    } catch (error) {
      if (error instanceof TypeError && error.message.includes(path)) throw error
    }
    await sleep(50)
  }
}

/** A connection to a server that was killed may stay silent for ever. */
async function tooLate() {
  await sleep(5_000, undefined, { ref: false })
  throw new Error('no answer')
}

/** Each earner is given the badge, and it is taken away again: two events about one subject. */
async function write() {
  let next = 0
  const client = async () => {
    while (next < EVENTS / 2) {
      const email = `earner-${next++}@example.org`
      await insist('POST', `${BADGE}/instances`, { email }, 409)
      await insist('DELETE', `${BADGE}/instances/${email}`, undefined, 404)
    }
  }
  await Promise.all(Array.from({ length: CLIENTS }, client))
}

async function readFeed() {
  /** @type {{ id: string, sequence: number, type: string, data: { instance: { slug: string } } }[]} */
  const events = []
  for (let after = '0'; ; ) {
    const page = await insist('GET', `/systems/killed/events?after=${after}`)
    if (page.events.length === 0) return events
    events.push(...page.events)
    after = page.next
  }
}

// ── The test ────────────────────────────────────────────────────────────────────────────────────────────────────────

async function main() {
  const { script } = await build('killed', '--define', 'LOCAL_DEV:true')
  await new Promise((done) => receiver.listen(0, '127.0.0.1', () => done(undefined)))
  const address = receiver.address()
  const hook = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}/hook`
  server = await serverOn(script, state, SPEED)
  await server.start()
  const url = 'https://killed.example.org'
  await insist('POST', '/systems', { slug: 'killed', name: 'Killed', url }, 409)
  const texts = {
    earnerDescription: 'e',
    consumerDescription: 'c',
    criteriaUrl: url,
    image: `${url}/b.png`,
  }
  await insist(
    'POST',
    '/systems/killed/badges',
    { slug: 'survivor', name: 'Survivor', unique: 1, ...texts },
    409,
  )
  await insist(
    'POST',
    '/systems/killed/webhooks',
    { url: hook, secret: HOOK_SECRET, format: 'events-1' },
    409,
  )

  const killing = killNowAndThen(server)
  await write()
  const written = Date.now()
  await killing
  const events = await readFeed()
  const missing = () => events.filter(({ id }) => !(arrivals.get(id)?.times ?? 0))
  while (missing().length > 0 && Date.now() - written < PATIENCE) await sleep(500)

  if (events.length !== EVENTS)
    wrong.push(`${events.length} events were recorded instead of ${EVENTS}`)
  if (missing().length > 0) wrong.push(`${missing().length} events never arrived`)
  const known = new Set(events.map(({ id }) => id))
  const strangers = [...arrivals.keys()].filter((id) => !known.has(id))
  if (strangers.length > 0) wrong.push(`${strangers.length} unknown events arrived`)
  const uneven = [...arrivals.values()].filter(({ bodies }) => bodies.size > 1)
  if (uneven.length > 0) wrong.push(`${uneven.length} events came in different bytes`)
  const late = await outOfOrder(events)
  if (late.length > 0) wrong.push(`${late.length} revocations came before their award`)

  const twice = [...arrivals.values()].filter(({ times }) => times > 1).length
  const seconds = Math.round((Date.now() - started) / 1000)
  process.stdout.write(
    `seed ${SEED}: ${events.length} events, ${KILLS} kills, ${calls} calls, ${missing().length} lost, ` +
      `${twice} taken more than once, ${late.length} out of order, ${seconds} s\n`,
  )
  for (const line of wrong.slice(0, 20)) process.stderr.write(`${line}\n`)
}

/**
 * Revocations that were sent before their award had been taken, although that had not failed seven times.
 * @param {Awaited<ReturnType<typeof readFeed>>} events
 */
async function outOfOrder(events) {
  const awards = new Map(
    events.flatMap(({ id, type, data }) =>
      type === 'badge.awarded' ? [[data.instance.slug, id]] : [],
    ),
  )
  const early = events.filter(({ id, type, data }) => {
    if (type !== 'badge.revoked') return false
    const award = arrivals.get(awards.get(data.instance.slug) ?? '')
    return (award?.processed ?? Number.POSITIVE_INFINITY) > (arrivals.get(id)?.first ?? 0)
  })
  const held = []
  for (const event of early) {
    const { deliveries } = await insist(
      'GET',
      `/systems/killed/deliveries?subject=${event.data.instance.slug}`,
    )
    const award = deliveries.find(
      (/** @type {any} */ one) => one.event.id === awards.get(event.data.instance.slug),
    )
    if ((award?.attempts ?? 0) < 7) held.push(event)
  }
  return held
}

// Whoever stops the test stops what it has started.
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, async () => {
    await server?.kill()
    process.exit(1)
  })
}

try {
  await main()
} catch (error) {
  wrong.push(String(error))
  process.stderr.write(`${error instanceof Error ? error.stack : error}\n`)
} finally {
  await server?.kill()
  receiver.closeAllConnections()
  receiver.close()
  await tidy()
  rmSync(state, { recursive: true, force: true })
}
process.exitCode = wrong.length === 0 ? 0 : 1
