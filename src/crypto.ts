/** `bytes` random bytes in lower-case hex. */
export const randomHex = (bytes: number) => hex(crypto.getRandomValues(new Uint8Array(bytes)))

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

export function hex(bytes: Uint8Array | ArrayBuffer): string {
  let text = ''
  for (const byte of new Uint8Array(bytes)) text += HEX[byte]
  return text
}

export const utf8 = (text: string) => new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>

export const base64 = (bytes: Uint8Array | ArrayBuffer) => {
  let binary = ''
  for (const byte of new Uint8Array(bytes)) binary += String.fromCharCode(byte)
  return btoa(binary)
}

/** Throws a `DOMException` when `text` is not base64. */
export const fromBase64 = (text: string) =>
  Uint8Array.from(atob(text), (char) => char.charCodeAt(0)) as Uint8Array<ArrayBuffer>

/** Lower-case hex digest. */
export const sha256 = async (data: string | Uint8Array<ArrayBuffer>) =>
  hex(await crypto.subtle.digest('SHA-256', typeof data === 'string' ? utf8(data) : data))

/** An id that follows from a request's secret `op`: a repeated request makes the same. `bytes` of lower-case hex. */
export const idFrom = async (op: string, what: string, bytes: number) =>
  (await sha256(`${op}/${what}`)).slice(0, 2 * bytes)

/** The same for as many bytes as are wanted: the key stream of a cipher. */
export async function bytesFrom(op: string, what: string, length: number): Promise<Uint8Array> {
  const seed = await crypto.subtle.digest('SHA-256', utf8(`${op}/${what}`))
  const key = await crypto.subtle.importKey('raw', seed, 'AES-CTR', false, ['encrypt'])
  const counter = { name: 'AES-CTR', counter: new Uint8Array(16), length: 64 }
  return new Uint8Array(await crypto.subtle.encrypt(counter, key, new Uint8Array(length)))
}

/** Whether two texts are equal, in a time that tells nothing of where they differ. */
export function equalTexts(a: string, b: string): boolean {
  const [x, y] = [utf8(a), utf8(b)]
  return x.length === y.length && crypto.subtle.timingSafeEqual(x, y)
}

/** HMAC-SHA256, base64: the signature of a Standard Webhooks header. */
export async function hmac(key: Uint8Array<ArrayBuffer>, text: string): Promise<string> {
  const hmacKey = await hmacKeyOf(key, 'sign')
  return base64(await crypto.subtle.sign('HMAC', hmacKey, utf8(text)))
}

/** An HMAC-SHA256 key of the secret's bytes, for one use. Throws on an empty secret. */
export const hmacKeyOf = (secret: Uint8Array<ArrayBuffer>, use: 'sign' | 'verify') =>
  crypto.subtle.importKey('raw', secret, { name: 'HMAC', hash: 'SHA-256' }, false, [use])
