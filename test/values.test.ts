import { describe, expect, expectTypeOf, it } from 'vitest'
import * as z from 'zod'
import {
  email,
  flag,
  int,
  optionalEmail,
  optionalFlag,
  optionalInt,
  optionalOneOf,
  optionalText,
  optionalUrl,
  slug,
  text,
  timestamp,
  url,
  validationDetails,
} from '../src/values'

/** What a lone schema makes of `given` as an object member: its value, or its message. */
function read(schema: z.ZodType, ...given: unknown[]) {
  const input = given.length ? { field: given[0] } : {}
  const result = z.object({ field: schema }).safeParse(input)
  if (result.success) return result.data.field
  const [detail, ...more] = validationDetails(result.error, input)
  expect(more).toEqual([])
  expect(detail?.field).toBe('field')
  return new Error(detail?.message)
}

const required = { text: text(1, 255), slug, url: url(), email: email(), int: int(), flag: flag() }
const optional = {
  optionalInt: optionalInt(),
  optionalOneOf: optionalOneOf(['a', 'b']),
  optionalEmail: optionalEmail(),
  optionalUrl: optionalUrl(),
  optionalFlag: optionalFlag(),
  timestamp: timestamp(),
}

describe.each(Object.entries(required))('%s', (_name, schema) => {
  it('is required: absent, undefined and null are refused with one message', () => {
    expect(read(schema)).toEqual(new Error('Required field'))
    expect(read(schema, undefined)).toEqual(new Error('Required field'))
    expect(read(schema, null)).toEqual(new Error('Required field'))
  })

  it('refuses an empty text', () => {
    expect(read(schema, '')).toBeInstanceOf(Error)
  })
})

describe.each(Object.entries(optional))('%s', (_name, schema) => {
  it('keeps absent apart from null and takes an empty text for null', () => {
    expect(z.object({ field: schema }).parse({})).toStrictEqual({})
    expect(read(schema, null)).toBeNull()
    expect(read(schema, '')).toBeNull()
  })
})

describe('text', () => {
  it('counts characters, not UTF-16 units, as JSON Schema does', () => {
    expect(read(text(1, 2), '👩👩')).toBe('👩👩')
    expect(read(text(1, 2), 'abc')).toEqual(new Error('String is not in range'))
    expect(read(text(2), '👩')).toEqual(new Error('String is not in range'))
    expect(read(text(1, 255), 'x'.repeat(255))).toBe('x'.repeat(255))
    expect(read(text(1, 255), 'x'.repeat(256))).toEqual(new Error('String is not in range'))
    expect(read(text(1), 'x'.repeat(100_000))).toHaveLength(100_000)
  })

  it('takes numbers and booleans by their string form', () => {
    expect(read(text(1, 255), 7)).toBe('7')
    expect(read(text(1, 255), 0)).toBe('0')
    expect(read(optionalText(255), false)).toBe('false')
  })

  it.each([[[]], [['a']], [{}], [{ toString: 'x' }], [new Uint8Array(2)]])(
    'refuses %j',
    (given) => {
      expect(read(text(0), given)).toEqual(new Error('String is not in range'))
      expect(read(optionalText(), given)).toEqual(new Error('String is not in range'))
    },
  )

  it('keeps what was given, spaces and all', () => {
    expect(read(text(1, 255), ' a b ')).toBe(' a b ')
  })

  it('leaves an optional text absent, null or empty as it was', () => {
    const schema = z.object({ a: optionalText(), b: optionalText(255), c: optionalText() })
    expect(schema.parse({ b: null, c: '' })).toStrictEqual({ b: null, c: '' })
    expect(read(optionalText(2), 'abc')).toEqual(new Error('String is not in range'))
  })
})

describe('int', () => {
  it.each([
    [0, 0],
    [5, 5],
    [-5, -5],
    ['0', 0],
    ['-0', 0],
    ['12', 12],
    ['-12', -12],
    [1.0, 1],
    [2 ** 53 - 1, 2 ** 53 - 1],
    ['9007199254740991', 2 ** 53 - 1],
  ])('reads %j as %j', (given, value) => {
    expect(read(int(), given)).toBe(value)
    expect(read(optionalInt(), given)).toBe(value)
  })

  it.each([
    ['05'],
    ['1.0'],
    [1.5],
    ['1e3'],
    ['+1'],
    ['--1'],
    ['-'],
    [' 1'],
    ['1 '],
    ['1\n'],
    ['0x10'],
    ['١'],
    ['9007199254740992'],
    [2 ** 53],
    [1e21],
    ['9'.repeat(400)],
    [Number.POSITIVE_INFINITY],
    [Number.NaN],
    [true],
    [[]],
    [[1]],
    [{}],
  ])('refuses %j', (given) => {
    expect(read(int(), given)).toEqual(new Error('Invalid integer'))
    expect(read(optionalInt(), given)).toEqual(new Error('Invalid integer'))
  })
})

