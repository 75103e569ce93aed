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
import { getTableName, is } from 'drizzle-orm'
import { SQLiteTable } from 'drizzle-orm/sqlite-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeAll } from '../../bin/export.mjs'
import { openLocal, openScratch } from '../../bin/lib/database.mjs'
import { inOrder, tablesOf } from '../../bin/lib/tables.mjs'
import * as schema from '../../drizzle/schema'
import { awardSlug, writeLarge } from './oldDump.mjs'
import { md5, writeOrganisation } from './oldOrganisation'
import { badgekit, startWrangler } from './run'
import { freePort, startServer } from './server'
import { didUrl, type Json, verify, worldOf } from './verifiers'

/** The drill: a database in use is exported, restored elsewhere, and nobody outside can tell. */
const folder = mkdtempSync(join(tmpdir(), 'badgekit-export-'))
const [first, second] = [join(folder, 'first'), join(folder, 'second')]
const backup = join(folder, 'backup.ndjson')
let port: number
let server: Awaited<ReturnType<typeof startServer>> | undefined
let before: unknown[]
let addresses: string[]
let key: { key: string; secret: string }
/** Signed before: one that holds, one that was revoked afterwards, and one of an award of 2014. */
let credentials: Json[]
/** Signed under a key that was withdrawn afterwards. */
let disowned: Json
/** The first one as its earner keeps it: a baked image and a token. */
let kept: { type: string; body: Buffer }[]

/** Not what the export finds by itself: a table that it leaves out must not be left out here too. */
const TABLES = Object.values(schema)
  .flatMap((one) => (is(one, SQLiteTable) ? getTableName(one) : []))
  .sort()

/** Rows of the tables that no request of the drill fills. */
const REST = [
  "insert into queueFaults (queue, message, at) values ('dead', '{}', 1)",
  "insert into idempotency values ('master', 'again', 'f', 'op', 201, 1)",
  "insert into usedTokens values ('master', 'once', 9999999999999)",
  'insert into codeMisses values (1, 480000, 2)',
  "insert into tombstones values ('assertion', 'long-gone', 1, 'Closed')",
  `insert into jobs (uid, systemId, badgeId, kind, state, key, rows, next, succeeded, endedAt, op, createdAt, updatedAt)
    select 'a-job', systemId, id, 'issue', 'done', 'master', 1, 1, 1, 2, 'op', 1, 2 from badges limit 1`,
  `insert into awardChanges (systemId, awardId, kind, at, key, op)
    select systemId, id, 'suspended', 1, 'master', 'op' from badgeInstances limit 1`,
  `insert into jobChunks select id, 0, 1, '[{"n":0,"email":"ada@example.org","state":"issued"}]' from jobs`,
  "insert into attempts select id, 99, 1, 2, null, 'timeout', null from deliveries limit 1",
]

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
  for (const name of TABLES) {
    counts[name] = (await database.query(`select count(*) as n from "${name}"`))[0].n
  }
  await database.close()
  return counts
}

/** Every row of every table, whatever its columns are. */
async function contentsOf(home: string) {
  const database = await openLocal(join(home, 'state'))
  const contents: Record<string, unknown> = {}
  for (const name of TABLES) {
    contents[name] = await database.query(`select rowid as "#", * from "${name}" order by rowid`)
  }
  await database.close()
  return contents
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
  const claimUrl = 'https://city.example.org/{code}'
  expect((await call('PUT', '/systems/city', { claimUrl })).status).toBe(200)
  const code = {
    code: 'kept',
    email: 'ada@example.org',
    reserved: true,
    multiuse: true,
    maxUses: 3,
  }
  const terms = { validFrom: '2020-01-01', validUntil: '2999-01-01' }
  const reader = '/systems/city/badges/reader'
  expect((await call('POST', `${reader}/codes`, { ...code, ...terms })).status).toBe(201)
  key = (await call('POST', '/systems/city/keys', { role: 'read' })).body.key
  // One that is signed, one that was signed and is revoked, and one of 2014.
  const gone = await call('POST', '/systems/city/badges/reader/instances', {
    email: 'gone@example.org',
  })
  const signed = [made, gone].map(({ body }) => new URL(body.instance.urls.openBadges3).pathname)
  signed.push(`/public/v3/credentials/${awardSlug(1)}`)
  credentials = await Promise.all(
    signed.map(async (path) => (await fetch(`${server?.url}${path}`)).json()),
  )
  kept = await Promise.all(
    ['/image', '.jwt'].map(async (end) => {
      const answer = await fetch(`${server?.url}${signed[0]}${end}`)
      const type = answer.headers.get('content-type') ?? ''
      return { type, body: Buffer.from(await answer.arrayBuffer()) }
    }),
  )
  await call('DELETE', '/systems/city/badges/reader/instances/gone@example.org')
  const museum = '/systems/city/issuers/museum'
  const odd = await call('POST', `${museum}/badges/program-elsewhere/instances`, {
    email: 'odd@example.org',
  })
  disowned = await (await fetch(odd.body.instance.urls.openBadges3)).json()
  const known = (await call('GET', `${museum}/signing-keys`)).body.signingKeys
  const withdraw = known.map(({ thumbprint }: Json) => thumbprint)
  expect((await call('POST', `${museum}/signing-keys/rotate`, { withdraw })).status).toBe(200)
  const paths = (of: (credential: Json) => string[]) =>
    credentials.flatMap((one) => of(one).map((url) => new URL(url).pathname))
  addresses = [
    ...signed.flatMap((path) => [path, `${path}.jwt`, `${path}/image`]),
    ...paths(({ issuer, credentialStatus }) => [
      credentialStatus.statusListCredential,
      didUrl(issuer.id),
    ]),
    '/.well-known/jwks.json',
    ...signed.map((path) => path.replace('/v3/credentials/', '/v2/assertions/')),
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
  const database = await openLocal(join(first, 'state'))
  await database.run(REST)
  await database.close()
}, 240_000)
afterAll(async () => {
  await server?.stop()
  rmSync(folder, { recursive: true, force: true })
})

