import { Hono } from 'hono'
import * as z from 'zod'
import type { Env } from '../env'
import { conflict, notFound, taken } from '../errors'
import { sendVersion } from '../etag'
import { changedImage, image, newImage, requiredImage, takeImage } from '../imageField'
import { ListQuery, listOf, sendList } from '../lists'
import { inBadge, inBadgeWithMilestones, inContainer } from '../scope'
import { about, body, query } from '../spec'
import { BADGE_SORTS } from '../store/badgeFilter'
import {
  type BadgeInput,
  type BadgeRow,
  createBadge,
  deleteBadge,
  listBadges,
  updateBadge,
} from '../store/badges'
import { readLeading } from '../store/milestones'
import { badgePath } from '../urls'
import {
  dateParameter,
  filter,
  flag,
  itemsOf,
  optionalDuration,
  optionalFlag,
  optionalInt,
  optionalOneOf,
  optionalText,
  parameter,
  slug,
  text,
  textParameter,
  url,
  wordParameter,
} from '../values'
import { Badge, viewBadge } from '../views/badges'
import { viewLeading } from '../views/milestones'
import { slugsOf } from '../views/openbadges'

const Criterion = z.object({
  id: optionalInt(),
  description: text(1),
  required: optionalFlag(),
  note: optionalText(),
})
const Alignment = z.object({
  id: optionalInt(),
  name: text(1),
  url: text(1),
  description: optionalText(),
})

/** Blanks and repetitions are dropped; a tag may come as the object that answers hold. */
const values = itemsOf(
  z.preprocess(
    (given) =>
      typeof given === 'object' && given !== null && 'value' in given ? given.value : given,
    text(0, 255),
  ),
).transform((given) => given && [...new Set(given.filter((value) => value.trim() !== ''))])

const fields = {
  slug: slug.nullish(),
  name: text(1, 255),
  strapline: optionalText(140),
  earnerDescription: text(1),
  consumerDescription: text(1),
  issuerUrl: optionalText(255),
  rubricUrl: optionalText(255),
  criteriaUrl: url(),
  timeValue: optionalInt(),
  timeUnits: optionalOneOf(['minutes', 'hours', 'days', 'weeks']),
  evidenceType: optionalOneOf(['URL', 'Text', 'Photo', 'Video', 'Sound']),
  limit: optionalInt(),
  unique: flag(),
  validFor: optionalDuration(),
  type: optionalText(255),
  archived: optionalFlag(),
  criteria: itemsOf(Criterion),
  alignments: itemsOf(Alignment),
  categories: values,
  tags: values,
}
const NewBadge = z.preprocess(takeImage, z.object({ ...fields, image: requiredImage }))
const { slug: _fixed, ...changeable } = fields
const BadgeChange = z.preprocess(
  takeImage,
  z.object({
    ...changeable,
    name: fields.name.optional(),
    earnerDescription: fields.earnerDescription.optional(),
    consumerDescription: fields.consumerDescription.optional(),
    criteriaUrl: fields.criteriaUrl.optional(),
    unique: fields.unique.optional(),
    image,
  }),
)

const Changed = z.object({ status: z.string(), badge: Badge })
const Many = listOf('badges', Badge)
/** A search of more would keep the database busy with every badge for long. */
const MAX_WORDS = 8
const MAX_SEARCH = 200

const Filter = ListQuery.extend({
  archived: filter('archived', false),
  tag: textParameter('tag', 'Has this tag, in any case of ASCII letters'),
  category: textParameter('category', 'Is in this category, in any case of ASCII letters'),
  search: parameter(
    'search',
    `at most ${MAX_WORDS} words`,
    {
      maxLength: MAX_SEARCH,
      description: 'Words that stand in name, strapline, descriptions or tags',
    },
    (given) => {
      const words = given.split(/\s+/).filter((word) => word !== '')
      return given.length <= MAX_SEARCH && words.length <= MAX_WORDS ? words : undefined
    },
  ),
  updatedSince: dateParameter('updatedSince', 'Made or changed then or later'),
  sort: wordParameter('sort', BADGE_SORTS, 'By their making unless given; `-` for backwards'),
})

export const badges = new Hono<Env>()
  .get('/badges', about('List badges', Many), inContainer, query(Filter), async (c) => {
    const { scope } = c.var
    const view = (row: BadgeRow) => viewBadge(row, c.env.PUBLIC_ORIGIN)
    return sendList(
      c,
      scope,
      () => ({ plural: 'badges', view }),
      listBadges(scope.container, c.req.valid('query')),
    )
  })

  .post(
    '/badges',
    about('Create a badge', Changed, { status: 201 }),
    inContainer,
    body(NewBadge),
    async (c) => {
      const { scope, caller } = c.var
      const { image, ...input } = c.req.valid('json')
      const { at } = await scope.with()
      const picture = await newImage(image)
      const row = await createBadge(caller, at, given(input), picture)
      if (!row) {
        await scope.with()
        throw taken('badge', 'slug', input)
      }
      c.header('Location', badgePath(scope.slugs, row.slug))
      return c.json({ status: 'created', badge: viewBadge(row, c.env.PUBLIC_ORIGIN) }, 201)
    },
  )

  .get(
    '/badges/:badge',
    about('Show a badge', z.object({ badge: Badge })),
    inBadgeWithMilestones,
    async (c) => {
      const { badge } = await c.var.scope.with()
      const shown = viewBadge(badge, c.env.PUBLIC_ORIGIN)
      const leading = readLeading(badge.leading)
      const milestones = viewLeading(shown, leading, c.env.PUBLIC_ORIGIN)
      return sendVersion(c, badge, { badge: { ...shown, milestones } })
    },
  )

  .put(
    '/badges/:badge',
    about('Change a badge', Changed),
    inBadge,
    body(BadgeChange),
    async (c) => {
      const { scope, caller } = c.var
      const { image, ...input } = c.req.valid('json')
      const { badge } = await scope.with()
      const picture = await changedImage(image, c.env.PUBLIC_ORIGIN)
      const result = await updateBadge(caller, badge, slugsOf(badge), given(input), picture)
      if ('row' in result) {
        return c.json({ status: 'updated', badge: viewBadge(result.row, c.env.PUBLIC_ORIGIN) })
      }
      if (result.refused === 'gone') throw notFound('badge', 'slug', c.req.param('badge'))
      throw conflict(`Badge ${badge.slug} has been awarded more often than ${input.limit} times`)
    },
  )

  .delete('/badges/:badge', about('Delete a badge', Changed), inBadge, async (c) => {
    const { scope, caller } = c.var
    const { badge } = await scope.with()
    const view = viewBadge(badge, c.env.PUBLIC_ORIGIN)
    if (!(await deleteBadge(caller, badge, slugsOf(badge)))) await scope.with()
    return c.json({ status: 'deleted', badge: view })
  })

/** Null is what forms and clients send for a member that has a default: the default stands. */
const given = ({
  slug,
  ...input
}:
  | Omit<z.infer<typeof NewBadge>, 'image'>
  | (Omit<z.infer<typeof BadgeChange>, 'image'> & { slug?: string | null })): BadgeInput => ({
  ...input,
  slug: slug ?? undefined,
})
