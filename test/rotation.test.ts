import { env } from 'cloudflare:workers'
import { jwtVerify } from 'jose'
import { Webhook } from 'standardwebhooks'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { audit, webhookSecrets, webhooks } from '../drizzle/schema'
import { open } from '../src/seal'
import { secretCell } from '../src/store/deliveries'
import { api } from './helpers/api'
import { quietly, watch } from './helpers/changes'
import { startCalm } from './helpers/deliveries'
import type { Received } from './helpers/received'
import { levels, rows, seedContainer, seedWebhook } from './helpers/seed'
import { still } from './helpers/still'

/**
 * How a webhook changes its secret without a message that its receiver cannot check: add one, let both sign, make the new one
 * the primary, let the old one go. Each message here is a test's ping, verified as receivers verify.
 */

const DAY = 86_400
const [systems] = levels
const { refused } = watch(webhooks, webhookSecrets, audit)
startCalm()

let hook: Awaited<ReturnType<typeof seedWebhook>>
beforeEach(async () => {
  hook = await seedWebhook(await seedContainer(systems))
})

/** Sets the clock; the database is never asked for the time. */
const at = (time: number) => vi.useFakeTimers({ toFake: ['Date'], now: time })

const change = async (verb: string, body?: object) => {
  const answer = await still.post(`${hook.path}/secret/${verb}`, body)
  expect(answer.status, JSON.stringify(answer.body)).toBe(200)
  return answer.body
}
const rotate = async (body: object = {}) => (await change('rotate', body)).webhook.secret as string

const secretRows = async () =>
  (
    await env.DB.prepare(
      'select id, sealed, "primary", retiresAt from webhookSecrets where webhookId = ? order by rowid',
    )
      .bind(hook.id)
      .all<{ id: string; sealed: string; primary: 0 | 1; retiresAt: number | null }>()
  ).results
const live = async () =>
  (await secretRows()).filter(({ retiresAt }) => retiresAt === null || retiresAt > Date.now())

/** The message of a test that is sent now. */
async function ping(): Promise<Received> {
  expect((await still.post(`${hook.path}/test`)).body.status).toBe('sent')
  const last = (await hook.received()).at(-1)
  if (!last) throw new Error('nothing came')
  return last
}

const verifies = (secret: string, { body, headers }: Received) => {
  const webhook = secret.startsWith('whsec_')
    ? new Webhook(secret)
    : new Webhook(new TextEncoder().encode(secret), { format: 'raw' })
  try {
    webhook.verify(body, headers)
    return true
  } catch {
    return false
  }
}
const isTokenOf = async (secret: string, { headers }: Received) => {
  const token = /^JWT token="([^"]+)"$/.exec(headers.authorization ?? '')?.[1] ?? ''
  return jwtVerify(token, new TextEncoder().encode(secret)).then(
    () => true,
    () => false,
  )
}
/** Which of the secrets verify a message that is sent now; and of which the legacy token is. */
async function signers(...secrets: string[]) {
  const message = await ping()
  expect(message.headers['webhook-signature']?.split(' ')).toHaveLength((await live()).length)
  return {
    signed: secrets.map((secret) => verifies(secret, message)),
    token: await Promise.all(secrets.map((secret) => isTokenOf(secret, message))),
  }
}

