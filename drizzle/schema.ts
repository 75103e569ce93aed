/**
 * Every table, column, index and foreign key. Names are the wire's own (BadgeKit's database used the same), so that a
 * row needs no translation. Times are integer milliseconds. Booleans are 0 or 1. Foreign keys are `no action` and each
 * has an index: children are deleted by us, in the same batch. `docs/storage.md` tells the life of each record.
 *
 * Later migrations only add tables and nullable columns: a rebuild of a table empties its children on D1.
 */
import { sql } from 'drizzle-orm'
import {
  type AnySQLiteColumn,
  blob,
  customType,
  index,
  integer,
  primaryKey,
  sqliteTable,
  text,
  uniqueIndex,
} from 'drizzle-orm/sqlite-core'

/** Text that is compared without regard to ASCII case, and stored as given: slugs, emails, claim codes. */
const nocase = customType<{ data: string }>({ dataType: () => 'text collate nocase' })

const id = () => integer().primaryKey({ autoIncrement: true })
const flag = (otherwise: 0 | 1) => integer().$type<0 | 1>().notNull().default(otherwise)

/** Who wrote the row last and when; `op` names the request, so that a batch can see what it has itself changed. */
const written = () => ({
  version: integer().notNull().default(1),
  op: text().notNull(),
  createdAt: integer().notNull(),
  updatedAt: integer().notNull(),
})

const live = sql`"deletedAt" is null`

// ── Containers ──────────────────────────────────────────────────────────────────────────────────────────────────────

const container = () => ({
  id: id(),
  /** Permanent and random: public identifiers use it, so that a new slug breaks nothing. */
  uid: text().notNull().unique(),
  slug: nocase().notNull(),
  name: text().notNull(),
  url: text().notNull(),
  description: text(),
  email: nocase(),
  imageId: integer().references((): AnySQLiteColumn => images.id),
  /** Where that image is: its remote URL, or the path under which we serve its bytes. */
  image: text(),
  language: text(),
  translations: text(),
  ...written(),
  deletedAt: integer(),
})

export const systems = sqliteTable(
  'systems',
  {
    ...container(),
    test: flag(0),
    /** Where earners claim a code: an address with `{code}` in it, and `{badge}` where it is wanted. */
    claimUrl: text(),
  },
  (t) => [
    uniqueIndex('systems_slug').on(t.slug).where(live),
    index('systems_imageId').on(t.imageId),
    index('systems_deletedAt').on(t.deletedAt),
  ],
)

export const issuers = sqliteTable(
  'issuers',
  {
    ...container(),
    systemId: integer()
      .notNull()
      .references(() => systems.id),
  },
  (t) => [
    uniqueIndex('issuers_slug').on(t.systemId, t.slug).where(live),
    index('issuers_systemId').on(t.systemId, t.deletedAt),
    index('issuers_imageId').on(t.imageId),
    index('issuers_deletedAt').on(t.deletedAt),
  ],
)

export const programs = sqliteTable(
  'programs',
  {
    ...container(),
    systemId: integer()
      .notNull()
      .references(() => systems.id),
    issuerId: integer()
      .notNull()
      .references(() => issuers.id),
  },
  (t) => [
    uniqueIndex('programs_slug').on(t.issuerId, t.slug).where(live),
    index('programs_issuerId').on(t.issuerId, t.deletedAt),
    index('programs_systemId').on(t.systemId),
    index('programs_imageId').on(t.imageId),
    index('programs_deletedAt').on(t.deletedAt),
  ],
)

/** A remote URL, or stored bytes; one row per system and content. */
export const images = sqliteTable(
  'images',
  {
    id: id(),
    slug: nocase().notNull().unique(),
    systemId: integer()
      .notNull()
      .references((): AnySQLiteColumn => systems.id),
    /** SHA-256 of the bytes, or of the URL. */
    hash: text().notNull(),
    url: text(),
    mimetype: text(),
    data: blob({ mode: 'buffer' }),
    createdAt: integer().notNull(),
  },
  (t) => [uniqueIndex('images_hash').on(t.systemId, t.hash)],
)

