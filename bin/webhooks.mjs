/** `badgekit webhooks`: who is told of what happens. */
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
  say,
  showList,
  showOne,
} from './lib/cli.mjs'

export const help = `Usage: npx badgekit webhooks list SYSTEM
       npx badgekit webhooks create SYSTEM URL [--events award,revoke] [--format badgekit-1|events-1]
       npx badgekit webhooks test SYSTEM ID
       npx badgekit webhooks log SYSTEM [--state pending|delivered|exhausted]
       npx badgekit webhooks delete SYSTEM ID

  npx badgekit webhooks create city https://example.org/hook --events award
  npx badgekit webhooks test city 3       sends a ping and tells what came of it

A secret is shown once, when it is made; one of your own stands in BADGEKIT_WEBHOOK_SECRET. \`badgekit listen\` receives them on this machine.

  --json
`

const text = /** @type {const} */ ({ type: 'string' })
const flags = { ...JSON_FLAG, events: text, format: text, state: text }

/** @param {string[]} argv */
export function run(argv) {
  const parse = (/** @type {string[]} */ rest) => {
    const { values, positionals } = readOptions(rest, flags, help)
    return { values, system: pathOf(positionals[0] ?? ''), word: positionals[1] }
  }
  const one = (/** @type {{ system: string, word: string | undefined }} */ { system, word }) => {
    if (word === undefined) throw new Stop(`Which webhook?\n\n${help}`, 2)
    return `${system}/webhooks/${encodeURIComponent(word)}`
  }
  return act(argv, help, {
    list: async (rest) => {
      const { values, system } = parse(rest)
      const { webhooks } = await call(client(), 'GET', `${system}/webhooks`)
      showList(webhooks, ['id', 'url', 'events', 'format', 'state', 'disabledReason'], values.json)
    },
    create: async (rest) => {
      const { values, system, word } = parse(rest)
      const { json, events, state: _, ...members } = values
      const secret = process.env.BADGEKIT_WEBHOOK_SECRET || undefined
      const body = given({ url: word, secret, ...members, events: events?.split(',') })
      const { webhook } = await call(client(), 'POST', `${system}/webhooks`, body)
      showOne(webhook, json)
      note('The secret is shown nowhere again.')
    },
    test: async (rest) => {
      const asked = parse(rest)
      const { status, attempt } = await call(client(), 'POST', `${one(asked)}/test`, {})
      if (asked.values.json) showOne({ status, attempt }, true)
      else say(`${status}: ${attempt.status ?? attempt.error} after ${attempt.ms} ms`)
      return status === 'sent' ? 0 : 1
    },
    log: async (rest) => {
      const { values, system } = parse(rest)
      const query = values.state ? `?state=${encodeURIComponent(values.state)}` : ''
      const { deliveries } = await call(client(), 'GET', `${system}/deliveries${query}`)
      const rows = deliveries.map((/** @type {any} */ { event, ...one }) => ({
        ...one,
        type: event.type,
        subject: event.subject,
        created: event.created,
      }))
      if (values.json) showList(deliveries, [], true)
      else
        showList(rows, ['id', 'type', 'subject', 'created', 'state', 'attempts', 'nextAt'], false)
    },
    delete: async (rest) => {
      const asked = parse(rest)
      const { webhook } = await call(client(), 'DELETE', one(asked))
      showOne(webhook, asked.values.json)
    },
  })
}
