import { type SQL, sql } from 'drizzle-orm'
import { badgeInstances } from '../../drizzle/schema'
import { commit, committed, isCommitted } from '../commit'
import { idFrom } from '../crypto'
import { ringForAward } from '../doorbell'
import type { Caller } from '../env'
import { recordEvent } from '../events'
import type { Container } from '../levels'
import { forget } from '../publicCache'
import { awardPaths, statusListPath } from '../urls'
import { expiryOf } from '../validity'
import type { Badge } from '../views/badges'
import {
  type Awards,
  awardStatements,
  type Earners,
  ending,
  held,
  manyEarners,
  oneEarner,
} from './awards'
import { type BadgeRow, badgeColumns, imageType, within } from './badges'
import { mayGuess } from './codeMisses'
import { claimStatements, isClaimable } from './codes'
import { type Standing, standing } from './codeTerms'
import { type MilestoneAbove, milestoneStatements } from './completions'
import { type List, type SortKey, type Statement, updateWhere, wrote } from './db'
import { endCredentials, listsOf } from './statusLists'
import { tally } from './tallies'
import { freeze } from './versions'

export type InstanceRow = typeof badgeInstances.$inferSelect
/** The same with the slug of the award that it took the place of. */
export type LinkedInstance = InstanceRow & { renewed: string | null }
/** The same with what its badge's image is; null of a remote one. */
export type PicturedInstance = InstanceRow & { imageType: string | null }

/** What a request may say of an award. Times are milliseconds. */
export type AwardInput = {
  issuedOn?: number | null
  /** Null: never. Absent: as the badge says. */
  expires?: number | null
  comment?: string | null
  narrative?: string | null
  /** JSON: an array of `Evidence`. */
  evidence?: string | null
}
export type SingleAward = AwardInput & {
  email: string
  slug: string | null
  claimCode: string | null
  /** Whether an earner who holds the badge may get it again; only where the badge is not `unique`. */
  repeat: boolean
}

/** Why nothing was awarded. */
export type Refusal =
  | { refused: 'held'; slug: string }
  | { refused: 'slug' }
  | { refused: 'full'; limit: number }
  | { refused: 'code'; standing: Standing }
  | { refused: 'no code' }
  | { refused: 'guesses' }
  | { refused: 'gone' }

/** A badge as an award needs it: its row, how the contract shows it, and the milestones that it may complete. */
export type Awardable = { row: BadgeRow; shown: Badge; above: MilestoneAbove[] }

/**
 * Awards a badge: the award, the frozen version of the badge that it stands on, the badge's count, the claim code, the
 * milestones that it completes and all their events, together or not at all. Whether the earner holds it already,
 * whether a place is left and whether the code is good is decided in the INSERT.
 */
export async function award(
  caller: Caller,
  badge: Awardable,
  input: SingleAward,
): Promise<{ row: InstanceRow } | Refusal> {
  const { op } = caller
  const { row, shown } = badge
  const code = codeOf(row, input.claimCode)
  const slug = input.slug ?? (await idFrom(op, 'slug', 20))
  const earners = oneEarner(input.email, slug)
  const awards = await awardsOf(caller, badge, earners, input)
  const granted = awardStatements({
    ...awards,
    slug,
    repeat: input.repeat,
    claimCode: input.claimCode,
    condition: code
      ? sql`exists (select 1 from claimCodes where ${code} and ${isClaimable(row, input.email, caller.now)})`
      : sql`1`,
  })
  const claim = code && claimStatements(caller, row, shown, code, input.email, granted.done)
  const above = await milestoneStatements(caller, badge.above, JSON.stringify([input.email]))
  const [rows, state] = await commit(caller, {
    change: [...granted.change, ...(claim?.change ?? []), ...above.change],
    done: granted.done,
    events: [...granted.events, ...(claim?.events ?? []), ...above.events],
    audit: { systemId: row.systemId, target: `badges/${shown.slug}/instances` },
    read: [
      sql<InstanceRow>`select * from badgeInstances where slug = ${slug} and ${isCommitted(op)}`,
      stateOf(row, input, slug, code, caller.now),
    ],
  })
  if (!rows[0]) return refusalOf(state[0], input.claimCode !== null)
  // Its answer does not wait for the signature; a repeated request has rung already.
  if (!caller.isReplay) caller.waitUntil(ringForAward(caller.env, rows[0].id))
  return { row: rows[0] }
}

