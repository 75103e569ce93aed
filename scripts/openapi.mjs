/**
 * `npm run openapi [-- --check]`: writes `docs/openapi.json` from the routes of the running app. What a route says of
 * itself (`about`, `body` and `query` of `src/spec.ts`) becomes its operation; `hono-openapi` walks the routes, and
 * zod writes the schemas. With `--check` nothing is written: a file that differs is an error.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { findTargetHandler } from 'hono/utils/handler'
import { generateSpecs, uniqueSymbol } from 'hono-openapi'
import * as z from 'zod'
import { EXAMPLES } from './examples.mjs'
import { load } from './load.mjs'

/**
 * @typedef {{ summary: string, answer?: z.ZodType, status?: number, ok?: z.ZodType, body?: z.ZodType, media?: readonly string[], files?: readonly string[], query?: z.ZodType, open?: boolean }} About
 * @typedef {{ method: string, path: string, handler: Function }} Route
 * @typedef {Record<string, any>} Json
 */

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const FILE = resolve(ROOT, 'docs/openapi.json')
const { version, description } = JSON.parse(readFileSync(resolve(ROOT, 'package.json'), 'utf8'))

const MEDIA = ['application/json', 'application/x-www-form-urlencoded', 'multipart/form-data']
const METHODS = ['get', 'post', 'put', 'delete']
const LEVELS = ['systems', 'issuers', 'programs']

/** The nouns, in the order in which the documentation tells of them. A new one stands at the end by itself. */
const TAGS = {
  Systems:
    'An organisation with all that belongs to it. Only the master key lists and makes systems.',
  Issuers: 'A part of a system that awards badges of its own.',
  Programs: 'A part of an issuer.',
  Badges: 'What can be earned, with its criteria.',
  Instances: 'Awards: a badge given to an email address.',
  Jobs: 'Thousands of awards or revocations, in the background.',
  Codes: 'Codes that earners claim a badge with.',
  Applications: 'What learners hand in to earn a badge.',
  Reviews: 'What a reviewer says of an application.',
  Milestones: 'Badges that are earned by earning other badges.',
  Progress: 'How far an earner is with each milestone.',
  Webhooks: 'Receivers that are told what happens in a system.',
  Deliveries: 'What was sent to webhooks, and what came back.',
  Events: 'What happened in a system, in order.',
  Keys: 'Who may sign requests, and what for.',
  SigningKeys: 'By which a system, issuer or program signs the credentials that it awards.',
  Audit: 'Who did what in a system.',
  Stats: 'How much there is, and what happened by day, week or month.',
  Privacy: 'What is held about one person, to export or to erase.',
  Public: 'What anyone may read: pages and Open Badges documents.',
  Service: 'The service itself.',
}

/** What stands in a path, by name. */
const PARAMETERS = {
  system: 'Slug of the system',
  issuer: 'Slug of the issuer, within its system',
  program: 'Slug of the program, within its issuer',
  badge: 'Slug of the badge',
  email: 'Email address of the earner',
  instance: 'Slug of the award, as in its `assertionUrl`',
  image: 'Slug of the image',
  code: 'The claim code',
  application: 'Slug of the application',
  review: 'Slug of the review',
  milestone: 'Number of the milestone',
  webhook: 'Number of the webhook',
  delivery: 'Number of the delivery',
  event: 'Id of the event',
  job: 'Id of the job',
  key: 'Name of the key',
  badgeUid: 'Permanent id of the badge',
  issuerUid: 'Permanent id of the system, issuer or program',
  list: 'Name of the status list',
  thumbprint: 'Thumbprint of the public key',
}

/** Those of them that are numbers. */
const NUMBERED = ['milestone', 'webhook', 'delivery']

/** What is asked for in a query, by name; a schema's own description comes first. */
const QUERIES = {
  page: 'Number of the page, from 1; together with `count`',
  count: 'Length of a page; together with `page`',
  cursor: 'Where to go on, as the answer before named it in its `Link` header',
  limit: 'The most entries in one answer',
  archived: 'Archived badges: `true` only these, `false` all others (the default), `any` both',
  email: 'Only those of the learner with this address',
  free: 'Applications that nobody has taken: `true` only these, `false` all others, `any` both (the default)',
  assignedTo: 'Only those that the reviewer with this address has taken',
  claimed: 'Claimed codes: `true` only these, `false` all others, `any` both (the default)',
  processed: 'Processed applications: `true` only these, `false` all others, `any` both',
  reason: 'Why the award is revoked',
  after: 'The `sequence` of the last event that is known already',
  state: 'Only entries in this state',
  webhook: 'Only those of this webhook',
  type: 'Only events of this type',
  since: 'Not before this moment',
  until: 'Not after this moment',
}

