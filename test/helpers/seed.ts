import { env } from 'cloudflare:workers'
import { inject } from 'vitest'
import { type Level, levels } from '../../src/levels'
import { api } from './api'
import type { Received } from './received'

export { levels }

/** A 1×1 PNG: a real one, with a valid checksum in each chunk. */
export const PNG = Uint8Array.from(
  atob(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
  ),
  (char) => char.charCodeAt(0),
)
export const PNG_URI = `data:image/png;base64,${btoa(String.fromCharCode(...PNG))}`

let count = 0
/** A slug that no other test uses. */
export const unique = (word: string) => `${word}-${++count}`

export const container = (slug: string) => ({
  slug,
  name: `The ${slug}`,
  url: `https://${slug}.example.org/`,
})

export const badge = (slug: string) => ({
  slug,
  name: `Badge ${slug}`,
  earnerDescription: 'You can do it',
  consumerDescription: 'They can do it',
  criteriaUrl: 'https://example.org/criteria',
  unique: 1,
  image: 'https://example.org/badge.png',
})

/** The row of a container as its POST makes it, with the counter of its list. */
function containerRows(
  slug: string,
  table: string,
  parents: Record<string, string>,
  owner: string,
) {
  const { name, url } = container(slug)
  const columns = ['uid', 'slug', 'name', 'url', 'op', 'createdAt', 'updatedAt']
  const values = [crypto.randomUUID().replaceAll('-', ''), slug, name, url, 'seed']
  const [named, ids] = [Object.keys(parents), Object.values(parents)]
  return [
    env.DB.prepare(
      `insert into ${table} (${[...columns, ...named]})
       values (${[...values.map(() => '?'), '?6', '?6', ...ids]})`,
    ).bind(...values, Date.now()),
    env.DB.prepare(
      `insert into counters (systemId, name, ownerId, n)
       values (${parents.systemId ?? 0}, '${table}', ${owner}, 1)
       on conflict (systemId, name, ownerId) do update set n = n + 1`,
    ),
  ]
}

/** Makes a system, issuer and program, and gives the path of the container of a level. */
export async function seedContainer(level: Level): Promise<string> {
  const [system, issuer, program] = [unique('system'), unique('issuer'), unique('program')]
  const paths = {
    system: `/systems/${system}`,
    issuer: `/systems/${system}/issuers/${issuer}`,
    program: `/systems/${system}/issuers/${issuer}/programs/${program}`,
  }
  const systemId = `(select id from systems where slug = '${system}' and deletedAt is null)`
  const issuerId = `(select id from issuers where systemId = ${systemId} and slug = '${issuer}')`
  // In one batch and not by three requests, because nearly every test begins with it.
  await env.DB.batch([
    ...containerRows(system, 'systems', {}, '0'),
    ...containerRows(issuer, 'issuers', { systemId }, systemId),
    ...containerRows(program, 'programs', { systemId, issuerId }, issuerId),
  ])
  return paths[level.name]
}

/** The same with a badge in it; gives the badge's path and its system's. */
export async function seedBadge(level: Level, more: object = {}) {
  const path = await seedContainer(level)
  const made = await api.post(`${path}/badges`, { ...badge(unique('badge')), ...more })
  return {
    container: path,
    system: path.split('/').slice(0, 3).join('/'),
    badge: made.body.badge,
    path: `${path}/badges/${made.body.badge.slug}`,
  }
}

/** What the events of a badge itself are about. */
export const uidOf = async ({ id }: { id: number }) =>
  `${await env.DB.prepare('select uid from badges where id = ?').bind(id).first('uid')}`

/** Registers a receiver of the test's own, and gives how to look at it. */
export async function seedWebhook(system: string, more: object = {}) {
  // Other files run at the same time, in workers with counters of their own.
  const name = crypto.randomUUID()
  const receiver = inject('receiver')
  const url = `${receiver}/to/${name}`
  const made = await api.post(`${system}/webhooks`, { url, ...more })
  return {
    id: made.body.webhook.id as number,
    path: `${system}/webhooks/${made.body.webhook.id}`,
    url,
    secret: made.body.webhook.secret as string,
    received: async () => (await (await fetch(`${receiver}/log/${name}`)).json()) as Received[],
    answer: (status: number) =>
      fetch(`${receiver}/answer/${name}`, { method: 'PUT', body: String(status) }),
  }
}

/** The events with their whole bytes: what is stored leaves the badge of an award to its version. */
export const EVENTS = `(
  select e.id, e.systemId, e.seq, e.type, e.subject, e.createdAt, e.versionId,
    replace(e.body, char(1), coalesce(v.badge, '')) as body,
    replace(e.data, char(1), coalesce(v.badge, '')) as data
  from events e left join badgeVersions v on v.id = e.versionId)`

/** What stands in the outbox, as it was written: every event with how many deliveries it has. */
export async function outbox(): Promise<{ type: string; subject: string; deliveries: number }[]> {
  const { results } = await env.DB.prepare(
    `select e.type, e.subject, (select count(*) from deliveries d where d.eventId = e.id) as deliveries
     from events e order by e.rowid`,
  ).all<{ type: string; subject: string; deliveries: number }>()
  return results
}

/** How many rows a table has. */
export async function rows(table: string): Promise<number> {
  const result = await env.DB.prepare(`select count(*) as n from ${table}`).first<{ n: number }>()
  return result?.n ?? 0
}
