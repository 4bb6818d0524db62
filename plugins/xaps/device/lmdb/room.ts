/**
 * Whether the disk has room for a change. The package lmdb 3.5 writes past the end of a buffer on its heap when a write of
 * its own fails for want of room, which ends the process sooner or later; so it is never brought to that.
 */

/** Other processes may take this much meanwhile, in bytes. */
const LEAST_FREE = 1024 * 1024

/** Pages of 4 kB that one change writes at most: a path through the tree, its record, the list of free pages. */
const BYTES_PER_CHANGE = 16 * 1024

/** No disk is filled faster, in bytes per millisecond (10 GB/s), so a look holds for a while. */
const FASTEST_FILLING = 10_000_000

/** But no longer than this: a file may also be given its room at once. */
const LOOK_EVERY_MS = 20

/** A file system as statfsSync describes it. */
export type FileSystem = Readonly<Record<'bavail' | 'bsize', number>>

/**
 * Returns a function that throws unless the file system, as `look` finds it, has room for so many changes at once, and
 * some to spare. `now` is in milliseconds from anywhere.
 */
export function makeCheckRoom(
  look: () => FileSystem,
  now: () => number = () => performance.now(),
): (changes: number) => void {
  let free = 0
  let lookedAt = Number.NEGATIVE_INFINITY
  const lookAgain = () => {
    const { bavail, bsize } = look()
    free = bavail * bsize
    lookedAt = now()
  }
  return changes => {
    const needed = LEAST_FREE + changes * BYTES_PER_CHANGE
    const age = now() - lookedAt
    if (age >= LOOK_EVERY_MS || free - age * FASTEST_FILLING < needed) lookAgain()
    if (free < needed) throw new Error('the disk is full: less than 1 MiB is free')
  }
}
