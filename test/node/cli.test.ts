import { spawnSync } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { pathOf } from '../../bin/lib/cli.mjs'
import { commands } from '../../bin/lib/commands.mjs'
import { checkLegacy, checkStandard } from '../../bin/lib/signature.mjs'
import { badgekit } from './run'
import { freePort, serverAt, until } from './server'

/** `badgekit`, against the real server from `npm start`. */
let server: Awaited<ReturnType<typeof serverAt>>
let env: Record<string, string>
const folder = mkdtempSync(join(tmpdir(), 'badgekit-cli-'))
const run = (...args: string[]) => badgekit(args, env)
const json = async (...args: string[]) => {
  const { code, out, err } = await run(...args, '--json')
  if (code !== 0) throw new Error(err)
  return JSON.parse(out)
}

beforeAll(async () => {
  server = await serverAt(inject('server'))
  env = { BADGEKIT_URL: server.url, BADGEKIT_SECRET: server.secret }
})
afterAll(() => {
  rmSync(folder, { recursive: true, force: true })
})

describe('badgekit help', () => {
  it('names every command, and tells more of each', async () => {
    const { code, out } = await run('help')
    expect(code).toBe(0)
    for (const [name, { load }] of Object.entries(commands)) {
      expect(out).toMatch(new RegExp(`^  ${name} `, 'm'))
      expect((await load()).help).toMatch(/^Usage: /)
    }
    expect((await run('help', 'issue')).out).toContain(
      'npx badgekit issue city/badges/zine ada@example.org',
    )
    expect(await run('issue', '--help')).toMatchObject({
      code: 0,
      out: expect.stringContaining('--revoke'),
    })
  }, 60_000)

  it.each([
    [[], 'Usage: npx badgekit COMMAND'],
    [['nothing'], 'There is no command nothing'],
    [['badges', 'nothing'], 'There is no nothing'],
    [['badges', 'show', 'city'], 'city does not name a badge'],
    [['issue', 'city/badges/zine'], 'Whom?'],
    [['systems', 'list', '--nothing'], "Unknown option '--nothing'"],
    [['codes', 'create', 'city/badges/zine', '--count', 'x'], '--count is a whole number from 1'],
    [['listen', 'city', '--port', '70000'], '--port is a whole number from 0 to 65535'],
    [['listen'], 'which BADGEKIT_WEBHOOK_SECRET?'],
    [['issue', 'city/badges/zine', '--from', 'nowhere.txt'], 'There is no file nowhere.txt'],
    [['badges', 'create', 'city/badges/a', '--from', 'README.md'], 'README.md is not JSON'],
    [['request', 'POST', '/systems', '{'], 'The body is not JSON'],
    [['request', 'GET'], 'Usage: npm run api'],
    [['export'], 'Say which database: --local or --remote'],
    [['export', '--local', '--out', 'nowhere/backup'], 'Cannot write nowhere/backup: ENOENT'],
    [['import', 'README.md', '--local', '--report', 'nowhere'], 'There is no folder nowhere'],
  ])(
    'ends with 2 what it does not understand: %j',
    async (args, said) => {
      const { code, out, err } = await run(...args)
      expect({ code, out }).toEqual({ code: 2, out: '' })
      expect(err).toContain(said)
    },
    30_000,
  )
})

it.each([
  ['city', '/systems/city'],
  ['city/library', '/systems/city/issuers/library'],
  ['city/library/summer', '/systems/city/issuers/library/programs/summer'],
  ['city/badges/zine', '/systems/city/badges/zine'],
  ['city/library/badges/zine maker', '/systems/city/issuers/library/badges/zine%20maker'],
  ['/systems/city/badges/zine/', '/systems/city/badges/zine'],
  ['systems/city', '/systems/city'],
])('takes %s for %s', (given, path) => expect(pathOf(given)).toBe(path))

