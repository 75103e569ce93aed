import { decodeUtf8, piecesOf } from './svg'

/** What an image carries: the text of a credential, or for versions before 1.1 perhaps only its address. */
export type Baked = { version: '2.0' | '3.0' | '1.x url'; text: string }

/** What is baked: a credential's JSON, and for 2.0 the address of the assertion. */
export type Payload = { version: '2.0' | '3.0'; json: string; url?: string }

/** The two vocabularies of credentials in SVG (Open Badges 2.0 baking, 3.0 §5.3.2). */
const FORMS = {
  '2.0': { namespace: 'http://openbadges.org', element: 'assertion' },
  '3.0': { namespace: 'https://purl.imsglobal.org/ob/v3p0', element: 'credential' },
} as const
const PREFIX = 'openbadges'

/** The text with the credential directly after the opening tag of the root, and no other; null when it is no SVG. */
export function bakeSvg(
  image: Uint8Array,
  { version, json, url }: Payload,
): Uint8Array<ArrayBuffer> | null {
  const text = decodeUtf8(image)
  const found = text === null ? null : takeApart(text)
  if (!found) return null
  const { namespace, element } = FORMS[version]
  const verify = version === '2.0' && url ? ` verify="${escaped(url)}"` : ''
  const name = `${PREFIX}:${element}`
  const baked = `<${name}${verify}><![CDATA[${harmless(json)}]]></${name}>`
  const { before, root, attributes, isEmpty, after } = found
  const tag = `<${root} xmlns:${PREFIX}="${namespace}"${attributes && ` ${attributes}`}>`
  const whole = before + tag + baked + (isEmpty ? `</${root}>` : '') + after
  return new TextEncoder().encode(whole) as Uint8Array<ArrayBuffer>
}

/** The credential that an SVG carries. */
export function unbakeSvg(image: Uint8Array): Baked | null {
  const text = decodeUtf8(image)
  if (text === null) return null
  const found = carriersOf(text)[0]
  if (!found) return null
  const { version, verify } = found
  const content = found.content.trim() === '' ? verify : found.content
  if (!content) return null
  return { version: /^\s*https?:\/\//i.test(content) ? '1.x url' : version, text: content }
}

/** An SVG without credentials, cut open behind its root's name. */
function takeApart(text: string) {
  const root = rootOf(text)
  if (!root) return null
  const { name, at, end, isEmpty } = root
  // The declaration of our prefix goes, whatever it meant: its elements go too.
  const own = root.attributes.find(([key]) => key === `xmlns:${PREFIX}`)
  const [from, to] = own ? [own[2], own[3]] : [end, end]
  const start = at + 1 + name.length
  const close = end - (isEmpty ? 2 : 1)
  const attributes =
    text.slice(start, Math.min(from, close)) + text.slice(Math.min(to, close), close)
  let after = ''
  let kept = end
  for (const carrier of carriersOf(text)) {
    after += text.slice(kept, carrier.at)
    kept = carrier.end
  }
  after += text.slice(kept)
  return { before: text.slice(0, at), root: name, attributes: attributes.trim(), isEmpty, after }
}

function rootOf(text: string) {
  for (const piece of piecesOf(text)) if (piece.kind === 'open') return piece
  return null
}

type Carrier = {
  at: number
  end: number
  version: keyof typeof FORMS
  verify: string | undefined
  content: string
}

/** The elements of an SVG that carry credentials, in their order. */
function carriersOf(text: string): Carrier[] {
  const carriers: Carrier[] = []
  let names = new Map<string, Carrier['version']>()
  let open: (Carrier & { name: string }) | null = null
  let hasRoot = false
  for (const piece of piecesOf(text)) {
    if (piece.kind === 'open' && !hasRoot) {
      names = namesOf(piece.attributes)
      hasRoot = true
    } else if (open) {
      open.end = piece.end
      if (piece.kind === 'text') open.content += piece.value
      if (piece.kind === 'close' && piece.name === open.name) open = null
    } else if (piece.kind === 'open') {
      const version = names.get(piece.name)
      if (!version) continue
      const verify = piece.attributes.find(([key]) => key === 'verify')?.[1]
      const carrier = {
        name: piece.name,
        at: piece.at,
        end: piece.end,
        version,
        verify,
        content: '',
      }
      carriers.push(carrier)
      open = piece.isEmpty ? null : carrier
    }
  }
  return carriers
}

/** What elements that carry a credential are called here, by the prefixes of the root. */
function namesOf(attributes: (readonly [string, string, ...unknown[]])[]) {
  const names = new Map<string, Carrier['version']>()
  for (const version of ['2.0', '3.0'] as const) {
    const { namespace, element } = FORMS[version]
    names.set(`${PREFIX}:${element}`, version)
    for (const [key, value] of attributes) {
      if (key.startsWith('xmlns:') && value === namespace)
        names.set(`${key.slice(6)}:${element}`, version)
    }
  }
  return names
}

/** JSON that can stand in a CDATA section: its end is split, and what XML has no place for is escaped. */
const harmless = (json: string) =>
  json
    .replace(/[\ufffe\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16)}`)
    .replaceAll(']]>', ']]]]><![CDATA[>')

const escaped = (value: string) => value.replace(/[&<"]/g, (char) => `&#${char.charCodeAt(0)};`)
