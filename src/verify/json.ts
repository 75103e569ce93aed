/** Documents of strangers: every member may be missing, or anything. */
export type Json = Record<string, unknown>

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** What may be given alone or in a list, as a list. */
export const allOf = (value: unknown): unknown[] =>
  value === undefined || value === null ? [] : Array.isArray(value) ? value : [value]

export const textOf = (value: unknown): string | null =>
  typeof value === 'string' && value.trim() !== '' ? value : null

/** Whether a document is of a type, by its name alone. */
export const isOfType = (document: Json, ...types: string[]) =>
  allOf(document.type).some((type) => types.includes(type as string))

/** The identifier of something that is named, or given whole. */
export const idOf = (value: unknown): string | null =>
  isObject(value) ? textOf(value.id) : textOf(value)

/** An https address, or in local development an http one, without what a server never sees. */
export function addressOf(value: unknown): string | null {
  const text = textOf(value)
  if (!text || !/^https?:\/\//i.test(text)) return null
  const hash = text.indexOf('#')
  return hash === -1 ? text : text.slice(0, hash)
}

/** A moment in milliseconds: a date and time with its zone, or for versions before 2.0 Unix seconds or a day. */
export function momentOf(value: unknown, isOld = false): number | null {
  if (isOld && typeof value === 'number' && Number.isFinite(value)) return value * 1000
  const text = textOf(value)
  if (!text) return null
  const hasZone = /^\d{4}-\d\d-\d\dT.*(?:Z|[+-]\d\d:?\d\d)$/i.test(text)
  const isDay = isOld && /^\d{4}-\d\d-\d\d/.test(text)
  const at = hasZone || isDay ? Date.parse(text) : Number.NaN
  return Number.isNaN(at) ? null : at
}

export const isoOf = (millis: number | null) =>
  millis !== null && Math.abs(millis) <= 8.64e15 ? new Date(millis).toISOString() : null

/** A short text of a stranger's, for a summary. */
export const shortOf = (value: unknown) => textOf(value)?.slice(0, 300).toWellFormed() ?? null

/** Whether two documents say the same, in whatever order. */
export function isSame(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((value, index) => isSame(value, b[index]))
  }
  if (!isObject(a) || !isObject(b)) return a === b
  const keys = Object.keys(a)
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && isSame(a[key], b[key]))
  )
}
