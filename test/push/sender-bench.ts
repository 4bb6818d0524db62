/** Senders with one Apple and one store that a test can direct, on a clock that is held. */

import { type Verdict, verdictOf } from '../../plugins/xaps/apns/verdict.ts'
import type { DeviceStore } from '../../plugins/xaps/device/store.ts'
import { Observer } from '../../plugins/xaps/observe/observer.ts'
import { Sender, type SenderSettings } from '../../plugins/xaps/push/sender.ts'
import type { Target } from '../../plugins/xaps/push/settle.ts'
import { claimsInMemory } from '../support/claims.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { NO_JOURNAL } from '../support/journal.ts'
import { type RecordedLog, recordedLog } from '../support/recorded-log.ts'
import type { Seen } from './model.ts'
import { SETTINGS, StubApple, targetOf, tokenOf } from './parts.ts'

export const REFUSED: Verdict = { kind: 'broken connection', reason: 'connect ECONNREFUSED' }
export const STREAM_RESET: Verdict = { kind: 'broken stream', reason: 'stream reset' }
export const BAD_CERTIFICATE = said(403, 'BadCertificate')
export const UNAVAILABLE = said(503, 'ServiceUnavailable')
export const SERVER_ERROR = said(500, 'InternalServerError')
export const TOO_MANY = said(429, 'TooManyRequests')

/** The verdict on a push to which Apple answers this. */
export function said(status: number, reason: string, retryAfterMs?: number): Verdict {
  return verdictOf({ status, reason, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }, 0)
}

type AskClaim = DeviceStore['claim']

/** Stands between the senders and the claims of the store. */
type Between = (ask: AskClaim, clock: FakeClock) => AskClaim

export interface BenchOptions extends Partial<SenderSettings> {
  readonly processes?: number
  readonly latencyMs?: number
  /** For how long the store remembers a claim; the default is for ever. */
  readonly claimsKeptMs?: number
  readonly claim?: Between
  /** How long the store takes to settle a verdict. */
  readonly settleMs?: number
}

export interface Bench {
  readonly clock: FakeClock
  readonly apple: StubApple
  readonly log: RecordedLog
  /** Those of all senders, which may be changed. */
  readonly settings: { -readonly [K in keyof SenderSettings]: SenderSettings[K] }
  readonly senders: readonly Sender[]
  /** The first of them. */
  readonly sender: Sender
  readonly settled: { target: Target; verdict: Verdict }[]
  /** An event for the device with this number, now. */
  happen(device: number, kind?: 'new' | 'change', process?: number): void
}

export function bench(options: BenchOptions = {}): Bench {
  const { processes = 1, latencyMs = 0, claimsKeptMs, claim = ask => ask, settleMs = 0, ...rest } = options
  const clock = new FakeClock()
  const apple = new StubApple(clock)
  apple.latencyMs = latencyMs
  const log = recordedLog()
  const claims = claimsInMemory(() => clock.now(), claimsKeptMs)
  const settled: Bench['settled'] = []
  const settle = async (target: Target, verdict: Verdict) => {
    settled.push({ target, verdict })
    if (settleMs > 0) await clock.sleep(settleMs)
  }
  const store = { claim: claim(claims.claim, clock) }
  const parts = {
    transport: apple,
    store,
    settler: { settle },
    observer: new Observer(log, clock),
    journal: NO_JOURNAL,
    log,
    random: () => 1,
  }
  const settings = { ...SETTINGS, ...rest }
  const senders = Array.from({ length: processes }, () => new Sender(settings, parts, clock))
  const happen = (device: number, kind: 'new' | 'change' = 'new', process = 0): void =>
    senders[process]?.add(targetOf(device), { kind, at: clock.now() })
  return { clock, apple, log, settings, senders, sender: senders[0] as Sender, settled, happen }
}

/** A store that takes `ms` until a claim counts, and `answerMs` until the sender knows. */
export function slowly(ms: () => number, answerMs = 0): Between {
  return (ask, clock) => async (push, request) => {
    await clock.sleep(ms())
    const claim = await ask(push, request)
    if (answerMs > 0) await clock.sleep(answerMs)
    return claim
  }
}

/** Lets the events happen, each at its time, and then waits until nothing can be pending any more. */
export async function play(
  { clock, happen }: Bench,
  events: readonly Seen[],
  restMs = 200_000,
): Promise<void> {
  for (const { device, process, kind, at } of events) {
    await clock.advance(at - clock.now())
    happen(device, kind, process)
  }
  await clock.advance(restMs)
}

/** When pushes of a device reached Apple, in milliseconds since `start`. */
export function times({ apple }: Bench, device: number, start: number): number[] {
  return apple.arrivals.filter(({ token }) => token === tokenOf(device)).map(({ at }) => at - start)
}
