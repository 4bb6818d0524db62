/** `xaps push`: one push to each of a user's devices, now, with Apple's answer to each. */

import { loadCredentials } from '../apns/credentials.ts'
import { Transport } from '../apns/transport.ts'
import { canonicalUser } from '../base/canonical-names.ts'
import { maskToken, stderrLog } from '../base/log.ts'
import { isSuperseded } from '../device/superseded.ts'
import { inWords } from '../push/consequences.ts'
import { Settler } from '../push/settle.ts'
import { type CommandSpec, Failure, print, withExistingStore } from './context.ts'
import { SUPERSEDED } from './devices.ts'

export const push: CommandSpec = {
  name: 'push',
  description: "push all of a user's devices now; done when Apple accepts at least one",
  arguments: [['<user>']],
  async run(config, _, name) {
    const user = canonicalUser(name, config.users)
    const log = stderrLog()
    const transport = new Transport(loadCredentials(config.apns, config.harakaDir), config.apns, log)
    let accepted = 0
    await withExistingStore(config, async store => {
      const settler = new Settler(store, log)
      const devices = await store.devices(user)
      if (devices.length === 0) throw new Failure(`${user}: no device`)
      for (const device of devices) {
        const now = Date.now()
        if (isSuperseded(device, devices, now)) {
          print(`${maskToken(device.token)}  not pushed: ${SUPERSEDED}`)
          continue
        }
        const verdict = await transport.push(device)
        print(`${maskToken(device.token)}  ${inWords(verdict)}`)
        if (verdict.kind === 'sent') accepted += 1
        else await settler.settle({ user, device }, verdict, now)
      }
    }).finally(() => transport.close())
    if (accepted === 0) throw new Failure(`${user}: Apple accepted none`)
  },
}
