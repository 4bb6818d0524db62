/** The push side of one process, put together: event → devices → coalesced pushes → Apple → verdicts → store. */

import { type Clock, systemClock } from '../clock.ts'
import type { UserRecord } from '../device/device.ts'
import type { DeviceStore } from '../device/store.ts'
import type { MailEvent } from '../event.ts'
import type { Log } from '../log.ts'
import type { Endpoint } from './apn-client.ts'
import type { Credentials } from './credentials.ts'
import { Lookup } from './lookup.ts'
import { Sender, type SenderSettings } from './sender.ts'
import { makeSettler } from './settle.ts'
import { openTransport } from './transport.ts'

/** For how long an accepted push proves that the credentials and the environment are right. */
const PROOF_MS = 3_600_000

export interface PusherParts {
  readonly store: Pick<DeviceStore, 'devices' | 'update' | 'claim'>
  readonly removeGone: (
    record: UserRecord,
    device: { readonly account: string; readonly token: string },
    at: number,
  ) => UserRecord
  readonly log: Log
}

export interface Pusher {
  /** Connects to Apple ahead of the first push. */
  warmUp(): void
  /** Takes an event; never throws, never waits. */
  submit(event: MailEvent): void
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
  let lastAccepted = Number.NEGATIVE_INFINITY
  const othersAccepted = () => clock.now() - lastAccepted < PROOF_MS
  const transport = openTransport(credentials, settings, log, clock)
  const sender = new Sender(
    settings,
    {
      transport,
      claim: (push, request) => store.claim(push, request),
      settler: makeSettler((user, change) => store.update(user, change), removeGone, log, othersAccepted),
      accepted: () => {
        lastAccepted = clock.now()
      },
      log,
    },
    clock,
  )
  const lookup = new Lookup(
    {
      devices: user => store.devices(user),
      found: (user, device, event) => {
        if (topics.has(device.topic)) sender.add({ user, device }, event)
        else
          log.debug('not pushed: the phone listens to another topic until it registers again', {
            topic: device.topic,
          })
      },
      log,
    },
    settings.keepForMs,
    clock,
  )
  return {
    warmUp: () => transport.connect(),
    submit: event => lookup.submit(event),
    renew(renewed) {
      topics = new Set(renewed.topics)
      lastAccepted = Number.NEGATIVE_INFINITY
      transport.renew(renewed)
      sender.mended()
    },
    get pending() {
      return sender.pending
    },
    async close(graceMs) {
      const deadline = clock.now() + graceMs
      await lookup.settled()
      await sender.drain(Math.max(0, deadline - clock.now()))
      lookup.close()
      sender.close()
      await transport.close()
    },
  }
}
