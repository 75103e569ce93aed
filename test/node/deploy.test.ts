import { spawn } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { experimental_readRawConfig, unstable_readConfig } from 'wrangler'

const SCRIPT = resolve('scripts/deploy.mjs')
const BOOKMARK = '00000085-0000024c-00004c6d-8e61117bf38d7adb71b934ebbf891683'
const WORKERS_DEV = 'https://badgekit-api.example.workers.dev'

/** What wrangler's own module gives for the `wrangler.toml` of the test: the script asks for it, and 20 starts of it take long. */
const READER = `import { readFileSync } from 'node:fs'
const { raw, read } = JSON.parse(readFileSync(new URL('read.json', import.meta.url), 'utf8'))
export const experimental_readRawConfig = () => ({ rawConfig: raw })
export const unstable_readConfig = ({ env }) => read[env]
`

const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`

/**
 * Stands in for wrangler, as a shell script, because it is called often: writes down how it was called and what it read,
 * and answers from the scenario, where the longest key that begins the command wins.
 */
const fakeWrangler = (scenario: Scenario) => `#!/bin/sh
secrets= input=
previous=
for one do
  [ "$previous" = --secrets-file ] && secrets=$(cat "$one")
  previous=$one
done
case "$*" in 'secret put'*) input=$(cat) ;; esac
{
  printf '%s\\037' "$@"
  printf '\\036%s\\036%s\\035' "$secrets" "$input"
} >> "$(dirname "$0")/calls"
case "$*" in
${Object.keys(scenario)
  .sort((a, b) => b.length - a.length)
  .map((key) => `${quoted(key)}*) ${answerOf(scenario[key] ?? {})} ;;`)
  .join('\n')}
