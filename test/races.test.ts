import { env } from 'cloudflare:workers'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Answer, api } from './helpers/api'
import { badge, levels, outbox, rows, seedBadge, unique } from './helpers/seed'

type Seed = Awaited<ReturnType<typeof seedBadge>>

const CALLS = 300
/** Enough for the servers that look first: they lose every time. */
const FEW = 60
const TIMEOUT = 120_000
const [atSystem] = levels
const EMAIL = 'ada@example.org'

let seen = 0
beforeEach(async () => {
  seen = (await outbox()).length
})
/** What has come into the outbox since the test began. */
const news = async () => (await outbox()).slice(seen)

/** How often each outcome came of so many calls at once. */
async function race(run: (i: number) => Promise<string | number>, calls = CALLS) {
  const outcomes = await Promise.all(Array.from({ length: calls }, (_, i) => run(i)))
  const counts: Record<string, number> = {}
  for (const outcome of outcomes) counts[outcome] = (counts[outcome] ?? 0) + 1
  return counts
}

/** Status and code of an answer: `400 CodeAlreadyUsed`. */
const outcomeOf = ({ status, body }: { status: number; body: { code?: string } }) =>
  body.code === undefined ? `${status}` : `${status} ${body.code}`

/**
 * What a server would do that looks first and writes then. Each race is run against it too, on a table of its own
 * without any constraint: it must be lost there, or the race proves nothing.
 */
async function lookThenWrite(look: string, write: string, ...values: unknown[]) {
  const found = await env.DB.prepare(look)
    .bind(...values)
    .first<{ ok: 0 | 1 }>()
  if (!found?.ok) return 'lost'
  await env.DB.prepare(write)
    .bind(...values)
    .run()
  return 'won'
}

beforeAll(async () => {
  await env.DB.exec('create table scratch (kind text, name text, claimed integer default 0)')
})
afterAll(async () => {
  await env.DB.exec('drop table scratch')
})

const award = (seed: Seed, email: string, more: object = {}) =>
  api.post(`${seed.path}/instances`, { email, ...more })
const held = async (path: string): Promise<{ email: string; slug: string }[]> =>
  (await api.get(`${path}/instances`)).body.instances
/** What is told of the first use of the code that `made` answered. */
const claimed = (made: Answer) => ({
  type: 'code.claimed',
  subject: `code-${made.body.claimCode.id}-1`,
  deliveries: 0,
})
const countOf = async (seed: Seed) =>
  (await env.DB.prepare('select awarded from badges where id = ?')
    .bind(seed.badge.id)
    .first<number>('awarded')) ?? -1

