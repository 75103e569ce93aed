import { env, exports } from 'cloudflare:workers'
import { SignJWT } from 'jose'

/** A client of the API: every call is a real request to the Worker, signed as BadgeKit's clients sign. */

export type Answer = {
  status: number
  headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into an answer that it then states
  body: any
}

export type Call = {
  key?: string
  secret?: string
  /** Claims that replace the honest ones; undefined leaves one out. */
  claims?: Record<string, unknown>
  headers?: Record<string, string>
}

export const ORIGIN = env.PUBLIC_ORIGIN

const hex = (bytes: ArrayBuffer) =>
  Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('')

/** A token for one request. */
export async function sign(
  method: string,
  path: string,
  body: Uint8Array<ArrayBuffer> | undefined,
  { key = 'master', secret = env.MASTER_SECRET, claims }: Call = {},
): Promise<string> {
  const honest = {
    key,
    method,
    path,
    exp: Math.floor(Date.now() / 1000) + 60,
    ...(body && {
      body: { alg: 'sha256', hash: hex(await crypto.subtle.digest('SHA-256', body)) },
    }),
  }
  return new SignJWT({ ...honest, ...claims })
    .setProtectedHeader({ typ: 'JWT', alg: 'HS256' })
    .sign(new TextEncoder().encode(secret))
}

/** Sends the bytes as they are, signed. */
export async function send(
  method: string,
  path: string,
  body?: { type: string; bytes: Uint8Array<ArrayBuffer> },
  call: Call = {},
): Promise<Answer> {
  const token = await sign(method, path, body?.bytes, call)
  return ask(method, path, {
    body: body?.bytes,
    headers: {
      Authorization: `JWT token="${token}"`,
      ...(body && { 'Content-Type': body.type }),
      ...call.headers,
    },
  })
}

/** Sends a request without a signature. */
export async function ask(
  method: string,
  path: string,
  init: { body?: BodyInit; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const response = await exports.default.fetch(ORIGIN + path, {
    method,
    redirect: 'manual',
    ...init,
  })
  // Not `text()`: it warns of answers that are images.
  const text = new TextDecoder().decode(await response.arrayBuffer())
  const isJson = response.headers.get('Content-Type')?.includes('json')
  return {
    status: response.status,
    headers: response.headers,
    body: isJson && text !== '' ? JSON.parse(text) : text,
  }
}

const bytesOf = (text: string) => new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>

const withJson =
  (method: string) =>
  (path: string, body?: unknown, call?: Call): Promise<Answer> =>
    send(
      method,
      path,
      body === undefined
        ? undefined
        : { type: 'application/json', bytes: bytesOf(JSON.stringify(body)) },
      call,
    )

export const api = {
  get: (path: string, call?: Call) => send('GET', path, undefined, call),
  delete: (path: string, call?: Call) => send('DELETE', path, undefined, call),
  post: withJson('POST'),
  put: withJson('PUT'),
  /** POST in the form encoding of the Python client. */
  form: (path: string, fields: Record<string, string>, call?: Call) =>
    send(
      'POST',
      path,
      {
        type: 'application/x-www-form-urlencoded',
        bytes: bytesOf(new URLSearchParams(fields).toString()),
      },
      call,
    ),
  /** POST as multipart/form-data, files included. */
  async multipart(path: string, form: FormData, call?: Call) {
    const encoded = new Response(form)
    const type = encoded.headers.get('Content-Type') ?? ''
    return send('POST', path, { type, bytes: new Uint8Array(await encoded.arrayBuffer()) }, call)
  },
}
