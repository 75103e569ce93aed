import { base64url, calculateJwkThumbprint, type JWK } from 'jose'
import { randomHex } from './crypto'
import { hashData, ownHash, type ProofOptions, proofOptions, withProof } from './dataIntegrity'
import type { Bindings } from './env'
import { unavailable } from './errors'
import { forget } from './publicCache'
import { open, seal } from './seal'
import {
  type AwardRow,
  findAwardById,
  isSigned,
  keepCredential,
  type SignedAward,
} from './store/credentials'
import type { Db } from './store/db'
import {
  type ActiveKey,
  ALGORITHMS,
  type Algorithm,
  activeKeys,
  keepKey,
  type NewSigningKey,
  type Owner,
  privateCell,
} from './store/signingKeys'
import {
  beginList,
  findList,
  freePlace,
  keepList,
  LIST_BITS,
  listState,
  ownerOf,
  type Place,
  type StatusListRow,
} from './store/statusLists'
import { signToken, tokenOf } from './token'
import { didPath, JWKS_PATH, methodOf } from './urls'
import { viewCredential, viewStatusList } from './views/openbadges3'
import { kidOf } from './views/signingKeys'
import { isoSeconds } from './views/times'

/**
 * Signing of Open Badges 3.0 credentials and their status lists. An award is signed once, by the queue or by whoever asks first;
 * what is stored are its signatures, and every document follows from them and the award.
 */

// ── Keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────

const HOW = {
  Ed25519: { generate: { name: 'Ed25519' }, use: 'Ed25519' },
  RS256: {
    generate: {
      name: 'RSASSA-PKCS1-v1_5',
      hash: 'SHA-256',
      modulusLength: 2048,
      publicExponent: new Uint8Array([1, 0, 1]),
    },
    use: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  },
} as const

/** The members of a JWK that anyone may know; the others never leave the seal. */
const PUBLIC = ['kty', 'crv', 'x', 'n', 'e'] as const

/** Makes a key; its private half is sealed at once. */
export async function newSigningKey(env: Bindings, algorithm: Algorithm): Promise<NewSigningKey> {
  const pair = await crypto.subtle.generateKey(HOW[algorithm].generate, true, ['sign', 'verify'])
  const jwk = (await crypto.subtle.exportKey('jwk', (pair as CryptoKeyPair).privateKey)) as JWK
  const known = PUBLIC.flatMap((name) => (jwk[name] === undefined ? [] : [[name, jwk[name]]]))
  const publicKey = { ...Object.fromEntries(known), alg: algorithm } as JWK
  const thumbprint = await calculateJwkThumbprint(publicKey)
  const { key_ops: _, ext: __, ...secret } = jwk
  const sealed = await seal(env.ENCRYPTION_KEYS, JSON.stringify(secret), privateCell(thumbprint))
  return { thumbprint, algorithm, publicKey: JSON.stringify(publicKey), sealed }
}

/** One of each algorithm. */
export const newSigningKeys = (env: Bindings) =>
  Promise.all(ALGORITHMS.map((algorithm) => newSigningKey(env, algorithm)))

/** Keys that this isolate has opened. Which one signs is asked of the database each time. */
const opened = new Map<string, CryptoKey>()
const MAX_OPENED = 200

async function openKey(env: Bindings, key: ActiveKey): Promise<CryptoKey> {
  const known = opened.get(key.thumbprint)
  if (known) return known
  const secret = await open(env.ENCRYPTION_KEYS, key.sealed, privateCell(key.thumbprint))
  const { alg: _, ...jwk } = JSON.parse(secret) as JsonWebKey
  const imported = await crypto.subtle.importKey('jwk', jwk, HOW[key.algorithm].use, false, [
    'sign',
  ])
  if (opened.size >= MAX_OPENED) opened.clear()
  opened.set(key.thumbprint, imported)
  return imported
}

type Signer = { ed25519: ActiveKey; rs256: ActiveKey }

