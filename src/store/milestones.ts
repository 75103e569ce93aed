import { type SQL, sql } from 'drizzle-orm'
import { milestones } from '../../drizzle/schema'
import { commit, committed } from '../commit'
import type { Caller } from '../env'
import type { Badge } from '../views/badges'
import { type Awards, countMade, eventsOf, held, manyEarners } from './awards'
import { type BadgeRow, badgeColumns, containerTexts } from './badges'
import { bump, bumpContainers, counterOf } from './counters'
import { fixed, insertIf, type List, type Statement, updateWhere, wrote } from './db'
import { freeze, keepVersion, versionId } from './versions'

/** A milestone with the ids of its support badges, a JSON array in the order added. */
export type MilestoneRow = typeof milestones.$inferSelect & { supportBadgeIds: string }

const selectMilestones = sql`
  select m.*, (select json_group_array(badgeId) from (
    select badgeId from milestoneBadges where milestoneId = m.id order by id)) as supportBadgeIds
  from milestones m`

/** The milestones of a system, in id order. */
export const listMilestones = (systemId: SQL): List<MilestoneRow> => ({
  rows: ({ after, limit, offset }) => sql<MilestoneRow>`
    ${selectMilestones} where m.systemId = ${systemId} ${after ? sql`and m.id > ${after[0]}` : sql``}
    order by m.id limit ${limit} offset ${offset}`,
  keyOf: ({ id }) => [id],
  total: counterOf(systemId, 'milestones', systemId),
})

/** A milestone of a system; any text that is not a number names none. */
export const findMilestone = (systemId: SQL | number, id: string): Statement<MilestoneRow> =>
  sql<MilestoneRow>`${selectMilestones}
    where m.systemId = ${systemId} and m.id = ${/^\d{1,15}$/.test(id) ? Number(id) : -1}`

/** The columns of a badge that answers show, in the order in which `leadingMilestones` gives them. */
const SHOWN = [
  ...['id', 'slug', 'name', 'strapline', 'earnerDescription', 'consumerDescription', 'issuerUrl'],
  ...[
    'rubricUrl',
    'criteriaUrl',
    'timeValue',
    'timeUnits',
    'evidenceType',
    'limit',
    'unique',
    'type',
  ],
  ...['archived', 'image', 'lists', 'createdAt', 'system', 'issuer', 'program'],
] as const satisfies readonly (keyof BadgeRow)[]

/** A milestone that leads to a badge; of its support badges as much as answers show. */
export type LeadingMilestone = Pick<MilestoneRow, 'id' | 'action' | 'numberRequired'> & {
  supports: BadgeRow[]
}

/**
 * The milestones that lead to `badges b`, as JSON, in SQL. One column of the look-up that proves a badge:
 * a statement of its own cost a tenth of the whole, and most badges have none.
 */
export const leadingMilestones = fixed(sql`(
  select json_group_array(json(o)) from (
    select json_object('id', m.id, 'action', m.action, 'numberRequired', m.numberRequired, 'supports', json((
      select json_group_array(json(o)) from (
        select json_array(${sql.join(
          SHOWN.map((column) => sql`d.${sql.identifier(column)}`),
          sql`, `,
        )}) as o
        from milestoneBadges s join (
          select b.*, ${containerTexts} from badges b where b.deletedAt is null) d on d.id = s.badgeId
        where s.milestoneId = m.id order by s.id)))) as o
    from milestones m where m.primaryBadgeId = b.id order by m.id))`)

/** Reads what `leadingMilestones` gave. */
export const readLeading = (json: string): LeadingMilestone[] =>
  (JSON.parse(json) as (Omit<LeadingMilestone, 'supports'> & { supports: unknown[][] })[]).map(
    ({ supports, ...milestone }) => ({
      ...milestone,
      supports: supports.map(
        (values) => Object.fromEntries(SHOWN.map((column, i) => [column, values[i]])) as BadgeRow,
      ),
    }),
  )

/** All badges that the milestones of a query name. */
export const badgesOfMilestones = (rows: Statement): Statement<BadgeRow> => sql<BadgeRow>`
  select ${badgeColumns} from badges b where b.id in (
    select primaryBadgeId from (${rows})
    union select badgeId from milestoneBadges where milestoneId in (select id from (${rows})))`

/** Which of these ids are live badges of a system. */
export const knownBadges = (systemId: SQL, ids: readonly number[]): Statement<{ id: number }> =>
  sql<{ id: number }>`
    select id from badges where systemId = ${systemId} and deletedAt is null
      and id in (select value from json_each(${JSON.stringify(ids)}))`

/** What a request may say of a milestone. An absent member of a PUT leaves what stands. */
export type MilestoneInput = Partial<{
  primaryBadgeId: number
  numberRequired: number
  action: 'issue' | 'queue-application' | null
  supportBadges: number[]
}>

/** A milestone with the badges that it names. */
const readBack = (row: Statement<MilestoneRow>) => [row, badgesOfMilestones(row)] as const

/** Makes a milestone of a system. Gives no row when the system is gone by then. */
export async function createMilestone(caller: Caller, systemId: number, input: MilestoneInput) {
  const { op, now } = caller
  const which = sql`systemId = ${systemId} and op = ${op}`
  const done = wrote(milestones, op, which)
  const { supportBadges = [], action, ...columns } = input
  const [rows, badges] = await commit(caller, {
    change: [
      insertIf(
        milestones,
        { ...columns, action: action ?? 'issue', systemId, op, createdAt: now, updatedAt: now },
        sql`exists (select 1 from systems where id = ${systemId} and deletedAt is null)`,
      ),
      addBadges(sql`(select id from milestones where ${which})`, supportBadges),
      bump(systemId, 'milestones', systemId, 1, done),
    ],
    done,
    audit: { systemId, target: 'milestones' },
    read: readBack(sql<MilestoneRow>`${selectMilestones} where m.${which}`),
  })
  return { row: rows[0], badges }
}

