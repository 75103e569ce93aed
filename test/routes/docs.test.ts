import { describe, expect, it } from 'vitest'
import openapi from '../../docs/openapi.json'
import { ask } from '../helpers/api'

const { status, headers, body } = await ask('GET', '/docs')
const page: string = body
const written = page.replaceAll(/<[^>]+>/g, '')

describe('GET /docs', () => {
  it('is a page for anyone, without a signature', () => {
    expect(status).toBe(200)
    expect(headers.get('Content-Type')).toContain('text/html')
  })

  it('loads nothing', () => {
    const markup = page.replace(/<script>[\s\S]*?<\/script>/, '')
    expect(markup).not.toMatch(/<script|<img|<iframe|style="| on\w+="|@import|\burl\(/i)
    expect(
      [...page.matchAll(/<link rel="(\w+)" href="(\w+):/g)].map((match) => match.slice(1)),
    ).toEqual([['icon', 'data']])
  })

  it('is served with a policy that allows its two styles, its script and nothing else', async () => {
    const policy = new Map(
      (headers.get('Content-Security-Policy') ?? '').split('; ').map((rule) => {
        const [name = '', ...values] = rule.split(' ')
        return [name, values]
      }),
    )
    const hashes = (tag: string) =>
      Promise.all(
        [...page.matchAll(new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`, 'g'))].map(
          async ([, text]) => {
            const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
            return `'sha256-${btoa(String.fromCharCode(...new Uint8Array(digest)))}'`
          },
        ),
      )
    expect(policy.get('style-src')?.toSorted()).toEqual((await hashes('style')).toSorted())
    expect(policy.get('style-src')).toHaveLength(2)
    expect(policy.get('script-src')).toEqual(await hashes('script'))
    expect(policy.get('default-src')).toEqual(["'none'"])
    expect(policy.get('connect-src')).toEqual(["'self'"])
    expect(policy.get('form-action')).toEqual(["'none'"])
  })

  it('is quick to load', async () => {
    const packed = new Blob([page]).stream().pipeThrough(new CompressionStream('gzip'))
    expect((await new Response(packed).arrayBuffer()).byteLength).toBeLessThan(28 * 1024)
  })

  it('shows how to sign a request', () => {
    expect(written).toContain('headers.Authorization = `JWT token=&quot;$')
  })

  it('names every route, those of three levels once', () => {
    const container = /\/systems\/\{system\}(\/issuers\/\{issuer\}(\/programs\/\{program\})?)?/
    const headings = /<b class="method \w+">(\w+)<\/b>\n<code>([^<]+)<\/code>/g
    const shown = [...page.matchAll(headings)].map(([, method, path]) => `${method} ${path}`)
    expect(new Set(shown).size).toBe(shown.length)
    for (const [path, item] of Object.entries(openapi.paths)) {
      for (const method of Object.keys(item)) {
        const forms = [path, path.replace(container, '{C}')].map(
          (form) => `${method.toUpperCase()} ${form}`,
        )
        expect(forms.filter((form) => shown.includes(form)).length, forms[0]).toBeGreaterThan(0)
      }
    }
    expect(page.split('<code>{C}/badges</code>')).toHaveLength(3)
  })

  it('tells which fields a body needs', () => {
    expect(page).toMatch(/<code>criteriaUrl<\/code> \*<\/td>/)
    expect(page).toMatch(/<code>strapline<\/code><\/td>/)
  })

  it('leads nowhere but to places of its own', () => {
    const anchors = [...page.matchAll(/href="#([^"]+)"/g)].map(([, id]) => id)
    expect(anchors.length).toBeGreaterThan(10)
    for (const id of anchors) expect(page).toContain(`id="${id}"`)
  })

  it('leaves no name of a thing that is not there', () => {
    expect(page).not.toMatch(/>(undefined|NaN)<|\[object/)
  })
})
