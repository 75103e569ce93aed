import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { app } from '../src/app'
import type { Bindings } from '../src/env'
import { type Answer, api, ORIGIN, sign } from './helpers/api'
import { badge, EVENTS, levels, outbox, rows, seedBadge, seedWebhook, unique } from './helpers/seed'

type Seed = Awaited<ReturnType<typeof seedBadge>>
type Hook = Awaited<ReturnType<typeof seedWebhook>>

const [atSystem] = levels

let seen = 0
beforeEach(async () => {
  seen = (await outbox()).length
})
/** What has come into the outbox since the test began; each test seeds a system of its own, so that it stands at the end. */
const news = async () => (await outbox()).slice(seen)

const award = (seed: Seed, more: object = {}) =>
  api.post(`${seed.path}/instances`, { email: `${unique('e')}@example.org`, ...more })
const revoke = (seed: Seed, email: string) =>
  api.delete(`${seed.path}/instances/${encodeURIComponent(email)}`)

type Event = {
  id: string
  seq: number
  type: string
  body: string
  data: string
  createdAt: number
}
const eventsOf = async (seed: Seed) =>
  (
    await env.DB.prepare(
      `select e.* from ${EVENTS} e join badges b on b.systemId = e.systemId where b.id = ? order by seq`,
    )
      .bind(seed.badge.id)
      .all<Event>()
  ).results

const arrived = (hook: Hook, n: number) =>
  vi.waitFor(
    async () => {
      const received = await hook.received()
      expect(received).toHaveLength(n)
      return received
    },
    { timeout: 5_000, interval: 25 },
  )

describe.each(levels)('what happens to a badge of a $name', (level) => {
  it('is written with the change, once, with a delivery for each webhook, and arrives', async () => {
    const seed = await seedBadge(level)
    const hooks = [await seedWebhook(seed.system), await seedWebhook(seed.system)]
    const made = await award(seed, { email: 'ada@example.org' })
    const subject = made.body.instance.slug
    expect(await news()).toEqual([{ type: 'badge.awarded', subject, deliveries: 2 }])
    await revoke(seed, 'ada@example.org')
    expect(await news()).toEqual([
      { type: 'badge.awarded', subject, deliveries: 2 },
      { type: 'badge.revoked', subject, deliveries: 2 },
    ])
    const events = await eventsOf(seed)
    for (const hook of hooks) {
      const received = await arrived(hook, 2)
      const bodies = received.map(({ headers, body }) => [headers['webhook-id'], body])
      expect(bodies.sort()).toEqual(events.map(({ id, body }) => [id, body]).sort())
    }
  })

  it('is not written when it does not happen', async () => {
    const seed = await seedBadge(level, { limit: 1 })
    await seedWebhook(seed.system)
    await award(seed, { email: 'ada@example.org' })
    const before = await news()
    expect(before).toHaveLength(1)
    const refusals = [
      await award(seed, { email: 'ada@example.org' }),
      await award(seed, { email: 'bob@example.org' }),
      await award(seed, { email: 'nope' }),
      await revoke(seed, 'bob@example.org'),
      await api.delete(`${seed.path}/instances/ada@example.org?reason=${'x'.repeat(501)}`),
      await api.post(`${seed.path}/instances`, { email: 'x@example.org' }, { secret: 'wrong' }),
      await api.post(`${seed.container}/badges/none/instances`, { email: 'x@example.org' }),
    ]
    expect(refusals.map(({ status }) => status)).toEqual([409, 409, 400, 404, 400, 403, 404])
    expect(await news()).toEqual(before)
  })

  it('is not written for containers, new badges and deleted ones: they tell no one', async () => {
    const seed = await seedBadge(level)
    await seedWebhook(seed.system)
    await api.put(seed.container, { name: 'New' })
    await api.post(`${seed.container}/badges`, badge(unique('badge')))
    await award(seed, { email: 'ada@example.org' })
    await api.delete(seed.path)
    expect(await news()).toMatchObject([{ type: 'badge.awarded' }])
  })
})

