import { type SQL, sql } from 'drizzle-orm'
import { createMiddleware } from 'hono/factory'
import type { Caller, Env } from './env'
import { type ApiError, notFound } from './errors'
import { type Container, type Level, levels, type Place, perLevel } from './levels'
import { type ApplicationRow, findApplication } from './store/applications'
import { type BadgeRow, badgeColumns, imageType, within } from './store/badges'
import { noSuchCode } from './store/codeMisses'
import { type CodeRow, findCode, findGuessedCode } from './store/codes'
import type { Db, RowsOf, Statement } from './store/db'
import { type DeliveryRow, findDelivery } from './store/deliveryLog'
import { findEver, findInstance, type InstanceRow, type LinkedInstance } from './store/instances'
import { findJob, type JobRow } from './store/jobs'
import { findKeyIn, type KeyRow } from './store/keys'
import { findMilestone, leadingMilestones, type MilestoneRow } from './store/milestones'
import { applicationIdOf, findReview, type ReviewRow } from './store/reviews'
import { findWebhook, type WebhookRow } from './store/webhooks'
import type { Slugs } from './urls'

/**
 * What the words of a URL mean, as a query: statements hang from its sub-selects, and the query that proves the words
 * travels with them, so that a read is one round trip. It sends nothing by itself.
 */
export type Scope<Found = object> = {
  /** The container of the path, in SQL. */
  container: Container
  /** The id of the badge that the path names, in SQL. */
  badgeId: SQL
  /** The containers of the path as the caller wrote them. */
  slugs: Slugs
  /**
   * Runs the statements together with the proof, and gives what the words name beside the statements' rows. Throws 404 for
   * the first word, from the left, that names nothing (contract §1.3).
   */
  with<const T extends readonly Statement[]>(
    ...statements: T
  ): Promise<Found & { at: Place; rows: RowsOf<T> }>
}

/** A variable of the request: the scope of a path in which all of `Found` is named. */
export type In<Found> = Env & { Variables: { scope: Scope<Found> } }

/** The last words of a path: what they name, and how the contract's 404 calls it. */
type Thing = {
  name: string
  model: string
  field: string
  value: string
  find: (scope: Pick<Scope, 'container' | 'badgeId'>, value: string, caller: Caller) => Statement
  /** Whether a row that is there is treated as if it were not. */
  isHidden?: (row: never, caller: Caller) => boolean
  /** What is thrown when it is not there, if not the contract's 404. */
  missing?: (caller: Caller, badgeId: number, value: string) => Promise<ApiError>
}

type Params = Record<string, string>

export type PicturedBadge = BadgeRow & { imageType: string | null }
const IMAGE_TYPE = sql`, ${imageType} as imageType`

/**
 * Makes the middleware that gives a route its scope.
 *
 * @param things are sought beyond the containers and the badge
 * @param more further columns of the badge, in SQL
 */
const scoped = <Found>(things: (params: Params) => Thing[] = () => [], more?: SQL) =>
  createMiddleware<In<Found>>(async (c, next) => {
    const params = c.req.param() as Params
    const scope = scopeOf(() => c.var, wordsOf(params), things(params), more)
    // The things named here are those of `Found`: each `in…` below says both.
    c.set('scope', scope as unknown as Scope<Found>)
    await next()
  })

