import { env } from 'cloudflare:workers'
import { beforeEach, describe, expect, it } from 'vitest'
import { workOn } from '../../src/jobs'
import { signById } from '../../src/signing'
import { findAwardById, keepCredential } from '../../src/store/credentials'
import { expiryOf } from '../../src/validity'
import { api, ask, ORIGIN } from '../helpers/api'
import { call, count } from '../helpers/calls'
import { db, silent, startCalm } from '../helpers/deliveries'
import { levels, rows, seedBadge, unique } from '../helpers/seed'

startCalm()

/** What becomes of an award: how long it is good, suspension, renewal, amendment. */

const [atSystem, atIssuer, atProgram] = levels
let seed: Awaited<ReturnType<typeof seedBadge>>
const someone = () => `${unique('e')}@example.org`

async function awarded(more: object = {}, path = seed.path) {
  const { status, body } = await call('POST', `${path}/instances`, { email: someone(), ...more })
  expect([status, body.code]).toEqual([201, undefined])
  return body.instance
}
const at = (email: string, rest = '') =>
  `${seed.path}/instances/${encodeURIComponent(email)}${rest}`

/** The types of the events about an award, in their order. */
async function told(slug: string) {
  const { results } = await env.DB.prepare('select type from events where subject = ? order by seq')
    .bind(slug)
    .all<{ type: string }>()
  return results.map(({ type }) => type)
}
const dataOf = async (slug: string, type: string) =>
  JSON.parse(
    `${await env.DB.prepare(
      `select replace(e.data, char(1), coalesce(v.badge, '')) as data from events e
       left join badgeVersions v on v.id = e.versionId where e.subject = ? and e.type = ?`,
    )
      .bind(slug, type)
      .first('data')}`,
  )
const history = async (email: string) => (await call('GET', at(email, '/history'))).body.changes

/** How a document is answered: JSON by default. */
const open = (url: string, accept?: string) =>
  ask('GET', url.slice(ORIGIN.length), { headers: accept ? { Accept: accept } : {} })
async function verify(inquiry: object) {
  const init = {
    body: JSON.stringify(inquiry),
    headers: { 'Content-Type': 'application/json' },
  }
  const { body } = await ask('POST', '/public/verify', init)
  return body
}
const stepOf = (report: { steps: { name: string; result: string }[] }, name: string) =>
  report.steps.find((step) => step.name === name)?.result

