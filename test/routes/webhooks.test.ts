import { env } from 'cloudflare:workers'
import { Webhook as Verifier } from 'standardwebhooks'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import {
  attempts,
  audit,
  deliveries,
  events as eventsTable,
  webhookSecrets,
  webhooks as webhooksTable,
} from '../../drizzle/schema'
import { open } from '../../src/seal'
import { secretCell } from '../../src/store/deliveries'
import { type Answer, api, type Call, ORIGIN } from '../helpers/api'
import { quietly, watch } from '../helpers/changes'
import { startCalm } from '../helpers/deliveries'
import {
  badge,
  container,
  levels,
  outbox,
  rows,
  seedBadge,
  seedContainer,
  seedWebhook,
  unique,
} from '../helpers/seed'
import { attempt, attemptAll, rung, still } from '../helpers/still'

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const [systems] = levels
startCalm()

let system: string
beforeEach(async () => {
  system = await seedContainer(systems)
})

const url = () => `https://hooks.example.org/${unique('hook')}`
const register = (more: object = {}) => api.post(`${system}/webhooks`, { url: url(), ...more })
const list = async () => (await api.get(`${system}/webhooks`)).body.webhooks

/** An answer that nothing was made by. */
async function refused(body: unknown, details: object[]) {
  const before = await rows('webhooks')
  const events = await outbox()
  const answer = await api.post(`${system}/webhooks`, body)
  expect(answer.status).toBe(400)
  expect(answer.body).toEqual({
    code: 'ValidationError',
    message: 'Could not validate required fields',
    details,
  })
  expect(await rows('webhooks')).toBe(before)
  expect(await outbox()).toEqual(events)
}

describe('registering a webhook', () => {
  it('gives it back with a secret of 32 random bytes', async () => {
    const events = await outbox()
    const target = url()
    const { status, body, headers } = await register({ url: target })
    expect(status).toBe(201)
    expect(headers.get('Cache-Control')).toBe('private, no-store')
    expect(body).toEqual({
      status: 'created',
      webhook: {
        id: expect.any(Number),
        url: target,
        secret: expect.stringMatching(/^whsec_[A-Za-z\d+/]{43}=$/),
        events: null,
        format: 'badgekit-1',
        state: 'active',
        created: expect.stringMatching(ISO),
      },
    })
    const other = await register()
    expect(other.body.webhook.secret).not.toBe(body.webhook.secret)
    expect(await outbox()).toEqual(events)
  })

  it('tells the secret this once', async () => {
    const made = await register()
    const [shown] = await list()
    const { secret: _, ...rest } = made.body.webhook
    expect(shown).toEqual(rest)
  })

  it.each(['x', 'two words', 'whsec_', 'whsec_not base64!', 'sëcret 🔑', 's'.repeat(255)])(
    'takes the secret %j as it is given',
    async (secret) => {
      const made = await register({ secret })
      expect(made.status).toBe(201)
      expect(made.body.webhook.secret).toBe(secret)
    },
  )

  it('keeps the secret sealed to its row', async () => {
    const { webhook } = (await register({ secret: 'a secret of the receiver' })).body
    const kept = await env.DB.prepare('select * from webhookSecrets where webhookId = ?')
      .bind(webhook.id)
      .first<{ id: string; sealed: string; primary: number }>()
    if (!kept) throw new Error('no secret was kept')
    expect(JSON.stringify(kept)).not.toContain('a secret')
    expect(kept.primary).toBe(1)
    const { id, sealed } = kept
    expect(await open(env.ENCRYPTION_KEYS, sealed, secretCell(id))).toBe(webhook.secret)
    await expect(open(env.ENCRYPTION_KEYS, sealed, secretCell(`${id}x`))).rejects.toThrow()
  })

  it.each(['badgekit-1', 'events-1'])('takes the format %s', async (format) => {
    expect((await register({ format })).body.webhook.format).toBe(format)
    expect(await list()).toMatchObject([{ format }])
  })

  it.each([[['award']], [['award', 'revoke', 'review']], [[]]])(
    'takes the filter %j',
    async (events) => {
      expect((await register({ events })).body.webhook.events).toEqual(events)
      expect(await list()).toMatchObject([{ events }])
    },
  )

  it('reads null for whatever has a default', async () => {
    const made = await register({ secret: null, events: null, format: null })
    expect(made.status).toBe(201)
    expect(made.body.webhook).toMatchObject({ events: null, format: 'badgekit-1' })
    expect(made.body.webhook.secret).toMatch(/^whsec_/)
  })

  it('refuses the same URL twice in a system, and takes it in another', async () => {
    const before = { events: await outbox(), secrets: await rows('webhookSecrets') }
    const target = url()
    const first = await register({ url: target })
    const second = await register({ url: target })
    expect(second.status).toBe(409)
    expect(second.body).toEqual({
      code: 'ResourceConflict',
      message: 'webhook with that `url` already exists',
      details: { url: target },
    })
    expect(await list()).toMatchObject([{ id: first.body.webhook.id }])
    expect(await rows('webhookSecrets')).toBe(before.secrets + 1)
    system = await seedContainer(systems)
    expect((await register({ url: target })).status).toBe(201)
    expect(await outbox()).toEqual(before.events)
  })

  it('lets exactly one of ten who register a URL at once win', async () => {
    const target = url()
    const before = await rows('webhookSecrets')
    const answers = await Promise.all(Array.from({ length: 10 }, () => register({ url: target })))
    expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array(9).fill(409)])
    expect(await list()).toHaveLength(1)
    expect(await rows('webhookSecrets')).toBe(before + 1)
  })

  it.each([
    ['https://10.0.0.1/hook', 'IP addresses are not called'],
    ['https://0x0a000001/hook', 'IP addresses are not called'],
    ['https://[fd00::1]/hook', 'IP addresses are not called'],
    ['https://169.254.169.254/latest/meta-data/', 'IP addresses are not called'],
    ['https://metadata.google.internal/', 'Local and reserved hosts are not called'],
    ['https://printer.local/', 'Local and reserved hosts are not called'],
    ['https://intranet/hook', 'The host must be a full domain name'],
    ['ftp://example.org/', 'Only https URLs are called'],
    ['https://ada:pw@example.org/', 'A URL may not contain credentials'],
    ['https://example.org/#x', 'A URL may not contain a fragment'],
    ['https://exa mple.org/', 'A URL may not contain spaces, backslashes or control characters'],
    ['nope', 'Not an absolute URL'],
    [`${ORIGIN}/hook`, 'This service does not call itself'],
  ])('refuses to call %s', async (target, message) => {
    await refused({ url: target }, [{ message, field: 'url', value: target }])
  })

  it('complains of all that is wrong at once', async () => {
    await refused({ secret: 's'.repeat(256), events: ['award', 'party'], format: 'xml' }, [
      { message: 'Required field', field: 'url', value: '' },
      { message: 'String is not in range', field: 'secret', value: '' },
      { message: 'Unexpected value or invalid argument', field: 'events[1]', value: 'party' },
      { message: 'Unexpected value or invalid argument', field: 'format', value: 'xml' },
    ])
    await refused({ url: `https://example.org/${'x'.repeat(2_000)}`, secret: '' }, [
      expect.objectContaining({ message: 'String is not in range', field: 'url' }),
      { message: 'String is not in range', field: 'secret', value: '' },
    ])
  })
})

