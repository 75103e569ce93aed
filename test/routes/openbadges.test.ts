import { env } from 'cloudflare:workers'
import { base64url, importJWK, jwtVerify } from 'jose'
import { describe, expect, it } from 'vitest'
import { sha256 } from '../../src/crypto'
import { hashData } from '../../src/dataIntegrity'
import { credentialToken, provenCredential, signById } from '../../src/signing'
import {
  findAwardById,
  isSigned,
  keepCredential,
  type NewCredential,
} from '../../src/store/credentials'
import { openDb } from '../../src/store/db'
import { sweep } from '../../src/sweep'
import { identityHash } from '../../src/views/openbadges2'
import { type Answer, api, ask, ORIGIN } from '../helpers/api'
import { badge, levels, PNG, PNG_URI, rows, seedBadge, unique } from '../helpers/seed'
import { signed, under } from '../helpers/worker'

// biome-ignore lint/suspicious/noExplicitAny: a test looks into documents that it then states
type Json = any
type Seed = Awaited<ReturnType<typeof seedBadge>>

const [atSystem, atIssuer, atProgram] = levels
const EMAIL = 'Ada.Lovelace@Example.org'
const CHROME = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8'
const VALIDATOR = 'application/ld+json, application/json, image/png, image/svg+xml'
const GIF_URI = 'data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7'
const SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><title>Ä 🎓</title></svg>'
const SVG_URI = `data:image/svg+xml;base64,${btoa(unescape(encodeURIComponent(SVG)))}`

const path = (url: string) => {
  expect(url.startsWith(`${ORIGIN}/`), url).toBe(true)
  return url.slice(ORIGIN.length)
}
const get = (url: string, accept?: string): Promise<Answer> =>
  ask('GET', url.startsWith('/') ? url : path(url), {
    headers: accept === undefined ? {} : { Accept: accept },
  })
const follow = async (url: string): Promise<Json> => {
  const answer = await get(url)
  expect(answer.status, url).toBe(200)
  return answer.body
}

const award = (seed: Seed, more: object = {}) =>
  api.post(`${seed.path}/instances`, { email: EMAIL, ...more })
const urlsOf = (made: Answer) => {
  expect(made.status, JSON.stringify(made.body)).toBe(201)
  return made.body.instance.urls as Record<'page' | 'openBadges2' | 'openBadges3', string> & {
    image: string | null
  }
}

const rich = {
  image: PNG_URI,
  criteria: [
    { description: 'Do it', required: 1 },
    { description: 'Perhaps', required: 0 },
  ],
  alignments: [{ name: 'A standard', url: 'https://standards.example.org/1', description: 'So' }],
  tags: ['t'],
  categories: ['c'],
}
const told = {
  narrative: 'She **did** it',
  evidence: [{ url: 'https://example.org/work', name: 'Work', genre: 'g' }],
  issuedOn: '2026-01-31T12:00:00.750Z',
  expires: '2036-01-31T12:00:00Z',
}

async function seedAward(
  level: (typeof levels)[number] = atSystem,
  more: object = rich,
  input: object = told,
) {
  const seed = await seedBadge(level, more)
  const made = await award(seed, input)
  return { seed, made, urls: urlsOf(made), slug: made.body.instance.slug as string }
}

const db = () => openDb(env.DB, 'first-primary')
const idOf = async (slug: string) =>
  (await env.DB.prepare('select id from badgeInstances where slug = ?')
    .bind(slug)
    .first<number>('id')) ?? 0

async function bitsOf(list: Json): Promise<number[]> {
  const zipped = base64url.decode(list.credentialSubject.encodedList.slice(1))
  const stream = new Blob([zipped]).stream().pipeThrough(new DecompressionStream('gzip'))
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer())
  expect(bytes.length * 8).toBeGreaterThanOrEqual(131_072)
  return [...bytes].flatMap((byte, i) =>
    byte === 0 ? [] : [...Array(8).keys()].filter((n) => byte & (0x80 >> n)).map((n) => i * 8 + n),
  )
}

// ── Open Badges 2.0 ─────────────────────────────────────────────────────────────────────────────────────────────────

const V2 = 'https://w3id.org/openbadges/v2'
const text = expect.stringMatching(/./)
const web = expect.stringMatching(/^https?:\/\/[^\s/]+/)

describe.each(levels)('an award of a $name in Open Badges 2.0', (level) => {
  it('is three documents of one origin that keep every rule of the reference validators', async () => {
    const { urls } = await seedAward(level)
    const assertion = await follow(urls.openBadges2)
    expect(assertion).toEqual({
      '@context': V2,
      type: 'Assertion',
      id: urls.openBadges2,
      recipient: {
        type: 'email',
        hashed: true,
        salt: expect.stringMatching(/^[\da-f]{32}$/),
        identity: text,
      },
      badge: web,
      verification: { type: 'HostedBadge' },
      issuedOn: '2026-01-31T12:00:00Z',
      expires: '2036-01-31T12:00:00Z',
      image: urls.image,
      narrative: told.narrative,
      evidence: [{ type: 'Evidence', id: 'https://example.org/work', name: 'Work', genre: 'g' }],
    })
    expect(Date.parse(assertion.issuedOn)).toBeLessThan(Date.parse(assertion.expires))
    const { salt, identity } = assertion.recipient
    expect(identity).toBe(`sha256$${await sha256(EMAIL.toLowerCase() + salt)}`)

    const badgeClass = await follow(assertion.badge)
    expect(badgeClass).toEqual({
      '@context': V2,
      type: 'BadgeClass',
      id: assertion.badge,
      name: text,
      description: text,
      image: web,
      criteria: {
        type: 'Criteria',
        id: 'https://example.org/criteria',
        narrative: '- Do it\n- Perhaps (optional)',
      },
      issuer: web,
      alignment: [
        {
          type: 'AlignmentObject',
          targetName: 'A standard',
          targetUrl: 'https://standards.example.org/1',
          targetDescription: 'So',
        },
      ],
      tags: ['c', 't'],
      related: [
        {
          type: ['https://purl.imsglobal.org/spec/vc/ob/vocab.html#Achievement'],
          id: web,
          version: 'Open Badges v3p0',
        },
      ],
    })
    const issuer = await follow(badgeClass.issuer)
    expect(issuer).toMatchObject({
      '@context': V2,
      type: 'Issuer',
      id: badgeClass.issuer,
      name: text,
      url: web,
    })
    expect(issuer).not.toHaveProperty('verification')
    const hosts = [assertion.id, badgeClass.id, issuer.id].map((id) => new URL(id).host)
    expect(new Set(hosts).size).toBe(1)
    // Images load, and are what a badge may be.
    for (const url of [assertion.image, badgeClass.image]) {
      expect((await get(url, VALIDATOR)).headers.get('Content-Type')).toBe('image/png')
    }
    for (const document of [assertion, badgeClass, issuer]) {
      expect(JSON.stringify(document)).not.toMatch(/null|\[\]|:""/)
    }
    // The other version is named, and names this one.
    const achievement = await follow(badgeClass.related[0].id)
    expect(achievement.related[0]).toMatchObject({ id: badgeClass.id, version: 'Open Badges v2p0' })
  })
})

