import { badRequest } from './errors'

/** The most bytes that a line, and the most characters that a field of many lines may have. */
const MAX_LINE = 2_000_000
const MAX_LINES = 1_000_000
const MAX_FIELDS = 1_000
const SEPARATORS = [',', ';', '\t']

const LINE_FEED = 0x0a

/** The lines of a text, as bytes, without what ends them. Throws 400 `BadRequestError` when there are more than a million. */
export function* linesOf(raw: Uint8Array<ArrayBuffer>): Iterable<Uint8Array<ArrayBuffer>> {
  let count = 0
  for (let start = 0; start < raw.length; ) {
    count++
    if (count > MAX_LINES) throw badRequest(`More than ${MAX_LINES} lines`)
    const feed = raw.indexOf(LINE_FEED, start)
    const end = feed === -1 ? raw.length : feed
    yield raw.subarray(start, end)
    start = end + 1
  }
}

/**
 * The records of a CSV file (RFC 4180) in UTF-8, one by one. They are separated by what separates most on the first line: a comma, a
 * semicolon or a tab. Throws 400 `BadRequestError` with the number of the line.
 */
export function* csvRecords(raw: Uint8Array<ArrayBuffer>): Iterable<string[]> {
  let separator: string | null = null
  let fields: string[] = []
  // A quoted field that has not ended yet.
  let open: string | null = null
  let number = 0
  const malformed = (what: string) => badRequest(`Malformed CSV at line ${number}: ${what}`)
  for (const bytes of linesOf(raw)) {
    number++
    if (bytes.length + (open?.length ?? 0) > MAX_LINE) throw malformed('too long')
    const line = decoded(bytes)
    if (line === null) throw malformed('no text in UTF-8')
    separator ??= separatorOf(line)
    for (let at = 0; at <= line.length; at++) {
      if (fields.length === MAX_FIELDS) throw malformed('too many fields')
      if (open === null && line[at] !== '"') {
        const next = line.indexOf(separator, at)
        const end = next === -1 ? line.length : next
        fields.push(line.slice(at, end))
        at = end
        continue
      }
      const start: number = open === null ? at + 1 : at
      const quote = line.indexOf('"', start)
      open = (open ?? '') + line.slice(start, quote === -1 ? undefined : quote)
      if (quote === -1) {
        open += '\n'
        break
      }
      at = quote + 1
      if (line[at] === '"') {
        // Two of them are one, and the field goes on.
        open += '"'
        continue
      }
      if (at < line.length && line[at] !== separator) throw malformed('text after a quoted field')
      fields.push(open)
      open = null
    }
    if (open !== null) continue
    yield fields
    fields = []
  }
  if (open !== null) throw malformed('a quote that does not end')
}

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false })

function decoded(line: Uint8Array): string | null {
  try {
    const text = decoder.decode(line)
    return text.includes('\u0000') ? null : text.replace(/\r$/, '')
  } catch {
    return null
  }
}

function separatorOf(line: string): string {
  const count = (separator: string) => line.split(separator).length
  return SEPARATORS.reduce((best, one) => (count(one) > count(best) ? one : best))
}
