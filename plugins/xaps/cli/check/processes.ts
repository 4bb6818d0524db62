/** The processes of this machine, as /proc shows them to this user. Empty where there is no /proc (not Linux). */

import { readdirSync, readFileSync, readlinkSync, realpathSync } from 'node:fs'
import path from 'node:path'
import type { Ids } from './finding.ts'

export interface ProcessOnHost {
  readonly pid: number
  /** The command and its arguments. */
  readonly words: readonly string[]
}

export function processes(): ProcessOnHost[] {
  const pids = (names('/proc') ?? []).filter(name => /^\d+$/.test(name)).map(Number)
  return pids.map(pid => ({ pid, words: wordsOf(pid) })).filter(({ words }) => words.length > 0)
}

/** Empty for one that is not there, or a thread of the kernel's. */
export function wordsOf(pid: number): string[] {
  return orUndefined(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1)) ?? []
}

/** The Haraka directory of a companion, from its arguments; undefined for another process, or one that was given none. */
export function directoryOf(words: readonly string[]): string | undefined {
  const option = words.findIndex(word => word === '-c' || word === '--configs')
  const given = option < 0 ? '' : (words[option + 1] ?? '')
  const isCompanion = words.includes('serve') && words.some(isOurs)
  return isCompanion && path.isAbsolute(given) ? realOrSame(given) : undefined
}

/** The script of the command, or of the companion that Haraka starts. */
function isOurs(word: string): boolean {
  return /(?:^|\/)(?:xaps|cli\/main\.js|companion-process\.js)$/.test(word)
}

export function realOrSame(directory: string): string {
  return orUndefined(() => realpathSync(directory)) ?? directory
}

/** The effective user and group of a process. */
export function idsOf(pid: number): Ids | undefined {
  const status = orUndefined(() => readFileSync(`/proc/${pid}/status`, 'utf8')) ?? ''
  const number = (name: string) => Number(new RegExp(`^${name}:\\s+\\d+\\s+(\\d+)`, 'm').exec(status)?.[1])
  const [uid, gid] = [number('Uid'), number('Gid')]
  return Number.isNaN(uid) || Number.isNaN(gid) ? undefined : { uid, gid }
}

/** `nginx (process 812)` for the processes that listen on a TCP port; undefined where this user may not see that. */
export function listenerOn(port: number): string | undefined {
  const inodes = new Set(['/proc/net/tcp', '/proc/net/tcp6'].flatMap(table => listeningIn(table, port)))
  const found = processes().filter(({ pid }) => socketsOf(pid).some(inode => inodes.has(inode)))
  const named = found.map(({ pid, words: [command = ''] }) => `${path.basename(command)} (process ${pid})`)
  return named.length === 0 ? undefined : named.join(', ')
}

/** proc(5): local address and port in hex, the state 0A for LISTEN, and in the tenth column the inode. */
function listeningIn(table: string, port: number): string[] {
  const lines = (orUndefined(() => readFileSync(table, 'utf8')) ?? '').split('\n')
  const rows = lines.map(line => line.trim().split(/\s+/))
  const local = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  return rows
    .filter(([, address = '', , state]) => address.endsWith(local) && state === '0A')
    .flatMap(row => row[9] ?? [])
}

function socketsOf(pid: number): string[] {
  const open = names(`/proc/${pid}/fd`) ?? []
  const links = open.map(fd => orUndefined(() => readlinkSync(`/proc/${pid}/fd/${fd}`)) ?? '')
  return links.flatMap(link => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? [])
}

function names(directory: string): string[] | undefined {
  return orUndefined(() => readdirSync(directory))
}

/** Processes come and go, and some of them are not to be looked at. */
function orUndefined<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch {
    return undefined
  }
}
