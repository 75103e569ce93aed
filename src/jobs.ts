import { randomHex } from './crypto'
import { ringForJob } from './doorbell'
import type { Bindings, Caller } from './env'
import { perLevel } from './levels'
import type { Db } from './store/db'
import type { Awardable } from './store/instances'
import { abandon, awardChunk, findWork, type JobRow, revokeChunk } from './store/jobs'
import { viewBadge } from './views/badges'

/** How long one run works on a job, in milliseconds, before it rings for the next: others of the queue wait for it. */
const RUN = 30_000
/** A rest between two chunks, in milliseconds: where all run on one thread, as they do locally, requests are served in it. */
const BREATH = 1

/**
 * Works on a job, chunk by chunk, until it is done or has had its time. It may be called any number of times, and at once: each
 * chunk is done by one of them.
 */
export async function workOn(db: Db, env: Bindings, id: number): Promise<void> {
  const started = Date.now()
  const rung: Promise<unknown>[] = []
  for (let goesOn = true; goesOn; ) {
    if (Date.now() - started >= RUN) {
      rung.push(ringForJob(env, id))
      break
    }
    goesOn = await step(db, env, id, (work) => rung.push(work))
    await scheduler.wait(BREATH)
  }
  await Promise.all(rung)
}

/** One chunk. Gives whether there is more to do. */
async function step(db: Db, env: Bindings, id: number, waitUntil: Caller['waitUntil']) {
  const now = Date.now()
  const found = await findWork(db, id)
  if (!found) return false
  const { job, badge } = found
  if (!badge) {
    await abandon(db, job, now)
    return false
  }
  const shown = (row: typeof badge) => viewBadge(row, env.PUBLIC_ORIGIN)
  const above = found.above
    .filter((one) => one.id !== badge.id)
    .map((row) => ({ ...row, shown: shown(row) }))
  const awardable: Awardable = { row: badge, shown: shown(badge), above }
  const caller = { ...asker(job), db, env, now, op: randomHex(16), waitUntil }
  const after = await (job.kind === 'issue' ? awardChunk : revokeChunk)(caller, job, awardable)
  return after?.state === 'running'
}

/** A job's steps write in the name of the key that asked for it. */
const asker = ({ key, uid, kind }: JobRow) => ({
  isReplay: false,
  idempotency: null,
  token: null,
  ifMatch: null,
  key: {
    ...perLevel('name', () => null),
    name: key,
    role: 'issue' as const,
    allowNoExp: false,
    secrets: [],
  },
  action: `job ${kind}`,
  requestId: uid,
})
