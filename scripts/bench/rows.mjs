/** The database of an organisation of any size, made inside SQLite: what costs are measured on. */

/**
 * How many of each: a quarter of the awards, codes and applications belongs to the oldest badge, another to the newest.
 * @typedef {{ name: string, awards: number, systems: number, badges: number }} Size
 */

/** @param {number} to */
const counting = (to) =>
  `with recursive n(i) as (select 0 union all select i + 1 from n where i < ${to - 1})`
const written = `op, createdAt, updatedAt`

/** When all of it was written, in milliseconds. */
export const THEN = 1_700_000_000_000

/** Awards of one status list, at the most. */
const LIST = 100_000

/** A PNG of one pixel. */
const PNG_HEX =
  '89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d4944415478da6364f8cf500f00038601805a347d6b0000000049454e44ae426082'
/** A badge as a version holds it, no more than documents need. */
const FROZEN = JSON.stringify({
  ...{ name: 'A badge', type: '', consumerDescription: 'They', criteriaUrl: 'https://example.org' },
  ...{ criteria: [], alignments: [], categories: [], tags: [], imageUrl: null },
  system: { name: 'A system', url: 'https://example.org' },
})

/**
 * The statements that write rows for every table that grows: two issuers in each system, two programs in each issuer, and with
 * each award its version, credential, event, delivery, attempt and audit row, a code and an application with a review.
 * @param {Size} size
 * @returns {string[]}
 */
