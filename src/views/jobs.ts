import * as z from 'zod'
import type { JobRow, ResultRow } from '../store/jobs'
import { iso, isoOrNull } from './times'

/** A job as it is shown. `done` of its `rows` have been worked on: each succeeded, was skipped or failed. */
export const Job = z
  .object({
    id: z.string(),
    kind: z.enum(['issue', 'revoke']),
    state: z.enum(['running', 'done', 'cancelled']),
    rows: z.int(),
    done: z.int(),
    succeeded: z.int(),
    skipped: z.int(),
    failed: z.int(),
    reason: z.string().nullable(),
    key: z.string(),
    created: z.iso.datetime(),
    ended: z.iso.datetime().nullable(),
  })
  .meta({ id: 'Job' })

export const viewJob = (row: JobRow): z.infer<typeof Job> => ({
  id: row.uid,
  kind: row.kind,
  // One that is being received is shown to nobody.
  state: row.state === 'receiving' ? 'running' : row.state,
  rows: row.rows,
  done: row.next,
  succeeded: row.succeeded,
  skipped: row.skipped,
  failed: row.failed,
  reason: row.reason,
  key: row.key,
  created: iso(row.createdAt),
  ended: isoOrNull(row.endedAt),
})

export const STATES = ['pending', 'issued', 'held', 'revoked', 'gone', 'failed'] as const

/** What has become of one row: `issued` or `held` already, `revoked` or `gone` already, `failed` with the reason. */
export const JobResult = z
  .object({
    row: z.int(),
    email: z.string().nullable(),
    state: z.enum(STATES),
    slug: z.string().nullable(),
    reason: z.string().nullable(),
  })
  .meta({ id: 'JobResult' })

export const viewResult = ({ n, ...row }: ResultRow) => ({ row: n, ...row })
