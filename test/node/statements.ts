import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Reporter, TestModule } from 'vitest/node'
import type { Planned } from '../helpers/planned'

/**
 * The reporter of `npm run statements`: writes each distinct statement that the suite made the product run, with its plan, to the
 * file that `STATEMENTS` names, else to `.wrangler/statements.sql`. Names of test files after `--` make it a part of them.
 */
export default class StatementsReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]) {
    const found = modules.flatMap((module) => module.meta().statements ?? [])
    const texts = new Map(found.map((one) => [inOneLine(one.text), one]))
    const path = process.env.STATEMENTS ?? '.wrangler/statements.sql'
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, [...texts].sort(byText).map(shown).join('\n'))
    console.log(`${texts.size} statements of the product: ${path}`)
  }
}

const inOneLine = (text: string) => text.replace(/\s+/g, ' ').trim()
const byText = ([a]: [string, Planned], [b]: [string, Planned]) => (a < b ? -1 : 1)
const shown = ([text, { plan }]: [string, Planned]) =>
  `${[text, ...plan.map((line) => `--   ${line}`)].join('\n')}\n`
