import { env } from 'cloudflare:workers'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { canonicalTarget } from '../src/paths'
import { timestamp } from '../src/values'
import { type Answer, api, send } from './helpers/api'
import { tells } from './helpers/changes'
import { badge, levels, outbox, rows, seedBadge, seedContainer, unique } from './helpers/seed'

/** fast-check prints seed and path of what fails: `fc.assert(property, { seed, path })` runs it again. */

const [atSystem] = levels
const TIMEOUT = 60_000
const bytesOf = (text: string) => new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>

// ── Badges ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Text of all kinds but U+0000, which is refused, and line breaks, which multipart may write in its own way. */
const text = (minLength: number, maxLength: number) =>
  fc
    .string({ unit: 'grapheme', minLength, maxLength })
    .map((given) => given.replace(/[\p{Cc}\p{Cs}]/gu, '·'))
    .filter((given) => given.length >= minLength)
const url = fc
  .webUrl({ withQueryParameters: true, withFragments: true })
  .filter((given) => given.length < 255)
const int = fc.integer({ min: -1_000_000, max: 1_000_000 })
const bit = fc.constantFrom(0, 1, true, false, '0', '1', 'true', 'false')
const list = <T>(item: fc.Arbitrary<T>) => fc.array(item, { minLength: 1, maxLength: 4 })

const members = {
  name: text(1, 60),
  strapline: text(0, 60),
  earnerDescription: text(1, 200),
  consumerDescription: text(1, 200),
  issuerUrl: url,
  rubricUrl: text(0, 30),
  criteriaUrl: url,
  timeValue: int,
  timeUnits: fc.constantFrom('minutes', 'hours', 'days', 'weeks'),
  evidenceType: fc.constantFrom('URL', 'Text', 'Photo', 'Video', 'Sound'),
  limit: int,
  unique: bit,
  type: text(0, 30),
  archived: bit,
  criteria: list(fc.record({ description: text(1, 40), required: bit, note: text(0, 20) })),
  alignments: list(fc.record({ name: text(1, 20), url: text(1, 20), description: text(0, 20) })),
  categories: list(text(0, 20)),
  tags: list(text(0, 20)),
}
type Member = keyof typeof members
const optional = Object.fromEntries(
  Object.entries(members).filter(
    ([name]) =>
      !['name', 'earnerDescription', 'consumerDescription', 'criteriaUrl', 'unique'].includes(name),
  ),
)
/** A badge of which any optional member may be absent. */
const badges = fc.record(members, {
  requiredKeys: (Object.keys(members) as Member[]).filter((name) => !(name in optional)),
})

/** The fields of a form in bracket syntax, lists by index or by append. */
function fieldsOf(value: object, append: boolean): [string, string][] {
  const pairs: [string, string][] = []
  const add = (name: string, member: unknown): void => {
    if (Array.isArray(member)) {
      member.forEach((item, i) => {
        // Appending objects would make an item of each member.
        add(`${name}[${append && typeof item !== 'object' ? '' : i}]`, item)
      })
    } else if (typeof member === 'object' && member !== null) {
      for (const [key, inner] of Object.entries(member)) add(`${name}[${key}]`, inner)
    } else pairs.push([name, String(member)])
  }
  for (const [name, member] of Object.entries(value)) add(name, member)
  return pairs
}

/** All that is stored of a badge, without what each badge has of its own. */
async function storedOf(id: number) {
  const tables = ['criteria', 'alignments', 'categories', 'tags']
  const [row, ...lists] = await env.DB.batch<Record<string, unknown>>([
    env.DB.prepare('select * from badges where id = ?').bind(id),
    ...tables.map((table) =>
      env.DB.prepare(`select * from ${table} where badgeId = ? order by id`).bind(id),
    ),
  ])
  const shown = String(row?.results[0]?.lists).replace(/"id":\d+/g, '"id":0')
  const own = { id: 0, uid: '', slug: '', op: '', createdAt: 0, updatedAt: 0, lists: shown }
  return [
    { ...row?.results[0], ...own },
    ...lists.map(({ results }) => results.map((item) => ({ ...item, id: 0, badgeId: 0 }))),
  ]
}

