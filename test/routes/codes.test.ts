import { env } from 'cloudflare:workers'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { idFrom } from '../../src/crypto'
import { type Answer, api, ORIGIN, send } from '../helpers/api'
import { badge, levels, outbox, rows, seedBadge, uidOf, unique } from '../helpers/seed'

type Seed = Awaited<ReturnType<typeof seedBadge>>

const [atSystem, , atProgram] = levels
const RANDOM = /^[0-9a-f]{10}$/
const EMAIL = 'ada@example.org'
const UNEXPECTED = 'Unexpected value or invalid argument'

let seen = 0
beforeEach(async () => {
  seen = (await outbox()).length
})
afterEach(() => {
  vi.restoreAllMocks()
})
/** What has come into the outbox since the test began. */
const news = async () => (await outbox()).slice(seen)
const awarded = (answer: Answer) => ({
  type: 'badge.awarded',
  subject: answer.body.instance.slug,
  deliveries: 0,
})

/** What is told of a use of the code that `made` answered: the first unless another is named. */
const claimed = ({ body }: Answer, use = 1) => ({
  type: 'code.claimed',
  subject: `code-${body.claimCode.id}-${use}`,
  deliveries: 0,
})

const codes = (seed: Seed) => `${seed.path}/codes`
const codeAt = (seed: Seed, code: string) => `${codes(seed)}/${encodeURIComponent(code)}`
const create = (seed: Seed, code: string, more: object = {}) =>
  api.post(codes(seed), { code, ...more })
const award = (seed: Seed, claimCode: unknown, email = EMAIL, more: object = {}) =>
  api.post(`${seed.path}/instances`, { email, claimCode, ...more })
const claim = (seed: Seed, code: string, body?: object) =>
  api.post(`${codeAt(seed, code)}/claim`, body)
const stored = async (seed: Seed, code: string) =>
  (await api.get(codeAt(seed, code))).body.claimCode
const total = async (seed: Seed) =>
  (await api.get(`${codes(seed)}?page=1&count=1`)).body.pageData.total

const missing = (code: string) => ({
  code: 'ResourceNotFound',
  message: `Could not find claimCode field: \`code\`, value: \`${code}\``,
})
const used = (code: string) => ({
  code: 'CodeAlreadyUsed',
  message: `Claim code \`${code}\` has already been claimed`,
})
const invalid = (...details: object[]) => ({
  code: 'ValidationError',
  message: 'Could not validate required fields',
  details,
})

/** The badge's paths through each of its ancestors, from the system down. */
const pathsOf = (seed: Seed) => {
  const words = seed.container.split('/')
  return [3, 5, 7]
    .filter((n) => n <= words.length)
    .map((n) => `${words.slice(0, n).join('/')}/badges/${seed.badge.slug}`)
}

/** Refuses, and changes nothing: neither codes nor awards nor the outbox. */
async function refused(status: number, call: () => Promise<Answer>) {
  const state = async () => {
    const all = ['claimCodes', 'badgeInstances', 'events', 'audit', 'counters'].map((table) =>
      env.DB.prepare(`select * from ${table}`),
    )
    return (await env.DB.batch(all)).map(({ results }) => results)
  }
  const before = await state()
  const answer = await call()
  expect(answer.status, JSON.stringify(answer.body)).toBe(status)
  expect(await state()).toEqual(before)
  return answer.body
}

