/** `badgekit systems`, `issuers` and `programs`: one file, because nothing but the level differs. */
import {
  act,
  call,
  client,
  given,
  JSON_FLAG,
  pathOf,
  readOptions,
  Stop,
  showList,
  showOne,
  splitPath,
} from './lib/cli.mjs'
import { imageOf } from './lib/image.mjs'

export const help = `Usage: npx badgekit systems list
       npx badgekit issuers list SYSTEM
       npx badgekit programs list SYSTEM/ISSUER
       npx badgekit systems|issuers|programs show PATH
       npx badgekit systems|issuers|programs create PATH --name NAME --url URL [options]

PATH is short, \`city\`, \`city/library\`, \`city/library/summer\`, or the API's own, \`/systems/city/issuers/library\`.

  npx badgekit systems create city --name "The City" --url https://city.example.org
  npx badgekit issuers create city/library --name Library --url https://library.example.org --image logo.png

  --description TEXT   --email ADDRESS   --image FILE or URL   --json
  --claim-url URL      of a system: where codes are claimed, with {code} in it, and {badge} where it is wanted
`

const LEVELS = ['systems', 'issuers', 'programs']
const text = /** @type {const} */ ({ type: 'string' })
const flags = {
  ...JSON_FLAG,
  ...{ name: text, url: text, description: text, email: text, image: text, 'claim-url': text },
}

/** @param {string[]} argv @param {string} plural */
export function run(argv, plural) {
  const one = plural.slice(0, -1)
  return act(argv, help, {
    list: async (rest) => {
      const { values, positionals } = readOptions(rest, JSON_FLAG, help)
      const answer = await call(client(), 'GET', listPath(plural, positionals[0]))
      showList(answer[plural], ['id', 'slug', 'name', 'url'], values.json)
    },
    show: async (rest) => {
      const { values, positionals } = readOptions(rest, JSON_FLAG, help)
      const answer = await call(client(), 'GET', levelPath(plural, positionals[0]))
      showOne(answer[one], values.json)
    },
    create: async (rest) => {
      const { values, positionals } = readOptions(rest, flags, help)
      const { list, slug } = splitPath(levelPath(plural, positionals[0]))
      const { json, image, 'claim-url': claimUrl, ...members } = values
      if (claimUrl !== undefined && plural !== 'systems') {
        throw new Stop('--claim-url is said of a system.', 2)
      }
      const body = given({ slug, ...members, claimUrl, image: imageOf(image) })
      const answer = await call(client(), 'POST', list, body)
      showOne(answer[one], json)
    },
  })
}

/** The path of a thing of this level, and of no other. @param {string} plural @param {string | undefined} path */
function levelPath(plural, path) {
  const found = pathOf(path ?? '')
  const words = found.split('/')
  if (words.length === 2 * LEVELS.indexOf(plural) + 3 && words.at(-2) === plural) return found
  throw new Stop(`${path ?? 'That'} does not name one of the ${plural}.\n\n${help}`, 2)
}

/** @param {string} plural @param {string | undefined} parent */
function listPath(plural, parent) {
  if (plural === 'systems') return '/systems'
  const above = LEVELS[LEVELS.indexOf(plural) - 1] ?? ''
  return `${levelPath(above, parent)}/${plural}`
}
