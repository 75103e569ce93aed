import { createExecutionContext, createMessageBatch, getQueueResult } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { base64url } from 'jose'
import { beforeEach, describe, expect, it } from 'vitest'
import { consume } from '../../src/consume'
import type { Doorbell } from '../../src/doorbell'
import type { Bindings } from '../../src/env'
import { workOn } from '../../src/jobs'
import { forgetOld } from '../../src/store/retention'
import { sweep } from '../../src/sweep'
import { ORIGIN, sign } from '../helpers/api'
import { call, changesNothing, count, failing, request } from '../helpers/calls'
import { DAY, db, MINUTE, silent, startCalm, withBell } from '../helpers/deliveries'
import { levels, seedBadge, seedWebhook, unique } from '../helpers/seed'
import { utf8 } from '../helpers/worker'

startCalm()

/** Bulk jobs: rows come in as JSON, NDJSON or CSV, and the consumer works through them. */

let seed: Awaited<ReturnType<typeof seedBadge>>
let path: string
beforeEach(async () => {
  seed = await seedBadge(levels[1])
  path = `${seed.path}/instances/jobs`
})

const someone = () => `${unique('e')}@example.org`
const people = (n: number) => Array.from({ length: n }, someone)
const rowsOf = (emails: string[]) => ({ rows: emails.map((email) => ({ email })) })

/** A job of these rows that the consumer has not been rung for yet. */
async function start(given: object) {
  const { status, body } = await call('POST', path, given)
  expect(status).toBe(202)
  return body.job as { id: string; state: string; rows: number }
}
const numberOf = async (job: { id: string }) =>
  count('select id as n from jobs where uid = ?', job.id)
const work = async (job: { id: string }, bindings: Bindings = silent) =>
  workOn(db(), bindings, await numberOf(job))
const show = async (job: { id: string }) => (await call('GET', `${path}/${job.id}`)).body.job
const results = async (job: { id: string }, query = '') =>
  (await call('GET', `${path}/${job.id}/rows${query}`)).body.rows
const awards = (system = seed) =>
  count(
    `select count(*) as n from badgeInstances i join badges b on b.id = i.badgeId
     where b.slug = ? and i.revokedAt is null`,
    system.badge.slug,
  )

/** Sends a body as it is. */
async function send(
  given: string | Uint8Array<ArrayBuffer>,
  type: string,
  query = '',
  bindings: Bindings = silent,
) {
  const body = typeof given === 'string' ? utf8(given) : given
  const token = await sign('POST', path + query, body)
  return request(
    new Request(ORIGIN + path + query, {
      method: 'POST',
      body,
      headers: { Authorization: `JWT token="${token}"`, 'Content-Type': type },
    }),
    bindings,
  )
}

