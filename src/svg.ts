const MAX_SVG_BYTES = 256 * 1024
const MAX_SVG_DEPTH = 200

/** An attribute: its name, its decoded value, and where its text is. */
type Attribute = [name: string, value: string, start: number, end: number]

/** One piece of an SVG's text, which ends at `end`. Text and attribute values are decoded. */
type Token = { end: number } & (
  | { kind: 'comment' | 'doctype' }
  | { kind: 'text'; value: string }
  | { kind: 'open'; name: string; attributes: Attribute[]; isEmpty: boolean }
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

/** The bytes of an SVG that can neither run nor load anything, without its DOCTYPE; null when it is none. */
export function readSvg(bytes: Uint8Array): Uint8Array<ArrayBuffer> | null {
  const text = bytes.length <= MAX_SVG_BYTES ? decodeUtf8(bytes) : null
  if (text === null || NOT_XML.test(text)) return null
  const declaration = XML_DECLARATION.exec(text.slice(0, 300))
  // A viewer would believe another encoding, and read other text than this check did.
  if (!/^(?:utf-?8|us-ascii)$/i.test(declaration?.[1] ?? 'utf-8')) return null
  const state: SvgState = { open: [], hasRoot: false, doctype: [0, 0], css: '' }
  let end = 0
  for (const token of piecesOf(text)) {
    if (!isSafe(token, token.at, state)) return null
    end = token.end
  }
  if (end !== text.length) return null
  if (!state.hasRoot || state.open.length > 0) return null
  const [from, to] = state.doctype
  const kept = to === 0 ? bytes : new TextEncoder().encode(text.slice(0, from) + text.slice(to))
  return new Uint8Array(kept)
}

/** The pieces of an SVG's text with their starts, up to where XML ends. */
export function* piecesOf(text: string): Generator<Token & { at: number }> {
  for (let at = XML_DECLARATION.exec(text.slice(0, 300))?.[0].length ?? 0; at < text.length; ) {
    const token = nextToken(text, at)
    if (!token) return
    yield { ...token, at }
    at = token.end
  }
}

export function decodeUtf8(bytes: Uint8Array): string | null {
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
  const attributes: Attribute[] = []
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
    attributes.push([key, value, at, close + 1])
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
