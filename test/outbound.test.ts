import { afterEach, describe, expect, it, vi } from 'vitest'
import { post, refuseTarget } from '../src/outbound'

const ownHosts = ['badges.example.com', 'API.Example.net:443', 'bücher.de', '127.0.0.1:8787']
const deployed = { allowLocal: false, ownHosts }
const local = { allowLocal: true, ownHosts }

const label63 = 'a'.repeat(63)

const allowed = [
  // 253 characters, as many as DNS allows.
  `https://${Array.from({ length: 3 }, () => label63).join('.')}.${'a'.repeat(57)}.org/`,
  'https://example.org',
  'https://example.org/',
  'https://example.org/hooks/1?a=b&c=%20d',
  'https://example.org:443/x',
  'https://example.org./x',
  'HTTPS://EXAMPLE.ORG/X',
  'hTTps:/example.org/x',
  'https:example.org',
  'https:///example.org',
  'https://a.b.c.d.example.org/',
  'https://xn--mnchen-3ya.de/',
  'https://münchen.de/',
  'https://пример.рф/',
  'https://例え。テスト例.com/',
  'https://ｅｘａｍｐｌｅ．ｏｒｇ/',
  'https://ex_ample.org/',
  'https://1.example.org/',
  'https://127.0.0.1.example.org/',
  'https://localhost.example.org/',
  'https://local.example.org/',
  'https://internal.org/',
  'https://notlocalhost.org/',
  'https://mylocal.dev/',
  'https://example.com/',
  'https://metadata.google.com/',
  'https://other.badges.example.com/',
  'https://badges.example.com.evil.org/',
  'https://example.org/@user',
  'https://example.org/?u=http://127.0.0.1/',
  'https://example.org/%0d%0a',
  'https://example.org/a%23b',
  'https://example.org/é',
  'https://@example.org/',
  'https://10.example.org/',
  'https://0x7f.example.org/',
  `https://${label63}.${label63}.org/`,
]

