import { applyD1Migrations, reset } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterAll, expect } from 'vitest'
import { forgetKeys } from '../src/auth'
import { planNew, recorded, scansOf } from './helpers/statements'

/**
 * Each file starts on an empty, migrated database; an isolate is shared by all, and so is what it remembers. `reset` empties
 * only a database that is awake, and one that has had nothing to do for ten seconds is not: so it is asked something first.
 */
await env.DB.prepare('select 1').run()
await reset()
await applyD1Migrations(env.DB, env.TEST_MIGRATIONS)
forgetKeys()

recorded()

/** No statement looks through a whole table that grows: each file answers for those that it was the first to run. */
// biome-ignore lint/correctness/noEmptyPattern: vitest reads from the first parameter which fixtures a hook wants
afterAll(async ({}, { file }) => {
  const planned = await planNew()
  file.meta.statements = planned
  const scans = planned.flatMap((one) => scansOf(one).map((line) => `${line}\n${one.text}`))
  expect(scans).toEqual([])
})
