/** `badgekit export`: everything in the database as NDJSON. Sealed secrets stay sealed. */
import { createHash } from 'node:crypto'
import { closeSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { note, progress, readOptions, Stop } from './lib/cli.mjs'
import { HELP as DATABASE, openDatabase, options } from './lib/database.mjs'
import { quoted } from './lib/sql.mjs'
import { inOrder, tablesOf } from './lib/tables.mjs'
import { needCheckout } from './lib/worker.mjs'

/** @typedef {import('./lib/database.mjs').Database} Database */
/** @typedef {import('./lib/tables.mjs').Table} Table */

export const help = `Usage: npx badgekit export --local | --remote [--out FILE]

  npx badgekit export --local --out backup.ndjson
  npx badgekit export --remote | gzip > backup.ndjson.gz

${DATABASE}
  --out FILE          where to (else standard output); only you may read it

One line a row, of every table; secrets stay encrypted, so it is of use only together with ENCRYPTION_KEYS.
Emails stand in it in plain. \`badgekit import FILE\` puts it into an empty database.
What is added while it runs is not in it, and what is changed may be in it in either form: it tells so. For a
moment in time, D1 has Time Travel (docs/operate.md).
`

const flags = /** @type {const} */ ({ ...options, out: { type: 'string' } })

/** How many rows one query reads, and how many bytes of blobs: one may be of 1.5 MB. */
const ROWS = 1_000
const BLOB_BYTES = 4_000_000

/** @param {string[]} argv */
export async function run(argv) {
  const { values, positionals } = readOptions(argv, flags, help)
  if (positionals.length > 0) throw new Stop(help, 2)
  needCheckout()
  const out = openOut(values.out)
  const line = progress()
  /** @type {Database | undefined} */
  let database
  try {
    database = await openDatabase(values)
    const { counts, added } = await writeAll(database, (text) => write(out.file, text), line.tell)
    line.end()
    out.keep()
    const rows = Object.values(counts).reduce((a, b) => a + b, 0)
    note(`${rows.toLocaleString('en')} rows of ${Object.keys(counts).length} tables`)
    if (added.length > 0) note(`Written meanwhile, and not in it: rows of ${added.join(', ')}`)
    return 0
  } finally {
    line.end()
    out.close()
    await database?.close()
  }
}

/** Where it goes: a file gets its name when it is whole, so that an older one is not lost to one that failed. @param {string | undefined} path */
function openOut(path) {
  if (path === undefined) return { file: 1, keep() {}, close() {} }
  const part = `${path}~`
  try {
    rmSync(part, { force: true })
    const file = openSync(part, 'wx', 0o600)
    return {
      file,
      keep: () => renameSync(part, path),
      close() {
        closeSync(file)
        rmSync(part, { force: true })
      },
    }
  } catch (error) {
    throw new Stop(`Cannot write ${path}: ${/** @type {NodeJS.ErrnoException} */ (error).code}.`, 2)
  }
}

/** @param {number} file @param {string} text */
function write(file, text) {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(file, bytes, at)
    } catch (error) {
      // A pipe whose reader is slow.
      if (/** @type {NodeJS.ErrnoException} */ (error).code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
    }
  }
}

/**
 * @param {Database} database
 * @param {(text: string) => void} out
 * @param {(line: string, part: number) => void} tell
 * @returns {Promise<{ counts: Record<string, number>, added: string[] }>} and the tables that grew meanwhile
 */
