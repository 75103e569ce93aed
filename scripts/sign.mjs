/**
 * Signs a request the way BadgeKit clients do: a short-lived HS256 token that names the method, the path with its
 * query, and the hash of the body. Node's own crypto only, so that it can be copied into any program.
 */
import { createHash, createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** @typedef {{ url: string, key: string, secret: string }} Client */

const base64url = (/** @type {unknown} */ value) =>
  Buffer.from(JSON.stringify(value)).toString('base64url')

/**
 * The token of one request. `path` is what goes on the wire: percent-encoded, with the query.
 * @param {{ key: string, secret: string }} client
 * @param {string} method
 * @param {string} path
 * @param {string | Uint8Array} [body]
 * @param {number} [now] milliseconds
 */
export function token({ key, secret }, method, path, body, now = Date.now()) {
  /** @type {Record<string, unknown>} */
  const claims = { key, method, path, exp: Math.floor(now / 1000) + 60 }
  if (!['GET', 'HEAD', 'DELETE'].includes(method)) {
    const hash = createHash('sha256')
      .update(body ?? '')
      .digest('hex')
    claims.body = { alg: 'sha256', hash }
  }
  const unsigned = `${base64url({ typ: 'JWT', alg: 'HS256' })}.${base64url(claims)}`
  return `${unsigned}.${createHmac('sha256', secret).update(unsigned).digest('base64url')}`
}

/**
 * Sends one signed request. A plain object or array as body becomes JSON; text and bytes go as they are.
 * @param {Client} client
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @param {Record<string, string>} [headers]
 */
export function signedFetch(client, method, path, body, headers = {}) {
  // The URL parser may re-encode what it is given, and the token must name what is really sent.
  const target = new URL(path, client.url)
  const verb = method.toUpperCase()
  const raw =
    body === undefined || typeof body === 'string' || body instanceof Uint8Array
      ? body
      : JSON.stringify(body)
  const jwt = token(client, verb, target.pathname + target.search, raw)
  return fetch(target, {
    method: verb,
    // A redirect needs a token of its own, so following one could only end in a 403.
    redirect: 'manual',
    headers: {
      ...(raw === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
      authorization: `JWT token="${jwt}"`,
    },
    ...(raw === undefined ? {} : { body: /** @type {BodyInit} */ (raw) }),
  })
}

/**
 * Reads `NAME=value` lines, quoted or not, as wrangler reads `.dev.vars`.
 * @param {string} text
 * @returns {Record<string, string>}
 */
export function parseVars(text) {
  /** @type {Record<string, string>} */
  const vars = {}
  for (const line of text.split(/\r?\n/)) {
    const [, name, rest] = /^\s*(?:export\s+)?([\w.-]+)\s*=\s*(.*)$/.exec(line) ?? []
    if (name === undefined || rest === undefined) continue
    const [, , quoted] = /^(['"`])(.*)\1\s*(?:#.*)?$/.exec(rest) ?? []
    vars[name] = quoted ?? rest.replace(/#.*$/, '').trim()
  }
  return vars
}

/** @param {string} path */
function readText(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code === 'ENOENT') return undefined
    throw error
  }
}

/** Where `npm start` listens unless told otherwise. */
export const localOrigin = (env = process.env) => `http://127.0.0.1:${env.PORT || 8787}`

/**
 * What a deploy left. The parser's own message would quote a secret.
 * @param {string} text
 * @param {string} path
 * @returns {Record<string, string>}
 */
export function parseSecrets(text, path) {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error(`${path} is not JSON.`)
  }
}

/**
 * Who signs, and where to: the environment first, then the file that a deploy left (`BADGEKIT_SECRETS`), then the
 * local server's `.dev.vars`.
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Client}
 */
export function findClient(env = process.env) {
  const key = env.BADGEKIT_KEY || 'master'
  /** @type {{ MASTER_SECRET?: string, PUBLIC_ORIGIN?: string }} */
  let found = {}
  if (env.BADGEKIT_SECRETS) {
    const text = readText(env.BADGEKIT_SECRETS)
    if (text === undefined) throw new Error(`There is no file ${env.BADGEKIT_SECRETS}.`)
    found = parseSecrets(text, env.BADGEKIT_SECRETS)
  } else if (!env.BADGEKIT_SECRET) {
    const file = env.DEV_VARS || fileURLToPath(new URL('../.dev.vars', import.meta.url))
    found = { MASTER_SECRET: parseVars(readText(file) ?? '').MASTER_SECRET }
  }
  const url = env.BADGEKIT_URL || found.PUBLIC_ORIGIN || localOrigin(env)
  if (!URL.canParse(url)) throw new Error(`BADGEKIT_URL is not a URL: ${url}`)
  const secret = env.BADGEKIT_SECRET || (key === 'master' ? found.MASTER_SECRET : undefined)
  if (!secret) {
    throw new Error(
      key === 'master'
        ? 'No secret to sign with. Run `npm start` once (it writes .dev.vars), or set BADGEKIT_SECRET.'
        : `No secret for the key ${key}: set BADGEKIT_SECRET.`,
    )
  }
  return { url, key, secret }
}

/**
 * What to tell a person whose request did not arrive.
 * @param {unknown} error
 * @param {string} url
 */
export function explain(error, url) {
  const cause = /** @type {{ cause?: { code?: string, message?: string } }} */ (error).cause
  if (cause?.code === 'ECONNREFUSED') {
    return `Nothing listens on ${url}. Start it with \`npm start\` in another terminal.`
  }
  if (cause) return `Could not reach ${url}: ${cause.message || cause.code}`
  return error instanceof Error ? error.message : String(error)
}
