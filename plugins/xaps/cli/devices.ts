/** `xaps devices`: who has registered what. */

import type { Command } from 'commander'
import { maskToken } from '../base/log.ts'
import { canonicalUser } from '../base/names.ts'
import type { Config } from '../config/config.ts'
import type { Device } from '../device/device.ts'
import type { DeviceStore } from '../device/store.ts'
import { configOf, withExistingStore } from './context.ts'
import { writeDevices } from './write-devices.ts'

export function addDevices(xaps: Command): void {
  xaps
    .command('devices')
    .description('list registered devices')
    .argument('[user]', "one user's only")
    .option('--json', 'one JSON object a line')
    .option('--full', 'show device tokens in full')
    .action(async (user: string | undefined, options: { json?: true; full?: true }, command: Command) => {
      const config = configOf(command)
      const show = options.json ? asJson : asText
      await withExistingStore(config, store =>
        writeDevices(process.stdout, recordsOf(store, user, config), (owner, device) =>
          show(owner, device, options.full === true),
        ),
      )
    })
}

async function* recordsOf(store: DeviceStore, user: string | undefined, config: Config) {
  if (user === undefined) return yield* store.users()
  const name = canonicalUser(user, config.users)
  yield [name, await store.devices(name)] as const
}

/** The contract's form of a device, also what `xaps export` writes. Times in ISO 8601. */
export function asJson(user: string, device: Device, full: boolean): string {
  const { account, token, mailboxes, subtopic, topic } = device
  return JSON.stringify({
    user,
    account,
    token: full ? token : maskToken(token),
    mailboxes,
    subtopic,
    topic,
    registeredAt: new Date(device.registeredAt).toISOString(),
    lastSeen: new Date(device.lastSeen).toISOString(),
  })
}

function asText(user: string, device: Device, full: boolean): string {
  const token = full ? device.token : maskToken(device.token)
  const seen = new Date(device.lastSeen).toISOString().slice(0, 16).replace('T', ' ')
  const mailboxes = device.mailboxes.join(', ')
  return [user, device.account, token, seen, mailboxes].join('  ')
}
