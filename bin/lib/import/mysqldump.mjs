/**
 * Reads a mysqldump row by row. It is never held as a whole: the largest thing in memory is one row. Bytes are taken as
 * Latin-1, one character each, because a dump may hold raw blobs between its UTF-8 texts; `textOf` and `bytesOf` make of a
 * value what it is.
 */
import { closeSync, createReadStream, openSync, readSync } from 'node:fs'
import { createGunzip } from 'node:zlib'
import { Stop } from '../cli.mjs'

/** A text or blob as its bytes, one character each; a number as it was written; null. @typedef {string | null} Value */
/**
 * @typedef {object} Row
 * @property {string} table
 * @property {string[]} columns
 * @property {Value[]} values
 */
/**
 * What a dump holds beside its rows.
 * @typedef {object} Facts
 * @property {boolean} isUtc whether its timestamps say that they are in UTC
 * @property {string | null} charset what its texts are in
 * @property {boolean} isComplete whether it ends as mysqldump ends one
 */

const CHUNK = 1 << 20
const MORE = Symbol('the buffer ends within')
const QUOTE = 0x27
const DOUBLE = 0x22
const BACKSLASH = 0x5c
/** @type {Record<string, string>} */
const ESCAPES = { 0: '\0', b: '\b', n: '\n', r: '\r', t: '\t', Z: '\x1a' }

/** Whether a file is packed with gzip. @param {string} path */
export function isGzip(path) {
  const file = openSync(path, 'r')
  try {
    const head = Buffer.alloc(2)
    readSync(file, head, 0, 2, 0)
    return head[0] === 0x1f && head[1] === 0x8b
  } finally {
    closeSync(file)
  }
}

/** @param {string} path @param {number} size how many bytes come at once */
function openDump(path, size) {
  const file = createReadStream(path, { highWaterMark: size })
  return isGzip(path) ? file.pipe(createGunzip({ chunkSize: CHUNK })) : file
}

/**
 * The rows of some tables, in the order of the dump.
 * @param {string} path
 * @param {(table: string) => boolean} wants rows of other tables are passed over without being read
 * @param {{ facts?: Facts, onBytes?: (read: number) => void, chunk?: number }} [more]
 * @returns {AsyncGenerator<Row>}
 */
export async function* rowsOf(path, wants, { facts, onBytes, chunk: size = CHUNK } = {}) {
  const reader = new Reader(wants)
  let read = 0
  /** What has come since the buffer was too short: a row of many pieces is not read anew with each of them. */
  let waiting = /** @type {string[]} */ ([])
  let waited = 0
  for await (const chunk of openDump(path, size)) {
    read += chunk.length
    waiting.push(chunk.toString('latin1'))
    waited += chunk.length
    if (waited < reader.rest) continue
    reader.add(waiting.join(''))
    waiting = []
    waited = 0
    yield* reader.rows()
    onBytes?.(read)
  }
  reader.add(waiting.join(''))
  reader.isLast = true
  yield* reader.rows()
  if (facts)
    Object.assign(facts, {
      isUtc: reader.isUtc,
      charset: reader.charset,
      isComplete: reader.isComplete,
    })
}

class Reader {
  /** @param {(table: string) => boolean} wants */
  constructor(wants) {
    this.wants = wants
    this.text = ''
    this.at = 0
    this.isLast = false
    this.isUtc = false
    this.isComplete = false
    /** @type {string | null} */
    this.charset = null
    /** The columns of each table, from its CREATE TABLE. @type {Map<string, string[]>} */
    this.known = new Map()
    /** The INSERT that is being read. @type {{ table: string, columns: string[] } | null} */
    this.insert = null
    /** Where to go on passing over, when a statement is longer than the buffer. */
    this.passing = false
  }

  get rest() {
    return this.text.length - this.at
  }

  /** @param {string} text */
  add(text) {
    this.text = this.text.slice(this.at) + text
    this.at = 0
  }

  /** @returns {Generator<Row>} */
  *rows() {
    for (;;) {
      const start = this.at
      const row = this.next()
      if (row === MORE) {
        if (this.isLast) throw this.cutOff()
        // A statement that is passed over need not be kept.
        if (!this.passing) this.at = start
        return
      }
      if (row === null) return
      if (row !== undefined) yield row
    }
  }

  cutOff() {
    const where = this.insert ? ` of \`${this.insert.table}\`` : ''
    return new Stop(`The dump ends in the middle of a statement${where}: it is not whole.`)
  }

  /** The next row; undefined when something else was read, null at the end. @returns {Row | undefined | null | typeof MORE} */
  next() {
    if (this.passing) return this.pass()
    if (this.insert) return this.readRow(this.insert)
    const blank = this.skipBlank()
    if (blank !== undefined) return blank
    if (this.at >= this.text.length) return this.isLast ? null : MORE
    return this.readStatement()
  }

