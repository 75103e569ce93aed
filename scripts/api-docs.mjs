/**
 * `npm run docs:api`: the examples of docs/api.md, from requests that were really sent. It starts a server of its own
 * on an empty state, tells it a story that touches every endpoint, and writes what came back between the marks
 * `<!-- sent: title -->` and `<!-- end -->`; the words around them are written by hand. What differs from run to run
 * (times, random names, secrets, the origin) is replaced, so that the same code gives the same bytes. From the Worker's own code it also
 * writes the table of roles into docs/keys.md, and into docs/auth.md the programs that sign, which are those of `/docs`.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { load } from './load.mjs'
import { signedFetch } from './sign.mjs'
import { completeDevVars } from './start.mjs'

/** @typedef {Record<string, any>} Json */
/** @typedef {{ method: string, path: string, body?: unknown, status: number, headers: Headers, text: string }} Exchange */

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const FILE = resolve(ROOT, 'docs/api.md')
const KEYS = resolve(ROOT, 'docs/keys.md')
const AUTH = resolve(ROOT, 'docs/auth.md')

// ── A server of our own ─────────────────────────────────────────────────────────────────────────────────────────────

/**
 * A free port, and what to do with requests that come there.
 * @param {import('node:http').RequestListener} [answer]
 * @returns {Promise<{ port: number, close: () => Promise<unknown> }>}
 */
function listen(answer) {
  const server = createServer(answer)
  return new Promise((done) =>
    server.listen(0, '127.0.0.1', () => {
      const address = /** @type {import('node:net').AddressInfo} */ (server.address())
      const close = () => new Promise((closed) => server.close(closed))
      done({ port: address.port, close })
    }),
  )
}

/** The whole API on a free port with an empty state; `stop` ends it and leaves nothing behind. */
async function startServer() {
  const probe = await listen()
  await probe.close()
  const directory = mkdtempSync(join(tmpdir(), 'badgekit-docs-'))
  const file = join(directory, 'vars')
  const secret = completeDevVars(file).vars.MASTER_SECRET ?? ''
  const url = `http://127.0.0.1:${probe.port}`
  const child = spawn(process.execPath, [resolve(ROOT, 'scripts/start.mjs')], {
    env: {
      ...process.env,
      PORT: String(probe.port),
      STATE_DIR: join(directory, 'state'),
      DEV_VARS: file,
      WRANGLER_LOG_PATH: join(directory, 'logs'),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let log = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      log += text
    })
  }
  const ended = new Promise((done) => child.once('exit', done))
  const stop = async () => {
    child.kill('SIGTERM')
    await ended
    rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
  }
  for (const deadline = Date.now() + 60_000; ; await sleep(100)) {
    const answer = await fetch(`${url}/healthcheck`).catch(() => undefined)
    if (answer?.ok) return { url, key: 'master', secret, stop }
    if (child.exitCode === null && Date.now() < deadline) continue
    await stop()
    throw new Error(`The server did not start:\n${log}`)
  }
}

// ── The story ───────────────────────────────────────────────────────────────────────────────────────────────────────

const PNG =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

const CITY = '/systems/city'
const LIBRARY = `${CITY}/issuers/library`
const ROOM = `${LIBRARY}/programs/writers-room`

const container = (/** @type {string} */ slug, /** @type {string} */ name) => ({
  slug,
  name,
  url: `https://${slug}.example.org`,
})

const badge = (/** @type {string} */ slug, /** @type {string} */ name) => ({
  slug,
  name,
  earnerDescription: `You have earned ${name}.`,
  consumerDescription: `The holder has earned ${name}.`,
  criteriaUrl: `https://city.example.org/badges/${slug}`,
  unique: 1,
  image: `https://city.example.org/badges/${slug}.png`,
})

/**
 * What verifiers are given of an award in Open Badges 2.0 and 3.0: each address is one that the documents before have named.
 * @param {Parameters<typeof tell>[0]} send
 * @param {Json} instance
 */
async function tellOfOpenBadges(send, { urls }) {
  const get = (/** @type {string} */ title, /** @type {string} */ url) =>
    send(title, 'GET', new URL(url).pathname)
  const assertion = await get('assertion 2', urls.openBadges2)
  await get('image 2', urls.image)
  const badgeClass = await get('badge class 2', assertion.badge)
  await get('issuer 2', badgeClass.issuer)
  const credential = await get('credential', urls.openBadges3)
  await get('token', `${urls.openBadges3}.jwt`)
  await get('image 3', `${urls.openBadges3}/image`)
  await get('achievement', credential.credentialSubject.achievement.id)
  await get('status list', credential.credentialStatus.statusListCredential)
  const did = await send(
    'did',
    'GET',
    `/issuers/${credential.issuer.id.split(':').at(-1)}/did.json`,
  )
  await get('public key', did.verificationMethod[1].publicKeyJwk.kid)
  await send('jwks', 'GET', '/.well-known/jwks.json')
}

