import * as z from 'zod'
import type { LevelName } from '../levels'
import type { ContainerRow, NestedContainer } from '../store/containers'
import { imageUrl } from '../urls'

/** A program as the contract shows it: exactly these seven members (§4.1). */
export const Program = z
  .object({
    id: z.int(),
    slug: z.string(),
    url: z.string(),
    name: z.string(),
    description: z.string().nullable(),
    email: z.string().nullable(),
    imageUrl: z.string().nullable(),
  })
  .meta({ id: 'Program' })
export const Issuer = Program.extend({ programs: z.array(Program) }).meta({ id: 'Issuer' })
export const System = Program.extend({ issuers: z.array(Issuer) }).meta({ id: 'System' })

export type Program = z.infer<typeof Program>
export type Issuer = z.infer<typeof Issuer>
export type System = z.infer<typeof System>

/** The output schema of a level. */
export const containerSchemas = { system: System, issuer: Issuer, program: Program } as const

const plain = (row: NestedContainer | ContainerRow, origin: string): Program => ({
  id: row.id,
  slug: row.slug,
  url: row.url,
  name: row.name,
  description: row.description,
  email: row.email,
  imageUrl: imageUrl(origin, row.image),
})

const views: Record<LevelName, (row: NestedContainer, origin: string) => Program> = {
  system: (row, origin): System => ({ ...plain(row, origin), issuers: [] }),
  issuer: (row, origin): Issuer => ({
    ...plain(row, origin),
    programs: (row.programs ?? []).map((program) => plain(program, origin)),
  }),
  program: plain,
}

/** A container inside a badge: its own lists stay empty (contract §4.1). */
export const viewNested = (level: LevelName, json: string, origin: string) =>
  views[level](JSON.parse(json) as NestedContainer, origin)

/** A container with all that hangs from it. */
export function viewContainer(level: LevelName, row: ContainerRow, origin: string): Program {
  const children = JSON.parse(row.children) as NestedContainer[]
  if (level === 'program') return plain(row, origin)
  if (level === 'issuer')
    return views.issuer({ ...row, programs: children } as NestedContainer, origin)
  const issuers = children.map((issuer) => views.issuer(issuer, origin))
  return { ...plain(row, origin), issuers } as System
}
