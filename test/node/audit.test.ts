import { spawn } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { serverAt } from './server'

/** `npm run audit`, against the real server from `npm start`. */
let server: Awaited<ReturnType<typeof serverAt>>
let proxy: Awaited<ReturnType<typeof startProxy>>
let client: { BADGEKIT_KEY: string; BADGEKIT_SECRET: string }

/** Hands requests on, and does to each row of the log what `tamper` says. */
async function startProxy(target: string) {
  const state: { tamper: (row: Row) => void } = { tamper: () => {} }
  const proxying = createServer(async (request, response) => {
    const { authorization = '' } = request.headers
    const answer = await fetch(target + request.url, { headers: { authorization } })
    const body = (await answer.json()) as { audit?: Row[] }
    for (const row of body.audit ?? []) state.tamper(row)
    response.writeHead(answer.status).end(JSON.stringify(body))
  })
  await new Promise<void>((done) => proxying.listen(0, '127.0.0.1', done))
  const { port } = proxying.address() as AddressInfo
  return Object.assign(state, { url: `http://127.0.0.1:${port}`, stop: () => proxying.close() })
}
type Row = { id: number; target: string; key: string; seal: { hash: string } | null }

beforeAll(async () => {
  server = await serverAt(inject('server'))
  proxy = await startProxy(server.url)
  const container = (slug: string) => ({ slug, name: slug, url: `https://${slug}.example.org` })
  await server.call('POST', '/systems', container('river'))
  const { body } = await server.call('POST', '/systems/river/keys', {})
  client = { BADGEKIT_KEY: body.key.key, BADGEKIT_SECRET: body.key.secret }
  for (let i = 0; i < 110; i++) {
    await server.call('PUT', '/systems/river', { name: `River ${i}` })
  }
  const sweep = () => fetch(`${server.url}/cdn-cgi/handler/scheduled`)
  await (await sweep()).text()
})
afterAll(() => void proxy?.stop())

/** Runs the command; gives its exit code and what it printed. */
function audit(...args: string[]) {
  const child = spawn(process.execPath, [resolve('scripts/audit.mjs'), ...args], {
    env: { PATH: process.env.PATH, BADGEKIT_URL: proxy.url, ...client },
  })
  let [out, err] = ['', '']
  child.stdout.on('data', (data) => {
    out += data
  })
  child.stderr.on('data', (data) => {
    err += data
  })
  return new Promise<{ code: number | null; out: string; err: string }>((done) =>
    child.on('close', (code) => done({ code, out, err })),
  )
}

describe('npm run audit', () => {
  it('reads all pages of a log and says that its chain holds', async () => {
    const { code, out, err } = await audit('--system', 'river')
    expect(err).toBe('')
    expect(out).toMatch(/^112 rows, sealed until \d{4}-\S+Z \([0-9a-f]{64}\), the chain holds\n$/)
    expect(code).toBe(0)
  })

  it('says the same in JSON', async () => {
    const { code, out } = await audit('--system', 'river', '--json')
    expect(JSON.parse(out)).toEqual({
      system: 'river',
      rows: 112,
      sealed: 112,
      sealedUntil: expect.any(String),
      head: expect.stringMatching(/^[0-9a-f]{64}$/),
      holds: true,
      broken: null,
    })
    expect(code).toBe(0)
  })

  it('fails when a row is not what was sealed, and names it', async () => {
    const { body } = await server.call('GET', '/systems/river/audit')
    const { id } = body.audit[70] as Row
    proxy.tamper = (row) => {
      if (row.id === id) row.key = 'somebody'
    }
    const told = await audit('--system', 'river')
    expect(told).toMatchObject({ code: 1, err: '' })
    expect(told.out).toBe(`112 rows, the chain is broken: row ${id} is not what was sealed\n`)
    const json = await audit('--system', 'river', '--json')
    expect(json.code).toBe(1)
    expect(JSON.parse(json.out)).toMatchObject({ holds: false, broken: { id, reason: 'changed' } })
    proxy.tamper = () => {}
  })

  it('says what it needs, and why it could not read a log, and does not call that a break', async () => {
    expect(await audit()).toMatchObject({ code: 2, err: expect.stringContaining('--system SLUG') })
    const unknown = await audit('--system', 'nowhere')
    expect(unknown.code).toBe(2)
    expect(unknown.err).toContain('/systems/nowhere: 4')
  })
})
