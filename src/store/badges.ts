import { type SQL, sql } from 'drizzle-orm'
import { badges } from '../../drizzle/schema'
import { commit, committed } from '../commit'
import { randomHex } from '../crypto'
import type { Caller } from '../env'
import { type Container, type Containers, levels, type Place } from '../levels'
import { badgePaths, publicPath, type Slugs } from '../urls'
import { containerJson, containerSlugs, isLive, joinContainers } from './containers'
import { bump, bumpContainers, containerTotal, countOf } from './counters'
import { fixed, insertIf, type List, type Statement, updateWhere, wrote } from './db'
import { attachImage, type NewImage } from './images'

/** A badge with its containers, each a JSON text of `containerJson`. */
export type BadgeRow = typeof badges.$inferSelect & Containers

/** The containers of `badges b` by their levels' names. As text, JSON functions take them for no more than that. */
const containerColumns = (suffix = '') =>
  sql.join(
    levels.map(
      ({ name, plural, column }) => sql`
        (select ${containerJson('x')}${sql.raw(`${suffix} from ${plural} x where x.id = b.${column}) as ${name}`)}`,
    ),
    sql`, `,
  )

export const containerTexts = fixed(containerColumns(` || ''`))

/** The columns of `BadgeRow` for `badges b`. */
export const badgeColumns = fixed(sql`b.*, ${containerColumns()}`)

/** Rows of `badges b` that hang, at any depth, from a container. */
export const within = (container: Container): SQL =>
  sql.join([
    sql`b.deletedAt is null`,
    ...levels.flatMap(({ column }) => {
      const id = container[column]
      return id ? [sql.raw(` and b.${column} = `), id] : []
    }),
  ])

/** The badges in a container, in id order; `archived` null for both kinds. */
export const listBadges = (container: Container, archived: boolean | null): List<BadgeRow> => ({
  rows: ({ after, limit, offset }) => sql<BadgeRow>`
    select ${badgeColumns} from badges b
    where ${within(container)} ${isArchived(archived)} ${after ? sql`and b.id > ${after[0]}` : sql``}
    order by b.id limit ${limit} offset ${offset}`,
  keyOf: ({ id }) => [id],
  total: countBadges(container, archived),
})

/** The badges that the rows of a query belong to (`badgeId`). */
export const badgesOf = (rows: Statement): Statement<BadgeRow> => sql<BadgeRow>`
  select ${badgeColumns} from badges b where b.id in (select badgeId from (${rows}))`

const isArchived = (archived: boolean | null) =>
  archived === null ? sql`` : sql`and b.archived = ${archived ? 1 : 0}`

/** How many badges a list shows in all. */
const countBadges = (
  container: Container,
  archived: boolean | null,
): Statement<{ total: number }> =>
  archived === null
    ? containerTotal(container, 'badges')
    : sql<{ total: number }>`
        select count(*) as total from badges b where ${within(container)} ${isArchived(archived)}`

type Listed = Slugs & { id: number; slug: string }

const publicBadges = (archived: boolean | null) => sql`
  from badges b ${joinContainers('b')}
  where b.deletedAt is null and system.deletedAt is null ${isArchived(archived)}`

/** The badges of all systems, by the slugs that address them. */
export const listPublicBadges = (archived: boolean | null): List<Listed> => ({
  rows: ({ after, limit, offset }) => sql<Listed>`
    select b.id, b.slug, ${containerSlugs}
    ${publicBadges(archived)} ${after ? sql`and b.id > ${after[0]}` : sql``}
    order by b.id limit ${limit} offset ${offset}`,
  keyOf: ({ id }) => [id],
  total: sql<{ total: number }>`select count(*) as total ${publicBadges(archived)}`,
})

const findByUid = (uid: string): Statement<BadgeRow> =>
  sql<BadgeRow>`select ${badgeColumns} from badges b where b.uid = ${uid}`

type Criterion = {
  id?: number | null
  description: string
  required?: boolean | null
  note?: string | null
}
type Alignment = { id?: number | null; name: string; url: string; description?: string | null }

