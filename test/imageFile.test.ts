import { describe, expect, it } from 'vitest'
import { decodeDataUri, readImage } from '../src/imageFile'

const utf8 = (text: string) => new Uint8Array(new TextEncoder().encode(text))
const latin1 = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0))
const be32 = (value: number) => [24, 16, 8, 0].map((shift) => (value >>> shift) & 0xff)
const le32 = (value: number) => be32(value).reverse()
const le16 = (value: number) => le32(value).slice(0, 2)

function join(...parts: (string | Iterable<number>)[]) {
  return new Uint8Array(
    parts.flatMap((part) => [...(typeof part === 'string' ? latin1(part) : part)]),
  )
}

// Bit by bit, so that the table under test is not checked against itself.
function crc32(bytes: Uint8Array) {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  }
  return ~crc >>> 0
}

function chunk(type: string, data: Iterable<number> = []) {
  const body = join(type, data)
  return join(be32(body.length - 4), body, be32(crc32(body)))
}

const PNG_MAGIC = '\x89PNG\r\n\x1a\n'
const header = (width = 2, height = 2, rest = [8, 6, 0, 0, 0]) =>
  chunk('IHDR', [...be32(width), ...be32(height), ...rest])
const DATA = chunk('IDAT', [1, 2, 3])
const END = chunk('IEND')
const png = (...chunks: Uint8Array[]) => join(PNG_MAGIC, ...chunks)

/** The smallest real PNG there is: one pixel, as any encoder writes it. */
const REAL_PNG =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
const REAL_GIF = 'R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7'
const REAL_WEBP = 'UklGRiQAAABXRUJQVlA4IBgAAAAwAQCdASoBAAEAAwA0JaQAA3AA/vuUAAA='

const SOF = (width = 1, height = 1) =>
  join(
    '\xff\xc0\x00\x0b\x08',
    [height >> 8, height & 255, width >> 8, width & 255],
    '\x01\x01\x11\x00',
  )
const SCAN = '\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00'
const jpeg = (...parts: (string | Uint8Array)[]) => join('\xff\xd8', ...parts)
const JFIF = '\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00'

const gif = (width: number, height: number) =>
  join('GIF89a', le16(width), le16(height), '\x80\x00\x00', '\x00'.repeat(6))
const PICTURE = '\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00'

function webp(...chunks: [string, Iterable<number>][]) {
  const body = chunks.map(([type, data]) => {
    const bytes = [...data]
    return join(type, le32(bytes.length), bytes, bytes.length % 2 ? [0] : [])
  })
  const all = join('WEBP', ...body)
  return join('RIFF', le32(all.length), all)
}
const vp8 = (width: number, height: number) =>
  join('\x30\x01\x00\x9d\x01\x2a', le16(width), le16(height), [0, 0])

const SVG_NS = 'xmlns="http://www.w3.org/2000/svg"'
const svg = (content: string, attributes = '') =>
  utf8(`<svg ${SVG_NS} xmlns:xlink="http://www.w3.org/1999/xlink"${attributes}>${content}</svg>`)

const fromBase64 = (text: string) => decodeDataUri(`data:x/x;base64,${text}`) ?? new Uint8Array()
const mimetypeOf = (bytes: Uint8Array) => readImage(bytes)?.mimetype ?? null

