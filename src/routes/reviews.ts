import { Hono } from 'hono'
import * as z from 'zod'
import type { Env } from '../env'
import { notFound } from '../errors'
import { sendVersion } from '../etag'
import { ListQuery, listOf, sendList } from '../lists'
import { inApplication, inReview } from '../scope'
import { about, body, query } from '../spec'
import type { ApplicationRow } from '../store/applications'
import type { BadgeRow } from '../store/badges'
import {
  applicationIdOf,
  createReview,
  deleteReview,
  listReviews,
  updateReview,
} from '../store/reviews'
import { email, flag, int, itemsOf, optionalText } from '../values'
import { Review, viewApplication, viewReview } from '../views/applications'
import { viewBadge } from '../views/badges'

const Item = z.object({ criterionId: int(), satisfied: flag(), comment: optionalText() })
const fields = { author: email(), comment: optionalText(), reviewItems: itemsOf(Item) }
const NewReview = z.object(fields)
const ReviewChange = z.object({ ...fields, author: fields.author.optional() })

const One = z.object({ review: Review })
const Changed = z.object({ status: z.string(), review: Review })
const PATH = '/badges/:badge/applications/:application/reviews'

/** The application as the message of a review tells it (contract §6.2). */
const told = (application: ApplicationRow, badge: BadgeRow, origin: string) => ({
  application: viewApplication(application, viewBadge(badge, origin)),
})

export const reviews = new Hono<Env>()
  .get(
    PATH,
    about('List reviews', listOf('reviews', Review)),
    inApplication,
    query(ListQuery),
    (c) => {
      const { scope } = c.var
      const application = applicationIdOf(scope.badgeId, c.req.param('application'))
      const list = listReviews(application, scope.container.systemId)
      return sendList(c, scope, () => ({ plural: 'reviews', view: viewReview }), list)
    },
  )

  .post(
    PATH,
    about('Review an application', Changed, { status: 201 }),
    inApplication,
    body(NewReview),
    async (c) => {
      const { scope, caller } = c.var
      const { badge, application } = await scope.with()
      const message = told(application, badge, c.env.PUBLIC_ORIGIN)
      const row = await createReview(caller, application, c.req.valid('json'), message)
      if (!row) throw notFound('application', 'slug', application.slug)
      return c.json({ status: 'created', review: viewReview(row) }, 201)
    },
  )

  .get(`${PATH}/:review`, about('Show a review', One), inReview, async (c) => {
    const { review } = await c.var.scope.with()
    return sendVersion(c, review, { review: viewReview(review) })
  })

  .put(
    `${PATH}/:review`,
    about('Change a review', Changed),
    inReview,
    body(ReviewChange),
    async (c) => {
      const { scope, caller } = c.var
      const { badge, application, review } = await scope.with()
      const message = told(application, badge, c.env.PUBLIC_ORIGIN)
      const row = await updateReview(caller, application, review, c.req.valid('json'), message)
      if (!row) throw notFound('review', 'slug', review.slug)
      return c.json({ status: 'updated', review: viewReview(row) })
    },
  )

  .delete(
    `${PATH}/:review`,
    about('Delete a review', Changed.extend({ badge: Review })),
    inReview,
    async (c) => {
      const { scope, caller } = c.var
      const { application, review } = await scope.with()
      if (!(await deleteReview(caller, application, review))) await scope.with()
      const shown = viewReview(review)
      // The original put the review under `badge`; clients look for `review` (contract §4.7).
      return c.json({ status: 'deleted', review: shown, badge: shown })
    },
  )
