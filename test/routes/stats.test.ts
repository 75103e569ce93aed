import { env } from 'cloudflare:workers'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { workOn } from '../../src/jobs'
import { sweep } from '../../src/sweep'
import { call, count } from '../helpers/calls'
import { at, DAY, db, silent, startCalm } from '../helpers/deliveries'
import { badge, EVENTS, levels, seedBadge, seedContainer, unique } from '../helpers/seed'

startCalm()

/** How much has happened, by day: told by counters that every change moves. */

const [atSystem, , atProgram] = levels
const NONE = { awarded: 0, revoked: 0, codes: 0, claimed: 0, applied: 0, processed: 0 }
const someone = () => `${unique('e')}@example.org`

const statsOf = async (path: string, query = '') => {
  const { status, body } = await call('GET', `${path}/stats${query}`)
  expect(status, JSON.stringify(body)).toBe(200)
  return body.stats
}
const made = async (path: string, fields: object, method = 'POST') => {
  const { status, body } = await call(method, path, fields)
  expect(status, JSON.stringify(body)).toBeLessThan(300)
  return body
}
const award = (path: string, email: string, more: object = {}) =>
  made(`${path}/instances`, { email, ...more })
const revoke = (path: string, email: string) => call('DELETE', `${path}/instances/${email}`)
const apply = async (path: string): Promise<string> =>
  `${path}/applications/${(await made(`${path}/applications`, { learner: someone() })).application.slug}`

/** Starts a job and has it done. */
async function run(path: string, fields: object) {
  const { job } = await made(path, fields)
  await workOn(db(), silent, await count('select id as n from jobs where uid = ?', job.id))
}

