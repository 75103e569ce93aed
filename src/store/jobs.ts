import { type SQL, sql } from 'drizzle-orm'
import { badgeInstances, jobChunks, jobs } from '../../drizzle/schema'
import { commit, isCommitted } from '../commit'
import { idFrom } from '../crypto'
import type { Caller } from '../env'
import { recordRevocations } from '../events'
import { type Chunk, MAX_ROWS, type Rows } from '../jobRows'
import { forget } from '../publicCache'
import { statusListPath } from '../urls'
import { awardStatements, eachEarner, held } from './awards'
import { type BadgeRow, badgeColumns } from './badges'
import { type AboveRow, milestoneStatements, milestonesAbove } from './completions'
import {
  type Db,
  insertIf,
  type List,
  orUnavailable,
  type Statement,
  updateWhere,
  wrote,
} from './db'
import type { Awardable } from './instances'
import { endCredentials, listsOf } from './statusLists'
import { tally } from './tallies'
import { freeze, keepVersion, versionId } from './versions'

/**
 * Jobs: thousands of awards, or revocations, that the queue's consumer makes a chunk at a time. A chunk is one transaction, which
 * also moves `next`: of two workers at the same chunk one finds it moved and does nothing, and after a death the next worker goes
 * on where the last transaction ended.
 */

export type JobRow = typeof jobs.$inferSelect
export type JobState = JobRow['state']

/** A row of a job as it is shown: what is to be done, or what came of it. */
export type ResultRow = {
  n: number
  email: string | null
  state: string
  slug: string | null
  reason: string | null
}

/** Most characters of chunks that one batch carries. */
const BATCH = 4_000_000

const uidOf = (op: string) => idFrom(op, 'job', 12)

/** How a new job's own row begins. */
const newJob = ({ op, now, key }: Caller, badge: BadgeRow, uid: string) => ({
  uid,
  systemId: badge.systemId,
  badgeId: badge.id,
  key: key.name,
  op,
  createdAt: now,
  updatedAt: now,
})

/**
 * Keeps a job of awards. Its rows may be more than one transaction takes: nothing is done, and nothing is shown, before all of them
 * are there. Gives no row when the badge is gone.
 */
export async function createJob(
  caller: Caller,
  badge: BadgeRow,
  { count, chunks }: Rows,
): Promise<JobRow | undefined> {
  const uid = await uidOf(caller.op)
  const job = { ...newJob(caller, badge, uid), kind: 'issue', state: 'receiving', rows: count }
  const jobId = sql`(select id from jobs where uid = ${uid})`
  let change: SQL[] = []
  for (const some of caller.isReplay ? [] : inBatches(chunks())) {
    if (change.length > 0) await keep(caller.db, change)
    change = [
      insertIf(jobs, job, isLive(badge), sql`on conflict (uid) do nothing`),
      ...some.map((one) => insertIf(jobChunks, { jobId, ...one }, sql`${jobId} is not null`)),
    ]
  }
  return begin(caller, badge, uid, [
    ...change,
    updateWhere(
      jobs,
      { state: 'running', updatedAt: caller.now },
      sql`uid = ${uid} and state = 'receiving' and ${isLive(badge)}`,
    ),
  ])
}

/** As many chunks as one transaction takes. */
function* inBatches(chunks: Iterable<Chunk>): Generator<Chunk[]> {
  let batch: Chunk[] = []
  let size = 0
  for (const chunk of chunks) {
    if (batch.length > 0 && size + chunk.rows.length > BATCH) {
      yield batch
      batch = []
      size = 0
    }
    batch.push(chunk)
    size += chunk.rows.length
  }
  yield batch
}

/** What is kept on the way is nobody's yet: when it fails, the sweep removes it. */
async function keep(db: Db, change: SQL[]): Promise<void> {
  try {
    await db.batch(change)
  } catch (error) {
    throw orUnavailable(error)
  }
}

const isLive = ({ id }: BadgeRow) =>
  sql`exists (select 1 from badges where id = ${id} and deletedAt is null)`

