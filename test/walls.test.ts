import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import * as schema from '../drizzle/schema'
import { app } from '../src/app'
import { ROLES, type Role } from '../src/roles'
import { type Answer, api, type Call, send } from './helpers/api'
import { watch } from './helpers/changes'
import { badge, container, levels, rows } from './helpers/seed'

/**
 * The walls between tenants: keys of every role and scope ask every route about what is not theirs, by path, by names planted in
 * their own paths, and by ids and slugs planted in bodies. Nothing is read, nothing is written, and no answer tells whether what
 * was asked for exists.
 */

// ── Two systems, full of everything ─────────────────────────────────────────────────────────────────────────────────

/** A container's name here, and its path. Whatever a container holds bears its name in a word that nothing else bears. */
const PLACES = {
  A: '/systems/c-A-c',
  A1: '/systems/c-A-c/issuers/c-A1-c',
  A1x: '/systems/c-A-c/issuers/c-A1-c/programs/c-A1x-c',
  A1y: '/systems/c-A-c/issuers/c-A1-c/programs/c-A1y-c',
  A2: '/systems/c-A-c/issuers/c-A2-c',
  A2x: '/systems/c-A-c/issuers/c-A2-c/programs/c-A2x-c',
  B: '/systems/c-B-c',
  B1: '/systems/c-B-c/issuers/c-B1-c',
  B1x: '/systems/c-B-c/issuers/c-B1-c/programs/c-B1x-c',
} as const
type Place = keyof typeof PLACES
const places = Object.keys(PLACES) as Place[]
/** Those whose keys ask. */
const OWN = ['A', 'A1', 'A1x'] as const
/** Of whom things are planted: of a neighbour as near as there is, and of the other system. */
const STRANGERS = { A: ['B1x'], A1: ['A2x', 'B1x'], A1x: ['A1y', 'B1x'] } as const
const isWithin = (one: Place, other: Place) =>
  PLACES[one] === PLACES[other] || PLACES[one].startsWith(`${PLACES[other]}/`)
const levelOf = (place: Place) => {
  const level = levels[(PLACES[place].split('/').length - 3) / 2]
  if (!level) throw new Error(place)
  return level
}

type Names = Record<string, string>
/** What the words of a path can be, for each container: names of what it holds. */
const names = {} as Record<Place, Names>
/** Ids of the same, for bodies and for paths that want slugs. */
const ids = {} as Record<Place, Names>
const keys = new Map<string, Call>()
const callOf = (place: Place, role: Role) => keys.get(`${place} ${role}`) ?? {}

async function made(path: string, input: object) {
  const { status, body } = await api.post(path, input)
  expect(status, JSON.stringify(body)).toBe(201)
  return body
}

const idIn = (table: string, where: string, ...values: unknown[]) =>
  env.DB.prepare(`select id from ${table} where ${where} order by id desc`)
    .bind(...values)
    .first<number>('id')