describe('a document of Open Badges 2.0', () => {
  it('hashes addresses as the specification’s example', async () => {
    const example = 'b5809d8a92f8858436d7e6b87c12ebc0ae1eac4baecc2c0b913aee2c922ef399'
    expect(await sha256('a@example.comKosher')).toBe(example)
    expect(await identityHash(' A@Example.com ', 'Kosher')).toBe(`sha256$${example}`)
  })

  it.each([
    [undefined, 'application/ld+json'],
    ['*/*', 'application/ld+json'],
    ['application/ld+json', 'application/ld+json'],
    ['application/json', 'application/json'],
    [VALIDATOR, 'application/ld+json'],
    ['text/html;q=0.5, application/json', 'application/json'],
    ['text/plain', 'application/ld+json'],
  ])('is given to who accepts %s as %s, from the cache or not', async (accept, type) => {
    const { urls } = await seedAward()
    const badgeClass = (await follow(urls.openBadges2)).badge
    for (const url of [
      urls.openBadges2,
      badgeClass,
      badgeClass,
      (await follow(badgeClass)).issuer,
    ]) {
      const { status, headers, body } = await get(url, accept)
      expect([status, headers.get('Content-Type')]).toEqual([200, type])
      expect(headers.get('Vary')).toContain('Accept')
      expect(headers.get('Access-Control-Allow-Origin')).toBe('*')
      expect(headers.get('Cache-Control')).toBe('public, max-age=60, must-revalidate')
      expect(body.id).toBe(url)
    }
  })

  it('leads people to the page', async () => {
    const { seed, urls } = await seedAward(atProgram)
    const assertion = await follow(urls.openBadges2)
    const { issuer } = await follow(assertion.badge)
    const credential = await follow(urls.openBadges3)
    const leads = async (url: string) => {
      const { status, headers } = await get(url, CHROME)
      expect(status).toBe(302)
      const page = headers.get('Location') ?? ''
      expect((await get(page, CHROME)).headers.get('Content-Type')).toContain('text/html')
      return path(page)
    }
    expect(await leads(urls.openBadges2)).toBe(path(urls.page))
    expect(await leads(urls.openBadges3)).toBe(path(urls.page))
    expect(await leads(assertion.badge)).toBe(`/public${seed.path}`)
    expect(await leads(credential.credentialSubject.achievement.id)).toBe(`/public${seed.path}`)
    expect(await leads(issuer)).toBe(`/public${seed.container}`)
    expect((await get(`${urls.openBadges2}?as=json`, CHROME)).body.type).toBe('Assertion')
  })

  it('gives the address that was set for issuers without one, and their own where they have one', async () => {
    const { seed, urls } = await seedAward()
    const { issuer } = await follow((await follow(urls.openBadges2)).badge)
    const request = () => new Request(issuer)
    const { body } = await under({ CONTACT_EMAIL: 'contact@example.org' }, request())
    expect(body.email).toBe('contact@example.org')
    await api.put(seed.system, { email: 'own@example.org' })
    const { body: own } = await under({ CONTACT_EMAIL: 'contact@example.org' }, request())
    expect(own.email).toBe('own@example.org')
  })

  it('is 404 for what there is not, in whatever form', async () => {
    const all = [
      'v2/assertions',
      'v2/badges',
      'v2/issuers',
      'v3/credentials',
      'v3/achievements',
      'v3/status',
      'v3/keys',
    ]
    for (const one of all) expect((await get(`/public/${one}/nothing`)).status, one).toBe(404)
    for (const one of ['v2/assertions', 'v3/credentials']) {
      expect((await get(`/public/${one}/nothing/image`)).status, one).toBe(404)
    }
    expect((await get('/public/v3/credentials/nothing.jwt')).status).toBe(404)
    expect((await get('/issuers/nothing/did.json')).status).toBe(404)
  })
})

// ── What ends ───────────────────────────────────────────────────────────────────────────────────────────────────────

const publicOf = (urls: { openBadges2: string; openBadges3: string }) => [
  urls.openBadges2,
  `${urls.openBadges2}/image`,
  urls.openBadges3,
  `${urls.openBadges3}.jwt`,
  `${urls.openBadges3}/image`,
]