/** Commits what makes a job run, and gives it. */
async function begin(
  caller: Caller,
  badge: BadgeRow,
  uid: string,
  change: SQL[],
): Promise<JobRow | undefined> {
  const which = sql`uid = ${uid}`
  const [rows] = await commit(caller, {
    change,
    done: sql`exists (select 1 from jobs where ${which} and state <> 'receiving' and op = ${caller.op})`,
    audit: { systemId: badge.systemId, target: `jobs/${uid}` },
    read: [sql<JobRow>`select * from jobs where ${which} and state <> 'receiving'`],
  })
  return rows[0]
}

/** Which awards of a badge are to be revoked: those that a job made, or those of some addresses or some time. */
export type Choice =
  | { job: number }
  | { emails?: string[] | null; since?: number | null; until?: number | null }

/** How many rows a chunk has of what a query chose. */
const AT_ONCE = 500

/**
 * Keeps a job of revocations: its rows are looked up in the transaction that makes it. It takes as many as a job of awards, the oldest
 * first.
 */
export async function createRevocation(
  caller: Caller,
  badge: BadgeRow,
  choice: Choice,
  reason: string | null,
): Promise<JobRow | undefined> {
  return createFrom(caller, badge, { kind: 'revoke', reason }, chosenOf(badge, choice))
}

/**
 * Keeps a job that awards the primary badge of a milestone to who has reached it by now, the first ones first. Who ever had the badge
 * is left out: a milestone gives nothing back that was revoked.
 */
export const createBackfill = (
  caller: Caller,
  badge: BadgeRow,
  milestoneId: number,
): Promise<JobRow | undefined> =>
  createFrom(
    caller,
    badge,
    { kind: 'issue', reason: null },
    sql`
    select e.id, e.email, null as slug from (
      select min(i.id) as id, i.email, count(distinct i.badgeId) as n
      from milestoneBadges s cross join badgeInstances i on i.badgeId = s.badgeId
      where s.milestoneId = ${milestoneId} and i.revokedAt is null and i.suspendedAt is null
      group by i.email) e
    where e.n >= (select numberRequired from milestones where id = ${milestoneId})
      and not exists (select 1 from badgeInstances h
        where h.systemId = ${badge.systemId} and h.email = e.email and h.badgeId = ${badge.id})`,
  )

/** Keeps a job whose rows, `(id, email, slug)`, are chosen by a query. */
async function createFrom(
  caller: Caller,
  badge: BadgeRow,
  what: { kind: JobRow['kind']; reason: string | null },
  chosen: SQL,
): Promise<JobRow | undefined> {
  const uid = await uidOf(caller.op)
  const job = { ...newJob(caller, badge, uid), ...what, state: 'running', rows: 0 }
  const jobId = sql`(select id from jobs where uid = ${uid})`
  return begin(caller, badge, uid, [
    insertIf(jobs, job, isLive(badge)),
    sql`
      insert into jobChunks (jobId, first, "end", rows)
      select ${jobId}, min(x.n), max(x.n) + 1,
        json_group_array(json_object('n', x.n, 'email', x.email, 'slug', x.slug) order by x.n)
      from (
        select i.email, i.slug, row_number() over (order by i.id) - 1 as n
        from (select * from (${chosen}) order by id limit ${MAX_ROWS}) i) x
      where ${jobId} is not null group by cast(x.n / ${AT_ONCE} as integer)`,
    sql`
      update jobs set rows = x.n, state = case when x.n = 0 then 'done' else state end,
        endedAt = case when x.n = 0 then createdAt end
      from (select coalesce(max("end"), 0) as n from jobChunks where jobId = ${jobId}) x where uid = ${uid}`,
  ])
}