/** An issuer's two keys, or null while it has not both. */
function signerOf(keys: readonly ActiveKey[]): Signer | null {
  const [ed25519, rs256] = ALGORITHMS.map((name) => keys.find((key) => key.algorithm === name))
  return ed25519 && rs256 ? { ed25519, rs256 } : null
}

type Desk = { signer: Signer; place: Place & { index: number } }

/** What signing needs: the issuer's keys, and a place in one of its lists; made where they are missing. */
async function desk(db: Db, env: Bindings, owner: Owner, now: number): Promise<Desk | null> {
  const { issuerUid } = owner
  const [keys, [place]] = await db.read(activeKeys(issuerUid), freePlace(issuerUid))
  const known = deskOf(keys, place)
  if (known) return known
  const missing = ALGORITHMS.filter((name) => !keys.some(({ algorithm }) => algorithm === name))
  const made = await Promise.all(missing.map((name) => newSigningKey(env, name)))
  const found = await db.batch([
    ...made.map((key) => keepKey(key, owner, now)),
    ...(place && place.index !== null ? [] : [beginList(randomHex(16), owner, place, now)]),
    activeKeys(issuerUid),
    freePlace(issuerUid),
  ])
  // Of an issuer without keys nothing is kept; the document of all keys is.
  if (made.length > 0) await forget(env, [didPath(issuerUid), JWKS_PATH])
  const [all, places] = found.slice(-2) as unknown as [ActiveKey[], Place[]]
  return deskOf(all, places[0])
}

function deskOf(keys: readonly ActiveKey[], place: Place | undefined): Desk | null {
  const signer = signerOf(keys)
  if (!signer || !place || place.index === null) return null
  return { signer, place: { ...place, index: place.index } }
}

// ── Awards ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const bytesOf = (blob: ArrayLike<number>) => Uint8Array.from(blob)

const optionsOf = (award: SignedAward, origin: string) =>
  proofOptions(methodOf(origin, award.issuerUid, award.ed25519), isoSeconds(award.created))

/** The credential with its embedded proof, as it was signed. */
export const provenCredential = async (award: SignedAward, origin: string) =>
  withProof(
    await viewCredential(award, award, origin),
    optionsOf(award, origin),
    bytesOf(award.proof),
  )

/** The credential as a token, as it was signed. */
export const credentialToken = async (award: SignedAward, origin: string) =>
  tokenOf(
    await viewCredential(award, award, origin),
    kidOf(origin, award.rs256),
    bytesOf(award.jwt),
  )

const TRIES = 3

/**
 * Signs an award unless it is signed, and gives it as it then stands: by whomever it was signed first, or ended meanwhile.
 *
 * @param award an award that there is
 */
export async function signed(
  db: Db,
  env: Bindings,
  award: AwardRow,
  now: number,
): Promise<AwardRow> {
  let current = award
  for (let attempt = 1; current.endedAt === null && !isSigned(current); attempt++) {
    // The place in the list was taken by another, or the system has gone.
    if (attempt > TRIES) throw unavailable('The credential could not be signed')
    const found = await desk(db, env, current, now)
    const made = found && (await signatures(env, current, found, now))
    const keep = made ? [keepCredential(made)] : []
    const results = await db.batch([...keep, findAwardById(current.awardId ?? 0)])
    const [row] = results.at(-1) as AwardRow[]
    current = row ?? { ...current, endedAt: now }
  }
  return { ...current, asked: award.asked }
}

