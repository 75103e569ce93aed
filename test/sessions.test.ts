import { env } from 'cloudflare:workers'
import { beforeEach, describe, expect, it } from 'vitest'
import { api, ORIGIN } from './helpers/api'
import { levels, seedBadge, unique } from './helpers/seed'
import { signed, under } from './helpers/worker'

/**
 * Read replication, as far as it can be had here: a replica that has stood still. Whatever it has answered once it answers for
 * ever; who begins at the primary, or comes with a bookmark, is answered by what is true. So is whatever writes.
 */
function lagging() {
  const stale = new Map<string, D1Result[]>()
  const served: ('primary' | 'replica')[] = []
  const DB = {
    withSession(from: string) {
      const session = env.DB.withSession('first-primary')
      const isReplica = from === 'first-unconstrained'
      const texts = new Map<object, string>()
      const named = (statement: D1PreparedStatement, name: string): D1PreparedStatement => {
        texts.set(statement, name)
        const { bind, all } = statement
        return Object.assign(statement, {
          bind: (...values: unknown[]) =>
            named(bind.apply(statement, values), name + JSON.stringify(values)),
          all: async () => (await answer(name, async () => [await all.call(statement)]))[0],
        })
      }
      const answer = async (name: string, ask: () => Promise<D1Result[]>) => {
        served.push(isReplica ? 'replica' : 'primary')
        const known = isReplica ? stale.get(name) : undefined
        const results = known ?? (await ask())
        if (isReplica) stale.set(name, results)
        return results.map((one) => ({
          ...one,
          meta: { ...one.meta, served_by_primary: !isReplica },
        }))
      }
      return {
        prepare: (text: string) => named(session.prepare(text), text),
        batch: (statements: D1PreparedStatement[]) =>
          answer(statements.map((one) => texts.get(one)).join(';'), () =>
            session.batch(statements),
          ),
        getBookmark: () => session.getBookmark(),
      }
    },
  } as unknown as D1Database
  return { DB, served }
}

let seed: Awaited<ReturnType<typeof seedBadge>>
let replica: ReturnType<typeof lagging>
beforeEach(async () => {
  seed = await seedBadge(levels[0])
  replica = lagging()
})

const read = (path: string, headers: Record<string, string> = {}) =>
  under({ DB: replica.DB }, new Request(ORIGIN + path, { headers }))
const call = async (method: string, path: string, body?: object, bookmark?: string | null) => {
  const request = await signed(method, path, body)
  if (bookmark) request.headers.set('X-D1-Bookmark', bookmark)
  return under({ DB: replica.DB }, request)
}
/** An award with a slug of its own; gives the answer's bookmark too. */
async function award(slug: string) {
  const { status, headers } = await call('POST', `${seed.path}/instances`, {
    email: 'ada@example.org',
    slug,
  })
  expect(status).toBe(201)
  return headers.get('X-D1-Bookmark')
}

describe('where a replica lags behind', () => {
  it('the emulation does: it goes on saying what it has said', async () => {
    const path = `/public${seed.path}`
    expect((await read(path)).body.name).toBe(seed.badge.name)
    await env.DB.prepare("update badges set name = 'Other' where id = ?").bind(seed.badge.id).run()
    await caches.default.delete(`${ORIGIN}${path}?form=json`)
    expect((await read(path)).body.name).toBe(seed.badge.name)
    expect(replica.served).toEqual(['replica', 'replica'])
  })

  it('who signs is answered by the primary, and sees all that was written, by anybody', async () => {
    const list = `${seed.path}/instances`
    expect((await call('GET', list)).body.instances).toEqual([])
    await award(unique('mine'))
    await api.post(list, { email: 'bo@example.org' })
    expect((await call('GET', list)).body.instances).toHaveLength(2)
    expect(new Set(replica.served)).toEqual(new Set(['primary']))
  })

  it('a public document that was made since is found at the primary, and never told to be missing', async () => {
    const slug = unique('new')
    for (const path of [`/public/assertions/${slug}`, `/public/v2/assertions/${slug}`]) {
      expect([path, (await read(path)).status]).toEqual([path, 404])
    }
    await award(slug)
    replica.served.length = 0
    for (const path of [`/public/assertions/${slug}`, `/public/v2/assertions/${slug}`]) {
      expect([path, (await read(path)).status]).toEqual([path, 200])
    }
    expect(replica.served).toEqual(['replica', 'primary', 'replica', 'primary'])
  })

  it('a public document shows what its reader has written to whoever brings the bookmark', async () => {
    const path = `/public${seed.path}`
    await read(path)
    const { headers } = await call('PUT', seed.path, { name: 'Renamed' })
    const bookmark = headers.get('X-D1-Bookmark') ?? ''
    expect((await read(path, { 'X-D1-Bookmark': bookmark })).body.name).toBe('Renamed')
    // It is kept: the next reader sees it too.
    expect((await read(path)).body.name).toBe('Renamed')
  })

  it('a credential is signed by what the primary says', async () => {
    const slug = unique('signed')
    await award(slug)
    const { status, body } = await read(`/public/v3/credentials/${slug}`)
    expect([status, body.proof?.type ?? body.proof?.[0]?.type]).toEqual([200, 'DataIntegrityProof'])
    expect(replica.served).toContain('primary')
  })

  it('what decides whether something is written is what is true', async () => {
    const bookmark = await award(unique('held'))
    const again = await call(
      'POST',
      `${seed.path}/instances`,
      { email: 'ada@example.org' },
      bookmark,
    )
    expect(again.status).toBe(409)
  })
})
