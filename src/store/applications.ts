import { type SQL, sql } from 'drizzle-orm'
import { applications } from '../../drizzle/schema'
import { commit, committed } from '../commit'
import { idFrom } from '../crypto'
import type { Caller } from '../env'
import { recordEach } from '../events'
import type { Container } from '../levels'
import type { Badge } from '../views/badges'
import { type BadgeRow, within } from './badges'
import { bump, bumpContainers, containerTotal, counterOf } from './counters'
import {
  fixed,
  insertIf,
  isoText,
  type List,
  type SortKey,
  type Statement,
  updateWhere,
  wrote,
} from './db'
import { tally } from './tallies'

/** An application with its evidence, a JSON array of `{url, mediaType, reflection}` in order. */
export type ApplicationRow = typeof applications.$inferSelect & { evidence: string }

type Evidence = { url?: string | null; mediaType?: string | null; reflection?: string | null }

/** What a request may say of an application. An absent member of a PUT leaves what stands. */
export type ApplicationInput = Partial<{
  learner: string
  assignedTo: string | null
  assignedExpiration: number | null
  processed: number | null
  evidence: Evidence[] | null
}>

/** The evidence of an application (`alias`) as JSON, in SQL. */
const evidenceOf = (alias: string) => sql`(
  select json_group_array(json(o)) from (
    select json_object('url', url, 'mediaType', mediaType, 'reflection', reflection) as o
    from evidence where applicationId = ${sql.raw(alias)}.id order by id))`

export const applicationColumns = fixed(sql`a.*, ${evidenceOf('a')} as evidence`)

/** Which applications a list shows: contract §4.6, and by when they were made and last changed. `until` is not among them. */
export type ApplicationFilter = {
  processed: boolean | null
  email: string | null
  since: number | null
  until: number | null
  updatedSince: number | null
}

/** By what a list is ordered within each badge, and from when on. `+` keeps SQLite from the indexes of the other order. */
const datesOf = ({ since, updatedSince }: ApplicationFilter) =>
  updatedSince === null
    ? ({ name: 'createdAt', column: sql`a.createdAt`, from: since, plus: sql`` } as const)
    : ({ name: 'updatedAt', column: sql`a.updatedAt`, from: updatedSince, plus: sql`+` } as const)

function passes(filter: ApplicationFilter): SQL {
  const { processed, since, until, updatedSince } = filter
  const { plus } = datesOf(filter)
  return sql.join([
    ...(processed === null
      ? []
      : [sql` and ${plus}a.processed ${processed ? sql`is not null` : sql`is null`}`]),
    ...(since === null || updatedSince === null ? [] : [sql` and +a.createdAt >= ${since}`]),
    ...(until === null ? [] : [sql` and ${plus}a.createdAt < ${until}`]),
  ])
}

/**
 * The applications for badges in a container, by badge and then by age, or by their last change where that is asked for. They are
 * reached through the badges, whose order is the list's; those of one learner through the learner.
 */
export function listApplications(
  container: Container,
  badgeId: SQL | null,
  filter: ApplicationFilter,
): List<ApplicationRow> {
  const { email, processed, since, until, updatedSince } = filter
  const { name, column, from: first } = datesOf(filter)
  const badge = badgeId ? sql`and b.id = ${badgeId}` : sql``
  const start = first === null ? sql`` : sql`and ${column} >= ${first}`
  const from = (begin: SQL) =>
    email === null
      ? sql`from badges b cross join applications a on a.badgeId = b.id
          where ${within(container)} ${badge} ${passes(filter)} ${begin}`
      : sql`from applications a cross join badges b on b.id = a.badgeId
          where a.systemId = ${container.systemId} and a.learner = ${email}
            and ${within(container)} ${badge} ${passes(filter)} ${begin}`
  // In the badge where the last page ended its index is entered there, in each later one at the start.
  const beyond = ([at, last, id]: SortKey) => sql`
    and b.id >= ${at} and ${column} >= iif(b.id = ${at}, ${last}, ${first ?? -9e18})
    and not (b.id = ${at} and ${column} = ${last} and a.id <= ${id})`
  const isFiltered = [email, processed, since, until, updatedSince].some((one) => one !== null)
  const total = badgeId
    ? counterOf(container.systemId, 'applications', badgeId)
    : containerTotal(container, 'applications')
  return {
    rows: ({ after, limit, offset }) => sql<ApplicationRow>`
      select ${applicationColumns} ${from(after ? beyond(after) : start)}
      order by b.id, ${column}, a.id limit ${limit} offset ${offset}`,
    keyOf: (row) => [row.badgeId, row[name], row.id],
    keyLength: 3,
    total: isFiltered ? sql<{ total: number }>`select count(*) as total ${from(start)}` : total,
  }
}

/** An application for a badge. */
export const findApplication = (badgeId: SQL, slug: string): Statement<ApplicationRow> =>
  sql<ApplicationRow>`
    select ${applicationColumns} from applications a where a.slug = ${slug} and a.badgeId = ${badgeId}`

const written = (which: SQL, op: string) =>
  sql`select * from applications where ${which} and op = ${op}`

const addEvidence = (which: SQL, op: string, evidence: Evidence[]) => sql`
  insert into evidence (applicationId, url, mediaType, reflection)
  select a.id, json_extract(j.value, '$.url'), json_extract(j.value, '$.mediaType'),
    json_extract(j.value, '$.reflection')
  from applications a cross join json_each(${JSON.stringify(evidence)}) j
  where ${which} and a.op = ${op} order by j.key`

/**
 * Records an event for each application of a query, for one badge. The JSON is that of `viewApplication`.
 *
 * @param badge the badge as the contract shows it
 */
