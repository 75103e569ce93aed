/**
 * `badgekit doctor`: looks at a deployment from outside, as its clients and verifiers do. What it makes for that is a system of
 * its own, which it deletes again.
 */
import { createHash, randomBytes } from 'node:crypto'
import { request as plainRequest } from 'node:http'
import { request as secureRequest } from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import { explain } from '../scripts/sign.mjs'
import { ask, call, client, progress, readOptions, Stop, say, sayJson } from './lib/cli.mjs'
import { startReceiver } from './lib/receiver.mjs'

/** @typedef {import('../scripts/sign.mjs').Client} Client */
/** @typedef {{ name: string, state: 'good' | 'bad' | 'warn' | 'skipped', told: string }} Finding */

export const help = `Usage: npx badgekit doctor [--read-only] [--json]

  BADGEKIT_SECRETS=.deploy.secrets.json npx badgekit doctor
  BADGEKIT_URL=https://badges.example.org npx badgekit doctor --read-only

It looks from outside, and takes up to two minutes:

  address    it answers, over https, and is what it should be
  ready      what /health/ready says: database, migrations, sweep, oldest delivery, queues
  clock      this machine's and the server's agree: tokens end by it
  signature  the secret is accepted, and a wrong one is not
  database   every kind of table can be read and written
  secrets    a key is made, sealed, and opened again when it signs
  award      a test award is made, in a system that is deleted again
  verifier   anyone can read and verify it, in all versions, who sends no User-Agent: no zone challenges them
  queue      an event sets off a delivery at once
  cron       the sweep seals the audit within the next minutes
  revoke     the award's public address says 410 as soon as it is revoked

As another key than master, or with --read-only, it stops after the signature, and writes nothing. Exit code 1 when something is bad.
`

