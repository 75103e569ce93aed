/**
 * `npm run test:receivers`: twelve kinds of bad receivers. Each is judged as it should be and tried again when it should be, none
 * of them costs memory, and a healthy neighbour of ten that hang is told quickly.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { build, SECRET, tidy } from '../../scripts/bench/servers.mjs'
import { signedFetch } from '../../scripts/sign.mjs'
import { serverOn } from './server.mjs'

const MB = 1024 * 1024
const SECOND = 1_000
const state = mkdtempSync(join(tmpdir(), 'badgekit-receivers-'))
/** @type {string[]} */
const wrong = []

// ── The receivers ───────────────────────────────────────────────────────────────────────────────────────────────────

const BOMB = gzipSync(Buffer.alloc(100 * MB))
const CHUNK = Buffer.alloc(64 * 1024, 'x')
/** When the healthy one was told of each award. @type {Map<string, number>} */
const told = new Map()
/** Requests to where a redirect led. */
let followed = 0

/** @type {Record<string, (response: import('node:http').ServerResponse) => unknown>} */
const ANSWERS = {
  500: (r) => r.writeHead(500).end('no'),
  429: (r) => r.writeHead(429, { 'retry-after': '90' }).end(),
  'redirect loop': (r) => r.writeHead(302, { location: '/to/redirect%20loop' }).end(),
  'redirect to a private address': (r) => r.writeHead(307, { location: '/followed' }).end(),
  hang: () => undefined,
  'one byte per second': (r) => {
    r.writeHead(200)
    const timer = setInterval(() => r.write('x'), SECOND)
    r.on('close', () => clearInterval(timer))
  },
  '130 MB': (r) =>
    Readable.from(Array.from({ length: (130 * MB) / CHUNK.length }, () => CHUNK))
      .on('error', () => {})
      .pipe(r),
  reset: (r) => r.socket?.destroy(),
  410: (r) => r.writeHead(410).end(),
  'gzip bomb': (r) => r.writeHead(200, { 'content-encoding': 'gzip' }).end(BOMB),
  healthy: (r) => r.end('thank you'),
}

const http = createServer(async (request, response) => {
  let body = ''
  for await (const chunk of request) body += chunk
  if (request.url === '/followed') followed += 1
  const kind = decodeURIComponent(request.url?.split('/')[2] ?? '').replace(/ #\d+$/, '')
  if (kind === 'healthy') told.set(JSON.parse(body).uid, Date.now())
  await ANSWERS[kind]?.(response)
})
/** Two that do not even speak HTTP: their kind is their port. */
const garbage = createSocket((socket) => socket.on('error', () => {}).end('This is no HTTP.\n\n'))
const slowHeaders = createSocket((socket) => {
  const text = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
  let at = 0
  const timer = setInterval(() => socket.write(text[at++] ?? ''), SECOND)
  socket.on('close', () => clearInterval(timer)).on('error', () => {})
})
const portOf = (/** @type {import('node:net').Server} */ server) =>
  new Promise((done) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      done(typeof address === 'object' && address ? address.port : 0)
    })
  })

/** What a kind comes to: the delivery, its attempt, and the seconds until the next one. */
const EXPECTED = {
  500: { state: 'pending', status: 500, error: null, wait: [4, 6] },
  429: { state: 'pending', status: 429, error: null, wait: [90, 108] },
  'redirect loop': { state: 'pending', status: 302, error: null, wait: [4, 6] },
  'redirect to a private address': { state: 'pending', status: 307, error: null, wait: [4, 6] },
  hang: { state: 'pending', status: null, error: 'timeout', wait: [60, 72] },
  'one byte per second': { state: 'delivered', status: 200, error: null },
  '130 MB': { state: 'delivered', status: 200, error: null },
  reset: { state: 'pending', status: null, error: 'network', wait: [4, 6] },
  garbage: { state: 'pending', status: null, error: 'network', wait: [4, 6] },
  410: { state: 'exhausted', status: 410, error: null },
  'gzip bomb': { state: 'delivered', status: 200, error: null },
  'slow headers': { state: 'pending', status: null, error: 'timeout', wait: [60, 72] },
}

// ── The server and its memory ───────────────────────────────────────────────────────────────────────────────────────

/** @type {Awaited<ReturnType<typeof serverOn>> | undefined} */
let server

const call = async (
  /** @type {string} */ method,
  /** @type {string} */ path,
  /** @type {unknown} */ body = undefined,
) => {
  const client = { url: `http://127.0.0.1:${server?.port}`, key: 'master', secret: SECRET }
  const answer = await signedFetch(client, method, path, body)
  const json = await answer.json()
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(json)}`)
  return json
}

/** Megabytes; 0 where the system does not tell. */
const memory = () => server?.usage().memory || 0

async function seed(/** @type {string} */ system, /** @type {Record<string, string>} */ hooks) {
  const url = 'https://receivers.example.org'
  await call('POST', '/systems', { slug: system, name: system, url })
  const texts = {
    earnerDescription: 'e',
    consumerDescription: 'c',
    criteriaUrl: url,
    image: `${url}/b.png`,
  }
  await call('POST', `/systems/${system}/badges`, {
    slug: 'badge',
    name: 'Badge',
    unique: 1,
    ...texts,
  })
  const ids = await Promise.all(
    Object.entries(hooks).map(async ([kind, hook]) => {
      const { webhook } = await call('POST', `/systems/${system}/webhooks`, { url: hook })
      return /** @type {const} */ ([kind, Number(webhook.id)])
    }),
  )
  return Object.fromEntries(ids)
}

const award = async (/** @type {string} */ system, /** @type {string} */ email) =>
  (await call('POST', `/systems/${system}/badges/badge/instances`, { email })).instance.slug

async function main() {
  const { script } = await build('receivers', '--define', 'LOCAL_DEV:true')
  const ports = {
    http: await portOf(http),
    garbage: await portOf(garbage),
    slow: await portOf(slowHeaders),
  }
  server = await serverOn(script, state, 1)
  await server.start()

  const at = (/** @type {string} */ kind) => {
    if (kind === 'garbage') return `http://127.0.0.1:${ports.garbage}/hook`
    if (kind === 'slow headers') return `http://127.0.0.1:${ports.slow}/hook`
    return `http://127.0.0.1:${ports.http}/to/${encodeURIComponent(kind)}`
  }
  await classes(at)
  await neighbours(at)
}

