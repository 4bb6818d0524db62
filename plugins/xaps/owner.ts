/** Names of users and groups → numbers, and a user's own group. Knows the local files only, where the accounts of services are. */

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

/** In both files a line starts with name:password:number. */
function idOf(name: string, file: string, what: string): number {
  if (/^\d+$/.test(name)) return Number(name)
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const [entry, , id] = line.split(':')
    if (entry === name && id !== undefined && /^\d+$/.test(id)) return Number(id)
  }
  throw new Error(`${name}: no such ${what} in ${file}`)
}
