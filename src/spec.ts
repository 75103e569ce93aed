import { zValidator } from '@hono/zod-validator'
import type { Context, MiddlewareHandler } from 'hono'
import * as z from 'zod'
import type { Env } from './env'
import { invalid, invalidParameter } from './errors'
import { readFields } from './fields'
import type { Scope } from './scope'
import { validationDetails } from './values'

/** What a route says of itself, for `scripts/openapi.mjs`; the Worker never reads it. */
export type About = {
  summary: string
  /** The answer's shape; none for bytes. */
  answer?: z.ZodType
  status?: 200 | 201 | 202
  /** What a 200 holds, where `answer` is of another status. */
  ok?: z.ZodType
  body?: z.ZodType
  /** Media types of bodies that are no fields, beside JSON. */
  media?: readonly string[]
  /** Media types of the answer beside JSON. */
  files?: readonly string[]
  query?: z.ZodType
  /** Whether anyone may ask. */
  open?: boolean
}

/** Where a handler carries its `About`. */
export const ABOUT = Symbol('about')

const tagged = <T extends object>(handler: T, about: Partial<About>): T =>
  Object.assign(handler, { [ABOUT]: about })

/** Names a route: what it does, and the shape of its answer. */
export const about = (
  summary: string,
  answer?: z.ZodType,
  more: Pick<About, 'status' | 'ok' | 'open' | 'body' | 'media' | 'files'> = {},
): MiddlewareHandler => tagged((_c, next) => next(), { summary, answer, ...more })

/**
 * Validates the body: JSON, form or multipart, all read into one object (contract §2.6). All failing fields go into one 400;
 * what the path names is looked up first, as a 404 comes before it (§1.3).
 */
export function body<T extends z.ZodType>(schema: T) {
  const validate = zValidator('json', schema, refuse)
  const handler: typeof validate = async (c, next) => {
    await presentAsJson(c as unknown as Context<Env>)
    return validate(c, next)
  }
  return tagged(handler, { body: schema })
}

/** From here on the request reads as if its fields had been sent as JSON, whatever they came as. */
async function presentAsJson(c: Context<Env>): Promise<void> {
  const type = c.req.header('Content-Type')
  const fields = await readFields(type, c.var.raw)
  if (type !== 'application/json') {
    c.req.raw = new Request(c.req.raw.url, {
      method: c.req.raw.method,
      headers: { 'Content-Type': 'application/json', Accept: c.req.header('Accept') ?? '*/*' },
    })
  }
  c.req.json = async () => fields as never
}

/** Validates the query string; of a parameter that is named twice the first counts. */
export function query<T extends z.ZodType>(schema: T) {
  return tagged(zValidator('query', z.preprocess(firstOfEach, schema), refuse), { query: schema })
}

const firstOfEach = (given: unknown) =>
  Object.fromEntries(
    Object.entries(given as object).map(([name, value]) => [name, [value].flat()[0]]),
  )

type Result = { success: boolean; data: unknown; error?: unknown }

async function refuse(result: Result, c: Context): Promise<void> {
  if (result.success) return
  // Only routes about something have a scope; its words are looked up before the fields are complained of.
  await (c.get('scope') as Scope<unknown> | undefined)?.with()
  const error = result.error as z.ZodError
  for (const issue of error.issues) {
    const parameter = issue.code === 'custom' && issue.params?.parameter
    if (parameter) throw invalidParameter(parameter, issue.message)
  }
  throw invalid(...validationDetails(error, result.data))
}