describe('the number of an event', () => {
  const numbers = async (seed: Seed) => (await eventsOf(seed)).map(({ seq }) => seq)

  it('counts from one in each system, and no refusal uses one up', async () => {
    const [one, two] = [await seedBadge(atSystem), await seedBadge(atSystem)]
    await award(one, { email: 'ada@example.org' })
    await award(two, { email: 'ada@example.org' })
    await award(one, { email: 'ada@example.org' })
    await award(one, { email: 'bob@example.org' })
    await revoke(one, 'nobody@example.org')
    await revoke(one, 'ada@example.org')
    await award(two, { email: 'bob@example.org' })
    expect(await numbers(one)).toEqual([1, 2, 3])
    expect(await numbers(two)).toEqual([1, 2])
  })

  it('has no gap and no double when 40 awards and revocations come at once', async () => {
    const seed = await seedBadge(atSystem)
    await Promise.all(
      Array.from({ length: 20 }, (_, i) => award(seed, { email: `e${i}@example.org` })),
    )
    await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        i % 2 ? revoke(seed, `e${i}@example.org`) : award(seed, { email: `f${i}@example.org` }),
      ),
    )
    expect(await numbers(seed)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1))
    const ids = (await eventsOf(seed)).map(({ id }) => id)
    expect(new Set(ids).size).toBe(40)
    for (const id of ids) expect(id).toMatch(/^evt_[\da-z_]+$/)
  })
})

describe('the message of an award', () => {
  it('holds what the contract says, in its order, without a blank', async () => {
    const seed = await seedBadge(atSystem)
    const hook = await seedWebhook(seed.system)
    const made = await award(seed, {
      email: 'Ada@example.org',
      issuedOn: 1_400_094_712_999,
      comment: 'Well done',
    })
    const { slug, assertionUrl } = made.body.instance
    const expected = `{"action":"award","uid":"${slug}","badge":${JSON.stringify(seed.badge)},"email":"Ada@example.org","assertionUrl":"${assertionUrl}","issuedOn":1400094712,"comment":"Well done"}`
    const [event] = await eventsOf(seed)
    expect(event?.body).toBe(expected)
    const [received] = await arrived(hook, 1)
    expect(received?.body).toBe(expected)
    expect(received?.headers['content-type']).toBe('application/json')
    expect(await news()).toEqual([{ type: 'badge.awarded', subject: slug, deliveries: 1 }])
  })

  it.each([[undefined], [null]])('says null where the comment is %j', async (comment) => {
    const seed = await seedBadge(atSystem)
    await award(seed, { comment })
    const [event] = await eventsOf(seed)
    expect(event?.body).toMatch(/,"comment":null}$/)
  })

  it('keeps an empty comment', async () => {
    const seed = await seedBadge(atSystem)
    await award(seed, { comment: '' })
    expect((await eventsOf(seed))[0]?.body).toMatch(/,"comment":""}$/)
  })

  it.each(levels)('names the containers of a badge of a $name', async (level) => {
    const seed = await seedBadge(level)
    await award(seed)
    const message = JSON.parse((await eventsOf(seed))[0]?.body ?? '')
    expect(message.badge).toEqual(seed.badge)
    expect('issuer' in message.badge).toBe(level.name !== 'system')
    expect('program' in message.badge).toBe(level.name === 'program')
  })

  it('shows the badge as it was when it was awarded', async () => {
    const seed = await seedBadge(atSystem)
    await award(seed)
    await api.put(seed.path, { name: 'Another name' })
    await award(seed)
    const awards = (await eventsOf(seed)).filter(({ type }) => type === 'badge.awarded')
    const names = awards.map(({ body }) => JSON.parse(body).badge.name)
    expect(names).toEqual([seed.badge.name, 'Another name'])
  })
})

