/**
 * The floor: the least that a Worker of this stack can do for a signed request, which is to check the token and to make one
 * D1 call. The bench states our rows as ratios to it, so it is frozen: `bench.mjs` checks its SHA-256.
 */
import { Hono } from 'hono'
import { jwtVerify } from 'jose'

const algorithm = { name: 'HMAC', hash: 'SHA-256' }
const imported = new Map()

function keyOf(secret) {
  if (!imported.has(secret)) {
    const bytes = new TextEncoder().encode(secret)
    imported.set(secret, crypto.subtle.importKey('raw', bytes, algorithm, false, ['verify']))
  }
  return imported.get(secret)
}

const app = new Hono()

app.use(async (c, next) => {
  const [, token = ''] = /^JWT token="([^"]+)"$/.exec(c.req.header('Authorization') ?? '') ?? []
  try {
    await jwtVerify(token, await keyOf(c.env.MASTER_SECRET), { algorithms: ['HS256'] })
  } catch {
    return c.json({ code: 'NotAuthorized' }, 403)
  }
  return next()
})

app.get('/rows/:id', async (c) => {
  const statement = c.env.DB.prepare('select * from floor where id = ?')
  const row = await statement.bind(Number(c.req.param('id'))).first()
  return row ? c.json({ row }) : c.json({ code: 'ResourceNotFound' }, 404)
})

app.post('/rows', async (c) => {
  const { email } = await c.req.json()
  const { meta } = await c.env.DB.prepare('insert into floor (email, name, at) values (?, ?, ?)')
    .bind(email, 'A row of the floor', Date.now())
    .run()
  return c.json({ status: 'created', id: meta.last_row_id }, 201)
})

export default app
