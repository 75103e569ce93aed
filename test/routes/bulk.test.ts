import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { beforeEach, describe, expect, it } from 'vitest'
import { app } from '../../src/app'
import type { Bindings } from '../../src/env'
import { type Answer, api, ask, ORIGIN, send, sign } from '../helpers/api'
import { EVENTS, levels, outbox, rows, seedBadge, seedWebhook, unique } from '../helpers/seed'

type Seed = Awaited<ReturnType<typeof seedBadge>>

const [atSystem, , atProgram] = levels
const SHA1 = /^[0-9a-f]{40}$/
const bytesOf = (text: string) => new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>

let seen = 0
beforeEach(async () => {
  seen = (await outbox()).length
})
/** What has come into the outbox since the test began. */
const news = async () => (await outbox()).slice(seen)
const awarded = (slugs: string[], deliveries = 0) =>
  slugs.map((subject) => ({ type: 'badge.awarded', subject, deliveries }))

const bulk = (seed: Seed, emails: unknown, more: object = {}) =>
  api.post(`${seed.path}/instances/bulk`, { emails, ...more })
const list = async (seed: Seed) => (await api.get(`${seed.path}/instances`)).body.instances
const count = async (seed: Seed) =>
  (await api.get(`${seed.path}/instances?page=1&count=1`)).body.pageData.total
const emailsOf = (answer: Answer): string[] =>
  answer.body.instances.map(({ email }: { email: string }) => email)
const slugsOf = (answer: Answer): string[] =>
  answer.body.instances.map(({ slug }: { slug: string }) => slug)

const invalid = (...details: object[]) => ({
  code: 'ValidationError',
  message: 'Could not validate required fields',
  details,
})
const notAList = {
  code: 'InvalidParameter',
  parameter: 'emails',
  message: 'Invalid value for "emails".  Expected array.',
}

type Event = { seq: number; subject: string; body: string; data: string }
const eventsOf = async (seed: Seed) =>
  (
    await env.DB.prepare(
      `select e.* from ${EVENTS} e join badges b on b.systemId = e.systemId where b.id = ? order by seq`,
    )
      .bind(seed.badge.id)
      .all<Event>()
  ).results

/** Refuses, and leaves awards, counters and the outbox as they were. */
async function refused(status: number, call: () => Promise<Answer>) {
  const state = async () => {
    const all = ['badgeInstances', 'badges', 'claimCodes', 'events', 'deliveries', 'audit'].map(
      (table) => env.DB.prepare(`select * from ${table}`),
    )
    return (await env.DB.batch(all)).map(({ results }) => results)
  }
  const before = await state()
  const answer = await call()
  expect(answer.status, JSON.stringify(answer.body)).toBe(status)
  expect(await state()).toEqual(before)
  return answer.body
}

