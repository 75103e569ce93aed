/**
 * A learner applies for the badge of `award.mjs`; a reviewer looks at each criterion and approves; the badge is awarded.
 *
 *   BADGEKIT_SECRET=… node examples/apply-and-review.mjs bo@example.org
 *
 * BADGEKIT_URL is http://127.0.0.1:8787 unless set; BADGEKIT_KEY is `master`. A key with the role `review` may apply and review;
 * one with `manage` may award with the review as well.
 */
import { BadgeKit, BadgeKitError } from 'badgekit-api/client'

const { BADGEKIT_URL: url = 'http://127.0.0.1:8787', BADGEKIT_KEY: key } = process.env
const kit = new BadgeKit({ url, key: key ?? 'master', secret: process.env.BADGEKIT_SECRET })
const learner = process.argv[2] ?? 'bo@example.org'
const badge = kit.systems('demo').badges('first-steps')

// What the learner's page does.
const evidence = [{ url: 'https://bo.example.org/steps', mediaType: 'link', reflection: 'Mine.' }]
const { application } = await badge.applications.post({ learner, evidence })
console.log('applied', application.slug)

// What the reviewer's page does: it shows what is open, the oldest first, and what each one is judged by.
for await (const open of badge.applications.list({ processed: false, email: learner })) {
  const author = 'reviewer@example.org'
  const reviewItems = open.badge.criteria.map(({ id }) => ({ criterionId: id, satisfied: 1 }))
  const reviews = badge.applications(open.slug).reviews
  try {
    // With `award` one step reviews, closes the application and awards; without it a review decides nothing.
    const given = { author, comment: 'Well done.', reviewItems, award: true }
    const { instance } = await reviews.post(given)
    console.log('awarded', instance.assertionUrl)
  } catch (error) {
    // A required criterion is not satisfied, the learner holds the badge, or there is no more of it: nothing was done.
    if (!BadgeKitError.is(error, 'ResourceConflict')) throw error
    console.log('not awarded:', error.message)
  }
}