describe('a job of awards', () => {
  it('is answered before anything is awarded, and then does all of it', async () => {
    const emails = people(3)
    const job = await start(rowsOf(emails))
    expect(job).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{24}$/),
      kind: 'issue',
      state: 'running',
      rows: 3,
      done: 0,
      succeeded: 0,
      skipped: 0,
      failed: 0,
      reason: null,
      key: 'master',
      created: expect.any(String),
      ended: null,
    })
    expect(await awards()).toBe(0)
    expect(await results(job)).toEqual(
      emails.map((email, row) => ({ row, email, state: 'pending', slug: null, reason: null })),
    )
    await work(job)
    expect(await show(job)).toMatchObject({ state: 'done', done: 3, succeeded: 3, failed: 0 })
    expect((await show(job)).ended).toEqual(expect.any(String))
    const made = (await call('GET', `${seed.path}/instances`)).body.instances
    expect(await results(job)).toEqual(
      emails.map((email, row) => ({
        row,
        email,
        state: 'issued',
        slug: made.find((one: { email: string }) => one.email === email).slug,
        reason: null,
      })),
    )
  })

  it('says of each row what it asked for, in the award and in the event', async () => {
    await seedWebhook(seed.system)
    const [one, other] = people(2)
    const job = await start({
      rows: [
        {
          email: one,
          issuedOn: '2020-01-02T03:04:05Z',
          expires: '2040-01-01',
          comment: 'Well "done"',
        },
        { email: other },
      ],
    })
    await work(job)
    const [first, second] = (await call('GET', `${seed.path}/instances`)).body.instances
    expect(first).toMatchObject({
      email: one,
      issuedOn: '2020-01-02T03:04:05.000Z',
      expires: '2040-01-01T00:00:00.000Z',
    })
    expect(second).toMatchObject({ email: other, expires: null })
    const { results: events } = await env.DB.prepare(
      'select body, data from events where subject in (?, ?) order by seq',
    )
      .bind(first.slug, second.slug)
      .all<{ body: string; data: string }>()
    const [said, plain] = events.map(({ body }) => JSON.parse(body.replace('\u0001', 'null')))
    expect(said).toMatchObject({ email: one, comment: 'Well "done"', issuedOn: 1577934245 })
    expect(plain).toMatchObject({ email: other, comment: null })
    const [told] = events.map(({ data }) => JSON.parse(data.replace('\u0001', 'null')))
    expect(told.instance).toEqual({
      slug: first.slug,
      email: one,
      expires: first.expires,
      issuedOn: first.issuedOn,
      claimCode: null,
      assertionUrl: first.assertionUrl,
    })
    expect(
      await count(
        'select count(*) as n from deliveries where subject in (?, ?)',
        first.slug,
        second.slug,
      ),
    ).toBe(2)
  })

  it('says of each row how it was earned, as single awards do', async () => {
    const [one, other, third] = people(3)
    const { body } = await send(
      `email,narrative,evidence\n${one},She **did** it,https://a.example.org/1 https://a.example.org/2\n${other},,\n`,
      'text/csv',
    )
    await work(body.job)
    const item = { url: 'https://a.example.org/3', name: 'Third' }
    await work(await start({ rows: [{ email: third, evidence: [item] }] }))
    const [first, second, last] = (await call('GET', `${seed.path}/instances`)).body.instances
    expect(first).toMatchObject({
      email: one,
      narrative: 'She **did** it',
      evidence: [{ url: 'https://a.example.org/1' }, { url: 'https://a.example.org/2' }],
    })
    expect(second).not.toHaveProperty('narrative')
    expect(second).not.toHaveProperty('evidence')
    expect(last).toMatchObject({ email: third, evidence: [item] })
    const complaint = await changesNothing(() =>
      call('POST', path, { rows: [{ email: someone(), evidence: [{ url: 'mailto:me' }] }] }),
    )
    expect(complaint.body.details).toEqual([
      { message: 'Invalid URL', field: 'rows[0].evidence[0].url', value: 'mailto:me' },
    ])
  })

  it('skips whoever holds the badge, and a second row of one address', async () => {
    const [holder, twice] = people(2)
    await call('POST', `${seed.path}/instances`, { email: holder })
    const job = await start(rowsOf([holder ?? '', twice ?? '', (twice ?? '').toUpperCase()]))
    await work(job)
    expect((await results(job)).map(({ state }: { state: string }) => state)).toEqual([
      'held',
      'issued',
      'held',
    ])
    expect(await show(job)).toMatchObject({ succeeded: 1, skipped: 2, failed: 0 })
  })

  it('awards as many as the limit leaves room for, the first ones', async () => {
    await call('PUT', seed.path, { limit: 2 })
    const job = await start(rowsOf(people(4)))
    await work(job)
    expect(await results(job, '?state=failed')).toEqual([
      expect.objectContaining({ row: 2, reason: 'The badge has reached its limit' }),
      expect.objectContaining({ row: 3, reason: 'The badge has reached its limit' }),
    ])
    expect(await awards()).toBe(2)
    expect(await count('select awarded as n from badges where slug = ?', seed.badge.slug)).toBe(2)
  })

  it('of many chunks is done chunk by chunk, each by one of many workers', async () => {
    const emails = people(2_500)
    const job = await start(rowsOf(emails))
    await Promise.all([work(job), work(job), work(job)])
    expect(await show(job)).toMatchObject({ state: 'done', done: 2_500, succeeded: 2_500 })
    expect(await awards()).toBe(2_500)
    const page = await call('GET', `${path}/${job.id}/rows?limit=1000&cursor=`)
    expect(page.body.rows).toHaveLength(1_000)
    const next = /<([^>]+)>/.exec(page.headers.get('Link') ?? '')?.[1] ?? ''
    const second = (await call('GET', next)).body.rows
    expect(second[0].row).toBe(1_000)
    expect((await results(job)).map(({ email }: { email: string }) => email)).toEqual(emails)
  })

  it('goes on where it was when the answer of the database is lost, and doubles nothing', async () => {
    const job = await start(rowsOf(people(5)))
    for (const after of [true, false]) {
      const bindings = { ...silent, DB: failing(3, { after }) } as Bindings
      const lossy = (await import('../../src/store/db')).openDb(bindings.DB, 'first-primary')
      await workOn(lossy, bindings, await numberOf(job)).catch(() => {})
    }
    await work(job)
    expect(await show(job)).toMatchObject({ state: 'done', succeeded: 5 })
    expect(await awards()).toBe(5)
    expect(
      await count(
        `select count(*) as n from events where type = 'badge.awarded' and subject in (
          select slug from badgeInstances where badgeId = (select id from badges where slug = ?))`,
        seed.badge.slug,
      ),
    ).toBe(5)
  })

  it('is found by the sweep when its bell was lost', async () => {
    const job = await start(rowsOf(people(1)))
    const { rung, env: bindings } = withBell()
    await sweep(bindings, Date.now() + 61_000)
    expect(rung.map(({ body }) => body)).toContainEqual({ job: await numberOf(job) })
  })

  it('is worked on by the consumer of the queue', async () => {
    const job = await start(rowsOf(people(1)))
    const message = {
      id: '1',
      timestamp: new Date(),
      attempts: 1,
      body: { job: await numberOf(job) },
    }
    const batch = createMessageBatch<Doorbell>('badgekit-deliveries', [message])
    const ctx = createExecutionContext()
    const { rung, env: bindings } = withBell()
    await consume(batch, bindings)
    expect((await getQueueResult(batch, ctx)).explicitAcks).toEqual(['1'])
    // Whoever asks first signs: thousands are not rung for one by one.
    expect(rung.filter(({ body }) => 'award' in body)).toEqual([])
    expect((await show(job)).state).toBe('done')
  })

  it('completes milestones as single awards do', async () => {
    const primary = (
      await call('POST', `${seed.container}/badges`, {
        ...seed.badge,
        slug: unique('top'),
        image: seed.badge.imageUrl,
        unique: 1,
      })
    ).body.badge
    await call('POST', `${seed.system}/milestones`, {
      primaryBadgeId: primary.id,
      supportBadges: [seed.badge.id],
      numberRequired: 1,
      action: 'issue',
    })
    const emails = people(3)
    const job = await start(rowsOf(emails))
    await work(job)
    const path = `${seed.container}/badges/${primary.slug}/instances`
    const held = (await call('GET', path)).body.instances
    expect(held.map(({ email }: { email: string }) => email)).toEqual(emails)
  })

  it('is stopped, and what it has done stays', async () => {
    const job = await start(rowsOf(people(2)))
    const { body } = await call('POST', `${path}/${job.id}/cancel`)
    expect(body.job).toMatchObject({ state: 'cancelled', done: 0 })
    await work(job)
    expect(await awards()).toBe(0)
    expect((await call('POST', `${path}/${job.id}/cancel`)).status).toBe(409)
  })

  it('ends when its badge is gone', async () => {
    const job = await start(rowsOf(people(2)))
    await call('DELETE', seed.path)
    await work(job)
    expect(
      await count(
        'select count(*) as n from jobs where uid = ? and state = ?',
        job.id,
        'cancelled',
      ),
    ).toBe(1)
  })

  it('that is asked for again with its Idempotency-Key is the same job', async () => {
    const given = rowsOf(people(2))
    const headers = { 'Idempotency-Key': unique('key') }
    const first = await call('POST', path, given, { headers })
    const second = await call('POST', path, given, { headers })
    expect(second.headers.get('Idempotent-Replayed')).toBe('true')
    expect(second.body.job.id).toBe(first.body.job.id)
    expect((await call('GET', path)).body.jobs).toHaveLength(1)
  })
})