/**
 * Walks through every endpoint. `send` remembers the first exchange of each title as the one to show.
 * @param {(title: string, method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Json>} send
 * @param {string} receiver
 */
async function tell(send, receiver) {
  await send('service', 'GET', '/')
  await send('health', 'GET', '/healthcheck')
  await send('openapi', 'GET', '/openapi.json')
  await send('docs', 'GET', '/docs')

  await send('create system', 'POST', '/systems', {
    ...container('city', 'The City'),
    description: 'Libraries, museums and clubs of one city',
    email: 'badges@city.example.org',
    image: 'https://city.example.org/seal.png',
  })
  await send('create issuer', 'POST', `${CITY}/issuers`, container('library', 'Public Library'))
  await send(
    'create program',
    'POST',
    `${LIBRARY}/programs`,
    container('writers-room', 'Writers’ Room'),
  )
  for (const [name, list, one] of [
    ['system', '/systems', CITY],
    ['issuer', `${CITY}/issuers`, LIBRARY],
    ['program', `${LIBRARY}/programs`, ROOM],
  ]) {
    await send(`list ${name}s`, 'GET', list ?? '')
    await send(`show ${name}`, 'GET', one ?? '')
    const change = { description: `What this ${name} is about` }
    await send(`change ${name}`, 'PUT', one ?? '', change)
  }

  const key = { description: 'The library’s web site', allowNoExp: false }
  for (const at of [CITY, LIBRARY, ROOM]) {
    const { key: made } = await send('create key', 'POST', `${at}/keys`, key)
    await send('list keys', 'GET', `${at}/keys`)
    const one = `${at}/keys/${made.key}`
    await send('show key', 'GET', one)
    await send('change key', 'PUT', one, { role: 'read', expires: '2036-01-01T00:00:00Z' })
    await send('rotate key', 'POST', `${one}/secret/rotate`, { grace: 3_600 })
    await send('delete key', 'DELETE', one)
  }
  const narrow = { role: 'issue', issuer: 'library', description: 'The desk' }
  await send('create narrow key', 'POST', `${CITY}/keys`, narrow)
  const webhook = { url: receiver, events: ['award', 'revoke', 'review'] }
  const { webhook: made } = await send('create webhook', 'POST', `${CITY}/webhooks`, webhook)
  await send('list webhooks', 'GET', `${CITY}/webhooks`)
  await tellOfWebhook(send, `${CITY}/webhooks/${made.id}`)

  for (const at of [CITY, LIBRARY, ROOM]) await tellOfContained(send, at)
  await tellOfErrors(send)

  const reviews = { url: `${receiver}/reviews`, events: ['review'] }
  const { webhook: late } = await send('late webhook', 'POST', `${CITY}/webhooks`, reviews)
  const since = new Date(Date.now() - HOUR / 2).toISOString()
  await send('recover', 'POST', `${CITY}/webhooks/${late.id}/recover`, { since })
  await send('delete webhook', 'DELETE', `${CITY}/webhooks/${late.id}`)

  const person = { email: 'leo@example.org' }
  await send('reserve code', 'POST', `${CITY}/badges/medal/codes`, { code: 'for-leo', ...person })
  await send('export person', 'POST', `${CITY}/privacy/export`, person)
  await send('erase person', 'POST', `${CITY}/privacy/erase`, person)
  const erased = 'POST%20/systems/:system/privacy/erase'
  await send('audit log', 'GET', `${CITY}/audit?action=${erased}`)

  const claimUrl = 'https://city.example.org/claim?code={code}'
  await send('claim address', 'PUT', CITY, { claimUrl })
  const codes = `${CITY}/badges/medal/codes`
  await send('festival code', 'POST', codes, {
    ...{ code: 'FESTIVAL', multiuse: true, maxUses: 200 },
    ...{ validFrom: '2036-07-01T08:00:00Z', validUntil: '2036-07-01T20:00:00Z' },
  })
  await send('early code', 'POST', `${codes}/FESTIVAL/claim`)

  await send('issuer page', 'GET', '/public/systems/city')
  await send('public list', 'GET', '/public/badges?page=1&count=2')

  await send('delete program', 'DELETE', ROOM)
  await send('delete issuer', 'DELETE', LIBRARY)
  await send('delete system', 'DELETE', CITY)
}

