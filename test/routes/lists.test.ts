import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { app } from '../../src/app'
import { type Answer, api, ORIGIN, sign } from '../helpers/api'
import { badge, container, levels, outbox, seedBadge, seedContainer, unique } from '../helpers/seed'

// biome-ignore lint/suspicious/noExplicitAny: a row of an answer
type Row = any
type Made = {
  path: string
  /** Makes one row more. */
  more: () => Promise<Answer>
}
type Family = {
  name: string
  plural: string
  /** What tells one row from another. */
  idOf: (row: Row) => unknown
  seed: () => Promise<Made>
  /** Whether no other test adds to it. */
  alone: boolean
}

const [atSystem, atIssuer, atProgram] = levels

let seen = 0
beforeEach(async () => {
  seen = (await outbox()).length
})
/** What has come into the outbox since the test began. */
const news = async () => (await outbox()).slice(seen)

const idOf = ({ id }: Row) => id
const slugOf = ({ slug }: Row) => slug
const address = () => `${unique('e')}@example.org`

const families: Family[] = [
  {
    name: 'systems',
    plural: 'systems',
    idOf,
    alone: false,
    seed: async () => ({
      path: '/systems',
      more: () => api.post('/systems', container(unique('system'))),
    }),
  },
  {
    name: 'issuers of a system',
    plural: 'issuers',
    idOf,
    alone: true,
    seed: async () => {
      const system = unique('system')
      await api.post('/systems', container(system))
      const path = `/systems/${system}/issuers`
      return { path, more: () => api.post(path, container(unique('issuer'))) }
    },
  },
  {
    name: 'programs of an issuer',
    plural: 'programs',
    idOf,
    alone: true,
    seed: async () => {
      const [system, issuer] = [unique('system'), unique('issuer')]
      await api.post('/systems', container(system))
      await api.post(`/systems/${system}/issuers`, container(issuer))
      const path = `/systems/${system}/issuers/${issuer}/programs`
      return { path, more: () => api.post(path, container(unique('program'))) }
    },
  },
  ...levels.map((level) => ({
    name: `badges of a ${level.name}`,
    plural: 'badges',
    idOf,
    alone: true,
    seed: async () => {
      const path = `${await seedContainer(level)}/badges`
      return { path, more: () => api.post(path, badge(unique('badge'))) }
    },
  })),
  {
    name: 'public badges',
    plural: 'badgelist',
    idOf: (row: Row) => JSON.stringify(row),
    alone: false,
    seed: async () => {
      const path = `${await seedContainer(atProgram)}/badges`
      return { path: '/public/badges', more: () => api.post(path, badge(unique('badge'))) }
    },
  },
  {
    name: 'claim codes of a badge',
    plural: 'claimCodes',
    idOf,
    alone: true,
    seed: async () => {
      const { path } = await seedBadge(atSystem)
      return { path: `${path}/codes`, more: () => api.post(`${path}/codes/random`) }
    },
  },
  {
    name: 'awards of a badge',
    plural: 'instances',
    idOf: slugOf,
    alone: true,
    seed: async () => {
      const path = `${(await seedBadge(atIssuer)).path}/instances`
      return { path, more: () => api.post(path, { email: address() }) }
    },
  },
  {
    name: 'awards of an earner in a container',
    plural: 'instances',
    idOf: slugOf,
    alone: true,
    seed: async () => {
      const [at, email] = [await seedContainer(atProgram), address()]
      return {
        path: `${at}/instances/${email}`,
        more: async () => {
          const made = await api.post(`${at}/badges`, badge(unique('badge')))
          return api.post(`${at}/badges/${made.body.badge.slug}/instances`, { email })
        },
      }
    },
  },
  {
    name: 'applications in a container',
    plural: 'applications',
    idOf,
    alone: true,
    seed: async () => {
      const at = await seedContainer(atIssuer)
      const slugs = [unique('badge'), unique('badge'), unique('badge')]
      for (const slug of slugs) await api.post(`${at}/badges`, badge(slug))
      let n = 0
      return {
        path: `${at}/applications`,
        // By turns, so that new rows come at the end, in the midst and before.
        more: () =>
          api.post(`${at}/badges/${slugs[(n++ * 2) % 3]}/applications`, { learner: address() }),
      }
    },
  },
  {
    name: 'applications for a badge',
    plural: 'applications',
    idOf,
    alone: true,
    seed: async () => {
      const path = `${(await seedBadge(atProgram)).path}/applications`
      return { path, more: () => api.post(path, { learner: address() }) }
    },
  },
  {
    name: 'reviews of an application',
    plural: 'reviews',
    idOf,
    alone: true,
    seed: async () => {
      const { path } = await seedBadge(atSystem)
      const made = await api.post(`${path}/applications`, { learner: address() })
      const reviews = `${path}/applications/${made.body.application.slug}/reviews`
      return { path: reviews, more: () => api.post(reviews, { author: address() }) }
    },
  },
  {
    name: 'milestones of a system',
    plural: 'milestones',
    idOf,
    alone: true,
    seed: async () => {
      const { system, badge } = await seedBadge(atSystem)
      const path = `${system}/milestones`
      const body = { primaryBadgeId: badge.id, numberRequired: 3, supportBadges: [badge.id] }
      return { path, more: () => api.post(path, body) }
    },
  },
]

