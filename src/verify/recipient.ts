import { equalTexts, sha256 } from '../crypto'
import { allOf, isObject, type Json, textOf } from './json'
import { failed, passed, unknown, type Verdict } from './steps'

/** Whom a credential belongs to, as any version says it: an email address, in plain or hashed with its salt. */
type Identity = { identity: string; salt: string }

/** Identities by email of a 1.x or 2.0 recipient; 1.0 and older name the address, or its hash, alone. */
export const identitiesOfRecipient = (recipient: unknown): Identity[] =>
  allOf(recipient).flatMap((one) => {
    if (typeof one === 'string') return { identity: one, salt: '' }
    if (!isObject(one) || !(one.type === undefined || one.type === 'email')) return []
    return identityOf(one.identity, one.salt)
  })

/** Identities by email of a 3.0 subject. */
export const identitiesOfSubject = (subject: Json): Identity[] => [
  ...allOf(subject.identifier)
    .filter(isObject)
    .filter(({ identityType }) => identityType === 'emailAddress')
    .flatMap(({ identityHash, salt }) => identityOf(identityHash, salt)),
  ...(textOf(subject.id)?.startsWith('mailto:')
    ? [{ identity: String(subject.id).slice('mailto:'.length), salt: '' }]
    : []),
]

const identityOf = (identity: unknown, salt: unknown): Identity[] => {
  const text = textOf(identity)
  return text ? [{ identity: text, salt: textOf(salt) ?? '' }] : []
}

/** Whether a credential belongs to an email address: as it was typed, or in lower case. */
export async function judgeRecipient(identities: Identity[], email: string): Promise<Verdict> {
  const typed = email.trim()
  const readable = identities.filter(({ identity }) => !/^(?!sha256\$)\w+\$/i.test(identity))
  if (readable.length === 0) return unknown('It does not say to which email address it belongs')
  for (const { identity, salt } of readable) {
    for (const address of [typed.toLowerCase(), typed]) {
      const isHash = /^sha256\$/i.test(identity)
      const form = isHash ? `sha256$${await sha256(address + salt)}` : address
      if (equalTexts(form, isHash ? identity.toLowerCase() : identity)) {
        return passed('It belongs to this email address')
      }
    }
  }
  return failed('It does not belong to this email address')
}
