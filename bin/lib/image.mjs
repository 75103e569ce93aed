/** An image as somebody names it: an address stays, a file becomes a `data:` address. */
import { readFileSync } from 'node:fs'
import { Stop } from './cli.mjs'

/** @param {string | undefined} given */
export function imageOf(given) {
  if (given === undefined || /^(?:https?|data):/.test(given)) return given
  try {
    // The server tells by the bytes what it is.
    return `data:image/png;base64,${readFileSync(given).toString('base64')}`
  } catch {
    throw new Stop(`There is no file ${given}.`, 2)
  }
}
