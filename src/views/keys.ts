import * as z from 'zod'
import { ROLES } from '../roles'
import type { KeyRow } from '../store/keys'
import { iso, isoOrNull } from './times'

/** A key that may sign requests. `secret` is told when it is made, and never again. */
export const Key = z
  .object({
    key: z.string(),
    secret: z.string().optional(),
    role: z.enum(ROLES),
    system: z.string(),
    issuer: z.string().nullable(),
    program: z.string().nullable(),
    description: z.string().nullable(),
    created: z.iso.datetime(),
    expires: z.iso.datetime().nullable(),
    disabled: z.boolean(),
    allowNoExp: z.boolean(),
    /** A day, `YYYY-MM-DD`. */
    lastUsed: z.iso.date().nullable(),
  })
  .meta({ id: 'Key' })

export type Key = z.infer<typeof Key>

const DAY = 86_400_000
export const viewKey = (row: KeyRow, secret?: string): Key => ({
  key: row.key,
  ...(secret !== undefined && { secret }),
  role: row.role,
  system: row.system,
  issuer: row.issuer,
  program: row.program,
  description: row.description,
  created: iso(row.createdAt),
  expires: isoOrNull(row.expires),
  disabled: row.disabledAt !== null,
  allowNoExp: row.allowNoExp === 1,
  lastUsed: row.lastUsed === null ? null : new Date(row.lastUsed * DAY).toISOString().slice(0, 10),
})
