import { isLoopback } from './outbound'
import { optionalUrl } from './values'

/**
 * The organisation's own page on which earners claim a code, as an address with `{code}` in it, and `{badge}` where the badge's slug
 * is wanted. Printed codes carry it, so it is short enough for a QR code that a phone reads.
 */

const MAX = 500

/** The field; an empty text is null. */
export const claimUrl = () =>
  optionalUrl().refine(
    (template) => template == null || isTemplate(template),
    `Not an https URL with \`{code}\` in it, of ${MAX} characters at most`,
  )

function isTemplate(given: string): boolean {
  const url = URL.parse(given)
  if (!url || given.length > MAX || !given.includes('{code}')) return false
  // What stands for it may not say which host is asked.
  if (url.host.includes('{') || url.username !== '' || url.password !== '') return false
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname))
}

/** Where a code of a badge is claimed: an absolute URL in ASCII. */
export function claimUrlOf(template: string, badge: string, code: string): string {
  const url = template
    .replaceAll('{badge}', () => encodeURIComponent(badge))
    .replaceAll('{code}', () => encodeURIComponent(code))
  return new URL(url).href
}