describe('a badge', () => {
  it(
    'becomes the same rows as JSON, as a form and as multipart',
    async () => {
      const path = `${await seedContainer(atSystem)}/badges`
      const before = (await outbox()).length
      await fc.assert(
        fc.asyncProperty(badges, fc.boolean(), async (given, append) => {
          const image = 'https://example.org/badge.png'
          const pairs = fieldsOf({ ...given, image }, append)
          const form = new FormData()
          for (const [name, value] of pairs) form.append(name, value)
          const answers = [
            await api.post(path, { ...given, image }),
            await send('POST', path, {
              type: 'application/x-www-form-urlencoded',
              bytes: bytesOf(new URLSearchParams(pairs).toString()),
            }),
            await api.multipart(path, form),
          ]
          expect(answers.map(({ status }) => status)).toEqual([201, 201, 201])
          const [json, ...others] = await Promise.all(
            answers.map(({ body }) => storedOf(body.badge.id)),
          )
          for (const other of others) expect(other).toEqual(json)
        }),
        { numRuns: 40 },
      )
      expect((await outbox()).length).toBe(before)
    },
    TIMEOUT,
  )

  it(
    'keeps what a PUT leaves out, and shows what it holds',
    async () => {
      const { path, badge } = await seedBadge(atSystem, {
        criteria: [{ description: 'c' }],
        alignments: [{ name: 'a', url: 'u' }],
        categories: ['k'],
        tags: ['t'],
      })
      const before = (await outbox()).length
      let puts = 0
      let last = badge
      await fc.assert(
        fc.asyncProperty(fc.record(members, { requiredKeys: [] }), async (given) => {
          const { body } = await tells(['badge.updated'], 200, () => api.put(path, given))
          puts++
          for (const name of Object.keys(members) as Member[]) {
            if (name in given) continue
            expect(body.badge[name], `${name}, which was left out`).toEqual(last[name])
          }
          for (const name of ['id', 'slug', 'created', 'imageUrl', 'system']) {
            expect(body.badge[name]).toEqual(last[name])
          }
          const { name, timeValue, archived, criteria } = given
          if (name !== undefined) expect(body.badge.name).toBe(name)
          if (timeValue !== undefined) expect(body.badge.timeValue).toBe(timeValue)
          if (archived !== undefined) {
            expect(body.badge.archived).toBe([1, true, '1', 'true'].includes(archived))
          }
          if (criteria !== undefined) {
            expect(
              body.badge.criteria.map((item: { description: string }) => item.description),
            ).toEqual(criteria.map(({ description }) => description))
          }
          expect((await api.get(path)).body.badge).toEqual(body.badge)
          last = body.badge
        }),
        { numRuns: 60 },
      )
      expect((await outbox()).length).toBe(before + puts)
    },
    TIMEOUT,
  )

  it(
    'comes through a GET and a PUT of the whole unchanged',
    async () => {
      const container = await seedContainer(atSystem)
      await fc.assert(
        fc.asyncProperty(badges, async (given) => {
          const slug = unique('whole')
          const made = await api.post(`${container}/badges`, {
            ...given,
            slug,
            image: 'https://example.org/badge.png',
          })
          const path = `${container}/badges/${slug}`
          const loaded = (await api.get(path)).body.badge
          expect(loaded).toEqual(made.body.badge)
          const put = await api.put(path, loaded)
          expect(put.status, JSON.stringify(put.body)).toBe(200)
          expect(put.body.badge).toEqual(loaded)
        }),
        { numRuns: 30 },
      )
    },
    TIMEOUT,
  )
})

describe('a milestone', () => {
  it(
    'keeps what a PUT leaves out',
    async () => {
      const { system, badge: first } = await seedBadge(atSystem)
      const ids: number[] = [first.id]
      for (let i = 0; i < 4; i++) {
        ids.push((await api.post(`${system}/badges`, badge(unique('badge')))).body.badge.id)
      }
      const id = fc.constantFrom(...ids)
      const change = fc.record(
        {
          primaryBadgeId: id,
          numberRequired: int,
          action: fc.constantFrom('issue', 'queue-application'),
          supportBadges: fc.array(id, { maxLength: 7 }),
        },
        { requiredKeys: [] },
      )
      const body = { primaryBadgeId: first.id, numberRequired: 1 }
      const made = await api.post(`${system}/milestones`, body)
      const path = `${system}/milestones/${made.body.milestone.id}`
      const shape = (milestone: typeof made.body) => ({
        primaryBadgeId: milestone.primaryBadge.id,
        numberRequired: milestone.numberRequired,
        action: milestone.action,
        supportBadges: milestone.supportBadges.map((support: { id: number }) => support.id),
      })
      const awards = await rows('badgeInstances')
      let last = shape(made.body.milestone)
      await fc.assert(
        fc.asyncProperty(change, async (given) => {
          const { supportBadges = last.supportBadges } = given
          const expected = { ...last, ...given, supportBadges: [...new Set(supportBadges)] }
          const put = await api.put(path, given)
          expect(put.status, JSON.stringify(put.body)).toBe(200)
          expect(shape(put.body.milestone)).toEqual(expected)
          last = expected
        }),
        { numRuns: 40 },
      )
      expect(await rows('badgeInstances')).toBe(awards)
    },
    TIMEOUT,
  )
})

