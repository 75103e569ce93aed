import { Hono } from 'hono'
import * as z from 'zod'
import type { Env } from '../env'
import { inContainer } from '../scope'
import { about, query } from '../spec'
import { listAudit, nextAuditPage, PAGE } from '../store/auditChain'
import { dateParameter, numberParameter, textParameter } from '../values'
import { AuditEntry, viewAudit } from '../views/audit'

const AuditQuery = z.object({
  key: textParameter('key', 'The key that signed'),
  action: textParameter('action', 'Method and route template: `POST /systems/:system/badges`'),
  since: dateParameter('since'),
  until: dateParameter('until'),
  cursor: numberParameter('cursor', { description: 'The `next` of the last page' }),
})

/** Who did what in a system. */
export const audit = new Hono<Env>().get(
  '/systems/:system/audit',
  about(
    'Read the audit log',
    z.object({ audit: z.array(AuditEntry), next: z.string().nullable() }),
  ),
  inContainer,
  query(AuditQuery),
  async (c) => {
    const { scope } = c.var
    const { cursor, ...filter } = c.req.valid('query')
    const { rows } = await scope.with(...listAudit(scope.container.systemId, filter, cursor))
    const [found, [page]] = rows
    const next = page ? nextAuditPage(found, page, filter) : null
    return c.json({
      audit: found.slice(0, PAGE).map(viewAudit),
      next: next === null ? null : String(next),
    })
  },
)
