import { html } from 'hono/html'
import { day, type Html, link, paragraphs, shell, webUrl } from './pageLayout'

export { PAGE_POLICY } from './pageLayout'

/** What a page says about one award. Every text is plain, as typed; times are in milliseconds. */
export type AwardPage = {
  /** This page's own absolute address. */
  url: string
  status: 'valid' | 'expired' | 'revoked'
  badge: {
    name: string
    strapline: string | null
    description: string
    image: string | null
    criteriaUrl: string
    criteria: { description: string; required: boolean }[]
    tags: string[]
    alignments: { name: string; url: string; description: string | null }[]
    url: string
  }
  /** From the one that awards, up to the system; at least one. */
  issuers: { name: string; url: string; pageUrl: string; image: string | null }[]
  issuedOn: number
  expires: number | null
  evidence?: { url: string | null; narrative: string | null }[]
  narrative?: string | null
  /** The Open Badges JSON of the same thing. */
  jsonUrl: string
  revocationReason?: string | null
}

/** What a page says about a badge class. */
export type BadgePage = Pick<AwardPage, 'url' | 'badge' | 'issuers' | 'jsonUrl'> & {
  archived: boolean
}

/** What a page says about a system, issuer or program. */
export type IssuerPage = {
  url: string
  name: string
  website: string
  description: string | null
  email: string | null
  image: string | null
  jsonUrl: string
}

/** What is left to say about a revoked award: nothing of the earner, nothing of the badge. */
export type RevokedPage = { url: string; revocationReason: string | null }

/** The page an earner shares: the badge, who awarded it and when, and whether it still holds. */
export function awardPage(page: AwardPage): string {
  const { badge, issuers, status } = page
  const head = {
    title: status === 'valid' ? badge.name : `${badge.name} (${status})`,
    description: badge.strapline || badge.description,
    url: page.url,
    jsonUrl: page.jsonUrl,
    image: badge.image,
    imageAlt: badge.name,
    siteName: issuers.at(-1)?.name,
  }
  const content = html`<article>
${badgeHead(badge, awardStatus(page), status === 'revoked')}
<div class="body">
<dl class="facts">
${awardedBy(issuers)}
<div><dt>Awarded on</dt><dd>${day(page.issuedOn)}</dd></div>
${expiry(page)}
</dl>
<div class="sections">
${section('About this badge', paragraphs(badge.description))}
${section('How it was earned', paragraphs(page.narrative))}
${evidence(page.evidence ?? [])}
${criteria(badge)}
${alignments(badge)}
${tags(badge)}
</div>
</div>
</article>`
  return shell(head, content, footer(page, link(badge.url, 'Badge page')))
}

/** The page of a badge class: what it is, what it takes, who awards it. */
export function badgePage(page: BadgePage): string {
  const { badge, issuers } = page
  const head = {
    title: badge.name,
    description: badge.strapline || badge.description,
    url: page.url,
    jsonUrl: page.jsonUrl,
    image: badge.image,
    imageAlt: badge.name,
    siteName: issuers.at(-1)?.name,
  }
  const archived =
    page.archived &&
    notice(
      'archived',
      'Archived',
      html`This badge is no longer awarded. Those already earned are not affected.`,
    )
  const content = html`<article>
${badgeHead(badge, archived)}
<div class="body">
<dl class="facts">${awardedBy(issuers)}</dl>
<div class="sections">
${section('About this badge', paragraphs(badge.description))}
${criteria(badge)}
${alignments(badge)}
${tags(badge)}
</div>
</div>
</article>`
  return shell(head, content, footer(page))
}

/** The page of a system, issuer or program. */
export function issuerPage(page: IssuerPage): string {
  const head = {
    title: page.name,
    description: page.description || `${page.name} awards Open Badges.`,
    url: page.url,
    jsonUrl: page.jsonUrl,
    image: page.image,
    imageAlt: page.name,
    siteName: page.name,
  }
  const image = picture(page.image, page.name)
  const content = html`<article>
<header class="head${image && ' pair'}">
${image && html`<div class="art">${image}</div>`}
<div>
<h1 dir="auto">${page.name}</h1>
<p class="strapline">Awards Open Badges</p>
</div>
</header>
<div class="body">
<dl class="facts">
${page.website.trim() && html`<div><dt>Website</dt><dd class="light">${link(page.website)}</dd></div>`}
${page.email && html`<div><dt>Email</dt><dd class="light">${page.email}</dd></div>`}
</dl>
<div class="sections">${section('About', paragraphs(page.description))}</div>
</div>
</article>`
  return shell(head, content, footer(page))
}

/** The page of a revoked award: says that it was revoked, and nothing of the earner. */
export function revokedPage(page: RevokedPage): string {
  const title = 'This badge was revoked'
  const text = 'The organisation that awarded it has withdrawn it. It no longer counts as proof.'
  const content = html`<article class="plain">
<h1>${title}</h1>
${notice('revoked', 'Revoked', html`${text}${reason(page.revocationReason)}`)}
</article>`
  return shell({ title, description: text, url: page.url, indexed: false }, content)
}

