import { base64url, compactVerify, decodeProtectedHeader, importJWK, type JWK } from 'jose'
import { fromBase58 } from '../base58'
import { hashData, hasKnownContexts, type ProofOptions } from '../dataIntegrity'
import { type Documents, findJson, jsonIn } from './documents'
import { allOf, idOf, isObject, isSame, type Json, momentOf, textOf } from './json'
import { assertedKeys, type Method, methodIn, publicJwk, resolve } from './keys'
import { failed, passed, unknown, type Verdict } from './steps'

/** Whether the signature holds, and whether its key is the issuer's. */
export type Judgement = { proof: Verdict; issuer: Verdict }

const KEY_UNREACHABLE = unknown('The key of the signature could not be fetched')
const ISSUER_UNREACHABLE = unknown("The issuer's keys could not be fetched")
const NOT_ITS_KEY = failed("The key of the signature is not one of the issuer's")
const ITS_KEY = passed('The issuer says that the key of the signature is its own')
const WRONG = failed(
  'The signature does not fit: the credential was changed, or signed by another key',
)

/** RS256 is what every issuer must be able to use, ES256 is accepted too (Open Badges 3.0 §8.2.4). */
const ALGORITHMS = ['RS256', 'ES256']

// ── Embedded proofs ─────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Judges the embedded proof of a document (VC Data Integrity 1.0 §4.4; `eddsa-rdfc-2022` §3.2.2). Only the fixed contexts
 * count: one of a stranger's could give another name to a member that is looked at here, without a change to what is signed.
 */
export async function judgeProof(
  document: Json,
  documents: Documents,
  now: number,
): Promise<Judgement> {
  const proofs = allOf(document.proof).filter(isObject)
  if (proofs.length === 0) return { proof: failed('It is not signed'), issuer: NOT_ITS_KEY }
  const proof = proofs.find(
    ({ type, cryptosuite }) => type === 'DataIntegrityProof' && cryptosuite === 'eddsa-rdfc-2022',
  )
  const notChecked = unknown('Nothing is known of the key of the signature')
  if (!proof) {
    return { proof: unknown('It is signed in a way that is not known here'), issuer: notChecked }
  }
  if (!hasKnownContexts(document)) {
    return { proof: unknown('It uses vocabularies that are not known here'), issuer: notChecked }
  }
  const method = await methodOf(textOf(proof.verificationMethod) ?? '', documents)
  if (typeof method === 'string') return withoutKey(method)
  const isFit = isFitProof(proof, now) && (await isSignedBy(document, proof, method.jwk))
  const isIts = method.controller === idOf(document.issuer) && method.isAsserted
  return {
    proof: isFit ? passed('The signature fits') : WRONG,
    issuer: isIts ? ITS_KEY : NOT_ITS_KEY,
  }
}

const withoutKey = (why: 'unreachable' | 'missing' | 'unsupported'): Judgement =>
  ({
    unreachable: { proof: KEY_UNREACHABLE, issuer: ISSUER_UNREACHABLE },
    missing: { proof: failed('The key of the signature does not exist'), issuer: NOT_ITS_KEY },
    unsupported: {
      proof: unknown('The key of the signature is named in a way that is not known here'),
      issuer: unknown('The issuer is named in a way that is not known here'),
    },
  })[why]

/** The key that a DID URL names, or an address in the same way. */
async function methodOf(url: string, documents: Documents) {
  const [id = ''] = url.split('#')
  const document = await resolve(id, documents)
  if (typeof document === 'string') return document
  return methodIn(document, url) ?? ('missing' as const)
}

function isFitProof({ proofPurpose, expires }: Json, now: number): boolean {
  const end = momentOf(expires)
  return (
    proofPurpose === 'assertionMethod' && (expires === undefined || (end !== null && end > now))
  )
}

