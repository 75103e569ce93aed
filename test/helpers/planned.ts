/** A statement as it is prepared, and its plan: the lines of `EXPLAIN QUERY PLAN`. */
export type Planned = { text: string; plan: string[] }

declare module 'vitest' {
  interface TaskMeta {
    /** Statements of the product that no file of this worker had run before this one. */
    statements?: Planned[]
  }
}
