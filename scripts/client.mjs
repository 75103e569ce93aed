/**
 * `npm run client [-- --check]`: makes the client of `client/badgekit.ts` what packages are: `client/routes.d.ts`, the types of
 * all routes, from `docs/openapi.json`, then JavaScript and declarations by the compiler. With `--check` nothing is
 * written: a file that differs is an error.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

/**
 * @typedef {Record<string, any>} Json
 * @typedef {{ methods: string[], words: Map<string, Node>, parameter?: { name: string, type: string, node: Node } }} Node
 */

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const FOLDER = resolve(ROOT, 'client')
const LEVELS = ['systems', 'issuers', 'programs']
const NAME = /^[a-z]\w*(?:-\w+)*$/i

/** @type {Json} */
const api = JSON.parse(readFileSync(resolve(ROOT, 'docs/openapi.json'), 'utf8'))

// ── Schemas ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** @param {string} name */
const key = (name) => (/^[a-z_]\w*$/i.test(name) ? name : `'${name}'`)
/** @param {string} text */
const comment = (text) => `/** ${text.replaceAll('*/', '*\\/')} */`
/** @param {unknown} value */
const literal = (value) =>
  typeof value === 'string'
    ? `'${value.replace(/['\\]/g, String.raw`\$&`)}'`
    : JSON.stringify(value)
/** @param {string[]} types */
const union = (types) => [...new Set(types)].join(' | ')

/**
 * @param {Json} schema
 * @param {string} [indent]
 * @returns {string}
 */
function typeOf(schema, indent = '') {
  if (schema.$ref) return schema.$ref.split('/').at(-1)
  if (schema.anyOf) {
    return union(schema.anyOf.map((/** @type {Json} */ one) => typeOf(one, indent)))
  }
  if ('const' in schema) return literal(schema.const)
  if (schema.enum) return union(schema.enum.map(literal))
  const types = [schema.type ?? 'unknown'].flat()
  return union(types.map((type) => plainType(type, schema, indent)))
}

/**
 * @param {string} type
 * @param {Json} schema
 * @param {string} indent
 */
function plainType(type, schema, indent) {
  if (type === 'integer') return 'number'
  if (type === 'array') return `Array<${typeOf(schema.items ?? {}, indent)}>`
  if (type === 'object') return objectType(schema, indent)
  return type
}

/**
 * @param {Json} schema
 * @param {string} indent
 */
function objectType({ properties = {}, required = [], additionalProperties }, indent) {
  const inner = `${indent}  `
  const members = Object.entries(properties).flatMap(([name, schema]) => [
    ...(schema.description ? [inner + comment(schema.description)] : []),
    `${inner}${key(name)}${required.includes(name) ? '' : '?'}: ${typeOf(schema, inner)}`,
  ])
  if (additionalProperties !== undefined) members.push(`${inner}[name: string]: unknown`)
  return members.length > 0 ? `{\n${members.join('\n')}\n${indent}}` : '{}'
}

const schemas = () =>
  Object.entries(/** @type {Json} */ (api.components.schemas))
    .filter(([name]) => name !== 'Error')
    .map(([name, schema]) =>
      schema.type === 'object'
        ? `export interface ${name} ${objectType(schema, '')}`
        : `export type ${name} = ${typeOf(schema)}`,
    )

// ── Routes ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** @returns {Node} */
const emptyNode = () => ({ methods: [], words: new Map() })

/** @param {string} word */
const camel = (word) => word.replace(/-(\w)/g, (_all, letter) => letter.toUpperCase())
/** @param {string} text */
const pascal = (text) =>
  text
    .split(/[^a-z\d]+/i)
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('')

/** @param {string} path */
const segmentsOf = (path) => path.split('/').filter(Boolean)
/** @param {Json} operation */
const successOf = (operation) =>
  /** @type {Json} */ (
    Object.entries(operation.responses).find(([status]) => status.startsWith('2'))?.[1] ?? {}
  )

/**
 * Pages, images and files with a dot in their names are no calls: `request` fetches them.
 * @param {string} path
 * @param {Json} operation
 */
const isCall = (path, operation) =>
  segmentsOf(path).length > 0 &&
  segmentsOf(path).every((segment) => segment.startsWith('{') || NAME.test(segment)) &&
  'application/json' in (successOf(operation).content ?? {})

/** Every route as a tree of the words of its path. */
function treeOfRoutes() {
  const root = emptyNode()
  for (const [path, item] of Object.entries(/** @type {Json} */ (api.paths))) {
    for (const [method, operation] of Object.entries(/** @type {Json} */ (item))) {
      if (!isCall(path, operation)) continue
      nodeAt(root, path).methods.push(...methodTypes(method, operation))
    }
  }
  return root
}

/**
 * @param {Node} root
 * @param {string} path
 */
function nodeAt(root, path) {
  let node = root
  for (const segment of segmentsOf(path)) {
    const [, name] = /^\{(\w+)\}$/.exec(segment) ?? []
    if (name) {
      const type = typeOf(api.components.parameters[name].schema)
      node.parameter ??= { name, type, node: emptyNode() }
      node = node.parameter.node
    } else {
      const word = camel(segment)
      const next = node.words.get(word) ?? emptyNode()
      node.words.set(word, next)
      node = next
    }
  }
  return node
}

/**
 * @param {string} method
 * @param {Json} operation
 */
