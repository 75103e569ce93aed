import { beforeAll, describe, expect, it } from 'vitest'
import { api, ask, ORIGIN, send, sign } from './helpers/api'
import { container, unique } from './helpers/seed'
import { unchanged, under, utf8, watchLog } from './helpers/worker'

/** What may be sent as a body: how much, and in which forms. */

watchLog()
const MIB = 1024 * 1024

const system = unique('bodies')
beforeAll(async () => {
  await api.post('/systems', container(system))
})

/** A body that comes in pieces, without a length. */
function streamed(size: number) {
  let left = size
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      const chunk = Math.min(left, 64 * 1024)
      left -= chunk
      if (chunk > 0) controller.enqueue(new Uint8Array(chunk).fill(0x20))
      else controller.close()
    },
  })
}

describe('the size of a body', () => {
  const small = `/systems/${system}/keys`
  const tooLarge = (mib: number) => ({
    status: 413,
    body: {
      code: 'RequestEntityTooLarge',
      message: `The request body may hold ${mib * MIB} bytes at most`,
    },
  })

  const sizes: [string, string, number][] = [
    ['POST', '/systems', 8],
    ['PUT', '/systems/x', 8],
    ['POST', '/systems/x/issuers', 8],
    ['PUT', '/systems/x/issuers/y', 8],
    ['POST', '/systems/x/issuers/y/programs', 8],
    ['PUT', '/systems/x/issuers/y/programs/z', 8],
    ['POST', '/systems/x/badges', 8],
    ['PUT', '/systems/x/badges/y', 8],
    ['POST', '/systems/x/issuers/y/badges', 8],
    ['PUT', '/systems/x/issuers/y/programs/z/badges/b', 8],
    ['POST', '/systems/x/keys', 2],
    ['POST', '/systems/x/webhooks', 2],
    ['POST', '/systems/x/badges/y/instances', 2],
    ['POST', '/systems/x/issuers/y/programs/z/badges/b/instances', 2],
    ['POST', '/systems/x/badges/y/instances/jobs', 32],
    ['POST', '/systems/x/badges/y/instances/jobs/z/revoke', 2],
    ['POST', '/systems/x/badges/y/instances/revocations', 2],
  ]

  it.each(sizes)('of %s %s is %d MiB at most, before any token', async (method, path, mib) => {
    const ask = (size: number) =>
      unchanged(() =>
        under({}, new Request(ORIGIN + path, { method, body: streamed(size) } as RequestInit)),
      )
    const { status, body } = await ask(mib * MIB + 1)
    expect({ status, body }).toEqual(tooLarge(mib))
    expect((await ask(mib * MIB)).status).toBe(403)
  })

  it('is taken from Content-Length where there is one, and the body is not read', async () => {
    let pulled = 0
    const body = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          pulled++
          controller.enqueue(new Uint8Array(64 * 1024))
        },
      },
      { highWaterMark: 0 },
    )
    const headers = { 'Content-Length': String(2 * MIB + 1) }
    const answer = await under({}, new Request(ORIGIN + small, { method: 'POST', body, headers }))
    expect({ status: answer.status, body: answer.body }).toEqual(tooLarge(2))
    expect(pulled).toBe(0)
  })

  it('is counted all the same when Content-Length says less or nothing sensible', async () => {
    for (const length of ['1', '-1', 'many', '']) {
      const headers = { 'Content-Length': length }
      const request = new Request(ORIGIN + small, {
        method: 'POST',
        body: streamed(2 * MIB + 1),
        headers,
      })
      const { status } = await unchanged(() => under({}, request))
      expect(status, length).toBe(413)
    }
  })

  it('may reach the limit', async () => {
    const text = JSON.stringify({ description: 'padded' }).padEnd(2 * MIB, ' ')
    const type = 'application/json'
    const made = await send('POST', small, { type, bytes: utf8(text) })
    expect(made.status).toBe(201)
    const { status } = await unchanged(() => send('POST', small, { type, bytes: utf8(`${text} `) }))
    expect(status).toBe(413)
  })
})

