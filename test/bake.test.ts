import { describe, expect, it } from 'vitest'
import { bake, unbake, unbakeAny } from '../src/bake'
import { fromBase64 } from '../src/crypto'
import { readImage } from '../src/imageFile'
import { chunk, chunksOf } from '../src/png'
import { utf8 } from './helpers/worker'

/** The smallest real PNG there is. */
const PNG = fromBase64(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
)
const SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><circle r="4"/></svg>'
const json = JSON.stringify({ name: 'Größter Roboter 🤖', text: 'a]]>b & <c> "d"' })
const url = 'https://badges.example.org/a?b=1&c="2"'
const v2 = { version: '2.0', json, url } as const
const v3 = { version: '3.0', json } as const

/** What `bake` gives, of something that can carry it. */
function baked(...given: Parameters<typeof bake>) {
  const image = bake(...given)
  if (!image) throw new Error('not baked')
  return image
}
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const latin1 = (data: string) => Uint8Array.from(data, (char) => char.charCodeAt(0))

/** The PNG with a chunk of ours before its end. */
function withChunk(type: string, data: Uint8Array) {
  const one = chunk(type, data)
  const bytes = new Uint8Array(PNG.length + one.length)
  bytes.set(PNG.subarray(0, -12))
  bytes.set(one, PNG.length - 12)
  bytes.set(PNG.subarray(-12), PNG.length - 12 + one.length)
  return bytes
}

async function deflated(data: Uint8Array<ArrayBuffer>) {
  const stream = new Blob([data]).stream().pipeThrough(new CompressionStream('deflate'))
  return new Uint8Array(await new Response(stream).arrayBuffer())
}
const joined = (a: Uint8Array, b: Uint8Array) => new Uint8Array([...a, ...b])

describe.each([v2, v3])('a credential of version $version', (payload) => {
  const { version } = payload

  it('comes out of a PNG byte for byte, umlauts and emoji too', () => {
    const image = baked(PNG, 'image/png', payload)
    expect(unbake(image)).toEqual({ version, text: json })
    expect(unbake(image, 'image/png')).toEqual({ version, text: json })
  })

  it('stands in one uncompressed iTXt chunk right after IHDR', () => {
    const image = baked(PNG, 'image/png', payload)
    const chunks = [...chunksOf(image)]
    expect(chunks.map(({ type }) => type)).toEqual(['IHDR', 'iTXt', 'IDAT', 'IEND'])
    const { at = 0 } = chunks[1] ?? {}
    const keyword = version === '2.0' ? 'openbadges' : 'openbadgecredential'
    expect(text(image.subarray(at + 8)).startsWith(`${keyword}\0\0\0\0\0{"name"`)).toBe(true)
  })

  it('leaves an image that may be stored, with right checksums', () => {
    expect(readImage(baked(PNG, 'image/png', payload))?.mimetype).toBe('image/png')
    expect(readImage(baked(utf8(SVG), 'image/svg+xml', payload))?.mimetype).toBe('image/svg+xml')
  })

  it('takes the place of one that was there, whatever its kind of chunk', async () => {
    const keyword = version === '2.0' ? 'openbadges' : 'openbadgecredential'
    const old = [
      withChunk('tEXt', latin1(`${keyword}\0old`)),
      withChunk('iTXt', latin1(`${keyword}\0\0\0\0\0old`)),
      withChunk('zTXt', joined(latin1(`${keyword}\0\0`), await deflated(utf8('old')))),
    ]
    const fresh = baked(PNG, 'image/png', payload)
    for (const image of [...old, fresh]) expect(baked(image, 'image/png', payload)).toEqual(fresh)
  })

  it('leaves other texts of a PNG alone', () => {
    const image = baked(withChunk('tEXt', latin1('openbadgesque\0kept')), 'image/png', payload)
    expect([...chunksOf(image)].map(({ type }) => type)).toContain('tEXt')
  })

  it('comes out of an SVG byte for byte', () => {
    const image = baked(utf8(SVG), 'image/svg+xml', payload)
    expect(unbake(image)).toEqual({ version, text: json })
    expect(text(image)).toContain('<circle r="4"/></svg>')
  })

  it('stands directly after the opening tag of an SVG, in the namespace of its version', () => {
    const image = text(baked(utf8(SVG), 'image/svg+xml', payload))
    const [namespace, element] =
      version === '2.0'
        ? [
            'http://openbadges.org',
            'assertion verify="https://badges.example.org/a?b=1&#38;c=&#34;2&#34;"',
          ]
        : ['https://purl.imsglobal.org/ob/v3p0', 'credential']
    expect(image).toContain(
      `<svg xmlns:openbadges="${namespace}" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><openbadges:${element}><![CDATA[{`,
    )
  })

  it('takes the place of any that an SVG carried, of either version', () => {
    const fresh = baked(utf8(SVG), 'image/svg+xml', payload)
    for (const other of [v2, v3]) {
      const once = baked(utf8(SVG), 'image/svg+xml', other)
      expect(text(baked(once, 'image/svg+xml', payload))).toBe(text(fresh))
    }
  })
})

