import { env, exports } from 'cloudflare:workers'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { forgetKeys } from '../src/auth'
import { api, ORIGIN } from './helpers/api'
import { container } from './helpers/seed'

/**
 * Tokens, good and bad, each with the one answer that it gets. The clock stands still at a whole second, so that the edges of
 * `exp` are exact. What a token may not do, it does not: the tables are compared before and after each.
 */

const NOW = Math.floor(Date.now() / 1000)
const MS = NOW * 1000
const HOME = '/systems/tokens-home'
const OTHER = '/systems/tokens-other'
const ISSUER = `${HOME}/issuers/one`
const EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

const utf8 = (text: string) => new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>
const base64url = (bytes: Uint8Array) =>
  btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')
const bytesOf = (part: string) =>
  Uint8Array.from(atob(part.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0))
const hex = (bytes: ArrayBuffer) =>
  Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('')
const digest = async (body: string, alg = 'SHA-256') =>
  hex(await crypto.subtle.digest(alg, utf8(body)))

/** Who signs: `master`, or one of the keys made below. */
type Who =
  | 'master'
  | 'home'
  | 'other'
  | 'issuer'
  | 'read'
  | 'review'
  | 'lasting'
  | 'disabled'
  | 'expired'
  | 'deleted'
  | 'orphan'
  | 'rotated'
  | 'replaced'
  | 'ending'
const known = new Map<string, { key: string; secret: string }>()

type Token = {
  name: string
  /** Who the token says it is of, and whose secret signs it; `master` by default. */
  by?: Who
  secret?: string | Who
  method?: string
  path?: string
  /** The text of the body that is sent. */
  sends?: string
  /** The text of which the token has the digest, where it is not what is sent, and the digest's name. */
  covers?: string
  alg?: string
  /** Claims that replace the honest ones; the payload's whole text where one is given. */
  claims?: Record<string, unknown> | string
  /** The JOSE header, or its text. */
  header?: Record<string, unknown> | string
  /** The hash of the HMAC. */
  hmac?: string
  /** What becomes of the finished token. */
  bent?: (token: string) => string
  /** The `Authorization` headers, of the token. */
  authorization?: (token: string) => string[]
  headers?: Record<string, string>
}
/** The status, and the whole message where it is a refusal. */
type Expected = [status: number, message?: string]

async function made(token: Token) {
  const { by = 'master', method = 'GET', path = HOME, sends, covers = sends } = token
  const owner = known.get(by)
  const claims =
    typeof token.claims === 'string'
      ? token.claims
      : JSON.stringify({
          key: owner?.key,
          method,
          path,
          exp: NOW + 60,
          ...(covers !== undefined && {
            body: { alg: token.alg ?? 'sha256', hash: await digest(covers) },
          }),
          ...token.claims,
        })
  const header =
    typeof token.header === 'string'
      ? token.header
      : JSON.stringify(token.header ?? { typ: 'JWT', alg: 'HS256' })
  const secret = known.get(token.secret ?? by)?.secret ?? token.secret ?? ''
  const hash = token.hmac ?? 'SHA-256'
  const key = await crypto.subtle.importKey('raw', utf8(secret), { name: 'HMAC', hash }, false, [
    'sign',
  ])
  const text = `${base64url(utf8(header))}.${base64url(utf8(claims))}`
  const mac = await crypto.subtle.sign('HMAC', key, utf8(text))
  const whole = `${text}.${base64url(new Uint8Array(mac))}`
  return token.bent ? token.bent(whole) : whole
}

async function answerTo(token: Token) {
  const { method = 'GET', path = HOME, sends, authorization } = token
  const text = await made(token)
  const headers = new Headers(token.headers)
  for (const one of authorization?.(text) ?? [`JWT token="${text}"`])
    headers.append('Authorization', one)
  if (sends !== undefined) headers.set('Content-Type', 'application/json')
  const init = { method, headers, body: sends, redirect: 'manual' as const }
  const response = await exports.default.fetch(ORIGIN + path, init)
  const said = await response.text()
  const told = said + JSON.stringify([...response.headers])
  for (const { secret } of known.values()) expect(told).not.toContain(secret)
  return { status: response.status, said }
}

/** All that the database holds. */
async function everything(): Promise<string> {
  const { results } = await env.DB.prepare(
    "select name from sqlite_master where type = 'table' and name not like '\\_%' escape '\\' and name not like 'sqlite%'",
  ).all<{ name: string }>()
  const tables = await env.DB.batch(
    results.map(({ name }) => env.DB.prepare(`select * from "${name}" order by rowid`)),
  )
  return JSON.stringify(tables.map((table, i) => [results[i]?.name, table.results]))
}

let before: string | undefined

async function tell(token: Token, [status, message]: Expected) {
  before ??= await everything()
  const { status: got, said } = await answerTo(token)
  const isRefusal = message !== undefined
  expect({ status: got, message: isRefusal ? JSON.parse(said).message : undefined }).toEqual({
    status,
    message,
  })
  const after = await everything()
  if (status === 201) expect(after).not.toBe(before)
  else expect(after).toBe(before)
  before = after
  if (status === 403) expect(JSON.parse(said).code).toBe('NotAuthorized')
}

