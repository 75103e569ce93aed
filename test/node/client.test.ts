import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import {
  BadgeKit,
  BadgeKitError,
  type Event,
  type Message,
  verifyWebhook,
  WebhookError,
} from 'badgekit-api/client'
import { Webhook } from 'standardwebhooks'
import { beforeAll, describe, expect, inject, it } from 'vitest'
import { hasBrowser, startBrowser } from './browser'
import { serverAt, startReceiver, until } from './server'

/** The client outside of Workers: in Node and in a browser, against the real server. */

const CLIENT = resolve('client/badgekit.js')
const zine = {
  slug: 'zine-maker',
  name: 'Zine Maker',
  earnerDescription: 'You made a zine.',
  consumerDescription: 'The holder made a zine.',
  criteriaUrl: 'https://client.example.org/zine-maker',
  unique: 1,
  image: 'https://client.example.org/zine-maker.png',
} as const

let server: Awaited<ReturnType<typeof serverAt>>
let kit: BadgeKit
beforeAll(async () => {
  server = await serverAt(inject('server'))
  kit = new BadgeKit(server)
})

/** A system of this name with a badge in it. */
async function seeded(slug: string) {
  await kit.systems.post({ slug, name: slug, url: 'https://client.example.org' })
  const system = kit.systems(slug)
  await system.badges.post(zine)
  return system
}

/** Runs the first program of a page that imports the client, at our server and in this system. Gives the lines that it writes. */
function runSnippet(page: string, system: string): string[] {
  const blocks = [...readFileSync(page, 'utf8').matchAll(/```js\n([\s\S]*?)```/g)]
  const program = blocks.find(([, code = '']) => code.includes("from 'badgekit-api/client'"))?.[1]
  // Inside of the package, or its name means nothing.
  const file = resolve('.wrangler/tmp', `snippet-${process.pid}.mjs`)
  mkdirSync(dirname(file), { recursive: true })
  const url = /https?:\/\/(?:127\.0\.0\.1:8787|badges\.example\.org)/
  writeFileSync(file, String(program).replace(url, server.url).replace("'city'", `'${system}'`))
  try {
    const env = { ...process.env, SECRET: server.secret }
    const { stdout, stderr, status } = spawnSync(process.execPath, [file], {
      encoding: 'utf8',
      env,
    })
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    return stdout.trim().split('\n')
  } finally {
    rmSync(file)
  }
}

describe('the client in Node', () => {
  it('makes, awards, lists and is told of it', async () => {
    const system = await seeded('client-node')
    const receiver = await startReceiver()
    try {
      const old = await system.webhooks.post({ url: receiver.url })
      const events = await system.webhooks.post({ url: `${receiver.url}/2`, format: 'events-1' })
      const emails = Array.from({ length: 25 }, (_, n) => `earner-${n}@example.org`)
      await system.badges(zine.slug).instances.bulk.post({ emails })
      const held: string[] = []
      for await (const { email } of system.badges(zine.slug).instances.list({ limit: 10 })) {
        held.push(email)
      }
      expect(held.sort()).toEqual(emails.sort())

      await until(() => receiver.received.length >= 2 * emails.length, 30_000)
      const told = { message: new Set<string>(), event: new Set<string>() }
      for (const received of receiver.received) {
        const { secret } = 'type' in JSON.parse(received.body) ? events.webhook : old.webhook
        const sent = await verifyWebhook<Message | Event>(received, secret ?? '')
        if ('type' in sent) told.event.add(sent.type)
        else if (sent.action === 'award') told.message.add(sent.email)
        await expect(verifyWebhook(received, 'another')).rejects.toThrow(WebhookError)
      }
      expect(told.message.size).toBe(emails.length)
      expect(told.event).toEqual(new Set(['badge.awarded']))
    } finally {
      await receiver.stop()
    }
  })

  it('signs as a key of its own', async () => {
    const system = await seeded('client-keys')
    const { key } = await system.keys.post({ role: 'issue' })
    const issuer = new BadgeKit({ url: server.url, key: key.key, secret: key.secret })
    const own = issuer.systems('client-keys')
    await own.badges(zine.slug).instances.post({ email: 'ada@example.org' })
    const error = await own.badges.post({ ...zine, slug: 'x' }).catch((thrown) => thrown)
    expect(BadgeKitError.is(error, 'NotAuthorized') && error.message).toContain('needs manage')
  })

  it('waits for a server that is not there yet, and says so when it stays away', async () => {
    const gone = new BadgeKit({ url: 'http://127.0.0.1:9', secret: 'x', retries: 1 })
    const error = await gone.systems.get().catch((thrown) => thrown)
    expect(BadgeKitError.is(error, 'NetworkError')).toBe(true)
    const { port } = await new Promise<AddressInfo>((done) => {
      const probe = createServer().listen(0, '127.0.0.1', () => {
        const address = probe.address() as AddressInfo
        probe.close(() => done(address))
      })
    })
    const asked = new BadgeKit({ url: `http://127.0.0.1:${port}` }).healthcheck.get()
    const late = createServer((_request, response) => {
      response.setHeader('Content-Type', 'application/json')
      response.end('{"app":"late","version":"1"}')
    }).listen(port, '127.0.0.1')
    expect((await asked).app).toBe('late')
    late.close()
  })

  it('does what README and docs/client.md show', async () => {
    await seeded('client-docs')
    for (const page of ['README.md', 'docs/client.md']) {
      const emails = runSnippet(page, 'client-docs').slice(1)
      expect(emails).toContain(page === 'README.md' ? 'bo@example.org' : 'ada@example.org')
    }
  })

  it('asks for nothing but the language, `fetch` and Web Crypto', () => {
    expect(readFileSync(CLIENT, 'utf8')).not.toMatch(
      /^import |\bimport\(|require\(|process\.|\bBuffer\b/m,
    )
  })

  it('is what a packed package gives, in plain JavaScript', () => {
    const packed = spawnSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
      encoding: 'utf8',
    })
    const [{ files }] = JSON.parse(packed.stdout) as [{ files: { path: string }[] }]
    const paths = files.map(({ path }) => path)
    for (const name of ['badgekit.js', 'badgekit.d.ts', 'calls.d.ts', 'routes.d.ts']) {
      expect(paths).toContain(`client/${name}`)
    }
  })
})

