import { env, exports } from 'cloudflare:workers'
import { describe, expect, test } from 'vitest'
import * as schema from '../../drizzle/schema'
import type { Level } from '../../src/levels'
import { type Answer, api, ask, ORIGIN, send } from '../helpers/api'
import { quietly as quietlyAnswered, refusal, watch } from '../helpers/changes'
import {
  badge,
  container,
  levels,
  outbox,
  PNG,
  PNG_URI,
  rows,
  seedContainer,
  unique,
} from '../helpers/seed'

const PLAIN = ['id', 'slug', 'url', 'name', 'description', 'email', 'imageUrl']
const CHILDREN = { system: 'issuers', issuer: 'programs', program: null } as const
/** The members of a level's object, in the order in which they are written. */
const keysOf = (level: Level) => {
  const children = CHILDREN[level.name]
  return children ? [...PLAIN, children] : PLAIN
}
const none = (level: Level) => {
  const children = CHILDREN[level.name]
  return children ? { [children]: [] } : {}
}

const { changesNothing, refused } = watch(
  schema.systems,
  schema.issuers,
  schema.programs,
  schema.badges,
  schema.images,
  schema.counters,
  schema.events,
  schema.deliveries,
  schema.audit,
)
const quietly = async (status: number, call: () => Promise<Answer>) =>
  (await quietlyAnswered(status, call)).body

/** The list of a level below a parent of the test's own. */
async function seedList(level: Level): Promise<string> {
  const above = { system: null, issuer: levels[0], program: levels[1] }[level.name]
  return above ? `${await seedContainer(above)}/${level.plural}` : '/systems'
}

async function seedOne(level: Level, more: object = {}, list?: string) {
  const at = list ?? (await seedList(level))
  const given = { ...container(unique(level.name)), ...more }
  const answer = await api.post(at, given)
  expect(answer.status, JSON.stringify(answer.body)).toBe(201)
  return { list: at, path: `${at}/${given.slug}`, given, made: answer.body[level.name] }
}

const show = async (level: Level, path: string) => (await api.get(path)).body[level.name]

function put(path: string, body: BodyInit) {
  const encoded = new Response(body)
  const type = encoded.headers.get('Content-Type') ?? ''
  return encoded
    .arrayBuffer()
    .then((bytes) => send('PUT', path, { type, bytes: new Uint8Array(bytes) }))
}

function formOf(fields: Record<string, string | File>) {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) form.append(name, value)
  return form
}

const file = (bytes: Uint8Array<ArrayBuffer>, type = 'image/png') =>
  new File([bytes], 'picture.png', { type })

const utf8 = (text: string) => new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>

async function fetchImage(url: string) {
  const response = await exports.default.fetch(url, { redirect: 'manual' })
  const bytes = new Uint8Array(await response.arrayBuffer())
  return { status: response.status, headers: response.headers, bytes }
}

/** A PNG unlike any other: the same picture with a comment in it. */
function otherPng(comment: string) {
  const body = utf8(`tEXt${comment}`)
  let crc = 0xffffffff
  for (const byte of body) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  }
  const chunk = new DataView(new ArrayBuffer(body.length + 8))
  chunk.setUint32(0, body.length - 4)
  new Uint8Array(chunk.buffer).set(body, 4)
  chunk.setUint32(body.length + 4, ~crc >>> 0)
  const end = PNG.length - 12
  return new Uint8Array([...PNG.slice(0, end), ...new Uint8Array(chunk.buffer), ...PNG.slice(end)])
}

const uriOf = (bytes: Uint8Array) => `data:image/png;base64,${btoa(String.fromCharCode(...bytes))}`

const STORED = new RegExp(`^${ORIGIN.replaceAll('.', '\\.')}/public/images/[0-9a-f]{32}$`)
const REMOTE = 'https://example.org/picture.png'

