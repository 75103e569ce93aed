import { env } from 'cloudflare:workers'
import { beforeEach, describe, expect, it } from 'vitest'
import { type Answer, api } from '../helpers/api'
import {
  badge,
  container,
  EVENTS,
  levels,
  outbox,
  rows,
  seedBadge,
  seedWebhook,
  unique,
} from '../helpers/seed'

const EMAIL = 'ada@example.org'
const UNEXPECTED = 'Unexpected value or invalid argument'

let seen = 0
beforeEach(async () => {
  seen = (await outbox()).length
})
/** What has come into the outbox since the test began. */
const news = async () => (await outbox()).slice(seen)

// biome-ignore lint/suspicious/noExplicitAny: a badge or milestone of an answer
type Shown = any
type Seed = { system: string; badges: Shown[] }

/** A system with so many badges. */
async function seedBadges(n: number, more: object = {}): Promise<Seed> {
  const system = `/systems/${unique('system')}`
  await api.post('/systems', container(system.slice('/systems/'.length)))
  const badges = []
  for (let i = 0; i < n; i++) {
    const made = await api.post(`${system}/badges`, { ...badge(unique('badge')), ...more })
    badges.push(made.body.badge)
  }
  return { system, badges }
}

const list = (seed: Seed) => `${seed.system}/milestones`
const itemOf = (seed: Seed, id: unknown) => `${list(seed)}/${id}`
/** Makes a milestone to the badge `to`, by index. */
async function milestone(seed: Seed, to: number, from: number[], more: object = {}) {
  const made = await api.post(list(seed), {
    primaryBadgeId: seed.badges[to].id,
    numberRequired: from.length,
    supportBadges: from.map((i) => seed.badges[i].id),
    ...more,
  })
  expect(made.status, JSON.stringify(made.body)).toBe(201)
  return made.body.milestone
}
const instances = (seed: Seed, i: number) =>
  `${seed.system}/badges/${seed.badges[i].slug}/instances`
const award = (seed: Seed, i: number, email = EMAIL, more: object = {}) =>
  api.post(instances(seed, i), { email, ...more })
const revoke = (seed: Seed, i: number, email = EMAIL) =>
  api.delete(`${instances(seed, i)}/${email}`)
const holds = async (seed: Seed, i: number, email = EMAIL) =>
  (await api.get(`${instances(seed, i)}/${email}`)).status === 200

/** The contract's messages of a system's events, in sequence: other types have none. */
async function messages(seed: Seed): Promise<Shown[]> {
  const { results } = await env.DB.prepare(
    `select e.seq, e.subject, e.body from ${EVENTS} e join badges b on b.systemId = e.systemId
     where b.id = ? order by e.seq`,
  )
    .bind(seed.badges[0].id)
    .all<{ seq: number; subject: string; body: string | null }>()
  expect(results.map(({ seq }) => seq)).toEqual(results.map((_, i) => i + 1))
  return results.flatMap(({ body }) => (body === null ? [] : [JSON.parse(body)]))
}
/** The types of all events so far, and what each application that was made is told to be. */
const newTypes = async () => (await news()).map(({ type }) => type)
async function toldApplications(seed: Seed): Promise<Shown[]> {
  const { results } = await env.DB.prepare(
    `select e.data from events e join badges b on b.systemId = e.systemId
     where b.id = ? and e.type = 'application.created' order by e.seq`,
  )
    .bind(seed.badges[0].id)
    .all<{ data: string }>()
  return results.map(({ data }) => JSON.parse(data).application)
}
/** By index which badges were told of, in sequence, by awards and revocations. */
const told = async (seed: Seed) =>
  (await messages(seed)).map(({ badge }) => seed.badges.findIndex(({ id }) => id === badge.id))

const invalid = (...details: object[]) => ({
  code: 'ValidationError',
  message: 'Could not validate required fields',
  details,
})
const missing = (id: unknown) => ({
  code: 'ResourceNotFound',
  message: `Could not find milestone field: \`id\`, value: \`${id}\``,
})

/** All that a write to milestones could change. */
async function state() {
  const tables = ['milestones', 'milestoneBadges', 'badgeInstances', 'applications', 'counters']
  const all = [...tables, 'events', 'deliveries', 'audit'].map((table) =>
    env.DB.prepare(`select * from ${table}`),
  )
  return (await env.DB.batch(all)).map(({ results }) => results)
}
/** Refuses, and changes nothing, the outbox included. */
async function refused(status: number, call: () => Promise<Answer>) {
  const before = await state()
  const answer = await call()
  expect(answer.status, JSON.stringify(answer.body)).toBe(status)
  expect(await state()).toEqual(before)
  return answer.body
}

