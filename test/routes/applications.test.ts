import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, it } from 'vitest'
import * as schema from '../../drizzle/schema'
import { type Answer, api } from '../helpers/api'
import { quietly as quietlyAnswered, tells, watch } from '../helpers/changes'
import { badge, levels, outbox, rows, seedBadge, seedWebhook, unique } from '../helpers/seed'

type Seed = Awaited<ReturnType<typeof seedBadge>>

const [atSystem, , atProgram] = levels
const MD5 = /^[\da-f]{32}$/
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const KEYS = [
  'id',
  'slug',
  'learner',
  'created',
  'assignedTo',
  'assignedExpiration',
  'badge',
  'processed',
  'evidence',
]
const { refused } = watch(
  schema.applications,
  schema.evidence,
  schema.reviews,
  schema.reviewItems,
  schema.badges,
  schema.counters,
  schema.audit,
  schema.events,
  schema.deliveries,
)
const quietly = async (status: number, call: () => Promise<Answer>) =>
  (await quietlyAnswered(status, call)).body
/** Makes an application, and tells of it. */
const applies = async (call: () => Promise<Answer>) =>
  (await tells(['application.created'], 201, call)).body
/** Changes an application, and tells of it. */
const updates = async (call: () => Promise<Answer>) =>
  (await tells(['application.updated'], 200, call)).body

const invalid = (...details: [message: string, field: string, value: unknown][]) => ({
  code: 'ValidationError',
  message: 'Could not validate required fields',
  details: details.map(([message, field, value]) => ({ message, field, value })),
})
const missing = (model: string, value: string) => ({
  code: 'ResourceNotFound',
  message: `Could not find ${model} field: \`slug\`, value: \`${value}\``,
})

const learnerOf = () => `${unique('learner')}@example.org`

/** Applies for a badge, and gives the application with its path. */
async function apply(at: string, more: object = {}) {
  const { status, body } = await api.post(`${at}/applications`, { learner: learnerOf(), ...more })
  expect(status, JSON.stringify(body)).toBe(201)
  return { ...body.application, path: `${at}/applications/${body.application.slug}` }
}

const show = async (path: string) => (await api.get(path)).body.application
const slugsOf = (answer: Answer) =>
  answer.body.applications.map(({ slug }: { slug: string }) => slug)
const ofApplication = async (table: string, id: number) =>
  (
    await env.DB.prepare(`select count(*) as n from ${table} where applicationId = ?`)
      .bind(id)
      .first<{ n: number }>()
  )?.n

const EVIDENCE = [
  { url: 'https://example.org/photo.png', mediaType: 'image', reflection: 'Look' },
  { url: 'https://example.org/page', mediaType: 'link', reflection: null },
  { url: null, mediaType: null, reflection: 'Only words' },
]

