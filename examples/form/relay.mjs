/**
 * What stands behind the form of `page.html`. A static site can keep no secret, so the organisation runs this beside it: it
 * holds a key, decides, and signs.
 *
 *   BADGEKIT_KEY=… BADGEKIT_SECRET=… SITE=https://www.example.org WORD=… node examples/form/relay.mjs
 *
 * It needs a system, SYSTEM (`demo` unless set), with a badge `open-day`. The key should have the role `issue`, so that the worst
 * that whoever steals it can do is to award. Nobody proves that an address is theirs: award only what says no more than "was
 * there" by such a form. For all other badges post to `applications` here, with a key of the role `review`, and let a person decide.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'
import { BadgeKit, BadgeKitError } from 'badgekit-api/client'

const { BADGEKIT_URL: url = 'http://127.0.0.1:8787', BADGEKIT_KEY: key = 'master' } = process.env
const { SITE = 'http://127.0.0.1:8790', SYSTEM = 'demo', PORT = '8791' } = process.env
const system = new BadgeKit({ url, key, secret: process.env.BADGEKIT_SECRET }).systems(SYSTEM)

/** The badges that the form may award, each with the word for it. What else the page names is not looked at. */
const WORDS = new Map([['open-day', process.env.WORD]])

const digest = (text) => createHash('sha256').update(String(text).trim().toLowerCase()).digest()
const isWord = (given, word) => Boolean(word) && timingSafeEqual(digest(given), digest(word))

/** Ten a minute from one address. Behind a proxy take the address that the proxy tells, or all visitors share one. */
const asked = new Map()
setInterval(() => asked.clear(), 60_000).unref()
function isTooMany(address) {
  asked.set(address, (asked.get(address) ?? 0) + 1)
  return asked.get(address) > 10
}

/** Status and answer for what the form sent. */
async function award({ badge, email, word }) {
  if (!isWord(word, WORDS.get(badge))) return [403, { message: 'That is not the word.' }]
  const given = 'Thank you. The badge is yours.'
  try {
    const { instance } = await system.badges(badge).instances.post({ email })
    return [200, { message: given, url: instance.assertionUrl }]
  } catch (error) {
    // Strangers learn neither who holds the badge nor where: only the one who has just been given it is shown the way.
    if (BadgeKitError.is(error, 'ResourceConflict')) return [200, { message: given }]
    if (BadgeKitError.is(error, 'ValidationError')) {
      return [400, { message: 'This is no email address.' }]
    }
    console.error(error.code, error.requestId)
    return [502, { message: 'Something is wrong on our side. Please try again later.' }]
  }
}

/**
 * Why a request is not even read. A browser tells which site a request comes from, so no other page can use its visitors to send
 * any. Programs can tell what they like: against them stand the word and the limit.
 */
function refusal({ method, headers, socket }) {
  if (headers.origin !== SITE) return [403, { message: 'Not from here.' }]
  if (method !== 'POST') return [405, { message: 'This takes a POST.' }]
  // A form of another site can send other types without asking first; this one it cannot.
  if (headers['content-type'] !== 'application/json') return [415, { message: 'JSON, please.' }]
  if (isTooMany(socket.remoteAddress)) return [429, { message: 'Too often. Wait a minute.' }]
}

async function fieldsOf(request) {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk
    if (text.length > 2_000) return {}
  }
  try {
    return Object(JSON.parse(text))
  } catch {
    return {}
  }
}

const server = createServer(async (request, response) => {
  response.setHeader('Access-Control-Allow-Origin', SITE)
  response.setHeader('Vary', 'Origin')
  if (request.method === 'OPTIONS') {
    response.writeHead(204, { 'Access-Control-Allow-Headers': 'Content-Type' }).end()
    return
  }
  const [status, answer] = refusal(request) ?? (await award(await fieldsOf(request)))
  response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(answer))
})
server.listen(Number(PORT), '127.0.0.1', () => console.log('listening'))
