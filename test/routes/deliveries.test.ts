import { env } from 'cloudflare:workers'
import { Webhook } from 'standardwebhooks'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { attempts, audit, deliveries, events, webhooks } from '../../drizzle/schema'
import { type Answer, api, type Call } from '../helpers/api'
import { watch } from '../helpers/changes'
import { startCalm } from '../helpers/deliveries'
import { levels, seedBadge, seedContainer, seedWebhook, unique } from '../helpers/seed'
import { attempt, rung, still } from '../helpers/still'

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const DAY = 86_400_000
const [systems] = levels
const { changesNothing, refused } = watch(deliveries, events, attempts, webhooks, audit)
startCalm()

let system: string
let badgePath: string
let hook: Awaited<ReturnType<typeof seedWebhook>>
beforeEach(async () => {
  const seed = await seedBadge(systems)
  system = seed.system
  badgePath = seed.path
  hook = await seedWebhook(system)
})

type Shown = {
  id: number
  event: { id: string; type: string; sequence: number; subject: string; created: string }
  webhook: number
  state: string
  attempts: number
  nextAt: string | null
}

const email = () => `${unique('earner')}@example.org`
const log = async (query = '', at = system) => (await api.get(`${at}/deliveries${query}`)).body
const listed = async (query = '', at = system): Promise<Shown[]> =>
  (await log(query, at)).deliveries
const ids = async (query: string) => (await listed(query)).map(({ id }) => id)
const show = async (id: number) => (await api.get(`${system}/deliveries/${id}`)).body.delivery
const redeliver = (id: number) => still.post(`${system}/deliveries/${id}/redeliver`)

/** Awards the badge; gives the award, and its delivery to the newest webhook, which nobody has attempted. */
async function award(path = badgePath) {
  const { status, body } = await still.post(`${path}/instances`, { email: email() })
  expect(status).toBe(201)
  const row = await env.DB.prepare('select max(id) as id from deliveries where subject = ?')
    .bind(body.instance.slug)
    .first<{ id: number }>()
  return { id: row?.id ?? 0, instance: body.instance }
}

const set = (id: number, what: string) =>
  env.DB.prepare(`update deliveries set ${what} where id = ?`).bind(id).run()
const setEvent = (id: number, what: string) =>
  env.DB.prepare(
    `update events set ${what} where id = (select eventId from deliveries where id = ?)`,
  )
    .bind(id)
    .run()

/** Deliveries by the thousand, made inside of the database, in the state and of the type that is told in SQL of `n`. */
async function fill(count: number, state = `'delivered'`, type = `'badge.awarded'`) {
  const numbers = `with recursive c(n) as (select 1 union all select n + 1 from c where n < ${count})`
  const { slug } = { slug: system.split('/')[2] }
  const id = `(select id from systems where slug = '${slug}')`
  const seq = `(select coalesce(max(seq), 0) from events where systemId = ${id})`
  const prefix = unique('evt_filled')
  await env.DB.batch([
    env.DB.prepare(`insert into events (id, systemId, seq, type, subject, body, data, createdAt)
      ${numbers}, base(seq) as (select ${seq})
      select '${prefix}_' || n, ${id}, base.seq + n, ${type}, 'filled-' || n, '{"n":' || n || '}', '{"n":' || n || '}', ${Date.now()} + n
      from c, base`),
    env.DB.prepare(`insert into deliveries (systemId, eventId, webhookId, subject, seq, state, nextAt, createdAt)
      ${numbers} select ${id}, '${prefix}_' || n, ${hook.id}, 'filled-' || n, n, ${state}, 0, ${Date.now()} + n from c order by n`),
  ])
}

/** Follows `next` to the end; gives the pages. */
async function pages(query: string) {
  const found: Shown[][] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page = await log(`?${query}&cursor=${cursor}`)
    found.push(page.deliveries)
    expect(page.next === null || /^\d+$/.test(page.next), `next ${page.next}`).toBe(true)
    cursor = page.next
    if (found.length > 50) throw new Error('There is no end of pages')
  }
  return found
}

