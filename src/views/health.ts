import * as z from 'zod'

const seconds = z.number().int().nullable()
const Queue = z
  .object({
    backlog: z.number().int().describe('How many messages wait'),
    oldestSeconds: seconds.describe('How long the oldest has waited'),
  })
  .nullable()
  .describe('Null when the queue does not tell')

/** Ages and totals of the whole service; nothing in it is of one system. */
export const Health = z
  .object({
    ready: z.boolean().describe('Whether every `ok` below is true'),
    version: z.string(),
    database: z.object({ ok: z.boolean() }),
    migrations: z.object({
      ok: z.boolean(),
      newest: z.string().describe('The newest one that this version needs'),
    }),
    sweep: z.object({
      ok: z.boolean(),
      seconds: seconds.describe('How long ago the recurring duties ran; null when they never did'),
    }),
    deliveries: z.object({
      ok: z.boolean(),
      oldestSeconds: seconds.describe(
        'How long the oldest delivery is due that could go; null when none is',
      ),
    }),
    queues: z.object({ deliveries: Queue, slow: Queue, dead: Queue }),
  })
  .meta({ id: 'Health' })

/** What was found in the database; null when it did not answer. */
export type Found = { applied: boolean; sweptAt: number | null; dueAt: number | null } | null
/** A queue's metrics; null when it does not tell. */
export type Backlog = { backlogCount: number; oldestMessageTimestamp?: Date } | null

type Given = {
  version: string
  newest: string
  found: Found
  queues: { deliveries: Backlog; slow: Backlog; dead: Backlog }
  now: number
  /** Milliseconds that the last sweep may be ago, and that a delivery may be due. */
  most: { sweep: number; due: number }
}

export function viewHealth({ version, newest, found, queues, now, most }: Given) {
  const since = (at: number | null | undefined) =>
    at == null ? null : Math.max(0, Math.round((now - at) / 1000))
  const viewQueue = (told: Backlog) =>
    told && {
      backlog: told.backlogCount,
      oldestSeconds: since(told.oldestMessageTimestamp?.getTime()),
    }
  const { applied = false, sweptAt = null, dueAt = null } = found ?? {}
  const parts = {
    database: { ok: found !== null },
    migrations: { ok: applied, newest },
    sweep: { ok: sweptAt !== null && now - sweptAt <= most.sweep, seconds: since(sweptAt) },
    deliveries: {
      ok: found !== null && (dueAt === null || now - dueAt <= most.due),
      oldestSeconds: since(dueAt),
    },
  }
  return {
    ready: Object.values(parts).every(({ ok }) => ok),
    version,
    ...parts,
    queues: {
      deliveries: viewQueue(queues.deliveries),
      slow: viewQueue(queues.slow),
      dead: viewQueue(queues.dead),
    },
  } satisfies z.infer<typeof Health>
}
