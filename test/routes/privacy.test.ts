import { env } from 'cloudflare:workers'
import { getTableName, is } from 'drizzle-orm'
import { SQLiteTable } from 'drizzle-orm/sqlite-core'
import { describe, expect, it } from 'vitest'
import * as schema from '../../drizzle/schema'
import { sweep } from '../../src/sweep'
import { api, ask } from '../helpers/api'
import {
  levels,
  outbox,
  rows,
  seedBadge,
  seedContainer,
  seedWebhook,
  unique,
} from '../helpers/seed'

const program = levels[2]
const ERASED = { status: 200, body: { status: 'erased' } }
const EMPTY = {
  instances: [],
  awardChanges: [],
  claimCodes: [],
  applications: [],
  assignments: [],
  reviews: [],
  events: [],
  jobRows: [],
  attempts: [],
  complete: true,
}

const mail = (name: string) => `${unique(name)}@example.org`
const erase = (system: string, email: string) => api.post(`${system}/privacy/erase`, { email })
const exported = async (system: string, email: string) => {
  const { status, body } = await api.post(`${system}/privacy/export`, { email })
  expect(status).toBe(200)
  return body
}

type Person = { email: string; slug: string; application: string }
type Seed = Awaited<ReturnType<typeof seedBadge>>

/** Everything about somebody that there can be: an award, codes, an application with a review of it, and reviews by them. */
async function seedPerson(seed: Seed, name: string, reviewer: string): Promise<Person> {
  const email = mail(name)
  const award = await api.post(`${seed.path}/instances`, { email, comment: `Well done ${name}` })
  await api.post(`${seed.path}/codes`, { code: `reserved-${name}`, email })
  await api.post(`${seed.path}/codes`, { code: `claimed-${name}` })
  await api.post(`${seed.path}/codes/claimed-${name}/claim`, { email })
  const applied = await api.post(`${seed.path}/applications`, {
    learner: email,
    assignedTo: reviewer,
    assignedExpiration: '2030-01-01T00:00:00Z',
    evidence: [{ url: 'https://example.org/work', reflection: `The work of ${name}` }],
  })
  const application = applied.body.application.slug as string
  await review(seed, application, reviewer, `For ${name}`)
  return { email, slug: award.body.instance.slug, application }
}

async function review(seed: Seed, application: string, author: string, comment: string) {
  const criterionId = seed.badge.criteria[0].id
  const made = await api.post(`${seed.path}/applications/${application}/reviews`, {
    author,
    comment,
    reviewItems: [{ criterionId, satisfied: 1, comment: `Item: ${comment}` }],
  })
  expect(made.status).toBe(201)
  return made.body.review.slug as string
}

const withCriteria = () =>
  seedBadge(program, { unique: 0, criteria: [{ description: 'Do it', required: 1 }] })

/** Which tables of all there are hold a text anywhere. */
async function holding(text: string): Promise<string[]> {
  const tables = Object.values<unknown>(schema).filter((one) => is(one, SQLiteTable))
  const found: string[] = []
  for (const table of tables.map((one) => getTableName(one as SQLiteTable))) {
    const { results } = await env.DB.prepare(`select * from "${table}"`).all()
    if (JSON.stringify(results).toLowerCase().includes(text.toLowerCase())) found.push(table)
  }
  return found
}

/** Totals as lists tell them, with the number of rows that they list. */
async function totals(seed: Seed) {
  const list = async (path: string, plural: string) => {
    const paged = (await api.get(`${path}?page=1&count=99`)).body
    return [plural, paged.pageData.total, paged[plural].length]
  }
  const [, system, issuer] = /^(\/systems\/[^/]+)(\/issuers\/[^/]+)/.exec(seed.container) ?? []
  return Promise.all([
    list(`${seed.path}/instances`, 'instances'),
    list(`${seed.path}/codes`, 'claimCodes'),
    list(`${seed.path}/applications`, 'applications'),
    list(`${seed.container}/applications`, 'applications'),
    list(`${system}${issuer}/applications`, 'applications'),
    list(`${system}/applications`, 'applications'),
  ])
}

