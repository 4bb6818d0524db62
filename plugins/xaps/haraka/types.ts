/** The types of Haraka that we touch, and no more of them than that. Haraka itself has none. */

/** An envelope address: an Address of @haraka/email-address. */
export interface Address {
  /** The local part as the client sent it: case, detail and quotes kept. */
  readonly user: string
  /** Lower case, punycode; empty for a bare `postmaster`. */
  readonly host: string
}

/** A recipient of a mail on its way out; Haraka notes on it what a server said when it refused the recipient. */
export interface OutboundRecipient extends Address {
  readonly dsn_smtp_response?: string
}

/** One mail on its way to one domain. */
export interface Hmail {
  readonly todo: { readonly rcpt_to: readonly OutboundRecipient[] }
}

/** How a mail was handed over. */
export type Mode = 'LMTP' | 'SMTP'

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

export interface Results {
  get(plugin: string): { readonly pass?: readonly unknown[] } | undefined
}

export interface Transaction {
  readonly rcpt_to: readonly Address[]
  readonly results: Results
}

export interface Connection {
  /** Null once the transaction is over. */
  readonly transaction?: Transaction | null
}

/** Calls the next plugin. Bare it means "go on"; codes are those of haraka-constants. */
export type Next = (code?: number, message?: string) => void

export type HarakaLogMethod = (message: string, fields?: Readonly<Record<string, unknown>>) => void

/** `this` in a plugin's hooks. */
export interface Plugin {
  readonly name: string
  readonly config: {
    /** The lines of a list in the config directory. `changed` is called a few seconds after the file changes. */
    get(file: string, type: 'list', changed: () => void): string[]
  }
  register_hook(hook: string, method: string, priority?: number): void
  readonly logdebug: HarakaLogMethod
  readonly loginfo: HarakaLogMethod
  readonly lognotice: HarakaLogMethod
  readonly logwarn: HarakaLogMethod
  readonly logerror: HarakaLogMethod
}
