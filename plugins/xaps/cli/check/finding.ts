/** What a check finds, and how it is put into words. */

import { constants } from 'node:fs'
import { groupName, userName } from '../../base/accounts.ts'

/** A line of the result: `warn` works today, `FAIL` does not. */
export interface Finding {
  readonly level: 'ok' | 'warn' | 'FAIL'
  /** What was found and, where it is a fault, what to do about it. One line. */
  readonly text: string
}

export type Findings = Generator<Finding> | AsyncGenerator<Finding> | readonly Finding[]

export const ok = (text: string): Finding => ({ level: 'ok', text })
export const warn = (text: string): Finding => ({ level: 'warn', text })
export const fail = (text: string): Finding => ({ level: 'FAIL', text })

/** A user and a group by number, as chown takes them. */
export interface Ids {
  readonly uid: number
  readonly gid: number
}

/** `haraka:haraka`; a number where there is no name. */
export function namesOf({ uid, gid }: Ids): string {
  return `${userName(uid)}:${groupName(gid)}`
}

/** The ids that this process acts with. */
export function ownIds(): Ids {
  return { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 }
}

const { S_IFMT, S_IFSOCK, S_IFDIR } = constants

function typeOf(mode: number): string {
  if ((mode & S_IFMT) === S_IFSOCK) return 's'
  return (mode & S_IFMT) === S_IFDIR ? 'd' : '-'
}

/** The beginning of a line of `ls -l`: `srw-rw---- haraka:dovecot`. */
export function accessOf({ mode, uid, gid }: Ids & { readonly mode: number }): string {
  const bits = [...'rwxrwxrwx'].map((letter, index) => (mode & (0o400 >> index) ? letter : '-'))
  return `${typeOf(mode)}${bits.join('')} ${namesOf({ uid, gid })}`
}

/** `3 devices`, `1 device`. */
export function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}