describe('listing webhooks', () => {
  it('gives those of the system, in the order of their making', async () => {
    expect(await list()).toEqual([])
    const made = [await register(), await register({ format: 'events-1' })]
    expect((await list()).map(({ id }: { id: number }) => id)).toEqual(
      made.map(({ body }) => body.webhook.id),
    )
    system = await seedContainer(systems)
    expect(await list()).toEqual([])
  })

  it('says when and why one was switched off', async () => {
    const { webhook } = (await register()).body
    await env.DB.prepare(
      `update webhooks set state = 'disabled', disabledAt = ?, disabledReason = ? where id = ?`,
    )
      .bind(Date.UTC(2027, 0, 2), 'The receiver answered 410 Gone', webhook.id)
      .run()
    expect(await list()).toEqual([
      {
        id: webhook.id,
        url: webhook.url,
        events: null,
        format: 'badgekit-1',
        state: 'disabled',
        created: webhook.created,
        disabledAt: '2027-01-02T00:00:00.000Z',
        disabledReason: 'The receiver answered 410 Gone',
      },
    ])
  })
})

const { refused: refusedWith } = watch(
  webhooksTable,
  webhookSecrets,
  deliveries,
  eventsTable,
  attempts,
  audit,
)

const DAY = 86_400_000
const row = (id: number) =>
  env.DB.prepare('select * from webhooks where id = ?').bind(id).first<Record<string, unknown>>()
const setRow = (id: number, what: string, ...values: unknown[]) =>
  env.DB.prepare(`update webhooks set ${what} where id = ?`)
    .bind(...values, id)
    .run()
const secretsOf = async (id: number) =>
  (await env.DB.prepare('select id from webhookSecrets where webhookId = ?').bind(id).all()).results
const deliveriesOf = async (id: number) =>
  (
    await env.DB.prepare('select * from deliveries where webhookId = ? order by id').bind(id).all<{
      id: number
      eventId: string
      state: string
      attempts: number
      endedAt: number | null
    }>()
  ).results
