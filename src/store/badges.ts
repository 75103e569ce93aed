import { type SQL, sql } from 'drizzle-orm'
import { badges } from '../../drizzle/schema'
import { commit, committed } from '../commit'
import { idFrom } from '../crypto'
import type { Caller } from '../env'
import { recordEach } from '../events'
import { type Container, type Containers, levels, type Place } from '../levels'
import { badgePaths, badgeUidPaths, publicPath, type Slugs } from '../urls'
import { type BadgeFilter, isArchived, isWhole, passes, placed } from './badgeFilter'
import { badgeJson } from './badgeJson'
import { type ListsInput, replaceLists } from './badgeLists'
import { containerJson, containerSlugs, isLive, joinContainers } from './containers'
import { bump, bumpContainers, containerTotal, countOf } from './counters'
import { fixed, insertIf, type List, type Statement, updateWhere, wrote } from './db'
import { attachImage, type NewImage } from './images'
import { touchLists } from './statusLists'

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

/** What the image of `badges b` is, in SQL; null of a remote one. */
export const imageType = fixed(sql`(select m.mimetype from images m where m.id = b.imageId)`)

/** Rows of `badges b` that hang, at any depth, from a container. */
export const within = (container: Container): SQL =>
  sql.join([
    sql`b.deletedAt is null`,
    ...levels.flatMap(({ column }) => {
      const id = container[column]
      return id ? [sql.raw(` and b.${column} = `), id] : []
    }),
  ])

/** The badges in a container. */
export function listBadges(container: Container, filter: BadgeFilter): List<BadgeRow> {
  const from = sql`from badges b where ${within(container)} ${passes(filter)}`
  const { order, isAfter, ...key } = placed(filter.sort)
  return {
    rows: ({ after, limit, offset }) => sql<BadgeRow>`
      select ${badgeColumns} ${from} ${after ? isAfter(after) : sql``}
      order by ${order} limit ${limit} offset ${offset}`,
    ...key,
    total: isWhole(filter)
      ? containerTotal(container, 'badges')
      : sql<{ total: number }>`select count(*) as total ${from}`,
  }
}

/** The badges that the rows of a query belong to (`badgeId`). */
export const badgesOf = (rows: Statement): Statement<BadgeRow> => sql<BadgeRow>`
  select ${badgeColumns} from badges b where b.id in (select badgeId from (${rows}))`

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

export type EarnableRow = Slugs & Pick<BadgeRow, 'slug' | 'name' | 'strapline' | 'image'>

/** The newest badges of a container that can be earned, by the slugs that address them. */
export const listEarnable = (container: Container, limit: number): Statement<EarnableRow> =>
  sql<EarnableRow>`
    select b.slug, b.name, b.strapline, b.image, ${containerSlugs}
    from badges b ${joinContainers('b')}
    where ${within(container)} ${isArchived(false)}
    order by b.id desc limit ${limit}`

const findByUid = (uid: string): Statement<BadgeRow> =>
  sql<BadgeRow>`select ${badgeColumns} from badges b where b.uid = ${uid}`

/** A badge by its permanent id, or only that it has ended. */
export const findBadgeByUid = (
  uid: string,
): Statement<BadgeRow & { endedAt: number | null }> => sql<BadgeRow & { endedAt: number | null }>`
  select ${badgeColumns}, coalesce(b.deletedAt, s.deletedAt, t.revokedAt) as endedAt
  from (select ${uid} as uid) q
  left join badges b on b.uid = q.uid
  left join systems s on s.id = b.systemId
  left join tombstones t on t.kind = 'badge' and t.uid = q.uid`

/** What a request may say of a badge. An absent member of a PUT leaves what stands; lists are replaced whole. */
export type BadgeInput = Partial<
  Omit<typeof badges.$inferInsert, Owned | Flag | 'type' | 'lists'> & {
    [flag in Flag]: boolean | null
  } & { type: string | null }
> &
  ListsInput

type Flag = 'unique' | 'archived'
/** What we keep of a badge, and no request says. */
type Owned =
  | 'id'
  | 'uid'
  | keyof Place
  | 'imageId'
  | 'image'
  | 'awarded'
  | 'version'
  | 'op'
  | 'createdAt'
  | 'updatedAt'
  | 'deletedAt'

const bit = (flag: boolean | null | undefined) => (flag == null ? undefined : flag ? 1 : 0)

/** The columns that a request sets; its lists, which are none, are left out by whoever writes them. */
const columnsOf = (input: BadgeInput) => ({
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
  const uid = await idFrom(op, 'uid', 16)
  const which = sql`uid = ${uid}`
  const done = wrote(badges, op, which)
  const values = { ...columnsOf(input), slug: input.slug ?? (await idFrom(op, 'slug', 16)) }
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
    of: { table: badges, id: row.id },
    events: [recordUpdate(caller, row)],
    audit: { systemId: row.systemId, target: `badges/${row.uid}` },
    read: [
      sql<BadgeRow>`${findByUid(row.uid)} and ${done}`,
      sql<{ live: 0 | 1 }>`select deletedAt is null as live from badges where ${which}`,
    ],
    forget: publicPathsOf(slugs, row),
  })
  return rows[0] ? { row: rows[0] } : { refused: state[0]?.live ? 'limit' : 'gone' }
}

/** Tells of a badge that `op` has written, as it is now. */
const recordUpdate = ({ op, now, env }: Caller, { id, systemId, uid }: BadgeRow) =>
  recordEach(op, now, {
    systemId,
    type: 'badge.updated',
    rows: sql`select b.*, ${badgeJson(env.PUBLIC_ORIGIN)} as told from badges b
      where b.id = ${id} and b.op = ${op}`,
    subject: sql`${uid}`,
    data: sql`'{"badge":' || x.told || '}'`,
  })

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
      touchLists(systemId, done),
    ],
    done,
    of: { table: badges, id },
    audit: { systemId, target: `badges/${row.uid}` },
    after: [
      sql`delete from milestoneBadges where (badgeId = ${id} or milestoneId in (${leading})) and ${done}`,
      sql`delete from milestones where primaryBadgeId = ${id} and ${done}`,
    ],
    read: [committed(op)],
    forget: publicPathsOf(slugs, row),
  })
  return rows.length > 0
}

const publicPathsOf = (slugs: Slugs, { slug, uid }: BadgeRow) => [
  ...badgePaths(slugs, slug).map(publicPath),
  ...badgeUidPaths(uid),
]