// ── Milestones against a model ──────────────────────────────────────────────────────────────────────────────────────

describe('awards, one by one or many at once, in any order', () => {
  it(
    'bring exactly the milestone badges that a plain model brings',
    async () => {
      const BADGES = 5
      const milestones = fc.array(
        fc.record({
          primary: fc.nat(BADGES - 1),
          supports: fc.uniqueArray(fc.nat(BADGES - 1), { minLength: 1, maxLength: 3 }),
          required: fc.integer({ min: 1, max: 3 }),
        }),
        { maxLength: 5 },
      )
      const awards = fc.array(
        fc.record({
          badge: fc.nat(BADGES - 1),
          earners: fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { minLength: 1 }),
        }),
        { minLength: 1, maxLength: 5 },
      )
      const emailOf = (earner: string) => `${earner}@example.org`
      await fc.assert(
        fc.asyncProperty(milestones, awards, async (made, given) => {
          const path = await seedContainer(atSystem)
          const badges: { id: number; slug: string }[] = []
          for (let i = 0; i < BADGES; i++) {
            badges.push((await api.post(`${path}/badges`, badge(unique('badge')))).body.badge)
          }
          for (const { primary, supports, required } of made) {
            const body = {
              primaryBadgeId: badges[primary]?.id,
              numberRequired: required,
              supportBadges: supports.map((i) => badges[i]?.id),
            }
            expect((await api.post(`${path}/milestones`, body)).status).toBe(201)
          }
          const model: Record<string, Set<number>> = { a: new Set(), b: new Set(), c: new Set() }
          let events = 0
          for (const { badge: i, earners } of given) {
            await api.post(`${path}/badges/${badges[i]?.slug}/instances/bulk`, {
              emails: earners.map(emailOf),
            })
            for (const earner of earners) events += give(model[earner] ?? new Set(), i, made)
          }
          for (const [i, { slug }] of badges.entries()) {
            const { body } = await api.get(`${path}/badges/${slug}/instances?page=1&count=99`)
            const held = body.instances.map(({ email }: { email: string }) => email).toSorted()
            const expected = ['a', 'b', 'c'].filter((earner) => model[earner]?.has(i)).map(emailOf)
            expect(held, `badge ${i}`).toEqual(expected)
            expect(body.pageData.total).toBe(expected.length)
          }
          const { results } = await env.DB.prepare(
            'select seq from events e join badges b on b.systemId = e.systemId where b.id = ? order by seq',
          )
            .bind(badges[0]?.id ?? 0)
            .all<{ seq: number }>()
          expect(results.map(({ seq }) => seq)).toEqual(
            Array.from({ length: events }, (_, n) => n + 1),
          )
        }),
        { numRuns: 25 },
      )
    },
    TIMEOUT,
  )

  /** Gives an earner a badge and all that it completes: a milestone acts only when it is fed. How many were given. */
  function give(
    held: Set<number>,
    given: number,
    milestones: { primary: number; supports: number[]; required: number }[],
  ): number {
    if (held.has(given)) return 0
    held.add(given)
    const fresh = new Set([given])
    for (let grew = true; grew; ) {
      grew = false
      for (const { primary, supports, required } of milestones) {
        const isFed = supports.some((i) => fresh.has(i))
        const count = supports.filter((i) => held.has(i)).length
        if (isFed && count >= required && !held.has(primary)) {
          held.add(primary)
          fresh.add(primary)
          grew = true
        }
      }
    }
    return fresh.size
  }
})

// ── Targets ─────────────────────────────────────────────────────────────────────────────────────────────────────────

