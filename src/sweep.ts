import { randomHex } from './crypto'
import { deliverAll } from './deliver'
import { ring, ringForJob } from './doorbell'
import type { Bindings } from './env'
import { nameOf } from './errors'
import { paceOf } from './retries'
import { signList } from './signing'
import { sealBacklog, unsealed } from './store/auditChain'
import { type Db, openDb } from './store/db'
import { dueDeliveries, type Overdue } from './store/deliveries'
import { beat, beatIfLate, lastBeat } from './store/heartbeats'
import { idleJobs } from './store/jobs'
import { purge, purgeable } from './store/purge'
import { expiring, remind } from './store/reminders'
import { allSealed, reseal } from './store/reseal'
import { forgetOld } from './store/retention'
import { staleLists } from './store/statusLists'

/** A sweep that is later than this, in milliseconds, is run by whoever notices: the cron is only its first heart. */
export const LATE = 3 * 60_000
/** What has been due for so long was rung for and not heard: the sweep delivers it itself, so many in one run at the most. */
const UNHEARD = 60_000
const MAX_OWN = 60
/** A delivery that could go and has not for so long is an alarm. */
export const ALARM = 10 * 60_000
/** A running job on which nobody has worked for so long is rung for. */
const IDLE = 60_000

/**
 * The recurring duties: rings for every delivery that is due, or delivers it where ringing is of no use; tells of awards that
 * will expire; seals the audit log; signs status lists that have changed; forgets what is old, removes some of what was deleted,
 * and seals secrets under the newest key. Gives how many deliveries are due.
 */
export async function sweep(env: Bindings, now: number): Promise<number> {
  const db = openDb(env.DB, 'first-primary')
  const [, due, [deleted], awards, logged, sealed, lists, idle] = await db.batch([
    beat(now),
    dueDeliveries(now),
    purgeable,
    expiring(now),
    unsealed,
    await allSealed(env.ENCRYPTION_KEYS),
    staleLists,
    idleJobs(now - IDLE / paceOf(env)),
  ])
  const duties = {
    deliveries: () => serve(db, env, due, now),
    async reminders() {
      if (awards.length === 0) return
      await ring(env, await remind(db, randomHex(12), now, awards, env.PUBLIC_ORIGIN))
    },
    jobs: async () => Promise.all(idle.map(({ id }) => ringForJob(env, id))),
    retention: () => forgetOld(db, now),
    audit: () => sealBacklog(db, now, logged),
    secrets: async () => sealed.length === 0 && reseal(db, env.ENCRYPTION_KEYS, now),
    // Before what is deleted is purged: the lists of a deleted system are signed once more.
    lists: () => signLists(db, env, lists, now),
    purge: async () => deleted?.any && purge(db),
  }
  // One that fails keeps no other from being done.
  for (const [duty, work] of Object.entries(duties)) {
    await work().catch((error: unknown) => {
      const told = { level: 'error', event: 'sweep fault', duty, error: nameOf(error) }
      console.error(JSON.stringify(told))
    })
  }
  return due.length
}

/** Each for itself: one whose key does not open keeps no other waiting. */
async function signLists(db: Db, env: Bindings, lists: readonly { uid: string }[], now: number) {
  for (const { uid } of lists) {
    await signList(db, env, uid, now).catch((error: unknown) => {
      console.error(
        JSON.stringify({ level: 'error', event: 'signing fault', list: uid, error: nameOf(error) }),
      )
    })
  }
}

async function serve(db: Db, env: Bindings, due: readonly Overdue[], now: number): Promise<void> {
  const pace = paceOf(env)
  // What a failing webhook has not had waited for the webhook, not for us.
  warnOf(due.find(({ slow }) => !slow)?.nextAt ?? now, now, pace)
  const isUnheard = ({ nextAt }: Overdue) => nextAt <= now - UNHEARD / pace
  const unheard = due.filter(isUnheard)
  const toRing = [...due.filter((one) => !isUnheard(one)), ...unheard.slice(MAX_OWN)]
  const { failed } = await ring(env, toRing)
  await deliverAll(db, env, (failed ? due : unheard).slice(0, MAX_OWN), 'sweep')
}

function warnOf(oldest: number, now: number, pace: number): void {
  if (now - oldest < ALARM / pace) return
  const seconds = Math.round((now - oldest) / 1000)
  console.error(JSON.stringify({ level: 'alarm', event: 'deliveries late', seconds }))
}

/** When the last sweep ran, as far as this isolate knows. */
let known = 0

/** The sweep's second heart, after writes and consumer runs: runs one when the last is late. It never throws. */
export async function sweepIfLate(env: Bindings, now: number): Promise<void> {
  const late = LATE / paceOf(env)
  if (Math.abs(now - known) <= late) return
  // Others of this isolate need not ask meanwhile.
  known = now
  try {
    const db = openDb(env.DB, 'first-primary')
    const [mine, last] = await db.batch([beatIfLate(now, now - late), lastBeat])
    known = last[0]?.at ?? now
    if (mine.length > 0) await sweep(env, now)
  } catch (error) {
    console.error(JSON.stringify({ level: 'error', event: 'sweep fault', error: nameOf(error) }))
  }
}