const cursorOf = (text: string) => encodeURIComponent(btoa(text).replace(/=+$/, ''))
const nextOf = (answer: Answer) =>
  /^<([^>]+)>; rel="next"$/.exec(answer.headers.get('Link') ?? '')?.[1]

describe.each(families)('a list of $name', ({ plural, idOf, seed, alone }) => {
  const ROWS = 7
  let made: Made
  /** How many rows there are: one of the tests adds some. */
  let there = 0
  const idsOf = (answer: Answer): unknown[] => answer.body[plural].map(idOf)
  const everything = async () => {
    const answer = await api.get(made.path)
    expect(answer.status, JSON.stringify(answer.body)).toBe(200)
    return answer
  }

  beforeAll(async () => {
    const { path, more } = await seed()
    made = {
      path,
      more: () => {
        there++
        return more()
      },
    }
    for (let i = 0; i < ROWS; i++) expect((await made.more()).status).toBe(201)
  })

  it('gives everything to who names no page, without page data', async () => {
    const { body, headers } = await everything()
    expect(body).not.toHaveProperty('pageData')
    expect(headers.get('Link')).toBeNull()
    if (alone) expect(body[plural]).toHaveLength(there)
    else expect(body[plural].length).toBeGreaterThanOrEqual(there)
    expect(await news()).toEqual([])
  })

  it('gives pages that together are everything, each with the total', async () => {
    const all = await everything()
    const total = all.body[plural].length
    const count = Math.ceil(total / 3)
    const pages = []
    for (const page of [1, 2, 3]) {
      const { body, status } = await api.get(`${made.path}?page=${page}&count=${count}`)
      expect(status).toBe(200)
      expect(body.pageData).toEqual({ page, count, total })
      expect(Object.keys(body.pageData)).toEqual(['page', 'count', 'total'])
      expect(Object.keys(body)).toEqual([...Object.keys(all.body), 'pageData'])
      pages.push(...body[plural])
    }
    expect(pages).toEqual(all.body[plural])
    const large = await api.get(`${made.path}?page=1&count=99999999999999999999`)
    expect(large.body[plural]).toEqual(all.body[plural])
  })

  it('gives an empty page past the end, with the right total', async () => {
    const total = (await everything()).body[plural].length
    for (const page of [1_000, '9007199254740991', '9'.repeat(40)]) {
      const { status, body } = await api.get(`${made.path}?page=${page}&count=5`)
      expect(status).toBe(200)
      expect(body[plural]).toEqual([])
      expect(body.pageData).toMatchObject({ count: 5, total })
    }
  })

  it('reads leading integers', async () => {
    const { body } = await api.get(`${made.path}?page=%201.9&count=2abc`)
    expect(body.pageData).toMatchObject({ page: 1, count: 2 })
    expect(body[plural]).toHaveLength(2)
  })

  it.each([
    'page=1',
    'count=2',
    'page=0&count=2',
    'page=1&count=0',
    'page=-1&count=2',
    'page=1&count=-2',
    'page=x&count=2',
    'page=&count=',
    'page=NaN&count=Infinity',
    'PAGE=1&COUNT=2',
    'order=desc&q=x&by=name',
  ])('gives everything to ?%s', async (query) => {
    const all = await everything()
    const { status, body } = await api.get(`${made.path}?${query}`)
    expect(status).toBe(200)
    expect(body).toEqual(all.body)
  })

  it('is walked by its links to exactly everything, without a total', async () => {
    const all = await everything()
    const limit = Math.ceil(all.body[plural].length / 3)
    const walked = []
    let next: string | undefined = `${made.path}?limit=${limit}`
    let pages = 0
    while (next) {
      const answer: Answer = await api.get(next)
      expect(answer.status, JSON.stringify(answer.body)).toBe(200)
      expect(Object.keys(answer.body)).toEqual(Object.keys(all.body))
      expect(answer.body[plural].length).toBeLessThanOrEqual(limit)
      walked.push(...answer.body[plural])
      next = nextOf(answer)
      if (next) expect(next.startsWith(`${made.path}?`)).toBe(true)
      pages++
    }
    expect(pages).toBe(3)
    expect(walked).toEqual(all.body[plural])
  })

  it('starts from the beginning with an empty cursor, a hundred rows at a time', async () => {
    const all = await everything()
    for (const query of ['cursor=', 'cursor=&limit=1000', 'limit=99999999999999999999']) {
      const answer = await api.get(`${made.path}?${query}`)
      expect(answer.body).toEqual({ ...all.body, [plural]: all.body[plural].slice(0, 100) })
    }
  })

  it.each(['x', '!!', 'AAAA', '%00', cursorOf('NaN'), cursorOf('1.5'), cursorOf('1,2,3,4')])(
    'refuses the cursor %s',
    async (cursor) => {
      const { status, body } = await api.get(`${made.path}?cursor=${cursor}`)
      expect(status, JSON.stringify(body)).toBe(400)
      expect(body).toEqual({
        code: 'InvalidParameter',
        parameter: 'cursor',
        message: expect.stringContaining('`cursor`'),
      })
    },
  )

  it('refuses a cursor that another kind of list gave', async () => {
    const keys = plural === 'applications' ? ['1', '1,2'] : ['1,2', '1,2,3']
    for (const key of keys) {
      const { status, body } = await api.get(`${made.path}?cursor=${cursorOf(key)}`)
      expect(status, JSON.stringify(body)).toBe(400)
      expect(body).toMatchObject({ code: 'InvalidParameter', parameter: 'cursor' })
    }
  })

  it.each(['0', '-1', 'x', ''])('refuses the limit %j', async (limit) => {
    const { status, body } = await api.get(`${made.path}?limit=${limit}`)
    expect(status).toBe(400)
    expect(body).toMatchObject({ code: 'InvalidParameter', parameter: 'limit' })
  })

  it('does not stumble over a parameter that is named twice', async () => {
    for (const query of ['page=1&page=2&count=3', 'limit=3&limit=4', 'cursor=&cursor=']) {
      const { status, body } = await api.get(`${made.path}?${query}`)
      expect(status, JSON.stringify(body)).toBe(200)
    }
  })

  // Last, because they add rows.
  it('is walked to exactly everything while rows come in between', async () => {
    const before = idsOf(await everything())
    const limit = Math.ceil(before.length / 4)
    const walked: unknown[] = []
    let next: string | undefined = `${made.path}?limit=${limit}`
    // How many pages there are depends on what other tests have left.
    let added = 0
    while (next) {
      const answer: Answer = await api.get(next)
      walked.push(...idsOf(answer))
      next = nextOf(answer)
      if (added === 5) continue
      expect((await made.more()).status).toBe(201)
      added++
    }
    expect(added).toBeGreaterThanOrEqual(4)
    expect(new Set(walked).size).toBe(walked.length)
    expect(walked.filter((id) => before.includes(id))).toEqual(before)
    const after = idsOf(await everything())
    expect(after).toHaveLength(before.length + added)
    expect(walked).toEqual(after.filter((id) => walked.includes(id)))
    const { body } = await api.get(`${made.path}?page=1&count=1`)
    expect(body.pageData.total).toBe(after.length)
  })
})