/** Awards a badge to all who do not hold it yet (contract §5.3), or to nobody when not all of them have a place. */
export async function awardMany(
  caller: Caller,
  badge: Awardable,
  emails: string[],
  input: AwardInput,
): Promise<{ rows: InstanceRow[] } | Refusal> {
  const { row, shown } = badge
  const list = JSON.stringify(emails)
  const earners = manyEarners(list)
  const awards = await awardsOf(caller, badge, earners, input)
  const granted = awardStatements({ ...awards, slug: null, repeat: false, claimCode: null })
  const above = await milestoneStatements(caller, badge.above, list)
  const [rows, state] = await commit(caller, {
    change: [...granted.change, ...above.change],
    done: granted.done,
    events: [...granted.events, ...above.events],
    audit: { systemId: row.systemId, target: `badges/${shown.slug}/instances` },
    read: [
      caller.isReplay
        ? madeBy(caller.op, row)
        : (earners.made(caller.op, row) as Statement<InstanceRow>),
      sql<{ live: 0 | 1; limit: number | null; missing: number }>`
        select deletedAt is null as live, "limit", (select count(*) from json_each(${list}) j
          where not exists (${held(row, sql`j.value`)})) as missing
        from badges where id = ${row.id}`,
    ],
  })
  const [after] = state
  if (caller.isReplay) return { rows }
  if (!after?.live) return { refused: 'gone' }
  return rows.length === 0 && after.missing > 0
    ? { refused: 'full', limit: after.limit ?? 0 }
    : { rows }
}

/** The awards of a badge that an earlier request has made, whatever has become of them since: its events tell which they were. */
const madeBy = (op: string, { id }: BadgeRow): Statement<InstanceRow> => sql<InstanceRow>`
  select i.* from events e cross join badgeInstances i on i.slug = e.subject and i.badgeId = ${id}
  where e.id between ${`evt_${op}_`} and ${`evt_${op}_~`} and e.type = 'badge.awarded' order by i.id`

/** What an award is made of, but for whom it is refused. */
export async function awardsOf(
  { op, now, env }: Caller,
  { row, shown }: Awardable,
  earners: Earners,
  input: AwardInput,
): Promise<Awards> {
  const issuedOn = input.issuedOn ?? now
  return {
    op,
    now,
    origin: env.PUBLIC_ORIGIN,
    badge: row,
    version: await freeze(row, shown),
    earners,
    terms: {
      issuedOn,
      expires: input.expires === undefined ? expiryOf(row.validFor, issuedOn) : input.expires,
      comment: input.comment ?? null,
      narrative: input.narrative ?? null,
      evidence: input.evidence ?? null,
    },
  }
}

// ── Claim codes ─────────────────────────────────────────────────────────────────────────────────────────────────────

const codeOf = ({ id, systemId }: BadgeRow, code: string | null) =>
  code === null ? null : sql`systemId = ${systemId} and code = ${code} and badgeId = ${id}`

// ── Refusals ────────────────────────────────────────────────────────────────────────────────────────────────────────

type State = {
  held: string | null
  taken: 0 | 1
  live: 0 | 1
  limit: number | null
  /** How the claim code stands to the earner, a `Standing` as JSON; null when there is no such code. */
  standing: string | null
  /** Whether codes of the badge may be tried at all. */
  guessable: 0 | 1
}

/** What decides about an award, as the batch left it. */
export const stateOf = (
  badge: BadgeRow,
  { email }: Pick<SingleAward, 'email'>,
  slug: string,
  code: SQL | null,
  now: number,
): Statement<State> => sql<State>`
  select (${held(badge, sql`${email}`)}) as held,
    exists (select 1 from badgeInstances where slug = ${slug}) as taken,
    deletedAt is null as live, "limit",
    ${code ? standing(code, email, now) : sql`null`} as standing,
    ${code ? mayGuess(badge.id, now) : sql`1`} as guessable
  from badges where id = ${badge.id}`

/** Contract §5.2: a bad code is told before the award that stands already. */
export function refusalOf(state: State | undefined, hasCode: boolean): Refusal {
  if (!state?.live) return { refused: 'gone' }
  const code: Standing | null = state.standing === null ? null : JSON.parse(state.standing)
  if (hasCode && code === null) return { refused: 'no code' }
  if (!state.guessable) return { refused: 'guesses' }
  if (code !== null && code.is !== 'claimable') return { refused: 'code', standing: code }
  if (state.held !== null) return { refused: 'held', slug: state.held }
  if (state.taken) return { refused: 'slug' }
  return { refused: 'full', limit: state.limit ?? 0 }
}

// ── Look-ups ────────────────────────────────────────────────────────────────────────────────────────────────────────

