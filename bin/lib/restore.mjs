/** Puts an export into an empty database: every row as it was, number and secret included. */
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { createGunzip } from 'node:zlib'
import { Stop } from './cli.mjs'
import { isGzip } from './import/mysqldump.mjs'
import { inserts, literal, quoted } from './sql.mjs'
import { inOrder, tablesOf } from './tables.mjs'
import { loadWorker } from './worker.mjs'

/** @typedef {import('./database.mjs').Database} Database */
/** @typedef {{ path: string, database: Database, ring: string, tell: (line: string, part: number) => void }} Settings */

/** @param {string} path */
async function* linesOf(path) {
  const file = createReadStream(path)
  const input = isGzip(path) ? file.pipe(createGunzip()) : file
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    yield line
  }
}

/**
 * Reads the whole export before anything is written: whether it is one, whole and unchanged.
 * @param {string} path
 */
async function check(path) {
  const hash = createHash('sha256')
  /** @type {any} */
  let head
  /** @type {any} */
  let end
  let isWhole = false
  for await (const line of linesOf(path)) {
    if (isWhole) throw new Stop(`${path} goes on behind its end.`)
    if (end) {
      isWhole = true
      if (JSON.parse(line).sha256 !== hash.digest('hex'))
        throw new Stop(`${path} is not as it was written: its checksum differs.`)
      continue
    }
    hash.update(`${line}\n`)
    if (!head) {
      head = JSON.parse(line)
      if (head.badgekit !== 'export' || head.format !== 1)
        throw new Stop(`${path} is not an export of this program.`)
    } else if (line.startsWith('{"end":true')) end = JSON.parse(line)
  }
  if (!isWhole) throw new Stop(`${path} is not whole: its last line is missing.`)
  return { migrations: head.migrations, counts: end.counts, sequences: end.sequences, at: head.at }
}

/**
 * @param {Database} database
 * @param {{ migrations: string[], counts: Record<string, number> }} facts
 * @param {import('./tables.mjs').Table[]} tables
 */
async function checkTarget(database, { migrations, counts }, tables) {
  const there = (await database.query('select name from d1_migrations')).map(({ name }) => name)
  const missing = migrations.filter((name) => !there.includes(name))
  if (missing.length > 0) {
    throw new Stop(
      `The export is of a newer version: this database lacks the migrations ${missing.join(', ')}.`,
    )
  }
  const unknown = Object.keys(counts).filter((name) => !tables.some((one) => one.name === name))
  if (unknown.length > 0) throw new Stop(`This database has no tables ${unknown.join(', ')}.`)
}

/** @param {Database} database @param {string[]} names */
async function countAll(database, names) {
  /** @type {Record<string, number>} */
  const counts = {}
  // A compound of many selects is refused by D1; a list of sub-selects is not.
  for (let at = 0; at < names.length; at += 20) {
    const list = names
      .slice(at, at + 20)
      .map((name) => `(select count(*) from ${quoted(name)}) as ${quoted(name)}`)
    Object.assign(counts, (await database.query(`select ${list.join(', ')}`))[0])
  }
  return counts
}

/** What runs by itself as soon as a server runs; no content. */
const OWN = ['heartbeats']

/** @param {Settings} settings */
export async function restore({ path, database, ring, tell }) {
  const facts = await check(path)
  const tables = await tablesOf(database)
  await checkTarget(database, facts, tables)
  const { late } = inOrder(tables)
  const names = Object.keys(facts.counts)
  const state = readState(path, facts, database)
  if (state.lines === 0) {
    const full = Object.entries(await countAll(database, names)).filter(
      ([name, n]) => n > 0 && !OWN.includes(name),
    )
    if (full.length > 0) {
      throw new Stop(
        `The database is not empty: ${full.map(([name, n]) => `${name} has ${n} rows`).join(', ')}.`,
      )
    }
    await database.run(
      OWN.filter((name) => names.includes(name)).map((name) => `delete from ${quoted(name)}`),
    )
  }
  const total = Object.values(facts.counts).reduce((a, b) => a + b, 0)
  const sealed = await putRows({ path, database, late, total, state, tell })
  await putSequences(database, facts.sequences)
  const counts = await countAll(database, names)
  const wrong = names.filter((name) => counts[name] !== facts.counts[name])
  if (wrong.length > 0) {
    throw new Stop(
      wrong
        .map((name) => `${name}: ${facts.counts[name]} rows exported, ${counts[name]} restored`)
        .join('\n'),
    )
  }
  state.forget()
  return {
    tables: counts,
    rows: Object.values(counts).reduce((a, b) => a + b, 0),
    warnings: await warningsOf(sealed, ring),
  }
}

