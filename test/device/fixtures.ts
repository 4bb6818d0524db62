/** Shared by the tests of the device stores. */

import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import type { Clock } from '../../plugins/xaps/base/clock.ts'
import type { Fields, Level, Log } from '../../plugins/xaps/base/log.ts'
import type { UserRecord } from '../../plugins/xaps/device/device.ts'
import { register } from '../../plugins/xaps/device/record.ts'
import type { Job } from './worker.ts'

export interface LogLine {
  readonly level: Level
  readonly message: string
  readonly fields: Fields | undefined
}

/** A log, and the lines written to it. */
export function recordingLog(): { log: Log; lines: LogLine[] } {
  const lines: LogLine[] = []
  const to = (level: Level) => (message: string, fields?: Fields) =>
    void lines.push({ level, message, fields })
  const log = {
    debug: to('debug'),
    info: to('info'),
    notice: to('notice'),
    warn: to('warn'),
    error: to('error'),
  }
  return { log, lines }
}

export const silentLog: Log = recordingLog().log

/** A clock that stands still until it is moved. Nothing in the store sets timers by it. */
export function movableClock(start = Date.now()): Clock & { move(ms: number): void } {
  let now = start
  return {
    now: () => now,
    after: () => ({ cancel: () => undefined }),
    move(ms) {
      now += ms
    },
  }
}

/** A change that registers a device. */
export function registering(token: string, at = Date.now(), mailboxes: readonly string[] = ['INBOX']) {
  const registration = { account: 'A', token, mailboxes, subtopic: 's', topic: 't', at }
  return (record: UserRecord) => register(record, registration, { maxDevices: 100_000 })
}

export interface Worker {
  readonly child: ChildProcess
  /** The updates and claims that it was promised so far. */
  readonly done: string[]
  go(): void
  /** Resolves when the process has ended, by itself or by a signal. */
  readonly ended: Promise<unknown>
}

/** Starts a worker process and resolves when it has opened the store. */
export async function startWorker(job: Job): Promise<Worker> {
  const child = fork(path.join(__dirname, 'worker.js'), [JSON.stringify(job)], { execArgv: [] })
  // The channel closes behind its last message, which may be after the process has exited.
  const ended = Promise.all([once(child, 'exit'), once(child, 'disconnect')])
  const first = await Promise.race([once(child, 'message'), ended])
  if (first[0] !== 'ready') throw new Error(`a worker ended with ${child.exitCode ?? child.signalCode}`)
  const done: string[] = []
  child.on('message', message => void done.push(String(message)))
  return { child, done, ended, go: () => void child.send('go') }
}
