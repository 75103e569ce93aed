import { describe, expect, it } from 'vitest'
import { type Logged, NO_HASH, type Sealable, sealsOf, verify } from '../src/auditSeal'

const SYSTEM = 7

/** A chain of so many rows, the newest first, as the log gives it. */
async function chain(count: number, previous = NO_HASH): Promise<Logged[]> {
  const rows: Sealable[] = Array.from({ length: count }, (_, i) => ({
    id: 10 + 3 * i,
    systemId: SYSTEM,
    at: 1_700_000_000_000 + 977 * i,
    key: i % 3 ? 'master' : 'k3y',
    action: 'PUT /systems/:system/badges/:badge',
    target: `badges/${i}`,
    requestId: `req${i}`,
  }))
  const seals = await sealsOf(rows, previous, 1_800_000_000_000)
  return rows.map((row, i) => ({ ...row, ...seals[i] }) as Logged).reverse()
}
const unsealed = (row: Logged): Logged => ({
  ...row,
  sealedAt: null,
  previousHash: null,
  hash: null,
})
const brokenBy = async (rows: Logged[]) => (await verify(rows, SYSTEM)).broken

/** Numbers below `limit` that are the same in every run: mulberry32. */
function numbers(seed: number) {
  let state = seed
  return (limit: number) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % limit
  }
}

/** The value with one bit of its bytes flipped; of a number one of the 48 lowest. */
function flip(value: string | number, random: (limit: number) => number): string | number {
  if (typeof value === 'number') return Number(BigInt(value) ^ (1n << BigInt(random(48))))
  const bytes = new TextEncoder().encode(value)
  const at = random(bytes.length)
  bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8))
  // As each byte is a character, no two texts become alike.
  return String.fromCharCode(...bytes)
}

describe('a sealed log', () => {
  it('holds, from its first row and from any that its past has been cut to', async () => {
    const rows = await chain(40)
    expect(await verify(rows, SYSTEM)).toEqual({
      rows: 40,
      sealed: 40,
      head: { id: rows[0]?.id, sealedAt: rows[0]?.sealedAt, hash: rows[0]?.hash },
      broken: null,
    })
    for (const kept of [1, 13, 39]) expect(await brokenBy(rows.slice(0, kept))).toBeNull()
    expect(await verify([], SYSTEM)).toEqual({ rows: 0, sealed: 0, head: null, broken: null })
  })

  it('may end in rows that have no seal yet', async () => {
    const rows = (await chain(10)).map((row, i) => (i < 3 ? unsealed(row) : row))
    expect(await verify(rows, SYSTEM)).toMatchObject({ rows: 10, sealed: 7, broken: null })
    expect((await verify(rows, SYSTEM)).head?.id).toBe(rows[3]?.id)
  })

  it('does not hold with any single bit flipped, in any column of any row', async () => {
    const rows = await chain(25)
    const random = numbers(20_261_124)
    const columns = Object.keys(rows[0] ?? {}) as (keyof Logged)[]
    expect(columns).toHaveLength(10)
    const flipped = new Map<string, number>()
    const missed: unknown[] = []
    for (let flips = 0; flips < 1_000; flips++) {
      const at = random(rows.length)
      const column = columns[random(columns.length)] ?? 'id'
      const row = rows[at] as Logged
      // Before the first row of all there is nothing to flip; instead it is made to follow another.
      const value = row[column] as string | number
      const other = value === '' ? '0' : flip(value, random)
      const tampered = rows.with(at, { ...row, [column]: other } as Logged)
      flipped.set(column, (flipped.get(column) ?? 0) + 1)
      if ((await brokenBy(tampered)) === null) missed.push([at, column, value, other])
    }
    expect(missed).toEqual([])
    expect(flipped.size).toBe(10)
  })

  it('does not hold with a row taken out, put in, moved or made unsealed; and says where', async () => {
    const rows = await chain(10)
    const [a, b, c] = [rows[3], rows[4], rows[5]] as [Logged, Logged, Logged]
    expect(await brokenBy(rows.toSpliced(4, 1))).toEqual({ id: a.id, reason: 'link' })
    expect(await brokenBy(rows.toSpliced(4, 0, b))).toEqual({ id: b.id, reason: 'order' })
    expect(await brokenBy(rows.with(4, c).with(5, b))).not.toBeNull()
    expect(await brokenBy(rows.with(4, unsealed(b)))).toEqual({ id: b.id, reason: 'unsealed' })
    expect(await brokenBy(rows.with(4, { ...b, key: 'me' }))).toEqual({
      id: b.id,
      reason: 'changed',
    })
  })

  it('does not hold with a row that was sealed anew by whoever changed it', async () => {
    const rows = await chain(10)
    const row = rows[4] as Logged & { previousHash: string; sealedAt: number }
    const [seal] = await sealsOf([{ ...row, key: 'me' }], row.previousHash, row.sealedAt)
    const forged = { ...row, key: 'me', ...seal } as Logged
    expect(await brokenBy(rows.with(4, forged))).toEqual({ id: rows[3]?.id, reason: 'link' })
  })

  it('is of one system: another one’s rows do not pass for its own', async () => {
    const rows = await chain(3)
    expect((await verify(rows, 8)).broken).toEqual({ id: rows[2]?.id, reason: 'changed' })
  })

  it('is told to be broken at the oldest of its breaks', async () => {
    const rows = await chain(10)
    const [late, early] = [rows[1], rows[7]] as [Logged, Logged]
    const tampered = rows.with(1, { ...late, at: 1 }).with(7, { ...early, at: 1 })
    expect(await brokenBy(tampered)).toEqual({ id: early.id, reason: 'changed' })
  })
})