async function furnish(place: Place): Promise<void> {
  const path = PLACES[place]
  const list = path.slice(0, path.lastIndexOf('/'))
  const mark = `t-${place}-t`
  const [, , system = '', , issuer = '', , program = ''] = path.split('/')
  await made(list, { ...container(path.slice(list.length + 1)) })
  const { badge: shown } = await made(`${path}/badges`, {
    ...badge(mark),
    unique: 0,
    criteria: [{ description: mark }],
  })
  const at = `${path}/badges/${mark}`
  const email = `${mark}@example.org`
  await made(`${at}/codes`, { code: mark, multiuse: true })
  const { instance } = await made(`${at}/instances`, { email, comment: mark })
  await made(`${at}/instances`, { email: 'all@example.org', comment: mark })
  const { application } = await made(`${at}/applications`, { learner: email })
  const { review } = await made(`${at}/applications/${application.slug}/reviews`, {
    author: email,
    comment: mark,
  })
  const { key } = await made(`${path}/keys`, { description: mark })
  names[place] = {
    ...{ system, issuer, program, badge: mark, code: mark, email, instance: instance.slug },
    ...{ application: application.slug, review: review.slug, key: key.key, job: mark },
  }
  // One that has ended, so that nothing changes by itself.
  await env.DB.batch([
    env.DB.prepare(
      `insert into jobs (uid, systemId, badgeId, kind, state, key, rows, op, createdAt, updatedAt)
       select slug, systemId, id, 'issue', 'done', 'master', 1, 'x', 1, 1 from badges where slug = ?`,
    ).bind(mark),
    env.DB.prepare(
      `insert into jobChunks (jobId, first, "end", rows) select id, 0, 1, ? from jobs where uid = ?`,
    ).bind(JSON.stringify([{ n: 0, email }]), mark),
  ])
  const keyId = await idIn('keys', 'key = ?', key.key)
  const systemId = await idIn('systems', 'slug = ?', system)
  if (levelOf(place).name === 'system') {
    const primary = await made(`${path}/badges`, badge(`${mark}-2`))
    const { milestone } = await made(`${path}/milestones`, {
      primaryBadgeId: primary.badge.id,
      supportBadges: [shown.id],
      numberRequired: 9,
    })
    // Of a webhook that is called by nobody, so that nothing changes by itself.
    await env.DB.batch([
      env.DB.prepare(
        `insert into webhooks (systemId, url, state, op, createdAt, updatedAt) values (?, ?, 'disabled', 'x', 1, 1)`,
      ).bind(systemId, `https://${mark}.example.org/`),
      env.DB.prepare(
        `insert into webhookSecrets (id, webhookId, sealed, createdAt) select 's' || id, id, 'v1.k1.x.x', 1 from webhooks where systemId = ?`,
      ).bind(systemId),
      env.DB.prepare(
        `insert into deliveries (systemId, eventId, webhookId, subject, seq, state, attempts, nextAt, createdAt)
         select e.systemId, e.id, w.id, e.subject, e.seq, 'exhausted', 1, 1, 1 from events e
         join webhooks w on w.systemId = e.systemId where e.systemId = ? limit 1`,
      ).bind(systemId),
    ])
    Object.assign(names[place], {
      milestone: String(milestone.id),
      webhook: String(await idIn('webhooks', 'systemId = ?', systemId)),
      delivery: String(await idIn('deliveries', 'systemId = ?', systemId)),
    })
  } else {
    const above = places.find((one) => PLACES[one] === `/systems/${system}`) ?? 'A'
    const { milestone = '', webhook = '', delivery = '' } = names[above] ?? {}
    Object.assign(names[place], { milestone, webhook, delivery })
  }
  const id = (of: string, slug: string) => idIn(of, 'slug = ?', slug)
  const all = {
    badge: shown.id,
    system: systemId,
    issuer: (await id('issuers', issuer)) ?? 0,
    program: (await id('programs', program)) ?? 0,
    application: application.id,
    review: review.id,
    criterion: shown.criteria[0].id,
    code: await idIn('claimCodes', 'code = ?', mark),
    key: keyId,
  }
  ids[place] = Object.fromEntries(Object.entries(all).map(([name, value]) => [name, String(value)]))
}

beforeAll(async () => {
  // Who guesses codes is told to wait, sooner or later: that would be the answer to all of it.
  await env.DB.prepare(
    'create trigger patient before insert on codeMisses begin select raise(ignore); end',
  ).run()
  for (const place of places) await furnish(place)
  for (const place of OWN) {
    for (const role of ROLES) {
      const { key } = await made(`${PLACES[place]}/keys`, { role })
      const call = { key: key.key, secret: key.secret }
      keys.set(`${place} ${role}`, call)
      expect((await api.get(PLACES[place], call)).status).toBe(200)
    }
  }
  // What is written beside the first use of a key is written before the tests look.
  await vi.waitFor(async () => {
    const used = await env.DB.prepare('select count(*) as n from keys where lastUsed > 0').first(
      'n',
    )
    expect(used).toBe(keys.size)
  })
}, 60_000)

const watched = watch(
  ...[schema.systems, schema.issuers, schema.programs, schema.badges, schema.badgeInstances],
  ...[schema.claimCodes, schema.applications, schema.reviews, schema.milestones, schema.events],
  ...[schema.milestoneBadges, schema.webhooks, schema.webhookSecrets, schema.deliveries],
  ...[schema.keys, schema.keySecrets, schema.counters, schema.images, schema.jobs],
)

