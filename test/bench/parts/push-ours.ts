/** Our whole push side as a Haraka worker has it: store, coalescer, claims, transport, verdicts. */

import { loadCredentials } from '../../../plugins/xaps/apns/credentials.ts'
import { systemClock } from '../../../plugins/xaps/base/clock.ts'
import { loadConfig } from '../../../plugins/xaps/config/config.ts'
import type { DeviceStore } from '../../../plugins/xaps/device/store.ts'
import { Observer } from '../../../plugins/xaps/observe/observer.ts'
import { journalOf, openDeviceStore, openPushSide } from '../../../plugins/xaps/service.ts'
import { noLog } from '../../support/recorded-log.ts'
import { servePart } from '../part.ts'
import { ownCpu } from '../process-use.ts'
import { userName } from '../site.ts'
import type { PushApi } from './push-bare.ts'

let push: ReturnType<typeof openPushSide> | undefined
let store: DeviceStore | undefined
/** Called for every push that Apple accepted. */
let accepted: () => void = () => undefined

/** Drops every line, as Haraka does at log level notice; the line for an accepted push is how we hear of it. */
const log = { ...noLog, info: (message: string) => void (message.startsWith('push accepted') && accepted()) }

servePart<PushApi>({
  async open({ dir }) {
    const config = loadConfig(dir)
    store = await openDeviceStore(config, log)
    push = openPushSide(config, {
      store,
      credentials: loadCredentials(config.apns, dir),
      observer: new Observer(log, systemClock),
      journal: journalOf(config, log),
      log,
    })
  },
  async send({ from, count, inFlight }) {
    const cpu = ownCpu()
    const start = performance.now()
    // Twice as many events as pushes in flight: the push side must never wait for the next mail.
    await submitAll(from, count, 2 * inFlight)
    return { ms: performance.now() - start, cpuUs: ownCpu() - cpu }
  },
})

/** Submits an event for each of `count` users, `most` at a time; resolves when all have been pushed. */
function submitAll(from: number, count: number, most: number): Promise<void> {
  return new Promise(resolve => {
    let submitted = 0
    let done = 0
    const submitNext = () => {
      push?.submit({ user: userName(from + submitted), kind: 'new', at: Date.now() })
      submitted += 1
    }
    accepted = () => {
      done += 1
      if (done === count) return resolve()
      if (submitted < count) submitNext()
    }
    while (submitted < Math.min(most, count)) submitNext()
  })
}
