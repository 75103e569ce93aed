/** `badgekit codes`: the claim codes of a badge. */
import { badgePath } from './badges.mjs'
import {
  act,
  call,
  client,
  given,
  JSON_FLAG,
  readOptions,
  Stop,
  say,
  sayJson,
  showList,
  showOne,
  wholeNumber,
} from './lib/cli.mjs'

export const help = `Usage: npx badgekit codes list BADGE
       npx badgekit codes create BADGE [CODE] [--count N] [--multiuse] [--email ADDRESS]
       npx badgekit codes claim BADGE CODE [--email ADDRESS]
       npx badgekit codes delete BADGE CODE

  npx badgekit codes create city/badges/zine --count 50 > codes.txt   fifty random ones, one a line
  npx badgekit codes create city/badges/zine FESTIVAL --multiuse

  --json
`

const text = /** @type {const} */ ({ type: 'string' })
const flags = /** @type {const} */ ({
  ...JSON_FLAG,
  ...{ count: text, email: text },
  multiuse: { type: 'boolean', default: false },
})

/** @param {string[]} argv */
export function run(argv) {
  const parse = (/** @type {string[]} */ rest) => {
    const { values, positionals } = readOptions(rest, flags, help)
    return { values, path: `${badgePath(positionals[0], help)}/codes`, code: positionals[1] }
  }
  return act(argv, help, {
    list: async (rest) => {
      const { values, path } = parse(rest)
      const { claimCodes } = await call(client(), 'GET', path)
      showList(claimCodes, ['code', 'claimed', 'multiuse', 'email'], values.json)
    },
    create: async (rest) => create(parse(rest)),
    claim: async (rest) => {
      const { values, path, code } = parse(rest)
      const answer = await call(
        client(),
        'POST',
        `${path}/${wanted(code)}/claim`,
        given({ email: values.email }),
      )
      showOne(answer.claimCode, values.json)
    },
    delete: async (rest) => {
      const { values, path, code } = parse(rest)
      const { claimCode } = await call(client(), 'DELETE', `${path}/${wanted(code)}`)
      showOne(claimCode, values.json)
    },
  })
}

/** @param {string | undefined} code */
function wanted(code) {
  if (code === undefined) throw new Stop(`Which code?\n\n${help}`, 2)
  return encodeURIComponent(code)
}

/** @param {{ values: any, path: string, code: string | undefined }} asked */
async function create({ values, path, code }) {
  const count = wholeNumber('count', values.count ?? '1', { from: 1, to: 100_000 })
  if (code !== undefined && count > 1) throw new Stop('--count is for random codes.', 2)
  const body = given({ code, email: values.email, multiuse: values.multiuse || undefined })
  for (let made = 0; made < count; made++) {
    const { claimCode } = await call(
      client(),
      'POST',
      code === undefined ? `${path}/random` : path,
      body,
    )
    if (values.json) sayJson(claimCode)
    else say(claimCode.code)
  }
}
