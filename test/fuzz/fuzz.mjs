/**
 * `npm run fuzz`: inputs that follow from a seed, made of what `docs/openapi.json` says, sent to every route by everyone: no
 * signature, a bad one, `master`, a key of each role, and the key of another system. For each:
 *
 * - it is never answered 5xx, and with no status but those that the route documents;
 * - the answer is of the shape that the route documents for that status;
 * - what is surely bad is refused, and whoever may not is refused;
 * - of good requests by `master` at least 60 % on every route succeed;
 * - after every 100 inputs an honest request is answered as ever.
 *
 * Each path is also asked by every method that it has not: 405.
 *
 *     npm run fuzz -- [--cases 10000] [--seed N]
 */
import { createHash, createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Agent, request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { build, migrate, ROOT, SECRET, start, tidy } from '../../scripts/bench/servers.mjs'
import { randomOf } from './random.mjs'
import {
  AWKWARD,
  asForm,
  asJson,
  asMultipart,
  bent,
  brokenWire,
  goodValue,
  PNG,
} from './values.mjs'

/** @typedef {Record<string, any>} Json */
/** @typedef {{ name: string, key?: string, secret?: string, isBad?: boolean, may: 'all' | 'read' | 'nothing' }} Asker */
/** @typedef {{ status: number, headers: import('node:http').IncomingHttpHeaders, text: string }} Answer */
/** @typedef {{ method: string, path: string, about: Json, good: number, succeeded: number, sent: number, refusals: Map<string, number> }} Operation */

const { values: options } = parseArgs({
  options: {
    cases: { type: 'string', default: '10000' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
})
const CASES = Number(options.cases)
const SEED = Number(options.seed)
const LEAST = 0.6
const HOME = 'fuzz-home'
const random = randomOf(SEED)
const spec = /** @type {Json} */ (JSON.parse(readFileSync(join(ROOT, 'docs/openapi.json'), 'utf8')))
const started = Date.now()

/** @type {string[]} */
const failures = []

// ── Asking ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const agent = new Agent({ keepAlive: true, maxSockets: 1 })
let port = 0
let surelyBad = 0

/**
 * @param {string} method
 * @param {string} path as it goes over the wire
 * @param {Record<string, string>} headers
 * @param {Buffer} [body]
 * @returns {Promise<Answer>}
 */
const send = (method, path, headers, body) =>
  new Promise((done, fail) => {
    const length = body ? { 'content-length': String(body.length) } : {}
    const asked = httpRequest(
      {
        host: '127.0.0.1',
        port,
        method,
        path,
        agent,
        headers: { ...headers, ...length },
        timeout: 30_000,
      },
      (response) => {
        /** @type {Buffer[]} */
        const chunks = []
        response.on('data', (chunk) => chunks.push(chunk))
        response.on('error', fail)
        response.on('end', () =>
          done({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text: Buffer.concat(chunks).toString(),
          }),
        )
      },
    )
    asked.on('timeout', () => asked.destroy(new Error('no answer within 30 s')))
    asked.on('error', fail)
    asked.end(body)
  })

const base64url = (/** @type {unknown} */ value) =>
  Buffer.from(JSON.stringify(value)).toString('base64url')

/** @param {Asker} asker @param {string} method @param {string} path @param {Buffer} [body] */
function authorizationOf({ key, secret = SECRET, isBad }, method, path, body) {
  const digest = body && { alg: 'sha256', hash: createHash('sha256').update(body).digest('hex') }
  const exp = Math.floor(Date.now() / 1000) + 600
  const text = `${base64url({ typ: 'JWT', alg: 'HS256' })}.${base64url({ key, method, path, exp, body: digest })}`
  const mac = createHmac('sha256', isBad ? `${secret}x` : secret).update(text)
  return `JWT token="${text}.${mac.digest('base64url')}"`
}

/** @type {Asker} */
const MASTER = { name: 'master', key: 'master', may: 'all' }

/** A request by `master` that prepares something; it must succeed. @param {string} method @param {string} path @param {Json} [body] */
async function made(method, path, body) {
  const bytes = body && Buffer.from(JSON.stringify(body))
  const answer = await send(
    method,
    path,
    {
      authorization: authorizationOf(MASTER, method, path, bytes),
      ...(bytes && { 'content-type': 'application/json' }),
    },
    bytes,
  )
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`)
  return JSON.parse(answer.text)
}

// ── What there is to ask about ──────────────────────────────────────────────────────────────────────────────────────

let count = 0
const unique = (/** @type {string} */ word) => `${word}-${++count}`
const container = (/** @type {string} */ slug) => ({
  slug,
  name: slug,
  url: 'https://example.org/',
})
const badge = (/** @type {string} */ slug) => ({
  slug,
  name: slug,
  earnerDescription: 'e',
  consumerDescription: 'c',
  criteriaUrl: 'https://example.org/',
  unique: 0,
  image: `data:image/png;base64,${PNG.toString('base64')}`,
  criteria: [{ description: 'done', required: true }],
})

/** What a parameter of a path is filled with, by its name: the value of something that is there, made anew where `fresh`. */
class World {
  /** @type {Map<string, Promise<any>>} */
  #kept = new Map()

  /** Makes something once for each place; `fresh` makes another. @param {string} what @param {boolean} fresh @param {() => Promise<any>} make */
  #once(what, fresh, make) {
    if (fresh) return make()
    const known = this.#kept.get(what)
    if (known) return known
    const it = make()
    this.#kept.set(what, it)
    return it
  }

  /** @param {string} path what stands before it @param {string} name @param {boolean} fresh @returns {Promise<any>} */
  async value(path, name, fresh) {
    const place = `${path} ${name}`
    switch (name) {
      case 'system':
      case 'issuer':
      case 'program':
        return this.#once(place, fresh, async () => {
          const slug = fresh ? unique(name) : name === 'system' ? HOME : `fuzz-${name}`
          await made('POST', path, container(slug))
          return slug
        })
      case 'badge':
        return this.#once(
          place,
          fresh,
          async () => (await made('POST', path, badge(unique('badge')))).badge.slug,
        )
      case 'email':
        return this.#once(place, fresh, async () => {
          const email = `${unique('earner')}@example.org`
          if (path.endsWith('/progress')) return email
          const list = path.includes('/badges/')
            ? path
            : `${path.replace(/\/instances$/, '')}/badges/${await this.value(path.replace(/\/instances$/, '/badges'), 'badge', false)}/instances`
          await made('POST', list, { email })
          return email
        })
      case 'code':
        return this.#once(place, fresh, async () => {
          const list = path.includes('/badges/')
            ? path
            : `${path.replace(/\/codes$/, '')}/badges/${await this.value(path.replace(/\/codes$/, '/badges'), 'badge', false)}/codes`
          return (await made('POST', list, { code: unique('code'), multiuse: true })).claimCode.code
        })
      case 'application':
        return this.#once(
          place,
          fresh,
          async () => (await made('POST', path, { learner: 'ada@example.org' })).application.slug,
        )
      case 'job':
        return this.#once(
          place,
          fresh,
          async () =>
            (await made('POST', path, { rows: [{ email: `${unique('row')}@example.org` }] })).job
              .id,
        )
      case 'review':
        return this.#once(
          place,
          fresh,
          async () => (await made('POST', path, { author: 'bob@example.org' })).review.slug,
        )
      case 'milestone':
        return this.#once(place, fresh, async () => {
          const primaryBadgeId = await this.badgeId('primary')
          const supportBadges = [await this.badgeId('support')]
          return (await made('POST', path, { primaryBadgeId, supportBadges, numberRequired: 5 }))
            .milestone.id
        })
      case 'webhook':
        return this.#once(
          place,
          fresh,
          async () =>
            (await made('POST', path, { url: `https://${unique('hook')}.example.org/` })).webhook
              .id,
        )
      case 'delivery':
        return this.#once(place, fresh, async () => {
          const hook = await this.value(path.replace(/deliveries$/, 'webhooks'), 'webhook', false)
          await made('POST', `${path.replace(/deliveries$/, 'webhooks')}/${hook}/test`)
          return (await made('GET', `${path}?webhook=${hook}`)).deliveries[0].id
        })
      case 'key':
        return this.#once(
          place,
          fresh,
          async () => (await made('POST', path, { role: 'read' })).key.key,
        )
      case 'instance':
        return this.#once(place, fresh, async () => {
          const slug = await this.value(`/systems/${HOME}/badges`, 'badge', false)
          const email = `${unique('public')}@example.org`
          return (await made('POST', `/systems/${HOME}/badges/${slug}/instances`, { email }))
            .instance.slug
        })
      case 'issuerUid':
      case 'badgeUid':
      case 'list':
      case 'thumbprint':
        return this.#once(name, false, () => this.#signed(name))
      case 'image':
        return this.#once(place, fresh, async () => {
          const slug = await this.value(`/systems/${HOME}/badges`, 'badge', false)
          return (await made('GET', `/systems/${HOME}/badges/${slug}`)).badge.imageUrl
            .split('/')
            .at(-1)
        })
      default:
        return unique('nobody')
    }
  }

  /** The name of something that an award's signing has made. @param {string} name */
  async #signed(name) {
    const slug = await this.value('', 'instance', false)
    const credential = await made('GET', `/public/v3/credentials/${slug}`)
    const { signingKeys } = await made('GET', `/systems/${HOME}/signing-keys`)
    const last = (/** @type {string} */ text) => text.split(/[/:]/).at(-1)
    return {
      issuerUid: last(credential.issuer.id),
      badgeUid: last(credential.credentialSubject.achievement.id),
      list: last(credential.credentialStatus.statusListCredential),
      thumbprint: signingKeys[0].thumbprint,
    }[name]
  }

  /** A badge of the home system, by a word of our own. @param {string} word @returns {Promise<number>} */
  badgeId(word) {
    return this.#once(
      `id ${word}`,
      false,
      async () => (await made('POST', `/systems/${HOME}/badges`, badge(unique(word)))).badge.id,
    )
  }
}
const world = new World()

