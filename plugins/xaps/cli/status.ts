/**
 * `xaps status`: whether push works, and what the companion and the processes that report to it say of themselves. Exit status
 * 1 when no companion answers.
 */

import { loadCredentials } from '../apns/credentials.ts'
import { reasonOf } from '../base/log.ts'
import { withoutPassword } from '../base/store-uri.ts'
import { packageVersion } from '../base/version.ts'
import { digestOf } from '../config/changes.ts'
import { type Config, pathIn } from '../config/config.ts'
import { isUsed, spoolDirectory } from '../state.ts'
import { askCompanion, askOverview, fieldsOf } from './ask.ts'
import { adviceWithoutAnswer } from './check/companion.ts'
import { directoryOf, processes, realOrSame } from './check/processes.ts'
import { type CommandSpec, Failure, print } from './context.ts'
import { printNamed, printStatus } from './status-view.ts'
import { days } from './times.ts'

export const status: CommandSpec = {
  name: 'status',
  description: 'say whether push works, and how the processes are',
  options: { '--json': 'as one JSON object' },
  async run(config, { json }) {
    const socket = pathIn(config, config.registration.socket)
    if (socket === '')
      throw new Failure(`no companion can be asked: [registration] socket is empty${pageOf(config)}`)
    const asked = Promise.all([askCompanion(socket), askOverview(socket)])
    const [said, { overview }] = await asked.catch((error: unknown) => {
      if (!json) printKnown(config)
      const { text } = adviceWithoutAnswer(config, socket, error)
      throw new Failure(`no companion answers at ${socket}: ${reasonOf(error)}; ${text}`)
    })
    if (json) return print(JSON.stringify({ socket, ...fieldsOf(said), ...overview }))
    await printStatus(overview, socket)
  },
}

function pageOf({ registration: { listen } }: Config): string {
  return listen.length === 0 ? '' : `; the status page is at http://${listen[0]}/`
}

/** What is known without a companion. */
function printKnown(config: Config): void {
  printNamed('Running', runningOf(config))
  printNamed('Apple', credentialsOf(config))
  printNamed('Store', `${withoutPassword(config.store.uri)}; \`xaps devices\` lists what is in it`)
  const spool = isUsed(spoolDirectory(config))
    ? 'may have registrations, which are saved at the next start'
    : 'empty'
  printNamed('Spool', spool)
  printNamed('Version', `${packageVersion()}, configuration ${digestOf(config)}`)
}

/** A companion that runs and does not answer was started with another socket, or hangs. */
function runningOf({ harakaDir }: Config): string {
  const here = realOrSame(harakaDir)
  const pids = processes()
    .filter(({ words }) => directoryOf(words) === here)
    .map(({ pid }) => pid)
  return pids.length === 0
    ? `no companion of ${harakaDir}`
    : `a companion of ${harakaDir}, process ${pids.join(', ')}`
}

function credentialsOf({ apns, harakaDir }: Config): string {
  try {
    const { topic, notAfter } = loadCredentials(apns, harakaDir)
    return `credentials for ${topic}${notAfter === undefined ? '' : `, certificate: ${days(notAfter, Date.now())}`}`
  } catch (error) {
    return `credentials: ${reasonOf(error)}`
  }
}
