import { type SQL, sql } from 'drizzle-orm'

/** A badge's four lists: rows of tables of their own, and once more in its own row, as answers show them. */

type Criterion = {
  id?: number | null
  description: string
  required?: boolean | null
  note?: string | null
}
type Alignment = { id?: number | null; name: string; url: string; description?: string | null }

/** A list that a request gives is replaced whole; one that it does not give stays. */
export type ListsInput = Partial<{
  criteria: Criterion[] | null
  alignments: Alignment[] | null
  categories: string[] | null
  tags: string[] | null
}>

/** Replaces the lists that the request gives, if `op` wrote the badge. Items that carry the id of one of this badge keep it. */
export function replaceLists(which: SQL, op: string, input: ListsInput): SQL[] {
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
export const showLists = (which: SQL, op: string) => sql`
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
