import { beforeEach, describe, expect, it } from 'vitest'
import openapi from '../docs/openapi.json'
import { call, changesNothing } from './helpers/calls'
import { calm } from './helpers/deliveries'
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
} from './helpers/seed'

/** `ETag`, `If-None-Match` and `If-Match`: who writes what he has read overwrites nothing that he has not. */

beforeEach(() => calm())

const ETAG = /^"(\d+)\.[0-9a-f]{16}"$/
const versionOf = (tag: string | null) => Number(ETAG.exec(tag ?? '')?.[1])

type Thing = {
  path: string
  /** What a PUT may say; none where there is no PUT. */
  change?: (n: number) => object
  /** Changes something that is shown with it, but is not its own. */
  nested?: () => Promise<unknown>
}

const someone = () => `${unique('e')}@example.org`
const named = (n: number) => ({ name: `Name ${n}` })

async function made(path: string, body: object, name: string) {
  const answer = await call('POST', path, body)
  expect(answer.status, answer.text).toBe(201)
  return answer.body[name]
}

/** A badge at the lowest level, and how to change what it is shown with. */
async function someBadge() {
  const seed = await seedBadge(levels[2])
  const nested = async () =>
    expect((await call('PUT', seed.system, { description: unique('d') })).status).toBe(200)
  return { ...seed, nested }
}

const THINGS: Record<string, () => Promise<Thing>> = {
  'a system': async () => {
    const path = await seedContainer(levels[0])
    const nested = () => made(`${path}/issuers`, container(unique('i')), 'issuer')
    return { path, change: named, nested }
  },
  'an issuer': async () => {
    const path = await seedContainer(levels[1])
    const nested = () => made(`${path}/programs`, container(unique('p')), 'program')
    return { path, change: named, nested }
  },
  'a program': async () => ({ path: await seedContainer(levels[2]), change: named }),
  'a badge': async () => {
    const { path, nested } = await someBadge()
    return { path, change: named, nested }
  },
  'a claim code': async () => {
    const { path, nested } = await someBadge()
    const { code } = await made(`${path}/codes`, { code: unique('code') }, 'claimCode')
    return { path: `${path}/codes/${code}`, nested }
  },
  'an award': async () => {
    const { path, nested } = await someBadge()
    const { email } = await made(`${path}/instances`, { email: someone() }, 'instance')
    return { path: `${path}/instances/${email}`, nested }
  },
  'an application': async () => {
    const { path, nested } = await someBadge()
    const { slug } = await made(`${path}/applications`, { learner: someone() }, 'application')
    const change = (n: number) => ({ assignedTo: `${n}@example.org` })
    return { path: `${path}/applications/${slug}`, change, nested }
  },
  'a review': async () => {
    const { path } = await someBadge()
    const { slug } = await made(`${path}/applications`, { learner: someone() }, 'application')
    const list = `${path}/applications/${slug}/reviews`
    const review = await made(list, { author: someone() }, 'review')
    return { path: `${list}/${review.slug}`, change: (n) => ({ comment: `Comment ${n}` }) }
  },
  'a milestone': async () => {
    const seed = await seedBadge(levels[0])
    const support = await made(`${seed.system}/badges`, badge(unique('b')), 'badge')
    const fields = { primaryBadgeId: seed.badge.id, numberRequired: 1, supportBadges: [support.id] }
    const { id } = await made(`${seed.system}/milestones`, fields, 'milestone')
    return {
      path: `${seed.system}/milestones/${id}`,
      change: (n) => ({ numberRequired: n + 1 }),
      nested: () => call('PUT', seed.path, { name: unique('name') }),
    }
  },
  'a webhook': async () => ({
    path: (await seedWebhook(await seedContainer(levels[0]))).path,
    change: (n) => ({ url: `https://${n}.example.org/` }),
  }),
  'a key': async () => {
    const path = await seedContainer(levels[0])
    const { key } = await made(`${path}/keys`, {}, 'key')
    return { path: `${path}/keys/${key}`, change: (n) => ({ description: `Key ${n}` }) }
  },
}

const get = (path: string, headers: Record<string, string> = {}) =>
  call('GET', path, undefined, { headers })
const tagOf = async (path: string) => (await get(path)).headers.get('ETag') ?? ''
const put = (path: string, body: object, tag?: string) =>
  call('PUT', path, body, tag === undefined ? {} : { headers: { 'If-Match': tag } })
