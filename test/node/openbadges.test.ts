import { verifyCredential as verifyByCore } from '@digitalcredentials/verifier-core'
import Ajv2019 from 'ajv/dist/2019.js'
import AjvDraft04 from 'ajv-draft-04'
import addFormats from 'ajv-formats'
import { decodeProtectedHeader, importJWK, jwtVerify } from 'jose'
import jsonld from 'jsonld'
import { beforeAll, describe, expect, inject, it } from 'vitest'
import { serverAt } from './server'
import { bitsOf, dataOf, type Json, verify, type World, worldOf } from './verifiers'

/** What we issue is accepted by verifiers that others wrote: each runs against the real server, and sees nothing but that. */

let server: Awaited<ReturnType<typeof serverAt>>
let world: World

const PNG =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
const LEVELS = [
  '/systems/club',
  '/systems/club/issuers/lab',
  '/systems/club/issuers/lab/programs/day',
]
const EMAIL = 'Ada.Lovelace@Example.org'

const container = (slug: string, more: object = {}) => ({
  slug,
  name: `Übung ${slug} 🚀`,
  url: `https://${slug}.example.org/`,
  ...more,
})

const badge = (slug: string, more: object = {}) => ({
  slug,
  name: `Größe “${slug}” 🎓`,
  earnerDescription: 'You can do it',
  consumerDescription: 'Line one\n\n*Line* two & <three> "four"',
  criteriaUrl: 'example.org/criteria?a=1&b=2',
  unique: 0,
  type: 'Competency',
  image: PNG,
  criteria: [
    { description: 'Do this\nand that', required: 1 },
    { description: 'Perhaps this', required: 0 },
  ],
  alignments: [
    { name: 'A standard', url: 'https://standards.example.org/1?x=y', description: 'Its words' },
    { name: 'Nowhere', url: 'not an address' },
  ],
  categories: ['Science', 'Kunst'],
  tags: ['a', 'ß'],
  ...more,
})

const award = (more: object = {}) => ({
  email: EMAIL,
  issuedOn: '2026-01-31T12:00:00.750Z',
  narrative: 'She **did** it — “wirklich” 🎉',
  evidence: [
    {
      url: 'https://example.org/made/ü',
      name: 'The work',
      description: 'd',
      narrative: 'n',
      genre: 'g',
      audience: 'a',
    },
    'https://example.org/other',
  ],
  repeat: true,
  ...more,
})

const must = async (method: string, path: string, body?: unknown) => {
  const answer = await server.call(method, path, body)
  expect(answer.status, `${method} ${path}: ${JSON.stringify(answer.body)}`).toBeLessThan(300)
  return answer.body as Json
}
const get = async (url: string, accept?: string) =>
  world.fetch(url, accept === undefined ? undefined : { headers: { Accept: accept } })
const json = async (url: string) => (await (await get(url)).json()) as Json

beforeAll(async () => {
  server = await serverAt(inject('server'))
  world = worldOf(server.url)
  await must('POST', '/systems', container('club', { email: 'club@example.org' }))
  await must('POST', '/systems/club/issuers', container('lab', { description: 'A *lab*' }))
  await must('POST', `${LEVELS[1]}/programs`, container('day', { image: PNG }))
  for (const [i, path] of LEVELS.entries()) await must('POST', `${path}/badges`, badge(`b${i}`))
})

const awardAt = async (level: number, more: object = {}): Promise<Json> =>
  (await must('POST', `${LEVELS[level]}/badges/b${level}/instances`, award(more))).instance

const validator = () => {
  const ajv = new Ajv2019({ strict: false, allErrors: true })
  addFormats.default(ajv)
  return ajv.compile(dataOf('ob_v3p0_achievementcredential_schema.json'))
}

/** `verifier-core` answers with a log of its steps. */
async function byCore(credential: Json): Promise<Json> {
  world.install()
  try {
    return await verifyByCore({ credential, knownDIDRegistries: [] } as never)
  } finally {
    world.restore()
  }
}

