/** `xaps forget`: removes devices of one user. */

import { canonicalUser } from '../base/canonical-names.ts'
import { forget } from '../device/record.ts'
import { type CommandSpec, Failure, print, withExistingStore } from './context.ts'

export const forgetDevices: CommandSpec = {
  name: 'forget',
  description: "remove a user's devices; a phone that still has the account registers again within a day",
  arguments: [['<user>']],
  options: {
    '--account <id>': 'only the devices of this account id',
    '--token <prefix>': 'only the devices whose token begins so',
  },
  async run(config, { account, token = '' }, name) {
    const user = canonicalUser(name, config.users)
    let removed = 0
    await withExistingStore(config, store =>
      store.update(user, before => {
        const after = forget(
          before,
          device =>
            (account ?? device.account) === device.account && device.token.startsWith(token.toLowerCase()),
        )
        removed = before.devices.length - after.devices.length
        return after
      }),
    )
    if (removed === 0) throw new Failure(`${user}: no such device`)
    print(`${user}: ${removed} device${removed === 1 ? '' : 's'} removed`)
  },
}
