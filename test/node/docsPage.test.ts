import { spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, BrowserContext, Page, Request } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { hasBrowser, startBrowser, VIEWS, violations } from './browser'
import { serverAt } from './server'

/**
 * The documentation in a real browser, on the real server: requests are tried from it, and the programs that it shows are run. With
 * `SCREENSHOTS` set to a folder, it is shown too.
 */

const system = (slug: string, more: object = {}) => ({
  slug,
  name: slug,
  url: `https://${slug}.example.org`,
  ...more,
})

type Language = { button: string; slug: string; file: string; command: string }
const LANGUAGES: Language[] = [
  { button: 'curl', slug: 'by-curl', file: 'request.sh', command: 'bash' },
  { button: 'JavaScript', slug: 'by-javascript', file: 'request.mjs', command: process.execPath },
  { button: 'Python', slug: 'by-python', file: 'request.py', command: 'python3' },
  { button: 'PHP', slug: 'by-php', file: 'request.php', command: 'php' },
]
/** All that a string of some language could take for something else. */
const NAME = `It's "a" \\ $HOME \`pwd\` \${name} ''' {body} ü 🎓`

let server: Awaited<ReturnType<typeof serverAt>>
let browser: Browser
const folder = mkdtempSync(join(tmpdir(), 'badgekit-docs-page-'))

async function open(options: Parameters<Browser['newContext']>[0] = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })
  const page = await context.newPage()
  const problems: string[] = []
  const requests: Request[] = []
  page.on('pageerror', (error) => problems.push(error.message))
  page.on('console', (message) => problems.push(message.text()))
  await page.goto(`${server.url}/docs`)
  page.on('request', (request) => requests.push(request))
  return { context, page, problems, requests }
}

/** Opens an endpoint; gives its form and what stands around it. */
async function opened(page: Page, method: string, path: string) {
  const details = page.locator(`details[data-method="${method}"][data-path="${path}"]`)
  await details.locator('summary').click()
  return details.locator('.trial')
}
type Trial = Awaited<ReturnType<typeof opened>>

const fill = async (trial: Trial, values: Record<string, string>) => {
  for (const [name, value] of Object.entries(values)) {
    await trial.locator(`[name="${name}"]`).fill(value)
  }
}
const send = (trial: Trial) => trial.getByRole('button', { name: 'Send' }).click()

async function giveKey(page: Page, secret: string, more: { keep?: boolean } = {}) {
  await page.fill('#key [name=secret]', secret)
  if (more.keep) await page.check('#key [name=keep]')
  await page.getByRole('button', { name: 'Use this key' }).click()
}

/** What the page says of the answer once it is there. */
async function answered(trial: Trial) {
  const said = trial.getByText(/^\d{3} .* in \d+ ms$/)
  await said.waitFor()
  const text = (await trial.locator('.answer').textContent()) ?? ''
  const body = text.slice(text.indexOf('\n\n') + 2)
  return { said: await said.innerText(), body: JSON.parse(body) }
}

const keptIn = (context: BrowserContext, page: Page) =>
  Promise.all([
    context.cookies(),
    page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }])),
  ]).then(([cookies, stored]) => ({ cookies, stored }))

