import { env } from 'cloudflare:workers'
import { decodeJwt, jwtVerify } from 'jose'
import { beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import * as schema from '../../drizzle/schema'
import type { EventType } from '../../src/events'
import { type Answer, api } from '../helpers/api'
import { watch } from '../helpers/changes'
import { levels, outbox, rows, seedBadge, seedWebhook, uidOf, unique } from '../helpers/seed'

const [atSystem, , atProgram] = levels
const MD5 = /^[\da-f]{32}$/
const KEYS = ['id', 'slug', 'author', 'comment', 'reviewItems']
const AUTHOR = 'rev@example.org'
const EVIDENCE = [
  { url: 'https://example.org/photo.png', mediaType: 'image', reflection: 'Look' },
  { url: null, mediaType: null, reflection: 'Only words' },
]
const { refused } = watch(
  schema.reviews,
  schema.reviewItems,
  schema.applications,
  schema.counters,
  schema.audit,
  schema.events,
  schema.deliveries,
)

let seen = 0
beforeEach(async () => {
  seen = (await outbox()).length
})
/** What has come into the outbox since the test began; each test seeds a system of its own, so that it stands at the end. */
const news = async () => (await outbox()).slice(seen)
const event =
  (type: EventType) =>
  (subject: string, deliveries = 0) => ({ type, subject, deliveries })
const applied = event('application.created')
const updated = event('application.updated')
const reviewed = event('application.reviewed')

const invalid = (...details: [message: string, field: string, value: unknown][]) => ({
  code: 'ValidationError',
  message: 'Could not validate required fields',
  details: details.map(([message, field, value]) => ({ message, field, value })),
})
const missing = (model: string, value: string) => ({
  code: 'ResourceNotFound',
  message: `Could not find ${model} field: \`slug\`, value: \`${value}\``,
})

type Criterion = { id: number; required: 0 | 1 }
const CRITERIA = [
  { description: 'First', required: 1, note: '' },
  { description: 'Second', required: 1, note: '' },
  { description: 'Third', required: 0, note: '' },
]

/** A badge with two required criteria and one that is not, and an application for it. */
async function seedApplication(level: (typeof levels)[number], more: object = {}) {
  const seed = await seedBadge(level, { criteria: CRITERIA, ...more })
  const learner = `${unique('learner')}@example.org`
  const made = await api.post(`${seed.path}/applications`, { learner, evidence: EVIDENCE })
  const { application } = made.body
  const path = `${seed.path}/applications/${application.slug}`
  const criteria: number[] = seed.badge.criteria.map(({ id }: Criterion) => id)
  return { ...seed, badgePath: seed.path, application, path, criteria, subject: application.slug }
}
type Seed = Awaited<ReturnType<typeof seedApplication>>

const review = (seed: Seed, more: object = {}) =>
  api.post(`${seed.path}/reviews`, { author: AUTHOR, ...more })
const pathOf = (seed: Seed, made: Answer) => `${seed.path}/reviews/${made.body.review.slug}`
const show = async (path: string) => (await api.get(path)).body.review

/** The messages of reviews, or of another type, that were recorded about an application, as bytes. */
const messages = async (seed: Seed, type: EventType = 'application.reviewed') =>
  (
    await env.DB.prepare(
      'select body, data from events where subject = ? and type = ? order by seq',
    )
      .bind(seed.subject, type)
      .all<{ body: string; data: string }>()
  ).results
const lastMessage = async (seed: Seed) => {
  const last = (await messages(seed)).at(-1)
  if (!last) throw new Error('nothing was recorded')
  return last
}

/** What the message of a review must be, byte for byte, by what the API itself shows (contract §6.2). */
async function expected(seed: Seed, path: string, approved: boolean) {
  const application = (await api.get(seed.path)).body.application
  return JSON.stringify({ action: 'review', application, review: await show(path), approved })
}

describe.each(levels)('reviewing an application for a badge of a $name', (level) => {
  it('gives the review, and the same when it is asked for', async () => {
    const seed = await seedApplication(level)
    await seedWebhook(seed.system)
    const made = await review(seed)
    expect(made.status).toBe(201)
    expect(made.body).toEqual({
      status: 'created',
      review: {
        id: expect.any(Number),
        slug: expect.stringMatching(MD5),
        author: AUTHOR,
        comment: null,
        reviewItems: [],
      },
    })
    expect(Object.keys(made.body)).toEqual(['status', 'review'])
    expect(Object.keys(made.body.review)).toEqual(KEYS)
    const shown = await api.get(pathOf(seed, made))
    expect(shown.status).toBe(200)
    expect(JSON.stringify(shown.body)).toBe(JSON.stringify({ review: made.body.review }))
    expect(await news()).toEqual([applied(seed.subject), reviewed(seed.subject, 1)])
  })

  it('keeps the items in their order, read from the texts that the web app sends', async () => {
    const seed = await seedApplication(level)
    const [one = 0, two = 0, three = 0] = seed.criteria
    const made = await review(seed, {
      comment: 'Good',
      reviewItems: [
        { criterionId: String(three), satisfied: '0', comment: '' },
        { criterionId: String(one), satisfied: '1', comment: 'ok' },
        { criterionId: two, satisfied: true },
      ],
    })
    expect(made.body.review).toMatchObject({
      comment: 'Good',
      reviewItems: [
        { criterionId: three, satisfied: 0, comment: '' },
        { criterionId: one, satisfied: 1, comment: 'ok' },
        { criterionId: two, satisfied: 1, comment: null },
      ],
    })
    const [item] = made.body.review.reviewItems
    expect(Object.keys(item)).toEqual(['criterionId', 'satisfied', 'comment'])
    expect(await show(pathOf(seed, made))).toEqual(made.body.review)
    expect(await news()).toEqual([applied(seed.subject), reviewed(seed.subject)])
  })

  it('complains of a missing author and of nothing else, and tells nobody', async () => {
    const seed = await seedApplication(level)
    await seedWebhook(seed.system)
    const body = await refused(400, () => api.post(`${seed.path}/reviews`, {}))
    expect(body).toEqual(invalid(['Required field', 'author', '']))
  })

  it('tells of a change as of a new review, in the exact bytes of the contract', async () => {
    const seed = await seedApplication(level)
    await seedWebhook(seed.system)
    const reviewItems = seed.criteria.map((criterionId) => ({ criterionId, satisfied: 1 }))
    const made = await review(seed, { reviewItems })
    const path = pathOf(seed, made)
    const first = await lastMessage(seed)
    expect(first.body).toBe(await expected(seed, path, true))
    const message = JSON.parse(first.body)
    expect(Object.keys(message)).toEqual(['action', 'application', 'review', 'approved'])
    expect(message.application.badge).toEqual(seed.badge)
    expect(message.application.evidence).toEqual(EVIDENCE)
    expect(message.review).toEqual(made.body.review)

    const changed = await api.put(path, { comment: 'Changed', reviewItems: [] })
    expect(changed.status).toBe(200)
    expect(changed.body).toEqual({
      status: 'updated',
      review: { ...made.body.review, comment: 'Changed', reviewItems: [] },
    })
    expect(Object.keys(changed.body.review)).toEqual(KEYS)
    const second = await lastMessage(seed)
    expect(second.body).toBe(await expected(seed, path, false))
    for (const { body, data } of [first, second]) {
      expect(`{"action":"review",${data.slice(1)}`).toBe(body)
    }
    expect(await news()).toEqual([
      applied(seed.subject),
      reviewed(seed.subject, 1),
      reviewed(seed.subject, 1),
    ])
    // No review changes the application or awards the badge (contract §4.7).
    expect((await api.get(seed.path)).body.application).toEqual(seed.application)
    expect((await api.get(`${seed.badgePath}/instances`)).body.instances).toEqual([])
  })

  it('deletes a review with its items, under both of its names, and tells nobody', async () => {
    const seed = await seedApplication(level)
    await seedWebhook(seed.system)
    const reviewItems = seed.criteria.map((criterionId) => ({ criterionId, satisfied: 1 }))
    const made = await review(seed, { reviewItems })
    const other = await review(seed, { reviewItems })
    const path = pathOf(seed, made)
    const before = { outbox: await outbox(), items: await rows('reviewItems') }
    const gone = await api.delete(path)
    expect(gone.status).toBe(200)
    expect(gone.body).toEqual({
      status: 'deleted',
      review: made.body.review,
      badge: made.body.review,
    })
    expect(Object.keys(gone.body)).toEqual(['status', 'review', 'badge'])
    expect(await outbox()).toEqual(before.outbox)
    expect(await rows('reviewItems')).toBe(before.items - 3)
    const text = missing('review', made.body.review.slug)
    expect(await refused(404, () => api.get(path))).toEqual(text)
    expect(await refused(404, () => api.put(path, { author: 'nope' }))).toEqual(text)
    expect(await refused(404, () => api.delete(path))).toEqual(text)
    const list = await api.get(`${seed.path}/reviews?page=1&count=9`)
    expect(list.body.reviews).toEqual([other.body.review])
    expect(list.body.pageData.total).toBe(1)
  })

  it('lists reviews in the order of their making, whole or in pages', async () => {
    const seed = await seedApplication(level)
    expect((await api.get(`${seed.path}/reviews`)).body).toEqual({ reviews: [] })
    const made: Answer[] = []
    for (let i = 0; i < 3; i++) made.push(await review(seed, { comment: `Number ${i}` }))
    const all = made.map(({ body }) => body.review)
    expect((await api.get(`${seed.path}/reviews`)).body).toEqual({ reviews: all })
    for (const [page, shown] of [
      [1, all.slice(0, 2)],
      [2, all.slice(2)],
      [3, []],
    ] as const) {
      expect((await api.get(`${seed.path}/reviews?page=${page}&count=2`)).body).toEqual({
        reviews: shown,
        pageData: { page, count: 2, total: 3 },
      })
    }
    const cursor = await api.get(`${seed.path}/reviews?limit=2`)
    expect(cursor.body).toEqual({ reviews: all.slice(0, 2) })
    const next = /<([^>]+)>/.exec(cursor.headers.get('Link') ?? '')?.[1] ?? ''
    expect((await api.get(next)).body).toEqual({ reviews: all.slice(2) })
    expect(await news()).toEqual([applied(seed.subject), ...Array(3).fill(reviewed(seed.subject))])
  })

  it('looks up what the path names, from left to right, before it looks at the body', async () => {
    const seed = await seedApplication(level)
    const made = await review(seed)
    const words = pathOf(seed, made).split('/')
    const models: Record<string, string> = {
      systems: 'system',
      issuers: 'issuer',
      programs: 'program',
      badges: 'badge',
      applications: 'application',
      reviews: 'review',
    }
    for (let at = 2; at < words.length; at += 2) {
      const model = models[words[at - 1] ?? ''] ?? ''
      const wrong = words.map((word, i) => (i >= at && i % 2 === 0 ? 'nope' : word)).join('/')
      const text = missing(model, 'nope')
      expect(await refused(404, () => api.get(wrong))).toEqual(text)
      expect(await refused(404, () => api.put(wrong, { author: 'nope' }))).toEqual(text)
      expect(await refused(404, () => api.delete(wrong))).toEqual(text)
      if (model === 'review') continue
      const list = wrong.slice(0, wrong.lastIndexOf('/'))
      expect(await refused(404, () => api.get(list))).toEqual(text)
      expect(await refused(404, () => api.post(list, { author: 'nope' }))).toEqual(text)
    }
  })
})

describe('a review', () => {
  it('belongs to one application', async () => {
    const seed = await seedApplication(atSystem)
    const made = await review(seed)
    const other = await api.post(`${seed.badgePath}/applications`, { learner: 'x@example.org' })
    const { slug } = other.body.application
    const wrong = `${seed.badgePath}/applications/${slug}/reviews/${made.body.review.slug}`
    const text = missing('review', made.body.review.slug)
    expect(await refused(404, () => api.get(wrong))).toEqual(text)
    expect(await refused(404, () => api.put(wrong, { comment: 'x' }))).toEqual(text)
    expect(await refused(404, () => api.delete(wrong))).toEqual(text)
    expect(await news()).toEqual([applied(seed.subject), reviewed(seed.subject), applied(slug)])
  })

  it('answers under every container that its badge hangs from', async () => {
    const seed = await seedApplication(atProgram)
    const made = await review(seed)
    const tail = pathOf(seed, made).slice(seed.container.length)
    const issuer = seed.container.split('/').slice(0, 5).join('/')
    for (const at of [seed.system, issuer]) {
      expect(await show(at + tail)).toEqual(made.body.review)
      const list = await api.get(at + tail.slice(0, tail.lastIndexOf('/')))
      expect(list.body).toEqual({ reviews: [made.body.review] })
    }
  })

  it('may be one of several by one author', async () => {
    const seed = await seedApplication(atSystem)
    const [one, two] = [await review(seed), await review(seed)]
    expect(one.body.review.author).toBe(two.body.review.author)
    expect(one.body.review.slug).not.toBe(two.body.review.slug)
    expect(await news()).toEqual([
      applied(seed.subject),
      reviewed(seed.subject),
      reviewed(seed.subject),
    ])
  })

  it('is read from a form as from JSON', async () => {
    const seed = await seedApplication(atSystem)
    const [one, two] = seed.criteria
    const made = await api.form(`${seed.path}/reviews`, {
      author: 'a+b@example.org',
      comment: 'one & two',
      'reviewItems[0][criterionId]': String(one),
      'reviewItems[0][satisfied]': 'true',
      'reviewItems[1][criterionId]': String(two),
      'reviewItems[1][satisfied]': '1',
      'reviewItems[1][comment]': 'ok',
    })
    expect(made.body.review).toMatchObject({
      author: 'a+b@example.org',
      comment: 'one & two',
      reviewItems: [
        { criterionId: one, satisfied: 1, comment: null },
        { criterionId: two, satisfied: 1, comment: 'ok' },
      ],
    })
    expect(JSON.parse((await lastMessage(seed)).body).approved).toBe(true)
    expect(await news()).toEqual([applied(seed.subject), reviewed(seed.subject)])
  })

  it('keeps its items when a change does not name them, and loses them to an empty list', async () => {
    const seed = await seedApplication(atSystem)
    const reviewItems = seed.criteria.map((criterionId) => ({ criterionId, satisfied: 1 }))
    const made = await review(seed, { reviewItems, comment: 'First' })
    const path = pathOf(seed, made)
    const kept = { ...made.body.review, author: 'new@example.org' }
    for (const more of [{}, { reviewItems: null }]) {
      const changed = await api.put(path, { author: 'new@example.org', ...more })
      expect(changed.body).toEqual({ status: 'updated', review: kept })
      expect((await lastMessage(seed)).body).toBe(await expected(seed, path, true))
    }
    const cleared = await api.put(path, { reviewItems: [] })
    expect(cleared.body.review).toEqual({ ...kept, reviewItems: [] })
    expect(await show(path)).toEqual(cleared.body.review)
    expect((await lastMessage(seed)).body).toBe(await expected(seed, path, false))
    const [, ...rest] = reviewItems
    const replaced = await api.put(path, { reviewItems: rest })
    expect(replaced.body.review.reviewItems).toHaveLength(2)
    expect(await news()).toEqual([applied(seed.subject), ...Array(5).fill(reviewed(seed.subject))])
  })

  it('may be put back whole, as it was loaded', async () => {
    const seed = await seedApplication(atSystem)
    const reviewItems = seed.criteria.map((criterionId) => ({ criterionId, satisfied: 1 }))
    const made = await review(seed, { reviewItems, comment: 'Good' })
    const same = await api.put(pathOf(seed, made), made.body.review)
    expect(same.body).toEqual({ status: 'updated', review: made.body.review })
    expect(await news()).toEqual([
      applied(seed.subject),
      reviewed(seed.subject),
      reviewed(seed.subject),
    ])
  })

  it('lets no body move it, rename it or reach another', async () => {
    const seed = await seedApplication(atSystem)
    const item = { criterionId: seed.criteria[0], satisfied: 1, comment: 'Theirs' }
    const target = await review(seed, { reviewItems: [item] })
    const stranger = await seedApplication(atProgram)
    const made = await review(stranger)
    const theirs = await env.DB.prepare('select id from reviewItems where reviewId = ?')
      .bind(target.body.review.id)
      .first('id')
    const changed = await api.put(pathOf(stranger, made), {
      id: target.body.review.id,
      slug: target.body.review.slug,
      applicationId: seed.application.id,
      op: 'x',
      version: 9,
      createdAt: 1,
      reviewItems: [{ id: theirs, reviewId: target.body.review.id, criterionId: 5, satisfied: 0 }],
    })
    expect(changed.body.review).toEqual({
      ...made.body.review,
      reviewItems: [{ criterionId: 5, satisfied: 0, comment: null }],
    })
    expect(await show(pathOf(seed, target))).toEqual(target.body.review)
    const list = await api.get(`${stranger.path}/reviews`)
    expect(list.body).toEqual({ reviews: [changed.body.review] })
    expect(await news()).toEqual([
      applied(seed.subject),
      reviewed(seed.subject),
      applied(stranger.subject),
      reviewed(stranger.subject),
      reviewed(stranger.subject),
    ])
  })

  it('stores an item of a criterion that the badge lacks', async () => {
    const seed = await seedApplication(atSystem)
    const other = await seedApplication(atSystem)
    const [foreign] = other.criteria
    const made = await review(seed, {
      reviewItems: [
        { criterionId: 999_999, satisfied: 1 },
        { criterionId: foreign, satisfied: 1 },
      ],
    })
    expect(made.status).toBe(201)
    expect(await show(pathOf(seed, made))).toMatchObject({
      reviewItems: [{ criterionId: 999_999 }, { criterionId: foreign }],
    })
    expect(await news()).toEqual([
      applied(seed.subject),
      applied(other.subject),
      reviewed(seed.subject),
    ])
  })

  it('is gone once when four delete it at once', async () => {
    const seed = await seedApplication(atSystem)
    const made = await review(seed)
    await review(seed)
    const answers = await Promise.all([1, 2, 3, 4].map(() => api.delete(pathOf(seed, made))))
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 404, 404, 404])
    const { pageData } = (await api.get(`${seed.path}/reviews?page=1&count=1`)).body
    expect(pageData.total).toBe(1)
    expect(await news()).toEqual([
      applied(seed.subject),
      reviewed(seed.subject),
      reviewed(seed.subject),
    ])
  })
})

