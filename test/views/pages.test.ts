import { describe, expect, it } from 'vitest'
import {
  type AwardPage,
  awardPage,
  type BadgePage,
  badgePage,
  endedPage,
  type IssuerPage,
  issuerPage,
  notFoundPage,
  PAGE_POLICY,
} from '../../src/views/pages'

const badge: AwardPage['badge'] = {
  name: 'Robot Maker',
  strapline: 'Builds working machines.',
  description: 'First paragraph.\n\nSecond paragraph,\nsecond line.',
  image: 'https://img.example.org/robot.png?a=1&b=2',
  criteriaUrl: 'https://robots.example.org/criteria',
  criteria: [
    { description: 'Builds a robot.', required: true },
    { description: 'Keeps a journal.', required: false },
  ],
  tags: ['robotics', 'public speaking'],
  alignments: [
    {
      name: 'Engineering Design',
      url: 'https://standards.example.org/1',
      description: 'Iterates.',
    },
  ],
  url: 'https://api.example.org/badge',
}

const award: AwardPage = {
  url: 'https://api.example.org/award',
  id: 'a1b2',
  status: 'valid',
  badge,
  issuers: [
    {
      name: 'Club',
      url: 'www.club.example.org',
      pageUrl: 'https://api.example.org/p',
      image: null,
    },
    {
      name: 'Library',
      url: 'https://library.example.org',
      pageUrl: 'https://api.example.org/i',
      image: 'https://img.example.org/library.png',
    },
    {
      name: 'City',
      url: 'https://city.example.org',
      pageUrl: 'https://api.example.org/s',
      image: null,
    },
  ],
  issuedOn: Date.UTC(2026, 0, 31, 23, 30),
  expires: Date.UTC(2028, 1, 29),
  evidence: [
    { url: 'https://video.example.org/run', narrative: 'The final run.' },
    { url: null, narrative: 'Pages 12 to 31.' },
    { url: null, narrative: null },
  ],
  narrative: 'Finished the course.',
  jsonUrl: 'https://api.example.org/award.json',
  files: {
    image: 'https://api.example.org/award/image',
    assertion2: 'https://api.example.org/v2',
    credential: 'https://api.example.org/v3',
    verify: 'https://api.example.org/verify',
  },
}

const classPage: BadgePage = {
  url: badge.url,
  badge,
  issuers: award.issuers,
  jsonUrl: 'https://api.example.org/badge.json',
  archived: false,
}

const issuer: IssuerPage = {
  url: 'https://api.example.org/i',
  name: 'Library',
  website: 'library.example.org',
  description: 'Rooms and books.',
  email: 'badges@library.example.org',
  image: 'https://img.example.org/library.png',
  jsonUrl: 'https://api.example.org/i.json',
  badges: [
    {
      name: 'Robot Maker',
      strapline: 'Builds working machines.',
      image: 'https://img.example.org/robot.png',
      url: 'https://api.example.org/badge',
    },
    { name: 'Reader', strapline: null, image: null, url: 'https://api.example.org/reader' },
  ],
  more: false,
}

const revoked = {
  url: award.url,
  how: 'revoked',
  reason: 'Awarded by mistake.',
  next: null,
} as const

const every = {
  award: awardPage(award),
  badge: badgePage(classPage),
  issuer: issuerPage(issuer),
  revoked: endedPage(revoked),
  suspended: endedPage({ ...revoked, how: 'suspended' }),
  renewed: endedPage({ ...revoked, how: 'renewed', reason: null, next: issuer.url }),
  'not found': notFoundPage(),
}

