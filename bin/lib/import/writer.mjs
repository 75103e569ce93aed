/** Writes what an import makes: rows wait until they are worth a call, then all of them go in, or none. */
import { inserts } from '../sql.mjs'

/** @typedef {import('../database.mjs').Database} Database */
/** @typedef {import('./ledger.mjs').Ledger} Ledger */

export class Writer {
  /** @param {Database} database @param {Ledger} ledger */
  constructor(database, ledger) {
    this.database = database
    this.ledger = ledger
    /** @type {Map<string, Record<string, unknown>[]>} */
    this.waiting = new Map()
    /** @type {string[]} */
    this.statements = []
    this.size = 0
    this.started = Date.now()
    this.peak = 0
  }

  get isFull() {
    return this.size >= this.database.batch
  }

  /**
   * @param {string} table
   * @param {Record<string, unknown>} row
   * @param {boolean} [isCounted] whether it stands for a row of the dump
   */
  put(table, row, isCounted = true) {
    const rows = this.waiting.get(table)
    if (rows) rows.push(row)
    else this.waiting.set(table, [row])
    for (const value of Object.values(row)) {
      this.size +=
        typeof value === 'string'
          ? value.length + 3
          : value instanceof Uint8Array
            ? 2 * value.length
            : 8
    }
    if (isCounted) this.ledger.wrote(table === 'keys' ? 'consumers' : table)
  }

  /** A statement that follows the rows. @param {string} sql */
  also(sql) {
    this.statements.push(sql)
    this.size += sql.length
  }

  /** @param {number} rows how many of the step's rows are done then */
  async flush(rows) {
    const statements = [...this.waiting].flatMap(([table, list]) => inserts(table, list))
    statements.push(...this.statements)
    this.waiting.clear()
    this.statements = []
    this.size = 0
    for (const part of parts(statements, this.database.batch)) await this.database.run(part)
    this.ledger.state.rows = rows
    this.ledger.state.ms += Date.now() - this.started
    this.started = Date.now()
    this.peak = Math.max(this.peak, process.memoryUsage.rss())
    this.ledger.save()
  }
}

/**
 * Statements in portions that one call carries.
 * @param {string[]} statements
 * @param {number} bytes
 */
function* parts(statements, bytes) {
  /** @type {string[]} */
  let part = []
  let size = 0
  for (const statement of statements) {
    if (part.length > 0 && size + statement.length > 2 * bytes) {
      yield part
      part = []
      size = 0
    }
    part.push(statement)
    size += statement.length
  }
  if (part.length > 0) yield part
}