const ERRORS = {
  400: ['BadRequest', 'A field or parameter cannot be taken; `details` names every failing field'],
  403: ['NotAuthorized', 'The token is missing or wrong, or its key may not do this'],
  404: ['NotFound', 'The path names something that is not there'],
  409: ['Conflict', 'What is there already stands against it'],
  410: ['Gone', 'The award was revoked, or what it belonged to was deleted'],
  412: ['PreconditionFailed', '`If-Match` names no version that the resource has'],
  413: ['TooLarge', 'The request body is too long'],
  415: ['UnsupportedMediaType', 'The request body is of a type that is not read here'],
  422: ['IdempotencyKeyReused', 'Another request has been sent with this `Idempotency-Key`'],
  429: [
    'TooManyRequests',
    'Too much was asked for, or tried in vain; `Retry-After` says when to try again',
  ],
  503: ['NotReady', 'Something that the service needs is missing'],
  default: ['Failure', 'Anything else, such as 503 with `Retry-After`: send the request again'],
}

/** POSTs that change one resource, of which `If-Match` may name the version. */
const CHANGES = /-badge$|\/(?:secret\/\w+|assign|cancel|suspend|reinstate|renew)$/

/** Those of them whose body is that of the good answer. */
const IN_KIND = ['410', '503']

const DESCRIPTION = `${description}.

Every request below that is not public carries \`Authorization: JWT token="…"\`, a token that is signed with HS256 and \
names the request's method, its path, the hash of its body and an expiry. GET /docs shows how, and tries it.

Bodies may be JSON, urlencoded or multipart; in the last two \`a[b]\` and \`a[]\` nest.`

/** @param {string} text */
const singular = (text) => text.replace(/ies$/, 'y').replace(/(?<!u)s$/, '')
/** @param {string} text */
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1)
/** @param {string} text */
const pascal = (text) =>
  text
    .split(/[^a-z\d]+/i)
    .map(capital)
    .join('')
/** @param {string} segment */
const isParameter = (segment) => segment.startsWith(':') || segment.startsWith('{')

/**
 * Takes a path apart: its words, the container levels at its beginning left out unless the path ends in one.
 * @param {string} path
 */
function wordsOf(path) {
  const segments = path.split('/').filter(Boolean)
  const isPublic = segments[0] === 'public'
  const words = segments.filter((segment) => !isParameter(segment))
  const own = words.filter((word) => word !== 'public' && !LEVELS.includes(word))
  const levels = words.filter((word) => LEVELS.includes(word))
  return { isPublic, own, levels, endsInOne: isParameter(segments.at(-1) ?? '') }
}

/**
 * A name for code generators: `listSystemBadges`, `getIssuer`, `claimProgramBadgeCode`.
 * @param {string} method
 * @param {string} path
 * @param {boolean} [withLevel]
 */
function nameOf(method, path, withLevel = true) {
  const { isPublic, own, levels, endsInOne } = wordsOf(path)
  if (path === '/') return 'getService'
  const nouns = [...own]
  const level = levels.at(-1)
  if (nouns.length === 0 || withLevel) nouns.unshift(...(level ? [level] : []))
  const verbs = { get: 'get', post: 'create', put: 'update', delete: 'delete' }
  let verb = verbs[/** @type {keyof typeof verbs} */ (method)]
  const last = nouns.at(-1) ?? ''
  const isList = !endsInOne && last !== 'docs' && /s$/.test(last)
  if (method === 'get' && isList) verb = 'list'
  // A POST to a word that is no collection is something done: `claim`, `add-badge`, `bulk`.
  if (method === 'post' && !endsInOne && !isList) {
    const action = pascal(nouns.pop() ?? '')
    verb = action.charAt(0).toLowerCase() + action.slice(1)
  }
  const names = nouns.map((noun, at) => {
    const isLast = at === nouns.length - 1
    return pascal(isLast && verb === 'list' ? noun : singular(noun))
  })
  return verb + (isPublic ? 'Public' : '') + names.join('')
}

/**
 * @param {string} path
 * @param {boolean} isOpen
 */
function tagOf(path, isOpen) {
  const { isPublic, own, levels } = wordsOf(path)
  if (isPublic || /image|well-known|did\.json/.test(path)) return 'Public'
  if (isOpen) return 'Service'
  const nouns = own.map(pascal)
  return nouns.findLast((noun) => noun in TAGS) ?? nouns[0] ?? pascal(levels.at(-1) ?? 'service')
}

