import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'

const MIB = 1024 * 1024

/** Reads a list with a heap of so little that only a part of it could be there as values. */
const READER = `
  const { parentPort, workerData } = require('node:worker_threads')
  const { type, raw } = workerData
  import('./scripts/load.mjs').then(async ({ load }) => {
    const { readRows } = await load("export { readRows } from './src/jobRows'")
    const { count, chunks } = readRows(type, raw)
    let [rows, end] = [0, 0]
    for (const chunk of chunks()) {
      rows += JSON.parse(chunk.rows).length
      end = chunk.end
    }
    parentPort.postMessage({ count, rows, end })
  })`

const ROWS = 100_000
const row = { email: 'ada@example.org', comment: 'x'.repeat(280) }
const lines = (line: string, between: string) => Array(ROWS).fill(line).join(between)
const LISTS: [string, string][] = [
  ['text/csv', `email,comment\n${lines(`${row.email},"${row.comment}"`, '\n')}`],
  ['application/x-ndjson', lines(JSON.stringify(row), '\n')],
  ['application/json', `{"rows":[${lines(JSON.stringify(row), ',')}]}`],
]

describe('a list of 100,000 rows', () => {
  it.each(LISTS)('in %s is read with a heap that could not hold it', async (type, text) => {
    const raw = new TextEncoder().encode(text)
    expect(raw.length).toBeGreaterThan(27 * MIB)
    const reader = new Worker(READER, {
      eval: true,
      workerData: { type, raw },
      resourceLimits: { maxOldGenerationSizeMb: 40, maxYoungGenerationSizeMb: 8 },
    })
    const [told] = await once(reader, 'message')
    await reader.terminate()
    expect(told).toEqual({ count: ROWS, rows: ROWS, end: ROWS })
  })
})
