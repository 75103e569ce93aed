import { FILL, SNIPPETS } from './docsSnippets'

/**
 * What makes the documentation try requests: a form and programs for whatever endpoint is opened. The secret lives in a variable, in
 * `sessionStorage` when its owner says so, and nowhere else; what is sent is a token that was signed here. The page's policy allows
 * this script by its hash, and requests to this server alone.
 */
export const DOCS_SCRIPT = `
const snippets = ${JSON.stringify(SNIPPETS)}
${FILL}
for (const one of document.querySelectorAll('template.now')) one.replaceWith(one.content)
const byId = (id) => document.getElementById(id)
const STORED = 'badgekit-docs-key'
const signer = { key: 'master', secret: '' }
/** What was typed for a word of a path: the next form has it already. */
const typed = new Map()
const trials = []
let language = 'curl'

/** A browser may forbid storage: then nothing is kept. */
function stored(work) {
  try { return work(sessionStorage) } catch { return null }
}

function nameSigner(within) {
  for (const one of within.querySelectorAll('.signer')) one.textContent = signer.secret ? signer.key : 'nobody yet'
}

/** Opens a dialog; true when it was agreed to. */
function agreed(dialog) {
  dialog.returnValue = ''
  dialog.showModal()
  return new Promise((done) =>
    dialog.addEventListener('close', () => done(dialog.returnValue === 'yes'), { once: true }))
}

const keyDialog = byId('key')
const keyForm = keyDialog.querySelector('form')

async function askForKey() {
  const { key, secret, keep } = keyForm.elements
  key.value = signer.key
  secret.value = signer.secret
  keep.checked = stored((storage) => storage.getItem(STORED)) !== null
  const isGiven = await agreed(keyDialog)
  if (isGiven) {
    Object.assign(signer, { key: key.value.trim(), secret: secret.value })
    stored((storage) => keep.checked
      ? storage.setItem(STORED, JSON.stringify(signer))
      : storage.removeItem(STORED))
  }
  secret.value = ''
  nameSigner(document)
  for (const trial of trials) trial.show()
  return isGiven
}

for (const form of document.querySelectorAll('dialog form')) {
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    form.closest('dialog').close('yes')
  })
  form.querySelector('.no').addEventListener('click', () => form.closest('dialog').close(''))
}
byId('forget').addEventListener('click', () => {
  Object.assign(signer, { key: 'master', secret: '' })
  stored((storage) => storage.removeItem(STORED))
  keyDialog.close('')
})
document.addEventListener('click', ({ target }) => {
  if (target.matches('.ask')) askForKey()
})

const bytes = (text) => new TextEncoder().encode(text)
const base64url = (data) =>
  btoa(String.fromCharCode(...data)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
const encoded = (value) => base64url(bytes(JSON.stringify(value)))
const hex = (data) => Array.from(data, (byte) => byte.toString(16).padStart(2, '0')).join('')

async function tokenOf({ method, path, body }) {
  const claims = { key: signer.key, method, path, exp: Math.floor(Date.now() / 1000) + 60 }
  if (body) {
    const digest = await crypto.subtle.digest('SHA-256', bytes(body))
    claims.body = { alg: 'sha256', hash: hex(new Uint8Array(digest)) }
  }
  const text = encoded({ typ: 'JWT', alg: 'HS256' }) + '.' + encoded(claims)
  const hmac = { name: 'HMAC', hash: 'SHA-256' }
  const key = await crypto.subtle.importKey('raw', bytes(signer.secret), hmac, false, ['sign'])
  return text + '.' + base64url(new Uint8Array(await crypto.subtle.sign('HMAC', key, bytes(text))))
}

const SHOWN = ['content-type', 'location', 'etag', 'link', 'retry-after', 'allow', 'x-request-id']
const MOST = 100000

/** The bytes of an answer as a person reads them. */
function readable(type, text) {
  if (/^image\\/(?!svg)/.test(type)) return 'An image.'
  let shown = text
  if (type.includes('json')) try { shown = JSON.stringify(JSON.parse(text), null, 2) } catch {}
  return shown.length > MOST ? shown.slice(0, MOST) + '\\n… and more, not shown here.' : shown
}

async function sent(request) {
  const headers = {}
  if (request.body) headers['Content-Type'] = 'application/json'
  if (!request.open) headers.Authorization = 'JWT token="' + (await tokenOf(request)) + '"'
  const { method, path, body } = request
  const start = performance.now()
  const answer = await fetch(path, {
    method, headers, body: body || undefined, credentials: 'omit', cache: 'no-store',
  })
  const text = await answer.text()
  const time = Math.round(performance.now() - start)
  const lines = SHOWN.flatMap((name) =>
    answer.headers.has(name) ? [name + ': ' + answer.headers.get(name)] : [])
  const shown = readable(answer.headers.get('content-type') ?? '', text)
  return {
    ok: answer.ok,
    summary: [answer.status, answer.statusText, 'in', time, 'ms'].filter((part) => part !== '').join(' '),
    text: lines.join('\\n') + '\\n\\n' + shown,
  }
}

const unanswered = () => navigator.onLine
  ? 'No answer: the server cannot be reached, or it leads to another address, which this page may not ask.'
  : 'Nothing was sent: this device is offline.'
/** What a POST cannot take back. */
const CHANGES = /\\/(erase|cancel|revoke|revocations|rotate|retire|promote)$/

class Trial {
  constructor(details) {
    const { method, path, example, query = '', open } = details.dataset
    Object.assign(this, { method, path, isOpen: open !== undefined })
    const parts = byId('trial').content.cloneNode(true)
    const find = (selector) => parts.querySelector(selector)
    this.form = find('form')
    this.inputs = find('.inputs')
    this.body = find('textarea')
    this.button = find('.send button')
    this.said = find('[role=status]')
    this.answer = find('.answer')
    this.code = find('code')
    this.tabs = [...parts.querySelectorAll('[data-language]')]
    const inPath = path.replace('{C}', '{system}{issuer}{program}').matchAll(/{(\\w+)}/g)
    this.words = Array.from(inPath, ([, name]) => {
      const isOptional = path.startsWith('{C}') && (name === 'issuer' || name === 'program')
      const input = this.add(name, !isOptional, isOptional ? 'none' : '')
      input.value = typed.get(name) ?? ''
      input.addEventListener('input', () => typed.set(name, input.value))
      return input
    })
    this.queries = query.split(' ').filter(Boolean).map((name) =>
      this.add(name.replace('*', ''), name.endsWith('*'), ''))
    if (this.inputs.children.length === 0) this.inputs.remove()
    if (example === undefined) find('.bodied').remove()
    else this.body.value = JSON.stringify(JSON.parse(example), null, 2)
    this.body.rows = Math.min(16, this.body.value.split('\\n').length)
    find(this.isOpen ? '.who' : '.open').remove()
    this.listen(find('.copy'))
    nameSigner(parts)
    this.show()
    details.querySelector('.here').replaceWith(parts)
    trials.push(this)
  }

  add(name, required, placeholder) {
    const label = document.createElement('label')
    const input = document.createElement('input')
    Object.assign(input, { name, required, placeholder, autocomplete: 'off', spellcheck: false, autocapitalize: 'none' })
    label.append(name + (required ? ' *' : ''), input)
    this.inputs.append(label)
    return input
  }

  listen(copy) {
    this.form.addEventListener('input', () => this.show())
    this.form.addEventListener('submit', (event) => {
      event.preventDefault()
      this.send()
    })
    for (const tab of this.tabs) {
      tab.addEventListener('click', () => {
        language = tab.dataset.language
        for (const trial of trials) trial.show()
      })
    }
    copy.addEventListener('click', async () => {
      try {
        await navigator.clipboard.writeText(this.code.textContent)
        copy.textContent = 'Copied'
      } catch {
        copy.textContent = 'Not allowed'
      }
      setTimeout(() => { copy.textContent = 'Copy' }, 2000)
    })
  }

  /** The request that the form describes now; what is not filled in stays in braces. */
  request() {
    const values = Object.fromEntries(this.words.map(({ name, value }) => [name, value]))
    const container = '/systems/{system}' + (values.issuer || values.program ? '/issuers/{issuer}' : '') +
      (values.program ? '/programs/{program}' : '')
    let path = this.path.replace('{C}', container).replace(/{(\\w+)}/g, (word, name) =>
      values[name] ? encodeURIComponent(values[name]) : word)
    const query = this.queries.filter(({ value }) => value !== '')
      .map(({ name, value }) => name + '=' + encodeURIComponent(value))
    if (query.length > 0) path += '?' + query.join('&')
    // As the browser sends it, for the token has to name that.
    if (!path.includes('{')) {
      const url = new URL(path, location.origin)
      path = url.pathname + url.search
    }
    const { method, isOpen } = this
    const body = this.body.value.trim()
    return { origin: location.origin, key: signer.key, method, path, body, open: isOpen }
  }

  show() {
    for (const tab of this.tabs) tab.ariaPressed = String(tab.dataset.language === language)
    const { issuer, program } = this.form.elements
    if (this.path.startsWith('{C}')) issuer.required = program.value !== ''
    this.code.textContent = snippetOf(language, this.request()).trimEnd()
  }

  say(text, kind = '') {
    this.said.textContent = text
    this.said.className = kind
  }

  /** Why this cannot be sent, or whether a person does not want it. */
  async refused(request) {
    if (request.body) {
      try {
        JSON.parse(request.body)
      } catch (error) {
        return 'Nothing was sent: the body is not JSON. ' + error.message
      }
    }
    if (!request.open && !crypto.subtle) {
      return 'Nothing was sent: browsers sign on https:// and on this machine only, and this page came by http://.'
    }
    if (!request.open && !signer.secret && !(await askForKey())) return 'Nothing was sent: it needs a key.'
    if (request.method === 'DELETE' || CHANGES.test(request.path.split('?')[0])) {
      byId('sure-what').textContent = request.method + ' ' + request.path
      if (!(await agreed(byId('sure')))) return 'Nothing was sent.'
    }
  }

  async send() {
    const request = this.request()
    const refusal = await this.refused(request)
    this.answer.hidden = true
    if (refusal) return this.say(refusal)
    this.button.disabled = true
    this.say('Sending…')
    try {
      const { ok, summary, text } = await sent(request)
      this.say(summary, ok ? 'good' : 'bad')
      this.answer.textContent = text
      this.answer.hidden = false
    } catch {
      this.say(unanswered(), 'bad')
    }
    this.button.disabled = false
  }
}

document.addEventListener('toggle', ({ target }) => {
  if (target.open && target.querySelector('.here')) new Trial(target)
}, true)
Object.assign(signer, JSON.parse(stored((storage) => storage.getItem(STORED)) ?? '{}'))
nameSigner(document)
// A browser that goes back may have left some open.
for (const one of document.querySelectorAll('.docs details[open]')) new Trial(one)
`
