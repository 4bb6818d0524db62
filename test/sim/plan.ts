/** What happens in a simulated run: made of a seed, as data, so that a run can be told and made smaller. */

import { seededRandom } from '../fuzz/random.ts'
import type { AppleTrouble } from './apple.ts'
import type { Trouble } from './database.ts'
import { MS } from './scheduler.ts'

/** `worker1` and `worker2` deliver, the companion serves; with Redis the second worker has a host of its own. */
export const PROCESSES = ['worker1', 'worker2', 'companion'] as const
export type ProcessName = (typeof PROCESSES)[number]
type Worker = Exclude<ProcessName, 'companion'>

export type Step = { readonly atMs: number } & (
  | { readonly does: 'mail'; readonly process: Worker; readonly user: number }
  | { readonly does: 'change'; readonly user: number }
  | { readonly does: 'register'; readonly device: number }
  | { readonly does: 'gone'; readonly devices: readonly number[] }
  | {
      readonly does: 'kill'
      readonly process: ProcessName
      readonly effects: number
      readonly downMs: number
    }
  | { readonly does: 'restart'; readonly process: ProcessName }
  | { readonly does: 'power'; readonly host: number; readonly downMs: number }
  | { readonly does: 'store'; readonly trouble: Trouble; readonly forMs: number }
  | { readonly does: 'forget' }
  | { readonly does: 'full'; readonly host: number; readonly room: number; readonly forMs: number }
  | { readonly does: 'apple'; readonly trouble: AppleTrouble; readonly forMs: number }
  | { readonly does: 'sessions'; readonly orderly: boolean }
  | { readonly does: 'streams'; readonly most: number }
  | { readonly does: 'clock'; readonly host: number; readonly ms: number }
)

export interface Plan {
  readonly seed: number
  readonly store: 'lmdb' | 'redis'
  /** Of each device, whose it is. */
  readonly owners: readonly number[]
  /** In the order of time. */
  readonly steps: readonly Step[]
}

/** How long steps are taken, in milliseconds; then all is well. */
const LONGEST_MS = 90_000

/** So often each comes, of all steps that are no events. */
const FAULTS = [
  ...Array(4).fill('kill'),
  ...Array(4).fill('apple'),
  ...Array(3).fill('store'),
  ...Array(2).fill('gone'),
  ...Array(2).fill('sessions'),
  'streams',
  'restart',
  'power',
  'forget',
  ...Array(3).fill('full'),
  ...Array(3).fill('clock'),
] as const

/** How many steps a plan has unless told otherwise. */
export const STEPS = 60

/** The same plan for the same seed, of `count` steps. */
export function planOf(seed: number, count = STEPS): Plan {
  const random = seededRandom(seed * 2 + 1)
  const { below, pick } = random
  const users = 1 + below(3)
  const owners = Array.from({ length: users + below(3) }, (_, device) => device % users)
  const store = pick(['lmdb', 'redis'] as const)
  // Some runs are dense, some have long pauses; some are of many faults, some of few.
  const pace = pick([200, 1_000, LONGEST_MS / count])
  const faulty = pick([0, 10, 30, 50])
  const hasJumps = below(5) < 2
  let atMs = 100
  const steps: Step[] = owners.map((_, device) => ({ atMs: ++atMs, does: 'register', device }))
  for (let step = 0; step < count; step += 1) {
    atMs += pick([0, below(5), below(pace), below(2 * pace), below(5_500)])
    const isFault = below(100) < faulty
    if (isFault) steps.push(fault())
    else if (below(4) === 0) steps.push(...race())
    else steps.push(event())
  }
  return { seed, store, owners, steps: steps.sort((a, b) => a.atMs - b.atMs) }

  /** A clock is set between two mails, or phones register while Apple says that one of the user's is gone, or a second time while the first is not answered. */
  function race(): Step[] {
    const gone = below(owners.length)
    const user = owners[gone] as number
    const mine = owners.map((_, device) => device).filter(device => owners[device] === user)
    const register = (device: number, most: number): Step => ({
      atMs: atMs + below(most),
      does: 'register',
      device,
    })
    const worker = pick(['worker1', 'worker2'] as const)
    if (hasJumps && below(4) === 0) {
      const mail = (ms: number): Step => ({ atMs: atMs + ms, does: 'mail', process: worker, user })
      const host = worker === 'worker1' ? 0 : 1
      return [
        mail(0),
        { atMs: atMs + 900, does: 'clock', host, ms: -1_000 - below(8_000) },
        mail(900 + below(500)),
      ]
    }
    if (below(2) === 0) return [register(gone, 50), register(gone, 500)]
    const mail = { atMs, does: 'mail', process: worker, user } as const
    return [{ atMs, does: 'gone', devices: [gone] }, mail, ...mine.map(device => register(device, 90))]
  }

  function event(): Step {
    const user = below(users)
    const what = below(12)
    if (what < 8) return { atMs, does: 'mail', process: pick(['worker1', 'worker2'] as const), user }
    if (what < 10) return { atMs, does: 'change', user }
    return { atMs, does: 'register', device: below(owners.length) }
  }

  function fault(): Step {
    const does = pick(FAULTS)
    const forMs = pick([below(300), below(3_000), below(30_000)])
    const host = below(2)
    switch (does) {
      case 'kill':
        return { atMs, does, process: pick(PROCESSES), effects: below(40), downMs: below(4_000) }
      case 'restart':
        return { atMs, does, process: pick(PROCESSES) }
      case 'power':
        return { atMs, does, host, downMs: 500 + below(4_000) }
      case 'store':
        return { atMs, does, trouble: pick(['slow', 'refuses', 'silent'] as const), forMs }
      case 'full':
        return { atMs, does, host, room: pick([0, below(60)]), forMs: below(3_000) }
      case 'apple':
        return { atMs, does, trouble: troubleOf(), forMs }
      case 'gone':
        return { atMs, does, devices: owners.map((_, device) => device).filter(() => below(10) < 3) }
      case 'sessions':
        return { atMs, does, orderly: below(2) === 0 }
      case 'streams':
        return { atMs, does, most: pick([0, 1, 1, 2]) }
      case 'clock':
        if (hasJumps)
          return { atMs, does, host, ms: pick([1, -1, -1]) * pick([below(8_000), below(8_000), 3_600_000]) }
        return { atMs, does: 'forget' }
      default:
        return { atMs, does }
    }
  }

  function troubleOf(): AppleTrouble {
    const percent = pick([10, 50, 100])
    const busy: AppleTrouble['answers'] = [
      [429, 'TooManyRequests'],
      [500, 'InternalServerError'],
      [503, 'ServiceUnavailable', 1 + below(10)],
    ]
    return pick<AppleTrouble>([
      { answers: busy, percent },
      { answers: [pick(busy)], percent },
      { answers: [[403, 'BadCertificate']], percent: 100 },
      { blackHole: true },
      { refuses: true },
      { slowUs: below(15_000) * MS + 20 * MS },
      { streams: 1, slowUs: 2_000 * MS },
    ])
  }
}

/** A step in words. */
export function told({ atMs, does, ...rest }: Step): string {
  const details = Object.entries(rest).map(([name, value]) => `${name} ${JSON.stringify(value)}`)
  return `${(atMs / 1_000).toFixed(3).padStart(8)} s  ${[does, ...details].join(', ')}`
}
