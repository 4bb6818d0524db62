/**
 * A private Dovecot in a temporary directory: LMTP, Maildir, the auth-userdb socket, on request IMAP. Nothing of the
 * machine's own Dovecot is read or touched. Its configuration is written in dovecot-conf.ts.
 */

import { execFileSync } from 'node:child_process'
import { chownSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { type DovecotOptions, dialectOf, dovecotConf, MAIL_ID, passwdFile } from './dovecot-conf.ts'
import { find, missing } from './need.ts'
import { accepts, freePort, startServer } from './server.ts'
import { tempDirectory } from './temp.ts'
import { until } from './wait.ts'

export interface Dovecot {
  readonly dir: string
  readonly lmtpPort: number
  readonly lmtpPath: string
  readonly authUserdbPath: string
  /** 0 without `imap`. */
  readonly imapPort: number
  /** The mails in a user's INBOX, new and seen, as they lie in the Maildir. */
  inbox(user: string): string[]
  /** Its log so far. */
  log(): string
  stop(): Promise<void>
}

/** For a test's `skip`. */
export function missingDovecot(): string | false {
  return missing('dovecot', 'lmtp')
}

/** Starts one and resolves when it accepts mail. */
export async function startDovecot(options: DovecotOptions): Promise<Dovecot> {
  const temp = tempDirectory('xaps-dovecot-')
  const at = (...names: string[]) => path.join(temp.path, ...names)
  const ports = { lmtp: await freePort(), imap: options.imap ? await freePort() : 0 }
  mkdirSync(at('mail'))
  if (process.getuid?.() === 0) chownSync(at('mail'), MAIL_ID, MAIL_ID)
  const command = find('dovecot') ?? 'dovecot'
  const dialect = dialectOf(execFileSync(command, ['--version'], { encoding: 'utf8' }))
  writeFileSync(at('users'), passwdFile(options, dialect))
  writeFileSync(at('dovecot.conf'), dovecotConf(temp.path, ports, options, dialect))
  const log = () => readIfThere(at('dovecot.log'))

  const server = startServer(command, ['-F', '-c', at('dovecot.conf')])
  // By SIGTERM Dovecot takes seconds to end, and nothing of this one is kept.
  const stop = () => server.stop('SIGKILL').finally(temp.remove)
  const ready = async () => {
    if (!server.running()) return true
    return (
      (await accepts({ port: ports.lmtp, host: '127.0.0.1' })) && accepts({ path: at('run', 'auth-userdb') })
    )
  }
  await until(ready, 'Dovecot to accept connections').catch(error =>
    stop().finally(() => Promise.reject(error)),
  )
  if (!server.running()) throw new Error(`Dovecot did not start:\n${server.output()}${log()}`)
  return {
    dir: temp.path,
    lmtpPort: ports.lmtp,
    lmtpPath: at('run', 'lmtp'),
    authUserdbPath: at('run', 'auth-userdb'),
    imapPort: ports.imap,
    inbox: user => ['new', 'cur'].flatMap(folder => filesIn(at('mail', user, 'Maildir', folder))),
    log,
    stop,
  }
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

function filesIn(directory: string): string[] {
  try {
    return readdirSync(directory).map(name => readFileSync(path.join(directory, name), 'utf8'))
  } catch {
    return []
  }
}
