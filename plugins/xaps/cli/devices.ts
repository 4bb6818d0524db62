/** `xaps devices` and `xaps export`: the registered devices as lines of text. */

import type { Writable } from 'node:stream'
import { canonicalUser } from '../base/canonical-names.ts'
import { maskToken, visible } from '../base/log.ts'
import type { Config } from '../config/config.ts'
import type { Came, Device } from '../device/device.ts'
import type { DeviceStore } from '../device/store.ts'
import { isSuperseded } from '../device/superseded.ts'
import { type CommandSpec, withExistingStore } from './context.ts'

export const devices: CommandSpec = {
  name: 'devices',
  description: 'list registered devices',
  arguments: [['[user]', "one user's only"]],
  options: { '--json': 'one JSON object a line', '--full': 'show device tokens in full' },
  run(config, { json, full = false }, user?: string) {
    const show = json ? asJson : asText
    const now = Date.now()
    return withExistingStore(config, store =>
      writeDevices(process.stdout, recordsOf(store, user, config), (owner, device, owned, came) =>
        show(owner, device, full, { superseded: isSuperseded(device, owned, now), came }),
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
  const [owned, came] = await Promise.all([store.devices(name), store.came(name)])
  yield [name, owned, came] as const
}

/** Of a device that is not pushed, since its phone has another account id by now. */
export const SUPERSEDED = 'superseded, the phone registers with another account id'

/** What is known beside the record of a device. */
interface Remarks {
  readonly superseded?: boolean
  /** Known of the user only. */
  readonly came?: Came | undefined
}

/** The contract's form of a device, with remarks where there are some. Times in ISO 8601. */
export function asJson(
  user: string,
  device: Device,
  full: boolean,
  { superseded, came }: Remarks = {},
): string {
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
    ...(came && { userCameAt: new Date(came.at).toISOString(), userCameAfterMs: came.afterMs }),
  })
}

/** One line for a person. Times in UTC, to the minute. */
export function asText(
  user: string,
  { account, token, mailboxes, lastSeen }: Device,
  full: boolean,
  { superseded, came }: Remarks = {},
): string {
  const minute = (at: number) => new Date(at).toISOString().slice(0, 16).replace('T', ' ')
  const columns = [user, account, full ? token : maskToken(token), minute(lastSeen), mailboxes.join(', ')]
  if (superseded) columns.push(`(${SUPERSEDED})`)
  if (came) columns.push(`user came by push ${minute(came.at)}${afterPush(came)}`)
  return columns.join('  ')
}

/** How long after the push, in words; empty where that is not known. */
export function afterPush({ afterMs }: Came): string {
  return afterMs === undefined ? '' : `, ${(afterMs / 1000).toFixed(1)} s after it`
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
  lineOf: (user: string, device: Device, owned: readonly Device[], came?: Came) => string,
): Promise<void> {
  let piece = ''
  const flush = () =>
    new Promise<void>((resolve, reject) => {
      output.write(piece, error => (error ? reject(error) : resolve()))
      piece = ''
    })
  try {
    for await (const [user, owned, came] of records) {
      for (const device of owned) piece += `${visible(lineOf(user, device, owned, came))}\n`
      if (piece.length >= PIECE) await flush()
    }
  } finally {
    if (piece !== '') await flush()
  }
}
