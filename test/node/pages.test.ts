import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { unbake } from '../../src/bake'
import { hasBrowser, startBrowser, VIEWS, violations } from './browser'
import { serverAt } from './server'

/**
 * The pages of an award, a badge and an issuer in a real browser, on the real server: the checks are carried out, and what a
 * machine can see of accessibility is looked at. With `SCREENSHOTS` set to a folder, it is shown too.
 */

const SVG = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100"><circle cx="50" cy="50" r="48" fill="#0a5a78"/>
<circle cx="50" cy="50" r="40" fill="#f2c14e"/><path fill="#0a5a78" d="m50 20 9 19 21 3-15 15 4 21-19-10-19 10 4-21-15-15 21-3z"/></svg>`
const GIF = 'data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7'
const PROGRAM = '/systems/harbour/issuers/museum/programs/robot-lab'

const container = (slug: string, name: string) => ({
  slug,
  name,
  url: `https://${slug}.example.org`,
  description: 'Rooms, books and tools for everybody who wants to learn something.',
  email: `${slug}@example.org`,
})
const badge = (slug: string, name: string, more: object = {}) => ({
  slug,
  name,
  strapline: 'From a box of parts to a robot that finds its way.',
  earnerDescription: 'You built a robot.',
  consumerDescription: 'The holder planned, built and programmed a robot, and showed it to others.',
  criteriaUrl: 'https://museum.example.org/robot-builder',
  unique: 1,
  image: `data:image/svg+xml;base64,${Buffer.from(SVG).toString('base64')}`,
  criteria: [
    { description: 'Builds a robot that drives', required: 1 },
    { description: 'Keeps a journal', required: 0 },
  ],
  tags: ['robots', 'Tüftler'],
  alignments: [{ name: 'Engineering Design', url: 'https://standards.example.org/ets1' }],
  ...more,
})

let server: Awaited<ReturnType<typeof serverAt>>
let browser: Browser
/** Addresses of the pages, by what they show. */
const urls: Record<string, string> = {}

async function made(path: string, body: object) {
  const { status, body: answer } = await server.call('POST', path, body)
  expect(status, JSON.stringify(answer)).toBe(201)
  return answer
}
const awarded = async (slug: string, more: object) =>
  (await made(`${PROGRAM}/badges/${slug}/instances`, more)).instance.assertionUrl as string

