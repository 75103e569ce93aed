import { Hono } from 'hono'
import * as z from 'zod'
import { forgetKeys } from '../auth'
import type { Env } from '../env'
import { conflict, type FieldError, forbidden, invalid } from '../errors'
import { sendVersion } from '../etag'
import { below, levels, type Place } from '../levels'
import { ROLES } from '../roles'
import { containerOf, inContainer, inKey, type Scope } from '../scope'
import { about, body } from '../spec'
import {
  createKey,
  deleteKey,
  listKeys,
  MAX_SECRETS,
  placeOf,
  rotateSecret,
  updateKey,
} from '../store/keys'
import { optionalFlag, optionalInt, optionalText, text, timestamp } from '../values'
import { Key, viewKey } from '../views/keys'

const UNEXPECTED = 'Unexpected value or invalid argument'
/** An empty text is no role, and no slug: a key must never be more than was asked for. */
const role = z.enum(ROLES, UNEXPECTED)
const slug = text(1, 255).nullish()
const fields = {
  description: optionalText(255),
  expires: timestamp(),
  allowNoExp: optionalFlag(),
}

const NewKey = z.object({ role: role.default('admin'), issuer: slug, program: slug, ...fields })
const KeyChange = z.object({ role: role.optional(), ...fields, disabled: optionalFlag() })

const DAY = 86_400
/** Seconds for which the secrets that stood before a rotation go on signing, unless the request says otherwise. */
const GRACE = DAY
const MAX_GRACE = 7 * DAY
const Rotation = z.object({ grace: optionalInt() })

const Changed = z.object({ status: z.string(), key: Key })

/** The keys of a container and of those below it. */
export const keys = new Hono<Env>()
  .get('/keys', about('List keys', z.object({ keys: z.array(Key) })), inContainer, async (c) => {
    const { scope } = c.var
    const { rows } = await scope.with(listKeys(scope.container))
    return c.json({ keys: rows[0].map((row) => viewKey(row)) })
  })

  .post(
    '/keys',
    about('Create a key', Changed, { status: 201 }),
    inContainer,
    body(NewKey),
    async (c) => {
      const { scope, caller } = c.var
      const { issuer, program, ...input } = c.req.valid('json')
      const place = () => findPlace(scope, { issuer, program })
      const made = await createKey(caller, await place(), input)
      if (!made) {
        await place()
        throw ended()
      }
      return c.json({ status: 'created', key: viewKey(made.row, made.secret) }, 201)
    },
  )

  .get('/keys/:key', about('Show a key', z.object({ key: Key })), inKey, async (c) => {
    const { key } = await c.var.scope.with()
    return sendVersion(c, key, { key: viewKey(key) })
  })

  .put('/keys/:key', about('Change a key', Changed), inKey, body(KeyChange), async (c) => {
    const { scope, caller } = c.var
    const input = c.req.valid('json')
    const { key } = await scope.with()
    const row = await updateKey(caller, key, input)
    forgetKeys()
    if (!row) {
      await scope.with()
      throw ended()
    }
    return c.json({ status: 'updated', key: viewKey(row) })
  })

  .delete('/keys/:key', about('Delete a key', Changed), inKey, async (c) => {
    const { scope, caller } = c.var
    const { key } = await scope.with()
    const isDone = await deleteKey(caller, key)
    forgetKeys()
    if (!isDone) {
      await scope.with()
      throw ended()
    }
    return c.json({ status: 'deleted', key: viewKey(key) })
  })

  .post(
    '/keys/:key/secret/rotate',
    about('Give a key another secret', Changed),
    inKey,
    body(Rotation),
    async (c) => {
      const { scope, caller } = c.var
      const { grace } = c.req.valid('json')
      const { key } = await scope.with()
      const seconds = grace ?? GRACE
      if (seconds < 0 || seconds > MAX_GRACE) {
        throw invalid({ message: `Seconds from 0 to ${MAX_GRACE}`, field: 'grace', value: grace })
      }
      const made = await rotateSecret(caller, key, seconds * 1000)
      forgetKeys()
      if ('row' in made) {
        return c.json({ status: 'updated', key: viewKey(made.row, made.secret) })
      }
      await scope.with()
      throw made.refused === 'secrets'
        ? conflict(`A key has ${MAX_SECRETS} secrets at most: wait for the old ones to end`)
        : ended()
    },
  )

/** The caller's own key was known to this isolate alone: it has ended, or no longer reaches as far. */
function ended() {
  forgetKeys()
  return forbidden('Could not find consumer for API key')
}

const NAMEABLE = below(levels[0])
type Named = Partial<Record<(typeof NAMEABLE)[number]['name'], string | null>>

/** The container that a new key is to reach: that of the path, or one below it that the body names. */
async function findPlace(scope: Scope, named: Named): Promise<Place> {
  const given = NAMEABLE.flatMap(({ name }) => {
    const value = named[name]
    return value == null ? [] : [{ name, value }]
  })
  const faults = given.flatMap(({ name, value }): FieldError[] =>
    scope.slugs[name] == null ? [] : [{ message: 'The path names it', field: name, value }],
  )
  const words = { ...scope.slugs, ...Object.fromEntries(given.map((one) => [one.name, one.value])) }
  if (words.program != null && words.issuer == null) {
    faults.push({ message: 'Required field', field: 'issuer', value: '' })
  }
  if (faults.length > 0) {
    await scope.with()
    throw invalid(...faults)
  }
  const { rows } = await scope.with(placeOf(containerOf(words)))
  const [place] = rows[0]
  const unknown = NAMEABLE.flatMap(({ name, column }) => {
    const value = named[name]
    return value == null || place?.[column] != null
      ? []
      : [{ message: UNEXPECTED, field: name, value }]
  })
  if (!place || unknown.length > 0) throw invalid(...unknown)
  return place
}