describe('what has ended', () => {
  it('is 410 at once and with its reason when it is revoked', async () => {
    const { seed, urls } = await seedAward()
    for (const url of publicOf(urls)) expect((await get(url)).status, url).toBe(200)
    await api.delete(`${seed.path}/instances/${EMAIL}?reason=Sorry`)
    for (const url of publicOf(urls)) {
      const { status, body } = await get(url)
      expect([status, body.revoked, body.revocationReason], url).toEqual([410, true, 'Sorry'])
      const id = url.includes('/v2/') ? urls.openBadges2 : urls.openBadges3
      expect(Object.keys(body)).toEqual(['@context', 'type', 'id', 'revoked', 'revocationReason'])
      expect(body.id).toBe(id)
    }
  })

  it('is never signed when it was revoked before', async () => {
    const seed = await seedBadge(atSystem, rich)
    const bulk = await api.post(`${seed.path}/instances/bulk`, { emails: [EMAIL] })
    const { slug, urls } = bulk.body.instances[0]
    const id = await idOf(slug)
    await api.delete(`${seed.path}/instances/${EMAIL}`)
    await signById(db(), env, id, Date.now())
    expect((await get(urls.openBadges3)).status).toBe(410)
    const kept = env.DB.prepare('select count(*) as n from credentials where awardId = ?').bind(id)
    expect(await kept.first('n')).toBe(0)
  })

  it('is not signed when it is revoked while it is being signed', async () => {
    const { seed, urls, slug } = await seedAward()
    await follow(urls.openBadges3)
    const signed = await env.DB.prepare('select * from credentials where awardId = ?')
      .bind(await idOf(slug))
      .first<NewCredential>()
    const bulk = await api.post(`${seed.path}/instances/bulk`, { emails: ['late@example.org'] })
    const awardId = await idOf(bulk.body.instances[0].slug)
    await api.delete(`${seed.path}/instances/late@example.org`)
    // What its signer has made by then, under the same keys.
    if (!signed) throw new Error('nothing was signed')
    const place = { statusIndex: (signed.statusIndex + 1) % 131_072 }
    const made = {
      ...signed,
      ...place,
      awardId,
      proof: new Uint8Array(64),
      jwt: new Uint8Array(256),
      amendedAt: null,
    }
    await db().batch([keepCredential(made)])
    const kept = env.DB.prepare('select 1 as n from credentials where awardId = ?').bind(awardId)
    expect(await kept.first()).toBeNull()
  })

  it('is 410 with its badge, its system, and after the purge; its issuer’s keys and lists stay', async () => {
    const { seed, urls, slug } = await seedAward(atIssuer)
    const other = await award(seed, { email: 'other@example.org' })
    const credential = await follow(urls.openBadges3)
    await follow(urlsOf(other).openBadges3)
    const assertion = await follow(urls.openBadges2)
    const badgeClass = await follow(assertion.badge)
    const listUrl = credential.credentialStatus.statusListCredential
    const uid = credential.issuer.id.split(':').at(-1)
    const did = await follow(`/issuers/${uid}/did.json`)
    expect((await bitsOf(await follow(listUrl))).length).toBe(0)

    await api.delete(seed.system)
    const privateKeys = () =>
      env.DB.prepare(
        'select count(*) as n from signingKeys where issuerUid = ? and sealed is not null',
      )
        .bind(uid)
        .first('n')
    expect(await privateKeys()).toBe(2)
    for (let i = 0; i < 10; i++) await sweep(env, Date.now())
    expect(await privateKeys()).toBe(0)
    const left = env.DB.prepare('select count(*) as n from systems where deletedAt is not null')
    expect(await left.first('n')).toBe(0)

    const { cacheless } = here()
    for (const url of publicOf(urls)) expect((await cacheless(url)).status, url).toBe(410)
    const achievement = credential.credentialSubject.achievement.id
    for (const url of [assertion.badge, badgeClass.issuer, achievement]) {
      const { status, body } = await cacheless(url)
      expect([status, body.revoked, body.id], url).toEqual([410, true, url])
    }
    // All bits are set, by a signature that still can be checked.
    const list = (await cacheless(listUrl)).body
    expect((await bitsOf(list)).length).toBe(131_072)
    const after = await cacheless(`/issuers/${uid}/did.json`)
    expect(after.body).toEqual(did)
    expect(await isGood(list, did)).toBe(true)
    for (const { publicKeyJwk } of did.verificationMethod.slice(1)) {
      expect((await cacheless(publicKeyJwk.kid)).status).toBe(200)
    }
    expect(await rows('credentials')).toBe(await liveCredentials())
    expect(slug).toBeTruthy()
  })

  it('has its bit set with its badge, and keeps it after the purge; others of the issuer do not', async () => {
    const { seed, urls } = await seedAward()
    const kept = await api.post(`${seed.container}/badges`, {
      ...badge(unique('kept')),
      image: PNG_URI,
    })
    const other = await api.post(`${seed.container}/badges/${kept.body.badge.slug}/instances`, {
      email: EMAIL,
    })
    const [gone, stays] = await Promise.all([
      follow(urls.openBadges3),
      follow(urlsOf(other).openBadges3),
    ])
    const list = stays.credentialStatus.statusListCredential
    expect(gone.credentialStatus.statusListCredential).toBe(list)
    await api.delete(seed.path)
    const { cacheless } = here()
    const index = Number(gone.credentialStatus.statusListIndex)
    expect(await bitsOf((await cacheless(list)).body)).toEqual([index])
    for (let i = 0; i < 4; i++) await sweep(env, Date.now())
    await api.post(`${seed.container}/signing-keys/rotate`)
    expect(await bitsOf((await cacheless(list)).body)).toEqual([index])
    expect((await cacheless(urls.openBadges3)).status).toBe(410)
    expect((await cacheless(urlsOf(other).openBadges3)).status).toBe(200)
  })

  it('has its bit set with the erasure of its earner, and no signature left', async () => {
    const { seed, urls, slug } = await seedAward()
    const credential = await follow(urls.openBadges3)
    const id = await idOf(slug)
    await api.post(`${seed.system}/privacy/erase`, { email: EMAIL })
    const { cacheless } = here()
    const { statusListCredential, statusListIndex } = credential.credentialStatus
    expect(await bitsOf((await cacheless(statusListCredential)).body)).toEqual([
      Number(statusListIndex),
    ])
    const row = await env.DB.prepare(
      'select c.awardId, c.proof, c.jwt, c.ended from credentials c join statusLists l on l.id = c.statusListId where l.uid = ?',
    )
      .bind(statusListCredential.split('/').at(-1))
      .first()
    expect(row).toEqual({ awardId: null, proof: null, jwt: null, ended: 1 })
    expect((await get(urls.openBadges3)).status).toBe(410)
    expect(id).toBeGreaterThan(0)
  })
})

const liveCredentials = async () =>
  (await env.DB.prepare(
    'select count(*) as n from credentials c join statusLists l on l.id = c.statusListId join systems s on s.id = l.systemId',
  ).first<number>('n')) ?? 0

