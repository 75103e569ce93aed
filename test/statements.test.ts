import { env } from 'cloudflare:workers'
import { sql } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { openDb } from '../src/store/db'
import { planNew, planOf, recorded, scansOf, straysOf } from './helpers/statements'

/** What `test/setup.ts` asks of every statement that the suite makes the product run. */

const scans = async (text: string) => scansOf(await planOf(text))

describe('a look through a whole table that grows', () => {
  it.each([
    ['by its name', 'select * from badgeInstances', 'SCAN badgeInstances'],
    ['by an alias', `select * from badges b where b.name = 'A'`, 'SCAN b'],
    ['quoted', 'select o."at" from "audit" o', 'SCAN o'],
    [
      'in an index alone',
      'select badgeId from tags',
      'SCAN tags USING COVERING INDEX tags_badgeId',
    ],
    ['in the order of its ids', 'select * from events order by rowid limit 5', 'SCAN events'],
    [
      'below another one',
      `select (select count(*) from reviews r where r.comment = s.name) from systems s where s.id = 1`,
      'SCAN r',
    ],
    [
      'by what is alike in nearly all rows',
      'select * from programs p where p.deletedAt is null and p.id > 5',
      'SEARCH p USING INDEX programs_deletedAt (deletedAt=? AND rowid>?)',
    ],
    [
      'after a row',
      'select * from badges where id > 5',
      'SEARCH badges USING INTEGER PRIMARY KEY (rowid>?)',
    ],
    ['of a change', `update badges set name = 'A' where type = 'B'`, 'SCAN badges'],
  ])('is told, %s', async (_how, text, line) => {
    expect(await scans(text)).toEqual([line])
  })

  it('is told when SQLite indexes the table for that once', async () => {
    const text = 'select 1 from evidence e join reviews r on r.comment = e.url where e.id < 9'
    expect((await scans(text)).join()).toContain('USING AUTOMATIC')
  })

  it.each([
    ['a search', 'select * from badges b where b.id = 1'],
    ['a search between bounds', `select * from attempts where at > 5 order by at`],
    ['a list', `select j.value from json_each('[1]') j`],
    ['a sub-select', 'select t.n from (select count(*) as n from badges where id = 3) t'],
    ['a small table', 'select * from heartbeats'],
    [
      'a query that is named',
      `with recursive n (i) as (select 1 union select i + 1 from n where i < 9)
       select b.id from n cross join badges b on b.id = n.i`,
    ],
  ])('is not %s', async (_what, text) => {
    expect(await scans(text)).toEqual([])
  })
})

describe('a look at more than one system', () => {
  it.each([
    ['by an address', `select * from reviews r where r.author = 'a'`, true],
    [
      'by a date',
      'select * from audit where id in (select id from events where createdAt > 5)',
      true,
    ],
    ['by all there is', 'select count(*) from badges', true],
    ['by what belongs to one', 'select * from claimCodes where badgeId = 5', false],
    ['by a random name', `select * from badgeInstances where slug = 'x'`, false],
    ['named', `select * from events where systemId = 3 and earner = 'a'`, false],
    [
      'through a sub-select',
      'select * from (select * from tags t where t.badgeId = 1 limit 3) t',
      false,
    ],
  ])('%s is told: %s', async (_how, text, isTold) => {
    expect(straysOf(await planOf(text)).length > 0).toBe(isTold)
  })
})

describe('what is looked at', () => {
  it('is what the product runs, once, and nothing that tests run', async () => {
    const db = openDb(env.DB, 'first-primary')
    const isNew = async (word: string) => (await planNew()).some(({ text }) => text.includes(word))
    await env.DB.prepare(`select ? as asked_by_a_test`).bind(1).all()
    await db.read(sql`select ${1} as asked_by_the_product`)
    expect(await isNew('asked_by_a_test')).toBe(false)
    await db.read(sql`select ${2} as asked_twice`)
    expect(await isNew('asked_twice')).toBe(true)
    await db.batch([sql`select ${3} as asked_twice`])
    expect(await isNew('asked_twice')).toBe(false)
    expect([...recorded().texts]).toContain('select ? as asked_by_the_product')
  })

  it('is planned without statistics, as in production', async () => {
    const { results } = await env.DB.prepare(
      `select name from sqlite_master where name like 'sqlite_stat%'`,
    ).all()
    expect(results).toEqual([])
  })
})
