/**
 * Atomic changes by compare-and-set: read, change, write if it is still what was read, and begin again otherwise. No
 * lock is held while anybody thinks, so a process that is slow, stopped or dead is in nobody's way. Knows no store.
 */

import { setTimeout } from 'node:timers/promises'
import { turns } from './turns.ts'

/** Makes the new text of the old one; undefined stands for none. Must be pure: it may run several times. */
export type Change = (text: string | undefined) => string | undefined

/** What is under a key. A version tells one text from all others that were or will be there. */
export interface Cell<Version> {
  readonly text: string | undefined
  readonly version: Version
}

/** Texts under keys. */
export interface Cells<Version> {
  load(key: string): Promise<Cell<Version>>
  /** Writes `text` if the version is still the same; resolves with whether it was, once the text is safely stored. */
  replace(key: string, version: Version, text: string | undefined): Promise<boolean>
}

const LONGEST_PAUSE_MS = 50

/**
 * Returns a function that changes one text and resolves when that is stored; a change that returns what it got writes
 * nothing. Changes under one key queue up, so that only other processes are raced with. After the time `until`
 * (milliseconds since the epoch) no attempt begins any more, and it rejects.
 */
export function swapper<Version>(cells: Cells<Version>) {
  const inTurn = turns()

  async function swap(key: string, change: Change, until: number): Promise<void> {
    for (let attempt = 0; Date.now() < until; attempt++) {
      const { text, version } = await cells.load(key)
      const changed = change(text)
      if (changed === text) return
      if (await cells.replace(key, version, changed)) return
      await setTimeout(Math.random() * Math.min(2 ** attempt, LONGEST_PAUSE_MS))
    }
    throw new Error('there was no time to change it: it is being changed all the while')
  }

  return (key: string, change: Change, until: number) => inTurn(key, () => swap(key, change, until))
}
