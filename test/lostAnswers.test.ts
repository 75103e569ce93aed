import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Bindings } from '../src/env'
import { type Level, levels } from '../src/levels'
import type { Answer } from './helpers/api'
import { call, count, fated, LOST } from './helpers/calls'
import { calm, silent } from './helpers/deliveries'
import { badge, container, seedContainer, seedWebhook, unique } from './helpers/seed'

/**
 * A client whose calls are lost, on the way to the database or on the way back, sends each again until it is answered. In the end
 * all is as if nothing had ever been lost: as a model in memory has it, each change once, each event once.
 */

const OPERATIONS = 1_000
/** Which share of the database's calls is lost, and how many in a row at the most: a line may be dead for a while. */
const SHARE = 0.2
const LONGEST = 7

/** mulberry32: what happens in a lane follows from its seed alone. */
function randomFrom(seed: number) {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** A database of whose calls so many are lost: each after, or before, it has been carried out. */
function losing(draw: () => number, after: boolean, told: Told): D1Database {
  let left = 0
  return fated(() => {
    told.calls++
    if (left === 0 && draw() < SHARE / (1 + (LONGEST / 2) * (1 - SHARE))) {
      left = 1 + Math.floor(draw() * LONGEST)
    }
    if (left === 0) return null
    left--
    told.lost++
    return { message: LOST, after }
  })
}

/** Calls of the database, and those that were lost; requests that had to be sent again, and those that had been done by then. */
type Told = { calls: number; lost: number; again: number; done: number }

// ── The model ───────────────────────────────────────────────────────────────────────────────────────────────────────

type Code = { code: string; multiuse: boolean; claimed: boolean; email: string | null }
type Review = { slug: string; comment: string | null }
type Application = { slug: string; learner: string; assignedTo: string | null; reviews: Review[] }
type ModelBadge = {
  slug: string
  name: string
  codes: Code[]
  /** The slugs of live awards by their earners. */
  awards: Map<string, string>
  applications: Application[]
}
type Lane = {
  level: Level
  path: string
  system: string
  draw: () => number
  bindings: Bindings
  told: Told
  badges: ModelBadge[]
  /** Names of the containers right below the lane's own, by slug. */
  children: Map<string, string>
  /** Types of all events, in their order. */
  events: string[]
  /** Changes so far, and how many of them were asked for by POST. */
  changes: number
  posts: number
}

const pick = <T>({ draw }: Lane, list: readonly T[]): T | undefined =>
  list[Math.floor(draw() * list.length)]
/** One of a few, so that some ask twice. */
const someone = ({ draw }: Lane) => `e${Math.floor(draw() * 12)}@example.org`

/**
 * Sends until it is answered: a POST by one Idempotency-Key; a PUT by the ETag that was read, which a change that has been made no
 * longer matches; a DELETE until nothing is there. Gives the answer, and whether it is that of the first time.
 */
async function persist(
  lane: Lane,
  method: string,
  path: string,
  fields?: object,
): Promise<Answer & { isFirst: boolean }> {
  const headers: Record<string, string> = {}
  if (method === 'POST') headers['Idempotency-Key'] = crypto.randomUUID()
  if (method === 'PUT') {
    const { headers: read } = await persist(lane, 'GET', path)
    headers['If-Match'] = read.get('ETag') ?? 'none'
  }
  for (let attempt = 1; attempt <= 100; attempt++) {
    const answer = await call(method, path, fields, { bindings: lane.bindings, headers })
    if (answer.status !== 503) {
      if (answer.headers.get('Idempotent-Replayed') === 'true') {
        expect(attempt).toBeGreaterThan(1)
        lane.told.done++
      }
      return { ...answer, isFirst: attempt === 1 }
    }
    expect(answer.headers.get('Retry-After')).toBe('1')
    lane.told.again++
  }
  throw new Error('It was never answered')
}

/** A change that must succeed, and the events that it makes. */
async function change(
  lane: Lane,
  method: string,
  path: string,
  fields: object | undefined,
  events: string[] = [],
): Promise<Answer> {
  const answer = await persist(lane, method, path, fields)
  // Whoever has to send it again may find that it has been done.
  const done = { POST: 201, PUT: 412, DELETE: 404 }[method]
  const good = method === 'POST' ? [200, 201] : answer.isFirst ? [200] : [200, done]
  expect(good, `${method} ${path}: ${JSON.stringify(answer.body)}`).toContain(answer.status)
  if (method !== 'POST' && answer.status === done) lane.told.done++
  if (method === 'POST') lane.posts++
  lane.changes++
  lane.events.push(...events)
  return answer
}

/** A request that is refused, and changes nothing. */
async function refusal(lane: Lane, path: string, fields: object, status: number) {
  const answer = await persist(lane, 'POST', path, fields)
  expect(answer.status, JSON.stringify(answer.body)).toBe(status)
}

// ── What is done ────────────────────────────────────────────────────────────────────────────────────────────────────

const LIST_BELOW = { system: 'issuers', issuer: 'programs', program: null }

/** An operation; false when there was nothing to do it to. */
type Operation = (lane: Lane, one: ModelBadge, path: string) => Promise<unknown>

const makeBadge = async (lane: Lane) => {
  const fields = badge(unique('b'))
  await change(lane, 'POST', `${lane.path}/badges`, fields)
  const { slug, name } = fields
  lane.badges.push({ slug, name, codes: [], awards: new Map(), applications: [] })
}

const makeChild: Operation = async (lane) => {
  const list = LIST_BELOW[lane.level.name]
  if (!list) return false
  const { slug, name, url } = container(unique('c'))
  await change(lane, 'POST', `${lane.path}/${list}`, { slug, name, url })
  lane.children.set(slug, name)
  return true
}

const changeChild: Operation = async (lane) => {
  const slug = pick(lane, [...lane.children.keys()])
  if (slug === undefined) return false
  const name = unique('Name')
  const path = `${lane.path}/${LIST_BELOW[lane.level.name]}/${slug}`
  await change(lane, 'PUT', path, { name })
  lane.children.set(slug, name)
  return true
}

const deleteChild: Operation = async (lane) => {
  const slug = pick(lane, [...lane.children.keys()])
  if (slug === undefined) return false
  await change(lane, 'DELETE', `${lane.path}/${LIST_BELOW[lane.level.name]}/${slug}`, undefined)
  lane.children.delete(slug)
  return true
}

const changeBadge: Operation = async (lane, one, path) => {
  const name = unique('Name')
  await change(lane, 'PUT', path, { name }, ['badge.updated'])
  one.name = name
}

const deleteBadge: Operation = async (lane, one, path) => {
  if (lane.badges.length < 4) return false
  await change(lane, 'DELETE', path, undefined)
  lane.badges = lane.badges.filter((other) => other !== one)
  return true
}

const makeCode: Operation = async (lane, one, path) => {
  const multiuse = lane.draw() < 0.3
  const isRandom = lane.draw() < 0.5
  const fields = { multiuse, ...(!isRandom && { code: unique('code') }) }
  const { body } = await change(lane, 'POST', `${path}/codes${isRandom ? '/random' : ''}`, fields)
  one.codes.push({ code: body.claimCode.code, multiuse, claimed: false, email: null })
}

const claim: Operation = async (lane, one, path) => {
  const code = pick(lane, one.codes)
  if (!code) return false
  const email = someone(lane)
  const to = `${path}/codes/${code.code}/claim`
  if (code.claimed && !code.multiuse) return refusal(lane, to, { email }, 400)
  await change(lane, 'POST', to, { email }, ['code.claimed'])
  return Object.assign(code, { claimed: true, email })
}

const deleteCode: Operation = async (lane, one, path) => {
  const code = pick(lane, one.codes)
  if (!code) return false
  await change(lane, 'DELETE', `${path}/codes/${code.code}`, undefined)
  one.codes = one.codes.filter((other) => other !== code)
  return true
}

const award: Operation = async (lane, one, path) => {
  const email = someone(lane)
  const code = lane.draw() < 0.3 ? pick(lane, one.codes) : undefined
  const fields = { email, ...(code && { claimCode: code.code }) }
  const to = `${path}/instances`
  if (code?.claimed && !code.multiuse) return refusal(lane, to, fields, 400)
  if (one.awards.has(email)) return refusal(lane, to, fields, 409)
  const events = ['badge.awarded', ...(code ? ['code.claimed'] : [])]
  const { body } = await change(lane, 'POST', to, fields, events)
  one.awards.set(email, body.instance.slug)
  return code && Object.assign(code, { claimed: true, email })
}

const awardMany: Operation = async (lane, one, path) => {
  const emails = [someone(lane), someone(lane), someone(lane)]
  const takers = [...new Set(emails)].filter((email) => !one.awards.has(email))
  const to = `${path}/instances/bulk`
  if (takers.length === 0) return refusal(lane, to, { emails }, 201)
  const events = takers.map(() => 'badge.awarded')
  const { body } = await change(lane, 'POST', to, { emails }, events)
  expect(body.instances.map(({ email }: { email: string }) => email)).toEqual(takers)
  for (const { email, slug } of body.instances) one.awards.set(email, slug)
  return true
}

const revoke: Operation = async (lane, one, path) => {
  const email = pick(lane, [...one.awards.keys()])
  if (email === undefined) return false
  await change(lane, 'DELETE', `${path}/instances/${email}`, undefined, ['badge.revoked'])
  one.awards.delete(email)
  return true
}

const apply: Operation = async (lane, one, path) => {
  const learner = someone(lane)
  const events = ['application.created']
  const { body } = await change(lane, 'POST', `${path}/applications`, { learner }, events)
  one.applications.push({ slug: body.application.slug, learner, assignedTo: null, reviews: [] })
}

const assign: Operation = async (lane, one, path) => {
  const application = pick(lane, one.applications)
  if (!application) return false
  const assignedTo = someone(lane)
  const to = `${path}/applications/${application.slug}`
  await change(lane, 'PUT', to, { assignedTo }, ['application.updated'])
  application.assignedTo = assignedTo
  return true
}

const withdraw: Operation = async (lane, one, path) => {
  const application = pick(lane, one.applications)
  if (!application) return false
  await change(lane, 'DELETE', `${path}/applications/${application.slug}`, undefined)
  one.applications = one.applications.filter((other) => other !== application)
  return true
}

const review: Operation = async (lane, one, path) => {
  const application = pick(lane, one.applications)
  if (!application) return false
  const fields = { author: someone(lane), comment: unique('Comment') }
  const list = `${path}/applications/${application.slug}/reviews`
  const { body } = await change(lane, 'POST', list, fields, ['application.reviewed'])
  application.reviews.push({ slug: body.review.slug, comment: fields.comment })
  return true
}

const changeReview: Operation = async (lane, one, path) => {
  const application = pick(lane, one.applications)
  const written = application && pick(lane, application.reviews)
  if (!written) return false
  const comment = unique('Comment')
  const to = `${path}/applications/${application.slug}/reviews/${written.slug}`
  await change(lane, 'PUT', to, { comment }, ['application.reviewed'])
  written.comment = comment
  return true
}

const deleteReview: Operation = async (lane, one, path) => {
  const application = pick(lane, one.applications)
  const written = application && pick(lane, application.reviews)
  if (!written) return false
  const to = `${path}/applications/${application.slug}/reviews/${written.slug}`
  await change(lane, 'DELETE', to, undefined)
  application.reviews = application.reviews.filter((other) => other !== written)
  return true
}

/** How often each comes, and what is done. */
const WEIGHTS: [number, Operation][] = [
  [2, makeBadge],
  [1, deleteBadge],
  [3, changeBadge],
  [2, makeChild],
  [1, changeChild],
  [1, deleteChild],
  [4, makeCode],
  [4, claim],
  [1, deleteCode],
  [8, award],
  [3, awardMany],
  [4, revoke],
  [4, apply],
  [2, assign],
  [1, withdraw],
  [4, review],
  [2, changeReview],
  [1, deleteReview],
]
const OPERATION = WEIGHTS.flatMap(([weight, operation]) => Array(weight).fill(operation))

/** Does so many operations, each when the last has been answered. */
async function live(lane: Lane, times: number) {
  for (let done = 0; done < times; ) {
    const one = pick(lane, lane.badges)
    const operation = one ? (pick(lane, OPERATION) as Operation) : makeBadge
    const result = await operation(lane, one as ModelBadge, `${lane.path}/badges/${one?.slug}`)
    if (result !== false) done++
  }
}

// ── What has come of it ─────────────────────────────────────────────────────────────────────────────────────────────

const read = async (path: string) => {
  const { status, body } = await call('GET', path)
  expect(status).toBe(200)
  return body
}
/** How many a list says that there are. */
const totalOf = async (path: string) => (await read(`${path}?page=1&count=1`)).pageData.total

/** Slugs and names of the containers right below a lane's own. */
async function childrenOf(level: Level, path: string): Promise<[string, string][]> {
  const list = LIST_BELOW[level.name]
  return list ? (await read(`${path}/${list}`))[list].map((one: Named) => [one.slug, one.name]) : []
}

async function asItIs(lane: Lane) {
  const list = LIST_BELOW[lane.level.name]
  const { badges } = await read(`${lane.path}/badges`)
  return {
    children: await childrenOf(lane.level, lane.path),
    totals: {
      badges: await totalOf(`${lane.path}/badges`),
      applications: await totalOf(`${lane.path}/applications`),
      children: list ? await totalOf(`${lane.path}/${list}`) : 0,
    },
    badges: await Promise.all(badges.map((one: Named) => badgeAsItIs(lane, one))),
  }
}

type Named = { id: number; slug: string; name: string }

async function badgeAsItIs(lane: Lane, { id, slug, name }: Named) {
  const path = `${lane.path}/badges/${slug}`
  const [{ claimCodes }, { instances }, { applications }] = await Promise.all([
    read(`${path}/codes`),
    read(`${path}/instances`),
    read(`${path}/applications`),
  ])
  return {
    slug,
    name,
    codes: claimCodes.map(({ code, multiuse, claimed, email }: Code) => ({
      code,
      multiuse,
      claimed,
      email,
    })),
    awards: instances.map(({ email, slug }: { email: string; slug: string }) => [email, slug]),
    applications: await Promise.all(
      applications.map(async ({ slug, learner, assignedTo }: Application) => ({
        slug,
        learner,
        assignedTo,
        reviews: (await read(`${path}/applications/${slug}/reviews`)).reviews.map(
          ({ slug, comment }: Review) => ({ slug, comment }),
        ),
      })),
    ),
    awarded: await count('select awarded as n from badges where id = ?', id),
    totals: [await totalOf(`${path}/codes`), await totalOf(`${path}/applications`)],
  }
}

const asItShouldBe = ({ badges, children }: Lane) => ({
  children: [...children],
  totals: {
    badges: badges.length,
    applications: badges.flatMap((one) => one.applications).length,
    children: children.size,
  },
  badges: badges.map(({ awards, ...one }) => ({
    ...one,
    awards: [...awards],
    awarded: awards.size,
    totals: [one.codes.length, one.applications.length],
  })),
})

/** A lane of its own: a system with a webhook that is told of everything. */
async function openLane(level: Level, seed: number, after: boolean): Promise<Lane> {
  const path = await seedContainer(level)
  const system = path.split('/').slice(0, 3).join('/')
  await seedWebhook(system, { format: 'events-1' })
  const told = { calls: 0, lost: 0, again: 0, done: 0 }
  const bindings = { ...silent, DB: losing(randomFrom(seed + 1), after, told) } as Bindings
  const model = { badges: [], events: [], changes: 0, posts: 0 }
  const children = new Map(await childrenOf(level, path))
  return { level, path, system, draw: randomFrom(seed), bindings, told, children, ...model }
}

beforeEach(async () => {
  await calm()
  // No pause between the attempts of one call.
  vi.spyOn(Math, 'random').mockReturnValue(0)
})
afterEach(() => vi.restoreAllMocks())

describe.each([
  ['on the way back', true, 20_261],
  ['on the way to the database', false, 20_262],
] as const)('calls that are lost %s', (_where, after, seed) => {
  it('leave all as a model has it, at every level, with each change and each event once', {
    timeout: 400_000,
  }, async () => {
    const lanes = await Promise.all(
      levels.map((level, i) => openLane(level, seed + 100 * i, after)),
    )
    const audited = await count('select count(*) as n from audit')
    const remembered = await count('select count(*) as n from idempotency')
    await Promise.all(lanes.map((lane) => live(lane, Math.ceil(OPERATIONS / lanes.length))))

    for (const lane of lanes) {
      const { told, system, events } = lane
      // Enough was lost, and enough of it had been done.
      expect(told.lost / told.calls).toBeGreaterThan(SHARE * 0.75)
      expect(told.again).toBeGreaterThan(10)
      if (after) expect(told.done).toBeGreaterThan(5)
      else expect(told.done).toBe(0)

      expect(await asItIs(lane)).toEqual(asItShouldBe(lane))
      const slug = system.split('/').at(-1)
      const { results } = await env.DB.prepare(
        `select e.seq, e.type, (select count(*) from deliveries d where d.eventId = e.id) as deliveries
           from events e join systems s on s.id = e.systemId where s.slug = ? order by e.seq`,
      )
        .bind(slug)
        .all()
      expect(results).toEqual(events.map((type, i) => ({ seq: i + 1, type, deliveries: 1 })))
    }
    const sum = (of: (lane: Lane) => number) => lanes.reduce((total, one) => total + of(one), 0)
    expect((await count('select count(*) as n from audit')) - audited).toBe(
      sum(({ changes }) => changes),
    )
    expect((await count('select count(*) as n from idempotency')) - remembered).toBe(
      sum(({ posts }) => posts),
    )
    expect(await count('select count(*) - count(distinct op) as n from audit')).toBe(0)
    console.info(JSON.stringify(lanes.map(({ told }) => told)))
  })
})
