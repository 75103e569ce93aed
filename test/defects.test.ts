import {
  createExecutionContext,
  createScheduledController,
  waitOnExecutionContext,
} from 'cloudflare:test'
import { env, exports } from 'cloudflare:workers'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { app } from '../src/app'
import type { Bindings } from '../src/env'
import worker from '../src/index'
import { type Answer, api, ask, ORIGIN, send, sign } from './helpers/api'
import {
  badge,
  container,
  EVENTS,
  levels,
  outbox,
  PNG,
  PNG_URI,
  rows,
  seedBadge,
  seedContainer,
  seedWebhook,
  uidOf,
  unique,
} from './helpers/seed'

/** The original's defects, by their numbers in contract §11: what this server does instead. */

type Seed = Awaited<ReturnType<typeof seedBadge>>

const [atSystem, atIssuer, atProgram] = levels

let seen = 0
beforeEach(async () => {
  seen = (await outbox()).length
})
/** What has come into the outbox since the test began. */
const news = async () => (await outbox()).slice(seen)
const types = async () => (await news()).map(({ type }) => type)

const utf8 = (text: string) => new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>
const base64url = (text: string) =>
  btoa(text).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
const award = (seed: Seed, more: object = {}) =>
  api.post(`${seed.path}/instances`, { email: 'ada@example.org', ...more })
const apply = async (seed: Seed, more: object = {}) => {
  const { body } = await api.post(`${seed.path}/applications`, {
    learner: 'ada@example.org',
    ...more,
  })
  return { ...body.application, path: `${seed.path}/applications/${body.application.slug}` }
}
const addBadge = async (at: string, more: object = {}) =>
  (await api.post(`${at}/badges`, { ...badge(unique('badge')), ...more })).body.badge
const pageOf = (path: string) => api.get(`${path}?page=1&count=5`)
const publicPath = (url: string) => url.slice(ORIGIN.length)

/** The headers of an image on this server. */
async function imageAt(url: string) {
  const response = await exports.default.fetch(url)
  await response.arrayBuffer()
  expect(response.status, url).toBe(200)
  return response.headers
}

/** Asks the app itself, with settings of the test's own. */
async function askWith(settings: object, path: string, headers: Record<string, string> = {}) {
  const context = createExecutionContext()
  const request = new Request(ORIGIN + path, { headers })
  const response = await app.fetch(request, { ...env, ...settings } as Bindings, context)
  const body = (await response.json()) as { code?: string }
  await waitOnExecutionContext(context)
  return { status: response.status, body }
}
const signed = async (path: string) => ({
  Authorization: `JWT token="${await sign('GET', path, undefined)}"`,
})

const formWith = (fields: Record<string, string>, bytes: Uint8Array<ArrayBuffer>, type: string) => {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) form.append(name, value)
  form.append('image', new File([bytes], 'picture', { type }))
  return form
}
const badgeForm = (bytes: Uint8Array<ArrayBuffer>, type: string) => {
  const { image: _image, unique: once, ...fields } = badge(unique('badge'))
  return formWith({ ...fields, unique: String(once) }, bytes, type)
}

