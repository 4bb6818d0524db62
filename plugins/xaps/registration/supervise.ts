/**
 * Keeps one child process running, and no longer than its parent. Knows nothing of what the child does. It never
 * throws into its owner and keeps no event loop alive.
 */

import { type ChildProcess, spawn as nodeSpawn } from 'node:child_process'
import { type Clock, systemClock, type Timer } from '../clock.ts'
import { type Log, reasonOf } from '../log.ts'
import { parseLogLine } from '../stderr-log.ts'
import { eachLine } from './each-line.ts'

/** Milliseconds between a death and the next start: doubling, from the first to the longest. */
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 15_000

/** A child that lived so long was well: the next death is a first one again. */
const WELL_AFTER_MS = 10_000

/** A child that lives so long is up. */
const UP_AFTER_MS = 1_000

/** From SIGTERM to SIGKILL. */
const STOP_TIMEOUT_MS = 5_000

/** All that a child needs of the environment; Haraka's may hold secrets. */
const ENVIRONMENT = [
  'PATH',
  'TZ',
  'LANG',
  'LC_ALL',
  'NODE_EXTRA_CA_CERTS',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'NODE_V8_COVERAGE',
] as const

export interface SuperviseOptions {
  readonly command: string
  readonly args: readonly string[]
  /** Added to the little that the child gets of our environment. */
  readonly env?: Readonly<Record<string, string>>
  /** Descriptors that the child inherits, from 3 on. */
  readonly fds?: readonly number[]
  /** The one line that each child finds on its standard input; asked for at every start. */
  readonly input?: () => string
  /** Whom the child runs as, when we are root; it then has no other groups. */
  readonly uid?: number | undefined
  readonly gid?: number | undefined
}

export interface Supervised {
  /** Of the child that runs, if one does. */
  readonly pid: number | undefined
  /** Ends the child, by SIGKILL when it takes more than 5 s, and starts none any more. Resolves when it has ended. */
  stop(): Promise<void>
}

/** Starts the child. What it writes to standard error goes to `log`, at the level that each line says. */
export function supervise(
  options: SuperviseOptions,
  log: Log,
  clock: Clock = systemClock,
  spawn: typeof nodeSpawn = nodeSpawn,
): Supervised {
  const supervisor = new Supervisor(options, log, clock, spawn)
  supervisor.start()
  return supervisor
}

class Supervisor implements Supervised {
  readonly #options: SuperviseOptions
  readonly #log: Log
  readonly #clock: Clock
  readonly #spawn: typeof nodeSpawn
  #child: ChildProcess | undefined
  #timer: Timer | undefined
  #startedAt = 0
  #pause = FIRST_PAUSE_MS
  /** What the log says. */
  #reported: 'up' | 'gone' | undefined
  #stopping = false
  #ended: () => void = () => undefined

  constructor(options: SuperviseOptions, log: Log, clock: Clock, spawn: typeof nodeSpawn) {
    this.#options = options
    this.#log = log
    this.#clock = clock
    this.#spawn = spawn
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  start(): void {
    this.#startedAt = this.#clock.now()
    try {
      this.#watch(this.#spawnChild())
    } catch (error) {
      this.#onGone(reasonOf(error))
    }
  }

  stop(): Promise<void> {
    this.#stopping = true
    this.#timer?.cancel()
    const child = this.#child
    if (!child) return Promise.resolve()
    const kill = this.#clock.after(STOP_TIMEOUT_MS, () => child.kill('SIGKILL'))
    return new Promise(resolve => {
      this.#ended = () => {
        kill.cancel()
        resolve()
      }
      // Whoever waits for the end must live to see it.
      child.ref()
      child.kill('SIGTERM')
      child.stdin?.destroy()
    })
  }

  #spawnChild(): ChildProcess {
    const { command, args, env, fds = [], uid, gid } = this.#options
    const root = process.getuid?.() === 0
    return this.#spawn(command, args, {
      env: { ...environment(process.env), ...env },
      // Nothing follows the line on standard input: its end tells the child that we are gone.
      stdio: ['pipe', 'ignore', 'pipe', ...fds],
      // A Ctrl-C at the terminal is for us; we end the child in our own time.
      detached: true,
      ...(root && uid !== undefined ? { uid } : {}),
      ...(root && gid !== undefined ? { gid } : {}),
    })
  }

  #watch(child: ChildProcess): void {
    child.on('error', error => {
      // With a pid it was a signal that failed, and the child is still there.
      if (child.pid === undefined) this.#onGone(reasonOf(error))
    })
    // After a start that failed there are neither pid nor streams, or not all of them.
    child.stdin?.on('error', () => undefined)
    if (child.pid === undefined) return
    if (this.#options.input) child.stdin?.write(`${this.#options.input()}\n`)
    this.#child = child
    child.on('exit', (code, signal) => this.#onGone(signal ?? `exit code ${code}`))
    if (child.stderr) {
      eachLine(child.stderr, line => {
        const { level, text } = parseLogLine(line)
        this.#log[level](text)
      })
    }
    for (const held of [child, child.stdin, child.stderr]) unref(held)
    this.#timer = this.#clock.after(UP_AFTER_MS, () => this.#report('up'))
  }

  #onGone(reason: string): void {
    this.#child = undefined
    this.#timer?.cancel()
    if (this.#stopping) return this.#ended()
    if (this.#clock.now() - this.#startedAt >= WELL_AFTER_MS) this.#pause = FIRST_PAUSE_MS
    this.#report('gone', reason)
    this.#timer = this.#clock.after(this.#pause, () => this.start())
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS)
  }

  #report(state: 'up' | 'gone', reason = ''): void {
    if (state === this.#reported) return
    this.#reported = state
    if (state === 'gone') this.#log.error('companion is gone, starting it again', { reason })
    else this.#log.notice('companion is up', { pid: this.pid ?? 0 })
  }
}

function environment(all: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    ENVIRONMENT.filter(name => all[name] !== undefined).map(name => [name, all[name]]),
  )
}

/** Child processes and the pipes to them have it; the type of a stream does not say so. */
function unref(held: unknown): void {
  const { unref } = (held ?? {}) as { unref?: () => void }
  unref?.call(held)
}
