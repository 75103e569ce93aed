import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { app } from '../src/app'
import { forgetKeys } from '../src/auth'
import { utf8 } from '../src/crypto'
import { deliver } from '../src/deliver'
import type { Bindings } from '../src/env'
import { type Call, ORIGIN, sign } from './helpers/api'
import { bellOf, calm, db, type Rung } from './helpers/deliveries'
import { badge, container, PNG_URI } from './helpers/seed'

/**
 * Words that nothing else holds are planted wherever a client may put an email, a secret or a claim code; every token is one too.
 * Every route is walked, honestly and not; then all that we wrote anywhere is searched for them.
 */

// ── The canaries ────────────────────────────────────────────────────────────────────────────────────────────────────

const EMAIL = 'canary.7f3a91@mail.canary.example.org'
const CODE = 'canary-code-51bd77'
const MASTER = 'canary-master-secret-0c2e64'
const HOOK = 'canary-hook-secret-b8d013'
const JTI = 'canary-jti-49a0'

/** How the planted ones look, each ending in something of its own. */
const PLANTED = {
  email: /canary\.[\w]+@mail\.canary\.example\.org/gi,
  secret: /canary-(?:master|hook)-secret[\w-]*/gi,
  // Its claims and its signature are random enough.
  token: /(?!)/g,
  code: /canary-code-[\w-]+/gi,
}
type Kind = keyof typeof PLANTED
const kinds = Object.keys(PLANTED) as Kind[]
/** What is random, by its beginning: secrets and codes that the Worker makes, claims and signatures of tokens. */
const grown = new Map<string, Kind>()
const BEGINNING = 16
const grow = (kind: Kind, text: string) => grown.set(text.slice(0, BEGINNING), kind)

const tryDecode = (text: string) =>
  text.replaceAll(/(?:%[0-9a-f]{2})+/gi, (codes) => {
    try {
      return decodeURIComponent(codes)
    } catch {
      return codes
    }
  })

/** The canaries of a kind in a text: plain, escaped or in base64. */
function hits(text: string, kind: Kind): string[] {
  const plain = tryDecode(text)
  const words = (plain.match(/[\w+/-]{16,}/g) ?? []).filter(
    (word) => grown.get(word.slice(0, BEGINNING)) === kind,
  )
  const opened = (plain.match(/Y2FuYXJ5[\w+/-]+/g) ?? []).flatMap((word) => {
    const whole = word.padEnd(Math.ceil(word.length / 4) * 4, '=')
    return atob(whole.replaceAll('-', '+').replaceAll('_', '/')).match(PLANTED[kind]) ?? []
  })
  return [...(plain.match(PLANTED[kind]) ?? []), ...words, ...opened].map((one) =>
    one.toLowerCase(),
  )
}

// ── What is written, and where ──────────────────────────────────────────────────────────────────────────────────────

const lines: string[] = []
const messages: string[] = []
const called: string[] = []
const queue = { push: (rung: Rung) => messages.push(JSON.stringify(rung)) } as unknown as Rung[]

type Said = { what: string; asked: string; status: number; headers: string; text: string }
const said: Said[] = []

let lastToken = ''

const listening = () => {
  for (const level of ['log', 'info', 'warn', 'error', 'debug'] as const) {
    vi.spyOn(console, level).mockImplementation((...line) => {
      lines.push(
        line.map((one) => (one instanceof Error ? String(one.stack) : String(one))).join(' '),
      )
    })
  }
}

const bindings = {
  ...env,
  MASTER_SECRET: MASTER,
  DELIVERIES: bellOf(queue),
  DELIVERIES_SLOW: bellOf(queue),
} as Bindings

/** A database whose every answer is a fault that quotes all it can. */
const faulty = {
  ...bindings,
  DB: {
    withSession: () => {
      const fault = async () => {
        throw new Error('D1_ERROR', {
          cause: new Error(
            `near '${CODE}' of ${EMAIL}, ${lastToken}: syntax error\n at ${EMAIL} ${CODE} ${MASTER}`,
          ),
        })
      }
      const bound = { all: fault }
      return { prepare: () => ({ bind: () => bound }), batch: fault, getBookmark: () => null }
    },
  } as unknown as D1Database,
} as Bindings

type Asked = { method: string; path: string; body?: object; text?: string; type?: string }