/**
 * One secret of each table is tried: whoever restores without the old keys should learn it now, not from the first client.
 * @param {Map<string, { row: string, text: string }>} sealed
 * @param {string} ring
 */
async function warningsOf(sealed, ring) {
  const worker = await loadWorker()
  /** @type {string[]} */
  const warnings = []
  for (const [table, { row, text }] of sealed) {
    try {
      await worker.open(ring, text, { table, row, column: 'sealed' })
    } catch {
      warnings.push(
        `The secrets in ${table} do not open: the server needs the ENCRYPTION_KEYS under which they were sealed.`,
      )
    }
  }
  return warnings
}

/**
 * How many lines of this export are in this database already.
 * @param {string} path
 * @param {{ at: string }} facts
 * @param {Database} database
 */
function readState(path, { at }, database) {
  const file = `${path}-state.json`
  const mark = `${at} ${database.name}`
  const found = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}
  return {
    lines: found.mark === mark ? Number(found.lines) : 0,
    save: (/** @type {number} */ lines) => writeFileSync(file, JSON.stringify({ mark, lines })),
    forget: () => rmSync(file, { force: true }),
  }
}

/**
 * @param {{ path: string, database: Database, late: Map<string, string[]>, total: number, state: ReturnType<typeof readState>, tell: (line: string, part: number) => void }} how
 * @returns {Promise<Map<string, { row: string, text: string }>>} a sealed secret of each table
 */
async function putRows({ path, database, late, total, state, tell }) {
  const { SEALED } = await loadWorker()
  /** @type {Map<string, { row: string, text: string }>} */
  const sealed = new Map()
  /** What must wait for rows that come later. @type {string[]} */
  const updates = []
  /** @type {Map<string, Record<string, unknown>[]>} */
  let waiting = new Map()
  let size = 0
  let lines = 0
  const flush = async () => {
    const statements = [...waiting].flatMap(([table, rows]) => inserts(table, rows))
    waiting = new Map()
    size = 0
    if (statements.length > 0) await database.run(statements)
    state.save(lines)
  }
  for await (const line of linesOf(path)) {
    lines++
    if (!line.startsWith('{"table":')) continue
    const { table, row } = JSON.parse(line)
    if (typeof row.sealed === 'string')
      sealed.set(table, { row: String(row[SEALED[table]]), text: row.sealed })
    for (const column of late.get(table) ?? []) {
      if (row[column] === null) continue
      updates.push(
        `update ${quoted(table)} set ${quoted(column)} = ${literal(row[column])} where id = ${literal(row.id)}`,
      )
      row[column] = null
    }
    // Its rows are noted as done only together with those before them.
    if (lines <= state.lines) continue
    const rows = waiting.get(table) ?? []
    waiting.set(table, rows)
    rows.push(withBytes(row))
    size += line.length
    if (size >= database.batch) await flush()
    tell(table, lines / total)
  }
  await flush()
  for (let at = 0; at < updates.length; at += 500) await database.run(updates.slice(at, at + 500))
  return sealed
}

/** @param {Record<string, any>} row */
const withBytes = (row) =>
  Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      typeof value?.base64 === 'string' ? Buffer.from(value.base64, 'base64') : value,
    ]),
  )

/** @param {Database} database @param {Record<string, number>} sequences */
async function putSequences(database, sequences) {
  const statements = Object.entries(sequences).flatMap(([name, seq]) => [
    `delete from sqlite_sequence where name = ${literal(name)}`,
    `insert into sqlite_sequence (name, seq) values (${literal(name)}, ${Number(seq)})`,
  ])
  if (statements.length > 0) await database.run(statements)
}