describe.each(levels)('the claim codes of a badge of a $name', (level) => {
  it('are made with exactly the members of a code, the badge beside it', async () => {
    const seed = await seedBadge(level)
    const { status, body, headers } = await create(seed, 'Code-1')
    expect(status).toBe(201)
    expect(Object.keys(body)).toEqual(['status', 'claimCode', 'badge'])
    expect(Object.keys(body.claimCode)).toEqual(['id', 'code', 'claimed', 'email', 'multiuse'])
    expect(body).toEqual({
      status: 'created',
      claimCode: {
        id: expect.any(Number),
        code: 'Code-1',
        claimed: false,
        email: null,
        multiuse: false,
      },
      badge: seed.badge,
    })
    expect(headers.get('Location')).toBeNull()
    expect(headers.get('Cache-Control')).toBe('private, no-store')
    expect(await news()).toEqual([])
  })

  it('are listed in the order of their making, beside the badge', async () => {
    const seed = await seedBadge(level)
    expect((await api.get(codes(seed))).body).toEqual({ claimCodes: [], badge: seed.badge })
    const made = []
    for (const code of ['b', 'a', 'c']) made.push((await create(seed, code)).body.claimCode)
    const { status, body } = await api.get(codes(seed))
    expect(status).toBe(200)
    expect(Object.keys(body)).toEqual(['claimCodes', 'badge'])
    expect(body).toEqual({ claimCodes: made, badge: seed.badge })
    const page = await api.get(`${codes(seed)}?page=2&count=2`)
    expect(page.body).toEqual({
      claimCodes: made.slice(2),
      badge: seed.badge,
      pageData: { page: 2, count: 2, total: 3 },
    })
    expect(await news()).toEqual([])
  })

  it('are shown with their badge, in any spelling', async () => {
    const seed = await seedBadge(level)
    const made = await create(seed, 'Code-1', { email: EMAIL })
    for (const code of ['Code-1', 'CODE-1', 'code-1']) {
      const { status, body } = await api.get(codeAt(seed, code))
      expect(status).toBe(200)
      expect(Object.keys(body)).toEqual(['badge', 'claimCode'])
      expect(body).toEqual({ badge: seed.badge, claimCode: made.body.claimCode })
    }
  })

  it('answer through each ancestor of the badge', async () => {
    const seed = await seedBadge(level)
    const claims: Answer[] = []
    for (const [i, path] of pathsOf(seed).entries()) {
      const code = `c${i}`
      expect((await api.post(`${path}/codes`, { code })).status).toBe(201)
      expect((await api.post(`${path}/codes/random`)).status).toBe(201)
      expect((await api.get(`${path}/codes`)).body.claimCodes).toHaveLength(i + 2)
      expect((await api.get(`${path}/codes/${code}`)).body.badge).toEqual(seed.badge)
      expect((await api.get(`${path.split('/badges/')[0]}/codes/${code}`)).body.badge.slug).toBe(
        seed.badge.slug,
      )
      claims.push(await api.post(`${path}/codes/${code}/claim`))
      expect(claims.at(-1)?.status).toBe(200)
      expect((await api.delete(`${path}/codes/${code}`)).status).toBe(200)
    }
    expect(await news()).toEqual(claims.map((one) => claimed(one)))
  })

  it('are not found by another text, nor on another badge', async () => {
    const seed = await seedBadge(level)
    const other = (await api.post(`${seed.container}/badges`, badge(unique('other')))).body.badge
    await create(seed, 'mine')
    const elsewhere = `${seed.container}/badges/${other.slug}/codes`
    for (const [path, code] of [
      [codes(seed), 'yours'],
      [codes(seed), 'mine '],
      [elsewhere, 'mine'],
    ] as const) {
      const at = `${path}/${encodeURIComponent(code)}`
      for (const call of [
        () => api.get(at),
        () => api.delete(at),
        () => api.post(`${at}/claim`, { email: EMAIL }),
      ]) {
        expect(await refused(404, call)).toEqual(missing(code))
      }
    }
  })

  it('are drawn at random: ten lower-case hex digits', async () => {
    const seed = await seedBadge(level)
    const { status, body } = await api.post(`${codes(seed)}/random`, { email: EMAIL, code: 'mine' })
    expect(status).toBe(201)
    expect(Object.keys(body)).toEqual(['status', 'claimCode', 'badge'])
    expect(body).toEqual({
      status: 'created',
      claimCode: {
        id: expect.any(Number),
        code: expect.stringMatching(RANDOM),
        claimed: false,
        email: EMAIL,
        multiuse: false,
      },
      badge: seed.badge,
    })
    expect(await news()).toEqual([])
  })

  it('are claimed, once', async () => {
    const seed = await seedBadge(level)
    const made = await create(seed, 'Once')
    const { status, body } = await claim(seed, 'ONCE', { email: EMAIL })
    expect(status).toBe(200)
    expect(Object.keys(body)).toEqual(['status', 'claimCode', 'badge'])
    expect(body).toEqual({
      status: 'updated',
      claimCode: { ...made.body.claimCode, claimed: true, email: EMAIL },
      badge: seed.badge,
    })
    expect(await stored(seed, 'once')).toEqual(body.claimCode)
    const again = () => claim(seed, 'Once', { email: 'bob@example.org' })
    expect(await refused(400, again)).toEqual(used('Once'))
    expect((await api.get(`${seed.path}/instances`)).body.instances).toEqual([])
    expect(await news()).toEqual([claimed(made)])
  })

  it('are deleted, and are then free', async () => {
    const seed = await seedBadge(level)
    const made = await create(seed, 'Gone')
    await create(seed, 'stays')
    const { status, body } = await api.delete(codeAt(seed, 'gone'))
    expect(status).toBe(200)
    expect(Object.keys(body)).toEqual(['status', 'claimCode', 'badge'])
    expect(body).toEqual({
      status: 'deleted',
      claimCode: made.body.claimCode,
      badge: seed.badge,
    })
    expect(await refused(404, () => api.get(codeAt(seed, 'Gone')))).toEqual(missing('Gone'))
    expect(await refused(404, () => api.delete(codeAt(seed, 'Gone')))).toEqual(missing('Gone'))
    expect(await total(seed)).toBe(1)
    expect((await create(seed, 'GONE')).status).toBe(201)
    expect(await total(seed)).toBe(2)
    expect(await news()).toEqual([])
  })

  it('name their badge in the container', async () => {
    const seed = await seedBadge(level)
    const code = unique('code')
    const made = await create(seed, code)
    const { status, body } = await api.get(`${seed.container}/codes/${code.toUpperCase()}`)
    expect(status).toBe(200)
    expect(body).toEqual({ badge: { ...seed.badge, claimed: 0 } })
    expect(Object.keys(body.badge)).toEqual([...Object.keys(seed.badge), 'claimed'])
    await claim(seed, code)
    expect((await api.get(`${seed.container}/codes/${code}`)).body).toEqual({
      badge: { ...seed.badge, claimed: 1 },
    })
    expect(await news()).toEqual([claimed(made)])
  })

  it('that the container does not know are told in their own words', async () => {
    const seed = await seedBadge(level)
    const stranger = await seedBadge(level)
    await create(stranger, 'for-others')
    for (const code of ['for-others', 'no such']) {
      const path = `${seed.container}/codes/${encodeURIComponent(code)}`
      expect(await refused(404, () => api.get(path))).toEqual({
        code: 'ResourceNotFound',
        message: `Could not find the requested claim code ${code}`,
      })
    }
  })
})

