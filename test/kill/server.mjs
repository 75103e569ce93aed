/** The server of `host.mjs` in a process group of its own, so that a kill takes workerd along. */
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { freePort, statOf } from '../../scripts/bench/servers.mjs'

const HOST = fileURLToPath(new URL('host.mjs', import.meta.url))

/**
 * @param {string} script our Worker, built
 * @param {string} state the folder of its database
 * @param {number} speed how many times faster than in life the waits between attempts pass
 * @param {number} [every] milliseconds from sweep to sweep
 */
export async function serverOn(script, state, speed, every = 250) {
  const port = await freePort()
  /** @type {import('node:child_process').ChildProcess | undefined} */
  let child
  return {
    port,

    async start() {
      const args = [script, state, port, speed, every].map(String)
      const started = spawn(process.execPath, [HOST, ...args], {
        detached: true,
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      child = started
      await new Promise((done, fail) => {
        started.stdout?.once('data', done)
        started.once('exit', () => fail(new Error('The server did not start')))
      })
    },

    async kill() {
      const doomed = child
      if (doomed?.pid === undefined || doomed.exitCode !== null || doomed.signalCode !== null)
        return
      const gone = new Promise((done) => doomed.once('exit', done))
      process.kill(-doomed.pid, 'SIGKILL')
      await gone
    },

    /** What workerd takes: megabytes now and at the most, milliseconds of CPU. Not known where there is no `/proc`. */
    usage() {
      const pid = workerdOf(child?.pid)
      const status = pid === undefined ? '' : readFileSync(`/proc/${pid}/status`, 'utf8')
      const megabytes = (/** @type {string} */ name) =>
        Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? Number.NaN) / 1024
      const cpu = pid === undefined ? undefined : statOf(pid)?.cpu
      return { memory: megabytes('VmRSS'), peak: megabytes('VmHWM'), cpu: cpu ?? Number.NaN }
    },
  }
}

/** The workerd of a host. */
function workerdOf(/** @type {number | undefined} */ host) {
  if (process.platform !== 'linux') return undefined
  return readdirSync('/proc').find((pid) => {
    const stat = /^\d+$/.test(pid) ? statOf(pid) : undefined
    return stat?.name === 'workerd' && stat.parent === String(host)
  })
}
