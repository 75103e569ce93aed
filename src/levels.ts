import { issuers, programs, systems } from '../drizzle/schema'

/**
 * The container levels as data. Routes, scope and statements loop over them or take one, so that nothing is written three
 * times. A level's `parent` is the column by which its rows hang from the level above.
 */
export const levels = [
  { name: 'system', plural: 'systems', table: systems, parent: null, path: '/systems/:system' },
  {
    name: 'issuer',
    plural: 'issuers',
    table: issuers,
    parent: 'systemId',
    path: '/systems/:system/issuers/:issuer',
  },
  {
    name: 'program',
    plural: 'programs',
    table: programs,
    parent: 'issuerId',
    path: '/systems/:system/issuers/:issuer/programs/:program',
  },
] as const

export type Level = (typeof levels)[number]
export type LevelName = Level['name']
