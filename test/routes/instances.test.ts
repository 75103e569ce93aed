import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { beforeEach, describe, expect, it } from 'vitest'
import { app } from '../../src/app'
import type { Bindings } from '../../src/env'
import { type Answer, api, ask, type Call, ORIGIN, send, sign } from '../helpers/api'
import { levels, outbox, rows, seedBadge, unique } from '../helpers/seed'

type Seed = Awaited<ReturnType<typeof seedBadge>>

const [atSystem] = levels
const SHA1 = /^[\da-f]{40}$/
const HOUR = 3_600_000

let seen = 0
beforeEach(async () => {
  seen = (await outbox()).length
})
/** What has come into the outbox since the test began; each test seeds a system of its own, so that it stands at the end. */
const news = async () => (await outbox()).slice(seen)
const awarded = (subject: string) => ({ type: 'badge.awarded', subject, deliveries: 0 })
const revoked = (subject: string) => ({ type: 'badge.revoked', subject, deliveries: 0 })

const award = (seed: Seed, more: object = {}) =>
  api.post(`${seed.path}/instances`, { email: 'ada@example.org', ...more })
const pathOf = (seed: Seed, email = 'ada@example.org') =>
  `${seed.path}/instances/${encodeURIComponent(email)}`
const publicOf = (answer: Answer) => answer.body.instance.assertionUrl.slice(ORIGIN.length)
const bytesOf = (text: string) => new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>

const invalid = (...details: object[]) => ({
  code: 'ValidationError',
  message: 'Could not validate required fields',
  details,
})
const missing = (email: string) => ({
  code: 'ResourceNotFound',
  message: `Could not find badgeInstance field: \`email\`, value: \`${email}\``,
})

async function state(seed: Seed) {
  return env.DB.prepare(
    `select awarded, (select count(*) from badgeInstances where badgeId = b.id and revokedAt is null) as live
     from badges b where id = ?`,
  )
    .bind(seed.badge.id)
    .first<{ awarded: number; live: number }>()
}