describe('a milestone', () => {
  it('is made with its badges in full, in the order given', async () => {
    const seed = await seedBadges(4)
    const { badges } = seed
    const { status, body, headers } = await api.post(list(seed), {
      primaryBadgeId: badges[0].id,
      numberRequired: 2,
      supportBadges: [badges[3].id, badges[1].id, badges[2].id],
    })
    expect(status).toBe(201)
    expect(Object.keys(body)).toEqual(['status', 'milestone'])
    expect(Object.keys(body.milestone)).toEqual([
      'id',
      'action',
      'numberRequired',
      'primaryBadge',
      'supportBadges',
    ])
    expect(body).toEqual({
      status: 'created',
      milestone: {
        id: expect.any(Number),
        action: 'issue',
        numberRequired: 2,
        primaryBadge: badges[0],
        supportBadges: [badges[3], badges[1], badges[2]],
      },
    })
    expect(headers.get('Location')).toBeNull()
    expect((await api.get(itemOf(seed, body.milestone.id))).body).toEqual({
      milestone: body.milestone,
    })
    expect((await api.get(list(seed))).body).toEqual({ milestones: [body.milestone] })
    expect(await news()).toEqual([])
  })

  it.each([[undefined], [null], [[]], ['']])(
    'is made without support badges when these are %j',
    async (supportBadges) => {
      const seed = await seedBadges(1)
      const { body } = await api.post(list(seed), {
        primaryBadgeId: seed.badges[0].id,
        numberRequired: 1,
        supportBadges,
      })
      expect(body.status).toBe('created')
      expect(body.milestone.supportBadges).toEqual([])
      expect(await news()).toEqual([])
    },
  )

  it('takes ids as numbers, as texts and as badges, and each once', async () => {
    const seed = await seedBadges(4)
    const [a, b, c, d] = seed.badges
    const { body } = await api.post(list(seed), {
      primaryBadgeId: String(a.id),
      numberRequired: '2',
      supportBadges: [c, String(b.id), { id: String(d.id) }, b.id, c.id, { id: b.id }],
      primaryBadge: b,
      systemId: 999,
      id: 999,
    })
    expect(body.status).toBe('created')
    expect(body.milestone).toMatchObject({ numberRequired: 2, primaryBadge: a })
    expect(body.milestone.id).not.toBe(999)
    expect(body.milestone.supportBadges).toEqual([c, b, d])
  })

  it('is read from a form', async () => {
    const seed = await seedBadges(3)
    const [a, b, c] = seed.badges
    const { status, body } = await api.form(list(seed), {
      primaryBadgeId: String(a.id),
      numberRequired: '1',
      action: 'queue-application',
      'supportBadges[0]': String(c.id),
      'supportBadges[1]': String(b.id),
    })
    expect(status).toBe(201)
    expect(body.milestone).toMatchObject({ action: 'queue-application', supportBadges: [c, b] })
    const one = await api.form(list(seed), {
      primaryBadgeId: String(a.id),
      numberRequired: '1',
      supportBadges: String(b.id),
    })
    expect(one.body.milestone.supportBadges).toEqual([b])
  })

  it.each([
    [undefined, 'issue'],
    [null, 'issue'],
    ['', 'issue'],
    ['issue', 'issue'],
    ['queue-application', 'queue-application'],
  ])('with the action %j does %j', async (action, does) => {
    const seed = await seedBadges(1)
    expect(await milestone(seed, 0, [], { action, numberRequired: 1 })).toMatchObject({
      action: does,
    })
  })

  it.each([
    [
      {},
      { message: 'Required field', field: 'primaryBadgeId', value: '' },
      { message: 'Required field', field: 'numberRequired', value: '' },
    ],
    [
      { primaryBadgeId: 'x', numberRequired: null },
      { message: 'Invalid integer', field: 'primaryBadgeId', value: 'x' },
      { message: 'Required field', field: 'numberRequired', value: '' },
    ],
    [
      { numberRequired: 1.5, action: 'dance' },
      { message: 'Required field', field: 'primaryBadgeId', value: '' },
      { message: 'Invalid integer', field: 'numberRequired', value: 1.5 },
      {
        message: 'Value must be one of the following: issue, queue-application',
        field: 'action',
        value: 'dance',
      },
    ],
    [
      { primaryBadgeId: 1, numberRequired: 1, supportBadges: ['x', 1, { name: 'no id' }] },
      { message: 'Invalid integer', field: 'supportBadges[0]', value: 'x' },
      { message: 'Invalid integer', field: 'supportBadges[2]', value: { name: 'no id' } },
    ],
  ])('of %j is refused', async (body, ...details) => {
    const seed = await seedBadges(0)
    expect(await refused(400, () => api.post(list(seed), body))).toEqual(invalid(...details))
  })

  it('names no badge that its system does not have', async () => {
    const seed = await seedBadges(3)
    const other = await seedBadges(1)
    const [own, support, gone] = seed.badges.map(({ id }) => id)
    await api.delete(`${seed.system}/badges/${seed.badges[2].slug}`)
    const foreign = other.badges[0].id
    const made = await milestone(seed, 0, [1])
    const body = { primaryBadgeId: own, numberRequired: 1, supportBadges: [support] }
    const primary = (value: number) => ({ message: UNEXPECTED, field: 'primaryBadgeId', value })
    const supports = (...value: number[]) => ({
      message: UNEXPECTED,
      field: 'supportBadges',
      value,
    })
    for (const bad of [foreign, gone, 999_999]) {
      for (const write of [
        (more: object) => api.post(list(seed), { ...body, ...more }),
        (more: object) => api.put(itemOf(seed, made.id), more),
      ]) {
        expect(await refused(400, () => write({ primaryBadgeId: bad }))).toEqual(
          invalid(primary(bad)),
        )
        expect(await refused(400, () => write({ supportBadges: [support, bad] }))).toEqual(
          invalid(supports(bad)),
        )
      }
    }
    const both = { primaryBadgeId: foreign, supportBadges: [foreign, own, gone] }
    expect(await refused(400, () => api.put(itemOf(seed, made.id), both))).toEqual(
      invalid(primary(foreign), supports(foreign, gone)),
    )
  })

  it('takes badges of issuers and programs of its system', async () => {
    const below = await seedBadge(levels[2])
    const top = await api.post(`${below.system}/badges`, badge(unique('top')))
    const { body } = await api.post(`${below.system}/milestones`, {
      primaryBadgeId: top.body.badge.id,
      numberRequired: 1,
      supportBadges: [below.badge.id],
    })
    expect(body.milestone.supportBadges).toEqual([below.badge])
    await api.post(`${below.path}/instances`, { email: EMAIL })
    const held = await api.get(`${below.system}/badges/${top.body.badge.slug}/instances/${EMAIL}`)
    expect(held.status).toBe(200)
    expect(await news()).toHaveLength(2)
  })

  it('is listed with the others of its system, in the order of their making', async () => {
    const seed = await seedBadges(2)
    const other = await seedBadges(1)
    expect((await api.get(list(seed))).body).toEqual({ milestones: [] })
    const made = [
      await milestone(seed, 0, [1]),
      await milestone(seed, 1, []),
      await milestone(seed, 1, [0]),
    ]
    await milestone(other, 0, [])
    expect((await api.get(list(seed))).body).toEqual({ milestones: made })
    expect((await api.get(`${list(seed)}?page=2&count=2`)).body).toEqual({
      milestones: made.slice(2),
      pageData: { page: 2, count: 2, total: 3 },
    })
  })

  it('of another system, or none, is told by its id', async () => {
    const seed = await seedBadges(1)
    const other = await seedBadges(1)
    const { id } = await milestone(other, 0, [])
    for (const value of [id, 999_999, 0, -1, 'x', '1.0', '9'.repeat(30), `${id} `, `0x${id}`]) {
      const path = itemOf(seed, encodeURIComponent(value))
      for (const call of [
        () => api.get(path),
        () => api.put(path, { numberRequired: 'bad' }),
        () => api.delete(path),
        () => api.post(`${path}/add-badge`, {}),
        () => api.post(`${path}/remove-badge`, { badgeId: seed.badges[0].id }),
      ]) {
        expect(await refused(404, call)).toEqual(missing(value))
      }
    }
  })

  it('of a missing system is told by the system', async () => {
    for (const call of [
      () => api.get('/systems/none/milestones'),
      () => api.post('/systems/none/milestones', {}),
      () => api.get('/systems/none/milestones/1'),
      () => api.post('/systems/none/milestones/1/add-badge', {}),
    ]) {
      expect(await refused(404, call)).toEqual({
        code: 'ResourceNotFound',
        message: 'Could not find system field: `slug`, value: `none`',
      })
    }
  })

  it('keeps what a PUT leaves out', async () => {
    const seed = await seedBadges(4)
    const made = await milestone(seed, 0, [1, 2], { action: 'queue-application' })
    const path = itemOf(seed, made.id)
    const put = async (body?: object) => {
      const answer = await api.put(path, body)
      expect(answer.status, JSON.stringify(answer.body)).toBe(200)
      expect(answer.body.status).toBe('updated')
      expect((await api.get(path)).body.milestone).toEqual(answer.body.milestone)
      return answer.body.milestone
    }
    expect(await put()).toEqual(made)
    expect(await put({ id: 7, systemId: 7, primaryBadge: seed.badges[3], junk: 1 })).toEqual(made)
    expect(await put({ action: null, supportBadges: null })).toEqual(made)
    expect(await put({ numberRequired: '7' })).toEqual({ ...made, numberRequired: 7 })
    expect(await put({ action: 'issue' })).toEqual({ ...made, numberRequired: 7, action: 'issue' })
    expect(await put({ primaryBadgeId: seed.badges[3].id })).toMatchObject({
      primaryBadge: seed.badges[3],
      supportBadges: made.supportBadges,
    })
    const [, b, c, d] = seed.badges
    expect((await put({ supportBadges: [d, b.id, b.id] })).supportBadges).toEqual([d, b])
    expect((await put({ supportBadges: [c.id, d.id, b.id] })).supportBadges).toEqual([c, d, b])
    expect((await put({ supportBadges: [] })).supportBadges).toEqual([])
    expect(await news()).toEqual([])
  })

  it('is not changed by a PUT that is not valid', async () => {
    const seed = await seedBadges(2)
    const { id } = await milestone(seed, 0, [1])
    const put = (body: object) => refused(400, () => api.put(itemOf(seed, id), body))
    expect(await put({ numberRequired: 'x', action: 'dance' })).toEqual(
      invalid(
        { message: 'Invalid integer', field: 'numberRequired', value: 'x' },
        {
          message: 'Value must be one of the following: issue, queue-application',
          field: 'action',
          value: 'dance',
        },
      ),
    )
    expect(await put({ primaryBadgeId: null })).toEqual(
      invalid({ message: 'Required field', field: 'primaryBadgeId', value: '' }),
    )
  })

  it('gets a support badge more, and loses one, each once', async () => {
    const seed = await seedBadges(4)
    const [, b, c, d] = seed.badges
    const { id } = await milestone(seed, 0, [1])
    const change = async (verb: string, badgeId: unknown) => {
      const { status, body } = await api.post(`${itemOf(seed, id)}/${verb}-badge`, { badgeId })
      expect(status, JSON.stringify(body)).toBe(200)
      expect(Object.keys(body)).toEqual(['status', 'milestone'])
      expect(body.status).toBe('updated')
      expect((await api.get(itemOf(seed, id))).body.milestone).toEqual(body.milestone)
      return body.milestone.supportBadges
    }
    expect(await change('add', d.id)).toEqual([b, d])
    expect(await change('add', String(c.id))).toEqual([b, d, c])
    expect(await change('add', b.id)).toEqual([b, d, c])
    expect(await change('remove', d.id)).toEqual([b, c])
    expect(await change('remove', String(d.id))).toEqual([b, c])
    expect(await change('add', d.id)).toEqual([b, c, d])
    expect(await news()).toEqual([])
  })

  it.each([
    ['Required field', undefined, ''],
    ['Required field', null, ''],
    ['Invalid integer', Number.NaN.toString(), 'NaN'],
    ['Invalid integer', '', ''],
    ['Invalid integer', 1.5, 1.5],
    ['Invalid integer', [1], [1]],
    [UNEXPECTED, 999_999, 999_999],
  ])('says %j of the support badge %j', async (message, badgeId, value) => {
    const seed = await seedBadges(2)
    const { id } = await milestone(seed, 0, [1])
    for (const verb of ['add', 'remove']) {
      const call = () => api.post(`${itemOf(seed, id)}/${verb}-badge`, { badgeId })
      expect(await refused(400, call)).toEqual(invalid({ message, field: 'badgeId', value }))
    }
  })

  it('is not given another system’s support badge', async () => {
    const seed = await seedBadges(1)
    const other = await seedBadges(1)
    const { id } = await milestone(seed, 0, [])
    const body = { badgeId: other.badges[0].id }
    expect(
      (await refused(400, () => api.post(`${itemOf(seed, id)}/add-badge`, body))).details,
    ).toEqual([{ message: UNEXPECTED, field: 'badgeId', value: other.badges[0].id }])
  })

  it('is deleted, with the links of its badges', async () => {
    const seed = await seedBadges(2)
    const { id } = await milestone(seed, 0, [1])
    const stays = await milestone(seed, 1, [0])
    const links = await rows('milestoneBadges')
    const gone = await api.delete(itemOf(seed, id))
    expect(gone.status).toBe(200)
    expect(gone.body).toEqual({ status: 'deleted' })
    expect(await rows('milestoneBadges')).toBe(links - 1)
    expect(await refused(404, () => api.get(itemOf(seed, id)))).toEqual(missing(id))
    expect(await refused(404, () => api.delete(itemOf(seed, id)))).toEqual(missing(id))
    expect((await api.get(`${list(seed)}?page=1&count=5`)).body).toEqual({
      milestones: [stays],
      pageData: { page: 1, count: 5, total: 1 },
    })
    await award(seed, 1)
    expect(await holds(seed, 0)).toBe(false)
    expect(await news()).toHaveLength(1)
  })

  it('goes with its primary badge, and loses a support badge that is deleted', async () => {
    const seed = await seedBadges(3)
    const led = await milestone(seed, 0, [1, 2])
    const fed = await milestone(seed, 1, [0, 2])
    await api.delete(`${seed.system}/badges/${seed.badges[0].slug}`)
    expect(await refused(404, () => api.get(itemOf(seed, led.id)))).toEqual(missing(led.id))
    const left = { ...fed, supportBadges: [seed.badges[2]] }
    expect((await api.get(`${list(seed)}?page=1&count=5`)).body).toEqual({
      milestones: [left],
      pageData: { page: 1, count: 5, total: 1 },
    })
    expect(await news()).toEqual([])
  })

  it('leaves a line in the audit for each change, and none for a refusal', async () => {
    const seed = await seedBadges(2)
    const before = await rows('audit')
    const { id } = await milestone(seed, 0, [1])
    await api.post(list(seed), {})
    await api.put(itemOf(seed, id), { numberRequired: 2 })
    await api.put(itemOf(seed, id), { numberRequired: 'x' })
    await api.post(`${itemOf(seed, id)}/add-badge`, { badgeId: seed.badges[0].id })
    await api.delete(itemOf(seed, id))
    await api.delete(itemOf(seed, id))
    expect(await rows('audit')).toBe(before + 4)
  })
})