/** In the order given; those that the milestone has keep their place. */
const addBadges = (milestoneId: SQL, badgeIds: readonly number[]) => sql`
  insert into milestoneBadges (milestoneId, badgeId)
  select ${milestoneId}, j.value from json_each(${JSON.stringify(badgeIds)}) j
  where ${milestoneId} is not null order by j.key
  on conflict (milestoneId, badgeId) do nothing`

/** What becomes of a milestone's support badges. */
export type SupportChange =
  | { replace: readonly number[] }
  | { add: number }
  | { remove: number }
  | null

/** Changes the given members of a milestone. Gives no row when it is gone by then. */
export async function updateMilestone(
  caller: Caller,
  row: MilestoneRow,
  { supportBadges: _s, action, ...columns }: MilestoneInput,
  support: SupportChange,
) {
  const { op, now } = caller
  const which = sql`id = ${row.id}`
  const values = { ...columns, ...(action && { action }), op, updatedAt: now }
  const [rows, badges] = await commit(caller, {
    change: [
      updateWhere(milestones, values, which),
      ...supportStatements(sql`(select id from milestones where ${which} and op = ${op})`, support),
    ],
    done: wrote(milestones, op, which),
    audit: { systemId: row.systemId, target: `milestones/${row.id}` },
    read: readBack(findMilestone(row.systemId, String(row.id))),
  })
  return { row: rows[0], badges }
}

function supportStatements(milestoneId: SQL, support: SupportChange): SQL[] {
  if (!support) return []
  if ('add' in support) return [addBadges(milestoneId, [support.add])]
  if ('remove' in support) {
    return [
      sql`delete from milestoneBadges where milestoneId = ${milestoneId} and badgeId = ${support.remove}`,
    ]
  }
  return [
    sql`delete from milestoneBadges where milestoneId = ${milestoneId}`,
    addBadges(milestoneId, support.replace),
  ]
}

/** Deletes a milestone; awards made by it stay. Gives false when it was gone by then. */
export async function deleteMilestone(caller: Caller, row: MilestoneRow): Promise<boolean> {
  const { op, now } = caller
  const { systemId, id } = row
  const which = sql`id = ${id}`
  const done = wrote(milestones, op, which)
  const [rows] = await commit(caller, {
    change: [
      updateWhere(milestones, { op, updatedAt: now }, which),
      bump(systemId, 'milestones', systemId, -1, done),
    ],
    done,
    audit: { systemId, target: `milestones/${id}` },
    remove: [
      sql`delete from milestoneBadges where milestoneId = ${id} and ${done}`,
      sql`delete from milestones where ${which} and op = ${op}`,
    ],
    read: [committed(op)],
  })
  return rows.length > 0
}

// ── What an award completes ─────────────────────────────────────────────────────────────────────────────────────────

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
  emails: string,
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
    const terms = { issuedOn: now, expires: null, comment: null }
    const awards = { op, now, origin: env.PUBLIC_ORIGIN, badge, version, earners, ...terms }
    change.push(...completionStatements(awards, takers))
    awarded.set(badge.id, awards)
  }
  // Once for each badge, which may stand above at several depths.
  const all = [...awarded.values()]
  const counts = [...queued.values()].flatMap((badge) => countQueued(op, badge, emails))
  return {
    change: [...change, ...all.map(countMade), ...counts],
    events: all.map((awards) => eventsOf(awards, null, null)),
  }
}

/** Those of `emails` whom this request has given a support badge, and who now hold enough of them; in SQL. */
function eligible(op: string, { id, systemId, milestoneId }: MilestoneAbove, emails: string): SQL {
  const holdings = sql`
    from milestoneBadges s cross join badgeInstances i where s.milestoneId = ${milestoneId}
      and i.systemId = ${systemId} and i.email = j.value and i.badgeId = s.badgeId`
  return sql`
    select e.email, row_number() over (order by e.place) as place from (
      select j.value as email, min(j.key) as place from json_each(${emails}) j
      where not exists (${held({ id, systemId }, sql`j.value`)})
        and exists (select 1 ${holdings} and i.op = ${op})
        and (select count(distinct i.badgeId) ${holdings} and i.revokedAt is null)
          >= (select numberRequired from milestones where id = ${milestoneId})
      group by j.value collate nocase) e`
}

/** What this request has made of the badge so far is not counted yet: it takes its room here. */
function completionStatements(awards: Awards, takers: SQL): SQL[] {
  const { op, now, badge, version, earners } = awards
  return [
    keepVersion(version, now, sql`exists (select 1 from (${takers}))`),
    sql`
      insert into badgeInstances (slug, systemId, badgeId, versionId, email, issuedOn, once, salt, op,
        createdAt, updatedAt)
      select lower(hex(randomblob(20))), b.systemId, b.id, ${versionId(version)}, e.email, ${now}, 1,
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

/** Counts the applications that `op` has made for a badge. */
function countQueued(op: string, badge: MilestoneAbove, emails: string): SQL[] {
  const { id, systemId } = badge
  const queued = sql`(select count(distinct a.id) from json_each(${emails}) j cross join applications a
    where a.systemId = ${systemId} and a.learner = j.value and a.badgeId = ${id} and a.op = ${op})`
  const any = sql`${queued} > 0`
  return [
    bump(systemId, 'applications', id, queued, any),
    ...bumpContainers(badge, 'applications', queued, any),
  ]
}
