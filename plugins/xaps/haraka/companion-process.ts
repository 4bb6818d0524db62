/**
 * The companion as Haraka's child (companion.ts keeps it). It reads no configuration: its parent tells it the settings, at its
 * start and when they change, and passes on the listeners, bound. Phones wait while it starts, so nothing is loaded that the answer to one does not need.
 */

import { reasonOf, stderrLog } from '../base/log.ts'
import { onceAMinute } from '../base/transition-log.ts'
import { linkToParent } from '../process/parent-link.ts'
import { type Serving, startServing } from '../serving.ts'
import type { CompanionNews, CompanionStart } from './companion.ts'

const log = stderrLog()
const isNew = onceAMinute()
const parent = linkToParent()

async function start(hello: unknown): Promise<Serving> {
  const { inherited, ...settings } = hello as CompanionStart
  const serving = await startServing(
    settings,
    { inherited, socketOwner: {}, retry: true, inHaraka: true },
    log,
  )
  log.notice('companion ready', { topic: settings.credentials.topic })
  return serving
}

const starting = parent.hello.then(start)
parent.onNews(news => {
  const hear = (serving: Serving) => {
    const { settings, reports } = news as CompanionNews
    if (settings) serving.takeUp(settings)
    if (reports) serving.hear(reports)
  }
  // A start that fails is told in main().
  starting
    .then(hear, () => undefined)
    .catch((error: unknown) => {
      const cause = reasonOf(error)
      if (isNew(cause)) log.error("what Haraka's primary tells cannot be used; please report this", { cause })
    })
})

async function main(): Promise<void> {
  const serving = await starting
  serving
    .openStore()
    .catch((error: unknown) => log.error('the device store does not answer', { cause: reasonOf(error) }))
  parent.endWithParent(() => serving.close())
  process.once('SIGTERM', () => void serving.close().finally(() => process.exit(0)))
}

main().catch((error: unknown) => {
  log.error('the companion cannot start', { cause: reasonOf(error) })
  process.exit(1)
})
