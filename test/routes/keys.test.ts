import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Answer, api } from '../helpers/api'
import { container, outbox, rows, unique } from '../helpers/seed'

const system = unique('system')
const path = `/systems/${system}/keys`
beforeAll(async () => {
  await api.post('/systems', container(system))
})

const make = async (input?: object) => {
  const { status, body } = await api.post(path, input)
  expect(status).toBe(201)
  return body.key
}
const listed = async () => (await api.get(path)).body.keys

async function standing() {
  const tables = ['keys', 'keySecrets', 'audit', 'deliveries']
  return [...(await Promise.all(tables.map(rows))), ...(await outbox())]
}

/** States that the call is refused for these fields and writes nothing. */
async function refused(details: object[], call: () => Promise<Answer>) {
  const before = await standing()
  const { status, body } = await call()
  expect({ status, body }).toEqual({
    status: 400,
    body: { code: 'ValidationError', message: 'Could not validate required fields', details },
  })
  expect(await standing()).toEqual(before)
}

describe('making a key', () => {
  it('gives the key with its secret, and all of its members', async () => {
    const { status, body, headers } = await api.post(path, {})
    expect(status).toBe(201)
    expect(headers.get('Location')).toBeNull()
    expect(body).toEqual({
      status: 'created',
      key: {
        key: expect.stringMatching(/^[0-9a-f]{32}$/),
        secret: expect.stringMatching(/^[A-Za-z0-9+/]{43}=$/),
        role: 'admin',
        system,
        issuer: null,
        program: null,
        description: null,
        created: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
        expires: null,
        disabled: false,
        allowNoExp: false,
        lastUsed: null,
      },
    })
    expect(Math.abs(Date.parse(body.key.created) - Date.now())).toBeLessThan(10_000)
  })

  it('writes one key, one sealed secret and one line of audit, and queues nothing', async () => {
    const before = await standing()
    const { key, secret } = await make({ description: 'counted' })
    const [keys, secrets, audit, ...more] = before
    expect(await standing()).toEqual([
      Number(keys) + 1,
      Number(secrets) + 1,
      Number(audit) + 1,
      ...more,
    ])
    const line = await env.DB.prepare('select * from audit order by id desc limit 1').first()
    expect(line).toMatchObject({
      key: 'master',
      action: 'POST /systems/:system/keys',
      target: `keys/${key}`,
    })
    expect(JSON.stringify(line)).not.toContain(secret)
  })

  it('never makes the same key or secret twice', async () => {
    const made = await Promise.all(Array.from({ length: 5 }, () => make()))
    expect(new Set(made.flatMap(({ key, secret }) => [key, secret])).size).toBe(10)
  })

  it('takes a description, an expiry and leave to go without `exp`', async () => {
    const expires = Math.floor(Date.now() / 1000) + 3_600
    const given = { role: 'admin', description: 'The shop', expires, allowNoExp: true }
    expect(await make(given)).toMatchObject({
      role: 'admin',
      description: 'The shop',
      expires: new Date(expires * 1000).toISOString(),
      allowNoExp: true,
    })
  })

  it.each([
    [{ description: null, expires: null, allowNoExp: null }],
    [{ expires: '', allowNoExp: '' }],
    [{ allowNoExp: 0 }],
    [{ allowNoExp: 'false' }],
  ])('takes nothing for what it is: %j', async (input) => {
    expect(await make(input)).toMatchObject({ description: null, expires: null, allowNoExp: false })
  })

  it('takes forms too', async () => {
    const { status, body } = await api.form(path, { description: 'From a form', allowNoExp: '1' })
    expect(status).toBe(201)
    expect(body.key).toMatchObject({ description: 'From a form', allowNoExp: true })
  })

  it('ignores fields that it does not know', async () => {
    const given = {
      key: 'chosen',
      secret: 'chosen',
      system: 'other',
      systemId: 999,
      issuerId: 1,
      id: 7,
      disabledAt: 1,
      disabled: true,
      lastUsed: 1,
      created: 0,
      deletedAt: 1,
      op: 'x',
      version: 9,
    }
    const made = await make(given)
    expect(made).toMatchObject({ system, issuer: null, disabled: false, lastUsed: null })
    expect([made.key, made.secret]).not.toContain('chosen')
    const row = await env.DB.prepare('select * from keys where key = ?').bind(made.key).first()
    expect(row).toMatchObject({ disabledAt: null, deletedAt: null, issuerId: null, version: 1 })
  })

  it.each([['read'], ['issue'], ['review'], ['manage'], ['Admin'], ['master'], ['x']])(
    'refuses the role %s, which nothing would hold to its limits',
    async (role) => {
      const message = 'Unexpected value or invalid argument'
      await refused([{ field: 'role', message, value: role }], () => api.post(path, { role }))
    },
  )

  it.each([
    ['role', ''],
    ['role', 1],
    ['role', ['admin']],
    ['description', 'x'.repeat(256)],
    ['description', ['x']],
    ['expires', 'never'],
    ['expires', {}],
    ['allowNoExp', 'perhaps'],
    ['allowNoExp', 2],
  ])('refuses a %s that is %j', async (field, value) => {
    const details = [{ field, message: expect.any(String), value: value || '' }]
    await refused(details, () => api.post(path, { [field]: value }))
  })

  it.each([['issuer'], ['program']])('refuses a key for less than a system: %s', async (field) => {
    for (const value of ['other', '', 1, {}]) {
      const details = [{ field, message: 'Keys reach a whole system', value: value || '' }]
      await refused(details, () => api.post(path, { [field]: value }))
    }
    expect(await make({ [field]: null })).toMatchObject({ issuer: null, program: null })
  })

  it('tells of all failing fields at once', async () => {
    const given = { role: 'none', expires: 'never', allowNoExp: 'perhaps' }
    const details = Object.entries(given).map(([field, value]) => ({
      field,
      message: expect.any(String),
      value,
    }))
    await refused(details, () => api.post(path, given))
  })

  it('needs a system that there is', async () => {
    const before = await standing()
    for (const input of [{}, { role: 'none' }]) {
      const { status, body } = await api.post('/systems/none/keys', input)
      expect(status).toBe(404)
      expect(body).toEqual({
        code: 'ResourceNotFound',
        message: 'Could not find system field: `slug`, value: `none`',
      })
    }
    expect(await standing()).toEqual(before)
  })

  it('makes a key that works at once, in its system', async () => {
    const { key, secret } = await make()
    const call = { key, secret }
    expect((await api.get(`/systems/${system}`, call)).status).toBe(200)
    expect((await api.get('/systems', call)).status).toBe(403)
    const next = await api.post(path, { description: 'by a key' }, call)
    expect(next.status).toBe(201)
    const line = await env.DB.prepare('select key from audit order by id desc limit 1').first()
    expect(line).toEqual({ key })
  })
})