/** Credentials that earners took along years ago: nothing is asked but the restored server. */
async function verifiesAsBefore(url: string) {
  const send = async (type: string, body: BodyInit) => {
    const init = { method: 'POST', headers: { 'content-type': type }, body }
    return ((await (await fetch(`${url}/public/verify`, init)).json()) as Json).verified
  }
  const judge = (body: object) => send('application/json', JSON.stringify(body))
  const world = worldOf(url)
  for (const [i, credential] of credentials.entries()) {
    const verified = i !== 1
    expect(await judge({ credential }), credential.id).toBe(verified)
    expect(await verify(world, credential)).toMatchObject({ verified })
  }
  expect(await judge({ credential: disowned })).toBe(false)
  for (const { type, body } of kept)
    expect([type, await send(type, new Uint8Array(body))]).toEqual([type, true])
  const assertion = `${url}/public/assertions/${awardSlug(1)}`
  expect(await judge({ url: assertion, recipient: 'Ada@example.org' })).toBe(true)
}

/** The sealed keys open, and a place of a status list is not given twice. */
async function goesOnSigning({ url, call }: Awaited<ReturnType<typeof startServer>>) {
  const { body } = await call('POST', '/systems/city/badges/reader/instances', {
    email: 'later@example.org',
  })
  const later: Json = await (await fetch(body.instance.urls.openBadges3)).json()
  const [first] = credentials
  expect(later.proof[0].verificationMethod).toBe(first.proof[0].verificationMethod)
  const places = [...credentials, later].map(({ credentialStatus }) => credentialStatus.id)
  expect(new Set(places).size).toBe(places.length)
  expect(await verify(worldOf(url), later)).toMatchObject({ verified: true })
}

// A story: each step stands on those before it, so its order is not shuffled.
describe('badgekit export and import', { shuffle: false }, () => {
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
    // A table without a row would prove nothing: whoever adds one adds a row above.
    expect(TABLES.filter((name) => old[name] === 0)).toEqual([])
    expect([old.badgeInstances, old.credentials]).toEqual([10, 4])
    expect(JSON.parse(restored.out)).toEqual(expect.objectContaining({ tables: now, warnings: [] }))
    expect(await contentsOf(second)).toEqual(await contentsOf(first))

    server = await startServer({ folder: second, port })
    expect(await look()).toEqual(before)
    await verifiesAsBefore(server.url)
    await goesOnSigning(server)
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
      ['signingKeys', 'keySecrets', 'webhookSecrets'].map((table) =>
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
    // An export that cannot be made leaves the last one alone.
    const unmade = await badgekit(['export', '--remote', '--out', backup], { WRANGLER: '/nowhere' })
    expect(unmade.code).toBe(1)
    expect(readFileSync(backup, 'utf8')).toBe(lines.join('\n'))
    expect(existsSync(`${backup}~`)).toBe(false)
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

  it('holds no row whose parent came too late, and refuses one that was changed to have such', async () => {
    const database = await openScratch()
    await database.run([
      'create table parents (id integer primary key)',
      'create table children (id integer primary key, parentId integer references parents(id))',
      'insert into parents values (1)',
      'insert into children values (1, 1)',
    ])
    /** Somebody writes just when the parents have been read. */
    const meanwhile = (statements: string[]) => ({
      ...database,
      query: async (sql: string) => {
        const rows = await database.query(sql)
        if (/from "parents"\s+where/.test(sql)) await database.run(statements.splice(0))
        return rows
      },
    })
    let text = ''
    const write = (piece: string) => {
      text += piece
    }
    const more = ['insert into parents values (2)', 'insert into children values (2, 2)']
    const { counts, added } = await writeAll(meanwhile(more), write, () => {})
    expect(counts).toMatchObject({ parents: 1, children: 1 })
    expect(added).toEqual(['parents', 'children'])
    expect(text).not.toContain('"parentId":2')
    const changes = ['insert into parents values (3)', 'update children set parentId = 3']
    await expect(writeAll(meanwhile(changes), write, () => {})).rejects.toThrow(/Run it again/)
    await database.close()
  }, 60_000)
})