describe('PNG', () => {
  it('is known by its bytes, which are given back unchanged', () => {
    const bytes = fromBase64(REAL_PNG)
    expect(readImage(bytes)).toEqual({ mimetype: 'image/png', bytes })
    const minimal = png(header(), chunk('tEXt', latin1('a\0b')), DATA, DATA, END)
    expect(readImage(minimal)).toEqual({ mimetype: 'image/png', bytes: minimal })
  })

  it('may be a view into a larger buffer', () => {
    const whole = join('junk', png(header(), DATA, END), 'junk')
    const file = readImage(whole.subarray(4, -4))
    expect(file?.bytes).toEqual(png(header(), DATA, END))
    expect(file?.bytes.buffer.byteLength).toBe(whole.length - 8)
  })

  it('is refused when cut anywhere', () => {
    const bytes = png(header(), DATA, END)
    for (let size = 0; size < bytes.length; size++) {
      expect(mimetypeOf(bytes.slice(0, size))).toBeNull()
    }
  })

  it('is refused when any byte after the signature differs from its checksum', () => {
    const bytes = png(header(), DATA, END)
    for (let at = 0; at < bytes.length; at++) {
      const changed = bytes.slice()
      changed[at] = (changed[at] ?? 0) ^ 0x10
      expect(mimetypeOf(changed)).toBeNull()
    }
  })

  it.each<[string, Uint8Array]>([
    ['65,535 pixels wide', png(header(65_535, 1), DATA, END)],
    ['4,097 pixels high', png(header(1, 4097), DATA, END)],
    ['2³² − 1 pixels a side', png(header(0xffffffff, 0xffffffff), DATA, END)],
    ['0 pixels wide', png(header(0, 1), DATA, END)],
    ['of an impossible depth', png(header(1, 1, [3, 6, 0, 0, 0]), DATA, END)],
    ['of an unknown colour type', png(header(1, 1, [8, 5, 0, 0, 0]), DATA, END)],
    ['of an unknown compression', png(header(1, 1, [8, 6, 1, 0, 0]), DATA, END)],
    ['of an unknown filter', png(header(1, 1, [8, 6, 0, 1, 0]), DATA, END)],
    ['of an unknown interlacing', png(header(1, 1, [8, 6, 0, 0, 2]), DATA, END)],
    ['without a header', png(DATA, END)],
    ['with a short header', png(chunk('IHDR', be32(1)), DATA, END)],
    ['with two headers', png(header(), header(), DATA, END)],
    ['with a late header', png(chunk('tEXt', [65, 0]), header(), DATA, END)],
    ['without data', png(header(), END)],
    ['without an end', png(header(), DATA)],
    ['with something after the end', png(header(), DATA, END, DATA)],
    ['with one byte after the end', join(png(header(), DATA, END), '\n')],
    ['with an end that holds data', png(header(), DATA, chunk('IEND', [1]))],
    ['with a chunk longer than the file', join(PNG_MAGIC, header(), '\xff\xff\xff\xffIDAT')],
    ['with only its signature', latin1(PNG_MAGIC)],
    ['of 1,001 chunks', png(header(), ...Array.from({ length: 999 }, () => DATA), END)],
  ])('%s is refused', (_name, bytes) => {
    expect(mimetypeOf(bytes)).toBeNull()
  })

  it('may hold 1,000 chunks and be 4,096 pixels a side', () => {
    const chunks = Array.from({ length: 998 }, () => DATA)
    expect(mimetypeOf(png(header(4096, 4096), ...chunks, END))).toBe('image/png')
  })

  it('of 1.5 MB is judged in a moment', () => {
    const bytes = png(header(), chunk('IDAT', new Uint8Array(1_499_900)), END)
    const started = performance.now()
    expect(mimetypeOf(bytes)).toBe('image/png')
    expect(performance.now() - started).toBeLessThan(500)
  })
})

describe('JPEG', () => {
  it('is known by its segments', () => {
    const bytes = jpeg(JFIF, SOF(4096, 4096), SCAN, 'pixels\xff\xd9')
    expect(readImage(bytes)).toEqual({ mimetype: 'image/jpeg', bytes })
    expect(mimetypeOf(jpeg(JFIF, '\xff', SOF(), SCAN, 'x\xff\xd9\0\0'))).toBe('image/jpeg')
  })

  it.each<[string, Uint8Array]>([
    ['with only its signature', jpeg('\xff')],
    ['without a frame', jpeg(JFIF, SCAN, 'x\xff\xd9')],
    ['without a scan', jpeg(JFIF, SOF(), '\xff\xd9')],
    ['without an end', jpeg(JFIF, SOF(), SCAN, 'xxxx')],
    ['too wide', jpeg(SOF(4097, 1), SCAN, 'x\xff\xd9')],
    ['too high', jpeg(SOF(1, 65_535), SCAN, 'x\xff\xd9')],
    ['of no height', jpeg(SOF(1, 0), SCAN, 'x\xff\xd9')],
    ['with a segment longer than the file', jpeg('\xff\xe0\xff\xff', SOF(), SCAN, 'x\xff\xd9')],
    ['with a segment of no length', jpeg('\xff\xe0\x00\x00', SOF(), SCAN, 'x\xff\xd9')],
    ['with text for segments', jpeg('\xff<html><script>alert(1)</script>\xff\xd9')],
  ])('%s is refused', (_name, bytes) => {
    expect(mimetypeOf(bytes)).toBeNull()
  })
})

