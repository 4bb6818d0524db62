/**
 * The companion as Haraka's child. All it works with its parent tells it and hands to it: settings, and the sockets, bound;
 * it reads no configuration. Nothing is loaded here that the answer to a phone does not need: phones wait while it starts.
 */

import { reasonOf } from '../base/log.ts'
import { stderrLog } from '../base/stderr-log.ts'
import { linkToParent } from '../process/parent-link.ts'
import { startServing } from '../serving.ts'
import type { CompanionStart } from './companion.ts'

const log = stderrLog()
const parent = linkToParent()

async function main(): Promise<void> {
  const { config, credentials, inherited } = (await parent.hello) as CompanionStart
  const serving = await startServing(config, credentials, { inherited, socketOwner: {}, retry: true }, log)
  log.notice('companion ready', { topic: credentials.topic })
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
