import { Hono } from 'hono'
import * as z from 'zod'
import type { Env } from '../env'
import { ApiError, conflict, notFound, taken } from '../errors'
import { sendVersion } from '../etag'
import { FILES, formatOrSheet } from '../exports'
import { ListQuery, listOf, sendList } from '../lists'
import { type ClaimableBadge, inClaimableBadge, inCode, inContainer, inGuessedCode } from '../scope'
import { about, body, query } from '../spec'
import { badgesOf } from '../store/badges'
import {
  type CodeInput,
  type CodeRow,
  claimCode,
  createCode,
  createCodes,
  deleteCode,
  findCodeWithin,
  listCodes,
  randomCode,
  refuseClaim,
} from '../store/codes'
import {
  filter,
  int,
  numberParameter,
  optionalEmail,
  optionalFlag,
  optionalInt,
  text,
  timestamp,
} from '../values'
import { Badge, viewBadge } from '../views/badges'
import { codeSheet } from '../views/codeSheet'
import {
  ClaimCode,
  CodeTerms,
  codeColumns,
  isUsedUp,
  viewClaimUrl,
  viewCode,
  viewCodeEntry,
  viewTerms,
} from '../views/codes'

const termFields = {
  validFrom: timestamp(),
  validUntil: timestamp(),
  maxUses: optionalInt().refine((uses) => uses == null || uses >= 1, 'Less than 1'),
}
const fields = {
  claimed: optionalFlag(),
  multiuse: optionalFlag(),
  email: optionalEmail(),
  reserved: optionalFlag(),
  ...termFields,
}

/** What the fields of a new code cannot say together. */
function checkTerms(
  { multiuse, validFrom, validUntil, maxUses, email, reserved }: CodeInput,
  context: z.core.$RefinementCtx,
) {
  const refuse = (field: string, message: string) =>
    context.addIssue({ code: 'custom', path: [field], message })
  if (validFrom != null && validUntil != null && validUntil <= validFrom) {
    refuse('validUntil', 'Not after `validFrom`')
  }
  if (maxUses != null && maxUses > 1 && !multiuse) refuse('maxUses', 'More than 1 needs `multiuse`')
  if (reserved && email == null) refuse('email', 'Required field')
}

const NewCode = z.object({ code: text(1, 255), ...fields }).superRefine(checkTerms)
const RandomCode = z.object(fields).superRefine(checkTerms)
/** The most codes that one call makes. */
const MAX_BATCH = 10_000
const NewCodes = z
  .object({
    count: int().refine((count) => count >= 1 && count <= MAX_BATCH, `Not from 1 to ${MAX_BATCH}`),
    multiuse: optionalFlag(),
    ...termFields,
  })
  .superRefine(checkTerms)
const Claim = z.object({ email: optionalEmail() })

/** Which codes a list shows. */
const Filter = ListQuery.extend({
  format: formatOrSheet(),
  claimed: filter('claimed', null),
  from: numberParameter('from', {
    type: 'integer',
    description: 'The code with this id, and later ones',
  }),
})

/** What stands beside a claim code, whose own members are the contract's; nothing where nothing was set. */
const terms = { terms: CodeTerms.optional() }
const beside = { ...terms, claimUrl: z.string().optional() }
const One = z.object({ badge: Badge, claimCode: ClaimCode, ...beside })
const Changed = z.object({ status: z.string(), claimCode: ClaimCode, badge: Badge, ...beside })

/** How often a random code is drawn again when the badge has such a code already. */
const TRIES = 5

const answer = (
  c: { env: Env['Bindings'] },
  status: string,
  code: CodeRow,
  badge: ClaimableBadge,
) => ({
  status,
  claimCode: viewCode(code),
  badge: viewBadge(badge, c.env.PUBLIC_ORIGIN),
  ...besideOf(code, badge),
})

const besideOf = (row: CodeRow, badge: ClaimableBadge) => ({
  terms: viewTerms(row),
  claimUrl: viewClaimUrl(row, badge),
})

export const codes = new Hono<Env>()
  .get(
    '/badges/:badge/codes',
    about('List claim codes', listOf('claimCodes', ClaimCode, { badge: Badge }), {
      files: [...FILES, 'text/html'],
    }),
    inClaimableBadge,
    query(Filter),
    (c) => {
      const { scope } = c.var
      return sendList(
        c,
        scope,
        ({ badge }: { badge: ClaimableBadge }) => {
          const shown = viewBadge(badge, c.env.PUBLIC_ORIGIN)
          return {
            plural: 'claimCodes',
            columns: codeColumns,
            sheet: () => codeSheet(shown),
            view: viewCode,
            entry: (row: CodeRow) => viewCodeEntry(row, badge),
            beside: { badge: shown },
          }
        },
        listCodes(scope.badgeId, scope.container.systemId, c.req.valid('query')),
      )
    },
  )

  .post(
    '/badges/:badge/codes',
    about('Create a claim code', Changed, { status: 201 }),
    inClaimableBadge,
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
    inClaimableBadge,
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
      z.object({ status: z.string(), claimCodes: z.array(ClaimCode), badge: Badge, ...terms }),
      { status: 201 },
    ),
    inClaimableBadge,
    body(NewCodes),
    async (c) => {
      const { scope, caller } = c.var
      const { count, ...input } = c.req.valid('json')
      const { badge } = await scope.with()
      const rows = await createCodes(caller, badge, count, input)
      const [first] = rows
      if (!first) throw notFound('badge', 'slug', badge.slug)
      const shown = viewBadge(badge, c.env.PUBLIC_ORIGIN)
      const claimCodes = rows.map(viewCode)
      return c.json({ status: 'created', claimCodes, badge: shown, terms: viewTerms(first) }, 201)
    },
  )

  .get('/badges/:badge/codes/:code', about('Show a claim code', One), inCode, async (c) => {
    const { badge, code } = await c.var.scope.with()
    const shown = viewBadge(badge, c.env.PUBLIC_ORIGIN)
    return sendVersion(c, code, {
      badge: shown,
      claimCode: viewCode(code),
      ...besideOf(code, badge),
    })
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
      const { email } = c.req.valid('json')
      const row = await claimCode(caller, badge, shown, code, email)
      if (row) return c.json(answer(c, 'updated', row, badge))
      await scope.with()
      throw await refuseClaim(caller, badge, code, email)
    },
  )

  .get(
    '/codes/:code',
    about(
      'Show the badge of a claim code',
      z.object({ badge: Badge.extend({ claimed: z.literal([0, 1]) }), ...terms }),
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
      const claimed = isUsedUp(row) ? 1 : 0
      const shown = { ...viewBadge(badge, c.env.PUBLIC_ORIGIN), claimed }
      return c.json({ badge: shown, terms: viewTerms(row) })
    },
  )
