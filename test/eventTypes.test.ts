import { env } from 'cloudflare:workers'
import { beforeEach, describe, expect, it } from 'vitest'
import { type EventType, wordOf } from '../src/events'
import { api } from './helpers/api'
import { call, send, silent, startCalm } from './helpers/deliveries'
import { badge, levels, outbox, PNG_URI, seedBadge, seedWebhook, unique } from './helpers/seed'

/** The types that BadgeKit had no message for: their `data` is what the API itself answers. */

type Seed = Awaited<ReturnType<typeof seedBadge>>

const [atSystem] = levels
const HARD = `"it's" \\"so\\" \\u0041\n\ttwo 🎖️👩‍🚀 \u2028 שלום </script> \u007f`
const LIVELY = {
  name: HARD,
  strapline: HARD,
  earnerDescription: HARD,
  consumerDescription: HARD,
  issuerUrl: 'https://example.org/i?a=1&b=2',
  rubricUrl: 'https://example.org/r',
  timeValue: 0,
  timeUnits: 'minutes',
  limit: 1_000_000,
  type: HARD,
  evidenceType: 'URL',
  criteria: [
    { description: HARD, required: 1, note: HARD },
    { description: 'b', required: 0 },
  ],
  alignments: [
    { name: HARD, url: HARD, description: null },
    { name: 'n', url: 'u', description: HARD },
  ],
  tags: [HARD, 'b'],
  categories: [HARD, 'b'],
}

startCalm({ alone: true })

/** The events of the badge's system that are of a type, their data read. */
async function dataOf(seed: Seed, type: EventType) {
  const { results } = await env.DB.prepare(
    `select e.data, e.body, e.subject from events e join badges b on b.systemId = e.systemId
     where b.id = ? and e.type = ? order by e.seq`,
  )
    .bind(seed.badge.id, type)
    .all<{ data: string; body: string | null; subject: string }>()
  for (const { data, body } of results) {
    expect(JSON.stringify(JSON.parse(data))).toBe(data)
    expect(body).toBeNull()
  }
  return results.map(({ data, subject }) => ({ data: JSON.parse(data), subject }))
}

/** A badge whose containers and own texts are hard to write, or as empty as may be. */
async function seedHard(level: (typeof levels)[number], more: object) {
  const seed = await seedBadge(level, more)
  const words = seed.container.split('/')
  for (const [i, n] of [3, 5, 7].entries()) {
    if (n > words.length) break
    const image = [PNG_URI, 'https://example.org/a.png?x="1"', PNG_URI][i]
    const given = { name: HARD, description: HARD, email: 'a@example.org', image }
    const made = await api.put(words.slice(0, n).join('/'), given)
    expect(made.status, JSON.stringify(made.body)).toBe(200)
  }
  return seed
}

const KINDS = [
  ['lively', { ...LIVELY, image: PNG_URI }],
  ['remote', { ...LIVELY, image: 'https://example.org/b.png?q=%22' }],
  ['bare', { strapline: null, limit: null, timeValue: null, evidenceType: null, type: '' }],
] as const
const cases = levels.flatMap((level) =>
  KINDS.map(([kind, more]) => [level.name, kind, level, more] as const),
)

