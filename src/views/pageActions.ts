import { html } from 'hono/html'
import type { Html } from './pageLayout'
import { section } from './pageParts'
import type { AwardPage } from './pageTypes'

/** What can be done with an award: take it along, and check it. */

export function actions(page: AwardPage): Html | false {
  if (page.status === 'revoked') return false
  const { image, credential } = page.files
  return html`<div><ul class="actions">
${image && html`<li><a class="main" href="${image}" download>Download badge image</a></li>`}
<li><a href="${credential}?as=json" download="${fileName(page)}">Download credential (3.0)</a></li>
<li><a href="${linkedIn(page)}" rel="noopener nofollow">Add to LinkedIn</a></li>
<template><li><button id="copy" type="button" data-url="${page.url}">Copy link</button>
<p id="copied" role="status"></p></li></template>
</ul>
${!image && html`<p class="soft small">${UNCARRIED}</p>`}</div>`
}

const UNCARRIED =
  'The image of this badge cannot carry a credential: only PNG and SVG files that are kept here can. Download the credential instead.'

/** A name under which a person finds the file again. */
const fileName = ({ badge }: AwardPage) =>
  `${badge.name.replace(/[^\p{L}\p{N}]+/gu, '-').slice(0, 60) || 'badge'}.json`

/** LinkedIn's form for a certification, filled in. */
function linkedIn({ id, badge, issuers, issuedOn, expires, url }: AwardPage): string {
  const form = new URL('https://www.linkedin.com/profile/add')
  const fill = (name: string, value: string | number) => form.searchParams.set(name, String(value))
  fill('startTask', 'CERTIFICATION_NAME')
  fill('name', badge.name)
  fill('organizationName', issuers[0]?.name ?? '')
  for (const [word, at] of [
    ['issue', issuedOn],
    ['expiration', expires],
  ] as const) {
    if (at === null) continue
    fill(`${word}Year`, new Date(at).getUTCFullYear())
    fill(`${word}Month`, new Date(at).getUTCMonth() + 1)
  }
  fill('certUrl', url)
  fill('certId', id)
  return form.href
}

const STEPS = {
  document: ['Document', 'Is it a whole and well-formed credential?'],
  proof: ['Signature', 'Is it as it was signed?'],
  issuer: ['Issuer', 'Does the key of the signature belong to the issuer?'],
  status: ['Status', 'Does it still stand, or was it revoked?'],
  validity: ['Dates', 'Is it valid today?'],
} as const

/** The steps of a verification, each by itself. */
export function checks({ files }: AwardPage): Html | false {
  const items = Object.entries(STEPS).map(
    ([name, [title, question]]) =>
      html`<li id="check-${name}"><b>Not checked</b><strong>${title}</strong><p>${question}</p></li>`,
  )
  return section('Is it genuine?', [
    html`<div class="live"><p>The issuer has signed this badge. Anyone can check the
<a href="${files.credential}?as=json">signed credential</a> with a verifier of Open Badges 3.0, or the
<a href="${files.assertion2}">hosted assertion</a> with one of 2.0.</p>
<template><p>It can be checked here too, step by step.</p><ul class="checks">${items}</ul>
<button id="check" type="button" data-url="${files.credential}" data-verify="${files.verify}">Check this badge</button>
<p id="checked" role="status"></p></template></div>`,
  ])
}

/** Whether the award belongs to an email address: it never leaves the browser. */
export function belongs({ files }: AwardPage): Html {
  return html`<template><section class="live"><h2>Whose is it?</h2>
<p>The badge names its earner by a fingerprint of an email address. Type the address that you expect: it is
compared here in your browser, and sent to nobody.</p>
<form id="belongs" data-url="${files.assertion2}">
<label for="email">Email address</label>
<div class="field"><input id="email" name="email" type="email" autocomplete="off" spellcheck="false" required>
<button>Compare</button></div>
</form>
<p id="belonging" role="status"></p></section></template>`
}