describe('security', () => {
  it('X1: a token must be signed with HS256; one that says `none` opens nothing', async () => {
    const path = await seedContainer(atSystem)
    const claims = { key: 'master', method: 'GET', path }
    for (const alg of ['none', 'None', 'HS512', 'RS256']) {
      const head = base64url(JSON.stringify({ typ: 'JWT', alg }))
      const token = `${head}.${base64url(JSON.stringify(claims))}.`
      const headers = { Authorization: `JWT token="${token}"` }
      expect(await ask('GET', path, { headers })).toMatchObject({
        status: 403,
        body: { code: 'NotAuthorized', message: 'Invalid token signature' },
      })
    }
  })

  it('X2: a body cannot send a change to another row, or move a row elsewhere', async () => {
    const [mine, theirs] = [await seedBadge(atProgram), await seedBadge(atSystem)]
    const hostile = {
      id: theirs.badge.id,
      systemId: theirs.badge.system.id,
      issuerId: null,
      programId: null,
      imageId: 1,
    }
    const changed = await api.put(mine.path, { ...hostile, name: 'New' })
    expect(changed.body.badge).toEqual({ ...mine.badge, name: 'New' })
    expect((await api.get(theirs.path)).body.badge).toEqual(theirs.badge)

    const before = (await api.get(mine.container)).body.program
    const program = await api.put(mine.container, { ...hostile, description: 'New' })
    expect(program.body.program).toEqual({ ...before, description: 'New' })
    const { path, ...application } = await apply(mine)
    const put = await api.put(path, { ...hostile, badgeId: theirs.badge.id })
    expect(put.body.application).toEqual(application)
    expect(application.badge.id).toBe(mine.badge.id)
    expect(await news()).toEqual([
      { type: 'badge.updated', subject: await uidOf(mine.badge), deliveries: 0 },
      { type: 'application.created', subject: application.slug, deliveries: 0 },
      { type: 'application.updated', subject: application.slug, deliveries: 0 },
    ])
  })

  it('X3: an id inside a list takes no row from another parent', async () => {
    const lists = {
      criteria: [{ description: 'Theirs', required: 1 }],
      alignments: [{ name: 'Theirs', url: 'https://example.org/theirs' }],
    }
    const [mine, theirs] = [await seedBadge(atSystem), await seedBadge(atSystem, lists)]
    const [criterion] = theirs.badge.criteria
    const [alignment] = theirs.badge.alignments
    const { body } = await api.put(mine.path, {
      criteria: [{ id: criterion.id, description: 'Mine' }],
      alignments: [{ id: alignment.id, name: 'Mine', url: 'https://example.org/mine' }],
    })
    expect(body.badge.criteria[0].id).not.toBe(criterion.id)
    expect(body.badge.alignments[0].id).not.toBe(alignment.id)
    expect((await api.get(theirs.path)).body.badge).toEqual(theirs.badge)
    const own = await api.put(theirs.path, { criteria: [{ id: criterion.id, description: 'Own' }] })
    expect(own.body.badge.criteria[0].id).toBe(criterion.id)
  })

  it('X4: a badge belongs where its URL says, whatever the body says', async () => {
    const program = await seedBadge(atProgram)
    const made = await addBadge(program.system, {
      issuerId: program.badge.issuer.id,
      programId: program.badge.program.id,
      systemId: 1,
    })
    expect('issuer' in made || 'program' in made).toBe(false)
    expect(made.system.id).toBe(program.badge.system.id)
  })

  it('X5: an image that names a file of the server is refused', async () => {
    const path = await seedContainer(atSystem)
    const image = { path: '/etc/passwd', size: 5, type: 'image/png' }
    const { status, body } = await api.post(`${path}/badges`, { ...badge(unique('b')), image })
    expect(status).toBe(400)
    expect(body.details).toMatchObject([{ field: 'image' }])
  })

  it('X6: a milestone takes badges of its own system only', async () => {
    const [mine, theirs] = [await seedBadge(atSystem), await seedBadge(atSystem)]
    const list = `${mine.system}/milestones`
    for (const [given, field] of [
      [{ primaryBadgeId: theirs.badge.id, supportBadges: [mine.badge.id] }, 'primaryBadgeId'],
      [{ primaryBadgeId: mine.badge.id, supportBadges: [theirs.badge.id] }, 'supportBadges'],
    ] as const) {
      const { status, body } = await api.post(list, { numberRequired: 1, ...given })
      expect(status).toBe(400)
      expect(body).toMatchObject({ code: 'ValidationError', details: [{ field }] })
    }
    expect((await api.get(list)).body.milestones).toEqual([])
  })

  it('X7: an error of the database tells the caller nothing of itself', async () => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => {})
    const text = 'D1_ERROR: UNIQUE constraint failed: consumers.apiSecret ada@example.org'
    const fails = () => Promise.reject(new Error(text))
    const statement = { bind: () => statement, all: fails }
    const DB = {
      withSession: () => ({ prepare: () => statement, batch: fails, getBookmark: () => null }),
    }
    const path = '/systems/any/badges'
    const { status, body } = await askWith({ DB }, path, await signed(path))
    expect(status).toBe(500)
    expect(body).toEqual({ code: 'InternalError', message: 'An internal error occured' })
    expect(JSON.stringify(log.mock.calls)).not.toContain('ada@example.org')
    log.mockRestore()
  })

  it('X8: no setting of the environment, `NODE_ENV=test` least of all, turns the check off', async () => {
    const path = await seedContainer(atSystem)
    for (const settings of [
      { NODE_ENV: 'test' },
      { NODE_ENV: 'auth-test' },
      { AUTH_DISABLED: '1' },
    ]) {
      expect(await askWith(settings, path)).toMatchObject({
        status: 403,
        body: { code: 'NotAuthorized' },
      })
    }
  })

  it('X9: without a master secret nothing is served, and a wrong one signs nothing', async () => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => {})
    const path = await seedContainer(atSystem)
    for (const MASTER_SECRET of [undefined, '']) {
      const { status } = await askWith({ MASTER_SECRET }, path, await signed(path))
      expect(status).toBe(503)
    }
    log.mockRestore()
    const wrong = await api.get(path, { secret: `${env.MASTER_SECRET}x` })
    expect(wrong).toMatchObject({ status: 403, body: { message: 'Invalid token signature' } })
    const hash = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
    const claims = { body: { alg: 'sha256', hash } }
    expect((await api.put(path, { name: 'x' }, { claims })).status).toBe(403)
  })

  it('X10: only images are taken, and an SVG is served where it can run nothing', async () => {
    const path = await seedContainer(atSystem)
    const html = await api.multipart(
      `${path}/badges`,
      badgeForm(utf8('<script>alert(1)</script>'), 'image/png'),
    )
    expect(html.status).toBe(400)
    expect(html.body.details).toMatchObject([{ field: 'mimetype' }])
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'
    const made = await api.multipart(`${path}/badges`, badgeForm(utf8(svg), 'image/svg+xml'))
    expect(made.status, JSON.stringify(made.body)).toBe(201)
    const headers = await imageAt(made.body.badge.imageUrl)
    expect(headers.get('Content-Type')).toBe('image/svg+xml')
    expect(headers.get('X-Content-Type-Options')).toBe('nosniff')
    expect(headers.get('Content-Security-Policy')).toContain('sandbox')
  })

  it('X42: the earner is hashed as the address was written, without a salt', async () => {
    const seed = await seedBadge(atSystem)
    const made = await award(seed, { email: 'Ada+1@Example.org' })
    const { body } = await ask('GET', publicPath(made.body.instance.assertionUrl))
    const digest = await crypto.subtle.digest('SHA-256', utf8('Ada+1@Example.org'))
    const hex = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0'))
    expect(body.recipient).toEqual({
      identity: `sha256$${hex.join('')}`,
      type: 'email',
      hashed: true,
    })
    expect(await types()).toEqual(['badge.awarded'])
  })
})

