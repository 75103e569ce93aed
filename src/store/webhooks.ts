import { type SQL, sql } from 'drizzle-orm'
import { webhookSecrets, webhooks } from '../../drizzle/schema'
import { commit, committed, idMade, isCommitted } from '../commit'
import { base64, idFrom } from '../crypto'
import type { Caller } from '../env'
import type { Format } from '../events'
import { derive, seal } from '../seal'
import { insertIf, type Statement, updateWhere, wrote } from './db'
import { secretCell } from './deliveries'

export type WebhookRow = typeof webhooks.$inferSelect

/** What a request may say of a webhook. An absent member of a PUT leaves what stands. */
export type WebhookInput = {
  url: string
  events?: string[] | null
  format?: Format | null
}
export type WebhookChange = Partial<WebhookInput> & { state?: WebhookRow['state'] | null }

/** How many secrets of one webhook sign at once. */
export const MAX_SECRETS = 3

const find = (systemId: SQL | number, which: SQL): Statement<WebhookRow> =>
  sql<WebhookRow>`select * from webhooks
    where systemId = ${systemId} and deletedAt is null and ${which} order by id`

/** The webhooks of a system, in id order. */
export const listWebhooks = (systemId: SQL) => find(systemId, sql`1`)

/** A webhook of a system; any text that is not a number names none. */
export const findWebhook = (systemId: SQL, id: string) =>
  find(systemId, sql`id = ${/^\d{1,15}$/.test(id) ? Number(id) : -1}`)

const target = ({ id }: WebhookRow) => `webhooks/${id}`
const newSecret = async ({ env, op }: Caller) =>
  `whsec_${base64(await derive(env.ENCRYPTION_KEYS, `webhook secret ${op}`))}`

const columnsOf = ({ url, events, format }: WebhookChange) => ({
  url,
  events: events === undefined ? undefined : events && JSON.stringify(events),
  format: format ?? undefined,
})

/** A statement that keeps a secret of a webhook (its id in SQL), if `done`. */
async function keepSecret(
  { now, env, op }: Caller,
  webhookId: SQL,
  secret: string,
  primary: 0 | 1,
  done: SQL,
): Promise<SQL> {
  const id = await idFrom(op, 'secret', 12)
  const sealed = await seal(env.ENCRYPTION_KEYS, secret, secretCell(id))
  return insertIf(webhookSecrets, { id, webhookId, sealed, primary, createdAt: now }, done)
}

/** Registers a receiver. Gives its row and its secret, which is told this once; no row when its URL is registered already. */
export async function createWebhook(
  caller: Caller,
  systemId: number,
  { secret: given, ...input }: WebhookInput & { secret?: string | null },
) {
  const { op, now } = caller
  const secret = given ?? (await newSecret(caller))
  const which = sql`systemId = ${systemId} and url = ${input.url} and deletedAt is null`
  const done = wrote(webhooks, op, which)
  const [rows] = await commit(caller, {
    change: [
      insertIf(
        webhooks,
        { ...columnsOf(input), systemId, op, createdAt: now, updatedAt: now },
        sql`exists (select 1 from systems where id = ${systemId} and deletedAt is null)`,
        sql`on conflict (systemId, url) where "deletedAt" is null do nothing`,
      ),
      await keepSecret(caller, sql`(select id from webhooks where ${which})`, secret, 1, done),
    ],
    done,
    audit: { systemId, target: sql`'webhooks/' || (select id from webhooks where ${which})` },
    read: [find(systemId, sql`id = ${idMade(op, 'webhooks')}`)],
  })
  return rows[0] && { row: rows[0], secret }
}

/**
 * Changes the given members. What waits is delivered as it was promised; a webhook that is switched on, or moved, starts with
 * a clean record. Gives no row when its URL is another's, or it is gone, by then.
 */
export async function updateWebhook(
  caller: Caller,
  row: WebhookRow,
  { state, ...input }: WebhookChange,
): Promise<WebhookRow | undefined> {
  const { op, now } = caller
  const which = sql`id = ${row.id}`
  const done = wrote(webhooks, op, which)
  const isFresh = state === 'active' || (input.url !== undefined && input.url !== row.url)
  const clean = { failures: 0, failingSince: null, blockedUntil: 0 }
  const standing = {
    active: { state, disabledAt: null, disabledReason: null },
    disabled: {
      state,
      disabledAt: sql`coalesce("disabledAt", ${now})`,
      disabledReason: sql`coalesce("disabledReason", 'By request')`,
    },
  }
  const values = { ...columnsOf(input), ...(state && standing[state]), ...(isFresh && clean) }
  const free = input.url
    ? sql`and not exists (select 1 from webhooks o where o.systemId = ${row.systemId} and o.url = ${input.url}
        and o.deletedAt is null and o.id <> ${row.id})`
    : sql``
  const [rows] = await commit(caller, {
    change: [
      updateWhere(
        webhooks,
        { ...values, op, updatedAt: now },
        sql`${which} and deletedAt is null ${free}`,
      ),
    ],
    done,
    of: { table: webhooks, id: row.id },
    audit: { systemId: row.systemId, target: target(row) },
    read: [find(row.systemId, which)],
  })
  return rows.find((written) => written.op === op)
}

