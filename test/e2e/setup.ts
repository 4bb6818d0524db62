/**
 * The whole system for one test: an Apple stand-in, where mail ends up, a real Haraka with the plugin between them.
 * Or a Haraka's directory alone, for the command.
 */

import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { MAIL_TOPIC, type Pair, pushCertificate } from '../fake/apple/certificates.ts'
import type { PushRequest, Wanted } from '../fake/apple/journal.ts'
import { type Apple, startApple } from '../fake/apple/server.ts'
import { type Haraka, type HarakaOptions, startHaraka } from '../support/haraka.ts'
import { type LmtpReceiver, startLmtp } from '../support/lmtp.ts'
import { owned, type Scope } from '../support/owned.ts'
import { accepts, freePort } from '../support/server.ts'
import { sendMail } from '../support/smtp.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'
import { type Phone, phoneOf, registerByLine } from './dovecot-plugins.ts'
import { type Ended, xaps } from './run.ts'

export const FROM = 'sender@example.net'

/** The answer to a registration by line. */
export const OK = `OK ${MAIL_TOPIC}\r\n`

/** Sections of xaps.ini: key → value. */
export type Sections = Readonly<Record<string, Readonly<Record<string, string | number>>>>

export interface DirectoryOptions {
  /** A fresh stand-in where it is not given. */
  readonly apple?: Apple
  /** Beside what is needed to reach the stand-in and to be reached. */
  readonly xaps?: Sections
  /** The mode of the file with the private key. Default: 0600. */
  readonly keyMode?: number
}

export interface Directory {
  readonly dir: string
  readonly apple: Apple
  /** The companion's Unix socket, in a directory that is there. */
  readonly socket: string
  /** A directory that is its owner's alone, with push.pem, push.key and ca.pem. */
  readonly keys: string
  /** `xaps -c DIR ARGS…` */
  xaps(...args: string[]): Promise<Ended>
}

export interface SiteOptions extends DirectoryOptions, Omit<Partial<HarakaOptions>, 'xapsIni'> {
  /** Where queue/lmtp hands mail over; the receiver of the site where it is not given. */
  readonly lmtpPort?: number
  /** Wait for the companion to answer, and to have its store. Default: true. */
  readonly companion?: boolean
}

export interface Site extends Directory, Haraka {
  readonly lmtp: LmtpReceiver
  /** The companion's port for HTTP, on 127.0.0.1. */
  readonly httpPort: number
  /** The process id of the companion, which must run. */
  companion(): number
  /** Registers phones by line; of a user the first. Each must be answered with the topic. */
  register(...phones: (string | Phone)[]): Promise<void>
  /** Sends a mail, which Haraka must accept for each recipient. */
  mail(...to: string[]): Promise<void>
  /** Waits for so many mails at the site's receiver. */
  delivered(mails: number): Promise<void>
  /** Waits for pushes at the stand-in; when they don't come, what Haraka logged says why. */
  pushed(wanted: Wanted): Promise<PushRequest[]>
  /** The tokens of all accepted pushes, sorted. */
  tokens(): string[]
  /** The lines of plugin and companion in Haraka's log, of level info and above, that match `pattern`. */
  lines(pattern?: RegExp): string[]
}

/** Starts a Haraka with the plugin, its companion, and what they talk to. All ends with the test. */
export async function startSite(t: Scope, options: SiteOptions = {}): Promise<Site> {
  const { apple: _, xaps = {}, keyMode: __, companion = true, config, ...haraka } = options
  const parts = await prepare(t, options)
  const lmtp = owned(t, await startLmtp())
  const { lmtpPort = lmtp.port } = options
  const httpPort = await freePort()
  const registration = { listen: `127.0.0.1:${httpPort}`, ...xaps.registration }
  const started = owned(
    t,
    await startHaraka({
      plugins: ['rcpt_to.in_host_list', 'queue/lmtp', 'xaps'],
      ...haraka,
      config: { 'lmtp.ini': `host=127.0.0.1\nport=${lmtpPort}\n`, ...config },
      xapsIni: parts.iniWith({ ...xaps, registration }),
    }),
  )
  const site = siteOf(started, { ...parts.common(started.dir), lmtp, httpPort })
  if (companion) await companionAnswers(site)
  return site
}

