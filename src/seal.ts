import { base64, fromBase64, utf8 } from './crypto'

/** The one cell of a table where a sealed value lives. It opens nowhere else: a ciphertext moved to another row stays shut. */
export type Cell = { table: string; row: string; column: string }

type KeyRing = { newest: string; keys: Map<string, CryptoKey> }

/**
 * Encrypts a secret that must be readable again: AES-256-GCM under the newest of `ENCRYPTION_KEYS`, with a key of its
 * own for each row (HKDF-SHA256), bound to its cell. Gives `v1.<key id>.<iv>.<ciphertext>`.
 */
export async function seal(ring: string, secret: string, cell: Cell): Promise<string> {
  const { newest } = await readRing(ring)
  const iv = crypto.getRandomValues(new Uint8Array(12))
  const key = await rowKey(ring, newest, cell)
  const sealed = await crypto.subtle.encrypt(
    { name: 'AES-GCM', iv, additionalData: utf8(boundTo(cell, newest)) },
    key,
    utf8(secret),
  )
  return `v1.${newest}.${base64(iv)}.${base64(sealed)}`
}

/** Opens what `seal` made. Throws when the key is gone, the cell is another or a bit has changed. */
export async function open(ring: string, sealed: string, cell: Cell): Promise<string> {
  const [version, id, iv, text] = sealed.split('.')
  if (version !== 'v1' || id === undefined || iv === undefined || text === undefined) {
    throw new Error('A sealed value is malformed')
  }
  const key = await rowKey(ring, id, cell)
  const opened = await crypto.subtle.decrypt(
    { name: 'AES-GCM', iv: fromBase64(iv), additionalData: utf8(boundTo(cell, id)) },
    key,
    fromBase64(text),
  )
  return new TextDecoder().decode(opened)
}

/**
 * 32 bytes that follow from `name` and the oldest of `ENCRYPTION_KEYS`: a secret that a repeated request is told again, and that
 * nobody can make who holds the database alone.
 */
export async function derive(ring: string, name: string): Promise<Uint8Array<ArrayBuffer>> {
  const [oldest] = (await readRing(ring)).keys.values()
  if (!oldest) throw new Error('ENCRYPTION_KEYS holds no key')
  const how = {
    name: 'HKDF',
    hash: 'SHA-256',
    salt: new Uint8Array(),
    info: utf8(`derive:${name}`),
  }
  return new Uint8Array(await crypto.subtle.deriveBits(how, oldest, 256))
}

const boundTo = ({ table, row, column }: Cell, id: string) => `${table}|${row}|${column}|${id}`

async function rowKey(ring: string, id: string, { table, row }: Cell): Promise<CryptoKey> {
  const master = (await readRing(ring)).keys.get(id)
  if (!master) throw new Error(`ENCRYPTION_KEYS has no key ${id}`)
  return crypto.subtle.deriveKey(
    { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info: utf8(`${table}:${row}`) },
    master,
    { name: 'AES-GCM', length: 256 },
    false,
    ['encrypt', 'decrypt'],
  )
}

const rings = new Map<string, Promise<KeyRing>>()

/** Reads `ENCRYPTION_KEYS`: a JSON object of key id → base64 of 32 bytes, the newest last. Kept per isolate. */
export function readRing(ring: string): Promise<KeyRing> {
  const known = rings.get(ring)
  if (known) return known
  const read = importRing(ring)
  rings.set(ring, read)
  return read
}

async function importRing(ring: string): Promise<KeyRing> {
  const entries = Object.entries(JSON.parse(ring) as Record<string, string>)
  const keys = new Map<string, CryptoKey>()
  for (const [id, key] of entries) {
    // A dot would end the id too early in what is sealed under it.
    if (!/^[\w-]+$/.test(id)) throw new Error('An id of ENCRYPTION_KEYS is not a plain word')
    const bytes = fromBase64(key)
    if (bytes.length !== 32) throw new Error('A key of ENCRYPTION_KEYS is not 32 bytes long')
    keys.set(
      id,
      await crypto.subtle.importKey('raw', bytes, 'HKDF', false, ['deriveKey', 'deriveBits']),
    )
  }
  const newest = entries.at(-1)?.[0]
  if (newest === undefined) throw new Error('ENCRYPTION_KEYS holds no key')
  return { newest, keys }
}
