import { describe, expect, it } from 'vitest'
import { app } from '../src/app'
import { ask } from './helpers/api'

const { status, headers, body } = await ask('GET', '/openapi.json')
const operations: [string, string, { operationId: string; security?: unknown[] }][] =
  Object.entries<Record<string, { operationId: string; security?: unknown[] }>>(body.paths).flatMap(
    ([path, item]) =>
      Object.entries(item).map(
        ([method, operation]) => [method.toUpperCase(), path, operation] as [string, string, never],
      ),
  )

describe('GET /openapi.json', () => {
  it('is there for anyone, without a signature', () => {
    expect(status).toBe(200)
    expect(headers.get('Content-Type')).toContain('application/json')
    expect(body.openapi).toBe('3.1.0')
    expect(body.info.version).toMatch(/^\d+\.\d+\.\d+$/)
  })

  it('holds exactly the routes that the app serves', () => {
    const routes = app.routes
      .filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, '{$1}')}`)
    const described = operations.map(([method, path]) => `${method} ${path}`)
    expect(described.sort()).toEqual([...new Set(routes)].sort())
  })

  it('gives each operation a name of its own', () => {
    const names = operations.map(([, , { operationId }]) => operationId)
    expect(new Set(names).size).toBe(names.length)
    for (const name of names) expect(name).toMatch(/^[a-z][A-Za-z\d]+$/)
  })

  it('points to nothing that it does not hold', () => {
    const text = JSON.stringify(body)
    for (const [, kind = '', name = ''] of text.matchAll(/"#\/components\/(\w+)\/(\w+)"/g)) {
      expect(body.components[kind], name).toHaveProperty(name)
    }
    expect(text).not.toContain('$defs')
  })

  it('says truly which routes need no token', async () => {
    const open = operations.filter(([, , { security }]) => security?.length === 0)
    const writing = open.filter(([method]) => method !== 'GET')
    expect(writing.map(([method, path]) => `${method} ${path}`)).toEqual(['POST /public/verify'])
    for (const [method, path, { security }] of operations) {
      const answer = await ask(method, path.replace(/\{(\w+)\}/g, 'none'))
      if (security) expect(answer.status, path).not.toBe(403)
      else expect([path, answer.status]).toEqual([path, 403])
    }
  })
})