describe.each(levels)('applying for a badge of a $name', (level) => {
  it('gives the application with the whole badge, and the same when it is asked for', async () => {
    const seed = await seedBadge(level, { criteria: [{ description: 'Do it' }], tags: ['a'] })
    await seedWebhook(seed.system)
    const before = Date.now()
    const body = await applies(() =>
      api.post(`${seed.path}/applications`, { learner: 'Ada@example.org' }),
    )
    expect(Object.keys(body)).toEqual(['status', 'application'])
    expect(Object.keys(body.application)).toEqual(KEYS)
    expect(body).toEqual({
      status: 'created',
      application: {
        id: expect.any(Number),
        slug: expect.stringMatching(MD5),
        learner: 'Ada@example.org',
        created: expect.stringMatching(ISO),
        assignedTo: null,
        assignedExpiration: null,
        badge: seed.badge,
        processed: null,
        evidence: [],
      },
    })
    const created = Date.parse(body.application.created)
    expect(created).toBeGreaterThanOrEqual(before)
    expect(created).toBeLessThanOrEqual(Date.now())
    const shown = await api.get(`${seed.path}/applications/${body.application.slug}`)
    expect(shown.status).toBe(200)
    expect(JSON.stringify(shown.body)).toBe(JSON.stringify({ application: body.application }))
  })

  it('keeps evidence in its order, with null for what an item does not say', async () => {
    const seed = await seedBadge(level)
    const given = Array.from({ length: 12 }, (_, i) => ({ reflection: `Item ${i}` }))
    const body = await applies(() =>
      api.post(`${seed.path}/applications`, {
        learner: learnerOf(),
        evidence: [...EVIDENCE, {}, { url: '', mediaType: '', reflection: '' }, ...given],
      }),
    )
    const { evidence, slug } = body.application
    expect(evidence).toEqual([
      ...EVIDENCE,
      { url: null, mediaType: null, reflection: null },
      { url: null, mediaType: null, reflection: '' },
      ...given.map(({ reflection }) => ({ url: null, mediaType: null, reflection })),
    ])
    expect(Object.keys(evidence[0])).toEqual(['url', 'mediaType', 'reflection'])
    expect((await show(`${seed.path}/applications/${slug}`)).evidence).toEqual(evidence)
  })

  it('lets one learner apply as often as they like', async () => {
    const seed = await seedBadge(level)
    const learner = learnerOf()
    const [one, two] = [await apply(seed.path, { learner }), await apply(seed.path, { learner })]
    expect(two.slug).not.toBe(one.slug)
    expect(slugsOf(await api.get(`${seed.path}/applications`))).toEqual([one.slug, two.slug])
  })

  it('complains of a missing learner and of nothing else', async () => {
    const seed = await seedBadge(level)
    const body = await refused(400, () => api.post(`${seed.path}/applications`, {}))
    expect(body).toEqual(invalid(['Required field', 'learner', '']))
  })

  it('looks up what the path names, from left to right, before it looks at the body', async () => {
    const seed = await seedBadge(level)
    const made = await apply(seed.path)
    const words = made.path.split('/')
    const models: Record<string, string> = {
      systems: 'system',
      issuers: 'issuer',
      programs: 'program',
      badges: 'badge',
      applications: 'application',
    }
    for (let at = 2; at < words.length; at += 2) {
      const model = models[words[at - 1] ?? ''] ?? ''
      const wrong = words
        .map((word: string, i: number) => (i >= at && i % 2 === 0 ? 'no%20such' : word))
        .join('/')
      const text = missing(model, 'no such')
      expect(await refused(404, () => api.get(wrong))).toEqual(text)
      expect(await refused(404, () => api.put(wrong, { learner: 'nope' }))).toEqual(text)
      expect(await refused(404, () => api.delete(wrong))).toEqual(text)
      if (model === 'application') continue
      const list = wrong.slice(0, wrong.lastIndexOf('/'))
      expect(await refused(404, () => api.get(list))).toEqual(text)
      expect(await refused(404, () => api.post(list, { learner: 'nope' }))).toEqual(text)
      if (model === 'badge') continue
      const inContainer = wrong.replace(/\/badges\/.*$/, '/applications')
      expect(await refused(404, () => api.get(inContainer))).toEqual(text)
    }
  })

  it('knows no application of another badge', async () => {
    const seed = await seedBadge(level)
    const other = await api.post(`${seed.container}/badges`, badge(unique('badge')))
    const made = await apply(seed.path)
    const wrong = `${seed.container}/badges/${other.body.badge.slug}/applications/${made.slug}`
    const text = missing('application', made.slug)
    expect(await refused(404, () => api.get(wrong))).toEqual(text)
    expect(await refused(404, () => api.put(wrong, { assignedTo: 'x@example.org' }))).toEqual(text)
    expect(await refused(404, () => api.delete(wrong))).toEqual(text)
  })

  it('changes the members that are given and no others', async () => {
    const seed = await seedBadge(level)
    await seedWebhook(seed.system)
    const { path, ...made } = await apply(seed.path, { evidence: EVIDENCE })
    const body = await updates(() => api.put(path, { assignedTo: 'rev@example.org' }))
    expect(body).toEqual({
      status: 'updated',
      application: { ...made, assignedTo: 'rev@example.org' },
    })
    expect(Object.keys(body.application)).toEqual(KEYS)
    expect(await show(path)).toEqual(body.application)
    const again = await updates(() => api.put(path, { learner: 'new@example.org' }))
    expect(again.application).toEqual({ ...body.application, learner: 'new@example.org' })
  })

  it('takes the whole loaded object back, with a change', async () => {
    const seed = await seedBadge(level, { tags: ['a'], criteria: [{ description: 'Do it' }] })
    const made = await apply(seed.path, {
      evidence: EVIDENCE,
      assignedTo: 'rev@example.org',
      assignedExpiration: '2031-05-06T07:08:09.000Z',
    })
    const loaded = await show(made.path)
    const same = await updates(() => api.put(made.path, loaded))
    expect(same.application).toEqual(loaded)
    const processed = '2024-05-06T07:08:09.000Z'
    const done = await updates(() => api.put(made.path, { ...loaded, processed }))
    expect(done.application).toEqual({ ...loaded, processed })
    expect((await api.get(seed.path)).body.badge).toEqual(seed.badge)
  })

  it('deletes an application with its evidence and reviews, and nothing of another', async () => {
    const seed = await seedBadge(level)
    await seedWebhook(seed.system)
    const { path, ...made } = await apply(seed.path, { evidence: EVIDENCE })
    const other = await apply(seed.path, { evidence: EVIDENCE })
    const items = [{ criterionId: 1, satisfied: 1 }]
    for (const at of [path, path, other.path]) {
      await api.post(`${at}/reviews`, { author: 'rev@example.org', reviewItems: items })
    }
    const itemsBefore = await rows('reviewItems')
    const body = await quietly(200, () => api.delete(path))
    expect(body).toEqual({ status: 'deleted', application: made })
    expect(Object.keys(body)).toEqual(['status', 'application'])
    for (const table of ['evidence', 'reviews']) {
      expect(await ofApplication(table, made.id)).toBe(0)
    }
    expect(await rows('reviewItems')).toBe(itemsBefore - 2)
    expect(await ofApplication('evidence', other.id)).toBe(3)
    expect(await ofApplication('reviews', other.id)).toBe(1)
    const gone = missing('application', made.slug)
    expect(await refused(404, () => api.get(path))).toEqual(gone)
    expect(await refused(404, () => api.delete(path))).toEqual(gone)
    expect(await refused(404, () => api.get(`${path}/reviews`))).toEqual(gone)
    const words = seed.container.split('/')
    const containers = [3, 5, 7]
      .filter((n) => n <= words.length)
      .map((n) => words.slice(0, n).join('/'))
    for (const at of [seed.path, ...containers]) {
      const list = await api.get(`${at}/applications?page=1&count=9`)
      expect(slugsOf(list), at).toEqual([other.slug])
      expect(list.body.pageData.total, at).toBe(1)
    }
  })
})

