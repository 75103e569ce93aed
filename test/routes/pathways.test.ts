import { beforeEach, describe, expect, it } from 'vitest'
import { workOn } from '../../src/jobs'
import { call, count } from '../helpers/calls'
import { db, silent, startCalm } from '../helpers/deliveries'
import { levels, rows, seedBadge, unique } from '../helpers/seed'

startCalm()

/** Pathways: how far an earner is with each milestone, what a changed one awards afterwards, what a revocation does. */

const [atSystem] = levels
let system: string
let badges: { id: number; slug: string; name: string }[]
let milestone: { id: number }
const someone = () => `${unique('p')}@example.org`

const awards = (i: number) => `${system}/badges/${badges[i]?.slug}/instances`
const award = async (i: number, email: string) => {
  expect((await call('POST', awards(i), { email })).status).toBe(201)
}
const holds = async (i: number, email: string) =>
  (await call('GET', `${awards(i)}/${email}`)).status === 200
const change = (given: object) => call('PUT', `${system}/milestones/${milestone.id}`, given)
const progress = async (email: string) =>
  (await call('GET', `${system}/progress/${encodeURIComponent(email)}`)).body.progress

/** Backfills, and has the job done; gives it as it is then. */
async function backfill() {
  const { status, body } = await call('POST', `${system}/milestones/${milestone.id}/backfill`)
  expect([status, body.status, body.badge]).toEqual([202, 'queued', badges[0]?.slug])
  await workOn(db(), silent, await count('select id as n from jobs where uid = ?', body.job.id))
  return (await call('GET', `${awards(0)}/jobs/${body.job.id}`)).body.job
}

/** The first badge comes to who holds the three others. */
beforeEach(async () => {
  const seed = await seedBadge(atSystem)
  system = seed.system
  badges = [seed.badge]
  for (let i = 0; i < 3; i++) {
    const { body } = await call('POST', `${system}/badges`, {
      ...{ slug: unique('support'), name: `Step ${i}`, unique: 0 },
      ...{ earnerDescription: 'x', consumerDescription: 'x' },
      ...{ criteriaUrl: 'https://example.org/', image: 'https://example.org/i.png' },
    })
    badges.push(body.badge)
  }
  const { body } = await call('POST', `${system}/milestones`, {
    primaryBadgeId: badges[0]?.id,
    numberRequired: 3,
    supportBadges: badges.slice(1).map(({ id }) => id),
  })
  milestone = body.milestone
})

describe('progress', () => {
  it('tells what is held of each milestone, and what it brought', async () => {
    const email = someone()
    const named = (i: number) => {
      const { id, slug, name } = badges[i] ?? {}
      return { id, slug, name }
    }
    const nothing = {
      milestone: milestone.id,
      action: 'issue',
      state: 'open',
      numberRequired: 3,
      numberHeld: 0,
      primaryBadge: named(0),
      assertionUrl: null,
      supportBadges: [1, 2, 3].map((i) => ({ ...named(i), held: false })),
    }
    expect(await progress(email)).toEqual([nothing])
    await award(2, email)
    // Twice is once.
    await call('POST', awards(2), { email, repeat: true })
    const [one] = await progress(email.toUpperCase())
    expect(one).toMatchObject({ state: 'open', numberHeld: 1 })
    expect(one.supportBadges.map(({ held }: { held: boolean }) => held)).toEqual([
      false,
      true,
      false,
    ])
    await award(1, email)
    await award(3, email)
    const { instance } = (await call('GET', `${awards(0)}/${email}`)).body
    expect(await progress(email)).toMatchObject([
      { state: 'held', numberHeld: 3, assertionUrl: instance.assertionUrl },
    ])
    expect(await progress(someone())).toEqual([nothing])
  })

  it('goes page by page through the milestones of its system alone', async () => {
    for (let i = 0; i < 2; i++) {
      await call('POST', `${system}/milestones`, {
        primaryBadgeId: badges[1]?.id,
        numberRequired: 1,
        supportBadges: [badges[2]?.id],
      })
    }
    const path = `${system}/progress/${someone()}`
    const first = await call('GET', `${path}?cursor=&limit=2`)
    expect(first.body.progress).toHaveLength(2)
    const next = /<(.*)>/.exec(first.headers.get('Link') ?? '')?.[1] ?? ''
    expect((await call('GET', next)).body.progress).toHaveLength(1)
    expect((await call('GET', `${path}?page=2&count=2`)).body.pageData.total).toBe(3)
    const other = await seedBadge(atSystem)
    expect((await call('GET', `${other.system}/progress/${someone()}`)).body.progress).toEqual([])
  })
})

