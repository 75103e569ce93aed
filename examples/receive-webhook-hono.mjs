/**
 * Receives webhooks with Hono, as a Worker with a database of its own (D1). The webhook is registered with the format `events-1`,
 * whose numbers tell what is newer:
 *
 *   npx badgekit webhooks create demo https://receiver.example.org/ --format events-1
 *   npx wrangler d1 execute DB --file examples/receive-webhook-hono.sql
 *   npx wrangler secret put WEBHOOK_SECRET
 *
 * with this file as `main` of a `wrangler.toml` that binds a database as `DB`. `GET /` shows who holds what.
 */
import { verifyWebhook, WebhookError } from 'badgekit-api/client'
import { Hono } from 'hono'

const app = new Hono()

app.post('/', async (c) => {
  const { DB, WEBHOOK_SECRET } = c.env
  // As text, not as JSON: the signature is over the bytes that came. Compared in constant time, and at most five minutes old.
  const request = { headers: c.req.raw.headers, body: await c.req.text() }
  const event = await verifyWebhook(request, WEBHOOK_SECRET)

  // One transaction: when it fails the answer is 500, and the message comes again.
  const [seen] = await DB.batch([
    DB.prepare('insert into seen (id, at) values (?, ?) on conflict do nothing').bind(
      event.id,
      Date.now(),
    ),
    ...changesOf(event, DB),
  ])
  // What must happen once, such as a mail, belongs here, after the answer.
  if (seen.meta.changes === 1) c.executionCtx.waitUntil(thank(event))
  return c.body(null, 204)
})

/** An older event changes nothing, whenever it comes: what is kept is of the newest. */
function changesOf({ type, sequence, data }, DB) {
  if (type !== 'badge.awarded' && type !== 'badge.revoked') return []
  const { instance, badge } = data
  return [
    DB.prepare(
      `insert into holders (award, badge, email, isHeld, sequence) values (?, ?, ?, ?, ?)
       on conflict do update set isHeld = excluded.isHeld, sequence = excluded.sequence
       where excluded.sequence > sequence`,
    ).bind(instance.slug, badge.slug, instance.email, Number(type === 'badge.awarded'), sequence),
  ]
}

async function thank({ type, data }) {
  if (type === 'badge.awarded') console.log('thanked for', data.badge.slug)
}

app.get('/', async (c) => {
  const { results } = await c.env.DB.prepare(
    'select badge, email from holders where isHeld = 1 order by email',
  ).all()
  return c.json(results)
})

app.onError((error, c) => {
  if (error instanceof WebhookError) return c.body(null, 400)
  console.error(error)
  return c.body(null, 500)
})

export default app
