/** A process with pushes that wait for an Apple that is away; or, to compare with, one that only keeps whom to push. */

import { setTimeout as sleep } from 'node:timers/promises'
import { loadCredentials } from '../../../plugins/xaps/apns/credentials.ts'
import { systemClock } from '../../../plugins/xaps/base/clock.ts'
import { loadConfig } from '../../../plugins/xaps/config/config.ts'
import { Observer } from '../../../plugins/xaps/observe/observer.ts'
import { journalOf, openDeviceStore, openPushSide } from '../../../plugins/xaps/service.ts'
import { noLog } from '../../support/recorded-log.ts'
import { servePart } from '../part.ts'
import { type Memory, memoryOf } from '../process-use.ts'
import { userName } from '../site.ts'

/** How many events come in before the process gets to anything else. */
const BATCH = 1_000
/** Lookups and everything else must be done with before memory is measured. */
const REST_MS = 500

let take: (user: string) => void = () => undefined

const api = servePart({
  /** Opens the store in `dir`, and with `push` the push side. */
  async open({ dir, push: pushing }: { dir: string; push: boolean }) {
    const config = loadConfig(dir)
    const store = await openDeviceStore(config, noLog)
    if (pushing) {
      const push = openPushSide(config, {
        store,
        credentials: loadCredentials(config.apns, dir),
        observer: new Observer(noLog, systemClock),
        journal: journalOf(config, noLog),
        log: noLog,
      })
      take = user => push.submit({ user, kind: 'new', at: Date.now() })
      return
    }
    const kept = new Map<string, unknown>()
    take = user => {
      store.devices(user).then(
        devices => {
          for (const device of devices) kept.set(device.token, { user, device, at: Date.now() })
        },
        error => console.error(error),
      )
    }
  },
  /** Takes `events` events for `users` users, in turn. Resolves with the memory in use before and afterwards. */
  async fill({ events, users }: { events: number; users: number }) {
    const before = await measure()
    for (let event = 0; event < events; event++) {
      take(userName(event % users))
      if (event % BATCH === 0) await sleep(1)
    }
    await sleep(REST_MS)
    return { before, after: await measure() }
  },
})

export type Pending = typeof api

async function measure(): Promise<Memory> {
  // Twice: the second run frees the objects that the first finalizes.
  for (let run = 0; run < 2; run++) {
    global.gc?.()
    await sleep(10)
  }
  return memoryOf(process.pid)
}