describe('a badge’s milestones', () => {
  it('are those that lead to it, and stand where one badge is shown, nowhere else', async () => {
    const seed = await seedBadges(3)
    const [a, b, c] = seed.badges
    const made = [
      await milestone(seed, 0, [2, 1]),
      await milestone(seed, 0, [], { numberRequired: 9 }),
    ]
    await milestone(seed, 1, [0])
    const path = `${seed.system}/badges/${a.slug}`
    const shown = (await api.get(path)).body.badge
    expect(shown).toEqual({ ...a, milestones: made })
    expect(Object.keys(shown.milestones[0])).toEqual([
      'id',
      'action',
      'numberRequired',
      'primaryBadge',
      'supportBadges',
    ])
    expect((await api.get(`${seed.system}/badges/${c.slug}`)).body.badge.milestones).toEqual([])
    expect((await api.get(`${seed.system}/badges`)).body.badges).toEqual([a, b, c])
    expect((await api.put(path, { name: a.name })).body.badge.milestones).toEqual([])
    await award(seed, 0)
    const held = (await api.get(`${instances(seed, 0)}/${EMAIL}`)).body.instance
    expect(held.badge.milestones).toEqual([])
    expect((await messages(seed)).map(({ badge }) => badge.milestones)).toEqual([[], []])
  })
})

