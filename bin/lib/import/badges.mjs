/** Badges of a dump, and what is made of them: their lists, the versions that awards stand on, their limits. */
import { imageOf } from './images.mjs'
import { textOf } from './mysqldump.mjs'
import { flag, numberOf, RANDOM } from './values.mjs'

/** @typedef {import('./migration.mjs').Migration} Migration */
/** @typedef {import('./survey.mjs').Old} Old */

/** @param {Migration} m @param {Old} old */
export function takeBadge(m, old) {
  const id = Number(old.id)
  const place = m.places?.badges.get(id)
  if (!place || 'reason' in place) return m.reject('badges', place?.reason ?? '', old)
  for (const reason of place.changes) m.change('badges', reason, old)
  const text = (/** @type {string} */ name) => textOf(old[name])
  m.writer.put('badges', {
    id: m.id('badges', id),
    uid: RANDOM,
    slug: place.slug,
    ...m.placed(place),
    name: text('name'),
    strapline: text('strapline'),
    earnerDescription: text('earnerDescription'),
    consumerDescription: text('consumerDescription'),
    issuerUrl: text('issuerUrl'),
    rubricUrl: text('rubricUrl'),
    criteriaUrl: text('criteriaUrl'),
    timeValue: numberOf(old.timeValue ?? null),
    timeUnits: text('timeUnits') || null,
    evidenceType: text('evidenceType') || null,
    unique: flag(old.unique),
    type: text('type') ?? '',
    archived: flag(old.archived),
    ...imageOf(m, old, place.systemId, 'badges'),
    ...m.written(m.time(old.created) ?? 0),
  })
}

/** The lists of badges, as answers show them. @param {Migration} m @param {number[]} ids */
export function takeLists(m, ids) {
  const { showLists, sql, textOf: render } = m.worker
  const which = sql.raw(`id in (${ids.map((id) => m.id('badges', id)).join(',')})`)
  m.writer.also(render(showLists(which, sql.raw(`'${m.state.op}'`))))
}

/** What awards stand on: the Worker's own frozen form, so that the next award finds it again. @param {Migration} m @param {number[]} ids */
export async function takeVersions(m, ids) {
  const { badgeColumns, freeze, viewBadge, textOf: render } = m.worker
  const news = ids.map((id) => m.id('badges', id))
  const rows = await m.database.query(
    `select ${render(badgeColumns)} from badges b where b.id in (${news.join(',')})`,
  )
  for (const row of rows) {
    const old = row.id - (m.state.offsets.badges ?? 0)
    // Limits are written last.
    row.limit = numberOf(m.survey.badges.get(old)?.limit ?? null)
    const version = await freeze(row, viewBadge(row, m.settings.origin))
    m.writer.put(
      'badgeVersions',
      { id: m.id('badgeVersions', old), ...version, createdAt: m.state.now },
      false,
    )
  }
}

/** @param {Migration} m @param {number[]} ids */
export function takeLimits(m, ids) {
  for (const id of ids) {
    const limit = numberOf(m.survey.badges.get(id)?.limit ?? null)
    const now = m.id('badges', id)
    const set = limit === null ? '' : `"limit" = ${limit}, `
    m.writer.also(
      `update badges set ${set}awarded = (select count(*) from badgeInstances i
        where i.badgeId = ${now} and i.revokedAt is null) where id = ${now}`,
    )
  }
}
