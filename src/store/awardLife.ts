import { type SQL, sql } from 'drizzle-orm'
import { awardChanges, badgeInstances } from '../../drizzle/schema'
import { commit, isCommitted } from '../commit'
import { idFrom } from '../crypto'
import { ringForAward } from '../doorbell'
import type { Caller } from '../env'
import { type EventType, recordEvent } from '../events'
import { forget } from '../publicCache'
import { awardPaths, statusListPath } from '../urls'
import type { Badge } from '../views/badges'
import { eventsOf, oneEarner } from './awards'
import { insertIf, type List, updateWhere, wrote } from './db'
import {
  type Awardable,
  type AwardInput,
  awardsOf,
  type InstanceRow,
  type LinkedInstance,
  linkedInstance,
} from './instances'
import { endCredentials, listsOf, restoreCredentials } from './statusLists'
import { tally } from './tallies'
import { keepVersion, versionId } from './versions'

/** What becomes of an award after it was made, while it stands: it is suspended, reinstated, renewed, amended. */

export type ChangeRow = typeof awardChanges.$inferSelect & {
  /** The slug of the award. */
  award: string
}

/** The award as messages tell of it, beside its badge as the contract shows it. */
type Told = { instance: object; badge: Badge }

/** Keeps what was done with an award, if `done`. */
const recordChange = (
  { op, now, key }: Caller,
  { id, systemId }: InstanceRow,
  kind: ChangeRow['kind'],
  more: { reason: string | null; before?: SQL; after?: SQL | string },
  done: SQL,
) =>
  insertIf(awardChanges, { systemId, awardId: id, kind, at: now, key: key.name, op, ...more }, done)

/** Changes an award itself, and tells of it; gives no row when `condition` does not hold by then. */
async function changeAward(
  caller: Caller,
  row: InstanceRow,
  parts: {
    values: Partial<Record<keyof InstanceRow, unknown>>
    condition: SQL
    kind: ChangeRow['kind']
    type: EventType
    told: Told
    reason: string | null
    /** What comes with it; `done` is true when the award was changed. */
    more: (done: SQL) => SQL[]
  },
): Promise<LinkedInstance | undefined> {
  const { op, now } = caller
  const { systemId, slug } = row
  const { values, kind, type, told, reason } = parts
  const which = sql`id = ${row.id}`
  const done = wrote(badgeInstances, op, which)
  const data = JSON.stringify({ ...told, reason })
  const [rows, lists] = await commit(caller, {
    change: [
      updateWhere(
        badgeInstances,
        { ...values, op, updatedAt: now },
        sql`${which} and revokedAt is null and ${parts.condition}`,
      ),
      ...parts.more(done),
      recordChange(caller, row, kind, { reason }, done),
    ],
    done,
    of: { table: badgeInstances, id: row.id },
    events: [recordEvent(op, now, { systemId, type, subject: slug, body: null, data }, done)],
    audit: { systemId, target: `badgeInstances/${slug}` },
    read: [
      linkedInstance(sql`i.id = ${row.id} and ${isCommitted(op)}`),
      listsOf(sql`select ${row.id}`),
    ],
    forget: awardPaths(slug),
  })
  await forget(
    caller.env,
    lists.map(({ uid }) => statusListPath(uid)),
  )
  return rows[0]
}

/** Suspends an award: until it is reinstated no document says that it is good. Gives no row when it was suspended, or gone, by then. */
export const suspend = (caller: Caller, row: InstanceRow, told: Told, reason: string | null) =>
  changeAward(caller, row, {
    values: { suspendedAt: caller.now, suspensionReason: reason },
    condition: sql`suspendedAt is null`,
    kind: 'suspended',
    type: 'badge.suspended',
    told,
    reason,
    more: (done) => endCredentials(sql`select ${row.id}`, done),
  })

/** Ends a suspension. Gives no row when there was none by then. */
export async function reinstate(
  caller: Caller,
  row: InstanceRow,
  told: Told,
  reason: string | null,
) {
  const after = await changeAward(caller, row, {
    values: { suspendedAt: null, suspensionReason: null },
    condition: sql`suspendedAt is not null`,
    kind: 'reinstated',
    type: 'badge.reinstated',
    told,
    reason,
    more: (done) => restoreCredentials(sql`select ${row.id}`, done),
  })
  if (after && !caller.isReplay) caller.waitUntil(ringForAward(caller.env, row.id))
  return after
}

/** What a request may say of an amendment. An absent member leaves what stands. */
export type Amendment = {
  narrative?: string | null
  /** JSON: an array of `Evidence`. */
  evidence?: string | null
  reason: string | null
}

/**
 * Changes what an award says of how it was earned. What it said is kept. Its credential is signed anew, in the place that it has;
 * a signature of what it said before, which may be on its way, is not kept any more.
 */