/** Asks a Worker whose cache holds nothing of what was asked before: another origin's keys would be others. */
function here() {
  const cacheless = async (url: string) => {
    const target = url.startsWith('/') ? url : path(url)
    await Promise.all(
      ['json', 'token', 'baked'].map((form) =>
        caches.default.delete(`${ORIGIN}${target}?form=${form}`),
      ),
    )
    return get(url)
  }
  return { cacheless }
}

/** Whether the embedded proof of a document is good by its issuer's DID document. */
async function isGood(document: Json, did: Json): Promise<boolean> {
  const { proof, ...unsigned } = document
  const [{ proofValue, ...options }] = proof
  const method = did.verificationMethod.find(({ id }: Json) => id === options.verificationMethod)
  if (!method) return false
  const key = await crypto.subtle.importKey(
    'raw',
    fromBase58(method.publicKeyMultibase.slice(1)).slice(2),
    'Ed25519',
    false,
    ['verify'],
  )
  const data = await hashData(unsigned, options)
  return crypto.subtle.verify('Ed25519', key, fromBase58(proofValue.slice(1)), data)
}

function fromBase58(given: string): Uint8Array<ArrayBuffer> {
  const alphabet = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
  let number = 0n
  for (const char of given) number = number * 58n + BigInt(alphabet.indexOf(char))
  const digits = number.toString(16)
  const even = digits.padStart(digits.length + (digits.length % 2), '0')
  const leading = /^1*/.exec(given)?.[0].length ?? 0
  const bytes = (even.match(/../g) ?? []).map((two) => Number.parseInt(two, 16))
  return Uint8Array.from([...Array(leading).fill(0), ...bytes])
}

// ── Open Badges 3.0 ─────────────────────────────────────────────────────────────────────────────────────────────────

describe('a credential', () => {
  it('is signed by the queue, and its award does not wait for that', async () => {
    const seed = await seedBadge(atSystem, rich)
    const rung: unknown[] = []
    const hanging = {
      sendBatch: (messages: { body: unknown }[]) => {
        rung.push(...messages.map(({ body }) => body))
        return Promise.reject(new Error('no queue'))
      },
    } as unknown as Queue
    const made = await under(
      { DELIVERIES: hanging },
      await signed('POST', `${seed.path}/instances`, { email: EMAIL }),
    )
    expect(made.status).toBe(201)
    const id = await idOf(made.body.instance.slug)
    expect(rung).toEqual([{ award: id }])
    const isKept = async () =>
      (await env.DB.prepare('select created from credentials where awardId = ?')
        .bind(id)
        .first()) !== null
    expect(await isKept()).toBe(false)
    await signById(db(), env, id, Date.now())
    expect(await isKept()).toBe(true)
  })

  it('is signed by whoever asks first where nobody has rung, once', async () => {
    const seed = await seedBadge(atSystem, rich)
    const { body } = await api.post(`${seed.path}/instances/bulk`, { emails: [EMAIL] })
    const url = body.instances[0].urls.openBadges3
    const [one, two] = await Promise.all([follow(url), follow(url)])
    expect(two).toEqual(one)
    const { cacheless } = here()
    expect((await cacheless(url)).body).toEqual(one)
  })

  it('is one, under one key, however many consumers race', async () => {
    const seed = await seedBadge(atProgram, rich)
    const emails = ['a', 'b', 'c'].map((name) => `${name}@example.org`)
    const { body } = await api.post(`${seed.path}/instances/bulk`, { emails })
    const ids = await Promise.all(body.instances.map(({ slug }: Json) => idOf(slug)))
    // Each for itself, all before any key is there.
    await Promise.all([...ids, ...ids, ...ids].map((id) => signById(db(), env, id, Date.now())))
    const credential = await follow(body.instances[0].urls.openBadges3)
    const uid = credential.issuer.id.split(':').at(-1)
    const of = (table: string) =>
      env.DB.prepare(`select count(*) as n from ${table} where issuerUid = ?`).bind(uid).first('n')
    expect([await of('signingKeys'), await of('statusLists')]).toEqual([2, 1])
    const marks = ids.map(() => '?').join(', ')
    const kept = await env.DB.prepare(
      `select count(*) as n, count(distinct statusIndex) as places from credentials where awardId in (${marks})`,
    )
      .bind(...ids)
      .first()
    expect(kept).toEqual({ n: 3, places: 3 })
    const did = await follow(`/issuers/${uid}/did.json`)
    for (const { urls } of body.instances)
      expect(await isGood(await follow(urls.openBadges3), did)).toBe(true)
  })

  it('stays what it was, signed or not, when badge and issuers are edited, renamed or deleted', async () => {
    const { seed, urls } = await seedAward(atProgram)
    const later = await api.post(`${seed.path}/instances/bulk`, { emails: ['later@example.org'] })
    const unsigned = later.body.instances[0].urls
    const before = await follow(urls.openBadges3)
    const token = (await get(`${urls.openBadges3}.jwt`)).body
    const uid = before.issuer.id.split(':').at(-1)
    await api.put(seed.path, { name: 'New', consumerDescription: 'New', tags: [], image: SVG_URI })
    await api.put(seed.container, { name: 'New', slug: unique('renamed') })
    await api.delete(seed.container.split('/').slice(0, 5).join('/'))
    const { cacheless } = here()
    expect((await cacheless(urls.openBadges3)).body).toEqual(before)
    expect((await cacheless(`${urls.openBadges3}.jwt`)).body).toBe(token)
    const after = (await cacheless(unsigned.openBadges3)).body
    const { achievement } = before.credentialSubject
    expect(after.credentialSubject.achievement).toEqual(achievement)
    expect(after.issuer).toEqual(before.issuer)
    expect(await isGood(after, await follow(`/issuers/${uid}/did.json`))).toBe(true)
    expect((await follow(achievement.id)).name).toBe('New')
    expect((await follow((await follow(unsigned.openBadges2)).badge)).name).toBe('New')
  })

  it.each([
    [undefined, 'application/vc+ld+json'],
    ['*/*', 'application/vc+ld+json'],
    ['application/vc', 'application/vc'],
    ['application/ld+json', 'application/ld+json'],
    ['application/json', 'application/json'],
  ])('is given to who accepts %s as %s, the same bytes', async (accept, type) => {
    const { urls } = await seedAward()
    for (const _ of [1, 2]) {
      const { headers, body } = await get(urls.openBadges3, accept)
      expect(headers.get('Content-Type')).toBe(type)
      expect(headers.get('Access-Control-Allow-Origin')).toBe('*')
      const document = typeof body === 'string' ? JSON.parse(body) : body
      expect(document.id).toBe(urls.openBadges3)
    }
  })

  it('is a token in two media types', async () => {
    const { urls } = await seedAward()
    const plain = await get(`${urls.openBadges3}.jwt`)
    expect(plain.headers.get('Content-Type')).toBe('text/plain; charset=UTF-8')
    const asJwt = await get(`${urls.openBadges3}.jwt`, 'application/vc+jwt')
    expect(asJwt.headers.get('Content-Type')).toBe('application/vc+jwt')
    expect(asJwt.body).toBe(plain.body)
    expect(plain.body).toMatch(/^[\w-]+\.[\w-]+\.[\w-]{342}$/)
  })

  it('is told from the token of an award with a shorter slug', async () => {
    const seed = await seedBadge(atSystem, rich)
    const slug = unique('short')
    await award(seed, { slug })
    expect(typeof (await get(`/public/v3/credentials/${slug}.jwt`)).body).toBe('string')
    const { cacheless } = here()
    await award(seed, { slug: `${slug}.jwt`, email: 'other@example.org' })
    const longer = await cacheless(`/public/v3/credentials/${slug}.jwt`)
    expect(longer.body.id).toBe(`${ORIGIN}/public/v3/credentials/${slug}.jwt`)
    expect(typeof (await get(`/public/v3/credentials/${slug}.jwt.jwt`)).body).toBe('string')
    expect((await get(`/public/v3/credentials/${slug}`)).body.type).toContain('OpenBadgeCredential')
  })

  it('leaves out what no document can say', async () => {
    const seed = await seedBadge(atSystem, {
      criteriaUrl: 'example.org/a b',
      alignments: [{ name: 'x', url: 'nowhere at all' }],
      image: 'example.org/badge.png',
      type: '— ?',
    }).catch(() => null)
    const made = await seedBadge(atSystem, {
      criteriaUrl: 'example.org/a',
      type: 'My Type!',
      alignments: [{ name: 'x', url: 'mailto:a@b.org' }],
    })
    expect(seed).toBeNull()
    const { achievement } = (await follow(urlsOf(await award(made)).openBadges3)).credentialSubject
    expect(achievement.achievementType).toBe('ext:My-Type-')
    expect(achievement.criteria).toEqual({ id: 'https://example.org/a' })
    expect(achievement).not.toHaveProperty('alignment')
    expect(achievement).not.toHaveProperty('tag')
  })
})

