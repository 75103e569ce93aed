#!/usr/bin/env node
import { Stop } from './lib/cli.mjs'
/** `npx badgekit COMMAND …`: the command line. Each command is a file of its own beside this one. */
import { commands, describe } from './lib/commands.mjs'

const HELP = `Usage: npx badgekit COMMAND [...]

${describe()}

\`npx badgekit help COMMAND\` tells more of one, with examples.

Where requests go and who signs them: http://127.0.0.1:8787 and the master secret in .dev.vars, unless
the environment says otherwise:

  BADGEKIT_URL      another server
  BADGEKIT_KEY      another key than "master", with its
  BADGEKIT_SECRET   secret
  BADGEKIT_SECRETS  the file that \`npm run deploy\` made, in place of the three above

What was asked for goes to standard output, everything else to standard error. The exit code is 0 when it
was done, 1 when it was refused or failed, 2 when the command was not understood.
`

/**
 * @param {string[]} argv
 * @returns {Promise<number>}
 */
async function main([name, ...rest]) {
  if (name === undefined || name === '--help' || name === '-h') return tell(HELP, name ? 0 : 2)
  if (name === 'help') return tell(await helpOf(rest[0]), 0)
  const load = commands[name]?.load
  if (!load) throw new Stop(`There is no command ${name}. \`npx badgekit help\` lists them.`, 2)
  const command = await load()
  if (rest.includes('--help') || rest.includes('-h')) return tell(command.help, 0)
  return command.run(rest, name)
}

/** @param {string | undefined} name */
async function helpOf(name) {
  if (name === undefined) return HELP
  const load = commands[name]?.load
  if (!load) throw new Stop(`There is no command ${name}. \`npx badgekit help\` lists them.`, 2)
  return (await load()).help
}

/**
 * @param {string} text
 * @param {number} code
 */
function tell(text, code) {
  process[code === 0 ? 'stdout' : 'stderr'].write(text)
  return code
}

// Who reads only the start of what we print (`| head`) closes the pipe: no reason for a stack.
process.stdout.on('error', (error) => {
  if (/** @type {NodeJS.ErrnoException} */ (error).code === 'EPIPE') process.exit(0)
  throw error
})

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const isExpected =
    error instanceof Stop || !(error instanceof Error) || process.env.DEBUG === undefined
  process.stderr.write(
    `${isExpected ? (error instanceof Error ? error.message : error) : error.stack}\n`,
  )
  process.exitCode = error instanceof Stop ? error.code : 1
}
