/**
 * `npm start`: the whole API on this machine, from a clean checkout, with no login and no network. Secrets are made
 * on the first run, migrations are applied, `wrangler dev` is started, and its scheduled handler is called, because
 * crons never fire by themselves locally.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { appendFileSync, chmodSync, existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs, stripVTControlCharacters } from 'node:util'
import { localOrigin, parseVars } from './sign.mjs'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const WRANGLER = resolve(ROOT, 'node_modules/wrangler/wrangler-dist/cli.js')
/** The top of `wrangler.toml`, none of its environments. */
const TOP = '--env='
const SWEEP_EVERY = 20_000
const SWEEP_PATH = '/cdn-cgi/handler/scheduled?cron=*+*+*+*+*'

/**
 * Names that only a local server may have. wrangler keeps a name of `.dev.vars` out of `env` when `[secrets]` does
 * not list it, so these are passed one by one.
 */
export const LOCAL_SWITCHES = ['ALLOW_LOCAL_WEBHOOKS', 'AUTH_DISABLED', 'WEBHOOK_SPEED']

/** Fresh values for everything that the local server needs. */
export const freshVars = () => ({
  MASTER_SECRET: randomBytes(32).toString('base64url'),
  ENCRYPTION_KEYS: JSON.stringify({ k1: randomBytes(32).toString('base64') }),
  ALLOW_LOCAL_WEBHOOKS: '1',
})

/**
 * The lines to append to a `.dev.vars` so that every name is there. What stands there stays as it is, an empty value
 * too: somebody may have meant it.
 * @param {string} text
 * @param {Record<string, string>} [fresh]
 */
export function missingVars(text, fresh = freshVars()) {
  const present = parseVars(text)
  const names = Object.keys(fresh).filter((name) => !Object.hasOwn(present, name))
  const lines = names.map((name) => {
    const value = fresh[name] ?? ''
    return `${name}=${/^[\w.-]*$/.test(value) ? value : `'${value}'`}\n`
  })
  const gap = names.length > 0 && text !== '' && !text.endsWith('\n') ? '\n' : ''
  return { names, append: gap + lines.join('') }
}

/**
 * Completes the file, makes it readable by its owner only, and returns what it holds and what was added.
 * @param {string} path
 * @param {Record<string, string>} [fresh]
 */
export function completeDevVars(path, fresh) {
  const text = existsSync(path) ? readFileSync(path, 'utf8') : ''
  const { names, append } = missingVars(text, fresh)
  if (append) appendFileSync(path, append, { mode: 0o600 })
  chmodSync(path, 0o600)
  return { added: names, vars: parseVars(text + append) }
}

const NOISE = [
  /^⎔ /,
  /^🪵 /u,
  /^\[wrangler:info\]/,
  /^Using (secrets|vars) defined in /,
  /^Your Worker has access to the following bindings/,
  /^Binding\s+Resource\s+Mode$/,
  /^env\.\w+ .*\s(local|remote|simulated|connected to remote resource)$/,
  /^Cloudflare collects anonymous telemetry/,
  // The sweep below is what this one asks for.
  /^Scheduled Workers are not automatically triggered/,
]

/**
 * Keeps what the Worker and its author say, and drops what wrangler says about itself. A `console.error` comes
 * framed as wrangler's own error and is unpacked again, so that every log line is one line of JSON.
 * @returns {(line: string) => string | undefined}
 */
export function createFilter() {
  let muted = false
  return (line) => {
    const plain = stripVTControlCharacters(line).trimEnd()
    if (plain === '') return undefined
    if (muted && /^\s/.test(plain)) return undefined
    const [, framed] = /^[▲✘] \[(?:WARNING|ERROR)\] (.*)$/.exec(plain) ?? []
    const text = framed ?? plain
    muted = NOISE.some((noise) => noise.test(text))
    if (muted) return undefined
    return framed?.startsWith('{') ? framed : plain
  }
}

/** @param {string} [port] */
export function parsePort(port = '8787') {
  const number = Number(port)
  if (!Number.isInteger(number) || number < 1 || number > 65_535) {
    throw new Error(`PORT must be a number from 1 to 65535, not ${port}.`)
  }
  return number
}

/** @param {number} port */
function isFree(port) {
  return new Promise((done) => {
    const probe = createServer()
    probe.once('error', () => done(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => done(true)))
  })
}

/** @param {string} line */
const say = (line) => process.stdout.write(`${line}\n`)

/** @param {string} line */
function fail(line) {
  process.stderr.write(`${line}\n`)
  process.exit(1)
}

// A wrangler whose parent was killed outright would go on listening; this, loaded into it, ends it instead.
const DIE_WITH_PARENT = `data:text/javascript,${encodeURIComponent(
  'const parent = process.ppid; setInterval(() => {' +
    ' if (process.ppid !== parent) process.kill(process.pid, "SIGTERM") }, 500).unref()',
)}`

/**
 * Starts wrangler by its own file: npx and wrangler's launcher each leave a child behind when they are killed. In a
 * process group of its own, so that nothing it started can outlive us.
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} env
 */
function startWrangler(args, env) {
  return spawn(process.execPath, ['--import', DIE_WITH_PARENT, WRANGLER, ...args], {
    cwd: ROOT,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

/** @param {import('node:child_process').ChildProcess} child */
function killGroup(child) {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // Nothing is left of it.
  }
}

/**
 * Hands on a stream line by line.
 * @param {NodeJS.ReadableStream} stream
 * @param {(line: string) => void} take
 */
function eachLine(stream, take) {
  let rest = ''
  stream.setEncoding('utf8')
  stream.on('data', (chunk) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) take(line)
  })
  stream.on('end', () => {
    if (rest) take(rest)
  })
}

