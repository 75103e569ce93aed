import { env } from 'cloudflare:workers'
import { getTableColumns, getTableName } from 'drizzle-orm'
import type { SQLiteTable } from 'drizzle-orm/sqlite-core'
import { expect } from 'vitest'
import type { Answer } from './api'
import { outbox, rows } from './seed'

type Call = () => Promise<Answer>

/** All columns of a table as one text; images without their bytes. */
function textOf(table: SQLiteTable): string {
  const columns = Object.keys(getTableColumns(table)).filter((name) => name !== 'data')
  // No function takes more than 32 arguments here.
  const half = columns.length >> 1
  const row = [columns.slice(0, half), columns.slice(half)]
    .map((some) => `json_array(${some.map((name) => `"${name}"`)})`)
    .join(' || ')
  return `(select group_concat(${row}, char(10)) from ${getTableName(table)})`
}

async function answered(status: number, call: Call): Promise<Answer> {
  const answer = await call()
  expect(answer.status, JSON.stringify(answer.body)).toBe(status)
  return answer
}

/** Looks at what a call does to these tables: all that a request of the kind could change, the outbox among them. */
export function watch(...tables: SQLiteTable[]) {
  const state = () => env.DB.prepare(`select ${tables.map(textOf)}`).raw()

  /** Leaves all of them as they were. */
  async function changesNothing<T>(calls: () => Promise<T>): Promise<T> {
    const before = await state()
    const result = await calls()
    expect(await state()).toEqual(before)
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

/** Writes, once, and puts nothing in the outbox. */
export async function quietly(status: number, call: Call): Promise<Answer> {
  const before = { outbox: await outbox(), audit: await rows('audit') }
  const answer = await answered(status, call)
  expect({ outbox: await outbox(), audit: await rows('audit') }).toEqual({
    outbox: before.outbox,
    audit: before.audit + 1,
  })
  return answer
}
