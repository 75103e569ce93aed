/** Small values: of the dump, and of what is made of it. */
import { createHash } from 'node:crypto'
import { raw } from '../sql.mjs'

/** @typedef {import('./mysqldump.mjs').Value} Value */

/** @param {Value | undefined} value */
export const numberOf = (value) => (value == null || value === '' ? null : Number(value))

/** @param {Value | undefined} value */
export const flag = (value) =>
  value == null || value === '' || value === '0' || value === '\0' ? 0 : 1

/** What is compared without ASCII case: our slugs. @param {string} text */
export const folded = (text) => text.replace(/[A-Z]/g, (letter) => letter.toLowerCase())

/** 32 random hex digits, made by the database. */
export const RANDOM = raw('lower(hex(randomblob(16)))')

/** @param {string} text @param {number} bytes */
export const digest = (text, bytes) =>
  createHash('sha256')
    .update(text)
    .digest('hex')
    .slice(0, 2 * bytes)