describe('texts that are hard to write', () => {
  const controls = String.fromCharCode(...Array.from({ length: 31 }, (_, i) => i + 1))
  const hard = [
    ['emoji', '🎖️👩‍🚀 𝕏 🇪🇺'],
    ['quotes and backslashes', `"it's" \\"so\\" \\u0041 \\\\ \\n`],
    ['newlines and tabs', 'one\ntwo\r\nthree\tfour'],
    ['every control character', `a${controls}\u007f\u0080\u009fb`],
    ['line separators', 'a\u2028b\u2029c\ufeffd\u00ade'],
    ['markup and SQL', `</script><!-- ' ; drop table events; -- ' || json_quote(?1)`],
    ['combining and right-to-left', 'e\u0301 \u202eשלום مرحبا'],
    ['JSON', '{"a":[1,null]},"b":"'],
    ['what a replacement would read', "$& $1 $$ $` $'"],
  ] as const

  it.each(hard)('survive in comment, address and badge: %s', async (_name, text) => {
    const seed = await seedBadge(atSystem, {
      name: text,
      strapline: text,
      earnerDescription: text,
      consumerDescription: text,
      type: text,
      criteria: [{ description: text, note: text }],
      alignments: [{ name: text, url: text, description: text }],
      tags: [text],
      categories: [text],
    })
    const email = "o'n`{|}~$&@example.org"
    const hooks = [
      await seedWebhook(seed.system),
      await seedWebhook(seed.system, { format: 'events-1' }),
    ]
    const slug = `${text} ${unique('slug')}`
    const made = await award(seed, { email, slug, comment: text })
    expect(made.status).toBe(201)
    await revoke(seed, email)
    const events = await eventsOf(seed)
    expect(events).toHaveLength(2)
    for (const { body, data } of events) {
      expect(JSON.stringify(JSON.parse(body))).toBe(body)
      expect(JSON.stringify(JSON.parse(data))).toBe(data)
      expect(JSON.parse(body)).toMatchObject({ uid: slug, email, badge: seed.badge })
    }
    expect(JSON.parse(events[0]?.body ?? '')).toEqual({
      action: 'award',
      uid: slug,
      badge: seed.badge,
      email,
      assertionUrl: made.body.instance.assertionUrl,
      issuedOn: Math.floor(Date.parse(made.body.instance.issuedOn) / 1000),
      comment: text,
    })
    for (const hook of hooks) {
      for (const { body } of await arrived(hook, 2)) {
        expect(JSON.stringify(JSON.parse(body))).toBe(body)
      }
    }
  })

  it('come out well-formed when half a character is given', async () => {
    const seed = await seedBadge(atSystem)
    await award(seed, { comment: 'a\ud83cb' })
    const [event] = await eventsOf(seed)
    expect(JSON.parse(event?.body ?? '').comment).toBe('a\ufffdb')
  })
})

it('puts what the contract says into the message of a revocation', async () => {
  const seed = await seedBadge(atSystem)
  const hook = await seedWebhook(seed.system, { events: ['revoke'] })
  const made = await award(seed, { email: 'Ada@example.org' })
  const { slug } = made.body.instance
  const gone = await api.delete(`${seed.path}/instances/ada@example.org?reason=why`)
  expect(gone.status).toBe(200)
  const expected = `{"action":"revoke","uid":"${slug}","badge":${JSON.stringify(seed.badge)},"email":"Ada@example.org"}`
  expect((await eventsOf(seed))[1]?.body).toBe(expected)
  expect((await arrived(hook, 1))[0]?.body).toBe(expected)
  expect(await news()).toEqual([
    { type: 'badge.awarded', subject: slug, deliveries: 0 },
    { type: 'badge.revoked', subject: slug, deliveries: 1 },
  ])
})

describe('the format events-1', () => {
  it('wraps an award and a revocation in the same envelope', async () => {
    const seed = await seedBadge(atSystem)
    const hook = await seedWebhook(seed.system, { format: 'events-1' })
    const made = await award(seed, { email: 'ada@example.org', expires: '2031-01-01' })
    await api.delete(`${seed.path}/instances/ada@example.org?reason=why`)
    const received = await arrived(hook, 2)
    const events = await eventsOf(seed)
    expect(events.map(({ type }) => type)).toEqual(['badge.awarded', 'badge.revoked'])
    for (const event of events) {
      const { id, type, seq, createdAt } = event
      const message = received.find(({ headers }) => headers['webhook-id'] === id)
      const head = `{"id":"${id}","type":"${type}","timestamp":"${new Date(createdAt).toISOString()}","sequence":${seq},"data":{"instance":{"slug":`
      expect(message?.body.slice(0, head.length)).toBe(head)
      const parsed = JSON.parse(message?.body ?? '')
      expect(JSON.stringify(parsed)).toBe(message?.body)
      expect(Object.keys(parsed)).toEqual(['id', 'type', 'timestamp', 'sequence', 'data'])
      const { slug, email, expires, issuedOn, claimCode, assertionUrl } = made.body.instance
      expect(parsed.data.instance).toMatchObject({
        slug,
        email,
        expires,
        issuedOn,
        claimCode,
        assertionUrl,
      })
      expect(parsed.data.badge).toEqual(seed.badge)
    }
    const [, revoked] = events
    expect(JSON.parse(revoked?.data ?? '').revocationReason).toBe('why')
  })
})