describe('GIF', () => {
  it('is known by its blocks', () => {
    expect(mimetypeOf(fromBase64(REAL_GIF))).toBe('image/gif')
    const bytes = join(gif(4096, 4096), '\x21\xfe\x03abc\x00', PICTURE, '\x3b')
    expect(readImage(bytes)).toEqual({ mimetype: 'image/gif', bytes })
  })

  it.each<[string, Uint8Array]>([
    ['with only its signature', latin1('GIF89a')],
    ['of another version', join('GIF88a', gif(1, 1).slice(6), PICTURE, ';')],
    ['that is script', latin1('GIF89a/*xxxx*/=1;alert(1)//')],
    ['too wide', join(gif(4097, 1), PICTURE, ';')],
    ['of no height', join(gif(1, 0), PICTURE, ';')],
    ['without a picture', join(gif(1, 1), ';')],
    ['without an end', join(gif(1, 1), PICTURE)],
    [
      'with a picture too large',
      join(gif(1, 1), PICTURE.replace('\x01\x00\x01', '\xff\xff\x01'), ';'),
    ],
  ])('%s is refused', (_name, bytes) => {
    expect(mimetypeOf(bytes)).toBeNull()
  })
})

describe('WebP', () => {
  it.each<[string, Uint8Array]>([
    ['a real one', fromBase64(REAL_WEBP)],
    ['lossy', webp(['VP8 ', vp8(4096, 4096)])],
    ['lossless', webp(['VP8L', join('\x2f', le32(4095 | (4095 << 14)), '\0'.repeat(7))])],
    ['extended', webp(['VP8X', join('\0\0\0\0\xff\x0f\0\xff\x0f\0')], ['VP8 ', vp8(1, 1)])],
    ['animated', webp(['VP8X', join('\x02\0\0\0\0\0\0\0\0\0')], ['ANMF', [1, 2, 3]])],
  ])('%s is taken', (_name, bytes) => {
    expect(readImage(bytes)).toEqual({ mimetype: 'image/webp', bytes })
  })

  it.each<[string, Uint8Array]>([
    ['that is sound', join('RIFF', le32(40), 'WAVEfmt ', '\0'.repeat(40))],
    ['with only its signature', join('RIFF\x04\0\0\0WEBP')],
    ['cut short', webp(['VP8 ', vp8(1, 1)]).slice(0, -1)],
    ['too wide', webp(['VP8 ', vp8(4097, 1)])],
    ['of no height', webp(['VP8 ', vp8(1, 0)])],
    ['without a start code', webp(['VP8 ', join('\0'.repeat(20))])],
    ['of an unknown kind', webp(['VP8Z', vp8(1, 1)])],
    ['too large, extended', webp(['VP8X', join('\0\0\0\0\0\x10\0\0\0\0')], ['VP8 ', vp8(1, 1)])],
    ['without a picture', webp(['VP8X', join('\0'.repeat(10))], ['EXIF', [1, 2]])],
  ])('%s is refused', (_name, bytes) => {
    expect(mimetypeOf(bytes)).toBeNull()
  })
})

