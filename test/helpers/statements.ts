import { env } from 'cloudflare:workers'
import { getTableName, is } from 'drizzle-orm'
import { SQLiteTable } from 'drizzle-orm/sqlite-core'
import * as schema from '../../drizzle/schema'
import type { Planned } from './planned'

/**
 * Every statement that the suite makes the product run, and SQLite's plan of each. `test/setup.ts` has them recorded, and has
 * those that are new looked at when a file ends; `npm run statements` writes them all to a file.
 */

type Recorded = { texts: Set<string>; planned: Set<string> }
type Session = Pick<D1DatabaseSession, 'prepare'> & { [RECORDED]?: Recorded }

/** A worker loads setup and helpers anew for each of its files; what it remembers stands where all of them find it. */
const RECORDED = Symbol.for('statements of the product')

/** The class of the product's calls, which all go through a session (`openDb`); `env.DB`, which tests ask, has another. */
const session: Session = Object.getPrototypeOf(env.DB.withSession('first-primary'))

/** What has been recorded; the first call begins with it. */
export function recorded(): Recorded {
  session[RECORDED] ??= record()
  return session[RECORDED]
}

function record(): Recorded {
  const found: Recorded = { texts: new Set(), planned: new Set() }
  const { prepare } = session
  session.prepare = function (this: D1DatabaseSession, text) {
    if (Object.getPrototypeOf(this) === session) found.texts.add(text)
    return prepare.call(this, text)
  }
  return found
}

/**
 * The plans of what has been recorded since it was last asked. How full the database is does not matter: as nobody runs `ANALYZE`,
 * SQLite plans by the schema alone. Nor do the values, which all are null here.
 */
export async function planNew(): Promise<Planned[]> {
  const { texts, planned } = recorded()
  const plans: Planned[] = []
  for (const text of texts) {
    if (planned.has(text)) continue
    plans.push(await planOf(text))
    planned.add(text)
  }
  return plans
}

export async function planOf(text: string): Promise<Planned> {
  const values = Array.from(text.matchAll(/\?/g), () => null)
  const { results } = await env.DB.prepare(`explain query plan ${text}`)
    .bind(...values)
    .all<{ detail: string }>()
  return { text, plan: results.map(({ detail }) => detail) }
}

// ── Scans ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/** All tables but the one that holds as much in ten years as today. */
const GROWING = Object.values<unknown>(schema).flatMap((one) =>
  is(one, SQLiteTable) && one !== schema.heartbeats ? [getTableName(one)] : [],
)

/** What the tables that grow are called in a statement: their names and aliases. */
function growingIn(text: string): Set<string> {
  const aliases = GROWING.flatMap((table) =>
    [...text.matchAll(new RegExp(`\\b${table}"?\\s+(?:as\\s+)?(\\w+)`, 'gi'))].map(
      ([, alias = '']) => alias,
    ),
  )
  return new Set([...GROWING, ...aliases])
}

/** Of columns that are alike in nearly all rows, and of what comes after a row: a search by no more finds nearly all of them. */
const LOOSE = /\((?:(?:deletedAt|archived|revokedAt)=\?|\w*id>\?| AND )+\)/

/** Looks through a whole table that are meant. */
const MEANT = [
  // Lists of all there is: each ends at its limit.
  /^ *select x\.\*.* from "systems" x where x\.deletedAt is null .*order by x\.id limit \?/,
  /^ *select b\.id, b\.slug, .* from badges b .*order by b\.id limit \? offset \?/,
  // The total of `/public/badges`, which only `page` and `count` ask for.
  /^ *select count\(\*\) as total from badges b (left )?join .* where b\.deletedAt is null/,
  // What older keys have sealed, until a newer one has sealed it all.
  /^ *select \? as "table", "(id|thumbprint)" as id, sealed from "(keySecrets|webhookSecrets|signingKeys)" where .* limit \?$/,
  // The document of all public keys ends at its limit.
  /^ *select publicKey, issuerUid, thumbprint, withdrawnAt from signingKeys order by id desc limit \?$/,
]

/** The names of sub-selects, which may be those of a table's alias too. */
const transientIn = (plan: readonly string[]) =>
  plan.flatMap((line) => /^(?:MATERIALIZE|CO-ROUTINE) (\S+)/.exec(line)?.[1] ?? [])

/** The lines of a plan that look through a whole table that grows, or index it for this once. */
export function scansOf({ text, plan }: Planned): string[] {
  if (MEANT.some((one) => one.test(text.replace(/\s+/g, ' ')))) return []
  const growing = growingIn(text)
  const transient = transientIn(plan)
  return plan.filter((line) => {
    if (line.includes('USING AUTOMATIC') || LOOSE.test(line)) return true
    const [, name = ''] = /^SCAN (\S+)/.exec(line) ?? []
    if (!growing.has(name) || line.includes('VIRTUAL TABLE')) return false
    const at = transient.indexOf(name)
    if (at === -1) return true
    transient.splice(at, 1)
    return false
  })
}

// ── Islands ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Columns that lead to rows of one system: the system's own number, and the numbers and random names of what belongs to one. A search
 * that begins with another one (an address, a date, a state) finds rows of all systems.
 */
const OF_ONE_SYSTEM =
  /^(?:rowid|id|uid|slug|hash|op|key|code|thumbprint|kind|(?:system|issuer|program|badge|primaryBadge|image|version|application|review|milestone|webhook|delivery|event|job|award|statusList|\w*[kK]ey|owner)Id|issuerUid)$/

/** Tables that hold rows of no system, or of what anybody may ask for by its name. */
const OF_NONE = ['heartbeats', 'queueFaults', 'idempotency', 'usedTokens', 'tombstones']

/** Statements about all systems that are meant: lists of all there is, and the duties of the sweep. */
const ACROSS: RegExp[] = [
  ...MEANT,
  // Whether any webhook waits, which `/health/ready` tells of all together.
  /^ *with recursive waiting \(webhookId\) as/,
]

/**
 * The lines of a plan by which a statement goes through rows of more than one system: so that a system can move to a database of its
 * own. What names the system itself is about that one.
 */
export function straysOf({ text, plan }: Planned): string[] {
  const inOneLine = text.replace(/\s+/g, ' ')
  if (/\bsystemId"? = /.test(inOneLine) || ACROSS.some((one) => one.test(inOneLine))) return []
  const growing = growingIn(text)
  const transient = transientIn(plan)
  return plan.filter((line) => {
    const [, verb, name = '', rest = ''] = /^(SEARCH|SCAN) (\S+)(.*)$/.exec(line) ?? []
    if (!verb || !growing.has(name) || OF_NONE.includes(name) || rest.includes('VIRTUAL TABLE'))
      return false
    if (verb === 'SCAN' && transient.includes(name)) return false
    const [, column = ''] = /\((\w+)[=>< ]/.exec(rest) ?? []
    return !OF_ONE_SYSTEM.test(column)
  })
}
