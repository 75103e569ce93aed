import { describe, expect, it } from 'vitest'
import { readFields, type Upload } from '../src/fields'

const JSON_TYPE = 'application/json'
const FORM_TYPE = 'application/x-www-form-urlencoded'

const utf8 = (text: string) => new Uint8Array(new TextEncoder().encode(text))
const readJson = (text: string) => readFields(JSON_TYPE, utf8(text))
const readForm = (text: string) => readFields(FORM_TYPE, utf8(text))

async function readMultipart(parts: [string, string | File][]) {
  const form = new FormData()
  for (const [name, value] of parts) form.append(name, value)
  const response = new Response(form)
  const raw = new Uint8Array(await response.arrayBuffer())
  return readFields(response.headers.get('content-type') ?? '', raw)
}

const refused = (status: number, code: string, message: unknown = expect.any(String)) =>
  expect.objectContaining({ status, code, message })
const invalid = (message?: unknown) => refused(400, 'InvalidContent', message)

describe('an empty body', () => {
  it.each([[undefined], [''], [JSON_TYPE], [FORM_TYPE], ['multipart/form-data'], ['text/csv']])(
    'is an empty object when its type is %s',
    async (type) => {
      expect(await readFields(type, new Uint8Array())).toEqual({})
    },
  )
})

describe('the type of a body', () => {
  it.each([
    ['text/csv', 'text/csv'],
    ['text/CSV; charset=utf-8', 'text/CSV'],
    ['application/ld+json', 'application/ld+json'],
    ['application/json2', 'application/json2'],
    [undefined, 'application/octet-stream'],
    ['', 'application/octet-stream'],
    [';charset=utf-8', 'application/octet-stream'],
  ])('%j is refused by name', async (type, message) => {
    const reading = readFields(type, utf8('{}'))
    await expect(reading).rejects.toEqual(refused(415, 'UnsupportedMediaTypeError', message))
  })

  it('is compared without case and parameters', async () => {
    expect(await readFields('Application/JSON;charset=utf-8', utf8('{"a":1}'))).toEqual({ a: 1 })
    expect(await readFields(`${FORM_TYPE}; charset=UTF-8`, utf8('a=1'))).toEqual({ a: '1' })
  })
})

describe('JSON', () => {
  it('keeps every kind of value', async () => {
    const body = { a: 'x', b: 1.5, c: true, d: null, e: [1, ['y']], f: { g: {} }, h: '' }
    expect(await readJson(JSON.stringify(body))).toStrictEqual(body)
  })

  it('may begin with a byte order mark and hold escaped quotes and brackets in texts', async () => {
    expect(await readJson('\ufeff{"a":"b"}')).toEqual({ a: 'b' })
    const body = { a: '\\"[[[{{{,,,', 'b\\': '\\\\', c: `${'['.repeat(100)}"` }
    expect(await readJson(JSON.stringify(body))).toEqual(body)
  })

  it.each(['{', '{"a":}', 'nope', '{"a":"', '{"a":"\\"}', "{'a':1}", '{"a":1}}', '"', ' '])(
    'refuses the syntax of %j',
    async (text) => {
      await expect(readJson(text)).rejects.toEqual(
        invalid(expect.stringMatching(/^Invalid JSON: /)),
      )
    },
  )

  it.each(['[]', '[{}]', '"a"', '1', 'true', 'null'])('refuses %s, not an object', async (text) => {
    await expect(readJson(text)).rejects.toEqual(invalid('The body must be a JSON object'))
  })

  it('takes 32 levels and refuses 33', async () => {
    const nested = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
    expect(await readJson(nested(32))).toHaveProperty('a.a.a')
    await expect(readJson(nested(33))).rejects.toEqual(invalid())
    await expect(readJson('['.repeat(1_000_000))).rejects.toEqual(invalid())
  })

  it('takes a bulk award of 10,000 emails and refuses more than 25,000 values', async () => {
    const emails = Array.from({ length: 10_000 }, (_, n) => `earner-${n}@example.org`)
    expect(await readJson(JSON.stringify({ emails }))).toEqual({ emails })
    await expect(readJson(`{"a":[${'1,'.repeat(25_000)}1]}`)).rejects.toEqual(invalid())
    await expect(readJson(`{"a":[${'[],'.repeat(13_000)}1]}`)).rejects.toEqual(invalid())
  })

  it('drops keys that reach a prototype, at any depth', async () => {
    const text = '{"__proto__":{"x":1},"a":{"constructor":1,"prototype":2,"b":[{"__proto__":3}]}}'
    const body = await readJson(text)
    expect(body).toStrictEqual({ a: { b: [{}] } })
    expect(Object.getPrototypeOf(body)).toBe(Object.prototype)
    expect('x' in body).toBe(false)
  })

  it('makes texts and keys well-formed', async () => {
    expect(await readJson('{"a\\ud800":"\\udc00b","c":["\\ud83d\\udc69"]}')).toEqual({
      'a\ufffd': '\ufffdb',
      c: ['👩'],
    })
    expect(
      await readFields(JSON_TYPE, new Uint8Array([...utf8('{"a":"'), 0xff, ...utf8('"}')])),
    ).toEqual({ a: '\ufffd' })
  })

  it.each(['{"a":"x\\u0000"}', '{"a":[{"b":"\\u0000"}]}', '{"a\\u0000":1}'])(
    'refuses U+0000 in %s',
    async (text) => {
      await expect(readJson(text)).rejects.toEqual(invalid('Text may not contain U+0000'))
    },
  )

  it('reads 8 MiB in linear time, whatever the text holds', async () => {
    const started = performance.now()
    for (const unit of ['AAAA', '\\\\\\\\', '\\"\\"', '\\/\\/']) {
      await readJson(`{"image":"${unit.repeat(2 ** 21)}"}`)
    }
    expect(performance.now() - started).toBeLessThan(4000)
  })
})

