import { html } from 'hono/html'
import { type Html, PAGE_POLICY, shell } from './pageLayout'

/** Of an OpenAPI document, what the page shows; `scripts/openapi.mjs` writes it. */
export type ApiDescription = {
  info: { version: string }
  tags: { name: string; description?: string }[]
  paths: Record<string, Record<string, Operation>>
  components: {
    schemas: Record<string, Schema>
    parameters: Record<string, Parameter>
    responses: Record<string, { description: string }>
  }
}
type Operation = {
  tags: string[]
  summary: string
  security?: unknown[]
  parameters?: (Parameter | Ref)[]
  requestBody?: { content: Record<string, { schema?: Schema }> }
  responses: Record<string, Answer>
}
type Answer = Ref | { content?: Record<string, { schema?: Schema }> }
type Ref = { $ref: string }
type Parameter = {
  name: string
  in: string
  description?: string
  required?: boolean
  schema: Schema
}
type Schema = {
  $ref?: string
  type?: string | string[]
  enum?: unknown[]
  const?: unknown
  format?: string
  minLength?: number
  maxLength?: number
  description?: string
  items?: Schema
  properties?: Record<string, Schema>
  required?: string[]
  anyOf?: Schema[]
}

/** One entry of the page: an operation, or the same one at three levels. */
type Entry = { method: string; path: string; operation: Operation }

const STYLE = `
.docs h2 { font-size: 1.4375rem; margin: 3rem 0 .25rem; scroll-margin-top: 1rem }
.docs h3 { font-size: 1rem; margin: 1.5rem 0 .5rem }
.docs p { max-width: 44rem }
.docs p + p { margin-top: .75rem }
.docs code, .docs pre { font-family: ui-monospace, 'SF Mono', Menlo, Consolas, monospace; font-size: .875rem }
.docs :not(pre) > code { padding: .1em .35em; border-radius: .3rem; background: var(--chip) }
.docs pre {
  margin: 1rem 0; padding: 1rem 1.25rem; overflow-x: auto; border-radius: .75rem;
  background: var(--chip); line-height: 1.55; overflow-wrap: normal;
}
.docs nav { display: flex; flex-wrap: wrap; gap: .375rem 1rem; margin-top: 1.25rem }
.docs details { border-top: 1px solid var(--line) }
.docs details:last-of-type { border-bottom: 1px solid var(--line) }
.docs h2 + details, .docs p + details { margin-top: 1rem }
.docs summary {
  display: flex; flex-wrap: wrap; gap: .125rem .75rem; align-items: baseline;
  padding: .625rem .25rem; cursor: pointer; list-style: none;
}
.docs summary::-webkit-details-marker { display: none }
.docs summary:hover { background: var(--chip) }
.docs summary:focus-visible { outline: 3px solid var(--link); outline-offset: -3px; border-radius: 3px }
.docs summary code { background: none; padding: 0; font-weight: 600 }
.docs summary span { flex-basis: 100%; color: var(--soft); font-size: .9375rem }
.docs .method { flex: none; width: 4rem; font-size: .875rem; color: var(--link) }
.docs .post { color: var(--good) }
.docs .put { color: var(--late) }
.docs .delete { color: var(--bad) }
.docs .more { padding: 0 .25rem 1.25rem }
.docs table { width: 100%; border-collapse: collapse; font-size: .9375rem }
.docs td { padding: .375rem .75rem .375rem 0; border-top: 1px solid var(--line); vertical-align: top }
.docs tr:first-child td { border-top: 0 }
.docs td:first-child { width: 34% }
@media (min-width: 44rem) {
  .docs summary span { flex-basis: auto; margin-inline-start: auto }
}
@media print { .docs details { break-inside: avoid } }
`

/** The policy of this page: that of all pages, and the style above; `test/routes/docs.test.ts` tells its hash. */
export const DOCS_POLICY = PAGE_POLICY.replace(
  'style-src ',
  "style-src 'sha256-g765eqJeXnmLuTZRNrcxs8OWPUhDq+cEFVIvIdJlq4w=' ",
)

const SIGN = `import { createHash, createHmac } from 'node:crypto'

const base64 = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')

export function call(method, path, body, { origin, key, secret }) {
  const raw = body === undefined ? '' : JSON.stringify(body)
  const hash = createHash('sha256').update(raw).digest('hex')
  const exp = Math.floor(Date.now() / 1000) + 60
  const claims = { key, method, path, exp, body: { alg: 'sha256', hash } }
  const text = base64({ typ: 'JWT', alg: 'HS256' }) + '.' + base64(claims)
  const token = text + '.' + createHmac('sha256', secret).update(text).digest('base64url')
  const headers = { Authorization: \`JWT token="\${token}"\`, 'Content-Type': 'application/json' }
  return fetch(origin + path, { method, headers, body: raw || undefined })
}`