describe('an invalid field', () => {
  let seed: Seed
  let path: string
  beforeAll(async () => {
    seed = await seedApplication(atSystem)
    await seedWebhook(seed.system)
    path = pathOf(seed, await review(seed))
  })

  const UNEXPECTED = 'Unexpected value or invalid argument'
  const FAULTS: [string, object, [string, string, unknown][]][] = [
    ['an author that is no address', { author: 'nope' }, [['Invalid email', 'author', 'nope']]],
    ['an author of null', { author: null }, [['Required field', 'author', '']]],
    ['a comment that is no text', { comment: [1] }, [['String is not in range', 'comment', [1]]]],
    [
      'an item without its two fields',
      { reviewItems: [{ comment: 'x' }] },
      [
        ['Required field', 'reviewItems[0].criterionId', ''],
        ['Required field', 'reviewItems[0].satisfied', ''],
      ],
    ],
    [
      'an item with words for a number',
      {
        reviewItems: [
          { criterionId: 1, satisfied: 1 },
          { criterionId: 'one', satisfied: 1 },
        ],
      },
      [['Invalid integer', 'reviewItems[1].criterionId', 'one']],
    ],
    [
      'an item that is satisfied a bit',
      { reviewItems: [{ criterionId: 1, satisfied: 2 }] },
      [[UNEXPECTED, 'reviewItems[0].satisfied', 2]],
    ],
    [
      'an item whose comment is no text',
      { reviewItems: [{ criterionId: 1, satisfied: 1, comment: {} }] },
      [['String is not in range', 'reviewItems[0].comment', {}]],
    ],
  ]

  it.each(FAULTS)(
    'is refused, new or changed, and told to nobody: %s',
    async (_n, given, details) => {
      const made = await refused(400, () => review(seed, given))
      expect(made).toEqual(invalid(...details))
      const changed = await refused(400, () => api.put(path, given))
      expect(changed).toEqual(invalid(...details))
    },
  )

  it.each([['words'], [[null]], [[7]]])('is refused as items: %j', async (reviewItems) => {
    const body = await refused(400, () => review(seed, { reviewItems }))
    expect(body.details.map(({ field }: { field: string }) => field)).toEqual(['reviewItems[0]'])
  })

  it('is refused with a wrong signature before anything else, and told to nobody', async () => {
    await refused(403, () => api.post(`${seed.path}/reviews`, { author: AUTHOR }, { secret: 'no' }))
    await refused(403, () => api.put(path, { comment: 'x' }, { secret: 'no' }))
    await refused(403, () => api.delete(path, { secret: 'no' }))
  })
})

