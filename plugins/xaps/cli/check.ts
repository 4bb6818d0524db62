/** `xaps check`: everything that can be checked without a phone; each check gives a finding or more. */

import { statSync } from 'node:fs'
import { adviceFor } from '../apns/advice.ts'
import { type Credentials, loadCredentials } from '../apns/credentials.ts'
import { expiryWarning } from '../apns/renewal.ts'
import { Transport } from '../apns/transport.ts'
import { noLog, reasonOf } from '../base/log.ts'
import { withoutPassword } from '../base/store-uri.ts'
import { digestOf } from '../config/changes.ts'
import {
  type Config,
  configFile,
  keyInFile,
  missingEventsListener,
  pathIn,
  pushSources,
  settingNotes,
} from '../config/config.ts'
import { readSmtpIni } from '../config/ini.ts'
import { exposedSecrets } from '../config/secrets.ts'
import type { Device } from '../device/device.ts'
import { type DeviceStore, NoStoreYet } from '../device/store.ts'
import { consequenceOf, inWords } from '../push/consequences.ts'
import { isShortTopic } from '../registration/http-server.ts'
import { spoolDirectory } from '../state.ts'
import { type CommandSpec, Failure, print, withStore } from './context.ts'
import { askCompanion, fieldsOf } from './status.ts'

/** A line of the result: `warn` works today, `FAIL` does not. */
interface Finding {
  readonly level: 'ok' | 'warn' | 'FAIL'
  readonly text: string
}

const ok = (text: string): Finding => ({ level: 'ok', text })
const warn = (text: string): Finding => ({ level: 'warn', text })
const fail = (text: string): Finding => ({ level: 'FAIL', text })

export const check: CommandSpec = {
  name: 'check',
  description: 'check configuration, credentials, Apple, store and companion',
  options: { '--offline': 'do not connect to Apple' },
  async run(config, { offline = false }) {
    const findings: Finding[] = []
    for await (const finding of checkAll(config, offline)) findings.push(finding)
    for (const { level, text } of findings) print(`${level.padEnd(4)}  ${text}`)
    const failed = findings.filter(({ level }) => level === 'FAIL').length
    if (failed > 0) throw new Failure(`${failed} of ${findings.length} checks failed`)
  },
}

async function* checkAll(config: Config, offline: boolean): AsyncGenerator<Finding> {
  yield* checkConfig(config)
  const credentials = credentialsOf(config)
  if (typeof credentials === 'string') yield fail(credentials)
  else yield* checkCredentials(config, credentials)
  yield* checkSecrets(config)
  if (typeof credentials !== 'string') {
    yield* checkTopic(config, credentials)
    if (!offline) yield await checkApple(config, credentials)
  }
  yield* await checkStore(config)
  yield* await checkCompanion(config)
}

/** What the companion says of itself. */
type Fields = ReturnType<typeof fieldsOf>

/** Topics of macOS Server's certificates. */
const XSERVER = 'com.apple.mail.XServer.'

const NO_RENEWAL =
  'Apple renews no certificate of macOS Server since October 2024: docs/credentials.md says what to ask for'

/** The credentials, or why they are of no use. */
function credentialsOf({ apns, harakaDir }: Config): Credentials | string {
  try {
    return loadCredentials(apns, harakaDir)
  } catch (error) {
    return reasonOf(error)
  }
}

function* checkConfig(config: Config): Generator<Finding> {
  yield ok(`configuration ${configFile(config.harakaDir)}`)
  yield* settingNotes(config).map(warn)
  const missing = missingEventsListener(config)
  if (missing !== undefined) yield fail(missing)
}

function* checkCredentials({ apns }: Config, { auth, topic, notAfter }: Credentials): Generator<Finding> {
  const until = notAfter === undefined ? '' : `, valid until ${new Date(notAfter).toISOString().slice(0, 10)}`
  yield ok(`credentials: ${auth.kind}, topic ${topic}, ${apns.environment}${until}`)
  const ending = expiryWarning(notAfter, Date.now())
  if (ending) {
    const text = topic.startsWith(XSERVER) ? `${ending}; ${NO_RENEWAL}` : ending
    yield notAfter !== undefined && notAfter <= Date.now() ? fail(text) : warn(text)
  }
  if (!/^com\.apple\.(?:mail\.XServer|mobilemail\.push)\./.test(topic)) {
    yield warn(`topic ${topic}: phones accept com.apple.mail.XServer.* and com.apple.mobilemail.push.* only`)
  }
}

