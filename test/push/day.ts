/** Simulates a day of 10,000 devices in one process and counts pushes, the sender's and the model's. A worker thread. */

import { parentPort } from 'node:worker_threads'
import { seededNumbers } from '../fuzz/random.ts'
import { pushTimes, type Seen } from './model.ts'
import { SETTINGS } from './parts.ts'
import { bench, play } from './sender-bench.ts'

const DEVICES = 10_000
const LATENCY_MS = 45

async function simulate(): Promise<void> {
  const played = bench({ latencyMs: LATENCY_MS })
  const { clock, apple, sender } = played
  const events = dayOfEvents(DEVICES, clock.now() + 1, seededNumbers(20_300_101))
  await play(played, events)
  parentPort?.postMessage({
    pushes: apple.accepted().length,
    expected: expectedPushes(events),
    pending: sender.pending,
    timers: clock.timers,
  })
}

function expectedPushes(events: readonly Seen[]): number {
  const perDevice = new Map<number, Seen[]>()
  for (const event of events) {
    const mine = perDevice.get(event.device)
    if (mine) mine.push(event)
    else perDevice.set(event.device, [event])
  }
  return [...perDevice.values()]
    .map(mine => pushTimes(mine, SETTINGS, LATENCY_MS).length)
    .reduce((sum, count) => sum + count, 0)
}

/** Mails in bursts, as mailing lists and automatic mail make them, and changes in between; in the order of time. */
function dayOfEvents(devices: number, start: number, random: () => number): Seen[] {
  const events: Seen[] = []
  for (let device = 0; device < devices; device += 1) {
    for (let burst = 0; burst < 4; burst += 1) {
      let at = start + Math.floor(random() * 86_400_000)
      for (let left = 1 + Math.floor(random() * 8); left > 0; left -= 1) {
        events.push({ device, process: 0, kind: random() < 0.7 ? 'new' : 'change', at })
        at += Math.floor(random() ** 3 * 20_000)
      }
    }
  }
  return events.sort((a, b) => a.at - b.at)
}

void simulate()
