import { type Context, Hono } from 'hono'
import * as z from 'zod'
import { awardable, refusal } from '../awarding'
import type { Env } from '../env'
import { conflict, forbidden, notFound } from '../errors'
import { sendVersion } from '../etag'
import { ListQuery, listOf, sendList } from '../lists'
import { holds } from '../roles'
import {
  type In,
  inApplication,
  inPicturedApplication,
  inReview,
  type PicturedBadge,
} from '../scope'
import { about, body, query } from '../spec'
import type { ApplicationRow } from '../store/applications'
import { approve } from '../store/approvals'
import type { BadgeRow } from '../store/badges'
import {
  applicationIdOf,
  createReview,
  deleteReview,
  listReviews,
  type ReviewInput,
  updateReview,
} from '../store/reviews'
import { email, flag, int, itemsOf, optionalFlag, optionalText } from '../values'
import { Application, Review, viewApplication, viewReview } from '../views/applications'
import { viewBadge } from '../views/badges'
import { Instance, viewInstance } from '../views/instances'

const Item = z.object({ criterionId: int(), satisfied: flag(), comment: optionalText() })
const fields = { author: email(), comment: optionalText(), reviewItems: itemsOf(Item) }
const NewReview = z.object({
  ...fields,
  award: optionalFlag().describe(
    'Whether the application is ended and its badge awarded in the same call',
  ),
})
const ReviewChange = z.object({ ...fields, author: fields.author.optional() })

const One = z.object({ review: Review })
const Changed = z.object({ status: z.string(), review: Review })
/** With `award` what came of it stands beside the review. */
const Created = Changed.extend({ application: Application, instance: Instance }).partial({
  application: true,
  instance: true,
})
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
    about('Review an application', Created, { status: 201 }),
    inPicturedApplication,
    body(NewReview),
    async (c) => {
      const { scope, caller } = c.var
      const { award, ...input } = c.req.valid('json')
      if (award) return c.json({ status: 'created', ...(await approved(c, input)) }, 201)
      const { badge, application } = await scope.with()
      const message = told(application, badge, c.env.PUBLIC_ORIGIN)
      const row = await createReview(caller, application, input, message)
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

type Approving = Context<In<{ badge: PicturedBadge; application: ApplicationRow }>>

/** Approves an application and awards its badge; gives all three as they stand then. */
async function approved(c: Approving, input: ReviewInput) {
  const { scope, caller, now } = c.var
  if (!holds(caller.key.role, 'issue')) throw forbidden('Key may not do this: needs issue')
  const origin = c.env.PUBLIC_ORIGIN
  const badge = await awardable(scope, origin)
  const { application } = badge.found
  const message = { application: viewApplication({ ...application, processed: now }, badge.shown) }
  const result = await approve(caller, badge, application, input, message)
  if (!('refused' in result)) {
    return {
      review: viewReview(result.review),
      application: viewApplication(result.application, badge.shown),
      instance: viewInstance(result.instance, null, origin, badge.row.imageType),
    }
  }
  const { learner: email, slug } = application
  if (result.refused === 'no application') throw notFound('application', 'slug', slug)
  if (result.refused === 'unsatisfied') {
    throw conflict('Not every required criterion of the badge is satisfied')
  }
  throw refusal(result, badge.row.slug, origin, { email })
}
