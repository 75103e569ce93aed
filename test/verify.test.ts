import { env } from 'cloudflare:workers'
import { exportJWK } from 'jose'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { bake } from '../src/bake'
import { api, ORIGIN } from './helpers/api'
import {
  credential,
  DID,
  DID_KEY,
  didDocument,
  ED25519,
  HOST,
  multibase,
  network,
  OTHER,
  P256,
  RSA,
  signed,
  statusEntry,
  statusList,
  token,
} from './helpers/foreign'
import { levels, PNG, seedBadge, unique } from './helpers/seed'
import { under, utf8, watchLog } from './helpers/worker'
import vector from './node/ob-schemas/ob3-eddsa-rdfc-2022-vector.json'

const { log, faults } = watchLog()
afterEach(() => {
  vi.unstubAllGlobals()
  expect(faults).not.toHaveBeenCalled()
})

const post = (body: BodyInit, type = 'application/json', more: object = {}) =>
  under(
    {},
    new Request(`${ORIGIN}/public/verify`, {
      method: 'POST',
      body,
      headers: { 'Content-Type': type, ...more },
    }),
  )

type Step = { name: string; result: string; message: string }

/** The results of a verification, by step. */
async function verified(body: object | BodyInit, type?: string) {
  const isBody = typeof body === 'string' || body instanceof Uint8Array
  const answer = await post((isBody ? body : JSON.stringify(body)) as BodyInit, type)
  expect(answer.status, JSON.stringify(answer.body)).toBe(200)
  const steps: Step[] = answer.body.steps
  return {
    verified: answer.body.verified as boolean,
    credential: answer.body.credential,
    messages: steps.map(({ message }) => message).join('\n'),
    ...(Object.fromEntries(steps.map(({ name, result }) => [name, result])) as Record<
      string,
      string
    >),
  }
}

const GOOD = {
  verified: true,
  document: 'passed',
  proof: 'passed',
  issuer: 'passed',
  status: 'passed',
  validity: 'passed',
}
const DID_URL = `${HOST}/issuers/7/did.json`
const LIST_URL = `${HOST}/status/1`
const KEY_URL = `${HOST}/keys/1`

/** The network of the foreign issuer as it should be. */
let foreign: Record<string, object> = {}
beforeAll(async () => {
  foreign = {
    [DID_URL]: await didDocument(),
    [LIST_URL]: await signed(await statusList([5])),
    [KEY_URL]: await exportJWK(RSA.publicKey),
  }
})