describe('statistics', () => {
  it('tell of a badge and of all its containers what has happened', async () => {
    at(Date.parse('2026-03-30T23:59:59.000Z'))
    const seed = await seedBadge(atProgram)
    const emails = [1, 2, 3].map(someone)
    await made(`${seed.path}/instances/bulk`, { emails })
    await made(`${seed.path}/codes`, { code: 'one' })
    const open = await apply(seed.path)
    at(Date.parse('2026-03-31T00:00:00.000Z'))
    await award(seed.path, someone(), { claimCode: 'one' })
    await revoke(seed.path, `${emails[0]}`)
    await made(`${seed.path}/codes/batch`, { count: 4 })
    await made(open, { processed: '2026-03-31' }, 'PUT')
    await apply(seed.path)
    at(Date.parse('2026-04-02T12:00:00.000Z'))
    const totals = { awarded: 4, revoked: 1, codes: 5, claimed: 1, applied: 2, processed: 1 }
    const words = seed.container.split('/')
    for (const path of [seed.path, ...[3, 5, 7].map((n) => words.slice(0, n).join('/'))]) {
      expect(await statsOf(path, '?since=2026-03-29')).toEqual({
        interval: 'day',
        totals: { badges: 1, held: 3, open: 1, ...totals },
        series: [
          { start: '2026-03-29', ...NONE },
          { start: '2026-03-30', ...NONE, awarded: 3, codes: 1, applied: 1 },
          { start: '2026-03-31', ...totals, awarded: 1, codes: 4, applied: 1 },
          { start: '2026-04-01', ...NONE },
          { start: '2026-04-02', ...NONE },
        ],
      })
    }
    const months = await statsOf(seed.path, '?interval=month&since=2026-02-28&until=2026-04-01')
    expect(months.series).toEqual([
      { start: '2026-02-01', ...NONE },
      { start: '2026-03-01', ...totals },
    ])
    const weeks = await statsOf(seed.path, '?interval=week&since=2026-03-29&until=2026-03-31')
    expect(weeks.series).toEqual([
      { start: '2026-03-23', ...NONE },
      { start: '2026-03-30', ...totals },
    ])
    const { series } = await statsOf(seed.system)
    expect([series.length, series.at(0).start, series.at(-1).start]).toEqual([
      ...[30, '2026-03-04', '2026-04-02'],
    ])
    const file = await call(
      'GET',
      `${seed.path}/stats?since=2026-03-31&until=2026-04-02&format=csv`,
    )
    expect(file.headers.get('Content-Type')).toBe('text/csv; charset=utf-8')
    expect(file.headers.get('Content-Disposition')).toBe('attachment; filename="stats.csv"')
    expect(file.text.split('\r\n')).toEqual([
      'start,awarded,revoked,codes,claimed,applied,processed',
      '2026-03-31,1,1,4,1,1,1',
      '2026-04-01,0,0,0,0,0,0',
      '',
    ])
  })

  it('are bounded in length, and refuse what they cannot read', async () => {
    at(Date.parse('2026-04-02T12:00:00.000Z'))
    const { path, system } = await seedBadge(atSystem)
    const refused = async (query: string, parameter: string) => {
      const { status, body } = await call('GET', `${path}/stats?${query}`)
      expect([status, body.code, body.parameter]).toEqual([400, 'InvalidParameter', parameter])
    }
    await refused('interval=hour', 'interval')
    await refused('since=soon', 'since')
    await refused('format=xlsx', 'format')
    await refused('since=2000-01-01', 'since')
    await refused('interval=month&since=0000-01-01&until=9999-12-31', 'since')
    const all = await statsOf(path, '?interval=month&since=1993-01-01')
    expect(all.series).toHaveLength(400)
    expect((await statsOf(path, '?since=2026-05-01')).series).toEqual([])
    expect((await statsOf(path, '?since=0001-01-01&until=0001-01-03')).series).toHaveLength(2)
    expect((await call('GET', `${system}/badges/none/stats?since=2000-01-01`)).status).toBe(404)
  })

  it('keep what has happened, whatever becomes of it', async () => {
    at(Date.parse('2026-04-02T12:00:00.000Z'))
    const seed = await seedBadge(atProgram)
    const email = someone()
    await award(seed.path, email)
    await award(seed.path, someone())
    const [first, second] = [await apply(seed.path), await apply(seed.path)]
    await made(`${seed.path}/applications`, { learner: email })
    await made(`${seed.path}/codes`, { code: 'one' })
    await made(first, { processed: 1 }, 'PUT')
    await made(first, { processed: 2 }, 'PUT')
    expect((await statsOf(seed.path)).totals).toMatchObject({ open: 2, processed: 1 })
    await made(first, { processed: null }, 'PUT')
    expect((await statsOf(seed.path)).totals).toMatchObject({ open: 3, processed: 1 })
    await call('DELETE', first)
    await call('DELETE', `${seed.path}/codes/one`)
    await made(second, { processed: 1 }, 'PUT')
    await call('DELETE', second)
    await made(`${seed.system}/privacy/erase`, { email })
    const ever = { awarded: 2, revoked: 0, codes: 1, claimed: 0, applied: 3, processed: 2 }
    expect((await statsOf(seed.path)).totals).toEqual({ badges: 1, held: 1, open: 0, ...ever })
    // Badges of a deleted issuer go on in its system.
    const [, , , , issuer] = seed.container.split('/')
    await call('DELETE', `${seed.system}/issuers/${issuer}`)
    const moved = `${seed.system}/badges/${seed.badge.slug}`
    await award(moved, someone())
    for (const path of [moved, seed.system]) {
      expect((await statsOf(path)).totals).toEqual({
        ...{ badges: 1, held: 2, open: 0 },
        ...{ ...ever, awarded: 3 },
      })
    }
    await call('DELETE', moved)
    for (let i = 0; i < 4; i++) await sweep(silent, Date.now())
    expect((await statsOf(seed.system)).totals).toEqual({
      ...{ badges: 0, held: 0, open: 0 },
      ...{ ...ever, awarded: 3 },
    })
    const left = `select count(*) as n from tallies where systemId = ?`
    const systemId = await idOf(seed.system)
    expect(await count(`${left} and name not like 'system.%'`, systemId)).toBe(0)
    expect(await count(left, systemId)).toBeGreaterThan(0)
    await call('DELETE', seed.system)
    for (let i = 0; i < 4; i++) await sweep(silent, Date.now())
    expect(await count(left, systemId)).toBe(0)
  })

  it('count nothing that is refused or comes twice', async () => {
    at(Date.parse('2026-04-02T12:00:00.000Z'))
    const seed = await seedBadge(atProgram)
    const email = someone()
    const headers = { 'Idempotency-Key': unique('key') }
    for (let i = 0; i < 2; i++) await call('POST', `${seed.path}/instances`, { email }, { headers })
    await call('POST', `${seed.path}/instances`, { email })
    await call('POST', `${seed.path}/instances`, { email: someone(), claimCode: 'none' })
    await made(`${seed.path}/codes`, { code: 'one' })
    await call('POST', `${seed.path}/codes`, { code: 'ONE' })
    await revoke(seed.path, someone())
    for (const path of [seed.path, seed.container, seed.system]) {
      expect((await statsOf(path)).totals).toMatchObject({ ...NONE, awarded: 1, codes: 1 })
    }
  })

  it('are exact after races', async () => {
    const seed = await seedBadge(atProgram, { limit: 20 })
    const application = await apply(seed.path)
    await made(`${seed.path}/codes`, { code: 'one' })
    const email = someone()
    await award(seed.path, email)
    await Promise.all(
      Array.from({ length: 30 }, async (_, i) => {
        // Around midnight, and not in order.
        at(Date.parse(i % 2 ? '2026-04-02T23:59:59.999Z' : '2026-04-03T00:00:00.000Z'))
        await Promise.all([
          call('POST', `${seed.path}/instances`, { email: `${i % 25}-${email}` }),
          call('POST', `${seed.path}/codes/one/claim`, { email }),
          call('PUT', application, { processed: 5 }),
          revoke(seed.path, email),
        ])
      }),
    )
    at(Date.parse('2026-04-03T12:00:00.000Z'))
    const rowsOf = (what: string, column: string) =>
      count(`select count(*) as n from ${what} where badgeId = ? and ${column}`, seed.badge.id)
    const awarded = await rowsOf('badgeInstances', '1')
    expect(awarded).toBeGreaterThan(19)
    for (const path of [seed.path, seed.container, seed.system]) {
      expect((await statsOf(path)).totals).toEqual({
        ...{ badges: 1, held: await rowsOf('badgeInstances', 'revokedAt is null'), open: 0 },
        ...{ awarded, revoked: 1, codes: 1, claimed: 1, applied: 1, processed: 1 },
      })
    }
    await recounted(seed.system)
  })
})