describe('rows', () => {
  it('come as CSV, whatever separates the columns and in whatever order', async () => {
    const [one, other] = people(2)
    const { status, body } = await send(
      `\ufeffcomment;Email;issuedOn;ours\r\n"a ""b"";\nc";${one};1577934245;x\r\n;${other};;\r\n\r\n`,
      'text/csv; charset=utf-8',
    )
    expect({ status, rows: body.job.rows }).toEqual({ status: 202, rows: 2 })
    await work(body.job)
    const [first] = (await call('GET', `${seed.path}/instances`)).body.instances
    expect(first).toMatchObject({ email: one, issuedOn: '2020-01-02T03:04:05.000Z' })
  })

  it('come as NDJSON', async () => {
    const emails = people(3)
    const text = emails.map((email) => JSON.stringify({ email })).join('\n')
    expect((await send(`${text}\n\n`, 'application/x-ndjson')).body.job.rows).toBe(3)
  })

  it('are all looked at before anything is kept, and complained of by row and field', async () => {
    const given = {
      rows: [
        { email: someone() },
        { email: 'nobody' },
        {},
        { email: someone(), expires: 'soon' },
        7,
      ],
    }
    const answer = await changesNothing(() => call('POST', path, given))
    expect(answer.status).toBe(400)
    expect(answer.body.details.map(({ field }: { field: string }) => field)).toEqual([
      'rows[1].email',
      'rows[2].email',
      'rows[3].expires',
      'rows[4]',
    ])
  })

  it.each([
    ['no list', '{"rows":1}', 'application/json', 400],
    ['no rows', '{"rows":[]}', 'application/json', 400],
    ['no JSON', '{"rows":[', 'application/json', 400],
    [
      'no object around the list',
      '[{"rows":[{"email":"a@example.org"}]}]',
      'application/json',
      400,
    ],
    [
      'JSON with a comma too many',
      '{"rows":[{"email":"a@example.org"},]}',
      'application/json',
      400,
    ],
    ['JSON with brackets that do not match', '{"rows":[{]}', 'application/json', 400],
    [
      'JSON that goes on after its end',
      '{"rows":[{"email":"a@example.org"}]} 1',
      'application/json',
      400,
    ],
    ['JSON that goes deep', `{"rows":[${'['.repeat(500_000)}`, 'application/json', 400],
    [
      'JSON with much beside the rows',
      `{"a":"${'a'.repeat(1_000_001)}","rows":[]}`,
      'application/json',
      400,
    ],
    ['a million lines and more', '\n'.repeat(1_000_001), 'text/csv', 400],
    ['nothing', '', 'text/csv', 400],
    ['CSV without a column of addresses', 'a,b\n1,2', 'text/csv', 400],
    ['CSV with a quote that never ends', 'email\n"a@example.org\n', 'text/csv', 400],
    ['CSV with text after a quote', 'email\n"a@example.org"b\n', 'text/csv', 400],
    ['CSV with a line that does not end', `email\n${'a'.repeat(2_000_001)}`, 'text/csv', 400],
    ['CSV with very many fields', `email${','.repeat(1_000)}\n`, 'text/csv', 400],
    ['CSV with a NUL', 'email,comment\na@example.org,a\u0000b\n', 'text/csv', 400],
    ['CSV with nothing but names', 'email,comment\n', 'text/csv', 400],
    ['NDJSON with a broken line', '{"email":"a@example.org"}\n{', 'application/x-ndjson', 400],
    ['another type', 'email=a@example.org', 'application/x-www-form-urlencoded', 415],
    ['too many', `email\n${'a@example.org\n'.repeat(100_001)}`, 'text/csv', 400],
  ])('are refused: %s', async (_what, text, type, status) => {
    const answer = await changesNothing(() => send(text, type))
    expect(answer.status).toBe(status)
    expect(answer.body.code).toEqual(expect.any(String))
  })

  it('are complained of one by one when they cannot be read', async () => {
    const csv = await changesNothing(() =>
      send('email,comment\na@example.org,Well done, you\nb@example.org,,\n,c\n', 'text/csv'),
    )
    const of = ({ body }: typeof csv) =>
      body.details.map(({ field, message }: { field: string; message: string }) => [field, message])
    expect(of(csv)).toEqual([
      ['rows[0]', 'More fields than columns'],
      ['rows[2].email', 'Required field'],
    ])
    const lines = [
      '{"email":"a@example.org"}',
      '{',
      '{"email":"a@example.org","comment":"\\u0000"}',
    ]
    const ndjson = await changesNothing(() => send(lines.join('\n'), 'application/x-ndjson'))
    expect(of(ndjson)).toEqual([
      ['rows[1]', expect.stringMatching(/^Invalid JSON/)],
      ['rows[2]', 'Text may not contain U+0000'],
    ])
  })

  it('in UTF-16 or Latin-1 are refused, and not kept with wrong letters', async () => {
    const bytes = [...utf8('email,comment\na@example.org,Caf'), 0xe9]
    const answer = await changesNothing(() => send(new Uint8Array(bytes), 'text/csv'))
    expect({ status: answer.status, message: answer.body.message }).toEqual({
      status: 400,
      message: 'Malformed CSV at line 2: no text in UTF-8',
    })
  })

  it('of JSON are found wherever they stand, with all that texts may hold', async () => {
    const email = someone()
    const comment = 'a "quote", a \\ and ]}'
    const rows = JSON.stringify([{ email, comment }, { email: someone() }], null, 2)
    const { status, body } = await send(
      `\ufeff{"other": [{"rows": [1]}, "]"] , "rows" : ${rows} , "more": {}}`,
      'application/json',
    )
    expect({ status, rows: body.job?.rows }).toEqual({ status: 202, rows: 2 })
    await work(body.job)
    const event = `select body from events where subject = (select slug from badgeInstances where email = '${email}')`
    const told = await env.DB.prepare(event).first<{ body: string }>()
    expect(JSON.parse((told?.body ?? '').replace('\u0001', 'null')).comment).toBe(comment)
  })

  it('of CSV may go over lines, and hold quotes and separators', async () => {
    const [one, other] = people(2)
    const { body } = await send(
      `narrative\temail\n"one ""two""\r\n\n, three;\t"\t${one}\n""\t"${other}"`,
      'text/csv',
    )
    await work(body.job)
    const [first, second] = (await call('GET', `${seed.path}/instances`)).body.instances
    expect(first).toMatchObject({ email: one, narrative: 'one "two"\n\n, three;' })
    expect(second.email).toBe(other)
  })

  it('are more than one transaction takes, and all there', async () => {
    const comment = 'c'.repeat(9_000)
    const emails = people(600)
    const lines = emails.map((email) => JSON.stringify({ email, comment }))
    const { status, body } = await send(lines.join('\n'), 'application/x-ndjson')
    expect({ status, rows: body.job?.rows }).toEqual({ status: 202, rows: 600 })
    expect((await results(body.job)).map(({ email }: { email: string }) => email)).toEqual(emails)
    await call('POST', `${path}/${body.job.id}/cancel`)
  })

  it('are refused when one is longer than a chunk may be', async () => {
    const description = 'x'.repeat(10_000)
    const evidence = Array.from({ length: 50 }, (_, i) => ({
      url: `https://a.example.org/${i}`,
      description,
    }))
    const given = { rows: [{ email: someone() }, { email: someone(), evidence }] }
    const answer = await changesNothing(() => call('POST', path, given))
    expect({ status: answer.status, details: answer.body.details }).toEqual({
      status: 400,
      details: [{ message: 'More than 500000 characters', field: 'rows[1]', value: '' }],
    })
  })

  it('are rehearsed, and nothing is done', async () => {
    const [holder, other] = people(2)
    await call('POST', `${seed.path}/instances`, { email: holder })
    const text = `email\n${holder}\n${other}\n`
    const answer = await changesNothing(() => send(text, 'text/csv', '?dryRun=true'))
    expect({ status: answer.status, body: answer.body }).toEqual({
      status: 200,
      body: { status: 'valid', rows: 2, held: 1 },
    })
    expect((await send(text, 'text/csv', '?dryRun=perhaps')).status).toBe(400)
  })
})

