import { type SQL, sql } from 'drizzle-orm'
import { keySecrets, keys } from '../../drizzle/schema'
import { commit, committed, isCommitted } from '../commit'
import { base64, idFrom } from '../crypto'
import type { Caller } from '../env'
import { type Container, type Containers, levels, type Place } from '../levels'
import type { Role } from '../roles'
import { derive, open, seal } from '../seal'
import { containerSlugs, isLive, joinContainers } from './containers'
import { type Db, insertIf, type Statement, updateWhere, wrote } from './db'

/** A key with the slugs of what it reaches. */
export type KeyRow = typeof keys.$inferSelect & Containers

/** What a request may say of a key. An absent member of a PUT leaves what stands. */
export type KeyInput = {
  role?: Role
  description?: string | null
  expires?: number | null
  allowNoExp?: boolean | null
}
export type KeyChange = KeyInput & { disabled?: boolean | null }

/** How many secrets of one key sign at once. */
export const MAX_SECRETS = 3

const cell = (row: string) => ({ table: 'keySecrets', row, column: 'sealed' })
const target = ({ key }: { key: string }) => `keys/${key}`

/** Live keys of live containers: what is deleted takes its keys along. */
const selectKeys = (more = sql``) => sql`
  select k.*, ${containerSlugs}${more} from keys k ${joinContainers('k')}
  where k.deletedAt is null ${sql.raw(levels.map(({ name }) => `and ${name}.deletedAt is null`).join(' '))}`

/** Keys that are bound to a container or to one below it. */
const inside = (container: Container) =>
  sql.join(
    levels.flatMap(({ column }) => {
      const id = container[column]
      return id ? [sql` and k.${sql.identifier(column)} = ${id}`] : []
    }),
  )

/** The keys of a container and of those below it, in the order of their making. */
export const listKeys = (container: Container): Statement<KeyRow> =>
  sql<KeyRow>`${selectKeys()} ${inside(container)} order by k.id`

/** The same key by its name. */
export const findKeyIn = (container: Container, name: string): Statement<KeyRow> =>
  sql<KeyRow>`${selectKeys()} ${inside(container)} and k.key = ${name}`

/** The ids of a container, null where its words name nothing. */
export const placeOf = (container: Container): Statement<Place> =>
  sql<Place>`select ${sql.join(
    levels.map(({ column }) => sql`${container[column]} as ${sql.identifier(column)}`),
    sql`, `,
  )}`

// ── Signing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** A key that may sign at `now`, with its live secrets opened, and when any of that ends; undefined when there is none. */
export async function findKey(db: Db, ring: string, name: string, now: number) {
  const [rows] = await db.read(sql<KeyRow & { secrets: string; retires: number | null }>`
    ${selectKeys(sql`,
      (select json_group_array(json_object('id', x.id, 'sealed', x.sealed)) from keySecrets x
        where x.keyId = k.id and (x.retiresAt is null or x.retiresAt > ${now})) as secrets,
      (select min(x.retiresAt) from keySecrets x where x.keyId = k.id and x.retiresAt > ${now}) as retires`)}
      and k.key = ${name} and k.disabledAt is null and (k.expires is null or k.expires > ${now})`)
  const row = rows[0]
  if (!row) return undefined
  const sealed = JSON.parse(row.secrets) as { id: string; sealed: string }[]
  const secrets = await Promise.all(sealed.map((one) => open(ring, one.sealed, cell(one.id))))
  const { key, role, system, issuer, program, expires, retires } = row
  const ends = expires === null || (retires !== null && retires < expires) ? retires : expires
  return {
    name: key,
    role,
    system,
    issuer,
    program,
    allowNoExp: row.allowNoExp === 1,
    secrets,
    ends,
  }
}

/** Notes the day (since 1970) on which a key was used, and removes its secrets that have ended. */
export const noteUse = (db: Db, name: string, day: number, now: number) =>
  db.batch([
    sql`update keys set lastUsed = ${day} where key = ${name} and (lastUsed is null or lastUsed < ${day})`,
    sql`delete from keySecrets
      where keyId = (select id from keys where key = ${name}) and retiresAt <= ${now}`,
  ])

// ── Changes ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Whether the key that asks is one that may still change keys in a place, in SQL: isolates know a key for a while after it was
 * ended, and in that time it must not make one that lasts. Only `admin` comes here, so nothing is made above its maker.
 */
const mayStill = ({ key, now }: Caller, { systemId, issuerId, programId }: Place) =>
  key.role === 'master'
    ? sql`1`
    : sql`exists (select 1 from keys m where m.key = ${key.name} and m.role = 'admin'
        and m.deletedAt is null and m.disabledAt is null and (m.expires is null or m.expires > ${now})
        and m.systemId = ${systemId} and (m.issuerId is null or m.issuerId = ${issuerId})
        and (m.programId is null or m.programId = ${programId}))`

const columnsOf = ({ allowNoExp, ...input }: KeyInput) => ({
  ...input,
  allowNoExp: allowNoExp == null ? undefined : Number(allowNoExp),
})

