import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { beforeEach, describe, expect, it } from 'vitest'
import { app } from '../../src/app'
import type { Bindings } from '../../src/env'
import type { Level } from '../../src/levels'
import { PAGE_POLICY } from '../../src/views/pages'
import { type Answer, api, ask, ORIGIN } from '../helpers/api'
import { badge, container, levels, outbox, PNG, PNG_URI, seedBadge, unique } from '../helpers/seed'

type Seed = Awaited<ReturnType<typeof seedBadge>>

const [atSystem, , atProgram] = levels
const CONTEXT = 'https://w3id.org/openbadges/v1'
const CHROME =
  'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8'

const get = (path: string, accept?: string) =>
  ask('GET', path, { headers: accept === undefined ? {} : { Accept: accept } })
/** Follows a URL that a document holds, as a verifier does: without a signature. */
const follow = (url: string) => {
  expect(url.startsWith(`${ORIGIN}/public/`)).toBe(true)
  return get(url.slice(ORIGIN.length))
}
const award = (seed: Seed, more: object = {}) =>
  api.post(`${seed.path}/instances`, { email: 'ada@example.org', ...more })
const revoke = (seed: Seed, reason?: string) =>
  api.delete(
    `${seed.path}/instances/ada@example.org${reason ? `?reason=${encodeURIComponent(reason)}` : ''}`,
  )
const assertionOf = (made: Answer) => made.body.instance.assertionUrl.slice(ORIGIN.length)

async function seedAward(level: Level = atSystem, more: object = {}, input: object = {}) {
  const seed = await seedBadge(level, more)
  const made = await award(seed, input)
  return { seed, made, path: assertionOf(made), slug: made.body.instance.slug as string }
}

// ── What a verifier of Open Badges 1.1 asks of the documents ────────────────────────────────────────────────────────

const isUrl = (value: unknown) => typeof value === 'string' && /^https?:\/\/[^\s/]+/.test(value)
const isText = (value: unknown) => typeof value === 'string' && value !== ''
const isTime = (value: unknown) =>
  Number.isInteger(value) && /^\d{1,10}$/.test(String(value)) && (value as number) > 0
type Rules = Record<string, (value: never) => boolean>
type Rule = (value: unknown) => boolean

/** The members that break a rule; a rule whose name ends in `?` is about a member that may be missing. */
function broken(document: Record<string, unknown>, rules: Rules): string[] {
  return Object.entries(rules)
    .filter(([name, rule]) => {
      const value = document[name.replace('?', '')]
      return !(name.endsWith('?') && value === undefined) && !(rule as Rule)(value)
    })
    .map(([name]) => name)
}

const assertionRules: Rules = {
  '@context': (value) => value === CONTEXT,
  type: (value) => value === 'Assertion',
  id: isUrl,
  uid: isText,
  recipient: ({ identity, type, hashed }: Record<string, unknown>) =>
    /^sha256\$[\da-f]{64}$/.test(String(identity)) && type === 'email' && hashed === true,
  badge: isUrl,
  verify: ({ type, url }: Record<string, unknown>) => type === 'hosted' && isUrl(url),
  issuedOn: isTime,
  'expires?': isTime,
  'evidence?': isUrl,
  'image?': isUrl,
}
const classRules: Rules = {
  '@context': (value) => value === CONTEXT,
  type: (value) => value === 'BadgeClass',
  id: isUrl,
  name: isText,
  description: isText,
  image: isUrl,
  criteria: isUrl,
  issuer: isUrl,
  alignment: (value: unknown) =>
    Array.isArray(value) &&
    value.every(
      (one) =>
        isText(one.name) &&
        isUrl(one.url) &&
        (one.description === undefined || isText(one.description)),
    ),
  'tags?': (value: unknown) => Array.isArray(value) && value.length > 0 && value.every(isText),
}
const issuerRules: Rules = {
  '@context': (value) => value === CONTEXT,
  type: (value) => value === 'Issuer',
  id: isUrl,
  name: isText,
  url: isUrl,
  'description?': isText,
  'image?': isUrl,
  'email?': (value: unknown) => typeof value === 'string' && value.includes('@'),
}

