import * as z from 'zod'
import { below, type Level } from '../levels'
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
export const System = Program.extend({
  issuers: z.array(Issuer),
  claimUrl: z.string().optional(),
}).meta({ id: 'System' })

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

/** A container with the lists that the contract gives it, as deep as `children` go: empty where nothing is nested. */
function view(
  level: Level,
  row: NestedContainer | ContainerRow,
  origin: string,
  children: NestedContainer[],
): Program {
  const [child] = below(level)
  if (!child) return plain(row, origin)
  const [grandchild] = below(child)
  const shown = children.map((one) =>
    view(child, one, origin, (grandchild && one[grandchild.plural]) ?? []),
  )
  return { ...plain(row, origin), [child.plural]: shown }
}

/** A container inside a badge: its own lists stay empty (contract §4.1). */
export const viewNested = (level: Level, json: string, origin: string) =>
  view(level, JSON.parse(json) as NestedContainer, origin, [])

/** A container with all that hangs from it, and what is told of it nowhere else. */
export const viewContainer = (level: Level, row: ContainerRow, origin: string) => ({
  ...view(level, row, origin, JSON.parse(row.children) as NestedContainer[]),
  ...(row.claimUrl != null && { claimUrl: row.claimUrl }),
})
