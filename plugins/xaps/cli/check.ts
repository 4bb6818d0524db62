/** `xaps check`: everything that can be checked without a phone, each with one line, and the first mistake named. */

import { statSync } from 'node:fs'
import type { Command } from 'commander'
import { type Credentials, loadCredentials } from '../apns/credentials.ts'
import { makePush } from '../apns/payload.ts'
import { expiryWarning } from '../apns/renewal.ts'
import { openTransport } from '../apns/transport.ts'
import { verdictOf } from '../apns/verdict.ts'
import { type Log, reasonOf } from '../base/log.ts'
import { type Config, configFile, olderSettings, pathIn } from '../config/config.ts'
import { exposedSecrets } from '../config/secrets.ts'
import { readSmtpIni } from '../config/smtp-ini.ts'
import type { Device } from '../device/device.ts'
import { isShortTopic } from '../registration/http-server.ts'
import { spoolDirectory } from '../state.ts'
import { askCompanion } from './companion.ts'
import { configOf, Failure, print, withExistingStore } from './context.ts'

/** What a check found: `warn` works today, `fail` does not. */
interface Finding {
  readonly level: 'ok' | 'warn' | 'FAIL'
  readonly text: string
}

const ok = (text: string): Finding => ({ level: 'ok', text })
const warn = (text: string): Finding => ({ level: 'warn', text })
const fail = (text: string): Finding => ({ level: 'FAIL', text })

export function addCheck(xaps: Command): void {
  xaps
    .command('check')
    .description('check configuration, credentials, Apple, store and companion')
    .option('--offline', 'do not connect to Apple')
    .action(async ({ offline }: { offline?: true }, command: Command) => {
      const config = configOf(command)
      const findings = [
        ok(`configuration ${configFile(config.harakaDir)}`),
        ...olderSettings(config).map(warn),
      ]
      const credentials = tryCredentials(config)
      findings.push(...credentials.findings, ...checkSecrets(config))
      if (credentials.found) findings.push(...checkTopic(config, credentials.found.topic))
      if (credentials.found && !offline) findings.push(await checkApple(config, credentials.found))
      findings.push(...(await checkStore(config)), await checkCompanion(config))
      for (const { level, text } of findings) print(`${level.padEnd(4)}  ${text}`)
      const failed = findings.filter(({ level }) => level === 'FAIL').length
      if (failed > 0) throw new Failure(`${failed} of ${findings.length} checks failed`)
    })
}

function tryCredentials(config: Config): { found?: Credentials; findings: Finding[] } {
  try {
    const found = loadCredentials(config.apns, config.harakaDir)
    const { proof, topic, notAfter } = found
    const until =
      notAfter === undefined ? '' : `, valid until ${new Date(notAfter).toISOString().slice(0, 10)}`
    const findings = [ok(`credentials: ${proof.kind}, topic ${topic}, ${config.apns.environment}${until}`)]
    const ending = expiryWarning(notAfter, Date.now())
    if (ending) findings.push(notAfter !== undefined && notAfter <= Date.now() ? fail(ending) : warn(ending))
    if (!/^com\.apple\.(?:mail\.XServer|mobilemail\.push)\./.test(topic)) {
      findings.push(
        warn(`topic ${topic}: phones accept com.apple.mail.XServer.* and com.apple.mobilemail.push.* only`),
      )
    }
    return { found, findings }
  } catch (error) {
    return { findings: [fail(reasonOf(error))] }
  }
}

/** Over HTTP no answer with a short topic suits every Dovecot plugin. */
function checkTopic({ registration }: Config, topic: string): Finding[] {
  if (registration.listen.length === 0 || !isShortTopic(topic)) return []
  const [here, other] = registration.pad_topic ? ['freswa', 'timlaing'] : ['timlaing', 'freswa']
  const choice = `[registration] pad_topic = ${registration.pad_topic}`
  return [
    ok(`topic of 50 bytes or fewer: ${choice} suits ${here}'s Dovecot plugin; change it for ${other}'s`),
  ]
}

/** The running processes have the group of smtp.ini or, where `xaps serve` runs by itself, that of the spool. */
function checkSecrets(config: Config): Finding[] {
  const { gid } = readSmtpIni(config.harakaDir)
  const spool = statSync(spoolDirectory(config), { throwIfNoEntry: false })
  return exposedSecrets(config, [process.getgid?.(), gid, spool?.gid]).map(warn)
}

/** No phone has this token, so Apple calls it bad: but only after it has accepted credentials and topic. */
const NOBODY = '0'.repeat(64)

async function checkApple(config: Config, credentials: Credentials): Promise<Finding> {
  const host = config.apns.host || `Apple's ${config.apns.environment} servers`
  const transport = openTransport(credentials, config.apns, SILENT)
  const probe: Device = {
    account: 'check',
    token: NOBODY,
    mailboxes: [],
    subtopic: '',
    topic: credentials.topic,
    registeredAt: 0,
    lastSeen: 0,
  }
  try {
    const verdict = verdictOf(await transport.send(makePush(probe, config.apns, Date.now())), Date.now())
    if (verdict.kind === 'broken') return fail(`${host}: no answer: ${verdict.cause}`)
    if (verdict.kind === 'refused' && verdict.fault === 'setup')
      return fail(`${host}: refused: ${verdict.reason}`)
    if (verdict.kind === 'later') return warn(`${host}: not now: ${verdict.reason}`)
    return ok(`${host}: credentials and topic accepted`)
  } finally {
    await transport.close()
  }
}

async function checkStore(config: Config): Promise<Finding[]> {
  const { uri } = config.store
  const shown = uri.replace(/\/\/[^@/]*@/, '//***@')
  try {
    return await withExistingStore(
      config,
      async store => {
        let users = 0
        let devices = 0
        for await (const [, found] of store.users()) {
          users += 1
          devices += found.length
        }
        const warnings = await store.warnings()
        return [ok(`store ${shown}: ${devices} devices of ${users} users`), ...warnings.map(warn)]
      },
      async () => [ok(`store ${shown}: none yet; it is made when the first phone registers`)],
    )
  } catch (error) {
    return [fail(`store ${shown}: ${reasonOf(error)}`)]
  }
}

async function checkCompanion(config: Config): Promise<Finding> {
  const where = pathIn(config, config.registration.socket)
  try {
    return ok(`companion at ${where}: ${await askCompanion(where)}`)
  } catch (error) {
    const hint = config.registration.enabled ? 'is Haraka running?' : 'is `xaps serve` running?'
    return warn(`companion at ${where} does not answer: ${reasonOf(error)}; ${hint}`)
  }
}

const SILENT: Log = {
  debug: () => undefined,
  info: () => undefined,
  notice: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}
