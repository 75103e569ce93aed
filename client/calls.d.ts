// What the routes of `routes.d.ts` are made of beside their schemas.

/** What one call may say beside its body or query. */
export type Options = {
  signal?: AbortSignal
  /** Makes a POST safe to repeat; one is made for each call unless given. Keep it to repeat the call yourself. */
  idempotencyKey?: string
  /** The ETag of what is changed: whoever comes second gets `PreconditionFailed`. */
  ifMatch?: string
  headers?: Record<string, string>
}

/** A body with files in it, or with the type that its headers name. */
export type Form = FormData | URLSearchParams

/** A list, entry by entry or page by page; a page is fetched when it is come to. */
export interface Pages<Item, Page> extends AsyncIterable<Item> {
  pages(): AsyncIterable<Page>
}
