/** Names of users and groups ↔ numbers. Knows the local files only, where the accounts of services are. */

import { readFileSync } from 'node:fs'

const PASSWD = '/etc/passwd'
const GROUP = '/etc/group'

/** A name or a number of /etc/passwd → uid. Throws when there is no such user. */
export function userId(name: string): number {
  return idOf(name, PASSWD, 'user')
}

/** A name or a number of /etc/group → gid. Throws when there is no such group. */
export function groupId(name: string): number {
  return idOf(name, GROUP, 'group')
}

/** The gid of a group of /etc/group; undefined when there is none of that name. */
export function findGroup(name: string): number | undefined {
  return idNamed(name, GROUP)
}

/** The primary group of a user; undefined when /etc/passwd has no such user. */
export function primaryGroup(uid: number, file = PASSWD): number | undefined {
  return accountsIn(file).find(({ id }) => id === uid)?.fourth
}

/** The name of a user, or the number where it has none. */
export function userName(uid: number): string {
  return nameOf(uid, PASSWD)
}

/** The name of a group, or the number where it has none. */
export function groupName(gid: number): string {
  return nameOf(gid, GROUP)
}

function idOf(name: string, file: string, what: string): number {
  const id = /^\d+$/.test(name) ? Number(name) : idNamed(name, file)
  if (id === undefined) throw new Error(`${name}: no such ${what} in ${file}`)
  return id
}

function idNamed(name: string, file: string): number | undefined {
  return accountsIn(file).find(account => account.name === name)?.id
}

function nameOf(id: number, file: string): string {
  return accountsIn(file).find(account => account.id === id)?.name ?? String(id)
}

/** In both files a line is name:password:number:…; the fourth field of /etc/passwd is the primary group. */
function accountsIn(file: string) {
  const lines = readFileSync(file, 'utf8').split('\n')
  return lines
    .map(line => line.split(':'))
    .filter(([, , id = '']) => /^\d+$/.test(id))
    .map(([name, , id, fourth]) => ({ name, id: Number(id), fourth: Number(fourth) }))
}
