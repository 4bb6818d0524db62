/**
 * What can become of a mail's recipient, of a notification and of a registration: the closed list. The log, the metrics'
 * labels, `xaps explain`, the page and docs/operations.md have their names and words from here.
 */

/** Of a recipient, a notification, a user or a device: one event may first wait and then be pushed. */
export const DECISIONS = {
  pushed: 'pushed, and accepted by Apple',
  covered: 'covered by a push that started after it',
  waits_window: "waits for the end of the window after the device's last push",
  waits_change: 'a change, which waits for another push to cover it',
  waits_apple: 'waits for Apple, which cannot be reached or asks to wait',
  waits_store: 'waits for the device store, which does not answer',
  expired: 'dropped: it waited for longer than [push] keep_for',
  no_device: 'not pushed: no phone has registered for this user, or not for too long',
  refused: 'not pushed: Apple refuses the device',
  other_topic: 'not pushed: the phone listens to another topic until it registers again',
  superseded: 'not pushed: the phone registers with another account id since, and would ignore this push',
  other_folder: 'not pushed: it is not in INBOX',
  other_source: 'not pushed: [delivery] source or [registration] notify leaves it to another source',
  discarded: 'not pushed: Sieve discarded it',
  redirected: 'not pushed: Sieve redirected it',
  undelivered: 'not pushed: it could not be delivered',
  no_mail: 'not pushed: an action of Sieve that puts no mail into INBOX',
  unknown_user: 'not pushed: Dovecot knows no such user',
  relayed: 'not pushed: the domain is not local',
} as const

export type Decision = keyof typeof DECISIONS

/** Of a registration. */
export const REGISTRATIONS = {
  saved: 'saved in the device store',
  spooled: 'waits in the spool on local disk, for the store does not take it',
  refused: 'refused: it breaks a rule of the protocol',
  unavailable: 'refused: neither store nor spool takes it',
} as const

export type RegistrationOutcome = keyof typeof REGISTRATIONS