describe.each(Object.entries(every))('the %s page', (_, page) => {
  it('is one whole document in English, with one main and one h1', () => {
    expect(page).toMatch(/^<!doctype html>\n<html lang="en">/)
    expect(page.match(/<main>/g)).toHaveLength(1)
    expect(page.match(/<h1[ >]/g)).toHaveLength(1)
    expect(page.trim()).toMatch(/<\/html>$/)
  })

  it('shows its title to people and to link previews', () => {
    expect(page).toMatch(/<title>[^<]+<\/title>/)
    expect(page).toMatch(/<meta property="og:title" content="[^"]+">/)
    expect(page).toMatch(/<meta property="og:description" content="[^"]+">/)
    expect(page).toContain('<meta property="og:type" content="website">')
    expect(page).toContain('<meta name="twitter:card" content="summary">')
  })

  it('handles and styles nothing inline and leaves no value unrendered', () => {
    expect(page).not.toMatch(/<script[^>]|\son\w+=|\sstyle=|<iframe/i)
    expect(page.replace(/<script>.*<\/script>/s, '')).not.toMatch(/\[object|undefined|NaN/)
  })

  it('needs no script: its controls wait in templates', () => {
    const still = page.replace(/<template>.*?<\/template>/gs, '')
    expect(still).not.toMatch(/<form|<button|<input/)
  })

  it('carries exactly the style that the policy allows', async () => {
    const style = page.match(/<style>(.*?)<\/style>/s)?.[1] ?? ''
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(style))
    const hash = btoa(String.fromCharCode(...new Uint8Array(digest)))
    expect(PAGE_POLICY).toContain(`style-src 'sha256-${hash}'`)
  })
})

it('only the page of an award carries the script, and exactly the one that the policy allows', async () => {
  const script = every.award.match(/<script>(.*?)<\/script>/s)?.[1] ?? ''
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(script))
  const hash = btoa(String.fromCharCode(...new Uint8Array(digest)))
  expect(PAGE_POLICY).toContain(`script-src 'sha256-${hash}'`)
  const { award: _, ...others } = every
  for (const page of Object.values(others)) expect(page).not.toContain('<script')
})

describe('the policy', () => {
  it('allows images, our style, our script and what that asks us for, and nothing else', () => {
    expect(PAGE_POLICY.replace(/'sha256-[^']+'/g, 'HASH').split('; ')).toEqual([
      "default-src 'none'",
      'style-src HASH',
      'script-src HASH',
      "connect-src 'self'",
      'img-src https: http: data:',
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ])
  })
})

describe('hostile text', () => {
  const evil = `"><script>alert('1')</script><img src=x onerror=alert(1)>&amp;`
  const evilIssuers = [{ name: evil, url: evil, pageUrl: evil, image: evil }]
  const evilBadge = {
    name: evil,
    strapline: evil,
    description: evil,
    image: evil,
    criteriaUrl: evil,
    criteria: [{ description: evil, required: true }],
    tags: [evil],
    alignments: [{ name: evil, url: evil, description: evil }],
    url: evil,
  }
  const evilAward: AwardPage = {
    ...award,
    url: evil,
    status: 'revoked',
    badge: evilBadge,
    issuers: evilIssuers,
    evidence: [{ url: evil, narrative: evil }],
    narrative: evil,
    jsonUrl: evil,
    revocationReason: evil,
    id: evil,
    files: { image: evil, assertion2: evil, credential: evil, verify: evil },
  }
  const withoutScript = (page: string) => page.replace(/<script>.*?<\/script>\n<\/body>/s, '')
  const pages = {
    award: withoutScript(awardPage(evilAward)),
    'valid award': withoutScript(awardPage({ ...evilAward, status: 'valid' })),
    badge: badgePage({ ...evilAward, archived: true }),
    issuer: issuerPage({
      url: evil,
      name: evil,
      website: evil,
      description: evil,
      email: evil,
      image: evil,
      jsonUrl: evil,
      badges: [{ name: evil, strapline: evil, image: evil, url: evil }],
      more: true,
    }),
    ended: endedPage({ url: evil, how: 'revoked', reason: evil, next: evil }),
  }

  it.each(Object.entries(pages))('stays text on the %s page', (_, page) => {
    expect(page).not.toMatch(/<script|<img/)
    expect(page).not.toContain(`alert('1')`)
    expect(page).toContain('&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;')
    expect(page).toContain('&amp;amp;')
  })

  const schemes = [
    'javascript:alert(1)',
    ' JavaScript:alert(1)',
    'java\nscript:alert(1)',
    'data:text/html,hello',
    'vbscript:x',
    'ftp://files.example.org',
    'file:///etc/passwd',
    '//other.example.org/x',
  ]

  it.each(schemes)('never becomes an address: %j', (address) => {
    const page = awardPage({
      ...award,
      badge: {
        ...badge,
        image: address,
        criteriaUrl: address,
        alignments: [{ name: 'Design', url: address, description: null }],
      },
      issuers: [{ name: 'Club', url: address, pageUrl: award.url, image: address }],
      evidence: [{ url: address, narrative: null }],
    })
    const scheme = address.trim().slice(0, 6).toLowerCase()
    // The page's own icon is a data: address, in the head; look at what people can click.
    const content = page.slice(page.indexOf('<main>'))
    const addresses = [...content.matchAll(/(?:href|src)="\s*([^"]*)"/g)].map((match) => match[1])
    expect(addresses).not.toHaveLength(0)
    for (const found of addresses) expect(found?.toLowerCase().startsWith(scheme)).toBe(false)
    expect(page).not.toContain('og:image')
    expect(content).toContain(`Read the full criteria (${address.trim()})`)
    expect(content).toContain(`Design (${address.trim()})`)
    expect(issuerPage({ ...issuer, website: address })).toContain(`>${address.trim()}</span>`)
  })
})