const lastAudit = () =>
  env.DB.prepare('select key, action, target from audit order by id desc limit 1').first()

/** A system with a badge and a receiver. */
async function seedReceiver(more: object = {}) {
  const seed = await seedBadge(systems)
  return { ...seed, hook: await seedWebhook(seed.system, more) }
}
const award = (path: string) =>
  still.post(`${path}/instances`, { email: `${unique('earner')}@example.org` })

const item = (id: number | string) => `${system}/webhooks/${id}`
const missing = (id: number | string) => ({
  code: 'ResourceNotFound',
  message: `Could not find webhook field: \`id\`, value: \`${id}\``,
})

describe('showing a webhook', () => {
  it('tells all of it but the secret', async () => {
    const { secret, ...shown } = (await register({ events: ['award'] })).body.webhook
    const { status, body } = await api.get(item(shown.id))
    expect(status).toBe(200)
    expect(body).toEqual({ webhook: shown })
    expect(JSON.stringify(body)).not.toContain(secret)
  })
})

describe('what hangs from a webhook', () => {
  const calls: [string, (path: string, call?: Call) => Promise<Answer>][] = [
    ['GET', (path, call) => api.get(path, call)],
    ['PUT', (path, call) => api.put(path, { state: 'disabled' }, call)],
    [
      'PUT of nonsense',
      (path, call) => api.put(path, { url: 'https://10.0.0.1/', state: 1 }, call),
    ],
    ['DELETE', (path, call) => api.delete(path, call)],
    ['test', (path, call) => api.post(`${path}/test`, undefined, call)],
    ['rotate', (path, call) => api.post(`${path}/secret/rotate`, {}, call)],
    [
      'rotate with nonsense',
      (path, call) => api.post(`${path}/secret/rotate`, { grace: -1 }, call),
    ],
    ['promote', (path, call) => api.post(`${path}/secret/promote`, undefined, call)],
    ['retire', (path, call) => api.post(`${path}/secret/retire`, undefined, call)],
    ['recover', (path, call) => api.post(`${path}/recover`, { since: 0 }, call)],
    ['recover of nonsense', (path, call) => api.post(`${path}/recover`, {}, call)],
  ]

  it.each(calls)('is not there for what is no id of the system: %s', async (_name, call) => {
    const elsewhere = (await register()).body.webhook.id
    system = await seedContainer(systems)
    const mine = (await register()).body.webhook.id
    await api.delete(item(mine))
    for (const id of [elsewhere, mine, 999_999, 'x', '-1', '1e3']) {
      expect(await refusedWith(404, () => call(item(id)))).toEqual(missing(id))
    }
    // Nor is the whole of it where there is no such system.
    expect(await refusedWith(404, () => call(`/systems/nowhere/webhooks/${elsewhere}`))).toEqual({
      code: 'ResourceNotFound',
      message: 'Could not find system field: `slug`, value: `nowhere`',
    })
  })

  it.each(calls)('is closed to the key of another system: %s', async (_name, call) => {
    const { id } = (await register()).body.webhook
    const mine = system
    system = await seedContainer(systems)
    const { key, secret } = (await api.post(`${system}/keys`, {})).body.key
    const body = await refusedWith(403, () => call(`${mine}/webhooks/${id}`, { key, secret }))
    expect(body.code).toBe('NotAuthorized')
  })
})

