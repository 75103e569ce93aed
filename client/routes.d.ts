// Written by `npm run client` from docs/openapi.json.

import type { Form, Options, Pages } from './calls.js'

/** What went wrong, for programs. */
export type ErrorCode = 'BadRequestError' | 'CodeAlreadyUsed' | 'CodeExpired' | 'CodeNotYetValid' | 'CodeReserved' | 'IdempotencyKeyReused' | 'InternalError' | 'InvalidContent' | 'InvalidParameter' | 'MethodNotAllowedError' | 'NotAuthorized' | 'PreconditionFailed' | 'RequestEntityTooLarge' | 'ResourceConflict' | 'ResourceNotFound' | 'ServiceUnavailable' | 'TooManyRequests' | 'UnsupportedMediaTypeError' | 'ValidationError'

export interface AddBadgeMilestone {
  badgeId: number | string
}

export interface Application {
  id: number
  slug: string
  learner: string
  created: string
  assignedTo: string | null
  assignedExpiration: string | null
  badge: Badge | null
  processed: string | null
  evidence: Array<{
    url: string | null
    mediaType: string | null
    reflection: string | null
  }>
}

export interface AssignBadgeApplication {
  assignedTo: string
  /** How long, up to a week; 60 unless given */
  minutes?: number | string | null
  /** Whether somebody who has it keeps it until their time is over; so unless it is false */
  exclusive?: true | false | 1 | 0 | 'true' | 'false' | '1' | '0' | null
}

export interface AuditEntry {
  id: number
  at: string
  key: string
  action: string
  target: string
  request: string
  seal: {
    at: string
    previous: string
    hash: string
  } | null
}

export interface AwardChange {
  award: string
  kind: 'amended' | 'suspended' | 'reinstated' | 'renewed'
  at: string
  key: string
  reason: string | null
  before?: {
    narrative: string | null
    evidence: Array<Evidence>
  }
  after?: {
    narrative: string | null
    evidence: Array<Evidence>
  }
  renewedBy?: string
}

export interface BackfillMilestone {}

export interface Badge {
  id: number
  slug: string
  name: string
  strapline: string | null
  earnerDescription: string
  consumerDescription: string
  issuerUrl: string | null
  rubricUrl: string | null
  timeValue: number | null
  timeUnits: string | null
  limit: number | null
  unique: 0 | 1
  created: string
  imageUrl: string | null
  type: string
  archived: boolean
  system: System
  issuer?: Issuer
  program?: Program
  validFor?: string
  criteriaUrl: string
  criteria: Array<{
    id: number
    description: string
    required: 0 | 1
    note: string
  }>
  alignments: Array<{
    id: number
    name: string
    url: string
    description: string | null
  }>
  evidenceType: string | null
  categories: Array<string>
  tags: Array<{
    id: number
    value: string
  }>
  milestones: Array<{
    [name: string]: unknown
  }>
}

export interface BatchBadgeCode {
  count: number | string
  multiuse?: true | false | 1 | 0 | 'true' | 'false' | '1' | '0' | null
  validFrom?: number | string | null
  validUntil?: number | string | null
  maxUses?: number | string | null
}

export interface BulkBadgeInstance {
  emails?: Array<string>
  issuedOn?: number | string | null
  expires?: number | string | null
  comment?: string | null
  narrative?: string | null
  evidence?: Array<{
    url: string
    name?: string | null
    description?: string | null
    narrative?: string | null
    genre?: string | null
    audience?: string | null
  }> | null
}

export interface ClaimBadgeCode {
  email?: string | null
}

export interface ClaimCode {
  id: number
  code: string
  claimed: boolean
  email: string | null
  multiuse: boolean
}

export interface CodeTerms {
  validFrom: string | null
  validUntil: string | null
  maxUses: number | null
  reserved: boolean
  uses: number
  remaining: number | null
}

export interface CreateBadge {
  slug?: string | null
  name: string
  strapline?: string | null
  earnerDescription: string
  consumerDescription: string
  issuerUrl?: string | null
  rubricUrl?: string | null
  criteriaUrl: string
  timeValue?: number | string | null
  timeUnits?: 'minutes' | 'hours' | 'days' | 'weeks' | null
  evidenceType?: 'URL' | 'Text' | 'Photo' | 'Video' | 'Sound' | null
  limit?: number | string | null
  unique: true | false | 1 | 0 | 'true' | 'false' | '1' | '0'
  validFor?: string | null
  type?: string | null
  archived?: true | false | 1 | 0 | 'true' | 'false' | '1' | '0' | null
  criteria?: Array<{
    id?: number | string | null
    description: string
    required?: true | false | 1 | 0 | 'true' | 'false' | '1' | '0' | null
    note?: string | null
  }> | null
  alignments?: Array<{
    id?: number | string | null
    name: string
    url: string
    description?: string | null
  }> | null
  categories?: Array<string> | null
  tags?: Array<string> | null
  /** A URL, a `data:` URI, or an uploaded file */
  image: string | null
}

export interface CreateBadgeApplication {
  learner: string
  assignedTo?: string | null
  assignedExpiration?: number | string | null
  evidence?: Array<{
    url?: string | null
    mediaType?: 'image' | 'link' | null
    reflection?: string | null
  }> | null
}

export interface CreateBadgeApplicationReview {
  author: string
  comment?: string | null
  reviewItems?: Array<{
    criterionId: number | string
    satisfied: true | false | 1 | 0 | 'true' | 'false' | '1' | '0'
    comment?: string | null
  }> | null
  /** Whether the application is ended and its badge awarded in the same call */
  award?: true | false | 1 | 0 | 'true' | 'false' | '1' | '0' | null
}

export interface CreateBadgeCode {
  code: string
  claimed?: true | false | 1 | 0 | 'true' | 'false' | '1' | '0' | null
  multiuse?: true | false | 1 | 0 | 'true' | 'false' | '1' | '0' | null
  email?: string | null
  reserved?: true | false | 1 | 0 | 'true' | 'false' | '1' | '0' | null
  validFrom?: number | string | null
  validUntil?: number | string | null
  maxUses?: number | string | null
}

export interface CreateBadgeInstance {
  email: string
  slug?: string | null
  claimCode?: string | null
  repeat?: true | false | 1 | 0 | 'true' | 'false' | '1' | '0' | null
  issuedOn?: number | string | null
  expires?: number | string | null
  comment?: string | null
  narrative?: string | null
  evidence?: Array<{
    url: string
    name?: string | null
    description?: string | null
    narrative?: string | null
    genre?: string | null
    audience?: string | null
  }> | null
}

export interface CreateBadgeInstanceJob {
  rows: Array<{
    email: string
    issuedOn?: number | string | null
    expires?: number | string | null
    comment?: string | null
    narrative?: string | null
    evidence?: Array<{
      url: string
      name?: string | null
      description?: string | null
      narrative?: string | null
      genre?: string | null
      audience?: string | null
    }> | null
  }>
}

export interface CreateBadgeInstanceRevocation {
  reason?: string | null
  emails?: Array<string> | null
  since?: number | string | null
  until?: number | string | null
  all?: true | false | 1 | 0 | 'true' | 'false' | '1' | '0' | null
}

export interface CreateIssuer {
  slug: string
  name: string
  url: string
  description?: string | null
  email?: string | null
  /** A URL, a `data:` URI, or an uploaded file */
  image?: string | null
}

export interface CreateKey {
  role?: 'read' | 'issue' | 'review' | 'manage' | 'admin'
  issuer?: string | null
  program?: string | null
  description?: string | null
  expires?: number | string | null
  allowNoExp?: true | false | 1 | 0 | 'true' | 'false' | '1' | '0' | null
}

export interface CreateMilestone {
  primaryBadgeId: number | string
  numberRequired: number | string
  action?: 'issue' | 'queue-application' | null
  supportBadges?: Array<number | string> | null
}

export interface CreateProgram {
  slug: string
  name: string
  url: string
  description?: string | null
  email?: string | null
  /** A URL, a `data:` URI, or an uploaded file */
  image?: string | null
}

