/**
 * Awards a badge, making its system and the badge first if they are not there yet.
 *
 *   BADGEKIT_SECRET=… node examples/award.mjs ada@example.org
 *
 * BADGEKIT_URL is http://127.0.0.1:8787 unless set; BADGEKIT_KEY is `master`.
 */
import { createHash, createHmac } from 'node:crypto'

const { BADGEKIT_URL = 'http://127.0.0.1:8787', BADGEKIT_KEY: key = 'master' } = process.env
const secret = process.env.BADGEKIT_SECRET ?? ''
const email = process.argv[2] ?? 'ada@example.org'

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')

async function call(method, path, fields) {
  const body = fields && JSON.stringify(fields)
  const hash = createHash('sha256')
    .update(body ?? '')
    .digest('hex')
  const exp = Math.floor(Date.now() / 1000) + 60
  const claims = { key, method, path, exp, ...(body && { body: { alg: 'sha256', hash } }) }
  const unsigned = `${part({ typ: 'JWT', alg: 'HS256' })}.${part(claims)}`
  const signature = createHmac('sha256', secret).update(unsigned).digest('base64url')
  const headers = { authorization: `JWT token="${unsigned}.${signature}"` }
  if (body) headers['content-type'] = 'application/json'
  const response = await fetch(BADGEKIT_URL + path, { method, headers, body })
  const answer = await response.json()
  if (!response.ok && answer.code !== 'ResourceConflict') throw new Error(answer.message)
  return answer
}

// A conflict means that it is there already, which is what we want.
await call('POST', '/systems', { slug: 'demo', name: 'Demo', url: 'https://demo.example.org' })
await call('POST', '/systems/demo/badges', {
  slug: 'first-steps',
  name: 'First Steps',
  earnerDescription: 'You took the first steps.',
  consumerDescription: 'The holder took the first steps.',
  criteriaUrl: 'https://demo.example.org/first-steps',
  unique: 1,
  image: 'https://demo.example.org/first-steps.png',
})
const path = '/systems/demo/badges/first-steps/instances'
const { instance, details } = await call('POST', path, { email })
console.log(instance ? 'awarded' : 'held already', instance?.assertionUrl ?? details.assertionUrl)