describe('the log', () => {
  it('shows what is due, what became of it, and no more than that', async () => {
    const { id, instance } = await award()
    const shown = {
      id,
      event: {
        id: expect.stringMatching(/^evt_[0-9a-f]+_1$/),
        type: 'badge.awarded',
        sequence: 1,
        subject: instance.slug,
        created: expect.stringMatching(ISO),
      },
      webhook: hook.id,
      state: 'pending',
      attempts: 0,
      nextAt: expect.stringMatching(ISO),
    }
    expect(await log()).toEqual({ deliveries: [shown], next: null })
    expect(await show(id)).toEqual({ ...shown, log: [] })
    await attempt(id)
    const done = { ...shown, state: 'delivered', attempts: 1, nextAt: null }
    expect(await listed()).toEqual([done])
    expect(await show(id)).toEqual({
      ...done,
      log: [
        {
          n: 1,
          at: expect.stringMatching(ISO),
          ms: expect.any(Number),
          status: 200,
          error: null,
          answer: 'thank you',
        },
      ],
    })
    const [received] = await hook.received()
    expect((await show(id)).event.id).toBe(received?.headers['webhook-id'])
  })

  it('tells every attempt, the first one first', async () => {
    const { id } = await award()
    for (const code of [500, 404, 200]) {
      await hook.answer(code)
      await set(id, 'nextAt = 0')
      await env.DB.prepare('update webhooks set blockedUntil = 0').run()
      await attempt(id)
    }
    const { log: told, ...shown } = await show(id)
    expect(shown).toMatchObject({ state: 'delivered', attempts: 3 })
    expect(told).toMatchObject([
      { n: 1, status: 500 },
      { n: 2, status: 404 },
      { n: 3, status: 200 },
    ])
    expect(await listed()).toEqual([shown])
    expect(JSON.stringify(await log())).not.toContain('"log"')
  })

  it('says why there was no answer', async () => {
    const { id } = await award()
    await env.DB.prepare(`update webhooks set url = 'https://10.0.0.1/' where id = ?`)
      .bind(hook.id)
      .run()
    await attempt(id)
    const shown = await show(id)
    expect(shown).toMatchObject({ state: 'pending', attempts: 1 })
    expect(Date.parse(shown.nextAt)).toBeGreaterThan(Date.now())
    expect(shown.log).toMatchObject([{ n: 1, status: null, error: 'refused', answer: null }])
  })

  it('is empty where nothing has happened, or nobody was told', async () => {
    system = await seedContainer(systems)
    expect(await log()).toEqual({ deliveries: [], next: null })
  })

  it('shows the newest first, of one event the delivery of each webhook', async () => {
    const other = await seedWebhook(system)
    const [first, second] = [await award(), await award()]
    const found = await listed()
    expect(found.map(({ event }) => event.subject)).toEqual(
      [second, second, first, first].map(({ instance }) => instance.slug),
    )
    expect(found.map(({ webhook }) => webhook)).toEqual([other.id, hook.id, other.id, hook.id])
    expect(found.map(({ id }) => id)).toEqual(found.map(({ id }) => id).sort((a, b) => b - a))
    expect(new Set(found.map(({ event }) => event.id)).size).toBe(2)
  })

  it('passes by state, webhook, type and time, alone and together', async () => {
    const other = await seedWebhook(system)
    const [one, two] = [await award(), await award()]
    const [twoMine, oneMine] = [two.id - 1, one.id - 1]
    const revoked = await still.delete(`${badgePath}/instances/${one.instance.email}`)
    expect(revoked.status).toBe(200)
    const [last] = await listed()
    const [revoke, revokeMine] = [last?.id ?? 0, (last?.id ?? 0) - 1]
    await attempt(one.id)
    await set(twoMine, `state = 'exhausted'`)
    await set(two.id, `state = 'cancelled'`)
    expect(await ids('?state=delivered')).toEqual([one.id])
    expect(await ids('?state=exhausted')).toEqual([twoMine])
    expect(await ids('?state=cancelled')).toEqual([two.id])
    expect(await ids('?state=pending')).toEqual([revoke, revokeMine, oneMine])
    expect(await ids(`?webhook=${hook.id}`)).toEqual([revokeMine, twoMine, oneMine])
    expect(await ids('?type=badge.revoked')).toEqual([revoke, revokeMine])
    expect(await ids('?type=ping')).toEqual([])
    expect(await ids(`?state=pending&webhook=${hook.id}`)).toEqual([revokeMine, oneMine])
    expect(await ids(`?state=delivered&webhook=${hook.id}`)).toEqual([])
    expect(await ids(`?state=delivered&webhook=${other.id}`)).toEqual([one.id])
    expect(await ids(`?state=pending&webhook=${hook.id}&type=badge.awarded`)).toEqual([oneMine])
    await set(oneMine, 'createdAt = 1000')
    await set(one.id, 'createdAt = 1000')
    expect(await ids('?since=1')).toHaveLength(6)
    expect(await ids('?since=2')).toEqual([revoke, revokeMine, two.id, twoMine])
    expect(await ids('?since=1970-01-01T00:00:01.001Z&state=pending')).toEqual([revoke, revokeMine])
    expect(await ids(`?since=${Date.now() + DAY}`)).toEqual([])
    expect(await ids('?state=&webhook=&type=&since=&cursor=')).toHaveLength(6)
  })

  it('knows no webhook of another system, and no other webhook', async () => {
    const { id } = await award()
    const mine = system
    system = await seedContainer(systems)
    for (const more of ['', '&state=pending', '&state=delivered']) {
      expect(await log(`?webhook=${hook.id}${more}`)).toEqual({ deliveries: [], next: null })
      expect(await log(`?webhook=999999${more}`)).toEqual({ deliveries: [], next: null })
    }
    expect(await log(`?cursor=${id + 1}`)).toEqual({ deliveries: [], next: null })
    expect(await listed(`?webhook=${hook.id}`, mine)).toHaveLength(1)
  })

  it.each([
    ['state', 'lost'],
    ['state', 'PENDING'],
    ['webhook', 'x'],
    ['webhook', '-1'],
    ['webhook', '1.5'],
    ['type', 'award'],
    ['type', 'badge'],
    ['since', 'yesterday'],
    ['cursor', 'x'],
    ['cursor', '9'.repeat(16)],
  ])('is refused for a %s that is %s', async (parameter, value) => {
    const { status, body } = await api.get(`${system}/deliveries?${parameter}=${value}`)
    expect(status).toBe(400)
    expect(body).toEqual({
      code: 'InvalidParameter',
      parameter,
      message: expect.stringMatching(`^Invalid \`${parameter}\` parameter. Expecting .+\\.$`),
    })
  })

  it('looks for the system before it complains of a parameter', async () => {
    const { status, body } = await api.get('/systems/nowhere/deliveries?state=lost')
    expect({ status, message: body.message }).toEqual({
      status: 404,
      message: 'Could not find system field: `slug`, value: `nowhere`',
    })
  })

  it('shows 100 on a page, each once, and says where the next one starts', async () => {
    await fill(250)
    const found = await pages('')
    expect(found.map(({ length }) => length)).toEqual([100, 100, 50])
    const all = found.flat().map(({ id }) => id)
    expect(new Set(all).size).toBe(250)
    expect(all).toEqual(all.toSorted((a, b) => b - a))
  })

  it('ends with the page that holds the last', async () => {
    await fill(100)
    expect((await log()).next).toBeNull()
    await fill(1)
    expect((await pages('')).map(({ length }) => length)).toEqual([100, 1])
  })

  it('is not confused by what is written while it is read', async () => {
    await fill(150)
    const first = await log()
    await fill(20)
    const second = await log(`?cursor=${first.next}`)
    expect(first.deliveries).toHaveLength(100)
    expect(second.deliveries).toHaveLength(50)
    expect(second.next).toBeNull()
  })

  it.each([
    ['state=delivered', `iif(n % 500, 'exhausted', 'delivered')`, `'badge.awarded'`],
    ['state=pending', `iif(n % 500, 'exhausted', 'pending')`, `'badge.awarded'`],
    ['state=exhausted', `iif(n % 500, 'delivered', 'exhausted')`, `'badge.awarded'`],
    ['type=ping', `'delivered'`, `iif(n % 500, 'badge.awarded', 'ping')`],
    ['type=ping&state=exhausted', `'exhausted'`, `iif(n % 500, 'badge.awarded', 'ping')`],
    ['type=ping&since=1', `'delivered'`, `iif(n % 500, 'badge.awarded', 'ping')`],
  ])('finds what is rare, in pages that may be empty: %s', async (query, state, type) => {
    await fill(2_600, state, type)
    for (const more of ['', `&webhook=${hook.id}`]) {
      const found = await pages(query + more)
      expect(found.flat()).toHaveLength(5)
      expect(found.length).toBeLessThanOrEqual(4)
    }
  })

  it('ends where it has looked back far enough', async () => {
    await fill(3_000)
    const page = await log(`?since=${Date.now() + DAY}`)
    expect(page).toEqual({ deliveries: [], next: null })
  })

  it('holds no secret, no address and no claim code', async () => {
    const all = await seedWebhook(system, {
      format: 'events-1',
      secret: 'a secret of the receiver',
    })
    const [earner, claimer, learner] = [email(), email(), email()]
    await still.post(`${badgePath}/instances`, { email: earner })
    await still.delete(`${badgePath}/instances/${earner}?reason=Sorry`)
    await still.post(`${badgePath}/codes`, { code: 'very-secret-code' })
    await still.post(`${badgePath}/codes/very-secret-code/claim`, { email: claimer })
    const applied = await still.post(`${badgePath}/applications`, { learner })
    const application = `${badgePath}/applications/${applied.body.application.slug}`
    await still.put(application, { processed: 1_400_094_712 })
    await still.post(`${application}/reviews`, { author: 'rob@example.org' })
    await still.put(badgePath, { name: 'New' })
    await still.post(`${all.path}/test`)
    vi.stubGlobal('fetch', async () => new Response(`no ${earner}, no ${claimer}`, { status: 500 }))
    for (const { id } of await listed()) await attempt(id)
    vi.unstubAllGlobals()
    const lines: string[] = []
    for (const level of ['log', 'warn', 'error'] as const) {
      vi.spyOn(console, level).mockImplementation((...given) => void lines.push(given.join(' ')))
    }
    const found = await listed()
    expect(new Set(found.map(({ event }) => event.type)).size).toBeGreaterThanOrEqual(7)
    const each: Answer[] = []
    for (const { id } of found) each.push(await api.get(`${system}/deliveries/${id}`))
    for (const { id } of found) each.push(await redeliver(id))
    const text = JSON.stringify([found, each.map(({ body }) => body), lines])
    expect(text).toContain('no [email]')
    for (const hidden of [
      '@',
      '%40',
      'very-secret-code',
      hook.secret,
      'a secret of the receiver',
    ]) {
      expect(text).not.toContain(hidden)
    }
  })
})

