/**
 * Takes a dump of BadgeKit's database into ours. It goes through the dump once for a survey, then once for each step that reads
 * rows; what a step puts is written some hundred kilobytes at a time, all or none, and then noted in the ledger. A row that
 * stands already stays, so a piece that was written and not noted may be written again.
 */
import { createHash, randomBytes } from 'node:crypto'
import { closeSync, openSync, readSync, statSync } from 'node:fs'
import { Stop } from './cli.mjs'
import { sum } from './ledger.mjs'
import { bytesOf, rowsOf, textOf } from './mysqldump.mjs'
import { lacks, NO_BADGE, Places } from './places.mjs'
import { inserts, literal, quoted, raw } from './sql.mjs'
import { folded, nameOf, numberOf, oldOf, Survey, TABLES } from './survey.mjs'

/** @typedef {import('./survey.mjs').Old} Old */
/** @typedef {import('./database.mjs').Database} Database */
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
 * @property {string} [ifMissing] only when rows of this table did not arrive
 */

const RANDOM = raw('lower(hex(randomblob(16)))')
/** Tables whose numbers are ours as well; the consumers of the original are our keys. */
const OURS = TABLES.map((name) => (name === 'consumers' ? 'keys' : name))
/** How many badges one statement looks at. */
const BADGES = 100