function methodTypes(method, operation) {
  const answer = typeOf(successOf(operation).content['application/json'].schema, '  ')
  const about = `  ${comment(`${operation.summary}.`)}`
  const query = queryOf(operation)
  if (method === 'post' || method === 'put') {
    const { content = {}, required = false } = operation.requestBody ?? {}
    const schema = content['application/json']?.schema
    const body = schema ? `${typeOf(schema, '  ')} | Form` : 'undefined'
    const given = `body${required ? '' : '?'}: ${body}`
    return [`${about}\n  ${method}(${given}, options?: Options): Promise<${answer}>`]
  }
  const { type, isNeeded } = query
  const given = `query${isNeeded ? '' : '?'}: ${type}`
  const types = [`${about}\n  ${method}(${given}, options?: Options): Promise<${answer}>`]
  const item = itemOf(successOf(operation).content['application/json'].schema)
  if (method === 'get' && item) {
    const all = `  ${comment(`${operation.summary}: one after the other, as they are asked for.`)}`
    const { type: lists, isNeeded: needed } = queryOf(operation, ['page', 'count'])
    const asked = `query${needed ? '' : '?'}: ${lists}`
    types.push(`${all}\n  list(${asked}, options?: Options): Pages<${typeOf(item)}, ${answer}>`)
  }
  return types
}

/**
 * What a list is a list of.
 * @param {Json} schema
 */
function itemOf({ properties = {}, required = [] }) {
  const arrays = Object.entries(properties).filter(([, one]) => one.type === 'array')
  const beside = required.filter((/** @type {string} */ name) => name !== 'next')
  const [list] = arrays
  return arrays.length === 1 && list && beside.includes(list[0]) && beside.length <= 2
    ? list[1].items
    : undefined
}

/**
 * @param {Json} operation
 * @param {string[]} [without]
 */
function queryOf({ parameters = [] }, without = []) {
  const given = parameters.filter(
    (/** @type {Json} */ one) => one.in === 'query' && !without.includes(one.name),
  )
  const properties = given.map((/** @type {Json} */ { name, schema, description }) => [
    name,
    { ...schema, description },
  ])
  const required = given.filter((/** @type {Json} */ one) => one.required)
  const names = required.map((/** @type {Json} */ { name }) => name)
  const type = objectType({ properties: Object.fromEntries(properties), required: names }, '  ')
  return { type: given.length > 0 ? type : 'undefined', isNeeded: names.length > 0 }
}

/**
 * A node as an interface; those that are alike, such as a badge's at the three levels, are one.
 * @param {Node} node
 * @param {string[]} path
 * @param {Map<string, string>} known interfaces by what they hold
 * @returns {string} the name of its interface
 */
function interfaceOf(node, path, known) {
  const members = [...node.words].map(
    ([word, next]) => `  readonly ${word}: ${interfaceOf(next, [...path, word], known)}`,
  )
  if (node.parameter) {
    const { name, type, node: next } = node.parameter
    members.push(`  (${name}: ${type}): ${interfaceOf(next, [...path.slice(0, -1), name], known)}`)
  }
  const text = `{\n${[...node.methods, ...members].join('\n')}\n}`
  const found = known.get(text)
  if (found) return found
  const taken = new Set(known.values())
  const name = namesFor(path).find((one) => !taken.has(one))
  if (!name) throw new Error(`No name is left for ${path.join('/')}.`)
  known.set(text, name)
  return name
}

/**
 * The names that an interface could have, the best first: `AtBadge`, `AtSystemBadge`.
 * @param {string[]} path
 */
function namesFor(path) {
  const singular = LEVELS.map((word) => word.slice(0, -1))
  if (path.length === 0) return ['Routes']
  const own = path.filter((word, at) => at === path.length - 1 || !singular.includes(word))
  return [own, path].map((words) => `At${pascal(words.join('-'))}`)
}

function routesFile() {
  const known = new Map()
  interfaceOf(treeOfRoutes(), [], known)
  const codes = api.components.schemas.Error.properties.code
  return [
    '// Written by `npm run client` from docs/openapi.json.',
    "import type { Form, Options, Pages } from './calls.js'",
    `${comment('What went wrong, for programs.')}\nexport type ErrorCode = ${typeOf(codes)}`,
    ...schemas(),
    ...[...known].map(([text, name]) => `export interface ${name} ${text}`),
  ]
    .join('\n\n')
    .concat('\n')
}

// ── Files ───────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * What the compiler makes of the client.
 * @param {string} outDir
 */
function compile(outDir) {
  const manifest = createRequire(import.meta.url).resolve('typescript/package.json')
  const { bin } = JSON.parse(readFileSync(manifest, 'utf8'))
  const args = [resolve(dirname(manifest), bin.tsc), '-p', FOLDER, '--noEmit', 'false']
  const { status, stdout } = spawnSync(process.execPath, [...args, '--outDir', outDir], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(stdout)
}

/**
 * @param {string} file
 * @param {string} text
 * @param {boolean} isCheck
 */
function put(file, text, isCheck) {
  let now
  try {
    now = readFileSync(resolve(FOLDER, file), 'utf8')
  } catch {}
  if (now === text) return
  if (isCheck) throw new Error(`client/${file} is not what its sources say: npm run client`)
  writeFileSync(resolve(FOLDER, file), text)
}

function main() {
  const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } })
  const directory = resolve(ROOT, `.wrangler/client-${process.pid}`)
  put('routes.d.ts', routesFile(), values.check)
  mkdirSync(directory, { recursive: true })
  try {
    compile(directory)
    for (const file of ['badgekit.js', 'badgekit.d.ts']) {
      put(file, readFileSync(join(directory, file), 'utf8'), values.check)
    }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

try {
  main()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
  process.exitCode = 1
}
