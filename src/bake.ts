import { type Baked, bakeSvg, type Payload, unbakeSvg } from './bakeSvg'
import { type Chunk, chunk, chunksOf } from './png'
import { inflate } from './streams'

/** Keywords of the text chunks, Open Badges 2.0 baking and 3.0 §5.3.1; the self-contained one is read first. */
const KEYWORDS = { '3.0': 'openbadgecredential', '2.0': 'openbadges' } as const

/** More than any credential needs; what inflates to more is no credential. */
const MAX_TEXT = 1024 * 1024

/** The image with the credential in it, in place of one that it carried; null: this type cannot carry a credential. */
export function bake(
  image: Uint8Array<ArrayBuffer>,
  mimetype: string,
  payload: Payload,
): Uint8Array<ArrayBuffer> | null {
  if (mimetype === 'image/svg+xml') return bakeSvg(image, payload)
  return mimetype === 'image/png' ? bakePng(image, payload) : null
}

/** The credential that an image carries uncompressed, as all known bakers write it. */
export function unbake(image: Uint8Array, mimetype?: string): Baked | null {
  const found = findText(image)
  if (found) return found.isCompressed ? null : asBaked(found.version, found.bytes)
  return mimetype === undefined || mimetype === 'image/svg+xml' ? unbakeSvg(image) : null
}

/** The same, and what is compressed too. */
export async function unbakeAny(image: Uint8Array): Promise<Baked | null> {
  const found = findText(image)
  if (!found?.isCompressed) return unbake(image)
  const bytes = await inflate(found.bytes, 'deflate', MAX_TEXT)
  return bytes && asBaked(found.version, bytes)
}

function bakePng(image: Uint8Array, { version, json }: Payload): Uint8Array<ArrayBuffer> | null {
  const [header, ...rest] = chunksOf(image)
  if (header?.type !== 'IHDR' || rest.at(-1)?.type !== 'IEND') return null
  const keyword = KEYWORDS[version]
  const kept = rest.filter((one) => !isText(one) || keywordOf(image, one) !== keyword)
  // Uncompressed, in no language, under no translated keyword.
  const text = chunk('iTXt', new TextEncoder().encode(`${keyword}\0\0\0\0\0${json}`))
  const parts = [image.subarray(0, header.end), text]
  for (const { at, end } of kept) parts.push(image.subarray(at, end))
  return joined(parts)
}

function joined(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((size, part) => size + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

type Text = { version: keyof typeof KEYWORDS; bytes: Uint8Array; isCompressed: boolean }

function findText(image: Uint8Array): Text | null {
  const texts = [...chunksOf(image)].filter(isText)
  for (const version of ['3.0', '2.0'] as const) {
    const found = texts.find((one) => keywordOf(image, one) === KEYWORDS[version])
    const text = found && textOf(image, found, KEYWORDS[version].length + 1)
    if (text) return { version, ...text }
  }
  return null
}

const isText = ({ type }: Chunk) => type === 'tEXt' || type === 'iTXt' || type === 'zTXt'

/** Latin-1, up to the first zero byte; 79 bytes at most. */
function keywordOf(image: Uint8Array, { at, end }: Chunk): string {
  const data = image.subarray(at + 8, Math.min(end - 4, at + 8 + 80))
  const zero = data.indexOf(0)
  return zero === -1 ? '' : String.fromCharCode(...data.subarray(0, zero))
}

/** What stands after the keyword and its zero byte, PNG (third edition) §11.3.3. */
function textOf(
  image: Uint8Array,
  { type, at, end }: Chunk,
  skipped: number,
): Pick<Text, 'bytes' | 'isCompressed'> | null {
  const data = image.subarray(at + 8 + skipped, end - 4)
  if (type === 'tEXt') return { bytes: data, isCompressed: false }
  if (type === 'zTXt') return data[0] === 0 ? { bytes: data.subarray(1), isCompressed: true } : null
  const language = data.indexOf(0, 2)
  const translated = language === -1 ? -1 : data.indexOf(0, language + 1)
  const [isCompressed, method] = data
  if (translated === -1 || (isCompressed === 1 && method !== 0)) return null
  return { bytes: data.subarray(translated + 1), isCompressed: isCompressed === 1 }
}

function asBaked(version: '2.0' | '3.0', bytes: Uint8Array): Baked {
  const text = new TextDecoder().decode(bytes)
  return { version: /^\s*https?:\/\//i.test(text) ? '1.x url' : version, text }
}