export async function writeAll(database, out, tell) {
  const { ordered } = inOrder(await tablesOf(database))
  const migrations = (await database.query('select name from d1_migrations order by id')).map(
    ({ name }) => name,
  )
  const ends = await endsOf(database, ordered)
  const all = Object.values(ends).reduce((a, b) => a + b, 0)
  const hash = createHash('sha256')
  const put = (/** @type {object} */ line) => {
    const text = `${JSON.stringify(line)}\n`
    hash.update(text)
    out(text)
  }
  put({ badgekit: 'export', format: 1, at: new Date().toISOString(), migrations })
  /** @type {Record<string, number>} */
  const counts = {}
  let passed = 0
  for (const table of ordered) {
    const end = ends[table.name] ?? 0
    let count = 0
    for await (const { rowid, row } of rowsOf(database, table, end)) {
      checkReferences(table, row, ends)
      put({ table: table.name, row })
      count++
      tell(`${table.name} ${count.toLocaleString('en')}`, (passed + rowid) / all)
    }
    counts[table.name] = count
    passed += end
  }
  // The numbers of deleted rows are not given again.
  const sequences = await database.query('select name, seq from sqlite_sequence order by name')
  const kept = sequences.filter(({ name }) => name in counts)
  put({
    end: true,
    counts,
    sequences: Object.fromEntries(kept.map(({ name, seq }) => [name, seq])),
  })
  out(`${JSON.stringify({ sha256: hash.digest('hex') })}\n`)
  const now = await endsOf(database, ordered)
  const added = Object.keys(now).filter((name) => (now[name] ?? 0) > (ends[name] ?? 0))
  return { counts, added }
}

/**
 * The last row of each table, all at one moment: a row may be added while others are read, and its parents would be missing.
 * @param {Database} database
 * @param {Table[]} tables
 * @returns {Promise<Record<string, number>>}
 */
async function endsOf(database, tables) {
  const ends = tables.map(
    ({ name }) => `(select coalesce(max(rowid), 0) from ${quoted(name)}) as ${quoted(name)}`,
  )
  return (await database.query(`select ${ends.join(', ')}`))[0]
}

/**
 * A row that was changed meanwhile may refer to one that was added, which no restore would take.
 * @param {Table} table
 * @param {Record<string, unknown>} row
 * @param {Record<string, number>} ends
 */
function checkReferences({ name, references }, row, ends) {
  for (const { column, table } of references) {
    const id = row[column]
    if (typeof id === 'number' && id > (ends[table] ?? 0)) {
      throw new Stop(
        `While it was read, a row of ${name} was changed to use a new one of ${table}: the export would not be whole. Run it again.`,
      )
    }
  }
}

/**
 * @param {Database} database
 * @param {Table} table
 * @param {number} end its last row
 * @returns {AsyncGenerator<{ rowid: number, row: Record<string, unknown> }>}
 */
async function* rowsOf(database, { name, columns }, end) {
  const list = columns.map((one) => {
    const column = quoted(one.name)
    return one.isBlob
      ? `case when ${column} is not null then hex(${column}) end as ${column}`
      : column
  })
  const blobs = columns.filter(({ isBlob }) => isBlob).map((one) => one.name)
  for (let after = 0; after < end; ) {
    const rows = await database.query(
      `select rowid as "$", ${list.join(', ')} from ${quoted(name)}
        where rowid > ${after} and rowid <= ${pageEnd(name, blobs, after, end)} order by rowid limit ${ROWS}`,
    )
    if (rows.length === 0) return
    for (const { $: rowid, ...row } of rows) {
      after = rowid
      for (const blob of blobs) {
        if (row[blob] !== null)
          row[blob] = { base64: Buffer.from(row[blob], 'hex').toString('base64') }
      }
      yield { rowid, row }
    }
  }
}

/**
 * The row, in SQL, up to which one query reads: the first in any case, the next as long as their blobs are not too many bytes.
 * @param {string} table
 * @param {string[]} blobs
 * @param {number} after
 * @param {number} end
 */
function pageEnd(table, blobs, after, end) {
  if (blobs.length === 0) return String(end)
  const bytes = blobs.map((blob) => `coalesce(length(${quoted(blob)}), 0)`).join(' + ')
  return `(select max(r) from (select r, n, sum(bytes) over (order by r) as total from
    (select rowid as r, row_number() over (order by rowid) as n, ${bytes} as bytes from ${quoted(table)}
      where rowid > ${after} and rowid <= ${end} order by rowid limit ${ROWS}))
    where n = 1 or total <= ${BLOB_BYTES})`
}