describe('a badge that says how long its awards are good', () => {
  beforeEach(async () => {
    seed = await seedBadge(atProgram, { validFor: 'P2Y', unique: 0 })
  })

  it('says so, and only when it does', async () => {
    expect(seed.badge.validFor).toBe('P2Y')
    expect((await api.get(seed.path)).body.badge.validFor).toBe('P2Y')
    const changed = await api.put(seed.path, { validFor: null })
    expect(changed.body.badge).not.toHaveProperty('validFor')
    const { badge } = await seedBadge(atSystem)
    expect(badge).not.toHaveProperty('validFor')
  })

  it.each(['2Y', 'P0D', 'P1Y6M', 'PT5H', 'P101Y', 'P1201M', 'P99999D', '730', 'P2y'])(
    'refuses %s',
    async (validFor) => {
      const { status, body } = await api.put(seed.path, { validFor })
      expect([status, body.details]).toEqual([
        400,
        [{ message: 'Invalid duration', field: 'validFor', value: validFor }],
      ])
    },
  )

  it('counts months and years by the calendar, and no month over', () => {
    const end = (validFor: string, from: string) =>
      new Date(expiryOf(validFor, Date.parse(from)) ?? 0).toISOString()
    expect(end('P1Y', '2024-02-29T10:00:00.001Z')).toBe('2025-02-28T10:00:00.001Z')
    expect(end('P4Y', '2024-02-29T00:00:00.000Z')).toBe('2028-02-29T00:00:00.000Z')
    expect(end('P1M', '2026-01-31T23:59:59.999Z')).toBe('2026-02-28T23:59:59.999Z')
    expect(end('P18M', '2026-08-31T00:00:00.000Z')).toBe('2028-02-29T00:00:00.000Z')
    expect(end('P6W', '2026-01-01T00:00:00.000Z')).toBe('2026-02-12T00:00:00.000Z')
    expect(end('P100Y', '9999-01-01T00:00:00.000Z')).toBe('9999-12-31T23:59:59.999Z')
    expect(expiryOf(null, 0)).toBeNull()
  })

  it('ends single and many awards then, unless they say it themselves', async () => {
    const issuedOn = '2026-02-28T09:08:07.006Z'
    const expires = '2028-02-28T09:08:07.006Z'
    expect((await awarded({ issuedOn })).expires).toBe(expires)
    expect((await awarded({ issuedOn, expires: '2027-01-01' })).expires).toBe(
      '2027-01-01T00:00:00.000Z',
    )
    expect((await awarded({ issuedOn, expires: null })).expires).toBeNull()
    const now = await awarded()
    expect(Date.parse(now.expires)).toBe(expiryOf('P2Y', Date.parse(now.issuedOn)))
    const many = await call('POST', `${seed.path}/instances/bulk`, {
      emails: [someone(), someone()],
      issuedOn,
    })
    expect(many.body.instances.map((one: { expires: string }) => one.expires)).toEqual([
      expires,
      expires,
    ])
    const assertion = await open(now.assertionUrl)
    expect(assertion.body.expires).toBe(Math.floor(Date.parse(now.expires) / 1000))
    expect((await dataOf(now.slug, 'badge.awarded')).instance.expires).toBe(now.expires)
  })

  it('ends those of a claim code, of a review that awards, and of a milestone', async () => {
    const { body: made } = await call('POST', `${seed.path}/codes`, { code: unique('code') })
    expect((await awarded({ claimCode: made.claimCode.code })).expires).not.toBeNull()
    const learner = someone()
    const { body: applied } = await call('POST', `${seed.path}/applications`, { learner })
    const reviews = `${seed.path}/applications/${applied.application.slug}/reviews`
    const { body } = await call('POST', reviews, { author: someone(), award: true })
    expect(Date.parse(body.instance.expires)).toBe(
      expiryOf('P2Y', Date.parse(body.instance.issuedOn)),
    )
    const support = await seedBadgeIn(seed.system)
    await call('POST', `${seed.system}/milestones`, {
      primaryBadgeId: seed.badge.id,
      numberRequired: 1,
      supportBadges: [support.id],
    })
    const { email } = await awarded({}, `${seed.system}/badges/${support.slug}`)
    const { instance } = (await call('GET', at(email))).body
    expect(Date.parse(instance.expires)).toBe(expiryOf('P2Y', Date.parse(instance.issuedOn)))
  })

  it('ends those of a job in the same way, row by row', async () => {
    const starts = [
      '2024-02-29T10:00:00.001Z',
      '1969-12-31T01:02:03.456Z',
      '2026-08-31',
      '9998-05-05',
    ]
    for (const validFor of ['P1Y', 'P18M', 'P1M', 'P45D']) {
      await api.put(seed.path, { validFor })
      const given = [
        ...starts.map((issuedOn) => ({ email: someone(), issuedOn })),
        { email: someone(), issuedOn: '2026-01-01', expires: null },
        { email: someone(), issuedOn: '2026-01-01', expires: '2026-03-03' },
      ]
      const { body } = await call('POST', `${seed.path}/instances/jobs`, { rows: given })
      await workOn(db(), silent, await count('select id as n from jobs where uid = ?', body.job.id))
      const ends = await Promise.all(
        given.map(async ({ email }) => (await call('GET', at(email))).body.instance.expires),
      )
      expect(ends).toEqual([
        ...starts.map((start) =>
          new Date(expiryOf(validFor, Date.parse(start)) ?? 0).toISOString(),
        ),
        null,
        '2026-03-03T00:00:00.000Z',
      ])
    }
  })

  it('is told by messages as answers tell it', async () => {
    await api.put(seed.path, { strapline: 'Again' })
    const uid = await env.DB.prepare('select uid from badges where id = ?')
      .bind(seed.badge.id)
      .first<string>('uid')
    const { badge } = await dataOf(`${uid}`, 'badge.updated')
    expect(JSON.stringify(badge)).toBe(
      JSON.stringify({ ...(await api.get(seed.path)).body.badge, milestones: [] }),
    )
  })
})