describe('what hung or crashed', () => {
  it('X11: a multipart body is signed over its raw bytes', async () => {
    const path = await seedContainer(atSystem)
    const made = await api.multipart(`${path}/badges`, badgeForm(PNG, 'image/png'))
    expect(made.status).toBe(201)
    const forged = await api.multipart(`${path}/badges`, badgeForm(PNG, 'image/png'), {
      claims: { body: { alg: 'sha256', hash: '0'.repeat(64) } },
    })
    expect(forged.status).toBe(403)
  })

  it('X12: a POST without a body needs no `body` claim', async () => {
    const { path } = await seedBadge(atSystem)
    expect((await api.post(`${path}/codes/random`)).status).toBe(201)
  })

  it('X13: doubled and trailing slashes do not matter, in the URL or in the claim', async () => {
    const path = await seedContainer(atSystem)
    const { body } = await api.get(path)
    for (const [at, claim] of [
      [`${path}/`, `${path}/`],
      [path.replace('/systems', '//systems'), path],
      [path, `${path}/`],
      [`${path}/?page=1`, `${path}?page=1`],
    ] as const) {
      expect(await api.get(at, { claims: { path: claim } })).toMatchObject({ status: 200, body })
    }
  })

  it('X14: a malformed token is 403, and an empty body is an empty object', async () => {
    const path = await seedContainer(atSystem)
    for (const token of ['x', 'a.b.c', '..', `${base64url('[]')}.${base64url('7')}.x`]) {
      const headers = { Authorization: `JWT token="${token}"` }
      expect((await ask('GET', path, { headers })).status, token).toBe(403)
    }
    for (const claims of [{ method: 7 }, { method: {} }, { path: [] }, { key: {} }, { exp: 'x' }]) {
      expect((await api.get(path, { claims })).status, JSON.stringify(claims)).toBe(403)
    }
    for (const alg of [7, {}, 'rot13']) {
      const claims = { body: { alg, hash: 'x' } }
      expect((await api.put(path, { name: 'x' }, { claims })).status).toBe(403)
    }
    const type = 'application/json'
    const empty = await send('POST', `${path}/badges`, { type, bytes: utf8('') })
    expect(empty.status).toBe(400)
    expect(empty.body.details).toHaveLength(6)
  })

  it('X15: what never answered answers: used codes and slugs, unknown codes, empty pages', async () => {
    const seed = await seedBadge(atSystem)
    await api.post(`${seed.path}/codes`, { code: 'abc' })
    expect(await api.post(`${seed.path}/codes`, { code: 'ABC', multiuse: 1 })).toMatchObject({
      status: 409,
      body: {
        code: 'ResourceConflict',
        message: 'claimCode with that `code` already exists',
        details: { code: 'ABC', claimed: false, email: null, multiuse: true },
      },
    })
    expect(await award(seed, { claimCode: 'none' })).toMatchObject({
      status: 404,
      body: {
        code: 'ResourceNotFound',
        message: 'Could not find claimCode field: `code`, value: `none`',
      },
    })
    const slug = unique('slug')
    await award(seed, { slug })
    expect(await award(seed, { slug, email: 'bob@example.org' })).toMatchObject({
      status: 409,
      body: { message: 'badgeInstance with that `slug` already exists' },
    })
    const empty = await api.get(`${seed.system}/instances/x@example.org?page=1&count=5`)
    expect(empty.body).toEqual({ instances: [], pageData: { page: 1, count: 5, total: 0 } })
    expect(await types()).toEqual(['badge.awarded'])
  })

  it('X16: an image that is not there is 404', async () => {
    for (const path of ['/public/images/none', '/images/none']) {
      expect(await ask('GET', path)).toMatchObject({
        status: 404,
        body: { code: 'ResourceNotFound' },
      })
    }
  })

  it('X17: the public list of badges survives the deletion of any container', async () => {
    const listed = async () =>
      (await ask('GET', '/public/badges')).body.badgelist.map(
        ({ location }: { location: string }) => location,
      )
    const { container: path, badge: made, system } = await seedBadge(atProgram)
    const issuer = path.split('/').slice(0, 5).join('/')
    for (const at of [path, issuer, system]) {
      expect(await listed()).toContain(`${ORIGIN}/public${at}/badges/${made.slug}`)
      await api.delete(at)
    }
    expect(JSON.stringify(await listed())).not.toContain(made.slug)
  })

  it('X18: a criterion needs no note, an alignment no description, and a badge no type', async () => {
    const path = await seedContainer(atSystem)
    const made = await addBadge(path, {
      criteria: [{ description: 'Do it' }],
      alignments: [{ name: 'One', url: 'https://example.org/1', description: null }],
    })
    expect(made).toMatchObject({
      type: '',
      criteria: [{ description: 'Do it', required: 0, note: '' }],
      alignments: [{ description: null }],
    })
  })

  it('X19: a milestone may lack support badges, and keeps them when a change does not name them', async () => {
    const seed = await seedBadge(atSystem)
    const other = await addBadge(seed.container)
    const list = `${seed.system}/milestones`
    const bare = await api.post(list, { primaryBadgeId: seed.badge.id, numberRequired: 1 })
    expect(bare).toMatchObject({ status: 201, body: { milestone: { supportBadges: [] } } })
    const before = await rows('milestones')
    const bad = await api.post(list, { primaryBadgeId: seed.badge.id, supportBadges: [other.id] })
    expect(bad.status).toBe(400)
    expect(await rows('milestones')).toBe(before)
    const path = `${list}/${bare.body.milestone.id}`
    await api.put(path, { supportBadges: [other.id] })
    const kept = await api.put(path, { numberRequired: 3 })
    expect(kept.body.milestone).toMatchObject({ numberRequired: 3, supportBadges: [other] })
  })

  it('X43: `processed=true` gives the applications that are processed', async () => {
    const seed = await seedBadge(atSystem)
    const [one, two] = [await apply(seed), await apply(seed)]
    await api.put(two.path, { processed: 1_400_094_712 })
    for (const [word, slug] of [
      ['true', two.slug],
      ['false', one.slug],
    ]) {
      const { status, body } = await api.get(`${seed.system}/applications?processed=${word}`)
      expect(status).toBe(200)
      expect(body.applications.map((each: { slug: string }) => each.slug)).toEqual([slug])
    }
  })
})

