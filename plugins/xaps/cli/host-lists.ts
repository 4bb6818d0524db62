/** Haraka's list files, read without Haraka: one entry a line, comments begin with # or ;. */

import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { Plugin } from '../haraka/types.ts'

/** As much of Haraka's `config` object as the delivery stage uses, for the files below `directory`. */
export function hostLists(directory: string): Plugin['config'] {
  return {
    get: file =>
      read(path.join(directory, file))
        .split(/\r?\n/)
        .map(line => line.trim())
        .filter(line => line !== '' && !/^[#;]/.test(line)),
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ''
    throw error
  }
}