  /** Passes over spaces and comments. @returns {undefined | null | typeof MORE} */
  skipBlank() {
    for (;;) {
      while (this.at < this.text.length && /[\s;]/.test(this.text[this.at] ?? '')) this.at++
      if (this.text.startsWith('/*', this.at)) {
        const end = this.text.indexOf('*/', this.at + 2)
        if (end === -1) return MORE
        const comment = this.text.slice(this.at, end)
        if (/TIME_ZONE\s*=\s*'\+00:00'/i.test(comment)) this.isUtc = true
        this.charset ??= /SET NAMES '?(\w+)/i.exec(comment)?.[1] ?? null
        this.at = end + 2
      } else if (/^(?:--(?:[\s]|$)|#)/.test(this.text.slice(this.at, this.at + 3))) {
        const end = this.text.indexOf('\n', this.at)
        if (end === -1 && !this.isLast) return MORE
        const stop = end === -1 ? this.text.length : end
        if (this.text.slice(this.at, stop).includes('Dump completed')) this.isComplete = true
        this.at = stop
      } else if (this.rest < 3 && !this.isLast) {
        return this.rest === 0 ? undefined : MORE
      } else {
        return undefined
      }
    }
  }

  /** Reads the head of a statement, or all of it. @returns {undefined | typeof MORE} */
  readStatement() {
    // Enough for the names of many columns; the values come after.
    const head = this.text.slice(this.at, this.at + 65_536)
    const insert = INSERT.exec(head)
    // Cut off behind `VALUE`, it would be read as a word of its own.
    if (insert && insert[0].length < this.rest) {
      const table = unquoted(insert[1] ?? '')
      if (!this.wants(table)) return this.startPassing()
      const columns = insert[2] ? namesOf(insert[2]) : this.known.get(table)
      if (!columns) {
        throw new Stop(
          `The dump does not say which columns \`${table}\` has. Make it with CREATE TABLE statements, or with --complete-insert.`,
        )
      }
      this.at += insert[0].length
      this.insert = { table, columns }
      return undefined
    }
    if (/^(?:INSERT|REPLACE)\b/i.test(head) && this.rest < 65_536 && !this.isLast) return MORE
    if (/^DELIMITER\s/i.test(head)) return this.skipDelimited()
    if (/^CREATE\s+TABLE\b/i.test(head)) return this.readCreate()
    if (this.rest < 64 && !this.isLast) return MORE
    if (/^SET\s+(?:SESSION\s+|@@)?TIME_ZONE\s*=\s*'\+00:00'/i.test(head)) this.isUtc = true
    return this.startPassing()
  }

  startPassing() {
    this.passing = true
    return undefined
  }

  /** Passes over the rest of a statement. @returns {undefined | typeof MORE} */
  pass() {
    const { text } = this
    for (;;) {
      TO_SEMICOLON.lastIndex = this.at
      const found = TO_SEMICOLON.exec(text)
      if (!found) {
        this.at = text.length
        return MORE
      }
      const quote = found[0]
      if (quote === ';') {
        this.at = found.index + 1
        this.passing = false
        return undefined
      }
      const end = endOfString(text, found.index + 1, quote.charCodeAt(0))
      if (end === -1) {
        this.at = found.index
        return MORE
      }
      this.at = end
    }
  }

  /** Triggers and procedures of a dump: their statements end with `;;`. @returns {undefined | typeof MORE} */
  skipDelimited() {
    const end = /\nDELIMITER\s+;(?!;)/i.exec(this.text.slice(this.at))
    if (!end) return this.isLast ? this.toEnd() : MORE
    this.at += end.index + end[0].length
    return undefined
  }

  toEnd() {
    this.at = this.text.length
    return undefined
  }

  /** @returns {undefined | typeof MORE} */
  readCreate() {
    const end = endOfStatement(this.text, this.at)
    if (end === -1) return MORE
    const statement = this.text.slice(this.at, end)
    const name =
      /^CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?((?:`[^`]*`|[\w$]+)(?:\.(?:`[^`]*`|[\w$]+))?)/i.exec(
        statement,
      )
    const body = statement.slice(statement.indexOf('(') + 1)
    // mysqldump writes one column a line, and keys after them without a quoted name at the start.
    const columns = [...body.matchAll(/(?:^|\n)\s*`([^`]+)`\s/g)].map(([, column = '']) => column)
    if (name) this.known.set(unquoted(name[1] ?? ''), columns)
    this.at = end + 1
    return undefined
  }

  /**
   * A row of an INSERT, or its end.
   * @param {{ table: string, columns: string[] }} insert
   * @returns {Row | undefined | typeof MORE}
   */
  readRow(insert) {
    const { text } = this
    let at = afterSpace(text, this.at)
    if (at < text.length && text[at] === ',') at = afterSpace(text, at + 1)
    if (at >= text.length) return MORE
    if (text[at] !== '(') {
      // ON DUPLICATE KEY UPDATE, or the end.
      this.at = at
      this.insert = null
      return this.startPassing()
    }
    /** @type {Value[]} */
    const values = []
    for (at++; ; at++) {
      const read = readValue(text, afterSpace(text, at))
      if (read === MORE) return MORE
      values.push(read.value)
      at = afterSpace(text, read.end)
      if (at >= text.length) return MORE
      if (text[at] === ')') break
      if (text[at] !== ',') throw this.strange(at)
    }
    if (values.length !== insert.columns.length) throw this.strange(this.at)
    this.at = at + 1
    return { table: insert.table, columns: insert.columns, values }
  }

  /** @param {number} at */
  strange(at) {
    const near = this.text.slice(Math.max(0, at - 20), at + 20).replace(/\s+/g, ' ')
    return new Stop(`Cannot read a row of \`${this.insert?.table}\` near: ${near}`)
  }
}

