/**
 * What an import has to tell: how far it is, what it wrote, what it changed on the way and what it could not take. It is kept
 * in files, so that an import that was stopped goes on where it was, and no line is told twice.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'

/** Rows of a table by the reason why. @typedef {Record<string, Record<string, number>>} Reasons */
/**
 * @typedef {object} State
 * @property {string} dump which file, by its size and beginning
 * @property {string} target
 * @property {string} op the name of the import, in every row that it writes
 * @property {string} secret random: ids of secrets are made of it
 * @property {number} now
 * @property {Record<string, number>} offsets what is added to the numbers of each table
 * @property {number} step
 * @property {number} rows how many rows of this step are done
 * @property {boolean} done
 * @property {Record<string, number>} written
 * @property {Reasons} changed
 * @property {Reasons} rejected
 * @property {number[]} badImages
 * @property {{ changed: number, rejected: number }} bytes the lengths of the two files
 * @property {number} ms
 */

export class Ledger {
  /** @param {string} stem the files' common path */
  constructor(stem) {
    this.paths = {
      state: `${stem}-state.json`,
      changed: `${stem}-changed.ndjson`,
      rejected: `${stem}-rejected.ndjson`,
      report: `${stem}-report.json`,
    }
    /** @type {{ changed: string[], rejected: string[] }} */
    this.lines = { changed: [], rejected: [] }
    /** @type {State} */
    this.state = /** @type {any} */ (null)
  }

  /**
   * The state of an import of this dump into this target that was not finished.
   * @param {string} dump
   * @param {string} target
   */
  resume(dump, target) {
    if (!existsSync(this.paths.state)) return null
    /** @type {State} */
    const state = JSON.parse(readFileSync(this.paths.state, 'utf8'))
    if (state.dump !== dump || state.target !== target) return null
    this.state = state
    for (const kind of /** @type {const} */ (['changed', 'rejected'])) {
      if (existsSync(this.paths[kind])) truncateSync(this.paths[kind], state.bytes[kind])
    }
    return state
  }

  /** @param {State} state */
  begin(state) {
    this.state = state
    for (const kind of /** @type {const} */ (['changed', 'rejected'])) {
      // Rows of people and secrets stand in them.
      writeFileSync(this.paths[kind], '', { mode: 0o600 })
    }
    this.save()
  }

  /**
   * @param {'changed' | 'rejected'} kind
   * @param {string} table
   * @param {string} reason
   * @param {Record<string, unknown>} line
   */
  tell(kind, table, reason, line) {
    const reasons = this.state[kind][table] ?? {}
    this.state[kind][table] = reasons
    reasons[reason] = (reasons[reason] ?? 0) + 1
    this.lines[kind].push(`${JSON.stringify({ table, reason, ...line })}\n`)
  }

  /** @param {string} table @param {number} [count] */
  wrote(table, count = 1) {
    this.state.written[table] = (this.state.written[table] ?? 0) + count
  }

  /** Writes down what has been told, then how far it is. */
  save() {
    for (const kind of /** @type {const} */ (['changed', 'rejected'])) {
      const text = this.lines[kind].join('')
      this.lines[kind] = []
      if (text === '') continue
      const file = openSync(this.paths[kind], 'a', 0o600)
      writeSync(file, text)
      fsyncSync(file)
      closeSync(file)
      this.state.bytes[kind] += Buffer.byteLength(text)
    }
    writeFileSync(`${this.paths.state}~`, JSON.stringify(this.state), { mode: 0o600 })
    renameSync(`${this.paths.state}~`, this.paths.state)
  }

  /** @param {unknown} report */
  finish(report) {
    for (const kind of /** @type {const} */ (['changed', 'rejected'])) {
      if (this.state.bytes[kind] === 0) rmSync(this.paths[kind], { force: true })
    }
    writeFileSync(this.paths.report, `${JSON.stringify(report, null, 2)}\n`)
  }

  forget() {
    rmSync(this.paths.state, { force: true })
  }
}

/** @param {Record<string, number> | undefined} reasons */
export const sum = (reasons) => Object.values(reasons ?? {}).reduce((a, b) => a + b, 0)
