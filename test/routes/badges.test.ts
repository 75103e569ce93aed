import { env, exports } from 'cloudflare:workers'
import { describe, expect, test } from 'vitest'
import * as schema from '../../drizzle/schema'
import type { Level } from '../../src/levels'
import { type Answer, api, ORIGIN, send } from '../helpers/api'
import { quietly, refusal, tells, watch } from '../helpers/changes'
import {
  badge,
  container,
  levels,
  outbox,
  PNG,
  PNG_URI,
  rows,
  seedBadge,
  seedContainer,
  unique,
} from '../helpers/seed'

/** Changes a badge, and tells of it. */
const updates = (call: () => Promise<Answer>) => tells(['badge.updated'], 200, call)

/** The members of a badge of a level, in the order of contract §4.2. */
const keysOf = ({ name }: Level) => [
  'id',
  'slug',
  'name',
  'strapline',
  'earnerDescription',
  'consumerDescription',
  'issuerUrl',
  'rubricUrl',
  'timeValue',
  'timeUnits',
  'limit',
  'unique',
  'created',
  'imageUrl',
  'type',
  'archived',
  'system',
  ...(name === 'system' ? [] : ['issuer']),
  ...(name === 'program' ? ['program'] : []),
  'criteriaUrl',
  'criteria',
  'alignments',
  'evidenceType',
  'categories',
  'tags',
  'milestones',
]

const LISTS = {
  criteria: [
    { description: 'Do it', required: 1, note: 'n1' },
    { description: 'Do it twice', required: 0, note: '' },
  ],
  alignments: [
    { name: 'CCSS 1', url: 'http://example.org/ccss1', description: 'd1' },
    { name: 'CCSS 2', url: 'http://example.org/ccss2', description: null },
  ],
  categories: ['Science', 'Math'],
  tags: ['fun', 'hard'],
}
const FIELDS = {
  name: 'First Badge',
  strapline: 'A strap',
  earnerDescription: 'For earners',
  consumerDescription: 'For consumers',
  issuerUrl: 'http://example.org/issuer',
  rubricUrl: '',
  timeValue: 5,
  timeUnits: 'hours',
  limit: 0,
  unique: 0,
  type: 'skill',
  archived: true,
  criteriaUrl: 'http://example.org/criteria',
  evidenceType: 'URL',
}
const STORED = new RegExp(`^${ORIGIN.replaceAll('.', '\\.')}/public/images/[0-9a-f]{32}$`)

const { changesNothing, refused } = watch(
  schema.systems,
  schema.issuers,
  schema.programs,
  schema.badges,
  schema.criteria,
  schema.alignments,
  schema.categories,
  schema.tags,
  schema.images,
  schema.counters,
  schema.badgeInstances,
  schema.badgeVersions,
  schema.events,
  schema.deliveries,
  schema.audit,
)

const show = async (path: string) => (await api.get(path)).body.badge
/** The paths of a container and all above it, from the system down. */
const ancestorsOf = (path: string) => {
  const words = path.split('/')
  return [3, 5, 7].filter((n) => n <= words.length).map((n) => words.slice(0, n).join('/'))
}
// biome-ignore lint/suspicious/noExplicitAny: a badge of an answer
type Shown = any
const withoutIds = (shown: Shown) => ({
  ...shown,
  id: 0,
  slug: '',
  created: '',
  criteria: shown.criteria.map((item: object) => ({ ...item, id: 0 })),
  alignments: shown.alignments.map((item: object) => ({ ...item, id: 0 })),
  tags: shown.tags.map((item: object) => ({ ...item, id: 0 })),
})

function formOf(fields: Record<string, string | File>) {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) form.append(name, value)
  return form
}
const file = () => new File([PNG], 'badge.png', { type: 'image/png' })
const utf8 = (text: string) => new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>

/** The same fields as a form names them: `criteria[0][description]`. */
function flat(value: object, under = ''): Record<string, string> {
  return Object.assign(
    {},
    ...Object.entries(value).map(([key, member]) => {
      const name = under ? `${under}[${key}]` : key
      if (member === null) return {}
      return typeof member === 'object' ? flat(member, name) : { [name]: String(member) }
    }),
  )
}

const invalid = (...details: (readonly [field: string, message: string, value: unknown])[]) => ({
  code: 'ValidationError',
  message: 'Could not validate required fields',
  details: details.map(([field, message, value]) => ({ message, field, value })),
})

