/** Directories that root makes for the user that Haraka drops to. */

import { closeSync, constants, fchmodSync, fchownSync, mkdirSync, openSync } from 'node:fs'

/**
 * Makes `directory` with `mode` and the owner given; one that is there gets them too. Throws for a symbolic link:
 * whoever may write beside it could point root at somebody else's directory.
 */
export function makeOwnDirectory(
  directory: string,
  mode: number,
  { uid, gid }: { readonly uid: number | undefined; readonly gid: number | undefined },
): void {
  mkdirSync(directory, { recursive: true, mode })
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    fchmodSync(fd, mode)
    // -1 leaves the one that is not given as it is: chown(2).
    fchownSync(fd, uid ?? -1, gid ?? -1)
  } finally {
    closeSync(fd)
  }
}