const idOf = (system: string) =>
  count('select id as n from systems where slug = ?', system.split('/')[2])

// ── Counted again ───────────────────────────────────────────────────────────────────────────────────────────────────

const day = (column: string) => `${column} / ${DAY}`
/** What has happened to badges, by the rows and the events that it left. */
const HAPPENED: Record<string, string> = {
  awarded: `select badgeId, ${day('createdAt')} as day from badgeInstances`,
  revoked: `select badgeId, ${day('revokedAt')} as day from badgeInstances where revokedAt is not null`,
  claimed: `select json_extract(data, '$.badge.id') as badgeId, ${day('createdAt')} as day
    from ${EVENTS} where type = 'code.claimed'`,
  applied: `select json_extract(data, '$.application.badge.id') as badgeId, ${day('createdAt')} as day
    from ${EVENTS} where type = 'application.created'`,
}

/** Compares what is kept with what is counted again, for every owner in a system. */
async function recounted(system: string) {
  const systemId = await idOf(system)
  for (const [what, happened] of Object.entries(HAPPENED)) {
    for (const owner of ['badge', ...levels.map(({ name }) => name)]) {
      const column = owner === 'badge' ? 'b.id' : `b.${owner}Id`
      const { results: again } = await env.DB.prepare(
        `select ${column} as ownerId, day, sum(count(*)) over (partition by ${column} order by day) as n
         from (${happened}) h join badges b on b.id = h.badgeId
         where b.systemId = ? and ${column} is not null group by 1, 2 order by 1, 2`,
      )
        .bind(systemId)
        .all()
      const { results: kept } = await env.DB.prepare(
        'select ownerId, day, n from tallies where systemId = ? and name = ? order by 1, 2',
      )
        .bind(systemId, `${owner}.${what}`)
        .all()
      expect({ owner, what, rows: kept }).toEqual({ owner, what, rows: again })
    }
  }
  const { results: open } = await env.DB.prepare(
    `select badgeId as ownerId, count(*) as n from applications
     where systemId = ? and processed is null group by 1`,
  )
    .bind(systemId)
    .all()
  const { results: told } = await env.DB.prepare(
    `select ownerId, n from counters where systemId = ? and name = 'open' and n <> 0 order by 1`,
  )
    .bind(systemId)
    .all()
  expect(told).toEqual(open)
}

