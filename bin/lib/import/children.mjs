/** What hangs from badges and systems: each old row becomes a new one, or there is a reason why not. */
import { createHash } from 'node:crypto'
import { textOf } from './mysqldump.mjs'
import { lacks, NO_BADGE } from './places.mjs'
import { digest, flag, folded, RANDOM } from './values.mjs'

/** @typedef {import('./migration.mjs').Migration} Migration */
/** @typedef {import('./survey.mjs').Old} Old */

/** @param {Migration} m @param {string} table @param {Old} old */
export async function takeChild(m, table, old) {
  const row = CHILDREN[table]?.(m, old)
  if (row === undefined) return
  if (typeof row === 'string') return m.reject(table, row, old)
  m.writer.put(table === 'consumers' ? 'keys' : table, row)
  const secret = table === 'webhooks' ? old.secret : table === 'consumers' ? old.apiSecret : null
  if (secret) await putSecret(m, table, Number(row.id), textOf(secret) ?? '')
}

/** @param {Migration} m @param {string} table @param {number} ownerId @param {string} secret */
async function putSecret(m, table, ownerId, secret) {
  const [own, column] =
    table === 'webhooks' ? ['webhookSecrets', 'webhookId'] : ['keySecrets', 'keyId']
  const id = digest(`${m.state.secret}/${own}/${ownerId}`, 12)
  const sealed = await m.worker.seal(m.settings.ring, secret, {
    table: own,
    row: id,
    column: 'sealed',
  })
  m.writer.put(own, { id, [column]: ownerId, sealed, createdAt: m.state.now }, false)
}

/**
 * The new row of an old one; the reason why there is none, as a text. `isAgain`: it has been told of already.
 * @type {Record<string, (m: Migration, old: Old, isAgain?: boolean) => Record<string, unknown> | string | undefined>}
 */
export const CHILDREN = {
  criteria: (m, old) =>
    ofBadge(m, 'criteria', old, (base) =>
      lacks(old, ['description'])
        ? 'it has no description'
        : {
            ...base,
            description: textOf(old.description),
            required: flag(old.required),
            note: textOf(old.note) ?? '',
          },
    ),
  alignments: (m, old) =>
    ofBadge(m, 'alignments', old, (base) =>
      lacks(old, ['name', 'url'])
        ? `it has no ${lacks(old, ['name', 'url'])}`
        : {
            ...base,
            name: textOf(old.name),
            url: textOf(old.url),
            description: textOf(old.description),
          },
    ),
  categories: (m, old) => wordOf(m, 'categories', old),
  tags: (m, old) => wordOf(m, 'tags', old),
  claimCodes: (m, old) =>
    ofBadge(m, 'claimCodes', old, (base, systemId) =>
      old.code == null || old.code === ''
        ? 'it has no code'
        : {
            ...base,
            systemId,
            code: textOf(old.code),
            claimed: flag(old.claimed),
            multiuse: flag(old.multiuse),
            email: textOf(old.email) || null,
            uses: flag(old.claimed),
            ...m.written(),
          },
    ),
  badgeInstances: (m, old, isAgain) =>
    ofBadge(m, 'badgeInstances', old, (base, systemId) => {
      if (!old.slug || !old.email) return `it has no ${old.slug ? 'email' : 'slug'}`
      const issuedOn = m.time(old.issuedOn)
      const expires = m.time(old.expires)
      if (issuedOn === null && !isAgain)
        m.change('badgeInstances', 'it has no date: it is of 1970-01-01', old)
      return {
        ...base,
        systemId,
        slug: textOf(old.slug),
        versionId: m.id('badgeVersions', Number(old.badgeId)),
        email: textOf(old.email),
        issuedOn: issuedOn ?? 0,
        expires,
        claimCode: textOf(old.claimCode),
        once: 1,
        salt: RANDOM,
        ...m.written(issuedOn ?? 0),
      }
    }),
  applications: (m, old) =>
    ofBadge(m, 'applications', old, (base, systemId) =>
      old.learner
        ? {
            ...base,
            systemId,
            slug: ownSlug(m, 'applications', old),
            learner: textOf(old.learner),
            assignedTo: textOf(old.assignedTo) || null,
            assignedExpiration: m.time(old.assignedExpiration),
            processed: m.time(old.processed),
            ...m.written(m.time(old.created) ?? 0),
          }
        : 'it has no learner',
    ),
  evidence: (m, old) => {
    const applicationId = Number(old.applicationId)
    if (!hasApplication(m, applicationId)) return 'its application is gone'
    return {
      id: m.id('evidence', Number(old.id)),
      applicationId: m.id('applications', applicationId),
      url: textOf(old.url),
      mediaType: textOf(old.mediaType) || null,
      reflection: textOf(old.reflection),
    }
  },
  reviews: (m, old) => {
    const applicationId = Number(old.applicationId)
    if (!hasApplication(m, applicationId)) return 'its application is gone'
    if (!old.author) return 'it has no author'
    return {
      id: m.id('reviews', Number(old.id)),
      slug: ownSlug(m, 'reviews', old),
      applicationId: m.id('applications', applicationId),
      author: textOf(old.author),
      comment: textOf(old.comment),
      ...m.written(),
    }
  },
  reviewItems: (m, old) => {
    const reviewId = Number(old.reviewId)
    const applicationId = m.survey.reviews.get(reviewId)
    if (applicationId === undefined || !hasApplication(m, applicationId))
      return 'its review is gone'
    if (old.criterionId == null) return 'it has no criterion'
    return {
      id: m.id('reviewItems', Number(old.id)),
      reviewId: m.id('reviews', reviewId),
      // It need not be there: a criterion may have been edited away.
      criterionId: m.id('criteria', Number(old.criterionId)),
      satisfied: flag(old.satisfied),
      comment: textOf(old.comment),
    }
  },
  milestones: (m, old) => {
    const reason = noMilestone(m, old)
    return (
      reason ?? {
        id: m.id('milestones', Number(old.id)),
        systemId: m.id('systems', Number(old.systemId)),
        primaryBadgeId: m.id('badges', Number(old.primaryBadgeId)),
        numberRequired: Number(old.numberRequired),
        action: old.action || 'issue',
        ...m.written(),
      }
    )
  },
  milestoneBadges: (m, old) => {
    const milestone = m.survey.olds.milestones.get(Number(old.milestoneId))
    if (!milestone || noMilestone(m, milestone)) return 'its milestone is gone'
    const badge = m.places?.badge(Number(old.badgeId))
    if (!badge) return NO_BADGE
    if (badge.systemId !== Number(milestone.systemId)) return 'its badge is another system’s'
    return {
      id: m.id('milestoneBadges', Number(old.id)),
      milestoneId: m.id('milestones', Number(old.milestoneId)),
      badgeId: m.id('badges', Number(old.badgeId)),
    }
  },
  webhooks: (m, old, isAgain) => {
    const systemId = Number(old.systemId)
    if (!m.places?.container('systems', systemId)) return 'its system is gone'
    if (!old.url || !old.secret) return `it has no ${old.url ? 'secret' : 'url'}`
    const url = textOf(old.url) ?? ''
    const isCallable = /^https:\/\//i.test(url)
    if (!isCallable && !isAgain)
      m.change('webhooks', 'its address is not https: it is switched off', old)
    return {
      id: m.id('webhooks', Number(old.id)),
      systemId: m.id('systems', systemId),
      url,
      state: isCallable ? 'active' : 'disabled',
      disabledAt: isCallable ? null : m.state.now,
      disabledReason: isCallable ? null : 'Imported: its address is not https',
      ...m.written(),
    }
  },
  consumers: (m, old) => {
    const systemId = Number(old.systemId)
    if (!m.places?.container('systems', systemId)) return 'its system is gone'
    if (!old.apiKey || !old.apiSecret) return `it has no ${old.apiKey ? 'secret' : 'key'}`
    if (old.apiKey === 'master') return 'its key is “master”, which is nobody’s'
    if (m.taken.keys?.has(textOf(old.apiKey) ?? '')) return 'the database has this key already'
    return {
      id: m.id('keys', Number(old.id)),
      key: textOf(old.apiKey),
      systemId: m.id('systems', systemId),
      role: 'admin',
      description: textOf(old.description),
      // The original asked no token for its end.
      allowNoExp: 1,
      ...m.written(),
    }
  },
}

