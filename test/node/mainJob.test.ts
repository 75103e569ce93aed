import { createHash, createHmac } from 'node:crypto'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { hasBrowser, startBrowser, VIEWS } from './browser'
import { serverAt, startReceiver, until } from './server'

/**
 * The main job, end to end, as a stranger would do it: the real server from `npm start`, a real receiver, a real browser.
 */
let server: Awaited<ReturnType<typeof serverAt>>
let made: Awaited<ReturnType<typeof server.call>>[]
beforeAll(async () => {
  server = await serverAt(inject('server'))
  made = [
    await server.call('POST', '/systems', container('riverton', 'Riverton')),
    await server.call('POST', '/systems/riverton/issuers', container('museum', 'Science Museum')),
    await server.call(
      'POST',
      '/systems/riverton/issuers/museum/programs',
      container('robot-lab', 'Robot Lab'),
    ),
    await server.call('POST', `${PROGRAM}/badges`, BADGE),
  ]
})

const PNG =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

const BADGE = {
  slug: 'robot-builder',
  name: 'Robot Builder',
  strapline: 'From a box of parts to a robot that finds its way.',
  earnerDescription: 'You built a robot.',
  consumerDescription: 'The holder built and programmed a robot.',
  criteriaUrl: 'https://museum.example.org/robot-builder',
  unique: 1,
  image: PNG,
  criteria: [{ description: 'Builds a robot that drives', required: 1 }],
  categories: ['Engineering'],
  tags: ['robots'],
  alignments: [{ name: 'Engineering Design', url: 'https://standards.example.org/ets1' }],
}

const container = (slug: string, name: string) => ({
  slug,
  name,
  url: `https://${slug}.example.org`,
})
const PROGRAM = '/systems/riverton/issuers/museum/programs/robot-lab'