function chosenOf({ id, systemId }: BadgeRow, choice: Choice): SQL {
  if ('job' in choice) {
    return sql`
      select i.id, i.email, i.slug from jobChunks c, json_each(c.rows) j
      cross join badgeInstances i on i.slug = json_extract(j.value, '$.slug') and i.badgeId = ${id}
      where c.jobId = ${choice.job} and json_extract(j.value, '$.state') = 'issued' and i.revokedAt is null`
  }
  const { emails, since, until } = choice
  const when = sql`i.revokedAt is null
    ${since == null ? sql`` : sql`and i.issuedOn >= ${since}`}
    ${until == null ? sql`` : sql`and i.issuedOn < ${until}`}`
  return emails
    ? sql`
      select i.id, i.email, i.slug from json_each(${JSON.stringify([...new Set(emails.map((one) => one.toLowerCase()))])}) j
      cross join badgeInstances i on i.systemId = ${systemId} and i.email = j.value and i.badgeId = ${id}
      where ${when}`
    : sql`
      select i.id, i.email, i.slug from badgeInstances i where i.badgeId = ${id} and ${when}`
}

/** Ends a job where it stands. What it has done stays. Gives no row when it had ended by itself. */
export async function cancelJob(caller: Caller, row: JobRow): Promise<JobRow | undefined> {
  const { op, now } = caller
  const which = sql`id = ${row.id}`
  const [rows] = await commit(caller, {
    change: [
      updateWhere(
        jobs,
        { state: 'cancelled', endedAt: now, op, updatedAt: now },
        sql`${which} and state = 'running'`,
      ),
    ],
    done: wrote(jobs, op, which),
    of: { table: jobs, id: row.id },
    audit: { systemId: row.systemId, target: `jobs/${row.uid}` },
    read: [sql<JobRow>`select * from jobs where ${which} and ${isCommitted(op)}`],
  })
  return rows[0]
}

// ── Look-ups ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The id of a badge's job, in SQL. */
export const jobIdOf = (badgeId: SQL, uid: string) => sql`(
  select id from jobs where uid = ${uid} and badgeId = ${badgeId} and state <> 'receiving')`

export const findJob = (badgeId: SQL, uid: string): Statement<JobRow> => sql<JobRow>`
  select * from jobs where uid = ${uid} and badgeId = ${badgeId} and state <> 'receiving'`

/** The jobs of a badge, in the order in which they were asked for. */
export function listJobs(badgeId: SQL): List<JobRow> {
  const from = sql`from jobs where badgeId = ${badgeId} and state <> 'receiving'`
  return {
    rows: ({ after, limit, offset }) => sql<JobRow>`
      select * ${from} ${after ? sql`and id > ${after[0]}` : sql``} order by id limit ${limit} offset ${offset}`,
    keyOf: ({ id }) => [id],
    total: sql<{ total: number }>`select count(*) as total ${from}`,
  }
}

/** The rows of a job, in their order. */
export function listRows(job: SQL, state: string | null): List<ResultRow> {
  const stateOf = sql`coalesce(json_extract(j.value, '$.state'), 'pending')`
  const from = sql`
    from jobChunks c cross join json_each(c.rows) j
    where c.jobId = ${job} ${state === null ? sql`` : sql`and ${stateOf} = ${state}`}`
  return {
    rows: ({ after, limit, offset }) => sql<ResultRow>`
      select json_extract(j.value, '$.n') as n, json_extract(j.value, '$.email') as email, ${stateOf} as state,
        json_extract(j.value, '$.slug') as slug, json_extract(j.value, '$.reason') as reason
      ${from} ${after ? sql`and c."end" > ${after[0]} + 1 and json_extract(j.value, '$.n') > ${after[0]}` : sql``}
      order by c.first, j.key limit ${limit} offset ${offset}`,
    keyOf: ({ n }) => [n],
    total: sql<{ total: number }>`select count(*) as total ${from}`,
  }
}

/** How many of the rows' addresses hold the badge already: what a rehearsal tells beside their number. */
export async function countHolders(db: Db, badge: BadgeRow, { chunks }: Rows): Promise<number> {
  const email = sql`json_extract(j.value, '$.email')`
  let count = 0
  for (const some of inBatches(chunks())) {
    const counts = await db.read(
      ...some.map(
        ({ rows }): Statement<{ n: number }> => sql`
          select count(*) as n from json_each(${rows}) j where exists (${held(badge, email)})`,
      ),
    )
    for (const [row] of counts) count += row?.n ?? 0
  }
  return count
}