// ── Badges ──────────────────────────────────────────────────────────────────────────────────────────────────────────

export const badges = sqliteTable(
  'badges',
  {
    id: id(),
    uid: text().notNull().unique(),
    slug: nocase().notNull(),
    systemId: integer()
      .notNull()
      .references(() => systems.id),
    issuerId: integer().references(() => issuers.id),
    programId: integer().references(() => programs.id),
    name: text().notNull(),
    strapline: text(),
    earnerDescription: text().notNull(),
    consumerDescription: text().notNull(),
    issuerUrl: text(),
    rubricUrl: text(),
    criteriaUrl: text().notNull(),
    timeValue: integer(),
    timeUnits: text(),
    evidenceType: text(),
    limit: integer(),
    unique: flag(0),
    type: text().notNull().default(''),
    archived: flag(0),
    imageId: integer().references(() => images.id),
    /** Where that image is: its remote URL, or the path under which we serve its bytes. */
    image: text(),
    /**
     * Its four lists as answers show them, JSON: written with the rows of `criteria`, `alignments`, `categories` and
     * `tags`, so that reading a badge reads one row instead of fifteen.
     */
    lists: text().notNull().default('{"criteria":[],"alignments":[],"categories":[],"tags":[]}'),
    /** How many live awards there are; every batch that awards or revokes moves it. */
    awarded: integer().notNull().default(0),
    status: text().notNull().default('published'),
    publishAt: integer(),
    expiresAfter: integer(),
    /** How long an award is good that says nothing of it: an ISO 8601 duration of one unit, as given. */
    validFor: text(),
    language: text(),
    translations: text(),
    ...written(),
    deletedAt: integer(),
  },
  (t) => [
    uniqueIndex('badges_slug').on(t.systemId, t.slug).where(live),
    index('badges_systemId').on(t.systemId, t.deletedAt),
    index('badges_issuerId').on(t.issuerId, t.deletedAt),
    index('badges_programId').on(t.programId, t.deletedAt),
    index('badges_systemId_archived').on(t.systemId, t.deletedAt, t.archived),
    index('badges_issuerId_archived').on(t.issuerId, t.deletedAt, t.archived),
    index('badges_programId_archived').on(t.programId, t.deletedAt, t.archived),
    index('badges_archived').on(t.deletedAt, t.archived),
    index('badges_imageId').on(t.imageId),
  ],
)

const ofBadge = () =>
  integer()
    .notNull()
    .references(() => badges.id)

export const criteria = sqliteTable(
  'criteria',
  {
    id: id(),
    badgeId: ofBadge(),
    description: text().notNull(),
    required: flag(0),
    note: text().notNull().default(''),
  },
  (t) => [index('criteria_badgeId').on(t.badgeId)],
)

export const alignments = sqliteTable(
  'alignments',
  {
    id: id(),
    badgeId: ofBadge(),
    name: text().notNull(),
    url: text().notNull(),
    description: text(),
  },
  (t) => [index('alignments_badgeId').on(t.badgeId)],
)

export const categories = sqliteTable(
  'categories',
  { id: id(), badgeId: ofBadge(), value: text().notNull() },
  (t) => [index('categories_badgeId').on(t.badgeId)],
)

export const tags = sqliteTable(
  'tags',
  { id: id(), badgeId: ofBadge(), value: text().notNull() },
  (t) => [index('tags_badgeId').on(t.badgeId)],
)

/** What a badge and its issuers were when something was awarded on them: never changed, shared by every award on it. */
export const badgeVersions = sqliteTable(
  'badgeVersions',
  {
    id: id(),
    badgeId: ofBadge(),
    /** SHA-256 of the frozen columns. */
    hash: text().notNull(),
    /** The badge as the contract shows it, JSON, its containers nested. */
    badge: text().notNull(),
    /** The permanent id of the container that awards: program, else issuer, else system. */
    issuerUid: text().notNull(),
    imageId: integer().references(() => images.id),
    createdAt: integer().notNull(),
  },
  (t) => [
    uniqueIndex('badgeVersions_hash').on(t.badgeId, t.hash),
    index('badgeVersions_imageId').on(t.imageId),
  ],
)

