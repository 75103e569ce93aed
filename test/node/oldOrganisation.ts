import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { awardSlug, writeDump } from './oldDump.mjs'

/** A PNG of 1×1 pixel, made long by data that no viewer looks at. */
export function png(padding = 0): Buffer {
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), data])
    const [length, crc] = [Buffer.alloc(4), Buffer.alloc(4)]
    length.writeUInt32BE(data.length)
    crc.writeUInt32BE(crc32(body) >>> 0)
    return Buffer.concat([length, body, crc])
  }
  const header = Buffer.from([0, 0, 0, 1, 0, 0, 0, 1, 8, 2, 0, 0, 0])
  const noise = Buffer.alloc(padding, Buffer.from(Array.from({ length: 256 }, (_, i) => i)))
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', Buffer.concat([Buffer.from('789c63000100000500010d0a2db4', 'hex'), noise])),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

const SVG = '<svg xmlns="http://www.w3.org/2000/svg"><title>It\'s "odd" \\</title></svg>'
export const LONG = png(300_000)
const hex = (bytes: Buffer | string) => ({ bytes: Buffer.from(bytes), form: 'hex' as const })
const binary = (bytes: Buffer | string) => ({ bytes: Buffer.from(bytes), form: 'binary' as const })
const plain = (bytes: Buffer | string) => ({ bytes: Buffer.from(bytes), form: 'plain' as const })
export const md5 = (text: string) => createHash('md5').update(text).digest('hex')

const badge = (
  id: number,
  slug: string,
  [systemId, issuerId, programId]: (number | null)[],
  more: {
    imageId?: number
    name?: string | null
    limit?: number | null
    type?: string | null
    archived?: number
  } = {},
) => [
  ...[
    id,
    slug,
    more.name === undefined ? `Badge ${id}` : more.name,
    null,
    'You did it.',
    'They did it.',
  ],
  ...[null, '', `https://city.example.org/${slug}`, 90, 'minutes', more.limit ?? null, 1],
  ...[more.archived ?? 0, '2014-05-21 19:22:09', more.imageId ?? 1, programId ?? null],
  ...[issuerId ?? null, systemId ?? null, more.type === undefined ? 'skill' : more.type, null],
]
const award = (
  id: number,
  badgeId: number,
  email: string | null,
  {
    slug = awardSlug(id),
    issuedOn = '2014-05-14 19:11:52',
    expires = null as string | null,
    code = null as string | null,
  } = {},
) => [id, slug, email, issuedOn, expires, code, badgeId]

