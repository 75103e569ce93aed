import Papa from 'papaparse'
import * as z from 'zod'
import { ApiError, badRequest, type FieldError, invalid } from './errors'
import { evidence, narrative } from './evidenceField'
import { parseJson } from './fields'
import { email, optionalText, timestamp, validationDetails } from './values'

/** The most rows that one job takes. */
export const MAX_ROWS = 100_000
/** The most complaints that one answer lists. */
const MAX_COMPLAINTS = 1_000
/** A chunk is done in one transaction: so many rows, and so many characters, at the most. */
const CHUNK_ROWS = 1_000
const CHUNK_SIZE = 500_000

/** What is said of one award; its members are the columns of a CSV file. */
export const JobRow = z.object({
  email: email(),
  issuedOn: timestamp(),
  expires: timestamp(),
  comment: optionalText(10_000),
  narrative: narrative(),
  evidence: evidence(),
})

/** A stretch of a job's rows as the database keeps it: `rows` is a JSON array. */
export type Chunk = { first: number; end: number; rows: string }

/**
 * Reads the rows of a job: JSON (`{"rows": [{…}]}`), NDJSON (an object a line) or CSV (with a line of names), and cuts them into
 * chunks. All rows are read before any is believed: what is wrong with each is told in one 400, by row and field, counted from 0.
 */
export function readRows(contentType: string | undefined, raw: Uint8Array<ArrayBuffer>): Chunk[] {
  const chunks = new Chunks()
  const wrong: FieldError[] = []
  let unlisted = 0
  for (const given of rowsOf(contentType, raw)) {
    if (chunks.count === MAX_ROWS) {
      throw invalid({ message: `More than ${MAX_ROWS} rows`, field: 'rows', value: '' })
    }
    const { data, error } = JobRow.safeParse(given)
    if (!data || !chunks.add(data)) {
      const details = error ? validationDetails(error, given) : [TOO_LONG]
      const room = MAX_COMPLAINTS - wrong.length
      const field = (name: string) => `rows[${chunks.count}]${name && `.${name}`}`
      wrong.push(...details.slice(0, room).map((one) => ({ ...one, field: field(one.field) })))
      unlisted += Math.max(0, details.length - room)
      chunks.count++
    }
  }
  if (chunks.count === 0) throw invalid({ message: 'No rows', field: 'rows', value: '' })
  if (unlisted > 0) {
    wrong.push({ message: `And ${unlisted} more`, field: 'rows', value: '' })
  }
  if (wrong.length > 0) throw invalid(...wrong)
  return chunks.end()
}

const TOO_LONG = { message: `More than ${CHUNK_SIZE} characters`, field: '', value: '' }

/** Rows, gathered into texts of JSON as they come, so that they need not be held as objects. */
class Chunks {
  count = 0
  private readonly made: Chunk[] = []
  private first = 0
  private rows: string[] = []
  private size = 0

  /** Gives false for a row that no chunk has room for. */
  add(row: z.infer<typeof JobRow>): boolean {
    const text = JSON.stringify({ n: this.count, ...row })
    if (text.length > CHUNK_SIZE) return false
    if (this.rows.length === CHUNK_ROWS || this.size + text.length > CHUNK_SIZE) this.cut()
    this.rows.push(text)
    this.size += text.length
    this.count++
    return true
  }

  private cut(): void {
    if (this.rows.length === 0) return
    const end = this.first + this.rows.length
    this.made.push({ first: this.first, end, rows: `[${this.rows.join(',')}]` })
    this.first = end
    this.rows = []
    this.size = 0
  }

  end(): Chunk[] {
    this.cut()
    return this.made
  }
}

function rowsOf(contentType: string | undefined, raw: Uint8Array<ArrayBuffer>): Iterable<unknown> {
  const mediaType = contentType?.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  switch (mediaType) {
    case 'application/json':
      return jsonRows(raw)
    case 'application/x-ndjson':
      return lines(raw)
    case 'text/csv':
      return csvRows(raw)
    default:
      throw new ApiError(415, 'UnsupportedMediaTypeError', mediaType || 'application/octet-stream')
  }
}

/** Room for `MAX_ROWS` rows with all of their members. */
const MAX_VALUES = 12 * MAX_ROWS

function jsonRows(raw: Uint8Array<ArrayBuffer>): unknown[] {
  const body = parseJson(raw, MAX_VALUES)
  const rows = typeof body === 'object' && body !== null && 'rows' in body ? body.rows : undefined
  if (Array.isArray(rows)) return rows
  throw invalid({ message: 'Invalid value. Expected array.', field: 'rows', value: '' })
}

const LINE_FEED = 0x0a

function* lines(raw: Uint8Array<ArrayBuffer>): Iterable<unknown> {
  let start = 0
  while (start < raw.length) {
    const end = raw.indexOf(LINE_FEED, start)
    const line = raw.subarray(start, end === -1 ? raw.length : end)
    start = end === -1 ? raw.length : end + 1
    if (line.some((byte) => byte > 0x20)) yield parseJson(line)
  }
}

/**
 * The first line names the columns; others than ours are no matter. An empty field is an absent one, and `evidence` holds addresses
 * with blanks between them.
 */
function csvRows(raw: Uint8Array<ArrayBuffer>): unknown[] {
  const text = new TextDecoder().decode(raw)
  const { data, errors, meta } = Papa.parse<Record<string, string>>(text, {
    header: true,
    skipEmptyLines: 'greedy',
    transformHeader: (name) => COLUMNS.get(name.trim().toLowerCase()) ?? name,
    preview: MAX_ROWS + 1,
  })
  const [broken] = errors.filter(({ type }) => type === 'Quotes')
  if (broken) throw badRequest(`Malformed CSV at row ${broken.row ?? 0}: ${broken.message}`)
  if (!meta.fields?.includes('email')) throw badRequest('CSV needs a first line with `email` in it')
  return data.map((row) =>
    Object.fromEntries(
      Object.entries(row)
        .filter(([, value]) => value !== '')
        .map(([name, value]) => [name, name === 'evidence' ? value.trim().split(/\s+/) : value]),
    ),
  )
}

const COLUMNS = new Map(Object.keys(JobRow.shape).map((name) => [name.toLowerCase(), name]))
