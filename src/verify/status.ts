import { base64url } from 'jose'
import { inflate } from '../streams'
import { type Documents, type Found, findJson, jsonIn } from './documents'
import { addressOf, allOf, idOf, isObject, isOfType, type Json, momentOf, textOf } from './json'
import { claimsOf, judgeProof, judgeToken } from './proof'
import { failed, passed, unknown, type Verdict } from './steps'

const UNREACHABLE = unknown('The list of revoked credentials could not be fetched')
const REVOKED = failed('Its issuer has revoked it')
const SUSPENDED = failed('Its issuer has suspended it')
const STANDS = passed('Its issuer has not revoked it')

/** 8 million entries; the smallest list has 131,072 (Bitstring Status List 1.0 §2.2). */
const MAX_LIST = 1024 * 1024
const MIN_LIST = 16 * 1024
/** Of one credential; a list and its key are two fetches. */
const MAX_ENTRIES = 4

/** Whether a 3.0 credential still stands: the worst of what its status entries say. */
export async function judgeStatus(
  credential: Json,
  documents: Documents,
  now: number,
): Promise<Verdict> {
  const entries = allOf(credential.credentialStatus)
  if (entries.length === 0) return passed('It cannot be revoked: it names no list')
  if (entries.length > MAX_ENTRIES) return unknown('It names more lists than are looked at')
  const verdicts: Verdict[] = []
  for (const entry of entries) {
    verdicts.push(
      isObject(entry) ? await judgeEntry(entry, credential, documents, now) : UNREACHABLE,
    )
  }
  const worst = ['failed', 'unknown'].map((word) => verdicts.find(({ result }) => result === word))
  return worst.find((verdict) => verdict) ?? STANDS
}

function judgeEntry(entry: Json, credential: Json, documents: Documents, now: number) {
  if (isOfType(entry, 'BitstringStatusListEntry')) {
    return judgeBit(entry, idOf(credential.issuer), documents, now)
  }
  if (isOfType(entry, '1EdTechRevocationList')) return judgeListed(entry, credential, documents)
  return unknown('It names a list of revoked credentials of a kind that is not known here')
}

// ── Bitstring status lists ──────────────────────────────────────────────────────────────────────────────────────────

async function judgeBit(
  entry: Json,
  issuer: string | null,
  documents: Documents,
  now: number,
): Promise<Verdict> {
  const url = addressOf(entry.statusListCredential)
  if (!url) return failed('It names no list of revoked credentials, but a place in one')
  const found = await documents.find(url)
  if (found.kind === 'unreachable') return UNREACHABLE
  const list = await signedList(found, issuer, documents, now)
  if ('verdict' in list) return list.verdict
  const subject = allOf(list.json.credentialSubject).find(isObject)
  if (!subject || subject.statusPurpose !== entry.statusPurpose) {
    return failed('Its list of revoked credentials is for another purpose')
  }
  const bit = await bitAt(textOf(subject.encodedList) ?? '', entry.statusListIndex)
  if (bit === null) return failed('Its list of revoked credentials has no such place')
  // Other purposes say nothing against a credential.
  const verdicts: Record<string, Verdict> = { revocation: REVOKED, suspension: SUSPENDED }
  return (bit && verdicts[String(entry.statusPurpose)]) || STANDS
}

/** A list as the issuer of the credential has signed it; or what is wrong with it. */
async function signedList(
  found: Found,
  issuer: string | null,
  documents: Documents,
  now: number,
): Promise<{ json: Json } | { verdict: Verdict }> {
  if (found.kind !== 'found') {
    return { verdict: failed('Its list of revoked credentials does not exist') }
  }
  const text = new TextDecoder().decode(found.bytes).trim()
  const isToken = !text.startsWith('{')
  const json = isToken ? claimsOf(text) : jsonIn(found.bytes)
  if (!json || !isOfType(json, 'BitstringStatusListCredential') || idOf(json.issuer) !== issuer) {
    return { verdict: failed("Its list of revoked credentials is not its issuer's") }
  }
  const { proof, issuer: owner } = isToken
    ? await judgeToken(text, issuer ?? '', documents)
    : await judgeProof(json, documents, now)
  const results = [proof.result, owner.result]
  if (results.includes('failed')) {
    return { verdict: failed('Its list of revoked credentials is not signed by its issuer') }
  }
  if (results.includes('unknown')) {
    return { verdict: unknown('Nobody can say who signed its list of revoked credentials') }
  }
  const end = momentOf(json.validUntil)
  const isOld = end !== null && end <= now
  return isOld ? { verdict: unknown('Its list of revoked credentials is out of date') } : { json }
}

/** One bit of a compressed list, the first of a byte being the most significant; null when there is none. */
async function bitAt(encoded: string, given: unknown): Promise<boolean | null> {
  const index = /^\d{1,9}$/.test(String(given)) ? Number(given) : null
  if (index === null || !encoded.startsWith('u')) return null
  const compressed = decoded(encoded.slice(1))
  const bytes = compressed && (await inflate(compressed, 'gzip', MAX_LIST))
  const byte = bytes && bytes.length >= MIN_LIST ? bytes[index >> 3] : undefined
  return byte === undefined ? null : (byte & (0x80 >> (index & 7))) !== 0
}

function decoded(text: string): Uint8Array | null {
  try {
    return base64url.decode(text)
  } catch {
    return null
  }
}

// ── 1EdTech's lists ─────────────────────────────────────────────────────────────────────────────────────────────────

async function judgeListed(entry: Json, credential: Json, documents: Documents): Promise<Verdict> {
  const url = addressOf(entry.id)
  if (!url) return failed('It names no list of revoked credentials')
  const found = await findJson(documents, url)
  if (found.kind === 'unreachable') return UNREACHABLE
  if (found.kind !== 'found' || idOf(found.json.issuer) !== idOf(credential.issuer)) {
    return failed("Its list of revoked credentials is not its issuer's")
  }
  const isRevoked = allOf(found.json.revokedCredential).some(
    (one) => isObject(one) && one.id === credential.id && one.revoked !== false,
  )
  return isRevoked ? REVOKED : STANDS
}
