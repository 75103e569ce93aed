/** Whether a webhook's message comes from who has the secret: both ways in which it is signed. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'

/** @typedef {Record<string, string | string[] | undefined>} Headers */
/** `none`: it is not signed in this way. @typedef {'good' | 'bad' | 'none'} Verdict */

/** @param {Buffer} a @param {Buffer} b */
const equal = (a, b) => a.length === b.length && timingSafeEqual(a, b)
/** @param {string | Buffer} key @param {string | Buffer} text */
const hmac = (key, text) => createHmac('sha256', key).update(text).digest()

/** How old a message may be, in seconds. */
const TOLERANCE = 300

/**
 * Standard Webhooks: `webhook-signature`.
 * @param {string} secret
 * @param {Headers} headers
 * @param {Buffer} body the raw bytes
 * @param {number} [now] seconds
 * @returns {Verdict}
 */
export function checkStandard(secret, headers, body, now = Date.now() / 1000) {
  const { 'webhook-id': id, 'webhook-timestamp': time, 'webhook-signature': given } = headers
  if (typeof given !== 'string') return 'none'
  if (!(Math.abs(now - Number(time)) <= TOLERANCE)) return 'bad'
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : secret
  const wanted = hmac(key, Buffer.concat([Buffer.from(`${id}.${time}.`), body]))
  const isGood = given
    .split(' ')
    .some((one) => one.startsWith('v1,') && equal(Buffer.from(one.slice(3), 'base64'), wanted))
  return isGood ? 'good' : 'bad'
}

/**
 * The original's: a token in `Authorization` that holds the hash of the body.
 * @param {string} secret
 * @param {Headers} headers
 * @param {Buffer} body
 * @returns {Verdict}
 */
export function checkLegacy(secret, headers, body) {
  const { authorization } = headers
  if (typeof authorization !== 'string') return 'none'
  const jwt = /^JWT token="([\w.-]+)"$/.exec(authorization)?.[1] ?? ''
  const [head, payload = '', mac = ''] = jwt.split('.')
  if (!equal(Buffer.from(mac, 'base64url'), hmac(secret, `${head}.${payload}`))) return 'bad'
  try {
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
    return claims.body.hash === createHash('sha256').update(body).digest('hex') ? 'good' : 'bad'
  } catch {
    return 'bad'
  }
}
