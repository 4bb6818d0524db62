/** The resources that a process has used, by Linux's /proc: of others than one's own, and with what is file and what is memory. */

import { readFileSync } from 'node:fs'

/** The unit of the times in /proc/PID/stat: USER_HZ is 100 on every Linux that Node runs on. */
const TICK_US = 10_000

/** Microseconds of CPU in user and kernel mode since the start of the process, all threads. */
export function cpuOf(pid: number): number {
  // The name, in parentheses, may hold blanks; utime and stime are the 12th and 13th field after it (proc(5)).
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK_US
}

export interface Memory {
  /** Resident, in bytes: `own` is the process's alone, the rest are pages of files, such as LMDB's and Node itself. */
  readonly total: number
  readonly own: number
}

export function memoryOf(pid: number): Memory {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const bytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * 1024
  return { total: bytes('VmRSS'), own: bytes('RssAnon') }
}

/** Microseconds of CPU that this process has used, all threads. */
export function ownCpu(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}