describe('a 3.0 credential with an embedded proof', () => {
  it('of a did:web is verified in all steps, and told in short', async () => {
    const fetch = network(foreign)
    const document = await signed(credential({ credentialStatus: statusEntry(6) }))
    const answer = await verified({ credential: document, recipient: ' A@Example.com ' })
    expect(answer).toMatchObject({ ...GOOD, recipient: 'passed' })
    expect(answer.credential).toEqual({
      version: '3.0',
      name: 'Robot Maker',
      issuer: 'A foreign club',
      issuedOn: '2025-01-01T00:00:00.000Z',
      expires: null,
    })
    expect(fetch.mock.calls.map(([url]) => url)).toEqual([DID_URL, LIST_URL])
  })

  it('of a did:key is verified without asking anybody', async () => {
    const fetch = network({})
    const issuer = { id: DID_KEY, type: ['Profile'], name: 'Somebody' }
    const method = `${DID_KEY}#${DID_KEY.slice('did:key:'.length)}`
    const document = await signed(credential({ issuer }), { method })
    expect(await verified(document, 'application/vc+ld+json')).toMatchObject(GOOD)
    expect(fetch).not.toHaveBeenCalled()
  })

  it('is the official example of 1EdTech', async () => {
    const id = vector.controller
    const { verificationMethod } = [vector.signed.proof].flat()[0] as { verificationMethod: string }
    const { publicKeyMultibase } = vector
    const method = { id: verificationMethod, type: 'Multikey', controller: id, publicKeyMultibase }
    network({ [id]: { id, verificationMethod: [method], assertionMethod: [verificationMethod] } })
    expect(await verified({ credential: vector.signed })).toMatchObject(GOOD)
  })

  it('at an address is fetched', async () => {
    network({ ...foreign, [`${HOST}/c/1`]: await signed(credential()) })
    expect(await verified({ url: `${HOST}/c/1#top` })).toMatchObject(GOOD)
  })

  it('baked into a PNG or an SVG is read from it', async () => {
    network(foreign)
    const json = JSON.stringify(await signed(credential({ name: 'Größter Roboter 🤖' })))
    const png = bake(PNG, 'image/png', { version: '3.0', json })
    const svg = bake(utf8('<svg xmlns="http://www.w3.org/2000/svg"/>'), 'image/svg+xml', {
      version: '3.0',
      json,
    })
    expect(await verified(png ?? '', 'image/png')).toMatchObject(GOOD)
    expect(await verified(svg ?? '', 'image/svg+xml; charset=utf-8')).toMatchObject(GOOD)
  })

  it('that somebody else has signed fails at its proof', async () => {
    network(foreign)
    const document = await signed(credential(), { key: OTHER })
    expect(await verified(document)).toMatchObject({
      ...GOOD,
      verified: false,
      proof: 'failed',
      status: 'unknown',
    })
  })

  it("whose key is the issuer's, but not for credentials, fails at its issuer", async () => {
    network(foreign)
    const document = await signed(credential(), { key: OTHER, method: `${DID}#idle` })
    expect(await verified(document)).toMatchObject({
      verified: false,
      proof: 'passed',
      issuer: 'failed',
    })
  })

  it('whose signer is not the issuer fails at its issuer', async () => {
    network(foreign)
    const document = await signed(credential(), {
      method: `${DID_KEY}#${DID_KEY.slice('did:key:'.length)}`,
    })
    expect(await verified(document)).toMatchObject({
      verified: false,
      proof: 'passed',
      issuer: 'failed',
    })
  })

  it.each([
    ['its name', (d: Doc) => ({ ...d, name: 'Robot Makes' })],
    ['its date', (d: Doc) => ({ ...d, validFrom: '2025-01-01T00:00:01Z' })],
    ['its place in the list', (d: Doc) => ({ ...d, credentialStatus: statusEntry(7) })],
    ['its list left out', (d: Doc) => ({ ...d, credentialStatus: undefined })],
    ['its issuer’s name', (d: Doc) => ({ ...d, issuer: { ...(d.issuer as object), name: 'MIT' } })],
    ['an unknown member', (d: Doc) => ({ ...d, claimCode: 'x' })],
  ])('that was changed fails at its proof: %s', async (_, change) => {
    network(foreign)
    const document = await signed(credential({ credentialStatus: statusEntry(6) }))
    expect(await verified(change(document))).toMatchObject({ verified: false, proof: 'failed' })
  })

  it('whose members stand under other names of the same meaning is not taken for whole', async () => {
    network(foreign)
    const { credentialStatus, ...rest } = (await signed(
      credential({ credentialStatus: statusEntry(5) }),
    )) as Doc
    const name = 'https://www.w3.org/2018/credentials#credentialStatus'
    const { id, type, statusPurpose, ...where } = credentialStatus as Doc
    const hidden = { ...rest, [name]: { id, type, statusPurpose, ...where } }
    expect(await verified(hidden)).toMatchObject({ verified: false, document: 'failed' })
    const context = [...(rest['@context'] as string[]), { other: { '@id': name, '@type': '@id' } }]
    const renamed = { ...rest, '@context': context, other: credentialStatus }
    expect(await verified(renamed)).toMatchObject({ verified: false, proof: 'unknown' })
  })

  it('of the future fails at its validity', async () => {
    network(foreign)
    const document = await signed(credential({ validFrom: '2199-01-01T00:00:00Z' }))
    expect(await verified(document)).toMatchObject({ ...GOOD, verified: false, validity: 'failed' })
  })

  it('that has expired fails at its validity', async () => {
    network(foreign)
    const document = await signed(credential({ validUntil: '2025-02-01T00:00:00Z' }))
    expect(await verified(document)).toMatchObject({ ...GOOD, verified: false, validity: 'failed' })
  })

  it('of another recipient fails there, and tells nobody whom it was asked about', async () => {
    network(foreign)
    const recipient = 'somebody-else@example.com'
    const answer = await verified({ credential: await signed(credential()), recipient })
    expect(answer).toMatchObject({ ...GOOD, verified: false, recipient: 'failed' })
    expect(JSON.stringify(answer)).not.toContain('somebody-else')
    expect(JSON.stringify(log.mock.calls)).not.toContain('somebody-else')
  })

  it('that is no badge, or lacks what a badge must have, fails at its document', async () => {
    network(foreign)
    const { credentialSubject, ...rest } = credential()
    const type = ['VerifiableCredential']
    for (const wrong of [
      { ...rest, credentialSubject: { id: 'urn:x:1' } },
      { ...rest, credentialSubject, type },
    ]) {
      const document = await signed(wrong as never)
      expect(await verified(document)).toMatchObject({
        verified: false,
        document: 'failed',
        proof: 'passed',
      })
    }
  })

  it('without a proof fails, and its lists are not asked for', async () => {
    const fetch = network(foreign)
    const answer = await verified(credential({ credentialStatus: statusEntry(6) }))
    expect(answer).toMatchObject({ verified: false, proof: 'failed', status: 'unknown' })
    expect(fetch).not.toHaveBeenCalled()
  })

  it('whose issuer cannot be reached stays open', async () => {
    network({})
    const answer = await verified(await signed(credential()))
    expect(answer).toMatchObject({ verified: false, proof: 'unknown', issuer: 'unknown' })
  })

  it.each([
    ['whose issuer is gone', 404],
    ['whose issuer is another', { id: 'did:web:other.example.org' }],
  ])('%s fails', async (_, served) => {
    network({ ...foreign, [DID_URL]: served as object })
    expect(await verified(await signed(credential()))).toMatchObject({
      verified: false,
      proof: 'failed',
      issuer: 'failed',
    })
  })
})

