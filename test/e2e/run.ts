/** Runs a command to its end. */

import { execFile } from 'node:child_process'
import path from 'node:path'

/** The command `xaps`, as compiled together with the test. */
export const XAPS = path.join(__dirname, '..', '..', 'plugins', 'xaps', 'cli', 'main.js')

export interface Ended {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
}

/** Resolves when `command` has ended, whatever its exit status. Rejects when it cannot be started or was killed. */
export function run(command: string, args: readonly string[], { cwd, env }: RunOptions = {}): Promise<Ended> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { cwd, env: { ...process.env, ...env } }, (error, stdout, stderr) => {
      const status = error ? error.code : 0
      if (typeof status === 'number') resolve({ status, stdout, stderr })
      else reject(error)
    })
  })
}

/** `xaps ARGS…` */
export function xaps(args: readonly string[], options?: RunOptions): Promise<Ended> {
  return run(process.execPath, [XAPS, ...args], options)
}