/** A small organisation with each thing wrong that ten years of BadgeKit have left in databases. */
export const ORGANISATION = {
  systems: [
    [
      1,
      'city',
      'The City\'s "own"',
      'https://city.example.org',
      'Line one\nline two',
      'mayor@city.example.org',
      1,
    ],
    [2, 'town', 'Țown', 'https://town.example.org', null, '', 2],
    [3, 'CITY', 'Twice', 'https://twice.example.org', null, null, null],
  ],
  issuers: [
    [1, 'library', 'Library', 'https://library.example.org', null, null, 2, 1],
    [2, 'orphan', 'Orphan', 'https://orphan.example.org', null, null, null, 9],
    [3, 'museum', 'Museum', 'https://museum.example.org', 'Old things', null, 3, 1],
  ],
  programs: [
    [1, 'scratch', 'Scratch', 'https://scratch.example.org', null, null, 99, 1],
    [2, 'khan', 'Khan', 'https://khan.example.org', null, null, null, null],
    [3, 'lost', 'Lost', 'https://lost.example.org', null, null, null, 2],
  ],
  images: [
    [1, md5('1'), 'https://city.example.org/a.png', null, null],
    [2, md5('2'), null, 'image/png', binary(png())],
    [3, md5('3'), null, 'text/plain', plain(`<!DOCTYPE svg>${SVG}`)],
    [4, md5('4'), null, 'application/pdf', hex('%PDF-1.4')],
    [5, md5('5'), null, null, null],
    [6, md5('6'), 'https://city.example.org/unused.png', null, null],
    [7, md5('7'), null, 'image/png', hex(png())],
    [8, md5('8'), null, 'image/png', hex(png(1_600_000))],
    [9, md5('9'), null, 'image/png', binary(LONG)],
  ],
  badges: [
    badge(1, 'zine', [1, 1, 1], { imageId: 2, name: 'Zîne «1»', limit: 2 }),
    badge(2, 'reader', [1, 1, null], { imageId: 7 }),
    badge(3, 'walker', [2, null, null], { imageId: 2, limit: 0 }),
    badge(4, 'of-a-gone-system', [9, null, null]),
    badge(5, 'issuer-gone', [1, 77, null]),
    badge(6, 'program-gone', [1, 1, 77]),
    badge(7, 'no-system', [null, 1, null]),
    badge(8, 'Zine', [1, 1, null]),
    badge(9, 'issuer-elsewhere', [2, 1, null]),
    badge(10, 'bad-image', [1, null, null], { imageId: 4 }),
    badge(11, 'no-name', [1, null, null], { name: null }),
    badge(12, 'plain', [1, null, null], { imageId: 9, type: null, archived: 1 }),
    badge(13, 'program-only', [1, null, 1]),
    badge(14, 'program-elsewhere', [1, 3, 1], { imageId: 8 }),
  ],
  criteria: [
    [1, 1, 'Write it', null, 1],
    [2, 1, 'Print it', 'on paper', 0],
    [3, 4, 'Of a gone system', '', 0],
    [4, 999, 'Of nothing', '', 0],
    [5, 2, null, '', 0],
  ],
  alignments: [
    [1, 1, 'Standard', 'https://standards.example.org', null],
    [2, 1, 'No address', null, null],
    [3, 999, 'Of nothing', 'https://standards.example.org', null],
  ],
  categories: [
    [1, 1, 'Science'],
    [2, 1, ''],
    [3, 999, 'Of nothing'],
  ],
  tags: [
    [1, 1, 'fun'],
    [2, 999, 'lost'],
  ],
  claimCodes: [
    [1, 'code-1', 1, 'ada@example.org', 0, 1],
    [2, 'CODE-1', 0, null, 0, 1],
    [3, 'many', 0, null, 1, 1],
    [4, 'lost', 0, null, 0, 999],
  ],
  badgeInstances: [
    award(1, 1, 'Ada@example.org', { expires: '2034-05-14 19:11:52', code: 'code-1' }),
    award(2, 1, 'bo@example.org'),
    award(3, 1, 'cy@example.org'),
    award(4, 1, 'ADA@example.org'),
    award(5, 2, 'ada@example.org'),
    award(6, 2, 'bo@example.org', { slug: awardSlug(5) }),
    award(7, 999, 'lost@example.org'),
    award(8, 2, null),
    award(9, 3, 'ada@example.org', {
      issuedOn: '0000-00-00 00:00:00',
      expires: '0000-00-00 00:00:00',
    }),
    award(10, 8, 'ada@example.org', { slug: 'Chosen by hand' }),
  ],
  applications: [
    [1, md5('a1'), 1, 'di@example.org', '2014-06-01 10:00:00', null, null, null, 1, 1, 1],
    [
      2,
      md5('a1'),
      1,
      'ed@example.org',
      '2014-06-01 10:00:00',
      'eve@example.org',
      '2014-07-01 00:00:00',
      '2014-06-02 00:00:00',
      1,
      1,
      1,
    ],
    [
      3,
      md5('a3'),
      999,
      'lost@example.org',
      '2014-06-01 10:00:00',
      null,
      null,
      null,
      null,
      null,
      null,
    ],
  ],
  evidence: [
    [1, 1, 'https://example.org/e.png', 'image', 'See "this"\r\n\t\\ and \0 that'],
    [2, 3, null, null, 'lost'],
    [3, 999, 'https://example.org/lost.png', 'image', 'of a deleted application'],
  ],
  reviews: [
    [1, md5('r1'), 1, 'eve@example.org', null],
    [2, md5('r2'), 3, 'eve@example.org', null],
    [3, md5('r1'), 2, 'eve@example.org', 'Good'],
    [4, md5('r4'), 999, 'eve@example.org', 'of a deleted application'],
  ],
  reviewItems: [
    [1, 1, 1, 1, 'yes'],
    [2, 2, 1, 1, 'lost'],
    [3, 3, 4711, 0, null],
    [4, 4, 1, 1, 'of its review'],
    [5, 999, 1, 1, 'of a deleted review'],
  ],
  milestones: [
    [1, 1, 1, 2, null],
    [2, 1, 3, 1, 'issue'],
    [999, 1, 12, 1, 'queue-application'],
  ],
  milestoneBadges: [
    [1, 1, 5],
    [2, 1, 2],
    [3, 1, 3],
    [4, 2, 2],
  ],
  webhooks: [
    [1, 'https://hooks.example.org/', 'a webhook’s secret', 1],
    [2, 'http://10.0.0.1/', 'secret', 1],
    [3, 'https://gone.example.org/', 'secret', 9],
  ],
  consumers: [
    [1, 'radical', 's'.repeat(64), 'Radical', 1],
    [2, 'gone', 'secret', null, 9],
    [3, 'master', 'secret', null, 1],
  ],
  migrations: [[1, '20140101-initial', '2014-01-01 00:00:00']],
}