async function main() {
  const { values: options } = parseArgs({
    options: {
      'persist-to': { type: 'string' },
      verbose: { type: 'boolean', default: false },
    },
  })
  const port = parsePort(process.env.PORT || undefined)
  const origin = localOrigin()
  const devVars = resolve(process.env.DEV_VARS || resolve(ROOT, '.dev.vars'))
  const stateDir = options['persist-to'] ?? process.env.STATE_DIR
  const state = stateDir ? ['--persist-to', resolve(stateDir)] : []

  if (!(await isFree(port))) {
    fail(
      `Port ${port} is in use. Stop what listens there, or choose another: PORT=${port + 1} npm start`,
    )
  }

  const { added, vars } = completeDevVars(devVars)
  if (added.length > 0) say(`Added to ${devVars}: ${added.join(', ')}`)

  const env = {
    ...process.env,
    CLOUDFLARE_CF_FETCH_ENABLED: 'false',
    WRANGLER_SEND_METRICS: 'false',
    WRANGLER_HIDE_BANNER: 'true',
    WRANGLER_LOG_PATH: process.env.WRANGLER_LOG_PATH ?? resolve(ROOT, '.wrangler/logs'),
    NO_COLOR: '1',
    PUBLIC_ORIGIN: origin,
  }
  // wrangler lets the environment overrule the file it is given, and `npm run api` reads the file.
  for (const name of Object.keys(freshVars())) delete (/** @type {NodeJS.ProcessEnv} */ (env)[name])

  /** @type {import('node:child_process').ChildProcess | undefined} */
  let child
  let stopping = false
  const stop = async () => {
    if (stopping || child === undefined || child.exitCode !== null) {
      process.exit(0)
    }
    stopping = true
    child.kill('SIGTERM')
    await Promise.race([new Promise((done) => child?.once('exit', done)), sleep(5_000)])
    process.exit(0)
  }
  process.on('exit', () => child && killGroup(child))
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, stop)
  // npm does not always hand a signal on; when it is gone, nobody is left who could stop us.
  const parent = process.ppid
  setInterval(() => process.ppid !== parent && stop(), 500).unref()

  const migrate = startWrangler(['d1', 'migrations', 'apply', 'DB', '--local', TOP, ...state], env)
  child = migrate
  let report = ''
  for (const stream of [migrate.stdout, migrate.stderr])
    eachLine(stream, (l) => (report += `${l}\n`))
  const migrated = await new Promise((done) => migrate.once('close', done))
  if (stopping) return
  if (migrated !== 0) fail(`${report}\nThe migrations could not be applied to the local database.`)

  const switches = [...LOCAL_SWITCHES, 'CONTACT_EMAIL']
    .filter((name) => vars[name])
    .flatMap((name) => ['--var', `${name}:${vars[name]}`])
  const dev = startWrangler(
    [
      'dev',
      TOP,
      ...['--ip', '127.0.0.1', '--port', String(port), '--inspector-port', '0'],
      '--show-interactive-dev-session=false',
      ...['--env-file', devVars, '--define', 'LOCAL_DEV:true'],
      ...switches,
      ...state,
    ],
    env,
  )
  child = dev
  for (const [from, to] of /** @type {const} */ ([
    [dev.stdout, process.stdout],
    [dev.stderr, process.stderr],
  ])) {
    const filter = options.verbose ? (/** @type {string} */ line) => line : createFilter()
    eachLine(from, (line) => {
      const kept = filter(line)
      if (kept !== undefined) to.write(`${kept}\n`)
    })
  }
  dev.once('close', (code, signal) => {
    if (!stopping) fail(`wrangler stopped by itself (${signal ?? `exit code ${code}`}).`)
  })

  const health = await waitFor(`${origin}/healthcheck`)
  if (stopping) return
  if (health === undefined) fail('The server did not answer within 60 seconds.')
  const prefix = port === 8787 ? '' : `PORT=${port} `
  say(`
BadgeKit API listens on ${origin}

  Sign a request   ${prefix}npm run api -- GET /systems
  Sample badges    ${prefix}npm run seed
  Documentation    ${origin}/docs and README.md
  Stop             Ctrl-C
`)
  if (health !== 200) say(`GET /healthcheck answered ${health}: see the log lines around this one.`)
  // Said here and not in the Worker, which would have to say it on every request.
  if (vars.AUTH_DISABLED) say('AUTH_DISABLED is set in .dev.vars: no request needs a signature.')
  await sweepForever(`${origin}${SWEEP_PATH}`)
}

/** @param {string} url */
async function waitFor(url) {
  const deadline = Date.now() + 60_000
  while (Date.now() < deadline) {
    try {
      const { status } = await fetch(url, { signal: AbortSignal.timeout(5_000) })
      return status
    } catch {
      await sleep(100)
    }
  }
  return undefined
}

/** @param {string} url */
async function sweepForever(url) {
  for (;;) {
    const started = Date.now()
    // A failed sweep has its own log line in the Worker, and during a reload there is nobody to ask.
    await fetch(url, { signal: AbortSignal.timeout(60_000) }).then(
      (answer) => answer.arrayBuffer(),
      () => undefined,
    )
    await sleep(Math.max(1_000, SWEEP_EVERY - (Date.now() - started)))
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main().catch((error) => fail(error instanceof Error ? error.message : String(error)))
}
