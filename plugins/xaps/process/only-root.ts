/**
 * Directories in which root can work by path: no other user can put a link, or another directory, where root looks next.
 * Knows no file in them.
 */

import { lstatSync, readlinkSync } from 'node:fs'
import path from 'node:path'

const GROUP_AND_OTHERS_WRITE = 0o022
const STICKY = 0o1000

/** As many as Linux follows. */
const MOST_LINKS = 40

/** Others than root decide about a path. `message` is one line that names the place. */
export class Untrusted extends Error {
  override name = 'Untrusted'
}

/**
 * `directory`, an absolute path, without links. Throws Untrusted unless each directory on the way belongs to root and only
 * root can replace what root has in it (which a sticky one grants, /tmp for one), and each link is root's; and the system's
 * errors. All that stays true, since only root can change it.
 */
export function onlyRoots(directory: string, links = 0): string {
  if (links > MOST_LINKS) throw new Untrusted(`${directory} is behind too many links`)
  const parent = path.dirname(directory)
  const place = parent === directory ? parent : path.join(onlyRoots(parent, links), path.basename(directory))
  const found = lstatSync(place)
  if (found.uid !== 0) throw new Untrusted(`${place} belongs to user ${found.uid}`)
  if (found.isSymbolicLink())
    return onlyRoots(path.resolve(path.dirname(place), readlinkSync(place)), links + 1)
  if (!found.isDirectory()) throw new Untrusted(`${place} is no directory`)
  if (found.mode & GROUP_AND_OTHERS_WRITE && !(found.mode & STICKY))
    throw new Untrusted(`${place} can be written by others than root`)
  return place
}

export function isRoot(): boolean {
  return process.geteuid?.() === 0
}
