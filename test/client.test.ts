import { env, exports } from 'cloudflare:workers'
import {
  BadgeKit,
  BadgeKitError,
  type Instance,
  type Message,
  verifyWebhook,
  WebhookError,
} from 'badgekit-api/client'
import { describe, expect, expectTypeOf, it, vi } from 'vitest'
import openapi from '../docs/openapi.json'
import { signedHeaders } from '../src/signature'
import { ORIGIN } from './helpers/api'
import { badge as badgeOf, levels, PNG, seedContainer, seedWebhook, unique } from './helpers/seed'

/** The client inside of a Worker, against the whole API. */

const toWorker = ((url: URL, init: RequestInit) =>
  exports.default.fetch(new Request(url, init))) as typeof fetch
const settings = { url: ORIGIN, secret: env.MASTER_SECRET }
const kit = new BadgeKit({ ...settings, fetch: toWorker })

const badge = (slug: string) => ({ ...badgeOf(slug), unique: true }) as const

type Fate = 'lost' | 'away' | Response

/** A network that does to each request in turn what it is told, and then lets all through. */
function over(...fates: Fate[]) {
  const sent: { key: string | null; token: string | null }[] = []
  const network = (async (url: URL, init: RequestInit) => {
    const headers = new Headers(init.headers)
    sent.push({ key: headers.get('Idempotency-Key'), token: headers.get('Authorization') })
    const fate = fates.shift()
    if (fate instanceof Response) return fate
    if (fate === 'away') throw new TypeError('fetch failed')
    const answer = await toWorker(url, init)
    if (fate !== 'lost') return answer
    await answer.text()
    throw new TypeError('terminated')
  }) as typeof fetch
  return { sent, kit: new BadgeKit({ ...settings, fetch: network }) }
}

const busy = (status = 503, seconds = '0') =>
  Response.json(
    { code: status === 429 ? 'TooManyRequests' : 'ServiceUnavailable', message: 'busy' },
    { status, headers: { 'Retry-After': seconds } },
  )

/** A system with a badge in it, and their slugs. */
async function seeded() {
  const system = (await seedContainer(levels[0])).split('/')[2] ?? ''
  const slug = unique('badge')
  await kit.systems(system).badges.post(badge(slug))
  return { system, slug, container: kit.systems(system), badge: kit.systems(system).badges(slug) }
}

async function caught(work: Promise<unknown>): Promise<BadgeKitError> {
  const error = await work.then(
    () => undefined,
    (thrown) => thrown,
  )
  expect(error).toBeInstanceOf(BadgeKitError)
  return error
}

