/** An image as somebody names it: an address stays, a file becomes a `data:` address. */
import { readGiven } from './cli.mjs'

/** @param {string | undefined} given */
export function imageOf(given) {
  if (given === undefined || /^(?:https?|data):/.test(given)) return given
  // The server tells by the bytes what it is.
  return `data:image/png;base64,${readGiven(given).toString('base64')}`
}
