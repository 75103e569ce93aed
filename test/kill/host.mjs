/**
 * The server of the kill test: our Worker as it is built for a deploy, but with `LOCAL_DEV`, on state that stays on disk. Its
 * sweep runs every so many milliseconds. Whoever starts it kills it.
 *
 *     node host.mjs SCRIPT STATE PORT SPEED EVERY
 */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setInterval } from 'node:timers'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { ourOptions, ROOT } from '../../scripts/bench/servers.mjs'

const [script = '', state = '', port = '', speed = '', every = ''] = process.argv.slice(2)
const options = ourOptions(Number(port))

const miniflare = new Miniflare(
  convertV4MiniflareOptions({
    ...options,
    bindings: { ...options.bindings, ALLOW_LOCAL_WEBHOOKS: '1', WEBHOOK_SPEED: speed },
    name: 'badgekit',
    modules: true,
    rootPath: dirname(script),
    scriptPath: script,
    resourcePersistencePath: state,
    host: '127.0.0.1',
    port: Number(port),
    cf: false,
    logRequests: false,
    telemetry: { enabled: false },
    unsafeTriggerHandlers: true,
    handleStructuredLogs: ({ message }) => {
      if (/"level":"(?:error|alarm)"/.test(message)) process.stderr.write(`${message}\n`)
    },
  }),
)
await miniflare.ready
await migrate()
process.stdout.write('ready\n')
setInterval(sweep, Number(every))

/** The cron. A path that nobody serves would go unnoticed, because writes bring a sweep about as well. */
async function sweep() {
  const answer = await fetch(`http://127.0.0.1:${port}/cdn-cgi/local/scheduled`)
  await answer.arrayBuffer()
  if (!answer.ok) throw new Error(`The scheduled handler answers ${answer.status}`)
}

/** Each migration once, as `wrangler d1 migrations` keeps account of it. */
async function migrate() {
  const db = await miniflare.getD1Database('DB', 'badgekit')
  await db.prepare('create table if not exists d1_migrations (name text primary key)').run()
  const folder = join(ROOT, 'migrations')
  for (const name of readdirSync(folder).sort()) {
    if (!name.endsWith('.sql')) continue
    if (await db.prepare('select 1 from d1_migrations where name = ?').bind(name).first()) continue
    const statements = readFileSync(join(folder, name), 'utf8').split('--> statement-breakpoint')
    await db.batch([
      ...statements.map((/** @type {string} */ statement) => db.prepare(statement)),
      db.prepare('insert into d1_migrations values (?)').bind(name),
    ])
  }
}