describe('a list of what is not there', () => {
  it.each([
    ['/systems/none/issuers', 'system'],
    ['/systems/none/badges', 'system'],
    ['/systems/none/milestones', 'system'],
    ['/systems/none/applications', 'system'],
    ['/systems/none/instances/a@example.org', 'system'],
    ['/systems/none/badges/none/instances', 'system'],
  ])('%s is told as such, in all three ways', async (path, model) => {
    for (const query of ['', '?page=1&count=2', '?limit=2', '?cursor=']) {
      const { status, body } = await api.get(path + query)
      expect(status, path + query).toBe(404)
      expect(body).toEqual({
        code: 'ResourceNotFound',
        message: `Could not find ${model} field: \`slug\`, value: \`none\``,
      })
    }
    expect(await news()).toEqual([])
  })
})

describe.each(levels)('the awards of an earner in a $name', (level) => {
  it('are those of its badges, each with its own', async () => {
    const other = await seedBadge(atSystem)
    const seed = await seedBadge(level, { tags: ['own'], criteria: [{ description: 'Own' }] })
    const email = `${unique('Earner')}@Example.org`
    const tags = ['other', 'tags']
    const second = await api.post(`${seed.container}/badges`, { ...badge(unique('second')), tags })
    const path = `${seed.container}/badges/${second.body.badge.slug}`
    // A row of its own id, badge and place in the list: what is joined on the wrong one shows.
    await api.post(`${seed.path}/instances`, { email: 'somebody@example.org' })
    const made = []
    for (const at of [path, seed.path]) made.push(await api.post(`${at}/instances`, { email }))
    await api.post(`${other.path}/instances`, { email })
    const { status, body } = await api.get(`${seed.container}/instances/${email.toLowerCase()}`)
    expect(status).toBe(200)
    expect(body).toEqual({
      instances: [
        { ...made[0]?.body.instance, badge: second.body.badge },
        { ...made[1]?.body.instance, badge: seed.badge },
      ],
    })
    expect(await news()).toHaveLength(4)
  })

  it('are none for who has none, with and without a page', async () => {
    const seed = await seedBadge(level)
    const other = await seedBadge(level)
    const email = address()
    await api.post(`${other.path}/instances`, { email })
    const path = `${seed.container}/instances/${email}`
    expect((await api.get(path)).body).toEqual({ instances: [] })
    const page = await api.get(`${path}?page=1&count=3`)
    expect(page.status).toBe(200)
    expect(page.body).toEqual({ instances: [], pageData: { page: 1, count: 3, total: 0 } })
    expect((await api.get(`${path}?limit=3`)).body).toEqual({ instances: [] })
  })
})