const flags = /** @type {const} */ ({
  'read-only': { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
})

/** How long the queue may take, and the sweep, which runs every minute. */
const QUEUE_MS = 25_000
const CRON_MS = 150_000

/** @param {string[]} argv */
export async function run(argv) {
  const { values } = readOptions(argv, flags, help)
  const doctor = new Doctor(client(), progress())
  await doctor.examine(values['read-only'] === true)
  const isGood = doctor.findings.every(({ state }) => state !== 'bad')
  if (values.json) sayJson({ url: doctor.who.url, isGood, findings: doctor.findings })
  else
    for (const { name, state, told } of doctor.findings)
      say(`${MARKS[state]} ${name.padEnd(10)} ${told}`)
  return isGood ? 0 : 1
}

const MARKS = { good: '✔', bad: '✘', warn: '!', skipped: '-' }

/** A check that failed: the doctor goes on with the next. */
class Bad extends Error {}
/** The same when it is not so bad. */
class Warning extends Error {}

class Doctor {
  /** @param {Client} who @param {ReturnType<typeof progress>} line */
  constructor(who, line) {
    this.who = who
    this.line = line
    /** @type {Finding[]} */
    this.findings = []
    this.system = `doctor-${randomBytes(6).toString('hex')}`
    this.email = `${this.system}@example.org`
    /** @type {any} */
    this.instance = null
  }

  /** @param {boolean} isReadOnly */
  async examine(isReadOnly) {
    const reached = await this.check('address', () => this.address())
    if (!reached) return
    await this.check('ready', () => this.ready())
    await this.check('clock', () => this.clock())
    const signed = await this.check('signature', () => this.signature())
    if (!signed || isReadOnly || this.who.key !== 'master') {
      if (signed)
        this.findings.push({
          name: 'the rest',
          state: 'skipped',
          told: 'it needs the master key, and to write',
        })
      return
    }
    try {
      await this.treat()
    } finally {
      this.line.end()
      await this.check('clean-up', () => this.cleanUp())
    }
  }

  async treat() {
    if (!(await this.check('database', () => this.database()))) return
    await this.check('secrets', () => this.secrets())
    const events = await this.watch()
    try {
      if (!(await this.check('award', () => this.award()))) return
      await this.check('verifier', () => this.verifier())
      await this.check('queue', () => events.wait())
    } finally {
      events.stop()
    }
    await this.check('revoke', () => this.revoke())
    await this.check('cron', () => this.cron())
  }

  /**
   * @param {string} name
   * @param {() => Promise<string>} look gives what is good; throws what is not
   */
  async check(name, look) {
    this.line.tell(`${name} …`)
    try {
      const told = await look()
      this.findings.push({ name, state: 'good', told })
      return true
    } catch (error) {
      const isExpected = error instanceof Bad || error instanceof Stop || error instanceof Warning
      const told = isExpected ? error.message : explain(error, this.who.url)
      this.findings.push({ name, state: error instanceof Warning ? 'warn' : 'bad', told })
      return error instanceof Warning
    } finally {
      this.line.end()
    }
  }

  async address() {
    const { url } = this.who
    const { status, body, headers } = await look(`${url}/healthcheck`)
    this.date = headers.date
    if (status === 503)
      throw new Bad(
        `${url} answers 503: a secret is missing or malformed. Its log says which (docs/deploy.md).`,
      )
    const challenged = challenge(status, headers)
    if (challenged) throw new Bad(challenged)
    const { app, version } = parsed(body)
    if (app !== 'BadgeKit API')
      throw new Bad(`${url}/healthcheck is answered ${status} by something else.`)
    const { protocol, hostname } = new URL(url)
    if (protocol !== 'https:' && !isLoopback(hostname))
      throw new Warning(`${url} (${version}) is not https: wallets refuse such badges.`)
    return `${url} is ${app} ${version}`
  }

  async ready() {
    const { status, headers, body } = await look(`${this.who.url}/health/ready`)
    const challenged = challenge(status, headers)
    if (challenged) throw new Bad(challenged)
    if (status === 404)
      throw new Warning('it is older than this program: there is no /health/ready')
    const { ready, version: _, queues, ...parts } = parsed(body)
    if (ready === undefined) throw new Bad(`/health/ready answers ${status}, and not as it should.`)
    const ill = Object.keys(parts).filter((name) => !parts[name].ok)
    if (ill.length > 0) {
      const told = ill.map((name) => `${name} ${JSON.stringify(parts[name])}`).join(', ')
      throw new Bad(`not ready: ${told} (docs/operate.md)`)
    }
    const waiting = Object.entries(queues).flatMap(([name, one]) =>
      one?.backlog > 0 ? `${one.backlog} in ${name}` : [],
    )
    return `the sweep ran ${parts.sweep.seconds} s ago; waiting: ${waiting.join(', ') || 'nothing'}`
  }

  async clock() {
    const apart = Math.abs(Date.now() - Date.parse(String(this.date))) / 1000
    if (Number.isNaN(apart)) {
      if (isLoopback(new URL(this.who.url).hostname)) return 'is this machine’s'
      throw new Warning('the server tells no time')
    }
    if (apart > 30)
      throw new Bad(`${Math.round(apart)} s apart: tokens that this machine signs will be refused.`)
    return 'agrees within seconds'
  }

  async signature() {
    const path = '/systems'
    const right = await ask(this.who, 'GET', path)
    const wrong = await ask({ ...this.who, secret: `${this.who.secret}x` }, 'GET', path)
    if (wrong.status < 400)
      throw new Bad(
        'A wrong secret is accepted too: AUTH_DISABLED is set, or this is no BadgeKit API.',
      )
    // A key of a system may not list them all, but is told so only when it has signed well.
    const isKnown =
      right.status < 400 ||
      /^Invalid token for/.test(right.answer.message) ||
      /needs master/.test(right.answer.message)
    if (!isKnown) throw new Bad(`${right.status} ${right.answer.message}`)
    return `accepted as ${this.who.key}; a wrong one is refused`
  }

  /** Each list is of a table that another migration may have made. */
  async database() {
    const { who, system } = this
    const url = `https://${system}.example.org`
    await call(who, 'POST', '/systems', { slug: system, name: 'Made by `badgekit doctor`', url })
    const lists = [
      'badges',
      'issuers',
      'milestones',
      'applications',
      'webhooks',
      'deliveries',
      'events',
      'keys',
      'audit',
    ]
    for (const list of lists) await call(who, 'GET', `/systems/${system}/${list}`)
    return `written and read: ${lists.join(', ')}`
  }

  /** A secret that is sealed under ENCRYPTION_KEYS, and opened for the first request that it signs. */
  async secrets() {
    const { who, system } = this
    const made = await call(who, 'POST', `/systems/${system}/keys`, { role: 'read' })
    const { key, secret } = made.key
    const { status, answer } = await ask({ ...who, key, secret }, 'GET', `/systems/${system}`)
    if (status >= 400) throw new Bad(`A key that was just made is refused: ${answer.message}`)
    return 'a key was sealed, opened, and has signed'
  }

  /**
   * A webhook: to ourselves where the server can call us; else to a name that nobody has, so that nothing leaves the house and
   * the attempt is still in the log.
   */
  async watch() {
    const { who, system } = this
    const isNear = isLoopback(new URL(who.url).hostname)
    let secret = ''
    /** @type {import('./lib/receiver.mjs').Message[]} */
    const received = []
    const receiver = isNear
      ? await startReceiver(
          0,
          () => secret,
          (message) => {
            received.push(message)
            return 204
          },
        )
      : undefined
    const url = receiver?.url ?? `https://${system}.example.org/`
    const made = await ask(who, 'POST', `/systems/${system}/webhooks`, { url })
    secret = made.answer.webhook?.secret ?? ''
    return {
      stop: () => receiver?.stop(),
      wait: async () => {
        if (made.status >= 400)
          throw new Bad(`A webhook to ${url} is refused: ${made.answer.message}`)
        const started = Date.now()
        const took = await until(CRON_MS, async () =>
          receiver
            ? received.length > 0
            : (await call(who, 'GET', `/systems/${system}/deliveries`)).deliveries[0]?.attempts > 0,
        )
        if (!took)
          throw new Bad(
            'No delivery was tried: neither the queue nor the cron works. Look at the consumers of the queues.',
          )
        const ms = Date.now() - started
        if (ms > QUEUE_MS)
          throw new Bad(
            `A delivery was tried only after ${Math.round(ms / 1000)} s, by the sweep: the queue has no consumer.`,
          )
        if (!receiver) return `a delivery was tried within ${Math.round(ms / 1000) + 1} s`
        if (!received[0]?.isSigned)
          throw new Bad('A webhook came, and is not signed by its secret.')
        return `a webhook came within ${Math.round(ms / 1000) + 1} s, signed in both ways`
      },
    }
  }

  async award() {
    const { who, system, email } = this
    const image = `data:image/svg+xml,${encodeURIComponent('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>')}`
    const criteriaUrl = `https://${system}.example.org/`
    const texts = {
      name: 'Checked',
      earnerDescription: 'A test.',
      consumerDescription: 'A test.',
      criteriaUrl,
    }
    await call(who, 'POST', `/systems/${system}/badges`, {
      slug: 'checked',
      unique: 1,
      image,
      ...texts,
    })
    const made = await call(who, 'POST', `/systems/${system}/badges/checked/instances`, { email })
    this.instance = made.instance
    return `made: ${made.instance.assertionUrl}`
  }

  async verifier() {
    const { assertionUrl } = this.instance
    if (new URL(assertionUrl).origin !== new URL(this.who.url).origin) {
      throw new Bad(
        `Badges say ${new URL(assertionUrl).origin}, and you came to ${this.who.url}: which is PUBLIC_ORIGIN?`,
      )
    }
    const assertion = await document(assertionUrl)
    const identity = `sha256$${createHash('sha256').update(this.email).digest('hex')}`
    if (assertion.recipient?.identity !== identity)
      throw new Bad('The assertion is not its earner’s.')
    if (assertion.verify?.url !== assertionUrl)
      throw new Bad(`The assertion says that it is at ${assertion.verify?.url}.`)
    const badge = await document(assertion.badge)
    await document(badge.issuer)
    const { status, headers } = await look(badge.image)
    if (status !== 200)
      throw new Bad(challenge(status, headers) ?? `The badge's image answers ${status}.`)
    const { openBadges2, openBadges3 } = this.instance.urls
    await document(openBadges2)
    await document(openBadges3)
    for (const url of [assertionUrl, openBadges2, openBadges3]) await this.verified(url)
    return 'it can be read by programs, and verifies in 1.1, 2.0 and 3.0'
  }

  /** What the deployment's own verifier says. @param {string} url */
  async verified(url) {
    const { status, answer } = await ask(this.who, 'POST', '/public/verify', { url })
    if (status < 400 && answer.verified) return
    const failed = answer.steps?.find((/** @type {any} */ step) => step.result === 'failed')
    throw new Bad(`${url} does not verify: ${failed?.message ?? answer.message ?? status}`)
  }

  async revoke() {
    const { who, system, email } = this
    await call(
      who,
      'DELETE',
      `/systems/${system}/badges/checked/instances/${encodeURIComponent(email)}`,
    )
    const took = await until(
      70_000,
      async () => (await look(this.instance.assertionUrl)).status === 410,
    )
    if (!took)
      throw new Bad(
        'The award still verifies a minute after it was revoked: something in front of the Worker keeps it.',
      )
    return 'the award’s address says 410'
  }

  async cron() {
    const path = `/systems/${this.system}/audit`
    const took = await until(CRON_MS, async () => {
      const { audit } = await call(this.who, 'GET', path)
      return audit.some((/** @type {any} */ row) => row.seal !== null)
    })
    if (!took) throw new Bad('Nothing was sealed: the cron trigger does not run.')
    return 'the sweep has sealed the audit'
  }

  async cleanUp() {
    const { status, answer } = await ask(this.who, 'DELETE', `/systems/${this.system}`)
    if (status < 400) return `${this.system} is deleted`
    if (status === 404) return 'nothing to remove'
    throw new Bad(`${this.system} stays: ${status} ${answer.message}`)
  }
}

/** @param {string} hostname */
const isLoopback = (hostname) => ['127.0.0.1', 'localhost', '[::1]'].includes(hostname)

/**
 * @param {number} milliseconds
 * @param {() => Promise<boolean>} isTrue
 */
async function until(milliseconds, isTrue) {
  const end = Date.now() + milliseconds
  for (let pause = 100; ; pause = Math.min(2_000, pause * 1.5)) {
    if (await isTrue()) return true
    if (Date.now() > end) return false
    await sleep(pause)
  }
}

/**
 * A request as verifiers send it: no User-Agent, which `fetch` cannot leave out.
 * @param {string} url
 * @returns {Promise<{ status: number, headers: import('node:http').IncomingHttpHeaders, body: string }>}
 */
function look(url) {
  const send = url.startsWith('https:') ? secureRequest : plainRequest
  return new Promise((done, failed) => {
    const sent = send(
      url,
      { headers: { accept: 'application/json' }, timeout: 20_000 },
      (response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (piece) => {
          body += piece
        })
        response.on('end', () =>
          done({ status: response.statusCode ?? 0, headers: response.headers, body }),
        )
      },
    )
    sent.on('timeout', () => sent.destroy(new Error('no answer within 20 seconds')))
    // In the form in which `fetch` tells it.
    sent.on('error', (cause) => failed(Object.assign(new Error(cause.message), { cause })))
    sent.end()
  })
}

/**
 * What a zone's protection says to programs, in place of the Worker's answer.
 * @param {number} status
 * @param {import('node:http').IncomingHttpHeaders} headers
 */
function challenge(status, headers) {
  const isChallenge = headers['cf-mitigated'] === 'challenge'
  const isPage = [403, 429, 503].includes(status) && /html/.test(headers['content-type'] ?? '')
  if (!isChallenge && !isPage) return undefined
  return (
    `${status}, a page for people: the zone challenges programs, so no verifier can read a badge. ` +
    'Switch off Bot Fight Mode and Browser Integrity Check for this host, or skip them by a rule for /public/*.'
  )
}

/** @param {string} url */
async function document(url) {
  const { status, headers, body } = await look(url)
  const challenged = challenge(status, headers)
  if (challenged) throw new Bad(challenged)
  if (status !== 200 || !/json/.test(headers['content-type'] ?? '')) {
    throw new Bad(`${url} answers ${status} ${headers['content-type'] ?? ''} and no JSON document.`)
  }
  return parsed(body)
}

/** @param {string} body */
function parsed(body) {
  try {
    return JSON.parse(body)
  } catch {
    return {}
  }
}
