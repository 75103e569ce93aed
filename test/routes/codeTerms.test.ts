import { beforeEach, describe, expect, it } from 'vitest'
import { type Answer, api } from '../helpers/api'
import { badge, levels, outbox, seedBadge, unique } from '../helpers/seed'

/** Claim codes with terms: from when until when, how often and by whom they may be claimed. */

type Seed = Awaited<ReturnType<typeof seedBadge>>

const [system] = levels
const EMAIL = 'ada@example.org'
const PAST = '2001-02-03T04:05:06.000Z'
const FUTURE = '2999-02-03T04:05:06.000Z'

let seed: Seed
beforeEach(async () => {
  seed = await seedBadge(system)
})

const codesOf = (of: Seed) => `${of.path}/codes`
const create = (code: string, more: object) => api.post(codesOf(seed), { code, ...more })
const claim = (code: string, email?: string) =>
  api.post(`${codesOf(seed)}/${code}/claim`, email === undefined ? {} : { email })
const award = (claimCode: string, email = EMAIL) =>
  api.post(`${seed.path}/instances`, { email, claimCode })
const shown = async (code: string) => (await api.get(`${codesOf(seed)}/${code}`)).body
const told = ({ status, body }: Answer) => ({ status, code: body.code, message: body.message })
const refused = (code: string, message: string) => ({ status: 400, code, message })

/** That a code can be used by nobody in neither way, and that trying changes nothing. */
async function expectRefused(code: string, email: string | undefined, as: object) {
  const before = await shown(code)
  const events = (await outbox()).length
  expect(told(await claim(code, email))).toEqual(as)
  if (email !== undefined) expect(told(await award(code, email))).toEqual(as)
  expect(await shown(code)).toEqual(before)
  expect((await outbox()).length).toBe(events)
  expect((await api.get(`${seed.path}/instances`)).body.instances).toEqual([])
}

describe.each(levels)('a code of a badge of a $name', (level) => {
  it('shows the terms it was made with beside the contract’s members, wherever it is shown', async () => {
    seed = await seedBadge(level)
    const given = { validFrom: 1_000_000_000, validUntil: FUTURE, maxUses: '3', multiuse: true }
    const terms = {
      validFrom: '2001-09-09T01:46:40.000Z',
      validUntil: FUTURE,
      maxUses: 3,
      reserved: false,
      uses: 0,
      remaining: 3,
    }
    const made = await create('festival', given)
    expect(made.status).toBe(201)
    const claimCode = {
      id: made.body.claimCode.id,
      code: 'festival',
      claimed: false,
      email: null,
      multiuse: true,
    }
    expect(made.body).toEqual({ status: 'created', claimCode, badge: made.body.badge, terms })
    const random = await api.post(`${codesOf(seed)}/random`, given)
    expect(random.body.terms).toEqual(terms)
    expect((await api.post(`${codesOf(seed)}/batch`, { count: 2, ...given })).body.terms).toEqual(
      terms,
    )
    expect(await shown('festival')).toEqual({ badge: made.body.badge, claimCode, terms })
    expect((await api.get(`${seed.container}/codes/festival`)).body.terms).toEqual(terms)
    const used = await claim('festival', EMAIL)
    expect(used.body.terms).toEqual({ ...terms, uses: 1, remaining: 2 })
    const gone = await api.delete(`${codesOf(seed)}/festival`)
    expect(gone.body.terms).toEqual({ ...terms, uses: 1, remaining: 2 })
    // The list is the contract's own.
    const { claimCodes } = (await api.get(codesOf(seed))).body
    for (const one of claimCodes) expect(Object.keys(one)).toEqual(Object.keys(claimCode))
  })
})

describe('a code without terms', () => {
  it('is answered with what the contract knows, and nothing else', async () => {
    const none = { validFrom: null, validUntil: '', maxUses: null, reserved: false }
    const made = await create('plain', none)
    expect(Object.keys(made.body)).toEqual(['status', 'claimCode', 'badge'])
    expect(Object.keys(await shown('plain'))).toEqual(['badge', 'claimCode'])
    const found = await api.get(`${seed.container}/codes/plain`)
    expect(Object.keys(found.body)).toEqual(['badge'])
    expect(Object.keys((await claim('plain')).body)).toEqual(['status', 'claimCode', 'badge'])
  })
})

