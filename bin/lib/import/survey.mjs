/**
 * The first look at a dump: what hangs from what. Containers, badges and the numbers of applications and reviews are kept;
 * awards, codes, texts and images are only counted, so memory follows the number of badges and not of awards.
 */
import { createHash } from 'node:crypto'
import { rowsOf, textOf } from './mysqldump.mjs'
import { folded } from './values.mjs'

/** @typedef {import('./mysqldump.mjs').Value} Value */
/** A row by its columns. @typedef {Record<string, Value>} Old */

export const TABLES = [
  'systems',
  'issuers',
  'programs',
  'images',
  'badges',
  'criteria',
  'alignments',
  'categories',
  'tags',
  'claimCodes',
  'badgeInstances',
  'applications',
  'evidence',
  'reviews',
  'reviewItems',
  'milestones',
  'milestoneBadges',
  'webhooks',
  'consumers',
]
const NAMES = new Map(TABLES.map((name) => [name.toLowerCase(), name]))
/** MySQL on Windows and macOS writes names of tables in lower case. @param {string} table */
export const nameOf = (table) => NAMES.get(table.toLowerCase())

/** @param {import('./mysqldump.mjs').Row} row @returns {Old} */
export function oldOf({ columns, values }) {
  /** @type {Old} */
  const old = {}
  for (let i = 0; i < columns.length; i++) old[columns[i] ?? ''] = values[i] ?? null
  return old
}

/** A text of its own: a piece of a dump's buffer would keep all of the buffer. @param {Value | undefined} value */
const owned = (value) => (value == null ? null : Buffer.from(value, 'latin1').toString('latin1'))

/** 48 bits of a text: enough to tell a hundred thousand slugs apart, in a number. @param {string} text */
const short = (text) => createHash('md5').update(folded(text)).digest().readUIntBE(0, 6)

/** What a badge cannot be without. */
const BADGE = ['name', 'earnerDescription', 'consumerDescription', 'criteriaUrl']

export class Survey {
  constructor() {
    /** @type {Record<string, number>} */
    this.counts = Object.fromEntries(TABLES.map((name) => [name, 0]))
    /** Tables that are not BadgeKit's. @type {Record<string, number>} */
    this.others = {}
    /** @type {import('./mysqldump.mjs').Facts} */
    this.facts = { isUtc: false, charset: null, isComplete: false }
    /** @type {Record<'systems' | 'issuers' | 'programs' | 'milestones', Map<number, Old>>} */
    this.olds = {
      systems: new Map(),
      issuers: new Map(),
      programs: new Map(),
      milestones: new Map(),
    }
    /** What was read of each badge, without its texts. @type {Map<number, Old>} */
    this.badges = new Map()
    /** @type {Map<number, { slug: string, url: string | null }>} */
    this.images = new Map()
    /** Badges with awards. @type {Set<number>} */
    this.awarded = new Set()
    /** The badge of each application, the application of each review. @type {Map<number, number>} */
    this.applications = new Map()
    /** @type {Map<number, number>} */
    this.reviews = new Map()
    /** Applications and reviews whose slug another has. @type {Set<string>} */
    this.repeated = new Set()
    /** The last image's number. */
    this.lastImage = 0
  }

  /**
   * @param {string} path
   * @param {(read: number) => void} onBytes
   */
  async read(path, onBytes) {
    /** @type {Record<string, Set<number>>} */
    const slugs = { applications: new Set(), reviews: new Set() }
    for await (const row of rowsOf(path, () => true, { facts: this.facts, onBytes })) {
      const table = nameOf(row.table)
      if (!table) {
        this.others[row.table] = (this.others[row.table] ?? 0) + 1
        continue
      }
      this.counts[table] = (this.counts[table] ?? 0) + 1
      const old = oldOf(row)
      const id = Number(old.id)
      const seen = slugs[table]
      if (seen) {
        const slug = short(textOf(old.slug) ?? '')
        if (seen.has(slug)) this.repeated.add(`${table}/${id}`)
        seen.add(slug)
      }
      this.note(table, id, old)
    }
  }

  /**
   * @param {string} table
   * @param {number} id
   * @param {Old} old
   */
  note(table, id, old) {
    if (table === 'badgeInstances') this.awarded.add(Number(old.badgeId))
    else if (table === 'applications') this.applications.set(id, Number(old.badgeId))
    else if (table === 'reviews') this.reviews.set(id, Number(old.applicationId))
    else if (table === 'images') {
      const url = textOf(owned(old.url))
      const slug = textOf(owned(old.slug)) ?? ''
      this.images.set(id, { slug, url: url || null })
      this.lastImage = Math.max(this.lastImage, id)
    } else if (table === 'badges') {
      const { slug = null, systemId = null, issuerId = null, programId = null } = old
      const missing = BADGE.find((name) => old[name] == null) ?? null
      const { imageId = null, limit = null } = old
      const kept = { slug, systemId, issuerId, programId, imageId, limit, missing }
      this.badges.set(id, ownedRow(kept))
    } else if (table in this.olds) {
      this.olds[/** @type {'systems'} */ (table)].set(id, ownedRow(old))
    }
  }
}

/** @param {Old} old @returns {Old} */
const ownedRow = (old) =>
  Object.fromEntries(Object.entries(old).map(([name, value]) => [name, owned(value)]))
