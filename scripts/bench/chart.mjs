/** Line charts beside each other over numbers of awards, as one SVG that can be read on light and on dark. */

/** @typedef {{ name: string, points: number[][] }} Line the points as `[awards, value]`, ascending */
/** @typedef {{ title: string, lines: Line[] }} Panel */

const WIDTH = 300
const HEIGHT = 190
const GAP = 46
const TOP = 40
const COLOURS = ['#0b7a75', '#c8553d', '#6b5ca5', '#b8860b', '#2f6fb0', '#7a7a7a']

/** @param {Panel[]} panels with the same lines */
export function chart(panels) {
  const width = panels.length * (WIDTH + GAP) + GAP / 2
  const names = panels[0]?.lines.map(({ name }) => name) ?? []
  const legendTop = TOP + HEIGHT + 44
  const height = legendTop + Math.ceil(names.length / 3) * 20
  const legend = names.map((name, i) => {
    const x = GAP + (i % 3) * ((width - GAP) / 3)
    const y = legendTop + Math.floor(i / 3) * 20
    return `<path d="M${x} ${y - 4}h18" stroke="${COLOURS[i]}" stroke-width="2.5"/><text x="${x + 24}" y="${y}">${escaped(name)}</text>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">
<title>${escaped(panels.map(({ title }) => title).join('; '))}</title>
<style>text{font:12px system-ui,sans-serif;fill:#57606a}.title{font-weight:600}.axis{stroke:#8b949e;stroke-opacity:.5;fill:none}.end{text-anchor:end}.middle{text-anchor:middle}@media (prefers-color-scheme:dark){text{fill:#c9d1d9}}</style>
${panels.map((panel, i) => drawn(panel, GAP + i * (WIDTH + GAP))).join('\n')}
${legend.join('\n')}
</svg>
`
}

/**
 * @param {Panel} panel
 * @param {number} left
 */
function drawn({ title, lines }, left) {
  const all = lines.flatMap(({ points }) => points)
  const top = niceAbove(Math.max(...all.map(([, value = 0]) => value)))
  const sizes = [...new Set(all.map(([awards = 0]) => awards))]
  const [first = 1, last = 10] = [Math.min(...sizes), Math.max(...sizes)].map(Math.log10)
  const x = (/** @type {number} */ awards) =>
    Math.round(left + ((Math.log10(awards) - first) / (last - first)) * WIDTH)
  const y = (/** @type {number} */ value) => Math.round(TOP + HEIGHT - (value / top) * HEIGHT)
  const grid = [0, 0.5, 1].map(
    (share) =>
      `<path class="axis" d="M${left} ${y(top * share)}h${WIDTH}"/><text class="end" x="${left - 6}" y="${y(top * share) + 4}">${short(top * share)}</text>`,
  )
  const bottom = sizes.map(
    (size) => `<text class="middle" x="${x(size)}" y="${TOP + HEIGHT + 18}">${short(size)}</text>`,
  )
  const curves = lines.map(({ points }, i) => {
    const at = points.map(([awards = 0, value = 0]) => `${x(awards)} ${y(value)}`)
    return `<path d="M${at.join('L')}" fill="none" stroke="${COLOURS[i]}" stroke-width="2.5"/>`
  })
  return `<text class="title" x="${left}" y="18">${escaped(title)}</text>
${[...grid, ...bottom, ...curves].join('\n')}`
}

/** The next of 1, 2 and 5 times a power of ten. @param {number} value */
function niceAbove(value) {
  const power = 10 ** Math.floor(Math.log10(value || 1))
  return [1, 2, 5, 10].map((n) => n * power).find((n) => n >= value) ?? 10 * power
}

/** @param {number} n */
const short = (n) =>
  n >= 1e6 ? `${n / 1e6} M` : n >= 1e3 ? `${n / 1e3} k` : String(Number(n.toPrecision(2)))

/** @param {string} text */
const escaped = (text) => text.replace(/[&<]/g, (one) => (one === '&' ? '&amp;' : '&lt;'))
