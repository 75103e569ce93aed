/** `badgekit request METHOD PATH [JSON]`, which `npm run api` is: one signed request from the shell. */
import { readFileSync } from 'node:fs'
import { extname } from 'node:path'
import { explain, signedFetch } from '../scripts/sign.mjs'
import { client, hintOf, note, readGiven, Stop } from './lib/cli.mjs'

export const help = `Usage: npm run api -- METHOD PATH [BODY] [-H 'Name: value' ...]
       npx badgekit request METHOD PATH [BODY] [-H 'Name: value' ...]

  npm run api -- GET /systems
  npm run api -- POST /systems '{"slug":"city","name":"City","url":"https://city.example.org"}'
  npm run api -- PUT /systems/city @city.json        the body from a file
  cat city.json | npm run api -- POST /systems -     the body from standard input

The status goes to standard error and the answer to standard output, so the answer can be piped
(with \`npm run --silent api -- ...\`). The exit code is 1 for a status of 400 or more.

It signs with the master secret in .dev.vars for http://127.0.0.1:8787. Set in the environment:

  BADGEKIT_URL      another server
  BADGEKIT_KEY      another key than "master", with its
  BADGEKIT_SECRET   secret
  BADGEKIT_SECRETS  the file that \`npm run deploy\` made, in place of the three above
`

/** @type {Record<string, string>} */
const TYPES = { '.csv': 'text/csv', '.ndjson': 'application/x-ndjson' }

/** @param {string[]} argv */
function parseArguments(argv) {
  const rest = [...argv]
  const words = []
  /** @type {Record<string, string>} */
  const headers = {}
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word !== '-H') {
      words.push(word)
      continue
    }
    const [, name, value] = /^([^:\s]+)\s*:\s*(.*)$/.exec(rest.shift() ?? '') ?? []
    if (name === undefined || value === undefined) throw new Stop("-H needs 'Name: value'.", 2)
    headers[name.toLowerCase()] = value
  }
  const [method, path, body] = words
  if (method === undefined || path === undefined || words.length > 3) return undefined
  return { method, path: path.startsWith('/') ? path : `/${path}`, body, headers }
}

/** @param {string | undefined} given */
function readBody(given) {
  if (given === undefined) return {}
  const file = given === '-' ? 0 : given.startsWith('@') ? given.slice(1) : undefined
  const bytes =
    file === undefined ? Buffer.from(given) : file === 0 ? readFileSync(0) : readGiven(file)
  const type = typeof file === 'string' ? TYPES[extname(file)] : undefined
  if (type === undefined) {
    try {
      JSON.parse(bytes.toString('utf8'))
    } catch (error) {
      // Refused here: the server would only say it less clearly, after a look at the shell's quoting.
      throw new Stop(`The body is not JSON: ${/** @type {Error} */ (error).message}`, 2)
    }
  }
  return { bytes, type }
}

/** @param {string[]} argv */
export async function run(argv) {
  const request = parseArguments(argv)
  if (request === undefined) throw new Stop(help, 2)
  const who = client()
  const { bytes, type } = readBody(request.body)
  const headers = type ? { 'content-type': type, ...request.headers } : request.headers
  const started = performance.now()
  let response
  try {
    response = await signedFetch(who, request.method, request.path, bytes, headers)
  } catch (error) {
    throw new Stop(explain(error, who.url))
  }
  const answer = Buffer.from(await response.arrayBuffer())
  const ms = Math.round(performance.now() - started)
  process.stderr.write(`${response.status} ${response.statusText} (${ms} ms)\n`)
  for (const name of ['location', 'link', 'etag', 'retry-after', 'x-request-id']) {
    const value = response.headers.get(name)
    if (value !== null) process.stderr.write(`${name}: ${value}\n`)
  }
  if (/\bjson\b/.test(response.headers.get('content-type') ?? '')) {
    let text = answer.toString('utf8')
    try {
      text = JSON.stringify(JSON.parse(text), null, 2)
    } catch {
      // Shown as it came: several documents in one answer, or one that was cut short.
    }
    process.stdout.write(`${text}\n`)
  } else {
    process.stdout.write(answer)
  }
  const hint = hintOf(response, who)
  if (hint) note(hint)
  return response.status >= 400 ? 1 : 0
}