describe('images', () => {
  it('X20: the address of an uploaded image is absolute and served, in private and in public', async () => {
    const path = await seedContainer(atSystem)
    const made = await api.multipart(`${path}/badges`, badgeForm(PNG, 'image/png'))
    const { imageUrl, slug } = made.body.badge
    expect(imageUrl).toMatch(new RegExp(`^${ORIGIN}/public/images/[0-9a-f]{32}$`))
    for (const at of [imageUrl, imageUrl.replace('/public', '')]) await imageAt(at)
    expect((await api.get(`${path}/badges`)).body.badges[0].imageUrl).toBe(imageUrl)
    expect((await ask('GET', `/public${path}/badges/${slug}`)).body.image).toBe(imageUrl)
  })

  it('X21: a stored image is served with its own type', async () => {
    const path = await seedContainer(atSystem)
    const made = await api.multipart(`${path}/badges`, badgeForm(PNG, 'application/octet-stream'))
    const headers = await imageAt(made.body.badge.imageUrl)
    expect(headers.get('Content-Type')).toBe('image/png')
  })

  it('X31: an `imageUrl` that is put back makes no new image, uploaded or remote', async () => {
    const path = await seedContainer(atSystem)
    for (const image of ['https://example.org/picture.png', PNG_URI]) {
      const made = await addBadge(path, { image })
      const at = `${path}/badges/${made.slug}`
      const before = await rows('images')
      const loaded = (await api.get(at)).body.badge
      const { status, body } = await api.put(at, { ...loaded, archived: true })
      expect(status, JSON.stringify(body)).toBe(200)
      expect(body.badge).toEqual({ ...loaded, archived: true })
      expect(await rows('images')).toBe(before)
    }
  })

  it('X32: a `data:` URI is an upload', async () => {
    const path = await seedContainer(atSystem)
    const { imageUrl } = await addBadge(path, { image: PNG_URI })
    expect((await imageAt(imageUrl)).get('Content-Type')).toBe('image/png')
  })

  it('X33: URLs have the public origin, however the request came', async () => {
    const seed = await seedBadge(atSystem, { image: PNG_URI })
    await award(seed)
    const path = `${seed.path}/instances/ada@example.org`
    const context = createExecutionContext()
    const request = new Request(`http://internal.test:8080${path}`, { headers: await signed(path) })
    const response = await app.fetch(request, env as Bindings, context)
    const { instance } = (await response.json()) as Answer['body']
    await waitOnExecutionContext(context)
    for (const url of [instance.assertionUrl, instance.badge.imageUrl]) {
      expect(url.startsWith(`${ORIGIN}/public/`)).toBe(true)
    }
  })
})

