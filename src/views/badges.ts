import * as z from 'zod'
import { type LevelName, levels } from '../levels'
import type { BadgeRow } from '../store/badges'
import { imageUrl } from '../urls'
import { Issuer, Program, System, viewNested } from './containers'
import { iso } from './times'

const Criterion = z.object({
  id: z.int(),
  description: z.string(),
  required: z.literal([0, 1]),
  note: z.string(),
})
const Alignment = z.object({
  id: z.int(),
  name: z.string(),
  url: z.string(),
  description: z.string().nullable(),
})
const Tag = z.object({ id: z.int(), value: z.string() })

/** The full badge of contract §4.2: one shape wherever a badge appears. */
export const Badge = z
  .object({
    id: z.int(),
    slug: z.string(),
    name: z.string(),
    strapline: z.string().nullable(),
    earnerDescription: z.string(),
    consumerDescription: z.string(),
    issuerUrl: z.string().nullable(),
    rubricUrl: z.string().nullable(),
    timeValue: z.int().nullable(),
    timeUnits: z.string().nullable(),
    limit: z.int().nullable(),
    unique: z.literal([0, 1]),
    created: z.iso.datetime(),
    imageUrl: z.string().nullable(),
    type: z.string(),
    archived: z.boolean(),
    system: System,
    issuer: Issuer.optional(),
    program: Program.optional(),
    /** How long an award is good that says nothing of it. */
    validFor: z.string().optional(),
    criteriaUrl: z.string(),
    criteria: z.array(Criterion),
    alignments: z.array(Alignment),
    evidenceType: z.string().nullable(),
    categories: z.array(z.string()),
    tags: z.array(Tag),
    milestones: z.array(z.looseObject({})),
  })
  .meta({ id: 'Badge' })

export type Badge = z.infer<typeof Badge>

type Lists = Pick<Badge, 'criteria' | 'alignments' | 'categories' | 'tags'>

/** A badge's four lists, as its row keeps them. */
export const listsOf = ({ lists }: Pick<BadgeRow, 'lists'>) => JSON.parse(lists) as Lists

const viewContainers = (row: BadgeRow, origin: string) =>
  Object.fromEntries(
    levels.flatMap((level) => {
      const json = row[level.name]
      return json === null ? [] : [[level.name, viewNested(level, json, origin)]]
    }),
  ) as Pick<Badge, LevelName>

/** A badge as every answer and message shows it. `issuer` and `program` are absent, never null, when it has none. */
export function viewBadge(row: BadgeRow, origin: string): Badge {
  const { criteria, alignments, categories, tags } = listsOf(row)
  return {
    id: row.id,
    slug: row.slug,
    name: row.name,
    strapline: row.strapline,
    earnerDescription: row.earnerDescription,
    consumerDescription: row.consumerDescription,
    issuerUrl: row.issuerUrl,
    rubricUrl: row.rubricUrl,
    timeValue: row.timeValue,
    timeUnits: row.timeUnits,
    limit: row.limit,
    unique: row.unique,
    created: iso(row.createdAt),
    imageUrl: imageUrl(origin, row.image),
    type: row.type,
    archived: row.archived === 1,
    ...viewContainers(row, origin),
    ...(row.validFor !== null && { validFor: row.validFor }),
    criteriaUrl: row.criteriaUrl,
    criteria,
    alignments,
    evidenceType: row.evidenceType,
    categories,
    tags,
    milestones: [],
  }
}
