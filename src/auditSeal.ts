import { sha256 } from './crypto'

/**
 * The seal of the audit log: each row's hash covers the row and the hash of the one before it, so that none can be changed or
 * taken out unnoticed. It holds no more than the log shows, so that whoever reads the log can prove it (`npm run audit`).
 */

/** A row as its seal covers it: every column but `op`, which is secret. */
export type Sealable = {
  id: number
  systemId: number | null
  at: number
  key: string
  action: string
  target: string
  requestId: string
}
export type Seal = { sealedAt: number; previousHash: string; hash: string }
/** A row of the log; the newest have no seal yet. */
export type Logged = Sealable & (Seal | { sealedAt: null; previousHash: null; hash: null })

/** What stands before the first row of a chain. */
export const NO_HASH = ''

/** A row's columns as JSON: always these members in this order. */
export const canonical = (row: Sealable & Pick<Seal, 'sealedAt'>): string => {
  const { id, systemId, at, key, action, target, requestId, sealedAt } = row
  return JSON.stringify({ id, systemId, at, key, action, target, requestId, sealedAt })
}

export const hashOf = (row: Sealable & Pick<Seal, 'sealedAt' | 'previousHash'>) =>
  sha256(`${row.previousHash}\n${canonical(row)}`)

/** The seals of rows that follow each other, the oldest first, after one with the hash `previousHash`. */
export async function sealsOf(
  rows: readonly Sealable[],
  previousHash: string,
  sealedAt: number,
): Promise<Seal[]> {
  const seals: Seal[] = []
  let previous = previousHash
  for (const row of rows) {
    const hash = await hashOf({ ...row, sealedAt, previousHash: previous })
    seals.push({ sealedAt, previousHash: previous, hash })
    previous = hash
  }
  return seals
}

/** Where a chain breaks, and how. */
export type Break = { id: number; reason: 'changed' | 'link' | 'order' | 'unsealed' }
export type Verdict = {
  rows: number
  sealed: number
  /** Of the newest sealed row: who has noted its hash can later tell that no end was cut off. */
  head: { id: number; sealedAt: number; hash: string } | null
  /** The oldest break. */
  broken: Break | null
}

/**
 * Looks at a system's log, the newest row first as it is read. The oldest row may follow one that is no longer kept: what it
 * calls the hash before it stands for all that went.
 */
export async function verify(
  rows: Iterable<Logged> | AsyncIterable<Logged>,
  systemId: number | null,
): Promise<Verdict> {
  const verdict: Verdict = { rows: 0, sealed: 0, head: null, broken: null }
  let newer: Logged | null = null
  for await (const row of rows) {
    verdict.rows += 1
    // What comes later in this loop is older, and takes the place of what was found before.
    const found = await breakAt(row, newer, systemId)
    if (found) verdict.broken = found
    if (row.hash !== null) {
      verdict.sealed += 1
      verdict.head ??= { id: row.id, sealedAt: row.sealedAt, hash: row.hash }
    }
    newer = row
  }
  return verdict
}

async function breakAt(
  row: Logged,
  newer: Logged | null,
  systemId: number | null,
): Promise<Break | null> {
  if (newer && newer.id <= row.id) return { id: newer.id, reason: 'order' }
  if (row.hash === null) return newer?.hash ? { id: row.id, reason: 'unsealed' } : null
  if (row.systemId !== systemId || (await hashOf(row)) !== row.hash) {
    return { id: row.id, reason: 'changed' }
  }
  return newer?.hash && newer.previousHash !== row.hash ? { id: newer.id, reason: 'link' } : null
}
