import { type SQL, sql } from 'drizzle-orm'
import { applications, claimCodes, reviews } from '../../drizzle/schema'
import { commit, committed } from '../commit'
import type { Caller } from '../env'
import type { Frozen } from '../events'
import { MAX_ROWS } from '../jobRows'
import { levels } from '../levels'
import type { Attempt } from '../retries'
import { awardPaths } from '../urls'
import { type ApplicationRow, applicationColumns } from './applications'
import type { ChangeRow } from './awardLife'
import { badgesOf, imageType } from './badges'
import type { CodeRow } from './codes'
import { type Statement, updateWhere } from './db'
import type { PicturedInstance } from './instances'
import { type ReviewRow, selectReviews } from './reviews'
import { endCredentials, releaseCredentials } from './statusLists'

/**
 * What is held about one person, an email address in one system: found by indexes that begin with the system, or with the
 * address. Addresses compare without ASCII case, as their columns do.
 */

/** Ids of the rows that are about the person, in SQL. */
const awardsTo = (systemId: SQL, email: string) =>
  sql`select id from badgeInstances where systemId = ${systemId} and email = ${email}`
const applicationsBy = (systemId: SQL, email: string) =>
  sql`select id from applications where systemId = ${systemId} and learner = ${email}`
const assignedTo = (systemId: SQL, email: string) =>
  sql`select id from applications where systemId = ${systemId} and assignedTo = ${email}`
const codesOf = (systemId: SQL, email: string) =>
  sql`select id from claimCodes where systemId = ${systemId} and email = ${email}`
const reviewsBy = (systemId: SQL, email: string) => sql`
  select r.id from reviews r cross join applications a on a.id = r.applicationId
  where r.author = ${email} and a.systemId = ${systemId}`
const reviewsOn = (whichApplications: SQL) =>
  sql`select id from reviews where applicationId in (${whichApplications})`

/**
 * The events that name the person and are still kept: by what their data says, as the award, application or code that they tell of
 * may be gone by now, or somebody else's.
 */
const eventsOf = (systemId: SQL, email: string) =>
  sql.join(
    ['earner', 'author', 'assignedTo'].map((role) => {
      const person = sql.raw(role)
      return sql`select id from events where systemId = ${systemId} and ${person} = ${email}`
    }),
    sql` union all `,
  )

/** Chunks `c` of jobs `j` whose rows `r` name the person. They have no index: there are few, and none older than 30 days. */
const namedInJobs = (systemId: SQL, email: string) => sql`
  from jobs j cross join jobChunks c on c.jobId = j.id
  where j.systemId = ${systemId} and j.forgotten = 0 and instr(lower(c.rows), ${email.toLowerCase()})`
const isNamed = (email: string) => sql`json_extract(r.value, '$.email') = ${email} collate nocase`

// ── Export ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Rows of one kind after the one with this number, in the order of their numbers. */
export type Part<Row> = {
  rows(after: number, limit: number): Statement<Row>
  numberOf(row: Row): number
  /** The badges that rows show. */
  badges?: true
}

type Assigned = { id: number; slug: string; assignedExpiration: number | null }
type NamedRow = { number: number; job: string; row: string }
type Try = Attempt & { number: number; n: number; deliveryId: number; eventId: string }

