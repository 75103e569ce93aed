import { beforeAll, describe, expect, it, vi } from 'vitest'
import { api, ask, ORIGIN, sign } from './helpers/api'
import { container, levels, seedBadge, unique } from './helpers/seed'
import { under, watchLog } from './helpers/worker'

/** What the log tells of a request, and what never. */

const { log, faults, lines } = watchLog()

const system = unique('log')
beforeAll(async () => {
  await api.post('/systems', container(system))
})

describe('the log', () => {
  it('has one line for a request: its template and no part of its URL, body or token', async () => {
    const { path } = await seedBadge(levels[0])
    log.mockClear()
    const email = 'ada.lovelace@example.org'
    const token = await sign('GET', `${path}/instances/${email}?email=${email}`, undefined)
    const answer = await ask('GET', `${path}/instances/${email}?email=${email}`, {
      headers: { Authorization: `JWT token="${token}"` },
    })
    expect(answer.status).toBe(404)
    expect(lines(log)).toEqual([
      {
        request: answer.headers.get('X-Request-Id'),
        route: 'GET /systems/:system/badges/:badge/instances/:email',
        status: 404,
        ms: expect.any(Number),
        trips: 1,
        rowsRead: expect.any(Number),
        key: 'master',
      },
    ])
    const text = log.mock.calls.join()
    expect(text).not.toContain('lovelace')
    expect(text).not.toContain('example.org')
    expect(text).not.toContain(token)
    expect(faults).not.toHaveBeenCalled()
  })

  it.each([
    ['GET', '/', 'GET /', 200],
    ['GET', '/healthcheck/?x=y', 'GET /healthcheck', 200],
    ['HEAD', '/public/badges', 'HEAD /public/badges', 200],
    ['GET', '/nothing/ada@example.org', 'GET *', 404],
    ['PATCH', '/systems/ada@example.org', 'PATCH *', 405],
    ['GET', '/systems/ada@example.org', 'GET /systems/:system', 403],
    ['GET', '/systems/%ff', 'GET /systems/:system', 400],
    ['OPTIONS', '/public/assertions/x', 'OPTIONS *', 204],
  ])('of %s %s says %s and %d', async (method, path, route, status) => {
    await ask(method, path)
    const [line, ...more] = lines(log)
    expect(line).toMatchObject({ route, status })
    expect(line).not.toHaveProperty('key')
    expect(more).toEqual([])
    expect(log.mock.calls.join()).not.toContain('ada@')
  })

  it('is told in numbers to a dataset, where one is bound', async () => {
    const writeDataPoint = vi.fn()
    const request = new Request(`${ORIGIN}/systems/${system}/issuers/ada@example.org?x=y`)
    const { status } = await under({ ANALYTICS: { writeDataPoint } }, request)
    const route = 'GET /systems/:system/issuers/:issuer'
    const number = expect.any(Number)
    expect(writeDataPoint.mock.calls).toEqual([
      [{ indexes: [route], blobs: [route, String(status)], doubles: [number, number, number] }],
    ])
  })

  it('names a key only when its signature holds', async () => {
    const made = await api.post(`/systems/${system}/keys`, {})
    const { key, secret } = made.body.key
    log.mockClear()
    await api.get(`/systems/${system}`, { key, secret: 'wrong' })
    await api.get(`/systems/${system}`, { key, secret })
    expect(lines(log).map((line) => line.key)).toEqual([undefined, key])
    expect(log.mock.calls.join()).not.toContain(secret)
  })
})
