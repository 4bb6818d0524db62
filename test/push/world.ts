/** Senders with one store and one Apple, on a clock that is held: what the simulations play in. */

import type { Claim, ClaimRequest } from '../../plugins/xaps/device/store.ts'
import { Sender, type SenderSettings } from '../../plugins/xaps/push/sender.ts'
import { claimsInMemory } from '../support/claims.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { noLog } from '../support/recorded-log.ts'
import { SETTINGS, StubApple, targetOf } from './parts.ts'
import type { Seen } from './schedules.ts'

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
  /** Whether the store fails at the next claim, and if so, before or after the claim counts. */
  readonly claimFails?: () => 'no' | 'before' | 'after'
  /** For how long the store remembers a claim; the default is for ever. */
  readonly claimsKeptMs?: number
}

/** Processes with one store and one Apple. */
export function world(options: WorldOptions): World {
  const {
    settings,
    processes = 1,
    latencyMs = 0,
    claimMs = () => 0,
    claimFails = () => 'no',
    claimsKeptMs,
  } = options
  const clock = new FakeClock()
  const apple = new StubApple(clock)
  apple.latencyMs = latencyMs
  const claims = claimsInMemory(() => clock.now(), claimsKeptMs)
  const claim = async (push: string, request: ClaimRequest): Promise<Claim> => {
    const ms = claimMs()
    if (ms > 0) await clock.sleep(ms)
    const fails = claimFails()
    if (fails === 'before') throw new Error('store away')
    const answer = await claims.claim(push, request)
    if (fails === 'after') throw new Error('answer lost')
    return answer
  }
  const parts = {
    transport: apple,
    claim,
    mayPush: () => true,
    settler: { settle: async () => undefined },
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
