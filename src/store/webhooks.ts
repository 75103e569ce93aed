import { type SQL, sql } from 'drizzle-orm'
import { webhookSecrets, webhooks } from '../../drizzle/schema'
import { commit } from '../commit'
import { base64, randomHex } from '../crypto'
import type { Caller } from '../env'
import { seal } from '../seal'
import { insertIf, type Statement, wrote } from './db'

export type WebhookRow = typeof webhooks.$inferSelect

/** What a request may say of a webhook. */
export type WebhookInput = {
  url: string
  secret?: string | null
  events?: string[] | null
  format?: 'badgekit-1' | 'events-1' | null
}

/** Where a webhook's secret is sealed. */
export const secretCell = (row: string) => ({ table: 'webhookSecrets', row, column: 'sealed' })

/** The webhooks of a system, in id order. */
export const listWebhooks = (systemId: SQL): Statement<WebhookRow> =>
  sql<WebhookRow>`select * from webhooks where systemId = ${systemId} and deletedAt is null order by id`

/** Registers a receiver. Gives its row and its secret, which is told this once; no row when its URL is registered already. */
export async function createWebhook(caller: Caller, systemId: number, input: WebhookInput) {
  const { op, now, env } = caller
  const secret = input.secret ?? `whsec_${base64(crypto.getRandomValues(new Uint8Array(32)))}`
  const secretId = randomHex(12)
  const sealed = await seal(env.ENCRYPTION_KEYS, secret, secretCell(secretId))
  const which = sql`systemId = ${systemId} and url = ${input.url} and deletedAt is null`
  const done = wrote(webhooks, op, which)
  const [rows] = await commit(caller, {
    change: [
      insertIf(
        webhooks,
        {
          systemId,
          url: input.url,
          events: input.events ? JSON.stringify(input.events) : null,
          format: input.format ?? 'badgekit-1',
          op,
          createdAt: now,
          updatedAt: now,
        },
        sql`exists (select 1 from systems where id = ${systemId} and deletedAt is null)`,
        sql`on conflict (systemId, url) where "deletedAt" is null do nothing`,
      ),
      insertIf(
        webhookSecrets,
        {
          id: secretId,
          webhookId: sql`(select id from webhooks where ${which})`,
          sealed,
          createdAt: now,
        },
        done,
      ),
    ],
    done,
    audit: { systemId, target: 'webhooks' },
    read: [sql<WebhookRow>`select * from webhooks where ${which} and op = ${op}`],
  })
  return rows[0] && { row: rows[0], secret }
}
