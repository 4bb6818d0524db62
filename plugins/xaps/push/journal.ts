/**
 * Users with pending events, on disk: a push that is pending when its process is killed is made by the process that comes next.
 * Each process appends to a file of its own: a line when the first event of a user comes, and one when nothing of that user's is
 * pending any more; what comes in one go, as the recipients of a mail do, is one write, in the turn of the event loop in which it
 * has come. Nothing is synced: a process may be killed at any time, but a power failure may cost the wake-ups of the last seconds. Where the file cannot be written pushes go on without it.
 */

import type { Clock, Timer } from '../base/clock.ts'
import { type Log, reasonOf } from '../base/log.ts'
import { TransitionLog } from '../base/transition-log.ts'
import type { JournalFiles } from './journal-files.ts'

/** That a user has nothing pending any more is written with the next user that has, or after so long, in milliseconds. */
const WRITE_LEFT_AFTER_MS = 5

/** A file that is larger is written anew, unless that much of it was needed when it was last. In characters. */
const LARGE = 256 * 1024

/** How long nothing is written after it failed, in milliseconds: to write all anew takes a while where much is pending. */
const TRY_AGAIN_AFTER_MS = 5_000

const NOT_TAKEN = 'pushes that a process has left on disk cannot be taken over'

/** A user whose events were pending in a process that has ended. */
export interface LeftUser {
  readonly user: string
  /** When the first of the events came, ms since the epoch. */
  readonly at: number
}

export class Journal {
  readonly #files: JournalFiles
  readonly #log: Log
  readonly #clock: Clock
  readonly #transitions: TransitionLog
  /** By user: how many parts of this process have events of the user, and when the first one came. */
  readonly #pending = new Map<string, { parts: number; readonly at: number }>()
  /** What the file does not say yet. */
  readonly #entered = new Set<string>()
  readonly #left = new Set<string>()
  #written = 0
  #limit = LARGE
  /** The file is as it should be, but for what is to be written. */
  #isGood = true
  #isScheduled = false
  #timer: Timer | undefined
  #tryingAgain: Timer | undefined
  /** Why the last try to take over failed; empty where it did not. */
  #notTaken: ReadonlySet<string> = new Set()
  #closed = false

  constructor(files: JournalFiles, log: Log, clock: Clock) {
    this.#files = files
    this.#log = log
    this.#clock = clock
    this.#transitions = new TransitionLog('kept', clock)
  }

  /** A part of this process has an event of `user`, until it calls leave(). */
  enter(user: string): void {
    if (this.#closed) return
    const known = this.#pending.get(user)
    if (known) {
      known.parts += 1
      return
    }
    this.#pending.set(user, { parts: 1, at: this.#clock.now() })
    if (this.#left.delete(user)) return
    this.#entered.add(user)
    this.#schedule()
  }

  leave(user: string): void {
    const known = this.#pending.get(user)
    if (!known || this.#closed) return
    known.parts -= 1
    if (known.parts > 0) return
    this.#pending.delete(user)
    if (this.#entered.delete(user)) return
    this.#left.add(user)
    this.#timer ??= this.#clock.after(WRITE_LEFT_AFTER_MS, () => this.#writeSoon())
  }

  /**
   * Calls `resume` for each user that processes have left which are no longer there. It must lead to enter() at once: what is
   * read is removed afterwards. A file that cannot be read is left, which is logged once. Never throws.
   */
  takeOver(resume: (left: LeftUser) => void): void {
    let users = 0
    const causes = new Set<string>()
    const attempt = <T>(work: () => T): T | undefined =>
      this.#attempt(work, cause => {
        causes.add(cause)
        // This is tried every few seconds, and a disk may be away for long.
        if (!this.#notTaken.has(cause)) this.#log.warn(NOT_TAKEN, { cause })
      })
    const files = this.#files
    for (const name of attempt(() => files.left()) ?? []) {
      const text = attempt(() => files.take(name))
      if (text === undefined) continue
      const left = usersLeftIn(text)
      for (const user of left) resume(user)
      users += left.length
      this.#write()
      if (this.#isGood) attempt(() => files.remove(name))
    }
    this.#notTaken = causes
    if (users > 0) this.#log.notice('pushes that were pending when a process ended are made now', { users })
  }

  /** Writes all, for the process that comes next. From now on nothing changes. */
  close(): void {
    if (this.#closed) return
    this.#write()
    this.#closed = true
    this.#tryingAgain?.cancel()
    this.#transitions.close()
    this.#attempt(
      () => this.#files.close(this.#pending.size > 0),
      cause => this.#log.warn('the file of pending pushes cannot be closed', { cause }),
    )
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    // When all promises that can settle by now have, so that a user without devices needs no line; and before anything else, a
    // kill among them: at the end of the turn other mails would have come and gone.
    queueMicrotask(() => process.nextTick(() => this.#writeEntered()))
  }

  #writeEntered(): void {
    this.#isScheduled = false
    if (this.#entered.size > 0) this.#writeSoon()
  }

  #writeSoon(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    // What is written then is all that is pending.
    if (!this.#tryingAgain && !this.#closed) this.#write()
  }

  /** Never throws. */
  #write(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    const lines = [...[...this.#entered].map(user => this.#lineOf(user)), ...[...this.#left].map(lineOfLeft)]
    this.#entered.clear()
    this.#left.clear()
    try {
      if (this.#isGood && this.#written < this.#limit) this.#append(lines.join(''))
      else this.#writeAnew()
      this.#transitions.to('kept', counted =>
        this.#log.notice('pending pushes are kept on disk again', counted),
      )
    } catch (error) {
      this.#isGood = false
      this.#tryingAgain?.cancel()
      this.#tryingAgain = this.#clock.after(TRY_AGAIN_AFTER_MS, () => this.#tryAgain())
      const cause = reasonOf(error)
      this.#transitions.to('memory', counted =>
        this.#log.warn('pending pushes are kept in memory alone: a process that is killed loses them', {
          cause,
          ...counted,
        }),
      )
    }
  }

  #tryAgain(): void {
    this.#tryingAgain = undefined
    this.#write()
  }

  #append(text: string): void {
    if (text === '') return
    this.#files.append(text)
    this.#written += text.length
  }

  #writeAnew(): void {
    const text = [...this.#pending.keys()].map(user => this.#lineOf(user)).join('')
    this.#files.replace(text)
    this.#written = text.length
    this.#limit = Math.max(LARGE, 4 * text.length)
    this.#isGood = true
  }

  #lineOf(user: string): string {
    return `+ ${this.#pending.get(user)?.at ?? 0} ${JSON.stringify(user)}\n`
  }

  #attempt<T>(work: () => T, failed: (cause: string) => void): T | undefined {
    try {
      return work()
    } catch (error) {
      failed(reasonOf(error))
      return undefined
    }
  }
}

function lineOfLeft(user: string): string {
  return `- ${JSON.stringify(user)}\n`
}

const LINE = /^(?:\+ (\d+)|-) (".*")$/

/** The users that still have something pending at the end of a file. A line that was cut off says nothing. */
function usersLeftIn(text: string): LeftUser[] {
  const left = new Map<string, LeftUser>()
  for (const line of text.split('\n')) {
    const [, at, name] = LINE.exec(line) ?? []
    const user = name === undefined ? undefined : stringIn(name)
    if (user === undefined) continue
    if (at === undefined) left.delete(user)
    else left.set(user, { user, at: Number(at) })
  }
  return [...left.values()]
}

function stringIn(json: string): string | undefined {
  try {
    return JSON.parse(json) as string
  } catch {
    // Not a whole string: a line that was not written to its end.
    return undefined
  }
}
