/** Times as answers show them: ISO 8601 in UTC, from milliseconds. */
export const iso = (milliseconds: number) => new Date(milliseconds).toISOString()

export const isoOrNull = (milliseconds: number | null) =>
  milliseconds === null ? null : iso(milliseconds)

/** Without fractions, as signed documents write it. */
export const isoSeconds = (milliseconds: number) =>
  `${iso(Math.floor(milliseconds / 1000) * 1000).slice(0, -5)}Z`