describe('a call', () => {
  it('reads as its path, and gives the answer of its route', async () => {
    const { container, badge: zine, slug } = await seeded()
    const { status, instance } = await zine.instances.post({ email: 'ada@example.org' })
    expect({ status, email: instance.email }).toEqual({
      status: 'created',
      email: 'ada@example.org',
    })
    expect((await zine.instances('ada@example.org').get()).instance).toMatchObject({
      slug: instance.slug,
    })
    expect((await zine.put({ name: 'New' })).badge).toMatchObject({ slug, name: 'New' })
    const revoked = await zine.instances('ada@example.org').delete({ reason: 'By mistake' })
    expect(revoked.status).toBe('deleted')
    const { claimCode } = await zine.codes.random.post()
    expect((await container.codes(claimCode.code).get()).badge.slug).toBe(slug)
    expect((await container.signingKeys.get()).signingKeys).toEqual([])
  })

  it('is typed down to its answer', () => {
    type City = ReturnType<typeof kit.systems>
    const instances = {} as ReturnType<City['badges']>['instances']
    expectTypeOf<Awaited<ReturnType<typeof instances.post>>['instance']>().toEqualTypeOf<Instance>()
    expectTypeOf(instances.post)
      .parameter(0)
      .toExtend<FormData | URLSearchParams | { email: string }>()
    // @ts-expect-error: an award needs an email
    expectTypeOf(instances.post).toBeCallableWith({})
    // @ts-expect-error: codes have no `put`
    expectTypeOf<ReturnType<City['badges']>['codes']>().toHaveProperty('put')
    // @ts-expect-error: a webhook is named by a number
    expectTypeOf<City['webhooks']>().toBeCallableWith('first')
    type Issuer = ReturnType<City['issuers']>
    type Program = ReturnType<Issuer['programs']>
    expectTypeOf<Program['badges']>().toEqualTypeOf<City['badges']>()
  })

  it('names in its path what must be escaped there', async () => {
    const { container } = await seeded()
    for (const slug of ['a/b?c#d', '100%', "it's (new)!*", 'ü ☃']) {
      await container.badges.post({ ...badge('x'), slug })
      expect((await container.badges(slug).get()).badge.slug).toBe(slug)
    }
    for (const name of ['', '.', '..']) expect(() => container.badges(name)).toThrow(TypeError)
  })

  it('takes files in forms', async () => {
    const { container } = await seeded()
    const form = new FormData()
    const { image: _, ...fields } = badge(unique('badge'))
    for (const [name, value] of Object.entries(fields)) form.set(name, String(value))
    form.set('image', new File([PNG], 'badge.png', { type: 'image/png' }))
    const { badge: made } = await container.badges.post(form)
    expect(made.imageUrl).toContain('/public/images/')
  })

  it('needs no secret for what is public', async () => {
    const open = new BadgeKit({ url: ORIGIN, fetch: toWorker })
    expect((await open.healthcheck.get()).app).toBe('BadgeKit API')
    expect((await caught(open.systems.get())).code).toBe('NotAuthorized')
  })

  it('gives status and headers by `request`', async () => {
    const { system, slug } = await seeded()
    const path = `/systems/${system}/badges/${slug}`
    const { headers } = await kit.request('GET', path)
    const ifMatch = headers.get('ETag') ?? ''
    await kit.request('PUT', path, { body: { name: 'First' }, ifMatch })
    const error = await caught(
      kit.systems(system).badges(slug).put({ name: 'Second' }, { ifMatch }),
    )
    expect(error.code).toBe('PreconditionFailed')
  })

  it('exists for every route that answers in JSON', () => {
    const apart = ['/', '/openapi.json', '/.well-known/jwks.json', '/issuers/{issuerUid}/did.json']
    for (const [path, item] of Object.entries(openapi.paths)) {
      for (const [method, { responses }] of Object.entries(item)) {
        const answer = Object.entries(responses).find(([status]) => status.startsWith('2'))?.[1]
        const isJson = 'application/json' in ((answer as { content?: object }).content ?? {})
        if (!isJson || apart.includes(path)) continue
        const end = path
          .split('/')
          .slice(1)
          // biome-ignore lint/suspicious/noExplicitAny: this goes where the types do not look
          .reduce<any>((at, word) => {
            if (word.startsWith('{')) return at('1')
            return at[word.replace(/-(\w)/g, (_all, letter) => letter.toUpperCase())]
          }, kit)
        expect(end[method], `${method} ${path}`).toBeTypeOf('function')
      }
    }
  })
})

describe('a list', () => {
  it('is gone through page by page, each fetched when it is come to', async () => {
    const { badge: zine } = await seeded()
    const emails = Array.from({ length: 7 }, (_, n) => `earner-${n}@example.org`)
    await zine.instances.bulk.post({ emails })
    const found: string[] = []
    for await (const { email } of zine.instances.list({ limit: 3 })) found.push(email)
    expect(found.sort()).toEqual(emails)
    const lengths: number[] = []
    for await (const page of zine.instances.list({ limit: 3 }).pages()) {
      expectTypeOf(page.instances).toEqualTypeOf<Instance[]>()
      lengths.push(page.instances.length)
    }
    expect(lengths).toEqual([3, 3, 1])
  })

  it('fetches no page that nobody comes to', async () => {
    const { system, slug, badge: zine } = await seeded()
    await zine.instances.bulk.post({ emails: ['a@example.org', 'b@example.org'] })
    const { kit: watched, sent } = over()
    for await (const _ of watched.systems(system).badges(slug).instances.list({ limit: 1 })) break
    expect(sent).toHaveLength(1)
  })

  it('may be a feed, and may have no pages', async () => {
    const { container, badge: zine } = await seeded()
    const emails = Array.from({ length: 120 }, (_, n) => `earner-${n}@example.org`)
    await zine.instances.bulk.post({ emails })
    const sequences: number[] = []
    for await (const event of container.events.list()) sequences.push(event.sequence)
    expect(sequences).toEqual(Array.from(emails, (_, n) => n + 1))
    await container.keys.post({ role: 'read' })
    const roles: string[] = []
    for await (const { role } of container.keys.list()) roles.push(role)
    expect(roles).toEqual(['read'])
    const codes: string[] = []
    await zine.codes.post({ code: 'one' })
    for await (const { code } of zine.codes.list()) codes.push(code)
    expect(codes).toEqual(['one'])
  })
})