describe.each(levels)('creating a $name', (level) => {
  const { name, plural } = level

  test('answers the whole object, its members in the contract’s order', async () => {
    const list = await seedList(level)
    const given = {
      ...container(unique(name)),
      description: 'What it is for',
      email: 'someone@example.org',
      image: REMOTE,
    }

    const body = await quietly(201, () => api.post(list, given))

    expect(Object.keys(body)).toEqual(['status', name])
    expect(Object.keys(body[name])).toEqual(keysOf(level))
    const { image: _image, ...plain } = given
    const expected = { id: expect.any(Number), ...plain, imageUrl: REMOTE, ...none(level) }
    expect(body).toEqual({ status: 'created', [name]: expected })
    const shown = await api.get(`${list}/${given.slug}`)
    expect(shown.status).toBe(200)
    expect(shown.body).toEqual({ [name]: body[name] })
    expect(JSON.stringify(shown.body[name])).toBe(JSON.stringify(body[name]))
    const { body: listed } = await api.get(list)
    expect(Object.keys(listed)).toEqual([plural])
    expect(listed[plural]).toContainEqual(body[name])
  })

  test('leaves what was not given null', async () => {
    const { made, given } = await seedOne(level)
    expect(made).toEqual({
      id: expect.any(Number),
      ...given,
      description: null,
      email: null,
      imageUrl: null,
      ...none(level),
    })
  })

  test('takes an empty optional email as none', async () => {
    expect((await seedOne(level, { email: '' })).made.email).toBeNull()
  })

  test('names all required fields at once, in column order', async () => {
    const list = await seedList(level)
    const body = await refused(400, () => api.post(list, {}))
    expect(body).toEqual({
      code: 'ValidationError',
      message: 'Could not validate required fields',
      details: ['slug', 'name', 'url'].map((field) => ({
        message: 'Required field',
        field,
        value: '',
      })),
    })
    expect((await refused(400, () => api.post(list))).details).toEqual(body.details)
    const nulls = { slug: null, name: null, url: null }
    expect((await refused(400, () => api.post(list, nulls))).details).toEqual(body.details)
  })

  test('names all invalid fields at once, in column order, with what was given', async () => {
    const list = await seedList(level)
    const long = 'x'.repeat(256)
    const given = { slug: long, name: '', url: 'NOT A URL AT ALL', description: long, email: 'no' }

    const body = await refused(400, () =>
      api.post(list, { ...given, image: { path: '/', size: 1 } }),
    )

    expect(body.details).toEqual([
      { message: 'String is not in range', field: 'slug', value: long },
      { message: 'String is not in range', field: 'name', value: '' },
      { message: 'Invalid URL', field: 'url', value: 'NOT A URL AT ALL' },
      { message: 'String is not in range', field: 'description', value: long },
      { message: 'Invalid email', field: 'email', value: 'no' },
      { message: 'Invalid value', field: 'image', value: { path: '/', size: 1 } },
    ])
  })

  test('takes texts of 255 characters, and any characters in a slug', async () => {
    const long = 'ß🏅'.repeat(127)
    const slug = unique(`%41 "Ünï" 'x' OR 1=1; -- 🏅`)
    const { list, made } = await seedOne(level, { slug, name: long, description: long })
    expect(made).toMatchObject({ slug, name: long, description: long })
    expect(await show(level, `${list}/${encodeURIComponent(slug)}`)).toEqual(made)
  })

  test('refuses a slug that its siblings hold, whatever its case, with what was submitted', async () => {
    const { list, made } = await seedOne(level)
    const given = {
      slug: made.slug.toUpperCase(),
      name: 'Another',
      url: 'https://another.example.org',
      email: 'another@example.org',
    }
    const hostile = { image: PNG_URI, systemId: 1, issuerId: 1, op: 'x', uid: 'x' }

    const body = await refused(409, () => api.post(list, { ...given, ...hostile }))

    expect(body).toEqual({
      code: 'ResourceConflict',
      message: `${name} with that \`slug\` already exists`,
      details: given,
    })
  })

  test('lets exactly one of two racing creations have the slug', async () => {
    const list = await seedList(level)
    const slug = unique('race')
    const written = await outbox()
    const total = async () => (await api.get(`${list}?page=1&count=1`)).body.pageData.total
    const before = await total()
    const answers = await Promise.all([1, 2, 3].map(() => api.post(list, container(slug))))
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 409, 409])
    expect(await total()).toBe(before + 1)
    expect(await outbox()).toEqual(written)
  })

  test('ignores fields that it does not know and columns that are not the caller’s', async () => {
    const hostile = {
      id: 4242,
      uid: 'mine',
      systemId: 1,
      issuerId: 1,
      imageId: 1,
      version: 9,
      op: 'mine',
      created: 0,
      createdAt: 0,
      deletedAt: 1,
      issuers: [{ slug: 'nested' }],
      programs: [{ slug: 'nested' }],
      nonsense: { deep: [1] },
    }
    const { path, made, given } = await seedOne(level, hostile)
    expect(made).toMatchObject({ slug: given.slug, imageUrl: null, ...none(level) })
    expect(made.id).not.toBe(4242)
    expect(await show(level, path)).toEqual(made)
    const row = await env.DB.prepare(`select * from ${plural} where id = ?`).bind(made.id).first()
    expect(row).toMatchObject({ version: 1, imageId: null, deletedAt: null })
    expect(row?.uid).toMatch(/^[0-9a-f]{32}$/)
    expect(row?.op).not.toBe('mine')
    expect(row?.createdAt).toBeGreaterThan(0)
  })

  test('takes a form and multipart as it takes JSON', async () => {
    const list = await seedList(level)
    const fields = (slug: string) => ({
      slug,
      name: 'Füör & Söhne = 1',
      url: 'https://example.org/a?b=c',
      description: 'one\ntwo',
      email: '',
    })
    const [a, b, c] = [unique(name), unique(name), unique(name)]
    const json = await quietly(201, () => api.post(list, fields(a)))
    const form = await quietly(201, () => api.form(list, fields(b)))
    const multipart = await quietly(201, () => api.multipart(list, formOf(fields(c))))
    for (const [body, slug] of [
      [form, b],
      [multipart, c],
    ]) {
      expect(body[name].slug).toBe(slug)
      expect({ ...body[name], id: 0, slug: 0 }).toEqual({ ...json[name], id: 0, slug: 0 })
    }
  })

  test('refuses a body that is not one', async () => {
    const list = await seedList(level)
    const raw = (type: string, text: string) => () =>
      send('POST', list, { type, bytes: utf8(text) })
    const broken = await refused(400, raw('application/json', '{"slug":'))
    expect(broken).toMatchObject({ code: 'InvalidContent' })
    expect(broken.message).toMatch(/^Invalid JSON: /)
    expect(await refused(400, raw('application/json', '[]'))).toMatchObject({
      code: 'InvalidContent',
    })
    expect(await refused(400, raw('multipart/form-data; boundary=x', 'x'))).toMatchObject({
      code: 'BadRequestError',
    })
    expect(await refused(415, raw('text/csv', 'slug\nx'))).toEqual({
      code: 'UnsupportedMediaTypeError',
      message: 'text/csv',
    })
  })
})

