/**
 * Atomic changes by compare-and-set: read, change, write if it is still the same, and begin again otherwise. No
 * lock is held meanwhile, so a process that is slow, stopped or dead hinders no other. Changes under one
 * key that wait are applied together: however many come at once, they cost one reading and one writing. Knows no store.
 */

import { setTimeout } from 'node:timers/promises'

/** Makes the new value of the old one; the very value it got means no change. Must be pure: it may run several times. */
export type Change<Value> = (value: Value) => Value

/** Values under keys. */
export interface Entries<Value, Version> {
  /** A version tells one value from all others that were or will be there. */
  load(key: string): Promise<{ readonly value: Value; readonly version: Version }>
  /** Writes `value` if the version is still the same; resolves with whether it was, once the value is safely stored. */
  replace(key: string, version: Version, value: Value): Promise<boolean>
}

/** Changes one value; `until` is in milliseconds since the epoch. */
export type CompareAndSet<Value> = (key: string, change: Change<Value>, until: number) => Promise<void>

/** A change that waits, with its caller. */
interface Waiting<Value> {
  readonly change: Change<Value>
  readonly until: number
  resolve(): void
  reject(reason: unknown): void
}

const LONGEST_PAUSE_MS = 50

/**
 * Returns a function that changes one value and resolves when that is stored; a change that returns what it got writes
 * nothing. Changes under one key are made in the order in which they came. One that throws rejects, and is as if it had
 * not been there. After the time `until` a change is not tried any more, and rejects.
 */
export function compareAndSetOver<Value, Version>(entries: Entries<Value, Version>): CompareAndSet<Value> {
  const queues = new Map<string, Set<Waiting<Value>>>()

  async function work(key: string, queue: Set<Waiting<Value>>): Promise<void> {
    for (let attempt = 0; queue.size > 0; attempt++) {
      try {
        if (await changeAll(key, queue)) attempt = -1
        else await setTimeout(Math.random() * Math.min(2 ** attempt, LONGEST_PAUSE_MS))
      } catch (error) {
        for (const { reject } of queue) reject(error)
        queue.clear()
      }
    }
    queues.delete(key)
  }

  /** Makes all changes that wait, and takes them out of the queue. False when another process came in between. */
  async function changeAll(key: string, queue: Set<Waiting<Value>>): Promise<boolean> {
    const { value, version } = await entries.load(key)
    const changed = applyAll(value, queue)
    const made = [...queue]
    if (changed !== value && !(await entries.replace(key, version, changed))) return false
    for (const waiting of made) {
      queue.delete(waiting)
      waiting.resolve()
    }
    return true
  }

  return (key, change, until) =>
    new Promise((resolve, reject) => {
      const waiting = { change, until, resolve, reject }
      const queue = queues.get(key)
      if (queue) return void queue.add(waiting)
      const first = new Set([waiting])
      queues.set(key, first)
      void work(key, first)
    })
}

/**
 * The value after all changes in the queue, one after the other. Those that throw or are late reject, and leave the
 * queue.
 */
function applyAll<Value>(value: Value, queue: Set<Waiting<Value>>): Value {
  const now = Date.now()
  let changed = value
  for (const waiting of queue) {
    try {
      if (now >= waiting.until)
        throw new Error('there was no time to change it: it is being changed all the while')
      changed = waiting.change(changed)
    } catch (error) {
      queue.delete(waiting)
      waiting.reject(error)
    }
  }
  return changed
}
