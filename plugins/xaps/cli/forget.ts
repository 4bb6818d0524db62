/** `xaps forget`: removes devices of one user. */

import { canonicalUser } from '../base/canonical-names.ts'
import type { Device } from '../device/device.ts'
import { forget } from '../device/record.ts'
import { type CommandSpec, Failure, print, withExistingStore } from './context.ts'
import { asJson } from './devices.ts'
import { nearNames, noDevice } from './near-names.ts'

export const forgetDevices: CommandSpec = {
  name: 'forget',
  description: "remove a user's devices; a phone that still has the account registers again within a day",
  arguments: [['<user>']],
  options: {
    '--account <id>': 'only the devices of this account id',
    '--token <prefix>': 'only the devices whose token begins so',
    '--json': 'what was removed, one JSON object a line',
  },
  async run(config, { account, token = '', json }, name) {
    const user = canonicalUser(name, config.users)
    const matches = (device: Device) =>
      (account ?? device.account) === device.account && device.token.startsWith(token.toLowerCase())
    let removed: readonly Device[] = []
    await withExistingStore(config, async store => {
      let before: readonly Device[] = []
      await store.update(user, record => {
        before = record.devices
        removed = before.filter(matches)
        return forget(record, matches)
      })
      if (before.length > 0) return
      throw new Failure(
        noDevice(user, await nearNames(store, user, config.users.recipientDelimiter), 'xaps forget'),
      )
    })
    if (removed.length === 0) throw new Failure(`${user}: no such device`)
    if (json) for (const device of removed) print(asJson(user, device, false))
    else print(`${user}: ${removed.length} device${removed.length === 1 ? '' : 's'} removed`)
  },
}