const SIGNATURE: Expected = [403, 'Invalid token signature']
const DECODE: Expected = [403, 'Could not decode JWT']
const PAYLOAD: Expected = [403, 'Missing JWT payload']
const NO_HEADER: Expected = [403, 'Missing valid Authorization header']
const CONSUMER: Expected = [403, 'Could not find consumer for API key']
const NO_EXP: Expected = [403, 'Missing JWT claim: exp']
const WRONG_SYSTEM: Expected = [403, 'Invalid token for system']
const OK: Expected = [200]
const missing = (claim: string): Expected => [403, `Missing JWT claim: ${claim}`]
const expired = (exp: unknown): Expected => [
  403,
  `Token is expired (token expiry: ${exp}, server time: ${NOW})`,
]
const otherMethod = (claimed: string, method = 'GET'): Expected => [
  403,
  `\`method\` does not match: using "${claimed}" token for "${method}" request`,
]
const otherPath = (claimed: string, path = HOME): Expected => [
  403,
  `\`path\` does not match: trying to use token for "${claimed}" on "${path}"`,
]

/** Flips the lowest bit of the first byte of a text in a part of the token. */
const flipped = (part: 0 | 1, where: string) => (token: string) => {
  const parts = token.split('.')
  const bytes = bytesOf(parts[part] ?? '')
  const at = new TextDecoder().decode(bytes).indexOf(where)
  expect(at).toBeGreaterThanOrEqual(0)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  return parts.with(part, base64url(bytes)).join('.')
}
const flippedMac = (bit: number) => (token: string) => {
  const parts = token.split('.')
  const bytes = bytesOf(parts[2] ?? '')
  bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return parts.with(2, base64url(bytes)).join('.')
}
const withPart = (part: 0 | 1 | 2, text: string) => (token: string) =>
  token.split('.').with(part, text).join('.')

const NEW = JSON.stringify(container('never-made'))
const post = (more: Partial<Token>): Omit<Token, 'name'> => ({
  method: 'POST',
  path: '/systems',
  sends: NEW,
  ...more,
})

type Row = [name: string, token: Omit<Token, 'name'>, expected: Expected]

const bits: Row[] = [
  ['honest', {}, OK],
  ['a brace of the header', { bent: flipped(0, '{') }, DECODE],
  ['a quote of the header', { bent: flipped(0, '"typ') }, DECODE],
  ['a letter of `typ`', { bent: flipped(0, 'typ') }, SIGNATURE],
  ['a letter of `JWT`', { bent: flipped(0, 'JWT') }, SIGNATURE],
  ['a letter of `alg`', { bent: flipped(0, 'alg') }, SIGNATURE],
  ['a letter of `HS256`', { bent: flipped(0, 'HS256') }, SIGNATURE],
  ['a digit of `HS256`', { bent: flipped(0, '256') }, SIGNATURE],
  ['a colon of the header', { bent: flipped(0, ':') }, DECODE],
  ['a comma of the header', { bent: flipped(0, ',') }, DECODE],
  ['a brace of the payload', { bent: flipped(1, '{') }, PAYLOAD],
  ['a quote of the payload', { bent: flipped(1, '"key') }, PAYLOAD],
  ['the name of `key`', { bent: flipped(1, 'key') }, missing('key')],
  ['the value of `key`', { bent: flipped(1, 'master') }, CONSUMER],
  ['the name of `method`', { bent: flipped(1, 'method') }, missing('method')],
  ['the value of `method`', { bent: flipped(1, 'GET') }, otherMethod('FET')],
  ['the name of `path`', { bent: flipped(1, 'path') }, missing('path')],
  ['the value of `path`', { bent: flipped(1, 'systems') }, otherPath('/rystems/tokens-home')],
  ['the name of `exp`', { bent: flipped(1, 'exp') }, SIGNATURE],
  ['the last digit of `exp`', { bent: flipped(1, `${(NOW + 60) % 10}}`) }, SIGNATURE],
  ['the first digit of `exp`', { bent: flipped(1, String(NOW + 60)) }, PAYLOAD],
  ...[0, 1, 7, 8, 63, 64, 127, 128, 191, 200, 247, 248, 254, 255].map(
    (bit): Row => [`bit ${bit} of the signature`, { bent: flippedMac(bit) }, SIGNATURE],
  ),
  ['the first half of the signature alone', { bent: (t) => t.slice(0, -22) }, SIGNATURE],
  ['the signature twice', { bent: (t) => t + (t.split('.')[2] ?? '') }, SIGNATURE],
  ['the signature one character short', { bent: (t) => t.slice(0, -1) }, SIGNATURE],
  ['the signature one character long', { bent: (t) => `${t}A` }, SIGNATURE],
]

