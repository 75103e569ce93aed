import { expect, it } from 'vitest'
import { base58 } from '../src/base58'
import { hex } from '../src/crypto'
import { canonicalHash, hashData, ownHash, withProof } from '../src/dataIntegrity'
import vector from './node/ob-schemas/ob3-eddsa-rdfc-2022-vector.json'

/** 1EdTech's published example of a signed credential: Open Badges 3.0 implementation guide. */
const { proof, ...document } = vector.signed
const [{ proofValue, ...options }] = [proof].flat() as [{ proofValue: string } & Options]
type Options = Parameters<typeof hashData>[1]

const bytes = (text: string) => Uint8Array.from(text.match(/../g) ?? [], (two) => parseInt(two, 16))

const key = (usages: 'sign'[]) => {
  const base64url = (text: string) =>
    btoa(String.fromCharCode(...bytes(text))).replace(
      /[+/=]/g,
      (c) => ({ '+': '-', '/': '_' })[c] ?? '',
    )
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: base64url(vector.publicKeyHex) }
  const d = base64url(vector.privateKeySeedHex)
  return crypto.subtle.importKey('jwk', { ...jwk, d }, 'Ed25519', false, usages)
}

it('hashes the official example as it was hashed', async () => {
  expect(hex(await canonicalHash(document))).toBe(vector.documentHashHex)
  const config = { '@context': document['@context'], ...options }
  expect(hex(await canonicalHash(config))).toBe(vector.proofConfigHashHex)
})

it('signs the official example as it was signed', async () => {
  const data = await hashData(document, options)
  const signature = await crypto.subtle.sign('Ed25519', await key(['sign']), data)
  expect(hex(signature)).toBe(vector.signatureHex)
  const signed = withProof(document, options, new Uint8Array(signature))
  expect(signed.proof).toEqual([{ ...options, proofValue }])
})

it('hashes a document of ours the same by its expansion, whatever it says', async () => {
  const [context] = document['@context']
  const made = (text: string, more: object = {}) => ({
    ...document,
    name: text,
    credentialSubject: {
      ...document.credentialSubject,
      narrative: text,
      achievement: { ...document.credentialSubject.achievement, tag: [text, 'b', text] },
    },
    ...more,
  })
  const documents = [
    document,
    made('a'),
    made('b'),
    made('urn:blank:0'),
    made('\u0000 "\\ \n <&> ü 🎓'),
    made(''),
    made('b', { evidence: [{ id: 'https://example.org/1', type: ['Evidence'], name: 'b' }] }),
    made('b', { evidence: [{ id: document.id, type: ['Evidence'], name: 'c' }] }),
    made('b', { validUntil: '2030-01-01T00:00:00Z' }),
    { '@context': [context], ...options },
  ]
  const known = await Promise.all(documents.map(canonicalHash))
  expect(new Set(known.map(hex)).size).toBe(documents.length)
  for (const _ of ['first', 'again']) {
    expect((await Promise.all(documents.map(ownHash))).map(hex)).toEqual(known.map(hex))
  }
})

it('refuses members and contexts that nobody has defined', async () => {
  await expect(canonicalHash({ ...document, claimCode: 'secret' })).rejects.toThrow()
  const elsewhere = { ...document, '@context': [...document['@context'], 'https://example.org/'] }
  await expect(canonicalHash(elsewhere)).rejects.toThrow()
})

it('writes base58 as others do', () => {
  expect(base58(bytes('0000287fb4cd'))).toBe('11233QC4')
  expect(base58(bytes(''))).toBe('')
  expect(base58(bytes('0000'))).toBe('11')
  expect(`z${base58(bytes(`ed01${vector.publicKeyHex}`))}`).toBe(vector.publicKeyMultibase)
})
