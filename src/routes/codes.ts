import { Hono } from 'hono'
import * as z from 'zod'
import type { Env } from '../env'
import { ApiError, conflict, notFound, taken } from '../errors'
import { sendVersion } from '../etag'
import { FILES } from '../exports'
import { FileQuery, listOf, sendList } from '../lists'
import { inBadge, inCode, inContainer, inGuessedCode } from '../scope'
import { about, body, query } from '../spec'
import { type BadgeRow, badgesOf } from '../store/badges'
import { unclaimable } from '../store/codeMisses'
import {
  type CodeRow,
  claimCode,
  createCode,
  createCodes,
  deleteCode,
  findCodeWithin,
  listCodes,
  randomCode,
} from '../store/codes'
import { filter, int, optionalEmail, optionalFlag, text } from '../values'
import { Badge, viewBadge } from '../views/badges'
import { ClaimCode, codeColumns, viewCode } from '../views/codes'

const fields = { claimed: optionalFlag(), multiuse: optionalFlag(), email: optionalEmail() }
const NewCode = z.object({ code: text(1, 255), ...fields })
const RandomCode = z.object(fields)
/** The most codes that one call makes. */
const MAX_BATCH = 10_000
const NewCodes = z.object({
  count: int().refine((count) => count >= 1 && count <= MAX_BATCH, `Not from 1 to ${MAX_BATCH}`),
  multiuse: optionalFlag(),
})
const Claim = z.object({ email: optionalEmail() })

const One = z.object({ badge: Badge, claimCode: ClaimCode })
const Changed = z.object({ status: z.string(), claimCode: ClaimCode, badge: Badge })

/** How often a random code is drawn again when the badge has such a code already. */
const TRIES = 5

const answer = (c: { env: Env['Bindings'] }, status: string, code: CodeRow, badge: BadgeRow) => ({
  status,
  claimCode: viewCode(code),
  badge: viewBadge(badge, c.env.PUBLIC_ORIGIN),
})

export const codes = new Hono<Env>()
  .get(
    '/badges/:badge/codes',
    about('List claim codes', listOf('claimCodes', ClaimCode, { badge: Badge }), { files: FILES }),
    inBadge,
    query(FileQuery.extend({ claimed: filter('claimed', null) })),
    (c) => {
      const { scope } = c.var
      return sendList(
        c,
        scope,
        ({ badge }: { badge: BadgeRow }) => ({
          plural: 'claimCodes',
          columns: codeColumns,
          view: viewCode,
          beside: { badge: viewBadge(badge, c.env.PUBLIC_ORIGIN) },
        }),
        listCodes(scope.badgeId, scope.container.systemId, c.req.valid('query').claimed),
      )
    },
  )

  .post(
    '/badges/:badge/codes',
    about('Create a claim code', Changed, { status: 201 }),
    inBadge,
    body(NewCode),
    async (c) => {
      const { scope, caller } = c.var
      const { code, ...input } = c.req.valid('json')
      const { badge } = await scope.with()
      const row = await createCode(caller, badge, code, input)
      if (row) return c.json(answer(c, 'created', row, badge), 201)
      await scope.with()
      const { claimed, multiuse, email } = input
      throw taken('claimCode', 'code', {
        code,
        claimed: claimed ?? false,
        email: email ?? null,
        multiuse: multiuse ?? false,
      })
    },
  )

  .post(
    '/badges/:badge/codes/random',
    about('Create a random claim code', Changed, { status: 201 }),
    inBadge,
    body(RandomCode),
    async (c) => {
      const { scope, caller } = c.var
      for (let tries = 0; tries < TRIES; tries++) {
        const { badge } = await scope.with()
        const code = await randomCode(caller, tries)
        const row = await createCode(caller, badge, code, c.req.valid('json'))
        if (row) return c.json(answer(c, 'created', row, badge), 201)
      }
      throw conflict('No random code is free')
    },
  )

  .post(
    '/badges/:badge/codes/batch',
    about(
      'Create many random claim codes',
      z.object({ status: z.string(), claimCodes: z.array(ClaimCode), badge: Badge }),
      { status: 201 },
    ),
    inBadge,
    body(NewCodes),
    async (c) => {
      const { scope, caller } = c.var
      const { count, ...input } = c.req.valid('json')
      const { badge } = await scope.with()
      const rows = await createCodes(caller, badge, count, input)
      if (rows.length === 0) throw notFound('badge', 'slug', badge.slug)
      const shown = viewBadge(badge, c.env.PUBLIC_ORIGIN)
      return c.json({ status: 'created', claimCodes: rows.map(viewCode), badge: shown }, 201)
    },
  )

  .get('/badges/:badge/codes/:code', about('Show a claim code', One), inCode, async (c) => {
    const { badge, code } = await c.var.scope.with()
    const shown = viewBadge(badge, c.env.PUBLIC_ORIGIN)
    return sendVersion(c, code, { badge: shown, claimCode: viewCode(code) })
  })

  .delete(
    '/badges/:badge/codes/:code',
    about('Delete a claim code', Changed),
    inCode,
    async (c) => {
      const { scope, caller } = c.var
      const { badge, code } = await scope.with()
      if (!(await deleteCode(caller, badge, code))) await scope.with()
      return c.json(answer(c, 'deleted', code, badge))
    },
  )

  .post(
    '/badges/:badge/codes/:code/claim',
    about('Claim a code', Changed),
    inGuessedCode,
    body(Claim),
    async (c) => {
      const { scope, caller } = c.var
      const { badge, code } = await scope.with()
      const shown = viewBadge(badge, c.env.PUBLIC_ORIGIN)
      const row = await claimCode(caller, badge, shown, code, c.req.valid('json').email)
      if (row) return c.json(answer(c, 'updated', row, badge))
      await scope.with()
      throw await unclaimable(caller, badge, code.code)
    },
  )

  .get(
    '/codes/:code',
    about(
      'Show the badge of a claim code',
      z.object({ badge: Badge.extend({ claimed: z.literal([0, 1]) }) }),
    ),
    inContainer,
    async (c) => {
      const { scope } = c.var
      const code = c.req.param('code')
      const found = findCodeWithin(scope.container, code)
      const { rows } = await scope.with(found, badgesOf(found))
      const [[row], [badge]] = rows
      if (!row || !badge) {
        throw new ApiError(
          404,
          'ResourceNotFound',
          `Could not find the requested claim code ${code}`,
        )
      }
      const claimed = row.claimed && !row.multiuse ? 1 : 0
      return c.json({ badge: { ...viewBadge(badge, c.env.PUBLIC_ORIGIN), claimed } })
    },
  )
