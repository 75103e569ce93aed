import { mkdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/**
 * What the Worker is made of, made importable: TypeScript, JSON and the build-time switch resolved, all packages left where
 * they are, so that its schemas are of the zod that is used here.
 * @param {string} exports statements that export what is wanted
 */
export async function load(exports) {
  // wrangler's own bundler, found from where wrangler would find it.
  const require = createRequire(import.meta.resolve('wrangler'))
  const { build } = require('esbuild')
  const directory = resolve(ROOT, '.wrangler/tmp')
  const outfile = resolve(directory, `loaded-${process.pid}.mjs`)
  mkdirSync(directory, { recursive: true })
  try {
    await build({
      stdin: { contents: exports, resolveDir: ROOT },
      outfile,
      bundle: true,
      format: 'esm',
      packages: 'external',
      define: { LOCAL_DEV: 'false' },
      logLevel: 'silent',
    })
    return await import(pathToFileURL(outfile).href)
  } finally {
    rmSync(outfile, { force: true })
  }
}
