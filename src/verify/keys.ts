import { base64url, type JWK } from 'jose'
import { fromBase58 } from '../base58'
import { type Documents, findJson } from './documents'
import { addressOf, allOf, isObject, type Json, textOf } from './json'

/** A public key, whose it says it is, and whether its DID lets it sign credentials. */
export type Method = { jwk: JWK; controller: string; isAsserted: boolean }
/** A document with keys; or why there is none: nobody could be asked, it is not there, its method is not known here. */
export type Resolved = Json | 'unreachable' | 'missing' | 'unsupported'

/** Multicodec `ed25519-pub`, before the 32 bytes of a key. */
const ED25519 = [0xed, 0x01]
/** `z` and 34 bytes in base58 need fewer; longer keys are not read. */
const MAX_MULTIBASE = 64

/** The document of `did:web:…`, `did:key:…` or an address that says which keys are its own (Controlled Identifiers 1.0). */
export async function resolve(id: string, documents: Documents): Promise<Resolved> {
  if (id.startsWith('did:key:')) return keyDocument(id)
  const url = id.startsWith('did:web:') ? webUrlOf(id) : addressOf(id)
  if (!url) return 'unsupported'
  const found = await findJson(documents, url)
  if (found.kind === 'unreachable') return 'unreachable'
  return found.kind === 'found' && found.json.id === id ? found.json : 'missing'
}

/** Where `did:web:HOST:a:b` stands: a port is written `%3A`. */
export function webUrlOf(did: string): string | null {
  const [host = '', ...path] = did.slice('did:web:'.length).split(':')
  const name = /^([a-z\d.-]+)(?:%3a(\d{1,5}))?$/i.exec(host)
  if (!name || path.some((part) => !/^[\w.~%-]+$/.test(part))) return null
  const place = path.length === 0 ? '.well-known' : path.join('/')
  return `https://${name[1]}${name[2] ? `:${name[2]}` : ''}/${place}/did.json`
}

/** The document that a `did:key` stands for. */
function keyDocument(did: string): Resolved {
  const publicKeyMultibase = did.slice('did:key:'.length)
  if (!multibaseJwk(publicKeyMultibase)) return 'unsupported'
  const id = `${did}#${publicKeyMultibase}`
  return {
    id: did,
    verificationMethod: [{ id, type: 'Multikey', controller: did, publicKeyMultibase }],
    assertionMethod: [id],
  }
}

/** The method of a DID document that a DID URL names. */
export function methodIn(document: Json, url: string): Method | null {
  const did = String(document.id)
  const absolute = (id: unknown) => (String(id).startsWith('#') ? did + id : String(id))
  const asserted = allOf(document.assertionMethod)
  const methods = [...allOf(document.verificationMethod), ...asserted].filter(isObject)
  const method = methods.find(({ id }) => absolute(id) === url)
  const jwk = method && jwkOf(method)
  if (!jwk) return null
  const isAsserted = asserted.some((one) => absolute(isObject(one) ? one.id : one) === url)
  return { jwk, controller: textOf(method.controller) ?? did, isAsserted }
}

/** All keys that a DID lets sign credentials. */
export function assertedKeys(document: Json): JWK[] {
  const did = String(document.id)
  return allOf(document.assertionMethod).flatMap((one) => {
    const id = String(isObject(one) ? one.id : one)
    return methodIn(document, id.startsWith('#') ? did + id : id)?.jwk ?? []
  })
}

function jwkOf({ publicKeyMultibase, publicKeyJwk }: Json): JWK | null {
  if (isObject(publicKeyJwk)) return publicJwk(publicKeyJwk)
  return typeof publicKeyMultibase === 'string' ? multibaseJwk(publicKeyMultibase) : null
}

function multibaseJwk(text: string): JWK | null {
  if (text.length > MAX_MULTIBASE || !text.startsWith('z')) return null
  const bytes = fromBase58(text.slice(1))
  if (bytes?.length !== 34 || !ED25519.every((byte, index) => bytes[index] === byte)) return null
  return { kty: 'OKP', crv: 'Ed25519', x: base64url.encode(bytes.subarray(2)) }
}

/** The public members of a JWK, and no others: what it says of its use is not asked. */
export function publicJwk(json: Json): JWK | null {
  const names = { RSA: ['n', 'e'], EC: ['crv', 'x', 'y'], OKP: ['crv', 'x'] }[String(json.kty)]
  if (!names?.every((name) => typeof json[name] === 'string')) return null
  return Object.fromEntries(['kty', ...names].map((name) => [name, json[name]])) as JWK
}