async function signatures(env: Bindings, award: AwardRow, { signer, place }: Desk, now: number) {
  const origin = env.PUBLIC_ORIGIN
  const created = Math.floor(now / 1000) * 1000
  const { list, statusIndex } = award
  const at = list === null ? { list: place.uid, statusIndex: place.index } : { list, statusIndex }
  const credential = await viewCredential(award, at, origin)
  const { ed25519, rs256 } = signer
  const method = methodOf(origin, award.issuerUid, ed25519.thumbprint)
  const [proof, jwt] = await Promise.all([
    sign(env, ed25519, credential, proofOptions(method, isoSeconds(created))),
    openKey(env, rs256).then((key) => signToken(credential, key, kidOf(origin, rs256.thumbprint))),
  ])
  return {
    awardId: award.awardId ?? 0,
    amendedAt: award.amendedAt,
    created,
    ed25519KeyId: ed25519.id,
    proof,
    rs256KeyId: rs256.id,
    jwt,
    statusListId: place.id,
    statusIndex: place.index,
  }
}

async function sign(
  env: Bindings,
  key: ActiveKey,
  document: { '@context': readonly string[] },
  options: ProofOptions,
): Promise<Uint8Array> {
  const data = await hashData(document, options, ownHash)
  return new Uint8Array(await crypto.subtle.sign('Ed25519', await openKey(env, key), data))
}

/** Signs an award that the queue names, if it is there and holds. */
export async function signById(db: Db, env: Bindings, id: number, now: number): Promise<void> {
  const [[award]] = await db.read(findAwardById(id))
  if (award) await signed(db, env, award, now)
}

// ── Status lists ────────────────────────────────────────────────────────────────────────────────────────────────────

/** A list as verifiers read it: bit 0 is the leftmost of the first byte (Bitstring Status List 1.0, section 3.2). */
export async function encodeList(ended: readonly number[] | 'all'): Promise<string> {
  const bits = new Uint8Array(LIST_BITS / 8).fill(ended === 'all' ? 0xff : 0)
  for (const index of ended === 'all' ? [] : ended) {
    bits[index >> 3] = (bits[index >> 3] ?? 0) | (0x80 >> (index & 7))
  }
  const zipped = new Blob([bits]).stream().pipeThrough(new CompressionStream('gzip'))
  return `u${base64url.encode(new Uint8Array(await new Response(zipped).arrayBuffer()))}`
}

const isCurrent = (list: StatusListRow) => list.signedRevision === list.revision

/**
 * A list, signed anew where something has changed since; undefined when there is none of this name.
 *
 * @param primary gives the way to the primary database, for signing
 */
export async function currentList(
  db: Db,
  primary: () => Db,
  env: Bindings,
  uid: string,
  now: number,
): Promise<StatusListRow | undefined> {
  const [[list]] = await db.read(findList(uid))
  return list && !isCurrent(list) ? signList(primary(), env, uid, now) : list
}

/** Signs a list as it is now. */
export async function signList(
  db: Db,
  env: Bindings,
  uid: string,
  now: number,
): Promise<StatusListRow | undefined> {
  const [[state], keys] = await db.read(listState(uid), activeKeys(ownerOf(uid)))
  if (!state) return undefined
  const signer = signerOf(keys)
  if (!signer) throw unavailable('The status list has no key')
  const origin = env.PUBLIC_ORIGIN
  const encodedList = await encodeList(state.over ? 'all' : JSON.parse(state.ended))
  const validFrom = Math.floor(now / 1000) * 1000
  const document = viewStatusList({ ...state, encodedList, validFrom }, origin)
  const method = methodOf(origin, state.issuerUid, signer.ed25519.thumbprint)
  const options = proofOptions(method, isoSeconds(validFrom))
  const proof = await sign(env, signer.ed25519, document, options)
  const kept = { encodedList, validFrom, proof, keyId: signer.ed25519.id }
  const [, [list]] = await db.batch([keepList(state, kept), findList(uid)])
  return list
}

/** A list with its proof, as it was signed. */
export const provenList = (list: StatusListRow, origin: string) =>
  withProof(
    viewStatusList(list, origin),
    proofOptions(methodOf(origin, list.issuerUid, list.key ?? ''), isoSeconds(list.validFrom ?? 0)),
    bytesOf(list.proof ?? []),
  )
