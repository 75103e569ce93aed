import type { Db } from './store/db'

/** True only in `npm start`'s build (`--define LOCAL_DEV:true`); every local bypass stands behind it. */
declare global {
  const LOCAL_DEV: boolean
}

/** What the platform hands the Worker: `wrangler.toml`, the secrets, and the local switches of `.dev.vars`. */
export type Bindings = Cloudflare.Env & {
  /** `1`: webhooks may point at http and loopback receivers. Local development only. */
  ALLOW_LOCAL_WEBHOOKS?: string
  /** How many times faster the waits of webhooks pass, to watch the schedule. Local development only. */
  WEBHOOK_SPEED?: string
  /** `1`: requests need no signature. Local development only, never written by us. */
  AUTH_DISABLED?: string
}

/** Who signs requests: `master`, or a key of one system with its live secrets. */
export type Key = {
  /** The claim `key`; also what logs and the audit call it. */
  name: string
  /** The system it is bound to; null for `master`. */
  system: string | null
  /** Whether its tokens may lack `exp`. */
  allowNoExp: boolean
  secrets: CryptoKey[]
}

/** What a write must know of the request that asks for it. */
export type Caller = {
  db: Db
  env: Bindings
  /** The request's time in milliseconds. */
  now: number
  /** The request's id as the name of its change: rows that it writes carry it. */
  op: string
  key: Key
  /** Method and route template: what the audit calls the change. */
  action: string
  requestId: string
  /** Keeps the Worker alive for work that the answer does not wait for. */
  waitUntil(work: Promise<unknown>): void
}

/** The Hono environment: bindings, and what every request carries from one middleware to the next. */
export type Env = {
  Bindings: Bindings
  Variables: {
    requestId: string
    /** The request's time in milliseconds; the only clock that handlers and stores read. */
    now: number
    /** Method and path of the route that serves the request, its parameters by name: `GET /systems/:system`. */
    template: string
    /** The methods that the path has, as `Allow` names them. */
    allowed: () => string
    db: Db
    /** The raw bytes of the request body, at most the route's limit. */
    raw: Uint8Array<ArrayBuffer>
    /** Who signed the request. */
    key: Key
    /** The same for whoever writes. */
    caller: Caller
  }
}
