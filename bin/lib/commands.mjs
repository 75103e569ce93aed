/** Every command: its line in the help, and how it is loaded. Only the one that runs is read. */

/**
 * @typedef {object} Command
 * @property {string} help
 * @property {(argv: string[], name: string) => Promise<number>} run gives the exit code
 */

/** @type {Record<string, { summary: string, load: () => Promise<Command> }>} */
export const commands = {
  systems: { summary: 'list, create, show', load: () => import('../containers.mjs') },
  issuers: { summary: 'list, create, show', load: () => import('../containers.mjs') },
  programs: { summary: 'list, create, show', load: () => import('../containers.mjs') },
  badges: { summary: 'list, create, show', load: () => import('../badges.mjs') },
  issue: { summary: 'award a badge, revoke an award', load: () => import('../issue.mjs') },
  awards: {
    summary: 'list, suspend, reinstate, renew awards; their history',
    load: () => import('../awards.mjs'),
  },
  codes: { summary: 'list, create, claim, delete claim codes', load: () => import('../codes.mjs') },
  keys: { summary: 'list, create, rotate, delete keys', load: () => import('../keys.mjs') },
  webhooks: {
    summary: 'list, create, test, delete webhooks',
    load: () => import('../webhooks.mjs'),
  },
  request: {
    summary: 'one signed request: METHOD PATH [BODY]',
    load: () => import('../request.mjs'),
  },
  token: {
    summary: 'the token of one request, or the whole as curl',
    load: () => import('../token.mjs'),
  },
  listen: {
    summary: 'receive webhooks here, check and show them',
    load: () => import('../listen.mjs'),
  },
  doctor: {
    summary: 'look at a deployment from outside, and say what is wrong',
    load: () => import('../doctor.mjs'),
  },
  import: {
    summary: "a mysqldump of BadgeKit's database, or an export, into a database",
    load: () => import('../import.mjs'),
  },
  export: { summary: 'a whole database as NDJSON', load: () => import('../export.mjs') },
}

/** A line for each. */
export function describe() {
  const names = Object.keys(commands)
  const width = Math.max(...names.map((name) => name.length)) + 2
  return names.map((name) => `  ${name.padEnd(width)}${commands[name]?.summary}`).join('\n')
}