describe.each(cases)('a badge of a %s, %s', (_level, _kind, level, more) => {
  let seed: Seed
  beforeEach(async () => {
    seed = await seedHard(level, more)
  })
  const shown = async () => (await api.get(seed.path)).body.badge

  it('that is changed is told of as it is then', async () => {
    const answers = [
      (await api.put(seed.path, { name: `New ${HARD}`, tags: ['x', HARD] })).body.badge,
      (await api.put(seed.path, { archived: true, criteria: [] })).body.badge,
      (await api.put(seed.path, { archived: false, limit: 0, image: PNG_URI })).body.badge,
      (await api.put(seed.path, {})).body.badge,
    ]
    const { uid } = (await env.DB.prepare('select uid from badges where id = ?')
      .bind(seed.badge.id)
      .first()) as { uid: string }
    const told = await dataOf(seed, 'badge.updated')
    expect(told).toEqual(answers.map((one) => ({ data: { badge: one }, subject: uid })))
    expect(told.map(({ data }) => Object.keys(data.badge))).toEqual(
      answers.map((one) => Object.keys(one)),
    )
    expect(await shown()).toEqual(told.at(-1)?.data.badge)
  })

  it('is told of in an application for it, when it is made and when it is changed', async () => {
    const path = `${seed.path}/applications`
    const evidence = [
      { url: 'https://example.org/e?q=%22&x=1', mediaType: 'image', reflection: HARD },
      { url: null, mediaType: null, reflection: 'r' },
    ]
    const given = [
      { learner: 'ada@example.org' },
      {
        learner: "o'n`{|}~$&@example.org",
        evidence,
        assignedTo: 'rev@example.org',
        assignedExpiration: '1912-06-23T01:02:03.004Z',
      },
      { learner: 'bob@example.org', processed: '1969-12-31T23:59:59.999Z', evidence: [] },
      { learner: 'bob@example.org', processed: 1 },
    ]
    const made = []
    for (const one of given) {
      const { status, body } = await api.post(path, one)
      expect(status, JSON.stringify(body)).toBe(201)
      made.push(body.application)
    }
    const told = await dataOf(seed, 'application.created')
    expect(told).toEqual(made.map((one) => ({ data: { application: one }, subject: one.slug })))
    expect(told.map(({ data }) => Object.keys(data.application))).toEqual(
      made.map((one) => Object.keys(one)),
    )
    const at = `${path}/${made[1].slug}`
    const changed = []
    for (const one of [
      { evidence: [evidence[1], evidence[0]], assignedExpiration: null },
      { processed: '1969-07-20T20:17:40.001Z', assignedTo: '' },
      { evidence: [] },
      {},
    ]) {
      changed.push((await api.put(at, one)).body.application)
    }
    const updates = await dataOf(seed, 'application.updated')
    expect(updates.map(({ data }) => data.application)).toEqual(changed)
    expect(updates.map(({ subject }) => subject)).toEqual(Array(4).fill(made[1].slug))
    expect((await api.get(at)).body.application).toEqual(changed.at(-1))
  })

  it('is told of with its code that is claimed, by itself and by an award', async () => {
    const claims = []
    const codes = []
    for (const [i, [code, email]] of [
      ['plain', null],
      [`h'"\\ 🎖 ${unique('c')}`, null],
      ['reserved', 'first@example.org'],
    ].entries()) {
      codes.push(
        (await api.post(`${seed.path}/codes`, { code, email, multiuse: i === 1 })).body.claimCode,
      )
    }
    for (const { code } of codes) {
      const { status, body } = await api.post(
        `${seed.path}/codes/${encodeURIComponent(code)}/claim`,
        code === 'plain' ? undefined : { email: 'O\'n"x@example.org'.replace('"', '') },
      )
      expect(status, JSON.stringify(body)).toBe(200)
      claims.push({ claimCode: body.claimCode, badge: body.badge })
    }
    const many = codes[1]
    await api.post(`${seed.path}/instances`, { email: 'eve@example.org', claimCode: many.code })
    const after = await api.get(`${seed.path}/codes/${encodeURIComponent(many.code)}`)
    claims.push({ claimCode: after.body.claimCode, badge: after.body.badge })
    const told = await dataOf(seed, 'code.claimed')
    expect(told.map(({ data }) => data)).toEqual(claims)
    expect(told.map(({ subject }) => subject)).toEqual([
      ...codes.map(({ id }) => `code-${id}-1`),
      `code-${many.id}-2`,
    ])
  })
})

describe('an application that a milestone makes', () => {
  it('is told of as the API shows it', async () => {
    const seed = await seedHard(atSystem, { ...LIVELY, image: PNG_URI })
    const support = (await api.post(`${seed.system}/badges`, badge(unique('badge')))).body.badge
    await api.post(`${seed.system}/milestones`, {
      primaryBadgeId: seed.badge.id,
      numberRequired: 1,
      supportBadges: [support.id],
      action: 'queue-application',
    })
    await api.post(`${seed.system}/badges/${support.slug}/instances/bulk`, {
      emails: ["o'n@example.org", 'B@example.org'],
    })
    const { applications } = (await api.get(`${seed.path}/applications`)).body
    const told = await dataOf(seed, 'application.created')
    expect(told.map(({ data }) => data.application)).toEqual(applications)
    expect(applications).toHaveLength(2)
  })
})

