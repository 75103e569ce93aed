/**
 * Whether the caller would rather have a page than data: `text/html` ranked above JSON; a tie is JSON.
 *
 * @param header `Accept`, as sent
 */
export const prefersHtml = (header: string | undefined) => prefers(header, 'text/html')

/** Whether the caller would rather be told of errors as RFC 9457 has it than in the contract's envelope. */
export const prefersProblem = (header: string | undefined) =>
  prefers(header, 'application/problem+json')

/**
 * The media type of `types` that the caller would rather have; the first of those that are liked equally, and the very first when
 * none is liked at all.
 */
export function preferred<const T extends string>(
  header: string | undefined,
  types: readonly [T, ...T[]],
): T {
  const accept = header?.toLowerCase()
  if (!accept) return types[0]
  let best = { type: types[0], q: 0 }
  for (const type of types) {
    const q = quality(accept, type)
    if (q > best.q) best = { type, q }
  }
  return best.type
}

function prefers(header: string | undefined, type: string): boolean {
  const accept = header?.toLowerCase()
  if (!accept?.includes(type)) return false
  return quality(accept, type) > quality(accept, 'application/json')
}

/** The weight that `Accept` gives a media type: the most specific range that covers it. */
function quality(header: string, type: string): number {
  const ranges = [type, `${type.slice(0, type.indexOf('/'))}/*`, '*/*']
  let best = { rank: ranges.length, q: 0 }
  for (const part of header.split(',')) {
    const [range = '', ...params] = part.split(';').map((text) => text.trim())
    const rank = ranges.indexOf(range)
    if (rank === -1 || rank >= best.rank) continue
    const weight = params.find((param) => param.startsWith('q='))?.slice(2)
    best = { rank, q: weight === undefined ? 1 : Number(weight) || 0 }
  }
  return best.q
}
