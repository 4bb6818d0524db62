/** `xaps serve`: the companion as a service of its own. Haraka's own is haraka/companion.ts. */

import { type Log, reasonOf, stderrLog } from '../base/log.ts'
import { parseStoreUri } from '../base/store-uri.ts'
import type { Config } from '../config/config.ts'
import { exposedSecrets } from '../config/secrets.ts'
import { UnusableServer } from '../device/store.ts'
import { isRoot } from '../process/only-root.ts'
import { NOBODY_ELSE, type Owner, socketOwner } from '../process/socket-owner.ts'
import { makeSystemd } from '../process/systemd.ts'
import { type Serving, startServing } from '../serving.ts'
import { CurrentSettings } from '../settings.ts'
import { prepareState, stateOwner } from '../state.ts'
import type { CommandSpec } from './context.ts'

export const serve: CommandSpec = {
  name: 'serve',
  description:
    "serve Dovecot's plugin; only where [registration] enabled = false, otherwise Haraka starts it",
  async run(config) {
    const log = stderrLog()
    const settings = new CurrentSettings(config, log)
    const owner = isRoot() ? stateOwner(config) : NOBODY_ELSE
    for (const warning of exposedSecrets(config, [process.getgid?.(), owner.gid])) log.warn(warning)
    prepareState(config, owner)
    const socket = config.registration.socket || config.delivery.eventsSocket
    const listening = { socketOwner: socketOwner({ ...config.registration, socket }, owner, log) }
    const serving = await startServing(settings.latest, listening, log)
    becomeUser(owner)
    await openStore(config, serving, log)
    const systemd = makeSystemd(log)
    settings.watch(changed => serving.takeUp(changed))
    process.on('SIGHUP', () => settings.readAgain())
    log.notice('companion ready', { topic: settings.latest.credentials.topic })
    await systemd.ready()
    endOnSignals(async () => {
      await systemd.stopping()
      await serving.close()
    })
  },
}

/** Root has opened the listeners; the rest is done as the owner of the state, as Haraka does it. */
function becomeUser({ uid = 0, gid = 0 }: Owner): void {
  if (uid === 0) return
  process.setgroups?.([gid])
  process.setgid?.(gid)
  process.setuid?.(uid)
}

/** A Redis that is away is waited for; what cannot be a store, or not be opened on this host, needs the operator. */
async function openStore(config: Config, serving: Serving, log: Log): Promise<void> {
  try {
    await serving.openStore()
  } catch (error) {
    const isAway = parseStoreUri(config.store.uri)?.kind !== 'lmdb' && !(error instanceof UnusableServer)
    if (isAway) return log.error('the device store does not answer', { cause: reasonOf(error) })
    await serving.close()
    throw error
  }
}

function endOnSignals(end: () => Promise<void>): void {
  const asked = new Promise(resolve => process.once('SIGTERM', resolve).once('SIGINT', resolve))
  void asked.then(end).finally(() => process.exit(0))
}