/** All that is held about a person, part by part. */
export function personalData(systemId: SQL, email: string) {
  const stretch = (column: string, after: number, limit: number) =>
    sql`and ${sql.raw(`${column} > `)}${after} order by ${sql.raw(column)} limit ${limit}`
  const byId = <Row extends { id: number }>(
    rows: (after: number, limit: number) => Statement<Row>,
    badges?: true,
  ): Part<Row> => ({ rows, numberOf: ({ id }) => id, badges })
  const applied = applicationsBy(systemId, email)
  return {
    instances: byId(
      (after, limit) => sql<PicturedInstance>`
        select i.*, (select ${imageType} from badges b where b.id = i.badgeId) as imageType
        from badgeInstances i where i.id in (${awardsTo(systemId, email)})
          ${stretch('i.id', after, limit)}`,
      true,
    ),
    awardChanges: byId(
      (after, limit) => sql<ChangeRow>`
        select c.*, (select slug from badgeInstances where id = c.awardId) as award from awardChanges c
        where c.awardId in (${awardsTo(systemId, email)}) ${stretch('c.id', after, limit)}`,
    ),
    claimCodes: byId(
      (after, limit) => sql<CodeRow>`
        select k.* from claimCodes k where k.id in (${codesOf(systemId, email)})
          ${stretch('k.id', after, limit)}`,
    ),
    applications: byId(
      (after, limit) => sql<ApplicationRow>`
        select ${applicationColumns} from applications a where a.id in (${applied})
          ${stretch('a.id', after, limit)}`,
      true,
    ),
    assignments: byId(
      (after, limit) => sql<Assigned>`
        select a.id, a.slug, a.assignedExpiration from applications a
        where a.id in (${assignedTo(systemId, email)}) ${stretch('a.id', after, limit)}`,
    ),
    reviews: byId(
      (after, limit) => sql<ReviewRow & { application: string }>`
        select r.*, (select slug from applications where id = r.applicationId) as application
        from (${selectReviews}
          where r.id in (${reviewsBy(systemId, email)} union all ${reviewsOn(applied)})
            ${stretch('r.id', after, limit)}) r`,
    ),
    events: {
      rows: (after, limit) => sql<Frozen>`
        select e.id as eventId, e.type, e.seq, e.createdAt, e.body, e.data, v.badge
        from events e left join badgeVersions v on v.id = e.versionId
        where e.id in (${eventsOf(systemId, email)}) ${stretch('e.seq', after, limit)}`,
      numberOf: ({ seq }) => seq,
    } satisfies Part<Frozen>,
    jobRows: {
      rows: (after, limit) => sql<NamedRow>`
        select j.uid as job, j.id * ${MAX_ROWS} + json_extract(r.value, '$.n') as number, r.value as row
        from (select j.id, j.uid, c.rows ${namedInJobs(systemId, email)}) j cross join json_each(j.rows) r
        where ${isNamed(email)} ${stretch('number', after, limit)}`,
      numberOf: ({ number }) => number,
    } satisfies Part<NamedRow>,
    attempts: {
      rows: (after, limit) => sql<Try>`
        select t.rowid as number, t.*, d.eventId
        from deliveries d cross join attempts t on t.deliveryId = d.id
        where d.eventId in (${eventsOf(systemId, email)}) ${stretch('t.rowid', after, limit)}`,
      numberOf: ({ number }) => number,
    } satisfies Part<Try>,
  }
}

/** The badges that a stretch of a part shows. */
export const badgesShown = (part: Part<never>, rows: Statement) =>
  part.badges ? [badgesOf(rows)] : []

// ── Erasure ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Who wrote a review whose author has been erased: the contract wants an address, and nobody has this one. */
export const NOBODY = 'erased@invalid.invalid'

/** Most public documents that are dropped from the cache; what is beyond ends there by itself within a minute. */
const FORGOTTEN = 40

/** The slugs of a person's awards, the newest first. */
export const awardSlugs = (systemId: SQL, email: string): Statement<{ slug: string }> =>
  sql<{ slug: string }>`
    select i.slug from badgeInstances i where i.id in (${awardsTo(systemId, email)})
    order by i.id desc limit ${FORGOTTEN}`

/**
 * Erases a person from a system, in one transaction. Of awards tombstones stay, without personal data; what the person wrote of
 * others' applications stays without a name and words. It is recorded whether or not there was anything to erase, so that neither
 * the answer nor the log tells who was known. No event is made of it. Gives false when the system is gone by then.
 *
 * @param id the system's
 * @param slugs those of the person's awards
 */
