/**
 * A private Dovecot (2.3) in a temporary directory: LMTP, Maildir, the auth-userdb socket, on request IMAP. Nothing
 * of the machine's own Dovecot is read or touched.
 */

import { chownSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { find, missing } from './need.ts'
import { accepts, freePort, startServer } from './server.ts'
import { tempDirectory } from './temp.ts'
import { until } from './wait.ts'

export const PASSWORD = 'secret'

/** `nobody` on Debian: Dovecot refuses to deliver mail as root. */
const MAIL_ID = 65534

export interface DovecotOptions {
  readonly users: readonly string[]
  /** Other names that the userdb answers with one of `users`: a lookup of the key gives the value as the user. */
  readonly aliases?: Readonly<Record<string, string>>
  /** Users whose mailbox is full: accepted at RCPT, refused after DATA. */
  readonly quotaFull?: readonly string[]
  readonly imap?: boolean
  /** More lines for dovecot.conf, such as a plugin's. */
  readonly config?: string
}

export interface Dovecot {
  readonly dir: string
  readonly lmtpPort: number
  readonly lmtpPath: string
  readonly authUserdbPath: string
  /** 0 without `imap`. */
  readonly imapPort: number
  /** The mails in a user's INBOX, new and seen, as they lie in the Maildir. */
  inbox(user: string): string[]
  /** What it has logged so far. */
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
  if (isRoot()) chownSync(at('mail'), MAIL_ID, MAIL_ID)
  writeFileSync(at('users'), passwdFile(options))
  writeFileSync(at('dovecot.conf'), dovecotConf(temp.path, ports, options))
  const log = () => readIfThere(at('dovecot.log'))

  const server = startServer(find('dovecot') ?? 'dovecot', ['-F', '-c', at('dovecot.conf')])
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

function isRoot(): boolean {
  return process.getuid?.() === 0
}

/** name:password:uid:gid:gecos:home:shell:extra fields. */
function passwdFile({ users, aliases = {}, quotaFull = [] }: DovecotOptions): string {
  const lines = users.map(user => {
    const quota = quotaFull.includes(user) ? 'userdb_quota_rule=*:bytes=1' : ''
    return `${user}:{PLAIN}${PASSWORD}::::::${quota}`
  })
  const renamed = Object.entries(aliases).map(
    ([name, user]) => `${name}:{PLAIN}${PASSWORD}::::::userdb_user=${user}`,
  )
  return [...lines, ...renamed, ''].join('\n')
}

function dovecotConf(dir: string, ports: { lmtp: number; imap: number }, options: DovecotOptions): string {
  return `
base_dir = ${dir}/run
state_dir = ${dir}/state
log_path = ${dir}/dovecot.log
protocols = lmtp${options.imap ? ' imap' : ''}
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
recipient_delimiter = +
${identity()}
mail_home = ${dir}/mail/%u
mail_location = maildir:~/Maildir
mail_plugins = quota
plugin {
  quota = count:User quota
  quota_vsizes = yes
}
namespace inbox {
  inbox = yes
}
passdb {
  driver = passwd-file
  args = ${dir}/users
}
userdb {
  driver = passwd-file
  args = ${dir}/users
}
service auth {
  unix_listener auth-userdb {
    mode = 0666
  }
}
service lmtp {
  unix_listener lmtp {
    mode = 0666
  }
  inet_listener lmtp {
    address = 127.0.0.1
    port = ${ports.lmtp}
  }
}
service imap-login {
  inet_listener imap {
    port = ${ports.imap}
  }
  inet_listener imaps {
    port = 0
  }
}
${options.config ?? ''}
`
}

/** As root the processes get the package's own users; otherwise all of them run as whoever runs the test. */
function identity(): string {
  if (isRoot()) return `first_valid_uid = 1\nmail_uid = ${MAIL_ID}\nmail_gid = ${MAIL_ID}`
  const unprivileged = ['anvil', 'stats', 'imap-login', 'auth', 'lmtp'].map(
    service => `service ${service} {\n  chroot =\n}`,
  )
  return [
    `default_internal_user = #${process.getuid?.()}`,
    `default_internal_group = #${process.getgid?.()}`,
    `default_login_user = #${process.getuid?.()}`,
    'first_valid_uid = 1',
    `mail_uid = ${process.getuid?.()}`,
    `mail_gid = ${process.getgid?.()}`,
    ...unprivileged,
  ].join('\n')
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