describe('a status list', () => {
  it('has one more bit for one award of 200 that is revoked', async () => {
    const seed = await seedBadge(atSystem, rich)
    const emails = [...Array(200).keys()].map((i) => `earner-${i}@example.org`)
    const { body } = await api.post(`${seed.path}/instances/bulk`, { emails })
    const found: Json[] = []
    for (const { urls } of body.instances) found.push(await follow(urls.openBadges3))
    const lists = new Set(
      found.map(({ credentialStatus }) => credentialStatus.statusListCredential),
    )
    const places = new Set(found.map(({ credentialStatus }) => credentialStatus.statusListIndex))
    expect([lists.size, places.size]).toEqual([1, 200])
    // They are spread over the list, not counted up.
    const sorted = [...places].map(Number).sort((a, b) => a - b)
    expect((sorted.at(-1) ?? 0) - (sorted[0] ?? 0)).toBeGreaterThan(65_536)
    const [url] = lists
    expect(await bitsOf(await follow(url))).toEqual([])
    await api.delete(`${seed.path}/instances/${emails[77]}`)
    // At once where it was revoked: its cached copy is dropped.
    const list = await follow(url)
    expect(await bitsOf(list)).toEqual([Number(found[77].credentialStatus.statusListIndex)])
    expect(list).toMatchObject({
      type: ['VerifiableCredential', 'BitstringStatusListCredential'],
      credentialSubject: { type: 'BitstringStatusList', statusPurpose: 'revocation' },
    })
    const [, , , , uid] = list.issuer.split(':')
    expect(await isGood(list, await follow(`/issuers/${uid}/did.json`))).toBe(true)
    for (const i of [0, 76, 78, 199]) expect((await get(found[i].id)).status).toBe(200)
  })

  it('is signed by the sweep where nobody asks', async () => {
    const { seed, urls } = await seedAward()
    const { statusListCredential } = (await follow(urls.openBadges3)).credentialStatus
    await api.delete(`${seed.path}/instances/${EMAIL}`)
    await sweep(env, Date.now())
    const row = await env.DB.prepare(
      'select revision, signedRevision from statusLists where uid = ?',
    )
      .bind(statusListCredential.split('/').at(-1))
      .first<{ revision: number; signedRevision: number }>()
    expect(row?.signedRevision).toBe(row?.revision)
  })

  it('is followed by another one when it is full', async () => {
    const { seed, urls } = await seedAward()
    const first = (await follow(urls.openBadges3)).credentialStatus.statusListCredential
    // All places of the list but those it has given.
    await env.DB.prepare(`
      with recursive n(i) as (select 0 union all select i + 1 from n where i < 131071)
      insert or ignore into credentials (created, ed25519KeyId, rs256KeyId, statusListId, statusIndex)
      select 0, (select ed25519KeyId from credentials limit 1), (select rs256KeyId from credentials limit 1), l.id, n.i
      from n, statusLists l where l.uid = ?`)
      .bind(first.split('/').at(-1))
      .run()
    const next = await follow(urlsOf(await award(seed, { email: 'next@example.org' })).openBadges3)
    expect(next.credentialStatus.statusListCredential).not.toBe(first)
    expect(await bitsOf(await follow(next.credentialStatus.statusListCredential))).toEqual([])
  })
})