/**
 * @param {Migration} m
 * @param {string} table
 * @param {Old} old
 * @param {(base: { id: number, badgeId: number }, systemId: number) => Record<string, unknown> | string} make
 */
function ofBadge(m, table, old, make) {
  const badgeId = Number(old.badgeId)
  const badge = m.places?.badge(badgeId)
  if (!badge) return NO_BADGE
  const base = { id: m.id(table, Number(old.id)), badgeId: m.id('badges', badgeId) }
  return make(base, m.id('systems', badge.systemId))
}

/** @param {Migration} m @param {string} table @param {Old} old */
const wordOf = (m, table, old) =>
  ofBadge(m, table, old, (base) =>
    old.value ? { ...base, value: textOf(old.value) } : 'it is empty',
  )

/** @param {Migration} m @param {number} applicationId */
const hasApplication = (m, applicationId) =>
  m.places?.badge(m.survey.applications.get(applicationId) ?? null)

/** @param {Migration} m @param {Old} old */
function noMilestone(m, old) {
  const systemId = Number(old.systemId)
  const badge = m.places?.badge(Number(old.primaryBadgeId))
  if (!m.places?.container('systems', systemId)) return 'its system is gone'
  if (!badge) return NO_BADGE
  return badge.systemId === systemId ? undefined : 'its badge is another system’s'
}

/** The original made slugs of the time and the name: two in a millisecond have the same. @param {Migration} m @param {string} table @param {Old} old */
function ownSlug(m, table, old) {
  const slug = textOf(old.slug)
  const isTaken =
    m.survey.repeated.has(`${table}/${Number(old.id)}`) || m.taken[table]?.has(folded(slug ?? ''))
  if (slug && !isTaken) return slug
  m.change(table, 'its slug is missing or another’s: it has a new one', old)
  return createHash('md5').update(`${slug}/${old.id}/${m.state.op}`).digest('hex')
}