describe('changing a webhook', () => {
  it('changes what is given, and leaves the rest', async () => {
    const { secret: _, ...before } = (await register({ events: ['award'], format: 'events-1' }))
      .body.webhook
    const target = url()
    const moved = await quietly(200, () => api.put(item(before.id), { url: target }))
    expect(moved.body).toEqual({ status: 'updated', webhook: { ...before, url: target } })
    const filtered = await api.put(item(before.id), {
      events: ['badge.revoked', 'revoke', 'review'],
    })
    expect(filtered.body.webhook).toEqual({ ...before, url: target, events: ['revoke', 'review'] })
    const all = await api.put(item(before.id), { events: null, format: 'badgekit-1' })
    expect(all.body.webhook).toMatchObject({ url: target, events: null, format: 'badgekit-1' })
    const same = await api.put(item(before.id), { format: null, state: null })
    expect(same.body.webhook).toEqual(all.body.webhook)
    expect(await list()).toEqual([all.body.webhook])
    expect(await lastAudit()).toEqual({
      key: 'master',
      action: 'PUT /systems/:system/webhooks/:webhook',
      target: `webhooks/${before.id}`,
    })
  })

  it('takes no secret, and no breaker', async () => {
    const { id, secret } = (await register()).body.webhook
    const kept = await secretsOf(id)
    const given = {
      secret: 'chosen',
      failures: 9,
      blockedUntil: 9,
      disabledReason: 'x',
      deletedAt: 1,
    }
    const { body } = await api.put(item(id), given)
    expect(JSON.stringify(body)).not.toMatch(/secret|chosen/)
    expect(JSON.stringify(body)).not.toContain(secret)
    expect(await secretsOf(id)).toEqual(kept)
    expect(await row(id)).toMatchObject({ failures: 0, blockedUntil: 0, deletedAt: null })
  })

  it('refuses what may not be called, and what it cannot read, in one answer', async () => {
    const { id } = (await register()).body.webhook
    const failure = (field: string, value: unknown, message: string) => ({ field, value, message })
    const bad = await refusedWith(400, () => api.put(item(id), { url: 'https://10.0.0.1/' }))
    expect(bad.code).toBe('ValidationError')
    expect(bad.details).toEqual([
      failure('url', 'https://10.0.0.1/', 'IP addresses are not called'),
    ])
    const worse = await refusedWith(400, () =>
      api.put(item(id), { url: null, events: ['party'], format: 'xml', state: 'asleep' }),
    )
    const message = 'Unexpected value or invalid argument'
    expect(worse.details).toEqual([
      failure('url', '', 'Required field'),
      failure('events[0]', 'party', message),
      failure('format', 'xml', message),
      failure('state', 'asleep', message),
    ])
  })

  it('takes its own URL again, and refuses that of another; that of a deleted one is free', async () => {
    const [one, other] = [(await register()).body.webhook, (await register()).body.webhook]
    expect((await api.put(item(one.id), { url: one.url })).status).toBe(200)
    const body = await refusedWith(409, () => api.put(item(one.id), { url: other.url }))
    expect(body).toEqual({
      code: 'ResourceConflict',
      message: 'webhook with that `url` already exists',
      details: { url: other.url },
    })
    await api.delete(item(other.id))
    expect((await api.put(item(one.id), { url: other.url })).status).toBe(200)
  })

  it('lets one of many who move to a URL at once have it', async () => {
    const ids: number[] = []
    for (let i = 0; i < 8; i++) ids.push((await register()).body.webhook.id)
    const target = url()
    const answers = await Promise.all(ids.map((id) => api.put(item(id), { url: target })))
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array(7).fill(409)])
    expect((await list()).filter((one: { url: string }) => one.url === target)).toHaveLength(1)
  })

  it('switches it off and on: meanwhile nothing is made for it, and what waited goes on waiting', async () => {
    const { path, hook } = await seedReceiver()
    await award(path)
    const off = await api.put(hook.path, { state: 'disabled' })
    expect(off.body.webhook).toMatchObject({
      state: 'disabled',
      disabledAt: expect.stringMatching(ISO),
      disabledReason: 'By request',
    })
    await award(path)
    const [waiting, ...others] = await deliveriesOf(hook.id)
    expect(others).toEqual([])
    expect(await attempt(waiting?.id ?? 0)).toBeNull()
    const again = await api.put(hook.path, { state: 'disabled' })
    expect(again.body.webhook).toEqual(off.body.webhook)
    const { webhook } = (await api.put(hook.path, { state: 'active' })).body
    expect(webhook.state).toBe('active')
    expect(webhook).not.toHaveProperty('disabledAt')
    expect(webhook).not.toHaveProperty('disabledReason')
    expect(await attempt(waiting?.id ?? 0)).toBe('delivered')
    expect(await hook.received()).toHaveLength(1)
  })

  it.each([
    ['active', 'active', 0],
    ['disabled', 'active', 0],
    ['active', 'disabled', 7],
  ])('clears the breaker of an %s one when it is told to be %s', async (from, state, failures) => {
    const { id } = (await register()).body.webhook
    await setRow(
      id,
      `failures = 7, failingSince = 1, blockedUntil = 9999999999999, state = ?,
        disabledAt = iif(?1 = 'disabled', 5, null)`,
      from,
    )
    await api.put(item(id), { state })
    expect(await row(id)).toMatchObject(
      failures === 0
        ? { failures: 0, failingSince: null, blockedUntil: 0, disabledAt: null }
        : { failures: 7, failingSince: 1, blockedUntil: 9_999_999_999_999 },
    )
  })

  it('gives one that moves a clean record, and one that stays none', async () => {
    const { id, url: target } = (await register()).body.webhook
    await setRow(id, 'failures = 7, failingSince = 1, blockedUntil = 99')
    await api.put(item(id), { url: target, events: ['award'] })
    expect(await row(id)).toMatchObject({ failures: 7, failingSince: 1, blockedUntil: 99 })
    await api.put(item(id), { url: url() })
    expect(await row(id)).toMatchObject({ failures: 0, failingSince: null, blockedUntil: 0 })
  })

  it('sends what waits in the format that it was promised in', async () => {
    const { path, hook } = await seedReceiver()
    await award(path)
    await api.put(hook.path, { format: 'events-1' })
    await award(path)
    await attemptAll()
    const [first, second] = (await hook.received()).map(({ body }) => JSON.parse(body))
    expect(first).toMatchObject({ action: 'award' })
    expect(second).toMatchObject({ type: 'badge.awarded', sequence: 2 })
  })
})