it('rebuilds 1,000 documents, the bytes that were signed', async () => {
  const seed = await seedBadge(atIssuer, rich)
  const emails = [...Array(1_000).keys()].map((i) => `earner-${i}@example.org`)
  const { body } = await api.post(`${seed.path}/instances/bulk`, { ...told, emails })
  const ids: number[] = (
    await env.DB.prepare(
      'select i.id from badgeInstances i join badges b on b.id = i.badgeId where b.slug = ?',
    )
      .bind(seed.badge.slug)
      .all<{ id: number }>()
  ).results.map(({ id }) => id)
  for (let at = 0; at < ids.length; at += 50) {
    const some = ids.slice(at, at + 50)
    await Promise.all(some.map((id) => signById(db(), env, id, Date.now())))
  }
  // Whatever becomes of the badge.
  await api.put(seed.path, { name: 'New', criteria: [] })
  const { issuer } = await follow(body.instances[0].urls.openBadges3)
  const did = await follow(`/issuers/${issuer.id.split(':').at(-1)}/did.json`)
  const { publicKeyJwk } = did.verificationMethod.find(({ type }: Json) => type === 'JsonWebKey')
  const rs256 = await importJWK(publicKeyJwk, 'RS256')
  const found = await db().read(...ids.map(findAwardById))
  const awards = found.flat().filter(isSigned)
  for (const award of awards) {
    // The signature of a token covers its bytes, and these are the document's but for the proof.
    await jwtVerify(await credentialToken(award, ORIGIN), rs256)
  }
  expect(awards.length).toBe(1_000)
  // The other one covers what the document says: of every twentieth, as it takes the longer.
  for (const award of awards.filter((_, i) => i % 20 === 0)) {
    expect(await isGood(await provenCredential(award, ORIGIN), did)).toBe(true)
  }
  const sizes = new Set(awards.map(({ proof, jwt }) => proof.length + jwt.length))
  expect([...sizes]).toEqual([64 + 256])
}, 120_000)

// ── Keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────

