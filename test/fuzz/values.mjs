/**
 * Inputs from the request schemas of `docs/openapi.json`: good ones, and ones with one thing wrong. Where only the database knows
 * what is good (ids, slugs), the caller's `known` says it by the member's name.
 */
/** @typedef {import('./random.mjs').Random} Random */
/** @typedef {Record<string, any>} Json */

/** A 1×1 PNG. */
export const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  'base64',
)
const SVG =
  "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'><circle r='4'/></svg>"

/** What members mean beyond their schema, by name. @type {Record<string, (random: Random) => unknown>} */
const BY_NAME = {
  url: (random) =>
    `https://${random.hex(8)}.example.org/${random.text(0, 20).replaceAll(' ', '+')}`,
  criteriaUrl: (random) => `https://example.org/${random.hex(6)}`,
  image: (random) =>
    random.pick([
      `data:image/png;base64,${PNG.toString('base64')}`,
      SVG,
      `https://example.org/${random.hex(6)}.png`,
    ]),
  slug: (random) => `${random.pick(['a', 'B', 'slug', 'x.y'])}-${random.hex(12)}`,
  code: (random) => random.hex(16),
  email: (random) => `${random.hex(10)}@example.org`,
  emails: (random) =>
    Array.from({ length: random.int(1, 5) }, () => `${random.hex(10)}@example.org`),
  timeValue: (random) => random.int(0, 1_000),
  limit: (random) => random.pick([null, 1_000_000]),
  numberRequired: (random) => random.int(1, 3),
  grace: (random) => random.int(0, 604_800),
  since: moment,
  until: moment,
  issuedOn: moment,
  expires: (random) => random.pick([null, 4_000_000_000, '2099-01-01T00:00:00.000Z']),
  assignedExpiration: moment,
  processed: moment,
  recipient: (random) => `${random.hex(10)}@example.org`,
  // It must be a key of the container.
  withdraw: () => undefined,
  // Awarded for a claim code it must be one of the badge's.
  claimCode: () => undefined,
  claimed: () => false,
  claimUrl: (random) => `https://example.org/${random.hex(6)}?code={code}`,
  validFor: (random) => random.pick(['P30D', 'P6W', 'P18M', 'P2Y']),
  validFrom: moment,
  validUntil: (random) => random.pick([null, 4_000_000_000, '2099-01-01T00:00:00.000Z']),
  // More than one use, and a reservation, need other members beside them.
  maxUses: (random) => random.pick([null, 1]),
  reserved: () => false,
  minutes: (random) => random.int(1, 10_080),
  // Whether the criteria are met is for the review to say.
  award: (random) => random.chance(0.2),
  disabled: () => false,
  state: () => 'active',
  // A key of the system's own: its containers are named by the path.
  issuer: () => undefined,
  program: () => undefined,
  id: () => undefined,
}

function moment(/** @type {Random} */ random) {
  return random.pick([
    random.int(1_000_000_000, 1_700_000_000),
    random.int(1_000_000_000_000, 1_700_000_000_000),
    '2024-02-29T12:00:00Z',
    '2001-09-09',
    String(random.int(1, 1_700_000_000)),
  ])
}

/** Follows a reference; of several forms the first that is not null. */
function resolved(/** @type {Json} */ schema, /** @type {Json} */ root) {
  let it = schema
  while (it?.$ref || it?.anyOf) {
    if (it.$ref) it = root.components.schemas[it.$ref.split('/').at(-1)]
    else it = it.anyOf.find((/** @type {Json} */ one) => one.type !== 'null')
  }
  return it
}

/**
 * A good value of a schema.
 * @param {Random} random
 * @param {Json} given
 * @param {Json} root the document
 * @param {Json} known values by name that only the database makes good
 * @param {string} [name]
 * @returns {any}
 */