/**
 * A webhook's own routes. Nothing has happened yet: a test is all that was ever sent, and what came of it is known at once.
 * @param {Parameters<typeof tell>[0]} send
 * @param {string} one the webhook
 */
async function tellOfWebhook(send, one) {
  await send('show webhook', 'GET', one)
  await send('change webhook', 'PUT', one, { events: null })
  await send('test webhook', 'POST', `${one}/test`)
  await send('rotate secret', 'POST', `${one}/secret/rotate`, { grace: 3600 })
  await send('promote secret', 'POST', `${one}/secret/promote`)
  await send('retire secrets', 'POST', `${one}/secret/retire`)

  const { deliveries } = await send('list deliveries', 'GET', `${CITY}/deliveries?state=delivered`)
  const delivery = `${CITY}/deliveries/${deliveries[0].id}`
  await send('show delivery', 'GET', delivery)
  await send('list events', 'GET', `${CITY}/events?after=0`)
  await send('redeliver', 'POST', `${delivery}/redeliver`)
}

/**
 * Everything that hangs from a container, which is the same at three levels.
 * @param {Parameters<typeof tell>[0]} send
 * @param {string} at the container
 */
async function tellOfContained(send, at) {
  const level = at.split('/').length
  const word = level === 3 ? '' : level === 5 ? '-of-library' : '-of-writers-room'
  const zine = `${at}/badges/zine-maker${word}`

  const { badge: made } = await send('create badge', 'POST', `${at}/badges`, {
    ...badge(`zine-maker${word}`, 'Zine Maker'),
    strapline: 'Sixteen pages of your own.',
    timeValue: 2,
    timeUnits: 'weeks',
    evidenceType: 'Photo',
    type: 'skill',
    image: PNG,
    criteria: [{ description: 'Prints a zine of at least eight pages', required: 1, note: '' }],
    alignments: [{ name: 'Writing', url: 'https://standards.example.org/writing' }],
    categories: ['Art'],
    tags: ['print', 'paper'],
  })
  const medal = badge(`medal${word}`, 'Medal')
  const { badge: primary } = await send('second badge', 'POST', `${at}/badges`, medal)
  await send('list badges', 'GET', `${at}/badges`)
  await send('badge page', 'GET', `${at}/badges?archived=any&page=1&count=1`)
  await send('badge cursor', 'GET', `${at}/badges?limit=1`)
  await send('change badge', 'PUT', zine, { strapline: 'Eight pages of your own.' })

  const milestones = `${CITY}/milestones`
  const { milestone } = await send('create milestone', 'POST', milestones, {
    numberRequired: 2,
    action: 'issue',
    primaryBadgeId: primary.id,
    supportBadges: [made.id],
  })
  await send('show badge', 'GET', `${at}/badges/medal${word}`)
  const one = `${milestones}/${milestone.id}`
  await send('list milestones', 'GET', milestones)
  await send('show milestone', 'GET', one)
  await send('change milestone', 'PUT', one, { numberRequired: 1 })
  const spare = await send('third badge', 'POST', `${at}/badges`, badge(`spare${word}`, 'Spare'))
  await send('add badge', 'POST', `${one}/add-badge`, { badgeId: spare.badge.id })
  await send('remove badge', 'POST', `${one}/remove-badge`, { badgeId: spare.badge.id })
  await send('backfill', 'POST', `${one}/backfill`)
  await send('progress', 'GET', `${at}/progress/ada@example.org`)
  await send('delete milestone', 'DELETE', one)

  const award = {
    email: 'ada@example.org',
    expires: '2036-01-01T00:00:00Z',
    narrative: 'Made a zine about **bees**.',
    evidence: [{ url: 'https://ada.example.org/bees', name: 'The zine' }],
  }
  const { instance } = await send('award', 'POST', `${zine}/instances`, award)
  const many = { emails: ['bo@example.org', 'cy@example.org', 'ada@example.org'] }
  await send('award many', 'POST', `${zine}/instances/bulk`, many)
  const jobs = `${zine}/instances/jobs`
  const ended = async (/** @type {string} */ path) => {
    while ((await send('wait for job', 'GET', path)).job.state === 'running') await sleep(100)
  }
  const list = { rows: [{ email: 'di@example.org' }, { email: 'bo@example.org' }] }
  const { job } = await send('award thousands', 'POST', jobs, list)
  await ended(`${jobs}/${job.id}`)
  await send('show job', 'GET', `${jobs}/${job.id}`)
  await send('job rows', 'GET', `${jobs}/${job.id}/rows`)
  const undo = { reason: 'Awarded by mistake' }
  await send('list jobs', 'GET', jobs)
  const { job: second } = await send('revoke job', 'POST', `${jobs}/${job.id}/revoke`, undo)
  await ended(`${jobs}/${second.id}`)
  const { job: third } = await send('third job', 'POST', jobs, list)
  await send('stop job', 'POST', `${jobs}/${third.id}/cancel`)
  const some = { emails: ['di@example.org'], ...undo }
  await send('revoke many', 'POST', `${zine}/instances/revocations`, some)
  await send('list instances', 'GET', `${zine}/instances`)
  await send('show instance', 'GET', `${zine}/instances/ada@example.org`)
  await send('earner', 'GET', `${at}/instances/ada@example.org`)
  const ada = `${zine}/instances/ada@example.org`
  const better = { narrative: 'Made **two** zines about bees.', reason: 'The second came later' }
  await send('amend', 'PUT', ada, better)
  await send('suspend', 'POST', `${ada}/suspend`, { reason: 'Under review' })
  await send('reinstate', 'POST', `${ada}/reinstate`)
  const bo = `${zine}/instances/bo@example.org`
  await send('renew', 'POST', `${bo}/renew`, { expires: '2040-01-01T00:00:00Z' })
  await send('history', 'GET', `${ada}/history`)
  await send('held', 'POST', `${zine}/instances`, { email: 'ada@example.org' })
  const assertion = `/public/assertions/${instance.slug}`
  await send('assertion', 'GET', assertion)
  await send('badge class', 'GET', `/public${zine}`)
  await send('organisation', 'GET', `/public${at}`)
  await tellOfOpenBadges(send, instance)
  const inquiry = { url: instance.urls.openBadges3, recipient: 'ada@example.org' }
  await send('verify', 'POST', '/public/verify', inquiry)
  await send('list signing keys', 'GET', `${at}/signing-keys`)
  await send('rotate signing keys', 'POST', `${at}/signing-keys/rotate`)
  const reason = encodeURIComponent('Awarded by mistake')
  await send('revoke', 'DELETE', `${zine}/instances/ada@example.org?reason=${reason}`)
  await send('awards', 'GET', `${at}/instances?state=revoked`)
  await send('revoked assertion', 'GET', assertion)
  const months = 'stats?interval=month&since=2025-01-01&until=2025-03-01'
  await send('stats', 'GET', `${at}/${months}`)
  await send('badge stats', 'GET', `${zine}/${months}`)
  const image = new URL(made.imageUrl).pathname
  await send('stored image', 'GET', image)
  await send('image alias', 'GET', image.replace('/public', ''))

  await send('create code', 'POST', `${zine}/codes`, { code: 'summer', email: 'bo@example.org' })
  await send('random code', 'POST', `${zine}/codes/random`)
  await send('many codes', 'POST', `${zine}/codes/batch`, { count: 2 })
  await send('list codes', 'GET', `${zine}/codes`)
  await send('show code', 'GET', `${zine}/codes/summer`)
  await send('badge of code', 'GET', `${at}/codes/summer`)
  await send('claim code', 'POST', `${zine}/codes/summer/claim`, { email: 'bo@example.org' })
  await send('claimed code', 'POST', `${zine}/codes/summer/claim`, { email: 'cy@example.org' })
  await send('delete code', 'DELETE', `${zine}/codes/summer`)

  const { application } = await send('apply', 'POST', `${zine}/applications`, {
    learner: 'di@example.org',
    evidence: [
      { url: 'https://di.example.org/zine.jpg', mediaType: 'image', reflection: 'My third.' },
    ],
  })
  await send('list applications', 'GET', `${zine}/applications`)
  await send('applications', 'GET', `${at}/applications?processed=false&email=di@example.org`)
  const file = `${zine}/applications/${application.slug}`
  await send('queue', 'GET', `${at}/applications/queue?free=true`)
  await send('waiting', 'GET', `${at}/applications/waiting`)
  const reviewer = { assignedTo: 'eve@library.example.org', minutes: 30 }
  await send('assign', 'POST', `${file}/assign`, reviewer)
  await send('give back', 'PUT', file, { assignedTo: null, assignedExpiration: null })
  await send('applicant', 'GET', `${file}/instances`)
  await send('show application', 'GET', file)
  const { review } = await send('review', 'POST', `${file}/reviews`, {
    author: 'eve@library.example.org',
    comment: 'Well bound.',
    reviewItems: [{ criterionId: made.criteria[0].id, satisfied: 1, comment: 'Twelve pages' }],
  })
  await send('list reviews', 'GET', `${file}/reviews`)
  await send('show review', 'GET', `${file}/reviews/${review.slug}`)
  await send('change review', 'PUT', `${file}/reviews/${review.slug}`, { comment: 'Very well.' })
  await send('delete review', 'DELETE', `${file}/reviews/${review.slug}`)
  await send('approve', 'POST', `${file}/reviews`, {
    author: 'eve@library.example.org',
    reviewItems: [{ criterionId: made.criteria[0].id, satisfied: 1 }],
    award: true,
  })
  await send('change application', 'PUT', file, { processed: '2026-01-16T08:00:00Z' })
  await send('delete application', 'DELETE', file)
  await send('delete badge', 'DELETE', `${at}/badges/spare${word}`)
}

