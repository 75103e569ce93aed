import { env, exports } from 'cloudflare:workers'
import { beforeAll, describe, expect, it } from 'vitest'
import { api, ORIGIN, sign } from '../helpers/api'
import { levels, seedBadge, unique } from '../helpers/seed'

/** Lists as files, and the lists of awards by what has become of them. */

const [system] = levels
type File = { status: number; type: string; name: string; text: string }

/** Fetches a list as a file, unread. */
async function file(path: string): Promise<File> {
  const token = await sign('GET', path, undefined)
  const response = await exports.default.fetch(ORIGIN + path, {
    headers: { Authorization: `JWT token="${token}"` },
  })
  return {
    status: response.status,
    type: response.headers.get('Content-Type') ?? '',
    name: response.headers.get('Content-Disposition') ?? '',
    text: await response.text(),
  }
}
const linesOf = (text: string) => text.split('\n').filter((line) => line !== '')
const emailsOf = (body: { instances: { email: string }[] }) =>
  body.instances.map(({ email }) => email)

describe.each(levels)('a list in a $name, as a file', (level) => {
  let seed: Awaited<ReturnType<typeof seedBadge>>
  beforeAll(async () => {
    seed = await seedBadge(level)
    await api.post(`${seed.path}/instances`, {
      email: 'ada@example.org',
      issuedOn: '2020-01-02T03:04:05.000Z',
      narrative: 'Bound, "sewn",\nand printed',
      evidence: ['https://example.org/1', { url: 'https://example.org/2', name: 'Two' }],
    })
    await api.post(`${seed.path}/instances`, { email: 'bo@example.org' })
    await api.post(`${seed.path}/codes`, { code: '=SUM(A1)' })
    await api.post(`${seed.path}/codes`, { code: 'plain', email: 'cy@example.org' })
    await api.post(`${seed.path}/applications`, {
      learner: 'di@example.org',
      evidence: [{ url: 'https://example.org/3', mediaType: 'link' }],
    })
  })

  it.each([
    ['instances', '/instances'],
    ['the instances of a badge', '{B}/instances'],
    ['the instances of an earner', '/instances/ada@example.org'],
    ['applications', '/applications'],
    ['the applications for a badge', '{B}/applications'],
  ])('has of %s, as NDJSON, what the API lists, an entry a line', async (_what, suffix) => {
    const path = suffix.startsWith('{B}')
      ? seed.path + suffix.slice(3)
      : `${seed.container}${suffix}`
    const { body } = await api.get(path)
    const [plural, entries] = Object.entries(body).find(([, one]) => Array.isArray(one)) ?? []
    const { status, type, name, text } = await file(`${path}?format=ndjson`)
    expect({ status, type }).toEqual({ status: 200, type: 'application/x-ndjson' })
    expect(name).toBe(`attachment; filename="${plural}.ndjson"`)
    expect(linesOf(text).map((line) => JSON.parse(line))).toEqual(entries)
    expect((await api.get(`${path}?format=json`)).body).toEqual(body)
  })

  it('has of awards, as CSV, a line of names and a line for each', async () => {
    const { instances } = (await api.get(`${seed.path}/instances`)).body
    const { type, text } = await file(`${seed.container}/instances?format=csv`)
    expect(type).toBe('text/csv; charset=utf-8')
    const [ada, bo] = instances
    expect(text).toBe(
      [
        'slug,badge,email,issuedOn,expires,claimCode,narrative,evidence,assertionUrl,revoked,revocationReason,suspended,suspensionReason',
        `${ada.slug},${seed.badge.slug},ada@example.org,2020-01-02T03:04:05.000Z,,,"Bound, ""sewn"",\nand printed",https://example.org/1 https://example.org/2,${ada.assertionUrl},,,,`,
        `${bo.slug},${seed.badge.slug},bo@example.org,${bo.issuedOn},,,,,${bo.assertionUrl},,,,`,
        '',
      ].join('\r\n'),
    )
  })

  it('has of codes and applications what they are, and no formula', async () => {
    const terms = 'uses,remaining,validFrom,validUntil,maxUses,reserved,claimUrl'
    expect((await file(`${seed.path}/codes?format=csv`)).text).toBe(
      [
        `code,claimed,email,multiuse,${terms}`,
        "'=SUM(A1),false,,false,0,1,,,,false,",
        'plain,false,cy@example.org,false,0,1,,,,false,',
        '',
      ].join('\r\n'),
    )
    const [application] = (await api.get(`${seed.path}/applications`)).body.applications
    expect((await file(`${seed.container}/applications?format=csv`)).text).toBe(
      [
        'slug,badge,learner,created,assignedTo,assignedExpiration,processed,evidence',
        `${application.slug},${seed.badge.slug},di@example.org,${application.created},,,,https://example.org/3`,
        '',
      ].join('\r\n'),
    )
  })
})

