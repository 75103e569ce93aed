/** What every command needs: its options, its client, its way to talk. */
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { explain, findClient, signedFetch } from '../../scripts/sign.mjs'

/** @typedef {import('../../scripts/sign.mjs').Client} Client */

/** An end with a plain explanation; anything else that is thrown is a bug. */
export class Stop extends Error {
  /**
   * @param {string} message
   * @param {number} [code] the exit code: 1 for what failed, 2 for what was not understood
   */
  constructor(message, code = 1) {
    super(message)
    this.code = code
  }
}

/**
 * The options of a command. Its help is what somebody is told who gave others.
 * @template {import('node:util').ParseArgsConfig['options']} T
 * @param {string[]} argv
 * @param {T} options
 * @param {string} help
 */
export function readOptions(argv, options, help) {
  try {
    return parseArgs({ args: argv, options, allowPositionals: true, strict: true })
  } catch (error) {
    throw new Stop(`${/** @type {Error} */ (error).message}\n\n${help}`, 2)
  }
}

/**
 * An option that is a whole number.
 * @param {string} name
 * @param {string} given
 * @param {{ from: number, to: number }} bounds
 */
export function wholeNumber(name, given, { from, to }) {
  const number = Number(given)
  if (Number.isInteger(number) && given.trim() !== '' && number >= from && number <= to)
    return number
  throw new Stop(`--${name} is a whole number from ${from} to ${to}, not ${given}.`, 2)
}

/** @param {string} line */
export const say = (line) => process.stdout.write(`${line}\n`)
/** What is not the answer: it must not get into a pipe. @param {string} line */
export const note = (line) => process.stderr.write(`${line}\n`)

/**
 * A line that tells how far long work is, with a bar where `part` of the whole is known; nothing where nobody looks.
 * @returns {{ tell(line: string, part?: number): void, end(): void }}
 */
export function progress() {
  const { isTTY: isSeen, columns = 80 } = process.stderr
  let last = 0
  return {
    tell(line, part) {
      if (!isSeen || Date.now() - last < 100) return
      last = Date.now()
      const whole = part === undefined ? line : `${barOf(part)}  ${line}`
      // A line that the terminal breaks in two could not be overwritten.
      process.stderr.write(`\r\u001b[K${whole.slice(0, columns - 1)}`)
    },
    end() {
      if (isSeen) process.stderr.write('\r\u001b[K')
    },
  }
}

const BAR = 24
/** @param {number} part */
function barOf(part) {
  const some = Math.min(1, Math.max(0, part))
  const full = Math.round(BAR * some)
  const percent = String(Math.floor(100 * some)).padStart(3)
  return `${'█'.repeat(full)}${'░'.repeat(BAR - full)} ${percent} %`
}

/**
 * A signed request whose answer is JSON; a refusal ends the command with what the server said.
 * @param {Client} client
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @returns {Promise<any>}
 */
export async function call(client, method, path, body) {
  const { status, answer, hint } = await ask(client, method, path, body)
  if (status < 400) return answer
  throw refused(method, path, status, answer, hint)
}

/**
 * A list as a file; a refusal ends the command in the same way.
 * @param {Client} client
 * @param {string} path
 */
export async function download(client, path) {
  const { response, text } = await send(client, 'GET', path)
  if (response.ok) return text
  const { status, answer, hint } = asJson(client, 'GET', path, response, text)
  throw refused('GET', path, status, answer, hint)
}

/** @param {string} method @param {string} path @param {number} status @param {any} answer @param {string} hint */
const refused = (method, path, status, answer, hint) =>
  new Stop(`${method} ${path}: ${status} ${explainRefusal(answer)}${hint && `\n${hint}`}`)

/**
 * The same for whoever looks at the status itself.
 * @param {Client} client
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @returns {Promise<{ status: number, answer: any, hint: string }>}
 */
export async function ask(client, method, path, body) {
  const { response, text } = await send(client, method, path, body)
  return asJson(client, method, path, response, text)
}

/**
 * @param {Client} client
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 */
async function send(client, method, path, body) {
  try {
    const response = await signedFetch(client, method, path, body)
    return { response, text: await response.text() }
  } catch (error) {
    throw new Stop(explain(error, client.url))
  }
}

/** @param {Client} client @param {string} method @param {string} path @param {Response} response @param {string} text */
function asJson(client, method, path, response, text) {
  try {
    return { status: response.status, answer: JSON.parse(text), hint: hintOf(response, client) }
  } catch {
    throw new Stop(
      `${method} ${path}: ${response.status}, and no JSON: is ${client.url} a BadgeKit API?`,
    )
  }
}

/** How far apart, in milliseconds, two clocks may be: a token is good for a minute. */
const APART = 30_000

/**
 * What may be wrong on this side when a signature is refused.
 * @param {Response} response
 * @param {Client} client
 */
export function hintOf({ status, headers }, { key, url }) {
  if (status !== 401 && status !== 403) return ''
  const ahead = Date.now() - Date.parse(headers.get('date') ?? '')
  if (Math.abs(ahead) > APART) {
    const seconds = Math.round(Math.abs(ahead) / 1000)
    return `This machine's clock is ${seconds} s ${ahead > 0 ? 'ahead of' : 'behind'} the server's, and tokens end by it: set it right.`
  }
  return `It was signed as ${key} for ${url}: is that its secret, and may it do this? \`npx badgekit help\` tells where they come from.`
}