describe('deleting a webhook', () => {
  it('cancels what waits, destroys the secrets, keeps the log, and frees the URL', async () => {
    const { system: at, path, hook } = await seedReceiver()
    await award(path)
    await attemptAll()
    await award(path)
    await api.post(`${hook.path}/secret/rotate`, {})
    expect(await secretsOf(hook.id)).toHaveLength(2)
    const shown = (await api.get(hook.path)).body.webhook
    const { status, body } = await api.delete(hook.path)
    expect({ status, body }).toEqual({ status: 200, body: { status: 'deleted', webhook: shown } })
    expect(await secretsOf(hook.id)).toEqual([])
    const [done, waiting] = await deliveriesOf(hook.id)
    expect([done?.state, waiting?.state]).toEqual(['delivered', 'cancelled'])
    expect(waiting?.endedAt).toEqual(expect.any(Number))
    expect(await attempt(waiting?.id ?? 0)).toBeNull()
    const log = await api.get(`${at}/deliveries?webhook=${hook.id}`)
    expect(log.body.deliveries.map(({ state }: { state: string }) => state)).toEqual([
      'cancelled',
      'delivered',
    ])
    const kept = await api.get(`${at}/deliveries/${done?.id}`)
    expect(kept.body.delivery.log).toHaveLength(1)
    expect((await api.get(`${at}/webhooks`)).body.webhooks).toEqual([])
    await award(path)
    expect(await deliveriesOf(hook.id)).toHaveLength(2)
    expect((await api.post(`${at}/webhooks`, { url: hook.url })).status).toBe(201)
    expect(await hook.received()).toHaveLength(1)
  })

  it('is done once: of ten at once one does it', async () => {
    const { id } = (await register()).body.webhook
    const before = await rows('audit')
    const answers = await Promise.all(Array.from({ length: 10 }, () => api.delete(item(id))))
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array(9).fill(404)])
    expect(await rows('audit')).toBe(before + 1)
  })

  it('while a message is being sent leaves it cancelled, with the attempt in its log', async () => {
    const { system: at, path, hook } = await seedReceiver()
    await award(path)
    const [waiting] = await deliveriesOf(hook.id)
    vi.stubGlobal('fetch', async () => {
      expect((await still.delete(hook.path)).status).toBe(200)
      return new Response('late', { status: 503 })
    })
    await attempt(waiting?.id ?? 0)
    vi.unstubAllGlobals()
    const { body } = await api.get(`${at}/deliveries/${waiting?.id}`)
    expect(body.delivery).toMatchObject({
      state: 'cancelled',
      nextAt: null,
      attempts: 1,
      log: [{ n: 1, status: 503, answer: 'late' }],
    })
    expect(await row(hook.id)).toMatchObject({ state: 'active', deletedAt: expect.any(Number) })
    expect(await secretsOf(hook.id)).toEqual([])
    expect(await attempt(waiting?.id ?? 0)).toBeNull()
  })
})