/** The request is about a system, issuer or program, or a list in it. */
export const inContainer = scoped<object>()
/** The request is about a badge, or a list that hangs from it. */
export const inBadge = scoped<{ badge: BadgeRow }>()
/** The same with what the badge's image is. */
export const inPicturedBadge = scoped<{ badge: PicturedBadge }>(undefined, IMAGE_TYPE)
/** The same with the milestones that lead to the badge, for `readLeading`. */
export const inBadgeWithMilestones = scoped<{ badge: BadgeRow & { leading: string } }>(
  undefined,
  sql`, ${leadingMilestones} as leading`,
)
/** A badge with the address at which its system has codes claimed, if it has one. */
export type ClaimableBadge = BadgeRow & { claimUrl: string | null }
const CLAIM_URL = sql`, system.claimUrl as claimUrl`
/** The request is about a badge's claim codes. */
export const inClaimableBadge = scoped<{ badge: ClaimableBadge }>(undefined, CLAIM_URL)
const code = ({ code = '' }: Params): Thing => ({
  name: 'code',
  model: 'claimCode',
  field: 'code',
  value: code,
  find: ({ badgeId, container }, value) => findCode(badgeId, container.systemId, value),
})
export const inCode = scoped<{ badge: ClaimableBadge; code: CodeRow }>(
  (params) => [code(params)],
  CLAIM_URL,
)
/** The same where guesses are counted. */
export const inGuessedCode = scoped<{ badge: ClaimableBadge; code: CodeRow }>(
  (params) => [
    {
      ...code(params),
      find: ({ badgeId, container }, value, { now }) =>
        findGuessedCode(badgeId, container.systemId, value, now),
      isHidden: ({ may }: { may: 0 | 1 }, { isReplay }) => !may && !isReplay,
      missing: noSuchCode,
    },
  ],
  CLAIM_URL,
)
const award = (
  { email = '' }: Params,
  find: (badgeId: SQL, systemId: SQL, email: string) => Statement,
): Thing => ({
  name: 'instance',
  model: 'badgeInstance',
  field: 'email',
  value: email,
  find: ({ badgeId, container }, value) => find(badgeId, container.systemId, value),
})
export const inInstance = scoped<{ badge: PicturedBadge; instance: LinkedInstance }>(
  (params) => [award(params, findInstance)],
  IMAGE_TYPE,
)
/** The same by the newest award of the earner, also when it has ended. */
export const inPastInstance = scoped<{ badge: BadgeRow; instance: InstanceRow }>((params) => [
  award(params, findEver),
])

const application = ({ application = '' }: Params): Thing => ({
  name: 'application',
  model: 'application',
  field: 'slug',
  value: application,
  find: ({ badgeId }, value) => findApplication(badgeId, value),
})

export const inApplication = scoped<{ badge: BadgeRow; application: ApplicationRow }>((params) => [
  application(params),
])
/** The same with what the badge's image is. */
export const inPicturedApplication = scoped<{ badge: PicturedBadge; application: ApplicationRow }>(
  (params) => [application(params)],
  IMAGE_TYPE,
)
export const inReview = scoped<{ badge: BadgeRow; application: ApplicationRow; review: ReviewRow }>(
  (params) => [
    application(params),
    {
      name: 'review',
      model: 'review',
      field: 'slug',
      value: params.review ?? '',
      find: ({ badgeId }, value) =>
        findReview(applicationIdOf(badgeId, params.application ?? ''), value),
    },
  ],
)
export const inMilestone = scoped<{ milestone: MilestoneRow }>(({ milestone = '' }) => [
  {
    name: 'milestone',
    model: 'milestone',
    field: 'id',
    value: milestone,
    find: ({ container }, value) => findMilestone(container.systemId, value),
  },
])

export const inWebhook = scoped<{ webhook: WebhookRow }>(({ webhook = '' }) => [
  {
    name: 'webhook',
    model: 'webhook',
    field: 'id',
    value: webhook,
    find: ({ container }, value) => findWebhook(container.systemId, value),
  },
])
export const inDelivery = scoped<{ delivery: DeliveryRow & { log: string } }>(
  ({ delivery = '' }) => [
    {
      name: 'delivery',
      model: 'delivery',
      field: 'id',
      value: delivery,
      find: ({ container }, value) => findDelivery(container.systemId, value),
    },
  ],
)

export const inJob = scoped<{ badge: BadgeRow; job: JobRow }>(({ job = '' }) => [
  {
    name: 'job',
    model: 'job',
    field: 'id',
    value: job,
    find: ({ badgeId }, value) => findJob(badgeId, value),
  },
])

export const inKey = scoped<{ key: KeyRow }>(({ key = '' }) => [
  {
    name: 'key',
    model: 'key',
    field: 'key',
    value: key,
    find: ({ container }, value) => findKeyIn(container, value),
  },
])

type Words = Partial<Slugs> & { badge?: string }

const wordsOf = ({ badge, ...params }: Params): Words => ({
  ...perLevel('name', ({ name }) => params[name]),
  badge,
})

