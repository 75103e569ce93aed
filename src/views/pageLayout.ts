import { html, raw } from 'hono/html'

/** A piece of a page: escaped already, so it can be put into another piece as it is. */
export type Html = ReturnType<typeof html>

// No inline style attributes anywhere: the policy below allows this one text and nothing else.
const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #eff2f4; --sheet: #ffffff; --ink: #18212b; --soft: #54606d; --line: #dce2e7;
  --link: #0a5a78; --glow: #e3ecf1; --chip: #eef2f5; --metal: #8292a1; --face: #f8fafb;
  --good: #145c38; --good-bg: #e4f3ea; --late: #6f4300; --late-bg: #fcf0d8;
  --bad: #93182b; --bad-bg: #fce8ea;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #11151a; --sheet: #1a2027; --ink: #e9edf0; --soft: #a7b2bd; --line: #313a44;
    --link: #86cbea; --glow: #2b3540; --chip: #28313a; --metal: #8d9ba9; --face: #323d48;
    --good: #93dcb1; --good-bg: #17342a; --late: #f3ce86; --late-bg: #372b14;
    --bad: #ffb0b7; --bad-bg: #411f26;
  }
}
*, ::before, ::after { box-sizing: border-box }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100% }
body {
  margin: 0; min-height: 100vh; display: flex; flex-direction: column;
  padding: clamp(0rem, 4vw - 1rem, 3.5rem) clamp(0rem, 4vw - 1rem, 2rem) 0;
  background: var(--ground); color: var(--ink); overflow-wrap: anywhere;
  font: 1.0625rem/1.6 system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif;
}
main { width: 100%; max-width: 64rem; margin: 0 auto }
article {
  background: var(--sheet); border-bottom: 1px solid var(--line);
  padding: clamp(1.25rem, 5vw, 3.5rem);
}
h1, h2, p, ul, dl, dd { margin: 0; padding: 0 }
h1 {
  font-size: clamp(1.75rem, 1.35rem + 2vw, 2.75rem); line-height: 1.15; font-weight: 700;
  letter-spacing: -.02em; text-wrap: balance;
}
h2 { font-size: 1.1875rem; line-height: 1.3; margin-bottom: .625rem; letter-spacing: -.005em }
a { color: var(--link); text-underline-offset: .18em; text-decoration-thickness: .06em }
a:hover { text-decoration-thickness: .13em }
a:focus-visible { outline: 3px solid var(--link); outline-offset: 3px; border-radius: 2px }
.text { white-space: pre-line; max-width: 42rem }
.text + .text { margin-top: .85em }
time { white-space: nowrap }
.soft { color: var(--soft) }
.small { font-size: .9375rem; line-height: 1.5 }
.art {
  display: grid; place-items: center; padding: 1.5rem; border-radius: 1.25rem;
  background: radial-gradient(circle closest-side, var(--glow), transparent);
}
.art img, .art svg { display: block; width: min(100%, 15rem); aspect-ratio: 1; object-fit: contain }
.art.faded img, .art.faded svg { filter: grayscale(1); opacity: .55 }
.medal .metal { fill: var(--metal) }
.medal .beads { fill: none; stroke: var(--metal); stroke-width: 15; stroke-linecap: round }
.medal .face { fill: var(--face) }
.medal .ring { fill: none; stroke: var(--metal); stroke-width: 2.5 }
.strapline {
  margin-top: .75rem; color: var(--soft); font-size: clamp(1.125rem, 1rem + .6vw, 1.3125rem);
  line-height: 1.45; text-wrap: pretty;
}
.status {
  display: flex; gap: .75rem; margin-top: 1.5rem; padding: .875rem 1.125rem;
  border-radius: .75rem; max-width: 42rem;
}
.status svg { flex: none; width: 1.5rem; height: 1.5rem; margin-top: .05rem }
.status strong { display: block }
.status p { color: var(--ink) }
.status span { display: block; margin-top: .25rem }
.valid { color: var(--good); background: var(--good-bg) }
.expired, .archived { color: var(--late); background: var(--late-bg) }
.revoked { color: var(--bad); background: var(--bad-bg) }
.head { display: grid; gap: 1.25rem }
.body { margin-top: 2rem; display: grid; gap: 2rem }
.facts { display: grid; gap: 1.25rem; align-content: start }
.facts dt { color: var(--soft); font-size: .9375rem }
.facts dd { font-weight: 600 }
.facts .light { font-weight: 400 }
.chain, .tags, footer ul { list-style: none }
.chain { display: grid; gap: .75rem; margin-top: .25rem }
.chain li { display: flex; gap: .75rem; align-items: flex-start }
.chain img {
  flex: none; width: 2.75rem; height: 2.75rem; margin-top: .15rem; padding: .2rem;
  object-fit: contain; border-radius: .5rem; background: #fff; border: 1px solid var(--line);
}
.chain:has(img) li:not(:has(img)) { padding-inline-start: 3.5rem }
.chain .small { display: block; font-weight: 400 }
.sections { display: grid; gap: 2rem; align-content: start; min-width: 0 }
.points { padding-inline-start: 1.2rem; max-width: 42rem }
.points li { padding-inline-start: .25rem }
.points li::marker { color: var(--soft) }
.points li + li { margin-top: .75rem }
.points + p { margin-top: 1rem }
.tags { display: flex; flex-wrap: wrap; gap: .5rem; font-size: .9375rem }
.tags li { padding: .2rem .75rem; border-radius: 1rem; background: var(--chip) }
.plain { max-width: 42rem; margin: 0 auto }
.plain h1 { font-size: clamp(1.5rem, 1.25rem + 1vw, 2rem) }
.plain > p { margin-top: 1rem }
footer {
  width: 100%; max-width: 64rem; margin: 0 auto; padding: 1.5rem clamp(1.25rem, 5vw, 3.5rem) 2.5rem;
  color: var(--soft); font-size: .9375rem;
}
footer ul { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem }
footer a { color: inherit }
.paper { display: none }
@media (min-width: 44rem) {
  article { border: 1px solid var(--line); border-radius: 1.25rem }
  .head.pair, .body { grid-template-columns: 14rem minmax(0, 1fr); column-gap: 2rem }
  .head.pair { align-items: center }
  .art { padding: .5rem }
}
@media (min-width: 56rem) {
  .head.pair, .body { grid-template-columns: 18rem minmax(0, 1fr); column-gap: 3.5rem }
  .art img, .art svg { width: min(100%, 17rem) }
}
@media print {
  :root {
    color-scheme: light;
    --ground: #fff; --sheet: #fff; --ink: #000; --soft: #444; --line: #bbb; --link: #000;
    --glow: #fff; --chip: #fff; --metal: #888; --face: #fff;
    --good: #000; --good-bg: #fff; --late: #000; --late-bg: #fff; --bad: #000; --bad-bg: #fff;
  }
  html { font-size: 10.5pt }
  body { display: block; padding: 0 }
  article { border: 0; padding: 0 }
  .head.pair, .body { grid-template-columns: 14rem minmax(0, 1fr); column-gap: 2rem }
  .status { border: 1px solid }
  .tags li { border: 1px solid var(--line) }
  .status, .points li, .chain li { break-inside: avoid }
  h2 { break-after: avoid }
  footer { padding: 1.5rem 0 0 }
  footer ul { display: none }
  .paper { display: block }
}
`

/**
 * The Content-Security-Policy every page is served with. The hash is that of the style above;
 * `test/views/pages.test.ts` fails with the new one whenever the style changes.
 */
export const PAGE_POLICY = [
  "default-src 'none'",
  "style-src 'sha256-pG1/N7LOnJmROzSsx2XMHYpYZN+sKVicMe0aa7qnhFU='",
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

/** A link when the stored address allows one; otherwise the same words, and the address as text. */
export function link(address: string, label?: string, rel?: string): Html {
  const typed = address.trim()
  const href = webUrl(typed)
  if (!href) return html`<span dir="auto">${label ? `${label} (${typed})` : typed}</span>`
  const text = label ?? typed.replace(/^https?:\/\/|\/$/gi, '')
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