describe('a claim code', () => {
  it.each([
    [false, 0, 'false', '0', '', null],
    [true, 1, 'true', '1'],
  ])(
    'is marked by what `claimed` and `multiuse` say, not by their presence: %j',
    async (...given) => {
      const says = Boolean(given[0])
      const seed = await seedBadge(atSystem)
      for (const value of given) {
        const made = await create(seed, unique('code'), { claimed: value, multiuse: value })
        expect(made.status).toBe(201)
        expect(made.body.claimCode).toMatchObject({ claimed: says, multiuse: says })
        const random = await api.post(`${codes(seed)}/random`, { claimed: value, multiuse: value })
        expect(random.body.claimCode).toMatchObject({ claimed: says, multiuse: says })
      }
      expect(await news()).toEqual([])
    },
  )

  it.each([
    ['no code', { multiuse: 1 }, 'code', 'Required field', ''],
    ['a null code', { code: null }, 'code', 'Required field', ''],
    ['an empty code', { code: '' }, 'code', 'String is not in range', ''],
    [
      '256 characters',
      { code: 'x'.repeat(256) },
      'code',
      'String is not in range',
      'x'.repeat(256),
    ],
    ['no address', { code: 'x', email: 'nope' }, 'email', 'Invalid email', 'nope'],
    ['no yes or no', { code: 'x', claimed: 'yes' }, 'claimed', UNEXPECTED, 'yes'],
    ['a list for a yes or no', { code: 'x', multiuse: [] }, 'multiuse', UNEXPECTED, []],
  ])('with %s is refused', async (_what, body, field, message, value) => {
    const seed = await seedBadge(atSystem)
    expect(await refused(400, () => api.post(codes(seed), body))).toEqual(
      invalid({ message, field, value }),
    )
  })

  it('with several faults is refused with all of them', async () => {
    const seed = await seedBadge(atSystem)
    const wrong = { claimed: 2, multiuse: 'x', email: '@' }
    const { details } = await refused(400, () => api.post(codes(seed), wrong))
    expect(details.map(({ field }: { field: string }) => field)).toEqual([
      'code',
      'claimed',
      'multiuse',
      'email',
    ])
    const random = await refused(400, () => api.post(`${codes(seed)}/random`, wrong))
    expect(random.details).toHaveLength(3)
  })

  it('is any text of 1 to 255 characters, and is echoed as given', async () => {
    const seed = await seedBadge(atSystem)
    for (const code of ['x', 'ü 🎖 "q"', 'random', 'x'.repeat(255), "a'b%", ' padded ']) {
      expect((await create(seed, code)).body.claimCode.code).toBe(code)
      expect(await stored(seed, code)).toMatchObject({ code })
    }
    expect(await total(seed)).toBe(6)
  })

  it('is refused a second time on the badge, in any spelling, with what was asked for', async () => {
    const seed = await seedBadge(atSystem)
    await create(seed, 'Twice', { email: 'first@example.org' })
    const plain = await refused(409, () => create(seed, 'tWICE'))
    expect(plain).toEqual({
      code: 'ResourceConflict',
      message: 'claimCode with that `code` already exists',
      details: { code: 'tWICE', claimed: false, email: null, multiuse: false },
    })
    expect(Object.keys(plain.details)).toEqual(['code', 'claimed', 'email', 'multiuse'])
    const full = { claimed: '1', multiuse: true, email: EMAIL }
    expect((await refused(409, () => create(seed, 'Twice', full))).details).toEqual({
      code: 'Twice',
      claimed: true,
      email: EMAIL,
      multiuse: true,
    })
    expect(await stored(seed, 'Twice')).toMatchObject({ email: 'first@example.org' })
    expect(await total(seed)).toBe(1)
    expect(await news()).toEqual([])
  })

  it('may have the text of another badge’s', async () => {
    const seed = await seedBadge(atSystem)
    const other = (await api.post(`${seed.system}/badges`, badge(unique('other')))).body.badge
    const there = `${seed.system}/badges/${other.slug}/codes`
    const made = await create(seed, 'both')
    expect((await api.post(there, { code: 'both' })).status).toBe(201)
    await claim(seed, 'both')
    expect((await api.get(`${there}/both`)).body.claimCode.claimed).toBe(false)
    await api.delete(codeAt(seed, 'both'))
    expect((await api.get(`${there}/both`)).status).toBe(200)
    expect(await news()).toEqual([claimed(made)])
  })

  it('is read from forms, as the Python client sends them', async () => {
    const seed = await seedBadge(atSystem)
    const made = await api.form(codes(seed), { code: 'from form', multiuse: '0', email: EMAIL })
    expect(made.status).toBe(201)
    expect(made.body.claimCode).toMatchObject({ code: 'from form', multiuse: false, email: EMAIL })
    const random = await api.form(`${codes(seed)}/random`, { email: EMAIL, multiuse: '1' })
    expect(random.status).toBe(201)
    expect(random.body.claimCode).toMatchObject({ multiuse: true, email: EMAIL })
    expect((await api.form(`${codeAt(seed, 'from form')}/claim`, { email: '' })).status).toBe(200)
    expect(await stored(seed, 'from form')).toMatchObject({ claimed: true, email: EMAIL })
    expect(await news()).toEqual([claimed(made)])
  })

  it('of a missing badge is told as such before its fields are complained of', async () => {
    const seed = await seedBadge(atSystem)
    const path = `${seed.system}/badges/nothing/codes`
    for (const call of [
      () => api.get(path),
      () => api.post(path, {}),
      () => api.post(`${path}/random`, { email: '@' }),
      () => api.get(`${path}/x`),
      () => api.post(`${path}/x/claim`, { email: '@' }),
      () => api.delete(`${path}/x`),
    ]) {
      expect(await refused(404, call)).toEqual({
        code: 'ResourceNotFound',
        message: 'Could not find badge field: `slug`, value: `nothing`',
      })
    }
  })

  it('goes with its badge, also when another takes its slug', async () => {
    const seed = await seedBadge(atSystem)
    await create(seed, 'old')
    await api.delete(seed.path)
    await api.post(`${seed.system}/badges`, badge(seed.badge.slug))
    expect((await api.get(codes(seed))).body.claimCodes).toEqual([])
    expect((await api.get(codeAt(seed, 'old'))).status).toBe(404)
    expect((await api.get(`${seed.system}/codes/old`)).status).toBe(404)
    expect(await total(seed)).toBe(0)
    expect(await news()).toEqual([])
  })

  it('leaves a line in the audit for each change, without its text, and none for a refusal', async () => {
    const seed = await seedBadge(atSystem)
    const before = await rows('audit')
    const made = await create(seed, 'told')
    await create(seed, 'told')
    await claim(seed, 'told')
    await claim(seed, 'told')
    await api.delete(codeAt(seed, 'told'))
    await api.delete(codeAt(seed, 'told'))
    expect(await rows('audit')).toBe(before + 3)
    const { results } = await env.DB.prepare('select * from audit order by id desc limit 3').all()
    expect(JSON.stringify(results)).not.toContain('told')
    expect(await news()).toEqual([claimed(made)])
  })
})

