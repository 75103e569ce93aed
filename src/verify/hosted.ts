import type { Inquiry } from './credential'
import { type Documents, findJson } from './documents'
import {
  addressOf,
  allOf,
  idOf,
  isObject,
  isOfType,
  isoOf,
  isSame,
  type Json,
  momentOf,
  shortOf,
  textOf,
} from './json'
import { identitiesOfRecipient, judgeRecipient } from './recipient'
import {
  endedBy,
  failed,
  passed,
  type Report,
  reportOf,
  type Summary,
  unknown,
  type Verdict,
} from './steps'

/** Hosted assertions of versions 1.x and 2.0: the proof is that the issuer's own host serves them. */

const REVOKED = failed('Its issuer has revoked it')

/** Whether JSON looks like an assertion; those of 1.0 and before say of themselves nothing. */
export const isAssertion = (json: Json) =>
  isOfType(json, 'Assertion') || (json.type === undefined && 'badge' in json && 'recipient' in json)

type Linked = { kind: 'found'; json: Json } | { kind: 'wrong' | 'unreachable' }

/** Judges an assertion, step by step. `from` is the address that it was read from, if it was. */
export async function verifyHosted(
  given: Json,
  from: string | null,
  inquiry: Inquiry,
): Promise<Report> {
  const address = hostedAt(given) ?? (from === null ? null : addressOf(from))
  if (!address) return endedBy({ proof: unsigned(given) }, summaryOf(given, {}, {}))
  const hosted = await findJson(inquiry.documents, address)
  if (hosted.kind === 'gone' || (hosted.kind === 'found' && hosted.json.revoked === true)) {
    return endedBy({ status: REVOKED })
  }
  if (hosted.kind !== 'found') {
    const isKnown = hosted.kind === 'missing'
    const verdict = isKnown
      ? failed('Its issuer does not host it')
      : unknown('The copy that its issuer hosts could not be fetched')
    return endedBy({ document: verdict, proof: verdict }, summaryOf(given, {}, {}))
  }
  return judgeHosted({ given, hosted: hosted.json, address }, inquiry)
}

const unsigned = ({ verification, verify }: Json): Verdict => {
  const named = isObject(verification) ? verification : isObject(verify) ? verify : {}
  return isOfType(named, 'SignedBadge', 'signed')
    ? unknown('Signed badges of version 2.0 and before are not judged here')
    : failed('It names no address at which its issuer hosts it')
}

/** Where an assertion says that it is hosted: `id` in 2.0, `verify.url` in 1.x. */
function hostedAt({ id, verify, verification }: Json): string | null {
  const isSigned = [verify, verification].some(
    (one) => isObject(one) && isOfType(one, 'SignedBadge', 'signed'),
  )
  if (isSigned) return null
  return (isObject(verify) ? addressOf(verify.url) : null) ?? addressOf(id)
}

async function judgeHosted(
  { given, hosted, address }: { given: Json; hosted: Json; address: string },
  { documents, now, recipient }: Inquiry,
): Promise<Report> {
  const badge = await linked(hosted.badge, documents)
  const profile = badge.kind === 'found' ? await linked(badge.json.issuer, documents) : badge
  const badgeJson = badge.kind === 'found' ? badge.json : {}
  const profileJson = profile.kind === 'found' ? profile.json : {}
  const verdicts = {
    document: judgeDocument({ given, hosted, badge }),
    proof: judgeScope(hosted, address, badgeJson, profile),
    issuer: judgeProfile(profile),
    status: passed('Its issuer still hosts it, and has not revoked it'),
    validity: judgeValidity(hosted, now),
    recipient:
      recipient === null
        ? null
        : await judgeRecipient(identitiesOfRecipient(salted(hosted)), recipient),
  }
  return reportOf(verdicts, summaryOf(hosted, badgeJson, profileJson))
}

/** In 1.0 and before the salt of the recipient may stand beside it. */
const salted = ({ recipient, salt }: Json) =>
  typeof recipient === 'string' ? { type: 'email', identity: recipient, salt } : recipient