it('a verifier sees each kind of fault in a document', () => {
  const good = { '@context': CONTEXT, type: 'Issuer', id: 'https://x.org/', name: 'X' }
  expect(broken({ ...good, url: 'https://x.org' }, issuerRules)).toEqual([])
  expect(broken({ ...good, url: '/x', description: '' }, issuerRules)).toEqual([
    'url',
    'description?',
  ])
})

describe.each(levels)('an award of a badge of a $name', (level) => {
  it('is an assertion, whose badge and issuer stand where it says', async () => {
    const { seed, made, slug } = await seedAward(
      level,
      {},
      { issuedOn: 1_400_094_712_999, expires: 1_931_630_712 },
    )
    const url = made.body.instance.assertionUrl
    const assertion = await follow(url)
    expect(assertion.status).toBe(200)
    expect(assertion.headers.get('Content-Type')).toBe('application/json')
    expect(assertion.body).toEqual({
      '@context': CONTEXT,
      type: 'Assertion',
      id: url,
      uid: slug,
      recipient: {
        identity: 'sha256$cfe00dde46ef942601ffafb9e2825e802858b460e586b8305b344c1eb826357d',
        type: 'email',
        hashed: true,
      },
      badge: `${ORIGIN}/public${seed.path}`,
      verify: { url, type: 'hosted' },
      issuedOn: 1_400_094_712,
      expires: 1_931_630_712,
    })
    expect(broken(assertion.body, assertionRules)).toEqual([])

    const badgeClass = await follow(assertion.body.badge)
    expect(badgeClass.status).toBe(200)
    expect(badgeClass.body).toEqual({
      '@context': CONTEXT,
      type: 'BadgeClass',
      id: assertion.body.badge,
      name: seed.badge.name,
      description: 'They can do it',
      image: 'https://example.org/badge.png',
      criteria: 'https://example.org/criteria',
      alignment: [],
      issuer: `${ORIGIN}/public${seed.container}`,
    })
    expect(broken(badgeClass.body, classRules)).toEqual([])

    const issuer = await follow(badgeClass.body.issuer)
    expect(issuer.status).toBe(200)
    const nearest = seed.badge[level.name]
    expect(issuer.body).toEqual({
      '@context': CONTEXT,
      type: 'Issuer',
      id: badgeClass.body.issuer,
      name: nearest.name,
      url: nearest.url,
    })
    expect(broken(issuer.body, issuerRules)).toEqual([])
  })

  it('says nothing of an expiry where it has none', async () => {
    const { path } = await seedAward(level)
    expect((await get(path)).body).not.toHaveProperty('expires')
  })

  it('hashes the address as it was given', async () => {
    const { path } = await seedAward(level, {}, { email: 'Ada@Example.org' })
    const digest = await crypto.subtle.digest(
      'SHA-256',
      new TextEncoder().encode('Ada@Example.org'),
    )
    const hex = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0'))
    expect((await get(path)).body.recipient.identity).toBe(`sha256$${hex.join('')}`)
    expect(JSON.stringify((await get(path)).body)).not.toMatch(/ada@/i)
  })

  it('is served to anyone, from any page', async () => {
    const { seed, path } = await seedAward(level)
    for (const document of [path, `/public${seed.path}`, `/public${seed.container}`]) {
      for (const [accept, kind] of [
        ['application/json', 'application/json'],
        ['text/html', 'text/html; charset=UTF-8'],
      ]) {
        // Once made, once from the cache.
        for (const _ of [1, 2]) {
          const { status, headers } = await get(document, accept)
          expect(status).toBe(200)
          expect(headers.get('Access-Control-Allow-Origin')).toBe('*')
          expect(headers.get('Vary')).toBe('Accept')
          expect(headers.get('Content-Type')).toBe(kind)
          expect(headers.get('Cache-Control')).toBe('public, max-age=60, must-revalidate')
          expect(headers.get('X-Request-Id')).toMatch(/^[\da-f]{24}$/)
          expect(headers.has('X-D1-Bookmark')).toBe(false)
        }
      }
    }
  })
})

