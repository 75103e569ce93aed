/**
 * Receives webhooks with Express: checks the raw body, keeps each message once in a folder, answers, and only then works on it.
 *
 *   WEBHOOK_SECRET=whsec_… PORT=9000 node examples/receive-webhook-express.mjs
 *
 * The secret is told when the webhook is registered: `npx badgekit webhooks create demo http://127.0.0.1:9000/`. INBOX names the
 * folder, `inbox` unless set. A folder does for one process; with several, the message's id is the key of a table.
 */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { verifyWebhook, WebhookError } from 'badgekit-api/client'
import express from 'express'

const { WEBHOOK_SECRET = '', PORT = '9000', INBOX = 'inbox' } = process.env

/**
 * Who holds what. A revocation is for ever, as an award's uid comes only once: whichever of the two arrives first, and however
 * often, the end is the same.
 */
const holders = new Map()
const revoked = new Set()
function work({ action, uid, badge, email }) {
  if (action === 'revoke') {
    revoked.add(uid)
    holders.delete(uid)
  }
  if (action === 'award' && !revoked.has(uid)) holders.set(uid, `${email} ${badge.slug}`)
  console.log(action, [...holders.values()].sort().join(', '))
}

// What was kept before is worked on again when this starts: a crash after an answer loses nothing.
mkdirSync(INBOX, { recursive: true })
for (const name of readdirSync(INBOX)) work(JSON.parse(readFileSync(join(INBOX, name), 'utf8')))

const app = express()

// `express.raw` and no `express.json` before it: the signature is over the bytes that came.
app.post('/', express.raw({ type: '*/*', limit: '1mb' }), async (request, response) => {
  const { headers, body } = request
  let message
  try {
    // Compares in constant time, and refuses what is older than five minutes.
    message = await verifyWebhook({ headers, body }, WEBHOOK_SECRET)
  } catch (error) {
    if (!(error instanceof WebhookError)) throw error
    return response.sendStatus(400)
  }
  try {
    // `wx` fails when the file is there: the message has come before. Its id is safe in a name only now that it is signed.
    await writeFile(join(INBOX, headers['webhook-id']), body, { flag: 'wx', flush: true })
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
    return response.sendStatus(204)
  }
  response.sendStatus(204)
  work(message)
})

app.listen(Number(PORT), '127.0.0.1', () => console.log('listening'))
