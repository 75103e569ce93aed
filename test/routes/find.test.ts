import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Answer, api } from '../helpers/api'
import { badge, levels, seedBadge, seedContainer, unique } from '../helpers/seed'

/** What lists are asked for beside their pages. */

const nextOf = ({ headers }: Answer) =>
  /^<([^>]+)>; rel="next"$/.exec(headers.get('Link') ?? '')?.[1]

/** The entries of a list, and those of its pages of two, which must be the same. */
async function walked<T>(path: string, plural: string): Promise<T[]> {
  const whole = await api.get(path)
  expect(whole.status, JSON.stringify(whole.body)).toBe(200)
  const entries: T[] = []
  let next: string | undefined = `${path}&limit=2`
  while (next) {
    const answer: Answer = await api.get(next)
    expect(answer.body[plural].length).toBeLessThanOrEqual(2)
    entries.push(...answer.body[plural])
    next = nextOf(answer)
  }
  expect(entries).toEqual(whole.body[plural])
  const page = await api.get(`${path}&page=1&count=2`)
  expect(page.body[plural]).toEqual(entries.slice(0, 2))
  expect(page.body.pageData.total).toBe(entries.length)
  return entries
}

const refused = async (path: string, parameter: string) => {
  const { status, body } = await api.get(path)
  expect({ status, ...body }).toMatchObject({ status: 400, code: 'InvalidParameter', parameter })
}

describe.each(levels)('the badges of a $name', (level) => {
  let at: string
  const found = async (query: string) =>
    (await walked<{ name: string }>(`${at}/badges?${query}`, 'badges')).map(({ name }) => name)

  beforeAll(async () => {
    at = await seedContainer(level)
    const members = [
      { name: 'Zine, Maker', tags: ['Paper', 'fun'], categories: ['Craft'] },
      { name: 'apple 100%', tags: ['fun'], categories: ['Food', 'craft'], strapline: 'An a_b c' },
      { name: 'Éclair', consumerDescription: 'They baked 100 of PAPER', tags: ['food'] },
      { name: 'Birds', archived: true, tags: ['fun'] },
      { name: 'apple 100%', earnerDescription: 'You %paper%' },
    ]
    for (const more of members) {
      const made = await api.post(`${at}/badges`, { ...badge(unique('badge')), ...more })
      expect(made.status, JSON.stringify(made.body)).toBe(201)
    }
    // A stranger's, which nothing may find.
    const other = await seedContainer(level)
    const stranger = { ...badge(unique('badge')), name: 'Strange', tags: ['fun', 'Paper'] }
    await api.post(`${other}/badges`, { ...stranger, categories: ['Craft'] })
  })

  it.each([
    ['tag=FUN', ['Zine, Maker', 'apple 100%']],
    ['tag=fun&archived=any', ['Zine, Maker', 'apple 100%', 'Birds']],
    ['tag=fu', []],
    ['tag=fun&category=craft', ['Zine, Maker', 'apple 100%']],
    ['category=food', ['apple 100%']],
    ['search=paper', ['Zine, Maker', 'Éclair', 'apple 100%']],
    ['search=%20PAPER%20%20100', ['Éclair', 'apple 100%']],
    ['search=100%25', ['apple 100%', 'apple 100%']],
    ['search=a_b', ['apple 100%']],
    ['search=%25paper%25', ['apple 100%']],
    ['search=Éclair', ['Éclair']],
    ['search=value', []],
    [`search=${'made-of-more-than-fifty-bytes-'.repeat(6)}`, []],
    ['search=birds', []],
    ['search=birds&archived=true', ['Birds']],
    [
      'tag=&category=&search=&updatedSince=&sort=',
      ['Zine, Maker', 'apple 100%', 'Éclair', 'apple 100%'],
    ],
  ])('are found by ?%s', async (query, names) => {
    expect(await found(query)).toEqual(names)
  })

  it('come in the order asked for, in pages too', async () => {
    const names = ['apple 100%', 'apple 100%', 'Zine, Maker', 'Éclair']
    expect(await found('sort=name')).toEqual(names)
    expect(await found('sort=-name')).toEqual(names.toReversed())
    const { badges } = (await api.get(`${at}/badges`)).body
    const [zine, apple, eclair, last] = badges
    await api.post(`${at}/badges/${eclair.slug}/instances`, { email: 'a@example.org' })
    const slugs = async (sort: string) =>
      (await walked<{ slug: string }>(`${at}/badges?sort=${sort}`, 'badges')).map(
        ({ slug }) => slug,
      )
    const byAge = [zine, apple, eclair, last].map(({ slug }) => slug)
    expect(await slugs('awarded')).toEqual([zine, apple, last, eclair].map(({ slug }) => slug))
    expect(await slugs('-awarded')).toEqual([eclair, last, apple, zine].map(({ slug }) => slug))
    // As an import may leave them: the ages run against the ids.
    await env.DB.prepare('update badges set createdAt = 1000000 - id where id in (?, ?, ?, ?)')
      .bind(zine.id, apple.id, eclair.id, last.id)
      .run()
    expect(await slugs('created')).toEqual(byAge.toReversed())
    expect(await slugs('-created')).toEqual(byAge)
    await env.DB.prepare('update badges set updatedAt = 5000 where id in (?, ?)')
      .bind(zine.id, eclair.id)
      .run()
    await env.DB.prepare('update badges set updatedAt = 9000 where id in (?, ?)')
      .bind(apple.id, last.id)
      .run()
    const byChange = [zine, eclair, apple, last].map(({ slug }) => slug)
    expect(await slugs('updated')).toEqual(byChange)
    expect(await slugs('-updated')).toEqual(byChange.toReversed())
    expect(await found('updatedSince=1970-01-01T00:00:09.000Z')).toEqual([
      'apple 100%',
      'apple 100%',
    ])
    await api.put(`${at}/badges/${zine.slug}`, { strapline: 'Anew' })
    expect(await found(`updatedSince=1970-01-01T00:00:09.000Z`)).toHaveLength(3)
  })

  it('are not found by what is no filter', async () => {
    await refused(`${at}/badges?sort=id`, 'sort')
    await refused(`${at}/badges?updatedSince=soon`, 'updatedSince')
    await refused(`${at}/badges?search=${'a%20'.repeat(9)}`, 'search')
    await refused(`${at}/badges?search=${'a'.repeat(201)}`, 'search')
    await refused(`${at}/badges?sort=created&cursor=${btoa('name,1')}`, 'cursor')
    await refused(`${at}/badges?sort=name&cursor=${btoa('%E0%A4%A,1')}`, 'cursor')
    await refused(`${at}/badges?sort=name&cursor=${btoa('5')}`, 'cursor')
  })
})