/** The schemas that have a name, as they are met. */
const components = /** @type {Json} */ ({})

/**
 * A zod schema as JSON Schema; whatever has a `.meta({ id })` becomes a component.
 * @param {z.ZodType} schema
 * @param {'input' | 'output'} io
 * @returns {Json}
 */
function schemaOf(schema, io) {
  // One level down even the outermost schema is named like all others.
  const { properties, $defs = {} } = z.toJSONSchema(z.object({ it: schema }), {
    io,
    unrepresentable: 'any',
    override: ({ zodSchema, jsonSchema }) => {
      // An answer may grow: a client that refuses unknown members would break.
      if (jsonSchema.additionalProperties === false && !zodSchema._zod.def.catchall) {
        delete jsonSchema.additionalProperties
      }
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum
      if (jsonSchema.format !== undefined) delete jsonSchema.pattern
      if (jsonSchema.enum?.every(Number.isInteger)) jsonSchema.type = 'integer'
      if (io === 'input' && jsonSchema.required) dropOptional(zodSchema, jsonSchema)
    },
  })
  for (const [name, { id: _id, ...definition }] of Object.entries($defs)) {
    keep(name, toComponents(definition))
  }
  return toComponents(/** @type {Json} */ (properties).it)
}

/**
 * A field that reads `undefined` need not be sent, although zod cannot see that of a transformed one.
 * @param {any} zodSchema
 * @param {Json} jsonSchema
 */
function dropOptional(zodSchema, jsonSchema) {
  const { shape } = zodSchema._zod.def
  if (!shape) return
  jsonSchema.required = jsonSchema.required.filter(
    (/** @type {string} */ name) => !z.safeParse(shape[name], undefined).success,
  )
  if (jsonSchema.required.length === 0) delete jsonSchema.required
}

/** @param {unknown} json */
const toComponents = (json) =>
  JSON.parse(JSON.stringify(json).replaceAll('"#/$defs/', '"#/components/schemas/'))

/**
 * @param {string} name
 * @param {Json} schema
 */
function keep(name, schema) {
  const known = components[name]
  if (known && JSON.stringify(known) !== JSON.stringify(schema)) {
    throw new Error(`Two different schemas are called ${name}.`)
  }
  components[name] = schema
  return { $ref: `#/components/schemas/${name}` }
}

/**
 * A body gets a name of its own, as it is listed under three media types at three levels. Further media types are those of bodies
 * that are no fields.
 * @param {Route} route
 * @param {z.ZodType} body
 * @param {readonly string[]} [media]
 */
function requestBodyOf({ method, path }, body, media) {
  const schema = schemaOf(body, 'input')
  const name = capital(nameOf(method.toLowerCase(), path, false))
  const ref = schema.$ref ? schema : keep(name, schema)
  const isNeeded = schema.$ref !== undefined || (schema.required ?? []).length > 0
  const others = media
    ? media.map((type) => [type, {}])
    : MEDIA.slice(1).map((type) => [type, { schema: ref }])
  const json = { schema: ref, example: exampleOf(ref.$ref.split('/').at(-1), body) }
  return {
    required: isNeeded,
    content: Object.fromEntries([['application/json', json], ...others]),
  }
}

/**
 * @param {string} name
 * @param {z.ZodType} body
 */
function exampleOf(name, body) {
  const example = EXAMPLES[name]
  if (!example) throw new Error(`scripts/examples.mjs has no ${name}.`)
  const { error } = body.safeParse(example)
  if (error) throw new Error(`The example of ${name} would be refused: ${error.message}`)
  return example
}

/** @param {z.ZodType} query */
function parametersOf(query) {
  const { properties = {}, required = [] } = schemaOf(query, 'input')
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    description: description ?? QUERIES[/** @type {keyof typeof QUERIES} */ (name)],
    ...(required.includes(name) && { required: true }),
    schema,
  }))
}

/**
 * @param {Route} route
 * @param {About} about
 */
function answerOf({ path }, { answer, status = 200, ok, files = [] }) {
  const content = answer
    ? {
        'application/json': { schema: schemaOf(answer, 'output') },
        ...Object.fromEntries(files.map((type) => [type, { schema: { type: 'string' } }])),
      }
    : { [path.includes('image') ? 'image/*' : 'text/html']: {} }
  const description = status === 201 ? 'Created' : status === 202 ? 'Accepted' : 'As asked'
  const elsewhere = path.includes('image') && { 301: { description: 'The image is elsewhere' } }
  const page = WITH_PAGE.test(path) && { 302: { description: 'Its page, for who asks for HTML' } }
  const also = ok && {
    200: {
      description: 'As asked',
      content: { 'application/json': { schema: schemaOf(ok, 'output') } },
    },
  }
  return { ...also, [status]: { description, content }, ...elsewhere, ...page }
}

