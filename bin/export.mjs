/** `badgekit export`: everything in the database as NDJSON. Sealed secrets stay sealed. */
import { createHash } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'
import { note, progress, readOptions, Stop } from './lib/cli.mjs'
import { HELP as DATABASE, openDatabase, options } from './lib/database.mjs'
import { quoted } from './lib/sql.mjs'
import { inOrder, tablesOf } from './lib/tables.mjs'

/** @typedef {import('./lib/database.mjs').Database} Database */
/** @typedef {import('./lib/tables.mjs').Table} Table */

export const help = `Usage: npx badgekit export --local | --remote [--out FILE]

  npx badgekit export --local --out backup.ndjson
  npx badgekit export --remote | gzip > backup.ndjson.gz

${DATABASE}
  --out FILE          where to (else standard output); only you may read it

One line a row, of every table; secrets stay encrypted, so it is of use only together with ENCRYPTION_KEYS.
Emails stand in it in plain. \`badgekit import FILE\` puts it into an empty database.
Export while nobody writes: rows that change during it may be in it in either form.
`

const flags = /** @type {const} */ ({ ...options, out: { type: 'string' } })

/** How many rows one query reads; of those with blobs few, because one may be of 1.5 MB. */
const ROWS = 1_000
const BLOBS = 8

/** @param {string[]} argv */
export async function run(argv) {
  const { values, positionals } = readOptions(argv, flags, help)
  if (positionals.length > 0) throw new Stop(help, 2)
  const database = await openDatabase(values)
  const file = values.out === undefined ? 1 : openSync(values.out, 'w', 0o600)
  const line = progress()
  try {
    const counts = await writeAll(database, (text) => write(file, text), line.tell)
    line.end()
    const rows = Object.values(counts).reduce((a, b) => a + b, 0)
    note(`${rows.toLocaleString('en')} rows of ${Object.keys(counts).length} tables`)
    return 0
  } finally {
    line.end()
    if (file !== 1) closeSync(file)
    await database.close()
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
 * @param {(line: string) => void} tell
 */
export async function writeAll(database, out, tell) {
  const { ordered } = inOrder(await tablesOf(database))
  const migrations = (await database.query('select name from d1_migrations order by id')).map(
    ({ name }) => name,
  )
  const hash = createHash('sha256')
  const put = (/** @type {object} */ line) => {
    const text = `${JSON.stringify(line)}\n`
    hash.update(text)
    out(text)
  }
  put({ badgekit: 'export', format: 1, at: new Date().toISOString(), migrations })
  /** @type {Record<string, number>} */
  const counts = {}
  for (const table of ordered) {
    counts[table.name] = 0
    for await (const row of rowsOf(database, table)) {
      put({ table: table.name, row })
      counts[table.name] = (counts[table.name] ?? 0) + 1
      tell(`${table.name} ${counts[table.name]?.toLocaleString('en')}`)
    }
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
  return counts
}

/**
 * @param {Database} database
 * @param {Table} table
 * @returns {AsyncGenerator<Record<string, unknown>>}
 */
async function* rowsOf(database, { name, columns }) {
  const list = columns.map((one) => {
    const column = quoted(one.name)
    return one.isBlob
      ? `case when ${column} is not null then hex(${column}) end as ${column}`
      : column
  })
  const blobs = columns.filter(({ isBlob }) => isBlob).map((one) => one.name)
  const limit = blobs.length > 0 ? BLOBS : ROWS
  let after = -9_007_199_254_740_991
  for (;;) {
    const rows = await database.query(
      `select rowid as "$", ${list.join(', ')} from ${quoted(name)} where rowid > ${after} order by rowid limit ${limit}`,
    )
    for (const { $: rowid, ...row } of rows) {
      after = rowid
      for (const blob of blobs) {
        if (row[blob] !== null)
          row[blob] = { base64: Buffer.from(row[blob], 'hex').toString('base64') }
      }
      yield row
    }
    if (rows.length < limit) return
  }
}
