import { type SQL, sql } from 'drizzle-orm'
import { applications } from '../../drizzle/schema'
import { commit } from '../commit'
import type { Caller } from '../env'
import type { Container } from '../levels'
import { MOST_COUNTED } from '../reviewQueue'
import type { Badge } from '../views/badges'
import {
  type ApplicationRow,
  applicationColumns,
  findApplication,
  recordApplications,
} from './applications'
import { within } from './badges'
import { type List, type Statement, updateWhere, wrote } from './db'

/** The applications that wait for a review, and who looks at which of them. */

/** Whose applications a queue shows: all, those that nobody holds at this moment, or those of one reviewer. */
export type QueueFilter = { free: boolean | null; assignedTo: string | null; now: number }

/** Nobody holds `applications a`: it is assigned to none, or its time is over. */
const isFree = (now: number) =>
  sql`(a.assignedTo is null or coalesce(a.assignedExpiration <= ${now}, 0))`

/**
 * The applications that wait in a container, the oldest first. Those of a system stand in an index of their own in this order; those
 * of an issuer or program are put in order from the oldest of each of its badges, as many as the page may need.
 */
export function listQueue(
  container: Container,
  { free, assignedTo, now }: QueueFilter,
): List<ApplicationRow> {
  const waits = sql`a.processed is null
    ${free === null ? sql`` : sql`and ${isFree(now)} = ${free ? 1 : 0}`}
    ${assignedTo === null ? sql`` : sql`and a.assignedTo = ${assignedTo}`}`
  const isWhole = !container.issuerId && !container.programId
  return {
    rows: ({ after, limit, offset }) => {
      const goesOn = after ? sql`and (a.createdAt, a.id) > (${after[0]}, ${after[1]})` : sql``
      const inOrder = sql`order by a.createdAt, a.id limit`
      return isWhole
        ? sql<ApplicationRow>`
            select ${applicationColumns} from applications a cross join badges b on b.id = a.badgeId
            where a.systemId = ${container.systemId} and ${waits} and ${within(container)} ${goesOn}
            ${inOrder} ${limit} offset ${offset}`
        : sql<ApplicationRow>`
            select ${applicationColumns} from badges b cross join applications a on a.id in (
              select a.id from applications a where a.badgeId = b.id and ${waits} ${goesOn}
              ${inOrder} ${limit} + ${offset})
            where ${within(container)} ${inOrder} ${limit} offset ${offset}`
    },
    keyOf: ({ createdAt, id }) => [createdAt, id],
    keyLength: 2,
    total: sql<{ total: number }>`
      select count(*) as total from badges b cross join applications a on a.badgeId = b.id
      where ${within(container)} and ${waits}`,
  }
}

/** What waits for a badge: at most one more than `MOST_COUNTED`. */
export type WaitingRow = {
  id: number
  slug: string
  name: string
  waiting: number
  free: number
  oldest: number
}

/** The badges of a container that applications wait for, with how many, in id order. */
export function listWaiting(container: Container, now: number): List<WaitingRow> {
  const waiting = sql`from applications a where a.badgeId = b.id and a.processed is null`
  const from = sql`from badges b where ${within(container)} and exists (select 1 ${waiting})`
  const counted = (what: SQL) => sql`
    (select ${what} from (select ${isFree(now)} as free ${waiting} limit ${MOST_COUNTED + 1}) a)`
  return {
    rows: ({ after, limit, offset }) => sql<WaitingRow>`
      select b.id, b.slug, b.name, ${counted(sql`count(*)`)} as waiting, ${counted(sql`sum(a.free)`)} as free,
        (select min(a.createdAt) ${waiting}) as oldest
      ${from} ${after ? sql`and b.id > ${after[0]}` : sql``} order by b.id limit ${limit} offset ${offset}`,
    keyOf: ({ id }) => [id],
    total: sql<{ total: number }>`select count(*) as total ${from}`,
  }
}

/** The learner of an application, in SQL; that it belongs to the badge of the path is proven beside it. */
export const learnerOf = (slug: string) =>
  sql`(select learner from applications where slug = ${slug})`

/** What a request may say of an assignment. */
export type Assignment = { assignedTo: string; until: number; exclusive: boolean }

/**
 * Gives an application to a reviewer until a moment. An exclusive one is refused while somebody else holds it; that is decided in
 * the UPDATE. Gives the application as it is then, and whether it was changed; no row when it is gone.
 */
export async function assign(
  caller: Caller,
  row: ApplicationRow,
  shown: Badge,
  { assignedTo, until, exclusive }: Assignment,
): Promise<{ row: ApplicationRow | undefined; done: boolean }> {
  const { op, now } = caller
  const which = sql`id = ${row.id}`
  const done = wrote(applications, op, which)
  const may = exclusive
    ? sql`(assignedTo is null or assignedTo = ${assignedTo} or assignedExpiration <= ${now})`
    : sql`1`
  const written = sql`select * from applications where ${which} and op = ${op}`
  const [rows, made] = await commit(caller, {
    change: [
      updateWhere(
        applications,
        { assignedTo, assignedExpiration: until, op, updatedAt: now },
        sql`${which} and processed is null and ${may}`,
      ),
    ],
    done,
    of: { table: applications, id: row.id },
    events: [recordApplications(caller, 'application.updated', row.systemId, shown, written)],
    audit: { systemId: row.systemId, target: `applications/${row.slug}` },
    read: [
      findApplication(sql`${row.badgeId}`, row.slug),
      sql`select 1 from audit where op = ${op}` as Statement,
    ],
  })
  return { row: rows[0], done: made.length > 0 }
}