describe.each(levels)('awarding a badge of a $name', (level) => {
  it('gives the award, without the badge, and a place to see it', async () => {
    const seed = await seedBadge(level)
    const before = Date.now()
    const { status, headers, body } = await award(seed)
    expect(status).toBe(201)
    const { slug } = body.instance
    const assertionUrl = `${ORIGIN}/public/assertions/${slug}`
    expect(body).toEqual({
      status: 'created',
      instance: {
        slug: expect.stringMatching(SHA1),
        email: 'ada@example.org',
        expires: null,
        issuedOn: expect.any(String),
        claimCode: null,
        assertionUrl,
        badge: null,
        urls: expect.objectContaining({ page: assertionUrl }),
      },
    })
    const { issuedOn } = body.instance
    expect(new Date(issuedOn).toISOString()).toBe(issuedOn)
    expect(Date.parse(issuedOn)).toBeGreaterThanOrEqual(before)
    expect(Date.parse(issuedOn)).toBeLessThanOrEqual(Date.now())
    expect(headers.get('Location')).toBe(`/public/assertions/${slug}`)
    expect(headers.get('Cache-Control')).toBe('private, no-store')
    expect(await state(seed)).toEqual({ awarded: 1, live: 1 })
    expect(await news()).toEqual([awarded(slug)])
  })

  it('refuses a second time, in any spelling of the address, and says where the first one is', async () => {
    const seed = await seedBadge(level)
    const first = await award(seed, { email: 'Ada@Example.org' })
    for (const email of ['Ada@Example.org', 'ada@example.org', 'ADA@EXAMPLE.ORG']) {
      const second = await award(seed, { email, slug: unique('other') })
      expect(second.status).toBe(409)
      expect(second.body).toEqual({
        code: 'ResourceConflict',
        message: `User ${email} has already been awarded badge ${seed.badge.slug}`,
        details: { assertionUrl: first.body.instance.assertionUrl },
      })
    }
    expect(first.body.instance.email).toBe('Ada@Example.org')
    expect(await state(seed)).toEqual({ awarded: 1, live: 1 })
    expect(await news()).toEqual([awarded(first.body.instance.slug)])
  })

  it('shows the award with the whole badge', async () => {
    const seed = await seedBadge(level, { tags: ['x'], criteria: [{ description: 'Do it' }] })
    const made = await award(seed, { expires: '2031-05-06T07:08:09Z' })
    const shown = await api.get(pathOf(seed, 'ADA@example.org'))
    expect(shown.status).toBe(200)
    expect(shown.body).toEqual({ instance: { ...made.body.instance, badge: seed.badge } })
    expect(shown.body.instance.expires).toBe('2031-05-06T07:08:09.000Z')
  })

  it('says which address has no award', async () => {
    const seed = await seedBadge(level)
    for (const ask of [api.get, api.delete]) {
      const answer = await ask(pathOf(seed, 'Nobody+x@example.org'))
      expect(answer.status).toBe(404)
      expect(answer.body).toEqual(missing('Nobody+x@example.org'))
    }
    expect(await news()).toEqual([])
  })

  it('revokes the award, after which it is not there and may be made again', async () => {
    const seed = await seedBadge(level)
    const first = await award(seed)
    const gone = await api.delete(pathOf(seed))
    expect(gone.status).toBe(200)
    expect(gone.body).toEqual({
      status: 'deleted',
      instance: { ...first.body.instance, badge: seed.badge },
    })
    for (const ask of [api.get, api.delete]) {
      const answer = await ask(pathOf(seed))
      expect(answer.status).toBe(404)
      expect(answer.body).toEqual(missing('ada@example.org'))
    }
    expect(await state(seed)).toEqual({ awarded: 0, live: 0 })
    const again = await award(seed)
    expect(again.status).toBe(201)
    expect(again.body.instance.slug).not.toBe(first.body.instance.slug)
    expect((await api.get(pathOf(seed))).body.instance.slug).toBe(again.body.instance.slug)
    expect((await ask('GET', publicOf(first))).status).toBe(410)
    expect((await ask('GET', publicOf(again))).status).toBe(200)
    expect(await state(seed)).toEqual({ awarded: 1, live: 1 })
    const [old, fresh] = [first, again].map(({ body }) => body.instance.slug)
    expect(await news()).toEqual([awarded(old), revoked(old), awarded(fresh)])
  })
})