describe('a rotation', () => {
  it('is verified by the old secret as long as it lives, and by the new one from the start', async () => {
    const old = hook.secret
    const start = Date.now()
    expect(await signers(old)).toEqual({ signed: [true], token: [true] })
    const fresh = await rotate({ grace: 600 })
    expect(fresh).toMatch(/^whsec_[A-Za-z\d+/]{43}=$/)
    expect(await signers(old, fresh)).toEqual({ signed: [true, true], token: [true, false] })
    await change('promote')
    expect(await signers(old, fresh)).toEqual({ signed: [true, true], token: [false, true] })
    at(start + 590_000)
    expect(await signers(old, fresh)).toEqual({ signed: [true, true], token: [false, true] })
    at(start + 620_000)
    expect(await signers(old, fresh)).toEqual({ signed: [false, true], token: [false, true] })
  })

  it('puts the newest signature first', async () => {
    const fresh = await rotate()
    const message = await ping()
    const [first] = message.headers['webhook-signature']?.split(' ') ?? []
    expect(
      verifies(fresh, {
        ...message,
        headers: { ...message.headers, 'webhook-signature': first ?? '' },
      }),
    ).toBe(true)
  })

  it('hands the legacy token to the new secret by itself when the primary one ends', async () => {
    const fresh = await rotate({ grace: 60 })
    at(Date.now() + 61_000)
    expect(await signers(hook.secret, fresh)).toEqual({
      signed: [false, true],
      token: [false, true],
    })
  })

  it('without grace ends the old secret at once', async () => {
    const fresh = await rotate({ grace: 0 })
    expect(await signers(hook.secret, fresh)).toEqual({
      signed: [false, true],
      token: [false, true],
    })
  })

  it.each([[{}], [{ grace: null }], [{ grace: '' }], [{ grace: DAY }], [{ grace: '86400' }]])(
    'lasts a day unless it is told otherwise: %j',
    async (given) => {
      at(Date.now())
      await rotate(given)
      expect((await secretRows()).map(({ retiresAt }) => retiresAt)).toEqual([
        Date.now() + DAY * 1000,
        null,
      ])
    },
  )

  it('never gives an older secret longer than it had', async () => {
    at(Date.now())
    await rotate({ grace: 60 })
    await rotate({ grace: 7 * DAY })
    expect(
      (await secretRows()).map(({ retiresAt }) => retiresAt && retiresAt - Date.now()),
    ).toEqual([60_000, 7 * DAY * 1000, null])
  })

  it('takes a secret of the caller’s own, and tells it this once', async () => {
    const given = 's'.repeat(255)
    const { status, webhook } = await change('rotate', { secret: given })
    expect(status).toBe('updated')
    const shown = (await api.get(hook.path)).body.webhook
    expect(webhook).toEqual({ ...shown, secret: given })
    expect(Object.keys(webhook)).toEqual([
      'id',
      'url',
      'secret',
      'events',
      'format',
      'state',
      'created',
    ])
    expect(await signers(hook.secret, given)).toEqual({
      signed: [true, true],
      token: [true, false],
    })
    const [, kept] = await secretRows()
    if (!kept) throw new Error('nothing was kept')
    expect(JSON.stringify(kept)).not.toContain('sss')
    expect(await open(env.ENCRYPTION_KEYS, kept.sealed, secretCell(kept.id))).toBe(given)
  })

  it.each([
    [{ grace: -1 }, [['grace', -1]]],
    [{ grace: 7 * DAY + 1 }, [['grace', 7 * DAY + 1]]],
    [{ grace: 1.5 }, [['grace', 1.5]]],
    [{ grace: 'soon' }, [['grace', 'soon']]],
    [{ secret: '' }, [['secret', '']]],
    [
      { secret: 's'.repeat(256), grace: -1 },
      [
        // A refused secret may be a true one with a typing error: it is not sent back.
        ['secret', ''],
        ['grace', -1],
      ],
    ],
  ])('is refused for what it cannot take: %j', async (given, fields) => {
    const body = await refused(400, () => api.post(`${hook.path}/secret/rotate`, given))
    expect(body).toEqual({
      code: 'ValidationError',
      message: 'Could not validate required fields',
      details: fields.map(([field, value]) => ({ field, value, message: expect.any(String) })),
    })
  })

  it('is refused when three secrets live, and done again when one of them has ended', async () => {
    const first = await rotate({ grace: 60 })
    const second = await rotate({ grace: 600 })
    const body = await refused(409, () => api.post(`${hook.path}/secret/rotate`, {}))
    expect(body).toEqual({
      code: 'ResourceConflict',
      message: 'A webhook has 3 secrets at most: retire the old ones first',
    })
    at(Date.now() + 61_000)
    const third = await rotate()
    expect(await secretRows()).toHaveLength(3)
    expect(await signers(hook.secret, first, second, third)).toMatchObject({
      signed: [false, true, true, true],
    })
  })

  it('tells of a webhook that is deleted, before it counts secrets', async () => {
    await rotate()
    await rotate()
    await api.delete(hook.path)
    await refused(404, () => api.post(`${hook.path}/secret/rotate`, {}))
  })

  it('leaves three live secrets of 300 that are asked for at once', async () => {
    const answers = await Promise.all(
      Array.from({ length: 300 }, () => still.post(`${hook.path}/secret/rotate`, {})),
    )
    const made = answers.filter(({ status }) => status === 200)
    expect(made).toHaveLength(2)
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(298)
    expect(await live()).toHaveLength(3)
    const told = made.map(({ body }) => body.webhook.secret)
    expect(await signers(hook.secret, ...told)).toMatchObject({ signed: [true, true, true] })
  }, 60_000)

  it('among promotions and retirements never leaves a webhook without a secret, or with more than three', async () => {
    const verbs = ['rotate', 'promote', 'retire']
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        still.post(
          `${hook.path}/secret/${verbs[i % 3]}`,
          i % 3 === 0 ? { grace: (i % 2) * DAY } : undefined,
        ),
      ),
    )
    for (const { status } of answers) expect([200, 409]).toContain(status)
    const left = await live()
    expect(left.length).toBeGreaterThanOrEqual(1)
    expect(left.length).toBeLessThanOrEqual(3)
    expect(left.filter(({ retiresAt }) => retiresAt === null)).toHaveLength(1)
    expect(left.filter(({ primary }) => primary === 1).length).toBeLessThanOrEqual(1)
    await change('retire')
    const [only, ...more] = await secretRows()
    expect(more).toEqual([])
    const secret = await open(env.ENCRYPTION_KEYS, only?.sealed ?? '', secretCell(only?.id ?? ''))
    expect(await signers(secret)).toEqual({ signed: [true], token: [true] })
  })

  it('is the newest by when it was written, whatever the clocks of two requests say', async () => {
    at(Date.now() + 1_000)
    const early = await rotate({ grace: 0 })
    at(Date.now() - 1_000)
    const late = await rotate({ grace: 0 })
    await change('promote')
    expect(await signers(early, late)).toEqual({ signed: [false, true], token: [false, true] })
    await change('retire')
    expect(await signers(early, late)).toEqual({ signed: [false, true], token: [false, true] })
  })
})

