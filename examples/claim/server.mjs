/**
 * A page where people claim a badge with the code that they were given. It works without scripts, on any phone, and ends at the
 * public page of the award.
 *
 *   BADGEKIT_KEY=… BADGEKIT_SECRET=… node examples/claim/server.mjs
 *
 * Codes come from `npx badgekit codes create demo/badges/first-steps --count 50`. A link may bring its code along, for a QR code:
 * http://127.0.0.1:8792/?code=… The key should have the role `issue`; SYSTEM is `demo` unless set.
 */
import { createServer } from 'node:http'
import { BadgeKit, BadgeKitError } from 'badgekit-api/client'

const { BADGEKIT_URL: url = 'http://127.0.0.1:8787', BADGEKIT_KEY: key = 'master' } = process.env
const { SYSTEM = 'demo', PORT = '8792', ORIGIN = `http://127.0.0.1:${PORT}` } = process.env
const system = new BadgeKit({ url, key, secret: process.env.BADGEKIT_SECRET }).systems(SYSTEM)

/** Awards the badge of the code and uses the code up, both or neither. Gives the address to go to, or what to tell. */
async function claim(code, email) {
  try {
    const { badge } = await system.codes(code).get()
    const { instance } = await system.badges(badge.slug).instances.post({ email, claimCode: code })
    return { to: instance.assertionUrl }
  } catch (error) {
    return tell(error)
  }
}

function tell(error) {
  if (BadgeKitError.is(error, 'ResourceNotFound')) {
    return { status: 404, text: 'We do not know this code. Is it typed as it is printed?' }
  }
  if (BadgeKitError.is(error, 'CodeAlreadyUsed')) {
    return { status: 400, text: 'This code has been used. Each one is for one person.' }
  }
  if (BadgeKitError.is(error, 'ValidationError')) {
    return { status: 400, text: 'This is no email address. Is something missing in it?' }
  }
  if (BadgeKitError.is(error, 'ResourceConflict')) {
    // Told only to whoever has a good code; it stays good, for somebody else.
    const page = error.details?.assertionUrl
    const text = page ? 'This address has the badge already.' : 'All of these badges are given.'
    return { status: 409, text, page }
  }
  if (BadgeKitError.is(error, 'TooManyRequests')) {
    return { status: 429, text: 'Too many wrong codes were tried. Please come back in an hour.' }
  }
  console.error(error.code ?? error, error.requestId)
  return {
    status: 502,
    text: 'Something is wrong on our side. Your code is good; try again later.',
  }
}

const escaped = (text) => String(text).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`)

const page = ({ code, email, told }) => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Claim your badge</title>
<h1>Claim your badge</h1>
${told ? `<p role="alert">${escaped(told.text)}${told.page ? ` <a href="${escaped(told.page)}">See it</a>` : ''}</p>` : ''}
<form method="post" action="/">
<p><label>Your code<br><input name="code" value="${escaped(code)}" autocomplete="off" autocapitalize="none" required></label></p>
<p><label>Your email address<br><input name="email" type="email" value="${escaped(email)}" autocomplete="email" required></label></p>
<p><button type="submit">Claim</button></p>
</form>
</html>`

const HEADERS = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
  'Cache-Control': 'no-store',
  // The address may hold a code, which no other site may see.
  'Referrer-Policy': 'same-origin',
}

/** Twenty a minute from one address, so that codes are not guessed here. Behind a proxy take the address that the proxy tells. */
const asked = new Map()
setInterval(() => asked.clear(), 60_000).unref()
function isTooMany(address) {
  asked.set(address, (asked.get(address) ?? 0) + 1)
  return asked.get(address) > 20
}

async function formOf(request) {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk
    if (text.length > 2_000) break
  }
  return new URLSearchParams(text)
}

async function judge({ headers, socket }, code, email) {
  // No other page may try codes with its visitors' browsers.
  if ((headers.origin ?? ORIGIN) !== ORIGIN) return { status: 403, text: 'Use the form below.' }
  if (isTooMany(socket.remoteAddress)) return { status: 429, text: 'Too often. Wait a minute.' }
  // A code with a dot or nothing in it would be no word of a path.
  if (/^\.*$/.test(code)) return { status: 404, text: 'Type the code that you were given.' }
  return claim(code, email)
}

const server = createServer(async (request, response) => {
  const isSent = request.method === 'POST'
  const query = new URL(request.url ?? '/', ORIGIN).searchParams
  const form = isSent ? await formOf(request) : query
  const [code, email] = ['code', 'email'].map((name) => (form.get(name) ?? '').trim())
  const told = isSent ? await judge(request, code, email) : undefined
  if (told?.to) response.writeHead(303, { Location: told.to }).end()
  else response.writeHead(told?.status ?? 200, HEADERS).end(page({ code, email, told }))
})
server.listen(Number(PORT), '127.0.0.1', () => console.log('listening'))
