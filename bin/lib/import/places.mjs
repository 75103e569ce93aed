/**
 * Where everything of a dump goes: which containers and badges can be kept, under what, and what each image is. The original
 * refused no delete and cleaned up after none, so a row may hang from one that is long gone.
 */
import { createHash } from 'node:crypto'
import { textOf } from './mysqldump.mjs'
import { folded, numberOf } from './values.mjs'

/** @typedef {import('./survey.mjs').Survey} Survey */
/** @typedef {import('./survey.mjs').Old} Old */
/** A place in the old numbers. @typedef {{ systemId: number, issuerId: number | null, programId: number | null }} Place */
/** @typedef {{ reason: string }} Refused */
/** By table: names that the target has already. @typedef {Record<string, Set<string>>} Taken */
/** An image of one system. @typedef {{ id: number, systemId: number, slug: string, image: string }} ImagePlace */

const GONE = {
  systems: 'its system is gone',
  issuers: 'its issuer is gone',
  badges: 'its badge is gone',
}
export const NO_BADGE = GONE.badges

/** @param {Old} old @param {string[]} names */
export const lacks = (old, names) => names.find((name) => old[name] == null)

export class Places {
  /**
   * @param {Survey} survey
   * @param {Taken} taken
   */
  constructor(survey, taken) {
    this.survey = survey
    this.taken = taken
    /** The container's place, or why it cannot be kept. @type {Record<string, Map<number, Place | Refused>>} */
    this.containers = {
      systems: this.judge('systems', () => this.placeOfSystem(), taken.systems),
      issuers: new Map(),
      programs: new Map(),
    }
    this.containers.issuers = this.judge('issuers', (old) => this.placeOfIssuer(old))
    this.containers.programs = this.judge('programs', (old) => this.placeOfProgram(old))
    /** @type {Map<number, (Place & { slug: string, changes: string[] }) | Refused>} */
    this.badges = new Map()
    this.placeBadges()
    this.images = this.placeImages()
  }

  /**
   * @param {'systems' | 'issuers' | 'programs'} table
   * @param {(old: Old) => Omit<Place, 'systemId'> & { systemId?: number } | Refused} place
   * @param {Set<string>} [taken]
   */
  judge(table, place, taken = new Set()) {
    /** @type {Map<number, Place | Refused>} */
    const judged = new Map()
    /** @type {Set<string>} */
    const slugs = new Set()
    for (const [id, old] of this.survey.olds[table]) {
      const found = place(old)
      const slug = folded(textOf(old.slug) ?? '')
      const scope =
        'reason' in found
          ? ''
          : `${table === 'programs' ? found.issuerId : (found.systemId ?? '')}/${slug}`
      const missing = slug === '' ? 'slug' : lacks(old, ['name', 'url'])
      if ('reason' in found) judged.set(id, found)
      else if (missing) judged.set(id, { reason: `it has no ${missing}` })
      else if (taken.has(slug))
        judged.set(id, { reason: 'the database has a system with this slug' })
      else if (slugs.has(scope)) judged.set(id, { reason: 'another one has this slug' })
      else {
        slugs.add(scope)
        const own = { systems: 'systemId', issuers: 'issuerId', programs: 'programId' }[table]
        judged.set(id, { systemId: id, ...found, [own]: id })
      }
    }
    return judged
  }

  placeOfSystem() {
    return { issuerId: null, programId: null }
  }

  /** @param {Old} old */
  placeOfIssuer(old) {
    const systemId = numberOf(old.systemId)
    return this.container('systems', systemId)
      ? { systemId: systemId ?? 0, issuerId: null, programId: null }
      : { reason: GONE.systems }
  }

  /** @param {Old} old */
  placeOfProgram(old) {
    const issuer = this.container('issuers', numberOf(old.issuerId))
    return issuer ? { ...issuer, programId: null } : { reason: GONE.issuers }
  }

  /**
   * A container that is kept.
   * @param {'systems' | 'issuers' | 'programs'} table
   * @param {number | null} id
   * @returns {Place | null}
   */
  container(table, id) {
    const found = id === null ? undefined : this.containers[table]?.get(id)
    return found && !('reason' in found) ? found : null
  }

  placeBadges() {
    /** @type {Set<string>} */
    const slugs = new Set()
    for (const [id, old] of this.survey.badges) {
      const placed = this.placeOfBadge(old)
      const slug = textOf(old.slug) ?? ''
      const missing = slug === '' ? 'slug' : old.missing
      if ('reason' in placed || missing) {
        this.badges.set(id, 'reason' in placed ? placed : { reason: `it has no ${missing}` })
        continue
      }
      const taken = (/** @type {string} */ one) => slugs.has(`${placed.systemId}/${folded(one)}`)
      const free = taken(slug) ? freeSlug(slug, id, taken) : slug
      if (free !== slug)
        placed.changes.push('its slug is another badge’s of the system: it has a new one')
      slugs.add(`${placed.systemId}/${folded(free)}`)
      this.badges.set(id, { ...placed, slug: free })
    }
  }

