import { Hono } from 'hono'
import * as z from 'zod'
import type { Env } from '../env'
import { notFound } from '../errors'
import { sendVersion } from '../etag'
import { FILES } from '../exports'
import { FileQuery, listOf, sendListWithBadges } from '../lists'
import { inApplication, inBadge, inContainer } from '../scope'
import { about, body, query } from '../spec'
import {
  type ApplicationFilter,
  type ApplicationRow,
  createApplication,
  deleteApplication,
  listApplications,
  updateApplication,
} from '../store/applications'
import {
  dateParameter,
  email,
  filter,
  itemsOf,
  optionalEmail,
  optionalOneOf,
  optionalText,
  optionalUrl,
  timestamp,
} from '../values'
import { Application, applicationColumns, viewApplication } from '../views/applications'
import { viewBadge } from '../views/badges'

const Evidence = z.object({
  url: optionalUrl(),
  mediaType: optionalOneOf(['image', 'link']),
  reflection: optionalText(),
})
const fields = {
  learner: email(),
  assignedTo: optionalEmail(),
  assignedExpiration: timestamp(),
  evidence: itemsOf(Evidence),
}
const NewApplication = z.object(fields)
const ApplicationChange = z.object({
  ...fields,
  learner: fields.learner.optional(),
  processed: timestamp(),
})

const One = z.object({ application: Application })
const Changed = z.object({ status: z.string(), application: Application })
const Many = listOf('applications', Application)
const Filter = FileQuery.extend({
  processed: filter('processed', null),
  email: z.string().optional(),
  since: dateParameter('since', 'Made then or later'),
  until: dateParameter('until', 'Made before then'),
  updatedSince: dateParameter('updatedSince', 'Made or changed then or later'),
})

/** Which applications a list shows: contract §4.6. */
const filterOf = ({ email, ...rest }: z.infer<typeof Filter>): ApplicationFilter => ({
  ...rest,
  email: email || null,
})

const list = {
  plural: 'applications',
  columns: applicationColumns,
  view: (
    row: ApplicationRow,
    badge: (id: number) => z.infer<typeof Application>['badge'] | undefined,
  ) => viewApplication(row, badge(row.badgeId) ?? null),
}

export const applications = new Hono<Env>()
  .get(
    '/applications',
    about('List applications', Many, { files: FILES }),
    inContainer,
    query(Filter),
    (c) => {
      const { scope } = c.var
      const found = listApplications(scope.container, null, filterOf(c.req.valid('query')))
      return sendListWithBadges(c, scope, list, found)
    },
  )

  .get(
    '/badges/:badge/applications',
    about('List the applications for a badge', Many, { files: FILES }),
    inBadge,
    query(Filter),
    (c) => {
      const { scope } = c.var
      const filter = filterOf(c.req.valid('query'))
      const found = listApplications(scope.container, scope.badgeId, filter)
      return sendListWithBadges(c, scope, list, found)
    },
  )

  .post(
    '/badges/:badge/applications',
    about('Apply for a badge', Changed, { status: 201 }),
    inBadge,
    body(NewApplication),
    async (c) => {
      const { scope, caller } = c.var
      const { badge } = await scope.with()
      const shown = viewBadge(badge, c.env.PUBLIC_ORIGIN)
      const row = await createApplication(caller, badge, shown, c.req.valid('json'))
      if (!row) throw notFound('badge', 'slug', badge.slug)
      return c.json({ status: 'created', application: viewApplication(row, shown) }, 201)
    },
  )

  .get(
    '/badges/:badge/applications/:application',
    about('Show an application', One),
    inApplication,
    async (c) => {
      const { badge, application } = await c.var.scope.with()
      const shown = viewBadge(badge, c.env.PUBLIC_ORIGIN)
      return sendVersion(c, application, { application: viewApplication(application, shown) })
    },
  )

  .put(
    '/badges/:badge/applications/:application',
    about('Change an application', Changed),
    inApplication,
    body(ApplicationChange),
    async (c) => {
      const { scope, caller } = c.var
      const { badge, application } = await scope.with()
      const shown = viewBadge(badge, c.env.PUBLIC_ORIGIN)
      const row = await updateApplication(caller, badge, application, shown, c.req.valid('json'))
      if (!row) throw notFound('application', 'slug', application.slug)
      return c.json({ status: 'updated', application: viewApplication(row, shown) })
    },
  )

  .delete(
    '/badges/:badge/applications/:application',
    about('Delete an application', Changed),
    inApplication,
    async (c) => {
      const { scope, caller } = c.var
      const { badge, application } = await scope.with()
      if (!(await deleteApplication(caller, badge, application))) await scope.with()
      const shown = viewBadge(badge, c.env.PUBLIC_ORIGIN)
      return c.json({ status: 'deleted', application: viewApplication(application, shown) })
    },
  )