describe('a webhook', () => {
  /** Does all that there is to tell of, and gives the types in order. */
  async function everything(seed: Seed, bindings = silent): Promise<EventType[]> {
    const make = (method: string, path: string, body?: object) =>
      call(bindings, method, seed.path + path, body)
    const { application } = (await make('POST', '/applications', { learner: 'a@example.org' })).body
    await make('PUT', `/applications/${application.slug}`, { assignedTo: 'r@example.org' })
    const review = { author: 'r@example.org', reviewItems: [{ criterionId: 1, satisfied: 1 }] }
    await make('POST', `/applications/${application.slug}/reviews`, review)
    await make('POST', '/codes', { code: 'x' })
    await make('POST', '/instances', { email: 'ada@example.org', claimCode: 'x' })
    await make('PUT', '', { name: 'New' })
    await make('DELETE', '/instances/ada@example.org')
    return [
      'application.created',
      'application.updated',
      'application.reviewed',
      'badge.awarded',
      'code.claimed',
      'badge.updated',
      'badge.revoked',
    ]
  }
  const OLD: EventType[] = ['badge.awarded', 'badge.revoked', 'application.reviewed']

  it('of the contract’s format is told of what the contract knows, one of events-1 of all', async () => {
    const seed = await seedBadge(atSystem)
    const old = await seedWebhook(seed.system)
    const young = await seedWebhook(seed.system, { format: 'events-1' })
    const before = (await outbox()).length
    const types = await everything(seed)
    expect(
      (await outbox()).slice(before).map(({ type, deliveries }) => [type, deliveries]),
    ).toEqual(types.map((type) => [type, OLD.includes(type) ? 2 : 1]))
    const { results } = await env.DB.prepare(
      `select id from deliveries where state = 'pending' order by id`,
    ).all<{ id: number }>()
    for (const { id } of results) expect(await send(id)).toEqual({ state: 'delivered' })
    const told = (await young.received()).map(({ body }) => JSON.parse(body))
    expect(told.map(({ type }) => type)).toEqual(types)
    expect(told.map(({ sequence }) => sequence)).toEqual(types.map((_, i) => i + 1))
    const actions = (await old.received()).map(({ body }) => JSON.parse(body).action)
    expect(actions).toEqual(['review', 'award', 'revoke'])
  })

  it.each<EventType>([
    'application.created',
    'application.updated',
    'application.reviewed',
    'badge.awarded',
    'badge.revoked',
    'badge.updated',
    'code.claimed',
  ])('that asks for %s alone is told of nothing else, by either name', async (type) => {
    const seed = await seedBadge(atSystem)
    const names = [type, wordOf(type)]
    for (const name of names) {
      await seedWebhook(seed.system, { format: 'events-1', events: [name] })
    }
    const before = (await outbox()).length
    const types = await everything(seed)
    expect((await outbox()).slice(before).map(({ deliveries }) => deliveries)).toEqual(
      types.map((one) => (one === type ? 2 : 0)),
    )
  })

  it.each([
    ['badgekit-1', (id: number) => ({ action: 'ping', webhook: id })],
    [
      'events-1',
      (id: number) => ({
        id: expect.stringMatching(/^evt_/),
        type: 'ping',
        timestamp: expect.any(String),
        sequence: 1,
        data: { webhook: id },
      }),
    ],
  ])(
    'that is tested is sent a ping in its format, and nobody else is: %s',
    async (format, message) => {
      const seed = await seedBadge(atSystem)
      const hook = await seedWebhook(seed.system, { format, events: [] })
      const other = await seedWebhook(seed.system, { format: 'events-1' })
      const { webhooks } = (await api.get(`${seed.system}/webhooks`)).body
      const { id } = webhooks.find(({ url }: { url: string }) => url === hook.url)
      const before = (await outbox()).length
      const { status, body } = await api.post(`${seed.system}/webhooks/${id}/test`)
      expect([status, body.status]).toEqual([200, 'sent'])
      const [received, ...more] = await hook.received()
      expect(more).toEqual([])
      expect(JSON.parse(received?.body ?? '')).toEqual(message(id))
      expect(await other.received()).toEqual([])
      expect((await outbox()).slice(before)).toMatchObject([{ type: 'ping', deliveries: 1 }])
    },
  )
})

describe('what is refused', () => {
  it('is not told of', async () => {
    const seed = await seedBadge(atSystem, { limit: 5 })
    await api.post(`${seed.path}/codes`, { code: 'x', claimed: true })
    await api.post(`${seed.path}/instances`, { email: 'a@example.org' })
    await api.post(`${seed.path}/instances`, { email: 'b@example.org' })
    const before = await outbox()
    const statuses = [
      await api.put(seed.path, { limit: 1 }),
      await api.put(seed.path, { name: null }),
      await api.put(`${seed.path}x`, { name: 'x' }),
      await api.post(`${seed.path}/applications`, { learner: 'nope' }),
      await api.put(`${seed.path}/applications/none`, { learner: 'a@example.org' }),
      await api.post(`${seed.path}/codes/x/claim`),
      await api.post(`${seed.path}/codes/none/claim`),
      await api.post(`${seed.path}/instances`, { email: 'c@example.org', claimCode: 'x' }),
    ].map(({ status }) => status)
    expect(statuses).toEqual([409, 400, 404, 400, 404, 400, 404, 400])
    expect(await outbox()).toEqual(before)
  })
})
