/**
 * The configuration of a private Dovecot in the language of its version: Debian 12 has 2.3, Debian 13 has 2.4. Pure
 * but for the user that the test runs as.
 */

import { execFileSync } from 'node:child_process'

/** `nobody` on Debian: Dovecot refuses to deliver mail as root. */
export const MAIL_ID = 65534

export const PASSWORD = 'secret'

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

export type Dialect = '2.3' | '2.4'

/** From what `dovecot --version` prints. */
export function dialectOf(version: string): Dialect {
  return version.startsWith('2.3.') ? '2.3' : '2.4'
}

/** name:password:uid:gid:gecos:home:shell:extra fields. */
export function passwdFile(
  { users, aliases = {}, quotaFull = [] }: DovecotOptions,
  dialect: Dialect,
): string {
  const line = (name: string, extra = '') => `${name}:{PLAIN}${PASSWORD}::::::${extra}\n`
  const noRoom = dialect === '2.3' ? 'userdb_quota_rule=*:bytes=1' : 'userdb_quota_storage_size=1B'
  const known = users.map(user => line(user, quotaFull.includes(user) ? noRoom : ''))
  const renamed = Object.entries(aliases).map(([name, user]) => line(name, `userdb_user=${user}`))
  return [...known, ...renamed].join('')
}

/** `dir` holds everything: sockets in run, mail in mail/USER/Maildir, the log in dovecot.log. */
export function dovecotConf(
  dir: string,
  ports: { readonly lmtp: number; readonly imap: number },
  options: DovecotOptions,
  dialect: Dialect,
): string {
  return `${dialect === '2.3' ? in23(dir) : in24(dir)}
base_dir = ${dir}/run
state_dir = ${dir}/state
log_path = ${dir}/dovecot.log
protocols = lmtp${options.imap ? ' imap' : ''}
listen = 127.0.0.1
ssl = no
recipient_delimiter = +
first_valid_uid = 1
${identity()}
namespace inbox {
  inbox = yes
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
    ${dialect === '2.3' ? 'address' : 'listen'} = 127.0.0.1
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

function in23(dir: string): string {
  return `
disable_plaintext_auth = no
mail_home = ${dir}/mail/%u
mail_location = maildir:~/Maildir
mail_plugins = quota
plugin {
  quota = count:User quota
  quota_vsizes = yes
}
passdb {
  driver = passwd-file
  args = ${dir}/users
}
userdb {
  driver = passwd-file
  args = ${dir}/users
}`
}

function in24(dir: string): string {
  return `
dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
auth_allow_cleartext = yes
mail_home = ${dir}/mail/%{user}
mail_driver = maildir
mail_path = ~/Maildir
mail_plugins {
  quota = yes
}
quota "User quota" {
}
quota_storage_grace = 0
passdb passwd-file {
  passwd_file_path = ${dir}/users
}
userdb passwd-file {
  passwd_file_path = ${dir}/users
}`
}

/** As root the processes get the package's own users; otherwise all of them run as the test's user. */
function identity(): string {
  const [uid, gid] = [process.getuid?.(), process.getgid?.()]
  if (uid === 0) return `mail_uid = ${MAIL_ID}\nmail_gid = ${MAIL_ID}`
  const unconfined = ['anvil', 'stats', 'imap-login', 'auth', 'lmtp', 'imap'].map(
    name => `service ${name} {\n  chroot =\n}`,
  )
  return [
    `default_internal_user = ${nameBy('-un')}`,
    `default_internal_group = ${nameBy('-gn')}`,
    `default_login_user = ${nameBy('-un')}`,
    `mail_uid = ${uid}`,
    `mail_gid = ${gid}`,
    ...unconfined,
  ].join('\n')
}

function nameBy(flag: '-un' | '-gn'): string {
  return execFileSync('id', [flag], { encoding: 'utf8' }).trim()
}
