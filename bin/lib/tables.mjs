/** The tables of a database as it is, so that a table of a later migration comes along by itself. */
import { quoted } from './sql.mjs'

/**
 * @typedef {object} Table
 * @property {string} name
 * @property {{ name: string, isBlob: boolean, isNullable: boolean }[]} columns without those that are computed
 * @property {{ column: string, table: string }[]} references
 */

/** @param {import('./database.mjs').Database} database @returns {Promise<Table[]>} */
export async function tablesOf(database) {
  const rows = await database.query(
    `select name from sqlite_master where type = 'table' and name not like 'sqlite!_%' escape '!'
      and name not like '!_cf!_%' escape '!' and name not like 'd1!_%' escape '!' order by name`,
  )
  /** @type {Table[]} */
  const tables = []
  for (const { name } of rows) {
    const columns = await database.query(`pragma table_xinfo(${quoted(name)})`)
    const references = await database.query(`pragma foreign_key_list(${quoted(name)})`)
    tables.push({
      name,
      columns: columns
        .filter(({ hidden }) => hidden === 0)
        .map((one) => ({
          name: one.name,
          isBlob: /blob/i.test(one.type),
          isNullable: one.notnull === 0,
        })),
      references: references.map((one) => ({ column: one.from, table: one.table })),
    })
  }
  return tables
}

/**
 * The tables so that each comes after those it refers to, and the columns that must wait because they refer in a circle.
 * @param {Table[]} tables
 */
export function inOrder(tables) {
  /** @type {Table[]} */
  const ordered = []
  /** @type {Map<string, string[]>} */
  const late = new Map()
  let rest = tables
  const isReady = (/** @type {Table} */ { name, references }, ignoreNullable = false) =>
    references.every(
      ({ table, column }) =>
        ordered.some((one) => one.name === table) ||
        !tables.some((one) => one.name === table) ||
        (ignoreNullable && isNullable(tables, name, column)),
    )
  while (rest.length > 0) {
    const next = rest.find((one) => isReady(one)) ?? rest.find((one) => isReady(one, true))
    if (!next)
      throw new Error(`Tables refer in a circle: ${rest.map(({ name }) => name).join(', ')}`)
    const waiting = next.references.filter(
      ({ table }) => !ordered.some((one) => one.name === table),
    )
    if (waiting.length > 0)
      late.set(
        next.name,
        waiting.map(({ column }) => column),
      )
    ordered.push(next)
    rest = rest.filter((one) => one !== next)
  }
  return { ordered, late }
}

/** @param {Table[]} tables @param {string} name @param {string} column */
const isNullable = (tables, name, column) =>
  tables.find((one) => one.name === name)?.columns.find((one) => one.name === column)
    ?.isNullable === true
