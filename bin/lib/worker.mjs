/**
 * The Worker's own code, for what must come out as the Worker would make it: sealed secrets, judged images, frozen badges. Node
 * 20 reads no TypeScript, so wrangler's bundler makes a module of it.
 */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Stop } from './cli.mjs'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** The package alone speaks to servers; what goes to a database needs the Worker's source, its migrations and wrangler. */
export function needCheckout() {
  if (existsSync(join(ROOT, 'migrations')) && existsSync(join(ROOT, 'node_modules/wrangler')))
    return
  throw new Stop('This works in a checkout of the repository, after `npm ci`.')
}

const EXPORTS = `
  export { MAX_IMAGE_BYTES, readImage } from './src/imageFile'
  export { open, seal, readRing } from './src/seal'
  export { named } from './src/store/images'
  export { SEALED } from './src/store/reseal'
  export { badgeColumns } from './src/store/badges'
  export { showLists } from './src/store/badgeLists'
  export { freeze } from './src/store/versions'
  export { viewBadge } from './src/views/badges'
  export * as schema from './drizzle/schema'
  export { sql } from 'drizzle-orm'
  import { SQLiteSyncDialect } from 'drizzle-orm/sqlite-core'
  /** A statement without values, as text. */
  export const textOf = (statement) => new SQLiteSyncDialect().sqlToQuery(statement).sql
`

/** @typedef {Awaited<ReturnType<typeof load>>} Worker */

/** @type {Promise<any> | undefined} */
let loaded

/** @returns {Promise<any>} */
export function loadWorker() {
  loaded ??= load()
  return loaded
}

async function load() {
  const require = createRequire(import.meta.resolve('wrangler'))
  const { build } = require('esbuild')
  const { outputFiles } = await build({
    stdin: { contents: EXPORTS, resolveDir: ROOT, loader: 'ts' },
    bundle: true,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    define: { LOCAL_DEV: 'false' },
    write: false,
    logLevel: 'silent',
  })
  return import(
    `data:text/javascript;base64,${Buffer.from(outputFiles[0]?.contents ?? '').toString('base64')}`
  )
}
