import { type SQL, sql } from 'drizzle-orm'
import { nameOf } from '../errors'
import { open, readRing, seal } from '../seal'
import type { Db, Statement } from './db'

/**
 * When `ENCRYPTION_KEYS` gains a newer key, what older ones have sealed is sealed anew under it, some rows in each sweep, so that
 * the older ones can be taken away one day.
 */

/** The tables with sealed values, and the columns by which a seal names their rows. */
export const SEALED = { keySecrets: 'id', webhookSecrets: 'id', signingKeys: 'thumbprint' } as const
type Table = keyof typeof SEALED
/** Most rows that one run seals anew. */
const ROWS = 50

type Sealed = { table: Table; id: string; sealed: string }

const nameFor = (newest: string) => `sealed:${newest}`

/** The key under which all should be sealed; null when the settings have none, which whoever serves tells of. */
const newestOf = (ring: string) =>
  readRing(ring).then(
    ({ newest }) => newest,
    () => null,
  )

/** Gives a row when nothing is left to be sealed anew. */
export async function allSealed(ring: string): Promise<Statement<{ done: 1 }>> {
  const newest = await newestOf(ring)
  if (newest === null) return sql<{ done: 1 }>`select 1 as done`
  return sql<{ done: 1 }>`select 1 as done from heartbeats where name = ${nameFor(newest)}`
}

/** Rows that another key than the newest has sealed: `v1.<key id>.…`. */
const older = (table: Table, start: string) => sql<Sealed>`
  select ${table} as "table", ${sql.identifier(SEALED[table])} as id, sealed from ${sql.identifier(table)}
  where substr(sealed, 1, length(${start})) <> ${start} limit ${ROWS}`

/**
 * Seals some of what is left under the newest key, each only if it still is what was read. A run that finds nothing remembers
 * that all is done: only then, because a Worker with the older settings may have sealed something meanwhile.
 */
export async function reseal(db: Db, ring: string, now: number): Promise<void> {
  const { newest } = await readRing(ring)
  const start = `v1.${newest}.`
  const tables = Object.keys(SEALED) as Table[]
  const found = await db.read(...tables.map((table) => older(table, start)))
  const rows = found.flat().slice(0, ROWS)
  if (rows.length === 0) {
    await db.batch([
      sql`insert into heartbeats (name, at) values (${nameFor(newest)}, ${now}) on conflict do nothing`,
    ])
    return
  }
  const changes = (await Promise.all(rows.map((row) => resealed(ring, row)))).flat()
  if (changes.length > 0) await db.batch(changes)
}

/** The statement that seals one value anew; none for one that does not open, which keeps nobody else waiting. */
async function resealed(ring: string, { table, id, sealed }: Sealed): Promise<SQL[]> {
  const cell = { table, row: id, column: 'sealed' }
  try {
    const again = await seal(ring, await open(ring, sealed, cell), cell)
    return [
      sql`update ${sql.identifier(table)} set sealed = ${again}
        where ${sql.identifier(SEALED[table])} = ${id} and sealed = ${sealed}`,
    ]
  } catch (error) {
    const told = { level: 'alarm', event: 'secret does not open', table, row: id }
    console.error(JSON.stringify({ ...told, error: nameOf(error) }))
    return []
  }
}
