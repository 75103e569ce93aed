import { ring } from './doorbell'
import type { Bindings } from './env'
import { openDb } from './store/db'
import { beat, dueDeliveries } from './store/deliveries'
import { purge, purgeable } from './store/purge'

/** The recurring duties: rings for every delivery that is due, and removes some of what was deleted. Gives how many are due. */
export async function sweep(env: Bindings, now: number): Promise<number> {
  const db = openDb(env.DB, 'first-primary')
  const [, due, [deleted]] = await db.batch([beat(now), dueDeliveries(now), purgeable])
  await ring(env, due)
  if (deleted?.any) await purge(db)
  return due.length
}