describe.runIf(hasBrowser)('the pages', () => {
  beforeAll(async () => {
    ;[server, browser] = await Promise.all([serverAt(inject('server')), startBrowser()])
    await made('/systems', container('harbour', 'Harbour'))
    await made('/systems/harbour/issuers', container('museum', 'Science Museum'))
    await made('/systems/harbour/issuers/museum/programs', container('robot-lab', 'Robot Lab'))
    await made(`${PROGRAM}/badges`, badge('robot-builder', 'Robot Builder'))
    await made(`${PROGRAM}/badges`, badge('gif', 'Moving Picture', { image: GIF }))
    const archived = badge('retired', 'Retired Badge')
    await made(`${PROGRAM}/badges`, archived)
    await server.call('PUT', `${PROGRAM}/badges/retired`, { archived: 1 })
    const evidence = [{ url: 'https://video.example.org/run', description: 'The final run.' }]
    urls.valid = await awarded('robot-builder', { email: 'Ada@example.org', evidence })
    const past = { issuedOn: 1_400_000_000, expires: 1_500_000_000 }
    urls.expired = await awarded('robot-builder', { email: 'old@example.org', ...past })
    urls.gif = await awarded('gif', { email: 'ada@example.org' })
    urls.revoked = await awarded('robot-builder', { email: 'wrong@example.org' })
    await server.call(
      'DELETE',
      `${PROGRAM}/badges/robot-builder/instances/wrong@example.org?reason=Awarded%20by%20mistake.`,
    )
    urls.badge = `${server.url}/public${PROGRAM}/badges/robot-builder`
    urls.issuer = `${server.url}/public${PROGRAM}`
  })
  afterAll(() => browser?.close())

  async function open(name: string, width = 1280, colorScheme: 'light' | 'dark' = 'light') {
    const context = await browser.newContext({ viewport: { width, height: 800 }, colorScheme })
    const page = await context.newPage()
    const problems: string[] = []
    page.on('pageerror', (error) => problems.push(error.message))
    page.on('console', (message) => problems.push(message.text()))
    const response = await page.goto(urls[name] ?? '')
    return { page, problems, status: response?.status(), close: () => context.close() }
  }

  async function check(page: Page) {
    await page.click('text=Check this badge')
    await page.waitForFunction(() =>
      /passed|could not/.test(document.querySelector('#checked')?.textContent ?? ''),
    )
    const results = await page
      .locator('.checks li')
      .evaluateAll((items) => items.map((item) => [item.id.slice('check-'.length), item.className]))
    return { said: await page.innerText('#checked'), results: Object.fromEntries(results) }
  }

  const shot = async (page: Page, name: string) => {
    const folder = process.env.SCREENSHOTS
    if (folder) await page.screenshot({ path: join(folder, `${name}.png`), fullPage: true })
  }

  describe.each(VIEWS)('%i pixels wide and %s', (width, colorScheme) => {
    it.each(['valid', 'expired', 'gif', 'revoked', 'badge', 'issuer'])(
      'are fit for everybody: %s',
      async (name) => {
        const { page, problems, status, close } = await open(name, width, colorScheme)
        expect(status).toBe(name === 'revoked' ? 410 : 200)
        const hasChecks = ['valid', 'expired', 'gif'].includes(name)
        if (hasChecks) await check(page)
        await shot(page, `${name}-${width}-${colorScheme}`)
        expect(await violations(page)).toEqual([])
        const sizes = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth])
        expect(sizes[0]).toBeLessThanOrEqual(sizes[1] ?? 0)
        // The browser says of a 410 that it is one.
        expect(problems.filter((text) => !text.includes('410'))).toEqual([])
        await close()
      },
    )
  })

  it('check an award step by step, and each step says what it found', async () => {
    const valid = await open('valid')
    const answer = await check(valid.page)
    expect(answer.said).toBe('5 of 5 checks passed.')
    const all = { document: 'passed', proof: 'passed', issuer: 'passed', status: 'passed' }
    expect(answer.results).toEqual({ ...all, validity: 'passed' })
    expect(await valid.page.innerText('#check-proof')).toContain('The signature fits.')
    await valid.close()

    const expired = await open('expired')
    const late = await check(expired.page)
    expect(late.said).toBe('4 of 5 checks passed.')
    expect(late.results).toEqual({ ...all, validity: 'failed' })
    await expired.close()
  })

  it('see that an award was revoked while its page was open', async () => {
    const email = 'soon@example.org'
    urls.soon = await awarded('robot-builder', { email })
    const { page, close } = await open('soon')
    await server.call('DELETE', `${PROGRAM}/badges/robot-builder/instances/${email}`)
    const { results } = await check(page)
    expect(results).toMatchObject({ status: 'failed' })
    await close()
  })

  it('say that a check could not be carried out, when it could not', async () => {
    const { page, close } = await open('valid')
    await page.route('**/public/verify', (route) => route.abort())
    expect((await check(page)).said).toContain('could not be carried out')
    await close()
  })

  it('say whose an award is, and send the address to nobody', async () => {
    const { page, close } = await open('valid')
    const sent: string[] = []
    page.on('request', (request) => sent.push(request.url() + (request.postData() ?? '')))
    const said = async (email: string, words: string) => {
      await page.fill('#email', email)
      await page.getByRole('button', { name: 'Compare' }).click()
      await page.waitForFunction(
        (expected) => document.querySelector('#belonging')?.textContent === expected,
        words,
      )
    }
    await said('ada@example.org', 'This badge belongs to that email address.')
    await said('bob@example.org', 'This badge does not belong to that email address.')
    await said('ADA@Example.org', 'This badge belongs to that email address.')
    expect(sent.length).toBeGreaterThan(0)
    expect(sent.join()).not.toMatch(/ada|bob/i)
    await close()
  })

  it('give the image with the credential in it, and the credential', async () => {
    const { page, close } = await open('valid')
    const saved = async (text: string) => {
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.click(`text=${text}`),
      ])
      return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) }
    }
    const image = await saved('Download badge image')
    const baked = JSON.parse(unbake(new Uint8Array(image.bytes))?.text ?? '{}')
    expect(baked).toMatchObject({
      type: 'Assertion',
      badge: expect.stringContaining('/v2/badges/'),
    })
    expect(image.name).toBe('Robot-Builder.svg')
    const credential = await saved('Download credential')
    expect(credential.name).toBe('Robot-Builder.json')
    const { type, proof } = JSON.parse(credential.bytes.toString())
    expect(type).toContain('OpenBadgeCredential')
    expect(proof[0].cryptosuite).toBe('eddsa-rdfc-2022')
    await close()
    const moving = await open('gif')
    const text = await moving.page.innerText('body')
    expect(text).toContain('cannot carry a credential')
    expect(text).not.toContain('Download badge image')
    await moving.close()
  })

  it('copy the link', async () => {
    const { page, close } = await open('valid')
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
    await page.click('text=Copy link')
    await page.waitForFunction(() => document.querySelector('#copied')?.textContent !== '')
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(urls.valid)
    await close()
  })

  it('show of an issuer what can be earned, and nothing that is archived', async () => {
    const { page, close } = await open('issuer')
    const text = await page.innerText('.cards')
    expect(text).toContain('Robot Builder')
    expect(text).toContain('Moving Picture')
    expect(text).not.toContain('Retired')
    await page.click('text=Robot Builder')
    expect(await page.innerText('h1')).toBe('Robot Builder')
    await close()
  })
})
