import { chunksOf, crc32 } from './png'
import { readSvg } from './svg'

type Mimetype = 'image/png' | 'image/jpeg' | 'image/gif' | 'image/webp' | 'image/svg+xml'

/** An acceptable image: what its bytes are, and the bytes to store. */
export type ImageFile = { mimetype: Mimetype; bytes: Uint8Array<ArrayBuffer> }

/** The largest upload that fits a database row; the caller answers 413 above it. */
export const MAX_IMAGE_BYTES = 1_500_000

const MAX_SIDE = 4096 // and so 16 Mi pixels: what a viewer must be able to hold
const MAX_CHUNKS = 1000

/**
 * Tells by its bytes alone whether an upload is an image that may be stored, and of which kind.
 * Nothing is ever inflated: structure, checksums and the stated size are read, pixels are not.
 * An SVG must be unable to run or load anything; a plain DOCTYPE, which BadgeKit's own studio
 * wrote, is taken out of it. Null: not an acceptable image.
 */
export function readImage(bytes: Uint8Array): ImageFile | null {
  const raster = RASTERS.find(({ magic }) => startsWith(bytes, 0, magic))
  if (!raster) {
    const svg = readSvg(bytes)
    return svg && { mimetype: 'image/svg+xml', bytes: svg }
  }
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
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
  let hasData = false
  let count = 0
  for (const { type, at, end } of chunksOf(bytes)) {
    if (++count > MAX_CHUNKS || crc32(bytes, at + 4, end - 4) !== view.getUint32(end - 4)) {
      return false
    }
    if ((type === 'IHDR') !== (count === 1)) return false
    if (type === 'IHDR' && !isPngHeader(view, at + 8, end - at - 12)) return false
    if (type === 'IEND') return end === at + 12 && hasData && end === bytes.length
    hasData ||= type === 'IDAT'
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
