/** Overviews as the companion makes them, of many days: what the page, its pictures and its tests are given. */

import type { DeviceCounts } from '../../plugins/xaps/device/counts.ts'
import type { Health, Overview, ProcessState, Sample } from '../../plugins/xaps/observe/overview.ts'
import type { AppleState, StoreState } from '../../plugins/xaps/observe/report.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** A quarter of an hour, one for every five seconds. */
const SAMPLES = 180

export type Day = 'nothing yet' | 'one push' | 'usual' | 'heavy load' | 'Apple away' | 'certificate ended'

/** The overview of such a day, as it is at `at` (ms since the epoch). The same at every call. */
export function overviewOf(day: Day, at: number): Overview {
  return { ...DAYS[day](at), at }
}

export const ALL_DAYS: readonly Day[] = [
  'nothing yet',
  'one push',
  'usual',
  'heavy load',
  'Apple away',
  'certificate ended',
]

const DAYS: Readonly<Record<Day, (at: number) => Omit<Overview, 'at'>>> = {
  'nothing yet': at => ({
    ...some(at, { state: 'works', sentence: 'Ready: nothing has been pushed since the start' }),
    processes: [processOf('haraka', at, { startedAt: at - MINUTE, store: {}, apple: ends(at, 300) })],
    samples: [],
  }),
  'one push': at => ({
    ...some(at, { state: 'works', sentence: 'Push works: Apple accepted the last push 40 s ago' }),
    processes: [processOf('haraka', at), processOf('companion', at)],
    devices: devicesAt(at, 2),
    samples: samplesAt(at, ({ ago }) => (ago === 40 ? 1 : 0)),
  }),
  usual: at => ({
    ...some(at, { state: 'works', sentence: 'Push works: Apple accepted the last push 40 s ago' }),
    processes: cluster(at, {}),
    devices: devicesAt(at, 1_840),
    samples: samplesAt(at, ({ random, ago }) =>
      Math.round(random * random * 14 * (1 + Math.sin(ago / 21) / 2)),
    ),
  }),
  'heavy load': at => ({
    ...some(at, { state: 'works', sentence: 'Push works: Apple accepted the last push 40 s ago' }),
    processes: cluster(at, { pending: 12_480 }),
    devices: devicesAt(at, 412_000),
    samples: samplesAt(at, ({ random }) => Math.round(3_800 + 1_400 * random)),
  }),
  'Apple away': at => ({
    ...some(at, {
      state: 'down',
      sentence: 'Apple cannot be reached; pushes wait: connect ETIMEDOUT api.push.apple.com:443',
      since: at - 4 * MINUTE,
      remedy: 'is port 443 to api.push.apple.com open? `xaps check` tells how far it gets',
    }),
    processes: cluster(at, {
      pending: 61,
      apple: {
        trouble: 'connection',
        troubleSince: at - 4 * MINUTE,
        acceptedAt: at - 4 * MINUTE - 3 * SECOND,
        failedAt: at - 2 * SECOND,
        failure: 'connect ETIMEDOUT api.push.apple.com:443',
        certificateEnds: at + 212 * DAY,
      },
    }),
    spooled: 0,
    devices: devicesAt(at, 1_840),
    samples: samplesAt(at, ({ random, ago }) => Math.round(random * 12) * (ago > 48 ? 1 : -1)),
  }),
  'certificate ended': at => ({
    ...some(at, {
      state: 'down',
      sentence: 'The certificate for Apple has ended',
      since: at - 3 * DAY,
      remedy: 'renew it; the files are read again by themselves (docs/credentials.md)',
    }),
    processes: cluster(at, {
      apple: {
        trouble: 'setup',
        troubleSince: at - 3 * DAY,
        acceptedAt: at - 3 * DAY,
        failedAt: at - 20 * SECOND,
        failure: 'certificate expired',
        certificateEnds: at - 3 * DAY,
      },
      store: { up: false, since: at - 2 * MINUTE, failure: 'Redis mail.example.org:6379 is away' },
    }),
    spooled: 7,
    devices: { ...devicesAt(at, 34), otherTopic: 3 },
    samples: samplesAt(at, ({ random }) => -Math.round(random * 3)),
  }),
}

function some(at: number, health: Health): Omit<Overview, 'at'> {
  const sums = { counters: {}, histograms: {} }
  const fixed = { version: '0.1.0', configuration: 'v1a2b3c4d', events: 0 }
  return { ...fixed, health, processes: [], sums, spooled: 0, samples: samplesAt(at, () => 0) }
}

function cluster(at: number, state: Partial<ProcessState>): ProcessState[] {
  return ['worker1', 'worker2', 'companion'].map((process, place) =>
    processOf(process, at, { pid: 3_417 + place, ...state }),
  )
}

function processOf(process: string, at: number, state: Partial<ProcessState> = {}): ProcessState {
  const apple: AppleState = { ...ends(at, 212), acceptedAt: at - 40 * SECOND }
  const store: StoreState = { up: true, since: at - 9 * DAY }
  return { process, pid: 3_416, startedAt: at - 9 * DAY, pending: 0, apple, store, ...state }
}

function ends(at: number, days: number): AppleState {
  return { certificateEnds: at + days * DAY }
}

function devicesAt(at: number, devices: number): DeviceCounts {
  const week = Math.floor(devices * 0.04)
  const longer = Math.floor(devices * 0.02)
  const twoDays = Math.floor(devices * 0.11)
  const lastSeen = { day: devices - twoDays - week - longer, twoDays, week, longer }
  return { countedAt: at - 20 * MINUTE, users: Math.ceil(devices * 0.7), devices, lastSeen, otherTopic: 0 }
}

interface Moment {
  /** Seconds before the overview. */
  readonly ago: number
  /** From 0 to 1, the same every time. */
  readonly random: number
}

/** `mails`: how many came in a sample; less than none: so many wait for Apple. */
function samplesAt(at: number, mails: (moment: Moment) => number): Sample[] {
  return Array.from({ length: SAMPLES }, (_, place) => {
    const ago = (SAMPLES - 1 - place) * 5
    const random = Math.abs(Math.sin(place * 12.9898) * 43_758.5453) % 1
    return sampleOf(at - ago * SECOND, mails({ ago, random }), random)
  })
}

function sampleOf(at: number, mails: number, random: number): Sample {
  if (mails === 0) return { at, decisions: {}, verdicts: {}, pending: 0 }
  if (mails < 0) return { at, decisions: { waits_apple: -mails }, verdicts: { broken: 1 }, pending: -mails }
  const covered = Math.floor(mails * 0.25)
  const no_device = Math.floor(mails * 0.2)
  const waits_window = Math.floor(mails * 0.1)
  const pushed = mails - covered - no_device - waits_window
  const decisions = { pushed, ...(mails > 4 && { covered, no_device, waits_window, other_folder: 1 }) }
  const p50 = 0.021 + random * 0.018
  return {
    at,
    decisions,
    verdicts: { sent: pushed },
    p50,
    p99: p50 * (2 + random * 5),
    pending: waits_window,
  }
}
