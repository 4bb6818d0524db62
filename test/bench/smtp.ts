/** The plugin's cost to the SMTP server: CPU of the Haraka process per mail, with it and without it. */

import { setTimeout as sleep } from 'node:timers/promises'
import { type Haraka, startHaraka } from '../support/haraka.ts'
import { SmtpConnection } from '../support/smtp.ts'
import { until } from '../support/wait.ts'
import { type Bench, rowOf } from './bench.ts'
import { type Part, startPart } from './part.ts'
import type { LmtpApi } from './parts/lmtp.ts'
import { cpuOf } from './process-use.ts'
import { takeTurns } from './rounds.ts'
import { type Cleanup, cleanly, makeSite, type Site, userName, xapsIni } from './site.ts'

const CONNECTIONS = 20
const BODY = `${'A line of text as people write them in mails, of some length.\n'.repeat(16)}`
/** How long Haraka may go on working for mails that have arrived: it removes them from its queue, and so on. */
const REST_MS = 300
/** The same users come again after so many rounds, when their window is over. */
const ROUNDS_APART = 8

export const smtp: Bench = scale =>
  cleanly(async cleanup => {
    const count = 300
    // Short rounds and many: a shared machine changes its pace within seconds, by more than what is looked for.
    const rounds = scale.of(40, 10)
    const users = ROUNDS_APART * count
    const site = await makeSite(cleanup, { users })
    const lmtp = startPart<LmtpApi>('lmtp')
    cleanup.add(() => lmtp.stop())
    const lmtpPort = await lmtp.ask('start', null)
    const without = await start(cleanup, site, lmtpPort, false)
    const withPlugin = await start(cleanup, site, lmtpPort, true)
    const send = async (haraka: Haraka, first: number, pushes: number) => {
      const before = { cpu: cpuOf(haraka.pid), ...(await arrived(site, lmtp)) }
      await sendMails(haraka.port, first, count)
      await until(
        async () => {
          const { mails, pushed } = await arrived(site, lmtp)
          return mails - before.mails >= count && pushed - before.pushed >= pushes
        },
        `${count} mails and ${pushes} pushes`,
        60_000,
      )
      await sleep(REST_MS)
      return (cpuOf(haraka.pid) - before.cpu) / count
    }
    const known = (round: number) => (round % ROUNDS_APART) * count
    const samples = await takeTurns(rounds, {
      without: () => send(without, users, 0),
      noDevice: () => send(withPlugin, users, 0),
      pushing: round => send(withPlugin, known(round), count),
    })
    const baseline = { what: 'without the plugin', values: samples.without }
    return [
      rowOf({
        what: 'SMTP CPU per mail, users without a device',
        unit: 'µs',
        ours: samples.noDevice,
        baseline,
        target: { of: 'ratio', most: 1.03 },
      }),
      rowOf({
        what: 'SMTP CPU per mail, every mail pushed',
        unit: 'µs',
        ours: samples.pushing,
        baseline,
        target: { of: 'ratio', most: 1.1 },
      }),
    ]
  })

async function start(cleanup: Cleanup, site: Site, lmtpPort: number, plugin: boolean): Promise<Haraka> {
  const haraka = await startHaraka({
    plugins: ['rcpt_to.in_host_list', 'queue/lmtp', ...(plugin ? ['xaps'] : [])],
    config: { 'lmtp.ini': `host=127.0.0.1\nport=${lmtpPort}\n` },
    xapsIni: xapsIni(site.dir, site.applePort),
    logLevel: 'notice',
  })
  cleanup.add(() => haraka.stop())
  return haraka
}

async function arrived({ apple }: Site, lmtp: Part<LmtpApi>): Promise<{ mails: number; pushed: number }> {
  return { mails: await lmtp.ask('taken', null), pushed: await apple.ask('accepted', null) }
}

/** Sends `count` mails over some connections, one recipient each: users from number `first` on. */
async function sendMails(port: number, first: number, count: number): Promise<void> {
  let next = first
  const client = async () => {
    const connection = await SmtpConnection.open(port)
    while (next < first + count) {
      const { reply } = await connection.send({ from: 'a@example.net', to: [userName(next++)], body: BODY })
      if (reply.code !== 250) throw new Error(`Haraka answers ${reply.code} ${reply.text}`)
    }
    await connection.quit()
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, client))
}