type Doc = Record<string, unknown>

describe('the status of a credential', () => {
  const at = async (index: number) => signed(credential({ credentialStatus: statusEntry(index) }))

  it.each([0, 1, 7, 8, 9, 131_071])(
    'is found bit by bit, the first being the most significant: %i',
    async (index) => {
      network({ ...foreign, [LIST_URL]: await signed(await statusList([index])) })
      expect(await verified(await at(index))).toMatchObject({
        ...GOOD,
        verified: false,
        status: 'failed',
      })
      expect(await verified(await at(index === 0 ? 1 : index - 1))).toMatchObject(GOOD)
    },
  )

  it('stays open when its list cannot be reached: it has not passed', async () => {
    for (const served of [new Error('down'), 503, 429, 'x'.repeat(600_000)]) {
      network({ ...foreign, [LIST_URL]: served as object })
      expect(await verified(await at(6))).toMatchObject({
        ...GOOD,
        verified: false,
        status: 'unknown',
      })
    }
  })

  it.each([
    ['signed by nobody', async () => statusList([])],
    ['signed by somebody else', async () => signed(await statusList([]), { key: OTHER })],
    [
      'changed',
      async () => ({
        ...(await signed(await statusList([]))),
        credentialSubject: (await statusList([1])).credentialSubject,
      }),
    ],
    ['of another issuer', async () => signed(await statusList([], { issuer: DID_KEY }))],
    [
      'for another purpose',
      async () => {
        const list = await statusList([])
        const subject = { ...list.credentialSubject, statusPurpose: 'suspension' }
        return signed({ ...list, credentialSubject: subject })
      },
    ],
    ['too short', async () => signed(await statusList([], {}, 1024))],
    ['a bomb', async () => signed(await statusList([], {}, 30_000_000))],
    ['not there', async () => 404],
    ['no list', async () => ({})],
  ])('fails when its list is %s', async (_, make) => {
    network({ ...foreign, [LIST_URL]: (await make()) as object })
    expect(await verified(await at(6))).toMatchObject({
      ...GOOD,
      verified: false,
      status: 'failed',
    })
  })

  it('stays open when its list is out of date, or of a kind that is not known', async () => {
    const old = await statusList([], { validUntil: '2025-02-01T00:00:00Z' })
    network({ ...foreign, [LIST_URL]: await signed(old) })
    expect(await verified(await at(6))).toMatchObject({ verified: false, status: 'unknown' })
    const jwt = await token(credential({ credentialStatus: { type: 'Other' } }), {
      kid: `${DID}#rs`,
    })
    expect(await verified({ jwt })).toMatchObject({ verified: false, status: 'unknown' })
  })

  it('is found in a list of 1EdTech’s', async () => {
    const list = { id: `${HOST}/list`, issuer: DID, revokedCredential: [{ id: 'urn:x:1' }] }
    network({ ...foreign, [`${HOST}/list`]: list })
    const credentialStatus = { id: `${HOST}/list`, type: '1EdTechRevocationList' }
    const kid = `${DID}#rs`
    const revoked = await token(credential({ id: 'urn:x:1', credentialStatus }), { kid })
    expect(await verified({ jwt: revoked })).toMatchObject({ verified: false, status: 'failed' })
    const good = await token(credential({ credentialStatus }), { kid })
    expect(await verified({ jwt: good })).toMatchObject(GOOD)
  })
})

