import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, test } from 'vitest'
import { api, ask, send } from '../helpers/api'

/**
 * Answers of BadgeKit's own server, recorded: which members they have, in which order and of which type. Where the contract
 * mends the original (a system shows its `description`, a missing field its `message`), the mended form stands here.
 */

type Shape = string | { [key: string]: Shape } | Shape[]

/** The types of an answer’s members, in order. A list is known by its first item. */
function shapeOf(value: unknown): Shape {
  if (value === null) return 'null'
  if (Array.isArray(value)) return value.slice(0, 1).map(shapeOf)
  if (typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, shapeOf(member)]))
  }
  const isDate = typeof value === 'string' && /^\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z$/.test(value)
  return isDate ? 'date' : typeof value
}

const plain = (description: string, email: string, imageUrl: string) => ({
  id: 'number',
  slug: 'string',
  url: 'string',
  name: 'string',
  description,
  email,
  imageUrl,
})
const program = plain('string', 'string', 'string')
const issuer = (programs: Shape[]) => ({ ...plain('string', 'string', 'string'), programs })
const minimal = { ...plain('null', 'null', 'null'), issuers: [] }
const chicago = { ...plain('string', 'string', 'null'), issuers: [] }

const badge = (containers: { [key: string]: Shape }) => ({
  id: 'number',
  slug: 'string',
  name: 'string',
  strapline: 'string',
  earnerDescription: 'string',
  consumerDescription: 'string',
  issuerUrl: 'string',
  rubricUrl: 'string',
  timeValue: 'number',
  timeUnits: 'string',
  limit: 'number',
  unique: 'number',
  created: 'date',
  imageUrl: 'string',
  type: 'string',
  archived: 'boolean',
  ...containers,
  criteriaUrl: 'string',
  criteria: [{ id: 'number', description: 'string', required: 'number', note: 'string' }],
  alignments: [{ id: 'number', name: 'string', url: 'string', description: 'string' }],
  evidenceType: 'string',
  categories: ['string'],
  tags: [{ id: 'number', value: 'string' }],
  milestones: [],
})

const FIRST = {
  slug: 'first',
  name: 'First Badge',
  strapline: 'A strap',
  earnerDescription: 'For earners',
  consumerDescription: 'For consumers',
  criteriaUrl: 'http://example.org/criteria',
  issuerUrl: 'http://example.org/issuer',
  rubricUrl: 'http://example.org/rubric',
  timeValue: 5,
  timeUnits: 'hours',
  limit: 10,
  unique: 1,
  type: 'skill',
  evidenceType: 'URL',
  image: 'http://example.org/badge.png',
  criteria: [
    { description: 'Do it', required: 1, note: 'n1' },
    { description: 'Do it twice', required: 0, note: 'n2' },
  ],
  alignments: [{ name: 'CCSS 1', url: 'http://example.org/ccss1', description: 'd1' }],
  categories: ['science', 'math', 'science', ''],
  tags: ['a', 'b', 'a'],
}
const CHICAGO = {
  slug: 'chicago',
  name: 'Chicago',
  url: 'http://chicago.example.org',
  description: 'The City of Chicago',
  email: 'mayor@chicago.example.org',
}
const LIBRARY = {
  slug: 'library',
  name: 'Chicago Library',
  url: 'http://lib.example.org',
  description: 'Books',
  email: 'lib@example.org',
  image: 'http://example.org/lib.png',
}
const SCRATCH = {
  slug: 'scratch',
  name: 'Scratch',
  url: 'http://scratch.example.org',
  description: 'Code',
  email: 's@example.org',
  image: 'http://example.org/s.png',
}

const [S, I] = ['/systems/chicago', '/systems/chicago/issuers/library']
const P = `${I}/programs/scratch`

type Verb = 'get' | 'post' | 'put' | 'delete'
const ask4 = (verb: Verb, path: string, body?: object) =>
  verb === 'get' || verb === 'delete' ? api[verb](path) : api[verb](path, body)