describe('a webhook', () => {
  it.each([
    [undefined, 1, 1],
    [null, 1, 1],
    [['award'], 1, 0],
    [['revoke'], 0, 1],
    [['award', 'revoke'], 1, 1],
    [['review'], 0, 0],
    [[], 0, 0],
  ])('that asks for %j is told of %i award and %i revocation', async (events, awards, ends) => {
    for (const format of ['badgekit-1', 'events-1']) {
      const seed = await seedBadge(atSystem)
      seen = (await outbox()).length
      await seedWebhook(seed.system, { events, format })
      await award(seed, { email: 'ada@example.org' })
      await revoke(seed, 'ada@example.org')
      expect((await news()).map(({ deliveries }) => deliveries)).toEqual([awards, ends])
    }
  })

  it.each([
    ['that is switched off', `state = 'disabled'`],
    ['that has been deleted', 'deletedAt = 1'],
  ])('%s is told nothing, though the event is kept', async (_name, set) => {
    const seed = await seedBadge(atSystem)
    const hook = await seedWebhook(seed.system)
    await env.DB.prepare(`update webhooks set ${set} where url = ?`).bind(hook.url).run()
    await award(seed)
    expect(await news()).toMatchObject([{ type: 'badge.awarded', deliveries: 0 }])
  })

  it('has many events of one request waiting in the order of their numbers', async () => {
    const seed = await seedBadge(atSystem)
    await seedWebhook(seed.system)
    await seedWebhook(seed.system)
    const emails = Array.from({ length: 12 }, (_, i) => `e${i}@example.org`)
    expect((await api.post(`${seed.path}/instances/bulk`, { emails })).status).toBe(201)
    const { results } = await env.DB.prepare(
      `select d.seq, d.webhookId from deliveries d join badges b on b.systemId = d.systemId
       where b.id = ? order by d.id`,
    )
      .bind(seed.badge.id)
      .all<{ seq: number; webhookId: number }>()
    expect(results).toHaveLength(24)
    expect(results).toEqual([...results].sort((x, y) => x.seq - y.seq || x.webhookId - y.webhookId))
  })

  it('that is registered later is told nothing of what was before', async () => {
    const seed = await seedBadge(atSystem)
    await award(seed)
    await award(seed)
    // Ids are random: one before and one behind all others.
    const ids = `update events set id = iif(seq = 1, 'evt_0', 'evt_z') where systemId =
      (select systemId from badges where id = ?)`
    await env.DB.prepare(ids).bind(seed.badge.id).run()
    await seedWebhook(seed.system)
    await award(seed)
    expect((await news()).map(({ deliveries }) => deliveries)).toEqual([0, 0, 1])
  })

  it('of another system is told nothing', async () => {
    const other = await seedBadge(atSystem)
    await seedWebhook(other.system)
    const seed = await seedBadge(atSystem)
    await award(seed)
    expect(await news()).toMatchObject([{ type: 'badge.awarded', deliveries: 0 }])
  })
})

// ── Lost answers ────────────────────────────────────────────────────────────────────────────────────────────────────

type Batch = () => Promise<D1Result[]>

/** The database, where batches that write an event go through `around`; `n` counts them from one. */
const withBatches = (around: (run: Batch, n: number) => Promise<D1Result[]>) => {
  let n = 0
  return {
    withSession(from: string) {
      const session = env.DB.withSession(from)
      let writes = false
      return {
        prepare(text: string) {
          writes ||= /insert into "?events/.test(text)
          return session.prepare(text)
        },
        batch(statements: D1PreparedStatement[]) {
          const run = () => session.batch(statements)
          return writes ? around(run, ++n) : run()
        },
        getBookmark: () => session.getBookmark(),
      }
    },
  } as unknown as D1Database
}
const lost = () => new Error('D1_ERROR: Network connection lost.')