describe('a form', () => {
  it.each<[string, unknown]>([
    ['a=1', { a: '1' }],
    ['a=1&b=2', { a: '1', b: '2' }],
    ['a', { a: '' }],
    ['a=', { a: '' }],
    ['a=b=c', { a: 'b=c' }],
    ['&&a=1&', { a: '1' }],
    ['a=x+y%20z%2B', { a: 'x y z+' }],
    ['n%C3%A9=%F0%9F%91%A9', { né: '👩' }],
    ['a=1&a=2', { a: ['1', '2'] }],
    ['tags[]=a', { tags: ['a'] }],
    ['tags[]=a&tags[]=b', { tags: ['a', 'b'] }],
    ['tags=a&tags[]=b', { tags: ['a', 'b'] }],
    ['a[b]=c', { a: { b: 'c' } }],
    ['a[b]=c&a[d][e]=f', { a: { b: 'c', d: { e: 'f' } } }],
    ['a[b]=1&a[b]=2', { a: { b: ['1', '2'] } }],
    ['a[b][]=1', { a: { b: ['1'] } }],
    ['a%5Bb%5D=c', { a: { b: 'c' } }],
    [
      'criteria[0][description]=x&criteria[0][required]=1&criteria[1][description]=y',
      { criteria: [{ description: 'x', required: '1' }, { description: 'y' }] },
    ],
    ['a[1]=y&a[0]=x', { a: ['x', 'y'] }],
    ['a[10]=z&a[9]=y', { a: ['y', 'z'] }],
    ['a[999999]=x', { a: ['x'] }],
    ['a[99999999999999999999]=y&a[1]=x', { a: ['x', 'y'] }],
    ['a[][b]=1&a[][b]=2', { a: [{ b: '1' }, { b: '2' }] }],
    ['a[0]=x&a[b]=y', { a: { 0: 'x', b: 'y' } }],
    ['a=x&a[b]=y', { a: ['x', { b: 'y' }] }],
    ['a[b=c', { 'a[b': 'c' }],
    ['a]b=c', { 'a]b': 'c' }],
    ['a[b]c=d', { 'a[b]c': 'd' }],
    ['a[b]c[d]=e', { 'a[b]c[d]': 'e' }],
    ['a[[b]]=c', { 'a[[b]]': 'c' }],
    ['[a]=b', { '[a]': 'b' }],
    ['[]=b', { '[]': 'b' }],
    ['=b', { '': 'b' }],
    ['a[-1]=x', { a: { '-1': 'x' } }],
    ['0=x&1=y', { 0: 'x', 1: 'y' }],
    ['a[1][2][3][4][5][6][7][8]=x', { a: [[[[[[[['x']]]]]]]] }],
  ])('reads %s', async (text, fields) => {
    expect(await readForm(text)).toStrictEqual(fields)
  })

  it.each(['a=%', 'a=%4', 'a=%zz', '%=a', 'a=%ff', 'a=%C3', 'a=%ED%A0%80', 'a[%]=1'])(
    'refuses the percent-encoding of %s',
    async (text) => {
      await expect(readForm(text)).rejects.toEqual(invalid())
    },
  )

  it.each(['__proto__=x', '__proto__[x]=1', 'constructor[prototype][x]=1', 'a[__proto__][x]=1'])(
    'drops %s',
    async (text) => {
      const fields = await readForm(`${text}&b=2`)
      expect(fields).toStrictEqual({ b: '2' })
      expect('x' in {}).toBe(false)
    },
  )

  it('refuses nine pairs of brackets, 25,001 fields and U+0000', async () => {
    await expect(readForm(`a${'[b]'.repeat(9)}=x`)).rejects.toEqual(invalid())
    await expect(readForm(`a${'[b]'.repeat(300_000)}=x`)).rejects.toEqual(invalid())
    await expect(readForm('a=1&'.repeat(25_001))).rejects.toEqual(invalid())
    await expect(readForm(`${'&'.repeat(25_001)}a=1`)).rejects.toEqual(invalid())
    await expect(readForm('a=%00')).rejects.toEqual(invalid('Text may not contain U+0000'))
    await expect(readForm('a[%00]=1')).rejects.toEqual(invalid('Text may not contain U+0000'))
  })

  it('takes 10,000 emails, bracketed or repeated', async () => {
    const emails = Array.from({ length: 10_000 }, (_, n) => `earner-${n}@example.org`)
    for (const name of [() => 'emails[]', () => 'emails', (n: number) => `emails[${n}]`]) {
      const text = emails.map((email, n) => `${name(n)}=${encodeURIComponent(email)}`).join('&')
      expect(await readForm(text)).toEqual({ emails })
    }
  })
})