describe('the terms of a code', () => {
  const invalid = (field: string, message: string, value: unknown = '') => ({
    code: 'ValidationError',
    message: 'Could not validate required fields',
    details: [{ message, field, value }],
  })

  it.each([
    [{ validFrom: 'soon' }, invalid('validFrom', 'Not a date', 'soon')],
    [{ validUntil: 'late' }, invalid('validUntil', 'Not a date', 'late')],
    [
      { validFrom: FUTURE, validUntil: FUTURE },
      invalid('validUntil', 'Not after `validFrom`', FUTURE),
    ],
    [{ maxUses: 0, multiuse: true }, invalid('maxUses', 'Less than 1')],
    [{ maxUses: 1.5, multiuse: true }, invalid('maxUses', 'Invalid integer', 1.5)],
    [{ maxUses: 2 }, invalid('maxUses', 'More than 1 needs `multiuse`', 2)],
  ])('are no terms: %j', async (fields, body) => {
    for (const [way, more] of Object.entries({ '': { code: 'x' }, '/batch': { count: 2 } })) {
      const answer = await api.post(`${codesOf(seed)}${way}`, { ...more, ...fields })
      expect({ status: answer.status, body: answer.body }).toEqual({ status: 400, body })
    }
    expect((await api.get(codesOf(seed))).body.claimCodes).toEqual([])
  })

  it('reserve a code for an address that is named, and for nobody else', async () => {
    const answer = await create('x', { reserved: true })
    expect({ status: answer.status, body: answer.body }).toEqual({
      status: 400,
      body: invalid('email', 'Required field'),
    })
  })
})