/** @param {Parameters<typeof tell>[0]} send */
async function tellOfErrors(send) {
  await send('unsigned', 'GET', '/systems', undefined, { authorization: '' })
  await send('invalid', 'POST', `${CITY}/badges`, { name: '', unique: 'maybe' })
  await send('parameter', 'GET', `${CITY}/badges?archived=maybe`)
  await send('cursor', 'GET', `${CITY}/badges?cursor=maybe`)
  await send('content', 'POST', `${CITY}/badges`, '{"name":')
  const xml = { 'content-type': 'text/xml' }
  await send('media type', 'POST', `${CITY}/badges`, '<badge/>', xml)
  await send('missing', 'GET', `${CITY}/badges/nothing`)
  await send('unknown path', 'GET', '/nowhere')
  await send('ready', 'GET', '/health/ready')
  await send('method', 'POST', '/healthcheck')
  await send('conflict', 'POST', '/systems', container('city', 'Another'))
}

// ── What differs from run to run ────────────────────────────────────────────────────────────────────────────────────

const CLOCK = Date.parse('2026-01-15T09:30:00.000Z')
const HOUR = 3_600_000

/** @param {[string, string][]} places addresses of this run, and what is written in their place */
function normaliser(places) {
  /** @type {Map<string, string>} */
  const names = new Map()
  const invented = (/** @type {string} */ random) => {
    const known = names.get(random)
    if (known !== undefined) return known
    const name = createHash('sha256').update(`docs ${names.size}`).digest('hex')
    names.set(random, name.slice(0, random.length))
    return name.slice(0, random.length)
  }
  const isNow = (/** @type {number} */ time) => Math.abs(time - Date.now()) < HOUR
  return (/** @type {string} */ text) => {
    let plain = text
    for (const [from, to] of places) plain = plain.replaceAll(from, to)
    return (
      plain
        .replace(/\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z/g, (time) =>
          isNow(Date.parse(time)) ? new Date(CLOCK).toISOString() : time,
        )
        .replace(/\d{4}-\d\d-\d\dT[\d:]{8}Z/g, (time) =>
          isNow(Date.parse(time)) ? `${new Date(CLOCK).toISOString().slice(0, -5)}Z` : time,
        )
        .replace(/(?<=:)\d{10}\b/g, (time) =>
          isNow(Number(time) * 1000) ? String(CLOCK / 1000) : time,
        )
        .replace(/"secret":"(whsec_)?[^"]+"/g, (_all, start = '') => `"secret":"${start}…"`)
        .replace(/(?<="(?:ms|seconds)":)\d+/g, '12')
        .replace(/"backlog":\d+,"oldestSeconds":(?:\d+|null)/g, '"backlog":0,"oldestSeconds":null')
        .replace(/(?<="oldestSeconds":)\d+/g, 'null')
        .replace(/(?<="newest":")\w+(?=\.sql")/g, '0003_credentials')
        .replace(/(?<=\bevt_)[0-9a-f]{32}(?=_\d)/g, invented)
        .replace(/(?<="request":")[0-9a-f]{24}(?=")/g, invented)
        .replace(/(?<="ping-)[0-9a-f]{16}(?=")/g, invented)
        .replace(/(?<="id":"|\/jobs\/)[0-9a-f]{24}\b/g, invented)
        // What is salted, drawn or signed: in Open Badges 2.0 and 3.0.
        .replace(/(?<=did:web:)127\.0\.0\.1%3A\d+/g, 'badges.example.org')
        .replace(
          /(?<="salt":"\w{32}","identity":"sha256\$|"identityHash":"sha256\$)\w{64}/g,
          invented,
        )
        .replace(/(?<=urn:uuid:)[\w-]{36}/g, '5e88a53d-fbf4-8b94-b9a1-88433e0f3da3')
        .replace(/(?<=\/keys\/|#|"thumbprint":")[\w-]{43}(?![\w-])/g, invented)
        .replace(/(?<="proofValue":"z|"publicKeyMultibase":"z6Mk)\w+/g, REST)
        .replace(/(?<="n":"|"x":")[\w-]{43,}/g, REST)
        .replace(/(?<="statusListIndex":"|\/public\/v3\/status\/\w{32}#)\d+/g, '94567')
        // Slugs of awards and of the rest, keys; and the ten digits of a random code. Never the 64 of a real hash.
        .replace(/\b(?:[0-9a-f]{40}|[0-9a-f]{32})\b/g, invented)
        .replace(/(?<="code":")[0-9a-f]{10}(?=")/g, invented)
    )
  }
}

// ── How it is written ───────────────────────────────────────────────────────────────────────────────────────────────

const REST = '…'
const isBadge = (/** @type {Json} */ value) => 'earnerDescription' in value
const isContainer = (/** @type {Json} */ value) =>
  'slug' in value && 'imageUrl' in value && !isBadge(value)

/**
 * A badge, or a container inside of something, is told in full only where it is the subject; of a list of things two are shown.
 * @param {any} value
 * @param {boolean} whole whether all containers and the badges beside them are told in full
 * @param {boolean} badges whether the first badge is
 * @param {number} depth
 * @returns {any}
 */
function shortened(value, whole, badges, depth = 0) {
  if (Array.isArray(value)) {
    if (value.some((item) => typeof item !== 'object' || 'field' in item)) return value
    const items = value.slice(0, 2).map((item) => shortened(item, whole, badges, depth))
    return value.length > 2 ? [...items, REST] : items
  }
  if (typeof value !== 'object' || value === null) return value
  const isNested = depth > 1
  if (isBadge(value) && !(badges && depth === 1)) {
    return { id: value.id, slug: value.slug, name: value.name, [REST]: REST }
  }
  if (isContainer(value) && isNested && !whole)
    return { id: value.id, slug: value.slug, [REST]: REST }
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      name,
      shortened(member, whole, badges, depth + 1),
    ]),
  )
}

/**
 * A request as it was sent, but for the bytes of an image.
 * @param {any} body
 */
const withoutData = (body) =>
  JSON.parse(JSON.stringify(body).replace(/(?<="data:[^"]{40})[^"]+/g, REST))

const WIDTH = 100

/**
 * JSON for people: what fits stands on one line.
 * @param {any} value
 * @param {string} indent
 * @param {number} taken how much of the line is used already
 * @returns {string}
 */
function printed(value, indent = '', taken = 0) {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const entries = Object.entries(value)
  const isList = Array.isArray(value)
  const label = (/** @type {string} */ name) => (isList ? '' : `${JSON.stringify(name)}: `)
  const items = entries.map(([name, member]) => label(name) + printed(member, '', Infinity))
  const [open, close] = isList ? ['[', ']'] : ['{ ', ' }']
  const line = items.length === 0 ? (isList ? '[]' : '{}') : open + items.join(', ') + close
  const fits = taken === Infinity || indent.length + taken + line.length <= WIDTH
  if (fits || entries.length === 0) return line
  const deeper = `${indent}  `
  const lines = entries.map(([name, member]) => {
    const start = label(name)
    return deeper + start + printed(member, deeper, start.length)
  })
  return `${open.trim()}\n${lines.join(',\n')}\n${indent}${close.trim()}`
}

/** The story's exchanges that are told in full. */
const FULL = new Set(['show badge', 'show system'])
const BADGES = new Set(['create badge', 'change badge', 'show badge'])
const SHOWN_HEADERS = ['location', 'link', 'allow', 'content-type']
const REASONS = /** @type {Record<number, string>} */ ({
  200: 'OK',
  201: 'Created',
  202: 'Accepted',
  301: 'Moved Permanently',
  400: 'Bad Request',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  410: 'Gone',
  415: 'Unsupported Media Type',
})

/**
 * @param {string} title
 * @param {Exchange} exchange
 * @param {(text: string) => string} normal
 */
function written(title, { method, path, body, status, headers, text }, normal) {
  const request = typeof body === 'string' ? body : body && printed(withoutData(body))
  const type = headers.get('content-type') ?? ''
  const isJson = type.includes('json')
  const shown = SHOWN_HEADERS.flatMap((name) => {
    const value = headers.get(name)
    if (value === null || (name === 'content-type' && isJson)) return []
    const label = name.replace(/^.|-./g, (start) => start.toUpperCase())
    return [`${label}: ${normal(value)}`]
  })
  const answer =
    isJson && title !== 'openapi'
      ? printed(shortened(JSON.parse(normal(text)), FULL.has(title), BADGES.has(title)))
      : REST
  return [
    '```http',
    normal(`${method} ${path}`),
    ...(request ? ['', normal(request)] : []),
    '```',
    '',
    '```http',
    `${status} ${REASONS[status]}`,
    ...shown,
    '',
    answer,
    '```',
  ].join('\n')
}

/**
 * The page with its examples told anew.
 * @param {string} text
 * @param {Map<string, Exchange>} exchanges
 * @param {(text: string) => string} normal
 */
const refreshed = (text, exchanges, normal) =>
  text.replace(/(<!-- sent: (.+) -->\n)[\s\S]*?(?=<!-- end -->)/g, (_all, mark, title) => {
    const exchange = exchanges.get(title)
    if (!exchange) throw new Error(`docs/api.md asks for "${title}", which the story does not tell`)
    return `${mark}\n${written(title, exchange, normal)}\n\n`
  })

/**
 * Which operation of the description serves a request.
 * @param {Json} description
 */
function router({ paths }) {
  const routes = Object.keys(paths).map((path) => ({
    path,
    words: path.split('/'),
    names: path.split('{').length,
  }))
  return (/** @type {string} */ method, /** @type {string} */ target) => {
    const words = (target.split('?')[0] ?? '').split('/')
    const fits = routes.filter(
      (route) =>
        route.words.length === words.length &&
        paths[route.path][method.toLowerCase()] &&
        route.words.every((word, i) => word.startsWith('{') || word === words[i]),
    )
    fits.sort((a, b) => a.names - b.names)
    return fits[0] && `${method} ${fits[0].path}`
  }
}

/**
 * Tells the story to a server with an empty state, and gives the page as it should be.
 * @param {{ url: string, key: string, secret: string }} client
 */
export async function generate(client) {
  const description = JSON.parse(readFileSync(resolve(ROOT, 'docs/openapi.json'), 'utf8'))
  const routeOf = router(description)
  const operations = Object.entries(description.paths).flatMap(([path, item]) =>
    Object.keys(/** @type {Json} */ (item)).map((method) => `${method.toUpperCase()} ${path}`),
  )
  const untouched = new Set(operations)
  /** @type {Map<string, Exchange>} */
  const exchanges = new Map()
  const receiver = await listen((request, response) =>
    request.resume().on('end', () => response.end()),
  )
  const receiverUrl = `http://127.0.0.1:${receiver.port}/badges`
  /** @type {Parameters<typeof tell>[0]} */
  const send = async (title, method, path, body, headers) => {
    const response =
      headers?.authorization === ''
        ? await fetch(client.url + path, { method })
        : await signedFetch(client, method, path, body, headers)
    const text = await response.text()
    const { status } = response
    const route = routeOf(method, path)
    if (status < 400 && route) untouched.delete(route)
    if (!exchanges.has(title) || (title === 'show badge' && path.includes('/programs/'))) {
      exchanges.set(title, { method, path, body, status, headers: response.headers, text })
    }
    return response.headers.get('content-type')?.includes('json') ? JSON.parse(text) : {}
  }
  try {
    await tell(send, receiverUrl)
  } finally {
    receiver.close()
  }
  if (untouched.size > 0) throw new Error(`The story leaves out:\n${[...untouched].join('\n')}`)
  const normal = normaliser([
    [receiverUrl, 'https://city.example.org/badge-events'],
    [client.url, 'https://badges.example.org'],
  ])
  return refreshed(readFileSync(FILE, 'utf8'), exchanges, normal)
}

// ── Roles ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * A table as the formatter writes it.
 * @param {string[][]} rows
 */
function table(rows) {
  const widths =
    rows[0]?.map((_cell, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0))) ?? []
  const line = (/** @type {string[]} */ cells, fill = ' ') =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0, fill)).join(' | ')} |`
  const [head = [], ...body] = rows
  return [
    line(head),
    line(
      widths.map(() => '-'),
      '-',
    ),
    ...body.map((row) => line(row)),
  ].join('\n')
}

/**
 * Which role may do what, from the routes of the app: those of a container at once for all levels, where all are alike.
 * @param {Json} loaded
 */
function rolesTable({ app, levels, needOf, holds, ROLES, ABOUT }) {
  const open = new Set(
    app.routes.flatMap((/** @type {Json} */ { method, path, handler }) =>
      handler[ABOUT]?.open ? [`${method} ${path}`] : [],
    ),
  )
  const routes = new Set(
    app.routes
      .filter((/** @type {Json} */ { method }) => method !== 'ALL')
      .map((/** @type {Json} */ { method, path }) => `${method} ${path}`)
      .filter((/** @type {string} */ route) => !open.has(route)),
  )
  const rows = new Map()
  for (const route of /** @type {Set<string>} */ (routes)) {
    const level = levels.findLast((/** @type {Json} */ { path }) => route.includes(path))
    const spelled =
      level && levels.map((/** @type {Json} */ { path }) => route.replace(level.path, path))
    const isContained = spelled?.every((/** @type {string} */ one) => routes.has(one))
    const name = (isContained ? route.replace(level.path, '{C}') : route).replace(/:(\w+)/g, '{$1}')
    // Of one's own container the last level says it best: there is nothing below.
    const [need, own] = [needOf(route, ''), needOf(route, level?.name)]
    const marks = ROLES.map((/** @type {string} */ role) =>
      holds(role, own) ? 'yes' : holds(role, need) ? 'below' : '',
    )
    rows.set(name, [`\`${name}\``, ...marks])
  }
  return table([
    ['', ...ROLES.map((/** @type {string} */ role) => `\`${role}\``)],
    ...rows.values(),
  ])
}