const remove = (path: string, tag?: string) =>
  call('DELETE', path, undefined, tag === undefined ? {} : { headers: { 'If-Match': tag } })

const FAILED = {
  code: 'PreconditionFailed',
  message: 'The resource has changed: read it again',
}
/** Refused for its precondition, and nothing is changed. */
async function fails(work: () => ReturnType<typeof call>) {
  const { status, body, headers } = await changesNothing(work)
  expect({ status, body }).toEqual({ status: 412, body: FAILED })
  expect(headers.get('Cache-Control')).toBe('private, no-store')
}

const things = Object.entries(THINGS)
const changeable = things.filter(([name]) => !['a claim code', 'an award'].includes(name))

describe.each(things)('%s', (_name, make) => {
  it('is read with an ETag, the same as long as nothing changes', async () => {
    const { path } = await make()
    const tag = await tagOf(path)
    expect(tag).toMatch(ETAG)
    expect(await tagOf(path)).toBe(tag)
  })

  it('is 304 without a body to whoever has it', async () => {
    const { path } = await make()
    const tag = await tagOf(path)
    for (const known of [
      tag,
      `W/${tag}`,
      `"x", ${tag}`,
      `${tag},"y"`,
      `"a" , W/${tag} ,"b"`,
      '*',
    ]) {
      const { status, text, headers } = await get(path, { 'If-None-Match': known })
      expect({ known, status, text }).toEqual({ known, status: 304, text: '' })
      expect(headers.get('ETag')).toBe(tag)
      expect(headers.get('Content-Type')).toBeNull()
      expect(headers.get('X-Request-Id')).toMatch(/^[0-9a-f]{24}$/)
    }
  })

  it('is shown to whoever has something else', async () => {
    const { path } = await make()
    const tag = await tagOf(path)
    const version = versionOf(tag)
    const others = [`"${version}"`, `"${version}.0000000000000000"`, tag.slice(1, -1), '""', '"*"']
    for (const known of others) {
      const { status, text } = await get(path, { 'If-None-Match': known })
      expect({ known, status }).toEqual({ known, status: 200 })
      expect(text).not.toBe('')
    }
  })

  it('is not deleted when it is not as was read, and is when it is', async () => {
    const { path } = await make()
    const tag = await tagOf(path)
    const version = versionOf(tag)
    const digest = tag.slice(tag.indexOf('.'))
    for (const wrong of [
      `"${version + 1}${digest}`,
      `"${version - 1}${digest}`,
      `"${version + 1}"`,
      `"1${version}"`,
      tag.slice(1, -1),
      'nonsense',
      '""',
      '',
      '"*"',
      `"${version + 1}", "${version + 2}"`,
    ]) {
      await fails(() => remove(path, wrong))
    }
    expect((await remove(path, `"x", ${tag}`)).status).toBe(200)
    expect((await get(path)).status).toBe(404)
    for (const again of [tag, '*', undefined]) {
      expect((await changesNothing(() => remove(path, again))).status).toBe(404)
    }
  })

  it('is deleted by * and without a precondition', async () => {
    expect((await remove((await make()).path, '*')).status).toBe(200)
    expect((await remove((await make()).path)).status).toBe(200)
  })

  it('has another ETag when something shown with it changes, but the same version', async () => {
    const { path, nested } = await make()
    if (!nested) return
    const before = await tagOf(path)
    await nested()
    const after = await tagOf(path)
    expect(after).not.toBe(before)
    expect(versionOf(after)).toBe(versionOf(before))
    expect((await get(path, { 'If-None-Match': before })).status).toBe(200)
    expect((await get(path, { 'If-None-Match': after })).status).toBe(304)
    // Its own state is still the one that was read.
    expect((await remove(path, before)).status).toBe(200)
  })
})

