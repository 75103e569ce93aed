import { writeFileSync } from 'node:fs'
import type { Reporter, TestModule } from 'vitest/node'

/** The reporter of `npm run bench -- scale`: what `test/budget.test.ts` has measured, to the file that `BUDGET` names. */
export default class BudgetReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]) {
    const measured = modules.flatMap((module) => module.meta().budget ?? [])
    writeFileSync(process.env.BUDGET ?? '.wrangler/budget.json', JSON.stringify(measured))
  }
}