/** Open Badges documents that a person is shown as a page. */
const WITH_PAGE = /^\/public\/v[23]\/(?:assertions|credentials|badges|achievements|issuers)\/:\w+$/

/** Says the same in the words of `hono-openapi`, on the same handlers. */
function tagHandlers(/** @type {Route[]} */ routes, /** @type {symbol} */ ABOUT) {
  for (const route of routes) {
    const handler = /** @type {any} */ (findTargetHandler(/** @type {any} */ (route.handler)))
    const about = /** @type {About | undefined} */ (handler[ABOUT])
    if (!about) continue
    handler[uniqueSymbol] = {
      spec: {
        ...(about.summary && { summary: about.summary, responses: answerOf(route, about) }),
        ...(about.open && { security: [] }),
        ...(about.body && { requestBody: requestBodyOf(route, about.body, about.media) }),
        ...(about.query && { parameters: parametersOf(about.query) }),
      },
    }
  }
}

/**
 * The statuses that a route may answer with beside its own, by what it is.
 * @param {string} method
 * @param {string} path
 * @param {Json} operation
 */
function errorsOf(method, path, operation) {
  const isSigned = operation.security === undefined
  const hasInput = operation.requestBody || operation.parameters?.some(isQuery)
  const statuses = [
    // A path may be badly encoded, and so may be an `Idempotency-Key`.
    ...(hasInput || path.includes('{') || method === 'post' ? ['400'] : []),
    ...(isSigned ? ['403'] : []),
    ...(path.includes('{') ? ['404'] : []),
    ...(isSigned && (method === 'post' || method === 'put') ? ['409'] : []),
    ...(/^\/public\/(?:assertions|v2|v3\/(?:credentials|achievements))\//.test(path)
      ? ['410']
      : []),
    ...(/put|delete/.test(method) || CHANGES.test(path) ? ['412'] : []),
    ...(method === 'get' ? [] : ['413', '415']),
    ...(isSigned && method === 'post' ? ['422'] : []),
    ...(isSigned || method === 'post' ? ['429'] : []),
    ...(path === '/health/ready' ? ['503'] : []),
    'default',
  ]
  return Object.fromEntries(
    statuses.map((status) => {
      const [name, description] = ERRORS[/** @type {400} */ (/** @type {unknown} */ (status))]
      // What is gone, or not ready, is told in the form that it would have.
      if (IN_KIND.includes(status))
        return [status, { description, content: operation.responses[200].content }]
      return [status, { $ref: `#/components/responses/${name}` }]
    }),
  )
}

/** @param {Json} parameter */
const isQuery = (parameter) => parameter.in === 'query'

/**
 * One operation in full, its members in an order that does not depend on who wrote them first.
 * @param {string} method
 * @param {string} path
 * @param {Json} given
 */
function completed(method, path, given) {
  const { summary, security, parameters = [], requestBody, responses } = given
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => ({
    $ref: `#/components/parameters/${name}`,
  }))
  const every = [...inPath, ...parameters.filter(isQuery)]
  return {
    tags: [tagOf(path, security !== undefined)],
    summary,
    operationId: nameOf(method, path),
    ...(security && { security }),
    ...(every.length > 0 && { parameters: every }),
    ...(requestBody && { requestBody }),
    responses: { ...responses, ...errorsOf(method, path, given) },
  }
}

/** @param {Json} record */
const sorted = (record) =>
  Object.fromEntries(Object.entries(record).sort(([one], [two]) => (one < two ? -1 : 1)))

/**
 * By noun in the order of `TAGS`, then by path.
 * @param {Json} paths
 */
function orderedPaths(paths) {
  const order = Object.keys(TAGS)
  const place = (/** @type {string} */ path) => {
    const [tag] = Object.values(paths[path]).map((operation) => order.indexOf(operation.tags[0]))
    return String(tag === undefined || tag < 0 ? order.length : tag).padStart(3, '0') + path
  }
  return Object.keys(paths).sort((one, two) => (place(one) < place(two) ? -1 : 1))
}

/**
 * The whole document.
 * @param {Json} loaded
 */
