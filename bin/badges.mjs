/** `badgekit badges`: list, show, create. */
import {
  act,
  call,
  client,
  given,
  JSON_FLAG,
  pathOf,
  readGiven,
  readOptions,
  Stop,
  showList,
  showOne,
  splitPath,
} from './lib/cli.mjs'
import { imageOf } from './lib/image.mjs'

export const help = `Usage: npx badgekit badges list CONTAINER [filters]
       npx badgekit badges show CONTAINER/badges/BADGE
       npx badgekit badges create CONTAINER/badges/BADGE [options]

CONTAINER is a system, issuer or program: \`city\`, \`city/library\`, \`city/library/summer\`.

  npx badgekit badges list city
  npx badgekit badges list city --search "paper bees" --sort=-awarded
  npx badgekit badges create city/library/badges/zine --name "Zine Maker" --image zine.svg \\
    --criteria-url https://city.example.org/zine --earner "You made a zine." --consumer "They made a zine."
  npx badgekit badges create city/badges/zine --from badge.json

  --name TEXT          --earner TEXT    what it says to who earned it
  --criteria-url URL   --consumer TEXT  what it says to everybody else
  --image FILE or URL  --unique         an earner has it once
  --limit N            at most N hold it
  --tag WORD           as often as you like
  --from FILE          a JSON object with these and all other members; options come before it
  --json

Filters of a list, as docs/find.md tells of them:
  --archived true|false|any   --tag WORD   --category WORD   --search WORDS   --updated-since DATE
  --sort name, created, updated or awarded; --sort=-name is backwards
`

const text = /** @type {const} */ ({ type: 'string' })
const flags = /** @type {const} */ ({
  ...JSON_FLAG,
  ...{
    name: text,
    'criteria-url': text,
    earner: text,
    consumer: text,
    image: text,
    limit: text,
    from: text,
  },
  unique: { type: 'boolean', default: false },
  tag: { type: 'string', multiple: true },
})

const filters = /** @type {const} */ ({
  ...JSON_FLAG,
  ...{ archived: text, tag: text, category: text, search: text, sort: text },
  'updated-since': text,
})

/** @param {Record<string, any>} values */
function queryOf({ archived, tag, category, search, sort, 'updated-since': updatedSince }) {
  const members = given({ archived, tag, category, search, sort, updatedSince })
  const query = String(new URLSearchParams(/** @type {Record<string, string>} */ (members)))
  return query && `?${query}`
}

/** @param {string[]} argv */
export function run(argv) {
  return act(argv, help, {
    list: async (rest) => {
      const { values, positionals } = readOptions(rest, filters, help)
      const list = `${pathOf(positionals[0] ?? '')}/badges`
      const { badges } = await call(client(), 'GET', list + queryOf(values))
      showList(badges, ['id', 'slug', 'name', 'limit', 'archived'], values.json)
    },
    show: async (rest) => {
      const { values, positionals } = readOptions(rest, JSON_FLAG, help)
      const { badge } = await call(client(), 'GET', badgePath(positionals[0], help))
      showOne(badge, values.json)
    },
    create: async (rest) => {
      const { values, positionals } = readOptions(rest, flags, help)
      const { list, slug } = splitPath(badgePath(positionals[0], help))
      const { badge } = await call(client(), 'POST', list, { slug, ...bodyOf(values) })
      showOne(badge, values.json)
    },
  })
}

/** @param {Record<string, any>} values */
function bodyOf(values) {
  return {
    unique: values.unique ? 1 : 0,
    ...(values.from && membersOf(values.from)),
    ...given({
      name: values.name,
      criteriaUrl: values['criteria-url'],
      earnerDescription: values.earner,
      consumerDescription: values.consumer,
      image: imageOf(values.image),
      limit: values.limit,
      tags: values.tag,
    }),
  }
}

/** @param {string} path @returns {Record<string, unknown>} */
function membersOf(path) {
  try {
    return JSON.parse(String(readGiven(path)))
  } catch (error) {
    if (error instanceof Stop) throw error
    throw new Stop(`${path} is not JSON: ${/** @type {Error} */ (error).message}`, 2)
  }
}

/** @param {string | undefined} given @param {string} help */
export function badgePath(given, help) {
  const path = pathOf(given ?? '')
  if (/\/badges\/[^/]+$/.test(path)) return path
  throw new Stop(`${given ?? 'That'} does not name a badge: city/badges/zine does.\n\n${help}`, 2)
}
