/**
 * Finds files with a secret that their modes open to others on this machine. Reads none of them but a certificate, for a key
 * in it.
 */

import { readFileSync, statSync } from 'node:fs'
import { primaryGroup } from '../base/accounts.ts'
import { withoutPassword } from '../base/store-uri.ts'
import { type Config, configFile, pathIn } from './config.ts'

const ROOT_GROUP = 0

/**
 * One sentence for each such file, with the chmod that closes it. The group of a file may have access when it is root's,
 * one of `trusted` (gids: those of Haraka's processes), or the primary group of the file's owner. Files that are not
 * there, or cannot be looked at, are passed over.
 */
export function exposedSecrets(
  config: Pick<Config, 'apns' | 'store' | 'harakaDir'>,
  trusted: readonly (number | undefined)[],
  groupOf: (uid: number) => number | undefined = primaryGroup,
): string[] {
  const mayRead = (gid: number, uid: number) =>
    gid === ROOT_GROUP || trusted.includes(gid) || gid === groupOf(uid)
  return [...secretFiles(config)].flatMap(file => exposure(file, mayRead) ?? [])
}

function secretFiles(config: Pick<Config, 'apns' | 'store' | 'harakaDir'>): Set<string> {
  const { key, pkcs12, tokenKey, certificate, passphrase } = config.apns
  const { store } = config
  const files = [key, pkcs12, tokenKey, store.key].map(name => pathIn(config, name))
  const certificates = [certificate, store.certificate].map(name => pathIn(config, name)).filter(holdsKey)
  const secret = [...files, ...certificates].filter(file => file !== '')
  const iniToo = passphrase !== '' || withoutPassword(config.store.uri) !== config.store.uri
  return new Set(iniToo ? [...secret, configFile(config.harakaDir)] : secret)
}

function holdsKey(file: string): boolean {
  return orUndefined(() => readFileSync(file, 'latin1'))?.includes('PRIVATE KEY-----') ?? false
}

const GROUP = 0o060
const OTHERS = 0o006

function exposure(file: string, mayRead: (gid: number, uid: number) => boolean): string | undefined {
  const stats = orUndefined(() => statSync(file))
  if (!stats) return undefined
  const open = stats.mode & (mayRead(stats.gid, stats.uid) ? OTHERS : OTHERS | GROUP)
  if (open === 0) return undefined
  const whom = open & OTHERS ? 'every user of this machine' : `the group with gid ${stats.gid}`
  const classes = `${open & GROUP ? 'g' : ''}${open & OTHERS ? 'o' : ''}`
  return `${file} holds a secret and is open to ${whom}: chmod ${classes}= ${file}`
}

/** Undefined for a file that cannot be looked at: loading the credentials says so, with the reason. */
function orUndefined<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch {
    return undefined
  }
}