/** The scope of a list that hangs from nothing. */
export const everywhere = (db: Db): Pick<Scope, 'with'> => ({
  with: async (...statements) => ({ at: NOWHERE, rows: await db.read(...statements) }) as never,
})

const NOWHERE = perLevel('column', ({ parent }) => (parent ? null : 0)) as Place

type Given = Pick<Env['Variables'], 'db' | 'caller'>

function scopeOf(given: () => Given, words: Words, things: Thing[], more = sql``): Scope {
  const { system } = words
  const container = containerOf(words)
  const badgeId = sql`(select id from badges b where ${badgeIn(container, words.badge ?? '')})`
  const proof = proofOf(words, more)
  const sought = things.map(({ find, value }) =>
    find({ container, badgeId }, value, given().caller),
  )
  return {
    container,
    badgeId,
    slugs: { ...words, system: system ?? '' },
    async with(...statements) {
      // `/systems` names nothing yet.
      if (system === undefined) return everywhere(given().db).with(...statements) as never
      const [[proven], ...rows] = await given().db.read(proof, ...sought, ...statements)
      const found = check(words, proven ?? {})
      const named = rows.slice(0, things.length)
      for (const [i, { model, field, value, isHidden, missing }] of things.entries()) {
        const { caller } = given()
        const row = named[i]?.[0]
        if (row && !isHidden?.(row as never, caller)) continue
        throw missing
          ? await missing(caller, found.badge.id ?? 0, value)
          : notFound(model, field, value)
      }
      const all = Object.fromEntries(things.map(({ name }, i) => [name, named[i]?.[0]]))
      return { ...found, ...all, rows: rows.slice(things.length) } as never
    },
  }
}

/** Each word's id, as a sub-select in that of the word before it. */
export function containerOf(words: Words): Container {
  let parent: SQL | null = null
  return perLevel('column', (level) => {
    const slug = words[level.name] ?? (level.parent ? null : '')
    if (slug === null) return null
    const table = sql.identifier(level.plural)
    parent = sql`(select x.id from ${table} x where ${isNamed('x', level, slug, parent)})`
    return parent
  }) as Container
}

/** Whether row `alias` of a level is the live one with this slug below `parent`. */
const isNamed = (alias: string, level: Level, slug: string, parent: SQL | null) => sql`
  ${sql.raw(`${alias}.deletedAt is null and ${alias}.slug`)} = ${slug}
  ${parent && level.parent ? sql`and ${sql.raw(`${alias}.${level.parent}`)} = ${parent}` : sql``}`

const badgeIn = (container: Container, slug: string) =>
  sql`${within(container)} and b.slug = ${slug}`

/** The ids that the words name, null where they name nothing (`atSystem`, …), and the badge in full. */
type Proof = { [id: `at ${string}`]: number | null } & Partial<BadgeRow>

function proofOf(words: Words, more: SQL): Statement<Proof> {
  const named = levels.filter(({ name }) => words[name] != null)
  const joins = named.map((level, i) => {
    const parent = named[i - 1]
    const isIt = isNamed(level.name, level, words[level.name] ?? '', parent ? idOf(parent) : null)
    return sql`left join ${sql.identifier(level.plural)} ${sql.raw(level.name)} on ${isIt}`
  })
  const ids = named.map((level) => sql`${idOf(level)} as ${sql.identifier(`at ${level.name}`)}`)
  if (words.badge == null)
    return sql`select ${sql.join(ids, sql`, `)} from (select 1) ${sql.join(joins, sql` `)}`
  const container = perLevel('column', (level) => (named.includes(level) ? idOf(level) : null))
  return sql`
    select ${sql.join(ids, sql`, `)}, ${badgeColumns}${more}
    from (select 1) ${sql.join(joins, sql` `)}
    left join badges b on ${badgeIn(container as Container, words.badge)}`
}

const idOf = ({ name }: Level) => sql.raw(`${name}.id`)

function check(words: Words, proof: Proof) {
  const at = perLevel('column', ({ name }) => {
    const [slug, id] = [words[name], proof[`at ${name}`] ?? null]
    if (slug != null && id === null) throw notFound(name, 'slug', slug)
    return id
  }) as Place
  if (words.badge != null && proof.id == null) throw notFound('badge', 'slug', words.badge)
  return { at, badge: proof }
}