// A story, in a system of its own: each step stands on those before it, so its order is not shuffled.
describe('an organisation', { shuffle: false }, () => {
  describe('daily work', () => {
    it('makes an organisation, awards, and takes an award back', async () => {
      const named = (name: string) => ['--name', name, '--url', `https://${name}.example.org`]
      const claimUrl = 'https://hamlet.example.org/claim?code={code}'
      const more = [...named('hamlet'), '--claim-url', claimUrl]
      expect(await json('systems', 'create', 'hamlet', ...more)).toMatchObject({
        slug: 'hamlet',
        id: expect.any(Number),
        claimUrl,
      })
      expect(await json('issuers', 'create', 'hamlet/library', ...named('library'))).toMatchObject({
        slug: 'library',
      })
      expect(
        await json('programs', 'create', 'hamlet/library/summer', ...named('summer')),
      ).toMatchObject({ slug: 'summer' })
      expect((await run('systems', 'list')).out).toMatch(
        /^id +slug +name +url\n(.*\n)*\d+ +hamlet +hamlet +https:/,
      )

      const image = join(folder, 'zine.svg')
      writeFileSync(image, '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"/>')
      const texts = [
        '--name',
        'Zine',
        '--earner',
        'You did.',
        '--consumer',
        'They did.',
        '--criteria-url',
        'https://hamlet.example.org/zine',
      ]
      const badge = await json(
        'badges',
        'create',
        'hamlet/library/summer/badges/zine',
        ...texts,
        '--image',
        image,
        '--tag',
        'fun',
        '--limit',
        '9',
      )
      expect(badge).toMatchObject({
        slug: 'zine',
        limit: 9,
        unique: 0,
        tags: [{ value: 'fun' }],
        program: { slug: 'summer' },
      })
      expect(await (await fetch(badge.imageUrl)).text()).toContain('viewBox="0 0 8 8"')
      expect(await json('badges', 'list', 'hamlet')).toHaveLength(1)
      const filters = ['--search', 'did they', '--updated-since', '2020-01-01', '--sort=-name']
      expect(await json('badges', 'list', 'hamlet', ...filters)).toHaveLength(1)
      expect(await json('badges', 'list', 'hamlet', '--tag', 'none')).toHaveLength(0)
      expect((await run('badges', 'show', 'hamlet/badges/zine')).out).toMatch(/^slug +zine$/m)

      const one = await json(
        'issue',
        'hamlet/badges/zine',
        'ada@example.org',
        '--expires',
        '2040-01-01',
      )
      expect(one).toMatchObject({ email: 'ada@example.org', expires: '2040-01-01T00:00:00.000Z' })
      const list = join(folder, 'emails.txt')
      writeFileSync(list, 'ada@example.org\nbo@example.org\ncy@example.org\n')
      const many = await run('issue', 'hamlet/badges/zine', '--from', list)
      expect(many).toMatchObject({ code: 0, err: '2 of 3 awarded; the others held it already\n' })
      expect(many.out.trim().split('\n')).toHaveLength(2)

      const again = await run('issue', 'hamlet/badges/zine', 'ada@example.org')
      expect(again).toMatchObject({
        code: 1,
        out: '',
        err: expect.stringContaining('has already been awarded'),
      })
      expect(
        await run(
          'issue',
          'hamlet/badges/zine',
          'ada@example.org',
          '--revoke',
          '--reason',
          'Mistake',
        ),
      ).toMatchObject({ code: 0 })
      const gone = await fetch(one.assertionUrl)
      expect([gone.status, await gone.json()]).toMatchObject([410, { revocationReason: 'Mistake' }])

      const wrong = await run('badges', 'create', 'hamlet/badges/empty', '--name', 'Empty')
      expect(wrong.code).toBe(1)
      expect(wrong.err).toMatch(/400 Could not validate required fields\n {2}\w+: Required field/)
    }, 120_000)

    it('makes, shows, claims and deletes codes', async () => {
      const { code, out } = await run('codes', 'create', 'hamlet/badges/zine', '--count', '3')
      expect([code, out]).toEqual([0, expect.stringMatching(/^([0-9a-f]{10}\n){3}$/)])
      await run('codes', 'create', 'hamlet/badges/zine', 'FESTIVAL', '--multiuse')
      expect(await json('codes', 'list', 'hamlet/badges/zine')).toHaveLength(4)
      expect(
        await json('codes', 'claim', 'hamlet/badges/zine', 'FESTIVAL', '--email', 'di@example.org'),
      ).toMatchObject({ claimed: true, email: 'di@example.org' })
      await run('codes', 'delete', 'hamlet/badges/zine', 'FESTIVAL')
      expect(await json('codes', 'list', 'hamlet/badges/zine')).toHaveLength(3)

      const terms = ['--multiuse', '--max-uses', '2', '--valid-until', '2999-05-01']
      await run('codes', 'create', 'hamlet/badges/zine', 'PARTY', ...terms)
      await run('codes', 'claim', 'hamlet/badges/zine', 'PARTY')
      const [party] = (await json('codes', 'list', 'hamlet/badges/zine')).slice(-1)
      expect(party.terms).toMatchObject({
        maxUses: 2,
        remaining: 1,
        validUntil: '2999-05-01T00:00:00.000Z',
      })
      const sheet = join(folder, 'cards.html')
      const printed = ['codes', 'list', 'hamlet/badges/zine', '--unclaimed', '--sheet', sheet]
      expect(await run(...printed)).toMatchObject({ code: 0, out: '' })
      expect(readFileSync(sheet, 'utf8').split('<article><svg')).toHaveLength(1 + 3)
      const two = ['codes', 'create', 'hamlet/badges/zine', '--count', '2', '--sheet', sheet]
      const made = (await run(...two)).out.trim().split('\n')
      const cards = readFileSync(sheet, 'utf8').matchAll(/<p class="code" dir="auto">(\w+)</g)
      expect(Array.from(cards, ([, card]) => card)).toEqual(made)
      const kept = await run('codes', 'create', 'hamlet/badges/zine', 'MINE', '--reserved')
      expect(kept).toMatchObject({ code: 1, err: expect.stringContaining('email: Required field') })
      const nowhere = await run('codes', 'list', 'hamlet/badges/none', '--sheet', sheet)
      expect(nowhere).toMatchObject({ code: 1, err: expect.stringContaining('404') })
    }, 60_000)

    it('makes, rotates and deletes keys', async () => {
      const key = await json(
        'keys',
        'create',
        'hamlet/library',
        '--role',
        'read',
        '--description',
        'a website',
      )
      const as = (secret: string) =>
        badgekit(['badges', 'list', 'hamlet/library'], {
          ...env,
          BADGEKIT_KEY: key.key,
          BADGEKIT_SECRET: secret,
        })
      expect(await as(key.secret)).toMatchObject({ code: 0 })
      const { secret } = await json('keys', 'rotate', 'hamlet/library', key.key)
      expect(secret).not.toBe(key.secret)
      expect(await as(secret)).toMatchObject({ code: 0 })
      expect((await run('keys', 'list', 'hamlet')).out).toMatch(
        new RegExp(`^${key.key} +read +library`, 'm'),
      )
      expect(await run('keys', 'delete', 'hamlet/library', key.key)).toMatchObject({ code: 0 })
      expect((await run('keys', 'list', 'hamlet')).out).not.toContain(key.key)
    }, 60_000)

    it('signs a request that curl can send', async () => {
      const body = '{"slug":"it\'s","name":"It\'s","url":"https://its.example.org"}'
      const { out } = await run('token', 'POST', '/systems', body, '--curl')
      const { execFileSync } = await import('node:child_process')
      expect(
        JSON.parse(
          String(execFileSync('sh', ['-c', out], { stdio: ['ignore', 'pipe', 'ignore'] })),
        ),
      ).toMatchObject({ status: 'created' })
      const { out: jwt } = await run('token', 'GET', '/systems')
      const answer = await fetch(`${server.url}/systems`, {
        headers: { authorization: `JWT token="${jwt.trim()}"` },
      })
      expect(answer.status).toBe(200)
    }, 60_000)

    it('sends what nothing else does, as `npm run api`', async () => {
      const { code, out, err } = await run('request', 'get', 'systems/hamlet/badges?page=1&count=1')
      expect(code).toBe(0)
      expect(err).toMatch(/^200 OK \(\d+ ms\)\n/)
      expect(JSON.parse(out).pageData).toMatchObject({ total: 1 })
      const { api } = JSON.parse(readFileSync('package.json', 'utf8')).scripts
      expect(api).toBe('node bin/badgekit.mjs request')
    }, 30_000)
  })

  it('works from a packed package, but for what goes to a database', async () => {
    const packed = spawnSync('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], {
      encoding: 'utf8',
    })
    spawnSync('tar', ['-xzf', join(folder, packed.stdout.trim()), '-C', folder])
    const script = join(folder, 'package/bin/badgekit.mjs')
    for (const [name, { load }] of Object.entries(commands)) {
      const told = await badgekit(['help', name], env, script)
      expect(told).toEqual({ code: 0, out: (await load()).help, err: '' })
    }
    expect(await badgekit(['systems', 'list', '--json'], env, script)).toMatchObject({ code: 0 })
    expect(await badgekit(['export', '--local'], env, script)).toMatchObject({
      code: 1,
      err: expect.stringContaining('in a checkout of the repository'),
    })
  }, 60_000)

  describe('a refusal', () => {
    it('says as whom it was signed, and when a clock is wrong', async () => {
      const wrong = await badgekit(['systems', 'list'], { ...env, BADGEKIT_SECRET: 'wrong' })
      expect(wrong).toMatchObject({ code: 1, out: '' })
      expect(wrong.err).toContain(`It was signed as master for ${server.url}`)
      expect(wrong.err).not.toContain('BADGEKIT_SECRET=wrong')

      const late = createServer((_, response) => {
        const date = new Date(Date.now() + 7_200_000).toUTCString()
        response.writeHead(403, { date, 'content-type': 'application/json' })
        response.end(JSON.stringify({ code: 'NotAuthorized', message: 'Token is expired' }))
      })
      await new Promise<void>((done) => late.listen(0, '127.0.0.1', done))
      const url = `http://127.0.0.1:${(late.address() as AddressInfo).port}`
      for (const args of [
        ['systems', 'list'],
        ['request', 'GET', '/systems'],
      ]) {
        const told = await badgekit(args, { ...env, BADGEKIT_URL: url })
        expect(told.code).toBe(1)
        expect(told.err).toMatch(/clock is 7\d\d\d s behind the server's/)
      }
      late.close()
    }, 60_000)

    it('quotes no secret of a file that it cannot read', async () => {
      const file = join(folder, 'broken.json')
      writeFileSync(file, '{"MASTER_SECRET": "abc\n')
      const { BADGEKIT_SECRET, ...rest } = env
      const told = await badgekit(['systems', 'list'], { ...rest, BADGEKIT_SECRETS: file })
      expect(told).toMatchObject({ code: 2, out: '', err: `${file} is not JSON.\n` })
    }, 60_000)
  })

  describe('badgekit listen', () => {
    it('registers itself, shows what is signed, refuses what is not, and removes itself', async () => {
      const port = String(await freePort())
      const listening = run('listen', 'hamlet', '--port', port, '--count', '1')
      let err = ''
      listening.child.stderr.on('data', (data) => {
        err += data
      })
      await until(() => err.includes('registered as webhook'), 30_000)
      expect((await run('webhooks', 'list', 'hamlet')).out).toContain(`http://127.0.0.1:${port}/`)
      const forged = await fetch(`http://127.0.0.1:${port}/`, {
        method: 'POST',
        headers: {
          'webhook-id': 'evt_1',
          'webhook-timestamp': String(Math.floor(Date.now() / 1000)),
          'webhook-signature': 'v1,AAAA',
        },
        body: '{"action":"award"}',
      })
      expect(forged.status).toBe(401)
      await run('issue', 'hamlet/badges/zine', 'eve@example.org')
      const { code, out } = await listening
      const lines = out.trim().split('\n')
      expect(lines[0]).toBe('award evt_1 FORGED (webhook-signature: bad, Authorization: none)')
      expect(lines[1]).toMatch(/^award zine eve@example\.org evt_\w+ signed$/)
      expect(code).toBe(1)
      expect((await run('webhooks', 'list', 'hamlet')).out).toBe('')
    }, 90_000)

    it('checks both signatures, their time and the bytes', () => {
      const secret = `whsec_${Buffer.from('the secret of a receiver').toString('base64')}`
      const body = Buffer.from('{"action":"award"}')
      const sign = (key: string | Buffer, text: string) =>
        createHmac('sha256', key).update(text).digest('base64')
      const signature = `v1,${sign(Buffer.from('the secret of a receiver'), `evt_1.1000.${body}`)}`
      const headers = {
        'webhook-id': 'evt_1',
        'webhook-timestamp': '1000',
        'webhook-signature': `v1,AAAA ${signature}`,
      }
      expect(checkStandard(secret, headers, body, 1100)).toBe('good')
      expect(checkStandard(secret, headers, body, 1400)).toBe('bad')
      expect(checkStandard(secret, headers, Buffer.from('{}'), 1100)).toBe('bad')
      expect(checkStandard('other', headers, body, 1100)).toBe('bad')
      expect(checkStandard(secret, {}, body, 1100)).toBe('none')
      expect(checkLegacy(secret, { authorization: 'JWT token="a.b.c"' }, body)).toBe('bad')
      expect(checkLegacy(secret, {}, body)).toBe('none')
    })
  })
})

