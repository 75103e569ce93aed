import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { commands } from '../../bin/lib/commands.mjs'
import { writeOrganisation } from './oldOrganisation'
import { freePort, serverAt, startReceiver, until } from './server'
import { blocksOf, commandsOf, difference, filesOf, renamed } from './told'

/**
 * Every command that the documentation shows is run in the order of its page, against the real server, and what the page says that
 * it answers is compared with what it answers. Nothing else is there: a page that needs more than it says does not pass.
 */

const folder = mkdtempSync(join(tmpdir(), 'badgekit-commands-'))
const { scripts, bin } = JSON.parse(readFileSync('package.json', 'utf8'))
let server: Awaited<ReturnType<typeof serverAt>>
let receiver: Awaited<ReturnType<typeof startReceiver>>
const running: ChildProcess[] = []
beforeAll(async () => {
  ;[server, receiver] = await Promise.all([serverAt(inject('server')), startReceiver()])
  const secrets = { PUBLIC_ORIGIN: server.url, MASTER_SECRET: server.secret }
  writeFileSync(join(folder, '.deploy.secrets.json'), JSON.stringify(secrets))
  writeOrganisation(join(folder, 'dump.sql'))
})
afterAll(async () => {
  for (const child of running) child.kill()
  await receiver?.stop()
  rmSync(folder, { recursive: true, force: true })
})

const page = (path: string) => readFileSync(resolve(path), 'utf8')

/** What npm makes of `npm run api` and `npx badgekit`, without the half second that it takes itself. */
const SHORT = `
npm() { [ "$1 $2 $3 $4" = 'run -s api --' ] || exit 99; shift 4; ${inRoot(scripts.api)} "$@"; }
npx() { [ "$1" = badgekit ] || exit 99; shift; node ${resolve(bin.badgekit)} "$@"; }`
function inRoot(line: string) {
  return line.replace('bin/', `${resolve('bin')}/`)
}

/**
 * A reader of some pages, who types what stands there. The words of a page that others on this server use as well are
 * replaced by `own`.
 */
