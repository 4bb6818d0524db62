/** What `xaps check` prints, for the tests of its parts. */

import assert from 'node:assert/strict'
import { type RunOptions, xaps } from '../../e2e/run.ts'
import type { Directory } from '../../e2e/setup.ts'

/** smtp.ini of a service that runs as Debian's nobody and nogroup. */
export const AS_NOBODY = 'user=nobody\ngroup=nogroup\n'

/** For a test's `skip`: only root can act as the service's user, and leave what that user may not write. */
export const notRoot = process.getuid?.() !== 0 && 'not run: only root can act as another user'

export interface Checked {
  readonly status: number
  readonly stdout: string
}

/** `xaps check --offline` in a directory. Nothing but the last line may stand on standard error. */
export async function check({ dir }: Pick<Directory, 'dir'>, options?: RunOptions): Promise<Checked> {
  const { status, stdout, stderr } = await xaps(['-c', dir, 'check', '--offline'], options)
  assert.match(stderr, /^(?:xaps: \d+ of \d+ checks failed\n)?$/)
  return { status, stdout }
}

/** Checks, and asserts that one line begins with `level` and goes on as `says` has it. A FAIL makes the exit status 1. */
export async function finds(
  here: Pick<Directory, 'dir'>,
  level: 'ok' | 'warn' | 'FAIL',
  says: RegExp,
  options?: RunOptions,
): Promise<Checked> {
  const checked = await check(here, options)
  assert.match(checked.stdout, new RegExp(`^${level} +${says.source}`, 'm'))
  assert.equal(checked.status, /^FAIL/m.test(checked.stdout) ? 1 : 0, checked.stdout)
  return checked
}