describe('SVG', () => {
  it.each<[string, Uint8Array]>([
    ['the smallest', utf8('<svg/>')],
    ['one with a prefix', utf8('<svg:svg xmlns:svg="http://www.w3.org/2000/svg"></svg:svg>')],
    ['one with a byte order mark', join('\xef\xbb\xbf', svg('<path d="M0 0"/>'))],
    [
      'one with a declaration and comments',
      join(
        '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n<!-- a -->',
        svg(''),
        '<!---->\n',
      ),
    ],
    [
      'one with text',
      svg('<title>Ünïcode &amp; &lt;b&gt; &#233; &#x1F469;</title><text x="1">é</text>'),
    ],
    ['one with single quotes and spaces', svg("<g id = 'a'\n fill='red' ></g >")],
    [
      'a gradient',
      svg('<rect fill="url(#a)" style="stroke:url( \'#b\' )"/><use xlink:href="#c"/>'),
    ],
    [
      'a stylesheet',
      svg('<style>.a{fill:url(#b)}</style><style><![CDATA[.a>.b{fill:red}]]></style>'),
    ],
    ['an inner raster', svg('<image xlink:href="data:image/png;base64,AAAA" href=" #a "/>')],
    ['an inner animation', svg('<animate attributeName="cx" from="0" to="9"/>')],
    [
      "Inkscape's metadata",
      svg(
        '<metadata><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">' +
          '<cc:Work rdf:about=""><dc:type rdf:resource="http://purl.org/dc/dcmitype/StillImage"/>' +
          '</cc:Work></rdf:RDF></metadata>',
        ' inkscape:export-filename="C:\\badge.png" data-name="a\\b"',
      ),
    ],
    ['an element called scripture', svg('<scripture/><text>onload=alert(1) javascript:</text>')],
  ])('%s is taken unchanged', (_name, bytes) => {
    expect(readImage(bytes)).toEqual({ mimetype: 'image/svg+xml', bytes })
  })

  it('loses a plain DOCTYPE and nothing else', () => {
    const doctype =
      '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">'
    const file = readImage(utf8(`<?xml version="1.0"?>\n${doctype}\n<svg><text>é</text></svg>`))
    expect(file?.mimetype).toBe('image/svg+xml')
    const text = new TextDecoder().decode(file?.bytes)
    expect(text).toBe('<?xml version="1.0"?>\n\n<svg><text>é</text></svg>')
    expect(mimetypeOf(utf8('<!DOCTYPE svg SYSTEM ">"><svg/>'))).toBe('image/svg+xml')
  })

  it.each<[string, Uint8Array]>([
    ['an element that runs', svg('<script>alert(1)</script>')],
    ['an empty script', svg('<script href="#a"/>')],
    ['a script with a prefix', svg('<s:script xmlns:s="http://www.w3.org/2000/svg">1</s:script>')],
    ['a script in capitals', svg('<SCRIPT>1</SCRIPT>')],
    ['a script over two lines', svg('<script\n>1</script>')],
    ['foreign content', svg('<foreignObject><p/></foreignObject>')],
    ['a frame', svg('<iframe/>')],
    ['a listener', svg('<handler type="application/ecmascript">1</handler>')],
    ['XHTML', svg('<h:p xmlns:h="http://www.w3.org/1999/xhtml"/>')],
    ['XHTML, spelled out', svg('<p xmlns="http://www.w3.org/1999/&#120;html"/>')],
    ['a handler on the root', svg('', ' onload="alert(1)"')],
    ['a handler inside', svg('<g onclick="alert(1)"/>')],
    ['a handler in capitals', svg("<g ONMOUSEOVER='alert(1)'/>")],
    ['a handler after a line break', svg('<g\nonload\n=\n"alert(1)"/>')],
    ['an animated handler', svg('<set attributeName="onmouseover" to="alert(1)"/>')],
    ['an animated link', svg('<a><animate attributeName="xlink:href" values="#a"/></a>')],
    ['a script link', svg('<a xlink:href="javascript:alert(1)"/>')],
    ['a script link, encoded', svg('<a href="java&#115;cript&#x3a;alert(1)"/>')],
    ['a script link, broken up', svg('<a href="java&#9;script:alert(1)"/>')],
    [
      'a script in an animation',
      svg('<animate attributeName="x" values="a;JavaScript:alert(1)"/>'),
    ],
    ['a link out', svg('<a href="https://example.org/"/>')],
    ['a relative link', svg('<use href="other.svg#a"/>')],
    ['a link without a scheme', svg('<image xlink:href="//example.org/x.png"/>')],
    ['a link by another prefix', svg('<use x:href="http://example.org/x#a"/>')],
    ['a page as data', svg('<use href="data:text/html,x"/>')],
    ['an SVG as data', svg('<image href="data:image/svg+xml;base64,AAAA"/>')],
    ['a source out', svg('<image src="http://example.org/x.png"/>')],
    ['another base', svg('<g xml:base="http://example.org/"><use href="#a"/></g>')],
    ['a paint out', svg('<rect fill="url(http://example.org/#a)"/>')],
    ['a paint out in capitals', svg('<rect style="fill:URL( \'//example.org/#a\')"/>')],
    ['a paint out, escaped', svg('<rect fill="u\\72l(http://example.org)"/>')],
    ['a paint out after an inner one', svg('<rect style="a:url(#a);b:url(x)"/>')],
    ['a paint out after much space', svg(`<rect fill="url(${' '.repeat(100)}http://x)"/>`)],
    ['a set of pictures', svg('<rect style="background:image-set(\'http://example.org/x\' 1x)"/>')],
    ['an import', svg('<style>@import "http://example.org/x.css";</style>')],
    ['an import, cut up', svg('<style>@im<!-- -->port "http://example.org/x.css";</style>')],
    ['an import, in CDATA', svg('<style>@imp<![CDATA[ort "http://example.org/x.css";]]></style>')],
    ['an import, encoded', svg('<style>@&#105;mport "x.css";</style>')],
    ['an import, escaped', svg('<style>@\\69mport "x.css";</style>')],
    ['a font from elsewhere', svg('<style>@font-face{src:url("x.woff")}</style>')],
    ['an element in a stylesheet', svg('<style><a/>x</style>')],
    ['an entity', utf8('<!DOCTYPE svg [<!ENTITY a "b">]><svg>&a;</svg>')],
    ['an internal subset', utf8('<!DOCTYPE svg PUBLIC "a" "b" [ ]><svg/>')],
    ['an unknown entity', svg('&nbsp;')],
    ['an entity named after an object', svg('&constructor;')],
    ['a bare ampersand', svg('<g id="a & b"/>')],
    ['a character beyond Unicode', svg('&#x110000;')],
    ['an encoded NUL', svg('&#0;')],
    ['a loose entity declaration', utf8('<svg><!ENTITY a "b"></svg>')],
    ['two DOCTYPEs', utf8('<!DOCTYPE svg><!DOCTYPE svg><svg/>')],
    ['a late DOCTYPE', utf8('<svg><!DOCTYPE svg></svg>')],
    ['a DOCTYPE without an end', utf8('<!DOCTYPE svg "><svg/>')],
    ['a stylesheet instruction', utf8('<?xml-stylesheet href="x.css"?><svg/>')],
    ['an instruction inside', svg('<?php echo 1 ?>')],
    ['a late declaration', utf8(' <?xml version="1.0"?><svg/>')],
    ['another encoding', utf8('<?xml version="1.0" encoding="UTF-7"?><svg/>')],
    ['UTF-16', join([0xff, 0xfe], ...Array.from('<svg/>', (char) => [char.charCodeAt(0), 0]))],
    ['bytes that are not UTF-8', join('<svg>\xff</svg>')],
    ['a control character', utf8('<svg>\u0001</svg>')],
    ['an HTML page', utf8('<!DOCTYPE html><html><svg/></html>')],
    ['text before the root', utf8('x<svg/>')],
    ['text after the root', utf8('<svg/>x')],
    ['two roots', utf8('<svg/><svg/>')],
    ['no root', utf8('<!-- svg -->')],
    ['a root without an end', utf8('<svg><g></g>')],
    ['elements that cross', utf8('<svg><g><a></g></a></svg>')],
    ['an end without a start', utf8('<svg/></svg>')],
    ['an attribute without quotes', utf8('<svg a=b/>')],
    ['an attribute without a value', utf8('<svg a/>')],
    ['attributes without a space', utf8('<svg a="1"b="2"/>')],
    ['a tag inside a value', utf8('<svg a="<b>"/>')],
    ['a value without an end', utf8('<svg a="b/>')],
    ['a tag without an end', utf8('<svg a="b"')],
    ['a comment without an end', utf8('<svg><!-- </svg>')],
    ['data without an end', utf8('<svg><![CDATA[ </svg>')],
    ['a name that is none', utf8('<svg><1/></svg>')],
    ['depth without measure', svg('<g>'.repeat(300) + '</g>'.repeat(300))],
    ['257 KB', svg(' '.repeat(257 * 1024))],
  ])('with %s is refused', (_name, bytes) => {
    expect(mimetypeOf(bytes)).toBeNull()
  })

  it('of 256 KB is judged in linear time', () => {
    const started = performance.now()
    const units = [
      '<a>',
      '<a ',
      '&',
      '&#',
      '<!--',
      '<![CDATA[',
      'a="',
      'url(',
      '"',
      "='",
      ' ',
      '<?',
    ]
    for (const unit of units) {
      const text = unit.repeat(Math.floor(250_000 / unit.length))
      for (const whole of [text, `<svg>${text}`, `<svg a="${text}`, `<svg a="${text}"/>`]) {
        readImage(utf8(whole))
      }
      readImage(svg(`<style>${text}</style>`))
      readImage(utf8(`<!DOCTYPE ${text}`))
      readImage(utf8(`<?xml ${text}`))
    }
    expect(performance.now() - started).toBeLessThan(5000)
  })
})