describe('what an award is asked for with', () => {
  it('takes a slug of the client', async () => {
    const seed = await seedBadge(atSystem)
    const slug = `${unique('mine')}/é "quoted"`
    const made = await award(seed, { slug })
    expect(made.body.instance.slug).toBe(slug)
    const path = `/public/assertions/${encodeURIComponent(slug)}`
    expect(made.headers.get('Location')).toBe(path)
    expect(made.body.instance.assertionUrl).toBe(ORIGIN + path)
    expect((await ask('GET', path)).body.uid).toBe(slug)
    expect(await news()).toEqual([awarded(slug)])
  })

  it('makes a slug where an empty one or null is given', async () => {
    const seed = await seedBadge(atSystem)
    for (const slug of ['', null]) {
      const made = await award(seed, { slug, email: `${unique('a')}@example.org` })
      expect(made.body.instance.slug).toMatch(SHA1)
    }
  })

  it('refuses a slug that another award has, in any spelling, of any system and revoked or not', async () => {
    const other = await seedBadge(atSystem)
    const slug = unique('taken')
    await award(other, { slug })
    const seed = await seedBadge(atSystem)
    seen = (await outbox()).length
    const refused = async (given: string) => {
      const answer = await award(seed, { slug: given })
      expect(answer.status).toBe(409)
      expect(answer.body).toEqual({
        code: 'ResourceConflict',
        message: 'badgeInstance with that `slug` already exists',
      })
      expect(await state(seed)).toEqual({ awarded: 0, live: 0 })
    }
    await refused(slug)
    await refused(slug.toUpperCase())
    expect(await news()).toEqual([])
    await api.delete(pathOf(other))
    await refused(slug)
    const about = (await outbox()).filter(({ subject }) => subject === slug)
    expect(about).toEqual([awarded(slug), revoked(slug)])
  })

  it.each([
    ['seconds', 1_400_094_712, '2014-05-14T19:11:52.000Z'],
    ['seconds as digits', '1400094712', '2014-05-14T19:11:52.000Z'],
    ['milliseconds', 1_400_094_712_345, '2014-05-14T19:11:52.345Z'],
    ['milliseconds as digits', '1400094712345', '2014-05-14T19:11:52.345Z'],
    ['an ISO date and time', '2014-05-14T21:11:52+02:00', '2014-05-14T19:11:52.000Z'],
    ['an ISO date', '2014-05-14', '2014-05-14T00:00:00.000Z'],
    ['a time after 2038', 4_102_444_800, '2100-01-01T00:00:00.000Z'],
  ])('reads times given as %s', async (_form, given, read) => {
    const seed = await seedBadge(atSystem)
    const made = await award(seed, { issuedOn: given, expires: given })
    expect(made.status).toBe(201)
    expect(made.body.instance).toMatchObject({ issuedOn: read, expires: read })
    const stored = await api.get(pathOf(seed))
    expect(stored.body.instance).toMatchObject({ issuedOn: read, expires: read })
  })

  it.each([[''], [null], [undefined]])('reads %j as now, and as no expiry', async (given) => {
    const seed = await seedBadge(atSystem)
    const { instance } = (await award(seed, { issuedOn: given, expires: given })).body
    expect(instance.expires).toBeNull()
    expect(Math.abs(Date.parse(instance.issuedOn) - Date.now())).toBeLessThan(HOUR / 60)
  })

  it.each(['soon', '2026-13-45', 1.5, true, {}, '99999999999999999'])(
    'refuses %j as a time',
    async (given) => {
      const seed = await seedBadge(atSystem)
      const answer = await award(seed, { issuedOn: given, expires: given })
      expect(answer.status).toBe(400)
      expect(answer.body).toEqual(
        invalid(
          { message: 'Not a date', field: 'issuedOn', value: given },
          { message: 'Not a date', field: 'expires', value: given },
        ),
      )
      expect(await state(seed)).toEqual({ awarded: 0, live: 0 })
      expect(await news()).toEqual([])
    },
  )

  it.each([
    ['nope', 'Invalid email', 'nope'],
    ['a b@example.org', 'Invalid email', 'a b@example.org'],
    ['ada@localhost', 'Invalid email', 'ada@localhost'],
    ['', 'Invalid email', ''],
    [null, 'Required field', ''],
    [undefined, 'Required field', ''],
    [['ada@example.org'], 'Invalid email', ['ada@example.org']],
  ])('refuses %j as an address', async (email, message, value) => {
    const seed = await seedBadge(atSystem)
    const answer = await award(seed, { email })
    expect(answer.status).toBe(400)
    expect(answer.body).toEqual(invalid({ message, field: 'email', value }))
    expect(await news()).toEqual([])
  })

  it('refuses a slug of 256 characters', async () => {
    const seed = await seedBadge(atSystem)
    const slug = 'x'.repeat(256)
    const answer = await award(seed, { slug })
    expect(answer.status).toBe(400)
    expect(answer.body).toEqual(
      invalid({ message: 'String is not in range', field: 'slug', value: slug }),
    )
    expect(await news()).toEqual([])
  })

  it('reads a form as it reads JSON', async () => {
    const seed = await seedBadge(atSystem)
    const made = await api.form(`${seed.path}/instances`, {
      email: 'ada+form@example.org',
      issuedOn: '1400094712',
      expires: '',
    })
    expect(made.status).toBe(201)
    expect(made.body.instance).toMatchObject({
      email: 'ada+form@example.org',
      issuedOn: '2014-05-14T19:11:52.000Z',
      expires: null,
    })
  })

  it('knows no badge of another container, whatever the body says', async () => {
    const seed = await seedBadge(atSystem)
    const other = await seedBadge(atSystem)
    const path = `${seed.system}/badges/${other.badge.slug}/instances`
    for (const email of ['ada@example.org', 'nope']) {
      const answer = await api.post(path, { email })
      expect(answer.status).toBe(404)
      expect(answer.body).toEqual({
        code: 'ResourceNotFound',
        message: `Could not find badge field: \`slug\`, value: \`${other.badge.slug}\``,
      })
    }
    expect(await news()).toEqual([])
  })

  it('awards an archived badge', async () => {
    const seed = await seedBadge(atSystem, { archived: true })
    expect((await award(seed)).status).toBe(201)
  })

  it.each([
    "o'neil@example.org",
    'a+b@example.org',
    'a%b@example.org',
    'a/b@example.org',
    'bulk@x.org',
  ])('finds and revokes the award of %s', async (email) => {
    const seed = await seedBadge(atSystem)
    await award(seed, { email })
    expect((await api.get(pathOf(seed, email))).body.instance.email).toBe(email)
    expect((await api.delete(pathOf(seed, email))).status).toBe(200)
  })
})

