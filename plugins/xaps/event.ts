/** Something happened in a mailbox: deliveries and registration hand it to the push side. */
export interface MailEvent {
  /** Canonical user name. */
  readonly user: string
  /** `new` is pushed at once, `change` (flags, moves, deletions) waits for `change_delay`. */
  readonly kind: 'new' | 'change'
  /** When, in milliseconds since the epoch. */
  readonly at: number
  /** The mail's uuid in Haraka, or the session of Dovecot's delivery, where it is known: for the log. */
  readonly mail?: string | undefined
}