describe('an award that completes a milestone', () => {
  it('brings the primary badge when enough support badges are held, and not before', async () => {
    const seed = await seedBadges(4)
    await milestone(seed, 0, [1, 2, 3], { numberRequired: 2 })
    const before = Date.now()
    const first = await award(seed, 2)
    expect(await holds(seed, 0)).toBe(false)
    const second = await award(seed, 1, 'ADA@example.org', {
      comment: 'Well done',
      issuedOn: 1,
      expires: 2,
    })
    expect(second.status).toBe(201)
    const { instance } = (await api.get(`${instances(seed, 0)}/${EMAIL}`)).body
    expect(instance).toMatchObject({
      slug: expect.stringMatching(/^[0-9a-f]{40}$/),
      email: 'ADA@example.org',
      expires: null,
      claimCode: null,
      badge: seed.badges[0],
    })
    expect(Date.parse(instance.issuedOn)).toBeGreaterThanOrEqual(before)
    const awards = [first.body.instance, second.body.instance, instance]
    expect(await news()).toEqual(
      awards.map(({ slug: subject }) => ({ type: 'badge.awarded', subject, deliveries: 0 })),
    )
    const [, original, bonus] = await messages(seed)
    expect(original).toMatchObject({ badge: seed.badges[1], comment: 'Well done', issuedOn: 1 })
    // Its own badge, not the one that was asked for, and every member of an award's message.
    expect(bonus).toEqual({
      action: 'award',
      uid: instance.slug,
      badge: seed.badges[0],
      email: 'ADA@example.org',
      assertionUrl: instance.assertionUrl,
      issuedOn: Math.floor(Date.parse(instance.issuedOn) / 1000),
      comment: null,
    })
    expect(Object.keys(bonus)).toEqual(Object.keys(original))
    await award(seed, 3)
    expect(await told(seed)).toEqual([2, 1, 0, 3])
  })

  it('sends each webhook one message for each award', async () => {
    const seed = await seedBadges(2)
    await seedWebhook(seed.system)
    await milestone(seed, 0, [1])
    await award(seed, 1)
    expect((await news()).map(({ deliveries }) => deliveries)).toEqual([1, 1])
  })

  it('skips in silence a primary badge that is held already', async () => {
    const seed = await seedBadges(2)
    await milestone(seed, 0, [1])
    const held = await award(seed, 0)
    expect((await award(seed, 1)).status).toBe(201)
    expect((await api.get(instances(seed, 0))).body.instances).toHaveLength(1)
    expect((await api.get(`${instances(seed, 0)}/${EMAIL}`)).body.instance.slug).toBe(
      held.body.instance.slug,
    )
    expect(await told(seed)).toEqual([0, 1])
  })

  it('may bring back a primary badge that was revoked', async () => {
    const seed = await seedBadges(3)
    await milestone(seed, 0, [1, 2], { numberRequired: 1 })
    await award(seed, 1)
    await revoke(seed, 0)
    expect(await holds(seed, 0)).toBe(false)
    await award(seed, 2)
    expect(await holds(seed, 0)).toBe(true)
    expect(await told(seed)).toEqual([1, 0, 0, 2, 0])
  })

  it('does not count a support badge that was revoked', async () => {
    const seed = await seedBadges(3)
    await milestone(seed, 0, [1, 2])
    await award(seed, 1)
    await revoke(seed, 1)
    await award(seed, 2)
    expect(await holds(seed, 0)).toBe(false)
    await award(seed, 1)
    expect(await holds(seed, 0)).toBe(true)
    expect(await told(seed)).toEqual([1, 1, 2, 1, 0])
  })

  it('counts a badge that is held twice once', async () => {
    const seed = await seedBadges(3, { unique: 0 })
    await milestone(seed, 0, [1, 2])
    await award(seed, 1)
    expect((await award(seed, 1, EMAIL, { repeat: true })).status).toBe(201)
    expect(await holds(seed, 0)).toBe(false)
    expect(await told(seed)).toEqual([1, 1])
  })

  it('skips a primary badge that is full', async () => {
    const seed = await seedBadges(3)
    await milestone(seed, 0, [1])
    await milestone(seed, 2, [1])
    await api.put(`${seed.system}/badges/${seed.badges[0].slug}`, { limit: 1 })
    await award(seed, 0, 'first@example.org')
    expect((await award(seed, 1)).status).toBe(201)
    expect([await holds(seed, 0), await holds(seed, 2)]).toEqual([false, true])
    expect(await told(seed)).toEqual([0, 1, 2])
  })

  it('counts what it brings: the primary badge’s last place is one', async () => {
    const seed = await seedBadges(3)
    await milestone(seed, 0, [1])
    await api.put(`${seed.system}/badges/${seed.badges[0].slug}`, { limit: 1 })
    await award(seed, 1)
    const answer = await award(seed, 0, 'bob@example.org')
    expect(answer.status).toBe(409)
    expect(answer.body.message).toBe(`Badge ${seed.badges[0].slug} has reached its limit of 1`)
    const page = await api.get(`${instances(seed, 0)}?page=1&count=9`)
    expect(page.body.pageData.total).toBe(1)
    expect(await told(seed)).toEqual([1, 0])
  })

  it('follows a chain, each link in its turn', async () => {
    const seed = await seedBadges(4)
    // Made from the top down, so that no order of ids helps.
    await milestone(seed, 3, [2])
    await milestone(seed, 2, [1])
    await milestone(seed, 1, [0])
    await award(seed, 0)
    expect(await told(seed)).toEqual([0, 1, 2, 3])
    expect(await news()).toHaveLength(4)
  })

  it('completes, beside the badge asked for, what another milestone of the same depth brings', async () => {
    const seed = await seedBadges(4)
    // The first stands on the second, which has the larger id; both stand on badge 0.
    const first = await milestone(seed, 1, [0, 2])
    const second = await milestone(seed, 2, [0])
    expect(first.id).toBeLessThan(second.id)
    await milestone(seed, 3, [0, 1, 2])
    await award(seed, 0)
    expect((await told(seed)).toSorted()).toEqual([0, 1, 2, 3])
    expect((await told(seed))[0]).toBe(0)
    for (const i of [1, 2, 3]) expect(await holds(seed, i)).toBe(true)
    expect(await news()).toHaveLength(4)
  })

  it('ends in a circle', async () => {
    const seed = await seedBadges(3)
    await milestone(seed, 1, [0])
    await milestone(seed, 2, [1])
    await milestone(seed, 0, [2])
    await milestone(seed, 0, [0])
    await milestone(seed, 1, [1, 2], { numberRequired: 1 })
    expect((await award(seed, 1)).status).toBe(201)
    expect((await told(seed)).toSorted()).toEqual([0, 1, 2])
    for (const i of [0, 1, 2]) {
      expect((await api.get(instances(seed, i))).body.instances).toHaveLength(1)
    }
  })

  it('does so for several earners of a bulk award at once', async () => {
    const seed = await seedBadges(4)
    await milestone(seed, 0, [1, 2])
    await milestone(seed, 3, [0])
    const [a, b, c] = ['a@example.org', 'b@example.org', 'c@example.org']
    await api.post(`${instances(seed, 2)}/bulk`, { emails: [a, c] })
    const answer = await api.post(`${instances(seed, 1)}/bulk`, {
      emails: [c, 'B@example.org', a, 'C@example.org'],
    })
    expect(answer.body.instances).toHaveLength(3)
    const events = (await messages(seed)).slice(2)
    expect(events.map(({ badge, email }) => [badge.slug, email])).toEqual([
      [seed.badges[1].slug, c],
      [seed.badges[1].slug, 'B@example.org'],
      [seed.badges[1].slug, a],
      [seed.badges[0].slug, c],
      [seed.badges[0].slug, a],
      [seed.badges[3].slug, c],
      [seed.badges[3].slug, a],
    ])
    expect([await holds(seed, 0, a), await holds(seed, 0, b), await holds(seed, 0, c)]).toEqual([
      true,
      false,
      true,
    ])
    const total = (await api.get(`${instances(seed, 0)}?page=1&count=1`)).body.pageData.total
    expect(total).toBe(2)
    expect(await news()).toHaveLength(9)
  })

  it('gives a bulk award’s earners what places there are, in the order asked for', async () => {
    const seed = await seedBadges(2)
    await milestone(seed, 0, [1])
    await api.put(`${seed.system}/badges/${seed.badges[0].slug}`, { limit: 2 })
    const emails = ['c', 'a', 'b', 'd'].map((name) => `${name}@example.org`)
    await api.post(`${instances(seed, 1)}/bulk`, { emails })
    const held = (await api.get(instances(seed, 0))).body.instances
    expect(held.map(({ email }: { email: string }) => email)).toEqual(emails.slice(0, 2))
    expect(await told(seed)).toEqual([1, 1, 1, 1, 0, 0])
  })

  it('does nothing for who was skipped', async () => {
    const seed = await seedBadges(2)
    await award(seed, 1)
    await milestone(seed, 0, [1])
    await api.post(`${instances(seed, 1)}/bulk`, { emails: [EMAIL] })
    expect((await award(seed, 1)).status).toBe(409)
    expect(await holds(seed, 0)).toBe(false)
    expect(await told(seed)).toEqual([1])
  })

  it('does so by a claim code too', async () => {
    const seed = await seedBadges(2)
    await milestone(seed, 0, [1])
    await api.post(`${seed.system}/badges/${seed.badges[1].slug}/codes`, { code: 'x' })
    await award(seed, 1, EMAIL, { claimCode: 'x' })
    expect((await api.get(`${instances(seed, 0)}/${EMAIL}`)).body.instance.claimCode).toBeNull()
    expect((await api.get(`${instances(seed, 1)}/${EMAIL}`)).body.instance.claimCode).toBe('x')
    expect(await told(seed)).toEqual([1, 0])
  })

  it('is not undone by the revocation of a support badge', async () => {
    const seed = await seedBadges(2)
    await milestone(seed, 0, [1])
    await award(seed, 1)
    await revoke(seed, 1)
    expect(await holds(seed, 0)).toBe(true)
    expect((await news()).map(({ type }) => type)).toEqual([
      'badge.awarded',
      'badge.awarded',
      'badge.revoked',
    ])
  })

  it('comes after the milestone: making or changing one awards nothing', async () => {
    const seed = await seedBadges(3)
    await award(seed, 1)
    await award(seed, 2)
    const { id } = await milestone(seed, 0, [1])
    await api.put(itemOf(seed, id), {
      numberRequired: 0,
      supportBadges: [1, 2].map((i) => seed.badges[i].id),
    })
    await api.post(`${itemOf(seed, id)}/remove-badge`, { badgeId: seed.badges[2].id })
    await api.post(`${itemOf(seed, id)}/add-badge`, { badgeId: seed.badges[2].id })
    expect(await holds(seed, 0)).toBe(false)
    expect(await news()).toHaveLength(2)
  })

  it('stands on the version of the primary badge at that moment', async () => {
    const seed = await seedBadges(2)
    await milestone(seed, 0, [1])
    const edited = await api.put(`${seed.system}/badges/${seed.badges[0].slug}`, { name: 'New' })
    await award(seed, 1)
    expect((await messages(seed))[1].badge).toEqual(edited.body.badge)
    const { results } = await env.DB.prepare('select badge from badgeVersions where badgeId = ?')
      .bind(seed.badges[0].id)
      .all<{ badge: string }>()
    expect(results.map(({ badge }) => JSON.parse(badge))).toEqual([edited.body.badge])
  })

  it('keeps no version of a primary badge that is not given', async () => {
    const seed = await seedBadges(3)
    await milestone(seed, 0, [1, 2])
    const before = await rows('badgeVersions')
    await award(seed, 1)
    expect(await rows('badgeVersions')).toBe(before + 1)
  })
})

