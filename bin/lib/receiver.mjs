/** A receiver of webhooks on this machine. */
import { createServer } from 'node:http'
import { Stop } from './cli.mjs'
import { checkLegacy, checkStandard } from './signature.mjs'

/**
 * @typedef {object} Message
 * @property {string} id
 * @property {import('./signature.mjs').Verdict} standard
 * @property {import('./signature.mjs').Verdict} legacy
 * @property {boolean} isSigned in at least one way, and wrongly in none
 * @property {any} body
 */

/**
 * @param {number} port 0 for any
 * @param {() => string} secretOf known only when the webhook is registered, which is after we listen
 * @param {(message: Message) => number} take gives the status of the answer
 */
export async function startReceiver(port, secretOf, take) {
  const server = createServer(async (request, response) => {
    /** @type {Buffer[]} */
    const pieces = []
    for await (const piece of request) pieces.push(piece)
    const raw = Buffer.concat(pieces)
    const [standard, legacy] = [checkStandard, checkLegacy].map((check) =>
      check(secretOf(), request.headers, raw),
    )
    const both = [standard ?? 'none', legacy ?? 'none']
    const isSigned = both.includes('good') && !both.includes('bad')
    const id = String(request.headers['webhook-id'] ?? '')
    const message = {
      id,
      standard: both[0] ?? 'none',
      legacy: both[1] ?? 'none',
      isSigned,
      body: parsed(raw),
    }
    response.writeHead(take(/** @type {Message} */ (message))).end()
  })
  await new Promise((done, failed) => {
    server.once('error', (/** @type {NodeJS.ErrnoException} */ error) =>
      failed(
        new Stop(
          error.code === 'EADDRINUSE'
            ? `Port ${port} is in use: choose another with --port.`
            : error.message,
        ),
      ),
    )
    server.listen(port, '127.0.0.1', () => done(undefined))
  })
  const address = /** @type {import('node:net').AddressInfo} */ (server.address())
  return {
    url: `http://127.0.0.1:${address.port}/`,
    stop: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** @param {Buffer} raw */
function parsed(raw) {
  try {
    return JSON.parse(raw.toString())
  } catch {
    return null
  }
}
