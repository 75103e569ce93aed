/**
 * Takes a dump of BadgeKit's database into ours. It goes through the dump once for a survey, then once for each step that reads
 * rows; what a step puts is written some hundred kilobytes at a time, all or none, and then noted in the ledger. A row that
 * stands already stays, so a piece that was written and not noted may be written again.
 */
import { randomBytes } from 'node:crypto'
import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { Stop } from '../cli.mjs'
import { quoted } from '../sql.mjs'
import { takeBadge, takeLimits, takeLists, takeVersions } from './badges.mjs'
import { takeChild } from './children.mjs'
import { takeContainer } from './containers.mjs'
import { doublesOf } from './doubles.mjs'
import { rememberHashes, takeImage, takeSystemImage } from './images.mjs'
import { rowsOf, textOf } from './mysqldump.mjs'
import { Places } from './places.mjs'
import { reportOf } from './report.mjs'
import { nameOf, oldOf, Survey, TABLES } from './survey.mjs'
import { takeTotals } from './totals.mjs'
import { digest, folded } from './values.mjs'
import { Writer } from './writer.mjs'

/** @typedef {import('./survey.mjs').Old} Old */
/** @typedef {import('../database.mjs').Database} Database */
/** @typedef {import('./ledger.mjs').Ledger} Ledger */

/**
 * @typedef {object} Settings
 * @property {string} path
 * @property {Database} database
 * @property {Ledger} ledger
 * @property {any} worker
 * @property {string} origin the public address, which frozen badges hold
 * @property {string} ring `ENCRYPTION_KEYS`
 * @property {string} zone what the dump's times are behind UTC, `+00:00`
 * @property {(line: string, part?: number) => void} tell progress
 */

/**
 * A part of the work, done in the order of the list because rows refer to earlier ones.
 * @typedef {object} Step
 * @property {string} name
 * @property {number} of how many rows there are
 * @property {() => AsyncIterable<[string, Old]> | Iterable<any>} rows
 * @property {(row: any) => unknown} take
 * @property {() => Promise<void>} [end]
 * @property {() => Promise<boolean>} [isNeeded] else it is passed over
 */

/** Tables whose numbers are ours as well; the consumers of the original are our keys. */
const OURS = TABLES.map((name) => (name === 'consumers' ? 'keys' : name))
/** Tables of ours with a name that no other row of the database may have; awards come by `doublesOf`. */
const UNIQUE = ['keys', 'images', 'applications', 'reviews']
/** How many badges one statement looks at. */
const BADGES = 100

/** A file by its size and beginning: a dump may be too large to hash for this. @param {string} path */
function fingerprint(path) {
  const file = openSync(path, 'r')
  const head = Buffer.alloc(1 << 20)
  const length = readSync(file, head, 0, head.length, 0)
  closeSync(file)
  return digest(`${statSync(path).size}/${head.subarray(0, length).toString('latin1')}`, 16)
}

export class Migration {
  /** @param {Settings} settings */
  constructor(settings) {
    this.settings = settings
    this.database = settings.database
    this.ledger = settings.ledger
    this.worker = settings.worker
    this.survey = new Survey()
    this.writer = new Writer(this.database, this.ledger)
    /** @type {import('./places.mjs').Taken} */
    this.taken = {}
    /** The contents that systems have: `system/hash`. @type {Set<string>} */
    this.hashes = new Set()
  }

  get state() {
    return this.ledger.state
  }

  async run() {
    const { path, tell } = this.settings
    const size = statSync(path).size
    await this.survey.read(path, (read) => tell('reading', read / size))
    if (this.survey.counts.systems === 0) {
      throw new Stop(
        `${path} holds no systems: is it a mysqldump of BadgeKit's database, with its data?`,
      )
    }
    await this.begin()
    this.taken = await this.takenNames()
    this.places = new Places(this.survey, this.taken)
    const resumed = { step: this.state.step, rows: this.state.rows }
    await rememberHashes(this)
    const steps = this.steps()
    for (const [i, step] of steps.entries()) {
      if (i < resumed.step) continue
      await this.runStep(step, i === resumed.step ? resumed.rows : 0)
      Object.assign(this.state, { step: i + 1, rows: 0 })
      this.ledger.save()
    }
    const report = reportOf(this)
    this.state.done = true
    this.ledger.save()
    return report
  }

