/** What an import did, for programs and for people. */
import { say } from '../cli.mjs'
import { sum } from './ledger.mjs'
import { TABLES } from './survey.mjs'

/** @typedef {import('./migration.mjs').Migration} Migration */

/** @param {Migration} m */
export function reportOf(m) {
  const { written, changed, rejected, ms } = m.state
  const tables = Object.fromEntries(
    TABLES.map((name) => [
      name,
      {
        read: m.survey.counts[name] ?? 0,
        written: written[name] ?? 0,
        changed: sum(changed[name]),
        rejected: sum(rejected[name]),
      },
    ]),
  )
  const lost = Object.entries(tables).filter(([, one]) => one.read !== one.written + one.rejected)
  const rows = Object.values(written).reduce((a, b) => a + b, 0)
  return {
    dump: m.settings.path,
    target: m.database.name,
    keepsNumbers: Object.values(m.state.offsets).every((one) => one === 0),
    warnings: warnings(
      m,
      lost.map(([name]) => name),
    ),
    tables,
    changed,
    rejected,
    others: m.survey.others,
    rows,
    seconds: Math.round(ms / 100) / 10,
    rowsPerSecond: Math.round((rows * 1000) / Math.max(ms, 1)),
    peakMegabytes: Math.round(Math.max(m.writer.peak, process.memoryUsage.rss()) / 1e6),
  }
}

/** @param {Migration} m @param {string[]} lost */
function warnings(m, lost) {
  const { facts } = m.survey
  return [
    ...(facts.isComplete
      ? []
      : [
          'The dump does not end with "Dump completed": it may have been cut off between two statements.',
        ]),
    ...(facts.isUtc || m.settings.zone !== 'Z'
      ? []
      : [
          'The dump does not say that its times are in UTC (mysqldump --tz-utc, its default, does): give --timezone if they are not.',
        ]),
    ...(facts.charset === null || /^utf8/i.test(facts.charset)
      ? []
      : [
          `The dump is in ${facts.charset}, and was read as UTF-8: make it with --default-character-set=utf8.`,
        ]),
    ...lost.map((name) => `The numbers of ${name} do not add up: this is a fault of the importer.`),
  ]
}

/** @param {ReturnType<typeof reportOf>} report @param {import('./ledger.mjs').Ledger} ledger */
export function tellReport(report, ledger) {
  const columns = ['read', 'written', 'changed', 'rejected']
  say(`${'table'.padEnd(16)}${columns.map((name) => name.padStart(10)).join('')}`)
  for (const [name, one] of Object.entries(report.tables)) {
    const cells = columns.map((column) =>
      /** @type {any} */ (one)[column].toLocaleString('en').padStart(10),
    )
    say(`${name.padEnd(16)}${cells.join('')}`)
  }
  tellReasons('Changed', report.changed, ledger.paths.changed)
  tellReasons('Rejected', report.rejected, ledger.paths.rejected)
  const others = Object.entries(report.others).map(([name, count]) => `${name} (${count})`)
  if (others.length > 0) say(`\nNot BadgeKit's, passed over: ${others.join(', ')}`)
  for (const warning of report.warnings) say(`\nNote: ${warning}`)
  say(
    `\n${report.rows.toLocaleString('en')} rows in ${report.seconds} s (${report.rowsPerSecond.toLocaleString('en')} a second, ${report.peakMegabytes} MB), into ${report.target}` +
      (report.keepsNumbers ? ', all with their numbers.' : ', with new numbers.'),
  )
}

/** @param {string} title @param {Record<string, Record<string, number>>} tables @param {string} file */
function tellReasons(title, tables, file) {
  const lines = Object.entries(tables).flatMap(([table, reasons]) =>
    Object.entries(reasons).map(
      ([reason, count]) => `  ${String(count).padStart(6)}  ${table}: ${reason}`,
    ),
  )
  if (lines.length > 0) say(`\n${title} (${file})\n${lines.join('\n')}`)
}
