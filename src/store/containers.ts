import { type SQL, sql } from 'drizzle-orm'
import { badges, type systems } from '../../drizzle/schema'
import { commit, committed } from '../commit'
import { idFrom } from '../crypto'
import type { Caller } from '../env'
import {
  above,
  below,
  type Container,
  type Containers,
  type Level,
  levels,
  type Place,
  perLevel,
} from '../levels'
import { containerPath, issuerUidPaths, publicPath, type Slugs } from '../urls'
import { bump, counterOf } from './counters'
import { fixed, insertIf, type List, type Statement, updateWhere, wrote } from './db'
import { attachImage, type NewImage } from './images'
import { touchLists } from './statusLists'

/** A row of any level and, as JSON, the containers below it. */
export type ContainerRow = typeof systems.$inferSelect &
  Partial<Place> & {
    children: string
  }

/** A container as it is nested in other rows, with those that hang from it where they were asked for. */
export type NestedContainer = {
  id: number
  uid: string
  slug: string
  url: string
  name: string
  description: string | null
  email: string | null
  image: string | null
} & { [plural in Level['plural']]?: NestedContainer[] }

const nestedFields = (alias: string) =>
  sql.raw(
    `'id', ${alias}.id, 'uid', ${alias}.uid, 'slug', ${alias}.slug, 'url', ${alias}.url, 'name', ${alias}.name,
   'description', ${alias}.description, 'email', ${alias}.email, 'image', ${alias}.image`,
  )

/** A container as a JSON object, in SQL. */
export const containerJson = (alias: string) => sql`json_object(${nestedFields(alias)})`

/** The containers right below row `alias` of a level, as a JSON array, each with those below it. */
function childrenJson(level: Level, alias: string): SQL {
  const [child] = below(level)
  if (!child) return sql`'[]'`
  const { name, plural, parent } = child
  const [grandchild] = below(child)
  const nested = grandchild
    ? sql`, ${sql.raw(`'${grandchild.plural}'`)}, json(${childrenJson(child, name)})`
    : sql``
  return sql`(
    select json_group_array(json(o)) from (
      select json_object(${nestedFields(name)}${nested}) as o from ${sql.raw(`${plural} ${name}`)}
      where ${sql.raw(`${name}.${parent} = ${alias}.id and ${name}.deletedAt is null order by ${name}.id`)}))`
}

const tableOf = (level: Level) => sql.identifier(level.plural)

const selects = perLevel('name', (level) =>
  fixed(sql`select x.*, ${childrenJson(level, 'x')} as children from ${tableOf(level)} x`),
)
const selectContainers = (level: Level) => selects[level.name]

/** The container that a path of this level names. */
export const findContainer = (level: Level, container: Container): Statement<ContainerRow> =>
  sql<ContainerRow>`${selectContainers(level)}
    where x.id = ${container[level.column]} and x.deletedAt is null`

const findByUid = (level: Level, uid: string): Statement<ContainerRow> =>
  sql<ContainerRow>`${selectContainers(level)} where x.uid = ${uid}`

/** Which containers a list shows: all systems, or those below `parentId`. */
const isListed = (level: Level, parentId: SQL | null) =>
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
    ${selectContainers(level)} where ${isListed(level, parentId)} ${after ? sql`and x.id > ${after[0]}` : sql``}
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
  /** Of a system. */
  claimUrl?: string | null
}