const CASES: [string, number, object][] = [
  ['of a system, with all that an award can say', 0, { expires: '2036-01-31T12:00:00Z' }],
  ['of an issuer', 1, {}],
  ['of a program, with nothing but an address', 2, { narrative: null, evidence: null }],
]

describe.each(CASES)('a credential %s', (_what, level, more) => {
  let credential: Json
  beforeAll(async () => {
    const { urls } = await awardAt(level, more)
    credential = await json(urls.openBadges3)
  })

  it('is accepted by @digitalbazaar/vc', async () => {
    const result = await verify(world, credential)
    expect(result, JSON.stringify(result.error)).toMatchObject({ verified: true })
    expect(await verify(world, JSON.parse(JSON.stringify(credential)))).toMatchObject({
      verified: true,
    })
  })

  it('is accepted by @digitalcredentials/verifier-core, its status and schema too', async () => {
    const result = await byCore(credential)
    const said = JSON.stringify(result, null, 1)
    const log = Object.fromEntries(result.log?.map(({ id, valid }: Json) => [id, valid]) ?? [])
    expect(log, said).toMatchObject({
      valid_signature: true,
      expiration: true,
      revocation_status: true,
    })
    const schema = result.additionalInformation.find(({ id }: Json) => id === 'schema_check')
    expect(schema.results, said).toMatchObject([{ result: { valid: true } }])
    expect(result.errors).toBeUndefined()
  })

  it('passes the official schema', () => {
    const validate = validator()
    expect(validate(credential), JSON.stringify(validate.errors)).toBe(true)
    expect(validate({ ...credential, proof: credential.proof[0] })).toBe(false)
  })

  it('is a token, too, which a stranger verifies by the key that it names', async () => {
    const token = await (await get(`${credential.id}.jwt`)).text()
    const header = decodeProtectedHeader(token)
    expect(Object.keys(header).sort()).toEqual(['alg', 'kid', 'typ'])
    expect(header).toMatchObject({ alg: 'RS256', typ: 'JWT' })
    const answer = await get(header.kid ?? '')
    expect(answer.headers.get('Content-Type')).toBe('application/jwk+json')
    const jwk = (await answer.json()) as Json
    expect(jwk).toMatchObject({ kty: 'RSA', e: 'AQAB', kid: header.kid })
    const { payload } = await jwtVerify(token, await importJWK(jwk, 'RS256'))
    const { iss, jti, sub, nbf, exp, ...body } = payload
    const { proof: _, ...unsigned } = credential
    expect(body).toEqual(unsigned)
    expect([iss, jti, sub]).toEqual([
      credential.issuer.id,
      credential.id,
      credential.credentialSubject.id,
    ])
    expect(nbf).toBe(Date.parse(credential.validFrom) / 1000)
    const until = credential.validUntil
    expect(exp).toBe(until === undefined ? undefined : Date.parse(until) / 1000)
    // The same key stands in the set of all, and in the issuer's document.
    const jwks = await json(`${server.url}/.well-known/jwks.json`)
    expect(jwks.keys).toContainEqual({ ...jwk, iss: credential.issuer.id })
  })

  it('names an issuer whose document holds its keys, by absolute ids', async () => {
    const [, , host, ...path] = credential.issuer.id.split(':')
    const did = await json(`https://${decodeURIComponent(host)}/${path.join('/')}/did.json`)
    expect(did.id).toBe(credential.issuer.id)
    expect(did.alsoKnownAs).toEqual([credential.issuer.otherIdentifier[0].identifier])
    const ids = did.verificationMethod.map(({ id }: Json) => id)
    expect(did.assertionMethod).toEqual(ids)
    expect(ids).toContain(credential.proof[0].verificationMethod)
    for (const method of did.verificationMethod) {
      expect(method.controller).toBe(did.id)
      expect(method.id.startsWith(`${did.id}#`)).toBe(true)
      expect(method.publicKeyMultibase ?? 'z6Mk').toMatch(/^z6Mk/)
      expect(JSON.stringify(method)).not.toMatch(/"(?:d|p|q|dp|dq|qi)":/)
    }
  })
})