export async function erase(
  caller: Caller,
  id: number,
  email: string,
  slugs: readonly string[],
): Promise<boolean> {
  const { op, now } = caller
  const systemId = sql`${id}`
  const mine = awardsTo(systemId, email)
  const applied = applicationsBy(systemId, email)
  const written = sql`id in (${reviewsBy(systemId, email)})`
  const events = eventsOf(systemId, email)
  const touched = { op, updatedAt: now }
  const [rows] = await commit(caller, {
    change: [
      sql`update attempts set answer = null where answer is not null
        and deliveryId in (select id from deliveries where eventId in (${events}))`,
      sql`update deliveries set state = 'cancelled', endedAt = ${now}
        where state = 'pending' and eventId in (${events})`,
      sql`update events set body = null, data = null where id in (${events})`,

      sql`insert into tombstones (kind, uid, revokedAt)
        select 'assertion', slug, coalesce(revokedAt, ${now}) from badgeInstances where id in (${mine})
        on conflict (kind, uid) do nothing`,
      sql`update badges set awarded = awarded - (select count(*) from badgeInstances i
          where i.systemId = ${systemId} and i.email = ${email} and i.badgeId = badges.id and i.revokedAt is null)
        where id in (select badgeId from badgeInstances where id in (${mine}))`,
      sql`
        update jobChunks set rows = (
          select json_group_array(json(case when ${isNamed(email)}
            then json_set(json_remove(r.value, '$.comment', '$.narrative', '$.evidence'), '$.email', null) else r.value end))
          from (select * from json_each(rows) order by key) r)
        where (jobId, first) in (select c.jobId, c.first ${namedInJobs(systemId, email)})`,
      updateWhere(
        claimCodes,
        { email: null, ...touched },
        sql`id in (${codesOf(systemId, email)})`,
      ),

      ...uncount(systemId, email),
      updateWhere(
        applications,
        { assignedTo: null, assignedExpiration: null, ...touched },
        sql`id in (${assignedTo(systemId, email)})`,
      ),
      sql`update reviewItems set comment = null where reviewId in (${reviewsBy(systemId, email)})`,
      updateWhere(reviews, { author: NOBODY, comment: null, ...touched }, written),
    ],
    done: sql`exists (select 1 from systems where id = ${systemId} and deletedAt is null)`,
    audit: { systemId: id, target: `systems/${id}/privacy` },
    after: [
      sql`delete from reviewItems where reviewId in (${reviewsOn(applied)})`,
      sql`delete from reviews where applicationId in (${applied})`,
      sql`delete from evidence where applicationId in (${applied})`,
      sql`delete from applications where id in (${applied})`,
      ...endCredentials(mine),
      releaseCredentials(mine),
      sql`delete from awardChanges where awardId in (${mine})`,
      sql`delete from badgeInstances where id in (${mine})`,
    ],
    read: [committed(op)],
    forget: slugs.flatMap(awardPaths),
  })
  return rows.length > 0
}

/** Moves the counters of what goes with a person's applications; a deleted badge's are no longer in those of its containers. */
function uncount(systemId: SQL, email: string): SQL[] {
  const moved = sql`on conflict (systemId, name, ownerId) do update set n = n + excluded.n`
  // By their ids: left to itself, SQLite goes through the system's applications in the order of the groups.
  const of = sql`from applications a cross join badges b on b.id = a.badgeId
    where a.id in (${applicationsBy(systemId, email)})`
  return [
    sql`insert into counters (systemId, name, ownerId, n)
      select ${systemId}, 'applications', a.badgeId, -count(*) ${of} group by a.badgeId ${moved}`,
    sql`insert into counters (systemId, name, ownerId, n)
      select ${systemId}, 'open', a.badgeId, -count(*) ${of} and a.processed is null group by a.badgeId ${moved}`,
    ...levels.map(({ name, column }) => {
      const owner = sql.raw(`b.${column}`)
      return sql`insert into counters (systemId, name, ownerId, n)
        select ${systemId}, ${`${name}.applications`}, ${owner}, -count(*) ${of}
          and b.deletedAt is null and ${owner} is not null
        group by ${owner} ${moved}`
    }),
    sql`delete from counters where systemId = ${systemId} and name = 'reviews'
      and ownerId in (${applicationsBy(systemId, email)})`,
  ]
}
