/** The whole system for one test: an Apple stand-in, where mail ends up, a real Haraka with the plugin between them. */

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import type { TestContext } from 'node:test'
import { type Pair, pushCertificate } from '../fake/apple/certificates.ts'
import type { PushRequest, Wanted } from '../fake/apple/journal.ts'
import { type Apple, startApple } from '../fake/apple/server.ts'
import { type Haraka, type HarakaOptions, startHaraka } from '../support/haraka.ts'
import { type LmtpReceiver, startLmtp } from '../support/lmtp.ts'
import { owned } from '../support/owned.ts'
import { accepts, freePort } from '../support/server.ts'
import { sendMail } from '../support/smtp.ts'
import { tempDirectory } from '../support/temp.ts'
import { until } from '../support/wait.ts'

export const FROM = 'sender@example.net'

/** Sections of xaps.ini: key → value. */
export type Sections = Readonly<Record<string, Readonly<Record<string, string | number>>>>

export interface SiteOptions extends Omit<Partial<HarakaOptions>, 'xapsIni'> {
  /** A fresh stand-in where it is not given. */
  readonly apple?: Apple
  /** Where queue/lmtp hands mail over; the receiver of the site where it is not given. */
  readonly lmtpPort?: number
  /** Beside what is needed to reach the stand-in and to be reached. */
  readonly xaps?: Sections
  /** Wait for the companion to answer. Default: true. */
  readonly companion?: boolean
}

export interface Site extends Haraka {
  /** The companion's Unix socket, in a directory that is there. */
  readonly socket: string
  /** The companion's port for HTTP, on 127.0.0.1. */
  readonly httpPort: number
}

/** Starts a Haraka with the plugin, its companion, and what they talk to. All ends with the test. */
export async function startSite(
  t: TestContext,
  options: SiteOptions = {},
): Promise<Site & { readonly apple: Apple; readonly lmtp: LmtpReceiver }> {
  const { xaps = {}, companion = true, config, ...haraka } = options
  const apple = options.apple ?? owned(t, await startApple())
  const lmtp = owned(t, await startLmtp())
  const { lmtpPort = lmtp.port } = options
  const temp = tempDirectory('xaps-site-')
  const socket = xaps.registration?.socket ?? path.join(temp.path, 'xapsd.sock')
  const httpPort = await freePort()
  const registration = { socket, listen: `127.0.0.1:${httpPort}` }
  const started = await startHaraka({
    plugins: ['rcpt_to.in_host_list', 'queue/lmtp', 'xaps'],
    ...haraka,
    config: { 'lmtp.ini': `host=127.0.0.1\nport=${lmtpPort}\n`, ...config },
    xapsIni: iniText({
      ...xaps,
      apns: { ...appleKeys(apple, temp.path), ...xaps.apns },
      registration: { ...registration, ...xaps.registration },
    }),
  })
  t.after(() => (started.running() ? started.stop() : started.stop().catch(() => undefined)))
  t.after(temp.remove)
  const site = { ...started, socket: String(socket), httpPort, apple, lmtp }
  if (companion) await companionAnswers(site)
  return site
}

/** Resolves when a companion listens at the site's doors. */
export async function companionAnswers({ socket, httpPort, log }: Site): Promise<void> {
  const open = async () =>
    (await accepts({ path: socket })) && (await accepts({ port: httpPort, host: '127.0.0.1' }))
  await until(open, 'the companion to listen').catch(error => {
    throw new Error(`no companion:\n${log()}`, { cause: error })
  })
}

let pair: Pair | undefined

/** The [apns] keys that lead to the stand-in, with credentials in files below `dir`. */
export function appleKeys(apple: Apple, dir: string): Readonly<Record<string, string | number>> {
  pair ??= pushCertificate()
  const files = {
    certificate: ['push.pem', pair.certificate],
    key: ['push.key', pair.key],
    ca: ['ca.pem', apple.ca],
  } as const
  const at = (name: string) => path.join(dir, name)
  for (const [name, text] of Object.values(files)) writeFileSync(at(name), text, { mode: 0o600 })
  const paths = Object.entries(files).map(([key, [name]]) => [key, at(name)])
  return { ...Object.fromEntries(paths), host: apple.host, port: apple.port }
}

/** The text of an ini file. */
export function iniText(sections: Sections): string {
  const section = ([name, keys]: [string, Sections[string]]) =>
    [`[${name}]`, ...Object.entries(keys).map(([key, value]) => `${key} = ${value}`)].join('\n')
  return `${Object.entries(sections).map(section).join('\n')}\n`
}

/** Sends a mail to `to`, which Haraka must accept for every one of them. */
export async function mailTo(haraka: Haraka, ...to: string[]): Promise<void> {
  const { reply, recipients } = await sendMail({ port: haraka.port, from: FROM, to })
  assert.deepEqual([reply.code, ...recipients.map(({ code }) => code)], [250, ...to.map(() => 250)])
}

/** Waits for pushes at the stand-in; when they don't come, what Haraka logged says why. */
export async function pushed(apple: Apple, site: Haraka, wanted: Wanted): Promise<PushRequest[]> {
  return apple.waitFor(wanted).catch(error => {
    throw new Error(`${error.message}; Haraka's log:\n${withoutDebug(site.log())}`)
  })
}

/** The lines of the plugin and its companion in Haraka's log, of level info and above. */
export function pluginLines(log: string): string[] {
  return withoutDebug(log)
    .split('\n')
    .filter(line => line.includes('[xaps]'))
}

function withoutDebug(log: string): string {
  return log.replace(/^.*\[DEBUG\].*\n/gm, '')
}