export interface CreateSystem {
  slug: string
  name: string
  url: string
  description?: string | null
  email?: string | null
  claimUrl?: string | null
  /** A URL, a `data:` URI, or an uploaded file */
  image?: string | null
}

export interface CreateWebhook {
  url: string
  secret?: string | null
  events?: Array<'badge.awarded' | 'award' | 'badge.revoked' | 'revoke' | 'application.reviewed' | 'review' | 'application.created' | 'application.updated' | 'code.claimed' | 'badge.updated' | 'badge.expiring' | 'badge.suspended' | 'badge.reinstated' | 'badge.renewed' | 'badge.amended' | 'ping'> | null
  format?: 'badgekit-1' | 'events-1' | null
}

export interface Delivery {
  id: number
  event: {
    id: string
    type: string
    sequence: number
    subject: string
    created: string
  }
  webhook: number
  state: 'pending' | 'delivered' | 'exhausted' | 'cancelled'
  attempts: number
  nextAt: string | null
}

export interface DeliveryAttempt {
  n: number
  at: string
  ms: number
  status: number | null
  error: string | null
  answer: string | null
}

export interface DeliveryWithLog {
  id: number
  event: {
    id: string
    type: string
    sequence: number
    subject: string
    created: string
  }
  webhook: number
  state: 'pending' | 'delivered' | 'exhausted' | 'cancelled'
  attempts: number
  nextAt: string | null
  log: Array<DeliveryAttempt>
}

export interface ErasePrivacy {
  email: string
}

export interface Event {
  id: string
  type: string
  timestamp: string
  sequence: number
  data: {
    [name: string]: unknown
  } | null
}

export interface Evidence {
  url: string
  name?: string
  description?: string
  narrative?: string
  genre?: string
  audience?: string
}

export interface ExportPrivacy {
  email: string
}

export interface Health {
  /** Whether every `ok` below is true */
  ready: boolean
  version: string
  database: {
    ok: boolean
  }
  migrations: {
    ok: boolean
    /** The newest one that this version needs */
    newest: string
  }
  sweep: {
    ok: boolean
    /** How long ago the recurring duties ran; null when they never did */
    seconds: number | null
  }
  deliveries: {
    ok: boolean
    /** How long the oldest delivery is due that could go; null when none is */
    oldestSeconds: number | null
  }
  queues: {
    /** Null when the queue does not tell */
    deliveries: {
      /** How many messages wait */
      backlog: number
      /** How long the oldest has waited */
      oldestSeconds: number | null
    } | null
    /** Null when the queue does not tell */
    slow: {
      /** How many messages wait */
      backlog: number
      /** How long the oldest has waited */
      oldestSeconds: number | null
    } | null
    /** Null when the queue does not tell */
    dead: {
      /** How many messages wait */
      backlog: number
      /** How long the oldest has waited */
      oldestSeconds: number | null
    } | null
  }
}

export interface Instance {
  slug: string
  email: string
  expires: string | null
  issuedOn: string
  claimCode: string | null
  assertionUrl: string
  badge: Badge | null
  narrative?: string
  evidence?: Array<Evidence>
  revoked?: string
  revocationReason?: string
  suspended?: string
  suspensionReason?: string
  renews?: string
  urls: {
    page: string
    openBadges2: string
    openBadges3: string
    image: string | null
  }
}

export interface Issuer {
  id: number
  slug: string
  url: string
  name: string
  description: string | null
  email: string | null
  imageUrl: string | null
  programs: Array<Program>
}

export interface Job {
  id: string
  kind: 'issue' | 'revoke'
  state: 'running' | 'done' | 'cancelled'
  rows: number
  done: number
  succeeded: number
  skipped: number
  failed: number
  reason: string | null
  key: string
  created: string
  ended: string | null
}

export interface JobResult {
  row: number
  email: string | null
  state: 'pending' | 'issued' | 'held' | 'revoked' | 'gone' | 'failed'
  slug: string | null
  reason: string | null
}

export interface Key {
  key: string
  secret?: string
  role: 'read' | 'issue' | 'review' | 'manage' | 'admin'
  system: string
  issuer: string | null
  program: string | null
  description: string | null
  created: string
  expires: string | null
  disabled: boolean
  allowNoExp: boolean
  lastUsed: string | null
}

export interface Milestone {
  id: number
  action: 'issue' | 'queue-application'
  numberRequired: number
  primaryBadge: Badge
  supportBadges: Array<Badge>
}

export interface PersonalData {
  email: string
  instances: Array<{
    slug: string
    email: string
    expires: string | null
    issuedOn: string
    claimCode: string | null
    assertionUrl: string
    badge: Badge | null
    narrative: string | null
    evidence: Array<{
      [name: string]: unknown
    }>
    revoked?: string
    revocationReason: string | null
    suspended?: string
    suspensionReason?: string
    renews?: string
    urls: {
      page: string
      openBadges2: string
      openBadges3: string
      image: string | null
    }
    revokedAt: string | null
  }>
  awardChanges: Array<AwardChange>
  claimCodes: Array<ClaimCode>
  applications: Array<Application>
  assignments: Array<{
    application: string
    assignedExpiration: string | null
  }>
  reviews: Array<{
    id: number
    slug: string
    author: string
    comment: string | null
    reviewItems: Array<{
      criterionId: number
      satisfied: 0 | 1
      comment: string | null
    }>
    application: string
  }>
  events: Array<Event>
  jobRows: Array<{
    job: string
    row: number
    [name: string]: unknown
  }>
  attempts: Array<{
    n: number
    at: string
    ms: number
    status: number | null
    error: string | null
    answer: string | null
    delivery: number
    event: string
  }>
  complete: boolean
}

export interface Program {
  id: number
  slug: string
  url: string
  name: string
  description: string | null
  email: string | null
  imageUrl: string | null
}

export interface Progress {
  milestone: number
  action: 'issue' | 'queue-application'
  state: 'held' | 'reached' | 'open'
  numberRequired: number
  numberHeld: number
  primaryBadge: {
    id: number
    slug: string
    name: string
  }
  assertionUrl: string | null
  supportBadges: Array<{
    id: number
    slug: string
    name: string
    held: boolean
  }>
}

export interface RandomBadgeCode {
  claimed?: true | false | 1 | 0 | 'true' | 'false' | '1' | '0' | null
  multiuse?: true | false | 1 | 0 | 'true' | 'false' | '1' | '0' | null
  email?: string | null
  reserved?: true | false | 1 | 0 | 'true' | 'false' | '1' | '0' | null
  validFrom?: number | string | null
  validUntil?: number | string | null
  maxUses?: number | string | null
}

export interface RecoverWebhook {
  since: number | string
  until?: number | string | null
}

export interface ReinstateBadgeInstance {
  reason?: string | null
}

export interface RemoveBadgeMilestone {
  badgeId: number | string
}

export interface RenewBadgeInstance {
  issuedOn?: number | string | null
  expires?: number | string | null
  comment?: string | null
  narrative?: string | null
  evidence?: Array<{
    url: string
    name?: string | null
    description?: string | null
    narrative?: string | null
    genre?: string | null
    audience?: string | null
  }> | null
}

export interface Review {
  id: number
  slug: string
  author: string
  comment: string | null
  reviewItems: Array<{
    criterionId: number
    satisfied: 0 | 1
    comment: string | null
  }>
}

export interface RevokeBadgeInstanceJob {
  reason?: string | null
}

export interface RotateKeySecret {
  grace?: number | string | null
}

export interface RotateSigningKey {
  /** Thumbprints of keys whose signatures are good no longer */
  withdraw?: Array<string> | null
}

export interface RotateWebhookSecret {
  secret?: string | null
  grace?: number | string | null
}

export interface SigningKey {
  thumbprint: string
  algorithm: 'Ed25519' | 'RS256'
  url: string
  verificationMethod: string
  publicKey: {
    kty: string
    [name: string]: unknown
  }
  created: string
  retired: string | null
  withdrawn: string | null
}

export interface SuspendBadgeInstance {
  reason?: string | null
}

