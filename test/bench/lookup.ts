/** What a lookup takes inside a Haraka that delivers, where a mail's other work comes between two of them. */

import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { startHaraka } from '../support/haraka.ts'
import { owned, type Scope } from '../support/owned.ts'
import { until } from '../support/wait.ts'
import { median, type Scale, takeTurns } from './measure.ts'
import { startPart } from './part.ts'
import type { Outside } from './parts/outside.ts'
import { makeSite, scattered, userName, xapsIni } from './site.ts'
import { sendMails } from './smtp.ts'

const MAILS = 300

/** A store that has users 0 to `users`. */
export interface Filled {
  readonly users: number
  readonly uri: string
}

/**
 * Sends mails to a Haraka for each of the stores, by turns, each mail to another user. Resolves with the median lookup of
 * each round in microseconds, by the number of users. `seen`: each Haraka has read all of its store's file before.
 */
export async function lookupsInHaraka(
  stores: readonly Filled[],
  seen: boolean,
  scale: Scale,
  scope: Scope,
): Promise<Record<string, number[]>> {
  const site = await makeSite(scope, { users: 1 })
  const lmtp = startPart<Outside>(scope, 'outside')
  const lmtpPort = await lmtp.ask('startLmtp')
  const start = async ({ users, uri }: Filled) => {
    const file = path.join(site.dir, `lookups-${users}`)
    const haraka = await startHaraka({
      plugins: ['rcpt_to.in_host_list', 'queue/lmtp', 'xaps'],
      config: { 'lmtp.ini': `host=127.0.0.1\nport=${lmtpPort}\n` },
      xapsIni: xapsIni(site.dir, site.applePort, { store: { uri } }),
      logLevel: 'notice',
      env: {
        NODE_OPTIONS: `--require ${JSON.stringify(path.join(__dirname, 'parts', 'lookup-times.js'))}`,
        XAPS_BENCH_LOOKUPS: file,
        ...(seen && { XAPS_BENCH_SEEN: 'yes' }),
      },
    })
    const { port } = owned(scope, haraka)
    return (round: number) => {
      const recipientOf = (index: number) => userName(scattered(round * MAILS + index, users))
      return medianLookup(file, () => sendMails(port, MAILS, recipientOf))
    }
  }
  const contestants: Record<string, (round: number) => Promise<number>> = {}
  for (const store of stores) contestants[store.users] = await start(store)
  return takeTurns(scale.of(7, 3), contestants)
}

/** Resolves when the lookups of all mails that `send` sends are in the file. */
async function medianLookup(file: string, send: () => Promise<void>): Promise<number> {
  writeFileSync(file, '')
  await send()
  const times = () => readFileSync(file, 'utf8').trim().split('\n').map(Number)
  await until(() => times().length >= MAILS, `${MAILS} lookups`, 60_000)
  const found = median(times())
  rmSync(file)
  return found
}
