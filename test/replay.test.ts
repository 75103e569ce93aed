import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Bindings } from '../src/env'
import { forgetOld } from '../src/store/retention'
import { call, changesNothing, failing, type Sent, tokenFor } from './helpers/calls'
import { at, calm, db, silent } from './helpers/deliveries'
import { container, levels, outbox, rows, seedBadge, seedContainer, unique } from './helpers/seed'

/** `jti`: a token that has one is good for one write. */

beforeEach(() => calm())
afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

const USED = { code: 'NotAuthorized', message: 'Token has already been used' }
const once = (jti: unknown = crypto.randomUUID()) => ({ claims: { jti } }) satisfies Sent

describe('a token with a jti', () => {
  it('is good for one write, of whatever kind', async () => {
    const { path, system } = await seedBadge(levels[2])
    const email = 'ada@example.org'
    const writes: [string, string, object?][] = [
      ['POST', `${path}/instances`, { email }],
      ['PUT', path, { name: 'Another' }],
      ['POST', `${path}/codes`, { code: 'abc' }],
      ['POST', `${path}/codes/abc/claim`, { email }],
      ['POST', `${path}/applications`, { learner: email }],
      ['POST', `${system}/keys`, {}],
      ['POST', `${system}/webhooks`, { url: 'https://hook.example.org/' }],
      ['DELETE', `${path}/instances/${email}`],
      ['DELETE', `${path}/codes/abc`],
      ['POST', `${system}/privacy/erase`, { email }],
    ]
    const used: Sent[] = []
    for (const [method, to, fields] of writes) {
      for (const old of used) {
        const answer = await changesNothing(() => call(method, to, fields, old))
        expect({ to, status: answer.status, body: answer.body }).toEqual({
          to,
          status: 403,
          body: USED,
        })
      }
      const mine = once()
      const answer = await call(method, to, fields, mine)
      expect([200, 201], answer.text).toContain(answer.status)
      used.splice(0, used.length - 1)
      used.push(mine)
    }
  })

  it('is refused the second time though it is the same in every byte', async () => {
    const { path } = await seedBadge(levels[0])
    const to = `${path}/codes/random`
    const token = await tokenFor('POST', to, undefined, once())
    expect((await call('POST', to, undefined, { token })).status).toBe(201)
    const { status, body } = await changesNothing(() => call('POST', to, undefined, { token }))
    expect({ status, body }).toEqual({ status: 403, body: USED })
  })

  it('is not used up by a write that is refused', async () => {
    const { path, system } = await seedBadge(levels[0], { limit: 1 })
    await call('POST', `${path}/codes`, { code: 'abc' })
    await call('POST', `${path}/instances`, { email: 'first@example.org' })
    const mine = once()
    const refused = await changesNothing(async () => [
      await call('POST', `${path}/codes`, {}, mine),
      await call('POST', `${path}/codes`, { code: 'ABC' }, mine),
      await call('POST', `${path}/instances`, { email: 'second@example.org' }, mine),
      await call('PUT', `${system}/badges/none`, { name: 'x' }, mine),
      await call('DELETE', `${path}/codes/none`, undefined, mine),
      await call('PUT', path, { name: 'x' }, { ...mine, headers: { 'If-Match': '"99"' } }),
      await call('POST', `${path}/codes`, { code: 'x' }, { ...mine, secret: 'wrong' }),
    ])
    expect(refused.map(({ status }) => status)).toEqual([400, 409, 409, 404, 404, 412, 403])
    expect((await call('POST', `${path}/codes`, { code: 'def' }, mine)).status).toBe(201)
    const { status, body } = await changesNothing(() =>
      call('POST', `${path}/codes`, { code: 'ghi' }, mine),
    )
    expect({ status, body }).toEqual({ status: 403, body: USED })
  })

  it('may read as often as it likes, before it has written and after', async () => {
    const { path } = await seedBadge(levels[0])
    const mine = once()
    const read = async () => (await changesNothing(() => call('GET', path, undefined, mine))).status
    expect([await read(), await read()]).toEqual([200, 200])
    expect((await call('PUT', path, { name: 'x' }, mine)).status).toBe(200)
    expect([await read(), await read()]).toEqual([200, 200])
  })

  it('leaves other tokens alone: those of another jti, of none, and of another key', async () => {
    const { path, system } = await seedBadge(levels[0])
    const mine = once()
    const write = async (more: Sent) =>
      (await call('POST', `${path}/codes/random`, undefined, more)).status
    const { key, secret } = (await call('POST', `${system}/keys`, {})).body.key
    expect(await write(mine)).toBe(201)
    expect(await write({ ...mine, key, secret })).toBe(201)
    expect(await write({ ...mine, key, secret })).toBe(403)
    expect(await write(once())).toBe(201)
    for (const jti of [undefined, null]) {
      expect([await write(once(jti)), await write({ claims: { jti } })]).toEqual([201, 201])
    }
  })

  it.each([
    ['a number', 7],
    ['nothing but a text', ''],
    ['a long text', 'j'.repeat(2_000)],
    ['an object', { a: [1] }],
    ['false', false],
  ])('is told by its jti, be it %s', async (_what, jti) => {
    const { path, system } = await seedBadge(levels[0])
    const { key, secret } = (await call('POST', `${system}/keys`, {})).body.key
    const write = async () =>
      (await call('POST', `${path}/codes/random`, undefined, { key, secret, claims: { jti } }))
        .status
    expect([await write(), await write()]).toEqual([201, 403])
  })

  it.each(levels)(
    'writes once when it is sent a hundred times at once, below a $name',
    async (level) => {
      const { path } = await seedBadge(level, { unique: 0 })
      const to = `${path}/instances`
      const fields = { email: 'ada@example.org', repeat: true }
      const token = await tokenFor('POST', to, fields, once())
      const before = { audit: await rows('audit'), events: (await outbox()).length }
      const answers = await Promise.all(
        Array.from({ length: 100 }, () => call('POST', to, fields, { token })),
      )
      const good = answers.filter(({ status }) => status === 201)
      expect(good).toHaveLength(1)
      for (const { status, body } of answers.filter((one) => !good.includes(one))) {
        expect({ status, body }).toEqual({ status: 403, body: USED })
      }
      expect({ audit: await rows('audit'), events: (await outbox()).length }).toEqual({
        audit: before.audit + 1,
        events: before.events + 1,
      })
    },
  )
})

