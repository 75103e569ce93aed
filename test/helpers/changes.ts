import { env } from 'cloudflare:workers'
import { getTableColumns, getTableName } from 'drizzle-orm'
import type { SQLiteTable } from 'drizzle-orm/sqlite-core'
import { expect } from 'vitest'
import type { EventType } from '../../src/events'
import type { Answer } from './api'
import { rows } from './seed'

type Call = () => Promise<Answer>

/** All columns of a table as one text; images without their bytes. */
function textOf(table: SQLiteTable): string {
  const columns = Object.entries(getTableColumns(table)).flatMap(([name, column]) => {
    if (name === 'data') return []
    return column.getSQLType() === 'blob' ? `hex("${name}")` : `"${name}"`
  })
  // No function takes more than 32 arguments here.
  const half = columns.length >> 1
  const row = [columns.slice(0, half), columns.slice(half)]
    .map((some) => `json_array(${some})`)
    .join(' || ')
  return `(select group_concat(${row}, char(10)) from ${getTableName(table)})`
}

async function answered(status: number, call: Call): Promise<Answer> {
  const answer = await call()
  expect(answer.status, JSON.stringify(answer.body)).toBe(status)
  return answer
}

/**
 * Looks at what a call does to these tables: all that a request of the kind could change, the outbox among them. What they
 * held before is kept in the database and compared there: it is long, and is only told where it differs.
 */
export function watch(...tables: SQLiteTable[]) {
  const names = tables.map(getTableName)
  const keep = `insert into watched values ${tables.map((table) => `(?1, '${getTableName(table)}', ${textOf(table)})`)}`
  const compare = `select ${tables.map(
    (table) => `(select iif(text is now, null, json_array(text, now))
      from (select text, ${textOf(table)} as now from watched
        where run = ?1 and name = '${getTableName(table)}'))`,
  )}`
  const remove = 'delete from watched where run = ?1'

  /** Leaves all of them as they were. */
  async function changesNothing<T>(calls: () => Promise<T>): Promise<T> {
    const run = crypto.randomUUID()
    await env.DB.batch([
      env.DB.prepare(
        'create table if not exists watched (run, name, text, primary key (run, name))',
      ),
      env.DB.prepare(keep).bind(run),
    ])
    const result = await calls()
    const [compared] = await env.DB.batch<Record<string, string | null>>([
      env.DB.prepare(compare).bind(run),
      env.DB.prepare(remove).bind(run),
    ])
    const columns = Object.values(compared?.results[0] ?? {})
    expect(columns).toHaveLength(names.length)
    const changed = columns.flatMap((column, i) =>
      column === null ? [] : [{ name: names[i], pair: JSON.parse(column) as unknown[] }],
    )
    const texts = (which: number) => changed.map(({ name, pair }) => ({ [`${name}`]: pair[which] }))
    expect(texts(1)).toEqual(texts(0))
    return result
  }

  return {
    changesNothing,
    /** Refuses, and changes nothing; gives the answer's body. */
    refused: (status: number, call: Call) => changesNothing(() => refusal(status, call)),
  }
}

/** Refuses; gives the answer's body. */
export const refusal = async (status: number, call: Call) => (await answered(status, call)).body

/** The types of the events so far, in the order of their making. */
async function eventTypes(): Promise<string[]> {
  const { results } = await env.DB.prepare('select type from events order by rowid').all<{
    type: string
  }>()
  return results.map(({ type }) => type)
}

/** Writes, once, and puts nothing in the outbox. */
export const quietly = (status: number, call: Call): Promise<Answer> => tells([], status, call)

/** Writes, once, and records events of exactly these types, in this order. */
export async function tells(
  types: readonly EventType[],
  status: number,
  call: Call,
): Promise<Answer> {
  const before = { types: await eventTypes(), audit: await rows('audit') }
  const answer = await answered(status, call)
  expect({ types: await eventTypes(), audit: await rows('audit') }).toEqual({
    types: [...before.types, ...types],
    audit: before.audit + 1,
  })
  return answer
}