export function filling({ name, awards, systems, badges }) {
  const programs = systems * 4
  const made = `'filled', ${THEN} + i, ${THEN} + i`
  const containers = (
    /** @type {string} */ table,
    /** @type {number} */ count,
    columns = '',
    values = '',
  ) => `
    insert into ${table} (uid, slug, name, url, ${columns} ${written}) ${counting(count)}
    select '${name}-${table}-' || i, '${name}-${table}-' || i, 'A name', 'https://example.org', ${values} ${made} from n`
  /** The badge of row `i`: ids start at 1. */
  const badgeId = `case when i < ${awards / 4} then 1 when i < ${awards / 2} then ${badges} else 1 + i % ${badges} end`
  const ofBadge = `(select i, b.id as badgeId, b.systemId from (${counting(awards)} select i, ${badgeId} as badgeId from n) r
    join badges b on b.id = r.badgeId)`
  const lists = Math.ceil(awards / LIST)
  const items = ['categories', 'tags'].map(
    (table) =>
      `insert into ${table} (badgeId, value) ${counting(badges * 3)} select 1 + i / 3, 'Value ' || i from n`,
  )
  return [
    containers('systems', systems),
    containers('issuers', systems * 2, 'systemId,', '1 + i / 2,'),
    containers('programs', programs, 'systemId, issuerId,', '1 + i / 4, 1 + i / 2,'),
    `insert into images (slug, systemId, hash, mimetype, data, createdAt) ${counting(badges)}
      select '${name}-image-' || i, 1 + (i % ${programs}) / 4, 'hash' || i, 'image/png', x'${PNG_HEX}', ${THEN} from n`,
    `insert into badges (uid, slug, systemId, issuerId, programId, name, earnerDescription, consumerDescription,
        criteriaUrl, imageId, ${written}) ${counting(badges)}
      select '${name}-badge-' || i, '${name}-badge-' || i, p.systemId, p.issuerId, p.id, 'A badge', 'You', 'They',
        'https://example.org', 1 + i, ${made} from n join programs p on p.id = 1 + i % ${programs}`,
    `insert into criteria (badgeId, description) ${counting(badges * 3)} select 1 + i / 3, 'Do it' from n`,
    `insert into alignments (badgeId, name, url) ${counting(badges * 3)} select 1 + i / 3, 'It', 'https://example.org' from n`,
    ...items,
    `insert into badgeVersions (badgeId, hash, badge, issuerUid, createdAt)
      select b.id, 'hash' || b.id, '${FROZEN}', p.uid, ${THEN} from badges b join programs p on p.id = b.programId`,
    // Each program has two keys and as many lists as it takes; all awards are signed.
    ...['Ed25519', 'RS256'].map(
      (
        algorithm,
        i,
      ) => `insert into signingKeys (id, thumbprint, systemId, issuerUid, algorithm, publicKey, sealed, createdAt)
        select id * 2 + ${i}, '${name}-${algorithm}-' || id, systemId, uid, '${algorithm}', '{"kty":"OKP","x":"AA"}',
          'v1.k1.x.x', ${THEN} from programs`,
    ),
    `insert into statusLists (id, uid, systemId, issuerUid, signedRevision, validFrom, encodedList, proof, keyId, createdAt)
      ${counting(lists)} select p.id + i * ${programs}, '${name}-list-' || p.id || '-' || i, p.systemId, p.uid, 1, ${THEN}, 'u', zeroblob(64),
        p.id * 2, ${THEN} from programs p, n`,
    // An earner has two awards; where both would be of one badge, one is left out.
    `insert or ignore into badgeInstances (id, slug, systemId, badgeId, versionId, email, issuedOn, salt, ${written})
      select 1 + i, '${name}-award-' || i, systemId, badgeId, badgeId, 'earner-' || (i % ${awards / 2}) || '@example.org',
        ${THEN}, 'salt', ${made} from ${ofBadge}`,
    `insert into credentials (awardId, created, ed25519KeyId, proof, rs256KeyId, jwt, statusListId, statusIndex)
      select i.id, ${THEN}, b.programId * 2, zeroblob(64), b.programId * 2 + 1, zeroblob(256),
        b.programId + (i.id - 1) / ${LIST} * ${programs}, (i.id - 1) % ${LIST}
      from badgeInstances i join badges b on b.id = i.badgeId`,
    `update badges set awarded = (select count(*) from badgeInstances where badgeId = badges.id)`,
    `insert into claimCodes (systemId, badgeId, code, ${written})
      select systemId, badgeId, '${name}-code-' || i, ${made} from ${ofBadge}`,
    `insert into applications (slug, systemId, badgeId, learner, processed, ${written})
      select '${name}-application-' || i, systemId, badgeId, 'earner-' || i || '@example.org',
        case when i % 3 = 1 then ${THEN} end, ${made} from ${ofBadge}`,
    `insert into evidence (applicationId, url) select id, 'https://example.org' from applications`,
    // The applications of the oldest and the newest badge that the tests are about have as many reviews as are used up.
    `insert into reviews (slug, applicationId, author, ${written})
      select '${name}-review-' || a.id || '-' || k.value, a.id, 'author@example.org', a.op, a.createdAt, a.updatedAt
      from applications a join json_each('[1,2,3,4,5,6,7,8]') k
      where k.value = 1 or a.id in ((select min(id) from applications where badgeId = 1),
        (select max(id) from applications where badgeId = ${badges}))`,
    `insert into reviewItems (reviewId, criterionId) select id, 1 from reviews`,
    // They ask for more badges than there are: nothing is completed, but each award looks for them.
    `insert into milestones (systemId, primaryBadgeId, numberRequired, ${written}) ${counting(systems * 8)}
      select 1 + i / 8, (select min(id) + ${programs} from badges where systemId = 1 + i / 8), 99, ${made} from n`,
    ...['min', 'max'].map(
      (end) => `insert into milestoneBadges (milestoneId, badgeId)
        select m.id, (select ${end}(id) from badges where systemId = m.systemId) from milestones m`,
    ),
    // As many in each program as are used up.
    `insert into keys (key, systemId, issuerId, programId, role, ${written})
      select '${name}-key-' || p.id || '-' || k.value, p.systemId, p.issuerId, p.id, 'admin', p.op, p.createdAt, p.updatedAt
      from programs p join json_each('[1,2,3,4,5]') k`,
    `insert into keySecrets (id, keyId, sealed, createdAt) select key, id, 'v1.k1.x.x', ${THEN} from keys`,
    `insert into heartbeats (name, at) values ('sealed:k1', ${THEN})`,
    // Those of the badges that the tests are about are as many as are used up.
    `insert into jobs (uid, systemId, badgeId, kind, state, key, "rows", ${written})
      select '${name}-job-' || b.id || '-' || k.value, b.systemId, b.id, 'issue', 'running', 'master', 3, b.op, ${Date.now()}, ${Date.now()}
      from badges b join json_each('[1,2,3,4,5,6,7,8]') k`,
    `insert into jobChunks (jobId, first, "end", "rows")
      select id, 0, 3, '[{"n":0,"email":"a@example.org"},{"n":1,"email":"b@example.org"},{"n":2,"email":"c@example.org"}]' from jobs`,
    // Nobody may be called there. The second one is to be used up, and hears of nothing.
    `insert into webhooks (systemId, url, ${written})
      select id, 'https://hooks.invalid', op, createdAt, updatedAt from systems`,
    `insert into webhooks (systemId, url, events, ${written})
      select id, 'https://spare.invalid', '[]', op, createdAt, updatedAt from systems`,
    `insert into events (id, systemId, seq, type, subject, body, data, versionId, createdAt)
      select 'evt_filled' || id, systemId, id, 'badge.awarded', slug, '{}', '{}', versionId, createdAt from badgeInstances`,
    `insert into deliveries (systemId, eventId, webhookId, subject, seq, state, attempts, nextAt, createdAt)
      select systemId, id, systemId, subject, seq, case when seq % 10 then 'delivered' else 'pending' end, 1,
        createdAt, createdAt from events`,
    `insert into attempts (deliveryId, n, at, ms, status) select id, 1, createdAt, 9, 200 from deliveries`,
    `insert into audit (op, systemId, at, key, action, target, requestId, sealedAt, previousHash, hash)
      select 'filled' || id, systemId, createdAt, 'master', 'POST', slug, 'filled', createdAt, '', 'hash'
      from badgeInstances`,
    // More than a page of the log looks through.
    `insert into audit (op, systemId, at, key, action, target, requestId, sealedAt, previousHash, hash)
      ${counting(1_100)} select 'more' || s.id || '-' || i, s.id, ${Date.now()}, 'master', 'POST', '', '', ${THEN}, '', 'hash'
      from systems s, n`,
    // The earners that are asked about have events that are still kept.
    `update events set createdAt = ${Date.now()}, data =
        (select json_object('instance', json_object('email', email)) from badgeInstances where slug = subject)
      where subject in (select slug from badgeInstances where email in (
        select email from (select email from badgeInstances where badgeId = 1 order by id limit 12)
        union select email from (select email from badgeInstances where badgeId = ${badges} order by id desc limit 12)))`,
  ]
}