/** `npm run test:runtimes` brings them along, and asks for both. */
const isThere = (runtime: string) => spawnSync(runtime, ['--version']).status === 0
const isAsked = process.env.npm_lifecycle_event === 'test:runtimes'
const RUNTIMES = [
  ['deno', ['run', '--no-config', '--allow-net', '--allow-read']],
  ['bun', ['run']],
] as const

describe.each(RUNTIMES)('the client in Deno and Bun: %s', (runtime, args) => {
  it.runIf(isAsked || isThere(runtime))('signs, repeats, lists, and checks a webhook', async () => {
    const slug = `client-${runtime}`
    await seeded(slug)
    const folder = mkdtempSync(join(tmpdir(), 'badgekit-runtime-'))
    const file = join(folder, 'program.mjs')
    const secret = `whsec_${Buffer.alloc(32, 'k').toString('base64')}`
    const body = '{"action":"ping","webhook":1}'
    const headers = {
      'webhook-id': 'evt_1',
      'webhook-timestamp': String(Math.floor(Date.now() / 1000)),
      'webhook-signature': new Webhook(secret).sign('evt_1', new Date(), body),
    }
    // The first answer of all is lost on the way, and nothing is done twice.
    writeFileSync(
      file,
      `import { BadgeKit, BadgeKitError, verifyWebhook } from ${JSON.stringify(CLIENT)}
      let isLost = false
      const fetchOnceLost = async (...given) => {
        const answer = await fetch(...given)
        if (isLost) return answer
        isLost = true
        throw new Error('lost')
      }
      const kit = new BadgeKit({ ...${JSON.stringify({ url: server.url, secret: server.secret })}, fetch: fetchOnceLost })
      const { instances } = kit.systems('${slug}').badges('zine-maker')
      await instances.post({ email: 'ada@example.org' })
      const again = await instances.post({ email: 'ada@example.org' }).catch((error) => error)
      console.log(BadgeKitError.is(again, 'ResourceConflict'))
      for await (const { email } of instances.list({ limit: 1 })) console.log(email)
      const sent = ${JSON.stringify({ headers, body })}
      console.log((await verifyWebhook(sent, '${secret}')).action)
      console.log((await verifyWebhook(sent, 'another').catch((error) => error)).name)`,
    )
    const { stdout, stderr } = spawnSync(runtime, [...args, file], { encoding: 'utf8' })
    rmSync(folder, { recursive: true })
    expect({ stdout, stderr }).toEqual({
      stdout: 'true\nada@example.org\nping\nWebhookError\n',
      stderr: expect.any(String),
    })
  })
})

describe.runIf(hasBrowser)('the client in a browser', () => {
  it('signs and sends on a page of the service', async () => {
    await seeded('client-browser')
    const browser = await startBrowser()
    try {
      const page = await browser.newPage()
      await page.route('**/client.js', (route) =>
        route.fulfill({ path: CLIENT, contentType: 'text/javascript' }),
      )
      await page.goto(`${server.url}/healthcheck`)
      // As text, because an `import` in a function would become the test runner's.
      const emails = await page.evaluate(`(async () => {
        const { BadgeKit } = await import('/client.js')
        const kit = new BadgeKit(${JSON.stringify({ url: server.url, secret: server.secret })})
        const badge = kit.systems('client-browser').badges('zine-maker')
        await badge.instances.post({ email: 'ada@example.org' })
        const found = []
        for await (const { email } of badge.instances.list()) found.push(email)
        return found
      })()`)
      expect(emails).toEqual(['ada@example.org'])
    } finally {
      await browser.close()
    }
  })
})