describe('an export', () => {
  it('holds all there is about a person in a system, in the shapes of the contract', async () => {
    const seed = await withCriteria()
    const hook = await seedWebhook(seed.system)
    await hook.answer(200)
    const [ada, bob, eve] = [mail('ada'), mail('bob'), mail('eve')]
    const kim = await seedPerson(seed, 'kim', ada)
    await seedPerson(seed, 'lou', bob)
    const path = `${seed.path}/instances`
    await api.post(path, { email: kim.email.toUpperCase(), repeat: 1 })
    await api.delete(`${path}/${kim.email}?reason=By%20mistake`)
    const lou = await seedPerson(seed, 'max', eve)
    await review(seed, lou.application, kim.email, 'By kim')

    const body = await exported(seed.system, kim.email)

    expect(Object.keys(body)).toEqual(['email', ...Object.keys(EMPTY)])
    expect(body.email).toBe(kim.email)
    expect(body.complete).toBe(true)
    const award = (await api.get(`${path}/${kim.email}`)).body.instance
    expect(body.instances).toHaveLength(2)
    const revoked = body.instances.find((one: { revokedAt: unknown }) => one.revokedAt)
    const standing = body.instances.find((one: { revokedAt: unknown }) => !one.revokedAt)
    expect(standing).toMatchObject({ ...award, narrative: null, evidence: [] })
    expect(revoked).toMatchObject({ revocationReason: 'By mistake', badge: { id: seed.badge.id } })
    expect(body.claimCodes).toEqual([
      expect.objectContaining({ code: 'reserved-kim', email: kim.email, claimed: false }),
      expect.objectContaining({ code: 'claimed-kim', email: kim.email, claimed: true }),
    ])
    const application = `${seed.path}/applications/${kim.application}`
    expect(body.applications).toEqual([(await api.get(application)).body.application])
    expect(body.assignments).toEqual([])
    const told = body.reviews.map((one: Record<string, string>) => [
      one.author,
      one.comment,
      one.application,
    ])
    expect(told).toEqual([
      [ada, 'For kim', kim.application],
      [kim.email, 'By kim', lou.application],
    ])
    expect(body.reviews[0].reviewItems[0].comment).toBe('Item: For kim')
    const types = body.events.map(({ type }: { type: string }) => type)
    expect(types).toEqual([
      'badge.awarded',
      'code.claimed',
      'application.created',
      'application.reviewed',
      'badge.awarded',
      'badge.revoked',
      'application.reviewed',
    ])
    expect(body.events[0].data.badge.id).toBe(seed.badge.id)
    expect(JSON.stringify(body)).not.toContain(bob)
    // Whoever reviews is told of what was theirs to review.
    expect((await exported(seed.system, ada)).assignments).toEqual([
      { application: kim.application, assignedExpiration: '2030-01-01T00:00:00.000Z' },
    ])
  })

  it('tells what receivers answered', async () => {
    const seed = await seedBadge(program)
    await seedWebhook(seed.system)
    const email = mail('told')
    await api.post(`${seed.path}/instances`, { email })
    await env.DB.prepare(
      `insert into attempts (deliveryId, n, at, ms, status, answer)
       select id, 77, 1000, 5, 200, 'Thanks' from deliveries where systemId =
         (select systemId from badges where id = ?)`,
    )
      .bind(seed.badge.id)
      .run()
    const { attempts, events } = await exported(seed.system, email)
    expect(attempts).toContainEqual({
      n: 77,
      at: '1970-01-01T00:00:01.000Z',
      ms: 5,
      status: 200,
      error: null,
      answer: 'Thanks',
      delivery: expect.any(Number),
      event: events[0].id,
    })
  })

  it('has the same shape for a stranger, and changes nothing', async () => {
    const system = await seedContainer(levels[0])
    const before = [await rows('audit'), await outbox()]
    const body = await exported(system, 'stranger@example.org')
    expect(body).toEqual({ email: 'stranger@example.org', ...EMPTY })
    expect([await rows('audit'), await outbox()]).toEqual(before)
  })

  it('is of one system', async () => {
    const [here, there] = [await withCriteria(), await withCriteria()]
    const kim = await seedPerson(here, 'kim', mail('ada'))
    await review(here, kim.application, 'rev@example.org', 'Seen')
    expect(await exported(there.system, kim.email)).toEqual({ email: kim.email, ...EMPTY })
    expect(await exported(there.system, 'rev@example.org')).toMatchObject(EMPTY)
  })

  it('is kept by nobody, and needs an address and a system', async () => {
    const system = await seedContainer(levels[0])
    for (const verb of ['export', 'erase']) {
      const path = `${system}/privacy/${verb}`
      const good = await api.post(path, { email: 'a@example.org' })
      expect(good.headers.get('Cache-Control')).toBe('private, no-store')
      for (const body of [{}, { email: 'nobody' }, { email: '' }]) {
        const { status, body: answer } = await api.post(path, body)
        expect([status, answer.code, answer.details[0].field]).toEqual([
          400,
          'ValidationError',
          'email',
        ])
      }
      const nowhere = await api.post(`/systems/none/privacy/${verb}`, { email: 'a@example.org' })
      expect([nowhere.status, nowhere.body.code]).toEqual([404, 'ResourceNotFound'])
      expect((await ask('POST', path)).status).toBe(403)
    }
  })

  it('is streamed when it is long, whole up to ten thousand rows, and says when it is not', async () => {
    const seed = await seedBadge(program)
    const email = mail('busy')
    await api.post(`${seed.path}/instances`, { email })
    const more = (count: number) =>
      env.DB.prepare(
        `insert into badgeInstances (slug, systemId, badgeId, versionId, email, issuedOn, once, salt, op, createdAt, updatedAt)
         with recursive n (i) as (select 1 union all select i + 1 from n where i < ?2)
         select lower(hex(randomblob(20))), systemId, badgeId, versionId, email, issuedOn, 0, '', '', 0, 0
         from badgeInstances, n where email = ?1 and once = 1`,
      )
        .bind(email, count)
        .run()
    await more(1_499)
    const body = await exported(seed.system, email)
    expect(body.instances).toHaveLength(1_500)
    expect(new Set(body.instances.map(({ slug }: { slug: string }) => slug)).size).toBe(1_500)
    expect(body.instances.every((one: { badge: object | null }) => one.badge)).toBe(true)
    expect([body.events.length, body.complete]).toEqual([1, true])
    await more(8_499)
    const nearly = await exported(seed.system, email)
    expect([nearly.instances.length, nearly.events.length, nearly.complete]).toEqual([
      9_999,
      1,
      true,
    ])
    await more(1)
    const long = await exported(seed.system, email)
    expect([long.instances.length, long.events.length, long.complete]).toEqual([10_000, 0, false])
  }, 30_000)
})

