/** `xaps export`: all devices as JSON lines on standard output, for `xaps import` or any other use. */

import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Command } from 'commander'
import type { DeviceStore } from '../device/store.ts'
import { visible } from '../log.ts'
import { configOf, withStore } from './context.ts'
import { asJson } from './devices.ts'
import { openProgress, type Progress } from './progress.ts'

/** Lines are written in pieces of about so many characters. */
const PIECE = 64 * 1024

export function addExport(xaps: Command): void {
  xaps
    .command('export')
    .description('write all devices to standard output, one JSON object a line, device tokens in full')
    .action(async (_options: unknown, command: Command) => {
      await withStore(configOf(command), async store => {
        const progress = process.stdout.isTTY ? undefined : openProgress(undefined)
        await exportTo(process.stdout, store, progress).finally(() => progress?.stop())
      })
    })
}

/**
 * Writes every device as fast as `output` takes them, and leaves it open. Rejects with the store's failure when what
 * came before it has been written.
 */
export async function exportTo(
  output: Writable,
  store: Pick<DeviceStore, 'users'>,
  progress?: Pick<Progress, 'advance'>,
): Promise<void> {
  let failure: unknown
  const users = untilFailure(store.users(), error => {
    failure = error
  })
  await pipeline(Readable.from(pieces(users, progress), { objectMode: false }), output, { end: false })
  if (failure !== undefined) throw failure
}

async function* untilFailure<T>(source: AsyncIterable<T>, tell: (error: unknown) => void): AsyncGenerator<T> {
  try {
    yield* source
  } catch (error) {
    tell(error)
  }
}

async function* pieces(
  users: ReturnType<DeviceStore['users']>,
  progress?: Pick<Progress, 'advance'>,
): AsyncGenerator<string> {
  let piece = ''
  let devices = 0
  for await (const [user, owned] of users) {
    for (const device of owned) piece += `${visible(asJson(user, device, true))}\n`
    devices += owned.length
    if (piece.length < PIECE) continue
    yield piece
    progress?.advance(piece.length, devices)
    piece = ''
  }
  if (piece !== '') yield piece
}