/** @param {any} answer */
function explainRefusal(answer) {
  const details = Array.isArray(answer.details)
    ? answer.details.map((/** @type {any} */ one) => `\n  ${one.field}: ${one.message}`).join('')
    : ''
  return `${answer.message ?? answer.code ?? ''}${details}`
}

/** A file that somebody named. @param {string} path */
export function readGiven(path) {
  try {
    return readFileSync(path)
  } catch (error) {
    const { code } = /** @type {NodeJS.ErrnoException} */ (error)
    throw new Stop(
      code === 'ENOENT' ? `There is no file ${path}.` : `Cannot read ${path}: ${code}.`,
      2,
    )
  }
}

/** Writes a file that others on the machine cannot read. @param {string} path @param {string} text */
export function writeGiven(path, text) {
  try {
    writeFileSync(path, text, { mode: 0o600 })
  } catch (error) {
    throw new Stop(`Cannot write ${path}: ${/** @type {NodeJS.ErrnoException} */ (error).code}.`, 2)
  }
}

/** The client of the environment. */
export function client() {
  try {
    return findClient()
  } catch (error) {
    throw new Stop(/** @type {Error} */ (error).message, 2)
  }
}

const LEVELS = ['systems', 'issuers', 'programs']

/**
 * The API's path of what somebody named: either that path itself, or short, `city/library/badges/zine` for
 * `/systems/city/issuers/library/badges/zine`.
 * @param {string} given
 */
export function pathOf(given) {
  if (given.startsWith('/')) return given.replace(/\/+$/, '')
  const words = given.split('/').filter(Boolean)
  if (words[0] === 'systems') return `/${words.join('/')}`
  const at = words.findIndex((word, i) => i > 0 && ['badges', 'keys', 'webhooks'].includes(word))
  const containers = at === -1 ? words : words.slice(0, at)
  if (containers.length === 0 || containers.length > LEVELS.length) {
    throw new Stop(
      `Not a path: ${given}. A system is \`city\`, an issuer \`city/library\`, a badge \`city/badges/zine\`.`,
      2,
    )
  }
  const above = containers.flatMap((slug, i) => [LEVELS[i], encode(slug)])
  const rest = at === -1 ? [] : words.slice(at).map(encode)
  return `/${[...above, ...rest].join('/')}`
}

/** A slug that is encoded already stays so. @param {string | undefined} slug */
const encode = (slug = '') => (/%[\da-f]{2}/i.test(slug) ? slug : encodeURIComponent(slug))

/**
 * Rows as columns, for people.
 * @param {Record<string, unknown>[]} rows
 * @param {string[]} columns
 */
export function table(rows, columns) {
  if (rows.length === 0) return note('none')
  const cells = [columns, ...rows.map((row) => columns.map((name) => shown(row[name])))]
  const widths = columns.map((_, i) => Math.max(...cells.map((line) => (line[i] ?? '').length)))
  for (const line of cells)
    say(
      line
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
}

/** @param {unknown} value */
const shown = (value) =>
  value === null || value === undefined
    ? ''
    : typeof value === 'object'
      ? JSON.stringify(value)
      : String(value)

/**
 * One thing as its members, for people.
 * @param {Record<string, unknown>} thing
 */
export function card(thing) {
  const members = Object.entries(thing).filter(([, value]) => value !== null && value !== undefined)
  const width = Math.max(...members.map(([name]) => name.length))
  for (const [name, value] of members) say(`${name.padEnd(width)}  ${shown(value)}`)
}

/** @param {unknown} value */
export const sayJson = (value) => say(JSON.stringify(value))

/**
 * Runs the action that the first word names.
 * @param {string[]} argv
 * @param {string} help
 * @param {Record<string, (argv: string[]) => Promise<number | void>>} actions
 */
export async function act([name = '', ...rest], help, actions) {
  const action = Object.hasOwn(actions, name) ? actions[name] : undefined
  if (!action) throw new Stop(name ? `There is no ${name}.\n\n${help}` : help, 2)
  return (await action(rest)) ?? 0
}

export const JSON_FLAG = /** @type {const} */ ({ json: { type: 'boolean', default: false } })

/**
 * Shows a list as it was asked for.
 * @param {Record<string, unknown>[]} rows
 * @param {string[]} columns
 * @param {boolean | undefined} asJson
 */
export function showList(rows, columns, asJson) {
  if (asJson) sayJson(rows)
  else table(rows, columns)
}

/**
 * @param {Record<string, unknown>} thing
 * @param {boolean | undefined} asJson
 */
export function showOne(thing, asJson) {
  if (asJson) sayJson(thing)
  else card(thing)
}

/**
 * The container and the slug of a path that names what is to be made.
 * @param {string} path
 */
export function splitPath(path) {
  const at = path.lastIndexOf('/')
  return { list: path.slice(0, at), slug: decodeURIComponent(path.slice(at + 1)) }
}

/** Members that were given. @param {Record<string, unknown>} members */
export const given = (members) =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined))
