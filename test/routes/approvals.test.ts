import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import * as schema from '../../drizzle/schema'
import { type Answer, api, type Call } from '../helpers/api'
import { watch } from '../helpers/changes'
import { startCalm } from '../helpers/deliveries'
import { levels, rows, seedBadge, seedWebhook, unique } from '../helpers/seed'

/** A review that approves an application, ends it and awards the badge, in one call. */

const [system] = levels
const AUTHOR = 'rev@example.org'
const CRITERIA = [
  { description: 'First', required: 1, note: '' },
  { description: 'Second', required: 1, note: '' },
  { description: 'Third', required: 0, note: '' },
]
const { refused } = watch(
  schema.reviews,
  schema.reviewItems,
  schema.applications,
  schema.badgeInstances,
  schema.badges,
  schema.counters,
  schema.audit,
  schema.events,
  schema.deliveries,
)
startCalm()

async function seedApplication(level: (typeof levels)[number] = system, more: object = {}) {
  const seed = await seedBadge(level, { criteria: CRITERIA, ...more })
  const learner = `${unique('learner')}@example.org`
  const { application } = (await api.post(`${seed.path}/applications`, { learner })).body
  const path = `${seed.path}/applications/${application.slug}`
  const [first = 0, second = 0, third = 0] = seed.badge.criteria.map(({ id }: { id: number }) => id)
  return { ...seed, badgePath: seed.path, path, learner, application, first, second, third }
}
type Seed = Awaited<ReturnType<typeof seedApplication>>

const satisfied = (...criteria: number[]) =>
  criteria.map((criterionId) => ({ criterionId, satisfied: true }))
const approve = (seed: Seed, more: object = {}, call?: Call): Promise<Answer> =>
  api.post(
    `${seed.path}/reviews`,
    { author: AUTHOR, award: true, reviewItems: satisfied(seed.first, seed.second), ...more },
    call,
  )

/** What has been told of a system, in order. */
async function told(seed: Seed) {
  const { results } = await env.DB.prepare(
    `select e.type, e.subject, e.data, e.seq from events e join systems s on s.id = e.systemId
     where s.slug = ? order by e.seq`,
  )
    .bind(seed.system.split('/')[2])
    .all<{ type: string; subject: string; data: string; seq: number }>()
  return results.filter(({ type }) => type !== 'application.created')
}

describe.each(levels)('a review that awards a badge of a $name', (level) => {
  it('makes the review, ends the application and awards the badge, and gives all three', async () => {
    const seed = await seedApplication(level)
    const before = await rows('audit')
    const made = await approve(seed, { comment: 'Well done' })
    expect(made.status, JSON.stringify(made.body)).toBe(201)
    expect(Object.keys(made.body)).toEqual(['status', 'review', 'application', 'instance'])
    expect(await rows('audit')).toBe(before + 1)

    const { review, application, instance } = made.body
    const shown = await Promise.all([
      api.get(`${seed.path}/reviews/${review.slug}`),
      api.get(seed.path),
      api.get(`${seed.badgePath}/instances/${seed.learner}`),
    ])
    expect(shown.map(({ status }) => status)).toEqual([200, 200, 200])
    expect(shown[0]?.body).toEqual({ review })
    expect(review).toMatchObject({ author: AUTHOR, comment: 'Well done' })
    expect(shown[1]?.body).toEqual({ application })
    expect(application.processed).toBe(instance.issuedOn)
    expect({ ...shown[2]?.body.instance, badge: null }).toEqual(instance)
    expect(instance.email).toBe(seed.learner)
    expect((await api.get(`${seed.path}/reviews`)).body.reviews).toEqual([review])
  })

  it('tells of the review, of the end of the application and of the award, in this order', async () => {
    const seed = await seedApplication(level)
    await seedWebhook(seed.system)
    const { review, application, instance } = (await approve(seed)).body
    const events = await told(seed)
    expect(events.map(({ type, subject }) => [type, subject])).toEqual([
      ['application.reviewed', application.slug],
      ['application.updated', application.slug],
      ['badge.awarded', instance.slug],
    ])
    const [reviewed, updated] = events.map(({ data }) => JSON.parse(data.replace('\u0001', 'null')))
    expect(reviewed).toEqual({ application, review, approved: true })
    expect(updated).toEqual({ application })
  })
})

