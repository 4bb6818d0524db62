/**
 * `npm run test:valkey`: the tests that use Redis, on Valkey. Where the machine has none, Debian 13's package is unpacked
 * into a directory of its own and run with the libraries there; nothing of the machine is changed. Ends with 1 when a
 * test fails, and with 2 when the tests cannot be run. Words after it choose among the test files by their path.
 */

import { spawnSync } from 'node:child_process'
import { chmodSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { CACHE, endWith, ensureRoot, runTests, testsWith, Unable } from './debian-13.ts'
import { find } from './need.ts'

const ROOT = path.join(CACHE, 'valkey')
/** Where it is run from: a script beside what was unpacked. */
const COMMAND = path.join(ROOT, 'valkey-server')

function main(): number {
  const program = find('valkey-server') ?? unpacked()
  const { status, stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' })
  if (status !== 0) throw new Unable(`${program} does not run`)
  console.log(`The tests run on ${program}: ${stdout.trim()}`)
  const words = process.argv.slice(2)
  const chosen = (file: string) => words.length === 0 || words.some(word => file.includes(word))
  return runTests(testsWith(/\b(?:start|missing)Redis\b/).filter(chosen), {
    ...process.env,
    XAPS_TEST_REDIS: program,
  })
}

function unpacked(): string {
  if (process.getuid?.() !== 0)
    throw new Unable(`Only root can unpack one to ${ROOT}: run it as root, or install valkey-server`)
  ensureRoot(ROOT, ['valkey-server'], root => {
    // Debian's loader finds Debian's libraries, whatever those of the machine are.
    const script = `#!/bin/sh
for loader in ${ROOT}/lib*/ld-linux*.so.*; do break; done
exec "$loader" --library-path "$(echo ${ROOT}/usr/lib/*-linux-gnu*)" ${ROOT}/usr/bin/valkey-server "$@"
`
    writeFileSync(path.join(root, path.basename(COMMAND)), script)
    chmodSync(path.join(root, path.basename(COMMAND)), 0o755)
  })
  return COMMAND
}

endWith(main, 'the tests on Valkey')