async function ask(
  { method, path, body, text, type = 'application/json' }: Asked,
  call: Call & { unsigned?: boolean; bent?: (token: string) => string; bindings?: Bindings } = {},
) {
  const raw = text ?? (body && JSON.stringify(body))
  const bytes = raw === undefined ? undefined : utf8(raw)
  const claims = { jti: `${JTI}-${said.length}`, ...call.claims }
  const honest = await sign(method, path, bytes, { secret: MASTER, ...call, claims })
  const token = call.bent ? call.bent(honest) : honest
  // Its signature is what nobody else can make.
  for (const part of token.split('.').slice(1)) if (part.length > 20) grow('token', part)
  lastToken = token
  const headers = {
    ...(!call.unsigned && { Authorization: `JWT token="${token}"` }),
    ...(bytes && { 'Content-Type': type }),
    ...call.headers,
  }
  const context = createExecutionContext()
  const request = new Request(ORIGIN + path, { method, body: bytes, headers })
  const response = await app.fetch(request, call.bindings ?? bindings, context)
  const answer = new TextDecoder().decode(await response.arrayBuffer())
  await waitOnExecutionContext(context)
  said.push({
    what: `${method} ${path}`,
    asked: `${path} ${raw ?? ''} ${type} ${JSON.stringify(claims)}`,
    status: response.status,
    headers: JSON.stringify([...response.headers]),
    text: answer,
  })
  return { status: response.status, body: answer.startsWith('{') ? JSON.parse(answer) : answer }
}

const post = async (path: string, body: object) => {
  const made = await ask({ method: 'POST', path, body })
  expect(made.status, JSON.stringify(made.body)).toBeLessThan(300)
  return made.body
}

// ── The walk ────────────────────────────────────────────────────────────────────────────────────────────────────────

let count = 0
const next = () => ++count
const email = () => `canary.${next()}@mail.canary.example.org`
/** That of an organisation, which its public document tells. */
const contact = () => `canary.contact_${next()}@mail.canary.example.org`
const code = () => `canary-code-${next()}-x`
const slug = (word: string) => `${word}-${next()}`
let system = ''
let first = 0
let second = 0

const made = new Map<string, Promise<string>>()
/** Something of each kind, as a word of a path: made anew where a request may use it up. */
function nameIn(list: string, parameter: string, isLast = false): Promise<string> {
  if (isLast) return makeIn(list, parameter)
  const known = made.get(`${list} ${parameter}`) ?? makeIn(list, parameter)
  made.set(`${list} ${parameter}`, known)
  return known
}

async function makeIn(list: string, parameter: string): Promise<string> {
  const badgeOf = async () =>
    (await post(`${list.replace(/\/\w+$/, '')}/badges`, badge(slug('inner')))).badge.slug
  switch (parameter) {
    case 'system':
    case 'issuer':
    case 'program':
      return (await post(list, { ...container(slug(parameter)), email: contact() }))[parameter].slug
    case 'badge':
      return (await post(list, { ...badge(slug('badge')), unique: 0, image: PNG_URI })).badge.slug
    case 'email': {
      const one = email()
      if (list.endsWith('/progress')) return one
      const path = list.includes('/badges/')
        ? list
        : list.replace(/instances$/, `badges/${await badgeOf()}/instances`)
      await post(path, { email: one })
      return one
    }
    case 'job':
      return (await post(list, { rows: [{ email: email(), comment: 'well done' }] })).job.id
    case 'code': {
      const one = code()
      const path = list.includes('/badges/')
        ? list
        : list.replace(/codes$/, `badges/${await badgeOf()}/codes`)
      await post(path, { code: one, multiuse: true, email: email() })
      return one
    }
    case 'application':
      return (await post(list, { learner: email(), assignedTo: email() })).application.slug
    case 'review':
      return (await post(list, { author: email(), comment: 'well done' })).review.slug
    case 'milestone':
      return (
        await post(list, { primaryBadgeId: first, supportBadges: [second], numberRequired: 5 })
      ).milestone.id
    case 'webhook': {
      const made = await post(list, {
        url: `https://${slug('hook')}.example.org/to/x`,
        secret: `${HOOK}-${next()}`,
      })
      return made.webhook.id
    }
    case 'delivery': {
      const hook = await nameIn(list.replace(/deliveries$/, 'webhooks'), 'webhook')
      await post(`${list.replace(/deliveries$/, 'webhooks')}/${hook}/test`, {})
      return (await ask({ method: 'GET', path: `${list}?webhook=${hook}` })).body.deliveries[0].id
    }
    case 'key': {
      const made = await post(list, { role: 'read' })
      grow('secret', made.key.secret)
      return made.key.key
    }
    case 'instance': {
      const given = { ...badge(slug('public')), image: PNG_URI }
      const of = (await post(`${system}/badges`, given)).badge.slug
      return (await post(`${system}/badges/${of}/instances`, { email: email() })).instance.slug
    }
    case 'image': {
      const of = (await post(`${system}/badges`, { ...badge(slug('image')), image: PNG_URI })).badge
      return of.imageUrl.split('/').at(-1)
    }
    case 'badgeUid':
    case 'issuerUid':
    case 'list':
    case 'thumbprint':
      return wordIn(parameter, await nameIn('/public/v3/credentials', 'instance'))
    default:
      return parameter
  }
}

