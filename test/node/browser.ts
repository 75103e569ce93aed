import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { chromium, type Page } from 'playwright-core'

type Axe = {
  run(part: string): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }>
}
declare const axe: Axe
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core'), 'utf8')

const CHROMIUM = '/usr/bin/chromium'
export const hasBrowser = existsSync(CHROMIUM)
if (!hasBrowser) {
  if (process.env.CI) throw new Error(`There is no ${CHROMIUM}: CI installs it first.`)
  console.warn(`There is no ${CHROMIUM}: the pages are not looked at.`)
}

/** The machine's browser, without all that asks the network. */
export const startBrowser = () =>
  chromium.launch({
    executablePath: CHROMIUM,
    args: [
      ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
      ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
    ],
  })

/** How wide, and in which colours, pages are looked at. */
export const VIEWS = [
  [360, 'light'],
  [360, 'dark'],
  [1280, 'light'],
  [1280, 'dark'],
] as const

/**
 * What axe has against a page, or a part of it. A policy that allows no script of others allows none of axe's either: it goes in by the debugger.
 */
export async function violations(page: Page, part = 'html') {
  await page.evaluate(AXE)
  const { violations } = await page.evaluate((part) => axe.run(part), part)
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join('\n')}`)
}
