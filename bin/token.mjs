/** `badgekit token`: how a request is signed, to be used elsewhere. */
import { token } from '../scripts/sign.mjs'
import { client, readOptions, Stop, say } from './lib/cli.mjs'

export const help = `Usage: npx badgekit token METHOD PATH [BODY] [--curl]

  npx badgekit token GET /systems                  the token, for Authorization: JWT token="…"
  npx badgekit token POST /systems '{…}' --curl    the whole request, to paste into a shell

It is good for one minute, this method, this path with its query, and these bytes.
`

/** @param {string[]} argv */
export async function run(argv) {
  const flags = /** @type {const} */ ({ curl: { type: 'boolean', default: false } })
  const { values, positionals } = readOptions(argv, flags, help)
  const [method = '', path, body] = positionals
  if (path === undefined || positionals.length > 3) throw new Stop(help, 2)
  const who = client()
  const target = new URL(path, who.url)
  const verb = method.toUpperCase()
  const jwt = token(who, verb, target.pathname + target.search, body)
  if (!values.curl) say(jwt)
  else {
    const data =
      body === undefined
        ? ''
        : ` \\\n  -H 'Content-Type: application/json' --data-binary ${shell(body)}`
    say(`curl -X ${verb} ${shell(target.href)} \\\n  -H 'Authorization: JWT token="${jwt}"'${data}`)
  }
  return 0
}

/** @param {string} text */
const shell = (text) => `'${text.replaceAll("'", `'\\''`)}'`