describe('a 3.0 credential as a token', () => {
  it('is verified by RS256 and ES256 keys of a DID', async () => {
    network(foreign)
    const rs = await token(credential(), { kid: `${DID}#rs` })
    expect(await verified({ jwt: rs })).toMatchObject(GOOD)
    const es = await token(credential(), { alg: 'ES256', key: P256, kid: `${DID}#es` })
    expect(await verified(es, 'text/plain')).toMatchObject(GOOD)
    expect(await verified(` ${es}\n`, 'application/jwt')).toMatchObject(GOOD)
  })

  it('is verified by a key at an address that the issuer lists', async () => {
    network(foreign)
    const jwt = await token(credential(), { kid: KEY_URL })
    expect(await verified({ jwt })).toMatchObject(GOOD)
    network({ ...foreign, [`${HOST}/c.jwt`]: jwt })
    expect(await verified({ url: `${HOST}/c.jwt` })).toMatchObject(GOOD)
  })

  it('whose key stands elsewhere, and is not listed, fails at its issuer', async () => {
    const url = 'https://evil.example.com/key'
    network({ ...foreign, [url]: await exportJWK(P256.publicKey), [DID_URL]: { id: DID } })
    const jwt = await token(credential(), { alg: 'ES256', key: P256, kid: url })
    expect(await verified({ jwt })).toMatchObject({
      verified: false,
      proof: 'passed',
      issuer: 'failed',
    })
    const jwk = await exportJWK(P256.publicKey)
    const inside = await token(credential(), { alg: 'ES256', key: P256, jwk })
    expect(await verified({ jwt: inside })).toMatchObject({ verified: false, issuer: 'failed' })
  })

  it('that was changed, or signed by another key, fails at its proof', async () => {
    network(foreign)
    const [head, , signature] = (await token(credential(), { kid: `${DID}#rs` })).split('.')
    const [, payload] = (await token(credential({ name: 'MIT' }), { kid: `${DID}#rs` })).split('.')
    expect(await verified({ jwt: `${head}.${payload}.${signature}` })).toMatchObject({
      verified: false,
      proof: 'failed',
    })
    const other = await token(credential(), { alg: 'ES256', key: P256, kid: `${DID}#rs` })
    expect(await verified({ jwt: other })).toMatchObject({ verified: false, proof: 'failed' })
  })

  it('of an algorithm that is not for badges stays open, `none` too', async () => {
    network(foreign)
    const jwt = await token(credential(), { alg: 'EdDSA', key: ED25519, kid: `${DID}#ed` })
    expect(await verified({ jwt })).toMatchObject({ verified: false, proof: 'unknown' })
    const [, payload] = jwt.split('.')
    const none = `${btoa('{"alg":"none"}').replaceAll('=', '')}.${payload}.e30`
    expect(await verified({ jwt: none })).toMatchObject({ verified: false, proof: 'unknown' })
  })

  it('whose claims contradict it fails at its document', async () => {
    network(foreign)
    const claims = [
      { iss: 'did:web:other.example.org' },
      { jti: 'urn:x:1' },
      { nbf: 1 },
      { vc: {} },
    ]
    for (const claim of claims) {
      const jwt = await token(credential(claim), { kid: `${DID}#rs` })
      expect(await verified({ jwt })).toMatchObject({
        verified: false,
        document: 'failed',
        proof: 'passed',
      })
    }
  })
})