async function seedBadgeIn(system: string) {
  const made = await call('POST', `${system}/badges`, {
    slug: unique('support'),
    name: 'Support',
    earnerDescription: 'x',
    consumerDescription: 'x',
    criteriaUrl: 'https://example.org/',
    unique: 0,
    image: 'https://example.org/i.png',
  })
  return made.body.badge as { id: number; slug: string }
}

describe.each(levels)('a suspended award of a $name', (level) => {
  beforeEach(async () => {
    seed = await seedBadge(level)
  })

  it('is not good in any document until it is reinstated', async () => {
    const { email, slug, urls, assertionUrl } = await awarded()
    const before = await open(urls.openBadges3)
    expect(before.status).toBe(200)
    const credential = before.body
    expect((await verify({ credential })).verified).toBe(true)

    const suspended = await call('POST', at(email, '/suspend'), { reason: 'Under review' })
    expect([suspended.status, suspended.body.status]).toEqual([200, 'suspended'])
    expect(suspended.body.instance).toMatchObject({ slug, email })
    for (const url of [assertionUrl, urls.openBadges2, urls.openBadges3]) {
      const { status, body } = await open(url)
      expect([url, status, body.revoked, body.revocationReason]).toEqual([
        url,
        410,
        true,
        'Suspended: Under review',
      ])
      expect(JSON.stringify(body)).not.toContain(email)
    }
    expect((await open(`${urls.openBadges3}.jwt`)).status).toBe(410)
    // Who took the credential along learns it from the list.
    const judged = await verify({ credential })
    expect([judged.verified, stepOf(judged, 'proof'), stepOf(judged, 'status')]).toEqual([
      false,
      'passed',
      'failed',
    ])
    expect(stepOf(await verify({ url: urls.openBadges2 }), 'status')).toBe('failed')
    const page = await open(urls.page, 'text/html')
    expect(page.status).toBe(410)
    expect(page.body).toContain('This badge is suspended')
    expect(page.body).not.toContain(email)

    const back = await call('POST', at(email, '/reinstate'))
    expect([back.status, back.body.status]).toEqual([200, 'reinstated'])
    for (const url of [assertionUrl, urls.openBadges2, urls.openBadges3, urls.page]) {
      expect([url, (await open(url)).status]).toEqual([url, 200])
    }
    expect((await open(urls.openBadges3)).body).toEqual(credential)
    expect((await verify({ credential })).verified).toBe(true)
    expect(await told(slug)).toEqual(['badge.awarded', 'badge.suspended', 'badge.reinstated'])
    expect(await dataOf(slug, 'badge.suspended')).toMatchObject({
      instance: { slug, email },
      badge: { slug: seed.badge.slug },
      reason: 'Under review',
    })
    expect(await history(email)).toMatchObject([
      { award: slug, kind: 'suspended', key: 'master', reason: 'Under review' },
      { award: slug, kind: 'reinstated', key: 'master', reason: null },
    ])
  })

  it('is held, is shown as suspended, and is found by its state', async () => {
    const { email, slug } = await awarded()
    const other = await awarded()
    await call('POST', at(email, '/suspend'), { reason: 'Why' })
    expect((await call('POST', `${seed.path}/instances`, { email })).status).toBe(409)
    const { instance } = (await call('GET', at(email))).body
    expect(instance).toMatchObject({ suspended: expect.any(String), suspensionReason: 'Why' })
    const found = async (state: string, of = seed.path) =>
      (await call('GET', `${of}/instances?state=${state}`)).body.instances.map(
        (one: { slug: string }) => one.slug,
      )
    for (const of of [seed.path, seed.container]) {
      expect(await found('suspended', of)).toEqual([slug])
      expect(await found('valid', of)).toEqual([other.slug])
      expect(await found('live', of)).toEqual([slug, other.slug])
      expect(await found('revoked', of)).toEqual([])
    }
    await call('POST', at(email, '/reinstate'))
    expect((await call('GET', at(email))).body.instance).not.toHaveProperty('suspended')
    expect(await found('suspended')).toEqual([])
  })
})