describe('an application', () => {
  it('answers under every container that its badge hangs from, and under no other', async () => {
    const seed = await seedBadge(atProgram)
    const made = await apply(seed.path, { evidence: EVIDENCE })
    const { path, ...shown } = made
    const [, systems, system, issuers, issuer] = seed.path.split('/')
    const tail = `/badges/${seed.badge.slug}/applications/${made.slug}`
    for (const at of [`/${systems}/${system}`, `/${systems}/${system}/${issuers}/${issuer}`]) {
      expect(await show(at + tail)).toEqual(shown)
      expect(slugsOf(await api.get(`${at}/applications`))).toEqual([made.slug])
      expect(slugsOf(await api.get(`${at}/badges/${seed.badge.slug}/applications`))).toEqual([
        made.slug,
      ])
    }
    const other = await seedBadge(atProgram)
    expect((await api.get(other.container + tail)).body).toEqual(missing('badge', seed.badge.slug))
    expect((await api.get(`${other.system}/applications`)).body).toEqual({ applications: [] })
    expect(path).toBe(seed.container + tail)
  })

  it('may be made for an archived badge', async () => {
    const seed = await seedBadge(atSystem, { archived: true })
    const body = await applies(() =>
      api.post(`${seed.path}/applications`, { learner: learnerOf() }),
    )
    expect(body.application.badge.archived).toBe(true)
  })

  it('is read from a form as from JSON', async () => {
    const seed = await seedBadge(atSystem)
    const body = await applies(() =>
      api.form(`${seed.path}/applications`, {
        learner: 'a+b@example.org',
        'evidence[0][url]': 'https://example.org/1',
        'evidence[0][mediaType]': 'link',
        'evidence[1][reflection]': 'one & two',
        assignedExpiration: '',
      }),
    )
    expect(body.application).toMatchObject({
      learner: 'a+b@example.org',
      assignedExpiration: null,
      evidence: [
        { url: 'https://example.org/1', mediaType: 'link', reflection: null },
        { url: null, mediaType: null, reflection: 'one & two' },
      ],
    })
  })

  it('keeps any text of its evidence as it was given', async () => {
    const seed = await seedBadge(atSystem)
    const reflection = `"quoted" \\ 'it's' 🎖️\n\t\u0001\u007f\u2028 </script>`
    const made = await apply(seed.path, { evidence: [{ reflection }] })
    expect(made.evidence[0].reflection).toBe(reflection)
    expect((await show(made.path)).evidence[0].reflection).toBe(reflection)
  })

  it('cannot be processed when it is made', async () => {
    const seed = await seedBadge(atSystem)
    const made = await apply(seed.path, { processed: '2020-01-01', created: '2001-01-01' })
    expect(made.processed).toBe(null)
    expect(made.created).not.toMatch(/^2001/)
  })
})