// Every one of these is refused for a deployed Worker and for a local one alike.
const refused = [
  '',
  'example.org',
  'example.org/x',
  '//example.org/x',
  '/x',
  'https://',
  'https:',
  'https://?x',
  'https://#x',
  'https://.',
  'https://..',
  'https://.example.org/',
  'https://example..org/',
  'https://example.org../',
  'https://example',
  'https://intranet/x',
  'https://com./',
  'ftp://example.org/',
  'ws://example.org/',
  'wss://example.org/',
  'file:///etc/passwd',
  'file://example.org/etc/passwd',
  'data:text/plain,x',
  'javascript:alert(1)',
  'gopher://example.org/',
  'blob:https://example.org/x',
  'about:blank',
  'mailto:ada@example.org',
  'view-source:https://example.org',
  'https://ada@example.org/',
  'https://ada:secret@example.org/',
  'https://:secret@example.org/',
  'https://example.com%40evil.org@example.org/',
  'https://example.org:443@10.0.0.1/',
  'https://example.org#x',
  'https://example.org/#',
  'https://example.org/x#y',
  'https://example.org:99999/',
  'https://example.org:-1/',
  'https://example.org:x/',
  // White space, control characters and backslashes, which the parser drops or turns round.
  ' https://example.org/',
  'https://example.org/ ',
  'https://example.org/a b',
  'https://exam\tple.org/',
  'https://exam\nple.org/',
  'https://exam\rple.org/',
  'https://example.org/\r\nHost: 10.0.0.1',
  'ht\ntps://example.org/',
  'https://example.org/\u0000',
  'https://example.org\u0000.evil.org/',
  'https://example.org/\u007f',
  'https://example.org/\u0085',
  'https://example.org/\u00a0',
  'https://example.org/\u2028',
  '\ufeffhttps://example.org/',
  'https:\\\\example.org\\x',
  'https://example.org\\@evil.org/',
  'https://evil.org\\.example.org/',
  'https://exa mple.org/',
  'https://exa%20mple.org/',
  'https://exa%00mple.org/',
  'https://exa<mple.org/',
  'https://exa*mple.org/',
  "https://exa'mple.org/",
  'https://exa,mple.org/',
  // IPv4 in every spelling.
  'https://8.8.8.8/',
  'https://1.1.1.1:443/',
  'https://10.0.0.1/',
  'https://10.1/',
  'https://172.16.0.1/',
  'https://172.31.255.255/',
  'https://192.168.0.1/',
  'https://192.168.1/',
  'https://169.254.169.254/latest/meta-data/',
  'https://169.254.169.254./',
  'https://2852039166/',
  'https://0xa9fea9fe/',
  'https://0xa9.0xfe.0xa9.0xfe/',
  'https://0251.0376.0251.0376/',
  'https://169.254.43518/',
  'https://①⑥⑨.②⑤④.①⑥⑨.②⑤④/',
  'https://１６９.254.169.254/',
  'https://169。254。169。254/',
  'https://169．254．169．254/',
  'https://169｡254｡169｡254/',
  'https://%31%36%39.254.169.254/',
  'https://100.100.100.200/',
  'https://100.64.0.1/',
  'https://168.63.129.16/',
  'https://192.0.0.192/',
  'https://192.0.2.1/',
  'https://198.18.0.1/',
  'https://198.51.100.1/',
  'https://203.0.113.1/',
  'https://224.0.0.1/',
  'https://240.0.0.1/',
  'https://255.255.255.255/',
  'https://0.0.0.0/',
  'https://0/',
  'https://0x0/',
  'https://00000000/',
  'https://4294967295/',
  'https://4294967296/',
  'https://256.1.1.1/',
  'https://1.2.3.4.5/',
  'https://1.2.3/',
  'https://08.1.1.1/',
  'https://0x.0x.0x.0x/',
  'https://example.1/',
  'https://example.0x1/',
  'https://-1.1.1.1/',
  // IPv6, with and without IPv4 inside.
  'https://[::]/',
  'https://[::2]/',
  'https://[2606:4700:4700::1111]/',
  'https://[::ffff:127.0.0.1]/',
  'https://[::ffff:7f00:1]/',
  'https://[::FFFF:A9FE:A9FE]/',
  'https://[::ffff:169.254.169.254]/',
  'https://[::127.0.0.1]/',
  'https://[64:ff9b::7f00:1]/',
  'https://[64:ff9b:1::1]/',
  'https://[2002:7f00:1::]/',
  'https://[2001:db8::1]/',
  'https://[3fff::1]/',
  'https://[100::1]/',
  'https://[5f00::1]/',
  'https://[fc00::1]/',
  'https://[fd00:ec2::254]/',
  'https://[fe80::1]/',
  'https://[fe80::1%25eth0]/',
  'https://[fec0::1]/',
  'https://[ff02::1]/',
  'https://[::1%eth0]/',
  'https://[::1/',
  'https://::1/',
  'https://[1.2.3.4]/',
  // Names that are reserved or lead inside.
  'https://printer.local/',
  'https://local/',
  'https://PRINTER.LOCAL./',
  'https://printer。local/',
  'https://db.internal/',
  'https://metadata.google.internal/computeMetadata/v1/',
  'https://METADATA.google.internal./',
  'https://ip-10-0-0-1.ec2.internal/',
  'https://router.home.arpa/',
  'https://1.0.0.127.in-addr.arpa/',
  'https://x.arpa/',
  'https://x.onion/',
  'https://x.test/',
  'https://test/',
  'https://x.invalid/',
  'https://x.example/',
  'https://X.EXAMPLE/',
  'https://x.ｅｘａｍｐｌｅ/',
  // This service itself.
  'https://badges.example.com/x',
  'https://BADGES.example.com./x',
  'https://badges.example.com:443/x',
  'https://api.example.net/',
  'https://bücher.de/',
  'https://xn--bcher-kva.de/',
  'https://ⓑadges.example.com/',
  // Names longer than DNS allows: 254 characters are one too many.
  `https://${Array.from({ length: 3 }, () => label63).join('.')}.${'a'.repeat(58)}.org/`,
  `https://${label63}a.org/`,
  `https://${Array.from({ length: 4 }, () => label63).join('.')}.org/`,
]

/** The shortest part that a token can have, and a token. */
const SHORT = 'sixteen-is-enuff'
const JWS = `eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJib2R5Ijp7ImFsZyI6In.${'x'.repeat(43)}`

