import { execFile } from 'node:child_process'
import { createHash, createHmac } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openLocal } from '../../bin/lib/database.mjs'
import { bytesOf, rowsOf, textOf } from '../../bin/lib/import/mysqldump.mjs'
import { loadWorker } from '../../bin/lib/worker.mjs'
import { parseVars } from '../../scripts/sign.mjs'
import { awardSlug, writeDump, writeLarge } from './oldDump.mjs'
import { EXPECTED, LONG, md5, ORGANISATION, png, writeOrganisation } from './oldOrganisation'
import { badgekit, startWrangler } from './run'
import { freePort, startServer, until } from './server'

const folder = mkdtempSync(join(tmpdir(), 'badgekit-import-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const readLines = (path: string) =>
  readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

describe('the reader of dumps', () => {
  const dump = join(folder, 'reader.sql')
  const small = { ...ORGANISATION, images: ORGANISATION.images.slice(0, 7) }
  beforeAll(() => writeDump(dump, small as never))

  it('reads every value as it was, however the bytes come', async () => {
    for (const chunk of [1, 7, 64, 4096, 1 << 20]) {
      const found: Record<string, unknown[][]> = {}
      for await (const { table, columns, values } of rowsOf(dump, () => true, { chunk })) {
        expect(columns).toHaveLength(values.length)
        const row = values.map((value, i) =>
          columns[i] === 'data' ? bytesOf(value) : textOf(value),
        )
        found[table] = [...(found[table] ?? []), row]
      }
      for (const [table, rows] of Object.entries(small)) {
        const expected = (rows as unknown[][]).map((row) =>
          row.map((value) =>
            value === null || value === undefined
              ? null
              : typeof value === 'object'
                ? (value as { bytes: Buffer }).bytes
                : String(value),
          ),
        )
        expect(found[table]).toEqual(expected)
      }
    }
  }, 120_000)

  it.each([
    [
      'named columns, several lines',
      "INSERT INTO `tags` (`id`, `value`)\nVALUES\n (1, 'a'),\n (2, 'b;''c');",
      [
        ['1', 'a'],
        ['2', "b;'c"],
      ],
    ],
    [
      'hex, introducers, booleans',
      "INSERT INTO db.tags (id, value) VALUES (0x41,_utf8mb4'x'),(x'42',TRUE),(-1,b'1');",
      [
        ['A', 'x'],
        ['B', '1'],
        ['-1', '1'],
      ],
    ],
    [
      'comments and other statements',
      "# it's\n-- it's\n/* it's; */ SET x = 'y;';\nREPLACE INTO tags (id,value) VALUES (1,\"a\\\"b\");",
      [['1', 'a"b']],
    ],
  ])('reads %s', async (_, text, expected) => {
    const file = join(folder, 'form.sql')
    for (const packed of [false, true]) {
      writeFileSync(file, packed ? gzipSync(text) : text)
      const rows = []
      for await (const { values } of rowsOf(file, () => true)) rows.push(values)
      expect(rows).toEqual(expected)
    }
  })

  it.each([
    ["INSERT INTO tags (id,value) VALUES (1,'a'),(2,'b", 'not whole'],
    ["INSERT INTO tags (id,value) VALUES (1,'a'),(2);", 'Cannot read a row of `tags`'],
    ['INSERT INTO tags VALUES (1);', 'which columns `tags` has'],
  ])('says what is wrong with %s', async (text, said) => {
    const file = join(folder, 'wrong.sql')
    writeFileSync(file, text)
    const read = async () => {
      for await (const _ of rowsOf(file, () => true));
    }
    await expect(read()).rejects.toThrow(said)
  })
})

// A story: each step stands on those before it, so its order is not shuffled.
describe('badgekit import of an old organisation', { shuffle: false }, () => {
  const dump = join(folder, 'old.sql')
  const home = join(folder, 'home')
  let port: number
  let server: Awaited<ReturnType<typeof startServer>>
  const vars = join(home, 'vars')
  const state = join(home, 'state')

  beforeAll(async () => {
    writeOrganisation(dump)
    port = await freePort()
    mkdirSync(home)
    // The example's own way: a dry run, the import, the server, every old address.
    server = await startServer({
      folder: home,
      port,
      program: ['examples/migrate-from-badgekit.mjs', dump],
    })
  }, 180_000)
  afterAll(() => server?.stop())

  const open = (path: string) => fetch(server.url + path, { redirect: 'manual' })

  it('reports every row that it changed or could not take, with the reason', () => {
    const report = JSON.parse(readFileSync(join(folder, 'old-report.json'), 'utf8'))
    expect(report.changed).toEqual(EXPECTED.changed)
    expect(report.rejected).toEqual(EXPECTED.rejected)
    expect(report).toMatchObject({ warnings: [], others: { migrations: 1 }, keepsNumbers: true })
    for (const one of Object.values<Record<string, number>>(report.tables)) {
      expect(one.read).toBe((one.written ?? 0) + (one.rejected ?? 0))
    }
    const rejected = readLines(join(folder, 'old-rejected.ndjson'))
    const count = Object.values(EXPECTED.rejected).flatMap((one) => Object.values<number>(one))
    expect(rejected).toHaveLength(count.reduce((a, b) => a + b, 0))
    expect(rejected).toContainEqual({
      table: 'badgeInstances',
      reason: 'its badge is gone',
      id: 7,
      row: expect.objectContaining({ email: 'lost@example.org', slug: awardSlug(7) }),
    })
    expect(rejected).toContainEqual({
      table: 'images',
      reason: 'it is not an image that can be served safely',
      id: 4,
      row: expect.objectContaining({
        data: { base64: Buffer.from('%PDF-1.4').toString('base64') },
      }),
    })
  })

  it('keeps the public addresses, each of which `examples/migrate-from-badgekit.mjs` opens', async () => {
    const told = '7 of 7 old addresses answer; 3 awards could not be imported\n'
    await until(() => server.output().includes('old addresses'), 30_000, server.output)
    expect(server.output()).toContain(told)
    const check = (file: string) => {
      const args = ['examples/migrate-from-badgekit.mjs', file, server.url]
      return new Promise((end) => execFile(process.execPath, args, (_, out) => end(out)))
    }
    expect(await check(dump)).toBe(told)
    // Without the report of the import nobody knows which ones were rejected.
    const copy = join(folder, 'copy.sql')
    copyFileSync(dump, copy)
    expect(await check(copy)).toMatch(/^8 of 10 .*\n404 \/public\/assertions\/\w+\n/)
  })

  it('keeps what stands at the public addresses', async () => {
    const assertion = await (await open(`/public/assertions/${awardSlug(1)}`)).json()
    expect(assertion).toMatchObject({
      uid: awardSlug(1),
      recipient: {
        identity: `sha256$${createHash('sha256').update('Ada@example.org').digest('hex')}`,
        type: 'email',
        hashed: true,
      },
      badge: `${server.url}/public/systems/city/issuers/library/programs/scratch/badges/zine`,
      verify: { url: `${server.url}/public/assertions/${awardSlug(1)}`, type: 'hosted' },
      issuedOn: Date.UTC(2014, 4, 14, 19, 11, 52) / 1000,
      expires: Date.UTC(2034, 4, 14, 19, 11, 52) / 1000,
    })
    const badge = await (await fetch((assertion as { badge: string }).badge)).json()
    expect(badge).toMatchObject({
      name: 'Zîne «1»',
      image: `${server.url}/public/images/${md5('2')}`,
      alignment: [{ name: 'Standard', url: 'https://standards.example.org' }],
      tags: ['fun'],
    })
    const issuer = await (await fetch((badge as { issuer: string }).issuer)).json()
    expect(issuer).toMatchObject({
      name: 'Scratch',
      email: 'mayor@city.example.org',
      description: 'Line one\nline two',
    })
    expect((await open('/public/assertions/Chosen%20by%20hand')).status).toBe(200)
    expect((await open(`/public/assertions/${awardSlug(4)}`)).status).toBe(200)
    expect((await open(`/public/assertions/${awardSlug(7)}`)).status).toBe(404)
  })

  it('serves every image at its old address', async () => {
    const image = async (n: string) => {
      const answer = await open(`/public/images/${md5(n)}`)
      return [
        answer.status,
        answer.headers.get('content-type'),
        Buffer.from(await answer.arrayBuffer()),
      ] as const
    }
    expect((await open(`/public/images/${md5('1')}`)).headers.get('location')).toBe(
      'https://city.example.org/a.png',
    )
    expect(await image('2')).toEqual([200, 'image/png', png()])
    // The same bytes under another address.
    expect(await image('7')).toEqual([200, 'image/png', png()])
    expect(await image('9')).toEqual([200, 'image/png', LONG])
    const [status, type, svg] = await image('3')
    expect([status, type]).toEqual([200, 'image/svg+xml'])
    expect(String(svg)).toContain(`It's "odd" \\`)
    expect(String(svg)).not.toContain('DOCTYPE')
    const { body } = await server.call('GET', '/systems/town/badges/walker')
    expect(body.badge.imageUrl).not.toContain(md5('2'))
    expect(Buffer.from(await (await fetch(body.badge.imageUrl)).arrayBuffer())).toEqual(png())
  })

  it('gives badges their places, lists and dates', async () => {
    const { body } = await server.call('GET', '/systems/city/badges/zine')
    expect(body.badge).toMatchObject({
      id: 1,
      created: '2014-05-21T19:22:09.000Z',
      limit: 2,
      unique: 1,
      program: { id: 1, slug: 'scratch' },
      criteria: [
        { id: 1, description: 'Write it', required: 1, note: '' },
        { id: 2, description: 'Print it', required: 0, note: 'on paper' },
      ],
      alignments: [
        { id: 1, name: 'Standard', url: 'https://standards.example.org', description: null },
      ],
      categories: ['Science'],
      tags: [{ id: 1, value: 'fun' }],
      milestones: [
        { id: 1, numberRequired: 2, action: 'issue', supportBadges: [{ id: 5 }, { id: 2 }] },
      ],
    })
    const chain = async (path: string) => {
      const { badge } = (await server.call('GET', path)).body
      return [badge.system?.slug, badge.issuer?.slug, badge.program?.slug]
    }
    expect(await chain('/systems/city/badges/issuer-gone')).toEqual(['city', undefined, undefined])
    expect(await chain('/systems/city/badges/program-gone')).toEqual(['city', 'library', undefined])
    expect(await chain('/systems/city/badges/no-system')).toEqual(['city', 'library', undefined])
    expect(await chain('/systems/city/badges/Zine-8')).toEqual(['city', 'library', undefined])
    expect(await chain('/systems/town/badges/issuer-elsewhere')).toEqual([
      'town',
      undefined,
      undefined,
    ])
    expect(await chain('/systems/city/badges/program-only')).toEqual(['city', 'library', 'scratch'])
    expect(await chain('/systems/city/badges/program-elsewhere')).toEqual([
      'city',
      'museum',
      undefined,
    ])
  })

  it('counts what lists tell', async () => {
    const total = async (path: string) =>
      (await server.call('GET', `${path}${path.includes('?') ? '&' : '?'}page=1&count=1`)).body
        .pageData.total
    expect(await total('/systems')).toBe(2)
    expect(await total('/systems/city/issuers')).toBe(2)
    expect(await total('/systems/city/issuers/library/programs')).toBe(1)
    expect(await total('/systems/city/badges?archived=any')).toBe(10)
    expect(await total('/systems/city/issuers/library/badges?archived=any')).toBe(6)
    expect(await total('/systems/city/badges/zine/codes')).toBe(2)
    expect(await total('/systems/city/badges/zine/instances')).toBe(4)
    expect(await total('/systems/city/applications')).toBe(2)
    expect(await total('/systems/city/badges/zine/applications')).toBe(2)
    expect(await total(`/systems/city/badges/zine/applications/${md5('a1')}/reviews`)).toBe(1)
    expect(await total('/systems/city/milestones')).toBe(2)
  })

  it('keeps applications, their evidence and reviews', async () => {
    const { body } = await server.call('GET', `/systems/city/badges/zine/applications/${md5('a1')}`)
    expect(body.application).toMatchObject({
      id: 1,
      learner: 'di@example.org',
      created: '2014-06-01T10:00:00.000Z',
      evidence: [
        {
          url: 'https://example.org/e.png',
          mediaType: 'image',
          reflection: 'See "this"\r\n\t\\ and \0 that',
        },
      ],
    })
    const reviews = await server.call(
      'GET',
      `/systems/city/badges/zine/applications/${md5('a1')}/reviews`,
    )
    expect(reviews.body.reviews).toMatchObject([
      {
        id: 1,
        slug: md5('r1'),
        author: 'eve@example.org',
        reviewItems: [{ criterionId: 1, satisfied: 1, comment: 'yes' }],
      },
    ])
  })

  it('lets an old client sign as it did, without an end', async () => {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const sign = async (secret: string) => {
      const jwt = `${part({ typ: 'JWT', alg: 'HS256' })}.${part({ key: 'radical', method: 'GET', path: '/systems/city/badges' })}`
      const mac = createHmac('sha256', secret).update(jwt).digest('base64url')
      return (
        await fetch(`${server.url}/systems/city/badges`, {
          headers: { authorization: `JWT token="${jwt}.${mac}"` },
        })
      ).status
    }
    expect(await sign('s'.repeat(64))).toBe(200)
    expect(await sign('t'.repeat(64))).toBe(403)
  })

  it('stands in the audit of each system', async () => {
    const { body } = await server.call('GET', '/systems/city/audit')
    expect(body.audit.at(-1)).toMatchObject({ key: 'import', action: 'badgekit import' })
  })

  it('is refused while the server runs', async () => {
    const told = await badgekit(['import', dump, '--local', '--persist-to', state], {
      DEV_VARS: vars,
      PORT: String(port),
    })
    expect(told).toMatchObject({ code: 1, err: expect.stringContaining('stop it first') })
  })

  it('enforces a limit from now on, and freezes no badge twice', async () => {
    const full = await server.call('POST', '/systems/city/badges/zine/instances', {
      email: 'new@example.org',
    })
    expect(full).toMatchObject({
      status: 409,
      body: { message: 'Badge zine has reached its limit of 2' },
    })
    const held = await server.call('POST', '/systems/city/badges/reader/instances', {
      email: 'ADA@example.org',
    })
    expect(held.status).toBe(409)
    const made = await server.call('POST', '/systems/city/badges/reader/instances', {
      email: 'new@example.org',
    })
    expect(made.status).toBe(201)
    await server.stop()
    const database = await openLocal(state)
    const versions = await database.query(
      'select badgeId, count(*) as n from badgeVersions group by 1',
    )
    const sealed = await database.query('select id, sealed from webhookSecrets order by webhookId')
    const [audit] = await database.query("select count(*) as n from audit where key = 'import'")
    const hooks = await database.query('select id, url, state from webhooks order by id')
    await database.close()
    expect(versions).toEqual([1, 2, 3, 8].map((badgeId) => ({ badgeId, n: 1 })))
    expect(audit.n).toBe(2)
    expect(hooks.map((one) => one.state)).toEqual(['active', 'disabled'])
    const worker = await loadWorker()
    const ring = parseVars(readFileSync(vars, 'utf8')).ENCRYPTION_KEYS
    const cell = { table: 'webhookSecrets', row: sealed[0].id, column: 'sealed' }
    expect(await worker.open(ring, sealed[0].sealed, cell)).toBe('a webhook’s secret')
  })

  it('does not go in twice', async () => {
    const again = await badgekit(['import', dump, '--local', '--persist-to', state], {
      DEV_VARS: vars,
    })
    expect(again.code).toBe(1)
    expect(again.err).toContain('has been imported into this database already')
  })

  it('goes into a database that is in use beside what is there, with new numbers', async () => {
    const other = join(folder, 'other.sql')
    writeDump(other, {
      ...ORGANISATION,
      systems: [
        [1, 'city', 'Again', 'https://a.example.org', null, null, null],
        [2, 'village', 'Village', 'https://v.example.org', null, null, 2],
      ],
      consumers: [
        [1, 'villager', 'secret', null, 2],
        [2, 'radical', 'secret', null, 2],
      ],
      badgeInstances: [
        [9, 'village-award', 'ada@example.org', '2014-05-14 19:11:52', null, null, 3],
      ],
    } as never)
    const told = await badgekit(['import', other, '--local', '--persist-to', state, '--json'], {
      DEV_VARS: vars,
      PORT: String(port),
    })
    expect(told.err).toBe('')
    const report = JSON.parse(told.out)
    expect(report.keepsNumbers).toBe(false)
    expect(report.rejected.systems).toEqual({ 'the database has a system with this slug': 1 })
    expect(report.rejected.consumers).toEqual({ 'the database has this key already': 1 })
    expect(report.changed.images).toEqual({
      'the database has its address already: it has a new one': expect.any(Number),
    })
    expect(report.tables.badgeInstances).toMatchObject({ read: 1, written: 1 })
    server = await startServer({ folder: home, port })
    const { body } = await server.call('GET', '/systems/village/badges/walker')
    expect(body.badge.id).toBeGreaterThan(14)
    expect(Buffer.from(await (await fetch(body.badge.imageUrl)).arrayBuffer())).toEqual(png())
    expect((await open('/public/assertions/village-award')).status).toBe(200)
    expect((await server.call('GET', '/systems?page=1&count=1')).body.pageData.total).toBe(3)
  }, 120_000)
})

/** The process of the database that a command has started. */
function workerdOf({ pid }: { pid?: number | undefined }) {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')
  return children.find((one) => one && readFileSync(`/proc/${one}/comm`, 'utf8') === 'workerd\n')
}

describe('badgekit import', () => {
  it('writes nothing in a dry run, and tells the same', async () => {
    const dump = join(folder, 'dry.sql')
    writeOrganisation(dump)
    const told = await badgekit(['import', dump, '--dry-run'])
    expect(told.code).toBe(3)
    expect(told.out).toMatch(/badgeInstances +10 +7 +2 +3\n/)
    expect(told.out).toContain('1  badgeInstances: its badge is gone')
    expect(existsSync(join(folder, 'dry-dry-run-state.json'))).toBe(false)
    expect(existsSync(join(folder, 'dry-dry-run-rejected.ndjson'))).toBe(true)
  }, 60_000)

  it('goes on where it was killed', async () => {
    const [dump, state, vars] = ['large.sql', 'large', 'large-vars'].map((name) =>
      join(folder, name),
    ) as [string, string, string]
    const AWARDS = 100_000
    writeLarge(dump, AWARDS)
    const args = ['import', dump, '--local', '--persist-to', state, '--json']
    const first = badgekit(args, { DEV_VARS: vars })
    const ledger = join(folder, 'large-state.json')
    const at = () =>
      existsSync(ledger) ? JSON.parse(readFileSync(ledger, 'utf8')) : { written: {} }
    for (
      let tries = 0;
      tries < 4_000 && !(at().rows > 0 && at().written.badgeInstances > 0);
      tries++
    )
      await sleep(10)
    // As an operator would find it who kills it and starts it again: the database's own process ends by itself.
    const workerd = workerdOf(first.child)
    first.child.kill('SIGKILL')
    await first
    expect(workerd, 'the process of the database').toBeDefined()
    const { written } = at()
    expect(written.badgeInstances).toBeGreaterThan(0)
    expect(written.badgeInstances).toBeLessThan(AWARDS)
    const second = await badgekit(args, { DEV_VARS: vars })
    expect(second).toMatchObject({ code: 0, err: '' })
    await until(() => !existsSync(`/proc/${workerd}`), 30_000)
    expect(JSON.parse(second.out).tables.badgeInstances).toMatchObject({
      read: AWARDS,
      written: AWARDS,
      rejected: 0,
    })
    const database = await openLocal(state)
    const [found] = await database.query(
      'select count(*) as n, count(distinct slug) as slugs, (select sum(awarded) from badges) as awarded from badgeInstances',
    )
    await database.close()
    expect(found).toEqual({ n: AWARDS, slugs: AWARDS, awarded: AWARDS })
    const { rowsPerSecond, peakMegabytes } = JSON.parse(second.out)
    console.log(`${AWARDS} awards: ${rowsPerSecond} rows a second, ${peakMegabytes} MB at the most`)
    expect(peakMegabytes).toBeLessThan(700)
  }, 300_000)

  it('reaches a deployed database through wrangler', async () => {
    const dump = join(folder, 'remote.sql')
    const state = join(folder, 'remote')
    writeOrganisation(dump)
    const database = await openLocal(state)
    const wrangler = await startWrangler(database, join(folder, 'wrangler.mjs'))
    const told = await badgekit(['import', dump, '--remote', '--json'], {
      WRANGLER: wrangler.script,
      ENCRYPTION_KEYS: JSON.stringify({ k1: Buffer.alloc(32).toString('base64') }),
      PUBLIC_ORIGIN: 'https://badges.example.org',
      BADGEKIT_SECRETS: join(folder, 'none.json'),
    })
    expect(told.err).toBe('')
    expect(JSON.parse(told.out).rejected).toEqual(EXPECTED.rejected)
    const [image] = await database.query('select hex(data) as hex from images where id = 9')
    wrangler.stop()
    await database.close()
    expect(image.hex.toLowerCase()).toBe(LONG.toString('hex'))
  }, 400_000)

  it('says what is missing before it does anything', async () => {
    const dump = join(folder, 'some.sql')
    writeFileSync(dump, '-- nothing\n')
    expect(await badgekit(['import', dump])).toMatchObject({
      code: 2,
      err: expect.stringContaining('--local, --remote'),
    })
    expect(await badgekit(['import', 'nowhere.sql', '--local'])).toMatchObject({ code: 2 })
    expect(await badgekit(['import', dump, '--dry-run'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('no systems'),
    })
  }, 60_000)
})