const FAULTS: [string, object, [string, string, unknown][]][] = [
  ['a learner that is no address', { learner: 'nope' }, [['Invalid email', 'learner', 'nope']]],
  ['an empty learner', { learner: '' }, [['Invalid email', 'learner', '']]],
  ['a learner of null', { learner: null }, [['Required field', 'learner', '']]],
  ['an assignee that is no address', { assignedTo: 'x' }, [['Invalid email', 'assignedTo', 'x']]],
  [
    'an expiration that is no date',
    { assignedExpiration: 'tomorrow-ish' },
    [['Not a date', 'assignedExpiration', 'tomorrow-ish']],
  ],
  [
    'a URL of evidence that is none',
    { evidence: [{ url: 'NOT A URL AT ALL' }] },
    [['Invalid URL', 'evidence[0].url', 'NOT A URL AT ALL']],
  ],
  [
    'a media type of evidence that is unknown',
    { evidence: [{ mediaType: 'link' }, { mediaType: 'movie' }] },
    [['Unexpected value or invalid argument', 'evidence[1].mediaType', 'movie']],
  ],
  [
    'a reflection that is no text',
    { evidence: [{ reflection: { a: 1 } }] },
    [['String is not in range', 'evidence[0].reflection', { a: 1 }]],
  ],
  [
    'all that is wrong at once, in order',
    {
      learner: 'l',
      assignedTo: 't',
      assignedExpiration: 'e',
      evidence: [{ url: 'ridiculous-url', mediaType: 'm' }],
    },
    [
      ['Invalid email', 'learner', 'l'],
      ['Invalid email', 'assignedTo', 't'],
      ['Not a date', 'assignedExpiration', 'e'],
      ['Invalid URL', 'evidence[0].url', 'ridiculous-url'],
      ['Unexpected value or invalid argument', 'evidence[0].mediaType', 'm'],
    ],
  ],
]