/** What stands between a mark of this name and its end, told anew. */
const between = (
  /** @type {string} */ text,
  /** @type {string} */ name,
  /** @type {string} */ told,
) =>
  text.replace(
    new RegExp(`(<!-- ${name} -->\n)[\\s\\S]*?(?=<!-- end -->)`),
    (_all, mark) => `${mark}\n${told}\n\n`,
  )

const FENCES = { curl: 'bash', javascript: 'js', python: 'python', php: 'php' }

/** The pages of which parts follow from the Worker's code, told anew. */
async function ownPages() {
  const loaded = await load(`
    export { app } from './src/app'
    export { levels } from './src/levels'
    export { holds, needOf, ROLES } from './src/roles'
    export { ABOUT } from './src/spec'
    export { FILL, SNIPPETS } from './src/views/docsSnippets'`)
  const { FILL, SNIPPETS } = loaded
  const snippetOf = new Function('snippets', `${FILL}return snippetOf`)(SNIPPETS)
  let text = readFileSync(AUTH, 'utf8')
  for (const [language, fence] of Object.entries(FENCES)) {
    const program = snippetOf(language, {
      origin: 'http://127.0.0.1:8787',
      key: 'master',
      method: 'PUT',
      path: '/systems/demo',
      body: `{"description":"Signed by ${SNIPPETS[language].name}"}`,
    })
    text = between(text, `program: ${language}`, `\`\`\`${fence}\n${program}\`\`\``)
  }
  return {
    [AUTH]: text,
    [KEYS]: between(readFileSync(KEYS, 'utf8'), 'roles', rolesTable(loaded)),
  }
}

async function main() {
  const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } })
  for (const [file, text] of Object.entries(await ownPages())) {
    if (!values.check) writeFileSync(file, text)
    else if (text !== readFileSync(file, 'utf8')) {
      throw new Error(`${file} has other roles or programs than the Worker: npm run docs:api`)
    }
  }
  const server = await startServer()
  try {
    const text = await generate(server)
    if (!values.check) writeFileSync(FILE, text)
    else if (text !== readFileSync(FILE, 'utf8')) {
      throw new Error('docs/api.md is not what the server answers: npm run docs:api')
    }
  } finally {
    await server.stop()
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main().catch((error) => {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
    process.exitCode = 1
  })
}