describe.each(levels)('creating a badge in a $name', (level) => {
  test('answers the full object, its members in the contract’s order', async () => {
    const at = await seedContainer(level)
    const slug = unique('badge')
    const image = 'https://example.org/badge.png'

    const answer = await quietly(201, () =>
      api.post(`${at}/badges`, { ...FIELDS, ...LISTS, slug, image }),
    )

    expect(answer.headers.get('Location')).toBe(`${at}/badges/${slug}`)
    expect(Object.keys(answer.body)).toEqual(['status', 'badge'])
    const made = answer.body.badge
    expect(Object.keys(made)).toEqual(keysOf(level))
    const nested = await Promise.all(
      ancestorsOf(at).map(async (path) => (await api.get(path)).body),
    )
    const [{ system }, issuer, program] = nested as [Shown, Shown, Shown]
    const withId = (item: object) => ({ id: expect.any(Number), ...item })
    expect(answer.body).toEqual({
      status: 'created',
      badge: {
        id: expect.any(Number),
        slug,
        ...FIELDS,
        created: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        imageUrl: image,
        system: { ...system, issuers: [] },
        ...(issuer && { issuer: { ...issuer.issuer, programs: [] } }),
        ...(program && { program: program.program }),
        criteria: LISTS.criteria.map(withId),
        alignments: LISTS.alignments.map(withId),
        categories: LISTS.categories,
        tags: LISTS.tags.map((value) => withId({ value })),
        milestones: [],
      },
    })
    expect(Object.keys(made.criteria[0])).toEqual(['id', 'description', 'required', 'note'])
    expect(Object.keys(made.alignments[0])).toEqual(['id', 'name', 'url', 'description'])
    expect(Object.keys(made.tags[0])).toEqual(['id', 'value'])
    expect(Math.abs(Date.parse(made.created) - Date.now())).toBeLessThan(60_000)
    expect(JSON.stringify(await show(`${at}/badges/${slug}`))).toBe(JSON.stringify(made))
  })

  test('gives the same badge whether it came as JSON, as a form or as multipart with a file', async () => {
    const at = `${await seedContainer(level)}/badges`
    const fields = { ...FIELDS, ...LISTS }
    const json = await quietly(201, () => api.post(at, { ...fields, image: PNG_URI }))
    const form = await quietly(201, () => api.form(at, flat({ ...fields, image: PNG_URI })))
    const multipart = await quietly(201, () =>
      api.multipart(at, formOf({ ...flat(fields), image: file() })),
    )
    expect(json.body.badge.imageUrl).toMatch(STORED)
    expect(withoutIds(form.body.badge)).toEqual(withoutIds(json.body.badge))
    expect(withoutIds(multipart.body.badge)).toEqual(withoutIds(json.body.badge))
    const served = await exports.default.fetch(multipart.body.badge.imageUrl)
    expect(served.headers.get('Content-Type')).toBe('image/png')
    expect(new Uint8Array(await served.arrayBuffer())).toEqual(PNG)
  })

  test('fills in what was not given', async () => {
    const at = `${await seedContainer(level)}/badges`
    const { slug: _slug, image, ...given } = badge('')
    const { body, headers } = await quietly(201, () =>
      api.post(at, { ...given, name: 'Least', image }),
    )
    expect(body.badge.slug).toMatch(/^[0-9a-f]{32}$/)
    expect(headers.get('Location')).toBe(`${at}/${body.badge.slug}`)
    expect(body.badge).toMatchObject({
      strapline: null,
      issuerUrl: null,
      rubricUrl: null,
      timeValue: null,
      timeUnits: null,
      limit: null,
      unique: 1,
      type: '',
      archived: false,
      criteria: [],
      alignments: [],
      evidenceType: null,
      categories: [],
      tags: [],
      milestones: [],
    })
    const nulls = Object.fromEntries(
      ['strapline', 'issuerUrl', 'timeValue', 'timeUnits', 'limit', 'type', 'archived']
        .concat('evidenceType', 'criteria', 'alignments', 'categories', 'tags', 'slug')
        .map((field) => [field, null]),
    )
    const again = await quietly(201, () =>
      api.post(at, { ...given, ...nulls, name: 'Least', image }),
    )
    expect(withoutIds(again.body.badge)).toEqual(withoutIds(body.badge))
    const empty = { timeValue: '', timeUnits: '', limit: '', archived: '', evidenceType: '' }
    const blank = await quietly(201, () =>
      api.post(at, { ...given, ...empty, name: 'Least', image }),
    )
    expect(withoutIds(blank.body.badge)).toEqual(withoutIds(body.badge))
  })

  test('takes yes and no in every form', async () => {
    const at = `${await seedContainer(level)}/badges`
    for (const [given, shown] of [
      [true, 1],
      [false, 0],
      ['true', 1],
      ['false', 0],
      ['1', 1],
      ['0', 0],
    ]) {
      const criteria = [{ description: 'x', required: given }]
      const fields = { ...badge(unique('badge')), unique: given, archived: given, criteria }
      const { body } = await api.post(at, fields)
      expect(body.badge).toMatchObject({
        unique: shown,
        archived: shown === 1,
        criteria: [{ required: shown }],
      })
    }
  })

  test('names exactly the required fields of an empty body', async () => {
    const at = `${await seedContainer(level)}/badges`
    const expected = [
      ['consumerDescription', 'Required field'],
      ['criteriaUrl', 'Required field'],
      ['earnerDescription', 'Required field'],
      ['image', 'Missing value'],
      ['name', 'Required field'],
      ['unique', 'Required field'],
    ].map(([field, message]) => ({ message, field, value: '' }))
    for (const call of [
      () => api.post(at),
      () => api.post(at, {}),
      () => api.form(at, {}),
      () => api.post(at, Object.fromEntries(expected.map(({ field }) => [field, null]))),
    ]) {
      const body = await refused(400, call)
      expect({ ...body, details: 0 }).toEqual({
        code: 'ValidationError',
        message: 'Could not validate required fields',
        details: 0,
      })
      const byField = (a: { field: string }, b: { field: string }) => (a.field < b.field ? -1 : 1)
      expect(body.details.sort(byField)).toEqual(expected)
    }
  })

  test('refuses a slug that any badge of the system holds, whatever its case', async () => {
    const at = await seedContainer(level)
    const slug = unique('badge')
    const made = await api.post(`${at}/badges`, badge(slug))
    for (const path of ancestorsOf(at)) {
      const given = { ...badge(slug.toUpperCase()), strapline: 'late', tags: ['t'] }
      const hostile = { systemId: 1, uid: 'x', op: 'x', image: PNG_URI }
      const body = await refused(409, () => api.post(`${path}/badges`, { ...given, ...hostile }))
      expect(body).toMatchObject({
        code: 'ResourceConflict',
        message: 'badge with that `slug` already exists',
        details: { slug: given.slug, name: given.name, strapline: 'late' },
      })
      const { image: _image, ...submitted } = given
      expect(Object.keys(submitted)).toEqual(expect.arrayContaining(Object.keys(body.details)))
    }
    expect(await show(`${at}/badges/${slug}`)).toEqual(made.body.badge)
  })

  test('lets exactly one of three racing creations have the slug', async () => {
    const at = `${await seedContainer(level)}/badges`
    const given = { ...badge(unique('race')), ...LISTS }
    const written = await outbox()
    const answers = await Promise.all([1, 2, 3].map(() => api.post(at, given)))
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409])
    const { body } = await api.get(`${at}?archived=any&page=1&count=9`)
    expect(body.pageData.total).toBe(1)
    expect(withoutIds(body.badges[0]).criteria).toHaveLength(2)
    expect(await outbox()).toEqual(written)
  })

  test('ignores fields that it does not know and columns that are not the caller’s', async () => {
    const at = await seedContainer(level)
    const other = await seedBadge(levels[2])
    const given = badge(unique('badge'))
    const hostile = {
      id: 4242,
      uid: 'mine',
      systemId: other.badge.system.id,
      issuerId: other.badge.issuer.id,
      programId: other.badge.program.id,
      imageId: 1,
      awarded: 99,
      version: 9,
      op: 'mine',
      created: '2001-01-01',
      createdAt: 0,
      deletedAt: 1,
      status: 'draft',
      publishAt: 1,
      system: other.badge.system,
      issuer: other.badge.issuer,
      program: other.badge.program,
      milestones: [{ id: 1 }],
      nonsense: { deep: [1] },
    }
    const { body } = await quietly(201, () => api.post(`${at}/badges`, { ...given, ...hostile }))
    const plain = await api.post(`${at}/badges`, badge(unique('badge')))
    expect(withoutIds({ ...body.badge, name: '' })).toEqual(
      withoutIds({ ...plain.body.badge, name: '' }),
    )
    expect(body.badge.slug).toBe(given.slug)
    const row = await env.DB.prepare('select * from badges where slug = ?').bind(given.slug).first()
    expect(row).toMatchObject({ awarded: 0, version: 1, deletedAt: null, status: 'published' })
    expect(row).toMatchObject({ systemId: body.badge.system.id, publishAt: null })
    expect(row?.issuerId).toBe(body.badge.issuer?.id ?? null)
    expect(row?.programId).toBe(body.badge.program?.id ?? null)
    expect([row?.uid, row?.op]).not.toContain('mine')
    expect(row?.id).not.toBe(4242)
  })

  test('is found through every ancestor and no stranger', async () => {
    const { container: at, badge: made } = await seedBadge(level)
    const other = await seedContainer(levels[2])
    for (const path of ancestorsOf(at)) {
      expect(await show(`${path}/badges/${made.slug}`)).toEqual(made)
      expect((await api.get(`${path}/badges`)).body).toEqual({ badges: [made] })
    }
    for (const path of ancestorsOf(other)) {
      expect((await api.get(`${path}/badges/${made.slug}`)).body.message).toBe(
        `Could not find badge field: \`slug\`, value: \`${made.slug}\``,
      )
      expect((await api.get(`${path}/badges`)).body).toEqual({ badges: [] })
    }
  })

  test('keeps every text as it was given', async () => {
    const at = `${await seedContainer(level)}/badges`
    const text = `🏅 "Ünï" 'x\\' \n\t שלום {"$": [1]} %s ?1 Robert'); drop table badges;-- <b>&amp;</b> \u2028`
    const slug = `${unique('🏅 "Ünï"')}' or '1'='1`
    const given = {
      ...badge(slug),
      name: text,
      strapline: text,
      earnerDescription: text,
      consumerDescription: text,
      type: text,
      categories: [text, '1', 'null', '{}'],
      tags: [text, '0', '[]', 'true'],
      criteria: [{ description: text, note: text }],
      alignments: [{ name: text, url: text, description: text }],
    }
    const { body, headers } = await quietly(201, () => api.post(at, given))
    const made = body.badge
    for (const field of ['name', 'strapline', 'earnerDescription', 'consumerDescription', 'type']) {
      expect(made[field]).toBe(text)
    }
    expect(made.slug).toBe(slug)
    expect(made.categories).toEqual(given.categories)
    expect(made.tags.map(({ value }: { value: string }) => value)).toEqual(given.tags)
    expect(made.criteria).toMatchObject([{ description: text, note: text, required: 0 }])
    expect(made.alignments).toMatchObject([{ name: text, url: text, description: text }])
    const location = headers.get('Location') ?? ''
    expect(location).toMatch(/^\/systems\/[\x21-\x7e]+$/)
    expect(await show(location)).toEqual(made)
    expect(await rows('badges')).toBeGreaterThan(0)
  })
})