describe('anything else', () => {
  it.each<[string, Uint8Array]>([
    ['nothing', new Uint8Array()],
    ['text', utf8('hello')],
    ['a page', utf8('<html><body>hello</body></html>')],
    ['a PDF', utf8('%PDF-1.7')],
    ['a BMP', join('BM', '\0'.repeat(60))],
    ['an archive', join('PK\x03\x04', '\0'.repeat(60))],
    ['zeros', new Uint8Array(1000)],
  ])('%s is no image', (_name, bytes) => {
    expect(readImage(bytes)).toBeNull()
  })
})

describe('damaged images', () => {
  it('never throw, whatever 1,000 random changes make of them', () => {
    const random = seeded(20_140_521)
    const originals = [
      fromBase64(REAL_PNG),
      fromBase64(REAL_GIF),
      fromBase64(REAL_WEBP),
      jpeg(JFIF, SOF(), SCAN, 'pixels\xff\xd9'),
      svg('<style>.a{fill:url(#b)}</style><g id="a &amp; b"><use xlink:href="#c"/></g>'),
    ]
    for (let n = 0; n < 1000; n++) {
      for (const original of originals) {
        let bytes = original.slice()
        for (let changes = random(4); changes >= 0; changes--) {
          bytes[random(bytes.length)] = random(256)
        }
        if (random(4) === 0) bytes = bytes.slice(0, random(bytes.length))
        if (random(4) === 0) bytes = join(bytes, bytes.slice(random(bytes.length)))
        expect(() => readImage(bytes)).not.toThrow()
      }
    }
  })
})

