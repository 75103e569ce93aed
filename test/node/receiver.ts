import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { TestProject } from 'vitest/node'
import type { Received } from '../helpers/received'

/**
 * A real webhook receiver on a loopback port, in Node, beside the workers that the tests run in. `POST /to/<name>` is
 * recorded; `GET /log/<name>` tells what came; `PUT /answer/<name>` sets the status that is answered from then on. What a test
 * sends to `POST /said` is printed at the end of the run.
 */
const received = new Map<string, Received[]>()
const answers = new Map<string, number>()
const said: string[] = []

export default async function setup(project: TestProject) {
  const server = createServer(async (request, response) => {
    const [, action = '', name = ''] = (request.url ?? '').split('/')
    const body = await read(request)
    if (action === 'log') {
      response.end(JSON.stringify(received.get(name) ?? []))
    } else if (action === 'said') {
      said.push(body)
      response.end()
    } else if (action === 'answer') {
      answers.set(name, Number(body))
      response.end()
    } else {
      const headers = request.headers as Record<string, string>
      received.set(name, [...(received.get(name) ?? []), { headers, body }])
      response.statusCode = answers.get(name) ?? 200
      response.end('thank you')
    }
  })
  project.provide('receiver', await listen(server))
  return () => {
    server.close()
    for (const line of said) console.log(line)
  }
}

const listen = (server: Server) =>
  new Promise<string>((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      resolve(`http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`)
    })
  })

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}
