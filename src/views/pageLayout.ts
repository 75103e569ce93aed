import { html, raw } from 'hono/html'
import { SCRIPT } from './pageScript'
import { STYLE } from './pageStyle'

/** A piece of a page: escaped already, so it can be put into another piece as it is. */
export type Html = ReturnType<typeof html>

/**
 * The Content-Security-Policy every page is served with. The hashes are those of our style and our
 * script; `test/views/pages.test.ts` fails with the new one whenever one of them changes.
 */
export const PAGE_POLICY = [
  "default-src 'none'",
  "style-src 'sha256-XJw/H8imA1xhcs8xMhiwd5aiRWEjvntPwOx6e05B8Y0='",
  "script-src 'sha256-XAsoNYCRfl60J4uIPc2V+8zrsi+Pgs28AipClpzWhMg='",
  // What the script asks for: our own documents, and our own verification of them.
  "connect-src 'self'",
  'img-src https: http: data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

// Drawn in the page, so that no page asks the server for a /favicon.ico it does not have.
const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E%3Cpath " +
  "fill='%230a5a78' d='M9 17h14v14l-7-5-7 5z'/%3E%3Ccircle cx='16' cy='12' r='11' " +
  "fill='%233b9cc0'/%3E%3Ccircle cx='16' cy='12' r='6' fill='%23fff'/%3E%3C/svg%3E"

/** What the head of a page says to browsers, to search engines and to whoever previews the link. */
export type Head = {
  title: string
  description: string
  url?: string
  jsonUrl?: string
  image?: string | null
  imageAlt?: string
  siteName?: string
  /** Whether the page has something to do: it then carries the script. */
  live?: boolean
  /** False for a page that search engines should forget. */
  indexed?: boolean
}

/** A whole page: the head, the content in its `main`, and a footer. */
export function shell(head: Head, content: Html, footer?: Html): string {
  const site = head.siteName && head.siteName !== head.title && ` – ${head.siteName}`
  const image = webUrl(head.image)
  const description = excerpt(head.description)
  return String(html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${head.title}${site}</title>
<meta name="description" content="${description}">
${head.indexed === false && html`<meta name="robots" content="noindex">`}
${head.url && html`<link rel="canonical" href="${head.url}">`}
${head.jsonUrl && html`<link rel="alternate" type="application/ld+json" href="${head.jsonUrl}">`}
<link rel="icon" href="${raw(ICON)}">
<meta property="og:title" content="${head.title}">
<meta property="og:description" content="${description}">
<meta property="og:type" content="website">
${head.url && html`<meta property="og:url" content="${head.url}">`}
${image && html`<meta property="og:image" content="${image}">`}
${image && head.imageAlt && html`<meta property="og:image:alt" content="${head.imageAlt}">`}
${head.siteName && html`<meta property="og:site_name" content="${head.siteName}">`}
<meta name="twitter:card" content="summary">
<style>${raw(STYLE)}</style>
</head>
<body>
<main>
${content}
</main>
${footer && html`<footer>${footer}</footer>`}
${head.live && html`<script>${raw(SCRIPT)}</script>`}
</body>
</html>
`)
}

/**
 * The address to link to, when stored text is a web address, with or without its scheme;
 * undefined for anything else, such as `javascript:`.
 */
export function webUrl(text: string | null | undefined): string | undefined {
  const typed = (text ?? '').trim()
  const bare = /^[\p{L}\p{N}-]+(\.[\p{L}\p{N}-]+)+(:\d+)?([/?#].*)?$/u.test(typed)
  const full = bare ? `http://${typed}` : typed
  if (!URL.canParse(full)) return undefined
  const url = new URL(full)
  return url.protocol === 'http:' || url.protocol === 'https:' ? url.href : undefined
}

/** An address that breaks where its parts begin, not inside of words. */
export const breakable = (address: string): Html[] =>
  address.split(/(?=[@./?#&])/).map((part, i) => (i === 0 ? html`${part}` : html`<wbr>${part}`))

/** A link when the stored address allows one; otherwise the same words, and the address as text. */
export function link(address: string, label?: string, rel?: string): Html {
  const typed = address.trim()
  const href = webUrl(typed)
  if (!href) return html`<span dir="auto">${label ? `${label} (${typed})` : typed}</span>`
  const text = label ?? breakable(typed.replace(/^https?:\/\/|\/$/gi, ''))
  return html`<a href="${href}"${rel && html` rel="${rel}"`} dir="auto">${text}</a>`
}

/** A day for people to read, in UTC, and the exact instant for machines. */
export function day(millis: number): Html {
  const date = new Date(millis)
  const text = date.toLocaleDateString('en-GB', { dateStyle: 'long', timeZone: 'UTC' })
  return html`<time datetime="${date.toISOString()}">${text}</time>`
}

/** Text as somebody typed it: a blank line ends a paragraph, a line break stays one. */
export function paragraphs(text: string | null | undefined): Html[] {
  return (text ?? '')
    .split(/\r?\n[^\S\n]*\r?\n/)
    .map((paragraph) => paragraph.trim())
    .filter((paragraph) => paragraph !== '')
    .map((paragraph) => html`<p class="text" dir="auto">${paragraph}</p>`)
}

// Previews cut long text anyway; cut it between words, and never through a character.
function excerpt(text: string): string {
  const characters = [...text.replace(/\s+/g, ' ').trim()]
  if (characters.length <= 200) return characters.join('')
  return `${characters
    .slice(0, 199)
    .join('')
    .replace(/\s+\S{0,20}$/, '')}…`
}
