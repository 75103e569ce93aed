import { base64url, CompactSign } from 'jose'
import { utf8 } from './crypto'
import type { Credential } from './views/openbadges3'

/**
 * A credential as VC-JWT: Open Badges 3.0, section 8.2. Its claims repeat what the credential says; RS256 is the algorithm that
 * every verifier has to know, and `kid` the address of the key.
 */

const headerOf = (kid: string) => ({ alg: 'RS256', typ: 'JWT', kid })

const seconds = (time: string) => Date.parse(time) / 1000

const claimsOf = (credential: Credential) => ({
  ...credential,
  iss: credential.issuer.id,
  jti: credential.id,
  sub: credential.credentialSubject.id,
  nbf: seconds(credential.validFrom),
  ...(credential.validUntil !== undefined && { exp: seconds(credential.validUntil) }),
})

/** The signature of a credential's token. */
export async function signToken(
  credential: Credential,
  key: CryptoKey,
  kid: string,
): Promise<Uint8Array> {
  const payload = utf8(JSON.stringify(claimsOf(credential)))
  const token = await new CompactSign(payload).setProtectedHeader(headerOf(kid)).sign(key)
  return base64url.decode(token.slice(token.lastIndexOf('.') + 1))
}

const encoded = (value: object) => base64url.encode(utf8(JSON.stringify(value)))

/** The token that was signed, the same bytes. */
export const tokenOf = (credential: Credential, kid: string, signature: Uint8Array): string =>
  `${encoded(headerOf(kid))}.${encoded(claimsOf(credential))}.${base64url.encode(signature)}`
