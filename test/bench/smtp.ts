/** The plugin's cost to the SMTP server: CPU of the Haraka process per mail, with it and without it. */

import { setTimeout as sleep } from 'node:timers/promises'
import { type Haraka, startHaraka } from '../support/haraka.ts'
import { owned } from '../support/owned.ts'
import { SmtpConnection } from '../support/smtp.ts'
import { until } from '../support/wait.ts'
import { type Bench, row, takeTurns } from './measure.ts'
import { startPart } from './part.ts'
import type { Outside } from './parts/outside.ts'
import { cpuOf } from './process-use.ts'
import { makeSite, userName, xapsIni } from './site.ts'

const CONNECTIONS = 20
const MAILS = 300
const BODY = `${'A line of text as people write them in mails, of some length.\n'.repeat(16)}`
/** How long Haraka may go on working for mails that have arrived: it removes them from its queue, and so on. */
const REST_MS = 300
/** The same users come again after so many rounds, when their window is over. */
const ROUNDS_APART = 8

export const smtp: Bench = async (scale, scope) => {
  const users = ROUNDS_APART * MAILS
  const site = await makeSite(scope, { users })
  const lmtp = startPart<Outside>(scope, 'outside')
  const lmtpPort = await lmtp.ask('startLmtp')
  const start = async (...plugins: string[]) => {
    const haraka = await startHaraka({
      plugins: ['rcpt_to.in_host_list', 'queue/lmtp', ...plugins],
      config: { 'lmtp.ini': `host=127.0.0.1\nport=${lmtpPort}\n` },
      xapsIni: xapsIni(site.dir, site.applePort),
      logLevel: 'notice',
    })
    return owned(scope, haraka)
  }
  const without = await start()
  const withPlugin = await start('xaps')
  const arrived = async () => ({ mails: await lmtp.ask('mails'), pushed: await site.apple.ask('accepted') })
  const send = async (haraka: Haraka, first: number, pushes: number) => {
    const before = { cpu: cpuOf(haraka.pid), ...(await arrived()) }
    await sendMails(haraka.port, MAILS, index => userName(first + index))
    const isDone = async () => {
      const { mails, pushed } = await arrived()
      return mails - before.mails >= MAILS && pushed - before.pushed >= pushes
    }
    await until(isDone, `${MAILS} mails and ${pushes} pushes`, 60_000)
    await sleep(REST_MS)
    return (cpuOf(haraka.pid) - before.cpu) / MAILS
  }
  const known = (round: number) => (round % ROUNDS_APART) * MAILS
  // Short rounds and many: a shared machine changes its pace within seconds, by more than what is looked for.
  const samples = await takeTurns(scale.of(40, 10), {
    without: () => send(without, users, 0),
    noDevice: () => send(withPlugin, users, 0),
    pushing: round => send(withPlugin, known(round), MAILS),
  })
  const perMail = (what: string, ours: readonly number[], most: number) =>
    row(`SMTP CPU per mail, ${what}`, 'µs', ours, ['without the plugin', samples.without], {
      of: 'ratio',
      most,
    })
  return [
    perMail('users without a device', samples.noDevice, 1.03),
    perMail('every mail pushed', samples.pushing, 1.1),
  ]
}

/** Sends so many mails over some connections, with one recipient each. Rejects when one is not accepted. */
export async function sendMails(
  port: number,
  count: number,
  recipientOf: (index: number) => string,
): Promise<void> {
  let next = 0
  const client = async () => {
    const connection = await SmtpConnection.open(port)
    while (next < count) {
      const to = [recipientOf(next++)]
      const { reply } = await connection.send({ from: 'a@example.net', to, body: BODY })
      if (reply.code !== 250) throw new Error(`Haraka answers ${reply.code} ${reply.text}`)
    }
    await connection.quit()
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, client))
}
