import type { LevelName } from './levels'
import type { Need } from './roles'
import type { Db } from './store/db'

/** True only in `npm start`'s build (`--define LOCAL_DEV:true`); every local bypass stands behind it. */
declare global {
  const LOCAL_DEV: boolean
}

/** What the platform hands the Worker: `wrangler.toml`, the secrets, and the local switches of `.dev.vars`. */
export type Bindings = Cloudflare.Env & {
  /** Where a data point of each request goes, if an operator binds a dataset. */
  ANALYTICS?: AnalyticsEngineDataset
  /** The address that documents give for issuers which have none of their own. */
  CONTACT_EMAIL?: string
  /** `1`: webhooks may point at http and loopback receivers. Local development only. */
  ALLOW_LOCAL_WEBHOOKS?: string
  /** `off`: who fails to sign is not slowed down. Local development only, for tests. */
  RATE_LIMITS?: string
  /** How many times faster the waits of webhooks pass, to watch the schedule. Local development only. */
  WEBHOOK_SPEED?: string
  /** `1`: requests need no signature. Local development only, never written by us. */
  AUTH_DISABLED?: string
}

/**
 * Who signs requests: `master`, or a key with its live secrets. Under the levels' names stand the slugs of the container that it
 * is bound to and of those above it; all are null for `master`.
 */
export type Key = Record<LevelName, string | null> & {
  /** The claim `key`; also what logs and the audit call it. */
  name: string
  role: Need
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
  /** The secret name of the request's change: rows that it writes carry it, and ids that it makes follow from it. */
  op: string
  /** Whether `op` is that of an earlier request, which this one repeats: nothing is done, and the answer is given again. */
  isReplay: boolean
  /** What makes a repetition of this request recognisable: its `Idempotency-Key`, and a digest of all that it says. */
  idempotency: { key: string; fingerprint: string } | null
  /** The token's `jti`, which one write may use, and until when (milliseconds) it could be used at all. */
  token: { jti: string; expires: number | null } | null
  /** The versions of which one must be the resource's own: `If-Match`. */
  ifMatch: readonly number[] | null
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
    /** The key that the token names, before anything of it has been believed. */
    claimedKey?: string
    /** The signed token's `jti`. */
    token: Caller['token']
    /** The same for whoever writes. */
    caller: Caller
  }
}