describe('the version of the badge that an award stands on', () => {
  const versions = (seed: Seed) =>
    env.DB.prepare('select badge from badgeVersions where badgeId = ? order by id')
      .bind(seed.badge.id)
      .all<{ badge: string }>()
      .then(({ results }) => results.map(({ badge }) => JSON.parse(badge)))

  it('is one for all awards between two edits', async () => {
    const seed = await seedBadge(atSystem)
    await award(seed, { email: 'a@example.org' })
    await award(seed, { email: 'b@example.org' })
    expect(await versions(seed)).toEqual([seed.badge])
    const edited = await api.put(seed.path, { name: 'Another name' })
    await award(seed, { email: 'c@example.org' })
    expect(await versions(seed)).toEqual([seed.badge, edited.body.badge])
  })
})

describe('the reason of a revocation', () => {
  let seed: Seed
  let made: Answer
  beforeEach(async () => {
    seed = await seedBadge(atSystem)
    made = await award(seed)
    seen = (await outbox()).length
  })

  const shown = async () => (await ask('GET', publicOf(made))).body
  const slug = () => made.body.instance.slug
  const withBody = (text: string, call?: Call, type = 'application/json') =>
    send('DELETE', pathOf(seed), { type, bytes: bytesOf(text) }, call)
  const uncovered = (text: string) => withBody(text, { claims: { body: undefined } })

  it('may stand in the query', async () => {
    const answer = await api.delete(
      `${pathOf(seed)}?reason=${encodeURIComponent('Öops & "sorry"')}`,
    )
    expect(answer.status).toBe(200)
    expect(await shown()).toMatchObject({ revoked: true, revocationReason: 'Öops & "sorry"' })
    expect(await news()).toEqual([revoked(slug())])
  })

  it('may stand in a body that the token covers', async () => {
    expect((await withBody('{"reason":"cheated"}')).status).toBe(200)
    expect(await shown()).toMatchObject({ revocationReason: 'cheated' })
    expect(await news()).toEqual([revoked(slug())])
  })

  it('may stand in a form that the token covers', async () => {
    const form = 'application/x-www-form-urlencoded'
    expect((await withBody('reason=was+wrong', {}, form)).status).toBe(200)
    expect(await shown()).toMatchObject({ revocationReason: 'was wrong' })
  })

  it('is not taken from a body that the token does not cover', async () => {
    expect((await uncovered('{"reason":"forged"}')).status).toBe(200)
    expect(await shown()).not.toHaveProperty('revocationReason')
    expect(await news()).toEqual([revoked(slug())])
  })

  it('is not taken from a body that the token covers with another hash', async () => {
    const hash = '0'.repeat(64)
    const call = { claims: { body: { alg: 'sha256', hash } } }
    expect((await withBody('{"reason":"forged"}', call)).status).toBe(200)
    expect(await shown()).not.toHaveProperty('revocationReason')
  })

  it('is not even read where it is not covered: broken bytes do no harm', async () => {
    expect((await uncovered('{"reason":')).status).toBe(200)
  })

  it('is taken from the query when both give one', async () => {
    const path = `${pathOf(seed)}?reason=query`
    const body = { type: 'application/json', bytes: bytesOf('{"reason":"body"}') }
    expect((await send('DELETE', path, body)).status).toBe(200)
    expect(await shown()).toMatchObject({ revocationReason: 'query' })
  })

  it('may be 500 characters long and no more', async () => {
    const long = 'é'.repeat(501)
    for (const answer of [
      await api.delete(`${pathOf(seed)}?reason=${encodeURIComponent(long)}`),
      await withBody(JSON.stringify({ reason: long })),
    ]) {
      expect(answer.status).toBe(400)
      expect(answer.body).toEqual(
        invalid({ message: 'String is not in range', field: 'reason', value: long }),
      )
    }
    expect((await api.get(pathOf(seed))).status).toBe(200)
    expect(await news()).toEqual([])
    const fits = '🎖'.repeat(500)
    expect((await withBody(JSON.stringify({ reason: fits }))).status).toBe(200)
    expect(await shown()).toMatchObject({ revocationReason: fits })
  })

  it('is not asked for', async () => {
    expect((await api.delete(pathOf(seed))).status).toBe(200)
    expect(await shown()).toEqual({
      '@context': 'https://w3id.org/openbadges/v1',
      type: 'Assertion',
      id: made.body.instance.assertionUrl,
      uid: slug(),
      revoked: true,
    })
  })
})