/** A document that is named by its address, or stands here whole. */
async function linked(value: unknown, documents: Documents): Promise<Linked> {
  const address = addressOf(idOf(value))
  if (!address) return isObject(value) ? { kind: 'found', json: value } : { kind: 'wrong' }
  const found = await findJson(documents, address)
  if (found.kind === 'found') return found
  return { kind: found.kind === 'unreachable' ? 'unreachable' : 'wrong' }
}

type Copies = { given: Json; hosted: Json; badge: Linked }

/** The members that an assertion and its badge class must have in all versions (2.0 §Assertion, §BadgeClass). */
function judgeDocument({ given, hosted, badge }: Copies): Verdict {
  if (!isAssertion(hosted)) return failed('What its issuer hosts is no badge')
  if (!isSame(given, hosted)) return failed('It differs from the copy that its issuer hosts')
  const isWhole = hosted.recipient && hosted.badge && hosted.issuedOn !== undefined
  if (!isWhole) return failed('It lacks members that a badge must have')
  if (badge.kind === 'unreachable') return unknown('What it was awarded for could not be fetched')
  const names = ['name', 'description', 'image', 'criteria', 'issuer']
  if (badge.kind !== 'found' || names.some((name) => !badge.json[name])) {
    return failed('What it was awarded for is not described as it must be')
  }
  return passed('It is what its issuer hosts, and has all that a badge must have')
}

/** Whether the host that serves the assertion may speak for its issuer (2.0 §HostedBadge verification). */
function judgeScope(hosted: Json, address: string, badge: Json, profile: Linked): Verdict {
  const name = hostedAt(hosted) ?? address
  if (URL.parse(name)?.href !== URL.parse(address)?.href) {
    return failed('Its issuer hosts it elsewhere than it says')
  }
  if (profile.kind === 'unreachable') return unknown("The issuer's profile could not be fetched")
  const issuer =
    addressOf(idOf(badge.issuer)) ?? (isObject(badge.issuer) ? addressOf(badge.issuer.url) : null)
  if (profile.kind !== 'found' || !issuer) return failed('It does not say who issued it')
  const { host, href } = new URL(address)
  const scope = isObject(profile.json.verification) ? profile.json.verification : {}
  const origins = allOf(scope.allowedOrigins)
  const starts = allOf(scope.startsWith).filter((start) => typeof start === 'string')
  const isAllowed =
    (origins.length === 0 && starts.length === 0 && URL.parse(issuer)?.host === host) ||
    origins.includes(host) ||
    starts.some((start) => start !== '' && href.startsWith(start))
  return isAllowed
    ? passed('It is hosted where its issuer hosts badges')
    : failed('It is not hosted by its issuer')
}

function judgeProfile(profile: Linked): Verdict {
  if (profile.kind === 'unreachable') return unknown("The issuer's profile could not be fetched")
  const isWhole = profile.kind === 'found' && textOf(profile.json.name)
  return isWhole ? passed('Its issuer says who it is') : failed('Its issuer does not say who it is')
}

const isOld = (json: Json) => !String(json['@context']).includes('/openbadges/v2')

function judgeValidity(hosted: Json, now: number): Verdict {
  const start = momentOf(hosted.issuedOn, isOld(hosted))
  const end = momentOf(hosted.expires, isOld(hosted))
  if (start === null || (hosted.expires !== undefined && end === null)) {
    return failed('It does not say in a readable way from when to when it is valid')
  }
  if (start > now) return failed('It is not valid yet')
  if (end !== null && end <= now) return failed('It has expired')
  return passed(end === null ? 'It is valid, and does not expire' : 'It is valid now')
}

function summaryOf(hosted: Json, badge: Json, profile: Json): Summary {
  const context = String(hosted['@context'])
  return {
    version: isOld(hosted) ? (context.includes('/openbadges/v1') ? '1.1' : '1.0') : '2.0',
    name: shortOf(badge.name),
    issuer: shortOf(profile.name),
    issuedOn: isoOf(momentOf(hosted.issuedOn, isOld(hosted))),
    expires: isoOf(momentOf(hosted.expires, isOld(hosted))),
  }
}