describe('an invalid field', () => {
  let seed: Seed
  let made: Awaited<ReturnType<typeof apply>>
  beforeAll(async () => {
    seed = await seedBadge(atSystem)
    made = await apply(seed.path, { evidence: EVIDENCE })
  })

  it.each(FAULTS)('is refused when an application is made: %s', async (_name, given, details) => {
    const body = await refused(400, () =>
      api.post(`${seed.path}/applications`, { learner: 'ada@example.org', ...given }),
    )
    expect(body).toEqual(invalid(...details))
  })

  it.each(FAULTS)('is refused when one is changed: %s', async (_name, given, details) => {
    const body = await refused(400, () => api.put(made.path, given))
    expect(body).toEqual(invalid(...details))
  })

  it.each([['words'], [[null]], [['words']], [[7]]])(
    'is refused as evidence: %j',
    async (evidence) => {
      const body = await refused(400, () =>
        api.post(`${seed.path}/applications`, { learner: 'ada@example.org', evidence }),
      )
      expect(body.details.map(({ field }: { field: string }) => field)).toEqual(['evidence[0]'])
    },
  )

  it('is told for `processed` when one is changed', async () => {
    const body = await refused(400, () => api.put(made.path, { processed: 'soon' }))
    expect(body).toEqual(invalid(['Not a date', 'processed', 'soon']))
  })
})

describe.each(['assignedExpiration', 'processed'])('the time `%s`', (field) => {
  let seed: Seed
  let made: Awaited<ReturnType<typeof apply>>
  beforeAll(async () => {
    seed = await seedBadge(atSystem)
    made = await apply(seed.path)
  })

  const MOMENTS: [unknown, string | null][] = [
    [1_400_094_712, '2014-05-14T19:11:52.000Z'],
    ['1400094712', '2014-05-14T19:11:52.000Z'],
    [1_400_094_712_345, '2014-05-14T19:11:52.345Z'],
    ['1400094712345', '2014-05-14T19:11:52.345Z'],
    [4_102_444_800, '2100-01-01T00:00:00.000Z'],
    ['2014-05-21T19:22:09.000Z', '2014-05-21T19:22:09.000Z'],
    ['2014-05-21T21:22:09+02:00', '2014-05-21T19:22:09.000Z'],
    ['2014-05-21', '2014-05-21T00:00:00.000Z'],
    ['Wed, 21 May 2014 19:22:09 GMT', '2014-05-21T19:22:09.000Z'],
    [null, null],
    ['', null],
  ]

  it.each(MOMENTS)('given as %j is shown as %j', async (given, shown) => {
    await updates(() => api.put(made.path, { [field]: '2001-01-01' }))
    const body = await updates(() => api.put(made.path, { [field]: given }))
    expect(body.application[field]).toBe(shown)
    expect((await show(made.path))[field]).toBe(shown)
    if (field === 'processed') return
    expect((await apply(seed.path, { [field]: given }))[field]).toBe(shown)
  })
})

