/** The Workers that the bench measures: built as for a deploy, each in a workerd of its own, on a fresh database. */
import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { convertV4MiniflareOptions, Miniflare, Response } from 'miniflare'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const WRANGLER = resolve(ROOT, 'node_modules/wrangler/wrangler-dist/cli.js')

Object.assign(process.env, {
  CLOUDFLARE_CF_FETCH_ENABLED: 'false',
  WRANGLER_SEND_METRICS: 'false',
  WRANGLER_HIDE_BANNER: 'true',
  WRANGLER_LOG: 'none',
})
const { unstable_getMiniflareWorkerOptions } = await import('wrangler')

export const SECRET = 'the bench signs with this secret'

/** Everything that the bench writes, removed when it ends. */
export const scratch = mkdtempSync(join(tmpdir(), 'badgekit-bench-'))

/** @type {Set<Server>} */
const running = new Set()

/** Stops every Worker and removes what they wrote. */
export async function tidy() {
  await Promise.all([...running].map((server) => server.stop()))
  rmSync(scratch, { recursive: true, force: true })
}

/**
 * Bundles and minifies a Worker as a deploy does. Gives where the script is and how large.
 * @param {string} name
 * @param {string[]} entry the script; none for our own, which `wrangler.toml` names
 */
export const build = (name, ...entry) => buildIn(ROOT, name, ...entry)

/**
 * Our own Worker with a change: what a part of it costs is the difference.
 * @param {string} name
 * @param {string} file
 * @param {(text: string) => string} change
 */
