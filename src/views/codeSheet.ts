import { html, raw } from 'hono/html'
import type { Form } from '../exports'
import { qrSvg } from '../qr'
import type { Badge } from './badges'
import type { CodeEntry } from './codes'
import { webUrl } from './pageLayout'

/** Claim codes on cards, to print, cut and hand out: ten on a page, A4 or Letter. */

const PER_PAGE = 10

/** Cards are as large as five rows may be on the lower of the two papers, and two columns on the narrower. */
const STYLE = `
@page { margin: 10mm }
*, ::before, ::after { box-sizing: border-box }
body { margin: 0; background: #e7ebee; color: #000; font: 10pt/1.3 system-ui, 'Segoe UI', Roboto, 'Noto Sans', sans-serif }
.note { max-width: 190mm; margin: 8mm auto; font-size: 12pt }
section {
  display: grid; grid-template-columns: 95mm 95mm; grid-auto-rows: 51mm; width: 190mm; margin: 0 auto 8mm; background: #fff;
  border: dashed #888; border-width: .2mm 0 0 .2mm; break-inside: avoid; break-after: page;
}
section:last-of-type { break-after: auto }
section:empty { display: none }
article {
  display: flex; align-items: center; gap: 3mm; padding: 3mm; overflow: hidden; overflow-wrap: anywhere;
  border: dashed #888; border-width: 0 .2mm .2mm 0;
}
svg { flex: none; width: 42mm; height: 42mm }
div { flex: 1; min-width: 0 }
img { display: block; width: 10mm; height: 10mm; object-fit: contain; margin-bottom: 1.5mm }
h2, p { margin: 0 }
h2 {
  font-size: 10pt; line-height: 1.2; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3; overflow: hidden;
}
.code { margin-top: 1.5mm; font: 700 13pt/1.2 ui-monospace, 'Cascadia Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace }
.long { font-size: 9pt }
.longest { font-size: 5pt; line-height: 1.1 }
.at { margin-top: 1mm; font-size: 8pt; color: #333 }
@media print { body { background: none } .note { display: none } section { margin: 0 auto } }
`

/** What it is served with: it runs nothing, and asks for nothing but the badge's image. */
export const SHEET_POLICY = [
  "default-src 'none'",
  "style-src 'unsafe-inline'",
  'img-src https: http: data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** How the claim codes of a badge become a sheet. */
export function codeSheet(badge: Pick<Badge, 'name' | 'imageUrl'>): Form {
  const head = headOf(badge)
  return {
    extension: 'html',
    type: 'text/html; charset=utf-8',
    policy: SHEET_POLICY,
    start: String(html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>Claim codes: ${badge.name}</title>
<style>${raw(STYLE)}</style>
</head>
<body>
<p class="note">To print: on A4 or Letter, upright, at 100 %, without headers and footers. Cut along the dashed lines.</p>
<section>`),
    entry(shown, n) {
      const before = n > 0 && n % PER_PAGE === 0 ? '</section>\n<section>' : ''
      return before + cardOf(head, shown as CodeEntry)
    },
    between: '',
    end: '</section>\n</body>\n</html>\n',
  }
}

/** What all cards say. */
function headOf({ name, imageUrl }: Pick<Badge, 'name' | 'imageUrl'>) {
  const image = webUrl(imageUrl)
  return html`${image && html`<img src="${image}" alt="">`}<h2 dir="auto">${name}</h2>`
}

/** How a code is set, by how many characters of it a card has room for. */
const sizeOf = ({ length }: string) => {
  if (length <= 20) return 'code'
  return length <= 60 ? 'code long' : 'code longest'
}

function cardOf(head: ReturnType<typeof html>, { code, claimUrl }: CodeEntry): string {
  const svg = claimUrl === undefined ? null : qrSvg(claimUrl)
  const card = html`<article>${svg && raw(svg)}<div>${head}
<p class="${sizeOf(code)}" dir="auto">${code}</p>
${claimUrl !== undefined && html`<p class="at">${new URL(claimUrl).host}</p>`}</div></article>
`
  return String(card)
}
