/** Senders with one store and one Apple, on a clock that is held: what the simulations play in. */

import { claimsInMemory } from '../../plugins/xaps/device/claim.ts'
import type { Claim, ClaimRequest } from '../../plugins/xaps/device/store.ts'
import { Sender, type SenderSettings } from '../../plugins/xaps/push/sender.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { noLog } from '../support/recorded-log.ts'
import type { DeviceEvent } from './model.ts'
import { SETTINGS, StubApple, targetOf } from './parts.ts'

/** An event for one of some devices, seen by one of some processes. */
export interface Seen extends DeviceEvent {
  readonly device: number
  readonly process: number
}

export interface World {
  readonly clock: FakeClock
  readonly apple: StubApple
  readonly senders: readonly Sender[]
}

export interface WorldOptions {
  readonly settings?: Partial<SenderSettings>
  readonly processes?: number
  readonly latencyMs?: number
  /** How long the store takes for a claim. */
  readonly claimMs?: () => number
}

/** Processes with one store and one Apple. */
export function world({ settings, processes = 1, latencyMs = 0, claimMs = () => 0 }: WorldOptions): World {
  const clock = new FakeClock()
  const apple = new StubApple(clock)
  apple.latencyMs = latencyMs
  const claims = claimsInMemory(() => clock.now())
  const claim = async (push: string, request: ClaimRequest): Promise<Claim> => {
    const ms = claimMs()
    if (ms > 0) await clock.sleep(ms)
    return claims.claim(push, request)
  }
  const parts = {
    transport: apple,
    claim,
    mayPush: () => true,
    settler: { settle: async () => undefined },
    accepted: () => undefined,
    log: noLog,
  }
  const senders = Array.from(
    { length: processes },
    () => new Sender({ ...SETTINGS, ...settings }, parts, clock),
  )
  return { clock, apple, senders }
}

/** Lets the events happen, each at its time, and then waits until nothing can be pending any more. */
export async function play({ clock, senders }: World, events: readonly Seen[]): Promise<void> {
  for (const { device, process, kind, at } of events) {
    await clock.advance(at - clock.now())
    senders[process]?.add(targetOf(device), { kind, at })
  }
  await clock.advance(200_000)
}
