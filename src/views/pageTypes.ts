/** A piece of evidence. */
export type Piece = {
  url: string | null
  name?: string
  description?: string
  narrative?: string | null
}

/** What a page says about one award. Every text is plain, as typed; times are in milliseconds. */
export type AwardPage = {
  /** This page's own absolute address. */
  url: string
  /** By which the award is known for ever. */
  id: string
  status: 'valid' | 'expired' | 'revoked'
  badge: {
    name: string
    strapline: string | null
    description: string
    image: string | null
    criteriaUrl: string
    criteria: { description: string; required: boolean }[]
    tags: string[]
    alignments: { name: string; url: string; description: string | null }[]
    url: string
  }
  /** From the one that awards, up to the system; at least one. */
  issuers: { name: string; url: string; pageUrl: string; image: string | null }[]
  issuedOn: number
  expires: number | null
  evidence?: Piece[]
  narrative?: string | null
  /** The Open Badges JSON of the same thing. */
  jsonUrl: string
  revocationReason?: string | null
  /** What there is to take along, and to check the award by. */
  files: {
    /** The image that carries the assertion; null when it is of a type that cannot. */
    image: string | null
    assertion2: string
    credential: string
    /** Where anyone may have it verified. */
    verify: string
  }
}

/** What a page says about a badge class. */
export type BadgePage = Pick<AwardPage, 'url' | 'badge' | 'issuers' | 'jsonUrl'> & {
  archived: boolean
}

/** What a page says about a system, issuer or program. */
export type IssuerPage = {
  url: string
  name: string
  website: string
  description: string | null
  email: string | null
  image: string | null
  jsonUrl: string
  /** What can be earned there now; not all of it when there is `more`. */
  badges: { name: string; strapline: string | null; image: string | null; url: string }[]
  more: boolean
}

/** What is left to say about an award that has ended: nothing of the earner, nothing of the badge. */
export type EndedPage = {
  url: string
  how: 'revoked' | 'suspended' | 'renewed'
  reason: string | null
  /** The page of the award that took its place. */
  next: string | null
}
