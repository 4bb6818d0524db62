/** Journals of pending pushes without a disk. */

import { type Clock, systemClock } from '../../plugins/xaps/base/clock.ts'
import { noLog } from '../../plugins/xaps/base/log.ts'
import type { PendingUsers } from '../../plugins/xaps/push/coalesce.ts'
import { Journal } from '../../plugins/xaps/push/journal.ts'
import type { JournalFiles } from '../../plugins/xaps/push/journal-files.ts'

/** The files of all processes of a host, by their names; those that are not `alive` may be taken. */
export interface JournalHost {
  readonly files: Map<string, string>
  readonly alive: Set<string>
}

/** The files of the process `name`. */
export function filesOf({ files, alive }: JournalHost, name: string): JournalFiles {
  alive.add(name)
  return {
    append: text => void files.set(name, (files.get(name) ?? '') + text),
    replace: text => void files.set(name, text),
    close: keep => void (keep || files.delete(name)),
    left: () => [...files.keys()].filter(file => !alive.has(file.split('/')[0] ?? '')),
    take(file) {
      const text = files.get(file)
      files.delete(file)
      if (text !== undefined) files.set(`${name}/${file}`, text)
      return text
    },
    remove: file => void files.delete(`${name}/${file}`),
  }
}

/** For parts that are tried by themselves. */
export const NO_JOURNAL: PendingUsers = { enter: () => undefined, leave: () => undefined }

/** A journal of a process that is alone. */
export function journalInMemory(clock: Clock = systemClock): Journal {
  return new Journal(filesOf({ files: new Map(), alive: new Set() }, 'alone'), noLog, clock)
}
