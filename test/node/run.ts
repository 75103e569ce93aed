import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { resolve } from 'node:path'
import type { Database } from '../../bin/lib/database.mjs'

/** Runs `badgekit`; gives its exit code and what it printed. */
export function badgekit(
  args: string[],
  env: Record<string, string> = {},
  script = resolve('bin/badgekit.mjs'),
) {
  const { MASTER_SECRET, PUBLIC_ORIGIN, ENCRYPTION_KEYS, ...outer } = process.env
  const child = spawn(process.execPath, [script, ...args], {
    env: { ...outer, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [out, err] = ['', '']
  child.stdout.on('data', (data) => {
    out += data
  })
  child.stderr.on('data', (data) => {
    err += data
  })
  const ended = new Promise<{ code: number | null; out: string; err: string }>((done) =>
    child.on('close', (code) => done({ code, out, err })),
  )
  return Object.assign(ended, { child })
}

/**
 * A stand-in for wrangler on a deployed database: one run of wrangler is seconds, and an import makes twenty. It takes what wrangler
 * takes, refuses what D1 refuses, and has a local database do it.
 */
export async function startWrangler(database: Database, script: string) {
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request.setEncoding('utf8')) text += chunk
    const { command, file } = JSON.parse(text)
    try {
      const results = command ? await database.query(command) : await runFile(database, file)
      response.end(JSON.stringify([{ results: results ?? [], success: true }], null, 2))
    } catch (error) {
      response.writeHead(500).end(String(error))
    }
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  writeFileSync(
    script,
    `import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
const bool = { type: 'boolean' }
const text = { type: 'string' }
const { values, positionals } = parseArgs({ allowPositionals: true, options: { remote: bool, json: bool, yes: bool, env: text, command: text, file: text } })
if (positionals.join(' ') !== 'd1 execute DB' || !values.remote || !values.yes || !values.json || values.env !== '') process.exit(1)
const body = JSON.stringify({ command: values.command, file: values.file && readFileSync(values.file, 'utf8') })
const answer = await fetch('http://127.0.0.1:${(server.address() as AddressInfo).port}', { method: 'POST', body })
console.log(await answer.text())
process.exitCode = answer.ok ? 0 : 1
`,
  )
  return { script, stop: () => server.close() }
}

async function runFile(database: Database, text: string) {
  const statements = (text.match(/(?:'[^']*'|[^;'])+/g) ?? []).filter((one) => one.trim())
  const long = statements.find((one) => Buffer.byteLength(one) > 100_000)
  if (long) throw new Error(`Statement too long: ${long.slice(0, 80)}`)
  await database.run(statements)
}