const NAME = '(?:`[^`]*`|[\\w$]+)'
const INSERT = new RegExp(
  `^(?:INSERT|REPLACE)\\s+(?:(?:LOW_PRIORITY|DELAYED|HIGH_PRIORITY|IGNORE)\\s+)*(?:INTO\\s+)?(${NAME}(?:\\.${NAME})?)\\s*(?:\\(([^)]*)\\)\\s*)?VALUES?\\s*`,
  'i',
)
const TO_SEMICOLON = /[;'"`]/g

/** @param {string} name */
const unquoted = (name) => /(?:`([^`]*)`|([\w$]+))$/.exec(name)?.slice(1).find(Boolean) ?? name
/** @param {string} list */
const namesOf = (list) => list.split(',').map((name) => unquoted(name.trim()))

/**
 * @param {string} text
 * @param {number} at
 */
function afterSpace(text, at) {
  for (;;) {
    const code = text.charCodeAt(at)
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return at
    at++
  }
}

/**
 * Where a quoted text ends that begins before `at`, behind its quote; -1 when that is not in the buffer.
 * @param {string} text
 * @param {number} at
 * @param {number} quote
 */
function endOfString(text, at, quote) {
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === BACKSLASH && quote !== 0x60) at++
    else if (code === quote) {
      // The next character decides whether it was one half of a doubled quote.
      if (at + 1 >= text.length) return -1
      if (text.charCodeAt(at + 1) !== quote) return at + 1
      at++
    }
  }
  return -1
}

/**
 * @param {string} text
 * @param {number} at
 */
function endOfStatement(text, at) {
  for (;;) {
    TO_SEMICOLON.lastIndex = at
    const found = TO_SEMICOLON.exec(text)
    if (!found) return -1
    if (found[0] === ';') return found.index
    at = endOfString(text, found.index + 1, found[0].charCodeAt(0))
    if (at === -1) return -1
  }
}

const WORD = /[^,)\s]*/y

/**
 * @param {string} text
 * @param {number} at
 * @returns {{ value: Value, end: number } | typeof MORE}
 */
function readValue(text, at) {
  const code = text.charCodeAt(at)
  if (code === QUOTE || code === DOUBLE) return readString(text, at, code)
  WORD.lastIndex = at
  const word = WORD.exec(text)?.[0] ?? ''
  const end = at + word.length
  if (end >= text.length) return MORE
  // `_binary 'x'`, `_utf8mb4'x'`: the introducer says how to read the bytes, which the column says as well.
  const introducer = /^_\w+/.exec(word)?.[0]
  if (introducer) return readValue(text, afterSpace(text, at + introducer.length))
  if (/^(?:x|b)'/i.test(word)) return { value: radix(word.slice(2, -1), word[0] ?? ''), end }
  if (/^0[xb]/i.test(word)) return { value: radix(word.slice(2), word[1] ?? ''), end }
  if (/^null$/i.test(word)) return { value: null, end }
  if (/^(?:true|false)$/i.test(word)) return { value: /^t/i.test(word) ? '1' : '0', end }
  return { value: word, end }
}

/**
 * @param {string} digits
 * @param {string} kind
 */
function radix(digits, kind) {
  if (/b/i.test(kind)) return String(Number.parseInt(digits, 2))
  return Buffer.from(digits, 'hex').toString('latin1')
}

/**
 * @param {string} text
 * @param {number} at
 * @param {number} quote
 * @returns {{ value: string, end: number } | typeof MORE}
 */
function readString(text, at, quote) {
  const end = endOfString(text, at + 1, quote)
  if (end === -1) return MORE
  const inner = text.slice(at + 1, end - 1)
  const mark = String.fromCharCode(quote)
  if (!inner.includes('\\') && !inner.includes(mark)) return { value: inner, end }
  const doubled = quote === QUOTE ? /\\([\s\S])|''/g : /\\([\s\S])|""/g
  return {
    value: inner.replace(doubled, (_, escaped) =>
      escaped === undefined ? mark : (ESCAPES[escaped] ?? escaped),
    ),
    end,
  }
}

/** A value of a text column. @param {Value | undefined} value @returns {string | null} */
export function textOf(value) {
  if (value == null) return null
  // Most texts are ASCII, which is the same in both.
  return NOT_ASCII.test(value) ? Buffer.from(value, 'latin1').toString('utf8') : value
}
const NOT_ASCII = /[^\0-\x7f]/

/** A value of a blob. @param {Value | undefined} value */
export const bytesOf = (value) => (value == null ? null : Buffer.from(value, 'latin1'))
