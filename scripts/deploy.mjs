/**
 * `npm run deploy [-- --env staging] [--domain badges.example.org] [--jurisdiction eu]`: from nothing to a running
 * Worker, and again for every upgrade. The schema goes before the code, because a migration here only ever adds;
 * the code of yesterday runs on the schema of today, never the other way round.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const WRANGLER = process.env.WRANGLER || join(ROOT, 'node_modules/wrangler/wrangler-dist/cli.js')
const CONFIG = resolve('wrangler.toml')
const PENDING = 'pending'
const MADE_HERE = ['MASTER_SECRET', 'ENCRYPTION_KEYS', 'PUBLIC_ORIGIN']
const JURISDICTIONS = ['eu', 'us', 'fedramp']

const HELP = `Usage: npm run deploy -- [options]

  --env NAME            the environment [env.NAME] of wrangler.toml, with a database and queues of its own
  --domain HOST         a custom domain on a zone of your account, such as badges.example.org
  --origin URL          the public address, when you route to the Worker in a way of your own
  --jurisdiction PLACE  where a new database is kept: ${JURISDICTIONS.join(', ')}

The public address is written into every badge and cannot change later. Without --domain or
--origin it is the workers.dev address, which is good for trying.
`

/** An end with a plain explanation; anything else that is thrown is a bug and shows its stack. */
class Stop extends Error {}

/** @param {string} line */
const say = (line) => process.stdout.write(`${line}\n`)

/**
 * Every call of wrangler. What it prints is kept from the screen unless `show` says otherwise.
 * @param {string[]} args
 * @param {{ show?: boolean, input?: string, env?: Record<string, string> }} [options]
 * @returns {Promise<{ ok: boolean, out: string, all: string }>}
 */
function wrangler(args, { show = false, input, env } = {}) {
  const [command, first] = /\.[cm]?js$/.test(WRANGLER)
    ? [process.execPath, [WRANGLER]]
    : [WRANGLER, []]
  const child = spawn(command, [...first, ...args], {
    stdio: show ? 'inherit' : ['pipe', 'pipe', 'pipe'],
    env: {
      ...process.env,
      WRANGLER_SEND_METRICS: 'false',
      WRANGLER_HIDE_BANNER: 'true',
      ...(show ? {} : { NO_COLOR: '1' }),
      ...env,
    },
  })
  let out = ''
  let all = ''
  child.stdout?.setEncoding('utf8').on('data', (text) => {
    out += text
    all += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text) => {
    all += text
  })
  // Closed at once when there is nothing to say, so that wrangler never waits for an answer that nobody can see.
  child.stdin?.on('error', () => undefined).end(input)
  return new Promise((done, failed) => {
    child.once('error', failed)
    child.once('close', (code) => done({ ok: code === 0, out, all: all.trim() }))
  })
}

/**
 * A call that must succeed.
 * @param {string} doing what failed, for the one who reads it
 * @param {string[]} args
 * @param {{ show?: boolean, input?: string, env?: Record<string, string> }} [options]
 */
async function must(doing, args, options) {
  const result = await wrangler(args, options)
  if (!result.ok) throw new Stop(`${result.all}\n\nCould not ${doing}.`.trimStart())
  return result
}

