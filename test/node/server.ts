import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseVars, signedFetch } from '../../scripts/sign.mjs'
import type { Received } from '../helpers/received'

/** `npm start` for a test: a port, state and secrets of its own, and nothing left behind. */
export async function startServer() {
  const folder = mkdtempSync(join(tmpdir(), 'badgekit-'))
  const vars = join(folder, 'vars')
  const port = await freePort()
  const { MASTER_SECRET, PUBLIC_ORIGIN, ENCRYPTION_KEYS, ...env } = process.env
  const child = spawn(process.execPath, [resolve('scripts/start.mjs')], {
    env: { ...env, PORT: String(port), STATE_DIR: join(folder, 'state'), DEV_VARS: vars },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const printed: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data) => printed.push(String(data)))
  }
  const output = () => printed.join('')
  await until(() => output().includes('listens on') || child.exitCode !== null, 60_000, output)
  const url = `http://127.0.0.1:${port}`
  const secret = parseVars(readFileSync(vars, 'utf8')).MASTER_SECRET ?? ''
  return {
    url,
    output,
    async call(method: string, path: string, body?: unknown) {
      const response = await signedFetch({ url, key: 'master', secret }, method, path, body)
      return { status: response.status, headers: response.headers, body: await response.json() }
    },
    async stop() {
      child.kill('SIGTERM')
      await until(() => child.exitCode !== null || child.signalCode !== null, 20_000, output)
      rmSync(folder, { recursive: true, force: true })
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

const freePort = () =>
  new Promise<number>((done) => {
    const socket = createSocket().listen(0, '127.0.0.1', () => {
      const { port } = socket.address() as AddressInfo
      socket.close(() => done(port))
    })
  })
