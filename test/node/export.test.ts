import {
  appendFileSync,
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
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openLocal } from '../../bin/lib/database.mjs'
import { inOrder, tablesOf } from '../../bin/lib/tables.mjs'
import { awardSlug, writeLarge } from './oldDump.mjs'
import { md5, writeOrganisation } from './oldOrganisation'
import { badgekit, startWrangler } from './run'
import { freePort, startServer } from './server'

/** The drill: a database in use is exported, restored elsewhere, and nobody outside can tell. */
const folder = mkdtempSync(join(tmpdir(), 'badgekit-export-'))
const [first, second] = [join(folder, 'first'), join(folder, 'second')]
const backup = join(folder, 'backup.ndjson')
let port: number
let server: Awaited<ReturnType<typeof startServer>> | undefined
let before: unknown[]
let addresses: string[]
let key: { key: string; secret: string }

const env = (home: string) => ({ DEV_VARS: join(home, 'vars'), PORT: String(port) })
const at = (home: string) => ['--local', '--persist-to', join(home, 'state')]

/** What anyone sees, byte for byte. */
const look = () =>
  Promise.all(
    addresses.map(async (path) => {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`, { redirect: 'manual' })
      const body = Buffer.from(await answer.arrayBuffer()).toString('base64')
      return [path, answer.status, answer.headers.get('content-type'), body]
    }),
  )

async function countsOf(home: string) {
  const database = await openLocal(join(home, 'state'))
  const counts: Record<string, number> = {}
  for (const { name } of await tablesOf(database)) {
    counts[name] = (await database.query(`select count(*) as n from "${name}"`))[0].n
  }
  await database.close()
  return counts
}

beforeAll(async () => {
  port = await freePort()
  for (const home of [first, second]) mkdirSync(home)
  const dump = join(folder, 'old.sql')
  writeOrganisation(dump)
  await badgekit(['import', dump, ...at(first)], env(first))
  server = await startServer({ folder: first, port })
  const { call } = server
  await call('PUT', '/systems/city/badges/reader', { tags: ['quiet', 'loud'], description: 'x' })
  const made = await call('POST', '/systems/city/badges/reader/instances', {
    email: 'new@example.org',
  })
  await call('DELETE', '/systems/city/badges/reader/instances/ada@example.org?reason=Mistake')
  await call('DELETE', '/systems/town/badges/walker')
  key = (await call('POST', '/systems/city/keys', { role: 'read' })).body.key
  addresses = [
    ...[1, 2, 4, 5, 9, 7].map((id) => `/public/assertions/${awardSlug(id)}`),
    new URL(made.body.instance.assertionUrl).pathname,
    '/public/systems/city/issuers/library/programs/scratch/badges/zine',
    '/public/systems/city/issuers/library/badges/reader',
    '/public/systems/city/issuers/library/programs/scratch',
    '/public/badges',
    ...['1', '2', '3', '7', '9'].map((n) => `/public/images/${md5(n)}`),
  ]
  before = await look()
  await server.stop()
}, 240_000)
afterAll(async () => {
  await server?.stop()
  rmSync(folder, { recursive: true, force: true })
})

describe('badgekit export and import', () => {
  it('restores every row, and every public document byte for byte', async () => {
    const told = await badgekit(['export', ...at(first), '--out', backup], env(first))
    expect(told).toMatchObject({ code: 0, out: '' })
    expect(told.err).toMatch(/^[\d,]+ rows of \d+ tables\n$/)
    expect(statSync(backup).mode & 0o077).toBe(0)
    const text = readFileSync(backup, 'utf8')
    expect(text).not.toContain(key.secret)

    copyFileSync(join(first, 'vars'), join(second, 'vars'))
    const packed = join(folder, 'backup.ndjson.gz')
    writeFileSync(packed, gzipSync(text))
    const restored = await badgekit(['import', packed, ...at(second), '--json'], env(second))
    expect(restored).toMatchObject({ code: 0, err: '' })
    const [old, now] = [await countsOf(first), await countsOf(second)]
    expect(now).toEqual(old)
    expect(old.badgeInstances).toBe(8)
    expect(JSON.parse(restored.out)).toMatchObject({ tables: now, warnings: [] })

    server = await startServer({ folder: second, port })
    expect(await look()).toEqual(before)
    // A sealed secret opens there, and a number that was given is not given again.
    const signed = await badgekit(['request', 'GET', '/systems/city'], {
      BADGEKIT_URL: server.url,
      BADGEKIT_KEY: key.key,
      BADGEKIT_SECRET: key.secret,
    })
    expect(signed.code).toBe(0)
    await server.stop()
    server = undefined
    const sequences = async (home: string) => {
      const database = await openLocal(join(home, 'state'))
      const found = await database.query(
        "select name, seq from sqlite_sequence where name in ('badges', 'keys', 'tags') order by name",
      )
      await database.close()
      return found
    }
    expect(await sequences(second)).toEqual(await sequences(first))
  }, 240_000)

  it('reads a deployed database through wrangler, and the same comes out', async () => {
    const database = await openLocal(join(first, 'state'))
    const wrangler = await startWrangler(database, join(folder, 'wrangler.mjs'))
    const told = await badgekit(['export', '--remote'], { WRANGLER: wrangler.script })
    wrangler.stop()
    await database.close()
    const rows = (text: string) => text.split('\n').slice(1, -2)
    expect(rows(told.out)).toEqual(rows(readFileSync(backup, 'utf8')))
  }, 120_000)

  it('says when the secrets will not open', async () => {
    const home = join(folder, 'eighth')
    mkdirSync(home)
    const told = await badgekit(['import', backup, ...at(home), '--json'], env(home))
    expect(JSON.parse(told.out).warnings).toEqual(
      ['keySecrets', 'webhookSecrets'].map((table) =>
        expect.stringContaining(`The secrets in ${table} do not open`),
      ),
    )
  }, 60_000)

  it('goes on where a restore was killed', async () => {
    const home = join(folder, 'sixth')
    const dump = join(folder, 'large.sql')
    const large = join(folder, 'large.ndjson')
    writeLarge(dump, 20_000)
    await badgekit(['import', dump, ...at(home)], env(first))
    await badgekit(['export', ...at(home), '--out', large], env(first))
    const to = join(folder, 'seventh')
    const state = `${large}-state.json`
    const lines = () =>
      existsSync(state) ? Number(JSON.parse(readFileSync(state, 'utf8')).lines) : 0
    const killed = badgekit(['import', large, ...at(to)], env(first))
    for (let tries = 0; tries < 4_000 && lines() === 0; tries++) await sleep(10)
    killed.child.kill('SIGKILL')
    await killed
    expect(lines()).toBeGreaterThan(0)
    expect(lines()).toBeLessThan(20_000)
    expect(await badgekit(['import', large, ...at(to)], env(first))).toMatchObject({ code: 0 })
    expect(await countsOf(to)).toEqual(await countsOf(home))
    expect(existsSync(state)).toBe(false)
  }, 120_000)

  it('refuses a file that is not whole or was changed, and a database that is not empty', async () => {
    const lines = readFileSync(backup, 'utf8').split('\n')
    const attempt = async (text: string, home = join(folder, 'third')) => {
      const file = join(folder, 'wrong.ndjson')
      writeFileSync(file, text)
      return badgekit(['import', file, ...at(home)], env(first))
    }
    const short = await attempt(lines.slice(0, -5).join('\n'))
    expect(short).toMatchObject({ code: 1, err: expect.stringContaining('not whole') })
    const changed = await attempt(lines.join('\n').replace('Badge 2', 'Badge 3'))
    expect(changed).toMatchObject({ code: 1, err: expect.stringContaining('checksum') })
    const full = await attempt(lines.join('\n'), second)
    expect(full).toMatchObject({ code: 1, err: expect.stringContaining('not empty: ') })
    expect(Object.values(await countsOf(join(folder, 'third'))).reduce((a, b) => a + b, 0)).toBe(0)
    appendFileSync(join(folder, 'wrong.ndjson'), '{}\n')
    expect(
      await badgekit(
        ['import', join(folder, 'wrong.ndjson'), ...at(join(folder, 'third'))],
        env(first),
      ),
    ).toMatchObject({ code: 1 })
  }, 120_000)

  it('takes along tables that it has never heard of, in an order that their references allow', async () => {
    const [from, to] = [join(folder, 'fourth'), join(folder, 'fifth')]
    for (const home of [from, to]) {
      const database = await openLocal(join(home, 'state'))
      await database.run([
        'create table a_later (id integer primary key, zId text not null references z_later(id), doubled text generated always as (zId || zId) virtual)',
        'create table z_later (id text primary key, aId integer references a_later(id), data blob)',
        ...(home === from
          ? [
              "insert into z_later (id, data) values ('one', x'00ff')",
              "insert into a_later (id, zId) values (7, 'one')",
              'update z_later set aId = 7',
            ]
          : []),
      ])
      expect(inOrder(await tablesOf(database)).late.get('z_later')).toEqual(['aId'])
      await database.close()
    }
    const out = join(folder, 'later.ndjson')
    await badgekit(['export', ...at(from), '--out', out], env(first))
    expect(await badgekit(['import', out, ...at(to)], env(first))).toMatchObject({ code: 0 })
    const database = await openLocal(join(to, 'state'))
    expect(
      await database.query(
        'select *, hex(data) as data from z_later join a_later on zId = z_later.id',
      ),
    ).toMatchObject([{ aId: 7, data: '00FF', doubled: 'oneone' }])
    await database.close()
  }, 120_000)
})
