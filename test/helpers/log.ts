import { afterAll, afterEach, beforeEach } from 'vitest'

/**
 * The Worker logs a line for each request, and to send every line to the terminal takes a tenth of the suite's time. So they
 * are kept here, and those of a test that fails are printed.
 */
const print = console.log
let lines: unknown[][] = []

console.log = (...line) => {
  lines.push(line)
}
beforeEach(() => {
  lines = []
})
afterEach(({ task }) => {
  if (task.result?.state === 'fail') for (const line of lines) print(...line)
})
afterAll(() => {
  console.log = print
})
