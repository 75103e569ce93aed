import { env } from 'cloudflare:workers'
import { decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose'
import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Answer, api, ask, type Call, ORIGIN, send } from './helpers/api'
import {
  badge,
  EVENTS,
  levels,
  outbox,
  PNG_URI,
  rows,
  seedBadge,
  seedContainer,
  seedWebhook,
  unique,
} from './helpers/seed'

/** What BadgeKit's real clients send and look for, to the byte: contract §12. */

const [atSystem, , atProgram] = levels
const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
const FORM = 'application/x-www-form-urlencoded'
const JSON_TYPE = { 'Content-Type': 'application/json' }

let seen = 0
beforeEach(async () => {
  seen = (await outbox()).length
})
const types = async () => (await outbox()).slice(seen).map(({ type }) => type)

const utf8 = (text: string) => new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>
const sha256 = async (text: string) => {
  const digest = await crypto.subtle.digest('SHA-256', utf8(text))
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

// ── badgekit-api-client and the web app ─────────────────────────────────────────────────────────────────────────────

/** A segment of a path as badgekit-api-client writes it. */
const segment = (word: string) =>
  encodeURIComponent(word)
    .replace(/\(/g, '%28')
    .replace(/\)/g, '%29')
    .replace(/!/g, '%21')
    .replace(/\*/g, '%2A')

/** A request of badgekit-api-client: `exp` in milliseconds, `SHA256`, a content type even without a body. */
async function jsc(method: string, path: string, data?: unknown): Promise<Answer> {
  const text = data === undefined ? undefined : JSON.stringify(data)
  const call: Call = {
    claims: {
      exp: Date.now() + 60_000,
      ...(text !== undefined && { body: { alg: 'SHA256', hash: await sha256(text) } }),
    },
    headers: JSON_TYPE,
  }
  const body = text === undefined ? undefined : { type: 'application/json', bytes: utf8(text) }
  return send(method, path, body, call)
}

describe('badgekit-api-client', () => {
  it('signs with `exp` in milliseconds and `SHA256`, and names a type without a body', async () => {
    const { container, path } = await seedBadge(atSystem)
    expect((await jsc('GET', path)).status).toBe(200)
    const made = await jsc('POST', `${container}/badges`, badge(unique('badge')))
    expect(made.status).toBe(201)
    expect((await jsc('PUT', path, { name: 'New' })).status).toBe(200)
    expect((await jsc('DELETE', path)).body.status).toBe('deleted')
    expect(await types()).toEqual(['badge.updated'])
  })

  it('posts nothing at all for a random code, without a `body` claim', async () => {
    const { path } = await seedBadge(atSystem)
    const { status, body } = await jsc('POST', `${path}/codes/random`)
    expect(status).toBe(201)
    expect(body.claimCode.code).toMatch(/^[0-9a-f]{10}$/)
  })

  it.each(["it's (really)! *new*", 'a+b & c=d', 'ü/ß?#%', '100%', 'naïve ☃'])(
    'escapes the words of a path: %s',
    async (word) => {
      const container = await seedContainer(atSystem)
      const slug = `${word} ${unique('slug')}`
      await jsc('POST', `${container}/badges`, { ...badge('x'), slug })
      const path = `${container}/badges/${segment(slug)}`
      const shown = await jsc('GET', path)
      expect(shown.body.badge?.slug, JSON.stringify(shown.body)).toBe(slug)
      const email = "o'hara+x!*@example.org"
      expect((await jsc('POST', `${path}/instances`, { email })).status).toBe(201)
      const held = await jsc('GET', `${path}/instances/${segment(email)}`)
      expect(held.body.instance.email).toBe(email)
      expect((await jsc('DELETE', `${path}/instances/${segment(email)}`)).status).toBe(200)
      expect(await types()).toEqual(['badge.awarded', 'badge.revoked'])
    },
  )

  it('leaves the code raw when it looks for the badge of one', async () => {
    const { container, path, badge: made } = await seedBadge(atSystem)
    const code = "it's(1)!*~.-_"
    await jsc('POST', `${path}/codes`, { code })
    const { status, body } = await jsc('GET', `${container}/codes/${code}`)
    expect(status).toBe(200)
    expect(body.badge).toEqual({ ...made, claimed: 0 })
  })

  it.each([
    ['system', '/systems'],
    ['issuer', '{S}/issuers'],
    ['program', '{I}/programs'],
    ['badge', '{P}/badges'],
    ['claimCode', '{B}/codes'],
    ['instance', '{B}/instances'],
    ['application', '{B}/applications'],
    ['review', '{A}/reviews'],
    ['milestone', '{S}/milestones'],
  ])(
    'finds `%s` under its own name, and the list under the plural beside `pageData`',
    async (model, list) => {
      const seed = await seedBadge(atProgram)
      const applied = await jsc('POST', `${seed.path}/applications`, { learner: 'a@example.org' })
      const path = list
        .replace('{S}', seed.system)
        .replace('{I}', seed.container.split('/').slice(0, 5).join('/'))
        .replace('{P}', seed.container)
        .replace('{B}', seed.path)
        .replace('{A}', `${seed.path}/applications/${applied.body.application.slug}`)
      const slug = unique('slug')
      const made = await jsc('POST', path, {
        ...badge(slug),
        url: 'https://example.org',
        code: slug,
        email: 'a@example.org',
        learner: 'b@example.org',
        author: 'c@example.org',
        primaryBadgeId: seed.badge.id,
        numberRequired: 1,
      })
      expect(made.status, JSON.stringify(made.body)).toBe(201)
      expect(made.body[model]).toBeTypeOf('object')
      const { body } = await jsc('GET', `${path}?page=1&count=1`)
      expect(body[`${model}s`]).toHaveLength(1)
      expect(body.pageData).toMatchObject({ page: 1, count: 1, total: expect.any(Number) })
    },
  )

  it('follows the containers inside a badge, which are there or absent, never null', async () => {
    for (const level of levels) {
      const { container, path } = await seedBadge(level)
      const { badge: shown } = (await jsc('GET', path)).body
      const words = ['system', 'issuer', 'program'].flatMap((word) =>
        word in shown ? [`${word}s`, shown[word].slug] : [],
      )
      expect(`/${words.join('/')}`).toBe(container)
      expect((await jsc('GET', `/${words.join('/')}/badges/${segment(shown.slug)}`)).status).toBe(
        200,
      )
    }
  })

  it('puts a whole badge back, its milestones and containers included, and changes nothing', async () => {
    const seed = await seedBadge(atProgram, {
      criteria: [{ description: 'Do it', required: 1 }],
      categories: ['One'],
      tags: ['a', 'b'],
      image: PNG_URI,
    })
    await jsc('POST', `${seed.system}/milestones`, {
      numberRequired: 1,
      action: 'issue',
      primaryBadgeId: seed.badge.id,
      supportBadges: [],
    })
    const loaded = (await jsc('GET', seed.path)).body.badge
    expect(loaded.milestones).toHaveLength(1)
    const before = { images: await rows('images'), milestones: await rows('milestones') }
    const put = await jsc('PUT', seed.path, loaded)
    expect(put).toMatchObject({ status: 200, body: { status: 'updated', badge: seed.badge } })
    expect((await jsc('GET', seed.path)).body.badge).toEqual(loaded)
    expect({ images: await rows('images'), milestones: await rows('milestones') }).toEqual(before)
    expect(await types()).toEqual(['badge.updated'])
  })

  it('puts a whole application back, its badge included, and changes what differs', async () => {
    const { path } = await seedBadge(atSystem)
    const made = await jsc('POST', `${path}/applications`, {
      learner: 'ada@example.org',
      evidence: [{ url: 'https://example.org/e', mediaType: 'link', reflection: null }],
    })
    const at = `${path}/applications/${made.body.application.slug}`
    const { application } = (await jsc('GET', at)).body
    const processed = new Date(1_400_094_712_000).toISOString()
    const put = await jsc('PUT', at, { ...application, processed })
    expect(put.body.application).toEqual({ ...application, processed })
    expect(await types()).toEqual(['application.created', 'application.updated'])
  })

  it('sends a picture of its own disk as a `data:` URI', async () => {
    const container = await seedContainer(atSystem)
    const made = await jsc('POST', `${container}/badges`, { ...badge(unique('b')), image: PNG_URI })
    expect(made.body.badge.imageUrl).toMatch(/\/public\/images\/[0-9a-f]+$/)
  })

  it('posts a whole context to award many, and reads `instances`', async () => {
    const { path, badge: made } = await seedBadge(atProgram)
    const { status, body } = await jsc('POST', `${path}/instances/bulk`, {
      system: made.system,
      issuer: made.issuer,
      program: made.program,
      badge: made,
      slug: 'ignored',
      claimCode: 'ignored',
      emails: ['a@example.org', 'b@example.org', 'A@example.org'],
    })
    expect(status).toBe(201)
    expect(body.instances.map(({ email }: { email: string }) => email)).toEqual([
      'a@example.org',
      'b@example.org',
    ])
    expect(await types()).toEqual(['badge.awarded', 'badge.awarded'])
  })

  it('names an error by `code`, which comes with a message, and never 401', async () => {
    const { container, path } = await seedBadge(atSystem)
    const unsigned = await ask('GET', path)
    const wrong = await api.get(path, { secret: 'wrong' })
    for (const { status, body } of [unsigned, wrong]) {
      expect(status).toBe(403)
      expect(body).toEqual({ code: 'NotAuthorized', message: expect.any(String) })
    }
    const twice = await jsc('POST', `${container}/badges`, badge(path.split('/').at(-1) ?? ''))
    expect(twice).toMatchObject({
      status: 409,
      body: { code: 'ResourceConflict', message: 'badge with that `slug` already exists' },
    })
  })
})

describe('the web app', () => {
  /** A badge as it publishes one. */
  const published = (slug: string) => ({
    name: 'My First Badge',
    slug,
    strapline: ' ',
    earnerDescription: 'For you',
    consumerDescription: 'For them',
    issuerUrl: '',
    rubricUrl: null,
    criteriaUrl: 'https://web.example.org/criteria',
    timeValue: 0,
    timeUnits: 'hours',
    evidenceType: null,
    limit: 0,
    unique: 0,
    imageUrl: 'https://web.example.org/images/badge/12',
    type: 'skill',
    archived: false,
    criteria: [
      { description: 'One', required: 1, note: '' },
      { description: 'Two', required: 0, note: 'n' },
    ],
    categories: ['Science', 'Math'],
    tags: ['a', 'b'],
  })

  it('publishes a badge, and links a milestone to the id that it is told', async () => {
    const container = await seedContainer(atSystem)
    const slug = unique('my-first-badge')
    const made = await jsc('POST', `${container}/badges`, published(slug))
    expect(made.status, JSON.stringify(made.body)).toBe(201)
    expect(made.body.badge).toMatchObject({
      slug,
      strapline: ' ',
      issuerUrl: '',
      rubricUrl: null,
      timeValue: 0,
      evidenceType: null,
      limit: 0,
      unique: 0,
      archived: false,
      imageUrl: 'https://web.example.org/images/badge/12',
      criteria: [{ required: 1 }, { required: 0 }],
      categories: ['Science', 'Math'],
      tags: [{ value: 'a' }, { value: 'b' }],
      milestones: [],
    })
    const support = await jsc('POST', `${container}/badges`, published(unique('other')))
    const milestone = {
      numberRequired: 1,
      action: 'issue',
      primaryBadgeId: made.body.badge.id,
      supportBadges: [support.body.badge.id],
    }
    const linked = await jsc('POST', `${container}/milestones`, milestone)
    expect(linked.status).toBe(201)
    const shown = await jsc('GET', `${container}/badges/${slug}`)
    const [first] = shown.body.badge.milestones
    expect(first).toMatchObject({
      numberRequired: 1,
      action: 'issue',
      supportBadges: [{ slug: support.body.badge.slug, imageUrl: expect.any(String) }],
    })
    const none = await jsc('POST', `${container}/milestones`, {
      ...milestone,
      numberRequired: null,
    })
    expect(none).toMatchObject({ status: 400, body: { code: 'ValidationError' } })
    expect(await types()).toEqual([])
  })

  it('asks every listed badge for the length of its milestones and whether it is archived', async () => {
    const container = await seedContainer(atSystem)
    await jsc('POST', `${container}/badges`, published(unique('b')))
    await jsc('POST', `${container}/badges`, { ...published(unique('b')), archived: true })
    const { body } = await jsc('GET', `${container}/badges?archived=any`)
    const flags = body.badges.map((each: { archived: unknown; milestones: unknown[] }) => [
      each.archived,
      each.milestones.length,
    ])
    expect(flags).toEqual([
      [false, 0],
      [true, 0],
    ])
  })

  it.each([
    ['remote', 'https://web.example.org/images/badge/12'],
    ['uploaded', PNG_URI],
  ])('archives a badge with a %s image by putting all of it back', async (_name, imageUrl) => {
    const container = await seedContainer(atProgram)
    const slug = unique('b')
    await jsc('POST', `${container}/badges`, { ...published(slug), imageUrl })
    const path = `${container}/badges/${slug}`
    const loaded = (await jsc('GET', path)).body.badge
    const put = await jsc('PUT', path, { ...loaded, archived: true })
    expect(put).toMatchObject({ status: 200 })
    expect(put.body.badge).toEqual({ ...loaded, archived: true })
  })

  it('groups applications by the badge of consecutive rows, and reads what a badge has', async () => {
    const { container, path } = await seedBadge(atSystem)
    const other = await jsc('POST', `${container}/badges`, published(unique('b')))
    const second = `${container}/badges/${other.body.badge.slug}`
    for (const at of [second, path, second, path]) {
      await jsc('POST', `${at}/applications`, { learner: `${unique('l')}@example.org` })
    }
    const { body } = await jsc('GET', `${container}/applications?processed=false`)
    const ids = body.applications.map((each: { badge: { id: number } }) => each.badge.id)
    expect(ids).toEqual([...ids].sort((a: number, b: number) => a - b))
    expect(new Set(ids).size).toBe(2)
    for (const each of body.applications) {
      expect(each.evidence).toEqual([])
      for (const key of ['id', 'slug', 'name', 'imageUrl']) expect(each.badge[key]).toBeTruthy()
    }
  })

  it('reviews with texts for numbers', async () => {
    const seed = await seedBadge(atSystem, { criteria: [{ description: 'One', required: 1 }] })
    const made = await jsc('POST', `${seed.path}/applications`, { learner: 'ada@example.org' })
    const { slug } = made.body.application
    const criterionId = String(seed.badge.criteria[0].id)
    const reviewed = await jsc('POST', `${seed.path}/applications/${slug}/reviews`, {
      author: 'rev@example.org',
      comment: '',
      reviewItems: [{ criterionId, satisfied: '1', comment: '' }],
    })
    expect(reviewed.body.review.reviewItems).toEqual([
      { criterionId: Number(criterionId), satisfied: 1, comment: '' },
    ])
    const gone = await jsc(
      'DELETE',
      `${seed.path}/applications/${slug}/reviews/${reviewed.body.review.slug}`,
    )
    expect(gone.body.review).toEqual(reviewed.body.review)
    expect(await types()).toEqual(['application.created', 'application.reviewed'])
  })
})

// ── The Python clients ──────────────────────────────────────────────────────────────────────────────────────────────

/** A request of python-badgekit-api-client: forms for every POST, addresses raw in the path, `body: null` on GET. */
async function tgs(method: string, path: string, fields?: Record<string, string>): Promise<Answer> {
  const text = fields && new URLSearchParams(fields).toString()
  const body = text === undefined ? null : { alg: 'sha256', hash: await sha256(text) }
  const claims = { exp: Math.floor(Date.now() / 1000) + 20, body }
  return send(method, path, text === undefined ? undefined : { type: FORM, bytes: utf8(text) }, {
    claims,
  })
}

describe('python-badgekit-api-client', () => {
  it('pings, and reads the version as three numbers', async () => {
    for (const path of ['/', '/healthcheck', '/?x=1']) {
      const { status, body } = await ask('GET', path)
      expect(status).toBe(200)
      expect(body.app).toBe('BadgeKit API')
      expect(body.version).toMatch(/^\d+\.\d+\.\d+$/)
      const [major = 0, minor = 0, patch = 0] = body.version.split('.').map(Number)
      expect(major * 1e6 + minor * 1e3 + patch).toBeGreaterThanOrEqual(2_022)
    }
  })

  it('creates everything with forms, raw addresses and all, and counts on 201 and 200', async () => {
    const slug = unique('system')
    const url = 'http://example.org/'
    expect((await tgs('POST', '/systems', { slug, name: 'A & B', url })).status).toBe(201)
    const at = `/systems/${slug}`
    const issuer = { slug: 'i', name: 'Iss=uer', url, email: 'a+b@example.org' }
    expect((await tgs('POST', `${at}/issuers`, issuer)).body.issuer.email).toBe('a+b@example.org')
    const program = await tgs('POST', `${at}/issuers/i/programs`, { slug: 'p', name: 'P', url })
    expect(program.status).toBe(201)
    const { unique: once, ...fields } = badge('b')
    const made = await tgs('POST', `${at}/badges`, { ...fields, unique: String(once) })
    expect(made.status, JSON.stringify(made.body)).toBe(201)
    const email = "o'hara+x@example.org"
    const path = `${at}/badges/b/instances`
    expect((await tgs('POST', path, { email, comment: 'ü & ö' })).status).toBe(201)
    const held = await tgs('GET', `${path}/${email}`)
    expect(held).toMatchObject({ status: 200, body: { instance: { email } } })
    expect((await tgs('DELETE', `${path}/${email}`)).status).toBe(200)
    expect(await types()).toEqual(['badge.awarded', 'badge.revoked'])
  })

  it('raises by `code`, and reads `details[].field`', async () => {
    const { container, path } = await seedBadge(atSystem)
    const missing = await tgs('GET', `${container}/badges/none`)
    expect(missing.body).toMatchObject({ code: 'ResourceNotFound', message: expect.any(String) })
    const bad = await tgs('POST', `${path}/instances`, { email: 'nope' })
    expect(bad.body).toEqual({
      code: 'ValidationError',
      message: 'Could not validate required fields',
      details: [{ message: 'Invalid email', field: 'email', value: 'nope' }],
    })
    await tgs('POST', `${path}/instances`, { email: 'ada@example.org' })
    const twice = await tgs('POST', `${path}/instances`, { email: 'ada@example.org' })
    expect(twice).toMatchObject({ status: 409, body: { code: 'ResourceConflict' } })
    expect(twice.body.details.assertionUrl).toMatch(/^https:/)
    expect(await types()).toEqual(['badge.awarded'])
  })

  it('lists badges by `archived`', async () => {
    const { container, badge: made } = await seedBadge(atSystem, { archived: true })
    const shown = async (word: string) =>
      (await tgs('GET', `${container}/badges?archived=${word}`)).body.badges
    expect(await shown('true')).toEqual([made])
    expect(await shown('false')).toEqual([])
  })
})

describe('django-badgekit-webhooks', () => {
  it.each(levels)(
    'invites to a badge of a $name with a random code, and reads it back',
    async (level) => {
      const seed = await seedBadge(level)
      const email = 'invited+1@example.org'
      const made = await tgs('POST', `${seed.path}/codes/random`, { email })
      expect(made.status).toBe(201)
      const { badge: shown, claimCode } = made.body
      expect(claimCode.email).toBe(email)
      expect(claimCode.code).toMatch(/^[-A-Za-z0-9_]{1,255}$/)
      expect(shown.slug).toMatch(/^[-A-Za-z0-9_]{1,255}$/)
      for (const key of ['name', 'earnerDescription', 'imageUrl']) expect(shown[key]).toBeTruthy()
      expect(
        Object.keys(shown).filter((key) => ['system', 'issuer', 'program'].includes(key)),
      ).toEqual(
        {
          system: ['system'],
          issuer: ['system', 'issuer'],
          program: ['system', 'issuer', 'program'],
        }[level.name],
      )
      const path = `${seed.path}/codes/${claimCode.code}`
      expect((await tgs('GET', path)).body.claimCode).toEqual({
        id: expect.any(Number),
        code: claimCode.code,
        claimed: false,
        email,
        multiuse: false,
      })
      const { code } = claimCode
      const earner = 'Earner@example.org'
      await tgs('POST', `${seed.path}/instances`, { email: earner, claimCode: code })
      const used = (await tgs('GET', path)).body.claimCode
      expect(used).toMatchObject({ claimed: true, email: earner })
      const held = await tgs('GET', `${seed.path}/instances/${used.email}`)
      expect(held.body.instance.assertionUrl).toMatch(/^https:/)
      expect(await types()).toEqual(['badge.awarded', 'code.claimed'])
    },
  )

  it('takes the message of an award, and follows its chain of public documents', async () => {
    const seed = await seedBadge(atProgram)
    const hook = await seedWebhook(seed.system, { secret: 'shhh' })
    await tgs('POST', `${seed.path}/instances`, { email: 'ada@example.org', comment: 'Well done' })
    const received = await vi.waitFor(
      async () => {
        const [first] = await hook.received()
        if (!first) throw new Error('nothing came')
        return first
      },
      { timeout: 10_000, interval: 50 },
    )
    expect(received.headers['content-type']).toBe('application/json')
    const header = received.headers.authorization ?? ''
    expect(header).toMatch(/^JWT token="[0-9A-Za-z\-_.]+"$/)
    const token = header.slice('JWT token="'.length, -1)
    expect(decodeProtectedHeader(token)).toEqual({ typ: 'JWT', alg: 'HS256' })
    await jwtVerify(token, utf8('shhh'), { algorithms: ['HS256'] })
    expect(decodeJwt(token)).toEqual({ body: { alg: 'sha256', hash: await sha256(received.body) } })

    const message = JSON.parse(received.body)
    expect(JSON.stringify(message)).toBe(received.body)
    expect(Object.keys(message)).toEqual([
      'action',
      'uid',
      'badge',
      'email',
      'assertionUrl',
      'issuedOn',
      'comment',
    ])
    expect(message).toMatchObject({
      action: 'award',
      email: 'ada@example.org',
      comment: 'Well done',
    })
    expect(Number.isInteger(message.issuedOn)).toBe(true)
    expect(new Date(message.issuedOn * 1000).getFullYear()).toBe(new Date().getFullYear())
    expect(message.uid.length).toBeLessThanOrEqual(255)
    expect(message.assertionUrl.length).toBeLessThanOrEqual(255)

    const follow = async (url: string) => {
      expect(new URL(url).origin).toBe(ORIGIN)
      const { status, headers, body } = await ask('GET', url.slice(ORIGIN.length))
      expect(status).toBe(200)
      expect(headers.get('Content-Type')).toMatch(/^application\/json\b/)
      return body
    }
    const assertion = await follow(message.assertionUrl)
    expect(assertion.verify).toEqual({ url: message.assertionUrl, type: 'hosted' })
    const badgeClass = await follow(assertion.badge)
    expect(badgeClass.name).toBe(seed.badge.name)
    expect(badgeClass.image).toBe('https://example.org/badge.png')
    const issuer = await follow(badgeClass.issuer)
    expect(issuer).toMatchObject({ name: expect.any(String), url: expect.any(String) })
    expect(await types()).toEqual(['badge.awarded'])
  })

  it('is told of a revocation and a review in objects with an `action`, and no key it would trip over', async () => {
    const seed = await seedBadge(atSystem)
    await tgs('POST', `${seed.path}/instances`, { email: 'ada@example.org' })
    await tgs('DELETE', `${seed.path}/instances/ada@example.org`)
    const made = await jsc('POST', `${seed.path}/applications`, { learner: 'ada@example.org' })
    const { slug } = made.body.application
    await jsc('POST', `${seed.path}/applications/${slug}/reviews`, { author: 'rev@example.org' })
    const { results } = await env.DB.prepare(
      `select e.body from ${EVENTS} e join badges b on b.systemId = e.systemId where b.id = ? order by seq`,
    )
      .bind(seed.badge.id)
      .all<{ body: string | null }>()
    // No webhook of the old format gets the one without a body: an application is none of BadgeKit's messages.
    const told = results.map(({ body }) => body && JSON.parse(body))
    expect(told.map((message) => message?.action ?? null)).toEqual([
      'award',
      'revoke',
      null,
      'review',
    ])
    for (const message of told.filter((one) => one !== null)) {
      expect('sender' in message || 'signal' in message).toBe(false)
    }
    expect(await types()).toEqual([
      'badge.awarded',
      'badge.revoked',
      'application.created',
      'application.reviewed',
    ])
  })
})

describe("Mozilla's Python client", () => {
  it('signs sixty thousand seconds ahead with `SHA256`, and names a type on everything', async () => {
    const { path, container } = await seedBadge(atSystem)
    const exp = Math.floor(Date.now() / 1000) + 60_000
    const headers = JSON_TYPE
    const shown = await api.get(path, { claims: { exp }, headers })
    expect(shown.status).toBe(200)
    expect(shown.body.badge.archived).toBe(false)
    expect('program' in shown.body.badge).toBe(false)
    const text = JSON.stringify(badge(unique('badge')))
    const made = await send(
      'POST',
      `${container}/badges`,
      { type: 'application/json', bytes: utf8(text) },
      { claims: { exp, body: { alg: 'SHA256', hash: await sha256(text) } } },
    )
    expect(made.status).toBe(201)
    expect((await api.delete(path, { claims: { exp }, headers })).status).toBe(200)
    const bad = await api.post(`${container}/badges`, {})
    expect(Object.keys(bad.body)).toEqual(['code', 'message', 'details'])
  })
})

describe('the PHP client', () => {
  it('signs the query in the path, and the hash of a body that is empty', async () => {
    const { container, path } = await seedBadge(atSystem)
    expect((await api.get(`${container}/badges?page=1&count=1`)).body.pageData.total).toBe(1)
    const cut = { claims: { path: `${container}/badges` } }
    expect((await api.get(`${container}/badges?page=1&count=1`, cut)).status).toBe(403)
    const claims = { body: { alg: 'sha256', hash: EMPTY_SHA256 } }
    for (const headers of [JSON_TYPE, undefined]) {
      const put = await api.put(path, undefined, { claims, ...(headers && { headers }) })
      expect(put.status, JSON.stringify(put.body)).toBe(200)
      const made = await api.post(`${path}/codes/random`, undefined, {
        claims,
        ...(headers && { headers }),
      })
      expect(made.status).toBe(201)
    }
  })
})

describe('the Discourse plugin', () => {
  let seed: Awaited<ReturnType<typeof seedBadge>>
  beforeAll(async () => {
    seed = await seedBadge(atProgram)
    await api.post(`${seed.path}/instances`, { email: 'a+b@example.org' })
  })

  it('sends no `exp` and a raw `@`, and reads the name and image of each badge', async () => {
    const path = `${seed.system}/instances/a+b@example.org`
    const { status, body } = await api.get(path, { claims: { exp: undefined } })
    expect(status).toBe(200)
    expect(body.instances).toHaveLength(1)
    expect(body.instances[0].badge).toMatchObject({
      name: seed.badge.name,
      imageUrl: 'https://example.org/badge.png',
    })
    const none = await api.get(`${seed.system}/instances/x@example.org`, {
      claims: { exp: undefined },
    })
    expect(none.body).toEqual({ instances: [] })
  })

  it('is answered the same when the `@` is escaped, and a plus is a plus', async () => {
    for (const word of ['a+b@example.org', 'a%2Bb%40example.org', 'a%2bb%40example.org']) {
      const { body } = await api.get(`${seed.path}/instances/${word}`)
      expect(body.instance?.email, word).toBe('a+b@example.org')
    }
  })
})