export function goodValue(random, given, root, known, name = '') {
  const schema = resolved(given, root)
  if (name in known) return known[name](random)
  if (name in BY_NAME && schema.type !== 'object') return BY_NAME[name]?.(random)
  if (schema.enum) return random.pick(schema.enum)
  const type = [schema.type].flat()[0]
  switch (type) {
    case 'object':
      return Object.fromEntries(
        Object.entries(schema.properties ?? {}).flatMap(([key, one]) => {
          const isNeeded = schema.required?.includes(key) || key in known.must
          if (!isNeeded && random.chance(0.6)) return []
          const value = goodValue(random, one, root, known, key)
          return value === undefined ? [] : [[key, value]]
        }),
      )
    case 'array':
      return Array.from({ length: random.int(0, 3) }, () =>
        goodValue(random, schema.items, root, known, name),
      )
    case 'integer':
      return random.chance(0.3) ? String(random.int(0, 99)) : random.int(0, 99)
    case 'boolean':
      return random.chance(0.5)
    default:
      if (schema.format === 'email') return BY_NAME.email?.(random)
      return random.text(schema.minLength ?? 0, Math.min(schema.maxLength ?? 40, 40))
  }
}

/** Texts that programs stumble over. */
export const AWKWARD = [
  '',
  ' ',
  '\u00e9\u0301\u200b\u202e\ufeff',
  '\ud800',
  '\udc00x\ud83d',
  '\u{1f3c5}\u{1f469}\u200d\u{1f680}',
  '\u0001\u0007\u001b[31m',
  '\r\nSet-Cookie: x=1',
  '<script>alert(1)</script>',
  "'; drop table badges; --",
  '%00%2e%2e%2f',
  '../../etc/passwd',
  '{{7*7}}',
  '__proto__',
  'constructor',
  'null',
  'NaN',
  '-0',
  '1e999',
  '0x10',
  '9007199254740993',
  '-9223372036854775808',
  'javascript:alert(1)',
  'data:image/svg+xml,<svg onload=alert(1)>',
  'http://[::1]:1/',
  'https://127.0.0.1/',
  'a@b',
  `${'a'.repeat(64)}@${'b'.repeat(63)}.example.org`,
  '0000-00-00',
  '275760-09-13T00:00:00.001Z',
]

const ODD = [
  0,
  -0,
  1,
  -1,
  0.5,
  1e21,
  -1e308,
  2 ** 31,
  2 ** 53,
  -(2 ** 53),
  2 ** 63,
  8.64e15,
  8.64e15 + 1,
  253_402_300_799_999,
  253_402_300_800_000,
  1e11,
  1e11 + 1,
  true,
  false,
  null,
  [],
  {},
  [[]],
  [null],
  [{}],
  { toString: 1 },
  { id: {} },
  { value: [] },
  { bytes: {} },
  { length: -1 },
]

const nested = (/** @type {number} */ depth) => {
  /** @type {any} */
  let it = 'deep'
  for (let i = 0; i < depth; i++) it = i % 2 ? [it] : { x: it }
  return it
}

/**
 * Bends good input in one or two places. Gives what it did, and whether the input is surely bad now: then it must be refused.
 * @param {Random} random
 * @param {Json} body
 * @param {Json} given
 * @param {Json} root
 * @returns {{ body: Json, what: string, isBad: boolean }}
 */