it('shows an earner’s awards in each container only those of that container and below', async () => {
  const seed = await seedBadge(atProgram)
  const words = seed.container.split('/')
  const [system, issuer] = [3, 5].map((n) => words.slice(0, n).join('/'))
  const email = address()
  const give = async (at: string | undefined) => {
    const made = await api.post(`${at}/badges`, badge(unique('badge')))
    await api.post(`${at}/badges/${made.body.badge.slug}/instances`, { email })
    return made.body.badge.slug
  }
  const slugs = [await give(system), await give(issuer), await give(seed.container)]
  const shown = async (at: string | undefined) => {
    const { body } = await api.get(`${at}/instances/${email}?page=1&count=9`)
    expect(body.pageData.total).toBe(body.instances.length)
    return body.instances.map((row: Row) => row.badge.slug)
  }
  expect(await shown(system)).toEqual(slugs)
  expect(await shown(issuer)).toEqual(slugs.slice(1))
  expect(await shown(seed.container)).toEqual(slugs.slice(2))
  await api.delete(`${seed.container}/badges/${slugs[2]}`)
  expect(await shown(system)).toEqual(slugs.slice(0, 2))
  await api.delete(`${system}/badges/${slugs[0]}/instances/${email}`)
  expect(await shown(system)).toEqual(slugs.slice(1, 2))
  expect(await news()).toHaveLength(4)
})