/**
 * A path with all its parameters filled. The last one is made anew where the request might use it up.
 * @param {Operation} operation
 */
async function filled({ method, path }) {
  const usesUp =
    method === 'DELETE' ||
    method === 'PUT' ||
    /\/(?:secret|rotate|recover|redeliver)|\/(?:suspend|reinstate|renew|cancel|revoke|assign)$/.test(
      path,
    )
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)
  let there = ''
  for (const segment of path.split('/').slice(1)) {
    const [, name] = /^\{(\w+)\}$/.exec(segment) ?? []
    if (name === undefined) there += `/${segment}`
    else {
      const before = there.replace(/^\/public\/systems/, '/systems')
      const value = await world.value(before, name, usesUp && name === names.at(-1))
      there += `/${name === 'email' ? value : encodeURIComponent(value)}`
    }
  }
  return there
}

/** Just one of these members, and with its usual value. @param {string[]} names */
function oneOf(names) {
  const chosen = random.pick(names)
  const others = names.filter((name) => name !== chosen)
  return {
    must: { [chosen]: true },
    ...Object.fromEntries(others.map((name) => [name, () => undefined])),
  }
}

/** Members that are good only if the database knows them. @param {Operation} operation @param {Json} ids */
function knownOf({ path }, ids) {
  const isAdd = path.endsWith('/add-badge')
  if (path.endsWith('/verify')) return oneOf(['url', 'credential', 'jwt'])
  return {
    must: /badges$/.test(path)
      ? { image: true }
      : /bulk$/.test(path)
        ? { emails: true }
        : /recover$/.test(path)
          ? { since: true }
          : /instances\/\{email\}$/.test(path)
            ? { narrative: true }
            : {},
    primaryBadgeId: () => ids.primary,
    supportBadges: () => [ids.support],
    badgeId: () => (isAdd ? ids.added : ids.support),
    criterionId: () => 1,
    ...(/webhooks/.test(path) && {
      url: (/** @type {any} */ r) => `https://${r.hex(12)}.example.org/hook`,
    }),
  }
}