describe('wrong data', () => {
  it('X22: each award of a milestone has a message of its own, with the badge that was awarded', async () => {
    const seed = await seedBadge(atSystem)
    const primaries = [await addBadge(seed.container), await addBadge(seed.container)]
    for (const { id } of primaries) {
      await api.post(`${seed.system}/milestones`, {
        primaryBadgeId: id,
        numberRequired: 1,
        supportBadges: [seed.badge.id],
      })
    }
    await award(seed)
    const subjects = (await news()).map(({ subject }) => subject)
    expect(subjects).toHaveLength(3)
    const { results } = await env.DB.prepare(
      `select body from ${EVENTS} where subject in (${subjects.map(() => '?')}) order by seq`,
    )
      .bind(...subjects)
      .all<{ body: string }>()
    const told = results.map(({ body }) => JSON.parse(body))
    expect(told.map((message) => message.badge)).toEqual([seed.badge, ...primaries])
    expect(new Set(told.map(({ uid }) => uid)).size).toBe(3)
    for (const { uid, badge: awarded } of told) {
      const held = await api.get(
        `${seed.container}/badges/${awarded.slug}/instances/ada@example.org`,
      )
      expect(held.body.instance.slug).toBe(uid)
    }
  })

  it('X23: a review tells of the real evidence, and of nothing to nobody', async () => {
    const seed = await seedBadge(atSystem)
    const evidence = [{ url: 'https://example.org/e', mediaType: 'link', reflection: 'r' }]
    const { path, slug } = await apply(seed, { evidence })
    const { status } = await api.post(`${path}/reviews`, { author: 'rev@example.org' })
    expect(status).toBe(201)
    expect(await news()).toEqual([
      { type: 'application.created', subject: slug, deliveries: 0 },
      { type: 'application.reviewed', subject: slug, deliveries: 0 },
    ])
    const body = await env.DB.prepare(`select body from ${EVENTS} where subject = ? and type = ?`)
      .bind(slug, 'application.reviewed')
      .first<string>('body')
    expect(JSON.parse(body ?? '').application.evidence).toEqual(evidence)
  })

  it('X24: every row of a list shows its own badge', async () => {
    // The ids of awards and applications run apart from those of badges.
    const first = await seedBadge(atSystem, { tags: ['first'] })
    await award(first, { email: 'bob@example.org' })
    await apply(first)
    const made = await addBadge(first.container, {
      tags: ['second'],
      categories: ['Second'],
      criteria: [{ description: 'Second' }],
      alignments: [{ name: 'Second', url: 'https://example.org/2' }],
    })
    const second = { ...first, badge: made, path: `${first.container}/badges/${made.slug}` }
    for (const seed of [second, first]) {
      await award(seed)
      await apply(seed)
    }
    const badgesOf = async (path: string, key: string) =>
      (await api.get(path)).body[key].map((row: { badge: object }) => row.badge)
    const { badge: one } = first
    expect(await badgesOf(`${second.path}/instances`, 'instances')).toEqual([made])
    expect(await badgesOf(`${first.system}/instances/ada@example.org`, 'instances')).toEqual([
      made,
      one,
    ])
    expect(await badgesOf(`${first.system}/applications`, 'applications')).toEqual([one, one, made])
    expect(await badgesOf(`${second.path}/applications`, 'applications')).toEqual([made])
    const told = Array(3).fill(['badge.awarded', 'application.created']).flat()
    expect(await types()).toEqual(told)
  })

  it('X25: a badge has one shape wherever it is shown, whatever was asked before', async () => {
    const seed = await seedBadge(atProgram, { tags: ['a'], criteria: [{ description: 'Do it' }] })
    await award(seed)
    await api.post(`${seed.path}/codes`, { code: 'abc' })
    const { path } = await apply(seed)
    const shown = async () => [
      (await api.get(seed.path)).body.badge,
      (await api.get(`${seed.container}/badges`)).body.badges[0],
      (await api.get(`${seed.path}/codes`)).body.badge,
      (await api.get(`${seed.path}/codes/abc`)).body.badge,
      (await api.get(`${seed.path}/instances/ada@example.org`)).body.instance.badge,
      (await api.get(`${seed.system}/instances/ada@example.org`)).body.instances[0].badge,
      (await api.get(path)).body.application.badge,
    ]
    for (const badges of [await shown(), await shown()]) {
      for (const each of badges) expect(JSON.stringify(each)).toBe(JSON.stringify(seed.badge))
    }
  })

  it("X26: an earner's awards are those of the container that was asked", async () => {
    const program = await seedBadge(atProgram)
    const issuer = program.container.split('/').slice(0, 5).join('/')
    const [ofIssuer, ofSystem] = [await addBadge(issuer), await addBadge(program.system)]
    for (const path of [
      program.path,
      `${issuer}/badges/${ofIssuer.slug}`,
      `${program.system}/badges/${ofSystem.slug}`,
    ]) {
      await api.post(`${path}/instances`, { email: 'ada@example.org' })
    }
    const slugs = async (at: string) =>
      (await api.get(`${at}/instances/ada@example.org`)).body.instances.map(
        (row: { badge: { slug: string } }) => row.badge.slug,
      )
    expect(await slugs(program.container)).toEqual([program.badge.slug])
    expect(await slugs(issuer)).toEqual([program.badge.slug, ofIssuer.slug])
    expect(await slugs(program.system)).toEqual([program.badge.slug, ofIssuer.slug, ofSystem.slug])
  })

  it('X27: a code is used up by an award and by nothing else, and by one of ten at once', async () => {
    const seed = await seedBadge(atSystem)
    await api.post(`${seed.path}/codes`, { code: 'once' })
    await award(seed)
    expect((await award(seed, { claimCode: 'once' })).status).toBe(409)
    const code = async () => (await api.get(`${seed.path}/codes/once`)).body.claimCode
    expect(await code()).toMatchObject({ claimed: false, email: null })
    const all = await Promise.all(
      Array.from({ length: 10 }, (_, i) =>
        award(seed, { email: `e${i}@example.org`, claimCode: 'once' }),
      ),
    )
    const won = all.filter(({ status }) => status === 201)
    expect(won).toHaveLength(1)
    expect(all.filter(({ status }) => status === 400)).toHaveLength(9)
    expect(await code()).toMatchObject({ claimed: true, email: won[0]?.body.instance.email })
    expect(await types()).toEqual(['badge.awarded', 'badge.awarded', 'code.claimed'])
  })

  it('X28: times are read in every form, after 2038 too', async () => {
    const seed = await seedBadge(atSystem)
    const iso = await award(seed, { expires: '2031-05-06T07:08:09.000Z', issuedOn: 1_400_094_712 })
    expect(iso.body.instance).toMatchObject({
      expires: '2031-05-06T07:08:09.000Z',
      issuedOn: '2014-05-14T19:11:52.000Z',
    })
    const far = await award(seed, { email: 'bob@example.org', expires: '4102444800' })
    expect(far.body.instance.expires).toBe('2100-01-01T00:00:00.000Z')
    const { body } = await ask('GET', publicPath(far.body.instance.assertionUrl))
    expect(body.expires).toBe(4_102_444_800)
    const { path } = await apply(seed)
    const put = await api.put(path, { processed: 1_400_094_712 })
    expect(put.body.application.processed).toBe('2014-05-14T19:11:52.000Z')
    expect(await types()).toEqual([
      'badge.awarded',
      'badge.awarded',
      'application.created',
      'application.updated',
    ])
  })

  it.each([false, 0, '0', 'false'])('X29: %j means no for `claimed` and `multiuse`', async (no) => {
    const { path } = await seedBadge(atSystem)
    const made = await api.post(`${path}/codes`, { code: 'abc', claimed: no, multiuse: no })
    expect(made.body.claimCode).toMatchObject({ claimed: false, multiuse: false })
  })

  it('X30: a change of a badge keeps the lists that it does not name', async () => {
    const lists = {
      criteria: [{ description: 'Do it' }],
      alignments: [{ name: 'One', url: 'https://example.org/1' }],
      categories: ['Science'],
      tags: ['fun'],
    }
    const seed = await seedBadge(atSystem, lists)
    const { body } = await api.put(seed.path, { name: 'New' })
    expect(body.badge).toEqual({ ...seed.badge, name: 'New' })
    const cleared = await api.put(seed.path, { tags: [], criteria: [] })
    expect(cleared.body.badge).toEqual({ ...seed.badge, name: 'New', tags: [], criteria: [] })
  })

  it('X34: nothing that hung from what was deleted can be reached any more', async () => {
    const seed = await seedBadge(atSystem)
    await api.post(`${seed.path}/codes`, { code: 'abc' })
    const made = await award(seed)
    const { path, id } = await apply(seed, { evidence: [{ reflection: 'x' }] })
    const reviewed = await api.post(`${path}/reviews`, {
      author: 'rev@example.org',
      reviewItems: [{ criterionId: 1, satisfied: 1 }],
    })
    const other = await apply(seed)
    await api.delete(path)
    const left = await env.DB.prepare(
      `select (select count(*) from evidence where applicationId = ?1)
         + (select count(*) from reviews where applicationId = ?1)
         + (select count(*) from reviewItems where reviewId = ?2) as n`,
    )
      .bind(id, reviewed.body.review.id)
      .first('n')
    expect(left).toBe(0)
    await api.post(`${seed.system}/milestones`, {
      primaryBadgeId: seed.badge.id,
      numberRequired: 1,
    })
    await api.delete(seed.path)
    for (const [at, key] of [
      [`${seed.system}/instances/ada@example.org`, 'instances'],
      [`${seed.system}/applications`, 'applications'],
      [`${seed.system}/milestones`, 'milestones'],
      [`${seed.system}/badges`, 'badges'],
    ] as const) {
      const { body } = await pageOf(at)
      expect(body[key], key).toEqual([])
      expect(body.pageData.total, key).toBe(0)
    }
    expect((await api.get(`${seed.system}/codes/abc`)).status).toBe(404)
    expect((await api.get(other.path)).status).toBe(404)
    expect((await ask('GET', publicPath(made.body.instance.assertionUrl))).status).toBe(410)
    expect(await types()).toEqual([
      'badge.awarded',
      'application.created',
      'application.reviewed',
      'application.created',
    ])
  })

  it('X35: revocations at once tell each of its own award', async () => {
    const seeds = [await seedBadge(atSystem), await seedBadge(atIssuer), await seedBadge(atProgram)]
    const made = await Promise.all(seeds.map((seed) => award(seed)))
    seen = (await outbox()).length
    await Promise.all(seeds.map((seed) => api.delete(`${seed.path}/instances/ada@example.org`)))
    const slugs = made.map(({ body }) => body.instance.slug)
    const { results } = await env.DB.prepare(
      `select subject, body from events where type = 'badge.revoked' and subject in (?, ?, ?)`,
    )
      .bind(...slugs)
      .all<{ subject: string; body: string }>()
    expect(results).toHaveLength(3)
    for (const { subject, body } of results) {
      const message = JSON.parse(body)
      expect(message.uid).toBe(subject)
      expect(message.badge).toEqual(seeds[slugs.indexOf(subject)]?.badge)
    }
  })

  it('X36: what a write answers is what stands afterwards', async () => {
    const path = await seedContainer(atSystem)
    const made = await addBadge(path, { tags: ['a', 'b'], categories: ['One'] })
    const at = `${path}/badges/${made.slug}`
    expect((await api.get(at)).body.badge).toEqual(made)
    const { body } = await api.put(at, {
      tags: ['c'],
      categories: ['Two'],
      alignments: [{ name: 'N', url: 'https://example.org/n' }],
    })
    expect(body.badge).toMatchObject({ tags: [{ value: 'c' }], categories: ['Two'] })
    expect((await api.get(at)).body.badge).toEqual(body.badge)
  })

  it('X37: a 409 shows what its own request submitted', async () => {
    const path = await seedContainer(atSystem)
    const made = container(unique('issuer'))
    await api.post(`${path}/issuers`, made)
    const first = { ...made, description: 'secret', email: 'ada@example.org' }
    const one = await api.post(`${path}/issuers`, first)
    const two = await api.post(`${path}/issuers`, made)
    expect([one.status, two.status]).toEqual([409, 409])
    expect(one.body.details).toEqual(first)
    expect(two.body.details).toEqual(made)
  })

  it('X38: a claim without an address keeps the one that was reserved, and a bad one is refused', async () => {
    const { path } = await seedBadge(atSystem)
    const made = await api.post(`${path}/codes`, { code: 'abc', email: 'ada@example.org' })
    const bad = await api.post(`${path}/codes/abc/claim`, { email: 'nope' })
    expect(bad.status).toBe(400)
    expect(bad.body.details).toMatchObject([{ field: 'email', message: 'Invalid email' }])
    const { body } = await api.post(`${path}/codes/abc/claim`, {})
    expect(body.claimCode).toMatchObject({ claimed: true, email: 'ada@example.org' })
    const subject = `code-${made.body.claimCode.id}-1`
    expect(await news()).toEqual([{ type: 'code.claimed', subject, deliveries: 0 }])
  })

  it('X39: a message that fails is sent again until it is taken', async () => {
    const seed = await seedBadge(atSystem)
    const hook = await seedWebhook(seed.system)
    await hook.answer(500)
    const made = await award(seed)
    const { slug } = made.body.instance
    const delivery = () =>
      env.DB.prepare('select state, attempts, leaseUntil from deliveries where subject = ?')
        .bind(slug)
        .first<{ state: string; attempts: number; leaseUntil: number }>()
    const failed = { state: 'pending', attempts: 1, leaseUntil: 0 }
    await vi.waitFor(async () => expect(await delivery()).toEqual(failed), {
      timeout: 10_000,
      interval: 50,
    })
    await hook.answer(200)
    await env.DB.prepare('update deliveries set nextAt = 0 where subject = ?').bind(slug).run()
    await worker.scheduled(createScheduledController(), env as Bindings)
    await vi.waitFor(async () => expect(await delivery()).toMatchObject({ state: 'delivered' }), {
      timeout: 10_000,
      interval: 50,
    })
    const bodies = (await hook.received()).map(({ body }) => body)
    expect(bodies.length).toBeGreaterThan(1)
    expect(new Set(bodies).size).toBe(1)
    expect(await news()).toEqual([{ type: 'badge.awarded', subject: slug, deliveries: 1 }])
  })

  it('X40: pages are in the order of ids, and no row is in two of them', async () => {
    const path = await seedContainer(atSystem)
    const made: number[] = []
    for (let i = 0; i < 5; i++) made.push((await addBadge(path)).id)
    const found: number[] = []
    for (const page of [1, 2, 3]) {
      const { body } = await api.get(`${path}/badges?page=${page}&count=2`)
      found.push(...body.badges.map(({ id }: { id: number }) => id))
    }
    expect(found).toEqual(made)
  })

  it('X41: evidence and items that are not valid are refused', async () => {
    const seed = await seedBadge(atSystem)
    const before = await rows('applications')
    const application = await api.post(`${seed.path}/applications`, {
      learner: 'ada@example.org',
      evidence: [{ mediaType: 'movie' }],
    })
    expect(application.status).toBe(400)
    expect(application.body.details).toMatchObject([{ field: 'evidence[0].mediaType' }])
    expect(await rows('applications')).toBe(before)
    const { path, slug } = await apply(seed)
    const review = await api.post(`${path}/reviews`, {
      author: 'rev@example.org',
      reviewItems: [{ criterionId: 'x', satisfied: 'maybe' }],
    })
    expect(review.status).toBe(400)
    expect(review.body.details).toMatchObject([
      { field: 'reviewItems[0].criterionId' },
      { field: 'reviewItems[0].satisfied' },
    ])
    expect(await news()).toEqual([{ type: 'application.created', subject: slug, deliveries: 0 }])
  })
})
