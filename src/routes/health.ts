import { Hono } from 'hono'
import type { Bindings, Env } from '../env'
import { nameOf } from '../errors'
import { paceOf } from '../retries'
import { about } from '../spec'
import { before, type Db } from '../store/db'
import { oldestDue } from '../store/deliveries'
import { lastBeat } from '../store/heartbeats'
import { isMigrated, NEWEST } from '../store/migrations'
import { ALARM, LATE } from '../sweep'
import { type Backlog, type Found, Health, viewHealth } from '../views/health'
import { VERSION } from './public'

/** Milliseconds that a queue may take to tell how it is. */
const QUEUE_DEADLINE = 2_000

/**
 * For monitors and load balancers, which have no key: whether what the Worker stands on is there. It tells ages and totals of the
 * whole service, and reads a few rows for each webhook that something waits for.
 */
export const health = new Hono<Env>().get(
  '/health/ready',
  about('Say whether the service can do its work', Health, { open: true }),
  async (c) => {
    const { db, now } = c.var
    const [found, deliveries, slow, dead] = await Promise.all([
      look(db, now),
      backlogOf(c.env.DELIVERIES),
      backlogOf(c.env.DELIVERIES_SLOW),
      backlogOf(c.env.DELIVERIES_DEAD),
    ])
    const report = viewHealth({
      version: VERSION,
      newest: NEWEST,
      found,
      queues: { deliveries, slow, dead },
      now,
      most: mostOf(c.env),
    })
    return c.json(report, report.ready ? 200 : 503, { 'Cache-Control': 'no-store' })
  },
)

/** A sweep that is late is run by the next write; one that is twice as late was run by nobody. */
function mostOf(env: Bindings) {
  const pace = paceOf(env)
  return { sweep: (2 * LATE) / pace, due: ALARM / pace }
}

async function look(db: Db, now: number): Promise<Found> {
  try {
    const [[swept], [migrated], [due]] = await db.read(lastBeat, isMigrated, oldestDue(now))
    return {
      applied: migrated?.applied === 1,
      sweptAt: swept?.at ?? null,
      dueAt: due?.nextAt ?? null,
    }
  } catch (error) {
    console.error(JSON.stringify({ level: 'alarm', event: 'not ready', error: nameOf(error) }))
    return null
  }
}

/** A queue that tells nothing is no fault: the sweep delivers without it. */
async function backlogOf(queue: Queue): Promise<Backlog> {
  try {
    return await before(QUEUE_DEADLINE, queue.metrics())
  } catch {
    return null
  }
}
