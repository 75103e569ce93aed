import { type Context, Hono } from 'hono'
import { cors } from 'hono/cors'
import * as z from 'zod'
import type { Env } from '../env'
import { ApiError, badRequest, invalid } from '../errors'
import { readJson } from '../fields'
import { readBody } from '../pipeline'
import { limitedByAddress } from '../rateLimit'
import { about } from '../spec'
import { documentsOf } from '../verify/documents'
import { isObject, type Json } from '../verify/json'
import { RESULTS, STEPS } from '../verify/steps'
import { type Given, verify } from '../verify/verify'

const Report = z.object({
  verified: z.boolean(),
  steps: z.array(z.object({ name: z.enum(STEPS), result: z.enum(RESULTS), message: z.string() })),
  credential: z
    .object({
      version: z.string(),
      name: z.string().nullable(),
      issuer: z.string().nullable(),
      issuedOn: z.string().nullable(),
      expires: z.string().nullable(),
    })
    .nullable(),
})

const MAX_EMAIL = 254
/** Addresses that others awarded to: laxer than what we award to. */
const EMAIL = /.@./

/** One of the first three; a credential, a token or a baked image may also be the body itself. */
const Body = z.object({
  url: z.string().optional().describe('Where the credential is'),
  credential: z.looseObject({}).optional().describe('The credential in JSON'),
  jwt: z.string().optional().describe('The credential as a token'),
  recipient: z
    .string()
    .max(MAX_EMAIL)
    .regex(EMAIL)
    .optional()
    .describe('An email address that it should belong to'),
})

/** What may be the body itself; an address and a recipient go into JSON. */
const TOKENS = ['text/plain', 'application/jwt', 'application/vc+jwt']
const IMAGES = ['image/png', 'image/svg+xml']
const CREDENTIALS = ['application/ld+json', 'application/vc', 'application/vc+ld+json']
const MEDIA = [...CREDENTIALS, ...TOKENS, ...IMAGES]

/** `POST /public/verify`. `ask` asks this very app: what we publish ourselves is not fetched over the network. */
export const verifyRoutes = (
  ask: (request: Request, c: Context<Env>) => Promise<Response>,
): Hono<Env> =>
  new Hono<Env>()
    .use('/public/verify', cors({ origin: '*', allowMethods: ['POST'] }))
    .post(
      '/public/verify',
      about('Verify a credential', Report, { open: true, body: Body, media: MEDIA }),
      limitedByAddress,
      readBody,
      async (c) => {
        const { given, recipient } = readGiven(c.req.header('Content-Type'), c.var.raw)
        const documents = documentsOf(c.env, (request) => ask(request, c))
        const report = await verify(given, { documents, now: c.var.now, recipient })
        return c.json(report, 200, { 'Cache-Control': 'no-store' })
      },
    ) as Hono<Env>

type Inquired = { given: Given; recipient: string | null }

/** What is to be verified, by the type of the body. */
function readGiven(contentType: string | undefined, raw: Uint8Array<ArrayBuffer>): Inquired {
  const type = contentType?.split(';', 1)[0]?.trim().toLowerCase() || 'application/octet-stream'
  if (raw.length === 0) throw badRequest('The body is empty')
  if (IMAGES.includes(type)) {
    return { given: { image: raw }, recipient: null }
  }
  if (TOKENS.includes(type)) {
    return { given: { jwt: new TextDecoder().decode(raw) }, recipient: null }
  }
  if (type === 'application/json' || CREDENTIALS.includes(type)) {
    return readMembers(readJson(raw) as Json)
  }
  throw new ApiError(415, 'UnsupportedMediaTypeError', type)
}

/** JSON is either an object that says what to verify, or the credential itself. */
function readMembers(json: Json): Inquired {
  const named = ['url', 'credential', 'jwt'].filter((name) => json[name] !== undefined)
  if (json['@context'] !== undefined || json.badge !== undefined || named.length === 0) {
    return { given: { credential: json }, recipient: null }
  }
  const { url, credential, jwt } = json
  if (named.length > 1) throw badRequest('Only one of `url`, `credential` and `jwt` may be given')
  return { given: givenOf({ url, credential, jwt }), recipient: recipientOf(json.recipient) }
}

function givenOf({ url, credential, jwt }: Json): Given {
  if (typeof url === 'string') return { url }
  if (typeof jwt === 'string') return { jwt }
  if (isObject(credential)) return { credential }
  const field = url !== undefined ? 'url' : jwt !== undefined ? 'jwt' : 'credential'
  const message = field === 'credential' ? 'Must be an object' : 'Must be a string'
  throw invalid({ message, field, value: undefined })
}

/** The address is not told back, in an error neither. */
function recipientOf(value: unknown): string | null {
  if (value === undefined || value === null) return null
  const isEmail = typeof value === 'string' && value.length <= MAX_EMAIL && EMAIL.test(value)
  if (isEmail) return value
  throw invalid({ message: 'Must be an email address', field: 'recipient', value: undefined })
}
