import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const WRANGLER = resolve('node_modules/wrangler/wrangler-dist/cli.js')
const run = promisify(execFile)
/** Reported, never judged: this machine is not the one that serves. */
const TIMED =
  'const t = performance.now(); await import(process.argv[1]); console.log(performance.now() - t)'
const MAX_GZIP = 250 * 1024

/** What only local development may hold: a switch that is compared with its value. */
const BYPASSES = [/AUTH_DISABLED\s*={2,3}/, /ALLOW_LOCAL_WEBHOOKS\s*={2,3}/]
const holds = (bundle: string) => BYPASSES.filter((bypass) => bypass.test(bundle))
const count = (word: string) => deployed.split(word).length - 1

type Worker = { fetch: (request: Request, env: object, context: object) => Promise<Response> }

let directory: string
let deployed: string
let local: string
let worker: Worker

/** Builds the Worker as `npm run deploy` does, or as `npm start` does. */
async function build(name: string, ...more: string[]) {
  const outdir = join(directory, name)
  await run(
    process.execPath,
    [WRANGLER, 'deploy', '--dry-run', '--minify', '--env=', '--outdir', outdir, ...more],
    { env: { ...process.env, WRANGLER_SEND_METRICS: 'false', WRANGLER_HIDE_BANNER: 'true' } },
  )
  return join(outdir, 'index.js')
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'badgekit-bundle-test-'))
  const file = await build('deployed')
  deployed = readFileSync(file, 'utf8')
  local = readFileSync(await build('local', '--define', 'LOCAL_DEV:true'), 'utf8')
  worker = (await import(/* @vite-ignore */ pathToFileURL(file).href)).default
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', TIMED, file])
  console.info(`start-up: ${Number(stdout).toFixed(0)} ms to load the bundle in a fresh Node`)
})

afterAll(() => rmSync(directory, { recursive: true, force: true }))

describe('the bundle that is deployed', () => {
  it('answers requests, takes queue messages and runs by the clock', () => {
    expect(Object.keys(worker).sort()).toEqual(['fetch', 'queue', 'scheduled'])
  })

  it('is small enough to start at once', () => {
    const size = gzipSync(deployed).length
    console.info(`size: ${(size / 1024).toFixed(0)} KiB gzip`)
    expect(size).toBeLessThan(MAX_GZIP)
  })

  it('carries no way around a signature or the rules for outbound calls', () => {
    expect(holds(deployed)).toEqual([])
    // These names stand in the guard that refuses to serve with them, and nowhere else.
    const switches = ['AUTH_DISABLED', 'ALLOW_LOCAL_WEBHOOKS', 'WEBHOOK_SPEED', 'RATE_LIMITS']
    expect([...switches, 'LOCAL_DEV'].map(count)).toEqual([1, 1, 1, 1, 0])
  })

  it('is told from a local one, which does carry them', () => {
    expect(holds(local)).toEqual(BYPASSES)
  })
})

describe('a deployed Worker on this machine', () => {
  const settings = {
    MASTER_SECRET: 'shhh.secret',
    ENCRYPTION_KEYS: JSON.stringify({ k1: Buffer.alloc(32).toString('base64') }),
    PUBLIC_ORIGIN: 'http://127.0.0.1:8787',
    DB: { withSession: () => ({ getBookmark: () => null }) },
  }
  const context = { waitUntil: () => undefined, passThroughOnException: () => undefined }
  const ask = async (more: object) => {
    const request = new Request('http://127.0.0.1:8787/systems')
    return (await worker.fetch(request, { ...settings, ...more }, context)).status
  }

  it('wants a signature', async () => {
    expect(await ask({})).toBe(403)
  })

  it.each([{ AUTH_DISABLED: '1' }, { ALLOW_LOCAL_WEBHOOKS: '1' }, { RATE_LIMITS: 'off' }])(
    'serves nothing with %o',
    async (more) => {
      expect(await ask(more)).toBe(500)
    },
  )
})
