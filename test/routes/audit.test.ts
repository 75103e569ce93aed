import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { type Logged, verify } from '../../src/auditSeal'
import { sealAudit, unsealed } from '../../src/store/auditChain'
import { openDb } from '../../src/store/db'
import { AUDIT_KEPT, forgetOld } from '../../src/store/retention'
import { sweep } from '../../src/sweep'
import { api } from '../helpers/api'
import { levels, rows, seedBadge, seedContainer } from '../helpers/seed'

const system = levels[0]
const idOf = async (path: string) => (await api.get(path)).body.system.id as number

/** Rows of a system's log as many requests would have left them. */
const log = (systemId: number | null, count: number, at = Date.now(), more = '') =>
  env.DB.prepare(
    `insert into audit (op, systemId, at, key, action, target, requestId)
     with recursive n (i) as (select 1 union all select i + 1 from n where i < ?2)
     select lower(hex(randomblob(12))), ?1, ?3 + i, 'filler', 'POST /' || i, 'things/' || i, 'r' || i
     from n ${more}`,
  )
    .bind(systemId, count, at)
    .run()

const chainOf = async (systemId: number | null) => {
  const { results } = await env.DB.prepare(
    'select * from audit where systemId is ? order by id desc',
  )
    .bind(systemId)
    .all<Logged & { op: string }>()
  return results
}
const verdictOf = async (systemId: number | null) => verify(await chainOf(systemId), systemId)

/** Until nothing is left to seal. */
async function sealAll(now = Date.now()) {
  const db = openDb(env.DB, 'first-primary')
  for (let i = 0; i < 50; i++) {
    const [found] = await db.read(unsealed)
    if (found.length === 0) return
    await sealAudit(db, now, found)
  }
}

describe('the audit log of a system', () => {
  it('holds what was changed, by which key, the newest first, and nothing of other systems', async () => {
    const seed = await seedBadge(system)
    await api.post(`${(await seedBadge(system)).path}/instances`, { email: 'other@example.org' })
    const key = (await api.post(`${seed.system}/keys`, {})).body.key
    await api.put(seed.path, { name: 'New' }, key)
    const award = await api.post(`${seed.path}/instances`, { email: 'sam@example.org' }, key)
    expect(award.status).toBe(201)
    const { status, body } = await api.get(`${seed.system}/audit`)
    expect(status).toBe(200)
    expect(Object.keys(body)).toEqual(['audit', 'next'])
    expect(body.next).toBeNull()
    const told = body.audit.map((entry: { key: string; action: string }) => [
      entry.key,
      entry.action,
    ])
    expect(told).toEqual([
      [key.key, 'POST /systems/:system/badges/:badge/instances'],
      [key.key, 'PUT /systems/:system/badges/:badge'],
      ['master', 'POST /systems/:system/keys'],
      ['master', 'POST /systems/:system/badges'],
    ])
    expect(body.audit[0]).toEqual({
      id: expect.any(Number),
      at: expect.stringMatching(/^\d{4}-.*Z$/),
      key: key.key,
      action: expect.any(String),
      target: expect.any(String),
      request: award.headers.get('X-Request-Id'),
      seal: null,
    })
  })

  it('shows no addresses, no secrets and no names of changes', async () => {
    const seed = await seedBadge(system)
    const { secret } = (await api.post(`${seed.system}/keys`, {})).body.key
    await api.post(`${seed.path}/codes`, { code: 'verysecretcode', email: 'kim@example.org' })
    await api.post(`${seed.path}/instances`, { email: 'kim@example.org' })
    await api.delete(`${seed.path}/instances/kim@example.org`)
    await api.post(`${seed.system}/privacy/erase`, { email: 'kim@example.org' })
    await sealAll()
    const text = JSON.stringify((await api.get(`${seed.system}/audit`)).body)
    const ops = (await chainOf(await idOf(seed.system))).map(({ op }) => op)
    expect(ops).toHaveLength(6)
    for (const hidden of [...ops, secret, 'kim', '@', 'verysecretcode', '"op"']) {
      expect(text).not.toContain(hidden)
    }
  })

  it('goes by pages of a hundred', async () => {
    const path = await seedContainer(system)
    await log(await idOf(path), 250)
    const ids: number[] = []
    const sizes: number[] = []
    for (let next: string | null = ''; next !== null; ) {
      const { body } = await api.get(`${path}/audit?cursor=${next}`)
      sizes.push(body.audit.length)
      ids.push(...body.audit.map(({ id }: { id: number }) => id))
      next = body.next
    }
    expect(sizes).toEqual([100, 100, 50])
    expect(new Set(ids).size).toBe(250)
    expect(ids).toEqual(ids.toSorted((a, b) => b - a))
  })

  it('can be asked for one key, one action and a time', async () => {
    const path = await seedContainer(system)
    const at = Date.parse('2026-01-01T00:00:00Z')
    await log(await idOf(path), 30, at)
    await api.post(`${path}/keys`, {})
    const found = async (query: string) => {
      const { status, body } = await api.get(`${path}/audit?${query}`)
      expect(status).toBe(200)
      return body.audit.map(({ action }: { action: string }) => action)
    }
    const keys = 'POST /systems/:system/keys'
    expect(await found('key=master')).toEqual([keys])
    expect(await found('key=nobody')).toEqual([])
    expect(await found(`action=${encodeURIComponent(keys)}`)).toEqual([keys])
    expect(await found('action=POST%20/7')).toEqual(['POST /7'])
    expect(await found(`since=${at + 29}&until=${at + 30}`)).toEqual(['POST /30', 'POST /29'])
    expect(await found('since=2026-01-02T00:00:00Z')).toEqual([keys])
    expect(await found('until=2025-12-31')).toEqual([])
    expect(await found('key=&action=&since=&until=&cursor=')).toHaveLength(31)
  })

  it('finds what is rare a thousand rows at a time, and says where to go on', async () => {
    const path = await seedContainer(system)
    const id = await idOf(path)
    await api.post(`${path}/keys`, {})
    await log(id, 1_500)
    const first = (await api.get(`${path}/audit?key=master`)).body
    expect(first).toMatchObject({ audit: [], next: expect.any(String) })
    const second = (await api.get(`${path}/audit?key=master&cursor=${first.next}`)).body
    expect(second).toMatchObject({ audit: [{ key: 'master' }], next: null })
    // Nothing older can be asked for: the look stops there.
    const none = (await api.get(`${path}/audit?key=no&since=${Date.now() + 90_000}`)).body
    expect(none).toEqual({ audit: [], next: null })
  })

  it.each([
    ['since', 'yesterday'],
    ['until', '2026-13-45'],
    ['cursor', 'x'],
    ['cursor', '-1'],
  ])('refuses a %s of %s by its name', async (parameter, value) => {
    const path = await seedContainer(system)
    const { status, body } = await api.get(`${path}/audit?${parameter}=${value}`)
    expect([status, body.code, body.parameter]).toEqual([400, 'InvalidParameter', parameter])
  })

  it('is not there for a system that is not', async () => {
    expect((await api.get('/systems/none/audit?since=x')).status).toBe(404)
    expect((await api.get('/systems/none/audit')).body.code).toBe('ResourceNotFound')
  })
})