const headers: Row[] = [
  ...['none', 'None', 'NONE', 'nOnE', '', 'null', 'HS', 'HS1', 'hs256', 'HS256 ', ' HS256'].map(
    (alg): Row => [`alg ${JSON.stringify(alg)}`, { header: { typ: 'JWT', alg } }, SIGNATURE],
  ),
  ...['none', 'None', 'NONE'].map(
    (alg): Row => [
      `alg ${alg}, no signature`,
      { header: { typ: 'JWT', alg }, bent: withPart(2, '') },
      SIGNATURE,
    ],
  ),
  ['HS384, its own HMAC', { header: { alg: 'HS384' }, hmac: 'SHA-384' }, SIGNATURE],
  ['HS512, its own HMAC', { header: { alg: 'HS512' }, hmac: 'SHA-512' }, SIGNATURE],
  ['HS256, the HMAC of SHA-384', { hmac: 'SHA-384' }, SIGNATURE],
  ['HS256, the HMAC of SHA-512', { hmac: 'SHA-512' }, SIGNATURE],
  ...['RS256', 'RS384', 'PS256', 'ES256', 'ES256K', 'EdDSA', 'Ed25519', 'dir', 'A256KW'].map(
    (alg): Row => [`${alg} by HMAC`, { header: { typ: 'JWT', alg } }, SIGNATURE],
  ),
  ['no alg', { header: { typ: 'JWT' } }, SIGNATURE],
  ['an empty header', { header: {} }, SIGNATURE],
  ['alg null', { header: { alg: null } }, SIGNATURE],
  ['alg in an array', { header: { alg: ['HS256'] } }, SIGNATURE],
  ['alg in an object', { header: { alg: { toString: 'HS256' } } }, SIGNATURE],
  ['alg a number', { header: { alg: 256 } }, SIGNATURE],
  ['alg true', { header: { alg: true } }, SIGNATURE],
  ['alg under another case', { header: { ALG: 'HS256' } }, SIGNATURE],
  ['two alg, none last', { header: '{"alg":"HS256","alg":"none"}' }, SIGNATURE],
  ['two alg, HS256 last', { header: '{"alg":"none","alg":"HS256"}' }, OK],
  ['alg by a prototype', { header: '{"__proto__":{"alg":"HS256"}}' }, SIGNATURE],
  ['no typ', { header: { alg: 'HS256' } }, OK],
  ['another typ', { header: { typ: 'at+jwt', alg: 'HS256' } }, OK],
  ['typ a number', { header: { typ: 1, alg: 'HS256' } }, OK],
  ['cty', { header: { cty: 'JWT', alg: 'HS256' } }, OK],
  ['kid of another key', { header: { alg: 'HS256', kid: '../../dev/null' } }, OK],
  [
    'kid, signed by its empty file',
    { header: { alg: 'HS256', kid: '/dev/null' }, secret: '\0' },
    SIGNATURE,
  ],
  ['kid with SQL', { header: { alg: 'HS256', kid: "' union select 'x" }, secret: 'x' }, SIGNATURE],
  [
    'a key of its own in jwk',
    { header: { alg: 'HS256', jwk: { kty: 'oct', k: 'eA' } }, secret: 'x' },
    SIGNATURE,
  ],
  [
    'jku',
    { header: { alg: 'HS256', jku: 'https://evil.example.org/jwks' }, secret: 'x' },
    SIGNATURE,
  ],
  ['x5u', { header: { alg: 'HS256', x5u: 'https://evil.example.org/x' }, secret: 'x' }, SIGNATURE],
  ['x5c', { header: { alg: 'HS256', x5c: ['MIIB'] }, secret: 'x' }, SIGNATURE],
  ['x5t', { header: { alg: 'HS256', x5t: 'AAAA' }, secret: 'x' }, SIGNATURE],
  ['crit of what nobody knows', { header: { alg: 'HS256', crit: ['x'], x: 1 } }, SIGNATURE],
  ['an empty crit', { header: { alg: 'HS256', crit: [] } }, SIGNATURE],
  ['crit that is no list', { header: { alg: 'HS256', crit: 'exp' } }, SIGNATURE],
  ['crit of what is not there', { header: { alg: 'HS256', crit: ['exp'] } }, SIGNATURE],
  ['crit null', { header: { alg: 'HS256', crit: null } }, SIGNATURE],
  [
    'b64 false in crit: the payload is read as ever',
    { header: { alg: 'HS256', crit: ['b64'], b64: false } },
    OK,
  ],
  ['b64 true in crit', { header: { alg: 'HS256', crit: ['b64'], b64: true } }, OK],
  ['b64 no boolean', { header: { alg: 'HS256', crit: ['b64'], b64: 'false' } }, SIGNATURE],
  ['b64 false without crit', { header: { alg: 'HS256', b64: false } }, OK],
  ['zip', { header: { alg: 'HS256', zip: 'DEF' } }, OK],
  ['enc: an encrypted token', { header: { alg: 'dir', enc: 'A256GCM' } }, SIGNATURE],
  ['a header that is a text', { header: '"HS256"' }, DECODE],
  ['a header that is null', { header: 'null' }, DECODE],
  ['a header that is a list', { header: '[{"alg":"HS256"}]' }, DECODE],
  ['a header that is a number', { header: '1' }, DECODE],
  ['a header that is no JSON', { header: '{"alg":"HS256"' }, DECODE],
  ['a header with a comma too many', { header: '{"alg":"HS256",}' }, DECODE],
  ['a header with spaces', { header: ' { "alg" : "HS256" } ' }, OK],
]