describe('the lists of a badge', () => {
  const make = async (more: object) => {
    const at = await seedContainer(levels[0])
    const { body } = await quietly(201, () =>
      api.post(`${at}/badges`, { ...badge(unique('badge')), ...more }),
    )
    return body.badge
  }
  const values = (tags: { value: string }[]) => tags.map(({ value }) => value)

  test('take one text for many', async () => {
    const made = await make({ categories: 'Science', tags: 'fun' })
    expect([made.categories, values(made.tags)]).toEqual([['Science'], ['fun']])
    const none = await make({ categories: '', tags: '', criteria: '', alignments: '' })
    expect(none).toMatchObject({ categories: [], tags: [], criteria: [], alignments: [] })
  })

  test('drop blanks and exact repetitions, and keep the order', async () => {
    const given = ['b', '', 'a', 'b', '  ', 'B', 'a']
    const made = await make({ categories: given, tags: given })
    expect([made.categories, values(made.tags)]).toEqual([
      ['b', 'a', 'B'],
      ['b', 'a', 'B'],
    ])
  })

  test('take tags as texts and as the objects that answers hold', async () => {
    const made = await make({ tags: ['one', { value: 'two' }, { id: 7, value: 'one' }] })
    expect(values(made.tags)).toEqual(['one', 'two'])
  })

  test('come repeated, or with empty brackets, in a form', async () => {
    const at = await seedContainer(levels[0])
    const fields = new URLSearchParams(flat(badge(unique('badge'))))
    for (const value of ['x', 'y', 'x']) fields.append('tags[]', value)
    for (const value of ['p', 'q']) fields.append('categories', value)
    fields.append('criteria[1][description]', 'second')
    fields.append('criteria[0][description]', 'first')
    fields.append('criteria[0][required]', '1')
    const { body } = await send('POST', `${at}/badges`, {
      type: 'application/x-www-form-urlencoded',
      bytes: utf8(fields.toString()),
    })
    expect(values(body.badge.tags)).toEqual(['x', 'y'])
    expect(body.badge.categories).toEqual(['p', 'q'])
    expect(body.badge.criteria).toMatchObject([
      { description: 'first', required: 1 },
      { description: 'second', required: 0 },
    ])
  })
})