describe('a milestone that queues an application', () => {
  const applications = async (seed: Seed, i: number) =>
    (await api.get(`${seed.system}/badges/${seed.badges[i].slug}/applications`)).body.applications
  /** The totals that pages of applications tell: the badge's and the system's. */
  const totals = async (seed: Seed, i: number) =>
    Promise.all(
      [`/badges/${seed.badges[i].slug}`, ''].map(
        async (part) =>
          (await api.get(`${seed.system}${part}/applications?page=1&count=1`)).body.pageData.total,
      ),
    )

  it('makes an application once, and awards nothing', async () => {
    const seed = await seedBadges(3)
    await milestone(seed, 0, [1, 2], { numberRequired: 1, action: 'queue-application' })
    await award(seed, 1, 'Ada@example.org')
    const made = await applications(seed, 0)
    expect(made).toEqual([
      expect.objectContaining({
        learner: 'Ada@example.org',
        slug: expect.stringMatching(/^[0-9a-f]{32}$/),
        processed: null,
        assignedTo: null,
        evidence: [],
        badge: seed.badges[0],
      }),
    ])
    await award(seed, 2)
    expect(await applications(seed, 0)).toEqual(made)
    expect(await totals(seed, 0)).toEqual([1, 1])
    expect(await holds(seed, 0)).toBe(false)
    expect(await told(seed)).toEqual([1, 2])
    expect(await newTypes()).toEqual(['badge.awarded', 'application.created', 'badge.awarded'])
    expect(await toldApplications(seed)).toEqual(made)
  })

  it('makes another when the last one has been processed, and none for who holds the badge', async () => {
    const seed = await seedBadges(4)
    await milestone(seed, 0, [1, 2, 3], { numberRequired: 1, action: 'queue-application' })
    await award(seed, 1)
    const [first] = await applications(seed, 0)
    const path = `${seed.system}/badges/${seed.badges[0].slug}/applications/${first.slug}`
    await api.put(path, { processed: 1_400_094_712 })
    await award(seed, 2)
    expect(await applications(seed, 0)).toHaveLength(2)
    expect(await toldApplications(seed)).toEqual([first, (await applications(seed, 0))[1]])
    await award(seed, 0)
    await api.put(path.replace(first.slug, (await applications(seed, 0))[1].slug), { processed: 1 })
    await award(seed, 3)
    expect(await applications(seed, 0)).toHaveLength(2)
    expect(await totals(seed, 0)).toEqual([2, 2])
    expect(await told(seed)).toEqual([1, 2, 0, 3])
    expect(await newTypes()).toEqual([
      'badge.awarded',
      'application.created',
      'application.updated',
      'badge.awarded',
      'application.created',
      'badge.awarded',
      'application.updated',
      'badge.awarded',
    ])
  })

  it('makes one for each earner of a bulk award', async () => {
    const seed = await seedBadges(2)
    await milestone(seed, 0, [1], { action: 'queue-application' })
    const emails = ['b@example.org', 'a@example.org', 'B@example.org', 'b@example.org']
    await api.post(`${instances(seed, 1)}/bulk`, { emails })
    const made = await applications(seed, 0)
    expect(made.map(({ learner }: Shown) => learner)).toEqual(['b@example.org', 'a@example.org'])
    expect(await totals(seed, 0)).toEqual([2, 2])
    expect(await told(seed)).toEqual([1, 1])
    expect(await toldApplications(seed)).toEqual(made)
  })

  it('makes one, and counts one, where it stands at two depths of a chain', async () => {
    const seed = await seedBadges(3)
    await milestone(seed, 1, [0])
    await milestone(seed, 2, [0, 1], { numberRequired: 1, action: 'queue-application' })
    await award(seed, 0)
    expect(await applications(seed, 2)).toHaveLength(1)
    expect(await totals(seed, 2)).toEqual([1, 1])
    expect(await told(seed)).toEqual([0, 1])
    expect(await toldApplications(seed)).toHaveLength(1)
  })

  it('makes one, and counts one, beside another milestone to the same badge', async () => {
    const seed = await seedBadges(2)
    await milestone(seed, 1, [0], { action: 'queue-application' })
    await milestone(seed, 1, [0], { action: 'queue-application' })
    await award(seed, 0)
    expect(await applications(seed, 1)).toHaveLength(1)
    expect(await totals(seed, 1)).toEqual([1, 1])
    expect(await told(seed)).toEqual([0])
    expect(await toldApplications(seed)).toHaveLength(1)
  })

  it('ends the chain: what it leads to completes nothing', async () => {
    const seed = await seedBadges(3)
    await milestone(seed, 1, [0], { action: 'queue-application' })
    await milestone(seed, 2, [1])
    await award(seed, 0)
    expect([await holds(seed, 1), await holds(seed, 2)]).toEqual([false, false])
    expect(await told(seed)).toEqual([0])
    await award(seed, 1)
    expect(await holds(seed, 2)).toBe(true)
    expect(await told(seed)).toEqual([0, 1, 2])
  })
})