/** An award `i`. */
export const linkedInstance = (which: SQL): Statement<LinkedInstance> => sql<LinkedInstance>`
  select i.*, (select o.slug from badgeInstances o where o.id = i.renews) as renewed
  from badgeInstances i where ${which}`

/** The newest live award of a badge to an earner. */
export const findInstance = (badgeId: SQL, systemId: SQL, email: string) =>
  linkedInstance(sql`i.systemId = ${systemId} and i.email = ${email}
      and i.badgeId = ${badgeId} and i.revokedAt is null
    order by i.id desc limit 1`)

/** The newest award of a badge to an earner, whether it stands or not. */
export const findEver = (badgeId: SQL, systemId: SQL, email: string): Statement<InstanceRow> =>
  sql<InstanceRow>`
    select * from badgeInstances where systemId = ${systemId} and email = ${email}
      and badgeId = ${badgeId} order by id desc limit 1`

/** `live` are all that were not revoked: the `valid` ones, the `expired` and the `suspended`. */
export const AWARD_STATES = ['live', 'valid', 'expired', 'suspended', 'revoked'] as const

/** Which awards a list shows. Times are milliseconds; `until` is not among them. */
export type AwardFilter = {
  state: (typeof AWARD_STATES)[number]
  since: number | null
  until: number | null
  now: number
}

/** All awards that were not revoked. */
export const liveAwards = (now: number): AwardFilter => ({
  state: 'live',
  since: null,
  until: null,
  now,
})

const isDated = ({ since, until }: AwardFilter) => since !== null || until !== null

/** `+` keeps SQLite from the index of those that live, which knows no dates, and of which few are suspended. */
const ended = (filter: AwardFilter) =>
  isDated(filter) || filter.state === 'suspended' ? sql`+i.revokedAt` : sql`i.revokedAt`

/** @param from the least date, where it is not that of the filter */
const passes = (filter: AwardFilter, from = filter.since) => {
  const { state, until, now } = filter
  return sql.join([
    state === 'revoked' ? sql`${ended(filter)} is not null` : sql`${ended(filter)} is null`,
    ...(state === 'valid'
      ? [sql` and i.suspendedAt is null and (i.expires is null or i.expires > ${now})`]
      : []),
    ...(state === 'suspended' ? [sql` and i.suspendedAt is not null`] : []),
    ...(state === 'expired' ? [sql` and i.expires <= ${now}`] : []),
    ...(from === null ? [] : [sql` and i.issuedOn >= ${from}`]),
    ...(until === null ? [] : [sql` and i.issuedOn < ${until}`]),
  ])
}

const isPlain = (filter: AwardFilter) => filter.state === 'live' && !isDated(filter)

/**
 * Awards of a stretch of time stand in the order of their dates; of all others live ones in that of their making, and revoked ones
 * in that of their end. For each there is an index that begins with the badge.
 */
function placed(filter: AwardFilter) {
  if (isDated(filter)) {
    return { column: sql`i.issuedOn`, key: (row: InstanceRow) => [row.issuedOn, row.id] }
  }
  return filter.state === 'revoked'
    ? { column: sql`i.revokedAt`, key: (row: InstanceRow) => [row.revokedAt ?? 0, row.id] }
    : { column: null, key: (row: InstanceRow) => [row.id] }
}

const orderOf = (column: SQL | null) => (column ? sql`${column}, i.id` : sql`i.id`)

/** The awards of a badge. */
export function listInstances(badgeId: SQL, filter: AwardFilter): List<InstanceRow> {
  const { column, key } = placed(filter)
  const from = (which: SQL) => sql`from badgeInstances i where i.badgeId = ${badgeId} and ${which}`
  // The last page's end is the least date of the next one.
  const beyond = ([last, id]: SortKey) =>
    column
      ? sql`${passes(filter, null)} and (${column}, i.id) > (${last}, ${id})`
      : sql`${passes(filter)} and i.id > ${last}`
  return {
    rows: ({ after, limit, offset }) => sql<InstanceRow>`
      select i.* ${from(after ? beyond(after) : passes(filter))}
      order by ${orderOf(column)} limit ${limit} offset ${offset}`,
    keyOf: key,
    keyLength: column ? 2 : 1,
    total: isPlain(filter)
      ? sql<{ total: number }>`select awarded as total from badges where id = ${badgeId}`
      : sql<{ total: number }>`select count(*) as total ${from(passes(filter))}`,
  }
}

/**
 * The awards of the badges in a container, badge by badge. In the badge where the last page ended the index is entered
 * behind its last award, in each later one at the start.
 */
