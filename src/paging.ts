import type { Context } from 'hono'
import * as z from 'zod'

/** `page` and `count` of a list: contract §2.8. */
export const Paging = z.object({
  page: z.string().optional().meta({ type: 'integer', minimum: 1 }),
  count: z.string().optional().meta({ type: 'integer', minimum: 1 }),
})

export const PageData = z.object({ page: z.int(), count: z.int(), total: z.int() })

export type Page = { page: number; count: number; limit: number; offset: number }

/** The page asked for; null when not both numbers are above 0, which means everything. */
export function pageOf(c: Context): Page | null {
  const [page, count] = [leadingInt(c.req.query('page')), leadingInt(c.req.query('count'))]
  if (!(page > 0 && count > 0)) return null
  return {
    page,
    count,
    limit: count,
    offset: Math.min((page - 1) * count, Number.MAX_SAFE_INTEGER),
  }
}

/** As `parseInt` reads, within what the database can count. */
const leadingInt = (text: string | undefined) =>
  Math.min(Number.parseInt(text ?? '', 10), Number.MAX_SAFE_INTEGER)

/** The envelope's `pageData`; absent on a list that is not paged. */
export const pageData = (page: Page | null, total: { total: number } | undefined) =>
  page ? { pageData: { page: page.page, count: page.count, total: total?.total ?? 0 } } : {}
