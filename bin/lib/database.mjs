/**
 * The database behind a BadgeKit API, reached as wrangler reaches it and not over HTTP: the local one of `npm start`, or a
 * deployed one. Both take statements as text, and all or none of one call.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { localOrigin } from '../../scripts/sign.mjs'
import { Stop } from './cli.mjs'
import { ROOT } from './worker.mjs'

/**
 * @typedef {object} Database
 * @property {string} name how it is told to people
 * @property {number} batch how many bytes of statements one call should carry
 * @property {(sql: string) => Promise<any[]>} query
 * @property {(statements: string[]) => Promise<void>} run all of them, or none
 * @property {() => Promise<void>} close
 */

export const options = /** @type {const} */ ({
  local: { type: 'boolean', default: false },
  remote: { type: 'boolean', default: false },
  'persist-to': { type: 'string' },
  env: { type: 'string' },
})

export const HELP = `  --local             the database of \`npm start\` (stop it first)
  --persist-to DIR    where that keeps its state, when it is not .wrangler/state
  --remote            the deployed database, through wrangler and your login
  --env NAME          the environment [env.NAME] of wrangler.toml`

/**
 * @param {{ local?: boolean, remote?: boolean, 'persist-to'?: string, env?: string }} values
 * @returns {Promise<Database>}
 */
export async function openDatabase(values) {
  if (values.local === values.remote) throw new Stop('Say which database: --local or --remote.', 2)
  if (values.remote) return openRemote(values.env)
  const state = values['persist-to'] ?? process.env.STATE_DIR ?? join(ROOT, '.wrangler/state')
  if (await isRunning()) {
    throw new Stop(
      `\`npm start\` runs at ${localOrigin()}: stop it first, one database is for one process.`,
    )
  }
  return openLocal(resolve(state))
}

/** Whether a server of ours listens where `npm start` does. */
async function isRunning() {
  try {
    const answer = await fetch(`${localOrigin()}/healthcheck`, {
      signal: AbortSignal.timeout(2_000),
    })
    return /BadgeKit API/.test(await answer.text())
  } catch {
    return false
  }
}

/**
 * @param {string} state the folder that `wrangler dev --persist-to` takes
 * @returns {Promise<Database>}
 */
export async function openLocal(state) {
  const { convertV4MiniflareOptions, Miniflare } = await import('miniflare')
  endWorkerdWithUs()
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      name: 'badgekit',
      modules: true,
      script: 'export default { fetch: () => new Response() }',
      compatibilityDate: compatibilityDate(),
      // `wrangler.toml` holds no ids; wrangler then calls a local database by its binding.
      d1Databases: { DB: 'DB' },
      // wrangler's own layout of that folder.
      resourcePersistencePath: join(state, 'v3'),
      cf: false,
      logRequests: false,
      telemetry: { enabled: false },
    }),
  )
  await miniflare.ready
  const db = await miniflare.getD1Database('DB', 'badgekit')
  /** @type {Database} */
  const database = {
    name: `local (${state})`,
    batch: 500_000,
    query: async (sql) => (await db.prepare(sql).all()).results,
    run: async (statements) => {
      await db.batch(statements.map((sql) => db.prepare(sql)))
    },
    close: () => miniflare.dispose(),
  }
  await migrate(database)
  return database
}

/** Has miniflare start workerd by way of a script that ends it when we are killed and can no longer do so. */
function endWorkerdWithUs() {
  if (process.platform === 'win32') return
  const require = createRequire(import.meta.resolve('miniflare'))
  process.env.BADGEKIT_WORKERD ??= process.env.MINIFLARE_WORKERD_PATH ?? require('workerd').default
  process.env.MINIFLARE_WORKERD_PATH = join(ROOT, 'bin/lib/workerd.sh')
}

const compatibilityDate = () =>
  /^compatibility_date = "(.+)"/m.exec(readFileSync(join(ROOT, 'wrangler.toml'), 'utf8'))?.[1] ?? ''

/**
 * Each migration that is not there yet, entered in the table by which wrangler knows them.
 * @param {Database} database
 */
async function migrate(database) {
  await database.run([
    `create table if not exists d1_migrations (id integer primary key autoincrement, name text unique,
      applied_at timestamp default current_timestamp not null)`,
  ])
  const done = (await database.query('select name from d1_migrations')).map(({ name }) => name)
  const folder = join(ROOT, 'migrations')
  for (const name of readdirSync(folder).sort()) {
    if (!name.endsWith('.sql') || done.includes(name)) continue
    const statements = readFileSync(join(folder, name), 'utf8').split('--> statement-breakpoint')
    await database.run([...statements, `insert into d1_migrations (name) values ('${name}')`])
  }
}

/** A database of our own that is gone afterwards. @returns {Promise<Database>} */
export async function openScratch() {
  const folder = mkdtempSync(join(tmpdir(), 'badgekit-'))
  const database = await openLocal(folder)
  return {
    ...database,
    name: 'a database that is thrown away',
    close: async () => {
      await database.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

// ── The deployed one ────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * @param {string | undefined} env
 * @returns {Database}
 */
function openRemote(env) {
  const target = ['d1', 'execute', 'DB', '--remote', `--env=${env ?? ''}`, '--json', '--yes']
  const folder = mkdtempSync(join(tmpdir(), 'badgekit-'))
  return {
    name: `deployed${env ? ` (${env})` : ''}`,
    // One call is a file that D1 takes in whole: each costs seconds, whatever its length.
    batch: 4_000_000,
    query: async (sql) => {
      const answer = await wrangler([...target, '--command', sql])
      return answer.at(-1)?.results ?? []
    },
    run: async (statements) => {
      const file = join(folder, 'statements.sql')
      writeFileSync(file, `${statements.join(';\n')};\n`, { mode: 0o600 })
      await wrangler([...target, '--file', file])
    },
    close: async () => rmSync(folder, { recursive: true, force: true }),
  }
}

/**
 * @param {string[]} args
 * @returns {Promise<any[]>}
 */
async function wrangler(args) {
  const script = process.env.WRANGLER || join(ROOT, 'node_modules/wrangler/wrangler-dist/cli.js')
  if (!existsSync(script)) throw new Stop(`There is no ${script}. Run \`npm ci\` first.`)
  const child = spawn(process.execPath, [script, ...args], {
    cwd: ROOT,
    env: {
      ...process.env,
      WRANGLER_SEND_METRICS: 'false',
      WRANGLER_HIDE_BANNER: 'true',
      // Its answer is a line of its log.
      WRANGLER_LOG: 'log',
      NO_COLOR: '1',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [out, all] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text) => {
    out += text
    all += text
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    all += text
  })
  const code = await new Promise((done, failed) => {
    child.once('error', failed)
    child.once('close', done)
  })
  if (code !== 0) throw new Stop(`${all.trim()}\n\nwrangler could not do this on the database.`)
  const start = out.search(/^[[{]/m)
  return start < 0 ? [] : JSON.parse(out.slice(start))
}
