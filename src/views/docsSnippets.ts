/**
 * A program for one request, in each language: for a signed one, and for one that anyone may send. `/docs` fills them in for what its
 * form holds, docs/auth.md shows them, and `test/node/docsPage.test.ts` runs them. Their words in braces: `origin`, `key`, `method`,
 * `body` and `url` are literals of the language, `args` are all that a call takes, and `sent` is what an open request adds for a body.
 */
export type Snippet = { name: string; signed: string; open: string; sent: string }

const CURL = `#!/usr/bin/env bash
# Needs openssl and curl. Run with the secret: BADGEKIT_SECRET=… bash request.sh
set -euo pipefail
origin={origin} key={key}

base64url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

call() {
  local method=$1 path=$2 body=\${3-} claims jwt mac
  claims="{\\"key\\":\\"$key\\",\\"method\\":\\"$method\\",\\"path\\":\\"$path\\",\\"exp\\":$(($(date +%s) + 60))"
  if [ -n "$body" ]; then
    hash=$(printf %s "$body" | openssl dgst -sha256 -r | cut -d' ' -f1)
    claims="$claims,\\"body\\":{\\"alg\\":\\"sha256\\",\\"hash\\":\\"$hash\\"}"
  fi
  jwt=$(printf %s '{"typ":"JWT","alg":"HS256"}' | base64url).$(printf %s "$claims}" | base64url)
  mac=$(printf %s "$jwt" | openssl dgst -sha256 -hmac "$BADGEKIT_SECRET" -binary | base64url)
  curl -sS -X "$method" "$origin$path" -H "Authorization: JWT token=\\"$jwt.$mac\\"" \\
    \${body:+-H 'Content-Type: application/json' --data-binary "$body"}
}

call {args}
`

const JAVASCRIPT = `// Runs in Node 20 and in browsers. In Node: BADGEKIT_SECRET=… node request.mjs
const [origin, key] = [{origin}, {key}]
const secret = globalThis.process?.env.BADGEKIT_SECRET ?? prompt('The secret of the key')

const bytes = (text) => new TextEncoder().encode(text)
const base64url = (data) =>
  btoa(String.fromCharCode(...data))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replaceAll('=', '')
const encoded = (value) => base64url(bytes(JSON.stringify(value)))

async function call(method, path, body) {
  const claims = { key, method, path, exp: Math.floor(Date.now() / 1000) + 60 }
  const headers = {}
  if (body) {
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes(body)))
    const hash = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
    claims.body = { alg: 'sha256', hash }
    headers['Content-Type'] = 'application/json'
  }
  const jwt = encoded({ typ: 'JWT', alg: 'HS256' }) + '.' + encoded(claims)
  const hmac = { name: 'HMAC', hash: 'SHA-256' }
  const signer = await crypto.subtle.importKey('raw', bytes(secret), hmac, false, ['sign'])
  const mac = new Uint8Array(await crypto.subtle.sign('HMAC', signer, bytes(jwt)))
  headers.Authorization = \`JWT token="\${jwt}.\${base64url(mac)}"\`
  return fetch(origin + path, { method, headers, body })
}

const answer = await call({args})
console.log(await answer.text())
`

const PYTHON = `# Needs Python 3 alone. Run with the secret: BADGEKIT_SECRET=… python3 request.py
import base64, hashlib, hmac, json, os, time, urllib.error, urllib.request

ORIGIN, KEY = {origin}, {key}
SECRET = os.environ["BADGEKIT_SECRET"].encode()


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def call(method, path, body=""):
    data = body.encode() or None
    claims = {"key": KEY, "method": method, "path": path, "exp": int(time.time()) + 60}
    headers = {}
    if data:
        claims["body"] = {"alg": "sha256", "hash": hashlib.sha256(data).hexdigest()}
        headers["Content-Type"] = "application/json"
    jwt = base64url(b'{"typ":"JWT","alg":"HS256"}') + b"." + base64url(json.dumps(claims).encode())
    mac = base64url(hmac.new(SECRET, jwt, hashlib.sha256).digest())
    headers["Authorization"] = 'JWT token="%s"' % (jwt + b"." + mac).decode()
    request = urllib.request.Request(ORIGIN + path, data, headers, method=method)
    try:
        return urllib.request.urlopen(request)
    except urllib.error.HTTPError as refusal:
        return refusal


print(call({args}).read().decode())
`

