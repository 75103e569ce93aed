import { html } from 'hono/html'
import { actions, belongs, checks } from './pageActions'
import { breakable, day, link, paragraphs, shell } from './pageLayout'
import {
  alignments,
  awardedBy,
  awardStatus,
  badgeHead,
  criteria,
  earnable,
  evidence,
  expiry,
  footer,
  notice,
  picture,
  reason,
  section,
  tags,
} from './pageParts'
import type { AwardPage, BadgePage, EndedPage, IssuerPage } from './pageTypes'

export { PAGE_POLICY } from './pageLayout'
export type * from './pageTypes'

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
    live: true,
  }
  const content = html`<article>
${badgeHead(badge, awardStatus(page), status === 'revoked')}
<div class="body">
<div class="side">
<dl class="facts">
${awardedBy(issuers)}
<div><dt>Awarded on</dt><dd>${day(page.issuedOn)}</dd></div>
${expiry(page)}
</dl>
${actions(page)}
</div>
<div class="sections">
${section('About this badge', paragraphs(badge.description))}
${section('How it was earned', paragraphs(page.narrative))}
${evidence(page.evidence ?? [])}
${criteria(badge)}
${alignments(badge)}
${tags(badge)}
${checks(page)}
${belongs(page)}
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
${page.email && html`<div><dt>Email</dt><dd class="light">${breakable(page.email)}</dd></div>`}
</dl>
<div class="sections">
${section('About', paragraphs(page.description))}
${earnable(page)}
</div>
</div>
</article>`
  return shell(head, content, footer(page))
}

const ENDINGS = {
  revoked: {
    word: 'Revoked',
    title: 'This badge was revoked',
    text: 'The organisation that awarded it has withdrawn it. It no longer counts as proof.',
  },
  suspended: {
    word: 'Suspended',
    title: 'This badge is suspended',
    text: 'The organisation that awarded it has suspended it. It does not count as proof until it is reinstated.',
  },
  renewed: {
    word: 'Renewed',
    title: 'This badge was renewed',
    text: 'Another award has taken its place.',
  },
} as const

/** The page of an award that has ended, or rests: says so, and nothing of the earner. */
export function endedPage(page: EndedPage): string {
  const { word, title, text } = ENDINGS[page.how]
  const content = html`<article class="plain">
<h1>${title}</h1>
${notice(page.how, word, html`${text}${reason(page.reason)}`)}
${page.next && html`<p>${link(page.next, 'See the award that counts now')}</p>`}
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