describe('the awards of a badge', () => {
  it('leave out what was revoked, in the list and in the total', async () => {
    const seed = await seedBadge(atSystem)
    for (const name of ['a', 'b', 'c']) {
      await api.post(`${seed.path}/instances`, { email: `${name}@example.org` })
    }
    await api.delete(`${seed.path}/instances/b@example.org`)
    const { body } = await api.get(`${seed.path}/instances?page=1&count=9`)
    expect(body.instances.map(({ email }: Row) => email)).toEqual([
      'a@example.org',
      'c@example.org',
    ])
    expect(body.pageData.total).toBe(2)
    expect(body.instances.every(({ badge }: Row) => badge.id === seed.badge.id)).toBe(true)
    expect(await news()).toHaveLength(4)
  })

  it('keep their other parameters in the link to the next page', async () => {
    const seed = await seedBadge(atSystem)
    const path = `${seed.path}/applications`
    const learner = 'a+b@example.org'
    for (const email of [learner, 'other@example.org', learner, learner]) {
      await api.post(path, { learner: email })
    }
    const query = `processed=false&email=${encodeURIComponent(learner)}`
    const walked = []
    let next: string | undefined = `${path}?${query}&limit=1`
    while (next) {
      const answer: Answer = await api.get(next)
      walked.push(...answer.body.applications)
      next = nextOf(answer)
    }
    expect(walked.map((row) => row.learner)).toEqual([learner, learner, learner])
  })
})

// ── Long lists ──────────────────────────────────────────────────────────────────────────────────────────────────────

const MANY = 2_500

/** Makes awards of a badge in SQL, `email` in SQL over `n`. */
async function insertAwards(badgeId: number, count: number, email: string) {
  await env.DB.prepare(
    `with recursive k (n) as (select 0 union all select n + 1 from k where n + 1 < ?2)
     insert into badgeInstances (slug, systemId, badgeId, versionId, email, issuedOn, once, salt, op, createdAt, updatedAt)
     select lower(hex(randomblob(20))), b.systemId, b.id, v.id, ${email}, 0, 0, '', 'seed', 0, 0
     from k join badges b on b.id = ?1 join (select min(id) as id from badgeVersions where badgeId = ?1) v order by n`,
  )
    .bind(badgeId, count)
    .run()
}

/** A badge with so many awards; the first is a real one. */
async function seedAwards(count: number) {
  const seed = await seedBadge(atSystem, { tags: ['long'] })
  await api.post(`${seed.path}/instances`, { email: 'first@example.org' })
  await insertAwards(seed.badge.id, count - 1, `'earner-' || n || '@example.org'`)
  await env.DB.prepare('update badges set awarded = ? where id = ?')
    .bind(count, seed.badge.id)
    .run()
  return seed
}

/** The database, where the calls that read a list are counted, and the `at`th fails `times` times. */
function faulty(table: string, at = 0, error = '', times = Number.POSITIVE_INFINITY) {
  const calls = { lists: 0 }
  let failed = 0
  const DB = {
    withSession(from: string) {
      const session = env.DB.withSession(from)
      let lists = false
      return {
        prepare(text: string) {
          lists ||= new RegExp(`from ${table}`).test(text)
          return session.prepare(text)
        },
        async batch(statements: D1PreparedStatement[]) {
          if (lists) {
            calls.lists += 1
            if (at > 0 && calls.lists >= at && failed < times) {
              failed += 1
              throw new Error(error)
            }
          }
          return session.batch(statements)
        },
        getBookmark: () => session.getBookmark(),
      }
    },
  } as unknown as D1Database
  return { DB, calls }
}

async function fetchWith(DB: D1Database, path: string) {
  const request = new Request(ORIGIN + path, {
    headers: { Authorization: `JWT token="${await sign('GET', path, undefined)}"` },
  })
  const ctx = createExecutionContext()
  const response = await app.fetch(request, { ...env, DB }, ctx)
  return { response, done: () => waitOnExecutionContext(ctx) }
}

/** What comes of a body until it ends or breaks. */
async function drain(response: Response) {
  const decoder = new TextDecoder()
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  let text = ''
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return { text: text + decoder.decode(), broken: null }
      text += decoder.decode(value, { stream: true })
    }
  } catch (error) {
    return { text, broken: error }
  }
}