describe('an error', () => {
  it('has the code of the answer, and with it its details', async () => {
    const { container } = await seeded()
    const error = await caught(container.badges.post({ ...badge('x'), name: '' }))
    expect(error).toMatchObject({ status: 400, message: 'Could not validate required fields' })
    expect(error.requestId).toMatch(/^[0-9a-f]+$/)
    if (!BadgeKitError.is(error, 'ValidationError')) throw error
    expectTypeOf(error.code).toEqualTypeOf<'ValidationError'>()
    expect(error.details.map(({ field }) => field)).toEqual(['name'])
    expect(BadgeKitError.is(error, 'ResourceConflict')).toBe(false)
    expect(BadgeKitError.is(new Error('x'), 'ValidationError')).toBe(false)
  })

  it('tells of a conflict what is there', async () => {
    const { badge: zine } = await seeded()
    const { instance } = await zine.instances.post({ email: 'ada@example.org' })
    const error = await caught(zine.instances.post({ email: 'ada@example.org' }))
    if (!BadgeKitError.is(error, 'ResourceConflict')) throw error
    expect(error.details?.assertionUrl).toBe(instance.assertionUrl)
  })

  it('of an answer that is not the service’s is told from its own', async () => {
    const page = () => new Response('<h1>No</h1>', { headers: { 'Content-Type': 'text/html' } })
    const { kit: proxied } = over(new Response(page().body, { status: 500 }))
    expect(await caught(proxied.systems.get())).toMatchObject({
      status: 500,
      code: 'UnreadableAnswer',
    })
  })
})

describe('a call that is not answered', () => {
  it.each<[string, Fate]>([
    ['whose answer is lost', 'lost'],
    ['that does not arrive', 'away'],
    ['that comes to a busy service', busy()],
    ['that is one too many', busy(429)],
    ['whose proxy gives up', new Response('', { status: 502 })],
  ])('is made again, and does nothing twice: one %s', async (_which, fate) => {
    const { system, slug, badge: zine } = await seeded()
    const { kit: shaky, sent } = over(fate)
    const { instance } = await shaky
      .systems(system)
      .badges(slug)
      .instances.post({ email: 'ada@example.org' })
    expect(sent).toHaveLength(2)
    expect(sent[0]?.key).toMatch(/^[0-9a-f-]{36}$/)
    expect(sent[1]?.key).toBe(sent[0]?.key)
    expect((await zine.instances.get()).instances).toMatchObject([{ slug: instance.slug }])
  })

  it('asks once more about a conflict that may be its own', async () => {
    const { system, slug } = await seeded()
    const conflict = Response.json({ code: 'ResourceConflict', message: 'now' }, { status: 409 })
    const { kit: shaky, sent } = over('lost', conflict)
    await shaky.systems(system).badges(slug).instances.post({ email: 'ada@example.org' })
    expect(sent).toHaveLength(3)
  })

  it('is repeated by its caller with a key of their own', async () => {
    const { system, slug } = await seeded()
    const { kit: watched, sent } = over()
    const once = () =>
      watched
        .systems(system)
        .badges(slug)
        .instances.post({ email: 'ada@example.org' }, { idempotencyKey: 'mine' })
    expect(await once()).toEqual(await once())
    expect(sent.map(({ key }) => key)).toEqual(['mine', 'mine'])
  })

  it('is given up after so many tries', async () => {
    const fates = Array.from({ length: 5 }, () => busy())
    const { kit: shaky, sent } = over(...fates)
    expect(await caught(shaky.systems.get())).toMatchObject({ code: 'ServiceUnavailable' })
    expect(sent).toHaveLength(5)
  })

  it('is given up at once if it would wait too long, or is no use again', async () => {
    const late = over(busy(429, '3000'))
    expect(await caught(late.kit.systems.get())).toMatchObject({ retryAfter: 3000 })
    expect(late.sent).toHaveLength(1)
    const wrong = over()
    const error = await caught(wrong.kit.systems('nobody').get())
    expect(error.code).toBe('ResourceNotFound')
    expect(wrong.sent).toHaveLength(1)
  })

  it('ends when its signal or its time does', async () => {
    const never = ((_url: URL, { signal }: RequestInit) =>
      new Promise((_done, fail) => {
        signal?.addEventListener('abort', () => fail(signal.reason))
      })) as typeof fetch
    const slow = new BadgeKit({ ...settings, fetch: never, timeout: 20, retries: 0 })
    expect(await caught(slow.systems.get())).toMatchObject({ code: 'TimeoutError', status: 0 })
    const stop = new AbortController()
    const patient = new BadgeKit({ ...settings, fetch: never, timeout: 3_600_000 })
    const asked = patient.systems.get({}, { signal: stop.signal })
    stop.abort(new Error('enough'))
    await expect(asked).rejects.toThrow('enough')
  })
})

