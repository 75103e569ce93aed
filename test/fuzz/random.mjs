/** Random choices that a seed repeats. */

/** @typedef {ReturnType<typeof randomOf>} Random */

export function randomOf(/** @type {number} */ seed) {
  let a = seed
  const next = () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  /** From `min` to `max`, both included. */
  const int = (/** @type {number} */ min, /** @type {number} */ max) =>
    min + Math.floor(next() * (max - min + 1))
  const random = {
    next,
    int,
    chance: (/** @type {number} */ p) => next() < p,
    /** @template T @param {readonly T[]} list @returns {T} */
    pick: (list) => /** @type {T} */ (list[int(0, list.length - 1)]),
    /** @template T @param {readonly T[]} list */
    shuffled(list) {
      const all = [...list]
      for (let i = all.length - 1; i > 0; i--) {
        const j = int(0, i)
        const [one, two] = [all[i], all[j]]
        all[i] = /** @type {T} */ (two)
        all[j] = /** @type {T} */ (one)
      }
      return all
    },
    /** Of letters, digits and blanks, never blank at an end. */
    text(/** @type {number} */ min, /** @type {number} */ max) {
      const length = int(min, max)
      let text = ''
      while (text.length < length) text += random.pick([...'abcdefghijklmnopqrstuvwxyz0123456789 '])
      return text.replace(/^ | $/g, 'x')
    },
    hex: (/** @type {number} */ length) =>
      Array.from({ length }, () => random.pick([...'0123456789abcdef'])).join(''),
  }
  return random
}
