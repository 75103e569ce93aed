import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Answer, api } from '../helpers/api'
import { badge, levels, seedContainer, unique } from '../helpers/seed'

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