describe('a random code', () => {
  it('is given to a POST without a body, whose token says nothing of one', async () => {
    const seed = await seedBadge(atSystem)
    const plain = await api.post(`${codes(seed)}/random`)
    expect(plain.status).toBe(201)
    expect(plain.body.claimCode).toMatchObject({ claimed: false, email: null, multiuse: false })
    expect(plain.body.claimCode.code).toMatch(RANDOM)
    const typed = { headers: { 'Content-Type': 'application/json' } }
    for (const call of [typed, { ...typed, claims: { body: null } }]) {
      expect((await api.post(`${codes(seed)}/random`, undefined, call)).status).toBe(201)
    }
    const empty = { type: 'application/json', bytes: new Uint8Array() }
    expect((await send('POST', `${codes(seed)}/random`, empty)).status).toBe(201)
    expect(await total(seed)).toBe(4)
    expect(await news()).toEqual([])
  })

  it('differs from the last one', async () => {
    const seed = await seedBadge(atSystem)
    const made = await Promise.all(
      Array.from({ length: 20 }, () => api.post(`${codes(seed)}/random`)),
    )
    expect(new Set(made.map(({ body }) => body.claimCode.code)).size).toBe(20)
    expect(await news()).toEqual([])
  })

  /** Gives the next request an `op` that the test knows, and the codes that it would draw one after the other. */
  async function foreseen(byte: number, n: number) {
    const honest = crypto.getRandomValues.bind(crypto)
    const op = byte.toString(16).padStart(2, '0').repeat(16)
    return {
      codes: await Promise.all(Array.from({ length: n }, (_, i) => idFrom(op, `code ${i}`, 5))),
      begin: () =>
        vi
          .spyOn(crypto, 'getRandomValues')
          .mockImplementation(((array: Uint8Array<ArrayBuffer>) =>
            array.length === 16
              ? array.fill(byte)
              : honest(array)) as typeof crypto.getRandomValues),
    }
  }

  it('is drawn again when the badge has it already', async () => {
    const seed = await seedBadge(atSystem)
    const { codes: drawn, begin } = await foreseen(0xaa, 3)
    const [first = '', second = '', third = ''] = drawn
    await create(seed, first.toUpperCase())
    await create(seed, second)
    begin()
    const made = await api.post(`${codes(seed)}/random`, { email: EMAIL })
    expect(made.status).toBe(201)
    expect(made.body.claimCode).toMatchObject({ code: third, email: EMAIL })
    expect(await total(seed)).toBe(3)
    expect(await stored(seed, first)).toMatchObject({ email: null })
    expect(await news()).toEqual([])
  })

  it('is given up when none is free, which changes nothing', async () => {
    const seed = await seedBadge(atSystem)
    const { codes: drawn, begin } = await foreseen(0xbb, 5)
    for (const one of drawn) await create(seed, one)
    begin()
    const body = await refused(409, () => api.post(`${codes(seed)}/random`))
    expect(body.code).toBe('ResourceConflict')
  })
})