describe('what hangs from a delivery', () => {
  const calls: [string, (path: string, call?: Call) => Promise<Answer>][] = [
    ['GET', (path, call) => api.get(path, call)],
    ['redeliver', (path, call) => api.post(`${path}/redeliver`, undefined, call)],
  ]

  it.each(calls)('is not there for what is no id of the system: %s', async (_name, call) => {
    const { id: elsewhere } = await award()
    await attempt(elsewhere)
    system = await seedContainer(systems)
    for (const id of [elsewhere, 999_999, 'x', '-1', '1e3']) {
      expect(await refused(404, () => call(`${system}/deliveries/${id}`))).toEqual({
        code: 'ResourceNotFound',
        message: `Could not find delivery field: \`id\`, value: \`${id}\``,
      })
    }
    expect(
      await refused(404, () => call(`/systems/nowhere/deliveries/${elsewhere}`)),
    ).toMatchObject({
      message: 'Could not find system field: `slug`, value: `nowhere`',
    })
  })

  it.each(calls)('is closed to the key of another system: %s', async (_name, call) => {
    const { id } = await award()
    const path = `${system}/deliveries/${id}`
    const other = await seedContainer(systems)
    const { key, secret } = (await api.post(`${other}/keys`, {})).body.key
    const body = await refused(403, () => call(path, { key, secret }))
    expect(body.code).toBe('NotAuthorized')
    for (const list of ['deliveries', 'events']) {
      expect((await api.get(`${system}/${list}`, { key, secret })).status).toBe(403)
      expect((await api.get(`${other}/${list}`, { key, secret })).status).toBe(200)
    }
  })
})