describe('flag', () => {
  it.each([
    [true, true],
    ['true', true],
    [1, true],
    ['1', true],
    [false, false],
    ['false', false],
    [0, false],
    ['0', false],
  ])('reads %j as %j', (given, value) => {
    expect(read(flag(), given)).toBe(value)
    expect(read(optionalFlag(), given)).toBe(value)
  })

  it.each([['yes'], ['TRUE'], ['on'], [2], ['2'], [-1], ['01'], [[]], [[1]], [{}]])(
    'refuses %j',
    (given) => {
      const refused = new Error('Unexpected value or invalid argument')
      expect(read(flag(), given)).toEqual(refused)
      expect(read(optionalFlag(), given)).toEqual(refused)
    },
  )
})

describe('optionalOneOf', () => {
  it('compares the string form with the list', () => {
    expect(read(optionalOneOf(['issue', 'queue']), 'queue')).toBe('queue')
    expect(read(optionalOneOf(['1', '2']), 2)).toBe('2')
  })

  it.each([['Issue'], ['issue '], [0], [['issue']], [{}], ['toString']])('refuses %j', (given) => {
    const refused = new Error('Unexpected value or invalid argument')
    expect(read(optionalOneOf(['issue', 'queue']), given)).toEqual(refused)
  })
})

describe('email', () => {
  it.each([
    ['ada@example.org'],
    ['Ada.Lovelace+badges@Mail.Example.ORG'],
    ["o'brien_&=/?^`{|}~!#$%*-@example.org"],
    ['a@b.c'],
    ['a@1.2'],
    ['a@x--y.example'],
    ['a@[127.0.0.1]'],
    ['a@[001.099.255.249]'],
    [`${'a'.repeat(242)}@example.org`],
  ])('takes %s', (given) => {
    expect(read(email(), given)).toBe(given)
    expect(read(optionalEmail(), given)).toBe(given)
  })

  it.each([
    ['nope'],
    ['a.b.c'],
    ['example.org'],
    ['@example.org'],
    ['a@'],
    ['a@localhost'],
    ['a@@example.org'],
    ['a@b@example.org'],
    ['.a@example.org'],
    ['a.@example.org'],
    ['a..b@example.org'],
    ['"a b"@example.org'],
    ['a b@example.org'],
    [' a@example.org'],
    ['a@example.org '],
    ['a@example.org\n'],
    ['a@exa mple.org'],
    ['a@-example.org'],
    ['a@example-.org'],
    ['a@example.org.'],
    ['a@.example.org'],
    ['a@example..org'],
    ['a@exam_ple.org'],
    ['å@example.org'],
    ['a@exämple.org'],
    ['a@[256.1.1.1]'],
    ['a@[1.1.1]'],
    ['a@[1.1.1.1.]'],
    ['a@[::1]'],
    ['Ada <a@example.org>'],
    ['a@example.org,b@example.org'],
    [`a@${'b'.repeat(64)}.org`],
    [`${'a'.repeat(243)}@example.org`],
    [5],
    [true],
    [['a@example.org']],
    [{}],
  ])('refuses %j', (given) => {
    expect(read(email(), given)).toEqual(new Error('Invalid email'))
    expect(read(optionalEmail(), given)).toEqual(new Error('Invalid email'))
  })
})