const forms: Row[] = [
  ['an empty signature', { bent: withPart(2, '') }, SIGNATURE],
  ['an empty payload', { bent: withPart(1, '') }, PAYLOAD],
  ['an empty header', { bent: withPart(0, '') }, DECODE],
  ['nothing but dots', { bent: () => '..' }, DECODE],
  ['a dot in front', { bent: (t) => `.${t}` }, DECODE],
  ['a dot behind', { bent: (t) => `${t}.` }, DECODE],
  ['two dots behind', { bent: (t) => `${t}..` }, DECODE],
  ['a doubled dot', { bent: (t) => t.replace('.', '..') }, DECODE],
  ['five parts', { bent: (t) => `${t}.AAAA.AAAA` }, DECODE],
  ['two parts', { bent: (t) => t.slice(0, t.lastIndexOf('.')) }, DECODE],
  ['one part', { bent: (t) => t.slice(0, t.indexOf('.')) }, DECODE],
  ['no dots', { bent: (t) => t.replaceAll('.', '') }, DECODE],
  ['a blank in front', { bent: (t) => ` ${t}` }, DECODE],
  ['a blank behind', { bent: (t) => `${t} ` }, DECODE],
  ['a blank inside', { bent: (t) => t.replace('.', ' .') }, DECODE],
  ['a tab inside', { bent: (t) => t.replace('.', '\t.') }, DECODE],
  ['padding', { bent: (t) => `${t}=` }, DECODE],
  ['padding of the payload', { bent: (t) => t.replace(/\.(?=[^.]*$)/, '=.') }, DECODE],
  ['a plus', { bent: withPart(2, 'AA+A') }, DECODE],
  ['a slash', { bent: withPart(2, 'AA/A') }, DECODE],
  ['a percent', { bent: (t) => t.replace('.', '%2E') }, DECODE],
  ['a comma', { bent: (t) => `${t},` }, DECODE],
  ['an apostrophe', { bent: (t) => `'${t}'` }, DECODE],
  ['a tilde', { bent: (t) => `${t}~` }, DECODE],
  ['a payload of one character', { bent: withPart(1, 'e') }, PAYLOAD],
  ['a payload of five characters', { bent: withPart(1, 'eyJhA') }, PAYLOAD],
  ['a signature of one character', { bent: withPart(2, 'A') }, SIGNATURE],
  ['a signature of zeros', { bent: withPart(2, 'A'.repeat(43)) }, SIGNATURE],
  ['parts in another order', { bent: (t) => t.split('.').toReversed().join('.') }, DECODE],
  ['a payload that is null', { claims: 'null' }, PAYLOAD],
  ['a payload that is a list', { claims: '[{"key":"master"}]' }, PAYLOAD],
  ['a payload that is a text', { claims: '"master"' }, PAYLOAD],
  ['a payload that is a number', { claims: '1' }, PAYLOAD],
  ['a payload with NaN', { claims: '{"exp":NaN}' }, PAYLOAD],
  ['a payload with a comment', { claims: '{/**/}' }, PAYLOAD],
  ['an empty payload object', { claims: '{}' }, missing('method')],
  [
    'claims by a prototype',
    { claims: `{"__proto__":{"method":"GET","path":"${HOME}"}}` },
    missing('method'),
  ],
  [
    'the key twice, the second unknown',
    { claims: `{"key":"master","method":"GET","path":"${HOME}","key":"nobody"}` },
    CONSUMER,
  ],
  ['a huge payload', { claims: { x: 'x'.repeat(8_192) } }, NO_HEADER],
  ['a token of 100 kB', { bent: () => 'A'.repeat(100_000) }, NO_HEADER],
  ['a thousand dots', { bent: () => '.'.repeat(1_000) }, DECODE],
  [
    'a deeply nested payload',
    { claims: `{"method":${'['.repeat(900)}${']'.repeat(900)}}` },
    otherMethod('['.repeat(900) + ']'.repeat(900)),
  ],
]

const schemes: Row[] = [
  ...['Bearer ', 'Basic ', 'Token ', 'Digest ', 'Negotiate ', ''].map(
    (scheme): Row => [
      `scheme ${scheme || 'none'}`,
      { authorization: (t) => [scheme + t] },
      NO_HEADER,
    ],
  ),
  ['a bearer token in our form', { authorization: (t) => [`Bearer token="${t}"`] }, NO_HEADER],
  [
    'Basic of the master secret',
    { authorization: () => [`Basic ${btoa('master:shhh.secret')}`] },
    NO_HEADER,
  ],
  ['the secret itself as the token', { authorization: () => ['JWT token="shhh.secret"'] }, DECODE],
  ['no quotes', { authorization: (t) => [`JWT token=${t}`] }, NO_HEADER],
  ['another parameter', { authorization: (t) => [`JWT jwt="${t}"`] }, NO_HEADER],
  ['a parameter behind', { authorization: (t) => [`JWT token="${t}", realm="x"`] }, NO_HEADER],
  ['a parameter in front', { authorization: (t) => [`JWT realm="x", token="${t}"`] }, NO_HEADER],
  ['a tab for the blank', { authorization: (t) => [`JWT\ttoken="${t}"`] }, NO_HEADER],
  ['two blanks', { authorization: (t) => [`JWT  token="${t}"`] }, NO_HEADER],
  ['blanks around the equals sign', { authorization: (t) => [`JWT token = "${t}"`] }, NO_HEADER],
  ['the scheme in small letters', { authorization: (t) => [`jwt token="${t}"`] }, OK],
  ['the parameter in capitals', { authorization: (t) => [`JWT TOKEN="${t}"`] }, OK],
  ['no header', { authorization: () => [] }, NO_HEADER],
  ['an empty header', { authorization: () => [''] }, NO_HEADER],
  [
    'two headers, both good',
    { authorization: (t) => [`JWT token="${t}"`, `JWT token="${t}"`] },
    NO_HEADER,
  ],
  [
    'two headers, the first good',
    { authorization: (t) => [`JWT token="${t}"`, 'Bearer x'] },
    NO_HEADER,
  ],
  [
    'two headers, the second good',
    { authorization: (t) => ['Bearer x', `JWT token="${t}"`] },
    NO_HEADER,
  ],
  [
    'a header of 1 MB',
    { authorization: () => [`JWT token="${'A'.repeat(1_048_576)}"`] },
    NO_HEADER,
  ],
  [
    'a header of 1 MB of blanks',
    { authorization: (t) => [`JWT token="${t}${' '.repeat(1_048_576)}"`] },
    NO_HEADER,
  ],
  ['the token in the query', { authorization: () => [], path: `${HOME}?token=x` }, NO_HEADER],
  ['the token in a cookie', { authorization: () => [], headers: { Cookie: 'token=x' } }, NO_HEADER],
  [
    'the token for a proxy',
    { authorization: () => [], headers: { 'Proxy-Authorization': 'JWT token="x"' } },
    NO_HEADER,
  ],
  [
    'a header that names the user',
    { authorization: () => [], headers: { 'X-Forwarded-User': 'master' } },
    NO_HEADER,
  ],
]

