/**
 * Dovecot's event exporter → new mail, and phones that a push has brought: takes events from both ways in, POST /event and
 * the stream socket, and remembers that they came. Knows neither store nor Apple; it is given functions.
 */

import { type Clock, systemClock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { onceAMinute } from '../base/transition-log.ts'
import { Arrivals, type ArrivalsParts } from './arrivals.ts'
import { Deliveries, type DeliveriesOptions, type DeliveriesParts } from './deliveries.ts'
import { type EventServer, makeEventServer } from './event-server.ts'
import { BadEvent, parseEvent } from './exporter-event.ts'

export class Intake {
  readonly #log: Log
  readonly #clock: Clock
  readonly #deliveries: Deliveries
  readonly #arrivals: Arrivals
  readonly #isNew: (cause: string) => boolean
  #count = 0
  #lastAt = 0

  constructor(
    options: DeliveriesOptions,
    parts: DeliveriesParts & ArrivalsParts,
    log: Log,
    clock: Clock = systemClock,
  ) {
    this.#log = log
    this.#clock = clock
    this.#deliveries = new Deliveries(options, parts, clock)
    this.#arrivals = new Arrivals(options, parts, log, clock)
    this.#isNew = onceAMinute(clock)
  }

  /**
   * Takes the text of one event; returns what is wrong with it, if anything is: one line of printable ASCII, nothing of it
   * the sender's. All but reading it is done later. Never throws.
   */
  take(text: string): string | undefined {
    try {
      const event = parseEvent(text)
      this.#note()
      if (event?.name === 'imap_id_received') setImmediate(() => this.#arrivals.take(event))
      else if (event) setImmediate(() => this.#deliveries.take(event))
      return undefined
    } catch (error) {
      if (error instanceof BadEvent) return error.message
      throw error
    }
  }

  /** A server for the stream socket, not listening yet. */
  makeServer(): EventServer {
    const take = (text: string): boolean => {
      const reason = this.take(text)
      if (reason !== undefined && this.#isNew(reason))
        this.#log.warn("a line of Dovecot's event exporter was skipped", { reason })
      return reason === undefined
    }
    return makeEventServer(take)
  }

  /** Whether events have come since the start, in words of the form key=value. */
  status(): string {
    const last = this.#count === 0 ? '' : ` last_event=${new Date(this.#lastAt).toISOString()}`
    return `events=${this.#count}${last}`
  }

  /** How many events have come since the start. */
  get count(): number {
    return this.#count
  }

  /** Decides what has not been decided. Resolves soon. */
  close(): Promise<void> {
    this.#arrivals.close()
    return this.#deliveries.close()
  }

  #note(): void {
    if (this.#count === 0) this.#log.notice("the first event of Dovecot's event exporter has come")
    this.#count += 1
    this.#lastAt = this.#clock.now()
  }
}