describe('the form in which targets are compared', () => {
  const UNRESERVED = 'ABCXYZabcxyz0189-_~'
  const hex = (byte: number, upper: boolean) => {
    const code = byte.toString(16).padStart(2, '0')
    return `%${upper ? code.toUpperCase() : code}`
  }
  const char = fc.constantFrom(...`${UNRESERVED}.@:!$'()*+,;=/?#%&| é🎖"<>\\^{}`)
  const target = fc.array(char, { maxLength: 40 }).map((chars) => `/${chars.join('')}`)

  it('is its own form', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          target,
          fc.webPath(),
          fc.string().map((s) => `/${s}`),
        ),
        (given) => {
          const once = canonicalTarget(given)
          if (once !== null) expect(canonicalTarget(once)).toBe(once)
        },
      ),
      { numRuns: 2_000 },
    )
  })

  it('is one for all spellings of a target', () => {
    /** A character, and another way to write it. */
    const spelled = fc.oneof(
      fc
        .tuple(fc.constantFrom(...UNRESERVED), fc.boolean())
        .map(([plain, upper]) => [plain, hex(plain.charCodeAt(0), upper)] as const),
      fc.nat(255).map((byte) => [hex(byte, true), hex(byte, false)] as const),
      fc.constantFrom('@', ':', '+', '!').map((plain) => [plain, plain] as const),
    )
    const segment = fc.array(spelled, { minLength: 1, maxLength: 8 })
    const swaps = fc.infiniteStream(fc.boolean())
    const slashes = fc.infiniteStream(fc.integer({ min: 1, max: 3 }))
    fc.assert(
      fc.property(
        fc.array(segment, { minLength: 1, maxLength: 5 }),
        fc.option(segment),
        swaps,
        slashes,
        fc.boolean(),
        (path, query, swap, slash, trailing) => {
          const write = (chars: (readonly [string, string])[], other: boolean) =>
            chars.map((pair) => pair[other && swap.next().value ? 1 : 0]).join('')
          const search = (other: boolean) => (query ? `?${write(query, other)}` : '')
          // A segment of dots alone is a step, not a name: a letter keeps it one.
          const plain = path.map((part) => `/s${write(part, false)}`).join('') + search(false)
          const strange =
            path
              .map((part) => `${'/'.repeat(slash.next().value ?? 1)}s${write(part, true)}`)
              .join('') +
            (trailing ? '/' : '') +
            search(true)
          expect(canonicalTarget(strange)).toBe(canonicalTarget(plain))
        },
      ),
      { numRuns: 1_000 },
    )
  })

  it('differs where a slash is escaped', () => {
    const name = fc.string({ unit: fc.constantFrom(...UNRESERVED), minLength: 1, maxLength: 9 })
    fc.assert(
      fc.property(name, name, (a, b) => {
        expect(canonicalTarget(`/${a}/${b}`)).not.toBe(canonicalTarget(`/${a}%2F${b}`))
      }),
    )
  })

  it('lets a request pass in every spelling of its own', async () => {
    const { path, badge } = await seedBadge(atSystem)
    const spellings = fc.array(fc.boolean(), { minLength: path.length, maxLength: path.length })
    await fc.assert(
      fc.asyncProperty(spellings, async (swaps) => {
        const claim = [...path]
          .map((char, i) => (swaps[i] && /[\w-]/.test(char) ? hex(char.charCodeAt(0), true) : char))
          .join('')
        const answer = await api.get(path, { claims: { path: claim } })
        expect(answer.status).toBe(200)
        expect(answer.body.badge.slug).toBe(badge.slug)
      }),
      { numRuns: 30 },
    )
  })
})

// ── Times ───────────────────────────────────────────────────────────────────────────────────────────────────────────

