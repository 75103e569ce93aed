/**
 * The load generator, in a process of its own, as `bench.mjs` has enough to do with the Workers' logs. It answers one message
 * with one: `{port, plan, connections, ms}` or `{…, count}` gives `{ms, count, p50, statuses}`. Requests are signed and put into bytes
 * before the clock starts; sockets are plain and kept open, so that the client costs little beside what it measures.
 */
import { connect } from 'node:net'
import { token } from '../sign.mjs'

/** How many requests a second are signed in advance; what is missing is signed on the way. */
const EXPECTED = 2_000

let serial = 0

/**
 * Gives the bytes of the next request of a plan. A path or a body in which `{n}` stands is another one each time, `{i}` counts from
 * 1; of several paths each is asked for once.
 * @param {{ method: string, path: string | string[], body?: string, secret?: string }} plan
 * @param {number} port
 */
function requestOf({ method, path, body, secret }, port) {
  serial += 1
  const filled = (/** @type {string} */ one) =>
    one.replaceAll('{n}', `${process.pid}-${serial}`).replaceAll('{i}', String(serial))
  const target = filled(typeof path === 'string' ? path : (path.pop() ?? '/'))
  const text = body && filled(body)
  const lines = [`${method} ${target} HTTP/1.1`, `Host: 127.0.0.1:${port}`, 'Accept: */*']
  if (secret !== undefined) {
    // The claim `exp` is an hour away: a token must outlive the round for which it is signed.
    const jwt = token({ key: 'master', secret }, method, target, text, Date.now() + 3_600_000)
    lines.push(`Authorization: JWT token="${jwt}"`)
  }
  if (text !== undefined) {
    lines.push('Content-Type: application/json', `Content-Length: ${Buffer.byteLength(text)}`)
  }
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${text ?? ''}`)
}

/** @param {Parameters<typeof requestOf>[0]} plan */
const isFixed = ({ path, body }) => typeof path === 'string' && !`${path}${body}`.includes('{n}')

/**
 * How long the first whole answer in the bytes is; 0 when it is not all there yet.
 * @param {Buffer} bytes
 */
function lengthOfAnswer(bytes) {
  const end = bytes.indexOf('\r\n\r\n')
  if (end === -1) return 0
  const head = bytes.latin1Slice(0, end)
  const [, length] = /\r\ncontent-length: *(\d+)/i.exec(head) ?? []
  if (length !== undefined) {
    const whole = end + 4 + Number(length)
    return bytes.length >= whole ? whole : 0
  }
  if (!/\r\ntransfer-encoding: *chunked/i.test(head)) return end + 4
  for (let at = end + 4; ; ) {
    const line = bytes.indexOf('\r\n', at)
    if (line === -1) return 0
    const size = Number.parseInt(bytes.latin1Slice(at, line), 16)
    at = line + 2 + size + 2
    if (at > bytes.length) return 0
    if (size === 0) return at
  }
}

/** @param {{ port: number, plan: Parameters<typeof requestOf>[0], connections: number, ms?: number, count?: number }} job */
async function run({ port, plan, connections, ms = Number.POSITIVE_INFINITY, count }) {
  const total = count ?? Number.POSITIVE_INFINITY
  const fixed = isFixed(plan) ? requestOf(plan, port) : undefined
  const ahead = Math.min(total, Math.ceil((ms / 1_000) * EXPECTED))
  const ready = fixed ? [] : Array.from({ length: ahead }, () => requestOf(plan, port))
  const next = () => fixed ?? ready.pop() ?? requestOf(plan, port)

  /** @type {number[]} */
  const times = []
  /** @type {Record<string, number>} */
  const statuses = {}
  let sent = 0
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(port)))
  const started = performance.now()
  await Promise.all(
    sockets.map(async (socket) => {
      while (sent < total && performance.now() - started < ms) {
        sent += 1
        const at = performance.now()
        const status = await socket.ask(next())
        times.push(performance.now() - at)
        statuses[status] = (statuses[status] ?? 0) + 1
      }
    }),
  )
  const took = performance.now() - started
  for (const socket of sockets) socket.end()
  times.sort((a, b) => a - b)
  return { ms: took, count: times.length, p50: times[times.length >> 1] ?? 0, statuses }
}

/**
 * A connection that asks one thing at a time.
 * @param {number} port
 * @returns {Promise<{ ask(bytes: Buffer): Promise<string>, end(): void }>}
 */
function open(port) {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  let rest = Buffer.alloc(0)
  /** @type {{ resolve(status: string): void, reject(error: Error): void } | undefined} */
  let waiting
  socket.on('data', (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const length = lengthOfAnswer(rest)
    if (length === 0) return
    const status = rest.latin1Slice(9, 12)
    rest = rest.subarray(length)
    waiting?.resolve(status)
  })
  const fail = (/** @type {Error} */ error) => waiting?.reject(error)
  socket.on('close', () => fail(new Error('The server closed the connection')))
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.on('error', fail)
      resolve({
        ask: (bytes) =>
          new Promise((resolve, reject) => {
            waiting = { resolve, reject }
            socket.write(bytes)
          }),
        end: () => socket.destroy(),
      })
    })
  })
}

process.on('message', async (/** @type {any} */ job) => {
  try {
    process.send?.(await run(job))
  } catch (error) {
    process.send?.({ error: error instanceof Error ? error.message : String(error) })
  }
})
// Nothing must outlive the bench.
process.on('disconnect', () => process.exit())