/** The whole API on one page, made from its own description. */
export function docsPage(api: ApiDescription): string {
  const groups = grouped(api)
  const head = {
    title: 'BadgeKit API',
    description: 'How to sign a request, and every route with its fields and answers.',
  }
  const content = html`<article class="docs">
<h1>BadgeKit API</h1>
<p class="strapline">Version ${api.info.version}, described for programs in <a href="/openapi.json">OpenAPI</a>.</p>
<nav aria-label="Contents"><a href="#sign">Sign a request</a>${[...groups.keys()].map(
    (name) => html`<a href="#${idOf(name)}">${name}</a>`,
  )}<a href="#shapes">Shapes</a></nav>
${introduction()}
${api.tags.map((tag) => group(api, tag, groups.get(tag.name) ?? []))}
<h2 id="shapes">Shapes</h2>
<p class="soft">What answers are made of. A question mark: may be absent.</p>
${shapes(api)}
</article>`
  // The shell has one style, whose hash all other pages rely on; this page's stands beside it.
  return shell(head, content).replace('</head>', () => `<style>${STYLE}</style>\n</head>`)
}

const introduction = () => html`<h2 id="sign">Sign a request</h2>
<p>Every request carries a short-lived token that names its method, its path with the query, and the hash of its
body. It is signed with the secret of a key; <code>master</code> is the key of the whole service.</p>
<pre tabindex="0"><code>${SIGN}</code></pre>
<p>Bodies may be JSON, urlencoded or multipart. Errors are JSON with a stable <code>code</code> and a
<code>message</code>; a 403 says which part of the token is wrong. Routes marked public need no token, and fields with
a star must be sent.</p>
<h3>Three levels</h3>
<p>What belongs to a system may belong to one of its issuers or programs as well. <code>{C}</code> below stands for
each of these three, and what is seen at a level includes what belongs to those below it:</p>
<pre tabindex="0"><code>/systems/{system}
/systems/{system}/issuers/{issuer}
/systems/{system}/issuers/{issuer}/programs/{program}</code></pre>`

/** The operations by noun, what exists at all three levels once. */
function grouped(api: ApiDescription): Map<string, Entry[]> {
  const groups = new Map<string, Entry[]>(api.tags.map(({ name }) => [name, []]))
  const all = Object.entries(api.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ method, path, operation })),
  )
  const keyOf = ({ method, path, operation }: Entry) =>
    `${operation.tags[0]} ${method} ${shortened(path)}`
  const counts = new Map<string, number>()
  for (const entry of all) counts.set(keyOf(entry), (counts.get(keyOf(entry)) ?? 0) + 1)
  const shown = new Set<string>()
  for (const entry of all) {
    const key = keyOf(entry)
    if (shown.has(key)) continue
    const isEverywhere = counts.get(key) === 3
    if (isEverywhere) shown.add(key)
    const path = isEverywhere ? shortened(entry.path) : entry.path
    groups.get(entry.operation.tags[0] ?? '')?.push({ ...entry, path })
  }
  return groups
}

const shortened = (path: string) =>
  path.replace(/\/systems\/\{system\}(?:\/issuers\/\{issuer\}(?:\/programs\/\{program\})?)?/, '{C}')

const idOf = (name: string) => name.toLowerCase()

const group = (api: ApiDescription, tag: ApiDescription['tags'][number], entries: Entry[]) =>
  html`<h2 id="${idOf(tag.name)}">${tag.name}</h2>
${tag.description && html`<p class="soft">${prose(tag.description)}</p>`}
${entries.map((entry) => route(api, entry))}`

function route(api: ApiDescription, { method, path, operation }: Entry): Html {
  const parameters = (operation.parameters ?? []).map((one) =>
    '$ref' in one ? api.components.parameters[nameOf(one)] : one,
  )
  const words = parameters.filter((one) => one !== undefined && path.includes(`{${one.name}}`))
  const queries = parameters.filter((one) => one?.in === 'query')
  const body = Object.values(operation.requestBody?.content ?? {})[0]?.schema
  return html`<details><summary><b class="method ${method}">${method.toUpperCase()}</b>
<code>${path}</code><span>${operation.summary}${operation.security && ' · public'}</span></summary>
<div class="more">
${fields('In the path', words.map(asField))}
${fields('In the query', queries.map(asField))}
${body && fields('In the body', membersOf(resolved(api, body)))}
<h3>Answers</h3>
<table>${Object.entries(operation.responses).map(([status, answer]) => answerRow(api, status, answer))}</table>
</div></details>
`
}