// In the recorded order: each exchange stands on those before it.
const EXCHANGES: [string, Verb, string, object | undefined, number, Shape][] = [
  ['systems, empty', 'get', '/systems', undefined, 200, { systems: [] }],
  [
    'a system of three fields',
    'post',
    '/systems',
    { slug: 'minimal', name: 'Minimal System', url: 'http://example.org/min' },
    201,
    { status: 'string', system: minimal },
  ],
  [
    'a renamed system',
    'put',
    '/systems/minimal',
    { name: 'Renamed' },
    200,
    { status: 'string', system: minimal },
  ],
  ['a full system', 'post', '/systems', CHICAGO, 201, { status: 'string', system: chicago }],
  ['badges, empty', 'get', `${S}/badges`, undefined, 200, { badges: [] }],
  [
    'a badge',
    'post',
    `${S}/badges`,
    FIRST,
    201,
    { status: 'string', badge: badge({ system: chicago }) },
  ],
  [
    'a badge, shown',
    'get',
    `${S}/badges/first`,
    undefined,
    200,
    { badge: badge({ system: chicago }) },
  ],
  ['issuers, empty', 'get', `${S}/issuers`, undefined, 200, { issuers: [] }],
  ['an issuer', 'post', `${S}/issuers`, LIBRARY, 201, { status: 'string', issuer: issuer([]) }],
  ['programs, empty', 'get', `${I}/programs`, undefined, 200, { programs: [] }],
  ['a program', 'post', `${I}/programs`, SCRATCH, 201, { status: 'string', program }],
  ['a program, shown', 'get', P, undefined, 200, { program }],
  ['an issuer with its program', 'get', I, undefined, 200, { issuer: issuer([program]) }],
  [
    'a system with all below it',
    'get',
    S,
    undefined,
    200,
    { system: { ...chicago, issuers: [issuer([program])] } },
  ],
  [
    'a badge of a program',
    'post',
    `${P}/badges`,
    { ...FIRST, slug: 'tvn' },
    201,
    { status: 'string', badge: badge({ system: chicago, issuer: issuer([]), program }) },
  ],
  [
    'a page of badges',
    'get',
    `${I}/badges?page=1&count=1`,
    undefined,
    200,
    {
      badges: [badge({ system: chicago, issuer: issuer([]), program })],
      pageData: { page: 'number', count: 'number', total: 'number' },
    },
  ],
  [
    'a changed badge',
    'put',
    `${S}/badges/tvn`,
    { timeValue: 7 },
    200,
    { status: 'string', badge: badge({ system: chicago, issuer: issuer([]), program }) },
  ],
  [
    'a deleted badge',
    'delete',
    `${S}/badges/tvn`,
    undefined,
    200,
    { status: 'string', badge: badge({ system: chicago, issuer: issuer([]), program }) },
  ],
  ['a deleted program', 'delete', P, undefined, 200, { status: 'string', program }],
  ['a deleted issuer', 'delete', I, undefined, 200, { status: 'string', issuer: issuer([]) }],
  [
    'a deleted system',
    'delete',
    '/systems/minimal',
    undefined,
    200,
    { status: 'string', system: minimal },
  ],
]

// A story: each step stands on those before it, so its order is not shuffled.
describe('what the original answered', { shuffle: false }, () => {
  // It starts from nothing, whatever was tested before.
  beforeAll(() => env.DB.prepare('update systems set deletedAt = 1 where deletedAt is null').run())

  test.each(EXCHANGES)('%s', async (_name, verb, path, given, status, shape) => {
    const { body, status: got, headers } = await ask4(verb, path, given)
    expect(got, JSON.stringify(body)).toBe(status)
    expect(headers.get('Content-Type')).toMatch(/^application\/json\b/)
    // As text, so that the order counts.
    expect(JSON.stringify(shapeOf(body), null, 1)).toBe(JSON.stringify(shape, null, 1))
    const word = { get: undefined, post: 'created', put: 'updated', delete: 'deleted' }[verb]
    expect(body.status).toBe(word)
  })

  test('gave a badge these values', async () => {
    const { body } = await api.get(`${S}/badges/first`)
    const { categories: _c, tags: _t, image, ...given } = FIRST
    expect(body.badge).toMatchObject({
      ...given,
      imageUrl: image,
      archived: false,
      system: CHICAGO,
      categories: ['science', 'math'],
      tags: [{ value: 'a' }, { value: 'b' }],
    })
  })
})

const notFound = (model: string, value: string) => ({
  code: 'ResourceNotFound',
  message: `Could not find ${model} field: \`slug\`, value: \`${value}\``,
})
const invalid = (...details: [message: string, field: string, value: string][]) => ({
  code: 'ValidationError',
  message: 'Could not validate required fields',
  details: details.map(([message, field, value]) => ({ message, field, value })),
})