describe('addresses', () => {
  it('links an address without a scheme over http', () => {
    expect(every.award).toContain('href="http://www.club.example.org/"')
    expect(every.award).toContain('>www<wbr>.club<wbr>.example<wbr>.org</a>')
    expect(every.issuer).toContain('href="http://library.example.org/"')
    const page = badgePage({
      ...classPage,
      badge: { ...badge, criteriaUrl: 'münchen.example.org:8080/a?b=1#c' },
    })
    expect(page).toContain('href="http://xn--mnchen-3ya.example.org:8080/a?b=1#c"')
  })

  it('keeps the scheme that was typed', () => {
    expect(every.award).toContain('href="https://robots.example.org/criteria"')
    expect(every.award).toContain('href="https://library.example.org/"')
  })

  it('tells search engines that evidence is no recommendation of ours', () => {
    expect(every.award).toContain('href="https://video.example.org/run" rel="nofollow ugc"')
  })
})

describe('the status of an award', () => {
  it('says in words that it is valid, and until when', () => {
    expect(every.award).toContain('<strong>Valid</strong>')
    expect(text(every.award)).toContain('This badge is valid until 29 February 2028.')
    expect(every.award).not.toMatch(/Expired|Revoked/)
  })

  it('says when it never expires', () => {
    const page = text(awardPage({ ...award, expires: null }))
    expect(page).toContain('This badge is valid and does not expire.')
    expect(page).toContain('Expires Never')
  })

  it('says that it expired, and when, in the page and in previews', () => {
    const page = awardPage({ ...award, status: 'expired' })
    expect(page).toContain('<strong>Expired</strong>')
    expect(text(page)).toContain('This badge expired on 29 February 2028.')
    expect(page).toContain('<meta property="og:title" content="Robot Maker (expired)">')
    expect(page).not.toContain('<strong>Valid</strong>')
  })

  it('says that it was revoked, and why, in the page and in previews', () => {
    const page = awardPage({ ...award, status: 'revoked', revocationReason: 'Awarded by mistake.' })
    expect(page).toContain('<strong>Revoked</strong>')
    expect(text(page)).toContain('This badge was revoked by the organisation that awarded it.')
    expect(text(page)).toContain('Reason given: Awarded by mistake.')
    expect(page).toContain('<meta property="og:title" content="Robot Maker (revoked)">')
    expect(page).not.toMatch(/<strong>Valid|Valid until/)
  })

  it('claims no reason for a revocation when none was given', () => {
    const page = awardPage({ ...award, status: 'revoked', revocationReason: ' ' })
    expect(page).not.toContain('Reason given')
  })
})

