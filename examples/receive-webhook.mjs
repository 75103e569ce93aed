/**
 * Receives events: checks the signature, answers, and tells each once. Without WEBHOOK_SECRET it registers itself for
 * the system of `award.mjs`, which a local server allows.
 *   BADGEKIT_SECRET=… PORT=9000 node examples/receive-webhook.mjs
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'

const { BADGEKIT_URL = 'http://127.0.0.1:8787', PORT = '9000' } = process.env
let secret = process.env.WEBHOOK_SECRET

function isSigned(headers, body) {
  const [id, time] = [headers['webhook-id'], headers['webhook-timestamp']]
  if (Math.abs(Date.now() / 1000 - Number(time)) > 300) return false
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64')
  const wanted = createHmac('sha256', key).update(`${id}.${time}.${body}`).digest()
  const given = headers['webhook-signature'].split(' ').map((one) => one.split(',')[1] ?? '')
  const bytes = given.map((one) => Buffer.from(one, 'base64'))
  return bytes.some((one) => one.length === wanted.length && timingSafeEqual(one, wanted))
}

const seen = new Set() // A real receiver keeps these in its database.
const server = createServer(async (request, response) => {
  let body = ''
  for await (const chunk of request.setEncoding('utf8')) body += chunk
  const id = request.headers['webhook-id']
  if (!id || !isSigned(request.headers, body)) return response.writeHead(400).end()
  response.end()
  if (seen.has(id)) return
  seen.add(id)
  const { action, badge, email, application } = JSON.parse(body)
  console.log(action, (badge ?? application.badge).slug, email ?? application.learner, id)
})
server.listen(Number(PORT), '127.0.0.1', async () => {
  secret ??= await register(`http://127.0.0.1:${PORT}/`)
  console.log('listening')
})

async function register(url) {
  const [path, body] = ['/systems/demo/webhooks', JSON.stringify({ url })]
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const hash = createHash('sha256').update(body).digest('hex')
  const claims = { key: 'master', method: 'POST', path, body: { alg: 'sha256', hash } }
  const unsigned = `${part({ typ: 'JWT', alg: 'HS256' })}.${part(claims)}`
  const mac = createHmac('sha256', process.env.BADGEKIT_SECRET ?? '').update(unsigned)
  const authorization = `JWT token="${unsigned}.${mac.digest('base64url')}"`
  const headers = { authorization, 'content-type': 'application/json' }
  const response = await fetch(BADGEKIT_URL + path, { method: 'POST', headers, body })
  return (await response.json()).webhook.secret
}
