import { base64url, type JWK } from 'jose'
import * as z from 'zod'
import { base58 } from '../base58'
import type { PublicKey, SigningKeyRow } from '../store/signingKeys'
import { didOf, issuer2Path, methodOf, signingKeyPath } from '../urls'
import { iso, isoOrNull } from './times'

/** Public keys: of the private ones nothing is ever shown. */

const Jwk = z.looseObject({ kty: z.string() })

/** A key that signs credentials, or did. */
export const SigningKey = z
  .object({
    thumbprint: z.string(),
    algorithm: z.enum(['Ed25519', 'RS256']),
    url: z.string(),
    verificationMethod: z.string(),
    publicKey: Jwk,
    created: z.iso.datetime(),
    retired: z.iso.datetime().nullable(),
    withdrawn: z.iso.datetime().nullable(),
  })
  .meta({ id: 'SigningKey' })

const readJwk = (json: string) => JSON.parse(json) as JWK & { kty: string }

/** What identifies a key to whoever verifies a token: the address at which it stands alone. */
export const kidOf = (origin: string, thumbprint: string) => origin + signingKeyPath(thumbprint)

/** A public key with its own address. */
export function viewJwk(json: string, thumbprint: string, origin: string) {
  const jwk = readJwk(json)
  return { ...jwk, use: 'sig', kid: kidOf(origin, thumbprint) }
}

export const viewSigningKey = (row: SigningKeyRow, origin: string): z.infer<typeof SigningKey> => ({
  thumbprint: row.thumbprint,
  algorithm: row.algorithm,
  url: kidOf(origin, row.thumbprint),
  verificationMethod: methodOf(origin, row.issuerUid, row.thumbprint),
  publicKey: viewJwk(row.publicKey, row.thumbprint, origin),
  created: iso(row.createdAt),
  retired: isoOrNull(row.retiredAt),
  withdrawn: isoOrNull(row.withdrawnAt),
})

/** Multicodec's sign of an Ed25519 public key. */
const ED25519_PUBLIC = [0xed, 0x01]

const multibase = (json: string) =>
  `z${base58(Uint8Array.from([...ED25519_PUBLIC, ...base64url.decode(readJwk(json).x ?? '')]))}`

function viewMethod(row: SigningKeyRow, origin: string) {
  const method = {
    id: methodOf(origin, row.issuerUid, row.thumbprint),
    controller: didOf(origin, row.issuerUid),
  }
  return row.algorithm === 'Ed25519'
    ? { ...method, type: 'Multikey', publicKeyMultibase: multibase(row.publicKey) }
    : {
        ...method,
        type: 'JsonWebKey',
        publicKeyJwk: viewJwk(row.publicKey, row.thumbprint, origin),
      }
}

/** Those whose signatures are good. */
const good = <K extends Pick<SigningKeyRow, 'withdrawnAt'>>(keys: readonly K[]) =>
  keys.filter(({ withdrawnAt }) => withdrawnAt === null)

/** The DID document of an issuer: every key that it ever signed with may still assert what it signed, unless it is withdrawn. */
export function viewDid(uid: string, keys: readonly SigningKeyRow[], origin: string) {
  const verificationMethod = good(keys).map((key) => viewMethod(key, origin))
  return {
    '@context': [
      'https://www.w3.org/ns/did/v1',
      'https://w3id.org/security/multikey/v1',
      'https://w3id.org/security/jwk/v1',
    ],
    id: didOf(origin, uid),
    alsoKnownAs: [origin + issuer2Path(uid)],
    verificationMethod,
    assertionMethod: verificationMethod.map(({ id }) => id),
  }
}

export const viewJwks = (keys: readonly PublicKey[], origin: string) => ({
  keys: good(keys).map(({ publicKey, issuerUid, thumbprint }) => ({
    ...viewJwk(publicKey, thumbprint, origin),
    iss: didOf(origin, issuerUid),
  })),
})