/** @param {(kind: string) => string} at */
async function classes(at) {
  const kinds = Object.keys(EXPECTED)
  const hooks = await seed('bad', Object.fromEntries(kinds.map((kind) => [kind, at(kind)])))
  await award('bad', 'ada@example.org')
  for (const [kind, expected] of Object.entries(EXPECTED)) {
    const delivery = await firstTried(hooks[kind])
    const [attempt] = delivery.log
    const wait =
      delivery.nextAt &&
      (Date.parse(delivery.nextAt) - Date.parse(attempt.at) - attempt.ms) / SECOND
    const [least = 0, most = 0] = 'wait' in expected ? expected.wait : []
    const isRight =
      attempt.status === expected.status &&
      attempt.error === expected.error &&
      // What failed at once may have been tried again by now.
      (delivery.log.length > 1 ||
        (delivery.state === expected.state && (wait === null || (wait >= least && wait <= most))))
    const line = `${kind}: ${attempt.status ?? attempt.error}, ${delivery.state}, next in ${wait?.toFixed(1) ?? '–'} s`
    process.stdout.write(`${isRight ? 'ok   ' : 'WRONG'} ${line}\n`)
    if (!isRight) wrong.push(line)
  }
  if (followed > 0) wrong.push(`${followed} redirects were followed`)
  await growth(hooks)
}

async function firstTried(/** @type {number} */ webhook, system = 'bad') {
  for (;;) {
    const { deliveries } = await call(
      'GET',
      `/systems/${system}/deliveries?webhook=${webhook}&type=badge.awarded`,
    )
    const { delivery } = await call('GET', `/systems/${system}/deliveries/${deliveries[0].id}`)
    if (delivery.log.length > 0) return delivery
    await sleep(250)
  }
}

/** Those that answer much, or for long: twice to warm up, then five times more. */
async function growth(/** @type {Record<string, number>} */ hooks) {
  const heavy = ['130 MB', 'gzip bomb', 'one byte per second', '500']
  const round = () =>
    Promise.all(heavy.map((kind) => call('POST', `/systems/bad/webhooks/${hooks[kind]}/test`)))
  await round()
  await round()
  const before = memory()
  let peak = before
  const timer = setInterval(() => {
    peak = Math.max(peak, memory())
  }, 50)
  for (let n = 0; n < 5; n++) await round()
  clearInterval(timer)
  const line = `memory grows by ${(peak - before).toFixed(1)} MB at the most (${before.toFixed(0)} MB after warm-up)`
  process.stdout.write(`${line}\n`)
  if (peak - before > 20) wrong.push(line)
}

/** @param {(kind: string) => string} at */
async function neighbours(at) {
  const hanging = Array.from({ length: 10 }, (_, n) => `hang #${n}`)
  const hooks = await seed(
    'street',
    Object.fromEntries(['healthy', ...hanging].map((kind) => [kind, at(kind)])),
  )
  await award('street', 'first@example.org')
  for (const kind of hanging) await firstTried(hooks[kind], 'street')
  /** @type {Map<string, number>} */
  const given = new Map()
  for (let n = 0; n < 60; n++) {
    const now = Date.now()
    given.set(await award('street', `earner-${n}@example.org`), now)
    await sleep(250)
  }
  await sleep(6 * SECOND)
  const waits = [...given]
    .map(([slug, time]) => (told.get(slug) ?? Number.POSITIVE_INFINITY) - time)
    .sort((a, b) => a - b)
  const p95 = waits[Math.floor(waits.length * 0.95)] ?? Number.POSITIVE_INFINITY
  const line = `a healthy neighbour of ten that hang is told after ${waits[30]} ms (median), ${p95} ms (p95)`
  process.stdout.write(`${line}\n`)
  if (p95 > 5 * SECOND) wrong.push(line)
}

async function stop() {
  await server?.kill()
  for (const one of [http, garbage, slowHeaders]) one.close()
  http.closeAllConnections()
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, async () => {
    await stop()
    process.exit(1)
  })
}
try {
  await main()
} catch (error) {
  wrong.push(String(error))
} finally {
  await stop()
  await tidy()
  rmSync(state, { recursive: true, force: true })
}
for (const line of wrong) process.stderr.write(`${line}\n`)
// Sockets that are still open belong to receivers that never end.
process.exit(wrong.length === 0 ? 0 : 1)
