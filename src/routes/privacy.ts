import { type Context, Hono } from 'hono'
import * as z from 'zod'
import type { Env } from '../env'
import { textStream } from '../lists'
import { inContainer, type Scope } from '../scope'
import { about, body } from '../spec'
import type { BadgeRow } from '../store/badges'
import type { Statement } from '../store/db'
import { awardSlugs, badgesShown, erase, type Part, personalData } from '../store/privacy'
import { email } from '../values'
import { viewBadge } from '../views/badges'
import { PersonalData, personalViews } from '../views/privacy'

const Person = z.object({ email: email() })
const PATH = '/systems/:system/privacy'

/** Most rows in one answer, and in one trip. */
const MAX_ROWS = 10_000
const CHUNK = 500

/** What is held about one person, and its erasure. Addresses travel in bodies: what stands in a URL is logged on the way. */
export const privacy = new Hono<Env>()
  .post(
    `${PATH}/export`,
    about('Export what is held about a person', PersonalData),
    inContainer,
    body(Person),
    async (c) => {
      const { scope } = c.var
      const { email } = c.req.valid('json')
      return c.body(textStream(await texts(c, scope, email)), 200, {
        'Content-Type': 'application/json',
      })
    },
  )

  .post(
    `${PATH}/erase`,
    about('Erase a person', z.object({ status: z.literal('erased') })),
    inContainer,
    body(Person),
    async (c) => {
      const { scope, caller } = c.var
      const { email } = c.req.valid('json')
      const { at, rows } = await scope.with(awardSlugs(scope.container.systemId, email))
      const slugs = rows[0].map(({ slug }) => slug)
      if (!(await erase(caller, at.systemId, email, slugs))) await scope.with()
      return c.json({ status: 'erased' })
    },
  )

type Chunk = { rows: unknown[]; badges: BadgeRow[] }
type AnyPart = Part<unknown>

/**
 * The export in pieces of JSON. What fits travels in the first trip, which also proves the system; the rest is asked for as it is
 * read. A fault on the way breaks the connection off: half an export must not look like a whole one.
 */
async function texts(c: Context, scope: Scope, email: string): Promise<AsyncGenerator<string>> {
  const parts = Object.entries(personalData(scope.container.systemId, email)) as [string, AnyPart][]
  const asked = parts.map(([, part]) => statementsOf(part, 0))
  const { rows } = await scope.with(...asked.flat())
  const first = asked.map((statements) => chunkOf(rows.splice(0, statements.length)))
  return pieces()

  async function* pieces() {
    const views = personalViews(c.env.PUBLIC_ORIGIN) as Record<string, View>
    let left = MAX_ROWS
    let complete = true
    yield `{"email":${JSON.stringify(email)}`
    for (const [i, [name, part]] of parts.entries()) {
      yield `,"${name}":[`
      let separator = ''
      for (let chunk = first[i]; chunk; ) {
        const shown = chunk.rows.slice(0, left)
        if (shown.length < chunk.rows.length) complete = false
        left -= shown.length
        const text = textOf(views[name] as View, shown, chunk.badges, c.env.PUBLIC_ORIGIN)
        if (shown.length > 0) yield separator + text
        separator = ','
        if (chunk.rows.length < CHUNK || !complete) break
        const { rows } = await scope.with(...statementsOf(part, part.numberOf(shown.at(-1))))
        chunk = chunkOf(rows)
      }
      yield ']'
    }
    yield `,"complete":${complete}}`
  }
}

function statementsOf(part: AnyPart, after: number): Statement[] {
  const rows = part.rows(after, CHUNK)
  return [rows, ...badgesShown(part as Part<never>, rows)]
}

const chunkOf = ([rows = [], badges = []]: unknown[][]): Chunk => ({
  rows,
  badges: badges as BadgeRow[],
})

type View = (row: unknown, badge: (id: number) => unknown) => unknown

function textOf(view: View, rows: unknown[], badges: BadgeRow[], origin: string): string {
  const shown = new Map(badges.map((row) => [row.id, viewBadge(row, origin)]))
  return rows.map((row) => JSON.stringify(view(row, (id) => shown.get(id) ?? null))).join(',')
}
