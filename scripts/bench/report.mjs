/** `docs/performance.md`: what the bench tells of its runs. */
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { ROOT } from './servers.mjs'

export const whole = (/** @type {number} */ n) => (Number.isNaN(n) ? 'n/a' : String(Math.round(n)))
export const fixed = (/** @type {number} */ n) => (Number.isNaN(n) ? 'n/a' : n.toFixed(2))

/**
 * @param {string[]} head
 * @param {(string | number)[][]} rows
 */
export const table = (head, rows) =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')

/** The machine, and the day. */
export function measuredOn() {
  const [{ model = 'unknown' } = {}] = cpus()
  const machine = `${model.trim()}, ${cpus().length} cores, ${process.platform}, Node ${process.versions.node}`
  return `${new Date().toISOString().slice(0, 10)}: ${machine}`
}

const PAGE = join(ROOT, 'docs/performance.md')

/**
 * Writes one part of the page anew; the other stays. Each begins with a heading of the second rank, and goes on until the next of
 * the two.
 * @param {'Beside the floor' | 'As the tables grow'} heading
 * @param {string} text
 */
export function writePart(heading, text) {
  const parts = ['Beside the floor', 'As the tables grow']
  const page = readFileSync(PAGE, 'utf8')
  const starts = parts.map((part) => page.indexOf(`\n## ${part}\n`))
  const at = parts.indexOf(heading)
  const before = page.slice(0, starts[at])
  const after = at === 0 ? page.slice(starts[1]) : ''
  writeFileSync(PAGE, `${before}\n## ${heading}\n\n${text.trim()}\n${after}`)
}
