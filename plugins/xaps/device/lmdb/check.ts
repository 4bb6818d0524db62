/**
 * Tells whether an LMDB data file is sound enough to be opened. LMDB maps the file into memory and believes what it
 * finds there: a truncated or overwritten file does not make it fail, it kills the process (SIGSEGV, SIGBUS and SIGABRT
 * were all seen). So another process reads it first, and what would have killed this one kills that. Knows nothing of
 * the format.
 */

import { spawn } from 'node:child_process'
import { statSync } from 'node:fs'
import path from 'node:path'
import type { LmdbFiles } from './directory.ts'

/** How the process says that it has opened the file, and its exit statuses when it is damaged, or it cannot tell. */
export const OPENED = 'opened\n'
export const DAMAGED = 3
export const UNKNOWN = 4

const PROCESS = path.join(__dirname, 'check-process.js')

/** How long it may take to open the file, for which a writer needs the lock; a process that keeps it for longer has been stopped. */
const OPENING_MS = 5_000
/** How long it may take to be read: 700 MB out of memory take a second, from a slow disk half a minute. */
const READING_MS = 60_000

/** What a damaged file makes of a process that opens it. Any other signal says nothing of the file. */
const DEADLY: ReadonlyArray<NodeJS.Signals | null> = ['SIGSEGV', 'SIGBUS', 'SIGABRT', 'SIGFPE', 'SIGILL']

interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly output: string
}

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
  const state = stateOf(data)
  if (state === undefined) return
  const known = damaged.get(data)
  if (known?.state === state) throw known.error
  let ended = await look(path.dirname(data), readOnly)
  // It cannot be opened at the moment at which the last of others closes it.
  if (ended.code === UNKNOWN) ended = await look(path.dirname(data), readOnly)
  const error = errorIn(ended, readOnly, data)
  if (error instanceof DamagedFile) damaged.set(data, { state, error })
  if (error) throw error
}

/** Differs when the file has been written or replaced; undefined for an empty one. */
function stateOf(file: string): string | undefined {
  const { dev, ino, size, mtimeMs, ctimeMs } = statSync(file)
  return size === 0 ? undefined : [dev, ino, size, mtimeMs, ctimeMs].join()
}

function errorIn({ code, signal, output }: Ended, readOnly: boolean, file: string): Error | undefined {
  const said = output.replace(OPENED, '').trim()
  if (code === 0) return undefined
  if (code === DAMAGED) return new DamagedFile(`${file} is damaged: ${said}`)
  if (DEADLY.includes(signal))
    return new DamagedFile(`${file} is damaged: reading it ended a process (${signal})`)
  if (!readOnly && output === '' && signal === 'SIGKILL')
    return new LockedFile('another process keeps its lock')
  return new Error(`it could not be checked: ${said || signal || `exit status ${code}`}`)
}

function look(directory: string, readOnly: boolean): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [PROCESS, directory, readOnly ? 'read' : 'write'], {
      env: {},
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    let output = ''
    let timer = setTimeout(() => child.kill('SIGKILL'), OPENING_MS)
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
      clearTimeout(timer)
      timer = setTimeout(() => child.kill('SIGKILL'), READING_MS)
    })
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, output }))
    child.on('close', () => clearTimeout(timer))
  })
}