async function isSignedBy(document: Json, proof: Json, jwk: JWK): Promise<boolean> {
  const { proof: _, ...unsigned } = document
  const { proofValue, '@context': _context, ...options } = proof
  const text = textOf(proofValue) ?? ''
  const signature = text.startsWith('z') && text.length <= 100 ? fromBase58(text.slice(1)) : null
  if (signature?.length !== 64 || jwk.crv !== 'Ed25519') return false
  try {
    const hash = await hashData(unsigned as never, options as ProofOptions)
    const key = await crypto.subtle.importKey('jwk', jwk as JsonWebKey, 'Ed25519', false, [
      'verify',
    ])
    return await crypto.subtle.verify('Ed25519', key, signature, hash)
  } catch {
    // Members that no context defines, and keys that are none.
    return false
  }
}

// ── Tokens ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The claims of a compact JWS, not believed yet; null when it is none. */
export function claimsOf(token: string): Json | null {
  const [head, payload, signature, more] = token.split('.')
  if (!head || !payload || !signature || more !== undefined) return null
  try {
    decodeProtectedHeader(token)
    return jsonIn(base64url.decode(payload))
  } catch {
    return null
  }
}

/** Judges a credential in the form of a token (Open Badges 3.0 §8.2). */
export async function judgeToken(
  token: string,
  issuer: string,
  documents: Documents,
): Promise<Judgement> {
  const { alg = '', kid, jwk } = decodeProtectedHeader(token)
  if (!ALGORITHMS.includes(alg)) {
    const proof = unknown('It is signed with an algorithm that is not known here')
    return { proof, issuer: unknown('Nothing is known of the key of the signature') }
  }
  const found = isObject(jwk) ? publicJwk(jwk) : await keyAt(textOf(kid) ?? '', documents)
  if (found === null) return withoutKey('missing')
  if (typeof found === 'string') return withoutKey(found)
  const key = 'jwk' in found ? (found as Method).jwk : (found as JWK)
  const proof = (await isTokenOf(token, alg, key)) ? passed('The signature fits') : WRONG
  if ('controller' in found) {
    const { controller, isAsserted } = found as Method
    return { proof, issuer: controller === issuer && isAsserted ? ITS_KEY : NOT_ITS_KEY }
  }
  return { proof, issuer: await ownerVerdict(key, textOf(kid), issuer, documents) }
}

/** The key that a `kid` names: a DID URL, or the address of one bare JWK. */
async function keyAt(kid: string, documents: Documents) {
  if (kid.startsWith('did:')) return methodOf(kid, documents)
  if (!/^https?:/i.test(kid)) return 'unsupported' as const
  const found = await findJson(documents, kid)
  if (found.kind === 'unreachable') return 'unreachable' as const
  return found.kind === 'found' ? publicJwk(found.json) : ('missing' as const)
}

async function isTokenOf(token: string, alg: string, jwk: JWK): Promise<boolean> {
  try {
    await compactVerify(token, await importJWK(jwk, alg), { algorithms: [alg] })
    return true
  } catch {
    return false
  }
}

/**
 * Whether a key that says nothing of its owner is the issuer's: its DID lists the same key; or, when the issuer is an address,
 * the key stands at the same origin.
 */
async function ownerVerdict(
  key: JWK,
  kid: string | null,
  issuer: string,
  documents: Documents,
): Promise<Verdict> {
  if (!issuer.startsWith('did:')) {
    const origins = [kid, issuer].map((url) => (url ? URL.parse(url)?.origin : undefined))
    return origins[0] && origins[0] === origins[1] ? ITS_KEY : NOT_ITS_KEY
  }
  const document = await resolve(issuer, documents)
  if (document === 'unreachable') return ISSUER_UNREACHABLE
  if (document === 'unsupported') return withoutKey('unsupported').issuer
  const isListed =
    document !== 'missing' && assertedKeys(document).some((listed) => isSame(listed, key))
  return isListed ? ITS_KEY : NOT_ITS_KEY
}