describe('a list as a file', () => {
  it('is whole, however long it is', async () => {
    const seed = await seedBadge(system)
    const emails = Array.from({ length: 2_500 }, (_, n) => `earner-${n}@example.org`)
    await api.post(`${seed.path}/instances/bulk`, { emails })
    for (const path of [`${seed.path}/instances`, `${seed.container}/instances`]) {
      const { text } = await file(`${path}?format=ndjson`)
      const held = linesOf(text).map((line) => JSON.parse(line).email)
      expect(held).toEqual(emails)
      expect(linesOf((await file(`${path}?format=csv`)).text)).toHaveLength(1 + emails.length)
    }
  })

  it('has nothing but its names if the list is empty', async () => {
    const seed = await seedBadge(system)
    expect((await file(`${seed.container}/applications?format=csv`)).text).toBe(
      'slug,badge,learner,created,assignedTo,assignedExpiration,processed,evidence\r\n',
    )
    expect((await file(`${seed.path}/codes?format=ndjson`)).text).toBe('')
  })

  it('is none of another kind, and none of what is not there', async () => {
    const seed = await seedBadge(system)
    const { status, body } = await api.get(`${seed.path}/instances?format=xlsx`)
    expect({ status, body }).toMatchObject({
      status: 400,
      body: {
        code: 'InvalidParameter',
        message: "Invalid `format` parameter. Expecting one of 'json', 'csv', 'ndjson'.",
      },
    })
    const missing = await api.get(`${seed.path}x/codes?format=csv`)
    expect([missing.status, missing.body.code]).toEqual([404, 'ResourceNotFound'])
  })
})

describe.each(levels)('the awards in a $name', (level) => {
  const others = ['p1@example.org', 'p2@example.org', 'p3@example.org', 'p4@example.org']
  let seed: Awaited<ReturnType<typeof seedBadge>>
  let second: string
  beforeAll(async () => {
    seed = await seedBadge(level)
    await seedBadge(level)
    const made = await api.post(`${seed.container}/badges`, {
      ...seed.badge,
      slug: unique('second'),
      image: 'https://example.org/second.png',
      criteria: [],
    })
    second = `${seed.container}/badges/${made.body.badge.slug}`
    for (const path of [second, seed.path]) {
      await api.post(`${path}/instances/bulk`, { emails: others, issuedOn: '2020-05-01' })
    }
    await api.post(`${seed.path}/instances`, { email: 'old@example.org', expires: '2001-01-01' })
    for (const [path, email] of [
      [second, 'p3@example.org'],
      [seed.path, 'p2@example.org'],
      [seed.path, 'p4@example.org'],
      [seed.path, 'p1@example.org'],
    ]) {
      await api.delete(`${path}/instances/${email}?reason=Sorry`)
    }
    // Of the three ends in one badge the last two are of one moment.
    await env.DB.prepare(
      `update badgeInstances set revokedAt = case email when 'p2@example.org' then 1500000000000 else 1600000000000 end
       where revokedAt is not null and badgeId in (select id from badges where slug = ?)`,
    )
      .bind(seed.badge.slug)
      .run()
  })

  const [first, , third, fourth] = others
  it.each([
    ['', [third, 'old@example.org', first, 'p2@example.org', fourth]],
    ['state=live', [third, 'old@example.org', first, 'p2@example.org', fourth]],
    ['state=valid', [third, first, 'p2@example.org', fourth]],
    ['state=expired', ['old@example.org']],
    ['state=revoked', ['p2@example.org', first, fourth, third]],
    ['since=2020-05-02', ['old@example.org']],
    ['until=2020-05-02', [third, first, 'p2@example.org', fourth]],
    ['state=revoked&until=2020-05-01', []],
    // Those of a stretch of time stand in the order of their dates.
    ['state=revoked&since=2020-05-01', [first, 'p2@example.org', fourth, third]],
  ])('are listed by what has become of them: %s', async (query, emails) => {
    const path = `${seed.container}/instances`
    const { status, body } = await api.get(`${path}?${query}`)
    expect(status).toBe(200)
    expect(emailsOf(body)).toEqual(emails)
    for (const { badge, revoked, revocationReason } of body.instances) {
      expect(badge.slug).toMatch(/^(?:badge|second)-/)
      const isRevoked = query.includes('revoked')
      expect([typeof revoked, revocationReason]).toEqual(
        isRevoked ? ['string', 'Sorry'] : ['undefined', undefined],
      )
    }
    const page = await api.get(`${path}?page=1&count=2&${query}`)
    expect(page.body.pageData).toEqual({ page: 1, count: 2, total: emails.length })
    expect(emailsOf(page.body)).toEqual(emails.slice(0, 2))
    expect(await paged(`${path}?limit=1&${query}`)).toEqual(emails)
  })

  it('of one badge are listed so as well', async () => {
    const path = `${seed.path}/instances`
    for (const [query, emails] of [
      ['', [third, 'old@example.org']],
      ['state=expired', ['old@example.org']],
      ['state=revoked', ['p2@example.org', first, fourth]],
      ['since=2020-05-02', ['old@example.org']],
    ] as const) {
      const { body } = await api.get(`${path}?page=1&count=9&${query}`)
      expect(emailsOf(body), query).toEqual(emails)
      expect(body.pageData.total, query).toBe(emails.length)
      expect(await paged(`${path}?limit=1&${query}`)).toEqual(emails)
    }
  })

  it.each(['state=gone', 'since=soon', 'until=soon'])('are not listed by %s', async (query) => {
    for (const path of [seed.container, seed.path]) {
      const { status, body } = await api.get(`${path}/instances?${query}`)
      expect([status, body.code]).toEqual([400, 'InvalidParameter'])
    }
  })
})

/** The emails of all pages, by their links. */
async function paged(start: string): Promise<string[]> {
  const found: string[] = []
  for (let path: string | undefined = start; path; ) {
    const answer = await api.get(path)
    found.push(...emailsOf(answer.body))
    path = /<([^>]+)>/.exec(answer.headers.get('Link') ?? '')?.[1]
  }
  return found
}
