import { type SQL, sql } from 'drizzle-orm'
import {
  type ApiError,
  codeAlreadyUsed,
  codeExpired,
  codeNotYetValid,
  codeReserved,
  codeUsedUp,
} from '../errors'

/** On what terms a claim code may be claimed. Times are milliseconds; null sets no bound. */
export type CodeTerms = {
  validFrom: number | null
  validUntil: number | null
  maxUses: number | null
  /** Whether nobody but the address that it is for may claim it. */
  reserved: 0 | 1
}

type Word = 'claimable' | 'claimed' | 'used up' | 'early' | 'late' | 'reserved'

/** How a code stands to whoever claims it. */
export type Standing = Pick<CodeTerms, 'validFrom' | 'validUntil'> & { is: Word }

const word = (email: string | null | undefined, now: number) => sql`case
  when claimed = 1 and multiuse = 0 then 'claimed'
  when uses >= maxUses then 'used up'
  when validFrom > ${now} then 'early'
  when validUntil <= ${now} then 'late'
  when reserved = 1 and not coalesce(email = ${email ?? null}, 0) then 'reserved'
  else 'claimable' end`

/** Whether a row of `claimCodes` may be claimed by `email`, in SQL. */
export const isOpenTo = (email: string | null | undefined, now: number) =>
  sql`${word(email, now)} = 'claimable'`

/** How the code `which` stands to `email`, in SQL: a `Standing` as JSON; null when there is no such code. */
export const standing = (which: SQL, email: string | null | undefined, now: number) => sql`(
  select json_object('is', ${word(email, now)}, 'validFrom', validFrom, 'validUntil', validUntil)
  from claimCodes where ${which})`

/** Why a code cannot be claimed. Never for whom it is reserved: whoever claims it need not know. */
export function unclaimable(code: string, { is, validFrom, validUntil }: Standing): ApiError {
  if (is === 'used up') return codeUsedUp(code)
  if (is === 'early') return codeNotYetValid(code, validFrom ?? 0)
  if (is === 'late') return codeExpired(code, validUntil ?? 0)
  if (is === 'reserved') return codeReserved(code)
  return codeAlreadyUsed(code)
}