describe('a body', () => {
  const valid = () => JSON.stringify(container(unique('body')))
  const post = (type: string, text: string, path = '/systems', headers = {}) =>
    send('POST', path, { type, bytes: utf8(text) }, { headers })

  it.each([['gzip'], ['br'], ['deflate'], ['gzip, identity'], ['x']])(
    'in the encoding %s is 415, before any token',
    async (encoding) => {
      const headers = { 'Content-Encoding': encoding }
      const answers = await unchanged(async () => [
        await ask('POST', '/systems', { body: utf8('{}'), headers }),
        await post('application/json', valid(), '/systems', headers),
      ])
      for (const { status, body } of answers) {
        expect(status).toBe(415)
        expect(body).toEqual({ code: 'UnsupportedMediaTypeError', message: encoding })
      }
    },
  )

  it('in the encoding `identity` is read', async () => {
    const headers = { 'Content-Encoding': 'identity' }
    expect((await post('application/json', valid(), '/systems', headers)).status).toBe(201)
  })

  it.each([
    ['text/plain', 'text/plain'],
    ['text/csv', 'text/csv'],
    ['text/csv; charset=utf-8', 'text/csv'],
    ['text/tab-separated-values', 'text/tab-separated-values'],
    ['application/xml', 'application/xml'],
    ['application/ld+json', 'application/ld+json'],
    ['nonsense', 'nonsense'],
  ])('of the type %s is 415', async (type, message) => {
    const { status, body } = await unchanged(() => post(type, valid()))
    expect(status).toBe(415)
    expect(body).toEqual({ code: 'UnsupportedMediaTypeError', message })
  })

  it('without a type is 415', async () => {
    const bytes = utf8(valid())
    const token = await sign('POST', '/systems', bytes)
    const headers = { Authorization: `JWT token="${token}"` }
    const { status, body } = await unchanged(() =>
      ask('POST', '/systems', { body: bytes, headers }),
    )
    expect(status).toBe(415)
    expect(body.code).toBe('UnsupportedMediaTypeError')
  })

  it.each([['{'], ['{"a":}'], ['nonsense'], ["{'a':1}"], ['{"a":1}x'], [' ']])(
    'that is no JSON is 400: %s',
    async (text) => {
      const { status, body } = await unchanged(() => post('application/json', text))
      expect(status).toBe(400)
      expect(body).toEqual({
        code: 'InvalidContent',
        message: expect.stringMatching(/^Invalid JSON: ./),
      })
    },
  )

  it.each([['[]'], ['[{"slug":"x"}]'], ['"text"'], ['1'], ['null'], ['true']])(
    'that is JSON but no object is 400: %s',
    async (text) => {
      const { status, body } = await unchanged(() => post('application/json', text))
      expect(status).toBe(400)
      expect(body).toEqual({ code: 'InvalidContent', message: 'The body must be a JSON object' })
    },
  )

  it('that is malformed as a form is 400', async () => {
    const form = await unchanged(() => post('application/x-www-form-urlencoded', 'a=%zz'))
    expect({ status: form.status, code: form.body.code }).toEqual({
      status: 400,
      code: 'InvalidContent',
    })
    const parts = await unchanged(() => post('multipart/form-data; boundary=x', 'nonsense'))
    expect({ status: parts.status, code: parts.body.code }).toEqual({
      status: 400,
      code: 'BadRequestError',
    })
  })

  it('is parsed only after the token is believed', async () => {
    const malformed: [string, string][] = [
      ['application/json', '{'],
      ['application/json', '[]'],
      ['text/csv', 'a,b'],
      ['multipart/form-data', 'nonsense'],
    ]
    for (const [type, text] of malformed) {
      const headers = { 'Content-Type': type }
      const { status } = await unchanged(() => ask('POST', '/systems', { body: text, headers }))
      expect(status).toBe(403)
    }
  })

  it.each([
    ['application/json'],
    ['application/x-www-form-urlencoded'],
    ['multipart/form-data; boundary=x'],
    ['text/csv'],
    ['nonsense'],
  ])('that is empty is an empty object, whatever its type: %s', async (type) => {
    const headers = { 'Content-Type': type }
    const { status, body } = await unchanged(() =>
      api.post('/systems', undefined, { headers: { ...headers } }),
    )
    expect(status).toBe(400)
    expect(body.code).toBe('ValidationError')
    expect(body.details.map(({ field }: { field: string }) => field)).toEqual([
      'slug',
      'name',
      'url',
    ])
  })

  it.each([['application/json'], ['text/csv']])(
    'that is empty disturbs no GET and no DELETE: %s',
    async (type) => {
      const slug = unique('empty')
      await api.post('/systems', container(slug))
      const call = { headers: { 'Content-Type': type } }
      expect((await api.get(`/systems/${slug}`, call)).status).toBe(200)
      expect((await api.delete(`/systems/${slug}`, call)).status).toBe(200)
    },
  )

  it.each([
    ['application/json'],
    ['Application/JSON'],
    ['application/json; charset=utf-8'],
    ['application/json;charset=UTF-8'],
  ])('is read as %s', async (type) => {
    expect((await post(type, valid())).status).toBe(201)
  })
})