describe('an application is approved', () => {
  type Given = [which: number | 'foreign', satisfied: unknown][]
  const CASES: [string, boolean, Given][] = [
    [
      'with every required criterion satisfied',
      true,
      [
        [0, 1],
        [1, 1],
      ],
    ],
    [
      'with the optional one too',
      true,
      [
        [2, 1],
        [1, 1],
        [0, 1],
      ],
    ],
    [
      'when only the optional one is not satisfied',
      true,
      [
        [0, 1],
        [1, 1],
        [2, 0],
      ],
    ],
    [
      'not when a required one is missing',
      false,
      [
        [0, 1],
        [2, 1],
      ],
    ],
    [
      'not when a required one is not satisfied',
      false,
      [
        [0, 1],
        [1, 0],
        [2, 1],
      ],
    ],
    ['not without items', false, []],
    [
      'when one of two items of a criterion is satisfied',
      true,
      [
        [0, 0],
        [0, 1],
        [1, 1],
      ],
    ],
    [
      'not by items of other criteria',
      false,
      [
        ['foreign', 1],
        ['foreign', 1],
      ],
    ],
    [
      'in spite of an item of another criterion',
      true,
      [
        [0, 1],
        [1, 1],
        ['foreign', 0],
      ],
    ],
    [
      'by 1 and "1"',
      true,
      [
        [0, 1],
        [1, '1'],
      ],
    ],
    [
      'by true and "true"',
      true,
      [
        [0, true],
        [1, 'true'],
      ],
    ],
    [
      'not by 0',
      false,
      [
        [0, 1],
        [1, 0],
      ],
    ],
    [
      'not by "0"',
      false,
      [
        [0, 1],
        [1, '0'],
      ],
    ],
    [
      'not by false',
      false,
      [
        [0, 1],
        [1, false],
      ],
    ],
    [
      'not by "false"',
      false,
      [
        [0, 1],
        [1, 'false'],
      ],
    ],
  ]
  let seed: Seed
  let foreign: number
  beforeAll(async () => {
    seed = await seedApplication(atSystem)
    foreign = (await seedApplication(atSystem)).criteria[0] ?? 0
  })
  const itemsOf = (given: Given) =>
    given.map(([which, satisfied]) => ({
      criterionId: which === 'foreign' ? foreign : seed.criteria[which],
      satisfied,
    }))
  const approved = async (of: Seed) => JSON.parse((await lastMessage(of)).body).approved

  it.each(CASES)('%s', async (_name, expectation, given) => {
    const made = await review(seed, { reviewItems: itemsOf(given) })
    expect(await approved(seed)).toBe(expectation)
    // The same from the stored items, and from items given anew.
    await api.put(pathOf(seed, made), { comment: 'x' })
    expect(await approved(seed)).toBe(expectation)
    await api.put(pathOf(seed, made), { reviewItems: [] })
    expect(await approved(seed)).toBe(false)
    await api.put(pathOf(seed, made), { reviewItems: itemsOf(given) })
    expect(await approved(seed)).toBe(expectation)
    expect(await news()).toEqual(Array(4).fill(reviewed(seed.subject)))
  })

  it('not by the items of an earlier review', async () => {
    await review(seed, {
      reviewItems: itemsOf([
        [0, 1],
        [1, 1],
      ]),
    })
    expect(await approved(seed)).toBe(true)
    await review(seed, { reviewItems: itemsOf([[0, 1]]) })
    expect(await approved(seed)).toBe(false)
    expect(await news()).toHaveLength(2)
  })

  it.each([
    ['no criteria', []],
    ['none that is required', [{ description: 'Optional', required: 0 }]],
  ])('without an item when the badge has %s', async (_name, criteria) => {
    const free = await seedApplication(atSystem, { criteria })
    await review(free)
    expect(await approved(free)).toBe(true)
    expect(await news()).toEqual([applied(free.subject), reviewed(free.subject)])
  })

  it('by the criteria that the badge has at that time', async () => {
    const changing = await seedApplication(atSystem)
    const [one] = changing.criteria
    const made = await review(changing, { reviewItems: [{ criterionId: one, satisfied: 1 }] })
    expect(await approved(changing)).toBe(false)
    await api.put(changing.badgePath, { criteria: [{ id: one, ...CRITERIA[0] }] })
    await api.put(pathOf(changing, made), {})
    expect(await approved(changing)).toBe(true)
    expect(await news()).toEqual([
      applied(changing.subject),
      reviewed(changing.subject),
      event('badge.updated')(await uidOf(changing.badge)),
      reviewed(changing.subject),
    ])
  })
})

