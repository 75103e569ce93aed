import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { sweep } from '../src/sweep'
import { api, ask } from './helpers/api'
import { levels, PNG_URI, rows, seedBadge, seedWebhook, unique } from './helpers/seed'

const program = levels[2]
const PERSONAL = [
  'badgeInstances',
  'claimCodes',
  'applications',
  'evidence',
  'reviews',
  'reviewItems',
  'jobs',
  'jobChunks',
]

const OF_SYSTEMS = [
  ...['issuers', 'programs', 'badges', 'images', 'milestones', 'webhooks', 'keys', 'counters'],
  ...['events', 'deliveries', 'badgeInstances', 'claimCodes', 'applications', 'jobs'],
]

/** A badge at program level with something of everything that can hang from it. */
async function fullBadge() {
  const made = await seedBadge(program, {
    image: PNG_URI,
    criteria: [{ description: 'Do it', required: 1 }],
    alignments: [{ name: 'a', url: 'https://a.example.org' }],
    tags: ['t'],
    categories: ['c'],
  })
  await seedWebhook(made.system)
  const email = `${unique('earner')}@example.org`
  const award = await api.post(`${made.path}/instances`, { email })
  await api.post(`${made.path}/instances/jobs`, { rows: [{ email }] })
  await api.post(`${made.path}/codes`, { code: 'one' })
  const applied = await api.post(`${made.path}/applications`, {
    learner: email,
    evidence: [{ url: 'https://example.org/e' }],
  })
  const review = { author: 'r@example.org', reviewItems: [{ criterionId: 1, satisfied: 1 }] }
  await api.post(`${made.path}/applications/${applied.body.application.slug}/reviews`, review)
  const milestone = {
    primaryBadgeId: made.badge.id,
    numberRequired: 1,
    supportBadges: [made.badge.id],
  }
  expect((await api.post(`${made.system}/milestones`, milestone)).status).toBe(201)
  return { ...made, email, slug: award.body.instance.slug as string }
}

async function sweepAll() {
  for (let i = 0; i < 8; i++) await sweep(env, Date.now())
}

const assertion = (slug: string) => ask('GET', `/public/assertions/${slug}`)

describe('what is deleted', () => {
  it('leaves, of a badge, the tombstones of its awards and no personal data', async () => {
    const counts = () => Promise.all([...PERSONAL, 'milestones'].map(rows))
    const before = await counts()
    const badge = await fullBadge()
    expect((await counts()).every((n, i) => n > (before[i] ?? n))).toBe(true)
    expect((await api.delete(badge.path)).status).toBe(200)
    expect(await rows('milestones')).toBe(before.at(-1))
    expect((await assertion(badge.slug)).status).toBe(410)

    await sweepAll()

    const after = await counts()
    for (const [i, table] of PERSONAL.entries()) {
      expect([table, after[i]]).toEqual([table, before[i]])
    }
    const gone = await assertion(badge.slug)
    expect(gone.status).toBe(410)
    expect(gone.body).toMatchObject({ type: 'Assertion', uid: badge.slug, revoked: true })
    const tombstones = await env.DB.prepare('select * from tombstones').all()
    expect(JSON.stringify(tombstones.results)).not.toContain('@')
    expect((await api.get(badge.system)).status).toBe(200)
  })

  it('leaves, of a system, tombstones alone', async () => {
    const badge = await fullBadge()
    const other = await fullBadge()
    await api.post(`${badge.system}/keys`, {})
    const { id } = (await api.get(badge.system)).body.system
    expect((await api.delete(badge.system)).status).toBe(200)
    expect((await assertion(badge.slug)).status).toBe(410)

    await sweepAll()

    expect((await assertion(badge.slug)).status).toBe(410)
    for (const table of OF_SYSTEMS) {
      expect([table, await rows(`${table} where systemId = ${id}`)]).toEqual([table, 0])
    }
    expect(await rows(`systems where id = ${id}`)).toBe(0)
    expect((await assertion(other.slug)).status).toBe(200)
    expect((await api.get(`${other.path}/instances/${other.email}`)).status).toBe(200)
  })

  it('goes a thousand rows at a time, and all of it in the end', async () => {
    const badge = await seedBadge(program)
    const emails = Array.from({ length: 2_500 }, (_, i) => `many${i}@example.org`)
    const bulk = await api.post(`${badge.path}/instances/bulk`, { emails })
    expect(bulk.body.instances).toHaveLength(2_500)
    await api.delete(badge.path)
    const before = await rows('badgeInstances')
    await sweep(env, Date.now())
    expect(await rows('badgeInstances')).toBe(before - 1_000)
    await sweepAll()
    expect(await rows('badgeInstances')).toBe(before - 2_500)
    expect((await assertion(bulk.body.instances[2_499].slug)).status).toBe(410)
  })
})
