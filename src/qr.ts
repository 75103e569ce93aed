import { correction, generate, mode } from 'lean-qr'

/** QR codes of web addresses, as pieces of SVG. */

/** Longer ones have squares that are too small for a phone, on a card. */
const MAX_CHARACTERS = 400
/** The white around a QR code that readers need, in squares. */
const QUIET = 4
/** Nothing in an ASCII address is said shorter by the other modes. */
const modes = [mode.numeric, mode.alphaNumeric, mode.ascii]
/**
 * Readers take any of the eight patterns that a code may be masked with. To make all eight and choose takes eight times as long, which
 * a sheet of ten thousand codes has not.
 */
const mask = 0

/** A QR code as an SVG element; null when the address, in ASCII, is too long for one. */
export function qrSvg(url: string): string | null {
  if (url.length > MAX_CHARACTERS) return null
  const code = generate(url, { minCorrectionLevel: correction.M, modes, mask })
  const side = code.size + 2 * QUIET
  return `<svg viewBox="${-QUIET} ${-QUIET} ${side} ${side}" shape-rendering="crispEdges"><path stroke="#000" d="${rowsOf(code)}"/></svg>`
}

/** The dark squares, row by row, as lines that are one square thick. */
function rowsOf({ size, get }: { size: number; get: (x: number, y: number) => boolean }): string {
  let path = ''
  for (let y = 0; y < size; y++) {
    path += `M0 ${y}.5`
    let end = 0
    for (let x = 0; x < size; x++) {
      if (!get(x, y)) continue
      const start = x
      while (get(x + 1, y)) x++
      path += `m${start - end} 0h${x + 1 - start}`
      end = x + 1
    }
  }
  return path
}