describe('sending again', () => {
  it('sends the same bytes by the same id, and starts the whole schedule anew', async () => {
    const { id } = await award()
    await attempt(id)
    // What happens to the badge, or to the award, changes nothing.
    await still.put(badgePath, { name: 'Another name' })
    rung.length = 0
    const { status, body } = await redeliver(id)
    expect(status).toBe(202)
    const { log: before, ...shown } = await show(id)
    expect(body).toEqual({ status: 'queued', delivery: shown })
    expect(shown).toMatchObject({
      id,
      state: 'pending',
      attempts: 1,
      nextAt: expect.stringMatching(ISO),
    })
    expect(before).toHaveLength(1)
    expect(rung).toEqual([id])
    expect(
      await env.DB.prepare('select action, target from audit order by id desc limit 1').first(),
    ).toEqual({
      action: 'POST /systems/:system/deliveries/:delivery/redeliver',
      target: `deliveries/${id}`,
    })
    expect(await attempt(id)).toBe('delivered')
    const [first, second, ...more] = await hook.received()
    expect(more).toEqual([])
    expect(second?.body).toBe(first?.body)
    expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id'])
    new Webhook(hook.secret).verify(second?.body ?? '', second?.headers ?? {})
    expect((await show(id)).log).toMatchObject([{ n: 1 }, { n: 2 }])
  })

  it('gives what was given up eleven tries more', async () => {
    const { id } = await award()
    await set(id, `state = 'exhausted', attempts = 11, endedAt = 1, createdAt = 1`)
    expect((await redeliver(id)).status).toBe(202)
    await hook.answer(500)
    expect(await attempt(id)).toBe('pending')
    const shown = await show(id)
    expect(shown).toMatchObject({ state: 'pending', attempts: 12, log: [{ n: 12, status: 500 }] })
    // The first wait of the schedule, and not the last.
    expect(Date.parse(shown.nextAt) - Date.parse(shown.log[0].at)).toBeLessThan(60_000)
  })

  it('does not wait for the next attempt of what is due later', async () => {
    const { id } = await award()
    await hook.answer(500)
    await attempt(id)
    await hook.answer(200)
    expect(await attempt(id)).toBeNull()
    expect((await redeliver(id)).status).toBe(202)
    expect(await attempt(id)).toBe('delivered')
  })

  it('sends a test again, once', async () => {
    await hook.answer(500)
    await still.post(`${hook.path}/test`)
    const [ping] = await listed()
    expect((await redeliver(ping?.id ?? 0)).status).toBe(202)
    expect(await attempt(ping?.id ?? 0)).toBe('exhausted')
  })

  const conflict = (message: string) => ({ code: 'ResourceConflict', message })

  it('is refused while it is being sent', async () => {
    const { id } = await award()
    let answer: Answer | undefined
    vi.stubGlobal('fetch', async () => {
      answer = await redeliver(id)
      return new Response('')
    })
    expect(await attempt(id)).toBe('delivered')
    vi.unstubAllGlobals()
    expect(answer?.status).toBe(409)
    expect(answer?.body).toEqual(conflict('The delivery is being sent'))
    expect(await show(id)).toMatchObject({ state: 'delivered', attempts: 1 })
  })

  it('is refused while it is being sent, in the very millisecond in which it was asked for', async () => {
    const { id } = await award()
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 1_000 })
    expect((await redeliver(id)).status).toBe(202)
    await set(id, `leaseUntil = ${Date.now() + 45_000}, leaseToken = 'another'`)
    await refused(409, () => redeliver(id))
  })

  it('is allowed when whoever was sending it has died', async () => {
    const { id } = await award()
    await set(id, `leaseUntil = ${Date.now() - 1}, leaseToken = 'dead', attempts = 1`)
    expect((await redeliver(id)).status).toBe(202)
    expect(await attempt(id)).toBe('delivered')
  })

  it('is refused for a webhook that is switched off, or deleted', async () => {
    const { id } = await award()
    await attempt(id)
    const message = 'The webhook is disabled or deleted'
    await api.put(hook.path, { state: 'disabled' })
    expect(await refused(409, () => redeliver(id))).toEqual(conflict(message))
    await api.delete(hook.path)
    expect(await refused(409, () => redeliver(id))).toEqual(conflict(message))
  })

  it('is refused when the message is no longer kept', async () => {
    const { id } = await award()
    await attempt(id)
    await setEvent(id, 'body = null, data = null')
    const message = 'The message of this event is no longer kept'
    expect(await refused(409, () => redeliver(id))).toEqual(conflict(message))
    expect(await show(id)).toMatchObject({ state: 'delivered', event: { type: 'badge.awarded' } })
  })

  it('of 50 who ask at once, and four who send, never sends twice at a time', async () => {
    const { id } = await award()
    await attempt(id)
    let now = 0
    let most = 0
    let sent = 0
    vi.stubGlobal('fetch', async () => {
      most = Math.max(most, ++now)
      sent++
      await new Promise((resolve) => setTimeout(resolve, 20))
      now--
      return new Response('again')
    })
    const ask = async () => {
      const { status } = await redeliver(id)
      await attempt(id, 'queue')
      return status
    }
    const statuses = await Promise.all(Array.from({ length: 50 }, ask))
    while ((await attempt(id)) !== null);
    vi.unstubAllGlobals()
    expect(new Set([...statuses, 202, 409])).toEqual(new Set([202, 409]))
    expect(statuses).toContain(202)
    expect(most).toBe(1)
    expect(sent).toBeGreaterThanOrEqual(1)
    expect(sent).toBeLessThanOrEqual(statuses.filter((status) => status === 202).length)
    const shown = await show(id)
    expect(shown).toMatchObject({ state: 'delivered', attempts: 1 + sent })
    expect(shown.log.map(({ n }: { n: number }) => n)).toEqual(
      Array.from({ length: 1 + sent }, (_, i) => i + 1),
    )
  })
})