const loopback = [
  'http://localhost/',
  'http://localhost:9000/hook',
  'https://localhost/',
  'http://LOCALHOST:9000/',
  'http://ⓛocalhost:9000/',
  'http://localhost.:9000/',
  'http://hooks.localhost:9000/',
  'http://127.0.0.1/',
  'http://127.0.0.1:9000/hook',
  'https://127.0.0.1/',
  'http://127.1:9000/',
  'http://127.255.255.254/',
  'http://2130706433/',
  'http://0x7f.1/',
  'http://0x7f000001/',
  'http://0177.0.0.1/',
  'http://017700000001/',
  'http://127。0。0。1/',
  'http://①②⑦.0.0.1/',
  'http://127.0.0.1./',
  'http://[::1]:9000/',
  'http://[0:0:0:0:0:0:0:1]/',
  'http://[::0001]/',
]

const withScheme = (url: string) => url.replace(/^https:/, 'http:')

describe('a deployed Worker', () => {
  it.each(allowed)('may call %j', (url) => {
    expect(refuseTarget(url, deployed)).toBeNull()
  })

  it.each([...refused, ...loopback])('may not call %j', (url) => {
    expect(refuseTarget(url, deployed)).toMatch(/\w/)
  })

  it.each(['http://example.org/', 'https://example.org:8443/', 'https://example.org:80/'])(
    'may not call %s either: only https on port 443',
    (url) => {
      expect(refuseTarget(url, deployed)).toMatch(/^Only /)
    },
  )
})

describe('a local Worker', () => {
  it.each([...allowed, ...loopback, 'http://example.org/', 'https://example.org:8443/'])(
    'may call %j',
    (url) => {
      expect(refuseTarget(url, local)).toBeNull()
    },
  )

  it.each([...refused, ...refused.filter((url) => url.startsWith('https:')).map(withScheme)])(
    'may not call %j',
    (url) => {
      expect(refuseTarget(url, local)).toMatch(/\w/)
    },
  )

  it('may not call itself, at its own port', () => {
    expect(refuseTarget('http://127.0.0.1:8787/x', local)).toMatch(/itself/)
    expect(refuseTarget('http://127.1:8787/x', local)).toMatch(/itself/)
    expect(refuseTarget('http://127.0.0.1:8788/x', local)).toBeNull()
  })
})

it('takes a URL of 2,000 characters and refuses one of 2,001', () => {
  const url = 'https://example.org/'.padEnd(2000, 'x')
  expect(refuseTarget(url, deployed)).toBeNull()
  expect(refuseTarget(`${url}x`, deployed)).toBe('A URL may be 2000 characters long at most')
})

describe('the reason', () => {
  it.each([
    ['http://example.org/', 'Only https URLs are called'],
    ['https://example.org:8443/', 'Only port 443 is called'],
    ['https://ada@example.org/', 'A URL may not contain credentials'],
    ['https://example.org/#a', 'A URL may not contain a fragment'],
    ['https://10.0.0.1/', 'IP addresses are not called'],
    ['https://x.local/', 'Local and reserved hosts are not called'],
    ['https://intranet/', 'The host must be a full domain name'],
    ['https://badges.example.com/', 'This service does not call itself'],
    ['nope', 'Not an absolute URL'],
  ])('for %s is: %s', (url, reason) => {
    expect(refuseTarget(url, deployed)).toBe(reason)
  })
})

