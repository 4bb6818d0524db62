/** Who may get to a file: this process by trying, others by the modes on the way. Access lists (setfacl) are not seen. */

import * as fs from 'node:fs'
import path from 'node:path'
import { accessOf, namesOf, ownIds } from './finding.ts'

/** A sentence about the first directory above `place` that this process may not enter, with what to do. */
export function barrierTo(place: string): string | undefined {
  const barrier = directoriesAbove(place).find(directory => codeOf(() => enter(directory)) === 'EACCES')
  if (barrier === undefined) return undefined
  return `${namesOf(ownIds())} may not enter ${barrier} (${accessOf(fs.statSync(barrier))}): chmod o+x ${barrier}, or use a place elsewhere`
}

/** Another process: a user where one is known, and a group. */
export interface Viewer {
  readonly uid: number | undefined
  readonly gid: number
}

/** The first thing that keeps `viewer` from connecting to the socket: the socket itself, or a directory above. */
export interface Hindrance {
  readonly path: string
  readonly access: string
}

/** Undefined where nothing does. Throws the system's errors. */
export function hindranceTo(socket: string, viewer: Viewer): Hindrance | undefined {
  const place = path.join(fs.realpathSync(path.dirname(socket)), path.basename(socket))
  const ways = [...directoriesAbove(place).map(way => [way, 1] as const), [place, 2] as const]
  const found = ways.find(([way, bit]) => !mayUse(fs.statSync(way), viewer, bit))
  return found && { path: found[0], access: accessOf(fs.statSync(found[0])) }
}

/** As the kernel decides: the bits of the owner, else those of the group, else those of others. `bit`: 4, 2 or 1. */
function mayUse(
  { mode, uid, gid }: Pick<fs.Stats, 'mode' | 'uid' | 'gid'>,
  viewer: Viewer,
  bit: number,
): boolean {
  if (viewer.uid === 0) return true
  if (uid === viewer.uid) return (mode & (bit << 6)) !== 0
  return (mode & (gid === viewer.gid ? bit << 3 : bit)) !== 0
}

/** From the root downwards, without `place` itself. */
function directoriesAbove(place: string): string[] {
  const above = path.dirname(place)
  return above === place ? [] : [...directoriesAbove(above), above]
}

function enter(directory: string): void {
  fs.accessSync(directory, fs.constants.X_OK)
}

function codeOf(work: () => void): string | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    return (error as NodeJS.ErrnoException).code
  }
}