/** @param {string} out */
function parseJson(out) {
  const start = out.search(/[[{]/)
  return JSON.parse(start < 0 ? 'null' : out.slice(start))
}

/** @param {string[]} argv */
function parseOptions(argv) {
  const string = /** @type {const} */ ({ type: 'string' })
  let values
  try {
    values = parseArgs({
      args: argv,
      options: {
        env: string,
        domain: string,
        origin: string,
        jurisdiction: string,
        help: { type: 'boolean', default: false },
      },
    }).values
  } catch (error) {
    throw new Stop(`${/** @type {Error} */ (error).message}\n\n${HELP}`)
  }
  const { env, domain, origin, jurisdiction } = values
  if (env !== undefined && !/^[\w-]+$/.test(env)) throw new Stop(`Not an environment: ${env}`)
  if (domain !== undefined && !/^([a-z0-9-]+\.)+[a-z]{2,}$/.test(domain)) {
    throw new Stop(`--domain takes a host name in lower case, such as badges.example.org.`)
  }
  if (jurisdiction !== undefined && !JURISDICTIONS.includes(jurisdiction)) {
    throw new Stop(`--jurisdiction is one of ${JURISDICTIONS.join(', ')}.`)
  }
  const address = origin ?? (domain && `https://${domain}`)
  if (address !== undefined && (!URL.canParse(address) || new URL(address).origin !== address)) {
    throw new Stop(`--origin takes scheme and host only, such as https://badges.example.org.`)
  }
  return { env, domain, address, jurisdiction, help: values.help }
}

/** @param {import('wrangler').Unstable_Config} config */
function namesOf(config) {
  const [database] = config.d1_databases
  const queues = [
    ...(config.queues.producers ?? []).map(({ queue }) => queue),
    ...(config.queues.consumers ?? []).flatMap((one) => [one.queue, one.dead_letter_queue]),
  ]
  const required = config.secrets?.required ?? []
  // An [env.NAME] inherits none of these, and without them the plan below would be made on nothing.
  const lacks = [
    ...(database?.database_name ? [] : ['d1_databases']),
    ...(config.define.LOCAL_DEV === 'false' ? [] : ['define LOCAL_DEV = "false"']),
    ...(MADE_HERE.every((name) => required.includes(name)) ? [] : ['secrets required']),
  ]
  if (lacks.length > 0 || database?.database_name === undefined) {
    throw new Stop(
      `wrangler.toml lacks ${lacks.join(', ')} (in the environment that was asked for).`,
    )
  }
  return {
    worker: config.name ?? '',
    database: database.database_name,
    binding: database.binding,
    queues: [...new Set(queues)].filter((name) => name !== undefined),
    required,
  }
}

/** @param {string | undefined} env */
async function readNames(env) {
  if (!existsSync(CONFIG)) throw new Stop('There is no wrangler.toml here.')
  const { experimental_readRawConfig, unstable_readConfig } = await import('wrangler')
  const read = (/** @type {string | undefined} */ name) =>
    namesOf(unstable_readConfig({ config: CONFIG, env: name }, { hideWarnings: true }))
  if (env === undefined) return read('')
  // wrangler only warns about an unknown environment, and then deploys the top of the file under another name.
  if (experimental_readRawConfig({ config: CONFIG }).rawConfig.env?.[env] === undefined) {
    throw new Stop(
      `wrangler.toml has no [env.${env}]. Add one, with a database and queues of its own (docs/deploy.md).`,
    )
  }
  const [main, names] = [read(''), read(env)]
  const shared = [names.database, ...names.queues].filter((name) =>
    [main.database, ...main.queues].includes(name),
  )
  if (shared.length > 0) {
    throw new Stop(`[env.${env}] would use what belongs to production: ${shared.join(', ')}.`)
  }
  return names
}

async function checkLogin() {
  const { ok, out, all } = await wrangler(['whoami', '--json'])
  const who = ok || /loggedIn/.test(out) ? parseJson(out) : undefined
  if (who === undefined)
    throw new Stop(`${all}\n\nCould not ask Cloudflare who you are.`.trimStart())
  if (!who?.loggedIn) {
    throw new Stop(
      'You are not logged in to Cloudflare. Run this, then try again:\n\n  npx wrangler login',
    )
  }
  const accounts = who.accounts ?? []
  if (accounts.length > 1 && !process.env.CLOUDFLARE_ACCOUNT_ID) {
    const lines = accounts.map(
      (/** @type {{ id: string, name: string }} */ { id, name }) => `  ${id}  ${name}`,
    )
    throw new Stop(
      `This login has several accounts. Choose one with CLOUDFLARE_ACCOUNT_ID=…\n\n${lines.join('\n')}`,
    )
  }
  say(
    `Account     ${accounts[0]?.name ?? process.env.CLOUDFLARE_ACCOUNT_ID ?? who.email ?? 'logged in'}`,
  )
}

/**
 * The names of the secrets that the deployed Worker has. Only a plain "no such Worker" counts as none: taking a
 * network error for a first run would make new keys that cannot open what the old ones sealed.
 * @param {string[]} target
 */
async function remoteSecrets(target) {
  const { ok, out, all } = await wrangler(['secret', 'list', ...target])
  if (ok) return parseJson(out).map((/** @type {{ name: string }} */ { name }) => name)
  if (/Worker .* not found|code: 10007/.test(all)) return []
  throw new Stop(`${all}\n\nCould not list the secrets of the deployed Worker.`)
}

/** @param {string} file */
const readSecrets = (file) =>
  existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined

/**
 * @param {string} file
 * @param {Record<string, string>} secrets
 */
const writeSecrets = (file, secrets) =>
  writeFileSync(file, `${JSON.stringify(secrets, null, 2)}\n`, { mode: 0o600 })

/**
 * Decides what this run does about secrets, before anything is made.
 * @param {{ file: string, required: string[], present: string[] }} where
 */
function planSecrets({ file, required, present }) {
  const missing = required.filter((name) => !present.includes(name))
  if (missing.length > 0 && missing.length < required.length) {
    throw new Stop(
      `The deployed Worker has secrets but lacks ${missing.join(', ')}. None is made anew beside existing ones; ` +
        `set what is missing:\n\n${missing.map((name) => `  npx wrangler secret put ${name}`).join('\n')}`,
    )
  }
  return { first: missing.length > 0, kept: readSecrets(file) }
}

/**
 * @param {string[]} target
 * @param {ReturnType<typeof namesOf>} names
 * @param {string | undefined} jurisdiction
 */
async function makeResources(target, { database, queues }, jurisdiction) {
  const place = jurisdiction ? ['--jurisdiction', jurisdiction] : []
  const { out } = await must('list the databases', ['d1', 'list', '--json', ...target])
  const known = parseJson(out).some((/** @type {{ name: string }} */ { name }) => name === database)
  if (!known) await must('create the database', ['d1', 'create', database, ...place, ...target])
  say(
    `Database    ${database}${known ? '' : ` (new${jurisdiction ? `, kept in ${jurisdiction}` : ''})`}`,
  )
  if (known && jurisdiction) {
    say('            --jurisdiction is for a new database; this one stays where it is')
  }
  for (const queue of queues) {
    const { ok, all } = await wrangler(['queues', 'info', queue, ...target])
    if (!ok && !/does not exist/.test(all))
      throw new Stop(`${all}\n\nCould not look for the queue.`)
    if (!ok) await must('create the queue', ['queues', 'create', queue, ...place, ...target])
    say(`Queue       ${queue}${ok ? '' : ' (new)'}`)
  }
}

/**
 * @param {string[]} target
 * @param {{ database: string, binding: string }} names
 */
async function migrate(target, { database, binding }) {
  const info = ['d1', 'time-travel', 'info', database, '--json', ...target]
  const { bookmark } = parseJson((await must('read the Time Travel bookmark', info)).out)
  say(`Bookmark    ${bookmark}`)
  say(
    `            undo a migration: npx wrangler d1 time-travel restore ${database} --bookmark=${bookmark}`,
  )
  await must('migrate the database; nothing was deployed and the running Worker is unchanged', [
    ...['d1', 'migrations', 'apply', binding, '--remote'],
    ...target,
  ])
  say('Migrations  applied')
}

/**
 * @param {string[]} target
 * @param {string[]} more
 * @returns {Promise<string[]>} the addresses that the Worker answers on
 */
async function deployCode(target, more) {
  const directory = mkdtempSync(join(tmpdir(), 'badgekit-deploy-'))
  const file = join(directory, 'output.ndjson')
  try {
    say('')
    await must('deploy', ['deploy', '--minify', ...more, ...target], {
      // On a new account wrangler asks for the workers.dev name, so here it has the terminal.
      show: true,
      env: { WRANGLER_OUTPUT_FILE_PATH: file },
    })
    const lines = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []
    const entry = lines.map((line) => JSON.parse(line)).find(({ type }) => type === 'deploy')
    return entry?.targets ?? []
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** @param {string[]} argv */
async function main(argv) {
  const { env, domain, address, jurisdiction, help } = parseOptions(argv)
  if (help) return say(HELP)
  const names = await readNames(env)
  // An empty name says "the top of the file" and keeps wrangler from asking which one was meant.
  const target = [`--env=${env ?? ''}`]
  const file = env ? `.deploy.secrets.${env}.json` : '.deploy.secrets.json'

  say(`Worker      ${names.worker}`)
  await checkLogin()
  const present = await remoteSecrets(target)
  const { first, kept } = planSecrets({ file, required: names.required, present })
  await makeResources(target, names, jurisdiction)
  await migrate(target, names)

  if (first) {
    // Values of a first run that did not get through are used again, or half of the things would know other ones.
    writeSecrets(file, {
      MASTER_SECRET: randomBytes(32).toString('base64url'),
      ENCRYPTION_KEYS: JSON.stringify({ k1: randomBytes(32).toString('base64') }),
      ...kept,
      PUBLIC_ORIGIN: address ?? PENDING,
    })
    say(`Secrets     ${kept ? 'kept from' : 'made into'} ${file}`)
  } else {
    say('Secrets     unchanged')
  }

  const targets = await deployCode(target, [
    ...(domain ? ['--domain', domain] : []),
    ...(first ? ['--secrets-file', file] : []),
  ])

  let origin = first ? (address ?? PENDING) : kept?.PUBLIC_ORIGIN
  if (origin === PENDING) {
    // Only now is the workers.dev address known; until it is set the Worker answers 503.
    origin = address ?? targets.find((one) => /^https:\/\/[\w.-]+\.workers\.dev$/.test(one))
    if (origin === undefined) {
      throw new Stop('The Worker has no workers.dev address. Run again with --domain or --origin.')
    }
    await must('set PUBLIC_ORIGIN', ['secret', 'put', 'PUBLIC_ORIGIN', ...target], {
      input: origin,
    })
    writeSecrets(file, { ...readSecrets(file), PUBLIC_ORIGIN: origin })
  } else if (!first && address && origin && address !== origin) {
    say(`\nPUBLIC_ORIGIN stays ${origin}: it is written into every badge that was given.`)
  }
  finish({
    first,
    file: existsSync(file) ? file : undefined,
    origin: origin ?? address ?? targets[0],
  })
}

/** @param {{ first: boolean, file: string | undefined, origin: string | undefined }} result */
function finish({ first, file, origin }) {
  say(`\nBadgeKit API is deployed${origin ? ` at ${origin}` : ''}`)
  if (first) {
    say(`
${file} holds the master secret and the keys that seal what the database keeps. They are
shown nowhere again. Put the file into your password manager; without it sealed data is lost.`)
  }
  const signer = file
    ? `BADGEKIT_SECRETS=${file}`
    : `BADGEKIT_URL=${origin ?? 'https://…'} BADGEKIT_SECRET=…`
  say(`
A first signed call:

  ${signer} npm run api -- GET /systems
`)
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof Stop)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 1
}