export function listAwards(container: Container, filter: AwardFilter): List<PicturedInstance> {
  const { column, key } = placed(filter)
  const from = (which: SQL) => sql`from badges b cross join badgeInstances i on i.badgeId = b.id
    where ${within(container)} and ${which}`
  const beyond = ([badge, ...rest]: SortKey) => {
    const [last, id = last] = rest
    const isHere = sql`b.id = ${badge}`
    const start = column
      ? sql`${passes(filter, null)} and ${column} >= iif(${isHere}, ${last}, ${filter.since ?? -9e18})
          and not (${isHere} and ${column} = ${last} and i.id <= ${id})`
      : sql`${passes(filter)} and i.id > iif(${isHere}, ${last}, 0)`
    return sql`b.id >= ${badge} and ${start}`
  }
  return {
    rows: ({ after, limit, offset }) => sql<PicturedInstance>`
      select i.*, ${imageType} as imageType ${from(after ? beyond(after) : passes(filter))}
      order by b.id, ${orderOf(column)} limit ${limit} offset ${offset}`,
    keyOf: (row) => [row.badgeId, ...key(row)],
    keyLength: column ? 3 : 2,
    total: isPlain(filter)
      ? sql<{ total: number }>`
          select coalesce(sum(b.awarded), 0) as total from badges b where ${within(container)}`
      : sql<{ total: number }>`select count(*) as total ${from(passes(filter))}`,
  }
}

/** The awards to an earner of the badges in a container, in id order. */
export function listInstancesOf(
  container: Container,
  email: string | SQL,
  filter: AwardFilter,
): List<PicturedInstance> {
  const from = sql`from badgeInstances i join badges b on b.id = i.badgeId
    where i.systemId = ${container.systemId} and i.email = ${email} and ${passes(filter)}
      and ${within(container)}`
  return {
    rows: ({ after, limit, offset }) => sql<PicturedInstance>`
      select i.*, ${imageType} as imageType ${from} ${after ? sql`and i.id > ${after[0]}` : sql``}
      order by i.id limit ${limit} offset ${offset}`,
    keyOf: ({ id }) => [id],
    total: sql<{ total: number }>`select count(*) as total ${from}`,
  }
}

export type PublicRow = BadgeRow & {
  awardSlug: string | null
  email: string
  issuedOn: number
  expires: number | null
  narrative: string | null
  evidence: string | null
  /** What its badge's image is, and was when it was awarded; null of a remote one. */
  imageType: string | null
  imageTypeThen: string | null
  /** When it stopped being valid: revoked, suspended, or its badge or system deleted. */
  endedAt: number | null
  revocationReason: string | null
  revokedAt: number | null
  suspendedAt: number | null
  suspensionReason: string | null
  /** The slug of the award that took its place. */
  renewedBy: string | null
}

/** What an assertion URL tells: the award with its badge, or only that it has ended. */
export const findPublicInstance = (slug: string): Statement<PublicRow> => sql<PublicRow>`
  select ${badgeColumns}, i.slug as awardSlug, i.email, i.issuedOn, i.expires, i.narrative, i.evidence,
    ${imageType} as imageType,
    (select m.mimetype from badgeVersions v join images m on m.id = v.imageId
      where v.id = i.versionId) as imageTypeThen,
    (select n.slug from badgeInstances n where n.renews = i.id and n.systemId = i.systemId) as renewedBy,
    i.revokedAt, i.suspendedAt, i.suspensionReason, ${ending}
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
 * @param badge the badge, and how the contract shows it, for the message
 */
export async function revoke(
  caller: Caller,
  row: InstanceRow,
  { row: of, shown: badge }: Pick<Awardable, 'row' | 'shown'>,
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
  const [rows, lists] = await commit(caller, {
    change: [
      updateWhere(
        badgeInstances,
        { revokedAt: now, revocationReason: reason, op, updatedAt: now },
        sql`${which} and revokedAt is null`,
      ),
      sql`update badges set awarded = awarded - 1 where id = ${row.badgeId} and ${done}`,
      ...tally(caller, of, 'revoked', 1, done),
      ...endCredentials(sql`select ${row.id}`, done),
    ],
    done,
    of: { table: badgeInstances, id: row.id },
    events: [recordEvent(op, now, event, done)],
    audit: { systemId: row.systemId, target: `badgeInstances/${slug}` },
    read: [committed(op), listsOf(sql`select ${row.id}`)],
    forget: awardPaths(slug),
  })
  await forget(
    caller.env,
    lists.map(({ uid }) => statusListPath(uid)),
  )
  return rows.length > 0
}