describe('a fresh server', () => {
  it('says where it listens, how to sign and where the docs are, and warns of nothing', () => {
    const output = server.greeting
    expect(output).toContain(server.url)
    expect(output).toContain('npm run api -- GET /systems')
    expect(output).toContain('/docs')
    expect(output).not.toMatch(/warn|error|login|deprecat/i)
  })

  it('makes a system, an issuer, a program and a badge with its image', () => {
    expect(made.map(({ status }) => status)).toEqual([201, 201, 201, 201])
  })

  it('awards it, once, and publishes a chain that anyone can follow', async () => {
    const first = await server.call('POST', `${PROGRAM}/badges/robot-builder/instances`, {
      email: 'sam@example.org',
    })
    expect(first.status).toBe(201)
    const second = await server.call('POST', `${PROGRAM}/badges/robot-builder/instances`, {
      email: 'sam@example.org',
    })
    expect(second.status).toBe(409)
    const { assertionUrl } = first.body.instance
    expect(second.body.details.assertionUrl).toBe(assertionUrl)

    const assertion = await (await fetch(assertionUrl)).json()
    const digest = createHash('sha256').update('sam@example.org').digest('hex')
    expect(assertion.recipient.identity).toBe(`sha256$${digest}`)
    const badge = await (await fetch(assertion.badge)).json()
    expect(badge.name).toBe('Robot Builder')
    const image = await fetch(badge.image)
    expect(image.headers.get('content-type')).toBe('image/png')
    expect((await image.arrayBuffer()).byteLength).toBe(Buffer.from(PNG.slice(22), 'base64').length)
    const issuer = await (await fetch(badge.issuer)).json()
    expect(issuer.name).toBe('Robot Lab')
  })

  it('tells a receiver, signed in both ways, of an award and of its end, after which all is 410', async () => {
    const receiver = await startReceiver()
    const hook = await server.call('POST', '/systems/riverton/webhooks', { url: receiver.url })
    expect(hook.status).toBe(201)
    const { secret } = hook.body.webhook
    const path = `${PROGRAM}/badges/robot-builder/instances`
    const award = await server.call('POST', path, { email: 'ada@example.org' })
    await until(() => receiver.received.length === 1, 15_000, server.output)
    const [{ headers, body }] = receiver.received as [(typeof receiver.received)[0]]
    expect(JSON.parse(body)).toMatchObject({ action: 'award', email: 'ada@example.org' })
    const token = /^JWT token="(.+)"$/.exec(headers.authorization ?? '')?.[1] ?? ''
    const [head, payload, signature] = token.split('.')
    const legacy = createHmac('sha256', secret).update(`${head}.${payload}`).digest('base64url')
    expect(signature).toBe(legacy)
    expect(JSON.parse(Buffer.from(payload ?? '', 'base64url').toString())).toEqual({
      body: { alg: 'sha256', hash: createHash('sha256').update(body).digest('hex') },
    })
    const key = Buffer.from(secret.slice('whsec_'.length), 'base64')
    const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`
    const standard = createHmac('sha256', key).update(signed).digest('base64')
    expect(headers['webhook-signature']).toBe(`v1,${standard}`)

    expect((await server.call('DELETE', `${path}/ada@example.org`)).status).toBe(200)
    await until(() => receiver.received.length === 2, 15_000, server.output)
    expect(JSON.parse(receiver.received[1]?.body ?? '')).toMatchObject({ action: 'revoke' })
    const { assertionUrl } = award.body.instance
    for (const accept of ['application/json', 'text/html']) {
      expect((await fetch(assertionUrl, { headers: { accept } })).status).toBe(410)
    }
    await receiver.stop()

    // The receiver is down; what happens now waits for it.
    await server.call('POST', path, { email: 'late@example.org' })
    await new Promise((done) => setTimeout(done, 3_000))
    const again = await startReceiver(receiver.port)
    await until(() => again.received.length === 1, 60_000, server.output)
    expect(JSON.parse(again.received[0]?.body ?? '')).toMatchObject({ email: 'late@example.org' })
    await again.stop()
  })
})

describe.runIf(hasBrowser)('the page of an award, in a browser', () => {
  let browser: Browser
  beforeAll(async () => {
    browser = await startBrowser()
  })
  afterAll(() => browser?.close())

  const award = async (email: string, more: object = {}) => {
    const path = `${PROGRAM}/badges/robot-builder/instances`
    const made = await server.call('POST', path, { email, ...more })
    return made.body.instance.assertionUrl as string
  }

  for (const [width, colorScheme] of VIEWS) {
    it(`shows the badge to anyone, without JavaScript, ${width} pixels wide and ${colorScheme}`, async () => {
      const url = await award(`${width}-${colorScheme}@example.org`)
      const context = await browser.newContext({
        javaScriptEnabled: false,
        viewport: { width, height: 800 },
        colorScheme,
      })
      const page = await context.newPage()
      const problems: string[] = []
      page.on('console', (message) => problems.push(message.text()))
      page.on('requestfailed', (request) => problems.push(request.url()))
      const response = await page.goto(url)
      expect(response?.status()).toBe(200)
      const text = await page.innerText('body')
      for (const words of ['Robot Builder', 'Robot Lab', 'Builds a robot that drives', 'Valid']) {
        expect(text.toLowerCase()).toContain(words.toLowerCase())
      }
      expect(text).not.toContain('@')
      expect(await page.getAttribute('meta[property="og:title"]', 'content')).toContain('Robot')
      const overflow = await page.locator('html').boundingBox()
      expect(overflow?.width ?? 0).toBeLessThanOrEqual(width)
      const image = await page.locator('img').first().boundingBox()
      expect(image?.width ?? 0).toBeGreaterThan(100)
      expect(problems).toEqual([])
      await context.close()
    })
  }

  it('says of an expired and of a revoked one what it is', async () => {
    const page = await browser.newPage()
    await page.goto(
      await award('old@example.org', { issuedOn: 1_400_000_000, expires: 1_500_000_000 }),
    )
    expect((await page.innerText('body')).toLowerCase()).toContain('expired')
    const url = await award('wrong@example.org')
    await server.call('DELETE', `${PROGRAM}/badges/robot-builder/instances/wrong@example.org`)
    expect((await page.goto(url))?.status()).toBe(410)
    expect((await page.innerText('body')).toLowerCase()).toContain('revoked')
    await page.close()
  })
})
