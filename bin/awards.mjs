/** `badgekit awards`: what becomes of awards after they were made. */
import { badgePath } from './badges.mjs'
import {
  act,
  call,
  client,
  given,
  JSON_FLAG,
  readOptions,
  Stop,
  showList,
  showOne,
} from './lib/cli.mjs'

export const help = `Usage: npx badgekit awards list BADGE [--state STATE]
       npx badgekit awards show BADGE EMAIL
       npx badgekit awards suspend BADGE EMAIL [--reason TEXT]
       npx badgekit awards reinstate BADGE EMAIL [--reason TEXT]
       npx badgekit awards renew BADGE EMAIL [--expires WHEN]
       npx badgekit awards history BADGE EMAIL

  npx badgekit awards list city/badges/first-aid --state expired
  npx badgekit awards suspend city/badges/first-aid ada@example.org --reason "Under review"
  npx badgekit awards renew city/badges/first-aid ada@example.org --expires 2030-01-01

Awards are made, and revoked, by \`badgekit issue\`.

  --state STATE    live, valid, expired, suspended or revoked
  --reason TEXT    why; a suspension's is public
  --expires WHEN   ISO 8601, or Unix seconds; else as the badge says
  --json
`

const text = /** @type {const} */ ({ type: 'string' })

/** @param {string[]} argv */
export function run(argv) {
  return act(argv, help, {
    list: async (rest) => {
      const { values, positionals } = readOptions(rest, { ...JSON_FLAG, state: text }, help)
      const query = values.state ? `?state=${encodeURIComponent(values.state)}` : ''
      const path = `${badgePath(positionals[0], help)}/instances${query}`
      const { instances } = await call(client(), 'GET', path)
      showList(
        instances,
        ['slug', 'email', 'issuedOn', 'expires', 'suspended', 'revoked'],
        values.json,
      )
    },
    show: async (rest) => {
      const { values, positionals } = readOptions(rest, JSON_FLAG, help)
      const { instance } = await call(client(), 'GET', awardPath(positionals))
      show(instance, values.json)
    },
    suspend: (rest) => change('suspend', rest),
    reinstate: (rest) => change('reinstate', rest),
    renew: async (rest) => {
      const { values, positionals } = readOptions(rest, { ...JSON_FLAG, expires: text }, help)
      const body = given({ expires: values.expires })
      const { instance } = await call(client(), 'POST', `${awardPath(positionals)}/renew`, body)
      show(instance, values.json)
    },
    history: async (rest) => {
      const { values, positionals } = readOptions(rest, JSON_FLAG, help)
      const { changes } = await call(client(), 'GET', `${awardPath(positionals)}/history`)
      showList(changes, ['at', 'kind', 'key', 'reason', 'award'], values.json)
    },
  })
}

/** @param {'suspend' | 'reinstate'} verb @param {string[]} rest */
async function change(verb, rest) {
  const { values, positionals } = readOptions(rest, { ...JSON_FLAG, reason: text }, help)
  const body = given({ reason: values.reason })
  const { instance } = await call(client(), 'POST', `${awardPath(positionals)}/${verb}`, body)
  show(instance, values.json)
}

/** @param {any} instance @param {boolean | undefined} json */
function show(instance, json) {
  const { badge: _, urls: __, ...shown } = instance
  showOne(json ? instance : shown, json)
}

/** @param {string[]} positionals */
function awardPath([badge, email]) {
  const path = badgePath(badge, help)
  if (!email) throw new Stop(`Whose award?\n\n${help}`, 2)
  return `${path}/instances/${encodeURIComponent(email)}`
}