describe('a race for a single-use code', () => {
  it(
    'is won by many where a server looks first and writes then',
    async () => {
      await env.DB.prepare(`insert into scratch values ('code', 'x', 0)`).run()
      const { won = 0 } = await race(
        () =>
          lookThenWrite(
            'select claimed = 0 as ok from scratch where kind = ?1 and name = ?2',
            'update scratch set claimed = claimed + 1 where kind = ?1 and name = ?2',
            'code',
            'x',
          ),
        FEW,
      )
      expect(won).toBeGreaterThan(1)
    },
    TIMEOUT,
  )

  it(
    'is won by exactly one award',
    async () => {
      const seed = await seedBadge(atSystem)
      const made = await api.post(`${seed.path}/codes`, { code: 'Only-One' })
      const codes = ['Only-One', 'only-one']
      const outcomes = await race(async (i) =>
        outcomeOf(await award(seed, `earner-${i}@example.org`, { claimCode: codes[i % 2] })),
      )
      expect(outcomes).toEqual({ 201: 1, '400 CodeAlreadyUsed': CALLS - 1 })
      const [winner, ...others] = await held(seed.path)
      expect(others).toEqual([])
      const { claimCode } = (await api.get(`${seed.path}/codes/Only-One`)).body
      expect(claimCode).toMatchObject({ claimed: true, email: winner?.email })
      expect(await countOf(seed)).toBe(1)
      expect(await news()).toEqual([
        { type: 'badge.awarded', subject: winner?.slug, deliveries: 0 },
        claimed(made),
      ])
    },
    TIMEOUT,
  )

  it(
    'is won by exactly one claim',
    async () => {
      const seed = await seedBadge(atSystem)
      const made = await api.post(`${seed.path}/codes`, { code: 'x' })
      const winners: string[] = []
      const outcomes = await race(async (i) => {
        const answer = await api.post(`${seed.path}/codes/x/claim`, { email: `e${i}@example.org` })
        if (answer.status === 200) winners.push(answer.body.claimCode.email)
        return outcomeOf(answer)
      })
      expect(outcomes).toEqual({ 200: 1, '400 CodeAlreadyUsed': CALLS - 1 })
      const { claimCode } = (await api.get(`${seed.path}/codes/x`)).body
      expect([claimCode.email]).toEqual(winners)
      expect(await news()).toEqual([claimed(made)])
    },
    TIMEOUT,
  )

  it(
    'of five uses is won by exactly five, claims and awards together',
    async () => {
      const seed = await seedBadge(atSystem)
      await api.post(`${seed.path}/codes`, { code: 'x', multiuse: true, maxUses: 5 })
      const outcomes = await race(async (i) => {
        const email = `e${i}@example.org`
        return outcomeOf(
          i % 2 === 0
            ? await award(seed, email, { claimCode: 'x' })
            : await api.post(`${seed.path}/codes/x/claim`, { email }),
        )
      })
      const { 200: claims = 0, 201: awards = 0, ...refused } = outcomes
      expect([claims + awards, refused]).toEqual([5, { '400 CodeAlreadyUsed': CALLS - 5 }])
      expect((await api.get(`${seed.path}/codes/x`)).body.terms).toMatchObject({
        uses: 5,
        remaining: 0,
      })
      expect(await held(seed.path)).toHaveLength(awards)
      expect((await news()).filter(({ type }) => type === 'code.claimed')).toHaveLength(5)
    },
    TIMEOUT,
  )

  it(
    'between a claim and an award is won by one of the two kinds',
    async () => {
      const seed = await seedBadge(atSystem)
      const made = await api.post(`${seed.path}/codes`, { code: 'x' })
      const outcomes = await race(
        async (i) =>
          outcomeOf(
            i % 2
              ? await award(seed, `e${i}@example.org`, { claimCode: 'x' })
              : await api.post(`${seed.path}/codes/x/claim`, { email: `e${i}@example.org` }),
          ),
        100,
      )
      const { 200: claims = 0, 201: awards = 0, '400 CodeAlreadyUsed': lost } = outcomes
      expect(claims + awards).toBe(1)
      expect(lost).toBe(99)
      const [winner] = await held(seed.path)
      expect(await news()).toEqual([
        ...(awards ? [{ type: 'badge.awarded', subject: winner?.slug, deliveries: 0 }] : []),
        claimed(made),
      ])
    },
    TIMEOUT,
  )
})

describe('a race of one earner for one badge', () => {
  it(
    'is won by many where a server looks first and writes then',
    async () => {
      const { won = 0 } = await race(
        () =>
          lookThenWrite(
            'select not exists (select 1 from scratch where kind = ?1 and name = ?2) as ok',
            'insert into scratch (kind, name) values (?1, ?2)',
            'award',
            EMAIL,
          ),
        FEW,
      )
      expect(won).toBeGreaterThan(1)
      const made = await env.DB.prepare(
        `select count(*) as n from scratch where kind = 'award'`,
      ).first('n')
      expect(made).toBe(won)
    },
    TIMEOUT,
  )

  it(
    'is won exactly once, in whatever spelling',
    async () => {
      const seed = await seedBadge(atSystem)
      const emails = [EMAIL, 'Ada@Example.org', 'ADA@EXAMPLE.ORG']
      const urls = new Set<string>()
      const outcomes = await race(async (i) => {
        const answer = await award(seed, emails[i % 3] ?? '')
        urls.add(answer.body.instance?.assertionUrl ?? answer.body.details.assertionUrl)
        return outcomeOf(answer)
      })
      expect(outcomes).toEqual({ 201: 1, '409 ResourceConflict': CALLS - 1 })
      // All who lost are told of the one award that stands.
      expect(urls.size).toBe(1)
      const [winner, ...others] = await held(seed.path)
      expect(others).toEqual([])
      expect(await countOf(seed)).toBe(1)
      expect(await news()).toEqual([
        { type: 'badge.awarded', subject: winner?.slug, deliveries: 0 },
      ])
    },
    TIMEOUT,
  )

  it(
    'is won once by bulk awards, which skip in silence who holds it',
    async () => {
      const seed = await seedBadge(atSystem)
      const emails = ['a@example.org', 'b@example.org', 'c@example.org']
      let made = 0
      const outcomes = await race(async () => {
        const answer = await api.post(`${seed.path}/instances/bulk`, { emails })
        made += answer.body.instances.length
        return outcomeOf(answer)
      }, 100)
      expect(outcomes).toEqual({ 201: 100 })
      expect(made).toBe(3)
      expect((await held(seed.path)).map(({ email }) => email)).toEqual(emails)
      expect(await countOf(seed)).toBe(3)
      expect(await news()).toHaveLength(3)
    },
    TIMEOUT,
  )
})

