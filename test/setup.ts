import { applyD1Migrations, reset } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { forgetKeys } from '../src/auth'

/**
 * Each file starts on an empty, migrated database; an isolate is shared by all, and so is what it remembers. `reset` empties
 * only a database that is awake, and one that has had nothing to do for ten seconds is not: so it is asked something first.
 */
await env.DB.prepare('select 1').run()
await reset()
await applyD1Migrations(env.DB, env.TEST_MIGRATIONS)
forgetKeys()
