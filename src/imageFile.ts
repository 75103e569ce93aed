type Mimetype = 'image/png' | 'image/jpeg' | 'image/gif' | 'image/webp' | 'image/svg+xml'

/** An acceptable image: what its bytes are, and the bytes to store. */
export type ImageFile = { mimetype: Mimetype; bytes: Uint8Array<ArrayBuffer> }

/** The largest upload that fits a database row; the caller answers 413 above it. */
export const MAX_IMAGE_BYTES = 1_500_000

const MAX_SVG_BYTES = 256 * 1024
const MAX_SIDE = 4096 // and so 16 Mi pixels: what a viewer must be able to hold
const MAX_CHUNKS = 1000
const MAX_SVG_DEPTH = 200

/**
 * Tells by its bytes alone whether an upload is an image that may be stored, and of which kind.
 * Nothing is ever inflated: structure, checksums and the stated size are read, pixels are not.
 * An SVG must be unable to run or load anything; a plain DOCTYPE, which BadgeKit's own studio
 * wrote, is taken out of it. Null: not an acceptable image.
 */
export function readImage(bytes: Uint8Array): ImageFile | null {
  const raster = RASTERS.find(({ magic }) => startsWith(bytes, 0, magic))
  if (!raster) return readSvg(bytes)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return raster.isWhole(view) ? { mimetype: raster.mimetype, bytes: new Uint8Array(bytes) } : null
}

/**
 * The bytes of `data:<type>/<subtype>[;parameters][;base64],<data>`; null when it is malformed.
 * The type it claims is not looked at: `readImage` judges the bytes.
 */
export function decodeDataUri(text: string): Uint8Array<ArrayBuffer> | null {
  const comma = text.indexOf(',')
  if (comma === -1 || text.slice(0, 5).toLowerCase() !== 'data:') return null
  const [type = '', ...parameters] = text.slice(5, comma).split(';')
  if (!/^[\w.+-]+\/[\w.+-]+$/.test(type.trim())) return null
  const bytes = decodePercent(new TextEncoder().encode(text.slice(comma + 1)))
  if (!bytes || parameters.at(-1)?.trim().toLowerCase() !== 'base64') return bytes
  try {
    const binary = atob(new TextDecoder().decode(bytes))
    const decoded = new Uint8Array(binary.length)
    for (let at = 0; at < binary.length; at++) decoded[at] = binary.charCodeAt(at)
    return decoded
  } catch {
    return null
  }
}

function decodePercent(text: Uint8Array): Uint8Array<ArrayBuffer> | null {
  const bytes = new Uint8Array(text.length)
  let size = 0
  for (let at = 0; at < text.length; at++) {
    let byte = text[at] ?? 0
    if (byte === 0x25) {
      const digits = String.fromCharCode(text[at + 1] ?? 0, text[at + 2] ?? 0)
      if (!/^[\da-f]{2}$/i.test(digits)) return null
      byte = Number.parseInt(digits, 16)
      at += 2
    }
    bytes[size++] = byte
  }
  return bytes.slice(0, size)
}

const RASTERS: { magic: string; mimetype: Mimetype; isWhole: (view: DataView) => boolean }[] = [
  { magic: '\x89PNG\r\n\x1a\n', mimetype: 'image/png', isWhole: isPng },
  { magic: '\xff\xd8\xff', mimetype: 'image/jpeg', isWhole: isJpeg },
  { magic: 'GIF87a', mimetype: 'image/gif', isWhole: isGif },
  { magic: 'GIF89a', mimetype: 'image/gif', isWhole: isGif },
  { magic: 'RIFF', mimetype: 'image/webp', isWhole: isWebp },
]

function isPng(view: DataView): boolean {
  let at = 8
  let hasData = false
  for (let count = 1; count <= MAX_CHUNKS && at + 12 <= view.byteLength; count++) {
    const length = view.getUint32(at)
    const end = at + 12 + length
    if (end > view.byteLength || crc32(view, at + 4, end - 4) !== view.getUint32(end - 4)) {
      return false
    }
    const type = tag(view, at + 4)
    if ((type === 'IHDR') !== (count === 1)) return false
    if (type === 'IHDR' && !isPngHeader(view, at + 8, length)) return false
    if (type === 'IEND') return length === 0 && hasData && end === view.byteLength
    hasData ||= type === 'IDAT'
    at = end
  }
  return false
}

