import { type SQL, sql } from 'drizzle-orm'
import { badgeInstances, badgeVersions } from '../../drizzle/schema'
import { type Caller, commit } from '../commit'
import { randomHex, sha256 } from '../crypto'
import { recordAwards, recordEvent } from '../events'
import { assertionPath } from '../urls'
import type { Badge } from '../views/badges'
import { type BadgeRow, badgeColumns } from './badges'
import type { NestedContainer } from './containers'
import { insertIf, type Statement, updateWhere, wrote } from './db'

export type InstanceRow = typeof badgeInstances.$inferSelect

/** What a request may say of an award. Times are milliseconds. */
export type AwardInput = {
  email: string
  slug?: string | null
  issuedOn?: number | null
  expires?: number | null
  comment?: string | null
}

/** Why an award was not made. */
export type Refusal =
  | { refused: 'held'; slug: string }
  | { refused: 'slug' }
  | { refused: 'full'; limit: number }
  | { refused: 'gone' }

/**
 * Awards a badge: the award, the frozen version of the badge that it stands on, the badge's count and the event, together
 * or not at all. Whether the earner holds it already and whether a place is left is decided in the INSERT.
 *
 * @param shown the badge as the contract shows it, which the award freezes
 */
export async function award(
  caller: Caller,
  badge: BadgeRow,
  shown: Badge,
  input: AwardInput,
): Promise<{ row: InstanceRow } | Refusal> {
  const { op, now, env } = caller
  const slug = input.slug ?? randomHex(20)
  const issuedOn = input.issuedOn ?? now
  const expires = input.expires ?? null
  const which = sql`slug = ${slug}`
  const done = wrote(badgeInstances, op, which)
  const version = await freeze(badge, shown)
  const [made, state] = await commit(caller, {
    change: [
      keepVersion(version, now),
      insertIf(
        badgeInstances,
        {
          slug,
          systemId: badge.systemId,
          badgeId: badge.id,
          versionId: versionId(version),
          email: input.email,
          issuedOn,
          expires,
          salt: randomHex(16),
          op,
          createdAt: now,
          updatedAt: now,
        },
        sql`${hasPlace(badge.id)} and not exists (${held(badge.id, input.email)})`,
        sql`on conflict (slug) do nothing`,
      ),
      sql`update badges set awarded = awarded + 1 where id = ${badge.id} and ${done}`,
    ],
    done,
    events: [
      recordAwards(op, now, {
        systemId: badge.systemId,
        which: sql`i.slug = ${slug}`,
        assertionUrl: sql`${env.PUBLIC_ORIGIN + assertionPath(slug)}`,
        comment: input.comment ?? null,
        shared: {
          expires: expires === null ? null : new Date(expires).toISOString(),
          issuedOn: new Date(issuedOn).toISOString(),
          claimCode: null,
        },
      }),
    ],
    audit: { systemId: badge.systemId, target: `badgeInstances/${slug}` },
    read: [
      sql<InstanceRow>`select * from badgeInstances where ${which} and op = ${op}`,
      stateOf(badge.id, input.email, slug),
    ],
  })
  return made[0] ? { row: made[0] } : refusal(state[0])
}

/** A live badge with a place left: a `limit` of null or 0 is none. */
const hasPlace = (
  badgeId: number,
) => sql`exists (select 1 from badges where id = ${badgeId} and deletedAt is null
  and ("limit" is null or "limit" <= 0 or awarded < "limit"))`

/** The newest live award of a badge to an earner. */
const held = (badgeId: SQL | number, email: string) => sql`
  select slug from badgeInstances
  where badgeId = ${badgeId} and email = ${email} and revokedAt is null order by id desc limit 1`

type State = {
  held: string | null
  taken: 0 | 1
  live: 0 | 1
  limit: number | null
  awarded: number
}

/** What decides about an award, as the batch left it. */
const stateOf = (badgeId: number, email: string, slug: string): Statement<State> => sql<State>`
  select (${held(badgeId, email)}) as held,
    exists (select 1 from badgeInstances where slug = ${slug}) as taken,
    deletedAt is null as live, "limit", awarded
  from badges where id = ${badgeId}`