export function bent(random, body, given, root) {
  const schema = resolved(given, root)
  const names = Object.keys(schema.properties ?? {})
  const name = random.pick(names) ?? 'x'
  const one = resolved(schema.properties?.[name] ?? {}, root) ?? {}
  const required = schema.required ?? []
  const types = [one.type].flat()
  const without = () => {
    const { [name]: _, ...rest } = body
    return rest
  }
  const set = (/** @type {any} */ value) => ({ ...body, [name]: value })
  // A badge needs an image, which `imageUrl` may give as well; what an award's `slug` is too long for stands in its schema.
  const isNeeded = required.includes(name)
  switch (random.int(0, 15)) {
    case 0:
      return { body: without(), what: `drop ${name}`, isBad: isNeeded }
    case 1:
      return { body: set(null), what: `null ${name}`, isBad: isNeeded && name !== 'slug' }
    case 2:
      return { body: set(random.pick(ODD)), what: `retype ${name}`, isBad: false }
    case 3: {
      const isText = types.includes('string') && one.format === undefined && !one.enum
      const bad = { nobody: 'expects this' }
      return {
        body: set(bad),
        what: `object for ${name}`,
        isBad: isText && name !== 'image' && !('pattern' in one),
      }
    }
    case 4: {
      const max = one.maxLength
      if (max === undefined || one.format || /url/i.test(name))
        return {
          body: set('x'.repeat(3_000)),
          what: `long ${name}`,
          isBad: /^email$/.test(one.format ?? ''),
        }
      return { body: set('x'.repeat(max + 1)), what: `overlong ${name}`, isBad: true }
    }
    case 5: {
      const max = one.maxLength ?? 20
      const isText = types.includes('string') && !one.format && !/url|image/i.test(name)
      return {
        body: set((isText ? '\u{1f3c5}' : 'x').repeat(max)),
        what: `longest ${name}`,
        isBad: false,
      }
    }
    case 6:
      return { body: set(random.pick(AWKWARD)), what: `awkward ${name}`, isBad: false }
    case 7:
      return { body: set(`a\u0000b`), what: `NUL in ${name}`, isBad: true }
    case 8:
      return {
        body: { ...body, [random.pick(AWKWARD)]: random.pick(ODD) },
        what: 'unknown member',
        isBad: false,
      }
    case 9:
      return {
        body: {
          ...body,
          ...JSON.parse(
            '{"__proto__":{"role":"admin","x":1},"constructor":{"prototype":{"x":1}},"prototype":1}',
          ),
        },
        what: 'prototype keys',
        isBad: false,
      }
    case 10: {
      const depth = random.pick([3, 20, 30, 31, 32, 33, 100, 1_000])
      return { body: set(nested(depth)), what: `${depth} deep in ${name}`, isBad: depth > 32 }
    }
    case 11: {
      const count = random.pick([1, 2, 100, 1_000, 24_000, 26_000])
      return {
        body: set(Array(count).fill(1)),
        what: `${count} items in ${name}`,
        isBad: count > 25_000,
      }
    }
    case 12:
      if (one.enum) return { body: set('no such word'), what: `word of ${name}`, isBad: true }
      return { body: set(Number.MAX_VALUE), what: `huge ${name}`, isBad: one.format === 'email' }
    case 13:
      if (one.format === 'email') {
        const wrong = [
          'x',
          'x@',
          '@x.org',
          'a b@example.org',
          'a@b@example.org',
          'x@example',
          'x@.org',
          'x@-.org',
        ]
        return { body: set(random.pick(wrong)), what: `no address in ${name}`, isBad: true }
      }
      return {
        body: set([random.pick(ODD), random.pick(AWKWARD)]),
        what: `list for ${name}`,
        isBad: false,
      }
    case 14:
      if (one.pattern?.includes('[1-9]'))
        return {
          body: set(random.pick(['1.5', '01', '+1', '1e3', ' 1', '٣', '9007199254740992', 0.1])),
          what: `no integer in ${name}`,
          isBad: true,
        }
      return {
        body: set(random.pick([true, 'true', 1, '1', 'TRUE', 2])),
        what: `flag for ${name}`,
        isBad: false,
      }
    default: {
      const once = bent(random, body, given, root)
      const twice = bent(random, once.body, given, root)
      // The second may have taken back what the first did.
      return { body: twice.body, what: `${once.what}, ${twice.what}`, isBad: twice.isBad }
    }
  }
}

// ── How a body goes over the wire ───────────────────────────────────────────────────────────────────────────────────

/**
 * The pairs of a form. Null and an empty list cannot be said in one, so that such members are left out.
 * @param {unknown} value
 * @param {string} name
 * @returns {[string, string][]}
 */
function pairsOf(value, name) {
  if (value === null || value === undefined) return []
  if (Array.isArray(value)) {
    const isFlat = value.every((one) => typeof one !== 'object' || one === null)
    return value.flatMap((one, i) => pairsOf(one, isFlat ? `${name}[]` : `${name}[${i}]`))
  }
  if (typeof value === 'object')
    return Object.entries(value).flatMap(([key, one]) => pairsOf(one, `${name}[${key}]`))
  return [[name, String(value)]]
}

/** @typedef {{ type: string, bytes: Buffer }} Wire */

/** @param {Json} body @returns {Wire} */
export const asJson = (body) => ({
  type: 'application/json',
  bytes: Buffer.from(JSON.stringify(body)),
})