describe.each(levels)('what hangs from the badges of a $name', (level) => {
  const DAYS = ['2026-01-05', '2026-01-01', '2026-01-03', '2026-01-02', '2026-01-04']
  const dayOf = (text: string) => text.slice(0, 10)
  let seed: Awaited<ReturnType<typeof seedBadge>>
  let other: string

  beforeAll(async () => {
    seed = await seedBadge(level, { unique: 0 })
    const made = await api.post(`${seed.container}/badges`, badge(unique('other')))
    other = `${seed.container}/badges/${made.body.badge.slug}`
    for (const [i, issuedOn] of DAYS.entries()) {
      const award = { email: `${i % 2}@example.org`, issuedOn, repeat: true }
      expect((await api.post(`${seed.path}/instances`, award)).status).toBe(201)
    }
    await api.post(`${other}/instances`, { email: '0@example.org', issuedOn: '2026-01-02' })
    await api.delete(`${seed.path}/instances/1@example.org`)
    for (const path of [seed.path, other, seed.path, seed.path]) {
      await api.post(`${path}/applications`, { learner: '0@example.org' })
    }
  })

  it.each([
    ['since=2026-01-02', ['2026-01-03', '2026-01-04', '2026-01-05']],
    ['until=2026-01-04', ['2026-01-01', '2026-01-03']],
    ['since=2026-01-01&until=2026-01-04', ['2026-01-01', '2026-01-03']],
    ['since=2026-01-01&state=revoked', ['2026-01-02']],
  ])('are awards, in the order of their dates, by ?%s', async (query, dates) => {
    type Award = { issuedOn: string }
    const found = await walked<Award>(`${seed.path}/instances?${query}`, 'instances')
    const own = found.map(({ issuedOn }) => dayOf(issuedOn))
    expect(own).toEqual(dates.filter((date) => own.includes(date)))
    const all = await walked<Award>(`${seed.container}/instances?${query}`, 'instances')
    const isOther = query.includes('revoked') ? [] : ['2026-01-02']
    expect(all.map(({ issuedOn }) => dayOf(issuedOn))).toEqual([...own, ...isOther])
    expect(own).toEqual(query.includes('revoked') ? [dates[0]] : dates)
  })

  it('are the awards of an earner, revoked ones too', async () => {
    const path = `${seed.container}/instances/1@example.org`
    const slugsOf = async (query: string) =>
      (await walked<{ issuedOn: string }>(`${path}?${query}`, 'instances')).map(({ issuedOn }) =>
        dayOf(issuedOn),
      )
    expect(await slugsOf('state=live')).toEqual(['2026-01-01'])
    expect(await slugsOf('state=revoked')).toEqual(['2026-01-02'])
    expect(await slugsOf('state=live&since=2026-01-02')).toEqual([])
  })

  it('are applications, by when they were made and changed', async () => {
    const { results } = await env.DB.prepare(
      'select id from applications where badgeId = ? order by id',
    )
      .bind(seed.badge.id)
      .all<{ id: number }>()
    const [first, second, third] = results.map(({ id }) => id)
    for (const [id, made, changed] of [
      ...[[first, 1_000, 9_000] as const, [second, 2_000, 8_000] as const],
      [third, 3_000, 7_000] as const,
    ]) {
      await env.DB.prepare('update applications set createdAt = ?, updatedAt = ? where id = ?')
        .bind(made, changed, id)
        .run()
    }
    const found = async (query: string, path = seed.path) =>
      (await walked<{ id: number }>(`${path}/applications?${query}`, 'applications')).map(
        ({ id }) => id,
      )
    const date = (ms: number) => new Date(ms).toISOString()
    expect(await found(`since=${date(2_000)}`)).toEqual([second, third])
    expect(await found(`until=${date(3_000)}`)).toEqual([first, second])
    expect(await found(`updatedSince=${date(7_000)}`)).toEqual([third, second, first])
    expect(await found(`updatedSince=${date(8_000)}&processed=false`)).toEqual([second, first])
    const several = `updatedSince=${date(8_000)}&since=${date(2_000)}&until=${date(9_000)}`
    expect(await found(several)).toEqual([second])
    expect(await found(`email=0@example.org&updatedSince=${date(8_000)}`)).toEqual([second, first])
    const all = await found(`updatedSince=${date(7_000)}`, seed.container)
    expect(all.slice(0, 3)).toEqual([third, second, first])
    expect(all).toHaveLength(4)
  })

  it('are codes, by whether they were claimed', async () => {
    for (const code of ['a', 'b', 'c', 'd']) await api.post(`${seed.path}/codes`, { code })
    await api.post(`${seed.path}/codes/b/claim`, {})
    const found = async (query: string) =>
      (await walked<{ code: string }>(`${seed.path}/codes?${query}`, 'claimCodes')).map(
        ({ code }) => code,
      )
    expect(await found('claimed=false')).toEqual(['a', 'c', 'd'])
    expect(await found('claimed=true')).toEqual(['b'])
    expect(await found('claimed=any')).toEqual(['a', 'b', 'c', 'd'])
    await refused(`${seed.path}/codes?claimed=maybe`, 'claimed')
  })

  it('are milestones, by a badge on either side', async () => {
    const third = (await api.post(`${seed.container}/badges`, badge(unique('third')))).body.badge
    const { slug: otherSlug, id: otherId } = (await api.get(other)).body.badge
    const pairs = [
      [seed.badge.id, otherId],
      [otherId, third.id],
      [seed.badge.id, third.id],
    ]
    const ids = []
    for (const [primaryBadgeId, support] of pairs) {
      const milestone = { primaryBadgeId, numberRequired: 1, supportBadges: [support] }
      ids.push((await api.post(`${seed.system}/milestones`, milestone)).body.milestone.id)
    }
    const found = async (slug: string) =>
      (await walked<{ id: number }>(`${seed.system}/milestones?badge=${slug}`, 'milestones')).map(
        ({ id }) => id,
      )
    expect(await found(otherSlug)).toEqual([ids[0], ids[1]])
    expect(await found(third.slug)).toEqual([ids[1], ids[2]])
    expect(await found('none')).toEqual([])
  })
})