// ── Claim codes and awards ──────────────────────────────────────────────────────────────────────────────────────────

export const claimCodes = sqliteTable(
  'claimCodes',
  {
    id: id(),
    systemId: integer()
      .notNull()
      .references(() => systems.id),
    badgeId: ofBadge(),
    code: nocase().notNull(),
    claimed: flag(0),
    multiuse: flag(0),
    email: nocase(),
    claimedAt: integer(),
    uses: integer().notNull().default(0),
    /** It may be claimed from `validFrom` until before `validUntil`, `maxUses` times if it is `multiuse`; null sets no bound. */
    validFrom: integer(),
    validUntil: integer(),
    maxUses: integer(),
    /** 1 when nobody but `email` may claim it. */
    reserved: flag(0),
    ...written(),
  },
  (t) => [
    uniqueIndex('claimCodes_code').on(t.systemId, t.code, t.badgeId),
    index('claimCodes_badgeId').on(t.badgeId),
    index('claimCodes_claimed').on(t.badgeId, t.claimed),
    index('claimCodes_email').on(t.systemId, t.email).where(sql`"email" is not null`),
  ],
)

/** An award. Its slug is permanent and public; a revoked one keeps its row. */
export const badgeInstances = sqliteTable(
  'badgeInstances',
  {
    id: integer().primaryKey(),
    slug: nocase().notNull().unique(),
    systemId: integer()
      .notNull()
      .references(() => systems.id),
    badgeId: ofBadge(),
    versionId: integer()
      .notNull()
      .references(() => badgeVersions.id),
    email: nocase().notNull(),
    issuedOn: integer().notNull(),
    expires: integer(),
    claimCode: nocase(),
    /** 0 for an award that was asked for as a repetition: it stands outside the one-per-earner index. */
    once: flag(1),
    /** For the salted recipient hash of Open Badges 2.0 and 3.0: 32 hex digits. */
    salt: text().notNull(),
    narrative: text(),
    /** JSON array of `{url, name?, description?, narrative?, genre?, audience?}`. */
    evidence: text(),
    recipientType: text(),
    recipient: text(),
    revokedAt: integer(),
    revocationReason: text(),
    suspendedAt: integer(),
    /** The id of the award that this one took the place of. */
    renews: integer(),
    ...written(),
    /** When `badge.expiring` was recorded. */
    remindedAt: integer(),
    suspensionReason: text(),
    /** When narrative or evidence were changed last; counts on where two changes fall into one millisecond. */
    amendedAt: integer(),
  },
  (t) => [
    uniqueIndex('badgeInstances_once')
      .on(t.badgeId, t.email)
      .where(sql`"once" = 1 and "revokedAt" is null`),
    index('badgeInstances_badgeId').on(t.badgeId, t.revokedAt),
    index('badgeInstances_issuedOn').on(t.badgeId, t.issuedOn),
    index('badgeInstances_earner').on(t.systemId, t.email, t.badgeId),
    index('badgeInstances_versionId').on(t.versionId),
    index('badgeInstances_expires')
      .on(t.expires)
      .where(sql`"expires" is not null and "revokedAt" is null and "remindedAt" is null`),
    index('badgeInstances_suspended').on(t.badgeId).where(sql`"suspendedAt" is not null`),
    index('badgeInstances_renews').on(t.renews).where(sql`"renews" is not null`),
  ],
)

/** What was done with an award after it was made: amended, suspended, reinstated, renewed. */
export const awardChanges = sqliteTable(
  'awardChanges',
  {
    id: id(),
    systemId: integer()
      .notNull()
      .references(() => systems.id),
    awardId: integer()
      .notNull()
      .references(() => badgeInstances.id),
    kind: text().$type<'amended' | 'suspended' | 'reinstated' | 'renewed'>().notNull(),
    at: integer().notNull(),
    /** The key that asked for it. */
    key: text().notNull(),
    reason: text(),
    /** Of an amendment: JSON, what it changed, as it was and as it became. */
    before: text(),
    after: text(),
    op: text().notNull(),
  },
  (t) => [
    index('awardChanges_awardId').on(t.awardId),
    index('awardChanges_systemId').on(t.systemId),
  ],
)

