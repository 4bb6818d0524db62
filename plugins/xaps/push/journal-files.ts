/**
 * Where the journals of pending pushes are: one directory, a file per process, named after it. A process has ended when none
 * with its number has started at its time; its file is then taken by renaming it, which only one process can.
 */

import * as fs from 'node:fs'
import path from 'node:path'

/** What a journal needs of files. Each method throws the system's errors. */
export interface JournalFiles {
  /** Adds to this process's file, which is made at the first call. */
  append(text: string): void
  /** Writes this process's file anew. */
  replace(text: string): void
  /** Ends this process's file: keeps it for another process, or removes it. */
  close(keep: boolean): void
  /** Names of files whose processes have ended. */
  left(): string[]
  /** The text of such a file, which no other process gets then; undefined when another one has taken it. */
  take(name: string): string | undefined
  /** Removes a file that was taken. */
  remove(name: string): void
}

/** `PID-START.pending`, and with a number where it was taken over. */
export const JOURNAL_NAMES = /^(\d+)-(\d+)(?:-(\d+))?\.pending$/

const MODE = 0o600

/** Files in `directory`, which is made when it is needed. */
export class JournalDirectory implements JournalFiles {
  readonly #directory: string
  readonly #prepare: () => void
  readonly #own = `${process.pid}-${startOf(process.pid) ?? 0}`
  /** By the name that a file had: the one that it has since it was taken. */
  readonly #taken = new Map<string, string>()
  #takenCount = 0
  #fd: number | undefined

  /** `prepare` makes the directory. */
  constructor(directory: string, prepare: () => void) {
    this.#directory = directory
    this.#prepare = prepare
  }

  append(text: string): void {
    this.#fd ??= this.#open('a')
    const written = fs.writeSync(this.#fd, text)
    // A disk that fills up takes a part, and says so to the next write only.
    if (written < Buffer.byteLength(text)) throw new Error('the disk takes no more')
  }

  replace(text: string): void {
    const draft = this.#pathOf(`${this.#own}.draft`)
    this.#prepare()
    try {
      fs.writeFileSync(draft, text, { mode: MODE })
      fs.renameSync(draft, this.#pathOf(`${this.#own}.pending`))
    } catch (error) {
      // A part of it would take the last of a full disk, for good.
      fs.rmSync(draft, { force: true })
      throw error
    }
    this.#close()
  }

  close(keep: boolean): void {
    this.#close()
    if (!keep) fs.rmSync(this.#pathOf(`${this.#own}.pending`), { force: true })
  }

  left(): string[] {
    const ended = (name: string): boolean => {
      const [, pid, start] = JOURNAL_NAMES.exec(name) ?? []
      return pid !== undefined && startOf(Number(pid)) !== start
    }
    return namesIn(this.#directory).filter(ended)
  }

  take(name: string): string | undefined {
    const taken = `${this.#own}-${this.#takenCount + 1}.pending`
    try {
      fs.renameSync(this.#pathOf(name), this.#pathOf(taken))
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined
      throw error
    }
    this.#takenCount += 1
    this.#taken.set(name, taken)
    return fs.readFileSync(this.#pathOf(taken), 'utf8')
  }

  remove(name: string): void {
    fs.rmSync(this.#pathOf(this.#taken.get(name) ?? name), { force: true })
    this.#taken.delete(name)
  }

  #open(flags: 'a'): number {
    this.#prepare()
    return fs.openSync(this.#pathOf(`${this.#own}.pending`), flags, MODE)
  }

  #close(): void {
    if (this.#fd !== undefined) fs.closeSync(this.#fd)
    this.#fd = undefined
  }

  #pathOf(name: string): string {
    return path.join(this.#directory, name)
  }
}

function namesIn(directory: string): string[] {
  try {
    return fs.readdirSync(directory)
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return []
    throw error
  }
}

/**
 * When the process of this number has started, as the kernel counts; undefined where there is none. Where the system does not
 * tell (no /proc), '0' for each that is there.
 */
function startOf(pid: number): string | undefined {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field is a name in parentheses, of any characters; the 22nd is the start.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return fs.existsSync('/proc/self/stat') || !isThere(pid) ? undefined : '0'
  }
}

function isThere(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    // It is another user's.
    return codeOf(error) === 'EPERM'
  }
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code
}
