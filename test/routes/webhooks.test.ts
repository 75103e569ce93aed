import { env } from 'cloudflare:workers'
import { beforeEach, describe, expect, it } from 'vitest'
import { open } from '../../src/seal'
import { secretCell } from '../../src/store/webhooks'
import { api, ORIGIN } from '../helpers/api'
import { badge, container, levels, outbox, rows, seedContainer, unique } from '../helpers/seed'

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
const [systems] = levels

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
  const answer = await api.post(`${system}/webhooks`, body)
  expect(answer.status).toBe(400)
  expect(answer.body).toEqual({
    code: 'ValidationError',
    message: 'Could not validate required fields',
    details,
  })
  expect(await rows('webhooks')).toBe(before)
  expect(await outbox()).toEqual([])
}

describe('registering a webhook', () => {
  it('gives it back with a secret of 32 random bytes', async () => {
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
    expect(await outbox()).toEqual([])
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
    expect(await rows('webhookSecrets')).toBe(await rows('webhooks'))
    system = await seedContainer(systems)
    expect((await register({ url: target })).status).toBe(201)
    expect(await outbox()).toEqual([])
  })

  it('lets exactly one of ten who register a URL at once win', async () => {
    const target = url()
    const answers = await Promise.all(Array.from({ length: 10 }, () => register({ url: target })))
    expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array(9).fill(409)])
    expect(await list()).toHaveLength(1)
    expect(await rows('webhookSecrets')).toBe(await rows('webhooks'))
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
      { message: 'String is not in range', field: 'secret', value: 's'.repeat(256) },
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
  await api.post('/systems', container(unique('system')))
  await api.post(`${system}/badges`, badge(unique('badge')))
  expect(await outbox()).toEqual([])
})
