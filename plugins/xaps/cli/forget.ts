/** `xaps forget`: removes devices of one user. */

import type { Command } from 'commander'
import { canonicalUser } from '../base/canonical-names.ts'
import { forget } from '../device/record.ts'
import { configOf, Failure, print, withExistingStore } from './context.ts'

interface Options {
  account?: string
  token?: string
}

export function addForget(xaps: Command): void {
  xaps
    .command('forget')
    .description("remove a user's devices; a phone that still has the account registers again within a day")
    .argument('<user>')
    .option('--account <id>', 'only the devices of this account id')
    .option('--token <prefix>', 'only the devices whose token begins so')
    .action(async (name: string, { account, token = '' }: Options, command: Command) => {
      const config = configOf(command)
      const user = canonicalUser(name, config.users)
      const removed = await withExistingStore(config, async store => {
        let count = 0
        await store.update(user, before => {
          const after = forget(
            before,
            device =>
              (account ?? device.account) === device.account && device.token.startsWith(token.toLowerCase()),
          )
          count = before.devices.length - after.devices.length
          return after
        })
        return count
      })
      if (removed === 0) throw new Failure(`${user}: no such device`)
      print(`${user}: ${removed} device${removed === 1 ? '' : 's'} removed`)
    })
}