describe('a slug', () => {
  test('may be the same under another parent', async () => {
    const [a, b] = [await seedContainer(levels[0]), await seedContainer(levels[0])]
    const slug = unique('shared')
    const first = await api.post(`${a}/issuers`, container(slug))
    const second = await api.post(`${b}/issuers`, { ...container(slug), name: 'The second' })
    expect([first.status, second.status]).toEqual([201, 201])
    expect(first.body.issuer.id).not.toBe(second.body.issuer.id)
    expect((await api.get(`${b}/issuers/${slug}`)).body.issuer.name).toBe('The second')
    expect((await api.get(`${a}/issuers/${slug}`)).body.issuer.name).toBe(`The ${slug}`)

    const third = await api.post(`${a}/issuers/${slug}/programs`, container(slug))
    const fourth = await api.post(`${b}/issuers/${slug}/programs`, container(slug))
    expect([third.status, fourth.status]).toEqual([201, 201])
  })

  test('finds its container whatever its case', async () => {
    for (const level of levels) {
      const { list, made } = await seedOne(level)
      expect(await show(level, `${list}/${made.slug.toUpperCase()}`)).toEqual(made)
    }
  })
})

describe('nesting', () => {
  test('shows a system’s issuers with their programs, and all images as they are', async () => {
    const image = (name: string) => ({ image: `https://example.org/${name}.png` })
    const system = (await seedOne(levels[0], { ...image('system'), description: 'All' })).path
    const { made: second } = await seedOne(levels[1], image('a'), `${system}/issuers`)
    const issuer = await seedOne(levels[1], image('b'), `${system}/issuers`)
    const { made: one } = await seedOne(levels[2], image('c'), `${issuer.path}/programs`)
    const { made: two } = await seedOne(levels[2], { image: PNG_URI }, `${issuer.path}/programs`)

    const issuerShown = { ...issuer.made, programs: [one, two] }
    const systemShown = await show(levels[0], system)
    expect(systemShown).toMatchObject({ description: 'All', imageUrl: image('system').image })
    expect(systemShown.issuers).toEqual([second, issuerShown])
    expect(JSON.stringify(systemShown.issuers[1])).toBe(JSON.stringify(issuerShown))
    expect(Object.keys(systemShown.issuers[1].programs[0])).toEqual(PLAIN)
    expect(two.imageUrl).toMatch(STORED)

    expect(await show(levels[1], issuer.path)).toEqual(issuerShown)
    expect((await api.get(`${system}/issuers`)).body).toEqual({ issuers: [second, issuerShown] })
    expect((await api.get(`${issuer.path}/programs`)).body).toEqual({ programs: [one, two] })
    expect((await api.get('/systems')).body.systems).toContainEqual(systemShown)

    const renamed = await quietly(200, () => api.put(system, { name: 'Renamed' }))
    expect(renamed.system).toEqual({ ...systemShown, name: 'Renamed' })
    const moved = await quietly(200, () => api.put(issuer.path, { name: 'Renamed' }))
    expect(moved.issuer).toEqual({ ...issuerShown, name: 'Renamed' })
  })
})

