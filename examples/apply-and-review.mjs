/**
 * A learner applies for the badge of `award.mjs`; a reviewer approves; the badge is awarded.
 *
 *   BADGEKIT_SECRET=… node examples/apply-and-review.mjs bo@example.org
 */
import { createHash, createHmac } from 'node:crypto'

const { BADGEKIT_URL = 'http://127.0.0.1:8787', BADGEKIT_KEY: key = 'master' } = process.env
const secret = process.env.BADGEKIT_SECRET ?? ''
const learner = process.argv[2] ?? 'bo@example.org'

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
  if (!response.ok) throw new Error(`${response.status} ${answer.code}: ${answer.message}`)
  return answer
}

const badge = '/systems/demo/badges/first-steps'
const evidence = [{ url: 'https://bo.example.org/steps', mediaType: 'link', reflection: 'Mine.' }]
const { application } = await call('POST', `${badge}/applications`, { learner, evidence })
console.log('applied', application.slug)

const file = `${badge}/applications/${application.slug}`
const satisfied = application.badge.criteria.map(({ id }) => ({ criterionId: id, satisfied: 1 }))
const author = 'reviewer@example.org'
await call('POST', `${file}/reviews`, { author, comment: 'Well done.', reviewItems: satisfied })
console.log('reviewed by', author)

// A review decides nothing by itself: whoever reviews awards the badge and closes the application.
const { instance } = await call('POST', `${badge}/instances`, { email: learner })
await call('PUT', file, { processed: new Date().toISOString() })
console.log('awarded', instance.assertionUrl)
