/**
 * Keeps one child process running: starts it again when it has ended or says nothing any more, and ends it. The channel
 * between the two takes lines of JSON to the child (parent-link.ts is its side), which answers each by any byte: answers
 * are counted and not read, since the child may be in an attacker's hands. It closes with the parent, however that ends.
 * Knows no work of the child's; never throws into its owner, and keeps no event loop alive.
 */

import { type ChildProcess, spawn as nodeSpawn } from 'node:child_process'
import type { Duplex, Readable } from 'node:stream'
import { Backoff, NO_JITTER, STANDARD_BACKOFF } from '../base/backoff.ts'
import { type Clock, systemClock, type Timer } from '../base/clock.ts'
import { KILL_AFTER_MS } from '../base/limits.ts'
import { eachLine } from '../base/lines.ts'
import { type Log, parseLogLine, reasonOf } from '../base/log.ts'
import { isRoot } from './only-root.ts'
import { CHANNEL_FD } from './parent-link.ts'

/** A child that lives so long is up; its death is a first one. */
const UP_AFTER_MS = 1_000

/** Milliseconds between two questions to the child whether it lives. */
const ASK_EVERY_MS = 2_000

/**
 * So many in a row without an answer, when the next is due, are ten seconds of silence. Questions are counted, not time: a
 * parent that was held up itself has asked nothing meanwhile.
 */
const MOST_UNANSWERED = 4

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

/** Where the descriptors that a child inherits begin: after the standard ones and the channel. */
export const FIRST_FD = CHANNEL_FD + 1

export interface SuperviseOptions {
  readonly command: string
  readonly args: readonly string[]
  /** Added to the little that the child gets of our environment. */
  readonly env?: Readonly<Record<string, string>>
  /** Descriptors that the child inherits, from FIRST_FD on; asked for at every start. */
  readonly fds?: () => readonly number[]
  /** The first message to each child, plain data; asked for at every start. */
  readonly hello?: () => object
  /** Said with each question whether the child lives, plain data; {} for nothing. */
  readonly news?: () => object
  /** The user and group of the child, when we are root; it then has no other groups. */
  readonly uid?: number | undefined
  readonly gid?: number | undefined
}

/** Starts the child. Its standard error goes to `log`, each line at the level that it says. */
export function supervise(
  options: SuperviseOptions,
  log: Log,
  clock: Clock = systemClock,
  spawn: typeof nodeSpawn = nodeSpawn,
): Supervised {
  const supervised = new Supervised(options, log, clock, spawn)
  supervised.start()
  return supervised
}

export class Supervised {
  readonly #options: SuperviseOptions
  readonly #log: Log
  readonly #clock: Clock
  readonly #spawn: typeof nodeSpawn
  #child: ChildProcess | undefined
  #channel: Duplex | undefined
  /** Of the next start, or of the report that the child is up. */
  #timer: Timer | undefined
  /** Of the next question to the child. */
  #heartbeat: Timer | undefined
  #unanswered = 0
  readonly #backoff = new Backoff(STANDARD_BACKOFF, NO_JITTER)
  /** Whether it was up lately: it is then started again without a pause. */
  #wasUp = true
  /** The state that the log has last. */
  #reported: 'up' | 'gone' | undefined
  #silent = false
  #renewing = false
  #stopping = false
  #ended: () => void = () => undefined

  constructor(options: SuperviseOptions, log: Log, clock: Clock, spawn: typeof nodeSpawn) {
    this.#options = options
    this.#log = log
    this.#clock = clock
    this.#spawn = spawn
  }

  /** Of the child that runs, if one does. */
  get pid(): number | undefined {
    return this.#child?.pid
  }

  start(): void {
    try {
      const hello = this.#options.hello?.()
      this.#watch(this.#spawnChild(), hello)
    } catch (error) {
      this.#onGone(reasonOf(error))
    }
  }

