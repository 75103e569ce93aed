import { existsSync } from 'node:fs'
import { chromium } from 'playwright-core'

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
