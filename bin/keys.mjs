/** `badgekit keys`: who may sign, for what and how far. */
import {
  act,
  call,
  client,
  given,
  JSON_FLAG,
  note,
  pathOf,
  readOptions,
  Stop,
  showList,
  showOne,
} from './lib/cli.mjs'

export const help = `Usage: npx badgekit keys list CONTAINER
       npx badgekit keys create CONTAINER [--role ROLE] [--description TEXT] [--expires WHEN] [--allow-no-exp]
       npx badgekit keys rotate CONTAINER KEY
       npx badgekit keys delete CONTAINER KEY

  npx badgekit keys create city --role issue --description "the library's website"
  npx badgekit keys create city/library --role read

A key reaches its container and what is below. ROLE is read, issue, review, manage or admin.
A secret is shown once, when it is made. After \`rotate\` the old one goes on for a day.

  --json
`

const text = /** @type {const} */ ({ type: 'string' })
const flags = /** @type {const} */ ({
  ...JSON_FLAG,
  ...{ role: text, description: text, expires: text },
  'allow-no-exp': { type: 'boolean', default: false },
})

/** @param {string[]} argv */
export function run(argv) {
  const parse = (/** @type {string[]} */ rest) => {
    const { values, positionals } = readOptions(rest, flags, help)
    return { values, path: `${pathOf(positionals[0] ?? '')}/keys`, key: positionals[1] }
  }
  const one = (/** @type {string} */ path, /** @type {string | undefined} */ key) => {
    if (key === undefined) throw new Stop(`Which key?\n\n${help}`, 2)
    return `${path}/${encodeURIComponent(key)}`
  }
  return act(argv, help, {
    list: async (rest) => {
      const { values, path } = parse(rest)
      const { keys } = await call(client(), 'GET', path)
      showList(
        keys,
        ['key', 'role', 'issuer', 'program', 'description', 'lastUsed', 'disabled'],
        values.json,
      )
    },
    create: async (rest) => {
      const { values, path } = parse(rest)
      const { json, 'allow-no-exp': allowNoExp, ...members } = values
      const { key } = await call(
        client(),
        'POST',
        path,
        given({ ...members, allowNoExp: allowNoExp || undefined }),
      )
      tellSecret(key, json)
    },
    rotate: async (rest) => {
      const { values, path, key } = parse(rest)
      const answer = await call(client(), 'POST', `${one(path, key)}/secret/rotate`, {})
      tellSecret(answer.key, values.json)
    },
    delete: async (rest) => {
      const { values, path, key } = parse(rest)
      const answer = await call(client(), 'DELETE', one(path, key))
      showOne(answer.key, values.json)
    },
  })
}

/** @param {Record<string, unknown>} key @param {boolean | undefined} json */
function tellSecret(key, json) {
  showOne(key, json)
  note('The secret is shown nowhere again.')
}