describe('a multipart body', () => {
  it('gives text fields by the same brackets and files as uploads', async () => {
    const bytes = new Uint8Array([0, 1, 254, 255])
    const image = new File([bytes], 'badge.png', { type: 'image/png' })
    const fields = await readMultipart([
      ['name', 'Ada\r\n👩'],
      ['tags[]', 'a'],
      ['criteria[0][description]', 'x'],
      ['image', image],
      ['files[]', image],
    ])
    const upload = { name: 'badge.png', type: 'image/png', bytes } satisfies Upload
    expect(fields).toEqual({
      name: 'Ada\r\n👩',
      tags: ['a'],
      criteria: [{ description: 'x' }],
      image: upload,
      files: [upload],
    })
  })

  it('gives an empty text for a file input where nothing was chosen', async () => {
    const body = [
      '--b\r\ncontent-disposition: form-data; name="image"; filename=""',
      'content-type: application/octet-stream\r\n\r\n\r\n--b--\r\n',
    ].join('\r\n')
    expect(await readFields('multipart/form-data; boundary=b', utf8(body))).toEqual({
      image: '',
    })
  })

  it('drops prototype keys and refuses U+0000', async () => {
    expect(
      await readMultipart([
        ['__proto__[x]', '1'],
        ['a', 'b'],
      ]),
    ).toStrictEqual({ a: 'b' })
    await expect(readMultipart([['a', '\u0000']])).rejects.toEqual(invalid())
  })

  it.each([
    ['multipart/form-data', '--b\r\n'],
    ['multipart/form-data; boundary=b', 'nothing of the kind'],
    ['multipart/form-data; boundary=b', '--b\r\ncontent-disposition: form-data; name="a"\r\n\r\nx'],
  ])('refuses a malformed one', async (type, text) => {
    await expect(readFields(type, utf8(text))).rejects.toEqual(refused(400, 'BadRequestError'))
  })
})

describe('one badge', () => {
  const badge = {
    name: 'Ünïcode & "quotes" = +100%',
    strapline: '',
    unique: '0',
    tags: ['a', 'b'],
    categories: ['only one'],
    criteria: [
      { description: 'first', required: '1' },
      { description: 'second', required: '0', note: 'line\r\nbreak' },
    ],
    issuer: { name: { first: '👩' } },
  }

  it('reads the same from JSON, a form and multipart', async () => {
    const pairs = flatten(badge)
    const form = pairs.map((pair) => pair.map(encodeURIComponent).join('=')).join('&')
    expect(await readJson(JSON.stringify(badge))).toStrictEqual(badge)
    expect(await readForm(form)).toStrictEqual(badge)
    expect(await readForm(String(new URLSearchParams(pairs)))).toStrictEqual(badge)
    expect(await readMultipart(pairs)).toStrictEqual(badge)
  })
})

function flatten(value: unknown, name = ''): [string, string][] {
  if (typeof value !== 'object' || value === null) return [[name, String(value)]]
  return Object.entries(value).flatMap(([key, member]) =>
    flatten(member, name === '' ? key : `${name}[${key}]`),
  )
}