const LONG = 'x'.repeat(256)
const INVALID: [object, ...[field: string, message: string, value: unknown][]][] = [
  [{ slug: '' }, ['slug', 'String is not in range', '']],
  [{ slug: LONG }, ['slug', 'String is not in range', LONG]],
  [{ name: '' }, ['name', 'String is not in range', '']],
  [{ name: LONG }, ['name', 'String is not in range', LONG]],
  [{ strapline: LONG.slice(115) }, ['strapline', 'String is not in range', LONG.slice(115)]],
  [{ earnerDescription: '' }, ['earnerDescription', 'String is not in range', '']],
  [{ consumerDescription: '' }, ['consumerDescription', 'String is not in range', '']],
  [{ issuerUrl: LONG }, ['issuerUrl', 'String is not in range', LONG]],
  [{ rubricUrl: LONG }, ['rubricUrl', 'String is not in range', LONG]],
  [{ criteriaUrl: 'NOT A URL' }, ['criteriaUrl', 'Invalid URL', 'NOT A URL']],
  [{ criteriaUrl: '' }, ['criteriaUrl', 'Invalid URL', '']],
  [{ timeValue: '05' }, ['timeValue', 'Invalid integer', '05']],
  [{ timeValue: 1.5 }, ['timeValue', 'Invalid integer', 1.5]],
  [{ timeUnits: 'years' }, ['timeUnits', 'Unexpected value or invalid argument', 'years']],
  [{ evidenceType: 'url' }, ['evidenceType', 'Unexpected value or invalid argument', 'url']],
  [{ limit: 'many' }, ['limit', 'Invalid integer', 'many']],
  [{ unique: 'yes' }, ['unique', 'Unexpected value or invalid argument', 'yes']],
  [{ unique: 2 }, ['unique', 'Unexpected value or invalid argument', 2]],
  [{ type: LONG }, ['type', 'String is not in range', LONG]],
  [{ archived: 'maybe' }, ['archived', 'Unexpected value or invalid argument', 'maybe']],
  [{ image: 'ridiculous-url' }, ['url', 'Invalid URL', 'ridiculous-url']],
  [
    { image: { path: '/etc/passwd', size: 1 } },
    ['image', 'Invalid value', { path: '/etc/passwd', size: 1 }],
  ],
  [{ criteria: [{}] }, ['criteria[0].description', 'Required field', '']],
  [
    { criteria: [{ description: 'x' }, { description: '', required: 'so-so', id: 'x' }] },
    ['criteria[1].id', 'Invalid integer', 'x'],
    ['criteria[1].description', 'String is not in range', ''],
    ['criteria[1].required', 'Unexpected value or invalid argument', 'so-so'],
  ],
  [
    { alignments: [{}] },
    ['alignments[0].name', 'Required field', ''],
    ['alignments[0].url', 'Required field', ''],
  ],
  [{ categories: ['x', LONG] }, ['categories[1]', 'String is not in range', LONG]],
  [{ tags: [{ x: 1 }] }, ['tags[0]', 'String is not in range', { x: 1 }]],
]

