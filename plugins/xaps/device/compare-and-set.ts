/**
 * Atomic changes by compare-and-set: read, change, write if it is still what was read, and begin again otherwise. No
 * lock is held meanwhile, so a process that is slow, stopped or dead hinders no other. Changes under one
 * key that wait are applied together: however many come at once, they cost one reading and one writing. Knows no store.
 */

import { setTimeout } from 'node:timers/promises'

/** Makes the new value of the old one; the very value it got means no change. Must be pure: it may run several times. */
export type Change<Value> = (value: Value) => Value

/** What is under a key. A version tells one value from all others that were or will be there. */
export interface Entry<Value, Version> {
  readonly value: Value
  readonly version: Version
}

/** Values under keys. */
export interface Entries<Value, Version> {
  load(key: string): Promise<Entry<Value, Version>>
  /** Writes `value` if the version is still the same; resolves with whether it was, once the value is safely stored. */
  replace(key: string, version: Version, value: Value): Promise<boolean>
}

/** A change that waits, with its caller. */
interface Waiting<Value> {
  readonly change: Change<Value>
  /** Milliseconds since the epoch. */
  readonly until: number
  resolve(): void
  reject(reason: unknown): void
}

const LONGEST_PAUSE_MS = 50

/**
 * Returns a function that changes one value and resolves when that is stored; a change that returns what it got writes
 * nothing. Changes under one key are made in the order in which they came. One that throws rejects, and is as if it had
 * not been there. After the time `until` (milliseconds since the epoch) a change is not tried any more, and rejects.
 */
export function compareAndSetOver<Value, Version>(entries: Entries<Value, Version>) {
  const queues = new Map<string, Waiting<Value>[]>()

  async function work(key: string, queue: Waiting<Value>[]): Promise<void> {
    for (let attempt = 0; queue.length > 0; attempt++) {
      try {
        if (await changeAll(key, queue)) attempt = -1
        else await setTimeout(Math.random() * Math.min(2 ** attempt, LONGEST_PAUSE_MS))
      } catch (error) {
        for (const { reject } of queue.splice(0)) reject(error)
      }
    }
    queues.delete(key)
  }

  /** Makes all changes that wait, and takes them out of the queue. False when another process came in between. */
  async function changeAll(key: string, queue: Waiting<Value>[]): Promise<boolean> {
    rejectLate(queue)
    if (queue.length === 0) return true
    const { value, version } = await entries.load(key)
    const changed = applyAll(value, queue)
    const made = [...queue]
    if (changed !== value && !(await entries.replace(key, version, changed))) return false
    queue.splice(0, made.length)
    for (const { resolve } of made) resolve()
    return true
  }

  return (key: string, change: Change<Value>, until: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const waiting = { change, until, resolve, reject }
      const queue = queues.get(key)
      if (queue) return void queue.push(waiting)
      const first = [waiting]
      queues.set(key, first)
      void work(key, first)
    })
}

function rejectLate<Value>(queue: Waiting<Value>[]): void {
  const now = Date.now()
  keep(queue, ({ until, reject }) => {
    if (now < until) return true
    reject(new Error('there was no time to change it: it is being changed all the while'))
    return false
  })
}

/** The value after all changes in the queue, one after the other. Those that throw reject, and leave the queue. */
function applyAll<Value>(value: Value, queue: Waiting<Value>[]): Value {
  let changed = value
  keep(queue, ({ change, reject }) => {
    try {
      changed = change(changed)
      return true
    } catch (error) {
      reject(error)
      return false
    }
  })
  return changed
}

function keep<T>(list: T[], isKept: (item: T) => boolean): void {
  const kept = list.filter(isKept)
  list.length = 0
  for (const item of kept) list.push(item)
}
