/** Times as answers show them: ISO 8601 in UTC, from milliseconds. */
export const iso = (milliseconds: number) => new Date(milliseconds).toISOString()

export const isoOrNull = (milliseconds: number | null) =>
  milliseconds === null ? null : iso(milliseconds)
