/** The types of Haraka that its hooks give us, and no more of them than we touch. Haraka itself has none. */

import type { Address, Mode } from '../delivery/address.ts'
import type { OutboundRecipient, Transaction } from '../delivery/confirmed.ts'
import type { HarakaLists } from '../delivery/local.ts'

/** One mail on its way to one domain. */
export interface Hmail {
  readonly todo: { readonly uuid?: string; readonly rcpt_to: readonly OutboundRecipient[] }
}

/** The arguments of the hook `delivered` beside the mail. `delay` is in seconds. */
export type DeliveredParams = readonly [
  host: string,
  ip: string,
  response: string,
  delay: number,
  port: number | string,
  mode: Mode,
  okRecips: readonly Address[],
]

interface WithResults {
  readonly uuid?: string
  readonly results: { add(plugin: object, result: Readonly<Record<string, unknown>>): void }
}

export interface Connection {
  /** Null once the transaction is over. */
  readonly transaction?: (Transaction & WithResults) | null
}

/** Calls the next plugin. Bare it means "go on"; codes are those of haraka-constants. */
export type Next = (code?: number, message?: string) => void

/** Haraka prints the fields, also those that are undefined. */
type LogMethod = (message: string, fields?: Readonly<Record<string, unknown>>) => void

export type Logger = Readonly<
  Record<'logdebug' | 'loginfo' | 'lognotice' | 'logwarn' | 'logerror', LogMethod>
>

/** `this` in a plugin's hooks. */
export interface Plugin extends Logger {
  readonly config: HarakaLists
  register_hook(hook: string, method: string): void
}