describe('a job of revocations', () => {
  const revoke = async (given: object) =>
    (await call('POST', `${seed.path}/instances/revocations`, given)).body.job

  it('revokes what another job awarded, with a reason and events', async () => {
    const before = someone()
    await call('POST', `${seed.path}/instances`, { email: before })
    const job = await start(rowsOf([before, ...people(3)]))
    await work(job)
    const { status, body } = await call('POST', `${path}/${job.id}/revoke`, { reason: 'A mistake' })
    expect({ status, rows: body.job.rows, kind: body.job.kind }).toEqual({
      status: 202,
      rows: 3,
      kind: 'revoke',
    })
    await work(body.job)
    expect(await show(body.job)).toMatchObject({ state: 'done', succeeded: 3, reason: 'A mistake' })
    expect(await awards()).toBe(1)
    expect(await count('select awarded as n from badges where slug = ?', seed.badge.slug)).toBe(1)
    const [row] = await results(body.job)
    const event = await env.DB.prepare(
      "select body, data from events where subject = ? and type = 'badge.revoked'",
    )
      .bind(row.slug)
      .first<{ body: string; data: string }>()
    const told = JSON.parse((event?.data ?? '').replace('\u0001', 'null'))
    expect(told).toMatchObject({ revocationReason: 'A mistake', instance: { slug: row.slug } })
    const gone = await request(new Request(`${ORIGIN}/public/assertions/${row.slug}`))
    expect({ status: gone.status, reason: gone.body.revocationReason }).toEqual({
      status: 410,
      reason: 'A mistake',
    })
  })

  it('ends the signed credentials, which no job of awards has signed', async () => {
    const job = await start(rowsOf(people(2)))
    await work(job)
    const [one, other] = (await call('GET', `${seed.path}/instances`)).body.instances
    const signed = () =>
      count(
        'select count(*) as n from credentials where awardId in (select id from badgeInstances where slug in (?, ?))',
        one.slug,
        other.slug,
      )
    expect(await signed()).toBe(0)
    const get = (url: string) => request(new Request(url))
    const credential = (await get(one.urls.openBadges3)).body
    const { statusListCredential, statusListIndex } = credential.credentialStatus
    const bit = async () => {
      const { encodedList } = (await get(statusListCredential)).body.credentialSubject
      const zipped = base64url.decode(encodedList.slice(1)) as Uint8Array<ArrayBuffer>
      const stream = new Blob([zipped]).stream().pipeThrough(new DecompressionStream('gzip'))
      const bits = new Uint8Array(await new Response(stream).arrayBuffer())
      return ((bits[statusListIndex >> 3] ?? 0) >> (7 - (statusListIndex & 7))) & 1
    }
    expect([await signed(), await bit()]).toEqual([1, 0])
    await work(await revoke({ emails: [one.email, other.email] }))
    expect(await bit()).toBe(1)
    expect((await get(other.urls.openBadges3)).status).toBe(410)
    expect(await signed()).toBe(1)
  })

  it('revokes by address and by time, and tells what was gone by then', async () => {
    const [one, two, three] = people(3)
    for (const [email, issuedOn] of [
      [one, '2020-01-01'],
      [two, '2021-01-01'],
      [three, '2022-01-01'],
    ]) {
      await call('POST', `${seed.path}/instances`, { email, issuedOn })
    }
    const job = await revoke({ emails: [one?.toUpperCase(), someone()] })
    await work(job)
    expect(await show(job)).toMatchObject({ rows: 1, succeeded: 1 })
    const other = await revoke({ since: '2020-06-01', until: '2022-01-01' })
    await call('DELETE', `${seed.path}/instances/${two}`)
    await work(other)
    expect(await show(other)).toMatchObject({ rows: 1, succeeded: 0, skipped: 1 })
    expect(await awards()).toBe(1)
  })

  it('needs to be told which, or that it is all', async () => {
    await call('POST', `${seed.path}/instances`, { email: someone() })
    const answer = await changesNothing(() =>
      call('POST', `${seed.path}/instances/revocations`, {}),
    )
    expect({ status: answer.status, field: answer.body.details[0].field }).toEqual({
      status: 400,
      field: 'all',
    })
    const job = await revoke({ all: true })
    await work(job)
    expect(await awards()).toBe(0)
  })

  it('of nothing is done at once', async () => {
    const job = await revoke({ emails: [someone()] })
    await work(job)
    expect(await show(job)).toMatchObject({ state: 'done', rows: 0 })
  })
})