describe('a badge with a limit', () => {
  const full = (seed: Seed, n: number) => ({
    code: 'ResourceConflict',
    message: `Badge ${seed.badge.slug} has reached its limit of ${n}`,
  })
  const to = (seed: Seed, name: string) => award(seed, { email: `${name}@example.org` })

  it('gives its last place, and then no more', async () => {
    const seed = await seedBadge(atSystem, { limit: 2 })
    const made = [await to(seed, 'a'), await to(seed, 'b')]
    expect(made.map(({ status }) => status)).toEqual([201, 201])
    const third = await to(seed, 'c')
    expect(third.status).toBe(409)
    expect(third.body).toEqual(full(seed, 2))
    expect(await state(seed)).toEqual({ awarded: 2, live: 2 })
    expect(await news()).toEqual(made.map(({ body }) => awarded(body.instance.slug)))
  })

  it('tells who holds it already that they do, even when it is full', async () => {
    const seed = await seedBadge(atSystem, { limit: 1 })
    await to(seed, 'a')
    expect((await to(seed, 'a')).body.message).toBe(
      `User a@example.org has already been awarded badge ${seed.badge.slug}`,
    )
  })

  it('has a place again after a revocation', async () => {
    const seed = await seedBadge(atSystem, { limit: 1 })
    const first = await to(seed, 'a')
    expect((await to(seed, 'b')).status).toBe(409)
    await api.delete(pathOf(seed, 'a@example.org'))
    const second = await to(seed, 'b')
    expect(second.status).toBe(201)
    expect((await to(seed, 'a')).body).toEqual(full(seed, 1))
    expect(await state(seed)).toEqual({ awarded: 1, live: 1 })
    const [old, fresh] = [first, second].map(({ body }) => body.instance.slug)
    expect(await news()).toEqual([awarded(old), revoked(old), awarded(fresh)])
  })

  it('frees one place for two revocations of the same award', async () => {
    const seed = await seedBadge(atSystem, { limit: 5 })
    await to(seed, 'a')
    await to(seed, 'b')
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => api.delete(pathOf(seed, 'a@example.org'))),
    )
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array(9).fill(404)])
    expect(await state(seed)).toEqual({ awarded: 1, live: 1 })
    expect((await news()).filter(({ type }) => type === 'badge.revoked')).toHaveLength(1)
  })

  it.each([0, null])('of %j has places for all', async (limit) => {
    const seed = await seedBadge(atSystem, { limit })
    for (const name of ['a', 'b', 'c']) expect((await to(seed, name)).status).toBe(201)
    expect(await state(seed)).toEqual({ awarded: 3, live: 3 })
  })

  it('heeds a limit that has been changed', async () => {
    const seed = await seedBadge(atSystem)
    await to(seed, 'a')
    await api.put(seed.path, { limit: 1 })
    expect((await to(seed, 'b')).body).toEqual(full(seed, 1))
    await api.put(seed.path, { limit: 2 })
    expect((await to(seed, 'b')).status).toBe(201)
  })
})