describe('a claim', () => {
  it('without an address keeps the one that the code has', async () => {
    const seed = await seedBadge(atSystem)
    const made: Answer[] = []
    for (const body of [undefined, {}, { email: null }, { email: '' }]) {
      const code = unique('code')
      made.push(await create(seed, code, { email: EMAIL }))
      const { status, body: answer } = await claim(seed, code, body)
      expect(status).toBe(200)
      expect(answer.claimCode).toMatchObject({ claimed: true, email: EMAIL })
      expect(await stored(seed, code)).toMatchObject({ claimed: true, email: EMAIL })
    }
    expect(await news()).toEqual(made.map((one) => claimed(one)))
  })

  it('with another address than the reserved one is good, and leaves the new one', async () => {
    const seed = await seedBadge(atSystem)
    const made = await create(seed, 'reserved', { email: EMAIL })
    const { body } = await claim(seed, 'reserved', { email: 'Bob@Example.org' })
    expect(body.claimCode).toMatchObject({ claimed: true, email: 'Bob@Example.org' })
    expect(await news()).toEqual([claimed(made)])
  })

  it('with what is no address is refused', async () => {
    const seed = await seedBadge(atSystem)
    await create(seed, 'free', { email: EMAIL })
    expect(await refused(400, () => claim(seed, 'free', { email: 'nope' }))).toEqual(
      invalid({ message: 'Invalid email', field: 'email', value: 'nope' }),
    )
    expect(await stored(seed, 'free')).toMatchObject({ claimed: false, email: EMAIL })
  })

  it('of a code that was made as claimed is refused', async () => {
    const seed = await seedBadge(atSystem)
    await create(seed, 'spent', { claimed: true })
    expect(await refused(400, () => claim(seed, 'spent'))).toEqual(used('spent'))
  })

  it('of a multi-use code is good again and again; the last address stands', async () => {
    const seed = await seedBadge(atSystem)
    const code = unique('many')
    const made = await create(seed, code, { multiuse: true })
    for (const email of ['a@example.org', 'b@example.org']) {
      const { status, body } = await claim(seed, code, { email })
      expect(status).toBe(200)
      expect(body.claimCode).toMatchObject({ claimed: true, multiuse: true, email })
    }
    expect((await claim(seed, code)).body.claimCode.email).toBe('b@example.org')
    expect((await api.get(`${seed.system}/codes/${code}`)).body.badge.claimed).toBe(0)
    expect((await api.get(`${seed.path}/instances`)).body.instances).toEqual([])
    expect(await news()).toEqual([claimed(made, 1), claimed(made, 2), claimed(made, 3)])
  })

  it('uses the code up for awards too', async () => {
    const seed = await seedBadge(atSystem)
    await create(seed, 'claimed')
    await claim(seed, 'claimed', { email: EMAIL })
    expect(await refused(400, () => award(seed, 'claimed'))).toEqual(used('claimed'))
  })
})