describe.each(levels)('changing a $name', (level) => {
  const { name, plural } = level
  const full = { description: 'Before', email: 'before@example.org', image: REMOTE }

  test.each([
    ['name', 'After'],
    ['url', 'https://after.example.org/'],
    ['description', 'After'],
    ['description', null],
    ['email', 'after@example.org'],
    ['email', null],
  ])('changes nothing but %s when nothing but it is sent', async (field, value) => {
    const { path, made } = await seedOne(level, full)
    const body = await quietly(200, () => api.put(path, { [field]: value }))
    expect(Object.keys(body)).toEqual(['status', name])
    expect(Object.keys(body[name])).toEqual(keysOf(level))
    expect(body).toEqual({ status: 'updated', [name]: { ...made, [field]: value } })
    expect(await show(level, path)).toEqual(body[name])
  })

  test('takes an empty email as none', async () => {
    const { path } = await seedOne(level, full)
    expect((await quietly(200, () => api.put(path, { email: '' })))[name].email).toBeNull()
  })

  test('changes nothing when only fields are sent that are not the caller’s to set', async () => {
    const { path, made, list } = await seedOne(level, full)
    const { made: other } = await seedOne(level, full, list)
    const hostile = {
      id: other.id,
      uid: 'mine',
      systemId: 1,
      issuerId: 1,
      imageId: 1,
      created: 0,
      createdAt: 0,
      version: 99,
      op: 'mine',
      deletedAt: 1,
      issuers: [],
      programs: [],
      nonsense: true,
    }
    const read = () => env.DB.prepare(`select * from ${plural} where id = ?`).bind(made.id).first()
    const before = await read()
    const untouched = await show(level, `${list}/${other.slug}`)

    const body = await quietly(200, () => api.put(path, hostile))

    expect(body[name]).toEqual(made)
    const { op, updatedAt, version, ...after } = (await read()) ?? {}
    expect(before).toMatchObject(after)
    expect(version).toBe(Number(before?.version) + 1)
    expect(op).not.toBe('mine')
    expect(updatedAt).toBeGreaterThanOrEqual(Number(before?.updatedAt))
    expect(await show(level, `${list}/${other.slug}`)).toEqual(untouched)
  })

  test('takes the whole object back as it was shown', async () => {
    const { path, made } = await seedOne(level, full)
    const before = await rows('images')
    const body = await quietly(200, () => api.put(path, made))
    expect(body[name]).toEqual(made)
    expect(await rows('images')).toBe(before)
  })

  test('changes nothing for an empty body', async () => {
    const { path, made } = await seedOne(level, full)
    expect((await quietly(200, () => api.put(path)))[name]).toEqual(made)
    expect((await quietly(200, () => api.put(path, {})))[name]).toEqual(made)
  })

  test('refuses null for what is required', async () => {
    const { path, made } = await seedOne(level)
    const body = await refused(400, () => api.put(path, { slug: null, name: null, url: null }))
    expect(body.details).toEqual(
      ['slug', 'name', 'url'].map((field) => ({ message: 'Required field', field, value: '' })),
    )
    expect(await show(level, path)).toEqual(made)
  })

  test('refuses the whole change when one field is invalid', async () => {
    const { path } = await seedOne(level)
    const body = await refused(400, () =>
      api.put(path, {
        slug: '',
        name: 'Good',
        url: 'nope',
        description: 'x'.repeat(256),
        email: 'no',
      }),
    )
    expect(body.details).toEqual([
      { message: 'String is not in range', field: 'slug', value: '' },
      { message: 'Invalid URL', field: 'url', value: 'nope' },
      { message: 'String is not in range', field: 'description', value: 'x'.repeat(256) },
      { message: 'Invalid email', field: 'email', value: 'no' },
    ])
  })

  test('moves it to a new slug and leaves the old one free', async () => {
    const { path, list, made } = await seedOne(level)
    const slug = unique('moved')
    const body = await quietly(200, () => api.put(path, { slug }))
    expect(body[name]).toEqual({ ...made, slug })
    expect(await show(level, `${list}/${slug}`)).toEqual({ ...made, slug })
    expect((await api.get(path)).body.message).toBe(
      `Could not find ${name} field: \`slug\`, value: \`${made.slug}\``,
    )
    expect((await api.post(list, container(made.slug))).status).toBe(201)
  })

  test('lets it keep its own slug, also in another case', async () => {
    const { path, made } = await seedOne(level)
    const slug = made.slug.toUpperCase()
    const body = await quietly(200, () => api.put(path, { slug, name: 'Loud' }))
    expect(body[name]).toEqual({ ...made, slug, name: 'Loud' })
  })

  test('refuses a sibling’s slug and changes nothing', async () => {
    const { path, list } = await seedOne(level)
    const { made: other } = await seedOne(level, {}, list)
    const given = { slug: other.slug.toUpperCase(), name: 'Late' }
    const body = await refused(409, () => api.put(path, { ...given, image: PNG_URI, id: 7 }))
    expect(body).toEqual({
      code: 'ResourceConflict',
      message: `${name} with that \`slug\` already exists`,
      details: given,
    })
  })

  test('takes a form and multipart as it takes JSON', async () => {
    const { path, made } = await seedOne(level)
    const form = await quietly(200, () =>
      put(path, new URLSearchParams({ name: 'A & B', email: '' })),
    )
    expect(form[name]).toEqual({ ...made, name: 'A & B' })
    const multipart = await quietly(200, () =>
      put(path, formOf({ description: 'one\ntwo', image: file(PNG) })),
    )
    expect(multipart[name]).toMatchObject({ name: 'A & B', description: 'one\ntwo' })
    expect(multipart[name].imageUrl).toMatch(STORED)
  })
})

describe.each(levels)('deleting a $name', (level) => {
  const { name, plural } = level

  test('answers what it was; afterwards nothing finds it', async () => {
    const { path, list, made } = await seedOne(level, { image: PNG_URI, email: 'a@example.org' })
    const { made: sibling } = await seedOne(level, {}, list)

    const body = await quietly(200, () => api.delete(path))

    expect(Object.keys(body)).toEqual(['status', name])
    expect(Object.keys(body[name])).toEqual(keysOf(level))
    expect(body).toEqual({ status: 'deleted', [name]: made })
    const missing = {
      code: 'ResourceNotFound',
      message: `Could not find ${name} field: \`slug\`, value: \`${made.slug}\``,
    }
    expect(await refused(404, () => api.get(path))).toEqual(missing)
    expect(await refused(404, () => api.put(path, { name: 'Back' }))).toEqual(missing)
    expect(await refused(404, () => api.delete(path))).toEqual(missing)
    const ids = (await api.get(list)).body[plural].map(({ id }: { id: number }) => id)
    expect(ids).toContain(sibling.id)
    expect(ids).not.toContain(made.id)
  })

  test('frees its slug for a new one with nothing below it', async () => {
    const { path, list, made } = await seedOne(level)
    await api.post(`${path}/badges`, badge(unique('badge')))
    const children = CHILDREN[name]
    if (children) await api.post(`${path}/${children}`, container(unique('child')))
    await quietly(200, () => api.delete(path))

    const again = await quietly(201, () => api.post(list, container(made.slug)))

    expect(again[name].id).toBeGreaterThan(made.id)
    expect(await show(level, path)).toEqual({ ...again[name], ...none(level) })
    expect((await api.get(`${path}/badges?archived=any&page=1&count=9`)).body).toEqual({
      badges: [],
      pageData: { page: 1, count: 9, total: 0 },
    })
    if (children) {
      expect((await api.get(`${path}/${children}?page=1&count=9`)).body).toEqual({
        [children]: [],
        pageData: { page: 1, count: 9, total: 0 },
      })
    }
  })

  test('is told of once when asked for twice at the same time', async () => {
    const { path, list } = await seedOne(level)
    const total = async () => (await api.get(`${list}?page=1&count=1`)).body.pageData.total
    const before = await total()
    const answers = await Promise.all([api.delete(path), api.delete(path)])
    const statuses = answers.map(({ status }) => status).sort()
    expect(statuses).toEqual([200, 404])
    expect(await total()).toBe(before - 1)
  })
})

