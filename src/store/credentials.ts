import { type SQL, sql } from 'drizzle-orm'
import { ending } from './awards'
import type { Statement } from './db'

/** Awards as their Open Badges 2.0 and 3.0 documents need them: with the version they stand on, and what was signed of them. */

/** An award, or only that it has ended. */
export type AwardRow = {
  /** The slug that was asked for. */
  asked: string
  awardId: number | null
  slug: string
  systemId: number
  email: string
  salt: string
  issuedOn: number
  expires: number | null
  narrative: string | null
  evidence: string | null
  /** When narrative or evidence were changed last. */
  amendedAt: number | null
  badgeUid: string
  /** The badge of its version: JSON, as the contract shows it. */
  badge: string
  issuerUid: string
  /** What its image is now, and was then; null where it is only an address. */
  imageType: string | null
  imageTypeThen: string | null
  endedAt: number | null
  revocationReason: string | null
} & (Placed | { [key in keyof Placed]: null }) &
  (Signed | { [key in keyof Signed]: null })

/** The status list of an award and the place in it, which it keeps whenever it is signed. */
export type Placed = { list: string; statusIndex: number }

/** What was signed of an award, by keys that are good. */
export type Signed = {
  created: number
  proof: number[]
  jwt: number[]
  /** The thumbprints of the keys. */
  ed25519: string
  rs256: string
}

export type SignedAward = Extract<AwardRow, Signed & Placed>
export const isSigned = (row: AwardRow): row is SignedAward => row.created !== null

const award = (more = sql``) => sql`
  select q.slug as asked, i.id as awardId, coalesce(i.slug, q.slug) as slug, i.systemId, i.email, i.salt, i.issuedOn,
    i.expires, i.narrative, i.evidence, b.uid as badgeUid, v.badge, v.issuerUid,
    m.mimetype as imageType, w.mimetype as imageTypeThen,
    iif(e.withdrawnAt is null and r.withdrawnAt is null and c.proof is not null, c.created, null) as created, c.proof, c.jwt, c.statusIndex, l.uid as list, e.thumbprint as ed25519, r.thumbprint as rs256,
    i.amendedAt, ${ending}${more}`

const joins = sql`
  left join badges b on b.id = i.badgeId
  left join systems s on s.id = i.systemId
  left join badgeVersions v on v.id = i.versionId
  left join images m on m.id = b.imageId
  left join images w on w.id = v.imageId
  left join credentials c on c.awardId = i.id
  left join statusLists l on l.id = c.statusListId
  left join signingKeys e on e.id = c.ed25519KeyId
  left join signingKeys r on r.id = c.rs256KeyId
  left join tombstones t on t.kind = 'assertion' and t.uid = q.slug`

/** The awards with these slugs; a row for each slug that there is none of, too. */
export const findAwards = (slugs: readonly string[]): Statement<AwardRow> => sql<AwardRow>`
  ${award()} from (${sql.join(
    slugs.map((slug) => sql`select ${slug} as slug`),
    sql` union all `,
  )}) q left join badgeInstances i on i.slug = q.slug ${joins}`

/** The same by its id, as the queue names it. */
export const findAwardById = (id: number): Statement<AwardRow> => sql<AwardRow>`
  ${award()} from (select id, slug from badgeInstances where id = ${id}) q
  join badgeInstances i on i.id = q.id ${joins}`

/** The image of its version's badge, or where that carries nothing, of the badge as it is now. */
export type ImageBytes = { mimetype: string; data: number[] }

const CARRIERS = sql.raw(`('image/png', 'image/svg+xml')`)

export const findAwardImage = (slug: string): Statement<ImageBytes> => sql<ImageBytes>`
  select m.mimetype, m.data from badgeInstances i
    join badgeVersions v on v.id = i.versionId join badges b on b.id = i.badgeId
    join images m on m.id = coalesce(
      (select w.id from images w where w.id = v.imageId and w.mimetype in ${CARRIERS}), b.imageId)
  where i.slug = ${slug} and m.mimetype in ${CARRIERS}`

export type NewCredential = {
  awardId: number
  /** That of the award as it was signed. */
  amendedAt: number | null
  created: number
  ed25519KeyId: number
  proof: Uint8Array
  rs256KeyId: number
  jwt: Uint8Array
  statusListId: number
  statusIndex: number
}

/**
 * Keeps what was signed of an award that still holds, unless somebody has signed it, or taken its place in the list, before. One
 * that was signed by a key that is withdrawn, or has been amended since, is signed again, and keeps its place.
 */
export const keepCredential = (made: NewCredential): SQL => sql`
  insert into credentials (awardId, created, ed25519KeyId, proof, rs256KeyId, jwt, statusListId, statusIndex)
  select i.id, ${made.created}, ${made.ed25519KeyId}, ${made.proof}, ${made.rs256KeyId}, ${made.jwt},
    ${made.statusListId}, ${made.statusIndex}
  from badgeInstances i join badges b on b.id = i.badgeId join systems s on s.id = i.systemId
  where i.id = ${made.awardId} and i.amendedAt is ${made.amendedAt}
    and i.revokedAt is null and i.suspendedAt is null and b.deletedAt is null and s.deletedAt is null
  on conflict (awardId) do update set created = excluded.created, ed25519KeyId = excluded.ed25519KeyId, proof = excluded.proof,
    rs256KeyId = excluded.rs256KeyId, jwt = excluded.jwt
    where credentials.proof is null or exists (select 1 from signingKeys k
      where k.id in (credentials.ed25519KeyId, credentials.rs256KeyId) and k.withdrawnAt > 0)
  on conflict do nothing`
