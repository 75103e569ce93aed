import { env } from 'cloudflare:workers'
import { jwtVerify } from 'jose'
import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Answer, api, ask, ORIGIN } from './helpers/api'
import { badge, outbox, PNG, seedWebhook } from './helpers/seed'

/** The reference fixture of contract §14 and its checks 1–13, in their order: each stands on those before it. */

const IMAGE = 'http://example.org/test.png'
const CHICAGO = '/systems/chicago'
const LIBRARY = `${CHICAGO}/issuers/chicago-library`
const SCRATCH = `${LIBRARY}/programs/mit-scratch`
const FIRST = `${CHICAGO}/badges/chicago-badge`
const BRIAN = 'brian+milestone-test@example.org'

let consumer: { key: string; secret: string }

let seen = 0
beforeEach(async () => {
  seen = (await outbox()).length
})
/** The types of the events that a check has recorded. */
const types = async () => {
  const all = (await outbox()).length
  const { results } = await env.DB.prepare('select type from events order by rowid').all<{
    type: string
  }>()
  return results.slice(seen, all).map(({ type }) => type)
}

async function made(answer: Promise<Answer>) {
  const { status, body } = await answer
  expect(status, JSON.stringify(body)).toBe(201)
  return body
}

beforeAll(async () => {
  const system = { url: 'http://cityofchicago.org', image: IMAGE }
  await made(
    api.post('/systems', {
      ...system,
      slug: 'chicago',
      name: 'Chicago',
      description: 'The City of Chicago',
      email: 'mayor-emanuel@cityofchicago.org',
    }),
  )
  await made(api.post('/systems', { ...system, slug: 'pittsburgh', name: 'Pittsburgh' }))
  await env.DB.prepare(`update images set slug = 'some-image' where systemId = 1`).run()
  const { key } = await made(api.post(`${CHICAGO}/keys`, { description: 'radical' }))
  await env.DB.prepare(`update keys set key = 'radical' where key = ?`).bind(key.key).run()
  consumer = { key: 'radical', secret: key.secret }

  const library = { name: 'Chicago Library', url: 'http://chicago.example.org', image: IMAGE }
  await made(api.post(`${CHICAGO}/issuers`, { ...library, slug: 'chicago-library' }))
  const carnegie = { slug: 'carnegie-library', name: 'Carnegie', url: 'http://c.example.org' }
  await made(api.post('/systems/pittsburgh/issuers', carnegie))
  await made(
    api.post(`${LIBRARY}/programs`, {
      slug: 'mit-scratch',
      name: 'MIT Scratch',
      url: 'http://scratch.mit.edu/',
      description: 'The Scratch programme',
      email: 'admin@scratch.mit.edu',
      image: IMAGE,
    }),
  )

  const badges: [at: string, slug: string, more?: object][] = [
    [CHICAGO, 'chicago-badge', { limit: 5, criteria: [{ description: 'One', required: 1 }] }],
    ['/systems/pittsburgh', 'pittsburgh-badge'],
    [CHICAGO, 'archived-badge', { archived: true }],
    [SCRATCH, 'chicago-scratch-badge'],
    [LIBRARY, 'chicago-library-badge'],
    [LIBRARY, 'test-badge'],
  ]
  for (const [i, [at, slug, more]] of badges.entries()) {
    const body = await made(api.post(`${at}/badges`, { ...badge(slug), image: IMAGE, ...more }))
    expect(body.badge.id).toBe(i + 1)
  }
  await made(api.post(`${FIRST}/codes`, { code: 'multiple-use', multiuse: 1 }))
  await made(api.post(`${FIRST}/codes`, { code: 'single-use' }))
  await made(api.post(`${FIRST}/codes`, { code: 'delete-me', multiuse: 1 }))
  const pittsburgh = '/systems/pittsburgh/badges/pittsburgh-badge'
  await made(api.post(`${pittsburgh}/codes`, { code: 'for-pittsburgh' }))

  const evidence = [
    { url: 'http://example.org/1', mediaType: 'link', reflection: 'One' },
    { url: 'http://example.org/2.png', mediaType: 'image', reflection: 'Two' },
  ]
  const archived = `${CHICAGO}/badges/archived-badge`
  const applications: [at: string, slug: string, evidence: object[]][] = [
    [`${SCRATCH}/badges/chicago-scratch-badge`, 'app-scratch', evidence],
    [archived, 'app-archived', evidence.slice(1)],
    [pittsburgh, 'app-pittsburgh', []],
  ]
  const named = (table: string, slug: string, id: number) =>
    env.DB.prepare(`update ${table} set slug = ? where id = ?`).bind(slug, id).run()
  for (const [at, slug, evidence] of applications) {
    const learner = 'brian@example.org'
    const { application } = await made(api.post(`${at}/applications`, { learner, evidence }))
    await named('applications', slug, application.id)
  }
  await api.put(`${archived}/applications/app-archived`, { processed: '2014-05-21' })

  const reviews: [at: string, slug: string, items: object[]][] = [
    [
      `${SCRATCH}/badges/chicago-scratch-badge/applications/app-scratch`,
      'review-scratch',
      [{ criterionId: 1, satisfied: 1 }],
    ],
    [`${archived}/applications/app-archived`, 'review-archived', []],
  ]
  for (const [at, slug, reviewItems] of reviews) {
    const author = 'reviewer@example.org'
    const { review } = await made(api.post(`${at}/reviews`, { author, reviewItems }))
    await named('reviews', slug, review.id)
  }
  const library5 = `${LIBRARY}/badges/chicago-library-badge/instances`
  await made(api.post(library5, { email: BRIAN, slug: 'whatevs' }))

  const milestones: [id: number, primary: number, required: number, supports: number[]][] = [
    [1, 1, 1, [4, 5]],
    [999, 4, 10, [5, 1]],
  ]
  for (const [id, primaryBadgeId, numberRequired, supportBadges] of milestones) {
    const body = await made(
      api.post(`${CHICAGO}/milestones`, { primaryBadgeId, numberRequired, supportBadges }),
    )
    if (body.milestone.id === id) continue
    await env.DB.batch([
      env.DB.prepare('pragma defer_foreign_keys = on'),
      env.DB.prepare('update milestones set id = ?1 where id = ?2').bind(id, body.milestone.id),
      env.DB.prepare('update milestoneBadges set milestoneId = ?1 where milestoneId = ?2').bind(
        id,
        body.milestone.id,
      ),
    ])
  }
}, 60_000)