  /** @param {Old} old @returns {(Place & { changes: string[] }) | Refused} */
  placeOfBadge(old) {
    const [system, issuer, program] = [
      this.container('systems', numberOf(old.systemId)),
      this.container('issuers', numberOf(old.issuerId)),
      this.container('programs', numberOf(old.programId)),
    ]
    /** @type {string[]} */
    const changes = []
    const systemId =
      system?.systemId ?? (old.systemId == null ? (issuer ?? program)?.systemId : undefined)
    if (systemId === undefined) return { reason: GONE.systems }
    if (!system) changes.push('it had no system: it is in its issuer’s')
    let issuerId = issuer?.systemId === systemId ? issuer.issuerId : null
    if (old.issuerId != null && issuerId === null) {
      changes.push(
        `its issuer is ${issuer ? 'another system’s' : 'gone'}: it stands right under its system`,
      )
    } else if (old.issuerId == null && program?.systemId === systemId) {
      issuerId = program.issuerId
      changes.push('it had a program and no issuer: it has its program’s')
    }
    const programId = issuerId !== null && program?.issuerId === issuerId ? program.programId : null
    if (old.programId != null && programId === null) {
      changes.push(
        `its program is ${program ? 'another issuer’s' : 'gone'}: it stands right above it`,
      )
    }
    return { systemId, issuerId, programId, changes }
  }

  /** The place of a badge that is kept. @param {number | null} id */
  badge(id) {
    const found = id === null ? undefined : this.badges.get(id)
    return found && !('reason' in found) ? found : null
  }

  /**
   * An image belongs to one system: one that several use becomes several, and each system's others keep their addresses.
   * Numbers of copies come after all others.
   * @returns {Map<string, ImagePlace>} by old number and system
   */
  placeImages() {
    /** @type {Map<number, Set<number>>} */
    const users = new Map()
    const use = (/** @type {number | null} */ imageId, /** @type {number} */ systemId) => {
      if (imageId === null) return
      const systems = users.get(imageId) ?? new Set()
      users.set(imageId, systems.add(systemId))
    }
    for (const table of /** @type {const} */ (['systems', 'issuers', 'programs'])) {
      for (const [id, old] of this.survey.olds[table]) {
        const place = this.container(table, id)
        if (place) use(numberOf(old.imageId), place.systemId)
      }
    }
    for (const [id, old] of this.survey.badges) {
      const place = this.badge(id)
      if (place) use(numberOf(old.imageId), place.systemId)
    }
    const kept = [...this.survey.olds.systems.keys()].filter((id) => this.container('systems', id))
    // Each PUT of the original made a new image and left the old one: its address may be in use out there.
    const only = kept.length === 1 ? kept[0] : undefined
    /** @type {Map<string, ImagePlace>} */
    const placed = new Map()
    let next = this.survey.lastImage
    for (const [id, { slug, url }] of this.survey.images) {
      const systems = [...(users.get(id) ?? [])].sort((a, b) => a - b)
      if (systems.length === 0 && only !== undefined) systems.push(only)
      for (const [i, systemId] of systems.entries()) {
        const own = i === 0 && this.isFree(slug) ? slug : this.newSlug(slug, systemId)
        const image = url ?? `/public/images/${own}`
        placed.set(`${id}/${systemId}`, {
          id: i === 0 ? id : ++next,
          systemId,
          slug: own,
          image,
        })
      }
    }
    return placed
  }

  /** Whether no image of the target has it. @param {string} slug */
  isFree(slug) {
    return !this.taken.images?.has(folded(slug))
  }

  /** The same each time that the import goes on. @param {string} slug @param {number} systemId */
  newSlug(slug, systemId) {
    for (let n = 0; ; n++) {
      const made = createHash('md5').update(`${slug}/${systemId}/${n}`).digest('hex')
      if (this.isFree(made)) return made
    }
  }

  /** The images that an old one has become. @param {number} id */
  imagesOf(id) {
    const systems = [...this.survey.olds.systems.keys()]
    return systems.flatMap((systemId) => this.images.get(`${id}/${systemId}`) ?? [])
  }
}

/**
 * @param {string} slug
 * @param {number} id
 * @param {(slug: string) => boolean} isTaken
 */
function freeSlug(slug, id, isTaken) {
  let free = `${slug}-${id}`
  while (isTaken(free)) free += 'x'
  return free
}