/** A word of the addresses that the documents of an award name. */
async function wordIn(parameter: string, award: string): Promise<string> {
  const { body } = await ask({ method: 'GET', path: `/public/v3/credentials/${award}` })
  const words: Record<string, string> = {
    badgeUid: body.credentialSubject.achievement.id,
    issuerUid: body.issuer.otherIdentifier[0].identifier,
    list: body.credentialStatus.statusListCredential,
    thumbprint: body.proof[0].verificationMethod.replace('#', '/'),
  }
  return words[parameter]?.split('/').at(-1) ?? ''
}

/** A body that a route takes, with canaries wherever one can stand. */
function bodyOf(template: string): object | undefined {
  const [method = '', path = ''] = template.split(' ')
  const last =
    path
      .split('/')
      .filter((word) => !word.startsWith(':'))
      .at(-1) ?? ''
  if (method === 'GET') return undefined
  if (method === 'DELETE')
    return /instances\/:email$/.test(path) ? { reason: 'a mistake' } : undefined
  switch (last) {
    case 'systems':
    case 'issuers':
    case 'programs':
      return method === 'POST'
        ? { ...container(slug('made')), email: contact() }
        : { email: contact() }
    case 'badges':
      return method === 'POST' ? badge(slug('made')) : { name: 'other' }
    case 'assign':
      return { assignedTo: email(), exclusive: false }
    case 'suspend':
    case 'reinstate':
      return { reason: 'a mistake' }
    case 'renew':
      return { comment: 'well done' }
    case 'instances':
      return method === 'PUT' ? { narrative: 'well done' } : { email: email() }
    case 'bulk':
    case 'revocations':
      return { emails: [email(), email()] }
    case 'jobs':
      return { rows: [{ email: email() }, { email: email() }] }
    case 'codes':
      return { code: code(), email: email() }
    case 'random':
      return { email: email() }
    case 'batch':
      return { count: 2 }
    case 'claim':
      return { email: email() }
    case 'applications':
      return { learner: email(), assignedTo: email() }
    case 'reviews':
      return { author: email() }
    case 'milestones':
      return { primaryBadgeId: first, supportBadges: [second], numberRequired: 5 }
    case 'add-badge':
    case 'remove-badge':
      return { badgeId: second }
    case 'webhooks':
      return method === 'POST'
        ? { url: `https://${slug('made')}.example.org/to/x`, secret: `${HOOK}-${next()}` }
        : { state: 'active' }
    case 'rotate':
      return path.includes('webhooks') ? { secret: `${HOOK}-${next()}` } : {}
    case 'recover':
      return { since: 1 }
    case 'keys':
      return method === 'POST' ? { role: 'issue' } : { description: 'x' }
    case 'erase':
    case 'export':
      return { email: EMAIL }
    default:
      return {}
  }
}

/** What stands in a wrong body: every canary, where nothing of the kind belongs. */
const wrong = () => ({
  email: `not ${EMAIL}`,
  emails: [`not ${EMAIL}`],
  learner: `not ${EMAIL}`,
  author: `not ${EMAIL}`,
  name: { of: EMAIL },
  url: `not a url ${EMAIL}`,
  code: { of: CODE },
  secret: { of: HOOK },
  role: CODE,
  badgeId: CODE,
  primaryBadgeId: CODE,
  numberRequired: CODE,
  since: CODE,
  grace: CODE,
  state: CODE,
  processed: CODE,
})

const routes = [
  ...new Set(
    app.routes
      .filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => `${method} ${path}`),
  ),
]
const succeeded = new Set<string>()
let foreign: Call = {}

