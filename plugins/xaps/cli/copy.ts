/** `xaps copy`: the devices of one store into another, for a move that phones do not notice. */

import { forEachAtOnce } from '../base/batch.ts'
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
  options: { '--json': 'the counts as one JSON object' },
  run(config, { json = false }, from, to) {
    const at = (uri: string) => ({ ...config, store: { ...config.store, uri } })
    return withStore(
      at(from),
      async source => {
        prepareState(at(to))
        await withStore(at(to), target => copyAll(source, target, config.store.maxDevices, json))
      },
      { mustExist: true },
    )
  },
}

/** Prints how many devices the target has taken. Rejects when a user cannot be read or written, after all others. */
async function copyAll(
  source: DeviceStore,
  target: DeviceStore,
  maxDevices: number,
  json: boolean,
): Promise<void> {
  const counts: Record<Outcome, number> = { taken: 0, renewed: 0, known: 0, gone: 0, 'no room': 0 }
  try {
    await forEachAtOnce(source.users(), AT_ONCE, async ([user, devices]) => {
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
    })
  } finally {
    if (json) print(JSON.stringify(counts))
    else
      for (const [outcome, count] of Object.entries(counts)) {
        print(`${outcome.padEnd(8)}${String(count).padStart(10)}`)
      }
  }
}
