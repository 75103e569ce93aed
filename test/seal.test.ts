import { describe, expect, it } from 'vitest'
import { base64 } from '../src/crypto'
import { open, readRing, seal } from '../src/seal'

const keyOf = (byte: number) => base64(new Uint8Array(32).fill(byte))
const ringOf = (keys: Record<string, string>) => JSON.stringify(keys)
const OLD = ringOf({ k1: keyOf(1) })
const BOTH = ringOf({ k1: keyOf(1), k2: keyOf(2) })
const NEW = ringOf({ k2: keyOf(2) })
const place = { table: 'keySecrets', row: 'abc', column: 'sealed' }

describe('a sealed secret', () => {
  it.each([[''], ['shhh.secret'], ['ünïcödé \u0000 🔑'], ['x'.repeat(10_000)]])(
    'opens in its own place: %j',
    async (secret) => {
      const sealed = await seal(OLD, secret, place)
      expect(await open(OLD, sealed, place)).toBe(secret)
    },
  )

  it('shows nothing of the secret and is another one each time', async () => {
    const [one, two] = await Promise.all([seal(OLD, 'secret', place), seal(OLD, 'secret', place)])
    expect(one).toMatch(/^v1\.k1\.[A-Za-z0-9+/]{16}\.[A-Za-z0-9+/=]+$/)
    expect(one).not.toContain('secret')
    expect(one).not.toContain(btoa('secret'))
    expect(one.split('.')[2]).not.toBe(two.split('.')[2])
    expect(one.split('.')[3]).not.toBe(two.split('.')[3])
  })

  it.each([
    ['table', { ...place, table: 'webhookSecrets' }],
    ['row', { ...place, row: 'abd' }],
    ['column', { ...place, column: 'other' }],
    ['boundary between words', { table: 'keySecrets', row: 'abc|sealed', column: '' }],
  ])('stays shut when the %s is another', async (_what, elsewhere) => {
    const sealed = await seal(OLD, 'secret', place)
    await expect(open(OLD, sealed, elsewhere)).rejects.toThrow()
  })

  it('stays shut under another key of the same name', async () => {
    const sealed = await seal(OLD, 'secret', place)
    await expect(open(ringOf({ k1: keyOf(9) }), sealed, place)).rejects.toThrow()
  })

  it('stays shut when its key is gone, and says which', async () => {
    const sealed = await seal(OLD, 'secret', place)
    await expect(open(NEW, sealed, place)).rejects.toThrow('ENCRYPTION_KEYS has no key k1')
  })

  it('stays shut when its key is said to be another', async () => {
    const sealed = await seal(BOTH, 'secret', place)
    await expect(open(BOTH, sealed.replace('v1.k2.', 'v1.k1.'), place)).rejects.toThrow()
    const twins = ringOf({ a: keyOf(1), b: keyOf(1) })
    const one = await seal(twins, 'secret', place)
    await expect(open(twins, one.replace('v1.b.', 'v1.a.'), place)).rejects.toThrow()
  })

  it('stays shut after any change to its bytes', async () => {
    const sealed = await seal(OLD, 'secret', place)
    const [version, id, iv = '', text = ''] = sealed.split('.')
    for (const part of ['iv', 'text'] as const) {
      const bytes = Uint8Array.from(atob(part === 'iv' ? iv : text), (c) => c.charCodeAt(0))
      for (let bit = 0; bit < bytes.length * 8; bit++) {
        const changed = bytes.slice()
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        const parts = part === 'iv' ? [base64(changed), text] : [iv, base64(changed)]
        const value = [version, id, ...parts].join('.')
        await expect(open(OLD, value, place), `${part} ${bit}`).rejects.toThrow()
      }
    }
  })

  it.each([
    [''],
    ['secret'],
    ['v1'],
    ['v1.k1'],
    ['v1.k1.AAAAAAAAAAAAAAAA'],
    ['v2.k1.AAAAAAAAAAAAAAAA.AAAA'],
    ['v1.k1.AAAAAAAAAAAAAAAA.'],
    ['v1.k1..AAAA'],
    ['v1.k1.***.AAAA'],
    ['v1..AAAAAAAAAAAAAAAA.AAAA'],
    ['v1.__proto__.AAAAAAAAAAAAAAAA.AAAA'],
  ])('that is malformed does not open: %j', async (sealed) => {
    await expect(open(OLD, sealed, place)).rejects.toThrow()
  })
})

describe('a change of keys', () => {
  it('seals with the newest key and opens with all', async () => {
    const before = await seal(OLD, 'before', place)
    const after = await seal(BOTH, 'after', place)
    expect(after).toMatch(/^v1\.k2\./)
    expect(await open(BOTH, before, place)).toBe('before')
    expect(await open(BOTH, after, place)).toBe('after')
    expect(await open(NEW, after, place)).toBe('after')
    await expect(open(OLD, after, place)).rejects.toThrow('ENCRYPTION_KEYS has no key k2')
  })
})

describe('ENCRYPTION_KEYS', () => {
  it.each([
    ['', 'nothing'],
    ['{}', 'no key'],
    ['[]', 'an empty list'],
    ['null', 'null'],
    ['shhh', 'no JSON'],
    [ringOf({ k1: '' }), 'an empty key'],
    [ringOf({ k1: 'not base64!' }), 'no base64'],
    [ringOf({ k1: base64(new Uint8Array(16)) }), '16 bytes'],
    [ringOf({ k1: base64(new Uint8Array(33)) }), '33 bytes'],
    [ringOf({ k1: keyOf(1), k2: 'AAAA' }), 'one good and one short key'],
    [ringOf({ '2026.1': keyOf(1) }), 'an id with a dot, which ends ids in what is sealed'],
    [ringOf({ '': keyOf(1) }), 'an empty id'],
  ])('is refused when it is %j (%s)', async (ring) => {
    await expect(readRing(ring)).rejects.toThrow()
  })
})