function refusal(state: State | undefined): Refusal {
  if (!state?.live) return { refused: 'gone' }
  if (state.held !== null) return { refused: 'held', slug: state.held }
  if (state.taken) return { refused: 'slug' }
  return { refused: 'full', limit: state.limit ?? 0 }
}

// ── Versions ────────────────────────────────────────────────────────────────────────────────────────────────────────

type Version = Pick<
  typeof badgeVersions.$inferSelect,
  'badgeId' | 'hash' | 'badge' | 'issuerUid' | 'imageId'
>

/** The badge and its issuers as they are now. A badge that has not changed since gives the same version again. */
async function freeze(row: BadgeRow, shown: Badge): Promise<Version> {
  const badge = JSON.stringify(shown)
  const issuer = JSON.parse(row.program ?? row.issuer ?? row.system) as NestedContainer
  const hash = await sha256(`${issuer.uid}\n${row.imageId}\n${badge}`)
  return { badgeId: row.id, hash, badge, issuerUid: issuer.uid, imageId: row.imageId }
}

const keepVersion = (version: Version, now: number) =>
  insertIf(
    badgeVersions,
    { ...version, createdAt: now },
    sql`true`,
    sql`on conflict (badgeId, hash) do nothing`,
  )

const versionId = ({ badgeId, hash }: Version) =>
  sql`(select id from badgeVersions where badgeId = ${badgeId} and hash = ${hash})`

// ── Look-ups ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** The newest live award of a badge to an earner. */
export const findInstance = (badgeId: SQL, systemId: SQL, email: string): Statement<InstanceRow> =>
  sql<InstanceRow>`
    select * from badgeInstances where systemId = ${systemId} and email = ${email}
      and badgeId = ${badgeId} and revokedAt is null
    order by id desc limit 1`

export type PublicRow = BadgeRow & {
  uid: string
  awardSlug: string | null
  email: string
  issuedOn: number
  expires: number | null
  narrative: string | null
  evidence: string | null
  /** When it stopped being valid: revoked, or its badge or system deleted. */
  endedAt: number | null
  revocationReason: string | null
}

/** What an assertion URL tells: the award with its badge, or only that it has ended. */
export const findPublicInstance = (slug: string): Statement<PublicRow> => sql<PublicRow>`
  select ${badgeColumns}, i.slug as awardSlug, i.email, i.issuedOn, i.expires, i.narrative, i.evidence,
    coalesce(i.revokedAt, b.deletedAt, s.deletedAt, t.revokedAt) as endedAt,
    coalesce(i.revocationReason, t.revocationReason) as revocationReason
  from (select ${slug} as slug) q
  left join badgeInstances i on i.slug = q.slug
  left join badges b on b.id = i.badgeId
  left join systems s on s.id = i.systemId
  left join tombstones t on t.kind = 'assertion' and t.uid = q.slug`

// ── Revoking ────────────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Ends an award: its row stays for its public URLs, its place under the badge's limit is free again. Gives false when
 * somebody else was first.
 *
 * @param badge the badge as the contract shows it, for the message
 */
export async function revoke(
  caller: Caller,
  row: InstanceRow,
  badge: Badge,
  instance: object,
  reason: string | null,
): Promise<boolean> {
  const { op, now } = caller
  const which = sql`id = ${row.id}`
  const done = wrote(badgeInstances, op, which)
  const { slug, email } = row
  const event = {
    systemId: row.systemId,
    type: 'badge.revoked' as const,
    subject: slug,
    body: JSON.stringify({ action: 'revoke', uid: slug, badge, email }),
    data: JSON.stringify({ instance, badge, revocationReason: reason }),
  }
  const [rows] = await commit(caller, {
    change: [
      updateWhere(
        badgeInstances,
        { revokedAt: now, revocationReason: reason, op, updatedAt: now },
        sql`${which} and revokedAt is null`,
      ),
      sql`update badges set awarded = awarded - 1 where id = ${row.badgeId} and ${done}`,
    ],
    done,
    events: [recordEvent(op, now, event, done)],
    audit: { systemId: row.systemId, target: `badgeInstances/${slug}` },
    read: [sql`select 1 where ${done}`],
    forget: [assertionPath(slug)],
  })
  return rows.length > 0
}
