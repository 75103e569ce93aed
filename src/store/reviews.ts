import { type SQL, sql } from 'drizzle-orm'
import { reviews } from '../../drizzle/schema'
import { commit, committed } from '../commit'
import { idFrom } from '../crypto'
import type { Caller } from '../env'
import { recordReview } from '../events'
import type { ApplicationRow } from './applications'
import { bump, counterOf } from './counters'
import { insertIf, type List, type Statement, updateWhere, wrote } from './db'

/** A review with its items, a JSON array of `{criterionId, satisfied, comment}` in order. */
export type ReviewRow = typeof reviews.$inferSelect & { reviewItems: string }

type Item = { criterionId: number; satisfied: boolean; comment?: string | null }

/** What a request may say of a review. An absent member of a PUT leaves what stands. */
export type ReviewInput = Partial<{
  author: string
  comment: string | null
  reviewItems: Item[] | null
}>

/** The items of `reviews r` as JSON, in SQL. */
const items = sql`(
  select json_group_array(json(o)) from (
    select json_object('criterionId', criterionId, 'satisfied', satisfied, 'comment', comment) as o
    from reviewItems where reviewId = r.id order by id))`

export const selectReviews = sql`select r.*, ${items} as reviewItems from reviews r`

/** The reviews of an application, in id order. */
export const listReviews = (applicationId: SQL, systemId: SQL): List<ReviewRow> => ({
  rows: ({ after, limit, offset }) => sql<ReviewRow>`
    ${selectReviews} where r.applicationId = ${applicationId}
      ${after ? sql`and r.id > ${after[0]}` : sql``}
    order by r.id limit ${limit} offset ${offset}`,
  keyOf: ({ id }) => [id],
  total: counterOf(systemId, 'reviews', applicationId),
})

/** The id of an application for a badge, in SQL. */
export const applicationIdOf = (badgeId: SQL, slug: string) =>
  sql`(select id from applications where slug = ${slug} and badgeId = ${badgeId})`

/** A review of an application. */
export const findReview = (applicationId: SQL | number, slug: string): Statement<ReviewRow> =>
  sql<ReviewRow>`${selectReviews} where r.slug = ${slug} and r.applicationId = ${applicationId}`

/** What a review's message tells beside the review: the application as the contract shows it. */
export type Told = { application: object }

/** What makes a review of an application if `condition`, and tells of it; its slug is that of the request. */
export async function reviewStatements(
  { op, now }: Caller,
  application: ApplicationRow,
  { reviewItems, ...input }: ReviewInput,
  told: Told,
  condition: SQL,
) {
  const slug = await idFrom(op, 'slug', 16)
  const { id: applicationId, systemId } = application
  const which = sql`slug = ${slug}`
  const values = { ...input, slug, applicationId, op, createdAt: now, updatedAt: now }
  const done = wrote(reviews, op, which)
  return {
    change: [
      insertIf(reviews, values, condition),
      bump(systemId, 'reviews', applicationId, 1, done),
      ...(reviewItems?.length ? [addItems(op, which, reviewItems)] : []),
    ],
    done,
    events: [tell(op, now, application, which, told)],
    audit: { systemId, target: `reviews/${slug}` },
    read: findReview(applicationId, slug),
  }
}

/** Makes a review of an application, and records it. Gives no row when the application is gone by then. */
export async function createReview(
  caller: Caller,
  application: ApplicationRow,
  input: ReviewInput,
  told: Told,
) {
  const isThere = sql`exists (select 1 from applications where id = ${application.id})`
  const review = await reviewStatements(caller, application, input, told, isThere)
  const [rows] = await commit(caller, { ...review, read: [review.read] })
  return rows[0]
}

/** Changes the given members of a review, and records it again. Gives no row when it is gone by then. */
export async function updateReview(
  caller: Caller,
  application: ApplicationRow,
  row: ReviewRow,
  { reviewItems, ...input }: ReviewInput,
  told: Told,
): Promise<ReviewRow | undefined> {
  const { op, now } = caller
  const which = sql`id = ${row.id}`
  const replaced = reviewItems
    ? [
        sql`delete from reviewItems where reviewId = ${written(op, which)}`,
        addItems(op, which, reviewItems),
      ]
    : []
  const [rows] = await commit(caller, {
    change: [updateWhere(reviews, { ...input, op, updatedAt: now }, which), ...replaced],
    done: wrote(reviews, op, which),
    of: { table: reviews, id: row.id },
    events: [tell(op, now, application, which, told)],
    audit: { systemId: application.systemId, target: `reviews/${row.slug}` },
    read: [findReview(application.id, row.slug)],
  })
  return rows[0]
}

/** The id of the review that `op` has written, in SQL. */
const written = (op: string, which: SQL) =>
  sql`(select id from reviews where ${which} and op = ${op})`

const addItems = (op: string, which: SQL, given: Item[]) => sql`
  insert into reviewItems (reviewId, criterionId, satisfied, comment)
  select r.id, json_extract(j.value, '$.criterionId'), json_extract(j.value, '$.satisfied'),
    json_extract(j.value, '$.comment')
  from reviews r cross join json_each(${JSON.stringify(given)}) j
  where r.id = ${written(op, which)} order by j.key`

const tell = (op: string, now: number, application: ApplicationRow, which: SQL, told: Told) =>
  recordReview(op, now, {
    systemId: application.systemId,
    badgeId: application.badgeId,
    subject: application.slug,
    application: JSON.stringify(told.application),
    review: sql`r.op = ${op} and r.${which}`,
    items,
  })

/** Whether these items approve what is applied for: each required criterion of the badge has a satisfied one (contract §5.5). In SQL. */
export const approves = (badgeId: number, given: readonly Item[]) => sql`
  not exists (select 1 from criteria c where c.badgeId = ${badgeId} and c.required = 1 and not exists (
    select 1 from json_each(${JSON.stringify(given)}) j
    where json_extract(j.value, '$.criterionId') = c.id and json_extract(j.value, '$.satisfied') = 1))`

/** Deletes a review with its items. Gives false when it was gone by then. */
export async function deleteReview(
  caller: Caller,
  application: ApplicationRow,
  row: ReviewRow,
): Promise<boolean> {
  const { op, now } = caller
  const which = sql`id = ${row.id}`
  const done = wrote(reviews, op, which)
  const { systemId } = application
  const [rows] = await commit(caller, {
    change: [
      updateWhere(reviews, { op, updatedAt: now }, which),
      bump(systemId, 'reviews', application.id, -1, done),
    ],
    done,
    of: { table: reviews, id: row.id },
    audit: { systemId, target: `reviews/${row.slug}` },
    after: [
      sql`delete from reviewItems where reviewId = ${row.id} and ${done}`,
      sql`delete from reviews where ${which} and op = ${op}`,
    ],
    read: [committed(op)],
  })
  return rows.length > 0
}
