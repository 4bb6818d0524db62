/** A recipient's address → user name. Pure; knows neither Haraka's configuration nor Dovecot. */

import { asciiLowerCase } from '../base/canonical-names.ts'
import type { Config } from '../config/config.ts'

/** An envelope address: an Address of @haraka/email-address, as far as we read it. */
export interface Address {
  /** The local part as the client sent it: case, detail and quotes kept. */
  readonly user: string
  /** Lower case, punycode; empty for a bare `postmaster`. */
  readonly host: string
}

/** How a mail was handed over. */
export type Mode = 'LMTP' | 'SMTP'

/** An address as it was typed; a name without a domain is all local part. */
export function parseAddress(text: string): Address {
  const at = text.lastIndexOf('@')
  if (at < 0) return { user: text, host: '' }
  return { user: text.slice(0, at), host: asciiLowerCase(text.slice(at + 1)) }
}

/** The user's name as `[users] username` and `recipient_delimiter` say; not yet in canonical form. */
export function userNameOf(address: Address, users: Config['users']): string {
  return users.username === 'local_part'
    ? withoutDetail(localPart(address), users.recipientDelimiter)
    : addressWithoutDetail(address, users.recipientDelimiter)
}

/** The address without its detail: Dovecot's LMTP asks its userdb for that, whatever our `username` is. */
export function addressWithoutDetail(address: Address, delimiters: string): string {
  const mailbox = withoutDetail(localPart(address), delimiters)
  return address.host === '' ? mailbox : `${mailbox}@${address.host}`
}

/** The local part without quoting (RFC 5321 4.1.2): `"alice"@…` and `alice@…` are one mailbox. */
export function localPart({ user }: Address): string {
  return /^".*"$/s.test(user) ? user.slice(1, -1).replace(/\\(.)/gs, '$1') : user
}

/**
 * Cuts a local part at the first of `delimiters`, each a character of its own, as Postfix's setting of the same
 * name does. A leading one does not cut, since no name is left before it.
 */
export function withoutDetail(local: string, delimiters: string): string {
  const cut = local.split('').findIndex((character, index) => index > 0 && delimiters.includes(character))
  return cut < 0 ? local : local.slice(0, cut)
}
