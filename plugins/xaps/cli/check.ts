/** `xaps check`: a list of checks, of everything that can be checked without a phone; each prints a line or more. */

import { statSync } from 'node:fs'
import type { Command } from 'commander'
import { adviceFor } from '../apns/advice.ts'
import { type Credentials, loadCredentials } from '../apns/credentials.ts'
import { makePush } from '../apns/payload.ts'
import { expiryWarning } from '../apns/renewal.ts'
import { Transport } from '../apns/transport.ts'
import { verdictOf } from '../apns/verdict.ts'
import { noLog, reasonOf } from '../base/log.ts'
import { withoutPassword } from '../base/store-uri.ts'
import { type Config, configFile, keyInFile, olderSettings, pathIn } from '../config/config.ts'
import { exposedSecrets } from '../config/secrets.ts'
import { readSmtpIni } from '../config/smtp-ini.ts'
import type { Device } from '../device/device.ts'
import type { DeviceStore } from '../device/store.ts'
import { consequenceOf, inWords } from '../push/consequences.ts'
import { isShortTopic } from '../registration/http-server.ts'
import { spoolDirectory } from '../state.ts'
import { configOf, Failure, print, withExistingStore } from './context.ts'
import { askCompanion } from './status.ts'

/** A line of the result: `warn` works today, `FAIL` does not. */
interface Finding {
  readonly level: 'ok' | 'warn' | 'FAIL'
  readonly text: string
}

const ok = (text: string): Finding => ({ level: 'ok', text })
const warn = (text: string): Finding => ({ level: 'warn', text })
const fail = (text: string): Finding => ({ level: 'FAIL', text })

/** The credentials, or why they are of no use. */
type Loaded = { readonly credentials: Credentials } | { readonly problem: string }

/** Topics of macOS Server's certificates. */
const XSERVER = 'com.apple.mail.XServer.'

const NO_RENEWAL =
  'Apple renews no certificate of macOS Server since October 2024: docs/credentials.md says what to ask for'

type Check = (config: Config, loaded: Loaded) => readonly Finding[] | Promise<readonly Finding[]>

const CHECKS: readonly Check[] = [
  checkConfig,
  checkCredentials,
  checkSecrets,
  checkTopic,
  checkApple,
  checkStore,
  checkCompanion,
]

export function addCheck(xaps: Command): void {
  xaps
    .command('check')
    .description('check configuration, credentials, Apple, store and companion')
    .option('--offline', 'do not connect to Apple')
    .action(async ({ offline }: { offline?: true }, command: Command) => {
      const config = configOf(command)
      const loaded = load(config)
      const findings: Finding[] = []
      for (const check of CHECKS.filter(check => !offline || check !== checkApple))
        findings.push(...(await check(config, loaded)))
      for (const { level, text } of findings) print(`${level.padEnd(4)}  ${text}`)
      const failed = findings.filter(({ level }) => level === 'FAIL').length
      if (failed > 0) throw new Failure(`${failed} of ${findings.length} checks failed`)
    })
}

function load(config: Config): Loaded {
  try {
    return { credentials: loadCredentials(config.apns, config.harakaDir) }
  } catch (error) {
    return { problem: reasonOf(error) }
  }
}

function checkConfig(config: Config): Finding[] {
  return [ok(`configuration ${configFile(config.harakaDir)}`), ...olderSettings(config).map(warn)]
}

function checkCredentials({ apns }: Config, loaded: Loaded): Finding[] {
  if ('problem' in loaded) return [fail(loaded.problem)]
  const { auth, topic, notAfter } = loaded.credentials
  const until = notAfter === undefined ? '' : `, valid until ${new Date(notAfter).toISOString().slice(0, 10)}`
  const findings = [ok(`credentials: ${auth.kind}, topic ${topic}, ${apns.environment}${until}`)]
  const ending = expiryWarning(notAfter, Date.now())
  if (ending) {
    const text = topic.startsWith(XSERVER) ? `${ending}; ${NO_RENEWAL}` : ending
    findings.push(notAfter !== undefined && notAfter <= Date.now() ? fail(text) : warn(text))
  }
  if (!/^com\.apple\.(?:mail\.XServer|mobilemail\.push)\./.test(topic)) {
    findings.push(
      warn(`topic ${topic}: phones accept com.apple.mail.XServer.* and com.apple.mobilemail.push.* only`),
    )
  }
  return findings
}

/** The running processes have the group of smtp.ini or, where `xaps serve` runs by itself, that of the spool. */
function checkSecrets(config: Config): Finding[] {
  const { gid } = readSmtpIni(config.harakaDir)
  const spool = statSync(spoolDirectory(config), { throwIfNoEntry: false })
  return exposedSecrets(config, [process.getgid?.(), gid, spool?.gid]).map(warn)
}

/** Over HTTP no answer with a short topic suits every Dovecot plugin. */
function checkTopic({ registration }: Config, loaded: Loaded): Finding[] {
  const { listen, padTopic } = registration
  if ('problem' in loaded || listen.length === 0 || !isShortTopic(loaded.credentials.topic)) return []
  const [here, other] = padTopic ? ['freswa', 'timlaing'] : ['timlaing', 'freswa']
  const choice = `[registration] ${keyInFile('registration', 'padTopic')} = ${padTopic}`
  return [
    ok(`topic of 50 bytes or fewer: ${choice} suits ${here}'s Dovecot plugin; change it for ${other}'s`),
  ]
}

/** Sends to a token that no phone has. Apple calls it bad, but only after it has accepted credentials and topic. */
async function checkApple({ apns }: Config, loaded: Loaded): Promise<Finding[]> {
  if ('problem' in loaded) return []
  const host = apns.host || `Apple's ${apns.environment} servers`
  const transport = new Transport(loaded.credentials, apns, noLog)
  try {
    const push = makePush(probe(loaded.credentials.topic), apns, Date.now())
    const answer = await transport.send(push)
    const verdict = verdictOf(answer, Date.now())
    const level = consequenceOf(verdict).check
    if (level === 'ok') return [ok(`${host}: credentials and topic accepted`)]
    const advice = adviceFor(answer, loaded.credentials.auth.kind)
    return [{ level, text: [`${host}: ${inWords(verdict)}`, ...(advice ? [advice] : [])].join('; ') }]
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
  const none = async () => [ok(`${where}: none yet; it is made when the first phone registers`)]
  try {
    return await withExistingStore(config, look, none)
  } catch (error) {
    return [fail(`${where}: ${reasonOf(error)}`)]
  }
}

async function checkCompanion(config: Config): Promise<Finding[]> {
  const where = pathIn(config, config.registration.socket)
  try {
    return [ok(`companion at ${where}: ${await askCompanion(where)}`)]
  } catch (error) {
    const hint = config.registration.enabled ? 'is Haraka running?' : 'is `xaps serve` running?'
    return [warn(`companion at ${where} does not answer: ${reasonOf(error)}; ${hint}`)]
  }
}
