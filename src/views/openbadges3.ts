import { hex, utf8 } from '../crypto'
import { OB_CONTEXT, OB_EXTENSIONS, VC_CONTEXT } from '../dataIntegrity'
import { levels, nearestFirst } from '../levels'
import type { BadgeRow } from '../store/badges'
import type { NestedContainer } from '../store/containers'
import type { AwardRow } from '../store/credentials'
import type { StatusListRow } from '../store/statusLists'
import {
  achievementPath,
  assertion2Path,
  badge2Path,
  credentialPath,
  didOf,
  imageUrl,
  issuer2Path,
  statusListPath,
  webAddress,
} from '../urls'
import { type Badge, listsOf } from './badges'
import { evidenceOf } from './instances'
import {
  criteriaNarrative,
  criteriaUrl,
  firstOf,
  identityHash,
  keywords,
  targets,
} from './openbadges2'
import { isoSeconds } from './times'

/** Open Badges 3.0 documents, without their proofs: https://www.imsglobal.org/spec/ob/v3p0 */

const CONTEXTS = [VC_CONTEXT, OB_CONTEXT, OB_EXTENSIONS]
const SCHEMA =
  'https://purl.imsglobal.org/spec/ob/v3p0/schema/json/ob_v3p0_achievementcredential_schema.json'

/** The types that the specification names, section B.1.1; another type of a badge is an extension. */
const TYPES =
  /^(?:Achievement|ApprenticeshipCertificate|Assessment|Assignment|AssociateDegree|Award|Badge|BachelorDegree|Certificate|CertificateOfCompletion|Certification|CommunityService|Competency|Course|CoCurricular|Degree|Diploma|DoctoralDegree|Fieldwork|GeneralEducationDevelopment|JourneymanCertificate|LearningProgram|License|Membership|ProfessionalDoctorate|QualityAssuranceCredential|MasterCertificate|MasterDegree|MicroCredential|ResearchDoctorate|SecondarySchoolDiploma)$/

const achievementType = (type: string) => {
  const word = type.trim().replace(/[^\w.-]+/g, '-')
  if (word === '' || /^-+$/.test(word)) return 'Badge'
  return TYPES.test(word) ? word : `ext:${word}`
}

type Described = Pick<
  Badge,
  | 'name'
  | 'type'
  | 'consumerDescription'
  | 'criteriaUrl'
  | 'criteria'
  | 'alignments'
  | 'categories'
  | 'tags'
  | 'imageUrl'
>

/** @param badge as an award's version has it, or as it is now */
function achievementOf(badge: Described, uid: string, origin: string) {
  const narrative = criteriaNarrative(badge.criteria)
  const tag = keywords(badge)
  const alignment = targets(badge.alignments).map((one) => ({ type: ['Alignment'], ...one }))
  const image = imageOf(badge.imageUrl, badge.name)
  return {
    id: origin + achievementPath(uid),
    type: ['Achievement'],
    achievementType: achievementType(badge.type),
    name: badge.name,
    description: badge.consumerDescription,
    criteria: {
      id: criteriaUrl(badge.criteriaUrl, uid, origin),
      ...(narrative && { narrative }),
    },
    ...(image && { image }),
    ...(tag.length > 0 && { tag }),
    ...(alignment.length > 0 && { alignment }),
    related: [
      {
        type: ['Related', 'https://w3id.org/openbadges#BadgeClass'],
        id: origin + badge2Path(uid),
        version: 'Open Badges v2p0',
      },
    ],
  }
}

function imageOf(url: string | null | undefined, caption?: string) {
  const id = webAddress(url)
  return id && { id, type: 'Image', ...(caption && { caption }) }
}

/** Who awards: the nearest of `chain`; what it lacks is said by who is above it. */
function issuerOf(badge: Badge, uid: string, origin: string) {
  const chain = levels
    .flatMap(({ name }) => badge[name] ?? [])
    .map((one) => ({ ...one, image: one.imageUrl }))
    .reverse()
  const url = origin + issuer2Path(uid)
  const [description, email] = [firstOf(chain, 'description'), firstOf(chain, 'email')]
  const image = imageOf(firstOf(chain, 'image'))
  return {
    id: didOf(origin, uid),
    type: ['Profile'],
    name: firstOf(chain, 'name') ?? '',
    url: webAddress(firstOf(chain, 'url')) ?? url,
    ...(email && { email }),
    ...(description && { description }),
    ...(image && { image }),
    otherIdentifier: [{ type: 'IdentifierEntry', identifierType: 'identifier', identifier: url }],
  }
}

