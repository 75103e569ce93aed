import { type SQL, sql } from 'drizzle-orm'
import type { badges } from '../../drizzle/schema'
import type { List, SortKey } from './db'

/**
 * Which badges a list shows, and in which order. Both are looked for among the badges of the container alone, each of which is
 * read: a system has as many as its people have thought of, not as many as they have awarded.
 */

export type BadgeFilter = {
  /** Null for both kinds. */
  archived: boolean | null
  tag: string | null
  category: string | null
  /** Each of these words stands somewhere in the badge's texts. */
  search: readonly string[] | null
  /** Milliseconds. */
  updatedSince: number | null
  sort: (typeof BADGE_SORTS)[number] | null
}

export const isArchived = (archived: boolean | null) =>
  archived === null ? sql`` : sql`and b.archived = ${archived ? 1 : 0}`

/** Whether the total of a list is that of its container. */
export const isWhole = ({ archived, tag, category, search, updatedSince }: BadgeFilter) =>
  [archived, tag, category, search, updatedSince].every((one) => one === null)

/** What `badges b` must fulfil beside standing in the container, in SQL. */
export const passes = ({ archived, tag, category, search, updatedSince }: BadgeFilter): SQL =>
  sql.join([
    isArchived(archived),
    ...(tag === null ? [] : [has('tags', tag)]),
    ...(category === null ? [] : [has('categories', category)]),
    ...(search === null ? [] : [holds(search)]),
    ...(updatedSince === null ? [] : [sql` and b.updatedAt >= ${updatedSince}`]),
  ])

const has = (table: 'tags' | 'categories', value: string) => sql`
  and exists (select 1 from ${sql.raw(table)} v where v.badgeId = b.id and v.value = ${value} collate nocase)`

/** The texts of `badges b` that are searched, with a line feed between them, which no word holds. */
const TEXTS = sql.raw(`lower(
  b.name || char(10) || coalesce(b.strapline, '') || char(10) || b.earnerDescription || char(10) || b.consumerDescription
    || char(10) || coalesce((
      select group_concat(json_extract(t.value, '$.value'), char(10)) from json_each(b.lists, '$.tags') t), ''))`)

/** `instr` knows no wildcards, and no limit of 50 bytes, which D1 sets to the patterns of LIKE; both fold ASCII alone. */
const holds = (words: readonly string[]) => sql`
  and not exists (select 1 from json_each(${JSON.stringify(words)}) w where instr(${TEXTS}, lower(w.value)) = 0)`

// ── Order ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** From the first to the last, and with a minus from the last to the first. */
export const BADGE_SORTS = [
  ...(['name', '-name', 'created', '-created'] as const),
  ...(['updated', '-updated', 'awarded', '-awarded'] as const),
] as const

type Sortable = Pick<
  typeof badges.$inferSelect,
  'id' | 'name' | 'createdAt' | 'updatedAt' | 'awarded'
>
type Placed = Pick<List<Sortable>, 'keyOf' | 'keyLength' | 'textFirst'> & {
  order: SQL
  isAfter: (after: SortKey) => SQL
}

const VALUES: Record<string, { column: SQL; of: (row: Sortable) => string | number }> = {
  name: { column: sql`b.name collate nocase`, of: ({ name }) => name },
  created: { column: sql`b.createdAt`, of: ({ createdAt }) => createdAt },
  updated: { column: sql`b.updatedAt`, of: ({ updatedAt }) => updatedAt },
  awarded: { column: sql`b.awarded`, of: ({ awarded }) => awarded },
}

/** Where badges stand in a list; those that are alike in what is sorted by, and all where nothing is, by their ids. */
export function placed(sort: BadgeFilter['sort']): Placed {
  const isBackwards = sort?.startsWith('-') ?? false
  const value = VALUES[sort?.replace('-', '') ?? '']
  if (!value) {
    return {
      order: sql`b.id`,
      isAfter: ([id]) => sql`and b.id > ${id}`,
      keyOf: ({ id }) => [id],
    }
  }
  const { column, of } = value
  const [direction, beyond] = isBackwards ? [sql`desc`, sql`<`] : [sql`asc`, sql`>`]
  return {
    order: sql`${column} ${direction}, b.id ${direction}`,
    isAfter: ([last, id]) => sql`
      and (${column} ${beyond} ${last} or (${column} = ${last} and b.id ${beyond} ${id}))`,
    keyOf: (row) => [of(row), row.id],
    keyLength: 2,
    textFirst: value === VALUES.name,
  }
}