// ── Signed credentials ──────────────────────────────────────────────────────────────────────────────────────────────

/**
 * The keys by which a system, issuer or program signs its Open Badges 3.0 documents. Public ones are published for ever, and so
 * outlive whom they belong to: `systemId` and `issuerUid` are no foreign keys.
 */
export const signingKeys = sqliteTable(
  'signingKeys',
  {
    id: id(),
    /** RFC 7638, of the public key: its name in public. */
    thumbprint: text().notNull().unique(),
    systemId: integer().notNull(),
    /** The permanent id of the container that signs. */
    issuerUid: text().notNull(),
    algorithm: text().$type<'Ed25519' | 'RS256'>().notNull(),
    /** JWK, JSON. */
    publicKey: text().notNull(),
    /** The private JWK, encrypted; null once it was destroyed. */
    sealed: text(),
    createdAt: integer().notNull(),
    retiredAt: integer(),
    /** Since when nothing that it signed is good, as somebody else may have its private half. */
    withdrawnAt: integer(),
  },
  (t) => [
    uniqueIndex('signingKeys_active').on(t.issuerUid, t.algorithm).where(sql`"retiredAt" is null`),
    index('signingKeys_issuerUid').on(t.issuerUid),
    index('signingKeys_systemId').on(t.systemId),
  ],
)

/** A Bitstring Status List of an issuer: which of its credentials have been revoked. It outlives its system, as its keys do. */
export const statusLists = sqliteTable(
  'statusLists',
  {
    id: id(),
    uid: text().notNull().unique(),
    systemId: integer().notNull(),
    issuerUid: text().notNull(),
    /** Counts what makes the list another; `signedRevision` is what the signed parts below tell. */
    revision: integer().notNull().default(1),
    signedRevision: integer().notNull().default(0),
    validFrom: integer(),
    encodedList: text(),
    proof: blob({ mode: 'buffer' }),
    keyId: integer().references(() => signingKeys.id),
    createdAt: integer().notNull(),
  },
  (t) => [
    index('statusLists_issuerUid').on(t.issuerUid),
    index('statusLists_systemId').on(t.systemId),
    index('statusLists_keyId').on(t.keyId),
    index('statusLists_stale').on(t.revision).where(sql`"signedRevision" < "revision"`),
  ],
)

/**
 * Of an award's signed documents what cannot be made again: the documents follow from the award and its version. A row stays when
 * its award goes, without signatures, because an index of a status list is never used again.
 */
export const credentials = sqliteTable(
  'credentials',
  {
    id: integer().primaryKey(),
    awardId: integer()
      .unique()
      .references(() => badgeInstances.id),
    /** When it was signed, in whole seconds, as milliseconds. */
    created: integer().notNull(),
    ed25519KeyId: integer()
      .notNull()
      .references(() => signingKeys.id),
    /** The 64 bytes of the embedded proof. */
    proof: blob({ mode: 'buffer' }),
    rs256KeyId: integer()
      .notNull()
      .references(() => signingKeys.id),
    /** The signature of the token. */
    jwt: blob({ mode: 'buffer' }),
    statusListId: integer()
      .notNull()
      .references(() => statusLists.id),
    statusIndex: integer().notNull(),
    /** Whether its bit is set. */
    ended: flag(0),
  },
  (t) => [
    uniqueIndex('credentials_index').on(t.statusListId, t.statusIndex),
    index('credentials_ended').on(t.statusListId, t.statusIndex).where(sql`"ended" = 1`),
    index('credentials_ed25519KeyId').on(t.ed25519KeyId),
    index('credentials_rs256KeyId').on(t.rs256KeyId),
  ],
)