describe('a badge class', () => {
  it('shows alignments and tags', async () => {
    const seed = await seedBadge(atProgram, {
      tags: ['a', 'b'],
      alignments: [
        { name: 'One', url: 'https://example.org/1', description: 'First' },
        { name: 'Two', url: 'https://example.org/2' },
      ],
    })
    const { body } = await get(`/public${seed.path}`)
    expect(body.tags).toEqual(['a', 'b'])
    expect(body.alignment).toEqual([
      { name: 'One', url: 'https://example.org/1', description: 'First' },
      { name: 'Two', url: 'https://example.org/2' },
    ])
    expect(broken(body, classRules)).toEqual([])
  })

  it('gives the whole address of an image of ours', async () => {
    const seed = await seedBadge(atSystem, { image: PNG_URI })
    const { body } = await get(`/public${seed.path}`)
    expect(body.image).toMatch(/^https:\/\/badges\.test\.example\/public\/images\/[\da-f]{32}$/)
    expect(body.image).toBe(seed.badge.imageUrl)
    expect((await follow(body.image)).status).toBe(200)
  })

  it('stands under each of its ancestors, and names the deepest as its issuer', async () => {
    const seed = await seedBadge(atProgram)
    const issuer = seed.container.slice(0, seed.container.indexOf('/programs/'))
    for (const path of [seed.system, issuer, seed.container]) {
      const address = `/public${path}/badges/${seed.badge.slug}`
      const { status, body } = await get(address)
      expect(status).toBe(200)
      expect(body.id).toBe(ORIGIN + address)
      expect(body.issuer).toBe(`${ORIGIN}/public${seed.container}`)
    }
  })

  it('is served when it is archived', async () => {
    const seed = await seedBadge(atSystem, { archived: true })
    expect((await get(`/public${seed.path}`)).status).toBe(200)
    expect((await get(`/public${seed.path}`, 'text/html')).body).toContain('no longer awarded')
  })

  it('is not under a container that it does not hang from', async () => {
    const seed = await seedBadge(atSystem)
    const other = await seedBadge(atProgram)
    const missing = (word: string, slug: string) => ({
      code: 'ResourceNotFound',
      message: `Could not find ${word} field: \`slug\`, value: \`${slug}\``,
    })
    const slug = seed.badge.slug
    for (const [path, body] of [
      [`/public${other.container}/badges/${slug}`, missing('badge', slug)],
      [`/public${seed.system}/badges/none`, missing('badge', 'none')],
      [`/public/systems/none/badges/${slug}`, missing('system', 'none')],
      [`/public${seed.system}/issuers/none/badges/${slug}`, missing('issuer', 'none')],
      [`/public${seed.system}/issuers/none/programs/x`, missing('issuer', 'none')],
    ] as const) {
      const answer = await get(path)
      expect(answer.status).toBe(404)
      expect(answer.body).toEqual(body)
    }
  })
})

describe('an issuer', () => {
  /** A system, an issuer and a program in it; gives their public paths. */
  async function seedChain(own: Partial<Record<'system' | 'issuer' | 'program', object>> = {}) {
    const [s, i, p] = [unique('s'), unique('i'), unique('p')]
    const system = `/systems/${s}`
    const issuer = `${system}/issuers/${i}`
    await api.post('/systems', { ...container(s), ...own.system })
    await api.post(`${system}/issuers`, { ...container(i), ...own.issuer })
    await api.post(`${issuer}/programs`, { ...container(p), ...own.program })
    const program = `${issuer}/programs/${p}`
    return { system: `/public${system}`, issuer: `/public${issuer}`, program: `/public${program}` }
  }

  it('takes what it lacks from the nearest above it that has it', async () => {
    const paths = await seedChain({
      system: {
        description: 'Of the system',
        email: 'system@example.org',
        image: 'https://example.org/system.png',
      },
      issuer: { email: 'issuer@example.org', image: PNG_URI },
      program: { description: 'Of the program' },
    })
    const program = (await get(paths.program)).body
    expect(program).toEqual({
      '@context': CONTEXT,
      type: 'Issuer',
      id: ORIGIN + paths.program,
      name: expect.stringContaining('The p-'),
      url: expect.stringContaining('https://p-'),
      description: 'Of the program',
      email: 'issuer@example.org',
      image: expect.stringMatching(new RegExp(`^${ORIGIN}/public/images/[\\da-f]{32}$`)),
    })
    expect((await get(paths.issuer)).body).toMatchObject({
      id: ORIGIN + paths.issuer,
      name: expect.stringContaining('The i-'),
      description: 'Of the system',
      email: 'issuer@example.org',
      image: program.image,
    })
    expect((await get(paths.system)).body).toEqual({
      '@context': CONTEXT,
      type: 'Issuer',
      id: ORIGIN + paths.system,
      name: expect.stringContaining('The s-'),
      url: expect.stringContaining('https://s-'),
      description: 'Of the system',
      email: 'system@example.org',
      image: 'https://example.org/system.png',
    })
    for (const path of Object.values(paths)) {
      expect(broken((await get(path)).body, issuerRules)).toEqual([])
    }
  })

  it('takes an empty text for a missing one', async () => {
    const paths = await seedChain({
      system: { description: 'Of the system' },
      issuer: { description: '' },
    })
    expect((await get(paths.issuer)).body.description).toBe('Of the system')
  })

  it('says nothing of what none of them has', async () => {
    const paths = await seedChain()
    const keys = ['@context', 'type', 'id', 'name', 'url']
    for (const path of Object.values(paths)) {
      expect(Object.keys((await get(path)).body)).toEqual(keys)
    }
  })
})