describe.each(levels)('an invalid field of a badge in a $name', (level) => {
  test('is named with what was given, in POST and PUT, and refuses the whole', async () => {
    const { container: at, path } = await seedBadge(level, LISTS)
    await changesNothing(async () => {
      for (const [given, ...details] of INVALID) {
        const fields = { ...badge(unique('badge')), ...given }
        expect(await refusal(400, () => api.post(`${at}/badges`, fields))).toEqual(
          invalid(...details),
        )
        if ('slug' in given) continue
        const change = { strapline: 'Changed', ...given }
        expect(await refusal(400, () => api.put(path, change))).toEqual(invalid(...details))
      }
    })
  })

  test('does not hide the others', async () => {
    const { container: at } = await seedBadge(level)
    const body = await refused(400, () =>
      api.post(`${at}/badges`, { name: '', unique: 'x', limit: 'y', image: 'nope', tags: [LONG] }),
    )
    const fields = body.details.map(({ field }: { field: string }) => field)
    expect(fields.sort()).toEqual(
      ['name', 'earnerDescription', 'consumerDescription', 'criteriaUrl', 'limit', 'unique']
        .concat('tags[0]', 'url')
        .sort(),
    )
  })
})

test('an invalid sub-object that is no object is named', async () => {
  const { container: at } = await seedBadge(levels[0])
  const given = { ...badge(unique('badge')), criteria: ['text'], alignments: [7] }
  const body = await refused(400, () => api.post(`${at}/badges`, given))
  expect(body.details).toMatchObject([
    { field: 'criteria[0]', value: 'text' },
    { field: 'alignments[0]', value: 7 },
  ])
})

