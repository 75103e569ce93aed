import { Hono } from 'hono'
import * as z from 'zod'
import type { Env } from '../env'
import { inContainer } from '../scope'
import { about, body } from '../spec'
import { createKey, listKeys } from '../store/keys'
import { optionalFlag, optionalText, timestamp } from '../values'
import { Key, viewKey } from '../views/keys'

/** A key for less than a system would be made wider than was asked for: it is refused as long as it cannot be made. */
const nothingLess = z.null('Keys reach a whole system').optional()

const NewKey = z.object({
  /** The other roles are refused as long as nothing holds them to what they may do. */
  role: z.literal('admin', 'Unexpected value or invalid argument').default('admin'),
  issuer: nothingLess,
  program: nothingLess,
  description: optionalText(255),
  expires: timestamp(),
  allowNoExp: optionalFlag(),
})

/** The keys of a system. */
export const keys = new Hono<Env>()
  .get(
    '/systems/:system/keys',
    about('List keys', z.object({ keys: z.array(Key) })),
    inContainer,
    async (c) => {
      const { scope } = c.var
      const { rows } = await scope.with(listKeys(scope.container.systemId))
      return c.json({ keys: rows[0].map((row) => viewKey(row)) })
    },
  )

  .post(
    '/systems/:system/keys',
    about('Create a key', z.object({ status: z.string(), key: Key }), { status: 201 }),
    inContainer,
    body(NewKey),
    async (c) => {
      const { scope, caller } = c.var
      const { at } = await scope.with()
      const made = await createKey(caller, at.systemId, c.req.valid('json'))
      if (!made) return c.notFound()
      return c.json({ status: 'created', key: viewKey(made.row, made.secret) }, 201)
    },
  )