/** Asks in every way that is refused before a route has its turn, or by the reader of bodies. */
async function refusedAll(asked: Asked) {
  await ask(asked, { unsigned: true })
  await ask(asked, { secret: 'another' })
  await ask(asked, { bent: (token) => token.replaceAll('.', '~') })
  await ask(asked, { claims: { exp: 1 } })
  await ask(asked, { claims: { path: `/elsewhere/${EMAIL}` } })
  await ask(asked, { claims: { key: HOOK } })
  await ask(asked, foreign)
  if (asked.method === 'GET' || asked.method === 'DELETE') return
  const form = 'application/x-www-form-urlencoded'
  await ask({ ...asked, text: `{"email":"${EMAIL}", ${HOOK}` })
  await ask({ ...asked, text: `email=${EMAIL}&x=%zz`, type: form })
  await ask({ ...asked, text: EMAIL, type: `text/${CODE}` })
}

async function walk(template: string) {
  const [method = '', pattern = ''] = template.split(' ')
  let path = ''
  const usesUp = method === 'PUT' || method === 'DELETE' || /rotate|promote|retire/.test(pattern)
  const last = pattern.lastIndexOf('/:')
  let at = 0
  for (const word of pattern.split('/').slice(1)) {
    const name = /^:(\w+)/.exec(word)?.[1]
    const isLast = at === last
    at += word.length + 1
    if (name === undefined) {
      path += `/${word}`
      continue
    }
    const list = path.replace(/^\/public\/systems/, '/systems')
    const isOurs = name === 'system' && !(isLast && usesUp)
    const value = isOurs ? system.slice(9) : await nameIn(list, name, isLast && usesUp)
    path += `/${name === 'email' ? value : encodeURIComponent(value)}`
  }
  const body = bodyOf(template)
  const asked = { method, path, body }
  const wrongBody = method === 'POST' || method === 'PUT' ? { ...body, ...wrong() } : undefined
  if (wrongBody) await ask({ method, path, body: wrongBody })
  // The same code refuses at all levels; what is bound to one is a route's own.
  if (!pattern.includes('/issuers')) await refusedAll(asked)
  await ask(asked, { bindings: faulty })
  // A job is stopped whatever the body says: one that has not been.
  const jobs = /^(.*)\/[^/]+\/cancel$/.exec(path)?.[1]
  if (jobs) asked.path = `${jobs}/${await makeIn(jobs, 'job')}/cancel`
  const [, awards, verb] = /^(.*)\/[^/]+\/(suspend|reinstate)$/.exec(path) ?? []
  if (awards) {
    const one = `${awards}/${await makeIn(awards, 'email')}`
    if (verb === 'reinstate') await post(`${one}/suspend`, {})
    asked.path = `${one}/${verb}`
  }
  const done = await ask(asked, { headers: { Accept: 'application/json' } })
  if (done.status < 300) succeeded.add(template)
  if (done.body.key?.secret) grow('secret', done.body.key.secret)
  if (template.endsWith('/random')) grow('code', done.body.claimCode.code)
  if (template.endsWith('/batch')) {
    for (const { code } of done.body.claimCodes) grow('code', code)
  }
  // Once more: what is there already, or is there no longer.
  await ask(asked)
  if (pattern.startsWith('/public')) await ask(asked, { headers: { Accept: 'text/html' } })
}

