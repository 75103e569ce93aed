import { getTableColumns, type SQL, sql } from 'drizzle-orm'
import { badges, milestones } from '../../drizzle/schema'
import { commit, committed, idMade } from '../commit'
import type { Caller } from '../env'
import { levels } from '../levels'
import { type BadgeRow, badgeColumns, containerTexts } from './badges'
import { bump, counterOf } from './counters'
import { fixed, insertIf, type List, type Statement, updateWhere, wrote } from './db'

/** A milestone with the ids of its support badges, a JSON array in the order added. */
export type MilestoneRow = typeof milestones.$inferSelect & { supportBadgeIds: string }

const selectMilestones = sql`
  select m.*, (select json_group_array(badgeId) from (
    select badgeId from milestoneBadges where milestoneId = m.id order by id)) as supportBadgeIds
  from milestones m`

/** The milestones of a system, in id order; those that lead to a badge or that it supports, where its slug is given. */
export function listMilestones(systemId: SQL, badge: string | null): List<MilestoneRow> {
  const badgeId = sql`(
    select id from badges where systemId = ${systemId} and slug = ${badge} and deletedAt is null)`
  const where =
    badge === null
      ? sql`where m.systemId = ${systemId}`
      : sql`where +m.systemId = ${systemId} and m.id in (
          select id from milestones where primaryBadgeId = ${badgeId}
          union select milestoneId from milestoneBadges where badgeId = ${badgeId})`
  return {
    rows: ({ after, limit, offset }) => sql<MilestoneRow>`
      ${selectMilestones} ${where} ${after ? sql`and m.id > ${after[0]}` : sql``}
      order by m.id limit ${limit} offset ${offset}`,
    keyOf: ({ id }) => [id],
    total:
      badge === null
        ? counterOf(systemId, 'milestones', systemId)
        : sql<{ total: number }>`select count(*) as total from milestones m ${where}`,
  }
}

/** A milestone of a system; any text that is not a number names none. */
export const findMilestone = (systemId: SQL | number, id: string): Statement<MilestoneRow> =>
  sql<MilestoneRow>`${selectMilestones}
    where m.systemId = ${systemId} and m.id = ${/^\d{1,15}$/.test(id) ? Number(id) : -1}`

/** Every column of a badge; no function of D1 takes more than 32 arguments, so they come in portions. */
const COLUMNS = [...Object.keys(getTableColumns(badges)), ...levels.map(({ name }) => name)]
const PORTION = 30
const portions = Array.from({ length: Math.ceil(COLUMNS.length / PORTION) }, (_, i) => {
  const columns = COLUMNS.slice(i * PORTION, (i + 1) * PORTION)
  return sql`json_array(${sql.join(
    columns.map((column) => sql`d.${sql.identifier(column)}`),
    sql`, `,
  )})`
})

/** A milestone that leads to a badge, with its support badges. */
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
        select json_array(${sql.join(portions, sql`, `)}) as o
        from milestoneBadges s join (
          select b.*, ${containerTexts} from badges b where b.deletedAt is null) d on d.id = s.badgeId
        where s.milestoneId = m.id order by s.id)))) as o
    from milestones m where m.primaryBadgeId = b.id order by m.id))`)

/** Reads what `leadingMilestones` gave. */
export const readLeading = (json: string): LeadingMilestone[] =>
  (JSON.parse(json) as (Omit<LeadingMilestone, 'supports'> & { supports: unknown[][][] })[]).map(
    ({ supports, ...milestone }) => ({
      ...milestone,
      supports: supports.map((portions) => {
        const values = portions.flat()
        return Object.fromEntries(COLUMNS.map((column, i) => [column, values[i]])) as BadgeRow
      }),
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

/** How far an earner is with a milestone: the support badges held, JSON, and the award of its primary badge. */
export type ProgressRow = MilestoneRow & { heldBadgeIds: string; award: string | null }

/** The milestones of a system with how far an earner is, in id order. What is suspended does not count. */
export function listProgress(systemId: SQL, email: string): List<ProgressRow> {
  const { rows, ...list } = listMilestones(systemId, null)
  return {
    ...list,
    rows: (stretch) => sql<ProgressRow>`
      select m.*,
        (select json_group_array(distinct i.badgeId) from milestoneBadges s cross join badgeInstances i
          where s.milestoneId = m.id and i.systemId = m.systemId and i.email = ${email} and i.badgeId = s.badgeId
            and i.revokedAt is null and i.suspendedAt is null) as heldBadgeIds,
        (select h.slug from badgeInstances h
          where h.systemId = m.systemId and h.email = ${email} and h.badgeId = m.primaryBadgeId and h.revokedAt is null
          order by h.id desc limit 1) as award
      from (${rows(stretch)}) m order by m.id`,
    keyOf: ({ id }) => [id],
  }
}

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
  // From the system's newest on, which it is: `op` has no index, and a system may have many.
  const which = sql`id = (select id from milestones where systemId = ${systemId} and op = ${op} order by id desc limit 1)`
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
    audit: { systemId, target: sql`'milestones/' || (select id from milestones where ${which})` },
    read: readBack(sql<MilestoneRow>`${selectMilestones} where m.id = ${idMade(op, 'milestones')}`),
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
    of: { table: milestones, id: row.id },
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
    of: { table: milestones, id },
    audit: { systemId, target: `milestones/${id}` },
    after: [
      sql`delete from milestoneBadges where milestoneId = ${id} and ${done}`,
      sql`delete from milestones where ${which} and op = ${op}`,
    ],
    read: [committed(op)],
  })
  return rows.length > 0
}
