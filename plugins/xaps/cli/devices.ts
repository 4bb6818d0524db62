/** `xaps devices` and `xaps export`: the registered devices as lines of text. */

import type { Writable } from 'node:stream'
import { canonicalUser } from '../base/canonical-names.ts'
import { maskToken, visible } from '../base/log.ts'
import type { Config } from '../config/config.ts'
import type { Device } from '../device/device.ts'
import type { DeviceStore } from '../device/store.ts'
import { type CommandSpec, withExistingStore } from './context.ts'

export const devices: CommandSpec = {
  name: 'devices',
  description: 'list registered devices',
  argument: ['[user]', "one user's only"],
  options: { '--json': 'one JSON object a line', '--full': 'show device tokens in full' },
  run(config, user: string | undefined, { json, full = false }) {
    const show = json ? asJson : asText
    return withExistingStore(config, store =>
      writeDevices(process.stdout, recordsOf(store, user, config), (owner, device) =>
        show(owner, device, full),
      ),
    )
  },
}

export const exportDevices: CommandSpec = {
  name: 'export',
  description: 'write all devices to standard output, one JSON object a line, device tokens in full',
  run: config =>
    withExistingStore(config, store =>
      writeDevices(process.stdout, store.users(), (user, device) => asJson(user, device, true)),
    ),
}

async function* recordsOf(store: DeviceStore, user: string | undefined, config: Config) {
  if (user === undefined) return yield* store.users()
  const name = canonicalUser(user, config.users)
  yield [name, await store.devices(name)] as const
}

/** The contract's form of a device. Times in ISO 8601. */
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

function asText(user: string, { account, token, mailboxes, lastSeen }: Device, full: boolean): string {
  const seen = new Date(lastSeen).toISOString().slice(0, 16).replace('T', ' ')
  return [user, account, full ? token : maskToken(token), seen, mailboxes.join(', ')].join('  ')
}

/** Lines are written in pieces of about so many characters. */
const PIECE = 64 * 1024

/**
 * Writes a line for every device, of which there may be a million, as fast as `output` takes them: no more is read ahead.
 * Leaves `output` open. Rejects with a failure of `records` when the lines before it have been written.
 */
export async function writeDevices(
  output: Writable,
  records: ReturnType<DeviceStore['users']>,
  lineOf: (user: string, device: Device) => string,
): Promise<void> {
  let piece = ''
  const flush = () =>
    new Promise<void>((resolve, reject) => {
      output.write(piece, error => (error ? reject(error) : resolve()))
      piece = ''
    })
  try {
    for await (const [user, owned] of records) {
      for (const device of owned) piece += `${visible(lineOf(user, device))}\n`
      if (piece.length >= PIECE) await flush()
    }
  } finally {
    if (piece !== '') await flush()
  }
}
