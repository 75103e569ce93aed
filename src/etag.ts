import type { Context } from 'hono'
import { sha256 } from './crypto'

/**
 * Answers with one resource and its `ETag`: its own version, which `If-Match` compares (`commit.ts`), and a digest of all that is
 * shown with it, which `If-None-Match` compares too. 304 when the caller has it already.
 */
export async function sendVersion(
  c: Context,
  { version }: { version: number },
  body: object,
): Promise<Response> {
  const text = JSON.stringify(body)
  const tag = `"${version}.${(await sha256(text)).slice(0, 16)}"`
  c.header('ETag', tag)
  if (isKnown(c.req.header('If-None-Match'), tag)) return c.body(null, 304)
  return c.body(text, 200, { 'Content-Type': 'application/json' })
}

const isKnown = (header = '', tag: string) =>
  header.split(',').some((one) => one.trim() === '*' || one.trim().replace(/^W\//, '') === tag)