/** One character of a text is another. */
const other = (text: string, at = text.length - 1) =>
  text.slice(0, at) + (text[at] === 'a' || text[at] === '1' ? '2' : '1') + text.slice(at + 1)

const CHANGES: [string, (credential: Json) => void][] = [
  ['the name', (c) => (c.name = other(c.name, 0))],
  ['the day it was awarded', (c) => (c.awardedDate = other(c.awardedDate, 3))],
  ['the time it holds from', (c) => (c.validFrom = other(c.validFrom, 3))],
  [
    'the hash of the address',
    (c) => {
      const [identifier] = c.credentialSubject.identifier
      identifier.identityHash = other(identifier.identityHash)
    },
  ],
  [
    'the salt',
    (c) => {
      const [identifier] = c.credentialSubject.identifier
      identifier.salt = other(identifier.salt)
    },
  ],
  ['the subject', (c) => (c.credentialSubject.id = other(c.credentialSubject.id))],
  [
    'the place in the list',
    (c) => (c.credentialStatus.statusListIndex = other(c.credentialStatus.statusListIndex, 0)),
  ],
  [
    'the badge',
    (c) => (c.credentialSubject.achievement.id = other(c.credentialSubject.achievement.id)),
  ],
  ['the time of the signature', (c) => (c.proof[0].created = other(c.proof[0].created, 3))],
  ['the signature', (c) => (c.proof[0].proofValue = other(c.proof[0].proofValue))],
  ['the issuer’s name', (c) => (c.issuer.name = other(c.issuer.name, 0))],
  ['the order of the contexts', (c) => c['@context'].reverse()],
]

describe('a credential of which one thing is another', () => {
  let credential: Json
  beforeAll(async () => {
    credential = await json((await awardAt(0)).urls.openBadges3)
  })

  it('is told from one that is whole', async () => {
    expect(await verify(world, structuredClone(credential))).toMatchObject({ verified: true })
  })

  it.each(CHANGES)('is refused: %s', async (_what, change) => {
    const changed = structuredClone(credential)
    change(changed)
    expect(changed).not.toEqual(credential)
    expect(await verify(world, changed)).toMatchObject({ verified: false })
    const { log, errors } = await byCore(changed)
    const isFine = !errors && log?.every(({ valid }: Json) => valid === true)
    expect(isFine).toBe(false)
  })
})

describe('an issuer’s new keys', () => {
  it('sign what comes; what old ones have signed stays good', async () => {
    // An issuer that no verifier has met: they, too, remember documents for some seconds.
    await must('POST', '/systems/club/issuers', container('turn'))
    await must('POST', '/systems/club/issuers/turn/badges', badge('turned'))
    const path = '/systems/club/issuers/turn/badges/turned/instances'
    const next = async () =>
      json((await must('POST', path, award())).instance.urls.openBadges3) as Promise<Json>
    const before = await next()
    const rotated = await must('POST', '/systems/club/issuers/turn/signing-keys/rotate')
    const after = await next()
    const methods = [before, after].map(({ proof }) => proof[0].verificationMethod)
    expect(methods[0]).not.toBe(methods[1])
    for (const credential of [before, after]) {
      expect(await verify(world, credential)).toMatchObject({ verified: true })
      expect((await byCore(credential)).log).toContainEqual({ id: 'valid_signature', valid: true })
    }
    const list = await json(after.credentialStatus.statusListCredential)
    expect(list.proof[0].verificationMethod).toBe(methods[1])
    const retired = rotated.signingKeys.filter((key: Json) => key.retired !== null)
    expect(retired.map((key: Json) => key.verificationMethod)).toContain(methods[0])
  })
})