/** What a request may say of a badge. An absent member of a PUT leaves what stands; lists are replaced whole. */
export type BadgeInput = Partial<{
  slug: string
  name: string
  strapline: string | null
  earnerDescription: string
  consumerDescription: string
  issuerUrl: string | null
  rubricUrl: string | null
  criteriaUrl: string
  timeValue: number | null
  timeUnits: string | null
  evidenceType: string | null
  limit: number | null
  unique: boolean
  type: string | null
  archived: boolean | null
  criteria: Criterion[] | null
  alignments: Alignment[] | null
  categories: string[] | null
  tags: string[] | null
}>

const bit = (flag: boolean | null | undefined) => (flag == null ? undefined : flag ? 1 : 0)

/** The columns that a request sets; its lists are rows of their own. */
const columnsOf = ({
  criteria: _c,
  alignments: _a,
  categories: _k,
  tags: _t,
  ...input
}: BadgeInput) => ({
  ...input,
  unique: bit(input.unique),
  archived: bit(input.archived),
  type: input.type ?? undefined,
})

/** Makes a badge in a container. Gives no row when its slug is taken, or the container gone, by then. */
export async function createBadge(
  caller: Caller,
  place: Place,
  input: BadgeInput,
  image: NewImage | null,
) {
  const { op, now } = caller
  const uid = randomHex(16)
  const which = sql`uid = ${uid}`
  const done = wrote(badges, op, which)
  const values = { ...columnsOf(input), slug: input.slug ?? randomHex(16) }
  const [rows] = await commit(caller, {
    change: [
      insertIf(
        badges,
        { ...values, ...place, uid, op, createdAt: now, updatedAt: now },
        isLive(place),
        sql`on conflict (systemId, slug) where "deletedAt" is null do nothing`,
      ),
      ...attachImage(badges, which, op, now, image, place.systemId),
      ...replaceLists(which, op, input),
      ...bumpContainers(place, 'badges', 1, done),
    ],
    done,
    audit: { systemId: place.systemId, target: `badges/${uid}` },
    read: [findByUid(uid)],
  })
  return rows[0]
}

/** Changes the given members of a badge. Gives why not when a condition no longer holds. */
export async function updateBadge(
  caller: Caller,
  row: BadgeRow,
  slugs: Slugs,
  input: BadgeInput,
  image: NewImage | null,
): Promise<{ row: BadgeRow } | { refused: 'gone' | 'limit' }> {
  const { op, now } = caller
  const which = sql`id = ${row.id}`
  const done = wrote(badges, op, which)
  const { slug: _slug, ...values } = columnsOf(input)
  const lowered = typeof input.limit === 'number' && input.limit > 0
  const fits = lowered ? sql`and (awarded <= ${input.limit} or "limit" = ${input.limit})` : sql``
  const [rows, state] = await commit(caller, {
    change: [
      updateWhere(
        badges,
        { ...values, op, updatedAt: now },
        sql`${which} and deletedAt is null ${fits}`,
      ),
      ...attachImage(badges, which, op, now, image, row.systemId),
      ...replaceLists(which, op, input),
    ],
    done,
    audit: { systemId: row.systemId, target: `badges/${row.uid}` },
    read: [
      sql<BadgeRow>`${findByUid(row.uid)} and ${done}`,
      sql<{ live: 0 | 1 }>`select deletedAt is null as live from badges where ${which}`,
    ],
    forget: publicPathsOf(slugs, row.slug),
  })
  return rows[0] ? { row: rows[0] } : { refused: state[0]?.live ? 'limit' : 'gone' }
}

/**
 * Marks a badge as deleted, which frees its slug; its awards answer 410 from now on. Milestones to it go at once, and it leaves
 * those that it supports; what else hangs from it is purged later.
 */
export async function deleteBadge(caller: Caller, row: BadgeRow, slugs: Slugs): Promise<boolean> {
  const { op, now } = caller
  const { id, systemId } = row
  const done = wrote(badges, op, sql`id = ${id} and deletedAt is not null`)
  const leading = sql`select id from milestones where primaryBadgeId = ${id}`
  const [rows] = await commit(caller, {
    change: [
      updateWhere(
        badges,
        { deletedAt: now, op, updatedAt: now },
        sql`id = ${id} and deletedAt is null`,
      ),
      ...bumpContainers(row, 'badges', -1, done),
      ...bumpContainers(row, 'applications', sql`-${countOf(systemId, 'applications', id)}`, done),
      bump(systemId, 'milestones', systemId, sql`-(select count(*) from (${leading}))`, done),
    ],
    done,
    audit: { systemId, target: `badges/${row.uid}` },
    remove: [
      sql`delete from milestoneBadges where (badgeId = ${id} or milestoneId in (${leading})) and ${done}`,
      sql`delete from milestones where primaryBadgeId = ${id} and ${done}`,
    ],
    read: [committed(op)],
    forget: publicPathsOf(slugs, row.slug),
  })
  return rows.length > 0
}

