import { getTableName, type SQL, sql } from 'drizzle-orm'
import type { SQLiteTable } from 'drizzle-orm/sqlite-core'
import { images } from '../../drizzle/schema'
import { randomHex, sha256 } from '../crypto'
import type { ImageFile } from '../imageFile'
import { insertIf, type Statement, wrote } from './db'

/** An image as a request gives it: somebody's URL, never fetched, or bytes to keep. */
export type ImageInput = { url: string } | ImageFile
/** The same with its content's own name: equal content in one system is one image. */
export type NewImage = ImageInput & { hash: string }

export const named = async (image: ImageInput): Promise<NewImage> => ({
  ...image,
  hash: await sha256('url' in image ? `url:${image.url}` : image.bytes),
})

/**
 * Statements that keep an image and give it to a row, if `op` wrote that row. The same content in one system is one image, so an
 * unchanged image makes no new row.
 */
export function attachImage(
  table: SQLiteTable,
  which: SQL,
  op: string,
  now: number,
  image: NewImage | null,
  systemId: number | SQL,
): SQL[] {
  if (!image) return []
  const kept = 'url' in image ? { url: image.url } : { mimetype: image.mimetype, data: image.bytes }
  return [
    insertIf(
      images,
      { ...kept, slug: randomHex(16), systemId, hash: image.hash, createdAt: now },
      wrote(table, op, which),
      sql`on conflict (systemId, hash) do nothing`,
    ),
    sql`update ${sql.identifier(getTableName(table))}
      set imageId = m.id, image = coalesce(m.url, '/public/images/' || m.slug)
      from (select id, url, slug from images where systemId = ${systemId} and hash = ${image.hash}) m
      where ${sql.identifier(getTableName(table))}.${which} and op = ${op}`,
  ]
}

export type ImageRow = Pick<typeof images.$inferSelect, 'url' | 'mimetype'> & {
  data: number[] | null
}

/** An image by its public slug. */
export const findImage = (slug: string): Statement<ImageRow> =>
  sql<ImageRow>`select url, mimetype, data from images where slug = ${slug}`