describe('testing a webhook', () => {
  it('sends a signed ping to it alone, at once, and tells what came back', async () => {
    const { system: at, hook } = await seedReceiver({ events: [] })
    const other = await seedWebhook(at)
    rung.length = 0
    const { status, body } = await still.post(`${hook.path}/test`)
    expect(status).toBe(200)
    expect(body).toEqual({
      status: 'sent',
      attempt: {
        n: 1,
        at: expect.stringMatching(ISO),
        ms: expect.any(Number),
        status: 200,
        error: null,
        answer: 'thank you',
      },
    })
    expect(rung).toEqual([])
    const [received, ...more] = await hook.received()
    expect(more).toEqual([])
    expect(JSON.parse(received?.body ?? '')).toEqual({ action: 'ping', webhook: hook.id })
    new Verifier(hook.secret).verify(received?.body ?? '', received?.headers ?? {})
    expect(received?.headers.authorization).toMatch(/^JWT token="/)
    expect(await other.received()).toEqual([])
    expect(await deliveriesOf(other.id)).toEqual([])
    const [delivery] = await deliveriesOf(hook.id)
    expect(delivery).toMatchObject({ state: 'delivered', attempts: 1 })
    expect(received?.headers['webhook-id']).toBe(delivery?.eventId)
    expect(await lastAudit()).toEqual({
      key: 'master',
      action: 'POST /systems/:system/webhooks/:webhook/test',
      target: `webhooks/${hook.id}/test`,
    })
  })

  it('speaks the format of the webhook', async () => {
    const { hook } = await seedReceiver({ format: 'events-1' })
    await api.post(`${hook.path}/test`)
    const [received] = await hook.received()
    expect(JSON.parse(received?.body ?? '')).toEqual({
      id: received?.headers['webhook-id'],
      type: 'ping',
      timestamp: expect.stringMatching(ISO),
      sequence: 1,
      data: { webhook: hook.id },
    })
  })

  it.each([[500], [410], [301]])(
    'that is answered with %i has failed, and is over',
    async (code) => {
      const { system: at, hook } = await seedReceiver()
      await setRow(hook.id, 'failures = 4, failingSince = 1')
      await hook.answer(code)
      const { status, body } = await api.post(`${hook.path}/test`)
      expect(status).toBe(200)
      expect(body).toMatchObject({ status: 'failed', attempt: { n: 1, status: code, error: null } })
      // Neither a failure more, nor an end.
      expect(await row(hook.id)).toMatchObject({
        failures: 4,
        failingSince: 1,
        blockedUntil: 0,
        state: 'active',
      })
      const [delivery] = await deliveriesOf(hook.id)
      expect(delivery).toMatchObject({ state: 'exhausted', attempts: 1 })
      expect(await attempt(delivery?.id ?? 0)).toBeNull()
      const log = await api.get(`${at}/deliveries?type=ping`)
      expect(log.body.deliveries).toMatchObject([
        { id: delivery?.id, state: 'exhausted', nextAt: null },
      ])
    },
  )

  it('does not switch off one that has failed for long enough', async () => {
    const { hook } = await seedReceiver()
    await setRow(hook.id, 'failures = 50, failingSince = 1')
    await hook.answer(500)
    expect((await api.post(`${hook.path}/test`)).body.status).toBe('failed')
    expect(await row(hook.id)).toMatchObject({ failures: 50, failingSince: 1, state: 'active' })
  })

  it('reaches one that rests, and puts an end to its rest when it answers', async () => {
    const { hook } = await seedReceiver()
    await setRow(hook.id, 'failures = 9, failingSince = 1, blockedUntil = ?', Date.now() + DAY)
    expect((await api.post(`${hook.path}/test`)).body.status).toBe('sent')
    expect(await row(hook.id)).toMatchObject({ failures: 0, failingSince: null, blockedUntil: 0 })
  })

  it.each([
    ['shortens a rest', Date.now() + DAY],
    ['makes it rest again', 5],
  ])('never %s when it fails', async (_what, blockedUntil) => {
    const { hook } = await seedReceiver()
    await hook.answer(500)
    await setRow(hook.id, 'failures = 9, failingSince = 1, blockedUntil = ?', blockedUntil)
    expect((await api.post(`${hook.path}/test`)).body.status).toBe('failed')
    expect(await row(hook.id)).toMatchObject({ failures: 9, failingSince: 1, blockedUntil })
  })

  it('reaches one that is switched off, which stays off', async () => {
    const { hook } = await seedReceiver()
    await api.put(hook.path, { state: 'disabled' })
    expect((await api.post(`${hook.path}/test`)).body.status).toBe('sent')
    expect((await api.get(hook.path)).body.webhook.state).toBe('disabled')
    expect(await hook.received()).toHaveLength(1)
  })

  it('calls no address that may not be called', async () => {
    const { hook } = await seedReceiver()
    await setRow(hook.id, `url = 'https://10.0.0.1/'`)
    const called = vi.fn()
    vi.stubGlobal('fetch', called)
    const { body } = await still.post(`${hook.path}/test`)
    vi.unstubAllGlobals()
    expect(body).toMatchObject({
      status: 'failed',
      attempt: { ms: 0, status: null, error: 'refused', answer: null },
    })
    expect(called).not.toHaveBeenCalled()
  })

  it('tells no address that the receiver answers with', async () => {
    const { hook } = await seedReceiver()
    vi.stubGlobal('fetch', async () => new Response('no ada@example.org here', { status: 404 }))
    const { body } = await still.post(`${hook.path}/test`)
    vi.unstubAllGlobals()
    expect(body.attempt.answer).toBe('no [email] here')
  })

  it('makes as many pings as it is asked for at once, each with one attempt', async () => {
    const { hook } = await seedReceiver()
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => api.post(`${hook.path}/test`)),
    )
    expect(answers.map(({ body }) => body.status)).toEqual(Array(12).fill('sent'))
    const ids = (await hook.received()).map(({ headers }) => headers['webhook-id'])
    expect(new Set(ids).size).toBe(12)
    expect(ids).toHaveLength(12)
  })

  it('is over when the webhook is deleted meanwhile', async () => {
    const { hook } = await seedReceiver()
    vi.stubGlobal('fetch', async () => {
      await still.delete(hook.path)
      return new Response('')
    })
    expect((await still.post(`${hook.path}/test`)).body.status).toBe('sent')
    vi.unstubAllGlobals()
    expect(await deliveriesOf(hook.id)).toMatchObject([{ state: 'cancelled', attempts: 1 }])
  })
})