describe('suspending', () => {
  beforeEach(async () => {
    seed = await seedBadge(atIssuer)
  })

  it('is refused twice, and so is reinstating what is not suspended', async () => {
    const { email } = await awarded()
    expect((await call('POST', at(email, '/reinstate'))).status).toBe(409)
    expect((await call('POST', at(email, '/suspend'))).status).toBe(200)
    const events = await rows('events')
    expect((await call('POST', at(email, '/suspend'))).status).toBe(409)
    expect(await rows('events')).toBe(events)
    expect((await call('POST', at(email, '/suspend'), { reason: 'x'.repeat(501) })).status).toBe(
      400,
    )
    expect((await call('POST', at('nobody@example.org', '/suspend'))).status).toBe(404)
  })

  it('happens once of many at once', async () => {
    const { email, slug } = await awarded()
    const all = await Promise.all(
      Array.from({ length: 5 }, () => call('POST', at(email, '/suspend'))),
    )
    expect(all.map(({ status }) => status).sort()).toEqual([200, 409, 409, 409, 409])
    expect(await told(slug)).toEqual(['badge.awarded', 'badge.suspended'])
  })

  it('leaves a revocation what it is, and is ended by none', async () => {
    const { email, urls } = await awarded()
    await open(urls.openBadges3)
    await call('POST', at(email, '/suspend'), { reason: 'First' })
    await call('DELETE', `${at(email)}?reason=Then`)
    expect((await open(urls.openBadges2)).body.revocationReason).toBe('Then')
    expect((await call('POST', at(email, '/reinstate'))).status).toBe(404)
    const bit = await env.DB.prepare(
      `select c.ended from credentials c join badgeInstances i on i.id = c.awardId where i.email = ?`,
    )
      .bind(email)
      .first('ended')
    expect(bit).toBe(1)
    expect((await history(email)).map(({ kind }: { kind: string }) => kind)).toEqual(['suspended'])
  })

  it('is not undone by a signature that was on its way', async () => {
    const { email, slug } = await awarded()
    await call('POST', at(email, '/suspend'))
    const id = await count('select id as n from badgeInstances where slug = ?', slug)
    await signById(db(), silent, id, Date.now())
    expect(await count('select count(*) as n from credentials where awardId = ?', id)).toBe(0)
  })

  it('counts towards no milestone while it lasts', async () => {
    const support = await seedBadgeIn(seed.system)
    const second = await seedBadgeIn(seed.system)
    await call('POST', `${seed.system}/milestones`, {
      primaryBadgeId: seed.badge.id,
      numberRequired: 2,
      supportBadges: [support.id, second.id],
    })
    const first = `${seed.system}/badges/${support.slug}`
    const { email } = await awarded({}, first)
    await call('POST', `${first}/instances/${email}/suspend`)
    await awarded({ email }, `${seed.system}/badges/${second.slug}`)
    expect((await call('GET', at(email))).status).toBe(404)
  })
})

