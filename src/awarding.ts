import { conflict, notFound, taken } from './errors'
import type { PicturedBadge, Scope } from './scope'
import { tooManyCodes } from './store/codeMisses'
import { unclaimable } from './store/codeTerms'
import { milestonesAbove } from './store/completions'
import type { Awardable, Refusal } from './store/instances'
import { assertionPath } from './urls'
import { viewBadge } from './views/badges'

/** What every route that awards a badge begins and may end with. */

/** The badge of the path with the milestones that an award of it may complete, and all else that is found, in one look-up. */
export async function awardable<Found extends { badge: PicturedBadge }>(
  scope: Scope<Found>,
  origin: string,
): Promise<Awardable & { row: PicturedBadge; found: Found }> {
  const found = await scope.with(milestonesAbove(scope.badgeId))
  const { badge, rows } = found
  const above = rows[0]
    .filter(({ id }) => id !== badge.id)
    .map((row) => ({ ...row, shown: viewBadge(row, origin) }))
  return { row: badge, shown: viewBadge(badge, origin), above, found }
}

/** What a refused award is answered with: contract §5.2. */
export function refusal(
  result: Refusal,
  badge: string,
  origin: string,
  { email = '', claimCode }: { email?: string; claimCode?: string | null } = {},
  now = 0,
) {
  switch (result.refused) {
    case 'held':
      return conflict(`User ${email} has already been awarded badge ${badge}`, {
        assertionUrl: origin + assertionPath(result.slug),
      })
    case 'slug':
      return taken('badgeInstance', 'slug')
    case 'full':
      return conflict(`Badge ${badge} has reached its limit of ${result.limit}`)
    case 'code':
      return unclaimable(claimCode ?? '', result.standing)
    case 'no code':
      return notFound('claimCode', 'code', claimCode ?? '')
    case 'guesses':
      return tooManyCodes(now)
    case 'gone':
      return notFound('badge', 'slug', badge)
  }
}
