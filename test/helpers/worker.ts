import { createExecutionContext, waitOnExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterAll, beforeEach, expect, vi } from 'vitest'
import { app } from '../../src/app'
import type { Bindings } from '../../src/env'
import { ORIGIN, sign } from './api'
import { fated } from './calls'

/** The Worker under other bindings than the tests' own, and what it leaves behind: log lines and rows. */

export const utf8 = (text: string) => new TextEncoder().encode(text) as Uint8Array<ArrayBuffer>

/** Keeps a file's log from the terminal, and gives it line by line, as objects: what was logged, and what was a fault. */
export function watchLog() {
  const log = vi.spyOn(console, 'log')
  const faults = vi.spyOn(console, 'error')
  beforeEach(() => {
    log.mockReset()
    faults.mockReset()
    log.mockImplementation(() => {})
    faults.mockImplementation(() => {})
  })
  afterAll(() => {
    log.mockRestore()
    faults.mockRestore()
  })
  const lines = (spy: typeof log) =>
    spy.mock.calls.map(([line]) => {
      expect(line).not.toContain('\n')
      return JSON.parse(line as string)
    })
  return { log, faults, lines }
}

/** Asks a Worker whose bindings are others, and waits for what it does after its answer. */
export async function under(more: Partial<Bindings>, request: Request) {
  const context = createExecutionContext()
  const response = await app.fetch(request, { ...env, ...more }, context)
  // Not `text()`: it warns of answers that are images.
  const text = new TextDecoder().decode(await response.arrayBuffer())
  await waitOnExecutionContext(context)
  const { status, headers } = response
  return { status, headers, body: text.startsWith('{') ? JSON.parse(text) : text }
}

/** A signed request, not sent yet. */
export async function signed(method: string, path: string, body?: object) {
  const bytes = body && utf8(JSON.stringify(body))
  const token = await sign(method, path, bytes)
  return new Request(ORIGIN + path, {
    method,
    body: bytes,
    headers: {
      Authorization: `JWT token="${token}"`,
      ...(bytes && { 'Content-Type': 'application/json' }),
    },
  })
}

/** How many rows each table has that a request could write to, and what stands in the outbox. */
export async function standing() {
  const tables = ['systems', 'issuers', 'programs', 'badges', 'badgeInstances', 'keys', 'webhooks']
  const all = [
    ...tables,
    'keySecrets',
    'images',
    'counters',
    'audit',
    'events',
    'deliveries',
    'usedTokens',
  ]
  const counts = all.map((table) => `(select count(*) from ${table}) as ${table}`)
  return env.DB.prepare(`select ${counts.join(', ')}`).first()
}

/** States that nothing is written. */
export async function unchanged<T>(work: () => Promise<T>): Promise<T> {
  const before = await standing()
  const result = await work()
  expect(await standing()).toEqual(before)
  return result
}

type Fault = {
  message: string
  /** Whether the calls are carried out all the same; their answers are lost. */
  lost?: boolean
  /** How many calls fail; all of them by default. */
  times?: number
  /** Only calls that write; all of them by default. */
  writes?: boolean
}

/** A database that fails as told, and counts the calls that reach it. */
export function faulty({ message, lost = false, times = Number.POSITIVE_INFINITY, writes }: Fault) {
  const seen = { calls: 0 }
  let left = times
  const DB = fated((isWrite) => {
    seen.calls++
    if (left <= 0 || (writes && !isWrite)) return null
    left--
    return { message, after: lost }
  })
  return { DB, seen }
}