describe('how the original refused', () => {
  beforeAll(async () => {
    for (const [path, body] of [
      ['/systems', { ...CHICAGO, slug: 'boston' }],
      ['/systems/boston/issuers', LIBRARY],
      ['/systems/boston/issuers/library/programs', SCRATCH],
    ] as const) {
      expect((await api.post(path, body)).status).toBe(201)
    }
  })
  const B = '/systems/boston'
  const { unique: _unique, ...withoutUnique } = FIRST
  const dup = { slug: 'boston', url: 'http://dup.example.org', name: 'Dup' }
  const dupProgram = { slug: 'scratch', url: 'http://scratch.example.org', name: 'Dup' }

  const refusals: [string, Verb, string, object | undefined, number, object][] = [
    [
      'a second system of one slug',
      'post',
      '/systems',
      dup,
      409,
      {
        code: 'ResourceConflict',
        message: 'system with that `slug` already exists',
        details: dup,
      },
    ],
    [
      'a second program of one slug',
      'post',
      `${B}/issuers/library/programs`,
      dupProgram,
      409,
      {
        code: 'ResourceConflict',
        message: 'program with that `slug` already exists',
        details: dupProgram,
      },
    ],
    ['a URL that is none', 'put', B, { url: 'nope' }, 400, invalid(['Invalid URL', 'url', 'nope'])],
    [
      'issuers of nothing',
      'get',
      '/systems/nope/issuers',
      undefined,
      404,
      notFound('system', 'nope'),
    ],
    [
      'an issuer of one field',
      'post',
      `${B}/issuers`,
      { name: 'x' },
      400,
      invalid(['Required field', 'slug', ''], ['Required field', 'url', '']),
    ],
    [
      'a program of nothing',
      'post',
      `${B}/issuers/nope/programs`,
      { slug: 'a' },
      404,
      notFound('issuer', 'nope'),
    ],
    [
      'a badge without `unique`',
      'post',
      `${B}/badges`,
      withoutUnique,
      400,
      invalid(['Required field', 'unique', '']),
    ],
    ['no badge, shown', 'get', `${B}/badges/nope`, undefined, 404, notFound('badge', 'nope')],
    ['no badge, changed', 'put', `${B}/badges/nope`, { name: 'x' }, 404, notFound('badge', 'nope')],
    ['no badge, deleted', 'delete', `${B}/badges/nope`, undefined, 404, notFound('badge', 'nope')],
    [
      'a bad filter',
      'get',
      `${B}/badges?archived=bogus`,
      undefined,
      400,
      {
        code: 'InvalidParameter',
        parameter: 'archived',
        message: "Invalid `archived` parameter. Expecting one of 'true', 'false' or 'any'.",
      },
    ],
    [
      'badges of a deleted system',
      'get',
      '/systems/minimal/badges',
      undefined,
      404,
      notFound('system', 'minimal'),
    ],
    [
      'an unknown path',
      'get',
      '/nope',
      undefined,
      404,
      { code: 'ResourceNotFound', message: '/nope does not exist' },
    ],
  ]

  test.each(refusals)('%s', async (_name, verb, path, given, status, expected) => {
    const answer = await ask4(verb, path, given)
    expect(answer.status).toBe(status)
    expect(answer.body).toEqual(expected)
    expect(Object.keys(answer.body)).toEqual(Object.keys(expected))
    expect(answer.headers.get('Content-Type')).toMatch(/^application\/json\b/)
  })

  test('a method that a path lacks, before any signature', async () => {
    const answer = await ask('PATCH', '/systems', { body: '{}' })
    expect(answer.status).toBe(405)
    expect(answer.headers.get('Allow')).toBe('GET, POST')
    expect(answer.body).toEqual({
      code: 'MethodNotAllowedError',
      message: 'PATCH is not allowed',
    })
  })

  test('a body of plain text', async () => {
    const bytes = new TextEncoder().encode('slug=x') as Uint8Array<ArrayBuffer>
    const answer = await send('POST', '/systems', { type: 'text/plain', bytes })
    expect(answer.status).toBe(415)
    expect(answer.body).toEqual({ code: 'UnsupportedMediaTypeError', message: 'text/plain' })
  })
})

test.each(['/', '/healthcheck', '/?x=1'])('%s says which service answers', async (path) => {
  const { status, body } = await ask('GET', path)
  expect(status).toBe(200)
  expect(Object.keys(body)).toEqual(['app', 'version'])
  expect(body.app).toBe('BadgeKit API')
  expect(body.version).toMatch(/^\d+\.\d+\.\d+$/)
})
