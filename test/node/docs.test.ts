import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, inject, it } from 'vitest'
import { serverAt } from './server'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string) => readFileSync(resolve(ROOT, path), 'utf8')
const pages = ['.', 'docs'].flatMap((directory) =>
  readdirSync(resolve(ROOT, directory))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(directory, name)),
)
const scripts: Record<string, string> = JSON.parse(read('package.json')).scripts

/** As GitHub names a heading. */
const anchors = (text: string) =>
  [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )

describe.each(pages)('%s', (page) => {
  const text = read(page)

  it('has links that lead somewhere', () => {
    const links = [...text.replace(/```[\s\S]*?```/g, '').matchAll(/\]\(([^)\s]+)\)/g)]
    const broken = links
      .map(([, link = '']) => link)
      .filter((link) => !/^https?:/.test(link))
      .filter((link) => {
        const [file = '', anchor] = link.split('#')
        const path = file === '' ? resolve(ROOT, page) : resolve(ROOT, dirname(page), file)
        if (!existsSync(path) || relative(ROOT, path).startsWith('..')) return true
        return anchor !== undefined && !anchors(readFileSync(path, 'utf8')).includes(anchor)
      })
    expect(broken).toEqual([])
  })

  it('names only scripts that exist', () => {
    const named = [...text.matchAll(/npm run (?:-s |--silent )?([\w:]+)/g)].map(([, name]) => name)
    expect(named.filter((name) => name && !(name in scripts))).toEqual([])
  })
})

it('has a row for every script, in README or CONTRIBUTING', () => {
  const text = read('README.md') + read('CONTRIBUTING.md')
  const told = (name: string) =>
    new RegExp(`npm (?:run (?:-s )?)?${name.replace(':', '\\:')}(?![\\w:])`).test(text)
  // What `npm run check` is made of needs no row.
  const parts = ['types', 'db:check']
  expect(Object.keys(scripts).filter((name) => !told(name) && !parts.includes(name))).toEqual([])
})

describe('README.md', () => {
  it('is short', () => {
    expect(read('README.md').split('\n').length).toBeLessThan(150)
  })

  it('starts with the two commands', () => {
    expect(read('README.md')).toMatch(/```sh\nnpm ci && npm start .*\nnpm test .*\n```/)
  })
})

it('docs/api.md names every route of docs/openapi.json, and no other', () => {
  const { paths } = JSON.parse(read('docs/openapi.json')) as { paths: Record<string, object> }
  const routes = Object.entries(paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`),
  )
  const levels = [
    '/systems/{system}',
    '/systems/{system}/issuers/{issuer}',
    '/systems/{system}/issuers/{issuer}/programs/{program}',
  ]
  const named = [...read('docs/api.md').matchAll(/`((?:GET|POST|PUT|DELETE) \S*)`/g)].flatMap(
    ([, route = '']) =>
      route.includes('{C}') ? levels.map((path) => route.replace('{C}', path)) : [route],
  )
  expect([...new Set(named)].sort()).toEqual(routes.sort())
})

it('docs/api.md shows what is really sent and answered', async () => {
  const check = spawn(process.execPath, [resolve(ROOT, 'scripts/api-docs.mjs'), '--check'])
  let output = ''
  for (const stream of [check.stdout, check.stderr]) {
    stream.on('data', (data) => {
      output += data
    })
  }
  const code = await new Promise((done) => check.once('close', done))
  expect({ code, output }).toEqual({ code: 0, output: expect.any(String) })
}, 120_000)

describe('the examples', () => {
  let server: Awaited<ReturnType<typeof serverAt>>
  beforeAll(async () => {
    server = await serverAt(inject('server'))
  }, 90_000)

  const start = (name: string, args: string[] = [], more: Record<string, string> = {}) =>
    spawn(process.execPath, [resolve(ROOT, 'examples', name), ...args], {
      env: { ...process.env, BADGEKIT_URL: server.url, BADGEKIT_SECRET: server.secret, ...more },
      stdio: ['ignore', 'pipe', 'inherit'],
    })

  /** Resolves with what the child has written once `text` is in it, or when it ends. */
  const until = (child: ReturnType<typeof start>, text?: string) =>
    new Promise<string>((done) => {
      let all = ''
      child.stdout?.setEncoding('utf8').on('data', (chunk) => {
        all += chunk
        if (text !== undefined && all.includes(text)) done(all)
      })
      child.once('close', () => done(all))
    })

  it('award, are told of it, apply and review', async () => {
    expect(await until(start('award.mjs', ['ada@example.org']))).toMatch(/^awarded http:/)
    expect(await until(start('award.mjs', ['ada@example.org']))).toMatch(/^held already http:/)

    const receiver = start('receive-webhook.ts', [], { PORT: String(await freePort()) })
    try {
      expect(await until(receiver, 'listening')).toContain('listening')
      const told = until(receiver, 'award first-steps bo@example.org')
      const reviewed = await until(start('apply-and-review.mjs', ['bo@example.org']))
      expect(reviewed).toMatch(/^applied [0-9a-f]{32}\nreviewed by .+\nawarded http:/)
      expect(await told).toContain('review first-steps bo@example.org evt_')
    } finally {
      receiver.kill()
    }
  }, 60_000)
})

const freePort = () =>
  new Promise<number>((done) => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => done(typeof address === 'object' && address ? address.port : 0))
    })
  })