const keys: Row[] = [
  ['master by its own secret', {}, OK],
  ['master by another secret', { secret: 'another' }, SIGNATURE],
  ['master by an empty-looking secret', { secret: '\0' }, SIGNATURE],
  ["master by a key's secret", { secret: 'home' }, SIGNATURE],
  ["a key by master's secret", { by: 'home', secret: 'shhh.secret' }, SIGNATURE],
  ['a key of the system', { by: 'home' }, OK],
  ['a key of another system', { by: 'other' }, WRONG_SYSTEM],
  ['a key of another system, by our secret', { by: 'other', secret: 'home' }, WRONG_SYSTEM],
  ["a key by another key's secret", { by: 'home', secret: 'other' }, SIGNATURE],
  ['a key of another system on the list of all', { by: 'other', path: '/systems' }, WRONG_SYSTEM],
  ['an issuer key on its issuer', { by: 'issuer', path: ISSUER }, OK],
  ['an issuer key on its system', { by: 'issuer' }, [403, 'Invalid token for issuer']],
  [
    'an issuer key on the badges of its system',
    { by: 'issuer', path: `${HOME}/badges` },
    [403, 'Invalid token for issuer'],
  ],
  [
    'an issuer key on another issuer',
    { by: 'issuer', path: `${HOME}/issuers/two` },
    [403, 'Invalid token for issuer'],
  ],
  ['an issuer key on another system', { by: 'issuer', path: OTHER }, WRONG_SYSTEM],
  [
    'an issuer key on its issuer of another system',
    { by: 'issuer', path: `${OTHER}/issuers/one` },
    WRONG_SYSTEM,
  ],
  ['a reading key reads', { by: 'read' }, OK],
  [
    'a reading key writes',
    { by: 'read', method: 'PUT', sends: '{"name":"x"}' },
    [403, 'Key may not do this: needs manage'],
  ],
  [
    'a reading key awards',
    {
      by: 'read',
      method: 'POST',
      path: `${HOME}/badges/x/instances`,
      sends: '{"email":"a@example.org"}',
    },
    [403, 'Key may not do this: needs issue'],
  ],
  [
    'a reading key makes a key',
    { by: 'read', method: 'POST', path: `${HOME}/keys`, sends: '{"role":"admin"}' },
    [403, 'Key may not do this: needs admin'],
  ],
  [
    'a reading key lists keys',
    { by: 'read', path: `${HOME}/keys` },
    [403, 'Key may not do this: needs admin'],
  ],
  [
    'a reviewing key awards',
    {
      by: 'review',
      method: 'POST',
      path: `${HOME}/badges/x/instances`,
      sends: '{"email":"a@example.org"}',
    },
    [403, 'Key may not do this: needs issue'],
  ],
  [
    'a reviewing key reads the audit',
    { by: 'review', path: `${HOME}/audit` },
    [403, 'Key may not do this: needs admin'],
  ],
  ['an admin key makes a system', { by: 'home', ...post({}) }, WRONG_SYSTEM],
  ['a disabled key', { by: 'disabled' }, CONSUMER],
  ['an expired key', { by: 'expired' }, CONSUMER],
  ['a deleted key', { by: 'deleted' }, CONSUMER],
  ['a key of a deleted system', { by: 'orphan', path: '/systems/tokens-gone' }, CONSUMER],
  ['an unknown key', { claims: { key: 'nobody' } }, CONSUMER],
  ['an unknown key, by the master secret', { claims: { key: 'Master' } }, CONSUMER],
  ['the old secret of a rotated key', { by: 'rotated', secret: 'old of rotated' as Who }, OK],
  ['the new secret of a rotated key', { by: 'rotated' }, OK],
  [
    'the old secret that was ended at once',
    { by: 'replaced', secret: 'old of replaced' as Who },
    SIGNATURE,
  ],
  ['the new secret that took its place', { by: 'replaced' }, OK],
  ['a secret whose time is over', { by: 'ending', secret: 'old of ending' as Who }, SIGNATURE],
  ['the secret that followed it', { by: 'ending' }, OK],
  ...[
    ['', 'key'],
    [null, 'key'],
    [0, 'key'],
    [false, 'key'],
  ].map(([key]): Row => [`key ${JSON.stringify(key)}`, { claims: { key } }, missing('key')]),
  ...[
    1,
    true,
    ['master'],
    { master: 1 },
    'master\0',
    ' master',
    '\u{1f511}',
    '__proto__',
    "' or 1=1 --",
    '%',
    '*',
  ].map((key): Row => [`key ${JSON.stringify(key)}`, { claims: { key } }, CONSUMER]),
]

