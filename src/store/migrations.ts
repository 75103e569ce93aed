import { sql } from 'drizzle-orm'
import journal from '../../migrations/meta/_journal.json'

/** The newest migration that this build was made with, as wrangler notes it. */
export const NEWEST = `${journal.entries.at(-1)?.tag}.sql`

/** Whether it is applied; a newer one may be too, as migrations come before the code. */
export const isMigrated = sql<{ applied: 0 | 1 }>`
  select exists (select 1 from d1_migrations where name = ${NEWEST}) as applied`
