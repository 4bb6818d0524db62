/**
 * `npm run demo`: the whole way on one machine, with nothing installed but Node. An Apple stand-in, a real Haraka with
 * the plugin, Dovecot or a small LMTP receiver; a phone registers, a mail comes in, and a timeline shows what happened.
 */

import { phoneOf, registerByLine } from '../e2e/dovecot-plugins.ts'
import { type Site, startSite } from '../e2e/setup.ts'
import { MAIL_TOPIC } from '../fake/apple/certificates.ts'
import { missingDovecot, startDovecot } from '../support/dovecot.ts'
import { startLmtp } from '../support/lmtp.ts'
import { owned, type Scope, scoped } from '../support/owned.ts'
import { sendMail } from '../support/smtp.ts'
import { until } from '../support/wait.ts'

const PHONE = { ...phoneOf('alice@example.com'), token: `${'c0ffee'.repeat(10)}beef` }

/** Where mail ends up: Dovecot when it is installed. */
interface Mailboxes {
  readonly name: string
  readonly lmtpPort: number
  /** Whether the mail is there. */
  arrived(): boolean
}

async function startMailboxes(scope: Scope): Promise<Mailboxes> {
  if (!missingDovecot()) {
    const { lmtpPort, inbox } = owned(scope, await startDovecot({ users: [PHONE.user] }))
    return { name: 'Dovecot', lmtpPort, arrived: () => inbox(PHONE.user).length > 0 }
  }
  const { port, mails } = owned(scope, await startLmtp())
  const name = 'a small LMTP receiver (Dovecot is not installed)'
  return { name, lmtpPort: port, arrived: () => mails.length > 0 }
}

async function show({ apple, port, socket }: Site, mailboxes: Mailboxes): Promise<void> {
  const say = timeline()
  say(`Apple: a stand-in on port ${apple.port}; topic ${MAIL_TOPIC}`)
  say(`Mailboxes: ${mailboxes.name}, LMTP on port ${mailboxes.lmtpPort}`)
  say(`Haraka with the plugin: SMTP on port ${port}, companion on ${socket}`)

  say(`phone → companion: REGISTER ${PHONE.user}`)
  const answer = await registerByLine(socket, PHONE)
  say(`companion → phone: ${answer.trim()}`)

  say(`SMTP → Haraka: a mail to ${PHONE.user}`)
  const { reply } = await sendMail({ port, from: 'bob@example.net', to: [PHONE.user], subject: 'Hello' })
  say(`Haraka → SMTP: ${reply.code} ${reply.text}`)
  const [push] = await apple.waitFor(1)
  say(`plugin → Apple: POST /3/device/${push?.token.slice(0, 8)}… ${JSON.stringify(push?.payload)}`)
  await until(() => mailboxes.arrived(), 'the mail to be in the mailbox')
  say('the mail is in the mailbox; the phone fetches it now')
  if (push?.token !== PHONE.token) throw new Error('the push went to another device')
}

/** Prints lines with the milliseconds since the first. */
function timeline(): (text: string) => void {
  const start = performance.now()
  return text => console.log(`${(performance.now() - start).toFixed(1).padStart(8)} ms  ${text}`)
}

scoped(async scope => {
  const mailboxes = await startMailboxes(scope)
  await show(await startSite(scope, { lmtpPort: mailboxes.lmtpPort }), mailboxes)
}).catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