describe('the list of public badges', () => {
  const locations = async (query = '') =>
    (await get(`/public/badges${query}`)).body.badgelist.map(
      ({ location }: { location: string }) => location,
    )

  it('tells where each badge class of every system stands, in the order of their making', async () => {
    const before: string[] = await locations()
    const seeds = [await seedBadge(atSystem), await seedBadge(atProgram)]
    const all = await locations()
    expect(all.slice(0, before.length)).toEqual(before)
    expect(all.slice(before.length)).toEqual(seeds.map(({ path }) => `${ORIGIN}/public${path}`))
    for (const location of all.slice(before.length)) {
      expect((await follow(location)).body.type).toBe('BadgeClass')
    }
  })

  it('shows unarchived ones unless it is asked otherwise', async () => {
    const seed = await seedBadge(atSystem, { archived: true })
    const url = `${ORIGIN}/public${seed.path}`
    expect(await locations()).not.toContain(url)
    expect(await locations('?archived=false')).not.toContain(url)
    expect(await locations('?archived=true')).toContain(url)
    expect(await locations('?archived=any')).toContain(url)
    const wrong = await get('/public/badges?archived=maybe')
    expect(wrong.status).toBe(400)
    expect(wrong.body).toMatchObject({ code: 'InvalidParameter', parameter: 'archived' })
  })

  it('is given in pages, with a total', async () => {
    const seed = await seedBadge(atSystem)
    await api.post(`${seed.system}/badges`, badge(unique('badge')))
    const all = await locations()
    const total = all.length
    const { body } = await get(`/public/badges?page=2&count=${total - 1}`)
    expect(body).toEqual({
      badgelist: [{ location: all.at(-1) }],
      pageData: { page: 2, count: total - 1, total },
    })
  })

  it('has no badge that was deleted, or whose system was', async () => {
    const one = await seedBadge(atSystem)
    const two = await seedBadge(atSystem)
    await api.delete(one.path)
    await api.delete(two.system)
    const all = await locations()
    expect(all).not.toContain(`${ORIGIN}/public${one.path}`)
    expect(all).not.toContain(`${ORIGIN}/public${two.path}`)
  })

  it('is never kept: a new badge is there at once', async () => {
    await locations()
    const seed = await seedBadge(atSystem)
    const answer = await get('/public/badges')
    expect(JSON.stringify(answer.body)).toContain(`/public${seed.path}"`)
    expect(answer.headers.get('CF-Cache-Status')).toBeNull()
    expect(answer.headers.get('Access-Control-Allow-Origin')).toBe('*')
  })
})