describe('renewing', () => {
  beforeEach(async () => {
    seed = await seedBadge(atProgram, { validFor: 'P1Y', limit: 1 })
  })

  it('puts another award into the place of the old one, where no other could be made', async () => {
    const first = await awarded({
      issuedOn: '2025-01-01',
      narrative: 'So',
      evidence: 'https://e.org/',
    })
    const { email } = first
    const { body: credential } = await open(first.urls.openBadges3)
    const before = await rows('events')
    const { status, body, headers } = await call('POST', at(email, '/renew'), {
      issuedOn: '2026-01-01',
    })
    expect([status, body.status]).toEqual([201, 'created'])
    const { instance } = body
    expect(instance).toMatchObject({
      email,
      renews: first.slug,
      issuedOn: '2026-01-01T00:00:00.000Z',
      expires: '2027-01-01T00:00:00.000Z',
      narrative: 'So',
      evidence: [{ url: 'https://e.org/' }],
    })
    expect(instance.slug).not.toBe(first.slug)
    expect(headers.get('Location')).toBe(`/public/assertions/${instance.slug}`)
    expect((await call('GET', at(email))).body.instance).toMatchObject({
      slug: instance.slug,
      renews: first.slug,
    })
    // Links both ways; the badge is full as before.
    const old = await open(first.urls.page, 'text/html')
    expect([old.status, old.body.includes(`href="${instance.urls.page}"`)]).toEqual([410, true])
    expect((await open(first.urls.openBadges2)).body.revocationReason).toBe('Renewed')
    expect((await verify({ credential })).verified).toBe(false)
    expect((await open(instance.urls.openBadges2)).status).toBe(200)
    expect((await verify({ url: instance.urls.openBadges3 })).verified).toBe(true)
    expect(await count('select awarded as n from badges where id = ?', seed.badge.id)).toBe(1)
    expect(await told(first.slug)).toEqual(['badge.awarded', 'badge.renewed'])
    expect(await told(instance.slug)).toEqual(['badge.awarded'])
    expect(await rows('events')).toBe(before + 2)
    expect(await dataOf(first.slug, 'badge.renewed')).toMatchObject({
      instance: { slug: first.slug },
      renewedBy: instance.slug,
    })
    expect(await history(email)).toMatchObject([
      { award: first.slug, kind: 'renewed', renewedBy: instance.slug },
    ])
  })

  it('takes other words, and an end of its own', async () => {
    const { email } = await awarded({ narrative: 'Old' })
    const { body } = await call('POST', at(email, '/renew'), { narrative: null, expires: null })
    expect(body.instance.expires).toBeNull()
    expect(body.instance).not.toHaveProperty('narrative')
  })

  it('makes one award of many requests at once, and the old one ends once', async () => {
    const first = await awarded()
    const all = await Promise.all(
      Array.from({ length: 5 }, () => call('POST', at(first.email, '/renew'))),
    )
    const made = all.filter(({ status }) => status === 201)
    // Whoever comes later renews the new one, or finds that somebody was quicker.
    expect(all.every(({ status }) => [201, 404, 409].includes(status))).toBe(true)
    const live = await count(
      'select count(*) as n from badgeInstances where badgeId = ? and revokedAt is null',
      seed.badge.id,
    )
    expect(live).toBe(1)
    expect(await count('select awarded as n from badges where id = ?', seed.badge.id)).toBe(1)
    const chain = await count(
      'select count(distinct renews) as n from badgeInstances where badgeId = ?',
      seed.badge.id,
    )
    expect(chain).toBe(made.length)
  })

  it('is refused of a suspended award, which stays', async () => {
    const { email } = await awarded()
    await call('POST', at(email, '/suspend'))
    expect((await call('POST', at(email, '/renew'))).status).toBe(409)
    await call('POST', at(email, '/reinstate'))
    expect((await call('POST', at(email, '/renew'))).status).toBe(201)
  })
})

