/** `badgekit issue`: award a badge to one or many, or take an award back. */
import { badgePath } from './badges.mjs'
import {
  call,
  client,
  given,
  JSON_FLAG,
  note,
  readGiven,
  readOptions,
  Stop,
  say,
  sayJson,
  showOne,
} from './lib/cli.mjs'

export const help = `Usage: npx badgekit issue BADGE EMAIL [EMAIL ...] [options]
       npx badgekit issue BADGE --from FILE [options]
       npx badgekit issue BADGE EMAIL --revoke [--reason TEXT]

  npx badgekit issue city/badges/zine ada@example.org
  npx badgekit issue city/library/badges/zine --from emails.txt --comment "Well done"
  npx badgekit issue city/badges/zine ada@example.org --revoke --reason "Awarded by mistake"

Several earners are awarded together or not at all; who holds the badge already is passed over.

  --from FILE      one address a line
  --expires WHEN   ISO 8601, or Unix seconds
  --comment TEXT   told to webhooks, not stored
  --code CODE      the claim code that this uses up (one earner)
  --repeat         again, although held, where the badge allows it (one earner)
  --json
`

const text = /** @type {const} */ ({ type: 'string' })
const bool = /** @type {const} */ ({ type: 'boolean', default: false })
const flags = {
  ...JSON_FLAG,
  ...{ from: text, expires: text, comment: text, code: text, reason: text },
  ...{ repeat: bool, revoke: bool },
}

/** @param {string[]} argv */
export async function run(argv) {
  const { values, positionals } = readOptions(argv, flags, help)
  const [badge, ...emails] = positionals
  const path = `${badgePath(badge, help)}/instances`
  if (values.from) emails.push(...String(readGiven(values.from)).split(/\s+/).filter(Boolean))
  if (emails.length === 0) throw new Stop(`Whom?\n\n${help}`, 2)
  if (values.revoke) return revoke(path, emails, values)
  const { expires, comment, code: claimCode, repeat } = values
  if (emails.length === 1) {
    const body = given({
      email: emails[0],
      expires,
      comment,
      claimCode,
      repeat: repeat || undefined,
    })
    const { instance } = await call(client(), 'POST', path, body)
    const { badge: _, urls: __, ...shown } = instance
    showOne(values.json ? instance : shown, values.json)
    return 0
  }
  const { instances } = await call(
    client(),
    'POST',
    `${path}/bulk`,
    given({ emails, expires, comment }),
  )
  if (values.json) sayJson(instances)
  else for (const { email, assertionUrl } of instances) say(`${email}  ${assertionUrl}`)
  note(`${instances.length} of ${emails.length} awarded; the others held it already`)
  return 0
}

/** @param {string} path @param {string[]} emails @param {{ reason?: string, json?: boolean }} values */
async function revoke(path, emails, { reason, json }) {
  const query = reason ? `?reason=${encodeURIComponent(reason)}` : ''
  for (const email of emails) {
    const { instance } = await call(
      client(),
      'DELETE',
      `${path}/${encodeURIComponent(email)}${query}`,
    )
    if (json) sayJson(instance)
    else say(`revoked  ${email}  ${instance.assertionUrl}`)
  }
  return 0
}