describe('a code', () => {
  it('cannot be claimed before its time', async () => {
    await create('early', { validFrom: FUTURE })
    const message = `Claim code \`early\` cannot be claimed before ${FUTURE}`
    await expectRefused('early', EMAIL, refused('CodeNotYetValid', message))
    await create('now', { validFrom: PAST })
    expect((await award('now')).status).toBe(201)
  })

  it('cannot be claimed after its time', async () => {
    await create('late', { validUntil: PAST })
    const message = `Claim code \`late\` could be claimed until ${PAST}`
    await expectRefused('late', EMAIL, refused('CodeExpired', message))
    await create('now', { validUntil: FUTURE })
    expect((await award('now')).status).toBe(201)
  })

  it('can be claimed as often as it says, by claims and awards together', async () => {
    await create('twice', { multiuse: true, maxUses: 2 })
    expect((await award('twice')).status).toBe(201)
    const found = () => api.get(`${seed.container}/codes/twice`)
    expect((await found()).body.badge.claimed).toBe(0)
    expect((await claim('twice', 'bo@example.org')).body.terms).toMatchObject({
      uses: 2,
      remaining: 0,
    })
    const spent = refused(
      'CodeAlreadyUsed',
      'Claim code `twice` has been claimed as often as it may be',
    )
    expect(told(await claim('twice', 'cy@example.org'))).toEqual(spent)
    expect(told(await award('twice', 'cy@example.org'))).toEqual(spent)
    expect((await found()).body.badge.claimed).toBe(1)
    const { claimCode } = await shown('twice')
    expect(claimCode).toMatchObject({ claimed: true, email: 'bo@example.org' })
  })

  it('of one use tells that it was claimed, as the contract does', async () => {
    await create('once', { maxUses: 1 })
    expect((await claim('once')).body.terms).toMatchObject({ uses: 1, remaining: 0 })
    const message = 'Claim code `once` has already been claimed'
    expect(told(await award('once'))).toEqual(refused('CodeAlreadyUsed', message))
  })

  it('that is reserved is claimed by that address alone, and tells nobody whose it is', async () => {
    const kept = { email: 'Leo@example.org', reserved: true }
    await create('leo', kept)
    await create('leo-too', { ...kept, multiuse: true })
    for (const code of ['leo', 'leo-too']) {
      const message = `Claim code \`${code}\` is reserved for somebody else`
      for (const email of [undefined, EMAIL]) {
        await expectRefused(code, email, refused('CodeReserved', message))
      }
    }
    expect((await claim('leo', 'leo@example.org')).body.claimCode).toMatchObject({
      claimed: true,
      email: 'leo@example.org',
    })
    expect((await award('leo-too', 'LEO@example.org')).status).toBe(201)
    expect((await claim('leo-too', 'leo@example.org')).status).toBe(200)
    expect((await claim('leo-too', EMAIL)).body.code).toBe('CodeReserved')
  })

  it('that is only meant for an address can be claimed by another, as the contract says', async () => {
    await create('meant', { email: 'leo@example.org' })
    expect((await claim('meant', EMAIL)).body.claimCode.email).toBe(EMAIL)
  })

  it('that was reserved for somebody who has been erased is nobody’s', async () => {
    const email = 'leo@example.org'
    await create('leo', { email, reserved: true })
    const erased = await api.post(`${seed.system}/privacy/erase`, { email })
    expect(erased.status).toBe(200)
    for (const one of [undefined, EMAIL, email]) {
      expect((await claim('leo', one)).body.code).toBe('CodeReserved')
    }
  })

  it('of a batch has the terms of its batch', async () => {
    const { claimCodes } = (
      await api.post(`${codesOf(seed)}/batch`, { count: 2, validUntil: PAST })
    ).body
    for (const { code } of claimCodes) {
      expect((await award(code)).body.code).toBe('CodeExpired')
    }
  })

  it('has its terms on one badge, whatever those of another badge’s are', async () => {
    await create('same', { validUntil: PAST })
    const made = await api.post(`${seed.container}/badges`, badge(unique('other')))
    const path = `${seed.container}/badges/${made.body.badge.slug}`
    await api.post(`${path}/codes`, { code: 'same' })
    expect((await api.post(`${path}/codes/same/claim`, {})).status).toBe(200)
    expect((await claim('same')).body.code).toBe('CodeExpired')
  })
})

describe.each(levels)('the codes of a badge of a $name', (level) => {
  it('are listed, and counted, by whether they were claimed, and from one of them on', async () => {
    seed = await seedBadge(level)
    const ids: Record<string, number> = {}
    for (const code of ['one', 'two', 'three', 'four']) {
      ids[code] = (await create(code, {})).body.claimCode.id
    }
    for (const code of ['three', 'two']) await claim(code)
    for (const [query, expected] of Object.entries({
      '': ['one', 'two', 'three', 'four'],
      'claimed=any': ['one', 'two', 'three', 'four'],
      'claimed=true': ['two', 'three'],
      'claimed=false': ['one', 'four'],
      [`from=${ids.three}`]: ['three', 'four'],
      [`from=${ids.three}&claimed=true`]: ['three'],
      [`from=${(ids.four ?? 0) + 1}`]: [],
    })) {
      const list = async (more = '') => {
        const { body } = await api.get(`${codesOf(seed)}?${query}${more}`)
        return { codes: body.claimCodes.map(({ code }: { code: string }) => code), ...body }
      }
      expect((await list()).codes, query).toEqual(expected)
      const { codes, pageData } = await list('&page=1&count=1')
      expect({ codes, total: pageData.total }).toEqual({
        codes: expected.slice(0, 1),
        total: expected.length,
      })
      expect((await list('&limit=1')).codes).toEqual(expected.slice(0, 1))
    }
    for (const [parameter, value] of [
      ['claimed', 'maybe'],
      ['from', 'two'],
    ]) {
      const { status, body } = await api.get(`${codesOf(seed)}?${parameter}=${value}`)
      expect([status, body.code, body.parameter]).toEqual([400, 'InvalidParameter', parameter])
    }
  })
})
