/** Statements as text: the same text goes to a local database and, in files, to a remote one. */

/** D1 refuses a statement that is longer than 100,000 bytes. */
export const MAX_STATEMENT = 90_000
/** How many bytes of a blob one statement carries: two digits each. */
const BLOB_PIECE = 40_000

/** A piece of SQL that is not a value. */
export class Raw {
  /** @param {string} sql */
  constructor(sql) {
    this.sql = sql
  }
}
/** @param {string} sql */
export const raw = (sql) => new Raw(sql)

/**
 * @param {unknown} value
 * @returns {string}
 */
export function literal(value) {
  if (value === null || value === undefined) return 'null'
  if (value instanceof Raw) return value.sql
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : 'null'
  if (typeof value === 'boolean') return value ? '1' : '0'
  if (value instanceof Uint8Array) return `x'${Buffer.from(value).toString('hex')}'`
  const text = String(value)
  // SQL text ends at a NUL for more than one reader of such files.
  if (text.includes('\0')) return `cast(x'${Buffer.from(text).toString('hex')}' as text)`
  return `'${text.replaceAll("'", "''")}'`
}

/** @param {string} name */
export const quoted = (name) => `"${name.replaceAll('"', '""')}"`

/**
 * Rows of one table as statements, none too long. A row that stands already stays as it is, so that they may be run again.
 * @param {string} table
 * @param {Record<string, unknown>[]} rows all with the same members
 * @returns {string[]}
 */
export function inserts(table, rows) {
  const [first] = rows
  if (!first) return []
  const columns = Object.keys(first)
  const head = `insert or ignore into ${quoted(table)} (${columns.map(quoted).join(',')}) values `
  /** @type {string[]} */
  const statements = []
  let text = ''
  let size = 0
  const flush = () => {
    if (text) statements.push(head + text)
    text = ''
    size = 0
  }
  for (const row of rows) {
    const values = `(${columns.map((name) => literal(row[name])).join(',')})`
    const bytes = Buffer.byteLength(values)
    if (bytes + head.length > MAX_STATEMENT) {
      flush()
      statements.push(...insertInPieces(table, row))
      continue
    }
    if (size + bytes + head.length > MAX_STATEMENT) flush()
    text += (text ? ',' : '') + values
    size += bytes + 1
  }
  flush()
  return statements
}

/**
 * One row that is too long for a statement: without its long values, which are then put on piece by piece. Each piece is
 * put on only where it belongs, so that a statement that is run twice does nothing the second time.
 * @param {string} table
 * @param {Record<string, unknown>} row
 * @returns {string[]}
 */
function insertInPieces(table, row) {
  /** @type {[string, Buffer, 'blob' | 'text'][]} */
  const long = []
  const short = { ...row }
  for (const [name, value] of Object.entries(row)) {
    const bytes =
      typeof value === 'string' || value instanceof Uint8Array ? Buffer.from(value) : undefined
    if (!bytes || bytes.length < 4_000) continue
    const type = typeof value === 'string' ? 'text' : 'blob'
    long.push([name, bytes, type])
    short[name] = type === 'text' ? '' : raw(`x''`)
  }
  const which = row.id === undefined ? null : `id = ${literal(row.id)}`
  if (!which || long.length === 0) throw new Error(`A row of ${table} is too long`)
  const columns = Object.keys(short)
  const values = columns.map((name) => literal(short[name])).join(',')
  const statements = [
    `insert or ignore into ${quoted(table)} (${columns.map(quoted).join(',')}) values (${values})`,
  ]
  for (const [name, bytes, type] of long) {
    for (let from = 0; from < bytes.length; from += BLOB_PIECE) {
      const piece = bytes.subarray(from, from + BLOB_PIECE)
      const column = quoted(name)
      // `||` of two blobs is their bytes as a text.
      statements.push(
        `update ${quoted(table)} set ${column} = cast(cast(${column} as blob) || ${literal(piece)} as ${type})` +
          ` where ${which} and length(cast(${column} as blob)) = ${from}`,
      )
    }
  }
  return statements
}
