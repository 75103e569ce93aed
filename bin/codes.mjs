/** `badgekit codes`: the claim codes of a badge. */
import { badgePath } from './badges.mjs'
import {
  act,
  call,
  client,
  download,
  given,
  JSON_FLAG,
  note,
  readOptions,
  Stop,
  say,
  sayJson,
  showList,
  showOne,
  wholeNumber,
  writeGiven,
} from './lib/cli.mjs'

export const help = `Usage: npx badgekit codes list BADGE [--unclaimed] [--sheet FILE]
       npx badgekit codes create BADGE [CODE] [--count N] [--sheet FILE] [options]
       npx badgekit codes claim BADGE CODE [--email ADDRESS]
       npx badgekit codes delete BADGE CODE

  npx badgekit codes create city/badges/zine --count 50 > codes.txt   fifty random ones, one a line
  npx badgekit codes create city/badges/zine --count 50 --sheet cards.html   fifty cards with QR codes, to print from a browser
  npx badgekit codes create city/badges/zine FESTIVAL --multiuse --max-uses 200 --valid-until 2026-07-01T20:00Z
  npx badgekit codes list city/badges/zine --unclaimed --sheet cards.html   those that are left

  --valid-from DATE   --valid-until DATE   when they may be claimed; a date without a time is its first moment, in UTC
  --multiuse          --max-uses N         more than once, and how often
  --email ADDRESS     --reserved           who it is meant for, and that nobody else may claim it
  --json
`

const text = /** @type {const} */ ({ type: 'string' })
const yes = /** @type {const} */ ({ type: 'boolean', default: false })
const flags = /** @type {const} */ ({
  ...JSON_FLAG,
  ...{ count: text, email: text, 'valid-from': text, 'valid-until': text, 'max-uses': text },
  ...{ sheet: text, multiuse: yes, reserved: yes, unclaimed: yes },
})

/** The most codes that one request makes. */
const BATCH = 10_000

/** @param {string[]} argv */
export function run(argv) {
  const parse = (/** @type {string[]} */ rest) => {
    const { values, positionals } = readOptions(rest, flags, help)
    return { values, path: `${badgePath(positionals[0], help)}/codes`, code: positionals[1] }
  }
  return act(argv, help, {
    list: async (rest) => {
      const { values, path } = parse(rest)
      await list(path, values)
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

const COLUMNS = ['code', 'claimed', 'uses', 'remaining', 'multiuse', 'email', 'validUntil']

/** @param {string} path @param {{ sheet?: string, unclaimed?: boolean, json?: boolean }} asked */
async function list(path, { sheet, unclaimed, json }) {
  const which = unclaimed ? '&claimed=false' : ''
  if (sheet !== undefined) return print(path, which, sheet)
  const lines = await download(client(), `${path}?format=ndjson${which}`)
  const codes = lines
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
  showList(json ? codes : codes.map(({ terms, ...code }) => ({ ...code, ...terms })), COLUMNS, json)
}

/** @param {string} path @param {string} which @param {string} sheet */
async function print(path, which, sheet) {
  writeGiven(sheet, await download(client(), `${path}?format=sheet${which}`))
  note(`${sheet}: open it in a browser, and print`)
}

/** @param {{ values: any, path: string, code: string | undefined }} asked */
async function create({ values, path, code }) {
  const count = wholeNumber('count', values.count ?? '1', { from: 1, to: 100_000 })
  if (code !== undefined && count > 1) throw new Stop('--count is for random codes.', 2)
  const terms = given({
    multiuse: values.multiuse || undefined,
    maxUses: values['max-uses'],
    validFrom: values['valid-from'],
    validUntil: values['valid-until'],
  })
  const own = given({ email: values.email, reserved: values.reserved || undefined })
  // A batch is for nobody in particular.
  const isBatch = count > 1 && Object.keys(own).length === 0
  let first
  for (let made = 0; made < count; ) {
    const left = Math.min(BATCH, count - made)
    const { claimCode, claimCodes = [claimCode] } = await (isBatch
      ? call(client(), 'POST', `${path}/batch`, { count: left, ...terms })
      : call(client(), 'POST', code === undefined ? `${path}/random` : path, {
          ...given({ code }),
          ...own,
          ...terms,
        }))
    for (const one of claimCodes) {
      if (values.json) sayJson(one)
      else say(one.code)
    }
    made += claimCodes.length
    first ??= claimCodes[0].id
  }
  if (values.sheet !== undefined) await print(path, `&from=${first}`, values.sheet)
}