describe('signing keys', () => {
  it.each(levels)('of a $name can be listed and replaced', async (level) => {
    const { seed, urls } = await seedAward(level)
    const credential = await follow(urls.openBadges3)
    const listed = await api.get(`${seed.container}/signing-keys`)
    expect(listed.body.signingKeys).toEqual([
      expect.objectContaining({ algorithm: 'Ed25519', retired: null }),
      expect.objectContaining({ algorithm: 'RS256', retired: null }),
    ])
    const { status, body } = await api.post(`${seed.container}/signing-keys/rotate`)
    expect([status, body.status, body.signingKeys.length]).toEqual([200, 'updated', 4])
    expect(body.signingKeys.map(({ retired }: Json) => retired !== null)).toEqual([
      true,
      true,
      false,
      false,
    ])
    for (const { thumbprint, url, publicKey, verificationMethod } of body.signingKeys) {
      const jwk = await follow(url)
      expect(jwk).toEqual(publicKey)
      expect(jwk.kid).toBe(url)
      expect(verificationMethod).toBe(`${credential.issuer.id}#${thumbprint}`)
    }
    const sealed = await env.DB.prepare(
      'select count(*) as n from signingKeys where thumbprint in (?, ?) and sealed is not null',
    )
      .bind(...listed.body.signingKeys.map(({ thumbprint }: Json) => thumbprint))
      .first('n')
    expect(sealed).toBe(0)
    const next = await follow(urlsOf(await award(seed, { email: 'next@example.org' })).openBadges3)
    const did = await follow(`/issuers/${credential.issuer.id.split(':').at(-1)}/did.json`)
    expect(next.proof[0].verificationMethod).not.toBe(credential.proof[0].verificationMethod)
    expect([await isGood(credential, did), await isGood(next, did)]).toEqual([true, true])
    const list = await follow(next.credentialStatus.statusListCredential)
    expect(list.proof[0].verificationMethod).toBe(next.proof[0].verificationMethod)
  })

  it.each(levels)(
    'of a $name can be withdrawn, and what they signed is signed anew',
    async (level) => {
      const { seed, urls } = await seedAward(level)
      const { cacheless } = here()
      const before = await follow(urls.openBadges3)
      const rotate = `${seed.container}/signing-keys/rotate`
      const { signingKeys: old } = (await api.post(rotate)).body
      const kept = urlsOf(await award(seed, { email: 'kept@example.org' })).openBadges3
      const { body: between } = await cacheless(kept)
      const stolen = old.slice(0, 2).map(({ thumbprint }: Json) => thumbprint)
      const didUrl = `/issuers/${before.issuer.id.split(':').at(-1)}/did.json`
      const published = [...old.map(({ url }: Json) => url), didUrl, '/.well-known/jwks.json']
      for (const url of published) expect((await get(url)).status).toBe(200)
      const { status, body } = await api.post(rotate, { withdraw: stolen })
      expect([status, body.signingKeys.map((key: Json) => key.withdrawn !== null)]).toEqual([
        200,
        [true, true, false, false, false, false],
      ])
      // Out of the cache as well, where they were.
      for (const { url, withdrawn } of body.signingKeys) {
        expect((await get(url)).status).toBe(withdrawn ? 404 : 200)
      }
      const { body: did } = await get(didUrl)
      expect(did.assertionMethod).toEqual(
        body.signingKeys.slice(2).map(({ verificationMethod }: Json) => verificationMethod),
      )
      const { body: jwks } = await get('/.well-known/jwks.json')
      expect(jwks.keys.map(({ kid }: Json) => kid)).not.toContain(old[1].url)

      expect(await isGood(before, did)).toBe(false)
      const { body: after } = await cacheless(urls.openBadges3)
      expect(await isGood(after, did)).toBe(true)
      expect(after.credentialStatus).toEqual(before.credentialStatus)
      expect({ ...after, proof: null }).toEqual({ ...before, proof: null })
      expect((await cacheless(`${urls.openBadges3}.jwt`)).status).toBe(200)
      expect((await cacheless(urls.openBadges3)).body).toEqual(after)
      // What other keys have signed stays as it is.
      expect((await cacheless(kept)).body).toEqual(between)
      const { body: list } = await cacheless(after.credentialStatus.statusListCredential)
      expect(await isGood(list, did)).toBe(true)
    },
  )

  it('are withdrawn by those who have them alone, and only by their names', async () => {
    const { seed } = await seedAward(atIssuer)
    const other = await seedAward(atIssuer)
    for (const one of [other, await seedAward(atSystem)]) await follow(one.urls.openBadges3)
    const { body } = await api.get(`${other.seed.container}/signing-keys`)
    const [{ thumbprint }] = body.signingKeys
    const rotate = `${seed.container}/signing-keys/rotate`
    for (const withdraw of [[thumbprint], ['nothing'], [null], [{}], 7, Array(101).fill('a')]) {
      const refused = await api.post(rotate, { withdraw })
      expect([refused.status, refused.body.code], JSON.stringify(withdraw)).toEqual([
        400,
        'ValidationError',
      ])
    }
    expect((await api.get(`${other.seed.container}/signing-keys`)).body).toEqual(body)
  })

  it('are replaced once by a request that is repeated', async () => {
    const seed = await seedBadge(atSystem)
    const headers = { 'Idempotency-Key': unique('rotate') }
    const first = await api.post(`${seed.container}/signing-keys/rotate`, undefined, { headers })
    const again = await api.post(`${seed.container}/signing-keys/rotate`, undefined, { headers })
    expect(again.body).toEqual(first.body)
    expect(first.body.signingKeys.length).toBe(2)
  })

  it('are an admin key’s business', async () => {
    const seed = await seedBadge(atIssuer)
    const made = async (role: string) => {
      const { body } = await api.post(`${seed.container}/keys`, { role })
      return { key: body.key.key, secret: body.key.secret }
    }
    for (const role of ['read', 'issue', 'review', 'manage']) {
      const call = await made(role)
      expect((await api.get(`${seed.container}/signing-keys`, call)).status, role).toBe(403)
      expect(
        (await api.post(`${seed.container}/signing-keys/rotate`, undefined, call)).status,
        role,
      ).toBe(403)
    }
    const admin = await made('admin')
    expect((await api.post(`${seed.container}/signing-keys/rotate`, undefined, admin)).status).toBe(
      200,
    )
    expect((await api.post(`${seed.system}/signing-keys/rotate`, undefined, admin)).status).toBe(
      403,
    )
    expect((await api.get('/systems/nobody/signing-keys')).status).toBe(404)
  })

  it('of an issuer that has signed nothing are none, which is not kept', async () => {
    const seed = await seedBadge(atSystem)
    const slug = seed.container.split('/').at(-1)
    const uid = await env.DB.prepare('select uid from systems where slug = ?')
      .bind(slug)
      .first('uid')
    const { status, headers, body } = await get(`/issuers/${uid}/did.json`)
    expect([status, headers.get('Cache-Control')]).toEqual([200, 'no-store'])
    expect([body.verificationMethod, body.assertionMethod]).toEqual([[], []])
    await follow(urlsOf(await award(seed)).openBadges3)
    expect((await follow(`/issuers/${uid}/did.json`)).assertionMethod.length).toBe(2)
  })

  it('are sealed anew under a newer key of the settings, and still sign', async () => {
    const { seed, urls } = await seedAward()
    const credential = await follow(urls.openBadges3)
    const bytes = (n: number) => btoa(String.fromCharCode(...new Uint8Array(32).fill(n)))
    const newer = {
      ...env,
      ENCRYPTION_KEYS: JSON.stringify({ ...JSON.parse(env.ENCRYPTION_KEYS), k2: bytes(7) }),
    }
    const older = `select count(*) as n from signingKeys where sealed like 'v1.k1.%'`
    for (let i = 0; i < 20 && (await env.DB.prepare(older).first('n')) !== 0; i++)
      await sweep(newer, Date.now())
    expect(await env.DB.prepare(older).first('n')).toBe(0)
    const made = await award(seed, { email: 'next@example.org' })
    const id = await idOf(made.body.instance.slug)
    await env.DB.prepare('delete from credentials where awardId = ?').bind(id).run()
    await signById(db(), newer, id, Date.now())
    const [[row]] = await db().read(findAwardById(id))
    const did = await follow(`/issuers/${credential.issuer.id.split(':').at(-1)}/did.json`)
    expect(row && isSigned(row) && (await isGood(await provenCredential(row, ORIGIN), did))).toBe(
      true,
    )
    // Back, for the tests that come.
    await env.DB.batch([
      env.DB.prepare('delete from credentials'),
      env.DB.prepare('delete from statusLists'),
      env.DB.prepare('delete from signingKeys'),
      env.DB.prepare(`delete from heartbeats where name like 'sealed:%'`),
    ])
  })
})

// ── Images, evidence ────────────────────────────────────────────────────────────────────────────────────────────────

