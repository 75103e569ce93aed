import { exports } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { api, ORIGIN, sign } from '../helpers/api'
import { levels, PNG_URI, seedBadge } from '../helpers/seed'

/** The claim codes of a badge as files with all that is told of them, and as a sheet to print. */

const [system] = levels
const TEMPLATE = 'https://city.example.org/{badge}?code={code}'
const FUTURE = '2999-02-03T04:05:06.000Z'

/** Fetches a file. */
async function file(path: string) {
  const token = await sign('GET', path, undefined)
  const response = await exports.default.fetch(ORIGIN + path, {
    headers: { Authorization: `JWT token="${token}"` },
  })
  return { status: response.status, headers: response.headers, text: await response.text() }
}

const cardsOf = (text: string) => text.split('<article>').slice(1)
const pagesOf = (text: string) => text.split('<section>').slice(1)
const codeOf = (card: string) => /<p class="code[^"]*" dir="auto">([^<]*)</.exec(card)?.[1]

describe.each(levels)('the codes of a badge of a $name', (level) => {
  it('have in files their terms, their uses and where they are claimed', async () => {
    const seed = await seedBadge(level)
    await api.put(seed.system, { claimUrl: TEMPLATE })
    const codes = `${seed.path}/codes`
    const terms = { multiuse: true, maxUses: 3, validUntil: FUTURE }
    await api.post(codes, { code: 'a b', ...terms })
    await api.post(`${codes}/a%20b/claim`, { email: 'ada@example.org' })
    await api.post(codes, { code: 'plain' })
    const url = (code: string) => `https://city.example.org/${seed.badge.slug}?code=${code}`
    expect((await file(`${codes}?format=csv`)).text).toBe(
      [
        'code,claimed,email,multiuse,uses,remaining,validFrom,validUntil,maxUses,reserved,claimUrl',
        `a b,true,ada@example.org,true,1,2,,${FUTURE},3,false,${url('a%20b')}`,
        `plain,false,,false,0,1,,,,false,${url('plain')}`,
        '',
      ].join('\r\n'),
    )
    const lines = (await file(`${codes}?format=ndjson&claimed=false`)).text.trim().split('\n')
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      {
        ...(await api.get(`${codes}/plain`)).body.claimCode,
        terms: {
          validFrom: null,
          validUntil: null,
          maxUses: null,
          reserved: false,
          uses: 0,
          remaining: 1,
        },
        claimUrl: url('plain'),
      },
    ])
  })

  it('are printed ten on a page, in their order, with the badge on every card', async () => {
    const seed = await seedBadge(level, { image: PNG_URI })
    await api.put(seed.system, { claimUrl: TEMPLATE })
    const { body } = await api.post(`${seed.path}/codes/batch`, { count: 21 })
    const { status, headers, text } = await file(`${seed.path}/codes?format=sheet`)
    expect(status).toBe(200)
    expect(headers.get('Content-Type')).toBe('text/html; charset=utf-8')
    expect(headers.get('Content-Disposition')).toBe('attachment; filename="claimCodes.html"')
    expect(headers.get('Content-Security-Policy')).toContain("default-src 'none'")
    expect(headers.get('Cache-Control')).toBe('private, no-store')
    expect(pagesOf(text).map((page) => cardsOf(page).length)).toEqual([10, 10, 1])
    expect(cardsOf(text).map(codeOf)).toEqual(
      body.claimCodes.map(({ code }: { code: string }) => code),
    )
    for (const card of cardsOf(text)) {
      expect(card).toContain(`<h2 dir="auto">${seed.badge.name}</h2>`)
      expect(card).toContain(`<img src="${seed.badge.imageUrl}" alt="">`)
      expect(card).toContain('<svg ')
      expect(card).toContain('<p class="at">city.example.org</p>')
    }
  })
})

describe('a sheet of codes', () => {
  it('has those that are left, when it is asked for them', async () => {
    const seed = await seedBadge(system)
    for (const code of ['one', 'two', 'three']) await api.post(`${seed.path}/codes`, { code })
    await api.post(`${seed.path}/codes/two/claim`, {})
    const { text } = await file(`${seed.path}/codes?format=sheet&claimed=false`)
    expect(cardsOf(text).map(codeOf)).toEqual(['one', 'three'])
  })

  it('has no QR codes where no system says what they would lead to, nor where that is too long', async () => {
    const seed = await seedBadge(system)
    await api.post(`${seed.path}/codes`, { code: 'plain' })
    const bare = await file(`${seed.path}/codes?format=sheet`)
    expect(cardsOf(bare.text).map(codeOf)).toEqual(['plain'])
    expect(bare.text).not.toContain('<svg')
    await api.put(seed.system, { claimUrl: TEMPLATE })
    await api.post(`${seed.path}/codes`, { code: 'ü'.repeat(255) })
    const [plain, long] = cardsOf((await file(`${seed.path}/codes?format=sheet`)).text)
    expect(plain).toContain('<svg')
    expect(long).not.toContain('<svg')
    expect(codeOf(long ?? '')).toBe('ü'.repeat(255))
  })

  it('shows what looks like HTML as the text it is', async () => {
    const evil = '"><script>alert(1)</script>'
    const seed = await seedBadge(system, { name: evil })
    await api.put(seed.system, { claimUrl: `https://city.example.org/{code}?${evil}` })
    await api.post(`${seed.path}/codes`, { code: evil })
    const { text } = await file(`${seed.path}/codes?format=sheet`)
    expect(text).not.toContain('<script')
    expect(codeOf(cardsOf(text)[0] ?? '')).toBe('&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;')
  })

  it('of no code has no page', async () => {
    const seed = await seedBadge(system)
    const { status, text } = await file(`${seed.path}/codes?format=sheet`)
    expect([status, cardsOf(text)]).toEqual([200, []])
    expect(text).toContain('</html>')
  })

  it('is whole, however many there are', async () => {
    const seed = await seedBadge(system)
    const { body } = await api.post(`${seed.path}/codes/batch`, { count: 2_500 })
    const { text } = await file(`${seed.path}/codes?format=sheet`)
    expect(cardsOf(text).map(codeOf)).toEqual(
      body.claimCodes.map(({ code }: { code: string }) => code),
    )
    expect(pagesOf(text)).toHaveLength(250)
    expect(text.endsWith('</html>\n')).toBe(true)
  })

  it('is had of codes, and of nothing else', async () => {
    const seed = await seedBadge(system)
    const { status, text } = await file(`${seed.path}/instances?format=sheet`)
    expect([status, JSON.parse(text).code]).toEqual([400, 'InvalidParameter'])
    expect((await file(`${seed.path}x/codes?format=sheet`)).status).toBe(404)
  })
})
