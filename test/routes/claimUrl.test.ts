import { beforeAll, describe, expect, it } from 'vitest'
import { api } from '../helpers/api'
import { container, levels, seedBadge, unique } from '../helpers/seed'

/** The address at which an organisation has its codes claimed. */

const [system] = levels
const TEMPLATE = 'https://city.example.org/claim/{badge}?code={code}'

describe('the claim address of a system', () => {
  it('is given with the system or later, changed, left as it is, and taken away', async () => {
    const made = await api.post('/systems', { ...container(unique('city')), claimUrl: TEMPLATE })
    expect(made.status).toBe(201)
    expect(made.body.system.claimUrl).toBe(TEMPLATE)
    const path = `/systems/${made.body.system.slug}`
    const shown = async () => (await api.get(path)).body.system
    expect((await api.put(path, { name: 'City' })).body.system.claimUrl).toBe(TEMPLATE)
    const local = 'http://127.0.0.1:8000/#/{code}'
    expect((await api.put(path, { claimUrl: local })).body.system.claimUrl).toBe(local)
    expect((await shown()).claimUrl).toBe(local)
    for (const none of ['', null]) {
      await api.put(path, { claimUrl: TEMPLATE })
      expect((await api.put(path, { claimUrl: none })).body.system).not.toHaveProperty('claimUrl')
      expect(await shown()).not.toHaveProperty('claimUrl')
    }
  })

  it.each([
    'https://city.example.org/claim',
    'https://city.example.org/{badge}',
    'http://city.example.org/{code}',
    'https://{code}.example.org/',
    'https://{badge}.example.org/{code}',
    'https://ada:secret@city.example.org/{code}',
    'ftp://city.example.org/{code}',
    'city.example.org/{code}',
    'javascript:alert("{code}")',
    `https://city.example.org/${'x'.repeat(500)}/{code}`,
  ])('is none of %s', async (claimUrl) => {
    const path = (await seedBadge(system)).system
    const { status, body } = await api.put(path, { claimUrl })
    expect(status).toBe(400)
    expect(body.details).toMatchObject([{ field: 'claimUrl', value: claimUrl }])
    expect((await api.get(path)).body.system).not.toHaveProperty('claimUrl')
  })

  it('is the system’s, and said of no other container', async () => {
    const seed = await seedBadge(levels[1])
    const changed = await api.put(seed.container, { claimUrl: TEMPLATE })
    expect(changed.status).toBe(200)
    expect(changed.body.issuer).not.toHaveProperty('claimUrl')
  })
})

describe.each(levels)('the codes of a badge of a $name', (level) => {
  let seed: Awaited<ReturnType<typeof seedBadge>>
  beforeAll(async () => {
    seed = await seedBadge(level)
    await api.put(seed.system, { claimUrl: TEMPLATE })
  })

  it('tell where they are claimed, in every answer about one', async () => {
    const urlOf = (code: string) =>
      `https://city.example.org/claim/${seed.badge.slug}?code=${encodeURIComponent(code)}`
    const code = 'a&b {badge}/ü'
    const one = `${seed.path}/codes/${encodeURIComponent(code)}`
    for (const { body } of [
      await api.post(`${seed.path}/codes`, { code }),
      await api.get(one),
      await api.post(`${one}/claim`, {}),
      await api.delete(one),
    ]) {
      expect(body.claimUrl).toBe(urlOf(code))
      expect(body.claimCode).not.toHaveProperty('claimUrl')
      expect(body.badge).not.toHaveProperty('claimUrl')
    }
    const { body } = await api.post(`${seed.path}/codes/random`)
    expect(body.claimUrl).toBe(urlOf(body.claimCode.code))
  })

  it('say it of the system they are in, at the time they are asked', async () => {
    await api.post(`${seed.path}/codes`, { code: 'x' })
    const first = await api.get(`${seed.path}/codes/x`)
    await api.put(seed.system, { claimUrl: 'https://new.example.org/{code}' })
    const second = await api.get(`${seed.path}/codes/x`)
    expect(second.body.claimUrl).toBe('https://new.example.org/x')
    expect(second.headers.get('ETag')).not.toBe(first.headers.get('ETag'))
    const other = await seedBadge(level)
    await api.post(`${other.path}/codes`, { code: 'x' })
    expect((await api.get(`${other.path}/codes/x`)).body).not.toHaveProperty('claimUrl')
  })
})
