/** Recorded events of Dovecot's exporter, and events like them. */

import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { ArrivalsParts } from '../../plugins/xaps/intake/arrivals.ts'
import { type Arrival, type DeliveryEvent, parseEvent } from '../../plugins/xaps/intake/exporter-event.ts'

/** From the compiled test in dist/test/intake/ to the fixtures beside the sources. */
const WIRE = path.join(__dirname, '../../../test/fixtures/wire')

/** A recorded request, whole. */
export function recordedRequest(name: string): string {
  return readFileSync(path.join(WIRE, `exporter-${name}.txt`), 'utf8')
}

/** The body of a recorded request. */
export function recordedBody(name: string): string {
  return recordedRequest(name).split('\r\n\r\n')[1] ?? ''
}

export type Fields = Readonly<Record<string, unknown>>

/** What Sieve says of a mail kept in INBOX; `fields` take the place of those of the same name, undefined leaves one out. */
export function sieveEvent(fields: Fields = {}): string {
  const usual = {
    session: 'qC3jKFfCBWtBLgAAg+zDdQ',
    mail_from: 'sender@example.net',
    rcpt_to: 'Alice@example.org',
    user: 'alice@example.org',
    fileinto_mailbox_name: 'INBOX',
    message_subject: 'a secret subject',
    action_name: 'keep',
  }
  return JSON.stringify({ event: 'sieve_action_finished', hostname: 'vm', fields: { ...usual, ...fields } })
}

/** What Dovecot 2.4 says when a phone has logged in that a push has brought. */
export function idEvent(fields: Fields = {}): string {
  const usual = {
    user: 'alice@example.org',
    session: 'd5IcpAhhWot/AAAB',
    id_param_name: 'com.apple.email.maild',
    id_param_event: 'periodic,push',
  }
  return JSON.stringify({ event: 'imap_id_received', hostname: 'vm', fields: { ...usual, ...fields } })
}

/** The event in a text, where it is one of a delivery. */
export function deliveryIn(text: string): DeliveryEvent | undefined {
  const event = parseEvent(text)
  return event?.name === 'imap_id_received' ? undefined : event
}

/** The event in a text, where it is one of a phone that says why it comes. */
export function arrivalIn(text: string): Arrival | undefined {
  const event = parseEvent(text)
  return event?.name === 'imap_id_received' ? event : undefined
}

/** Of an Intake, the parts for phones that say why they come, where a test has none. */
export const NO_PHONES: ArrivalsParts = { lastPush: async () => undefined, came: async () => undefined }

/** What Dovecot 2.3 says at the end of the same delivery. */
export function endEvent(fields: Fields = {}): string {
  const usual = { session: 'qC3jKFfCBWtBLgAAg+zDdQ', rcpt_to: 'Alice@example.org', user: 'Alice@example.org' }
  return JSON.stringify({ event: 'mail_delivery_finished', hostname: 'vm', fields: { ...usual, ...fields } })
}