describe('SVG', () => {
  it('keeps what stands before the root, and opens an empty root', () => {
    const image = text(
      baked(utf8(`<?xml version="1.0"?>\n<!-- a > b -->\n<svg a="x>y" />\n`), 'image/svg+xml', v3),
    )
    expect(image).toMatch(
      /^<\?xml version="1.0"\?>\n<!-- a > b -->\n<svg xmlns:openbadges="[^"]+" a="x>y"><openbadges:credential>.*<\/openbadges:credential><\/svg>\n$/,
    )
  })

  it('finds an element by its namespace, whatever its prefix, and replaces it', () => {
    const svg = `<svg xmlns:ob="http://openbadges.org"><ob:assertion verify="https://a.example.org/1"/><g/></svg>`
    expect(unbake(utf8(svg))).toEqual({ version: '1.x url', text: 'https://a.example.org/1' })
    const again = text(baked(utf8(svg), 'image/svg+xml', v2))
    expect(again).not.toContain('a.example.org')
    expect(again).toContain('<g/></svg>')
  })

  it('gives the token of a signed badge, which stands in its attribute', () => {
    const svg = `<svg xmlns:openbadges="https://purl.imsglobal.org/ob/v3p0"><openbadges:credential verify="a.b.c"></openbadges:credential></svg>`
    expect(unbake(utf8(svg))).toEqual({ version: '3.0', text: 'a.b.c' })
  })

  it('holds nothing that XML has no place for', () => {
    const image = baked(utf8(SVG), 'image/svg+xml', { version: '3.0', json: '{"a":"\uffff"}' })
    expect(readImage(image)).not.toBeNull()
    expect(JSON.parse(unbake(image)?.text ?? '')).toEqual({ a: '\uffff' })
  })
})

describe('what cannot carry a credential', () => {
  it.each(['image/jpeg', 'image/gif', 'image/webp', 'text/plain'])('%s', (mimetype) => {
    expect(bake(PNG, mimetype, v2)).toBeNull()
  })

  it('is a file that is not what it is said to be', () => {
    expect(bake(utf8('GIF89a'), 'image/png', v2)).toBeNull()
    expect(bake(PNG.slice(0, 40), 'image/png', v2)).toBeNull()
    expect(bake(PNG, 'image/svg+xml', v2)).toBeNull()
    expect(bake(utf8('no markup'), 'image/svg+xml', v2)).toBeNull()
  })

  it('and has none', () => {
    for (const image of [PNG, utf8(SVG), utf8('GIF89a'), new Uint8Array(), PNG.slice(0, 20)]) {
      expect(unbake(image)).toBeNull()
    }
    expect(unbake(withChunk('iTXt', latin1('openbadges\0\0\0')))).toBeNull()
    expect(unbake(withChunk('iTXt', latin1('openbadges')))).toBeNull()
  })
})

describe('what others have baked', () => {
  it('may be no more than an address, as before 1.0', () => {
    const image = withChunk('tEXt', latin1('openbadges\0https://old.example.org/1'))
    expect(unbake(image)).toEqual({ version: '1.x url', text: 'https://old.example.org/1' })
  })

  it('may carry both versions: the one that stands by itself is read', () => {
    const image = baked(baked(PNG, 'image/png', v2), 'image/png', { version: '3.0', json: '{}' })
    expect(unbake(image)).toEqual({ version: '3.0', text: '{}' })
  })

  it('may be compressed', async () => {
    const data = await deflated(utf8(json))
    const images = [
      withChunk('zTXt', joined(latin1('openbadges\0\0'), data)),
      withChunk('iTXt', joined(latin1('openbadges\0\x01\0en\0word\0'), data)),
    ]
    for (const image of images) {
      expect(await unbakeAny(image)).toEqual({ version: '2.0', text: json })
      expect(unbake(image)).toBeNull()
    }
  })

  it('is not inflated beyond a megabyte, nor when it is broken', async () => {
    const bomb = await deflated(new Uint8Array(50_000_000))
    for (const data of [bomb, utf8('no zlib')]) {
      expect(await unbakeAny(withChunk('zTXt', joined(latin1('openbadges\0\0'), data)))).toBeNull()
    }
  })
})