// ── Bulk jobs ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** A list of awards to make, or of awards to revoke, that the queue's consumer works through. */
export const jobs = sqliteTable(
  'jobs',
  {
    id: id(),
    /** Its name in URLs; follows from the request. */
    uid: text().notNull().unique(),
    systemId: integer()
      .notNull()
      .references(() => systems.id),
    badgeId: ofBadge(),
    kind: text().$type<'issue' | 'revoke'>().notNull(),
    /** `receiving` until all of its rows are there. */
    state: text().$type<'receiving' | 'running' | 'done' | 'cancelled'>().notNull(),
    /** The key that asked for it. */
    key: text().notNull(),
    /** Of revocations. */
    reason: text(),
    rows: integer().notNull(),
    /** The first row that is still to do, from 0: whoever works on a chunk moves it in the chunk's own transaction. */
    next: integer().notNull().default(0),
    succeeded: integer().notNull().default(0),
    skipped: integer().notNull().default(0),
    failed: integer().notNull().default(0),
    endedAt: integer(),
    /** Whether its rows, which hold addresses, are gone. */
    forgotten: flag(0),
    ...written(),
  },
  (t) => [
    index('jobs_ended').on(t.endedAt).where(sql`"forgotten" = 0`),
    index('jobs_systemId').on(t.systemId),
    index('jobs_badgeId').on(t.badgeId),
    index('jobs_open').on(t.updatedAt).where(sql`"state" in ('receiving', 'running')`),
  ],
)

/** A stretch of a job's rows, as JSON: what is to be done, then what came of it. */
export const jobChunks = sqliteTable(
  'jobChunks',
  {
    jobId: integer()
      .notNull()
      .references(() => jobs.id),
    /** The numbers of its first row and of the row after its last. */
    first: integer().notNull(),
    end: integer().notNull(),
    /** JSON array of `{n, email, …}`; each gets a `state` when it is done. */
    rows: text().notNull(),
  },
  (t) => [primaryKey({ columns: [t.jobId, t.first] })],
)

// ── Applications and reviews ────────────────────────────────────────────────────────────────────────────────────────

export const applications = sqliteTable(
  'applications',
  {
    id: id(),
    slug: nocase().notNull().unique(),
    systemId: integer()
      .notNull()
      .references(() => systems.id),
    badgeId: ofBadge(),
    learner: nocase().notNull(),
    assignedTo: nocase(),
    assignedExpiration: integer(),
    processed: integer(),
    ...written(),
  },
  (t) => [
    index('applications_systemId').on(t.systemId, t.badgeId, t.createdAt),
    index('applications_badgeId').on(t.badgeId, t.createdAt),
    index('applications_updatedAt').on(t.badgeId, t.updatedAt),
    index('applications_open').on(t.badgeId, t.createdAt).where(sql`"processed" is null`),
    index('applications_closed').on(t.badgeId, t.createdAt).where(sql`"processed" is not null`),
    index('applications_waiting').on(t.systemId, t.createdAt).where(sql`"processed" is null`),
    index('applications_learner').on(t.systemId, t.learner),
    index('applications_assignedTo')
      .on(t.systemId, t.assignedTo)
      .where(sql`"assignedTo" is not null`),
  ],
)

export const evidence = sqliteTable(
  'evidence',
  {
    id: id(),
    applicationId: integer()
      .notNull()
      .references(() => applications.id),
    url: text(),
    mediaType: text(),
    reflection: text(),
  },
  (t) => [index('evidence_applicationId').on(t.applicationId)],
)

export const reviews = sqliteTable(
  'reviews',
  {
    id: id(),
    slug: nocase().notNull().unique(),
    applicationId: integer()
      .notNull()
      .references(() => applications.id),
    author: nocase().notNull(),
    comment: text(),
    ...written(),
  },
  (t) => [index('reviews_applicationId').on(t.applicationId), index('reviews_author').on(t.author)],
)

export const reviewItems = sqliteTable(
  'reviewItems',
  {
    id: id(),
    reviewId: integer()
      .notNull()
      .references(() => reviews.id),
    /** Not a foreign key: a criterion may be edited away under a review. */
    criterionId: integer().notNull(),
    satisfied: flag(0),
    comment: text(),
  },
  (t) => [index('reviewItems_reviewId').on(t.reviewId)],
)

