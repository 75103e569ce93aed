import type { Result, Router } from 'hono/router'
import { RegExpRouter } from 'hono/router/reg-exp-router'
import { TrieRouter } from 'hono/router/trie-router'

/** Words beside a parameter, where either of them goes on: Hono's quick router refuses such paths. */
const AMBIGUOUS = /\/codes\/(?:random|batch)$|\/instances\/(?:(?:bulk|revocations)$|jobs(?:\/|$))/

/**
 * All routes in Hono's `RegExpRouter`, which finds one of them in one step, and the few that it refuses in its `TrieRouter`,
 * which is asked first about what could be one of them. By itself Hono would put every route into the second, as soon as there is one
 * such path: looking a route up then took a quarter of the Worker's own time.
 */
export function quickRouter<T extends [unknown, { method: string }]>(): Router<T> {
  const quick = new RegExpRouter<T>()
  const general = new TrieRouter<T>()
  const hasHandler = ([handlers]: Result<T>) =>
    handlers.some(([[, { method }]]) => method !== 'ALL')
  return {
    name: 'QuickRouter',
    add(method, path, handler) {
      const isMiddleware = handler[1].method === 'ALL'
      const isAmbiguous = AMBIGUOUS.test(path)
      if (isMiddleware || !isAmbiguous) quick.add(method, path, handler)
      if (isMiddleware || isAmbiguous) general.add(method, path, handler)
    },
    match(method, path) {
      if (AMBIGUOUS.test(path)) {
        const found = general.match(method, path)
        if (hasHandler(found)) return found
      }
      return quick.match(method, path)
    },
  }
}