describe('recovering', () => {
  const recover = (path: string, body: object = { since: Date.now() - DAY }) =>
    still.post(`${path}/recover`, body)
  const age = (what: string, ms: number) =>
    env.DB.prepare(`update events set createdAt = createdAt - ? where ${what}`).bind(ms).run()
  const end = (id: number, state: string) =>
    env.DB.prepare(`update deliveries set state = ?, endedAt = 1 where id = ?`)
      .bind(state, id)
      .run()

  it('makes due again what failed, what was cancelled, and what was missed: and nothing that was delivered', async () => {
    const { path, hook } = await seedReceiver()
    for (let i = 0; i < 4; i++) await award(path)
    const [delivered, failed, cancelled, waiting] = await deliveriesOf(hook.id)
    if (!delivered || !failed || !cancelled || !waiting) throw new Error('too few')
    await attempt(delivered.id)
    await end(failed.id, 'exhausted')
    await env.DB.prepare('update deliveries set attempts = 11 where id = ?').bind(failed.id).run()
    await end(cancelled.id, 'cancelled')
    await api.put(hook.path, { state: 'disabled' })
    await award(path)
    await api.put(hook.path, { state: 'active' })
    rung.length = 0
    const { status, body } = await recover(hook.path)
    expect({ status, body }).toEqual({ status: 202, body: { status: 'queued', count: 3 } })
    const after = await deliveriesOf(hook.id)
    const made = after[4]
    expect(after).toHaveLength(5)
    expect(rung.sort()).toEqual([failed.id, cancelled.id, made?.id])
    expect(after.map(({ state }) => state)).toEqual(['delivered', ...Array(4).fill('pending')])
    expect(after[1]).toMatchObject({ attempts: 11, restartedFrom: 11, endedAt: null })
    expect(await lastAudit()).toMatchObject({ target: `webhooks/${hook.id}/recover` })
    await attemptAll()
    const received = await hook.received()
    const ids = received.map(({ headers }) => headers['webhook-id'])
    expect(ids.sort()).toEqual(after.map(({ eventId }) => eventId).sort())
    for (const one of received) new Verifier(hook.secret).verify(one.body, one.headers)
    expect((await recover(hook.path)).body.count).toBe(0)
    await attemptAll()
    expect(await hook.received()).toHaveLength(5)
  })

  it('gives a webhook what happened before it was registered, as far as it wants it', async () => {
    const seed = await seedReceiver()
    await award(seed.path)
    await still.post(`${seed.path}/applications`, { learner: 'ada@example.org' })
    const awards = await seedWebhook(seed.system, { events: ['award'] })
    const nothing = await seedWebhook(seed.system, { events: ['revoke'] })
    const legacy = await seedWebhook(seed.system)
    const all = await seedWebhook(seed.system, { format: 'events-1' })
    const other = await seedReceiver()
    await award(other.path)
    const types = async (hook: { id: number; path: string }) => {
      const { count } = (await recover(hook.path)).body
      const { body } = await api.get(`${seed.system}/deliveries?webhook=${hook.id}`)
      expect(body.deliveries).toHaveLength(count)
      return body.deliveries.map(({ event }: { event: { type: string } }) => event.type)
    }
    expect(await types(awards)).toEqual(['badge.awarded'])
    expect(await types(nothing)).toEqual([])
    expect(await types(legacy)).toEqual(['badge.awarded'])
    expect(await types(all)).toEqual(['application.created', 'badge.awarded'])
    await attemptAll()
    const [envelope] = await all.received()
    expect(JSON.parse(envelope?.body ?? '')).toMatchObject({ type: 'badge.awarded', sequence: 1 })
  })

  it('sends no test again', async () => {
    const { hook } = await seedReceiver()
    await hook.answer(500)
    await api.post(`${hook.path}/test`)
    expect((await recover(hook.path)).body.count).toBe(0)
  })

  it('keeps to the time that is asked for, by the time of the event', async () => {
    const { system: at, path, hook } = await seedReceiver()
    await api.delete(hook.path)
    for (let i = 0; i < 4; i++) await award(path)
    const now = Date.now()
    const at0 = async (seq: number, ms: number) =>
      env.DB.prepare(
        'update events set createdAt = ? where seq = ? and systemId = (select id from systems where slug = ?)',
      )
        .bind(ms, seq, at.split('/')[2])
        .run()
    for (let seq = 1; seq <= 4; seq++) await at0(seq, now - (5 - seq) * DAY)
    const late = await seedWebhook(at)
    const iso = (ms: number) => new Date(ms).toISOString()
    const count = async (since: number, until?: number) => {
      const given = { since: iso(since), ...(until !== undefined && { until: iso(until) }) }
      return (await recover(late.path, given)).body.count
    }
    expect(await count(now - 3 * DAY, now - 4 * DAY)).toBe(0)
    // Both ends are in.
    expect(await count(now - 3 * DAY, now - 2 * DAY)).toBe(2)
    expect(await count(now - 3 * DAY + 1)).toBe(1)
    expect(await count(0)).toBe(1)
    expect((await deliveriesOf(late.id)).length).toBe(4)
  })

  it('reaches no further back than messages are kept', async () => {
    const { system: at, path, hook } = await seedReceiver()
    await api.delete(hook.path)
    for (let i = 0; i < 3; i++) await award(path)
    const ofSystem = `systemId = (select id from systems where slug = '${at.split('/')[2]}')`
    await age(`seq = 1 and ${ofSystem}`, 30 * DAY + 60_000)
    await age(`seq = 2 and ${ofSystem}`, 30 * DAY - 60_000)
    await env.DB.prepare(
      `update events set body = null, data = null where seq = 3 and ${ofSystem}`,
    ).run()
    for (const format of ['badgekit-1', 'events-1']) {
      const late = await seedWebhook(at, { format })
      expect((await recover(late.path, { since: 0 })).body.count).toBe(1)
      const [only] = await deliveriesOf(late.id)
      expect(await attempt(only?.id ?? 0)).toBe('delivered')
      expect(await late.received()).toHaveLength(1)
    }
  })

  it('is refused for one that is switched off', async () => {
    const { path, hook } = await seedReceiver()
    await api.put(hook.path, { state: 'disabled' })
    await award(path)
    expect(await refusedWith(409, () => recover(hook.path))).toEqual({
      code: 'ResourceConflict',
      message: 'The webhook is disabled',
    })
  })

  it.each([
    [{}, 'since', ''],
    [{ since: null }, 'since', ''],
    [{ since: '' }, 'since', ''],
    [{ since: 'never' }, 'since', 'never'],
    [{ since: 0, until: 'never' }, 'until', 'never'],
  ])('is refused without a time that it can read: %j', async (given, field, value) => {
    const { hook } = await seedReceiver()
    const body = await refusedWith(400, () => recover(hook.path, given))
    expect(body).toEqual({
      code: 'ValidationError',
      message: 'Could not validate required fields',
      details: [{ field, value, message: expect.any(String) }],
    })
  })

  it('queues each event once, however many ask for it at once', async () => {
    const { system: at, path, hook } = await seedReceiver()
    for (let i = 0; i < 3; i++) await award(path)
    for (const { id } of await deliveriesOf(hook.id)) await end(id, 'exhausted')
    await api.put(hook.path, { state: 'disabled' })
    for (let i = 0; i < 3; i++) await award(path)
    await api.put(hook.path, { state: 'active' })
    // All in the same millisecond, and awards among them.
    vi.useFakeTimers({ toFake: ['Date'] })
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => {
        await award(path)
        return recover(hook.path)
      }),
    )
    vi.useRealTimers()
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(202))
    expect(answers.reduce((sum, { body }) => sum + body.count, 0)).toBe(6)
    expect(await deliveriesOf(hook.id)).toHaveLength(26)
    expect((await api.get(`${at}/deliveries?webhook=${hook.id}`)).body.deliveries).toHaveLength(26)
  })
})

it('knows no webhooks of a system that is not there, whatever the body says', async () => {
  const missing = {
    code: 'ResourceNotFound',
    message: 'Could not find system field: `slug`, value: `nowhere`',
  }
  for (const answer of [
    await api.get('/systems/nowhere/webhooks'),
    await api.post('/systems/nowhere/webhooks', { url: url() }),
    await api.post('/systems/nowhere/webhooks', { url: 'https://10.0.0.1/', format: 'xml' }),
  ]) {
    expect(answer.status).toBe(404)
    expect(answer.body).toEqual(missing)
  }
})

it('writes no event for what no webhook is told of', async () => {
  await register()
  const before = await outbox()
  await api.post('/systems', container(unique('system')))
  await api.post(`${system}/badges`, badge(unique('badge')))
  expect(await outbox()).toEqual(before)
})
