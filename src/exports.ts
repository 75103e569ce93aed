import { wordParameter } from './values'

/** Lists as files: an entry a line, as CSV (RFC 4180) for spreadsheets or as NDJSON for programs. */

const FORMATS = ['json', 'csv', 'ndjson'] as const
/** A `sheet` is had of lists that have one (`codeSheet.ts`). */
export type Format = (typeof FORMATS)[number] | 'sheet'

/** The media types of files beside JSON, for the documentation of a list. */
export const FILES = ['text/csv', 'application/x-ndjson'] as const

/** The parameter of lists that can be had as files, and of one that can be printed too. */
export const format = () =>
  wordParameter('format', FORMATS, 'The whole list as a file: `csv`, or `ndjson`')
export const formatOrSheet = () =>
  wordParameter(
    'format',
    [...FORMATS, 'sheet'],
    'The whole list as a file: `csv`, `ndjson`, or a `sheet` to print, which is HTML',
  )

/** The columns of a CSV file by their names, told of an entry as the API shows it. */
// biome-ignore lint/suspicious/noExplicitAny: an entry is of the type that the list's own view gives
export type Columns<Shown = any> = Record<string, (shown: Shown) => Cell>
export type Cell = string | number | boolean | null | undefined

/** What a list's files are made of, beside its entries. */
export type FileParts = {
  columns?: Columns
  /** Where the list can be had as a sheet to print: how. */
  sheet?: () => Form
}

/** How a list becomes text. */
export type Form = {
  /** What the name of a file ends with. */
  extension: string
  type: string
  /** The Content-Security-Policy, of what browsers show. */
  policy?: string
  start: string
  /** `n` entries have been before this one. */
  entry: (shown: unknown, n: number) => string
  between: string
  end: string
}

export function formOf(format: Exclude<Format, 'json'>, { columns = {}, sheet }: FileParts): Form {
  if (format === 'sheet' && sheet) return sheet()
  return format === 'csv' ? csv(columns) : NDJSON
}

const csv = (columns: Columns): Form => ({
  extension: 'csv',
  type: 'text/csv; charset=utf-8',
  start: csvLine(Object.keys(columns)),
  entry: (shown) => csvLine(Object.values(columns).map((cell) => cell(shown))),
  between: '',
  end: '',
})

const NDJSON: Form = {
  extension: 'ndjson',
  type: 'application/x-ndjson',
  start: '',
  entry: (shown) => `${JSON.stringify(shown)}\n`,
  between: '',
  end: '',
}

const csvLine = (cells: readonly Cell[]) => `${cells.map(csvCell).join(',')}\r\n`

/** Spreadsheets run what looks like a formula: a text that does gets an apostrophe before it, which makes it a text to them. */
const FORMULA = /^[=+\-@\t\r]/
const QUOTED = /[",\r\n]|^\s|\s$/

function csvCell(cell: Cell): string {
  if (typeof cell !== 'string') return String(cell ?? '')
  const safe = FORMULA.test(cell) ? `'${cell}` : cell
  return QUOTED.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
