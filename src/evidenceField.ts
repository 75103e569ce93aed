import * as z from 'zod'
import { itemsOf, optionalText, text } from './values'

/** What a request says of how an award was earned. */

const MAX_TEXT = 10_000
const MAX_ITEMS = 50

/** Markdown. */
export const narrative = () => optionalText(MAX_TEXT)

/** An absolute web address: of anything else no document could make an id. */
const address = text(1, 2_082)
  .meta({ format: 'uri' })
  .transform((given, context): string => {
    const url = URL.parse(given)
    if (url && /^https?:$/.test(url.protocol)) return url.href
    context.issues.push({ code: 'custom', message: 'Invalid URL', input: given })
    return z.NEVER
  })

const Item = z.preprocess(
  (given) => (typeof given === 'string' ? { url: given } : given),
  z.object({
    url: address,
    name: optionalText(255),
    description: optionalText(MAX_TEXT),
    narrative: narrative(),
    genre: optionalText(255),
    audience: optionalText(255),
  }),
)

/** Pieces of evidence, or the address of one, as the JSON that is kept; null for none. */
export const evidence = () =>
  itemsOf(Item).transform((items, context): string | null | undefined => {
    if (!items) return items
    if (items.length > MAX_ITEMS) {
      context.issues.push({ code: 'custom', message: `More than ${MAX_ITEMS}`, input: items })
      return z.NEVER
    }
    const said = items.map((item) => Object.entries(item).filter(([, value]) => value))
    return said.length === 0 ? null : JSON.stringify(said.map(Object.fromEntries))
  })