export interface System {
  id: number
  slug: string
  url: string
  name: string
  description: string | null
  email: string | null
  imageUrl: string | null
  issuers: Array<Issuer>
  claimUrl?: string
}

export interface UpdateBadge {
  name?: string
  strapline?: string | null
  earnerDescription?: string
  consumerDescription?: string
  issuerUrl?: string | null
  rubricUrl?: string | null
  criteriaUrl?: string
  timeValue?: number | string | null
  timeUnits?: 'minutes' | 'hours' | 'days' | 'weeks' | null
  evidenceType?: 'URL' | 'Text' | 'Photo' | 'Video' | 'Sound' | null
  limit?: number | string | null
  unique?: true | false | 1 | 0 | 'true' | 'false' | '1' | '0'
  validFor?: string | null
  type?: string | null
  archived?: true | false | 1 | 0 | 'true' | 'false' | '1' | '0' | null
  criteria?: Array<{
    id?: number | string | null
    description: string
    required?: true | false | 1 | 0 | 'true' | 'false' | '1' | '0' | null
    note?: string | null
  }> | null
  alignments?: Array<{
    id?: number | string | null
    name: string
    url: string
    description?: string | null
  }> | null
  categories?: Array<string> | null
  tags?: Array<string> | null
  /** A URL, a `data:` URI, or an uploaded file */
  image?: string | null
}

export interface UpdateBadgeApplication {
  learner?: string
  assignedTo?: string | null
  assignedExpiration?: number | string | null
  evidence?: Array<{
    url?: string | null
    mediaType?: 'image' | 'link' | null
    reflection?: string | null
  }> | null
  processed?: number | string | null
}

export interface UpdateBadgeApplicationReview {
  author?: string
  comment?: string | null
  reviewItems?: Array<{
    criterionId: number | string
    satisfied: true | false | 1 | 0 | 'true' | 'false' | '1' | '0'
    comment?: string | null
  }> | null
}

export interface UpdateBadgeInstance {
  reason?: string | null
  narrative?: string | null
  evidence?: Array<{
    url: string
    name?: string | null
    description?: string | null
    narrative?: string | null
    genre?: string | null
    audience?: string | null
  }> | null
}

export interface UpdateIssuer {
  slug?: string
  name?: string
  url?: string
  description?: string | null
  email?: string | null
  /** A URL, a `data:` URI, or an uploaded file */
  image?: string | null
}

export interface UpdateKey {
  role?: 'read' | 'issue' | 'review' | 'manage' | 'admin'
  description?: string | null
  expires?: number | string | null
  allowNoExp?: true | false | 1 | 0 | 'true' | 'false' | '1' | '0' | null
  disabled?: true | false | 1 | 0 | 'true' | 'false' | '1' | '0' | null
}

export interface UpdateMilestone {
  primaryBadgeId?: number | string
  numberRequired?: number | string
  action?: 'issue' | 'queue-application' | null
  supportBadges?: Array<number | string> | null
}

export interface UpdateProgram {
  slug?: string
  name?: string
  url?: string
  description?: string | null
  email?: string | null
  /** A URL, a `data:` URI, or an uploaded file */
  image?: string | null
}

export interface UpdateSystem {
  slug?: string
  name?: string
  url?: string
  description?: string | null
  email?: string | null
  claimUrl?: string | null
  /** A URL, a `data:` URI, or an uploaded file */
  image?: string | null
}

export interface UpdateWebhook {
  url?: string
  events?: Array<'badge.awarded' | 'award' | 'badge.revoked' | 'revoke' | 'application.reviewed' | 'review' | 'application.created' | 'application.updated' | 'code.claimed' | 'badge.updated' | 'badge.expiring' | 'badge.suspended' | 'badge.reinstated' | 'badge.renewed' | 'badge.amended' | 'ping'> | null
  format?: 'badgekit-1' | 'events-1' | null
  state?: 'active' | 'disabled' | null
}

export interface VerifyPublic {
  /** Where the credential is */
  url?: string
  /** The credential in JSON */
  credential?: {
    [name: string]: unknown
  }
  /** The credential as a token */
  jwt?: string
  /** An email address that it should belong to */
  recipient?: string
}

export interface Waiting {
  badge: string
  name: string
  waiting: number
  free: number
  more: boolean
  oldest: string
}

export interface Webhook {
  id: number
  url: string
  secret?: string
  events: Array<string> | null
  format: 'badgekit-1' | 'events-1'
  state: 'active' | 'disabled'
  created: string
  disabledAt?: string
  disabledReason?: string
}