// ── Milestones ──────────────────────────────────────────────────────────────────────────────────────────────────────

export const milestones = sqliteTable(
  'milestones',
  {
    id: id(),
    systemId: integer()
      .notNull()
      .references(() => systems.id),
    primaryBadgeId: ofBadge(),
    numberRequired: integer().notNull(),
    action: text().$type<'issue' | 'queue-application'>().notNull().default('issue'),
    ...written(),
  },
  (t) => [
    index('milestones_systemId').on(t.systemId),
    index('milestones_primaryBadgeId').on(t.primaryBadgeId),
  ],
)

/** The support badges of a milestone, in the order added. */
export const milestoneBadges = sqliteTable(
  'milestoneBadges',
  {
    id: id(),
    milestoneId: integer()
      .notNull()
      .references(() => milestones.id),
    badgeId: ofBadge(),
  },
  (t) => [
    uniqueIndex('milestoneBadges_badge').on(t.milestoneId, t.badgeId),
    index('milestoneBadges_badgeId').on(t.badgeId),
  ],
)

// ── Events and their delivery ───────────────────────────────────────────────────────────────────────────────────────

export const webhooks = sqliteTable(
  'webhooks',
  {
    id: id(),
    systemId: integer()
      .notNull()
      .references(() => systems.id),
    url: text().notNull(),
    /** JSON array of filter words (`award`, `revoke`, `review`, …); null: every event. */
    events: text(),
    format: text().$type<'badgekit-1' | 'events-1'>().notNull().default('badgekit-1'),
    state: text().$type<'active' | 'disabled'>().notNull().default('active'),
    disabledAt: integer(),
    disabledReason: text(),
    /** Attempts that failed since the last success, and since when. */
    failures: integer().notNull().default(0),
    failingSince: integer(),
    blockedUntil: integer().notNull().default(0),
    ...written(),
    deletedAt: integer(),
  },
  (t) => [
    uniqueIndex('webhooks_url').on(t.systemId, t.url).where(live),
    index('webhooks_systemId').on(t.systemId, t.state),
  ],
)

/** The newest primary secret signs the legacy token; every live one signs the Standard Webhooks header. */
export const webhookSecrets = sqliteTable(
  'webhookSecrets',
  {
    id: text().primaryKey(),
    webhookId: integer()
      .notNull()
      .references(() => webhooks.id),
    sealed: text().notNull(),
    primary: flag(1),
    createdAt: integer().notNull(),
    retiresAt: integer(),
  },
  (t) => [index('webhookSecrets_webhookId').on(t.webhookId)],
)

/** An address that an event's `data` holds at one of these places. */
const named = (...paths: string[]) => {
  const members = paths.map((path) => `json_extract(replace("data", char(1), 'null'), '$.${path}')`)
  const expression = members.length > 1 ? `coalesce(${members.join(', ')})` : `${members[0]}`
  return nocase().generatedAlwaysAs(sql.raw(expression), { mode: 'virtual' })
}

/** What happened, once, in frozen bytes. */
export const events = sqliteTable(
  'events',
  {
    /** Also the `webhook-id` of every attempt. */
    id: text().primaryKey(),
    systemId: integer()
      .notNull()
      .references(() => systems.id),
    seq: integer().notNull(),
    type: text().notNull(),
    /** The award's slug, the application's slug, …: deliveries about one subject keep their order. */
    subject: text().notNull(),
    /**
     * The exact bytes of the contract's message; null for types it lacks, and after retention. Where `versionId` is set, one
     * U+0001, which no JSON text can hold, stands for that version's badge: it would be stored with every award otherwise.
     */
    body: text(),
    /** The `data` of the `events-1` envelope, a JSON object, its badge likewise. */
    data: text(),
    versionId: integer().references(() => badgeVersions.id),
    createdAt: integer().notNull(),
    /** Whom it names: the erasure of a person finds by these what has no other trace of them any more. */
    earner: named('instance.email', 'claimCode.email', 'application.learner'),
    author: named('review.author'),
    assignedTo: named('application.assignedTo'),
  },
  (t) => [
    uniqueIndex('events_seq').on(t.systemId, t.seq),
    index('events_systemId_createdAt').on(t.systemId, t.createdAt),
    index('events_kept').on(t.createdAt).where(sql`"data" is not null`),
    index('events_earner').on(t.systemId, t.earner).where(sql`"earner" is not null`),
    index('events_author').on(t.systemId, t.author).where(sql`"author" is not null`),
    index('events_assignedTo').on(t.systemId, t.assignedTo).where(sql`"assignedTo" is not null`),
    index('events_versionId').on(t.versionId),
  ],
)

