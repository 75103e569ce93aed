/**
 * Receives events: checks the signature, answers, and tells each once. Without WEBHOOK_SECRET it registers itself for
 * the system of `award.mjs`, which a local server allows. Node 22.18 or later runs it as it stands; `npm exec` takes the project's.
 *   BADGEKIT_SECRET=… PORT=9000 npm exec -- node examples/receive-webhook.ts
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingHttpHeaders } from 'node:http'

/** What a `badgekit-1` webhook is sent, as far as this one looks. */
type Message = {
  action: 'award' | 'revoke' | 'review' | 'ping'
  email?: string
  badge?: { slug: string }
  application?: { learner: string; badge: { slug: string } }
}

const { BADGEKIT_URL = 'http://127.0.0.1:8787', PORT = '9000' } = process.env
let secret = process.env.WEBHOOK_SECRET ?? ''

function isSigned(headers: IncomingHttpHeaders, body: string): boolean {
  const [id, time, given = ''] = ['id', 'timestamp', 'signature'].map((name) =>
    String(headers[`webhook-${name}`] ?? ''),
  )
  if (Math.abs(Date.now() / 1000 - Number(time)) > 300) return false
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64')
  const wanted = createHmac('sha256', key).update(`${id}.${time}.${body}`).digest()
  // One signature for each live secret: while one is replaced, there are two.
  return given.split(' ').some((one) => {
    const bytes = Buffer.from(one.split(',')[1] ?? '', 'base64')
    return bytes.length === wanted.length && timingSafeEqual(bytes, wanted)
  })
}

const seen = new Set<string>() // A real receiver keeps these in its database.
const server = createServer(async (request, response) => {
  let body = ''
  for await (const chunk of request.setEncoding('utf8')) body += chunk
  const id = request.headers['webhook-id']
  if (typeof id !== 'string' || !isSigned(request.headers, body)) {
    response.writeHead(400).end()
    return
  }
  response.end()
  if (seen.has(id)) return
  seen.add(id)
  const { action, badge, email, application } = JSON.parse(body) as Message
  console.log(action, (badge ?? application?.badge)?.slug, email ?? application?.learner, id)
})
server.listen(Number(PORT), '127.0.0.1', async () => {
  secret ||= await register(`http://127.0.0.1:${PORT}/`)
  console.log('listening')
})

async function register(url: string): Promise<string> {
  const [path, body] = ['/systems/demo/webhooks', JSON.stringify({ url })]
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const hash = createHash('sha256').update(body).digest('hex')
  const claims = {
    key: 'master',
    method: 'POST',
    path,
    exp: Math.floor(Date.now() / 1000) + 60,
    body: { alg: 'sha256', hash },
  }
  const unsigned = `${part({ typ: 'JWT', alg: 'HS256' })}.${part(claims)}`
  const mac = createHmac('sha256', process.env.BADGEKIT_SECRET ?? '').update(unsigned)
  const authorization = `JWT token="${unsigned}.${mac.digest('base64url')}"`
  const headers = { authorization, 'content-type': 'application/json' }
  const response = await fetch(BADGEKIT_URL + path, { method: 'POST', headers, body })
  return ((await response.json()) as { webhook: { secret: string } }).webhook.secret
}
