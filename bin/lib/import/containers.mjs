/** Systems, issuers and programs of a dump. */
import { imageOf } from './images.mjs'
import { textOf } from './mysqldump.mjs'
import { RANDOM } from './values.mjs'

/** @typedef {import('./migration.mjs').Migration} Migration */
/** @typedef {import('./survey.mjs').Old} Old */

/**
 * @param {Migration} m
 * @param {'systems' | 'issuers' | 'programs'} table
 * @param {[number, Old]} one
 */
export function takeContainer(m, table, [id, old]) {
  const place = m.places?.containers[table]?.get(id)
  if (!place || 'reason' in place) return m.reject(table, place?.reason ?? '', old)
  const { systemId, issuerId } = m.placed(place)
  const image =
    table === 'systems' ? { imageId: null, image: null } : imageOf(m, old, place.systemId, table)
  m.writer.put(table, {
    id: m.id(table, id),
    uid: RANDOM,
    slug: textOf(old.slug),
    name: textOf(old.name),
    url: textOf(old.url),
    description: textOf(old.description),
    email: textOf(old.email) || null,
    ...image,
    ...(table !== 'systems' && { systemId }),
    ...(table === 'programs' && { issuerId }),
    ...m.written(),
  })
}