export async function amend(
  caller: Caller,
  row: InstanceRow,
  badge: Badge,
  told: (after: Pick<InstanceRow, 'narrative' | 'evidence'>) => object,
  { reason, ...given }: Amendment,
): Promise<LinkedInstance | undefined> {
  const { op, now } = caller
  const { systemId, slug } = row
  const which = sql`id = ${row.id}`
  const done = wrote(badgeInstances, op, which)
  const column = (name: 'narrative' | 'evidence') =>
    given[name] === undefined ? sql.raw(name) : sql`${given[name]}`
  const said = (narrative: SQL, evidence: SQL) => sql`
    json_object('narrative', ${narrative}, 'evidence', json(coalesce(${evidence}, '[]')))`
  const data = JSON.stringify({ instance: told({ ...row, ...given }), badge, reason })
  const event = {
    systemId,
    type: 'badge.amended' as const,
    subject: slug,
    body: null,
    data,
  }
  const [rows] = await commit(caller, {
    change: [
      sql`
        insert into awardChanges (systemId, awardId, kind, at, key, reason, before, after, op)
        select systemId, id, 'amended', ${now}, ${caller.key.name}, ${reason},
          ${said(sql`narrative`, sql`evidence`)}, ${said(column('narrative'), column('evidence'))}, ${op}
        from badgeInstances where ${which} and revokedAt is null`,
      updateWhere(
        badgeInstances,
        { ...given, amendedAt: sql`max(${now}, coalesce(amendedAt, 0) + 1)`, op, updatedAt: now },
        sql`${which} and revokedAt is null`,
      ),
      sql`update credentials set proof = null, jwt = null where awardId = ${row.id} and ${done}`,
    ],
    done,
    of: { table: badgeInstances, id: row.id },
    events: [recordEvent(op, now, event, done)],
    audit: { systemId, target: `badgeInstances/${slug}` },
    read: [linkedInstance(sql`i.id = ${row.id} and ${isCommitted(op)}`)],
    forget: awardPaths(slug),
  })
  if (rows[0]) caller.waitUntil(ringForAward(caller.env, row.id))
  return rows[0]
}

/** What is kept as the reason for which an award ended that was renewed. */
export const RENEWED = 'Renewed'

/**
 * Awards a badge again to who holds it: the award ends, and another takes its place in one transaction, also where the badge is
 * awarded once or has no room. Nobody is told of a revocation. Gives no row when the award was suspended, or gone, by then.
 *
 * @param told the award that ends, as messages tell of it
 */
export async function renew(
  caller: Caller,
  badge: Awardable,
  row: InstanceRow,
  told: object,
  input: AwardInput,
): Promise<LinkedInstance | undefined> {
  const { op, now } = caller
  const { systemId, narrative, evidence } = row
  const slug = await idFrom(op, 'slug', 20)
  const earners = oneEarner(row.email, slug)
  const awards = await awardsOf(caller, badge, earners, { narrative, evidence, ...input })
  if (awards.terms === 'of each') throw new Error('One award has terms of its own')
  const { terms, version } = awards
  const which = sql`id = ${row.id}`
  const stands = sql`${which} and revokedAt is null and suspendedAt is null and exists (
    select 1 from badges b where b.id = badgeId and b.deletedAt is null)`
  const ended = sql`${which} and op = ${op}`
  const done = sql`exists (select 1 from badgeInstances where slug = ${slug} and op = ${op})`
  const event = {
    systemId,
    type: 'badge.renewed' as const,
    subject: row.slug,
    body: null,
    data: JSON.stringify({ instance: told, badge: badge.shown, renewedBy: slug }),
  }
  const [rows, lists] = await commit(caller, {
    change: [
      keepVersion(version, now, sql`exists (select 1 from badgeInstances where ${stands})`),
      updateWhere(
        badgeInstances,
        { revokedAt: now, revocationReason: RENEWED, op, updatedAt: now },
        stands,
      ),
      sql`
        insert into badgeInstances (slug, systemId, badgeId, versionId, email, issuedOn, expires, once, salt,
          narrative, evidence, renews, op, createdAt, updatedAt)
        select ${slug}, systemId, badgeId, ${versionId(version)}, email, ${terms.issuedOn}, ${terms.expires}, once,
          lower(hex(randomblob(16))), ${terms.narrative}, ${terms.evidence}, id, ${op}, ${now}, ${now}
        from badgeInstances where ${ended}`,
      ...tally(caller, badge.row, 'awarded', 1, done),
      ...tally(caller, badge.row, 'revoked', 1, done),
      ...endCredentials(sql`select ${row.id}`, done),
      recordChange(
        caller,
        row,
        'renewed',
        { reason: null, after: JSON.stringify({ award: slug }) },
        done,
      ),
    ],
    done,
    of: { table: badgeInstances, id: row.id },
    events: [recordEvent(op, now, event, done), eventsOf(awards, slug, null)],
    audit: { systemId, target: `badgeInstances/${slug}` },
    read: [
      linkedInstance(sql`i.slug = ${slug} and ${isCommitted(op)}`),
      listsOf(sql`select ${row.id}`),
    ],
    forget: awardPaths(row.slug),
  })
  await forget(
    caller.env,
    lists.map(({ uid }) => statusListPath(uid)),
  )
  if (rows[0] && !caller.isReplay) caller.waitUntil(ringForAward(caller.env, rows[0].id))
  return rows[0]
}

/** What was done with all awards of a badge to an earner, also with those that have ended. */
export function listChanges(badgeId: SQL, systemId: SQL, email: string): List<ChangeRow> {
  const from = sql`
    from badgeInstances i cross join awardChanges c on c.awardId = i.id
    where i.systemId = ${systemId} and i.email = ${email} and i.badgeId = ${badgeId}`
  return {
    rows: ({ after, limit, offset }) => sql<ChangeRow>`
      select c.*, i.slug as award ${from} ${after ? sql`and c.id > ${after[0]}` : sql``}
      order by c.id limit ${limit} offset ${offset}`,
    keyOf: ({ id }) => [id],
    total: sql<{ total: number }>`select count(*) as total ${from}`,
  }
}