describe('url', () => {
  it.each([
    ['http://example.org'],
    ['https://example.org/'],
    ['HTTPS://EXAMPLE.ORG/x'],
    ['http://example.org?x=1'],
    ['http://example.org#x'],
    ['http://badgekit:3000/x'],
    ['http://exam_ple.org/'],
    ['http://localhost:3000/x'],
    ['http://127.0.0.1:3000/x'],
    ['http://[::1]:3000/x'],
    ['https://ada:secret@example.org/x'],
    ['https://münchen.example/straße?q=ü'],
    ['http://example.org:99999/x'],
    ['www.example.org'],
    ['example.org/a?b=c#d'],
    ['example.org:8080/x'],
    ['ada@example.org/x'],
    ['localhost'],
    ['localhost:3000/x'],
    ['LOCALHOST/x'],
    ['127.0.0.1:3000/x'],
    ['ftp://example.org/file'],
    ['ftp://ada:secret@example.org:21/file'],
    ['münchen.de'],
    ['a-b.example.org'],
  ])('takes %s', (given) => {
    expect(read(url(), given)).toBe(given)
    expect(read(optionalUrl(), given)).toBe(given)
  })

  it.each([
    ['what sort of wizardry is this'],
    ['NOT A URL AT ALL'],
    ['ridiculous-url'],
    ['data:image/png;base64,AAAA'],
    ['data:text/html,x@example.org'],
    ['javascript:alert(1)'],
    ['javascript:alert(1)@example.org'],
    ['javascript://example.org/%0aalert(1)'],
    ['JaVaScRiPt:x@example.org/'],
    ['mailto:ada@example.org'],
    ['file:///etc/passwd'],
    ['gopher://example.org/'],
    ['ws://example.org/'],
    ['/images/x'],
    ['./x.png'],
    ['//example.org/x'],
    ['?x=1'],
    ['http://'],
    ['http:///'],
    ['ftp://'],
    ['ftp://host'],
    ['example'],
    ['example.1'],
    ['example.c'],
    ['exam_ple.org'],
    ['example.org?x=1'],
    ['example.org:1/x'],
    ['example.org:123456/x'],
    ['example.org:80:80'],
    ['example..org'],
    ['.example.org'],
    ['example.org.'],
    ['-a.org'],
    ['a-.org'],
    ['a--b.org'],
    ['224.0.0.1'],
    ['0.1.2.3'],
    ['1.2.3'],
    ['http://256.256.256.256/'],
    ['http://exa mple.org/'],
    ['http://example.org/a b'],
    ['http://example.org/\n'],
    ['http://exam\tple.org/'],
    ['http://example.org/\u0000'],
    [' http://example.org/'],
    ['http://example.org:port/'],
    ['@example.org'],
    [5],
    [true],
    [['http://example.org/']],
    [{}],
  ])('refuses %j', (given) => {
    expect(read(url(), given)).toEqual(new Error('Invalid URL'))
    expect(read(optionalUrl(), given)).toEqual(new Error('Invalid URL'))
  })
})

it('takes a url of 2,082 characters and refuses one of 2,083', () => {
  const longest = 'http://example.org/'.padEnd(2082, 'x')
  expect(read(url(), longest)).toBe(longest)
  expect(read(url(), `${longest}x`)).toEqual(new Error('Invalid URL'))
})

describe('timestamp', () => {
  it.each([
    [0, 0],
    ['0', 0],
    [1_400_000_000, 1_400_000_000_000],
    ['1400000000', 1_400_000_000_000],
    [99_999_999_999, 99_999_999_999_000],
    [100_000_000_000, 100_000_000_000],
    ['1400000000123', 1_400_000_000_123],
    [1_400_000_000_123, 1_400_000_000_123],
    [-86_400, -86_400_000],
    ['-86400', -86_400_000],
    ['2014-05-21T19:22:09.000Z', 1_400_700_129_000],
    ['2014-05-21T21:22:09+02:00', 1_400_700_129_000],
    ['2014-05-21', 1_400_630_400_000],
    ['Wed, 21 May 2014 19:22:09 GMT', 1_400_700_129_000],
    ['2044-01-01T00:00:00Z', 2_335_219_200_000],
    ['0000-01-01T00:00:00Z', -62_167_219_200_000],
    ['9999-12-31T23:59:59.999Z', 253_402_300_799_999],
  ])('reads %j as %j milliseconds', (given, value) => {
    expect(read(timestamp(), given)).toBe(value)
  })

  it.each([
    ['tomorrow'],
    ['2014-13-01'],
    ['2014-05-21T25:00:00Z'],
    ['+010000-01-01T00:00:00Z'],
    ['-000001-12-31T00:00:00Z'],
    ['9'.repeat(15)],
    ['9'.repeat(40)],
    [1e300],
    [1.5],
    [Number.NaN],
    [true],
    [[]],
    [['2014-05-21']],
    [{}],
    [' x'],
  ])('refuses %j', (given) => {
    expect(read(timestamp(), given)).toEqual(new Error('Not a date'))
  })
})

