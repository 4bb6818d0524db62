/** Names of users and groups → numbers, and back. Knows the local files only, where the accounts of services are. */

import { readFileSync } from 'node:fs'

/** A name or a number of /etc/passwd → uid. Throws when there is no such user. */
export function userId(name: string, file = '/etc/passwd'): number {
  return idOf(name, file, 'user')
}

/** A name or a number of /etc/group → gid. Throws when there is no such group. */
export function groupId(name: string, file = '/etc/group'): number {
  return idOf(name, file, 'group')
}

/** The primary group of a user; undefined when /etc/passwd has no such user. */
export function primaryGroup(uid: number, file = '/etc/passwd'): number | undefined {
  const entries = readFileSync(file, 'utf8').split('\n')
  const gid = entries.map(line => line.split(':')).find(([, , id]) => id === String(uid))?.[3]
  return gid === undefined ? undefined : Number(gid)
}

/** The gid of a group of /etc/group; undefined when there is none of that name. */
export function findGroup(name: string, file = '/etc/group'): number | undefined {
  return find(name, file)
}

/** The name of a user, or the number where it has none. */
export function userName(uid: number, file = '/etc/passwd'): string {
  return nameOf(uid, file)
}

/** The name of a group, or the number where it has none. */
export function groupName(gid: number, file = '/etc/group'): string {
  return nameOf(gid, file)
}

function nameOf(id: number, file: string): string {
  return entriesOf(file).find(([, number]) => number === id)?.[0] ?? String(id)
}

function idOf(name: string, file: string, what: string): number {
  const id = /^\d+$/.test(name) ? Number(name) : find(name, file)
  if (id === undefined) throw new Error(`${name}: no such ${what} in ${file}`)
  return id
}

function find(name: string, file: string): number | undefined {
  return entriesOf(file).find(([entry]) => entry === name)?.[1]
}

/** In both files a line starts with name:password:number. */
function entriesOf(file: string): [name: string, id: number][] {
  return readFileSync(file, 'utf8')
    .split('\n')
    .map(line => line.split(':'))
    .flatMap(([name = '', , id = '']) => (/^\d+$/.test(id) ? [[name, Number(id)] as [string, number]] : []))
}
