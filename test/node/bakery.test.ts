import { createRequire } from 'node:module'
import { deflateSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { bake } from '../../src/bake'
import { chunk } from '../../src/png'

type Image = Buffer
type Extract = (image: Image, done: (error: Error | null, data: string) => void) => void
/** Mozilla's own reader of baked images, from BadgeKit's time. */
const { extract } = createRequire(import.meta.url)('openbadges-bakery') as { extract: Extract }

const SIDE = 40

/** A grey square; the reader wants 256 bytes at least to tell a type by. */
function square(): Uint8Array<ArrayBuffer> {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(SIDE, 0)
  header.writeUInt32BE(SIDE, 4)
  header[8] = 8
  const pixels = Buffer.from({ length: SIDE * (SIDE + 1) }).map((_, at) =>
    at % (SIDE + 1) === 0 ? 0 : (at * 7919) % 251,
  )
  const parts = [
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(pixels)),
    chunk('IEND', new Uint8Array()),
  ]
  return new Uint8Array(Buffer.concat(parts))
}

const extracted = (image: Uint8Array) =>
  new Promise<string>((done, fail) =>
    extract(Buffer.from(image), (error, data) => (error ? fail(error) : done(data))),
  )

it('the bakery of the original reads what we bake, byte for byte', async () => {
  const json = JSON.stringify({ id: 'https://badges.example.org/1', name: 'Größter Roboter 🤖' })
  const image = bake(square(), 'image/png', { version: '2.0', json })
  expect(image && (await extracted(image))).toBe(json)
  await expect(extracted(square())).rejects.toThrow('does not have any baked in data')
})

it('and what we bake again in its place', async () => {
  const once = bake(square(), 'image/png', { version: '2.0', json: '{"n":1}' })
  const twice = once && bake(once, 'image/png', { version: '2.0', json: '{"n":2}' })
  expect(twice && (await extracted(twice))).toBe('{"n":2}')
})
