/** The table of devices: what its columns are, and what a narrow terminal shows of them. */

import type { Writable } from 'node:stream'
import { maskToken } from '../base/log.ts'
import type { Came, Device } from '../device/device.ts'
import { type Text, warn } from './style.ts'
import { type Column, tableLines } from './table.ts'
import { ago } from './times.ts'

/** What is known beside the record of a device. */
export interface Remarks {
  readonly superseded?: boolean
  /** Known of the user only. */
  readonly came?: Came | undefined
}

/** One device of a list. */
export interface Listed extends Remarks {
  readonly user: string
  readonly device: Device
}

/** In the order of the table; by rank what a narrow terminal shows. */
const COLUMNS: readonly Column[] = [
  { title: 'USER', least: 16, rank: 0 },
  { title: 'ACCOUNT', least: 13, rank: 4 },
  { title: 'TOKEN', least: 200, rank: 2 },
  { title: 'LAST SEEN', least: 9, rank: 1 },
  { title: 'REGISTERED', least: 10, rank: 5 },
  { title: 'REMARKS', least: 10, rank: 3 },
  { title: 'TOPIC', least: 20, rank: 6 },
  { title: 'MAILBOXES', least: 9, rank: 7 },
]

export interface TableOptions {
  /** Device tokens in full; then nothing else is cut either. */
  readonly full: boolean
  /** Columns of the terminal. */
  readonly width: number
  /** Milliseconds since the epoch. */
  readonly now: number
}

/** The lines of the table for `output`. */
export function deviceTable(
  output: Writable,
  listed: AsyncIterable<Listed>,
  { full, width, now }: TableOptions,
): AsyncGenerator<string> {
  return tableLines(output, full ? Number.POSITIVE_INFINITY : width, COLUMNS, rowsOf(listed, full, now))
}

async function* rowsOf(listed: AsyncIterable<Listed>, full: boolean, now: number): AsyncGenerator<Text[]> {
  for await (const { user, device, superseded, came } of listed) {
    const { account, token, topic, mailboxes, lastSeen, registeredAt } = device
    const remarks = [
      ...(superseded ? ['superseded'] : []),
      ...(came ? [`came by push ${ago(came.at, now)}${afterPush(came)}`] : []),
    ].join('; ')
    yield [
      user,
      account,
      full ? token : maskToken(token),
      ago(lastSeen, now),
      ago(registeredAt, now),
      superseded ? warn(remarks) : remarks,
      topic,
      mailboxes.join(', '),
    ]
  }
}

/** How long after the push, in words; empty where that is not known. */
export function afterPush({ afterMs }: Came): string {
  return afterMs === undefined ? '' : `, ${(afterMs / 1000).toFixed(1)} s after it`
}