describe('a changed milestone', () => {
  it('awards to who has reached it only when it is asked to', async () => {
    const [done, half, none] = [someone(), someone(), someone()]
    for (const i of [1, 2]) await award(i, done)
    await award(1, half)
    await change({ numberRequired: 2 })
    expect(await holds(0, done)).toBe(false)
    expect(await progress(done)).toMatchObject([{ state: 'reached', numberHeld: 2 }])
    expect(await backfill()).toMatchObject({
      ...{ kind: 'issue', state: 'done', rows: 1, succeeded: 1 },
      key: 'master',
    })
    expect([await holds(0, done), await holds(0, half), await holds(0, none)]).toEqual([
      true,
      false,
      false,
    ])
    // There is nothing left to do.
    expect(await backfill()).toMatchObject({ state: 'done', rows: 0 })
  })

  it('does so for many, also up the pathway', async () => {
    const many = Array.from({ length: 1_203 }, someone)
    const top = await call('POST', `${system}/badges`, {
      ...{ slug: unique('top'), name: 'Top', unique: 1 },
      ...{ earnerDescription: 'x', consumerDescription: 'x' },
      ...{ criteriaUrl: 'https://example.org/', image: 'https://example.org/i.png' },
    })
    await call('POST', `${system}/milestones`, {
      primaryBadgeId: top.body.badge.id,
      numberRequired: 1,
      supportBadges: [badges[0]?.id],
    })
    for (const i of [1, 3]) await call('POST', `${awards(i)}/bulk`, { emails: many })
    await change({ numberRequired: 2 })
    const { id: uid, ...job } = await backfill()
    expect(job).toMatchObject({ state: 'done', rows: 1_203, succeeded: 1_203 })
    // Not one by one: 500 in a transaction.
    const chunks = `select count(*) as n from jobChunks where jobId = (select id from jobs where uid = ?)`
    expect(await count(chunks, uid)).toBe(3)
    for (const { id } of [badges[0] ?? { id: 0 }, top.body.badge]) {
      expect(await count('select awarded as n from badges where id = ?', id)).toBe(1_203)
    }
  })

  it('stops at the limit of its badge, and says who found no place', async () => {
    await call('PUT', `${system}/badges/${badges[0]?.slug}`, { limit: 1 })
    const [first, second] = [someone(), someone()]
    for (const email of [first, second]) for (const i of [2, 3]) await award(i, email)
    await change({ numberRequired: 2 })
    expect(await backfill()).toMatchObject({ rows: 2, succeeded: 1, failed: 1 })
    expect([await holds(0, first), await holds(0, second)]).toEqual([true, false])
  })

  it('is not backfilled when it queues applications, or is not there', async () => {
    await change({ action: 'queue-application' })
    const jobs = await rows('jobs')
    const path = `${system}/milestones/${milestone.id}/backfill`
    expect((await call('POST', path)).status).toBe(409)
    expect((await call('POST', `${system}/milestones/0/backfill`)).status).toBe(404)
    expect(await rows('jobs')).toBe(jobs)
  })
})

describe('a revocation', () => {
  it('of a support badge takes nothing back, and shows as progress', async () => {
    const email = someone()
    for (const i of [1, 2, 3]) await award(i, email)
    await call('DELETE', `${awards(2)}/${email}`)
    expect(await holds(0, email)).toBe(true)
    expect(await progress(email)).toMatchObject([{ state: 'held', numberHeld: 2 }])
  })

  it('of a support badge, or its suspension, is heard by a backfill', async () => {
    const [revoked, suspended] = [someone(), someone()]
    for (const email of [revoked, suspended]) for (const i of [1, 2]) await award(i, email)
    await change({ numberRequired: 2 })
    await call('DELETE', `${awards(1)}/${revoked}`)
    await call('POST', `${awards(1)}/${suspended}/suspend`)
    expect(await progress(suspended)).toMatchObject([{ state: 'open', numberHeld: 1 }])
    expect(await backfill()).toMatchObject({ rows: 0 })
    await call('POST', `${awards(1)}/${suspended}/reinstate`)
    expect(await backfill()).toMatchObject({ rows: 1, succeeded: 1 })
    expect(await holds(0, suspended)).toBe(true)
  })

  it('of the primary badge is not undone by a backfill', async () => {
    const email = someone()
    for (const i of [1, 2, 3]) await award(i, email)
    await call('DELETE', `${awards(0)}/${email}`)
    expect(await progress(email)).toMatchObject([{ state: 'reached', assertionUrl: null }])
    expect(await backfill()).toMatchObject({ rows: 0 })
    expect(await holds(0, email)).toBe(false)
  })
})