describe('what a job keeps', () => {
  it('is shown to whoever may see the badge, and not under another', async () => {
    const job = await start(rowsOf(people(1)))
    const other = await seedBadge(levels[1])
    const there = `${other.path}/instances/jobs/${job.id}`
    for (const [method, path] of [
      ['GET', there],
      ['GET', `${there}/rows`],
      ['POST', `${there}/cancel`],
      ['POST', `${there}/revoke`],
    ] as const) {
      const { status, body } = await call(method, path)
      expect({ status, body }).toEqual({
        status: 404,
        body: {
          code: 'ResourceNotFound',
          message: `Could not find job field: \`id\`, value: \`${job.id}\``,
        },
      })
    }
  })

  it('is its counts, when its rows have been forgotten', async () => {
    const job = await start(rowsOf(people(2)))
    await work(job)
    await forgetOld(db(), Date.now() + 29 * DAY)
    expect(await results(job)).toHaveLength(2)
    // Some jobs at a time; others have been left by other tests.
    for (let i = 0; i < 10; i++) await forgetOld(db(), Date.now() + 31 * DAY)
    expect(await results(job)).toEqual([])
    expect(await show(job)).toMatchObject({ state: 'done', succeeded: 2 })
  })

  it('is nothing before all of its rows are there, and what came is removed after an hour', async () => {
    const lines = people(600).map((email) => JSON.stringify({ email, comment: 'c'.repeat(9_000) }))
    const bindings = { ...silent, DB: failing(1) } as Bindings
    const kept = () =>
      count(
        `select count(*) as n from jobChunks where jobId in (
          select id from jobs where state = 'receiving' and badgeId = (select id from badges where slug = ?))`,
        seed.badge.slug,
      )
    const answer = await send(lines.join('\n'), 'application/x-ndjson', '', bindings)
    expect({ status: answer.status, code: answer.body.code }).toEqual({
      status: 503,
      code: 'ServiceUnavailable',
    })
    expect(await kept()).toBeGreaterThan(0)
    expect((await call('GET', path)).body.jobs).toEqual([])
    await forgetOld(db(), Date.now() + 59 * MINUTE)
    expect(await kept()).toBeGreaterThan(0)
    await forgetOld(db(), Date.now() + 61 * MINUTE)
    expect(await kept()).toBe(0)
  })

  it('is erased with the person, who then gets nothing of it', async () => {
    const [one, other] = people(2)
    const job = await start({
      rows: [{ email: one, comment: `for ${one}`, narrative: `of ${one}` }, { email: other }],
    })
    const exported = await call('POST', `${seed.system}/privacy/export`, {
      email: one?.toUpperCase(),
    })
    expect(exported.body.jobRows).toEqual([
      { job: job.id, row: 0, email: one, comment: `for ${one}`, narrative: `of ${one}` },
    ])
    await call('POST', `${seed.system}/privacy/erase`, { email: one })
    await work(job)
    expect(await results(job)).toEqual([
      { row: 0, email: null, state: 'failed', slug: null, reason: 'erased' },
      expect.objectContaining({ row: 1, email: other, state: 'issued' }),
    ])
    expect(await count('select count(*) as n from jobChunks where instr(rows, ?)', one)).toBe(0)
  })
})
