import { env } from 'cloudflare:workers'
import { beforeEach, describe, expect, it } from 'vitest'
import { call, count } from '../helpers/calls'
import { MINUTE, startCalm } from '../helpers/deliveries'
import { levels, rows, seedBadge, unique } from '../helpers/seed'

startCalm()

/** What reviewers find before they review: what waits, who has it, who applies. */

type Seed = Awaited<ReturnType<typeof seedBadge>>
type Shown = { slug: string; assignedTo: string | null; assignedExpiration: string | null }

const [atSystem, , atProgram] = levels
let seed: Seed
const someone = () => `${unique('r')}@example.org`

async function apply(path = seed.path, learner = someone()): Promise<string> {
  const { status, body } = await call('POST', `${path}/applications`, { learner })
  expect(status).toBe(201)
  return body.application.slug
}
const assign = (slug: string, given: object) =>
  call('POST', `${seed.path}/applications/${slug}/assign`, given)
async function queue(path = seed.container, query = '') {
  const { status, body } = await call('GET', `${path}/applications/queue${query}`)
  expect(status).toBe(200)
  return (body.applications as Shown[]).map(({ slug }) => slug)
}
/** Another badge in a container. */
async function badgeIn(path: string): Promise<string> {
  const { body } = await call('POST', `${path}/badges`, {
    ...{ slug: unique('queued'), name: 'Queued', unique: 0 },
    ...{ earnerDescription: 'x', consumerDescription: 'x' },
    ...{ criteriaUrl: 'https://example.org/', image: 'https://example.org/i.png' },
  })
  return `${path}/badges/${body.badge.slug}`
}

describe.each(levels)('the queue of a $name', (level) => {
  beforeEach(async () => {
    seed = await seedBadge(level)
  })

  it('shows what waits for any badge in it, the oldest first, page by page', async () => {
    const other = await badgeIn(seed.container)
    const slugs = [await apply(other), await apply(), await apply(other), await apply()]
    for (const [i, slug] of slugs.entries()) {
      // Two of one moment stand in the order of their making.
      await env.DB.prepare('update applications set createdAt = ? where slug = ?')
        .bind(1_000 + (i >> 1), slug)
        .run()
    }
    expect(await queue()).toEqual(slugs)
    const ended = { processed: new Date().toISOString() }
    await call('PUT', `${other}/applications/${slugs[2]}`, ended)
    const left = slugs.filter((_slug, i) => i !== 2)
    expect(await queue()).toEqual(left)
    const first = await call('GET', `${seed.container}/applications/queue?cursor=&limit=2`)
    expect(first.body.applications.map(({ slug }: Shown) => slug)).toEqual(left.slice(0, 2))
    const next = /<(.*)>/.exec(first.headers.get('Link') ?? '')?.[1] ?? ''
    const second = await call('GET', next)
    expect(second.body.applications.map(({ slug }: Shown) => slug)).toEqual(left.slice(2))
    expect(first.body.applications[0].badge.name).toBe('Queued')
    const paged = await call('GET', `${seed.container}/applications/queue?page=1&count=1`)
    expect(paged.body.pageData.total).toBe(3)
    for (const [i, slug] of left.entries()) {
      expect(await queue(seed.container, `?page=${i + 1}&count=1`)).toEqual([slug])
    }
  })

  it('counts what waits, badge by badge', async () => {
    const other = await badgeIn(seed.container)
    await badgeIn(seed.container)
    const [mine] = [await apply(), await apply(), await apply(other)]
    await assign(mine, { assignedTo: someone() })
    const { body } = await call('GET', `${seed.container}/applications/waiting`)
    const shared = { more: false, oldest: expect.any(String) }
    expect(body.waiting).toEqual([
      { badge: seed.badge.slug, name: seed.badge.name, waiting: 2, free: 1, ...shared },
      { badge: other.split('/').at(-1), name: 'Queued', waiting: 1, free: 1, ...shared },
    ])
  })
})

describe('the queue', () => {
  beforeEach(async () => {
    seed = await seedBadge(atProgram)
  })

  it('holds nothing of containers beside', async () => {
    const above = await badgeIn(seed.system)
    await apply(above)
    const mine = await apply()
    expect(await queue()).toEqual([mine])
    expect(await queue(seed.system)).toHaveLength(2)
    const other = await seedBadge(atSystem)
    expect(await queue(other.container)).toEqual([])
  })

  it('is narrowed to what nobody holds, or somebody does', async () => {
    const [free, held, lapsed] = [await apply(), await apply(), await apply()]
    const reviewer = someone()
    await assign(held, { assignedTo: reviewer })
    await assign(lapsed, { assignedTo: reviewer })
    await env.DB.prepare('update applications set assignedExpiration = 1 where slug = ?')
      .bind(lapsed)
      .run()
    expect(await queue(seed.container, '?free=true')).toEqual([free, lapsed])
    expect(await queue(seed.container, '?free=false')).toEqual([held])
    const mine = `?assignedTo=${reviewer.toUpperCase()}`
    expect(await queue(seed.container, mine)).toEqual([held, lapsed])
    expect((await call('GET', `${seed.container}/applications/queue?free=x`)).status).toBe(400)
  })

  it('counts no further than a thousand', async () => {
    await apply()
    await env.DB.prepare(
      `insert into applications (slug, systemId, badgeId, learner, op, createdAt, updatedAt)
       with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000)
       select a.slug || '-' || i, a.systemId, a.badgeId, a.learner, 'filled', 1, 1 from applications a, n
       where a.badgeId = ?`,
    )
      .bind(seed.badge.id)
      .run()
    const { body } = await call('GET', `${seed.container}/applications/waiting`)
    expect(body.waiting).toMatchObject([{ waiting: 1_000, free: 1_000, more: true }])
  })
})