describe('a race for the last place under a limit', () => {
  it(
    'is won by many where a server looks first and writes then',
    async () => {
      const { won = 0 } = await race(
        (i) =>
          lookThenWrite(
            'select (select count(*) from scratch where kind = ?1) < 1 as ok, ?2 as name',
            'insert into scratch (kind, name) values (?1, ?2)',
            'place',
            `e${i}@example.org`,
          ),
        FEW,
      )
      expect(won).toBeGreaterThan(1)
    },
    TIMEOUT,
  )

  it(
    'is won by exactly one of many earners',
    async () => {
      const seed = await seedBadge(atSystem, { limit: 3 })
      await api.post(`${seed.path}/instances/bulk`, { emails: ['x@example.org', 'y@example.org'] })
      seen = (await outbox()).length
      const messages = new Set<string>()
      const outcomes = await race(async (i) => {
        const answer = await award(seed, `e${i}@example.org`)
        if (answer.status !== 201) messages.add(answer.body.message)
        return outcomeOf(answer)
      })
      expect(outcomes).toEqual({ 201: 1, '409 ResourceConflict': CALLS - 1 })
      expect([...messages]).toEqual([`Badge ${seed.badge.slug} has reached its limit of 3`])
      expect(await held(seed.path)).toHaveLength(3)
      expect(await countOf(seed)).toBe(3)
      expect(await news()).toHaveLength(1)
    },
    TIMEOUT,
  )

  it(
    'is won by one of many bulk awards, whole',
    async () => {
      const seed = await seedBadge(atSystem, { limit: 5 })
      const outcomes = await race(
        async (i) =>
          outcomeOf(
            await api.post(`${seed.path}/instances/bulk`, {
              emails: [0, 1, 2].map((n) => `e${i}-${n}@example.org`),
            }),
          ),
        100,
      )
      expect(outcomes).toEqual({ 201: 1, '409 ResourceConflict': 99 })
      expect(await held(seed.path)).toHaveLength(3)
      expect(await countOf(seed)).toBe(3)
      expect(await news()).toHaveLength(3)
    },
    TIMEOUT,
  )
})

describe('a race for one slug', () => {
  it(
    'is won by many where a server looks first and writes then',
    async () => {
      const { won = 0 } = await race(
        () =>
          lookThenWrite(
            'select not exists (select 1 from scratch where kind = ?1 and name = ?2) as ok',
            'insert into scratch (kind, name) values (?1, ?2)',
            'slug',
            'same',
          ),
        FEW,
      )
      expect(won).toBeGreaterThan(1)
    },
    TIMEOUT,
  )

  it(
    'is won by exactly one badge, in whatever spelling and container',
    async () => {
      const { system, container } = await seedBadge(levels[2])
      const slug = unique('Same')
      const before = await rows('badges')
      const outcomes = await race(async (i) => {
        const at = i % 3 === 0 ? container : system
        const given = i % 2 ? slug : slug.toUpperCase()
        return outcomeOf(await api.post(`${at}/badges`, badge(given)))
      })
      expect(outcomes).toEqual({ 201: 1, '409 ResourceConflict': CALLS - 1 })
      expect(await rows('badges')).toBe(before + 1)
      expect((await api.get(`${system}/badges?page=1&count=9`)).body.pageData.total).toBe(2)
      expect(await news()).toEqual([])
    },
    TIMEOUT,
  )

  it(
    'is won by exactly one claim code',
    async () => {
      const seed = await seedBadge(atSystem)
      const outcomes = await race(
        async () => outcomeOf(await api.post(`${seed.path}/codes`, { code: 'same' })),
        100,
      )
      expect(outcomes).toEqual({ 201: 1, '409 ResourceConflict': 99 })
      expect((await api.get(`${seed.path}/codes?page=1&count=9`)).body.pageData.total).toBe(1)
      expect(await news()).toEqual([])
    },
    TIMEOUT,
  )
})

