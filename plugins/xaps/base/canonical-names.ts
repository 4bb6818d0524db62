/**
 * User and mailbox names in the one form that both sides compare. Dovecot's plugins write the same mailbox in
 * modified UTF-7 when a phone registers and in UTF-8 when mail arrives, and INBOX in whatever case it was typed.
 * Pure and total: any string has a canonical form.
 */

const NOT_PRINTABLE_ASCII = /[^\x20-\x7e]/

/** Most names: nothing in them is encoded, malformed or to be composed. */
const PLAIN = /^[\x20-\x25\x27-\x7e]*$/

/** A surrogate without its other half (JSON's `\ud800` makes one): no store could keep it. */
const LONE_SURROGATE = /\p{Surrogate}/gu

/** Must not stand in a base64 run: characters that stand for themselves outside it (RFC 3501), halves of characters, controls. */
const NEVER_ENCODED = /[\x20-\x7e\p{Surrogate}\p{Control}]/u

/**
 * A mailbox name as it is stored and compared: decoded when it is valid modified UTF-7, otherwise as it stands;
 * `INBOX` for the inbox in any case; well-formed Unicode in NFC. Apply it once, to the name as Dovecot sent it:
 * `&-APw-` means `&APw-`, and that again would be read as `ü`.
 */
export function canonicalMailbox(name: string): string {
  const text = PLAIN.test(name) ? name : wellFormed(decodeModifiedUtf7(name) ?? name).normalize('NFC')
  return isInbox(text) ? 'INBOX' : text
}

/** Whether a mailbox name, raw or canonical, means the inbox. RFC 3501 5.1: INBOX in any case. */
export function isInbox(name: string): boolean {
  return /^inbox$/i.test(name)
}

/**
 * A user name as it is stored and compared: as Dovecot has it, byte by byte but for ASCII's capitals when `lowercase`
 * is set. No other letter is folded and nothing is normalised: names that Dovecot tells apart are different users, such
 * as `k` and the Kelvin sign, which is a k in Unicode's lower case and in NFC.
 */
export function canonicalUser(name: string, { lowercase }: { readonly lowercase: boolean }): string {
  return wellFormed(lowercase ? asciiLowerCase(name) : name)
}

/** A to Z in lower case and all else as it stands: Dovecot's `%Lu`, and the rule for domains (RFC 4343). */
export function asciiLowerCase(text: string): string {
  return /[A-Z]/.test(text) ? text.replace(/[A-Z]+/g, capitals => capitals.toLowerCase()) : text
}

function wellFormed(text: string): string {
  return NOT_PRINTABLE_ASCII.test(text) ? text.replace(LONE_SURROGATE, '\ufffd') : text
}

/**
 * RFC 3501 5.1.3, or undefined when `name` is not modified UTF-7. As strict as the RFC: each name has one
 * encoding, so no second spelling of a name can be slipped in. Control characters are not decoded either:
 * a line break that came encoded stays encoded.
 */
function decodeModifiedUtf7(name: string): string | undefined {
  if (NOT_PRINTABLE_ASCII.test(name)) return undefined
  const [plain = '', ...shifts] = name.split('&')
  let text = plain
  let justShifted = false
  for (const shift of shifts) {
    const end = shift.indexOf('-')
    if (end < 0 || (end > 0 && justShifted)) return undefined
    const decoded = end === 0 ? '&' : decodeRun(shift.slice(0, end))
    if (decoded === undefined) return undefined
    text += decoded + shift.slice(end + 1)
    justShifted = end > 0 && end === shift.length - 1
  }
  return text
}

/** UTF-16BE in base64 with `,` for `/` and no padding. */
function decodeRun(run: string): string | undefined {
  const bytes = Buffer.from(run.replaceAll(',', '/'), 'base64')
  if (bytes.length % 2 !== 0 || encodeRun(bytes) !== run) return undefined
  const text = bytes.swap16().toString('utf16le')
  return NEVER_ENCODED.test(text) ? undefined : text
}

function encodeRun(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('/', ',').replaceAll('=', '')
}
