import * as z from 'zod'
import { invalid, tooLarge } from './errors'
import type { Upload } from './fields'
import { decodeDataUri, type ImageFile, MAX_IMAGE_BYTES, readImage } from './imageFile'
import { type NewImage, named } from './store/images'
import { url } from './values'

/** What a request gives as the image of a container or badge: contract §3.6. */
type Given = { url: string } | ImageFile | { own: string } | null

const OWN_PATH = /^\/(?:public\/)?images\/[^/?#]+$/

/**
 * Takes the image out of the three places where clients put it: a file or text `image`, else `imageUrl`. For `z.preprocess`
 * before an object with the member `image`.
 */
export function takeImage(fields: unknown): unknown {
  if (typeof fields !== 'object' || fields === null) return fields
  const { image, imageUrl, ...others } = fields as Record<string, unknown>
  const isEmptyFile = isUpload(image) && image.bytes.length === 0
  const given =
    image === undefined || image === null || image === '' || isEmptyFile ? imageUrl : image
  return { ...others, image: given }
}

const isUpload = (value: unknown): value is Upload =>
  typeof value === 'object' && value !== null && (value as Upload).bytes instanceof Uint8Array

/** The member `image`: absent or empty, it is undefined. Throws 413 for a file over 1.5 MB. */
export const image = z
  .unknown()
  .meta({ type: ['string', 'null'], description: 'A URL, a `data:` URI, or an uploaded file' })
  .transform((given, context): Given | undefined => {
    const refuse = (field: string, message: string) => {
      context.issues.push({ code: 'custom', message, input: given, params: { field, given } })
      return z.NEVER
    }
    if (given === undefined || given === null || given === '') return undefined
    if (isUpload(given)) return readFile(given.bytes) ?? refuse('mimetype', 'Invalid characters')
    if (typeof given !== 'string') return refuse('image', 'Invalid value')
    if (/^data:/i.test(given)) {
      const bytes = decodeDataUri(given)
      return (bytes && readFile(bytes)) ?? refuse('mimetype', 'Invalid characters')
    }
    if (OWN_PATH.test(given)) return { own: given }
    return url().safeParse(given).success ? { url: given } : refuse('url', 'Invalid URL')
  })

/** The same where an image must be given. */
export const requiredImage = image.transform((given, context) => {
  if (given !== undefined) return given
  context.issues.push({ code: 'custom', message: 'Missing value', input: given })
  return z.NEVER
})

function readFile(bytes: Uint8Array<ArrayBuffer>): ImageFile | null {
  if (bytes.length > MAX_IMAGE_BYTES) throw tooLarge(MAX_IMAGE_BYTES)
  return readImage(bytes)
}

/** The image to keep; null when the request leaves the image as it is, as a URL of ours means. */
export async function changedImage(
  given: Given | undefined,
  origin: string,
): Promise<NewImage | null> {
  if (!given || 'own' in given) return null
  if (
    'url' in given &&
    given.url.startsWith(origin) &&
    OWN_PATH.test(given.url.slice(origin.length))
  ) {
    return null
  }
  return named(given)
}

/** The image of something new, which has none yet that a path of ours could stand for. */
export async function newImage(given: Given | undefined): Promise<NewImage | null> {
  if (!given) return null
  if ('own' in given) throw invalid({ message: 'Invalid URL', field: 'url', value: given.own })
  return named(given)
}
