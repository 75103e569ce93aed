/**
 * `npm run audit -- --system SLUG`: reads a system's whole audit log and proves its seals. It recomputes them with the Worker's
 * own code (`src/auditSeal.ts`), but trusts nothing else that the server says of them.
 */
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { explain, findClient, signedFetch } from './sign.mjs'

/** @typedef {import('./sign.mjs').Client} Client */

const HELP = `Usage: npm run audit -- --system SLUG [--json]

Reads the audit log of a system and proves that no sealed row has been changed, put in or taken out since. It ends with the
hash of the newest sealed row: whoever notes it can tell later that the log still holds it. The exit code is 1 when the chain
is broken, and 2 when the log could not be read.

Where it asks and how it signs is said as for \`npm run api\`: BADGEKIT_URL, BADGEKIT_KEY, BADGEKIT_SECRET, BADGEKIT_SECRETS.
`

const REASONS = {
  changed: 'is not what was sealed',
  link: 'does not follow the row before it: something was taken out or sealed anew',
  order: 'stands out of order',
  unsealed: 'has no seal, although later rows have one',
}

/** The Worker's own code; Node 20 reads no TypeScript, so wrangler's bundler makes a module of it. */
async function loadVerifier() {
  const require = createRequire(import.meta.resolve('wrangler'))
  const { build } = require('esbuild')
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL('../src/auditSeal.ts', import.meta.url))],
    bundle: true,
    format: 'esm',
    write: false,
    logLevel: 'silent',
  })
  return import(
    `data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`
  )
}

/**
 * @param {Client} client
 * @param {string} path
 */
async function get(client, path) {
  let response
  try {
    response = await signedFetch(client, 'GET', path)
  } catch (error) {
    throw new Error(explain(error, client.url))
  }
  const answer = /** @type {any} */ (await response.json().catch(() => ({})))
  if (!response.ok) throw new Error(`GET ${path}: ${response.status} ${answer.message ?? ''}`)
  return answer
}

/**
 * The rows of a system's log as they were sealed, the newest first.
 * @param {Client} client
 * @param {string} path
 * @param {number} systemId
 */
async function* rowsOf(client, path, systemId) {
  /** @type {string | null} */
  let cursor = ''
  while (cursor !== null) {
    const { audit, next } = await get(client, `${path}/audit?cursor=${cursor}`)
    for (const { id, at, key, action, target, request, seal } of audit) {
      const { at: sealedAt, previous, hash } = seal ?? { at: null, previous: null, hash: null }
      yield {
        ...{ id, systemId, at: Date.parse(at), key, action, target, requestId: request },
        ...{ sealedAt: sealedAt && Date.parse(sealedAt), previousHash: previous, hash },
      }
    }
    cursor = next
  }
}

/** @param {string[]} argv */
async function main(argv) {
  const { values } = parseArgs({
    args: argv,
    options: {
      system: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (!values.system) {
    process.stderr.write(HELP)
    return values.help ? 0 : 2
  }
  const client = findClient()
  const path = `/systems/${encodeURIComponent(values.system)}`
  const { system } = await get(client, path)
  const { verify } = await loadVerifier()
  const { rows, sealed, head, broken } = await verify(rowsOf(client, path, system.id), system.id)
  const sealedUntil = head && new Date(head.sealedAt).toISOString()
  if (values.json) {
    const found = { system: values.system, rows, sealed, sealedUntil, head: head?.hash ?? null }
    process.stdout.write(`${JSON.stringify({ ...found, holds: broken === null, broken })}\n`)
  } else if (broken) {
    const reason = REASONS[/** @type {keyof typeof REASONS} */ (broken.reason)]
    process.stdout.write(`${rows} rows, the chain is broken: row ${broken.id} ${reason}\n`)
  } else {
    const until = head ? `sealed until ${sealedUntil} (${head.hash})` : 'none sealed yet'
    process.stdout.write(`${rows} rows, ${until}, the chain holds\n`)
  }
  return broken ? 1 : 0
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
  process.exitCode = 2
}