const expiries: Row[] = [
  ['a second ahead', { claims: { exp: NOW + 1 } }, OK],
  ['now', { claims: { exp: NOW } }, expired(NOW)],
  ['a second ago', { claims: { exp: NOW - 1 } }, expired(NOW - 1)],
  ['half a second ahead', { claims: { exp: NOW + 0.5 } }, OK],
  ['half a second ago', { claims: { exp: NOW - 0.5 } }, expired(NOW - 0.5)],
  ['now in milliseconds', { claims: { exp: MS } }, expired(MS)],
  ['a millisecond ahead', { claims: { exp: MS + 1 } }, OK],
  ['a millisecond ago', { claims: { exp: MS - 1 } }, expired(MS - 1)],
  ['the last that is seconds', { claims: { exp: 1e11 } }, OK],
  ['one less', { claims: { exp: 1e11 - 1 } }, OK],
  ['the first that is milliseconds', { claims: { exp: 1e11 + 1 } }, expired(1e11 + 1)],
  ['a day of 2001, in milliseconds', { claims: { exp: 1e12 } }, expired(1e12)],
  ['0, from master', { claims: { exp: 0 } }, OK],
  ['-0, from master', { claims: `{"key":"master","method":"GET","path":"${HOME}","exp":-0}` }, OK],
  ['null, from master', { claims: { exp: null } }, OK],
  ['missing, from master', { claims: { exp: undefined } }, OK],
  ['0', { by: 'home', claims: { exp: 0 } }, NO_EXP],
  ['null', { by: 'home', claims: { exp: null } }, NO_EXP],
  ['missing', { by: 'home', claims: { exp: undefined } }, NO_EXP],
  [
    'missing, by another secret',
    { by: 'home', secret: 'x', claims: { exp: undefined } },
    SIGNATURE,
  ],
  ['missing, from a key that may', { by: 'lasting', claims: { exp: undefined } }, OK],
  ['0, from a key that may', { by: 'lasting', claims: { exp: 0 } }, OK],
  ['past, from a key that may', { by: 'lasting', claims: { exp: 1 } }, expired(1)],
  ['the least above 0', { claims: { exp: 5e-324 } }, expired(5e-324)],
  ['negative', { claims: { exp: -1 } }, expired(-1)],
  ['negative milliseconds', { claims: { exp: -MS - 60_000 } }, expired(-MS - 60_000)],
  ['1e308', { claims: { exp: 1e308 } }, OK],
  [
    '1e309',
    { claims: `{"key":"master","method":"GET","path":"${HOME}","exp":1e309}` },
    expired(null),
  ],
  [
    '-1e309',
    { claims: `{"key":"master","method":"GET","path":"${HOME}","exp":-1e309}` },
    expired(null),
  ],
  ['2 to the 53rd', { claims: { exp: 2 ** 53 } }, OK],
  ...['', '0', 'NaN', 'Infinity', String(NOW + 60), '2999-01-01T00:00:00Z'].map(
    (exp): Row => [`the text ${JSON.stringify(exp)}`, { claims: { exp } }, expired(exp)],
  ),
  ['true', { claims: { exp: true } }, expired(true)],
  ['false', { claims: { exp: false } }, expired(false)],
  ['a list', { claims: { exp: [NOW + 60] } }, expired(`[${NOW + 60}]`)],
  ['an object', { claims: { exp: {} } }, expired('{}')],
  ['nbf ahead is not asked for', { claims: { nbf: NOW + 60 } }, OK],
  ['iat ahead is not asked for', { claims: { iat: NOW + 60 } }, OK],
]

const methods: Row[] = [
  ...['get', 'Get', 'gET'].map((method): Row => [method, { claims: { method } }, OK]),
  ...[
    'POST',
    'PUT',
    'DELETE',
    'HEAD',
    'OPTIONS',
    'GETS',
    'GE',
    ' GET',
    'GET ',
    'G\u0130T',
    '*',
    'GET,POST',
  ].map((method): Row => [JSON.stringify(method), { claims: { method } }, otherMethod(method)]),
  ['a list', { claims: { method: ['GET'] } }, otherMethod('["GET"]')],
  ['a number', { claims: { method: 1 } }, otherMethod('1')],
  ['true', { claims: { method: true } }, otherMethod('true')],
  ['missing', { claims: { method: undefined } }, missing('method')],
  ['empty', { claims: { method: '' } }, missing('method')],
  ['GET for POST', { ...post({ claims: { method: 'GET' } }) }, otherMethod('GET', 'POST')],
  ['PUT for POST', { ...post({ claims: { method: 'PUT' } }) }, otherMethod('PUT', 'POST')],
  [
    'overridden by a header',
    { headers: { 'X-HTTP-Method-Override': 'DELETE' }, claims: { method: 'DELETE' } },
    otherMethod('DELETE'),
  ],
  ['overridden in vain', { headers: { 'X-HTTP-Method-Override': 'DELETE' } }, OK],
  ['HEAD', { method: 'HEAD', claims: { method: 'HEAD' } }, [405]],
  ['HEAD by a token for GET', { method: 'HEAD', claims: { method: 'GET' } }, [405]],
  ['PATCH', { method: 'PATCH', claims: { method: 'PATCH' } }, [405, 'PATCH is not allowed']],
  [
    'OPTIONS',
    { method: 'OPTIONS', claims: { method: 'OPTIONS' } },
    [405, 'OPTIONS is not allowed'],
  ],
]