describe.each(levels)('changing a badge in a $name', (level) => {
  const full = { ...FIELDS, ...LISTS, archived: false }

  test.each(
    Object.entries({
      name: 'After',
      strapline: null,
      earnerDescription: 'After',
      consumerDescription: 'After',
      issuerUrl: null,
      rubricUrl: 'http://example.org/after',
      timeValue: 0,
      timeUnits: null,
      limit: 7,
      unique: 1,
      type: '',
      archived: true,
      criteriaUrl: 'http://example.org/after',
      evidenceType: 'Photo',
      categories: ['Other'],
    }),
  )('changes nothing but %s when nothing but it is sent', async (field, value) => {
    const { path, badge: made } = await seedBadge(level, full)
    const { body } = await updates(() => api.put(path, { [field]: value }))
    expect(Object.keys(body)).toEqual(['status', 'badge'])
    expect(Object.keys(body.badge)).toEqual(keysOf(level))
    expect(body).toEqual({ status: 'updated', badge: { ...made, [field]: value } })
    expect(await show(path)).toEqual(body.badge)
  })

  test('leaves lists that are not sent, and clears those sent empty', async () => {
    const { path, badge: made } = await seedBadge(level, full)
    expect((await updates(() => api.put(path, {}))).body.badge).toEqual(made)
    expect((await updates(() => api.put(path))).body.badge).toEqual(made)
    let expected = made
    for (const list of ['criteria', 'alignments', 'categories', 'tags']) {
      expected = { ...expected, [list]: [] }
      const { body } = await updates(() => api.put(path, { [list]: [] }))
      expect(body.badge, list).toEqual(expected)
    }
    const left = await Promise.all(
      ['criteria', 'alignments', 'categories', 'tags'].map((table) =>
        env.DB.prepare(`select * from ${table} where badgeId = ?`).bind(made.id).all(),
      ),
    )
    expect(left.flatMap(({ results }) => results)).toEqual([])
  })

  test('keeps the ids of items that are sent back, drops the others and appends new ones', async () => {
    const { path, badge: made } = await seedBadge(level, full)
    const [one, two] = made.criteria
    const [first, second] = made.alignments
    const { body } = await updates(() =>
      api.put(path, {
        criteria: [
          { description: 'New' },
          { id: String(two.id), description: 'Edited', required: true, note: 'n2' },
        ],
        alignments: [{ id: first.id, name: 'Edited', url: 'http://example.org/edited' }],
        tags: [made.tags[1], 'new'],
      }),
    )
    expect(body.badge.criteria).toEqual([
      { id: two.id, description: 'Edited', required: 1, note: 'n2' },
      { id: expect.any(Number), description: 'New', required: 0, note: '' },
    ])
    expect(body.badge.criteria[1].id).toBeGreaterThan(two.id)
    expect(JSON.stringify(body.badge.criteria)).not.toContain(`"id":${one.id},`)
    expect(body.badge.alignments).toEqual([
      { id: first.id, name: 'Edited', url: 'http://example.org/edited', description: null },
    ])
    expect(second.id).not.toBe(first.id)
    expect(body.badge.tags).toEqual([made.tags[1], { id: expect.any(Number), value: 'new' }])
    expect(await show(path)).toEqual(body.badge)
  })

  test('makes new items of ids that belong to another badge, whose rows stay as they are', async () => {
    const { path, container: at, badge: made } = await seedBadge(level, full)
    const other = await api.post(`${at}/badges`, { ...badge(unique('badge')), ...LISTS })
    const victim = other.body.badge
    const far = (await seedBadge(levels[0], LISTS)).badge
    const ids = [...victim.criteria, ...far.criteria, { id: 999_999 }, { id: -1 }]
    const { body } = await updates(() =>
      api.put(path, {
        criteria: ids.map(({ id }) => ({ id, description: 'Stolen' })),
        alignments: victim.alignments.map((item: object) => ({ ...item, name: 'Stolen' })),
        tags: victim.tags,
      }),
    )
    expect(body.badge.criteria).toHaveLength(ids.length)
    const taken = [...victim.criteria, ...far.criteria, ...made.criteria].map(({ id }) => id)
    for (const { id, description } of body.badge.criteria) {
      expect(taken).not.toContain(id)
      expect(description).toBe('Stolen')
    }
    expect(body.badge.alignments.map(({ id }: { id: number }) => id)).not.toContain(
      victim.alignments[0].id,
    )
    expect(await show(`${at}/badges/${victim.slug}`)).toEqual(victim)
    expect(await show(`/systems/${far.system.slug}/badges/${far.slug}`)).toEqual(far)
  })

  test('leaves its slug, whatever is sent', async () => {
    const { path, container: at, badge: made } = await seedBadge(level)
    const other = await api.post(`${at}/badges`, badge(unique('badge')))
    for (const slug of [unique('moved'), other.body.badge.slug, '', null, LONG]) {
      const { body } = await updates(() => api.put(path, { slug }))
      expect(body.badge).toEqual(made)
    }
  })

  test('changes nothing when only fields are sent that are not the caller’s to set', async () => {
    const { path, badge: made } = await seedBadge(level, full)
    const other = await seedBadge(levels[2], full)
    const read = () => env.DB.prepare('select * from badges where id = ?').bind(made.id).first()
    const before = await read()
    const { body } = await updates(() =>
      api.put(path, {
        id: other.badge.id,
        uid: 'mine',
        systemId: other.badge.system.id,
        issuerId: other.badge.issuer.id,
        programId: other.badge.program.id,
        imageId: 1,
        badgeId: 1,
        awarded: 5,
        created: '2001-01-01',
        createdAt: 0,
        version: 77,
        op: 'mine',
        status: 'draft',
        deletedAt: 1,
        system: other.badge.system,
        issuer: other.badge.issuer,
        program: other.badge.program,
        milestones: [{ id: 1 }],
        nonsense: true,
      }),
    )
    expect(body.badge).toEqual(made)
    const { op, updatedAt, version, ...after } = (await read()) ?? {}
    expect(before).toMatchObject(after)
    expect([op, version]).not.toContain('mine')
    expect(version).toBe(Number(before?.version) + 1)
    expect(updatedAt).toBeGreaterThanOrEqual(Number(before?.updatedAt))
    expect(await show(other.path)).toEqual(other.badge)
  })

  test.each([
    ['a remote', 'https://example.org/round-trip.png'],
    ['a stored', PNG_URI],
  ])('archives, with %s image, when all that was shown is put back', async (_kind, image) => {
    const { path, container: at, badge: made } = await seedBadge(level, { ...full, image })
    const before = await rows('images')
    const loaded = await show(path)

    const { body } = await updates(() => api.put(path, { ...loaded, archived: true }))

    expect(body.badge).toEqual({ ...made, archived: true })
    expect(await show(path)).toEqual({ ...made, archived: true })
    expect(await rows('images')).toBe(before)
    expect((await api.get(`${at}/badges`)).body).toEqual({ badges: [] })
    expect((await api.get(`${at}/badges?archived=true`)).body).toEqual({ badges: [body.badge] })
    const back = await updates(() => api.put(path, { ...body.badge, archived: false }))
    expect(back.body.badge).toEqual(made)
  })

  test('takes a new image as a file', async () => {
    const { path, badge: made } = await seedBadge(level, full)
    const encoded = new Response(formOf({ image: file(), 'tags[]': 'only' }))
    const { body } = await updates(async () =>
      send('PUT', path, {
        type: encoded.headers.get('Content-Type') ?? '',
        bytes: new Uint8Array(await encoded.arrayBuffer()),
      }),
    )
    expect(body.badge.imageUrl).toMatch(STORED)
    expect(body.badge).toEqual({
      ...made,
      imageUrl: body.badge.imageUrl,
      tags: [{ id: expect.any(Number), value: 'only' }],
    })
  })

  test('refuses null for what is required', async () => {
    const { path } = await seedBadge(level)
    const fields = ['name', 'earnerDescription', 'consumerDescription', 'criteriaUrl', 'unique']
    const body = await refused(400, () =>
      api.put(path, Object.fromEntries(fields.map((field) => [field, null]))),
    )
    expect(body).toEqual(invalid(...fields.map((field) => [field, 'Required field', ''] as const)))
  })

  test('refuses a limit below the live awards', async () => {
    const { path, badge: made } = await seedBadge(level)
    for (const email of ['a@example.org', 'b@example.org']) {
      expect((await api.post(`${path}/instances`, { email })).status).toBe(201)
    }
    const body = await refused(409, () => api.put(path, { limit: 1, name: 'Changed', tags: ['x'] }))
    expect(body.code).toBe('ResourceConflict')
    expect(body.message).toContain(made.slug)
    for (const limit of [2, 0, null, 3]) {
      expect((await updates(() => api.put(path, { limit }))).body.badge.limit).toBe(limit)
    }
    await api.delete(`${path}/instances/a@example.org`)
    expect((await updates(() => api.put(path, { limit: 1 }))).body.badge.limit).toBe(1)
    expect((await updates(() => api.put(path, { name: 'Changed' }))).body.badge.limit).toBe(1)
  })
})