const publicPathsOf = (slugs: Slugs, badge: string) => badgePaths(slugs, badge).map(publicPath)

// ── Lists ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Replaces the lists that the request gives, if `op` wrote the badge. Items that carry the id of one of this badge keep it. */
function replaceLists(which: SQL, op: string, input: BadgeInput): SQL[] {
  const badge = sql`(select id from badges where ${which} and op = ${op})`
  const { criteria, alignments, categories, tags } = input
  return [
    ...(criteria
      ? replaceItems('criteria', ['description', 'required', 'note'], badge, criteria.map(whole))
      : []),
    ...(alignments
      ? replaceItems('alignments', ['name', 'url', 'description'], badge, alignments)
      : []),
    ...(categories ? replaceValues('categories', badge, categories) : []),
    ...(tags ? replaceValues('tags', badge, tags) : []),
    ...(criteria || alignments || categories || tags ? [showLists(which, op)] : []),
  ]
}

const listOf = (item: string, table: string) =>
  sql.raw(`(
    select json_group_array(${item.startsWith('json') ? 'json(o)' : 'o'}) from (
      select ${item} as o from ${table} where badgeId = badges.id order by id))`)

/** Keeps the lists as answers show them. */
const showLists = (which: SQL, op: string) => sql`
  update badges set lists = json_object(
    'criteria', json(${listOf(`json_object('id', id, 'description', description, 'required', required, 'note', note)`, 'criteria')}),
    'alignments', json(${listOf(`json_object('id', id, 'name', name, 'url', url, 'description', description)`, 'alignments')}),
    'categories', json(${listOf('value', 'categories')}),
    'tags', json(${listOf(`json_object('id', id, 'value', value)`, 'tags')}))
  where ${which} and op = ${op}`

const whole = ({ id, description, required, note }: Criterion) => ({
  id,
  description,
  required: required ? 1 : 0,
  note: note ?? '',
})

/** An id that is given twice stays with the first; the other items are new. */
function withOwnIds<T extends { id?: number | null }>(items: readonly T[]): T[] {
  const seen = new Set<number>()
  return items.map((item) => {
    if (item.id == null || !seen.has(item.id)) {
      if (item.id != null) seen.add(item.id)
      return item
    }
    return { ...item, id: null }
  })
}

type Item = { id?: number | null }

function replaceItems(table: string, columns: string[], badge: SQL, items: Item[]): SQL[] {
  const json = JSON.stringify(withOwnIds(items))
  const field = (column: string) => sql.raw(`json_extract(j.value, '$.${column}')`)
  const sets = columns.map((column) => sql`${sql.identifier(column)} = ${field(column)}`)
  const name = sql.identifier(table)
  const given = sql`(select json_extract(j.value, '$.id') from json_each(${json}) j
    where json_extract(j.value, '$.id') is not null)`
  return [
    sql`delete from ${name} where badgeId = ${badge} and id not in ${given}`,
    sql`update ${name} set ${sql.join(sets, sql`, `)} from json_each(${json}) j
      where badgeId = ${badge} and ${name}.id = ${field('id')}`,
    sql`insert into ${name} (badgeId, ${sql.raw(columns.join(', '))})
      select ${badge}, ${sql.join(columns.map(field), sql`, `)} from json_each(${json}) j
      where ${badge} is not null
        and not exists (select 1 from ${name} o where o.badgeId = ${badge} and o.id = ${field('id')})
      order by j.key`,
  ]
}

/** Values keep their rows as long as they stay. */
function replaceValues(table: string, badge: SQL, values: string[]): SQL[] {
  const json = JSON.stringify(values)
  const name = sql.identifier(table)
  return [
    sql`delete from ${name} where badgeId = ${badge} and value not in (select value from json_each(${json}))`,
    sql`insert into ${name} (badgeId, value) select ${badge}, j.value from json_each(${json}) j
      where ${badge} is not null
        and not exists (select 1 from ${name} o where o.badgeId = ${badge} and o.value = j.value)
      order by j.key`,
  ]
}