describe('the award page', () => {
  it('leaves nothing out', () => {
    const page = text(every.award)
    const shown = [
      badge.name,
      badge.strapline,
      'First paragraph.',
      'Second paragraph, second line.',
      'Builds a robot. Required',
      'Keeps a journal. Optional',
      'Read the full criteria',
      'robotics',
      'public speaking',
      'Engineering Design',
      'Iterates.',
      'Club www.club.example.org part of Library library.example.org part of City',
      'Awarded on 31 January 2026',
      'Valid until 29 February 2028',
      'The final run.',
      'video.example.org/run',
      'Pages 12 to 31.',
      'Finished the course.',
      'Open Badges data',
    ]
    for (const words of shown) expect(page).toContain(words)
    expect(every.award).not.toMatch(/\shidden[\s>]|aria-hidden="true"[^>]*><p/)
  })

  it('gives machines the exact instant and people the day in UTC', () => {
    expect(every.award).toContain(
      '<time datetime="2026-01-31T23:30:00.000Z">31 January 2026</time>',
    )
  })

  it('tells previews, search engines and badge tools where everything is', () => {
    const expected = [
      '<title>Robot Maker – City</title>',
      '<link rel="canonical" href="https://api.example.org/award">',
      '<link rel="alternate" type="application/ld+json" href="https://api.example.org/award.json">',
      '<meta property="og:title" content="Robot Maker">',
      '<meta property="og:description" content="Builds working machines.">',
      '<meta property="og:url" content="https://api.example.org/award">',
      '<meta property="og:image" content="https://img.example.org/robot.png?a=1&amp;b=2">',
      '<meta property="og:image:alt" content="Robot Maker">',
      '<meta property="og:site_name" content="City">',
    ]
    for (const tag of expected) expect(every.award).toContain(tag)
    expect(every.award).not.toContain('noindex')
  })

  it('cuts a long description between words for previews, never through a character', () => {
    const description = `${'word '.repeat(38)}${'👩🏽‍🚀'.repeat(40)}`
    const page = awardPage({ ...award, badge: { ...badge, strapline: null, description } })
    const preview = page.match(/og:description" content="([^"]*)"/)?.[1] ?? ''
    expect([...preview].length).toBeLessThanOrEqual(200)
    expect(preview).toMatch(/…$/)
    expect(preview.isWellFormed()).toBe(true)
  })

  it('shows the badge image under its name, and tells its host nothing', () => {
    expect(every.award).toContain(
      '<img src="https://img.example.org/robot.png?a=1&amp;b=2" alt="Robot Maker" referrerpolicy="no-referrer"',
    )
    expect(every.award).not.toContain('class="medal"')
  })

  it('draws a medal when the badge has no image', () => {
    const page = awardPage({ ...award, badge: { ...badge, image: null } })
    expect(page).toMatch(/<svg class="medal"[^>]* role="img" aria-label="Robot Maker">/)
    expect(page).not.toContain('og:image')
  })

  it('leaves out the headings of what it has nothing to say about', () => {
    const page = awardPage({
      ...award,
      badge: { ...badge, criteriaUrl: '', criteria: [], tags: [], alignments: [] },
      evidence: [{ url: ' ', narrative: '' }],
      narrative: undefined,
    })
    expect([...page.matchAll(/<h2>(.*?)<\/h2>/g)].map((match) => match[1])).toEqual([
      'About this badge',
      'Is it genuine?',
      'Whose is it?',
    ])
    expect(page).not.toContain('<ul class="points">')
  })
})

describe('what can be done with an award', () => {
  it('is to take its image and its credential along', () => {
    expect(every.award).toContain('href="https://api.example.org/award/image" download')
    expect(every.award).toContain(
      'href="https://api.example.org/v3?as=json" download="Robot-Maker.json"',
    )
    expect(every.award).not.toContain('cannot carry')
  })

  it('says so when the image cannot carry a credential', () => {
    const page = awardPage({ ...award, files: { ...award.files, image: null } })
    expect(text(page)).toContain('The image of this badge cannot carry a credential')
    expect(page).not.toContain('Download badge image')
  })

  it('is to add it to LinkedIn, with all that its form asks for', () => {
    const href = every.award.match(/href="(https:\/\/www\.linkedin[^"]*)"/)?.[1] ?? ''
    expect(Object.fromEntries(new URL(href.replaceAll('&amp;', '&')).searchParams)).toEqual({
      startTask: 'CERTIFICATION_NAME',
      name: 'Robot Maker',
      organizationName: 'Club',
      issueYear: '2026',
      issueMonth: '1',
      expirationYear: '2028',
      expirationMonth: '2',
      certUrl: award.url,
      certId: 'a1b2',
    })
    expect(awardPage({ ...award, expires: null })).not.toContain('expirationYear')
  })

  it('is nothing once it was revoked', () => {
    expect(awardPage({ ...award, status: 'revoked' })).not.toMatch(/download|LinkedIn/)
  })

  it('is to check each step by itself, and the address that it belongs to', () => {
    for (const words of ['Document', 'Signature', 'Issuer', 'Status', 'Dates']) {
      expect(every.award).toMatch(new RegExp(`<b>Not checked</b><strong>${words}</strong>`))
    }
    expect(every.award).toContain('<label for="email">Email address</label>')
  })
})

describe('the badge page', () => {
  it('says what it takes and who awards it, and nothing about one award', () => {
    const page = text(every.badge)
    expect(page).toContain('Builds a robot. Required')
    expect(page).toContain('Awarded by Club')
    expect(page).not.toMatch(/Awarded on|Valid|Evidence|Archived/)
  })

  it('says when the badge is no longer awarded', () => {
    const page = badgePage({ ...classPage, archived: true })
    expect(page).toContain('<strong>Archived</strong>')
    expect(text(page)).toContain('This badge is no longer awarded.')
  })
})

describe('the issuer page', () => {
  it('shows name, website, e-mail address, description and image', () => {
    const page = text(every.issuer)
    for (const words of ['Library', 'library.example.org', issuer.email, 'Rooms and books.']) {
      expect(page).toContain(words)
    }
    expect(every.issuer).toContain('src="https://img.example.org/library.png" alt="Library"')
    expect(every.issuer).toContain('<title>Library</title>')
  })

  it('does without an image, a description and an e-mail address', () => {
    const none = { image: null, description: null, email: null, badges: [] }
    const page = issuerPage({ ...issuer, ...none })
    expect(page).not.toMatch(/<img|<svg|<dt>Email|<h2>/)
    expect(page).toContain('content="Library awards Open Badges."')
  })
})

describe('what can be earned', () => {
  it('stands on the page of who awards it, each with its page', () => {
    const page = text(every.issuer)
    expect(page).toContain('What can be earned')
    expect(page).toContain('Robot Maker Builds working machines.')
    expect(every.issuer).toContain(
      '<a href="https://api.example.org/badge" dir="auto">Robot Maker</a>',
    )
    expect(every.issuer).toContain('<a href="https://api.example.org/reader" dir="auto">Reader</a>')
    expect(page).not.toContain('of more')
    expect(text(issuerPage({ ...issuer, more: true }))).toContain('These are the newest of more.')
  })
})

describe('the page of a revoked badge', () => {
  it('says so, gives the reason, and asks search engines to forget it', () => {
    expect(every.revoked).toContain('<h1>This badge was revoked</h1>')
    expect(text(every.revoked)).toContain('Reason given: Awarded by mistake.')
    expect(every.revoked).toContain('<meta name="robots" content="noindex">')
    expect(endedPage({ ...revoked, reason: null })).not.toContain('Reason given')
  })

  it('tells a suspension and a renewal from it, and leads to the award that counts', () => {
    expect(every.suspended).toContain('<h1>This badge is suspended</h1>')
    expect(text(every.suspended)).toContain('until it is reinstated')
    expect(every.renewed).toContain('<h1>This badge was renewed</h1>')
    expect(every.renewed).toContain(`href="${issuer.url}"`)
    expect(every.suspended).not.toContain('See the award')
  })
})

describe('the page of a dead link', () => {
  it('claims no address, and is not for search engines', () => {
    expect(every['not found']).toContain('<meta name="robots" content="noindex">')
    expect(every['not found']).not.toMatch(/canonical|og:url|og:site_name/)
  })
})

/** What a person reads: the content without its tags, in single spaces. */
function text(page: string) {
  const content = page.slice(page.indexOf('<main>'))
  return content
    .replace(/<\/?(?:time|bdi|strong|wbr|a)[^>]*>/g, '')
    .replace(/<[^>]+>/g, ' ')
    .replace(/\s+/g, ' ')
}
