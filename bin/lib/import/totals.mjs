/** What is counted once all rows are there. */

/** @typedef {import('./migration.mjs').Migration} Migration */

/** Totals of lists, and the audit's line of the import. @param {Migration} m @param {number} id */
export function takeTotals(m, id) {
  const system = m.id('systems', id)
  const { op, now } = m.state
  const count = (
    /** @type {string} */ name,
    /** @type {string} */ owner,
    /** @type {string} */ from,
  ) =>
    m.writer.also(`insert into counters (systemId, name, ownerId, n)
      select ${system}, '${name}', ${owner}, count(*) from ${from} group by 3 having count(*) > 0
      on conflict (systemId, name, ownerId) do update set n = excluded.n`)
  const live = `x.systemId = ${system} and x.deletedAt is null`
  count('issuers', 'x.systemId', `issuers x where ${live}`)
  count('programs', 'x.issuerId', `programs x where ${live}`)
  const apps = 'applications a join badges x on x.id = a.badgeId'
  for (const level of ['system', 'issuer', 'program']) {
    const owner = `x.${level}Id`
    count(`${level}.badges`, owner, `badges x where ${live} and ${owner} is not null`)
    count(`${level}.applications`, owner, `${apps} where ${live} and ${owner} is not null`)
  }
  count('codes', 'c.badgeId', `claimCodes c where c.systemId = ${system}`)
  count('applications', 'a.badgeId', `applications a where a.systemId = ${system}`)
  count('open', 'a.badgeId', `applications a where a.systemId = ${system} and a.processed is null`)
  count(
    'reviews',
    'r.applicationId',
    `reviews r join applications a on a.id = r.applicationId where a.systemId = ${system}`,
  )
  count('milestones', 'm.systemId', `milestones m where m.systemId = ${system}`)
  takeTallies(m, system)
  m.writer.also(`insert into counters (systemId, name, ownerId, n)
    select 0, 'systems', 0, count(*) from systems where deletedAt is null and true
    on conflict (systemId, name, ownerId) do update set n = excluded.n`)
  m.writer.also(`insert or ignore into audit (op, systemId, at, key, action, target, requestId)
    select 'import-${op}-${system}', ${system}, ${now}, 'import', 'badgekit import', 'systems/' || uid, '${op}'
    from systems where id = ${system}`)
}

const DAY = 86_400_000

/** What has happened on which day, of what is there: the rows of `tallies`. @param {Migration} m @param {number} system */
function takeTallies(m, system) {
  m.writer.also(`delete from tallies where systemId = ${system}`)
  const happened = (
    /** @type {string} */ what,
    /** @type {string} */ at,
    /** @type {string} */ from,
    times = 'count(*)',
  ) => {
    for (const owner of ['badge', 'system', 'issuer', 'program']) {
      const column = owner === 'badge' ? 'b.id' : `b.${owner}Id`
      m.writer.also(`insert into tallies (systemId, name, ownerId, day, n)
        select ${system}, '${owner}.${what}', ${column}, ${at} / ${DAY},
          sum(${times}) over (partition by ${column} order by ${at} / ${DAY})
        from ${from} cross join badges b on b.id = x.badgeId
        where x.systemId = ${system} and ${at} is not null and ${column} is not null group by 3, 4`)
    }
  }
  happened('awarded', 'x.createdAt', 'badgeInstances x')
  happened('revoked', 'x.revokedAt', 'badgeInstances x')
  happened('codes', 'x.createdAt', 'claimCodes x')
  const claimed = 'iif(x.claimed = 1, coalesce(x.claimedAt, x.updatedAt), null)'
  happened('claimed', claimed, 'claimCodes x', 'sum(max(x.uses, 1))')
  happened('applied', 'x.createdAt', 'applications x')
  happened('processed', 'x.processed', 'applications x')
}
