import { Hono } from 'hono'
import * as z from 'zod'
import type { Env } from '../env'
import { conflict, invalid, notFound } from '../errors'
import { FILES } from '../exports'
import { FileQuery, ListQuery, listOf, sendList, sendListWithBadges } from '../lists'
import { inApplication, inContainer } from '../scope'
import { about, body, query } from '../spec'
import type { ApplicationRow } from '../store/applications'
import { listInstancesOf, liveAwards } from '../store/instances'
import { assign, learnerOf, listQueue, listWaiting, type WaitingRow } from '../store/reviewQueue'
import { email, filter, optionalFlag, optionalInt } from '../values'
import { Application, applicationColumns, viewApplication } from '../views/applications'
import { type Badge, viewBadge } from '../views/badges'
import { Instance, listedWithBadges } from '../views/instances'
import { viewWaiting, Waiting } from '../views/reviewQueue'

const ITEM = '/badges/:badge/applications/:application'
const MINUTE = 60_000
/** A week, and what is meant when nothing is said. */
const MOST_MINUTES = 10_080
const USUAL_MINUTES = 60

const Assignment = z.object({
  assignedTo: email(),
  minutes: optionalInt().describe(`How long, up to a week; ${USUAL_MINUTES} unless given`),
  exclusive: optionalFlag().describe(
    'Whether somebody who has it keeps it until their time is over; so unless it is false',
  ),
})

/** What reviewers need beside reviews: what waits, who has what, and who it is that applies. */
export const reviewQueue = new Hono<Env>()
  .get(
    '/applications/queue',
    about(
      'List the applications that wait, the oldest first',
      listOf('applications', Application),
      {
        files: FILES,
      },
    ),
    inContainer,
    query(FileQuery.extend({ free: filter('free', null), assignedTo: z.string().optional() })),
    (c) => {
      const { scope, now } = c.var
      const { free, assignedTo } = c.req.valid('query')
      const list = listQueue(scope.container, { free, assignedTo: assignedTo || null, now })
      const view = (row: ApplicationRow, badge: (id: number) => Badge | undefined) =>
        viewApplication(row, badge(row.badgeId) ?? null)
      const parts = { plural: 'applications', columns: applicationColumns, view }
      return sendListWithBadges(c, scope, parts, list)
    },
  )

  .get(
    '/applications/waiting',
    about('Count the applications that wait, badge by badge', listOf('waiting', Waiting)),
    inContainer,
    query(ListQuery),
    (c) => {
      const { scope, now } = c.var
      const parts = { plural: 'waiting', view: (row: WaitingRow) => viewWaiting(row) }
      return sendList(c, scope, () => parts, listWaiting(scope.container, now))
    },
  )

  .post(
    `${ITEM}/assign`,
    about(
      'Give an application to a reviewer for a time',
      z.object({
        status: z.string(),
        application: Application,
      }),
    ),
    inApplication,
    body(Assignment),
    async (c) => {
      const { scope, caller, now } = c.var
      const { assignedTo, minutes, exclusive } = c.req.valid('json')
      const { badge, application } = await scope.with()
      if (minutes != null && (minutes < 1 || minutes > MOST_MINUTES)) {
        const message = `Expected 1 to ${MOST_MINUTES}`
        throw invalid({ message, field: 'minutes', value: minutes })
      }
      const shown = viewBadge(badge, c.env.PUBLIC_ORIGIN)
      const until = now + (minutes ?? USUAL_MINUTES) * MINUTE
      const asked = { assignedTo, until, exclusive: exclusive ?? true }
      const { row, done } = await assign(caller, application, shown, asked)
      if (!row) throw notFound('application', 'slug', application.slug)
      if (!done) {
        const why = row.processed === null ? 'is assigned to somebody else' : 'has been processed'
        throw conflict(`Application ${row.slug} ${why}`)
      }
      return c.json({ status: 'updated', application: viewApplication(row, shown) })
    },
  )

  .get(
    `${ITEM}/instances`,
    about("List an applicant's awards in the container", listOf('instances', Instance)),
    inApplication,
    query(ListQuery),
    (c) => {
      const { scope } = c.var
      const list = listInstancesOf(
        scope.container,
        learnerOf(c.req.param('application')),
        liveAwards(c.var.now),
      )
      return sendListWithBadges(c, scope, listedWithBadges(c.env.PUBLIC_ORIGIN), list)
    },
  )
