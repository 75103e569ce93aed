import { existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { cloudflareTest, readD1Migrations } from '@cloudflare/vitest-plugin'
import { defineConfig } from 'vitest/config'

process.env.CLOUDFLARE_CF_FETCH_ENABLED = 'false'
process.env.WRANGLER_SEND_METRICS = 'false'
// With a `.dev.vars` the plugin looks for required secrets only there, and warns of those it lacks; `bindings` sets them all.
process.env.WRANGLER_LOG ??= 'error'

/**
 * Databases of the tests, which ask for a folder by `TMPDIR`, stand in memory where there is a gigabyte of it: SQLite waits for the
 * disk after each write, and the whole worker with it, which is a great part of the suite's time.
 */
const MEMORY = '/dev/shm'
const free = existsSync(MEMORY) ? statfsSync(MEMORY) : { bavail: 0, bsize: 0 }
if (free.bavail * free.bsize > 2 ** 30 && !process.env.TMPDIR) {
  const folder = mkdtempSync(`${MEMORY}/badgekit-`)
  process.env.TMPDIR = folder
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
}

/** 32 zero bytes: the tests' own key, whatever `.dev.vars` holds. */
const KEY = Buffer.alloc(32).toString('base64')

/** Files at once. A worker of the one project is a process, and mostly waits for itself: even two cores have room for two. */
const maxWorkers = Math.max(2, availableParallelism() - 1)

/** What a hook may take: some build the bundle or fill a large database, and on a busy machine that alone takes a minute. */
const HOOKS = 180_000

/** Every variable that `.dev.vars` may hold, so that the suite runs alike with and without that file. */
const bindings = {
  MASTER_SECRET: 'shhh.secret',
  ENCRYPTION_KEYS: JSON.stringify({ k1: KEY }),
  PUBLIC_ORIGIN: 'https://badges.test.example',
  ALLOW_LOCAL_WEBHOOKS: '1',
  AUTH_DISABLED: '',
  WEBHOOK_SPEED: '',
  RATE_LIMITS: 'off',
}

/** Like the consumers of `wrangler.toml`, but quicker. */
const consumer = {
  maxBatchSize: 10,
  maxBatchTimeout: 0.05,
  maxRetries: 3,
  retryDelay: 0,
  deadLetterQueue: 'badgekit-deliveries-dead',
}

// The plugin looks here for what `wrangler.toml` requires.
Object.assign(process.env, bindings)

export default defineConfig({
  test: {
    silent: 'passed-only',
    projects: [
      {
        define: { LOCAL_DEV: 'true' },
        plugins: [
          cloudflareTest(async () => ({
            wrangler: { configPath: './wrangler.toml' },
            miniflare: {
              cf: false,
              bindings: {
                ...bindings,
                SCALE: process.env.SCALE ?? '',
                TEST_MIGRATIONS: await readD1Migrations('./migrations'),
              },
              queueConsumers: {
                'badgekit-deliveries': consumer,
                'badgekit-deliveries-slow': consumer,
                'badgekit-deliveries-dead': { maxBatchSize: 10, maxBatchTimeout: 0.05 },
              },
            },
          })),
        ],
        test: {
          name: 'workerd',
          isolate: false,
          // As wrangler does: in its form for browsers, which asks for nothing of Node's.
          deps: { optimizer: { ssr: { enabled: true, include: ['jsonld'] } } },
          // A limit for what hangs: how quick the machine is says nothing of the code.
          testTimeout: 60_000,
          hookTimeout: HOOKS,
          maxWorkers,
          setupFiles: ['./test/setup.ts', './test/helpers/log.ts'],
          globalSetup: ['./test/node/receiver.ts'],
          include: ['test/**/*.test.ts'],
          exclude: ['test/node/**'],
        },
      },
      {
        test: {
          name: 'node',
          maxWorkers,
          globalSetup: ['./test/node/server.ts'],
          include: ['test/node/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: HOOKS,
        },
      },
    ],
  },
})
