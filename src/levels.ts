import type { SQL } from 'drizzle-orm'
import { issuers, programs, systems } from '../drizzle/schema'

/**
 * The container levels as data, from the top down. Routes, scope, statements and URLs loop over them or take one, so that
 * nothing is written three times. By `column` the rows of all that hangs from a level name it; by `parent` a level's own rows
 * name the level above.
 */
export const levels = [
  {
    name: 'system',
    plural: 'systems',
    column: 'systemId',
    parent: null,
    table: systems,
    path: '/systems/:system',
  },
  {
    name: 'issuer',
    plural: 'issuers',
    column: 'issuerId',
    parent: 'systemId',
    table: issuers,
    path: '/systems/:system/issuers/:issuer',
  },
  {
    name: 'program',
    plural: 'programs',
    column: 'programId',
    parent: 'issuerId',
    table: programs,
    path: '/systems/:system/issuers/:issuer/programs/:program',
  },
] as const

export type Level = (typeof levels)[number]
export type LevelName = Level['name']

type Below<Key extends string, Value, Top> = Record<Exclude<Key, Top>, Value | null>
/** Ids that a path has been proven to name; null below where it ends. */
export type Place = { systemId: number } & Below<Level['column'], number, 'systemId'>
/** The same as sub-selects, not proven yet. */
export type Container = { systemId: SQL } & Below<Level['column'], SQL, 'systemId'>
/** The containers of a row, each a JSON text. */
export type Containers = { system: string } & Below<LevelName, string, 'system'>

/** The levels above one, and those below it; both from the top down. */
export const above = (level: Level) => levels.slice(0, levels.indexOf(level))
export const below = (level: Level) => levels.slice(levels.indexOf(level) + 1)

/** One value for each level, by the name of its column or its own. */
export const perLevel = <T, K extends 'column' | 'name'>(
  by: K,
  value: (level: Level, index: number) => T,
) =>
  Object.fromEntries(levels.map((level, i) => [level[by], value(level, i)])) as Record<Level[K], T>

/** The containers of a row as they are nested in it, nearest first: program, issuer, system, as far as it has them. */
export const nearestFirst = <Nested>(row: Containers) =>
  levels
    .flatMap(({ name }) => row[name] ?? [])
    .map((json) => JSON.parse(json))
    .reverse() as [Nested, ...Nested[]]