describe('what a public address gives', () => {
  let paths: string[]
  beforeEach(async () => {
    const { seed, path } = await seedAward()
    paths = [path, `/public${seed.path}`, `/public${seed.container}`]
  })

  it.each([
    undefined,
    '*/*',
    'application/json',
    'application/ld+json, application/json;q=0.9',
    'application/json, text/plain, */*',
    'text/html, application/json',
    'text/html;q=0.5, */*;q=0.5',
    'text/html;q=0.1, application/json',
    'nonsense',
  ])('is data for Accept %j', async (accept) => {
    for (const path of paths) {
      const { status, headers, body } = await get(path, accept)
      expect(status).toBe(200)
      expect(headers.get('Content-Type')).toBe('application/json')
      expect(body['@context']).toBe(CONTEXT)
    }
  })

  it.each([CHROME, 'text/html', 'text/html, application/json;q=0.9', 'TEXT/HTML'])(
    'is a page for Accept %j',
    async (accept) => {
      for (const path of paths) {
        const { status, headers, body } = await get(path, accept)
        expect(status).toBe(200)
        expect(headers.get('Content-Type')).toBe('text/html; charset=UTF-8')
        expect(headers.get('Content-Security-Policy')).toBe(PAGE_POLICY)
        expect(headers.get('X-Content-Type-Options')).toBe('nosniff')
        expect(headers.get('Referrer-Policy')).toBe('no-referrer')
        expect(body).toMatch(/^<!doctype html>/)
        expect(body).toContain(`<link rel="canonical" href="${ORIGIN}${path}">`)
      }
    },
  )

  it('is data all the same when the address asks for it, as the pages do', async () => {
    for (const path of paths) {
      const page = (await get(path, CHROME)).body
      expect(page).toContain(`href="${ORIGIN}${path}?as=json"`)
      const { headers, body } = await get(`${path}?as=json`, CHROME)
      expect(headers.get('Content-Type')).toBe('application/json')
      expect(body).toEqual((await get(path)).body)
    }
  })

  it('is one document, whatever the query says', async () => {
    for (const path of paths) {
      expect((await get(`${path}?utm_source=x`)).body).toEqual((await get(path)).body)
    }
  })

  it('is nothing but its head for HEAD', async () => {
    for (const path of paths) {
      const { status, headers, body } = await ask('HEAD', path)
      expect(status).toBe(200)
      expect(headers.get('Content-Type')).toBe('application/json')
      expect(body).toBe('')
      expect((await get(path)).body.id).toBe(ORIGIN + path)
    }
  })

  it('may be asked for by any page: a preflight says so', async () => {
    const { status, headers } = await ask('OPTIONS', paths[0] ?? '', {
      headers: { Origin: 'https://example.org', 'Access-Control-Request-Method': 'GET' },
    })
    expect(status).toBe(204)
    expect(headers.get('Access-Control-Allow-Origin')).toBe('*')
    expect(headers.get('Access-Control-Allow-Methods')).toBe('GET,HEAD')
  })

  it('is not to be changed: other methods are refused', async () => {
    for (const path of paths) {
      const answer = await ask('DELETE', path)
      expect(answer.status).toBe(405)
      expect(answer.headers.get('Allow')).toBe('GET')
    }
  })

  it('writes nothing', async () => {
    const before = await outbox()
    for (const path of paths) await get(path)
    expect(await outbox()).toEqual(before)
  })
})

describe('the page of an award', () => {
  it('says that it is valid, and until when', async () => {
    const { seed, path } = await seedAward(atProgram, {}, { expires: '2131-05-06' })
    const { body } = await get(path, CHROME)
    expect(body).toContain('This badge is valid until')
    expect(body).toContain('6 May 2131')
    expect(body).toContain(`<title>${seed.badge.name}`)
    for (const word of ['program', 'issuer', 'system'])
      expect(body).toContain(seed.badge[word].name)
    expect(body).not.toContain('ada@')
  })

  it('says that it has expired, where its data still stands', async () => {
    const { path } = await seedAward(
      atSystem,
      {},
      { issuedOn: '2020-01-01', expires: '2021-01-02' },
    )
    const page = await get(path, CHROME)
    expect(page.status).toBe(200)
    expect(page.body).toContain('This badge expired on')
    expect((await get(path)).body.expires).toBe(1_609_545_600)
  })

  it('says when it was revoked, and nothing of the earner', async () => {
    const { seed, path } = await seedAward()
    await revoke(seed, 'It was <b>wrong</b>')
    const { status, headers, body } = await get(path, CHROME)
    expect(status).toBe(410)
    expect(headers.get('Content-Security-Policy')).toBe(PAGE_POLICY)
    expect(body).toContain('This badge was revoked')
    expect(body).toContain('It was &lt;b&gt;wrong&lt;/b&gt;')
    expect(body).not.toContain('ada@')
    expect(body).not.toContain(seed.badge.name)
  })

  it('says that there is none', async () => {
    for (const path of ['/public/assertions/none', '/public/systems/none']) {
      const { status, headers, body } = await get(path, CHROME)
      expect(status).toBe(404)
      expect(headers.get('Content-Type')).toBe('text/html; charset=UTF-8')
      expect(headers.get('Content-Security-Policy')).toBe(PAGE_POLICY)
      expect(body).toContain('There is no page here')
    }
  })
})