describe('the feed of events', () => {
  const feed = async (after?: number | string) =>
    (await api.get(`${system}/events${after === undefined ? '' : `?after=${after}`}`)).body

  it('gives all that happened, in order, as an `events-1` webhook is told', async () => {
    const all = await seedWebhook(system, { format: 'events-1' })
    const { instance } = await award()
    await still.post(`${badgePath}/applications`, { learner: email() })
    await still.delete(`${badgePath}/instances/${instance.email}`)
    for (const { id } of await listed(`?webhook=${all.id}`)) await attempt(id)
    while ((await listed(`?webhook=${all.id}&state=pending`)).length > 0) {
      for (const { id } of await listed(`?webhook=${all.id}&state=pending`)) await attempt(id)
    }
    const { events: found, next } = await feed()
    expect(found.map(({ type }: { type: string }) => type)).toEqual([
      'badge.awarded',
      'application.created',
      'badge.revoked',
    ])
    expect(found.map(({ sequence }: { sequence: number }) => sequence)).toEqual([1, 2, 3])
    expect(next).toBe('3')
    const received = (await all.received()).map(({ body }) => JSON.parse(body))
    received.sort((a, b) => a.sequence - b.sequence)
    expect(found).toEqual(received)
    expect(found[0]).toEqual({
      id: expect.stringMatching(/^evt_/),
      type: 'badge.awarded',
      timestamp: expect.stringMatching(ISO),
      sequence: 1,
      data: {
        instance: expect.objectContaining({ slug: instance.slug }),
        badge: expect.any(Object),
      },
    })
  })

  it('gives 100 on a page, and always where to go on', async () => {
    await fill(250)
    const [one, two, three] = [await feed(), await feed(100), await feed(200)]
    expect([one, two, three].map(({ events: some }) => some.length)).toEqual([100, 100, 50])
    expect([one, two, three].map(({ next }) => next)).toEqual(['100', '200', '250'])
    const all = [one, two, three].flatMap(({ events: some }) => some)
    expect(all.map(({ sequence }) => sequence)).toEqual(
      Array.from({ length: 250 }, (_, i) => i + 1),
    )
    expect(await feed(250)).toEqual({ events: [], next: '250' })
    expect(await feed(9_999)).toEqual({ events: [], next: '9999' })
    await fill(1)
    expect(await feed(250)).toMatchObject({ events: [{ sequence: 251 }], next: '251' })
  })

  it('starts at the beginning without `after`, and with an empty one', async () => {
    const none = await seedContainer(systems)
    expect((await api.get(`${none}/events`)).body).toEqual({ events: [], next: '0' })
    await fill(2)
    expect(await feed('')).toEqual(await feed())
    expect(await feed(0)).toEqual(await feed())
    expect((await feed()).events).toHaveLength(2)
  })

  it('shows what is no longer kept as an event without data', async () => {
    await award()
    const { id } = await award()
    await setEvent(id - 1, 'body = null, data = null')
    const { events: found } = await feed()
    expect(found).toMatchObject([
      { sequence: 1, type: 'badge.awarded', data: null },
      { sequence: 2, data: { instance: {} } },
    ])
  })

  it('holds what happens to the system alone, and nothing of another', async () => {
    await award()
    const mine = system
    system = await seedContainer(systems)
    expect(await feed()).toEqual({ events: [], next: '0' })
    system = mine
    expect((await feed()).events).toHaveLength(1)
  })

  it.each([['x'], ['-1'], ['1.5'], ['9'.repeat(16)]])('is refused after %s', async (value) => {
    const { status, body } = await changesNothing(() => api.get(`${system}/events?after=${value}`))
    expect(status).toBe(400)
    expect(body).toEqual({
      code: 'InvalidParameter',
      parameter: 'after',
      message: 'Invalid `after` parameter. Expecting a number.',
    })
    expect((await api.get('/systems/nowhere/events?after=x')).status).toBe(404)
  })
})
