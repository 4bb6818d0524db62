/** `xaps devices` and `xaps export`: the registered devices, as a table for a person or as JSON lines. */

import { canonicalUser } from '../base/canonical-names.ts'
import { maskToken, visible } from '../base/log.ts'
import type { Config } from '../config/config.ts'
import type { Device } from '../device/device.ts'
import type { DeviceStore } from '../device/store.ts'
import { isSuperseded } from '../device/superseded.ts'
import { type CommandSpec, print, withExistingStore } from './context.ts'
import { deviceTable, type Listed, type Remarks } from './device-table.ts'
import { nearNames, noDevice } from './near-names.ts'
import { wholeOutput, writeLines } from './output.ts'
import { dim } from './style.ts'

export const devices: CommandSpec = {
  name: 'devices',
  description: 'list registered devices: a table on a terminal, otherwise one JSON object a line',
  arguments: [['[user]', "one user's only"]],
  options: { '--json': 'one JSON object a line, also on a terminal', '--full': 'show device tokens in full' },
  run(config, { json, full = false }, user?: string) {
    return withExistingStore(config, async store => {
      const listed = listedIn(recordsOf(store, user, config), Date.now())
      const written =
        json || !process.stdout.isTTY ? await writeJson(listed, full) : await writeTable(listed, full)
      if (user === undefined || written > 0) return
      const name = canonicalUser(user, config.users)
      const near = await nearNames(store, name, config.users.recipientDelimiter)
      process.stderr.write(`xaps: ${visible(noDevice(name, near, 'xaps devices'))}\n`)
    })
  },
}

export const exportDevices: CommandSpec = {
  name: 'export',
  description: 'write all devices to standard output, one JSON object a line, device tokens in full',
  async run(config) {
    await withExistingStore(config, store => writeLines(wholeOutput(), exportLines(store.users())))
  },
}

type Records = ReturnType<DeviceStore['users']>

async function* recordsOf(store: DeviceStore, user: string | undefined, config: Config) {
  if (user === undefined) return yield* store.users()
  const name = canonicalUser(user, config.users)
  const [owned, came] = await Promise.all([store.devices(name), store.came(name)])
  yield [name, owned, came] as const
}

export { afterPush } from './device-table.ts'

/** Of a device that is not pushed, since its phone has another account id by now. */
export const SUPERSEDED = 'superseded, the phone registers with another account id'

/** Every device of `records`, with what is known of it at the time `now` (ms since the epoch). */
export async function* listedIn(records: Records, now: number): AsyncGenerator<Listed> {
  for await (const [user, owned, came] of records)
    for (const device of owned) yield { user, device, superseded: isSuperseded(device, owned, now), came }
}

async function* exportLines(records: Records): AsyncGenerator<string> {
  for await (const [user, owned] of records) for (const device of owned) yield asJson(user, device, true)
}

/** The contract's form of a device, with remarks where there are some. Times in ISO 8601. */
export function asJson(
  user: string,
  device: Device,
  full: boolean,
  { superseded, came }: Remarks = {},
): string {
  const { account, token, mailboxes, subtopic, topic } = device
  return visible(
    JSON.stringify({
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
    }),
  )
}

function writeJson(listed: AsyncIterable<Listed>, full: boolean): Promise<number> {
  return writeLines(wholeOutput(), jsonLines(listed, full))
}

export async function* jsonLines(listed: AsyncIterable<Listed>, full: boolean): AsyncGenerator<string> {
  for await (const { user, device, ...remarks } of listed) yield asJson(user, device, full, remarks)
}

/** Resolves with the number of devices. */
async function writeTable(listed: AsyncIterable<Listed>, full: boolean): Promise<number> {
  const lines = deviceTable(process.stdout, listed, { full, width: process.stdout.columns, now: Date.now() })
  const rows = Math.max(0, (await writeLines(process.stdout, lines)) - 1)
  if (rows > 0) print(dim(`${rows} device${rows === 1 ? '' : 's'}; --json has all that is known of each`))
  return rows
}
