/** Which real servers a test can have on this machine. */

import { accessSync, constants } from 'node:fs'
import path from 'node:path'

/** Where install.ts puts single programs of packages that are too large, or start too much, to be installed. */
export const UNPACKED = '/var/cache/haraka-plugin-xaps/bin'

/** Servers often lie outside an ordinary user's PATH; Dovecot keeps those for each protocol in a directory of its own. */
const SERVER_DIRECTORIES = [
  UNPACKED,
  '/usr/sbin',
  '/usr/local/sbin',
  '/sbin',
  '/usr/lib/dovecot',
  '/usr/libexec/dovecot',
]

/** The path of `command`, or undefined when this machine does not have it. A path is itself. */
export function find(command: string): string | undefined {
  if (command.includes('/')) return isExecutable(command) ? command : undefined
  const directories = [...(process.env.PATH ?? '').split(path.delimiter), ...SERVER_DIRECTORIES]
  return directories
    .filter(directory => directory !== '')
    .map(directory => path.join(directory, command))
    .find(isExecutable)
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/**
 * For a test's `skip`: false when every command is there, otherwise the reason to skip. Throws where CI is set,
 * for there a test that did not run must not look like one that passed.
 */
export function missing(...commands: string[]): string | false {
  const absent = commands.filter(command => find(command) === undefined)
  if (absent.length === 0) return false
  const reason = `not run: ${absent.join(', ')} is not installed (npm test as root installs it)`
  if (process.env.CI) throw new Error(reason)
  return reason
}
