/** The push side of one process, put together: event → devices → coalesced pushes → Apple → verdicts → store. */

import type { Endpoint } from '../apns/client.ts'
import type { Credentials } from '../apns/credentials.ts'
import { openTransport } from '../apns/transport.ts'
import { type Clock, systemClock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Device, UserRecord } from '../device/device.ts'
import type { DeviceStore } from '../device/store.ts'
import type { MailEvent } from '../event.ts'
import { Lookup } from './lookup.ts'
import { Sender, type SenderSettings } from './sender.ts'
import { makeSettler } from './settle.ts'

/** For how long an accepted push proves that the credentials and the environment are right. */
const PROOF_MS = 3_600_000

export interface PusherParts {
  readonly store: Pick<DeviceStore, 'devices' | 'update' | 'claim' | 'onReady'>
  readonly removeGone: (
    record: UserRecord,
    device: Pick<Device, 'account' | 'token'>,
    at: number,
  ) => UserRecord
  readonly log: Log
}

export interface Pusher {
  /** Connects to Apple ahead of the first push. */
  warmUp(): void
  /** Takes an event, and its user's devices where they are known; never throws, never waits. */
  submit(event: MailEvent, devices?: readonly Device[]): void
  /** Uses these credentials from now on. */
  renew(credentials: Credentials): void
  /** How many devices wait for a push. */
  readonly pending: number
  /** Sends what is pending, for `graceMs` at most, and closes the connection. */
  close(graceMs: number): Promise<void>
}

export function openPusher(
  credentials: Credentials,
  settings: SenderSettings & Endpoint,
  { store, removeGone, log }: PusherParts,
  clock: Clock = systemClock,
): Pusher {
  let topics = new Set(credentials.topics)
  const proof = new Proof(clock)
  const transport = openTransport(credentials, settings, log, clock)
  const sender = new Sender(
    settings,
    {
      transport,
      claim: (push, request) => store.claim(push, request),
      mayPush: device => topics.has(device.topic),
      settler: makeSettler(
        (user, change) => store.update(user, change),
        removeGone,
        log,
        () => proof.holds(),
      ),
      accepted: startedAt => proof.accepted(startedAt),
      log,
    },
    clock,
  )
  const lookup = new Lookup(
    {
      devices: user => store.devices(user),
      found: (user, device, event) => sender.add({ user, device }, event),
      log,
    },
    settings.keepForMs,
    clock,
  )
  store.onReady(() => lookup.storeIsBack())
  return {
    warmUp: () => transport.connect(),
    submit: (event, devices) => lookup.submit(event, devices),
    renew(renewed) {
      topics = new Set(renewed.topics)
      proof.startAfresh()
      transport.renew(renewed)
      sender.mended()
    },
    get pending() {
      return sender.pending
    },
    async close(graceMs) {
      const end = clock.now() + graceMs
      const left = (): number => Math.max(0, end - clock.now())
      sender.hurry()
      await within(left(), lookup.settled(), clock)
      await sender.drain(left())
      lookup.close()
      sender.close()
      await transport.close(left())
    },
  }
}

/** Whether Apple has accepted pushes lately with the credentials in use: then a token that it calls bad is bad. */
class Proof {
  readonly #clock: Clock
  #renewedAt = Number.NEGATIVE_INFINITY
  #acceptedAt = Number.NEGATIVE_INFINITY

  constructor(clock: Clock) {
    this.#clock = clock
  }

  holds(): boolean {
    return this.#clock.now() - this.#acceptedAt < PROOF_MS
  }

  /** A push was accepted; one that started before a renewal proves nothing of the new credentials. */
  accepted(startedAt: number): void {
    if (startedAt > this.#renewedAt) this.#acceptedAt = this.#clock.now()
  }

  startAfresh(): void {
    this.#renewedAt = this.#clock.now()
    this.#acceptedAt = Number.NEGATIVE_INFINITY
  }
}

/** Waits for `work`, but no longer than `ms` milliseconds. */
async function within(ms: number, work: Promise<void>, clock: Clock): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const timer = clock.after(ms, resolve)
    work.then(resolve, reject).finally(() => timer.cancel())
  })
}