describe('a hosted badge', () => {
  const at = (path: string) => `${HOST}/v2/${path}`
  const context = 'https://w3id.org/openbadges/v2'
  const assertion = {
    '@context': context,
    type: 'Assertion',
    id: at('a'),
    recipient: {
      type: 'email',
      hashed: true,
      salt: 'Kosher',
      identity: 'sha256$b5809d8a92f8858436d7e6b87c12ebc0ae1eac4baecc2c0b913aee2c922ef399',
    },
    badge: at('b'),
    verification: { type: 'HostedBadge' },
    issuedOn: '2025-01-01T00:00:00Z',
  }
  const badgeClass = {
    '@context': context,
    type: 'BadgeClass',
    id: at('b'),
    name: 'Robot Maker',
    description: 'Builds robots.',
    image: at('i.png'),
    criteria: { narrative: 'Build one.' },
    issuer: at('i'),
  }
  const issuer = {
    '@context': context,
    type: 'Issuer',
    id: at('i'),
    name: 'A club',
    url: HOST,
    email: 'c@example.org',
  }
  const hosts = { [at('a')]: assertion, [at('b')]: badgeClass, [at('i')]: issuer }

  it('of version 2.0 is verified from its address, its JSON and an image', async () => {
    const fetch = network(hosts)
    const answer = await verified({ url: at('a'), recipient: 'a@example.com' })
    expect(answer).toMatchObject({ ...GOOD, recipient: 'passed' })
    expect(answer.credential).toMatchObject({
      version: '2.0',
      name: 'Robot Maker',
      issuer: 'A club',
    })
    expect(fetch).toHaveBeenCalledTimes(3)
    expect(await verified(assertion, 'application/ld+json')).toMatchObject(GOOD)
    const png = bake(PNG, 'image/png', { version: '2.0', json: JSON.stringify(assertion) })
    expect(await verified(png ?? '', 'image/png')).toMatchObject(GOOD)
  })

  it('of another recipient fails there', async () => {
    network(hosts)
    const answer = await verified({ credential: assertion, recipient: 'b@example.com' })
    expect(answer).toMatchObject({ ...GOOD, verified: false, recipient: 'failed' })
  })

  it('that differs from its hosted copy fails at its document', async () => {
    network(hosts)
    const changed = { ...assertion, issuedOn: '2025-01-02T00:00:00Z' }
    expect(await verified(changed)).toMatchObject({ verified: false, document: 'failed' })
  })

  it('that was revoked fails at its status, by 410 or by a word', async () => {
    const body = { ...assertion, revoked: true }
    for (const served of [new Response(JSON.stringify(body), { status: 410 }), body]) {
      network({ ...hosts, [at('a')]: served })
      for (const given of [{ url: at('a') }, assertion]) {
        expect(await verified(given)).toMatchObject({ verified: false, status: 'failed' })
      }
    }
  })

  it('on a host that is not its issuer’s fails at its proof', async () => {
    const id = 'https://evil.example.com/a'
    network({ ...hosts, [id]: { ...assertion, id } })
    expect(await verified({ url: id })).toMatchObject({ verified: false, proof: 'failed' })
    const allowed = { ...issuer, verification: { allowedOrigins: ['evil.example.com'] } }
    network({ ...hosts, [id]: { ...assertion, id }, [at('i')]: allowed })
    expect(await verified({ url: id })).toMatchObject(GOOD)
  })

  it('whose issuer hosts it elsewhere than it says is judged by the copy that it names', async () => {
    network({ ...hosts, [`${HOST}/mirror`]: assertion })
    expect(await verified({ url: `${HOST}/mirror` })).toMatchObject(GOOD)
    network({ ...hosts, [`${HOST}/mirror`]: { ...assertion, badge: at('other') } })
    expect(await verified({ url: `${HOST}/mirror` })).toMatchObject({
      verified: false,
      document: 'failed',
    })
  })

  it('of the future, or expired, fails at its validity', async () => {
    for (const dates of [
      { issuedOn: '2199-01-01T00:00:00Z' },
      { expires: '2025-02-01T00:00:00Z' },
    ]) {
      network({ ...hosts, [at('a')]: { ...assertion, ...dates } })
      expect(await verified({ url: at('a') })).toMatchObject({
        ...GOOD,
        verified: false,
        validity: 'failed',
      })
    }
  })

  it.each(['a', 'b', 'i'])('stays open when a document cannot be reached: %s', async (path) => {
    network({ ...hosts, [at(path)]: 503 })
    const answer = await verified(assertion)
    expect(answer.verified).toBe(false)
    expect(Object.values(answer)).toContain('unknown')
    expect(Object.values(answer)).not.toContain('failed')
  })

  it.each(['b', 'i'])('fails when a document is not there: %s', async (path) => {
    network({ ...hosts, [at(path)]: 404 })
    expect(Object.values(await verified(assertion))).toContain('failed')
  })

  it('of version 1.x is verified too, its times in seconds', async () => {
    const old = {
      uid: 'a',
      recipient: { type: 'email', hashed: false, identity: 'a@example.com' },
      badge: at('b'),
      verify: { type: 'hosted', url: at('a') },
      issuedOn: 1_700_000_000,
      expires: 4_000_000_000,
    }
    network({ ...hosts, [at('a')]: old })
    const answer = await verified({ credential: old, recipient: 'a@example.com' })
    expect(answer).toMatchObject({ ...GOOD, recipient: 'passed' })
    expect(answer.credential).toMatchObject({
      version: '1.0',
      issuedOn: '2023-11-14T22:13:20.000Z',
    })
  })

  it('that is signed, as few of 2.0 were, stays open', async () => {
    network({})
    const jwt = await token({ ...assertion, '@context': [context] } as never)
    expect(await verified({ jwt })).toMatchObject({ verified: false, proof: 'unknown' })
  })
})

