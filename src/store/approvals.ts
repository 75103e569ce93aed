import { sql } from 'drizzle-orm'
import { applications } from '../../drizzle/schema'
import { commit, isCommitted } from '../commit'
import { idFrom } from '../crypto'
import { ringForAward } from '../doorbell'
import type { Caller } from '../env'
import {
  type ApplicationRow,
  countProcessed,
  findApplication,
  recordApplications,
} from './applications'
import { awardStatements, oneEarner } from './awards'
import { milestoneStatements } from './completions'
import { updateWhere, wrote } from './db'
import {
  type Awardable,
  awardsOf,
  type InstanceRow,
  type Refusal,
  refusalOf,
  stateOf,
} from './instances'
import { approves, type ReviewInput, type ReviewRow, reviewStatements, type Told } from './reviews'

/** What one call made of an application: a review that approves it, its end, and the award. */
export type Approval = { review: ReviewRow; application: ApplicationRow; instance: InstanceRow }

/** Why nothing was done. */
export type NotApproved = Refusal | { refused: 'unsatisfied' } | { refused: 'no application' }

/**
 * Reviews an application, ends it and awards its badge to the learner: with the review's message, the application's, the
 * award's and those of the milestones that it completes, together or not at all.
 *
 * @param told the application as the contract shows it once it is processed
 */
export async function approve(
  caller: Caller,
  badge: Awardable,
  application: ApplicationRow,
  input: ReviewInput,
  told: Told,
): Promise<Approval | NotApproved> {
  const { op, now } = caller
  const { row, shown } = badge
  const { id, learner: email } = application
  const slug = await idFrom(op, 'award', 20)
  const isThere = sql`exists (select 1 from applications where id = ${id})`
  const isApproved = approves(row.id, input.reviewItems ?? [])
  const granted = awardStatements({
    ...(await awardsOf(caller, badge, oneEarner(email, slug), { issuedOn: now })),
    slug,
    repeat: false,
    claimCode: null,
    condition: sql`${isThere} and ${isApproved}`,
  })
  const above = await milestoneStatements(caller, badge.above, JSON.stringify([email]))
  const review = await reviewStatements(caller, application, input, told, granted.done)
  const which = sql`id = ${id}`
  const read = await commit(caller, {
    change: [
      ...granted.change,
      ...above.change,
      ...review.change,
      ...countProcessed(caller, row, which, granted.done),
      updateWhere(
        applications,
        { processed: now, op, updatedAt: now },
        sql`${which} and ${granted.done}`,
      ),
    ],
    done: wrote(applications, op, which),
    events: [
      ...review.events,
      recordApplications(
        caller,
        'application.updated',
        row.systemId,
        shown,
        sql`
        select * from applications where ${which} and op = ${op}`,
      ),
      ...granted.events,
      ...above.events,
    ],
    audit: review.audit,
    read: [
      review.read,
      findApplication(sql`${row.id}`, application.slug),
      sql<InstanceRow>`select * from badgeInstances where slug = ${slug} and ${isCommitted(op)}`,
      sql<{ isThere: 0 | 1; isApproved: 0 | 1 }>`
        select ${isThere} as isThere, ${isApproved} as isApproved`,
      stateOf(row, { email }, slug, null, now),
    ],
  })
  const [made, ended, awarded, [checked], [state]] = read
  if (!made[0] || !ended[0] || !awarded[0]) {
    if (!checked?.isThere) return { refused: 'no application' }
    if (!checked.isApproved) return { refused: 'unsatisfied' }
    return refusalOf(state, false)
  }
  // As after any award: its answer does not wait for the signature.
  if (!caller.isReplay) caller.waitUntil(ringForAward(caller.env, awarded[0].id))
  return { review: made[0], application: ended[0], instance: awarded[0] }
}