/** The page for a person who followed a dead link. */
export function notFoundPage(): string {
  const title = 'There is no page here'
  const text = 'The address may be mistyped, or the badge it led to is no longer published.'
  const content = html`<article class="plain">
<h1>${title}</h1>
<p>${text}</p>
<p class="soft">If somebody gave you this link, ask them for it again.</p>
</article>`
  return shell({ title, description: text, indexed: false }, content)
}

function badgeHead(badge: AwardPage['badge'], status: Html | false, faded = false): Html {
  return html`<header class="head pair">
<div class="art${faded && ' faded'}">${picture(badge.image, badge.name) ?? medal(badge.name)}</div>
<div>
<h1 dir="auto">${badge.name}</h1>
${badge.strapline && html`<p class="strapline" dir="auto">${badge.strapline}</p>`}
${status}
</div>
</header>`
}

function awardStatus({ status, expires, revocationReason }: AwardPage): Html {
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

function reason(text: string | null | undefined): Html | false {
  if (!text?.trim()) return false
  return html` <span>Reason given: <bdi>${text.trim()}</bdi></span>`
}

// The word and the sign both carry the meaning; the colour only repeats it.
const signs = {
  valid: 'M7 12.5l3.5 3.5L17 9',
  expired: 'M12 6.5V12l3.5 2.5',
  archived: 'M7 12h10',
  revoked: 'M8 8l8 8m0-8l-8 8',
}

function notice(kind: keyof typeof signs, word: string, text: Html): Html {
  return html`<div class="status ${kind}">
<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round"
 stroke-linejoin="round" aria-hidden="true"><circle cx="12" cy="12" r="10"/><path d="${signs[kind]}"/></svg>
<div><strong>${word}</strong><p>${text}</p></div>
</div>`
}

function expiry({ status, expires }: AwardPage): Html | false {
  if (expires === null) return status === 'valid' && html`<div><dt>Expires</dt><dd>Never</dd></div>`
  const term = { valid: 'Valid until', expired: 'Expired on', revoked: 'Expiry date' }[status]
  return html`<div><dt>${term}</dt><dd>${day(expires)}</dd></div>`
}

function awardedBy(issuers: AwardPage['issuers']): Html {
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

function section(title: string, content: Html[]): Html | false {
  return content.length > 0 && html`<section><h2>${title}</h2>${content}</section>`
}

function criteria({ criteria, criteriaUrl }: AwardPage['badge']): Html | false {
  const items = criteria.map(
    ({ description, required }) => html`<li>${paragraphs(description)}
<p class="soft small">${required ? 'Required' : 'Optional'}</p></li>`,
  )
  const parts: Html[] = []
  if (items.length > 0) parts.push(html`<ul class="points">${items}</ul>`)
  if (criteriaUrl.trim()) parts.push(html`<p>${link(criteriaUrl, 'Read the full criteria')}</p>`)
  return section('What it takes', parts)
}

function alignments({ alignments }: AwardPage['badge']): Html | false {
  const items = alignments.map(
    ({ name, url, description }) => html`<li>${link(url, name)}${paragraphs(description)}</li>`,
  )
  return items.length > 0 && section('Aligned with', [html`<ul class="points">${items}</ul>`])
}

function evidence(pieces: { url: string | null; narrative: string | null }[]): Html | false {
  const items = pieces
    .filter(({ url, narrative }) => url?.trim() || narrative?.trim())
    .map(({ url, narrative }) => {
      // Earners type these: search engines should not take them for our recommendation.
      const address = url?.trim() && html`<p>${link(url, undefined, 'nofollow ugc')}</p>`
      return html`<li>${paragraphs(narrative)}${address}</li>`
    })
  return items.length > 0 && section('Evidence', [html`<ul class="points">${items}</ul>`])
}

function tags({ tags }: AwardPage['badge']): Html | false {
  const items = tags.map((tag) => html`<li dir="auto">${tag}</li>`)
  return items.length > 0 && section('Tags', [html`<ul class="tags">${items}</ul>`])
}

function footer({ url, jsonUrl }: { url: string; jsonUrl: string }, more?: Html): Html {
  return html`<ul>${more && html`<li>${more}</li>`}
<li>${link(jsonUrl, 'Open Badges data')}</li></ul>
<p class="paper">${url}</p>`
}

function picture(address: string | null, alt: string): Html | undefined {
  const src = webUrl(address)
  if (!src) return undefined
  return html`<img src="${src}" alt="${alt}" referrerpolicy="no-referrer" decoding="async">`
}

function medal(name: string): Html {
  return html`<svg class="medal" viewBox="0 0 200 200" role="img" aria-label="${name}">
<path class="metal" d="M62 118 48 194l27-15 17 19 8-44 8 44 17-19 27 15-14-76z"/>
<circle class="beads" cx="100" cy="84" r="66" stroke-dasharray="0 17.279"/>
<circle class="metal" cx="100" cy="84" r="66"/>
<circle class="face" cx="100" cy="84" r="59"/>
<circle class="ring" cx="100" cy="84" r="49"/>
<path class="metal" d="m100 52 9.4 19.1 21 3.1-15.2 14.8 3.6 21-18.8-9.9-18.8 9.9 3.6-21-15.2-14.8 21-3.1z"/>
</svg>`
}