type Step = { what: string; badge: number; who: number; day: number }
const step = fc.record({
  what: fc.constantFrom(
    ...['award', 'coded', 'bulk', 'job', 'revoke', 'revokeMany', 'claim'],
    ...['apply', 'process', 'reopen', 'approve', 'withdraw'],
  ),
  badge: fc.nat({ max: 2 }),
  who: fc.nat({ max: 5 }),
  day: fc.integer({ min: -2, max: 2 }),
})

describe('what is kept', () => {
  it('is what a count of all rows gives, after anything that may happen', async () => {
    const property = fc.asyncProperty(
      fc.array(step, { minLength: 30, maxLength: 30 }),
      async (steps) => {
        const program = await seedContainer(atProgram)
        const system = program.split('/').slice(0, 3).join('/')
        const badges: { id: number; slug: string }[] = []
        for (const where of [program, program, system]) {
          badges.push(
            (await made(`${where}/badges`, { ...badge(unique('badge')), unique: 0 })).badge,
          )
        }
        const [first, second, third] = badges
        const paths = [program, program, system].map(
          (where, i) => `${where}/badges/${badges[i]?.slug}`,
        )
        const above = { numberRequired: 1, supportBadges: [first?.id] }
        await made(`${system}/milestones`, { ...above, primaryBadgeId: second?.id })
        const queued = { ...above, primaryBadgeId: third?.id, action: 'queue-application' }
        await made(`${system}/milestones`, queued)
        let now = Date.parse('2026-05-10T12:00:00.000Z')
        for (const one of steps) {
          now += one.day * DAY
          at(now)
          await take(one, `${paths[one.badge]}`)
        }
        await recounted(system)
      },
    )
    await fc.assert(property, { numRuns: 4, endOnFailure: true })
  }, 120_000)
})

/** What a step asks for may well be refused: then nothing has happened. */
async function take({ what, who }: Step, path: string) {
  const emails = Array.from({ length: who }, (_, i) => `p${(who + i) % 6}@example.org`)
  const email = `p${who}@example.org`
  const listed = (await call('GET', `${path}/applications`)).body.applications
  const application = `${path}/applications/${listed[who % listed.length]?.slug ?? 'none'}`
  const code = `code-${who}`
  if (what === 'award') await call('POST', `${path}/instances`, { email, repeat: who > 3 })
  if (what === 'coded') {
    await call('POST', `${path}/codes`, { code, multiuse: who > 3 })
    await call('POST', `${path}/instances`, { email, claimCode: code })
  }
  if (what === 'bulk') await call('POST', `${path}/instances/bulk`, { emails })
  if (what === 'job')
    await run(`${path}/instances/jobs`, { rows: [...emails, email].map((one) => ({ email: one })) })
  if (what === 'revoke') await revoke(path, email)
  if (what === 'revokeMany')
    await run(`${path}/instances/revocations`, { emails: [...emails, email] })
  if (what === 'claim') await call('POST', `${path}/codes/${code}/claim`, { email })
  if (what === 'apply') await call('POST', `${path}/applications`, { learner: email })
  if (what === 'process') await call('PUT', application, { processed: '2026-01-01' })
  if (what === 'reopen') await call('PUT', application, { processed: null })
  if (what === 'withdraw') await call('DELETE', application)
  if (what === 'approve') {
    await call('POST', `${application}/reviews`, { author: email, award: true, reviewItems: [] })
  }
}