async function documentOf({ app, ABOUT, ERROR_CODES: codes }) {
  tagHandlers(app.routes, ABOUT)
  const { paths } = await generateSpecs(app, {
    defaultValidationErrorResponse: false,
    excludeStaticFile: false,
  })
  const operations = /** @type {Json} */ ({})
  for (const [path, item] of Object.entries(paths)) {
    const methods = METHODS.filter((method) => /** @type {Json} */ (item)[method]?.summary)
    operations[path] = Object.fromEntries(
      methods.map((method) => [
        method,
        completed(method, path, /** @type {Json} */ (item)[method]),
      ]),
    )
  }
  const silent = app.routes.filter(
    (/** @type {Route} */ { method, path }) =>
      METHODS.includes(method.toLowerCase()) &&
      !operations[path.replace(/:(\w+)/g, '{$1}')]?.[method.toLowerCase()],
  )
  if (silent.length > 0) {
    const names = silent.map((/** @type {Route} */ { method, path }) => `${method} ${path}`)
    throw new Error(`Without about(): ${[...new Set(names)].join(', ')}`)
  }
  refuseDoubles(Object.values(operations).flatMap((item) => Object.values(item)))
  return framed(operations, codes)
}

/** @param {Json[]} operations */
function refuseDoubles(operations) {
  const names = operations.map(({ operationId }) => operationId)
  const doubles = names.filter((name, at) => names.indexOf(name) !== at)
  if (doubles.length > 0) throw new Error(`Operations of one name: ${doubles.join(', ')}`)
}

/**
 * @param {Json} operations
 * @param {readonly string[]} codes
 */
function framed(operations, codes) {
  const used = [...JSON.stringify(operations).matchAll(/components\/parameters\/(\w+)/g)]
  const parameters = Object.fromEntries(used.map(([, name = '']) => [name, pathParameter(name)]))
  const tags = new Set(Object.values(operations).flatMap((item) => Object.values(item)[0].tags))
  const known = Object.entries(TAGS).filter(([name]) => tags.has(name))
  const others = [...tags].filter((name) => !(name in TAGS)).sort()
  const named = Object.entries(ERRORS).filter(([status]) => !IN_KIND.includes(status))
  const responses = named
    .map(([, one]) => one)
    .map(([name, description]) => [
      name,
      {
        description,
        content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
      },
    ])
  return {
    openapi: '3.1.0',
    info: {
      title: 'BadgeKit API',
      version,
      description: DESCRIPTION,
      license: { name: 'MPL-2.0', identifier: 'MPL-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ token: [] }],
    tags: [
      ...known.map(([name, description]) => ({ name, description })),
      ...others.map((name) => ({ name })),
    ],
    paths: Object.fromEntries(orderedPaths(operations).map((path) => [path, operations[path]])),
    components: {
      schemas: sorted({ ...components, Error: schemaOf(errorSchema(codes), 'output') }),
      parameters: sorted(parameters),
      responses: Object.fromEntries(responses),
      securitySchemes: {
        token: {
          type: 'apiKey',
          in: 'header',
          name: 'Authorization',
          description:
            '`JWT token="<compact JWS>"`: HS256, with the claims `key`, `method`, `path`, `exp` and, where there is a body, `body: { alg: "sha256", hash }`',
        },
      },
    },
  }
}

/** @param {string} name */
const pathParameter = (name) => ({
  name,
  in: 'path',
  required: true,
  description: PARAMETERS[/** @type {keyof typeof PARAMETERS} */ (name)] ?? `The ${name}`,
  schema: { type: NUMBERED.includes(name) ? 'integer' : 'string' },
})

/** @param {readonly string[]} codes */
const errorSchema = (codes) =>
  z.object({
    code: z.enum(codes).meta({ description: 'What went wrong, for programs: stable' }),
    message: z.string().meta({ description: 'What went wrong, for people' }),
    details: z.unknown().optional().meta({
      description:
        'Of `ValidationError` a list of `{ message, field, value }`; else what stands in the way',
    }),
    parameter: z.string().optional().meta({ description: 'The parameter that cannot be taken' }),
  })

async function main() {
  const { values: options } = parseArgs({
    options: { check: { type: 'boolean', default: false } },
  })
  const loaded = await load(
    `export { app } from './src/app'\nexport { ERROR_CODES } from './src/errors'\nexport { ABOUT } from './src/spec'`,
  )
  const text = `${JSON.stringify(await documentOf(loaded), null, 2)}\n`
  if (text === readFileSync(FILE, 'utf8')) return
  if (options.check) {
    throw new Error('docs/openapi.json is not what the routes say: npm run openapi')
  }
  writeFileSync(FILE, text)
}

await main().catch((error) => {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
  process.exitCode = 1
})