/** The running processes have the group of smtp.ini or, where `xaps serve` runs by itself, that of the spool. */
function checkSecrets(config: Config): Finding[] {
  const { gid } = readSmtpIni(config.harakaDir)
  const spool = statSync(spoolDirectory(config), { throwIfNoEntry: false })
  return exposedSecrets(config, [process.getgid?.(), gid, spool?.gid]).map(warn)
}

/** Over HTTP no answer with a short topic suits every Dovecot plugin. */
function* checkTopic({ registration }: Config, { topic }: Credentials): Generator<Finding> {
  const { listen, padTopic } = registration
  if (listen.length === 0 || !isShortTopic(topic)) return
  const [here, other] = padTopic ? ['freswa', 'timlaing'] : ['timlaing', 'freswa']
  const choice = `[registration] ${keyInFile('registration', 'padTopic')} = ${padTopic}`
  yield ok(`topic of 50 bytes or fewer: ${choice} suits ${here}'s Dovecot plugin; change it for ${other}'s`)
}

/** Sends to a token that no phone has. Apple calls it bad, but only after it has accepted credentials and topic. */
async function checkApple({ apns }: Config, credentials: Credentials): Promise<Finding> {
  const host = apns.host || `Apple's ${apns.environment} servers`
  const transport = new Transport(credentials, apns, noLog)
  try {
    const verdict = await transport.push(probe(credentials.topic))
    const level = consequenceOf(verdict).check
    if (level === 'ok') return ok(`${host}: credentials and topic accepted`)
    const advice = adviceFor(verdict, credentials.auth.kind)
    return { level, text: `${host}: ${inWords(verdict)}${advice ? `; ${advice}` : ''}` }
  } finally {
    await transport.close()
  }
}

function probe(topic: string): Device {
  const token = '0'.repeat(64)
  return { account: 'check', token, mailboxes: [], subtopic: '', topic, registeredAt: 0, lastSeen: 0 }
}

async function checkStore(config: Config): Promise<Finding[]> {
  const where = `store ${withoutPassword(config.store.uri)}`
  const look = async (store: DeviceStore): Promise<Finding[]> => {
    let users = 0
    let devices = 0
    for await (const [, found] of store.users()) {
      users += 1
      devices += found.length
    }
    const warnings = await store.warnings()
    return [ok(`${where}: ${devices} devices of ${users} users`), ...warnings.map(warn)]
  }
  try {
    return await withStore(config, look, { mustExist: true })
  } catch (error) {
    const isNone = error instanceof NoStoreYet
    return [
      isNone
        ? ok(`${where}: none yet; it is made when the first phone registers`)
        : fail(`${where}: ${reasonOf(error)}`),
    ]
  }
}

async function checkCompanion(config: Config): Promise<Finding[]> {
  const where = pathIn(config, config.registration.socket)
  try {
    const said = await askCompanion(where)
    const fields = fieldsOf(said)
    return [
      ok(`companion at ${where}: ${said}`),
      ...checkInUse(config, fields),
      ...checkEvents(config, fields),
    ]
  } catch (error) {
    const hint = config.registration.enabled ? 'is Haraka running?' : 'is `xaps serve` running?'
    return [warn(`companion at ${where} does not answer: ${reasonOf(error)}; ${hint}`)]
  }
}

/** Whether the companion works with what the file says. */
function checkInUse(config: Config, { configuration }: Fields): Finding[] {
  if (configuration === undefined || String(configuration) === digestOf(config)) return []
  return [
    warn(
      'the companion works with another configuration than the file: a change is taken up within 10 seconds, or needs a restart, which the log says',
    ),
  ]
}

/** Whether the event exporter of Dovecot's, where it is the source of new mail, has told of anything. */
function checkEvents(config: Config, { events, last_event: last, up_seconds: up }: Fields): Finding[] {
  if (pushSources(config).newMail !== 'events') return []
  if (events !== 0) return [ok(`events of Dovecot's exporter: ${events}, the last at ${last}`)]
  return [
    warn(
      `events of Dovecot's exporter: none in the ${up} seconds since the companion started; has a mail been delivered, and does event_exporter in Dovecot's configuration lead to [registration] listen or [delivery] events_socket?`,
    ),
  ]
}