type Field = { name: string; schema: Schema; required: boolean; description?: string }

const asField = (parameter: Parameter | undefined): Field => ({
  name: parameter?.name ?? '',
  schema: parameter?.schema ?? {},
  required: parameter?.required ?? false,
  description: parameter?.description,
})

const membersOf = ({ properties = {}, required = [] }: Schema): Field[] =>
  Object.entries(properties).map(([name, schema]) => ({
    name,
    schema,
    required: required.includes(name),
    description: schema.description,
  }))

const fields = (title: string, list: Field[]) =>
  list.length > 0 && html`<h3>${title}</h3>${table(list)}`

/** Fields with their types; what a body needs bears a star, what an answer may lack a question mark. */
const table = (list: Field[], mark: Mark = needed) =>
  html`<table>${list.map(
    ({ name, schema, required, description }) =>
      html`<tr><td><code>${name}</code>${mark(required)}</td><td>${typeOf(schema)}${
        description && html`<br>${prose(description)}`
      }</td></tr>`,
  )}</table>`

/** What answers are made of; what is sent stands with its route. */
function shapes(api: ApiDescription): Html[] {
  const operations = Object.values(api.paths).flatMap((item) => Object.values(item))
  const bodies = operations.flatMap(({ requestBody }) => Object.values(requestBody?.content ?? {}))
  const sent = new Set(bodies.map(({ schema }) => schema?.$ref))
  return Object.entries(api.components.schemas)
    .filter(([name]) => !sent.has(`#/components/schemas/${name}`))
    .map(([name, schema]) => shape(name, schema))
}

const shape = (name: string, schema: Schema) =>
  html`<h3 id="shape-${name}">${name}</h3>
${table(membersOf(schema), optional)}
`

type Mark = (required: boolean) => string
const needed: Mark = (required) => (required ? ' *' : '')
const optional: Mark = (required) => (required ? '' : '?')

const nameOf = ({ $ref }: Ref) => $ref.slice($ref.lastIndexOf('/') + 1)

const resolved = (api: ApiDescription, schema: Schema): Schema =>
  schema.$ref === undefined
    ? schema
    : (api.components.schemas[nameOf({ $ref: schema.$ref })] ?? schema)

/** A schema in few words, with links to the shapes it is made of. */
function typeOf(schema: Schema): Html {
  if (schema.$ref !== undefined) {
    const name = nameOf({ $ref: schema.$ref })
    return html`<a href="#shape-${name}">${name}</a>`
  }
  if (schema.anyOf) return joined(schema.anyOf.map(typeOf), ' or ')
  if (schema.const !== undefined) return html`<code>${JSON.stringify(schema.const)}</code>`
  if (schema.enum?.includes(true))
    return html`true or false${schema.enum.includes(null) && ' or null'}`
  if (schema.enum) return joined(schema.enum.map(literal), ', ')
  if (schema.items) return html`list of ${typeOf(schema.items)}`
  if (schema.properties && Object.keys(schema.properties).length > 0) {
    return html`{ ${joined(Object.entries(schema.properties).map(member), ', ')} }`
  }
  const { minLength, maxLength, format } = schema
  const limit =
    maxLength && `, ${minLength ? `${minLength} to ` : 'at most '}${maxLength} characters`
  return html`${[schema.type ?? 'anything'].flat().join(' or ')}${format && ` (${format})`}${limit}`
}

const literal = (value: unknown) => html`<code>${JSON.stringify(value)}</code>`
const member = ([name, schema]: [string, Schema]) => html`<code>${name}</code> ${typeOf(schema)}`

const joined = (parts: Html[], between: string): Html =>
  html`${parts.map((part, at) => html`${at > 0 && between}${part}`)}`

/** Text in which backticks mark code. */
const prose = (text = ''): Html[] =>
  text.split('`').map((part, at) => (at % 2 === 1 ? html`<code>${part}</code>` : html`${part}`))

function answerRow(api: ApiDescription, status: string, answer: Answer): Html {
  const text =
    '$ref' in answer
      ? prose(api.components.responses[nameOf(answer)]?.description)
      : contentOf(answer)
  return html`<tr><td>${status === 'default' ? 'other' : status}</td><td>${text}</td></tr>`
}

function contentOf({ content = {} }: Exclude<Answer, Ref>): Html {
  const [media = '', { schema } = {}] = Object.entries(content)[0] ?? []
  return schema ? typeOf(schema) : html`${media}`
}
