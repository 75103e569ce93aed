/** Images of a dump: which are kept, and as what. */
import { literal } from '../sql.mjs'
import { bytesOf, textOf } from './mysqldump.mjs'
import { folded, numberOf } from './values.mjs'

/** @typedef {import('./migration.mjs').Migration} Migration */
/** @typedef {import('./survey.mjs').Old} Old */

/** The members of a row that name its image. @param {Migration} m @param {Old} old @param {number} systemId @param {string} table */
export function imageOf(m, old, systemId, table) {
  const imageId = numberOf(old.imageId ?? null)
  const found = m.places?.images.get(`${imageId}/${systemId}`)
  const isBad = imageId !== null && (!found || m.state.badImages.includes(imageId))
  if (isBad) m.change(table, 'its image is gone or cannot be kept: it has none', old)
  return found && !isBad
    ? { imageId: m.id('images', found.id), image: found.image }
    : { imageId: null, image: null }
}

/** Systems come before the images that belong to them. @param {Migration} m @param {number} id */
export function takeSystemImage(m, id) {
  const old = m.survey.olds.systems.get(id) ?? {}
  const { imageId, image } = imageOf(m, old, id, 'systems')
  if (imageId === null) return
  m.writer.also(
    `update systems set imageId = ${imageId}, image = ${literal(image)} where id = ${m.id('systems', id)}`,
  )
}

/** @param {Migration} m @param {Old} old */
export async function takeImage(m, old) {
  const id = Number(old.id)
  const images = m.places?.imagesOf(id) ?? []
  const kept = await judgeImage(m, old)
  if ('reason' in kept || images.length === 0) {
    if ('reason' in kept) m.state.badImages.push(id)
    return m.reject('images', 'reason' in kept ? kept.reason : 'nothing uses it', old)
  }
  const hash = (await m.worker.named('url' in kept ? kept : { bytes: kept.bytes })).hash
  if (m.taken.images?.has(folded(textOf(old.slug) ?? '')))
    m.change('images', 'the database has its address already: it has a new one', old)
  for (const [i, image] of images.entries()) {
    const scope = `${m.id('systems', image.systemId)}/${hash}`
    // The same content twice in a system: both addresses must go on answering, and only one row may have the hash.
    const own = m.hashes.has(scope) ? `${hash}~${image.id}` : hash
    m.hashes.add(scope)
    m.writer.put(
      'images',
      {
        id: m.id('images', image.id),
        slug: image.slug,
        systemId: m.id('systems', image.systemId),
        hash: own,
        url: 'url' in kept ? kept.url : null,
        mimetype: 'url' in kept ? null : kept.mimetype,
        data: 'url' in kept ? null : kept.bytes,
        createdAt: m.state.now,
      },
      i === 0,
    )
  }
}

/** @param {Migration} m @param {Old} old @returns {Promise<{ url: string } | { mimetype: string, bytes: Uint8Array } | { reason: string }>} */
async function judgeImage(m, old) {
  const url = textOf(old.url)
  if (url) return { url }
  const bytes = bytesOf(old.data)
  if (!bytes || bytes.length === 0) return { reason: 'it has neither an address nor bytes' }
  if (bytes.length > m.worker.MAX_IMAGE_BYTES) {
    return {
      reason: `it is larger than ${m.worker.MAX_IMAGE_BYTES.toLocaleString('en')} bytes`,
    }
  }
  const read = m.worker.readImage(new Uint8Array(bytes))
  return read ?? { reason: 'it is not an image that can be served safely' }
}

/** The contents that systems have already: none but when an import goes on, or adds to others. @param {Migration} m */
export async function rememberHashes(m) {
  const rows = await m.database.query('select systemId, hash from images')
  for (const { systemId, hash } of rows) m.hashes.add(`${systemId}/${hash}`)
}