export const recordApplications = (
  { op, now }: Caller,
  type: 'application.created' | 'application.updated',
  systemId: number,
  badge: Badge,
  rows: SQL,
): SQL =>
  recordEach(op, now, {
    systemId,
    type,
    rows,
    subject: sql`x.slug`,
    data: sql`json_object('application', json_object(
      'id', x.id, 'slug', x.slug, 'learner', x.learner, 'created', ${isoText(sql`x.createdAt`)},
      'assignedTo', x.assignedTo, 'assignedExpiration', ${isoText(sql`x.assignedExpiration`)},
      'badge', json(${JSON.stringify(badge)}), 'processed', ${isoText(sql`x.processed`)},
      'evidence', json(${evidenceOf('x')})))`,
  })

/**
 * Makes an application for a badge. Gives no row when the badge is gone by then.
 *
 * @param shown the badge as the contract shows it, for the message
 */
export async function createApplication(
  caller: Caller,
  badge: BadgeRow,
  shown: Badge,
  { evidence, ...input }: ApplicationInput,
) {
  const { op, now } = caller
  const { id: badgeId, systemId } = badge
  const slug = await idFrom(op, 'slug', 16)
  const which = sql`slug = ${slug}`
  const done = wrote(applications, op, which)
  const values = { ...input, slug, systemId, badgeId, op, createdAt: now, updatedAt: now }
  const [rows] = await commit(caller, {
    change: [
      insertIf(
        applications,
        values,
        sql`exists (select 1 from badges where id = ${badgeId} and deletedAt is null)`,
      ),
      ...(evidence ? [addEvidence(which, op, evidence)] : []),
      bump(systemId, 'applications', badgeId, 1, done),
      bump(systemId, 'open', badgeId, 1, done),
      ...tally(caller, badge, 'applied', 1, done),
      ...bumpContainers(badge, 'applications', 1, done),
    ],
    done,
    events: [
      recordApplications(caller, 'application.created', systemId, shown, written(which, op)),
    ],
    audit: { systemId, target: `applications/${slug}` },
    read: [findApplication(sql`${badgeId}`, slug)],
  })
  return rows[0]
}

/** Whether an application (`which`) is there and waits, in SQL. */
const isOpen = (which: SQL) =>
  sql`exists (select 1 from applications where ${which} and processed is null)`

/** What counts an application of a badge as processed, before it is, if `condition`. */
export function countProcessed(
  caller: Caller,
  badge: BadgeRow,
  which: SQL,
  condition = sql`1`,
): SQL[] {
  const done = sql`${condition} and ${isOpen(which)}`
  return [
    bump(badge.systemId, 'open', badge.id, -1, done),
    ...tally(caller, badge, 'processed', 1, done),
  ]
}

/** The same for a change that may open an application again, which takes nothing back of what has happened. */
function recount(
  caller: Caller,
  badge: BadgeRow,
  which: SQL,
  processed: number | null | undefined,
): SQL[] {
  if (processed === undefined) return []
  if (processed !== null) return countProcessed(caller, badge, which)
  const isClosed = sql`exists (select 1 from applications where ${which} and processed is not null)`
  return [bump(badge.systemId, 'open', badge.id, 1, isClosed)]
}

/** Changes the given members of an application. Gives no row when it is gone by then. */
export async function updateApplication(
  caller: Caller,
  badge: BadgeRow,
  row: ApplicationRow,
  shown: Badge,
  { evidence, ...input }: ApplicationInput,
) {
  const { op, now } = caller
  const which = sql`id = ${row.id}`
  const done = wrote(applications, op, which)
  const replaced = evidence
    ? [
        sql`delete from evidence where applicationId = ${row.id} and ${done}`,
        addEvidence(sql`a.id = ${row.id}`, op, evidence),
      ]
    : []
  const [rows] = await commit(caller, {
    change: [
      ...recount(caller, badge, which, input.processed),
      updateWhere(applications, { ...input, op, updatedAt: now }, which),
      ...replaced,
    ],
    done,
    of: { table: applications, id: row.id },
    events: [
      recordApplications(caller, 'application.updated', row.systemId, shown, written(which, op)),
    ],
    audit: { systemId: row.systemId, target: `applications/${row.slug}` },
    read: [findApplication(sql`${row.badgeId}`, row.slug)],
  })
  return rows[0]
}

/** Deletes an application with its evidence and reviews. Gives false when it was gone by then. */
export async function deleteApplication(
  caller: Caller,
  badge: BadgeRow,
  row: ApplicationRow,
): Promise<boolean> {
  const { op, now } = caller
  const { systemId, id } = row
  const which = sql`id = ${id}`
  const done = wrote(applications, op, which)
  const [rows] = await commit(caller, {
    change: [
      updateWhere(applications, { op, updatedAt: now }, which),
      bump(systemId, 'applications', row.badgeId, -1, done),
      bump(systemId, 'open', row.badgeId, -1, isOpen(which)),
      ...bumpContainers(badge, 'applications', -1, done),
    ],
    done,
    of: { table: applications, id },
    audit: { systemId, target: `applications/${row.slug}` },
    after: [
      sql`delete from reviewItems where reviewId in (select id from reviews where applicationId = ${id})
        and ${done}`,
      sql`delete from reviews where applicationId = ${id} and ${done}`,
      sql`delete from evidence where applicationId = ${id} and ${done}`,
      sql`delete from counters where systemId = ${systemId} and name = 'reviews' and ownerId = ${id}
        and ${done}`,
      sql`delete from applications where ${which} and op = ${op}`,
    ],
    read: [committed(op)],
  })
  return rows.length > 0
}
