import { SignJWT } from 'jose'
import { fromBase64, hmac, sha256, utf8 } from './crypto'

/** A live secret of a webhook. */
export type WebhookSecret = { text: string; primary: boolean }

/**
 * The headers of one attempt, with both signatures. The contract's token holds the body's digest and nothing else, as old
 * receivers check every other claim (§6.1), and is signed with the primary secret alone; Standard Webhooks signs
 * `id.timestamp.body` with every live secret.
 *
 * @param secrets the newest first
 * @param timestamp seconds
 */
export async function signedHeaders(
  secrets: readonly WebhookSecret[],
  id: string,
  timestamp: number,
  message: string,
): Promise<Record<string, string>> {
  const signed = `${id}.${timestamp}.${message}`
  const signatures = await Promise.all(secrets.map(({ text }) => hmac(webhookKey(text), signed)))
  const primary = secrets.find((secret) => secret.primary) ?? secrets[0]
  return {
    'Content-Type': 'application/json',
    'User-Agent': 'badgekit-webhooks/1',
    ...(primary && { Authorization: `JWT token="${await legacyToken(primary.text, message)}"` }),
    'webhook-id': id,
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
