/** How far the applications that wait for a badge are counted: beyond it is only said that there are more. */
export const MOST_COUNTED = 1_000
