/**
 * Has the state checked by the user that the service runs as: root may read and write all, and would find nothing wrong. The
 * process of that user is state-process.ts.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { reasonOf } from '../../base/log.ts'
import type { Config } from '../../config/config.ts'
import { stateOwner } from '../../state.ts'
import { type Finding, fail, type Ids, namesOf, ownIds, warn } from './finding.ts'
import { checkState, type StateQuestion } from './state.ts'

const PROCESS = path.join(__dirname, 'state-process.js')

/** Throws ConfigError when smtp.ini names no user that there is. */
export async function* checkStateAsService(question: StateQuestion): AsyncGenerator<Finding> {
  const service = stateOwner(question.config)
  const me = ownIds()
  if (me.uid === 0 && service.uid !== 0) return yield* askOther(question, service)
  if (me.uid !== service.uid)
    yield warn(
      `this is ${namesOf(me)}, and the service runs as ${namesOf(service)}: what is said of store and spool holds for ${namesOf(me)}; run it as root (sudo xaps check)`,
    )
  yield* checkState(question)
}

async function* askOther(question: StateQuestion, { uid, gid }: Ids): AsyncGenerator<Finding> {
  const child = spawn(process.execPath, [PROCESS], { uid, gid, cwd: '/', stdio: 'pipe' })
  const ended = once(child, 'close').catch(error => [reasonOf(error)])
  const said = text(child.stderr)
  // One that ends before it has read all is told of by its exit status.
  child.stdin.on('error', () => undefined).end(JSON.stringify(withoutSecrets(question)))
  for await (const line of createInterface(child.stdout)) yield JSON.parse(line)
  const [status] = await ended
  const stderr = (await said).trim()
  if (status === 0) return void (stderr && process.stderr.write(`${stderr}\n`))
  const reason = /^\w*Error.*/m.exec(stderr)?.[0] ?? stderr.split('\n')[0]
  yield fail(
    `${namesOf({ uid, gid })}, the user of the service, cannot run ${process.execPath} ${PROCESS}: ${reason || status}`,
  )
}

/** The store's password is needed there; what is for Apple is not. */
function withoutSecrets({ config, topics }: StateQuestion): StateQuestion {
  const apns: Config['apns'] = { ...config.apns, passphrase: '' }
  return { config: { ...config, apns }, topics }
}
