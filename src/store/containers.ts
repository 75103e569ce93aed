import { type SQL, sql } from 'drizzle-orm'
import { badges, programs, type systems } from '../../drizzle/schema'
import { commit, committed } from '../commit'
import { randomHex } from '../crypto'
import type { Caller } from '../env'
import { type Level, levels } from '../levels'
import { containerPath, publicPath, type Slugs } from '../urls'
import { bump, counterOf } from './counters'
import { fixed, insertIf, type List, type Statement, updateWhere, wrote } from './db'
import { attachImage, type NewImage } from './images'

/** A row of any level with its image and, as JSON, what the contract nests in it. */
export type ContainerRow = typeof systems.$inferSelect & {
  systemId?: number
  issuerId?: number
  children: string
}

/** A container as it is nested in other rows: JSON of `containerJson`. */
export type NestedContainer = {
  id: number
  uid: string
  slug: string
  url: string
  name: string
  description: string | null
  email: string | null
  image: string | null
  programs?: NestedContainer[]
}

/** Where rows are sought: sub-selects of the containers that a path names. */
export type Container = { systemId: SQL; issuerId: SQL | null; programId: SQL | null }

/** Ids that a path has been proven to name. */
export type Place = { systemId: number; issuerId: number | null; programId: number | null }

const nestedFields = (alias: string) =>
  sql.raw(
    `'id', ${alias}.id, 'uid', ${alias}.uid, 'slug', ${alias}.slug, 'url', ${alias}.url, 'name', ${alias}.name,
   'description', ${alias}.description, 'email', ${alias}.email, 'image', ${alias}.image`,
  )

/** A container as a JSON object, in SQL. */
export const containerJson = (alias: string) => sql`json_object(${nestedFields(alias)})`

const programsOf = sql`(
  select json_group_array(json(o)) from (select ${containerJson('p')} as o from programs p
    where p.issuerId = i.id and p.deletedAt is null order by p.id))`

const children: Record<Level['name'], SQL> = {
  system: sql`(select json_group_array(json(o)) from (
    select json_object(${nestedFields('i')}, 'programs', json(${programsOf})) as o
    from issuers i where i.systemId = x.id and i.deletedAt is null order by i.id))`,
  issuer: sql`(select json_group_array(json(o)) from (select ${containerJson('p')} as o from programs p
    where p.issuerId = x.id and p.deletedAt is null order by p.id))`,
  program: sql`'[]'`,
}

const tableOf = (level: Level) => sql.identifier(level.plural)

const selectOf = (level: Level) =>
  fixed(sql`
    select x.*, ${children[level.name]} as children from ${tableOf(level)} x`)

const selects = Object.fromEntries(levels.map((level) => [level.name, selectOf(level)]))
const selectContainers = (level: Level) => selects[level.name] as SQL

/** The container with this id. */
export const findContainer = (level: Level, id: SQL | number): Statement<ContainerRow> =>
  sql<ContainerRow>`${selectContainers(level)} where x.id = ${id} and x.deletedAt is null`

const findByUid = (level: Level, uid: string): Statement<ContainerRow> =>
  sql<ContainerRow>`${selectContainers(level)} where x.uid = ${uid}`

/** Which containers a list shows: all systems, or those below `parentId`. */
const below = (level: Level, parentId: SQL | null) =>
  level.parent && parentId
    ? sql`x.${sql.identifier(level.parent)} = ${parentId} and x.deletedAt is null`
    : sql`x.deletedAt is null`

/** The containers below a parent, in id order; all systems when there is none. */
export const listContainers = (
  level: Level,
  systemId: SQL | null,
  parentId: SQL | null,
): List<ContainerRow> => ({
  rows: ({ after, limit, offset }) => sql<ContainerRow>`
    ${selectContainers(level)} where ${below(level, parentId)} ${after ? sql`and x.id > ${after[0]}` : sql``}
    order by x.id limit ${limit} offset ${offset}`,
  keyOf: ({ id }) => [id],
  total: counterOf(systemId ?? sql`0`, level.plural, parentId ?? sql`0`),
})

export type ContainerInput = {
  slug?: string
  name?: string
  url?: string
  description?: string | null
  email?: string | null
}

/** Whether all containers of a place are still there, in SQL. */
export const isLive = (place: Partial<Place>) => {
  const live = (table: string, id: number) =>
    sql`exists (select 1 from ${sql.identifier(table)} where id = ${id} and deletedAt is null)`
  const { systemId, issuerId, programId } = place
  const checks = [sql`1`]
  if (systemId != null) checks.push(live('systems', systemId))
  if (issuerId != null) checks.push(live('issuers', issuerId))
  if (programId != null) checks.push(live('programs', programId))
  return sql.join(checks, sql` and `)
}

