import { type SQL, sql } from 'drizzle-orm'
import { below, type Level, type LevelName, levels } from '../levels'
import type { Db } from './db'
import { releaseCredentials } from './statusLists'
import { HAPPENINGS } from './tallies'

/**
 * What is deleted is first only marked, in one statement; its rows go here, some at a time, children first. Of awards, badges
 * and issuers a tombstone stays, with no personal data, so that their public URLs answer 410 for ever.
 */

/** Most rows of one table that one run removes. */
const ROWS = 1_000
/** How many deleted badges one run looks at. */
const BADGES = 50

const deadSystems = sql`(select id from systems where deletedAt is not null)`
const deadBadges = sql`(select id from badges where deletedAt is not null order by deletedAt limit ${BADGES})`
const deadApplications = sql`(select id from applications where badgeId in ${deadBadges} limit ${ROWS})`
const deadReviews = sql`(select id from reviews where applicationId in ${deadApplications} limit ${ROWS})`
const deadDeliveries = sql`(select id from deliveries where systemId in ${deadSystems} limit ${ROWS})`

/** Deletes up to `ROWS` rows of a table. */
const remove = (table: string, condition: SQL) => sql`
  delete from ${sql.identifier(table)} where rowid in (
    select rowid from ${sql.identifier(table)} where ${condition} limit ${ROWS})`

/** All that hangs from a deleted system is deleted with it. `+` keeps SQLite from starting at all that is not deleted. */
const mark = (table: string) => sql`
  update ${sql.identifier(table)} set deletedAt = (select s.deletedAt from systems s where s.id = systemId)
  where id in (select id from ${sql.identifier(table)}
    where systemId in ${deadSystems} and +deletedAt is null limit ${ROWS})`

const entomb = (kind: string, rows: SQL) => sql`
  insert into tombstones (kind, uid, revokedAt) select ${kind}, uid, deletedAt from (${rows})
  where true on conflict (kind, uid) do nothing`

/** No row of `table` refers by `column` to row `x`. */
const unused = (table: string, column: string, more = '') =>
  sql.raw(`not exists (select 1 from ${table} r where r.${column} = x.id${more})`)

/** The names of the tallies of a badge or of a level's containers, in SQL. */
const talliesOf = (owner: 'badge' | LevelName) =>
  HAPPENINGS.map((what) => `'${owner}.${what}'`).join(', ')

const removeTallies = (owner: 'badge' | LevelName, table: string) =>
  remove(
    'tallies',
    sql.raw(`rowid in (
      select t.rowid from (select id, systemId from ${table} where deletedAt > 0 order by deletedAt limit ${BADGES}) x
      cross join tallies t
      where t.systemId = x.systemId and t.name in (${talliesOf(owner)}) and t.ownerId = x.id)`),
  )

/** That they are gone is asked of row `x` as `unused` asks. */
const tallied = (owner: 'badge' | LevelName) =>
  [
    'tallies',
    'ownerId',
    ` and r.systemId = x.systemId and r.name in (${talliesOf(owner)})`,
  ] as const

/** Rows to which nothing refers any more. `> 0` makes SQLite use the index, which `is not null` does not. */
const ended = (table: string, references: readonly (readonly [string, string, string?])[]) => sql`
  select x.id, x.uid, x.deletedAt from ${sql.identifier(table)} x
  where x.deletedAt > 0 and ${sql.join(
    references.map(([child, column, more]) => unused(child, column, more)),
    sql` and `,
  )} limit ${ROWS}`

const endedBadges = ended('badges', [
  ['badgeInstances', 'badgeId'],
  ['badgeVersions', 'badgeId'],
  ['claimCodes', 'badgeId'],
  ['jobs', 'badgeId'],
  ['applications', 'badgeId'],
  ['milestones', 'primaryBadgeId'],
  ['milestoneBadges', 'badgeId'],
  tallied('badge'),
])
const OF_SYSTEMS = ['badgeInstances', 'milestones', 'webhooks', 'events', 'tallies']

/** Containers of a level to which nothing refers any more; to systems refers more than to the others. */
const endedContainers = (level: Level) =>
  ended(level.plural, [
    ...below(level).map(({ plural }) => [plural, level.column] as const),
    ['badges', level.column],
    ['keys', level.column],
    ...(level.parent
      ? [tallied(level.name)]
      : [
          ...OF_SYSTEMS.map((table) => [table, level.column] as const),
          // Public keys and status lists outlive their system; private keys do not.
          ['signingKeys', level.column, ' and r.sealed is not null'] as const,
        ]),
  ])

const endedSystems = endedContainers(levels[0])

const inDeadBadges = sql`badgeId in ${deadBadges}`
const inDeadSystems = sql`systemId in ${deadSystems}`

/** Removes a layer and leaves its tombstones. */
const bury = (table: string, kind: 'badge' | 'issuer', rows: SQL) => [
  entomb(kind, rows),
  sql`delete from ${sql.identifier(table)} where id in (select id from (${rows}))`,
]

const entombed = (slug: SQL) =>
  sql`select 1 from tombstones t where t.kind = 'assertion' and t.uid = ${slug}`