/** Sends a signed request to an app with other bindings. */
async function withBindings(over: Partial<Bindings>, path: string, body: object) {
  const bytes = bytesOf(JSON.stringify(body))
  const request = new Request(ORIGIN + path, {
    method: 'POST',
    body: bytes,
    headers: {
      Authorization: `JWT token="${await sign('POST', path, bytes)}"`,
      'Content-Type': 'application/json',
    },
  })
  const ctx = createExecutionContext()
  const response = await app.fetch(request, { ...env, ...over }, ctx)
  await waitOnExecutionContext(ctx)
  return { status: response.status, body: await response.json() }
}

/** The database, where something happens just before an award is written. */
const beforeAwards = (happen: () => Promise<unknown>) =>
  ({
    withSession(from: string) {
      const session = env.DB.withSession(from)
      let writes = false
      return {
        prepare(text: string) {
          writes ||= /insert into "?badgeInstances/.test(text)
          return session.prepare(text)
        },
        async batch(statements: D1PreparedStatement[]) {
          if (writes) await happen()
          return session.batch(statements)
        },
        getBookmark: () => session.getBookmark(),
      }
    },
  }) as unknown as D1Database

describe('while an award is under way', () => {
  const email = 'ada@example.org'

  it('the badge may be deleted: 404, and nothing is awarded', async () => {
    const seed = await seedBadge(atSystem)
    const DB = beforeAwards(() => api.delete(seed.path))
    const answer = await withBindings({ DB }, `${seed.path}/instances`, { email })
    expect(answer.status).toBe(404)
    expect(answer.body).toEqual({
      code: 'ResourceNotFound',
      message: `Could not find badge field: \`slug\`, value: \`${seed.badge.slug}\``,
    })
    expect(await state(seed)).toEqual({ awarded: 0, live: 0 })
    expect(await news()).toEqual([])
  })

  it('somebody else may award it: 409 with the address of their award', async () => {
    const seed = await seedBadge(atSystem)
    let first: Answer | undefined
    const DB = beforeAwards(async () => {
      first ??= await award(seed)
    })
    const answer = await withBindings({ DB }, `${seed.path}/instances`, { email })
    expect(answer.status).toBe(409)
    expect(answer.body).toMatchObject({
      details: { assertionUrl: first?.body.instance.assertionUrl },
    })
    expect(await news()).toEqual([awarded(first?.body.instance.slug)])
  })
})

