import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { audit, deliveries, events, keySecrets, keys } from '../../drizzle/schema'
import { app } from '../../src/app'
import { forgetKeys } from '../../src/auth'
import { ROLES } from '../../src/roles'
import { open, seal } from '../../src/seal'
import { sweep } from '../../src/sweep'
import { type Answer, api, type Call, ORIGIN, sign } from '../helpers/api'
import { quietly, refusal, watch } from '../helpers/changes'
import {
  container,
  levels,
  outbox,
  rows,
  seedContainer,
  seedWebhook,
  unique,
} from '../helpers/seed'

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

  it.each(ROLES)('takes the role %s', async (role) => {
    expect(await make({ role })).toMatchObject({ role, system, issuer: null, program: null })
  })

  it.each([['Admin'], ['master'], ['x'], ['read,admin']])('refuses the role %s', async (role) => {
    const message = 'Unexpected value or invalid argument'
    await refused([{ field: 'role', message, value: role }], () => api.post(path, { role }))
  })

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

const { changesNothing, refused: refusedQuietly } = watch(
  keys,
  keySecrets,
  audit,
  events,
  deliveries,
)

const notFound = (model: string, field: string, value: string) => ({
  code: 'ResourceNotFound',
  message: `Could not find ${model} field: \`${field}\`, value: \`${value}\``,
})
const notAuthorized = (message: string) => ({ code: 'NotAuthorized', message })
const NO_KEY = notAuthorized('Could not find consumer for API key')
const as = ({ key, secret }: { key: string; secret: string }): Call => ({ key, secret })

/** A key made at a container, as its maker is told of it. */
async function makeAt(at: string, input: object = {}, call?: Call) {
  const { status, body } = await api.post(`${at}/keys`, input, call)
  expect(status, JSON.stringify(body)).toBe(201)
  return body.key
}

const rowOf = (key: string) =>
  env.DB.prepare('select * from keys where key = ?').bind(key).first<Record<string, unknown>>()
const secretsOf = async (key: string) => {
  const { results } = await env.DB.prepare(
    'select x.* from keySecrets x join keys k on k.id = x.keyId where k.key = ? order by x.rowid',
  )
    .bind(key)
    .all<{ id: string; sealed: string; retiresAt: number | null }>()
  return results
}

/** The slugs of a container, by its path. */
const slugsOf = (at: string) => {
  const [, , system, , issuer = null, , program = null] = at.split('/')
  return { system, issuer, program }
}
const [SYSTEM, ISSUER, PROGRAM] = levels

