/** The most that a route's requests cost, on a database of each size. */
export type Budget = { title: string; spent: { trips: number; rows: number }[] }

/** A statement as it is prepared, and its plan: the lines of `EXPLAIN QUERY PLAN`. */
export type Planned = { text: string; plan: string[] }

declare module 'vitest' {
  interface TaskMeta {
    /** Statements of the product that no file of this worker had run before this one. */
    statements?: Planned[]
    /** What `test/budget.test.ts` has measured. */
    budget?: Budget[]
  }
}
