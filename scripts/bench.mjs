/**
 * `npm run bench`: how fast the built Worker is, beside the floor (`bench/floor.mjs`), the least that a Worker of this stack can
 * do. Numbers of a machine say little, so every row is a ratio: floor and Worker take turns in short rounds, and the median of
 * the rounds' ratios counts. `npm run bench -- scale`: the same at a thousand, a hundred thousand and a million awards, and what each
 * route reads. Both write their part of `docs/performance.md`; with `--quick` they only print.
 */
import { parseArgs } from 'node:util'
import { loader } from './bench/measure.mjs'
import { tidy } from './bench/servers.mjs'

const { positionals } = parseArgs({
  options: { quick: { type: 'boolean', default: false } },
  allowPositionals: true,
})

const PARTS = {
  speed: async () => (await import('./bench/speed.mjs')).measureSpeed(),
  scale: async () => (await import('./bench/scale.mjs')).measureScale(),
}

let isGood = false
try {
  const part = PARTS[/** @type {keyof PARTS} */ (positionals[0] ?? 'speed')]
  if (!part) throw new Error('Usage: npm run bench [-- scale] [--quick]')
  isGood = await part()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
} finally {
  loader.kill()
  await tidy()
}
process.exit(isGood ? 0 : 1)
