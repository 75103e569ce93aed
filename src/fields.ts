import { ApiError } from './errors'

/** A file of a multipart body. JSON cannot make one: its bytes are a real byte array. */
export type Upload = { name: string; type: string; bytes: Uint8Array<ArrayBuffer> }

// Room for a bulk award of 10,000 emails and everything else a client sends beside them.
const MAX_VALUES = 25_000
const MAX_JSON_DEPTH = 32
const MAX_BRACKETS = 8
const UNSAFE_KEYS = new Set(['__proto__', 'constructor', 'prototype'])

/** A field under construction: values given under its own name, and what its brackets named. */
type Node = { isList: boolean; values: (Leaf | Node)[]; members: Map<string, Node> }
type Leaf = string | Upload

/**
 * Reads a request body into one plain object, the same one whether it came as JSON, as
 * `application/x-www-form-urlencoded` or as `multipart/form-data`; in the last two `a[b]`, `a[0]`
 * and `a[]` nest. An empty body is `{}` whatever its type, because old clients name a type on
 * bodyless requests. Texts come out well-formed; keys that reach a prototype are dropped.
 *
 * Throws 400 `InvalidContent` or (multipart) `BadRequestError` for a malformed or oversized body,
 * 415 `UnsupportedMediaTypeError` for any other type.
 */
export async function readFields(
  contentType: string | undefined,
  raw: Uint8Array<ArrayBuffer>,
): Promise<Record<string, unknown>> {
  if (raw.length === 0) return {}
  const mediaType = contentType?.split(';', 1)[0]?.trim() || 'application/octet-stream'
  switch (mediaType.toLowerCase()) {
    case 'application/json':
      return cleanObject(readJson(raw))
    case 'application/x-www-form-urlencoded':
      return cleanObject(nest(readPairs(raw)))
    case 'multipart/form-data':
      return cleanObject(nest(await readParts(contentType ?? '', raw)))
    default:
      throw new ApiError(415, 'UnsupportedMediaTypeError', mediaType)
  }
}

/** A JSON object, not too deep and not of too many values to walk. Throws 400 for anything else. */
export function readJson(raw: Uint8Array): object {
  const body = parseJson(raw)
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body
  throw invalid('The body must be a JSON object')
}

/** Any JSON value, as `readFields` reads an object. */
export const readJsonValue = (raw: Uint8Array): unknown => clean(parseJson(raw))

function parseJson(raw: Uint8Array): unknown {
  checkJsonSize(raw)
  try {
    return JSON.parse(new TextDecoder().decode(raw))
  } catch (error) {
    throw invalid(`Invalid JSON: ${error instanceof Error ? error.message : 'unreadable'}`)
  }
}

/**
 * Counts depth and values over the bytes, because `JSON.parse` happily builds what later code
 * could neither walk nor afford. In UTF-8 the bytes of brackets, commas and quotes mean nothing else.
 */
function checkJsonSize(raw: Uint8Array) {
  let depth = 0
  let values = 1
  for (let at = 0; at < raw.length; at++) {
    const byte = raw[at]
    if (byte === 0x22) at = endOfString(raw, at)
    else if (byte === 0x2c) values++
    else if (byte === 0x5d || byte === 0x7d) depth--
    else if (byte === 0x5b || byte === 0x7b) {
      depth++
      values++
    }
    if (depth > MAX_JSON_DEPTH) throw invalid(`JSON may be nested ${MAX_JSON_DEPTH} deep at most`)
    if (values > MAX_VALUES) throw invalid(`JSON may hold ${MAX_VALUES} values at most`)
  }
}

const MAX_AROUND = 1_000_000

/**
 * The items of `list`, a member of a JSON object, as bytes, one by one: so that a long list is never held as values. Gives undefined
 * when the object has no such list. Throws 400 `InvalidContent` when what is around the items is no JSON.
 */
export function jsonItems(
  raw: Uint8Array<ArrayBuffer>,
  list: string,
): Iterable<Uint8Array<ArrayBuffer>> | undefined {
  const start = startOfList(raw, list)
  const items = () => (start === -1 ? [] : itemsFrom(raw, start))
  let length = 0
  for (const item of items()) length += item.length + 1
  const around = without(raw, start, Math.max(0, length - 1))
  if (around.length > MAX_AROUND) {
    throw invalid(`JSON may hold ${MAX_AROUND} bytes beside \`${list}\` at most`)
  }
  const body = parseJson(around)
  const holds = typeof body === 'object' && body !== null && Object.hasOwn(body, list)
  if (!holds || !Array.isArray((body as Record<string, unknown>)[list])) return undefined
  return items()
}

function without(raw: Uint8Array, start: number, length: number): Uint8Array {
  if (length === 0) return raw
  const rest = new Uint8Array(raw.length - length)
  rest.set(raw.subarray(0, start))
  rest.set(raw.subarray(start + length), start)
  return rest
}

/** Where the first item of an object's list begins; -1 when there is no such list. */
function startOfList(raw: Uint8Array<ArrayBuffer>, list: string): number {
  const head = new RegExp(`^\\s*"${list}"\\s*:\\s*\\[`)
  let at = raw.indexOf(0x7b) + 1
  for (const member of itemsFrom(raw, at)) {
    const text = new TextDecoder().decode(member.subarray(0, list.length + 100))
    const [found] = head.exec(text) ?? []
    if (found !== undefined) return at + found.length
    at += member.length + 1
  }
  return -1
}

/** What stands between commas, up to the bracket that ends it all; nothing when there is nothing but blanks. */
function* itemsFrom(raw: Uint8Array<ArrayBuffer>, start: number) {
  for (let at = start; ; ) {
    const end = endOfItem(raw, at)
    const item = raw.subarray(at, end)
    const isLast = raw[end] !== 0x2c
    if (at === start && isLast && item.every((byte) => byte <= 0x20)) return
    yield item
    if (isLast) return
    at = end + 1
  }
}

