/**
 * Tells whether an LMDB data file is sound enough to be opened. LMDB maps the file into memory and trusts its bytes: a
 * truncated or overwritten file does not make it fail, it kills the process (SIGSEGV, SIGBUS and SIGABRT were all
 * seen). So another process reads it first, and is killed instead of this one. Knows nothing of the format.
 */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import path from 'node:path'
import type { LmdbFiles } from './directory.ts'

/** How the process says that it has opened the file, and its exit status when it is damaged; with others it cannot tell. */
export const OPENED = 'opened\n'
export const DAMAGED = 3

const PROCESS = path.join(__dirname, 'check-process.js')

/**
 * How long it may take to open the file, for which a writer needs the lock; a process that keeps it for longer has been
 * stopped.
 */
const OPENING_MS = 5_000
/** How long it may take in all: to read 700 MB out of memory takes a second, from a slow disk half a minute. */
const READING_MS = 60_000

/** A damaged file ends a process that opens it by one of these. Any other signal says nothing of the file. */
const DEADLY: ReadonlyArray<NodeJS.Signals | null> = ['SIGSEGV', 'SIGBUS', 'SIGABRT', 'SIGFPE', 'SIGILL']

/** The data file cannot be used, and opening it would end the process. */
export class DamagedFile extends Error {
  override name = 'DamagedFile'
}

/** Another process keeps the lock that a writer needs: to open the file for writing would hold up this one. */
export class LockedFile extends Error {
  override name = 'LockedFile'
}

/** Files found damaged: each look at one may leave a core dump, so there is one per state of the file. */
const damaged = new Map<string, { readonly state: string; readonly error: DamagedFile }>()

/**
 * Resolves when nothing in the data file could end a process which reads it, or without `readOnly` also writes it. An
 * empty file is sound. Safe while other processes write. Rejects with DamagedFile or LockedFile, and with another Error
 * when it cannot be found out, because no process can be started, say.
 */
export async function checkFile({ data }: LmdbFiles, readOnly: boolean): Promise<void> {
  const { dev, ino, size, mtimeMs, ctimeMs } = statSync(data)
  if (size === 0) return
  // Differs when the file has been written or replaced.
  const state = [dev, ino, size, mtimeMs, ctimeMs].join()
  const known = damaged.get(data)
  if (known?.state === state) throw known.error
  let error = await look(data, readOnly)
  // It cannot be opened at the moment at which the last of others closes it.
  if (error?.name === 'Error') error = await look(data, readOnly)
  if (error instanceof DamagedFile) damaged.set(data, { state, error })
  if (error) throw error
}

/** Has another process read the file. Resolves with the defect, if any; rejects when there can be no process. */
async function look(data: string, readOnly: boolean): Promise<Error | undefined> {
  const child = spawn(process.execPath, [PROCESS, path.dirname(data), readOnly ? 'read' : 'write'], {
    env: {},
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: READING_MS,
    killSignal: 'SIGKILL',
  })
  const opening = setTimeout(() => child.kill('SIGKILL'), OPENING_MS)
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    clearTimeout(opening)
  })
  const [code, signal] = await once(child, 'close').finally(() => clearTimeout(opening))
  const said = output.replace(OPENED, '').trim()
  if (code === 0) return undefined
  if (code === DAMAGED) return new DamagedFile(`${data} is damaged: ${said}`)
  if (DEADLY.includes(signal))
    return new DamagedFile(`${data} is damaged: reading it ended a process (${signal})`)
  if (!readOnly && output === '' && signal === 'SIGKILL')
    return new LockedFile('another process keeps its lock')
  return new Error(`it could not be checked: ${said || signal || `exit status ${code}`}`)
}