describe('a review that would award', () => {
  it('is refused with nothing changed if a required criterion is not satisfied', async () => {
    const seed = await seedApplication()
    for (const reviewItems of [
      undefined,
      [],
      satisfied(seed.first),
      satisfied(seed.first, seed.third),
      [...satisfied(seed.first), { criterionId: seed.second, satisfied: false }],
    ]) {
      const body = await refused(409, () => approve(seed, { reviewItems }))
      expect(body).toEqual({
        code: 'ResourceConflict',
        message: 'Not every required criterion of the badge is satisfied',
      })
    }
  })

  it('needs no items if nothing is required', async () => {
    const seed = await seedApplication(system, { criteria: [CRITERIA[2]] })
    expect((await approve(seed, { reviewItems: undefined })).status).toBe(201)
  })

  it('is refused with nothing changed if the learner holds the badge, and told where', async () => {
    const seed = await seedApplication()
    const award = await api.post(`${seed.badgePath}/instances`, { email: seed.learner })
    const body = await refused(409, () => approve(seed))
    expect(body.message).toBe(
      `User ${seed.learner} has already been awarded badge ${seed.badge.slug}`,
    )
    expect(body.details.assertionUrl).toBe(award.body.instance.assertionUrl)
  })

  it('is refused with nothing changed if the badge has no place left', async () => {
    const seed = await seedApplication(system, { limit: 1 })
    await api.post(`${seed.badgePath}/instances`, { email: 'first@example.org' })
    const body = await refused(409, () => approve(seed))
    expect(body.message).toBe(`Badge ${seed.badge.slug} has reached its limit of 1`)
  })

  it('is refused to a key that may review but not issue, which may still review', async () => {
    const seed = await seedApplication()
    const { key, secret } = (await api.post(`${seed.system}/keys`, { role: 'review' })).body.key
    const body = await refused(403, () => approve(seed, {}, { key, secret }))
    expect(body).toEqual({ code: 'NotAuthorized', message: 'Key may not do this: needs issue' })
    const plain = await approve(seed, { award: false }, { key, secret })
    expect([plain.status, Object.keys(plain.body)]).toEqual([201, ['status', 'review']])
    const manager = (await api.post(`${seed.system}/keys`, { role: 'manage' })).body.key
    const made = await approve(seed, {}, { key: manager.key, secret: manager.secret })
    expect(made.status).toBe(201)
  })

  it('does it once when it is sent again, and answers alike', async () => {
    const seed = await seedApplication()
    const headers = { 'Idempotency-Key': unique('key') }
    const [first, second] = [
      await approve(seed, {}, { headers }),
      await approve(seed, {}, { headers }),
    ]
    expect(second.status).toBe(201)
    expect(second.body).toEqual(first.body)
    expect(await told(seed)).toHaveLength(3)
  })

  it('awards once however many approve at once', async () => {
    const seed = await seedApplication()
    const all = await Promise.all(Array.from({ length: 5 }, () => approve(seed)))
    expect(all.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409, 409])
    expect((await api.get(`${seed.path}/reviews`)).body.reviews).toHaveLength(1)
    expect(await told(seed)).toHaveLength(3)
  })

  it('completes the milestones that the badge supports', async () => {
    const seed = await seedApplication()
    const primary = await api.post(`${seed.system}/badges`, {
      ...seed.badge,
      slug: unique('primary'),
      image: 'https://example.org/primary.png',
      criteria: [],
    })
    await api.post(`${seed.system}/milestones`, {
      primaryBadgeId: primary.body.badge.id,
      numberRequired: 1,
      supportBadges: [seed.badge.id],
    })
    expect((await approve(seed)).status).toBe(201)
    const held = await api.get(`${seed.system}/instances/${seed.learner}`)
    expect(held.body.instances.map(({ badge }: { badge: { id: number } }) => badge.id)).toEqual([
      seed.badge.id,
      primary.body.badge.id,
    ])
  })
})