describe('a long list', () => {
  let seed: Awaited<ReturnType<typeof seedAwards>>
  let slugs: string[]
  beforeAll(async () => {
    seed = await seedAwards(MANY)
    const { results } = await env.DB.prepare(
      'select slug from badgeInstances where badgeId = ? order by id',
    )
      .bind(seed.badge.id)
      .all<{ slug: string }>()
    slugs = results.map(({ slug }) => slug)
  })

  it('comes whole, in order, as one JSON document', async () => {
    const { status, body, headers } = await api.get(`${seed.path}/instances`)
    expect(status).toBe(200)
    expect(headers.get('Content-Type')).toContain('application/json')
    expect(headers.get('Cache-Control')).toBe('private, no-store')
    expect(headers.get('X-Request-Id')).toBeTruthy()
    expect(Object.keys(body)).toEqual(['instances'])
    expect(body.instances.map(slugOf)).toEqual(slugs)
    expect(slugs).toHaveLength(MANY)
    for (const at of [0, 999, 1_000, 1_999, 2_000, 2_499]) {
      expect(body.instances[at].badge).toEqual(seed.badge)
    }
    expect(await news()).toEqual([])
  })

  it('is read a thousand rows at a time, and no earlier than they are taken', async () => {
    const { DB, calls } = faulty('badgeInstances')
    const { response, done } = await fetchWith(DB, `${seed.path}/instances`)
    expect(calls.lists).toBe(1)
    const reader = (response.body as ReadableStream<Uint8Array>).getReader()
    await reader.read()
    expect(calls.lists).toBeLessThanOrEqual(2)
    while (!(await reader.read()).done);
    expect(calls.lists).toBe(3)
    await done()
  })

  it.each([2, 3])(
    'breaks off when the database fails in chunk %i, and never looks whole',
    async (at) => {
      const { DB } = faulty('badgeInstances', at, 'D1_ERROR: no such table: x')
      const { response } = await fetchWith(DB, `${seed.path}/instances`)
      expect(response.status).toBe(200)
      const { text, broken } = await drain(response)
      expect(broken).toBeTruthy()
      expect(text.startsWith('{"instances":[{"slug":')).toBe(true)
      expect(text.split('"slug":"').length).toBeGreaterThan(1_000 * (at - 1))
      expect(text.endsWith(']}')).toBe(false)
      expect(() => JSON.parse(text)).toThrow()
    },
  )

  it('breaks off when the badge is deleted on the way', async () => {
    const doomed = await seedAwards(1_500)
    const { response } = await fetchWith(env.DB, `${doomed.path}/instances`)
    await api.delete(doomed.path)
    const { text, broken } = await drain(response)
    expect(broken).toBeTruthy()
    expect(() => JSON.parse(text)).toThrow()
  })

  it('lives through a fault that passes', async () => {
    const { DB } = faulty('badgeInstances', 2, 'D1_ERROR: Network connection lost.', 1)
    const { response } = await fetchWith(DB, `${seed.path}/instances`)
    const { text, broken } = await drain(response)
    expect(broken).toBeNull()
    expect(JSON.parse(text).instances.map(slugOf)).toEqual(slugs)
  })

  it('that fails before its first byte is answered as an error', async () => {
    const { DB } = faulty('badgeInstances', 1, 'D1_ERROR: no such table: x')
    const { response } = await fetchWith(DB, `${seed.path}/instances`)
    expect(response.status).toBe(500)
    expect(await response.json()).toEqual({
      code: 'InternalError',
      message: 'An internal error occured',
    })
  })

  it('comes in pages of any size', async () => {
    const whole = await api.get(`${seed.path}/instances?page=1&count=${MANY}`)
    expect(whole.body.instances.map(slugOf)).toEqual(slugs)
    const last = await api.get(`${seed.path}/instances?page=3&count=1100`)
    expect(last.body.instances.map(slugOf)).toEqual(slugs.slice(2_200))
    expect(last.body.pageData).toEqual({ page: 3, count: 1_100, total: MANY })
  })

  it('is walked by cursor, a thousand rows at the most, a hundred by default', async () => {
    const first = await api.get(`${seed.path}/instances?cursor=`)
    expect(first.body.instances.map(slugOf)).toEqual(slugs.slice(0, 100))
    const walked: string[] = []
    let next: string | undefined = `${seed.path}/instances?limit=5000`
    const sizes = []
    while (next) {
      const answer: Answer = await api.get(next)
      sizes.push(answer.body.instances.length)
      walked.push(...answer.body.instances.map(slugOf))
      next = nextOf(answer)
    }
    expect(sizes).toEqual([1_000, 1_000, 500])
    expect(walked).toEqual(slugs)
  })
})

