import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SignJWT } from 'jose'
import { Webhook } from 'standardwebhooks'
import { afterAll, describe, expect, it } from 'vitest'
import { blocksOf } from './told'

/** What `docs/receive.md` tells receivers to write is run on what the standard's own library signs, as ours is tested by it. */

const folder = mkdtempSync(join(tmpdir(), 'badgekit-snippets-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const page = readFileSync('docs/receive.md', 'utf8')
const snippet = (language: string) =>
  blocksOf(page).findLast((block) => block.language === language)?.text ?? ''

const OLD = `whsec_${Buffer.from('the first secret of a receiver, 1').toString('base64')}`
const NEW = `whsec_${Buffer.from('the second secret of a receiver 2').toString('base64')}`
const body = JSON.stringify({ action: 'award', comment: 'Grüße, "Ada" \\ 🎓' })
const now = Math.floor(Date.now() / 1000)
const id = `evt_${createHash('sha256').update(body).digest('hex').slice(0, 24)}_1`

/** A message while a secret is replaced. */
async function sent(time = now): Promise<Record<string, string>> {
  const hash = createHash('sha256').update(body).digest('hex')
  const token = await new SignJWT({ body: { alg: 'sha256', hash } })
    .setProtectedHeader({ typ: 'JWT', alg: 'HS256' })
    .sign(new TextEncoder().encode(OLD))
  const signatures = [NEW, OLD].map((one) => new Webhook(one).sign(id, new Date(time * 1000), body))
  return {
    authorization: `JWT token="${token}"`,
    'webhook-id': id,
    'webhook-timestamp': String(time),
    'webhook-signature': signatures.join(' '),
  }
}

function run(command: string, args: string[], env: Record<string, string> = {}) {
  const { stdout, stderr, status } = spawnSync(command, args, {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  })
  if (status !== 0) throw new Error(stderr)
  return stdout.trim()
}

type Check = (secret: string, headers: Record<string, string>, body: string) => string

const node = (name: string): Check => {
  const file = join(folder, `${name}.mjs`)
  writeFileSync(
    file,
    `${snippet('js')}\nconst [secret, headers, body] = JSON.parse(process.argv[2])\nconsole.log(${name}(secret, headers, body))`,
  )
  return (...given) => run(process.execPath, [file, JSON.stringify(given)])
}
const python = (name: string): Check => {
  const file = join(folder, `${name}.py`)
  writeFileSync(
    file,
    `${snippet('python')}\nimport sys\nsecret, headers, body = json.loads(sys.argv[1])\nprint(str(${name}(secret, headers, body.encode())).lower())`,
  )
  return (...given) => run('python3', [file, JSON.stringify(given)])
}
const shell: Check = (secret, headers, text) => {
  const file = join(folder, 'body')
  writeFileSync(file, text)
  const said = run('sh', ['-c', snippet('sh')], {
    SECRET: secret,
    ID: headers['webhook-id'] ?? '',
    TIME: headers['webhook-timestamp'] ?? '',
    SIGNATURE: headers['webhook-signature'] ?? '',
    BODY: file,
  })
  return String(said === 'signed')
}

const has = (command: string) => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0

const standard: [string, Check, boolean][] = [
  ['Node', node('isSigned'), true],
  ['Python', python('is_signed'), has('python3')],
  ['a shell', shell, has('openssl')],
]

describe.each(standard)('what %s is told to check', (name, check, isThere) => {
  it.runIf(isThere)('accepts a message by either live secret', async () => {
    for (const secret of [OLD, NEW]) expect(check(secret, await sent(), body)).toBe('true')
  })

  it.runIf(isThere)('refuses another secret, another body and another id', async () => {
    const headers = await sent()
    const other = `whsec_${Buffer.from('a secret of somebody else').toString('base64')}`
    expect(check(other, headers, body)).toBe('false')
    expect(check(OLD, headers, `${body} `)).toBe('false')
    expect(check(OLD, { ...headers, 'webhook-id': 'evt_other' }, body)).toBe('false')
  })

  it.runIf(isThere && name !== 'a shell')('refuses what was signed long ago', async () => {
    expect(check(OLD, await sent(now - 301), body)).toBe('false')
  })
})

describe.each([
  ['Node', node('isSignedAsBefore'), true],
  ['Python', python('is_signed_as_before'), has('python3')],
] as [string, Check, boolean][])(
  'what %s is told of the older signature',
  (_name, check, isThere) => {
    it.runIf(isThere)('accepts it by the primary secret alone, for this body alone', async () => {
      const headers = await sent()
      expect(check(OLD, headers, body)).toBe('true')
      expect(check(NEW, headers, body)).toBe('false')
      expect(check(OLD, headers, `${body} `)).toBe('false')
    })
  },
)
