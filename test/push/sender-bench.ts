/** A sender with an Apple and a store that a test can direct, on a clock that is held. */

import type { Answer, Verdict } from '../../plugins/xaps/apns/verdict.ts'
import { Sender, type SenderParts, type SenderSettings } from '../../plugins/xaps/push/sender.ts'
import type { Target } from '../../plugins/xaps/push/settle.ts'
import { claimsInMemory } from '../support/claims.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { type RecordedLog, recordedLog } from '../support/recorded-log.ts'
import { SETTINGS, StubApple, targetOf, tokenOf } from './parts.ts'

export const REFUSED: Answer = { fault: 'connect ECONNREFUSED', of: 'connection' }
export const STREAM_RESET: Answer = { fault: 'stream reset', of: 'stream' }
export const BAD_CERTIFICATE: Answer = { status: 403, reason: 'BadCertificate' }
export const UNAVAILABLE: Answer = { status: 503, reason: 'ServiceUnavailable' }
export const SERVER_ERROR: Answer = { status: 500, reason: 'InternalServerError' }
export const TOO_MANY: Answer = { status: 429, reason: 'TooManyRequests' }

export interface Bench {
  readonly clock: FakeClock
  readonly apple: StubApple
  readonly log: RecordedLog
  readonly sender: Sender
  readonly settled: { target: Target; verdict: Verdict }[]
  /** An event for the device with this number, now. */
  happen(device: number, kind?: 'new' | 'change'): void
}

export function bench(
  settings: Partial<SenderSettings> = {},
  parts: (clock: FakeClock) => Partial<SenderParts> = () => ({}),
): Bench {
  const clock = new FakeClock()
  const apple = new StubApple(clock)
  const log = recordedLog()
  const claims = claimsInMemory(() => clock.now())
  const settled: { target: Target; verdict: Verdict }[] = []
  const sender = new Sender(
    { ...SETTINGS, ...settings },
    {
      transport: apple,
      claim: (push, request) => claims.claim(push, request),
      mayPush: () => true,
      settler: { settle: async (target, verdict) => void settled.push({ target, verdict }) },
      log,
      random: () => 1,
      ...parts(clock),
    },
    clock,
  )
  const happen = (device: number, kind: 'new' | 'change' = 'new'): void =>
    sender.add(targetOf(device), { kind, at: clock.now() })
  return { clock, apple, log, sender, settled, happen }
}

/** A store of claims that takes `ms` for each. */
export function slowClaim(clock: FakeClock, ms: number): SenderParts['claim'] {
  const claims = claimsInMemory(() => clock.now())
  return async (push, request) => {
    await clock.sleep(ms)
    return claims.claim(push, request)
  }
}

/** When pushes of a device reached Apple, in milliseconds since `start`. */
export function times({ apple }: Bench, device: number, start: number): number[] {
  return apple.arrivals.filter(({ token }) => token === tokenOf(device)).map(({ at }) => at - start)
}