describe.each(levels)('awarding a badge of a $name to many', (level) => {
  it('gives the new awards, without the badge, in the order asked for', async () => {
    const seed = await seedBadge(level)
    const emails = ['c@example.org', 'A@Example.org', 'b@example.org']
    const answer = await bulk(seed, emails)
    const { status, body, headers } = answer
    expect(status).toBe(201)
    expect(Object.keys(body)).toEqual(['status', 'instances'])
    expect(body.status).toBe('created')
    expect(emailsOf(answer)).toEqual(emails)
    for (const instance of body.instances) {
      expect(instance).toEqual({
        slug: expect.stringMatching(SHA1),
        email: expect.any(String),
        expires: null,
        issuedOn: expect.any(String),
        claimCode: null,
        assertionUrl: `${ORIGIN}/public/assertions/${instance.slug}`,
        badge: null,
        urls: expect.objectContaining({ page: instance.assertionUrl }),
      })
      expect((await ask('GET', `/public/assertions/${instance.slug}`)).status).toBe(200)
    }
    expect(headers.get('Location')).toBeNull()
    const shown = body.instances.map((instance: object) => ({ ...instance, badge: seed.badge }))
    expect(await list(seed)).toEqual(shown)
    expect(await count(seed)).toBe(3)
    expect(await news()).toEqual(awarded(slugsOf(answer)))
  })

  it('skips in silence who holds the badge, and who is named again in another spelling', async () => {
    const seed = await seedBadge(level)
    await api.post(`${seed.path}/instances`, { email: 'Held@example.org' })
    const answer = await bulk(seed, [
      'new@example.org',
      'held@EXAMPLE.org',
      'NEW@example.org',
      'Other@example.org',
      'new@example.org',
      'other@example.org',
    ])
    expect(answer.status).toBe(201)
    expect(emailsOf(answer)).toEqual(['new@example.org', 'Other@example.org'])
    expect(await count(seed)).toBe(3)
    expect((await news()).slice(1)).toEqual(awarded(slugsOf(answer)))
    const again = await bulk(seed, ['NEW@example.org', 'held@example.org'])
    expect(again.status).toBe(201)
    expect(again.body).toEqual({ status: 'created', instances: [] })
    expect(await news()).toHaveLength(3)
  })

  it('gives each what a single award would send, byte for byte', async () => {
    const seed = await seedBadge(level, { tags: ['x'], criteria: [{ description: 'Do "it" 🎖' }] })
    const shared = { issuedOn: 1_400_094_712, expires: '2031-01-01', comment: 'Well "done" ü\n🎖' }
    const single = await api.post(`${seed.path}/instances`, { email: 's@example.org', ...shared })
    const answer = await bulk(seed, ["o'neil+x@example.org", 'B@example.org'], shared)
    expect(answer.status).toBe(201)
    const [first, ...events] = await eventsOf(seed)
    const { slug } = single.body.instance
    answer.body.instances.forEach((made: { slug: string; email: string }, i: number) => {
      expect(events[i]?.body).toBe(
        JSON.stringify({
          action: 'award',
          uid: made.slug,
          badge: seed.badge,
          email: made.email,
          assertionUrl: `${ORIGIN}/public/assertions/${made.slug}`,
          issuedOn: 1_400_094_712,
          comment: shared.comment,
        }),
      )
      for (const member of ['body', 'data'] as const) {
        const swapped = first?.[member]
          .replaceAll(slug, made.slug)
          .replaceAll('s@example.org', made.email)
        expect(events[i]?.[member]).toBe(swapped)
      }
    })
    expect(events.map(({ seq }) => seq)).toEqual([2, 3])
  })

  it('refuses to overrun the limit: nobody gets it', async () => {
    const seed = await seedBadge(level, { limit: 3 })
    await bulk(seed, ['a@example.org'])
    const full = {
      code: 'ResourceConflict',
      message: `Badge ${seed.badge.slug} has reached its limit of 3`,
    }
    const three = ['b@example.org', 'c@example.org', 'd@example.org']
    expect(await refused(409, () => bulk(seed, three))).toEqual(full)
    // Who holds it, and who is named twice, takes no place: these fill it exactly.
    const exact = await bulk(seed, ['b@example.org', 'a@example.org', 'B@example.org', 'c@x.org'])
    expect(exact.status).toBe(201)
    expect(emailsOf(exact)).toEqual(['b@example.org', 'c@x.org'])
    expect(await refused(409, () => bulk(seed, ['e@example.org', 'a@example.org']))).toEqual(full)
    expect((await bulk(seed, ['A@example.org', 'b@example.org'])).body.instances).toEqual([])
    expect(await count(seed)).toBe(3)
    expect(await news()).toHaveLength(3)
  })
})

