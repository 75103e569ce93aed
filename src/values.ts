import * as z from 'zod'
import { DURATION, readValidity } from './validity'

/** Ends one value's check: `return refuse(message)`. */
type Refuse = (message: string) => never
type Reader<T> = (given: unknown, refuse: Refuse) => T
/** How the value looks in the published JSON Schema. */
type Shape = { type?: string | string[]; enum?: unknown[]; [keyword: string]: unknown }

// Every pattern below is linear: neighbouring repeats never share a character.
const INTEGER = /^-?(?:0|[1-9]\d*)$/
const DIGITS = /^-?\d+$/
const LOCAL_PART = /^[\w!#$%&'*+\-/=?^`{|}~]+(?:\.[\w!#$%&'*+\-/=?^`{|}~]+)*$/
const MAIL_LABEL = /^[a-z\d]+(?:-+[a-z\d]+)*$/i
const MAIL_IPV4 =
  /^\[(?:[01]?\d{1,2}|2[0-4]\d|25[0-5])(?:\.(?:[01]?\d{1,2}|2[0-4]\d|25[0-5])){3}\]$/
const HOST_LABEL = /^[a-z\d\u00a1-\uffff]+(?:-[a-z\d\u00a1-\uffff]+)*$/i
const LAST_LABEL = /^[a-z\u00a1-\uffff]{2,}$/i
const IPV4 = /^(?:[1-9]\d?|1\d\d|2[01]\d|22[0-3])(?:\.(?:1?\d{1,2}|2[0-4]\d|25[0-5])){3}$/
const SURROGATE_PAIR = /[\ud800-\udbff][\udc00-\udfff]/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: a URL must not hold control characters
const BLANK_OR_CONTROL = /[\s\u0000-\u001f\u007f]/

const YEAR_0000 = Date.parse('0000-01-01T00:00:00.000Z')
const YEAR_9999 = Date.parse('9999-12-31T23:59:59.999Z')

/** A required text of `min` to `max` characters; a number or boolean is taken as its string form. */
export function text(min: number, max?: number) {
  return required({ type: 'string', minLength: min, maxLength: max }, readText(min, max))
}

/** A text of at most `max` characters. Absent and null stay apart; an empty text is a text. */
export function optionalText(max?: number) {
  const isNull = (given: unknown) => given === null
  return optional({ type: 'string', maxLength: max }, readText(0, max), isNull)
}

/** Why something is done with an award: it is revoked, suspended, amended. */
export const reasonText = () => optionalText(500)

/** A slug as BadgeKit took it: any text of 1–255 characters. */
export const slug = text(1, 255)

/** A required web address, kept as given; the scheme may be missing, as BadgeKit allowed. */
export function url() {
  return required({ type: 'string', maxLength: 2082 }, readUrl)
}

/** A web address, or null; an empty text is null. */
export function optionalUrl() {
  return optional({ type: 'string', maxLength: 2082 }, readUrl)
}

/** A required ASCII email address, kept as given. */
export function email() {
  return required({ type: 'string', format: 'email', maxLength: 254 }, readEmail)
}

/** An ASCII email address, or null; an empty text is null. */
export function optionalEmail() {
  return optional({ type: 'string', format: 'email', maxLength: 254 }, readEmail)
}

/** A required safe integer, given as a number or as its decimal form. */
export function int() {
  return required({ type: ['integer', 'string'], pattern: INTEGER.source }, readInt)
}

/** A safe integer, or null; an empty text is null. */
export function optionalInt() {
  return optional({ type: ['integer', 'string'], pattern: INTEGER.source }, readInt)
}

/** One of `list` by its string form, or null; an empty text is null. */
export function optionalOneOf<const T extends string>(
  list: readonly T[],
  message = 'Unexpected value or invalid argument',
) {
  return optional({ enum: [...list] }, (given, refuse): T => {
    const form = stringForm(given)
    const found = list.find((word) => word === form)
    return found ?? refuse(message)
  })
}

/** A required yes or no: a boolean, 0 or 1, or the text of either. */
export function flag() {
  return required({ enum: [true, false, 1, 0, 'true', 'false', '1', '0'] }, readFlag)
}

/** A yes or no as in `flag`, or null; an empty text is null. */
export function optionalFlag() {
  return optional({ enum: [true, false, 1, 0, 'true', 'false', '1', '0'] }, readFlag)
}

/**
 * A moment in milliseconds, or null; an empty text is null. Integers and digit strings of up to
 * 11 digits are Unix seconds, longer ones milliseconds; other texts are ISO 8601 or what
 * `Date.parse` reads. BadgeKit's clients send all of these.
 */
export function timestamp() {
  return optional({ type: ['integer', 'string'] }, readTimestamp)
}

/** How long awards are good, an ISO 8601 duration of one unit, or null; an empty text is null. */
export function optionalDuration() {
  return optional({ type: 'string', pattern: DURATION.source }, (given, refuse): string => {
    const form = stringForm(given)
    return form !== undefined && readValidity(form) ? form : refuse('Invalid duration')
  })
}

/** A required moment in milliseconds, read as `timestamp` reads. */
export function moment() {
  return required({ type: ['integer', 'string'] }, readTimestamp)
}

/**
 * A parameter of the query; an empty one is none. What it cannot be read as is told as a bad parameter, not as a bad field.
 *
 * @param read gives undefined for what it cannot read
 */
export const parameter = <T>(
  name: string,
  expecting: string,
  meta: Record<string, unknown>,
  read: (given: string) => T | undefined,
) =>
  z
    .string()
    .optional()
    .meta(meta)
    .transform((given, context): T | null => {
      if (given === undefined || given === '') return null
      const value = read(given)
      if (value !== undefined) return value
      const message = `Invalid \`${name}\` parameter. Expecting ${expecting}.`
      context.issues.push({ code: 'custom', message, input: given, params: { parameter: name } })
      return z.NEVER
    })

/** A text, which is compared and nothing else. */
export const textParameter = (name: string, description: string) =>
  parameter(name, 'a text', { description }, (given) => given)

/** One of these words. */
export const wordParameter = <const T extends string>(
  name: string,
  words: readonly T[],
  description?: string,
) =>
  parameter(
    name,
    `one of ${words.map((one) => `'${one}'`).join(', ')}`,
    { enum: [...words, ''], description },
    (given) => words.find((one) => one === given),
  )

/** A moment in milliseconds, in any of the forms that `timestamp` reads. */
export const dateParameter = (name: string, description?: string) =>
  parameter(name, 'a date', { type: ['integer', 'string'], description }, (given) => {
    const { success, data } = moment().safeParse(given)
    return success ? data : undefined
  })

/** A number of at most 15 digits. */
export const numberParameter = (name: string, meta: Record<string, unknown>) =>
  parameter(name, 'a number', meta, (given) =>
    /^\d{1,15}$/.test(given) ? Number(given) : undefined,
  )

/**
 * A list's filter of three states: true, false, or null for both. An absent one is `otherwise`; what it cannot be read as is
 * told as a bad parameter, not as a bad field.
 */
export const filter = (parameter: string, otherwise: boolean | null) =>
  z
    .string()
    .optional()
    .meta({ enum: ['true', 'false', 'any', '1', '0', ''] })
    .transform((given, context): boolean | null => {
      if (given === undefined) return otherwise
      if (given === 'true' || given === '1') return true
      if (given === 'false' || given === '0') return false
      if (given === 'any' || given === '') return null
      const message = `Invalid \`${parameter}\` parameter. Expecting one of 'true', 'false' or 'any'.`
      context.issues.push({ code: 'custom', message, input: given, params: { parameter } })
      return z.NEVER
    })

/** A list, or null. One item, or none, is a list all the same: forms cannot say it otherwise. */
export const itemsOf = <T extends z.ZodType>(item: T) =>
  z.preprocess((given) => {
    if (given === undefined || given === null || Array.isArray(given)) return given
    return given === '' ? [] : [given]
  }, z.array(item).nullish())

/**
 * Turns a failed parse into BadgeKit's error details: the first problem of each field, in schema
 * order. `value` is what the caller gave at that place, or `''` when that is falsy; of an uploaded
 * file it is the name, so that an answer never carries the bytes back. An issue may name another
 * field than its own (`params.field`) and the value that was given for it (`params.given`).
 */
export function validationDetails(error: z.ZodError, input: unknown) {
  const details = new Map<string, { message: string; field: string; value: unknown }>()
  for (const issue of error.issues) {
    const field = (issue.code === 'custom' && issue.params?.field) || fieldName(issue.path)
    if (details.has(field)) continue
    const given =
      issue.code === 'custom' && issue.params && 'given' in issue.params
        ? issue.params.given
        : issue.path.reduce<unknown>(member, input)
    const missing = issue.code === 'invalid_type' && (given === undefined || given === null)
    const message = missing ? 'Required field' : issue.message
    const isFile = member(given, 'bytes') instanceof Uint8Array
    // A secret is told once, by the answer that makes it.
    const shown = field === 'secret' ? '' : isFile ? member(given, 'name') : given
    details.set(field, { message, field, value: shown || '' })
  }
  return [...details.values()]
}

function required<T>(shape: Shape, read: Reader<T>) {
  return z
    .unknown()
    .meta(shape)
    .transform((given, context): T => {
      const refuse = refuseIn(context)
      if (given === undefined || given === null) return refuse('Required field')
      return read(given, refuse)
    })
}

function optional<T>(
  shape: Shape,
  read: Reader<T>,
  isNull: (given: unknown) => boolean = (given) => given === null || given === '',
) {
  const { type, enum: words } = shape
  return z
    .unknown()
    .meta({
      ...shape,
      ...(type && { type: [type, 'null'].flat() }),
      ...(words && { enum: [...words, null] }),
    })
    .transform((given, context): T | null =>
      isNull(given) ? null : read(given, refuseIn(context)),
    )
    .optional()
}

function refuseIn(context: z.core.ParsePayload): Refuse {
  return (message) => {
    context.issues.push({ code: 'custom', message, input: context.value })
    return z.NEVER
  }
}

function stringForm(given: unknown): string | undefined {
  if (typeof given === 'string') return given
  return typeof given === 'number' || typeof given === 'boolean' ? String(given) : undefined
}

function readText(min: number, max = Number.POSITIVE_INFINITY): Reader<string> {
  return (given, refuse) => {
    const form = stringForm(given)
    if (form === undefined) return refuse('String is not in range')
    // Characters, not UTF-16 units: what JSON Schema and the old MySQL columns count.
    const length = form.length - (form.match(SURROGATE_PAIR)?.length ?? 0)
    return length < min || length > max ? refuse('String is not in range') : form
  }
}

function readUrl(given: unknown, refuse: Refuse): string {
  const form = stringForm(given)
  return form !== undefined && isUrl(form) ? form : refuse('Invalid URL')
}

function readEmail(given: unknown, refuse: Refuse): string {
  const form = stringForm(given)
  return form !== undefined && isEmail(form) ? form : refuse('Invalid email')
}

function readInt(given: unknown, refuse: Refuse): number {
  const form = stringForm(given)
  // `+ 0` makes the zero of "-0" a plain one.
  const value = form !== undefined && INTEGER.test(form) ? Number(form) + 0 : Number.NaN
  return Number.isSafeInteger(value) ? value : refuse('Invalid integer')
}

function readFlag(given: unknown, refuse: Refuse): boolean {
  const form = stringForm(given)
  if (form === '1' || form === 'true') return true
  if (form === '0' || form === 'false') return false
  return refuse('Unexpected value or invalid argument')
}

function readTimestamp(given: unknown, refuse: Refuse): number {
  const moment = momentOf(given)
  // Also false for NaN.
  return moment >= YEAR_0000 && moment <= YEAR_9999 ? moment : refuse('Not a date')
}

function momentOf(given: unknown): number {
  if (typeof given === 'number' && !Number.isInteger(given)) return Number.NaN
  const form = stringForm(given)?.trim() ?? ''
  if (!DIGITS.test(form)) return Date.parse(form)
  return form.replace('-', '').length <= 11 ? Number(form) * 1000 : Number(form)
}

function isEmail(form: string): boolean {
  const at = form.indexOf('@')
  const domain = form.slice(at + 1)
  if (at < 1 || form.length > 254 || !LOCAL_PART.test(form.slice(0, at))) return false
  if (domain.startsWith('[')) return MAIL_IPV4.test(domain)
  const labels = domain.split('.')
  return labels.length >= 2 && labels.every((label) => label.length <= 63 && MAIL_LABEL.test(label))
}

// What BadgeKit's own pattern took, and every absolute http(s) URL that a URL parser takes.
function isUrl(form: string): boolean {
  if (form.length >= 2083 || BLANK_OR_CONTROL.test(form)) return false
  const scheme = /^(?:https?|ftp):\/\//i.exec(form)?.[0] ?? ''
  if (/^http/i.test(scheme) && URL.canParse(form)) return true
  const [authority = ''] = form.slice(scheme.length).split('/', 1)
  const at = authority.lastIndexOf('@')
  const [host = '', port, more] = authority.slice(at + 1).split(':', 3)
  if (more !== undefined || (port !== undefined && !/^\d{2,5}$/.test(port))) return false
  // Without a scheme a colon before the `@` would make `javascript:…@example.org` an address.
  if (at === 0 || (scheme === '' && authority.slice(0, Math.max(at, 0)).includes(':'))) return false
  if (host.toLowerCase() === 'localhost' || IPV4.test(host)) return true
  const labels = host.split('.')
  if (labels.length < 2 || !LAST_LABEL.test(labels.at(-1) ?? '')) return false
  return labels.every((label) => HOST_LABEL.test(label))
}

function fieldName(path: readonly PropertyKey[]): string {
  return path.reduce<string>((name, key) => {
    if (typeof key === 'number') return `${name}[${key}]`
    return name === '' ? String(key) : `${name}.${String(key)}`
  }, '')
}

function member(value: unknown, key: PropertyKey): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
}