describe('a badge of ours', () => {
  it('is verified without the network, and its revocation is seen', async () => {
    const fetch = network({})
    const { path } = await seedBadge(levels[2])
    const email = `${unique('earner')}@example.org`
    const made = await api.post(`${path}/instances`, { email })
    const url: string = made.body.instance.assertionUrl
    expect(await verified({ url, recipient: email })).toMatchObject({
      ...GOOD,
      recipient: 'passed',
    })
    expect(await verified({ url, recipient: 'other@example.org' })).toMatchObject({
      verified: false,
      recipient: 'failed',
    })
    await api.delete(`${path}/instances/${email}`)
    expect(await verified({ url })).toMatchObject({ verified: false, status: 'failed' })
    expect(fetch).not.toHaveBeenCalled()
  })

  it('is not sought in circles', async () => {
    const fetch = network({})
    for (const url of [`${ORIGIN}/public/verify`, `${ORIGIN}/nothing`, ORIGIN]) {
      expect((await verified({ url })).verified).toBe(false)
    }
    expect(fetch).not.toHaveBeenCalled()
  })
})

describe('what is fetched for strangers', () => {
  it.each([
    'http://foreign.example.com/a',
    'https://127.0.0.1/a',
    'https://localhost/a',
    'https://metadata.google.internal/a',
    'https://foreign.example.com:8443/a',
    'https://user:word@foreign.example.com/a',
  ])('is not what a Worker may not call: %s', async (url) => {
    const fetch = network({})
    const answer = await under(
      { ALLOW_LOCAL_WEBHOOKS: '' },
      new Request(`${ORIGIN}/public/verify`, {
        method: 'POST',
        body: JSON.stringify({ url }),
        headers: { 'Content-Type': 'application/json' },
      }),
    )
    expect(answer.body).toMatchObject({ verified: false, credential: null })
    expect(fetch).not.toHaveBeenCalled()
  })

  it('is not what a redirect leads to where a Worker may not call', async () => {
    const to = (url: string) => new Response(null, { status: 302, headers: { Location: url } })
    const url = `${HOST}/r`
    const inner = 'https://10.0.0.1/secret'
    const fetch = network({ [url]: to(inner), [inner]: await signed(credential()) })
    expect(await verified({ url })).toMatchObject({ verified: false, document: 'unknown' })
    expect(fetch.mock.calls.map(([called]) => called)).toEqual([url])
    network({ ...foreign, [url]: to('/c'), [`${HOST}/c`]: await signed(credential()) })
    expect(await verified({ url })).toMatchObject(GOOD)
  })

  it('is eight documents at most, circles of redirects among them', async () => {
    const to = (url: string) => new Response(null, { status: 302, headers: { Location: url } })
    const fetch = network({ [`${HOST}/1`]: to('/2'), [`${HOST}/2`]: to('/1') })
    expect(await verified({ url: `${HOST}/1` })).toMatchObject({
      verified: false,
      document: 'unknown',
    })
    expect(fetch).toHaveBeenCalledTimes(8)
  })

  it('is half a megabyte at most', async () => {
    network({ [`${HOST}/big`]: `{"a":"${'x'.repeat(600_000)}"}` })
    expect(await verified({ url: `${HOST}/big` })).toMatchObject({ document: 'unknown' })
  })
})