function isPngHeader(view: DataView, at: number, length: number): boolean {
  if (length !== 13 || !isSane(view.getUint32(at), view.getUint32(at + 4))) return false
  const depths: Record<number, number[]> = {
    0: [1, 2, 4, 8, 16],
    2: [8, 16],
    3: [1, 2, 4, 8],
    4: [8, 16],
    6: [8, 16],
  }
  const depth = view.getUint8(at + 8)
  return (
    depths[view.getUint8(at + 9)]?.includes(depth) === true &&
    view.getUint16(at + 10) === 0 &&
    view.getUint8(at + 12) <= 1
  )
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  return crc
})

function crc32(view: DataView, start: number, end: number): number {
  let crc = 0xffffffff
  for (let at = start; at < end; at++) {
    crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ view.getUint8(at)) & 0xff] ?? 0)
  }
  return ~crc >>> 0
}

/** Segments by length up to the scan, a frame header among them, and an end marker after it. */
function isJpeg(view: DataView): boolean {
  let hasFrame = false
  for (let at = 2; at + 4 <= view.byteLength; ) {
    const marker = view.getUint16(at)
    if (marker === 0xffff) {
      at++ // a fill byte
      continue
    }
    if (marker < 0xffc0 || (marker >= 0xffd0 && marker <= 0xffd9)) return false
    const end = at + 2 + view.getUint16(at + 2)
    if (end < at + 4 || end > view.byteLength) return false
    if (marker === 0xffda) return hasFrame && hasEndOfJpeg(view, end)
    const isFrame = marker <= 0xffcf && ![0xffc4, 0xffc8, 0xffcc].includes(marker)
    if (isFrame) {
      if (end < at + 10 || !isSane(view.getUint16(at + 7), view.getUint16(at + 5))) return false
      hasFrame = true
    }
    at = end
  }
  return false
}

function hasEndOfJpeg(view: DataView, start: number): boolean {
  for (let at = view.byteLength - 2; at >= start; at--) {
    if (view.getUint16(at) === 0xffd9) return true
  }
  return false
}

/** Blocks by length, at least one picture, and the trailer. */
function isGif(view: DataView): boolean {
  if (view.byteLength < 14 || !isSane(view.getUint16(6, true), view.getUint16(8, true)))
    return false
  let hasPicture = false
  for (let at = 13 + gifTable(view.getUint8(10)); at < view.byteLength; ) {
    const block = view.getUint8(at)
    if (block === 0x3b) return hasPicture
    if (block === 0x21) at += 2
    else if (block === 0x2c && at + 11 <= view.byteLength) {
      if (!isSane(view.getUint16(at + 5, true), view.getUint16(at + 7, true))) return false
      at += 11 + gifTable(view.getUint8(at + 9))
      hasPicture = true
    } else return false
    // Sub-blocks, each led by its length, up to an empty one.
    while (at < view.byteLength && view.getUint8(at) !== 0) at += 1 + view.getUint8(at)
    at++
  }
  return false
}

function gifTable(flags: number): number {
  return flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0
}

/** Chunks by length, the first of them with a sane size, and a picture among them. */
function isWebp(view: DataView): boolean {
  if (view.byteLength < 30 || tag(view, 8) !== 'WEBP' || !isSane(...webpSize(view))) return false
  const end = view.getUint32(4, true) + 8
  if (end > view.byteLength) return false
  let hasPicture = false
  let at = 12
  while (at + 8 <= end) {
    hasPicture ||= ['VP8 ', 'VP8L', 'ANMF'].includes(tag(view, at))
    const length = view.getUint32(at + 4, true)
    at += 8 + length + (length % 2)
  }
  return hasPicture && at === end
}

function webpSize(view: DataView): [number, number] {
  const kind = tag(view, 12)
  if (kind === 'VP8X') {
    return [(view.getUint32(24, true) & 0xffffff) + 1, (view.getUint32(26, true) >>> 8) + 1]
  }
  if (kind === 'VP8L' && view.getUint8(20) === 0x2f) {
    const bits = view.getUint32(21, true)
    return [(bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1]
  }
  const isFrame = kind === 'VP8 ' && (view.getUint32(22) & 0xffffff) === 0x9d012a
  if (!isFrame) return [0, 0]
  return [view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff]
}

function isSane(width: number, height: number): boolean {
  return width >= 1 && width <= MAX_SIDE && height >= 1 && height <= MAX_SIDE
}

function tag(view: DataView, at: number): string {
  return String.fromCharCode(...new Uint8Array(view.buffer, view.byteOffset + at, 4))
}

function startsWith(bytes: Uint8Array, at: number, magic: string): boolean {
  return [...magic].every((char, index) => bytes[at + index] === char.charCodeAt(0))
}

/** One piece of an SVG's text, which ends at `end`. Text and attribute values are decoded. */
type Token = { end: number } & (
  | { kind: 'comment' | 'doctype' }
  | { kind: 'text'; value: string }
  | { kind: 'open'; name: string; attributes: [string, string][]; isEmpty: boolean }
  | { kind: 'close'; name: string }
)

type SvgState = { open: string[]; hasRoot: boolean; doctype: [number, number]; css: string }

// biome-ignore lint/suspicious/noControlCharactersInRegex: XML has no place for them
const NOT_XML = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/
const XML_DECLARATION =
  /^<\?xml\s+version\s*=\s*["']1\.\d["'](?:\s+encoding\s*=\s*["']([\w.-]+)["'])?(?:\s+standalone\s*=\s*["']\w+["'])?\s*\?>/
