import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import readQr from 'jsqr'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { signedFetch } from '../../scripts/sign.mjs'
import { qrSvg } from '../../src/qr'
import { hasBrowser, startBrowser } from './browser'
import { serverAt } from './server'

/** The printed sheet of claim codes: what a phone reads on it, and what comes out of a printer. */

/** The squares of a QR code as a picture, `scale` pixels each, for a reader. */
function pictureOf(svg: string, scale = 4) {
  const [, quiet = '', side = ''] = /viewBox="-(\d+) -\d+ (\d+) \d+"/.exec(svg) ?? []
  const width = Number(side) * scale
  const pixels = new Uint8ClampedArray(width * width * 4).fill(255)
  const rows = /d="M0 ([^"]*)"/.exec(svg)?.[1]?.split('M0 ') ?? []
  for (const row of rows) {
    const [, y = '', moves = ''] = /^(\d+)\.5(.*)$/.exec(row) ?? []
    let x = 0
    for (const [, gap, run] of moves.matchAll(/m(\d+) 0h(\d+)/g)) {
      const start = x + Number(gap)
      x = start + Number(run)
      for (let py = 0; py < scale; py++) {
        const line = (Number(y) + Number(quiet)) * scale + py
        const from = line * width + (start + Number(quiet)) * scale
        for (let at = from; at < from + Number(run) * scale; at++)
          pixels.fill(0, at * 4, at * 4 + 3)
      }
    }
  }
  return { pixels, width }
}

const read = (svg: string) => {
  const { pixels, width } = pictureOf(svg)
  return readQr(pixels, width, width)?.data
}

describe('a QR code', () => {
  it('is read as the address that it was made of, of any length up to the longest', () => {
    for (let length = 1; length <= 380; length += length < 100 ? 3 : 19) {
      const hex = (length * 7919).toString(16).padStart(10, '0')
      const url = `https://c.example/${hex}${'-Ab1_~%2F?&='.repeat(40)}`.slice(0, length + 20)
      expect(read(qrSvg(url) ?? ''), url).toBe(url)
    }
    const longest = `https://c.example/${'x'.repeat(382)}`
    expect(read(qrSvg(longest) ?? '')).toBe(longest)
    expect(qrSvg(`${longest}x`)).toBeNull()
  })

  it('is read of each of many codes at one address', () => {
    for (let n = 0; n < 200; n++) {
      const code = Math.floor((n + 1) * 4_294_967.297)
        .toString(16)
        .padStart(10, '0')
      const url = `https://city-of-learning.example.org/claim?badge=zine&code=${code}`
      expect(read(qrSvg(url) ?? '')).toBe(url)
    }
  })
})