const idsOf = async (path: string) =>
  (await api.get(path)).body.badges.map(({ id }: { id: number }) => id)

// A story: each step stands on those before it, so its order is not shuffled.
describe('the reference fixture', { shuffle: false }, () => {
  it('1: lists badges at each level, in pages, and by `archived`', async () => {
    expect(await idsOf(`${CHICAGO}/badges`)).toEqual([1, 4, 5, 6])
    expect(await idsOf(`${LIBRARY}/badges`)).toEqual([4, 5, 6])
    expect(await idsOf(`${SCRATCH}/badges`)).toEqual([4])
    for (const [page, ids] of [
      [1, [1, 4]],
      [2, [5, 6]],
    ] as const) {
      const { body } = await api.get(`${CHICAGO}/badges?page=${page}&count=2`)
      expect(body.badges.map(({ id }: { id: number }) => id)).toEqual(ids)
      expect(body.pageData).toEqual({ page, count: 2, total: 4 })
    }
    for (const word of ['true', '1']) {
      expect(await idsOf(`${CHICAGO}/badges?archived=${word}`)).toEqual([3])
    }
    expect(await idsOf(`${CHICAGO}/badges?archived=any`)).toEqual([1, 3, 4, 5, 6])
    expect(await api.get(`${CHICAGO}/badges?archived=weird-value`)).toMatchObject({
      status: 400,
      body: { code: 'InvalidParameter', parameter: 'archived' },
    })
  })

  it('2: shows the milestones that lead to a badge', async () => {
    const { milestones } = (await api.get(FIRST)).body.badge
    expect(milestones).toMatchObject([{ id: 1, numberRequired: 1, action: 'issue' }])
    expect(milestones[0].supportBadges.map(({ id }: { id: number }) => id)).toEqual([4, 5])
  })

  it('3: complains of six fields of an empty badge, and takes a multipart one with its file', async () => {
    const empty = await api.post(`${CHICAGO}/badges`, {})
    expect(empty.status).toBe(400)
    expect(empty.body.details.map(({ field }: { field: string }) => field).sort()).toEqual([
      'consumerDescription',
      'criteriaUrl',
      'earnerDescription',
      'image',
      'name',
      'unique',
    ])
    const form = new FormData()
    const { image: _image, slug: _slug, ...fields } = badge('multipart')
    const texts = { ...fields, unique: '0', categories: 'Category One', tags: 'tag1' }
    for (const [name, value] of Object.entries(texts)) form.append(name, value)
    form.append('image', new File([PNG], 'test.png', { type: 'image/png' }))
    const { status, headers, body } = await api.multipart(`${CHICAGO}/badges`, form)
    expect(status, JSON.stringify(body)).toBe(201)
    expect(body.badge).toMatchObject({
      unique: 0,
      categories: ['Category One'],
      tags: [{ value: 'tag1' }],
      imageUrl: expect.stringMatching(/\/images\/.+/),
    })
    const location = headers.get('Location') ?? ''
    expect(location).toBe(`${CHICAGO}/badges/${body.badge.slug}`)
    expect((await api.get(location)).body.badge).toEqual(body.badge)
    expect((await api.delete(location)).body.status).toBe('deleted')
  })

  it('4: answers 200 to unknown fields, and keeps the image when two others change', async () => {
    const at = `${LIBRARY}/badges/test-badge`
    const before = (await api.get(at)).body.badge
    const nothing = await api.put(at, { wat: 1, nope: 'x' })
    expect(nothing).toMatchObject({ status: 200, body: { status: 'updated', badge: before } })
    const two = await api.put(at, { name: 'New name', strapline: 'New strapline' })
    expect(two.body.badge).toEqual({ ...before, name: 'New name', strapline: 'New strapline' })
    expect(two.body.badge.imageUrl).toBe(IMAGE)
    expect(await types()).toEqual(['badge.updated', 'badge.updated'])
  })

  it('5: shows a program in seven keys', async () => {
    expect((await api.get(SCRATCH)).body).toEqual({
      program: {
        id: 1,
        slug: 'mit-scratch',
        url: 'http://scratch.mit.edu/',
        name: 'MIT Scratch',
        description: 'The Scratch programme',
        email: 'admin@scratch.mit.edu',
        imageUrl: IMAGE,
      },
    })
  })

  it('6: makes a third system, once, and deletes it, once', async () => {
    const given = { slug: 'new', name: 'New', url: 'http://example.org', image: IMAGE }
    const { status, body } = await api.post('/systems', given)
    expect(status).toBe(201)
    expect(body.system).toMatchObject({ id: 3, slug: 'new', imageUrl: IMAGE })
    expect((await api.post('/systems', given)).status).toBe(409)
    expect((await api.delete('/systems/new')).body.status).toBe('deleted')
    expect((await api.delete('/systems/new')).status).toBe(404)
    expect((await api.get('/systems/new')).status).toBe(404)
  })

  it('7: makes, lists, claims and deletes codes', async () => {
    expect((await api.post(`${FIRST}/codes`, { code: 'test' })).status).toBe(201)
    const bare = await api.post(`${FIRST}/codes`, { multiuse: 1 })
    expect(bare).toMatchObject({ status: 400, body: { details: [{ field: 'code' }] } })
    const list = await api.get(`${FIRST}/codes?page=1&count=1`)
    expect(list.body.pageData.total).toBe(4)
    const email = 'claimer@example.org'
    const claimed = await api.post(`${FIRST}/codes/test/claim`, { email })
    expect(claimed).toMatchObject({ status: 200, body: { claimCode: { claimed: true, email } } })
    expect(await api.post(`${FIRST}/codes/test/claim`, { email })).toMatchObject({
      status: 400,
      body: { code: 'CodeAlreadyUsed' },
    })
    expect((await api.post(`${FIRST}/codes/random`)).status).toBe(201)
    expect((await api.delete(`${FIRST}/codes/delete-me`)).body.status).toBe('deleted')
    expect((await api.get(`${FIRST}/codes/delete-me`)).status).toBe(404)
    const found = await api.get(`${CHICAGO}/codes/single-use`)
    expect(found.body.badge).toMatchObject({ slug: 'chicago-badge', claimed: 0 })
    expect((await api.get(`${CHICAGO}/codes/for-pittsburgh`)).status).toBe(404)
    expect(await types()).toEqual(['code.claimed'])
  })

  it('8: awards, shows, publishes and revokes; codes are used as often as they may be', async () => {
    expect((await api.post(`${FIRST}/instances`, { garbage: 1 })).status).toBe(400)
    const email = 'earner@example.org'
    const expires = Math.floor(Date.now() / 1000) + 86_400
    const { status, headers, body } = await api.post(`${FIRST}/instances`, { email, expires })
    expect(status).toBe(201)
    const location = headers.get('Location') ?? ''
    expect(location).toMatch(/^\/public\/assertions\/[0-9a-f]+$/)
    const assertion = (await ask('GET', location)).body
    expect(assertion).toMatchObject({
      uid: body.instance.slug,
      recipient: { type: 'email', hashed: true, identity: expect.stringMatching(/^sha256\$/) },
      badge: `${ORIGIN}/public${FIRST}`,
      verify: { url: ORIGIN + location, type: 'hosted' },
      expires,
    })
    const badgeClass = (await ask('GET', assertion.badge.slice(ORIGIN.length))).body
    expect(badgeClass.image).toBe(IMAGE)
    expect((await ask('GET', badgeClass.issuer.slice(ORIGIN.length))).body).toMatchObject({
      name: 'Chicago',
      url: 'http://cityofchicago.org',
      description: 'The City of Chicago',
      email: 'mayor-emanuel@cityofchicago.org',
    })
    const of = await api.get(`${CHICAGO}/instances/${email}?page=1&count=1`)
    expect(of.body.pageData).toEqual({ page: 1, count: 1, total: 1 })
    const one = await api.get(`${FIRST}/instances/${email}`)
    expect(one.body.instance.badge.slug).toBe('chicago-badge')
    const gone = await api.delete(`${FIRST}/instances/${email}`)
    expect(gone).toMatchObject({ status: 200, body: { instance: one.body.instance } })
    expect((await api.get(`${FIRST}/instances/${email}`)).status).toBe(404)

    const use = async (claimCode: string, who: string) =>
      (await api.post(`${FIRST}/instances`, { email: who, claimCode })).status
    const holder = async (code: string) =>
      (await api.get(`${FIRST}/codes/${code}`)).body.claimCode.email
    expect(await use('multiple-use', 'one@example.org')).toBe(201)
    expect(await holder('multiple-use')).toBe('one@example.org')
    expect(await use('multiple-use', 'two@example.org')).toBe(201)
    expect(await use('single-use', 'three@example.org')).toBe(201)
    expect(await holder('single-use')).toBe('three@example.org')
    expect(await use('single-use', 'four@example.org')).toBe(400)
    const used = Array(3).fill(['badge.awarded', 'code.claimed']).flat()
    expect(await types()).toEqual(['badge.awarded', 'badge.revoked', ...used])
  })

  it('9: tells a webhook of an award and of its end, signed', async () => {
    const hook = await seedWebhook(CHICAGO, { secret: 'webhook secret' })
    const email = 'told@example.org'
    const before = Math.floor(Date.now() / 1000)
    const at = `${LIBRARY}/badges/test-badge/instances`
    const { body } = await api.post(at, { email })
    await api.delete(`${at}/${email}`)
    const received = await vi.waitFor(
      async () => {
        const all = await hook.received()
        expect(all).toHaveLength(2)
        return all
      },
      { timeout: 10_000, interval: 50 },
    )
    for (const { headers, body } of received) {
      const token = /^JWT token="([\w.-]+)"$/.exec(headers.authorization ?? '')?.[1] ?? ''
      const secret = new TextEncoder().encode('webhook secret')
      const { payload } = await jwtVerify(token, secret, { algorithms: ['HS256'] })
      const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(body))
      const hex = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0'))
      expect(payload).toEqual({ body: { alg: 'sha256', hash: hex.join('') } })
    }
    const [award, revoke] = received.map(({ body }) => JSON.parse(body))
    expect(award).toMatchObject({ action: 'award', email, uid: body.instance.slug })
    expect(award.issuedOn).toBeGreaterThanOrEqual(before)
    expect(new URL(award.assertionUrl).pathname).toBe(`/public/assertions/${award.uid}`)
    expect(revoke).toMatchObject({ action: 'revoke', email, uid: award.uid })
    expect(await types()).toEqual(['badge.awarded', 'badge.revoked'])
  })

  it('10: lists applications at each level and by `processed`, and needs a learner', async () => {
    const scratch = `${SCRATCH}/badges/chicago-scratch-badge/applications`
    const found = async (path: string) => {
      const { applications } = (await api.get(path)).body
      return applications.map(({ slug }: { slug: string }) => slug)
    }
    const all = await api.get(`${CHICAGO}/applications?page=1&count=1`)
    expect(all.body.pageData.total).toBe(2)
    const list = `${CHICAGO}/applications?processed=`
    expect(await found(`${list}true`)).toEqual(['app-archived'])
    expect(await found(`${list}false`)).toEqual(['app-scratch'])
    for (const at of [scratch, `${LIBRARY}/applications`, `${SCRATCH}/applications`]) {
      expect(await found(at)).toEqual(['app-scratch'])
    }
    const bare = await api.post(scratch, {})
    expect(bare.status).toBe(400)
    expect(bare.body.details.map(({ field }: { field: string }) => field)).toEqual(['learner'])
    const before = (await api.get(`${scratch}/app-scratch`)).body.application
    expect(before.evidence).toHaveLength(2)
    const put = await api.put(`${scratch}/app-scratch`, { wat: 1 })
    expect(put).toMatchObject({ status: 200, body: { application: before } })
    expect(await types()).toEqual(['application.updated'])
  })

  it('11: lists reviews at each level, and needs an author', async () => {
    const tail = '/badges/chicago-scratch-badge/applications/app-scratch/reviews'
    for (const at of [CHICAGO, LIBRARY, SCRATCH]) {
      const { body } = await api.get(`${at}${tail}`)
      expect(body.reviews).toMatchObject([
        { slug: 'review-scratch', reviewItems: [{ criterionId: 1, satisfied: 1 }] },
      ])
      const bare = await api.post(`${at}${tail}`, {})
      expect(bare.status).toBe(400)
      expect(bare.body.details.map(({ field }: { field: string }) => field)).toEqual(['author'])
    }
    expect(await types()).toEqual([])
  })

  it('12: awards what a support badge completes, and edits milestones', async () => {
    const library = `${LIBRARY}/badges/chicago-library-badge/instances`
    expect((await api.get(`${FIRST}/instances/${BRIAN}`)).status).toBe(404)
    await api.delete(`${library}/${BRIAN}`)
    expect((await api.post(library, { email: BRIAN })).status).toBe(201)
    expect((await api.get(`${FIRST}/instances/${BRIAN}`)).status).toBe(200)
    expect(await types()).toEqual(['badge.revoked', 'badge.awarded', 'badge.awarded'])

    const list = `${CHICAGO}/milestones`
    expect((await api.get(`${list}?page=1&count=1`)).body.pageData.total).toBe(2)
    expect((await api.get(`${list}/1`)).body.milestone).toMatchObject({
      id: 1,
      primaryBadge: { id: 1 },
    })
    expect(await api.get(`${list}/12345`)).toMatchObject({
      status: 404,
      body: {
        code: 'ResourceNotFound',
        message: 'Could not find milestone field: `id`, value: `12345`',
      },
    })
    const supports = (answer: Answer) =>
      answer.body.milestone.supportBadges.map(({ id }: { id: number }) => id)
    const given = { primaryBadgeId: 6, numberRequired: 2, supportBadges: [5, 1] }
    const created = await api.post(list, given)
    expect(created.status).toBe(201)
    expect(supports(created)).toEqual([5, 1])
    const path = `${list}/${created.body.milestone.id}`
    const put = await api.put(path, { numberRequired: 200, supportBadges: [1] })
    expect(put.body).toMatchObject({ status: 'updated', milestone: { numberRequired: 200 } })
    expect(supports(put)).toEqual([1])
    for (const [verb, expected] of [
      ['add', [1, 4]],
      ['add', [1, 4]],
      ['remove', [1]],
      ['remove', [1]],
    ] as const) {
      const answer = await api.post(`${path}/${verb}-badge`, { badgeId: 4 })
      expect(answer).toMatchObject({ status: 200, body: { status: 'updated' } })
      expect(supports(answer)).toEqual(expected)
    }
    expect((await api.delete(`${list}/999`)).body).toEqual({ status: 'deleted' })
    expect((await api.get(`${list}/999`)).status).toBe(404)
  })

  it('13: lets a consumer into its own system, and nobody in with anything wrong', async () => {
    const good = await api.get(CHICAGO, consumer)
    expect(good).toMatchObject({ status: 200, body: { system: { slug: 'chicago' } } })
    const past = Math.floor(Date.now() / 1000) - 1
    const wrong = [
      { ...consumer, secret: 'wrong' },
      { ...consumer, key: 'unknown' },
      { ...consumer, claims: { path: '/systems/chicago/badges' } },
      { ...consumer, claims: { exp: past } },
      { ...consumer, claims: { method: 'PUT' } },
      { ...consumer, claims: { method: null } },
      { ...consumer, claims: { path: null } },
    ]
    for (const call of wrong) {
      expect(await api.get(CHICAGO, call), JSON.stringify(call)).toMatchObject({
        status: 403,
        body: { code: 'NotAuthorized', message: expect.any(String) },
      })
    }
    expect((await api.get('/systems/pittsburgh', consumer)).status).toBe(403)
    const image = await ask('GET', '/public/images/some-image')
    expect(image).toMatchObject({ status: 301, body: { location: IMAGE } })
    expect(image.headers.get('Location')).toBe(IMAGE)
    expect((await ask('GET', '/healthcheck')).status).toBe(200)
    expect(await types()).toEqual([])
  })
})