// ── Work ────────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Running jobs whose last step is older than `before`: nobody is at work on them. */
export const idleJobs = (before: number): Statement<{ id: number }> => sql<{ id: number }>`
  select id from jobs where state in ('receiving', 'running') and updatedAt < ${before} and state = 'running'
  order by updatedAt limit 100`

type Found = { job: JobRow; badge: BadgeRow | undefined; above: AboveRow[] }

/** A running job with its badge, if that is live, and the milestones above it. */
export async function findWork(db: Db, id: number): Promise<Found | undefined> {
  const job = sql`(select badgeId from jobs where id = ${id} and state = 'running')`
  const [[row], [badge], above] = await db.read(
    sql<JobRow>`select * from jobs where id = ${id} and state = 'running'`,
    sql<BadgeRow>`
      select ${badgeColumns} from badges b join systems s on s.id = b.systemId and s.deletedAt is null
      where b.id = ${job} and b.deletedAt is null`,
    milestonesAbove(job),
  )
  return row && { job: row, badge, above }
}

/** The chunk that begins at a job's `next`, in SQL. */
const chunkOf = ({ id, next }: JobRow) => sql`jobId = ${id} and first = ${next}`
const rowsOf = (job: JobRow) => sql`(select rows from jobChunks where ${chunkOf(job)})`

/** Takes the job's next chunk, for this transaction alone. */
const take = ({ op, now }: Caller, job: JobRow) =>
  updateWhere(
    jobs,
    { next: sql`(select "end" from jobChunks where ${chunkOf(job)})`, op, updatedAt: now },
    sql`id = ${job.id} and state = 'running' and next = ${job.next} and next < rows`,
  )

/** Writes what came of the chunk, and what that makes of the job. */
function settle({ now }: Caller, job: JobRow, done: SQL, rows: SQL, good: string): SQL[] {
  return [
    sql`update jobChunks set rows = (${rows}) where ${chunkOf(job)} and ${done}`,
    sql`
      update jobs set succeeded = succeeded + x.good, failed = failed + x.bad,
        skipped = skipped + x.n - x.good - x.bad,
        state = case when next >= jobs.rows then 'done' else state end,
        endedAt = case when next >= jobs.rows then ${now} end
      from (
        select count(*) as n, coalesce(sum(r.state = ${good}), 0) as good, coalesce(sum(r.state = 'failed'), 0) as bad
        from (
          select json_extract(j.value, '$.state') as state from jobChunks c, json_each(c.rows) j
          where c.jobId = ${job.id} and c.first = ${job.next}) r
      ) x
      where id = ${job.id} and ${done}`,
  ]
}

/** Rows as JSON: what is null is left out. */
const results = (members: SQL, from: SQL) => sql`
  select json_group_array(json(x.result)) from (
    select json_patch('{}', json_object(${members})) as result ${from}) x`

const afterStep = (job: JobRow) => sql<JobRow>`select * from jobs where id = ${job.id}`

/** Does a chunk, by which the awards `ended` (ids, in SQL) end. Gives the job as it is then. */
async function step(
  caller: Caller,
  job: JobRow,
  parts: { change: SQL[]; events: SQL[]; after: SQL[]; done: SQL; ended?: SQL },
): Promise<JobRow | undefined> {
  const [rows, lists] = await commit(caller, {
    change: [take(caller, job), ...parts.change],
    done: parts.done,
    events: parts.events,
    audit: { systemId: job.systemId, target: `jobs/${job.uid}/${job.next}` },
    after: parts.after,
    read: [afterStep(job), listsOf(parts.ended ?? sql`select 0 where 0`)],
  })
  await forget(
    caller.env,
    lists.map(({ uid }) => statusListPath(uid)),
  )
  return rows[0]
}