describe.runIf(hasBrowser)('the documentation', () => {
  beforeAll(async () => {
    ;[server, browser] = await Promise.all([serverAt(inject('server')), startBrowser()])
    await server.call('POST', '/systems', system('tried'))
  })
  afterAll(async () => {
    await browser?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  it('creates a system by keyboard alone, and its secret stays in the tab', async () => {
    const { context, page, problems, requests } = await open()
    const focused = () =>
      page.evaluate(() => {
        const one = document.activeElement as HTMLInputElement
        const isSeen = getComputedStyle(one).outlineStyle === 'solid'
        return [one.name || one.textContent || one.tagName, isSeen]
      })
    await page.focus('details[data-method=POST][data-path="/systems"] summary')
    await page.keyboard.press('Enter')
    await page.locator('.trial').waitFor()
    await page.keyboard.press('Tab')
    await page.keyboard.press('ControlOrMeta+a')
    await page.keyboard.insertText(JSON.stringify(system('typed', { name: 'It’s “typed”' })))
    await page.keyboard.press('Tab')
    expect(await focused()).toEqual(['Send', true])
    await page.keyboard.press('Enter')
    expect(await focused()).toEqual(['key', true])
    await page.keyboard.press('Tab')
    expect(await focused()).toEqual(['secret', true])
    await page.keyboard.insertText(server.secret)
    await page.keyboard.press('Enter')
    const { said, body } = await answered(page.locator('.trial'))
    expect(said).toMatch(/^201 Created in/)
    expect(body.system).toMatchObject({ slug: 'typed', name: 'It’s “typed”' })
    expect((await server.call('GET', '/systems/typed')).body.system).toEqual(body.system)

    const all = await Promise.all(
      requests.map(
        async (one) => one.url() + one.postData() + JSON.stringify(await one.allHeaders()),
      ),
    )
    expect(all).toHaveLength(1)
    expect(all.join()).not.toContain(server.secret)
    expect(await page.content()).not.toContain(server.secret)
    expect(page.url()).toBe(`${server.url}/docs`)
    expect(await keptIn(context, page)).toEqual({ cookies: [], stored: '[{},{}]' })
    expect(problems).toEqual([])
    await context.close()
  })

  it('keeps the key for the tab when that is ticked, until it is told to forget it', async () => {
    const { context, page } = await open()
    await page.getByRole('button', { name: 'Change' }).first().click()
    await giveKey(page, server.secret, { keep: true })
    expect((await keptIn(context, page)).stored).toContain(server.secret)
    await page.reload()
    const trial = await opened(page, 'GET', '/systems/{system}')
    await fill(trial, { system: 'tried' })
    await send(trial)
    expect((await answered(trial)).body.system.slug).toBe('tried')
    await page.getByRole('button', { name: 'Change' }).first().click()
    await page.getByRole('button', { name: 'Forget it' }).click()
    expect((await keptIn(context, page)).stored).toBe('[{},{}]')
    await send(trial)
    await page.locator('#key[open]').waitFor()
    await context.close()
  })

  it('shows the refusal of a wrong secret as it is', async () => {
    const { context, page } = await open()
    const trial = await opened(page, 'GET', '{C}/badges')
    await fill(trial, { system: 'tried' })
    await send(trial)
    await giveKey(page, 'not the secret')
    const { said, body } = await answered(trial)
    expect(said).toMatch(/^403 Forbidden in/)
    expect(body).toEqual({ code: 'NotAuthorized', message: expect.any(String) })
    await context.close()
  })

  it('asks before it deletes, and says of what was not sent that it was not', async () => {
    await server.call('POST', '/systems', system('doomed'))
    const { context, page, requests } = await open()
    await page.getByRole('button', { name: 'Change' }).first().click()
    await giveKey(page, server.secret)
    const trial = await opened(page, 'DELETE', '/systems/{system}')
    // A browser says itself that a field is missing.
    await send(trial)
    await fill(trial, { system: 'doomed' })
    await send(trial)
    expect(await page.innerText('#sure-what')).toBe('DELETE /systems/doomed')
    await page.keyboard.press('Escape')
    await trial.getByText('Nothing was sent.').waitFor()
    expect(requests).toEqual([])
    await send(trial)
    await page.locator('#sure').getByRole('button', { name: 'Send' }).click()
    expect((await answered(trial)).body.status).toBe('deleted')
    expect((await server.call('GET', '/systems/doomed')).status).toBe(404)

    const broken = await opened(page, 'POST', '/systems')
    await broken.locator('textarea').fill('{"slug":')
    await send(broken)
    await broken.getByText('the body is not JSON').waitFor()
    expect(requests).toHaveLength(1)
    await context.close()
  })

  it('asks what anyone may ask without a key, and explains why no answer came', async () => {
    const { context, page, requests } = await open()
    const trial = await opened(page, 'GET', '/public/badges')
    await fill(trial, { page: '1', count: '2' })
    await send(trial)
    expect((await answered(trial)).body.pageData.count).toBe(2)
    expect(await requests[0]?.allHeaders()).not.toHaveProperty('authorization')
    await page.route('**/public/badges*', (route) => route.abort())
    await send(trial)
    await trial.getByText('No answer: the server cannot be reached').waitFor()
    await context.setOffline(true)
    await send(trial)
    await trial.getByText('Nothing was sent: this device is offline.').waitFor()
    await context.close()
  })

  it('is read without a script', async () => {
    const { context, page } = await open({ javaScriptEnabled: false })
    const text = await page.innerText('body')
    expect(text).toContain('List badges')
    expect(text).not.toMatch(/Try it|tried from this page|Who signs/)
    await context.close()
  })

  it('is never wider than a phone, whatever is opened', async () => {
    const { context, page } = await open({ viewport: { width: 360, height: 800 } })
    await page.evaluate(() => {
      for (const one of document.querySelectorAll('details')) one.open = true
    })
    await page.waitForFunction(() => document.querySelector('.here') === null)
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360)
    await context.close()
  })

  it.each(VIEWS)('is fit for everybody, %i pixels wide and %s', async (width, colorScheme) => {
    const view = { viewport: { width, height: 800 }, colorScheme }
    const { context, page, problems } = await open(view)
    const trial = await opened(page, 'GET', '{C}/badges')
    await opened(page, 'POST', '/systems')
    // One of each kind is enough for axe, which is slow.
    await page.evaluate(() => {
      for (const one of document.querySelectorAll('details:not([open]), #shapes ~ *')) one.remove()
    })
    await page.getByRole('button', { name: 'Change' }).first().click()
    expect(await violations(page, '#key')).toEqual([])
    await giveKey(page, server.secret)
    await fill(trial, { system: 'tried', limit: '1' })
    await send(trial)
    await answered(trial)
    expect(await violations(page)).toEqual([])
    if (process.env.SCREENSHOTS) {
      const path = join(process.env.SCREENSHOTS, `docs-${width}-${colorScheme}.png`)
      await page.screenshot({ path, fullPage: true })
    }
    expect(problems).toEqual([])
    await context.close()
  })

  describe('its programs', () => {
    type Shown = Record<'post' | 'get' | 'open' | 'openPost', string>
    const shown = new Map<string, Shown>()

    beforeAll(async () => {
      const { context, page } = await open()
      const [post, get, list, verify] = [
        await opened(page, 'POST', '/systems'),
        await opened(page, 'GET', '{C}/applications'),
        await opened(page, 'GET', '/public/badges'),
        await opened(page, 'POST', '/public/verify'),
      ]
      await fill(get, { system: 'tried', email: "o'hara+é@example.org" })
      await fill(list, { page: '1', count: '2' })
      for (const { button, slug } of LANGUAGES) {
        const body = system(slug, { name: NAME })
        await post.locator('textarea').fill(JSON.stringify(body, null, 2))
        await post.getByRole('button', { name: button }).click()
        const codeOf = async (trial: Trial) => (await trial.locator('code').textContent()) ?? ''
        shown.set(button, {
          post: await codeOf(post),
          get: await codeOf(get),
          open: await codeOf(list),
          openPost: await codeOf(verify),
        })
      }
      await context.close()
    })

    const textOf = (button: string, name: keyof Shown) => shown.get(button)?.[name] ?? ''

    const run = ({ command, file }: Language, text: string) => {
      const path = join(folder, file)
      writeFileSync(path, text)
      const child = spawn(command, [path], {
        env: { ...process.env, BADGEKIT_SECRET: server.secret },
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      return new Promise<{ code: number | null; body: unknown }>((done) => {
        let out = ''
        child.stdout.on('data', (data) => {
          out += data
        })
        child.on('close', (code) => done({ code, body: out && JSON.parse(out) }))
      })
    }

    describe.each(LANGUAGES)('in $button', (language) => {
      const { button, slug, command } = language
      const isThere = spawnSync(command, ['--version']).status === 0
      if (!isThere) console.warn(`There is no ${command}: its programs are read, and not run.`)

      it.runIf(isThere)('send what the form holds, signed', async () => {
        const made = await run(language, textOf(button, 'post'))
        expect(made).toMatchObject({ code: 0, body: { status: 'created', system: { name: NAME } } })
        const { body } = await server.call('GET', `/systems/${slug}`)
        expect(body.system.name).toBe(NAME)
        const found = await run(language, textOf(button, 'get'))
        expect(found).toEqual({ code: 0, body: { applications: [] } })
      })

      it.runIf(isThere)('send what anyone may send', async () => {
        const list = await run(language, textOf(button, 'open'))
        expect(list).toMatchObject({ code: 0, body: { pageData: { page: 1, count: 2 } } })
        const verified = await run(language, textOf(button, 'openPost'))
        expect(verified).toMatchObject({ code: 0, body: { steps: expect.any(Array) } })
      })

      it('hold the request and no secret', () => {
        const post = textOf(button, 'post')
        expect(post).toContain(`"slug": "${slug}"`)
        expect(textOf(button, 'get')).toContain('/systems/tried/applications?email=o')
        expect(post.match(/BADGEKIT_SECRET/g)?.length).toBeGreaterThan(1)
        expect(textOf(button, 'open')).not.toContain('BADGEKIT_SECRET')
        // Nothing of a template is left over: what stands in braces is of the name that was sent.
        expect(post.match(/\{(?:origin|key|method|body|url|args|sent)\}/g)).toEqual(['{body}'])
      })
    })
  })
})