describe('amending', () => {
  beforeEach(async () => {
    seed = await seedBadge(atProgram)
  })

  it('changes what all documents say, and keeps what they said', async () => {
    const first = await awarded({
      issuedOn: '2025-01-01',
      narrative: 'Befor',
      evidence: 'https://a.org/',
    })
    const { email, slug, urls } = first
    const { body: old } = await open(urls.openBadges3)
    await open(urls.openBadges2)
    const { status, body } = await call('PUT', at(email), {
      narrative: 'After',
      evidence: [{ url: 'https://b.org/', name: 'B' }],
      reason: 'A slip',
    })
    expect([status, body.status]).toEqual([200, 'updated'])
    expect(body.instance).toMatchObject({ slug, narrative: 'After' })
    expect((await open(urls.openBadges2)).body).toMatchObject({
      narrative: 'After',
      evidence: [{ id: 'https://b.org/', name: 'B' }],
      issuedOn: '2025-01-01T00:00:00Z',
    })
    const { body: credential } = await open(urls.openBadges3)
    expect(credential).toMatchObject({
      id: old.id,
      awardedDate: '2025-01-01T00:00:00Z',
      credentialSubject: { narrative: 'After' },
      credentialStatus: old.credentialStatus,
    })
    expect(credential.validFrom > old.validFrom).toBe(true)
    expect((await verify({ credential })).verified).toBe(true)
    expect((await verify({ url: `${urls.openBadges3}.jwt` })).verified).toBe(true)
    expect((await open(urls.openBadges3)).body).toEqual(credential)
    expect(await history(email)).toEqual([
      {
        award: slug,
        kind: 'amended',
        at: expect.any(String),
        key: 'master',
        reason: 'A slip',
        before: { narrative: 'Befor', evidence: [{ url: 'https://a.org/' }] },
        after: { narrative: 'After', evidence: [{ url: 'https://b.org/', name: 'B' }] },
      },
    ])
    expect(await told(slug)).toEqual(['badge.awarded', 'badge.amended'])
    expect(await dataOf(slug, 'badge.amended')).toMatchObject({
      instance: { slug, narrative: 'After', evidence: [{ url: 'https://b.org/' }] },
      reason: 'A slip',
    })
  })

  it('leaves what is not named, and empties what is null', async () => {
    const { email } = await awarded({ narrative: 'N', evidence: 'https://a.org/' })
    const second = await call('PUT', at(email), { evidence: null })
    expect(second.body.instance.narrative).toBe('N')
    expect(second.body.instance).not.toHaveProperty('evidence')
    expect((await history(email))[0]).toMatchObject({
      before: { narrative: 'N', evidence: [{ url: 'https://a.org/' }] },
      after: { narrative: 'N', evidence: [] },
    })
  })

  it('refuses what amends nothing, and what is no evidence', async () => {
    const { email } = await awarded()
    for (const given of [{}, { email: 'other@example.org' }, { evidence: 'javascript:1' }]) {
      expect((await call('PUT', at(email), given)).status).toBe(400)
    }
    expect((await call('PUT', at('nobody@example.org'), { narrative: 'x' })).status).toBe(404)
    expect(await history(email)).toEqual([])
    const headers = { 'If-Match': '"7"' }
    expect((await call('PUT', at(email), { narrative: 'x' }, { headers })).status).toBe(412)
  })

  it('keeps no signature of what the award said before', async () => {
    const { email, slug, urls } = await awarded({ narrative: 'Old' })
    await open(urls.openBadges3)
    const id = await count('select id as n from badgeInstances where slug = ?', slug)
    const [[stale]] = await db().read(findAwardById(id))
    await call('PUT', at(email), { narrative: 'New' })
    const { ed25519KeyId, rs256KeyId, statusListId, statusIndex } = (await env.DB.prepare(
      'select * from credentials where awardId = ?',
    )
      .bind(id)
      .first()) as Record<'ed25519KeyId' | 'rs256KeyId' | 'statusListId' | 'statusIndex', number>
    await env.DB.prepare('update credentials set proof = null, jwt = null where awardId = ?')
      .bind(id)
      .run()
    await db().batch([
      keepCredential({
        ...{ ed25519KeyId, rs256KeyId, statusListId, statusIndex },
        awardId: id,
        amendedAt: stale?.amendedAt ?? null,
        created: 1_000,
        proof: new Uint8Array(64),
        jwt: new Uint8Array(256),
      }),
    ])
    const { body: credential } = await open(urls.openBadges3)
    expect(credential.credentialSubject.narrative).toBe('New')
    expect((await verify({ credential })).verified).toBe(true)
  })

  it('is exported with the person, and erased', async () => {
    const { email } = await awarded({ narrative: 'Mine' })
    await call('PUT', at(email), { narrative: 'Yours' })
    const privacy = `${seed.system}/privacy`
    const { body } = await call('POST', `${privacy}/export`, { email })
    expect(body.awardChanges).toMatchObject([{ kind: 'amended', before: { narrative: 'Mine' } }])
    const before = await rows('awardChanges')
    expect((await call('POST', `${privacy}/erase`, { email })).status).toBe(200)
    expect(await rows('awardChanges')).toBe(before - 1)
    expect((await call('GET', at(email, '/history'))).status).toBe(404)
  })
})