const steps = (): SQL[] => [
  ...[...below(levels[0]).map(({ plural }) => plural), 'badges', 'webhooks', 'keys'].map(mark),
  // Awards: the tombstone first, in the same transaction.
  sql`insert into tombstones (kind, uid, revokedAt)
    select 'assertion', i.slug, coalesce(i.revokedAt, b.deletedAt)
    from badgeInstances i join badges b on b.id = i.badgeId
    where i.badgeId in ${deadBadges} limit ${ROWS} on conflict (kind, uid) do nothing`,
  // Of its credential the bit stays, in a list that goes on.
  releaseCredentials(sql`select i.id from badgeInstances i
    where i.badgeId in ${deadBadges} and exists (${entombed(sql`i.slug`)}) limit ${ROWS}`),
  remove('awardChanges', sql`awardId in (select id from badgeInstances where ${inDeadBadges})`),
  remove(
    'badgeInstances',
    sql`${inDeadBadges} and exists (${entombed(sql`slug`)})
      and not exists (select 1 from awardChanges c where c.awardId = badgeInstances.id)
      and not exists (select 1 from credentials c where c.awardId = badgeInstances.id)`,
  ),
  // The last list of a deleted system ends all there was; only then nobody has to sign any more.
  sql`update signingKeys set sealed = null, retiredAt = coalesce(retiredAt, (
      select s.deletedAt from systems s where s.id = systemId))
    where systemId in ${deadSystems} and sealed is not null and not exists (
      select 1 from statusLists l where l.systemId = signingKeys.systemId and l.signedRevision < l.revision)`,
  remove(
    'credentials',
    sql`awardId is null and statusListId in (select id from statusLists where ${inDeadSystems})`,
  ),
  remove('reviewItems', sql`reviewId in ${deadReviews}`),
  remove(
    'reviews',
    sql`applicationId in ${deadApplications}
      and not exists (select 1 from reviewItems t where t.reviewId = reviews.id)`,
  ),
  remove('evidence', sql`applicationId in ${deadApplications}`),
  remove(
    'applications',
    sql`${inDeadBadges}
      and not exists (select 1 from reviews r where r.applicationId = applications.id)
      and not exists (select 1 from evidence e where e.applicationId = applications.id)`,
  ),
  ...[
    'claimCodes',
    'criteria',
    'alignments',
    'categories',
    'tags',
    'milestoneBadges',
    'codeMisses',
  ].map((table) => remove(table, inDeadBadges)),
  remove(
    'milestones',
    sql`(primaryBadgeId in ${deadBadges} or ${inDeadSystems})
      and not exists (select 1 from milestoneBadges s where s.milestoneId = milestones.id)`,
  ),
  remove('jobChunks', sql`jobId in (select id from jobs where ${inDeadBadges})`),
  remove(
    'jobs',
    sql`${inDeadBadges} and not exists (select 1 from jobChunks c where c.jobId = jobs.id)`,
  ),
  // The outbox of a deleted system; events about a deleted badge of a live one stay as long as all events.
  remove('attempts', sql`deliveryId in ${deadDeliveries}`),
  remove(
    'deliveries',
    sql`${inDeadSystems}
      and not exists (select 1 from attempts a where a.deliveryId = deliveries.id)`,
  ),
  remove(
    'events',
    sql`${inDeadSystems} and not exists (select 1 from deliveries d where d.eventId = events.id)`,
  ),
  remove(
    'badgeVersions',
    sql`${inDeadBadges}
      and not exists (select 1 from badgeInstances i where i.versionId = badgeVersions.id)
      and not exists (select 1 from events e where e.versionId = badgeVersions.id)`,
  ),
  remove('webhookSecrets', sql`webhookId in (select id from webhooks where ${inDeadSystems})`),
  remove(
    'webhooks',
    sql`${inDeadSystems} and not exists (
      select 1 from webhookSecrets s where s.webhookId = webhooks.id)
      and not exists (select 1 from deliveries d where d.webhookId = webhooks.id)`,
  ),
  remove('keySecrets', sql`keyId in (select id from keys where ${inDeadSystems})`),
  remove(
    'keys',
    sql`${inDeadSystems} and not exists (select 1 from keySecrets s where s.keyId = keys.id)`,
  ),
  remove('counters', inDeadSystems),
  remove('tallies', inDeadSystems),
  removeTallies('badge', 'badges'),
  ...below(levels[0]).map(({ name, plural }) => removeTallies(name, plural)),
  ...bury('badges', 'badge', endedBadges),
  ...below(levels[0])
    .toReversed()
    .flatMap((level) => bury(level.plural, 'issuer', endedContainers(level))),
  // Only images still refer to the system now, and the system to one of them.
  sql`update systems set imageId = null where id in (select id from (${endedSystems}))`,
  sql`delete from images where systemId in (select id from (${endedSystems}))`,
  ...bury('systems', 'issuer', endedSystems),
]

/** Whether anything is marked as deleted and still there. */
export const purgeable = sql<{ any: 0 | 1 }>`
  select ${sql.join(
    [...levels.map(({ plural }) => plural), 'badges'].map((table) =>
      sql.raw(`exists (select 1 from ${table} where deletedAt is not null)`),
    ),
    sql` or `,
  )} as "any"`

/** Removes some of what has been deleted. */
export const purge = (db: Db) => db.batch(steps())