/** @param {Json} body @returns {Wire} */
export function asForm(body) {
  const encoded = Object.entries(body)
    .flatMap(([name, value]) => pairsOf(value, name))
    .map((pair) => pair.map((text) => encodeURIComponent(text.toWellFormed())).join('='))
    .join('&')
  return { type: 'application/x-www-form-urlencoded', bytes: Buffer.from(encoded) }
}

/** @param {Random} random @param {Json} body @returns {Wire} */
export function asMultipart(random, body) {
  const boundary = `fuzz${random.hex(16)}`
  /** @type {Buffer[]} */
  const parts = []
  const add = (/** @type {string} */ head, /** @type {string | Buffer} */ content) =>
    parts.push(
      Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; ${head}\r\n\r\n`),
      Buffer.from(content),
      Buffer.from('\r\n'),
    )
  for (const [name, value] of Object.entries(body).flatMap(([key, one]) => pairsOf(one, key))) {
    const safe = name.toWellFormed().replace(/["\r\n]/g, (char) => encodeURIComponent(char))
    // A good image may come as a file instead.
    if (name === 'image' && /^(?:data|https):/.test(value) && random.chance(0.5))
      add('name="image"; filename="a.png"\r\nContent-Type: image/png', PNG)
    else add(`name="${safe}"`, value.toWellFormed())
  }
  parts.push(Buffer.from(`--${boundary}--\r\n`))
  return { type: `multipart/form-data; boundary=${boundary}`, bytes: Buffer.concat(parts) }
}

/**
 * Bodies that are no input at all, each with the statuses that it may be refused with.
 * @param {Random} random
 * @param {Wire} wire a good one
 * @returns {Wire & { what: string, isBad: boolean, encoding?: string }}
 */
export function brokenWire(random, wire) {
  const json = 'application/json'
  const at = random.int(0, Math.max(0, wire.bytes.length - 1))
  switch (random.int(0, 11)) {
    case 0:
      return { type: json, bytes: Buffer.from('{"a":'), what: 'half JSON', isBad: true }
    case 1:
      return {
        type: json,
        bytes: Buffer.from(random.pick(['[]', '1', 'null', '"x"', 'true'])),
        what: 'JSON that is no object',
        isBad: true,
      }
    case 2:
      return {
        ...wire,
        type: random.pick(['text/plain', 'application/xml', 'application/jwt', 'image/png', '*/*']),
        what: 'another type',
        isBad: true,
      }
    case 3:
      return { ...wire, type: '', what: 'no type', isBad: true }
    case 4:
      return {
        type: 'multipart/form-data',
        bytes: wire.bytes,
        what: 'multipart without boundary',
        isBad: true,
      }
    case 5:
      return {
        type: 'multipart/form-data; boundary=x',
        bytes: Buffer.from('--x\r\nno headers'),
        what: 'broken multipart',
        isBad: true,
      }
    case 6:
      return {
        type: 'application/x-www-form-urlencoded',
        bytes: Buffer.from('name=%zz'),
        what: 'broken form',
        isBad: true,
      }
    case 7:
      return {
        ...wire,
        encoding: random.pick(['gzip', 'br', 'deflate', 'x']),
        what: 'an encoding',
        isBad: true,
      }
    case 8: {
      const bytes = Buffer.from(wire.bytes)
      bytes[at] = random.int(0, 255)
      return { ...wire, bytes, what: `byte ${at} is ${bytes[at]}`, isBad: false }
    }
    case 9:
      return { ...wire, bytes: wire.bytes.subarray(0, at), what: `cut at ${at}`, isBad: false }
    case 10: {
      // A member twice: the last counts.
      const text = wire.bytes.toString()
      if (wire.type !== json)
        return { ...wire, bytes: Buffer.from(`${text}&${text}`), what: 'all twice', isBad: false }
      const twice = text.length > 2 ? `${text.slice(0, -1)},${text.slice(1)}` : text
      return { ...wire, bytes: Buffer.from(twice), what: 'members twice', isBad: false }
    }
    default:
      return {
        type: `${json}; charset=utf-16`,
        bytes: Buffer.concat([Buffer.from([0xff, 0xfe, 0x00]), wire.bytes]),
        what: 'another charset',
        isBad: true,
      }
  }
}
