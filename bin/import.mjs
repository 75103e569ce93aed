/** `badgekit import FILE`: BadgeKit's old database, or an export of ours, into the database behind the API. */

import { randomBytes } from 'node:crypto'
import { closeSync, createReadStream, existsSync, openSync, readFileSync, readSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { createGunzip } from 'node:zlib'
import { localOrigin, parseSecrets, parseVars } from '../scripts/sign.mjs'
import { completeDevVars } from '../scripts/start.mjs'
import { note, progress, readOptions, Stop, say, sayJson } from './lib/cli.mjs'
import { HELP as DATABASE, openDatabase, openScratch, options } from './lib/database.mjs'
import { Ledger } from './lib/import/ledger.mjs'
import { Migration } from './lib/import/migration.mjs'
import { isGzip } from './lib/import/mysqldump.mjs'
import { tellReport } from './lib/import/report.mjs'
import { restore } from './lib/restore.mjs'
import { loadWorker, needCheckout, ROOT } from './lib/worker.mjs'

export const help = `Usage: npx badgekit import FILE --local | --remote | --dry-run [options]

FILE is a mysqldump of BadgeKit's own database (.sql or .sql.gz), or what \`badgekit export\` wrote (.ndjson).
It goes into the database itself, not over HTTP; nobody is told of an imported award.

  npx badgekit import dump.sql --dry-run     reads all of it, writes nothing, tells what would become of it
  npx badgekit import dump.sql --local       into the database of \`npm start\`
  npx badgekit import dump.sql --remote      into the deployed one
  npx badgekit import backup.ndjson --local  an export, into an empty database

${DATABASE}
  --dry-run           into a database that is thrown away
  --origin URL        the public address of the API, which badges hold (else PUBLIC_ORIGIN)
  --timezone +HH:MM   the dump's times, when they are not in UTC
  --report DIR        where the files about it go (else beside FILE)
  --json              the report as JSON

Stopped half-way, it goes on where it was when it is started again. Rows that cannot be kept are written to
FILE-rejected.ndjson with the reason, those that were changed on the way are named in FILE-changed.ndjson.
Exit code 0 when all is in, 1 when it failed, 3 when it went in and rows were rejected.
docs/import.md goes through it step by step.
`

const flags = /** @type {const} */ ({
  ...options,
  'dry-run': { type: 'boolean', default: false },
  origin: { type: 'string' },
  timezone: { type: 'string' },
  report: { type: 'string' },
  json: { type: 'boolean', default: false },
})

/** @param {string[]} argv */
export async function run(argv) {
  const { values, positionals } = readOptions(argv, flags, help)
  needCheckout()
  const [path] = positionals
  if (path === undefined || positionals.length > 1) throw new Stop(help, 2)
  if (!existsSync(path)) throw new Stop(`There is no file ${path}.`, 2)
  const folder = values.report ?? dirname(path)
  if (!existsSync(folder)) throw new Stop(`There is no folder ${folder} for the report.`, 2)
  const isDry = values['dry-run'] === true
  if (!isDry && values.local === values.remote) {
    throw new Stop('Say which database: --local, --remote, or --dry-run for none.', 2)
  }
  const settings = settingsOf(values)
  const database = isDry ? await openScratch() : await openDatabase(values)
  const line = progress()
  try {
    const isExport = (await firstByte(path)) === '{'
    if (isExport)
      return finishRestore(
        await restore({ path, database, ...settings, tell: line.tell }),
        values,
        line,
      )
    const ledger = new Ledger(stemOf(path, folder, isDry))
    if (isDry) ledger.forget()
    const worker = await loadWorker()
    const migration = new Migration({
      path: resolve(path),
      database,
      ledger,
      worker,
      ...settings,
      zone: zoneOf(values.timezone),
      tell: line.tell,
    })
    const report = { isDryRun: isDry, ...(await migration.run()) }
    line.end()
    ledger.finish(report)
    if (isDry) ledger.forget()
    if (values.json) sayJson(report)
    else tellReport(report, ledger)
    return Object.keys(report.rejected).length > 0 ? 3 : 0
  } finally {
    line.end()
    await database.close()
  }
}

/** @param {any} result @param {{ json?: boolean }} values @param {{ end(): void }} line */
function finishRestore(result, values, line) {
  line.end()
  if (values.json) sayJson(result)
  else {
    for (const warning of result.warnings) note(warning)
    say(
      `${result.rows.toLocaleString('en')} rows of ${Object.keys(result.tables).length} tables restored, every table as long as it was.`,
    )
  }
  return 0
}

/** Whatever a file is packed in. @param {string} path */
async function firstByte(path) {
  if (!isGzip(path)) {
    const file = openSync(path, 'r')
    const head = Buffer.alloc(1)
    readSync(file, head, 0, 1, 0)
    closeSync(file)
    return head.toString()
  }
  const unpacked = createReadStream(path).pipe(createGunzip())
  for await (const chunk of unpacked) {
    unpacked.destroy()
    return chunk.toString('latin1')[0]
  }
  return ''
}

/** @param {string} path @param {string} folder @param {boolean} isDry */
const stemOf = (path, folder, isDry) =>
  join(folder, basename(path).replace(/(?:\.sql)?(?:\.gz)?$/, '') + (isDry ? '-dry-run' : ''))

/** @param {string | undefined} given */
function zoneOf(given) {
  if (given === undefined) return 'Z'
  if (!/^[+-]\d\d:\d\d$/.test(given)) throw new Stop('--timezone is like +02:00.', 2)
  return given
}

/**
 * What the Worker of that database knows: its address and the keys that seal its secrets.
 * @param {{ remote?: boolean, env?: string, origin?: string, 'dry-run'?: boolean }} values
 */
export function settingsOf(values) {
  const { origin, ring } = values.remote ? deployed(values.env) : local(values['dry-run'] === true)
  const address = values.origin ?? origin
  if (!URL.canParse(address) || new URL(address).origin !== address) {
    throw new Stop(
      `The public address has scheme and host only, such as https://badges.example.org, not ${address}.`,
      2,
    )
  }
  return { origin: address, ring }
}

/** @param {boolean} isDry */
function local(isDry) {
  const file = process.env.DEV_VARS || join(ROOT, '.dev.vars')
  if (isDry) {
    const vars = existsSync(file) ? parseVars(readFileSync(file, 'utf8')) : {}
    const ring = vars.ENCRYPTION_KEYS || JSON.stringify({ k1: randomBytes(32).toString('base64') })
    return { origin: localOrigin(), ring }
  }
  // As `npm start` does: what is sealed now must open then.
  const { vars } = completeDevVars(file)
  return { origin: vars.PUBLIC_ORIGIN || localOrigin(), ring: vars.ENCRYPTION_KEYS ?? '' }
}

/** @param {string | undefined} env */
function deployed(env) {
  const file = process.env.BADGEKIT_SECRETS || `.deploy.secrets${env ? `.${env}` : ''}.json`
  const found = existsSync(file) ? parseSecrets(readFileSync(file, 'utf8'), file) : process.env
  const { PUBLIC_ORIGIN, ENCRYPTION_KEYS } = found
  if (!PUBLIC_ORIGIN || !ENCRYPTION_KEYS) {
    throw new Stop(
      `The secrets of keys and webhooks are sealed under the deployed Worker's ENCRYPTION_KEYS: put the file that the deploy made at ${file}, or set ENCRYPTION_KEYS and PUBLIC_ORIGIN.`,
      2,
    )
  }
  return { origin: PUBLIC_ORIGIN, ring: ENCRYPTION_KEYS }
}
