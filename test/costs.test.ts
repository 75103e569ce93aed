import { env } from 'cloudflare:workers'
import { beforeAll, expect, it } from 'vitest'
import page from '../docs/operate.md?raw'
import { deliver } from '../src/deliver'
import type { Bindings } from '../src/env'
import { workOn } from '../src/jobs'
import { signById } from '../src/signing'
import { openDb } from '../src/store/db'
import { forgetOld } from '../src/store/retention'
import { sweep } from '../src/sweep'
import { DAY, MINUTE, silent, startCalm } from './helpers/deliveries'
import { levels, seedBadge, seedWebhook } from './helpers/seed'
import { signed, under } from './helpers/worker'

/**
 * What D1 is paid for: rows read and written, by what is done. `docs/operate.md` works out prices with these figures, and may not say
 * others.
 */

startCalm({ alone: true })

type Spent = { read: number; written: number }
const measured = new Map<string, Spent>()

/** `env.DB` as the product uses it, adding up what its answers say. */
function counted(spent: Spent): D1Database {
  const note = <T extends D1Result>(result: T): T => {
    spent.read += result.meta.rows_read
    spent.written += result.meta.rows_written
    return result
  }
  type Bound = { real: D1PreparedStatement; all: () => Promise<unknown> }
  return {
    withSession(from: string) {
      const session = env.DB.withSession(from)
      return {
        getBookmark: () => session.getBookmark(),
        prepare: (text: string) => ({
          bind(...values: unknown[]): Bound {
            const real = session.prepare(text).bind(...values)
            return { real, all: async () => note(await real.all()) }
          },
        }),
        batch: async (statements: Bound[]) =>
          (await session.batch(statements.map(({ real }) => real))).map(note),
      }
    },
  } as unknown as D1Database
}

/** Does the same for each, and keeps what one costs on average. */
async function measure<T>(
  what: string,
  list: readonly T[],
  work: (one: T, bindings: Bindings) => unknown,
) {
  const spent = { read: 0, written: 0 }
  for (const one of list) await work(one, { ...silent, DB: counted(spent) } as Bindings)
  const average = (sum: number) => Math.round(sum / list.length)
  measured.set(what, { read: average(spent.read), written: average(spent.written) })
}

const N = 20
const earners = (name: string) => Array.from({ length: N }, (_, i) => `${name}-${i}@example.org`)

async function award(path: string, email: string, bindings: Bindings) {
  const request = await signed('POST', `${path}/instances`, { email })
  const { status, body } = await under(bindings, request)
  expect(status).toBe(201)
  return body.instance as { slug: string }
}

beforeAll(async () => {
  const alone = await seedBadge(levels[2])
  const heard = await seedBadge(levels[2])
  await seedWebhook(heard.system)
  const at = Date.now()
  // The first award of a badge freezes it, and the first credential of an issuer makes its keys.
  const first = await award(alone.path, 'first@example.org', silent)
  const credential = `/public/v3/credentials/${first.slug}`
  await under(silent, new Request(env.PUBLIC_ORIGIN + credential))
  await award(heard.path, 'first@example.org', silent)
  await sweep(silent, at)

  await measure('a badge is read, signed', [1, 2], async (_, bindings) =>
    under(bindings, await signed('GET', alone.path)),
  )
  const assertion = new Request(`${env.PUBLIC_ORIGIN}/public/assertions/${first.slug}`)
  await measure('an assertion is read that no cache keeps', [1], (_, bindings) =>
    under(bindings, assertion.clone()),
  )
  await measure('an assertion is read from the cache', [1, 2], (_, bindings) =>
    under(bindings, assertion.clone()),
  )
  await measure('the service is asked whether it is ready', [1, 2], (_, bindings) =>
    under(bindings, new Request(`${env.PUBLIC_ORIGIN}/health/ready`)),
  )
  await measure('an award, without a webhook', earners('alone'), (email, bindings) =>
    award(alone.path, email, bindings),
  )
  await sweep(silent, at)
  await measure('a sweep with nothing to do', [1, 2], (_, bindings) => sweep(bindings, at))
  await measure('an award, with one webhook', earners('heard'), (email, bindings) =>
    award(heard.path, email, bindings),
  )
  const idle = measured.get('a sweep with nothing to do') ?? { read: 0, written: 0 }
  await share('its audit is sealed', idle, (bindings) => sweep(bindings, at))
  const ids = async (text: string) => (await env.DB.prepare(text).all<{ id: number }>()).results
  const due = await ids(
    `select id from deliveries where state = 'pending' order by id desc limit ${N}`,
  )
  await measure('its webhook is delivered', due, ({ id }, bindings) =>
    deliver(openDb(bindings.DB, 'first-primary'), bindings, id, 'queue'),
  )
  const awards = await ids(
    `select id from badgeInstances where email like 'alone-%' order by id limit ${N}`,
  )
  await measure('its credential is signed', awards, ({ id }, bindings) =>
    signById(openDb(bindings.DB, 'first-primary'), bindings, id, at),
  )
  await share('its event is forgotten, in time', { read: 0, written: 0 }, async (bindings) => {
    await env.DB.prepare(`delete from deliveries where state = 'pending'`).run()
    await forgetOld(openDb(bindings.DB, 'first-primary'), at + 500 * DAY + MINUTE)
  })
  const rows = Array.from({ length: 1_000 }, (_, i) => ({ email: `of-a-job-${i}@example.org` }))
  const request = await signed('POST', `${alone.path}/instances/jobs`, { rows })
  const { body } = await under(silent, request)
  const job = await ids(`select id from jobs where uid = '${body.job.id}'`)
  await measure('a thousand awards of a job', job, ({ id }, bindings) =>
    workOn(openDb(bindings.DB, 'first-primary'), bindings, id),
  )
})

/** The same where one run does it for all that were awarded. */
async function share(what: string, idle: Spent, work: (bindings: Bindings) => unknown) {
  await measure(what, [1], (_, bindings) => work(bindings))
  const { read, written } = measured.get(what) ?? idle
  measured.set(what, {
    read: Math.max(0, Math.round((read - idle.read) / N)),
    written: Math.max(0, Math.round((written - idle.written) / N)),
  })
}

/** The page's own table: what is done, rows read, rows written. */
const told = new Map(
  [...page.matchAll(/^\| ([^|]+?) +\| +([\d,]+) \| +([\d,]+) \|$/gm)].map(
    ([, what = '', ...cells]) => {
      const [read = 0, written = 0] = cells.map((cell) => Number(cell.replaceAll(',', '')))
      return [what, { read, written }]
    },
  ),
)

it('costs what the page says, within a tenth or three rows', () => {
  console.log(JSON.stringify([...measured]))
  expect([...told.keys()].sort()).toEqual([...measured.keys()].sort())
  for (const [what, { read, written }] of measured) {
    for (const [real, said] of [
      [read, told.get(what)?.read],
      [written, told.get(what)?.written],
    ] as const) {
      expect(Math.abs(real - (said ?? 0)), `${what}: ${real}, not ${said}`).toBeLessThanOrEqual(
        Math.max(3, real / 10),
      )
    }
  }
})
