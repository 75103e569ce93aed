import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { BadgeKit } from 'badgekit-api/client'
import { SignJWT } from 'jose'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import type { Browser } from 'playwright-core'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { hasBrowser, startBrowser } from './browser'
import { freePort, serverAt, until } from './server'

/** Every program of `examples/` at its work, as its first lines say that it is run, on the real server. */

let server: Awaited<ReturnType<typeof serverAt>>
let kit: BadgeKit
const running: ChildProcess[] = []
beforeAll(async () => {
  server = await serverAt(inject('server'))
  kit = new BadgeKit(server)
})
afterAll(() => {
  for (const child of running) child.kill()
})

/** Starts an example; `text()` is what it has written. */
function start(
  name: string,
  env: Record<string, string> = {},
  { args = [] as string[], command = process.execPath } = {},
) {
  const given = { BADGEKIT_URL: server.url, BADGEKIT_SECRET: server.secret, ...env }
  const child = spawn(command, [resolve('examples', name), ...args], {
    env: { ...process.env, ...given },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  running.push(child)
  let text = ''
  child.stdout?.setEncoding('utf8').on('data', (chunk) => {
    text += chunk
  })
  return { child, text: () => text, ended: new Promise((done) => child.once('close', done)) }
}

/** An example that ends: what it has written. */
async function outputOf(name: string, args: string[]) {
  const { ended, text } = start(name, {}, { args })
  await ended
  return text()
}

/** An example that listens, once it does. */
async function listening(name: string, env: Record<string, string>, command?: string) {
  const port = await freePort()
  const program = start(name, { ...env, PORT: String(port) }, { command })
  await until(() => program.text().includes('listening'), 30_000, program.text)
  return { ...program, url: `http://127.0.0.1:${port}/` }
}

const BADGE = {
  earnerDescription: 'You were there.',
  consumerDescription: 'The holder was there.',
  criteriaUrl: 'https://examples.example.org/there',
  unique: 1,
  image: 'https://examples.example.org/there.png',
} as const

/** A system with badges, and a key of it that may do no more than award. */
async function seeded(slug: string, ...badges: string[]) {
  await kit.systems.post({ slug, name: slug, url: 'https://examples.example.org' })
  const system = kit.systems(slug)
  for (const badge of badges) await system.badges.post({ ...BADGE, slug: badge, name: badge })
  const { key } = await system.keys.post({ role: 'issue' })
  const env = { BADGEKIT_KEY: key.key, BADGEKIT_SECRET: key.secret ?? '', SYSTEM: slug }
  return { system, env }
}

it('award, are told of it, apply and review', async () => {
  expect(await outputOf('award.mjs', ['ada@example.org'])).toMatch(/^awarded http:/)
  expect(await outputOf('award.mjs', ['ada@example.org'])).toMatch(/^held already http:/)

  const receiver = await listening('receive-webhook.ts', {})
  expect(await outputOf('apply-and-review.mjs', ['bo@example.org'])).toMatch(
    /^applied [0-9a-f]{32}\nawarded http:\S+\n$/,
  )
  const told = ['review first-steps bo@example.org evt_', 'award first-steps bo@example.org evt_']
  await until(() => told.every((one) => receiver.text().includes(one)), 30_000, receiver.text)
  // Whoever holds it is not awarded it again, and the application stays open.
  expect(await outputOf('apply-and-review.mjs', ['bo@example.org'])).toMatch(/\nnot awarded: .+\n$/)
})

describe.runIf(hasBrowser)('in a browser', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await startBrowser()
  })
  afterAll(() => browser?.close())

  it('a form on a static site awards a badge to whoever knows the word, and to nobody else', async () => {
    const { env, system } = await seeded('examples-form', 'open-day', 'another')
    const html = readFileSync(resolve('examples/form/page.html'), 'utf8')
    let relay = ''
    const site = createServer((_request, response) => {
      response.setHeader('Content-Type', 'text/html; charset=utf-8')
      response.end(html.replace('http://127.0.0.1:8791/', relay))
    })
    await new Promise<void>((done) => site.listen(0, '127.0.0.1', done))
    const origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`
    try {
      relay = (await listening('form/relay.mjs', { ...env, SITE: origin, WORD: 'Lighthouse' })).url
      const page = await browser.newPage()
      await page.goto(origin)
      const send = async (email: string, word: string) => {
        await page.getByLabel('email').fill(email)
        await page.getByLabel('word').fill(word)
        await page.getByRole('status').evaluate((node) => {
          node.textContent = ''
        })
        await page.getByRole('button').click()
        await page.getByRole('status').filter({ hasText: /./ }).waitFor()
        return page.getByRole('status').textContent()
      }
      expect(await send('ada@example.org', 'harbour')).toBe('That is not the word.')
      expect(await send('ada@example.org', 'lighthouse ')).toBe(
        'Thank you. The badge is yours. See it',
      )
      await page.getByRole('link').click()
      await page.waitForURL(`${server.url}/public/assertions/*`)
      expect(await page.getByRole('heading', { level: 1 }).textContent()).toContain('open-day')
      await page.goto(origin)
      expect(await send('ada@example.org', 'lighthouse')).toBe('Thank you. The badge is yours.')

      const good = { origin, 'content-type': 'application/json' }
      const post = async (headers: Record<string, string>, fields: object) =>
        (await fetch(relay, { method: 'POST', headers, body: JSON.stringify(fields) })).status
      const asked = { badge: 'open-day', email: 'bo@example.org', word: 'lighthouse' }
      expect(await post({ ...good, origin: 'https://elsewhere.example.org' }, asked)).toBe(403)
      expect(await post({ 'content-type': 'application/json' }, asked)).toBe(403)
      expect(await post({ ...good, 'content-type': 'text/plain' }, asked)).toBe(415)
      for (const badge of ['another', 'open-day/../another', '__proto__', undefined]) {
        expect(await post(good, { ...asked, badge })).toBe(403)
      }
      expect(await post(good, { ...asked, email: 'nobody' })).toBe(400)
      expect(await post(good, { ...asked, word: 'x'.repeat(3_000) })).toBe(403)
      const more = []
      for (let tries = 0; tries < 5; tries++) more.push(await post(good, { ...asked, word: '' }))
      expect(more.at(-1)).toBe(429)

      const { instances } = await system.instances.get()
      expect(instances.map(({ email }) => email)).toEqual(['ada@example.org'])
      await page.close()
    } finally {
      site.close()
      site.closeAllConnections()
    }
  })

  it('a claim page takes a code, and leads to the page of the award', async () => {
    const { env, system } = await seeded('examples-claim', 'there', 'rare')
    const codes = system.badges('there').codes
    for (const code of ['first', 'second']) await codes.post({ code })
    await system.badges('rare').codes.post({ code: 'rare', multiuse: true })
    await system.badges('rare').put({ limit: 1 })
    await system.badges('rare').instances.post({ email: 'eve@example.org' })
    const { url } = await listening('claim/server.mjs', env)

    const page = await browser.newPage()
    await page.goto(`${url}?code=first`)
    await page.getByLabel('email').fill('ada@example.org')
    await page.getByRole('button').click()
    await page.waitForURL(`${server.url}/public/assertions/*`)
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toContain('there')
    const award = page.url()

    const claim = async (code: string, email: string) => {
      await page.goto(url)
      await page.getByLabel('code').fill(code)
      await page.getByLabel('email').fill(email)
      // What a browser's own check lets through differs from ours.
      await page.locator('form').evaluate((form: HTMLFormElement) => {
        form.noValidate = true
      })
      await page.getByRole('button').click()
      return page.getByRole('alert').textContent()
    }
    expect(await claim('nothing', 'bo@example.org')).toMatch('We do not know this code.')
    expect(await claim('../badges', 'bo@example.org')).toMatch('We do not know this code.')
    expect(await claim('..', 'bo@example.org')).toMatch('Type the code')
    expect(await claim('first', 'bo@example.org')).toMatch('This code has been used.')
    expect(await claim('second', 'nobody')).toMatch('This is no email address.')
    expect(await claim('rare', 'bo@example.org')).toMatch('All of these badges are given.')
    expect(await claim('<b>"&amp;', '"><b>')).toMatch('We do not know this code.')
    expect(await page.getByLabel('code').inputValue()).toBe('<b>"&amp;')
    expect(await page.locator('b').count()).toBe(0)
    expect(await claim('second', 'ada@example.org')).toMatch('This address has the badge already.')
    expect(await page.getByRole('link').getAttribute('href')).toBe(award)
    await page.close()

    const body = new URLSearchParams({ code: 'second', email: 'bo@example.org' })
    const headers = { origin: 'https://elsewhere.example.org' }
    expect((await fetch(url, { method: 'POST', headers, body })).status).toBe(403)
    // None of this has used it up.
    expect((await codes('second').get()).claimCode.claimed).toBe(false)
  })
})

describe('receivers of webhooks', () => {
  const secret = `whsec_${Buffer.alloc(32, 'k').toString('base64')}`
  const inbox = mkdtempSync(join(tmpdir(), 'badgekit-inbox-'))
  const env = { WEBHOOK_SECRET: secret, INBOX: inbox }
  const hasPython = spawnSync('python3', ['--version']).status === 0
  let worker: Miniflare | undefined
  let system: Awaited<ReturnType<typeof seeded>>['system']
  beforeAll(async () => {
    system = (await seeded('examples-hooks', 'there')).system
  })
  afterAll(async () => {
    await worker?.dispose()
    rmSync(inbox, { recursive: true, force: true })
  })

  /** Awards a badge twice, and takes one of them back. */
  async function awardAndRevoke(email: string) {
    const { instances } = system.badges('there')
    await instances.post({ email: `kept-${email}` })
    await instances.post({ email })
    await instances(email).delete()
  }

  /** Sends what the service could send; `changed` is what a stranger would. */
  async function send(
    url: string,
    message: object,
    { id = '', at = Date.now(), changed = '', by = secret } = {},
  ) {
    const body = JSON.stringify(message)
    const hash = createHash('sha256').update(body).digest('hex')
    const token = await new SignJWT({ body: { alg: 'sha256', hash } })
      .setProtectedHeader({ typ: 'JWT', alg: 'HS256' })
      .sign(new TextEncoder().encode(by))
    const headers = {
      'content-type': 'application/json',
      authorization: `JWT token="${token}"`,
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(at / 1000)),
      'webhook-signature': new Webhook(by).sign(id, new Date(at), body),
    }
    return (await fetch(url, { method: 'POST', headers, body: body + changed })).status
  }

  async function refusesStrangers(url: string, message: object) {
    const other = `whsec_${Buffer.alloc(32, 'o').toString('base64')}`
    expect(await send(url, message, { id: 'evt_1', changed: ' ' })).toBe(400)
    expect(await send(url, message, { id: 'evt_1', by: other })).toBe(400)
    expect(await send(url, message, { id: 'evt_1', at: Date.now() - 301_000 })).toBe(400)
    expect((await fetch(url, { method: 'POST', body: JSON.stringify(message) })).status).toBe(400)
  }

  const message = (action: string, uid: string, email: string) => ({
    action,
    uid,
    email,
    badge: { slug: 'there' },
  })

  it('with Express: each message once, in any order, and none lost with a crash', async () => {
    const first = await listening('receive-webhook-express.mjs', env)
    const { webhook } = await system.webhooks.post({ url: first.url, secret })
    await awardAndRevoke('express@example.org')
    await until(() => first.text().includes('revoke kept-express@example.org there\n'), 30_000)
    await system.webhooks(webhook.id).delete()

    await refusesStrangers(first.url, message('award', 'u1', 'forged@example.org'))
    expect(await send(first.url, message('revoke', 'u2', 'late@example.org'), { id: 'r2' })).toBe(
      204,
    )
    const late = message('award', 'u2', 'late@example.org')
    for (let times = 0; times < 2; times++) {
      expect(await send(first.url, late, { id: 'a2' })).toBe(204)
    }
    expect(first.text().match(/late@/)).toBeNull()
    expect(readdirSync(inbox)).toHaveLength(5)

    first.child.kill('SIGKILL')
    const second = await listening('receive-webhook-express.mjs', env)
    expect(second.text()).toMatch(/^\w+ kept-express@example\.org there\nlistening/m)
  })

  it('with Hono, in a Worker: the newest event counts, and what is done once is done once', async () => {
    const require = createRequire(createRequire(import.meta.url).resolve('wrangler'))
    const { outputFiles } = await require('esbuild').build({
      entryPoints: [resolve('examples/receive-webhook-hono.mjs')],
      bundle: true,
      format: 'esm',
      write: false,
    })
    let logged = ''
    worker = new Miniflare(
      convertV4MiniflareOptions({
        modules: true,
        script: outputFiles[0].text,
        compatibilityDate: '2026-01-01',
        d1Databases: ['DB'],
        bindings: { WEBHOOK_SECRET: secret },
        host: '127.0.0.1',
        cf: false,
        handleStructuredLogs: ({ message }: { message: string }) => {
          logged += `${message}\n`
        },
      }),
    )
    const url = String(await worker.ready)
    const db = await worker.getD1Database('DB')
    const schema = readFileSync(resolve('examples/receive-webhook-hono.sql'), 'utf8')
    await db.exec(schema.replace(/^--.*$/gm, '').replaceAll('\n', ' '))
    const shown = async () => JSON.stringify(await (await fetch(url)).json())

    const { webhook } = await system.webhooks.post({ url, secret, format: 'events-1' })
    await awardAndRevoke('hono@example.org')
    const kept = '[{"badge":"there","email":"kept-hono@example.org"}]'
    const isDone = async () =>
      (await shown()) === kept && (await db.prepare('select 1 from seen').all()).results.length >= 3
    await expect.poll(isDone, { timeout: 30_000, interval: 100 }).toBe(true)
    await system.webhooks(webhook.id).delete()

    const event = (type: string, sequence: number, email: string) => ({
      id: `evt_${sequence}`,
      type,
      timestamp: new Date().toISOString(),
      sequence,
      data: { instance: { slug: 'u3', email }, badge: { slug: 'there' } },
    })
    await refusesStrangers(url, event('badge.awarded', 1, 'forged@example.org'))
    const before = logged.split('thanked').length
    const [award, revocation] = ['badge.awarded', 'badge.revoked'].map((type, n) =>
      event(type, 1_000 + n, 'late@example.org'),
    ) as [object, object]
    expect(await send(url, revocation, { id: 'evt_1001' })).toBe(204)
    for (let times = 0; times < 2; times++) {
      expect(await send(url, award, { id: 'evt_1000' })).toBe(204)
    }
    expect(await shown()).toBe(kept)
    await until(() => logged.split('thanked').length > before, 10_000)
    expect(logged.split('thanked').length).toBe(before + 1)
  })

  it.runIf(hasPython)('with Python: both signatures, each message once', async () => {
    const receiver = await listening('receive_webhook.py', env, 'python3')
    const { webhook } = await system.webhooks.post({ url: receiver.url, secret })
    await awardAndRevoke('python@example.org')
    await until(() => receiver.text().includes('revoke there python@'), 30_000, receiver.text)
    await system.webhooks(webhook.id).delete()
    await refusesStrangers(receiver.url, message('award', 'u1', 'forged@example.org'))
    const sent = message('award', 'u4', 'twice@example.org')
    for (let times = 0; times < 2; times++) {
      expect(await send(receiver.url, sent, { id: 'a4' })).toBe(204)
    }
    await until(() => receiver.text().includes('twice@'), 10_000)
    expect(receiver.text().match(/twice@/g)).toHaveLength(1)
    expect(receiver.text()).not.toContain('forged@')
  })
})
