/**
 * Tells systemd that the service is ready, alive and stopping (sd_notify(3)), when systemd wants to know. Node has
 * no datagram sockets of the Unix kind, so the program `systemd-notify` does it, which every systemd has; the unit
 * needs NotifyAccess=all.
 */

import { execFile as nodeExecFile } from 'node:child_process'
import { type Clock, systemClock, type Timer } from '../base/clock.ts'
import { type Log, reasonOf } from '../base/log.ts'

const NOTIFY_TIMEOUT_MS = 10_000

export interface Systemd {
  /** Resolves when systemd knows, or is not there, or could not be told; never rejects. Starts the watchdog. */
  ready(): Promise<void>
  /** Likewise; ends the watchdog. */
  stopping(): Promise<void>
}

type Run = (file: string, args: readonly string[], env: NodeJS.ProcessEnv) => Promise<void>

/** A failure is logged once and stops nothing: systemd itself acts on what it is not told. */
export function makeSystemd(
  log: Log,
  env: NodeJS.ProcessEnv = process.env,
  clock: Clock = systemClock,
  run: Run = execFile,
): Systemd {
  const interval = watchdogInterval(env)
  let watchdog: Timer | undefined
  let stopped = false
  let failed = false

  const notify = async (state: string) => {
    if (!env.NOTIFY_SOCKET) return
    try {
      await run('systemd-notify', [state], { PATH: env.PATH, NOTIFY_SOCKET: env.NOTIFY_SOCKET })
      failed = false
    } catch (error) {
      if (!failed) log.warn('systemd could not be told', { state, reason: reasonOf(error) })
      failed = true
    }
  }
  const watch = (ms: number) => {
    watchdog = clock.after(ms, () => {
      // The next sign of life is due whether or not this one gets through.
      if (!stopped) watch(ms)
      void notify('WATCHDOG=1')
    })
  }

  return {
    async ready() {
      await notify('READY=1')
      if (interval !== undefined && !stopped) watch(interval)
    },
    stopping() {
      stopped = true
      watchdog?.cancel()
      return notify('STOPPING=1')
    },
  }
}

/** Half of what systemd waits for, in milliseconds, as sd_watchdog_enabled(3) advises; undefined without a watchdog. */
function watchdogInterval({
  NOTIFY_SOCKET,
  WATCHDOG_USEC,
  WATCHDOG_PID,
}: NodeJS.ProcessEnv): number | undefined {
  const microseconds = Number(WATCHDOG_USEC)
  if (!NOTIFY_SOCKET || !(microseconds > 0)) return undefined
  if (WATCHDOG_PID !== undefined && Number(WATCHDOG_PID) !== process.pid) return undefined
  return microseconds / 2000
}

function execFile(file: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  return new Promise((resolve, reject) => {
    nodeExecFile(file, args, { env, timeout: NOTIFY_TIMEOUT_MS }, error =>
      error ? reject(error) : resolve(),
    )
  })
}