/** One event for one webhook. */
export const deliveries = sqliteTable(
  'deliveries',
  {
    id: id(),
    systemId: integer()
      .notNull()
      .references(() => systems.id),
    eventId: text()
      .notNull()
      .references(() => events.id),
    webhookId: integer()
      .notNull()
      .references(() => webhooks.id),
    subject: text().notNull(),
    seq: integer().notNull(),
    state: text()
      .$type<'pending' | 'delivered' | 'exhausted' | 'cancelled'>()
      .notNull()
      .default('pending'),
    attempts: integer().notNull().default(0),
    nextAt: integer().notNull(),
    leaseUntil: integer().notNull().default(0),
    leaseToken: text(),
    createdAt: integer().notNull(),
    endedAt: integer(),
    /** The webhook's format at the time of the event: every attempt sends the same bytes. */
    format: text().$type<'badgekit-1' | 'events-1'>(),
    /** When it was last asked for again, and how many attempts it had had by then: the schedule starts anew. */
    restartedAt: integer(),
    restartedFrom: integer(),
  },
  (t) => [
    uniqueIndex('deliveries_event').on(t.eventId, t.webhookId),
    index('deliveries_systemId').on(t.systemId),
    index('deliveries_webhookId').on(t.webhookId),
    index('deliveries_waiting').on(t.webhookId, t.nextAt).where(sql`"state" = 'pending'`),
    index('deliveries_unsettled').on(t.systemId).where(sql`"state" <> 'delivered'`),
    index('deliveries_order').on(t.webhookId, t.subject, t.seq).where(sql`"state" = 'pending'`),
  ],
)

/** One try of a delivery. */
export const attempts = sqliteTable(
  'attempts',
  {
    deliveryId: integer()
      .notNull()
      .references(() => deliveries.id),
    n: integer().notNull(),
    at: integer().notNull(),
    ms: integer().notNull(),
    status: integer(),
    /** `refused`, `timeout`, `network`: why there is no status. */
    error: text(),
    /** The first 1,024 bytes of the answer, without addresses. */
    answer: text(),
  },
  (t) => [primaryKey({ columns: [t.deliveryId, t.n] }), index('attempts_at').on(t.at)],
)

/** Messages that a queue gave up on: doorbells only, so a row here is a bug, not a lost event. */
export const queueFaults = sqliteTable('queueFaults', {
  id: id(),
  queue: text().notNull(),
  message: text().notNull(),
  at: integer().notNull(),
})

/** When a recurring duty last ran (`sweep`). */
export const heartbeats = sqliteTable('heartbeats', {
  name: text().primaryKey(),
  at: integer().notNull(),
})

// ── Access ──────────────────────────────────────────────────────────────────────────────────────────────────────────

/** Who may sign requests, for which subtree and how far. */
export const keys = sqliteTable(
  'keys',
  {
    id: id(),
    /** Compared exactly, unlike slugs. */
    key: text().notNull().unique(),
    systemId: integer()
      .notNull()
      .references(() => systems.id),
    issuerId: integer().references(() => issuers.id),
    programId: integer().references(() => programs.id),
    role: text().$type<'read' | 'issue' | 'review' | 'manage' | 'admin'>().notNull(),
    description: text(),
    expires: integer(),
    disabledAt: integer(),
    allowNoExp: flag(0),
    /** Days since 1970. */
    lastUsed: integer(),
    ...written(),
    deletedAt: integer(),
  },
  (t) => [
    index('keys_systemId').on(t.systemId, t.deletedAt),
    index('keys_issuerId').on(t.issuerId),
    index('keys_programId').on(t.programId),
  ],
)

