import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parseVars } from '../../scripts/sign.mjs'
import { completeDevVars, createFilter, freshVars, parsePort } from '../../scripts/start.mjs'

let directory: string
let file: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'badgekit-start-test-'))
  file = join(directory, '.dev.vars')
})

afterEach(() => rmSync(directory, { recursive: true, force: true }))

const mode = () => statSync(file).mode & 0o777

describe('.dev.vars', () => {
  it('is made on the first run with fresh secrets, for its owner only', () => {
    const { added, vars } = completeDevVars(file)
    expect(added).toEqual(['MASTER_SECRET', 'ENCRYPTION_KEYS', 'ALLOW_LOCAL_WEBHOOKS'])
    expect(mode()).toBe(0o600)
    expect(parseVars(readFileSync(file, 'utf8'))).toEqual(vars)
    expect(Buffer.from(vars.MASTER_SECRET ?? '', 'base64url')).toHaveLength(32)
    const keys: Record<string, string> = JSON.parse(vars.ENCRYPTION_KEYS ?? '')
    expect(Buffer.from(keys.k1 ?? '', 'base64')).toHaveLength(32)
    expect(vars.ALLOW_LOCAL_WEBHOOKS).toBe('1')
  })

  it('is not touched by the second run', () => {
    completeDevVars(file)
    const before = readFileSync(file, 'utf8')
    expect(completeDevVars(file).added).toEqual([])
    expect(readFileSync(file, 'utf8')).toBe(before)
  })

  it.each([
    ['a secret of one’s own', 'MASTER_SECRET=mine'],
    ['a comment and an empty value', '# mine\nMASTER_SECRET=\nAUTH_DISABLED=1\n'],
    ['quotes, spaces, export', "export  MASTER_SECRET = 'a # b'  # why\r\n"],
  ])('keeps every byte of %s and adds the rest', (_, text) => {
    writeFileSync(file, text, { mode: 0o644 })
    const { added } = completeDevVars(file)
    expect(added).toEqual(['ENCRYPTION_KEYS', 'ALLOW_LOCAL_WEBHOOKS'])
    const after = readFileSync(file, 'utf8')
    expect(after.startsWith(text)).toBe(true)
    expect(parseVars(after).MASTER_SECRET).toBe(parseVars(text).MASTER_SECRET)
    expect(mode()).toBe(0o600)
  })

  it('gets other secrets on every machine', () => {
    expect(freshVars().MASTER_SECRET).not.toBe(freshVars().MASTER_SECRET)
    expect(freshVars().ENCRYPTION_KEYS).not.toBe(freshVars().ENCRYPTION_KEYS)
  })
})

describe('the screen', () => {
  const shown = (text: string) => {
    const filter = createFilter()
    return text.split('\n').flatMap((line) => filter(line) ?? [])
  }

  it('shows log lines and errors of the Worker, and nothing that wrangler says about itself', () => {
    const text = `
Using secrets defined in .dev.vars
Your Worker has access to the following bindings:
Binding                                     Resource                  Mode
env.DB (badgekit)                           D1 Database               local
env.MASTER_SECRET ("(hidden)")              Environment Variable      local

⎔ Starting local server...
[wrangler:info] Ready on http://127.0.0.1:8787
{"level":"info","route":"/systems"}
[wrangler:info] GET /systems 200 OK (36ms)
[wrangler:error] Error: thrown
    at Object.fetch (src/index.ts:6:106)`
    expect(shown(text)).toEqual([
      '{"level":"info","route":"/systems"}',
      '[wrangler:error] Error: thrown',
      '    at Object.fetch (src/index.ts:6:106)',
    ])
  })

  it('unpacks error lines, drops the advice about crons, and keeps a failed build', () => {
    const text = `\u001b[33m▲ \u001b[43;33m[\u001b[43;30mWARNING\u001b[43;33m]\u001b[0m \u001b[1mScheduled Workers are not automatically triggered during local development.\u001b[0m

  To manually trigger a scheduled event, run:
    curl "http://127.0.0.1:8787/cdn-cgi/local/scheduled"

✘ [ERROR] {"level":"error","msg":"boom"}

✘ [ERROR] Expected ";" but found "x"

    src/index.ts:3:4:`
    expect(shown(text)).toEqual([
      '{"level":"error","msg":"boom"}',
      '✘ [ERROR] Expected ";" but found "x"',
      '    src/index.ts:3:4:',
    ])
  })
})

it('takes a port number and nothing else', () => {
  expect(parsePort(undefined)).toBe(8787)
  expect(parsePort('9000')).toBe(9000)
  for (const bad of ['0', '65536', 'x', '1.5']) expect(() => parsePort(bad)).toThrow('PORT')
})