function endOfItem(raw: Uint8Array, start: number): number {
  let depth = 0
  for (let at = start; at < raw.length; at++) {
    const byte = raw[at]
    if (byte === 0x22) at = endOfString(raw, at)
    else if (byte === 0x5b || byte === 0x7b) depth++
    else if (byte === 0x5d || byte === 0x7d) depth--
    if (depth < 0 || (depth === 0 && byte === 0x2c)) return at
  }
  return raw.length
}

// The closing quote is the first one after an even run of backslashes.
function endOfString(raw: Uint8Array, start: number): number {
  for (let end = raw.indexOf(0x22, start + 1); end !== -1; end = raw.indexOf(0x22, end + 1)) {
    let before = end
    while (raw[before - 1] === 0x5c) before--
    if ((end - before) % 2 === 0) return end
  }
  return raw.length
}

function readPairs(raw: Uint8Array): [string, Leaf][] {
  const parts = new TextDecoder().decode(raw).split('&', MAX_VALUES + 1)
  checkCount(parts)
  return parts
    .filter((part) => part !== '')
    .map((part) => {
      const equals = part.indexOf('=')
      if (equals === -1) return [decodePart(part), '']
      return [decodePart(part.slice(0, equals)), decodePart(part.slice(equals + 1))]
    })
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part.replaceAll('+', ' '))
  } catch {
    throw invalid('Malformed percent-encoding in the form body')
  }
}

async function readParts(contentType: string, raw: Uint8Array<ArrayBuffer>) {
  const parts: [string, Leaf][] = []
  for (const [name, part] of await parseMultipart(contentType, raw)) {
    // A file input where nothing was chosen comes as an empty text: the platform reads it so.
    if (typeof part === 'string') parts.push([name, part])
    else {
      const bytes = new Uint8Array(await part.arrayBuffer())
      parts.push([name, { name: part.name, type: part.type, bytes }])
    }
  }
  return parts
}

async function parseMultipart(contentType: string, raw: Uint8Array<ArrayBuffer>) {
  try {
    const response = new Response(raw, { headers: { 'content-type': contentType } })
    return [...(await response.formData()).entries()]
  } catch {
    throw new ApiError(400, 'BadRequestError', 'Malformed multipart body')
  }
}

function nest(pairs: [string, Leaf][]): Record<string, unknown> {
  checkCount(pairs)
  const root = newNode()
  for (const [name, value] of pairs) {
    const keys = keysOf(name)
    if (!keys.some((key) => UNSAFE_KEYS.has(key))) place(root, keys, value)
  }
  return objectOf(root.members)
}

function checkCount(fields: unknown[]) {
  if (fields.length > MAX_VALUES) throw invalid(`A form may hold ${MAX_VALUES} fields at most`)
}

/** `a[b][]` → `a`, `b`, empty; a name whose brackets do not match is one key as it stands. */
function keysOf(name: string): string[] {
  const open = name.indexOf('[')
  if (open < 1 || !name.endsWith(']')) return [name]
  const keys = name.slice(open + 1, -1).split('][', MAX_BRACKETS + 1)
  if (keys.length > MAX_BRACKETS)
    throw invalid(`A field may be nested ${MAX_BRACKETS} deep at most`)
  if (keys.some((key) => key.includes('[') || key.includes(']'))) return [name]
  return [name.slice(0, open), ...keys]
}

function place(root: Node, keys: string[], value: Leaf) {
  let node = root
  for (const [depth, key] of keys.entries()) {
    const isAppend = key === '' && depth > 0
    if (isAppend) node.isList = true
    if (isAppend && depth === keys.length - 1) break
    const next = (isAppend ? undefined : node.members.get(key)) ?? newNode()
    if (isAppend) node.values.push(next)
    else node.members.set(key, next)
    node = next
  }
  node.values.push(value)
}

function newNode(): Node {
  return { isList: false, values: [], members: new Map() }
}

function render(node: Leaf | Node): unknown {
  if (typeof node === 'string' || 'bytes' in node) return node
  const values = node.values.map(render)
  if (node.members.size === 0) return node.isList || values.length > 1 ? values : values[0]
  const indexed = [...node.members].filter(([key]) => /^\d+$/.test(key))
  if (indexed.length === node.members.size) {
    // The index only orders: `a[999999]` is the last item, not the millionth.
    const sorted = indexed.sort(([a], [b]) => Number(a) - Number(b))
    return [...values, ...sorted.map(([, member]) => render(member))]
  }
  const object = objectOf(node.members)
  return values.length === 0 ? object : [...values, object]
}

function objectOf(members: Map<string, Node>): Record<string, unknown> {
  return Object.fromEntries([...members].map(([key, member]) => [key, render(member)]))
}

function clean(value: unknown): unknown {
  if (typeof value === 'string') return cleanText(value)
  if (Array.isArray(value)) return value.map(clean)
  const isPlain = typeof value === 'object' && value !== null && !(value instanceof Uint8Array)
  return isPlain ? cleanObject(value) : value
}

function cleanObject(value: object): Record<string, unknown> {
  const entries = Object.entries(value).filter(([key]) => !UNSAFE_KEYS.has(key))
  return Object.fromEntries(entries.map(([key, member]) => [cleanText(key), clean(member)]))
}

function cleanText(value: string): string {
  if (value.includes('\u0000')) throw invalid('Text may not contain U+0000')
  return value.toWellFormed()
}

const invalid = (message: string) => new ApiError(400, 'InvalidContent', message)