export const writeOrganisation = (path: string) => writeDump(path, ORGANISATION as never)

/** What becomes of it. */
export const EXPECTED = {
  changed: {
    badges: {
      'its issuer is gone: it stands right under its system': 1,
      'its program is gone: it stands right above it': 1,
      'it had no system: it is in its issuer’s': 1,
      'its slug is another badge’s of the system: it has a new one': 1,
      'its issuer is another system’s: it stands right under its system': 1,
      'its image is gone or cannot be kept: it has none': 2,
      'it had a program and no issuer: it has its program’s': 1,
      'its program is another issuer’s: it stands right above it': 1,
    },
    programs: { 'its image is gone or cannot be kept: it has none': 1 },
    badgeInstances: {
      'it has no date: it is of 1970-01-01': 1,
      'its earner has the badge twice: it is kept as a repetition': 1,
    },
    applications: { 'its slug is missing or another’s: it has a new one': 1 },
    reviews: { 'its slug is missing or another’s: it has a new one': 1 },
    webhooks: { 'its address is not https: it is switched off': 1 },
  },
  rejected: {
    systems: { 'another one has this slug': 1 },
    issuers: { 'its system is gone': 1 },
    programs: { 'its issuer is gone': 2 },
    images: {
      'it is not an image that can be served safely': 1,
      'it has neither an address nor bytes': 1,
      'nothing uses it': 1,
      'it is larger than 1,500,000 bytes': 1,
    },
    badges: { 'its system is gone': 1, 'it has no name': 1 },
    criteria: { 'its badge is gone': 2, 'it has no description': 1 },
    alignments: { 'its badge is gone': 1, 'it has no url': 1 },
    categories: { 'its badge is gone': 1, 'it is empty': 1 },
    tags: { 'its badge is gone': 1 },
    claimCodes: { 'its badge is gone': 1, 'its badge has this code already': 1 },
    badgeInstances: { 'its badge is gone': 1, 'it has no email': 1, 'another one has its slug': 1 },
    applications: { 'its badge is gone': 1 },
    evidence: { 'its application is gone': 2 },
    reviews: { 'its application is gone': 2 },
    reviewItems: { 'its review is gone': 3 },
    milestones: { 'its badge is another system’s': 1 },
    milestoneBadges: { 'its badge is another system’s': 1, 'its milestone is gone': 1 },
    webhooks: { 'its system is gone': 1 },
    consumers: { 'its system is gone': 1, 'its key is “master”, which is nobody’s': 1 },
  },
}