/** A small generator of the same numbers on every run (mulberry32). */
function seeded(seed: number) {
  let state = seed
  return (below: number) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % Math.max(below, 1)
  }
}

describe('a data URI', () => {
  it.each([
    ['data:image/png;base64,AAEC/w==', [0, 1, 2, 255]],
    ['DATA:IMAGE/PNG;BASE64,AAEC/w', [0, 1, 2, 255]],
    ['data:image/png;name=a.png;base64,AAEC%2Fw%3D%3D', [0, 1, 2, 255]],
    ['data:image/png; base64,AA EC\n/w==', [0, 1, 2, 255]],
    ['data:image/svg+xml,%3Csvg/%3E', [...utf8('<svg/>')]],
    ['data:image/svg+xml;utf8,<svg a=","/>é', [...utf8('<svg a=","/>é')]],
    ['data:image/svg+xml;charset=utf-8,%C3%A9%ff', [0xc3, 0xa9, 0xff]],
    ['data:image/png;base64,', []],
  ])('%s gives its bytes', (text, bytes) => {
    expect(decodeDataUri(text)).toEqual(Uint8Array.from(bytes))
  })

  it.each([
    '',
    'data:',
    'data:,x',
    'data:image/png',
    'data:image/png;base64',
    'data:image;base64,AAEC',
    'data:image/;base64,AAEC',
    'data:image/png;base64,AAECA',
    'data:image/png;base64,AA=C',
    'data:image/png;base64,AA*C',
    'data:image/png;base64,AAE%',
    'data:image/svg+xml,%',
    'data:image/svg+xml,%4',
    'data:image/svg+xml,%zz',
    'data:image/svg+xml,%+1',
    ' data:image/png;base64,AAEC',
    'http://example.org/,x',
    'javascript:alert(1),x',
  ])('%j is malformed', (text) => {
    expect(decodeDataUri(text)).toBeNull()
  })

  it('of 8 MiB is decoded in linear time', () => {
    const started = performance.now()
    expect(decodeDataUri(`data:image/png;base64,${'AAAA'.repeat(2 ** 21)}`)).toHaveLength(
      3 * 2 ** 21,
    )
    expect(decodeDataUri(`data:image/png,${'%41'.repeat(2 ** 21)}`)).toHaveLength(2 ** 21)
    expect(decodeDataUri(`data:${';'.repeat(2 ** 22)}`)).toBeNull()
    expect(performance.now() - started).toBeLessThan(5000)
  })
})