esac
`

const answerOf = ({ out = '', err = '', code = 0, targets }: Answer) =>
  [
    ...(targets
      ? [{ type: 'wrangler-session' }, { type: 'deploy', targets }].map(
          (line) => `echo ${quoted(JSON.stringify(line))} >> "$WRANGLER_OUTPUT_FILE_PATH"`,
        )
      : []),
    `printf %s ${quoted(out)}`,
    `printf %s ${quoted(err)} >&2`,
    `exit ${code}`,
  ].join('\n')

/** What the fake has written down of its calls. */
const callsIn = (log: string): Call[] =>
  log
    .split('\x1d')
    .slice(0, -1)
    .map((call) => {
      const [args = '', secrets, input] = call.split('\x1e')
      return {
        args: args.split('\x1f').slice(0, -1),
        ...(secrets && { secrets: JSON.parse(secrets) }),
        ...(input && { input }),
      }
    })

type Answer = { out?: string; err?: string; code?: number; targets?: string[] }
type Call = { args: string[]; secrets?: Record<string, string>; input?: string }
type Scenario = Record<string, Answer>

const nothingYet: Scenario = {
  whoami: { out: JSON.stringify({ loggedIn: true, accounts: [{ id: 'a1', name: 'City' }] }) },
  'secret list': { err: '✘ [ERROR] Worker "badgekit-api" not found.\n', code: 1 },
  'd1 list': { out: '[]' },
  'queues info': { err: '✘ [ERROR] Queue "q" does not exist.', code: 1 },
  'd1 time-travel info': { out: JSON.stringify({ bookmark: BOOKMARK }) },
  deploy: { targets: [WORKERS_DEV, 'schedule: * * * * *'] },
}

const running: Scenario = {
  ...nothingYet,
  'secret list': {
    out: JSON.stringify(
      ['MASTER_SECRET', 'ENCRYPTION_KEYS', 'PUBLIC_ORIGIN'].map((name) => ({
        name,
        type: 'secret_text',
      })),
    ),
  },
  'd1 list': { out: JSON.stringify([{ uuid: 'u', name: 'badgekit' }]) },
  'queues info': { out: 'Queue Name: q' },
}

let project: string

beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), 'badgekit-deploy-test-'))
  copyFileSync('wrangler.toml', join(project, 'wrangler.toml'))
  mkdirSync(join(project, 'fake'))
  mkdirSync(join(project, 'scripts'))
  copyFileSync('scripts/deploy.mjs', join(project, 'scripts/deploy.mjs'))
  const module = join(project, 'node_modules/wrangler')
  mkdirSync(module, { recursive: true })
  writeFileSync(join(module, 'package.json'), '{ "type": "module", "exports": "./index.js" }')
  writeFileSync(join(module, 'index.js'), READER)
})

afterEach(() => rmSync(project, { recursive: true, force: true }))

/** Reads `wrangler.toml` as the script would, with the real wrangler, for the module that stands in for it. */
function readConfigs() {
  const config = join(project, 'wrangler.toml')
  const raw = experimental_readRawConfig({ config }).rawConfig
  const names = ['', ...Object.keys(raw.env ?? {})]
  const read = names.map((env) => [
    env,
    unstable_readConfig({ config, env }, { hideWarnings: true }),
  ])
  const file = join(project, 'node_modules/wrangler/read.json')
  writeFileSync(file, JSON.stringify({ raw, read: Object.fromEntries(read) }))
}

async function deploy(scenario: Scenario, ...args: string[]) {
  readConfigs()
  return deployWith(join(project, 'scripts/deploy.mjs'), scenario, ...args)
}

async function deployWith(script: string, scenario: Scenario, ...args: string[]) {
  const calls = join(project, 'fake/calls')
  const fake = join(project, 'fake/wrangler')
  rmSync(calls, { force: true })
  writeFileSync(fake, fakeWrangler(scenario), { mode: 0o755 })
  const { CLOUDFLARE_ACCOUNT_ID: _, ...env } = process.env
  const child = spawn(process.execPath, [script, ...args], {
    cwd: project,
    env: { ...env, WRANGLER: fake },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let printed = ''
  child.stdout.on('data', (text) => {
    printed += text
  })
  child.stderr.on('data', (text) => {
    printed += text
  })
  const code = await new Promise((done) => child.once('close', done))
  const log = existsSync(calls) ? callsIn(readFileSync(calls, 'utf8')) : []
  return { code, printed, log, commands: log.map((call) => call.args.join(' ')) }
}

const secretsFile = () => join(project, '.deploy.secrets.json')
const secrets = (): Record<string, string> => JSON.parse(readFileSync(secretsFile(), 'utf8'))
const find = (log: Call[], start: string) =>
  log.find(({ args }) => args.join(' ').startsWith(start))

describe('the first deploy', () => {
  it('makes everything, migrates before the code, and hands the secrets over in a file', async () => {
    // The script in its place, with wrangler's own module: the others run a copy of it.
    const { code, commands, log, printed } = await deployWith(
      SCRIPT,
      nothingYet,
      ...['--domain', 'badges.example.org'],
    )
    expect(printed).toContain('BadgeKit API is deployed at https://badges.example.org')
    expect(code).toBe(0)
    const queues = commands.filter((one) => one.startsWith('queues create'))
    expect(queues).toEqual([
      'queues create badgekit-deliveries --env=',
      'queues create badgekit-deliveries-slow --env=',
      'queues create badgekit-deliveries-dead --env=',
    ])
    expect(commands.filter((one) => !one.startsWith('queues'))).toEqual([
      'whoami --json',
      'secret list --env=',
      'd1 list --json --env=',
      'd1 create badgekit --env=',
      'd1 time-travel info badgekit --json --env=',
      'd1 migrations apply DB --remote --env=',
      'deploy --minify --domain badges.example.org --secrets-file .deploy.secrets.json --env=',
    ])
    const given = find(log, 'deploy')?.secrets
    expect(given).toEqual(secrets())
    expect(Buffer.from(given?.MASTER_SECRET ?? '', 'base64url')).toHaveLength(32)
    const keys = Object.values(JSON.parse(given?.ENCRYPTION_KEYS ?? '') as Record<string, string>)
    expect(keys.map((key) => Buffer.from(key, 'base64').length)).toEqual([32])
    expect(given?.PUBLIC_ORIGIN).toBe('https://badges.example.org')
  })

  it('keeps the secrets off the screen and out of the arguments, in a file for the owner only', async () => {
    const { printed, commands } = await deploy(nothingYet)
    const { MASTER_SECRET = '', ENCRYPTION_KEYS = '' } = secrets()
    const key: string = JSON.parse(ENCRYPTION_KEYS).k1
    for (const secret of [MASTER_SECRET, key]) {
      expect(secret.length).toBeGreaterThan(40)
      expect(printed).not.toContain(secret)
      expect(commands.join('\n')).not.toContain(secret)
    }
    expect(printed).toContain('shown nowhere again')
    expect(printed).toContain('BADGEKIT_SECRETS=.deploy.secrets.json npm run api -- GET /systems')
    expect(statSync(secretsFile()).mode & 0o777).toBe(0o600)
    const ignored = readFileSync('.gitignore', 'utf8').split('\n')
    expect(ignored).toContain('.deploy.*')
  })

  it('learns the workers.dev address from the deploy and sets it afterwards', async () => {
    const { code, log, commands } = await deploy(nothingYet)
    expect(code).toBe(0)
    expect(find(log, 'deploy')?.secrets?.PUBLIC_ORIGIN).toBe('pending')
    expect(commands.at(-1)).toBe('secret put PUBLIC_ORIGIN --env=')
    expect(log.at(-1)?.input).toBe(WORKERS_DEV)
    expect(secrets().PUBLIC_ORIGIN).toBe(WORKERS_DEV)
  })

  it('uses the same secrets again when the deploy before it failed', async () => {
    const failed = await deploy({ ...nothingYet, deploy: { err: 'no', code: 1 } })
    expect(failed.code).toBe(1)
    const before = secrets()
    const { code, log } = await deploy(nothingYet)
    expect(code).toBe(0)
    expect(find(log, 'deploy')?.secrets).toEqual(before)
    expect(secrets().MASTER_SECRET).toBe(before.MASTER_SECRET)
  })

  it('keeps database and queues in the jurisdiction', async () => {
    const { commands } = await deploy(nothingYet, '--jurisdiction', 'eu')
    expect(commands).toContain('d1 create badgekit --jurisdiction eu --env=')
    expect(commands).toContain('queues create badgekit-deliveries --jurisdiction eu --env=')
    const refused = await deploy(nothingYet, '--jurisdiction', 'mars')
    expect(refused).toMatchObject({ code: 1, log: [] })
  })
})

describe('an upgrade', () => {
  it('makes nothing and touches no secret, without the file of the first run too', async () => {
    const { code, commands, printed } = await deploy(running)
    expect(code).toBe(0)
    expect(commands.filter((one) => !one.startsWith('queues info'))).toEqual([
      'whoami --json',
      'secret list --env=',
      'd1 list --json --env=',
      'd1 time-travel info badgekit --json --env=',
      'd1 migrations apply DB --remote --env=',
      'deploy --minify --env=',
    ])
    expect(existsSync(secretsFile())).toBe(false)
    expect(printed).toContain(BOOKMARK)
    expect(printed).toContain('Secrets     unchanged')
  })

  it('leaves the file of the first run as it was', async () => {
    await deploy(nothingYet, '--domain', 'badges.example.org')
    const before = readFileSync(secretsFile(), 'utf8')
    const { code, printed } = await deploy(running, '--domain', 'other.example.org')
    expect(code).toBe(0)
    expect(readFileSync(secretsFile(), 'utf8')).toBe(before)
    expect(printed).toContain('PUBLIC_ORIGIN stays https://badges.example.org')
  })

  it('finishes an address that the first run could not set', async () => {
    await deploy({ ...nothingYet, 'secret put': { err: 'no', code: 1 } })
    expect(secrets().PUBLIC_ORIGIN).toBe('pending')
    const { code, log } = await deploy(running)
    expect(code).toBe(0)
    expect(log.at(-1)).toMatchObject({ input: WORKERS_DEV })
    expect(secrets().PUBLIC_ORIGIN).toBe(WORKERS_DEV)
  })
})

describe('what stops a deploy', () => {
  it('is a missing log-in, with the line to run', async () => {
    const out = { out: JSON.stringify({ loggedIn: false }), code: 1 }
    const { code, commands, printed } = await deploy({ ...nothingYet, whoami: out })
    expect(code).toBe(1)
    expect(commands).toEqual(['whoami --json'])
    expect(printed).toContain('npx wrangler login')
  })

  it('is a choice between several accounts', async () => {
    const accounts = [
      { id: 'a1', name: 'City' },
      { id: 'a2', name: 'Other' },
    ]
    const whoami = { out: JSON.stringify({ loggedIn: true, accounts }) }
    const { code, commands, printed } = await deploy({ ...nothingYet, whoami })
    expect(code).toBe(1)
    expect(commands).toEqual(['whoami --json'])
    expect(printed).toContain('a2  Other')
  })

  it.each([
    ['the first', nothingYet],
    ['a later', running],
  ])('is a failed migration on %s run, with its message', async (_, scenario) => {
    const failed = { err: 'near "CREATEE": syntax error', code: 1 }
    const { code, commands, printed } = await deploy({ ...scenario, 'd1 migrations apply': failed })
    expect(code).toBe(1)
    expect(commands.at(-1)).toBe('d1 migrations apply DB --remote --env=')
    expect(printed).toContain('near "CREATEE": syntax error')
    expect(existsSync(secretsFile())).toBe(false)
  })

  it('is doubt about the secrets: an error that is not "no such Worker", or some but not all', async () => {
    const broken = await deploy({ ...running, 'secret list': { err: 'fetch failed', code: 1 } })
    expect(broken.code).toBe(1)
    expect(broken.commands.at(-1)).toBe('secret list --env=')
    const half = { out: JSON.stringify([{ name: 'MASTER_SECRET' }]) }
    const partial = await deploy({ ...running, 'secret list': half })
    expect(partial.code).toBe(1)
    expect(partial.commands.at(-1)).toBe('secret list --env=')
    expect(partial.printed).toContain('npx wrangler secret put ENCRYPTION_KEYS')
    expect(existsSync(secretsFile())).toBe(false)
  })

  it('is an environment that is not there, or that would write into production', async () => {
    const absent = await deploy(nothingYet, '--env', 'qa')
    expect(absent).toMatchObject({ code: 1, log: [] })
    expect(absent.printed).toContain('wrangler.toml has no [env.qa]')
    addEnvironment('qa', 'badgekit')
    const shared = await deploy(nothingYet, '--env', 'qa')
    expect(shared).toMatchObject({ code: 1, log: [] })
    expect(shared.printed).toContain('belongs to production: badgekit')
  })
})

it('deploys an environment to resources of its own, with a secrets file of its own', async () => {
  addEnvironment('qa', 'badgekit-qa')
  const { code, commands } = await deploy(nothingYet, '--env', 'qa')
  expect(code).toBe(0)
  expect(commands).toContain('d1 create badgekit-qa --env=qa')
  expect(commands).toContain('queues create badgekit-qa-deliveries --env=qa')
  expect(commands).toContain('deploy --minify --secrets-file .deploy.secrets.qa.json --env=qa')
  expect(existsSync(secretsFile())).toBe(false)
})

function addEnvironment(name: string, database: string) {
  const toml = readFileSync(join(project, 'wrangler.toml'), 'utf8')
  const section = `
[env.${name}]
name = "badgekit-api-${name}"
[env.${name}.define]
LOCAL_DEV = "false"
[env.${name}.secrets]
required = ["MASTER_SECRET", "ENCRYPTION_KEYS", "PUBLIC_ORIGIN"]
[[env.${name}.d1_databases]]
binding = "DB"
database_name = "${database}"
migrations_dir = "migrations"
[[env.${name}.queues.producers]]
binding = "DELIVERIES"
queue = "badgekit-${name}-deliveries"
`
  writeFileSync(join(project, 'wrangler.toml'), toml + section)
}
