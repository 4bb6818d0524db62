/** `xaps import`: the devices of an old daemon's database, or of our own export, into the store. */

import { open } from 'node:fs/promises'
import { CredentialsError, loadCredentials } from '../apns/credentials.ts'
import { reasonOf, visible } from '../base/log.ts'
import type { Config } from '../config/config.ts'
import type { DeviceStore } from '../device/store.ts'
import { prepareState } from '../state.ts'
import { type CommandSpec, Failure, print, withExistingStore, withStore } from './context.ts'
import { readSource } from './import/formats.ts'
import { type ImportRules, importAll, rehearse, Tally } from './import/save.ts'
import { Interrupted } from './interruption.ts'

/** As large as a text can be in Node; a database of a million devices has 400 MB. */
const MAX_FILE_BYTES = 500 * 1024 * 1024

export const importDevices: CommandSpec = {
  name: 'import',
  description: "take the devices of an old xapsd's database, or of xaps export; may be repeated",
  arguments: [['<file>', 'the file, or - for standard input']],
  options: {
    '--dry-run': 'change nothing, only say what would be done',
    '--json': 'the counts as one JSON object',
  },
  run(config, { dryRun = false, json = false }, file) {
    return importFile(file, { dryRun, json }, config).catch((error: unknown) => {
      if (error instanceof Interrupted) throw error
      throw new Failure(`${file === '-' ? 'standard input' : file}: ${reasonOf(error)}`)
    })
  },
}

async function importFile(
  file: string,
  { dryRun, json }: { readonly dryRun: boolean; readonly json: boolean },
  config: Config,
): Promise<void> {
  const source = readSource(await readAll(file))
  const rules: ImportRules = {
    ...config.users,
    ...config.registration,
    ...config.store,
    now: Date.now(),
    topic: source.isOurs ? '' : currentTopic(config),
    canonicalMailboxes: source.isOurs,
  }
  const tally = new Tally(line => process.stderr.write(`${visible(line)}\n`), showCount)
  const into = (update: DeviceStore['update']) => importAll(source.entries, update, rules, tally)
  try {
    if (dryRun) await withExistingStore(config, store => into(rehearse(store)))
    else {
      prepareState(config)
      await withStore(config, store => into(store.update.bind(store)))
    }
  } finally {
    if (json) print(JSON.stringify({ format: source.name, dryRun, ...tally.counts() }))
    else for (const line of [`${source.name}${dryRun ? DRY : ''}`, ...tally.lines()]) print(line)
  }
}

const DRY = ' (dry run: nothing is changed)'

/** How far it is, on a terminal and nowhere else; the next line written there takes its place. */
function showCount(devices: number): void {
  if (process.stderr.isTTY && devices % 1_000 === 0) process.stderr.write(`${devices} devices\r`)
}

/** The content of a file, `-` being standard input. Rejects when it cannot be read or is too large. */
async function readAll(name: string): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of name === '-' ? process.stdin : (await open(name)).createReadStream()) {
    chunks.push(chunk)
    size += chunk.length
    if (size > MAX_FILE_BYTES)
      throw new Failure(`larger than ${MAX_FILE_BYTES} bytes; an export may be imported in parts (split -l)`)
  }
  return Buffer.concat(chunks)
}

/** The old daemons keep no topics: they told phones the topic of the certificate, which is ours by now. */
function currentTopic(config: Config): string {
  try {
    return loadCredentials(config.apns, config.harakaDir).topic
  } catch (error) {
    if (!(error instanceof CredentialsError)) throw error
    throw new Failure(`its devices get the topic of the credentials, so set [apns] first: ${error.message}`)
  }
}
