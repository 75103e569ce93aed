import { Hono } from 'hono'
import * as z from 'zod'
import type { Env } from '../env'
import { invalid } from '../errors'
import { inContainer } from '../scope'
import { newSigningKeys } from '../signing'
import { about, body } from '../spec'
import { findIssuerUid, keysIn, rotateKeys, type SigningKeyRow } from '../store/signingKeys'
import { itemsOf } from '../values'
import { SigningKey, viewSigningKey } from '../views/signingKeys'

const List = z.object({ signingKeys: z.array(SigningKey) })
const Changed = List.extend({ status: z.string() })

/** Most keys that one request withdraws. */
const MAX_WITHDRAWN = 100
const Rotation = z.object({
  withdraw: itemsOf(z.string())
    .refine((names) => (names?.length ?? 0) <= MAX_WITHDRAWN, `At most ${MAX_WITHDRAWN} keys`)
    .describe('Thumbprints of keys whose signatures are good no longer'),
})

const viewAll = (rows: readonly SigningKeyRow[], origin: string) =>
  rows.map((row) => viewSigningKey(row, origin))

/** The keys by which a system, issuer or program signs the credentials that it awards itself. */
export const signingKeys = new Hono<Env>()
  .get('/signing-keys', about('List signing keys', List), inContainer, async (c) => {
    const { scope } = c.var
    const { rows } = await scope.with(keysIn(scope.container))
    return c.json({ signingKeys: viewAll(rows[0], c.env.PUBLIC_ORIGIN) })
  })

  .post(
    '/signing-keys/rotate',
    about('Replace the signing keys', Changed),
    inContainer,
    body(Rotation),
    async (c) => {
      const { scope, caller } = c.var
      const withdraw = c.req.valid('json').withdraw ?? []
      const { at, rows } = await scope.with(findIssuerUid(scope.container), keysIn(scope.container))
      const [[owner], known] = rows
      const unknown = withdraw.find((name) => !known.some(({ thumbprint }) => thumbprint === name))
      if (unknown !== undefined) {
        throw invalid({ message: 'Not a key of this container', field: 'withdraw', value: unknown })
      }
      const made = caller.isReplay ? [] : await newSigningKeys(c.env)
      const issuer = { systemId: at.systemId, issuerUid: owner?.issuerUid ?? '' }
      const all = await rotateKeys(caller, issuer, made, withdraw)
      if (all.length === 0) await scope.with()
      return c.json({ status: 'updated', signingKeys: viewAll(all, c.env.PUBLIC_ORIGIN) })
    },
  )