describe('a race for a milestone', () => {
  it(
    'is won by many where a server looks first and writes then',
    async () => {
      const run = async (i: number) => {
        await env.DB.prepare('insert into scratch (kind, name) values (?, ?)')
          .bind('support', `${i}`)
          .run()
        return lookThenWrite(
          `select (select count(*) from scratch where kind = 'support') >= 3
           and not exists (select 1 from scratch where kind = ?1 and name = ?2) as ok`,
          'insert into scratch (kind, name) values (?1, ?2)',
          'primary',
          EMAIL,
        )
      }
      const { won = 0 } = await race(run, FEW)
      expect(won).toBeGreaterThan(1)
    },
    TIMEOUT,
  )

  /** A badge for which all of `supports` are needed. */
  async function seedMilestone(supports: number, numberRequired = supports) {
    const seed = await seedBadge(atSystem)
    const made = await Promise.all(
      Array.from({ length: supports }, () =>
        api.post(`${seed.system}/badges`, badge(unique('support'))),
      ),
    )
    const badges = made.map(({ body }) => body.badge)
    const milestone = await api.post(`${seed.system}/milestones`, {
      primaryBadgeId: seed.badge.id,
      numberRequired,
      supportBadges: badges,
    })
    expect(milestone.status).toBe(201)
    const give = (i: number, email = EMAIL) =>
      api.post(`${seed.system}/badges/${badges[i % supports].slug}/instances`, { email })
    return { seed, give }
  }

  it(
    'of its last support badges, given at once, ends in exactly one award',
    async () => {
      const { seed, give } = await seedMilestone(6)
      await give(0)
      const outcomes = await race(async (i) => outcomeOf(await give(1 + (i % 5))))
      expect(outcomes).toEqual({ 201: 5, '409 ResourceConflict': CALLS - 5 })
      expect(await held(seed.path)).toHaveLength(1)
      expect(await countOf(seed)).toBe(1)
      expect(await news()).toHaveLength(7)
      expect((await news()).at(-1)?.subject).toBe((await held(seed.path))[0]?.slug)
    },
    TIMEOUT,
  )

  it(
    'that any three of sixty complete ends in exactly one award',
    async () => {
      const { seed, give } = await seedMilestone(60, 3)
      const outcomes = await race(async (i) => outcomeOf(await give(i)), 60)
      expect(outcomes).toEqual({ 201: 60 })
      expect(await held(seed.path)).toHaveLength(1)
      expect(await countOf(seed)).toBe(1)
      expect(await news()).toHaveLength(61)
    },
    TIMEOUT,
  )

  it(
    'between its award and one that is asked for ends in exactly one',
    async () => {
      const { seed, give } = await seedMilestone(1)
      const outcomes = await race(
        async (i) => outcomeOf(i % 2 ? await give(0) : await award(seed, EMAIL)),
        100,
      )
      const { 201: made = 0, '409 ResourceConflict': lost = 0 } = outcomes
      expect(made + lost).toBe(100)
      expect(await held(seed.path)).toHaveLength(1)
      expect(await countOf(seed)).toBe(1)
      expect(await news()).toHaveLength(2)
    },
    TIMEOUT,
  )

  it(
    'of many earners gives each of them one, and no more than there are places',
    async () => {
      const { seed, give } = await seedMilestone(2)
      await api.put(seed.path, { limit: 40 })
      expect((await news()).map(({ type }) => type)).toEqual(['badge.updated'])
      seen = (await outbox()).length
      const earners = 50
      const outcomes = await race(
        async (i) => outcomeOf(await give(i, `e${i >> 1}@example.org`)),
        2 * earners,
      )
      expect(outcomes).toEqual({ 201: 2 * earners })
      const emails = (await held(seed.path)).map(({ email }) => email)
      expect(emails).toHaveLength(40)
      expect(new Set(emails).size).toBe(40)
      expect(await countOf(seed)).toBe(40)
      expect(await news()).toHaveLength(2 * earners + 40)
    },
    TIMEOUT,
  )
})

it(
  'of awards and revocations leaves a count that is true, and a sequence without gaps',
  async () => {
    const seed = await seedBadge(atSystem, { limit: 5 })
    const names = Array.from({ length: 10 }, (_, i) => `e${i}@example.org`)
    await race(async (i) => {
      const email = names[i % 10] ?? ''
      const answer =
        i % 3 === 0 ? await api.delete(`${seed.path}/instances/${email}`) : await award(seed, email)
      return outcomeOf(answer)
    })
    const live = await held(seed.path)
    expect(live.length).toBeLessThanOrEqual(5)
    expect(await countOf(seed)).toBe(live.length)
    const { results } = await env.DB.prepare(
      'select e.seq, e.type from events e join badges b on b.systemId = e.systemId where b.id = ? order by seq',
    )
      .bind(seed.badge.id)
      .all<{ seq: number; type: string }>()
    expect(results.map(({ seq }) => seq)).toEqual(results.map((_, i) => i + 1))
    const told = (type: string) => results.filter((event) => event.type === type).length
    expect(told('badge.awarded') - told('badge.revoked')).toBe(live.length)
    expect(await news()).toHaveLength(results.length)
  },
  TIMEOUT,
)
