import { wordParameter } from './values'

/** Lists as files: an entry a line, as CSV (RFC 4180) for spreadsheets or as NDJSON for programs. */

const FORMATS = ['json', 'csv', 'ndjson'] as const
export type Format = (typeof FORMATS)[number]

/** The media types of files beside JSON, for the documentation of a list. */
export const FILES = ['text/csv', 'application/x-ndjson'] as const

/** The parameter of lists that can be had as files. */
export const format = () =>
  wordParameter('format', FORMATS, 'The whole list as a file: `csv`, or `ndjson`')

/** The columns of a CSV file by their names, told of an entry as the API shows it. */
// biome-ignore lint/suspicious/noExplicitAny: an entry is of the type that the list's own view gives
export type Columns<Shown = any> = Record<string, (shown: Shown) => Cell>
export type Cell = string | number | boolean | null | undefined

/** How a list becomes text. */
export type Form = {
  type: string
  start: string
  entry: (shown: unknown) => string
  between: string
  end: string
}

export const formOf = (format: Exclude<Format, 'json'>, columns: Columns): Form =>
  format === 'csv'
    ? {
        type: 'text/csv; charset=utf-8',
        start: csvLine(Object.keys(columns)),
        entry: (shown) => csvLine(Object.values(columns).map((cell) => cell(shown))),
        between: '',
        end: '',
      }
    : {
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
