/** `xaps export`: all devices as JSON lines on standard output, for `xaps import` or any other use. */

import type { Command } from 'commander'
import { configOf, withExistingStore } from './context.ts'
import { asJson } from './devices.ts'
import { writeDevices } from './write-devices.ts'

export function addExport(xaps: Command): void {
  xaps
    .command('export')
    .description('write all devices to standard output, one JSON object a line, device tokens in full')
    .action(async (_options: unknown, command: Command) => {
      await withExistingStore(configOf(command), store =>
        writeDevices(process.stdout, store.users(), (user, device) => asJson(user, device, true)),
      )
    })
}
