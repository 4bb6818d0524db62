/**
 * A real server as the child of a test: its output kept, its end noticed, nothing of it left behind. Knows no
 * server by name.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import net from 'node:net'
import { until } from './wait.ts'

const STOP_TIMEOUT_MS = 10_000

export interface ServerProcess {
  readonly pid: number
  /** All that it has written so far, to standard output and standard error. */
  output(): string
  /** Whether the server itself still runs. Children of it that outlive it do not count. */
  running(): boolean
  /** Resolves with its output when `pattern` is in it; rejects when the server ends first, or after `timeoutMs`. */
  waitForOutput(pattern: RegExp, timeoutMs?: number): Promise<string>
  /** Sends `signal` to the server alone and resolves with its exit status; null when the signal ended it. */
  end(signal: NodeJS.Signals): Promise<number | null>
  /**
   * Ends the server by `signal`, then whatever it left behind by SIGKILL. Rejects with its output when it had
   * ended before anybody asked it to.
   */
  stop(signal?: NodeJS.Signals): Promise<void>
}

/** Process groups that still have to be ended should the test process exit first. */
const groups = new Set<number>()

/** Starts `command` in a process group of its own. */
export function startServer(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): ServerProcess {
  const child = spawn(command, args, { ...options, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
  const pid = child.pid
  if (pid === undefined) throw new Error(`${command} could not be started`)
  groups.add(pid)
  const output = collectOutput(child)
  let asked = false
  const running = () => child.exitCode === null && child.signalCode === null

  const end = async (signal: NodeJS.Signals) => {
    asked = true
    if (running()) child.kill(signal)
    await until(() => !running(), `${command} to end by ${signal}:\n${output()}`, STOP_TIMEOUT_MS)
    return child.exitCode
  }

  return {
    pid,
    output,
    running,
    end,
    async waitForOutput(pattern, timeoutMs) {
      await until(() => pattern.test(output()) || !running(), `${pattern} in:\n${output()}`, timeoutMs)
      if (!pattern.test(output())) throw new Error(`${command} ended before ${pattern}:\n${output()}`)
      return output()
    },
    async stop(signal = 'SIGTERM') {
      const unexpected = !asked && !running()
      await end(signal).finally(() => killGroup(pid))
      if (unexpected) throw new Error(`${command} ended by itself (${child.exitCode}):\n${output()}`)
    },
  }
}

function collectOutput(child: ChildProcess): () => string {
  const chunks: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => chunks.push(chunk))
  child.on('error', error => chunks.push(Buffer.from(String(error))))
  return () => Buffer.concat(chunks).toString()
}

function killGroup(pid: number): void {
  groups.delete(pid)
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

process.once('exit', () => groups.forEach(killGroup))
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

export interface ProcessEntry {
  readonly pid: number
  readonly parent: number
  /** The command line, its words joined by blanks. */
  readonly command: string
}

/** The living children, grandchildren … of `pid`. Reads /proc, so Linux only. */
export function descendantsOf(pid: number): ProcessEntry[] {
  const all = readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(name => processEntry(Number(name)))
    .filter(entry => entry !== undefined)
  const below = (parent: number): ProcessEntry[] =>
    all.filter(entry => entry.parent === parent).flatMap(entry => [entry, ...below(entry.pid)])
  return below(pid)
}

/** The state of a process in /proc; undefined when it has ended, a zombie included. */
export function processEntry(pid: number): ProcessEntry | undefined {
  try {
    // The fields after the name, which stands in parentheses and may hold blanks: state, parent, …
    const [state, parent] = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
    if (state === 'Z' || state === 'X') return undefined
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
    return { pid, parent: Number(parent), command }
  } catch {
    return undefined
  }
}

/** Users, groups as numbers. */
export interface Ids {
  readonly uid: number
  readonly gid: number
  /** Supplementary groups. */
  readonly groups: readonly number[]
}

/** The effective ids of a living process. */
export function idsOf(pid: number): Ids {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const numbers = (name: string) =>
    (new RegExp(`^${name}:(.*)$`, 'm').exec(status)?.[1]?.match(/\d+/g) ?? []).map(Number)
  const [, uid = Number.NaN] = numbers('Uid')
  const [, gid = Number.NaN] = numbers('Gid')
  return { uid, gid, groups: numbers('Groups') }
}

const given = new Set<number>()

/** A TCP port of 127.0.0.1 that is free, for servers that cannot choose one and tell. No port is given twice. */
export async function freePort(): Promise<number> {
  const probe = net.createServer().listen(0, '127.0.0.1')
  await new Promise((resolve, reject) => probe.once('listening', resolve).once('error', reject))
  const { port } = probe.address() as net.AddressInfo
  await new Promise(resolve => probe.close(resolve))
  if (given.has(port)) return freePort()
  given.add(port)
  return port
}

/** Whether something accepts connections at `address`. */
export function accepts(address: net.NetConnectOpts): Promise<boolean> {
  return new Promise(resolve => {
    const socket = net.connect(address)
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}
