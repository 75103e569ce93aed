import { applyD1Migrations, reset } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { forgetKeys } from '../src/auth'

/** Each file starts on an empty, migrated database; an isolate is shared by all, and so is what it remembers. */
await reset()
await applyD1Migrations(env.DB, env.TEST_MIGRATIONS)
forgetKeys()