/** The audit by its length: a sweep that comes along seals what stands in it. */
async function changesNothing<T>(calls: () => Promise<T>): Promise<T> {
  const before = await rows('audit')
  const result = await watched.changesNothing(calls)
  expect(await rows('audit')).toBe(before)
  return result
}

// ── The routes ──────────────────────────────────────────────────────────────────────────────────────────────────────

const OPEN =
  /^\/(?:$|healthcheck|health\/ready|openapi\.json|docs|public\/|images\/|did\.json|\.well-known)/
const routes = [
  ...new Set(
    app.routes
      .filter(({ method, path }) => method !== 'ALL' && !OPEN.test(path))
      .map(({ method, path }) => `${method} ${path}`),
  ),
].map((route) => {
  const [method = '', path = ''] = route.split(' ')
  return { route, method, path }
})
type Route = (typeof routes)[number]
/** Routes about a container of a level: those of its own path that name nothing of a lower level's. */
const routesAt = (place: Place) => {
  const { path, name } = levelOf(place)
  const lower = levels.slice(levels.findIndex((one) => one.name === name) + 1)
  return routes.filter(
    (route) =>
      (route.path === path || route.path.startsWith(`${path}/`)) &&
      !lower.some((one) => route.path.includes(`:${one.name}`)),
  )
}
const wordsIn = (path: string) => [...path.matchAll(/:(\w+)/g)].map(([, word = '']) => word)

const filled = (path: string, words: Names) =>
  path.replace(/:(\w+)/g, (_all, word: string) => encodeURIComponent(words[word] ?? 'none'))

let count = 0
/** A good body for a route; every field that names something is there. */
function bodyFor({ method, path }: Route, of: Place): Record<string, unknown> | undefined {
  if (method === 'GET' || method === 'DELETE') return undefined
  const badgeId = Number(ids[of].badge)
  const nth = `new-${++count}`
  const last = path.split('/').findLast((word) => !word.startsWith(':'))
  const bodies: Record<string, Record<string, unknown>> = {
    systems: container(nth),
    issuers: container(nth),
    programs: container(nth),
    badges: badge(nth),
    instances: { email: `${nth}@example.org` },
    bulk: { emails: [`${nth}@example.org`] },
    jobs: { rows: [{ email: `${nth}@example.org` }] },
    revocations: { emails: [`${nth}@example.org`] },
    codes: { code: nth },
    claim: { email: `${nth}@example.org` },
    applications: { learner: `${nth}@example.org` },
    assign: { assignedTo: `${nth}@example.org`, exclusive: false },
    reviews: { author: `${nth}@example.org`, comment: nth },
    milestones: { primaryBadgeId: badgeId, numberRequired: 9, supportBadges: [badgeId] },
    'add-badge': { badgeId },
    'remove-badge': { badgeId },
    webhooks: { url: `https://${nth}.example.org/` },
    erase: { email: `${nth}@example.org` },
    export: { email: `${nth}@example.org` },
  }
  const body = bodies[last ?? ''] ?? {}
  // A change leaves the names as they are, so that they can be asked for again.
  if (method !== 'PUT') return body
  return last === 'milestones'
    ? body
    : last === 'webhooks'
      ? {}
      : { description: nth, comment: nth, narrative: nth }
}

const BATCH = 60
async function inBatches<T, U>(all: readonly T[], ask: (one: T) => Promise<U>): Promise<U[]> {
  const answers: U[] = []
  for (let i = 0; i < all.length; i += BATCH) {
    answers.push(...(await Promise.all(all.slice(i, i + BATCH).map(ask))))
  }
  return answers
}

const request = (route: Route, path: string, call: Call, body = bodyFor(route, 'B')) =>
  send(
    route.method,
    path,
    body && {
      type: 'application/json',
      bytes: new TextEncoder().encode(JSON.stringify(body)) as Uint8Array<ArrayBuffer>,
    },
    call,
  )

const told = ({ status, body }: Answer) => `${status} ${JSON.stringify(body)}`

