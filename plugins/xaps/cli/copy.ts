/** `xaps copy`: the devices of one store into another, for a move that phones do not notice. */

import { type Outcome, restore } from '../device/record.ts'
import type { DeviceStore } from '../device/store.ts'
import { prepareState } from '../state.ts'
import { type CommandSpec, print, withStore } from './context.ts'

/** Users that are written at once, as many as an LMDB store commits together. */
const AT_ONCE = 256

export const copy: CommandSpec = {
  name: 'copy',
  description: 'copy all devices from one store to another, also while phones register; may be repeated',
  arguments: [
    ['<from>', 'the URI of a store, as in [store] uri'],
    ['<to>', 'another; what it has that is newer stays'],
  ],
  run(config, _, from, to) {
    const at = (uri: string) => ({ ...config, store: { ...config.store, uri } })
    return withStore(
      at(from),
      async source => {
        prepareState(at(to))
        await withStore(at(to), target => copyAll(source, target, config.store.maxDevices))
      },
      { mustExist: true },
    )
  },
}

/** Prints how many devices the target has taken. Rejects at the first user that it cannot take. */
async function copyAll(source: DeviceStore, target: DeviceStore, maxDevices: number): Promise<void> {
  const counts: Record<Outcome, number> = { taken: 0, renewed: 0, known: 0, gone: 0, 'no room': 0 }
  const underWay = new Set<Promise<void>>()
  const copyUser = async (user: string, devices: Awaited<ReturnType<DeviceStore['devices']>>) => {
    let outcomes: Outcome[] = []
    await target.update(user, record => {
      outcomes = []
      return devices.reduce((before, device) => {
        const { record: after, outcome } = restore(before, device, { maxDevices, dated: true })
        outcomes.push(outcome)
        return after
      }, record)
    })
    for (const outcome of outcomes) counts[outcome] += 1
  }
  try {
    for await (const [user, devices] of source.users()) {
      const work = copyUser(user, devices)
      underWay.add(work)
      // Its error is that of the race, or of the wait for all.
      work.then(
        () => underWay.delete(work),
        () => undefined,
      )
      if (underWay.size >= AT_ONCE) await Promise.race(underWay)
    }
    await Promise.all(underWay)
  } finally {
    await Promise.allSettled(underWay)
    for (const [outcome, count] of Object.entries(counts))
      print(`${outcome.padEnd(8)}${String(count).padStart(10)}`)
  }
}
