import { html } from 'hono/html'
import { day, type Html, link, paragraphs, webUrl } from './pageLayout'
import type { AwardPage, IssuerPage, Piece } from './pageTypes'

/** The pieces that pages of badges are made of. */

export function badgeHead(badge: AwardPage['badge'], status: Html | false, faded = false): Html {
  return html`<header class="head pair">
<div class="art${faded && ' faded'}">${picture(badge.image, badge.name) ?? medal(badge.name)}</div>
<div>
<h1 dir="auto">${badge.name}</h1>
${badge.strapline && html`<p class="strapline" dir="auto">${badge.strapline}</p>`}
${status}
</div>
</header>`
}

export function awardStatus({ status, expires, revocationReason }: AwardPage): Html {
  if (status === 'revoked') {
    const text = html`This badge was revoked by the organisation that awarded it.`
    return notice(status, 'Revoked', html`${text}${reason(revocationReason)}`)
  }
  if (status === 'expired') {
    const text = expires === null ? html`has expired` : html`expired on ${day(expires)}`
    return notice(status, 'Expired', html`This badge ${text}.`)
  }
  const text = expires === null ? html`and does not expire` : html`until ${day(expires)}`
  return notice(status, 'Valid', html`This badge is valid ${text}.`)
}

export function reason(text: string | null | undefined): Html | false {
  if (!text?.trim()) return false
  return html` <span>Reason given: <bdi>${text.trim()}</bdi></span>`
}

// The word and the sign both carry the meaning; the colour only repeats it.
const signs = {
  valid: 'M7 12.5l3.5 3.5L17 9',
  expired: 'M12 6.5V12l3.5 2.5',
  archived: 'M7 12h10',
  revoked: 'M8 8l8 8m0-8l-8 8',
  suspended: 'M9.5 8v8m5-8v8',
  renewed: 'M7 12h10m-4-4l4 4-4 4',
}

export function notice(kind: keyof typeof signs, word: string, text: Html): Html {
  return html`<div class="status ${kind}">
<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round"
 stroke-linejoin="round" aria-hidden="true"><circle cx="12" cy="12" r="10"/><path d="${signs[kind]}"/></svg>
<div><strong>${word}</strong><p>${text}</p></div>
</div>`
}

export function expiry({ status, expires }: AwardPage): Html | false {
  if (expires === null) return status === 'valid' && html`<div><dt>Expires</dt><dd>Never</dd></div>`
  const term = { valid: 'Valid until', expired: 'Expired on', revoked: 'Expiry date' }[status]
  return html`<div><dt>${term}</dt><dd>${day(expires)}</dd></div>`
}

export function awardedBy(issuers: AwardPage['issuers']): Html {
  const items = issuers.map((issuer, index) => {
    const image = picture(issuer.image, '')
    return html`<li>${image}<div>
${index > 0 && html`<span class="soft small">part of</span>`}
${link(issuer.pageUrl, issuer.name)}
${issuer.url.trim() && html`<span class="soft small">${link(issuer.url)}</span>`}
</div></li>`
  })
  return html`<div><dt>Awarded by</dt><dd><ul class="chain">${items}</ul></dd></div>`
}

export function section(title: string, content: Html[]): Html | false {
  return content.length > 0 && html`<section><h2>${title}</h2>${content}</section>`
}

export function criteria({ criteria, criteriaUrl }: AwardPage['badge']): Html | false {
  const items = criteria.map(
    ({ description, required }) => html`<li>${paragraphs(description)}
<p class="soft small">${required ? 'Required' : 'Optional'}</p></li>`,
  )
  const parts: Html[] = []
  if (items.length > 0) parts.push(html`<ul class="points">${items}</ul>`)
  if (criteriaUrl.trim()) parts.push(html`<p>${link(criteriaUrl, 'Read the full criteria')}</p>`)
  return section('What it takes', parts)
}

export function alignments({ alignments }: AwardPage['badge']): Html | false {
  const items = alignments.map(
    ({ name, url, description }) => html`<li>${link(url, name)}${paragraphs(description)}</li>`,
  )
  return items.length > 0 && section('Aligned with', [html`<ul class="points">${items}</ul>`])
}

export function evidence(pieces: Piece[]): Html | false {
  const items = pieces
    .filter(({ url, narrative }) => url?.trim() || narrative?.trim())
    .map(({ url, name, description, narrative }) => {
      // Earners type these: search engines should not take them for our recommendation.
      const address = url?.trim() && html`<p>${link(url, name, 'nofollow ugc')}</p>`
      return html`<li>${paragraphs(description)}${paragraphs(narrative)}${address}</li>`
    })
  return items.length > 0 && section('Evidence', [html`<ul class="points">${items}</ul>`])
}

export function tags({ tags }: AwardPage['badge']): Html | false {
  const items = tags.map((tag) => html`<li dir="auto">${tag}</li>`)
  return items.length > 0 && section('Tags', [html`<ul class="tags">${items}</ul>`])
}

/** What an issuer awards now. */
export function earnable({ badges, more }: IssuerPage): Html | false {
  const items = badges.map(
    ({ name, strapline, image, url }) => html`<li>${picture(image, '') ?? medal('')}<div>
${link(url, name)}
${strapline && html`<p class="soft small" dir="auto">${strapline}</p>`}
</div></li>`,
  )
  const parts = [html`<ul class="cards">${items}</ul>`]
  if (more) parts.push(html`<p class="soft">These are the newest of more.</p>`)
  return items.length > 0 && section('What can be earned', parts)
}

export function footer({ url, jsonUrl }: { url: string; jsonUrl: string }, more?: Html): Html {
  return html`<ul>${more && html`<li>${more}</li>`}
<li>${link(jsonUrl, 'Open Badges data')}</li></ul>
<p class="paper">${url}</p>`
}

export function picture(address: string | null, alt: string): Html | undefined {
  const src = webUrl(address)
  if (!src) return undefined
  return html`<img src="${src}" alt="${alt}" referrerpolicy="no-referrer" decoding="async">`
}

/** Drawn for a badge without an image; without a name it only fills its place. */
export function medal(name: string): Html {
  const label = name ? html`role="img" aria-label="${name}"` : html`aria-hidden="true"`
  return html`<svg class="medal" viewBox="0 0 200 200" ${label}>
<path class="metal" d="M62 118 48 194l27-15 17 19 8-44 8 44 17-19 27 15-14-76z"/>
<circle class="beads" cx="100" cy="84" r="66" stroke-dasharray="0 17.279"/>
<circle class="metal" cx="100" cy="84" r="66"/>
<circle class="face" cx="100" cy="84" r="59"/>
<circle class="ring" cx="100" cy="84" r="49"/>
<path class="metal" d="m100 52 9.4 19.1 21 3.1-15.2 14.8 3.6 21-18.8-9.9-18.8 9.9 3.6-21-15.2-14.8 21-3.1z"/>
</svg>`
}