describe('validationDetails', () => {
  const Badge = z.object({
    name: text(1, 255),
    strapline: optionalText(3),
    unique: flag(),
    earnerDescription: text(1),
    limit: optionalInt(),
    criteria: z.array(z.object({ description: text(1), required: flag() })).optional(),
    emails: z.array(email()),
  })

  it('lists the first problem of every failing field in schema order', () => {
    const input = {
      criteria: [
        { description: 'ok', required: 1 },
        { description: '', required: 'no' },
      ],
      limit: 'many',
      unique: 'maybe',
      strapline: 'long',
      emails: ['a@example.org', 'nope'],
    }
    const { error } = Badge.safeParse(input)
    expect(error && validationDetails(error, input)).toEqual([
      { message: 'Required field', field: 'name', value: '' },
      { message: 'String is not in range', field: 'strapline', value: 'long' },
      { message: 'Unexpected value or invalid argument', field: 'unique', value: 'maybe' },
      { message: 'Required field', field: 'earnerDescription', value: '' },
      { message: 'Invalid integer', field: 'limit', value: 'many' },
      { message: 'String is not in range', field: 'criteria[1].description', value: '' },
      {
        message: 'Unexpected value or invalid argument',
        field: 'criteria[1].required',
        value: 'no',
      },
      { message: 'Invalid email', field: 'emails[1]', value: 'nope' },
    ])
  })

  it('calls a missing list a required field like any other', () => {
    const { error } = z.object({ emails: z.array(email()) }).safeParse({})
    expect(error && validationDetails(error, {})).toEqual([
      { message: 'Required field', field: 'emails', value: '' },
    ])
  })

  it('names an uploaded file instead of sending its bytes back', () => {
    const input = { name: { name: 'x.png', type: 'image/png', bytes: new Uint8Array(1000) } }
    const { error } = z.object({ name: text(1) }).safeParse(input)
    expect(error && validationDetails(error, input)).toEqual([
      { message: 'String is not in range', field: 'name', value: 'x.png' },
    ])
  })

  it('keeps one entry for a field with two problems, and an empty name for the body itself', () => {
    const twice = z.object({ a: z.string().min(3, 'short').regex(/x/, 'no x') })
    const { error } = twice.safeParse({ a: 'b' })
    expect(error && validationDetails(error, { a: 'b' })).toEqual([
      { message: 'short', field: 'a', value: 'b' },
    ])
    const { error: root } = z.object({}).safeParse(7)
    expect(root && validationDetails(root, 7)[0]?.field).toBe('')
  })
})

describe('every schema', () => {
  const All = z.object({ ...required, ...optional, note: optionalText(10) })

  it('is published as JSON Schema with its bounds and whether it is required', () => {
    const schema = z.toJSONSchema(All, { io: 'input' })
    expect(schema.required).toEqual(Object.keys(required))
    expect(schema.properties).toMatchObject({
      text: { type: 'string', minLength: 1, maxLength: 255 },
      int: { type: ['integer', 'string'] },
      flag: { enum: [true, false, 1, 0, 'true', 'false', '1', '0'] },
      optionalOneOf: { enum: ['a', 'b', null] },
      optionalEmail: { type: ['string', 'null'], format: 'email' },
      note: { type: ['string', 'null'], maxLength: 10 },
    })
    expect(JSON.stringify(schema)).not.toContain('undefined')
  })

  it('has exact output types', () => {
    type Output = z.output<typeof All>
    expectTypeOf<Output['text']>().toEqualTypeOf<string>()
    expectTypeOf<Output['int']>().toEqualTypeOf<number>()
    expectTypeOf<Output['flag']>().toEqualTypeOf<boolean>()
    expectTypeOf<Output['note']>().toEqualTypeOf<string | null | undefined>()
    expectTypeOf<Output['optionalInt']>().toEqualTypeOf<number | null | undefined>()
    expectTypeOf<Output['optionalOneOf']>().toEqualTypeOf<'a' | 'b' | null | undefined>()
    expectTypeOf<Output['timestamp']>().toEqualTypeOf<number | null | undefined>()
  })

  it('answers in linear time whatever it is given', () => {
    const long = 2_000_000
    const started = performance.now()
    for (const given of ['a-'.repeat(long), 'a.'.repeat(long), `http://${'a.'.repeat(1000)}`]) {
      for (const schema of Object.values({ ...required, ...optional })) read(schema, given)
    }
    expect(performance.now() - started).toBeLessThan(2000)
  })
})
