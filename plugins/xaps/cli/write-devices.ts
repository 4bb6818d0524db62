/** Devices as lines of text, of which there may be a million: no more is read than the output takes. */

import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { visible } from '../base/log.ts'
import type { Device } from '../device/device.ts'

type Records = AsyncIterable<readonly [user: string, devices: readonly Device[]]>

/** Lines are written in pieces of about so many characters. */
const PIECE = 64 * 1024

/**
 * Writes a line for every device as fast as `output` takes them, and leaves it open. Rejects with the failure of
 * `records` when what came before it has been written.
 */
export async function writeDevices(
  output: Writable,
  records: Records,
  lineOf: (user: string, device: Device) => string,
): Promise<void> {
  let failure: unknown
  const readable = untilFailure(records, error => {
    failure = error
  })
  await pipeline(Readable.from(pieces(readable, lineOf), { objectMode: false }), output, { end: false })
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
  records: Records,
  lineOf: (user: string, device: Device) => string,
): AsyncGenerator<string> {
  let piece = ''
  for await (const [user, owned] of records) {
    for (const device of owned) piece += `${visible(lineOf(user, device))}\n`
    if (piece.length < PIECE) continue
    yield piece
    piece = ''
  }
  if (piece !== '') yield piece
}