function reader(own: Record<string, string>) {
  const names = new Map<string, string>()
  const here = (text: string) => {
    let changed = text
      .replaceAll('127.0.0.1:8787', new URL(server.url).host)
      .replaceAll('https://badges.example.org', server.url)
    for (const [word, other] of Object.entries(own)) {
      changed = changed.replace(new RegExp(`(?<![\\w.-])${word}(?![\\w-])`, 'g'), other)
    }
    return changed
  }
  const env = {
    ...process.env,
    BADGEKIT_URL: server.url,
    BADGEKIT_SECRET: server.secret,
    SECRET: server.secret,
  }
  return {
    here,
    write(path: string) {
      for (const { name, text } of filesOf(page(path)))
        writeFileSync(join(folder, name), here(text))
    },
    /** Runs the commands of a page, and gives what differs. */
    async follow(path: string, ends: Record<string, number> = {}) {
      const wrong: object[] = []
      const others: Promise<void>[] = []
      let exported = ''
      for (const { command, output } of commandsOf(page(path))) {
        const typed = renamed(here(command), names).replace(
          /(\w+)=…/g,
          (_, name) => `${name}=${env[name as 'SECRET']}`,
        )
        if (typed.startsWith('export ')) {
          exported += `${typed}\n`
          continue
        }
        const program = bash(`${SHORT}\n${exported}${typed}`, env)
        const compared = program.ended.then((code) => {
          const differs = difference(here(output), program.out(), names)
          if (code === (ends[command] ?? endOf(output)) && differs === undefined) return
          wrong.push({ command, told: here(output), seen: differs ?? program.out(), code })
        })
        others.push(compared)
        // It stays in a terminal of its own, until what follows has reached it.
        if (typed.includes('badgekit listen')) {
          await until(() => program.out().includes('listening'), 30_000, program.out)
        } else await compared
      }
      await Promise.all(others)
      return wrong
    },
    /** Runs the programs of a page of which it says what they print, and gives what they print. */
    async run(path: string) {
      const printed: [told: string, seen: string][] = []
      for (const { language, text, after } of blocksOf(page(path))) {
        const told =
          /^It prints `([^`]+)`/.exec(after)?.[1] ??
          /console\.log\(.*\) \/\/ (.+)$/m.exec(text)?.[1]
        const command = { js: 'node --input-type=module', python: 'python3' }[language]
        if (!told || !command) continue
        const file = join(folder, 'program')
        writeFileSync(file, here(text))
        const program = bash(`${command} < ${file}`, env)
        await program.ended
        printed.push([told, program.out().trim()])
      }
      return printed
    },
  }
}

/** A request that is refused ends with 1. */
const endOf = (output: string) => (/^(?:[A-Z]+ \S+: )?4\d\d /m.test(output) ? 1 : 0)

/** A command, and what it says on both of its outputs, as a terminal shows them. */
function bash(script: string, env: NodeJS.ProcessEnv) {
  const child = spawn('bash', ['-c', `exec 2>&1\n${script}`], { cwd: folder, env })
  running.push(child)
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    text += chunk
  })
  return {
    child,
    // What a terminal does not show.
    out: () => text.replace(/[\r\uFEFF]/g, ''),
    ended: new Promise<number | null>((done) => child.once('close', done)),
  }
}

const container = (slug: string) => ({ slug, name: slug, url: 'https://pages.example.org' })
async function made(path: string, body: object) {
  const { status, body: answer } = await server.call('POST', path, body)
  expect(status, JSON.stringify(answer)).toBe(201)
}

const PAGES = ['.', 'docs', 'examples'].flatMap((directory) =>
  readdirSync(resolve(directory))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(directory, name)),
)
const TOLD_TOGETHER = ['README.md', 'docs/tutorial.md', 'docs/claim-codes.md', 'docs/assess.md']
const OTHERS = ['cli', 'import', 'keys', 'webhooks'].map((name) => `docs/${name}.md`)

describe('what a reader is told to type answers as the page says', () => {
  it('README.md, docs/tutorial.md, which goes on from there, and two pages that go on as well', async () => {
    const own = { city: 'readme-city', town: 'readme-town' }
    const ports = { '9000': String(await freePort()), '9001': String(await freePort()) }
    const reads = reader({ ...own, ...ports })
    for (const path of TOLD_TOGETHER) reads.write(path)
    const told = bash('node receiver.mjs', process.env)
    expect(await reads.follow('README.md')).toEqual([])
    const lines = [...page('README.md').matchAll(/The receiver prints[^`]*`([^`]+)`/g)]
    expect(lines).toHaveLength(2)
    await until(() => told.out().includes('revoke'), 30_000, told.out)
    const said = lines.map(([, line]) => line).join('\n')
    expect(difference(said, told.out(), new Map())).toBeUndefined()
    expect(await reads.run('README.md')).toEqual([['201', '201']])
    for (const path of TOLD_TOGETHER.slice(1)) expect(await reads.follow(path)).toEqual([])
  })

  it('docs/keys.md', async () => {
    await made('/systems', container('keys-page'))
    await made('/systems/keys-page/issuers', container('library'))
    expect(await reader({ city: 'keys-page' }).follow('docs/keys.md')).toEqual([])
  })

  it('docs/webhooks.md', async () => {
    await made('/systems', container('hooks-page'))
    const port = String(receiver.port)
    const reads = reader({ hooks: 'hooks-page', '9079': port })
    expect(await reads.follow('docs/webhooks.md')).toEqual([])
  })

  it('docs/import.md', async () => {
    // Some rows of that dump cannot be taken, of which its end tells.
    const ends = { 'npx badgekit import dump.sql --dry-run': 3 }
    expect(await reader({}).follow('docs/import.md', ends)).toEqual([])
  })

  it('docs/cli.md, where `doctor` finds a server well and leaves nothing behind', async () => {
    expect(await reader({}).follow('docs/cli.md')).toEqual([])
    expect(JSON.stringify((await server.call('GET', '/systems')).body)).not.toContain('doctor-')
  })

  it('and no other page shows commands', () => {
    const showing = PAGES.filter((path) => commandsOf(page(path)).length > 0)
    expect(showing.sort()).toEqual([...TOLD_TOGETHER, ...OTHERS].sort())
  })

  it('a page that says something else is found out', () => {
    const seen = '201 Created (3 ms)\n{\n  "id": 7,\n  "slug": "a"\n}\n'
    const differs = (told: string) => difference(told, seen, new Map()) !== undefined
    expect(differs('201 Created (148 ms)\n…\n  "slug": "a"\n}')).toBe(false)
    expect(differs('201 Created (148 ms)\n…\n  "slug": "b"\n}')).toBe(true)
    expect(differs('200 OK (148 ms)\n…')).toBe(true)
    expect(differs('201 Created (148 ms)')).toBe(true)
    const numbers = new Map([
      ['Id":2', 'Id":7'],
      ['Id":21', 'Id":2'],
    ])
    expect(renamed('{"criterionId":21}', numbers)).toBe('{"criterionId":2}')
    const names = new Map<string, string>()
    expect(difference('0123456789ab', 'ffffffffffff', names)).toBeUndefined()
    expect(difference('0123456789ab', 'eeeeeeeeeeee', names)).toBeDefined()
  })
})

/** What stands in `sh` blocks is not run here, and why not. */
const ELSEWHERE: [command: RegExp, why: string][] = [
  [/^npm (ci|test)\b|^npm ci && npm start/, '.ci/run does it'],
  [
    /npm run (-s )?(api|deploy|test:\w+|bench)\b|^npx wrangler |^git pull/,
    'it asks an account of Cloudflare: deploy.test.ts',
  ],
  [/^mysqldump /, 'it asks a database of MySQL: oldDump.mjs writes what it writes'],
  [
    /badgekit (import|export|doctor)\b/,
    'import.test.ts and export.test.ts do it; docs/cli.md has `doctor`',
  ],
  [/^node examples\/migrate-from-badgekit\.mjs /, 'import.test.ts does it'],
  [/^npx badgekit listen city/, 'it listens until it is ended: cli.test.ts'],
]

describe('what stands in `sh` blocks', () => {
  const lines = PAGES.flatMap((path) =>
    blocksOf(page(path))
      .filter(({ language, text }) => language === 'sh' && !text.includes('$('))
      .flatMap(({ text }) => text.trim().split('\n'))
      .map((line) => `${path}: ${line}`),
  )

  it('is run by another test, or cannot be run here', () => {
    const untold = lines.filter((line) => {
      const [, command = ''] = /^\S+: (?:[A-Z_]+=\S+ )*(.*)$/.exec(line) ?? []
      return !ELSEWHERE.some(([known]) => known.test(command))
    })
    expect(untold).toEqual([])
  })

  it('names commands and options that `badgekit` has', async () => {
    const told = PAGES.flatMap((path) => [
      ...page(path).matchAll(/npx badgekit (\w+)([^`\n#|&]*)/g),
    ])
    const unknown = []
    for (const [line, name = '', rest = ''] of told) {
      if (name === 'help' || name === 'COMMAND') continue
      const help = (await commands[name]?.load())?.help ?? ''
      const options = [...rest.matchAll(/ (--[a-z-]+)/g)].map(([, option = '']) => option)
      if (!help || options.some((option) => !help.includes(option))) unknown.push(line)
    }
    expect(unknown).toEqual([])
  })
})
