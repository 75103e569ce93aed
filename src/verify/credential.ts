import type { Documents } from './documents'
import {
  allOf,
  idOf,
  isObject,
  isOfType,
  isoOf,
  type Json,
  momentOf,
  shortOf,
  textOf,
} from './json'
import { judgeProof, judgeToken } from './proof'
import { identitiesOfSubject, judgeRecipient } from './recipient'
import { judgeStatus } from './status'
import { failed, passed, type Report, reportOf, type Summary, type Verdict } from './steps'

/** A 3.0 credential: its JSON, and the token that carried it, if one did. */
export type Credential = { json: Json; token: string | null }

/** What is looked at beside the credential. */
export type Inquiry = { documents: Documents; now: number; recipient: string | null }

const VC = 'https://www.w3.org/ns/credentials/v2'
const OPEN_BADGES = 'https://purl.imsglobal.org/spec/ob/v3p0/'

/** Whether JSON says of itself that it is a verifiable credential, as those of Open Badges 3.0 are. */
export const isCredential = (json: Json) => isOfType(json, 'VerifiableCredential')

/** Judges a 3.0 credential, step by step. */
export async function verifyCredential(credential: Credential, inquiry: Inquiry): Promise<Report> {
  const { json, token } = credential
  const { documents, now, recipient } = inquiry
  const subject = subjectOf(json)
  const { proof, issuer } =
    token === null
      ? await judgeProof(json, documents, now)
      : await judgeToken(token, idOf(json.issuer) ?? '', documents)
  // What nobody has signed may name any list: its addresses are not called.
  const isSigned = proof.result === 'passed' && issuer.result === 'passed'
  const status = isSigned ? await judgeStatus(json, documents, now) : NOT_ASKED
  const verdicts = {
    document: judgeDocument(credential, subject),
    proof,
    issuer,
    status,
    validity: judgeValidity(json, now),
    recipient:
      recipient === null ? null : await judgeRecipient(identitiesOfSubject(subject), recipient),
  }
  return reportOf(verdicts, summaryOf(json, subject))
}

const NOT_ASKED: Verdict = {
  result: 'unknown',
  message: 'Not looked at, as its signature does not hold',
}

const subjectOf = (json: Json): Json => allOf(json.credentialSubject).find(isObject) ?? {}

/** What an `OpenBadgeCredential` must have (Open Badges 3.0 §B.1). */
function judgeDocument({ json, token }: Credential, subject: Json): Verdict {
  const contexts = allOf(json['@context'])
  const achievement = subject.achievement
  if (contexts[0] !== VC || !contexts.some((one) => String(one).startsWith(OPEN_BADGES))) {
    return failed('It does not use the vocabularies of Open Badges 3.0')
  }
  if (!isOfType(json, 'OpenBadgeCredential', 'AchievementCredential')) {
    return failed('It is a credential, but not an Open Badge')
  }
  const isWhole =
    textOf(json.id) &&
    idOf(json.issuer) &&
    momentOf(json.validFrom) !== null &&
    isObject(achievement) &&
    ['id', 'name', 'description'].every((name) => textOf(achievement[name])) &&
    isObject(achievement.criteria)
  if (!isWhole) return failed('It lacks members that an Open Badge must have')
  if (token === null && !hasPlainNames(json)) {
    return failed('It calls its members by other names than those of its vocabularies')
  }
  if (token !== null && !isConsistent(json, subject)) {
    return failed('The claims of its token contradict the credential')
  }
  return passed('It has all that an Open Badge 3.0 must have')
}

/**
 * Whether all members stand under the names that are looked at here. What is signed is the meaning, not the text: a member
 * under its full address, or under a keyword that moves it, would still be signed, but be seen by nobody.
 */
function hasPlainNames(value: unknown, isTop = true): boolean {
  if (Array.isArray(value)) return value.every((one) => hasPlainNames(one, false))
  if (!isObject(value)) return true
  return Object.entries(value).every(
    ([name, member]) =>
      (isTop && name === '@context') ||
      (!/^@|:/.test(name) && name !== '__proto__' && hasPlainNames(member, false)),
  )
}

/** The registered claims say the same as the members that they repeat (Open Badges 3.0 §8.2.2). */
function isConsistent(json: Json, subject: Json): boolean {
  const seconds = (value: unknown) => {
    const at = momentOf(value)
    return at === null ? null : Math.floor(at / 1000)
  }
  const pairs = [
    [json.iss, idOf(json.issuer)],
    [json.jti, json.id],
    [json.sub, subject.id],
    [json.nbf, seconds(json.validFrom)],
    [json.exp, seconds(json.validUntil)],
  ]
  return (
    json.vc === undefined &&
    pairs.every(([claim, member]) => claim === undefined || claim === member)
  )
}

function judgeValidity({ validFrom, validUntil, exp }: Json, now: number): Verdict {
  const start = momentOf(validFrom)
  const ends = [
    ...(validUntil === undefined ? [] : [momentOf(validUntil)]),
    ...(exp === undefined ? [] : [Number(exp) * 1000]),
  ]
  if (start === null || ends.some((end) => end === null || Number.isNaN(end))) {
    return failed('It does not say in a readable way from when to when it is valid')
  }
  if (start > now) return failed('It is not valid yet')
  if (ends.some((end) => end !== null && end <= now)) return failed('It has expired')
  return passed(ends.length === 0 ? 'It is valid, and does not expire' : 'It is valid now')
}

function summaryOf(json: Json, subject: Json): Summary {
  const { achievement } = subject
  const issuer = isObject(json.issuer) ? json.issuer.name : json.issuer
  return {
    version: '3.0',
    name: shortOf(isObject(achievement) ? achievement.name : json.name),
    issuer: shortOf(issuer),
    issuedOn: isoOf(momentOf(json.awardedDate) ?? momentOf(json.validFrom)),
    expires: isoOf(momentOf(json.validUntil)),
  }
}
