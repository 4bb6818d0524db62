/** `xaps devices` and `xaps export`: the registered devices as lines of text. */

import type { Writable } from 'node:stream'
import { canonicalUser } from '../base/canonical-names.ts'
import { maskToken, visible } from '../base/log.ts'
import type { Config } from '../config/config.ts'
import type { Device } from '../device/device.ts'
import type { DeviceStore } from '../device/store.ts'
import { isSuperseded } from '../device/superseded.ts'
import { type CommandSpec, withExistingStore } from './context.ts'

export const devices: CommandSpec = {
  name: 'devices',
  description: 'list registered devices',
  argument: ['[user]', "one user's only"],
  options: { '--json': 'one JSON object a line', '--full': 'show device tokens in full' },
  run(config, user: string | undefined, { json, full = false }) {
    const show = json ? asJson : asText
    const now = Date.now()
    return withExistingStore(config, store =>
      writeDevices(process.stdout, recordsOf(store, user, config), (owner, device, owned) =>
        show(owner, device, full, isSuperseded(device, owned, now)),
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

/** Of a device that is not pushed, since its phone has another account id by now. */
export const SUPERSEDED = 'superseded, the phone registers with another account id'

/** The contract's form of a device. Times in ISO 8601; the field `superseded` is there only when it is true. */
export function asJson(user: string, device: Device, full: boolean, superseded = false): string {
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
    ...(superseded && { superseded }),
  })
}

function asText(user: string, device: Device, full: boolean, superseded: boolean): string {
  const token = full ? device.token : maskToken(device.token)
  const seen = new Date(device.lastSeen).toISOString().slice(0, 16).replace('T', ' ')
  const mailboxes = device.mailboxes.join(', ')
  const mark = superseded ? [`(${SUPERSEDED})`] : []
  return [user, device.account, token, seen, mailboxes, ...mark].join('  ')
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
  lineOf: (user: string, device: Device, owned: readonly Device[]) => string,
): Promise<void> {
  let piece = ''
  const flush = () =>
    new Promise<void>((resolve, reject) => {
      output.write(piece, error => (error ? reject(error) : resolve()))
      piece = ''
    })
  try {
    for await (const [user, owned] of records) {
      for (const device of owned) piece += `${visible(lineOf(user, device, owned))}\n`
      if (piece.length >= PIECE) await flush()
    }
  } finally {
    if (piece !== '') await flush()
  }
}