describe.each(changeable)('%s', (_name, make) => {
  it('is changed only as it was read', async () => {
    const { path, change } = await make()
    if (!change) throw new Error('nothing to change')
    const first = await tagOf(path)
    expect((await put(path, change(1), first)).status).toBe(200)
    const second = await tagOf(path)
    expect(versionOf(second)).toBe(versionOf(first) + 1)
    await fails(() => put(path, change(2), first))
    await fails(() => put(path, change(2), `"99.x", ${first}`))
    await fails(() => remove(path, first))
    expect((await put(path, change(3), `${first}, W/${second}`)).status).toBe(200)
    const third = await tagOf(path)
    expect(versionOf(third)).toBe(versionOf(second) + 1)
    // Without the digest, which the write does not compare.
    expect((await put(path, change(4), `"${versionOf(third)}"`)).status).toBe(200)
  })

  it('is changed by * and, as the last writer wants, without a precondition', async () => {
    const { path, change } = await make()
    if (!change) throw new Error('nothing to change')
    const before = versionOf(await tagOf(path))
    expect((await put(path, change(1))).status).toBe(200)
    expect((await put(path, change(2), '*')).status).toBe(200)
    expect((await put(path, change(3), ' * ')).status).toBe(200)
    expect(versionOf(await tagOf(path))).toBe(before + 3)
  })

  it('is changed by exactly one of fifty who have read the same', async () => {
    const { path, change } = await make()
    if (!change) throw new Error('nothing to change')
    const tag = await tagOf(path)
    const before = { audit: await rows('audit'), events: (await outbox()).length }
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) => put(path, change(i + 1), tag)),
    )
    const good = answers.filter(({ status }) => status === 200)
    expect(good).toHaveLength(1)
    for (const { status, body } of answers.filter((one) => !good.includes(one))) {
      expect({ status, body }).toEqual({ status: 412, body: FAILED })
    }
    expect(versionOf(await tagOf(path))).toBe(versionOf(tag) + 1)
    expect(await rows('audit')).toBe(before.audit + 1)
    expect((await outbox()).length - before.events).toBeLessThanOrEqual(1)
    // What the one wrote is what stands.
    const [winner] = good
    const name = Object.keys(winner?.body).find((member) => member !== 'status') ?? ''
    const [field] = Object.keys(change(1))
    const shown = (await get(path)).body[name]
    expect(shown[field ?? '']).toEqual(winner?.body[name][field ?? ''])
  })

  it('is left alone by wrong fields and wrong paths before its state is looked at', async () => {
    const { path } = await make()
    const answer = await changesNothing(() => put(`${path}-none`, named(1), '"99"'))
    expect(answer.status).toBe(404)
  })
})

describe('a precondition', () => {
  it('decides between a PUT and a DELETE at once', async () => {
    const { path } = await seedBadge(levels[0])
    const tag = await tagOf(path)
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => (i % 2 ? put(path, named(i), tag) : remove(path, tag))),
    )
    const statuses = answers.map(({ status }) => status)
    expect(statuses.filter((status) => status === 200)).toHaveLength(1)
    for (const status of statuses) expect([200, 404, 412]).toContain(status)
  })

  it.each([
    ['webhook', { url: 'https://example.org/hook' }],
    ['key', { role: 'read' }],
  ])('holds where a %s gets another secret', async (name, body) => {
    const system = await seedContainer(levels[0])
    const { id, key } = await made(`${system}/${name}s`, body, name)
    const path = `${system}/${name}s/${id ?? key}`
    const rotate = (tag: string) =>
      call('POST', `${path}/secret/rotate`, {}, { headers: { 'If-Match': tag } })
    const first = await tagOf(path)
    expect((await rotate(first)).status).toBe(200)
    await fails(() => rotate(first))
    expect((await rotate(await tagOf(path))).status).toBe(200)
    const told = `/systems/{system}/${name}s/{${name}}/secret/rotate` as keyof typeof openapi.paths
    expect(openapi.paths[told]).toHaveProperty('post.responses.412')
  })

  it('is no matter of lists, which have no ETag', async () => {
    const system = await seedContainer(levels[0])
    const { status, headers } = await get(`${system}/badges`, { 'If-None-Match': '*' })
    expect({ status, tag: headers.get('ETag') }).toEqual({ status: 200, tag: null })
  })

  it('is of the resource’s own version, not of another’s', async () => {
    const one = await seedContainer(levels[0])
    const other = await seedContainer(levels[0])
    await put(one, named(1))
    await put(one, named(2))
    await fails(() => put(other, named(3), `"${versionOf('"3.0000000000000000"')}"`))
    expect((await put(one, named(3), '"3"')).status).toBe(200)
  })

  it('is not met by an award that was revoked and made again', async () => {
    const { path } = await seedBadge(levels[0])
    const email = someone()
    const award = `${path}/instances/${email}`
    await made(`${path}/instances`, { email }, 'instance')
    const first = await get(award)
    await remove(award)
    await made(`${path}/instances`, { email }, 'instance')
    const second = await get(award)
    expect(second.headers.get('ETag')).not.toBe(first.headers.get('ETag'))
  })
})