describe('an erasure', () => {
  it('leaves the address in no table', async () => {
    const seed = await withCriteria()
    await seedWebhook(seed.system)
    const kim = await seedPerson(seed, 'kimberley', mail('ada'))
    const lou = await seedPerson(seed, 'lou', kim.email)
    await review(seed, lou.application, kim.email.toUpperCase(), 'Words of kimberley')
    await api.post(`${seed.path}/instances`, { email: kim.email.toUpperCase(), repeat: 1 })
    await api.delete(`${seed.path}/instances/${kim.email}`)
    await api.put(`${seed.path}/applications/${kim.application}`, { processed: Date.now() })
    expect((await holding(kim.email)).sort()).toEqual(
      ['applications', 'badgeInstances', 'claimCodes', 'events', 'reviews'].sort(),
    )

    // Asked for in another case than any that it was written in.
    expect(await erase(seed.system, kim.email.replace('k', 'K'))).toMatchObject(ERASED)

    expect(await holding(kim.email)).toEqual([])
    expect(await holding('words of kimberley')).toEqual([])
    expect(await holding('the work of kimberley')).toEqual([])
    expect(await holding('well done kimberley')).toEqual([])
    expect(await exported(seed.system, kim.email)).toEqual({ email: kim.email, ...EMPTY })
    const feed = (await api.get(`${seed.system}/events`)).body
    expect(JSON.stringify(feed).toLowerCase()).not.toContain(kim.email)
    expect(feed.events.length).toBeGreaterThan(8)
    expect(await env.DB.prepare('pragma foreign_key_check').all()).toMatchObject({ results: [] })
  }, 30_000)

  it('makes public pages 410 at once, from the cache too, without a reason or a name', async () => {
    const seed = await withCriteria()
    const kim = await seedPerson(seed, 'kim', mail('ada'))
    const sad = mail('sad')
    const award = await api.post(`${seed.path}/instances`, { email: sad })
    await api.delete(`${seed.path}/instances/${sad}?reason=Private%20words`)
    const pages = [kim.slug, award.body.instance.slug].map((slug) => `/public/assertions/${slug}`)
    const look = (path: string, accept: string) => ask('GET', path, { headers: { Accept: accept } })
    expect((await look(pages[0] ?? '', 'application/json')).status).toBe(200)
    expect((await look(pages[0] ?? '', 'text/html')).status).toBe(200)
    expect((await look(pages[1] ?? '', 'application/json')).body.revocationReason).toBeDefined()

    await erase(seed.system, kim.email)
    await erase(seed.system, sad)

    for (const path of pages) {
      const { status, body } = await look(path, 'application/json')
      const id = expect.stringContaining(path)
      expect([status, body]).toEqual([
        410,
        {
          '@context': expect.anything(),
          type: 'Assertion',
          id,
          uid: path.slice(19),
          revoked: true,
        },
      ])
      expect((await look(path, 'text/html')).status).toBe(410)
    }
    const { results } = await env.DB.prepare('select * from tombstones where uid = ?')
      .bind(kim.slug)
      .all()
    expect(results).toEqual([
      {
        kind: 'assertion',
        uid: kim.slug,
        revokedAt: expect.any(Number),
        revocationReason: null,
      },
    ])
  })

  it('moves every count, and frees the place under the limit', async () => {
    const seed = await withCriteria()
    const kim = await seedPerson(seed, 'kim', mail('ada'))
    await seedPerson(seed, 'lou', mail('bob'))
    await api.post(`${seed.path}/instances`, { email: kim.email, repeat: 1 })
    await api.delete(`${seed.path}/instances/${kim.email}`)
    await api.post(`${seed.path}/instances`, { email: kim.email, repeat: 1 })
    await api.post(`${seed.path}/applications`, { learner: kim.email })
    await api.put(seed.path, { limit: 3 })
    const full = await api.post(`${seed.path}/instances`, { email: mail('next') })
    expect(full.status).toBe(409)
    const counts = async () => (await totals(seed)).map(([, total]) => total)
    expect(await counts()).toEqual([3, 4, 3, 3, 3, 3])

    await erase(seed.system, kim.email)

    expect(await counts()).toEqual([1, 4, 1, 1, 1, 1])
    for (const [plural, total, listed] of await totals(seed)) {
      expect([plural, total]).toEqual([plural, listed])
    }
    const next = await api.post(`${seed.path}/instances`, { email: mail('next') })
    expect(next.status).toBe(201)
  })

  it('moves the counts of a badge that is deleted only once', async () => {
    const seed = await withCriteria()
    const other = await api.post(`${seed.container}/badges`, {
      ...seed.badge,
      slug: unique('other'),
      image: undefined,
    })
    expect(other.status).toBe(201)
    const kim = await seedPerson(seed, 'kim', mail('ada'))
    await api.post(`${seed.container}/badges/${other.body.badge.slug}/applications`, {
      learner: 'stays@example.org',
    })
    await api.delete(seed.path)
    await erase(seed.system, kim.email)
    const { body } = await api.get(`${seed.container}/applications?page=1&count=9`)
    expect([body.pageData.total, body.applications.length]).toEqual([1, 1])
    expect(await holding(kim.email)).toEqual([])
    expect((await ask('GET', `/public/assertions/${kim.slug}`)).status).toBe(410)
  })

  it('keeps reviews of others’ applications, without a name and words', async () => {
    const seed = await withCriteria()
    const kim = mail('kim')
    const lou = await seedPerson(seed, 'lou', mail('ada'))
    const slug = await review(seed, lou.application, kim, 'Words')
    await erase(seed.system, kim)
    const path = `${seed.path}/applications/${lou.application}/reviews`
    const { body } = await api.get(`${path}/${slug}`)
    expect(body.review).toMatchObject({
      author: 'erased@invalid.invalid',
      comment: null,
      reviewItems: [{ satisfied: 1, comment: null }],
    })
    const { reviews, pageData } = (await api.get(`${path}?page=1&count=9`)).body
    expect([pageData.total, reviews.length]).toEqual([2, 2])
    expect(reviews[0].comment).toBe('For lou')
    const shown = await api.put(`${path}/${slug}`, { comment: 'Again' })
    expect(shown.status).toBe(200)
  })

  it('touches nobody else', async () => {
    const seed = await withCriteria()
    await seedWebhook(seed.system)
    const kim = await seedPerson(seed, 'kim', mail('ada'))
    const lou = await seedPerson(seed, 'lou', mail('bob'))
    // Alike, but other addresses.
    const alike = await seedPerson(seed, `x${kim.email.split('@')[0]}`, mail('bob'))
    const there = await withCriteria()
    const elsewhere = await api.post(`${there.path}/instances`, { email: kim.email })
    const applied = await api.post(`${there.path}/applications`, { learner: kim.email })
    await review(there, applied.body.application.slug, kim.email, 'Of myself')
    // A code that both have claimed names the later one only.
    await api.post(`${seed.path}/codes`, { code: 'shared', multiuse: 1 })
    await api.post(`${seed.path}/codes/shared/claim`, { email: lou.email })
    const before = await Promise.all([
      exported(seed.system, lou.email),
      exported(seed.system, alike.email),
      exported(there.system, kim.email),
    ])

    await erase(seed.system, kim.email)

    const after = await Promise.all([
      exported(seed.system, lou.email),
      exported(seed.system, alike.email),
      exported(there.system, kim.email),
    ])
    expect(after).toEqual(before)
    expect(before[0].events.length).toBeGreaterThan(4)
    expect((await ask('GET', `/public/assertions/${elsewhere.body.instance.slug}`)).status).toBe(
      200,
    )
  })

  it('finds events that tell of what is gone by then, or somebody else’s', async () => {
    const seed = await withCriteria()
    const [kim, lou] = [mail('kim'), mail('lou')]
    // An application and a code that are deleted, a review that is, and a learner, author and reviewer who are replaced.
    const applied = async () => {
      const input = { learner: kim, assignedTo: kim }
      const { body } = await api.post(`${seed.path}/applications`, input)
      return `${seed.path}/applications/${body.application.slug}`
    }
    const [gone, given] = [await applied(), await applied()]
    const slug = await review(seed, given.split('/').at(-1) ?? '', kim, 'Mine')
    await api.put(`${given}/reviews/${slug}`, { author: lou })
    await api.put(given, { learner: lou, assignedTo: lou })
    await api.delete(gone)
    await api.post(`${seed.path}/codes`, { code: 'gone', multiuse: 1 })
    for (const email of [kim, lou]) await api.post(`${seed.path}/codes/gone/claim`, { email })
    await api.delete(`${seed.path}/codes/gone`)
    // A badge that is deleted and purged, awards and all.
    const other = await api.post(`${seed.container}/badges`, {
      ...seed.badge,
      slug: unique('other'),
    })
    const path = `${seed.container}/badges/${other.body.badge.slug}`
    await api.post(`${path}/instances`, { email: kim })
    await api.delete(path)
    for (let i = 0; i < 3; i++) await sweep(env, Date.now())
    expect(await holding(kim)).toEqual(['events'])
    const before = (await exported(seed.system, lou)).events

    await erase(seed.system, kim)

    expect(await holding(kim)).toEqual([])
    const after = (await exported(seed.system, lou)).events
    // What named both is gone for both.
    const types = (events: { type: string }[]) => events.map(({ type }) => type).sort()
    expect(types(before)).toEqual(['application.reviewed', 'application.updated', 'code.claimed'])
    expect(types(after)).toEqual(['application.updated', 'code.claimed'])
  }, 30_000)

  it('takes of a code that several have used only the events of the one', async () => {
    const seed = await withCriteria()
    const [kim, lou] = [mail('kim'), mail('lou')]
    await api.post(`${seed.path}/codes`, { code: 'party', multiuse: 1 })
    await api.post(`${seed.path}/instances`, { email: kim, claimCode: 'party' })
    await api.post(`${seed.path}/instances`, { email: lou, claimCode: 'party' })
    await erase(seed.system, kim)
    expect(await holding(kim)).toEqual([])
    const { events } = await exported(seed.system, lou)
    expect(events.map(({ type }: { type: string }) => type).sort()).toEqual([
      'badge.awarded',
      'code.claimed',
    ])
    const code = (await api.get(`${seed.path}/codes/party`)).body.claimCode
    expect(code).toMatchObject({ claimed: true, email: lou })
  })

  it('calls off what was about to be sent, and sends nothing of its own', async () => {
    const seed = await withCriteria()
    const { systemId } = (await env.DB.prepare('select systemId from badges where id = ?')
      .bind(seed.badge.id)
      .first<{ systemId: number }>()) as { systemId: number }
    const kim = mail('kim')
    const lou = mail('lou')
    await api.post(`${seed.path}/instances`, { email: kim })
    await api.post(`${seed.path}/instances`, { email: lou })
    // Deliveries that nobody rings for.
    await env.DB.batch(
      [
        `insert into webhooks (systemId, url, state, op, createdAt, updatedAt)
         values (${systemId}, 'https://hook.example.org', 'active', 'seed', 0, 0)`,
        `insert into deliveries (systemId, eventId, webhookId, subject, seq, nextAt, createdAt)
         select e.systemId, e.id, w.id, e.subject, e.seq, ${Date.now() + 9e9}, 0
         from events e join webhooks w on w.systemId = e.systemId where e.systemId = ${systemId}`,
        `insert into attempts (deliveryId, n, at, ms, status, answer)
         select id, 1, 0, 0, 500, 'Hello' from deliveries where systemId = ${systemId}`,
      ].map((text) => env.DB.prepare(text)),
    )
    const before = await outbox()

    await erase(seed.system, kim)

    expect(await outbox()).toEqual(before)
    const { results } = await env.DB.prepare(
      `select d.state, d.endedAt is not null as ended, e.data is null as empty, e.body is null as bare, t.answer
       from deliveries d join events e on e.id = d.eventId join attempts t on t.deliveryId = d.id
       where d.systemId = ? order by e.seq`,
    )
      .bind(systemId)
      .all()
    expect(results).toEqual([
      { state: 'cancelled', ended: 1, empty: 1, bare: 1, answer: null },
      { state: 'pending', ended: 0, empty: 0, bare: 0, answer: 'Hello' },
    ])
    const { deliveries } = (await api.get(`${seed.system}/deliveries?state=cancelled`)).body
    const again = await api.post(`${seed.system}/deliveries/${deliveries[0].id}/redeliver`)
    expect(again.status).toBe(409)
  })

  it('answers a stranger, and whoever asks again, as the first time; each is recorded alike', async () => {
    const seed = await withCriteria()
    const kim = await seedPerson(seed, 'kim', mail('ada'))
    const counters = () => env.DB.prepare('select * from counters order by 1, 2, 3').raw()
    expect(await erase(seed.system, kim.email)).toMatchObject(ERASED)
    const before = [await counters(), await rows('tombstones'), await rows('reviews')]
    const { body: first } = await api.get(`${seed.system}/audit`)
    const answers = [
      await erase(seed.system, kim.email),
      await erase(seed.system, 'stranger@example.org'),
    ]
    expect(answers).toMatchObject([ERASED, ERASED])
    const same = (n: number) => [...(answers[n]?.headers.keys() ?? [])].sort()
    expect(same(0)).toEqual(same(1))
    expect([await counters(), await rows('tombstones'), await rows('reviews')]).toEqual(before)
    const { audit } = (await api.get(`${seed.system}/audit`)).body
    expect(audit.length).toBe(first.audit.length + 2)
    const told = audit
      .slice(0, 3)
      .map(({ action, target }: Record<string, string>) => [action, target])
    expect(new Set(told.map(String)).size).toBe(1)
    expect(told[0]?.[0]).toBe('POST /systems/:system/privacy/erase')
    // Somebody who comes back is a new earner.
    expect((await api.post(`${seed.path}/instances`, { email: kim.email })).status).toBe(201)
  })

  it('takes ten thousand awards at once', async () => {
    const seed = await seedBadge(program)
    const email = mail('busy')
    const { body } = await api.post(`${seed.path}/instances`, { email })
    await env.DB.prepare(
      `insert into badgeInstances (slug, systemId, badgeId, versionId, email, issuedOn, once, salt, op, createdAt, updatedAt)
       with recursive n (i) as (select 1 union all select i + 1 from n where i < 10000)
       select 'busy-' || i, systemId, badgeId, versionId, email, issuedOn, 0, '', '', 0, 0
       from badgeInstances, n where email = ?`,
    )
      .bind(email)
      .run()
    await env.DB.prepare('update badges set awarded = 10001 where id = ?').bind(seed.badge.id).run()
    const started = Date.now()
    expect(await erase(seed.system, email)).toMatchObject(ERASED)
    expect(Date.now() - started).toBeLessThan(5_000)
    const list = (await api.get(`${seed.path}/instances?page=1&count=9`)).body
    expect(list).toMatchObject({ instances: [], pageData: { total: 0 } })
    for (const slug of [body.instance.slug, 'busy-1', 'busy-9999']) {
      expect((await ask('GET', `/public/assertions/${slug}`)).status).toBe(410)
    }
    await sweep(env, Date.now())
  }, 30_000)
})
