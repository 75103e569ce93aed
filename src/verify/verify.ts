import { unbakeAny } from '../bake'
import { utf8 } from '../crypto'
import { type Inquiry, isCredential, verifyCredential } from './credential'
import { jsonIn } from './documents'
import { isAssertion, verifyHosted } from './hosted'
import { addressOf, type Json } from './json'
import { claimsOf } from './proof'
import { endedBy, failed, type Report, unknown } from './steps'

/** What is to be judged. */
export type Given =
  | { url: string }
  | { credential: Json }
  | { jwt: string }
  | { image: Uint8Array<ArrayBuffer> }

const NOTHING = endedBy({ document: failed('There is no credential in it') })

/** Judges a credential of any version and form, step by step. Whatever it is given, it does not throw. */
export async function verify(given: Given, inquiry: Inquiry): Promise<Report> {
  if ('url' in given) return verifyAt(given.url, inquiry)
  if ('image' in given) return verifyImage(given.image, inquiry)
  if ('jwt' in given) return verifyToken(given.jwt.trim(), inquiry)
  return verifyJson(given.credential, null, inquiry)
}

async function verifyJson(json: Json, from: string | null, inquiry: Inquiry): Promise<Report> {
  if (isCredential(json)) return verifyCredential({ json, token: null }, inquiry)
  return isAssertion(json) ? verifyHosted(json, from, inquiry) : NOTHING
}

async function verifyToken(token: string, inquiry: Inquiry): Promise<Report> {
  const json = claimsOf(token)
  if (!json) return NOTHING
  if (isCredential(json)) return verifyCredential({ json, token }, inquiry)
  return isAssertion(json)
    ? endedBy({ proof: unknown('Signed badges of version 2.0 and before are not judged here') })
    : NOTHING
}

async function verifyImage(
  image: Uint8Array<ArrayBuffer>,
  inquiry: Inquiry,
  isFetched = false,
): Promise<Report> {
  const baked = await unbakeAny(image)
  if (!baked) return endedBy({ document: failed('The image carries no credential') })
  const text = baked.text.trim()
  // An image at an address that carries that address again would go round in circles.
  if (baked.version === '1.x url') return isFetched ? NOTHING : verifyAt(text, inquiry)
  const json = jsonIn(utf8(text))
  return json ? verifyJson(json, null, inquiry) : verifyToken(text, inquiry)
}

async function verifyAt(url: string, inquiry: Inquiry): Promise<Report> {
  const address = addressOf(url)
  if (!address) return endedBy({ document: failed('It is not an https address') })
  const found = await inquiry.documents.find(address)
  if (found.kind === 'gone') return endedBy({ status: failed('Its issuer has revoked it') })
  if (found.kind === 'missing') {
    return endedBy({ document: failed('There is nothing at the address') })
  }
  if (found.kind !== 'found') {
    return endedBy({ document: unknown('Nothing could be fetched from the address') })
  }
  const json = jsonIn(found.bytes)
  if (json) return verifyJson(json, address, inquiry)
  const text = new TextDecoder().decode(found.bytes.subarray(0, 4))
  return text.startsWith('eyJ')
    ? verifyToken(new TextDecoder().decode(found.bytes).trim(), inquiry)
    : verifyImage(found.bytes, inquiry, true)
}
