/** What a page of the documentation tells its reader to type, and says that will be seen. */

/** A command, and the lines under it. */
export type Told = { command: string; output: string }

const BLOCK = /^```(\w+)\n([\s\S]*?)^```$/gm

export const blocksOf = (page: string) =>
  [...page.matchAll(BLOCK)].map(({ 1: language = '', 2: text = '', index, 0: whole }) => ({
    language,
    text,
    /** The paragraph above it, and the line below. */
    before: page.slice(0, index).trimEnd().split('\n\n').at(-1) ?? '',
    after: page.slice(index + whole.length).trimStart(),
  }))

/** The commands of all `console` blocks, in order. */
export const commandsOf = (page: string): Told[] =>
  blocksOf(page)
    .filter(({ language }) => language === 'console')
    .flatMap(({ text }) => text.split(/^\$ /m).slice(1))
    .map((text) => {
      const [command = '', ...lines] = text.split('\n')
      return { command, output: lines.join('\n').trimEnd() }
    })

/** The files that a page has its reader write: the paragraph above such a block names it. */
export const filesOf = (page: string) =>
  blocksOf(page).flatMap(({ language, text, before }) => {
    const [, name] = /`([\w-]+\.(?:json|mjs|sh|csv))`/.exec(before) ?? []
    return name && language !== 'console' && language !== 'http' ? [{ name, text }] : []
  })

/** What differs from run to run. Each kind is compared by its form alone, and by whether the same one comes again. */
const LOOSE = [
  String.raw`whsec_[\w+/=]+`,
  String.raw`evt_[0-9a-f]+_\d+`,
  String.raw`\b[0-9a-f]{10,}\b`,
  String.raw`(?<="id": ?|webhook )\d+`,
  String.raw`\d{4}-\d\d-\d\dT[\d:.]+Z`,
  String.raw`\b\d+(?= m?s\b)`,
]
const NUMBER = 3
const FIRST_TIME = 4
const ANY = new RegExp(LOOSE.map((form) => `(${form})`).join('|'), 'g')

const quoted = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/**
 * Whether an output is the one that was told, where `…` stands for anything: in a line, or for whole lines. What the page's own
 * random names are here goes into `names`, for the commands that follow. Gives what was seen instead, or nothing.
 */
export function difference(told: string, seen: string, names: Map<string, string>) {
  const tokens: { token: string; kind: number }[] = []
  const pattern = told
    .split(/\s*…\s*/)
    .map((piece) => {
      let [text, at] = ['', 0]
      for (const match of piece.matchAll(ANY)) {
        const kind = match.slice(1).findIndex((one) => one !== undefined)
        tokens.push({ token: match[0], kind })
        text += `${quoted(piece.slice(at, match.index))}(${LOOSE[kind]})`
        at = match.index + match[0].length
      }
      return text + quoted(piece.slice(at))
    })
    .join('[\\s\\S]*?')
  const found = new RegExp(`^${pattern}$`).exec(seen.trim())
  if (!found) return seen
  for (const [index, { token, kind }] of tokens.entries()) {
    const value = found[index + 1] ?? ''
    if (kind >= FIRST_TIME) continue
    // Numbers are no names: 21 is in many a text, and another thing's number as well.
    if (kind === NUMBER) {
      names.set(`Id":${token}`, `Id":${value}`)
      continue
    }
    if ((names.get(token) ?? value) !== value) {
      return `${token} was ${names.get(token)}, and now it is ${value}`
    }
    names.set(token, value)
  }
  return undefined
}

/** A command with the names that came in place of those of the page: all at once, as one may be another's. */
export const renamed = (command: string, names: ReadonlyMap<string, string>) =>
  names.size === 0
    ? command
    : command.replace(
        new RegExp(`(?:${[...names.keys()].map(quoted).join('|')})(?!\\w)`, 'g'),
        (name) => names.get(name) ?? name,
      )
