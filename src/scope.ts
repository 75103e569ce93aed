import { type SQL, sql } from 'drizzle-orm'
import { createMiddleware } from 'hono/factory'
import type { Env } from './env'
import { notFound } from './errors'
import { type ApplicationRow, findApplication } from './store/applications'
import { type BadgeRow, badgeColumns, within } from './store/badges'
import { type CodeRow, findCode } from './store/codes'
import type { Container, Place } from './store/containers'
import type { Db, RowsOf, Statement } from './store/db'
import { findInstance, type InstanceRow } from './store/instances'
import { findMilestone, leadingMilestones, type MilestoneRow } from './store/milestones'
import { applicationIdOf, findReview, type ReviewRow } from './store/reviews'
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

/** The badge of a path, with the milestones that lead to it, for `readLeading`. */
export type ProvenBadge = BadgeRow & { leading: string }

/** The last words of a path: what they name, and how the contract's 404 calls it. */
type Thing = {
  name: string
  model: string
  field: string
  value: string
  find: (scope: Pick<Scope, 'container' | 'badgeId'>, value: string) => Statement
}

type Params = Record<string, string>

/** Makes the middleware that gives a route its scope; `things` are sought beyond the containers and the badge. */
const scoped = <Found>(things: (params: Params) => Thing[] = () => []) =>
  createMiddleware<In<Found>>(async (c, next) => {
    const params = c.req.param() as Params
    const scope = scopeOf(() => c.var.db, wordsOf(params), things(params))
    // The things named here are those of `Found`: each `in…` below says both.
    c.set('scope', scope as unknown as Scope<Found>)
    await next()
  })

/** The request is about a system, issuer or program, or a list in it. */
export const inContainer = scoped<object>()
/** The request is about a badge, or a list that hangs from it. */
export const inBadge = scoped<{ badge: ProvenBadge }>()
export const inCode = scoped<{ badge: BadgeRow; code: CodeRow }>(({ code = '' }) => [
  {
    name: 'code',
    model: 'claimCode',
    field: 'code',
    value: code,
    find: ({ badgeId, container }, value) => findCode(badgeId, container.systemId, value),
  },
])
export const inInstance = scoped<{ badge: BadgeRow; instance: InstanceRow }>(({ email = '' }) => [
  {
    name: 'instance',
    model: 'badgeInstance',
    field: 'email',
    value: email,
    find: ({ badgeId, container }, value) => findInstance(badgeId, container.systemId, value),
  },
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

type Words = Partial<Slugs> & { badge?: string }

const wordsOf = ({ system, issuer, program, badge }: Params): Words => ({
  system,
  issuer,
  program,
  badge,
})

/** The scope of a list that hangs from nothing. */
export const everywhere = (db: Db): Pick<Scope, 'with'> => ({
  with: async (...statements) => ({ at: NOWHERE, rows: await db.read(...statements) }) as never,
})

const NOWHERE: Place = { systemId: 0, issuerId: null, programId: null }

function scopeOf(db: () => Db, words: Words, things: Thing[]): Scope {
  const { system } = words
  const container = containerOf(words)
  const badgeId = sql`(select id from badges b where ${badgeIn(container, words.badge ?? '')})`
  const proof = proofOf(words)
  const sought = things.map(({ find, value }) => find({ container, badgeId }, value))
  return {
    container,
    badgeId,
    slugs: { ...words, system: system ?? '' },
    async with(...statements) {
      // `/systems` names nothing yet.
      if (system === undefined) return everywhere(db()).with(...statements) as never
      const [[proven], ...rows] = await db().read(proof, ...sought, ...statements)
      const found = check(system, words, proven)
      const named = rows.slice(0, things.length)
      things.forEach(({ model, field, value }, i) => {
        if (!named[i]?.[0]) throw notFound(model, field, value)
      })
      const all = Object.fromEntries(things.map(({ name }, i) => [name, named[i]?.[0]]))
      return { ...found, ...all, rows: rows.slice(things.length) } as never
    },
  }
}

function containerOf({ system = '', issuer, program }: Words): Container {
  const systemId = sql`(select id from systems where slug = ${system} and deletedAt is null)`
  const issuerId =
    issuer == null
      ? null
      : sql`(select id from issuers where systemId = ${systemId} and slug = ${issuer} and deletedAt is null)`
  const programId =
    program == null
      ? null
      : sql`(select id from programs where issuerId = ${issuerId} and slug = ${program} and deletedAt is null)`
  return { systemId, issuerId, programId }
}

const badgeIn = (container: Container, slug: string) =>
  sql`${within(container)} and b.slug = ${slug}`

type Proof = { atSystem: number | null; atIssuer: number | null; atProgram: number | null }

/** One row: the ids that the words name, null where they name nothing, and the badge in full. */
function proofOf({
  system = '',
  issuer,
  program,
  badge,
}: Words): Statement<Proof & Partial<BadgeRow>> {
  const atIssuer = issuer == null ? sql`null` : sql`i.id`
  const atProgram = program == null ? sql`null` : sql`p.id`
  const joins = [sql`left join systems s on s.slug = ${system} and s.deletedAt is null`]
  if (issuer != null) {
    joins.push(
      sql`left join issuers i on i.systemId = s.id and i.slug = ${issuer} and i.deletedAt is null`,
    )
  }
  if (program != null) {
    joins.push(
      sql`left join programs p on p.issuerId = i.id and p.slug = ${program} and p.deletedAt is null`,
    )
  }
  if (badge != null) {
    const container = {
      systemId: sql`s.id`,
      issuerId: issuer == null ? null : sql`i.id`,
      programId: program == null ? null : sql`p.id`,
    }
    joins.push(sql`left join badges b on ${badgeIn(container, badge)}`)
  }
  return sql`
    select s.id as atSystem, ${atIssuer} as atIssuer, ${atProgram} as atProgram
      ${badge == null ? sql`` : sql`, ${badgeColumns}, ${leadingMilestones} as leading`}
    from (select 1) ${sql.join(joins, sql` `)}`
}

const NOTHING: Proof & Partial<BadgeRow> = { atSystem: null, atIssuer: null, atProgram: null }

function check(system: string, words: Words, proof: (Proof & Partial<BadgeRow>) | undefined) {
  const { atSystem, atIssuer, atProgram, ...badge } = proof ?? NOTHING
  if (atSystem === null) throw notFound('system', 'slug', system)
  if (words.issuer != null && atIssuer === null) throw notFound('issuer', 'slug', words.issuer)
  if (words.program != null && atProgram === null) throw notFound('program', 'slug', words.program)
  if (words.badge != null && badge.id == null) throw notFound('badge', 'slug', words.badge)
  return { at: { systemId: atSystem, issuerId: atIssuer, programId: atProgram }, badge }
}
