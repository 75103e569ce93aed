import { spawn } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TestProject } from 'vitest/node'
import { parseVars, signedFetch } from '../../scripts/sign.mjs'
import type { Received } from '../helpers/received'

declare module 'vitest' {
  interface ProvidedContext {
    /** The one real server, and the folder with all that is its. */
    server: { url: string; folder: string }
  }
}

/** What a start may take on a busy machine, in milliseconds. */
const START = 60_000
const logOf = (folder: string) => join(folder, 'log')
const varsOf = (folder: string) => join(folder, 'vars')

/**
 * `npm start`, once for all the files that ask the real server, because a start takes ten seconds of a processor: with a port, state
 * and secrets of its own, and nothing left behind. Nobody waits for it here, so that other tests run meanwhile. Each file has
 * systems of its own on it.
 */
export default async function setup(project: TestProject) {
  const folder = mkdtempSync(join(tmpdir(), 'badgekit-'))
  const { place, stop } = launch(folder, await freePort())
  project.provide('server', place)
  return async () => {
    await stop()
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

/**
 * A server of one's own, on a database that something else has written: its state stays in `folder`. A `program` that starts
 * `npm start` when it has done something else first takes its place.
 */
export async function startServer({
  folder,
  port,
  program,
}: {
  folder: string
  port: number
  program?: string[]
}) {
  const { place, stop } = launch(folder, port, program)
  try {
    return { ...(await serverAt(place, program ? 160_000 : START)), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

function launch(folder: string, port: number, program = ['scripts/start.mjs']) {
  const { MASTER_SECRET, PUBLIC_ORIGIN, ENCRYPTION_KEYS, ...env } = process.env
  // Anew at each start: who waits looks for this start's greeting.
  const log = openSync(logOf(folder), 'w')
  const child = spawn(process.execPath, program, {
    env: {
      ...env,
      PORT: String(port),
      STATE_DIR: join(folder, 'state'),
      DEV_VARS: varsOf(folder),
    },
    stdio: ['ignore', log, log],
  })
  // Twice, it would close a file that somebody else has opened since.
  let isStopped = false
  return {
    place: { url: `http://127.0.0.1:${port}`, folder },
    async stop() {
      if (isStopped) return
      isStopped = true
      child.kill('SIGTERM')
      await until(() => child.exitCode !== null || child.signalCode !== null, 20_000)
      closeSync(log)
    },
  }
}

/** The server that was started, once it listens. */
export async function serverAt(
  { url, folder }: { url: string; folder: string },
  milliseconds = START,
) {
  const output = () => readFileSync(logOf(folder), 'utf8')
  const greeting = () => /^[\s\S]*? listens on [\s\S]*? Stop .*\n/.exec(output())?.[0]
  await until(() => greeting() !== undefined, milliseconds, output)
  const secret = parseVars(readFileSync(varsOf(folder), 'utf8')).MASTER_SECRET ?? ''
  return {
    url,
    secret,
    output,
    /** What it said until it listened. */
    greeting: greeting() ?? '',
    async call(method: string, path: string, body?: unknown) {
      const response = await signedFetch({ url, key: 'master', secret }, method, path, body)
      return { status: response.status, headers: response.headers, body: await response.json() }
    },
  }
}

/** A webhook receiver that can be stopped and started again on the same port. */
export async function startReceiver(port = 0) {
  const received: Received[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    received.push({ headers: request.headers as Record<string, string>, body })
    response.end()
  })
  await new Promise<void>((done) => server.listen(port, '127.0.0.1', done))
  const bound = (server.address() as AddressInfo).port
  return {
    received,
    port: bound,
    url: `http://127.0.0.1:${bound}/hook`,
    stop: () =>
      new Promise((done) => {
        server.close(done)
        server.closeAllConnections()
      }),
  }
}

/** Waits until something is true; `tell` says what there is when it does not come. */
export async function until(isTrue: () => boolean, milliseconds: number, tell = () => '') {
  const end = Date.now() + milliseconds
  while (!isTrue()) {
    if (Date.now() > end) throw new Error(`It did not happen within ${milliseconds} ms. ${tell()}`)
    await sleep(50)
  }
}

export const freePort = () =>
  new Promise<number>((done) => {
    const socket = createSocket().listen(0, '127.0.0.1', () => {
      const { port } = socket.address() as AddressInfo
      socket.close(() => done(port))
    })
  })
