#!/usr/bin/env node
/**
 * `npm run test:mutants`: changes one thing at a time in what keeps strangers out, and asks the tests whether they see it.
 *
 *   npm run test:mutants -- --sample 0.5 --seed 7 --only src/auth.ts
 *
 * Works in a copy of the checkout. Lists the changes that no test has seen, and fails when more than a tenth of them live.
 * Stryker has no runner for tests inside workerd; the changes are those that it would make to lines, found by pattern.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { randomOf } from '../fuzz/random.mjs'

/** What is changed, and the tests that must see it, the quickest first. */
const FILES = {
  'src/signature.ts': ['test/rotation.test.ts', 'test/deliver.test.ts'],
  'src/retries.ts': ['test/retries.test.ts', 'test/deliver.test.ts', 'test/consume.test.ts'],
  'src/outbound.ts': ['test/outbound.test.ts', 'test/deliver.test.ts'],
  'src/auth.ts': [
    'test/auth.test.ts',
    'test/replay.test.ts',
    'test/rateLimit.test.ts',
    'test/tokens.test.ts',
    'test/routes/keys.test.ts',
  ],
}

/** A pattern, and what stands in its place. */
const CHANGES = [
  [/===/g, '!=='],
  [/!==/g, '==='],
  [/ <= /g, ' < '],
  [/ >= /g, ' > '],
  [/ < /g, ' <= '],
  [/ > /g, ' >= '],
  [/ && /g, ' || '],
  [/ \|\| /g, ' && '],
  [/ \?\? /g, ' && '],
  [/(?<=\bif )\((.*)\)(?= |$)/g, (_, condition) => `(!(${condition}))`],
  [/return null/g, 'return undefined'],
  [/\btrue\b/g, 'false'],
  [/\bfalse\b/g, 'true'],
  [/(?<![\w.$])\d[\d_]*(?!\w)/g, (number) => String(Number(number.replaceAll('_', '')) + 1)],
  [/Math\.min/g, 'Math.max'],
  [/Math\.max/g, 'Math.min'],
  [/ \+ /g, ' - '],
  [/ - /g, ' + '],
  [/ \* /g, ' / '],
  [/'\w[^']*'/g, "'mutant'"],
  [/\.some\(/g, '.every('],
  [/\.toLowerCase\(\)/g, ''],
  [/(?<=[( ])!(?=[\w(])/g, ''],
  [/^\s*(await |throw |note\(|check\w+\(|c\.set|known\.).*$/g, '  void 0'],
]

/**
 * Lines that hold no code to change; and one that is never reached where tests run: `LOCAL_DEV` is a constant of the build, which
 * the tests of the bundle look at.
 */
const SKIPPED =
  /^\s*($|\/\/|\/?\*|import |export type |type |(?:async )?function |}|\||\w+\??: [\w| ]+$)|LOCAL_DEV/

const { values: asked } = parseArgs({
  options: {
    sample: { type: 'string', default: '0.5' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
  },
})
const random = randomOf(Number(asked.seed))
const home = fileURLToPath(new URL('../..', import.meta.url))
const copy = mkdtempSync(join(tmpdir(), 'badgekit-mutants-'))
process.on('exit', () => rmSync(copy, { recursive: true, force: true }))
for (const name of [
  'src',
  'test',
  'drizzle',
  'migrations',
  'docs',
  'scripts',
  '.wrangler/worker.d.ts',
]) {
  cpSync(join(home, name), join(copy, name), { recursive: true })
}
for (const name of ['package.json', 'tsconfig.json', 'vitest.config.ts', 'wrangler.toml']) {
  cpSync(join(home, name), join(copy, name))
}
symlinkSync(join(home, 'node_modules'), join(copy, 'node_modules'))

let made = 0
let seen = 0
for (const [file, tests] of Object.entries(FILES)) {
  if (asked.only && asked.only !== file) continue
  if (!passes(tests)) throw new Error(`${tests} fail without any change`)
  const text = readFileSync(join(home, file), 'utf8')
  const mutants = mutantsOf(text)
  const picked = mutants.filter(() => random.next() < Number(asked.sample))
  console.log(`${file}: ${picked.length} of ${mutants.length} changes`)
  for (const { line, before, after, changed } of picked) {
    writeFileSync(join(copy, file), changed)
    made++
    if (tests.some((test) => !passes([test]))) seen++
    else console.log(`  unseen ${file}:${line}\n    - ${before.trim()}\n    + ${after.trim()}`)
  }
  writeFileSync(join(copy, file), text)
}
console.log(
  `seed ${asked.seed}: ${made} changes, ${seen} seen, ${((100 * seen) / made).toFixed(1)} %`,
)
process.exitCode = seen < 0.9 * made ? 1 : 0

function mutantsOf(text) {
  const lines = text.split('\n')
  return lines.flatMap((before, i) => {
    if (SKIPPED.test(before)) return []
    const code = before.replace(/ \/\/ .*$/, '')
    const found = CHANGES.flatMap(([pattern, replacement]) =>
      [...code.matchAll(pattern)].map((match) => {
        const put = typeof replacement === 'string' ? replacement : replacement(...match)
        return code.slice(0, match.index) + put + code.slice(match.index + match[0].length)
      }),
    )
    return [...new Set(found)].map((after) => ({
      line: i + 1,
      before,
      after,
      changed: lines.with(i, after).join('\n'),
    }))
  })
}

/** Whether tests pass. One that never ends has seen the change as well. */
function passes(tests) {
  const { status } = spawnSync(
    'npx',
    ['vitest', 'run', '--project', 'workerd', '--bail=1', '--reporter=dot', ...tests],
    { cwd: copy, stdio: 'ignore', timeout: 300_000 },
  )
  return status === 0
}