describe('a container’s code', () => {
  it('that several badges have names the one whose code is the oldest', async () => {
    const seed = await seedBadge(atProgram)
    const [badges] = seed.path.split(`/${seed.badge.slug}`)
    const other = (await api.post(badges ?? '', badge(unique('other')))).body.badge
    const code = unique('shared')
    // The newer badge has the older code.
    await api.post(`${badges}/${other.slug}/codes`, { code })
    const made = await create(seed, code)
    const named = async () => (await api.get(`${seed.system}/codes/${code}`)).body.badge
    expect(await named()).toEqual({ ...other, claimed: 0 })
    await claim(seed, code)
    expect(await named()).toEqual({ ...other, claimed: 0 })
    await api.delete(`${badges}/${other.slug}/codes/${code}`)
    expect(await named()).toEqual({ ...seed.badge, claimed: 1 })
    expect(await news()).toEqual([claimed(made)])
  })

  it('is that of the container’s own badges', async () => {
    const seed = await seedBadge(atSystem)
    const issuers = `${seed.system}/issuers`
    const issuer = unique('issuer')
    await api.post(issuers, { slug: issuer, name: 'I', url: 'http://example.org' })
    const below = (await api.post(`${issuers}/${issuer}/badges`, badge(unique('below')))).body.badge
    const code = unique('code')
    await create(seed, code)
    expect((await api.get(`${issuers}/${issuer}/codes/${code}`)).status).toBe(404)
    await api.post(`${issuers}/${issuer}/badges/${below.slug}/codes`, { code })
    expect((await api.get(`${issuers}/${issuer}/codes/${code}`)).body.badge.slug).toBe(below.slug)
    expect((await api.get(`${seed.system}/codes/${code}`)).body.badge.slug).toBe(seed.badge.slug)
  })

  it('is found below a path whose text is not escaped', async () => {
    const seed = await seedBadge(atSystem)
    const code = `${unique('a')}@b+c!(d)`
    await create(seed, code)
    expect((await api.get(`${seed.system}/codes/${code}`)).status).toBe(200)
  })
})

