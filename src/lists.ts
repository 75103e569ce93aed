import type { Context } from 'hono'
import * as z from 'zod'
import { invalidParameter } from './errors'
import { type Columns, type FileParts, type Form, type Format, format, formOf } from './exports'
import type { Scope } from './scope'
import { type BadgeRow, badgesOf } from './store/badges'
import type { List, SortKey, Statement, Stretch } from './store/db'
import { type Badge, viewBadge } from './views/badges'

/**
 * Lists in the three ways that a client may ask: `page` and `count` with a total (contract §2.8), `cursor` and `limit` with a
 * `Link` to the next page, or everything, streamed in chunks so that memory stays flat.
 */

type WithBadges<Row> = {
  plural: string
  /** Where the list can be had as a file (`FileQuery`). */
  columns?: Columns
  /** `badge` gives a badge by its id, as the contract shows it. */
  view: (row: Row, badge: (id: number) => Badge | undefined) => unknown
  /** The badges that the rows of a query need; by default those of their `badgeId`. */
  badges?: (rows: Statement) => Statement<BadgeRow>
}

/** The query parameters of every list. */
export const ListQuery = z.object({
  page: z.string().optional().meta({ type: 'integer', description: 'From 1; only with `count`' }),
  count: z.string().optional().meta({ type: 'integer', description: 'Rows in a page' }),
  cursor: z.string().optional().meta({ description: 'Where the last page ended: `Link`' }),
  limit: z.string().optional().meta({ type: 'integer', description: 'Rows after a cursor' }),
})
/** Those of a list that can be had as a file: then it is the whole list, whatever else is said of pages. */
export const FileQuery = ListQuery.extend({ format: format() })
export const PageData = z.object({ page: z.int(), count: z.int(), total: z.int() })

/** The shape of a list's answer. */
export const listOf = <T extends z.ZodType>(plural: string, item: T, more: z.ZodRawShape = {}) =>
  z.object({ [plural]: z.array(item), ...more, pageData: PageData.optional() })

const MAX_ROWS = 1_000
const CURSOR_ROWS = 100

/** What an answer is made of beside its rows; the `FileParts` where the list can be had as a file (`FileQuery`). */
type Parts<Row> = FileParts & {
  /** The envelope's key. */
  plural: string
  view: (row: Row) => unknown
  /** What a file has of a row, where that is more than the list. */
  entry?: (row: Row) => unknown
  /** What stands beside the list. */
  beside?: object
}

/** Answers with a list whose rows need nothing but themselves and what the path names. */
export const sendList = <Row, Found extends object>(
  c: Context,
  scope: Pick<Scope<Found>, 'with'>,
  answer: (found: Found) => Parts<Row>,
  list: List<Row>,
) =>
  respond<Row>(c, list, async (stretch, extra) => {
    const proven = await scope.with(list.rows(stretch), ...extra)
    const [found, totals] = proven.rows
    return { rows: found as Row[], total: totalOf(totals), parts: answer(proven) }
  })

/** Answers with a list whose rows show their own badges; these travel with each stretch. */
export const sendListWithBadges = <Row>(
  c: Context,
  scope: Pick<Scope, 'with'>,
  { plural, columns, view, badges: badgesFor = badgesOf }: WithBadges<Row>,
  list: List<Row>,
) =>
  respond<Row>(c, list, async (stretch, extra) => {
    const page = list.rows(stretch)
    const { rows } = await scope.with(page, badgesFor(page), ...extra)
    const [found, badges, totals] = rows
    const shown = new Map(
      (badges as BadgeRow[]).map((row) => [row.id, viewBadge(row, c.env.PUBLIC_ORIGIN)]),
    )
    const parts = { plural, columns, view: (row: Row) => view(row, (id) => shown.get(id)) }
    return { rows: found as Row[], total: totalOf(totals), parts }
  })

const totalOf = (rows: unknown[] | undefined) =>
  (rows as { total: number }[] | undefined)?.[0]?.total ?? 0

type Chunk<Row> = { rows: Row[]; total: number; parts: Parts<Row> }
type Fetch<Row> = (stretch: Stretch, extra: Statement[]) => Promise<Chunk<Row>>

async function respond<Row>(c: Context, list: List<Row>, fetch: Fetch<Row>): Promise<Response> {
  const { format }: { format?: Format | null } = c.req.valid('query' as never) ?? {}
  if (format && format !== 'json') return sendFile(c, list, fetch, format)
  const page = pageOf(c)
  if (page) {
    const { rows, total, parts } = await fetch(page.stretch, [list.total])
    const { plural, view, beside } = parts
    const pageData = { page: page.page, count: page.count, total }
    return c.json({ [plural]: rows.map(view), ...beside, pageData })
  }
  const cursor = cursorOf(c, list)
  return cursor ? sendCursorPage(c, list, fetch, cursor) : sendEverything(c, list, fetch)
}

// ── Pages ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** As `parseInt` reads, within what the database can count. */
const leadingInt = (text: string | undefined) =>
  Math.min(Number.parseInt(text ?? '', 10), Number.MAX_SAFE_INTEGER)

/** The page asked for; null when not both numbers are above 0, which means that none is. */
function pageOf(c: Context) {
  const [page, count] = [leadingInt(c.req.query('page')), leadingInt(c.req.query('count'))]
  if (!(page > 0 && count > 0)) return null
  const offset = Math.min((page - 1) * count, Number.MAX_SAFE_INTEGER)
  return { page, count, stretch: { after: null, limit: count, offset } }
}