describe('with an Idempotency-Key', () => {
  const keyed = (token: string, key: string) =>
    ({ token, headers: { 'Idempotency-Key': key } }) satisfies Sent

  it('the same token is a repetition, and answered', async () => {
    const { path } = await seedBadge(levels[0])
    const to = `${path}/codes/random`
    const token = await tokenFor('POST', to, undefined, once())
    const first = await call('POST', to, undefined, keyed(token, 'one'))
    const again = await changesNothing(() => call('POST', to, undefined, keyed(token, 'one')))
    expect(again.status).toBe(201)
    expect(again.text).toBe(first.text)
    expect(again.headers.get('Idempotent-Replayed')).toBe('true')
    const other = await changesNothing(() => call('POST', to, undefined, keyed(token, 'two')))
    expect({ status: other.status, body: other.body }).toEqual({ status: 403, body: USED })
    const none = await changesNothing(() => call('POST', to, undefined, { token }))
    expect(none.status).toBe(403)
  })

  it('the same token at once is told to ask again, not that it is used', async () => {
    const { path } = await seedBadge(levels[0])
    const to = `${path}/codes/random`
    const token = await tokenFor('POST', to, undefined, once())
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => call('POST', to, undefined, keyed(token, 'at-once'))),
    )
    const statuses = new Set(answers.map(({ status }) => status))
    expect([...statuses].every((status) => status === 201 || status === 409)).toBe(true)
    expect(new Set(answers.flatMap(({ body }) => body.claimCode?.code ?? [])).size).toBe(1)
  })
})

describe('when an answer of the database is lost', () => {
  it.each([true, false])('the write is made once (carried out: %s)', async (after) => {
    vi.spyOn(Math, 'random').mockReturnValue(0)
    const system = await seedContainer(levels[0])
    const mine = once()
    const bindings = { ...silent, DB: failing(1, { after }) } as Bindings
    const body = container(unique('i'))
    const made = await call('POST', `${system}/issuers`, body, { ...mine, bindings })
    expect(made.status).toBe(201)
    const again = await changesNothing(() =>
      call('POST', `${system}/issuers`, container(unique('i')), mine),
    )
    expect(again.status).toBe(403)
  })
})

describe('a used token is remembered', () => {
  const used = async () =>
    (await env.DB.prepare('select jti from usedTokens').all<{ jti: string }>()).results.length

  it.each([
    ['a whole second', 0],
    ['a part of a second', 0.25],
  ])('until it has ended, where its exp is %s', async (_what, part) => {
    await env.DB.prepare('delete from usedTokens').run()
    const { path } = await seedBadge(levels[0])
    const start = Math.floor(Date.now() / 1000) * 1000
    at(start)
    await calm(start)
    const claims = { jti: 'lasting', exp: start / 1000 + 10 + part }
    const write = async () => {
      const { status, body } = await call('POST', `${path}/codes/random`, undefined, { claims })
      return status === 201 ? 201 : body.message
    }
    expect(await write()).toBe(201)
    // The last moment at which it is not refused as expired.
    const last = start + 10_000 + part * 1000 - 1
    at(last)
    await calm(last)
    await forgetOld(db(), last)
    expect(await write()).toBe(USED.message)
    at(last + 1)
    await calm(last + 1)
    expect(await write()).toMatch(/^Token is expired/)
    await forgetOld(db(), last + 1)
    expect(await used()).toBe(0)
  })

  it('for ever where it has no end', async () => {
    const { path } = await seedBadge(levels[0])
    const claims = { jti: 'for-ever', exp: undefined }
    const write = async () =>
      (await call('POST', `${path}/codes/random`, undefined, { claims })).status
    expect(await write()).toBe(201)
    const later = Date.now() + 3 * 365 * 86_400_000
    at(later)
    await calm(later)
    await forgetOld(db(), later)
    expect(await write()).toBe(403)
  })
})
