import { type SQL, sql } from 'drizzle-orm'
import { createMiddleware } from 'hono/factory'
import type { Env } from './env'
import { notFound } from './errors'
import { type BadgeRow, badgeColumns, within } from './store/badges'
import type { Container, Place } from './store/containers'
import type { Db, RowsOf, Statement } from './store/db'
import type { Slugs } from './urls'

/**
 * What the words of a URL mean, as a query: statements hang from its sub-selects, and the query that proves the words
 * travels with them, so that a read is one round trip. It sends nothing by itself.
 */
export type Scope<Badge> = {
  /** The container of the path, in SQL. */
  container: Container
  /** The id of the badge that the path names, in SQL. */
  badgeId: SQL
  /** The containers of the path as the caller wrote them. */
  slugs: Slugs
  /**
   * Runs the statements together with the proof. Throws 404 for the first word, from the left, that names nothing
   * (contract §1.3).
   */
  with<const T extends readonly Statement[]>(...statements: T): Promise<Proven<Badge, T>>
}

type Proven<Badge, T extends readonly Statement[]> = { at: Place; badge: Badge; rows: RowsOf<T> }
type Proof = { atSystem: number | null; atIssuer: number | null; atProgram: number | null }
type Words = Partial<Slugs> & { badge?: string }

export type InContainer = Env & { Variables: { scope: Scope<undefined> } }
export type InBadge = Env & { Variables: { scope: Scope<BadgeRow> } }

/** The request is about a system, issuer or program, or a list in it. */
export const inContainer = createMiddleware<InContainer>(async (c, next) => {
  c.set('scope', scopeOf(() => c.var.db, wordsOf(c.req.param())) as Scope<undefined>)
  await next()
})

/** The request is about a badge, or what hangs from it. */
export const inBadge = createMiddleware<InBadge>(async (c, next) => {
  c.set('scope', scopeOf(() => c.var.db, wordsOf(c.req.param())) as Scope<BadgeRow>)
  await next()
})

const wordsOf = ({ system, issuer, program, badge }: Record<string, string>): Words => ({
  system,
  issuer,
  program,
  badge,
})

function scopeOf(db: () => Db, words: Words): Scope<BadgeRow | undefined> {
  const container = containerOf(words)
  const badgeId = sql`(select id from badges b where ${badgeIn(container, words.badge ?? '')})`
  const proof = proofOf(words)
  return {
    container,
    badgeId,
    slugs: { ...words, system: words.system ?? '' },
    async with(...statements) {
      // `/systems` names nothing yet.
      if (words.system === undefined)
        return { at: {}, rows: await db().read(...statements) } as never
      const [[proven], ...rows] = await db().read(proof, ...statements)
      return { ...check(words.system, words, proven), rows } as never
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
      ${badge == null ? sql`` : sql`, ${badgeColumns}`}
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