// ── Cursors ─────────────────────────────────────────────────────────────────────────────────────────────────────────

function cursorOf<Row>(
  c: Context,
  list: List<Row>,
): { after: SortKey | null; limit: number } | null {
  const [cursor, limit] = [c.req.query('cursor'), c.req.query('limit')]
  if (cursor === undefined && limit === undefined) return null
  const rows = limit === undefined ? CURSOR_ROWS : leadingInt(limit)
  if (!(rows > 0)) throw invalidParameter('limit', 'Invalid `limit` parameter. Expecting a number.')
  return { after: cursor ? readCursor(cursor, list) : null, limit: Math.min(rows, MAX_ROWS) }
}

const writeCursor = (key: SortKey) => btoa(key.map(encodeURIComponent).join(',')).replace(/=+$/, '')

function readCursor<Row>(cursor: string, { keyLength = 1, textFirst }: List<Row>): SortKey {
  try {
    const key = atob(cursor)
      .split(',')
      .map((part, i) => (textFirst && i === 0 ? decodeURIComponent(part) : Number(part)))
    const isKey = key.every((one) => typeof one === 'string' || Number.isSafeInteger(one))
    if (key.length === keyLength && isKey) return key
  } catch {
    // Neither base64 nor what it should hold: falls through to the refusal.
  }
  throw invalidParameter('cursor', 'Invalid `cursor` parameter. Expecting one that `Link` gave.')
}

async function sendCursorPage<Row>(
  c: Context,
  list: List<Row>,
  fetch: Fetch<Row>,
  { after, limit }: { after: SortKey | null; limit: number },
): Promise<Response> {
  const { rows, parts } = await fetch({ after, limit: limit + 1, offset: 0 }, [])
  const shown = rows.slice(0, limit)
  const last = shown.at(-1)
  if (rows.length > limit && last !== undefined) {
    const query = new URLSearchParams(c.req.query())
    query.set('cursor', writeCursor(list.keyOf(last)))
    query.set('limit', String(limit))
    c.header('Link', `<${c.req.path}?${query}>; rel="next"`)
  }
  return c.json({ [parts.plural]: shown.map(parts.view), ...parts.beside })
}

// ── Everything ──────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * The whole list. The first chunk travels with the scope, so that a 404 comes before the first byte. A fault on the way
 * breaks the connection off and never closes the JSON: half a list must not look like a whole one.
 */
async function sendEverything<Row>(
  c: Context,
  list: List<Row>,
  fetch: Fetch<Row>,
): Promise<Response> {
  const first = await fetch({ after: null, limit: MAX_ROWS + 1, offset: 0 }, [])
  const { plural, beside } = first.parts
  if (first.rows.length <= MAX_ROWS) {
    return c.json({ [plural]: first.rows.map(first.parts.view), ...beside })
  }
  const tail = JSON.stringify({ ...beside }).slice(1)
  const form: Form = {
    extension: 'json',
    type: 'application/json',
    start: `{${JSON.stringify(plural)}:[`,
    entry: (shown) => JSON.stringify(shown),
    between: ',',
    end: `]${tail === '}' ? '' : ','}${tail}`,
  }
  return stream(c, form, texts(list, fetch, first, form))
}

/** The whole list as a file, streamed in the same way. */
async function sendFile<Row>(
  c: Context,
  list: List<Row>,
  fetch: Fetch<Row>,
  format: Exclude<Format, 'json'>,
): Promise<Response> {
  const entries: Fetch<Row> = async (stretch, extra) => {
    const { parts, ...chunk } = await fetch(stretch, extra)
    return { ...chunk, parts: { ...parts, view: parts.entry ?? parts.view } }
  }
  const first = await entries({ after: null, limit: MAX_ROWS + 1, offset: 0 }, [])
  const form = formOf(format, first.parts)
  c.header('Content-Disposition', `attachment; filename="${first.parts.plural}.${form.extension}"`)
  if (form.policy) c.header('Content-Security-Policy', form.policy)
  return stream(c, form, texts(list, entries, first, form))
}

const stream = (c: Context, { type }: Form, texts: AsyncGenerator<string>) =>
  c.body(textStream(texts), 200, { 'Content-Type': type })

async function* texts<Row>(
  list: List<Row>,
  fetch: Fetch<Row>,
  first: Chunk<Row>,
  { start, entry, between, end }: Form,
): AsyncGenerator<string> {
  let chunk = first
  let before = start
  let n = 0
  for (;;) {
    const shown = chunk.rows.slice(0, MAX_ROWS)
    const { view } = chunk.parts
    yield before + shown.map((row) => entry(view(row), n++)).join(between)
    const last = shown.at(-1)
    if (chunk.rows.length <= MAX_ROWS || last === undefined) break
    before = between
    chunk = await fetch({ after: list.keyOf(last), limit: MAX_ROWS + 1, offset: 0 }, [])
  }
  yield end
}

/** A stream that makes the next text only when the last has been taken. */
export function textStream(texts: AsyncGenerator<string>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { value, done } = await texts.next()
        if (done) controller.close()
        else controller.enqueue(encoder.encode(value))
      },
    },
    { highWaterMark: 0 },
  )
}