describe('an application that is assigned', () => {
  beforeEach(async () => {
    seed = await seedBadge(atProgram)
  })

  it('is held until its time is over, and told of', async () => {
    const slug = await apply()
    const [first, second] = [someone(), someone()]
    const before = Date.now()
    const { status, body } = await assign(slug, { assignedTo: first, minutes: 30 })
    expect([status, body.status]).toEqual([200, 'updated'])
    expect(body.application).toMatchObject({ slug, assignedTo: first })
    const until = Date.parse(body.application.assignedExpiration)
    expect(until).toBeGreaterThanOrEqual(before + 30 * MINUTE)
    expect(until).toBeLessThanOrEqual(Date.now() + 30 * MINUTE)
    const events = await rows('events')
    const refused = await assign(slug, { assignedTo: second })
    expect([refused.status, refused.body.code]).toEqual([409, 'ResourceConflict'])
    // Nobody learns whose it is by asking for it.
    expect(refused.text).not.toContain(first)
    expect(await rows('events')).toBe(events)
    // Who has it may have it longer, in any spelling.
    expect((await assign(slug, { assignedTo: first.toUpperCase() })).status).toBe(200)
    await env.DB.prepare('update applications set assignedExpiration = ? where slug = ?')
      .bind(Date.now(), slug)
      .run()
    expect((await assign(slug, { assignedTo: second })).body.application.assignedTo).toBe(second)
    expect(
      await count(
        "select count(*) as n from events where subject = ? and type = 'application.updated'",
        slug,
      ),
    ).toBe(3)
  })

  it('is taken over when it is not asked for alone, and given back by a change', async () => {
    const slug = await apply()
    const [first, second, third] = [someone(), someone(), someone()]
    await assign(slug, { assignedTo: first })
    const over = await assign(slug, { assignedTo: second, exclusive: false })
    expect([over.status, over.body.application.assignedTo]).toEqual([200, second])
    await call('PUT', `${seed.path}/applications/${slug}`, { assignedTo: null })
    expect((await assign(slug, { assignedTo: third })).status).toBe(200)
  })

  it('goes to one of many who ask at once', async () => {
    const slug = await apply()
    const asked = await Promise.all(
      Array.from({ length: 8 }, () => assign(slug, { assignedTo: someone() })),
    )
    expect(asked.map(({ status }) => status).sort()).toEqual([200, ...Array(7).fill(409)])
    const won = asked.find(({ status }) => status === 200)?.body.application.assignedTo
    const { body } = await call('GET', `${seed.path}/applications/${slug}`)
    expect(body.application.assignedTo).toBe(won)
  })

  it('is none that has been processed, and for no time that makes no sense', async () => {
    const slug = await apply()
    for (const minutes of [0, -5, 10_081, 'soon']) {
      expect((await assign(slug, { assignedTo: someone(), minutes })).status).toBe(400)
    }
    expect((await assign(slug, {})).status).toBe(400)
    expect((await assign('nothing', { assignedTo: someone() })).status).toBe(404)
    await call('PUT', `${seed.path}/applications/${slug}`, { processed: '2026-01-01' })
    expect((await assign(slug, { assignedTo: someone() })).body.message).toContain('processed')
  })
})

describe("an applicant's awards", () => {
  it('stand beside the application: those in the container, with their badges', async () => {
    seed = await seedBadge(atProgram)
    const learner = someone()
    const [near, far] = [await badgeIn(seed.container), await badgeIn(seed.system)]
    for (const path of [near, far]) await call('POST', `${path}/instances`, { email: learner })
    await call('POST', `${near}/instances`, { email: someone() })
    const slug = await apply(seed.path, learner.toUpperCase())
    const list = `/badges/${seed.badge.slug}/applications/${slug}/instances`
    const seen = async (container: string) => {
      const { status, body } = await call('GET', container + list)
      expect(status).toBe(200)
      return body.instances.map((one: { badge: { slug: string } }) => one.badge.slug)
    }
    const slugOf = (path: string) => path.split('/').at(-1)
    expect(await seen(seed.container)).toEqual([slugOf(near)])
    expect(await seen(seed.system)).toEqual([slugOf(near), slugOf(far)])
    const { status } = await call('GET', `${seed.path}/applications/nothing/instances`)
    expect(status).toBe(404)
  })
})
