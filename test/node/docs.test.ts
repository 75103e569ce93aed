import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string) => readFileSync(resolve(ROOT, path), 'utf8')
const pages = ['.', 'docs', 'examples'].flatMap((directory) =>
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
