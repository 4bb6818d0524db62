/**
 * Asks Dovecot which user an address belongs to. Connects when asked, again after a failure with growing pauses,
 * and caches answers for a short while. Knows nothing of recipients, nor what is done without an answer.
 */

import { Backoff, NO_JITTER, STANDARD_BACKOFF } from '../base/backoff.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import { type Log, reasonOf } from '../base/log.ts'
import { TransitionLog } from '../base/transition-log.ts'
import { TtlCache } from '../base/ttl-cache.ts'
import { UserDbConnection } from './userdb-connection.ts'
import type { UserDbAnswer } from './userdb-protocol.ts'

/** A user that was renamed or removed is noticed after a minute; one that was just created after ten seconds. */
const KEEP_USER_MS = 60_000
const KEEP_OTHERS_MS = 10_000
const MOST_KEPT = 10_000

/** More names than this are not asked for at a time; Dovecot would not get through them within the time limit. */
const MOST_QUESTIONS = 1_000

const UNANSWERED = "Dovecot's userdb does not answer: users are taken from the addresses meanwhile"

export class UserDb {
  readonly #path: string
  readonly #log: Pick<Log, 'info' | 'warn'>
  readonly #clock: Clock
  readonly #cache: TtlCache<UserDbAnswer>
  readonly #asking = new Map<string, Promise<UserDbAnswer>>()
  readonly #backoff = new Backoff(STANDARD_BACKOFF, NO_JITTER)
  #retryAt = 0
  #connection: UserDbConnection | undefined
  /** A userdb that fails for some names and not for others must not fill the log. */
  readonly #transitions: TransitionLog

  /** `path` is the socket's: auth-userdb in Dovecot's base_dir. */
  constructor(path: string, log: Pick<Log, 'info' | 'warn'>, clock: Clock = systemClock) {
    this.#path = path
    this.#log = log
    this.#clock = clock
    this.#cache = new TtlCache(MOST_KEPT, clock)
    this.#transitions = new TransitionLog('answers', clock)
  }

  /** Resolves within a few seconds whatever Dovecot does; never rejects. */
  lookup(name: string): Promise<UserDbAnswer> {
    const cached = this.#cache.get(name)
    if (cached) return Promise.resolve(cached)
    const asking = this.#asking.get(name) ?? this.#answer(name)
    this.#asking.set(name, asking)
    return asking
  }

  /** Ends the connection for good: every later answer is `unavailable`. */
  close(): void {
    this.#retryAt = Number.POSITIVE_INFINITY
    this.#connection?.close()
    this.#transitions.close()
  }

  async #answer(name: string): Promise<UserDbAnswer> {
    try {
      const answer = await this.#ask(name)
      this.#backoff.reset()
      this.#cache.set(name, answer, answer.kind === 'user' ? KEEP_USER_MS : KEEP_OTHERS_MS)
      this.#note(answer.kind === 'unavailable' ? answer.reason : undefined)
      return answer
    } catch (error) {
      const reason = reasonOf(error)
      this.#note(reason)
      return { kind: 'unavailable', reason }
    } finally {
      this.#asking.delete(name)
    }
  }

  /** Asks a second time when a connection ends that had been good so far: Dovecot was restarted. */
  async #ask(name: string): Promise<UserDbAnswer> {
    if (this.#asking.size >= MOST_QUESTIONS) throw new Error('too many questions at once')
    try {
      return await this.#connected().ask(name)
    } catch (error) {
      if (this.#isPausing()) throw error
    }
    return this.#connected().ask(name)
  }

  #connected(): UserDbConnection {
    if (this.#connection) return this.#connection
    if (this.#isPausing()) throw new Error('not reachable a moment ago')
    this.#connection = new UserDbConnection(this.#path, this.#clock, failed => {
      this.#connection = undefined
      if (failed) this.#retryAt = Math.max(this.#retryAt, this.#clock.now() + this.#backoff.next())
    })
    return this.#connection
  }

  #isPausing(): boolean {
    return this.#clock.now() < this.#retryAt
  }

  #note(failure: string | undefined): void {
    const socket = this.#path
    this.#transitions.to(failure === undefined ? 'answers' : 'fails', counted => {
      if (failure === undefined) this.#log.info("Dovecot's userdb answers again", { socket, ...counted })
      else this.#log.warn(UNANSWERED, { socket, reason: failure, ...counted })
    })
  }
}
