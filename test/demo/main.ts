/**
 * `npm run demo`: the whole way on one machine, with nothing installed but Node. An Apple stand-in, a real Haraka with
 * the plugin, Dovecot or a small LMTP receiver; a phone registers, a mail comes in, and a timeline shows what happened.
 */

import { writeFileSync } from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { MAIL_TOPIC, pushCertificate } from '../fake/apple/certificates.ts'
import { type Apple, startApple } from '../fake/apple/server.ts'
import { missingDovecot, startDovecot } from '../support/dovecot.ts'
import { type Haraka, startHaraka } from '../support/haraka.ts'
import { startLmtp } from '../support/lmtp.ts'
import { sendMail } from '../support/smtp.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'

const USER = 'alice@example.com'
const TOKEN = `${'c0ffee'.repeat(10)}beef`
const ACCOUNT = '0715A26B-CA09-4730-A419-793000CA982E'

/** Where mail ends up: Dovecot when it is installed. */
interface Mailboxes {
  readonly name: string
  readonly lmtpPort: number
  /** When the mail was there, in milliseconds since the epoch; undefined while it is not. */
  arrived(): boolean
  stop(): Promise<void>
}

async function main(): Promise<void> {
  const temp = tempDirectory('xaps-demo-')
  const running: { stop(): Promise<void> }[] = []
  try {
    const apple = await startApple()
    running.unshift({ stop: () => apple.close() })
    const mailboxes = await startMailboxes()
    running.unshift(mailboxes)
    const haraka = await startHaraka(harakaWith(apple, mailboxes, temp.path))
    running.unshift({ stop: () => haraka.stop() })
    await show(apple, mailboxes, haraka, path.join(temp.path, 'xapsd.sock'))
  } finally {
    for (const part of running) await part.stop()
    temp.remove()
  }
}

async function startMailboxes(): Promise<Mailboxes> {
  if (!missingDovecot()) {
    const dovecot = await startDovecot({ users: [USER] })
    const arrived = () => dovecot.inbox(USER).length > 0
    return { name: 'Dovecot', lmtpPort: dovecot.lmtpPort, arrived, stop: dovecot.stop }
  }
  const lmtp = await startLmtp()
  const name = 'a small LMTP receiver (Dovecot is not installed)'
  return { name, lmtpPort: lmtp.port, arrived: () => lmtp.mails.length > 0, stop: lmtp.stop }
}

function harakaWith(apple: Apple, mailboxes: Mailboxes, dir: string) {
  const { certificate, key } = pushCertificate()
  const files = { 'push.pem': certificate, 'push.key': key, 'ca.pem': apple.ca }
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(dir, name), text)
  return {
    plugins: ['rcpt_to.in_host_list', 'queue/lmtp', 'xaps'],
    config: { 'lmtp.ini': `host=127.0.0.1\nport=${mailboxes.lmtpPort}\n` },
    xapsIni: `[apns]
certificate = ${path.join(dir, 'push.pem')}
key = ${path.join(dir, 'push.key')}
ca = ${path.join(dir, 'ca.pem')}
host = ${apple.host}
port = ${apple.port}
[registration]
socket = ${path.join(dir, 'xapsd.sock')}
`,
  }
}

async function show(apple: Apple, mailboxes: Mailboxes, haraka: Haraka, socket: string): Promise<void> {
  const say = timeline()
  say(`Apple: a stand-in on port ${apple.port}; topic ${MAIL_TOPIC}`)
  say(`Mailboxes: ${mailboxes.name}, LMTP on port ${mailboxes.lmtpPort}`)
  say(`Haraka with the plugin: SMTP on port ${haraka.port}, companion on ${socket}`)
  await haraka.waitForLog(/companion ready/)

  say(`phone → companion: REGISTER ${USER}`)
  const answer = await register(socket)
  say(`companion → phone: ${answer.trim()}`)

  say(`SMTP → Haraka: a mail to ${USER}`)
  const sent = await sendMail({ port: haraka.port, from: 'bob@example.net', to: [USER], subject: 'Hello' })
  say(`Haraka → SMTP: ${sent.reply.code} ${sent.reply.text}`)
  const [push] = await apple.waitFor(1)
  say(`plugin → Apple: POST /3/device/${push?.token.slice(0, 8)}… ${JSON.stringify(push?.payload)}`)
  await until(() => mailboxes.arrived(), 'the mail to be in the mailbox')
  say('the mail is in the mailbox; the phone fetches it now')
  if (push?.token !== TOKEN) throw new Error('the push went to another device')
}

/** Prints lines with the milliseconds since the first. */
function timeline(): (text: string) => void {
  const start = performance.now()
  return text => console.log(`${(performance.now() - start).toFixed(1).padStart(8)} ms  ${text}`)
}

/** Sends the request of Dovecot's plugin when a phone registers. Resolves with the reply. */
function register(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let reply = ''
    const socket = net.connect(socketPath)
    socket.write(
      `REGISTER aps-account-id="${ACCOUNT}"\taps-device-token="${TOKEN}"\taps-subtopic="com.apple.mobilemail"\t` +
        `dovecot-username="${USER}"\tdovecot-mailboxes=("INBOX")\r\n`,
    )
    socket.on('data', chunk => {
      reply += chunk
    })
    socket.on('error', reject)
    socket.on('end', () => resolve(reply))
  })
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