export async function buildVariant(name, file, change) {
  // Inside the project, so that it finds its packages.
  const copy = mkdtempSync(join(ROOT, '.wrangler', 'variant-'))
  try {
    for (const one of [
      'src',
      'drizzle',
      'migrations',
      'docs',
      'wrangler.toml',
      'tsconfig.json',
      'package.json',
    ]) {
      cpSync(join(ROOT, one), join(copy, one), { recursive: true })
    }
    const before = readFileSync(join(copy, file), 'utf8')
    const after = change(before)
    if (after === before) throw new Error(`${file} is not what the variant ${name} changes`)
    writeFileSync(join(copy, file), after)
    return await buildIn(copy, name)
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

/**
 * @param {string} root
 * @param {string} name
 * @param {string[]} entry
 */
async function buildIn(root, name, ...entry) {
  const outdir = join(scratch, name)
  const args = ['deploy', ...entry, '--dry-run', '--minify', '--outdir', outdir]
  await new Promise((done, fail) => {
    const child = spawn(process.execPath, [WRANGLER, ...args], {
      cwd: root,
      env: { ...process.env, WRANGLER_LOG: 'error' },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    child.once('error', fail)
    child.once('close', (code) =>
      code === 0 ? done(undefined) : fail(new Error(`Could not build ${name}`)),
    )
  })
  const file = readdirSync(outdir).find((one) => one.endsWith('.js'))
  if (file === undefined) throw new Error(`The build of ${name} gave no script`)
  const bytes = readFileSync(join(outdir, file))
  return { script: join(outdir, file), raw: bytes.length, gzip: gzipSync(bytes).length }
}

/**
 * @typedef {object} Server
 * @property {number} port
 * @property {number} startedIn milliseconds from the launch to the first answer
 * @property {() => Promise<any>} db its D1 database
 * @property {() => number | undefined} cpu milliseconds of CPU that workerd has used; undefined where the system does not tell
 * @property {{ route: string, trips: number, rowsRead: number } | undefined} line the newest of its log lines
 * @property {() => Promise<void>} stop
 */

/**
 * Starts a built Worker, without wrangler's proxy and without assets.
 * @param {string} script
 * @param {'ours' | 'plain'} kind with all of `wrangler.toml`, or with nothing but a database
 * @returns {Promise<Server>}
 */
export async function start(script, kind) {
  const port = await freePort()
  const before = workerds()
  const started = performance.now()
  /** @type {Server} */
  const server = {
    port,
    startedIn: 0,
    line: undefined,
    db: () => miniflare.getD1Database('DB', 'bench'),
    cpu: () => undefined,
    stop: async () => {
      running.delete(server)
      await miniflare.dispose()
    },
  }
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      ...(kind === 'ours' ? ourOptions(port) : plainOptions()),
      name: 'bench',
      modules: true,
      rootPath: dirname(script),
      scriptPath: script,
      resourcePersistencePath: mkdtempSync(join(scratch, 'state-')),
      host: '127.0.0.1',
      port,
      cf: false,
      logRequests: false,
      telemetry: { enabled: false },
      // Receivers of webhooks: they take everything.
      outboundService: () => new Response('thank you'),
      handleStructuredLogs: ({ message }) => {
        const line = parsed(message)
        if (line?.route) server.line = line
        else if (line?.level && line.level !== 'info') process.stderr.write(`${message}\n`)
      },
    }),
  )
  running.add(server)
  await miniflare.ready
  await (await fetch(`http://127.0.0.1:${port}/`)).arrayBuffer()
  server.startedIn = performance.now() - started
  const pids = workerds().filter((pid) => !before.includes(pid))
  if (pids.length > 0) server.cpu = () => cpuOf(pids)
  return server
}

/**
 * What `wrangler.toml` says, with settings for a test.
 * @param {number} port
 */
export function ourOptions(port) {
  const { modulesRules: _, ...options } = unstable_getMiniflareWorkerOptions(
    join(ROOT, 'wrangler.toml'),
  ).workerOptions
  return {
    ...options,
    bindings: {
      MASTER_SECRET: SECRET,
      ENCRYPTION_KEYS: JSON.stringify({ k1: Buffer.alloc(32).toString('base64') }),
      PUBLIC_ORIGIN: `http://127.0.0.1:${port}`,
    },
  }
}

function plainOptions() {
  return {
    compatibilityDate: ourOptions(0).compatibilityDate,
    bindings: { MASTER_SECRET: SECRET },
    d1Databases: { DB: 'DB' },
  }
}

/** @param {string} text */
function parsed(text) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * Applies our migrations, each as one batch, and notes them as wrangler does.
 * @param {Server} server
 */
export async function migrate(server) {
  const db = await server.db()
  const folder = join(ROOT, 'migrations')
  await db.prepare('create table d1_migrations (name text unique)').run()
  for (const file of readdirSync(folder).sort()) {
    if (!file.endsWith('.sql')) continue
    const statements = readFileSync(join(folder, file), 'utf8').split('--> statement-breakpoint')
    const all = [...statements, `insert into d1_migrations values ('${file}')`]
    await db.batch(all.map((statement) => db.prepare(statement)))
  }
}

/** @returns {Promise<number>} */
export const freePort = () =>
  new Promise((done, fail) => {
    const probe = createServer()
    probe.once('error', fail)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      const port = typeof address === 'object' && address ? address.port : 0
      probe.close(() => done(port))
    })
  })

// ---- CPU time: Linux tells it of each process

/** One clock tick of `/proc`, in milliseconds: 100 a second on every Linux that Node runs on. */
const TICK = 10

/** What `/proc/PID/stat` tells; undefined when the process is gone. */
export function statOf(/** @type {string} */ pid) {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const name = text.slice(text.indexOf('(') + 1, text.lastIndexOf(')'))
    // After the name, which may hold spaces.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { name, parent: fields[1], cpu: (Number(fields[11]) + Number(fields[12])) * TICK }
  } catch {
    return undefined
  }
}

/** The workerd processes that this one has started; none where there is no `/proc`. */
function workerds() {
  if (process.platform !== 'linux') return []
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false
    const stat = statOf(pid)
    return stat?.name === 'workerd' && stat.parent === String(process.pid)
  })
}

/** @param {string[]} pids */
const cpuOf = (pids) => pids.reduce((sum, pid) => sum + (statOf(pid)?.cpu ?? 0), 0)
