import * as z from 'zod'
import type { AuditRow } from '../store/auditChain'
import { iso } from './times'

/** A request that changed something. `seal` is null until the next sweep, within a minute or two. */
export const AuditEntry = z
  .object({
    id: z.int(),
    at: z.iso.datetime(),
    key: z.string(),
    action: z.string(),
    target: z.string(),
    request: z.string(),
    seal: z.object({ at: z.iso.datetime(), previous: z.string(), hash: z.string() }).nullable(),
  })
  .meta({ id: 'AuditEntry' })

export const viewAudit = (row: AuditRow): z.infer<typeof AuditEntry> => {
  const { id, at, key, action, target, requestId, sealedAt, previousHash, hash } = row
  return {
    id,
    at: iso(at),
    key,
    action,
    target,
    request: requestId,
    seal:
      sealedAt === null || hash === null
        ? null
        : { at: iso(sealedAt), previous: previousHash ?? '', hash },
  }
}
