import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { is } from 'drizzle-orm'
import { SQLiteTable } from 'drizzle-orm/sqlite-core'
import * as schema from '../../drizzle/schema'
import { app } from '../../src/app'
import { utf8 } from '../../src/crypto'
import type { Bindings } from '../../src/env'
import { type Answer, type Call, ORIGIN, sign } from './api'
import { watch } from './changes'
import { silent } from './deliveries'

/** Requests whose headers, token and bindings are the test's own; the queues deliver nothing. */

export type Sent = Call & {
  /** The token as it is, in place of one that is made for the request. */
  token?: string
  bindings?: Bindings
}

export async function call(
  method: string,
  path: string,
  fields?: object,
  { token, bindings = silent, ...more }: Sent = {},
): Promise<Answer & { text: string }> {
  const body = fields && utf8(JSON.stringify(fields))
  const signed = token ?? (await sign(method, path, body, more))
  const headers = {
    Authorization: `JWT token="${signed}"`,
    ...(body && { 'Content-Type': 'application/json' }),
    ...more.headers,
  }
  return request(new Request(ORIGIN + path, { method, headers, body }), bindings)
}

/** Asks as the request is, and waits for what is left for later. */
export async function request(given: Request, bindings: Bindings = silent) {
  const ctx = createExecutionContext()
  const { status, headers, ...answer } = await answerOf(given, bindings, ctx)
  await waitOnExecutionContext(ctx)
  return { status, headers, ...answer }
}

async function answerOf(given: Request, bindings: Bindings, ctx: ExecutionContext) {
  const response = await app.fetch(given, bindings, ctx)
  const text = await response.text()
  const isJson = response.headers.get('Content-Type')?.includes('json')
  const body = isJson && text !== '' ? JSON.parse(text) : text
  return { status: response.status, headers: response.headers, text, body }
}

/** A token for a request with these fields. */
export const tokenFor = (method: string, path: string, fields?: object, more: Call = {}) =>
  sign(method, path, fields && utf8(JSON.stringify(fields)), more)

/** A token for a request with this body. */
export const tokenOfText = (method: string, path: string, text: string) =>
  sign(method, path, utf8(text))

/** All that is kept, but for when the sweep last ran. */
const tables = Object.values<unknown>(schema).filter(
  (one): one is SQLiteTable => is(one, SQLiteTable) && one !== schema.heartbeats,
)
/** Leaves everything as it was, and gives what the calls give. */
export const { changesNothing } = watch(...tables)

export const count = async (sql: string, ...values: unknown[]) =>
  (
    await env.DB.prepare(sql)
      .bind(...values)
      .first<{ n: number }>()
  )?.n ?? 0

export const LOST = 'D1_ERROR: Network connection lost.'

/** What becomes of a call: it is carried out, or fails with this message before or after that. */
export type Fate = null | { message: string; after: boolean }

/** A database that asks for the fate of each call; `isWrite` tells whether it would write. */
export function fated(fate: (isWrite: boolean) => Fate): D1Database {
  type Bound = { text: string; real: D1PreparedStatement; all: () => Promise<unknown> }
  async function through<T>(texts: string[], work: () => Promise<T>): Promise<T> {
    const fault = fate(texts.some((text) => /^\s*(insert|update|delete)\b/i.test(text)))
    if (fault === null) return work()
    // What it came to, be it a refusal, is not told.
    if (fault.after) await work().catch(() => null)
    throw new Error(fault.message)
  }
  return {
    withSession(from: string) {
      const session = env.DB.withSession(from)
      return {
        getBookmark: () => session.getBookmark(),
        prepare: (text: string) => ({
          bind(...values: unknown[]): Bound {
            const real = session.prepare(text).bind(...values)
            return { text, real, all: () => through([text], () => real.all()) }
          },
        }),
        batch: (statements: Bound[]) =>
          through(
            statements.map(({ text }) => text),
            () => session.batch(statements.map(({ real }) => real)),
          ),
      }
    },
  } as unknown as D1Database
}

/** A database that fails so many writes, each after (or before) it has been carried out. */
export function failing(times: number, { after = true, message = LOST } = {}): D1Database {
  let left = times
  return fated((isWrite) => {
    if (!isWrite || left === 0) return null
    left--
    return { message, after }
  })
}