export interface AtBadgeApplicationInstances {
  /** List an applicant's awards in the container. */
  get(query?: {
    /** From 1; only with `count` */
    page?: number
    /** Rows in a page */
    count?: number
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
  }, options?: Options): Promise<{
    instances: Array<Instance>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** List an applicant's awards in the container: one after the other, as they are asked for. */
  list(query?: {
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
  }, options?: Options): Pages<Instance, {
    instances: Array<Instance>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
}

export interface AtBadgeApplicationAssign {
  /** Give an application to a reviewer for a time. */
  post(body: AssignBadgeApplication | Form, options?: Options): Promise<{
    status: string
    application: Application
  }>
}

export interface AtBadgeApplicationReview {
  /** Show a review. */
  get(query?: undefined, options?: Options): Promise<{
    review: Review
  }>
  /** Change a review. */
  put(body?: UpdateBadgeApplicationReview | Form, options?: Options): Promise<{
    status: string
    review: Review
  }>
  /** Delete a review. */
  delete(query?: undefined, options?: Options): Promise<{
    status: string
    review: Review
    badge: Review
  }>
}

export interface AtBadgeApplicationReviews {
  /** List reviews. */
  get(query?: {
    /** From 1; only with `count` */
    page?: number
    /** Rows in a page */
    count?: number
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
  }, options?: Options): Promise<{
    reviews: Array<Review>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** List reviews: one after the other, as they are asked for. */
  list(query?: {
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
  }, options?: Options): Pages<Review, {
    reviews: Array<Review>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** Review an application. */
  post(body: CreateBadgeApplicationReview | Form, options?: Options): Promise<{
    status: string
    review: Review
    application?: Application
    instance?: Instance
  }>
  (review: string): AtBadgeApplicationReview
}

export interface AtBadgeApplication {
  /** Show an application. */
  get(query?: undefined, options?: Options): Promise<{
    application: Application
  }>
  /** Change an application. */
  put(body?: UpdateBadgeApplication | Form, options?: Options): Promise<{
    status: string
    application: Application
  }>
  /** Delete an application. */
  delete(query?: undefined, options?: Options): Promise<{
    status: string
    application: Application
  }>
  readonly instances: AtBadgeApplicationInstances
  readonly assign: AtBadgeApplicationAssign
  readonly reviews: AtBadgeApplicationReviews
}

export interface AtBadgeApplications {
  /** List the applications for a badge. */
  get(query?: {
    /** From 1; only with `count` */
    page?: number
    /** Rows in a page */
    count?: number
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
    /** The whole list as a file: `csv`, or `ndjson` */
    format?: 'json' | 'csv' | 'ndjson' | ''
    /** Processed applications: `true` only these, `false` all others, `any` both */
    processed?: 'true' | 'false' | 'any' | '1' | '0' | ''
    /** Only those of the learner with this address */
    email?: string
    /** Made then or later */
    since?: number | string
    /** Made before then */
    until?: number | string
    /** Made or changed then or later */
    updatedSince?: number | string
  }, options?: Options): Promise<{
    applications: Array<Application>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** List the applications for a badge: one after the other, as they are asked for. */
  list(query?: {
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
    /** The whole list as a file: `csv`, or `ndjson` */
    format?: 'json' | 'csv' | 'ndjson' | ''
    /** Processed applications: `true` only these, `false` all others, `any` both */
    processed?: 'true' | 'false' | 'any' | '1' | '0' | ''
    /** Only those of the learner with this address */
    email?: string
    /** Made then or later */
    since?: number | string
    /** Made before then */
    until?: number | string
    /** Made or changed then or later */
    updatedSince?: number | string
  }, options?: Options): Pages<Application, {
    applications: Array<Application>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** Apply for a badge. */
  post(body: CreateBadgeApplication | Form, options?: Options): Promise<{
    status: string
    application: Application
  }>
  (application: string): AtBadgeApplication
}

export interface AtBadgeInstancesBulk {
  /** Award a badge to many. */
  post(body?: BulkBadgeInstance | Form, options?: Options): Promise<{
    status: string
    instances: Array<Instance>
  }>
}

export interface AtBadgeInstancesRevocations {
  /** Revoke many awards, in the background. */
  post(body?: CreateBadgeInstanceRevocation | Form, options?: Options): Promise<{
    status: string
    job: Job
  }>
}

export interface AtBadgeInstancesJobCancel {
  /** Stop a job. */
  post(body?: undefined, options?: Options): Promise<{
    status: string
    job: Job
  }>
}

export interface AtBadgeInstancesJobRevoke {
  /** Revoke what a job has awarded, in the background. */
  post(body?: RevokeBadgeInstanceJob | Form, options?: Options): Promise<{
    status: string
    job: Job
  }>
}

export interface AtBadgeInstancesJobRows {
  /** List what has become of the rows of a job. */
  get(query?: {
    /** From 1; only with `count` */
    page?: number
    /** Rows in a page */
    count?: number
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
    /** Only entries in this state */
    state?: 'pending' | 'issued' | 'held' | 'revoked' | 'gone' | 'failed' | ''
  }, options?: Options): Promise<{
    rows: Array<JobResult>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** List what has become of the rows of a job: one after the other, as they are asked for. */
  list(query?: {
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
    /** Only entries in this state */
    state?: 'pending' | 'issued' | 'held' | 'revoked' | 'gone' | 'failed' | ''
  }, options?: Options): Pages<JobResult, {
    rows: Array<JobResult>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
}

export interface AtBadgeInstancesJob {
  /** Show a job. */
  get(query?: undefined, options?: Options): Promise<{
    job: Job
  }>
  readonly cancel: AtBadgeInstancesJobCancel
  readonly revoke: AtBadgeInstancesJobRevoke
  readonly rows: AtBadgeInstancesJobRows
}

export interface AtBadgeInstancesJobs {
  /** List the jobs of a badge. */
  get(query?: {
    /** From 1; only with `count` */
    page?: number
    /** Rows in a page */
    count?: number
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
  }, options?: Options): Promise<{
    jobs: Array<Job>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** List the jobs of a badge: one after the other, as they are asked for. */
  list(query?: {
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
  }, options?: Options): Pages<Job, {
    jobs: Array<Job>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** Award a badge to many, in the background. */
  post(body: CreateBadgeInstanceJob | Form, options?: Options): Promise<{
    status: 'valid'
    rows: number
    held: number
  }>
  (job: string): AtBadgeInstancesJob
}

export interface AtBadgeEmailHistory {
  /** List what was done with awards of a badge to an earner. */
  get(query?: {
    /** From 1; only with `count` */
    page?: number
    /** Rows in a page */
    count?: number
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
  }, options?: Options): Promise<{
    changes: Array<AwardChange>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** List what was done with awards of a badge to an earner: one after the other, as they are asked for. */
  list(query?: {
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
  }, options?: Options): Pages<AwardChange, {
    changes: Array<AwardChange>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
}

export interface AtBadgeEmailReinstate {
  /** Reinstate an award. */
  post(body?: ReinstateBadgeInstance | Form, options?: Options): Promise<{
    status: string
    instance: Instance
  }>
}

export interface AtBadgeEmailRenew {
  /** Renew an award. */
  post(body?: RenewBadgeInstance | Form, options?: Options): Promise<{
    status: string
    instance: Instance
  }>
}

export interface AtBadgeEmailSuspend {
  /** Suspend an award. */
  post(body?: SuspendBadgeInstance | Form, options?: Options): Promise<{
    status: string
    instance: Instance
  }>
}

export interface AtBadgeEmail {
  /** Show an award. */
  get(query?: undefined, options?: Options): Promise<{
    instance: Instance
  }>
  /** Amend how an award was earned. */
  put(body?: UpdateBadgeInstance | Form, options?: Options): Promise<{
    status: string
    instance: Instance
  }>
  /** Revoke an award. */
  delete(query?: {
    /** Why the award is revoked */
    reason?: string
  }, options?: Options): Promise<{
    status: string
    instance: Instance
  }>
  readonly history: AtBadgeEmailHistory
  readonly reinstate: AtBadgeEmailReinstate
  readonly renew: AtBadgeEmailRenew
  readonly suspend: AtBadgeEmailSuspend
}

export interface AtBadgeInstances {
  /** List the awards of a badge. */
  get(query?: {
    /** From 1; only with `count` */
    page?: number
    /** Rows in a page */
    count?: number
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
    /** The whole list as a file: `csv`, or `ndjson` */
    format?: 'json' | 'csv' | 'ndjson' | ''
    /** `live` unless given: `valid` or `expired`, but not `revoked` */
    state?: 'live' | 'valid' | 'expired' | 'suspended' | 'revoked' | ''
    /** Issued then or later */
    since?: number | string
    /** Issued before then */
    until?: number | string
  }, options?: Options): Promise<{
    instances: Array<Instance>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** List the awards of a badge: one after the other, as they are asked for. */
  list(query?: {
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
    /** The whole list as a file: `csv`, or `ndjson` */
    format?: 'json' | 'csv' | 'ndjson' | ''
    /** `live` unless given: `valid` or `expired`, but not `revoked` */
    state?: 'live' | 'valid' | 'expired' | 'suspended' | 'revoked' | ''
    /** Issued then or later */
    since?: number | string
    /** Issued before then */
    until?: number | string
  }, options?: Options): Pages<Instance, {
    instances: Array<Instance>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** Award a badge. */
  post(body: CreateBadgeInstance | Form, options?: Options): Promise<{
    status: string
    instance: Instance
  }>
  readonly bulk: AtBadgeInstancesBulk
  readonly revocations: AtBadgeInstancesRevocations
  readonly jobs: AtBadgeInstancesJobs
  (email: string): AtBadgeEmail
}

export interface AtBadgeCodesBatch {
  /** Create many random claim codes. */
  post(body: BatchBadgeCode | Form, options?: Options): Promise<{
    status: string
    claimCodes: Array<ClaimCode>
    badge: Badge
    terms?: CodeTerms
  }>
}

export interface AtBadgeCodesRandom {
  /** Create a random claim code. */
  post(body?: RandomBadgeCode | Form, options?: Options): Promise<{
    status: string
    claimCode: ClaimCode
    badge: Badge
    terms?: CodeTerms
    claimUrl?: string
  }>
}

export interface AtBadgeCodeClaim {
  /** Claim a code. */
  post(body?: ClaimBadgeCode | Form, options?: Options): Promise<{
    status: string
    claimCode: ClaimCode
    badge: Badge
    terms?: CodeTerms
    claimUrl?: string
  }>
}

export interface AtBadgeCode {
  /** Show a claim code. */
  get(query?: undefined, options?: Options): Promise<{
    badge: Badge
    claimCode: ClaimCode
    terms?: CodeTerms
    claimUrl?: string
  }>
  /** Delete a claim code. */
  delete(query?: undefined, options?: Options): Promise<{
    status: string
    claimCode: ClaimCode
    badge: Badge
    terms?: CodeTerms
    claimUrl?: string
  }>
  readonly claim: AtBadgeCodeClaim
}

export interface AtBadgeCodes {
  /** List claim codes. */
  get(query?: {
    /** From 1; only with `count` */
    page?: number
    /** Rows in a page */
    count?: number
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
    /** The whole list as a file: `csv`, `ndjson`, or a `sheet` to print, which is HTML */
    format?: 'json' | 'csv' | 'ndjson' | 'sheet' | ''
    /** Claimed codes: `true` only these, `false` all others, `any` both (the default) */
    claimed?: 'true' | 'false' | 'any' | '1' | '0' | ''
    /** The code with this id, and later ones */
    from?: number
  }, options?: Options): Promise<{
    claimCodes: Array<ClaimCode>
    badge: Badge
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** List claim codes: one after the other, as they are asked for. */
  list(query?: {
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
    /** The whole list as a file: `csv`, `ndjson`, or a `sheet` to print, which is HTML */
    format?: 'json' | 'csv' | 'ndjson' | 'sheet' | ''
    /** Claimed codes: `true` only these, `false` all others, `any` both (the default) */
    claimed?: 'true' | 'false' | 'any' | '1' | '0' | ''
    /** The code with this id, and later ones */
    from?: number
  }, options?: Options): Pages<ClaimCode, {
    claimCodes: Array<ClaimCode>
    badge: Badge
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** Create a claim code. */
  post(body: CreateBadgeCode | Form, options?: Options): Promise<{
    status: string
    claimCode: ClaimCode
    badge: Badge
    terms?: CodeTerms
    claimUrl?: string
  }>
  readonly batch: AtBadgeCodesBatch
  readonly random: AtBadgeCodesRandom
  (code: string): AtBadgeCode
}

export interface AtBadgeStats {
  /** Show the statistics of a badge. */
  get(query?: {
    /** A day unless given, of UTC; weeks begin on Mondays */
    interval?: 'day' | 'week' | 'month' | ''
    /** In the first interval; 29 before the last one unless given */
    since?: number | string
    /** After the last interval, or in it; now unless given */
    until?: number | string
    /** The series as a file: `csv` */
    format?: 'json' | 'csv' | ''
  }, options?: Options): Promise<{
    stats: {
      interval: 'day' | 'week' | 'month'
      totals: {
        badges: number
        held: number
        open: number
        awarded: number
        revoked: number
        codes: number
        claimed: number
        applied: number
        processed: number
      }
      series: Array<{
        start: string
        awarded: number
        revoked: number
        codes: number
        claimed: number
        applied: number
        processed: number
      }>
    }
  }>
}

export interface AtBadge {
  /** Show a badge. */
  get(query?: undefined, options?: Options): Promise<{
    badge: Badge
  }>
  /** Change a badge. */
  put(body?: UpdateBadge | Form, options?: Options): Promise<{
    status: string
    badge: Badge
  }>
  /** Delete a badge. */
  delete(query?: undefined, options?: Options): Promise<{
    status: string
    badge: Badge
  }>
  readonly applications: AtBadgeApplications
  readonly instances: AtBadgeInstances
  readonly codes: AtBadgeCodes
  readonly stats: AtBadgeStats
}

export interface AtBadges {
  /** List badges. */
  get(query?: {
    /** From 1; only with `count` */
    page?: number
    /** Rows in a page */
    count?: number
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
    /** Archived badges: `true` only these, `false` all others (the default), `any` both */
    archived?: 'true' | 'false' | 'any' | '1' | '0' | ''
    /** Has this tag, in any case of ASCII letters */
    tag?: string
    /** Is in this category, in any case of ASCII letters */
    category?: string
    /** Words that stand in name, strapline, descriptions or tags */
    search?: string
    /** Made or changed then or later */
    updatedSince?: number | string
    /** By their making unless given; `-` for backwards */
    sort?: 'name' | '-name' | 'created' | '-created' | 'updated' | '-updated' | 'awarded' | '-awarded' | ''
  }, options?: Options): Promise<{
    badges: Array<Badge>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** List badges: one after the other, as they are asked for. */
  list(query?: {
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
    /** Archived badges: `true` only these, `false` all others (the default), `any` both */
    archived?: 'true' | 'false' | 'any' | '1' | '0' | ''
    /** Has this tag, in any case of ASCII letters */
    tag?: string
    /** Is in this category, in any case of ASCII letters */
    category?: string
    /** Words that stand in name, strapline, descriptions or tags */
    search?: string
    /** Made or changed then or later */
    updatedSince?: number | string
    /** By their making unless given; `-` for backwards */
    sort?: 'name' | '-name' | 'created' | '-created' | 'updated' | '-updated' | 'awarded' | '-awarded' | ''
  }, options?: Options): Pages<Badge, {
    badges: Array<Badge>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** Create a badge. */
  post(body: CreateBadge | Form, options?: Options): Promise<{
    status: string
    badge: Badge
  }>
  (badge: string): AtBadge
}

export interface AtEmail {
  /** List an earner's awards. */
  get(query?: {
    /** From 1; only with `count` */
    page?: number
    /** Rows in a page */
    count?: number
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
    /** The whole list as a file: `csv`, or `ndjson` */
    format?: 'json' | 'csv' | 'ndjson' | ''
    /** `live` unless given: `valid` or `expired`, but not `revoked` */
    state?: 'live' | 'valid' | 'expired' | 'suspended' | 'revoked' | ''
    /** Issued then or later */
    since?: number | string
    /** Issued before then */
    until?: number | string
  }, options?: Options): Promise<{
    instances: Array<Instance>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** List an earner's awards: one after the other, as they are asked for. */
  list(query?: {
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
    /** The whole list as a file: `csv`, or `ndjson` */
    format?: 'json' | 'csv' | 'ndjson' | ''
    /** `live` unless given: `valid` or `expired`, but not `revoked` */
    state?: 'live' | 'valid' | 'expired' | 'suspended' | 'revoked' | ''
    /** Issued then or later */
    since?: number | string
    /** Issued before then */
    until?: number | string
  }, options?: Options): Pages<Instance, {
    instances: Array<Instance>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
}

export interface AtInstances {
  /** List awards. */
  get(query?: {
    /** From 1; only with `count` */
    page?: number
    /** Rows in a page */
    count?: number
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
    /** The whole list as a file: `csv`, or `ndjson` */
    format?: 'json' | 'csv' | 'ndjson' | ''
    /** `live` unless given: `valid` or `expired`, but not `revoked` */
    state?: 'live' | 'valid' | 'expired' | 'suspended' | 'revoked' | ''
    /** Issued then or later */
    since?: number | string
    /** Issued before then */
    until?: number | string
  }, options?: Options): Promise<{
    instances: Array<Instance>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** List awards: one after the other, as they are asked for. */
  list(query?: {
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
    /** The whole list as a file: `csv`, or `ndjson` */
    format?: 'json' | 'csv' | 'ndjson' | ''
    /** `live` unless given: `valid` or `expired`, but not `revoked` */
    state?: 'live' | 'valid' | 'expired' | 'suspended' | 'revoked' | ''
    /** Issued then or later */
    since?: number | string
    /** Issued before then */
    until?: number | string
  }, options?: Options): Pages<Instance, {
    instances: Array<Instance>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  (email: string): AtEmail
}

export interface AtCode {
  /** Show the badge of a claim code. */
  get(query?: undefined, options?: Options): Promise<{
    badge: {
      id: number
      slug: string
      name: string
      strapline: string | null
      earnerDescription: string
      consumerDescription: string
      issuerUrl: string | null
      rubricUrl: string | null
      timeValue: number | null
      timeUnits: string | null
      limit: number | null
      unique: 0 | 1
      created: string
      imageUrl: string | null
      type: string
      archived: boolean
      system: System
      issuer?: Issuer
      program?: Program
      validFor?: string
      criteriaUrl: string
      criteria: Array<{
        id: number
        description: string
        required: 0 | 1
        note: string
      }>
      alignments: Array<{
        id: number
        name: string
        url: string
        description: string | null
      }>
      evidenceType: string | null
      categories: Array<string>
      tags: Array<{
        id: number
        value: string
      }>
      milestones: Array<{
        [name: string]: unknown
      }>
      claimed: 0 | 1
    }
    terms?: CodeTerms
  }>
}

export interface AtCodes {
  (code: string): AtCode
}

export interface AtApplicationsQueue {
  /** List the applications that wait, the oldest first. */
  get(query?: {
    /** From 1; only with `count` */
    page?: number
    /** Rows in a page */
    count?: number
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
    /** The whole list as a file: `csv`, or `ndjson` */
    format?: 'json' | 'csv' | 'ndjson' | ''
    /** Applications that nobody has taken: `true` only these, `false` all others, `any` both (the default) */
    free?: 'true' | 'false' | 'any' | '1' | '0' | ''
    /** Only those that the reviewer with this address has taken */
    assignedTo?: string
  }, options?: Options): Promise<{
    applications: Array<Application>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** List the applications that wait, the oldest first: one after the other, as they are asked for. */
  list(query?: {
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
    /** The whole list as a file: `csv`, or `ndjson` */
    format?: 'json' | 'csv' | 'ndjson' | ''
    /** Applications that nobody has taken: `true` only these, `false` all others, `any` both (the default) */
    free?: 'true' | 'false' | 'any' | '1' | '0' | ''
    /** Only those that the reviewer with this address has taken */
    assignedTo?: string
  }, options?: Options): Pages<Application, {
    applications: Array<Application>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
}

export interface AtApplicationsWaiting {
  /** Count the applications that wait, badge by badge. */
  get(query?: {
    /** From 1; only with `count` */
    page?: number
    /** Rows in a page */
    count?: number
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
  }, options?: Options): Promise<{
    waiting: Array<Waiting>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** Count the applications that wait, badge by badge: one after the other, as they are asked for. */
  list(query?: {
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
  }, options?: Options): Pages<Waiting, {
    waiting: Array<Waiting>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
}

export interface AtApplications {
  /** List applications. */
  get(query?: {
    /** From 1; only with `count` */
    page?: number
    /** Rows in a page */
    count?: number
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
    /** The whole list as a file: `csv`, or `ndjson` */
    format?: 'json' | 'csv' | 'ndjson' | ''
    /** Processed applications: `true` only these, `false` all others, `any` both */
    processed?: 'true' | 'false' | 'any' | '1' | '0' | ''
    /** Only those of the learner with this address */
    email?: string
    /** Made then or later */
    since?: number | string
    /** Made before then */
    until?: number | string
    /** Made or changed then or later */
    updatedSince?: number | string
  }, options?: Options): Promise<{
    applications: Array<Application>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** List applications: one after the other, as they are asked for. */
  list(query?: {
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
    /** The whole list as a file: `csv`, or `ndjson` */
    format?: 'json' | 'csv' | 'ndjson' | ''
    /** Processed applications: `true` only these, `false` all others, `any` both */
    processed?: 'true' | 'false' | 'any' | '1' | '0' | ''
    /** Only those of the learner with this address */
    email?: string
    /** Made then or later */
    since?: number | string
    /** Made before then */
    until?: number | string
    /** Made or changed then or later */
    updatedSince?: number | string
  }, options?: Options): Pages<Application, {
    applications: Array<Application>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  readonly queue: AtApplicationsQueue
  readonly waiting: AtApplicationsWaiting
}

export interface AtKeySecretRotate {
  /** Give a key another secret. */
  post(body?: RotateKeySecret | Form, options?: Options): Promise<{
    status: string
    key: Key
  }>
}

export interface AtKeySecret {
  readonly rotate: AtKeySecretRotate
}

export interface AtKey {
  /** Show a key. */
  get(query?: undefined, options?: Options): Promise<{
    key: Key
  }>
  /** Change a key. */
  put(body?: UpdateKey | Form, options?: Options): Promise<{
    status: string
    key: Key
  }>
  /** Delete a key. */
  delete(query?: undefined, options?: Options): Promise<{
    status: string
    key: Key
  }>
  readonly secret: AtKeySecret
}

export interface AtKeys {
  /** List keys. */
  get(query?: undefined, options?: Options): Promise<{
    keys: Array<Key>
  }>
  /** List keys: one after the other, as they are asked for. */
  list(query?: undefined, options?: Options): Pages<Key, {
    keys: Array<Key>
  }>
  /** Create a key. */
  post(body?: CreateKey | Form, options?: Options): Promise<{
    status: string
    key: Key
  }>
  (key: string): AtKey
}

export interface AtSigningKeysRotate {
  /** Replace the signing keys. */
  post(body?: RotateSigningKey | Form, options?: Options): Promise<{
    signingKeys: Array<SigningKey>
    status: string
  }>
}

export interface AtSigningKeys {
  /** List signing keys. */
  get(query?: undefined, options?: Options): Promise<{
    signingKeys: Array<SigningKey>
  }>
  /** List signing keys: one after the other, as they are asked for. */
  list(query?: undefined, options?: Options): Pages<SigningKey, {
    signingKeys: Array<SigningKey>
  }>
  readonly rotate: AtSigningKeysRotate
}

export interface AtStats {
  /** Show the statistics of a container. */
  get(query?: {
    /** A day unless given, of UTC; weeks begin on Mondays */
    interval?: 'day' | 'week' | 'month' | ''
    /** In the first interval; 29 before the last one unless given */
    since?: number | string
    /** After the last interval, or in it; now unless given */
    until?: number | string
    /** The series as a file: `csv` */
    format?: 'json' | 'csv' | ''
  }, options?: Options): Promise<{
    stats: {
      interval: 'day' | 'week' | 'month'
      totals: {
        badges: number
        held: number
        open: number
        awarded: number
        revoked: number
        codes: number
        claimed: number
        applied: number
        processed: number
      }
      series: Array<{
        start: string
        awarded: number
        revoked: number
        codes: number
        claimed: number
        applied: number
        processed: number
      }>
    }
  }>
}

export interface AtProgram {
  /** Show a program. */
  get(query?: undefined, options?: Options): Promise<{
    program: Program
  }>
  /** Change a program. */
  put(body?: UpdateProgram | Form, options?: Options): Promise<{
    status: string
    program: Program
  }>
  /** Delete a program. */
  delete(query?: undefined, options?: Options): Promise<{
    status: string
    program: Program
  }>
  readonly badges: AtBadges
  readonly instances: AtInstances
  readonly codes: AtCodes
  readonly applications: AtApplications
  readonly keys: AtKeys
  readonly signingKeys: AtSigningKeys
  readonly stats: AtStats
}

export interface AtPrograms {
  /** List programs. */
  get(query?: {
    /** From 1; only with `count` */
    page?: number
    /** Rows in a page */
    count?: number
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
  }, options?: Options): Promise<{
    programs: Array<Program>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** List programs: one after the other, as they are asked for. */
  list(query?: {
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
  }, options?: Options): Pages<Program, {
    programs: Array<Program>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** Create a program. */
  post(body: CreateProgram | Form, options?: Options): Promise<{
    status: string
    program: Program
  }>
  (program: string): AtProgram
}

export interface AtIssuer {
  /** Show an issuer. */
  get(query?: undefined, options?: Options): Promise<{
    issuer: Issuer
  }>
  /** Change an issuer. */
  put(body?: UpdateIssuer | Form, options?: Options): Promise<{
    status: string
    issuer: Issuer
  }>
  /** Delete an issuer. */
  delete(query?: undefined, options?: Options): Promise<{
    status: string
    issuer: Issuer
  }>
  readonly programs: AtPrograms
  readonly badges: AtBadges
  readonly instances: AtInstances
  readonly codes: AtCodes
  readonly applications: AtApplications
  readonly keys: AtKeys
  readonly signingKeys: AtSigningKeys
  readonly stats: AtStats
}

export interface AtIssuers {
  /** List issuers. */
  get(query?: {
    /** From 1; only with `count` */
    page?: number
    /** Rows in a page */
    count?: number
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
  }, options?: Options): Promise<{
    issuers: Array<Issuer>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** List issuers: one after the other, as they are asked for. */
  list(query?: {
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
  }, options?: Options): Pages<Issuer, {
    issuers: Array<Issuer>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** Create an issuer. */
  post(body: CreateIssuer | Form, options?: Options): Promise<{
    status: string
    issuer: Issuer
  }>
  (issuer: string): AtIssuer
}

export interface AtMilestoneAddBadge {
  /** Add a support badge. */
  post(body: AddBadgeMilestone | Form, options?: Options): Promise<{
    status: string
    milestone: Milestone
  }>
}

export interface AtMilestoneBackfill {
  /** Award what a milestone leads to to who has reached it, in the background. */
  post(body?: BackfillMilestone | Form, options?: Options): Promise<{
    status: string
    job: Job
    badge: string
  }>
}

export interface AtMilestoneRemoveBadge {
  /** Remove a support badge. */
  post(body: RemoveBadgeMilestone | Form, options?: Options): Promise<{
    status: string
    milestone: Milestone
  }>
}

export interface AtMilestone {
  /** Show a milestone. */
  get(query?: undefined, options?: Options): Promise<{
    milestone: Milestone
  }>
  /** Change a milestone. */
  put(body?: UpdateMilestone | Form, options?: Options): Promise<{
    status: string
    milestone: Milestone
  }>
  /** Delete a milestone. */
  delete(query?: undefined, options?: Options): Promise<{
    status: string
  }>
  readonly addBadge: AtMilestoneAddBadge
  readonly backfill: AtMilestoneBackfill
  readonly removeBadge: AtMilestoneRemoveBadge
}

export interface AtMilestones {
  /** List milestones. */
  get(query?: {
    /** From 1; only with `count` */
    page?: number
    /** Rows in a page */
    count?: number
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
    /** The slug of a badge that it leads to, or that supports it */
    badge?: string
  }, options?: Options): Promise<{
    milestones: Array<Milestone>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** List milestones: one after the other, as they are asked for. */
  list(query?: {
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
    /** The slug of a badge that it leads to, or that supports it */
    badge?: string
  }, options?: Options): Pages<Milestone, {
    milestones: Array<Milestone>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** Create a milestone. */
  post(body: CreateMilestone | Form, options?: Options): Promise<{
    status: string
    milestone: Milestone
  }>
  (milestone: number): AtMilestone
}

export interface AtSystemEmail {
  /** List an earner's progress towards each milestone. */
  get(query?: {
    /** From 1; only with `count` */
    page?: number
    /** Rows in a page */
    count?: number
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
  }, options?: Options): Promise<{
    progress: Array<Progress>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** List an earner's progress towards each milestone: one after the other, as they are asked for. */
  list(query?: {
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
  }, options?: Options): Pages<Progress, {
    progress: Array<Progress>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
}

export interface AtProgress {
  (email: string): AtSystemEmail
}

export interface AtWebhookRecover {
  /** Send again what failed. */
  post(body: RecoverWebhook | Form, options?: Options): Promise<{
    status: string
    count: number
  }>
}

export interface AtWebhookSecretPromote {
  /** Sign with the newest secret. */
  post(body?: undefined, options?: Options): Promise<{
    status: string
    webhook: Webhook
  }>
}

export interface AtWebhookSecretRetire {
  /** Retire all secrets but the newest. */
  post(body?: undefined, options?: Options): Promise<{
    status: string
    webhook: Webhook
  }>
}

export interface AtWebhookSecretRotate {
  /** Add a secret. */
  post(body?: RotateWebhookSecret | Form, options?: Options): Promise<{
    status: string
    webhook: Webhook
  }>
}

export interface AtWebhookSecret {
  readonly promote: AtWebhookSecretPromote
  readonly retire: AtWebhookSecretRetire
  readonly rotate: AtWebhookSecretRotate
}

export interface AtWebhookTest {
  /** Test a webhook. */
  post(body?: undefined, options?: Options): Promise<{
    status: 'sent' | 'failed'
    attempt: DeliveryAttempt
  }>
}

export interface AtWebhook {
  /** Show a webhook. */
  get(query?: undefined, options?: Options): Promise<{
    webhook: Webhook
  }>
  /** Change a webhook. */
  put(body?: UpdateWebhook | Form, options?: Options): Promise<{
    status: string
    webhook: Webhook
  }>
  /** Delete a webhook. */
  delete(query?: undefined, options?: Options): Promise<{
    status: string
    webhook: Webhook
  }>
  readonly recover: AtWebhookRecover
  readonly secret: AtWebhookSecret
  readonly test: AtWebhookTest
}

export interface AtWebhooks {
  /** List webhooks. */
  get(query?: undefined, options?: Options): Promise<{
    webhooks: Array<Webhook>
  }>
  /** List webhooks: one after the other, as they are asked for. */
  list(query?: undefined, options?: Options): Pages<Webhook, {
    webhooks: Array<Webhook>
  }>
  /** Register a webhook. */
  post(body: CreateWebhook | Form, options?: Options): Promise<{
    status: string
    webhook: Webhook
  }>
  (webhook: number): AtWebhook
}

export interface AtDeliveryRedeliver {
  /** Send a delivery again. */
  post(body?: undefined, options?: Options): Promise<{
    status: string
    delivery: Delivery
  }>
}

export interface AtDelivery {
  /** Show a delivery. */
  get(query?: undefined, options?: Options): Promise<{
    delivery: DeliveryWithLog
  }>
  readonly redeliver: AtDeliveryRedeliver
}

export interface AtDeliveries {
  /** List deliveries. */
  get(query?: {
    /** Only entries in this state */
    state?: 'pending' | 'delivered' | 'exhausted' | 'cancelled' | ''
    /** Only those of this webhook */
    webhook?: number
    /** Only events of this type */
    type?: 'badge.awarded' | 'badge.revoked' | 'application.reviewed' | 'application.created' | 'application.updated' | 'code.claimed' | 'badge.updated' | 'badge.expiring' | 'badge.suspended' | 'badge.reinstated' | 'badge.renewed' | 'badge.amended' | 'ping' | ''
    /** Not before this moment */
    since?: number | string
    /** The `next` of the last page */
    cursor?: string
  }, options?: Options): Promise<{
    deliveries: Array<Delivery>
    next: string | null
  }>
  /** List deliveries: one after the other, as they are asked for. */
  list(query?: {
    /** Only entries in this state */
    state?: 'pending' | 'delivered' | 'exhausted' | 'cancelled' | ''
    /** Only those of this webhook */
    webhook?: number
    /** Only events of this type */
    type?: 'badge.awarded' | 'badge.revoked' | 'application.reviewed' | 'application.created' | 'application.updated' | 'code.claimed' | 'badge.updated' | 'badge.expiring' | 'badge.suspended' | 'badge.reinstated' | 'badge.renewed' | 'badge.amended' | 'ping' | ''
    /** Not before this moment */
    since?: number | string
    /** The `next` of the last page */
    cursor?: string
  }, options?: Options): Pages<Delivery, {
    deliveries: Array<Delivery>
    next: string | null
  }>
  (delivery: number): AtDelivery
}

export interface AtEvents {
  /** Read the events of a system. */
  get(query?: {
    /** The `next` of the last page */
    after?: number
  }, options?: Options): Promise<{
    events: Array<Event>
    next: string
  }>
  /** Read the events of a system: one after the other, as they are asked for. */
  list(query?: {
    /** The `next` of the last page */
    after?: number
  }, options?: Options): Pages<Event, {
    events: Array<Event>
    next: string
  }>
}

export interface AtAudit {
  /** Read the audit log. */
  get(query?: {
    /** The key that signed */
    key?: string
    /** Method and route template: `POST /systems/:system/badges` */
    action?: string
    /** Not before this moment */
    since?: number | string
    /** Not after this moment */
    until?: number | string
    /** The `next` of the last page */
    cursor?: string
  }, options?: Options): Promise<{
    audit: Array<AuditEntry>
    next: string | null
  }>
  /** Read the audit log: one after the other, as they are asked for. */
  list(query?: {
    /** The key that signed */
    key?: string
    /** Method and route template: `POST /systems/:system/badges` */
    action?: string
    /** Not before this moment */
    since?: number | string
    /** Not after this moment */
    until?: number | string
    /** The `next` of the last page */
    cursor?: string
  }, options?: Options): Pages<AuditEntry, {
    audit: Array<AuditEntry>
    next: string | null
  }>
}

export interface AtPrivacyErase {
  /** Erase a person. */
  post(body: ErasePrivacy | Form, options?: Options): Promise<{
    status: 'erased'
  }>
}

export interface AtPrivacyExport {
  /** Export what is held about a person. */
  post(body: ExportPrivacy | Form, options?: Options): Promise<PersonalData>
}

export interface AtPrivacy {
  readonly erase: AtPrivacyErase
  readonly export: AtPrivacyExport
}

export interface AtSystem {
  /** Show a system. */
  get(query?: undefined, options?: Options): Promise<{
    system: System
  }>
  /** Change a system. */
  put(body?: UpdateSystem | Form, options?: Options): Promise<{
    status: string
    system: System
  }>
  /** Delete a system. */
  delete(query?: undefined, options?: Options): Promise<{
    status: string
    system: System
  }>
  readonly issuers: AtIssuers
  readonly badges: AtBadges
  readonly instances: AtInstances
  readonly codes: AtCodes
  readonly applications: AtApplications
  readonly milestones: AtMilestones
  readonly progress: AtProgress
  readonly webhooks: AtWebhooks
  readonly deliveries: AtDeliveries
  readonly events: AtEvents
  readonly keys: AtKeys
  readonly signingKeys: AtSigningKeys
  readonly audit: AtAudit
  readonly stats: AtStats
  readonly privacy: AtPrivacy
}

export interface AtSystems {
  /** List systems. */
  get(query?: {
    /** From 1; only with `count` */
    page?: number
    /** Rows in a page */
    count?: number
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
  }, options?: Options): Promise<{
    systems: Array<System>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** List systems: one after the other, as they are asked for. */
  list(query?: {
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
  }, options?: Options): Pages<System, {
    systems: Array<System>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** Create a system. */
  post(body: CreateSystem | Form, options?: Options): Promise<{
    status: string
    system: System
  }>
  (system: string): AtSystem
}

export interface AtPublicInstance {
  /** Show an assertion. */
  get(query?: undefined, options?: Options): Promise<{
    '@context': string
    type: string
    id: string
    [name: string]: unknown
  }>
}

export interface AtPublicAssertions {
  (instance: string): AtPublicInstance
}

export interface AtPublicBadges {
  /** List public badges. */
  get(query?: {
    /** From 1; only with `count` */
    page?: number
    /** Rows in a page */
    count?: number
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
    /** Archived badges: `true` only these, `false` all others (the default), `any` both */
    archived?: 'true' | 'false' | 'any' | '1' | '0' | ''
  }, options?: Options): Promise<{
    badgelist: Array<{
      location: string
    }>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
  /** List public badges: one after the other, as they are asked for. */
  list(query?: {
    /** Where the last page ended: `Link` */
    cursor?: string
    /** Rows after a cursor */
    limit?: number
    /** Archived badges: `true` only these, `false` all others (the default), `any` both */
    archived?: 'true' | 'false' | 'any' | '1' | '0' | ''
  }, options?: Options): Pages<{
  location: string
}, {
    badgelist: Array<{
      location: string
    }>
    pageData?: {
      page: number
      count: number
      total: number
    }
  }>
}

export interface AtPublicBadge {
  /** Show a badge class. */
  get(query?: undefined, options?: Options): Promise<{
    '@context': string
    type: string
    id: string
    [name: string]: unknown
  }>
}

export interface AtPublicSystemBadges {
  (badge: string): AtPublicBadge
}

export interface AtPublicProgram {
  /** Show an issuer. */
  get(query?: undefined, options?: Options): Promise<{
    '@context': string
    type: string
    id: string
    [name: string]: unknown
  }>
  readonly badges: AtPublicSystemBadges
}

export interface AtPublicPrograms {
  (program: string): AtPublicProgram
}

export interface AtPublicIssuer {
  /** Show an issuer. */
  get(query?: undefined, options?: Options): Promise<{
    '@context': string
    type: string
    id: string
    [name: string]: unknown
  }>
  readonly badges: AtPublicSystemBadges
  readonly programs: AtPublicPrograms
}

export interface AtPublicIssuers {
  (issuer: string): AtPublicIssuer
}

export interface AtPublicSystem {
  /** Show an issuer. */
  get(query?: undefined, options?: Options): Promise<{
    '@context': string
    type: string
    id: string
    [name: string]: unknown
  }>
  readonly badges: AtPublicSystemBadges
  readonly issuers: AtPublicIssuers
}

export interface AtPublicSystems {
  (system: string): AtPublicSystem
}

export interface AtPublicV2Instance {
  /** Show an assertion (2.0). */
  get(query?: undefined, options?: Options): Promise<{
    '@context': unknown
    id: string
    [name: string]: unknown
  }>
}

export interface AtPublicV2Assertions {
  (instance: string): AtPublicV2Instance
}

export interface AtPublicV2BadgeUid {
  /** Show a badge class (2.0). */
  get(query?: undefined, options?: Options): Promise<{
    '@context': unknown
    id: string
    [name: string]: unknown
  }>
}

export interface AtPublicV2Badges {
  (badgeUid: string): AtPublicV2BadgeUid
}

export interface AtPublicV2IssuerUid {
  /** Show an issuer (2.0). */
  get(query?: undefined, options?: Options): Promise<{
    '@context': unknown
    id: string
    [name: string]: unknown
  }>
}

export interface AtPublicV2Issuers {
  (issuerUid: string): AtPublicV2IssuerUid
}

export interface AtPublicV2 {
  readonly assertions: AtPublicV2Assertions
  readonly badges: AtPublicV2Badges
  readonly issuers: AtPublicV2Issuers
}

export interface AtPublicV3BadgeUid {
  /** Show an achievement (3.0). */
  get(query?: undefined, options?: Options): Promise<{
    '@context': unknown
    id: string
    [name: string]: unknown
  }>
}

export interface AtPublicV3Achievements {
  (badgeUid: string): AtPublicV3BadgeUid
}

export interface AtPublicV3Instance {
  /** Show a credential (3.0): JSON, or with `.jwt` behind it a token. */
  get(query?: undefined, options?: Options): Promise<{
    '@context': unknown
    id: string
    [name: string]: unknown
  }>
}

export interface AtPublicV3Credentials {
  (instance: string): AtPublicV3Instance
}

export interface AtPublicV3Thumbprint {
  /** Show a public key (3.0). */
  get(query?: undefined, options?: Options): Promise<{
    kty: string
    [name: string]: unknown
  }>
}

export interface AtPublicV3Keys {
  (thumbprint: string): AtPublicV3Thumbprint
}

export interface AtPublicV3List {
  /** Show a status list (3.0). */
  get(query?: undefined, options?: Options): Promise<{
    '@context': unknown
    id: string
    [name: string]: unknown
  }>
}

export interface AtPublicV3Status {
  (list: string): AtPublicV3List
}

export interface AtPublicV3 {
  readonly achievements: AtPublicV3Achievements
  readonly credentials: AtPublicV3Credentials
  readonly keys: AtPublicV3Keys
  readonly status: AtPublicV3Status
}

export interface AtPublicVerify {
  /** Verify a credential. */
  post(body?: VerifyPublic | Form, options?: Options): Promise<{
    verified: boolean
    steps: Array<{
      name: 'document' | 'proof' | 'issuer' | 'status' | 'validity' | 'recipient'
      result: 'passed' | 'failed' | 'unknown'
      message: string
    }>
    credential: {
      version: string
      name: string | null
      issuer: string | null
      issuedOn: string | null
      expires: string | null
    } | null
  }>
}

export interface AtPublic {
  readonly assertions: AtPublicAssertions
  readonly badges: AtPublicBadges
  readonly systems: AtPublicSystems
  readonly v2: AtPublicV2
  readonly v3: AtPublicV3
  readonly verify: AtPublicVerify
}

export interface AtHealthReady {
  /** Say whether the service can do its work. */
  get(query?: undefined, options?: Options): Promise<Health>
}

export interface AtHealth {
  readonly ready: AtHealthReady
}

export interface AtHealthcheck {
  /** Say that the service runs. */
  get(query?: undefined, options?: Options): Promise<{
    app: string
    version: string
  }>
}

export interface Routes {
  readonly systems: AtSystems
  readonly public: AtPublic
  readonly health: AtHealth
  readonly healthcheck: AtHealthcheck
}
