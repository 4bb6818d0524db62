/**
 * Whether the disk has room for a change. The package lmdb 3.5 writes past the end of a buffer on its heap when a write of
 * its own fails for want of room, which ends the process sooner or later; so it is never brought to that.
 */

/** What other processes may take meanwhile, in bytes. */
const LEAST_FREE = 1024 * 1024

/** Pages of 4 kB that one change writes at most: a path through the tree, its record, the list of free pages. */
const BYTES_PER_CHANGE = 16 * 1024

/** Throws unless a file system, as statfsSync describes it, has room for so many `changes` at once, and some to spare. */
export function checkRoom(
  { bavail, bsize }: Readonly<Record<'bavail' | 'bsize', number>>,
  changes: number,
): void {
  const needed = LEAST_FREE + changes * BYTES_PER_CHANGE
  if (bavail * bsize < needed) throw new Error('the disk is full: less than 1 MiB is free')
}