  /** Sends plain data to the child, if one runs; another is told by `hello`. */
  tell(message: object): void {
    if (this.#child && this.#channel) send(this.#channel, message)
  }

  /** Ends the child and starts another one, with what `fds` and `hello` say then. Returns at once. */
  renew(): void {
    // A child that is not there yet, or about to be replaced, starts with those anyway.
    if (!this.#child || this.#renewing || this.#stopping) return
    this.#renewing = true
    this.#end(this.#child)
  }

  /** Ends the child, by SIGKILL when it takes longer than KILL_AFTER_MS, and starts none any more. Resolves when it has ended. */
  stop(): Promise<void> {
    this.#stopping = true
    this.#timer?.cancel()
    const child = this.#child
    if (!child) return Promise.resolve()
    return new Promise(resolve => {
      this.#ended = resolve
      // This process must live until the child has ended.
      child.ref()
      if (!this.#renewing) this.#end(child)
    })
  }

  #end(child: ChildProcess): void {
    const kill = this.#clock.after(KILL_AFTER_MS, () => child.kill('SIGKILL'))
    child.once('exit', () => kill.cancel())
    child.kill('SIGTERM')
  }

  #spawnChild(): ChildProcess {
    const { command, args, env, fds, uid, gid } = this.#options
    const root = isRoot()
    return this.#spawn(command, args, {
      env: { ...environment(process.env), ...env },
      stdio: ['ignore', 'ignore', 'pipe', 'pipe', ...(fds?.() ?? [])],
      // A Ctrl-C at the terminal is for us; we end the child in our own time.
      detached: true,
      ...(root && uid !== undefined ? { uid } : {}),
      ...(root && gid !== undefined ? { gid } : {}),
    })
  }

  #watch(child: ChildProcess, hello: object | undefined): void {
    child.on('error', error => {
      // With a pid it was a signal that failed, and the child is still there.
      if (child.pid === undefined) this.#onGone(reasonOf(error))
    })
    if (child.pid === undefined) return
    this.#child = child
    child.on('exit', (code, signal) => this.#onGone(signal ?? `exit code ${code}`))
    const stderr = child.stderr as Readable
    const channel = child.stdio[CHANNEL_FD] as Duplex
    this.#channel = channel
    eachLine(stderr, line => {
      const { level, text } = parseLogLine(line)
      this.#log[level](text)
    })
    // A channel that is closed has a child that ends, or is replaced because it is silent.
    channel.on('error', () => undefined)
    channel.on('data', () => {
      this.#unanswered = 0
    })
    if (hello) send(channel, hello)
    this.#unanswered = 0
    this.#askLater(child, channel)
    // All three have it; the type of a stream does not say so.
    for (const held of [child, channel, stderr] as { unref?(): void }[]) held.unref?.()
    this.#timer = this.#clock.after(UP_AFTER_MS, () => this.#onUp())
  }

  #askLater(child: ChildProcess, channel: Duplex): void {
    this.#heartbeat = this.#clock.after(ASK_EVERY_MS, () => {
      this.#askLater(child, channel)
      this.#silent = this.#unanswered >= MOST_UNANSWERED
      if (this.#silent) return void child.kill('SIGKILL')
      this.#unanswered += 1
      send(channel, this.#news())
    })
  }

  /** Nothing where what is to be said cannot be: the question is asked all the same. */
  #news(): object {
    try {
      return this.#options.news?.() ?? {}
    } catch (error) {
      this.#log.debug('the companion cannot be told the news', { cause: reasonOf(error) })
      return {}
    }
  }

  #onUp(): void {
    this.#backoff.reset()
    this.#wasUp = true
    this.#report('up')
  }

  #onGone(signal: string): void {
    const reason = this.#silent ? 'it was silent for 10 s and has been killed' : signal
    const renewing = this.#renewing
    this.#child = undefined
    this.#silent = false
    this.#renewing = false
    this.#timer?.cancel()
    this.#heartbeat?.cancel()
    if (this.#stopping) return this.#ended()
    if (renewing) return this.start()
    this.#report('gone', reason)
    this.#timer = this.#clock.after(this.#wasUp ? 0 : this.#backoff.next(), () => this.start())
    this.#wasUp = false
  }

  #report(state: 'up' | 'gone', reason = ''): void {
    if (state === this.#reported) return
    this.#reported = state
    if (state === 'gone') this.#log.error('companion is gone, starting it again', { reason })
    else this.#log.notice('companion is up', { pid: this.pid ?? 0 })
  }
}

function send(channel: Duplex, message: object): void {
  channel.write(`${JSON.stringify(message)}\n`)
}

function environment(all: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    ENVIRONMENT.filter(name => all[name] !== undefined).map(name => [name, all[name]]),
  )
}
