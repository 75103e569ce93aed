const UNRESERVED = /^[\w.~-]$/
/** A segment of the path that is `.` or `..`, escaped or not, between slashes of either kind; the parser drops line ends. */
const CLIMBS = /^[^?#]*[\\/](?:\.|%2e){1,2}(?:[\\/?#]|$)/i

/**
 * The one form in which a path and its query are compared: as the platform's URL parser writes them, without doubled or
 * trailing slashes, escapes in upper case, and unreserved characters unescaped. Reserved ones (`%2F`, `%40`) stay escaped.
 * Both the request and a token's claim go through it (contract §2.5); null when it is no path, or climbs: the parser takes `.` and
 * `..` away, so that whoever signed `DELETE …/badges/..` for a badge of that slug would have deleted what the badge is in.
 */
export function canonicalTarget(target: string): string | null {
  if (!target.startsWith('/') || CLIMBS.test(target.replace(/[\t\n\r]/g, ''))) return null
  const url = URL.parse(`http://host${target}`)
  return url && withoutExtraSlashes(unescaped(url.pathname)) + unescaped(url.search)
}

/** The path by which a request is routed: its target without query, doubled or trailing slashes; still escaped. */
export function routedPath(request: Request): string {
  const url = request.url
  const start = url.indexOf('/', url.indexOf('//') + 2)
  const query = url.indexOf('?', start)
  return withoutExtraSlashes(query === -1 ? url.slice(start) : url.slice(start, query))
}

/** Path and query of a request, as they were sent. */
export const targetOf = (request: Request) =>
  request.url.slice(request.url.indexOf('/', request.url.indexOf('//') + 2))

const withoutExtraSlashes = (path: string) => {
  const single = path.includes('//') ? path.replace(/\/+/g, '/') : path
  return single.length > 1 && single.endsWith('/') ? single.slice(0, -1) : single
}

const unescaped = (text: string) =>
  text.includes('%')
    ? text.replace(/%[0-9a-f]{2}/gi, (code) => {
        const char = String.fromCharCode(Number.parseInt(code.slice(1), 16))
        return UNRESERVED.test(char) ? char : code.toUpperCase()
      })
    : text