describe('a message', () => {
  const body = JSON.stringify({ action: 'award', comment: 'Grüße, "Ada" \\ 🎓' })
  const secret = `whsec_${btoa('the secret of a receiver, 32 long')}`
  const now = Math.floor(Date.now() / 1000)
  const sent = (text = secret, time = now) =>
    signedHeaders([{ text, primary: true }], 'evt_1', time, body)

  it.each([secret, 'shhh', 'whsec_', 'whsec_!'])(
    'is verified by both kinds of signature: %s',
    async (text) => {
      const headers = await sent(text)
      for (const scheme of ['webhook-signature', 'authorization'] as const) {
        expect(await verifyWebhook({ headers, body }, text, { scheme })).toEqual(JSON.parse(body))
        const several = ['other', text]
        await verifyWebhook({ headers: new Headers(headers), body }, several, { scheme })
        const lower = Object.fromEntries(
          Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
        )
        const bytes = new TextEncoder().encode(body)
        await verifyWebhook({ headers: lower, body: bytes }, text, { scheme })
      }
    },
  )

  it.each(['webhook-signature', 'authorization'] as const)(
    'is refused by %s if it was not sent so',
    async (scheme) => {
      const headers = await sent()
      const refused = async (given: object, text: string = secret, message = body) =>
        expect(
          verifyWebhook({ headers: { ...headers, ...given }, body: message }, text, { scheme }),
        ).rejects.toThrow(WebhookError)
      await refused({}, 'other')
      await refused({}, secret, `${body} `)
      await refused({ [scheme === 'authorization' ? 'Authorization' : scheme]: '' })
      await expect(verifyWebhook({ headers, body }, '', { scheme })).rejects.toThrow(TypeError)
      await expect(verifyWebhook({ headers, body }, [], { scheme })).rejects.toThrow(TypeError)
      if (scheme === 'authorization') return
      await refused({ 'webhook-id': 'evt_2' })
      await refused({ 'webhook-timestamp': '' })
      await refused(await sent(secret, now - 400))
      await refused(await sent(secret, now + 400))
      // What was signed for old receivers can be sent again at any time, so it stands for nothing else.
      await refused({ 'webhook-signature': '', 'webhook-timestamp': String(now) })
    },
  )

  it('that the service really sends is one', async () => {
    const { system, badge: zine } = await seeded()
    const hook = await seedWebhook(`/systems/${system}`)
    await zine.instances.post({ email: 'ada@example.org' })
    const received = await vi.waitUntil(async () => (await hook.received())[0], 20_000)
    const message = await verifyWebhook<Message>(received, hook.secret)
    expect(message.action === 'award' && message.email).toBe('ada@example.org')
    await verifyWebhook(received, hook.secret, { scheme: 'authorization' })
  })
})