it('passes the checks of the original’s suite', async () => {
  const seed = await seedBadges(5)
  const [one, four, five] = seed.badges
  const index = { one: 0, four: 1, five: 2 }
  const first = await milestone(seed, index.one, [index.four, index.five], { numberRequired: 1 })
  const second = await milestone(seed, index.four, [index.five, index.one], { numberRequired: 10 })
  const email = 'brian+milestone-test@example.org'
  await award(seed, index.five, email)
  expect(await holds(seed, index.one, email)).toBe(true)
  expect(await holds(seed, index.four, email)).toBe(false)
  const page = await api.get(`${list(seed)}?page=1&count=5`)
  expect(page.body.pageData.total).toBe(2)
  expect((await api.get(itemOf(seed, first.id))).body.milestone).toEqual(first)
  expect((await api.get(itemOf(seed, 123_456))).body.code).toBe('ResourceNotFound')
  const made = await milestone(seed, 3, [index.five, index.one], { numberRequired: 2 })
  expect(made.supportBadges).toEqual([five, one])
  const put = await api.put(itemOf(seed, made.id), { numberRequired: 200, supportBadges: [one.id] })
  expect(put.body.milestone).toEqual({ ...made, numberRequired: 200, supportBadges: [one] })
  const change = async (verb: string) =>
    (await api.post(`${itemOf(seed, made.id)}/${verb}-badge`, { badgeId: four.id })).body.milestone
      .supportBadges
  expect(await change('add')).toEqual([one, four])
  expect(await change('add')).toEqual([one, four])
  expect(await change('remove')).toEqual([one])
  expect(await change('remove')).toEqual([one])
  expect((await api.delete(itemOf(seed, second.id))).body).toEqual({ status: 'deleted' })
  expect((await api.get(itemOf(seed, second.id))).status).toBe(404)
  expect(await told(seed)).toEqual([index.five, index.one])
  expect(await news()).toHaveLength(2)
})