  /** Finds where an earlier run stopped, or starts. */
  async begin() {
    const { path } = this.settings
    const dump = fingerprint(path)
    const earlier = this.ledger.resume(dump, this.database.name)
    if (earlier?.done) {
      throw new Stop(
        `This dump has been imported into this database already. To do it again, remove ${this.ledger.paths.state}.`,
      )
    }
    if (earlier) return this.settings.tell('going on where it stopped')
    const secret = randomBytes(32).toString('hex')
    this.ledger.begin({
      ...{
        dump,
        target: this.database.name,
        secret,
        op: digest(`${secret}/op`, 12),
        now: Date.now(),
      },
      offsets: await this.offsets(),
      ...{ step: 0, rows: 0, done: false, written: {}, changed: {}, rejected: {}, badImages: [] },
      bytes: { changed: 0, rejected: 0 },
      ms: 0,
    })
  }

  /** Numbers are kept where nobody has them: in an empty database. */
  async offsets() {
    const columns = [...OURS, 'badgeVersions'].map(
      (name) => `(select coalesce(max(id), 0) from ${quoted(name)}) as ${quoted(name)}`,
    )
    const [found] = await this.database.query(`select ${columns.join(', ')}`)
    const isEmpty = Object.values(found).every((id) => id === 0)
    return isEmpty ? Object.fromEntries(Object.keys(found).map((name) => [name, 0])) : found
  }

  /**
   * Names that must be alone in the whole database and that rows before this import have, folded but for keys.
   * @returns {Promise<import('./places.mjs').Taken>}
   */
  async takenNames() {
    const systems = await this.database.query(
      `select slug from systems where deletedAt is null and op <> '${this.state.op}'`,
    )
    /** @type {import('./places.mjs').Taken} */
    const taken = { systems: new Set(systems.map(({ slug }) => folded(slug))) }
    for (const table of UNIQUE) {
      const last = this.state.offsets[table]
      const column = table === 'keys' ? 'key' : 'lower(slug)'
      const rows = last
        ? await this.database.query(`select ${column} as name from ${table} where id <= ${last}`)
        : []
      taken[table] = new Set(rows.map(({ name }) => name))
    }
    return taken
  }

  // ── Writing ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * @param {Step} step
   * @param {number} done rows of it that an earlier run has written
   */
  async runStep(step, done) {
    if (step.isNeeded && !(await step.isNeeded())) return
    let rows = 0
    for await (const row of step.rows()) {
      rows++
      if (rows <= done) continue
      await step.take(row)
      if (this.writer.isFull) await this.writer.flush(rows)
      this.settings.tell(`${step.name} ${rows.toLocaleString('en')}`, rows / step.of)
    }
    await step.end?.()
    await this.writer.flush(rows)
  }

  /** @param {string} table @param {string} reason @param {Old} old */
  reject(table, reason, old) {
    this.ledger.tell('rejected', table, reason, { id: Number(old.id), row: shown(table, old) })
  }

  /** @param {string} table @param {string} reason @param {Old} old */
  change(table, reason, old) {
    this.ledger.tell('changed', table, reason, {
      id: Number(old.id),
      slug: textOf(old.slug ?? null),
    })
  }

  /** The new number. @param {string} table @param {number} id */
  id(table, id) {
    return id + (this.state.offsets[table] ?? 0)
  }

  /** @param {import('./places.mjs').Place} place */
  placed({ systemId, issuerId, programId }) {
    return {
      systemId: this.id('systems', systemId),
      issuerId: issuerId && this.id('issuers', issuerId),
      programId: programId && this.id('programs', programId),
    }
  }

  /** @param {number} [at] */
  written(at = this.state.now) {
    return { op: this.state.op, createdAt: at, updatedAt: at }
  }

