/**
 * Files that may change while they are in use. Looks at them by stat, which works for symbolic links that certbot-like tools
 * switch, for editors that put a new file in the old one's place, and on any file system.
 */

import { statSync } from 'node:fs'
import { type Clock, systemClock, type Timer } from './clock.ts'
import { reasonOf } from './log.ts'

/** How soon a changed file is noticed. */
const LOOK_EVERY_MS = 5_000

/** For how long the files must not have changed before they are read: editors save in steps, certificate and key are written in turn. */
const SETTLED_AFTER_MS = 1_000

export interface Watch {
  close(): void
}

/** Calls `changed` once for each change of one of `files()`, which are other ones perhaps whenever they are looked at. */
export function watchFiles(
  files: () => readonly string[],
  changed: () => void,
  clock: Clock = systemClock,
): Watch {
  let used = fingerprint(files())
  let seen = used
  let timer: Timer
  const look = (): void => {
    const before = seen
    seen = fingerprint(files())
    const isSettled = seen === before
    if (seen !== used && isSettled) {
      used = seen
      changed()
    }
    timer = clock.after(seen === used ? LOOK_EVERY_MS : SETTLED_AFTER_MS, look)
  }
  timer = clock.after(LOOK_EVERY_MS, look)
  return { close: () => timer.cancel() }
}

/** Text that changes when one of the files is written, replaced or linked to another. */
function fingerprint(files: readonly string[]): string {
  const stamp = (file: string): string => {
    try {
      const { ino, size, mtimeMs } = statSync(file)
      return `${file} ${ino} ${size} ${mtimeMs}`
    } catch (error) {
      return reasonOf(error)
    }
  }
  return files.map(stamp).join('\n')
}
