/** `badgekit listen`: receives webhooks on this machine, checks how they are signed, shows them. */
import { randomBytes } from 'node:crypto'
import {
  call,
  client,
  given,
  note,
  pathOf,
  readOptions,
  Stop,
  say,
  sayJson,
  wholeNumber,
} from './lib/cli.mjs'
import { startReceiver } from './lib/receiver.mjs'

export const help = `Usage: npx badgekit listen SYSTEM [options]      registers itself, and removes itself when it ends
       npx badgekit listen [options]                  for a webhook that is registered already

  npx badgekit listen city
  npx badgekit listen city --events award --count 1 --json | jq .badge.slug
  BADGEKIT_WEBHOOK_SECRET=… npx badgekit listen --port 9000
  npx badgekit listen city --url https://my-tunnel.example.org/   a tunnel of yours that leads to --port

Each message is a line: what happened, to what, to whom, its id, and whether both signatures are good. One
that is not signed by the secret is answered 401, so that its sender tries again.

  --port N         where to listen on 127.0.0.1 (else 9000)
  --url URL        the address to register (else that port; only a local server calls it)
  --events WORDS   award,revoke,review,… (else all)
  --format FORMAT  badgekit-1 or events-1
  --count N        end after so many
  --json           the messages themselves
`

const text = /** @type {const} */ ({ type: 'string' })
const flags = /** @type {const} */ ({
  ...{ port: text, url: text, events: text, format: text, count: text },
  json: { type: 'boolean', default: false },
})

/** @param {string[]} argv */
export async function run(argv) {
  const { values, positionals } = readOptions(argv, flags, help)
  const [system] = positionals
  if (positionals.length > 1) throw new Stop(help, 2)
  const secret =
    system === undefined ? givenSecret() : `whsec_${randomBytes(32).toString('base64')}`
  const port = wholeNumber('port', values.port ?? '9000', { from: 0, to: 65_535 })
  const wanted = values.count && wholeNumber('count', values.count, { from: 1, to: 1_000_000 })
  let [taken, forged] = [0, 0]
  /** @type {(value?: unknown) => void} */
  let end = () => {}
  const ended = new Promise((done) => {
    end = done
  })
  const receiver = await startReceiver(
    port,
    () => secret,
    (message) => {
      if (values.json) sayJson(message.body)
      else say(lineOf(message))
      if (!message.isSigned) forged++
      else if (++taken === wanted) setTimeout(end, 50)
      return message.isSigned ? 204 : 401
    },
  )
  try {
    const registered =
      system === undefined
        ? undefined
        : await register(system, values.url ?? receiver.url, secret, values)
    note(
      `listening on ${receiver.url}${registered ? `, registered as webhook ${registered.id}` : ''}; Ctrl-C ends it`,
    )
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, end)
    await ended
    if (registered) await registered.remove()
  } finally {
    receiver.stop()
  }
  return forged > 0 ? 1 : 0
}

/** Of the environment: what stands in a command line, others on the machine can read. */
function givenSecret() {
  const secret = process.env.BADGEKIT_WEBHOOK_SECRET
  if (secret) return secret
  throw new Stop(`Which system, or which BADGEKIT_WEBHOOK_SECRET?\n\n${help}`, 2)
}

/**
 * @param {string} system
 * @param {string} url
 * @param {string} secret
 * @param {{ events?: string, format?: string }} values
 */
async function register(system, url, secret, { events, format }) {
  const who = client()
  const path = `${pathOf(system)}/webhooks`
  const { webhook } = await call(
    who,
    'POST',
    path,
    given({ url, secret, events: events?.split(','), format }),
  )
  return { id: webhook.id, remove: () => call(who, 'DELETE', `${path}/${webhook.id}`) }
}

/** @param {import('./lib/receiver.mjs').Message} message */
function lineOf({ body, id, standard, legacy, isSigned }) {
  const data = body?.data ?? body ?? {}
  const what = [
    body?.action ?? body?.type ?? 'message',
    data.badge?.slug ?? data.application?.badge?.slug,
    data.email ?? data.instance?.email ?? data.application?.learner,
    id,
  ]
  const verdict = isSigned
    ? 'signed'
    : `FORGED (webhook-signature: ${standard}, Authorization: ${legacy})`
  return [...what.filter(Boolean), verdict].join(' ')
}
