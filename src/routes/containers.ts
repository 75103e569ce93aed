import { Hono } from 'hono'
import * as z from 'zod'
import { forgetKeys } from '../auth'
import { claimUrl } from '../claimUrl'
import type { Env } from '../env'
import { notFound, taken } from '../errors'
import { sendVersion } from '../etag'
import { changedImage, image, newImage, takeImage } from '../imageField'
import { type Level, levels } from '../levels'
import { ListQuery, listOf, sendList } from '../lists'
import { inContainer, type Scope } from '../scope'
import { about, body, query } from '../spec'
import {
  type ContainerRow,
  createContainer,
  deleteContainer,
  findContainer,
  listContainers,
  placeBelow,
  updateContainer,
} from '../store/containers'
import { optionalEmail, optionalText, slug, text, url } from '../values'
import { containerSchemas, viewContainer } from '../views/containers'

const fields = {
  slug,
  name: text(1, 255),
  url: url(),
  description: optionalText(255),
  email: optionalEmail(),
}
/** What can be said of one level and not of the others, where none of it has to be said. */
const OWN = { system: { claimUrl: claimUrl() }, issuer: {}, program: {} }
const ownFields = ({ name }: Level) => OWN[name] as typeof OWN.system

const newContainer = (level: Level) =>
  z.preprocess(takeImage, z.object({ ...fields, ...ownFields(level), image }))
const containerChange = (level: Level) =>
  z.preprocess(
    takeImage,
    z.object({
      ...fields,
      slug: fields.slug.optional(),
      name: fields.name.optional(),
      url: fields.url.optional(),
      ...ownFields(level),
      image,
    }),
  )

/** The contract's five verbs of one level: `/systems`, `…/issuers` or `…/programs`. */
function routesOf(level: Level) {
  const { name, plural } = level
  const aName = name === 'issuer' ? 'an issuer' : `a ${name}`
  const list = level.path.slice(0, level.path.lastIndexOf('/'))
  const one = level.path
  const schema = containerSchemas[name]
  const Changed = z.object({ status: z.string(), [name]: schema })
  const app = new Hono<Env>()

  app.get(
    list,
    about(`List ${plural}`, listOf(plural, schema)),
    inContainer,
    query(ListQuery),
    async (c) => {
      const { scope } = c.var
      const systemId = level.parent ? scope.container.systemId : null
      const view = (row: ContainerRow) => viewContainer(level, row, c.env.PUBLIC_ORIGIN)
      const parent = parentOf(level, scope)
      return sendList(c, scope, () => ({ plural, view }), listContainers(level, systemId, parent))
    },
  )

  app.post(
    list,
    about(`Create ${aName}`, Changed, { status: 201 }),
    inContainer,
    body(newContainer(level)),
    async (c) => {
      const { image, ...input } = c.req.valid('json')
      const { at } = await c.var.scope.with()
      const place = placeBelow(level, at)
      const picture = await newImage(image)
      const row = await createContainer(c.var.caller, level, place, input, picture)
      if (!row) {
        await c.var.scope.with()
        throw taken(name, 'slug', input)
      }
      const view = viewContainer(level, row, c.env.PUBLIC_ORIGIN)
      return c.json({ status: 'created', [name]: view }, 201)
    },
  )

  app.get(one, about(`Show ${aName}`, z.object({ [name]: schema })), inContainer, async (c) => {
    const row = await load(level, c.var.scope)
    return sendVersion(c, row, { [name]: viewContainer(level, row, c.env.PUBLIC_ORIGIN) })
  })

  app.put(
    one,
    about(`Change ${aName}`, Changed),
    inContainer,
    body(containerChange(level)),
    async (c) => {
      const { scope, caller } = c.var
      const { image, ...input } = c.req.valid('json')
      const row = await load(level, scope)
      const picture = await changedImage(image, c.env.PUBLIC_ORIGIN)
      const changed = await updateContainer(caller, level, row, scope.slugs, input, picture)
      // Keys are bound to the container, not to its slug, which may be another's next.
      if (input.slug !== undefined) forgetKeys()
      if (!changed) {
        await scope.with()
        throw taken(name, 'slug', input)
      }
      const view = viewContainer(level, changed, c.env.PUBLIC_ORIGIN)
      return c.json({ status: 'updated', [name]: view })
    },
  )

  app.delete(one, about(`Delete ${aName}`, Changed), inContainer, async (c) => {
    const { scope, caller } = c.var
    const row = await load(level, scope)
    if (!(await deleteContainer(caller, level, row, scope.slugs))) await scope.with()
    forgetKeys()
    return c.json({ status: 'deleted', [name]: viewContainer(level, row, c.env.PUBLIC_ORIGIN) })
  })

  return app
}

/** The sub-select of what a level's rows hang from. */
const parentOf = (level: Level, { container }: Scope) =>
  level.parent ? container[level.parent] : null

async function load(level: Level, scope: Scope): Promise<ContainerRow> {
  const { rows } = await scope.with(findContainer(level, scope.container))
  const row = rows[0][0]
  if (!row) throw notFound(level.name, 'slug', scope.slugs[level.name] ?? '')
  return row
}

export const containers = new Hono<Env>()
for (const level of levels) containers.route('/', routesOf(level))