// ── The tests ───────────────────────────────────────────────────────────────────────────────────────────────────────

// In this order: what is planted in the end is written, and would be found by what looks before.
describe('the wall', { shuffle: false }, () => {
  describe.each(OWN)('a key of %s', (own) => {
    const outside = places.filter((place) => !isWithin(place, own))
    /** The first word of a path, from the left, by which it leaves what the key reaches. */
    const leavesAt = (place: Place) => {
      const [there, here] = [PLACES[place].split('/'), PLACES[own].split('/')]
      const at = here.findIndex((word, i) => word !== there[i])
      return levels[(at % 2 === 0 ? at - 2 : at - 1) / 2]?.name
    }

    it.each(ROLES)(
      'gets one answer to all that it asks outside, and changes nothing: %s',
      async (role) => {
        // The wall stands before the role: of the others some are asked.
        const from: readonly Place[] = role === 'admin' ? outside : STRANGERS[own]
        const all = from.flatMap((place) => routesAt(place).map((route) => ({ place, route })))
        const call = callOf(own, role)
        const answers = await changesNothing(() =>
          inBatches(all, ({ place, route }) =>
            request(route, filled(route.path, names[place]), call, bodyFor(route, place)),
          ),
        )
        const expected = all.map(({ place }) =>
          told({
            status: 403,
            body: { code: 'NotAuthorized', message: `Invalid token for ${leavesAt(place)}` },
          } as Answer),
        )
        expect(answers.map(told)).toEqual(expected)
        expect(all.length).toBeGreaterThan(30)
      },
      120_000,
    )

    it.each(ROLES)('lists and makes no systems: %s', async (role) => {
      for (const route of routes.filter(({ path }) => path === '/systems')) {
        const answer = await changesNothing(() => request(route, route.path, callOf(own, role)))
        expect(told(answer)).toContain(
          '403 {"code":"NotAuthorized","message":"Invalid token for system"',
        )
      }
    })

    /** Paths of the key's own, in which one word is the name or the id of what is elsewhere. */
    const planted = (strangers: readonly Place[]) =>
      OWN.slice(OWN.indexOf(own)).flatMap((home) =>
        routesAt(home).flatMap((route) =>
          wordsIn(route.path)
            .filter((word) => !levels.some(({ name }) => name === word) || belowOwn.includes(word))
            .flatMap((word) =>
              strangers
                .flatMap((place) => [names[place][word], ids[place][word]])
                // A program's milestones are its system's, and so may be its own.
                .filter((value) => value && value !== '0' && value !== names[home][word])
                .map((value = '') => ({ route, home, word, value })),
            ),
        ),
      )
    const belowOwn: string[] = levels.slice(OWN.indexOf(own) + 1).map(({ name }) => name)

    it.each(ROLES)(
      'finds nothing of others by their names in its own paths: %s',
      async (role) => {
        // Every role is held by the same walls: what stands in the way of the others sooner is their role.
        const all = planted(role === 'admin' ? STRANGERS[own] : ['B1x'])
        const call = callOf(own, role)
        type One = (typeof all)[number]
        const ask = async ({ route, home, word, value }: One) => {
          const path = filled(route.path, { ...names[home], [word]: value })
          const text = told(await request(route, path, call))
          return text.replaceAll(`\`${value}\``, '§').replace(`claim code ${value}"`, '§')
        }
        const nothing = (one: One) => ({
          ...one,
          value: /^\d+$/.test(one.value) ? '987654321' : 'nothing-of-anybody',
        })
        const [theirs, nobodys] = await changesNothing(async () => [
          await inBatches(all, ask),
          await inBatches(all.map(nothing), ask),
        ])
        const label = (answers: string[] = []) =>
          answers.map(
            (answer, i) => `${all[i]?.route.route} ${all[i]?.word}=${all[i]?.value}: ${answer}`,
          )
        expect(label(theirs)).toEqual(label(nobodys))
        for (const [i, answer] of (theirs ?? []).entries()) {
          // What leads to what is shown of nobody, too: it is the system's own, and nothing of it is held.
          if (all[i]?.route.path.includes('/progress/')) expect(answer).not.toContain('"held":true')
          else expect(answer).toMatch(/^(?:403|404|200 \{"\w+":\[\]\}$)/)
        }
        expect(all.length).toBeGreaterThan(50)
      },
      120_000,
    )

    it('reads nothing of others in what it may read', async () => {
      const call = callOf(own, 'admin')
      const reads = places
        .filter((place) => isWithin(place, own))
        .flatMap((place) =>
          routesAt(place)
            .filter(({ method }) => method === 'GET')
            .flatMap((route) => [
              { route, words: names[place] },
              { route, words: { ...names[place], email: 'all@example.org' } },
            ]),
        )
      const answers = await inBatches(reads, ({ route, words }) =>
        request(route, filled(route.path, words), call),
      )
      const things = outside.map((place) => `t-${place}-t`)
      const containers = outside
        .filter((place) => !isWithin(own, place))
        .map((place) => `c-${place}-c`)
      answers.forEach((answer, i) => {
        const { route, words } = reads[i] ?? {}
        expect([route?.route, words?.email, answer.status]).toEqual([
          route?.route,
          words?.email,
          200,
        ])
        const text = JSON.stringify(answer.body)
        for (const mark of [...things, ...containers]) expect(text).not.toContain(mark)
      })
      expect(reads.length).toBeGreaterThan(20)
    }, 120_000)
  })

  // A story of its own.
  describe('in bodies', { shuffle: false }, () => {
    /** All rows of everybody but the asking container, as texts. */
    async function standing(own: Place): Promise<unknown[]> {
      const systemB = ids.B.system
      const rows = async (text: string, ...values: unknown[]) =>
        (
          await env.DB.prepare(text)
            .bind(...values)
            .all()
        ).results
      const [column, id] = {
        A: ['0', '1'],
        A1: ['issuerId', ids.A1.issuer],
        A1x: ['programId', ids.A1x.program],
      }[own as 'A'] as [string, string]
      const foreign = [
        'issuers',
        'programs',
        'badges',
        'badgeInstances',
        'claimCodes',
        'applications',
      ]
      const others = `(select id from badges where ${column} is not ${id} and op <> 'x')`
      return Promise.all([
        ...[...foreign, 'milestones', 'webhooks', 'events', 'deliveries', 'keys', 'counters'].map(
          (table) => rows(`select * from ${table} where systemId = ?`, systemB),
        ),
        rows(`select * from systems where id <> ${own === 'A' ? ids.A.system : 0}`),
        ...(own === 'A'
          ? []
          : [
              rows(`select * from badges where id in ${others}`),
              rows(`select * from badgeInstances where badgeId in ${others}`),
              rows(`select * from claimCodes where badgeId in ${others}`),
              rows(`select * from applications where badgeId in ${others}`),
              rows(`select * from keys where ${column} is not ${id}`),
              rows(
                `select x.* from keySecrets x join keys k on k.id = x.keyId where ${column} is not ${id}`,
              ),
            ]),
      ])
    }

    /** Fields by which a body could name something: where one is read, and what it names of a container. */
    const FIELDS: [string, RegExp, (place: Place) => unknown][] = [
      [
        'slug',
        /\/(?:badges|instances|issuers|programs|applications|reviews)$/,
        (at) => names[at].badge,
      ],
      ['claimCode', /instances$/, (at) => names[at].code],
      ['email', /instances$|codes|claim$/, (at) => names[at].email],
      ['issuer', /keys$/, (at) => names[at].issuer],
      ['program', /keys$/, (at) => names[at].program],
      ['primaryBadgeId', /milestone/, (at) => Number(ids[at].badge)],
      ['supportBadges', /milestone/, (at) => [Number(ids[at].badge)]],
      ['badgeId', /-badge$/, (at) => Number(ids[at].badge)],
      [
        'reviewItems',
        /reviews/,
        (at) => [{ criterionId: Number(ids[at].criterion), satisfied: 1 }],
      ],
      ['imageUrl', /(?:badges|:badge|:system|:issuer|:program)$/, (at) => imageOf(names[at].badge)],
      // Read nowhere, and so sent everywhere.
      ['id', /^$/, (at) => Number(ids[at].badge)],
      ['systemId', /^$/, (at) => Number(ids[at].system)],
      ['issuerId', /^$/, (at) => Number(ids[at].issuer)],
      ['programId', /^$/, (at) => Number(ids[at].program)],
      ['applicationId', /^$/, (at) => Number(ids[at].application)],
      ['system', /^$/, (at) => names[at].system],
      ['badge', /^$/, (at) => names[at].badge],
      ['key', /^$/, (at) => names[at].key],
    ]
    const imageOf = (slug = '') => `${env.PUBLIC_ORIGIN}/public/images/${slug}`
    /** Of what a route reads one field each time, and all that it does not read together. */
    const plantings = ({ path }: Route, other: Place) => {
      const read = FIELDS.filter(([, where]) => where.test(path))
      // A container keeps its own names: they are asked for again.
      const rest = FIELDS.filter(
        ([field, where]) => !where.test(path) && !/\/keys/.test(path) && !/slug|email/.test(field),
      )
      return [
        ...read.map(([field, , of]) => ({ [field]: of(other) })),
        Object.fromEntries(rest.map(([field, , of]) => [field, of(other)])),
      ]
    }
    /** The like of a value that names nothing of anybody; another one each time. */
    function nobodys(given: unknown): unknown {
      if (Array.isArray(given)) return given.map(nobodys)
      if (typeof given === 'number') return 987_654_000 + (++count % 1000)
      if (typeof given === 'object') return { criterionId: 987_654_321, satisfied: 1 }
      return String(given).replace(/[tc]-\w+-[tc]|[0-9a-f]{32}/, `nobody-${++count}`)
    }
    /** Slugs of badges are one of a kind in their system, and an award's slug is public: there an answer may tell. */
    const mayTell = (own: Place, { path, method }: Route, field: string) =>
      field === 'slug' &&
      method === 'POST' &&
      ((path.endsWith('/badges') && own !== 'A') || path.endsWith('/instances'))

    it.each([
      ['A', 'B1x'],
      ['A1', 'A2x'],
      ['A1', 'B1x'],
      ['A1x', 'A1y'],
      ['A1x', 'B1x'],
    ] as [Place, Place][])(
      '%s reaches nothing of %s',
      async (own, other) => {
        const call = callOf(own, 'admin')
        const writes = routesAt(own).filter(
          ({ method, path }) =>
            ['POST', 'PUT'].includes(method) &&
            !/:webhook|:delivery|privacy|secret/.test(path) &&
            path !== '/systems',
        )
        const before = await standing(own)
        const all = writes.flatMap((route) =>
          plantings(route, other).map((fields) => ({
            route,
            fields,
            field: Object.keys(fields).join(),
          })),
        )
        const ask = (make: (given: unknown) => unknown) =>
          inBatches(all, async ({ route, fields }) => {
            const given = Object.entries(fields).map(
              ([field, value]) => [field, make(value)] as const,
            )
            const body = { ...bodyFor(route, own), ...Object.fromEntries(given) }
            const answer = await request(route, filled(route.path, names[own]), call, body)
            const text = told(answer)
            // Of what was done the status is looked at, and that nothing of theirs is told.
            if (answer.status < 300) {
              expect(text).not.toMatch(new RegExp(`Badge t-${other}-t|The c-${other}-c`))
              return String(answer.status)
            }
            return given.reduce(
              (bare, [, value]) =>
                bare
                  .replaceAll(`"value":${JSON.stringify(value)}`, '§')
                  .replaceAll(`\`${value}\``, '§'),
              text,
            )
          })
        const theirs = await ask((given) => given)
        const others = await ask(nobodys)
        const label = (answers: string[]) =>
          answers.map((answer, i) => {
            const one = all[i]
            const mute = one && mayTell(own, one.route, one.field)
            return `${one?.route.route} ${one?.field}: ${mute ? 'may tell' : answer.replace(/\d{3,}|new-\d+(?:@example\.org)?/g, '#')}`
          })
        expect(label(theirs)).toEqual(label(others))
        const after = await standing(own)
        expect(after).toEqual(before)
      },
      120_000,
    )
  })
})