/** Makes a container below `place`. Gives no row when its slug is taken, or its parent gone, by then. */
export async function createContainer(
  caller: Caller,
  level: Level,
  place: Partial<Place>,
  input: ContainerInput,
  image: NewImage | null,
) {
  const { op, now } = caller
  const uid = randomHex(16)
  const which = sql`uid = ${uid}`
  const done = wrote(level.table, op, which)
  const scope = level.parent ? sql`(${sql.identifier(level.parent)}, slug)` : sql`(slug)`
  const idOf = sql`(select id from ${tableOf(level)} where ${which})`
  const systemId = place.systemId ?? idOf
  const [rows] = await commit(caller, {
    change: [
      insertIf(
        level.table,
        { ...input, ...place, uid, op, createdAt: now, updatedAt: now },
        isLive(place),
        sql`on conflict ${scope} where "deletedAt" is null do nothing`,
      ),
      ...attachImage(level.table, which, op, now, image, systemId),
      bump(level.parent ? systemId : 0, level.plural, parentOf(level, place) ?? 0, 1, done),
    ],
    done,
    audit: { systemId, target: `${level.plural}/${uid}` },
    read: [findByUid(level, uid)],
  })
  return rows[0]
}

/** Changes the given members of a container. Gives no row when its slug is taken, or it is gone, by then. */
export async function updateContainer(
  caller: Caller,
  level: Level,
  row: ContainerRow,
  slugs: Slugs,
  input: ContainerInput,
  image: NewImage | null,
) {
  const { op, now } = caller
  const which = sql`id = ${row.id}`
  const done = wrote(level.table, op, which)
  const systemId = row.systemId ?? row.id
  const [rows] = await commit(caller, {
    change: [
      updateWhere(
        level.table,
        { ...input, op, updatedAt: now },
        sql`${which} and deletedAt is null ${slugIsFree(level, row, input.slug)}`,
      ),
      ...attachImage(level.table, which, op, now, image, systemId),
    ],
    done,
    audit: { systemId, target: `${level.plural}/${row.uid}` },
    read: [sql<ContainerRow>`${findByUid(level, row.uid)} and ${done}`],
    forget: [publicPath(containerPath(slugs))],
  })
  return rows[0]
}

const slugIsFree = (level: Level, row: ContainerRow, slug: string | undefined) => {
  if (slug === undefined) return sql``
  const siblings = level.parent
    ? sql`and o.${sql.identifier(level.parent)} = ${row[level.parent]}`
    : sql``
  return sql`and not exists (select 1 from ${tableOf(level)} o
    where o.slug = ${slug} and o.deletedAt is null and o.id <> ${row.id} ${siblings})`
}

/**
 * Marks a container as deleted, which frees its slug and hides all below it. An issuer takes its programs along; badges of
 * a deleted issuer or program stay under the system (contract §5.6).
 */
export async function deleteContainer(
  caller: Caller,
  level: Level,
  row: ContainerRow,
  slugs: Slugs,
) {
  const { op, now } = caller
  const which = sql`id = ${row.id}`
  const done = wrote(level.table, op, sql`${which} and deletedAt is not null`)
  const systemId = row.systemId ?? row.id
  const end = { deletedAt: now, op, updatedAt: now }
  const orphans = {
    system: [],
    issuer: [
      updateWhere(programs, end, sql`issuerId = ${row.id} and deletedAt is null and ${done}`),
      updateWhere(
        badges,
        { issuerId: null, programId: null, op, updatedAt: now },
        sql`issuerId = ${row.id} and deletedAt is null and ${done}`,
      ),
    ],
    program: [
      updateWhere(
        badges,
        { programId: null, op, updatedAt: now },
        sql`programId = ${row.id} and deletedAt is null and ${done}`,
      ),
    ],
  }
  const [rows] = await commit(caller, {
    change: [
      updateWhere(level.table, end, sql`${which} and deletedAt is null`),
      ...orphans[level.name],
      bump(level.parent ? systemId : 0, level.plural, parentOf(level, row) ?? 0, -1, done),
    ],
    done,
    audit: { systemId, target: `${level.plural}/${row.uid}` },
    read: [committed(op)],
    forget: [publicPath(containerPath(slugs))],
  })
  return rows.length > 0
}

const parentOf = (level: Level, place: { systemId?: number | null; issuerId?: number | null }) =>
  level.parent && place[level.parent]

export type Chain = { system: string; issuer: string | null; program: string | null }

/** The containers that a path names, each as JSON of `containerJson`. */
export const findChain = (container: Container): Statement<Chain> => sql<Chain>`
  select (select ${containerJson('x')} from systems x where x.id = ${container.systemId}) as system,
    (select ${containerJson('x')} from issuers x where x.id = ${container.issuerId}) as issuer,
    (select ${containerJson('x')} from programs x where x.id = ${container.programId}) as program`