describe('an assertion that', () => {
  const ended = (slug: string, more: object = {}) => ({
    '@context': CONTEXT,
    type: 'Assertion',
    id: `${ORIGIN}/public/assertions/${slug}`,
    uid: slug,
    revoked: true,
    ...more,
  })

  async function isGone(path: string, body: object) {
    // Once made, once from the cache.
    for (const _ of [1, 2]) {
      const answer = await get(path)
      expect(answer.status).toBe(410)
      expect(answer.body).toEqual(body)
      expect(answer.headers.get('Vary')).toBe('Accept')
      expect(answer.headers.get('Access-Control-Allow-Origin')).toBe('*')
    }
  }

  it('never was is not found', async () => {
    const { status, body, headers } = await get('/public/assertions/none')
    expect(status).toBe(404)
    expect(body).toEqual({ code: 'ResourceNotFound', message: 'Could not find badge instance' })
    expect(headers.get('Access-Control-Allow-Origin')).toBe('*')
  })

  it('was revoked is gone', async () => {
    const { seed, path, slug } = await seedAward()
    await revoke(seed)
    await isGone(path, ended(slug))
  })

  it('was revoked for a reason says it', async () => {
    const { seed, path, slug } = await seedAward()
    await revoke(seed, 'cheated')
    await isGone(path, ended(slug, { revocationReason: 'cheated' }))
  })

  it('lost its badge is gone', async () => {
    const { seed, path, slug } = await seedAward(atProgram)
    await api.delete(seed.path)
    await isGone(path, ended(slug))
    expect((await get(`/public${seed.path}`)).status).toBe(404)
  })

  it('lost its system is gone', async () => {
    const { seed, path, slug } = await seedAward(atProgram)
    await api.delete(seed.system)
    await isGone(path, ended(slug))
    for (const gone of [seed.system, seed.container, seed.path]) {
      expect((await get(`/public${gone}`)).status).toBe(404)
    }
  })

  it.each(['issuer', 'program'])('lost its %s stands, under what is left', async (word) => {
    const { seed, path } = await seedAward(atProgram)
    const container = seed.container.slice(
      0,
      word === 'issuer' ? seed.container.indexOf('/programs/') : undefined,
    )
    await api.delete(container)
    const { status, body } = await get(path)
    expect(status).toBe(200)
    const left = container.slice(0, container.lastIndexOf('/', container.lastIndexOf('/') - 1))
    expect(body.badge).toBe(`${ORIGIN}/public${left}/badges/${seed.badge.slug}`)
    const badgeClass = await follow(body.badge)
    expect(badgeClass.body.issuer).toBe(`${ORIGIN}/public${left}`)
    expect((await follow(badgeClass.body.issuer)).status).toBe(200)
  })

  it('was purged is known by its tombstone', async () => {
    const slug = unique('purged')
    await env.DB.prepare(
      `insert into tombstones (kind, uid, revokedAt, revocationReason) values ('assertion', ?, 1, 'old')`,
    )
      .bind(slug)
      .run()
    await isGone(`/public/assertions/${slug}`, ended(slug, { revocationReason: 'old' }))
  })
})