describe('the addresses of a bulk award', () => {
  it.each([
    ['absent', undefined],
    ['null', null],
    ['a text', 'a@example.org'],
    ['an empty text', ''],
    ['an object', { 0: 'a@example.org' }],
    ['a number', 3],
  ])('that are no list (%s) are refused in the words of old', async (_what, emails) => {
    const seed = await seedBadge(atSystem)
    expect(await refused(400, () => bulk(seed, emails))).toEqual(notAList)
    expect(await news()).toEqual([])
  })

  it('that are no list of a missing badge are not even complained of', async () => {
    const seed = await seedBadge(atProgram)
    for (const [path, model, value] of [
      [`${seed.container}/badges/nothing`, 'badge', 'nothing'],
      [seed.path.replace(/programs\/[^/]+/, 'programs/none'), 'program', 'none'],
      ['/systems/none/badges/x', 'system', 'none'],
    ]) {
      expect(await refused(404, () => api.post(`${path}/instances/bulk`, {}))).toEqual({
        code: 'ResourceNotFound',
        message: `Could not find ${model} field: \`slug\`, value: \`${value}\``,
      })
    }
  })

  it('that are none are each told, and nobody is awarded', async () => {
    const seed = await seedBadge(atSystem)
    const given = ['good@example.org', 'bad', null, 'also@good.org', 7, '', ['x@y.org'], 'a b@c.de']
    const body = await refused(400, () => bulk(seed, given))
    expect(body).toEqual(
      invalid(
        { message: 'Invalid email', field: 'emails[1]', value: 'bad' },
        { message: 'Required field', field: 'emails[2]', value: '' },
        { message: 'Invalid email', field: 'emails[4]', value: 7 },
        { message: 'Invalid email', field: 'emails[5]', value: '' },
        { message: 'Invalid email', field: 'emails[6]', value: ['x@y.org'] },
        { message: 'Invalid email', field: 'emails[7]', value: 'a b@c.de' },
      ),
    )
    expect(await news()).toEqual([])
  })

  it('may be none at all: nothing happens', async () => {
    const seed = await seedBadge(atSystem)
    const before = await rows('audit')
    const answer = await bulk(seed, [])
    expect(answer.status).toBe(201)
    expect(answer.body).toEqual({ status: 'created', instances: [] })
    expect(await news()).toEqual([])
    expect(await rows('audit')).toBe(before)
  })

  it('may come as a form', async () => {
    const seed = await seedBadge(atSystem)
    const type = 'application/x-www-form-urlencoded'
    const form = 'emails[]=a%2B1%40example.org&comment=Bravo+all&emails[]=b@example.org'
    const path = `${seed.path}/instances/bulk`
    const answer = await send('POST', path, { type, bytes: bytesOf(form) })
    expect(answer.status).toBe(201)
    expect(emailsOf(answer)).toEqual(['a+1@example.org', 'b@example.org'])
    const one = await send('POST', path, { type, bytes: bytesOf('emails[]=c@example.org') })
    expect(emailsOf(one)).toEqual(['c@example.org'])
    const indexed = 'emails[1]=e@example.org&emails[0]=d@example.org'
    const two = await send('POST', path, { type, bytes: bytesOf(indexed) })
    expect(emailsOf(two)).toEqual(['d@example.org', 'e@example.org'])
    const multipart = new FormData()
    for (const name of ['f', 'g']) multipart.append('emails[]', `${name}@example.org`)
    expect(emailsOf(await api.multipart(path, multipart))).toEqual([
      'f@example.org',
      'g@example.org',
    ])
    const comments = (await eventsOf(seed)).map(({ body }) => JSON.parse(body).comment)
    expect(comments).toEqual(['Bravo all', 'Bravo all', null, null, null, null, null])
    expect(await refused(400, () => api.form(path, { emails: 'x@example.org' }))).toEqual(notAList)
  })
})