describe('changing an application', () => {
  it('opens it again with `processed: null`, and not without `processed`', async () => {
    const seed = await seedBadge(atSystem)
    const made = await apply(seed.path)
    await updates(() => api.put(made.path, { processed: 1_400_094_712 }))
    const kept = await updates(() => api.put(made.path, { assignedTo: 'rev@example.org' }))
    expect(kept.application.processed).toBe('2014-05-14T19:11:52.000Z')
    const opened = await updates(() => api.put(made.path, { processed: null }))
    expect(opened.application).toEqual({ ...kept.application, processed: null })
  })

  it.each<[string, object, object[]]>([
    ['keeps it when absent', {}, EVIDENCE],
    ['keeps it when null', { evidence: null }, EVIDENCE],
    ['clears it with an empty list', { evidence: [] }, []],
    [
      'replaces it as a whole',
      { evidence: [{ reflection: 'New' }] },
      [{ url: null, mediaType: null, reflection: 'New' }],
    ],
  ])('treats evidence so: %s', async (_name, given, evidence) => {
    const seed = await seedBadge(atSystem)
    const made = await apply(seed.path, { evidence: EVIDENCE })
    const body = await updates(() => api.put(made.path, given))
    expect(body.application.evidence).toEqual(evidence)
    expect((await show(made.path)).evidence).toEqual(evidence)
    expect(await ofApplication('evidence', made.id)).toBe(evidence.length)
  })

  it('lets no body move it, rename it or reach another', async () => {
    const seed = await seedBadge(atSystem)
    const target = await apply(seed.path, { evidence: EVIDENCE })
    const stranger = await seedBadge(atProgram)
    const { path, ...made } = await apply(stranger.path, { evidence: EVIDENCE })
    const evidenceId = await env.DB.prepare(
      'select min(id) as id from evidence where applicationId = ?',
    )
      .bind(target.id)
      .first('id')
    const body = await updates(() =>
      api.put(path, {
        id: target.id,
        slug: target.slug,
        created: '2001-01-01T00:00:00.000Z',
        createdAt: 1,
        updatedAt: 1,
        op: 'x',
        version: 99,
        badgeId: seed.badge.id,
        systemId: seed.badge.system.id,
        issuerId: null,
        programId: null,
        applicationId: target.id,
        imageId: 1,
        badge: { ...seed.badge, name: 'Taken over' },
        evidence: [{ id: evidenceId, applicationId: target.id, reflection: 'Mine' }],
      }),
    )
    expect(body.application).toEqual({
      ...made,
      evidence: [{ url: null, mediaType: null, reflection: 'Mine' }],
    })
    const { path: targetPath, ...untouched } = target
    expect(await show(targetPath)).toEqual(untouched)
    expect((await api.get(seed.path)).body.badge.name).toBe(seed.badge.name)
  })

  it('answers 200 to fields that it does not know, and changes nothing that shows', async () => {
    const seed = await seedBadge(atSystem)
    const { path, ...made } = await apply(seed.path)
    const body = await updates(() => api.put(path, { nothing: 'known' }))
    expect(body.application).toEqual(made)
    const empty = await updates(() => api.put(path, {}))
    expect(empty.application).toEqual(made)
  })
})

