import { env, exports } from 'cloudflare:workers'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { app } from '../src/app'
import { idFrom } from '../src/crypto'
import type { Bindings } from '../src/env'
import { type Level, levels } from '../src/levels'
import { ABOUT } from '../src/spec'
import { api, ORIGIN, sign } from './helpers/api'
import { call, changesNothing, count, failing, fated, LOST, type Sent } from './helpers/calls'
import { at, calm, DAY, silent } from './helpers/deliveries'
import {
  badge,
  container,
  rows,
  seedBadge,
  seedContainer,
  seedWebhook,
  unique,
} from './helpers/seed'
import { attemptAll } from './helpers/still'

/** `Idempotency-Key`: a POST that is sent again is answered again, and does nothing. */

beforeEach(async () => {
  await calm()
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

const fresh = () => crypto.randomUUID()
const post = (path: string, body: object | undefined, key: string, more: Sent = {}) =>
  call('POST', path, body, { ...more, headers: { ...more.headers, 'Idempotency-Key': key } })
const isReplay = ({ headers }: { headers: Headers }) =>
  headers.get('Idempotent-Replayed') === 'true'

// ── Every POST there is ─────────────────────────────────────────────────────────────────────────────────────────────

type Ask = { path: string; body?: object }

const someone = () => `${unique('e')}@example.org`

async function badgeIn(path: string, more: object = {}) {
  const made = await call('POST', `${path}/badges`, { ...badge(unique('badge')), ...more })
  expect(made.status).toBe(201)
  return { id: made.body.badge.id as number, path: `${path}/badges/${made.body.badge.slug}` }
}

async function made(path: string, body: object, name: string) {
  const answer = await call('POST', path, body)
  expect(answer.status, answer.text).toBe(201)
  return answer.body[name]
}

async function milestoneIn(path: string) {
  const [primary, support, other] = [await badgeIn(path), await badgeIn(path), await badgeIn(path)]
  const fields = { primaryBadgeId: primary.id, numberRequired: 1, supportBadges: [support.id] }
  const { id } = await made(`${path}/milestones`, fields, 'milestone')
  return { path: `${path}/milestones/${id}`, support, other }
}

/** A job of one award that nobody has worked on. */
async function jobIn(path: string) {
  const jobs = `${(await badgeIn(path)).path}/instances/jobs`
  const { status, body } = await call('POST', jobs, { rows: [{ email: someone() }] })
  expect(status).toBe(202)
  return `${jobs}/${body.job.id}`
}

/** An award, by the path of its earner. */
async function awardIn(path: string) {
  const awards = `${(await badgeIn(path)).path}/instances`
  const { email } = await made(awards, { email: someone(), narrative: 'Once' }, 'instance')
  return `${awards}/${email}`
}

/** An award that a webhook has not been told of; gives the delivery. */
async function undelivered(system: string) {
  const hook = await seedWebhook(system)
  const { path } = await badgeIn(system)
  await made(`${path}/instances`, { email: someone() }, 'instance')
  const id = await count('select max(id) as n from deliveries where webhookId = ?', hook.id)
  return { hook, id, path }
}

/** By the path below its container: what must be there, and a request that does something. */
const ASKS: Record<string, (path: string) => Promise<Ask>> = {
  '/systems': async () => ({ path: '/systems', body: container(unique('s')) }),
  '/issuers': async (path) => ({ path: `${path}/issuers`, body: container(unique('i')) }),
  '/programs': async (path) => ({ path: `${path}/programs`, body: container(unique('p')) }),
  '/badges': async (path) => ({ path: `${path}/badges`, body: badge(unique('b')) }),
  '/badges/:badge/codes': async (path) => ({
    path: `${(await badgeIn(path)).path}/codes`,
    body: { code: unique('code') },
  }),
  '/badges/:badge/codes/random': async (path) => ({
    path: `${(await badgeIn(path)).path}/codes/random`,
  }),
  '/badges/:badge/codes/batch': async (path) => ({
    path: `${(await badgeIn(path)).path}/codes/batch`,
    body: { count: 20 },
  }),
  '/badges/:badge/codes/:code/claim': async (path) => {
    const one = await badgeIn(path)
    const { code } = await made(`${one.path}/codes`, { code: unique('code') }, 'claimCode')
    return { path: `${one.path}/codes/${code}/claim`, body: { email: someone() } }
  },
  '/badges/:badge/instances': async (path) => {
    const one = await badgeIn(path, { unique: 0 })
    const fields = { code: unique('code'), multiuse: true }
    const { code } = await made(`${one.path}/codes`, fields, 'claimCode')
    return {
      path: `${one.path}/instances`,
      body: { email: someone(), claimCode: code, repeat: true },
    }
  },
  '/badges/:badge/instances/bulk': async (path) => ({
    path: `${(await badgeIn(path)).path}/instances/bulk`,
    body: { emails: [someone(), someone(), someone()] },
  }),
  '/badges/:badge/instances/jobs': async (path) => ({
    path: `${(await badgeIn(path)).path}/instances/jobs`,
    body: { rows: [{ email: someone() }, { email: someone() }] },
  }),
  '/badges/:badge/instances/jobs/:job/cancel': async (path) => ({
    path: `${await jobIn(path)}/cancel`,
  }),
  '/badges/:badge/instances/jobs/:job/revoke': async (path) => ({
    path: `${await jobIn(path)}/revoke`,
    body: { reason: 'A mistake' },
  }),
  '/badges/:badge/instances/revocations': async (path) => {
    const one = await badgeIn(path)
    const email = someone()
    await made(`${one.path}/instances`, { email }, 'instance')
    return { path: `${one.path}/instances/revocations`, body: { emails: [email] } }
  },
  '/badges/:badge/instances/:email/suspend': async (path) => ({
    path: `${await awardIn(path)}/suspend`,
    body: { reason: 'Under review' },
  }),
  '/badges/:badge/instances/:email/reinstate': async (path) => {
    const one = await awardIn(path)
    await call('POST', `${one}/suspend`)
    return { path: `${one}/reinstate` }
  },
  '/badges/:badge/instances/:email/renew': async (path) => ({
    path: `${await awardIn(path)}/renew`,
    body: { narrative: 'Still' },
  }),
  '/badges/:badge/applications/:application/assign': async (path) => {
    const list = `${(await badgeIn(path)).path}/applications`
    const { slug } = await made(list, { learner: someone() }, 'application')
    return { path: `${list}/${slug}/assign`, body: { assignedTo: someone() } }
  },
  '/badges/:badge/applications': async (path) => ({
    path: `${(await badgeIn(path)).path}/applications`,
    body: { learner: someone(), evidence: [{ url: 'https://example.org/e', mediaType: 'link' }] },
  }),
  '/badges/:badge/applications/:application/reviews': async (path) => {
    const one = await badgeIn(path)
    const fields = { learner: someone() }
    const { slug } = await made(`${one.path}/applications`, fields, 'application')
    const body = { author: someone(), comment: 'Well done', reviewItems: [] }
    return { path: `${one.path}/applications/${slug}/reviews`, body }
  },
  '/keys': async (path) => ({ path: `${path}/keys`, body: { role: 'issue', description: 'x' } }),
  '/keys/:key/secret/rotate': async (path) => {
    const { key } = await made(`${path}/keys`, {}, 'key')
    return { path: `${path}/keys/${key}/secret/rotate`, body: { grace: 60 } }
  },
  '/signing-keys/rotate': async (path) => ({ path: `${path}/signing-keys/rotate` }),
  '/milestones': async (path) => {
    const [primary, support] = [await badgeIn(path), await badgeIn(path)]
    const body = { primaryBadgeId: primary.id, numberRequired: 1, supportBadges: [support.id] }
    return { path: `${path}/milestones`, body }
  },
  '/milestones/:milestone/backfill': async (path) => ({
    path: `${(await milestoneIn(path)).path}/backfill`,
  }),
  '/milestones/:milestone/add-badge': async (path) => {
    const milestone = await milestoneIn(path)
    return { path: `${milestone.path}/add-badge`, body: { badgeId: milestone.other.id } }
  },
  '/milestones/:milestone/remove-badge': async (path) => {
    const milestone = await milestoneIn(path)
    return { path: `${milestone.path}/remove-badge`, body: { badgeId: milestone.support.id } }
  },
  '/webhooks': async (path) => ({
    path: `${path}/webhooks`,
    body: { url: `https://${unique('hook')}.example.org/`, events: ['award'] },
  }),
  '/webhooks/:webhook/test': async (path) => ({ path: `${(await seedWebhook(path)).path}/test` }),
  '/webhooks/:webhook/secret/rotate': async (path) => ({
    path: `${(await seedWebhook(path)).path}/secret/rotate`,
    body: { grace: 60 },
  }),
  '/webhooks/:webhook/secret/promote': async (path) => {
    const hook = await seedWebhook(path)
    await call('POST', `${hook.path}/secret/rotate`, {})
    return { path: `${hook.path}/secret/promote` }
  },
  '/webhooks/:webhook/secret/retire': async (path) => {
    const hook = await seedWebhook(path)
    await call('POST', `${hook.path}/secret/rotate`, {})
    return { path: `${hook.path}/secret/retire` }
  },
  '/webhooks/:webhook/recover': async (path) => {
    const { hook, id } = await undelivered(path)
    await env.DB.prepare(`update deliveries set state = 'exhausted' where id = ?`).bind(id).run()
    return { path: `${hook.path}/recover`, body: { since: Date.now() - DAY } }
  },
  '/deliveries/:delivery/redeliver': async (path) => ({
    path: `${path}/deliveries/${(await undelivered(path)).id}/redeliver`,
  }),
  '/privacy/export': async (path) => ({
    path: `${path}/privacy/export`,
    body: { email: someone() },
  }),
  '/privacy/erase': async (path) => {
    const email = someone()
    await made(`${(await badgeIn(path)).path}/instances`, { email }, 'instance')
    return { path: `${path}/privacy/erase`, body: { email } }
  },
}

/** What a POST only reads has no effect to be remembered: it is read again. */
const READS = ['/privacy/export']

type Route = { template: string; level: Level; below: string }

const isOpen = (handler: object) => (handler as { [ABOUT]?: { open?: boolean } })[ABOUT]?.open
const posts = app.routes.filter(({ method }) => method === 'POST')
const open = posts.filter(({ handler }) => isOpen(handler)).map(({ path }) => path)
const templates = new Set(posts.map(({ path }) => path).filter((path) => !open.includes(path)))
const POSTS: Route[] = [...templates].map((template) => {
  const level = levels.findLast(({ path }) => template.startsWith(`${path}/`))
  return { template, level: level ?? levels[0], below: template.slice(level?.path.length ?? 0) }
})
const WRITES = POSTS.filter(({ below }) => !READS.includes(below)).map(
  (route) => [route.template, route] as const,
)

/** Makes what the request is about. */
async function prepare({ level, below }: Route): Promise<Ask> {
  const ask = ASKS[below]
  if (!ask) throw new Error(`ASKS lacks POST ${below}`)
  return ask(await seedContainer(level))
}

describe('every POST', () => {
  it('stands in the table of this test, and the table names no other', () => {
    expect(POSTS.length).toBeGreaterThan(30)
    expect([...new Set(POSTS.map(({ below }) => below))].sort()).toEqual(Object.keys(ASKS).sort())
  })

  it.each(WRITES)(
    '%s does nothing when it is repeated, and gives the same answer',
    async (_template, route) => {
      const { path, body } = await prepare(route)
      const key = fresh()
      const first = await post(path, body, key)
      expect(first.status, first.text).toBeGreaterThanOrEqual(200)
      expect(first.status, first.text).toBeLessThan(300)
      expect(isReplay(first)).toBe(false)
      const audited = await rows('audit')
      const again = await changesNothing(async () => [
        await post(path, body, key),
        await post(path, body, `"${key}"`),
      ])
      for (const answer of again) {
        expect({ status: answer.status, text: answer.text }).toEqual({
          status: first.status,
          text: first.text,
        })
        expect(isReplay(answer)).toBe(true)
        expect(answer.headers.get('Location')).toBe(first.headers.get('Location'))
        expect(answer.headers.get('X-Request-Id')).not.toBe(first.headers.get('X-Request-Id'))
      }
      expect(await rows('audit')).toBe(audited)
    },
  )

  it.each(WRITES)('%s refuses the key of another request', async (_template, route) => {
    const { path, body } = await prepare(route)
    const key = fresh()
    await post(path, body, key)
    const others = await changesNothing(async () => [
      await post(path, { ...body, more: 1 }, key),
      await post(`${path}?more=1`, body, key),
    ])
    for (const { status, body: told } of others) {
      expect(status).toBe(422)
      expect(told).toEqual({
        code: 'IdempotencyKeyReused',
        message: 'This Idempotency-Key has been used for another request',
      })
    }
  })

  it.each(WRITES)(
    '%s happens once when it is sent five times at once',
    async (_template, route) => {
      const { path, body } = await prepare(route)
      const key = fresh()
      const audited = await rows('audit')
      const answers = await Promise.all(Array.from({ length: 5 }, () => post(path, body, key)))
      expect(await rows('audit')).toBe(audited + 1)
      const good = answers.filter(({ status }) => status < 300)
      const others = answers.filter(({ status }) => status >= 300)
      // Whoever asks for a test while it is being made is told to ask again: nothing is known of it yet.
      const waits = route.below.endsWith('/test') ? [409, 503] : [409]
      for (const { status, text } of others) expect(waits, text).toContain(status)
      expect(good.filter((one) => !isReplay(one)).length).toBeLessThanOrEqual(1)
      if (waits.length === 1) expect(good.some((one) => !isReplay(one))).toBe(true)
      const last = await changesNothing(() => post(path, body, key))
      expect(isReplay(last)).toBe(true)
      for (const { text } of good) expect(text).toBe(last.text)
    },
  )

  it('that only reads is read again, whatever its key', async () => {
    const [route] = POSTS.filter(({ below }) => READS.includes(below))
    if (!route) throw new Error('there is none')
    const { path, body } = await prepare(route)
    const key = fresh()
    const [first, again] = await changesNothing(async () => [
      await post(path, body, key),
      await post(path, body, key),
    ])
    expect(again.status).toBe(200)
    expect(again.text).toBe(first.text)
  })
})

// ── The header ──────────────────────────────────────────────────────────────────────────────────────────────────────

describe('the header', () => {
  it.each([
    ['one character', 'a'],
    ['a UUID', '5f3c1a52-2d77-4b53-9f16-2f5b6f0f3a2e'],
    ['punctuation', `!#$%&'()*+,-./:;<=>?@[\\]^_\`{|}~`],
    ['255 characters', 'k'.repeat(255)],
    ['255 characters in quotes', `"${'k'.repeat(255)}"`],
    ['a quote within', 'a"b'],
  ])('may be %s', async (_what, key) => {
    const path = await seedContainer(levels[0])
    const body = container(unique('i'))
    expect((await post(`${path}/issuers`, body, key)).status).toBe(201)
    expect(isReplay(await post(`${path}/issuers`, body, key))).toBe(true)
    await env.DB.prepare('delete from idempotency').run()
  })

  it.each([
    ['empty', ''],
    ['blank', '  '],
    ['empty quotes', '""'],
    ['one quote', '"'],
    ['a quote that is not closed', '"abc'],
    ['256 characters', 'k'.repeat(256)],
    ['256 characters in quotes', `"${'k'.repeat(256)}"`],
    ['two words', 'a b'],
  ])('may not be %s', async (_what, key) => {
    const path = await seedContainer(levels[0])
    const { status, body } = await changesNothing(() =>
      post(`${path}/issuers`, container(unique('i')), key),
    )
    expect(status).toBe(400)
    expect(body).toEqual({
      code: 'BadRequestError',
      message: 'An Idempotency-Key has 1 to 255 printable characters',
    })
  })

  it('is the same in quotes and without them, and differs by case', async () => {
    const path = `${await seedContainer(levels[0])}/issuers`
    const [body, key] = [container(unique('i')), `Key-${fresh()}`]
    expect((await post(path, body, `"${key}"`)).status).toBe(201)
    expect(isReplay(await post(path, body, key))).toBe(true)
    expect((await post(path, body, key.toLowerCase())).status).toBe(409)
  })

  it('means nothing to a GET, PUT or DELETE', async () => {
    const path = await seedContainer(levels[0])
    for (const key of ['', fresh()]) {
      const headers = { 'Idempotency-Key': key }
      expect((await call('GET', path, undefined, { headers })).status).toBe(200)
      for (const name of ['One', 'Two']) {
        const changed = await call('PUT', path, { name }, { headers })
        expect(changed.body.system.name).toBe(name)
        expect(isReplay(changed)).toBe(false)
      }
    }
    const headers = { 'Idempotency-Key': fresh() }
    expect((await call('DELETE', path, undefined, { headers })).status).toBe(200)
    expect((await call('DELETE', path, undefined, { headers })).status).toBe(404)
  })

  it('is looked up without a further trip, and a repetition needs none to write', async () => {
    const path = `${await seedContainer(levels[0])}/issuers`
    const log = vi.spyOn(console, 'log').mockImplementation(() => {})
    const trips = () => log.mock.calls.map(([line]) => JSON.parse(line as string).trips)
    await call('POST', path, container(unique('i')))
    const [body, key] = [container(unique('i')), fresh()]
    await post(path, body, key)
    await post(path, body, key)
    expect(trips()).toEqual([2, 2, 2])
  })
})

// ── Who and how long ────────────────────────────────────────────────────────────────────────────────────────────────

describe('an Idempotency-Key', () => {
  it('belongs to the key that signs: another may use the same', async () => {
    const path = await seedContainer(levels[0])
    const signers: Sent[] = [{}]
    for (let i = 0; i < 2; i++) {
      const { key, secret } = await made(`${path}/keys`, {}, 'key')
      signers.push({ key, secret })
    }
    const idempotencyKey = fresh()
    const { path: awards } = await badgeIn(path)
    const bodies = signers.map(() => ({ email: someone() }))
    const slugs = new Set<string>()
    for (const round of [1, 2]) {
      for (const [i, signer] of signers.entries()) {
        const answer = await post(`${awards}/instances`, bodies[i], idempotencyKey, signer)
        expect(answer.status).toBe(201)
        expect(isReplay(answer)).toBe(round === 2)
        slugs.add(answer.body.instance.slug)
      }
    }
    expect(slugs.size).toBe(signers.length)
  })

  it('is remembered for 24 hours; then it is that of a new request', async () => {
    const now = Date.now()
    at(now)
    const { path } = await badgeIn(await seedContainer(levels[0]))
    const ask = async (later: number, key = 'daily') => {
      at(now + later)
      await calm(now + later)
      return post(`${path}/codes/random`, undefined, key)
    }
    const first = await ask(0)
    const last = await ask(DAY - 1)
    expect(isReplay(last)).toBe(true)
    expect(last.body.claimCode).toEqual(first.body.claimCode)
    const anew = await ask(DAY)
    expect(anew.status).toBe(201)
    expect(isReplay(anew)).toBe(false)
    expect(anew.body.claimCode.code).not.toBe(first.body.claimCode.code)
    const again = await ask(2 * DAY - 1)
    expect(isReplay(again)).toBe(true)
    expect(again.body.claimCode).toEqual(anew.body.claimCode)
    expect(
      await count('select count(*) as n from claimCodes where op like ?', '%'),
    ).toBeGreaterThan(1)
  })

  it('may be of another request after 24 hours', async () => {
    const now = Date.now()
    at(now)
    const { path } = await badgeIn(await seedContainer(levels[0]))
    const key = fresh()
    expect((await post(`${path}/codes`, { code: 'one' }, key)).status).toBe(201)
    expect((await post(`${path}/codes`, { code: 'two' }, key)).status).toBe(422)
    at(now + DAY)
    await calm(now + DAY)
    expect((await post(`${path}/codes`, { code: 'two' }, key)).status).toBe(201)
  })
})

// ── What is not remembered ──────────────────────────────────────────────────────────────────────────────────────────

describe('a request that failed is not remembered', () => {
  it('when its fields were wrong', async () => {
    const path = `${await seedContainer(levels[0])}/issuers`
    const [body, key] = [container(unique('i')), fresh()]
    expect((await post(path, { ...body, url: 'x' }, key)).status).toBe(400)
    expect((await post(path, body, key)).status).toBe(201)
  })

  it('when something was missing or in the way', async () => {
    const system = await seedContainer(levels[0])
    const slug = unique('b')
    const missing = `${system}/badges/${slug}/codes`
    const key = fresh()
    expect((await post(missing, { code: 'x' }, key)).status).toBe(404)
    await made(`${system}/badges`, badge(slug), 'badge')
    const created = await post(missing, { code: 'x' }, key)
    expect(created.status).toBe(201)
    expect(isReplay(created)).toBe(false)

    const [second, body] = [fresh(), badge(slug)]
    expect((await post(`${system}/badges`, body, second)).status).toBe(409)
    expect((await call('DELETE', `${system}/badges/${slug}`)).status).toBe(200)
    const free = await post(`${system}/badges`, body, second)
    expect(free.status).toBe(201)
    expect(isReplay(free)).toBe(false)
  })

  it('when a code was used up, or the badge had no place', async () => {
    const { path } = await badgeIn(await seedContainer(levels[0]), { limit: 1 })
    const { email, slug } = await made(`${path}/instances`, { email: someone() }, 'instance')
    const [ask, key] = [{ email: someone() }, fresh()]
    expect((await post(`${path}/instances`, ask, key)).status).toBe(409)
    expect((await call('DELETE', `${path}/instances/${email}`)).status).toBe(200)
    const granted = await post(`${path}/instances`, ask, key)
    expect(granted.status).toBe(201)
    expect(granted.body.instance.slug).not.toBe(slug)
  })

  it('when the signature was wrong', async () => {
    const path = `${await seedContainer(levels[0])}/issuers`
    const [body, key] = [container(unique('i')), fresh()]
    expect((await post(path, body, key, { secret: 'wrong' })).status).toBe(403)
    expect((await post(path, body, key)).status).toBe(201)
    expect((await post(path, body, key, { secret: 'wrong' })).status).toBe(403)
  })

  it('when the database was down before the write', async () => {
    const path = `${await seedContainer(levels[0])}/issuers`
    const [body, key] = [container(unique('i')), fresh()]
    vi.spyOn(Math, 'random').mockReturnValue(0)
    const bindings = { ...silent, DB: failing(3, { after: false }) } as Bindings
    expect((await post(path, body, key, { bindings })).status).toBe(503)
    const then = await post(path, body, key)
    expect({ status: then.status, isReplay: isReplay(then) }).toEqual({
      status: 201,
      isReplay: false,
    })
  })
})

it('a request whose answers were all lost is found by its repetition', async () => {
  vi.spyOn(Math, 'random').mockReturnValue(0)
  const { path } = await badgeIn(await seedContainer(levels[0]))
  const [body, key] = [{ email: someone() }, fresh()]
  let writes = 0
  // The first is carried out and its answer lost; then the line is dead.
  const DB = fated((isWrite) => (isWrite ? { message: LOST, after: ++writes === 1 } : null))
  const bindings = { ...silent, DB } as Bindings
  const lost = await post(`${path}/instances`, body, key, { bindings })
  expect(lost.status).toBe(503)
  expect(lost.headers.get('Retry-After')).toMatch(/^[1-5]$/)
  const again = await changesNothing(() => post(`${path}/instances`, body, key))
  expect({ status: again.status, isReplay: isReplay(again) }).toEqual({
    status: 201,
    isReplay: true,
  })
})

// ── As it is now ────────────────────────────────────────────────────────────────────────────────────────────────────

describe('a repetition shows', () => {
  it('a container and a badge as they are now', async () => {
    const path = await seedContainer(levels[1])
    const keys = [fresh(), fresh()] as const
    const [program, one] = [container(unique('p')), badge(unique('b'))]
    await post(`${path}/programs`, program, keys[0])
    await post(`${path}/badges`, one, keys[1])
    await call('PUT', `${path}/programs/${program.slug}`, { name: 'Later', slug: unique('moved') })
    await call('PUT', `${path}/badges/${one.slug}`, { name: 'Later' })
    const again = await changesNothing(async () => [
      await post(`${path}/programs`, program, keys[0]),
      await post(`${path}/badges`, one, keys[1]),
    ])
    expect(again.map(({ status }) => status)).toEqual([201, 201])
    expect(again[0]?.body.program.name).toBe('Later')
    expect(again[1]?.body.badge.name).toBe('Later')
  })

  it('a milestone as it is now', async () => {
    const path = await seedContainer(levels[0])
    const [primary, support] = [await badgeIn(path), await badgeIn(path)]
    const list = `${path}/milestones`
    const body = { primaryBadgeId: primary.id, numberRequired: 1, supportBadges: [support.id] }
    const key = fresh()
    const first = await post(list, body, key)
    const { id } = first.body.milestone
    const changed = await call('PUT', `${list}/${id}`, { action: 'queue-application' })
    expect(changed.status).toBe(200)
    await call('POST', list, body)
    const again = await changesNothing(() => post(list, body, key))
    expect(again.status, again.text).toBe(201)
    expect(again.body.milestone).toMatchObject({ id, action: 'queue-application' })
  })

  it('the webhook that it made, with its secret, where its address is another’s by now', async () => {
    const path = `${await seedContainer(levels[0])}/webhooks`
    const [body, key] = [{ url: 'https://one.example.org/' }, fresh()]
    const { id, secret } = (await post(path, body, key)).body.webhook
    expect(secret).toMatch(/^whsec_/)
    await call('PUT', `${path}/${id}`, { url: 'https://two.example.org/' })
    const other = (await post(path, body, fresh())).body.webhook
    expect(other.secret).not.toBe(secret)
    const again = await changesNothing(() => post(path, body, key))
    expect(again.status).toBe(201)
    expect(again.body.webhook).toMatchObject({ id, secret, url: 'https://two.example.org/' })
  })

  it('nothing of a webhook that has gone, nor of its successor', async () => {
    const path = `${await seedContainer(levels[0])}/webhooks`
    const [body, key] = [{ url: 'https://one.example.org/' }, fresh()]
    const { id } = (await post(path, body, key)).body.webhook
    await call('DELETE', `${path}/${id}`)
    await call('POST', path, body)
    const again = await changesNothing(() => post(path, body, key))
    expect(again.status).toBe(409)
    expect(again.text).not.toContain('whsec_')
  })

  it('nothing of a code that has gone, nor of another with the same text', async () => {
    const { path } = await badgeIn(await seedContainer(levels[0]))
    const [body, key] = [{ code: unique('code') }, fresh()]
    await post(`${path}/codes`, body, key)
    await call('DELETE', `${path}/codes/${body.code}`)
    await call('POST', `${path}/codes`, { ...body, email: 'other@example.org' })
    const again = await changesNothing(() => post(`${path}/codes`, body, key))
    expect(again.status).toBe(409)
  })

  it('a code that was claimed since', async () => {
    const { path } = await badgeIn(await seedContainer(levels[0]))
    const key = fresh()
    const { code } = (await post(`${path}/codes/random`, undefined, key)).body.claimCode
    await call('POST', `${path}/codes/${code}/claim`, { email: 'ada@example.org' })
    const again = await changesNothing(() => post(`${path}/codes/random`, undefined, key))
    expect(again.status).toBe(201)
    expect(again.body.claimCode).toMatchObject({ code, claimed: true, email: 'ada@example.org' })
  })

  it('the random code that it drew in the end, not one that was in the way', async () => {
    const { path } = await badgeIn(await seedContainer(levels[0]))
    const honest = crypto.getRandomValues.bind(crypto)
    vi.spyOn(crypto, 'getRandomValues').mockImplementation(((array: Uint8Array<ArrayBuffer>) =>
      array.length === 16 ? array.fill(7) : honest(array)) as typeof crypto.getRandomValues)
    const op = '07'.repeat(16)
    const codes = [await idFrom(op, 'code 0', 5), await idFrom(op, 'code 1', 5)]
    vi.restoreAllMocks()
    await call('POST', `${path}/codes`, { code: codes[0] })
    vi.spyOn(crypto, 'getRandomValues').mockImplementation(((array: Uint8Array<ArrayBuffer>) =>
      array.length === 16 ? array.fill(7) : honest(array)) as typeof crypto.getRandomValues)
    const key = fresh()
    const first = await post(`${path}/codes/random`, undefined, key)
    vi.restoreAllMocks()
    expect(first.body.claimCode.code).toBe(codes[1])
    const again = await changesNothing(() => post(`${path}/codes/random`, undefined, key))
    expect(again.text).toBe(first.text)
    expect(isReplay(again)).toBe(true)
  })

  it('awards that were revoked since, one by one or of many', async () => {
    const { path } = await badgeIn(await seedContainer(levels[0]))
    const [one, many] = [{ email: someone() }, { emails: [someone(), someone()] }]
    const keys = [fresh(), fresh()] as const
    const first = [
      await post(`${path}/instances`, one, keys[0]),
      await post(`${path}/instances/bulk`, many, keys[1]),
    ]
    for (const email of [one.email, ...many.emails]) {
      expect((await call('DELETE', `${path}/instances/${email}`)).status).toBe(200)
      const again = await changesNothing(async () => [
        await post(`${path}/instances`, one, keys[0]),
        await post(`${path}/instances/bulk`, many, keys[1]),
      ])
      expect(again.map(({ text }) => text)).toEqual(first.map(({ text }) => text))
    }
  })

  it('an application and a review as they are now', async () => {
    const { path } = await badgeIn(await seedContainer(levels[0]))
    const keys = [fresh(), fresh()] as const
    const applied = { learner: someone() }
    const { slug } = (await post(`${path}/applications`, applied, keys[0])).body.application
    const list = `${path}/applications/${slug}/reviews`
    const said = { author: someone(), comment: 'First' }
    const review = (await post(list, said, keys[1])).body.review
    await call('PUT', `${list}/${review.slug}`, { comment: 'Second' })
    await call('PUT', `${path}/applications/${slug}`, { assignedTo: 'x@example.org' })
    const again = await changesNothing(async () => [
      await post(`${path}/applications`, applied, keys[0]),
      await post(list, said, keys[1]),
    ])
    expect(again[0]?.body.application).toMatchObject({ slug, assignedTo: 'x@example.org' })
    expect(again[1]?.body.review).toMatchObject({ slug: review.slug, comment: 'Second' })
    await call('DELETE', `${path}/applications/${slug}`)
    const gone = await changesNothing(() => post(`${path}/applications`, applied, keys[0]))
    expect(gone.status).toBe(409)
  })

  it('the secret of a key, which signs, also after the next rotation', async () => {
    const path = await seedContainer(levels[0])
    const keys = [fresh(), fresh()] as const
    const made = (await post(`${path}/keys`, {}, keys[0])).body.key
    const rotate = `${path}/keys/${made.key}/secret/rotate`
    const rotated = (await post(rotate, {}, keys[1])).body.key
    expect(rotated.secret).not.toBe(made.secret)
    await call('POST', rotate, {})
    const again = await changesNothing(async () => [
      await post(`${path}/keys`, {}, keys[0]),
      await post(rotate, {}, keys[1]),
    ])
    expect(again.map(({ body }) => body.key.secret)).toEqual([made.secret, rotated.secret])
    for (const { secret } of [made, rotated]) {
      expect((await call('GET', path, undefined, { key: made.key, secret })).status).toBe(200)
    }
  })

  it('how many deliveries were recovered, though they have arrived and the webhook is off', async () => {
    const path = await seedContainer(levels[0])
    const { hook, id, path: awards } = await undelivered(path)
    await env.DB.prepare(`update deliveries set state = 'exhausted' where id = ?`).bind(id).run()
    // One that the webhook has not had at all.
    await call('PUT', hook.path, { state: 'disabled' })
    await made(`${awards}/instances`, { email: someone() }, 'instance')
    await call('PUT', hook.path, { state: 'active' })
    const [body, key] = [{ since: Date.now() - DAY }, fresh()]
    const first = await post(`${hook.path}/recover`, body, key)
    expect(first.body).toEqual({ status: 'queued', count: 2 })
    await attemptAll()
    await made(`${awards}/instances`, { email: someone() }, 'instance')
    await call('PUT', hook.path, { state: 'disabled' })
    const again = await changesNothing(() => post(`${hook.path}/recover`, body, key))
    expect({ status: again.status, text: again.text }).toEqual({ status: 202, text: first.text })
    expect(await hook.received()).toHaveLength(2)
  })

  it.each([200, 500])(
    'the attempt of a test that was answered %i, and sends nothing',
    async (answer) => {
      const hook = await seedWebhook(await seedContainer(levels[0]))
      await hook.answer(answer)
      const key = fresh()
      const first = await post(`${hook.path}/test`, undefined, key)
      expect(first.body).toMatchObject({
        status: answer === 200 ? 'sent' : 'failed',
        attempt: { n: 1, status: answer },
      })
      await hook.answer(202)
      const again = await changesNothing(() => post(`${hook.path}/test`, undefined, key))
      expect(again.text).toBe(first.text)
      expect(await hook.received()).toHaveLength(1)
    },
  )

  it('the attempt of a test that its first request did not live to make', async () => {
    const hook = await seedWebhook(await seedContainer(levels[0]))
    const key = fresh()
    let writes = 0
    const DB = fated((isWrite) =>
      isWrite && ++writes === 2 ? { message: LOST, after: false } : null,
    )
    const died = await post(`${hook.path}/test`, undefined, key, {
      bindings: { ...silent, DB } as Bindings,
    })
    expect(died.status, died.text).toBe(503)
    expect(died.headers.get('Retry-After')).toMatch(/^[1-5]$/)
    expect(await hook.received()).toHaveLength(0)
    const again = await post(`${hook.path}/test`, undefined, key)
    expect(again.status, again.text).toBe(200)
    expect(again.body.status).toBe('sent')
    expect(isReplay(again)).toBe(true)
    expect(await hook.received()).toHaveLength(1)
    const third = await changesNothing(() => post(`${hook.path}/test`, undefined, key))
    expect(third.text).toBe(again.text)
  })

  it('a claim whose code has gone as missing, and counts no guess', async () => {
    const { path } = await badgeIn(await seedContainer(levels[0]))
    const code = unique('code')
    await made(`${path}/codes`, { code }, 'claimCode')
    const [claim, key] = [`${path}/codes/${code}/claim`, fresh()]
    expect((await post(claim, {}, key)).status).toBe(200)
    await call('DELETE', `${path}/codes/${code}`)
    expect((await changesNothing(() => post(claim, {}, key))).status).toBe(404)
  })
})

it('the fingerprint is of all that was said: another type of body is another request', async () => {
  const { path } = await seedBadge(levels[0])
  const key = fresh()
  const bytes = new TextEncoder().encode('code=a') as Uint8Array<ArrayBuffer>
  const send = async (type: string) =>
    (
      await exports.default.fetch(`${ORIGIN}${path}/codes`, {
        method: 'POST',
        body: bytes,
        headers: {
          Authorization: `JWT token="${await sign('POST', `${path}/codes`, bytes)}"`,
          'Content-Type': type,
          'Idempotency-Key': key,
        },
      })
    ).status
  const form = 'application/x-www-form-urlencoded'
  expect([await send(form), await send(form)]).toEqual([201, 201])
  expect(await send(`${form};charset=utf-8`)).toBe(422)
  expect((await api.get(`${path}/codes`)).body.claimCodes).toHaveLength(1)
})
