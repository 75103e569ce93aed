import * as z from 'zod'
import { csvRecords, linesOf } from './csv'
import { ApiError, badRequest, type FieldError, invalid } from './errors'
import { evidence, narrative } from './evidenceField'
import { jsonItems, readJsonValue } from './fields'
import { email, optionalText, timestamp, validationDetails } from './values'

/** The most rows that one job takes. */
export const MAX_ROWS = 100_000
/** The most complaints that one answer lists. */
const MAX_COMPLAINTS = 1_000
/** A chunk is done in one transaction: so many rows, and so many characters, at the most. */
const CHUNK_ROWS = 1_000
const CHUNK_SIZE = 500_000

/** What is said of one award; its members are the columns of a CSV file. */
export const GivenRow = z.object({
  email: email(),
  issuedOn: timestamp(),
  expires: timestamp(),
  comment: optionalText(10_000),
  narrative: narrative(),
  evidence: evidence(),
})

/** A stretch of a job's rows as the database keeps it: `rows` is a JSON array. */
export type Chunk = { first: number; end: number; rows: string }

export type Rows = { count: number; chunks: () => Iterable<Chunk> }

/**
 * Reads the rows of a job: JSON (`{"rows": [{…}]}`), NDJSON (an object a line) or CSV (with a line of names). All rows are looked at
 * before any is believed: what is wrong with each is told in one 400, by row and field, counted from 0. They are read a second time
 * when they are kept: a list of thousands is never there but as the bytes in which it came.
 */
export function readRows(contentType: string | undefined, raw: Uint8Array<ArrayBuffer>): Rows {
  const read = readerOf(contentType)
  return { count: checkRows(read(raw)), chunks: () => chunksOf(read(raw)) }
}

/** Gives the number of the rows. */
function checkRows(rows: Iterable<unknown>): number {
  const wrong: FieldError[] = []
  let count = 0
  let unlisted = 0
  for (const given of rows) {
    if (count === MAX_ROWS) {
      throw invalid({ message: `More than ${MAX_ROWS} rows`, field: 'rows', value: '' })
    }
    for (const { message, field, value } of complaints(given, count)) {
      const name = `rows[${count}]${field && `.${field}`}`
      if (wrong.length < MAX_COMPLAINTS) wrong.push({ message, field: name, value })
      else unlisted++
    }
    count++
  }
  if (count === 0) throw invalid({ message: 'No rows', field: 'rows', value: '' })
  if (unlisted > 0) wrong.push({ message: `And ${unlisted} more`, field: 'rows', value: '' })
  if (wrong.length > 0) throw invalid(...wrong)
  return count
}

function complaints(given: unknown, n: number): FieldError[] {
  if (given instanceof Unreadable) return [{ message: given.why, field: '', value: '' }]
  const { data, error } = GivenRow.safeParse(given)
  if (error) return validationDetails(error, given)
  const isLong = textOf(data, n).length > CHUNK_SIZE
  return isLong ? [{ message: `More than ${CHUNK_SIZE} characters`, field: '', value: '' }] : []
}

const textOf = (row: z.infer<typeof GivenRow>, n: number) => JSON.stringify({ n, ...row })

function* chunksOf(given: Iterable<unknown>): Iterable<Chunk> {
  let first = 0
  let rows: string[] = []
  let size = 0
  const chunk = () => ({ first, end: first + rows.length, rows: `[${rows.join(',')}]` })
  for (const one of given) {
    const text = textOf(GivenRow.parse(one), first + rows.length)
    if (rows.length === CHUNK_ROWS || size + text.length > CHUNK_SIZE) {
      yield chunk()
      first += rows.length
      rows = []
      size = 0
    }
    rows.push(text)
    size += text.length
  }
  yield chunk()
}

// ── Reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────

type Reader = (raw: Uint8Array<ArrayBuffer>) => Iterable<unknown>

/** Stands where a row should be. */
class Unreadable {
  constructor(readonly why: string) {}
}

function readerOf(contentType: string | undefined): Reader {
  const mediaType = contentType?.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  switch (mediaType) {
    case 'application/json':
      return jsonRows
    case 'application/x-ndjson':
      return ndjsonRows
    case 'text/csv':
      return csvRows
    default:
      throw new ApiError(415, 'UnsupportedMediaTypeError', mediaType || 'application/octet-stream')
  }
}

function* jsonRows(raw: Uint8Array<ArrayBuffer>): Iterable<unknown> {
  const rows = jsonItems(raw, 'rows')
  if (!rows) throw invalid({ message: 'Invalid value. Expected array.', field: 'rows', value: '' })
  for (const row of rows) yield readRow(row)
}

function* ndjsonRows(raw: Uint8Array<ArrayBuffer>): Iterable<unknown> {
  for (const line of linesOf(raw)) {
    if (line.some((byte) => byte > 0x20)) yield readRow(line)
  }
}

/** Longer than any row that is good. */
const MAX_BYTES = 4 * CHUNK_SIZE

function readRow(row: Uint8Array<ArrayBuffer>): unknown {
  if (row.length > MAX_BYTES) return new Unreadable(`More than ${MAX_BYTES} bytes`)
  try {
    return readJsonValue(row)
  } catch (error) {
    if (error instanceof ApiError) return new Unreadable(error.message)
    throw error
  }
}

const COLUMNS = new Map(Object.keys(GivenRow.shape).map((name) => [name.toLowerCase(), name]))

/**
 * The first line names the columns; others than ours are no matter. An empty field is an absent one, and `evidence` holds addresses
 * with blanks between them.
 */
function* csvRows(raw: Uint8Array<ArrayBuffer>): Iterable<unknown> {
  let names: (string | undefined)[] | null = null
  for (const record of csvRecords(raw)) {
    const fields = record.map((field) => field.trim())
    if (fields.every((field) => field === '')) continue
    if (names) yield rowOf(names, fields)
    else {
      names = fields.map((name) => COLUMNS.get(name.toLowerCase()))
      if (!names.includes('email')) {
        throw badRequest('CSV needs a first line with `email` in it')
      }
    }
  }
}

function rowOf(names: (string | undefined)[], fields: string[]): unknown {
  if (fields.slice(names.length).some((field) => field !== '')) {
    return new Unreadable('More fields than columns')
  }
  const row: Record<string, unknown> = {}
  names.forEach((name, i) => {
    const field = fields[i]
    if (name && field) row[name] = name === 'evidence' ? field.split(/\s+/) : field
  })
  return row
}
