import { html } from 'hono/html'
import { DOCS_SCRIPT } from './docsScript'
import { SNIPPETS } from './docsSnippets'
import { DOCS_STYLE } from './docsStyle'
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
  requestBody?: { content: Record<string, { schema?: Schema; example?: object }> }
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

/**
 * The policy of this page: that of all pages, with the style that stands beside theirs, and its own script instead of theirs;
 * `test/routes/docs.test.ts` tells the hashes.
 */
export const DOCS_POLICY = PAGE_POLICY.replace(
  'style-src ',
  "style-src 'sha256-1mp1ZSqYje1DDmog/k4XcCoreMJXSXF6ClKqU7C+7+M=' ",
).replace(/script-src '[^']+'/, "script-src 'sha256-9c0+CQb/i3bvL3Jm8R4cR85Mt4HR4UTX1T0jzU64yjU='")

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
</article>
${forms()}`
  // The shell has one style, whose hash all other pages rely on; this page's stands beside it.
  return shell(head, content)
    .replace('</head>', () => `<style>${DOCS_STYLE}</style>\n</head>`)
    .replace('</body>', () => `<script>${DOCS_SCRIPT}</script>\n</body>`)
}

/** The whole of a program: with a script the page has one for each endpoint, in four languages. */
const example = () =>
  SNIPPETS.javascript.signed
    .replace('{origin}', "'https://badges.example.org'")
    .replace('{key}', "'master'")
    .replace(
      '{args}',
      '\'POST\', \'/systems\', \'{"slug":"city","name":"City","url":"https://city.example.org"}\'',
    )
    .trimEnd()

/** What the script shows; without it there is nothing to see of these. */
const forms = () => html`<template id="trial"><section class="trial">
<h3>Try it</h3>
<form>
<div class="inputs"></div>
<label class="bodied">Body<textarea spellcheck="false" autocapitalize="none" autocomplete="off"></textarea></label>
<div class="send"><button>Send</button>
<p class="soft small who">Signed by <b class="signer"></b> <button type="button" class="ask">Change</button></p>
<p class="soft small open">Needs no key.</p></div>
</form>
<p role="status"></p>
<pre class="answer" tabindex="0" aria-label="The answer" hidden></pre>
<div class="languages"><div role="group" aria-label="This request as a program">${Object.entries(
  SNIPPETS,
).map(
  ([language, { name }]) =>
    html`<button type="button" data-language="${language}">${name}</button>`,
)}</div><button type="button" class="copy" aria-live="polite">Copy</button></div>
<pre tabindex="0" aria-label="The program"><code></code></pre>
</section></template>
<template class="now"><dialog id="key" aria-labelledby="key-title"><form>
<h2 id="key-title">Who signs</h2>
<label>Key<input name="key" required autocomplete="off" spellcheck="false" autocapitalize="none"></label>
<label>Secret<input name="secret" type="password" required autocomplete="off"></label>
<p class="soft small">Requests are signed here, in this tab: the secret is sent to nobody, and forgotten when the tab is closed
or loaded again.</p>
<label class="tick"><input name="keep" type="checkbox"> Keep both in this tab’s session storage, until it is closed</label>
<div class="send"><button>Use this key</button><button type="button" class="no">Cancel</button>
<button type="button" id="forget">Forget it</button></div>
</form></dialog>
<dialog id="sure" aria-labelledby="sure-title"><form>
<h2 id="sure-title">Send this?</h2>
<p><code id="sure-what"></code></p>
<p class="soft small">What it ends or removes does not come back.</p>
<div class="send"><button>Send</button><button type="button" class="no" autofocus>Cancel</button></div>
</form></dialog></template>`

const introduction = () => html`<h2 id="sign">Sign a request</h2>
<p>Every request carries a short-lived token that names its method, its path with the query, and the hash of its
body. It is signed with the secret of a key; <code>master</code> is the key of the whole service.</p>
<template class="now"><p>Every endpoint below can be tried from this page, and is shown as a program in four languages. Signed by
<b class="signer"></b> <button type="button" class="ask">Change</button></p></template>
<pre tabindex="0"><code>${example()}</code></pre>
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
  const { schema: body, example } = operation.requestBody?.content['application/json'] ?? {}
  const query = queries.map((one) => one && one.name + (one.required ? '*' : '')).join(' ')
  return html`<details data-method="${method.toUpperCase()}" data-path="${path}"${
    query && html` data-query="${query}"`
  }${example && html` data-example="${JSON.stringify(example)}"`}${
    operation.security && html` data-open`
  }><summary><b class="method ${method}">${method.toUpperCase()}</b>
<code>${path}</code><span>${operation.summary}${operation.security && ' · public'}</span></summary>
<div class="more">
${fields('In the path', words.map(asField))}
${fields('In the query', queries.map(asField))}
${body && fields('In the body', membersOf(resolved(api, body)))}
<div class="here"></div>
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