describe('the message of a review', () => {
  const controls = String.fromCharCode(...Array.from({ length: 31 }, (_, i) => i + 1))
  it.each([
    ['emoji', '🎖️👩‍🚀 𝕏 🇪🇺'],
    ['quotes and backslashes', `"it's" \\"so\\" \\u0041 \\\\ \\n`],
    ['newlines and tabs', 'one\ntwo\r\nthree\tfour'],
    ['every control character', `a${controls}\u007f\u0080\u009fb`],
    ['line separators', 'a\u2028b\u2029c\ufeffd\u00ade'],
    ['markup and SQL', `</script><!-- ' ; drop table events; -- ' || json_quote(?1)`],
    ['JSON', '{"a":[1,null]},"b":"'],
    ['nothing', ''],
  ])('is compact JSON, equal to what the API shows: %s', async (_name, text) => {
    const named = text === '' ? {} : { name: text, tags: [text], categories: [text] }
    const seed = await seedApplication(atSystem, {
      ...named,
      criteria: [{ description: text || 'x', required: 1, note: text }],
      strapline: text,
    })
    await api.put(seed.path, { evidence: [{ reflection: text }, { url: '', reflection: text }] })
    const [criterionId] = seed.criteria
    const made = await review(seed, {
      author: "o'n`{|}~$&@example.org",
      comment: text,
      reviewItems: [{ criterionId, satisfied: 1, comment: text }],
    })
    expect(made.status, JSON.stringify(made.body)).toBe(201)
    const path = pathOf(seed, made)
    await api.put(path, { comment: text })
    const recorded = await messages(seed)
    expect(recorded).toHaveLength(2)
    const put = (await api.get(seed.path)).body.application
    expect(put).not.toEqual(seed.application)
    expect(await messages(seed, 'application.created')).toEqual([
      { body: null, data: JSON.stringify({ application: seed.application }) },
    ])
    expect(await messages(seed, 'application.updated')).toEqual([
      { body: null, data: JSON.stringify({ application: put }) },
    ])
    const body = await expected(seed, path, true)
    for (const each of recorded) {
      expect(JSON.stringify(JSON.parse(each.body))).toBe(each.body)
      expect(JSON.stringify(JSON.parse(each.data))).toBe(each.data)
      expect(each.body).toBe(body)
    }
    expect(JSON.parse(body).review).toMatchObject({
      comment: text,
      reviewItems: [{ comment: text }],
    })
    expect(await news()).toEqual([
      applied(seed.subject),
      updated(seed.subject),
      reviewed(seed.subject),
      reviewed(seed.subject),
    ])
  })

  it('reaches those who ask for reviews, signed with its own digest and nothing else', async () => {
    const seed = await seedApplication(atSystem)
    const hook = await seedWebhook(seed.system, { events: ['review'] })
    const whole = await seedWebhook(seed.system, { events: ['review'], format: 'events-1' })
    const awards = await seedWebhook(seed.system, { events: ['award', 'revoke'] })
    await review(seed, { comment: 'Well done 🎖️' })
    expect(await news()).toEqual([applied(seed.subject), reviewed(seed.subject, 2)])
    const [received] = await vi.waitFor(
      async () => {
        const came = [...(await hook.received()), ...(await whole.received())]
        expect(came).toHaveLength(2)
        return came
      },
      { timeout: 10_000, interval: 50 },
    )
    const { body } = await lastMessage(seed)
    expect(received?.body).toBe(body)
    const token = /^JWT token="([\w.-]+)"$/.exec(received?.headers.authorization ?? '')?.[1] ?? ''
    await jwtVerify(token, new TextEncoder().encode(hook.secret), { algorithms: ['HS256'] })
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(body))
    const hash = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0'))
    expect(decodeJwt(token)).toEqual({ body: { alg: 'sha256', hash: hash.join('') } })
    const [envelope] = await whole.received()
    const { data, type } = JSON.parse(envelope?.body ?? '')
    expect(type).toBe('application.reviewed')
    const { action, ...told } = JSON.parse(body)
    expect(action).toBe('review')
    expect(JSON.stringify(data)).toBe(JSON.stringify(told))
    expect(await awards.received()).toEqual([])
  })

  it('shows the application as it stands, its processing included', async () => {
    const seed = await seedApplication(atSystem)
    await api.put(seed.path, { processed: 1_400_094_712, assignedTo: 'boss@example.org' })
    const made = await review(seed)
    const { body } = await lastMessage(seed)
    expect(body).toBe(await expected(seed, pathOf(seed, made), false))
    expect(JSON.parse(body).application).toMatchObject({
      processed: '2014-05-14T19:11:52.000Z',
      assignedTo: 'boss@example.org',
    })
    expect(await news()).toEqual([
      applied(seed.subject),
      updated(seed.subject),
      reviewed(seed.subject),
    ])
  })
})
