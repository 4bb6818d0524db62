/** The arguments of Haraka's hooks → the recipients that certainly got the mail. Pure; knows nothing of users or domains. */

import { asciiLowerCase } from '../base/canonical-names.ts'
import { type Address, localPart, type Mode } from './address.ts'

/** A recipient of a mail on its way out; Haraka notes on it what a server said when it refused the recipient. */
export interface OutboundRecipient extends Address {
  readonly dsn_smtp_response?: string
}

/** A transaction of Haraka's, with what plugins noted on it. */
export interface Transaction {
  readonly rcpt_to: readonly Address[]
  readonly results: { get(plugin: string): { readonly pass?: readonly unknown[] } | undefined }
}

/**
 * The recipients that a `delivered` hook stands for.
 *
 * `okRecips` is right in number and, but for one case, in names. After a refusal that follows DATA (LMTP only)
 * Haraka takes the first recipient off the list instead of the refused one. Then the server's words decide, which
 * name the recipient where the server is Dovecot. A recipient that they leave open counts as delivered: a push too many costs
 * one fetch, a push too few costs a mail its notice.
 */
export function confirmedByDelivered(
  mode: Mode,
  okRecips: readonly Address[],
  recipients: readonly OutboundRecipient[],
  response: string,
): readonly Address[] {
  if (mode !== 'LMTP' || okRecips.length === recipients.length) return okRecips
  const accepted = recipients.filter(recipient => names(response, recipient))
  if (accepted.length === okRecips.length) return accepted
  const refused = refusedOf(recipients)
  const possible = recipients.filter(recipient => accepted.includes(recipient) || !refused.has(recipient))
  return possible.length >= okRecips.length ? possible : recipients
}

/**
 * The recipients that a refusal names, whichever of them Haraka noted it on. It is the last name in the note: before it
 * come the words for the recipients accepted since the refusal before.
 */
function refusedOf(recipients: readonly OutboundRecipient[]): Set<OutboundRecipient> {
  const notes = recipients.flatMap(({ dsn_smtp_response: note }) => (note === undefined ? [] : [note]))
  return new Set(notes.flatMap(note => recipients.filter(recipient => names(lastAddress(note), recipient))))
}

function lastAddress(note: string): string {
  return note.match(/<[^<>]*>/g)?.at(-1) ?? ''
}

/** Whether `text` has the address in angle brackets, quoted as it was sent or without needless quotes. */
function names(text: string, address: Address): boolean {
  const forms = [address.user, localPart(address)].map(local => `<${local}@${address.host}>`)
  return forms.some(form => asciiLowerCase(text).includes(asciiLowerCase(form)))
}

/** Notes of queue/smtp_forward at MAIL and RCPT, long before anything is forwarded. */
const NOTED_BEFORE_QUEUE: readonly unknown[] = [
  'mail_from',
  'rcpt_to',
  'rcpt_to.split',
  'relaying local_sender',
]

/**
 * The recipients that a `queue_ok` hook stands for: all of them when queue/smtp_forward has handed the mail to its
 * backend. None when the mail was queued for outbound (`delivered` will tell), and none for any other reason to
 * say OK, such as queue/discard's.
 */
export function confirmedByQueueOk(transaction: Transaction): readonly Address[] {
  const passed = (plugin: string) => transaction.results.get(plugin)?.pass ?? []
  if (passed('outbound').includes('queued')) return []
  const forwarded = passed('queue/smtp_forward').some(note => !NOTED_BEFORE_QUEUE.includes(note))
  return forwarded ? transaction.rcpt_to : []
}
