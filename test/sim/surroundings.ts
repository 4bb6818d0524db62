/** What stands in the place of Node's Date, Math, crypto and /proc: by a world's clock, and by its seed. */

import * as crypto from 'node:crypto'
import type { Random } from '../fuzz/random.ts'

/** Date, by a clock in ms since the epoch. */
export function dateBy(wallMs: () => number): unknown {
  return class SimulatedDate extends Date {
    constructor(...args: []) {
      if (args.length === 0) super(wallMs())
      else super(...args)
    }
    static override now(): number {
      return wallMs()
    }
  }
}

export function mathBy(random: Random): unknown {
  const numbers = Object.create(null)
  for (const name of Object.getOwnPropertyNames(Math)) numbers[name] = Math[name as keyof Math]
  numbers.random = () => random.below(2 ** 31) / 2 ** 31
  return numbers
}

export function cryptoBy(random: Random): unknown {
  const hex = (digits: number) => Array.from({ length: digits }, () => random.below(16).toString(16)).join('')
  const randomUUID = () => `${hex(8)}-${hex(4)}-4${hex(3)}-8${hex(3)}-${hex(12)}`
  return { ...crypto, randomUUID }
}

/** A disk's functions, with the kernel's lines about the processes that `isAlive` says are there. */
export function withProc(
  fs: Record<string, unknown>,
  isAlive: (pid: number) => boolean,
): Record<string, unknown> {
  const functions = fs as Record<string, (...args: unknown[]) => unknown>
  return {
    ...fs,
    existsSync: (name: string) => name === '/proc/self/stat' || functions.existsSync?.(name),
    readFileSync: (name: string, ...rest: unknown[]) =>
      name.startsWith('/proc/') ? statOf(name, isAlive) : functions.readFileSync?.(name, ...rest),
  }
}

/** The start of a process is the 22nd field. */
function statOf(name: string, isAlive: (pid: number) => boolean): string {
  const pid = Number(name.split('/')[2])
  if (isAlive(pid)) return `${pid} (node) S${' 0'.repeat(18)} ${pid} 0`
  throw Object.assign(new Error(`ENOENT: no such file or directory, '${name}'`), { code: 'ENOENT' })
}