describe('a long list whose rows need more', () => {
  it.each([999, 1_000, 1_001, 2_000, 2_001])(
    'of %i codes has the badge at its end',
    async (count) => {
      const seed = await seedBadge(atSystem)
      await env.DB.prepare(
        `with recursive k (n) as (select 0 union all select n + 1 from k where n + 1 < ?2)
       insert into claimCodes (systemId, badgeId, code, op, createdAt, updatedAt)
       select systemId, id, 'code-' || n, '', 0, 0 from k join badges on id = ?1 order by n`,
      )
        .bind(seed.badge.id, count)
        .run()
      const { body } = await api.get(`${seed.path}/codes`)
      expect(Object.keys(body)).toEqual(['claimCodes', 'badge'])
      expect(body.badge).toEqual(seed.badge)
      expect(body.claimCodes.map(({ code }: Row) => code)).toEqual(
        Array.from({ length: count }, (_, n) => `code-${n}`),
      )
    },
  )

  it('shows each award of an earner with its own badge, in every chunk', async () => {
    const seed = await seedBadge(atSystem)
    const email = address()
    const other = (await api.post(`${seed.system}/badges`, badge(unique('other')))).body.badge
    await api.post(`${seed.path}/instances`, { email })
    await api.post(`${seed.system}/badges/${other.slug}/instances`, { email })
    await insertAwards(seed.badge.id, 1_100, `'${email}'`)
    await insertAwards(other.id, 1_100, `'${email.toUpperCase()}'`)
    const { body } = await api.get(`${seed.system}/instances/${email}`)
    expect(body.instances.map(({ badge }: Row) => badge.id)).toEqual([
      seed.badge.id,
      other.id,
      ...Array(1_100).fill(seed.badge.id),
      ...Array(1_100).fill(other.id),
    ])
    expect(body.instances[1_050].badge).toEqual(seed.badge)
    expect(body.instances[2_201].badge).toEqual(other)
  })

  it('keeps the order of applications over its chunks: by badge, then age, then id', async () => {
    const seed = await seedBadge(atSystem)
    const other = (await api.post(`${seed.system}/badges`, badge(unique('other')))).body.badge
    // Ages repeat and run against the ids.
    await env.DB.prepare(
      `with recursive k (n) as (select 0 union all select n + 1 from k where n < 2399)
       insert into applications (slug, systemId, badgeId, learner, op, createdAt, updatedAt)
       select lower(hex(randomblob(16))), b.systemId, b.id, 'l' || n || '@example.org', '', (2400 - n) / 7, 0
       from k join badges b on b.id in (?1, ?2) where n % 2 = (b.id = ?1) order by n`,
    )
      .bind(seed.badge.id, other.id)
      .run()
    const { results } = await env.DB.prepare(
      'select id from applications where badgeId in (?, ?) order by badgeId, createdAt, id',
    )
      .bind(seed.badge.id, other.id)
      .all<{ id: number }>()
    const ids = results.map(({ id }) => id)
    expect(ids).toHaveLength(2_400)
    const { body } = await api.get(`${seed.system}/applications`)
    expect(body.applications.map(({ id }: Row) => id)).toEqual(ids)
    const walked = []
    let next: string | undefined = `${seed.system}/applications?limit=333`
    while (next) {
      const answer: Answer = await api.get(next)
      walked.push(...answer.body.applications.map(({ id }: Row) => id))
      next = nextOf(answer)
    }
    expect(walked).toEqual(ids)
    expect(await news()).toEqual([])
  })
})
