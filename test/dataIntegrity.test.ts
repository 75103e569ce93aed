import { expect, it } from 'vitest'
import { base58 } from '../src/base58'
import { hex } from '../src/crypto'
import { canonicalHash, hashData, withProof } from '../src/dataIntegrity'
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