/** Awards a chunk: whoever holds the badge is skipped, and who finds no room fails. Gives the job as it is then. */
export async function awardChunk(caller: Caller, job: JobRow, badge: Awardable) {
  const { op, now, env } = caller
  const { row, shown } = badge
  const done = wrote(jobs, op, sql`id = ${job.id}`)
  const rows = rowsOf(job)
  const granted = awardStatements({
    op,
    now,
    origin: env.PUBLIC_ORIGIN,
    badge: row,
    version: await freeze(row, shown),
    earners: eachEarner(rows, row),
    terms: 'of each',
    slug: null,
    repeat: false,
    claimCode: null,
    condition: done,
    partly: true,
  })
  const emails = sql`(select json_group_array(json_extract(j.value, '$.email')) from json_each(${rows}) j)`
  const above = await milestoneStatements(caller, badge.above, emails)
  const members = sql`'n', r.n, 'email', r.email,
    'state', case when i.op = ${op} and r.turn = 1 then 'issued' when i.id is not null then 'held' else 'failed' end,
    'slug', i.slug,
    'reason', case when i.id is not null then null when r.email is null then 'erased'
      when exists (select 1 from badges where id = ${row.id} and deletedAt is null) then 'The badge has reached its limit'
      else 'The badge is gone' end`
  const from = sql`
    from (
      select *, row_number() over (partition by email collate nocase order by key) as turn from given) r
    left join badgeInstances i on i.id = (${held(row, sql`r.email`, 'id')})
    order by r.key`
  const given = sql`
    with given as materialized (
      select j.key, json_extract(j.value, '$.n') as n, json_extract(j.value, '$.email') as email
      from json_each(rows) j)`
  return step(caller, job, {
    change: [...granted.change, ...above.change],
    events: [...granted.events, ...above.events],
    after: settle(caller, job, done, sql`${given} ${results(members, from)}`, 'issued'),
    done,
  })
}

/** Revokes the awards of a chunk that still stand. Gives the job as it is then. */
export async function revokeChunk(caller: Caller, job: JobRow, { row, shown }: Awardable) {
  const { op, now, env } = caller
  const done = wrote(jobs, op, sql`id = ${job.id}`)
  const slugs = sql`(select json_extract(j.value, '$.slug') from json_each(${rowsOf(job)}) j)`
  const ended = sql`select * from badgeInstances where slug in ${slugs} and op = ${op}`
  const count = sql`(select count(*) from (${ended}))`
  const version = await freeze(row, shown)
  const members = sql`'n', json_extract(j.value, '$.n'), 'email', json_extract(j.value, '$.email'),
    'state', case when i.op = ${op} then 'revoked' else 'gone' end, 'slug', json_extract(j.value, '$.slug')`
  const from = sql`
    from json_each(rows) j left join badgeInstances i on i.slug = json_extract(j.value, '$.slug')
    order by j.key`
  return step(caller, job, {
    change: [
      keepVersion(version, now, done),
      updateWhere(
        badgeInstances,
        { revokedAt: now, revocationReason: job.reason, op, updatedAt: now },
        sql`slug in ${slugs} and revokedAt is null and ${done}`,
      ),
      ...endCredentials(sql`select id from (${ended})`, done),
      sql`update badges set awarded = awarded - ${count} where id = ${row.id} and ${done}`,
      ...tally(caller, row, 'revoked', count, sql`exists (${ended})`),
    ],
    events: [
      recordRevocations(op, now, {
        systemId: job.systemId,
        rows: ended,
        versionId: versionId(version),
        origin: env.PUBLIC_ORIGIN,
        reason: job.reason,
      }),
    ],
    after: settle(caller, job, done, results(members, from), 'revoked'),
    done,
    ended: sql`select id from (${ended})`,
  })
}

/** Ends a job whose badge is gone. */
export const abandon = (db: Db, { id }: JobRow, now: number) =>
  db.batch([
    sql`update jobs set state = 'cancelled', endedAt = ${now}, updatedAt = ${now}
      where id = ${id} and state = 'running'`,
  ])