describe('a race', () => {
  const CALLS = 50

  /** What a server would do that reads first and writes then: the reason why a condition stands in the INSERT. */
  async function readThenWrite(seed: Seed, email: string, limit: number | null) {
    const found = await env.DB.prepare(
      `select (select count(*) from badgeInstances where badgeId = ?1 and email = ?2) as held,
         (select count(*) from badgeInstances where badgeId = ?1) as awarded`,
    )
      .bind(seed.badge.id, email)
      .first<{ held: number; awarded: number }>()
    if (!found || found.held > 0 || (limit !== null && found.awarded >= limit)) return 409
    // "once" is 0, so that the second lock, the unique index, does not come to its help.
    await env.DB.prepare(
      `insert into badgeInstances (slug, systemId, badgeId, versionId, email, issuedOn, once, salt, op, createdAt, updatedAt)
       select ?1, systemId, badgeId, id, ?2, 0, 0, '', '', 0, 0
       from (select v.id, v.badgeId, b.systemId from badgeVersions v join badges b on b.id = v.badgeId where b.id = ?3)`,
    )
      .bind(crypto.randomUUID(), email, seed.badge.id)
      .run()
    return 201
  }

  /** A badge with a version, and nobody who holds it. */
  async function seedVersion(more: object = {}) {
    const seed = await seedBadge(atSystem, more)
    await award(seed, { email: 'first@example.org' })
    await env.DB.prepare('delete from badgeInstances where badgeId = ?').bind(seed.badge.id).run()
    return seed
  }

  const race = async (run: (i: number) => Promise<number>) => {
    const statuses = await Promise.all(Array.from({ length: CALLS }, (_, i) => run(i)))
    return {
      won: statuses.filter((status) => status === 201).length,
      lost: statuses.filter((status) => status === 409).length,
    }
  }

  it('of 50 awards to one earner is won by one', async () => {
    const seed = await seedBadge(atSystem)
    const emails = ['ada@example.org', 'Ada@example.org']
    const result = await race(async (i) => (await award(seed, { email: emails[i % 2] })).status)
    expect(result).toEqual({ won: 1, lost: CALLS - 1 })
    expect(await state(seed)).toEqual({ awarded: 1, live: 1 })
    expect(await news()).toHaveLength(1)
  })

  it('is won by more than one when a server reads first and writes then', async () => {
    const seed = await seedVersion()
    const { won } = await race(() => readThenWrite(seed, 'ada@example.org', null))
    expect(won).toBeGreaterThan(1)
  })

  it('of 50 earners for 10 places is won by 10', async () => {
    const seed = await seedBadge(atSystem, { limit: 10 })
    const result = await race(
      async (i) => (await award(seed, { email: `e${i}@example.org` })).status,
    )
    expect(result).toEqual({ won: 10, lost: CALLS - 10 })
    expect(await state(seed)).toEqual({ awarded: 10, live: 10 })
    expect(await news()).toHaveLength(10)
  })

  it('for 10 places is won by more than 10 when a server reads first and writes then', async () => {
    const seed = await seedVersion({ limit: 10 })
    const { won } = await race((i) => readThenWrite(seed, `e${i}@example.org`, 10))
    expect(won).toBeGreaterThan(10)
  })

  it('of 20 who want one slug is won by one', async () => {
    const seed = await seedBadge(atSystem)
    const slug = unique('slug')
    const result = await race(async (i) =>
      i < 20 ? (await award(seed, { slug, email: `e${i}@example.org` })).status : 0,
    )
    expect(result).toEqual({ won: 1, lost: 19 })
    expect(await state(seed)).toEqual({ awarded: 1, live: 1 })
    expect(await news()).toEqual([awarded(slug)])
  })
})

it('leaves one line in the audit for each award and revocation, and none for a refusal', async () => {
  const seed = await seedBadge(atSystem)
  const before = await rows('audit')
  await award(seed)
  await award(seed)
  await award(seed, { email: 'nope' })
  await api.delete(pathOf(seed))
  await api.delete(pathOf(seed))
  expect(await rows('audit')).toBe(before + 2)
})
