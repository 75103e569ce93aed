import { type LevelName, levels } from './levels'

/** The roles that a key can have, the smallest first; each but the last two is no part of the one before it. */
export const ROLES = ['read', 'issue', 'review', 'manage', 'admin'] as const
export type Role = (typeof ROLES)[number]
/** What a request can need: a role, or the one key that has none because it may do everything. */
export type Need = Role | 'master'

/** Which roles each role is more than. */
const HOLDS: Record<Need, readonly Role[]> = {
  read: [],
  issue: ['read'],
  review: ['read'],
  manage: ['issue', 'review'],
  admin: ['manage'],
  master: ['admin'],
}

/** Whether whoever has `role` may do what needs `need`. */
export const holds = (role: Need, need: Need): boolean =>
  role === need || HOLDS[role].some((lesser) => holds(lesser, need))

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE'
type Needs = { readonly [method in Method]?: Role }

/** As a map, in which only what is written is found. */
function entriesOf<T>(written: Record<string, T>): ReadonlyMap<string, T> {
  return new Map(Object.entries(written))
}

const LIST = { GET: 'read', POST: 'manage' } as const
const ONE = { GET: 'read', PUT: 'manage', DELETE: 'manage' } as const
const AWARDS = { GET: 'read', POST: 'issue', DELETE: 'issue' } as const
const REVIEWS = { GET: 'read', POST: 'review', PUT: 'review', DELETE: 'review' } as const

/** `{C}` is a container at any level, `{B}` a badge in it. What does not stand here is `master`'s. */
const TABLE = entriesOf<Needs>({
  '{C}': ONE,
  '{C}/issuers': LIST,
  '{C}/programs': LIST,
  '{C}/badges': LIST,
  '{B}': ONE,
  '{C}/stats': { GET: 'read' },
  '{B}/stats': { GET: 'read' },
  '{C}/instances': { GET: 'read' },
  '{C}/instances/:email': { GET: 'read' },
  '{B}/instances': AWARDS,
  '{B}/instances/bulk': AWARDS,
  '{B}/instances/:email': { ...AWARDS, PUT: 'issue' },
  '{B}/instances/:email/suspend': AWARDS,
  '{B}/instances/:email/reinstate': AWARDS,
  '{B}/instances/:email/renew': AWARDS,
  '{B}/instances/:email/history': AWARDS,
  '{B}/instances/jobs': AWARDS,
  '{B}/instances/jobs/:job': AWARDS,
  '{B}/instances/jobs/:job/rows': AWARDS,
  '{B}/instances/jobs/:job/cancel': AWARDS,
  '{B}/instances/jobs/:job/revoke': AWARDS,
  '{B}/instances/revocations': AWARDS,
  '{C}/codes/:code': { GET: 'read' },
  '{B}/codes': AWARDS,
  '{B}/codes/random': AWARDS,
  '{B}/codes/batch': AWARDS,
  '{B}/codes/:code': AWARDS,
  '{B}/codes/:code/claim': AWARDS,
  '{C}/applications': { GET: 'read' },
  '{C}/applications/queue': { GET: 'read' },
  '{C}/applications/waiting': { GET: 'read' },
  '{B}/applications': REVIEWS,
  '{B}/applications/:application': REVIEWS,
  '{B}/applications/:application/assign': REVIEWS,
  '{B}/applications/:application/instances': { GET: 'read' },
  '{B}/applications/:application/reviews': REVIEWS,
  '{B}/applications/:application/reviews/:review': REVIEWS,
  '{C}/milestones': LIST,
  '{C}/milestones/:milestone': ONE,
  '{C}/milestones/:milestone/backfill': { POST: 'manage' },
  '{C}/progress/:email': { GET: 'read' },
  '{C}/milestones/:milestone/add-badge': { POST: 'manage' },
  '{C}/milestones/:milestone/remove-badge': { POST: 'manage' },
})

/** What needs one role for all that is below it, whatever the method. */
const WHOLE = entriesOf<Role>({
  webhooks: 'admin',
  deliveries: 'admin',
  events: 'admin',
  keys: 'admin',
  'signing-keys': 'admin',
  audit: 'admin',
  privacy: 'admin',
})

const CONTAINER = new RegExp(
  `^(?:${levels
    .map(({ path }) => path)
    .toReversed()
    .join('|')})(?=/|$)`,
)

/**
 * The role that a route needs, of a key whose own container is of level `own`. Only there is a container more than any other
 * that the key reaches: it may not be deleted by whoever merely manages what is below it.
 *
 * @param template method and path of the route: `GET /systems/:system`
 */
export function needOf(template: string, own: LevelName = 'system'): Need {
  const [method = '', path = ''] = template.split(' ')
  const short = path.replace(CONTAINER, '{C}')
  if (method === 'DELETE' && levels.some((one) => one.name === own && one.path === path)) {
    return 'admin'
  }
  const [, noun = ''] = /^\{C\}\/([\w-]+)/.exec(short) ?? []
  const needs = TABLE.get(short.replace('{C}/badges/:badge', '{B}'))
  return WHOLE.get(noun) ?? needs?.[method as Method] ?? 'master'
}