// ── The cache ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** Asks an app whose calls to the database are counted. */
async function counted(path: string, accept = 'application/json') {
  let trips = 0
  const DB = {
    withSession(from: string) {
      const session = env.DB.withSession(from)
      return {
        prepare(text: string) {
          trips++
          return session.prepare(text)
        },
        batch: (statements: D1PreparedStatement[]) => session.batch(statements),
        getBookmark: () => session.getBookmark(),
      }
    },
  } as unknown as D1Database
  const ctx = createExecutionContext()
  const request = new Request(ORIGIN + path, { headers: { Accept: accept } })
  const bindings: Bindings = { ...env, DB }
  const response = await app.fetch(request, bindings, ctx)
  // Not `text()`: it warns of answers that are images.
  const body = new TextDecoder().decode(await response.arrayBuffer())
  await waitOnExecutionContext(ctx)
  return { trips, status: response.status, headers: response.headers, body }
}

describe('the cache', () => {
  it.each(['application/json', 'text/html'])(
    'answers a second time without asking the database: %s',
    async (accept) => {
      const { seed, path } = await seedAward(atProgram)
      const revokedOne = await seedAward()
      await revoke(revokedOne.seed)
      for (const document of [
        path,
        `/public${seed.path}`,
        `/public${seed.container}`,
        revokedOne.path,
      ]) {
        const first = await counted(document, accept)
        const second = await counted(`${document}?x=1`, accept)
        expect(first.trips).toBeGreaterThan(0)
        expect(second.trips).toBe(0)
        expect(second.status).toBe(first.status)
        expect(second.body).toBe(first.body)
        for (const name of ['Content-Type', 'Cache-Control', 'Vary', 'Content-Security-Policy']) {
          expect(second.headers.get(name)).toBe(first.headers.get(name))
        }
      }
    },
  )

  it('keeps page and data apart', async () => {
    const { path } = await seedAward()
    const page = await counted(path, 'text/html')
    const data = await counted(path)
    expect(data.trips).toBeGreaterThan(0)
    expect(page.body).toMatch(/^<!doctype/)
    expect(JSON.parse(data.body).type).toBe('Assertion')
    expect((await counted(path, 'text/html')).body).toBe(page.body)
  })

  it.each(['application/json', 'text/html'])('never keeps a 404: %s', async (accept) => {
    const slug = unique('later')
    const path = `/public/assertions/${slug}`
    expect((await counted(path, accept)).status).toBe(404)
    const again = await counted(path, accept)
    expect(again.trips).toBeGreaterThan(0)
    await award(await seedBadge(atSystem), { slug })
    expect((await counted(path, accept)).status).toBe(200)
    const system = unique('later')
    expect((await counted(`/public/systems/${system}`, accept)).status).toBe(404)
    await api.post('/systems', container(system))
    expect((await counted(`/public/systems/${system}`, accept)).status).toBe(200)
  })

  it('shows a revocation at once', async () => {
    const { seed, path } = await seedAward()
    for (const accept of ['application/json', 'text/html']) await get(path, accept)
    await revoke(seed, 'why')
    for (const accept of ['application/json', 'text/html']) {
      expect((await get(path, accept)).status).toBe(410)
    }
  })

  it.each(levels)(
    'shows a change of a badge of a $name at once, under all its addresses',
    async (level) => {
      const seed = await seedBadge(level)
      const words = seed.container.split('/')
      const addresses = [3, 5, 7]
        .filter((n) => n <= words.length)
        .map((n) => `/public${words.slice(0, n).join('/')}/badges/${seed.badge.slug}`)
      for (const address of addresses) {
        expect((await get(address)).body.name).toBe(seed.badge.name)
        await get(address, 'text/html')
      }
      await api.put(seed.path, { name: 'Changed' })
      for (const address of addresses) {
        expect((await get(address)).body.name).toBe('Changed')
        expect((await get(address, 'text/html')).body).toContain('Changed')
      }
      await api.delete(seed.path)
      for (const address of addresses) expect((await get(address)).status).toBe(404)
    },
  )

  it('shows a change of a badge that was made under an ancestor at once', async () => {
    const seed = await seedBadge(atProgram)
    await get(`/public${seed.path}`)
    await api.put(`${seed.system}/badges/${seed.badge.slug}`, { name: 'Changed' })
    expect((await get(`/public${seed.path}`)).body.name).toBe('Changed')
  })

  it.each(levels)('shows a change of a $name at once', async (level) => {
    const seed = await seedBadge(level)
    const address = `/public${seed.container}`
    await get(address)
    await get(address, 'text/html')
    await api.put(seed.container, { name: 'Changed' })
    expect((await get(address)).body.name).toBe('Changed')
    expect((await get(address, 'text/html')).body).toContain('Changed')
    await api.put(seed.container, { slug: unique('renamed') })
    expect((await get(address)).status).toBe(404)
  })

  it.each(levels)('shows a deletion of a $name at once', async (level) => {
    const seed = await seedBadge(level)
    await get(`/public${seed.container}`)
    await api.delete(seed.container)
    expect((await get(`/public${seed.container}`)).status).toBe(404)
  })

  it('drops what a slug with odd characters names', async () => {
    const seed = await seedBadge(atSystem)
    const slug = `${unique('ö')} (x) 'y' + %`
    const made = await award(seed, { slug })
    const path = assertionOf(made)
    expect((await get(path)).status).toBe(200)
    await revoke(seed)
    expect((await get(path)).status).toBe(410)
  })
})