/** Claimed paths that are the request's own in another writing, and paths that are not. */
const SAME = [
  `${HOME}/`,
  `//systems//tokens-home//`,
  '/systems/tokens%2Dhome',
  '/systems/tokens%2dhome',
  '/%73ystems/tokens-home',
  `${HOME}#fragment`,
  `/systems\\tokens-home`,
  '/sys\ntems/tokens-home',
]
const DIFFERENT = [
  '/systems',
  '/Systems/tokens-home',
  '/systems/Tokens-Home',
  `${HOME}?`.replace('?', '?x=1'),
  `${HOME}%3Fx=1`,
  `${HOME}%23`,
  '/systems%2Ftokens-home',
  '/systems/tokens%252Dhome',
  '/systems/tokens-home%2F',
  '/systems/tokens-home%20',
  '/systems/tokens-home+',
  '/systems/tokens-home;x=1',
  '/systems/tokens-home%00',
  '/systems/../tokens-home',
  '/systems/x/../tokens-home',
  '/systems/./tokens-home',
  '/systems/x/%2e%2e/tokens-home',
  `${HOME}/webhooks/..`,
  `${HOME}/.`,
  `${HOME}/%2E.?x=1`,
  `${HOME}\\webhooks\\..`,
  '/systems/*',
  '*',
  'systems/tokens-home',
  `${ORIGIN}${HOME}`,
  '//evil.example.org/systems/tokens-home',
  `?${HOME}`,
  OTHER,
]
const paths: Row[] = [
  ...SAME.map((path): Row => [`the same: ${JSON.stringify(path)}`, { claims: { path } }, OK]),
  ...DIFFERENT.map((path): Row => [`another: ${path}`, { claims: { path } }, otherPath(path)]),
  ['missing', { claims: { path: undefined } }, missing('path')],
  ['a list', { claims: { path: [HOME] } }, otherPath(`["${HOME}"]`)],
  [
    'a request with a query that is not signed',
    { path: `${HOME}?x=1`, claims: { path: HOME } },
    otherPath(HOME, `${HOME}?x=1`),
  ],
  [
    'a query in another order',
    { path: `${HOME}?x=1&y=2`, claims: { path: `${HOME}?y=2&x=1` } },
    otherPath(`${HOME}?y=2&x=1`, `${HOME}?x=1&y=2`),
  ],
  [
    'a query with another value',
    { path: `${HOME}?x=1`, claims: { path: `${HOME}?x=2` } },
    otherPath(`${HOME}?x=2`, `${HOME}?x=1`),
  ],
  [
    'a query named twice',
    { path: `${HOME}?x=1&x=2`, claims: { path: `${HOME}?x=1` } },
    otherPath(`${HOME}?x=1`, `${HOME}?x=1&x=2`),
  ],
  [
    'a plus for a blank',
    { path: `${HOME}?x=a+b`, claims: { path: `${HOME}?x=a%20b` } },
    otherPath(`${HOME}?x=a%20b`, `${HOME}?x=a+b`),
  ],
  [
    'a plus for its escape',
    { path: `${HOME}?x=a+b`, claims: { path: `${HOME}?x=a%2Bb` } },
    otherPath(`${HOME}?x=a%2Bb`, `${HOME}?x=a+b`),
  ],
  ['an escape in small letters', { path: `${HOME}?x=%2F`, claims: { path: `${HOME}?x=%2f` } }, OK],
  [
    'a request with doubled slashes',
    { path: '//systems//tokens-home', claims: { path: HOME } },
    OK,
  ],
  ['a request with a slash at its end', { path: `${HOME}/`, claims: { path: HOME } }, OK],
  ['a request with dot segments', { path: `${OTHER}/../tokens-home`, claims: { path: HOME } }, OK],
  [
    'a request with dot segments, signed as its beginning',
    { path: `${OTHER}/../tokens-home`, claims: { path: OTHER } },
    otherPath(OTHER),
  ],
  [
    'a key of another system by dot segments',
    { by: 'other', path: `${OTHER}/../tokens-home` },
    otherPath(`${OTHER}/../tokens-home`, HOME),
  ],
  [
    'a key of another system by an escaped slash',
    { by: 'other', path: `${OTHER}%2F..%2Ftokens-home` },
    WRONG_SYSTEM,
  ],
  [
    'a key of another system by a doubled slash',
    { by: 'other', path: '//systems//tokens-home' },
    WRONG_SYSTEM,
  ],
  ['a key of another system by case', { by: 'other', path: '/systems/TOKENS-HOME' }, WRONG_SYSTEM],
  [
    'a key of another system by an escaped letter',
    { by: 'other', path: '/systems/%74okens-home' },
    WRONG_SYSTEM,
  ],
  [
    'a path that is not well encoded',
    { path: '/systems/%ff' },
    [400, 'The path is not well encoded'],
  ],
  ['a half escape', { path: '/systems/%4' }, [400, 'The path is not well encoded']],
]