describe('listing applications', () => {
  /** Two badges in a program with five applications between them, two of one learner, two processed. */
  async function seedList() {
    const seed = await seedBadge(atProgram, { tags: ['one'], criteria: [{ description: 'One' }] })
    const made = await api.post(`${seed.container}/badges`, {
      ...badge(unique('badge')),
      tags: ['two'],
      categories: ['Two'],
      criteria: [{ description: 'Two', required: 1 }],
      alignments: [{ name: 'Two', url: 'https://example.org/two' }],
    })
    const second = `${seed.container}/badges/${made.body.badge.slug}`
    const learner = 'Ada.Lovelace@example.org'
    // Those of the second badge first: the order of a list is not that of their making.
    const c = await apply(second, { learner })
    const d = await apply(second)
    const a = await apply(seed.path, { learner })
    const b = await apply(seed.path)
    const e = await apply(second)
    for (const { path } of [b, c]) await api.put(path, { processed: 1_400_094_712 })
    return { ...seed, second, all: { a, b, c, d, e }, badges: [seed.badge, made.body.badge] }
  }

  type List = Awaited<ReturnType<typeof seedList>>
  type All = List['all']
  /** For tests that only read. */
  let shared: List
  beforeAll(async () => {
    shared = await seedList()
  })
  const names = (all: All, answer: Answer) => {
    const known = new Map(Object.entries(all).map(([name, { slug }]) => [slug, name]))
    return slugsOf(answer)
      .map((slug: string) => known.get(slug) ?? '?')
      .join('')
  }

  it('goes by badge and then by age', async () => {
    const { container, all, path, second } = await seedList()
    expect(names(all, await api.get(`${container}/applications`))).toBe('abcde')
    // Older than those made before it.
    await env.DB.prepare('update applications set createdAt = createdAt - 5000 where id = ?')
      .bind(all.e.id)
      .run()
    expect(names(all, await api.get(`${container}/applications`))).toBe('abecd')
    expect(names(all, await api.get(`${second}/applications`))).toBe('ecd')
    expect(names(all, await api.get(`${path}/applications`))).toBe('ab')
  })

  it('shows each with the badge that it is for, in full, and with its own evidence', async () => {
    const { container, all, badges } = await seedList()
    await api.put(all.b.path, { evidence: EVIDENCE })
    const { body } = await api.get(`${container}/applications`)
    const [one, two] = badges
    expect(body.applications.map((each: { badge: object }) => each.badge)).toEqual([
      one,
      one,
      two,
      two,
      two,
    ])
    for (const each of body.applications) expect(Object.keys(each)).toEqual(KEYS)
    expect(body.applications[1].evidence).toEqual(EVIDENCE)
    for (const each of [0, 2, 3, 4]) expect(body.applications[each].evidence).toEqual([])
    expect(body.applications[1]).toEqual(await show(all.b.path))
  })

  it.each([
    ['', 'abcde'],
    ['?processed=', 'abcde'],
    ['?processed=any', 'abcde'],
    ['?processed=true', 'bc'],
    ['?processed=1', 'bc'],
    ['?processed=false', 'ade'],
    ['?processed=0', 'ade'],
    ['?email=ADA.lovelace@EXAMPLE.org', 'ac'],
    ['?email=ada.lovelace%40example.org', 'ac'],
    ['?email=', 'abcde'],
    ['?email=nobody@example.org', ''],
    ['?email=ada.lovelace@example.org&processed=true', 'c'],
    ['?email=ada.lovelace@example.org&processed=false', 'a'],
    ['?processed=any&email=ada.lovelace@example.org', 'ac'],
  ])('with `%s` gives those that it asks for, and their number', async (filter, expected) => {
    const { container, path, second, all, system } = shared
    const issuer = container.split('/').slice(0, 5).join('/')
    for (const at of [system, issuer, container]) {
      const answer = await api.get(`${at}/applications${filter}`)
      expect(names(all, answer)).toBe(expected)
      expect('pageData' in answer.body).toBe(false)
      const page = await api.get(`${at}/applications${filter}${filter ? '&' : '?'}page=1&count=2`)
      expect(names(all, page)).toBe(expected.slice(0, 2))
      expect(page.body.pageData).toEqual({ page: 1, count: 2, total: expected.length })
    }
    const ofFirst = [...expected].filter((name) => 'ab'.includes(name)).join('')
    expect(names(all, await api.get(`${path}/applications${filter}`))).toBe(ofFirst)
    const page = await api.get(`${second}/applications${filter}${filter ? '&' : '?'}page=2&count=1`)
    expect(page.body.pageData.total).toBe(expected.length - ofFirst.length)
    expect(names(all, page)).toBe(expected.slice(ofFirst.length).slice(1, 2))
  })

  it.each(['weird-value', 'True', '2', 'null', ' '])('refuses `processed=%s`', async (word) => {
    for (const at of [shared.container, shared.path]) {
      const body = await refused(400, () =>
        api.get(`${at}/applications?processed=${encodeURIComponent(word)}`),
      )
      expect(JSON.stringify(body)).toBe(
        `{"code":"InvalidParameter","parameter":"processed","message":"Invalid \`processed\` parameter. Expecting one of 'true', 'false' or 'any'."}`,
      )
    }
  })

  it('pages through all of them, each once', async () => {
    const { container, all } = shared
    const pages = [1, 2, 3, 4].map((page) =>
      api.get(`${container}/applications?page=${page}&count=2`),
    )
    const answers = await Promise.all(pages)
    expect(answers.map((answer) => names(all, answer))).toEqual(['ab', 'cd', 'e', ''])
    for (const { body } of answers) expect(body.pageData.total).toBe(5)
    const ignored = await api.get(`${container}/applications?page=0&count=2`)
    expect(names(all, ignored)).toBe('abcde')
    expect('pageData' in ignored.body).toBe(false)
  })

  it('follows a cursor through all of them, filtered or not', async () => {
    const { container, all } = shared
    for (const [filter, expected] of [
      ['', 'abcde'],
      ['processed=false&', 'ade'],
      ['email=ada.lovelace@example.org&', 'ac'],
    ] as const) {
      let next: string | undefined = `${container}/applications?${filter}limit=1`
      let seen = ''
      while (next) {
        const answer: Answer = await api.get(next)
        expect(answer.status, next).toBe(200)
        seen += names(all, answer)
        next = /<([^>]+)>; rel="next"/.exec(answer.headers.get('Link') ?? '')?.[1]
      }
      expect(seen).toBe(expected)
    }
  })

  it('gives those of the container and of what hangs below it, and counts them', async () => {
    const { container, system, all } = await seedList()
    const issuer = container.split('/').slice(0, 5).join('/')
    const place = { system, issuer, program: container }
    const extra: Record<string, string> = {}
    for (const name of ['issuer', 'system'] as const) {
      const made = await api.post(`${place[name]}/badges`, badge(unique('badge')))
      extra[name] = (await apply(`${place[name]}/badges/${made.body.badge.slug}`)).slug
    }
    const sibling = `${system}/issuers/${unique('sibling')}`
    const slug = sibling.split('/').at(-1)
    await api.post(`${system}/issuers`, { slug, name: 'S', url: 'https://s.example.org' })
    const made = await api.post(`${sibling}/badges`, badge(unique('badge')))
    const far = await apply(`${sibling}/badges/${made.body.badge.slug}`)

    const ofProgram = [all.a, all.b, all.c, all.d, all.e].map((each) => each.slug)
    const expected = {
      [place.program]: ofProgram,
      [place.issuer]: [...ofProgram, extra.issuer],
      [place.system]: [...ofProgram, extra.issuer, extra.system, far.slug],
      [sibling]: [far.slug],
    }
    for (const [at, slugs] of Object.entries(expected)) {
      expect(slugsOf(await api.get(`${at}/applications`)), at).toEqual(slugs)
      const { pageData } = (await api.get(`${at}/applications?page=9&count=9`)).body
      expect(pageData, at).toEqual({ page: 9, count: 9, total: slugs.length })
    }
  })

  it('loses those of a deleted badge, and keeps those of a deleted program', async () => {
    const { container, system, second, all } = await seedList()
    const issuer = container.split('/').slice(0, 5).join('/')
    await quietly(200, () => api.delete(second))
    for (const at of [container, issuer, system]) {
      const answer = await api.get(`${at}/applications?page=1&count=9`)
      expect(names(all, answer), at).toBe('ab')
      expect(answer.body.pageData.total, at).toBe(2)
    }
    await quietly(200, () => api.delete(container))
    for (const at of [issuer, system]) {
      const answer = await api.get(`${at}/applications?page=1&count=9`)
      expect(names(all, answer), at).toBe('ab')
      expect(answer.body.pageData.total, at).toBe(2)
      expect('program' in answer.body.applications[0].badge).toBe(false)
    }
    await quietly(200, () => api.delete(issuer))
    const answer = await api.get(`${system}/applications?page=1&count=9`)
    expect(names(all, answer)).toBe('ab')
    expect(answer.body.pageData.total).toBe(2)
  })
})

it('of two who delete one application at once, one is told that it is gone', async () => {
  const seed: Seed = await seedBadge(atSystem)
  const made = await apply(seed.path)
  await apply(seed.path)
  const before = await outbox()
  const answers = await Promise.all([1, 2, 3, 4].map(() => api.delete(made.path)))
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 404, 404, 404])
  const { pageData } = (await api.get(`${seed.path}/applications?page=1&count=1`)).body
  expect(pageData.total).toBe(1)
  expect(await outbox()).toEqual(before)
})