describe('what hangs below', () => {
  /** A system, issuer and program with a badge in each. */
  async function seedTree() {
    const program = await seedContainer(levels[2])
    const issuer = program.split('/').slice(0, 5).join('/')
    const system = program.split('/').slice(0, 3).join('/')
    const make = async (path: string) =>
      (await api.post(`${path}/badges`, badge(unique('badge')))).body.badge
    return {
      system,
      issuer,
      program,
      badges: {
        system: await make(system),
        issuer: await make(issuer),
        program: await make(program),
      },
    }
  }
  const total = async (path: string) =>
    (await api.get(`${path}/badges?archived=any&page=1&count=1`)).body.pageData.total

  test('of a deleted issuer: its programs go, its badges stay under the system without it', async () => {
    const { system, issuer, program, badges } = await seedTree()
    await quietly(200, () => api.delete(issuer))

    expect((await api.get(program)).body.message).toMatch(/^Could not find issuer field/)
    expect((await api.get(`${issuer}/badges`)).status).toBe(404)
    for (const { issuer: _i, program: _p, ...kept } of [badges.issuer, badges.program]) {
      const { body } = await api.get(`${system}/badges/${kept.slug}`)
      expect(body.badge).toEqual(kept)
      expect(Object.keys(body.badge)).not.toContain('issuer')
      expect(Object.keys(body.badge)).not.toContain('program')
    }
    expect(await total(system)).toBe(3)
    expect((await api.get(system)).body.system.issuers).toEqual([])

    const slug = issuer.split('/')[4] ?? ''
    await api.post(`${system}/issuers`, container(slug))
    expect((await api.get(program)).body.message).toMatch(/^Could not find program field/)
    expect((await api.get(`${issuer}/badges/${badges.issuer.slug}`)).status).toBe(404)
    expect((await api.get(`${issuer}/badges`)).body).toEqual({ badges: [] })
  })

  test('of a deleted program: its badges stay under the issuer and the system without it', async () => {
    const { system, issuer, program, badges } = await seedTree()
    await quietly(200, () => api.delete(program))

    const { program: _program, ...kept } = badges.program
    for (const path of [issuer, system]) {
      const { body } = await api.get(`${path}/badges/${kept.slug}`)
      expect(body.badge).toEqual(kept)
      expect(Object.keys(body.badge)).toContain('issuer')
      expect(Object.keys(body.badge)).not.toContain('program')
    }
    expect((await api.get(`${program}/badges/${kept.slug}`)).body.message).toMatch(
      /^Could not find program field/,
    )
    expect([await total(system), await total(issuer)]).toEqual([3, 2])
    expect((await api.get(issuer)).body.issuer.programs).toEqual([])
  })

  test('of a deleted system: nothing is found any more, in private or in public', async () => {
    const { system, issuer, program, badges } = await seedTree()
    const other = await seedTree()
    const award = { email: 'earner@example.org' }
    const path = `${system}/badges/${badges.system.slug}`
    await api.post(`${path}/instances`, award)
    const { code, message } = (await quietly(200, () => api.delete(system))) && {
      code: 'ResourceNotFound',
      message: `Could not find system field: \`slug\`, value: \`${system.split('/')[2]}\``,
    }
    const gone = [
      system,
      `${system}/issuers`,
      issuer,
      `${issuer}/programs`,
      program,
      ...[system, issuer, program].map((at) => `${at}/badges`),
      path,
      `${path}/instances/${award.email}`,
      `${program}/badges/${badges.program.slug}`,
    ]
    for (const at of gone) {
      expect(await refused(404, () => api.get(at)), at).toEqual({ code, message })
    }
    expect((await refused(404, () => api.post(`${path}/instances`, award))).message).toBe(message)
    expect((await ask('GET', `/public${system}`)).status).toBe(404)
    expect((await ask('GET', `/public${path}`)).status).toBe(404)
    const listed = JSON.stringify((await ask('GET', '/public/badges')).body)
    expect(listed).not.toContain(`${system}/`)
    expect(listed).toContain(`${other.system}/`)
    expect((await api.get(other.program)).status).toBe(200)
  })
})