describe('badgekit doctor', () => {
  it('says that a secret is refused, and that nothing listens', async () => {
    const refused = await badgekit(['doctor'], { ...env, BADGEKIT_SECRET: 'wrong' })
    expect(refused.code).toBe(1)
    expect(refused.out).toMatch(/^✘ signature +403 /m)
    const nobody = await badgekit(['doctor'], {
      ...env,
      BADGEKIT_URL: `http://127.0.0.1:${await freePort()}`,
    })
    expect(nobody).toMatchObject({
      code: 1,
      out: expect.stringMatching(/^✘ address +Nothing listens on/),
    })
  }, 60_000)

  it('detects a zone that challenges programs, and another address than the badges say', async () => {
    let mode: 'challenge' | 'plain' | 'ill' = 'challenge'
    const proxy = createServer(async (request, response) => {
      if (mode === 'challenge' && !request.headers['user-agent']) {
        response
          .writeHead(403, { 'content-type': 'text/html', 'cf-mitigated': 'challenge' })
          .end('<html>')
        return
      }
      if (mode === 'ill' && request.url === '/health/ready') {
        const migrations = { ok: false, newest: '0009_x.sql' }
        const told = { ready: false, version: '1', migrations, sweep: { ok: true }, queues: {} }
        response.writeHead(503, { 'content-type': 'application/json' }).end(JSON.stringify(told))
        return
      }
      const pieces: Buffer[] = []
      for await (const piece of request) pieces.push(piece)
      const { authorization, accept, 'content-type': sent } = request.headers
      const headers = Object.fromEntries(
        Object.entries({ authorization, accept, 'content-type': sent }).filter(
          ([, value]) => value,
        ),
      ) as Record<string, string>
      const answer = await fetch(server.url + request.url, {
        method: request.method ?? 'GET',
        headers,
        ...(pieces.length > 0 && { body: Buffer.concat(pieces) }),
      })
      const type = answer.headers.get('content-type') ?? ''
      response.writeHead(answer.status, { 'content-type': type }).end(await answer.text())
    })
    await new Promise<void>((done) => proxy.listen(0, '127.0.0.1', done))
    const origin = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
    const doctor = (...args: string[]) =>
      badgekit(['doctor', '--json', ...args], { ...env, BADGEKIT_URL: origin })
    const challenged = JSON.parse((await doctor()).out)
    expect(challenged.findings).toEqual([
      {
        name: 'address',
        state: 'bad',
        told: expect.stringContaining('the zone challenges programs'),
      },
    ])
    mode = 'plain'
    const moved = JSON.parse((await doctor()).out)
    expect(moved.isGood).toBe(false)
    expect(moved.findings).toContainEqual({
      name: 'verifier',
      state: 'bad',
      told: expect.stringContaining('which is PUBLIC_ORIGIN?'),
    })
    mode = 'ill'
    const ill = await doctor('--read-only')
    expect(ill.code).toBe(1)
    expect(JSON.parse(ill.out).findings).toMatchObject([
      { name: 'address', state: 'good' },
      { name: 'ready', state: 'bad', told: expect.stringContaining('migrations {"ok":false,') },
      { name: 'clock' },
      { name: 'signature', state: 'good' },
      { name: 'the rest', state: 'skipped' },
    ])
    proxy.close()
  }, 120_000)
})