describe.each(levels)('the keys of a $name', (level) => {
  let at: string
  beforeAll(async () => {
    at = await seedContainer(level)
  })

  it('reach it and what is below it', async () => {
    const made = await makeAt(at)
    expect(made).toMatchObject({ role: 'admin', ...slugsOf(at) })
    expect((await api.get(at, as(made))).status).toBe(200)
    expect((await api.get(`${at}/badges`, as(made))).status).toBe(200)
  })

  it('are shown, listed and changed, and not with their secrets', async () => {
    const { secret, ...made } = await makeAt(at, { description: 'Old', role: 'issue' })
    const one = `${at}/keys/${made.key}`
    const shown = await api.get(one)
    expect(shown).toMatchObject({ status: 200, body: { key: made } })
    expect(shown.headers.get('ETag')).toMatch(/^"1\./)
    const change = { description: 'New', role: 'read', expires: 4_000_000_000, allowNoExp: true }
    const changed = await quietly(200, () => api.put(one, change))
    const after = { ...made, ...change, expires: '2096-10-02T07:06:40.000Z' }
    expect(changed.body).toEqual({ status: 'updated', key: after })
    expect((await api.get(`${at}/keys`)).body.keys.at(-1)).toEqual(after)
    expect(JSON.stringify([shown.body, changed.body])).not.toContain(secret)
  })

  it('are left as they are where a change names nothing, and emptied where it says null', async () => {
    const made = await makeAt(at, { description: 'D', expires: 4_000_000_000, allowNoExp: true })
    const { secret: _, ...before } = made
    const one = `${at}/keys/${made.key}`
    const empty = {
      allowNoExp: null,
      disabled: null,
      key: 'x',
      system: 'x',
      lastUsed: '2020-01-01',
    }
    expect((await api.put(one, empty)).body.key).toEqual(before)
    const { body } = await api.put(one, { description: null, expires: null })
    expect(body.key).toEqual({ ...before, description: null, expires: null })
  })

  it('are refused changes that cannot be', async () => {
    const { key } = await makeAt(at)
    for (const [field, value] of Object.entries({ role: 'owner', expires: 'x', disabled: 'x' })) {
      const body = await refusedQuietly(400, () => api.put(`${at}/keys/${key}`, { [field]: value }))
      expect(body.details).toEqual([{ field, message: expect.any(String), value }])
    }
    for (const role of [null, '']) {
      await refusedQuietly(400, () => api.put(`${at}/keys/${key}`, { role }))
    }
  })

  it('are gone with all that is kept of them when they are deleted', async () => {
    const made = await makeAt(at)
    const { secret, ...shown } = made
    const one = `${at}/keys/${made.key}`
    expect((await api.get(at, as(made))).status).toBe(200)
    const { body } = await quietly(200, () => api.delete(one))
    expect(body).toEqual({ status: 'deleted', key: { ...shown, lastUsed: expect.anything() } })
    expect(await rowOf(made.key)).toBeNull()
    expect(await refusal(403, () => api.get(at, as(made)))).toEqual(NO_KEY)
    const gone = notFound('key', 'key', made.key)
    for (const call of [
      () => api.get(one),
      () => api.put(one, {}),
      () => api.delete(one),
      () => api.post(`${one}/secret/rotate`, {}),
    ]) {
      expect(await refusedQuietly(404, call)).toEqual(gone)
    }
    expect(JSON.stringify((await api.get(`${at}/keys`)).body)).not.toContain(made.key)
  })

  it('are found by their exact name', async () => {
    const { key } = await makeAt(at)
    for (const name of [key.toUpperCase(), `${key}x`, String((await rowOf(key))?.id), 'master']) {
      const body = await refusedQuietly(404, () => api.delete(`${at}/keys/${name}`))
      expect(body).toEqual(notFound('key', 'key', name))
    }
  })

  it('tell which ones changed them', async () => {
    const [maker, made] = [await makeAt(at), await makeAt(at)]
    await api.put(`${at}/keys/${made.key}`, { description: 'x' }, as(maker))
    const line = await env.DB.prepare('select * from audit order by id desc limit 1').first()
    expect(line).toMatchObject({
      key: maker.key,
      action: `PUT ${level.path}/keys/:key`,
      target: `keys/${made.key}`,
    })
  })

  it('are changed only as `If-Match` says', async () => {
    const { key } = await makeAt(at)
    const one = `${at}/keys/${key}`
    const headers = { 'If-Match': '"7"' }
    await refusedQuietly(412, () => api.put(one, { description: 'x' }, { headers }))
    await refusedQuietly(412, () => api.delete(one, { headers }))
  })

  it('are made once by a repeated request, which is told the same secret', async () => {
    const call = { headers: { 'Idempotency-Key': unique('idem') } }
    const first = await api.post(`${at}/keys`, { description: 'once' }, call)
    const again = await changesNothing(() => api.post(`${at}/keys`, { description: 'once' }, call))
    expect(again.body).toEqual(first.body)
    const rotation = { headers: { 'Idempotency-Key': unique('idem') } }
    const rotate = `${at}/keys/${first.body.key.key}/secret/rotate`
    const other = await api.post(rotate, {}, rotation)
    const otherAgain = await changesNothing(() => api.post(rotate, {}, rotation))
    expect(otherAgain.body.key.secret).toBe(other.body.key.secret)
  })
})

describe('a key for less', () => {
  it('is made where the body names its container', async () => {
    const at = await seedContainer(PROGRAM)
    const { system: s, issuer, program } = slugsOf(at)
    const [ofSystem, ofIssuer] = [`/systems/${s}`, `/systems/${s}/issuers/${issuer}`]
    expect(await makeAt(ofSystem, { issuer })).toMatchObject({ system: s, issuer, program: null })
    expect(await makeAt(ofSystem, { issuer, program })).toMatchObject({
      system: s,
      issuer,
      program,
    })
    const made = await makeAt(ofIssuer, { program, role: 'read' })
    expect(made).toMatchObject({ system: s, issuer, program })
    expect((await api.get(at, as(made))).status).toBe(200)
    expect(await refusal(403, () => api.get(ofIssuer, as(made)))).toEqual(
      notAuthorized('Invalid token for program'),
    )
  })

  it('is refused where the body names what the path does, what is above it, or nothing', async () => {
    const at = await seedContainer(PROGRAM)
    const [other, { system: s, issuer, program }] = [await seedContainer(PROGRAM), slugsOf(at)]
    const foreign = slugsOf(other)
    const [ofSystem, ofIssuer] = [`/systems/${s}`, `/systems/${s}/issuers/${issuer}`]
    const unknown = 'Unexpected value or invalid argument'
    const cases: [string, object, object[]][] = [
      [ofSystem, { issuer: 'none' }, [{ field: 'issuer', message: unknown, value: 'none' }]],
      [
        ofSystem,
        { issuer: '' },
        [{ field: 'issuer', message: 'String is not in range', value: '' }],
      ],
      [
        ofSystem,
        { issuer: foreign.issuer },
        [{ field: 'issuer', message: unknown, value: foreign.issuer }],
      ],
      [
        ofSystem,
        { issuer, program: foreign.program },
        [{ field: 'program', message: unknown, value: foreign.program }],
      ],
      [ofSystem, { program }, [{ field: 'issuer', message: 'Required field', value: '' }]],
      [ofIssuer, { issuer }, [{ field: 'issuer', message: 'The path names it', value: issuer }]],
      [at, { program }, [{ field: 'program', message: 'The path names it', value: program }]],
    ]
    for (const [path, input, details] of cases) {
      const body = await refusedQuietly(400, () => api.post(`${path}/keys`, input))
      expect(body).toMatchObject({ code: 'ValidationError', details })
    }
    const none = await refusedQuietly(404, () => api.post('/systems/none/keys', { program }))
    expect(none).toEqual(notFound('system', 'slug', 'none'))
  })

  it('is listed at its container and above it, and found there alone', async () => {
    const at = await seedContainer(PROGRAM)
    const { system: s, issuer } = slugsOf(at)
    const paths = [`/systems/${s}`, `/systems/${s}/issuers/${issuer}`, at]
    const made = []
    for (const path of paths) made.push((await makeAt(path)).key)
    for (const [i, path] of paths.entries()) {
      const { body } = await api.get(`${path}/keys`)
      expect(body.keys.map(({ key }: { key: string }) => key)).toEqual(made.slice(i))
      for (const [j, key] of made.entries()) {
        expect((await api.get(`${path}/keys/${key}`)).status).toBe(j < i ? 404 : 200)
      }
    }
  })

  it('makes and changes none for more than itself', async () => {
    const at = await seedContainer(ISSUER)
    const system = `/systems/${slugsOf(at).system}`
    const [wide, narrow] = [await makeAt(system), await makeAt(at)]
    expect(await refusedQuietly(403, () => api.post(`${system}/keys`, {}, as(narrow)))).toEqual(
      notAuthorized('Invalid token for issuer'),
    )
    for (const call of [
      () => api.get(`${at}/keys/${wide.key}`, as(narrow)),
      () => api.put(`${at}/keys/${wide.key}`, { role: 'read' }, as(narrow)),
      () => api.delete(`${at}/keys/${wide.key}`, as(narrow)),
      () => api.post(`${at}/keys/${wide.key}/secret/rotate`, {}, as(narrow)),
    ]) {
      expect(await refusal(404, call)).toEqual(notFound('key', 'key', wide.key))
    }
    expect(await makeAt(at, {}, as(narrow))).toMatchObject(slugsOf(at))
  })

  it('must write the names of its containers exactly', async () => {
    const at = await seedContainer(PROGRAM)
    const call = as(await makeAt(at))
    const { system: s, issuer, program } = slugsOf(at)
    const path = (...slugs: unknown[]) =>
      `/systems/${slugs[0]}/issuers/${slugs[1]}/programs/${slugs[2]}`
    const escaped = program?.replace('p', '%70')
    expect((await api.get(path(s, issuer, escaped), call)).status).toBe(200)
    for (const [name, wrong] of [
      ['system', path(s?.toUpperCase(), issuer, program)],
      ['issuer', path(s, issuer?.toUpperCase(), program)],
      ['program', path(s, issuer, program?.toUpperCase())],
      ['program', path(s, issuer, `${program}%2F`)],
      ['issuer', `/systems/${s}/badges/${issuer}`],
      ['program', `/systems/${s}/issuers/${issuer}/programs`],
      ['system', '/systems'],
    ]) {
      const body = await refusal(403, () => api.get(wrong ?? '', call))
      expect(body).toEqual(notAuthorized(`Invalid token for ${name}`))
    }
  })

  it('tells its scope before its signature, and its role after it', async () => {
    const at = await seedContainer(ISSUER)
    const { key, secret } = await makeAt(at, { role: 'read' })
    const outside = `/systems/${slugsOf(at).system}/badges`
    const told = async (path: string, call: Call) =>
      (await refusal(403, () => api.post(path, undefined, call))).message
    expect(await told(outside, { key, secret: 'wrong' })).toBe('Invalid token for issuer')
    expect(await told(`${at}/badges`, { key, secret: 'wrong' })).toBe('Invalid token signature')
    const noExp = { key, secret, claims: { exp: undefined } }
    expect(await told(`${at}/badges`, noExp)).toBe('Missing JWT claim: exp')
    // Before the look-up of a badge, and before the body.
    const tooSmall = 'Key may not do this: needs issue'
    expect(await told(`${at}/badges/none/instances`, { key, secret })).toBe(tooSmall)
  })

  it.each([ISSUER, PROGRAM])('signs no more when its $name is deleted', async (level) => {
    const at = await seedContainer(level)
    const [made, other] = [await makeAt(at), await makeAt(`/systems/${slugsOf(at).system}`)]
    expect((await api.get(at, as(made))).status).toBe(200)
    expect((await api.delete(at, as(other))).status).toBe(200)
    expect(await refusal(403, () => api.get(at, as(made)))).toEqual(NO_KEY)
    expect(await rowOf(made.key)).toBeNull()
    // Another container of that name is not the one it was made for.
    const list = at.slice(0, at.lastIndexOf('/'))
    await api.post(list, container(at.slice(list.length + 1)))
    expect((await api.get(at)).status).toBe(200)
    expect(await refusal(403, () => api.get(at, as(made)))).toEqual(NO_KEY)
    expect((await api.get(`/systems/${slugsOf(at).system}`, as(other))).status).toBe(200)
  })

  it('of a program ends with its issuer', async () => {
    const at = await seedContainer(PROGRAM)
    const made = await makeAt(at)
    await api.delete(at.slice(0, at.indexOf('/programs')))
    expect(await rowOf(made.key)).toBeNull()
    expect(await refusal(403, () => api.get(at, as(made)))).toEqual(NO_KEY)
  })

  it('of a container that is marked as deleted signs nothing, whatever else stands', async () => {
    const at = await seedContainer(PROGRAM)
    for (const table of ['programs', 'issuers', 'systems']) {
      const made = await makeAt(at)
      const mark = (moment: number | null) =>
        env.DB.prepare(`update ${table} set deletedAt = ? where slug in (?, ?, ?)`)
          .bind(moment, ...Object.values(slugsOf(at)))
          .run()
      await mark(1)
      expect(await refusal(403, () => api.get(at, as(made)))).toEqual(NO_KEY)
      await mark(null)
      expect((await api.get(at, as(made))).status).toBe(200)
      forgetKeys()
    }
  })

  it('goes on to reach its container under a new slug, and under that alone', async () => {
    const at = await seedContainer(ISSUER)
    const made = await makeAt(at)
    expect((await api.get(at, as(made))).status).toBe(200)
    const slug = unique('renamed')
    await api.put(at, { slug })
    await api.post(at.slice(0, at.lastIndexOf('/')), container(slugsOf(at).issuer ?? ''))
    expect(await refusal(403, () => api.get(at, as(made)))).toEqual(
      notAuthorized('Invalid token for issuer'),
    )
    expect((await api.get(`/systems/${slugsOf(at).system}/issuers/${slug}`, as(made))).status).toBe(
      200,
    )
  })
})

describe('a change of a key', () => {
  let at: string
  beforeAll(async () => {
    at = await seedContainer(SYSTEM)
  })

  it('counts at once where it is made: disabling, enabling, another role', async () => {
    const made = await makeAt(at)
    const one = `${at}/keys/${made.key}`
    expect((await api.get(at, as(made))).status).toBe(200)
    const { body } = await api.put(one, { disabled: true })
    expect(body.key.disabled).toBe(true)
    expect(await refusal(403, () => api.get(at, as(made)))).toEqual(NO_KEY)
    const since = (await rowOf(made.key))?.disabledAt
    await api.put(one, { disabled: true })
    expect((await rowOf(made.key))?.disabledAt).toBe(since)
    await api.put(one, { disabled: false, role: 'read' })
    expect((await api.get(at, as(made))).status).toBe(200)
    expect(await refusal(403, () => api.put(at, {}, as(made)))).toEqual(
      notAuthorized('Key may not do this: needs manage'),
    )
  })

  it('counts after a request that was looking the key up meanwhile', async () => {
    const made = await makeAt(at)
    forgetKeys()
    let found = () => {}
    let release = () => {}
    const isFound = new Promise<void>((done) => {
      found = done
    })
    const isReleased = new Promise<void>((done) => {
      release = done
    })
    /** The database, whose answer about the key is long on its way. */
    const slow = {
      withSession(from: string) {
        const session = env.DB.withSession(from)
        const bind = (text: string, values: unknown[]) => ({
          async all() {
            const result = await session
              .prepare(text)
              .bind(...values)
              .all()
            found()
            await isReleased
            return result
          },
        })
        const prepare = (text: string) =>
          text.includes('as secrets')
            ? { bind: (...values: unknown[]) => bind(text, values) }
            : session.prepare(text)
        return {
          prepare,
          batch: (all: D1PreparedStatement[]) => session.batch(all),
          getBookmark: () => session.getBookmark(),
        }
      },
    }
    const token = await sign('GET', at, undefined, as(made))
    const request = new Request(ORIGIN + at, { headers: { Authorization: `JWT token="${token}"` } })
    const ctx = createExecutionContext()
    const answer = app.fetch(request, { ...env, DB: slow } as never, ctx)
    await isFound
    await api.put(`${at}/keys/${made.key}`, { disabled: true })
    release()
    await (await answer).arrayBuffer()
    await waitOnExecutionContext(ctx)
    expect(await refusal(403, () => api.get(at, as(made)))).toEqual(NO_KEY)
  })

  it.each([
    ['disabled', 'update keys set disabledAt = 1 where key = ?'],
    ['expired', 'update keys set expires = 1 where key = ?'],
    ['marked as deleted', 'update keys set deletedAt = 1 where key = ?'],
    ['given a smaller role', `update keys set role = 'manage' where key = ?`],
    [
      'moved below',
      `update keys set issuerId = (select id from issuers i where i.systemId = keys.systemId) where key = ?`,
    ],
  ])(
    'is not made by a key that was %s elsewhere, though it is still known here',
    async (_how, sql) => {
      const [maker, spare] = [await makeAt(at), await makeAt(at)]
      expect((await api.get(at, as(maker))).status).toBe(200)
      await env.DB.prepare(sql).bind(maker.key).run()
      const one = `${at}/keys/${spare.key}`
      for (const call of [
        () => api.post(`${at}/keys`, {}, as(maker)),
        () => api.put(one, { description: 'x' }, as(maker)),
        () => api.delete(one, as(maker)),
        () => api.post(`${one}/secret/rotate`, {}, as(maker)),
      ]) {
        // Each refusal forgets the key: it must be known again, as in another isolate.
        await env.DB.prepare(
          'update keys set disabledAt = null, expires = null, deletedAt = null, role = ?, issuerId = null where key = ?',
        )
          .bind('admin', maker.key)
          .run()
        forgetKeys()
        expect((await api.get(at, as(maker))).status).toBe(200)
        await env.DB.prepare(sql).bind(maker.key).run()
        expect(await refusedQuietly(403, call)).toEqual(NO_KEY)
      }
    },
  )
})

describe('another secret', () => {
  let at: string
  beforeAll(async () => {
    at = await seedContainer(SYSTEM)
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  const rotate = (key: string, input?: object) => api.post(`${at}/keys/${key}/secret/rotate`, input)
  const works = async (key: string, secret: string) =>
    (await api.get(at, { key, secret })).status === 200

  it('signs beside the one before it, for a day', async () => {
    const { key, secret, ...made } = await makeAt(at)
    const before = Date.now()
    const { body } = await quietly(200, () => rotate(key))
    const next = body.key.secret
    expect(body).toEqual({ status: 'updated', key: { ...made, key, secret: next } })
    expect(next).toMatch(/^[A-Za-z0-9+/]{43}=$/)
    expect(next).not.toBe(secret)
    expect([await works(key, secret), await works(key, next)]).toEqual([true, true])
    const [old, young] = await secretsOf(key)
    expect(young?.retiresAt).toBeNull()
    expect(Math.abs((old?.retiresAt ?? 0) - before - 86_400_000)).toBeLessThan(10_000)
    const place = { table: 'keySecrets', row: young?.id ?? '', column: 'sealed' }
    expect(await open(env.ENCRYPTION_KEYS, young?.sealed ?? '', place)).toBe(next)
    const line = await env.DB.prepare('select * from audit order by id desc limit 1').first()
    expect(line).toMatchObject({ target: `keys/${key}/secret` })
    vi.useFakeTimers({ toFake: ['Date'], now: before + 86_410_000 })
    expect([await works(key, secret), await works(key, next)]).toEqual([false, true])
  })

  it('ends the one before it at once when there is no grace, and nothing of that stays', async () => {
    const { key, secret } = await makeAt(at)
    expect(await works(key, secret)).toBe(true)
    const { body } = await rotate(key, { grace: 0 })
    expect([await works(key, secret), await works(key, body.key.secret)]).toEqual([false, true])
    expect(await secretsOf(key)).toHaveLength(1)
  })

  it('ends the one before it on the second, whatever is known of the key', async () => {
    const { key, secret } = await makeAt(at)
    await rotate(key, { grace: 20 })
    const start = Date.now()
    expect(await works(key, secret)).toBe(true)
    vi.useFakeTimers({ toFake: ['Date'], now: start + 21_000 })
    expect(await works(key, secret)).toBe(false)
  })

  it('never outlives its key', async () => {
    const expires = Math.floor(Date.now() / 1000) + 3_600
    const { key, secret } = await makeAt(at, { expires })
    await rotate(key, { grace: 604_800 })
    expect((await secretsOf(key))[0]?.retiresAt).toBe(expires * 1000)
    expect(await works(key, secret)).toBe(true)
  })

  it('never lengthens the life of an older one', async () => {
    const { key } = await makeAt(at)
    await rotate(key, { grace: 60 })
    const [first] = await secretsOf(key)
    await rotate(key, { grace: 600 })
    expect((await secretsOf(key))[0]?.retiresAt).toBe(first?.retiresAt)
  })

  it('is one of three at the most, until there is no grace', async () => {
    const { key } = await makeAt(at)
    for (let i = 0; i < 2; i++) expect((await rotate(key)).status).toBe(200)
    const body = await refusedQuietly(409, () => rotate(key, { grace: 1 }))
    expect(body).toEqual({
      code: 'ResourceConflict',
      message: 'A key has 3 secrets at most: wait for the old ones to end',
    })
    expect((await rotate(key, { grace: 0 })).status).toBe(200)
    expect(await secretsOf(key)).toHaveLength(1)
  })

  it('is one of three at the most for requests at once, too', async () => {
    const { key } = await makeAt(at)
    const answers = await Promise.all(Array.from({ length: 6 }, () => rotate(key)))
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 409, 409, 409, 409])
    expect(await secretsOf(key)).toHaveLength(3)
  })

  it('takes the place of one that has ended', async () => {
    const { key } = await makeAt(at)
    for (let i = 0; i < 2; i++) await rotate(key)
    const [first] = await secretsOf(key)
    await env.DB.prepare('update keySecrets set retiresAt = 1 where id = ?').bind(first?.id).run()
    expect((await rotate(key)).status).toBe(200)
    const left = await secretsOf(key)
    expect(left).toHaveLength(3)
    expect(left.map(({ id }) => id)).not.toContain(first?.id)
  })

  it.each([[-1], [604_801], ['x'], [1.5]])('is refused a grace of %j', async (grace) => {
    const { key } = await makeAt(at)
    const body = await refusedQuietly(400, () => rotate(key, { grace }))
    expect(body.details).toEqual([{ field: 'grace', message: expect.any(String), value: grace }])
  })
})

describe('the day on which a key was last used', () => {
  const DAY = 86_400_000
  let at: string
  beforeAll(async () => {
    at = await seedContainer(SYSTEM)
  })
  afterEach(() => {
    vi.useRealTimers()
  })
  const day = (time: number) => new Date(time).toISOString().slice(0, 10)
  const shown = async (key: string) => (await api.get(`${at}/keys/${key}`)).body.key.lastUsed

  it('is noted with the first use of the day, and with no other', async () => {
    const made = await makeAt(at)
    expect(await shown(made.key)).toBeNull()
    await api.get(at, as(made))
    await vi.waitFor(async () => expect(await shown(made.key)).toBe(day(Date.now())))
    await env.DB.prepare('update keys set lastUsed = null where key = ?').bind(made.key).run()
    await api.get(at, as(made))
    expect(await shown(made.key)).toBeNull()
    const tomorrow = Date.now() + DAY
    vi.useFakeTimers({ toFake: ['Date'], now: tomorrow })
    await api.get(at, as(made))
    vi.useRealTimers()
    await vi.waitFor(async () => expect(await shown(made.key)).toBe(day(tomorrow)))
    expect((await rowOf(made.key))?.version).toBe(1)
  })

  it('is not noted without a good signature', async () => {
    const { key } = await makeAt(at)
    await refusal(403, () => api.get(at, { key, secret: 'wrong' }))
    await api.get(at)
    expect(await shown(key)).toBeNull()
  })

  it('is when secrets that have ended are removed', async () => {
    const made = await makeAt(at)
    await api.post(`${at}/keys/${made.key}/secret/rotate`, {})
    const [old, young] = await secretsOf(made.key)
    await env.DB.prepare('update keySecrets set retiresAt = 1 where id = ?').bind(young?.id).run()
    await api.get(at, as(made))
    await vi.waitFor(async () => {
      expect((await secretsOf(made.key)).map(({ id }) => id)).toEqual([old?.id])
    })
  })
})

describe('a newer encryption key', () => {
  const ring = (...ids: string[]) => {
    const bytes = (id: string) =>
      btoa(String.fromCharCode(...new Uint8Array(32).fill(id.charCodeAt(1))))
    const first = JSON.parse(env.ENCRYPTION_KEYS)
    return JSON.stringify({ ...first, ...Object.fromEntries(ids.map((id) => [id, bytes(id)])) })
  }
  const swept = (keys: string) => sweep({ ...env, ENCRYPTION_KEYS: keys }, Date.now())
  const starts = async (table: string) => {
    const { results } = await env.DB.prepare(
      `select distinct substr(sealed, 1, 6) as start from ${table} order by 1`,
    ).all<{ start: string }>()
    return results.map(({ start }) => start)
  }
  const isDone = (id: string) =>
    env.DB.prepare('select at from heartbeats where name = ?').bind(`sealed:${id}`).first()

  /** These tests are about all secrets that there are: no other's are there, and none of theirs stay, which others cannot open. */
  async function forgetSecrets() {
    await env.DB.batch([
      env.DB.prepare('delete from keySecrets'),
      env.DB.prepare('delete from webhookSecrets'),
      env.DB.prepare("delete from heartbeats where name like 'sealed:%'"),
    ])
    forgetKeys()
  }
  beforeEach(forgetSecrets)
  afterEach(forgetSecrets)

  it('seals all secrets in time, and then it is known that it has', async () => {
    const at = await seedContainer(SYSTEM)
    const made = await makeAt(at)
    const { secret } = await seedWebhook(at)
    const sealed = (await env.DB.prepare('select id from webhookSecrets').first<{ id: string }>())
      ?.id
    // More than one run can take.
    await Promise.all(Array.from({ length: 55 }, () => makeAt(at)))
    const keys = ring('k2')
    await swept(keys)
    expect(await starts('keySecrets')).toEqual(['v1.k1.', 'v1.k2.'])
    expect(await isDone('k2')).toBeNull()
    for (let i = 0; i < 8 && !(await isDone('k2')); i++) await swept(keys)
    expect(await isDone('k2')).not.toBeNull()
    expect([await starts('keySecrets'), await starts('webhookSecrets')]).toEqual([
      ['v1.k2.'],
      ['v1.k2.'],
    ])
    const [row] = await secretsOf(made.key)
    const cell = { table: 'keySecrets', row: row?.id ?? '', column: 'sealed' }
    expect(await open(keys, row?.sealed ?? '', cell)).toBe(made.secret)
    const hook = await env.DB.prepare('select id, sealed from webhookSecrets where id = ?')
      .bind(sealed)
      .first<{ id: string; sealed: string }>()
    const hookCell = { table: 'webhookSecrets', row: hook?.id ?? '', column: 'sealed' }
    expect(await open(keys, hook?.sealed ?? '', hookCell)).toBe(secret)

    // What is known to be done is not looked at again.
    const late = await seal(env.ENCRYPTION_KEYS, made.secret, cell)
    await env.DB.prepare('update keySecrets set sealed = ? where id = ?').bind(late, row?.id).run()
    await swept(keys)
    expect((await secretsOf(made.key))[0]?.sealed).toBe(late)
    // A still newer one begins anew.
    const newer = ring('k2', 'k3')
    for (let i = 0; i < 8 && !(await isDone('k3')); i++) await swept(newer)
    expect(await starts('keySecrets')).toEqual(['v1.k3.'])
  })

  it('passes over what does not open, tells of it, and goes on', async () => {
    const at = await seedContainer(SYSTEM)
    const [broken, whole] = [await makeAt(at), await makeAt(at)]
    const [[row], [other]] = [await secretsOf(broken.key), await secretsOf(whole.key)]
    await env.DB.prepare('update keySecrets set sealed = ? where id = ?')
      .bind(other?.sealed, row?.id)
      .run()
    const told = vi.spyOn(console, 'error').mockImplementation(() => {})
    await swept(ring('k4'))
    expect(told.mock.calls.join()).toContain('secret does not open')
    expect(told.mock.calls.join()).not.toContain(other?.sealed)
    told.mockRestore()
    expect((await secretsOf(whole.key))[0]?.sealed).toMatch(/^v1\.k4\./)
    expect((await secretsOf(broken.key))[0]?.sealed).toBe(other?.sealed)
    expect(await isDone('k4')).toBeNull()
  })
})