/** A receiver that sends back all that it is sent, and fails. */
function echo() {
  const honest = globalThis.fetch
  vi.stubGlobal('fetch', async (input: RequestInfo | URL, init?: RequestInit) => {
    const url = String(input instanceof Request ? input.url : input)
    if (!url.includes('/to/')) return honest(input, init)
    called.push(url)
    const headers = new Headers(init?.headers)
    const [, token = ''] = /token="[^"]*\.([^".]*)"/.exec(headers.get('Authorization') ?? '') ?? []
    grow('token', token)
    if (called.length % 3 === 0) throw new TypeError(`could not reach ${url} for ${EMAIL}`)
    const text = new TextDecoder().decode(init?.body as Uint8Array)
    const body = `${JSON.stringify([...headers])} ${EMAIL} ${encodeURIComponent(EMAIL)} ${text}`
    return new Response(body, { status: 500, headers: { 'Retry-After': '1' } })
  })
}

/** Every pending delivery is tried, and rung for by the queue's own messages. */
async function deliverAll() {
  const { results } = await env.DB.prepare(
    "select id from deliveries where state = 'pending'",
  ).all<{ id: number }>()
  for (const { id } of results.slice(0, 60)) await deliver(db(), bindings, id, 'sweep')
}

beforeAll(async () => {
  await calm(Date.now() + 3_600_000)
  forgetKeys()
  listening()
  echo()
  system = '/systems/canary'
  await post('/systems', { ...container('canary'), email: contact() })
  await post('/systems', container('canary-neighbour'))
  const key = (await post('/systems/canary-neighbour/keys', {})).key
  grow('secret', key.secret)
  foreign = { key: key.key, secret: key.secret }
  first = (await post(`${system}/badges`, badge('first'))).badge.id
  second = (await post(`${system}/badges`, badge('second'))).badge.id
  await post(`${system}/webhooks`, { url: 'https://receiver.example.org/to/x', secret: HOOK })
  await post(`${system}/webhooks`, {
    url: 'https://other.example.org/to/y',
    secret: `${HOOK}-events`,
    format: 'events-1',
  })
  await post(`${system}/badges/first/codes`, { code: CODE, email: EMAIL })
  await post(`${system}/badges/first/instances`, { email: EMAIL, claimCode: CODE })
  for (const template of routes) await walk(template)
  await deliverAll()
}, 300_000)

afterAll(() => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
  forgetKeys()
})

// ── What it left ────────────────────────────────────────────────────────────────────────────────────────────────────

/** Where an earner's email may stand: what says whom a record is about, and the messages that tell of it. */
const EMAILS = [
  'claimCodes.email',
  'badgeInstances.email',
  'applications.learner',
  'applications.assignedTo',
  'reviews.author',
  'events.body',
  'events.data',
  'events.earner',
  'events.author',
  'events.assignedTo',
  'jobChunks.rows',
]
/** Where an organisation's may: its own rows, and badges as they are shown with it. */
const CONTACTS = [
  'systems.email',
  'issuers.email',
  'programs.email',
  'badgeVersions.badge',
  'events.body',
  'events.data',
]
/** Where a claim code may stand: a receiver may send back the message that names it. */
const CODES = [
  'claimCodes.code',
  'badgeInstances.claimCode',
  'events.body',
  'events.data',
  'attempts.answer',
]

/** Every cell of the database that holds a canary of a kind, by its column. */
async function columnsWith(kind: Kind, which = (_canary: string) => true): Promise<string[]> {
  const { results } = await env.DB.prepare(
    "select name from sqlite_master where type = 'table' and name not like '\\_%' escape '\\' and name not like 'sqlite%'",
  ).all<{ name: string }>()
  const found = new Set<string>()
  for (const { name } of results) {
    const rows = (await env.DB.prepare(`select * from "${name}"`).all()).results
    for (const row of rows) {
      for (const [column, value] of Object.entries(row)) {
        const text = Array.isArray(value)
          ? new TextDecoder().decode(Uint8Array.from(value))
          : String(value)
        if (hits(text, kind).some(which)) found.add(`${name}.${column}`)
      }
    }
  }
  return [...found].sort()
}

const linesWith = (kind: Kind) => lines.filter((line) => hits(line, kind).length > 0)
/** Answers that hold what their own request did not say. */
const strangersIn = (kind: Kind, answers: Said[], part: 'text' | 'headers') =>
  answers.flatMap((one) => {
    const strange = hits(one[part], kind).filter(
      (canary) => !hits(one.asked, kind).includes(canary),
    )
    return strange.length > 0
      ? [`${one.what} ${one.status}: ${strange} in ${one[part].slice(0, 300)}`]
      : []
  })
const refusals = () => said.filter(({ status }) => status >= 400)

describe('the walk', () => {
  it('has been everywhere, and was refused and let in', () => {
    const missed = routes.filter((route) => !succeeded.has(route))
    expect(missed).toEqual([])
    expect(said.filter(({ status }) => status === 403).length).toBeGreaterThan(300)
    expect(said.filter(({ status }) => status === 500).length).toBeGreaterThan(100)
    expect(lines.length).toBeGreaterThan(said.length)
    expect(messages.length).toBeGreaterThan(50)
    expect(called.length).toBeGreaterThan(10)
  })
})