describe('promoting', () => {
  it('makes the newest secret the primary one, once and for all', async () => {
    const [second, third] = [await rotate(), await rotate()]
    const { body } = await quietly(200, () => api.post(`${hook.path}/secret/promote`))
    expect(body).toEqual({ status: 'updated', webhook: (await api.get(hook.path)).body.webhook })
    expect((await secretRows()).map(({ primary }) => primary)).toEqual([0, 0, 1])
    const now = { signed: [true, true, true], token: [false, false, true] }
    expect(await signers(hook.secret, second, third)).toEqual(now)
    await change('promote')
    expect(await signers(hook.secret, second, third)).toEqual(now)
  })

  it('changes nothing where there is one', async () => {
    await change('promote')
    expect(await signers(hook.secret)).toEqual({ signed: [true], token: [true] })
  })
})

describe('retiring', () => {
  it('lets all secrets but the newest go', async () => {
    const [second, third] = [await rotate(), await rotate()]
    const { body } = await quietly(200, () => api.post(`${hook.path}/secret/retire`))
    expect(body).toEqual({ status: 'updated', webhook: (await api.get(hook.path)).body.webhook })
    expect(await secretRows()).toMatchObject([{ primary: 1, retiresAt: null }])
    expect(await signers(hook.secret, second, third)).toEqual({
      signed: [false, false, true],
      token: [false, false, true],
    })
    await rotate()
    await rotate()
    expect(await live()).toHaveLength(3)
  })

  it('never lets the last one go', async () => {
    await change('retire')
    await change('retire')
    expect(await signers(hook.secret)).toEqual({ signed: [true], token: [true] })
  })
})

it('tells of secrets in no log line and in no line of audit', async () => {
  const lines: string[] = []
  for (const level of ['log', 'warn', 'error'] as const) {
    vi.spyOn(console, level).mockImplementation((...given) => void lines.push(given.join(' ')))
  }
  const fresh = [await rotate(), await rotate({ secret: 'a secret of my own' })]
  await still.post(`${hook.path}/secret/rotate`, { secret: 'one too many' })
  await change('promote')
  await ping()
  await change('retire')
  await still.delete(hook.path)
  const before = await rows('audit')
  const { results } = await env.DB.prepare('select * from audit order by id desc limit 8').all()
  expect(before).toBeGreaterThan(6)
  const told = lines.join('\n') + JSON.stringify(results)
  expect(lines.length).toBeGreaterThan(0)
  for (const secret of [hook.secret, ...fresh, 'one too many']) {
    expect(told).not.toContain(secret)
    expect(told).not.toContain(secret.replace('whsec_', ''))
  }
})
