import { exportJWK, SignJWT } from 'jose'
import { vi } from 'vitest'
import { base58 } from '../../src/base58'
import { hashData, OB_CONTEXT, proofOptions, VC_CONTEXT, withProof } from '../../src/dataIntegrity'

/** Credentials of issuers who are not us, signed by keys of their own, and their hosts on the network. */

type Pair = CryptoKeyPair
type Document = { '@context': string[] } & Record<string, unknown>

export const ED25519 = (await crypto.subtle.generateKey('Ed25519', true, [
  'sign',
  'verify',
])) as Pair
export const OTHER = (await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify'])) as Pair
export const P256 = (await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, [
  'sign',
  'verify',
])) as Pair
export const RSA = (await crypto.subtle.generateKey(
  {
    name: 'RSASSA-PKCS1-v1_5',
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
    hash: 'SHA-256',
  },
  true,
  ['sign', 'verify'],
)) as Pair

export async function multibase({ publicKey }: Pair): Promise<string> {
  const raw = new Uint8Array((await crypto.subtle.exportKey('raw', publicKey)) as ArrayBuffer)
  return `z${base58(new Uint8Array([0xed, 0x01, ...raw]))}`
}

export const HOST = 'https://foreign.example.org'
export const DID = 'did:web:foreign.example.org:issuers:7'
export const DID_KEY = `did:key:${await multibase(ED25519)}`

export const didDocument = async () => ({
  id: DID,
  verificationMethod: [
    {
      id: `${DID}#ed`,
      type: 'Multikey',
      controller: DID,
      publicKeyMultibase: await multibase(ED25519),
    },
    {
      id: `${DID}#idle`,
      type: 'Multikey',
      controller: DID,
      publicKeyMultibase: await multibase(OTHER),
    },
    {
      id: `${DID}#rs`,
      type: 'JsonWebKey',
      controller: DID,
      publicKeyJwk: await exportJWK(RSA.publicKey),
    },
    {
      id: `${DID}#es`,
      type: 'JsonWebKey',
      controller: DID,
      publicKeyJwk: await exportJWK(P256.publicKey),
    },
  ],
  assertionMethod: [`${DID}#ed`, `${DID}#rs`, `${DID}#es`],
})

/** An unsigned credential. */
export const credential = (more: object = {}): Document => ({
  '@context': [VC_CONTEXT, OB_CONTEXT],
  id: 'urn:uuid:8d1c1a52-0d3c-4f43-b6a3-6f1d5d8d7a01',
  type: ['VerifiableCredential', 'OpenBadgeCredential'],
  name: 'Robot Maker',
  issuer: { id: DID, type: ['Profile'], name: 'A foreign club' },
  validFrom: '2025-01-01T00:00:00Z',
  credentialSubject: {
    id: 'urn:uuid:8d1c1a52-0d3c-4f43-b6a3-6f1d5d8d7a02',
    type: ['AchievementSubject'],
    identifier: [
      {
        type: 'IdentityObject',
        identityType: 'emailAddress',
        hashed: true,
        // a@example.com with its salt: the known answer of the specification.
        identityHash: 'sha256$b5809d8a92f8858436d7e6b87c12ebc0ae1eac4baecc2c0b913aee2c922ef399',
        salt: 'Kosher',
      },
    ],
    achievement: {
      id: `${HOST}/achievements/1`,
      type: ['Achievement'],
      name: 'Robot Maker',
      description: 'Builds robots.',
      criteria: { narrative: 'Build one.' },
    },
  },
  ...more,
})

/** The document with an embedded proof. */
export async function signed(
  document: Document,
  { key = ED25519, method = `${DID}#ed` }: { key?: Pair; method?: string } = {},
) {
  const options = proofOptions(method, '2025-01-01T00:00:00Z')
  const hash = await hashData(document, options)
  const signature = await crypto.subtle.sign('Ed25519', key.privateKey, hash)
  return withProof(document, options, new Uint8Array(signature))
}

/** The document as a token. */
export const token = (
  { '@context': context, ...rest }: Document,
  {
    alg = 'RS256',
    key = RSA,
    ...header
  }: { alg?: string; key?: Pair; kid?: string; jwk?: object } = {},
) =>
  new SignJWT({ '@context': context, ...rest })
    .setProtectedHeader({ alg, typ: 'JWT', ...header } as never)
    .sign(key.privateKey)

/** A list of 131,072 statuses, some of them set, as its issuer signs it. */
export async function statusList(set: number[], more: object = {}, size = 16 * 1024) {
  const bits = new Uint8Array(size)
  for (const index of set) bits[index >> 3] = (bits[index >> 3] ?? 0) | (0x80 >> (index & 7))
  const stream = new Blob([bits]).stream().pipeThrough(new CompressionStream('gzip'))
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer())
  const encoded = btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')
  return {
    '@context': [VC_CONTEXT],
    id: `${HOST}/status/1`,
    type: ['VerifiableCredential', 'BitstringStatusListCredential'],
    issuer: DID,
    validFrom: '2025-01-01T00:00:00Z',
    credentialSubject: {
      id: `${HOST}/status/1#list`,
      type: 'BitstringStatusList',
      statusPurpose: 'revocation',
      encodedList: `u${encoded}`,
    },
    ...more,
  }
}

export const statusEntry = (index: number) => ({
  id: `${HOST}/status/1#${index}`,
  type: 'BitstringStatusListEntry',
  statusPurpose: 'revocation',
  statusListIndex: String(index),
  statusListCredential: `${HOST}/status/1`,
})

type Served = object | string | number | Uint8Array<ArrayBuffer> | Response | Error

/** Puts a network in place of the real one: what stands at each address. All else does not answer. */
export function network(served: Record<string, Served>) {
  const fetch = vi.fn<typeof globalThis.fetch>(async (input) => {
    const found = served[String(input)]
    if (found === undefined || found instanceof Error)
      throw new TypeError('Network connection lost')
    if (found instanceof Response) return found.clone() as never
    if (typeof found === 'number') return new Response('{}', { status: found })
    if (found instanceof Uint8Array || typeof found === 'string') return new Response(found)
    return Response.json(found)
  })
  vi.stubGlobal('fetch', fetch)
  return fetch
}
