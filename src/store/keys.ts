import { sql } from 'drizzle-orm'
import { keySecrets, keys } from '../../drizzle/schema'
import { commit } from '../commit'
import { base64, randomHex } from '../crypto'
import type { Caller } from '../env'
import type { Containers } from '../levels'
import { open, seal } from '../seal'
import { containerSlugs, joinContainers } from './containers'
import { type Db, insertIf, type Statement, wrote } from './db'

/** A key with the slugs of what it reaches. */
export type KeyRow = typeof keys.$inferSelect & Containers

/** What the route takes to make a key. */
export type NewKey = {
  role: typeof keys.$inferSelect.role
  description?: string | null
  expires?: number | null
  allowNoExp?: boolean | null
}

const cell = (row: string) => ({ table: 'keySecrets', row, column: 'sealed' })

const selectKeys = (more = sql``) => sql`
  select k.*, ${containerSlugs}${more} from keys k ${joinContainers('k')}
  where k.deletedAt is null and system.deletedAt is null`

/** The live keys of a system. */
export const listKeys = (systemId: Statement): Statement<KeyRow> =>
  sql<KeyRow>`${selectKeys()} and k.systemId = ${systemId} order by k.id`

/** A key that may sign at `now`, with its live secrets opened; undefined when there is none. */
export async function findKey(db: Db, ring: string, name: string, now: number) {
  const [rows] = await db.read(sql<KeyRow & { secrets: string }>`
    ${selectKeys(sql`,
      (select json_group_array(json_object('id', x.id, 'sealed', x.sealed)) from keySecrets x
        where x.keyId = k.id and (x.retiresAt is null or x.retiresAt > ${now})) as secrets`)}
      and k.key = ${name} and k.disabledAt is null and (k.expires is null or k.expires > ${now})`)
  const row = rows[0]
  if (!row) return undefined
  const sealed = JSON.parse(row.secrets) as { id: string; sealed: string }[]
  const secrets = await Promise.all(sealed.map((one) => open(ring, one.sealed, cell(one.id))))
  return { name: row.key, system: row.system, allowNoExp: row.allowNoExp === 1, secrets }
}

/** Makes a key of a system. Gives its row, and the secret that is told this once. */
export async function createKey(caller: Caller, systemId: number, input: NewKey) {
  const { op, now } = caller
  const key = randomHex(16)
  const secret = base64(crypto.getRandomValues(new Uint8Array(32)))
  const secretId = randomHex(12)
  const sealed = await seal(caller.env.ENCRYPTION_KEYS, secret, cell(secretId))
  const which = sql`key = ${key}`
  const [rows] = await commit(caller, {
    change: [
      insertIf(
        keys,
        {
          ...input,
          allowNoExp: input.allowNoExp ? 1 : 0,
          key,
          systemId,
          op,
          createdAt: now,
          updatedAt: now,
        },
        sql`exists (select 1 from systems where id = ${systemId} and deletedAt is null)`,
      ),
      insertIf(
        keySecrets,
        {
          id: secretId,
          keyId: sql`(select id from keys where ${which})`,
          sealed,
          createdAt: now,
        },
        wrote(keys, op, which),
      ),
    ],
    done: wrote(keys, op, which),
    audit: { systemId, target: `keys/${key}` },
    read: [sql<KeyRow>`${selectKeys()} and k.key = ${key}`],
  })
  return rows[0] && { row: rows[0], secret }
}