describe.each(levels)('an award of a badge of a $name with a code', (level) => {
  it('uses the code up, by the earner', async () => {
    const seed = await seedBadge(level)
    const code = await create(seed, 'Single', { email: 'invited@example.org' })
    const made = await award(seed, 'Single')
    expect(made.status).toBe(201)
    expect(made.body.instance.claimCode).toBe('Single')
    expect(await stored(seed, 'Single')).toMatchObject({ claimed: true, email: EMAIL })
    // As an app of old looks the award up: by the address on the code.
    const { email } = await stored(seed, 'Single')
    const shown = await api.get(`${seed.path}/instances/${encodeURIComponent(email)}`)
    expect(shown.body.instance).toMatchObject({
      assertionUrl: made.body.instance.assertionUrl,
      claimCode: 'Single',
    })
    const second = () => award(seed, 'single', 'bob@example.org')
    expect(await refused(400, second)).toEqual(used('single'))
    expect(await refused(400, () => claim(seed, 'Single'))).toEqual(used('Single'))
    expect(await news()).toEqual([awarded(made), claimed(code)])
  })

  it('is made again and again with a multi-use code', async () => {
    const seed = await seedBadge(level)
    const code = await create(seed, 'many', { multiuse: true })
    const made = []
    for (const email of ['a@example.org', 'b@example.org']) {
      const answer = await award(seed, 'MANY', email)
      expect(answer.status).toBe(201)
      expect(await stored(seed, 'many')).toMatchObject({ claimed: true, multiuse: true, email })
      made.push(answer)
    }
    expect(await news()).toEqual(made.flatMap((one, i) => [awarded(one), claimed(code, i + 1)]))
  })

  it('that the earner holds already leaves the code unclaimed', async () => {
    const seed = await seedBadge(level)
    await create(seed, 'kept')
    await create(seed, 'kept too', { multiuse: true, email: 'last@example.org' })
    const first = await award(seed, undefined)
    for (const code of ['kept', 'kept too']) {
      expect(await refused(409, () => award(seed, code, 'ADA@example.org'))).toEqual({
        code: 'ResourceConflict',
        message: `User ADA@example.org has already been awarded badge ${seed.badge.slug}`,
        details: { assertionUrl: first.body.instance.assertionUrl },
      })
    }
    expect(await stored(seed, 'kept')).toMatchObject({ claimed: false, email: null })
    expect(await stored(seed, 'kept too')).toMatchObject({
      claimed: false,
      email: 'last@example.org',
    })
    expect(await news()).toEqual([awarded(first)])
    expect((await award(seed, 'kept', 'bob@example.org')).status).toBe(201)
  })

  it('that the badge does not have is refused, and nothing is awarded', async () => {
    const seed = await seedBadge(level)
    const stranger = await seedBadge(level)
    await create(stranger, 'theirs')
    for (const code of ['no such', 'theirs']) {
      expect(await refused(404, () => award(seed, code))).toEqual(missing(code))
    }
    expect(await stored(stranger, 'theirs')).toMatchObject({ claimed: false })
    expect(await news()).toEqual([])
  })
})

describe('an award with a code', () => {
  it('is refused for the code before it is for the award that stands', async () => {
    const seed = await seedBadge(atSystem)
    const first = await award(seed, undefined)
    await create(seed, 'spent', { claimed: true })
    expect(await refused(400, () => award(seed, 'spent'))).toEqual(used('spent'))
    expect(await refused(404, () => award(seed, 'no such'))).toEqual(missing('no such'))
    expect(await news()).toEqual([awarded(first)])
  })

  it('leaves the code unclaimed when the badge is full, or the slug taken', async () => {
    const seed = await seedBadge(atSystem, { limit: 1 })
    await create(seed, 'kept')
    const slug = unique('slug')
    const first = await award(seed, undefined, 'first@example.org', { slug })
    expect((await refused(409, () => award(seed, 'kept'))).message).toBe(
      `Badge ${seed.badge.slug} has reached its limit of 1`,
    )
    await api.put(seed.path, { limit: 0 })
    expect((await refused(409, () => award(seed, 'kept', EMAIL, { slug }))).message).toBe(
      'badgeInstance with that `slug` already exists',
    )
    expect(await stored(seed, 'kept')).toMatchObject({ claimed: false, email: null })
    expect(await news()).toEqual([
      awarded(first),
      { type: 'badge.updated', subject: await uidOf(seed.badge), deliveries: 0 },
    ])
  })

  it('leaves the code unclaimed when the award is not valid', async () => {
    const seed = await seedBadge(atSystem)
    await create(seed, 'kept')
    await refused(400, () => award(seed, 'kept', 'nope'))
    const long = 'x'.repeat(256)
    expect(await refused(400, () => award(seed, long))).toEqual(
      invalid({ message: 'String is not in range', field: 'claimCode', value: long }),
    )
    expect(await news()).toEqual([])
  })

  it.each([[''], [null], [undefined]])('of %j asks for none', async (code) => {
    const seed = await seedBadge(atSystem)
    const made = await award(seed, code)
    expect(made.status).toBe(201)
    expect(made.body.instance.claimCode).toBeNull()
    expect(await news()).toEqual([awarded(made)])
  })

  it('is not undone by a revocation: the code stays claimed', async () => {
    const seed = await seedBadge(atSystem)
    await create(seed, 'once')
    await award(seed, 'once')
    await api.delete(`${seed.path}/instances/${EMAIL}`)
    expect(await stored(seed, 'once')).toMatchObject({ claimed: true, email: EMAIL })
    await refused(400, () => award(seed, 'once'))
    expect((await news()).map(({ type }) => type)).toEqual([
      'badge.awarded',
      'code.claimed',
      'badge.revoked',
    ])
  })

  it('stays when the code is deleted, and still names it', async () => {
    const seed = await seedBadge(atSystem)
    const code = await create(seed, 'once')
    const made = await award(seed, 'once')
    await api.delete(codeAt(seed, 'once'))
    expect((await api.get(`${seed.path}/instances/${EMAIL}`)).body.instance).toMatchObject({
      slug: made.body.instance.slug,
      claimCode: 'once',
    })
    expect(made.body.instance.assertionUrl.startsWith(ORIGIN)).toBe(true)
    expect(await news()).toEqual([awarded(made), claimed(code)])
  })
})