describe('listing keys', () => {
  it('shows the keys of the system in the order of their making, and no secret', async () => {
    const other = unique('other')
    await api.post('/systems', container(other))
    const elsewhere = await api.post(`/systems/${other}/keys`, { description: 'elsewhere' })
    const one = await make({ description: 'one' })
    const two = await make({ description: 'two' })
    const { status, body } = await api.get(path)
    expect(status).toBe(200)
    expect(Object.keys(body)).toEqual(['keys'])
    const { secret: first, ...shownOne } = one
    const { secret: second, ...shownTwo } = two
    expect(body.keys.slice(-2)).toEqual([shownOne, shownTwo])
    const text = JSON.stringify(body)
    for (const hidden of [first, second, 'secret', 'sealed', 'v1.k1', 'elsewhere']) {
      expect(text).not.toContain(hidden)
    }
    const { body: others } = await api.get(`/systems/${other}/keys`)
    const { secret: _, ...shown } = elsewhere.body.key
    expect(others).toEqual({ keys: [shown] })
  })

  it('is an empty list where there is none', async () => {
    const empty = unique('empty')
    await api.post('/systems', container(empty))
    expect((await api.get(`/systems/${empty}/keys`)).body).toEqual({ keys: [] })
  })

  it('shows which are disabled and leaves out which are deleted', async () => {
    const [one, two] = [await make(), await make()]
    await env.DB.prepare('update keys set disabledAt = 1, lastUsed = 20000 where key = ?')
      .bind(one.key)
      .run()
    await env.DB.prepare('update keys set deletedAt = 1 where key = ?').bind(two.key).run()
    const shown = await listed()
    const found = (key: string) => shown.find((row: { key: string }) => row.key === key)
    expect(found(one.key)).toMatchObject({ disabled: true, lastUsed: '2024-10-04' })
    expect(found(two.key)).toBeUndefined()
  })

  it('needs a system that there is', async () => {
    const { status, body } = await api.get('/systems/none/keys')
    expect(status).toBe(404)
    expect(body.message).toBe('Could not find system field: `slug`, value: `none`')
  })
})