async function call(DB: D1Database, method: string, path: string, body?: object) {
  const bytes = body && (new TextEncoder().encode(JSON.stringify(body)) as Uint8Array<ArrayBuffer>)
  const request = new Request(ORIGIN + path, {
    method,
    body: bytes,
    headers: {
      Authorization: `JWT token="${await sign(method, path, bytes)}"`,
      ...(bytes && { 'Content-Type': 'application/json' }),
    },
  })
  const ctx = createExecutionContext()
  const over: Partial<Bindings> = { DB }
  const response = await app.fetch(request, { ...env, ...over }, ctx)
  await waitOnExecutionContext(ctx)
  return { status: response.status, headers: response.headers, body: await response.json() }
}

describe('when the answer of the database is lost', () => {
  let seed: Seed
  let hook: Hook
  beforeEach(async () => {
    seed = await seedBadge(atSystem)
    hook = await seedWebhook(seed.system)
    seen = (await outbox()).length
  })
  const path = () => `${seed.path}/instances`
  const ada = { email: 'ada@example.org' }

  /** Carries the first `n` writes out, and loses their answers. */
  const losing = (n: number) =>
    withBatches(async (run, count) => {
      const answer = await run()
      if (count <= n) throw lost()
      return answer
    })

  it('after an award was written, the repeated one makes no second award and no second event', async () => {
    const before = await rows('badgeInstances')
    const answer = (await call(losing(1), 'POST', path(), ada)) as Answer
    expect(answer.status).toBe(201)
    const subject = answer.body.instance.slug
    expect(await news()).toEqual([{ type: 'badge.awarded', subject, deliveries: 1 }])
    expect(await rows('badgeInstances')).toBe(before + 1)
    expect((await api.get(`${path()}/ada@example.org`)).body.instance.slug).toBe(subject)
    const counted = await env.DB.prepare('select awarded from badges where id = ?')
      .bind(seed.badge.id)
      .first()
    expect(counted).toEqual({ awarded: 1 })
  })

  it('after a revocation was written, the repeated one is a success and no second event', async () => {
    const made = await award(seed, ada)
    const answer = await call(losing(1), 'DELETE', `${path()}/ada@example.org`)
    expect(answer.status).toBe(200)
    const subject = made.body.instance.slug
    expect(await news()).toEqual([
      { type: 'badge.awarded', subject, deliveries: 1 },
      { type: 'badge.revoked', subject, deliveries: 1 },
    ])
  })

  it('before anything was written, the repeated one writes it', async () => {
    const DB = withBatches(async (run, n) => {
      if (n < 3) throw lost()
      return run()
    })
    const answer = (await call(DB, 'POST', path(), ada)) as Answer
    expect(answer.status).toBe(201)
    expect(await news()).toEqual([
      { type: 'badge.awarded', subject: answer.body.instance.slug, deliveries: 1 },
    ])
    expect(await arrived(hook, 1)).toHaveLength(1)
  })

  it('three times, the caller is asked to come back, and a second try tells what stands', async () => {
    const DB = withBatches(async (run, n) => {
      if (n === 1) await run()
      throw lost()
    })
    const answer = (await call(DB, 'POST', path(), ada)) as Answer
    expect(answer.status).toBe(503)
    expect(answer.body.code).toBe('ServiceUnavailable')
    expect(Number(answer.headers.get('Retry-After'))).toBeGreaterThan(0)
    expect(await news()).toHaveLength(1)
    expect((await award(seed, ada)).status).toBe(409)
    expect(await news()).toHaveLength(1)
  })

  it('for good, on an error that does not pass, nothing is tried again and nothing is told of it', async () => {
    let tries = 0
    const DB = withBatches(async () => {
      tries++
      throw new Error('D1_ERROR: no such table: secrets of ada@example.org')
    })
    const answer = (await call(DB, 'POST', path(), ada)) as Answer
    expect(answer.status).toBe(500)
    expect(answer.body).toEqual({ code: 'InternalError', message: 'An internal error occured' })
    expect(tries).toBe(1)
    expect(await news()).toEqual([])
  })

  it('and the doorbell with it, the delivery stands in the table for the sweep', async () => {
    await call(losing(1), 'POST', path(), ada)
    const pending = await env.DB.prepare(
      'select count(*) as n from deliveries d join webhooks w on w.id = d.webhookId where w.url = ?',
    )
      .bind(hook.url)
      .first()
    expect(pending).toEqual({ n: 1 })
  })
})