const PHP = `<?php
// Needs PHP 8 alone. Run with the secret: BADGEKIT_SECRET=… php request.php
const ORIGIN = {origin}, KEY = {key};

function base64url(string $data): string
{
    return rtrim(strtr(base64_encode($data), '+/', '-_'), '=');
}

function call(string $method, string $path, string $body = ''): string
{
    $claims = ['key' => KEY, 'method' => $method, 'path' => $path, 'exp' => time() + 60];
    $headers = [];
    if ($body !== '') {
        $claims['body'] = ['alg' => 'sha256', 'hash' => hash('sha256', $body)];
        $headers[] = 'Content-Type: application/json';
    }
    $jwt = base64url('{"typ":"JWT","alg":"HS256"}') . '.' . base64url(json_encode($claims));
    $mac = base64url(hash_hmac('sha256', $jwt, getenv('BADGEKIT_SECRET'), true));
    $headers[] = "Authorization: JWT token=\\"$jwt.$mac\\"";
    $http = ['method' => $method, 'header' => $headers, 'content' => $body, 'ignore_errors' => true];
    return file_get_contents(ORIGIN . $path, false, stream_context_create(['http' => $http]));
}

echo call({args}), "\\n";
`

export const SNIPPETS: Record<'curl' | 'javascript' | 'python' | 'php', Snippet> = {
  curl: {
    name: 'curl',
    signed: CURL,
    open: `curl -sS {url}{sent}\n`,
    sent: ` \\\n  -H 'Content-Type: application/json' --data-binary {body}`,
  },
  javascript: {
    name: 'JavaScript',
    signed: JAVASCRIPT,
    open: `const answer = await fetch({url}{sent})\nconsole.log(await answer.text())\n`,
    sent: `, {\n  method: {method},\n  headers: { 'Content-Type': 'application/json' },\n  body: {body},\n}`,
  },
  python: {
    name: 'Python',
    signed: PYTHON,
    open: `import urllib.request

request = urllib.request.Request({url}{sent})
print(urllib.request.urlopen(request).read().decode())
`,
    sent: `, {body}.encode(), {"Content-Type": "application/json"}`,
  },
  php: {
    name: 'PHP',
    signed: PHP,
    open: `<?php\necho file_get_contents({url}{sent}), "\\n";\n`,
    sent: `, false, stream_context_create(['http' => [
    'method' => {method},
    'header' => 'Content-Type: application/json',
    'content' => {body},
]])`,
  },
}

/**
 * Fills a snippet in, as a function of the page's own script: `request` has `origin`, `key`, `method`, `path`, `body` (empty for none),
 * and `open` when anyone may send it.
 */
export const FILL = `
const quoted = {
  curl: (text) => "'" + text.replaceAll("'", "'\\\\''") + "'",
  javascript: (text) => /[\\n'\\\\]/.test(text)
    ? '\`' + text.replace(/[\`\\\\]|\\$(?={)/g, '\\\\$&') + '\`'
    : "'" + text + "'",
  python: (text) => {
    const mark = text.includes('\\n') ? "'''" : "'"
    return mark + text.replace(/['\\\\]/g, '\\\\$&') + mark
  },
  php: (text) => "'" + text.replace(/['\\\\]/g, '\\\\$&') + "'",
}
function snippetOf(language, request) {
  const { signed, open, sent } = snippets[language]
  const { origin, key, method, path, body } = request
  const literal = quoted[language]
  const args = [method, path, ...(body ? [body] : [])].map(literal)
  const words = {
    origin: literal(origin), key: literal(key), method: literal(method), body: literal(body),
    url: literal(origin + path), args: args.join(language === 'curl' ? ' ' : ', '),
  }
  const template = request.open ? open.replace('{sent}', body ? sent : '') : signed
  return template.replace(/{(origin|key|method|body|url|args)}/g, (_word, name) => words[name])
}
`