const NAME = /^[a-z_:\u0080-\uffff][\w:.\-\u0080-\uffff]*$/i
const SPACES = /[ \t\r\n]*/y
const NAME_CHARS = /[^ \t\r\n=/>]*/y
const INNER_REFERENCE = /^(?:#|data:image\/(?:png|jpe?g|gif|webp)[;,])/i
const ENTITIES = new Map(Object.entries({ amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }))
/** Elements that run, embed or play something else; `handler` and `listener` are SVG Tiny's. */
const UNSAFE_ELEMENTS = new Set(
  'script foreignobject iframe embed object audio video link handler listener'.split(' '),
)
const UNSAFE_CSS = ['@import', 'image-set(', 'src(']

function readSvg(bytes: Uint8Array): ImageFile | null {
  const text = bytes.length <= MAX_SVG_BYTES ? decodeUtf8(bytes) : null
  if (text === null || NOT_XML.test(text)) return null
  const declaration = XML_DECLARATION.exec(text.slice(0, 300))
  // A viewer would believe another encoding, and read other text than this check did.
  if (!/^(?:utf-?8|us-ascii)$/i.test(declaration?.[1] ?? 'utf-8')) return null
  const state: SvgState = { open: [], hasRoot: false, doctype: [0, 0], css: '' }
  for (let at = declaration?.[0].length ?? 0; at < text.length; ) {
    const token = nextToken(text, at)
    if (!token || !isSafe(token, at, state)) return null
    at = token.end
  }
  if (!state.hasRoot || state.open.length > 0) return null
  const [from, to] = state.doctype
  const kept = to === 0 ? bytes : new TextEncoder().encode(text.slice(0, from) + text.slice(to))
  return { mimetype: 'image/svg+xml', bytes: new Uint8Array(kept) }
}

function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes)
  } catch {
    return null
  }
}

/** Reads on from `at`, each character once; null where XML ends or a forbidden part begins. */
function nextToken(text: string, at: number): Token | null {
  if (text[at] !== '<') {
    const end = text.indexOf('<', at)
    const value = decodeEntities(text.slice(at, end === -1 ? text.length : end))
    return value === null ? null : { kind: 'text', value, end: end === -1 ? text.length : end }
  }
  if (text.startsWith('<!--', at)) {
    const end = text.indexOf('-->', at + 4)
    return end === -1 ? null : { kind: 'comment', end: end + 3 }
  }
  if (text.startsWith('<![CDATA[', at)) {
    const end = text.indexOf(']]>', at + 9)
    return end === -1 ? null : { kind: 'text', value: text.slice(at + 9, end), end: end + 3 }
  }
  if (text.startsWith('<!DOCTYPE', at)) return readDoctype(text, at)
  if (text.startsWith('</', at)) {
    const end = text.indexOf('>', at)
    return end === -1 ? null : { kind: 'close', name: text.slice(at + 2, end).trim(), end: end + 1 }
  }
  // No other `<!` belongs in a document, and a processing instruction can name a stylesheet.
  return text[at + 1] === '!' || text[at + 1] === '?' ? null : readTag(text, at)
}

function readDoctype(text: string, at: number): Token | null {
  for (let end = at; end < text.length; end++) {
    const char = text[end]
    if (char === '[') return null
    if (char === '>') return { kind: 'doctype', end: end + 1 }
    if (char === '"' || char === "'") {
      end = text.indexOf(char, end + 1)
      if (end === -1) return null
    }
  }
  return null
}

