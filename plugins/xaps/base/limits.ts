/**
 * How large a value may be that others choose, in one place for all who check one: requests, deliveries, imports, store.
 * An IMAP user chooses account id, token and mailbox names byte by byte. Bytes are those of UTF-8.
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

/** An event of Dovecot's, in characters; real ones have 500 to 1000, and Dovecot cuts a long subject. */
export const MAX_EVENT_LENGTH = 64 * 1024