/** @param {string} text @param {number} bytes */
const digest = (text, bytes) =>
  createHash('sha256')
    .update(text)
    .digest('hex')
    .slice(0, 2 * bytes)

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
    /** Rows that wait to be written. @type {Map<string, Record<string, unknown>[]>} */
    this.waiting = new Map()
    /** @type {string[]} */
    this.statements = []
    this.size = 0
    this.started = Date.now()
    this.peak = 0
    /** @type {Set<string>} */
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
    this.places = new Places(this.survey, new Set(await this.systemsThere()))
    const resumed = { step: this.state.step, rows: this.state.rows }
    await this.rememberHashes()
    const steps = this.steps()
    for (const [i, step] of steps.entries()) {
      if (i < resumed.step) continue
      await this.runStep(step, i === resumed.step ? resumed.rows : 0)
      Object.assign(this.state, { step: i + 1, rows: 0 })
      this.ledger.save()
    }
    const report = await this.report()
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

  /** The contents that systems have already: none but when an import goes on, or adds to others. */
  async rememberHashes() {
    const rows = await this.database.query('select systemId, hash from images')
    for (const { systemId, hash } of rows) this.hashes.add(`${systemId}/${hash}`)
  }

  /** Folded slugs of systems that are not of this import. */
  async systemsThere() {
    const rows = await this.database.query(
      `select slug from systems where deletedAt is null and op <> '${this.state.op}'`,
    )
    return rows.map(({ slug }) => folded(slug))
  }

  // ── Writing ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * @param {Step} step
   * @param {number} done rows of it that an earlier run has written
   */
  async runStep(step, done) {
    if (step.ifMissing && !(await this.lacksRows(step.ifMissing))) return
    let rows = 0
    for await (const row of step.rows()) {
      rows++
      if (rows <= done) continue
      await step.take(row)
      if (this.size >= this.database.batch) await this.flush(rows)
      this.settings.tell(`${step.name} ${rows.toLocaleString('en')}`, rows / step.of)
    }
    await step.end?.()
    await this.flush(rows)
  }

  /**
   * @param {string} table
   * @param {Record<string, unknown>} row
   * @param {boolean} [isCounted] whether it stands for a row of the dump
   */
  put(table, row, isCounted = true) {
    const rows = this.waiting.get(table)
    if (rows) rows.push(row)
    else this.waiting.set(table, [row])
    for (const value of Object.values(row)) {
      this.size +=
        typeof value === 'string'
          ? value.length + 3
          : value instanceof Uint8Array
            ? 2 * value.length
            : 8
    }
    if (isCounted) this.ledger.wrote(table === 'keys' ? 'consumers' : table)
  }

  /** @param {string} sql */
  also(sql) {
    this.statements.push(sql)
    this.size += sql.length
  }

  /** @param {number} rows */
  async flush(rows) {
    const statements = [...this.waiting].flatMap(([table, list]) => inserts(table, list))
    statements.push(...this.statements)
    this.waiting.clear()
    this.statements = []
    this.size = 0
    for (const part of parts(statements, this.database.batch)) await this.database.run(part)
    this.state.rows = rows
    this.state.ms += Date.now() - this.started
    this.started = Date.now()
    this.peak = Math.max(this.peak, process.memoryUsage.rss())
    this.ledger.save()
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

  /** The members of a row that name its image. @param {Old} old @param {number} systemId @param {string} table */
  imageOf(old, systemId, table) {
    const imageId = numberOf(old.imageId ?? null)
    const found = this.places?.images.get(`${imageId}/${systemId}`)
    const isBad = imageId !== null && (!found || this.state.badImages.includes(imageId))
    if (isBad) this.change(table, 'its image is gone or cannot be kept: it has none', old)
    return found && !isBad
      ? { imageId: this.id('images', found.id), image: found.image }
      : { imageId: null, image: null }
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
    const child = (/** @type {[string, Old]} */ [table, old]) => this.takeChild(table, old)
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
      each(table, survey.olds[table], (one) => this.takeContainer(table, one))
    return [
      containers('systems'),
      reading('images', ['images'], ([, old]) => this.takeImage(old)),
      each('images of systems', systems, (id) => this.takeSystemImage(id)),
      containers('issuers'),
      containers('programs'),
      reading('badges', ['badges'], ([, old]) => this.takeBadge(old)),
      reading('parts of badges', ['criteria', 'alignments', 'categories', 'tags']),
      each('lists of badges', chunks(badges, BADGES), (ids) => this.takeLists(ids)),
      each('versions of badges', chunks(awarded, BADGES), (ids) => this.takeVersions(ids)),
      reading('codes', ['claimCodes']),
      this.again('claimCodes'),
      reading('awards', ['badgeInstances']),
      this.again('badgeInstances'),
      reading('applications', ['applications']),
      reading('reviews and evidence', ['reviews', 'evidence']),
      reading('items of reviews', ['reviewItems']),
      reading('milestones', ['milestones']),
      reading('badges of milestones', ['milestoneBadges']),
      reading('webhooks and keys', ['webhooks', 'consumers']),
      each('limits', chunks(badges, BADGES), (ids) => this.takeLimits(ids)),
      each('counts', systems, (id) => this.takeCounts(id)),
    ]
  }

  /** How many rows of them the dump holds. @param {string[]} tables */
  countOf(tables) {
    return tables.reduce((sum, table) => sum + (this.survey.counts[table] ?? 0), 0)
  }

  /**
   * @param {'systems' | 'issuers' | 'programs'} table
   * @param {[number, Old]} one
   */
  takeContainer(table, [id, old]) {
    const place = this.places?.containers[table]?.get(id)
    if (!place || 'reason' in place) return this.reject(table, place?.reason ?? '', old)
    const { systemId, issuerId } = this.placed(place)
    const image =
      table === 'systems'
        ? { imageId: null, image: null }
        : this.imageOf(old, place.systemId, table)
    this.put(table, {
      id: this.id(table, id),
      uid: RANDOM,
      slug: textOf(old.slug),
      name: textOf(old.name),
      url: textOf(old.url),
      description: textOf(old.description),
      email: textOf(old.email) || null,
      ...image,
      ...(table !== 'systems' && { systemId }),
      ...(table === 'programs' && { issuerId }),
      ...this.written(),
    })
  }

  /** Systems come before the images that belong to them. @param {number} id */
  takeSystemImage(id) {
    const old = this.survey.olds.systems.get(id) ?? {}
    const { imageId, image } = this.imageOf(old, id, 'systems')
    if (imageId === null) return
    this.also(
      `update systems set imageId = ${imageId}, image = ${literal(image)} where id = ${this.id('systems', id)}`,
    )
  }

  /** @param {Old} old */
  async takeImage(old) {
    const id = Number(old.id)
    const images = this.places?.imagesOf(id) ?? []
    const kept = await this.judgeImage(old)
    if ('reason' in kept || images.length === 0) {
      if ('reason' in kept) this.state.badImages.push(id)
      return this.reject('images', 'reason' in kept ? kept.reason : 'nothing uses it', old)
    }
    const hash = (await this.worker.named('url' in kept ? kept : { bytes: kept.bytes })).hash
    for (const [i, image] of images.entries()) {
      const scope = `${this.id('systems', image.systemId)}/${hash}`
      // The same content twice in a system: both addresses must go on answering, and only one row may have the hash.
      const own = this.hashes.has(scope) ? `${hash}~${image.id}` : hash
      this.hashes.add(scope)
      this.put(
        'images',
        {
          id: this.id('images', image.id),
          slug: image.slug,
          systemId: this.id('systems', image.systemId),
          hash: own,
          url: 'url' in kept ? kept.url : null,
          mimetype: 'url' in kept ? null : kept.mimetype,
          data: 'url' in kept ? null : kept.bytes,
          createdAt: this.state.now,
        },
        i === 0,
      )
    }
  }

  /** @param {Old} old @returns {Promise<{ url: string } | { mimetype: string, bytes: Uint8Array } | { reason: string }>} */
  async judgeImage(old) {
    const url = textOf(old.url)
    if (url) return { url }
    const bytes = bytesOf(old.data)
    if (!bytes || bytes.length === 0) return { reason: 'it has neither an address nor bytes' }
    if (bytes.length > this.worker.MAX_IMAGE_BYTES) {
      return {
        reason: `it is larger than ${this.worker.MAX_IMAGE_BYTES.toLocaleString('en')} bytes`,
      }
    }
    const read = this.worker.readImage(new Uint8Array(bytes))
    return read ?? { reason: 'it is not an image that can be served safely' }
  }

  /** @param {Old} old */
  takeBadge(old) {
    const id = Number(old.id)
    const place = this.places?.badges.get(id)
    if (!place || 'reason' in place) return this.reject('badges', place?.reason ?? '', old)
    for (const reason of place.changes) this.change('badges', reason, old)
    const text = (/** @type {string} */ name) => textOf(old[name])
    this.put('badges', {
      id: this.id('badges', id),
      uid: RANDOM,
      slug: place.slug,
      ...this.placed(place),
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
      ...this.imageOf(old, place.systemId, 'badges'),
      ...this.written(this.time(old.created) ?? 0),
    })
  }

  /** The lists of badges, as answers show them. @param {number[]} ids */
  takeLists(ids) {
    const { showLists, sql, textOf: render } = this.worker
    const which = sql.raw(`id in (${ids.map((id) => this.id('badges', id)).join(',')})`)
    this.also(render(showLists(which, sql.raw(`'${this.state.op}'`))))
  }

  /** What awards stand on: the Worker's own frozen form, so that the next award finds it again. @param {number[]} ids */
  async takeVersions(ids) {
    const { badgeColumns, freeze, viewBadge, textOf: render } = this.worker
    const news = ids.map((id) => this.id('badges', id))
    const rows = await this.database.query(
      `select ${render(badgeColumns)} from badges b where b.id in (${news.join(',')})`,
    )
    for (const row of rows) {
      const old = row.id - (this.state.offsets.badges ?? 0)
      // Limits are written last.
      row.limit = numberOf(this.survey.badges.get(old)?.limit ?? null)
      const version = await freeze(row, viewBadge(row, this.settings.origin))
      this.put(
        'badgeVersions',
        { id: this.id('badgeVersions', old), ...version, createdAt: this.state.now },
        false,
      )
    }
  }

  /** @param {number[]} ids */
  takeLimits(ids) {
    for (const id of ids) {
      const limit = numberOf(this.survey.badges.get(id)?.limit ?? null)
      const now = this.id('badges', id)
      const set = limit === null ? '' : `"limit" = ${limit}, `
      this.also(
        `update badges set ${set}awarded = (select count(*) from badgeInstances i
          where i.badgeId = ${now} and i.revokedAt is null) where id = ${now}`,
      )
    }
  }

  /** Totals of lists, and the audit's line of the import. @param {number} id */
  takeCounts(id) {
    const system = this.id('systems', id)
    const { op, now } = this.state
    const count = (
      /** @type {string} */ name,
      /** @type {string} */ owner,
      /** @type {string} */ from,
    ) =>
      this.also(`insert into counters (systemId, name, ownerId, n)
        select ${system}, '${name}', ${owner}, count(*) from ${from} group by 3 having count(*) > 0
        on conflict (systemId, name, ownerId) do update set n = excluded.n`)
    const live = `x.systemId = ${system} and x.deletedAt is null`
    count('issuers', 'x.systemId', `issuers x where ${live}`)
    count('programs', 'x.issuerId', `programs x where ${live}`)
    const apps = 'applications a join badges x on x.id = a.badgeId'
    for (const level of ['system', 'issuer', 'program']) {
      const owner = `x.${level}Id`
      count(`${level}.badges`, owner, `badges x where ${live} and ${owner} is not null`)
      count(`${level}.applications`, owner, `${apps} where ${live} and ${owner} is not null`)
    }
    count('codes', 'c.badgeId', `claimCodes c where c.systemId = ${system}`)
    count('applications', 'a.badgeId', `applications a where a.systemId = ${system}`)
    count(
      'reviews',
      'r.applicationId',
      `reviews r join applications a on a.id = r.applicationId where a.systemId = ${system}`,
    )
    count('milestones', 'm.systemId', `milestones m where m.systemId = ${system}`)
    this.also(`insert into counters (systemId, name, ownerId, n)
      select 0, 'systems', 0, count(*) from systems where deletedAt is null and true
      on conflict (systemId, name, ownerId) do update set n = excluded.n`)
    this.also(`insert or ignore into audit (op, systemId, at, key, action, target, requestId)
      select 'import-${op}-${system}', ${system}, ${now}, 'import', 'badgekit import', 'systems/' || uid, '${op}'
      from systems where id = ${system}`)
  }

  // ── What hangs from badges and systems ────────────────────────────────────────────────────────────────────────────

  /** @param {string} table @param {Old} old */
  async takeChild(table, old) {
    const row = await CHILDREN[table]?.(this, old)
    if (row === undefined) return
    if (typeof row === 'string') return this.reject(table, row, old)
    this.put(table === 'consumers' ? 'keys' : table, row)
    const secret = table === 'webhooks' ? old.secret : table === 'consumers' ? old.apiSecret : null
    if (secret) await this.putSecret(table, Number(row.id), textOf(secret) ?? '')
  }

  /** @param {string} table @param {number} ownerId @param {string} secret */
  async putSecret(table, ownerId, secret) {
    const [own, column] =
      table === 'webhooks' ? ['webhookSecrets', 'webhookId'] : ['keySecrets', 'keyId']
    const id = digest(`${this.state.secret}/${own}/${ownerId}`, 12)
    const sealed = await this.worker.seal(this.settings.ring, secret, {
      table: own,
      row: id,
      column: 'sealed',
    })
    this.put(own, { id, [column]: ownerId, sealed, createdAt: this.state.now }, false)
  }

  /** Whether rows that were put are not there. @param {string} table */
  async lacksRows(table) {
    const [{ n }] = await this.database.query(
      `select count(*) as n from ${quoted(table)} where op = '${this.state.op}'`,
    )
    return n < (this.state.written[table] ?? 0)
  }

  /** Looks for the rows that another one kept out, some at a time. @param {string} table @returns {Step} */
  again(table) {
    /** @type {[number, Old][]} */
    let asked = []
    const ask = async () => {
      const all = asked
      asked = []
      if (all.length > 0) await this.askAgain(table, all)
    }
    return {
      name: `${table} again`,
      of: this.countOf([table]),
      rows: () => this.from(table),
      take: async ([, old]) => {
        const row = await CHILDREN[table]?.(this, old, true)
        if (typeof row !== 'object') return
        asked.push([Number(row.id), old])
        if (asked.length === 1_000) await ask()
      },
      end: ask,
      ifMissing: table,
    }
  }

  /**
   * @param {string} table
   * @param {[number, Old][]} asked
   */
  async askAgain(table, asked) {
    const there = await this.idsThere(table, asked)
    const missing = asked.filter(([id]) => !there.has(id))
    // Its address is out there: an award stays, beside the other one, as a repeated award.
    const repeated = table === 'badgeInstances' ? await this.repeat(missing) : new Set()
    for (const [id, old] of asked) {
      if (repeated.has(id)) {
        this.change(table, 'its earner has the badge twice: it is kept as a repetition', old)
      } else if (!there.has(id)) {
        this.ledger.wrote(table, -1)
        const reason =
          table === 'claimCodes' ? 'its badge has this code already' : 'another one has its slug'
        this.reject(table, reason, old)
      }
    }
  }

  /**
   * @param {string} table
   * @param {[number, Old][]} asked
   * @param {string} [condition]
   * @returns {Promise<Set<number>>}
   */
  async idsThere(table, asked, condition = 'true') {
    const rows = await this.database.query(
      `select id from ${quoted(table)} where op = '${this.state.op}' and ${condition}
        and id in (${asked.map(([id]) => id).join(',')})`,
    )
    return new Set(rows.map(({ id }) => id))
  }

  /** @param {[number, Old][]} missing @returns {Promise<Set<number>>} those that are in now */
  async repeat(missing) {
    const rows = missing.flatMap(([, old]) => {
      const row = CHILDREN.badgeInstances?.(this, old, true)
      return typeof row === 'object' ? { ...row, once: 0 } : []
    })
    if (rows.length > 0) await this.database.run(inserts('badgeInstances', rows))
    return missing.length > 0 ? this.idsThere('badgeInstances', missing, 'once = 0') : new Set()
  }

  // ── The report ────────────────────────────────────────────────────────────────────────────────────────────────────

  async report() {
    const { written, changed, rejected, ms } = this.state
    const tables = Object.fromEntries(
      TABLES.map((name) => [
        name,
        {
          read: this.survey.counts[name] ?? 0,
          written: written[name] ?? 0,
          changed: sum(changed[name]),
          rejected: sum(rejected[name]),
        },
      ]),
    )
    const lost = Object.entries(tables).filter(([, one]) => one.read !== one.written + one.rejected)
    const rows = Object.values(written).reduce((a, b) => a + b, 0)
    return {
      dump: this.settings.path,
      target: this.database.name,
      keepsNumbers: Object.values(this.state.offsets).every((one) => one === 0),
      warnings: this.warnings(lost.map(([name]) => name)),
      tables,
      changed,
      rejected,
      others: this.survey.others,
      rows,
      seconds: Math.round(ms / 100) / 10,
      rowsPerSecond: Math.round((rows * 1000) / Math.max(ms, 1)),
      peakMegabytes: Math.round(Math.max(this.peak, process.memoryUsage.rss()) / 1e6),
    }
  }

  /** @param {string[]} lost */
  warnings(lost) {
    const { facts } = this.survey
    return [
      ...(facts.isComplete
        ? []
        : [
            'The dump does not end with "Dump completed": it may have been cut off between two statements.',
          ]),
      ...(facts.isUtc || this.settings.zone !== 'Z'
        ? []
        : [
            'The dump does not say that its times are in UTC (mysqldump --tz-utc, its default, does): give --timezone if they are not.',
          ]),
      ...(facts.charset === null || /^utf8/i.test(facts.charset)
        ? []
        : [
            `The dump is in ${facts.charset}, and was read as UTF-8: make it with --default-character-set=utf8.`,
          ]),
      ...lost.map(
        (name) => `The numbers of ${name} do not add up: this is a fault of the importer.`,
      ),
    ]
  }
}

/** @param {import('./mysqldump.mjs').Value | undefined} value */
const flag = (value) => (value == null || value === '' || value === '0' || value === '\0' ? 0 : 1)

/**
 * The new row of an old one; the reason why there is none, as a text. `isAgain`: it has been told of already.
 * @type {Record<string, (m: Migration, old: Old, isAgain?: boolean) => Record<string, unknown> | string | undefined>}
 */
const CHILDREN = {
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
  if (slug && !m.survey.repeated.has(`${table}/${Number(old.id)}`)) return slug
  m.change(table, 'its slug is missing or another’s: it has a new one', old)
  return createHash('md5').update(`${slug}/${old.id}`).digest('hex')
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

/**
 * Statements in portions that one call carries.
 * @param {string[]} statements
 * @param {number} bytes
 */
function* parts(statements, bytes) {
  /** @type {string[]} */
  let part = []
  let size = 0
  for (const statement of statements) {
    if (part.length > 0 && size + statement.length > 2 * bytes) {
      yield part
      part = []
      size = 0
    }
    part.push(statement)
    size += statement.length
  }
  if (part.length > 0) yield part
}
