/** What Dovecot's plugins ask, whichever protocol they ask in, and how a request is refused. Values are as on the wire. */

import { MAX_USER_BYTES } from '../base/limits.ts'

/** A phone wants to be pushed. */
export interface RegisterRequest {
  readonly verb: 'REGISTER'
  readonly account: string
  readonly token: string
  readonly subtopic: string
  readonly user: string
  readonly mailboxes: readonly string[]
}

/** Something happened in a mailbox. */
export interface NotifyRequest {
  readonly verb: 'NOTIFY'
  readonly user: string
  readonly mailbox: string
  readonly events: readonly string[]
}

export type Request = RegisterRequest | NotifyRequest

/**
 * A request that is refused. `message` is fit to be sent back and logged: one line of printable ASCII, at most
 * 100 characters, none of them the sender's.
 */
export class BadRequest extends Error {
  override name = 'BadRequest'
  /** The user name as it came, when it was read before the fault was found. To be masked in the log. */
  readonly user: string | undefined

  constructor(message: string, user?: string) {
    super(message)
    this.user = user !== undefined && Buffer.byteLength(user) <= MAX_USER_BYTES ? user : undefined
  }
}