const SVG = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><circle cx="4" cy="4" r="4"/></svg>`
const CITY = '/systems/printing'
const BADGE = `${CITY}/badges/zine`
const JSQR = readFileSync(createRequire(import.meta.url).resolve('jsqr'), 'utf8')
declare const jsQR: typeof import('jsqr').default

describe.runIf(hasBrowser)('the sheet, in a browser', () => {
  let server: Awaited<ReturnType<typeof serverAt>>
  let browser: Browser
  let page: Page
  let folder: string
  const codes: string[] = []

  beforeAll(async () => {
    ;[server, browser] = await Promise.all([serverAt(inject('server')), startBrowser()])
    folder = mkdtempSync(join(tmpdir(), 'badgekit-sheet-'))
    const made = async (path: string, body: object) => {
      const answer = await server.call('POST', path, body)
      expect(answer.status, JSON.stringify(answer.body)).toBe(201)
      return answer.body
    }
    const url = 'https://printing.example.org'
    const claimUrl = `${url}/claim/{badge}?code={code}`
    await made('/systems', { slug: 'printing', name: 'Printing', url, claimUrl })
    await made(`${CITY}/badges`, {
      ...{ slug: 'zine', name: 'Zine Maker of the Summer Festival, Second Year, Advanced Class' },
      ...{ strapline: 'Cut.', earnerDescription: 'You cut.', consumerDescription: 'They cut.' },
      ...{ criteriaUrl: `${url}/zine`, unique: 1, type: 'skill' },
      image: `data:image/svg+xml;base64,${Buffer.from(SVG).toString('base64')}`,
    })
    // The widest codes and the longest one, among the others.
    for (const code of [...[20, 60, 255].map((n) => 'W'.repeat(n)), 'long '.repeat(51)]) {
      codes.push((await made(`${BADGE}/codes`, { code })).claimCode.code)
    }
    const batch = await made(`${BADGE}/codes/batch`, { count: 21 })
    codes.push(...batch.claimCodes.map(({ code }: { code: string }) => code))
    page = await browser.newPage()
    await page.goto(pathToFileURL(await sheet('all', '')).href)
  })
  afterAll(async () => {
    await browser?.close()
    if (folder) rmSync(folder, { recursive: true, force: true })
  })

  /** Fetches a sheet into a file. */
  async function sheet(name: string, query: string) {
    const { url, secret } = server
    const path = `${BADGE}/codes?format=sheet${query}`
    const response = await signedFetch({ url, key: 'master', secret }, 'GET', path)
    const file = join(folder, `${name}.html`)
    writeFileSync(file, await response.text())
    return file
  }

  it('shows every code, the badge’s image, and a QR code that leads to where it is claimed', async () => {
    await page.evaluate(JSQR)
    const cards = await page.evaluate(async () => {
      const read = async (svg: SVGElement | null) => {
        if (!svg) return null
        svg.setAttribute('width', '600')
        svg.setAttribute('height', '600')
        const image = new Image()
        image.src = `data:image/svg+xml,${encodeURIComponent(new XMLSerializer().serializeToString(svg))}`
        await image.decode()
        const canvas = Object.assign(document.createElement('canvas'), { width: 600, height: 600 })
        const context = canvas.getContext('2d') as CanvasRenderingContext2D
        context.fillStyle = '#fff'
        context.fillRect(0, 0, 600, 600)
        context.drawImage(image, 0, 0)
        return jsQR(context.getImageData(0, 0, 600, 600).data, 600, 600)?.data
      }
      return Promise.all(
        Array.from(document.querySelectorAll('article'), async (card) => ({
          code: card.querySelector('.code')?.textContent,
          image: (card.querySelector('img') as HTMLImageElement).naturalWidth > 0,
          url: await read(card.querySelector('svg')),
        })),
      )
    })
    expect(cards).toEqual(
      codes.map((code) => ({
        code,
        image: true,
        url: code.startsWith('long')
          ? null
          : `https://printing.example.org/claim/zine?code=${encodeURIComponent(code)}`,
      })),
    )
  })

  it('has nothing that reaches over the edge of a card', async () => {
    if (process.env.SCREENSHOTS)
      await page.screenshot({ path: join(process.env.SCREENSHOTS, 'sheet.png'), fullPage: true })
    await page.emulateMedia({ media: 'print' })
    const over = await page.evaluate(() =>
      Array.from(document.querySelectorAll('article'))
        .filter((card) => {
          const edge = card.getBoundingClientRect()
          return Array.from(card.querySelectorAll('*')).some((part) => {
            const { top, bottom, left, right } = part.getBoundingClientRect()
            return top < edge.top || bottom > edge.bottom || left < edge.left || right > edge.right
          })
        })
        .map((card) => card.querySelector('.code')?.textContent),
    )
    expect(over).toEqual([])
  })

  // A page that did not hold its ten cards would go on on another one.
  it.each(['A4', 'Letter'])(
    'prints ten codes on each page of %s, and cuts none',
    async (format) => {
      const pdf = await page.pdf({ format })
      if (process.env.SCREENSHOTS)
        writeFileSync(join(process.env.SCREENSHOTS, `sheet-${format}.pdf`), pdf)
      expect(pdf.toString('latin1').match(/\/Type\s*\/Page\b/g)).toHaveLength(3)
    },
  )
})