/** A new secret, which a repeated request is told again, and the statement that keeps it if `done`. */
async function newSecret({ env, op, now }: Caller, keyId: SQL, done: SQL) {
  const secret = base64(await derive(env.ENCRYPTION_KEYS, `key secret ${op}`))
  const id = await idFrom(op, 'secret', 12)
  const sealed = await seal(env.ENCRYPTION_KEYS, secret, cell(id))
  return { secret, keep: insertIf(keySecrets, { id, keyId, sealed, createdAt: now }, done) }
}

/**
 * Makes a key that reaches a place. Gives its row, and the secret that is told this once; nothing when the place is gone, or the
 * caller's own key has ended, by then.
 */
export async function createKey(caller: Caller, place: Place, input: KeyInput) {
  const { op, now } = caller
  const key = await idFrom(op, 'key', 16)
  const which = sql`key = ${key}`
  const done = wrote(keys, op, which)
  const { secret, keep } = await newSecret(caller, sql`(select id from keys where ${which})`, done)
  const [rows] = await commit(caller, {
    change: [
      insertIf(
        keys,
        { ...columnsOf(input), ...place, key, op, createdAt: now, updatedAt: now },
        sql`${isLive(place)} and ${mayStill(caller, place)}`,
      ),
      keep,
    ],
    done,
    audit: { systemId: place.systemId, target: target({ key }) },
    read: [sql<KeyRow>`${selectKeys()} and k.key = ${key}`],
  })
  return rows[0] && { row: rows[0], secret }
}

/** Changes the given members. Gives no row when the key, or the caller's own, is gone by then. */
export async function updateKey(
  caller: Caller,
  row: KeyRow,
  { disabled, ...input }: KeyChange,
): Promise<KeyRow | undefined> {
  const { op, now } = caller
  const which = sql`id = ${row.id}`
  const standing = disabled == null ? {} : { disabledAt: disabled ? (row.disabledAt ?? now) : null }
  const [rows] = await commit(caller, {
    change: [
      updateWhere(
        keys,
        { ...columnsOf(input), ...standing, op, updatedAt: now },
        sql`${which} and deletedAt is null and ${mayStill(caller, row)}`,
      ),
    ],
    done: wrote(keys, op, which),
    of: { table: keys, id: row.id },
    audit: { systemId: row.systemId, target: target(row) },
    read: [sql<KeyRow>`${selectKeys()} and k.id = ${row.id} and ${isCommitted(op)}`],
  })
  return rows[0]
}

/** Ends a key: nothing of it stays but what the audit tells. Gives false when it, or the caller's own, was gone by then. */
export async function deleteKey(caller: Caller, row: KeyRow): Promise<boolean> {
  const { op, now } = caller
  const done = wrote(keys, op, sql`id = ${row.id} and deletedAt is not null`)
  const [rows] = await commit(caller, {
    change: [
      updateWhere(
        keys,
        { deletedAt: now, op, updatedAt: now },
        sql`id = ${row.id} and deletedAt is null and ${mayStill(caller, row)}`,
      ),
    ],
    done,
    of: { table: keys, id: row.id },
    audit: { systemId: row.systemId, target: target(row) },
    after: removeKeys(sql`id = ${row.id} and ${done}`),
    read: [committed(op)],
  })
  return rows.length > 0
}

/** Deletes keys with their secrets. */
const removeKeys = (which: SQL) => [
  sql`delete from keySecrets where keyId in (select id from keys where ${which})`,
  sql`delete from keys where ${which}`,
]

/**
 * Gives a key another secret. Those that stand end by themselves, `grace` milliseconds from now, but never after the key. When
 * too many would sign then, nothing is done.
 */
export async function rotateSecret(
  caller: Caller,
  row: KeyRow,
  grace: number,
): Promise<{ row: KeyRow; secret: string } | { refused: 'secrets' | 'gone' }> {
  const { op, now } = caller
  const which = sql`id = ${row.id}`
  const done = wrote(keys, op, which)
  const end = sql`min(${now + grace},
    coalesce((select expires from keys where ${which}), ${now + grace}))`
  const ends = sql`min(coalesce(retiresAt, ${now + grace}), ${end})`
  const room = sql`(select count(*) from keySecrets
    where keyId = ${row.id} and ${ends} > ${now}) < ${MAX_SECRETS}`
  const { secret, keep } = await newSecret(caller, sql`${row.id}`, done)
  const [rows, state] = await commit(caller, {
    change: [
      updateWhere(
        keys,
        { op, updatedAt: now },
        sql`${which} and deletedAt is null and ${mayStill(caller, row)} and ${room}`,
      ),
      sql`update keySecrets set retiresAt = ${ends} where keyId = ${row.id} and ${done}`,
      sql`delete from keySecrets where keyId = ${row.id} and retiresAt <= ${now} and ${done}`,
      keep,
    ],
    done,
    of: { table: keys, id: row.id },
    audit: { systemId: row.systemId, target: `${target(row)}/secret` },
    read: [
      sql<KeyRow>`${selectKeys()} and k.id = ${row.id} and ${isCommitted(op)}`,
      sql<{ room: 0 | 1 }>`select ${room} as room`,
    ],
  })
  if (rows[0]) return { row: rows[0], secret }
  return { refused: state[0]?.room === 0 ? 'secrets' : 'gone' }
}
