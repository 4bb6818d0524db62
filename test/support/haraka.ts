/** A real Haraka in a temporary directory, with this package installed in it as a user would install it. */

import { execFileSync } from 'node:child_process'
import { chownSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { descendantsOf, freePort, type ProcessEntry, type ServerProcess, startServer } from './server.ts'
import { tempDirectory } from './temp.ts'

export interface HarakaOptions {
  /** Lines of config/plugins, in order; `xaps` among them when it is wanted. */
  readonly plugins: readonly string[]
  /** More files of the config directory: name → text. They replace those made here. */
  readonly config?: Readonly<Record<string, string>>
  /** config/xaps.ini; without it the file is not there. */
  readonly xapsIni?: string
  /** 0: one process. Otherwise a cluster with that many workers. */
  readonly nodes?: number
  /** Names or numeric ids that Haraka drops its privileges to. */
  readonly user?: string
  readonly group?: string
  /** Domains of config/host_list. */
  readonly domains?: readonly string[]
  readonly logLevel?: 'debug' | 'info' | 'notice' | 'warn' | 'error'
  /** A directory that holds an installed haraka-plugin-xaps; the one under test otherwise. */
  readonly link?: string
  readonly env?: Readonly<Record<string, string>>
}

export interface Haraka {
  readonly dir: string
  readonly port: number
  /** The process that was started: in a cluster the primary. */
  readonly pid: number
  log(): string
  running(): boolean
  /** Its living children, and theirs. */
  children(): readonly ProcessEntry[]
  waitForLog(pattern: RegExp, timeoutMs?: number): Promise<string>
  /** Ends the process that was started, and it alone, by SIGKILL; its files are left to the test. */
  kill(): Promise<unknown>
  /** After kill(): starts it in the same directory; the log begins anew. Resolves when it listens. */
  startAgain(): Promise<void>
  /** Ends it and all it left behind, and removes its directory. Rejects when Haraka had ended by itself. */
  stop(signal?: NodeJS.Signals): Promise<void>
}

/** The package, whose `dist` holds the running test. */
const ROOT = path.resolve(__dirname, '../../..')
/** The installed one, or that in the directory which XAPS_TEST_HARAKA names. */
const HARAKA = process.env.XAPS_TEST_HARAKA ?? path.dirname(require.resolve('haraka/package.json'))

/** Starts one and resolves when it listens, in a cluster when every worker does. */
export async function startHaraka(options: HarakaOptions): Promise<Haraka> {
  const temp = tempDirectory('xaps-haraka-')
  const port = await freePort()
  writeConfig(temp.path, port, options)
  linkPlugin(temp.path, options.link)
  let server = startIn(temp.path, options)
  const stop = (signal: NodeJS.Signals = 'SIGINT') => server.stop(signal).finally(temp.remove)
  await listens(server, options).catch(error => stop().finally(() => Promise.reject(error)))
  return {
    dir: temp.path,
    port,
    get pid() {
      return server.pid
    },
    log: () => server.output(),
    running: () => server.running(),
    children: () => descendantsOf(server.pid),
    waitForLog: (...wanted) => server.waitForOutput(...wanted),
    kill: () => server.end('SIGKILL'),
    async startAgain() {
      server = startIn(temp.path, options)
      await listens(server, options)
    },
    stop,
  }
}

function startIn(dir: string, { env }: HarakaOptions): ServerProcess {
  return startServer(process.execPath, [path.join(HARAKA, 'bin', 'haraka'), '-c', dir], {
    cwd: dir,
    env: { ...process.env, ...env },
  })
}

async function listens(server: ServerProcess, { nodes = 0 }: HarakaOptions): Promise<void> {
  await server.waitForOutput(new RegExp(`(?:Listening on [^]*){${Math.max(1, nodes)}}`))
}

function writeConfig(dir: string, port: number, options: HarakaOptions): void {
  mkdirSync(path.join(dir, 'config'))
  const files: Record<string, string> = {
    'connection.ini': readFileSync(path.join(HARAKA, 'config', 'connection.ini'), 'utf8'),
    'smtp.ini': smtpIni(port, options),
    'outbound.ini': 'temp_fail_intervals=5s\n',
    'log.ini': `[main]\nlevel=${options.logLevel ?? 'info'}\n`,
    plugins: lines(options.plugins),
    host_list: lines(options.domains ?? ['example.com']),
    me: 'mx.example.com\n',
    ...(options.xapsIni !== undefined && { 'xaps.ini': options.xapsIni }),
    ...options.config,
  }
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(dir, 'config', name), text)
  mkdirSync(path.join(dir, 'queue'))
  if (options.user !== undefined) giveTo(options.user, options.group, dir, path.join(dir, 'queue'))
}

/** Directories that Haraka writes to after it dropped its privileges must belong to that user. */
function giveTo(user: string, group: string | undefined, ...directories: string[]): void {
  const idOf = (flag: string) => Number(execFileSync('id', [flag, user], { encoding: 'utf8' }))
  const gid = /^\d+$/.test(group ?? '') ? Number(group) : idOf('-g')
  for (const directory of directories) chownSync(directory, idOf('-u'), gid)
}

function smtpIni(port: number, { nodes = 0, user, group }: HarakaOptions): string {
  return lines([
    `listen=127.0.0.1:${port}`,
    `nodes=${nodes}`,
    'graceful_shutdown=true',
    // Before 3.1.7 the end of this time is the only end of a cluster that is asked to end.
    'force_shutdown_timeout=5',
    ...Object.entries({ user, group }).flatMap(([key, id]) => (id === undefined ? [] : [`${key}=${id}`])),
  ])
}

/** Puts the package into the directory's node_modules, where Haraka looks for plugins. */
function linkPlugin(dir: string, installed: string = ROOT): void {
  const target = path.join(dir, 'node_modules', 'haraka-plugin-xaps')
  mkdirSync(path.dirname(target))
  symlinkSync(installed, target)
}

function lines(items: readonly string[]): string {
  return `${items.join('\n')}\n`
}