describe('a batch of codes', () => {
  const batch = (seed: Seed, more: object) => api.post(`${codes(seed)}/batch`, more)
  const listed = async (seed: Seed) => (await api.get(codes(seed))).body.claimCodes

  it.each(levels)('is made for a badge of a $name, each code another', async (level) => {
    const seed = await seedBadge(level)
    await create(seed, 'first')
    const made = await batch(seed, { count: 1_000, multiuse: true })
    expect(made.status).toBe(201)
    expect(Object.keys(made.body)).toEqual(['status', 'claimCodes', 'badge'])
    expect(made.body.badge).toEqual(seed.badge)
    const { claimCodes } = made.body
    expect(new Set(claimCodes.map(({ code }: { code: string }) => code)).size).toBe(1_000)
    for (const one of claimCodes) {
      expect(one.code).toMatch(RANDOM)
      expect(one).toMatchObject({ claimed: false, email: null, multiuse: true })
    }
    expect((await listed(seed)).slice(1)).toEqual(claimCodes)
    const { pageData } = (await api.get(`${codes(seed)}?page=1&count=1`)).body
    expect(pageData.total).toBe(1_001)
    const [code] = claimCodes
    expect((await award(seed, code.code)).status).toBe(201)
  })

  it('of ten thousand is the largest', async () => {
    const seed = await seedBadge(atSystem)
    const { body } = await batch(seed, { count: '10000' })
    expect(body.claimCodes).toHaveLength(10_000)
    expect(new Set(body.claimCodes.map(({ code }: { code: string }) => code)).size).toBe(10_000)
    expect(body.claimCodes[0].multiuse).toBe(false)
    for (const count of [10_001, 0, -1]) {
      const refused = await batch(seed, { count })
      expect([refused.status, refused.body.details]).toEqual([
        400,
        [{ message: 'Not from 1 to 10000', field: 'count', value: count || '' }],
      ])
    }
    for (const count of [undefined, '', 1.5, 'x', [1]]) {
      expect((await batch(seed, { count })).status).toBe(400)
    }
    expect(await listed(seed)).toHaveLength(10_000)
  })

  it('is not made twice: a repeated request is told what is left of it', async () => {
    const seed = await seedBadge(atSystem)
    const key = { headers: { 'Idempotency-Key': unique('key') } }
    const first = await api.post(`${codes(seed)}/batch`, { count: 3 }, key)
    const [one, two, three] = first.body.claimCodes.map(({ code }: { code: string }) => code)
    await api.delete(codeAt(seed, two))
    await api.post(`${codeAt(seed, three)}/claim`)
    const again = await api.post(`${codes(seed)}/batch`, { count: 3 }, key)
    expect(again.status).toBe(201)
    expect(again.body.claimCodes).toMatchObject([
      { code: one, claimed: false },
      { code: three, claimed: true },
    ])
    expect(await listed(seed)).toHaveLength(2)
  })
})
