import { env } from 'cloudflare:workers'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import journal from '../../migrations/meta/_journal.json'
import type { Bindings } from '../../src/env'
import { sweep } from '../../src/sweep'
import { at, MINUTE, seedDelivery, set, setWebhook, silent, startCalm } from '../helpers/deliveries'
import { faulty, under } from '../helpers/worker'

startCalm({ alone: true })

const NEWEST = `${journal.entries.at(-1)?.tag}.sql`
const ready = (more: Partial<Bindings> = {}, url = 'https://elsewhere.example/health/ready') =>
  under({ ...silent, ...more }, new Request(url))
const run = (text: string) => env.DB.prepare(text).run()

beforeEach(() => sweep(silent, Date.now()))

describe('GET /health/ready', () => {
  it('is 200 to anyone and on any host when all is there, and is kept by nobody', async () => {
    const { status, headers, body } = await ready()
    expect(body).toEqual({
      ready: true,
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      database: { ok: true },
      migrations: { ok: true, newest: NEWEST },
      sweep: { ok: true, seconds: 0 },
      deliveries: { ok: true, oldestSeconds: null },
      queues: { deliveries: null, slow: null, dead: expect.toSatisfy(isTold) },
    })
    expect(status).toBe(200)
    expect(headers.get('Cache-Control')).toBe('no-store')
  })

  it('tells what waits in the queues, as far as they tell', async () => {
    const now = Date.now()
    const metrics = async () => ({
      backlogCount: 7,
      backlogBytes: 700,
      oldestMessageTimestamp: new Date(now - 5 * MINUTE),
    })
    const DELIVERIES = { metrics } as unknown as Queue
    const DELIVERIES_SLOW = { metrics: () => Promise.reject(new Error('no')) } as unknown as Queue
    const { status, body } = await ready({ DELIVERIES, DELIVERIES_SLOW })
    expect(status).toBe(200)
    expect(body.queues).toMatchObject({
      deliveries: { backlog: 7, oldestSeconds: expect.closeTo(300, -1) },
      slow: null,
    })
  })

  it('is 503 while no sweep runs, and says so', async () => {
    const now = Date.now()
    await sweep(silent, now)
    at(now + 6 * MINUTE)
    expect(await ready()).toMatchObject({ status: 200 })
    at(now + 6 * MINUTE + 1)
    expect(await ready()).toMatchObject({
      status: 503,
      body: { ready: false, database: { ok: true }, sweep: { ok: false, seconds: 360 } },
    })
    await run('delete from heartbeats')
    expect((await ready()).body.sweep).toEqual({ ok: false, seconds: null })
  })

  it('is 503 while a delivery waits that could go, and not for a webhook that fails or is off', async () => {
    const { id, hook } = await seedDelivery()
    const now = Date.now()
    at(now)
    await set(id, `nextAt = ${now - 10 * MINUTE}`)
    expect((await ready()).body.deliveries).toEqual({ ok: true, oldestSeconds: 600 })
    at(now + 1)
    expect(await ready()).toMatchObject({
      status: 503,
      body: { ready: false, deliveries: { ok: false, oldestSeconds: 600 }, sweep: { ok: true } },
    })
    await set(id, `nextAt = ${now + MINUTE}`)
    expect((await ready()).body.deliveries.oldestSeconds).toBeNull()
    await set(id, `nextAt = ${now - 20 * MINUTE}`)
    for (const state of ['failures = 1', `failures = 0, state = 'disabled'`]) {
      await setWebhook(hook, state)
      expect(await ready()).toMatchObject({ status: 200, body: { deliveries: { ok: true } } })
    }
  })

  it('is 503 while the newest migration of the build is not applied', async () => {
    await run(`update d1_migrations set name = 'x' where name = '${NEWEST}'`)
    const { status, body } = await ready()
    await run(`update d1_migrations set name = '${NEWEST}' where name = 'x'`)
    expect({ status, body }).toMatchObject({
      status: 503,
      body: { ready: false, database: { ok: true }, migrations: { ok: false, newest: NEWEST } },
    })
    await run(`insert into d1_migrations (name) values ('9999_later.sql')`)
    expect(await ready()).toMatchObject({ status: 200 })
    await run(`delete from d1_migrations where name = '9999_later.sql'`)
  })

  it('is 503, and no fault of ours, when the database does not answer', async () => {
    const told = vi.spyOn(console, 'error').mockImplementation(() => {})
    for (const message of ['D1_ERROR: no such table: heartbeats', 'D1 DB is overloaded']) {
      const { DB } = faulty({ message })
      expect(await ready({ DB })).toMatchObject({
        status: 503,
        body: {
          ready: false,
          database: { ok: false },
          migrations: { ok: false },
          sweep: { ok: false, seconds: null },
          deliveries: { ok: false, oldestSeconds: null },
        },
      })
    }
    expect(JSON.stringify(told.mock.calls)).not.toContain('heartbeats')
  })
})

/** Miniflare's queue tells its backlog. */
const isTold = (queue: unknown) =>
  queue === null || Number.isInteger((queue as { backlog: number }).backlog)
