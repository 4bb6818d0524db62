/** Runs a command to its end, or `xaps serve` until it is told to end. */

import { execFile } from 'node:child_process'
import path from 'node:path'
import { type Ids, type ServerProcess, startServer } from '../support/server.ts'

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
  /** Standard input. */
  readonly input?: string
}

/** Resolves when `command` has ended, whatever its exit status. Rejects when it cannot be started or was killed. */
export function run(
  command: string,
  args: readonly string[],
  { cwd, env, input = '' }: RunOptions = {},
): Promise<Ended> {
  // The test runner asks for colours where it runs at a terminal.
  // Node takes a terminal in CI for one without colours.
  const environment = { ...process.env, FORCE_COLOR: undefined, CI: undefined, ...env }
  const options = { cwd, env: environment, maxBuffer: Number.POSITIVE_INFINITY }
  return new Promise((resolve, reject) => {
    const child = execFile(command, args, options, (error, stdout, stderr) => {
      const status = error ? error.code : 0
      if (typeof status === 'number') resolve({ status, stdout, stderr })
      else reject(error)
    })
    // A command that fails need not read to the end.
    child.stdin?.on('error', (error: NodeJS.ErrnoException) => error.code !== 'EPIPE' && reject(error))
    child.stdin?.end(input)
  })
}

/** `xaps ARGS…` */
export function xaps(args: readonly string[], options?: RunOptions): Promise<Ended> {
  return run(process.execPath, [XAPS, ...args], options)
}

/** `xaps -c DIR serve`. Resolves when it says that it is ready. `flags` are Node's. */
export async function serve(dir: string, flags: readonly string[] = []): Promise<ServerProcess> {
  const server = startServer(process.execPath, [...flags, XAPS, '-c', dir, 'serve'])
  await server.waitForOutput(/companion ready/)
  return server
}

/** Arguments of setpriv that make a command run with these ids. */
export function asIds({ uid, gid, groups }: Ids): string[] {
  const others = groups.length > 0 ? ['--groups', groups.join(',')] : ['--clear-groups']
  return ['--reuid', String(uid), '--regid', String(gid), ...others]
}

/** Connects, says what the environment holds, prints what it hears first, or why it hears nothing. */
const SAY = `
require('node:net').connect(process.argv[1], function () { this.write(process.env.SAID) })
  .on('data', reply => { process.stdout.write(reply); process.exit() })
  .on('error', error => { process.stdout.write(error.code); process.exit() })`

/** What a process with these ids hears on a Unix socket to which it says `text`: the reply, or the code of its error. */
export async function askAs(ids: Ids, socket: string, text: string): Promise<string> {
  const args = [...asIds(ids), process.execPath, '-e', SAY, '--', socket]
  return (await run('setpriv', args, { env: { SAID: text } })).stdout
}