describe('what a bulk award is asked for with', () => {
  it('is shared by all: times and comment', async () => {
    const seed = await seedBadge(atSystem)
    const shared = { issuedOn: '1400094712', expires: 1_400_094_712_345, comment: 'Hurrah' }
    const answer = await bulk(seed, ['a@example.org', 'b@example.org'], shared)
    for (const instance of answer.body.instances) {
      expect(instance).toMatchObject({
        issuedOn: '2014-05-14T19:11:52.000Z',
        expires: '2014-05-14T19:11:52.345Z',
      })
    }
    const messages = (await eventsOf(seed)).map(({ body }) => JSON.parse(body))
    expect(messages).toHaveLength(2)
    for (const message of messages) {
      expect(message).toMatchObject({ issuedOn: 1_400_094_712, comment: 'Hurrah' })
    }
  })

  it('is refused when a time is none', async () => {
    const seed = await seedBadge(atSystem)
    const wrong = { issuedOn: 'soon', expires: 'never', comment: { a: 1 } }
    const body = await refused(400, () => bulk(seed, ['a@example.org'], wrong))
    expect(body.details).toEqual([
      { message: 'Not a date', field: 'issuedOn', value: 'soon' },
      { message: 'Not a date', field: 'expires', value: 'never' },
      { message: 'String is not in range', field: 'comment', value: { a: 1 } },
    ])
  })

  it('may hold a client’s whole context, of which only the shared members count', async () => {
    const seed = await seedBadge(atProgram)
    await api.post(`${seed.path}/codes`, { code: 'single' })
    const words = seed.path.split('/')
    const context = {
      system: words[2],
      issuer: { slug: words[4] },
      program: 'another',
      badge: { slug: 'another', id: 1 },
      slug: 'all-the-same',
      email: 'not-me@example.org',
      claimCode: 'single',
      repeat: true,
      urls: [],
    }
    const answer = await bulk(seed, ['a@example.org', 'b@example.org'], context)
    expect(answer.status).toBe(201)
    expect(emailsOf(answer)).toEqual(['a@example.org', 'b@example.org'])
    for (const { slug, claimCode } of answer.body.instances) {
      expect(slug).toMatch(SHA1)
      expect(claimCode).toBeNull()
    }
    const code = await api.get(`${seed.path}/codes/single`)
    expect(code.body.claimCode).toMatchObject({ claimed: false, email: null })
    expect((await bulk(seed, ['A@example.org'], context)).body.instances).toEqual([])
    expect((await bulk(seed, ['c@example.org'], { claimCode: 'no such' })).status).toBe(201)
    expect(await news()).toHaveLength(3)
  })

  it('is not repeated for a badge that may be held twice', async () => {
    const seed = await seedBadge(atSystem, { unique: 0 })
    await bulk(seed, ['a@example.org'])
    const again = await bulk(seed, ['a@example.org', 'b@example.org'], { repeat: true })
    expect(emailsOf(again)).toEqual(['b@example.org'])
    expect(await news()).toHaveLength(2)
  })

  it('gives a revoked earner the badge again', async () => {
    const seed = await seedBadge(atSystem)
    await bulk(seed, ['a@example.org'])
    await api.delete(`${seed.path}/instances/a@example.org`)
    expect(emailsOf(await bulk(seed, ['a@example.org']))).toEqual(['a@example.org'])
    expect((await news()).map(({ type }) => type)).toEqual([
      'badge.awarded',
      'badge.revoked',
      'badge.awarded',
    ])
  })

  it('is an address where it is asked for: `bulk` is nobody’s', async () => {
    const seed = await seedBadge(atSystem)
    expect((await api.get(`${seed.path}/instances/bulk`)).body.message).toBe(
      'Could not find badgeInstance field: `email`, value: `bulk`',
    )
  })

  it('is told to every webhook, once for each award', async () => {
    const seed = await seedBadge(atSystem)
    await seedWebhook(seed.system)
    await seedWebhook(seed.system)
    await seedWebhook(seed.system, { events: ['revoke'] })
    const answer = await bulk(seed, ['a@example.org', 'b@example.org', 'c@example.org'])
    expect(await news()).toEqual(awarded(slugsOf(answer), 2))
  })

  it('leaves one line in the audit, and one version of the badge', async () => {
    const seed = await seedBadge(atSystem)
    const before = await rows('audit')
    await bulk(seed, ['a@example.org', 'b@example.org'])
    await bulk(seed, ['b@example.org', 'a@example.org'])
    expect(await rows('audit')).toBe(before + 1)
    const { results } = await env.DB.prepare('select * from badgeVersions where badgeId = ?')
      .bind(seed.badge.id)
      .all()
    expect(results).toHaveLength(1)
    expect(await news()).toHaveLength(2)
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
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into an answer that it then states
  const answer = { status: response.status, body: (await response.json()) as any }
  await waitOnExecutionContext(ctx)
  return answer
}

describe('ten thousand addresses', () => {
  const MANY = 10_000
  const addresses = (n: number) => Array.from({ length: n }, (_, i) => `earner-${i}@example.org`)

  it('are the most', async () => {
    const seed = await seedBadge(atSystem)
    const body = await refused(400, () => bulk(seed, addresses(MANY + 1)))
    expect(body).toEqual(invalid({ message: expect.any(String), field: 'emails', value: MANY + 1 }))
    expect(await news()).toEqual([])
  })

  it('are awarded in one call, with an event each, in one sequence without gaps', async () => {
    const seed = await seedBadge(atSystem)
    await seedWebhook(seed.system)
    const first = await bulk(seed, ['earner-5@example.org'])
    const rung: number[] = []
    // Doorbells that nobody answers: ten thousand calls of the receiver would only cost time.
    const DELIVERIES = {
      sendBatch: async (messages: unknown[]) => void rung.push(messages.length),
    } as unknown as Queue
    const path = `${seed.path}/instances/bulk`
    const answer = await withBindings({ DELIVERIES }, path, { emails: addresses(MANY) })
    expect(answer.status).toBe(201)
    expect(answer.body.instances).toHaveLength(MANY - 1)
    expect(answer.body.instances.map(({ email }: { email: string }) => email)).toEqual(
      addresses(MANY).filter((email) => email !== 'earner-5@example.org'),
    )
    expect(await count(seed)).toBe(MANY)
    const events = await eventsOf(seed)
    expect(events.map(({ seq }) => seq)).toEqual(Array.from({ length: MANY }, (_, i) => i + 1))
    const slugs = [
      ...slugsOf(first),
      ...answer.body.instances.map((one: Event & { slug: string }) => one.slug),
    ]
    expect(events.map(({ subject }) => subject)).toEqual(slugs)
    expect(new Set(slugs).size).toBe(MANY)
    expect(await news()).toEqual(awarded(slugs, 1))
    expect(rung.reduce((sum, n) => sum + n, 0)).toBe(1_000)
    const { results } = await env.DB.prepare(
      `select count(*) as n, min(seq) as first, max(seq) as last from deliveries d
       join badges b on b.systemId = d.systemId where b.id = ?`,
    )
      .bind(seed.badge.id)
      .all()
    expect(results).toEqual([{ n: MANY, first: 1, last: MANY }])
  }, 60_000)

  it('may come as a form', async () => {
    const seed = await seedBadge(atSystem)
    const form = addresses(MANY)
      .map((email) => `emails[]=${encodeURIComponent(email)}`)
      .join('&')
    const answer = await send('POST', `${seed.path}/instances/bulk`, {
      type: 'application/x-www-form-urlencoded',
      bytes: bytesOf(form),
    })
    expect(answer.status).toBe(201)
    expect(emailsOf(answer)).toEqual(addresses(MANY))
    expect(await news()).toHaveLength(MANY)
  }, 60_000)

  it('complete a milestone each, the awards asked for standing first in the sequence', async () => {
    const seed = await seedBadge(atSystem)
    const primary = (
      await api.post(`${seed.system}/badges`, { ...seed.badge, slug: unique('primary') })
    ).body.badge
    const milestone = { primaryBadgeId: primary.id, numberRequired: 1 }
    await api.post(`${seed.system}/milestones`, { ...milestone, supportBadges: [seed.badge.id] })
    const answer = await bulk(seed, addresses(2_000))
    expect(answer.status).toBe(201)
    const events = await eventsOf(seed)
    expect(events.map(({ seq }) => seq)).toEqual(Array.from({ length: 4_000 }, (_, i) => i + 1))
    const told = events.map(({ body }) => JSON.parse(body))
    expect(told.map(({ email }) => email)).toEqual([...addresses(2_000), ...addresses(2_000)])
    expect(told.map(({ badge }) => badge.id)).toEqual([
      ...Array(2_000).fill(seed.badge.id),
      ...Array(2_000).fill(primary.id),
    ])
    expect(await news()).toHaveLength(4_000)
  }, 60_000)
})