function readTag(text: string, start: number): Token | null {
  let at = skip(text, start + 1, NAME_CHARS)
  const name = text.slice(start + 1, at)
  const attributes: [string, string][] = []
  if (!NAME.test(name)) return null
  for (;;) {
    const before = at
    at = skip(text, at, SPACES)
    if (text[at] === '>') return { kind: 'open', name, attributes, isEmpty: false, end: at + 1 }
    if (text.startsWith('/>', at)) {
      return { kind: 'open', name, attributes, isEmpty: true, end: at + 2 }
    }
    const nameEnd = skip(text, at, NAME_CHARS)
    const key = text.slice(at, nameEnd)
    const equals = skip(text, nameEnd, SPACES)
    const open = skip(text, equals + 1, SPACES)
    const quote = text[open]
    if (at === before || !NAME.test(key) || text[equals] !== '=') return null
    if (quote !== '"' && quote !== "'") return null
    const close = text.indexOf(quote, open + 1)
    const value = close === -1 ? null : decodeEntities(text.slice(open + 1, close))
    if (value === null || text.slice(open + 1, close).includes('<')) return null
    attributes.push([key, value])
    at = close + 1
  }
}

/** Where the run of characters that begins at `at` ends. */
function skip(text: string, at: number, run: RegExp): number {
  run.lastIndex = Math.min(at, text.length)
  run.test(text)
  return run.lastIndex
}

/** Character references and XML's own five entities; null for any other `&`. */
function decodeEntities(text: string): string | null {
  const [first = '', ...rest] = text.split('&')
  let decoded = first
  for (const part of rest) {
    const end = part.slice(0, 12).indexOf(';')
    const name = part.slice(0, Math.max(end, 0))
    const digits = /^#(?:x([\da-f]{1,6})|(\d{1,7}))$/i.exec(name)
    const code = digits ? Number.parseInt(digits[1] ?? digits[2] ?? '', digits[1] ? 16 : 10) : 0
    const isCode = code > 0 && code <= 0x10ffff
    const char = isCode ? String.fromCodePoint(code) : digits ? undefined : ENTITIES.get(name)
    if (char === undefined) return null
    decoded += char + part.slice(end + 1)
  }
  return decoded
}

function isSafe(token: Token, at: number, state: SvgState): boolean {
  const { open } = state
  const isInStyle = open.length > 0 && localName(open.at(-1) ?? '') === 'style'
  switch (token.kind) {
    case 'comment':
      return true
    case 'doctype':
      if (state.hasRoot || state.doctype[1] !== 0) return false
      state.doctype = [at, token.end]
      return true
    case 'text':
      if (isInStyle) state.css += token.value
      return open.length > 0 || token.value.trim() === ''
    case 'open':
      if (isInStyle || open.length >= MAX_SVG_DEPTH || !isSafeElement(token.name)) return false
      if (open.length === 0 && (state.hasRoot || localName(token.name) !== 'svg')) return false
      state.hasRoot = true
      if (!token.isEmpty) open.push(token.name)
      return token.attributes.every(([name, value]) => isSafeAttribute(name, value))
    case 'close': {
      // Comments and CDATA may cut a stylesheet into pieces; it is judged as the whole it becomes.
      const isSafeEnd = !isInStyle || (isInnerCss(state.css) && !state.css.includes('\\'))
      if (isInStyle) state.css = ''
      return open.pop() === token.name && isSafeEnd
    }
  }
}

function isSafeElement(name: string): boolean {
  return !UNSAFE_ELEMENTS.has(localName(name))
}

function isSafeAttribute(name: string, value: string): boolean {
  const local = localName(name)
  const isPrefixed = name.includes(':')
  const compact = value.replace(/\s+/g, '').toLowerCase()
  // XHTML inside SVG is HTML again, with every way that HTML has to load things.
  if (name.startsWith('xmlns')) return !compact.includes('xhtml')
  if (local.startsWith('on') || local === 'base' || /(?:java|vb)script:/.test(compact)) return false
  if (local === 'href' || local === 'src') return INNER_REFERENCE.test(value.trim())
  if (local === 'attributename' && /^(?:(?:href|src|base)$|on)/.test(localName(compact)))
    return false
  // CSS escapes could spell `url(`; elsewhere (Inkscape's file names) a backslash is one.
  if (!isPrefixed && !local.startsWith('data-') && value.includes('\\')) return false
  return isInnerCss(value)
}

function isInnerCss(value: string): boolean {
  const css = value.toLowerCase()
  for (let at = css.indexOf('url('); at !== -1; at = css.indexOf('url(', at + 4)) {
    const target = css.slice(at + 4, at + 64).replace(/^\s*["']?\s*/, '')
    if (!INNER_REFERENCE.test(target)) return false
  }
  return !UNSAFE_CSS.some((word) => css.includes(word))
}

function localName(name: string): string {
  return name.slice(name.lastIndexOf(':') + 1).toLowerCase()
}
