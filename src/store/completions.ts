import { type SQL, sql } from 'drizzle-orm'
import type { Caller } from '../env'
import { expiryOf } from '../validity'
import type { Badge } from '../views/badges'
import { recordApplications } from './applications'
import { type Awards, countMade, eventsOf, held, manyEarners } from './awards'
import { type BadgeRow, badgeColumns } from './badges'
import { bump, bumpContainers } from './counters'
import type { Statement } from './db'
import { tally } from './tallies'
import { freeze, keepVersion, versionId } from './versions'

/** What an award completes: the milestones above its badge, and the awards or applications that they make. */

/** How far a chain of milestones is followed, and how many of them at the most. */
const MAX_DEPTH = 8
const MAX_ABOVE = 200

/** A milestone that an award of a badge may complete, and its primary badge in full. */
export type AboveRow = BadgeRow & { milestoneId: number; action: string; depth: number }
export type MilestoneAbove = AboveRow & { shown: Badge }

/**
 * The milestones above a badge: those that it supports, those that their badges support, and so on. A milestone appears once
 * for each depth at which it stands, nearest first: what an award at one depth completes is seen at the next. The joins are
 * `cross`, which keeps their order: left to itself, SQLite starts from every badge there is.
 */
export const milestonesAbove = (badgeId: SQL): Statement<AboveRow> => sql<AboveRow>`
  with recursive up (milestoneId, depth) as (
    select milestoneId, 1 from milestoneBadges where badgeId = ${badgeId}
    union
    select mb.milestoneId, up.depth + 1 from up
    cross join milestones m on m.id = up.milestoneId and m.action = 'issue'
    cross join milestoneBadges mb on mb.badgeId = m.primaryBadgeId
    where up.depth < ${MAX_DEPTH}
  )
  select ${badgeColumns}, m.id as milestoneId, m.action, up.depth
  from up cross join milestones m on m.id = up.milestoneId
  cross join badges b on b.id = m.primaryBadgeId and b.deletedAt is null
  order by up.depth, m.id limit ${MAX_ABOVE}`

/**
 * The statements by which the awards that this request makes to `emails` complete milestones (contract §5.4): in the order of
 * depth, each counts what the earner holds at that moment. A badge that is held, gone or full is skipped.
 */
export async function milestoneStatements(
  caller: Caller,
  above: readonly MilestoneAbove[],
  emails: string | SQL,
): Promise<{ change: SQL[]; events: SQL[] }> {
  const { op, now, env } = caller
  const change: SQL[] = []
  const awarded = new Map<number, Awards>()
  const earners = manyEarners(emails)
  const queued = new Map<number, MilestoneAbove>()
  for (const badge of above) {
    const takers = eligible(op, badge, emails)
    if (badge.action === 'queue-application') {
      change.push(queueApplications(caller, badge, takers))
      queued.set(badge.id, badge)
      continue
    }
    const version = await freeze(badge, badge.shown)
    const terms = {
      issuedOn: now,
      expires: expiryOf(badge.validFor, now),
      comment: null,
      narrative: null,
      evidence: null,
    }
    const awards = { op, now, origin: env.PUBLIC_ORIGIN, badge, version, earners, terms }
    change.push(...completionStatements(awards, takers))
    awarded.set(badge.id, awards)
  }
  // Once for each badge, which may stand above at several depths.
  const all = [...awarded.values()]
  const counts = [...queued.values()].flatMap((badge) => countQueued(caller, badge, emails))
  return {
    change: [...change, ...all.flatMap(countMade), ...counts],
    events: [
      ...all.map((awards) => eventsOf(awards, null, null)),
      ...[...queued.values()].map((badge) => {
        const rows = sql`select distinct a.* ${queuedBy(op, badge, emails)}`
        return recordApplications(caller, 'application.created', badge.systemId, badge.shown, rows)
      }),
    ],
  }
}

/** Those of `emails` whom this request has given a support badge, and who now hold enough of them; in SQL. */
function eligible(
  op: string,
  { id, systemId, milestoneId }: MilestoneAbove,
  emails: string | SQL,
): SQL {
  const holdings = sql`
    from milestoneBadges s cross join badgeInstances i where s.milestoneId = ${milestoneId}
      and i.systemId = ${systemId} and i.email = j.value and i.badgeId = s.badgeId`
  return sql`
    select e.email, row_number() over (order by e.place) as place from (
      select j.value as email, min(j.key) as place from json_each(${emails}) j
      where not exists (${held({ id, systemId }, sql`j.value`)})
        and exists (select 1 ${holdings} and i.op = ${op})
        and (select count(distinct i.badgeId) ${holdings} and i.revokedAt is null and i.suspendedAt is null)
          >= (select numberRequired from milestones where id = ${milestoneId})
      group by j.value collate nocase) e`
}

/** What this request has made of the badge so far is not counted yet: it takes its room here. */
function completionStatements(awards: Awards, takers: SQL): SQL[] {
  const { op, now, badge, version, earners } = awards
  return [
    keepVersion(version, now, sql`exists (select 1 from (${takers}))`),
    sql`
      insert into badgeInstances (slug, systemId, badgeId, versionId, email, issuedOn, expires, once, salt, op,
        createdAt, updatedAt)
      select lower(hex(randomblob(20))), b.systemId, b.id, ${versionId(version)}, e.email, ${now}, ${expiryOf(badge.validFor, now)}, 1,
        lower(hex(randomblob(16))), ${op}, ${now}, ${now}
      from (${takers}) e join badges b on b.id = ${badge.id} and b.deletedAt is null
      where b."limit" is null or b."limit" <= 0
        or b.awarded + (select count(*) from (${earners.made(op, badge)})) + e.place <= b."limit"
      order by e.place`,
  ]
}

/** An application for the primary badge instead of an award, unless the earner has one that is open. */
const queueApplications = (
  { op, now }: Caller,
  { id, systemId }: MilestoneAbove,
  takers: SQL,
): SQL => sql`
  insert into applications (slug, systemId, badgeId, learner, op, createdAt, updatedAt)
  select lower(hex(randomblob(16))), ${systemId}, ${id}, e.email, ${op}, ${now}, ${now}
  from (${takers}) e
  where not exists (select 1 from applications a
    where a.systemId = ${systemId} and a.learner = e.email and a.badgeId = ${id} and a.processed is null)
  order by e.place`

/** The applications `a` that `op` has made for a badge, in SQL. */
const queuedBy = (op: string, { id, systemId }: MilestoneAbove, emails: string | SQL) => sql`
  from json_each(${emails}) j cross join applications a
  where a.systemId = ${systemId} and a.learner = j.value and a.badgeId = ${id} and a.op = ${op}`

function countQueued({ op, now }: Caller, badge: MilestoneAbove, emails: string | SQL): SQL[] {
  const { id, systemId } = badge
  const queued = sql`(select count(distinct a.id) ${queuedBy(op, badge, emails)})`
  const any = sql`${queued} > 0`
  return [
    bump(systemId, 'applications', id, queued, any),
    bump(systemId, 'open', id, queued, any),
    ...tally({ now }, badge, 'applied', queued, any),
    ...bumpContainers(badge, 'applications', queued, any),
  ]
}