describe.each(kinds)('no %s', (kind) => {
  it('stands in a log line', () => {
    expect(linesWith(kind)).toEqual([])
  })

  it('stands in a message of a queue', () => {
    expect(messages.filter((one) => hits(one, kind).length > 0)).toEqual([])
  })

  it('stands in a URL that is called or told', () => {
    expect(called.filter((one) => hits(one, kind).length > 0)).toEqual([])
    expect(strangersIn(kind, said, 'headers')).toEqual([])
    const urls = said.flatMap(({ text }) => text.match(/https?:\/\/[^\s"'<>\\]+/g) ?? [])
    expect(urls.length).toBeGreaterThan(1_000)
    expect(urls.filter((url) => url.startsWith(ORIGIN) && hits(url, kind).length > 0)).toEqual([])
  })

  it('stands in a refusal, but what the refused request itself said', () => {
    expect(strangersIn(kind, refusals(), 'text')).toEqual([])
  })

  it('stands in a public document or page', () => {
    const open = said.filter(({ what }) =>
      /^GET \/(?:public|images|issuers|\.well-known|docs|openapi|health)/.test(what),
    )
    expect(open.length).toBeGreaterThan(50)
    const told = open.flatMap(({ text }) => hits(text, kind))
    expect(told.filter((one) => !one.startsWith('canary.contact'))).toEqual([])
  })
})

describe('secrets and tokens', () => {
  it.each(['secret', 'token'] as const)(
    'no %s is repeated in a refusal, whoever sent it',
    (kind) => {
      expect(
        refusals()
          .filter(({ text }) => hits(text, kind).length > 0)
          .map(({ what, text }) => `${what}: ${text}`),
      ).toEqual([])
    },
  )

  it.each(['secret', 'token'] as const)('no %s is in the database', async (kind) => {
    expect(await columnsWith(kind)).toEqual([])
  })

  it('are told once, by the answer that makes them', () => {
    const told = said.filter(({ text }) => hits(text, 'secret').length > 0).map(({ what }) => what)
    expect(told.filter((what) => !/^POST \S+\/(?:keys|webhooks|rotate)$/.test(what))).toEqual([])
  })
})

describe('the database', () => {
  it.each([
    ['earners', EMAILS, false],
    ['organisations', CONTACTS, true],
  ])(
    'has emails of %s in the columns that are for them, and nowhere else',
    async (_of, columns, isContact) => {
      const found = await columnsWith(
        'email',
        (one) => one.startsWith('canary.contact') === isContact,
      )
      expect(found.filter((column) => !columns.includes(column))).toEqual([])
      // They are there: the search finds them.
      if (!isContact) expect(columns.filter((column) => !found.includes(column))).toEqual([])
    },
  )

  it('has claim codes in the columns that are for them, and nowhere else', async () => {
    expect((await columnsWith('code')).filter((column) => !CODES.includes(column))).toEqual([])
  })

  it('keeps of a receiver that repeats what it was sent no address and no token', async () => {
    const { results } = await env.DB.prepare(
      'select answer from attempts where answer is not null',
    ).all<{ answer: string }>()
    expect(results.length).toBeGreaterThan(5)
    const all = results.map(({ answer }) => answer)
    expect(all.filter((one) => one.includes('[email]')).length).toBeGreaterThan(0)
    for (const kind of ['email', 'secret', 'token'] as const) {
      expect(all.filter((one) => hits(one, kind).length > 0)).toEqual([])
    }
  })
})

describe('the search itself', () => {
  it.each(kinds)(
    'finds %s that is planted on purpose: in a line, an answer, a message and a row',
    async (kind) => {
      const canary = { email: EMAIL, secret: HOOK, token: lastToken, code: CODE }[kind]
      const written = lines.length
      console.warn(`planted ${encodeURIComponent(canary)}`)
      expect(linesWith(kind)).toHaveLength(1)
      lines.length = written
      const answer = {
        what: '',
        asked: '',
        status: 400,
        headers: '',
        text: JSON.stringify({ canary }),
      }
      expect(strangersIn(kind, [answer], 'text')).toHaveLength(1)
      if (kind !== 'token')
        expect(hits(JSON.stringify({ body: btoa(canary) }), kind)).not.toEqual([])
      await env.DB.prepare('insert into queueFaults (queue, message, at) values (?, ?, 1)')
        .bind('planted', canary)
        .run()
      expect(await columnsWith(kind)).toContain('queueFaults.message')
      await env.DB.prepare("delete from queueFaults where queue = 'planted'").run()
    },
  )
})