/** Ends a webhook: its secrets go at once, what waited for it is cancelled, its log stays. Gives false when it was gone by then. */
export async function deleteWebhook(caller: Caller, row: WebhookRow): Promise<boolean> {
  const { op, now } = caller
  const which = sql`id = ${row.id}`
  const done = wrote(webhooks, op, sql`${which} and deletedAt is not null`)
  const [rows] = await commit(caller, {
    change: [
      updateWhere(
        webhooks,
        { deletedAt: now, op, updatedAt: now },
        sql`${which} and deletedAt is null`,
      ),
      sql`delete from webhookSecrets where webhookId = ${row.id} and ${done}`,
      sql`update deliveries set state = 'cancelled', endedAt = ${now}
        where webhookId = ${row.id} and state = 'pending' and ${done}`,
    ],
    done,
    of: { table: webhooks, id: row.id },
    audit: { systemId: row.systemId, target: target(row) },
    read: [committed(op)],
  })
  return rows.length > 0
}

// ── Secrets ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Adds a secret: from now on every message carries a signature by it as well. The legacy token stays with the primary secret
 * until `promoteSecret`, or until those that stood before end by themselves, `grace` milliseconds from now. Gives no secret
 * when there are too many.
 */
export async function rotateSecret(
  caller: Caller,
  row: WebhookRow,
  given: string | null | undefined,
  grace: number,
) {
  const { now } = caller
  const secret = given ?? (await newSecret(caller))
  const live = sql`(select count(*) from webhookSecrets
    where webhookId = ${row.id} and (retiresAt is null or retiresAt > ${now}))`
  const written = await changeSecrets(caller, row, sql`${live} < ${MAX_SECRETS}`, async (done) => [
    sql`delete from webhookSecrets where webhookId = ${row.id} and retiresAt <= ${now} and ${done}`,
    sql`update webhookSecrets set retiresAt = min(coalesce(retiresAt, ${now + grace}), ${now + grace})
      where webhookId = ${row.id} and ${done}`,
    await keepSecret(caller, sql`${row.id}`, secret, 0, done),
  ])
  return written && { row: written, secret }
}

/** Makes the newest secret the primary one; the others go on signing until they end. */
export const promoteSecret = (caller: Caller, row: WebhookRow) =>
  changeSecrets(caller, row, sql`1`, (done) => [
    sql`update webhookSecrets set "primary" = id = ${newest(row)}
      where webhookId = ${row.id} and ${done}`,
  ])

/** Ends all secrets but the newest, at once. */
export const retireSecrets = (caller: Caller, row: WebhookRow) =>
  changeSecrets(caller, row, sql`1`, (done) => [
    sql`update webhookSecrets set "primary" = 1 where id = ${newest(row)} and ${done}`,
    sql`delete from webhookSecrets
      where webhookId = ${row.id} and id <> ${newest(row)} and ${done}`,
  ])

/** The one that no rotation has given an end yet. Times do not tell which: two requests may be written in another order. */
const newest = ({ id }: WebhookRow) =>
  sql`(select id from webhookSecrets where webhookId = ${id} and retiresAt is null)`

/** Gives no row when the webhook is gone, or `condition` fails, by then. */
async function changeSecrets(
  caller: Caller,
  row: WebhookRow,
  condition: SQL,
  change: (done: SQL) => SQL[] | Promise<SQL[]>,
): Promise<WebhookRow | undefined> {
  const { op, now } = caller
  const which = sql`id = ${row.id}`
  const done = wrote(webhooks, op, which)
  const [rows] = await commit(caller, {
    change: [
      updateWhere(
        webhooks,
        { op, updatedAt: now },
        sql`${which} and deletedAt is null and ${condition}`,
      ),
      ...(await change(done)),
    ],
    done,
    of: { table: webhooks, id: row.id },
    audit: { systemId: row.systemId, target: `${target(row)}/secret` },
    read: [sql<WebhookRow>`select * from webhooks where ${which} and ${isCommitted(op)}`],
  })
  return rows[0]
}