describe('the sweep', () => {
  it('seals the log: each row by its own columns and the hash of the one before it', async () => {
    const seed = await seedBadge(system)
    const id = await idOf(seed.system)
    await api.put(seed.path, { name: 'One' })
    const now = Date.now()
    await sweep(env, now)
    await api.put(seed.path, { name: 'Two' })
    await sealAll(now + 1)
    const { audit } = (await api.get(`${seed.system}/audit`)).body
    const [newest, middle, oldest] = audit
    expect(audit).toHaveLength(3)
    expect(oldest.seal).toEqual({
      at: expect.any(String),
      previous: '',
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
    expect(middle.seal.previous).toBe(oldest.seal.hash)
    expect(newest.seal.previous).toBe(middle.seal.hash)
    expect(Date.parse(newest.seal.at)).toBe(now + 1)
    expect(await verdictOf(id)).toMatchObject({ rows: 3, sealed: 3, broken: null })
  })

  it('keeps a chain for each system, and one for what belongs to none', async () => {
    await sealAll()
    const ids = [900_001, 900_002]
    await log(ids[0] ?? 0, 3)
    await log(null, 2)
    await log(ids[1] ?? 0, 2)
    await log(ids[0] ?? 0, 1)
    await sealAll()
    expect(await verdictOf(ids[0] ?? 0)).toMatchObject({ sealed: 4, broken: null })
    expect(await verdictOf(ids[1] ?? 0)).toMatchObject({ sealed: 2, broken: null })
    expect(await verdictOf(null)).toMatchObject({ sealed: 2, broken: null })
    expect((await chainOf(ids[1] ?? 0)).at(-1)?.previousHash).toBe('')
  })

  it('begins with some rows of each system that waits', async () => {
    await sealAll()
    await log(910_001, 1_200)
    await log(910_002, 5)
    const sealed = (id: number) => rows(`audit where systemId = ${id} and sealedAt is not null`)
    const db = openDb(env.DB, 'first-primary')
    const [found] = await db.read(unsealed)
    await sealAudit(db, Date.now(), found)
    expect(await sealed(910_002)).toBe(5)
    expect(await sealed(910_001)).toBeGreaterThan(100)
  })

  it('seals in one sweep what a busy minute has written', async () => {
    await sealAll()
    await log(911_001, 1_200)
    await sweep(env, Date.now())
    expect(await verdictOf(911_001)).toMatchObject({ rows: 1_200, sealed: 1_200, broken: null })
  })

  it('does no harm when there are two of them at once', async () => {
    await sealAll()
    await log(920_001, 20)
    const db = openDb(env.DB, 'first-primary')
    const [early] = await db.read(unsealed)
    await log(920_001, 20)
    const [late] = await db.read(unsealed)
    await Promise.all([sealAudit(db, 1_000, early), sealAudit(db, 2_000, late)])
    const partly = await verdictOf(920_001)
    expect(partly.broken).toBeNull()
    expect([20, 40]).toContain(partly.sealed)
    // Neither does one that comes late with what it read long ago.
    await sealAll()
    const before = await chainOf(920_001)
    await sealAudit(db, 3_000, late)
    await sealAudit(db, 3_000, early)
    expect(await chainOf(920_001)).toEqual(before)
    expect(await verdictOf(920_001)).toMatchObject({ rows: 40, sealed: 40, broken: null })
  })

  it('does not continue a chain from a row that is no longer its end', async () => {
    await sealAll()
    await log(930_001, 2)
    await sealAll()
    await log(930_001, 2)
    const db = openDb(env.DB, 'first-primary')
    const [found] = await db.read(unsealed)
    await env.DB.prepare(
      `update audit set hash = 'other' where systemId = 930001 and hash is not null`,
    ).run()
    await sealAudit(db, 1_000, found)
    expect(await rows('audit where systemId = 930001 and sealedAt is null')).toBe(2)
  })

  it('forgets rows after 400 days, and what stays still holds', async () => {
    const now = Date.now()
    await env.DB.prepare('delete from audit').run()
    await log(940_001, 1_300, now - AUDIT_KEPT - 100_000)
    await log(940_002, 3, now - AUDIT_KEPT - 100_000)
    await log(940_001, 4, now)
    await sealAll()
    const db = openDb(env.DB, 'first-primary')
    await forgetOld(db, now)
    expect(await rows('audit')).toBe(307)
    expect(await verdictOf(940_001)).toMatchObject({ rows: 304, broken: null })
    await forgetOld(db, now)
    expect(await rows('audit')).toBe(4)
    const verdict = await verdictOf(940_001)
    expect(verdict).toMatchObject({ rows: 4, sealed: 4, broken: null })
    expect((await chainOf(940_001)).at(-1)?.previousHash).toMatch(/^[0-9a-f]{64}$/)
    await forgetOld(db, now)
    expect(await rows('audit')).toBe(4)
  })

  it('forgets no row before those ahead of it, and none that has no seal', async () => {
    const now = Date.now()
    await env.DB.prepare('delete from audit').run()
    await log(950_001, 2, now - AUDIT_KEPT - 10_000)
    await log(950_001, 1, now - AUDIT_KEPT + 10_000)
    // Committed later, although asked for earlier.
    await log(950_001, 2, now - AUDIT_KEPT - 10_000)
    await sealAll()
    await log(950_002, 1, now - AUDIT_KEPT - 10_000)
    const db = openDb(env.DB, 'first-primary')
    await forgetOld(db, now)
    expect(await rows('audit')).toBe(4)
    expect(await verdictOf(950_001)).toMatchObject({ rows: 3, broken: null })
    await forgetOld(db, now + 20_000)
    expect(await rows('audit')).toBe(1)
    expect(await rows('audit where systemId = 950002')).toBe(1)
  })

  it('forgets repeated requests after a day, used tokens when they end, and misses after a day', async () => {
    const now = Date.now()
    const hour = Math.floor(now / 3_600_000)
    const { badge } = await seedBadge(system)
    const day = 86_400_000
    await env.DB.batch(
      [
        `insert into idempotency (key, idempotencyKey, fingerprint, op, status, createdAt)
         values ('k', 'old', '', '', 0, ${now - day}), ('k', 'new', '', '', 0, ${now - day + 1_000})`,
        `insert into usedTokens (key, jti, expires)
         values ('k', 'old', ${now}), ('k', 'new', ${now + 1_000}), ('k', 'for ever', null)`,
        `insert into codeMisses (badgeId, hour, n)
         values (${badge.id}, ${hour - 25}, 1), (${badge.id}, ${hour - 24}, 1), (${badge.id}, ${hour}, 1)`,
      ].map((text) => env.DB.prepare(text)),
    )
    await sweep(env, now)
    const left = async (text: string) =>
      (await env.DB.prepare(text).raw<unknown[]>()).map(([value]) => value)
    expect(await left('select idempotencyKey from idempotency')).toEqual(['new'])
    expect(await left('select jti from usedTokens order by jti')).toEqual(['for ever', 'new'])
    expect(await left('select hour from codeMisses order by hour')).toEqual([hour - 24, hour])
  })
})