describe.each(levels)('deleting a badge in a $name', (level) => {
  test('answers what it was; afterwards nothing finds it and its slug is free', async () => {
    const { path, container: at, badge: made } = await seedBadge(level, LISTS)
    const { body: answer } = await quietly(200, () => api.delete(path))
    expect(Object.keys(answer)).toEqual(['status', 'badge'])
    expect(answer).toEqual({ status: 'deleted', badge: made })

    const missing = {
      code: 'ResourceNotFound',
      message: `Could not find badge field: \`slug\`, value: \`${made.slug}\``,
    }
    for (const above of ancestorsOf(at)) {
      const one = `${above}/badges/${made.slug}`
      expect(await refused(404, () => api.get(one))).toEqual(missing)
      expect(await refused(404, () => api.put(one, { name: 'Back' }))).toEqual(missing)
      expect(await refused(404, () => api.delete(one))).toEqual(missing)
      expect((await api.get(`${above}/badges?archived=any&page=1&count=5`)).body).toEqual({
        badges: [],
        pageData: { page: 1, count: 5, total: 0 },
      })
    }

    const again = await quietly(201, () => api.post(`${at}/badges`, badge(made.slug)))
    expect(again.body.badge.id).toBeGreaterThan(made.id)
    expect(again.body.badge).toMatchObject({
      criteria: [],
      alignments: [],
      categories: [],
      tags: [],
    })
    expect(await show(path)).toEqual(again.body.badge)
  })

  test('happens once when asked for twice at the same time', async () => {
    const { path, container: at } = await seedBadge(level)
    const answers = await Promise.all([api.delete(path), api.delete(path)])
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 404])
    const { body } = await api.get(`${at}/badges?archived=any&page=1&count=5`)
    expect(body.pageData.total).toBe(0)
  })
})

describe('a badge’s slug', () => {
  test('may be the same in another system', async () => {
    const slug = unique('shared')
    const [a, b] = [await seedContainer(levels[0]), await seedContainer(levels[2])]
    await quietly(201, () => api.post(`${a}/badges`, badge(slug)))
    const { body } = await quietly(201, () =>
      api.post(`${b}/badges`, { ...badge(slug), name: 'B' }),
    )
    expect(await show(`${b}/badges/${slug}`)).toEqual(body.badge)
    expect((await show(`${a}/badges/${slug}`)).name).toBe(`Badge ${slug}`)
  })

  test('finds it whatever its case', async () => {
    for (const level of levels) {
      const { container: at, badge: made } = await seedBadge(level)
      expect(await show(`${at}/badges/${made.slug.toUpperCase()}`)).toEqual(made)
    }
  })
})

/** A system with an issuer and a program, two badges in each, the second of them archived. */
async function seedTree() {
  const program = await seedContainer(levels[2])
  const paths = ancestorsOf(program)
  const made: Shown[] = []
  for (const path of paths) {
    for (const archived of [false, true]) {
      const { body } = await api.post(`${path}/badges`, { ...badge(unique('badge')), archived })
      made.push(body.badge)
    }
  }
  return { paths, made }
}

describe('listing badges', () => {
  test('shows what hangs from a container at any depth, by ascending id, as it is shown alone', async () => {
    const { paths, made } = await seedTree()
    for (const [depth, path] of paths.entries()) {
      const below = made.slice(depth * 2)
      expect((await api.get(`${path}/badges?archived=any`)).body).toEqual({ badges: below })
      expect(JSON.stringify((await api.get(`${path}/badges?archived=any`)).body.badges[0])).toBe(
        JSON.stringify(below[0]),
      )
    }
  })

  test.each([
    ['', [0, 2, 4]],
    ['?archived=false', [0, 2, 4]],
    ['?archived=0', [0, 2, 4]],
    ['?archived=true', [1, 3, 5]],
    ['?archived=1', [1, 3, 5]],
    ['?archived=any', [0, 1, 2, 3, 4, 5]],
    ['?archived=', [0, 1, 2, 3, 4, 5]],
  ])('filters by “%s”, with a total of what the filter shows', async (query, expected) => {
    const { paths, made } = await seedTree()
    for (const [depth, path] of paths.entries()) {
      const shown = expected.filter((n) => n >= depth * 2).map((n) => made[n])
      expect((await api.get(`${path}/badges${query}`)).body).toEqual({ badges: shown })
      const paged = `${path}/badges${query || '?'}&page=1&count=2`
      const { body } = await api.get(paged)
      expect(Object.keys(body)).toEqual(['badges', 'pageData'])
      expect(body).toEqual({
        badges: shown.slice(0, 2),
        pageData: { page: 1, count: 2, total: shown.length },
      })
    }
  })

  test.each(['weird-value', 'TRUE', '2', 'null', '%20'])('refuses archived=%s', async (value) => {
    for (const level of levels) {
      const at = await seedContainer(level)
      const body = await refused(400, () => api.get(`${at}/badges?archived=${value}`))
      expect(JSON.stringify(body)).toBe(
        JSON.stringify({
          code: 'InvalidParameter',
          parameter: 'archived',
          message: "Invalid `archived` parameter. Expecting one of 'true', 'false' or 'any'.",
        }),
      )
    }
  })

  test('cuts the list into disjoint pages, and is empty past the end', async () => {
    const { paths, made } = await seedTree()
    const [system = ''] = paths
    const seen = []
    for (const page of [1, 2, 3, 4]) {
      const { body } = await api.get(`${system}/badges?archived=any&page=${page}&count=2`)
      expect(body.pageData).toEqual({ page, count: 2, total: 6 })
      seen.push(...body.badges)
    }
    expect(seen).toEqual(made)
    for (const query of [
      'page=1',
      'count=1',
      'page=0&count=1',
      'page=-1&count=-1',
      'page=a&count=b',
    ]) {
      const { body } = await api.get(`${system}/badges?archived=any&${query}`)
      expect(body, query).toEqual({ badges: made })
    }
  })

  test('keeps its totals through archiving, deleting and the deletion of containers', async () => {
    const { paths, made } = await seedTree()
    const [system = '', issuer = '', program = ''] = paths
    const totals = async (filter: string) =>
      Promise.all(
        paths.map(async (path) => {
          const { body } = await api.get(`${path}/badges?archived=${filter}&page=1&count=1`)
          return body.pageData?.total ?? body.code
        }),
      )
    expect(await totals('any')).toEqual([6, 4, 2])
    await updates(() => api.put(`${system}/badges/${made[4].slug}`, { archived: true }))
    expect([await totals('any'), await totals('true')]).toEqual([
      [6, 4, 2],
      [4, 3, 2],
    ])
    await quietly(200, () => api.delete(`${issuer}/badges/${made[4].slug}`))
    expect([await totals('any'), await totals('false')]).toEqual([
      [5, 3, 1],
      [2, 1, 0],
    ])
    await refused(409, () => api.post(`${system}/badges`, badge(made[0].slug)))
    await quietly(200, () => api.delete(program))
    expect(await totals('any')).toEqual([5, 3, 'ResourceNotFound'])
    await quietly(200, () => api.delete(`${system}/badges/${made[5].slug}`))
    expect(await totals('any')).toEqual([4, 2, 'ResourceNotFound'])
    await quietly(200, () => api.delete(issuer))
    expect(await totals('any')).toEqual([4, 'ResourceNotFound', 'ResourceNotFound'])
    await quietly(200, () => api.delete(`${system}/badges/${made[2].slug}`))
    expect(await totals('any')).toEqual([3, 'ResourceNotFound', 'ResourceNotFound'])
  })
})