/** A directory as `haraka -c` takes it, in which no Haraka runs. */
export async function makeDirectory(
  t: Scope,
  options: DirectoryOptions & { readonly smtpIni?: string } = {},
): Promise<Directory> {
  const parts = await prepare(t, options)
  const dir = path.join(parts.base, 'haraka')
  mkdirSync(path.join(dir, 'config'), { recursive: true })
  writeFileSync(path.join(dir, 'config', 'smtp.ini'), options.smtpIni ?? '')
  writeFileSync(path.join(dir, 'config', 'xaps.ini'), parts.iniWith(options.xaps))
  return parts.common(dir)
}

/** What a Haraka's directory needs around it. */
async function prepare(
  t: Scope,
  { apple: given, xaps: { registration = {} } = {}, keyMode }: DirectoryOptions,
) {
  const apple = given ?? owned(t, await startApple())
  const { path: base } = owned(t, tempDirectory('xaps-site-'))
  const keys = path.join(base, 'keys')
  mkdirSync(keys, { mode: 0o700 })
  const apns = appleKeys(apple, keys, keyMode)
  const socket = String(registration.socket ?? path.join(base, 'xapsd.sock'))
  return {
    base,
    iniWith: (more: Sections = {}) =>
      iniText({
        ...more,
        apns: { ...apns, ...more.apns },
        registration: { socket, ...more.registration },
      }),
    common: (dir: string): Directory => ({
      dir,
      apple,
      socket,
      keys,
      xaps: (...args) => xaps(['-c', dir, ...args]),
    }),
  }
}

function siteOf(haraka: Haraka, parts: Directory & Pick<Site, 'lmtp' | 'httpPort'>): Site {
  const { apple, lmtp, socket } = parts
  return {
    ...haraka,
    ...parts,
    companion() {
      const found = haraka.children().find(({ command }) => / serve /.test(command))
      assert.ok(found, 'a companion runs')
      return found.pid
    },
    async register(...phones) {
      for (const phone of phones) {
        const known = typeof phone === 'string' ? phoneOf(phone) : phone
        assert.equal(await registerByLine(socket, known), OK, known.user)
      }
    },
    async mail(...to) {
      const { reply, recipients } = await sendMail({ port: haraka.port, from: FROM, to })
      assert.deepEqual([reply.code, ...recipients.map(({ code }) => code)], [250, ...to.map(() => 250)])
    },
    delivered: async mails => void (await until(() => lmtp.mails.length === mails, `${mails} mails`)),
    pushed: wanted =>
      apple.waitFor(wanted).catch(error => {
        throw new Error(`${error.message}; Haraka's log:\n${withoutDebug(haraka.log())}`)
      }),
    tokens: () => apple.pushes.map(({ token }) => token).sort(),
    lines: (pattern = /^/) =>
      withoutDebug(haraka.log())
        .split('\n')
        .filter(line => line.includes('[xaps]') && pattern.test(line)),
  }
}

function withoutDebug(log: string): string {
  return log.replace(/^.*\[DEBUG\].*\n/gm, '')
}

/** Whether a companion serves HTTP on `port`, and has its store. */
export async function isHealthy(port: number): Promise<boolean> {
  return (await fetch(`http://127.0.0.1:${port}/healthz`)).ok
}

/** Resolves when a companion listens at the site's doors, and has its store. */
export async function companionAnswers({ socket, httpPort, log }: Site): Promise<void> {
  const open = async () => (await accepts({ path: socket })) && (await isHealthy(httpPort))
  await until(open, 'the companion to listen').catch(error => {
    throw new Error(`no companion:\n${log()}`, { cause: error })
  })
}

let pair: Pair | undefined

/** The [apns] keys that lead to the stand-in, with credentials in files below `dir`; `keyMode`: of the private key. */
export function appleKeys(apple: Apple, dir: string, keyMode = 0o600): Sections[string] {
  pair ??= pushCertificate()
  const file = (name: string, text: string, mode = 0o600) => {
    const at = path.join(dir, name)
    writeFileSync(at, text)
    chmodSync(at, mode)
    return at
  }
  return {
    certificate: file('push.pem', pair.certificate),
    key: file('push.key', pair.key, keyMode),
    ca: file('ca.pem', apple.ca),
    host: apple.host,
    port: apple.port,
  }
}

/** The text of an ini file. */
export function iniText(sections: Sections): string {
  const section = ([name, keys]: [string, Sections[string]]) =>
    [`[${name}]`, ...Object.entries(keys).map(([key, value]) => `${key} = ${value}`)].join('\n')
  return `${Object.entries(sections).map(section).join('\n')}\n`
}