/** An opaque name of an earner, in this award only: it follows from the award, and says nothing of the earner. */
async function subjectId(credential: string): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', utf8(`${credential}#subject`))
  const bytes = new Uint8Array(digest.slice(0, 16))
  // Version 8, of RFC 9562.
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  return `urn:uuid:${hex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')}`
}

export type Credential = Awaited<ReturnType<typeof viewCredential>>

/**
 * The credential of an award, the same bytes whenever it is asked for, until it is amended: it follows from the award and the
 * version of the badge that it stands on.
 *
 * @param place the status list and its index in there
 */
export async function viewCredential(
  row: AwardRow,
  place: { list: string; statusIndex: number },
  origin: string,
) {
  const badge = JSON.parse(row.badge) as Badge
  const id = origin + credentialPath(row.slug)
  const list = origin + statusListPath(place.list)
  // Of two credentials with one id the one with the later `validFrom` counts: section 4.1.1 of the API.
  const validFrom = isoSeconds(Math.max(row.issuedOn, row.amendedAt ?? row.issuedOn))
  return {
    '@context': CONTEXTS,
    id,
    type: ['VerifiableCredential', 'OpenBadgeCredential'],
    name: badge.name,
    issuer: issuerOf(badge, row.issuerUid, origin),
    awardedDate: isoSeconds(row.issuedOn),
    validFrom,
    ...(row.expires !== null && { validUntil: isoSeconds(row.expires) }),
    credentialSubject: {
      id: await subjectId(id),
      type: ['AchievementSubject'],
      identifier: [
        {
          type: 'IdentityObject',
          identityType: 'emailAddress',
          hashed: true,
          identityHash: await identityHash(row.email, row.salt),
          salt: row.salt,
        },
      ],
      ...(row.narrative && { narrative: row.narrative }),
      achievement: achievementOf(badge, row.badgeUid, origin),
    },
    evidence: [
      ...evidenceOf(row).map(({ url, ...more }) => ({ id: url, type: ['Evidence'], ...more })),
      {
        id: origin + assertion2Path(row.slug),
        type: ['Evidence', 'https://w3id.org/openbadges#Assertion'],
        name: 'The same award in Open Badges 2.0',
      },
    ],
    credentialStatus: {
      id: `${list}#${place.statusIndex}`,
      type: 'BitstringStatusListEntry',
      statusPurpose: 'revocation',
      statusListIndex: String(place.statusIndex),
      statusListCredential: list,
    },
    credentialSchema: [{ id: SCHEMA, type: '1EdTechJsonSchemaValidator2019' }],
  }
}

/** A badge as it is now. What a credential holds of it is its own copy. */
export function viewAchievement(row: BadgeRow, origin: string) {
  const described = { ...row, ...listsOf(row), imageUrl: imageUrl(origin, row.image) }
  const [issuer] = nearestFirst<NestedContainer>(row)
  return {
    '@context': [VC_CONTEXT, OB_CONTEXT],
    ...achievementOf(described, row.uid, origin),
    creator: { id: didOf(origin, issuer.uid), type: ['Profile'] },
  }
}

/** A list without its proof, as it was signed. */
export function viewStatusList(
  {
    uid,
    issuerUid,
    validFrom,
    encodedList,
  }: Pick<StatusListRow, 'uid' | 'issuerUid' | 'validFrom' | 'encodedList'>,
  origin: string,
) {
  const id = origin + statusListPath(uid)
  return {
    '@context': [VC_CONTEXT],
    id,
    type: ['VerifiableCredential', 'BitstringStatusListCredential'],
    issuer: didOf(origin, issuerUid),
    validFrom: isoSeconds(validFrom ?? 0),
    credentialSubject: {
      id: `${id}#list`,
      type: 'BitstringStatusList',
      statusPurpose: 'revocation',
      encodedList: encodedList ?? '',
    },
  }
}

/** What has ended: answered with 410. */
export const viewEnded3 = (type: string[], id: string, reason: string | null = null) => ({
  '@context': [VC_CONTEXT, OB_CONTEXT],
  type,
  id,
  revoked: true,
  ...(reason !== null && { revocationReason: reason }),
})