const BODY = 'Missing JWT claim: body'
const wrongHash = (hash: string): Expected => [
  403,
  `Computed hash does not match given hash: ${hash}`,
]
const bodies: Row[] = [
  ['no claim', post({ claims: { body: undefined } }), [403, BODY]],
  ['null', post({ claims: { body: null } }), [403, BODY]],
  ['a text', post({ claims: { body: EMPTY } }), [403, `${BODY}.alg`]],
  ['no alg', post({ claims: { body: { hash: EMPTY } } }), [403, `${BODY}.alg`]],
  ['no hash', post({ claims: { body: { alg: 'sha256' } } }), [403, `${BODY}.hash`]],
  [
    'the hash of nothing',
    post({ claims: { body: { alg: 'sha256', hash: EMPTY } } }),
    wrongHash(EMPTY),
  ],
  ['an empty hash', post({ claims: { body: { alg: 'sha256', hash: '' } } }), [403, `${BODY}.hash`]],
  [
    'a hash that is a list',
    post({ claims: { body: { alg: 'sha256', hash: [EMPTY] } } }),
    wrongHash(`["${EMPTY}"]`),
  ],
  ...[
    'md5',
    'sha1',
    'SHA-1',
    'sha224',
    'sha3-256',
    'sha512/256',
    'sha-2-56',
    'none',
    'hmac',
    'sha256\0',
    '__proto__',
    'constructor',
  ].map(
    (alg): Row => [
      `alg ${JSON.stringify(alg)}`,
      post({ alg }),
      [403, `Could not calculate hash, unsupported algorithm: ${alg}`],
    ],
  ),
  [
    'alg in a list',
    post({ claims: { body: { alg: ['sha256'], hash: EMPTY } } }),
    [403, 'Could not calculate hash, unsupported algorithm: ["sha256"]'],
  ],
  ['the digest of another kind', post({ alg: 'sha512' }), wrongHash('$hash')],
  ...['sha256', 'SHA256', 'Sha-256'].map(
    (alg, i): Row => [
      `honest, alg ${alg}`,
      post({ alg, sends: JSON.stringify(container(`made-${i}`)) }),
      [201],
    ],
  ),
  ['a byte more', post({ sends: `${NEW} `, covers: NEW }), wrongHash('$hash')],
  ['a byte less', post({ sends: NEW.slice(0, -1), covers: NEW }), wrongHash('$hash')],
  ['a byte in front', post({ sends: ` ${NEW}`, covers: NEW }), wrongHash('$hash')],
  ['another byte', post({ sends: NEW.replace('never', 'newer'), covers: NEW }), wrongHash('$hash')],
  [
    'the same members in another order',
    post({
      sends: JSON.stringify(Object.fromEntries(Object.entries(container('never-made')).reverse())),
      covers: NEW,
    }),
    wrongHash('$hash'),
  ],
  [
    'a body where none is signed',
    {
      method: 'POST',
      path: `${HOME}/keys`,
      sends: '{"role":"admin"}',
      claims: { body: undefined },
    },
    [403, BODY],
  ],
  [
    'a digest where there is no body',
    { method: 'POST', path: `${HOME}/keys`, covers: '{"role":"admin"}' },
    wrongHash('$hash'),
  ],
  [
    'an empty object for a claim',
    { method: 'PUT', sends: '{"name":"x"}', claims: { body: {} } },
    [403, `${BODY}.alg`],
  ],
]

/** A key, and what is told of it in `known`; the secrets that it had before stand there as `old of …`. */
async function newKey(who: Who, list: string, more: object = {}) {
  const { body } = await api.post(`${list}/keys`, more)
  known.set(who, body.key)
  return `${list}/keys/${body.key.key}`
}

async function rotated(who: Who, grace: number) {
  const path = await newKey(who, HOME)
  known.set(`old of ${who}`, known.get(who) ?? { key: '', secret: '' })
  const { body } = await api.post(`${path}/secret/rotate`, { grace })
  known.set(who, body.key)
}

beforeAll(async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: MS - 10_000 })
  for (const slug of ['tokens-home', 'tokens-other', 'tokens-gone'])
    await api.post('/systems', container(slug))
  await api.post(`${HOME}/issuers`, container('one'))
  await api.post(`${HOME}/issuers`, container('two'))
  known.set('master', { key: 'master', secret: env.MASTER_SECRET })
  await newKey('home', HOME)
  await newKey('other', OTHER)
  await newKey('issuer', ISSUER)
  await newKey('read', HOME, { role: 'read' })
  await newKey('review', HOME, { role: 'review' })
  await newKey('lasting', HOME, { allowNoExp: true })
  await newKey('expired', HOME, { expires: NOW })
  await newKey('orphan', '/systems/tokens-gone')
  await api.put(await newKey('disabled', HOME), { disabled: true })
  await api.delete(await newKey('deleted', HOME))
  await api.delete('/systems/tokens-gone')
  await rotated('rotated', 3_600)
  await rotated('replaced', 0)
  await rotated('ending', 10)
  vi.setSystemTime(MS)
  forgetKeys()
  // The day of a key's use is noted once: from here on it is no change.
  for (const who of known.keys())
    if (!who.startsWith('old')) await answerTo({ name: '', by: who as Who })
  for (const by of ['issuer'] as const) await answerTo({ name: '', by, path: ISSUER })
  await vi.waitFor(async () => {
    const sql =
      'select count(*) as n from keys where lastUsed is null and disabledAt is null and expires is null'
    // Those of another system and of one that is gone are refused before their signature is looked at.
    expect(await env.DB.prepare(sql).first()).toEqual({ n: 2 })
  })
  // To wait moves the clock.
  vi.setSystemTime(MS)
})

afterAll(() => {
  vi.useRealTimers()
  forgetKeys()
})

describe.each([
  ['a changed bit', bits],
  ['the header of the token', headers],
  ['the form of the token', forms],
  ['the header of the request', schemes],
  ['the key', keys],
  ['exp', expiries],
  ['method', methods],
  ['path', paths],
  ['body', bodies],
])('each token gets its answer and does no more: %s', (_what, rows) => {
  it.each(rows)('%s', async (name, token, [status, message]) => {
    const hash = token.covers ?? token.sends
    await tell({ name, ...token }, [
      status,
      message?.replace('$hash', hash === undefined ? '' : await digest(hash)),
    ] as Expected)
  })
})

it('ends in the middle of a second when it says so', async () => {
  vi.setSystemTime(MS + 500)
  for (const exp of [MS + 499, MS + 500, NOW + 0.25, NOW + 0.5]) {
    await tell({ name: '', claims: { exp } }, expired(exp))
  }
  for (const exp of [MS + 501, NOW + 0.75, NOW + 1]) await tell({ name: '', claims: { exp } }, OK)
  vi.setSystemTime(MS)
})

it('there are more than two hundred of them', () => {
  const all = [bits, headers, forms, schemes, keys, expiries, methods, paths, bodies].flat()
  expect(all.length).toBeGreaterThan(200)
  expect(all.filter(([, , [status]]) => status < 300).length).toBeGreaterThan(40)
})