describe('an image that carries an award', () => {
  it.each([
    ['PNG', PNG_URI, 'image/png', 'png'],
    ['SVG', SVG_URI, 'image/svg+xml', 'svg'],
  ])('is a %s with the very document inside', async (_kind, image, type, extension) => {
    const { urls } = await seedAward(atSystem, { ...rich, name: 'Größe 🎓 eins', image })
    expect(urls.image).toBe(`${urls.openBadges2}/image`)
    for (const url of [urls.openBadges2, urls.openBadges3]) {
      const document = JSON.stringify(await follow(url))
      const { status, headers, body } = await get(`${url}/image`)
      expect([status, headers.get('Content-Type')]).toEqual([200, type])
      expect(headers.get('Content-Disposition')).toBe(`inline; filename="Gro-e-eins.${extension}"`)
      expect(headers.get('Cache-Control')).toBe('public, max-age=60, must-revalidate')
      expect(headers.get('X-Content-Type-Options')).toBe('nosniff')
      if (type === 'image/png') expect(body).toContain(document)
      expect(body.length).toBeGreaterThan(PNG.length)
    }
  })

  it.each([
    ['a GIF', GIF_URI],
    ['an address', 'https://example.org/badge.png'],
  ])('is none for %s', async (_what, image) => {
    const { seed, urls, made } = await seedAward(atSystem, { ...rich, image })
    expect(urls.image).toBeNull()
    expect((await api.get(`${seed.path}/instances/${EMAIL}`)).body.instance.urls.image).toBeNull()
    for (const url of [urls.openBadges2, urls.openBadges3]) {
      const { status, body } = await get(`${url}/image`)
      expect([status, body.message]).toEqual([404, 'This image cannot carry a credential'])
    }
    expect(await follow(urls.openBadges2)).not.toHaveProperty('image')
    expect(made.status).toBe(201)
  })

  it('is told of by every answer that shows the award', async () => {
    const { seed, urls } = await seedAward()
    const lists = await Promise.all([
      api.get(`${seed.path}/instances`),
      api.get(`${seed.system}/instances/${EMAIL}`),
      api.post(`${seed.system}/privacy/export`, { email: EMAIL }),
    ])
    for (const { body } of lists) expect(body.instances[0].urls).toEqual(urls)
    expect((await api.get(`${seed.path}/instances/${EMAIL}`)).body.instance.urls).toEqual(urls)
    const bulk = await api.post(`${seed.path}/instances/bulk`, { emails: ['b@example.org'] })
    expect(bulk.body.instances[0].urls.image).toBe(
      `${bulk.body.instances[0].urls.openBadges2}/image`,
    )
    expect((await api.delete(`${seed.path}/instances/${EMAIL}`)).body.instance.urls).toEqual(urls)
  })
})

describe('evidence and narrative', () => {
  const shown = [{ url: 'https://example.org/work', name: 'Work', genre: 'g' }]

  it('are shown where the award is, and left out where there is none', async () => {
    const { seed, made } = await seedAward()
    expect(made.body.instance).toMatchObject({ narrative: told.narrative, evidence: shown })
    const one = await api.get(`${seed.path}/instances/${EMAIL}`)
    expect(one.body.instance).toMatchObject({ narrative: told.narrative, evidence: shown })
    const plain = await award(seed, { email: 'plain@example.org' })
    expect(plain.body.instance).not.toHaveProperty('narrative')
    expect(plain.body.instance).not.toHaveProperty('evidence')
  })

  it.each([
    ['one address', 'https://example.org/e', [{ url: 'https://example.org/e' }]],
    ['addresses', ['https://example.org/e'], [{ url: 'https://example.org/e' }]],
    ['one object', { url: 'https://example.org/e', name: '' }, [{ url: 'https://example.org/e' }]],
    ['nothing', [], undefined],
    ['null', null, undefined],
    ['an empty text', '', undefined],
  ])('may be %s', async (_what, evidence, expected) => {
    const seed = await seedBadge(atSystem)
    expect((await award(seed, { evidence })).body.instance.evidence).toEqual(expected)
  })

  it('come by forms and in bulk', async () => {
    const seed = await seedBadge(atSystem)
    const form = await api.form(`${seed.path}/instances`, {
      email: EMAIL,
      narrative: 'So',
      'evidence[0][url]': 'https://example.org/e',
      'evidence[0][name]': 'E',
    })
    const evidence = [{ url: 'https://example.org/e', name: 'E' }]
    expect(form.body.instance).toMatchObject({ narrative: 'So', evidence })
    const emails = ['a@example.org', 'b@example.org']
    const bulk = await api.post(`${seed.path}/instances/bulk`, {
      emails,
      evidence,
      narrative: 'So',
    })
    for (const one of bulk.body.instances) expect(one).toMatchObject({ narrative: 'So', evidence })
  })

  it.each([
    ['an address without a scheme', 'example.org/e', 'evidence[0].url'],
    ['an address of another kind', 'javascript:alert(1)', 'evidence[0].url'],
    ['an object without an address', [{ name: 'E' }], 'evidence[0].url'],
    ['a number', [7], 'evidence[0]'],
    ['too much', Array(51).fill('https://example.org/e'), 'evidence'],
  ])('are refused when they are %s', async (_what, evidence, field) => {
    const seed = await seedBadge(atSystem)
    const { status, body } = await award(seed, { evidence })
    expect([status, body.details?.[0]?.field]).toEqual([400, field])
    const long = await award(seed, { narrative: 'x'.repeat(10_001) })
    expect([long.status, long.body.details[0].field]).toEqual([400, 'narrative'])
  })
})

it('tells nobody an address, a number of ours, a claim code or a private key', async () => {
  const seed = await seedBadge(atProgram, rich)
  const code = unique('secret-code')
  await api.post(`${seed.path}/codes`, { code })
  const made = await award(seed, { ...told, claimCode: code })
  const urls = urlsOf(made)
  const credential = await follow(urls.openBadges3)
  const assertion = await follow(urls.openBadges2)
  const badgeClass = await follow(assertion.badge)
  const uid = credential.issuer.id.split(':').at(-1)
  const token = (await get(`${urls.openBadges3}.jwt`)).body as string
  const [header = '', payload = ''] = token.split('.')
  const decoded = [header, payload].map((part) =>
    JSON.parse(new TextDecoder().decode(base64url.decode(part))),
  )
  const documents = [
    credential,
    assertion,
    badgeClass,
    ...decoded,
    await follow(badgeClass.issuer),
    await follow(credential.credentialSubject.achievement.id),
    await follow(credential.credentialStatus.statusListCredential),
    await follow(`/issuers/${uid}/did.json`),
    await follow('/.well-known/jwks.json'),
    (await get(`${urls.openBadges2}/image`)).body,
    (await get(`${urls.openBadges3}/image`)).body,
  ]
  for (const document of documents) {
    const text = JSON.stringify(document)
    expect(text.toLowerCase()).not.toContain(EMAIL.toLowerCase())
    expect(text).not.toContain(code)
    // Ids of ours are numbers; of numbers documents hold but times and a place in the list.
    expect(text).not.toMatch(
      /\\?"(?:id|systemId|badgeId|awardId|slug|claimCode|d|p|q|dp|dq|qi|k)\\?":(?!\\?"(?:https?|did|urn):)/,
    )
  }
})