describe('post', () => {
  const message = { headers: { 'content-type': 'application/json' }, body: '{}', timeoutMs: 1000 }
  const url = 'https://receiver.org/hook'

  /** Stands for a receiver that answers with `body`; gives back the calls it saw. */
  function receive(body: BodyInit | null, status = 200) {
    const fetch = vi.fn<typeof globalThis.fetch>(async () => new Response(body, { status }))
    vi.stubGlobal('fetch', fetch)
    return fetch
  }

  afterEach(() => vi.unstubAllGlobals())

  it('sends what it was given, follows no redirect and reports the answer', async () => {
    const fetch = receive('thank you', 202)
    expect(await post(url, message, deployed)).toMatchObject({ status: 202, answer: 'thank you' })
    expect(fetch).toHaveBeenCalledOnce()
    const [target, init] = fetch.mock.calls[0] ?? []
    expect(target).toBe(url)
    expect(init).toMatchObject({
      method: 'POST',
      redirect: 'manual',
      body: '{}',
      headers: message.headers,
    })
    expect(init?.signal).toBeInstanceOf(AbortSignal)
  })

  it('calls nobody when the target is refused', async () => {
    const fetch = receive('x')
    for (const target of [
      'http://receiver.org/',
      'https://127.0.0.1/',
      'https://badges.example.com/',
    ]) {
      expect(await post(target, message, deployed)).toEqual({ error: 'refused', ms: 0 })
    }
    expect(fetch).not.toHaveBeenCalled()
  })

  it('reports a redirect and an empty answer as they are', async () => {
    receive(null, 302)
    expect(await post(url, message, deployed)).toMatchObject({ status: 302, answer: '' })
  })

  it('keeps 1,024 bytes and never half a character', async () => {
    receive('é'.repeat(5000))
    const result = await post(url, message, deployed)
    expect(result).toMatchObject({ answer: 'é'.repeat(512) })
    receive(`x${'é'.repeat(5000)}`)
    expect(await post(url, message, deployed)).toMatchObject({ answer: `x${'é'.repeat(511)}` })
    receive(new Uint8Array(3000).fill(0xff))
    expect(await post(url, message, deployed)).toMatchObject({ answer: '\ufffd'.repeat(341) })
  })

  it('stops reading an endless answer', async () => {
    let chunks = 0
    let isCancelled = false
    const endless = new ReadableStream({
      pull: (controller) => {
        chunks++
        controller.enqueue(new TextEncoder().encode('x'.repeat(1000)))
      },
      cancel: () => {
        isCancelled = true
      },
    })
    receive(endless)
    expect(await post(url, message, deployed)).toMatchObject({ answer: 'x'.repeat(1024) })
    expect(isCancelled).toBe(true)
    expect(chunks).toBeLessThan(25)
  })

  it('keeps the status when the rest of the answer breaks off', async () => {
    const broken = new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode('half')),
      pull: (controller) => controller.error(new Error('connection lost')),
    })
    receive(broken)
    expect(await post(url, message, deployed)).toMatchObject({ status: 200 })
  })

  it.each([
    ['no badge for ada@example.org today', 'no badge for [email] today'],
    ['{"email":"ada+x@example.org","n":1}', '{"email":"[email]","n":1}'],
    ['Ada <ada@example.org>, Bob <b@c>', 'Ada <[email]>, Bob <[email]>'],
    ['/earners/ada%40example.org', '[email]'],
    ['mailto:ada@example.org', 'mailto:[email]'],
    ['at @ noon', 'at @ noon'],
    ['a\0b', 'a\ufffdb'],
    [`${'x'.repeat(1015)} ada.lovelace@example.org`, `${'x'.repeat(1015)} [email]`],
    [`${'x'.repeat(1020)} ada.lovelace@example.org`, `${'x'.repeat(1020)} [em`],
  ])('keeps no email address of %s', async (body, answer) => {
    receive(body)
    expect(await post(url, message, deployed)).toMatchObject({ answer })
  })

  it.each([
    [`token="${JWS}"`, 'token="[token]"'],
    [`token=\\"${JWS}\\"`, 'token=\\"[token]\\"'],
    [`Bearer ${JWS}, ${JWS}`, 'Bearer [token], [token]'],
    [`${SHORT}.${SHORT}.${SHORT}`, '[token]'],
    [`${SHORT.slice(1)}.${SHORT}.${SHORT}`, `${SHORT.slice(1)}.${SHORT}.${SHORT}`],
    [`${SHORT}.${SHORT.slice(1)}.${SHORT}`, `${SHORT}.${SHORT.slice(1)}.${SHORT}`],
    [`${SHORT}.${SHORT}.${SHORT.slice(1)}`, `${SHORT}.${SHORT}.${SHORT.slice(1)}`],
    ['docs.badges.example.org', 'docs.badges.example.org'],
  ])('keeps no token of %s', async (body, answer) => {
    receive(body)
    expect(await post(url, message, deployed)).toMatchObject({ answer })
  })

  it('tells a late answer from a broken connection, and throws neither', async () => {
    vi.stubGlobal('fetch', (_url: string, { signal }: { signal: AbortSignal }) => {
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
      })
    })
    const late = await post(url, { ...message, timeoutMs: 20 }, deployed)
    expect(late).toEqual({ error: 'timeout', ms: expect.any(Number) })
    vi.stubGlobal('fetch', async () => {
      throw new TypeError('connection refused')
    })
    const broken = await post(url, message, deployed)
    expect(broken).toEqual({ error: 'network', ms: expect.any(Number) })
  })
})
