/**
 * `xaps check`: everything that can be checked without a phone. Each check stands in a file of its own below check/, and gives
 * findings; what one of them throws is a finding, too, and the others go on.
 */

import { type Credentials, loadCredentials } from '../apns/credentials.ts'
import { reasonOf } from '../base/log.ts'
import type { Config } from '../config/config.ts'
import { checkApple } from './check/apple.ts'
import { checkStateAsService } from './check/as-service.ts'
import { checkRivals, checkSocket } from './check/companion.ts'
import { type Finding, type Findings, fail } from './check/finding.ts'
import { checkAddress, checkDovecot, checkEventsSocket } from './check/listeners.ts'
import { checkCredentials, checkPadding, checkSecrets, checkSettings } from './check/settings.ts'
import { type CommandSpec, Failure, print } from './context.ts'
import { printFinding } from './paragraph.ts'

export const check: CommandSpec = {
  name: 'check',
  description: 'check configuration, credentials, Apple, store, companion and the ways in from Dovecot',
  options: { '--offline': 'do not connect to Apple', '--json': 'one JSON object a line: about, level, text' },
  async run(config, { offline = false, json = false }) {
    let [all, failed] = [0, 0]
    for await (const { about, level, text } of checkAll(config, offline)) {
      if (json) print(JSON.stringify({ about, level, text }))
      else printFinding({ level, text })
      all += 1
      if (level === 'FAIL') failed += 1
    }
    if (failed > 0) throw new Failure(`${failed} of ${all} checks failed`)
  },
}

interface Said extends Finding {
  readonly about: string
}

/** All of them in the order in which one depends on another. */
async function* checkAll(config: Config, offline: boolean): AsyncGenerator<Said> {
  yield* saying('configuration', () => checkSettings(config))
  const credentials = credentialsOf(config)
  const known = typeof credentials === 'string' ? undefined : credentials
  yield* saying('credentials', () => (known ? checkCredentials(config, known) : [fail(String(credentials))]))
  yield* saying('secrets', () => checkSecrets(config))
  if (known) yield* saying('dovecot', () => checkPadding(config, known))
  if (known && !offline) yield* saying('apple', async () => [await checkApple(config, known)])
  yield* saying('store', () => checkStateAsService({ config, topics: known?.topics }))
  yield* checkWaysIn(config)
}

async function* checkWaysIn(config: Config): AsyncGenerator<Said> {
  const { socket, listen } = config.registration
  let isUp = false
  if (socket !== '')
    yield* saying('companion', async () => {
      const [findings, answers] = await checkSocket(config)
      isUp = answers
      return findings
    })
  for (const address of listen) yield* saying('http', async () => [await checkAddress(config, address, isUp)])
  yield* saying('events', () => checkEventsSocket(config, isUp))
  yield* saying('dovecot', () => checkDovecot(config))
  yield* saying('companion', () => checkRivals(config))
}

/** The findings of one check, and as one more what it throws. */
async function* saying(about: string, find: () => Findings | Promise<Findings>): AsyncGenerator<Said> {
  try {
    for await (const finding of await find()) yield { about, ...finding }
  } catch (error) {
    yield { about, ...fail(`${about}: ${reasonOf(error)}`) }
  }
}

/** The credentials, or why they are of no use. */
function credentialsOf({ apns, harakaDir }: Config): Credentials | string {
  try {
    return loadCredentials(apns, harakaDir)
  } catch (error) {
    return reasonOf(error)
  }
}
