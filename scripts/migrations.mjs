/**
 * `npm run db:check`: the migrations say what `drizzle/schema.ts` says, and hold nothing that D1 cannot take or that
 * loses rows there. The tree stays as it is: drizzle-kit generates in a copy.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const DRIZZLE_KIT = resolve(ROOT, 'node_modules/drizzle-kit/bin.cjs')

/** @type {[RegExp, string][]} */
const FORBIDDEN = [
  [
    /\bcreate\s+(?:temp\w*\s+)?trigger\b/i,
    'CREATE TRIGGER: D1 refuses it, although it runs locally',
  ],
  [/__new_/i, '__new_: a rebuilt table loses the rows that hang from it'],
  [/\bdrop\s+table\b/i, 'DROP TABLE: the rows that hang from it go as well'],
  [/\bfts5\b/i, 'fts5: a database with it cannot be exported'],
]

/**
 * What is wrong with the text of one migration.
 * @param {string} name
 * @param {string} text
 */
export const faultsOf = (name, text) =>
  FORBIDDEN.filter(([pattern]) => pattern.test(text)).map(
    ([, reason]) => `migrations/${name} holds ${reason}`,
  )

/** @param {string} directory */
const migrationsIn = (directory) =>
  readdirSync(directory)
    .filter((name) => name.endsWith('.sql'))
    .sort()

/** Whether drizzle-kit would write another migration, or why it cannot say. */
function drift() {
  mkdirSync(resolve(ROOT, '.wrangler'), { recursive: true })
  // Inside the project, so that the schema finds its packages.
  const copy = mkdtempSync(resolve(ROOT, '.wrangler/migrations-'))
  try {
    for (const name of ['drizzle', 'migrations']) {
      cpSync(resolve(ROOT, name), join(copy, name), { recursive: true })
    }
    const before = migrationsIn(join(copy, 'migrations'))
    const args = [DRIZZLE_KIT, 'generate', '--config', 'drizzle/config.ts']
    const { status, stdout, stderr } = spawnSync(process.execPath, args, {
      cwd: copy,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 60_000,
    })
    const made = migrationsIn(join(copy, 'migrations')).filter((name) => !before.includes(name))
    // What looks like a new name is asked about, which fails where nobody can answer.
    if (made.length > 0 || /Interactive prompts/.test(stderr)) {
      return ['drizzle/schema.ts and migrations/ differ: npm run db:generate']
    }
    // drizzle-kit ends well after most of its failures; only these words mean that nothing is missing.
    if (status === 0 && stdout.includes('No schema changes')) return []
    const why =
      `${stdout}\n${stderr}`.split('\n').find((line) => /error/i.test(line)) ?? 'no reason given'
    return [`drizzle-kit cannot compare drizzle/schema.ts with migrations/: ${why.trim()}`]
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const directory = resolve(ROOT, 'migrations')
  const faults = migrationsIn(directory).flatMap((name) =>
    faultsOf(name, readFileSync(join(directory, name), 'utf8')),
  )
  const all = [...faults, ...drift()]
  for (const line of all) process.stderr.write(`${line}\n`)
  process.exitCode = all.length > 0 ? 1 : 0
}
