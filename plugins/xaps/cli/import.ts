/** `xaps import`: the devices of an old daemon's database, or of our own export, into the store. */

import type { Command } from 'commander'
import type { Config } from '../config/config.ts'
import { reasonOf } from '../log.ts'
import { CredentialsError, loadCredentials } from '../push/credentials.ts'
import { prepareState } from '../state.ts'
import { configOf, Failure, print, withStore } from './context.ts'
import type { Format } from './import/format.ts'
import { counted, openInput } from './import/input.ts'
import { rehearse } from './import/rehearse.ts'
import { openSource, type Source } from './import/source.ts'
import { type TakeRules, takeAll } from './import/take.ts'
import { makeTally, type Tally } from './import/tally.ts'
import { openProgress } from './progress.ts'

export function addImport(xaps: Command): void {
  xaps
    .command('import')
    .description("take the devices of an old xapsd's database, or of xaps export; may be repeated")
    .argument('<file>', 'the file, or - for standard input')
    .option('--dry-run', 'change nothing, only say what would be done')
    .action(async (file: string, options: { dryRun?: true }, command: Command) => {
      const config = configOf(command)
      const name = file === '-' ? 'standard input' : file
      if (!options.dryRun) prepareState(config)
      await importFile(file, options.dryRun === true, config).catch((error: unknown) => {
        throw new Failure(`${name}: ${reasonOf(error)}`)
      })
    })
}

async function importFile(file: string, dryRun: boolean, config: Config): Promise<void> {
  const { chunks, size } = await openInput(file)
  const progress = openProgress(size)
  const tally = makeTally(progress.note)
  const bytes = counted(chunks, count => progress.advance(count, tally.total()))
  try {
    const source = await openSource(bytes)
    const rules = rulesFor(source.format, config)
    await takeFrom(source, rules, tally, dryRun, config).finally(() => {
      progress.stop()
      report(source.format, tally, dryRun)
    })
  } finally {
    progress.stop()
    await bytes.return(undefined)
  }
}

function takeFrom(
  { entries }: Source,
  rules: TakeRules,
  tally: Tally,
  dryRun: boolean,
  config: Config,
): Promise<void> {
  return withStore(config, store => {
    const update = dryRun ? rehearse(store) : store.update.bind(store)
    return takeAll(entries, update, rules, tally)
  })
}

function rulesFor(format: Format, config: Config): TakeRules {
  return {
    lowercase: config.users.lowercase,
    subtopics: config.registration.subtopics,
    now: Date.now(),
    expireAfterMs: config.store.expire_days,
    maxDevices: config.store.max_devices,
    topic: format.isOurs ? '' : currentTopic(config),
    canonicalMailboxes: format.isOurs,
  }
}

/** The old daemons keep no topics: their phones were told that of the certificate, which is in our hands by now. */
function currentTopic(config: Config): string {
  try {
    return loadCredentials(config.apns, config.harakaDir).topic
  } catch (error) {
    if (!(error instanceof CredentialsError)) throw error
    throw new Failure(`its devices get the topic of the credentials, so set [apns] first: ${error.message}`)
  }
}

function report(format: Format, tally: Tally, dryRun: boolean): void {
  print(`${format.name}${dryRun ? ' (dry run: nothing is changed)' : ''}`)
  for (const line of tally.lines()) print(line)
}