describe('what a path names', () => {
  test('hides a badge of an issuer under its programs, and one of a system under both', async () => {
    const { paths, made } = await seedTree()
    const missing = (slug: string) => `Could not find badge field: \`slug\`, value: \`${slug}\``
    await changesNothing(async () => {
      for (const [depth, path] of paths.entries()) {
        for (const hidden of made.slice(0, depth * 2)) {
          const one = `${path}/badges/${hidden.slug}`
          expect((await refusal(404, () => api.get(one))).message).toBe(missing(hidden.slug))
          expect((await refusal(404, () => api.put(one, { name: 'x' }))).message).toBe(
            missing(hidden.slug),
          )
          expect((await refusal(404, () => api.delete(one))).message).toBe(missing(hidden.slug))
        }
      }
    })
  })

  test('is missed from left to right, before the body is looked at', async () => {
    const program = await seedContainer(levels[2])
    const other = await seedContainer(levels[2])
    const [system = '', issuer = ''] = ancestorsOf(program)
    const slugs = other.split('/')
    await changesNothing(async () => {
      for (const [at, model, value] of [
        ['/systems/no1', 'system', 'no1'],
        ['/systems/no1/issuers/no2', 'system', 'no1'],
        ['/systems/no1/issuers/no2/programs/no3', 'system', 'no1'],
        [`${system}/issuers/no2`, 'issuer', 'no2'],
        [`${system}/issuers/${slugs[4]}`, 'issuer', slugs[4]],
        [`${system}/issuers/no2/programs/no3`, 'issuer', 'no2'],
        [`${issuer}/programs/no%203`, 'program', 'no 3'],
        [`${issuer}/programs/${slugs[6]}`, 'program', slugs[6]],
      ] as const) {
        const body = {
          code: 'ResourceNotFound',
          message: `Could not find ${model} field: \`slug\`, value: \`${value}\``,
        }
        for (const call of [
          () => api.get(`${at}/badges`),
          () => api.get(`${at}/badges?page=1&count=1&archived=any`),
          () => api.post(`${at}/badges`, {}),
          () => api.post(`${at}/badges`, { ...badge('fine'), image: PNG_URI }),
          () => api.get(`${at}/badges/no4`),
          () => api.put(`${at}/badges/no4`, { criteriaUrl: 'nope' }),
          () => api.put(`${at}/badges/no4`, { name: 'Fine' }),
          () => api.delete(`${at}/badges/no4`),
        ]) {
          expect(await refusal(404, call), at).toEqual(body)
        }
      }
      for (const at of ancestorsOf(program)) {
        const message = 'Could not find badge field: `slug`, value: `n💥`'
        const one = `${at}/badges/n%F0%9F%92%A5`
        expect((await refusal(404, () => api.get(one))).message).toBe(message)
        expect((await refusal(404, () => api.put(one, { name: '' }))).message).toBe(message)
      }
    })
  })
})

test('a badge of a renamed container shows its new name and answers at its new path', async () => {
  const { container: at, badge: made } = await seedBadge(levels[1])
  const slug = unique('issuer')
  await quietly(200, () => api.put(at, { ...container(slug), name: 'Renamed', image: PNG_URI }))
  const path = `${at.slice(0, at.lastIndexOf('/'))}/${slug}/badges/${made.slug}`
  const { issuer, ...kept } = await show(path)
  expect({ ...kept, issuer: made.issuer }).toEqual(made)
  expect(issuer).toMatchObject({ id: made.issuer.id, slug, name: 'Renamed', programs: [] })
  expect(issuer.imageUrl).toMatch(STORED)
})