describe('a revoked award', () => {
  it('is refused by both verifiers, as its bit is set', async () => {
    const { slug: _, ...gone } = await awardAt(2, { email: 'gone@example.org' })
    const credential = await json(gone.urls.openBadges3)
    const other = await json((await awardAt(2)).urls.openBadges3)
    const list = async () =>
      bitsOf(
        (await json(credential.credentialStatus.statusListCredential)).credentialSubject
          .encodedList,
      )
    const index = Number(credential.credentialStatus.statusListIndex)
    expect((await list())(index)).toBe(false)
    await must('DELETE', `${LEVELS[2]}/badges/b2/instances/gone@example.org?reason=Sorry`)
    expect((await list())(index)).toBe(true)
    expect(await verify(world, credential)).toMatchObject({ verified: false })
    expect((await byCore(credential)).log).toContainEqual({ id: 'revocation_status', valid: false })
    expect(await verify(world, other)).toMatchObject({ verified: true })
    const answer = await get(gone.urls.openBadges3)
    expect(answer.status).toBe(410)
    expect(await answer.json()).toMatchObject({ revoked: true, revocationReason: 'Sorry' })
  })
})

describe('the documents of Open Badges 1.1', () => {
  it('pass the official schemas', async () => {
    const ajv = new AjvDraft04({ strict: false })
    addFormats.default(ajv as never)
    for (const name of ['extension', 'issuer', 'badgeclass', 'assertion']) {
      ajv.addSchema(dataOf(`ob_v1p1-${name}.schema.json`), name)
    }
    // In 1.x the page is told as it was given; to the schema it must be an address.
    const criteriaUrl = 'https://example.org/criteria'
    await must('POST', `${LEVELS[2]}/badges`, badge('old', { criteriaUrl, alignments: [] }))
    const path = `${LEVELS[2]}/badges/old/instances`
    const made = await must('POST', path, award({ expires: '2036-01-31T12:00:00Z' }))
    const { assertionUrl } = made.instance
    const assertion = await json(assertionUrl)
    const badgeClass = await json(assertion.badge)
    const issuer = await json(badgeClass.issuer)
    const faults = Object.entries({ assertion, badgeclass: badgeClass, issuer }).flatMap(
      ([name, document]) => (ajv.validate(name, document) ? [] : [name, ajv.errors]),
    )
    expect(faults).toEqual([])
    expect(ajv.validate('assertion', { ...assertion, verify: undefined })).toBe(false)
  })
})

describe('the documents of Open Badges 1.1 and 2.0', () => {
  const CONTEXTS: Record<string, Json> = {
    'https://w3id.org/openbadges/v1': dataOf('ob_v1p1-context.json'),
    'https://w3id.org/openbadges/legacy-v1': dataOf('ob_v1-legacy-context.json'),
    'https://w3id.org/openbadges/v2': dataOf('ob_v2p0-context.json'),
  }
  const canonical = (document: Json) =>
    jsonld.canonize(document, {
      algorithm: 'RDFC-1.0',
      format: 'application/n-quads',
      safe: true,
      base: null,
      documentLoader: async (url: string) => ({
        contextUrl: null,
        documentUrl: url,
        document: CONTEXTS[url] ?? fail(url),
      }),
    })
  const fail = (url: string) => {
    throw new Error(`No context is known at ${url}`)
  }

  it('hold no member that the standard does not define', async () => {
    // In 1.x addresses are told as they were given.
    const criteriaUrl = 'https://example.org/criteria'
    const alignments = [{ name: 'x', url: 'https://standards.example.org/1' }]
    await must('POST', `${LEVELS[1]}/badges`, badge('words', { criteriaUrl, alignments }))
    const path = `${LEVELS[1]}/badges/words/instances`
    const { urls } = (await must('POST', path, award({ expires: '2036-01-31T12:00:00Z' }))).instance
    const assertion = await json(urls.openBadges2)
    const badgeClass = await json(assertion.badge)
    const issuer = await json(badgeClass.issuer)
    const old = await json(urls.page)
    const oldClass = await json(old.badge)
    for (const document of [assertion, badgeClass, issuer, old, oldClass]) {
      expect(await canonical(document), document.id).toContain('<')
    }
    await expect(canonical({ ...assertion, slug: 'x' })).rejects.toThrow()
  })
})
