/**
 * From a mysqldump of BadgeKit to a running server on this machine, in a checkout of the repository: looks at the dump, imports it
 * into the database of `npm start`, starts that, and opens the old public address of every award.
 *
 *   mysqldump --single-transaction --hex-blob badgekit > dump.sql      on the old server
 *   node examples/migrate-from-badgekit.mjs dump.sql
 *
 * After `npx badgekit import dump.sql --remote` only the last step is of use, at your own address:
 *
 *   node examples/migrate-from-badgekit.mjs dump.sql https://badges.example.org
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { rowsOf, textOf } from '../bin/lib/import/mysqldump.mjs'

const [dump, address] = process.argv.slice(2)
const { PORT = '8787' } = process.env
if (dump === undefined) throw new Error('Which dump?')

const run = (script, ...args) => {
  const path = fileURLToPath(new URL(`../${script}`, import.meta.url))
  return spawn(process.execPath, [path, ...args], { stdio: 'inherit' })
}

/** `npx badgekit import`, which ends with 3 when it is done and some rows could not be taken. */
async function importDump(where) {
  const [code] = await once(run('bin/badgekit.mjs', 'import', dump, where), 'exit')
  if (code !== 0 && code !== 3) process.exit(code ?? 1)
}

/** The numbers of the awards that the import has told that it cannot take. */
function rejected() {
  const file = `${dump.replace(/(?:\.sql)?(?:\.gz)?$/, '')}-rejected.ndjson`
  if (!existsSync(file)) return new Set()
  const rows = readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
  return new Set(rows.filter(({ table }) => table === 'badgeInstances').map(({ id }) => String(id)))
}

/** Opens what a badge of ten years ago links to. A 410 is an answer as well: the award has been revoked since. */
async function openAll(origin) {
  const left = rejected()
  const missing = []
  let [all, good] = [0, 0]
  for await (const { columns, values } of rowsOf(dump, (table) => table === 'badgeInstances')) {
    const [id, slug] = ['id', 'slug'].map((name) => textOf(values[columns.indexOf(name)]))
    if (left.has(id)) continue
    all++
    const path = `/public/assertions/${encodeURIComponent(slug)}`
    const { status } = await fetch(origin + path, { method: 'HEAD' })
    if (status === 200 || status === 410) good++
    else missing.push(`${status} ${path}`)
  }
  console.log(`${good} of ${all} old addresses answer; ${left.size} awards could not be imported`)
  for (const line of missing) console.log(line)
  return missing.length === 0
}

if (address) process.exit((await openAll(address)) ? 0 : 1)

await importDump('--dry-run')
await importDump('--local')
const server = run('scripts/start.mjs')
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => server.kill(signal))
server.once('exit', (code) => process.exit(code ?? 1))
const origin = `http://127.0.0.1:${PORT}`
while (!(await fetch(`${origin}/healthcheck`).catch(() => undefined))) await sleep(250)
await openAll(origin)