// ── Checking ────────────────────────────────────────────────────────────────────────────────────────────────────────

const ajv = new Ajv2020({ strict: false, allErrors: false })
ajv.addFormat('date-time', /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
ajv.addFormat('date', /^\d{4}-\d\d-\d\d$/)
ajv.addFormat('email', /^[^\s@]+@[^\s@]+$/)
ajv.addSchema({ $id: 'spec', components: spec.components })
/** @type {Map<string, import('ajv').ValidateFunction>} */
const compiled = new Map()

/** @param {Json} schema */
function validatorOf(schema) {
  const text = JSON.stringify(schema).replaceAll('"#/', '"spec#/')
  const known = compiled.get(text)
  if (known) return known
  const validate = ajv.compile(JSON.parse(text))
  compiled.set(text, validate)
  return validate
}

const PROBLEM = {
  type: 'object',
  required: ['type', 'title', 'status', 'detail', 'instance', 'code'],
  properties: {
    status: { type: 'integer' },
    title: { type: 'string' },
    detail: { type: 'string' },
    code: { type: 'string' },
  },
}

/**
 * What is wrong with an answer; nothing, if nothing is.
 * @param {Operation} operation
 * @param {Answer} answer
 */
function faultOf({ about }, { status, headers, text }) {
  if (status >= 500) return `${status} ${text.slice(0, 300)}`
  // It has no body, and whoever asks for it knows it.
  if (status === 304) return text === '' ? undefined : '304 with a body'
  const given = about.responses[status]
  if (!given) return `${status} is not documented: ${text.slice(0, 300)}`
  const response = given.$ref ? spec.components.responses[given.$ref.split('/').at(-1)] : given
  const type = String(headers['content-type'] ?? '')
  const [media = ''] = type.split(';')
  if (media !== 'application/json' && media in (response.content ?? {})) return undefined
  if (!type.includes('json')) {
    const isBare =
      status === 304 || status === 308 || text === '' || !response.content?.['application/json']
    return isBare || type.startsWith('text/html') ? undefined : `${status} came as ${type}`
  }
  const schema = type.includes('problem') ? PROBLEM : response.content?.['application/json']?.schema
  if (!schema) return undefined
  let json
  try {
    json = JSON.parse(text)
  } catch {
    return `${status} is no JSON: ${text.slice(0, 300)}`
  }
  const validate = validatorOf(schema)
  if (validate(json)) return undefined
  const [error] = validate.errors ?? []
  return `${status} is not as documented: ${error?.instancePath} ${error?.message} in ${text.slice(0, 300)}`
}

// ── One input ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** @param {Operation} operation */
function queryOf({ about }, isGood = true) {
  const pairs = (about.parameters ?? [])
    .filter((/** @type {Json} */ one) => one.in === 'query' && random.chance(0.4))
    .map((/** @type {Json} */ { name, schema }) => [
      name,
      isGood
        ? goodParameter(name, schema)
        : random.pick([...AWKWARD, '-1', '0', '99999999999999999999', '1.5']),
    ])
  // A cursor is what an earlier answer gave; none is made up here.
  const sent = isGood ? pairs.filter((/** @type {string[]} */ [name]) => name !== 'cursor') : pairs
  if (!isGood && random.chance(0.2)) sent.push([random.pick(AWKWARD), 'x'])
  if (sent.length === 0) return ''
  return `?${sent.map((/** @type {string[]} */ pair) => pair.map((text) => encodeURIComponent(text.toWellFormed())).join('=')).join('&')}`
}

/** @param {string} name @param {Json} schema */
function goodParameter(name, schema) {
  if (schema.enum) return random.pick(schema.enum)
  if (/since|until/.test(name)) return '2024-01-01T00:00:00Z'
  if ([schema.type].flat().includes('integer')) return String(random.int(1, 50))
  return name === 'email' ? 'ada@example.org' : random.text(1, 20)
}

/** A path with one word that is not what stands there. @param {string} path */
function bentPath(path) {
  const words = path.split('/')
  const at = random.int(1, words.length - 1)
  const word = random.pick([
    ...AWKWARD.filter((text) => text !== '').map((text) => encodeURIComponent(text.toWellFormed())),
    'x'.repeat(5_000),
    '%ff',
    '%zz',
    '%2F',
    '%00',
    `${words[at]}%20`,
    (words[at] ?? '').toUpperCase(),
    '9'.repeat(40),
    '-1',
    '..',
    '.',
    '',
    '*',
    ':system',
    '{system}',
  ])
  return words.with(at, word).join('/')
}

const HEADERS = [
  { accept: 'application/problem+json' },
  { accept: 'text/html' },
  { accept: '*/*;q=x, ,;' },
  { 'if-match': '"1"' },
  { 'if-match': '*' },
  { 'if-match': 'W/"x", "99999999999999999999"' },
  { 'if-none-match': '*' },
  { 'idempotency-key': 'k' },
  { 'idempotency-key': ' ' },
  { 'idempotency-key': 'x'.repeat(300) },
  { 'x-d1-bookmark': 'x' },
  { 'x-d1-bookmark': '00000000-00000000-00000000-00000000000000000000000000000000' },
  { 'x-http-method-override': 'DELETE' },
  { origin: 'https://evil.example.org' },
  { 'content-encoding': 'identity' },
  { expect: 'x' },
  { cookie: `x=${'y'.repeat(4_000)}` },
]

/** What is done to an input that has a body, and to one that has none. */
const WITH_BODY = [
  'bent',
  'bent',
  'bent',
  'bent',
  'bent',
  'bent',
  'broken',
  'broken',
  'path',
  'headers',
]
const WITHOUT = ['path', 'query', 'query', 'headers']

/**
 * @param {Operation} operation
 * @param {Asker[]} askers
 * @param {Json} ids
 */
async function tryOne(operation, askers, ids) {
  const { method, about } = operation
  const isOpen = about.security !== undefined
  const asker = isOpen || random.chance(0.45) ? MASTER : random.pick(askers)
  const schema = about.requestBody?.content['application/json']?.schema
  const good = schema && goodValue(random, schema, spec, knownOf(operation, ids))
  const kind = random.chance(0.4) ? 'good' : random.pick(good ? WITH_BODY : WITHOUT)
  let there = await filled(operation)
  if (/\/reinstate$/.test(there)) await made('POST', there.replace(/reinstate$/, 'suspend'), {})
  let isBad = false
  let what = kind
  /** @type {Record<string, string>} */
  let headers = {}
  let body = good
  if (kind === 'bent' && good) {
    let done = bent(random, good, schema, spec)
    // Every other time it should be surely bad.
    const wanted = random.chance(0.5)
    for (let tries = 0; tries < 6 && wanted && !done.isBad; tries++)
      done = bent(random, good, schema, spec)
    body = done.body
    what = done.what
    // What is wrong with a credential is for its report to say.
    isBad = done.isBad && !(operation.path.endsWith('/verify') && /^NUL in (?:url|jwt)/.test(what))
  }
  if (kind === 'path') there = bentPath(there)
  if (kind === 'headers') headers = { ...random.pick(HEADERS) }
  there += queryOf(operation, kind !== 'query')
  const asParts = (/** @type {Json} */ one) => asMultipart(random, one)
  const takesForms = about.requestBody?.content['multipart/form-data'] !== undefined
  const wires = takesForms ? [asJson, asJson, asForm, asParts] : [asJson]
  /** @type {import('./values.mjs').Wire | undefined} */
  let wire = body && (/ deep /.test(what) ? asJson : random.pick(wires))(body)
  // A form says less: what is null, empty or no text there may be good after all.
  if (wire && wire.type !== 'application/json') isBad &&= /^(?:overlong|NUL|drop)/.test(what)
  if (kind === 'broken' && wire) {
    const done = brokenWire(random, wire)
    wire = done
    what = done.what
    // Where nothing is needed an empty body is good, whatever it is called.
    isBad = done.isBad && done.bytes.length > 0
    if (what === 'another type' && done.type in about.requestBody.content) isBad = false
    if (done.encoding) headers['content-encoding'] = done.encoding
  }
  if (wire?.type) headers['content-type'] = wire.type
  if (asker.key) headers.authorization = authorizationOf(asker, method, there, wire?.bytes)
  // Everyone at a place of their own: what slows down whoever fails too often is not looked at here.
  headers['cf-connecting-ip'] =
    `10.${random.int(0, 255)}.${random.int(0, 255)}.${random.int(0, 255)}`
  const tell = () =>
    `${method} ${there} by ${asker.name}: ${what}; ${JSON.stringify({ ...headers, authorization: undefined })} ${wire?.bytes.toString().slice(0, 600) ?? ''}`
  /** @type {Answer} */
  let answer
  try {
    answer = await send(method, there, headers, wire?.bytes)
  } catch (error) {
    failures.push(`${tell()}\n  ${error}`)
    return
  }
  operation.sent += 1
  if (isBad) surelyBad += 1
  const { status } = answer
  // A path that was bent may lead to another route, or to none.
  const fault =
    kind === 'path' ? (status >= 500 ? `${status}` : undefined) : faultOf(operation, answer)
  if (fault) failures.push(`${tell()}\n  ${fault}`)
  if (isBad && status < 400)
    failures.push(`${tell()}\n  bad input was answered ${status}: ${answer.text.slice(0, 200)}`)
  const isLetIn = asker.may === 'all' || (asker.may === 'read' && method === 'GET')
  if (!isOpen && !isLetIn && status < 400)
    failures.push(`${tell()}\n  ${asker.name} was let in: ${status}`)
  if (kind === 'good' && asker === MASTER) {
    operation.good += 1
    // A job may have ended before it is cancelled, which is then said.
    const isLate = status === 409 && operation.path.endsWith('/cancel')
    if (status < 300 || isLate) operation.succeeded += 1
    else {
      const why = `${status} ${answer.text.slice(0, 160)}`
      operation.refusals.set(why, (operation.refusals.get(why) ?? 0) + 1)
    }
  }
}

// ── All of them ─────────────────────────────────────────────────────────────────────────────────────────────────────

/** @type {Operation[]} */
const operations = Object.entries(/** @type {Record<string, Json>} */ (spec.paths)).flatMap(
  ([path, item]) =>
    Object.entries(item).map(([method, about]) => ({
      method: method.toUpperCase(),
      path,
      about,
      good: 0,
      succeeded: 0,
      sent: 0,
      refusals: new Map(),
    })),
)

/** A pattern for the paths that a template serves. @param {string} template */
const patternOf = (template) => new RegExp(`^${template.replace(/\{\w+\}/g, '[^/]+')}$`)

async function tryMethods() {
  let tried = 0
  for (const path of Object.keys(spec.paths)) {
    const there = path.replace(/\{\w+\}/g, 'x')
    const serving = operations
      .filter((one) => patternOf(one.path).test(there))
      .map(({ method }) => method)
    for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      if (serving.includes(method)) continue
      if (method === 'OPTIONS' && /^\/(?:public|images|issuers|\.well-known)\//.test(path)) continue
      // With a signature or without one, which makes no difference here.
      const isSigned = random.chance(0.5)
      const headers = isSigned ? { authorization: authorizationOf(MASTER, method, there) } : {}
      const { status, headers: got } = await send(method, there, headers)
      tried += 1
      if (status !== 405) failures.push(`${method} ${there} was answered ${status} instead of 405`)
      else if (!got.allow?.includes(serving[0] ?? '?'))
        failures.push(`${method} ${there}: Allow is ${got.allow}`)
    }
  }
  return tried
}

/** Documented answers that chance does not lead to: of an award that was revoked, and of an image elsewhere. */
async function tryRare(/** @type {import('../../scripts/bench/servers.mjs').Server} */ server) {
  const list = `/systems/${HOME}/badges`
  const slug = unique('rare')
  const image = 'https://example.org/elsewhere.png'
  await made('POST', list, { ...badge(slug), image })
  const db = await server.db()
  const found = await db.prepare('select slug from images where url = ?').bind(image).first('slug')
  const { instance } = await made('POST', `${list}/${slug}/instances`, { email: 'a@example.org' })
  await made('DELETE', `${list}/${slug}/instances/a@example.org?reason=rare`)
  for (const [template, path, status] of [
    ['/public/assertions/{instance}', `/public/assertions/${instance.slug}`, 410],
    ['/public/images/{image}', `/public/images/${found}`, 301],
  ]) {
    const operation = operations.find((one) => one.path === template)
    const answer = await send('GET', String(path), {})
    const fault = operation && faultOf(operation, answer)
    if (fault || answer.status !== status)
      failures.push(`GET ${path}: ${fault ?? `${answer.status} instead of ${status}`}`)
  }
}

async function honest() {
  const path = `/systems/${HOME}`
  const answer = await send('GET', path, { authorization: authorizationOf(MASTER, 'GET', path) })
  if (answer.status !== 200)
    failures.push(`An honest request was answered ${answer.status}: ${answer.text.slice(0, 200)}`)
}

/** @returns {Promise<Asker[]>} */
async function everyone() {
  /** @param {string} name @param {string} system @param {object} body @returns {Promise<Asker>} */
  const keyOf = async (name, system, body, may = /** @type {Asker['may']} */ ('all')) => {
    const { key } = await made('POST', `/systems/${system}/keys`, body)
    return { name, key: key.key, secret: key.secret, may }
  }
  await made('POST', '/systems', container('fuzz-foreign'))
  const roles = await Promise.all(
    ['read', 'issue', 'review', 'manage', 'admin'].map((role) =>
      keyOf(`a key that may ${role}`, HOME, { role }, role === 'read' ? 'read' : 'all'),
    ),
  )
  return [
    { name: 'nobody', may: 'nothing' },
    { name: 'a bad signature', key: 'master', isBad: true, may: 'nothing' },
    { name: 'an unknown key', key: 'nobody', may: 'nothing' },
    await keyOf('a key of another system', 'fuzz-foreign', {}, 'nothing'),
    ...roles,
  ]
}

function report() {
  const lines = operations.map(({ method, path, sent, good, succeeded, refusals }) => {
    const share = good === 0 ? '' : `${Math.round((100 * succeeded) / good)} %`
    // With fewer than five the share says nothing.
    const isPoor = good >= 5 && succeeded < LEAST * good
    if (isPoor) {
      const why = [...refusals].map(([text, n]) => `\n  ${n} × ${text}`).join('')
      failures.push(`${method} ${path}: only ${succeeded} of ${good} good inputs succeeded${why}`)
    }
    return `${method.padEnd(7)}${path.padEnd(105)}${String(sent).padStart(5)}${String(good).padStart(6)}${share.padStart(7)}\n`
  })
  process.stdout.write(`${''.padEnd(112)} sent  good   2xx\n${lines.join('')}`)
}

/** Half of all inputs would have no body otherwise. */
const takesBody = (/** @type {Operation} */ { about }) => about.requestBody !== undefined

async function main() {
  process.stdout.write(`seed ${SEED}, ${CASES} inputs\n`)
  const { script } = await build('fuzzed')
  const server = await start(script, 'ours')
  port = server.port
  await migrate(server)
  await world.value('/systems', 'system', false)
  const askers = await everyone()
  const ids = {
    primary: await world.badgeId('primary'),
    support: await world.badgeId('support'),
    added: await world.badgeId('added'),
  }
  const methods = await tryMethods()
  await tryRare(server)
  /** @type {Operation[]} */
  let round = []
  for (let n = 1; n <= CASES; n++) {
    if (round.length === 0)
      round = random.shuffled([...operations, ...operations.filter(takesBody)])
    const operation = round.pop()
    if (operation) await tryOne(operation, askers, ids)
    if (n % 100 === 0) await honest()
    if (failures.length > 200) break
  }
  report()
  const seconds = Math.round((Date.now() - started) / 1000)
  process.stdout.write(
    `seed ${SEED}: ${CASES} inputs, ${operations.length} routes, ${surelyBad} surely bad, ${methods} undeclared methods, ${failures.length} failures, ${seconds} s\n`,
  )
}

try {
  await main()
} catch (error) {
  failures.push(String(error instanceof Error ? error.stack : error))
} finally {
  agent.destroy()
  await tidy()
}
for (const line of failures.slice(0, 40)) process.stderr.write(`\n${line}\n`)
process.exitCode = failures.length === 0 ? 0 : 1
