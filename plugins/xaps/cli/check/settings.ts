/** Checks of xaps.ini and the credentials that it names, as far as they can be judged without a connection. */

import { statSync } from 'node:fs'
import { type Credentials, certificateTopics } from '../../apns/credentials.ts'
import { expiryWarning } from '../../apns/renewal.ts'
import {
  type Config,
  configFile,
  keyInFile,
  missingEventsListener,
  settingNotes,
} from '../../config/config.ts'
import { readSmtpIni } from '../../config/ini.ts'
import { exposedSecrets } from '../../config/secrets.ts'
import { isShortTopic } from '../../registration/http-server.ts'
import { spoolDirectory } from '../../state.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

/** Topics of macOS Server's certificates. */
const XSERVER = 'com.apple.mail.XServer.'

const NO_RENEWAL =
  'Apple renews no certificate of macOS Server since October 2024: docs/credentials.md says what to ask for'

export function* checkSettings(config: Config): Generator<Finding> {
  yield ok(`configuration ${configFile(config.harakaDir)}`)
  yield* settingNotes(config).map(warn)
  const missing = missingEventsListener(config)
  if (missing !== undefined) yield fail(missing)
}

export function* checkCredentials({ apns }: Config, credentials: Credentials): Generator<Finding> {
  const { auth, topic, notAfter } = credentials
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
  yield* checkOwnTopics(credentials)
  if (apns.environment === 'sandbox')
    yield warn(
      '[apns] environment = sandbox: the device tokens of Apple Mail are made for production, and the sandbox answers BadDeviceToken to each: set environment = production',
    )
}

/** Apple takes no other topic from a certificate than those in it. */
function* checkOwnTopics(credentials: Credentials): Generator<Finding> {
  const { topic } = credentials
  const own = certificateTopics(credentials)
  if (own.length === 0 || own.includes(topic)) return
  yield fail(
    `[apns] topic = ${topic} is not in the certificate, which is for ${own.join(', ')}: leave [apns] topic empty`,
  )
}

/** The running processes have the group of smtp.ini or, where `xaps serve` runs by itself, that of the spool. */
export function checkSecrets(config: Config): Finding[] {
  const { gid } = readSmtpIni(config.harakaDir)
  const spool = statSync(spoolDirectory(config), { throwIfNoEntry: false })
  return exposedSecrets(config, [process.getgid?.(), gid, spool?.gid]).map(warn)
}

/** Over HTTP no answer with a short topic suits every Dovecot plugin. */
export function* checkPadding({ registration }: Config, { topic }: Credentials): Generator<Finding> {
  const { listen, padTopic } = registration
  if (listen.length === 0 || !isShortTopic(topic)) return
  const [here, other] = padTopic ? ['freswa', 'timlaing'] : ['timlaing', 'freswa']
  const choice = `[registration] ${keyInFile('registration', 'padTopic')} = ${padTopic}`
  yield ok(`topic of 50 bytes or fewer: ${choice} suits ${here}'s Dovecot plugin; change it for ${other}'s`)
}