describe('a time', () => {
  const schema = z.object({ at: timestamp() })
  const read = (at: unknown) => schema.parse({ at }).at
  // Eleven digits and less are seconds, so milliseconds need twelve: from March 1973.
  const seconds = fc.integer({ min: 0, max: 99_999_999_999 })
  const millis = fc.integer({ min: 100_000_000_000, max: Date.parse('9999-12-31T23:59:59.999Z') })

  it('is the same as seconds, as their digits, and as a date', () => {
    fc.assert(
      fc.property(seconds, (given) => {
        expect(read(given)).toBe(given * 1000)
        expect(read(String(given))).toBe(given * 1000)
        expect(read(` ${given} `)).toBe(given * 1000)
        expect(read(new Date(given * 1000).toISOString())).toBe(given * 1000)
      }),
    )
  })

  it('is the same as milliseconds, as their digits, and as a date in any zone', () => {
    const zone = fc.tuple(fc.integer({ min: -14, max: 14 }), fc.constantFrom(0, 15, 30, 45))
    fc.assert(
      fc.property(millis, zone, (given, [hours, minutes]) => {
        const offset = (hours < 0 ? -1 : 1) * (Math.abs(hours) * 60 + minutes)
        const two = (n: number) => String(n).padStart(2, '0')
        const local = new Date(given + offset * 60_000)
        expect(read(given)).toBe(given)
        expect(read(String(given))).toBe(given)
        expect(read(new Date(given).toISOString())).toBe(given)
        if (local.getUTCFullYear() > 9_999) return
        const sign = offset < 0 ? '-' : '+'
        const zoned = `${local.toISOString().slice(0, -1)}${sign}${two(Math.abs(hours))}:${two(minutes)}`
        expect(read(zoned)).toBe(given)
      }),
    )
  })

  it(
    'is stored and shown as given, on an award',
    async () => {
      const { path } = await seedBadge(atSystem)
      const forms = (at: number) => [at, String(at), new Date(at).toISOString()]
      await fc.assert(
        fc.asyncProperty(millis, millis, async (issuedOn, expires) => {
          for (const i of [0, 1, 2]) {
            const { status, body } = await api.post(`${path}/instances`, {
              email: `${unique('e')}@example.org`,
              issuedOn: forms(issuedOn)[i],
              expires: forms(expires)[i],
            })
            expect(status).toBe(201)
            expect(body.instance).toMatchObject({
              issuedOn: new Date(issuedOn).toISOString(),
              expires: new Date(expires).toISOString(),
            })
          }
        }),
        { numRuns: 20 },
      )
    },
    TIMEOUT,
  )
})

// ── Lists ───────────────────────────────────────────────────────────────────────────────────────────────────────────

describe('a list', () => {
  const codesOf = (body: { claimCodes: { code: string }[] }) =>
    body.claimCodes.map(({ code }) => code)
  const script = fc.record({
    rows: fc.nat(12),
    size: fc.integer({ min: 1, max: 5 }),
    /** How many rows come in before each page. */
    between: fc.array(fc.nat(3), { maxLength: 6 }),
    /** Which row, if any, goes before each page. */
    gone: fc.array(fc.option(fc.nat(11)), { maxLength: 6 }),
  })
  const codesPath = async (n: number) => {
    const { path } = await seedBadge(atSystem)
    for (let i = 0; i < n; i++) await api.post(`${path}/codes`, { code: `c${i}` })
    return `${path}/codes`
  }

  it(
    'is, page by page, the whole list while rows come in',
    async () => {
      await fc.assert(
        fc.asyncProperty(script, async ({ rows: n, size, between }) => {
          const path = await codesPath(n)
          const pages: string[] = []
          let last: Answer
          do {
            const page = pages.length / size + 1
            for (let i = 0; i < (between[page - 1] ?? 0); i++) await api.post(`${path}/random`)
            last = await api.get(`${path}?page=${page}&count=${size}`)
            pages.push(...codesOf(last.body))
            // A page that is not full is the last one: what comes in later belongs to it.
          } while (last.body.claimCodes.length === size)
          expect(last.body.pageData.total).toBe(pages.length)
          expect(pages).toEqual(codesOf((await api.get(path)).body))
        }),
        { numRuns: 12 },
      )
    },
    TIMEOUT,
  )

  it(
    'is, link by link, the whole list while rows come and go',
    async () => {
      await fc.assert(
        fc.asyncProperty(script, async ({ rows: n, size, between, gone }) => {
          const path = await codesPath(n)
          const walked: string[] = []
          const deleted = new Set<string>()
          let next: string | undefined = `${path}?limit=${size}`
          for (let step = 0; next; step++) {
            for (let i = 0; i < (between[step] ?? 0); i++) await api.post(`${path}/random`)
            const victim = gone[step]
            if (victim != null && (await api.delete(`${path}/c${victim}`)).status === 200) {
              deleted.add(`c${victim}`)
            }
            const answer = await api.get(next)
            walked.push(...codesOf(answer.body))
            next = /^<([^>]+)>/.exec(answer.headers.get('Link') ?? '')?.[1]
          }
          // All that stayed are there, once, in order; of those that went some may have been seen before.
          const all = codesOf((await api.get(path)).body)
          expect(walked.filter((code) => !deleted.has(code))).toEqual(all)
          expect(new Set(walked).size).toBe(walked.length)
        }),
        { numRuns: 12 },
      )
    },
    TIMEOUT,
  )
})