/** Whether all containers of a place are still there, in SQL. */
export const isLive = (place: Partial<Place>) => {
  const checks = levels.flatMap((level) => {
    const id = place[level.column]
    return id == null
      ? []
      : sql`exists (select 1 from ${tableOf(level)} where id = ${id} and deletedAt is null)`
  })
  return sql.join([sql`1`, ...checks], sql` and `)
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
  const uid = await idFrom(op, 'uid', 16)
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
    of: { table: level.table, id: row.id },
    audit: { systemId, target: `${level.plural}/${row.uid}` },
    read: [sql<ContainerRow>`${findByUid(level, row.uid)} and ${done}`],
    forget: [publicPath(containerPath(slugs)), ...issuerUidPaths(row.uid)],
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
  // A system's need not be touched: nothing is found without it.
  const isBelow = sql`${sql.identifier(level.column)} = ${row.id} and deletedAt is null and ${done}`
  const lower = level.parent ? below(level) : []
  const nowhere = Object.fromEntries([level, ...lower].map(({ column }) => [column, null]))
  const orphans = level.parent
    ? [
        ...lower.map(({ table }) => updateWhere(table, end, isBelow)),
        updateWhere(badges, { ...nowhere, op, updatedAt: now }, isBelow),
      ]
    : []
  const [rows] = await commit(caller, {
    change: [
      updateWhere(level.table, end, sql`${which} and deletedAt is null`),
      ...orphans,
      bump(level.parent ? systemId : 0, level.plural, parentOf(level, row) ?? 0, -1, done),
      // What its issuers have signed ends with a system, and with nothing less.
      ...(level.parent ? [] : [touchLists(systemId, done)]),
    ],
    done,
    of: { table: level.table, id: row.id },
    audit: { systemId, target: `${level.plural}/${row.uid}` },
    // Those of a system go with all that it has (`purge.ts`).
    after: level.parent ? keysOf(level, row, done) : [],
    read: [committed(op)],
    forget: [publicPath(containerPath(slugs)), ...issuerUidPaths(row.uid)],
  })
  return rows.length > 0
}

/** Deletes the keys that are bound to a container or to one below it. */
function keysOf(level: Level, { id }: ContainerRow, done: SQL): SQL[] {
  const which = sql`${sql.identifier(level.column)} = ${id} and ${done}`
  return [
    sql`delete from keySecrets where keyId in (select id from keys where ${which})`,
    sql`delete from keys where ${which}`,
  ]
}

const parentOf = (level: Level, place: Partial<Place>) => level.parent && place[level.parent]

/** The columns by which a new row of a level hangs from those above it. */
export const placeBelow = (level: Level, place: Place): Partial<Place> =>
  Object.fromEntries(above(level).map(({ column }) => [column, place[column]]))

/** The containers that a path names, each as JSON of `containerJson`. */
export const findChain = (container: Container): Statement<Containers> => sql<Containers>`
  select ${sql.join(
    levels.map(
      (level) => sql`(select ${containerJson('x')} from ${tableOf(level)} x
        where x.id = ${container[level.column]}) as ${sql.raw(level.name)}`,
    ),
    sql`, `,
  )}`

/** A container, by its permanent id, and those above it; or only that it has ended. */
export const findIssuerByUid = (
  uid: string,
): Statement<Containers & { endedAt: number | null }> => {
  const of = (level: Level) => {
    const json = levels.map((other) => {
      if (other === level) return containerJson('x')
      if (!above(level).includes(other)) return sql`null`
      return sql`(select ${containerJson('y')} from ${tableOf(other)} y
        where y.id = ${sql.raw(`x.${other.column}`)})`
    })
    const system = level.parent ? sql`x.systemId` : sql`x.id`
    return sql`
      select ${sql.join(
        levels.map(({ name }, i) => sql`${json[i]} as ${sql.raw(name)}`),
        sql`, `,
      )}, coalesce(x.deletedAt, (select s.deletedAt from systems s where s.id = ${system})) as endedAt
      from ${tableOf(level)} x where x.uid = ${uid}`
  }
  const none = sql.raw(levels.map(() => 'null').join(', '))
  return sql<Containers & { endedAt: number | null }>`
    ${sql.join(levels.map(of), sql` union all `)}
    union all select ${none}, t.revokedAt from tombstones t where t.kind = 'issuer' and t.uid = ${uid}`
}

/** The slugs of a row's containers, by their levels' names; with `joinContainers`. */
export const containerSlugs = sql.raw(
  levels.map(({ name }) => `${name}.slug as ${name}`).join(', '),
)

/** Joins the containers of row `alias`, deleted ones too, by their levels' names. */
export const joinContainers = (alias: string) =>
  sql.raw(
    levels
      .map(
        ({ name, plural, column }) =>
          `left join ${plural} ${name} on ${name}.id = ${alias}.${column}`,
      )
      .join(' '),
  )