export const keySecrets = sqliteTable(
  'keySecrets',
  {
    id: text().primaryKey(),
    keyId: integer()
      .notNull()
      .references(() => keys.id),
    sealed: text().notNull(),
    createdAt: integer().notNull(),
    retiresAt: integer(),
  },
  (t) => [index('keySecrets_keyId').on(t.keyId)],
)

/** One row for each request that changed something, written in its batch. `op` is unique: no change happens twice. */
export const audit = sqliteTable(
  'audit',
  {
    id: id(),
    op: text().notNull().unique(),
    /** Not a foreign key: the record outlives what it tells of. */
    systemId: integer(),
    at: integer().notNull(),
    /** The key that signed, `master`, or the name of a duty of ours. */
    key: text().notNull(),
    /** Method and route template, never the URL. */
    action: text().notNull(),
    /** Table and permanent id of what changed. */
    target: text().notNull(),
    requestId: text().notNull(),
    sealedAt: integer(),
    previousHash: text(),
    hash: text(),
  },
  (t) => [
    index('audit_systemId').on(t.systemId),
    index('audit_unsealed').on(t.systemId).where(sql`"sealedAt" is null`),
  ],
)

/** Answers that a repeated `Idempotency-Key` gets again. */
export const idempotency = sqliteTable(
  'idempotency',
  {
    key: text().notNull(),
    idempotencyKey: text().notNull(),
    fingerprint: text().notNull(),
    op: text().notNull(),
    status: integer().notNull(),
    createdAt: integer().notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.key, t.idempotencyKey] }),
    index('idempotency_createdAt').on(t.createdAt),
  ],
)

/** Claim codes that were asked for in vain, by badge and hour (hours since 1970): the brake on guessing. */
export const codeMisses = sqliteTable(
  'codeMisses',
  {
    badgeId: ofBadge(),
    hour: integer().notNull(),
    n: integer().notNull(),
  },
  (t) => [primaryKey({ columns: [t.badgeId, t.hour] }), index('codeMisses_hour').on(t.hour)],
)

/** Tokens with a `jti` that have been used for a write. */
export const usedTokens = sqliteTable(
  'usedTokens',
  { key: text().notNull(), jti: text().notNull(), expires: integer() },
  (t) => [primaryKey({ columns: [t.key, t.jti] }), index('usedTokens_expires').on(t.expires)],
)

// ── What stays, and how many ────────────────────────────────────────────────────────────────────────────────────────

/** What public URLs must go on answering with 410 after a purge; no personal data. */
export const tombstones = sqliteTable(
  'tombstones',
  {
    kind: text().$type<'assertion' | 'badge' | 'issuer'>().notNull(),
    uid: nocase().notNull(),
    revokedAt: integer().notNull(),
    revocationReason: text(),
  },
  (t) => [primaryKey({ columns: [t.kind, t.uid] })],
)

/** Totals of unfiltered lists: how many `name` hang live from `ownerId`; moved by every batch that adds or ends one. */
export const counters = sqliteTable(
  'counters',
  {
    systemId: integer().notNull(),
    name: text().notNull(),
    ownerId: integer().notNull(),
    n: integer().notNull(),
  },
  (t) => [primaryKey({ columns: [t.systemId, t.name, t.ownerId] })],
)

/**
 * What has happened to `ownerId` up to the end of a day, in all: a row for each day (since 1970, UTC) on which it happened at all.
 * `name` is `badge.awarded`, `system.awarded`, …; every batch that makes it happen moves it.
 */
export const tallies = sqliteTable(
  'tallies',
  {
    systemId: integer().notNull(),
    name: text().notNull(),
    ownerId: integer().notNull(),
    day: integer().notNull(),
    n: integer().notNull(),
  },
  (t) => [primaryKey({ columns: [t.systemId, t.name, t.ownerId, t.day] })],
)