  /**
   * A time of the dump in milliseconds; null for none, and for MySQL's zero.
   * @param {import('./mysqldump.mjs').Value | undefined} value
   */
  time(value) {
    if (value == null || value === '' || value.startsWith('0000-00-00')) return null
    const at = Date.parse(`${value.replace(' ', 'T')}${this.settings.zone}`)
    return Number.isNaN(at) ? null : at
  }

  // ── Steps ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** @param {string[]} tables @returns {AsyncGenerator<[string, Old]>} */
  async *from(...tables) {
    const wants = new Set(tables)
    const isWanted = (/** @type {string} */ name) => wants.has(nameOf(name) ?? '')
    for await (const row of rowsOf(this.settings.path, isWanted))
      yield [nameOf(row.table) ?? '', oldOf(row)]
  }

  /** @returns {Step[]} */
  steps() {
    const { survey } = this
    const places = /** @type {Places} */ (this.places)
    const badges = [...places.badges.keys()].filter((id) => places.badge(id)).sort((a, b) => a - b)
    const awarded = badges.filter((id) => survey.awarded.has(id))
    const systems = [...survey.olds.systems.keys()].filter((id) => places.container('systems', id))
    const child = (/** @type {[string, Old]} */ [table, old]) => takeChild(this, table, old)
    /** @returns {Step} */
    const reading = (
      /** @type {string} */ name,
      /** @type {string[]} */ tables,
      /** @type {Step['take']} */ take = child,
    ) => ({ name, of: this.countOf(tables), rows: () => this.from(...tables), take })
    /** @returns {Step} */
    const each = (
      /** @type {string} */ name,
      /** @type {Iterable<any>} */ list,
      /** @type {Step['take']} */ take,
    ) => ({ name, of: [...list].length, rows: () => list, take })
    const containers = (/** @type {'systems' | 'issuers' | 'programs'} */ table) =>
      each(table, survey.olds[table], (one) => takeContainer(this, table, one))
    return [
      containers('systems'),
      reading('images', ['images'], ([, old]) => takeImage(this, old)),
      each('images of systems', systems, (id) => takeSystemImage(this, id)),
      containers('issuers'),
      containers('programs'),
      reading('badges', ['badges'], ([, old]) => takeBadge(this, old)),
      reading('parts of badges', ['criteria', 'alignments', 'categories', 'tags']),
      each('lists of badges', chunks(badges, BADGES), (ids) => takeLists(this, ids)),
      each('versions of badges', chunks(awarded, BADGES), (ids) => takeVersions(this, ids)),
      reading('codes', ['claimCodes']),
      doublesOf(this, 'claimCodes'),
      reading('awards', ['badgeInstances']),
      doublesOf(this, 'badgeInstances'),
      reading('applications', ['applications']),
      reading('reviews and evidence', ['reviews', 'evidence']),
      reading('items of reviews', ['reviewItems']),
      reading('milestones', ['milestones']),
      reading('badges of milestones', ['milestoneBadges']),
      reading('webhooks and keys', ['webhooks', 'consumers']),
      each('limits', chunks(badges, BADGES), (ids) => takeLimits(this, ids)),
      each('totals', systems, (id) => takeTotals(this, id)),
    ]
  }

  /** How many rows of them the dump holds. @param {string[]} tables */
  countOf(tables) {
    return tables.reduce((sum, table) => sum + (this.survey.counts[table] ?? 0), 0)
  }
}

/** A row for whoever reads what was rejected. @param {string} table @param {Old} old */
const shown = (table, old) =>
  Object.fromEntries(
    Object.entries(old).map(([name, value]) => [
      name,
      table === 'images' && name === 'data' && value !== null
        ? { base64: Buffer.from(value, 'latin1').toString('base64') }
        : textOf(value),
    ]),
  )

/** @template T @param {T[]} list @param {number} count @returns {T[][]} */
function chunks(list, count) {
  const found = []
  for (let at = 0; at < list.length; at += count) found.push(list.slice(at, at + count))
  return found
}