// ── Images ──────────────────────────────────────────────────────────────────────────────────────────────────────────

describe('an image', () => {
  it('of ours is given with its type, for ever, from both its addresses', async () => {
    const seed = await seedBadge(atSystem, { image: PNG_URI })
    const path = seed.badge.imageUrl.slice(ORIGIN.length)
    for (const address of [path, path.replace('/public', '')]) {
      // Once made, once from the cache.
      for (const _ of [1, 2]) {
        const ctx = createExecutionContext()
        const response = await app.fetch(new Request(ORIGIN + address), env as Bindings, ctx)
        expect(new Uint8Array(await response.arrayBuffer())).toEqual(PNG)
        await waitOnExecutionContext(ctx)
        const { status, headers } = response
        expect(status).toBe(200)
        expect(headers.get('Content-Type')).toBe('image/png')
        expect(headers.get('Cache-Control')).toBe('public, max-age=31536000, immutable')
        expect(headers.get('X-Content-Type-Options')).toBe('nosniff')
        expect(headers.get('Content-Security-Policy')).toContain('sandbox')
        expect(headers.get('Access-Control-Allow-Origin')).toBe('*')
      }
      expect((await counted(address)).trips).toBe(0)
    }
  })

  it('of somebody else is a redirection', async () => {
    const seed = await seedBadge(atSystem, { image: 'https://example.org/elsewhere.png' })
    const row = await env.DB.prepare(
      'select m.slug from images m join badges b on b.imageId = m.id where b.id = ?',
    )
      .bind(seed.badge.id)
      .first<{ slug: string }>()
    for (const path of [`/public/images/${row?.slug}`, `/images/${row?.slug}`]) {
      const { status, headers, body } = await get(path)
      expect(status).toBe(301)
      expect(headers.get('Location')).toBe('https://example.org/elsewhere.png')
      expect(body).toEqual({ location: 'https://example.org/elsewhere.png' })
    }
  })

  it('that is not there is not found', async () => {
    for (const path of ['/public/images/none', '/images/none']) {
      for (const _ of [1, 2]) {
        const { status, body } = await get(path)
        expect(status).toBe(404)
        expect(body).toMatchObject({ code: 'ResourceNotFound' })
      }
    }
  })
})

describe('the state of the service', () => {
  it.each(['/', '/healthcheck', '/?x=1', '/healthcheck?cachebuster=1', '/healthcheck/'])(
    'is told at %s without a signature',
    async (path) => {
      const { status, headers, body } = await get(path)
      expect(status).toBe(200)
      expect(headers.get('Content-Type')).toBe('application/json')
      expect(body).toEqual({ app: 'BadgeKit API', version: '0.3.0' })
      expect(headers.get('X-Request-Id')).toMatch(/^[\da-f]{24}$/)
    },
  )

  it('is told to a browser as to anyone', async () => {
    expect((await get('/healthcheck', CHROME)).body).toMatchObject({ app: 'BadgeKit API' })
  })
})