describe('the route', () => {
  it('may be asked by pages of other origins', async () => {
    network({})
    const answer = await post('{}', 'application/json', { Origin: 'https://other.example.org' })
    expect(answer.headers.get('Access-Control-Allow-Origin')).toBe('*')
    expect(answer.headers.get('Cache-Control')).toBe('no-store')
    const preflight = await under(
      {},
      new Request(`${ORIGIN}/public/verify`, {
        method: 'OPTIONS',
        headers: {
          Origin: 'https://other.example.org',
          'Access-Control-Request-Method': 'POST',
          'Access-Control-Request-Headers': 'content-type',
        },
      }),
    )
    expect(preflight.status).toBe(204)
    expect(preflight.headers.get('Access-Control-Allow-Methods')).toBe('POST')
    expect(preflight.headers.get('Access-Control-Allow-Headers')).toBe('content-type')
  })

  it.each([
    ['', 'application/json', 400],
    ['{', 'application/json', 400],
    ['[]', 'application/json', 400],
    ['"x"', 'application/json', 400],
    [`${'{"a":'.repeat(40)}1${'}'.repeat(40)}`, 'application/json', 400],
    ['{"url":1}', 'application/json', 400],
    ['{"credential":[]}', 'application/json', 400],
    ['{"jwt":{}}', 'application/json', 400],
    ['{"url":"a","jwt":"b"}', 'application/json', 400],
    ['{"url":"https://a.example.org","recipient":"nobody"}', 'application/json', 400],
    ['x', 'image/jpeg', 415],
    ['x', 'multipart/form-data', 415],
    ['x'.repeat(2 * 1024 * 1024 + 1), 'text/plain', 413],
  ])('refuses what it cannot read: %.30s', async (body, type, status) => {
    network({})
    const answer = await post(body, type)
    expect(answer.status).toBe(status)
    expect(answer.body).toMatchObject({ code: expect.any(String), message: expect.any(String) })
    expect(JSON.stringify(answer.body)).not.toContain('nobody')
  })

  it.each([
    ['{}', 'application/json'],
    ['{"url":"javascript:alert(1)"}', 'application/json'],
    ['{"jwt":"a.b.c"}', 'application/json'],
    ['{"credential":{"type":"VerifiableCredential"}}', 'application/json'],
    [
      '{"credential":{"type":"VerifiableCredential","proof":[null,1],"credentialStatus":[1]}}',
      'application/json',
    ],
    [
      '{"@context":{"a":1},"type":["VerifiableCredential"],"proof":{"type":"DataIntegrityProof","cryptosuite":"eddsa-rdfc-2022"}}',
      'application/json',
    ],
    ['{"type":"Assertion","id":"https://","badge":1}', 'application/json'],
    ['not a token', 'text/plain'],
    ['not a PNG', 'image/png'],
    ['<svg', 'image/svg+xml'],
  ])('judges anything without a fault: %s', async (body, type) => {
    network({})
    const answer = await post(body, type)
    expect(answer).toMatchObject({ status: 200, body: { verified: false } })
  })

  it('slows down who asks too often', async () => {
    network({})
    const ask = () =>
      under(
        { RATE_LIMITS: '' },
        new Request(`${ORIGIN}/public/verify`, {
          method: 'POST',
          body: '{}',
          headers: { 'Content-Type': 'application/json', 'CF-Connecting-IP': '203.0.113.99' },
        }),
      )
    let status = 200
    for (let i = 0; i <= 120 && status === 200; i++) status = (await ask()).status
    expect(status).toBe(429)
  })
})

it('the foreign keys are what they are said to be', async () => {
  expect(await multibase(ED25519)).toMatch(/^z6Mk/)
  expect(env.PUBLIC_ORIGIN).toBe(ORIGIN)
})
