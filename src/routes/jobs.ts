import { type Context, Hono } from 'hono'
import * as z from 'zod'
import { ringForJob } from '../doorbell'
import type { Env } from '../env'
import { conflict, invalid, notFound } from '../errors'
import { sendVersion } from '../etag'
import { GivenRow, readRows } from '../jobRows'
import { ListQuery, listOf, sendList } from '../lists'
import { inBadge, inJob } from '../scope'
import { about, body, query } from '../spec'
import type { BadgeRow } from '../store/badges'
import {
  cancelJob,
  countHolders,
  createJob,
  createRevocation,
  type JobRow,
  jobIdOf,
  listJobs,
  listRows,
  type ResultRow,
} from '../store/jobs'
import {
  email,
  itemsOf,
  optionalFlag,
  parameter,
  reasonText,
  timestamp,
  wordParameter,
} from '../values'
import { Job, JobResult, STATES, viewJob, viewResult } from '../views/jobs'

const PATH = '/badges/:badge/instances/jobs'
const ITEM = `${PATH}/:job`

const One = z.object({ job: Job })
const Created = z.object({ status: z.string(), job: Job })
const Rehearsed = z.object({ status: z.literal('valid'), rows: z.int(), held: z.int() })

const MAX_EMAILS = 10_000

const Reason = z.object({ reason: reasonText() })
const Filter = Reason.extend({
  emails: itemsOf(email()),
  since: timestamp(),
  until: timestamp(),
  all: optionalFlag(),
})

const dryRun = parameter(
  'dryRun',
  "one of 'true' or 'false'",
  { enum: ['true', 'false', '1', '0'], description: 'Check the rows, and do nothing' },
  (given) => ({ true: true, '1': true, false: false, '0': false })[given],
)

const state = wordParameter('state', STATES)

/** Thousands of awards, or revocations, in the background: made, watched and stopped. */
export const jobs = new Hono<Env>()
  .get(
    PATH,
    about('List the jobs of a badge', listOf('jobs', Job)),
    inBadge,
    query(ListQuery),
    (c) =>
      sendList(
        c,
        c.var.scope,
        () => ({ plural: 'jobs', view: (row: JobRow) => viewJob(row) }),
        listJobs(c.var.scope.badgeId),
      ),
  )

  .post(
    PATH,
    about('Award a badge to many, in the background', Created, {
      status: 202,
      ok: Rehearsed,
      body: z.object({ rows: z.array(GivenRow) }),
      media: ['application/x-ndjson', 'text/csv'],
    }),
    inBadge,
    query(z.object({ dryRun })),
    async (c) => {
      const { scope, caller, db } = c.var
      const { badge } = await scope.with()
      const rows = readRows(c.req.header('Content-Type'), c.var.raw)
      if (c.req.valid('query').dryRun) {
        const held = await countHolders(db, badge, rows)
        return c.json({ status: 'valid', rows: rows.count, held })
      }
      return c.json(queued(c, badge, await createJob(caller, badge, rows)), 202)
    },
  )

  .post(
    '/badges/:badge/instances/revocations',
    about('Revoke many awards, in the background', Created, { status: 202 }),
    inBadge,
    body(Filter),
    async (c) => {
      const { caller, scope } = c.var
      const { reason, all, ...choice } = c.req.valid('json')
      const { badge } = await scope.with()
      if (Object.values(choice).every((one) => one == null) && !all) {
        // An empty filter is a slip more often than a wish.
        const message = 'Say which awards by `emails`, `since` or `until`, or `true` here'
        throw invalid({ message, field: 'all', value: '' })
      }
      if (choice.emails && choice.emails.length > MAX_EMAILS) {
        throw invalid({ message: `More than ${MAX_EMAILS} addresses`, field: 'emails', value: '' })
      }
      const job = await createRevocation(caller, badge, choice, reason ?? null)
      return c.json(queued(c, badge, job), 202)
    },
  )

  .get(ITEM, about('Show a job', One), inJob, async (c) => {
    const { job } = await c.var.scope.with()
    return sendVersion(c, job, { job: viewJob(job) })
  })

  .get(
    `${ITEM}/rows`,
    about('List what has become of the rows of a job', listOf('rows', JobResult)),
    inJob,
    query(ListQuery.extend({ state })),
    (c) =>
      sendList(
        c,
        c.var.scope,
        () => ({ plural: 'rows', view: (row: ResultRow) => viewResult(row) }),
        listRows(
          jobIdOf(c.var.scope.badgeId, c.req.param('job')),
          c.req.valid('query').state ?? null,
        ),
      ),
  )

  .post(`${ITEM}/cancel`, about('Stop a job', Created), inJob, async (c) => {
    const { job } = await c.var.scope.with()
    const row = await cancelJob(c.var.caller, job)
    if (!row) throw conflict('The job has ended')
    return c.json({ status: 'cancelled', job: viewJob(row) })
  })

  .post(
    `${ITEM}/revoke`,
    about('Revoke what a job has awarded, in the background', Created, { status: 202 }),
    inJob,
    body(Reason),
    async (c) => {
      const { caller, scope } = c.var
      const { badge, job } = await scope.with()
      const { reason } = c.req.valid('json')
      const choice = { job: job.id }
      const revocation = await createRevocation(caller, badge, choice, reason ?? null)
      return c.json(queued(c, badge, revocation), 202)
    },
  )

/** Rings for a new job, and shows it; there is none when the badge has gone meanwhile. */
function queued(c: Pick<Context<Env>, 'env' | 'var'>, badge: BadgeRow, job: JobRow | undefined) {
  if (!job) throw notFound('badge', 'slug', badge.slug)
  c.var.caller.waitUntil(ringForJob(c.env, job.id))
  return { status: 'queued', job: viewJob(job) }
}
