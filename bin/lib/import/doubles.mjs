/** Rows that another one kept out of the database, because it has their code, their slug or their earner already. */
import { inserts, quoted } from '../sql.mjs'
import { CHILDREN } from './children.mjs'

/** @typedef {import('./migration.mjs').Migration} Migration */
/** @typedef {import('./migration.mjs').Step} Step */
/** @typedef {import('./survey.mjs').Old} Old */
/** An old row and its new number. @typedef {{ id: number, old: Old }} Asked */

/** How many rows are asked for at once. */
const ASKED = 1_000

/** The step that looks for them, after the one that puts the table's rows. @param {Migration} m @param {string} table @returns {Step} */
export function doublesOf(m, table) {
  /** @type {Asked[]} */
  let asked = []
  const ask = async () => {
    if (asked.length > 0) await settle(m, table, asked)
    asked = []
  }
  return {
    name: `${table} again`,
    of: m.countOf([table]),
    rows: () => m.from(table),
    take: async ([, old]) => {
      const row = CHILDREN[table]?.(m, old, true)
      if (typeof row !== 'object') return
      asked.push({ id: Number(row.id), old })
      if (asked.length === ASKED) await ask()
    },
    end: ask,
    isNeeded: () => hasDoubles(m, table),
  }
}

/** Whether fewer rows stand there as they were put than were put. @param {Migration} m @param {string} table */
async function hasDoubles(m, table) {
  // An import that was stopped within this step may have kept some as repetitions and not told of them.
  const asPut = table === 'badgeInstances' ? 'once = 1' : 'true'
  const [{ n }] = await m.database.query(
    `select count(*) as n from ${quoted(table)} where op = '${m.state.op}' and ${asPut}`,
  )
  return n < (m.state.written[table] ?? 0)
}

/** @param {Migration} m @param {string} table @param {Asked[]} asked */
async function settle(m, table, asked) {
  if (table === 'badgeInstances') await keepRepetitions(m, asked)
  const there = await idsThere(m, table, asked)
  const repeated =
    table === 'badgeInstances' ? await idsThere(m, table, asked, 'once = 0') : new Set()
  for (const { id, old } of asked) {
    if (repeated.has(id)) {
      m.change(table, 'its earner has the badge twice: it is kept as a repetition', old)
    } else if (!there.has(id)) {
      m.ledger.wrote(table, -1)
      m.reject(table, REASONS[table] ?? '', old)
    }
  }
}

/** @type {Record<string, string>} */
const REASONS = {
  claimCodes: 'its badge has this code already',
  badgeInstances: 'another one has its slug',
}

/** The address of an award is out there: it stays, beside the earner's other one. @param {Migration} m @param {Asked[]} asked */
async function keepRepetitions(m, asked) {
  const there = await idsThere(m, 'badgeInstances', asked)
  const rows = asked.flatMap(({ id, old }) => {
    const row = there.has(id) ? undefined : CHILDREN.badgeInstances?.(m, old, true)
    return typeof row === 'object' ? { ...row, once: 0 } : []
  })
  if (rows.length > 0) await m.database.run(inserts('badgeInstances', rows))
}

/**
 * @param {Migration} m
 * @param {string} table
 * @param {Asked[]} asked
 * @param {string} [condition]
 * @returns {Promise<Set<number>>}
 */
async function idsThere(m, table, asked, condition = 'true') {
  const rows = await m.database.query(
    `select id from ${quoted(table)} where op = '${m.state.op}' and ${condition}
      and id in (${asked.map(({ id }) => id).join(',')})`,
  )
  return new Set(rows.map(({ id }) => id))
}
