/**
 * How large a value from outside may be, in one place for all that check one: requests, deliveries, imports, store. An IMAP
 * user chooses account id, token and mailbox names byte by byte. Bytes are those of UTF-8. And how long an orderly end may
 * take.
 */

/** A user name. */
export const MAX_USER_BYTES = 255

/** An account id; Apple's are UUIDs of 36 bytes. */
export const MAX_ACCOUNT_BYTES = 128

/** A device token: hex only, since it goes into the path of the request to Apple. 64 digits today, said to grow. */
export const TOKEN = /^(?:[0-9a-f]{2}){16,100}$/i

/** Mailboxes of one registration. */
export const MAX_MAILBOXES = 500

/** A mailbox name as Dovecot sends it, and in canonical form: NFC makes it three times as long at most. */
export const MAX_MAILBOX_BYTES = 1000
export const MAX_CANONICAL_MAILBOX_BYTES = 3 * MAX_MAILBOX_BYTES

/** A topic goes into a header of the request to Apple and into one line of an answer to Dovecot: printable ASCII. */
export const TOPIC = /^[\x21-\x7e]{1,255}$/

/** A value that must stay on one line holds none of these. */
export const LINE_BREAK = /[\r\n\0]/

/** C0, DEL, C1 and the two line ends of Unicode: one value must stay on one line, in a log and on a terminal. */
export const CONTROL = /[\p{Control}\u2028\u2029]/u

/** What the parsers leave where the bytes were not UTF-8, and half characters out of JSON's `\u`. */
export const NOT_UTF8 = /[\ufffd\p{Surrogate}]/u

/**
 * A request: 500 mailboxes of 1000 bytes, each byte escaped, with quotes and comma, are 1,001,500 bytes; the other
 * values need some hundreds. A real registration of 200 mailboxes has 4,500.
 */
export const MAX_REQUEST_BYTES = 1024 * 1024

/**
 * The orderly end of a process, in milliseconds. Its stages add up to it, and an outer wait is always longer than an inner
 * one, so a stage that hangs is cut off by its own limit and the stages after it still have their time.
 */
const PROCESS_MS = 6_000

const share = (part: number) => PROCESS_MS * part

/** One after the other, in this order. A worker of Haraka's has no listeners and no spool. */
export const STAGES = {
  /** Requests in hand; each is answered within 700 ms. */
  listenersMs: share(1 / 6),
  spoolMs: share(1 / 6),
  /** Pushes that are pending. */
  pushesMs: share(1 / 2),
  storeMs: share(1 / 6),
} as const

/** A process that has not ended by then exits all the same. */
export const EXIT_AFTER_MS = PROCESS_MS + 500

/** A child that has not exited by then is killed, or left behind. */
export const KILL_AFTER_MS = EXIT_AFTER_MS + 500
/** An event of Dovecot's, in characters; real ones have 500 to 1000, and Dovecot cuts a long subject. */
export const MAX_EVENT_LENGTH = 64 * 1024