describe.each(levels)('listing $plural', (level) => {
  const { plural } = level

  async function seedMany() {
    const list = await seedList(level)
    for (let n = 0; n < 5; n++) await seedOne(level, {}, list)
    return { list, all: (await api.get(list)).body[plural] as { id: number; slug: string }[] }
  }

  test('gives everything by ascending id, without pageData, unless both numbers are above 0', async () => {
    const { list, all } = await seedMany()
    const ids = all.map(({ id }) => id)
    expect(ids).toEqual([...ids].sort((a, b) => a - b))
    const queries = ['page=2', 'count=2', 'page=0&count=2', 'page=-1&count=2', 'page=1&count=-2']
    for (const query of [...queries, 'page=x&count=2', 'page=1&count=', 'page=NaN&count=NaN']) {
      const { status, body } = await api.get(`${list}?${query}`)
      expect(status, query).toBe(200)
      expect(body, query).toEqual({ [plural]: all })
    }
  })

  test('cuts it into pages that tell the total', async () => {
    const { list, all } = await seedMany()
    const count = Math.ceil(all.length / 3)
    const seen = []
    for (let page = 1; page <= 3; page++) {
      const { body } = await api.get(`${list}?page=${page}&count=${count}`)
      expect(Object.keys(body)).toEqual([plural, 'pageData'])
      expect(body.pageData).toEqual({ page, count, total: all.length })
      expect(Object.keys(body.pageData)).toEqual(['page', 'count', 'total'])
      expect(body[plural].length).toBeLessThanOrEqual(count)
      seen.push(...body[plural])
    }
    expect(seen).toEqual(all)
  })

  test('gives an empty page past the end, with the right total', async () => {
    const { list, all } = await seedMany()
    for (const [page, count] of [
      [99, 1000],
      [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
    ]) {
      expect((await api.get(`${list}?page=${page}&count=${count}`)).body).toEqual({
        [plural]: [],
        pageData: { page, count, total: all.length },
      })
    }
  })

  test('reads leading digits as a number', async () => {
    const { list, all } = await seedMany()
    const { body } = await api.get(`${list}?page=2abc&count=2.9`)
    expect(body).toEqual({
      [plural]: all.slice(2, 4),
      pageData: { page: 2, count: 2, total: all.length },
    })
  })

  test('counts what was deleted no more, and a refused creation never', async () => {
    const { list, all } = await seedMany()
    const last = all.at(-1)?.slug ?? ''
    await refused(409, () => api.post(list, container(last)))
    await quietly(200, () => api.delete(`${list}/${last}`))
    const { body } = await api.get(`${list}?page=1&count=1000`)
    expect(body.pageData.total).toBe(all.length - 1)
    expect(body[plural]).toEqual(all.slice(0, -1))
  })
})

test('a list holds nothing of another parent', async () => {
  for (const level of [levels[1], levels[2]]) {
    const { list, made } = await seedOne(level)
    const before = (await api.get(list)).body[level.plural]
    expect(before.at(-1)).toEqual(made)
    await seedOne(level)
    expect((await api.get(list)).body).toEqual({ [level.plural]: before })
    expect((await api.get(`${list}?page=1&count=5`)).body.pageData.total).toBe(before.length)
  }
})

describe('what a path names', () => {
  test('is missed from left to right, before the body is looked at', async () => {
    const program = await seedContainer(levels[2])
    const [, , system = '', , issuer = ''] = program.split('/')
    const cases = [
      [`/systems/no1/issuers/no2/programs/no3`, 'system', 'no1'],
      [`/systems/${system}/issuers/no2/programs/no3`, 'issuer', 'no2'],
      [`/systems/${system}/issuers/${issuer}/programs/no%203`, 'program', 'no 3'],
      [`/systems/no1/issuers/no2`, 'system', 'no1'],
      [`/systems/${system}/issuers/no2`, 'issuer', 'no2'],
      [`/systems/n%C3%B6`, 'system', 'nö'],
    ] as const
    await changesNothing(async () => {
      for (const [path, model, value] of cases) {
        const body = {
          code: 'ResourceNotFound',
          message: `Could not find ${model} field: \`slug\`, value: \`${value}\``,
        }
        expect(await refusal(404, () => api.get(path)), path).toEqual(body)
        expect(await refusal(404, () => api.put(path, { url: 'nope' })), path).toEqual(body)
        expect(await refusal(404, () => api.put(path, { name: 'Fine' })), path).toEqual(body)
        expect(await refusal(404, () => api.delete(path)), path).toEqual(body)
      }
      for (const [list, model, value] of [
        ['/systems/no1/issuers', 'system', 'no1'],
        ['/systems/no1/issuers/no2/programs', 'system', 'no1'],
        [`/systems/${system}/issuers/no2/programs`, 'issuer', 'no2'],
      ] as const) {
        const message = `Could not find ${model} field: \`slug\`, value: \`${value}\``
        for (const call of [
          () => api.get(list),
          () => api.get(`${list}?page=1&count=1`),
          () => api.post(list, {}),
          () => api.post(list, container('fine')),
          () => api.post(list, { ...container('fine'), image: PNG_URI }),
        ]) {
          expect((await refusal(404, call)).message, list).toBe(message)
        }
      }
    })
  })
})

// ── Images ──────────────────────────────────────────────────────────────────────────────────────────────────────────

describe.each(levels)('the image of a $name', (level) => {
  const { name } = level

  test('given as a URL is shown as it was given and never fetched', async () => {
    const { made, path } = await seedOne(level, { image: REMOTE })
    expect(made.imageUrl).toBe(REMOTE)
    const other = 'https://example.org/other.png'
    const changed = await quietly(200, () => api.put(path, { imageUrl: other }))
    expect(changed[name].imageUrl).toBe(other)
    expect(await show(level, path)).toEqual(changed[name])
  })

  test('given as a data URI is kept and served with its real type, for ever', async () => {
    const png = otherPng(unique('Comment\0served'))
    const uri = uriOf(png).replace('image/png', 'image/jpeg')
    const { made, path } = await seedOne(level, { image: uri })
    expect(made.imageUrl).toMatch(STORED)
    expect((await show(level, path)).imageUrl).toBe(made.imageUrl)
    const alias = made.imageUrl.replace('/public/images/', '/images/')
    for (const url of [made.imageUrl, alias, made.imageUrl]) {
      const { status, headers, bytes } = await fetchImage(url)
      expect(status).toBe(200)
      expect(headers.get('Content-Type')).toBe('image/png')
      expect(headers.get('X-Content-Type-Options')).toBe('nosniff')
      expect(headers.get('Cache-Control')).toMatch(/public, max-age=\d{7,}, immutable/)
      expect(bytes).toEqual(png)
    }
  })

  test('given as a multipart file is kept, whatever its header says', async () => {
    const list = await seedList(level)
    const png = otherPng(unique('Comment\0file'))
    const fields = { ...container(unique(name)), image: file(png, 'text/html') }
    const body = await quietly(201, () => api.multipart(list, formOf(fields)))
    expect(body[name].imageUrl).toMatch(STORED)
    const served = await fetchImage(body[name].imageUrl)
    expect(served.headers.get('Content-Type')).toBe('image/png')
    expect(served.bytes).toEqual(png)
  })

  test('is refused when its bytes are no image, whatever they are said to be', async () => {
    const { list, path } = await seedOne(level, { image: REMOTE })
    const html = utf8('<html><script>alert(1)</script></html>')
    const half = PNG.slice(0, 40)
    await changesNothing(async () => {
      for (const bytes of [html, half]) {
        const given = { ...container(unique(name)), image: uriOf(bytes) }
        expect((await refusal(400, () => api.post(list, given))).details).toEqual([
          { message: 'Invalid characters', field: 'mimetype', value: given.image },
        ])
        const form = formOf({ ...container(unique(name)), image: file(bytes) })
        expect((await refusal(400, () => api.multipart(list, form))).details).toEqual([
          { message: 'Invalid characters', field: 'mimetype', value: 'picture.png' },
        ])
        await refusal(400, () => api.put(path, { image: uriOf(bytes) }))
      }
    })
  })

  test('is refused when it is neither text nor file, and no file of the server’s is read', async () => {
    const { list, path } = await seedOne(level)
    const image = { path: '/etc/passwd', size: 10, type: 'image/png' }
    const details = [{ message: 'Invalid value', field: 'image', value: image }]
    const given = { ...container(unique(name)), image }
    expect((await refused(400, () => api.post(list, given))).details).toEqual(details)
    expect((await refused(400, () => api.put(path, { image }))).details).toEqual(details)
  })

  test.each(['image', 'imageUrl'])('is refused when %s is no URL', async (field) => {
    const { list, path } = await seedOne(level)
    await changesNothing(async () => {
      for (const value of [
        'ridiculous-url',
        '/elsewhere/x.png',
        '/images/badge/7',
        'javascript:x',
      ]) {
        const details = [{ message: 'Invalid URL', field: 'url', value }]
        const given = { ...container(unique(name)), [field]: value }
        expect((await refusal(400, () => api.post(list, given))).details).toEqual(details)
        expect((await refusal(400, () => api.put(path, { [field]: value }))).details).toEqual(
          details,
        )
      }
    })
  })

  test('stays as it is when it is sent back, in every form in which we name it', async () => {
    const { made, path } = await seedOne(level, { image: uriOf(otherPng(unique('Comment\0own'))) })
    const before = await rows('images')
    const own = new URL(made.imageUrl).pathname
    const alias = own.replace('/public', '')
    for (const imageUrl of [own, alias, ORIGIN + own, ORIGIN + alias]) {
      for (const field of ['image', 'imageUrl']) {
        const body = await quietly(200, () => api.put(path, { [field]: imageUrl, name: 'Same' }))
        expect(body[name]).toEqual({ ...made, name: 'Same' })
      }
    }
    expect(await rows('images')).toBe(before)
  })

  test('stays when none is sent, or an empty one', async () => {
    const { made, path } = await seedOne(level, { image: PNG_URI })
    for (const given of [
      {},
      { image: null },
      { image: '' },
      { imageUrl: null },
      { imageUrl: '' },
    ]) {
      expect((await quietly(200, () => api.put(path, given)))[name]).toEqual(made)
    }
    const empty = formOf({ image: file(new Uint8Array()), name: 'With an empty file' })
    const body = await quietly(200, () => put(path, empty))
    expect(body[name]).toEqual({ ...made, name: 'With an empty file' })
  })

  test('is taken from the file first, then `image`, then `imageUrl`', async () => {
    const { made } = await seedOne(level, { image: REMOTE, imageUrl: 'https://example.org/2.png' })
    expect(made.imageUrl).toBe(REMOTE)
    const { path } = await seedOne(level, { image: '', imageUrl: REMOTE })
    const form = formOf({ image: file(PNG), imageUrl: 'https://example.org/3.png' })
    expect((await quietly(200, () => put(path, form)))[name].imageUrl).toMatch(STORED)
  })

  test('is one row for the same content, and a new address for other content', async () => {
    const [one, two] = [otherPng(unique('Comment\0one')), otherPng(unique('Comment\0two'))]
    const before = await rows('images')
    const { made, path } = await seedOne(level, { image: uriOf(one) })
    expect(await rows('images')).toBe(before + 1)
    await quietly(200, () => api.put(path, { image: uriOf(one) }))
    const file1 = await quietly(200, () => put(path, formOf({ image: file(one) })))
    expect(file1[name].imageUrl).toBe(made.imageUrl)
    expect(await rows('images')).toBe(before + 1)
    const changed = await quietly(200, () => api.put(path, { image: uriOf(two) }))
    expect(changed[name].imageUrl).not.toBe(made.imageUrl)
    expect(await rows('images')).toBe(before + 2)
    expect((await fetchImage(changed[name].imageUrl)).bytes).toEqual(two)
    expect((await fetchImage(made.imageUrl)).bytes).toEqual(one)
  })

  test('is refused above 1.5 MB', async () => {
    const { list, path } = await seedOne(level)
    const big = new Uint8Array(1_500_001)
    big.set(PNG)
    const form = formOf({ ...container(unique(name)), image: file(big) })
    const body = await refused(413, () => api.multipart(list, form))
    expect(body.code).toBe('RequestEntityTooLarge')
    await refused(413, () => put(path, formOf({ image: file(big) })))
  })

  test('may be an SVG that can do nothing, whose plain DOCTYPE is taken out', async () => {
    const doctype =
      '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">'
    const svg = `<svg xmlns="http://www.w3.org/2000/svg"><title>${unique('x')}</title><path d="M0 0"/></svg>`
    const image = `data:image/svg+xml;base64,${btoa(`<?xml version="1.0"?>${doctype}${svg}`)}`
    const { made } = await seedOne(level, { image })
    const { headers, bytes } = await fetchImage(made.imageUrl)
    expect(headers.get('Content-Type')).toBe('image/svg+xml')
    expect(headers.get('Content-Security-Policy')).toContain('sandbox')
    expect(headers.get('X-Content-Type-Options')).toBe('nosniff')
    expect(new TextDecoder().decode(bytes)).toBe(`<?xml version="1.0"?>${svg}`)
  })

  test('is refused as an SVG that could run something', async () => {
    const { list } = await seedOne(level)
    const svg = (inner: string) => `<svg xmlns="http://www.w3.org/2000/svg">${inner}</svg>`
    await changesNothing(async () => {
      for (const text of [
        svg('<script>alert(1)</script>'),
        svg('<path onload="alert(1)"/>'),
        svg('<image href="https://example.org/x.png"/>'),
        `<!DOCTYPE svg [<!ENTITY x "y">]>${svg('')}`,
      ]) {
        const image = `data:image/svg+xml;base64,${btoa(text)}`
        const given = { ...container(unique(name)), image }
        expect((await refusal(400, () => api.post(list, given))).details[0].field).toBe('mimetype')
      }
    })
  })
})

describe('stored images', () => {
  test('are shared inside a system and never between systems', async () => {
    const image = uriOf(otherPng(unique('Comment\0islands')))
    const before = await rows('images')
    const a = await seedOne(levels[0], { image })
    const b = await seedOne(levels[0], { image })
    expect(a.made.imageUrl).not.toBe(b.made.imageUrl)
    expect(await rows('images')).toBe(before + 2)
    const issuer = await seedOne(levels[1], { image }, `${a.path}/issuers`)
    const program = await seedOne(levels[2], { image }, `${issuer.path}/programs`)
    expect([issuer.made.imageUrl, program.made.imageUrl]).toEqual([
      a.made.imageUrl,
      a.made.imageUrl,
    ])
    expect(await rows('images')).toBe(before + 2)
  })

  test('are asked for in vain under an unknown name', async () => {
    for (const path of ['/public/images/nope', '/images/nope']) {
      const { status, body } = await ask('GET', path)
      expect([status, body.code]).toEqual([404, 'ResourceNotFound'])
    }
  })

  test('that are a URL send on to it', async () => {
    const { made } = await seedOne(levels[0], { image: REMOTE })
    const row = await env.DB.prepare('select slug from images where systemId = ?')
      .bind(made.id)
      .first()
    const { status, headers, body } = await ask('GET', `/public/images/${row?.slug}`)
    expect([status, headers.get('Location')]).toEqual([301, REMOTE])
    expect(body).toEqual({ location: REMOTE })
  })

  test('do not come in a body above 8 MiB', async () => {
    const given = { ...container(unique('system')), description: 'x'.repeat(8 * 1024 * 1024) }
    const body = await refused(413, () => api.post('/systems', given))
    expect(body.code).toBe('RequestEntityTooLarge')
  })
})
